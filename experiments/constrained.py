"""What constrained output costs and brings, for lesson 42: Qwen asked for JSON in three wordings, free and constrained.

    PYTHONPATH=. python experiments/constrained.py            (twenty minutes on two cores)

Writes llmcourse/measured/constrained.json. 96 validation sentences, drawn at random; greedy, so nothing else is drawn.
A free answer is stored as text. A constrained one is stored with the probability that the model itself gave to the
allowed tokens: of all steps together (natural logarithm), and of the first one. Goes on where it was interrupted.
"""
import argparse
import copy
import json

import numpy as np
import torch
from transformers import DynamicCache, LogitsProcessorList

from _store import MEASURED, rows_begun, write
from llmcourse.chat import chat_tokens, open_chat
from llmcourse.constrained import JsonConstraint
from llmcourse.data import LABELS, load_data
from llmcourse.preprocessing import clean
from llmcourse.training import provenance

TARGET, SENTENCES, BATCH, FREE_TOKENS = MEASURED/"constrained.json", 96, 32, 64
SCHEMA = {"type": "object", "required": ["sentiment", "stars", "complaint"], "properties": {
    "sentiment": {"enum": list(LABELS)}, "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    "complaint": {"type": "boolean"}}}
WORDINGS = {
    "open": "Is this sentence of a review negative, neutral or positive, how many stars does it give, and is it a "
            "complaint? Answer in JSON.\n\n{text}",
    "keys": '{text}\n\nGive me JSON with the keys "sentiment" (negative, neutral or positive), "stars" (1 to 5) and '
            '"complaint" (true or false).',
    "schema": "{text}\n\nDescribe this sentence of a review as JSON that follows this schema: {schema}"}
LAYOUTS = ("spaced", "indented")


def prompt(wording: str, text: str) -> str:
    "What the user says."
    return WORDINGS[wording].replace("{text}", text).replace("{schema}", json.dumps(SCHEMA))


@torch.inference_mode()
def answers(model, tokenizer, prompts: list[list[int]], constraints: dict) -> dict:
    "Free and constrained answers to a batch of prompts, which are read once."
    width, pad = max(map(len, prompts)), tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=model.device)
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    model(input_ids=ids[:, :-1], attention_mask=mask[:, :-1], position_ids=positions[:, :-1], past_key_values=cache,
          use_cache=True, logits_to_keep=1)
    found = {}
    for name, constraint in {"free": None, **constraints}.items():
        most = FREE_TOKENS if constraint is None else constraint.longest
        out = model.generate(ids, attention_mask=mask, past_key_values=copy.deepcopy(cache), max_new_tokens=most,
                             do_sample=False, pad_token_id=pad,
                             logits_processor=LogitsProcessorList([constraint] if constraint else []))
        written = [row[:(row + [tokenizer.eos_token_id]).index(tokenizer.eos_token_id)]
                   for row in out[:, width:].tolist()]
        texts = [tokenizer.decode(row, skip_special_tokens=True) for row in written]
        if constraint is None: found[name] = [{"text": text, "tokens": len(row)} for text, row in zip(texts, written)]
        else: found[name] = [{"text": text, "log_kept": round(float(np.log(kept[:len(row) + 1]).sum()), 2),
                              "first": round(kept[0], 4)} for text, row, kept in zip(texts, written, constraint.kept)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=TARGET, type=type(TARGET))
    out = parser.parse_args().out
    validation = clean(load_data("amazon"))[0]["validation"]
    chosen = sorted(np.random.default_rng(0).permutation(len(validation))[:SENTENCES].tolist())
    settings = {"sentences": chosen, "schema": SCHEMA, "wordings": WORDINGS, "model": "qwen"}
    rows = rows_begun(out, settings, parser)
    model, tokenizer = open_chat("qwen")
    constraints = {layout: JsonConstraint(SCHEMA, tokenizer, layout) for layout in LAYOUTS}
    about = provenance("python experiments/constrained.py", [0], **settings)
    for start in range(0, SENTENCES, BATCH):
        for wording in WORDINGS:
            if any(row["wording"] == wording and row["start"] == start for row in rows): continue
            texts = [validation["text"][i] for i in chosen[start:start + BATCH]]
            prompts = [chat_tokens(tokenizer, [{"role": "user", "content": prompt(wording, text)}]) for text in texts]
            rows.append({"wording": wording, "start": start, **answers(model, tokenizer, prompts, constraints)})
            write(out, {"about": about, "rows": rows})
            print(f"{wording}, {start + len(texts)} sentences", flush=True)


if __name__ == "__main__": main()
