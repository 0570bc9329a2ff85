"Collect the data."
import hashlib

import numpy as np

from llmcourse.data import load_data
from llmcourse.practice import Exercise, Mistake, Question


def join_ratings(texts: list[tuple], ratings: list[tuple]) -> list[tuple]:
    "Pairs (id, text) and pairs (id, numbers) -> triples (id, text, mean), in the order of the texts."
    numbers_of = dict(ratings)                      # id -> numbers; ids in another order do no harm
    return [(name, text, sum(numbers_of[name]) / len(numbers_of[name])) for name, text in texts]


def _mean(numbers): return sum(numbers) / len(numbers)
def _by_row(texts, ratings): return [(name, text, _mean(given)) for (name, text), (_, given) in zip(texts, ratings)]


def _in_their_order(texts, ratings):
    text_of = dict(texts)
    return [(name, text_of[name], _mean(given)) for name, given in ratings if name in text_of]


def _skip_unrated(texts, ratings):
    known = dict(ratings)
    return [(name, text, _mean(known[name])) for name, text in texts if name in known]


def _both_sorted(texts, ratings):
    return [(name, text, _mean(given)) for (name, text), (_, given) in zip(sorted(texts), sorted(ratings))]


def _draw_files(rng):
    ids = [f"{i}_1" for i in range(1, 7)]
    rated = [(name, rng.integers(-4, 5, 3).tolist()) for name in rng.permutation(ids).tolist()]
    texts = [(name, f"sentence {name}") for name in rng.permutation(ids).tolist()[:4]]
    if rng.random() < 0.3: rated = [pair for pair in rated if pair[0] != texts[0][0]]
    return texts, rated


def _chance_of_a_leak(): return 1 - 0.2 ** 2


def leaked_share(groups: list[str], in_test: list[bool]) -> float:
    "The share of the test sentences whose group also has a sentence in training."
    in_training = {group for group, tested in zip(groups, in_test) if not tested}
    tested = [group for group, tested in zip(groups, in_test) if tested]
    return sum(group in in_training for group in tested) / len(tested)


def _of_all(groups, in_test): return leaked_share(groups, in_test) * sum(in_test) / len(in_test)
def _the_clean(groups, in_test): return 1 - leaked_share(groups, in_test)
def _from_training(groups, in_test): return leaked_share(groups, [not tested for tested in in_test])


def _of_groups(groups, in_test):
    train = {g for g, tested in zip(groups, in_test) if not tested}
    test = {g for g, tested in zip(groups, in_test) if tested}
    return len(train & test) / len(test)


def _draw_split(rng):
    groups = [f"review {i}" for i, size in enumerate((1, 2, 3, 4, 5), 1) for _ in range(size)]
    while True:
        in_test = (rng.random(len(groups)) < 0.4).tolist()
        train = {g for g, tested in zip(groups, in_test) if not tested}
        if 0 < sum(in_test) < 15 and any(g not in train for g in groups): return groups, in_test


def test_rows(rows: list[tuple], share: float) -> list[tuple]:
    "The rows (group, text) that go to the test: whole groups, about this share of them."
    def position(name): return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64   # 0 to 1
    return [(group, text) for group, text in rows if position(group) < share]    # the same place for a whole group


def _by_text(rows, share):
    "The rows (group, text) that go to the test: whole groups, about this share of them."
    def position(name): return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64   # 0 to 1
    return [(group, text) for group, text in rows if position(text) < share]


def _place(name): return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
def _other_side(rows, share): return [(group, text) for group, text in rows if _place(group) >= share]
def _first_rows(rows, share): return rows[:round(share * len(rows))]
def _group_and_text(rows, share): return [(group, text) for group, text in rows if _place(group + text) < share]


def _draw_rows(rng):
    names = rng.choice(1000, 6, replace=False)
    return [(f"review {name}", f"text {rng.integers(1000)}") for name in names for _ in range(3)], 0.5


