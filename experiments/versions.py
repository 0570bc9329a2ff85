"""The three roads as versions of one service, against each other with users: stored for lesson 31.

    llmcourse models fetch mpnet             (0.44 GB)
    PYTHONPATH=. python experiments/versions.py         (three minutes on one core)

Writes llmcourse/measured/versions.json. A, in service, is the course's GPT from scratch, taught the labels in three
passes; it is trained here, with three seeds. B is MiniLM with all weights fine-tuned, with three seeds: its answers are
those that experiments/encoders.py stored. C is MPNet with the adapter that ships; its answers are computed here and
compared with the stored ones. All learned from the training reviews. C's adapter was the best of three seeds by
macro-F1 on validation, which favours C a little below.

Traffic is the validation split, 269 sentences of 27 reviews. The users are invented: each is dealt one review, drawn
at random, and sends its sentences through the router of lesson 30, with its record, its guard and its judge. Nobody
knows how real users would answer. Here each sentence gets the label of one of its twenty raters, drawn at random, so
the feedback is as noisy as one person is. Each of three seeds deals reviews, raters and versions anew. All settings
were fixed before the first look.
"""
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from fastapi.testclient import TestClient

from _store import MEASURED, write
from encoders import reviews
from llmcourse.ab_testing import Arm, Experiment, arms_so_far, experiment_app, sample_ratio_p_at_any_look
from llmcourse.calibration import DecisionRule
from llmcourse.comparison import CONTENDERS
from llmcourse.data import LABELS, label_of
from llmcourse.encoders import open_reviews_model, runs_of
from llmcourse.evaluation import predict_probabilities
from llmcourse.sequential import Guard, decide_any_look
from llmcourse.serving import MAX_TEXTS, Predictor
from llmcourse.training import provenance

COMMAND, TARGET = "python experiments/versions.py", MEASURED/"versions.json"
SEEDS, USERS, EVERY, TAU = (0, 1, 2), 600, 20, 0.1
SHARES = {"B": 1 / 3, "C": 1 / 3}
NAMES = {"A": "course GPT, from scratch", "B": "MiniLM, all weights", "C": "MPNet with the adapter that ships"}
TEXTS = list(reviews["validation"]["text"])


def answers_of(name: str, seed: int) -> np.ndarray:
    "The probabilities that a version gives to the validation sentences: (sentences, 3)."
    if name == "A": return predict_probabilities(*CONTENDERS["from scratch"].fit(reviews, 3, seed), TEXTS)
    stored, = runs_of(f"minilm, seed {seed}" if name == "B" else "mpnet lora, seed 0")
    known = np.array(stored["probabilities"]["validation"].split(), float).reshape(-1, len(LABELS)) / 1000
    if name == "B": return known
    computed = predict_probabilities(*open_reviews_model()[:2], TEXTS)
    print(f"C: {np.mean(computed.argmax(1) == known.argmax(1)):.1%} of the labels as stored", flush=True)
    return computed


class Known(Predictor):
    "Answers the validation sentences from a table: users send the same 269 again and again."
    def __init__(self, probabilities: np.ndarray, fingerprint: str):
        self.labels, self.fingerprint, self.rule = LABELS, fingerprint, DecisionRule(LABELS)
        self.known = dict(zip(self.prepare(TEXTS), probabilities))

    def answer(self, texts: list[str], tokens: int | None = None) -> list[dict]:
        return [{"label": LABELS[int(self.known[text].argmax())], "truncated": False, "decided_by": self.decided_by,
                 "probabilities": dict(zip(LABELS, map(float, self.known[text])))} for text in texts]


def invented_users(split: Dataset, seed: int) -> list[tuple[str, list[tuple[str, str]]]]:
    "Users in the order they come: an id, and sentences with the label that one rater gave."
    rng, by_review = np.random.default_rng(seed), {}
    for row in split: by_review.setdefault(row["group"], []).append(row)
    names = sorted(by_review)
    def one(number: int) -> tuple:
        sent = by_review[names[rng.integers(len(names))]][:MAX_TEXTS]
        return f"user {number}", [(row["text"], LABELS[label_of(rng.choice(row["ratings"]))]) for row in sent]
    return [one(number) for number in range(USERS)]


def seen(arms: dict[str, Arm], users: int) -> dict:
    "What a look sees: the verdict on each candidate, interval and p-value."
    shares = Experiment("x", SHARES).shares
    decided = decide_any_look(arms, shares, tau=TAU, what="negative sentences found")
    return {"users": users} | {name: {"verdict": d.verdict, "p_value": d.p_value, "interval": d.interval}
                               for name, d in decided.items()}


def packed(arm: Arm) -> dict:
    "The counts of a variant; for each user, right answers and answers."
    pairs = lambda right, n: " ".join(f"{r}/{m}" for r, m in zip(right, n))
    return {"users": arm.users, "about": pairs(arm.right, arm.n), "all": pairs(arm.all_right, arm.all_n)}


def measure(predictors: dict[str, Predictor], seed: int) -> dict:
    "One experiment: its looks, and the counts at its end."
    folder = Path(tempfile.mkdtemp())
    experiment = Experiment(f"three roads, seed {seed}", SHARES)
    app = experiment_app(predictors, folder/"record.db", experiment, None, guard=Guard(tau=TAU), judge=decide_any_look)
    looks, so_far = [], lambda: dict(zip("ABC", arms_so_far(app.state.recorder, "negative", "ABC")))
    with TestClient(app) as client:
        for number, (user, sent) in enumerate(invented_users(reviews["validation"], seed), 1):
            texts = {"texts": [text for text, _ in sent]}
            answer = client.post("/predict", json=texts, headers={"X-User-Id": user}).json()
            told = [{"id": id, "label": label} for id, (_, label) in zip(answer["ids"], sent, strict=True)]
            client.post("/feedback/many", json={"feedback": told}).raise_for_status()
            if number % EVERY == 0: looks.append(seen(so_far(), number))
        arms, stopped = so_far(), dict(app.state.experiment.stopped)
    shutil.rmtree(folder)
    ratio = sample_ratio_p_at_any_look([arm.users for arm in arms.values()], list(experiment.shares.values()))
    print(seed, {name: arm.users for name, arm in arms.items()}, ratio, stopped, looks[-1], flush=True)
    return {"seed": seed, "ratio_p": ratio, "stopped": stopped, "looks": looks,
            "arms": {name: packed(arm) for name, arm in arms.items()}}


def main() -> None:
    torch.set_num_threads(1)
    shipped, rows = answers_of("C", 0), []
    for seed in SEEDS:
        said = {"A": answers_of("A", seed), "B": answers_of("B", seed), "C": shipped}
        arms = {name: Known(p, f"{name}, seed {seed}") for name, p in said.items()}
        labels = {name: "".join(map(str, p.argmax(1))) for name, p in said.items()}
        rows.append(measure(arms, seed) | {"answers": labels})
    settings = {"contenders": NAMES, "shares": Experiment("x", SHARES).shares, "users": USERS, "tau": TAU}
    write(TARGET, {"about": provenance(COMMAND, SEEDS, **settings), "rows": rows})


if __name__ == "__main__": sys.exit(main())
