"Know your data."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def sentiment(mean: float) -> str:
    "The label of a mean rating, as in the lesson."
    return "positive" if mean >= 0.5 else "negative" if mean <= -0.5 else "neutral"


def flips(ratings: list[float], panels: list[list[int]]) -> float:
    "The share of `panels` (lists of raters) whose mean gives another label than the mean of all ratings."
    def label(values):
        mean = sum(values) / len(values)
        return "positive" if mean >= 0.5 else "negative" if mean <= -0.5 else "neutral"
    drawn = [label([ratings[rater] for rater in panel]) for panel in panels]   # one label for each panel
    return sum(other != label(ratings) for other in drawn) / len(panels)


def _single_ratings(ratings, panels):
    own = sentiment(np.mean(ratings))
    return float(np.mean([sentiment(ratings[rater]) != own for panel in panels for rater in panel]))


def _mean_of_panels(ratings, panels):
    means = [np.mean([ratings[rater] for rater in panel]) for panel in panels]
    return float(sentiment(np.mean(means)) != sentiment(np.mean(ratings)))


def _that_agree(ratings, panels): return 1 - flips(ratings, panels)


def _moved_at_all(ratings, panels):
    means = [np.mean([ratings[rater] for rater in panel]) for panel in panels]
    return float(np.mean([abs(mean - np.mean(ratings)) > 1e-9 for mean in means]))


def _near_a_threshold(rng):
    ratings = rng.integers(-2, 4, size=6).astype(float).tolist()
    return ratings, rng.integers(6, size=(int(rng.integers(4, 8)), 6)).tolist()


def against_rest(ratings: list[float]) -> list[tuple[float, float]]:
    "For each rating the pair (mean of all the others, the rating itself)."
    total, others = sum(ratings), len(ratings) - 1
    return [((total - rating) / others, rating) for rating in ratings]     # the sum without one, over one less


def _with_itself(ratings): return [(sum(ratings) / len(ratings), rating) for rating in ratings]


def _wrong_count(ratings):
    return [((sum(ratings) - rating) / len(ratings), rating) for rating in ratings]


def _all_pairs(ratings):
    return [(other, rating) for i, rating in enumerate(ratings) for k, other in enumerate(ratings) if i != k]


def _by_value(ratings):
    rest = lambda rating: [other for other in ratings if other != rating]
    return [(sum(rest(r)) / len(rest(r)) if rest(r) else r, r) for r in ratings]


def _some_ratings(rng): return (rng.integers(-4, 5, size=int(rng.integers(4, 8))).astype(float).tolist(),)


def look_up(keys: list[str], labels: list[int], folds: list[int]) -> list[int]:
    "For each row the commonest label with its key in the other folds; of equals, the smallest."
    said = []
    for key, fold in zip(keys, folds):
        seen = [label for k, label, f in zip(keys, labels, folds) if k == key and f != fold]
        if not seen: seen = [label for label, f in zip(labels, folds) if f != fold]   # a key never seen there
        said.append(max(sorted(set(seen)), key=seen.count))
    return said


def _sees_itself(keys, labels, folds):
    "For each row the commonest label with its key; of equals, the smallest."
    said = []
    for key, fold in zip(keys, folds):
        seen = [label for k, label in zip(keys, labels) if k == key]
        said.append(max(sorted(set(seen)), key=seen.count))
    return said


def _no_key(keys, labels, folds):
    said = []
    for fold in folds:
        seen = [label for label, f in zip(labels, folds) if f != fold]
        said.append(max(sorted(set(seen)), key=seen.count))
    return said


def _leave_one_out(keys, labels, folds):
    said = []
    for i, key in enumerate(keys):
        seen = [labels[k] for k in range(len(keys)) if keys[k] == key and k != i]
        seen = seen or [labels[k] for k in range(len(keys)) if k != i]
        said.append(max(sorted(set(seen)), key=seen.count))
    return said


def _same_fold(keys, labels, folds):
    said = []
    for key, fold in zip(keys, folds):
        seen = [label for k, label, f in zip(keys, labels, folds) if k == key and f == fold]
        said.append(max(sorted(set(seen)), key=seen.count))
    return said


def _keyed_rows(rng):
    keys = rng.choice(list("abc"), size=12).tolist()
    return keys, rng.integers(3, size=12).tolist(), rng.permutation([0, 1, 2] * 4).tolist()


