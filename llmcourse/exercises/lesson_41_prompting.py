"Asking instead of training."
import numpy as np
import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def shares_and_mass(logits: Tensor, ids: list[int]) -> tuple[Tensor, float]:
    "From the logits (vocab_size,) of the next token: how label tokens `ids` share 1 among them, and their mass."
    following = logits.softmax(-1)                  # (vocab_size,): what comes next, all tokens add up to 1
    chosen = following[ids]                         # (labels,): add up to less than 1
    mass = chosen.sum()                             # how much of the probability went to a label at all
    return chosen / mass, mass.item()


def _whole_vocabulary(logits, ids): return logits.softmax(-1)[ids], logits.softmax(-1)[ids].sum().item()
def _mass_of_itself(logits, ids): return logits[ids].softmax(-1), logits[ids].softmax(-1).sum().item()
def _plain_logits(logits, ids): return logits[ids] / logits[ids].sum(), logits.softmax(-1)[ids].sum().item()
def _largest(logits, ids): return logits[ids].softmax(-1), logits.softmax(-1)[ids].max().item()


def _draw_next(rng):
    logits = torch.tensor(rng.normal(size=8).round(2), dtype=torch.float32)
    return logits, rng.permutation(8)[:3].tolist()


def answer_logprob(logits: Tensor, prompt_length: int, answer: list[int]) -> Tensor:
    "log p(answer | prompt). `logits` (time, vocab_size) were read on the prompt with the answer behind it."
    logprobs = logits.log_softmax(-1)                          # (time, vocab_size)
    rows = [prompt_length - 1 + i for i in range(len(answer))] # the logits at t speak of the token at t + 1
    return logprobs[rows, answer].sum()                        # a product of probabilities, as a sum of logarithms


def _one_row_late(logits, prompt_length, answer):
    rows = [prompt_length + i for i in range(len(answer))]
    return logits.log_softmax(-1)[rows, answer].sum()


def _rows_of(logits, prompt_length, answer):
    return [prompt_length - 1 + i for i in range(len(answer))]


def _first_token(logits, prompt_length, answer): return logits.log_softmax(-1)[prompt_length - 1, answer[0]]


def _mean_of_tokens(logits, prompt_length, answer):
    return logits.log_softmax(-1)[_rows_of(logits, prompt_length, answer), answer].mean()


def _sum_of_shares(logits, prompt_length, answer):
    return logits.softmax(-1)[_rows_of(logits, prompt_length, answer), answer].sum().log()


def _all_at_once(logits, prompt_length, answer): return logits.log_softmax(-1)[prompt_length - 1, answer].sum()


def _draw_answer(rng):
    prompt_length, answer = int(rng.integers(2, 5)), rng.integers(0, 6, size=rng.integers(2, 4)).tolist()
    shape = prompt_length + len(answer), 6
    return torch.tensor(rng.normal(size=shape).round(2), dtype=torch.float32), prompt_length, answer


def positions_behind(start: int, lengths: list[int]) -> list[list[int]]:
    "The position of each column behind a prefix of `start` tokens; rows end together, padding is marked -1."
    longest = max(lengths)
    return [[-1] * (longest - length) + list(range(start, start + length)) for length in lengths]


def _counts_padding(start, lengths):
    "The position of each column behind a prefix of `start` tokens; rows end together, padding is marked -1."
    longest = max(lengths)
    return [[-1] * (longest - length) + list(range(start + longest - length, start + longest)) for length in lengths]


def _padded_behind(start, lengths):
    return [list(range(start, start + n)) + [-1] * (max(lengths) - n) for n in lengths]


def _without_prefix(start, lengths): return [[-1] * (max(lengths) - n) + list(range(n)) for n in lengths]


def _from_one(start, lengths):
    return [[-1] * (max(lengths) - n) + list(range(start + 1, start + n + 1)) for n in lengths]


