"Choose the kind of model."
import numpy as np
import torch

from llmcourse.practice import Exercise, Mistake, Question


def ordinal_probabilities(score: float, thresholds: np.ndarray) -> np.ndarray:
    "The probability of each ordered category: thresholds (labels - 1), rising, to probabilities (labels,)."
    up_to = 1 / (1 + np.exp(-(thresholds - score)))            # (labels - 1,): P(y <= k)
    return np.diff(np.concatenate([[0.0], up_to, [1.0]]))      # what each category adds


def _turned(score, thresholds): return ordinal_probabilities(score, thresholds)[::-1]
def _cumulative(score, thresholds): return np.append(1 / (1 + np.exp(-(thresholds - score))), 1.0)


def _no_last(score, thresholds):
    return np.diff(np.concatenate([[0.0], 1 / (1 + np.exp(-(thresholds - score)))]))


def _softmax(score, thresholds):
    powers = np.exp(np.append(thresholds - score, 0.0))
    return powers / powers.sum()


def _draw_score(rng):
    return round(rng.normal(), 2), np.sort(rng.normal(0, 2, size=int(rng.integers(2, 5)))).round(2)


def best_answer(probabilities: np.ndarray, judged: str) -> float:
    "The number of stars to answer, given the probabilities of 0 to 4 stars and what the answer is judged by."
    stars = np.arange(len(probabilities))
    if judged == "squared error": return float(probabilities @ stars)               # the mean
    if judged == "distance": return float((probabilities.cumsum() < 0.5).sum())     # the median
    return float(probabilities.argmax())                                            # right or wrong: the likeliest


def _always_likeliest(p, judged): return float(p.argmax())
def _always_mean(p, judged): return float(p @ np.arange(len(p)))
def _always_median(p, judged): return float((p.cumsum() < 0.5).sum())


def _rounded_mean(p, judged):
    return float(round(_always_mean(p, judged))) if judged == "distance" else best_answer(p, judged)


def _likeliest_distance(p, judged):
    return float(p.argmax()) if judged == "distance" else best_answer(p, judged)


def _draw_stars(rng):
    return rng.dirichlet([0.4] * 5), str(rng.choice(["squared error", "distance", "right or wrong"]))


def mean_vector(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    "The mean token vector of each text: hidden (batch, time, d_model), mask (batch, time), 1 for a token."
    kept = mask[..., None]                                     # (batch, time, 1)
    return (hidden * kept).sum(dim=1) / kept.sum(dim=1)        # (batch, d_model)


def _with_padding(hidden, mask):
    "The mean token vector of each text: hidden (batch, time, d_model), mask (batch, time), 1 for a token."
    return hidden.mean(dim=1)                                  # (batch, d_model)


def _by_longest(hidden, mask): return (hidden * mask[..., None]).sum(dim=1) / mask.shape[1]
def _over_batch(hidden, mask): return (hidden * mask[..., None]).sum(dim=1) / mask.sum()
def _first_token(hidden, mask): return hidden[:, 0]
def _last_token(hidden, mask): return hidden[torch.arange(len(hidden)), mask.sum(1) - 1]


def _draw_batch(rng):
    lengths = torch.tensor(rng.permutation([2, 4, int(rng.integers(2, 4))]))
    mask = (torch.arange(4) < lengths[:, None]).long()
    return torch.tensor(rng.normal(size=(3, 4, 2)).round(2), dtype=torch.float32), mask


def compare_heads() -> dict:
    "The mean distance of two heads that learned from 40 rows of ordered categories, for 12 draws."
    from llmcourse.selection import fit_linear_head

    found = {"classification": [], "ordinal": []}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(1040, 6))                                          # 40 rows to learn from, 1,000 to judge
        number = X @ rng.normal(size=6) + rng.logistic(size=1040)
        level = np.digitize(number, [-3.0, -1.0, 1.0, 3.0])                     # 5 ordered categories
        for kind, distances in found.items():
            p = fit_linear_head(kind, X[:40], level[:40], 5).answer(X[40:])     # (1000, 5)
            median = (p.cumsum(1) < 0.5).sum(1)
            distances.append(float(abs(median - level[40:]).mean()))
    return found | {"better": min(found, key=lambda kind: sum(found[kind]))}


