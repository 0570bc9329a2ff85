"Compare the roads."
from statistics import NormalDist

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def _probe_size(): return 512 * 4 + 4


def needs_most(intervals: list[tuple[float, float]]) -> str:
    "Whether a road needs more than every other: yes, no or undecided. One interval (low, high) for each difference."
    if any(high < 0 for low, high in intervals): return "no"            # one counterexample refutes the claim
    if all(low > 0 for low, high in intervals): return "yes"            # it must hold against every other
    return "undecided"


def _one_is_enough(intervals):
    if any(high < 0 for _, high in intervals): return "no"
    return "yes" if any(low > 0 for low, _ in intervals) else "undecided"


def _by_the_middle(intervals):
    middle = [low + high for low, high in intervals]
    return "no" if any(m < 0 for m in middle) else "yes" if all(m > 0 for m in middle) else "undecided"


def _doubt_first(intervals):
    if any(low <= 0 <= high for low, high in intervals): return "undecided"
    return "no" if any(high < 0 for _, high in intervals) else "yes"


def _doubt_is_no(intervals): return "yes" if all(low > 0 for low, _ in intervals) else "no"


def _draw_intervals(rng):
    middle, reach = rng.normal(1.0, 1.5, size=3), rng.uniform(0.2, 1.5, size=3)
    return ([(round(float(m - r), 2), round(float(m + r), 2)) for m, r in zip(middle, reach)],)


def gaps(rows: list[dict], a: str, b: str) -> list[float]:
    "Seconds of technique `a` minus those of `b`, a difference for each seed, in order of the seeds."
    of = lambda technique: {row["seed"]: row["seconds"] for row in rows if row["technique"] == technique}
    first, second = of(a), of(b)
    return [first[seed] - second[seed] for seed in sorted(first)]       # the same seed on both sides


def _in_order_of_the_file(rows, a, b):
    "Seconds of technique `a` minus those of `b`, a difference for each seed, in order of the seeds."
    first = [row["seconds"] for row in rows if row["technique"] == a]
    second = [row["seconds"] for row in rows if row["technique"] == b]
    return [x - y for x, y in zip(first, second)]


def _turned(rows, a, b): return gaps(rows, b, a)
def _sizes(rows, a, b): return [abs(gap) for gap in gaps(rows, a, b)]
def _sorted_by_size(rows, a, b): return sorted(gaps(rows, a, b))


def _draw_rows(rng):
    rows = [{"technique": name, "seed": seed, "seconds": float(rng.integers(1, 90))}
            for name in ("LoRA", "probe") for seed in range(3)]
    return [rows[i] for i in rng.permutation(6)], "LoRA", "probe"


def resampled_gap(first: np.ndarray, second: np.ndarray, groups: np.ndarray, drawn: list[str]) -> float:
    "Accuracy of the first minus the second on a draw of whole reviews; first and second are 1 where right."
    rows = np.concatenate([np.flatnonzero(groups == review) for review in drawn])   # drawn twice: counts twice
    return float(first[rows].mean() - second[rows].mean())                          # both on the same sentences


def _each_once(first, second, groups, drawn): return resampled_gap(first, second, groups, sorted(set(drawn)))
def _other_way(first, second, groups, drawn): return -resampled_gap(first, second, groups, drawn)
def _all_sentences(first, second, groups, drawn): return float(first.mean() - second.mean())


def _review_by_review(first, second, groups, drawn):
    return float(np.mean([first[groups == review].mean() - second[groups == review].mean() for review in drawn]))


def _draw_reviews(rng):
    groups = np.array(["a", "b", "c", *rng.choice(["a", "b", "c"], size=7)])
    drawn = rng.choice(["a", "b", "c"], size=3).tolist()
    return rng.integers(2, size=10), rng.integers(2, size=10), groups, drawn


