"""Training our GPT beside `transformers`' Llama of the same shape: tokens a second, and the share of the peak.

Usage: python bench/training.py [THREADS]             1 unless told; about a minute
       python bench/training.py [THREADS] --compile   ours through torch.compile as well; some minutes

Both have the laptop scale's shape and the same weights, take the same batches of real reviews through the same
optimizer in the same precision (bf16 autocast where the processor is built for it, else fp32), and must give the same
loss and gradient first. A step is forward, backward, AdamW. A round runs each for a few steps, in turn, so that a busy
machine slows all alike; the table gives medians of the rounds, and the median of the ratios within a round.

The peak is what large matrix products reach here in that precision. A step's work is counted as is usual (Chowdhery et
al. 2022): 6 operations a parameter and token, and 12 x layers x context x width a token for attention.
"""
import sys
from pathlib import Path
from statistics import median

import torch
import transformers
from transformers import LlamaForCausalLM

import llmcourse
from llmcourse.data import load_data
from llmcourse.model import LanguageModel, forward_flops, llama_config, load_checkpoint
from llmcourse.training import LanguageModelBatches, TrainingConfig, get_scale, make_optimizer, native_precision

from _timing import seconds

ROUNDS, STEPS = 15, 3
FOLDER = Path(llmcourse.__file__).parent/"course_gpt"


def real_batches(scale) -> LanguageModelBatches:
    "Windows of the product reviews, in the tokens of the course's GPT."
    _, tokenizer = load_checkpoint(FOLDER)
    sequences = tokenizer(list(load_data("amazon")["train"]["text"]))["input_ids"]
    return LanguageModelBatches(sequences, scale.context, scale.batch_size, steps=ROUNDS * STEPS)


def loss_of(model, batch, precision: str) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"): return model(**batch).loss


def check(ours, theirs, batch, precision: str) -> None:
    "Both give the same loss and the same gradients, exactly in fp32 and within the grain of the precision used."
    for how, allowed in (("fp32", 1e-5), (precision, 1e-2 if precision == "bf16" else 1e-5)):
        losses = [loss_of(model, batch, how) for model in (ours, theirs)]
        for loss in losses: loss.backward()
        pairs = [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
        off = max(((a - b).norm() / b.norm()).item() for a, b in pairs)
        print(f"{how}: loss {losses[0].item():.6f}, Llama {losses[1].item():.6f}; "
              f"gradients differ by at most {off:.1e} of their length")
        assert abs(losses[0].item() - losses[1].item()) < allowed and off < 10 * allowed
        for model in (ours, theirs): model.zero_grad()


def trainer(model, batches, precision: str):
    "A task: the next few steps of a run."
    optimizer, step = make_optimizer(model, TrainingConfig(learning_rate=1e-4)), iter(range(10**9))

    def task():
        for _ in range(STEPS):
            loss_of(model, batches(next(step)), precision).backward()
            optimizer.step()
            optimizer.zero_grad()
    return task


def multiplier(precision: str, n: int = 2048):
    "A task, and the operations it takes: one product of two n x n matrices."
    a, b = (torch.randn(n, n).to(torch.bfloat16 if precision == "bf16" else torch.float32) for _ in range(2))
    return (lambda: a @ b), 2 * n**3


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    torch.set_num_threads(numbers[0] if numbers else 1)
    scale, precision = get_scale("laptop"), native_precision()
    config, batches = scale.model_config(scale.vocab_size, dropout=0.0), real_batches(scale)
    torch.manual_seed(0)
    ours = LanguageModel(config)
    theirs = LlamaForCausalLM(llama_config(config, use_cache=False)).train()
    theirs.load_state_dict(ours.state_dict())
    tokens = STEPS * scale.batch_size * scale.context
    flops_a_token = 3 * forward_flops(config, 1, scale.context) / scale.context # backward costs two forwards
    print(f"{sum(p.numel() for p in ours.parameters()):,} parameters, batches of {scale.batch_size} x {scale.context}, "
          f"{precision}, {torch.get_num_threads()} thread(s), {ROUNDS} rounds of {STEPS} steps, "
          f"torch {torch.__version__}, transformers {transformers.__version__}")
    check(ours, theirs, batches(0), precision)

    product, operations = multiplier(precision)
    tasks = {"ours": trainer(ours, batches, precision), "transformers": trainer(theirs, batches, precision)}
    if "--compile" in sys.argv:
        twin = LanguageModel(config)
        twin.load_state_dict(ours.state_dict())
        tasks["ours, compiled"] = trainer(torch.compile(twin), batches, precision)
    tasks["matrix products"] = product
    first = {name: seconds(task) for name, task in tasks.items()}
    rounds = [{name: seconds(task) for name, task in tasks.items()} for _ in range(ROUNDS)]

    peak = operations / median(times["matrix products"] for times in rounds)
    print(f"\n{'':16} {'tokens/s':>9} {'ms a step':>10} {'of peak':>8}   ours is")
    for name in list(tasks)[:-1]:
        speed = tokens / median(times[name] for times in rounds)
        ratio = median(times[name] / times["ours"] for times in rounds)
        print(f"{name:16} {speed:9,.0f} {1000 * tokens / speed / STEPS:10.0f} {speed * flops_a_token / peak:8.1%}   "
              f"{ratio:.2f} times as fast")
    print(f"peak of matrix products in {precision}: {peak / 1e9:,.0f} GFLOP/s")
    if "--compile" in sys.argv: print(f"compiling, with the first {STEPS} steps, took {first['ours, compiled']:.0f} s")


if __name__ == "__main__": main()
