"Tune."
import math

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def draw_log(low: float, high: float, u: float) -> float:
    "A number between low and high, as likely between 0.001 and 0.01 as between 0.01 and 0.1; u is from 0 to 1."
    return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))   # low * (high / low) ** u


def _evenly(low, high, u): return low + u * (high - low)
def _from_above(low, high, u): return draw_log(low, high, 1 - u)
def _logarithm(low, high, u): return math.log(low) + u * (math.log(high) - math.log(low))
def _other_base(low, high, u): return math.exp(math.log10(low) + u * (math.log10(high) - math.log10(low)))


def _draw_ends(rng):
    low = float(10.0 ** -rng.integers(2, 6))
    return low, low * float(10.0 ** rng.integers(1, 4)), round(rng.uniform(0.05, 0.45), 2)


def best_first(losses: list[float]) -> list[float]:
    "The losses of all runs from the best to the worst; a run that gave NaN is the worst there is."
    return sorted(losses, key=lambda loss: math.inf if math.isnan(loss) else loss)


def _as_they_come(losses):
    "The losses of all runs from the best to the worst; a run that gave NaN is the worst there is."
    return sorted(losses)


def _without_them(losses): return sorted(loss for loss in losses if not math.isnan(loss))
def _nan_first(losses): return sorted(losses, key=lambda loss: -math.inf if math.isnan(loss) else loss)
def _worst_first(losses): return best_first(losses)[::-1]
def _as_zero(losses): return sorted(losses, key=lambda loss: 1.0 if math.isnan(loss) else loss)


def _draw_losses(rng):
    losses = rng.uniform(0.5, 3, size=6).round(2).tolist()
    losses[int(rng.integers(1, 5))] = math.nan
    return (losses,)


def should_prune(values: list[float], earlier: list[list[float]]) -> bool:
    """Whether to give up on a run. `values` are its losses so far, one an epoch; `earlier` those of complete runs.

    Yes if its best so far is above the median of the earlier runs at the same epoch. Never before there are four."""
    if len(earlier) < 4: return False
    epoch = len(values) - 1
    return min(values) > float(np.median([losses[epoch] for losses in earlier]))


def _too_soon(values, earlier):
    return min(values) > float(np.median([losses[len(values) - 1] for losses in earlier]))


def _by_last_value(values, earlier):
    return len(earlier) >= 4 and values[-1] > float(np.median([losses[len(values) - 1] for losses in earlier]))


def _beside_the_end(values, earlier):
    return len(earlier) >= 4 and min(values) > float(np.median([losses[-1] for losses in earlier]))


def _beside_the_best(values, earlier):
    return len(earlier) >= 4 and min(values) > min(losses[len(values) - 1] for losses in earlier)


def _turned(values, earlier): return len(earlier) >= 4 and not should_prune(values, earlier)


def _draw_runs(rng):
    fall = np.array([2.0, 1.5, 1.2, 1.0])
    run = lambda: (fall + rng.normal(0, 0.4, size=4)).round(2).tolist()
    return run()[:int(rng.integers(2, 4))], [run() for _ in range(int(rng.integers(2, 8)))]


def compare_searches() -> dict:
    "The lowest loss of 16 runs, on a grid of 4 by 4 and at random, in 40 worlds where one choice matters little."
    from llmcourse.tuning import Range, draw, grid

    found = {"grid": [], "random": []}
    ticks = [0.125, 0.375, 0.625, 0.875]                       # the middles of four quarters
    for world in range(40):
        rng = np.random.default_rng(world)
        best_x, best_y = rng.random(2)
        loss = lambda s: (s["x"] - best_x) ** 2 + 0.01 * (s["y"] - best_y) ** 2
        drawn = [draw({"x": Range(0.0, 1.0), "y": Range(0.0, 1.0)}, rng) for _ in range(16)]
        found["grid"].append(min(map(loss, grid(x=ticks, y=ticks))))
        found["random"].append(min(map(loss, drawn)))
    return found | {"better": min(found, key=lambda name: float(np.mean(found[name])))}


