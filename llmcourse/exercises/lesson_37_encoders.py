"Agree with the raters."
import numpy as np
import torch

from llmcourse.practice import Exercise, Mistake, Question


def _cheapest(): return [0.1, 0.15, 0.75]


def soft_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    "The mean cross-entropy of `logits` (rows, labels) with shares of labels as `targets` (rows, labels)."
    log_p = logits.log_softmax(-1)                  # (rows, labels): log of the model's probabilities
    return -(targets * log_p).sum(-1).mean()        # over the labels a sum, over the rows a mean


def _mean_over_labels_too(logits, targets): return -(targets * logits.log_softmax(-1)).mean()
def _summed(logits, targets): return -(targets * logits.log_softmax(-1)).sum()
def _over_the_rows(logits, targets): return -(targets * logits.log_softmax(0)).sum(-1).mean()
def _no_logarithm(logits, targets): return -(targets * logits.softmax(-1)).sum(-1).mean()


def _hardened(logits, targets):
    return -logits.log_softmax(-1)[torch.arange(len(logits)), targets.argmax(-1)].mean() + 0 * targets.sum()


def _draw_logits(rng):
    raw = rng.dirichlet(np.ones(3), size=2)
    return torch.tensor(rng.normal(size=(2, 3)), dtype=torch.float32), torch.tensor(raw, dtype=torch.float32)


def one_rater(ratings: list[float], rater: int) -> tuple[int, int]:
    "(answer, truth): the label of one rater, and the label of the mean of all others. Labels: 0, 1, 2."
    label_of = lambda rating: 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1
    others = ratings[:rater] + ratings[rater + 1:]                  # who answers may not judge
    return label_of(ratings[rater]), label_of(sum(others) / len(others))


def _label(rating): return 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1
def _all_judge(ratings, rater): return _label(ratings[rater]), _label(sum(ratings) / len(ratings))
def _turned(ratings, rater): return one_rater(ratings, rater)[::-1]


def _they_vote(ratings, rater):
    votes = [_label(r) for i, r in enumerate(ratings) if i != rater]
    return _label(ratings[rater]), max(sorted(set(votes)), key=votes.count)


def _divided_by_all(ratings, rater):
    return _label(ratings[rater]), _label((sum(ratings) - ratings[rater]) / len(ratings))


def _draw_ratings(rng): return rng.integers(-2, 3, size=3).astype(float).tolist(), int(rng.integers(3))


def ensemble(probabilities: np.ndarray) -> np.ndarray:
    "One answer a sentence from several runs; `probabilities` has shape (runs, sentences, labels)."
    mean = probabilities.mean(0)            # (sentences, labels): every run has its say on every label
    return mean.argmax(-1)                  # (sentences,)


def _mean_of_ids(probabilities):
    "One answer a sentence from several runs; `probabilities` has shape (runs, sentences, labels)."
    answers = probabilities.argmax(-1)
    return answers.mean(0).round().astype(int)


def _first_run(probabilities): return probabilities[0].argmax(-1)
def _most_certain(probabilities): return probabilities.max(0).argmax(-1)
def _over_sentences(probabilities): return probabilities.mean(1).argmax(-1)


def _draw_probabilities(rng): return (rng.dirichlet(np.full(3, 0.5), size=(3, 4)),)


def left_out(groups: list[str], product: str) -> tuple[list[int], list[int]]:
    "(train, test): row numbers to learn from and to judge by, if one product is to be new. Groups: product/review."
    is_new = [group.split("/")[0] == product for group in groups]
    return [i for i, new in enumerate(is_new) if not new], [i for i, new in enumerate(is_new) if new]


def _exchanged(groups, product): return left_out(groups, product)[::-1]
def _by_beginning(groups, product):
    return ([i for i, g in enumerate(groups) if not g.startswith(product)],
            [i for i, g in enumerate(groups) if g.startswith(product)])
def _learns_from_all(groups, product): return list(range(len(groups))), left_out(groups, product)[1]


def _one_review_alone(groups, product):
    review = next((g for g in groups if g.split("/")[0] == product), None)
    return [i for i, g in enumerate(groups) if g != review], [i for i, g in enumerate(groups) if g == review]


def _draw_groups(rng):
    groups = [f"{rng.choice(['G1', 'G10', 'phone'])}/{rng.integers(3)}" for _ in range(6)]
    return ["G1/0", "G1/1", *groups], "G1"


def gain_of_a_vote() -> dict:
    "Macro-F1 of three runs of MPNet and of their mean on the validation reviews, and the paired difference."
    from llmcourse.data import load_data
    from llmcourse.encoders import ahead, answers_of, judged, probabilities_of, runs_of
    from llmcourse.preprocessing import clean
    split = clean(load_data("amazon"))[0]["validation"]
    runs = runs_of("mpnet, seed")
    members = answers_of(runs, "validation")                                            # (runs, sentences)
    mean = np.mean([probabilities_of(run, "validation") for run in runs], 0)            # (sentences, labels)
    together = np.tile(mean.argmax(-1), (len(runs), 1))                                 # beside each member
    difference, low, high = ahead(split, together, members)
    return {"members": judged(split, members)["each"], "ensemble": judged(split, together[:1])["mean"],
            "difference": difference, "low": low, "high": high, "better": bool(low > 0)}


