"What does it get wrong?"
import re

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def _allowed():
    return {"The lens is not sharp.": [0], "The lens is not awful.": [1, 2], "The lens is awful.": [0]}


def swap_letters(text: str, at: int) -> str:
    "The text with the letters at `at` and `at + 1` exchanged; unchanged if one of the two is no letter."
    pair = text[at:at + 2]
    if len(pair) < 2 or not pair.isalpha(): return text
    return text[:at] + pair[::-1] + text[at + 2:]


def _one_is_lost(text, at):
    "The text with the letters at `at` and `at + 1` exchanged; unchanged if one of the two is no letter."
    pair = text[at:at + 2]
    if len(pair) < 2 or not pair.isalpha(): return text
    return text[:at] + text[at + 1] + text[at + 2:]


def _anything_moves(text, at): return text[:at] + text[at:at + 2][::-1] + text[at + 2:]
def _doubled(text, at):
    pair = text[at:at + 2]
    return text if len(pair) < 2 or not pair.isalpha() else text[:at] + pair[::-1] + text[at + 1:]
def _turned_round(text, at):
    return text if not text[at:at + 2].isalpha() or len(text[at:at + 2]) < 2 else text[:at] + text[at:][::-1]


def _draw_text(rng):
    words = rng.choice(["bad", "lens", "fine zoom", "so it is", "ok"], size=2).tolist()
    text = " ".join(words)
    return text, int(rng.integers(len(text)))


def changed_by_review(plain: list[int], changed: list[int], groups: list[str]) -> dict[str, float]:
    "For each review the share of its sentences whose answer changed; groups[i] is the review of sentence i."
    turned = {}
    for before, after, group in zip(plain, changed, groups): turned.setdefault(group, []).append(before != after)
    return {group: sum(which) / len(which) for group, which in turned.items()}


def _counted(plain, changed, groups):
    return {group: float(sum(a != b for a, b, g in zip(plain, changed, groups) if g == group)) for group in groups}


def _kept(plain, changed, groups):
    return {group: 1 - share for group, share in changed_by_review(plain, changed, groups).items()}


def _of_all(plain, changed, groups):
    return {g: sum(a != b for a, b, h in zip(plain, changed, groups) if h == g) / len(plain) for g in groups}


def _distance(plain, changed, groups):
    turned = {}
    for a, b, g in zip(plain, changed, groups): turned.setdefault(g, []).append(abs(a - b))
    return {g: sum(which) / len(which) for g, which in turned.items()}


def _draw_answers(rng):
    return (rng.integers(3, size=6).tolist(), rng.integers(3, size=6).tolist(),
            [*"ab", *rng.choice(["a", "b"], size=4).tolist()])


def error_shares(truth: np.ndarray, said: np.ndarray, agreement: np.ndarray) -> tuple[float, float]:
    "The share of wrong answers among disputed sentences (agreement below 0.6), and among the others."
    wrong, disputed = said != truth, agreement < 0.6
    return float(wrong[disputed].mean()), float(wrong[~disputed].mean())     # each of its own sentences


def _of_all_errors(truth, said, agreement):
    wrong, disputed = said != truth, agreement < 0.6
    return float(disputed[wrong].mean()), float((~disputed)[wrong].mean())


def _of_all_sentences(truth, said, agreement):
    wrong, disputed = said != truth, agreement < 0.6
    return float((wrong & disputed).mean()), float((wrong & ~disputed).mean())


def _exchanged(truth, said, agreement): return error_shares(truth, said, agreement)[::-1]
def _right_ones(truth, said, agreement): return tuple(1 - share for share in error_shares(truth, said, agreement))


def _draw_errors(rng):
    agreement = rng.choice([0.4, 0.5, 0.7, 0.9, 1.0], size=8)
    agreement[:2], truth, said = (0.5, 0.9), rng.integers(3, size=8), rng.integers(3, size=8)
    said[0] = (truth[0] + 1) % 3
    return truth, said, agreement