def picked_best() -> dict:
    "How often the best of four equal techniques seems to win, by a 95 % interval and by one at 1 - 0.05 / 4."
    rng, draws = np.random.default_rng(0), 20_000
    best = rng.normal(size=(draws, 4)).max(1)                  # four differences, in standard errors; none is real
    half = {"plain": NormalDist().inv_cdf(1 - 0.05 / 2), "corrected": NormalDist().inv_cdf(1 - 0.05 / 4 / 2)}
    return {"draws": draws, **{name: float((best - z > 0).mean()) for name, z in half.items()}, "take": "corrected"}


def _judge_best(answer) -> str:
    "Whether the simulation is large enough, its shares are plausible, and the choice follows them."
    if not answer["draws"] >= 2000: return "a share of a few percent needs at least 2,000 draws"
    if not 0.075 < answer["plain"] < 0.12: return ("with four equal techniques the plain interval of the best should "
                                                   "exclude zero in about one draw of ten; do you take the largest of "
                                                   "four?")
    if not 0.01 < answer["corrected"] < 0.045: return ("the corrected interval of the best should be wrong in about "
                                                       "one draw of forty; its half width is that of 1 - 0.05 / 4, "
                                                       "two-sided")
    return "" if answer["take"] == "corrected" else "your own figures say which interval keeps the promised 2.5 % or so"


EXERCISES = [
    Exercise(
        "How many numbers a probe trains", """
        A frozen encoder gives vectors of 512 numbers. A linear probe with a bias tells four labels apart. How many
        numbers does training move?
        """, _probe_size, kind="predict",
        hints=("Each label has one weight for each number of the vector.", "And each label has a bias."),
        mistakes=(Mistake(512 * 4, "The biases are missing: one number for each label."),
                  Mistake(513, "That is one label; each of the four has its own weights and bias."),
                  Mistake(516, "The weights of one label and four biases; each label has 512 weights of its own."))),
    Exercise(
        "A claim that can fail", """
        *From scratch needs most seconds* says that each difference to another technique is above zero. `intervals`
        holds one pair (low, high) for each difference. Write `needs_most(intervals)`: `"no"` if one interval lies
        wholly below zero, `"yes"` if all lie wholly above it, else `"undecided"`.
        """, needs_most, inputs=_draw_intervals, rounds=30,
        hints=("What does a single interval below zero do to a claim about *every* other technique?",
               "Ask for a counterexample first (`any`), then for the proof (`all`). What is left is undecided."),
        mistakes=(Mistake(_one_is_enough, "One difference above zero is enough for it; the claim is about all of "
                                          "them."),
                  Mistake(_by_the_middle, "It looks at the middle of each interval, so it never doubts."),
                  Mistake(_doubt_first, "It doubts where another interval refutes the claim already. A counterexample "
                                        "decides."),
                  Mistake(_doubt_is_no, "An interval that holds zero does not refute the claim; it leaves it "
                                        "undecided."))),
    Exercise(
        "Pairs of seeds", """
        `gaps` should compare two techniques seed by seed. Its figures are wrong when the rows of the file stand in
        another order. Mend it: one difference for each seed, in order of the seeds.
        """, gaps, kind="mend", inputs=_draw_rows,
        hints=("Print the seeds of both techniques in the order of the file.",
               "Make a dictionary from seed to seconds for each technique, then subtract by key."),
        mistakes=(Mistake(_in_order_of_the_file, "It takes the rows as they come, so seed 0 of one may meet seed 2 of "
                                                 "the other."),
                  Mistake(_turned, "The difference is taken the wrong way round: `a` minus `b` is asked for."),
                  Mistake(_sizes, "The sign is lost, so nobody can see which technique needs more."),
                  Mistake(_sorted_by_size, "The differences are sorted by size; they should follow the seeds."))),
    Exercise(
        "One draw of the bootstrap", """
        `first` and `second` say for each sentence whether a technique was right (1) or not (0), `groups` which review
        it is from. `drawn` is a draw of reviews with replacement. Write `resampled_gap`: the accuracy of the first
        minus that of the second, on all sentences of the drawn reviews. A review drawn twice counts twice.
        """, resampled_gap, inputs=_draw_reviews, imports="import numpy as np",
        hints=("Collect the row numbers of each drawn review: `np.flatnonzero(groups == review)`.",
               "Join them with `np.concatenate`, repeats included, and take both means on the same rows."),
        mistakes=(Mistake(_each_once, "A review that was drawn twice counts once; then every draw is nearly the same."),
                  Mistake(_other_way, "That is the second minus the first."),
                  Mistake(_all_sentences, "The draw is not used, so all draws give the same number."),
                  Mistake(_review_by_review, "Every review weighs the same, however many sentences it has. Accuracy "
                                             "counts sentences."))),
    Exercise(
        "The best of four", """
        Four techniques are equally good as fine-tuning. Draw their four differences, in standard errors, from a
        normal distribution around zero, and pick the largest. How often does its 95 % interval lie above zero
        (`plain`)? How often the interval at 1 - 0.05 / 4 (`corrected`)? Note the number of `draws` too, and which
        interval you would `take`, `"plain"` or `"corrected"`.
        """, picked_best, kind="decide", verify=_judge_best, imports="from statistics import NormalDist\nimport numpy "
                                                                     "as np",
        stub='answer = {"draws": ..., "plain": ..., "corrected": ..., "take": ...}',
        hints=("`rng.normal(size=(draws, 4)).max(1)` picks the best of four in each draw.",
               "An interval lies above zero if the difference exceeds its half width: 1.96 standard errors for 95 %, "
               "and `NormalDist().inv_cdf(1 - 0.05 / 4 / 2)` for the other."),
        mistakes=(Mistake({"draws": 100, "plain": 0.1, "corrected": 0.03, "take": "corrected"}, "at least 2,000 draws"),
                  Mistake({"draws": 5000, "plain": 0.025, "corrected": 0.006, "take": "corrected"},
                          "the largest of four"),
                  Mistake({"draws": 5000, "plain": 0.1, "corrected": 0.1, "take": "plain"},
                          "its half width is that of"),
                  Mistake({"draws": 5000, "plain": 0.1, "corrected": 0.025, "take": "plain"}, "your own figures say"))),
]

