"Scaling laws."
import math

import numpy as np
import pandas as pd

from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.scaling import bootstrap_laws, fit_law, stored_ladder


def fourfold() -> float:
    "The loss of the law for four times the parameters and four times the tokens."
    N, D = 4 * 10_000, 4 * 1_000_000
    return 2 + 100 / N ** 0.5 + 1000 / D ** 0.5          # 2 + 0.5 + 0.5: the floor stays


def worth_in_fresh(unique: float, passes: float, decay: float) -> float:
    "How many fresh tokens `unique` tokens are worth that are read `passes` times (Muennighoff et al. 2023)."
    again = passes - 1                              # the first reading is fresh and counts in full
    return unique + unique * decay * (1 - math.exp(-again / decay))


def _first_counts_twice(unique, passes, decay):
    "How many fresh tokens `unique` tokens are worth that are read `passes` times (Muennighoff et al. 2023)."
    return unique + unique * decay * (1 - math.exp(-passes / decay))


def _all_fresh(unique, passes, decay): return unique * passes
def _once_is_all(unique, passes, decay): return unique
def _only_repeats(unique, passes, decay): return unique * decay * (1 - math.exp(-(passes - 1) / decay))
def _without_limit(unique, passes, decay): return unique + unique * decay * math.exp(-(passes - 1) / decay)
def _draw_passes(rng): return float(rng.integers(1, 9) * 1000), float(rng.integers(1, 20)), float(rng.integers(5, 20))


def straight_line(tokens: list[float], losses: list[float], new: float) -> float:
    "The loss at `new` tokens by a straight line through the logarithms of `losses` over those of `tokens`."
    slope, height = np.polyfit(np.log(tokens), np.log(losses), 1)    # log L = height + slope log D
    return float(np.exp(height + slope * np.log(new)))               # back from the logarithm


def _no_logarithms(tokens, losses, new): return float(np.polyval(np.polyfit(tokens, losses, 1), new))


def _tokens_only(tokens, losses, new):
    return float(np.polyval(np.polyfit(np.log(tokens), losses, 1), np.log(new)))


def _still_a_logarithm(tokens, losses, new): return math.log(straight_line(tokens, losses, new))
def _best_so_far(tokens, losses, new): return min(losses)


def _last_two_points(tokens, losses, new):
    return straight_line(sorted(tokens)[-2:], [loss for _, loss in sorted(zip(tokens, losses))][-2:], new)


def _draw_runs(rng):
    tokens = np.sort(rng.choice(np.arange(1, 40), size=4, replace=False) * 1000.0)
    losses = 30 * tokens ** -0.2 * np.exp(rng.normal(0, 0.03, size=4))
    return tokens.tolist(), losses.round(3).tolist(), float(tokens[-1] * 4)


def best_size(law: dict, budget: float, sizes: list[float]) -> tuple[float, float]:
    "The size of those offered, and its tokens, with the smallest loss E + A/N**alpha + B/D**beta for `budget` FLOPs."
    def loss(N):
        D = budget / (6 * N)                        # what is left for reading: a larger model reads less
        return law["E"] + law["A"] / N ** law["alpha"] + law["B"] / D ** law["beta"]
    N = min(sizes, key=loss)
    return N, budget / (6 * N)


def _without_six(law, budget, sizes):
    loss = lambda N: law["A"] / N ** law["alpha"] + law["B"] / (budget / N) ** law["beta"]
    N = min(sizes, key=loss)
    return N, budget / N


def _largest(law, budget, sizes): return max(sizes), budget / (6 * max(sizes))
def _smallest(law, budget, sizes): return min(sizes), budget / (6 * min(sizes))


def _free_tokens(law, budget, sizes):
    N = min(sizes, key=lambda N: law["A"] / N ** law["alpha"] + law["B"] / max(sizes) ** law["beta"])
    return N, budget / 6


def _balanced_parts(law, budget, sizes):
    apart = lambda N: abs(law["A"] / N ** law["alpha"] - law["B"] / (budget / (6 * N)) ** law["beta"])
    N = min(sizes, key=apart)
    return N, budget / (6 * N)


def _draw_budget(rng):
    law = {"E": 2.0, "A": float(rng.integers(50, 400)), "B": float(rng.integers(200, 900)),
           "alpha": round(rng.uniform(0.25, 0.45), 2), "beta": round(rng.uniform(0.2, 0.6), 2)}
    return law, float(10 ** rng.integers(12, 16)), np.geomspace(1e3, 1e8, 26).round().tolist()


