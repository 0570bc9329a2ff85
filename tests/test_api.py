"""The API in front of a language model: a small one from the command line, Qwen when asked, the page in a browser."""
import json
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import openai
import pytest
from conftest import ROOT, needs
from test_browser import BROWSER, IMPACTS, REQUIRED
from test_browser import browser                                        # noqa: F401, the fixture
from test_chat import folder                                            # noqa: F401, the fixture

from llmcourse.api import Served, api_app
from llmcourse.chat import open_chat, write_ids
from llmcourse.engine import Engine, Request
from llmcourse.sampling import GREEDY, Sampling
from llmcourse.serving import running_server

HELLO = [{"role": "user", "content": "Hello"}]


def until(happens, seconds: float = 10) -> bool:
    "Whether something comes true in time."
    end = time.monotonic() + seconds
    while not happens() and time.monotonic() < end: time.sleep(0.05)
    return happens()


@pytest.fixture
def program(folder):                                                    # noqa: F811
    "`llmcourse api` on a free port, with a key; gives its address and its process."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from llmcourse.cli import main; main()", "api", folder, "--port", str(port),
               "--slots", "4", "--key", "one", "--key", "two"]
    child = subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    def answers():
        assert child.poll() is None, child.stdout.read()
        try: return httpx.get(f"{address}/healthz").status_code == 200
        except httpx.HTTPError: return False
    try:
        assert until(answers, 90), "it did not answer in time"
        yield address, child
    finally:
        child.kill()
        child.wait()


def test_the_program_serves_the_public_client_and_ends_when_asked(program):
    address, child = program
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="two", max_retries=0)
    name = client.models.list().data[0].id
    stream = client.chat.completions.create(model=name, messages=HELLO, max_tokens=30, seed=3, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    whole = client.chat.completions.create(model=name, messages=HELLO, max_tokens=30, seed=3)
    assert "".join(pieces) == whole.choices[0].message.content and len(pieces) > 10
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{address}/v1", api_key="three", max_retries=0).models.list()
    child.send_signal(signal.SIGTERM)
    child.wait(timeout=20)
    assert "Traceback" not in child.stdout.read()


def test_clients_that_hang_up_leave_nothing_behind(program):
    address, child = program
    headers, name = {"authorization": "Bearer one"}, "tiny_chat"
    body = {"model": name, "messages": HELLO, "max_tokens": 1500, "n": 2}
    for number in range(12):
        if number % 2:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers, timeout=0.15)
        else:
            with httpx.stream("POST", f"{address}/v1/chat/completions", json=body | {"stream": True},
                              headers=headers) as response: next(response.iter_lines())
    def idle():
        found = httpx.get(f"{address}/healthz").json()["models"][name]
        return found["writing"] + found["waiting"] == 0
    assert until(idle, 5)
    child.send_signal(signal.SIGTERM)
    child.wait(timeout=20)
    assert "Traceback" not in child.stdout.read()


@needs("qwen")
def test_qwen_writes_in_a_crowd_what_it_writes_alone():
    model, tokenizer = open_chat("qwen", "fp32")
    asked = ["Name three colours.", "What is 2 + 3?", "Write one sentence about the sea."]
    ways = [GREEDY, Sampling(0.7, top_p=0.8), GREEDY]
    engine = Engine(model, tokenizer, slots=2, context=256, budget=16)
    prompts = [engine_tokens(tokenizer, text) for text in asked]
    requests = [Request(ids, 12, way, seed=i) for i, (ids, way) in enumerate(zip(prompts, ways))]
    crowd = [ticket.tokens for ticket in engine.run(requests)]
    assert crowd == [list(write_ids(model, r.prompt, 12, r.sampling, r.seed, engine.ends)) for r in requests]
    schema = {"type": "object", "properties": {"label": {"enum": ["negative", "positive"]}}}
    with running_server(api_app({"qwen": Served(engine)})) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", timeout=300)
        said = client.chat.completions.create(
            model="qwen", temperature=0, messages=[{"role": "user", "content": "Is this review negative or positive? "
                                                    "It broke on the first day and nobody answers my letters."}],
            response_format={"type": "json_schema", "json_schema": {"name": "review", "schema": schema}})
    assert json.loads(said.choices[0].message.content) == {"label": "negative"}


def engine_tokens(tokenizer, text: str) -> list[int]:
    "A question in the model's template."
    return list(tokenizer.apply_chat_template([{"role": "user", "content": text}],
                                              add_generation_prompt=True)["input_ids"])


@pytest.fixture(scope="module")
def served(folder):                                                     # noqa: F811
    "The small model behind the API, in this process, slowly enough to be stopped."
    engine = Engine(*open_chat(folder), slots=2, context=2048)
    read = engine.read
    def slowly(ids, rows):
        time.sleep(0.01)
        return read(ids, rows)
    engine.read = slowly
    with running_server(api_app({"small": engine})) as address: yield address


@pytest.mark.skipif(not BROWSER and not REQUIRED, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 360)])
def test_page_answers_by_keyboard_at_any_width(served, browser, scheme, width):    # noqa: F811
    from axe_playwright_python.sync_playwright import Axe
    context = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page, heard = context.new_page(), []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(served) else heard.append(r.url))
    page.goto(served)
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('state').textContent.includes('written')", timeout=60_000)
    assert len(page.inner_text("#log p.model span")) > 20
    assert re.search(r"200 written", page.inner_text("#state"))
    page.click("summary")
    page.fill("#tokens", "4000")
    page.keyboard.press("Escape")
    page.fill("#say", "And now?")
    page.press("#say", "Enter")
    page.wait_for_function("document.querySelectorAll('#log p.model span')[1]?.textContent.length > 5", timeout=60_000)
    page.keyboard.press("Escape")
    page.wait_for_function("document.getElementById('state').textContent === 'stopped'", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    found = [violation["id"] for violation in Axe().run(page).response["violations"] if violation["impact"] in IMPACTS]
    context.close()
    assert (heard, found) == ([], [])
