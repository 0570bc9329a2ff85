"""A replica is killed under load: what do clients notice, with nginx as delivered, without retries, without nginx?

Usage: python experiments/capacity.py [--out FILE]      some two minutes; a run that was begun goes on

Two replicas (deploy/replica.py) with a classifier of the shape of the course's GPT run as processes on loopback,
nginx from the system before them. Clients send requests of eight texts at a steady rate, whether answers come or not.
Half-way one replica hangs (SIGSTOP), as one does that runs out of memory, and half a second later it is killed
(SIGKILL). A request failed if it got another status than 200, or none.
"""
import argparse
import asyncio
import contextlib
import importlib
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from _store import MEASURED, rows_begun, write

ROOT = Path(__file__).resolve().parent.parent
WAYS = ("as delivered", "no retry", "no balancer")
SETTINGS = {"rate": 12, "seconds": 8, "texts_a_request": 8, "hangs_seconds": 0.5}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(address: str, alive, seconds: float = 300) -> None:
    "Until the address answers. Raises `RuntimeError` if what should answer is not alive, or nothing comes."
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(address, timeout=5).is_success: return
        time.sleep(0.1)
    raise RuntimeError(f"{address} does not answer; it {'is slow' if alive() else 'has ended'}")


def serve(told: dict, log: Path) -> None:
    "What a replica's process does: deploy/replica.py in this environment, what it says in a file."
    import torch
    os.environ |= told
    torch.set_num_threads(1)
    with open(log, "w") as file:
        for stream in (1, 2): os.dup2(file.fileno(), stream)
    runpy.run_path(str(ROOT/"deploy"/"replica.py"), run_name="__main__")


@contextlib.contextmanager
def replicas(checkpoint: Path, folder: Path, count: int = 2):
    """Replicas as processes, each with a record of its own: pairs of process and port.

    They are forked from this process, which has opened the libraries, so that they start at once."""
    importlib.import_module("llmcourse.monitoring")
    fork, started = multiprocessing.get_context("fork"), []
    try:
        for i in range(count):
            port = free_port()
            told = {"LLMCOURSE_MODEL": str(checkpoint), "LLMCOURSE_DATABASE": str(folder/f"record-{i}.db"),
                    "LLMCOURSE_HOST": "127.0.0.1", "LLMCOURSE_PORT": str(port), "LLMCOURSE_FORCE": "1"}
            started.append((fork.Process(target=serve, args=(told, folder/f"replica-{i}.log")), port))
            started[-1][0].start()
        for process, port in started: wait_for(f"http://127.0.0.1:{port}/readyz", process.is_alive)
        yield started
    finally:
        for process, _ in started:
            process.kill()
            process.join()


