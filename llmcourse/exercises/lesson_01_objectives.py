"Define the objective."
import inspect

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def _break_even(): return (80 - 20) * 4 / (150 - 10)


def total_cost(confusion: np.ndarray, euros: np.ndarray) -> float:
    "What all errors cost. Both are (n_labels, n_labels): rows are the truth, columns the answer."
    return float((confusion * euros).sum())   # how often, times euros each, cell by cell


def _matrix_product(confusion, euros): return float((confusion @ euros).sum())
def _transposed(confusion, euros): return float((confusion.T * euros).sum())
def _per_sentence(confusion, euros): return float((confusion * euros).sum() / confusion.sum())
def _error_count(confusion, euros): return float(confusion.sum() - np.trace(confusion))


def _draw_counts(rng):
    n = int(rng.integers(2, 4))
    euros = rng.integers(1, 9, (n, n)) / 2
    np.fill_diagonal(euros, 0)
    return rng.integers(0, 9, (n, n)), euros


def cheapest(probabilities: np.ndarray, euros: np.ndarray) -> np.ndarray:
    "The answer with the least expected cost, for each sentence: (n, n_labels), (n_labels, n_labels) -> (n,)."
    expected = probabilities @ euros    # (n, n_labels): sum over the truths of probability times cost
    return expected.argmin(1)           # (n,)


def _most_probable(probabilities, euros): return probabilities.argmax(1)
def _dearest(probabilities, euros): return (probabilities @ euros).argmax(1)
def _costs_turned(probabilities, euros): return (probabilities @ euros.T).argmin(1)
def _over_sentences(probabilities, euros): return (probabilities @ euros).argmin(0)


def _draw_beliefs(rng):
    euros = rng.integers(1, 40, (3, 3)) / 4
    np.fill_diagonal(euros, 0)
    return rng.dirichlet([1, 1, 1], 9).round(2), euros


def best_threshold(missed: float, false_alarm: float) -> float:
    "Raise the alarm from this probability on; both errors are given in euros."
    return false_alarm / (false_alarm + missed)   # where p * missed equals (1 - p) * false_alarm


def _upside_down(missed, false_alarm):
    "Raise the alarm from this probability on; both errors are given in euros."
    return missed / (missed + false_alarm)


def _odds(missed, false_alarm): return false_alarm / missed
def _half(missed, false_alarm): return 0.5


