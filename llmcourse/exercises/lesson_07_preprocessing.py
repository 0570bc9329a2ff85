"Clean the text."
import html
import re
import unicodedata

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def _unescape_once(): return html.unescape("AT&amp;amp;T")


def plain(text: str) -> str:
    "Replace entities that end in a semicolon until the text no longer changes."
    while True:
        after = re.sub(r"&#?\w+;", lambda entity: html.unescape(entity[0]), text)
        if after == text: return text                      # a fixed point: nothing is left to replace
        text = after


def _only_once(text): return re.sub(r"&#?\w+;", lambda entity: html.unescape(entity[0]), text)


def _forgiving(text):
    while (after := html.unescape(text)) != text: text = after
    return text


def _only_names(text):
    while (after := re.sub(r"&[a-z]+;", lambda entity: html.unescape(entity[0]), text)) != text: text = after
    return text


def _thrown_out(text): return re.sub(r"&#?\w+;", "", text)


def _escaped(rng):
    pieces = ["&amp;lt;3 ", "&amp;amp; ", "?a&copy=1 ", "&#38;amp; ", "tea "]
    return ("".join(pieces[k] for k in [*rng.permutation(5), *rng.integers(5, size=2)]),)


INVISIBLE = "\u00ad\u200b\ufeff"      # soft hyphen, zero-width space, byte order mark


def look_alike(text: str) -> str:
    "Drop the three invisible characters and compose the accents; leave all else as it is."
    visible = "".join(c for c in text if c not in "\u00ad\u200b\ufeff")   # first, as they can stand before an accent
    return unicodedata.normalize("NFC", visible)


def _taken_apart(text): return unicodedata.normalize("NFD", "".join(c for c in text if c not in INVISIBLE))
def _compatible(text): return unicodedata.normalize("NFKC", "".join(c for c in text if c not in INVISIBLE))
def _composed_first(text): return "".join(c for c in unicodedata.normalize("NFC", text) if c not in INVISIBLE)


def _all_invisible(text):
    return unicodedata.normalize("NFC", "".join(c for c in text if unicodedata.category(c) != "Cf"))


def _plain_ascii(text): return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _unseen(rng):
    pieces = ["won\u00adder", "e\u200b\u0301t\u00e9 ", "\ufb01ne ", "\U0001f468\u200d\U0001f469 ", "cafe\u0301 "]
    return ("".join(pieces[k] for k in [*rng.permutation(5), *rng.integers(5, size=2)]),)


def protect(train: list[str], test: list[str]) -> tuple[list[str], list[str]]:
    "Both splits with single spaces, each text once, and no training text that is also in the test."
    squeeze = lambda text: " ".join(text.split())
    test = list(dict.fromkeys(map(squeeze, test)))             # a dictionary keeps the first of each, in order
    held = set(test)
    return [text for text in dict.fromkeys(map(squeeze, train)) if text not in held], test


def _protects_train(train, test):
    "Both splits with single spaces, each text once, and no text in both."
    squeeze = lambda text: " ".join(text.split())
    train = list(dict.fromkeys(map(squeeze, train)))
    held = set(train)
    return train, [text for text in dict.fromkeys(map(squeeze, test)) if text not in held]


def _squeezed(texts): return [" ".join(text.split()) for text in texts]


def _within_only(train, test): return list(dict.fromkeys(_squeezed(train))), list(dict.fromkeys(_squeezed(test)))


def _both_go(train, test):
    train, test = _within_only(train, test)
    return [t for t in train if t not in test], [t for t in test if t not in train]


def _compared_raw(train, test):
    held = set(test)
    return _squeezed(t for t in dict.fromkeys(train) if t not in held), _squeezed(dict.fromkeys(test))


def _two_splits(rng):
    words = ["good", "so good", "so  good", " good", "bad", "not bad", "not  bad", "fine"]
    first = words[int(rng.integers(4))]
    other = [["so  good", " good"], ["not  bad", "not bad"]][int(rng.integers(2))]
    train = [first, *rng.choice(words, size=4).tolist(), *other, " ".join(other[0].split()), "fine"]
    test = [first, *rng.choice(words, size=2).tolist(), " ".join(other[0].split()), "fine"]
    return [train[k] for k in rng.permutation(len(train))], [test[k] for k in rng.permutation(len(test))]


def compare_cleaning() -> dict:
    "Macro-F1 of tweets as they are and in lower case without punctuation, five folds and three seeds each."
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    from llmcourse.data import load_data
    from llmcourse.preprocessing import clean
    train = clean(load_data("tweets"))[0]["train"]
    texts, labels = list(train["text"]), np.array(train["label"])
    bare = [" ".join(re.findall(r"\w+", text.lower())) for text in texts]
    scores = {"kept": [], "stripped": []}
    for seed in range(3):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)        # both get the same folds
        for name, given in (("kept", texts), ("stripped", bare)):
            tokens = TfidfVectorizer(lowercase=False, token_pattern=r"\w+|[^\w\s]+", sublinear_tf=True)
            model = make_pipeline(tokens, LogisticRegression(C=4, max_iter=500, class_weight="balanced"))
            scores[name] += cross_val_score(model, given, labels, cv=folds, scoring="f1_macro").tolist()
    return scores | {"better": max(scores, key=lambda name: np.mean(scores[name]))}


