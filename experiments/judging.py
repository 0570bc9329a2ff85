"""What programs say of text that has no single right answer, and a language model as judge: stored for lesson 44.

    PYTHONPATH=. python experiments/judging.py [--only NAME ..]    (a quarter of an hour on one core with bf16)

Writes llmcourse/measured/judging.json, one row a job; a run that was cut short goes on with the rows that are missing.
`judge ..` holds the log-odds of Qwen for pairs of test sentences of one review, in both orders, under three wordings;
`scores` what VADER and linear probes on frozen encoders say of the same sentences; `alone` what Qwen says of each of
them by itself; `padded` the odds of a sentence beside itself with a filler; `choices` label words behind test
sentences, also by lm-eval; `texts` what sentences of several origins cost two models; `json` and `functions` what Qwen
wrote.
"""
import argparse
import ast
import copy
import os
import sys
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from _store import MEASURED, rows_begun, write
from llmcourse.data import LABELS, load_data
from llmcourse.generation import Sampling, generate_texts
from llmcourse.instruction import open_reviewer
from llmcourse.judging import (
    ALONE, CHOICES, FILLER, QUESTIONS, by_lm_eval, choice_ids, continuation_logprobs, draw_pairs, judge_pairs,
    judge_texts, text_logprobs)
from llmcourse.model import load_checkpoint
from llmcourse.models import model_folder
from llmcourse.preprocessing import clean
from llmcourse.pretrained import embed, linear_probe, load_pretrained
from llmcourse.training import native_precision, provenance

PAIRS, PADDED, CHOSEN, TEXTS, WRITTEN = 120, 20, 60, 20, 20     # pairs; sentences a sign, choices, texts a kind, tasks
MODULES = ("uncertainty", "data", "preprocessing", "tokenizer", "generation", "evaluation", "calibration", "training")
ASK_JSON = ('Read a sentence from a product review. Answer only with one JSON object with two keys: "label", which is '
            '"negative", "neutral" or "positive", and "about", one word for what the sentence is about.\nSentence: ')
ASK_FUNCTION = "Say in one short sentence what this Python function does. Write nothing else.\n\n"

reviews = clean(load_data("amazon"))[0]
test = reviews["test"]
pairs = draw_pairs(test["group"], PAIRS)
texts = list(test["text"])


def open_model(name: str, dtype=torch.float32):
    folder = model_folder(name)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), AutoTokenizer.from_pretrained(folder)


class Qwen:
    "Opened when first asked for."
    opened = None
    def __new__(cls):
        cls.opened = cls.opened or open_model(
            "qwen", torch.bfloat16 if native_precision() == "bf16" else torch.float32)
        return cls.opened


def judged(wording: int) -> dict:
    odds = judge_pairs(*Qwen(), [(texts[a], texts[b]) for a, b in pairs], QUESTIONS[wording])
    return {"pairs": pairs, "odds": odds.round(3).tolist()}


def alone() -> dict:
    "What Qwen says of each sentence of the pairs by itself."
    rows = sorted({row for pair in pairs for row in pair})
    return {"rows": rows, "odds": judge_texts(*Qwen(), [texts[row] for row in rows]).astype(float).round(3).tolist()}


def scores(*encoders: str) -> dict:
    "What other programs say of each test sentence that stands in a pair: the higher, the more positive."
    train_set, rows = reviews["train"], sorted({row for pair in pairs for row in pair})
    wanted, vader = [texts[row] for row in rows], SentimentIntensityAnalyzer()
    found = {"VADER": [vader.polarity_scores(text)["compound"] for text in wanted]}
    for name in encoders:
        model, tokenizer = load_pretrained(name, LABELS)
        with torch.autocast("cpu", torch.bfloat16, enabled=native_precision() == "bf16"):
            known, unseen = (embed(model, tokenizer, some) for some in (list(train_set["text"]), wanted))
        p = linear_probe(known, list(train_set["label"]), list(train_set["group"])).predict_proba(unseen)
        found[f"{name} probe"] = (p[:, 2] - p[:, 0]).round(4).tolist()
    return {"rows": rows, "scores": found}


def padded() -> dict:
    "Sentences of both signs, each beside itself with a filler behind it."
    rating, rng = np.array(test["rating"]), np.random.default_rng(0)
    rows = [int(i) for sign in (1, -1) for i in rng.permutation(np.flatnonzero(sign * rating > 1.5))[:PADDED]]
    odds = judge_pairs(*Qwen(), [(texts[i], f"{texts[i]} {FILLER}") for i in rows])
    return {"rows": rows, "odds": odds.round(3).tolist()}


def opened(name: str):
    "A model to score the label words with; `qwen, fine-tuned` is Qwen with the adapter of lesson 43 in its weights."
    if name == "qwen": return Qwen()
    if name == "course-gpt": return open_model(name)
    model, tokenizer = open_reviewer()
    return model.merge_and_unload(), tokenizer


