"""What Evidently says of the windows of lesson 29: equal statistics, false alarms and power. Stored for lesson 29.

Evidently 0.7.23 (Apache-2.0, September 2026 on PyPI) brings some eighty packages, one gigabyte, and its drift tests
do not open with pandas 3. So it gets an environment of its own, which has neither torch nor llmcourse:

    PYTHONPATH=. python experiments/monitoring.py --windows build/windows.npz
    python -m venv build/evidently && build/evidently/bin/pip install evidently==0.7.23 "pandas<3"
    build/evidently/bin/python -W ignore experiments/drift_library.py build/windows.npz     (minutes on one core)

Writes llmcourse/measured/drift_library.json. `agreement`: what it says of pairs of samples that a generator makes anew
from a seed. `alarms`: the share of 200 windows that alarm, by test and limit, when some percent of the sentences are
tweets; no sentence at all drifts at 0. The windows are whole reviews, and no model plays a part: labels are people's.
`alike`: how often its test of embeddings, as it comes, alarms on two samples of one distribution.
"""
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd

TARGET = Path(__file__).resolve().parent.parent/"llmcourse"/"measured"/"drift_library.json"
PAIRS, TEXT_WINDOWS = 20, 20
KINDS = {"chisquare": ColumnType.Categorical, "jensenshannon": ColumnType.Categorical, "ks": ColumnType.Numerical,
         "perc_text_content_drift": ColumnType.Text}


def ask(test: str, reference, window) -> tuple[float, bool]:
    "Score and verdict of a test, at the limit that it comes with."
    reference, window = pd.Series(reference), pd.Series(window)
    found = get_stattest(reference, window, KINDS[test], test)(reference, window, KINDS[test], None)
    return float(found.drift_score), bool(found.drifted)


def pair(seed: int) -> tuple:
    "Labels, numbers and vectors of a reference and a window; the lesson makes the same."
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=400), rng.choice(3, size=100, p=[0.2, 0.3, 0.5])
    numbers = rng.random(400), rng.random(100)**1.2
    vectors = rng.normal(size=(60, 4)), rng.normal(0.3, 1, size=(40, 4))
    return labels, numbers, vectors


def agreement(seed: int) -> dict:
    labels, numbers, vectors = pair(seed)
    x, y = map(pd.DataFrame, vectors)
    return {"seed": seed, "chisquare": ask("chisquare", *labels)[0], "jensenshannon": ask("jensenshannon", *labels)[0],
            "ks": ask("ks", *numbers)[0], "mmd": float(mmd()(y, x)[0])}


def alike(quantile: float | None, runs: int = 20) -> float:
    "How often the test of embeddings alarms where nothing differs."
    found, more = [], {} if quantile is None else {"quantile_probability": quantile}
    for seed in range(runs):
        x = np.random.default_rng(seed).normal(size=(140, 4))
        found.append(bool(mmd(bootstrap=True, **more)(pd.DataFrame(x[100:]), pd.DataFrame(x[:100]))[1]))
    return float(np.mean(found))


def alarms(data: dict) -> dict[str, dict]:
    "By the percent of tweets: the share of windows that alarm, by test."
    found = {}
    for foreign, windows in zip(data["foreign"].tolist(), data["windows"]):       # (windows, sentences)
        p = {"labels, chi-squared": [], "labels, Jensen-Shannon": [], "length, Kolmogorov-Smirnov": []}
        for rows in windows:
            labels = data["reference_labels"], data["labels"][rows]
            p["labels, chi-squared"].append(ask("chisquare", *labels)[0])
            p["labels, Jensen-Shannon"].append(ask("jensenshannon", *labels)[0])
            p["length, Kolmogorov-Smirnov"].append(ask("ks", data["reference_lengths"], data["lengths"][rows])[0])
        limits = {"labels, Jensen-Shannon": lambda d: d >= 0.1}
        found[foreign] = {name: float(np.mean(limits.get(name, lambda p: p < 0.05)(np.array(values))))
                          for name, values in p.items()}
        found[foreign] |= {f"{name}, p below 0.01": float(np.mean(np.array(values) < 0.01))
                           for name, values in p.items() if name not in limits}
        if foreign in (0, 50):
            texts = [ask("perc_text_content_drift", data["reference_texts"], data["texts"][rows])[1]
                     for rows in windows[:TEXT_WINDOWS]]
            found[foreign]["texts, domain classifier"] = float(np.mean(texts))
        print(foreign, found[foreign], flush=True)
    return found


def main(windows: str) -> None:
    with np.load(windows) as file: data = {name: file[name] for name in file.files}
    about = json.loads(str(data.pop("about"))) | {"command": "see experiments/drift_library.py"}
    about["evidently"] = {name: version(name) for name in ("evidently", "pandas", "scipy", "scikit-learn", "numpy")}
    about["text_windows"] = TEXT_WINDOWS
    found = {"about": about, "agreement": [agreement(seed) for seed in range(PAIRS)],
             "alike": {"as it comes": alike(None), "quantile 0.95": alike(0.95)}, "alarms": alarms(data),
             "ours": json.loads(str(data["ours"]))}
    TARGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__": main(*sys.argv[1:])
