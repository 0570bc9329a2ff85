"Fine-tune."
import math

import numpy as np
import torch

from llmcourse.practice import Exercise, Mistake, Question


def _loss_of_five(): return math.log(5)


def soft_target(label: int, votes: list[int], share: float, n_labels: int) -> list[float]:
    "A target for each label: `share` of it from the raters' votes, the rest from the label."
    from_votes = [votes.count(i) / len(votes) for i in range(n_labels)]           # shares that add up to 1
    from_label = [float(i == label) for i in range(n_labels)]                     # 1 for the label, 0 for the others
    return [share * v + (1 - share) * h for v, h in zip(from_votes, from_label)]


def _mixed_the_other_way(label, votes, share, n_labels): return soft_target(label, votes, 1 - share, n_labels)
def _votes_alone(label, votes, share, n_labels): return soft_target(label, votes, 1.0, n_labels)


def _votes_not_divided(label, votes, share, n_labels):
    return [share * votes.count(i) + (1 - share) * (i == label) for i in range(n_labels)]


def _hardened(label, votes, share, n_labels):
    mixed = soft_target(label, votes, share, n_labels)
    return [float(i == mixed.index(max(mixed))) for i in range(n_labels)]


def _draw_votes(rng):
    return int(rng.integers(3)), rng.integers(3, size=5).tolist(), float(rng.choice([0.2, 0.3, 0.7])), 3


def p_value(own: float, shuffled: list[float]) -> float:
    "The share of all errors, the own one included, that are as small as the own error or smaller."
    as_good = sum(error <= own for error in shuffled)       # shuffled labels that fit no worse than the real ones
    return (1 + as_good) / (1 + len(shuffled))              # the real labels are one of the possible orders


def _without_itself(own, shuffled): return sum(error <= own for error in shuffled) / len(shuffled)
def _larger_errors(own, shuffled): return (1 + sum(error >= own for error in shuffled)) / (1 + len(shuffled))
def _ties_are_worse(own, shuffled): return (1 + sum(error < own for error in shuffled)) / (1 + len(shuffled))
def _yes_or_no(own, shuffled): return float(own >= min(shuffled))


def missed(start: float, moved: float, end: float, noise: float, n_labels: int) -> list[str]:
    "The names of the checks that a dry run misses: start, head, heart, noise."
    passed = {"start": start <= 1.5 * math.log(n_labels),   # a head that knows nothing gives ln(n_labels)
              "head": moved > 0,
              "heart": end <= 0.5 * start,                  # the loss on sentences seen again and again is halved
              "noise": noise <= 0.05}
    return [name for name, ok in passed.items() if not ok]  # NaN passes none of these comparisons


def _nan_passes(start, moved, end, noise, n_labels):
    failed = {"start": start > 1.5 * math.log(n_labels), "head": moved <= 0, "heart": end > 0.5 * start,
              "noise": noise > 0.05}
    return [name for name, bad in failed.items() if bad]


def _noise_turned(start, moved, end, noise, n_labels):
    found = missed(start, moved, end, 0.0, n_labels)
    return found + ["noise"] * (not noise > 0.05)


def _heart_from_chance(start, moved, end, noise, n_labels):
    found = [name for name in missed(start, moved, 0.0, noise, n_labels) if name != "heart"]
    return sorted(found + ["heart"] * (not end <= 0.5 * math.log(n_labels)), key=["start", "head", "heart",
                                                                                 "noise"].index)


def _no_room_at_the_start(start, moved, end, noise, n_labels):
    found = [name for name in missed(start, moved, end, noise, n_labels) if name != "start"]
    return ["start"] * (not start <= math.log(n_labels)) + found


def _draw_checks(rng):
    bad = rng.integers(3, size=4)
    start = float(rng.choice([1.2, 1.3, 9.0, math.nan], p=[0.4, 0.3, 0.15, 0.15]))
    return (start, [0.001, 0.0, 0.002][bad[1]], float(rng.choice([0.2, 0.59, 0.9, math.nan])),
            float(rng.choice([0.005, 0.4, math.nan])), 3)