def _judge(answer) -> str:
    "Whether there are enough draws and the choice follows from them."
    found = {kind: answer[kind] for kind in ("classification", "ordinal")}
    if not all(isinstance(values, list) and len(values) >= 10 for values in found.values()):
        return "compare over at least 10 draws: with 40 rows, a single draw is mostly luck"
    if max(map(max, found.values())) > 2.5:
        return "with five categories, answering at random is off by less than 2; look at what is subtracted"
    ahead = min(found, key=lambda kind: sum(found[kind]))
    if answer["better"] != ahead: return f"in your own draws the {ahead} head has the smaller mean distance"
    if ahead == "classification":
        return ("with so few rows the ordinal head should be nearer; do both learn from the same 40 rows, and are they "
                "judged on others?")
    return ""


_NEAR, _FAR = [0.7] * 10, [0.9] * 10

EXERCISES = [
    Exercise(
        "In the middle, and yet", """
        An ordinal head for three categories 0, 1 and 2 says for a sentence: $P(y \\le 0) = 0.40$ and $P(y \\le 1) =
        0.65$. Its score lies between the two thresholds. Which category is the likeliest, and which is the median?
        Answer `[likeliest, median]`.
        """, [0, 1], kind="predict", stub="answer = [..., ...]",
        hints=("Write down the three probabilities: each is a difference of two neighbours.",
               "They are 0.40, 0.25 and 0.35. The median is the first category with which the sum reaches one half."),
        mistakes=(Mistake([1, 1], "The middle has 0.65 - 0.40 = 0.25, which is less than either of the others, though "
                                  "the score lies in it."),
                  Mistake([0, 0], "0.40 is less than one half; the median is where the running sum first reaches it."),
                  Mistake([2, 1], "Category 2 has 1 - 0.65 = 0.35; one of the others has more."),
                  Mistake([1, 0], "These are exchanged: the likeliest has the most probability, the median lies in the "
                                  "middle of it."))),
    Exercise(
        "Ordered probabilities", """
        Write `ordinal_probabilities(score, thresholds)`. The thresholds rise, and $P(y \\le k) = \\sigma(\\theta_k -
        f)$, where $f$ is the score.
        """, ordinal_probabilities, imports="import numpy as np", inputs=_draw_score,
        hints=("First compute P(y <= k) for each threshold; with the last category everything is reached, so it is 1.",
               "The probability of a category is the difference to the one before: `np.diff` of 0, those numbers, and "
               "1."),
        mistakes=(Mistake(_turned, "A high score should make the high categories likely; the sign in the sigmoid is "
                                   "turned, or the order."),
                  Mistake(_cumulative, "These are P(y <= k), which rise to 1. The probability of one category is the "
                                       "difference of two of them."),
                  Mistake(_no_last, "There is one category more than there are thresholds; the last one is missing."),
                  Mistake(_softmax, "A softmax over the thresholds knows no order; each threshold gives a sigmoid."))),
    Exercise(
        "The answer that is judged best", """
        A head gives probabilities of 0 to 4 stars. Write `best_answer(probabilities, judged)`: the number to answer
        if it is judged by `"squared error"`, by `"distance"` (how many stars off), or by `"right or wrong"`.
        """, best_answer, imports="import numpy as np", inputs=_draw_stars, rounds=30,
        hints=("Three ways to sum up a distribution: mean, median and likeliest. Which one makes which error small?",
               "The mean has the least squared error, the median the least distance: "
               "`(probabilities.cumsum() < 0.5).sum()`."),
        mistakes=(Mistake(_always_likeliest, "The likeliest is best where only right or wrong counts. If being far off "
                                             "costs more, the other categories matter too."),
                  Mistake(_always_mean, "The mean is best for squared error only; 2.4 stars can never be exactly "
                                        "right."),
                  Mistake(_always_median, "The median is best for distance only."),
                  Mistake(_rounded_mean, "For distance, a rounded mean is not the median: a few far categories pull "
                                         "the mean, and not the median."),
                  Mistake(_likeliest_distance, "For distance, the likeliest may be far from all the others; take the "
                                               "median."))),
    Exercise(
        "A mean without padding", """
        `mean_vector` gives a short text another vector when a longer one stands beside it in the batch. Mend it.
        """, mean_vector, kind="mend", imports="import torch", inputs=_draw_batch,
        hints=("Which positions of a short text are not tokens? `mask` tells.",
               "Multiply by `mask[..., None]`, sum over time, and divide by how many tokens the text has."),
        mistakes=(Mistake(_with_padding, "Padding is part of the mean, so the vector depends on the longest text "
                                         "nearby."),
                  Mistake(_by_longest, "The padding is left out of the sum, and still counted below the line."),
                  Mistake(_over_batch, "It divides by the tokens of the whole batch; each text has its own number."),
                  Mistake(_first_token, "That is the vector of the first token; the mean is of all tokens."),
                  Mistake(_last_token, "That is the vector of the last token; the mean is of all tokens."))),
    Exercise(
        "Does the order help?", """
        Make data whose truth is known: six features, a number that is a weighted sum of them plus logistic noise, cut
        at
        -3, -1, 1 and 3 into five ordered levels. Fit a `classification` and an `ordinal` head with `fit_linear_head`
        on 40 rows, with the penalty as it is, and judge the median category by its mean distance on 1,000 others. Do
        that for at least 10 draws. Which head is `better`? The check looks at your figures, and whether your choice
        follows.
        """, compare_heads, kind="decide", verify=_judge,
        imports="import numpy as np\nfrom llmcourse.selection import fit_linear_head",
        stub="answer = {\"classification\": [...], \"ordinal\": [...], \"better\": ...}",
        hints=("`number = X @ rng.normal(size=6) + rng.logistic(size=1040)` and `np.digitize(number, [-3, -1, 1, 3])` "
               "make one draw.",
               "`p = fit_linear_head(kind, X[:40], level[:40], 5).answer(X[40:])` are probabilities; the median is "
               "`(p.cumsum(1) < 0.5).sum(1)`."),
        mistakes=(Mistake({"classification": [0.9], "ordinal": [0.7], "better": "ordinal"}, "a single draw is mostly "
                                                                                            "luck"),
                  Mistake({"classification": [9.0] * 10, "ordinal": [8.0] * 10, "better": "ordinal"}, "off by less "
                                                                                                      "than 2"),
                  Mistake({"classification": _FAR, "ordinal": _NEAR, "better": "classification"}, "in your own draws"),
                  Mistake({"classification": _NEAR, "ordinal": _FAR, "better": "classification"},
                          "should be nearer; do both learn"))),
]