def _judge(answer) -> str:
    "Whether there are enough worlds and the choice follows from them."
    found = {name: answer[name] for name in ("grid", "random")}
    if not all(isinstance(values, list) and len(values) >= 30 for values in found.values()):
        return "try at least 30 worlds: in a single one, the grid may happen to hit the minimum"
    ahead = min(found, key=lambda name: float(np.mean(found[name])))
    if answer["better"] != ahead: return f"in your own worlds, {ahead} search has the lower mean loss"
    if ahead == "grid":
        return ("where one choice matters little, random draws should win. Do both have 16 runs, and is the part of y "
                "multiplied by 0.01?")
    return ""


_LOW, _HIGH = [0.001] * 30, [0.005] * 30

EXERCISES = [
    Exercise(
        "Down the parabola", """
        The loss is $L = 2 w^2$, and $w$ begins at 1. Where is $w$ after two steps of gradient descent with a learning
        rate of 0.3? And above which learning rate does it diverge? Answer `[w, rate]`.
        """, [0.04, 0.5], kind="predict", stub="answer = [..., ...]", tolerance=1e-3,
        hints=("The gradient is $4w$, so a step makes $(1 - 4 \\cdot \\text{rate})\\, w$ of $w$.",
               "The factor is 1 - 1.2 = -0.2, twice. It diverges where the factor is below -1."),
        mistakes=(Mistake([0.49, 2.0], "That is for $L = w^2/2$, whose gradient is $w$. Here the gradient is four "
                                       "times as large."),
                  Mistake([-0.2, 0.5], "That is after one step."),
                  Mistake([0.04, 0.25], "From 0.25 on it oscillates, as the factor is negative. It diverges when the "
                                        "factor is below -1."),
                  Mistake([0.04, 2.0], "2 is the bound for a gradient of $w$. A steeper loss has a smaller one."),
                  Mistake([0.16, 1.0], "The gradient of $2w^2$ is $4w$, not $2w$."))),
    Exercise(
        "Draw a learning rate", """
        Write `draw_log(low, high, u)`, which makes of `u`, drawn evenly from 0 to 1, a number that is as likely between
        0.001 and 0.01 as between 0.01 and 0.1.
        """, draw_log, imports="import math", inputs=_draw_ends, tolerance=1e-6,
        hints=("Draw the logarithm evenly, between the logarithms of the two ends.",
               "Then take `math.exp` of it. With u = 0 it must be `low`, with u = 1 `high`."),
        mistakes=(Mistake(_evenly, "This draws evenly, so between 0.001 and 0.1 nine draws of ten are above 0.01."),
                  Mistake(_from_above, "With u = 0 it gives `high`; it should give `low`."),
                  Mistake(_logarithm, "That is the logarithm of the number; undo it with `math.exp`."),
                  Mistake(_other_base, "`log10` goes with powers of 10, `exp` with the natural logarithm."))),
    Exercise(
        "The best first", """
        A search sorts its runs by their loss. One run diverged, and its loss is NaN. `best_first` then leaves the
        list in disorder. Mend it: the run that diverged is the worst, and stays in the list.
        """, best_first, kind="mend", imports="import math", inputs=_draw_losses,
        hints=("Is NaN smaller than 1? Is 1 smaller than NaN? Print both.",
               "Sort by a key that makes infinity of NaN: `math.inf if math.isnan(loss) else loss`."),
        mistakes=(Mistake(_as_they_come, "NaN is neither below nor above anything, so sorting cannot move other "
                                         "losses past it."),
                  Mistake(_without_them, "A run that diverged is a result, too; it should stand at the end."),
                  Mistake(_nan_first, "The run that diverged comes first, and would be taken for the best."),
                  Mistake(_worst_first, "This begins with the worst."),
                  Mistake(_as_zero, "NaN is given a place among the good losses."))),
    Exercise(
        "When to give up", """
        Write `should_prune(values, earlier)`: whether a run, with one loss an epoch so far, should be given up.
        Compare its best loss so far with the median of the earlier runs at the same epoch. Before there are four
        earlier runs, never.
        """, should_prune, imports="import numpy as np", inputs=_draw_runs, rounds=40,
        hints=("The epoch is `len(values) - 1`; take the loss of each earlier run at that place.",
               "`min(values) > np.median(...)`, and `False` while `earlier` holds fewer than four."),
        mistakes=(Mistake(_too_soon, "With fewer than four earlier runs their median says little; go on."),
                  Mistake(_by_last_value, "It looks at the last loss; one bad epoch should not end a run that was "
                                          "better before."),
                  Mistake(_beside_the_end, "It compares with where the earlier runs ended. At this epoch they were not "
                                           "there yet."),
                  Mistake(_beside_the_best, "It compares with the best of the earlier runs; then nearly every run is "
                                            "given up."),
                  Mistake(_turned, "The good ones are given up."))),
    Exercise(
        "Grid or chance?", """
        The loss is `(x - a)**2 + 0.01 * (y - b)**2`, with `a` and `b` drawn anew from 0 to 1 in each world: x matters
        much, y hardly. Spend 16 runs on the `grid` of 0.125, 0.375, 0.625 and 0.875 for both, and 16 on draws at
        `random`. Note the lowest loss of each, for at least 30 worlds. Which search is `better` on average? The check
        looks at your figures, and whether your choice follows.
        """, compare_searches, kind="decide", verify=_judge,
        imports="import numpy as np\nfrom llmcourse.tuning import Range, draw, grid",
        stub="answer = {\"grid\": [...], \"random\": [...], \"better\": ...}",
        hints=("`grid(x=ticks, y=ticks)` gives 16 settings, `draw({\"x\": Range(0.0, 1.0), \"y\": Range(0.0, 1.0)}, "
               "rng)` one at random.",
               "How many different values of x does each search try? Collect `min` of the 16 losses in each world."),
        mistakes=(Mistake({"grid": [0.1], "random": [0.01], "better": "random"}, "in a single one, the grid may "
                                                                                 "happen"),
                  Mistake({"grid": _HIGH, "random": _LOW, "better": "grid"}, "in your own worlds"),
                  Mistake({"grid": _LOW, "random": _HIGH, "better": "grid"}, "random draws should win"))),
]

