"""What `pip install` gives a stranger: a wheel that works in a fresh environment, with all extras for all modules."""
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, build_once, run

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    "The wheel of this project."
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, *PIP, "wheel", ROOT, "--no-deps", "--wheel-dir", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    "The Python of a fresh environment that holds the wheel and what it asks for."
    def build(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        for wanted in ("torch", f"{wheel}[all]"):
            run(folder/"bin"/"python", *PIP, "install", "--no-compile", "--constraint", ROOT/"constraints.txt", wanted)
    return build_once(tmp_path_factory, "fresh", build)/"bin"/"python"


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"llmcourse/{path.name}" for path in (ROOT/"llmcourse").glob("*.py")} <= set(names)
    folders = [ROOT/"llmcourse"/name for name in ("borrowed", "course_gpt", "measured", "templates")]
    data = [path for folder in folders for path in folder.iterdir()]
    assert {path.relative_to(ROOT).as_posix() for path in data if path.is_file()} <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"llmcourse"}
    assert any(name.endswith("LICENSE") for name in names)


def test_import_is_light(python, tmp_path):
    code = "import sys, llmcourse; print(llmcourse.__file__, *({'torch', 'transformers'} & set(sys.modules)), sep='|')"
    file, *heavy = run(python, "-c", code, cwd=tmp_path).strip().split("|")
    assert heavy == [] and Path(file).is_relative_to(python.parent.parent)


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT/"llmcourse").glob("[!_]*.py")))
def test_module_imports(module, python, tmp_path):
    run(python, "-c", f"import llmcourse.{module}", cwd=tmp_path)


def test_command_line_helps(python, tmp_path):
    assert "run" in run(python.with_name("llmcourse"), "--help", cwd=tmp_path)
