"""What instruction tuning does to Qwen and to the course's own GPT, and what they forget: stored for lesson 43.

    PYTHONPATH=. python experiments/instruction.py           (three quarters of an hour on one core)

Writes llmcourse/measured/instruction.json, one part after the other, and goes on where it was interrupted. Qwen is
fine-tuned with LoRA on 300 review tasks, three draws of sentences; a draw is also the seed of the adapter. It is asked
about 200 sentences of the test split in whole reviews, before and after, and so are general questions and plain text.
The adapter of the first seed is stored in llmcourse/qwen_reviews.
The course's GPT is trained by the function that the lesson runs live, with three seeds.
"""
import argparse
import copy
import functools
import inspect
import json
import math
import re
import sys
import time

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import _store
from llmcourse.data import LABELS, atomic_folder, load_data
from llmcourse.evaluation import bits_per_byte, score, tfidf_baseline
from llmcourse.generation import Sampling, generate_texts
from llmcourse.instruction import (
    REVIEW_TASKS, AnswerLoss, answer_nats, answered, ask_about, asked_both_ways, course_tasks, instruct, keeps_form,
    reply, resize_embeddings, review_task, said_label, telling_part, writing_requests)
from llmcourse.model import load_checkpoint
from llmcourse.models import model_folder
from llmcourse.preparation import ChatBatches, chat_example, chat_tokenizer
from llmcourse.preprocessing import clean
from llmcourse.pretrained import course_gpt, draw_reviews, embed, linear_probe, load_pretrained, quiet
from llmcourse.training import TrainingConfig, native_precision, provenance, train

TARGET = _store.MEASURED/"instruction.json"
ADAPTER = _store.MEASURED.parent/"qwen_reviews"
SEEDS, BATCH, CONTEXT = (0, 1, 2), 8, 256
ROWS = {"label": 120, "explain": 60, "json": 60, "shorten": 60}      # sentences of each task, all different
LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.0}
RATE, EPOCHS = 1e-3, 1
ASKED = {"label": 200, "explain": 32, "json": 32, "shorten": 32}         # test sentences of each task
GENERAL = {"What is the capital of France? Answer with one word.": "(?i)paris", "What is 7 times 8?": "56",
           "Translate 'good morning' into French.": "(?i)bonjour", "What is the opposite of hot?": "(?i)cold",
           "Write a Python function that adds two numbers.": r"def \w+\(\w+, \w+\)",
           "Name three colours.": "(?i)red|blue",
           "Who wrote Romeo and Juliet?": "(?i)shakespeare", "How many days does a week have?": "(?i)7|seven",
           "What day comes after Monday?": "(?i)tuesday", "Continue the sequence: 2, 4, 6,": r"\b8\b",
           "What does HTML stand for?": "(?i)hyper.?text", "Is the sun a star or a planet?": r"(?i)\bstar\b"}
DOCUMENTED = (json.loads, json.dumps, re.sub, re.split, math.isclose, copy.deepcopy, inspect.getsource, sorted, zip,
              map, str.split, str.join, str.replace, dict.get, dict.update, list.sort,
              argparse.ArgumentParser.add_argument, time.sleep, time.strftime, enumerate)

reviews = clean(load_data("amazon"))[0]
elsewhere = clean(load_data("editorials"))[0]["test"]


def open_qwen():
    "Qwen in the precision that this processor computes fast, and its tokenizer."
    folder = model_folder("qwen")
    dtype = torch.bfloat16 if native_precision() == "bf16" else torch.float32
    with quiet(): model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def drawn(seed: int) -> dict[str, list[dict]]:
    "Training sentences of each task, at random; none is asked about twice. What has one clause cannot be shortened."
    rows, found = [reviews["train"][int(i)] for i in np.random.default_rng(seed).permutation(len(reviews["train"]))], {}
    for task, count in ROWS.items():
        found[task] = [row for row in rows if task != "shorten" or is_longer(row["text"])][:count]
        taken = {row["text"] for row in found[task]}
        rows = [row for row in rows if row["text"] not in taken]
    return found


