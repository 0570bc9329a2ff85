"""All three roads, from an empty folder to the page, at the smallest scale."""
import json
import re
import sys

from conftest import run


def test_run_all_ends_in_one_page(tmp_path):
    command = (
        sys.executable,
        "-c",
        "from llmcourse.cli import main; main()",
        "run",
        "--all",
        "--scale",
        "tiny",
        "--out",
        tmp_path,
    )
    first = run(*command)
    page = (tmp_path/"all"/"all.html").read_text(encoding="utf-8")
    rows = re.findall(r'<tr id="(\w+)">.*?</tr>', page, re.S)
    assert len(rows) == len(set(rows)) == 40
    assert not re.search(r"<script|<link|@import|\bsrc=", page)
    figures = json.loads((tmp_path/"all"/"figures.json").read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(row for stage in figures.values() for row in stage)
    again = run(*command)
    assert again.count("done before") == len(figures) and "done before" not in first