def compare_panels() -> dict:
    "The share of labels that another panel changes, by the number of raters, and how many raters suffice."
    from llmcourse.data import load_data
    from llmcourse.data_card import flip_chance
    sizes, found, needed = (1, 3, 5, 10, 20), {}, {}
    for source in ("amazon", "editorials"):
        ratings = list(load_data(source)["train"]["ratings"])
        found[source] = {k: float(flip_chance(ratings, raters=k, draws=20).mean()) for k in sizes}
        needed[source] = min(k for k in sizes if found[source][k] <= 0.15)
    return found | {"needed": needed}


def _judge_panels(answer) -> str:
    "Whether the shares fall with the raters, and the choice follows them."
    sizes = {1, 3, 5, 10, 20}
    for source in ("amazon", "editorials"):
        shares = answer[source]
        if not isinstance(shares, dict) or set(shares) != sizes:
            return f"{source} needs one share for each of 1, 3, 5, 10 and 20 raters"
        if not all(0 <= share <= 1 for share in shares.values()):
            return "these are percentages; write shares from 0 to 1, the mean over all sentences"
        if not shares[1] > shares[5] > shares[20]:
            return "more raters make a steadier mean, so the share must fall; did you ask for more with `raters=`?"
    if not all(answer["editorials"][k] > answer["amazon"][k] for k in sizes):
        return ("people agree less on editorials than on reviews, so their labels must flip more often; are they "
                "swapped?")
    for source in ("amazon", "editorials"):
        first = min((k for k in sizes if answer[source][k] <= 0.15), default=None)
        if answer["needed"].get(source) != first:
            return f"by your own figures, the fewest raters with a share of at most 0.15 for {source} are {first}"
    return ""


_PANELS = {"amazon": {1: 0.13, 3: 0.09, 5: 0.07, 10: 0.05, 20: 0.03},
           "editorials": {1: 0.31, 3: 0.21, 5: 0.17, 10: 0.12, 20: 0.09}, "needed": {"amazon": 1, "editorials": 10}}


def remove_marks() -> dict:
    "What the rule of @ and link, and the strongest words of positive tweets, are before and after the marks go."
    from llmcourse.data import load_data
    from llmcourse.data_card import giveaway_words, shortcut_f1
    train, rules, words = load_data("tweets")["train"], {}, {}
    bare = train.map(lambda row: {"text": row["text"].replace("@anonymous", "").replace("[url_removed]", "")})
    for name, data in (("before", train), ("after", bare)):
        keys = [("@" in text, "url_removed" in text.lower()) for text in data["text"]]
        rules[name] = shortcut_f1(keys, data["label"])
        words[name] = [found.word for found in giveaway_words(data)["positive"][:5]]
    return {"rule": {name: rule.macro_f1 for name, rule in rules.items()}, "words": words,
            "still works": rules["after"].works}


def _judge_marks(answer) -> str:
    "Whether the marks are gone and the verdict fits."
    rule, words = answer["rule"], answer["words"]
    if not all(isinstance(part, dict) and set(part) == {"before", "after"} for part in (rule, words)):
        return "rule and words each have the keys before and after"
    if "anonymous" not in words["before"]:
        return "before, the word anonymous is among the five strongest of the positive label; look at `positive`"
    if "anonymous" in words["after"]:
        return "the word anonymous is still there afterwards: take the marks out of the text, then count again"
    if not 0.36 < rule["before"] < 0.56:
        return ("the rule scores near 0.46 before; its key is the pair (has @, has a link)")
    if rule["after"] > 0.36:
        return ("afterwards the rule should find nothing to look at; were its keys made of the new texts?")
    if answer["still works"]: return "a rule works if it beats the upper end of chance; without the marks it does not"
    return ""


_MARKS = {"rule": {"before": 0.46, "after": 0.24},
          "words": {"before": ["anonymous", "love", "great", "happy", "thanks"],
                    "after": ["love", "great", "happy", "thanks", "good"]}, "still works": False}

