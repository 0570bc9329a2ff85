"""The site in a real browser: readable, within a telephone's width, reachable by key, silent, and on its own host."""
import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_site import site                                              # noqa: F401, the fixture

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("LLMCOURSE_BROWSER") == "required"
pytestmark = pytest.mark.skipif(not BROWSER and not REQUIRED, reason="needs Chromium: apt-get install chromium")
IMPACTS = {"serious", "critical"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="module")
def address(site):                                                      # noqa: F811
    "The site, served on this machine."
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


def names(site: Path) -> list[str]:
    return [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def test_pages_are_quiet_and_stay_on_their_host(site, address, page):   # noqa: F811
    heard = []
    page.on("console", lambda message: heard.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"{page.url}: {error}"))
    page.on("request", lambda r: None if r.url.startswith((address, "data:")) else heard.append(f"{page.url}: {r.url}"))
    for name in names(site): page.goto(address + name)
    assert heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_for_readers_without_eyes_or_mouse(site, address, browser, scheme):   # noqa: F811
    from axe_playwright_python.sync_playwright import Axe
    page, axe, faults = browser.new_page(color_scheme=scheme), Axe(), []
    chosen = names(site) if scheme == "light" else names(site)[::8]
    for name in chosen:
        page.goto(address + name)
        faults += [f"{name}: {v['id']}, {len(v['nodes'])} times, {v['nodes'][0]['html'][:120]}"
                   for v in axe.run(page).response["violations"] if v["impact"] in IMPACTS]
    page.close()
    assert faults == []


def test_pages_fit_a_telephone(site, address, browser):                 # noqa: F811
    page = browser.new_page(viewport={"width": 390, "height": 800})
    too_wide = []
    for name in names(site):
        page.goto(address + name)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390: too_wide.append((name, width))
    page.close()
    assert too_wide == []


def test_by_key_alone(address, page):
    "The first key leads past the sidebar; a folded answer opens; focus can be seen."
    page.goto(address + "1_from_scratch/practice.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#quarto-document-content"
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.questions') !== null"): break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus must be seen"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open"), "a choice opens and tells its reason"


def test_the_second_key_leads_to_the_exercises(address, page):
    page.goto(address + "1_from_scratch/practice.html")
    for key in ("Tab", "Tab", "Enter"): page.keyboard.press(key)
    assert page.evaluate("location.hash") == "#exercises"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('section#exercises') !== null"), "the next key stays there"


@pytest.mark.parametrize("words, wanted", [("byte pair", "tokenizer.html"), ("crawl robots", "crawling.html"),
                                           ("KV cache", "generation.html")])
def test_search_finds_a_sentence(address, page, words, wanted):
    page.goto(address)
    page.click(".sd-search-toggle, #quarto-search button")
    page.locator("#quarto-search input").fill(words)
    page.wait_for_selector(".search-result")
    first = [link.get_attribute("href") for link in page.locator("a.search-result").all()[:6]]
    assert any(wanted in link for link in first), first


def test_tokenizer_of_the_page_is_the_tokenizer_of_the_course(address, page):
    from llmcourse.model import load_checkpoint
    from llmcourse.models import course_gpt
    tokenizer = load_checkpoint(course_gpt())[1]
    page.goto(address + "1_from_scratch/tokenizer.html")
    for text in ("It isn't  good, 24 h!\n", "unputdownable 😀 שלום", "a" * 30):
        page.locator("#tokenizer-text").fill(text)
        said = page.locator(".interactive p[aria-live]").inner_text()
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert said.split("ids: ")[1].split() == [str(i) for i in expected if i != tokenizer.bos_token_id], text


@pytest.mark.parametrize("name, what", [("1_from_scratch/attention", "mean of the four"),
                                        ("1_from_scratch/objectives", "cheapest threshold"),
                                        ("1_from_scratch/optimization", "After 20 steps"),
                                        ("1_from_scratch/monitoring", "stability index")])
def test_widget_of_a_page_answers_to_the_keyboard(address, page, name, what):
    page.goto(f"{address}{name}.html")
    said = page.locator(".interactive p[aria-live]")
    said.wait_for()
    before = said.inner_text()
    page.locator(".interactive input[type=range]").first.focus()
    for _ in range(5): page.keyboard.press("ArrowRight")
    assert what in before and said.inner_text() != before


def test_current_lesson_is_in_sight(address, page):
    page.goto(address + "5_beyond/road.html")
    link = page.locator("#quarto-sidebar a[aria-current]")
    assert link.is_visible() and 0 <= link.bounding_box()["y"] <= 900
    assert link.inner_text().split()[0].isdigit(), "lessons carry their number"


def test_an_address_that_leads_nowhere_has_a_page(site):                # noqa: F811
    text = (site/"404.html").read_text(encoding="utf-8")
    assert "not there" in text and "index.html" in text


@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
def test_the_button_to_begin_is_seen_at_once(address, browser, width, height):
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(address)
    box = page.locator("main a.begin").bounding_box()
    page.close()
    assert box["y"] + box["height"] <= height, "the button lies below what is seen first"


@pytest.mark.parametrize("name", ["index", "1_from_scratch/training", "1_from_scratch/tokenizer"])
def test_little_stands_before_the_first_paint(site, address, page, name):   # noqa: F811
    "What a reader waits for, in bytes, which no busy machine changes: the page, its styles, and no script."
    if "smalldocs" not in (site/"index.html").read_text(encoding="utf-8"): pytest.skip("Quarto orders its own scripts")
    page.goto(f"{address}{name}.html")
    blocking = page.evaluate("""performance.getEntriesByType('resource')
        .filter(r => r.renderBlockingStatus === 'blocking').map(r => [r.initiatorType, r.name, r.decodedBodySize])""")
    assert [found for kind, found, _ in blocking if kind == "script"] == []
    assert (site/f"{name}.html").stat().st_size + sum(size for *_, size in blocking) < 1_500_000


def test_code_keeps_clear_of_its_copy_button(address, page):
    page.goto(address + "1_from_scratch/attention.html")
    assert page.locator(".code-copy-button:visible").count() > 20
    hidden = page.evaluate("""[...document.querySelectorAll('.code-copy-outer-scaffold')].filter(box => {
        const button = box.querySelector('.code-copy-button'), code = box.querySelector('pre code');
        if (!button || !code || !box.offsetHeight) return false;
        const b = button.getBoundingClientRect(), shown = box.querySelector('pre').getBoundingClientRect();
        const range = document.createRange();
        range.selectNodeContents(code);
        return [...range.getClientRects()].some(r => r.width && Math.min(r.right, shown.right) > b.left + 1
                                                && r.top < b.bottom && r.bottom > b.top);
    }).map(box => box.textContent.slice(0, 60))""")
    assert hidden == []
