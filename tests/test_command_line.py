"""The verbs that deploy: what each option does, which options contradict each other, what each error says, signals."""
import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import fields

import httpx
import pytest
from conftest import ROOT, tiny_classifier
from fastapi.testclient import TestClient

from llmcourse import cli
from llmcourse.record import Recorder
from llmcourse.serving import Limits

KEYS = "# who may ask\nann 0123456789abcdef\nben fedcba9876543210\n"
GOOD = {"texts": ["the screen is lovely"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_classifier(tmp_path_factory.mktemp("served")/"checkpoint")


@pytest.fixture(scope="module")
def candidate(folder, tmp_path_factory):
    return shutil.copytree(folder, tmp_path_factory.mktemp("candidate")/"checkpoint")


@pytest.fixture
def call(monkeypatch, capsys):
    "Run the program in this process; gives its exit code, what it printed and what it complained of."
    def called(*words):
        monkeypatch.setattr(sys, "argv", ["llmcourse", *map(str, words)])
        with pytest.raises(SystemExit) as ended: cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err
    return called


@pytest.fixture
def served(call, monkeypatch):
    "The application that `llmcourse serve` with these options would run."
    def application(*words):
        found = []
        monkeypatch.setattr("llmcourse.serving.run_app", lambda app, host, port: found.append(app))
        code, out, err = call("serve", *words, "--port", 0)
        assert code == 0, err
        return found[0]
    return application


@pytest.fixture
def keys(tmp_path):
    path = tmp_path/"keys.txt"
    path.write_text(KEYS)
    path.chmod(0o600)
    return path


@pytest.fixture
def record(tmp_path):
    "A record of six predictions of two senders, one with feedback."
    path = tmp_path/"record.db"
    said = {"label": "neutral", "probabilities": {"neutral": 1.0}, "truncated": False}
    with closing(Recorder(path)) as recorder:
        ids = [recorder.record([f"=text {i}\x1b[31m, mail ann@shop.org"], {"model": "m", "predictions": [said]},
                               sender=("ann", "ben")[i % 2])[0] for i in range(6)]
        recorder.tell(ids[0], "negative")
    return path, ids


def test_every_limit_is_an_option_and_its_help_tells_the_default():
    given = re.findall(r"(\w+)=(\w+)", re.search(r"bounds = _given\((.*?)\)\n", open(cli.__file__).read(), re.S)[1])
    assert {field for field, _ in given} == {field.name for field in fields(Limits)}
    options = {field: cli.serve.__annotations__[option] for field, option in given}
    for field in fields(Limits):
        told = eval(options[field.name], vars(cli)).__metadata__[0].show_default
        if field.default is not None: assert float(told) == field.default, field.name


@pytest.mark.parametrize("words, says", [
    (["--port", 99_999], "there is no port 99999"), (["--salt", "x"], "name its candidate with --ab"),
    (["--no-guard"], "name its candidate"), (["--max-per-minute", 3], "give the keys with --keys"),
    (["--version", "a b"], "cannot stand in a header"), (["--keys", "nowhere"], "there is no file nowhere"),
    (["--max-queue", 0], "above 0"), (["--max-queue", 2], "refused for ever"), (["--ab", "new=x"], "is no share"),
    (["--ab", "CANDIDATE=2"], "between 0 and 1"),
    (["--ab", "CANDIDATE=0.6", "--ab", "CANDIDATE=0.6"], "leave some for A"),
    (["--ab", "CANDIDATE", "--target", "bad"], "there is no label 'bad'"),
    (["--ab", "CANDIDATE", "--planned", 1], "users_needed"), (["--ab", "CANDIDATE", "--ramp", 2], "the ramp is 2"),
    (["--ab", "nowhere"], "nowhere"), (["--ab", "x"] * 26, "at most 25"),
    (["--database", "/no/such/folder/x.db"], "there is no folder"),
    (["--database", "postgresql://u:secret@127.0.0.1:1/x"], "set LLMCOURSE_RECORD_KEY")])
def test_wrong_calls_are_one_sentence(call, folder, candidate, words, says, monkeypatch, tmp_path):
    monkeypatch.delenv("LLMCOURSE_RECORD_KEY", raising=False)
    words = [str(word).replace("CANDIDATE", str(candidate)) for word in words]
    if "--ab" in words: words += ["--database", str(tmp_path/"x.db")]
    code, out, err = call("serve", folder, "--force", "--port", 0, *words)
    assert code == 1 and says in err and len(err.splitlines()) == 1 and ":secret" not in err, err


def test_a_port_that_is_taken(call, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for words in (["serve", folder, "--force"], ["api"]):
            code, out, err = call(*words, "--port", taken.getsockname()[1])
            assert code == 1 and "choose another port" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("text, says", [
    ("ann\n", "line 1"), ("\nann short\n", "line 2"), ("ann " + "k" * 20 + "\nann " + "j" * 20, "repeats"),
    ("ann " + "k" * 20 + "\nben " + "k" * 20, "repeats"), ("# nobody\n", "holds no key")])
def test_a_wrong_file_of_keys(call, keys, folder, text, says):
    keys.write_text(text)
    code, out, err = call("serve", folder, "--force", "--keys", keys)
    assert code == 1 and says in err and "kkkk" not in err and "short" not in err


@pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions in another way")
def test_keys_that_others_can_read_are_refused(call, keys, folder):
    keys.chmod(0o644)
    for words in (["serve", folder, "--force"], ["api"]):
        code, out, err = call(*words, "--keys", keys)
        assert code == 1 and f"chmod 600 {keys}" in err and "0123456789abcdef" not in err


def test_a_plain_server_with_limits_keys_and_a_version(served, folder, keys):
    app = served(folder, "--force", "--keys", keys, "--max-per-minute", 2, "--version", "2026-03",
                 "--max-characters", 30, "--max-queue", 70, "--max-batch", 5, "--timeout", 4, "--max-texts", 3)
    with TestClient(app) as client:
        ask = lambda key, text="fine": client.post("/predict", json={"texts": [text]},
                                                    headers={"Authorization": f"Bearer {key}"})
        answers = [ask("x"), ask("0123456789abcdef"), ask("fedcba9876543210", "a" * 31), ask("0123456789abcdef"),
                   ask("0123456789abcdef"), client.get("/healthz"), client.get("/nowhere")]
        assert [answer.status_code for answer in answers] == [401, 200, 422, 200, 429, 200, 401]
        assert {answer.headers["x-version"] for answer in answers} == {"2026-03"}
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
    assert app.state.limits == Limits(characters=30, queue=70, batch=5, answer_seconds=4.0, per_minute=2, texts=3)


def test_a_monitored_server(served, folder, keys):
    app = served(folder, "--force", "--monitor", "--keys", keys, "--version", "v1")
    with TestClient(app, headers={"Authorization": "Bearer 0123456789abcdef"}) as client:
        answer = client.post("/predict", json=GOOD)
        id, = answer.json()["ids"]
        assert answer.headers["x-version"] == "v1"
        assert client.post("/feedback", json={"id": id, "label": "positive"}).status_code == 200
        assert client.get("/quality").json()["accuracy"]["answers"] == 1
        assert "llmcourse_requests_total" in client.get("/metrics").text
        assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert (folder.parent/"record.db").is_file()


def test_a_database_implies_monitoring(served, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCOURSE_DATABASE", str(tmp_path/"from_environment.db"))
    with TestClient(served(folder, "--force")) as client: assert client.get("/quality").status_code == 200
    assert (tmp_path/"from_environment.db").is_file()


@pytest.mark.parametrize("words", [[], ["--planned", 5, "--ramp", 1, "--salt", "spring"], ["--shadow", "CANDIDATE"]])
def test_an_experiment(served, folder, candidate, tmp_path, words):
    words = [str(word).replace("CANDIDATE", str(candidate)) for word in words]
    app = served(folder, "--force", "--database", tmp_path/"x.db", "--ab", f"{candidate}=0.25", "--ab", candidate,
                 "--version", "v2", *words)
    shares = app.state.experiment.experiment.full
    assert shares == {"B": 0.25, "C": pytest.approx(1 / 3)}
    with TestClient(app) as client:
        assert client.post("/predict", json=GOOD).status_code == 422
        answers = [client.post("/predict", json=GOOD, headers={"X-User-Id": f"user {i}"}) for i in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["x-version"] for answer in answers} == {"v2"}
        assert client.get("/experiment").status_code == client.get("/B/metrics").status_code == 200
        variants = [row["variant"] for row in app.state.recorder.rows()]
    assert {"A", "B", "C"} <= set(variants) and len(variants) == 30 * (1 + ("--shadow" in words))


def test_variants_have_the_same_labels(call, folder, tmp_path):
    from llmcourse.model import load_checkpoint, save_checkpoint
    model, tokenizer = load_checkpoint(folder)
    save_checkpoint(type(model)(model.config, ["bad", "neutral", "good"]), tokenizer, tmp_path/"other")
    code, out, err = call("serve", folder, "--force", "--port", 0, "--ab", tmp_path/"other", "--database",
                          tmp_path/"x.db")
    assert code == 1 and "only the same labels" in err


def test_a_candidate_passes_the_same_gate(call, folder, candidate):
    code, out, err = call("serve", folder, "--port", 0, "--ab", candidate)
    assert code == 1 and "was never evaluated" in err


def test_the_record_is_shown(call, record):
    path, ids = record
    code, out, err = call("record", "show", "--database", path, "--last", 2)
    assert code == 0 and "6 predictions, 1 of them with feedback" in out
    assert ids[5] in out and ids[4] in out and ids[3] not in out and "[EMAIL]" in out
    assert "\x1b" not in out and max(map(len, out.splitlines())) < 160


def test_a_record_that_is_not_there_is_not_made(call, tmp_path):
    for address in (tmp_path/"none.db", f"sqlite:///{tmp_path/'none.db'}"):
        for words in (["show"], ["export", tmp_path/"a.jsonl"], ["delete", "--older-than", "1d"]):
            code, out, err = call("record", *words, "--database", address)
            assert code == 1 and "there is no record" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_the_record_is_exported(call, record, tmp_path, ending, monkeypatch):
    path, ids = record
    file = tmp_path/f"out.{ending}"
    code, out, err = call("record", "export", file, "--database", path)
    assert code == 0 and "6 predictions" in out
    if os.name == "posix": assert file.stat().st_mode & 0o077 == 0
    if ending == "jsonl": rows = [json.loads(line) for line in file.read_text().splitlines()]
    elif ending == "csv": rows = list(csv.DictReader(file.open()))
    else: rows = __import__("pandas").read_parquet(file).to_dict("records")
    assert [row["id"] for row in rows] == ids and "ann@shop.org" not in str(rows)
    if ending == "csv": assert rows[0]["text"].startswith("'=text")
    def fail(*given): raise OSError("the disk is full")
    monkeypatch.setattr(Recorder, "rows", fail)
    before = file.read_bytes()
    assert call("record", "export", file, "--database", path)[0] == 1 and file.read_bytes() == before
    assert call("record", "export", tmp_path/"out.xls", "--database", path)[2].count("choose .jsonl") == 1


@pytest.mark.parametrize("words, count", [
    (["--sender", "ann"], 3), (["--sender", "nobody"], 0), (["--older-than", "0h"], 6), (["--older-than", "30d"], 0),
    (["--id", "ID"], 1)])
def test_deletion_counts_first(call, record, words, count):
    path, ids = record
    words = [ids[0] if word == "ID" else word for word in words]
    left = lambda: len([*Recorder(path).rows()])
    code, out, err = call("record", "delete", *words, "--database", path, "--dry-run")
    assert (code, out, left()) == (0, f"{count} of 6 predictions are meant\n", 6)
    code, out, err = call("record", "delete", *words, "--database", path, "--yes")
    assert code == 0 and left() == 6 - count and (f"{count} deleted" in out) == (count > 0)


def test_deletion_is_asked_for(call, record, monkeypatch):
    path, ids = record
    monkeypatch.setattr("sys.stdin", open(os.devnull))
    code, out, err = call("record", "delete", "--sender", "ann", "--database", path)
    assert code == 1 and "say --yes" in err
    for words in ([], ["--sender", "ann", "--older-than", "1d"]):
        assert "one of --id" in call("record", "delete", *words, "--database", path)[2]
    for age in ("30", "1m", "-1d", "d", "nan d"):
        assert "such as 30d" in call("record", "delete", "--older-than", age, "--database", path)[2]
    assert len(Recorder(path).rows()) == 6


def test_a_record_that_is_no_database(call, tmp_path):
    (tmp_path/"x.db").write_text("this is no database, whatever its name says " * 40)
    code, out, err = call("record", "show", "--database", tmp_path/"x.db")
    assert code == 1 and "cannot be used" in err and "Traceback" not in err


def test_a_text_is_generated(call):
    words = ["generate", "this camera", "--max-new-tokens", 12]
    code, first, err = call(*words, "--seed", 3)
    assert code == 0 and first.startswith("this camera") and len(first) > 20
    assert call(*words, "--seed", 3)[1] == first != call(*words, "--seed", 4)[1]
    greedy = call(*words, "--temperature", 0)[1]
    end = greedy[20:23]
    assert call(*words, "--temperature", 0, "--stop", end)[1] == greedy[:greedy.index(end, len("this camera"))] + "\n"
    for wrong, says in ((["--temperature", "-1"], "temperature is -1"), (["--model", "nobody"], "nobody"),
                        (["--stop", ""], "none of them empty")):
        code, out, err = call(*words, *wrong)
        assert code == 1 and says in err and out == ""


def program(*words, **options):
    command = [sys.executable, "-c", "from llmcourse.cli import main; main()", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_help_is_quick_and_completion_works():
    code = "import sys; from llmcourse import cli; print('torch' in sys.modules, 'fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False False\n", done.stderr
    completed = {"_LLMCOURSE_COMPLETE": "complete_bash", "COMP_WORDS": "llmcourse serve --max-q", "COMP_CWORD": "2"}
    assert program(env=os.environ | completed).communicate()[0].split() == ["--max-queue"]


@pytest.mark.parametrize("signals, code", [([signal.SIGINT], 0), ([signal.SIGTERM], -signal.SIGTERM),
                                           ([signal.SIGTERM, signal.SIGTERM], -signal.SIGTERM)])
def test_signals_end_it_without_a_traceback(folder, tmp_path, signals, code):
    running = program("serve", folder, "--force", "--port", 0, "--database", tmp_path/"x.db", "--version", "v3")
    try:
        for line in running.stdout:
            if found := re.search(r"http://[\d.:]+", line): break
        answer = httpx.post(f"{found[0]}/predict", json=GOOD, timeout=30)
        assert answer.status_code == 200 and answer.headers["x-version"] == "v3"
        assert call_record(tmp_path/"x.db") == 1, "the record can be read while the server runs"
        if len(signals) == 2:                                       # an upload that never ends keeps it from stopping
            stalled = socket.create_connection(("127.0.0.1", httpx.URL(found[0]).port))
            stalled.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: 50\r\n\r\n{")
            time.sleep(0.5)
        for number in signals:
            running.send_signal(number)
            time.sleep(0.5)
        began = time.monotonic()
        assert running.wait(30) == code and time.monotonic() - began < 15
        assert "Traceback" not in (said := running.stderr.read()) and "Aborted" not in said, said
    finally:
        running.kill()
        running.wait()


def call_record(path) -> int:
    with closing(Recorder(path)) as recorder: return recorder.count()
