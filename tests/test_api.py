"""The API in front of a language model: a small one from the command line, Qwen when asked, the page in a browser."""
import asyncio
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

from llmcourse.api import Served, api_app, swap
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


def test_a_swap_under_streams_fails_no_request(folder):                # noqa: F811
    opened = open_chat(folder)
    first, then = Engine(*opened, slots=3, max_queue=200), Engine(*opened, slots=3, max_queue=200)
    app, done, stop = api_app({"small": first}), [], asyncio.Event()
    async def client(number, openai_client):
        while not stop.is_set():
            if number % 2:
                pieces = [chunk async for chunk in await openai_client.chat.completions.create(
                    model="small", messages=HELLO, max_tokens=40, stream=True)]
                done.append(pieces[-1].choices[0].finish_reason)
            else:
                said = await openai_client.chat.completions.create(model="small", messages=HELLO, max_tokens=40)
                done.append(said.choices[0].finish_reason)
    async def load(address):
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as openai_client:
            clients = [asyncio.create_task(client(number, openai_client)) for number in range(6)]
            while len(done) < 6: await asyncio.sleep(0.02)
            await asyncio.to_thread(swap, app, "small", then)
            wanted = len(done) + 12
            while len(done) < wanted and not any(task.done() for task in clients): await asyncio.sleep(0.02)
            stop.set()
            await asyncio.gather(*clients)                              # raises what any request raised
    with running_server(app) as address: asyncio.run(load(address))
    assert set(done) == {"length"} and not first.running and first.steps > 0 and then.steps > 0


def test_what_is_too_large_is_refused_in_the_form_that_clients_know(folder):    # noqa: F811
    with running_server(api_app({"small": Engine(*open_chat(folder), slots=1)})) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.APIStatusError) as refused:
            client.completions.create(model="small", prompt="a" * 2_100_000)
        for _ in range(3):
            with pytest.raises(openai.NotFoundError): client.completions.create(model=f"no {_}", prompt="a")
        page = httpx.get(f"{address}/metrics").text
    assert refused.value.status_code == 413 and "more than the limit" in refused.value.body["message"]
    assert refused.value.body["type"] == "invalid_request_error" and "no 1" not in page and 'model="small"' in page


def test_adapters_of_one_base_write_in_one_batch_by_name(folder):       # noqa: F811
    import torch
    from peft import LoraConfig, get_peft_model
    model, tokenizer = open_chat(folder, "fp32")
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    shape = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    several = get_peft_model(model, shape, "one")
    several.add_adapter("two", shape)
    engine = Engine(several, tokenizer, slots=6, context=256)
    names = {"base": "", "one": "one", "two": "two"}
    async def ask(address):
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            told = await asyncio.gather(*(client.completions.create(model=name, prompt="Hello", max_tokens=12,
                                                                    temperature=0) for name in [*names] * 2))
        return [answer.choices[0].text for answer in told]
    app = api_app({name: Served(engine, adapter) for name, adapter in names.items()})
    with running_server(app) as address: texts = asyncio.run(ask(address))
    prompt = tokenizer("Hello")["input_ids"]
    alone = [Engine(several, tokenizer, slots=1, context=256).run([Request(prompt, 12, adapter=adapter)])[0].text
             for adapter in names.values()]
    assert texts == alone * 2 and len(set(alone)) == 3


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
