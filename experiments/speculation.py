"""What guessing ahead brings Qwen, and what 8-bit weights do, for the lesson on speculation.

    PYTHONPATH=. python experiments/speculation.py            (about half an hour on one core)

Writes llmcourse/measured/speculation.json. Three kinds of task, four reviews each, drawn at random from the validation
data: repeat a review with its spelling corrected, sum it up, write a new one. Greedy, 32 bits, one thread, 48 tokens.
Each answer is written plainly and with guesses from its own text (prompt lookup), 4 and 8 at a time: tokens, calls,
guesses judged and accepted, seconds of one core's work. Then the seconds of one call for 1, 5 and 9 tokens in 1 and in
8 texts at once. With `int8`: the linear layers in 8 bits (dynamic quantization of torch), their bytes, the seconds of
plain answers and the bits a byte on 12 review sentences, beside 32 bits. Goes on where it was interrupted.
"""
import argparse
import time
import warnings

import numpy as np
import torch
from transformers import DynamicCache

from _store import MEASURED, rows_begun, write
from llmcourse.chat import chat_tokens, open_chat
from llmcourse.data import load_data
from llmcourse.engine import _ends
from llmcourse.judging import bits_a_byte, text_logprobs
from llmcourse.preprocessing import clean
from llmcourse.speculation import LookupDraft, Reader, no_draft, write_speculatively
from llmcourse.training import provenance

TARGET, EACH, TOKENS, GUESSES, SENTENCES = MEASURED/"speculation.json", 4, 48, (4, 8), 12
TASKS = {
    "repeat": "Repeat this review with its spelling corrected and nothing else changed:\n\n{text}",
    "sum up": "Sum up this review in one or two sentences:\n\n{text}",
    "write": "Write a short review of a product. Here is one of another product, for its tone only:\n\n{text}"}


def reviews() -> list[str]:
    "Whole reviews of 40 to 90 words, in random order."
    rows = {}
    for row in clean(load_data("amazon"))[0]["validation"]: rows.setdefault(row["group"], []).append(row["text"])
    texts = [" ".join(sentences) for sentences in rows.values()]
    fitting = [text for text in texts if 40 <= len(text.split()) <= 90]
    return [fitting[i] for i in np.random.default_rng(0).permutation(len(fitting))]


def answer(model, tokenizer, ids: list[int], guesses: int) -> dict:
    "One answer, with so many guesses at a time; 0 writes plainly."
    draft = LookupDraft(model.config.vocab_size) if guesses else no_draft
    start = time.process_time()
    found = write_speculatively(Reader(model), draft, ids, TOKENS, guesses, ends=_ends(model, tokenizer))
    return {"tokens": found.tokens, "calls": found.calls, "tried": found.tried, "accepted": found.accepted,
            "seconds": round(time.process_time() - start, 2)}


@torch.inference_mode()
def call_seconds(model, texts: int, tokens: int, repeats: int = 3) -> float:
    "The median time of one call that reads so many tokens of each text, behind 64 that are held."
    cache, times = DynamicCache(config=model.config), []
    model(input_ids=torch.ones(texts, 64, dtype=torch.long), past_key_values=cache, use_cache=True, logits_to_keep=1)
    new = torch.ones(texts, tokens, dtype=torch.long)
    for _ in range(repeats):
        start = time.process_time()
        model(input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=tokens)
        times.append(time.process_time() - start)
        cache.crop(-tokens)
    return float(np.median(times))


def in_int8(model):
    "The model with its linear layers in 8 bits; numbers are rounded as they come."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def weight_bytes(model) -> int:
    "Bytes of all weights, those of packed 8-bit layers too; a shared table counts once."
    seen = {p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    packed = [m.weight() for m in model.modules() if callable(getattr(m, "weight", None))]
    return sum(seen.values()) + sum(w.numel() * w.element_size() for w in packed)


def quantity(model, tokenizer, prompts: list[list[int]], texts: list[str]) -> dict:
    "Bytes, seconds a token of plain answers, and bits a byte of a model."
    found = [answer(model, tokenizer, ids, 0) for ids in prompts]
    bits = bits_a_byte(text_logprobs(model, tokenizer, texts), texts)
    return {"bytes": weight_bytes(model), "bits": [round(float(b), 4) for b in bits],
            "tokens": [one["tokens"] for one in found],
            "seconds": [one["seconds"] / max(1, len(one["tokens"])) for one in found]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=TARGET, type=type(TARGET))
    out = parser.parse_args().out
    texts = reviews()
    settings = {"model": "qwen", "tasks": TASKS, "each": EACH, "new_tokens": TOKENS, "guesses": GUESSES}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    rows = rows_begun(out, settings, parser)
    done = {(row["part"], row.get("task"), row.get("text")) for row in rows}
    torch.set_num_threads(1)
    model, tokenizer = open_chat("qwen", "fp32")
    about = provenance("python experiments/speculation.py", [0], precision="fp32", **settings)

    def keep(row: dict) -> None:
        rows.append(row)
        write(out, {"about": about, "rows": rows})
        print({name: value for name, value in row.items() if name not in ("plain", "4", "8")}, flush=True)

    def prompt(task: str, text: str) -> list[int]:
        return chat_tokens(tokenizer, [{"role": "user", "content": TASKS[task].replace("{text}", text)}])

    if ("calls", None, None) not in done:
        keep({"part": "calls", "seconds": {f"{n} texts, {t} tokens": call_seconds(model, n, t)
                                           for n in (1, 8) for t in (1, 5, 9)}})
    sentences = clean(load_data("amazon"))[0]["validation"]
    chosen = [sentences["text"][int(i)] for i in np.random.default_rng(1).permutation(len(sentences))[:SENTENCES]]
    some = [prompt("sum up", text) for text in texts[:2]]
    if ("32 bits", None, None) not in done: keep({"part": "32 bits", **quantity(model, tokenizer, some, chosen)})
    if ("int8", None, None) not in done:
        keep({"part": "int8", **quantity(in_int8(model), tokenizer, some, chosen)})
    for number in range(EACH):
        for task in TASKS:
            if ("answer", task, number) in done: continue
            ids = prompt(task, texts[number])
            ways = {"plain": answer(model, tokenizer, ids, 0)}
            ways |= {str(guesses): answer(model, tokenizer, ids, guesses) for guesses in GUESSES}
            keep({"part": "answer", "task": task, "text": number, "prompt": len(ids), **ways})


if __name__ == "__main__": main()
