"Serve many at once."
import numpy as np
import torch

from llmcourse.practice import Exercise, Mistake, Question


def continuous_steps(lengths: list[int], slots: int) -> int:
    "Steps until all texts are written, if a waiting text takes the first slot that falls free; in order of arrival."
    free_at = [0] * slots                        # the step at which each slot falls free
    for length in lengths:
        first = free_at.index(min(free_at))
        free_at[first] += length
    return max(free_at)


def _wait_for_longest(lengths, slots):
    return sum(max(lengths[i:i + slots]) for i in range(0, len(lengths), slots))


def _perfect_packing(lengths, slots): return max(max(lengths), -(-sum(lengths) // slots))


def _in_turn(lengths, slots): return max(sum(lengths[i::slots]) for i in range(slots))


def _earliest_end(lengths, slots):
    free_at = [0] * slots
    for length in lengths: free_at[free_at.index(min(free_at))] += length
    return min(free_at)


def _draw_lengths(rng): return [int(n) for n in rng.integers(1, 15, 7)], 3


def visible(lengths: list[int], end: int) -> torch.Tensor:
    "True where the new token of each row may look, (rows, end). Row i holds `lengths[i]` tokens; its new one follows."
    position = torch.tensor(lengths)[:, None]                    # (rows, 1): the column of the new token
    return torch.arange(end) <= position                         # (rows, end)


def _not_itself(lengths, end): return torch.arange(end) < torch.tensor(lengths)[:, None]
def _all_columns(lengths, end): return torch.ones(len(lengths), end, dtype=torch.bool)
def _as_the_longest(lengths, end): return (torch.arange(end) <= max(lengths)).repeat(len(lengths), 1)
def _from_the_right(lengths, end): return torch.arange(end) >= end - 1 - torch.tensor(lengths)[:, None]


def _draw_rows(rng):
    lengths = [int(n) for n in rng.choice(np.arange(1, 7), 3, replace=False)]
    return lengths, max(lengths) + 2


def held_back(text: str, stop: str) -> int:
    "Characters at the end of a text that must wait, because they may be the beginning of the stop string."
    for n in range(min(len(text), len(stop)), 0, -1):            # the longest first
        if stop.startswith(text[-n:]): return n
    return 0


def _shortest(text, stop):
    return next((n for n in range(1, min(len(text), len(stop)) + 1) if stop.startswith(text[-n:])), 0)


def _any_end(text, stop):
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text[-n:] in stop), 0)


def _last_character(text, stop): return int(text[-1:] == stop[0])


def _always_all(text, stop): return min(len(text), len(stop) - 1)


def _draw_text(rng):
    stop = ["aaba", "abcab", "aab", "abcaba"][int(rng.integers(4))]
    begin = int(rng.integers(2))                                  # a beginning of the stop string, or its middle
    end = int(rng.integers(begin + 1, len(stop)))
    return "".join("abc"[int(i)] for i in rng.integers(0, 3, 3)) + stop[begin:end], stop


def next_token_rows(lengths_held: list[int], lengths_known: list[int]) -> list[int]:
    "The slots that can write in this step: exactly one token of their text is unread. None in a list: an empty slot."
    return [slot for slot, (held, known) in enumerate(zip(lengths_held, lengths_known))
            if known is not None and known - held == 1]


def _reading_rows(lengths_held, lengths_known):
    "The slots that can write in this step: exactly one token of their text is unread. None in a list: an empty slot."
    return [slot for slot, (held, known) in enumerate(zip(lengths_held, lengths_known))
            if known is not None and known - held >= 1]


def _all_read(lengths_held, lengths_known):
    return [slot for slot, (held, known) in enumerate(zip(lengths_held, lengths_known))
            if known is not None and known == held]


def _compacted(lengths_held, lengths_known):
    found = [(held, known) for held, known in zip(lengths_held, lengths_known) if known is not None]
    return [row for row, (held, known) in enumerate(found) if known - held == 1]