def how_many_sentences() -> dict:
    "Macro-F1 on validation with a prior of few sentences, twenty draws each, and how many of them are enough."
    from llmcourse.data import load_data
    from llmcourse.evaluation import score
    from llmcourse.objectives import read_measured
    from llmcourse.preprocessing import clean
    from llmcourse.prompting import calibrate

    y = list(clean(load_data("amazon"))[0]["validation"]["label"])
    row = next(row for row in read_measured("prompting")["rows"] if row["name"] == "balanced 6, seed 0")
    p = np.array(row["probabilities"].split(), int).reshape(-1, 3) / 10_000             # (sentences, labels)
    f1 = lambda prior: score(y, calibrate(p, prior).argmax(1))["macro_f1"]
    rng, found = np.random.default_rng(0), {}
    for n in (3, 10, 30, 100):
        found[n] = [f1(p[rng.permutation(len(p))[:n]].mean(0)) for _ in range(20)]
    every = f1(p.mean(0))
    enough = next(n for n in found if np.mean(found[n]) > every - 0.02)
    return found | {"all": every, "enough": enough}


def _judge(answer) -> str:
    "Whether the priors were drawn often enough, and `enough` follows from the figures."
    sizes = (3, 10, 30, 100)
    if not all(isinstance(answer[n], list) and len(answer[n]) >= 10 for n in sizes):
        return "draw at least ten priors of each size: a single draw of three sentences may be lucky"
    if not all(0.2 < value < 0.8 for n in sizes for value in answer[n]):
        return "macro-F1 should lie between 0.2 and 0.8 here; are these recalls, percentages or priors?"
    spread = {n: max(answer[n]) - min(answer[n]) for n in sizes}
    if spread[100] == 0 or spread[100] > spread[3]:
        return ("a prior of a hundred sentences should vary a little, and less than one of three; are the sentences "
                "drawn anew each time?")
    near = [n for n in sizes if sum(answer[n]) / len(answer[n]) > answer["all"] - 0.02]
    if not near or answer["enough"] != near[0]:
        return "your own figures say otherwise: enough is the smallest size whose mean comes within 0.02 of all"
    return ""


_TABLE = {3: [0.55, 0.69, 0.60, 0.66, 0.58] * 2, 10: [0.64, 0.69, 0.66, 0.67, 0.65] * 2,
          30: [0.66, 0.69, 0.67, 0.68, 0.67] * 2, 100: [0.67, 0.68, 0.675, 0.68, 0.67] * 2, "all": 0.675}

