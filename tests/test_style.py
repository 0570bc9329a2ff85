"""Code is readable: no line is longer than 120 characters, anywhere."""
import re

import lessons
import pytest
from conftest import ROOT

LIMIT = 120
FOLDERS = ("tests", "tools", "bench", "experiments", "llmcourse/exercises")
SCRIPTS = sorted(path for folder in FOLDERS for path in (ROOT/folder).glob("*.py"))


def too_long(code: str) -> list[str]:
    "The lines over the limit, shortened."
    return [f"line {number}: {line[:60]}..." for number, line in enumerate(code.splitlines(), 1) if len(line) > LIMIT]


@pytest.mark.parametrize("path", lessons.lessons(), ids=lambda path: path.name)
def test_lines_of_a_lesson(path):
    cells = [cell for cell in lessons.read(path).cells if cell.cell_type == "code"]
    assert [line for cell in cells for line in too_long(cell.source)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_lines_of_a_script(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_prose_is_wrapped():
    found = {path.name: n for path in lessons.lessons() if (n := sum(
        len(line) > 160 for cell in lessons.read(path).cells if cell.cell_type == "markdown"
        for line in cell.source.splitlines() if not re.match(r"\s*(\||!\[|<|>|\$)", line) and "](" not in line))}
    assert found == {}, "long lines of prose make changes hard to read; wrap them at 120"
