"""How far does a classifier from scratch go? One idea after another, each beside the plain classifier of the course.

Usage: python experiments/from_scratch.py          half an hour on one core; interrupt it, the same command goes on
       python experiments/from_scratch.py --table  the table of the stored record, at once

Every idea changes one thing about the plain classifier: the stored GPT, then three passes over the labelled reviews.
Each is trained with three seeds and judged on the validation reviews; its difference to the plain one is paired, with
a 95 % interval from a bootstrap over whole reviews. Last comes the best one with a GPT in it, as the validation
reviews have it, once, on the test reviews, beside VADER, TF-IDF and one human. The answers are kept in
runs/from_scratch and the record in llmcourse/measured/from_scratch.json.
"""
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import concatenate_datasets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from _store import MEASURED, write
from llmcourse.data import LABELS, atomic_path, label_of, load_data
from llmcourse.evaluation import (bootstrap_interval, human_baseline, paired_difference, predict_probabilities, score,
                                  tfidf_baseline, vader_baseline)
from llmcourse.model import Classifier, Output, load_checkpoint
from llmcourse.preprocessing import clean
from llmcourse.pretrained import course_gpt
from llmcourse.road import load_corpus, pretrain
from llmcourse.training import ClassificationBatches, TrainingConfig, get_scale, provenance, train

SEEDS, WORDS = (0, 1, 2), "bag of words (TF-IDF) alone"
RUNS = Path("runs")/"from_scratch"
RECORD = MEASURED/"from_scratch.json"


@dataclass(frozen=True)
class Idea:
    "What is done differently from the plain classifier."
    what: str
    start: str = "course"         # weights to begin with: the stored GPT; its shorter pre-training; random ones
    labels: float = 1.0           # weight of the cross-entropy with the label
    shares: float = 0.0           # weight of the cross-entropy with the raters' shares of the three labels
    numbers: float = 0.0          # the same for the raters' shares of the nine numbers, on a second head
    rating: float = 0.0           # weight of the squared error of the mean rating, on a second head
    films: bool = False           # labelled film reviews among the product reviews
    hidden: float = 0.0           # share of tokens replaced by a random one in training
    dropout: float = 0.2
    epochs: int = 3


IDEAS = {
    "plain": Idea("the stored GPT, three passes, cross-entropy"),
    "random": Idea("no pre-training", start="random"),
    "shorter": Idea("pre-trained for 1,500 steps", start="shorter"),
    "soft": Idea("soft labels: the raters' shares of the three labels", labels=0.0, shares=1.0),
    "rating": Idea("multi-task: the mean rating beside the label", rating=0.2),
    "numbers": Idea("multi-task: each rater's number beside the label", numbers=1.0),
    "films": Idea("labelled film reviews as well", films=True),
    "hidden": Idea("a tenth of the tokens replaced in training", hidden=0.1),
    "dropout": Idea("dropout 0.4, twice the passes", dropout=0.4, epochs=6),
    "both": Idea("each rater's number, dropout 0.4, twice the passes", numbers=1.0, dropout=0.4, epochs=6),
}


def shares(given: list[list[int]], n: int) -> Tensor:
    "The share of each of n answers among those given: (rows, n)."
    return torch.tensor(np.array([np.bincount(row, minlength=n) / len(row) for row in given]), dtype=torch.float)


