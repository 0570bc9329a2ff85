"""Our server beside a plain one and LitServe: 32 callers, one text a request, the same checkpoint; then an overload.

Usage: python bench/serving.py [minilm] [ROUNDS]      some three minutes; five rounds unless told

*plain* is what one writes first: FastAPI, a lock, and `transformers.pipeline` on one text at a time. *plain, our
predictor* differs in one line: it calls what ours calls, so that the difference to *ours* is the batching. *monitored*
is ours with the record of each answer in a database. Each server is a process of its own on loopback; where there are
two cores or more, the callers have one to themselves and the servers the others. In a round each server answers the
same requests, in turn, while the rest are stopped by a signal; the table gives medians of the rounds and of the ratios
within a round. The checkpoint has random weights in the shape of the course's GPT, or MiniLM's body with `minilm`.

The overload: five times the requests that a server just answered a second, for eight seconds, whether answers come or
not; beside it, 700 connections that never send a request.
"""
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

CALLERS, REQUESTS, SILENT = 32, 1_500, 700
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LABELS = ["negative", "neutral", "positive"]


def make_checkpoint(folder: Path, minilm: bool) -> Path:
    "A classifier with a head that nobody trained."
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    import llmcourse
    from llmcourse.model import Classifier, load_checkpoint, save_checkpoint
    torch.manual_seed(0)
    if not minilm:
        base, tokenizer = load_checkpoint(Path(llmcourse.__file__).parent/"course_gpt")
        save_checkpoint(Classifier(base.config, LABELS), tokenizer, folder)
        return folder
    from llmcourse.models import package_folder
    source = package_folder()
    config = AutoConfig.from_pretrained(source, num_labels=3, id2label=dict(enumerate(LABELS)),
                                        label2id={name: i for i, name in enumerate(LABELS)})
    BertForSequenceClassification.from_pretrained(source, config=config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def serve_plain(folder: str, port: int, ours: bool = False) -> None:
    import threading

    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel
    from transformers import pipeline

    from llmcourse.serving import Predictor
    class Asked(BaseModel): text: str
    app, lock = FastAPI(), threading.Lock()
    if ours:
        predictor = Predictor(folder)
        judge = lambda text: predictor([text])[0]
    else:
        classify = pipeline("text-classification", folder, top_k=None)
        judge = lambda text: classify(text, truncation=True)

    @app.get("/healthz")
    def health(): return {}

    @app.post("/predict")
    def predict(asked: Asked):
        with lock: return judge(asked.text)
    uvicorn.run(app, port=port, log_level="error")


def serve_ours(folder: str, port: int, monitored: bool = False) -> None:
    import logging

    from llmcourse.monitoring import monitored_app
    from llmcourse.serving import LOG, create_app, run_app
    app = monitored_app(folder, Path(folder).parent/"record.sqlite") if monitored else create_app(folder)
    LOG.addHandler(logging.NullHandler())
    LOG.propagate = False
    run_app(app, port=port)


def serve_litserve(folder: str, port: int) -> None:
    import litserve as ls

    from _litserve import Sentences
    api = Sentences(max_batch_size=32, batch_timeout=0.002, api_path="/predict")
    api.folder = folder
    ls.LitServer(api, accelerator="cpu", healthcheck_path="/healthz").run(
        host="127.0.0.1", port=port, log_level="error", generate_client_file=False)


SERVERS = {"plain": serve_plain, "plain, our predictor": lambda *a: serve_plain(*a, ours=True), "ours": serve_ours,
           "monitored": lambda *a: serve_ours(*a, monitored=True), "LitServe": serve_litserve}


class Connection(asyncio.Protocol):
    "One keep-alive connection that sends requests one after the other. Cheap, so that the callers hold up nobody."
    def __init__(self, port): self.port, self.transport, self.waiter, self.got = port, None, None, b""

    async def ask(self, request: bytes) -> int:
        "The status of the answer. Raises `OSError` if the connection is lost before it."
        loop = asyncio.get_running_loop()
        if self.transport is None:
            self.transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", self.port)
        self.waiter, self.got = loop.create_future(), b""
        self.transport.write(request)
        return await self.waiter

    def data_received(self, data):
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        head = head.lower()
        if not end or len(body) < int(head.partition(b"content-length:")[2].split(b"\r\n")[0]): return
        if b"connection: close" in head: self.close()
        if not self.waiter.done(): self.waiter.set_result(int(head[9:12]))

    def connection_lost(self, error):
        self.transport = None
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(ConnectionError("the connection was lost before the answer"))

    def close(self):
        if self.transport is not None: self.transport.close()
        self.transport = None


async def closed_loop(port: int, requests: list[bytes]) -> tuple[float, np.ndarray]:
    "Answers a second with `CALLERS` callers who each wait for an answer before they ask again; seconds for each."
    left, took = list(requests), []
    async def caller():
        connection = Connection(port)
        while left:
            start, request = time.perf_counter(), left.pop()
            status = await connection.ask(request)
            assert status == 200, f"answered with {status}"
            took.append(time.perf_counter() - start)
        connection.close()
    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(requests) / (time.perf_counter() - start), np.array(took)


async def open_loop(port: int, requests: list[bytes], rate: float, seconds: float) -> dict:
    "Send so many a second, whatever comes back; beside it, ask after its health twenty times a second."
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SILENT)]
    await asyncio.sleep(0.5)
    free, tasks, answers, health, count = [], set(), [], [], 0
    start = time.perf_counter()
    async def one(request):
        connection = free.pop() if free else Connection(port)
        sent = time.perf_counter()
        try: status = await connection.ask(request)
        except OSError: status = 0
        answers.append((status, time.perf_counter() - sent, time.perf_counter() - start))
        free.append(connection)
    async def watch():
        while time.perf_counter() - start < seconds:
            connection, sent = Connection(port), time.perf_counter()       # a new one each time, as a watchdog does
            try: status = await connection.ask(HEALTH)
            except OSError: status = 0
            health.append((status, time.perf_counter() - sent))
            connection.close()
            await asyncio.sleep(0.05)
    watching = asyncio.create_task(watch())
    while (now := time.perf_counter() - start) < seconds:
        while count < now * rate:
            tasks.add(task := asyncio.create_task(one(requests[count % len(requests)])))
            task.add_done_callback(tasks.discard)
            count += 1
        await asyncio.sleep(0.005)
    if tasks: await asyncio.wait(tasks, timeout=60)
    await watching
    for connection in free: connection.close()
    for _, writer in silent: writer.close()
    return {"sent": count, "answers": answers, "health": health}