def choices(*names: str) -> dict:
    "The label words behind sentences drawn at random, from us and from lm-eval."
    rows = np.random.default_rng(0).permutation(len(texts))[:CHOSEN].tolist()
    contexts, labels = [f"{texts[i]} It is" for i in rows], [test[i]["label"] for i in rows]
    found = {}
    for name in names:
        model, tokenizer = opened(name)
        asked = [choice_ids(tokenizer, context, choice) for context in contexts for choice in CHOICES]
        ours = continuation_logprobs(model, asked)
        theirs, shares = by_lm_eval(model, tokenizer, contexts, CHOICES, labels)
        found[name] = {"ours": [each.astype(float).round(4).tolist() for each in ours],
                       "lm_eval": theirs.round(4).tolist(), "shares": shares}
    return {"rows": rows, "models": found}


def origins() -> dict[str, list[str]]:
    "Sentences of people, the same with their words in random order, two kinds of the course's GPT, and one word."
    rng = np.random.default_rng(0)
    long = [i for i, text in enumerate(texts) if 40 <= len(text) <= 120]
    people = [texts[i] for i in rng.permutation(long)[:TEXTS]]
    model, tokenizer = load_checkpoint(model_folder("course-gpt"))
    starts = [" ".join(text.split()[:3]) for text in people]
    wrote = lambda sampling: generate_texts(model, tokenizer, starts, 20, sampling, seed=0)
    return {"people": people,
            "people, words shuffled": [" ".join(rng.permutation(text.split())) for text in people],
            "course GPT, sampled": wrote(Sampling(temperature=1.0)),
            "course GPT, greedy": wrote(Sampling(temperature=0.0)),
            "one word, 20 times": [" ".join([text.split()[0]] * 20) for text in people]}


def costs() -> dict:
    found = {kind: {"texts": some} for kind, some in origins().items()}
    for name in ("course-gpt", "qwen"):
        model, tokenizer = Qwen() if name == "qwen" else open_model(name)
        for kind, row in found.items():
            logprobs = text_logprobs(model, tokenizer, row["texts"])
            row[name] = {"nats": [round(-float(each.sum()), 3) for each in logprobs],
                         "tokens": list(map(len, logprobs))}
    return {"kinds": found}


def written(asked: list[str], max_new_tokens: int) -> list[str]:
    "What Qwen answers, the likeliest token at each place."
    model, tokenizer = Qwen()
    answers = []
    for first in range(0, len(asked), 4):
        chats = [tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                               tokenize=False) for text in asked[first:first + 4]]
        batch = tokenizer(chats, padding=True, padding_side="left", return_tensors="pt", add_special_tokens=False)
        out = model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False, temperature=None, top_p=None,
                             top_k=None, repetition_penalty=1.0)
        answers += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)
        print(answers[-1][:100], flush=True)
    return answers


def as_json() -> dict:
    rows = np.random.default_rng(1).permutation(len(texts))[:WRITTEN].tolist()
    return {"rows": rows, "written": written([ASK_JSON + texts[i] for i in rows], 32)}


def functions() -> dict:
    "Functions of this course, which Qwen has not read: code without comments, and the first sentence of the docstring."
    found = []
    for module in MODULES:
        tree = ast.parse((MEASURED.parent/f"{module}.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"): continue
            reference = (ast.get_docstring(node) or "").split("\n")[0].split(". ")[0].split(" (")[0].rstrip(".")
            bare = copy.deepcopy(node)
            bare.body = bare.body[1:]
            code = ast.unparse(bare)
            if len(code) < 600 and 5 <= len(reference.split()) <= 16: found.append((node.name, code, reference))
    chosen = [found[i] for i in np.random.default_rng(0).permutation(len(found))[:WRITTEN]]
    return {"names": [name for name, _, _ in chosen], "references": [reference for _, _, reference in chosen],
            "written": written([ASK_FUNCTION + code for _, code, _ in chosen], 28)}


JOBS = {"judge 0": lambda: judged(0), "alone": alone, "texts": costs, "padded": padded,
        "choices": lambda: choices("course-gpt", "qwen"),
        "choices, fine-tuned": lambda: choices("qwen, fine-tuned"),
        "functions": functions, "json": as_json, "judge 1": lambda: judged(1), "judge 2": lambda: judged(2),
        "scores": lambda: scores("minilm"), "scores mpnet": lambda: scores("mpnet")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(JOBS), help="names of rows; default: all that are missing")
    args = parser.parse_args()
    path = MEASURED/"judging.json"
    settings = {"questions": list(QUESTIONS), "choices": list(CHOICES), "filler": FILLER, "alone": ALONE,
                "ask_json": ASK_JSON, "ask_function": ASK_FUNCTION}
    for name in args.only:
        if any(row["name"] == name for row in rows_begun(path, settings, parser)): continue
        began = time.perf_counter()
        row = {"name": name} | JOBS[name]()
        rows = rows_begun(path, settings, parser)      # once more: another process may have written meanwhile
        write(path, {"about": provenance("python experiments/judging.py", [0], **settings), "rows": [*rows, row]})
        print(name, round(time.perf_counter() - began), "s", flush=True)


if __name__ == "__main__": sys.exit(main())