EXERCISES = [
    Exercise(
        "What must be read", """
        Fifty prompts have 100 tokens each, and all begin with the same 80. How many tokens must the model read in all,
        if the keys and values of the prefix are kept?
        """, 1080, kind="predict",
        hints=("The prefix is read once. What is left of each prompt?",
               "Each prompt keeps 20 tokens of its own, and there are fifty of them. Do not forget the prefix."),
        mistakes=(Mistake(5000, "That reads every prompt whole; what they share need be read once only."),
                  Mistake(1000, "The rests are counted; the prefix must be read once, too."),
                  Mistake(4080, "That reads the prefix for every prompt; it is the rest that differs."),
                  Mistake(100, "That is one prompt. The other 49 have tokens of their own."))),
    Exercise(
        "Calibrate by hand", """
        For a sentence the model gives *negative*, *neutral* and *positive* the probabilities 0.48, 0.12 and 0.40. For
        a text without content it gives 0.60, 0.10 and 0.30. What are the calibrated probabilities, as a list of three?
        A pencil is enough.
        """, [0.24, 0.36, 0.40], kind="predict", tolerance=0.006, stub="answer = [..., ..., ...]",
        hints=("Divide each probability by what its word gets without content.",
               "0.8, 1.2 and 1.333. These do not add up to 1 yet; divide each by their sum, 3.333."),
        mistakes=(Mistake([0.8, 1.2, 1.333], "Divided rightly; the three must still be made to add up to 1."),
                  Mistake([0.686, 0.029, 0.286], "That multiplies by the prior, which strengthens the favourite word; "
                                                 "divide by it."),
                  Mistake([0.44, 0.173, 0.387], "The prior was subtracted from 1. It is the divisor itself."),
                  Mistake([0.48, 0.12, 0.40], "These are the probabilities as they came; the prior has not been "
                                              "used."))),
    Exercise(
        "Read labels off the next word", """
        Write `shares_and_mass(logits, ids)`. `logits` (vocab_size,) are the model's logits for the next token, and
        `ids` holds the token of each label word. Return the probabilities of the labels *among the labels*, a tensor
        that adds up to 1, and their mass, a float: how much of the whole vocabulary's probability they get.
        """, shares_and_mass, imports="import torch\nfrom torch import Tensor", inputs=_draw_next,
        hints=("Softmax over all tokens first, `logits.softmax(-1)`. Then `[ids]` picks the labels.",
               "The mass is the sum of the three. Divide the three by it, and return `mass.item()` beside them."),
        mistakes=(Mistake(_whole_vocabulary, "The labels do not add up to 1: other tokens took a share. Divide by "
                                             "the mass."),
                  Mistake(_mass_of_itself, "The mass is always 1 here, since the softmax saw the labels alone. It "
                                           "must be taken over the whole vocabulary."),
                  Mistake(_plain_logits, "Logits are no probabilities, and may be negative; take the softmax before "
                                         "you divide."),
                  Mistake(_largest, "The mass counts all label words together, not the likeliest alone."))),
    Exercise(
        "Answers of several tokens", """
        *complaint* is two tokens. A model has read a prompt of `prompt_length` tokens with the answer behind it, and
        gave `logits` (time, vocab_size). Write `answer_logprob(logits, prompt_length, answer)`: the natural logarithm
        of the probability of the tokens `answer` behind the prompt.
        """, answer_logprob, imports="import torch\nfrom torch import Tensor", inputs=_draw_answer, gradient=True,
        hints=("The probability is a product over the tokens; its logarithm is a sum of `log_softmax` values.",
               "The logits at position t speak of the token at t + 1. Which position predicts the first token of the "
               "answer?",
               "Rows `prompt_length - 1`, `prompt_length`, and so on: `logprobs[rows, answer].sum()`."),
        mistakes=(Mistake(_one_row_late, "The rows are one too late: the first token of the answer is predicted at "
                                         "the last token of the prompt."),
                  Mistake(_first_token, "That is the first token alone. The others have to be read behind it."),
                  Mistake(_mean_of_tokens, "That is the mean over the tokens; a product of probabilities is the sum "
                                           "of their logarithms."),
                  Mistake(_sum_of_shares, "The probabilities of the tokens are added. They must be multiplied: first "
                                          "this one, and then that one."),
                  Mistake(_all_at_once, "All tokens are looked up in one row. The second is predicted after the "
                                        "first was read, one row further down."))),
    Exercise(
        "Padding behind a prefix", """
        Sentences of different length are read behind one cached prefix of `start` tokens, padded so that all end in
        the last column. `positions_behind(2, [3, 1])` should be `[[2, 3, 4], [-1, -1, 2]]`. With the cell below the
        answers of a short sentence depend on how long the others of its batch are. Mend it.
        """, positions_behind, kind="mend",
        inputs=lambda rng: (int(rng.integers(2, 9)), [int(n) for n in rng.permutation([1, 2, 3, 4, 5])[:3]]),
        hints=("Where does the first real token of a short row stand, if it were read alone behind the prefix?",
               "It follows the prefix directly, so its position is `start`, however much padding lies between."),
        mistakes=(Mistake(_counts_padding, "A token behind padding is told that it stands further back than it does; "
                                           "the padding should not count."),
                  Mistake(_padded_behind, "The padding stands at the end, so the rows do not end in the same column, "
                                          "where the answer is read."),
                  Mistake(_without_prefix, "The count begins at 0 again, where the prefix already stands."),
                  Mistake(_from_one, "The prefix fills the positions 0 to start - 1; the next one is `start`."))),
    Exercise(
        "How many sentences make a prior?", """
        Batch calibration divides by the mean over sentences without labels. How many does it need? Take the stored
        reading with six balanced examples: the first lines below give its probabilities `p` (sentences, labels) on
        the validation split, and the labels `y`. Draw 3, 10, 30 and 100 of its sentences, at least ten times each,
        divide by their mean with `calibrate(p, prior)`, and note the macro-F1 of *all* sentences,
        `score(y, answers)["macro_f1"]`. `all` is the value with the mean of all sentences, and `enough` the smallest
        number whose mean macro-F1 comes within 0.02 of it.
        """, how_many_sentences, kind="decide", verify=_judge,
        imports="""
        import numpy as np
        from llmcourse.data import load_data
        from llmcourse.evaluation import score
        from llmcourse.objectives import read_measured
        from llmcourse.preprocessing import clean
        from llmcourse.prompting import calibrate
        """,
        stub='''
        row = next(row for row in read_measured("prompting")["rows"] if row["name"] == "balanced 6, seed 0")
        p = np.array(row["probabilities"].split(), int).reshape(-1, 3) / 10_000
        y = list(clean(load_data("amazon"))[0]["validation"]["label"])
        answer = {3: [...], 10: [...], 30: [...], 100: [...], "all": ..., "enough": ...}''',
        hints=("One draw of 30: `p[rng.permutation(len(p))[:30]].mean(0)` is the prior, of shape (3,).",
               "`score(y, calibrate(p, prior).argmax(1))[\"macro_f1\"]` is one figure. Keep ten or more for each "
               "size, then compare their means with `all`."),
        mistakes=(Mistake({n: _TABLE[n][:1] for n in (3, 10, 30, 100)} | {"all": 0.675, "enough": 10},
                          "a single draw of three sentences may be lucky"),
                  Mistake(_TABLE | {"enough": 100}, "your own figures say otherwise"),
                  Mistake(_TABLE | {n: [v * 100 for v in _TABLE[n]] for n in (3, 10, 30, 100)} | {"enough": 10},
                          "are these recalls, percentages or priors?"),
                  Mistake(_TABLE | {100: [0.675] * 10} | {"enough": 10}, "drawn anew each time?"))),
]

