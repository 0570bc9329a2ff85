"Crowds of like texts cost linear time, opposites are no copies, the test loses no row, bad input costs itself."
import time

import pytest
from datasets import Dataset, DatasetDict

from llmcourse.applications import process_folder, split_sentences
from llmcourse.deduplication import (CROWD, contamination, count_negations, decontaminate, extra_copies,
                                     near_duplicates, ngram_overlap, normal_form, repeated_lines)
from llmcourse.pipeline import DOCUMENT_STEPS, SENTENCE_STEPS, Change, Drop, Pipeline
from llmcourse.tokenizer import BPE


def growth(function, make, n):
    "How many times as long four times the input takes; below a hundredth of a second the clock says nothing."
    def quickest(size):
        given, best = make(size), float("inf")
        for _ in range(2):
            start = time.process_time()
            function(given)
            best = min(best, time.process_time() - start)
        return best
    return quickest(4 * n) / max(quickest(n), 0.01)


bpe = BPE.train(["the battery is good", "好 字 !!"] * 3, 300)
LONG = {"normal form of signs": (normal_form, lambda n: "!. " * n, 20_000),
        "negations": (count_negations, lambda n: "no " * n, 20_000),
        "nested verbs": (count_negations, lambda n: "don " * n, 20_000),
        "signs without blanks": (split_sentences, lambda n: "!" * n, 2_000),
        "Chinese signs": (split_sentences, lambda n: "好!" * n, 2_000),
        "abbreviations": (split_sentences, lambda n: "a. " * n, 2_000),
        "empty lines": (split_sentences, lambda n: "\n \n" * n, 5_000),
        "overlap": (lambda text: ngram_overlap([text], [text]), lambda n: "字" * n, 5_000),
        "lines": (lambda text: repeated_lines([text], 1), lambda n: "\n".join(map(str, range(n))), 5_000),
        "stream of small pieces": (lambda text: list(bpe.encode_iterable(iter(text))), lambda n: "ab, " * n, 3_000),
        "stream of one word": (lambda text: list(bpe.encode_iterable(iter(text))), lambda n: "a" * n, 10_000)}

@pytest.mark.parametrize("name", LONG)
def test_long_texts(name):
    assert growth(*LONG[name]) < 10             # sixteen times, if it grew with the square


MANY = {"equal": lambda n: ["the same message over and over"] * n,
        "wordings": lambda n: [f"the same message over and over again, number {k}" for k in range(n)]}

@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("function", [near_duplicates, extra_copies, lambda texts: contamination(texts, texts)])
def test_many_alike(function, name):
    assert growth(function, MANY[name], 300) < 10


def test_crowds_lose_no_twin():
    "However often a test text is there, the training texts that resemble it are found."
    train, one = MANY["wordings"](500) + ["a text of its own"], "the same message over and over again, number 7!"
    alone, crowded = contamination(train, [one]), contamination(train, [one] * 60)
    assert {index for index, _ in crowded} == {index for index, _ in alone} and len(alone) > 300
    assert {index for _, index in crowded} == set(range(60)) and len(crowded) <= 2 * CROWD * (len(train) + 60)
    assert len(near_duplicates(train)) <= CROWD * 14 * len(train)


def test_opposites_stay():
    pair = ["The battery lasts and the screen is bright, so I would buy it again.",
            "The battery lasts and the screen is bright, so I wouldn't buy it again."]
    assert extra_copies(pair) == set() and contamination(pair[:1], pair[1:]) == []
    assert extra_copies([*pair, pair[0].upper(), pair[1] + "!!"]) == {2, 3}


def test_the_test_loses_no_row(tmp_path):
    texts = {"train": ["It broke after a week!", "Fine."], "validation": ["it broke after a week", "Fine!"],
             "test": ["It broke after a week.", "IT BROKE AFTER A WEEK", "Der Akku war nach zwei Wochen leer.",
                      "|=|;{}"]}
    data = DatasetDict({split: Dataset.from_dict({"text": rows}) for split, rows in texts.items()})
    for steps in (SENTENCE_STEPS, DOCUMENT_STEPS):
        kept, reports = Pipeline(steps, tmp_path)(data)
        assert len(kept["test"]) == 4 and sum(report.spared for report in reports) > 0
    assert len(decontaminate(data)[0]["test"]) == 4


def test_a_failing_step_is_reported_and_nothing_else_is_lost(tmp_path):
    data = DatasetDict(train=Dataset.from_dict({"text": ["fine", "bad", "well"]}),
                       test=Dataset.from_dict({"text": ["bad"]}))
    def fussy(text): return text if text != "bad" else 1 / 0
    kept, (report,) = Pipeline([Change(fussy)], tmp_path)(data)
    assert list(kept["train"]["text"]) == ["fine", "well"] and report.failed == 2 and len(kept["test"]) == 0
    kept, (report,) = Pipeline([Drop(fussy, spare=("test",))], tmp_path)(data)
    assert len(kept["test"]) == 1 and report.spared == 1


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        process_folder(tmp_path/"nowhere", tmp_path/"no classifier", tmp_path/"out.csv")
