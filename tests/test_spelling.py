"""Words are spelled as they should be: in the prose of the lessons, in exercises, and in the pages beside them."""
import subprocess
import sys
from pathlib import Path

import lessons
from conftest import ROOT

KNOWN = "rouge,wit,caf,nd,fro,alse,tru,fals,ot"                  # terms and examples that look like slips


def test_spelling(tmp_path):
    for path in lessons.lessons():
        prose = [cell.source for cell in lessons.read(path).cells if cell.cell_type == "markdown"]
        (tmp_path/f"{path.stem}.md").write_text("\n\n".join(prose), encoding="utf-8")
    pages = [str(path) for path in ROOT.glob("*.md")]
    command = [Path(sys.executable).with_name("codespell"), f"--ignore-words-list={KNOWN}", str(tmp_path)]
    done = subprocess.run([*command, str(ROOT/"llmcourse"/"exercises"), *pages], capture_output=True, text=True)
    assert done.stdout.replace(f"{tmp_path}/", "") == ""