class Taught(nn.Module):
    "A classifier and what it is taught: called with row numbers in the place of labels, it looks the targets up."
    def __init__(self, classifier: Classifier, idea: Idea, rows: list[dict], random_ids: int):
        super().__init__()
        self.classifier, self.idea, self.random_ids = classifier, idea, random_ids
        width = classifier.config.d_model
        self.second = nn.Linear(width, 9 if idea.numbers else 1)
        nn.init.normal_(self.second.weight, std=0.02)
        self.label = torch.tensor([row["label"] for row in rows])                            # (rows,)
        self.mean = torch.tensor([row["rating"] for row in rows])                              # (rows,)
        self.sides = shares([[label_of(r) for r in row["ratings"]] for row in rows], 3)        # (rows, 3)
        self.numbers = shares([[r + 4 for r in row["ratings"]] for row in rows], 9)            # (rows, 9)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Output:
        if self.idea.hidden:
            chosen = torch.rand(input_ids.shape) < self.idea.hidden
            input_ids = torch.where(chosen, torch.randint(2, self.random_ids, input_ids.shape), input_ids)
        hidden = self.classifier.model(input_ids)                                              # (batch, time, width)
        pooled = hidden[torch.arange(len(hidden)), attention_mask.sum(1) - 1]                  # (batch, width)
        logits, second, idea = self.classifier.score(pooled).float(), self.second(pooled).float(), self.idea
        loss = idea.labels * F.cross_entropy(logits, self.label[labels])
        if idea.shares: loss = loss + idea.shares * F.cross_entropy(logits, self.sides[labels])
        if idea.numbers: loss = loss + idea.numbers * F.cross_entropy(second, self.numbers[labels])
        if idea.rating: loss = loss + idea.rating * F.mse_loss(second[:, 0], self.mean[labels])
        return Output(loss, logits)


def start_from(idea: Idea, seed: int) -> tuple:
    "The classifier before it has seen a label, and its tokenizer."
    scale, folder = get_scale("laptop"), course_gpt()
    if idea.start == "shorter": folder = pretrain(load_corpus(scale), scale, 0, RUNS/"language_model")
    lm, tokenizer = load_checkpoint(folder)
    torch.manual_seed(seed)
    model = Classifier.from_language_model(lm, LABELS, dropout=idea.dropout)
    return (Classifier(model.config, LABELS) if idea.start == "random" else model), tokenizer


def answer(idea: Idea, seed: int, reviews, films) -> dict[str, list]:
    "Train one classifier; its probabilities for the validation and the test reviews."
    model, tokenizer = start_from(idea, seed)
    split = concatenate_datasets([reviews["train"], films["train"]]) if idea.films else reviews["train"]
    taught = Taught(model, idea, list(split), len(tokenizer))
    sequences, row_numbers = tokenizer(list(split["text"]))["input_ids"], list(range(len(split)))
    batches = ClassificationBatches(sequences, row_numbers, 32, idea.epochs, tokenizer.pad_token_id,
                                    model.config.context, seed)
    train(taught, batches, TrainingConfig(learning_rate=1e-3, seed=seed), title=f"{idea.what}, seed {seed}")
    return {name: predict_probabilities(model.eval(), tokenizer, list(reviews[name]["text"])).round(5).tolist()
            for name in ("validation", "test")}


def all_answers(reviews, films) -> dict[tuple[str, int], dict]:
    "The answers of every idea and seed; those in `RUNS` are not made again."
    found, gpt = {}, hashlib.sha256((course_gpt()/"model.safetensors").read_bytes()).hexdigest()[:8]
    for name, idea in IDEAS.items():
        for seed in SEEDS:
            file = RUNS/f"{name.replace(' ', '_')}-{seed}-{gpt}.json"
            if not file.exists():
                with atomic_path(file) as scratch: scratch.write_text(json.dumps(answer(idea, seed, reviews, films)))
            found[name, seed] = json.loads(file.read_text())
    return found


def bag_of_words(reviews) -> dict[str, np.ndarray]:
    "The probabilities of the TF-IDF baseline, with the settings of `tfidf_baseline`."
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=2.0, class_weight="balanced", solver="newton-cg")
    model.fit(words.fit_transform(list(reviews["train"]["text"])), np.array(reviews["train"]["label"]))
    return {name: model.predict_proba(words.transform(list(reviews[name]["text"]))) for name in ("validation", "test")}


