"""Lessons that open in Colab and Binder: the notebooks of the site, each with a set-up cell, and the links to them.

What the cell installs is read out of settings.ini and of the lesson: the package with its extras, and what else the
lesson imports. On a machine that has the course it does nothing. Binder builds what `.binder/` says.
"""
import ast
import copy
import re
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from lessons import NBS, ROOT, lessons, read
from nbformat.v4 import new_code_cell, new_markdown_cell

CONFIG = ConfigParser(delimiters=["="])
CONFIG.read(ROOT/"settings.ini", encoding="utf-8")
SETTINGS = CONFIG["DEFAULT"]
BUILT = "gh-pages"                                     # the branch that holds the built site
SAYS = ("*Where the course is not installed, as in Colab, the next cell brings it. It takes some minutes, once a "
        "session. Does an import fail afterwards? Restart the session and go on below.*")
SETUP = '''import subprocess
import sys
from importlib.util import find_spec

if find_spec("llmcourse") is None:
    packages = {packages}
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True)'''


def plain_key(name: str) -> str:
    "A package's name as indexes compare it, without version: scikit-learn for Scikit_Learn>=1.8."
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=\[]", name)[0]).lower()


@cache
def installed() -> dict[str, list[str]]:
    "The packages that bring a name that can be imported; an index of this environment."
    return packages_distributions()


def more_packages(nb) -> list[str]:
    "What a lesson imports that comes with no extra but `dev`, as settings.ini writes it."
    names = set()
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        try: nodes = list(ast.walk(ast.parse(cell.source)))
        except SyntaxError: continue                   # a line for IPython
        for node in nodes:
            if isinstance(node, ast.Import): names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level: names.add(node.module.split(".")[0])
        names |= set(re.findall(r'find_spec\("(\w+)"\)', cell.source))
    needed = {plain_key(package) for name in names for package in installed().get(name, ())}
    return [package for package in SETTINGS["dev_requirements"].split() if plain_key(package) in needed]


def setup_code(nb, git_url: str = SETTINGS["git_url"]) -> str:
    "The code of the set-up cell of a lesson."
    packages = [f"{SETTINGS['lib_name']}[all] @ git+{git_url}", *more_packages(nb)]
    return SETUP.format(packages="[" + ",\n                ".join(f'"{package}"' for package in packages) + "]")


# A link to a file beside the lesson; code, which may look like one, is taken whole and holds no group.
LINK = re.compile(r"```.*?```|`[^`\n]*`|\]\((?!\w+:|#)([^)\s]+)\)", re.S)


def with_setup(path: Path, published: str):
    "A lesson that runs anywhere: a set-up cell before its code, pictures and other lessons by their whole address."
    nb = copy.deepcopy(read(path))
    for mark in ("executed", "practised"): nb.metadata.pop(mark, None)
    part = path.relative_to(NBS).parent.as_posix()
    for cell in nb.cells:
        if cell.cell_type == "code": cell.outputs, cell.execution_count = [], None
        else: cell.source = re.sub(LINK, lambda found: found[0] if found[1] is None else
                                   f"]({whole(found[1], part, published)})", cell.source)
    first = next((n for n, cell in enumerate(nb.cells) if cell.cell_type == "code"), len(nb.cells))
    nb.cells[first:first] = [
        new_markdown_cell(SAYS, id="setup-says"), new_code_cell(setup_code(nb), id="setup")]
    return nb


def whole(address: str, part: str, published: str) -> str:
    "The address on the published site of what a lesson links to."
    target, _, anchor = address.partition("#")
    parts = []
    for word in f"{part}/{target}".split("/"):
        if word == ".." and parts: parts.pop()
        elif word not in ("", ".", ".."): parts.append(word)
    if parts[-1].endswith(".ipynb"): parts[-1] = re.sub(r"^\d+_", "", parts[-1].removesuffix(".ipynb")) + ".html"
    return published + "/".join(parts) + (anchor and f"#{anchor}")


def write_notebooks(site: Path, published: str) -> None:
    "Write every lesson into notebooks/ of the site, under the name of its page."
    folder = site/"notebooks"
    folder.mkdir(exist_ok=True)
    for path in lessons():
        if path.name == "index.ipynb": continue
        nbformat.write(with_setup(path, published), folder/re.sub(r"^\d+_", "", path.name))


def links(path: Path) -> dict[str, str]:
    "Where a lesson opens without an installation: what a link says, and its address."
    project = SETTINGS["git_url"].removeprefix("https://github.com/")
    name, inside = re.sub(r"^\d+_", "", path.name), path.relative_to(NBS.parent).as_posix()
    return {"Open in Colab": f"https://colab.research.google.com/github/{project}/blob/{BUILT}/notebooks/{name}",
            "Open in Binder": f"https://mybinder.org/v2/gh/{project}/{SETTINGS['branch']}?urlpath=lab/tree/{inside}"}


def add_links(soup, place) -> None:
    "Each lesson says where it opens without an installation, beside its source."
    box = soup.select_one(".toc-actions")
    if not box or place.notebook is None or place.notebook.name == "index.ipynb": return
    rows, tag = box.find("ul") or box, "li" if box.find("ul") else "div"
    for text, address in links(place.notebook).items():
        rows.append(BeautifulSoup(f'<{tag} class="action-links"><a class="toc-action" href="{address}"><i class="bi '
                                  f'bi-box-arrow-up-right"></i> {text}</a></{tag}>', "html.parser"))