def compare_splits() -> dict:
    "The share of leaked test sentences of the editorials, split at random and by article."
    data = load_data("editorials")
    groups = np.array([group for part in data.values() for group in part["group"]])      # (sentences,)
    articles = np.unique(groups)
    found = {"random": [], "by article": []}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        chosen = rng.choice(articles, len(articles) // 5, replace=False)
        for name, in_test in (("random", rng.random(len(groups)) < 0.2), ("by article", np.isin(groups, chosen))):
            found[name].append(float(np.isin(groups[in_test], groups[~in_test]).mean()))
    return found | {"split": min(("random", "by article"), key=lambda name: sum(found[name]))}


def _judge(answer) -> str:
    "Whether the shares can be right, and the split follows from them."
    ways = ("random", "by article")
    if not all(isinstance(answer[way], (list, tuple)) and len(answer[way]) >= 3 for way in ways):
        return "draw each split at least three times"
    if not all(0 <= share <= 1 for way in ways for share in answer[way]):
        return "give shares of the test sentences, between 0 and 1"
    if max(answer["by article"]) > 0:
        return "whole articles cannot leak; compare the articles of both sides, not the rows"
    if min(answer["random"]) < 0.9:
        return ("more should leak at random: an article has some ten sentences. Count the test sentences whose article "
                "has a sentence in training")
    if answer["split"] != "by article": return "by your own figures the other split leaks nothing"
    return ""


EXERCISES = [
    Exercise(
        "Which label?", """
        Four sentences have these ratings. Which label does each get: "negative", "neutral" or "positive"? Use the
        mean and the thresholds of this lesson, and give a list of four words.

        1. -1, -1, -1, 0, 1, -1
        2. 1, 0, 0, 0, 1
        3. 4, -1, -1, -1, 2
        4. -1, -1, 0, 3
        """, ["negative", "neutral", "positive", "neutral"], kind="predict", stub="answer = [..., ..., ..., ...]",
        hints=("The means are -0.5, 0.4, 0.6 and 0.25.", "A mean of exactly -0.5 is negative: at most -0.5."),
        mistakes=(Mistake(["neutral", "neutral", "positive", "neutral"], "A mean that lies just on the threshold "
                                                                         "belongs to "
                                                                         "the outer label."),
                  Mistake(["negative", "positive", "positive", "positive"], "That is the sign of the mean; the band "
                                                                            "between "
                                                                            "the thresholds is neutral."),
                  Mistake(["negative", "neutral", "negative", "negative"], "That is the label most raters gave; the "
                                                                           "lesson "
                                                                           "takes the mean of their numbers."))),
    Exercise(
        "Join by id", """
        Write `join_ratings(texts, ratings)`. The two lists are in different orders, and `ratings` holds more ids. A
        text whose id has no ratings is an error: let `KeyError` come.
        """, join_ratings, inputs=_draw_files,
        hints=("Put the ratings into a dictionary first, id to numbers.",
               "`dict(ratings)` does that. Then go through the texts and look up each id with square brackets."),
        mistakes=(Mistake(_by_row, "That pairs by row, so some texts get the ratings of others. Nothing crashes, and "
                                   "the "
                                   "data are wrong."),
                  Mistake(_in_their_order, "The result is in the order of the ratings, and a text without ratings "
                                           "vanishes."),
                  Mistake(_skip_unrated, "A text without ratings is left out silently; one should hear of it."),
                  Mistake(_both_sorted, "Sorting helps only if both lists hold the same ids, and here they do not."))),
    Exercise(
        "How likely is a leak?", """
        A fifth of all sentences is drawn at random for the test. A review has three sentences, and one of them is in
        the test. What is the probability that at least one of the other two is in training?
        """, _chance_of_a_leak, kind="predict", tolerance=1e-3,
        hints=("Ask for the opposite first: when is the test sentence safe?",
               "It is safe if both others are in the test as well, each with probability 0.2."),
        mistakes=(Mistake(0.8, "That is the probability for one other sentence; there are two."),
                  Mistake(0.04, "That is the probability that nothing leaks."),
                  Mistake(0.64, "That is the probability that both others are in training; one is enough for a leak."),
                  Mistake(1.6, "Probabilities of events that can happen together must not be added."))),
    Exercise(
        "Count the leaks", """
        Write `leaked_share(groups, in_test)`: `groups` names the review of each sentence, `in_test` says which
        sentences are in the test.
        """, leaked_share, inputs=_draw_split,
        hints=("Which reviews have at least one sentence in training? A set holds them.",
               "Then go through the test sentences, and count those whose review is in that set."),
        mistakes=(Mistake(_of_all, "The leaked sentences were divided by all sentences; ask for their share of the "
                                   "test."),
                  Mistake(_the_clean, "That is the share that does not leak."),
                  Mistake(_from_training, "That asks the reverse: which training sentences have a sibling in the "
                                          "test."),
                  Mistake(_of_groups, "That counts reviews; a score is computed from sentences, so count those."))),
    Exercise(
        "Split by review", """
        `test_rows` should send whole reviews to one side, and the reviews of the test also appear in training. Mend
        it.
        """, test_rows, kind="mend", inputs=_draw_rows, imports="import hashlib",
        hints=("What decides the side of a row now? Two rows of one review get different positions.",
               "The position should depend on nothing but the name of the group."),
        mistakes=(Mistake(_by_text, "Each text gets a place of its own, so the rows of a review are torn apart."),
                  Mistake(_other_side, "Those are the rows of training: the test is where the position is below the "
                                       "share."),
                  Mistake(_first_rows, "The first rows of a file are no fair sample, and a review is cut where the "
                                       "share ends."),
                  Mistake(_group_and_text, "The text is still part of what is hashed, so it still decides."))),
    Exercise(
        "How much do editorials leak?", """
        Split the sentences of `load_data("editorials")` (all three parts together) into a fifth for the test and the
        rest: at `random` by sentence, and `by article`, where whole articles are drawn (`group` names them). Do each
        three times, give the share of test sentences that leak, and say which `split` you take.
        """, compare_splits, kind="decide", verify=_judge,
        imports="import numpy as np\n\nfrom llmcourse.data import load_data",
        stub="answer = {\"random\": [...], \"by article\": [...], \"split\": ...}",
        hints=("`np.array([group for part in data.values() for group in part[\"group\"]])` holds the article of each "
               "sentence.",
               "By sentence: `rng.random(len(groups)) < 0.2`. By article: `rng.choice` of the unique names, without "
               "replacement, then `np.isin(groups, chosen)`.",
               "`np.isin(groups[in_test], groups[~in_test]).mean()` is the share that leaks."),
        mistakes=(Mistake({"random": [0.99], "by article": [0.0], "split": "by article"}, "at least three times"),
                  Mistake({"random": [0.99] * 3, "by article": [0.2] * 3, "split": "by article"},
                          "whole articles cannot leak"),
                  Mistake({"random": [0.2] * 3, "by article": [0.0] * 3, "split": "by article"},
                          "more should leak at random"),
                  Mistake({"random": [0.99] * 3, "by article": [0.0] * 3, "split": "random"}, "by your own figures"))),
]

QUESTIONS = [
    Question("Two files with the same number of rows are joined row by row, and nothing crashes. What do you know?",
             ("Nothing about the rows: they may be in different orders.",
              "In the lesson this gave twenty sentences the ratings of another. A shared column shows it."),
             (("The files belong together, since the lengths agree.",
               "Equal lengths are what one expects also if one file was sorted."),
              ("At most a few rows can be wrong.",
               "One missing row at the top shifts all the others."))),
    Question("What does the SHA-256 of a downloaded file tell you?",
             ("Whether it is the very file that the hash was made from.",
              "Any change, by damage or by intent, changes the hash."),
             (("Whether its content is right and free of errors.",
               "A file full of wrong labels has a hash too; the hash says only that nothing changed."),
              ("Whether it is safe to unpack.",
               "Only if you have looked into the file with that hash. The hash itself judges nothing."))),
    Question("Why does a hash of the review's id decide the split, and not `random`?",
             ("A review stays on its side when others are added, on every machine.",
              "The position depends on nothing but the id, so old scores stay comparable."),
             (("A hash is more random than a random number.",
               "Both spread evenly. The hash is chosen because it gives the same answer again."),
              ("It gives exactly 20 % for the test.",
               "It gives about 20 % of the groups, and sentences vary more since reviews differ in length."))),
    Question("Two raters agree on 80 % of review sentences. A model claims 99 % accuracy. What is likely?",
             ("It has seen the test, or the test is not this one.",
              "Where people disagree, no model can agree with all labels, except by having seen them."),
             (("It understands the sentences better than people.",
               "The labels are made by people. One cannot match them better than they match each other without a "
               "leak."),
              ("The raters were careless.",
               "Many sentences can honestly be read in two ways."))),
    Question("All five products stand in training and test. What does the test score not tell?",
             ("How the model does on reviews of a sixth product.",
              "For that a product must be left out of training, as the lesson does."),
             (("How the model does on new reviews of these products.",
               "That is just what it tells, as whole reviews are kept apart."),
              ("Whether one model beats another on these products.",
               "It tells that too, within the interval of lesson 2."))),
]
