"""MPNet and MiniLM on the product reviews: all weights, LoRA, few labels, a product left out. Stored for lesson 37.

    PYTHONPATH=. python experiments/encoders.py [--only NAME ..]   (about two hours on two cores with bf16)

Writes llmcourse/measured/encoders.json, one row a run, and the LoRA adapter of the seed with the best macro-F1 on
validation to llmcourse/mpnet_reviews/. A run that was cut short goes on with the rows that are missing.

Every run reads up to 64 tokens of a sentence, in batches of 32, with a tenth of the steps to warm up. Its labels are
half those of the raters. The settings were fixed beforehand; none was chosen on the test split.
"""
import argparse
import shutil
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from datasets import DatasetDict, concatenate_datasets

from _store import MEASURED, rows_begun, write
from llmcourse.data import LABELS, atomic_folder, load_data, product_of
from llmcourse.evaluation import predict_probabilities, score
from llmcourse.finetuning import FINE_TUNING, finetune, prepare, soft_labels
from llmcourse.lora import add_lora, save_lora
from llmcourse.preprocessing import clean
from llmcourse.pretrained import draw_reviews, load_pretrained
from llmcourse.techniques import count_parameters
from llmcourse.training import ClassificationBatches, native_precision, provenance, train

SEEDS, RATERS_SHARE, BATCH, CONTEXT = (0, 1, 2), 0.5, 32, 64
RATES = {"mpnet": 3e-5, "minilm": 1e-4}
LORA = {"targets": ["q", "k", "v", "o"], "rank": 8, "alpha": 16}
LORA_RATE = 5e-4
EPOCHS = {100: 20, 300: 10, 1000: 6, None: 4}    # passes over so many sentences
ADAPTER, ADAPTERS = MEASURED.parent/"mpnet_reviews", MEASURED.parent.parent/"runs"/"encoders"
ELSEWHERE = ("tweets", "editorials")
COMMAND = "python experiments/encoders.py"

reviews = clean(load_data("amazon"))[0]
elsewhere = {name: clean(load_data(name))[0]["test"] for name in ELSEWHERE}
products = sorted({product_of(group) for group in reviews["train"]["group"]})


def all_weights(base: str, data: DatasetDict, epochs: int, seed: int, share: float = RATERS_SHARE) -> tuple:
    config = replace(FINE_TUNING, learning_rate=RATES[base])
    return finetune(base, data, epochs=epochs, batch_size=BATCH, context=CONTEXT, config=config, seed=seed,
                    pooling="mean", raters_share=share)


def with_lora(base: str, data: DatasetDict, epochs: int, seed: int) -> tuple:
    model, tokenizer = load_pretrained(base, seed=seed, pooling="mean")
    for parameter in model.parameters(): parameter.data = parameter.data.clone()   # else it stays a window on its file
    torch.manual_seed(seed)
    add_lora(model, **LORA)
    p = prepare(data["train"], tokenizer, CONTEXT)
    batches = ClassificationBatches(p.sequences, soft_labels(data["train"], RATERS_SHARE), BATCH, epochs,
                                    tokenizer.pad_token_id, CONTEXT, seed)
    config = replace(FINE_TUNING, learning_rate=LORA_RATE, seed=seed)
    history = train(model, batches, config, title=f"LoRA, seed {seed}")
    return model, tokenizer, history


def drawn(size: int | None, seed: int) -> DatasetDict:
    "The training split cut to so many sentences of whole reviews."
    if size is None: return reviews
    chosen, = draw_reviews(reviews["train"]["group"], size, seed=seed)
    return DatasetDict(train=reviews["train"].select(chosen), validation=reviews["validation"])


def without(product: str) -> DatasetDict:
    "Train and validation without a product; as test all of its sentences."
    of = lambda split, wanted: split.filter(lambda row: (product_of(row["group"]) == product) == wanted)
    apart = concatenate_datasets([of(reviews[name], True) for name in reviews])
    return DatasetDict(train=of(reviews["train"], False), validation=of(reviews["validation"], False), test=apart)


JOBS = {}
for seed in SEEDS:
    JOBS[f"mpnet, seed {seed}"] = lambda seed=seed: (all_weights("mpnet", reviews, 4, seed), reviews)
    JOBS[f"mpnet lora, seed {seed}"] = lambda seed=seed: (with_lora("mpnet", reviews, 4, seed), reviews)