def _judge_gain(answer) -> str:
    "Whether the figures belong together, and the conclusion follows from the interval."
    members, figures = answer["members"], [answer[name] for name in ("ensemble", "difference", "low", "high")]
    if not hasattr(members, "__len__") or len(members) != 3: return "members holds one macro-F1 for each of three runs"
    if not all(isinstance(f, (float, np.floating)) for f in [*members, *figures]): return "the figures are decimals"
    if not (0.6 < min(members) and max(members) < 0.95 and 0.6 < answer["ensemble"] < 0.95):
        return "MPNet's macro-F1 lies near 0.8 here; are answers and labels of the same split?"
    if abs(answer["ensemble"] - sum(members) / 3 - answer["difference"]) > 0.03:
        return "the difference should be the ensemble minus the mean of its members"
    if not answer["low"] <= answer["difference"] <= answer["high"]: return "the interval must contain the difference"
    if answer["better"] != (answer["low"] > 0):
        return "the ensemble is shown to be better only if the whole interval lies above zero"
    return ""


_GAIN = {"members": [0.8, 0.81, 0.79], "ensemble": 0.81, "difference": 0.01, "low": -0.01, "high": 0.03,
         "better": False}

EXERCISES = [
    Exercise(
        "The cheapest answer", """
        Three labels, and the raters' shares mixed with the label give the target 0.1, 0.15, 0.75. With which
        probabilities of the model is the cross-entropy with this target smallest? Answer with a list of three
        numbers.
        """, _cheapest, kind="predict",
        hints=("The lesson computes the loss of three answers. Which is smallest?",
               "Being surer than the target costs: the label with a share of 0.1 then has a tiny probability, whose "
               "logarithm is far below zero."),
        mistakes=(Mistake([0.0, 0.0, 1.0], "That is cheapest for the hard label; with this target the logarithm of 0 "
                                           "makes the loss infinite."),
                  Mistake([1 / 3, 1 / 3, 1 / 3], "That is a model that knows nothing; it gives the likely label too "
                                                 "little."),
                  Mistake([0.2, 0.3, 0.5], "Those are the raters' shares alone; half of the target comes from the "
                                           "label."))),
    Exercise(
        "Cross-entropy with shares", """
        Write `soft_loss(logits, targets)`, the cross-entropy with shares of labels. Both have the shape (rows,
        labels), and each row of `targets` adds up to 1. Return the mean over the rows. `F.cross_entropy` knows it
        too; write it by hand.
        """, soft_loss, inputs=_draw_logits, imports="import torch", gradient=True,
        hints=("For one row it is the sum over the labels of share times log-probability, with a minus in front.",
               "`logits.log_softmax(-1)` gives the log-probabilities. Then a sum over the labels and a mean over the "
               "rows."),
        mistakes=(Mistake(_mean_over_labels_too, "The mean also runs over the labels, so the loss is three times too "
                                                 "small."),
                  Mistake(_summed, "The rows are added up; a loss that grows with the batch needs another rate for "
                                   "each size."),
                  Mistake(_over_the_rows, "The softmax runs over the rows. The probabilities of one sentence must add "
                                          "up to 1."),
                  Mistake(_no_logarithm, "The logarithm is missing: cross-entropy sums shares times "
                                         "log-probabilities."),
                  Mistake(_hardened, "Only the largest share counts, so the doubt of the raters is lost."))),
    Exercise(
        "One rater before the others", """
        Write `one_rater(ratings, rater)`. It returns two labels: the answer of the rater with that number, and the
        truth by which it is judged, the label of the mean of all *other* ratings. A rating of 0.5 or more is label 2,
        of -0.5 or less label 0, and label 1 between them.
        """, one_rater, inputs=_draw_ratings, rounds=24,
        hints=("Take the rater out of the list first: `ratings[:rater] + ratings[rater + 1:]`.",
               "Average the others, and then turn the mean into a label, with the same thresholds as for the rater."),
        mistakes=(Mistake(_all_judge, "The rater is among the judges, so everybody agrees a little with themselves."),
                  Mistake(_turned, "Answer and truth are exchanged."),
                  Mistake(_they_vote, "The others vote by label. The label of a sentence comes from the mean of the "
                                      "ratings."),
                  Mistake(_divided_by_all, "The sum of the others is divided by the number of all."))),
    Exercise(
        "Several runs, one answer", """
        `ensemble` should average what several runs say. For some sentences it answers *neutral* (label 1) though no
        run does. Mend it: average the probabilities, then take the likeliest label.
        """, ensemble, kind="mend", inputs=_draw_probabilities, imports="import numpy as np",
        hints=("One run says 0 and another 2. What is the mean of these ids, and what does it mean?",
               "Ids are names, and names have no mean. Average over the runs while they are still probabilities."),
        mistakes=(Mistake(_mean_of_ids, "Ids of labels are averaged: negative and positive make neutral."),
                  Mistake(_first_run, "Only the first run is asked."),
                  Mistake(_most_certain, "It follows whichever run is surest; the others have no say."),
                  Mistake(_over_sentences, "The mean runs over the sentences, so there is one answer for each run."))),
    Exercise(
        "A product it never met", """
        Each entry of `groups` names product and review, as in `G1/0`. Write `left_out(groups, product)`: two lists of
        row numbers, those to train on and those to test on, so that the test is about a product that no training row
        is about.
        """, left_out, inputs=_draw_groups,
        hints=("`group.split(\"/\")[0]` is the "
               "product.", "Compare the whole name: `G10` begins with `G1` and is another one."),
        mistakes=(Mistake(_exchanged, "Train and test are exchanged."),
                  Mistake(_by_beginning, "Another product whose name begins alike was left out as well."),
                  Mistake(_learns_from_all, "The training rows still hold the product, so it is not new."),
                  Mistake(_one_review_alone, "One review is left out; the other reviews of the product are trained "
                                             "on."))),
    Exercise(
        "Does a vote of three runs gain anything?", """
        The runs named `"mpnet, seed"` are stored with their probabilities on the validation reviews. Average the
        probabilities of the three and compare the answers of this `ensemble` with those of its `members`: macro-F1 of
        each, the `difference` to their mean, and its interval from `low` to `high`. Is the ensemble shown to be
        `better`? `llmcourse.encoders` has what you need.
        """, gain_of_a_vote, kind="decide", verify=_judge_gain, imports="""
        import numpy as np
        from llmcourse.data import load_data
        from llmcourse.encoders import ahead, answers_of, judged, probabilities_of, runs_of
        from llmcourse.preprocessing import clean""",
        stub="""answer = {"members": [...], "ensemble": ..., "difference": ..., "low": ..., "high": ...,
          "better": ...}""",
        hints=("`answers_of(runs, \"validation\")` and `probabilities_of(run, \"validation\")` read the stored runs; "
               "the split is `clean(load_data(\"amazon\"))[0][\"validation\"]`.",
               "`ahead` wants as many rows as there are members: `np.tile(answers, (3, 1))` repeats the ensemble's."),
        mistakes=(Mistake(_GAIN | {"members": [0.8]}, "one macro-F1 for each of three runs"),
                  Mistake(_GAIN | {"better": True}, "only if the whole interval lies above zero"),
                  Mistake(_GAIN | {"difference": 0.1, "high": 0.2}, "minus the mean of its members"),
                  Mistake(_GAIN | {"ensemble": 0.3}, "of the same split"))),
]

