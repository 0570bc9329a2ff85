"""Sixteen clients over HTTP: our engine with 16 slots beside one text at a time, ours and `transformers.generate`.

Usage: python bench/engine.py [ROUNDS]      3 unless told; about two minutes with the course's own GPT

Three servers run side by side, each a process of its own on one thread, and answer `/v1/completions`: *engine* has 16
slots, *one slot* is the same engine with a single slot, and *transformers* is a plain FastAPI application that calls
`generate` of `transformers` behind a lock, one text at a time. In a round each gets the same load in turn: 16 clients,
each of which asks 4 times for up to 60 tokens after the beginning of a review, greedily, in float32, and sends the next
question when it has the answer. All three must give the same texts. Speed is counted in tokens for each second of work
of the server's process, so that other programs do not count; on a quiet machine a busy server works all the time. The
table has the medians of the rounds, and the median of the ratios within a round. A second load asks the first two for
streams, 16 at once, and measures the same and the time to the first piece, by the clock. Where the system can do it,
the servers have one core to themselves and the clients another.
"""
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from statistics import median

import httpx
import psutil
import torch

from llmcourse.data import load_data
from llmcourse.model import load_checkpoint
from llmcourse.models import course_gpt

CLIENTS, EACH, NEW_TOKENS, PROMPT = 16, 4, 60, 12
KINDS = ("engine", "one slot", "transformers")


def plain_app():
    "A server that writes one text after the other, with the usual library."
    import threading

    from fastapi import FastAPI
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(course_gpt()).eval()
    tokenizer, app, lock = AutoTokenizer.from_pretrained(course_gpt()), FastAPI(), threading.Lock()

    @app.post("/v1/completions")
    def complete(asked: dict):
        ids = torch.tensor([asked["prompt"]])
        with lock, torch.inference_mode():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked["max_tokens"],
                                 do_sample=False, pad_token_id=tokenizer.pad_token_id)[0, ids.shape[1]:].tolist()
        out = [token for token in out if token != tokenizer.eos_token_id]
        return {"choices": [{"text": tokenizer.decode(out)}], "usage": {"completion_tokens": len(out)}}

    return app


def serve(kind: str, port: str) -> None:
    "Run one of the servers until it is ended."
    import uvicorn

    from llmcourse.api import api_app
    from llmcourse.engine import Engine
    torch.set_num_threads(1)
    keep_to(0)
    if kind == "transformers": app = plain_app()
    else: app = api_app({"gpt": Engine(*load_checkpoint(course_gpt()), slots=1 if kind == "one slot" else CLIENTS)})
    uvicorn.run(app, port=int(port), log_level="critical")


@contextlib.contextmanager
def running(kind: str):
    "One of the servers in a process of its own; gives its address and its process."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, __file__, "serve", kind, str(port)],
                             env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"})
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)): break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1/completions", psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait()


def asked(prompt: list[int], **more) -> dict:
    return {"model": "gpt", "prompt": prompt, "max_tokens": NEW_TOKENS, "temperature": 0} | more


def keep_to(*cores: int) -> None:
    "Run this process on these cores, if there are more of them and the system can do it."
    if hasattr(psutil.Process, "cpu_affinity") and (psutil.cpu_count() or 1) > max(cores):
        psutil.Process().cpu_affinity(list(cores))


def work(process: psutil.Process) -> float:
    "Seconds that a process has worked so far."
    return sum(process.cpu_times()[:2])


async def load(address: str, process: psutil.Process, prompts: list[list[int]]) -> tuple[float, list[str]]:
    "Tokens for each second of the server's work, all clients together, and the texts."
    texts, tokens = {}, 0
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=CLIENTS)) as http:
        async def client(number: int):
            nonlocal tokens
            for i in range(number, len(prompts), CLIENTS):
                body = (await http.post(address, json=asked(prompts[i]))).raise_for_status().json()
                texts[i], tokens = body["choices"][0]["text"], tokens + body["usage"]["completion_tokens"]
        before = work(process)
        await asyncio.gather(*map(client, range(CLIENTS)))
        return tokens / (work(process) - before), [texts[i] for i in range(len(prompts))]


async def streams(address: str, process: psutil.Process, prompts: list[list[int]]) -> tuple[float, list[float]]:
    "16 clients ask for a stream at once: tokens for each second of the server's work, and seconds to the first piece."
    tokens = 0
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=CLIENTS)) as http:
        async def client(prompt: list[int]) -> float:
            nonlocal tokens
            started, first = time.perf_counter(), None
            body = asked(prompt, stream=True, stream_options={"include_usage": True})
            async with http.stream("POST", address, json=body) as response:
                async for line in response.aiter_lines():
                    if line and first is None: first = time.perf_counter() - started
                    if '"usage"' in line: tokens += json.loads(line[6:])["usage"]["completion_tokens"]
            return first
        before = work(process)
        waits = sorted(await asyncio.gather(*map(client, prompts[:CLIENTS])))
        return tokens / (work(process) - before), waits


def main(rounds: int = 3) -> None:
    _, tokenizer = load_checkpoint(course_gpt())
    rows = [ids for ids in tokenizer(list(load_data("amazon")["test"]["text"]))["input_ids"] if len(ids) > PROMPT]
    prompts = [ids[:PROMPT - i % 8] for i, ids in enumerate(rows[:CLIENTS * EACH])]
    found, streamed = [], {kind: [] for kind in KINDS[:2]}
    keep_to(1)
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind)) for kind in KINDS}
        for kind in KINDS: asyncio.run(load(*servers[kind], prompts[:CLIENTS]))              # warms up
        for _ in range(rounds):
            results = {kind: asyncio.run(load(*servers[kind], prompts)) for kind in KINDS}
            assert len({tuple(texts) for _, texts in results.values()}) == 1, "not the same texts"
            found.append({kind: speed for kind, (speed, _) in results.items()})
            for kind in streamed: streamed[kind].append(asyncio.run(streams(*servers[kind], prompts)))
    print(f"torch {torch.__version__}, {CLIENTS} clients, each {EACH} texts of up to {NEW_TOKENS} tokens, greedy, "
          f"float32, one thread a server, {rounds} round(s); the texts are equal")
    for kind in KINDS:
        ratio = median(row["engine"] / row[kind] for row in found)
        speed = median(row[kind] for row in found)
        print(f"{kind:13} {speed:7,.0f} tokens/s   the engine writes {ratio:.2f} times as many")
    for kind, rows in streamed.items():
        p50, last = (median(waits[at] for _, waits in rows) for at in (CLIENTS // 2, CLIENTS - 1))
        ratio = median(ours / theirs for (ours, _), (theirs, _) in zip(streamed["engine"], rows))
        speed = median(speed for speed, _ in rows)
        print(f"{kind:13} {speed:7,.0f} tokens/s in streams   the engine writes {ratio:.2f} times as many   first "
              f"piece after {1000 * p50:,.0f} ms (median), {1000 * last:,.0f} ms (last of {CLIENTS})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]: serve(*sys.argv[2:])
    else: main(*map(int, sys.argv[1:2]))
