"Judge what a model writes."
from collections import Counter

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def rouge_n(reference: list[str], answer: list[str], n: int) -> float:
    "ROUGE-n, the F-measure of two texts given as words: of their runs of n neighbours, each as often as in both."
    runs = lambda words: Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))
    a, b = runs(reference), runs(answer)
    shared = (a & b).total()                               # of each run the smaller of the two counts
    return 2 * shared / (a.total() + b.total())            # harmonic mean of shared / a and shared / b


def _runs(words, n): return Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


def _recall(reference, answer, n):
    a, b = _runs(reference, n), _runs(answer, n)
    return (a & b).total() / a.total()


def _precision(reference, answer, n):
    a, b = _runs(reference, n), _runs(answer, n)
    return (a & b).total() / b.total()


def _kinds_only(reference, answer, n):
    a, b = set(_runs(reference, n)), set(_runs(answer, n))
    return 2 * len(a & b) / (len(a) + len(b))


def _not_clipped(reference, answer, n):
    a, b = _runs(reference, n), _runs(answer, n)
    return 2 * sum(count for run, count in b.items() if run in a) / (a.total() + b.total())


def _single_words(reference, answer, n): return rouge_n(reference, answer, 1)


def _draw_texts(rng):
    n, words = int(rng.choice([1, 2])), ["the", "zoom", "works"]
    a, b = (rng.choice(words, size=size).tolist() for size in rng.permutation([5, 8]))
    return ["the", "zoom", *a], [*b, "the", "zoom"], n


def text_preference(odds: np.ndarray) -> np.ndarray:
    "How much a judge prefers the first text of each pair. `odds` (n, 2): log-odds of A against B, then exchanged."
    return (odds[:, 0] - odds[:, 1]) / 2      # the preference for a place has one sign in both orders, and cancels


def _the_place(odds):
    "How much a judge prefers the first text of each pair. `odds` (n, 2): log-odds of A against B, then exchanged."
    return (odds[:, 0] + odds[:, 1]) / 2


def _one_order(odds): return odds[:, 0]
def _the_second_text(odds): return (odds[:, 1] - odds[:, 0]) / 2
def _not_halved(odds): return odds[:, 0] - odds[:, 1]
def _over_pairs(odds): return odds[:, 0] - np.median(odds)


def left_out_agreement(a: list[float], b: list[float]) -> float:
    "Rater i gave text A `a[i]` and text B `b[i]`. How often a rater prefers what the others prefer; a tie: 0.5."
    found = []
    for i in range(len(a)):
        others = sum(a) - a[i] - (sum(b) - b[i])                # above 0: the others prefer A; rater i is not in it
        found.append((1 + np.sign(a[i] - b[i]) * np.sign(others)) / 2)
    return float(np.mean(found))


def _agreement(a, b, others): return [(1 + np.sign(x - y) * np.sign(others(x, y))) / 2 for x, y in zip(a, b)]
def _with_himself(a, b): return float(np.mean(_agreement(a, b, lambda x, y: sum(a) - sum(b))))
def _all_prefer(a, b): return float(np.mean([(1 + np.sign(x - y)) / 2 for x, y in zip(a, b)]))


def _ties_lost(a, b):
    return float(np.mean([value == 1 for value in _agreement(a, b, lambda x, y: sum(a) - x - sum(b) + y)]))


def _ties_won(a, b):
    return float(np.mean([value > 0 for value in _agreement(a, b, lambda x, y: sum(a) - x - sum(b) + y)]))


def _draw_raters(rng):
    a = rng.integers(-2, 3, size=5)
    b = rng.integers(-2, 3, size=5)
    b[0], b[1] = a[0], a[1] + 1                                 # one rater is undecided, one prefers B
    return a.tolist(), b.tolist()


def whom_the_swap_helps() -> dict:
    "Agreement with the truth, asked in one order and in both, of a judge who knows and of one who does not."
    found = {}
    for name, strength in (("knows", 1), ("guesses", 0)):
        found[name] = {"one": [], "both": []}
        for seed in range(3):
            rng = np.random.default_rng(seed)
            truth = rng.choice([-1, 1], size=500)                              # 1: the first text is better
            given, exchanged = (3 + sign * strength * truth + rng.normal(size=500) for sign in (1, -1))
            for way, preference in (("one", given), ("both", given - exchanged)):
                found[name][way].append(float(((preference > 0) == (truth > 0)).mean()))
    return found | {"swap helps": "knows"}


def _judge(answer) -> str:
    "Whether both judges were simulated as asked, and the choice follows."
    parts = {name: answer[name] for name in ("knows", "guesses")}
    if not all(isinstance(part, dict) and set(part) == {"one", "both"} for part in parts.values()):
        return "each judge has a dictionary with the keys 'one' and 'both'"
    if not all(isinstance(values, list) and len(values) >= 3 for part in parts.values() for values in part.values()):
        return "give three seeds for each: one draw may be lucky"
    mean = lambda values: sum(values) / len(values)
    gain = {name: mean(part["both"]) - mean(part["one"]) for name, part in parts.items()}
    if mean(parts["knows"]["one"]) > 0.7:
        return "in one order even the judge who knows should say A nearly always; was the bias of 3 added?"
    if mean(parts["guesses"]["both"]) > 0.7:
        return "the judge who guesses cannot be right so often; is the truth in the log-odds?"
    if gain["knows"] < 0.2:
        return "both orders should help the judge who knows; the truth changes its sign when the texts are exchanged"
    return "" if answer["swap helps"] == "knows" else f"your own figures say otherwise: the gains are {gain}"