def fit(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor, rate: float, steps: int) -> torch.Tensor:
    "The weights (d,) after some steps of gradient descent on the mean squared error of `x @ w`."
    w = w.clone().requires_grad_()
    for _ in range(steps):
        loss = ((x @ w - y) ** 2).mean()     # x: (rows, d), y: (rows,)
        loss.backward()                      # adds to w.grad
        with torch.no_grad(): w -= rate * w.grad
        w.grad = None                        # so it must be emptied, as optimizer.zero_grad() does
    return w.detach()


def _gradients_pile_up(w, x, y, rate, steps):
    "The weights (d,) after some steps of gradient descent on the mean squared error of `x @ w`."
    w = w.clone().requires_grad_()
    for _ in range(steps):
        loss = ((x @ w - y) ** 2).mean()     # x: (rows, d), y: (rows,)
        loss.backward()
        with torch.no_grad(): w -= rate * w.grad
    return w.detach()


def _uphill(w, x, y, rate, steps): return fit(w, x, y, -rate, steps)
def _sum_of_errors(w, x, y, rate, steps): return fit(w, x, y, rate * len(x), steps)
def _one_step(w, x, y, rate, steps): return fit(w, x, y, rate, 1)


def _draw_rows(rng):
    tensor = lambda *shape: torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    return tensor(3), tensor(5, 3), tensor(5), 0.05, int(rng.integers(3, 5))


def by_heart_or_held_out() -> dict:
    "Accuracy on known and on new rows, for right and for shuffled labels, with three draws."
    found = {name: [] for name in ("known_right", "known_shuffled", "new_right", "new_shuffled")}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(200, 150))                                  # (rows, channels)
        y = np.where(x[:, 0] + x[:, 1] > 0, 1, -1)                       # labels that follow from the first two
        for name, labels in (("right", y), ("shuffled", rng.permutation(y))):
            w = np.linalg.lstsq(x[:100], labels[:100], rcond=None)[0]    # fitted on the first 100 rows
            accuracy = (np.sign(x @ w) == labels)
            found[f"known_{name}"].append(float(accuracy[:100].mean()))
            found[f"new_{name}"].append(float(accuracy[100:].mean()))
    return found | {"tells": "new"}