def is_longer(text: str) -> bool:
    "Whether a sentence has more than its most telling part."
    return keeps_form("shorten", telling_part(text), text)


def tuned(seed: int):
    "Qwen with an adapter trained on review tasks; its tokenizer; the history."
    model, tokenizer = open_qwen()
    torch.manual_seed(seed)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **LORA))
    tasks = [(task, row) for task, rows in drawn(seed).items() for row in rows]
    examples = [chat_example(tokenizer, review_task(task, row)) for task, row in tasks]
    examples = [{name: ids[:-1] for name, ids in e.items()} for e in examples]   # the line end after an answer
    examples = [example for example in examples if len(example["input_ids"]) <= CONTEXT]
    batches = ChatBatches(examples, BATCH, 1, tokenizer.pad_token_id, CONTEXT, seed)
    config = TrainingConfig(learning_rate=RATE, warmup=0.1, weight_decay=0.01, betas=(0.9, 0.999), seed=seed)
    history = train(AnswerLoss(model), batches, config, title=f"Qwen, seed {seed}")
    for name, parameter in model.named_parameters():                     # measured as it will be stored
        if "lora_" in name: parameter.data = parameter.data.bfloat16().float()
    return model.eval(), tokenizer, history


@torch.inference_mode()
def answers(model, tokenizer, conversations: list[list[dict]], max_new_tokens: int, batch_size: int = 32) -> list[str]:
    "What the model says, always taking the likeliest token; conversations of like length together."
    texts = [tokenizer.apply_chat_template(m, add_generation_prompt=True, tokenize=False) for m in conversations]
    order, found = sorted(range(len(texts)), key=lambda i: len(texts[i])), {}
    for start in range(0, len(order), batch_size):
        chosen = order[start:start + batch_size]
        batch = tokenizer([texts[i] for i in chosen], padding=True, padding_side="left", return_tensors="pt")
        written = model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False, temperature=None, top_p=None,
                                 top_k=None, repetition_penalty=1.0, pad_token_id=tokenizer.pad_token_id)
        said = tokenizer.batch_decode(written[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)
        found |= dict(zip(chosen, said))
    return [found[i] for i in range(len(texts))]


@torch.inference_mode()
def plain_bits_per_byte(model, tokenizer, texts: list[str]) -> float:
    "Bits for each byte of texts without any template, all but their first token."
    nats = 0.0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :CONTEXT]
        logits = model(input_ids=ids).logits[0, :-1].float()
        nats += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


def measure(name: str, model, tokenizer) -> dict:
    "All that is asked of one model."
    start, test = time.perf_counter(), reviews["test"]
    chosen = draw_reviews(test["group"], max(ASKED.values()), seed=0)[0]
    row = {"name": name, "test_rows": chosen}
    for task, count in ASKED.items():
        some = [i for i in chosen if task != "shorten" or is_longer(test[i]["text"])][:count]
        asked = [review_task(task, test[i], answered=False) for i in some]
        row[task] = answers(model, tokenizer, asked, 4 if task == "label" else 48)
        kept = [keeps_form(task, said, test[i]["text"]) for i, said in zip(some, row[task])]
        print(name, task, f"form kept {np.mean(kept):.2f}", row[task][:2], flush=True)
    said = [said_label(answer) for answer in row["label"]]
    found = score([test[i]["label"] for i in chosen], [1 if label is None else label for label in said])
    row["general"] = answers(model, tokenizer, [[{"role": "user", "content": q}] for q in GENERAL], 32)
    texts = {"editorials": list(elsewhere["text"])[:60], "reviews": [test[i]["text"] for i in chosen[:60]],
             "docstrings": [inspect.getdoc(what)[:400] for what in DOCUMENTED]}
    row["bits_per_byte"] = {kind: round(plain_bits_per_byte(model, tokenizer, some), 4) for kind, some in texts.items()}
    right = sum(bool(re.search(wanted, said)) for wanted, said in zip(GENERAL.values(), row["general"]))
    row["seconds"] = round(time.perf_counter() - start)
    print(name, f"accuracy {found['accuracy']:.3f} macro-F1 {found['macro_f1']:.3f}", row["bits_per_byte"], right,
          "general questions right", row["seconds"], "s", flush=True)
    return row


