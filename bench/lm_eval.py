"""The stored GPT under EleutherAI's lm-eval: bits per byte of the validation sentences, beside our own figure.

Usage: python bench/lm_eval.py 2>/dev/null      about a minute

The task is written here as YAML over a local JSON file, so nothing is fetched. lm-eval puts the marker before each
text itself, and our tokenizer does so too; `add_bos_token=False` leaves it at one. Without that the marker is
predicted after a marker, which no training text ever showed, and the figure is too high; that one is printed as well.
Texts longer than the context are cut at different places by the two, so they are counted apart. """
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
sys.path = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent
]  # this file is no package

import lm_eval
from lm_eval.tasks import TaskManager

import llmcourse
from llmcourse.data import SOURCES, load_data
from llmcourse.evaluation import bits_per_byte
from llmcourse.model import load_checkpoint
from llmcourse.preprocessing import clean

CHECKPOINT = Path(llmcourse.__file__).parent/"course_gpt"
TASK = """task: course_sentences
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {file}}}}}
validation_split: validation
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""


def by_lm_eval(texts: list[str], **model_args) -> float:
    "Bits per byte of the texts, as lm-eval counts them."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder)/"sentences.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        (Path(folder)/"task.yaml").write_text(TASK.format(file=file), encoding="utf-8")
        found = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(CHECKPOINT), "dtype": "float32", **model_args},
            device="cpu",
            batch_size=16,
            tasks=["course_sentences"],
            task_manager=TaskManager(include_path=folder),
            bootstrap_iters=0,
        )
    return found["results"]["course_sentences"]["bits_per_byte,none"]


def main() -> None:
    model, tokenizer = load_checkpoint(CHECKPOINT)
    texts = [text for source in SOURCES for text in clean(load_data(source))[0]["validation"]["text"]]
    fits = [len(ids) <= model.config.context for ids in tokenizer(texts)["input_ids"]]
    short, long = ([text for text, fit in zip(texts, fits) if fit is wanted] for wanted in (True, False))
    for name, some in (("texts within the context", short), ("longer texts", long)):
        if not some: continue
        ours, theirs = bits_per_byte(model, tokenizer, some), by_lm_eval(some, add_bos_token=False)
        print(f"{name}: {len(some):5} | ours {ours:.6f} | lm-eval {theirs:.6f} | difference {theirs - ours:+.1e}")
        if name.startswith("texts"): assert abs(theirs - ours) < 1e-4 * ours, (ours, theirs)
    print(f"lm-eval with two markers, its default: {by_lm_eval(short):.6f} on the texts within the context")


if __name__ == "__main__": main()
