"""Fine-tuning MiniLM with our loop beside `transformers.Trainer` with its defaults: sentences a second and quality.

Usage: python bench/finetuning.py [THREADS] [EPOCHS]    1 and 2 unless told; some ten minutes, EPOCHS 0: two minutes
       LLMCOURSE_PRECISION=fp32 python bench/finetuning.py     as on a processor without bf16

First speed. A round draws 320 training sentences, and each arm fine-tunes on them once, in turn, so that a busy machine
slows all alike; the table gives medians of the rounds, and the median of the ratios within a round. Loading the model
and cutting the text into tokens are not timed. Four arms tell where the difference comes from. The defaults are
fp32 and random batches, padded to their longest by `DataCollatorWithPadding`. Ours sorts by length in twenty batches,
and takes bf16 autocast where the processor is built for it. The other two arms are ours without bf16, and the Trainer
told to do both.

Then quality. Both fine-tune on all training sentences for EPOCHS passes, from the same weights, with the same rate,
decay and batch size. They are compared on the validation sentences, with an interval by review.
"""
import sys
import tempfile
from dataclasses import replace
from statistics import median

import datasets
import numpy as np
import torch
import transformers
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from llmcourse.data import load_data
from llmcourse.evaluation import paired_difference, predict_probabilities, score
from llmcourse.finetuning import FINE_TUNING
from llmcourse.preparation import prepare
from llmcourse.preprocessing import clean
from llmcourse.pretrained import draw_reviews, load_pretrained
from llmcourse.training import ClassificationBatches, native_precision, train

from _timing import seconds

ROUNDS, BATCH, CONTEXT, RATE = 5, 16, 64, 1e-4
SENTENCES = 20 * BATCH      # as many as our batches are sorted within
CONFIG = replace(FINE_TUNING, learning_rate=RATE)


def start() -> tuple:
    "MiniLM with the same new head every time."
    return load_pretrained("minilm", seed=0)


def ours(split, epochs: int, seed: int, precision: str = "auto"):
    "A model, and the task that trains it with the course's loop."
    model, tokenizer = start()
    p = prepare(split, tokenizer, CONTEXT)
    def task():
        batches = ClassificationBatches(p.sequences, p.labels, BATCH, epochs, tokenizer.pad_token_id, CONTEXT, seed)
        train(model, batches, replace(CONFIG, seed=seed, precision=precision))
    return model, task


def theirs(split, epochs: int, seed: int, **settings):
    "A model, and the task that trains it with the Trainer."
    model, tokenizer = start()
    rows = split.map(lambda row: tokenizer(row["text"], truncation=True, max_length=CONTEXT),
                     remove_columns=[name for name in split.column_names if name != "label"])
    arguments = TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=epochs, per_device_train_batch_size=BATCH, learning_rate=RATE, seed=seed,
        weight_decay=CONFIG.weight_decay, warmup_steps=CONFIG.warmup, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True, **settings)
    trainer = Trainer(model, arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))
    trainer.remove_callback(PrinterCallback)
    return model, trainer.train


def arms(precision: str) -> dict:
    "By name: a function of a split, the passes over it and a seed, that gives a model and the task of training it."
    both = dict(train_sampling_strategy="group_by_length", bf16=precision == "bf16",
                use_cpu=not torch.cuda.is_available())
    found = {"Trainer, its defaults": theirs, "ours": ours, "ours, in fp32": lambda *a: ours(*a, precision="fp32"),
             "Trainer, by length and bf16": lambda *a: theirs(*a, **both)}
    if precision == "fp32":
        del found["ours, in fp32"]
        found["Trainer, by length"] = found.pop("Trainer, by length and bf16")
    return found


def padding_share(lengths: list[list[int]]) -> float:
    "The share of padding in batches of so long sentences."
    return 1 - sum(map(sum, lengths)) / sum(max(batch) * len(batch) for batch in lengths)


def speed(split, precision: str) -> None:
    "Print the table of the arms."
    groups, rounds = np.array(split["group"]), []
    for number in range(ROUNDS + 1):                    # the first is to warm up
        some = split.select(draw_reviews(groups, SENTENCES, seed=number)[0])
        rounds.append({name: seconds(arm(some, 1, number)[1]) for name, arm in arms(precision).items()})
    rounds = rounds[1:]
    _, tokenizer = start()
    p = prepare(split, tokenizer, CONTEXT)
    lengths, order = [len(s) for s in p.sequences], np.random.default_rng(0).permutation(len(p.sequences))
    at_random = [[lengths[i] for i in order[k:k + BATCH]] for k in range(0, len(order), BATCH)]
    sorted_ = ClassificationBatches(p.sequences, p.labels, BATCH, 1, 0, CONTEXT)
    by_length = [sorted_(step)["attention_mask"].sum(1).tolist() for step in range(len(sorted_))]
    padding = [f"{padding_share(batches):.0%}" for batches in (at_random, by_length)]
    print(f"padding: {padding[0]} of the tokens in random order, {padding[1]} sorted by length")
    print(f"\n{'':28} {'sentences/s':>12}   ours is")
    for name in rounds[0]:
        ratios, middle = [times[name] / times["ours"] for times in rounds], median(times[name] for times in rounds)
        print(f"{name:28} {SENTENCES / middle:12.1f}   {median(ratios):.2f} times as fast "
              f"({min(ratios):.2f} to {max(ratios):.2f})")
    if "ours, in fp32" in rounds[0]:
        ratios = [times["Trainer, its defaults"] / times["ours, in fp32"] for times in rounds]
        print(f"without bf16, as on an older processor, ours is {median(ratios):.2f} times as fast as the Trainer")


def quality(reviews, epochs: int) -> None:
    "Fine-tune with both on all training sentences, and compare on validation."
    split, tokenizer, said = reviews["validation"], start()[1], {}
    truth, groups = np.array(split["label"]), np.array(split["group"])
    print(f"\nall {len(reviews['train']):,} training sentences, {epochs} passes; validation, {len(split)} sentences")
    for name, arm in (("Trainer, its defaults", theirs), ("ours", ours)):
        model, task = arm(reviews["train"], epochs, 0)
        spent = seconds(task)
        said[name] = predict_probabilities(model, tokenizer, list(split["text"])).argmax(-1)
        print(f"{name:28} {epochs * len(reviews['train']) / spent:12.1f} sentences/s, "
              f"macro-F1 {score(truth, said[name])['macro_f1']:.3f}")
    ahead, low, high = paired_difference(truth, said["ours"], said["Trainer, its defaults"], groups=groups)
    print(f"ours is {ahead:+.3f} ahead, 95 % interval by review {low:+.3f} to {high:+.3f}")


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]] + [1, 2][len(sys.argv) - 1:]
    torch.set_num_threads(numbers[0])
    datasets.disable_progress_bars()
    reviews, precision = clean(load_data("amazon"))[0], native_precision()
    print(f"MiniLM, batches of {BATCH} sentences of at most {CONTEXT} tokens, ours in {precision}, "
          f"{torch.get_num_threads()} thread(s), {ROUNDS} rounds of {SENTENCES} sentences, torch {torch.__version__}, "
          f"transformers {transformers.__version__}")
    speed(reviews["train"], precision)
    if numbers[1]: quality(reviews, numbers[1])


if __name__ == "__main__": main()
