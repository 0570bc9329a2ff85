"""Draw the picture of the front page, nbs/images/roads.svg, from the stored runs: what each road reached.

Usage: python tools/front_page.py
"""
from pathlib import Path

import matplotlib
import numpy as np

from llmcourse.data import LABELS, load_data
from llmcourse.encoders import answers_of, judged, panel_baseline, runs_of
from llmcourse.evaluation import bootstrap_interval, score, tfidf_baseline
from llmcourse.objectives import read_measured
from llmcourse.preprocessing import clean

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402, after the choice of the backend

PICTURE = Path(__file__).resolve().parent.parent/"nbs"/"images"/"roads.svg"
COLOURS = {"baseline": "#6b7280", "from scratch": "#b35c00", "prompting": "#7a3e9d", "fine-tuning": "#1a4fa0",
           "customization": "#2f7d4f", "people": "#111827"}


def systems(reviews) -> list[tuple[str, str, dict]]:
    "Kind, name and score of each system on the test reviews; every interval is drawn over whole reviews."
    test, compared = reviews["test"], read_measured("comparison")["rows"]
    runs = lambda technique: np.array([row["answers"] for row in compared if row["technique"] == technique])
    prompted = next(row for row in read_measured("prompting")["rows"] if row["name"] == "test zero-shot")
    zero_shot = np.array(prompted["probabilities"].split(), float).reshape(-1, len(LABELS)).argmax(1)
    counted = tfidf_baseline(reviews["train"])(test["text"])
    return [("baseline", "a count of words (TF-IDF)", judged(test, np.array([counted]))),
            ("from scratch", "our own GPT, 1 M weights", judged(test, runs("from scratch"))),
            ("prompting", "Qwen 0.5 B, asked without examples", judged(test, zero_shot[None])),
            ("fine-tuning", "MiniLM, all 23 M weights", judged(test, answers_of(runs_of("minilm, seed")))),
            ("customization", "MPNet, LoRA: 0.5 % of 109 M", judged(test, answers_of(runs_of("mpnet lora, seed")))),
            ("fine-tuning", "MPNet, all 109 M weights", judged(test, answers_of(runs_of("mpnet, seed")))),
            ("people", "one human rater", panel(test, 1)), ("people", "ten human raters", panel(test, 10))]


def panel(test, raters: int) -> dict:
    "The score of some raters against the mean of all others."
    truth, said = panel_baseline(test, raters)
    low, high = bootstrap_interval(truth, said, groups=np.tile(test["group"], len(said) // len(test)))
    return {"mean": score(truth, said)["macro_f1"], "low": low, "high": high}


def main() -> None:
    rows = systems(clean(load_data("amazon"))[0])
    plt.rcParams.update({"svg.hashsalt": "llmcourse", "svg.fonttype": "none", "font.family": "sans-serif",
                         "font.size": 12})
    fig, ax = plt.subplots(figsize=(9, 4.4), layout="constrained")
    for place, (kind, name, found) in enumerate(rows):
        ax.barh(place, found["mean"], color=COLOURS[kind], height=0.62)
        ax.plot([found["low"], found["high"]], [place, place], color="#f59e0b", linewidth=3, solid_capstyle="butt")
        ax.text(0.01, place, f"{name}", va="center", color="white", fontsize=11)
        ax.text(1.01, place, f"{found['mean']:.2f}", va="center", ha="right")
        print(f"{kind:14} {name:36} {found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})")
    ax.set(yticks=range(len(rows)), yticklabels=[kind for kind, *_ in rows], xlim=(0, 1.02),
           xticks=np.arange(0, 1, 0.2),
           xlabel="macro-F1 on test reviews (mean of three seeds); orange: 95 % interval over reviews")
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title("One problem on every road: from counting words to one human rater", loc="left")
    fig.savefig(PICTURE, metadata={"Date": None, "Creator": None})


if __name__ == "__main__": main()
