"""Qwen prompted on the product reviews, without training: wordings, examples, orders, reasons. Stored for lesson 41.

    PYTHONPATH=. python experiments/prompting.py [--only NAME ..]   (half an hour on one core with bf16)

Writes llmcourse/measured/prompting.json, one row a reading of a split. A run that was cut short goes on with the rows
that are missing. The validation split chooses the wording and the number of examples; the test split is read with what
it chose. Examples come from the training split. `probabilities` holds, for each sentence in the order of the split, the
probability of each label in parts of 10,000; `seconds` are of one processor core.
"""
import argparse
import sys
import time
from collections import Counter
from dataclasses import asdict

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _store import MEASURED, rows_begun, write
from llmcourse.data import LABELS, cache_folder, load_data
from llmcourse.evaluation import score
from llmcourse.preprocessing import clean
from llmcourse.pretrained import draw_reviews, embed, load_pretrained
from llmcourse.prompting import (
    CONTENT_FREE, Prompt, answer_ids, answer_logprobs, calibrate, draw_examples, label_probabilities,
    nearest_examples, parse_answer, prompt_ids, reason_first, shared_prefix, with_examples, write_answers)
from llmcourse.training import native_precision, provenance

SEEDS, SHOTS, NEIGHBOURS, ORDERS, BATCH = (0, 1, 2), (3, 6, 12), 3, 6, 16
WRITTEN, REASON, PART = 8, 40, 200   # tokens at most of a free answer, and of a reason; test sentences with a reason
NAMES = "negative, neutral or positive"
CLASSIFY = f"Classify the sentiment of a sentence from a product review. Answer with one word: {NAMES}."
DEFINE = ("Label a sentence from a product review. negative: it complains about the product. neutral: it states a fact "
          "or tells a story, without praise or complaint. positive: it praises the product.")
WORDINGS = {
    "classify": Prompt(CLASSIFY),
    "classify, no system": Prompt(CLASSIFY, system=""),
    "classify, reversed": Prompt(CLASSIFY.replace(NAMES, "positive, neutral or negative")),
    "rater": Prompt("You read what customers write about a product they bought. How does each sentence speak of the "
                    f"product? Say one word: {NAMES}."),
    "define": Prompt(f"{DEFINE} Answer with one word."),
    "question": Prompt(f"Is this sentence from a product review {NAMES}?"),
    "terse": Prompt(f"Sentiment: {NAMES}?"),
    "other words": Prompt("Does the writer of this sentence find the product bad, okay or good? Answer with one word: "
                          "bad, okay or good.", answers=("bad", "okay", "good")),
}
REASONED = Prompt(f"{DEFINE} First write \"Reason:\" and, in one short sentence, what is praised or complained about, "
                  f"if anything. Then write \"Answer:\" and one word: {NAMES}.")

reviews = clean(load_data("amazon"))[0]
train_set = reviews["train"]
folder = cache_folder()/"models"/"qwen"
tokenizer = AutoTokenizer.from_pretrained(folder)
dtype = torch.bfloat16 if native_precision() == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
vectors = {}


def pack(probabilities) -> str:
    "Parts of 10,000, one number after the other."
    return " ".join(map(str, (np.asarray(probabilities) * 10_000).round().astype(int).ravel()))


def unpack(row: dict) -> np.ndarray:
    "What `pack` stored, one row a sentence."
    return np.array(row["probabilities"].split(), int).reshape(-1, len(LABELS)) / 10_000


def reading(split: str, prompt) -> dict:
    "Read all sentences of a split and keep the probabilities of the labels, with what the reading cost."
    texts = list(reviews[split]["text"])
    prompts = [prompt] * len(texts) if isinstance(prompt, Prompt) else prompt
    sequences = [prompt_ids(tokenizer, each, text) for each, text in zip(prompts, texts)]
    answers, start = answer_ids(tokenizer, prompts[0].answers), time.process_time()
    logprobs = answer_logprobs(model, sequences, answers, BATCH)
    seconds, p, prefix = time.process_time() - start, np.exp(logprobs), shared_prefix(sequences)
    whole = sum(map(len, sequences))
    row = {"split": split, "seconds": round(seconds, 1), "prefix": prefix, "tokens_whole": whole,
           "tokens_read": whole - prefix * (len(texts) - 1), "tokens_written": 0,
           "mass": round(float(p.sum(1).mean()), 4), "probabilities": pack(p / p.sum(1, keepdims=True))}
    if isinstance(prompt, Prompt):
        free = label_probabilities(model, tokenizer, prompt, CONTENT_FREE, cached=False)
        row["content_free"] = free.round(4).tolist()
    return row


def written(split: str, prompt: Prompt) -> dict:
    "Let the model write freely, and look for a label in what it wrote."
    sequences = [prompt_ids(tokenizer, prompt, text) for text in reviews[split]["text"]]
    start = time.process_time()
    said = write_answers(model, tokenizer, sequences, WRITTEN, BATCH)
    seconds, found = time.process_time() - start, [parse_answer(each, prompt.answers) for each in said]
    exact = [each.strip(" .\n").lower() in prompt.answers for each in said]
    return {"split": split, "seconds": round(seconds, 1), "tokens_read": sum(map(len, sequences)),
            "tokens_written": sum(len(tokenizer(each)["input_ids"]) for each in said),
            "said": " ".join("-" if f is None else str(f) for f in found), "exact": float(np.mean(exact)),
            "most_common": Counter(said).most_common(12)}


