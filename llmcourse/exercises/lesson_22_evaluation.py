"Evaluate."
import math

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def macro_f1(confusion: np.ndarray) -> float:
    "The plain mean of the F1 of each label. Row = is, column = says; a label that never occurs has an F1 of 0."
    right = np.diagonal(confusion)                        # (labels,)
    total = confusion.sum(axis=1) + confusion.sum(axis=0) # (labels,): how many are + how many were said
    f1 = [2 * r / t if t else 0 for r, t in zip(right, total)]
    return float(np.mean(f1))


def _parts(confusion):
    right, are, said = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
    share = lambda part, whole: np.divide(part, whole, out=np.zeros(len(right)), where=whole > 0)
    return share(right, said), share(right, are), share(2 * right, said + are), are


def _f1_of_means(confusion):
    precision, recall = (values.mean() for values in _parts(confusion)[:2])
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _micro(confusion): return float(np.trace(confusion) / confusion.sum())
def _by_frequency(confusion): return float((_parts(confusion)[2] * _parts(confusion)[3]).sum() / confusion.sum())
def _mean_of_both(confusion): return float(np.mean([_parts(confusion)[0], _parts(confusion)[1]]))


def _leaves_out(confusion):
    f1, total = _parts(confusion)[2], confusion.sum(0) + confusion.sum(1)
    return float(f1[total > 0].mean())


def _draw_matrix(rng):
    confusion = rng.integers(0, 12, size=(3, 3)) + np.diag(rng.integers(1, 9, size=3))
    if rng.random() < 0.5: confusion[1], confusion[:, 1] = 0, 0      # a label that neither is nor is said
    return (confusion,)


def times_drawn(groups: list[int], drawn: list[int]) -> list[int]:
    "How often each sentence stands in a resample of whole reviews: as often as its review was drawn."
    return [drawn.count(group) for group in groups]


def _once(groups, drawn):
    "How often each sentence stands in a resample of whole reviews: as often as its review was drawn."
    return [int(group in drawn) for group in groups]


def _as_positions(groups, drawn): return [drawn.count(i) for i in range(len(groups))]
def _per_review(groups, drawn): return [drawn.count(group) for group in sorted(set(groups))]
def _shared_out(groups, drawn): return [drawn.count(group) / groups.count(group) for group in groups]


def _draw_reviews(rng):
    n = int(rng.integers(2, 5))
    sizes = rng.integers(1, 4, size=n) + 1
    return np.repeat(np.arange(n), sizes).tolist(), rng.integers(n, size=n).tolist()


def bits_per_byte(nats: list[float], text: str) -> float:
    "The bits a model needs for each UTF-8 byte of `text`; `nats` holds its loss for each token, in nats."
    bits = sum(nats) / math.log(2)                        # all tokens together; 1 bit is ln 2 = 0.693 nats
    return bits / len(text.encode("utf-8"))


def _per_token(nats, text): return sum(nats) / math.log(2) / len(nats)
def _in_nats(nats, text): return sum(nats) / len(text.encode("utf-8"))
def _per_character(nats, text): return sum(nats) / math.log(2) / len(text)
def _of_the_mean(nats, text): return sum(nats) / len(nats) / math.log(2) / len(text.encode("utf-8"))


def _draw_losses(rng):
    text = " ".join(rng.choice(["schön", "café", "trés bien", "naïve"], size=3))
    return rng.uniform(0.5, 4, size=rng.integers(3, 7)).round(2).tolist(), text


def compare_two_ways() -> dict:
    "In 40 worlds, whether two intervals lie apart, and whether the interval of the paired difference leaves zero out."
    from llmcourse.evaluation import bootstrap_interval, paired_difference

    found = {"apart": [], "paired": []}
    for world in range(40):
        rng = np.random.default_rng(world)
        hard, truth = rng.random(300), np.zeros(300, dtype=int)
        answers = [np.where(hard + rng.normal(0, 0.05, 300) < share, 0, 1) for share in (0.80, 0.74)]
        (low, _), (_, high) = (bootstrap_interval(truth, said, "accuracy", samples=200) for said in answers)
        found["apart"].append(low > high)
        found["paired"].append(paired_difference(truth, *answers, "accuracy", samples=200)[1] > 0)
    return found | {"finds more": max(found, key=lambda name: sum(found[name]))}


def _judge(answer) -> str:
    "Whether both rules were tried in enough worlds, and the choice follows."
    tries = [answer["apart"], answer["paired"]]
    if not all(isinstance(t, list) and len(t) >= 30 for t in tries):
        return "count over at least 30 worlds: in a single one, either rule may be lucky"
    ahead = "apart" if sum(tries[0]) > sum(tries[1]) else "paired"
    if answer["finds more"] != ahead: return f"your own counts say that {ahead!r} finds the difference more often"
    if ahead == "apart" or sum(tries[0]) == sum(tries[1]):
        return ("pairing should help here. Are both systems tested on the same sentences, and is a sentence that is "
                "hard for one hard for the other?")
    return ""