def _one_by_one(lengths_held, lengths_known):
    return next_token_rows(lengths_held, lengths_known)[:1]


def _draw_slots(rng):
    held = [int(n) for n in rng.integers(3, 30, 6)]
    unread = [1, 1, int(rng.integers(2, 9)), 1, int(rng.integers(2, 9))]
    known = [h + n for h, n in zip(held, unread)] + [None]
    order = [5, *(int(i) for i in rng.permutation(5))]              # the empty slot stands before the others
    return [held[i] for i in order], [known[i] for i in order]


def does_sharing_pay() -> dict:
    "Prompt tokens read, with and without sharing, for texts with one beginning and for texts with none in common."
    from llmcourse.engine import Engine, Request
    from llmcourse.model import load_checkpoint
    from llmcourse.models import course_gpt

    model, tokenizer = load_checkpoint(course_gpt())
    ends = ["The battery", "My phone", "It broke after", "The sound is", "I gave it", "We liked"]
    system = "I bought this camera a year ago and used it on two long trips, nearly every day. "
    kinds = {"alike": [tokenizer(system + end)["input_ids"] for end in ends],
             "different": [tokenizer(f"{end}, as I said when we talked about it")["input_ids"] for end in ends]}
    found = {}
    for kind, prompts in kinds.items():
        for share in (False, True):
            engine = Engine(model, tokenizer, slots=2, share=share)
            engine.run([Request(prompt, 4) for prompt in prompts])
            found[f"{kind}, share={share}"] = engine.tokens_read
    saved = {kind: found[f"{kind}, share=False"] - found[f"{kind}, share=True"] for kind in kinds}
    return found | {"pays for": max(saved, key=saved.get)}


def _judge(answer) -> str:
    "Whether all four were counted on equal terms, and the choice follows."
    counts = {f"{kind}, share={share}": answer.get(f"{kind}, share={share}") for kind in ("alike", "different")
              for share in (False, True)}
    if not all(isinstance(n, int) and n > 0 for n in counts.values()):
        return "each of the four is the engine's `tokens_read` after its run, a whole number above 0"
    saved = {kind: counts[f"{kind}, share=False"] - counts[f"{kind}, share=True"] for kind in ("alike", "different")}
    if saved["alike"] < 20:
        return ("texts that begin alike should be read in part only; are the six requests given to one engine, and do "
                "their prompts begin with the same sentence?")
    if saved["different"] > 10:
        return "texts with nothing in common cannot be copied from each other; was the engine the same for both kinds?"
    if answer.get("pays for") != max(saved, key=saved.get): return f"your own counts say otherwise: saved are {saved}"
    return ""


_COUNTS = {"alike, share=False": 160, "alike, share=True": 45,
           "different, share=False": 90, "different, share=True": 90}

