"""The page of the four uses, in a real browser against a real server: each use is driven, by key too, and looked at."""
import io

import httpx
import pandas as pd
import pytest
import schemathesis
from conftest import tiny_classifier
from hypothesis import given
from schemathesis import GenerationMode
from test_browser import BROWSER, REQUIRED
from test_browser import browser                                        # noqa: F401, the fixture
from test_openapi import PROMISES, bounded

from llmcourse.applications import applications_app, deciding_words, save_table
from llmcourse.practice import difference
from llmcourse.pretrained import course_gpt
from llmcourse.serving import Predictor, running_server

needs_browser = pytest.mark.skipif(not BROWSER and not REQUIRED, reason="needs Chromium: apt-get install chromium")
MIXED = "I love the screen, but the battery is dead after a week."


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return tiny_classifier(tmp_path_factory.mktemp("uses")/"classifier")


@pytest.fixture(scope="module")
def app(classifier): return applications_app(course_gpt(), classifier)


@pytest.fixture(scope="module")
def address(app):
    with running_server(app) as found: yield found


@pytest.fixture(params=[("light", 1280), ("dark", 360)], ids=["wide and light", "narrow and dark"])
def page(request, browser, address):                                    # noqa: F811
    "The page, and what must stay empty at its end: messages of the console, errors, other hosts."
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True)
    page, heard = context.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((address, "blob:")) else heard.append(r.url))
    page.heard = heard
    page.goto(address)
    yield page
    context.close()