def requests_for(name: str, texts: list[str]) -> list[bytes]:
    bodies = [json.dumps({"texts": [t]} if name in ("ours", "monitored") else {"text": t}).encode() for t in texts]
    return [f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            "\r\n\r\n".encode() + body for body in bodies]


def stay_on(cores: list[int]) -> None:
    "Run this process, and those that it starts, on these cores. Where a system cannot, all share all."
    if cores and hasattr(os, "sched_setaffinity"): os.sched_setaffinity(0, cores)


def work(pid: int) -> float:
    "Seconds that the cores have worked for a server and its children. Other programs do not count."
    import psutil
    return sum(sum(p.cpu_times()[:2]) for p in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)))


def start(name: str, folder: Path) -> tuple[subprocess.Popen, int]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    running = subprocess.Popen([sys.executable, __file__, "--serve", name, str(folder), str(port)],
                               start_new_session=True, stdout=subprocess.DEVNULL)
    for _ in range(3000):
        try:
            if asyncio.run(Connection(port).ask(HEALTH)) == 200: return running, port
        except OSError: pass
        if running.poll() is not None: break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    raise SystemExit(f"{name} did not start")


def main(minilm: bool, rounds: int) -> None:
    from llmcourse.data import load_data
    texts = [t for t in load_data("amazon")["train"]["text"] if t.strip()]
    texts = [str(t) for t in np.random.default_rng(0).permutation(texts)[:REQUESTS]]
    found, running = {name: [] for name in SERVERS}, {}
    mine, *theirs = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    stay_on(theirs)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder)/"checkpoint", minilm)
        try:
            for name in SERVERS:
                running[name] = start(name, checkpoint)
                asyncio.run(closed_loop(running[name][1], requests_for(name, texts[:200])))       # warms up
                os.killpg(running[name][0].pid, signal.SIGSTOP)
            stay_on([mine])
            for _ in range(rounds):
                for name, (process, port) in running.items():
                    os.killpg(process.pid, signal.SIGCONT)
                    before = work(process.pid)
                    result = asyncio.run(closed_loop(port, requests_for(name, texts)))
                    found[name].append((*result, 1000 * (work(process.pid) - before) / len(texts)))
                    os.killpg(process.pid, signal.SIGSTOP)
            print_table(found, rounds, minilm)
            process, port = running.pop("monitored")
            os.killpg(process.pid, signal.SIGCONT)
            process.terminate()
            process.wait(60)
            print_record(Path(folder)/"record.sqlite", answered=200 + rounds * len(texts))
            for name in ("ours", "LitServe"):
                process, port = running[name]
                os.killpg(process.pid, signal.SIGCONT)
                capacity = median(rate for rate, *_ in found[name])
                said = asyncio.run(open_loop(port, requests_for(name, texts), 5 * capacity, 8))
                print_overload(name, said, capacity)
                time.sleep(1)
                again = time.perf_counter()
                asyncio.run(closed_loop(port, requests_for(name, texts[:CALLERS])))
                print(f"  {CALLERS} requests right after it: all answered within {time.perf_counter() - again:.2f} s")
                os.killpg(process.pid, signal.SIGSTOP)
        finally:
            for process, _ in running.values():
                for way in (signal.SIGCONT, signal.SIGKILL): os.killpg(process.pid, way)


