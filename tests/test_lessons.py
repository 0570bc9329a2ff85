"""Every lesson runs, from top to bottom, in a process of its own; those that open large models, if asked for."""
import re

import lessons
import pytest
from conftest import ROOT, needs, run, tool


def models_of(path) -> list[str]:
    "The large models that a lesson names in a line of its own: `# models: mpnet qwen`."
    code = "\n".join(cell.source for cell in lessons.read(path).cells if cell.cell_type == "code")
    return [name for line in re.findall(r"^# models: (.+)$", code, re.M) for name in line.split()]


def gated(path):
    names = models_of(path)
    return pytest.param(path, marks=needs(*names)) if names else path


@pytest.mark.parametrize("path", [gated(path) for path in lessons.lessons()], ids=lambda path: path.name)
def test_lesson(path):
    said = run(tool("nbdev_test"), "--path", path, "--n_workers", 0, "--timing", cwd=ROOT, timeout=900)
    assert "Success." in said


def test_models_of_lessons_are_in_the_catalogue():
    from llmcourse.models import CATALOGUE
    named = {name: path.name for path in lessons.lessons() for name in models_of(path)}
    assert set(named) <= {m.name for m in CATALOGUE.values() if m.source == "packages"}, named
