"""Qwen writes one-line summaries of docstrings, in three wordings. Stored for lesson 56.

    PYTHONPATH=. python experiments/summaries.py          (half an hour on two cores)

Writes llmcourse/measured/summaries.json: sixty texts with the line that their author wrote, and what Qwen wrote for
each. A run that was cut short goes on with the answers that are missing. The texts are docstrings of SciPy (BSD-3-Clause
licence), drawn at random as the lesson draws them; they are stored too, since another version of SciPy has others.
Qwen always takes the likeliest token, so nothing is drawn but the texts. The examples of the wording `shown` are the
three shortest texts that were not drawn.
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
examples = sorted(((" ".join(text), line) for line, text in (pairs[i] for i in order[DRAWS * EACH:])),
                  key=lambda pair: len(pair[0]))[:3]

ASK = ("The text is the explanation in the documentation of a Python function or class. Write the line that stands "
       "above it: what the function or class is for, in at most twelve words.")
WORDINGS = {
    "plain": Prompt("Summarize this text in one short sentence.", template="{text}"),
    "docstring": Prompt(ASK, template="Text: {text}"),
    "shown": Prompt(ASK, tuple(line for _, line in examples), tuple(examples), "Text: {text}")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    settings = {"wordings": {name: prompt.instruction for name, prompt in WORDINGS.items()},
                "examples": [list(pair) for pair in examples], "draws": DRAWS, "each": EACH, "max_new_tokens": TOKENS}
    rows = rows_begun(TARGET, settings, parser) or [{"reference": line, "text": text, "written": {}, "seconds": {}}
                                                    for line, text in drawn]
    about = provenance("python experiments/summaries.py", [0], **settings)
    about["versions"]["scipy"] = version("scipy")
    model, tokenizer = open_chat("qwen")
    for name, prompt in WORDINGS.items():
        left = sorted((row for row in rows if name not in row["written"]), key=lambda row: len(" ".join(row["text"])))
        for first in range(0, len(left), BATCH):
            some, start = left[first:first + BATCH], time.perf_counter()
            asked = [prompt_ids(tokenizer, prompt, " ".join(row["text"])) for row in some]
            for row, said in zip(some, write_answers(model, tokenizer, asked, TOKENS, BATCH, stop=("\n",))):
                row["written"][name] = said.strip()
                row["seconds"][name] = round((time.perf_counter() - start) / len(some), 1)
            write(TARGET, {"about": about, "rows": rows})
            print(name, first + len(some), "of", len(left), some[0]["written"][name][:90], flush=True)


if __name__ == "__main__": sys.exit(main())