def add_the_longer_run() -> dict:
    "The held-out run, predicted from the three longer budgets of the ladder, and from these and one run more."
    runs = pd.DataFrame(stored_ladder()["rows"])
    rungs = runs[(runs.tokens == runs.unique) & (runs.d_model <= 96) & (runs.tokens > 65_536)
                 & (runs.tokens <= 262_144)]
    longer = runs[(runs.tokens == runs.unique) & (runs.d_model == 96) & (runs.tokens == 524_288)]
    held_out = runs[(runs.d_model == 128) & (runs.tokens == 524_288)]
    columns = lambda some: [some[name].to_numpy(float) for name in ("parameters", "tokens", "loss")]
    N, D, L = columns(pd.concat([rungs, longer]))
    law, drawn = fit_law(N, D, L), bootstrap_laws(N, D, L)
    residuals = np.random.default_rng(0).choice(np.log(L / law.loss(N, D)), (50, len(drawn)))
    said = np.array([one.loss(1_115_264, 524_288) for one in drawn]) * np.exp(residuals)
    low, high = np.percentile(said, [2.5, 97.5])
    measured = held_out.loss.mean()
    return {"before": float(fit_law(*columns(rungs)).loss(1_115_264, 524_288)),
            "after": float(law.loss(1_115_264, 524_288)), "low": float(low), "high": float(high),
            "measured": float(measured), "inside": bool(low <= measured <= high)}


def _judge_prediction(answer) -> str:
    "Whether the figures are those of the ladder, and the conclusion follows from the interval."
    names = {"before", "after", "low", "high", "measured", "inside"}
    if not all(isinstance(answer[name], (float, np.floating)) for name in names - {"inside"}):
        return "all but inside are losses, in nats a token"
    if abs(answer["measured"] - 4.862) > 0.01: return "measured is the mean loss of the two held-out runs, 128 wide"
    if abs(answer["before"] - 4.956) > 0.02:
        return "before should be the lesson's prediction; were the shortest budget and the repeated runs left out?"
    if not answer["low"] <= answer["after"] <= answer["high"]: return "the interval must contain the prediction"
    if not 0.01 < answer["before"] - answer["after"] < 0.2:
        return "one run at twice the text should pull the prediction down; is it among the rungs, and only it?"
    if answer["inside"] != (answer["low"] <= answer["measured"] <= answer["high"]):
        return "inside says whether the measured loss lies between low and high"
    return ""


_PREDICTED = {"before": 4.956, "after": 4.9, "low": 4.8, "high": 5.0, "measured": 4.862, "inside": True}

