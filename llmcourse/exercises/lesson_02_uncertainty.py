"How sure is a number?"
import math

import numpy as np
from scipy.stats import t

from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.uncertainty import sequential_z, z_test


def _worth(): return 50 * 21 / (1 + (21 - 1) * 0.05)


def resampled_mean(values: np.ndarray, groups: np.ndarray, drawn: np.ndarray) -> float:
    "The mean of all values whose groups were drawn; a group that is drawn twice counts twice."
    picked = [values[groups == group] for group in drawn]   # one array for each draw, repeats included
    return float(np.concatenate(picked).mean())


def _each_once(values, groups, drawn): return float(values[np.isin(groups, drawn)].mean())
def _mean_of_means(values, groups, drawn): return float(np.mean([values[groups == g].mean() for g in drawn]))
def _single_values(values, groups, drawn): return float(values[drawn].mean())
def _not_drawn(values, groups, drawn): return float(values.mean())


def _draw_reviews(rng):
    sizes = [1, 2, 4, 3]
    groups = np.repeat(np.arange(4), rng.permutation(sizes))
    drawn = rng.permutation([0, 0, 1, 2, 3])[:4]
    return rng.integers(0, 10, len(groups)).astype(float), groups, np.sort(np.append(drawn, 0))


def paired_z(right_a: np.ndarray, right_b: np.ndarray) -> float:
    "McNemar's z for two models on the same sentences, positive if B is better. Both arrays hold True or False."
    only_b = (right_b & ~right_a).sum()
    only_a = (right_a & ~right_b).sum()
    return float((only_b - only_a) / np.sqrt(only_b + only_a))   # equal models: a fair coin for each disagreement


def _turned(right_a, right_b): return -paired_z(right_a, right_b)
def _unpaired(right_a, right_b): return z_test(int(right_a.sum()), len(right_a), int(right_b.sum()), len(right_b))[0]


def _by_all_sentences(right_a, right_b):
    return float((right_b.sum() - right_a.sum()) / np.sqrt(len(right_a)))


def _without_root(right_a, right_b):
    return float((right_b.sum() - right_a.sum()) / (right_a ^ right_b).sum())


def _draw_pairs(rng):
    n = int(rng.integers(12, 24))
    right_a = rng.random(n) < 0.6
    right_b = rng.random(n) < 0.75
    right_a[:4], right_b[:4] = [True, False, False, True], [False, True, True, True]
    return right_a, right_b


def seed_interval(values: list[float]) -> tuple[float, float]:
    "The 95 % interval of the mean of a few seeds."
    values = np.asarray(values, float)
    error = values.std(ddof=1) / math.sqrt(len(values))      # ddof=1: the mean was estimated from the same values
    half = t.ppf(0.975, len(values) - 1) * error             # 4.30 for three values, not 1.96
    return float(values.mean() - half), float(values.mean() + half)


def _normal_interval(values):
    "The 95 % interval of the mean of a few seeds."
    values = np.asarray(values, float)
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = 1.96 * error
    return float(values.mean() - half), float(values.mean() + half)


def _interval(values, quantile, ddof, n):
    values = np.asarray(values, float)
    half = quantile * values.std(ddof=ddof) / math.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def _one_freedom_more(values): return _interval(values, t.ppf(0.975, len(values)), 1, len(values))
def _spread_of_all(values): return _interval(values, t.ppf(0.975, len(values) - 1), 0, len(values))
def _spread_of_one(values): return _interval(values, t.ppf(0.975, len(values) - 1), 1, 1)
def _one_sided(values): return _interval(values, t.ppf(0.95, len(values) - 1), 1, len(values))


def look_for_a_month() -> dict:
    "How often two equal variants are called different: one look, thirty looks, thirty looks at the bound."
    days, a_day, share = 30, 100, 0.6
    n = a_day * np.arange(1, days + 1)                                   # (days,) answers a side so far
    bound = np.array([sequential_z(k, n[-1]) for k in n])                # (days,)
    found = {"once": [], "daily": [], "bounded": []}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        a, b = (rng.binomial(a_day, share, (2000, days)).cumsum(1) for _ in "ab")    # (experiments, days)
        pooled = (a + b) / (2 * n)
        z = abs(b - a) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
        found["once"].append(float((z[:, -1] > 1.96).mean()))
        found["daily"].append(float((z > 1.96).any(1).mean()))
        found["bounded"].append(float((z > bound).any(1).mean()))
    return found | {"rule for looking daily": "bound"}


