"""The whole preprocessing of the four sets: sentences a second, memory, and what each step costs.

Usage: python bench/preprocessing.py       about a minute on two cores

The pipeline runs in a process of its own, once with one process and once with two, each with an empty cache. Ratios are
of this run; the seconds depend on the machine.
"""
import json
import resource
import subprocess
import sys
import tempfile
import time

from datasets import DatasetDict, concatenate_datasets, disable_progress_bars

from llmcourse.data import SOURCES, load_data
from llmcourse.pipeline import SENTENCE_STEPS, DropCopies, Pipeline, pass_through, step_name


def all_sentences() -> DatasetDict:
    "The four sets as one."
    sets = [load_data(source) for source in SOURCES]
    return DatasetDict({split: concatenate_datasets([d[split] for d in sets]) for split in sets[0]})


def measure(processes: int) -> dict:
    "Run the pipeline once with an empty cache: seconds, peak megabytes of this process and of its largest child."
    disable_progress_bars()
    sentences = all_sentences()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        kept, _ = Pipeline(SENTENCE_STEPS, folder)(sentences, processes)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "before": before, "own": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
            "came": sum(map(len, sentences.values())), "left": sum(map(len, kept.values()))}


def step_seconds() -> dict[str, float]:
    "What each step takes on all texts, one after another, without the pipeline around it."
    texts, found = [text for split in all_sentences().values() for text in split["text"]], {}
    for number, step in enumerate(SENTENCE_STEPS):
        started = time.perf_counter()
        if isinstance(step, DropCopies): step.function(texts)
        else: texts = [p.text for p in (pass_through(text, [step]) for text in texts) if p.dropped_by is None]
        found[f"{number + 1} {step_name(step)}"] = time.perf_counter() - started
    return found


def main() -> None:
    runs = {
        n: json.loads(
            subprocess.run(
                [sys.executable, __file__, str(n)], check=True, capture_output=True, text=True
            ).stdout.splitlines()[-1]
        )
        for n in (1, 2)
    }
    print(f"{'processes':>9} {'sentences/s':>12} {'ratio':>6} {'peak MB':>8} {'before, MB':>10}")
    for n, run in runs.items():
        print(
            f"{n:9} {run['came'] / run['seconds']:12,.0f} {runs[1]['seconds'] / run['seconds']:6.2f} "
            f"{max(run['own'], run['child']):8,.0f} {run['before']:10,.0f}"
        )
    print(f"{runs[1]['came']:,} sentences came, {runs[1]['left']:,} are left")
    seconds = step_seconds()
    for name, value in seconds.items():
        print(f"{name:20} {value:6.2f} s  {value / sum(seconds.values()):5.0%} of the steps")


if __name__ == "__main__":
    if len(sys.argv) > 1: print(json.dumps(measure(int(sys.argv[1]))))
    else: main()