_NO, _YES = [False] * 30, [True] * 30

EXERCISES = [
    Exercise(
        "Read a matrix", """
        The rows say what 200 sentences *are* (negative, neutral, positive), the columns what a model *says*:

        ```
        30   2    8
         5  20    5
        15  10  105
        ```

        Give precision and recall of negatives, as `[precision, recall]`.
        """, [0.6, 0.75], kind="predict", stub="answer = [..., ...]",
        hints=("How many sentences does the model call negative? How many are negative? One is the sum of a row, the "
               "other of a column.",
               "Both have 30 on top. Precision divides it by the sum of the first column, recall by that of the first "
               "row."),
        mistakes=(Mistake([0.75, 0.6], "These are the right numbers in the wrong order. Precision asks about those "
                                       "that the model *called* negative: a column."),
                  Mistake([0.15, 0.15], "That divides by all 200 sentences. Each of the two has a part of them below "
                                        "the line."),
                  Mistake([0.775, 0.75], "The first is accuracy, the diagonal over everything; precision of negatives "
                                         "looks at one column."),
                  Mistake([0.775, 0.775], "That is accuracy, twice: the diagonal over everything."))),
    Exercise(
        "What do the errors cost?", """
        Of 1,000 sentences 40 are complaints. The rows are *complaint* and *other*, the columns what a model says:

        ```
        model A            model B
        10   30            36    4
         5  955            90  870
        ```

        A complaint that is missed costs 5 euros, a false alarm 0.50 euros. What do the errors of each model cost, as
        `[A, B]`? Compare with their accuracy, 0.965 and 0.906.
        """, [152.5, 65.0], kind="predict", stub="answer = [..., ...]",
        hints=("Two numbers of each matrix are errors. Which of them are missed complaints?",
               "A misses 30 complaints and raises 5 false alarms: 30 times 5 euros, and 5 times 0.50."),
        mistakes=(Mistake([40, 452], "Missed complaints and false alarms are exchanged: a row says what a sentence "
                                     "*is*, so the missed ones stand in the first row."),
                  Mistake([150, 20], "Those are the missed complaints alone; the false alarms cost something too."),
                  Mistake([35, 94], "That counts the errors. They have different prices."),
                  Mistake([17.5, 47], "Every error is priced as a false alarm here; a missed complaint costs ten times "
                                      "as much."))),
    Exercise(
        "Macro-F1", """
        Write `macro_f1(confusion)` from a confusion matrix of numpy (row = is, column = says). A label that neither
        occurs nor is said has an F1 of 0, and counts in the mean.
        """, macro_f1, inputs=_draw_matrix, imports="import numpy as np",
        hints=("The F1 of one label is twice its diagonal entry over the sum of its row and its column.",
               "`np.diagonal(confusion)` are the right ones, `confusion.sum(axis=1)` the row sums; where row and "
               "column are both empty, write 0. Then the mean."),
        mistakes=(Mistake(_f1_of_means, "It averages precision and recall over the labels first and takes the F1 of "
                                        "the means. Macro-F1 takes the F1 of each label first, then the mean."),
                  Mistake(_micro, "That is accuracy, which is micro-F1 here; a rare label hardly counts in it."),
                  Mistake(_by_frequency, "Each label is weighted by how often it occurs. In the macro mean a rare "
                                         "label counts as much as a frequent one."),
                  Mistake(_mean_of_both, "F1 is the harmonic mean of precision and recall, not the arithmetic one."),
                  Mistake(_leaves_out, "A label that never occurs is left out of the mean; here it counts, with 0."))),
    Exercise(
        "Draw whole reviews", """
        A bootstrap by review draws reviews, with replacement. `groups` holds the review of each sentence and `drawn`
        the reviews that were drawn. `times_drawn` should say how often each sentence stands in the resample. It gives
        intervals that are too narrow. Mend it.
        """, times_drawn, kind="mend", inputs=_draw_reviews,
        hints=("With replacement means that a review may be drawn twice. Try `times_drawn([0, 0, 1], [0, 0])`.",
               "A list can count: `drawn.count(group)`."),
        mistakes=(Mistake(_once, "A review that was drawn twice appears once, so the resamples vary too little."),
                  Mistake(_as_positions, "`drawn` holds numbers of reviews, and this looks them up as numbers of "
                                         "sentences."),
                  Mistake(_per_review, "That is one number a review; each sentence needs its own."),
                  Mistake(_shared_out, "The draw is shared out among the sentences of a review. Each of them comes "
                                       "along whole."))),
    Exercise(
        "Bits per byte", """
        A language model read `text` and had a loss of `nats[i]` at its token i. Write `bits_per_byte(nats, text)`.
        """, bits_per_byte, inputs=_draw_losses, imports="import math",
        hints=("How many bits does the whole text cost? Add the losses up; one bit is ln 2 = 0.693 nats.",
               "Divide by the bytes of the text, `len(text.encode(\"utf-8\"))`, where an é counts twice."),
        mistakes=(Mistake(_per_token, "That is bits per token, which depends on the tokenizer; divide by the bytes of "
                                      "the text."),
                  Mistake(_in_nats, "The losses are in nats. A bit is ln 2 of them."),
                  Mistake(_per_character, "It divides by characters. In UTF-8 an é takes two bytes."),
                  Mistake(_of_the_mean, "It divides twice, once by the tokens and once by the bytes: the whole text "
                                        "costs the sum of the losses."))),
    Exercise(
        "Apart, or paired?", """
        Some people call two systems different only if their two intervals lie apart. Others look at the interval of the
        paired difference. Which rule finds a true difference more often?

        Make at least 30 worlds with 300 sentences each, in which the first system is better by six points of accuracy.
        Give each sentence a difficulty, `rng.random(300)`, and let a system be right where the difficulty plus a little
        noise of its own is below 0.80 for the first and 0.74 for the second. Note in each world whether the intervals
        of `bootstrap_interval` lie `apart`, and whether the interval of `paired_difference` lies above zero
        (`paired`); 200 samples are enough. The check looks at your counts, and whether `finds more` follows from them.
        """, compare_two_ways, kind="decide", verify=_judge,
        imports="import numpy as np\nfrom llmcourse.evaluation import bootstrap_interval, paired_difference",
        stub="answer = {\"apart\": [...], \"paired\": [...], \"finds more\": ...}",
        hints=("Let every sentence be of label 0. A right answer is 0 and a wrong one 1, so accuracy is the share of "
               "zeros: `np.where(hard + rng.normal(0, 0.05, 300) < 0.80, 0, 1)`.",
               "Apart means that the first interval begins above the end of the second. `paired_difference(...)[1]` is "
               "the low end of the difference."),
        mistakes=(Mistake({"apart": [False], "paired": [True], "finds more": "paired"}, "in a single one, either rule"),
                  Mistake({"apart": _NO, "paired": _YES, "finds more": "apart"}, "your own counts say"),
                  Mistake({"apart": _YES, "paired": _NO, "finds more": "apart"}, "tested on the same sentences"),
                  Mistake({"apart": _YES, "paired": _YES, "finds more": "paired"}, "pairing should help here"))),
]

