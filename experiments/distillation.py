"""MPNet's answers taught to MiniLM and to a model of one million parameters: stored for lesson 39.

    PYTHONPATH=. python experiments/distillation.py --adapter FOLDER   (three quarters of an hour on one core)

Writes llmcourse/measured/distillation.json: what the teacher says of the product reviews and of the film reviews'
training sentences, one row a pupil, arm, length, temperature and seed, and the cost of an answer. The teacher is MPNet
with the LoRA adapter of experiments/encoders.py. A run that was cut short goes on with the rows that are missing.

All arms of a pupil take the same rate (found with labels alone, on validation) and the same number of steps of 32
sentences. The temperature was chosen on validation, with the small pupil; the test split decided nothing.
"""
import argparse
import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from _store import MEASURED, rows_begun, write
from llmcourse.data import LABELS, load_data
from llmcourse.distillation import arm_data, distil, small_encoder, text_digest
from llmcourse.evaluation import latency_ms, predict_probabilities, score
from llmcourse.finetuning import FINE_TUNING
from llmcourse.lora import fold, load_lora
from llmcourse.preprocessing import clean
from llmcourse.pretrained import load_pretrained
from llmcourse.techniques import count_parameters
from llmcourse.training import native_precision, provenance

SEEDS, STEPS, LONG = (0, 1, 2), 336, 1008           # four and twelve passes over the labelled sentences
RATES = {"minilm": 1e-4, "small": 1e-3}
TEMPERATURES, CHOSEN = (1.0, 2.0, 4.0), 2.0
TARGET = MEASURED/"distillation.json"

reviews = clean(load_data("amazon"))[0]
movies = clean(load_data("movies"))[0]
texts = {name: list(split["text"]) for name, split in reviews.items()} | {"films": list(movies["train"]["text"])}

#       pupil, arm, steps, temperature; the first lines are the choice of the temperature
PLAN = [("small", arm, STEPS, T) for T in TEMPERATURES for arm in ("teacher", "teacher + films")]
PLAN += [("small", "labels", STEPS, 1.0), ("small", "shuffled", STEPS, CHOSEN),
         ("small", "decisions + films", STEPS, 1.0), ("small", "raters", STEPS, 1.0)]
PLAN += [("minilm", "labels", STEPS, 1.0), ("minilm", "teacher + films", STEPS, CHOSEN),
         ("minilm", "teacher", STEPS, CHOSEN)]
PLAN += [("small", "labels", LONG, 1.0), ("small", "teacher", LONG, CHOSEN), ("small", "teacher + films", LONG, CHOSEN),
         ("small", "decisions + films", LONG, 1.0)]
PLAN += [("minilm", "shuffled", STEPS, CHOSEN), ("minilm", "raters", STEPS, 1.0)]


def asked(model, tokenizer, sentences) -> np.ndarray:
    "Probabilities, in bfloat16 where the processor has it."
    with torch.autocast("cpu", torch.bfloat16, enabled=native_precision() == "bf16"):
        return predict_probabilities(model, tokenizer, sentences)


def open_pupil(name: str, seed: int) -> tuple:
    "An untrained pupil and its tokenizer."
    model, tokenizer = load_pretrained("minilm", seed=seed, pooling="mean")
    if name == "small": model, tokenizer = small_encoder(model, tokenizer, texts["train"] + texts["films"], seed=seed)
    return model, tokenizer


