"""Our byte-level BPE beside `tokenizers` and `tiktoken`: training, and encoding with GPT-2's vocabulary.

Usage: python bench/tokenizer.py      about two minutes; needs the package tiktoken

Training: 2,048 tokens on the training text of the four sets. Encoding: the same sentences, one call a sentence, one
thread. A round runs each once, in turn, so that a busy machine slows all alike; the table gives the medians of the
rounds and the median of the ratios within a round. *cold*: the tokenizer has seen no word yet; *warm*: it has seen
the text once. """
import os
import tempfile
import time
from statistics import median

os.environ["TOKENIZERS_PARALLELISM"] = "false"          # until training, which is measured both ways

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer

from llmcourse.data import SOURCES, load_data
from llmcourse.preprocessing import clean
from llmcourse.tokenizer import BPE, END, gpt2_files, load_gpt2_files, save_tokenizer_json, train_tokenizer

ROUNDS, MOST = 3, 8          # training may take at most 8 times as long as the faster way to run the library


def seconds(task) -> float:
    "How long a task takes by the clock on the wall."
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def measure(new_tasks) -> dict[str, list[float]]:
    "The seconds of each task in each round; `new_tasks` gives fresh ones for each."
    rounds = [{name: seconds(task) for name, task in new_tasks().items()} for _ in range(ROUNDS)]
    return {name: [times[name] for times in rounds] for name in rounds[0]}


def show(title: str, taken: dict[str, list[float]], n_bytes: int) -> float:
    "A row for each: median seconds, MB/s, and our time (the first row) as a multiple of its own. Returns the "
    "largest multiple."
    ours, ratios = next(iter(taken.values())), []
    print(f"\n{title:28} {'seconds':>8} {'MB/s':>7}   ours takes")
    for name, times in taken.items():
        ratios.append(median(a / b for a, b in zip(ours, times)))
        print(f"  {name:26} {median(times):8.2f} {n_bytes / median(times) / 1e6:7.2f}   {ratios[-1]:.2f} times as long")
    return max(ratios)


def train_with_library(texts: list[str], parallel: bool) -> None:
    "Train the library's tokenizer on one core or on all."
    os.environ["TOKENIZERS_PARALLELISM"] = str(parallel).lower()
    train_tokenizer(texts, 2048)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def main() -> None:
    texts = [text for source in SOURCES for text in clean(load_data(source))[0]["train"]["text"]]
    n_bytes = sum(len(text.encode()) for text in texts)
    print(f"{len(texts):,} sentences, {n_bytes / 1e6:.2f} MB, {os.cpu_count()} cores, {ROUNDS} rounds")

    def trainers():
        return {"ours": lambda: BPE.train(texts, 2048),
                "tokenizers, all cores": lambda: train_with_library(texts, True),
                "tokenizers, one core": lambda: train_with_library(texts, False)}
    slowest = show("training, 2,048 tokens", measure(trainers), n_bytes)
    print(f"  ours takes {slowest:.2f} times as long as the faster of them (at most {MOST} wanted)")
    assert slowest <= MOST, f"training takes {slowest:.2f} times as long as tokenizers, and may take {MOST}"

    with tempfile.TemporaryDirectory() as folder:
        vocab, merges = map(str, gpt2_files(folder))
        reference = tiktoken.Encoding("gpt2", pat_str=r50k_pat_str, special_tokens={END: 50256},
                                      mergeable_ranks=data_gym_to_mergeable_bpe_ranks(merges, vocab))
        save_tokenizer_json(load_gpt2_files(vocab, merges), f"{folder}/tokenizer.json")

        def encoders(warm: bool = False):
            ours, library = load_gpt2_files(vocab, merges), Tokenizer.from_file(f"{folder}/tokenizer.json")
            tasks = {"ours": lambda: [ours.encode(text) for text in texts],
                     "tiktoken": lambda: [reference.encode(text, allowed_special="all") for text in texts],
                     "tokenizers": lambda: [library.encode(text).ids for text in texts]}
            found = [task() for task in tasks.values()] if warm else []
            assert all(ids == found[0] for ids in found)
            return tasks
        show("encoding, cold", measure(encoders), n_bytes)
        show("encoding, warm", measure(lambda: encoders(warm=True)), n_bytes)


if __name__ == "__main__": main()
