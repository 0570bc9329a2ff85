"""Finish the pages of the site, whichever builder wrote them: offline, numbered, folded, open to eyes, ears and keys.

`finish_site(folder)` changes every page in place. Each step is a function of one parsed page.
"""
import ast
import base64
import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from cloud import add_links, write_notebooks
from latex2mathml.converter import convert
from lessons import NBS, lessons, number, read
from PIL import Image

CHECKS = ("same", "close", "rejects")        # calls of llmcourse.practice that check and do not teach


@dataclass(frozen=True)
class Place:
    "A page: its file, its folder seen from the top, its notebook, and the address of the published site."
    file: Path
    site: Path
    notebook: Path | None
    published: str

    @property
    def folder(self) -> Path: return self.file.parent.relative_to(self.site)


def plain_name(name: str) -> str:
    "The name of a page without its number, as nbdev links it: calibration.html for 23_calibration.html."
    return re.sub(r"^\d+_", "", name)


def numbered_titles() -> dict[str, str]:
    "Name of a page -> the title with its number: calibration -> 23 When to believe it."
    titles = {}
    for path in lessons():
        title = read(path).cells[0].source.splitlines()[0].removeprefix("# ").strip()
        if number(path) is not None: titles[plain_name(path.stem)] = f"{number(path)} {title}"
    return titles


# ---- addresses

def rename_pages(site: Path) -> None:
    "Give every page the name without its number, and mend what points at it, also in the index of the search."
    names = {path.stem for path in lessons() if number(path) is not None}
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(names))) + r")\.(html|llms\.md)\b") if names else None
    for path in [p for p in site.rglob("*") if p.suffix in (".html", ".json", ".xml", ".txt", ".md")]:
        text = path.read_text(encoding="utf-8")
        found = pattern.sub(lambda m: f"{plain_name(m[1])}.{m[2]}", text)
        if found != text: path.write_text(found, encoding="utf-8")
    for path in list(site.rglob("*")):
        if path.is_file() and path.name.split(".")[0] in names: path.rename(path.with_name(plain_name(path.name)))


def local_links(soup, place: Place) -> None:
    "Links to where the site will be published, and to notebooks, lead to pages beside this one."
    for link in soup.select(f'a[href^="{place.published}"]'):
        path, _, anchor = link["href"].removeprefix(place.published).partition("#")
        path = (Path(path).parent/plain_name(Path(path).name)).as_posix() if path else "index.html"
        name = anchor.partition(".")[0]                                 # a method is shown with its class
        if name.startswith("_"):                                        # what is not exported has no place to lead to
            link.unwrap()
            continue
        link["href"] = os.path.relpath(path, place.folder) + (name and f"#{name}")
    for link in soup.select('a[href$=".ipynb"]'):
        if urlsplit(link["href"]).netloc: continue
        target = Path(link["href"].removesuffix(".ipynb") + ".html")
        link["href"] = (target.parent/plain_name(target.name)).as_posix()


# ---- nothing from another host

def mathml(tex: str, display: str) -> str:
    "An equation as MathML, which browsers draw by themselves; `display` is inline or block."
    try: result = convert(tex, display=display)
    except Exception as error: raise ValueError(f"the equation {tex!r} cannot be drawn: {error!r}") from error
    unknown = re.search(r">\s*(\\[A-Za-z]+)", result)
    if unknown: raise ValueError(f"the equation {tex!r} cannot be drawn: {unknown[1]} is not known")
    return result


def offline(soup, place: Place) -> None:
    "Equations are drawn by the browser; styles and scripts of other hosts are left out."
    for span in soup.select("span.math"):
        tex = re.sub(r"^\\[(\[]|\\[)\]]$", "", span.get_text())
        drawn = mathml(tex, "block" if "display" in span["class"] else "inline")
        span.replace_with(BeautifulSoup(drawn, "html.parser"))
    for tag in soup.select('link[href*="katex"], script[src*="katex"]'): tag.decompose()
    for tag in soup.select('script[src], link[rel="stylesheet"][href], link[rel="preconnect"][href]'):
        if urlsplit(tag.get("src") or tag.get("href")).netloc: tag.decompose()


def offline_styles(site: Path) -> None:
    "Themes ask a server of fonts; the reader's own will do."
    imported = re.compile(r"""@import\s*(?:url\([^)]*\)|"[^"]*"|'[^']*')[^;]*;""")
    without_host = lambda found: "" if re.search(r"https?:", found[0]) else found[0]
    for path in site.rglob("*.css"):
        path.write_text(imported.sub(without_host, path.read_text(encoding="utf-8")), encoding="utf-8")