QUESTIONS = [
    Question("Three label words have a mass of 0.01 behind a prompt. What does that tell you?",
             ("The model would begin its answer with other words.",
              "Their shares still add up to 1 once divided, but they compare words that the model hardly considers. "
              "Reword the prompt, or open the answer for it."),
             (("The model is 99 % sure that no label fits.",
               "It may well have an answer. It would start with `This sentence is` and say the label later."),
              ("The three labels are about equally likely.",
               "The mass is their sum. How they share it is another matter: one of them may have nearly all."))),
    Question("Nine tenths of your sentences are positive. You divide by the mean over them (batch calibration). What "
             "happens?",
             ("Too many sentences are called negative or neutral.",
              "The mean holds the true frequency of `positive` as well as the model's liking for the word, and both "
              "are divided out."),
             (("Nothing, since the method needs no labels.",
               "It uses no labels, but it assumes that they are about equally frequent."),
              ("More sentences are called positive.",
               "Dividing by a large mean makes `positive` less likely, not more."))),
    Question("Ten draws of three examples reach a macro-F1 from 0.52 to 0.68 on validation. What do you report?",
             ("The mean and the range of the ten draws.",
              "Another draw will land anywhere in the range; the best of ten was chosen by its luck on these "
              "sentences."),
             (("The best draw, since its examples can be kept.",
               "They can, and on new sentences it will probably do less well: part of its lead is the luck of the "
               "choice."),
              ("The first draw, since it was not chosen by its result.",
               "It is an honest draw, but one of them says nothing about how far the others are."))),
    Question("Why are prompts tokenized whole, and only then cut into a shared prefix and a rest?",
             ("A cut in the text can give other tokens on both sides of it.",
              "A space joins the word behind it. Cut in between, the model reads tokens that it rarely saw there, "
              "and its answers change."),
             (("Tokenizing the parts takes longer than the whole.",
               "It takes the same time; the tokens differ, and that is the trouble."),
              ("The cache can only hold whole prompts.",
               "It holds the keys and values of any beginning, which is why the prefix can be kept."))),
]
