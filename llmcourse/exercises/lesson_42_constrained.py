"JSON that always parses."
import re

import numpy as np
import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def what_may_follow(texts: list[str], byte: str) -> list[str]:
    "The derivative of a set of allowed texts: what may follow once `byte`, a single letter, was read; sorted."
    return sorted({text[1:] for text in texts if text.startswith(byte)})


def _all_texts(texts, byte): return sorted({text[1:] for text in texts})
def _unread(texts, byte): return sorted({text for text in texts if text.startswith(byte)})
def _every_byte(texts, byte): return sorted({text.replace(byte, "") for text in texts if text.startswith(byte)})
def _never_ends(texts, byte): return sorted({text[1:] for text in texts if text.startswith(byte) and text[1:]})
def _stripped(texts, byte): return sorted({text.lstrip(byte) for text in texts if text.startswith(byte)})


def _draw_texts(rng):
    letters = rng.permutation(list("abc"))
    first = letters[0]
    texts = [first, first * 2 + letters[1], first + letters[1] + first, letters[1] + first, letters[2] * 2]
    return [str(text) for text in rng.permutation(texts)], str(first)


def allowed_tokens(texts: list[str], written: str, vocabulary: list[str]) -> list[str]:
    "The tokens that may come next after `written`, in the order of the vocabulary; \"end\" where a text may end."
    allowed = [token for token in vocabulary if any(text.startswith(written + token) for text in texts)]
    return allowed + ["end"] * (written in texts)


def _from_the_start(texts, written, vocabulary):
    return [t for t in vocabulary if any(text.startswith(t) for text in texts)] + ["end"] * (written in texts)


def _whole_rest(texts, written, vocabulary):
    return [t for t in vocabulary if written + t in texts] + ["end"] * (written in texts)


def _first_letter(texts, written, vocabulary):
    return [t for t in vocabulary if any(text.startswith(written + t[0]) for text in texts)] + ["end"] * (
        written in texts)


def _longest_only(texts, written, vocabulary):
    allowed = [t for t in vocabulary if any(text.startswith(written + t) for text in texts)]
    return [t for t in allowed if len(t) == max(map(len, allowed))] + ["end"] * (written in texts)


def _always_ends(texts, written, vocabulary):
    return [t for t in vocabulary if any(text.startswith(written + t) for text in texts)] + ["end"]


def _draw_step(rng):
    a, b, c = rng.permutation(list("prst"))[:3]
    texts = [a + b, a + b + c + a, a + b + b, c + b]                # after `a + b` a text may end, or go on
    vocabulary = [a, b, c, a + b, b + c, c + a, b + b, c + c, b + a]
    written = a if rng.random() < 0.5 else a + b
    return list(map(str, texts)), str(written), list(map(str, rng.permutation(vocabulary)))


def constrained(logits: Tensor, allowed: Tensor) -> Tensor:
    "Probabilities of the next token, (vocab_size,): 0 where `allowed` is False."
    return logits.masked_fill(~allowed, -torch.inf).softmax(-1)     # e to the power of minus infinity is 0


def _zero_logits(logits, allowed):
    "Probabilities of the next token, (vocab_size,): 0 where `allowed` is False."
    return logits.masked_fill(~allowed, 0).softmax(-1)


def _after_softmax(logits, allowed): return logits.softmax(-1).masked_fill(~allowed, 0)
def _wrong_side(logits, allowed): return logits.masked_fill(allowed, -torch.inf).softmax(-1)
def _all_alike(logits, allowed): return allowed.float() / allowed.sum()


def _draw_logits(rng):
    allowed = torch.zeros(6, dtype=torch.bool)
    allowed[rng.permutation(6)[:int(rng.integers(2, 4))].tolist()] = True
    return torch.tensor(rng.normal(size=6).round(2), dtype=torch.float32), allowed