EXERCISES = [
    Exercise(
        "Static or continuous", """
        Three slots, and six requests that want 10, 2, 2, 6, 3 and 1 tokens, in this order. How many steps does a static
        batch of three take for all six, and how many does continuous batching take? Answer as a pair
        `(static, continuous)`.
        """, (16, 10), kind="predict", stub="answer = (..., ...)",
        hints=("A static batch takes as many steps as its longest text. There are two batches.",
               "Continuous: after 2 steps two slots are free. Who takes them, and when do those end? The first slot "
               "writes 10 tokens in any case."),
        mistakes=(Mistake((24, 10), "A static batch writes its texts side by side: its steps are those of the longest, "
                                    "not the sum of all."),
                  Mistake((16, 8), "24 tokens in 3 slots would be 8 steps if a text could be divided. One text alone "
                                   "needs 10."),
                  Mistake((10, 10), "The second batch begins only when the first is done; its steps come on top."),
                  Mistake((16, 16), "A slot that falls free is taken at once. Who still waits after 2 steps?"))),
    Exercise(
        "Count the steps", """
        Write `continuous_steps(lengths, slots)`: the steps until all texts are written, if each takes the first slot
        that falls free, in order of arrival. `[2, 9, 3, 4]` in 2 slots takes 9.
        """, continuous_steps, inputs=_draw_lengths,
        hints=("Keep for each slot the step at which it falls free; at first that is 0 for all.",
               "Each text goes to the slot with the smallest number, and adds its length there. When is everything "
               "done?"),
        mistakes=(Mistake(_wait_for_longest, "This is a static batch: it waits for the longest of each group."),
                  Mistake(_perfect_packing, "It divides texts among slots. A text stays in one slot until it ends."),
                  Mistake(_in_turn, "It deals the texts out in turn. A text goes where a slot is free *first*."),
                  Mistake(_earliest_end, "All are done when the *last* slot is."))),
    Exercise(
        "What each row may see", """
        Three texts stand in slots; text i holds `lengths[i]` tokens, in columns 0 to `lengths[i] - 1`. Now each reads
        one new token, which goes into the next column. Write `visible(lengths, end)`: a tensor of shape (rows, end),
        True where the new token may look.
        """, visible, imports="import torch", inputs=_draw_rows,
        hints=("In which column does the new token of row i stand? May it look at itself?",
               "Compare `torch.arange(end)` with a column of the positions, of shape (rows, 1): broadcasting does the "
               "rest."),
        mistakes=(Mistake(_not_itself, "The new token looks at itself, too: its own key stands in its column."),
                  Mistake(_all_columns, "Further right in the slot stands what an earlier text left behind. It must "
                                        "stay hidden."),
                  Mistake(_as_the_longest, "Each row has its own length; this takes the longest for all."),
                  Mistake(_from_the_right, "Here texts are not padded on the left: each begins in column 0 of its "
                                           "slot."))),
    Exercise(
        "Text that must wait", """
        A stop string may begin in one token and end in another. Write `held_back(text, stop)`: how many characters at
        the end of `text` must not be shown yet. For `"The E"` and `"END"` it is 1, for `"The x"` it is 0. The stop
        string itself has not come yet.
        """, held_back, inputs=_draw_text,
        hints=("Which ends of the text are beginnings of the stop string? All of them may still become it.",
               "Try the lengths from the longest to the shortest, and return the first with "
               "`stop.startswith(text[-n:])`."),
        mistakes=(Mistake(_shortest, "It stops at the shortest end that fits. If a longer one fits too, its first "
                                     "characters would be shown too early."),
                  Mistake(_any_end, "The end must be the *beginning* of the stop string. To stand somewhere in it is "
                                    "not enough."),
                  Mistake(_last_character, "More than one character may have to wait."),
                  Mistake(_always_all, "It always holds back as much as could be needed, so the reader waits for "
                                       "nothing."))),
    Exercise(
        "Who can write?", """
        A slot holds the keys and values of `lengths_held[i]` tokens, and its text has `lengths_known[i]` tokens so far
        (None: nobody sits there). The function should give the slots that write in this step. With a long prompt the
        model sometimes writes before it has read the prompt. Mend it.
        """, next_token_rows, kind="mend", inputs=_draw_slots,
        hints=("How many tokens are unread while a prompt is being read? And when a text can write?",
               "The step reads one token of each row and gives the logits after it. That is the end of the text only "
               "if this one token was all that was unread."),
        mistakes=(Mistake(_reading_rows, "A text with several unread tokens would write from the middle of its "
                                         "prompt."),
                  Mistake(_all_read, "If all tokens are read, there is nothing to send through the model, and no "
                                     "logits come. The last token stays unread until the step."),
                  Mistake(_compacted, "It numbers the texts and not the slots: an empty slot before them shifts all."),
                  Mistake(_one_by_one, "Only one text writes in this step; all that can should write together."))),
    Exercise(
        "When does sharing pay?", """
        Make six prompts that begin with the same long sentence (`alike`), and six that have no beginning in common
        (`different`). Run each six through an engine of 2 slots, with `share=False` and with `share=True`, and note its
        `tokens_read`. For which kind does sharing save more? Give the four counts, and under `"pays for"` the kind.
        """, does_sharing_pay, kind="decide", verify=_judge,
        imports="""
        from llmcourse.engine import Engine, Request
        from llmcourse.model import load_checkpoint
        from llmcourse.models import course_gpt
        """,
        stub='''
        checkpoint = load_checkpoint(course_gpt())            # model and tokenizer
        ids = checkpoint[1]("The battery")["input_ids"]       # a prompt; a new engine for each of the four counts
        engine = Engine(*checkpoint, slots=2, share=True)
        engine.run([Request(ids, 4)])

        answer = {"alike, share=False": ..., "alike, share=True": ..., "different, share=False": ...,
                  "different, share=True": ..., "pays for": ...}''',
        hints=("`tokenizer(sentence + ending)[\"input_ids\"]` for six endings; the sentence should have twenty tokens "
               "or more.",
               "A loop over both kinds and over `share`; make a new `Engine` each time, since its slots remember."),
        mistakes=(Mistake(_COUNTS | {"pays for": "different"}, "your own counts say otherwise"),
                  Mistake(_COUNTS | {"alike, share=True": 160, "pays for": "alike"},
                          "do their prompts begin with the same sentence?"),
                  Mistake(_COUNTS | {"different, share=True": 40, "pays for": "alike"},
                          "was the engine the same for both kinds?"))),
]