def _judge(answer) -> str:
    "Whether there are enough scores, they are plausible, and the choice follows them."
    kept, stripped = answer["kept"], answer["stripped"]
    if not all(isinstance(scores, list) and len(scores) >= 10 for scores in (kept, stripped)):
        return "a single split may favour either; give at least ten scores of each, such as five folds of two seeds"
    if not all(0.35 < score < 0.8 for score in kept + stripped):
        return ("macro-F1 of these models lies between 0.4 and 0.7; were all three labels scored, on folds not "
                "trained on?")
    ahead = "kept" if np.mean(kept) > np.mean(stripped) else "stripped"
    if answer["better"] != ahead: return f"your own scores favour the texts that are {ahead}; follow their means"
    if ahead == "stripped":
        return ("emoticons and exclamation marks should help; does the token pattern of the first model keep them? "
                "That of `TfidfVectorizer` drops all punctuation unless you give another")
    return ""


_SCORES = {"kept": [0.60] * 10, "stripped": [0.56] * 10, "better": "kept"}

EXERCISES = [
    Exercise(
        "One call too few", """
        What does `html.unescape("AT&amp;amp;T")` give? Write the text, in quotes, before you let Python compute it.
        """, _unescape_once, kind="predict",
        hints=("Which entities does the text hold, read from left to right? What stands for `&amp;`?",
               "`&amp;` becomes `&`, and the rest, `amp;T`, is passed over: the call goes through the text once."),
        mistakes=(Mistake("AT&T", "That takes two calls: the first one only removes the outer layer."),
                  Mistake("AT&amp;amp;T", "The text does hold an entity, `&amp;`, and it is replaced."),
                  Mistake("AT&;T", "Both `amp` are gone; but `&amp;` as a whole becomes `&`, and what follows it "
                                   "stays."),
                  Mistake("AT&&T", "There is one entity in the first pass, not two: the second `amp;` has no `&` "
                                   "yet."))),
    Exercise(
        "Until nothing changes", """
        Write `plain(text)`: replace HTML entities until the text no longer changes. Replace only those that end in a
        semicolon, so that `?page=2&copy=1` stays as it is. `&#?\\w+;` matches an entity; time does not matter here.
        """, plain, inputs=_escaped, imports="import html\nimport re",
        hints=("`re.sub(pattern, lambda entity: html.unescape(entity[0]), text)` replaces each match once.",
               "Call it in a loop, and stop when the text that comes out equals the one that went in."),
        mistakes=(Mistake(_only_once, "One pass is not enough for text that was escaped twice: look at what is left."),
                  Mistake(_forgiving, "It also replaces names without a semicolon, and a web address is damaged."),
                  Mistake(_only_names, "Entities with a number, such as `&#38;`, are left."),
                  Mistake(_thrown_out, "Entities are removed, and the characters they stand for are lost."))),
    Exercise(
        "What nobody sees", r"""
        Write `look_alike(text)`: remove the soft hyphen `\u00ad`, the zero-width space `\u200b` and the byte order mark
        `\ufeff`, and write each accent in the composed form (`unicodedata.normalize`). All else stays, such as the
        joiner inside a family of emoji.
        """, look_alike, inputs=_unseen, imports="import unicodedata",
        hints=("The composed form is called NFC. Does the order of the two steps matter?",
               "An invisible character can stand between a letter and its accent: remove first, compose afterwards."),
        mistakes=(Mistake(_taken_apart, "The accents are characters of their own now. That is NFD; compose them."),
                  Mistake(_compatible, "NFKC also replaces signs by others that mean the same, such as the ligature in "
                                       "*fine*. Only accents should be composed."),
                  Mistake(_composed_first, "An accent behind an invisible character could not be composed. Mind the "
                                           "order of the two steps."),
                  Mistake(_all_invisible, "All invisible characters are gone, also the joiner that makes one family of "
                                          "several persons."),
                  Mistake(_plain_ascii, "Accents and emoji are lost; they carry meaning."))),
    Exercise(
        "Protect the test", """
        `protect(train, test)` puts single spaces, drops repetitions inside each split, and sees to it that no text
        stands in both. But it changes the test when the training texts change. Mend it.
        """, protect, kind="mend", inputs=_two_splits,
        hints=("Which of the two splits is the question that must stay as it is?",
               "Clean the test first, then drop from training what the test holds."),
        mistakes=(Mistake(_protects_train, "The test loses the texts that training holds. What is in the test stays, "
                                           "and its copies leave training."),
                  Mistake(_within_only, "Texts that stand in both splits are still there: the model would be tested on "
                                        "what it learned by heart."),
                  Mistake(_both_go, "A text in both splits leaves both. The test should keep it."),
                  Mistake(_compared_raw, "Texts are compared before the spaces are mended, so copies that differ in a "
                                         "space are not found."))),
    Exercise(
        "Is punctuation dirt?", """
        Take the cleaned training tweets as they are, and again in lower case and without punctuation. Score a TF-IDF
        model with logistic regression on both by cross-validation, in macro-F1: the same folds for both, and at least
        ten scores each. Let the tokens be runs of letters *or* of punctuation, `token_pattern=r"\\w+|[^\\w\\s]+"` with
        `lowercase=False`. Which text is `better`, the one that is `kept` or the one that is `stripped`?
        """, compare_cleaning, kind="decide", verify=_judge,
        imports="import re\n\nimport numpy as np\nfrom sklearn.feature_extraction.text import TfidfVectorizer\n"
                "from sklearn.linear_model import LogisticRegression\n"
                "from sklearn.model_selection import StratifiedKFold, cross_val_score\n"
                "from sklearn.pipeline import make_pipeline\n\nfrom llmcourse.data import load_data\n"
                "from llmcourse.preprocessing import clean",
        stub='answer = {"kept": [...], "stripped": [...], "better": ...}',
        hints=("`re.findall(r\"\\w+\", text.lower())` gives the bare words of a text; join them with spaces. "
               "`cross_val_score(model, texts, labels, cv=folds, scoring=\"f1_macro\")` gives a score a fold.",
               "`StratifiedKFold(5, shuffle=True, random_state=seed)` with the same seed cuts the same folds; use two "
               "or three seeds, and compare the means."),
        mistakes=(Mistake(_SCORES | {"kept": [0.6], "stripped": [0.56]}, "a single split may favour either"),
                  Mistake(_SCORES | {"better": "stripped"}, "follow their means"),
                  Mistake(_SCORES | {"kept": [0.55] * 10, "better": "stripped"}, "does the token pattern of the first "
                                                                                 "model keep them?"),
                  Mistake(_SCORES | {"kept": [0.99] * 10}, "on folds not trained on?"))),
]