EXERCISES = [
    Exercise(
        "Bits of dissent", """
        Of twenty raters, ten would say positive, five neutral and five negative. What is the entropy of their labels,
        in bits? Work it out on paper and write the number.
        """, 1.5, kind="predict",
        hints=("The shares are 1/2, 1/4 and 1/4; their logarithms to the base 2 are -1, -2 and -2.",
               "Weigh each logarithm by its share, add them up, and turn the sign."),
        tolerance=0.005,
        mistakes=(Mistake(5, "The logarithms were added without their weights: each counts with its share `p`."),
                  Mistake(1.04, "That is measured with the natural logarithm. Bits take the logarithm to "
                                                "the base 2."),
                  Mistake(-1.5, "The logarithm of a share is negative; the minus sign before the sum makes it "
                                "positive."),
                  Mistake(1.585, "That is log2(3), the most there can be: it needs three equally frequent labels."))),
    Exercise(
        "How often does a label flip?", """
        The ratings of one sentence are given, and some panels: lists of raters drawn with replacement, as indices into
        the ratings. Write `flips(ratings, panels)`: the share of panels that would give another label. A mean of at
        least 0.5 is positive, of at most -0.5 negative, anything between is neutral.
        """, flips, inputs=_near_a_threshold,
        hints=("First write the label of a list of ratings, from its mean.",
               "For each panel take `[ratings[rater] for rater in panel]` and compare its label with that of all "
               "ratings."),
        mistakes=(Mistake(_single_ratings, "It gives each single rating a label. A panel gives one label, that of its "
                                           "mean."),
                  Mistake(_mean_of_panels, "The means of the panels were averaged, and the noise with them. Give each "
                                           "panel its own label and count those that differ."),
                  Mistake(_that_agree, "That is the share of panels that give the same label."),
                  Mistake(_moved_at_all, "It counts each mean that moved. A label flips only if the mean crosses a "
                                         "threshold."))),
    Exercise(
        "One against the rest", """
        Write `against_rest(ratings)`: for each rating of a sentence the pair of the mean of all *other* ratings and the
        rating itself.
        """, against_rest, inputs=_some_ratings,
        hints=("The sum of the others is the sum of all without the one.",
               "`(sum(ratings) - rating) / (len(ratings) - 1)` is the mean of the others."),
        mistakes=(Mistake(_with_itself, "The rater is part of the mean it is held against, so it agrees with itself. "
                                        "Leave its own rating out."),
                  Mistake(_wrong_count, "The sum leaves one rating out, and the divisor does not."),
                  Mistake(_all_pairs, "It compares with each other single rater. The label is made of the mean of the "
                                      "others."),
                  Mistake(_by_value, "It leaves out all raters who gave the same number. Only one rating goes, that of "
                                     "the rater who is judged."))),
    Exercise(
        "A rule that must not look", """
        `look_up` predicts each row's label from its key: it says the commonest label of the rows with the same key. It
        is to look only at the *other* folds, and takes the commonest label of these folds if they lack the key. On keys
        that mean nothing it scores far too well. Mend it.
        """, look_up, kind="mend", inputs=_keyed_rows,
        hints=("Which rows may be counted for a row of fold 0?",
               "Add `f != fold` to the condition, and think of the case that nothing is left: then count all rows of "
               "the other folds."),
        mistakes=(Mistake(_sees_itself, "The label to be predicted is among those counted. A key that occurs once is "
                                        "then always right."),
                  Mistake(_no_key, "The key is not looked at: it says the same for every row of a fold."),
                  Mistake(_leave_one_out, "Only the row itself is left out. The whole fold must be, or rows of the "
                                          "same review stay on both sides."),
                  Mistake(_same_fold, "It counts in the row's own fold, which holds its own label. Take the others."))),
    Exercise(
        "How many raters?", """
        You pay for each rating. With `flip_chance(ratings, raters=k)`, measure for the training sentences of `amazon`
        and `editorials` which share of the labels a panel of 1, 3, 5, 10 and 20 raters would change. `needed` is the
        fewest raters of these with which at most 0.15 of the labels change.
        """, compare_panels, kind="decide", verify=_judge_panels,
        imports="from llmcourse.data import load_data\nfrom llmcourse.data_card import flip_chance",
        stub='answer = {"amazon": {1: ..., 3: ..., 5: ..., 10: ..., 20: ...},\n'
             '          "editorials": {1: ..., 3: ..., 5: ..., 10: ..., 20: ...},\n'
             '          "needed": {"amazon": ..., "editorials": ...}}',
        hints=("`load_data(source)[\"train\"][\"ratings\"]` are the ratings; `draws=20` is enough for so many "
               "sentences.",
               "`flip_chance` gives one share a sentence; take their mean. `needed` is the smallest `k` whose share "
               "is at most 0.15."),
        mistakes=(Mistake(_PANELS | {"needed": {"amazon": 10, "editorials": 10}}, "the fewest raters with a share of "
                                                                                  "at most 0.15"),
                  Mistake(_PANELS | {"amazon": dict.fromkeys((1, 3, 5, 10, 20), 0.037)}, "so the share must fall"),
                  Mistake(_PANELS | {"editorials": {1: 31, 3: 21, 5: 17, 10: 12, 20: 9}}, "these are percentages"),
                  Mistake({"amazon": _PANELS["editorials"], "editorials": _PANELS["amazon"],
                           "needed": {"amazon": 10, "editorials": 1}}, "are they swapped?"))),
    Exercise(
        "Take the marks away", """
        Take `@anonymous` and `[url_removed]` out of the training tweets. Measure the rule that sees only whether a
        tweet has an @ and a link (`shortcut_f1`), and the five strongest words of the positive label
        (`giveaway_words`), before and after. Does the rule still work?
        """, remove_marks, kind="decide", verify=_judge_marks,
        imports="from llmcourse.data import load_data\nfrom llmcourse.data_card import giveaway_words, shortcut_f1",
        stub='answer = {"rule": {"before": ..., "after": ...}, "words": {"before": [...], "after": [...]},\n'
             '          "still works": ...}',
        hints=("`train.map(lambda row: {\"text\": ...})` gives a data set with new texts and the old labels.",
               "The key of a tweet is the pair `(\"@\" in text, \"url_removed\" in text.lower())`, made of the texts "
               "at hand; `shortcut_f1(...)` has `.macro_f1` and `.works`."),
        mistakes=(Mistake(_MARKS | {"still works": True}, "without the marks it does not"),
                  Mistake(_MARKS | {"rule": {"before": 0.46, "after": 0.46}}, "were its keys made of the new texts?"),
                  Mistake(_MARKS | {"words": {"before": _MARKS["words"]["before"], "after": _MARKS["words"]["before"]}},
                          "take the marks out of the text, then count again"))),
]

