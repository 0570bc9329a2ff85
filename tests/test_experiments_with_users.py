"Experiments with users: assignment, counting, and what the page says in odd cases."
import asyncio
import random
from datetime import datetime

import numpy as np
import pytest
from conftest import tiny_classifier
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from llmcourse.ab_testing import (
    Arm, Experiment, Router, ab_app, arms_so_far, closed_arms, count_feedback, decide_all, experiment_app,
    render_decision, sample_ratio_p, sample_ratio_p_at_any_look)
from llmcourse.data import LABELS
from llmcourse.record import Recorder
from llmcourse.sequential import Guard, any_look, compare_any_look, decide_any_look

NAMES = "ABC"
SHARED = {"time": datetime(2026, 1, 1), "model": "m", "text": "t", "probabilities": [1.0], "truncated": False}


@pytest.mark.parametrize("seed", range(5))
def test_a_ramp_moves_nobody_away_from_a_candidate(seed):
    rng = np.random.default_rng(seed)
    shares = dict(zip("BCDE", rng.dirichlet(np.ones(5))[:4]))
    before = ["A"] * 2000
    for ramp in np.sort(rng.random(6)):
        now = [Experiment("x", shares, ramp).variant(f"user {i}") for i in range(2000)]
        assert all(old in ("A", new) for old, new in zip(before, now))
        before = now


@pytest.mark.parametrize("shares", [{"B": 0.0}, {"B": 1.0}, {"B": 0.5, "C": 0.6}, {"A": 0.5}, {"B/": 0.5}])
def test_an_experiment_that_compares_nothing_is_refused(shares):
    with pytest.raises(ValueError): Experiment("x", shares)


def fill(path, seed: int, predictions: int = 400):
    "A record with feedback that is partly corrected later, and some rows of no experiment."
    rng, recorder = np.random.default_rng(seed), Recorder(path)
    labels = np.array(["negative", "neutral"])
    rows, words = [], []
    for i in range(predictions):
        user = int(rng.integers(60))
        rows.append(SHARED | {"id": f"{i:032x}", "label": str(rng.choice(labels)), "true_label": None,
                              "variant": None if rng.random() < 0.05 else NAMES[user % 3], "sender": f"{user:016x}"})
    for i in rng.integers(predictions, size=predictions):
        words.append({"id": rows[i]["id"], "time": SHARED["time"], "label": str(rng.choice(labels))})
        rows[i]["true_label"] = words[-1]["label"]
    with recorder._session() as connection:
        connection.execute(recorder.table.insert(), rows)
        connection.execute(recorder.told.insert(), words)
    return recorder


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("planned", [1, 7, 12, 1000])
def test_the_database_counts_as_the_rows_do(tmp_path, seed, planned):
    recorder = fill(tmp_path/"x.db", seed)
    by_rows = count_feedback(recorder.rows(), recorder.feedback(), "negative", planned, NAMES)
    if planned < 1000: assert closed_arms(recorder, "negative", planned, NAMES) == by_rows
    else:
        for one, other in zip(arms_so_far(recorder, "negative", NAMES), by_rows):
            assert one.users == other.users
            assert sorted(zip(one.right, one.n)) == sorted(zip(other.right, other.n))
            assert sorted(zip(one.all_right, one.all_n)) == sorted(zip(other.all_right, other.all_n))
    assert arms_so_far(recorder, "negative", NAMES, since=datetime(2026, 1, 2)) == (Arm(0, (), (), (), ()),) * 3


