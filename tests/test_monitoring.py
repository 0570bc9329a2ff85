"The watched server: counts, errors and descriptions; and the rules of `deploy/` name metrics that exist."
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import yaml
from conftest import ROOT
from fastapi.testclient import TestClient

from llmcourse.data import LABELS
from llmcourse.model import Classifier, GPTConfig, save_checkpoint
from llmcourse.monitoring import monitored_app
from llmcourse.tokenizer import train_tokenizer

TEXTS = ["it broke in a week", "a lovely screen", "the battery lasts and lasts"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")/"checkpoint"
    tokenizer = train_tokenizer(TEXTS * 20, 300)
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=len(tokenizer), d_model=32, n_layers=1, n_heads=2, d_ff=64, context=32)
    save_checkpoint(Classifier(shape, LABELS), tokenizer, folder, card="For a test.")
    return folder


def test_all_that_is_answered_is_recorded(checkpoint, tmp_path):
    with TestClient(monitored_app(checkpoint, tmp_path/"a.db")) as client:
        ask = lambda i: client.post("/predict", json={"texts": [f"{TEXTS[i % 3]} {i}"]}, headers={"X-User-Id": f"u{i}"})
        with ThreadPoolExecutor(16) as pool: replies = list(pool.map(ask, range(80)))
        rows = client.app.state.recorder.rows()
        assert {reply.status_code for reply in replies} == {200}
        assert {reply.json()["ids"][0] for reply in replies} == {row["id"] for row in rows}
        assert all(int(reply.headers["content-length"]) == len(reply.content) for reply in replies)
        assert {row["text"] for row in rows} == {f"{TEXTS[i % 3]} {i}" for i in range(80)}


def test_a_strange_address_makes_no_new_series(checkpoint, tmp_path):
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    for i in range(20): client.get(f"/strange/{i}")
    counted = client.get("/metrics").text
    assert 'path="other",status="404"} 20.0' in counted and "strange" not in counted


def test_openapi_says_what_is_answered(checkpoint, tmp_path):
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    described = client.get("/openapi.json").json()
    page = client.get("/metrics")
    assert list(described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == [page.headers["content-type"]]
    assert "ids" in described["components"]["schemas"]["PredictionResponse"]["properties"]
    feedback = described["paths"]["/feedback"]["post"]["responses"]
    assert {"200", "404", "422", "503"} <= set(feedback)
    missing = client.post("/feedback", json={"id": "nobody", "label": "negative"})
    assert missing.status_code == 404 and list(missing.json()) == ["error"]


def test_rules_and_dashboard_use_metrics_that_exist(checkpoint, tmp_path):
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    known = {"llmcourse_latency_seconds_bucket", *re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, flags=re.M)}
    rules = yaml.safe_load((ROOT/"deploy"/"alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    board = json.loads((ROOT/"deploy"/"dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for rule in rules] + [target["expr"] for p in board["panels"] for target in p["targets"]]
    used = {name for expression in asked for name in re.findall(r"llmcourse_\w+", expression)}
    assert used and used <= known, used - known
    assert all(rule["annotations"]["summary"] for rule in rules)
