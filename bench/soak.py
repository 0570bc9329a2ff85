"""Minutes of mixed traffic against `llmcourse serve --monitor --database`: does memory grow, is every answer recorded?

Usage: python bench/soak.py [MINUTES] [CALLERS]      ten minutes with eight callers unless told

The server is a process of its own on loopback, its record a SQLite file. Callers ask in turn for one text or several,
tell what is true, look at health, metrics and quality, send what is refused, and hang up in the middle. At the end the
rows that were acknowledged must be the rows in the record. The checkpoint has random weights in the shape of the
course's GPT.
"""
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil

from serving import make_checkpoint

TEXTS = ["the screen is lovely", "it broke in a week", "the battery lasts and lasts", "write to me, ann@shop.org"]
KINDS = {"predict": 10, "several": 3, "feedback": 3, "healthz": 2, "metrics": 1, "quality": 0.2, "refused": 1,
         "hang up": 1}


def request(method: str, path: str, body: bytes = b"", user: int = 0) -> bytes:
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-User-Id: user {user}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body


class Traffic:
    "What the callers sent, and what they were told."
    def __init__(self, port: int):
        self.port, self.acknowledged, self.statuses, self.errors, self.cut = port, set(), Counter(), Counter(), 0

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body
        finally: writer.close()

    async def hang_up(self, sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent[:random.randrange(1, len(sent))])
        await writer.drain()
        writer.close()
        self.cut += 1

    async def one(self, kind: str) -> None:
        texts = random.choices(TEXTS, k=random.randint(2, 8) if kind == "several" else 1)
        asked = request("POST", "/predict", json.dumps({"texts": texts}).encode(), random.randrange(200))
        if kind == "hang up": return await self.hang_up(asked)
        if kind == "refused": asked = request("POST", "/predict", random.choice([b"{", b"[]", b'{"texts": []}']))
        elif kind == "feedback":
            id = random.choice(list(self.acknowledged)[-100:] or ["none"])
            said = random.choice(["negative", "neutral", "positive"])
            asked = request("POST", "/feedback", json.dumps({"id": id, "label": said}).encode())
        elif kind in ("healthz", "metrics", "quality"): asked = request("GET", f"/{kind}")
        status, body = await self.ask(asked)
        self.statuses[kind, status] += 1
        if kind in ("predict", "several") and status == 200: self.acknowledged.update(json.loads(body)["ids"] or ())

    async def caller(self, end: float) -> None:
        while time.monotonic() < end:
            kind, = random.choices(list(KINDS), list(KINDS.values()))
            try: await self.one(kind)
            except Exception as error: self.errors[kind, type(error).__name__] += 1
            await asyncio.sleep(0.02)


async def watch(process: psutil.Process, traffic: Traffic, start: float, end: float) -> list[float]:
    "Megabytes of memory at the start, in the middle and at the end, each the largest of a tenth of the time."
    found = []
    while (now := time.monotonic()) < end:
        found.append(((now - start) / (end - start), process.memory_info().rss / 1e6))
        await asyncio.sleep(1)
    parts = [(0.05, 0.15), (0.45, 0.55), (0.9, 1.0)]        # the first twentieth loads what is loaded once
    return [max((rss for at, rss in found if low <= at <= high), default=float("nan")) for low, high in parts]


async def drive(port: int, server: subprocess.Popen, minutes: float, callers: int) -> tuple[Traffic, list[float]]:
    traffic, start = Traffic(port), time.monotonic()
    end = start + 60 * minutes
    memory, *_ = await asyncio.gather(watch(psutil.Process(server.pid), traffic, start, end),
                                      *(traffic.caller(end) for _ in range(callers)))
    return traffic, memory


def main(minutes: float = 10, callers: int = 8) -> None:
    from llmcourse.record import Recorder
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        place, database = make_checkpoint(Path(folder)/"checkpoint", False), Path(folder)/"record.db"
        command = [sys.executable, "-m", "llmcourse", "serve", str(place), "--force", "--monitor", "--database",
                   str(database), "--port", "0"]
        with open(Path(folder)/"log", "wb") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            address = next(line for line in server.stdout if "listening" in line).split(";")[0]
            traffic, memory = asyncio.run(drive(int(address.rpartition(":")[2]), server, minutes, callers))
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally: server.kill()
        trouble = [line for line in (Path(folder)/"log").read_text().splitlines() if not line.startswith("{")]
        with closing(Recorder(database)) as recorder: stored = {row["id"] for row in recorder.rows()}
    report(minutes, callers, traffic, memory, stored, trouble)


def report(minutes: float, callers: int, traffic: Traffic, memory: list[float], stored: set, trouble: list) -> None:
    sent = sum(traffic.statuses.values()) + sum(traffic.errors.values()) + traffic.cut
    print(f"{minutes:g} minutes, {callers} callers, {os.cpu_count()} cores: {sent:,} requests, {traffic.cut:,} of them "
          "cut off by the client")
    for (kind, status), count in sorted(traffic.statuses.items()): print(f"  {kind:9} {status}  {count:7,}")
    first, middle, last = memory
    print(f"memory of the server: {first:.0f} MB at first, {middle:.0f} in the middle, {last:.0f} at the end "
          f"({last / first:.2f} times the first)")
    lost = traffic.acknowledged - stored
    print(f"rows acknowledged {len(traffic.acknowledged):,}, stored {len(stored):,}; lost {len(lost)}, stored for "
          f"clients that had gone {len(stored - traffic.acknowledged)}")
    wrong = sum(count for (_, status), count in traffic.statuses.items() if status >= 500)
    print(f"errors: {wrong} answers of 500 and more, {sum(traffic.errors.values())} without an answer "
          f"{dict(traffic.errors) or ''}; lines in the log that are no log lines: {len(trouble)}")
    for line in trouble[:5]: print("  ", line[:150])
    if lost or wrong or traffic.errors: raise SystemExit(1)


if __name__ == "__main__": main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
