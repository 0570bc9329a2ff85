"""Faults that come over the network: slow and lying clients, hang-ups, too much at once, signals."""
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import tiny_classifier

from llmcourse.serving import Limits, Predictor, create_app, running_server, serve

GOOD = {"texts": ["the screen is lovely"]}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_classifier(tmp_path_factory.mktemp("served")/"model")


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor(folder)


def connect(address):
    where = urlsplit(address)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def read_to_end(connection) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536): parts.append(part)
    except ConnectionError: pass
    return b"".join(parts)


@contextmanager
def held(app):
    "The model of an application waits, from its first batch until the event is set."
    begun, go_on, run = threading.Event(), threading.Event(), app.state.batcher.run
    def wait_first(texts):
        begun.set()
        assert go_on.wait(60)
        return run(texts)
    app.state.batcher.run = wait_first
    try: yield begun, go_on
    finally: go_on.set()


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\nA: b\r\n"])
def test_headers_that_do_not_come_are_given_up(predictor, sent):
    with running_server(create_app(predictor, limits=Limits(header_seconds=0.5))) as address:
        slow = [connect(address) for _ in range(30)]
        for connection in slow: connection.sendall(sent)
        assert httpx.get(f"{address}/healthz").status_code == 200          # they hold up nobody
        said = [read_to_end(connection) for connection in slow]
        for connection in slow: connection.close()
    assert all(b" 408 " in answer for answer in said), said[0]


def test_headers_that_dribble_in_are_given_up(predictor):
    with running_server(create_app(predictor, limits=Limits(header_seconds=0.6))) as address:
        with connect(address) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            for i in range(40):
                try: connection.sendall(f"X-{i}: 1\r\n".encode())
                except OSError: break
                time.sleep(0.1)
            else: pytest.fail("a connection that never finishes its headers stayed open")


def test_headers_without_end_are_refused(predictor):
    with running_server(create_app(predictor)) as address, connect(address) as connection:
        try: connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 400_000)
        except OSError: pass
        said = read_to_end(connection)
        assert not said or said.split()[1] in (b"431", b"400"), said
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_connection_is_kept_between_requests(predictor):
    "The clock of the headers runs only while headers are missing."
    with running_server(create_app(predictor, limits=Limits(header_seconds=0.3))) as address:
        with connect(address) as connection:
            for _ in range(3):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                time.sleep(0.5)


def test_a_body_that_does_not_come_is_given_up(predictor):
    with running_server(create_app(predictor, limits=Limits(body_seconds=0.5))) as address:
        with connect(address) as connection:
            connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
            said = read_to_end(connection)
    assert b" 408 " in said and b"not complete after 0.5 seconds" in said


def test_who_hangs_up_leaves_no_traceback(predictor, caplog):
    app = create_app(predictor)
    with caplog.at_level(logging.INFO), running_server(app) as address, held(app) as (begun, go_on):
        with connect(address) as connection:                               # in the middle of the body
            connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        body = json.dumps(GOOD).encode()
        leaving = [connect(address) for _ in range(5)]                      # while waiting for the answer
        for connection in leaving: connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert begun.wait(20)
        for connection in leaving: connection.close()
        for _ in range(100):
            if app.state.batcher.depth == 0: break
            time.sleep(0.05)
        assert app.state.batcher.depth == 0, "who has gone still waits for the model"
        go_on.set()
        assert httpx.post(f"{address}/predict", json=GOOD, timeout=20).status_code == 200
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR], caplog.text


def test_too_much_is_refused_at_once_and_health_is_not_held_up(predictor):
    app = create_app(predictor, limits=Limits(queue=64, batch=4))
    with running_server(app) as address, held(app) as (begun, go_on), ThreadPoolExecutor(40) as pool:
        with httpx.Client(base_url=address, timeout=60, limits=httpx.Limits(max_connections=60)) as client:
            first = pool.submit(client.post, "/predict", json=GOOD)
            assert begun.wait(20)
            full = [pool.submit(client.post, "/predict", json={"texts": ["fine"] * 2}) for _ in range(32)]
            for _ in range(200):
                if app.state.batcher.depth == 64: break
                time.sleep(0.05)
            refused = client.post("/predict", json=GOOD)                    # answered while the model is held
            assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1, refused.text
            assert client.get("/healthz").json()["waiting"] == 64
            assert client.get("/readyz").json() == {"ready": True, "waiting": 64}
            go_on.set()
            assert [f.result(60).status_code for f in [first, *full]] == [200] * 33


def test_most_refusals_are_made_before_anything_is_read(predictor, caplog):
    app, body = create_app(predictor, limits=Limits(queue=64, batch=4)), json.dumps(GOOD).encode()
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with caplog.at_level(logging.INFO), running_server(app) as address, held(app) as (begun, go_on):
        waiting = [connect(address) for _ in range(2)]
        many = json.dumps({"texts": ["fine"] * 60}).encode()
        waiting[0].sendall(request)
        assert begun.wait(20)
        waiting[1].sendall(HEAD + f"Content-Length: {len(many)}\r\n\r\n".encode() + many)
        with connect(address) as connection:
            for _ in range(200):                                            # the last places
                if app.state.batcher.depth == 64: break
                if app.state.batcher.depth >= 60:
                    waiting.append(connect(address))
                    waiting[-1].sendall(request)
                time.sleep(0.05)
            said = []
            for _ in range(200):
                connection.sendall(request)
                said.append(connection.recv(65536))
            assert {answer.split()[1] for answer in said} == {b"503"}
            assert all(b"retry-after: " in answer and b'"error"' in answer for answer in said), said[-1]
            assert app.state.guard.refused >= 100 and any(b"x-request-id" in answer for answer in said)
            go_on.set()
            for other in waiting: assert other.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(request)                                     # the connection was kept
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for other in waiting: other.close()