QUESTIONS = [
    Question("Why is the model judged again by the raters who were *not* drawn, when it is compared with one rater?",
             ("So that both sit the same exam.",
              "The rater cannot be judged by a mean that contains his own rating, so neither is the model."),
             (("Because the mean of twenty ratings is less exact than that of nineteen.",
               "It is slightly more exact; what matters is that both are judged alike."),
              ("Because the model was trained on the rater who was drawn.",
               "These are test sentences. It was trained on none of them."))),
    Question("LoRA minus all weights: the interval of the difference holds zero. What follows?",
             ("These runs show no difference; there may be a small one.",
              "The interval says how large it may be: here up to about two points."),
             (("Both are equally good.", "No difference was shown, which is not the same as shown to be none."),
              ("LoRA is worse, since its mean is "
               "lower.", "A mean can be lower by chance; the interval allows for that."))),
    Question("What should you promise somebody who launches a sixth product: 0.811 or 0.776?",
             ("0.776, measured on products that were left out.",
              "The first figure is about products that the model knows from training."),
             (("0.811, the mean of three seeds on the test split.",
               "The test split has new reviews, but no new product."),
              ("The mean of the two.", "The two answer different questions; a mean of them answers neither."))),
    Question("Why does the file of the adapter hold a fingerprint of its base model?",
             ("A correction added to other weights is noise, and no error would tell.",
              "The shapes fit any MPNet. Only a comparison of the weights shows that it is the right one."),
             (("So that nobody can copy it.", "Anybody may copy it; the fingerprint protects against a mix-up."),
              ("So that the file can be made smaller.", "It makes it a few bytes larger."))),
    Question("The model and one rater both reach 0.811. Why is the comparison still not quite even?",
             ("The model has learned from the opinions of twenty raters a sentence.",
              "Each rater judges from one head. The model was taught labels and shares made of twenty."),
             (("The rater saw the sentences before.", "Raters give their first judgement; nobody trained them on it."),
              ("The model was tested on fewer sentences.", "Both answered the same sentences."))),
]