QUESTIONS = [
    Question("Regression learns the sources of sentences, numbered 0 to 3, and stays far behind. Why?",
             ("The numbers tell of an order that is not there.",
              "A film review would lie between a product review and a tweet. No amount of data repairs that."),
             (("Regression needs more sentences than a classifier.",
               "With 800 it is still behind what the classifier has from 100."),
              ("The squared error is hard to minimize.",
               "It is the easiest of all: its minimum is found exactly. But it is the minimum of the wrong "
               "question."))),
    Question("The vector of the first token does not change when the last word of a sentence changes. What kind of "
             "model is it?",
             ("A decoder: no token sees what follows.",
              "Its mask hides the later tokens, which it needs in order to learn to predict them."),
             (("An encoder: each token is read by itself.", "In an encoder each token sees both sides."),
              ("A bag of words: it knows no order.",
               "A bag of words has no vector of a single token; it counts the words of the whole text."))),
    Question("For sentiment, classification leads regression by 0.04 macro-F1 if rare labels are weighted up for "
             "both, and not clearly without weights. What may one say?",
             ("The classifier makes use of the weights.",
              "Macro-F1 counts each label alike, and only the classifier can be told so. That is all that was shown."),
             (("Classification needs fewer labelled sentences.",
               "Without weights the two were not told apart, so this is too much."),
              ("Regression was given the wrong weights.", "Both were given the same weights; they brought it "
                                                          "nothing."))),
    Question("Of five penalties from 0.01 to 100, the best is 100. What should be done?",
             ("See whether the curve is flat there, else widen.",
              "A best value at the edge may mean that the range was too narrow. If the neighbour is as good, it is "
              "not."),
             (("Take 100, since it is the best.", "Beyond the edge there may be something better; nobody has looked."),
              ("Take the middle value, to be safe.",
               "The middle was tried and was worse. Safety is no reason to ignore a measurement."))),
]
