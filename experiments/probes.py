"""Linear probes on every candidate and pooling, and the course's GPT fine-tuned: stored for lesson 33.

    PYTHONPATH=. python experiments/probes.py            (a quarter of an hour on one core; cut short, it goes on)

Writes llmcourse/measured/probes.json. Each model reads the product reviews once, and each pooling gives one vector a
sentence. A logistic regression on them is fitted to all training labels, and to 300 in whole reviews, drawn three
times; its C is chosen by cross-validation over reviews. What it says of the validation split is kept, and with all
labels of the test split. Then the course's GPT is fine-tuned with three seeds and the settings of
experiments/encoders.py, which has the encoders; of three rates validation chooses one, with the first seed.
"""
import argparse
import sys
import time
from dataclasses import replace

import numpy as np
from transformers import AutoModel, AutoTokenizer

from _store import MEASURED, rows_begun, write
from llmcourse.data import load_data
from llmcourse.evaluation import predict_probabilities, score
from llmcourse.finetuning import FINE_TUNING, finetune
from llmcourse.models import model_folder
from llmcourse.preprocessing import clean
from llmcourse.pretrained import draw_reviews, embed_each, linear_probe
from llmcourse.training import provenance

SEEDS, LABELLED, EPOCHS, BATCH, CONTEXT, RATERS_SHARE = (0, 1, 2), 300, 4, 32, 64, 0.5
CANDIDATES = {"course-gpt": ("mean", "last"), "minilm": ("mean", "first", "pooler"),
              "mpnet": ("mean", "first", "pooler")}
CS = tuple(round(10**(i / 2), 4) for i in range(-6, 5))     # a pooler's numbers and a mean's are of different size
TUNED, RATES = ("mean", "last"), (3e-4, 1e-3, 3e-3)        # of the course's GPT

reviews = clean(load_data("amazon"))[0]
truth = {name: list(reviews[name]["label"]) for name in reviews}


def digits(answers) -> str:
    "Label ids as one string."
    return "".join(str(int(label)) for label in answers)


def macro_f1(said: str) -> float:
    "Of the answers on the validation split."
    return score(truth["validation"], [int(label) for label in said])["macro_f1"]


def probes(name: str) -> list[dict]:
    "All probes on one model."
    model = AutoModel.from_pretrained(folder := model_folder(name)).eval()
    tokenizer, start = AutoTokenizer.from_pretrained(folder), time.process_time()
    vectors = {part: embed_each(model, tokenizer, list(reviews[part]["text"]), CANDIDATES[name], context=CONTEXT)
               for part in reviews}
    read = time.process_time() - start
    labels, groups, rows = np.array(truth["train"]), np.array(reviews["train"]["group"]), []
    for pooling in CANDIDATES[name]:
        of = {part: found[pooling] for part, found in vectors.items()}
        for draw in (None, *SEEDS):
            chosen = np.arange(len(labels)) if draw is None else draw_reviews(groups, LABELLED, seed=draw)[0]
            start = time.process_time()
            probe = linear_probe(of["train"][chosen], labels[chosen], groups[chosen], C=CS)
            rows.append({"kind": "probe", "model": name, "pooling": pooling, "labels": len(chosen), "draw": draw,
                         "C": probe.C, "seconds_reading": round(read, 1),
                         "seconds_fitting": round(time.process_time() - start, 1),
                         "validation": digits(probe.predict(of["validation"]))})
            if draw is None: rows[-1]["test"] = digits(probe.predict(of["test"]))
            print(name, pooling, len(chosen), draw, f"C {probe.C} {macro_f1(rows[-1]['validation']):.3f}", flush=True)
    return rows


def tuned(pooling: str, rate: float, seed: int, name: str = "course-gpt") -> list[dict]:
    "One fine-tuned GPT. The usual head of a decoder reads the last token."
    start = time.process_time()
    model, tokenizer, _ = finetune(name, reviews, epochs=EPOCHS, batch_size=BATCH, context=CONTEXT, seed=seed,
                                   config=replace(FINE_TUNING, learning_rate=rate),
                                   raters_share=RATERS_SHARE if pooling == "mean" else 0.0,   # ids for the usual
                                   pooling="mean" if pooling == "mean" else "usual")
    answers = {part: digits(predict_probabilities(model, tokenizer, list(reviews[part]["text"])).argmax(-1))
               for part in ("validation", "test")}
    print(name, pooling, rate, seed, f"macro-F1 {macro_f1(answers['validation']):.3f}", flush=True)
    return [{"kind": "fine-tuned", "model": name, "pooling": pooling, "seed": seed, "rate": rate,
             "seconds": round(time.process_time() - start, 1)} | answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10**6, help="stop after so many; the same command goes on")
    left, path = parser.parse_args().jobs, MEASURED/"probes.json"
    settings = {"labelled": LABELLED, "epochs": EPOCHS, "batch_size": BATCH, "context": CONTEXT, "Cs": list(CS),
                "read_in": "fp32", "raters_share": RATERS_SHARE, "rates": list(RATES)}
    rows = rows_begun(path, settings, parser)
    has = lambda **wanted: [r for r in rows if all(r.get(key) == value for key, value in wanted.items())]

    def do(job, *args) -> None:
        nonlocal left
        if not left: sys.exit()
        left -= 1
        rows.extend(job(*args))
        write(path, {"about": provenance("python experiments/probes.py", SEEDS, **settings), "rows": rows})

    for name in CANDIDATES:
        if not has(kind="probe", model=name): do(probes, name)
    for pooling in TUNED:
        of = {"kind": "fine-tuned", "pooling": pooling}
        for rate in RATES:
            if not has(**of, rate=rate, seed=0): do(tuned, pooling, rate, 0)
        rate = max(has(**of, seed=0), key=lambda row: macro_f1(row["validation"]))["rate"]
        for seed in SEEDS[1:]:
            if not has(**of, rate=rate, seed=seed): do(tuned, pooling, rate, seed)


if __name__ == "__main__": sys.exit(main())