_TABLE = {"knows": {"one": [0.51] * 3, "both": [0.92] * 3}, "guesses": {"one": [0.50] * 3, "both": [0.51] * 3}}

EXERCISES = [
    Exercise(
        "Sum, or mean?", """
        A model gives the tokens of three answers these log-probabilities:

        ```
        ok              -2.0
        not at all      -1.5  -0.7  -0.5
        disappointing   -2.6
        ```

        Which answer wins by the sum, by the mean over tokens, and by the mean over characters? *Not at all* has 10
        characters, *disappointing* 13. Give the three winners in this order.
        """, ["ok", "not at all", "disappointing"], kind="predict", stub="answer = [..., ..., ...]",
        hints=("The largest wins, which is the one nearest to 0. The sums are -2.0, -2.7 and -2.6.",
               "For each token: -2.0, -0.9 and -2.6. For each character divide the sums by 2, 10 and 13."),
        mistakes=(Mistake(["ok"] * 3, "The sum divided by the number of tokens, or of characters, is another number; "
                                      "divide before you compare."),
                  Mistake(["not at all", "disappointing", "ok"], "Those are the smallest. A log-probability nearer to "
                                                                 "0 is the likelier one."),
                  Mistake(["ok", "not at all", "not at all"], "By characters: -2.7/10 is -0.27. What is -2.6/13?"),
                  Mistake(["ok", "disappointing", "not at all"], "The two means are exchanged: tokens first, then "
                                                                 "characters."))),
    Exercise(
        "ROUGE by hand", """
        The reference is *the battery is dead after a week*, the answer *the battery is fine*. What is ROUGE-1, the
        F-measure of shared words?
        """, 6 / 11, kind="predict", tolerance=0.006,
        hints=("Seven words and four; how many are shared?",
               "Three are shared. Recall is 3/7 and precision 3/4; take their harmonic mean, 2 · 3 / (7 + 4)."),
        mistakes=(Mistake(3 / 7, "That is recall: the share of the reference that was found."),
                  Mistake(3 / 4, "That is precision: the share of the answer that stands in the reference."),
                  Mistake((3 / 7 + 3 / 4) / 2, "That is the plain mean of recall and precision; the F-measure is the "
                                               "harmonic one."),
                  Mistake(3 / 8, "That divides by all different words of both; the F-measure counts the shared words "
                                 "on both sides."))),
    Exercise(
        "Runs of words", """
        Write `rouge_n(reference, answer, n)` for two lists of words. It compares runs of n neighbouring words. A run
        that stands twice in one text and once in the other is shared once.
        """, rouge_n, imports="from collections import Counter", inputs=_draw_texts,
        hints=("`Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))` counts the runs of a text.",
               "`a & b` takes the smaller of the two counts for each run, and `.total()` adds them up.",
               "The F-measure is twice the shared ones over the number of runs in both texts."),
        mistakes=(Mistake(_recall, "That is the share of the reference alone; a very long answer would always win."),
                  Mistake(_precision, "That is the share of the answer alone; an answer of one word would always win."),
                  Mistake(_kinds_only, "Each run is counted once, however often it stands there."),
                  Mistake(_not_clipped, "A run that the answer repeats is shared no more often than the reference has "
                                        "it; else the-the-the would score well."),
                  Mistake(_single_words, "It compares single words; for n = 2 pairs of neighbours are asked for."))),
    Exercise(
        "What is left of the place", """
        `odds` (n, 2) holds a judge's log-odds of the letter A against B for n pairs: first as given, then with the two
        texts exchanged. `text_preference` should be above 0 where the judge prefers the first text, and 0 where it only
        likes a place. A judge that always says A gets large numbers. Mend it.
        """, text_preference, kind="mend", imports="import numpy as np",
        inputs=lambda rng: ((rng.normal(size=(3, 2)) + rng.choice([-2, 2])).round(2),),
        hints=("In the second column the first text stands at B. What sign does a preference for the text have there?",
               "A preference for the place has the same sign in both columns. Combine them so that it cancels; half of "
               "the result is in the units of one question."),
        mistakes=(Mistake(_the_place, "The sum keeps what both orders share, which is the place, and cancels the "
                                      "texts."),
                  Mistake(_one_order, "One order alone holds text and place together."),
                  Mistake(_the_second_text, "The sign is wrong: it is above 0 where the second text is preferred."),
                  Mistake(_not_halved, "The text counts twice, once in each order; take half."),
                  Mistake(_over_pairs, "The median over all pairs removes the usual bias; the other order is at hand, "
                                       "and removes that of each pair."))),
    Exercise(
        "One rater against the others", """
        Five raters gave text A the numbers `a` and text B the numbers `b`, in the same order of raters. Write
        `left_out_agreement(a, b)`: each rater in turn is held against the *other* raters. It counts 1 if the rater
        prefers the text with their higher mean, 0 for the other text, and 0.5 if the rater, or the others, prefer
        neither. Return the mean.
        """, left_out_agreement, imports="import numpy as np", inputs=_draw_raters,
        hints=("The sum of the others is the sum of all, minus this rater's own number.",
               "`np.sign` gives -1, 0 or 1. The product of two signs is 1 where they agree and 0 for a tie; "
               "`(1 + product) / 2` makes 1, 0.5 and 0 of it."),
        mistakes=(Mistake(_with_himself, "The rater's own numbers are part of the mean that they are held against, so "
                                         "the agreement is too high."),
                  Mistake(_all_prefer, "That is the share of raters who prefer A; asked is how often they agree with "
                                       "the others, who may prefer B."),
                  Mistake(_ties_lost, "Where somebody is undecided it counts 0; a tie counts one half."),
                  Mistake(_ties_won, "Where somebody is undecided it counts 1; a tie counts one half."))),
    Exercise(
        "Whom does the swap help?", """
        Simulate two judges with the same position bias. Make 500 pairs with a `truth` of 1 or -1 at random, 1 if the
        first text is better. The log-odds of A are 3 (the bias) plus `strength` times the truth plus noise,
        `rng.normal(size=500)`. With exchanged texts the truth has the other sign, and the noise is drawn anew. The
        judge who `knows` has strength 1, the one who `guesses` 0.

        Note how often each agrees with the truth, by the first order alone (`one`: above 0 means the first text) and by
        the difference of `both` orders, three seeds each. Which of the two does the `swap help`?
        """, whom_the_swap_helps, kind="decide", verify=_judge, imports="import numpy as np",
        stub='''
        answer = {"knows": {"one": [...], "both": [...]}, "guesses": {"one": [...], "both": [...]}, "swap helps": ...}
        ''',
        hints=("`given = 3 + strength * truth + noise`, `exchanged = 3 - strength * truth + other_noise`.",
               "One order prefers the first text where `given > 0`, both orders where `given - exchanged > 0`. Compare "
               "with `truth > 0` and take the mean."),
        mistakes=(Mistake({name: {way: v[:1] for way, v in part.items()} for name, part in _TABLE.items()}
                          | {"swap helps": "knows"}, "one draw may be lucky"),
                  Mistake(_TABLE | {"swap helps": "guesses"}, "your own figures say otherwise"),
                  Mistake(_TABLE | {"knows": {"one": [0.84] * 3, "both": [0.92] * 3}, "swap helps": "knows"},
                          "was the bias of 3 added?"),
                  Mistake(_TABLE | {"knows": {"one": [0.51] * 3, "both": [0.5] * 3}, "swap helps": "knows"},
                          "changes its sign"))),
]