def _judge(answer) -> str:
    "Whether the three shares can be right, and the rule follows from them."
    ways = ("once", "daily", "bounded")
    if not all(isinstance(answer[way], (list, tuple)) and len(answer[way]) >= 3 for way in ways):
        return "play each at least three times with other seeds, so that one sees how far the shares move"
    if not all(0 <= share <= 1 for way in ways for share in answer[way]):
        return "give shares of the experiments, between 0 and 1"
    mean = {way: sum(answer[way]) / len(answer[way]) for way in ways}
    if not 0.03 < mean["once"] < 0.07:
        return (f"one look at the end should give about 0.05, not {mean['once']:.3f}; do both variants have the same "
                "share?")
    if mean["daily"] < 0.15:
        return ("thirty looks should give far more than one; an experiment counts if z exceeds 1.96 on any of the "
                "days, "
                "with all answers up to that day")
    if mean["bounded"] > 0.05:
        return "the bound should keep all looks together below 0.05; compare each day with the bound of that day"
    if answer["rule for looking daily"] != "bound":
        return "by your own figures, looking daily at 1.96 raises far more false alarms than 5 in a hundred"
    return ""


EXERCISES = [
    Exercise(
        "What a clustered test is worth", """
        A test has 50 reviews of 21 sentences each. The intraclass correlation is 0.05. As many sentences as how many
        independent ones is it worth? Work it out by hand.
        """, _worth, kind="predict", tolerance=1e-3,
        hints=("The design effect says how many times as many sentences are needed: 1 + (m - 1) ρ.",
               "Divide the number of sentences by the design effect."),
        mistakes=(Mistake(1050, "That is the number of sentences, as if those of one review were independent."),
                  Mistake(50, "That is the number of reviews; it would be right for a correlation of 1."),
                  Mistake(1050 / 2.05, "That takes m in place of m - 1: a sentence has 20 others in its review."),
                  Mistake(2100, "That multiplies by the design effect; clustering makes a test worth less."))),
    Exercise(
        "One resample of whole reviews", """
        Write `resampled_mean(values, groups, drawn)`. `drawn` names the reviews that were drawn with replacement. The
        resample holds all sentences of each of them.
        """, resampled_mean, inputs=_draw_reviews, imports="import numpy as np",
        hints=("`values[groups == group]` are the sentences of one review.",
               "Go through `drawn`, also where a review comes a second time, and collect their sentences.",
               "`np.concatenate` joins the arrays; then take the mean over all sentences."),
        mistakes=(Mistake(_each_once, "A review that was drawn twice counts only once, so the resample is no draw with "
                                      "replacement."),
                  Mistake(_mean_of_means, "That is the mean of the reviews' means; a review with more sentences should "
                                          "weigh more."),
                  Mistake(_single_values, "The numbers in `drawn` are reviews, and here they were used as places of "
                                          "sentences."),
                  Mistake(_not_drawn, "That is the mean of the test itself; `drawn` was not used."))),
    Exercise(
        "The test for pairs", "Write `paired_z(right_a, right_b)`: McNemar's z.", paired_z, inputs=_draw_pairs,
        imports="import numpy as np",
        hints=("Which sentences tell the models apart? Count those that only B gets right, and those that only A "
               "gets right.",
               "`right_b & ~right_a` is true where only B is right.",
               "Divide the difference of the two counts by the square root of their sum."),
        mistakes=(Mistake(_turned, "The sign is reversed: z should be positive if B is better."),
                  Mistake(_unpaired, "That is the z-test for two separate groups; it does not use that the sentences "
                                     "are "
                                     "the same."),
                  Mistake(_by_all_sentences, "Sentences where the models agree are counted too. They carry no "
                                             "evidence and "
                                             "belong in no standard error."),
                  Mistake(_without_root, "The standard error of a count of tosses is the square root of their "
                                         "number."))),
    Exercise(
        "An interval for three seeds", "`seed_interval` is too narrow: of a hundred such intervals, about eighty "
                                       "hold the "
        "truth. Mend it.", seed_interval, kind="mend",
        imports="import math\n\nimport numpy as np\nfrom scipy.stats import t",
        inputs=lambda rng: (rng.normal(0.7, 0.03, rng.integers(3, 6)).round(3).tolist(),),
        hints=("How many standard errors does Student ask for with three values?",
               "`t.ppf(0.975, degrees)` gives that number; n values leave n - 1 degrees of freedom."),
        mistakes=(Mistake(_normal_interval, "1.96 is right for many values. With a few the standard error is itself a "
                                            "guess, and it takes more."),
                  Mistake(_one_freedom_more, "It takes n degrees of freedom; one is used up by the mean."),
                  Mistake(_spread_of_all, "Without `ddof=1` the spread of a small sample comes out too small."),
                  Mistake(_spread_of_one, "That is the spread of one seed, not of their mean: the root of n is "
                                          "missing."),
                  Mistake(_one_sided, "0.95 leaves out 5 % on each side; a 95 % interval leaves out 2.5 % on each."))),
    Exercise(
        "May you look every day?", """
        Two variants are equal: both are right in 60 % of cases. For 30 days each gets 100 answers a day. Simulate at
        least 1,000 such experiments, three times, and give the share that is called different: by `once` looking on
        the last day (z above 1.96), by looking `daily` and stopping at 1.96, and by looking daily with the bound
        (`bounded`). Which rule do you take for looking daily, "1.96" or "bound"?
        """, look_for_a_month, kind="decide", verify=_judge,
        imports="import numpy as np\n\nfrom llmcourse.uncertainty import sequential_z",
        stub="answer = {\"once\": [...], \"daily\": [...], \"bounded\": [...], \"rule for looking daily\": ...}",
        hints=("`rng.binomial(100, 0.6, (1000, 30)).cumsum(1)` holds the right answers up to each day, a row an "
               "experiment.",
               "z of a day is the difference of shares over its standard error, with all answers up to that day.",
               "`(z > 1.96).any(1)` says which experiments were stopped on some day. The bound of day k is "
               "`sequential_z(100 * k, 3000)`."),
        mistakes=(Mistake({"once": [0.05], "daily": [0.28], "bounded": [0.01], "rule for looking daily": "bound"},
                          "play each at least three times"),
                  Mistake({"once": [0.05] * 3, "daily": [0.05] * 3, "bounded": [0.01] * 3,
                           "rule for looking daily": "1.96"}, "on any of the days"),
                  Mistake({"once": [0.05] * 3, "daily": [0.28] * 3, "bounded": [0.01] * 3,
                           "rule for looking daily": "1.96"}, "by your own figures"),
                  Mistake({"once": [0.4] * 3, "daily": [0.6] * 3, "bounded": [0.2] * 3,
                           "rule for looking daily": "bound"}, "do both variants have the same share"))),
]