def ask_teacher(adapter: Path) -> dict:
    "What the teacher says of every text, in ten-thousandths, and what an answer costs beside the pupils."
    model, tokenizer = load_pretrained("mpnet", pooling="mean")
    model = fold(load_lora(model, adapter)).eval()
    answers = {}
    for name, sentences in texts.items():
        start = time.perf_counter()
        rounded = (asked(model, tokenizer, sentences) * 10_000).round().astype(int)
        answers[name] = {"texts": text_digest(sentences), "per_10000": " ".join(map(str, rounded.ravel()))}
        print("teacher", name, f"{time.perf_counter() - start:.0f} s", flush=True)
    opened = {"mpnet": (model, tokenizer)} | {name: open_pupil(name, 0) for name in RATES}
    sample = texts["validation"][:60]
    times = {name: [] for name in opened}
    for _ in range(3):                                  # in turn, so that a busy machine slows all of them
        for name, (m, t) in opened.items():
            times[name].append(latency_ms(lambda x, m=m, t=t: predict_probabilities(m, t, x), sample))
    costs = [{"model": name, "parameters": count_parameters(m)[1], "bytes": 4 * count_parameters(m)[1],
              "ms": round(min(times[name]), 2)} for name, (m, _) in opened.items()]
    digest = hashlib.sha256((adapter/"adapter_model.safetensors").read_bytes()).hexdigest()[:12]
    return {"adapter": adapter.name, "adapter_sha256": digest, "answers": answers, "costs": costs}


def shares(teacher: dict, name: str) -> np.ndarray:
    "What the pupils are taught: the stored numbers, so that anybody can repeat it without the teacher."
    p = np.array(teacher["answers"][name]["per_10000"].split(), float).reshape(-1, len(LABELS))
    return p / p.sum(1, keepdims=True)


def measure(teacher: dict, pupil: str, arm: str, steps: int, temperature: float, seed: int) -> dict:
    "Train once; keep what the pupil says, a digit a sentence."
    start = time.perf_counter()
    model, tokenizer = open_pupil(pupil, seed)
    known = shares(teacher, "train"), shares(teacher, "films")
    read, say = arm_data(arm, reviews["train"], texts["films"], *known, seed)
    config = replace(FINE_TUNING, learning_rate=RATES[pupil])
    history = distil(model, tokenizer, read, say, steps, temperature, config, seed=seed, title=f"{pupil}, {arm}")
    row = {"pupil": pupil, "arm": arm, "steps": steps, "temperature": temperature, "seed": seed,
           "loss": round(float(np.mean([step["loss"] for step in history[-20:]])), 4)}
    for split in ("validation", "test"):
        p, truth = predict_probabilities(model, tokenizer, texts[split]), np.array(reviews[split]["label"])
        row[split] = "".join(map(str, p.argmax(1)))
        row[f"nll_{split}"] = round(float(-np.log(p[np.arange(len(p)), truth]).mean()), 4)
    of_films = asked(model, tokenizer, list(movies["validation"]["text"])).argmax(1)
    row["film_macro_f1"] = round(score(list(movies["validation"]["label"]), of_films)["macro_f1"], 4)
    row["seconds"] = round(time.perf_counter() - start)
    found = score(list(reviews["validation"]["label"]), [int(c) for c in row["validation"]])
    print(pupil, arm, steps, temperature, seed, f"validation {found['macro_f1']:.3f} films {row['film_macro_f1']:.3f}",
          row["seconds"], "s", flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adapter", type=Path, default=MEASURED.parent/"mpnet_reviews", help="folder of the adapter")
    parser.add_argument("--rows", type=int, default=len(PLAN), help="so many lines of the plan; default: all")
    args = parser.parse_args()
    settings = {"rates": RATES, "steps": STEPS, "long": LONG, "batch_size": 32, "context": 64}
    rows = rows_begun(TARGET, settings, parser)
    begun = TARGET.exists()
    teacher = json.loads(TARGET.read_text(encoding="utf-8"))["teacher"] if begun else ask_teacher(args.adapter)
    about = lambda: provenance("python experiments/distillation.py", SEEDS, chosen=CHOSEN, **settings)
    if not rows: write(TARGET, {"about": about(), "teacher": teacher, "rows": rows})
    done = {(r["pupil"], r["arm"], r["steps"], r["temperature"], r["seed"]) for r in rows}
    for line in PLAN[:args.rows]:
        for seed in SEEDS:
            if (*line, seed) in done: continue
            rows.append(measure(teacher, *line, seed))
            done.add((*line, seed))
            write(TARGET, {"about": about(), "teacher": teacher, "rows": rows})


if __name__ == "__main__": sys.exit(main())
