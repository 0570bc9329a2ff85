"""The course on other machines: newer Pythons, other systems, without make, and in notebooks that set themselves up."""
import os
import re
import subprocess
import sys
from pathlib import Path

import cloud
import nbformat
import pytest
import tasks
from conftest import ROOT, run, tool
from lessons import NBS, lessons, read

EXTRAS = sorted({package for name in cloud.SETTINGS if name.endswith("requirements") and name != "dev_requirements"
                 for package in cloud.SETTINGS[name].split()})
LESSONS = [path for path in lessons() if path.name != "index.ipynb"]


# ---- newer Pythons, other systems

@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_all_extras_have_wheels(version, system, tmp_path):
    "In the pinned versions, with nothing to compile. Asks the index for metadata only; installs nothing."
    (tmp_path/"wanted.txt").write_text("\n".join(EXTRAS), encoding="utf-8")
    command = [tool("uv"), "pip", "compile", "--quiet", "--only-binary", ":all:", "--python-version", version,
               "--python-platform", system, "--constraint", ROOT/"constraints.txt", tmp_path/"wanted.txt"]
    env = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}                    # torch has no wheels for older ones
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if "Failed to fetch" in done.stderr: pytest.skip("needs the network: no package index answers")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^torch==", done.stdout, re.M)


# ---- without make

def test_tasks_are_the_targets_of_the_makefile():
    makefile = (ROOT/"Makefile").read_text(encoding="utf-8")
    assert {*tasks.TASKS, "help", "clean"} == set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))
    for name, commands in tasks.TASKS.items():
        if name in ("bench", "course"): continue        # a loop; and the program, by its name
        block = re.search(rf"^{name}:.*\n((?:\t.*\n)+)", makefile, re.M)[1].replace("$(PORT)", tasks.PORT)
        assert f"$(BIN)/python {' '.join(commands[-1])}\n" in block


def test_a_bare_python_lists_the_tasks():
    shown = run(sys.executable, "-S", "-m", "llmcourse", cwd=ROOT)      # without any package
    assert all(f"python -m llmcourse {name}" in shown for name in tasks.TASKS)


def test_other_words_go_to_the_program():
    assert "progress" in run(sys.executable, "-m", "llmcourse", "--help", cwd=ROOT)


@pytest.fixture
def calls(monkeypatch, tmp_path):
    "The commands that a task would run, in a place without an environment."
    made = []
    monkeypatch.setattr(tasks, "call", lambda *words: made.append([str(word) for word in words]))
    monkeypatch.setattr(tasks, "VENV", tmp_path/".venv")
    monkeypatch.setattr(tasks, "STAMP", tmp_path/".venv"/".ready")
    (tmp_path/".venv").mkdir()
    return made


def test_the_first_task_makes_the_environment_and_the_second_uses_it(calls, monkeypatch):
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    python = tasks.ready()
    assert [words[1:4] for words in calls] == [["-m", "venv", str(tasks.VENV)], *[["-m", "pip", "install"]] * 2]
    assert Path(python).is_relative_to(tasks.VENV) and calls[1][-1] == "torch" and calls[2][-1] == ".[dev]"
    calls.clear()
    assert tasks.ready() == python and calls == []


def test_an_environment_that_has_everything_is_used_as_it_is(calls, monkeypatch):
    monkeypatch.setattr(tasks, "find_spec", lambda name: object())
    with pytest.raises(SystemExit): tasks.main(["lab", "--no-browser"])
    assert calls == [[sys.executable, "tools/lab.py", "--port", tasks.PORT, "--no-browser"]]


# ---- Colab and Binder

def test_set_up_cell_installs_the_course_once(tmp_path):
    lesson = next(path for path in LESSONS if path.stem.endswith("_anonymization"))
    site = run(sys.executable, "-c", "import numpy; print(numpy.__file__)").strip()
    run(sys.executable, "-m", "venv", tmp_path/"fresh")
    python = tmp_path/"fresh"/"bin"/"python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages/"others.pth").write_text(f"{Path(site).parent.parent}\n", encoding="utf-8")      # all but the course
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = "import llmcourse.data; print(llmcourse.data.__file__)"
    assert subprocess.run([python, "-c", where], cwd=tmp_path, env=env, capture_output=True).returncode != 0
    here = ROOT.as_uri().replace("file://", "file://localhost")         # pip wants a host in an address
    run(python, "-c", cloud.setup_code(read(lesson), here), cwd=tmp_path, env=env)
    assert Path(run(python, "-c", where, cwd=tmp_path, env=env).strip()).is_relative_to(tmp_path/"fresh")
    once_more = f"import subprocess; subprocess.run = None\n{cloud.setup_code(read(lesson))}"
    run(python, "-c", once_more, cwd=tmp_path, env=env)


def test_set_up_cell_brings_what_the_lesson_imports():
    wanted = {path.stem: cloud.more_packages(read(path)) for path in LESSONS}
    assert wanted["11_anonymization"] == ["faker", "presidio-analyzer"] and wanted["13_tokenizer"] == ["tiktoken"]
    assert not {"nbdev", "pytest", "jupyterlab"} & {package for found in wanted.values() for package in found}


def test_notebooks_of_the_site_stand_alone(tmp_path):
    published = "https://example.org/llmcourse/"
    cloud.write_notebooks(tmp_path, published)
    found = sorted((tmp_path/"notebooks").iterdir())
    assert len(found) == len(LESSONS)
    for path in found:
        nb = nbformat.read(path, as_version=4)
        nbformat.validate(nb)
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        assert code[0].id == "setup" and not any(cell.outputs for cell in code)
        text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
        assert re.findall(r"\]\((?!https?:|#|mailto:)[^)]*\)", prose) == [], f"{path.name} leads to a file beside it"


def test_code_that_looks_like_a_link_stays_as_it_is():
    said = "![x](../images/x.svg)\n```python\ntokenizers[0](text)\n```\n`a[0](b)` and [one](03_data.ipynb)"
    changed = cloud.LINK.sub(lambda found: found[0] if found[1] is None else f"](<{found[1]}>)", said)
    assert changed == ("![x](<../images/x.svg>)\n```python\ntokenizers[0](text)\n```\n`a[0](b)` and "
                       "[one](<03_data.ipynb>)")


def test_addresses_in_such_a_notebook():
    whole = lambda address: cloud.whole(address, "1_from_scratch", "https://example.org/")
    assert whole("../images/data.svg") == "https://example.org/images/data.svg"
    assert whole("03_data.ipynb#the-split") == "https://example.org/1_from_scratch/data.html#the-split"
    assert whole("../2_fine_tuning/32_models.ipynb") == "https://example.org/2_fine_tuning/models.html"


def test_binder_knows_what_to_build():
    said = (ROOT/".binder"/"postBuild").read_text(encoding="utf-8")
    assert "constraints.txt" in said and ".[dev]" in said
    assert (ROOT/".binder"/"runtime.txt").read_text(encoding="utf-8").strip() == \
        f"python-{cloud.SETTINGS['min_python']}"
    for path in LESSONS:
        inside = cloud.links(path)["Open in Binder"].partition("lab/tree/")[2]
        assert (NBS.parent/inside).is_file()
