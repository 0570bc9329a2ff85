"""Every lesson runs, from top to bottom, in a process of its own."""
import pytest
from conftest import ROOT, run, tool
from lessons import lessons


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.name)
def test_lesson(path):
    said = run(tool("nbdev_test"), "--path", path, "--n_workers", 0, "--timing", cwd=ROOT, timeout=900)
    assert "Success." in said
