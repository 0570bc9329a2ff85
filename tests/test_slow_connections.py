"""A thousand clients send a byte now and then while one asks as it should: it is answered, and they are let go."""
import asyncio
import json
import time

import pytest
from conftest import tiny_classifier

from llmcourse.serving import Limits, Predictor, create_app, running_server

SLOW, NORMAL = 1_000, 10
BODY = json.dumps({"texts": ["the screen is lovely"]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WAYS = {"headers": (b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a"),
        "body": (HEAD + b"Content-Length: 500\r\n\r\n{", b" ")}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(tiny_classifier(tmp_path_factory.mktemp("slow")/"model"))


@pytest.fixture(autouse=True)
def room():
    "Both ends of a connection are in this process, and each is an open file."
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * SLOW
    if hard != resource.RLIM_INFINITY and hard < wanted: pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def dribble(port: int, start: bytes, piece: bytes, stop: asyncio.Event) -> bytes:
    "One slow client; gives what the server said before it hung up, or nothing if it was told to stop before."
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(start)
        said = asyncio.ensure_future(reader.read())
        while not said.done() and not stop.is_set():
            if not writer.is_closing(): writer.write(piece)
            await asyncio.wait({said}, timeout=1.0)
        return said.result() if said.done() and not said.exception() else b""
    finally: writer.close()


async def ask(port: int) -> tuple[bytes, float]:
    "The status that a normal client gets, and after how many seconds."
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode() + BODY)
    said = await asyncio.wait_for(reader.read(), 15)
    writer.close()
    return said.split(b" ", 2)[1], time.perf_counter() - began


@pytest.mark.parametrize("way", WAYS)
def test_a_normal_client_is_answered_beside_a_thousand_slow_ones(predictor, way):
    limits = Limits(connections=2 * SLOW, header_seconds=6.0, body_seconds=6.0)
    async def main(port):
        stop = asyncio.Event()
        slow = [asyncio.create_task(dribble(port, *WAYS[way], stop)) for _ in range(SLOW)]
        await asyncio.sleep(0.5)
        answers = [await ask(port)]
        still = sum(not task.done() for task in slow)
        answers += [await ask(port) for _ in range(NORMAL - 1)]
        done, late = await asyncio.wait(slow, timeout=12)
        stop.set()
        return answers, still, [task.result() for task in done], len(late)
    with running_server(create_app(predictor, limits=limits)) as address:
        answers, still, said, late = asyncio.run(main(int(address.rpartition(":")[2])))
    assert {status for status, _ in answers} == {b"200"}
    assert still > 0, "the slow clients were gone before the normal one asked"
    assert late == 0, f"{late} slow clients were never let go"
    told = {answer[:12] for answer in said if answer}       # a byte that crosses the answer resets the connection
    assert told == {b"HTTP/1.1 408"}, told