def print_table(found, rounds: int, minilm: bool) -> None:
    shape = "MiniLM" if minilm else "the shape of the course GPT"
    print(f"{shape}, {CALLERS} callers, {REQUESTS} requests of one text, {rounds} rounds, {os.cpu_count()} cores")
    for name, results in found.items():
        ratio = lambda other, i: median(mine[i] / theirs[i] for mine, theirs in zip(results, found[other]))
        p50, p99 = (median(np.percentile(took, q) for _, took, _ in results) * 1000 for q in (50, 99))
        print(f"{name:21} {median(rate for rate, *_ in results):6.0f} a second  p50 {p50:5.0f} ms  p99 {p99:5.0f} ms  "
              f"{ratio('plain', 0):.2f} times plain, {ratio('LitServe', 0):.2f} times LitServe; "
              f"{median(r[2] for r in results):5.2f} ms of a core each, plain {1 / ratio('plain', 2):.2f} times that, "
              f"LitServe {1 / ratio('LitServe', 2):.2f}", flush=True)


def print_record(database: Path, answered: int) -> None:
    import sqlite3
    with sqlite3.connect(database) as rows: recorded, = rows.execute("select count(*) from predictions").fetchone()
    print(f"monitored: {answered} answered, {recorded} recorded")


def print_overload(name: str, said: dict, capacity: float, seconds: float = 8) -> None:
    by = {status: np.array([t for s, t, _ in said["answers"] if s == status]) for status in (200, 503)}
    other = len(said["answers"]) - sum(map(len, by.values()))
    good, no = by[200], by[503]
    in_time = sum(s == 200 and at < seconds for s, _, at in said["answers"])
    health = np.array([t for s, t in said["health"] if s == 200])
    ms = lambda times, q: f"{1000 * np.percentile(times, q):.0f} ms" if len(times) else "-"
    print(f"overload, {name}: {said['sent'] / seconds:.0f} requests a second sent, capacity {capacity:.0f}")
    rate, quick = in_time / seconds, (no < 0.1).mean() if len(no) else 0
    print(f"  answered within the {seconds:.0f} s: {rate:.0f} a second, {rate / capacity:.0%} of capacity; "
          f"p50 {ms(good, 50)}, p99 {ms(good, 99)}")
    print(f"  refused {len(no)}: p50 {ms(no, 50)}, p99 {ms(no, 99)}, within 100 ms: {quick:.0%}; neither answered nor "
          f"refused {said['sent'] - len(good) - len(no)} ({other} with another status or a lost connection)")
    print(f"  /healthz: {len(health)} of {len(said['health'])} answered, p50 {ms(health, 50)}, p99 {ms(health, 99)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]: SERVERS[sys.argv[2]](sys.argv[3], int(sys.argv[4]))
    else: main("minilm" in sys.argv, int(next((a for a in sys.argv[1:] if a.isdigit()), 5)))