QUESTIONS = [
    Question("Four of a hundred sentences are complaints, and a model has an accuracy of 96 %. What does that say "
             "about the complaints?",
             ("Nothing yet: it may have missed every one.",
              "A model that never says \"complaint\" is right in 96 of 100 too. Ask for recall of complaints."),
             (("It finds 96 % of the complaints.", "That would be recall; accuracy counts all sentences together."),
              ("96 % of its alarms are complaints.", "That would be precision; there may not be a single alarm."))),
    Question("On the same test sentences two systems have the intervals 0.55 to 0.61 and 0.58 to 0.64. Which is "
             "better?",
             ("Not decided; look at the interval of the paired difference.",
              "What is hard for both cancels in the difference, so it may be clear although the intervals overlap."),
             (("They are equally good, since the intervals overlap.",
               "Two intervals on the same sentences share most of their spread; they may overlap although one system "
               "is better on nearly every resample."),
              ("The second, since its interval lies higher.",
               "That is the direction of the measured difference; whether it may be chance is a question for its own "
               "interval."))),
    Question("Why is a rater left out of the mean that he is compared with?",
             ("Otherwise part of the agreement is with himself.",
              "His own rating would pull the label towards his answer and make a person look better than one is."),
             (("Because one rating is noisier than a mean.",
               "It is, and this noise is what we want to measure. It is no reason to leave him out."),
              ("So that no rater is used more than once.",
               "The same rater may be drawn again; what matters is what he is compared with."))),
    Question("Somebody tries twenty settings on the test split and reports the best, three hundredths ahead of the "
             "baseline. What is wrong?",
             ("The best of twenty equal systems is ahead by luck.",
              "A choice made by the test data learns from it. Choose on validation, then open the test for one."),
             (("Nothing, as none of them was trained on the test split.",
               "Choosing among twenty is a way of learning from the test, too."),
              ("The interval should be by review; that corrects it.",
               "An interval by review accounts for sentences that belong together, not for the choice of the best."))),
    Question("Two language models have losses of 3.1 and 3.4 nats per token on the same text. Their tokenizers differ. "
             "Which model predicts the text better?",
             ("One cannot say; compute bits per byte of each.",
              "Tokens of different length cost different amounts; the bytes of the text are the same for both."),
             (("The first, as its loss is lower.",
               "Its tokens may be shorter and therefore easier; then it needs more of them for the same text."),
              ("The second, as its vocabulary is larger.",
               "A larger vocabulary makes each token dearer and needs fewer of them; which wins has to be measured."))),
]