for seed in SEEDS:
    JOBS[f"minilm, seed {seed}"] = lambda seed=seed: (all_weights("minilm", reviews, 4, seed), reviews)
for product in products:
    JOBS[f"mpnet lora without {product}"] = lambda p=product: (with_lora("mpnet", without(p), 4, 0), without(p))
for size in (100, 1000, 300):
    for base in ("mpnet", "minilm"):
        for seed in SEEDS:
            JOBS[f"{base}, {size} sentences, seed {seed}"] = lambda size=size, base=base, seed=seed: (
                all_weights(base, drawn(size, seed), EPOCHS[size], seed), reviews)
for seed in SEEDS:
    JOBS[f"mpnet labels alone, seed {seed}"] = lambda seed=seed: (all_weights("mpnet", reviews, 4, seed, 0.0), reviews)


def read(model, tokenizer, split, bf16: bool = False) -> np.ndarray:
    "The probability of each label: (sentences, 3)."
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16 and native_precision() == "bf16"):
        return predict_probabilities(model, tokenizer, list(split["text"]))


def measure(name: str) -> dict:
    "Train once, and keep what the model says: a digit a sentence, and for whole runs the probabilities in thousandths."
    start = time.perf_counter()
    (model, tokenizer, history), data = JOBS[name]()
    looks = [{"step": s["step"]} | {k: round(s[k], 4) for k in s if k.startswith("validation")}
             for s in history if "validation_loss" in s]
    passes = np.array_split([step["loss"] for step in history], len(looks) or EPOCHS[None])
    row = {"name": name, "seconds": round(time.perf_counter() - start), "parameters": count_parameters(model)[1],
           "trainable": count_parameters(model)[0], "losses": [round(float(np.mean(part)), 4) for part in passes],
           "looks": looks, "answers": {}, "probabilities": {}}
    whole = "sentences" not in name and "without" not in name     # the others are read in 16 bits, which is quicker
    splits = {split: data[split] for split in ("validation", "test")} | (elsewhere if whole else {})
    for split, sentences in splits.items():
        p = read(model, tokenizer, sentences, bf16=split in elsewhere or not whole)
        row["answers"][split] = "".join(map(str, p.argmax(1)))
        if whole and split in data: row["probabilities"][split] = " ".join(f"{1000 * x:.0f}" for x in p.ravel())
        if split in elsewhere: continue
        found = score(list(sentences["label"]), p.argmax(1))
        print(name, split, f"macro-F1 {found['macro_f1']:.3f} recall of negatives {found['recall_negative']:.3f}",
              row["seconds"], "s", flush=True)
    if "lora, seed" in name: save_lora(model, ADAPTERS/name.replace(" ", "_"))
    return row


def ship(rows: list[dict]) -> str | None:
    "Copy the adapter of the seed with the best macro-F1 on validation into the package; the name of its run."
    truth = list(reviews["validation"]["label"])
    runs = [row for row in rows if row["name"].startswith("mpnet lora, seed")]
    if len(runs) < len(SEEDS): return None
    said = lambda row: np.array(list(row["answers"]["validation"]), int)
    best = max(runs, key=lambda row: score(truth, said(row))["macro_f1"])["name"]
    if (trained := ADAPTERS/best.replace(" ", "_")).is_dir():      # else it was shipped when it was trained
        with atomic_folder(ADAPTER, "LoRA adapter") as scratch: shutil.copytree(trained, scratch, dirs_exist_ok=True)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(JOBS), help="names of runs; default: all that are missing")
    args = parser.parse_args()
    path = MEASURED/"encoders.json"
    settings = {"raters_share": RATERS_SHARE, "batch_size": BATCH, "context": CONTEXT, "rates": RATES, "lora": LORA,
                "lora_rate": LORA_RATE, "labels": list(LABELS)}
    rows = rows_begun(path, settings, parser)
    for name in args.only:
        if any(row["name"] == name for row in rows): continue
        rows.append(measure(name))
        write(path, {"about": provenance(COMMAND, SEEDS, **settings), "rows": rows})
    write(path, {"about": provenance(COMMAND, SEEDS, **settings, adapter=ship(rows)), "rows": rows})


if __name__ == "__main__": sys.exit(main())
