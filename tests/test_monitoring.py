"The watched server: counts, errors and descriptions; and the rules of `deploy/` name metrics that exist."
import json
import re
import shutil
import subprocess
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


def test_feedback_comes_alone_or_in_numbers(checkpoint, tmp_path):
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    ids = client.post("/predict", json={"texts": TEXTS}).json()["ids"]
    words = lambda *pairs: {"feedback": [{"id": id, "label": label} for id, label in pairs]}
    told = client.post("/feedback/many", json=words((ids[0], "negative"), ("nobody", "neutral"), (ids[1], "positive")))
    assert [word and word["true"] for word in told.json()["told"]] == ["negative", None, "positive"]
    refused = client.post("/feedback/many", json=words((ids[2], "negative"), (ids[2], "awful")))
    assert refused.status_code == 422 and "awful" in refused.json()["error"]
    assert client.post("/feedback/many", json={"feedback": 5}).json()["error"].startswith('send JSON like {"feedback"')
    assert client.post("/feedback/many", json=words(*[(ids[0], "neutral")] * 1000)).status_code == 422
    assert client.get("/quality").json()["accuracy"]["answers"] == 2, "what was refused is not stored by half"
    assert client.post("/feedback", json={"id": ids[0], "label": "neutral"}).json()["true"] == "neutral"
    counted = client.get("/metrics").text
    assert 'path="/feedback/many",status="200"} 1.0' in counted
    assert "llmcourse_feedback_corrections_total 1.0" in counted


def test_quality_reads_no_more_than_it_shows(checkpoint, tmp_path):
    "However long the record, the rows that come out of the database are as many as were asked for."
    app = monitored_app(checkpoint, tmp_path/"a.db")
    recorder, client = app.state.recorder, TestClient(app)
    row = {"model": "m", "text": "t", "probabilities": {"negative": 1.0}, "truncated": False, "label": "negative"}
    rows = [row | {"id": f"{i:032x}", "true_label": LABELS[i % 3] if i % 10 == 0 else None} for i in range(5000)]
    recorder.writer.submit(lambda connection: connection.execute(recorder.table.insert(), rows)).result()
    recorder.rows = None                                        # nobody may ask for all of them
    assert client.get("/quality").json()["accuracy"]["answers"] == 500
    assert client.get("/quality?last=7").json()["accuracy"]["answers"] == 7
    assert client.get(f"/quality?last={10**12}").status_code == client.get("/quality?last=-3").status_code == 200
    page = client.get("/watch").text
    assert "2,000 answers in all" in page and "http" not in page.replace("http://www.w3.org", "")
    assert client.get("/watch?size=0").status_code == 200 and client.get(f"/watch?size={10**9}").status_code == 200


def test_a_page_of_no_answers_is_a_page(checkpoint, tmp_path):
    assert "0 answers in all" in TestClient(monitored_app(checkpoint, tmp_path/"a.db")).get("/watch").text