# ---- the same number everywhere

def number_titles(soup, place: Place, titles: dict[str, str]) -> None:
    "Lessons carry their number in the sidebar, in the title, and in the links to the next and the one before."
    own = titles.get(place.file.stem)
    if own and soup.title: soup.title.string = f"{own} – llmcourse"
    if own and (title := soup.select_one("h1.title")): title.string = own
    for link in soup.select("#quarto-sidebar a[href], .page-navigation a[href], .breadcrumb a[href]"):
        text = link.select_one(".menu-text, .nav-page-text") or (link if not link.find(True) else None)
        title = titles.get(Path(link["href"]).stem, "")
        if text and title.endswith(text.get_text().strip()): text.string = title


# ---- what stands on the page

def code_of(cell) -> str:
    "The code of a cell as text."
    found = cell.select_one("pre.cell-code code, pre.sourceCode code")
    return found.get_text() if found else ""


def parsed(code: str):
    "Its syntax tree; none where the code is not Python, such as a line for IPython."
    try: return ast.parse(code)
    except SyntaxError: return None


def fold_imports(soup, place: Place) -> None:
    "Cells that hold imports only are folded: every lesson needs them and nobody reads them."
    for cell in soup.select("div.cell"):
        tree, block = parsed(code_of(cell)), cell.select_one(".code-copy-outer-scaffold, div.sourceCode")
        if not block or not tree or not tree.body: continue
        if not all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body): continue
        details = soup.new_tag("details", attrs={"class": "imports"})
        block.wrap(details)
        summary = soup.new_tag("summary")
        summary.string = "Imports"
        details.insert(0, summary)


def fold_signatures(soup, place: Place) -> None:
    "The signature of an exported name, with its parameters, folds out under the code that defines it."
    for output in soup.select(".cell-output-markdown"):
        title = output.find("h3", id=True)
        if not title or not (rule := output.find("hr")): continue
        rule.decompose()
        output.name, output["class"] = "details", "api"
        summary = soup.new_tag("summary")
        summary.append(f"Reference: {title.get_text()}")
        output.insert(0, summary)


def is_check(node) -> bool:
    "Whether a statement checks: an assert, or a call of a helper that checks."
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(node, ast.Assert) or (isinstance(call, ast.Call) and getattr(call.func, "id", "") in CHECKS)


def mark_checks(soup, place: Place) -> None:
    "Lines that check look different from lines that teach."
    for code in soup.select("div.cell pre.cell-code code, div.cell pre.sourceCode code"):
        tree, lines = parsed(code.get_text()), code.decode_contents().split("\n")
        if not tree: continue
        for node in reversed(tree.body):
            part = "\n".join(lines[node.lineno - 1:node.end_lineno])
            if not is_check(node) or part.count("<span") != part.count("</span"): continue
            lines[node.lineno - 1:node.end_lineno] = [f'<span class="check">{part}</span>']
        if any('class="check"' in line for line in lines):
            new = BeautifulSoup("\n".join(lines), "html.parser")
            code.clear()
            code.extend(list(new.contents))


def extract_figures(soup, place: Place) -> None:
    "Figures become files with few colours, so that pages stay light; they load when they are scrolled to."
    for image in soup.select('img[src^="data:image/png;base64,"]'):
        data = base64.b64decode(image["src"].split(",", 1)[1])
        name = f"{place.file.stem}_{hashlib.sha256(data).hexdigest()[:10]}.png"
        folder = place.site/"figures"
        folder.mkdir(exist_ok=True)
        with Image.open(io.BytesIO(data)) as picture:
            image["width"], image["height"] = map(str, picture.size)
            if not (folder/name).exists():
                flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
                flat.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(folder/name, optimize=True)
        image["src"], image["loading"] = os.path.relpath(Path("figures")/name, place.folder), "lazy"


# ---- words

@cache
def terms() -> dict[str, str]:
    "The words of the glossary, each with its sentence."
    page = next(path for path in lessons() if plain_name(path.stem) == "glossary")
    text = "\n".join(cell.source for cell in read(page).cells if cell.cell_type == "markdown")
    return dict(re.findall(r"^- \*\*([^*]+)\*\*: (.+)$", text, re.M))


NO_TERMS = ["a", "code", "pre", "h1", "h2", "h3", "details", "math"]         # where no word becomes a link