QUESTIONS = [
    Question("A model is right on 10 of 10 sentences. What follows?",
             ("Its true share may well be as low as 0.75.",
              "Wilson's interval goes down to 0.72: with such a share, ten of ten is no surprise."),
             (("Its true share is 1, since there was no error.",
               "That is what the textbook interval says, because a sample without errors shows no spread."),
              ("Nothing at all follows from ten sentences.",
               "A share of 0.5 would give ten of ten once in a thousand tests, so much is excluded."))),
    Question("What does a 95 % interval promise?",
             ("Of many such intervals, each from a new test, about 95 in 100 hold the truth.",
              "The promise is about the recipe, over many tests; each lesson checks it by simulation."),
             (("95 % of the test sentences lie inside it.",
               "It is about the score, not about single sentences."),
              ("95 % of future scores lie inside it.",
               "A future score has its own luck as well, so it scatters more than this interval says."))),
    Question("You may test on 768 sentences: from 68 reviews or from 200. Which is better?",
             ("From 200: fewer sentences share a review, so the design effect is smaller.",
              "At a correlation of 0.05 the same number of sentences is then worth more independent ones."),
             (("It is the same: the number of sentences counts.",
               "It would be if sentences were independent; those of one review are not."),
              ("From 68: longer reviews give more context.",
               "The models see single sentences. For the test, more of one review is more of the same."))),
    Question("On day 5 of a planned 30, the dashboard shows p = 0.03. What do you do?",
             ("Go on to day 30, or compare z with the bound for looking often.",
              "A p-value of 0.03 on some day is common even if nothing differs."),
             (("Stop: 0.03 is below 0.05.", "That rule calls equal variants different in about every fourth month."),
              ("Stop if it is below 0.05 tomorrow as well.",
               "Tomorrow's value contains today's answers, so it confirms little; this rule has no known error "
               "rate."))),
    Question("Why test both models on the same sentences?",
             ("What is hard for both then cancels, and smaller differences show.",
              "Only the sentences where they disagree count, and their scatter is smaller."),
             (("It needs half the labels, and is otherwise equal.",
               "It needs fewer labels, but it also sees smaller differences with as many."),
              ("Otherwise the z-test may not be used.", "It may, for two separate groups. It is only less sharp."))),
]