QUESTIONS = [
    Question("Why are expertise and flexibility *not measured* here, though settings are counted?",
             ("The count follows from the code, and would be the same if every run had failed.",
              "A figure tests a claim only if it could come out against it."),
             (("Nobody counted the settings of the article's "
               "authors.", "Their settings would be a count as well, not a test."),
              ("The counts differ too little.", "29 against 11 is no small difference; it is only no measurement."))),
    Question("Adapters minus all of MiniLM: +0.006, interval from -0.013 to +0.026. What do you report?",
             ("No difference was shown; if there is one, it is small.",
              "The interval holds zero, and bounds the difference at under three points."),
             (("Adapters are better.", "The interval also allows that they are worse."),
              ("Both are exactly equal.", "It allows differences to either side."))),
    Question("Why does each run get a process of its own?",
             ("So that the peak of memory is that of this run alone.",
              "In one process the peak of the hungriest run would stand in every later row."),
             (("So that all runs use the same seed.", "The seed is an argument, in any process."),
              ("Because Python cannot train two models in one process.", "It can; lessons do so all the time."))),
    Question("An earlier version compared with a head on MiniLM's pooler, at 0.51, in place of a probe on the mean, "
             "above 0.6. What was wrong?",
             ("The baseline was weak, so everything looked good beside it.",
              "A technique should beat the strongest simple baseline, given the same care."),
             (("A baseline must not use the same model.", "It should: then only the technique differs."),
              ("A probe must not be compared with "
               "fine-tuning.", "It is the comparison that says what fine-tuning adds."))),
    Question("LoRA trains 1.5 % of the numbers, and its peak of memory is no lower. Why?",
             ("What every layer keeps for the backward pass is still there.",
              "Only gradients and the optimizer's means are saved, and those are not the largest part here."),
             (("All gradients are computed anyway.", "Frozen weights get none."),
              ("The corrections are as large as the weights.", "They are a small share of them."))),
]
