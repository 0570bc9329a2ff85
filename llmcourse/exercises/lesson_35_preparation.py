"Prepare the data."

import torch

from llmcourse.practice import Exercise, Mistake, Question


def _saved(): return (12 + 12 + 10 + 10) - (4 + 4 + 12 + 12)


def align(ids: list[int], theirs: list[str], ours: list[str]) -> list[int]:
    "Ids that count in the order `theirs`, renumbered to the order `ours`; -100 stays -100."
    return [i if i == -100 else ours.index(theirs[i]) for i in ids]      # id -> name -> id


def _the_other_way(ids, theirs, ours): return [i if i == -100 else theirs.index(ours[i]) for i in ids]
def _as_they_are(ids, theirs, ours): return list(ids)
def _ignored_as_last(ids, theirs, ours): return [ours.index(theirs[max(i, -1)]) for i in ids]
def _names(ids, theirs, ours): return [i if i == -100 else theirs[i] for i in ids]


def _draw_ids(rng):
    names = ["bad", "fair", "good", "great"]
    return [*rng.integers(4, size=4).tolist(), -100], rng.permutation(names).tolist(), names


def example(turns: list[tuple[str, list[int]]], end: int) -> tuple[list[int], list[int]]:
    "(input_ids, labels) of a chat: each turn is its tokens and `end`; only the assistant's turns count, end included."
    ids, labels = [], []
    for role, tokens in turns:
        turn = [*tokens, end]
        ids += turn
        labels += turn if role == "assistant" else [-100] * len(turn)    # a label is the token at its own position
    return ids, labels


def _all_count(turns, end):
    ids, _ = example(turns, end)
    return ids, list(ids)


def _end_ignored(turns, end):
    ids, labels = example(turns, end)
    return ids, [-100 if i == end else label for i, label in zip(ids, labels)]


def _every_end_counts(turns, end):
    ids, labels = example(turns, end)
    return ids, [end if i == end else label for i, label in zip(ids, labels)]


def _shifted(turns, end):
    ids, labels = example(turns, end)
    return ids, [*labels[1:], -100]


def _last_answer_alone(turns, end):
    ids, labels = example(turns, end)
    n = len(turns[-1][1]) + 1
    return ids, [-100] * (len(ids) - n) + labels[-n:]


def _draw_turns(rng):
    roles = ["user", "assistant"] * int(rng.integers(1, 3))
    return [(role, rng.integers(3, 20, size=rng.integers(1, 4)).tolist()) for role in roles], 2


def pad_batch(examples: list[dict], pad_id: int) -> dict:
    "A batch as lists: rows filled up on the right; positions that only fill up teach nothing."
    width = max(len(e["input_ids"]) for e in examples)
    fill = [width - len(e["input_ids"]) for e in examples]
    return {"input_ids": [e["input_ids"] + [pad_id] * n for e, n in zip(examples, fill)],
            "labels": [e["labels"] + [-100] * n for e, n in zip(examples, fill)]}   # whatever token fills up


def _filled_with_the_token(examples, pad_id):
    "A batch as lists: rows filled up on the right; positions that only fill up teach nothing."
    width = max(len(e["input_ids"]) for e in examples)
    fill = [width - len(e["input_ids"]) for e in examples]
    return {"input_ids": [e["input_ids"] + [pad_id] * n for e, n in zip(examples, fill)],
            "labels": [e["labels"] + [pad_id] * n for e, n in zip(examples, fill)]}


def _pad_id_ignored(examples, pad_id):
    batch = _filled_with_the_token(examples, pad_id)
    return batch | {"labels": [[-100 if i == pad_id else i for i in row] for row in batch["labels"]]}


def _questions_count(examples, pad_id):
    batch = pad_batch(examples, pad_id)
    return batch | {"labels": [e["input_ids"] + row[len(e["input_ids"]):] for e, row in zip(examples, batch["labels"])]}


