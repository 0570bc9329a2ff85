"""The site builds, is whole, and needs nothing from another host."""
import json
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from cloud import links
from conftest import BUILT, ROOT, build_once, run
from lessons import NBS, lessons
from test_project import exported, modules

LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "video": "src",
    "object": "data",
    "embed": "src",
    "image": "href",
    "use": "href",
}


TOP = "/llmcourse/"              # where the published site begins, as settings.ini says in doc_baseurl


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    "The site, built from a copy of the project."
    def build(folder: Path) -> None:
        shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*BUILT))
        run(sys.executable, "tools/docs.py", cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)})
    return build_once(tmp_path_factory, "site", build)/"_docs"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, BeautifulSoup]:
    "Every page of the site, parsed."
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(site.rglob("*.html"))
    }


def page_of(path: Path, site: Path) -> Path:
    "The page of a lesson: data.html for 03_data.ipynb."
    page = site/path.relative_to(NBS).with_suffix(".html")
    return page.with_name(re.sub(r"^\d+_", "", page.name))


def elsewhere(address: str) -> bool:
    "Whether an address is on another host."
    return bool(urlsplit(address).netloc)


def test_every_lesson_has_a_page_in_the_sidebar(site, pages):
    start = site/"index.html"
    listed = {(start.parent/link["href"]).resolve() for link in pages[start].select("#quarto-sidebar a[href]")}
    assert {page_of(path, site).resolve() for path in lessons()} - listed == set()
    assert [path.name for path in lessons() if page_of(path, site) not in pages] == []


def test_no_link_is_broken(site, pages):
    ids = {path: {tag["id"] for tag in page.select("[id]")} for path, page in pages.items()}
    broken, checked = [], 0
    for path, page in pages.items():
        for tag, attribute in {"a": "href", **LOADED}.items():
            for element in page.select(f"{tag}[{attribute}]"):
                target = urlsplit(element[attribute])
                if target.scheme or target.netloc: continue
                within = target.path.removeprefix(TOP)       # the page for lost readers names all others from the top
                start = site if within != target.path else path.parent
                file = (start/unquote(within)).resolve() if target.path else path
                if file.is_dir(): file = file/"index.html"
                checked += 1
                found = file.is_file() and (
                    not target.fragment or file.suffix != ".html" or unquote(target.fragment) in ids[file]
                )
                if not found: broken.append(f"{path.relative_to(site)}: {element[attribute]}")
    assert broken == [] and checked > 20 * len(pages)


def test_nothing_is_loaded_from_another_host(site, pages):
    loaded = [f"{path.relative_to(site)}: {element[attribute]}" for path, page in pages.items()
              for tag, attribute in LOADED.items() for element in page.select(f"{tag}[{attribute}]")
              if elsewhere(element[attribute])]
    script = re.compile(r"""(?:\bfrom|\bimport\(?|\bfetch\(|url\(|@import)\s*["']?(?:https?:)?//[^"')\s]+""")
    inside = [
        f"{path.relative_to(site)}: {found}"
        for path in site.rglob("*")
        if path.suffix in (".html", ".css", ".js")
        for found in script.findall(re.sub(r"<(pre|code)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.S))
    ]
    assert loaded + inside == []


def test_nothing_is_left_raw(site, pages):
    raw = []
    for path, page in pages.items():
        if re.search(r"(?m)^\s*#\| *\w", page.get_text()): raw.append(f"{path.relative_to(site)}: a directive of nbdev")
        prose = BeautifulSoup(str(page), "html.parser")
        for tag in prose.select("pre, code, script, style"): tag.decompose()
        found = re.search(r"\\[(\[a-zA-Z]\S*|\$\$", prose.get_text())
        if found: raw.append(f"{path.relative_to(site)}: the equation {found[0]}")
    assert raw == []


def test_search_finds_recall(site):
    found = [entry for entry in json.loads((site/"search.json").read_text(encoding="utf-8"))
             if "recall" in entry["text"].lower()]
    assert found and all((site/entry["href"].split("#")[0]).is_file() for entry in found)


@pytest.mark.parametrize("module", modules())
def test_source_and_signature_of_every_exported_name(module, site, pages):
    page = pages[page_of(modules()[module], site)]
    sources = "\n".join(code.get_text() for code in page.select(".cell-code"))
    missing = []
    for node in exported(module):
        title = page.find(id=node.name.lower())
        signature = title.find_next("pre").get_text() if title else ""
        arguments = [] if hasattr(node, "bases") else [arg.arg for arg in node.args.args]
        if not re.match(rf"(async def|def|class) {node.name}\(", signature.strip()) or not all(
            re.search(rf"\b{name}\b", signature) for name in arguments
        ):
            missing.append(f"signature of {node.name}")
        if not re.search(rf"^(async def|def|class) {node.name}\b", sources, re.M):
            missing.append(f"source of {node.name}")
    assert missing == []


def test_parameters_are_explained(site, pages):
    signature = pages[page_of(modules()["data"], site)].find(id="load_data").find_next("pre").get_text()
    assert re.search(r"name:\s*str.*# .*\w", signature)


def test_pages_are_light_and_figures_have_words(site, pages):
    heavy, silent = [], []
    for path, page in pages.items():
        figures = [site/path.parent.relative_to(site)/image["src"] for image in page.select("img[src$='.png']")]
        size = path.stat().st_size + sum(figure.stat().st_size for figure in figures)
        if size > 1_000_000: heavy.append(f"{path.relative_to(site)}: {size:,} bytes")
        silent += [f"{path.relative_to(site)}: {image['src']}" for image in page.select("img") if not image.get("alt")]
    assert (heavy, silent) == ([], [])


def test_every_lesson_opens_in_colab_and_binder(site, pages):
    for path in lessons():
        if path.name == "index.ipynb": continue
        said = {link.get_text(strip=True): link["href"] for link in pages[page_of(path, site)].select(".toc-actions a")}
        assert links(path).items() <= said.items(), path.name
        assert (site/links(path)["Open in Colab"].partition("/gh-pages/")[2]).is_file(), path.name


def test_robots_and_readers_find_their_way(site, pages):
    start = pages[site/"index.html"]
    assert start.select_one('link[rel="icon"]') and start.select_one('meta[property="og:title"]')
    assert (site/"llms.txt").is_file() and (site/"404.html").is_file()
    assert all(page.select_one("a.skip") for page in pages.values())
