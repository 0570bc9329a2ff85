"""Human feedback by two processes: reward model, GRPO, DPO and an anchored classifier end with one process's weights.

The batches are such that a split row by row would tear pairs apart, or leave one process with more than the other.
"""
import os
import socket
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from conftest import run

LINES = ["the lamp is bright and stays cool", "it stopped on day three", "comes with a cable and two screws",
         "fair for what it costs"]


def weights_after(job: str) -> dict[str, torch.Tensor]:
    "The weights before and after a small run: names with `before.` and `after.`."
    from datasets import Dataset
    from llmcourse.customization import Anchor
    from llmcourse.model import Classifier, GPTConfig, LanguageModel
    from llmcourse.rlhf import DPOConfig, GRPOConfig, dpo, grpo, rank_samples, train_reward_model
    from llmcourse.tokenizer import train_tokenizer
    from llmcourse.training import ClassificationBatches, TrainingConfig, train
    tokenizer = train_tokenizer(LINES * 3, 300)
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=len(tokenizer), d_model=32, n_layers=2, n_heads=4, d_ff=64, context=48, dropout=0.1)
    model = LanguageModel(shape)
    likes_e = lambda texts: np.array([float(text.count("e")) for text in texts])
    texts = [f"{LINES[i % 4]} {i}" for i in range(41)]
    prompts = torch.tensor([[0, 5, 9], [0, 7, 33], [0, 60, 61], [0, 8, 8], [0, 44, 45]])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    if job == "reward":
        rated = Dataset.from_dict({"text": texts, "ratings": [[i % 7 - 3] * 3 for i in range(41)]})
        before, trained = {}, train_reward_model(model, tokenizer, rated, epochs=2, seed=1)[0]
    elif job == "grpo":
        trained = model
        grpo(model, tokenizer, likes_e, prompts, GRPOConfig(steps=3, prompts=3, group=3, max_new_tokens=6))
    elif job == "dpo":
        trained = model
        pairs = rank_samples(model, tokenizer, likes_e, prompts, 4, 8, 0)
        dpo(model, pairs, DPOConfig(steps=4, batch_size=3, learning_rate=1e-3))
    else:
        trained = Classifier.from_language_model(model, ["a", "b", "c"], dropout=0.0)
        before, anchor = {name: p.detach().clone() for name, p in trained.named_parameters()}, Anchor(trained, 5.0)
        rows = ClassificationBatches(tokenizer(texts[:15])["input_ids"], [i % 3 for i in range(15)], 5, 2, 1, 24)
        train(trained, rows, TrainingConfig(precision="fp32", learning_rate=1e-3))
        anchor.release()
    after = {f"after.{name}": p.detach().cpu().clone() for name, p in trained.named_parameters()}
    return after | {f"before.{name}": p for name, p in before.items()}


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": "",
                        "OMP_NUM_THREADS": "1", "LLMCOURSE_PRECISION": "fp32"}
    for count in (1, 2):
        launch = ("-m", "torch.distributed.run", "--nproc_per_node", count, "--master_port", port) if count > 1 else ()
        run(sys.executable, *launch, Path(__file__).resolve(), tmp_path/str(count), env=env, timeout=300)
    for job in JOBS:
        one, two = (load_file(tmp_path/str(count)/f"{job}.safetensors") for count in (1, 2))
        names = [name.removeprefix("after.") for name in one if name.startswith("after.")]
        apart = sum(float((one[f"after.{name}"] - two[f"after.{name}"]).square().sum()) for name in names) ** 0.5
        moved = sum(float((one[f"after.{name}"] - one.get(f"before.{name}", 0)).square().sum()) for name in names)**0.5
        assert apart < 1e-2 * moved, f"{job}: two processes are {apart:.2g} from one, which moved by {moved:.2g}"


JOBS = "reward", "grpo", "dpo", "anchored"

if __name__ == "__main__":
    from accelerate import PartialState
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name in JOBS:
        found = weights_after(name)
        found = {key: tensor.contiguous() for key, tensor in found.items()}
        if PartialState().is_main_process: save_file(found, folder/f"{name}.safetensors")
