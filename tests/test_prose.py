"""A number in the prose stands in a cell beside it: each is found in the code or in an output of its lesson.

Numbers that come from elsewhere (a paper, a specification, a price) are declared where they stand, in a comment that
the page does not show: <!-- from elsewhere: 124, 0.81 -->. Small whole numbers and years are taken for words. """
import re
from pathlib import Path

import lessons
import pytest

LESSONS = [path for path in lessons.lessons() if path.name != "index.ipynb"]
NUMBER = re.compile(r"(?<![\w.,/#-])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,/#])\d+(?:\.\d+)?(?![\w/]*[a-zA-Z_])")
NOT_PROSE = re.compile(r"<!--.*?-->|```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|https?://\S+|"
                       r"\b[Ll]essons? \d+[\d, and to]*|\*\*Time:\*\*[^.]*\.[^.]*\.", re.S)


def value(number: str) -> float:
    return float(number.replace(",", ""))


def decimals(number: str) -> int:
    return len(number.partition(".")[2])


def is_claim(number: str, after: str) -> bool:
    "Whether a number looks measured: a decimal, a percentage, or a whole number of three digits that is no year."
    return (
        "." in number or after.lstrip().startswith("%") or (value(number) >= 100 and not 1600 <= value(number) <= 2099)
    )


def claims(text: str) -> list[tuple[str, str]]:
    "The numbers of a piece of prose that need a cell, each with the words around it."
    text = NOT_PROSE.sub(lambda match: " " * len(match[0]), text)
    return [(m[0], " ".join(text[max(0, m.start() - 40):m.end() + 20].split()))
            for m in NUMBER.finditer(text) if is_claim(m[0], text[m.end():m.end() + 3])]


def evidence(nb) -> set[float]:
    "All numbers in the code and in the outputs of a lesson, and what the prose declares to come from elsewhere."
    texts = []
    for cell in nb.cells:
        if cell.cell_type == "code": texts.append(cell.source)
        else: texts += re.findall(r"<!-- from elsewhere:(.*?)-->", cell.source, re.S)
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            texts += [
                str(text) for text in (out.get("text", ""), data.get("text/plain", ""), data.get("text/html", ""))
            ]
    found = re.findall(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?", " ".join(texts).replace("_", ""))
    return {value(number) for number in found}


def stands_in(number: str, known: set[float]) -> bool:
    "Whether a number, rounded as in the prose, is among those known: as it is, or as a share of a percentage."
    wanted, places = value(number), decimals(number)
    half = 0.5 * 10**-places + 1e-9
    return any(abs(scale * found - wanted) <= half for found in known for scale in (1, 100))


def unfounded(path: Path) -> list[str]:
    "The numbers in a lesson's prose that stand in no output and no code of it."
    nb = lessons.read(path)
    known = evidence(nb)
    return [f"{number}  in: {around}" for cell in nb.cells
            if cell.cell_type == "markdown" and not lessons.in_exercises(cell)    # a task's numbers claim nothing
            for number, around in claims(cell.source) if not stands_in(number, known)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_numbers_in_prose_come_from_a_cell(path):
    assert unfounded(path) == []


def test_a_number_without_a_cell_is_found():
    nb = lessons.nbformat.v4.new_notebook(cells=[lessons.nbformat.v4.new_code_cell("print(0.5 + 0.2345)")])
    nb.cells[0].outputs = [lessons.nbformat.v4.new_output("stream", text="0.7345 of 1,200\n")]
    known = evidence(nb)
    assert all(stands_in(number, known) for number in ("0.73", "73", "0.7345", "1,200"))
    assert not any(stands_in(number, known) for number in ("0.74", "0.736", "1,201"))
    assert [number for number, _ in claims("It gains 2.5 points in 2014, `0.9`, 7 of 10, 12 %, $3.5$.")] == [
        "2.5",
        "12",
    ]