def _judge_rows(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    names = ("known_right", "known_shuffled", "new_right", "new_shuffled")
    if not all(isinstance(answer[name], list) and len(answer[name]) >= 3 for name in names):
        return "draw the data at least three times: one draw may be luck"
    mean = {name: sum(answer[name]) / len(answer[name]) for name in names}
    if not all(0 <= value <= 1 for value in mean.values()): return "an accuracy lies between 0 and 1"
    if mean["known_shuffled"] < 0.9: return ("with more channels than rows the model should learn even shuffled "
                                             "labels by heart; did you measure the rows it was fitted on?")
    if mean["new_right"] < mean["new_shuffled"] + 0.05: return ("on new rows the right labels should be predicted "
                                                                "better; did you leave those rows out of the fit?")
    return "" if answer["tells"] == "new" else "your own figures are alike on the known rows, so those cannot tell"


EXERCISES = [
    Exercise(
        "The loss of a head that knows nothing", """
        A classifier of five labels gets a fresh head, which gives each label the same chance. What is its cross-entropy
        before the first step, in nats? Two decimals are enough.
        """, _loss_of_five, kind="predict", tolerance=5e-3,
        hints=("The loss is minus the logarithm of the chance given to the right label.",
               "That chance is 1/5, and the logarithm is the natural one."),
        mistakes=(Mistake(1 / 5, "That is the chance of the right label; the loss is minus its logarithm."),
                  Mistake(math.log2(5), "That is the logarithm to base 2, so the loss in bits; here it is in nats."),
                  Mistake(math.log(3), "That is the loss for three labels, as in this lesson; here there are five."),
                  Mistake(-math.log(5), "A loss is not negative: take minus the logarithm of a chance below 1."))),
    Exercise(
        "What the dry run missed", """
        A dry run gave four figures: the loss at the `start`, how far the head `moved`, the loss at the `end` of
        learning a few sentences by heart, and the label `noise`. Write `missed`. It returns, in this order, the names
        of the checks that are not passed: `"start"` needs a loss of at most 1.5 ln(n_labels), `"head"` a move above
        0, `"heart"` an end of at most half the start, `"noise"` at most 0.05. A figure that is NaN passes nothing.
        """, missed, inputs=_draw_checks, rounds=24, imports="import math",
        hints=("Write down for each check when it is passed, and list those that are not.",
               "NaN is neither above nor below anything: `nan > 1` and `nan <= 1` are both False. So `not x <= bound` "
               "is not the same as `x > bound`."),
        mistakes=(Mistake(_nan_passes, "A figure that is NaN passes: it is not above the bound. Ask whether the check "
                                       "is passed, not whether it is missed."),
                  Mistake(_noise_turned, "The label noise is taken the wrong way round: it is the chance that "
                                         "unrelated labels fit as well, so small is good."),
                  Mistake(_heart_from_chance, "The loss at the end is compared with that of chance; it should be "
                                              "halved from where this run started."),
                  Mistake(_no_room_at_the_start, "A head that knows nothing scatters a little around ln(n_labels), so "
                                                 "the bound leaves some room: the factor is missing."))),
    Exercise(
        "Chance or relation", """
        Check 4 compares the error with the `own` labels to the errors after shuffling them. Write `p_value(own,
        shuffled)`: the share of all these errors that are as small as `own` or smaller. The real labels are one
        possible order, so `own` itself counts among them.
        """, p_value, inputs=lambda rng: (float(rng.integers(2, 7)), rng.integers(1, 9, size=9).astype(float).tolist()),
        hints=("Count the shuffles whose error is no larger than "
               "`own`.", "Add 1 above and below: `own` is one of them."),
        mistakes=(Mistake(_without_itself, "The real order is left out, so the answer can be 0, a certainty that no "
                                           "number of shuffles gives."),
                  Mistake(_larger_errors, "It counts the errors that are larger. Noise shows when shuffling does no "
                                          "harm, that is when errors stay small."),
                  Mistake(_ties_are_worse, "A shuffle that fits exactly as well counts as worse; it should count "
                                           "against the labels."),
                  Mistake(_yes_or_no, "It says only whether some shuffle did as well; the share is asked for."))),
    Exercise(
        "Targets from raters", """
        Write `soft_target(label, votes, share, n_labels)`: a list of one number for each label. `votes` are the
        labels that single raters gave. With `share=0` the target is the label alone, with `share=1` the shares of the
        votes alone.
        """, soft_target, inputs=_draw_votes,
        hints=("Make two lists that each add up to 1: shares of the votes, and 1 for the label with 0 for the others.",
               "Mix them: `share` times the first plus `1 - share` times the second."),
        mistakes=(Mistake(_mixed_the_other_way, "The shares are exchanged: with `share=1` it gives the label alone."),
                  Mistake(_votes_alone, "It ignores the label; only `share` of the target comes from the raters."),
                  Mistake(_votes_not_divided, "The votes are counted, not divided by their number, so the target does "
                                              "not add up to 1."),
                  Mistake(_hardened, "It makes the mixture hard again: one label gets all, and the doubt of the "
                                     "raters is lost."))),
    Exercise(
        "The loop that runs away", """
        `fit` is the training loop in six lines. Its first step is right, and after that the steps grow too long. Mend
        it.
        """, fit, kind="mend", inputs=_draw_rows, imports="import torch",
        hints=("Print `w.grad` in each step, and compute by hand what it should be in the second.",
               "`backward` adds to `w.grad`. The optimizers of PyTorch have `zero_grad()` for this reason."),
        mistakes=(Mistake(_gradients_pile_up, "The first step is right and the second is not: something is carried "
                                              "over from one step to the next."),
                  Mistake(_uphill, "The loss rises: a step goes against the gradient."),
                  Mistake(_sum_of_errors, "The errors are summed, not averaged, so a step grows with the number of "
                                          "rows."),
                  Mistake(_one_step, "It takes one step, however many are asked for."))),
    Exercise(
        "Which rows give shuffled labels away?", """
        Draw `x` of shape (200, 150) at random, and labels -1 or 1 by the sign of `x[:, 0] + x[:, 1]`. Fit the first
        100 rows by `np.linalg.lstsq`, once with the right labels and once with shuffled ones. Note the accuracy on
        these `known` rows and on the 100 `new` ones, for three draws. Which rows `tell` the two apart: `"known"` or
        `"new"`?
        """, by_heart_or_held_out, kind="decide", verify=_judge_rows, imports="import numpy as np",
        stub="""answer = {"known_right": [...], "known_shuffled": [...], "new_right": [...], "new_shuffled": [...],
          "tells": ...}""",
        hints=("`w = np.linalg.lstsq(x[:100], y[:100], rcond=None)[0]`, and the model says `np.sign(x @ w)`.",
               "Shuffle with `rng.permutation(y)`, then do exactly the same with the shuffled labels."),
        mistakes=(Mistake({"known_right": [1.0], "known_shuffled": [1.0], "new_right": [0.7], "new_shuffled": [0.5],
                           "tells": "new"}, "one draw may be luck"),
                  Mistake({"known_right": [1.0] * 3, "known_shuffled": [0.5] * 3, "new_right": [0.7] * 3,
                           "new_shuffled": [0.5] * 3, "tells": "new"}, "should learn even shuffled labels by heart"),
                  Mistake({"known_right": [1.0] * 3, "known_shuffled": [1.0] * 3, "new_right": [1.0] * 3,
                           "new_shuffled": [1.0] * 3, "tells": "new"}, "did you leave those rows out"),
                  Mistake({"known_right": [1.0] * 3, "known_shuffled": [1.0] * 3, "new_right": [0.7] * 3,
                           "new_shuffled": [0.5] * 3, "tells": "known"}, "your own figures are alike"))),
]

QUESTIONS = [
    Question("The head was frozen by accident. Why does the model still learn eight sentences by heart?",
             ("The layers below move, and bend the vectors to suit the head.",
              "So the loss falls, and only a look at the head itself finds the fault."),
             (("Eight sentences are so few that a random head fits them.",
               "A random head has a loss near chance; something has to move for the loss to fall."),
              ("A frozen head moves too, only more "
               "slowly.", "It gets no gradient at all, and stays as it is to the bit."))),
    Question("Labels stand one row off, in a file whose sentences are in their order. Check 4 passes. Why?",
             ("The neighbour in the file is from the same review, and often has the same label.",
              "The labels are related to the texts, only less than they should be. Check 4 asks for any relation."),
             (("Check 4 looks at labels only, not at texts.", "It predicts labels from the vectors of the texts."),
              ("One row off is too small a shift to do harm.",
               "In a third of the rows the label is another. That is harm, which this check does not see."))),
    Question("The validation loss rises from the second epoch on, and macro-F1 rises too. How can both be?",
             ("More answers are right, and the wrong ones are given with more confidence.",
              "The loss asks how sure the model is, macro-F1 only which label comes first."),
             (("One of the two is computed wrongly.", "Both are right; they answer different questions."),
              ("Macro-F1 is measured on the training split.",
               "Both come from the same look at the validation split."))),
    Question("In one run the fine-tuned model is behind the linear probe; over three stored draws, with another "
             "recipe, it is ahead. What may we say?",
             ("The recipe decides more than the name of the technique.",
              "Epoch, rate and first head differ between the two. Which of them turned the result, these runs do not "
              "separate."),
             (("Fine-tuning beats the probe: three draws count more than one.",
               "They count more about their own recipe. Ours was another, and it lost by more than its interval."),
              ("Nothing: results that disagree cancel each other.",
               "They are results about two recipes, and both stand."))),
    Question("Why does `finetune` check the validation split before it trains?",
             ("A fault there would otherwise show only after an hour of training.",
              "Labels that are all -1, as in public test splits, are a frequent case."),
             (("Its sentences are trained on in the last epoch.",
               "They are never trained on; that would make the score worthless."),
              ("The order of its rows decides the seed.", "The seed is an argument, and the order does not matter."))),
]