QUESTIONS = [
    Question("Why must `clean_text(clean_text(x))` equal `clean_text(x)`?",
             ("Training and serving both call it, and neither knows whether the other did already.",
              "If a second call changed something, the model would be served texts of a form that it never saw in "
              "training."),
             (("Because cleaning is slow, and the second call must be free.",
               "The second call takes time too; what matters is what comes out of it."),
              ("Because it shows that nothing was lost.",
               "A function that returns an empty text is idempotent as well, and loses everything."))),
    Question("A loop peels one layer of `&amp;amp;amp;...` a round. The text grows four times as long. How does the "
             "time grow?",
             ("About sixteen times: four times as many rounds, each over a text four times as long.",
              "It is the square of the length, so a megabyte from a visitor could keep the server busy."),
             (("About four times, as there is four times as much to read.",
               "One round takes four times as long, but there are also four times as many rounds."),
              ("Hardly at all, as a computer reads megabytes in no time.",
               "Reading once is quick. The loop reads the text once for every layer."))),
    Question("A sentence stands in training and in the test. `clean` drops it from training. Why not from the test?",
             ("Because the test must not depend on what a model is trained on.",
              "Otherwise two models with different training texts would be given different tests, and their scores "
              "could not be compared."),
             (("Because training sets have texts to spare.",
               "Often they do not. The reason holds for small training sets as well."),
              ("Because the test has the better labels.", "Both were labelled by the same raters in the same way."))),
    Question("Suppose `clean` compared texts without case and punctuation. What would go wrong?",
             ("Texts that mean different things would count as copies.",
              "A doubting *great?* is no copy of a glad *GREAT!*. A coarser comparison finds more true copies and "
              "more false ones. The near-duplicate search looks at each pair again before it drops one."),
             (("Nothing; texts with the same words say the same.",
               "*!!!*, a question mark and an emoticon change what a sentence says, as the tables of this lesson "
               "show."),
              ("The texts themselves would be in lower case.",
               "Only the comparison would change. The texts that stay are stored as they are."))),
    Question("The editorials hold no mojibake and no zero-width space. Why does `clean_text` look for them?",
             ("The same function will be given texts from elsewhere, such as what visitors type.",
              "A repair belongs where every text passes, before anything compares texts."),
             (("Because they may hide where `repr` does not show them.",
               "`ascii` shows every character; they were searched for, and there are none."),
              ("Because ftfy cannot be called without it.", "Each of its repairs can be switched off."))),
]