def sentences(seed: int, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    "Whether each sentence is a complaint, and what a model that is too sure of itself says of it."
    rng = np.random.default_rng(seed)
    complaint = rng.random(n) < 0.2
    logit = np.log(0.2 / 0.8) + 1.6 * rng.normal(np.where(complaint, 0.8, -0.8))
    return complaint, 1 / (1 + np.exp(-3 * logit))


def compare_thresholds() -> dict:
    "Euros for 1,000 sentences, on three draws, for three ways to choose the threshold."
    def cost(complaint, probability, threshold):
        alarm = probability >= threshold
        return ((complaint & ~alarm) * 4 + (~complaint & alarm) * 0.5).mean() * 1000

    set_aside, tries = sentences(100), np.linspace(0, 0.2, 401)
    chosen = min(tries, key=lambda t: cost(*set_aside, t))     # never on the sentences that test
    euros = {"half": [], "formula": [], "chosen": []}
    for seed in range(3):
        for name, threshold in (("half", 0.5), ("formula", 0.5 / 4.5), ("chosen", chosen)):
            euros[name].append(float(cost(*sentences(seed), threshold)))
    return euros | {"cheapest": min(euros, key=lambda name: sum(euros[name]))}


def _judge(answer) -> str:
    "Whether the choice follows the figures, and the figures can be right."
    ways = ("half", "formula", "chosen")
    if not all(isinstance(answer[way], (list, tuple)) and len(answer[way]) >= 3 for way in ways):
        return "test each threshold on at least three draws: one draw is partly luck"
    mean = {way: sum(answer[way]) / len(answer[way]) for way in ways}
    if max(mean.values()) < 5: return "these are euros for one sentence; multiply the mean by 1,000"
    least = min(mean, key=mean.get)
    if answer["cheapest"] != least: return f"your own figures say that {least} is the cheapest; follow them"
    if least != "chosen":
        return ("a threshold that is chosen among many should cost less here; did you try values close to 0, and does "
                "a missed complaint cost 4?")
    if not mean["chosen"] < 0.9 * mean["formula"]:
        return "the formula should lose clearly; it gives 0.5 / 4.5, and the probabilities stay as they were drawn"
    return ""


EXERCISES = [
    Exercise(
        "Where both models cost the same", """
        The careful model misses 20 complaints and raises 150 false alarms. The choosy one misses 80 and raises 10. A
        missed complaint costs 4 euros. At what price of a false alarm, in euros, do both cost the same? Work it out
        by hand.
        """, _break_even, kind="predict", tolerance=5e-3,
        hints=("Write down what each model costs, with `a` for the price of a false alarm.",
               "20 × 4 + 150 a = 80 × 4 + 10 a. Bring the terms with `a` to one side."),
        mistakes=(Mistake(1.6, "That charges the choosy model for no false alarm at all; it raises 10."),
                  Mistake(1.5, "The false alarms of the two models were added; what matters is how many more there "
                               "are."),
                  Mistake(60 / 140, "That counts missed complaints instead of what they cost, 4 euros each."),
                  Mistake(0.5, "That is the price in the lesson, at which the choosy model costs twice as much."))),
    Exercise(
        "What all errors cost", "Write `total_cost(confusion, euros)` without a loop.", total_cost,
        inputs=_draw_counts, imports="import numpy as np",
        hints=("Both arrays have the same shape. Which product keeps each count beside its own cost?",
               "`*` multiplies cell by cell, `@` does not. Then add up all cells."),
        mistakes=(Mistake(_matrix_product, "`@` is the matrix product. It also multiplies counts with the costs of "
                                           "other "
                                           "errors; lay the arrays over each other."),
                  Mistake(_transposed, "Rows and columns are exchanged, so a false alarm is charged as a missed case."),
                  Mistake(_per_sentence, "That is the mean cost of a sentence; the total was asked for."),
                  Mistake(_error_count, "That counts the errors as if each cost one euro."))),
    Exercise(
        "The cheapest answer", "Write `cheapest(probabilities, euros)`: the label id with the least expected cost, "
                               "for each "
        "sentence.", cheapest, inputs=_draw_beliefs, imports="import numpy as np",
        hints=("The expected cost of one answer is a sum over the truths: probability of the truth, times its cost.",
               "`probabilities` has a column for each truth, `euros` has a row for each truth. That is a matrix "
               "product.",
               "Take the `argmin` of each row."),
        mistakes=(Mistake(_most_probable, "That is the most probable label. It ignores the costs, as if all were "
                                          "equal."),
                  Mistake(_dearest, "That is the most expensive answer; the cheapest was asked for."),
                  Mistake(_costs_turned, "The rows of `euros` are the truth. Transposed, it charges for the opposite "
                                         "error."),
                  Mistake(_over_sentences, "The smallest was taken over the sentences; there should be one answer "
                                           "for each "
                                           "row."))),
    Exercise(
        "Threshold from costs", "`best_threshold` waits for near certainty just where a missed case is expensive. "
                                "Mend it.",
        best_threshold, kind="mend",
        inputs=lambda rng: (float(rng.integers(3, 40) / 2), float(rng.integers(1, 40) / 8)),
        hints=("Try `best_threshold(9, 1)`. One true alarm in ten would be worth it, so what should come out?",
               "At the threshold the alarm and the silence cost the same: (1 - p) × false_alarm = p × missed."),
        mistakes=(Mistake(_upside_down, "The more a missed case costs, the lower the threshold should be, and here it "
                                        "rises."),
                  Mistake(_odds, "That is the odds, which may exceed 1; a probability was asked for."),
                  Mistake(_half, "0.5 is right only where both errors cost the same."))),
    Exercise(
        "Formula or brute force?", """
        `sentences(seed)` draws 20,000 sentences and the probabilities of a model that is too sure of itself. A missed
        complaint costs 4 euros, a false alarm 0.5. Compare three thresholds: `half` is 0.5, `formula` is the one of
        this lesson, and `chosen` is the best that you find on sentences set aside (a seed that you do not test on).
        Give the euros for 1,000 sentences on at least three draws each, and say which is `cheapest`.
        """, compare_thresholds, kind="decide", imports="import numpy as np", verify=_judge,
        stub=inspect.getsource(sentences) + "\nanswer = {\"half\": [...], \"formula\": [...], \"chosen\": [...], "
                                            "\"cheapest\": ...}",
        hints=("Write a function `cost(complaint, probability, threshold)` first: 4 euros where a complaint lies "
               "below the "
               "threshold, 0.5 where another sentence does not.",
               "Choose the threshold with `min` over `np.linspace(0, 0.2, 401)`, on `sentences(100)`.",
               "Then test all three thresholds on `sentences(0)`, `sentences(1)` and `sentences(2)`."),
        mistakes=(Mistake({"half": [780.0], "formula": [325.0], "chosen": [229.0], "cheapest": "chosen"},
                          "one draw is partly luck"),
                  Mistake({"half": [433.0, 434.0, 432.0], "formula": [325.0, 326.0, 324.0],
                           "chosen": [229.0, 230.0, 228.0], "cheapest": "formula"}, "follow them"),
                  Mistake({"half": [433.0, 434.0, 432.0], "formula": [325.0, 326.0, 324.0],
                           "chosen": [433.0, 434.0, 432.0], "cheapest": "formula"}, "did you try values close to 0"),
                  Mistake({"half": [0.43] * 3, "formula": [0.33] * 3, "chosen": [0.23] * 3, "cheapest": "chosen"},
                          "multiply the mean by 1,000"))),
]

QUESTIONS = [
    Question("A new model raises accuracy from 0.83 to 0.91. What do you know about its cost?",
             ("Nothing certain: it may have fewer errors of the expensive kind, or more.",
              "In the lesson the model with accuracy 0.91 cost twice as much, since it missed more complaints."),
             (("It is lower, because there are fewer errors.",
               "Only if all errors cost the same. One missed complaint may cost as much as eight false alarms."),
              ("It is lower if precision rose as well.",
               "The choosy model had the better precision too. Recall, which counts what was missed, fell."))),
    Question("Reading a sentence becomes twice as expensive, so a false alarm costs more. What happens to the "
             "threshold?",
             ("It rises: an alarm must be more probable to be worth it.",
              "The false alarm stands in the numerator, and a larger numerator gives a larger threshold."),
             (("It falls: more sentences are worth reading.",
               "More expensive reading makes fewer sentences worth it. A more expensive miss would lower the "
               "threshold."),
              ("It stays: the probabilities did not change.",
               "The probabilities stay; the decision about them also depends on the costs."))),
    Question("A model gives probabilities of 0.999 that are right in 80 % of cases, but it ranks sentences well. "
             "What helps?",
             ("Choose the threshold on sentences set aside, or calibrate.",
              "The order is good, so some threshold works. The formula finds it only from true probabilities."),
             (("Use the formula: it gives the best threshold for any model.",
               "The formula assumes that the probabilities are right, and these are not."),
              ("Choose the threshold on the test sentences.",
               "Then the test no longer shows what happens on new sentences."))),
    Question("Why does an objective hold a floor for the recall of negatives beside macro-F1?",
             ("Macro-F1 can rise while the errors cost more.",
              "Among twelve decision rules of one model, a higher macro-F1 mostly meant a higher cost."),
             (("Macro-F1 ignores the negatives.",
               "It contains the F1 of negatives, but mixes it with that of two other labels."),
              ("Recall is harder to compute than F1.",
               "F1 is computed from recall; the floor is there because recall is what saves money."))),
    Question("A release has no measured `macro_f1_tweets`. Why does `met_by` say no?",
             ("Otherwise nobody would have to measure what might fail.",
              "A missing number is not evidence. Treating it as a pass would reward not looking."),
             (("Because a missing number counts as zero.",
               "It counts as not met, whatever the bound; a ceiling would accept a zero."),
              ("Because tweets are what the model is for.",
               "It is for reviews; the floor on tweets guards generalization. Any guard-rail without a number says "
               "no."))),
]