def looks_well(page) -> None:
    "No finding of axe, of any weight; nothing wider than the screen."
    from axe_playwright_python.sync_playwright import Axe
    found = [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def said(page, name: str) -> str:
    "What the live region of a panel says once the server has answered."
    page.wait_for_function(f"""() => {{
        const panel = document.getElementById('{name}'), state = panel.querySelector('.state');
        const wrong = panel.querySelector('[role=alert]');
        return !state.classList.contains('busy') && (state.textContent || wrong.textContent);
    }}""", timeout=60_000)
    return page.inner_text(f"#{name} .state")


@needs_browser
def test_it_writes_what_the_server_writes(page, address):
    page.fill("#prompt", "the battery")
    page.press("#prompt", "Control+Enter")
    assert said(page, "write") == "written with seed 0"
    expected = httpx.post(f"{address}/generate", json={"prompt": "the battery"}, timeout=60).json()
    assert page.inner_text("#write .paper").split() == expected["text"].split()
    assert expected["model"] in page.inner_text("#write .answer")
    page.click("#another")
    page.wait_for_function("document.querySelector('#write .state').textContent === 'written with seed 1'")
    looks_well(page)
    assert page.heard == []


@needs_browser
def test_it_shortens(page, address):
    page.click("#tab-shorten")
    page.click("#shorten .tries button")
    assert said(page, "shorten").endswith("words kept")
    text = page.input_value("#long")
    expected = httpx.post(f"{address}/summarize", json={"text": text, "sentences": 2}, timeout=60).json()["sentences"]
    assert page.locator("#shorten .kept li").all_inner_texts() == expected
    looks_well(page)
    assert page.heard == []


@needs_browser
def test_it_classifies_and_shows_which_words_decided(page, address):
    page.click("#tab-classify")
    page.fill("#sentence", MIXED)
    page.click("#classify .go")
    expected = httpx.post(f"{address}/explain", json={"texts": [MIXED]}, timeout=60).json()
    assert said(page, "classify").startswith(expected["label"])
    strongest = max(expected["parts"], key=lambda part: abs(part["effect"]))
    kind, sign = ("for", "+") if strongest["effect"] > 0 else ("against", "−")
    marks = page.locator(f"#classify .words mark.{kind}").all_inner_texts()
    assert strongest["text"] + sign in ["".join(mark.split()) for mark in marks], "a sign beside the colour"
    first = page.locator("#classify tbody tr").first.locator("th, td").all_inner_texts()
    assert first == [strongest["text"], f"{100 * strongest['without']:.0f} %", kind], "and a table says it in words"
    styles = {kind: page.evaluate(f"getComputedStyle(document.querySelector('#classify .key .{kind}'))"
                                  ".borderBottomStyle") for kind in ("for", "against")}
    assert styles == {"for": "solid", "against": "dashed"}
    looks_well(page)
    assert page.heard == []


@needs_browser
def test_it_reads_what_is_dropped_and_gives_a_table(page, address):
    page.click("#tab-documents")
    files = {"good.txt": b"The screen is lovely. It broke in a week, I am sad.", "empty.txt": b""}
    page.set_input_files("#files", [{"name": name, "mimeType": "text/plain", "buffer": content}
                                    for name, content in files.items()])
    assert said(page, "documents") == "2 files, 1 with a problem"
    assert page.inner_text("#documents [role=alert]").startswith("empty.txt: "), "and the reason is heard"
    page.evaluate("""() => {
        const data = new DataTransfer();
        data.items.add(new File(["<p>=HYPERLINK is what I \\"bought\\". It works, and I like it.</p>"], "a, b.html"));
        for (const name of ["dragenter", "dragover", "drop"])
            document.getElementById("drop").dispatchEvent(new DragEvent(name, {dataTransfer: data, bubbles: true,
                                                                               cancelable: true}));
    }""")
    page.wait_for_function("document.querySelector('#documents .state').textContent === '3 files, 1 with a problem'",
                           timeout=60_000)
    assert [cell.split("\n")[0] for cell in page.locator("#documents tbody th").all_inner_texts()] == [
        "good.txt", "empty.txt", "a, b.html"]
    with page.expect_download() as waiting: page.click("#save")
    table = pd.read_csv(waiting.value.path(), keep_default_na=False)
    assert waiting.value.suggested_filename == "documents.csv"
    assert list(table.file) == ["good.txt", "empty.txt", "a, b.html"]
    assert table.key_sentences[2].startswith("'=HYPERLINK"), "no cell is computed by a spreadsheet"
    looks_well(page)
    page.click("#clear")
    assert page.locator("#documents table").count() == 0
    assert page.heard == []


def test_the_table_of_the_browser_is_the_table_of_the_package(browser, address, tmp_path):    # noqa: F811
    if not BROWSER and not REQUIRED: pytest.skip("needs Chromium: apt-get install chromium")
    rows = [{"file": f"{i}.txt", "key_sentences": text, "problem": None, "masked": i} for i, text in enumerate(
        ["fine", "=1+1", " @home", "-5 is cold", 'he said "no", twice', "two\nlines", "größer"])]
    page = browser.new_page()
    page.goto(address)
    written = page.evaluate("found => { rows = found; return csv(); }", rows)
    page.close()
    ours = pd.read_csv(io.StringIO(written), keep_default_na=False)
    theirs = pd.read_csv(save_table(pd.DataFrame(rows, columns=list(ours)), tmp_path/"t.csv"), keep_default_na=False)
    pd.testing.assert_frame_equal(ours, theirs)


@needs_browser
def test_the_sentence_of_a_refusal_is_shown_as_it_is(page, address):
    page.click("#tab-classify")
    page.fill("#sentence", "a" * 10_001)
    page.click("#classify .go")
    assert said(page, "classify") == ""
    refused = httpx.post(f"{address}/explain", json={"texts": ["a" * 10_001]}).json()["error"]
    assert page.inner_text("#classify .wrong").endswith(refused) and "10,000" in refused
    looks_well(page)
    assert [message for message in page.heard if "422" not in message] == [], "the browser itself reports the status"


@needs_browser
def test_by_key_alone(page):
    page.keyboard.press("Tab")
    for key, name in (("ArrowRight", "shorten"), ("ArrowRight", "classify"), ("End", "documents"), ("Home", "write"),
                      ("ArrowLeft", "documents"), ("ArrowLeft", "classify")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == name
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus must be seen"
    page.keyboard.press("Tab")
    page.keyboard.type(MIXED)
    for _ in range(4): page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "%" in said(page, "classify")
    page.reload()
    assert page.locator("[role=tabpanel]:visible").get_attribute("id") == "classify", "the address remembers the use"


@needs_browser
def test_text_is_never_taken_for_markup(page):
    page.click("#tab-classify")
    page.fill("#sentence", "<img src=x onerror=alert(1)> & <b>bold</b>")
    page.click("#classify .go")
    said(page, "classify")
    assert page.locator("#classify .answer img, #classify .answer b").count() == 0
    assert "<b>bold</b>" in page.inner_text("#classify .words")
    assert page.heard == []


def test_an_explanation_is_what_the_function_gives(address, classifier):
    found = httpx.post(f"{address}/explain", json={"texts": [MIXED]}, timeout=60).json()
    predictor = Predictor(classifier)
    assert not difference(found, {"model": predictor.fingerprint} | deciding_words(predictor, MIXED), 1e-4)


@pytest.mark.parametrize("text, rows", [("good", 1), ("\u200b good", 1), ("it broke", 3), ("word " * 63, 64),
                                        ("word " * 64, 33), ("w " * 5_000, 64)])
def test_no_text_costs_more_than_the_budget(address, text, rows):
    found = httpx.post(f"{address}/explain", json={"texts": [text]}, timeout=60).json()
    assert found["rows"] == rows and len(found["parts"]) == max(1, rows - 1)
    assert " ".join(part["text"] for part in found["parts"]).split() == text.replace("\u200b", "").split()
    if rows == 1: assert found["parts"] == [{"text": "good", "effect": None, "without": None}]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_described(app, mode):
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = next(found.ok() for found in described.get_all_operations() if found.ok().path == "/explain")
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case): case.call_and_validate(checks=PROMISES)
    asked()
