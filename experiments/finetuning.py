"""What else could help on the product reviews: rates, class weights, masked words first. Stored for lesson 37.

    PYTHONPATH=. python experiments/finetuning.py     (an hour on two cores with bf16; cut short, it goes on)

Writes llmcourse/measured/finetuning.json, one row a run. All runs learn from the labels alone, with the settings of
experiments/encoders.py, whose runs learned from the raters' shares as well. `labels alone` is what the others are
compared with. `class weights` weighs a sentence by the inverse of how frequent its label is. `masked words first`
has the encoder fill gaps in the training sentences for five passes, without their labels, before it sees a label. The
other rates are compared on the validation split only, with one seed. All is about MiniLM, but for other rates of MPNet.
"""
import argparse
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from transformers import BertForMaskedLM

from _store import MEASURED, rows_begun, write
from encoders import BATCH, CONTEXT, EPOCHS, RATES, SEEDS, reviews
from llmcourse.data import LABELS
from llmcourse.evaluation import predict_probabilities, score
from llmcourse.finetuning import FINE_TUNING
from llmcourse.preparation import prepare
from llmcourse.pretrained import load_pretrained
from llmcourse.training import ClassificationBatches, provenance, train

PASSES, HIDDEN_SHARE, RATE = 5, 0.15, RATES["minilm"]
OTHER_RATES = {"minilm": (3e-5, 3e-4), "mpnet": (1e-5, 1e-4)}


class MaskedBatches(ClassificationBatches):
    "Sentences with gaps: of 15 % of the tokens 8 in 10 are hidden, 1 is another one, 1 stays (Devlin et al. 2019)."
    def __init__(self, sequences, tokenizer, epochs, seed):
        super().__init__(sequences, [0] * len(sequences), BATCH, epochs, tokenizer.pad_token_id, CONTEXT, seed)
        self.tokenizer = tokenizer

    def fingerprint(self) -> str: return f"masked {super().fingerprint()}"

    def __call__(self, step: int) -> dict:
        batch = super().__call__(step)
        ids, generator = batch["input_ids"], torch.Generator().manual_seed(self.seed * 100_003 + step)
        draw = lambda: torch.rand(ids.shape, generator=generator)                            # (batch, time)
        asked = (draw() < HIDDEN_SHARE) & ~torch.isin(ids, torch.tensor(self.tokenizer.all_special_ids))
        fate, other = draw(), torch.randint(len(self.tokenizer), ids.shape, generator=generator)
        shown = torch.where(asked & (fate < 0.8), self.tokenizer.mask_token_id, ids)
        shown = torch.where(asked & (fate >= 0.9), other, shown)
        return batch | {"input_ids": shown, "labels": ids.masked_fill(~asked, -100)}


def fill_gaps(model, tokenizer, sequences, seed: int) -> list[float]:
    "Train the encoder of `model`, in place, to fill gaps; the mean loss of each pass."
    torch.manual_seed(seed)
    filler = BertForMaskedLM(model.config)
    filler.bert = model.base_model
    filler.tie_weights()
    batches = MaskedBatches(sequences, tokenizer, PASSES, seed)
    history = train(filler, batches, replace(FINE_TUNING, learning_rate=RATE, seed=seed), title="masked words")
    return [round(float(np.mean(part)), 4) for part in np.array_split([step["loss"] for step in history], PASSES)]


def weighted(labels: list[int]) -> list[list[float]]:
    "One-hot targets times the weight of their label, n / (labels * count); the weights have the mean 1."
    counts = np.bincount(labels, minlength=len(LABELS))
    return (np.eye(len(LABELS)) * len(labels) / (len(LABELS) * counts))[labels].tolist()


def measure(base: str, arm: str, rate: float, seed: int) -> dict:
    "Train once; a digit for every sentence of validation, and of test unless it is about the rate."
    start = time.perf_counter()
    model, tokenizer = load_pretrained(base, seed=seed, pooling="mean")
    p = prepare(reviews["train"], tokenizer, CONTEXT)
    gaps = fill_gaps(model, tokenizer, p.sequences, seed) if arm == "masked words first" else []
    targets = weighted(p.labels) if arm == "class weights" else p.labels
    epochs = EPOCHS[None]
    batches = ClassificationBatches(p.sequences, targets, BATCH, epochs, tokenizer.pad_token_id, CONTEXT, seed)
    train(model, batches, replace(FINE_TUNING, learning_rate=rate, seed=seed), title=f"{base}, {arm}, {rate:g}")
    row = {"base": base, "arm": arm, "rate": rate, "seed": seed, "seconds": round(time.perf_counter() - start),
           "gap_losses": gaps, "answers": {}}
    for split in ("validation", "test")[:1 if arm == "another rate" else 2]:
        said = predict_probabilities(model, tokenizer, list(reviews[split]["text"])).argmax(1)
        row["answers"][split] = "".join(map(str, said))
        found = score(list(reviews[split]["label"]), said)
        print(base, arm, rate, seed, split, f"macro-F1 {found['macro_f1']:.3f}, recall of negatives "
              f"{found['recall_negative']:.3f}", row["seconds"], "s", gaps, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    path = MEASURED/"finetuning.json"
    settings = {"batch_size": BATCH, "context": CONTEXT, "epochs": EPOCHS[None], "rate": RATE, "passes": PASSES,
                "hidden_share": HIDDEN_SHARE}
    rows = rows_begun(path, settings, parser)
    jobs = [("minilm", arm, RATE, seed) for seed in SEEDS
            for arm in ("labels alone", "class weights", "masked words first")]
    jobs += [(base, "another rate", rate, SEEDS[0]) for base, rates in OTHER_RATES.items() for rate in rates]
    for job in jobs:
        if any(tuple(row[key] for key in ("base", "arm", "rate", "seed")) == job for row in rows): continue
        rows.append(measure(*job))
        write(path, {"about": provenance("python experiments/finetuning.py", SEEDS, **settings), "rows": rows})


if __name__ == "__main__": sys.exit(main())
