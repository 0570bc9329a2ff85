"Watch what it writes."
import math

from llmcourse.practice import Exercise, Mistake, Question


def repetition(ids: list[int], n: int) -> float:
    "The share of sequences of `n` tokens that occurred before in the text; 0 for a text without any."
    grams = [tuple(ids[i:i + n]) for i in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _distinct(ids, n):
    grams = [tuple(ids[i:i + n]) for i in range(len(ids) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _side_by_side(ids, n):
    grams = [tuple(ids[i:i + n]) for i in range(0, len(ids) - n + 1, n)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _tokens(ids, n): return repetition(ids, 1)


def _by_text(ids, n):
    grams = [tuple(ids[i:i + n]) for i in range(len(ids) - n + 1)]
    return (len(grams) - len(set(grams))) / len(ids) if grams else 0.0


def _draw_ids(rng):
    part = [int(t) for t in rng.integers(0, 4, 5)]
    return [*part, *(int(t) for t in rng.integers(0, 4, 5)), *part[:4]], 2


def window_shares(refused: list[bool], size: int) -> list[float]:
    "The share of refusals in each window of `size` answers; answers that do not fill a window wait for more."
    whole = len(refused) // size
    return [sum(refused[i * size:(i + 1) * size]) / size for i in range(whole)]


def _with_the_rest(refused, size):
    "The share of refusals in each window of `size` answers; answers that do not fill a window wait for more."
    parts = [refused[i:i + size] for i in range(0, len(refused), size)]
    return [sum(part) / len(part) for part in parts]


def _sliding(refused, size): return [sum(refused[i:i + size]) / size for i in range(len(refused) - size + 1)]
def _counts(refused, size): return [share * size for share in window_shares(refused, size)]


def _padded(refused, size):
    return [sum(refused[i:i + size]) / size for i in range(0, len(refused), size)]


def _draw_refused(rng):
    size = int(rng.integers(3, 6))
    flags = [bool(flag) for flag in rng.random(3 * size + 2) < 0.4]
    flags[-1], flags[0] = True, not flags[1]
    return flags, size


def bits_a_token(chances: list[float]) -> float:
    "The mean surprise, in bits, of tokens to which a model gave these chances."
    return -sum(math.log2(p) for p in chances) / len(chances)


def _nats(chances): return -sum(math.log(p) for p in chances) / len(chances)
def _log_of_mean(chances): return -math.log2(sum(chances) / len(chances))
def _sum(chances): return -sum(math.log2(p) for p in chances)
def _perplexity(chances): return 2 ** bits_a_token(chances)
def _draw_chances(rng): return ([round(float(p), 3) for p in 0.05 + 0.9 * rng.random(6)],)


EXERCISES = [
    Exercise(
        "How much repeats?", """
        A text has the tokens `a b a b a b`. What is its repetition for sequences of *two* tokens: the share of
        sequences that occurred before?
        """, 0.6, kind="predict", stub="answer = ...",
        hints=("Write down all sequences of two neighbours. There are five.",
               "Two of them are new; the others occurred before."),
        mistakes=(Mistake(0.4, "0.4 is the share of different ones. Repetition is what is left."),
                  Mistake(0.5, "Six tokens have five pairs of neighbours, not six."),
                  Mistake(2 / 3, "Pairs overlap: `ab`, `ba`, `ab`, `ba`, `ab`."),
                  Mistake(1.0, "The first `ab` and the first `ba` have not occurred before."))),
    Exercise(
        "Repetition of any length", """
        Write `repetition(ids, n)`: the share of sequences of `n` tokens that occurred before in the text. A text
        shorter than n tokens has none, and the share is 0.
        """, repetition, inputs=_draw_ids,
        hints=("A sequence begins at each place from 0 to `len(ids) - n`.",
               "1 less the number of different sequences, divided by the number of all."),
        mistakes=(Mistake(_distinct, "This is the share of different sequences; take it from 1."),
                  Mistake(_side_by_side, "Sequences overlap: one begins at every token."),
                  Mistake(_tokens, "It looks at single tokens. Every text repeats those."),
                  Mistake(_by_text, "Divide by the number of sequences, not of tokens."))),
    Exercise(
        "Windows that are full", """
        This function gives the share of refusals in each window. Its last value jumps up and down, since the last
        window is seldom full: of two answers, one refusal is a half. Mend it.
        """, window_shares, kind="mend", inputs=_draw_refused,
        hints=("How many windows are full? `len(refused) // size`.",
               "Leave the answers that do not fill a window for the next time."),
        mistakes=(Mistake(_with_the_rest, "The rest at the end is no window: its share strays further by chance."),
                  Mistake(_sliding, "Windows must not overlap here: one refusal would count in many of them."),
                  Mistake(_counts, "These are counts; the share is a count divided by the size."),
                  Mistake(_padded, "Filling the last window with answers that never came makes its share too small."))),
    Exercise(
        "Bits", """
        Write `bits_a_token(chances)`: the mean surprise in bits of tokens to which the second model gave these chances.
        """, bits_a_token, imports="import math", inputs=_draw_chances,
        hints=("A token of chance 1/8 costs three bits.", "The mean of `-math.log2(p)`."),
        mistakes=(Mistake(_nats, "This is in nats; bits take the logarithm to base 2."),
                  Mistake(_log_of_mean, "It averages chances before the logarithm. One impossible token among likely "
                                        "ones would hardly be seen."),
                  Mistake(_sum, "A long text would always be a surprise; take the mean."),
                  Mistake(_perplexity, "This is the perplexity, 2 to the power of the bits."))),
    Exercise(
        "Which alarm?", """
        There are 24 windows a day. You will look at one false alarm a week at most. Four settings: `A` alarms in 0.05
        of windows by chance and in 0.9 of broken ones, `B` in 0.01 and 0.7, `C` in 0.005 and 0.6, `D` in 0.001 and 0.2.
        Which do you take, and how many false alarms a week will it give?
        """, {"setting": "C", "false alarms a week": 0.84}, kind="decide",
        stub='answer = {"setting": ..., "false alarms a week": ...}',
        hints=("A week has 168 windows.", "Of the settings that keep to one a week, take the one that sees most."),
        mistakes=(Mistake({"setting": "A", "false alarms a week": 8.4}, "More than one a day; soon nobody looks."),
                  Mistake({"setting": "B", "false alarms a week": 1.68}, "That is more than one a week."),
                  Mistake({"setting": "D", "false alarms a week": 0.168}, "It is quiet, and sees one broken window in "
                                                                          "five. Another is quiet enough and sees "
                                                                          "three times as many."))),
]

QUESTIONS = [
    Question("Why is the model that wrote the texts a poor judge of their surprise?",
             ("It likes what it writes, also when it is broken.",
              "It wrote the likeliest tokens by its own bets. A repeating model finds its repetition very likely."),
             (("It has no time to read while it writes.",
               "Reading is cheap beside writing. The trouble is what it would say."),
              ("Its tokenizer differs from that of the texts.",
               "It is the same tokenizer; that would be an advantage."))),
    Question("A window alarms. What do you know?",
             ("The texts differ from the reference by more than chance.",
              "Different may be worse, better, or other questions than before. Somebody must read."),
             (("The model has become worse.", "It may be the users who changed, as in the last change of the lesson."),
              ("One answer in a hundred is wrong.",
               "One in a hundred is the share of windows that alarm without any change."))),
    Question("Why are the labels of a metric a fixed set?",
             ("Each value makes a series that is kept for ever.",
              "A label with whatever clients send, such as a model's name, lets a stranger fill the memory."),
             (("Prometheus cannot store text.", "It can; labels are text. The number of them is what costs."),
              ("So that nobody sees what was asked.",
               "Labels should not hold questions, but that is another reason."))),
    Question("Five views share an allowance of one false alarm in a hundred windows. What does each get?",
             ("One in five hundred.",
              "Each could go off by chance, so the allowance is divided among them (Bonferroni)."),
             (("One in a hundred.", "Then about five in a hundred windows would alarm in some view."),
              ("One in twenty.", "That would be five times the allowance, for each of them."))),
]