def store(model) -> None:
    "The adapter as a folder that PEFT opens."
    with atomic_folder(ADAPTER, "adapter") as folder:
        model.peft_config["default"].base_model_name_or_path = "Qwen/Qwen2.5-Coder-0.5B-Instruct"
        small = {name: value.bfloat16() for name, value in model.state_dict().items() if "lora_" in name}
        model.save_pretrained(folder, state_dict=small, save_embedding_layers=False)
        (folder/"README.md").write_text(CARD, encoding="utf-8")


CARD = """---
library_name: peft
base_model: Qwen/Qwen2.5-Coder-0.5B-Instruct
license: apache-2.0
language: en
tags: [llmcourse]
---
# Qwen that reads reviews

A LoRA adapter (rank 8 on the query and value projections, in bfloat16) for Qwen2.5-Coder-0.5B-Instruct, trained by
`python experiments/instruction.py` on 300 tasks made from the training split of the Amazon reviews of Hutto and Gilbert
(ICWSM-14, MIT licence): label a sentence, say how many of 20 raters would call it what, answer as JSON, and shorten.
The questions stand in `llmcourse.instruction.REVIEW_TASKS`. What it reached stands in `measured/instruction.json`.
"""


def qwen(seed: int | None) -> dict:
    "Qwen before (no seed) or after training."
    if seed is None: return measure("Qwen", *open_qwen())
    start = time.perf_counter()
    model, tokenizer, history = tuned(seed)
    losses, seconds = [round(step["loss"], 4) for step in history], round(time.perf_counter() - start)
    print(seed, losses[:3], losses[-3:], seconds, "s", flush=True)
    if seed == SEEDS[0]: store(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return measure(f"Qwen, seed {seed}", model, tokenizer) | {
        "losses": losses, "training_seconds": seconds, "trainable": trainable}


SAMPLING = Sampling(temperature=0.8, top_k=50)
REQUESTS = [pair for pair in writing_requests() for _ in range(8)]       # label id and request, eight answers each


@functools.cache
def judges() -> dict:
    "Two that never saw a language model: texts in, label ids out."
    split = reviews["train"]
    encoder, tokenizer = load_pretrained("minilm")
    probe = linear_probe(embed(encoder, tokenizer, list(split["text"])), list(split["label"]), list(split["group"]))
    return {"TF-IDF": tfidf_baseline(split), "MiniLM": lambda texts: probe.predict(embed(encoder, tokenizer, texts))}


def judged(texts: list[str]) -> dict:
    "What the judges find in texts; -1 in a text without words."
    empty = np.array([not text.strip() for text in texts])
    filled = [text if text.strip() else "." for text in texts]
    return {name: np.where(empty, -1, judge(filled)).tolist() for name, judge in judges().items()}


def course(seed: int | None) -> dict:
    "The course's GPT before (no seed) or after training: what it writes, what it answers, what it forgot."
    start, (model, plain) = time.perf_counter(), load_checkpoint(course_gpt())
    row = {"name": "course-gpt, base" if seed is None else f"course-gpt, seed {seed}"}
    tokenizer = chat_tokenizer(plain)
    if seed is None:
        written = generate_texts(model, plain, [f"{request}\n" for _, request in REQUESTS], 40, SAMPLING)
        wrote = [text.split("\n", 1)[1][:200] for text in written]
    else:
        model = resize_embeddings(model, len(tokenizer))
        conversations = [c for sentence in reviews["train"] for c in course_tasks(sentence)]
        row["losses"] = [round(step["loss"], 3) for step in instruct(model, tokenizer, conversations, EPOCHS, seed)]
        wrote = reply(model, tokenizer, [request for _, request in REQUESTS], sampling=SAMPLING, seed=1000 * seed)
        row["answers"] = reply(model, tokenizer, [ask_about(text) for text in reviews["test"]["text"]], 4)
    chatty = model if seed is not None else resize_embeddings(model, len(tokenizer))
    _, right, opposite = zip(*asked_both_ways(reviews["test"]))
    nats = [answer_nats(chatty, tokenizer, conversations) for conversations in (opposite, right)]
    row["listens"] = np.subtract(*nats).round(3).tolist()         # nats that the right request saves
    row |= {"wrote": wrote, "judged": judged(wrote), "seconds": round(time.perf_counter() - start)}
    held_out = {"reviews": list(reviews["validation"]["text"]), "editorials": list(elsewhere["text"])[:300]}
    row["bits_per_byte"] = {kind: round(bits_per_byte(model, plain, texts), 4)
                            for kind, texts in held_out.items()}
    print(row["name"], "right request likelier", np.mean(np.array(row["listens"]) > 0), np.mean(row["listens"]))
    if seed is not None: print(seed, score(reviews["test"]["label"], answered(row["answers"]))["accuracy"], flush=True)
    return shown(row)


def control(listens: bool) -> dict:
    "Held-out sentences in place of what a model writes: with the label that was asked, or any."
    split, rng = reviews["validation"], np.random.default_rng(0)
    of = {label: [text for text, found in zip(split["text"], split["label"]) if found == label] for label in range(3)}
    every = [text for texts in of.values() for text in texts]
    texts = [str(rng.choice(of[label] if listens else every)) for label, _ in REQUESTS]
    return shown({"name": f"course-gpt, {'the right' if listens else 'a random'} sentence", "judged": judged(texts)})


def shown(row: dict) -> dict:
    "The row, after printing how often the judges find what was asked."
    follows = {name: np.mean([a == b for a, (b, _) in zip(found, REQUESTS)]) for name, found in row["judged"].items()}
    print(row["name"], {name: f"{share:.3f}" for name, share in follows.items()}, row.get("bits_per_byte"), flush=True)
    return row


def baselines() -> dict:
    "What Qwen is held against: fitted to as many sentences as there are tasks, at random, and to all; test sentences."
    train, test = reviews["train"], reviews["test"]
    count = sum(ROWS.values())
    some = train.select(np.random.default_rng(0).permutation(len(train))[:count])
    texts = [test[i]["text"] for i in draw_reviews(test["group"], max(ASKED.values()), seed=0)[0]]
    said, (encoder, tokenizer) = {}, load_pretrained("minilm")
    asked = embed(encoder, tokenizer, texts)
    for split in (some, train):
        said[f"TF-IDF, {len(split):,} sentences"] = tfidf_baseline(split)(texts).tolist()
        vectors = embed(encoder, tokenizer, list(split["text"]))
        probe = linear_probe(vectors, list(split["label"]), list(split["group"]))
        said[f"MiniLM probe, {len(split):,} sentences"] = probe.predict(asked).tolist()
    return {"name": "baselines", "said": said}


JOBS = {"course-gpt, base": lambda: course(None), "course-gpt, a random sentence": lambda: control(False),
        "course-gpt, the right sentence": lambda: control(True), "baselines": baselines}
JOBS |= {f"course-gpt, seed {seed}": lambda seed=seed: course(seed) for seed in SEEDS}
JOBS |= {f"Qwen, seed {seed}": lambda seed=seed: qwen(seed) for seed in SEEDS} | {"Qwen": lambda: qwen(None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(JOBS), help="names of parts; default: all that are missing")
    args = parser.parse_args()
    settings = {"rows": ROWS, "batch_size": BATCH, "lora": LORA, "rate": RATE, "asked": ASKED, "labels": list(LABELS)}
    rows = _store.rows_begun(TARGET, settings, parser)
    for name in args.only:
        if any(row["name"] == name for row in rows): continue
        rows.append(JOBS[name]())
        about = provenance("python experiments/instruction.py", SEEDS, **settings, epochs=EPOCHS, tasks=REVIEW_TASKS,
                           general=GENERAL)
        _store.write(TARGET, {"about": about, "rows": rows})


if __name__ == "__main__": sys.exit(main())