QUESTIONS = [
    Question("A model scores 0.85 in macro-F1 on the reviews, and one rater against the mean of the others 0.81. What "
             "follows?",
             ("Nothing strange: a mean of twenty people is steadier than one of them.",
              "One rater is a yardstick, not a ceiling. Ten raters against ten others reach 0.90."),
             (("The model must have seen the labels of the test.", "That needs other evidence; beating a single noisy "
                                                                   "rater does not."),
              ("The model understands reviews better than people do.",
               "It predicts the mean of many people better than one of them does, which is a different thing."))),
    Question("Of 5,000 words, 250 mark a label with |z| > 1.96. What do you report?",
             ("Nothing yet; as many may pass by luck.",
              "0.05 times 5,000 is 250. The lesson asks for a bound that one false word passes in one data set of "
              "twenty."),
             (("250 words that give the label away.", "With shuffled labels, where no word means anything, some pass "
                                                      "too."),
              ("The 20 words with the largest z.",
               "The largest of 5,000 lucky numbers is large as well. What counts is the "
                                                   "bound, not the rank."))),
    Question("The review's id alone reaches 0.52 with a random split. Why is it worth nothing if whole reviews go to "
             "one side?",
             ("The ids of the test were never seen in training.",
              "The rule can only say the commonest label then. This is why the course splits by review: a model "
              "cannot profit from knowing whose review it reads."),
             (("There are fewer training sentences then.", "There are as many. What is missing is each id on both "
                                                           "sides."),
              ("The reviews are sorted by their label.",
               "They are mixed; but sentences of one review lean to one label, which the "
                                               "rule used."))),
    Question("`bias_probes` finds 3 sentences with one of the African-American names. What may you say?",
             ("Too few to say, in either direction.",
              "The data cannot teach a model much about these names, nor test it. That belongs on the card."),
             (("There is no bias against these names.", "Absence of evidence is no evidence of absence: no difference "
                                                        "could be seen with three."),
              ("The mean rating of the three is the bias.",
               "One more sentence could turn it round; the interval would be "
                                                            "as wide as the scale."))),
    Question("Krippendorff's alpha of the editorials is 0.53, the split-half reliability of their means 0.96. Which "
             "one is right?",
             ("Both: one rating is noisy, and the mean of twenty is steady.",
              "Averaging cancels noise. Alpha speaks of single ratings, split-half of their mean."),
             (("Alpha; split-half is too kind.", "It asks another question: whether another panel would give the same "
                                                 "mean."),
              ("Split-half; alpha does not work with twenty raters.",
               "It takes any number of raters, and even gaps."))),
]