@contextlib.contextmanager
def balancer(config: str, ports: list[int], folder: Path):
    "nginx with this configuration before replicas of this machine; its address."
    from llmcourse.capacity import local_nginx
    port, file = free_port(), folder/"nginx.conf"
    file.write_text(local_nginx(config, port, ports, str(folder)))
    with open(folder/"nginx.log", "w") as log:
        running = subprocess.Popen(["nginx", "-c", file, "-e", folder/"start.log", "-g", "daemon off;"], stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/balancer", lambda: running.poll() is None)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGQUIT)
        try: running.wait(10)
        except subprocess.TimeoutExpired: running.kill()


async def load(addresses: list[str], victim, texts: list[str]) -> list[tuple]:
    "Requests to the addresses in turn: seconds from the kill at which each was sent, its status (0: none), how long."
    rate, seconds = SETTINGS["rate"], SETTINGS["seconds"]
    async with httpx.AsyncClient(timeout=30) as client:
        begin = time.perf_counter()
        async def one(i):
            await asyncio.sleep(max(0, begin + i / rate - time.perf_counter()))
            sent = time.perf_counter() - begin
            address = f"{addresses[i % len(addresses)]}/predict"
            try: status = (await client.post(address, json={"texts": texts})).status_code
            except httpx.HTTPError: status = 0
            return sent, status, time.perf_counter() - begin - sent
        async def kill():
            await asyncio.sleep(seconds / 2)
            os.kill(victim.pid, signal.SIGSTOP)
            await asyncio.sleep(SETTINGS["hangs_seconds"])
            victim.kill()
            return time.perf_counter() - begin
        *answers, at = await asyncio.gather(*(one(i) for i in range(int(rate * seconds))), kill())
        return [(sent - at, status, took) for sent, status, took in answers]


def make_checkpoint(folder: Path) -> Path:
    import torch

    import llmcourse
    from llmcourse.data import LABELS
    from llmcourse.model import Classifier, load_checkpoint, save_checkpoint
    base, tokenizer = load_checkpoint(Path(llmcourse.__file__).parent/"course_gpt")
    torch.manual_seed(0)
    save_checkpoint(Classifier.from_language_model(base, LABELS), tokenizer, folder)
    return folder


def measure(way: str, seed: int, checkpoint: Path, texts: list[str]) -> dict:
    config = (ROOT/"deploy"/"nginx.conf").read_text(encoding="utf-8")
    if way == "no retry": config = config.replace("error timeout non_idempotent;", "error timeout;")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(replicas(checkpoint, folder))
        ports = [port for _, port in running]
        direct = [f"http://127.0.0.1:{port}" for port in ports]
        addresses = direct if way == "no balancer" else [stack.enter_context(balancer(config, ports, folder))]
        for address in direct: httpx.post(f"{address}/predict", json={"texts": texts}, timeout=60).raise_for_status()
        answers = asyncio.run(load(addresses, running[seed % 2][0], texts))
        log = folder/"nginx.log"
        said = log.read_text() if log.exists() else ""
    bad = [at for at, status, _ in answers if status != 200]
    return {"way": way, "seed": seed, "sent": len(answers), "failed": len(bad),
            "failures until s": round(max(bad, default=0), 1),
            "slowest s": round(max(took for _, status, took in answers if status == 200), 2),
            "transcript": transcript(answers, said, ports)}


def transcript(answers: list[tuple], log: str, ports: list[int]) -> str:
    "What clients saw by the second, and what nginx wrote, without ports and times that differ each time."
    counts = sorted(Counter((int(at // 1), status) for at, status, _ in answers).items())
    seen = [f"  {second:+d} s: {count:2} x {status or 'no answer'}" for (second, status), count in counts]
    told = re.findall(r"\] \S+ (?:\*\d+ )?(.*?), client.*?upstream: \"http://127.0.0.1:(\d+)", log)
    told = Counter(f"  {what}, replica-{ports.index(int(port)) + 1}" for what, port in told if int(port) in ports)
    lines = [f"{line} ({count} x)" for line, count in told.items()]
    return "\n".join(["requests by the second from the kill, with their status:", *seen, "nginx wrote:", *lines])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=MEASURED/"capacity.json")
    out = parser.parse_args().out
    if not shutil.which("nginx"): parser.error("nginx is not installed: apt-get install nginx")
    from llmcourse.data import load_data
    from llmcourse.training import provenance
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().partition("/")[2]
    rows = rows_begun(out, SETTINGS, parser)
    texts = [text for text in load_data("amazon")["train"]["text"] if text.strip()][:SETTINGS["texts_a_request"]]
    about = provenance("python experiments/capacity.py", [0, 1, 2], nginx=version, precision="fp32", **SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder)/"checkpoint")
        for seed in (0, 1, 2):
            for way in WAYS:
                if any(row["way"] == way and row["seed"] == seed for row in rows): continue
                rows.append(measure(way, seed, checkpoint, texts))
                print({key: value for key, value in rows[-1].items() if key != "transcript"}, flush=True)
                write(out, {"about": about, "rows": rows})


if __name__ == "__main__": main()