def where_the_gain_comes_from() -> dict:
    "Right labels, free and constrained, in sentences whose free answer had a label and in those where it had none."
    from llmcourse.data import LABELS, load_data
    from llmcourse.objectives import read_measured
    from llmcourse.preprocessing import clean

    stored = read_measured("constrained")
    truth = np.array(clean(load_data("amazon"))[0]["validation"]["label"])[stored["about"]["sentences"]]

    def label_of(text):                                         # 3: no label
        found = re.search(r'"(?:sentiment|label)":\s*"(\w+)"', text)
        return LABELS.index(found[1].lower()) if found and found[1].lower() in LABELS else 3

    rows = [row for row in stored["rows"] if row["wording"] == "open"]
    free, forced = (np.array([label_of(one["text"]) for row in rows for one in row[way]]) for way in
                    ("free", "indented"))
    found = {}
    for name, part in (("label", free != 3), ("no label", free == 3)):
        found[name] = {"sentences": int(part.sum()), "free": int((free == truth)[part].sum()),
                       "constrained": int((forced == truth)[part].sum())}
    gain = {name: part["constrained"] - part["free"] for name, part in found.items()}
    return found | {"gain from": max(gain, key=gain.get)}


def _judge(answer) -> str:
    "Whether all sentences were counted, and the choice follows the counts."
    parts = [answer["label"], answer["no label"]]
    if not all(isinstance(part, dict) and set(part) == {"sentences", "free", "constrained"} for part in parts):
        return "each part holds the counts sentences, free and constrained"
    if sum(part["sentences"] for part in parts) != 96:
        return "the two parts together are the 96 sentences of the wording open; is another wording among them?"
    if any(part[way] > part["sentences"] for part in parts for way in ("free", "constrained")):
        return "more are right than there are sentences; were the right ones counted in one part only?"
    if answer["no label"]["free"]:
        return "an answer without a label cannot be right; how is a missing label written in your arrays?"
    gain = {name: answer[name]["constrained"] - answer[name]["free"] for name in ("label", "no label")}
    if answer["gain from"] != max(gain, key=gain.get):
        return f"your own counts say otherwise: the gains are {gain}"
    return ""


_PARTS = {"label": {"sentences": 80, "free": 59, "constrained": 59},
          "no label": {"sentences": 16, "free": 0, "constrained": 14}}