def _on_the_left(examples, pad_id):
    batch, width = pad_batch(examples, pad_id), max(len(e["input_ids"]) for e in examples)
    turn = lambda row, n: row[n:] + row[:n]
    return {name: [turn(row, len(e["input_ids"])) if len(row) == width else row for row, e in zip(rows, examples)]
            for name, rows in batch.items()}


def _draw_examples(rng):
    def one(n):
        ids = rng.integers(3, 20, size=n).tolist()
        return {"input_ids": [*ids, 2], "labels": [-100, *ids[1:], 2]}       # token 2 ends the answer
    return [one(2), one(int(rng.integers(3, 5)))], 2                         # and token 2 fills up


def block_mask(lengths: list[int]) -> torch.Tensor:
    "The mask of a row that holds texts of these lengths, (time, time): True where a token may look."
    text = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))   # (time,): number of the text
    same_text = text[:, None] == text[None, :]                                          # (time, time)
    return same_text.tril()                                                             # and nothing that comes later


def _one_triangle(lengths): return torch.ones(sum(lengths), sum(lengths), dtype=torch.bool).tril()
def _whole_blocks(lengths): return block_mask(lengths) | block_mask(lengths).T
def _looks_ahead(lengths): return block_mask(lengths).T
def _not_itself(lengths): return block_mask(lengths).tril(-1)


def packed_or_alone() -> dict:
    "How far the second text is from its result alone, with one triangle and with blocks, for three pairs of texts."
    found = {"triangle": [], "blocks": []}
    for seed in range(3):
        torch.manual_seed(seed)
        a, b = torch.randn(5, 8), torch.randn(4, 8)                                     # two texts: (time, channels)
        read = lambda x, mask: (x @ x.T).masked_fill(~mask, -torch.inf).softmax(-1) @ x
        alone, row = read(b, torch.ones(4, 4).bool().tril()), torch.cat([a, b])         # (4, 8), (9, 8)
        masks = {name: torch.ones(9, 9).bool().tril() for name in ("triangle", "blocks")}
        masks["blocks"][5:, :5] = False                                     # the second never sees the first
        for name, mask in masks.items(): found[name].append((read(row, mask)[5:] - alone).abs().max().item())
    return found | {"as_alone": "blocks"}


