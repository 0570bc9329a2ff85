"""Two processes that share every batch end with the weights of one, whatever the sizes of their shares."""
import json
import os
import socket
from pathlib import Path

import pytest
from conftest import build_once, run, tool

JOBS = """
import json, sys
import torch
from accelerate import PartialState
from torch import nn
from llmcourse.model import Classifier, GPTConfig, LanguageModel, Output
from llmcourse.training import ClassificationBatches, LanguageModelBatches, TrainingConfig, train

CONFIG = TrainingConfig(precision="fp32", learning_rate=1e-3, save_every=1)
SHAPE = GPTConfig(vocab_size=50, d_model=32, n_layers=2, n_heads=2, d_ff=64, context=16)
TEXTS = [[i * j % 47 + 1 for j in range(3 + i % 7)] for i in range(1, 18)]     # 17 texts of 3 to 9 tokens

def sentences(size=8): return ClassificationBatches(TEXTS, [i % 3 for i in range(17)], size, 2, 0, 16)

def model(kind):
    torch.manual_seed(0)
    return Classifier(SHAPE, ["a", "b", "c"]) if kind == "classifier" else LanguageModel(SHAPE)

class Masked:
    "Sentences for a language model, padded by turns on each side; the padding is told by the mask alone."
    def __init__(self): self.rows = sentences(5)
    def __len__(self): return len(self.rows)
    def __call__(self, step):
        batch = self.rows(step)
        ids, mask = (batch[name] for name in ("input_ids", "attention_mask"))
        if step % 2: ids, mask = ids.flip(1), mask.flip(1)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids}

class Pairs(nn.Module):
    "A judge whose loss is a mean over pairs of rows."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.score = nn.Embedding(50, 8), nn.Linear(8, 1)
    def forward(self, input_ids, better, worse):
        said = self.score(self.words(input_ids).mean(1))[:, 0]
        return Output(nn.functional.softplus(said[worse] - said[better]).mean(), said)

class PairBatches:
    "Batches of sentences with pairs of them; a process gets whole pairs, and the last batch has one pair only."
    def __len__(self): return 3
    def fingerprint(self): return "pairs"
    def __call__(self, step):
        pairs = torch.tensor([[0, 1], [1, 2], [3, 0], [4, 2], [2, 3]])[:1 if step == 2 else 5]
        ids = torch.tensor([[i * (step + 2) % 47 + j for j in range(4)] for i in range(5)])
        return {"input_ids": ids, "better": pairs[:, 0], "worse": pairs[:, 1]}
    def split(self, batch, index, count):
        mine = {name: batch[name][index::count] for name in ("better", "worse")}
        return batch | mine, len(mine["better"])

def late(name, progress): return float(progress > 0.4 or "embed" not in name)

def resumed(folder):
    "Three steps, then the rest from the saved state."
    for stop in (3, None):
        last = model("classifier")
        train(last, sentences(), CONFIG, f"{folder}/state", callbacks=[lambda history: len(history) == stop])
    return last, []

def job(name, folder):
    if name == "resumed": return resumed(folder)
    trained, batches, share = {
        "a last batch of one row": (model("classifier"), sentences(), None),
        "batches of one row": (model("classifier"), sentences(1), None),
        "uneven tokens": (model("writer"), Masked(), None),
        "windows": (model("writer"), LanguageModelBatches(TEXTS, 16, 3, 4), None),
        "frozen for a while": (model("classifier"), sentences(), late),
        "pairs": (Pairs(), PairBatches(), None)}[name]
    return trained, train(trained, batches, CONFIG, rate_share=share)

found = {}
for name in sys.argv[2:]:
    trained, history = job(name, sys.argv[1])
    found[name] = {"weights": [p.detach().flatten().tolist() for p in trained.parameters()],
                   "losses": [row["loss"] for row in history], "tokens": [row["tokens"] for row in history]}
if PartialState().is_main_process: open(f"{sys.argv[1]}/found.json", "w").write(json.dumps(found))
"""
NAMES = ["a last batch of one row", "batches of one row", "uneven tokens", "windows", "frozen for a while", "pairs",
         "resumed"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[int, dict]:
    "What one process and two processes found, for every job."
    def build(folder: Path) -> None:
        (folder/"jobs.py").parent.mkdir(parents=True)
        (folder/"jobs.py").write_text(JOBS)
        env = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
                            "ACCELERATE_USE_CPU": "true"}
        for processes in (1, 2):
            (folder/str(processes)).mkdir()
            launch = (tool("accelerate"), "launch", "--cpu", "--num_processes", processes, "--num_machines", 1,
                      "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", free_port())
            run(*launch, folder/"jobs.py", folder/str(processes), *NAMES, env=env, timeout=300)
    folder = build_once(tmp_path_factory, "processes", build)
    return {n: json.loads((folder/str(n)/"found.json").read_text()) for n in (1, 2)}


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_with_the_weights_of_one(found, name):
    one, two = found[1][name], found[2][name]
    worst = max(
        abs(a - b) for p, q in zip(one["weights"], two["weights"], strict=True) for a, b in zip(p, q, strict=True)
    )
    assert worst < 1e-4 and one["tokens"] == two["tokens"]
    assert max([abs(a - b) for a, b in zip(one["losses"], two["losses"], strict=True)], default=0) < 1e-4


def test_an_interrupted_run_of_two_processes_ends_like_one_that_was_not(found):
    assert found[2]["resumed"]["weights"] == found[2]["a last batch of one row"]["weights"]