def test_counting_takes_one_step_a_word():
    "The words are gone through once, and users are not counted anew after each."
    class Words(list):
        steps = 0
        def __iter__(self):
            for word in super().__iter__():
                Words.steps += 1
                yield word

    rows = [{"id": str(i), "variant": "AB"[i % 2], "sender": i // 4, "label": "negative"} for i in range(100_000)]
    words = Words({"id": str(i), "label": "negative"} for i in range(100_000))
    arms = count_feedback(rows, words, "negative", 10**9)
    assert Words.steps == 100_000 and sum(arm.users for arm in arms) == 50_000


@pytest.mark.parametrize("arms", [
    [(0, 0), (0, 0)], [(40, 0), (40, 0)], [(40, 40), (40, 40)], [(0, 0), (3, 3)], [(1, 1), (1, 0)]])
def test_zero_counts_are_answered(arms):
    made = {name: Arm(n, (1,) * right + (0,) * (n - right), (1,) * n, (0,) * n, (1,) * n)
            for name, (n, right) in zip("AB", arms)}
    for decisions in (decide_all(made, {"A": 0.5, "B": 0.5}, 2), decide_any_look(made, {"A": 0.5, "B": 0.5}, least=2)):
        assert "nan" not in render_decision(decisions, made, 2, "zero").lower()
    assert Guard()({"A": (0, 0), "B": (0, 0)}, made) == {}


def test_division_of_users_at_its_edges():
    assert sample_ratio_p([0, 0], [0.5, 0.5]) == sample_ratio_p_at_any_look([0, 0], [0.5, 0.5]) == 1
    assert sample_ratio_p_at_any_look([10, 1], [1.0, 0.0]) == 0        # a candidate that was switched off met somebody
    assert sample_ratio_p_at_any_look([300_000, 0, 300_000], [0.4, 0.2, 0.4]) < 1e-9
    for wrong in ([1, 2], [0.5, 0.4]), ([1], [1.0]), ([-1, 2], [0.5, 0.5]):
        with pytest.raises(ValueError): sample_ratio_p(*wrong)
        with pytest.raises(ValueError): sample_ratio_p_at_any_look(*wrong)


def test_more_looks_make_no_interval_narrower_than_one_look():
    for error in (1e-6, 0.01, 1.0):
        found = any_look(0.0, error, 0.1)
        assert found.high > 1.96 * error and found.p_value == 1
    assert compare_any_look([1] * 19, [1] * 19, [0] * 19, [1] * 19, 0.1).p_value == 1, "too few users to look"


def ask(router, path: str, headers=(), method: str = "POST") -> int:
    status, sent = [], [{"type": "http.request", "body": b"{}", "more_body": False}]
    async def receive(): return sent.pop() if sent else {"type": "http.disconnect"}
    async def send(message):
        if message["type"] == "http.response.start": status.append(message["status"])
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "method": method, "headers": list(headers),
             "query_string": b"", "root_path": ""}
    asyncio.run(router(scope, receive, send))
    return status[0]


def test_no_path_leads_around_the_router():
    reached = []
    def arm(name):
        async def answer(scope, receive, send):
            reached.append((name, scope["path"]))
            await JSONResponse({})(scope, receive, send)
        return answer

    router = Router({name: arm(name) for name in "AB"}, Experiment("x", 0.5))
    rng = random.Random(0)
    parts = ["A", "B", "predict", "metrics", "..", "", "%2e%2e", "healthz", "docs", "a", "predict/"]
    for _ in range(2000):
        path = "/" + "/".join(rng.choices(parts, k=rng.randint(1, 4)))
        if path != "/predict": ask(router, path)
        ask(router, path, method="GET")
    for name, path in reached: assert path != "/predict" and (name == "A" or path in ("/metrics", "/healthz"))
    assert ask(router, "/predict") == 422 and ask(router, "/predict", [(b"x-user-id", b"ann")]) == 200


def test_a_shadow_that_never_answers_is_left_out_when_too_many_wait():
    async def main():
        async def arm(scope, receive, send): await JSONResponse({})(scope, receive, send)
        async def stuck(scope, receive, send): await asyncio.Event().wait()
        router = Router({"A": arm, "S": stuck}, Experiment("x", 0.5, ramp=0), ["S"], most=2)
        async def one():
            sent = [{"type": "http.request", "body": b"{}", "more_body": False}]
            done = asyncio.Event()
            async def receive(): return sent.pop() if sent else {"type": "http.disconnect"}
            async def send(message):
                if message["type"] == "http.response.body": done.set()
            scope = {"type": "http", "path": "/predict", "method": "POST", "headers": [(b"x-user-id", b"ann")]}
            task = asyncio.create_task(router(scope, receive, send))
            await asyncio.wait_for(done.wait(), 5)              # the user has the answer though the shadow hangs
            return task
        tasks = [await one() for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in tasks: task.cancel()
        return router.left_out
    assert asyncio.run(main()) == 3


def user_of(experiment: Experiment, variant: str) -> dict:
    return {"X-User-Id": next(f"u{i}" for i in range(1000) if experiment.variant(f"u{i}") == variant)}


def test_feedback_on_b_counts_as_b_s(tmp_path):
    folder, experiment = tiny_classifier(tmp_path/"model"), Experiment("x", 0.5)
    with TestClient(ab_app(folder, folder, tmp_path/"r.db", experiment, 20)) as client:
        for variant, times in (("A", 1), ("B", 3)):
            answer = client.post("/predict", json={"texts": ["it broke"] * times}, headers=user_of(experiment, variant))
            words = [{"id": id, "label": LABELS[0]} for id in answer.json()["ids"]]
            assert client.post("/feedback/many", json={"feedback": words}).status_code == 200
        counted = {name: sum(float(line.split()[-1]) for line in client.get(path).text.splitlines()
                             if line.startswith("llmcourse_feedback_total{"))
                   for name, path in (("A", "/A/metrics"), ("B", "/B/metrics"))}
        assert counted == {"A": 1.0, "B": 3.0}


def test_failures_outlive_a_restart(tmp_path):
    "A candidate that fails, and takes the server down with it, is stopped by what all its lives have counted."
    folder, experiment = tiny_classifier(tmp_path/"model"), Experiment("x", 0.5)
    async def broken(scope, receive, send): await JSONResponse({"error": "out of memory"}, 500)(scope, receive, send)
    lives = []
    for _ in range(5):
        app = experiment_app({"A": folder, "B": folder}, tmp_path/"r.db", experiment, 20, guard=Guard())
        router = app.state.experiment
        if lives and router.stopped: break
        router.arms["B"] = broken
        with TestClient(app) as client:
            assert client.post("/predict", json={"texts": ["x"]}, headers=user_of(experiment, "B")).status_code == 500
            lives.append(dict(router.served))
    assert [life["B"] for life in lives] == [[i, i] for i in range(1, len(lives) + 1)] and 1 < len(lives) < 5
    assert "failed" in router.stopped["B"]


def test_all_arms_share_one_writer(tmp_path):
    folder = tiny_classifier(tmp_path/"model")
    app = experiment_app({"A": folder, "B": folder}, tmp_path/"r.db", Experiment("x", 0.5), 20)
    recorders = {id(arm.state.recorder) for arm in app.state.experiment.arms.values()} | {id(app.state.recorder)}
    assert len(recorders) == 1
    with TestClient(app) as client: assert client.get("/readyz").status_code == 200
    assert app.state.recorder.writer.closed, "whoever opened the record closes it"
