"""Qwen writes one-line summaries of docstrings, asked in two wordings. Stored for lesson 59.

    PYTHONPATH=. python experiments/summaries.py          (ten minutes on two cores)

Writes llmcourse/measured/summaries.json: texts with the line that their author wrote, and what Qwen wrote for each. A
run that was cut short goes on with the texts that are missing. The texts are docstrings of SciPy (BSD-3-Clause), drawn
at random as the lesson draws them; they are stored too, since another version of SciPy has others. Qwen always takes
the likeliest token, so nothing is drawn but the texts.
"""
import argparse
import sys
import time
from importlib.metadata import version

import numpy as np

from _store import MEASURED, rows_begun, write
from llmcourse.applications import summarized_texts
from llmcourse.chat import open_chat
from llmcourse.prompting import Prompt, prompt_ids, write_answers
from llmcourse.training import provenance

TARGET = MEASURED/"summaries.json"
DRAWS, EACH, TOKENS, BATCH = 3, 20, 40, 6       # draws of texts, texts in each; tokens of an answer, prompts at a time

pairs = summarized_texts()
order = np.random.default_rng(0).permutation(len(pairs))
drawn = [pairs[i] for i in order[:DRAWS * EACH]]

ASK = ("The text is the explanation in the documentation of a Python function or class. Write the line that stands "
       "above it: what the function or class is for, in at most twelve words.")
WORDINGS = {"plain": Prompt("Summarize this text in one short sentence.", template="{text}"),
            "docstring": Prompt(ASK, template="Text: {text}")}


def summarized(model, tokenizer, some: list[tuple[str, list[str]]]) -> list[dict]:
    "What Qwen writes for some texts, in every wording."
    rows = [{"reference": line, "text": text, "written": {}} for line, text in some]
    for name, prompt in WORDINGS.items():
        asked = [prompt_ids(tokenizer, prompt, " ".join(text)) for _, text in some]
        for row, said in zip(rows, write_answers(model, tokenizer, asked, TOKENS, BATCH, stop=("\n",))):
            row["written"][name] = said.strip()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    settings = {"wordings": {name: prompt.instruction for name, prompt in WORDINGS.items()}, "draws": DRAWS,
                "each": EACH, "max_new_tokens": TOKENS}
    rows, start = rows_begun(TARGET, settings, parser), time.perf_counter()
    about = provenance("python experiments/summaries.py", [0], **settings)
    about["versions"]["scipy"] = version("scipy")
    model, tokenizer = open_chat("qwen")
    while len(rows) < len(drawn):
        rows += summarized(model, tokenizer, drawn[len(rows):len(rows) + BATCH])
        write(TARGET, {"about": about, "rows": rows})
        print(f"{len(rows)} of {len(drawn)}, {time.perf_counter() - start:.0f} s: {rows[-1]['written']}", flush=True)


if __name__ == "__main__": sys.exit(main())