EXERCISES = [
    Exercise(
        "The first token", """
        A form allows two texts, `yes` and `no`. Nothing is written yet. Which of these tokens may come next? Give them
        in this order: `"y"`, `"yes"`, `"yeah"`, `"n"`, `"no"`, `"nope"`, `"o"`, `" no"`, `"end"`, where `"end"` stands
        for the token that ends the answer.
        """, ["y", "yes", "n", "no"], kind="predict", stub="answer = [...]",
        hints=("A token may come if what is then written is the *beginning* of an allowed text.",
               "Try each: `yeah` begins like `yes`, but no text begins with `yeah`. Can the answer end before it has "
               "begun?"),
        mistakes=(Mistake(["yes", "no"], "A token need not be a whole answer; a beginning of one will do."),
                  Mistake(["y", "n"], "A token may be several bytes long, as long as all of them fit."),
                  Mistake(["y", "yes", "yeah", "n", "no", "nope"], "The first byte fits in each; the last bytes of two "
                                                                   "of them do not."),
                  Mistake(["y", "yes", "n", "no", "end"], "The empty text is not allowed, so the answer may not end "
                                                          "here."),
                  Mistake(["y", "yes", "n", "no", "o"], "An answer cannot begin with an o."))),
    Exercise(
        "Count the states", """
        How many states has the automaton of the pattern `true` or `false`, one byte a step? Count `NOTHING`, the
        beginning, and every other pattern of what may follow. Equal patterns are one state.
        """, 9, kind="predict",
        hints=("From the beginning, t leads to `rue` and f to `alse`. Write down what follows each, until nothing is "
               "left.",
               "After `tru` and after `fals` the same may follow, so these are one state; so are the two ends."),
        mistakes=(Mistake(11, "Both words end in an e. What may follow `tru` and `fals` is the same, and so is what "
                              "may follow the whole words."),
                  Mistake(10, "The two ends are one state. So are the two places just before the last e."),
                  Mistake(8, "One of two is missing: `NOTHING`, or the end."),
                  Mistake(7, "`NOTHING` and the end are states, too."))),
    Exercise(
        "What may follow", """
        Take a pattern as the list of all texts that it allows. Write its derivative: `what_may_follow(texts, byte)`,
        the sorted list of what may still come after `byte` was read. For `["no", "not", "yes"]` and `"n"` it is
        `["o", "ot"]`.
        """, what_may_follow, inputs=_draw_texts,
        hints=("Which texts are still possible once this letter was read? What is left of each?",
               "`text[1:]` for every text that `startswith(byte)`. An empty rest stays: the text may end there."),
        mistakes=(Mistake(_all_texts, "Texts that begin with another letter are out; they must be dropped."),
                  Mistake(_unread, "The letter has been read. What may follow it no longer holds it."),
                  Mistake(_every_byte, "Only the first letter was read; the same letter further on is still to come."),
                  Mistake(_stripped, "One letter was read, and all equal ones at the beginning are gone."),
                  Mistake(_never_ends, "Where nothing is left the text may end. The empty rest must be kept."))),
    Exercise(
        "From bytes to tokens", """
        Write `allowed_tokens(texts, written, vocabulary)`: the tokens that may come after `written`, in the order of
        the vocabulary, and after them `"end"` if what is written may end here. The form allows `texts` and no others.
        """, allowed_tokens, inputs=_draw_step,
        hints=("A token is allowed if some text begins with `written + token`.",
               "`any(text.startswith(written + token) for text in texts)`; the end is allowed if `written` is one of "
               "the texts."),
        mistakes=(Mistake(_from_the_start, "It compares with the beginning of the texts, as if nothing were written."),
                  Mistake(_whole_rest, "A token need not finish the text; others may come behind it."),
                  Mistake(_first_letter, "It looks at the first byte of each token. All its bytes must fit."),
                  Mistake(_longest_only, "It keeps the longest tokens alone. A shorter way to the same text is allowed "
                                         "too, and the model may prefer it."),
                  Mistake(_always_ends, "The end is allowed only where the text written so far is complete."))),
    Exercise(
        "Forbidden means impossible", """
        `constrained` should give the probabilities of the next token, with 0 for the forbidden ones. Now and then a
        forbidden token is drawn all the same. Mend it.
        """, constrained, kind="mend", imports="import torch\nfrom torch import Tensor", inputs=_draw_logits,
        hints=("What does softmax make of a logit of 0? It is e to the power of 0.",
               "Which number gives 0 when e is raised to its power? Put it in before the softmax."),
        mistakes=(Mistake(_zero_logits, "A logit of 0 is no prohibition: it can even be the largest, if the others are "
                                        "negative."),
                  Mistake(_after_softmax, "The forbidden have 0, and the others no longer add up to 1."),
                  Mistake(_wrong_side, "`allowed` is True for what may come; these were ruled out."),
                  Mistake(_all_alike, "The allowed tokens are all equally likely here. The model's own preference "
                                      "among them should stay."))),
    Exercise(
        "Where does the gain come from?", """
        In the stored run the constrained answers (`"indented"`) of the wording *open* have more right labels than the
        free ones. Did the constraint make the model wiser? Part the 96 sentences: those whose *free* answer holds a
        label, and those where it holds none. Count in each part the `sentences`, and how many labels are right, `free`
        and `constrained`. Which part does the `gain from` name, `"label"` or `"no label"`? The code below gives the
        answers and the truth.
        """, where_the_gain_comes_from, kind="decide", verify=_judge,
        imports="""
        import re
        import numpy as np
        from llmcourse.data import LABELS, load_data
        from llmcourse.objectives import read_measured
        from llmcourse.preprocessing import clean
        """,
        stub='''
        stored = read_measured("constrained")
        truth = np.array(clean(load_data("amazon"))[0]["validation"]["label"])[stored["about"]["sentences"]]
        rows = [row for row in stored["rows"] if row["wording"] == "open"]
        texts = {way: [one["text"] for row in rows for one in row[way]] for way in ("free", "indented")}

        answer = {"label": {"sentences": ..., "free": ..., "constrained": ...},
                  "no label": {"sentences": ..., "free": ..., "constrained": ...}, "gain from": ...}''',
        hints=('`re.search(r\'"(?:sentiment|label)":\\s*"(\\w+)"\', text)` finds the label; its lower case may be one '
               "of `LABELS`, or there is none: write 3.",
               "With arrays of label ids, `part = free == 3` picks the sentences without a label, and `(forced == "
               "truth)[part].sum()` counts the right ones among them."),
        mistakes=(Mistake(_PARTS | {"gain from": "label"}, "your own counts say otherwise"),
                  Mistake({"label": {"sentences": 256, "free": 128, "constrained": 130},
                           "no label": {"sentences": 32, "free": 0, "constrained": 20}, "gain from": "no label"},
                          "is another wording among them?"),
                  Mistake({"label": {"sentences": 80, "free": 59, "constrained": 73},
                           "no label": {"sentences": 16, "free": 59, "constrained": 73}, "gain from": "label"},
                          "counted in one part only?"),
                  Mistake({"label": {"sentences": 80, "free": 59, "constrained": 59},
                           "no label": {"sentences": 16, "free": 5, "constrained": 14}, "gain from": "no label"},
                          "cannot be right"))),
]

