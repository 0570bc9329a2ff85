"""The comparison of the roads: seven contenders, three seeds, all labelled reviews. 35 minutes of one core in all.

Usage: python experiments/comparison.py FOLDER  goes on where FOLDER stops; writes the stored run at the end
       python experiments/comparison.py FOLDER --take PREFIX..  takes the stored rows of these techniques over first
       python experiments/comparison.py FOLDER --latency        measures milliseconds an answer anew; on a quiet machine

Each run is a process with one thread and writes its row to FOLDER as soon as it is done. `--take` is for a change that
touches some contenders only: rows taken over keep the record of how they were made.
"""
import argparse
import json
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from _store import MEASURED, write
from llmcourse.comparison import CONTENDERS, LinearProbe, _adapters, _lora, _prefix, compare, job_file
from llmcourse.data import LABELS, atomic_path, load_data
from llmcourse.evaluation import predict_probabilities
from llmcourse.model import Classifier, load_checkpoint
from llmcourse.preprocessing import clean
from llmcourse.pretrained import course_gpt, load_pretrained
from llmcourse.training import provenance

FILE = MEASURED/"comparison.json"
SEEDS, EPOCHS = (0, 1, 2), 3


def architectures() -> dict[str, tuple]:
    "Each technique's model and tokenizer as they answer, with weights as they come: these do not change the time."
    lm, own = load_checkpoint(course_gpt())
    fresh = lambda: load_pretrained("minilm", LABELS)
    adapted = {name: adapt(*fresh()) for name, adapt in (("prefix", _prefix), ("adapters", _adapters), ("LoRA", _lora))}
    tokenizer, plain = fresh()[1], fresh()[0]
    head = SimpleNamespace(coef_=np.zeros((len(LABELS), plain.config.hidden_size)), intercept_=np.zeros(len(LABELS)))
    return {"from scratch": (Classifier.from_language_model(lm, LABELS), own), "everything": (plain, tokenizer),
            "gently": (plain, tokenizer), "linear probe": (LinearProbe(fresh()[0], head), tokenizer),
            **{name: (model, tokenizer) for name, model in adapted.items()}}


def latency(repeats: int = 200) -> dict[str, dict[str, float]]:
    "Milliseconds an answer: median and middle half over `repeats` sentences, the architectures taking turns."
    torch.set_num_threads(1)
    texts = list(clean(load_data("amazon"))[0]["validation"].shuffle(seed=0)["text"])[:repeats]
    models, times = architectures(), {name: [] for name in CONTENDERS}
    for text in [*texts[:5], *texts]:
        for name, (model, tokenizer) in models.items():
            start = time.perf_counter()
            predict_probabilities(model, tokenizer, [text])
            times[name].append(1000 * (time.perf_counter() - start))
    quarters = {name: statistics.quantiles(found[5:], n=4) for name, found in times.items()}
    return {name: {"median": middle, "low": low, "high": high} for name, (low, middle, high) in quarters.items()}


def take_over(folder: Path, techniques: list[str]) -> list[dict]:
    "Put the stored rows of some techniques into the folder; return the records of how they were made."
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    for row in stored["rows"]:
        if row["technique"] in techniques:
            file = job_file(folder, row["technique"], row["seed"], EPOCHS, None)
            with atomic_path(file) as path: path.write_text(json.dumps(row), encoding="utf-8")
    about = stored["about"] if isinstance(stored["about"], list) else [stored["about"]]
    return [record | {"techniques": techniques} for record in about[:1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="keeps a file a run")
    parser.add_argument("--take", nargs="+", default=[], choices=CONTENDERS, metavar="TECHNIQUE")
    parser.add_argument("--latency", action="store_true", help="only milliseconds an answer")
    given = parser.parse_args()
    if given.latency:
        found = json.loads(FILE.read_text(encoding="utf-8"))
    else:
        taken = take_over(given.folder, given.take) if given.take else []
        rows = compare(given.folder, seeds=SEEDS, epochs=EPOCHS)
        fresh = [name for name in CONTENDERS if name not in given.take]
        command = f"python experiments/comparison.py FOLDER{' --take ' + ' '.join(given.take) if given.take else ''}"
        found = {"about": [*taken, provenance(command, SEEDS, epochs=EPOCHS, techniques=fresh)], "rows": rows}
    found["latency"] = latency()
    for row in found["rows"]: row["latency_ms"] = found["latency"][row["technique"]]["median"]
    write(FILE, found)
    print(f"wrote {FILE.name}: {len(found['rows'])} runs")


if __name__ == "__main__":
    main()
