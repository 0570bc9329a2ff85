"""What the server and the gate before it refuse, where no lesson would want to show how."""
import json
import shutil
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file

from llmcourse.model import Classifier, GPTConfig, fingerprint, save_checkpoint
from llmcourse.objectives import Objective
from llmcourse.serving import (MAX_BYTES, Predictor, create_app, deployment_checks, load_classifier, record_evaluation,
                               running_server, serve)
from llmcourse.tokenizer import train_tokenizer

LABELS = ["negative", "neutral", "positive"]
EASY = Objective("a test", "text-classification", "macro_f1", 0.1)


@pytest.fixture
def folder(tmp_path):
    "A classifier that was never trained, evaluated all the same."
    tokenizer = train_tokenizer(["the screen is lovely", "it broke in a week"] * 20, 300)
    torch.manual_seed(0)
    model = Classifier(
        GPTConfig(vocab_size=len(tokenizer), d_model=32, n_layers=1, n_heads=2, d_ff=64, context=32), LABELS
    )
    save_checkpoint(model, tokenizer, tmp_path/"model")
    record_evaluation(tmp_path/"model", EASY, {"macro_f1": 0.5})
    return tmp_path/"model"


def reworded(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def served(folder):
    started = []
    serve(folder, run=lambda app, **settings: started.append(app))
    return len(started) == 1


def test_what_was_evaluated_is_served(folder):
    assert served(folder)
    shutil.copytree(folder, folder.parent/"elsewhere")          # a copy is the same model
    assert served(folder.parent/"elsewhere")


def exchange_weights(folder):
    weights = load_file(folder/"model.safetensors")
    save_file({name: w + 0.01 for name, w in weights.items()}, folder/"model.safetensors", metadata={"format": "pt"})


def reverse_labels(folder):
    names = LABELS[::-1]
    reworded(folder/"config.json", id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})


def exchange_words(folder):
    tokenizer = json.loads((folder/"tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    first, second = list(vocab)[-2:]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    (folder/"tokenizer.json").write_text(json.dumps(tokenizer))


def other_rotation(folder):
    config = json.loads((folder/"config.json").read_text())
    rope = dict(config.get("rope_parameters") or {}, rope_theta=777.0)
    reworded(folder/"config.json", rope_parameters=rope, rope_theta=777.0)


def decide_otherwise(folder):
    (folder/"decision.json").write_text(json.dumps({"labels": LABELS, "temperature": 3.0, "costs": None}))


@pytest.mark.parametrize("change", [exchange_weights, reverse_labels, exchange_words, other_rotation, decide_otherwise])
def test_another_model_than_the_one_evaluated_is_refused(folder, change):
    before = Predictor(folder).fingerprint
    change(folder)
    assert Predictor(folder).fingerprint != before
    with pytest.raises(PermissionError, match="not those that were measured"): served(folder)
    with pytest.raises(PermissionError, match="not those that were measured"): deployment_checks(folder)
    serve(folder, force=True, run=lambda app, **settings: None)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"objective": {}, "measured": {}}'])
def test_a_damaged_record_is_named(folder, record):
    (folder/"evaluation.json").write_text(record)
    with pytest.raises(ValueError, match="evaluation.json is no record"): served(folder)


def test_a_record_of_before_fingerprints_is_refused(folder):
    record = json.loads((folder/"evaluation.json").read_text())
    del record["fingerprint"]
    (folder/"evaluation.json").write_text(json.dumps(record))
    with pytest.raises(PermissionError, match="a model without a fingerprint"): served(folder)


def test_the_fingerprint_is_the_models(folder):
    model, tokenizer, _ = load_classifier(folder)
    assert Predictor(folder).fingerprint == fingerprint(model, tokenizer)


def test_labels_named_two_ways_are_refused(folder):
    reworded(folder/"config.json", label2id={name: i for i, name in enumerate(LABELS[::-1])})
    with pytest.raises(ValueError, match="id2label"): Predictor(folder)


@pytest.mark.parametrize("headers", ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked"])
def test_a_body_in_chunks_is_counted(folder, headers):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with running_server(folder) as address:
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
            connection.sendall(
                f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n\r\n".encode()
            )
            try:
                for _ in range(MAX_BYTES // 0x10000 + 2): connection.sendall(chunk)
            except OSError: pass                                # turned away in the middle, which is as good
            status = connection.recv(1000).split(b" ")[1]
        assert status in (b"413", b"400") and httpx.get(f"{address}/healthz").status_code == 200
        if "Length" not in headers: assert status == b"413"


def test_a_text_that_takes_long_to_clean_holds_nobody_up(folder, monkeypatch):
    from llmcourse import serving
    cleaning, go_on = threading.Event(), threading.Event()
    real = serving.clean_text
    def slow(text):
        if "slow" in text:
            cleaning.set()
            assert go_on.wait(60)
        return real(text)
    monkeypatch.setattr(serving, "clean_text", slow)
    with running_server(create_app(folder)) as address:
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{address}/predict", json={"texts": ["slow " * 300]}, timeout=90))
        )
        asking.start()
        assert cleaning.wait(60)
        try: assert httpx.get(f"{address}/healthz", timeout=30).status_code == 200 and not answers
        finally: go_on.set()
        asking.join(90)
        assert answers[0].status_code == 200
