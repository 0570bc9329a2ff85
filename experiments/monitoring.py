"""What each view of the drift monitor sees, over five seeds of the small classifier: stored for lesson 29.

    PYTHONPATH=. python experiments/monitoring.py            (about five minutes on one core)
    PYTHONPATH=. python experiments/monitoring.py --windows FILE      (seconds; for experiments/drift_library.py)

Writes llmcourse/measured/monitoring.json. Each seed trains the classifier of the lesson on two thirds of the Amazon
training reviews. Then, as the lesson does with its one model: alarms in seven windows of Amazon test reviews in
random order, and in seven of tweets drawn at random; macro-F1 on both; alarms in the same windows of reviews when a
wrong model with moved cuts labels them. Rates are shares of windows.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from _store import MEASURED, write
from llmcourse.anonymization import anonymize
from llmcourse.data import LABELS, load_data
from llmcourse.evaluation import predict_probabilities, score
from llmcourse.model import Classifier
from llmcourse.monitoring import DriftMonitor, Views, decisive_words, draw_windows
from llmcourse.preprocessing import clean
from llmcourse.tokenizer import train_tokenizer
from llmcourse.training import ClassificationBatches, TrainingConfig, get_scale, provenance, train

SEEDS, SIZE, WINDOWS = (0, 1, 2, 3, 4), 100, 7
TARGET = MEASURED/"monitoring.json"


def load() -> dict:
    "Texts, labels and groups: to train on, the reference, the test reviews, tweets, and film reviews for wrong models."
    amazon, tiny = clean(load_data("amazon"))[0], {}
    held_back = set(sorted(set(amazon["train"]["group"]))[::3])
    rows = list(amazon["train"])
    tiny["seen"] = [row for row in rows if row["group"] not in held_back]
    tiny["reference"] = [row for row in rows if row["group"] in held_back] + list(amazon["validation"])
    tiny["test"] = list(amazon["test"])
    tiny["tweets"] = list(clean(load_data("tweets"))[0]["test"].shuffle(seed=0).select(range(SIZE * WINDOWS)))
    films = clean(load_data("movies"))[0]["train"]
    tiny["sorted file"] = list(films.select(range(1500)))
    tiny["random lines"] = list(films.shuffle(seed=0).select(range(1500)))
    return tiny


def small_classifier(rows, tokenizer, epochs: int, seed: int):
    "The classifier of the lesson."
    scale = get_scale("tiny")
    torch.manual_seed(seed)
    model = Classifier(scale.model_config(len(tokenizer)), LABELS)
    batches = ClassificationBatches(
        tokenizer([row["text"] for row in rows])["input_ids"],
        [row["label"] for row in rows],
        batch_size=32,
        epochs=epochs,
        pad_id=tokenizer.pad_token_id,
        context=scale.context,
        seed=seed,
    )
    train(model, batches, TrainingConfig(seed=seed), title=f"seed {seed}")
    return lambda texts: predict_probabilities(model, tokenizer, texts, batch_size=256)


def with_moved_cuts(predict, texts, usual):
    "The same model, made to give each label as often on the reference as the right one did."
    def lean(texts): return predict(texts) @ np.array([-1, 0, 1])
    low, high = np.quantile(lean(texts), [usual[0], 1 - usual[2]])
    def moved(texts):
        s = lean(texts)
        p = np.exp(5 * np.stack([low - s, np.zeros_like(s), s - high], -1))
        return p / p.sum(-1, keepdims=True)
    return moved


def pick(tables, rows): return {name: table[rows] for name, table in tables.items()}


def rate(found, names) -> dict[str, float]:
    "The share of windows that alarm: in any view, and by view."
    found = np.array(found, float)
    return {"any": float(found.max(1).mean())} | dict(zip(names, found.mean(0).tolist()))


def measure(data: dict, tokenizer, seed: int) -> dict:
    "All figures of one seed."
    texts = {name: [anonymize(row["text"]) for row in rows] for name, rows in data.items()}
    predict = small_classifier(data["seen"], tokenizer, 5, seed)
    said = {name: predict(texts[name]).argmax(-1) for name in ("reference", "test", "tweets")}
    grounds = {name: decisive_words(predict, texts[name]) for name in said}
    views = Views(texts["reference"], grounds["reference"], LABELS)
    tables = {name: views(texts[name], [LABELS[i] for i in said[name]], grounds[name]) for name in said}
    owner = {name: np.array([f"{name} {row['group']}" for row in data[name]]) for name in ("reference", "test")}
    monitor, names = DriftMonitor(tables["reference"], owner["reference"], SIZE), list(tables["reference"])

    def alarms(tables, order):
        parts = [order[i:i + SIZE] for i in range(0, SIZE * WINDOWS, SIZE)]
        return rate([[drift.alarm for drift in monitor(pick(tables, part))] for part in parts], names)

    mixed = np.random.default_rng(0).permutation(list(dict.fromkeys(owner["test"])))
    arrival = np.concatenate([np.flatnonzero(owner["test"] == one) for one in mixed])
    usual, wrong = np.bincount(said["reference"], minlength=3) / len(said["reference"]), {}
    for name in ("sorted file", "random lines"):
        moved = with_moved_cuts(small_classifier(data[name], tokenizer, 3, seed), texts["reference"], usual)
        now = [LABELS[i] for i in moved(texts["test"]).argmax(-1)]
        wrong[name] = alarms(views(texts["test"], now, decisive_words(moved, texts["test"])), arrival)
    return {"stream": alarms(tables["test"], arrival),
            "tweets": alarms(tables["tweets"], np.arange(SIZE * WINDOWS)), "wrong": wrong,
            "macro_f1": {"amazon": score([row["label"] for row in data["test"]], said["test"])["macro_f1"],
                         "tweets": score([row["label"] for row in data["tweets"]], said["tweets"])["macro_f1"]}}


def write_windows(file: Path, draws: int = 200, foreign: tuple[int, ...] = (0, 10, 25, 50, 75)) -> None:
    "Windows of the test reviews with a share of tweets in each, and what the monitor of the lesson says of them."
    data, drawn = load(), {}
    texts = {name: [anonymize(row["text"]) for row in data[name]] for name in ("reference", "test", "tweets")}
    labels = {name: np.array([row["label"] for row in data[name]]) for name in texts}
    views = Views(texts["reference"], [{}] * len(texts["reference"]), LABELS)
    table = lambda name: {view: rows for view, rows in views(
        texts[name], [LABELS[i] for i in labels[name]], [{}] * len(texts[name])).items() if view != "decisions"}
    monitor = DriftMonitor(table("reference"), [row["group"] for row in data["reference"]], SIZE)
    both = {view: np.concatenate([table("test")[view], table("tweets")[view]]) for view in ("words", "labels")}
    whole = draw_windows([row["group"] for row in data["test"]], SIZE, draws, seed=3)
    for share in foreign:
        rng = np.random.default_rng(4)
        strange = np.array([len(texts["test"]) + rng.choice(len(texts["tweets"]), share, replace=False) for _ in whole])
        drawn[share] = np.concatenate([whole[:, :SIZE - share], strange.astype(int)], 1)
    ours = {share: rate([[drift.alarm for drift in monitor(pick(both, rows))] for rows in windows], list(both))
            for share, windows in drawn.items()}
    lengths = {name: np.array([len(text.split()) for text in some]) for name, some in texts.items()}
    joined = lambda found: np.concatenate([found["test"], found["tweets"]])
    about = provenance("python experiments/monitoring.py --windows", (3, 4), window=SIZE, windows=draws)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        file, about=json.dumps(about), ours=json.dumps(ours), foreign=np.array(foreign),
        windows=np.stack(list(drawn.values())), reference_labels=labels["reference"], labels=joined(labels),
        reference_lengths=lengths["reference"], lengths=joined(lengths),
        reference_texts=np.array(texts["reference"]), texts=joined(texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=Path, help="only write the windows to this file")
    given = parser.parse_args()
    if given.windows: return write_windows(given.windows)
    data = load()
    tokenizer = train_tokenizer([row["text"] for row in data["seen"]], get_scale("tiny").vocab_size)
    about = provenance("python experiments/monitoring.py", SEEDS, window=SIZE, windows=WINDOWS)
    write(TARGET, {"about": about, "rows": [measure(data, tokenizer, seed) for seed in SEEDS]})


if __name__ == "__main__": main()