QUESTIONS = [
    Question("Models of 1 and of 6 layers reach validation losses of 0.99 and 1.00. A rule that gives the shares of "
             "the labels has 1.00. What follows for the depth?",
             ("Nothing: neither has learned the task.",
              "Compare a sweep with the trivial control first. Two ways to guess say nothing about layers."),
             (("One layer is enough for this task.", "Zero layers would be enough for the same loss."),
              ("Six layers overfit the training sentences.",
               "They may. But at its best, on the way, neither was better than guessing, so depth was not the "
               "reason."))),
    Question("A range test of a few hundred steps suggests a rate of 0.02. What is it good for in a long run?",
             ("As an order of magnitude, for a top with warm-up and decay.",
              "It sees only the start of the training; long runs often want less."),
             (("As the rate of every step of the run.",
               "A constant rate that suits the start is too large for the end, where the weights should settle."),
              ("As the smallest rate that should be tried.",
               "It is where the loss falls fastest at the start; good rates for long runs often lie below."))),
    Question("A search found a loss of 0.981. Trained anew with other seeds, the same setting has 1.000 on average. "
             "Why?",
             ("It was chosen because it was also lucky.",
              "The best of eighteen has luck on its side. The number that chose it cannot judge it."),
             (("The other seeds happened to be bad ones.",
               "Three of three? The winner's number is the one that was picked out, not theirs."),
              ("It overfitted the training sentences.",
               "Both losses are on validation, and the setting is the same."))),
    Question("Why are learning rates drawn on a logarithmic scale?",
             ("What matters is the factor between two of them.",
              "From 0.001 to 0.002 changes as much as from 0.01 to 0.02. An even draw would hardly try the small "
              "ones."),
             (("So that all rates are above zero.", "An even draw between two positive ends is positive as well."),
              ("So that large rates are tried more often.",
               "It is the other way round: an even draw favours the large ones."))),
]