QUESTIONS = [
    Question("Every answer of a model parses and fits the schema. What do you know about its labels?",
             ("Nothing: each is one of those that the form allows.",
              "The course's GPT filled the form with noise, and it parsed forty times of forty. Test the labels."),
             (("They are right whenever the free answer was.",
               "They need not be: the constraint can lead the model along a text that it would not have written."),
              ("They are those that the model finds likeliest.",
               "At each step it chooses among allowed tokens; what it would rather have said may have been ruled "
               "out."))),
    Question("Under the same constraint a model keeps a thousandth of its probability with one layout and a tenth with "
             "another. What is likely?",
             ("The first layout asks for white space that it would not write.",
              "The content is the same in both. The model writes indented JSON by itself, so it resists being held "
              "to one line."),
             (("It finds the answers of the first layout less true.",
               "The layouts allow the same values; only the spaces and line ends between them differ."),
              ("The first layout allows fewer answers than the second.",
               "Both are made from one schema and hold the same objects, each once."))),
    Question("An answer may be cut off after 20 tokens, and it is constrained to a schema. Is it sure to parse?",
             ("No, it may stop as the beginning of a valid text.",
              "The constraint keeps every step on a way to the end; it must be let go as far as the longest text."),
             (("Yes, as every token was allowed.",
               "Allowed means that the text can still be completed. It does not mean that it is complete."),
              ("Yes, if the sampling temperature is zero.",
               "The temperature decides which allowed token comes, not how many are needed."))),
    Question("A tokenizer would cut `true` into one token. Why does the mask also allow `t`?",
             ("Because `t` and then `rue` give the same text.",
              "Both ways are valid, and the model may prefer either. Forbidding one takes probability from it for no "
              "reason."),
             (("Because the model could otherwise not begin the word.",
               "It could: the single token `true` writes it."),
              ("Because the mask is built from the vocabulary of bytes.",
               "It is built for all tokens; each is walked through byte by byte to see whether it fits."))),
    Question("Your schema says that a number is at most 5. Which check of a library that enforces schemas tells you "
             "most?",
             ("Give it a text with a 6 and see that it is refused.",
              "One version of a library that we tried ignored the range without a word. What is right passes either "
              "way; only what is wrong shows the difference."),
             (("Let a model write a hundred answers and see that they fit.",
               "The model may never try a 6, and then the missing check does not show."),
              ("Give it a text with a 3 and see that it is accepted.",
               "A library that ignores the range accepts it, too."))),
]