def reasoned(split: str) -> dict:
    "Let the model write a reason first, then read the labels behind it; a part of the split, whole reviews."
    part = sorted(draw_reviews(reviews[split]["group"], PART, seed=0)[0])
    texts, start = [reviews[split][i]["text"] for i in part], time.process_time()
    reasons, logprobs = reason_first(model, tokenizer, REASONED, texts, REASON, BATCH)
    seconds, p = time.process_time() - start, np.exp(logprobs)
    read = sum(len(prompt_ids(tokenizer, REASONED, text, "Reason:\nAnswer:")) for text in texts)
    return {"split": split, "rows": part, "seconds": round(seconds, 1), "tokens_read": read,
            "tokens_written": sum(len(tokenizer(reason)["input_ids"]) for reason in reasons), "reasons": reasons[:40],
            "mass": round(float(p.sum(1).mean()), 4), "probabilities": pack(p / p.sum(1, keepdims=True))}


def vectors_of(split: str) -> np.ndarray:
    if not vectors: vectors["model"] = load_pretrained("minilm")
    if split not in vectors: vectors[split] = embed(*vectors["model"], list(reviews[split]["text"]))
    return vectors[split]


def similar(split: str) -> list[Prompt]:
    "For each sentence a prompt with the training sentences that are nearest to it, the nearest last."
    rows = nearest_examples(vectors_of("train"), vectors_of(split), NEIGHBOURS)
    return [with_examples(chosen(), train_set, each) for each in rows]


def neighbours(split: str) -> dict:
    "The control: the same neighbours vote, and no language model is asked."
    rows = np.array(nearest_examples(vectors_of("train"), vectors_of(split), NEIGHBOURS))
    votes = np.eye(len(LABELS))[np.array(train_set["label"])[rows]].mean(1)
    return {"split": split, "probabilities": pack(votes)}


rows = []


def macro_f1(name: str, calibrated: bool = False) -> float:
    "Of a row, or of the row calibrated with its own mean."
    row = next(row for row in rows if row["name"] == name)
    labels, p = np.array(reviews[row["split"]]["label"])[row.get("rows", slice(None))], unpack(row)
    return score(labels, (calibrate(p, p.mean(0)) if calibrated else p).argmax(1))["macro_f1"]


def wording() -> str:
    "The wording with the best macro-F1 on validation."
    return max(WORDINGS, key=lambda name: macro_f1(f"wording {name}"))


def chosen() -> Prompt: return WORDINGS[wording()]


def shots() -> int:
    "The number of examples with the best macro-F1 on validation, batch calibrated, mean of the draws."
    return max(SHOTS, key=lambda n: np.mean([macro_f1(f"balanced {n}, seed {seed}", True) for seed in SEEDS]))


def drawn(seed: int, balanced: bool, n: int | None = None) -> Prompt:
    return with_examples(chosen(), train_set, draw_examples(train_set["label"], n or shots(), seed, balanced))


def ordered(order: int) -> Prompt:
    "The same balanced six examples: negatives first, positives first, and in orders drawn at random."
    six = draw_examples(train_set["label"], 6, 0, balanced=True)
    by_label = sorted(six, key=lambda i: train_set[i]["label"])
    if order < 2: return with_examples(chosen(), train_set, by_label[::1 - 2 * order])
    return with_examples(chosen(), train_set, np.random.default_rng(order).permutation(six).tolist())


JOBS = {f"wording {name}": lambda p=prompt: reading("validation", p) for name, prompt in WORDINGS.items()}
JOBS |= {f"balanced {n}, seed {seed}": lambda n=n, seed=seed: reading("validation", drawn(seed, True, n))
         for n in SHOTS for seed in SEEDS}
JOBS |= {f"random, seed {seed}": lambda seed=seed: reading("validation", drawn(seed, False)) for seed in SEEDS}
JOBS |= {"test zero-shot": lambda: reading("test", chosen())}
JOBS |= {f"test {kind}, seed {seed}": lambda kind=kind, seed=seed: reading("test", drawn(seed, kind == "balanced"))
         for kind in ("balanced", "random") for seed in SEEDS}
JOBS |= {"test reasoned": lambda: reasoned("test"),
         "neighbours": lambda: neighbours("validation"), "test neighbours": lambda: neighbours("test")}
JOBS |= {f"order {order}": lambda order=order: reading("validation", ordered(order)) for order in range(ORDERS)}
JOBS |= {"written question": lambda: written("validation", WORDINGS["question"]),
         "written chosen": lambda: written("validation", chosen()),
         "similar": lambda: reading("validation", similar("validation")),
         "test similar": lambda: reading("test", similar("test"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(JOBS), help="names of rows; default: all that are missing")
    args = parser.parse_args()
    path = MEASURED/"prompting.json"
    settings = {"shots": list(SHOTS), "labels": list(LABELS), "content_free": list(CONTENT_FREE),
                "wordings": {name: prompt.instruction for name, prompt in WORDINGS.items()}}
    prompts = {name: asdict(prompt) for name, prompt in (WORDINGS | {"reasoned": REASONED}).items()}
    rows.extend(rows_begun(path, settings, parser))
    for name in args.only:
        if any(row["name"] == name for row in rows): continue
        rows.append({"name": name} | JOBS[name]())
        about = provenance("python experiments/prompting.py", SEEDS, **settings, neighbours=NEIGHBOURS, prompts=prompts)
        write(path, {"about": about, "rows": rows})
        reached = f"macro-F1 {macro_f1(name):.3f}" if "probabilities" in rows[-1] else ""
        print(name, reached, rows[-1].get("seconds"), "s", flush=True)


if __name__ == "__main__": sys.exit(main())