QUESTIONS = [
    Question("Sixteen rows take about four times as long as one row in the same step. Where does the gain come from?",
             ("Each weight is fetched once and used for sixteen rows.",
              "Fetching weights and starting operations cost the same for one row or sixteen; only the arithmetic "
              "grows."),
             (("The sixteen texts share their keys and values.",
               "Each has its own. Attention is the part that gains nothing from a batch."),
              ("The processor has sixteen cores, one for each row.",
               "We measured on one thread. The gain is there without any second core."))),
    Question("An engine gives a text other tokens in a crowd than alone, once in a thousand texts, in 32 bits. What do "
             "you look at first?",
             ("At the lead of the best logit where they part.",
              "If it is as small as the rounding error, two tokens were tied and rounding chose. If it is large, the "
              "engine has a fault."),
             (("At the seed, since a batch draws other random numbers.",
               "Each text draws from a sequence of its own; the neighbours do not touch it. And greedy texts draw "
               "nothing."),
              ("At nothing: a batch may always change a text.",
               "It may not. In 64 bits all forty texts were equal; a difference with a clear lead is a fault."))),
    Question("Why does a new text not see what an earlier text left in its slot?",
             ("The mask hides every column right of its own position.",
              "What stands there is overwritten only when the text grows; until then the mask keeps it out."),
             (("The slot is filled with zeros when a text leaves.",
               "Nothing is cleared: what is left may serve the next text as a shared beginning."),
              ("The model forgets the keys of other texts by itself.",
               "A model has no memory beside the cache; it mixes whatever it is allowed to look at."))),
    Question("Twice as many requests come as the machine can serve. What does a queue without a bound do?",
             ("It makes everybody wait, and longer every minute.",
              "It grows as long as more come than go. In the end the machine writes for people who have left."),
             (("It answers all of them, with half the speed.",
               "The machine is at its limit already; what is too much is only put off, and never made up for."),
              ("It protects those who came first from the others.",
               "So does a bounded queue. The unbounded one also accepts those whom it cannot serve in time."))),
    Question("Two chats have the same last hundred tokens and different first ones. What can be shared?",
             ("Nothing: a key depends on all tokens before it.",
              "From the second layer on, keys and values are made from vectors that have seen the beginning. And RoPE "
              "turns them by their position."),
             (("The last hundred tokens, moved to the right place.",
               "Their keys carry what came before them. Moving them would not make them right."),
              ("The first layer's keys, which come from single tokens.",
               "Only if they stand at the same positions, and one layer of many saves next to nothing: all later "
               "layers must still read them."))),
]