def test_idle_connections_past_the_limit_shut_out_nobody(predictor):
    with running_server(create_app(predictor, limits=Limits(connections=10))) as address:
        silent = [connect(address) for _ in range(40)]
        for connection in silent[::2]:
            try: connection.sendall(b"POST /predict HTTP/1.1\r\nHost:")
            except OSError: pass
        time.sleep(0.5)
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert httpx.post(f"{address}/predict", json=GOOD, timeout=20).status_code == 200
        for connection in silent: connection.close()


def test_past_the_limit_of_connections_operators_still_get_answers(predictor):
    app, body = create_app(predictor, limits=Limits(connections=10)), json.dumps(GOOD).encode()
    with running_server(app) as address, held(app) as (begun, go_on):
        busy = [connect(address) for _ in range(10)]
        for connection in busy: connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert begun.wait(20)
        for _ in range(200):
            if app.state.batcher.depth == 9: break
            time.sleep(0.05)
        refused = httpx.post(f"{address}/predict", json=GOOD, timeout=20)
        assert refused.status_code == 503 and "11 connections are open" in refused.json()["error"], refused.text
        assert refused.headers["retry-after"] == "1" and refused.headers["connection"] == "close"
        assert httpx.get(f"{address}/healthz").status_code == 200
        go_on.set()
        assert [connection.recv(65536).split()[1] for connection in busy] == [b"200"] * 10
        for connection in busy: connection.close()


def test_an_answer_that_is_late_is_a_504(predictor):
    app = create_app(predictor, limits=Limits(answer_seconds=0.3))
    with running_server(app) as address, held(app):
        late = httpx.post(f"{address}/predict", json=GOOD, timeout=20)
    assert late.status_code == 504 and "within 0.3 seconds" in late.json()["error"]


def test_a_failing_model_is_a_500_with_an_id(predictor, caplog):
    app = create_app(predictor)
    def fail(texts): raise RuntimeError("the model is broken")
    app.state.batcher.run = fail
    with running_server(app) as address:
        answer = httpx.post(f"{address}/predict", json=GOOD, headers={"X-Request-ID": "abc-1"}, timeout=20)
    assert answer.status_code == 500 and "abc-1" in answer.json()["error"] and answer.headers["x-request-id"] == "abc-1"
    assert "the model is broken" in caplog.text


def test_keys_and_their_rates(predictor):
    app = create_app(predictor, keys={"ann": "secret-1", "bob": "secret-2"}, limits=Limits(per_minute=2))
    with running_server(app) as address, httpx.Client(base_url=address) as client:
        ask = lambda key: client.post("/predict", json=GOOD, headers={"Authorization": f"Bearer {key}"})
        assert client.get("/healthz").status_code == 200
        assert client.post("/predict", json=GOOD).status_code == 401
        assert [ask(k).status_code for k in ("wrong", "secret-1", "secret-1", "secret-1", "secret-2")] == [
            401, 200, 200, 429, 200]
        assert 1 <= int(ask("secret-1").headers["retry-after"]) <= 60


def test_the_log_holds_no_text(predictor, caplog):
    with caplog.at_level(logging.INFO, "llmcourse.serving"), running_server(create_app(predictor)) as address:
        httpx.post(f"{address}/predict", json={"texts": ["call Ann Smith"]})
        httpx.get(f"{address}/ann-smith")
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "llmcourse.serving"]
    assert [(line["path"], line["status"]) for line in lines] == [("/predict", 200), ("other", 404)]
    assert not any("smith" in json.dumps(line).lower() for line in lines)


PROGRAM = """
import sys, threading, time
from llmcourse.serving import Limits, Predictor, create_app, run_app
app = create_app(Predictor(sys.argv[1]), limits=Limits(stop_seconds=int(sys.argv[4]), body_seconds=60))
run = app.state.batcher.run
def slow(texts):
    time.sleep(float(sys.argv[3]))
    return run(texts)
app.state.batcher.run = slow
run_app(app, port=int(sys.argv[2]))
"""


@contextmanager
def process(folder, seconds: float, stop: int = 20):
    "The server as a process of its own, whose model takes so long; once told to stop, it has `stop` seconds."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(port), str(seconds), str(stop)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            try:
                if httpx.get(f"{address}/readyz", timeout=5).status_code == 200: break
            except httpx.TransportError: pass
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.1)
        yield running, address
    finally:
        running.kill()
        running.wait()


def test_what_was_accepted_is_answered_after_sigterm(folder):
    body = json.dumps(GOOD).encode()
    with process(folder, 1.0) as (running, address):
        asked = [connect(address) for _ in range(4)]
        for connection in asked: connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert httpx.get(f"{address}/healthz", timeout=20).status_code == 200      # it has read what came before
        running.send_signal(signal.SIGTERM)
        assert [read_to_end(connection).split(b" ")[1] for connection in asked] == [b"200"] * 4
        assert running.wait(30) == -signal.SIGTERM
        assert "Traceback" not in running.stderr.read()


def test_a_stalled_upload_does_not_hold_the_process(folder):
    with process(folder, 0, stop=2) as (running, address), connect(address) as connection:
        connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == -signal.SIGTERM
        assert "Traceback" not in running.stderr.read()


def test_a_second_sigterm_ends_it(folder):
    with process(folder, 600) as (running, address), ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: httpx.post(f"{address}/predict", json=GOOD, timeout=60))
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("port", [99_999, -1])
def test_a_port_that_does_not_exist(folder, port):
    with pytest.raises(ValueError, match=f"there is no port {port}"): serve(folder, port=port, force=True)


def test_a_port_that_is_taken(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="choose another port"): serve(folder, port=taken.getsockname()[1], force=True)