def systems(answers: dict, words: dict, split: str) -> dict[str, np.ndarray]:
    "What every idea says, and every mixture of classifiers: labels, a row a seed."
    p = {name: np.array([answers[name, seed][split] for seed in SEEDS]) for name in IDEAS}          # (seeds, n, 3)
    every_seed = lambda one: np.tile(one, (len(SEEDS), 1, 1))
    everyone = every_seed(np.mean([p[name].mean(0) for name in IDEAS if name != "random"], axis=0))
    mixtures = {"ensemble of the three plain ones": every_seed(p["plain"].mean(0)),
                "ensemble of all that were pre-trained": everyone,
                WORDS: every_seed(words[split]),
                "plain and bag of words, mean of both": (p["plain"] + words[split]) / 2,
                "that ensemble and bag of words, mean of both": (everyone + words[split]) / 2}
    return {name: q.argmax(-1) for name, q in ({IDEAS[name].what: q for name, q in p.items()} | mixtures).items()}


def judge(said: dict[str, np.ndarray], split, plain: str) -> list[dict]:
    "Macro-F1 of each system, mean over the seeds, and its paired difference to the plain one."
    truth, groups = np.tile(list(split["label"]), len(SEEDS)), np.tile(list(split["group"]), len(SEEDS))
    rows = []
    for name, labels in said.items():
        each = [score(list(split["label"]), one)["macro_f1"] for one in labels]
        pooled = labels.ravel()
        rows.append({"system": name, "macro_f1": float(np.mean(each)), "spread": float(np.std(each)),
                     "interval": bootstrap_interval(truth, pooled, groups=groups),
                     "recall_negative": score(truth, pooled)["recall_negative"],
                     "minus_plain": paired_difference(truth, pooled, said[plain].ravel(), groups=groups)})
    return rows


def on_test(said: dict, chosen: str, plain: str, reviews) -> list[dict]:
    "The plain classifier and the chosen system on the test reviews, beside what others say."
    texts = list(reviews["test"]["text"])
    others = {"VADER": vader_baseline(), WORDS: tfidf_baseline(reviews["train"])}
    others = {name: np.tile(predict(texts), (len(SEEDS), 1)) for name, predict in others.items()}
    rows = judge({plain: said[plain], chosen: said[chosen]} | others, reviews["test"], plain)
    truth, human = human_baseline(reviews["test"], draws=20)
    groups = np.tile(list(reviews["test"]["group"]), 20)
    return rows + [{"system": "one human", "macro_f1": score(truth, human)["macro_f1"],
                    "interval": bootstrap_interval(truth, human, groups=groups),
                    "recall_negative": score(truth, human)["recall_negative"]}]


def show(record: dict) -> None:
    "The record as two tables."
    for title, rows in record["tables"].items():
        print(f"\n{title:50} {'macro-F1 (95 %)':>18} {'seeds':>8} {'recall neg.':>11}   minus plain")
        for row in rows:
            low, high = row["interval"]
            change = "{:+.3f} ({:+.3f} to {:+.3f})".format(*row["minus_plain"]) if "minus_plain" in row else ""
            spread = f"{row['spread']:.3f}" if "spread" in row else ""
            print(f"{row['system']:50} {row['macro_f1']:6.3f} ({low:.2f}-{high:.2f}) {spread:>8} "
              f"{row['recall_negative']:11.2f}   {change}")


def main() -> None:
    if "--table" in sys.argv: return show(json.loads(RECORD.read_text()))
    torch.set_num_threads(1)
    reviews, films = clean(load_data("amazon"))[0], clean(load_data("movies"))[0]
    answers, words = all_answers(reviews, films), bag_of_words(reviews)
    plain = IDEAS["plain"].what
    validation = judge(systems(answers, words, "validation"), reviews["validation"], plain)
    with_gpt = [row for row in validation if row["system"] not in (plain, WORDS)]
    chosen = max(with_gpt, key=lambda row: row["macro_f1"])["system"]
    record = {"about": provenance("python experiments/from_scratch.py", SEEDS, chosen=chosen),
              "tables": {"validation reviews": validation,
                         "test reviews": on_test(systems(answers, words, "test"), chosen, plain, reviews)}}
    write(RECORD, record)
    show(record)


if __name__ == "__main__":
    main()