def _judge_packing(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    figures = answer["triangle"], answer["blocks"]
    if not all(isinstance(f, list) and len(f) >= 3 for f in figures): return "measure at least three pairs of texts"
    if min(map(min, figures)) < 0: return "a distance is not negative; take the largest absolute difference"
    if max(answer["blocks"]) > 1e-3: return ("with blocks the second text must come out as it does alone; does your "
                                             "mask hide the first text from it, and do you compare the right rows?")
    if min(answer["triangle"]) < 1e-3: return ("with one triangle the second text reads the first and should change; "
                                               "do you measure the second text?")
    return "" if answer["as_alone"] == "blocks" else "your own figures say that only one mask leaves the text as it was"


EXERCISES = [
    Exercise(
        "What buckets save", """
        Four texts of 12, 3, 10 and 4 tokens go into batches of two, each batch padded to its longest text. In this
        order the batches are (12, 3) and (10, 4). Sorted by length they are (3, 4) and (10, 12). How many positions
        fewer does the model compute when they are sorted?
        """, _saved, kind="predict",
        hints=("A batch has as many positions as its longest text, times two.",
               "In the first order: 2 x 12 and 2 x 10. Now the same for the sorted one."),
        mistakes=(Mistake(16, "That compares with padding every text to 12; the unsorted batches are padded to their "
                              "own longest text already."),
                  Mistake(6, "That counts the longest texts once each; a batch has two rows."),
                  Mistake(0, "The texts are the same; the padding is not. Count the positions of each batch."),
                  Mistake(15, "That is all the padding of the unsorted batches; the sorted ones have some as well."))),
    Exercise(
        "Labels by name", """
        Write `align(ids, theirs, ours)`. The ids count in the order of the list `theirs`; return ids that count in the
        order of the list `ours`, so that each label keeps its name. An id of -100 stays as it is.
        """, align, inputs=_draw_ids,
        hints=("What is the name of id 2 in `theirs`? Where does this name stand in `ours`?",
               "`theirs[i]` is a name, and `ours.index(name)` is its new id. Look after -100 first."),
        mistakes=(Mistake(_the_other_way, "It looks the id up in our list and the name in theirs: the wrong way "
                                          "round."),
                  Mistake(_as_they_are, "The ids are unchanged, so their meaning has changed."),
                  Mistake(_ignored_as_last, "-100 became the last label of the list; Python counts negative places "
                                            "from the end. An ignored label must stay ignored."),
                  Mistake(_names, "It returns names; a loss needs ids."))),
    Exercise(
        "Loss on the answer", """
        Write `example(turns, end)`. Each turn is a role and its tokens, and is written as the tokens followed by the
        token `end`. Return `input_ids` and `labels`, of the same length: only what the assistant has to write counts,
        and to stop is part of it.
        """, example, inputs=_draw_turns,
        hints=("Make `turn = [*tokens, end]` first; it goes into the ids whatever the role is.",
               "The labels of a turn are the turn itself for the assistant, and as many -100 for anyone else."),
        mistakes=(Mistake(_all_count, "Every token counts, so most of the loss is about questions the model never "
                                      "writes."),
                  Mistake(_end_ignored, "The end of the answer is ignored, so the model would never learn to stop."),
                  Mistake(_every_end_counts, "The ends of the user's turns count as well; nobody asks the model to "
                                             "write those."),
                  Mistake(_shifted, "The labels are shifted. The model shifts them itself, so each stands on its own "
                                    "token."),
                  Mistake(_last_answer_alone, "Only the last turn counts; every answer of the assistant should."))),
    Exercise(
        "Padding that counts", """
        `pad_batch` fills the rows of a batch up. The loss of a training run with it looks splendid, and the model
        learns little. In this model the token that fills up is also the one that ends an answer. Mend the function.
        """, pad_batch, kind="mend", inputs=_draw_examples,
        hints=("Which value does the loss ignore?",
               "Do not search for `pad_id` among the labels: the end of an answer is that token too. Fill the labels "
               "up with something else to begin with."),
        mistakes=(Mistake(_filled_with_the_token, "The padding has labels, so the loss counts it, and padding is easy "
                                                  "to guess."),
                  Mistake(_pad_id_ignored, "Ignoring every label that equals the padding token also ignores the end "
                                           "of the answers, which is the same token here."),
                  Mistake(_questions_count, "The labels are now copied from `input_ids`, so the questions count as "
                                            "well."),
                  Mistake(_on_the_left, "The rows are filled up on the left; these are asked for on the right."))),
    Exercise(
        "A mask of blocks", """
        Several texts stand in one row, one after the other, with these `lengths`. Write `block_mask(lengths)`: a
        tensor of True and False, of shape (time, time). Row `i` says where token `i` may look: at itself and at what
        comes before it in its own text.
        """, block_mask, inputs=lambda rng: (rng.integers(1, 4, size=rng.integers(2, 4)).tolist() + [2],),
        imports="import torch",
        hints=("Give each token the number of its text: lengths 2 and 3 give 0, 0, 1, 1, 1. `torch.repeat_interleave` "
               "does.",
               "Two tokens are of one text if `text[:, None] == text[None, :]`; `tril()` takes away what comes later."),
        mistakes=(Mistake(_one_triangle, "This is one triangle over the whole row, so a text reads the texts before "
                                         "it."),
                  Mistake(_whole_blocks, "The texts are kept apart, and a token sees what comes after it in its own "
                                         "text."),
                  Mistake(_looks_ahead, "Rows and columns are exchanged: each token sees what comes later."),
                  Mistake(_not_itself, "A token does not see itself, so the first one sees nothing: its softmax is "
                                       "NaN."))),
    Exercise(
        "Is a packed text read as if it were alone?", """
        Take two random texts of shapes (5, 8) and (4, 8), and as attention simply `(x @ x.T).masked_fill(~mask,
        -torch.inf).softmax(-1) @ x`. Compute the second text alone, then behind the first in one row: with one causal
        `triangle`, and with `blocks`. For each mask note the largest absolute difference of the second text to its
        result alone. Do it for three seeds, and say with which mask it is `as_alone`.
        """, packed_or_alone, kind="decide", verify=_judge_packing, imports="import torch",
        stub='answer = {"triangle": [...], "blocks": [...], "as_alone": ...}',
        hints=("The row is `torch.cat([a, b])`, nine tokens long; the second text stands in its rows 5 to 8.",
               "A triangle is `torch.ones(9, 9).bool().tril()`. For blocks, set its part `[5:, :5]` to False."),
        mistakes=(Mistake({"triangle": [0.5], "blocks": [0.0], "as_alone": "blocks"}, "at least three pairs of texts"),
                  Mistake({"triangle": [0.5] * 3, "blocks": [0.5] * 3, "as_alone": "blocks"}, "does your mask hide"),
                  Mistake({"triangle": [0.0] * 3, "blocks": [0.0] * 3, "as_alone": "blocks"}, "should change"),
                  Mistake({"triangle": [0.5] * 3, "blocks": [0.0] * 3, "as_alone": "triangle"},
                          "your own figures say"))),
]

QUESTIONS = [
    Question("Data and model name the same three labels in opposite orders, and you train on the ids as they are. "
             "What do you see?",
             ("No error: the loss falls, and the head has to unlearn what it knew.",
              "Ids are only numbers. Nothing in the program knows what they mean, so nothing can complain."),
             (("An error, since the names of the labels do not match.",
               "The loss sees ids, never names; only a check that compares names can complain."),
              ("No change: a classifier does not care how its classes are numbered.",
               "A new head does not care. One that is trained already does, and so does everyone who reads the "
               "outputs."))),
    Question("Why does the loss count the `<|im_end|>` of an answer, and not the one of a question?",
             ("The model has to write the first, and is given the second.",
              "A model that was never taught to end its answers goes on until it is cut off."),
             (("The two are different tokens.", "They are the same token; what differs is who writes it."),
              ("The end of a question is always cut off.", "It is there, and the model reads it; it has no label."))),
    Question("Why does `ChatBatches` refuse a chat that is too long, where `prepare` cuts a text that is too long?",
             ("What is cut off at the end of a chat is the answer.",
              "A review without its last words is still a review. A chat without its answer teaches nothing."),
             (("Chats cannot be cut without tearing a word.", "Both are cut between tokens; that is not the trouble."),
              ("A chat must have one length to be padded.", "Padding gives chats of any length the same length."))),
    Question("Texts are packed into rows with a causal mask over the whole row. The mean loss hardly changes. Is all "
             "well?",
             ("No: single tokens are far off, and the second text reads the first.",
              "The average hides it: some tokens gain from a stranger's text, others lose. At the time of use nobody "
              "gives the model that text."),
             (("Yes: a mean loss that stays shows that nothing is read across.",
               "It shows that errors of both signs cancel. Compare logits, token by token."),
              ("Yes, as long as the positions begin anew with each text.",
               "New positions do not hide the other text; several tokens then claim the same place."))),
    Question("A user's message contains the characters `<|im_start|>assistant`. What should the tokenizer make of "
             "them?",
             ("Ordinary characters, cut into several tokens.",
              "Control tokens come from the program. Words of a user that become control tokens speak for the "
              "assistant."),
             (("One control token, as everywhere "
               "else.", "Then the user can open a turn of the assistant: prompt injection."),
              ("Nothing: such characters should be deleted.",
               "A user may well ask about them. Cut into ordinary tokens they are harmless, and nothing is lost."))),
]
