"""What GrowthBook's gbstats says of generated experiments: stored for lesson 31, which computes the same by hand.

gbstats 0.8.0 (MIT, June 2024 on PyPI) asks for numpy below 2 and pandas below 2, so it goes into a folder of its own:

    pip install --no-deps --target build/gbstats gbstats==0.8.0
    PYTHONPATH=.:build/gbstats python experiments/sequential.py            (a minute on one core)

Writes llmcourse/measured/sequential.json. Each row is one experiment: the sums over users that go in, and the
sequential interval and p-value of the difference of two ratios that come out, with users as the unit. `ratio_check` is
the share of 2,000 healthy experiments that its sample ratio check calls broken at 0.001, at some look after each of
500 users.
"""
from importlib.metadata import version

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic
from gbstats.utils import check_srm

from _store import MEASURED, write
from llmcourse.training import provenance

ROWS, TARGET = 40, MEASURED/"sequential.json"


def draw(rng, recall: float) -> tuple[np.ndarray, np.ndarray]:
    "For each of some users: how many answers were right, and of how many."
    n = 1 + rng.geometric(0.25, int(rng.integers(20, 400)))
    return rng.binomial(n, rng.beta(4 * recall, 4 * (1 - recall), len(n))), n


def sums(right, n) -> dict[str, int]:
    "All that the test needs of one variant."
    return {"users": len(n), "right": int(right.sum()), "n": int(n.sum()), "right_right": int((right**2).sum()),
            "right_n": int((right * n).sum()), "n_n": int((n**2).sum())}


def ratio(s: dict) -> RatioStatistic:
    return RatioStatistic(
        n=s["users"],
        m_statistic=SampleMeanStatistic(n=s["users"], sum=s["right"], sum_squares=s["right_right"]),
        d_statistic=SampleMeanStatistic(n=s["users"], sum=s["n"], sum_squares=s["n_n"]),
        m_d_sum_of_products=s["right_n"])


def measure(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    a, b = sums(*draw(rng, 0.4)), sums(*draw(rng, rng.uniform(0.3, 0.6)))
    tuned = int(rng.integers(50, 1000))                     # users at which the interval is to be tightest
    config = SequentialConfig(difference_type="absolute", sequential_tuning_parameter=tuned)
    found = SequentialTwoSidedTTest(ratio(a), ratio(b), config).compute_result()
    return {"a": a, "b": b, "tuned": tuned, "low": float(found.ci[0]), "high": float(found.ci[1]),
            "p_value": float(found.p_value)}


def ratio_check(share: float, users: int = 500, runs: int = 2000) -> float:
    "How often the sample ratio check calls a healthy experiment broken at some look."
    in_b = np.cumsum(np.random.default_rng(0).random((runs, users)) < share, 1)
    broken = np.zeros(runs, bool)
    for n in range(1, users + 1):
        p = {int(b): check_srm([n - int(b), int(b)], [1 - share, share]) for b in np.unique(in_b[:, n - 1])}
        broken |= np.array([p[int(b)] < 0.001 for b in in_b[:, n - 1]])
    return float(broken.mean())


if __name__ == "__main__":
    command = "PYTHONPATH=.:build/gbstats python experiments/sequential.py"
    about = provenance(command, range(ROWS), gbstats=version("gbstats"))
    write(TARGET, {"about": about, "ratio_check": {str(share): ratio_check(share) for share in (0.01, 0.5)},
                   "rows": [measure(seed) for seed in range(ROWS)]})
