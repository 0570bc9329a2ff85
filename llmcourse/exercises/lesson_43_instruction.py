"Follow an instruction."
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def with_new_rows(table: Tensor, count: int) -> Tensor:
    "The token table (vocab_size, d_model) with `count` rows below it, each the mean of the rows that were there."
    mean = table.mean(dim=0, keepdim=True)                     # (1, d_model)
    return torch.cat([table, mean.expand(count, -1)])          # (vocab_size + count, d_model)


def _zeros(table, count): return torch.cat([table, torch.zeros(count, table.shape[1])])
def _on_top(table, count): return torch.cat([table.mean(0, keepdim=True).expand(count, -1), table])
def _last_row(table, count): return torch.cat([table, table[-1:].expand(count, -1)])
def _summed(table, count): return torch.cat([table, table.sum(0, keepdim=True).expand(count, -1)])
def _one_number(table, count): return torch.cat([table, table.mean().expand(count, table.shape[1])])


def answer_loss(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    "The mean loss on the answers: hidden (batch, time, d_model), head (vocab_size, d_model), labels (batch, time)."
    wanted = labels[:, 1:]                                     # (batch, time - 1): what comes next
    counts = wanted != -100                                    # True where the next token belongs to an answer
    logits = hidden[:, :-1][counts] @ head.T                   # (answers, vocab_size): no other position is needed
    return F.cross_entropy(logits, wanted[counts])


def _not_shifted(hidden, head, labels):
    "The mean loss on the answers: hidden (batch, time, d_model), head (vocab_size, d_model), labels (batch, time)."
    counts = labels != -100
    logits = hidden[counts] @ head.T
    return F.cross_entropy(logits, labels[counts])


def _loss(hidden, head, labels, shift=1, reduction="mean"):
    wanted = labels[:, shift:]
    return F.cross_entropy((hidden[:, :-shift] @ head.T)[wanted != -100], wanted[wanted != -100], reduction=reduction)


def _added_up(hidden, head, labels): return _loss(hidden, head, labels, reduction="sum")
def _by_all(hidden, head, labels): return _loss(hidden, head, labels, reduction="sum") / labels[:, 1:].numel()
def _two_ahead(hidden, head, labels): return _loss(hidden, head, labels, shift=2)


def _requests_too(hidden, head, labels):
    return F.cross_entropy((hidden[:, :-1] @ head.T).flatten(0, 1), labels[:, 1:].clamp(min=0).flatten())


def _draw_batch(rng):
    labels = torch.tensor(rng.integers(0, 6, size=(2, 6)))
    labels[0, :int(rng.integers(1, 3))] = -100                 # the requests
    labels[1, :int(rng.integers(2, 4))] = -100
    normal = lambda *size: torch.tensor(rng.normal(size=size), dtype=torch.float32)
    return normal(2, 6, 4), normal(6, 4), labels


def with_replay(conversations: list[dict], plain: list[list[int]], every: int) -> list[dict]:
    "After `every` conversations one plain text, as long as there are any; all of its tokens count in the loss."
    found, left = [], list(plain)
    for number, example in enumerate(conversations, 1):
        found.append(example)
        if number % every == 0 and left:
            ids = left.pop(0)
            found.append({"input_ids": ids, "labels": ids})    # nothing is a request here: learn every token
    return found


def _mixed(conversations, plain, every, labels=lambda ids: ids, shift=0):
    found, left = [], list(plain)
    for number, example in enumerate(conversations, 1):
        found.append(example)
        if (number + shift) % every == 0 and left: found.append({"input_ids": left[0], "labels": labels(left.pop(0))})
    return found


def _not_counted(conversations, plain, every):
    return _mixed(conversations, plain, every, labels=lambda ids: [-100] * len(ids))


def _only_last(conversations, plain, every):
    return _mixed(conversations, plain, every, labels=lambda ids: [-100] * (len(ids) - 1) + ids[-1:])


def _all_behind(conversations, plain, every):
    return list(conversations) + [{"input_ids": ids, "labels": ids} for ids in plain[:len(conversations) // every]]


def _begins_plain(conversations, plain, every): return _mixed(conversations, plain, every, shift=every - 1)


def _draw_mix(rng):
    draw = lambda: rng.integers(2, 50, size=rng.integers(3, 5)).tolist()
    conversations = [{"input_ids": (ids := draw()), "labels": [-100] + ids[1:]} for _ in range(int(rng.integers(5, 8)))]
    return conversations, [draw() for _ in range(4)], int(rng.choice([2, 3]))


def beside_the_control() -> dict:
    "How much more often than a random sentence each writer shows the sentiment asked, with intervals by request."
    from llmcourse.objectives import read_measured
    from llmcourse.uncertainty import bootstrap_mean

    rows = {row["name"]: row.get("judged") for row in read_measured("instruction")["rows"]}
    request = np.repeat(np.arange(36), 8)                     # eight answers to each of 36 requests
    wanted, trained = request // 12, request % 3 < 2          # twelve requests a label; every third wording is unseen
    right = lambda name: (np.array(rows[f"course-gpt, {name}"]["TF-IDF"]) == wanted).astype(float)
    found = {name: bootstrap_mean((right(name) - right("a random sentence"))[trained], request[trained])
             for name in ("seed 0", "seed 1", "seed 2", "the right sentence")}
    return found | {"follows": [name for name, (_, low, _) in found.items() if low > 0]}


_WHO = ("seed 0", "seed 1", "seed 2", "the right sentence")


def _judge(answer) -> str:
    "Whether the differences are those of the stored run, and the choice follows their intervals."
    if not all(isinstance(answer[name], (list, tuple)) and len(answer[name]) == 3 for name in _WHO):
        return "each writer has three numbers: difference, low and high, as `bootstrap_mean` returns them"
    if any(not low <= gain <= high for gain, low, high in (answer[name] for name in _WHO)):
        return "low, difference and high are out of order"
    if answer["the right sentence"][0] > 0.5:
        return "that is the share itself; subtract what a random sentence reaches, answer by answer"
    if max(high - low for _, low, high in (answer[name] for name in _WHO)) < 0.13:
        return "these intervals are too narrow: the eight answers to one request belong together; draw whole requests"
    above = [name for name in _WHO if answer[name][1] > 0]
    if sorted(answer["follows"]) != sorted(above): return f"your own intervals say that only {above} lie above zero"
    if above != ["the right sentence"]:
        return "only the right sentence should be clearly ahead; did you take the trained wordings alone?"
    return ""


_TABLE = {"seed 0": (0.0, -0.09, 0.09), "seed 1": (0.04, -0.05, 0.13), "seed 2": (-0.04, -0.14, 0.07),
          "the right sentence": (0.30, 0.18, 0.41)}


def factor() -> float:
    "Nats are minus ln p, so p is e to the power of minus the nats."
    return math.exp(-40.0) / math.exp(-39.3)     # the same as e to the power of 39.3 - 40.0


EXERCISES = [
    Exercise(
        "A new token, by hand", """
        A model knows two tokens, and scores them 0 and ln 4 in some context. A third token is added; its row is the
        mean of the two rows. What probability does it get here, before any training?
        """, 2 / 7, kind="predict", tolerance=0.005,
        hints=("The score is an inner product with the row, so the mean row gets the mean score: ln 4 / 2 = ln 2.",
               "e to the power of the three scores: 1, 4 and 2. Divide the third by the sum."),
        mistakes=(Mistake(1 / 6, "That is a row of zeros: a score of 0, which is the power 1."),
                  Mistake(1 / 3, "The new token gets the mean of the scores, not the mean of their powers. The second "
                                 "is larger (Jensen)."),
                  Mistake(2 / 5, "The new token has a part in the sum, too."),
                  Mistake(2.0, "That is the power of its score; divide by the sum of all three."))),
    Exercise(
        "How many times as likely?", """
        A positive sentence costs a model 40.0 nats after *Write a positive sentence* and 39.3 after *Write a negative
        sentence*. How many times as likely does the right request make it, compared with the opposite one?
        """, factor, kind="predict", tolerance=0.006, imports="import math",
        hints=("Nats are minus the natural logarithm of the probability. Which request makes the sentence likelier?",
               "The quotient of two probabilities is e to the power of the difference of their logarithms: 39.3 - "
               "40.0."),
        mistakes=(Mistake(math.exp(0.7), "Turned round: more nats mean that the sentence is less likely."),
                  Mistake(39.3 / 40.0, "Nats are logarithms. Their difference counts, not their quotient."),
                  Mistake(0.7, "That is the difference in nats; take e to the power of it, with the right sign."),
                  Mistake(2 ** -0.7, "That takes the numbers for bits; nats belong to e."))),
    Exercise(
        "Rows for new tokens", """
        Write `with_new_rows(table, count)`: new rows below the token table, each the mean of the old ones, so that no
        old token changes its number.
        """, with_new_rows, imports="import torch\nfrom torch import Tensor",
        inputs=lambda rng: (torch.tensor(rng.normal(size=(5, 3)).round(2), dtype=torch.float32),
                            int(rng.integers(1, 4))),
        hints=("`table.mean(dim=0, keepdim=True)` is one row, (1, d_model).",
               "`mean.expand(count, -1)` repeats it, and `torch.cat([table, ...])` puts it below."),
        mistakes=(Mistake(_zeros, "A row of zeros has the score 0 in every context, and this can be far above the "
                                "others."),
                  Mistake(_on_top, "The new rows stand above, and every old token gets another number."),
                  Mistake(_last_row, "Each new token begins as a copy of the last one, and is as likely as that."),
                  Mistake(_summed, "The sum of many rows is a long vector, with extreme scores; divide by their "
                                 "number."),
                  Mistake(_one_number, "The mean is taken over everything; each column has its own."))),
    Exercise(
        "The loss on the answers", """
        `answer_loss` computes the head at the answers only, as `AnswerLoss` does. Its loss falls quickly in training,
        and the model has learned nothing but to repeat. Mend it.
        """, answer_loss, kind="mend", gradient=True, inputs=_draw_batch,
        imports="import torch\nimport torch.nn.functional as F\nfrom torch import Tensor",
        hints=("The hidden vector at position t has read token t. Which token should it predict?",
               "The labels of what comes next are `labels[:, 1:]`; the vectors that predict them are "
               "`hidden[:, :-1]`. Ask for -100 in the shifted labels."),
        mistakes=(Mistake(_not_shifted, "Each position is asked for the token that it has just read."),
                  Mistake(_two_ahead, "Each position is asked for the token after the next."),
                  Mistake(_added_up, "That is the sum; a long answer would weigh more than a short one and every batch "
                                     "would have another scale."),
                  Mistake(_by_all, "Divide by the number of tokens that count, not by all positions."),
                  Mistake(_requests_too, "The positions labelled -100 must be left out; here they count as token 0."))),
    Exercise(
        "Replay", """
        A model forgets less if some of its old text comes along (*replay*). Examples are dictionaries with `input_ids`
        and `labels`. Write `with_replay(conversations, plain, every)`: after every `every` conversations comes one
        plain text of `plain` (lists of token ids, in order), as long as there are any. In a plain text every token
        counts.
        """, with_replay, inputs=_draw_mix,
        hints=("Walk through the conversations with `enumerate(conversations, 1)`; it is time for a plain text where "
               "the number is divisible by `every`.",
               "The labels of a conversation are -100 in the request. A plain text has no request: its labels are its "
               "tokens."),
        mistakes=(Mistake(_not_counted, "Labels of -100 are ignored, so the plain text is read and nothing is learned "
                                        "from it."),
                  Mistake(_only_last, "The last token alone counts; in a plain text all do."),
                  Mistake(_all_behind, "The plain texts come at the end, when the model has forgotten, and then it "
                                       "forgets the conversations."),
                  Mistake(_begins_plain, "A plain text comes after the first conversation already; count to `every` "
                                         "first."))),
    Exercise(
        "Beside the control", """
        The judge TF-IDF says for each answer which sentiment it finds. By how much does the share of right ones exceed
        that of a *random sentence*? The code below gives for each writer an array, 1 where the sentiment is the one
        asked, in the wordings that were trained, and the request that each answer belongs to. Eight answers belong to
        one request, so the interval must draw whole requests. Note `(difference, low, high)` for each writer, and list
        under `follows` the names whose interval lies above zero.
        """, beside_the_control, kind="decide", verify=_judge,
        imports="""
        import numpy as np
        from llmcourse.objectives import read_measured
        from llmcourse.uncertainty import bootstrap_mean
        """,
        stub='''
        rows = {row["name"]: row.get("judged") for row in read_measured("instruction")["rows"]}
        number = np.repeat(np.arange(36), 8)
        trained = number % 3 < 2
        request = number[trained]
        right = {name: (np.array(rows["course-gpt, " + name]["TF-IDF"]) == number // 12).astype(float)[trained]
                 for name in ("seed 0", "seed 1", "seed 2", "the right sentence", "a random sentence")}

        answer = {"seed 0": ..., "seed 1": ..., "seed 2": ..., "the right sentence": ..., "follows": [...]}''',
        hints=("`bootstrap_mean(values, groups)` returns mean, low and high, and draws whole groups.",
               "`values = right[name] - right[\"a random sentence\"]`, and the groups are `request`."),
        mistakes=(Mistake(_TABLE | {"follows": ["seed 1", "the right sentence"]}, "your own intervals say"),
                  Mistake(_TABLE | {"the right sentence": (0.63, 0.55, 0.70), "follows": ["the right sentence"]},
                          "subtract what a random sentence reaches"),
                  Mistake({name: (gain, gain - 0.05, gain + 0.05) for name, (gain, *_) in _TABLE.items()}
                          | {"follows": ["the right sentence"]}, "draw whole requests"),
                  Mistake(_TABLE | {"seed 1": (0.2, 0.1, 0.3), "follows": ["seed 1", "the right sentence"]},
                          "did you take the trained wordings alone?"))),
]

QUESTIONS = [
    Question("Sentences drawn without a look at the request have the sentiment asked in 0.33 of the cases. After "
             "training, the model has it in 0.35. What has it learned of the content?",
             ("Nothing that can be shown: it does as well as a writer who ignores the request.",
              "Perfect English of any sentiment reaches 0.33. Only what lies clearly above it is following."),
             (("Something, since 0.35 is more than 0.33.",
               "The intervals are ten times as wide as this difference."),
              ("A third of what was asked.", "One in three is what guessing gives with three sentiments."))),
    Question("After fine-tuning, accuracy stays at 0.70, and macro-F1 rises from 0.50 to 0.65. What is a likely cause?",
             ("A rare label is used that was never used before.",
              "Qwen never said `neutral`, with an F1 of 0 for it. A third of macro-F1 is that label."),
             (("The frequent labels are told apart better.",
               "That would show in the accuracy, which counts every sentence once."),
              ("The answers have the right form now.",
               "Labels were read leniently, before and after; a broken form costs nothing here."))),
    Question("A fine-tuned model explains: negative: of 20 raters 0 negative, 0 neutral, 20 positive. Why does it "
             "write these counts each time?",
             ("They are the likeliest ones, and generation takes the likeliest.",
              "Where a model is unsure of the counts, the most frequent ones of the training set win every time."),
             (("It counts raters that it saw for a similar sentence.",
               "Then other sentences would get other counts; there is one set of counts for all."),
              ("The form allows no other counts.", "Any three counts that add up to 20 have the form."))),
    Question("Why does training on conversations make a model worse at editorials?",
             ("No term of the loss asks it to keep what it knew.",
              "Each step moves the weights toward conversations, wherever that leads for other text."),
             (("Its new tokens take probability from the words of editorials.",
               "At the start they get less than an average token; they are not what changed."),
              ("The memory for texts is limited, and new ones push out old ones.",
               "There are no stored texts to push out; the same weights serve all, and they were moved."))),
    Question("Every request in the training set begins with `Write` or `Say`, every question with `Is`. Asked "
             "`Give me one positive remark`, the model answers no. What would help most?",
             ("Many tasks, each in many wordings.",
              "It learned which first words are followed by a sentence. Varied requests make that rule too weak."),
             (("More passes over the same conversations.",
               "The same first words would be learned even better."),
              ("A larger share of questions among the conversations.",
               "It takes an unknown request for a question already."))),
]
