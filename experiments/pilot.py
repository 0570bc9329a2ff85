"""The pilot of lessons 1 and 2: two simple systems on the sentences set aside for choosing. A minute, no model is
trained.

Usage: python experiments/pilot.py        writes llmcourse/measured/pilot.json

For each review of the validation split: its sentences, the complaints among them, and how many VADER, TF-IDF and both
get right; the confusion matrices; macro-F1 on validation sentences of other domains. Of the test split only the sizes
of the reviews are written down, and how many of their sentences are complaints. """

import numpy as np

from _store import MEASURED, write
from llmcourse.data import LABELS, load_data
from llmcourse.evaluation import count_confusions, score, tfidf_baseline, vader_baseline
from llmcourse.preprocessing import clean
from llmcourse.training import provenance

FILE = MEASURED/"pilot.json"


def reviews_of(split) -> dict[str, list[int]]:
    "The rows of each review, in order."
    found = {}
    for row, group in enumerate(split["group"]): found.setdefault(group, []).append(row)
    return found


def score_on(system, split) -> float:
    "Macro-F1 of a system on a split."
    return score(split["label"], system(list(split["text"])))["macro_f1"]


def measure() -> dict:
    "All that the two lessons read."
    data = {source: clean(load_data(source))[0] for source in ("amazon", "tweets", "editorials")}
    systems = {"VADER": vader_baseline(), "TF-IDF": tfidf_baseline(data["amazon"]["train"])}
    pilot, test = data["amazon"]["validation"], data["amazon"]["test"]
    truth = np.array(pilot["label"])
    said = {name: system(list(pilot["text"])) for name, system in systems.items()}
    vader, tfidf = (answers == truth for answers in said.values())
    rows = [{"sentences": len(rows), "complaints": int((truth[rows] == 0).sum()), "vader": int(vader[rows].sum()),
             "tfidf": int(tfidf[rows].sum()), "both": int((vader & tfidf)[rows].sum())}
            for rows in reviews_of(pilot).values()]
    labels = np.array(test["label"])
    return {
        "confusion": {name: count_confusions(truth, answers, len(LABELS)).tolist() for name, answers in said.items()},
        "elsewhere": {
            name: {source: score_on(system, data[source]["validation"]) for source in ("tweets", "editorials")}
            for name, system in systems.items()
        },
        "reviews": rows,
        "test": [[len(rows), int((labels[rows] == 0).sum())] for rows in reviews_of(test).values()],
    }


if __name__ == "__main__":
    found = {"about": provenance("python experiments/pilot.py", seeds=[])} | measure()
    write(FILE, found)
    print(f"wrote {FILE.name}: {len(found['reviews'])} reviews of the pilot, {len(found['test'])} of the test")