EXERCISES = [
    Exercise(
        "Four times everything", r"""
        A law says $L = 2 + 100 / \sqrt{N} + 1000 / \sqrt{D}$. With 10,000 parameters and 1,000,000 tokens it predicts
        2 + 1 + 1 = 4 nats a token. Which loss does it predict for four times the parameters **and** four times the
        tokens?
        """, fourfold, kind="predict",
        hints=("Which of the three parts does not change?",
               "The exponent is one half: four times the parameters halve the first fraction."),
        mistakes=(Mistake(1.0, "The whole loss was divided. The floor of 2 stays, however much one pays."),
                  Mistake(2.5, "Each fraction was divided by four; with the exponent one half it is only halved."),
                  Mistake(2.0, "That is the floor, which only an infinite budget reaches."),
                  Mistake(3.5, "Only one of the two fractions was halved."))),
    Exercise(
        "The second reading", """
        `worth_in_fresh` should say how many fresh tokens a text is worth that is read several times. It is wrong: a
        text that is read once comes out worth more than it holds. Mend it.
        """, worth_in_fresh, kind="mend", inputs=_draw_passes, imports="import math",
        hints=("Put in `passes = 1`. What should remain of the second term?",
               "The first reading counts in full; only the `passes - 1` readings after it lose their value."),
        mistakes=(Mistake(_first_counts_twice, "One pass over a text is worth more than the text. Is the first reading "
                                               "a repetition?"),
                  Mistake(_all_fresh, "Each reading counts in full, as if the text were new each time."),
                  Mistake(_once_is_all, "Repeated readings count nothing; a few of them are nearly as good as fresh "
                                        "text."),
                  Mistake(_only_repeats, "The first reading is missing."),
                  Mistake(_without_limit, "The worth should grow with the passes, and come closer and closer to a "
                                          "limit."))),
    Exercise(
        "The baseline of a law", """
        A law should beat a straight line. Write `straight_line(tokens, losses, new)`: fit a line to the logarithms of
        the losses over the logarithms of the tokens, by least squares, and extend it to `new` tokens.
        """, straight_line, inputs=_draw_runs, imports="import numpy as np",
        hints=("`np.polyfit(x, y, 1)` gives the slope and the height of the best line.",
               "Fit `np.log(losses)` over `np.log(tokens)`, evaluate at `np.log(new)`, and undo the logarithm."),
        mistakes=(Mistake(_no_logarithms, "The line is fitted to the plain numbers; far out it falls below zero."),
                  Mistake(_tokens_only, "Only the tokens are logarithms. A power law is straight where both are."),
                  Mistake(_still_a_logarithm, "The answer is the logarithm of a loss."),
                  Mistake(_best_so_far, "That is the laziest prediction, the best loss so far; it knows nothing of the "
                                        "larger run."),
                  Mistake(_last_two_points, "The line goes through two runs alone, so it follows the noise of two."))),
    Exercise(
        "Spend a budget", """
        Write `best_size(law, budget, sizes)`. `law` has the keys E, A, B, alpha and beta. A model of N parameters can
        read `budget / (6 * N)` tokens. Return the size among `sizes` with the smallest predicted loss, and its tokens.
        """, best_size, inputs=_draw_budget,
        hints=("Compute for each size the tokens that the budget leaves, then the loss of the law.",
               "`min(sizes, key=loss)` takes the size with the smallest loss."),
        mistakes=(Mistake(_without_six, "A token costs six operations a parameter, not one; so the budget buys fewer "
                                        "tokens."),
                  Mistake(_largest, "The largest model has next to no tokens left to read."),
                  Mistake(_smallest, "The smallest model reads most, and cannot hold what it reads."),
                  Mistake(_free_tokens, "The tokens do not depend on the size here. A larger model must read less."),
                  Mistake(_balanced_parts, "It makes the two fractions equal. At the best split it is the fractions "
                                           "times their exponents that are equal."))),
    Exercise(
        "One longer run", """
        The law had extended the text wrongly. Add one run to the three longer budgets, that of 96 wide and 524,288
        fresh tokens, and fit again. Predict the held-out run (1,115,264 parameters, 524,288 tokens) `before` and
        `after`, with an interval from `low` to `high` after. Is the `measured` mean of its two seeds `inside`?
        """, add_the_longer_run, kind="decide", verify=_judge_prediction,
        imports="""
        import numpy as np
        import pandas as pd
        from llmcourse.scaling import bootstrap_laws, fit_law, stored_ladder""",
        stub="""answer = {"before": ..., "after": ..., "low": ..., "high": ..., "measured": ..., "inside": ...}""",
        hints=("`stored_ladder()[\"rows\"]` holds all runs. Those with `tokens == unique` read each token once.",
               "`bootstrap_laws(N, D, losses)` gives a hundred laws; each predicts the held-out run.",
               "Add the scatter of single runs: multiply each prediction by the exponential of a residual "
               "`log(loss / prediction)` that is drawn by lot, and take the percentiles 2.5 and 97.5."),
        mistakes=(Mistake(_PREDICTED | {"measured": 4.835}, "the mean loss of the two held-out runs"),
                  Mistake(_PREDICTED | {"before": 5.0, "after": 4.95}, "left out"),
                  Mistake(_PREDICTED | {"inside": False}, "lies between low and high"),
                  Mistake(_PREDICTED | {"after": 4.956}, "is it among the rungs"))),
]

QUESTIONS = [
    Question("Why does each token budget get a learning-rate schedule of its own?",
             ("A run that is stopped early still has a high learning rate, and so a loss that is too high.",
              "It would seem as if short runs were worse than they are, and the curve would bend."),
             (("Because short runs need a higher learning rate to arrive anywhere.",
               "The peak is the same. What differs is when the rate comes down."),
              ("So that all runs take the same number of steps.",
               "They take as many as their tokens ask for; a larger budget has more steps."))),
    Question("The fit says E = 0.000, with an interval up to 1.7. What should you conclude?",
             ("This ladder does not determine E; it determines the sum of the parts where the runs are.",
              "Over so short a range a steep curve with a high floor looks like a flat one with none."),
             (("Text can be predicted perfectly by a large enough model.",
               "The interval holds floors up to 1.7 nats; the runs do not tell them apart."),
              ("The search for the minimum has failed.",
               "scipy finds the same law. The data are too few, not the steps."))),
    Question("The truth lay outside the bootstrap interval. Why did the interval not know?",
             ("It asks what other runs would have said, not what another formula would.",
              "The law adds the parts of size and text; the runs show that large models gain more from text."),
             (("A hundred draws are too few for an interval.",
               "More draws would make its ends steadier, not wider."),
              ("The held-out run was trained with another recipe.",
               "It has the recipe of the ladder: schedule, learning rate and batches follow the same rules."))),
    Question("A colleague's budget is fixed. The law says a smaller model that reads more is better. What ends that?",
             ("The text ends; then a larger model or another reading is all that money can buy.",
              "Here it ends at 560,896 tokens. Up to four readings are nearly as good as fresh text."),
             (("Nothing: a smaller model is always better for its price.",
               "A small model cannot hold more; its part of the loss grows as it shrinks."),
              ("The learning rate, which falls with the width.",
               "It is adapted to the width and limits neither size nor text."))),
]