def one_change() -> dict:
    "What a change of one's own does to MiniLM's reading: guess, share of changed answers, interval, and whether it "
    "held."
    from llmcourse.data import load_data
    from llmcourse.preprocessing import clean
    from llmcourse.pretrained import embed, linear_probe, load_pretrained
    from llmcourse.robustness import invariance
    reviews = clean(load_data("amazon"))[0]
    model, tokenizer = load_pretrained("minilm")
    train, part = reviews["train"].select(range(300)), reviews["validation"].select(range(150))
    head = linear_probe(embed(model, tokenizer, list(train["text"])), train["label"], train["group"])
    predict = lambda texts: head.predict(embed(model, tokenizer, list(texts)))
    change = {"the for my": lambda text: re.sub(r"\bmy\b", "the", text)}             # must not matter
    row, = invariance(predict, list(part["text"]), part["label"], part["group"], change)
    low, high = row["changed"] - 1.96 * row["changed_error"], row["changed"] + 1.96 * row["changed_error"]
    return {"guess": 0.02, "changed": row["changed"], "low": low, "high": high, "inside": bool(low <= 0.02 <= high)}


def _judge_change(answer) -> str:
    "Whether the figures belong together, and the conclusion follows."
    names = {"guess", "changed", "low", "high", "inside"}
    if not all(isinstance(answer[name], (int, float, np.number)) for name in names): return "every figure is a number"
    if not (0 <= answer["guess"] <= 1 and 0 <= answer["changed"] <= 1):
        return "a share lies between 0 and 1, not 100"
    if not answer["low"] <= answer["changed"] <= answer["high"]:
        return "the interval must contain the share you measured"
    if answer["low"] == answer["high"] > 0:
        return "an interval of length zero: take 1.96 standard errors to either side"
    if answer["inside"] != (answer["low"] <= answer["guess"] <= answer["high"]):
        return "whether the guess lies inside follows from your own figures; look again"
    return ""


_CHANGE = {"guess": 0.05, "changed": 0.04, "low": 0.01, "high": 0.07, "inside": True}

EXERCISES = [
    Exercise(
        "What nobody could object to", """
        In a test of negation each sentence comes with the labels that are allowed: 0 negative, 1 neutral, 2 positive.
        Which are they, by the rule of this lesson? Answer with a dictionary from sentence to a list of labels.
        """, _allowed, kind="predict",
        stub="""answer = {"The lens is not sharp.": [...], "The lens is not awful.": [...],
          "The lens is awful.": [...]}""",
        hints=("A negated good word is a complaint. Is a negated bad word always praise?",
               "*Not awful* is weaker than praise. Raters differ about it, so two labels are allowed."),
        mistakes=(Mistake({"The lens is not sharp.": [0], "The lens is not awful.": [2], "The lens is awful.": [0]},
                          "Not awful is weaker than praise; a rater may well call it neutral."),
                  Mistake({"The lens is not sharp.": [2], "The lens is not awful.": [0], "The lens is awful.": [0]},
                          "That judges by the adjective alone; the negation turns it."),
                  Mistake({"The lens is not "
                           "sharp.": [0, 1], "The lens is not awful.": [1, 2], "The lens is awful.": [0]},
                          "A good word with a negation is a complaint to every reader; a test of one ability must be "
                          "plain."))),
    Exercise(
        "A typo", """
        `swap_letters(text, at)` should exchange two neighbouring letters, at `at` and `at + 1`. It loses one. Mend it.
        """, swap_letters, kind="mend", inputs=_draw_text,
        hints=("Print what it makes of *lens*. How many letters should there be?",
               "A piece of text is turned by `pair[::-1]`."),
        mistakes=(Mistake(_one_is_lost, "The second letter is in the first one's place, and the first is gone."),
                  Mistake(_anything_moves, "It also moves spaces. That would be another change than a typo inside a "
                                           "word."),
                  Mistake(_doubled, "One letter stands there twice: what follows the pair begins at `at + 2`."),
                  Mistake(_turned_round, "Everything after `at` is turned round, and not only two letters."))),
    Exercise(
        "How many answers turn, by review", """
        Write `changed_by_review(plain, changed, groups)`: a dictionary from each review to the share of its sentences
        whose answer is another after the change. These shares are what a standard error by review is made of.
        """, changed_by_review, inputs=_draw_answers,
        hints=("Collect for each review a list of True and False: `before != after`.",
               "The share is the number of True divided by the sentences of *that* review."),
        mistakes=(Mistake(_counted, "These are counts; divide by the number of sentences of the review."),
                  Mistake(_kept, "That is the share that stayed; the share that changed is asked for."),
                  Mistake(_of_all, "The counts are divided by all sentences; each review has its own number."),
                  Mistake(_distance, "Labels are names: from 0 to 2 is one change, and not two."))),
    Exercise(
        "Where the errors are", """
        Write `error_shares(truth, said, agreement)`. It returns two shares: of the disputed sentences (agreement
        below 0.6) those with a wrong answer, and the same of all others. All three arguments are arrays of the same
        length.
        """, error_shares, inputs=_draw_errors, imports="import numpy as np",
        hints=("Two arrays of True and False: `wrong = said != truth`, and `disputed`.",
               "`wrong[disputed].mean()` is a share of the disputed sentences; `~disputed` are the others."),
        mistakes=(Mistake(_of_all_errors, "That is the share of errors that are disputed. Asked is the share of "
                                          "disputed sentences that are errors."),
                  Mistake(_of_all_sentences, "Both are divided by all sentences, so a small group seems to have few "
                                             "errors."),
                  Mistake(_exchanged, "Disputed and clear sentences are exchanged."),
                  Mistake(_right_ones, "Those are the shares of right answers."))),
    Exercise(
        "A change of your own", """
        Write a change that must not matter, for example *the* instead of *my*, or British spelling. Guess which share
        of answers it turns, and keep the `guess`. Then measure: a linear probe on MiniLM (`linear_probe`, `embed`),
        fitted on a few hundred sentences, is model enough, and `invariance` gives the share and its standard error.
        Was the guess `inside` the interval of 1.96 standard errors?
        """, one_change, kind="decide", verify=_judge_change, imports="""
        import re
        from llmcourse.data import load_data
        from llmcourse.preprocessing import clean
        from llmcourse.pretrained import embed, linear_probe, load_pretrained
        from llmcourse.robustness import invariance""",
        stub='answer = {"guess": ..., "changed": ..., "low": ..., "high": ..., "inside": ...}',
        hints=("`predict` is a function from texts to label ids: embed the texts, then ask the fitted probe.",
               "`invariance(predict, texts, labels, groups, {\"mine\": change})` gives a row with `changed` and "
               "`changed_error`."),
        mistakes=(Mistake(_CHANGE | {"guess": 5}, "a share lies between 0 and 1"),
                  Mistake(_CHANGE | {"low": 0.05}, "must contain the share you measured"),
                  Mistake(_CHANGE | {"guess": 0.2}, "follows from your own figures"))),
]

