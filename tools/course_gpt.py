"""Pre-train the course's own GPT and store it in llmcourse/course_gpt, with all that is needed to make it again.

Usage: python tools/course_gpt.py           some twenty minutes on one core; interrupt it, the same command goes on
       python tools/course_gpt.py --check   the first 100 steps again, beside the losses in the stored log

It has the shape of the language model of `llmcourse train`, and is trained four times as long, with dropout, since it
reads each text some twenty times. To make it anew, remove the folder first.
"""
import argparse
import json
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from llmcourse.data import ARCHIVE_SHA256, SOURCES, atomic_path
from llmcourse.evaluation import bits_per_byte
from llmcourse.model import load_checkpoint
from llmcourse.road import load_corpus, pretrain
from llmcourse.training import get_scale, native_precision

FOLDER = Path(__file__).resolve().parent.parent/"llmcourse"/"course_gpt"
SCALE, SEED, DROPOUT = replace(get_scale("laptop"), pretraining_steps=6000), 0, 0.1

CARD = """---
library_name: transformers
pipeline_tag: text-generation
license: apache-2.0
language: en
tags: [llmcourse]
---
# The course's own GPT

A language model of {parameters:,} parameters in the shape of Llama, pre-trained on the training text of {sources}
(the ICWSM-14 sets of Hutto and Gilbert, MIT licence). It writes in the manner of reviews, tweets and editorials, and
its sentences hang together for some words; it knows nothing, and what it says is not true.

| | |
|---|---|
| command | `python tools/course_gpt.py` |
| training | {steps} steps of {batch_size} windows of {context} tokens, dropout {dropout} |
| seed, precision | {seed}, {precision} |
| data (SHA-256 of the archive) | `{data}` |
| made with | Python {python}, torch {torch} |
| bits a byte, validation text | {bits} |

`history.json` holds the loss of every step. Open it with `llmcourse.model.load_checkpoint` or
`transformers.LlamaForCausalLM.from_pretrained`.
"""


def forget_dropout() -> None:
    "Dropout belonged to this training: whoever trains the stored model further chooses his own."
    config = json.loads((FOLDER/"config.json").read_text(encoding="utf-8")) | {"dropout": 0.0}
    with atomic_path(FOLDER / "config.json") as scratch:
        scratch.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def difference_to_log(steps: int = 100) -> float:
    "Train the first steps again; how far their losses are from those in the stored log, at most."
    log = json.loads((FOLDER/"history.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        again = pretrain(
            load_corpus(SCALE), SCALE, SEED, Path(folder) / "again", DROPOUT, [lambda history: len(history) == steps]
        )
        history = json.loads((again/"history.json").read_text(encoding="utf-8"))
    return max(abs(now["loss"] - then["loss"]) for now, then in zip(history, log[:steps], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="train the first 100 steps again, store nothing")
    if parser.parse_args().check: return print(f"largest difference of 100 losses: {difference_to_log():.4f}")
    corpus = load_corpus(SCALE)
    pretrain(corpus, SCALE, SEED, FOLDER, DROPOUT)
    forget_dropout()
    model, tokenizer = load_checkpoint(FOLDER)
    bits = ", ".join(
        f"{source} {bits_per_byte(model, tokenizer, list(dataset['validation']['text'])):.2f}"
        for source, dataset in corpus.items()
    )
    card = CARD.format(
        parameters=sum(p.numel() for p in model.parameters()),
        sources=", ".join(SOURCES),
        steps=SCALE.pretraining_steps,
        batch_size=SCALE.batch_size,
        context=SCALE.context,
        dropout=DROPOUT,
        seed=SEED,
        precision=native_precision(),
        data=ARCHIVE_SHA256,
        python=platform.python_version(),
        torch=torch.__version__,
        bits=bits,
    )
    with atomic_path(FOLDER/"README.md") as scratch: scratch.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
