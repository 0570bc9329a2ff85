"""Build the site into _docs/ from the lessons and _quarto.yml.

Where Quarto is installed, `nbdev_docs` renders the pages. Where it is not, nbdev prepares the lessons in the same way,
and the pure-Python builder smalldocs renders them. `pages.py` then finishes the pages of either.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

from nbdev.config import get_config
from nbdev.serve import proc_nbs
from pages import finish_site
from smalldocs.site import build

ROOT = Path(__file__).resolve().parent.parent


def build_without_quarto() -> None:
    "What `nbdev_docs` does, with smalldocs in Quarto's place."
    shutil.rmtree(ROOT/"_proc", ignore_errors=True)
    site = build(proc_nbs(n_workers=min(2, os.cpu_count())), quiet=True)
    for warning in site.warnings:
        if "broken link" in warning: print(warning, file=sys.stderr)
    shutil.rmtree(ROOT/"_docs", ignore_errors=True)
    shutil.move(site.out, ROOT/"_docs")


def main() -> None:
    "Build the site with what is installed."
    os.chdir(ROOT)
    if shutil.which("quarto"):
        (ROOT/"README.md").touch()                                 # nbdev rewrites one that is older than index.ipynb
        subprocess.run([Path(sys.executable).with_name("nbdev_docs")], check=True)
    else: build_without_quarto()
    config = get_config()
    finish_site(ROOT/"_docs", f"{config.doc_host}{config.doc_baseurl}/")
    print(f"wrote {sum(1 for _ in (ROOT/'_docs').rglob('*.html'))} pages to _docs/")


if __name__ == "__main__":
    main()