QUESTIONS = [
    Question("Capitals change no answer of MPNet at all. What explains it?",
             ("Its tokenizer turns every letter into a small one before the model reads it.",
              "The model sees the same tokens, so the test says nothing about its training."),
             (("The reviews contain many sentences in capitals.",
               "Even a model that never saw one would answer alike: the tokens are equal."),
              ("Capitals carry no meaning in English.", "A reader notices them; this model cannot."))),
    Question("A typo changes 8 % of the answers, and the interval of the change in macro-F1 holds zero. What may we "
             "say?",
             ("Some answers change, and no loss in quality was shown on these sentences.",
              "A changed answer may be for the better or the worse. A hundred sentences cannot show a small loss."),
             (("Typos do no harm.", "No harm was shown; the interval also allows some."),
              ("The model is 8 % worse.", "Some of the answers that changed were wrong before."))),
    Question("The model passes five of six forms of negation. What does that prove?",
             ("A fault in the sixth form, and little about the other five.",
              "Plain sentences that pass are no promise for the sentences of users."),
             (("That negation is understood, but for one "
               "exception.", "Six patterns are a small part of how people negate."),
              ("Nothing, since no user writes such sentences.",
               "Where even a plain sentence fails, harder ones will; that is a fault worth knowing."))),
    Question("The validation loss does not rise again in twenty passes over a hundred sentences. Is there no "
             "overfitting?",
             ("There is a wide gap to the training loss, but more passes do no harm here.",
              "Falling rates and the raters' shares hold it back. With hard labels it may look different."),
             (("None at all: the two losses are equal.", "The training loss is far below the validation loss."),
              ("There must be; the validation loss was computed wrongly.",
               "Three runs agree. That an expected fault does not come is a result, too."))),
    Question("Disputed sentences are wrong in 60 % of cases, clear ones in 10 %. Where are most of the errors?",
             ("On clear sentences, since there are many more of them.",
              "A share is not a count: 57 sentences are disputed, and several hundred are clear."),
             (("On disputed sentences, since their share is six times as high.",
               "Six times the share of a much smaller group are fewer errors."),
              ("Evenly on both.", "Multiply each share by its number of sentences."))),
]