QUESTIONS = [
    Question("A model's summaries have a ROUGE-L of 0.15. One constant sentence, given for every text, has 0.146. What "
             "follows?",
             ("The score does not show that the model read the texts.",
              "A constant cannot have read anything, and it does as well. What both share is the style of the "
              "references."),
             (("The model's summaries are of no use.",
               "They may be good: ROUGE counts shared words, and a good summary can use others."),
              ("ROUGE-L should be replaced by ROUGE-1.",
               "It counts shared words too, and whether it does better must be seen with the same control."))),
    Question("Text A has a perplexity of 8 under a model, text B one of 43. Which text is better?",
             ("One cannot say; A is more predictable to this model.",
              "What a model writes greedily, or one word repeated, can be cheaper than anything people write."),
             (("A, since a language model learned what good text is.",
               "It learned what is likely. Likely text may be empty, and repetition is the likeliest of all."),
              ("B, since people surprise and machines do not.",
               "Shuffled words surprise even more. Neither end of the scale means quality."))),
    Question("A judge preferred system X to system Y in 70 % of the pairs. X was always shown first. What do you do?",
             ("Ask again with exchanged places, and count equal letters.",
              "In one order, a liking for the first place cannot be told from one for X."),
             (("Test whether 70 % differs from half significantly.",
               "It may, and the cause may still be the place."),
              ("Ask more pairs, until the interval is narrow.",
               "A bias does not go away with more pairs; it only becomes more certain."))),
    Question("After both orders were averaged, a judge prefers the padded text in nine of ten cases, for praise as for "
             "complaints. What does it say?",
             ("It likes length.",
              "If the filler only weakened the feeling, a weaker complaint would win and weaker praise would lose."),
             (("It finds that the filler makes a text milder.",
               "Then padded praise would lose: it would be the less positive of the two."),
              ("It still prefers a place.",
               "The average of both orders cancels the place."))),
    Question("A program checks that an answer is JSON with a label out of three. All of 500 answers pass. What is not "
             "known?",
             ("Whether a single label is true.",
              "That a value is allowed does not make it right; this needs a reference."),
             (("Whether a program can read them.",
               "That is what was checked: each parses and has the right fields."),
              ("Whether other words stand around the object.",
               "Then the whole answer would not have parsed."))),
]
