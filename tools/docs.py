"""Build the site into _docs/ from the lessons and _quarto.yml.

Where Quarto is installed, `nbdev_docs` does it all. Where it is not, nbdev prepares the lessons in the same way and the
pure-Python builder smalldocs renders them; then this module finishes the pages, so that they show with the network off.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.serve import proc_nbs
from smalldocs.site import build

ROOT = Path(__file__).resolve().parent.parent


def mathml(tex: str, display: str) -> str:
    "An equation as MathML, which browsers draw by themselves; `display` is inline or block."
    try: result = convert(tex, display=display)
    except Exception as error: raise ValueError(f"the equation {tex!r} cannot be drawn: {error!r}") from error
    unknown = re.search(r">\s*(\\[A-Za-z]+)", result)
    if unknown: raise ValueError(f"the equation {tex!r} cannot be drawn: {unknown[1]} is not known")
    return result


def lesson_links(sources: list[Path]) -> dict[str, str]:
    "The address nbdev gives to a lesson, `part/data.html`, with the page it has here, `part/03_data.html`."
    pages = [path.with_suffix(".html") for path in sources]
    return {page.with_name(re.sub(r"^\d+_", "", page.name)).as_posix(): page.as_posix() for page in pages}


def finish(page: str, folder: Path, pages: dict[str, str], site_url: str) -> str:
    "The page in `folder` such that it needs nothing from another host."
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.select('link[href*="katex"], script[src*="katex"]'): tag.decompose()
    for span in soup.select("span.math"):
        tex = re.sub(r"^\\[(\[]|\\[)\]]$", "", span.get_text())
        span.replace_with(
            BeautifulSoup(mathml(tex, "block" if "display" in span["class"] else "inline"), "html.parser")
        )
    for link in soup.select(f'a[href^="{site_url}"]'):  # nbdev links `names` to where the site will be published
        path, _, anchor = link["href"].removeprefix(site_url).partition("#")
        name = anchor.partition(".")[0]  # a method is shown with its class
        link["href"] = os.path.relpath(pages.get(path, path), folder) + (name and f"#{name}")
    for link in soup.select('a[href$=".ipynb"]'):  # links in a cell's output, such as the coverage table's
        if not urlsplit(link["href"]).netloc:
            link["href"] = link["href"].removesuffix(".ipynb") + ".html"
    for output in soup.select(".cell-output-markdown"):  # the signature of an exported name; nbdev rules it off
        title = output.find("h3", id=True)
        if not title or not (rule := output.find("hr")):
            continue
        rule.decompose()
        output.name, output["class"] = "details", "api"
        summary = soup.new_tag("summary")
        summary.append(f"Reference: {title.get_text()}")
        output.insert(0, summary)
    return str(soup)


def build_without_quarto() -> None:
    "What `nbdev_docs` does, with smalldocs in Quarto's place."
    shutil.rmtree(ROOT/"_proc", ignore_errors=True)
    cache = proc_nbs(n_workers=min(2, os.cpu_count()))
    site = build(cache, quiet=True)
    config = get_config()
    pages = lesson_links([Path(source) for source in site.pages])
    for path in site.out.rglob("*.html"):
        page = finish(path.read_text(encoding="utf-8"), path.parent.relative_to(site.out), pages,
                      f"{config.doc_host}{config.doc_baseurl}/")
        path.write_text(page, encoding="utf-8")
    for path in site.out.rglob("*.css"):  # themes ask a server of fonts; the reader's own will do
        path.write_text(re.sub(r"@import url\(https:[^)]*\);", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    for warning in site.warnings:
        if "broken link" in warning: print(warning, file=sys.stderr)
    shutil.rmtree(ROOT/"_docs", ignore_errors=True)
    shutil.move(site.out, ROOT/"_docs")
    print(f"wrote {len(site.pages)} pages to _docs/")


def main() -> None:
    "Build the site with what is installed."
    os.chdir(ROOT)
    if not shutil.which("quarto"): return build_without_quarto()
    (ROOT/"README.md").touch()                                     # nbdev rewrites one that is older than index.ipynb
    subprocess.run([Path(sys.executable).with_name("nbdev_docs")], check=True)


if __name__ == "__main__":
    main()