def anchor(term: str) -> str:
    "The address of a word within the glossary."
    return "word-" + re.sub(r"\W+", "-", term.lower()).strip("-")


def link_terms(soup, place: Place) -> None:
    "A word of the glossary links there where a page first uses it; the glossary itself gets the addresses."
    main, wanted = soup.select_one("main"), dict(terms())
    if place.file.stem == "glossary":
        for item in soup.select("main li"):
            if item.strong and item.strong.get_text() in wanted: item["id"] = anchor(item.strong.get_text())
        return
    if not main or place.notebook is None: return
    target = os.path.relpath("6_reference/glossary.html", place.folder)
    for text in list(main.find_all(string=True)):
        if not text.find_parent(["p", "li"]) or text.find_parent(NO_TERMS): continue
        found = [(m.start(), term, m) for term in wanted
                 if (m := re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", text, 0 if term.isupper() else re.I))]
        if not found: continue
        _, term, match = min(found, key=lambda hit: (hit[0], -len(hit[1])))
        link = soup.new_tag("a", attrs={"class": "term", "href": f"{target}#{anchor(term)}", "title": wanted.pop(term)})
        link.string = match[0]
        before, after = str(text)[:match.start()], str(text)[match.end():]
        text.replace_with(before, link, after)


# ---- widgets

WIDGETS = {"attention": "attention", "sampling": "sampling", "tokenizer": "tokenizer", "objectives": "threshold",
           "optimization": "descent", "monitoring": "drift"}        # page -> its widget in interactive.js


def say_what_a_widget_is(soup, place: Place) -> None:
    "A widget of the notebook needs Python; the page says so where it would stand."
    for output in soup.select(".cell-output pre"):
        if re.match(r"\s*(interactive|[HV]Box|Output|Dropdown|Text(area)?)\(", output.get_text()):
            note = soup.new_tag("p", attrs={"class": "widget-note"})
            note.string = "Here the notebook shows a widget that needs Python: open the lesson with make lab."
            output.replace_with(note)


def add_widget(soup, place: Place) -> None:
    "Before the summary of a lesson stands its widget, in a version that the page runs alone."
    name, end = WIDGETS.get(place.file.stem), soup.select_one("main section#what-we-have-shown")
    if not name or not end: return
    script = os.path.relpath("interactive.js", place.folder)
    end.insert_before(BeautifulSoup(
        f'<section id="try-it-here"><h2>Try it here</h2><div class="interactive" data-widget="{name}"></div>'
        f'<script src="{script}"></script></section>', "html.parser"))


def widget_data(site: Path) -> None:
    "What the widgets show is real: bets of the course's GPT, its tokenizer, probabilities of a stored run."
    import torch

    from llmcourse.data import load_data
    from llmcourse.encoders import probabilities_of, runs_of
    from llmcourse.model import load_checkpoint
    from llmcourse.models import course_gpt
    from llmcourse.preprocessing import clean
    model, tokenizer = load_checkpoint(course_gpt())
    prompt = "The battery"
    with torch.inference_mode(): logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1]
    top = logits.topk(12)
    bets = {"prompt": prompt, "tokens": [tokenizer.decode([i]) for i in top.indices.tolist()],
            "logits": [round(z, 4) for z in top.values.tolist()]}
    said = json.loads((Path(course_gpt())/"tokenizer.json").read_text(encoding="utf-8"))["model"]
    test = clean(load_data("amazon"))[0]["validation"]
    costs = {"probabilities": probabilities_of(runs_of("minilm, seed")[0], "validation")[:, 0].tolist(),
             "negative": [int(label == 0) for label in test["label"]]}
    folder = site/"interactive"
    folder.mkdir(exist_ok=True)
    for name, data in {"sampling": bets, "threshold": costs,
                       "tokenizer": {"vocab": said["vocab"], "merges": said["merges"]}}.items():
        (folder/f"{name}.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


# ---- without eyes, without a mouse

def reachable(soup, place: Place) -> None:
    "Regions have names, what scrolls can be reached by key, ornaments are silent, and one link skips to the text."
    for box in soup.select("pre, .cell-output-display, .cell-output-stdout, math[display=block]"): box["tabindex"] = "0"
    for icon in soup.select("i.bi"):
        icon.attrs.pop("role", None)
        icon["aria-hidden"] = "true"
    names = {"quarto-header": "Top", "quarto-sidebar": "Lessons", "TOC": "On this page"}
    for nav in soup.select("nav"):
        nav["aria-label"] = names.get(nav.get("id")) or {"navbar": "Site", "quarto-secondary-nav": "Menu",
            "page-navigation": "Previous and next", "quarto-page-breadcrumbs": "Where this is"}.get(
            (nav.get("class") or [""])[0], nav.get("aria-label") or "Navigation")
    for box in soup.select(".toc-actions"): box["role"], box["aria-label"] = "complementary", "Source of this page"
    for link in soup.select("a[role=navigation]"): link["role"], link["tabindex"] = "button", "0"
    for head in soup.select("th"):
        if not head.get_text(strip=True): head.name = "td"
    for button in soup.select("button.code-copy-button"): button["aria-label"] = "Copy the code"
    for link in soup.select(".quarto-color-scheme-toggle"): link["aria-label"] = "Light or dark"
    for link in soup.select("a#quarto-back-to-top"): link["href"] = "#title-block-header"
    if soup.body and soup.select_one("main") and not soup.select_one("a.skip"):
        skip = soup.new_tag("a", attrs={"class": "skip", "href": "#quarto-document-content"})
        skip.string = "Skip to the text"
        soup.body.insert(0, skip)
        if soup.select_one("main section#exercises"):
            exercises = soup.new_tag("a", attrs={"class": "skip", "href": "#exercises"})
            exercises.string = "Skip to the exercises"
            skip.insert_after(exercises)
        soup.select_one("main")["id"] = "quarto-document-content"
        soup.select_one("main")["tabindex"] = "-1"


def begin(soup, place: Place) -> None:
    "The front page has one button."
    if place.file.stem != "index": return
    for link in soup.select("main p > strong > a")[:1]: link["class"] = "begin"


def paint_first(soup, place: Place) -> None:
    "Scripts wait until the page is read, so that its text is seen before they are. Quarto orders its own."
    if not soup.select_one('meta[name^="smalldocs"]'): return
    for tag in soup.select("head script[src]"): tag["defer"] = ""


def add_script(soup, place: Place) -> None:
    "The page's own small script: current page in sight, whole words in the search."
    tag = soup.new_tag("script", attrs={"src": os.path.relpath("site.js", place.folder)})
    anchor = soup.select_one('script[src*="smalldocs.js"]')
    if anchor: anchor.insert_before(tag)
    elif soup.body: soup.body.append(tag)


STEPS = (local_links, offline, fold_imports, fold_signatures, mark_checks, extract_figures, link_terms,
         say_what_a_widget_is, add_widget, reachable, begin, add_script, paint_first)


def not_found(site: Path, published: str) -> None:
    "A page for addresses that lead nowhere; its links hold from any depth, since they are whole."
    soup, top = BeautifulSoup((site/"index.html").read_text(encoding="utf-8"), "html.parser"), urlsplit(published).path
    for tag in soup.select("[href], [src]"):
        name = "href" if tag.has_attr("href") else "src"
        if not urlsplit(tag[name]).netloc and not tag[name].startswith("#"): tag[name] = f"{top}{tag[name]}"
    soup.title.string = "Page not found – llmcourse"
    main = soup.select_one("main")
    main.clear()
    main.append(BeautifulSoup(
        '<h1 class="title">This page is not there</h1><p>It may have been renamed. The search at the top finds any '
        f'sentence; <a href="{top}index.html">the front page</a> lists all lessons.</p>', "html.parser"))
    for tag in soup.select("#TOC, .page-navigation"): tag.decompose()
    (site/"404.html").write_text(str(soup), encoding="utf-8")


def number_search(site: Path, titles: dict[str, str]) -> None:
    "The search shows lessons with their numbers."
    path = site/"search.json"
    if not path.exists(): return
    entries = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        entry["title"] = titles.get(Path(entry["href"].split("#")[0]).stem, entry["title"])
    path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")


def finish_site(site: Path, published: str) -> None:
    "Finish all pages in a folder; `published` is the address where the site will be."
    rename_pages(site)
    offline_styles(site)
    write_notebooks(site, published)
    titles, notebooks = numbered_titles(), {plain_name(path.stem): path for path in lessons()}
    for path in sorted(site.rglob("*.html")):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        place = Place(path, site, notebooks.get(path.stem), published)
        for step in STEPS: step(soup, place)
        add_links(soup, place)
        number_titles(soup, place, titles)
        path.write_text(str(soup), encoding="utf-8")
    number_search(site, titles)
    for name in ("site.js", "interactive.js"): (site/name).write_bytes((NBS/name).read_bytes())
    widget_data(site)
    not_found(site, published)