def test_promtool_takes_the_rules():
    promtool = shutil.which("promtool")
    if not promtool: pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run([promtool, "check", "rules", ROOT/"deploy"/"alerts.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# What must fire, and what must not: series as promtool writes them, when to look, and the alerts expected then.
HOURS_OF_FEEDBACK = {f'llmcourse_feedback_total{{said="{said}",true="negative"}}': series for said, series in
                     (("negative", "0+1x2000"), ("neutral", "0+1x2000"))}
CASES = {
    "quiet": ({'llmcourse_requests_total{path="/predict",status="200"}': "0+60x60",
               'llmcourse_recording_failures_total{reason="locked"}': "0x60",
               "llmcourse_record_queue": "5x60"}, "30m", {}),
    "lost rows": ({'llmcourse_recording_failures_total{reason="full"}': "0x20 1x20"}, "25m",
                  {"AnswersNotRecorded": {"severity": "page", "reason": "full"}}),
    "errors": ({'llmcourse_requests_total{path="/predict",status="200"}': "0+60x60",
                'llmcourse_requests_total{path="/predict",status="503"}': "0+3x60"}, "30m",
               {"ServerErrors": {"severity": "page"}}),
    "refusals": ({'llmcourse_requests_total{path="/predict",status="200"}': "0+60x60",
                  'llmcourse_requests_total{path="/predict",status="422"}': "0+30x60"}, "30m", {}),
    "slow": ({'llmcourse_latency_seconds_bucket{path="/predict",le="1.0"}': "0+90x60",
              'llmcourse_latency_seconds_bucket{path="/predict",le="2.5"}': "0+100x60",
              'llmcourse_latency_seconds_bucket{path="/predict",le="+Inf"}': "0+100x60"}, "40m",
             {"SlowAnswers": {"severity": "ticket"}}),
    "queue": ({"llmcourse_record_queue": "2000x30"}, "10m", {"RecordQueueGrows": {"severity": "ticket"}}),
    "missed": (HOURS_OF_FEEDBACK, "20h", {"RecallOfNegativesFell": {"severity": "ticket"}}),
    "too few to say": ({name: "0x600 1x2000" for name in HOURS_OF_FEEDBACK}, "20h", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_alerts_fire_when_they_should(case, tmp_path):
    promtool = shutil.which("promtool")
    if not promtool: pytest.skip("promtool is not installed: apt-get install prometheus")
    series, at, fires = CASES[case]
    rules = yaml.safe_load((ROOT/"deploy"/"alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    expected = [{"eval_time": at, "alertname": rule["alert"], "exp_alerts": [
        {"exp_labels": fires[rule["alert"]], "exp_annotations": {
            "summary": rule["annotations"]["summary"].replace("{{ $labels.reason }}", "full")}}]
        if rule["alert"] in fires else []} for rule in rules]
    test = {"rule_files": [str(ROOT/"deploy"/"alerts.yml")], "evaluation_interval": "1m", "tests": [
        {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
         "alert_rule_test": expected}]}
    (tmp_path/"test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", tmp_path/"test.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_asks_for_labels_that_are_emitted(checkpoint, tmp_path):
    "Each selector of the dashboard and the rules finds a series of a server that answered, failed and was told."
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    ids = client.post("/predict", json={"texts": TEXTS}).json()["ids"]
    said = {row["id"]: row["label"] for row in client.app.state.recorder.rows()}
    client.post("/feedback", json={"id": ids[0], "label": said[ids[0]]})
    client.app.state.recorder.writer.close()                        # so that the next answer is not recorded
    assert client.post("/predict", json={"texts": TEXTS[:1]}).json()["ids"] is None
    series = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", client.get("/metrics").text, flags=re.M):
        series.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    rules = yaml.safe_load((ROOT/"deploy"/"alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    board = json.loads((ROOT/"deploy"/"dashboard.json").read_text(encoding="utf-8"))
    for asked in [rule["expr"] for rule in rules] + [t["expr"] for p in board["panels"] for t in p["targets"]]:
        names = re.findall(r"llmcourse_\w+", asked)
        picked = {*re.findall(r'(\w+)(?:=|=~)"', asked), *", ".join(re.findall(r"by \(([\w, ]+)\)", asked)).split(", ")}
        assert names and set(names) <= set(series), (asked, series)
        assert picked - {""} <= set().union(*(series[name] for name in names)), (asked, series)


def test_rules_and_dashboard_use_metrics_that_exist(checkpoint, tmp_path):
    client = TestClient(monitored_app(checkpoint, tmp_path/"a.db"))
    known = {"llmcourse_latency_seconds_bucket", *re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, flags=re.M)}
    rules = yaml.safe_load((ROOT/"deploy"/"alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    board = json.loads((ROOT/"deploy"/"dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for rule in rules] + [target["expr"] for p in board["panels"] for target in p["targets"]]
    used = {name for expression in asked for name in re.findall(r"llmcourse_\w+", expression)}
    assert used and used <= known, used - known
    assert all(rule["annotations"]["summary"] for rule in rules)
