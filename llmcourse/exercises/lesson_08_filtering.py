"Keep what is worth reading."
import math
import random
import textwrap

from llmcourse.practice import Exercise, Mistake, Question


def scores(grams: list[str], counts: dict[str, dict[str, int]]) -> dict[str, float]:
    "For each language the sum of log P(g | l), with one added to each count, as in the lesson."
    different = len(set().union(*counts.values()))               # trigrams that any language has
    found = {}
    for language, count in counts.items():
        total = sum(count.values())
        found[language] = sum(math.log((count.get(g, 0) + 1) / (total + different)) for g in grams)
    return found


def _no_smoothing(grams, counts):
    return {l: sum(math.log(c[g] / sum(c.values())) for g in grams if g in c) for l, c in counts.items()}


def _one_above_only(grams, counts):
    return {l: sum(math.log((c.get(g, 0) + 1) / sum(c.values())) for g in grams) for l, c in counts.items()}


def _own_trigrams(grams, counts):
    return {l: sum(math.log((c.get(g, 0) + 1) / (sum(c.values()) + len(c))) for g in grams) for l, c in counts.items()}


def _each_once(grams, counts): return scores(sorted(set(grams)), counts)


def _multiplied(grams, counts): return {l: math.exp(score) for l, score in scores(grams, counts).items()}


def _three_languages(rng):
    known = ["the", "he ", " de", "en ", "ein", "ion"]
    some = lambda: rng.choice(known, size=4, replace=False).tolist()
    counts = {language: {g: int(rng.integers(1, 6)) for g in some()} for language in ("en", "de", "fr")}
    grams = rng.choice(known, size=4).tolist()
    return [*grams, grams[0]], counts


def repeated_share(words: list[str], n: int) -> float:
    "The share of characters in n-grams that came before in the text, the characters of each word counted once."
    seen, places = set(), set()
    for start in range(len(words) - n + 1):
        gram = tuple(words[start:start + n])
        if gram in seen: places.update(range(start, start + n))    # a set holds a place once, whatever overlaps on it
        seen.add(gram)
    return sum(len(words[place]) for place in places) / sum(map(len, words))


def _first_too(words, n):
    grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
    places = {i + k for i, gram in enumerate(grams) if grams.count(gram) > 1 for k in range(n)}
    return sum(len(words[place]) for place in places) / sum(map(len, words))


def _overlaps_twice(words, n):
    grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
    places = [i + k for i, gram in enumerate(grams) if gram in grams[:i] for k in range(n)]
    return sum(len(words[place]) for place in places) / sum(map(len, words))


def _share_of_grams(words, n):
    grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
    return sum(gram in grams[:i] for i, gram in enumerate(grams)) / len(grams)


def _share_of_words(words, n):
    grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
    places = {i + k for i, gram in enumerate(grams) if gram in grams[:i] for k in range(n)}
    return len(places) / len(words)


def _moved_words(rng):
    words = rng.choice(["a", "so", "buy", "camera"], size=int(rng.integers(3, 6))).tolist()
    run = rng.choice(["now", "cheap", "on", "it"], size=3, replace=False).tolist()
    return [*run, *words, *run, *words[:1]], 2


def menus(pages: list[str]) -> list[bool]:
    "For each page whether more than nine lines in ten start with a bullet, empty lines aside."
    found = []
    for page in pages:
        lines = [line.strip() for line in page.split("\n") if line.strip()]    # first into lines, then squeeze each
        found.append(sum(line.startswith(("•", "-")) for line in lines) > 0.9 * len(lines))
    return found


def _squeezed_first(pages):
    "For each page whether more than nine lines in ten start with a bullet, empty lines aside."
    found = []
    for page in pages:
        page = " ".join(page.split())
        lines = [line.strip() for line in page.split("\n") if line.strip()]
        found.append(sum(line.startswith(("•", "-")) for line in lines) > 0.9 * len(lines))
    return found


def _by(lines_of, has_bullet):
    return lambda pages: [sum(map(has_bullet, lines_of(page))) > 0.9 * len(lines_of(page)) for page in pages]


def _starts(line): return line.startswith(("•", "-"))
def _full(page): return [line.strip() for line in page.split("\n") if line.strip()]


_empty_lines_too = _by(lambda page: [line.strip() for line in page.split("\n")], _starts)
_anywhere = _by(_full, lambda line: "•" in line or "-" in line)
_not_stripped = _by(lambda page: [line for line in page.split("\n") if line.strip()], _starts)


def _pages(rng):
    "Menus with a gap and with indents; a story that begins with a dash; prose with dashes; a menu with a heading."
    gap, indented, story = "• Home\n\n- Cart", "  • Cart\n  - Help", "- It broke.\nI sent it back.\nThey paid."
    dashes = "It broke - twice.\nI sent it back - at once.\nThey paid - in the end."
    kinds = [gap, indented, story, dashes, "Menu\n" + gap]
    return ([kinds[k] for k in rng.permutation(5)],)


MENU = "Home Products Contact Login Cart Checkout Help Blog Press Terms Privacy Returns Shipping Sale".split()
OFFERS = "cheap,best price,buy online,discount,free shipping,deal,coupon,lowest price,order now,sale".split(",")
KINDS = {"menu": lambda rng: " | ".join(rng.sample(MENU, 6)),
         "spam": lambda rng: " ".join(f"{offer} camera" for offer in rng.sample(OFFERS, 5)),
         "numbers": lambda rng: " ".join(f"{rng.uniform(0, 5000):.1f}" for _ in range(8)),
         "code": lambda rng: f"{rng.choice('abc')} = max({rng.choice('xyz')}[{rng.randint(0, 9)}], 0)"}


def leave_one_out() -> dict:
    "The recall of a learned filter on each kind of junk, if it was trained on all kinds and if it never saw this one."
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from llmcourse.data import load_data
    real = list(load_data("amazon")["train"]["text"])[:1500]

    def recall(kind, trained_on):
        rng = random.Random(0)
        junk = [KINDS[name](rng) for name in trained_on for _ in range(200)]
        grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
        model = make_pipeline(grams, LogisticRegression(C=10, class_weight="balanced"))
        model.fit(real + junk, [0] * len(real) + [1] * len(junk))
        return float(model.predict([KINDS[kind](rng) for _ in range(200)]).mean())     # new junk of this kind

    seen = {kind: recall(kind, list(KINDS)) for kind in KINDS}
    unseen = {kind: recall(kind, [other for other in KINDS if other != kind]) for kind in KINDS}
    return {"seen": seen, "unseen": unseen, "hardest": min(unseen, key=unseen.get)}


def _judge(answer) -> str:
    "Whether the recalls are plausible and the hardest kind follows from them."
    seen, unseen = answer["seen"], answer["unseen"]
    if not all(isinstance(part, dict) and set(part) == set(KINDS) for part in (seen, unseen)):
        return "seen and unseen each hold a recall for menu, spam, numbers and code"
    if not all(0 <= value <= 1 for part in (seen, unseen) for value in part.values()):
        return "a recall is a share from 0 to 1 of the new junk of one kind"
    if min(seen.values()) < 0.8:
        return "a kind that was in training is nearly always caught; was the new junk made by the same function?"
    if min(unseen.values()) > 0.5:
        return ("one kind at least should be missed when it was left out; is it still in the training texts of its "
                "model?")
    if unseen.get(answer["hardest"], 1) > min(unseen.values()) + 0.05:
        return "the hardest kind to foresee is the one with the lowest recall among the unseen; follow your figures"
    return ""


_RECALLS = {"seen": dict.fromkeys(KINDS, 1.0), "unseen": {"menu": 0.0, "spam": 0.2, "numbers": 1.0, "code": 0.9},
            "hardest": "menu"}
_STUB = '''
MENU = "Home Products Contact Login Cart Checkout Help Blog Press Terms Privacy Returns Shipping Sale".split()
OFFERS = "cheap,best price,buy online,discount,free shipping,deal,coupon,lowest price,order now,sale".split(",")
KINDS = {"menu": lambda rng: " | ".join(rng.sample(MENU, 6)),
         "spam": lambda rng: " ".join(f"{offer} camera" for offer in rng.sample(OFFERS, 5)),
         "numbers": lambda rng: " ".join(f"{rng.uniform(0, 5000):.1f}" for _ in range(8)),
         "code": lambda rng: f"{rng.choice('abc')} = max({rng.choice('xyz')}[{rng.randint(0, 9)}], 0)"}

answer = {"seen": {"menu": ..., "spam": ..., "numbers": ..., "code": ...},
          "unseen": {"menu": ..., "spam": ..., "numbers": ..., "code": ...}, "hardest": ...}
'''

EXERCISES = [
    Exercise(
        "How pure is the catch?", """
        A stream holds 900 real sentences and 100 pieces of junk. A filter catches half of the junk, and drops 1 % of
        the real sentences. What is its precision: the share of junk among all that it drops? Round to two decimals.
        """, round(50 / 59, 2), kind="predict", tolerance=0.004,
        hints=("How many pieces of junk are dropped, and how many real sentences?",
               "50 pieces of junk and 9 real sentences go. Divide the 50 by all that go."),
        mistakes=(Mistake(0.98, "That weighs both kinds equally, 0.5 against 0.01. There are nine real sentences for "
                                "each piece of junk."),
                  Mistake(0.5, "That is the recall: the share of the junk that is caught."),
                  Mistake(0.99, "That is the share of real sentences that are kept."),
                  Mistake(0.94, "That is the accuracy: it also counts the sentences that were kept. Precision looks "
                                "only at what is dropped."))),
    Exercise(
        "Naive Bayes of trigrams", """
        Write `scores(grams, counts)`: for each language the sum of the logarithms of P(g | l) over the trigrams of a
        text, where P(g | l) is the count of the trigram in the language plus one, over the trigrams of the language
        plus the number of different trigrams of all languages together.
        """, scores, inputs=_three_languages, imports="import math",
        hints=("`len(set().union(*counts.values()))` is the number of different trigrams.",
               "For each trigram add `math.log((count.get(g, 0) + 1) / (sum(count.values()) + different))`, as often "
               "as it occurs in the text."),
        mistakes=(Mistake(_no_smoothing, "A trigram that a language never showed is passed over, so it costs nothing. "
                                         "The one that is added makes it unlikely, not free."),
                  Mistake(_one_above_only, "The numerators add up to more than the denominator: what is added to each "
                                           "count must be added below as well."),
                  Mistake(_own_trigrams, "Each language adds its own number of different trigrams. They must all "
                                         "allow for the same ones, those of all languages together."),
                  Mistake(_each_once, "A trigram that the text holds twice is counted once."),
                  Mistake(_multiplied, "These are products of probabilities, which become zero for a long text. Give "
                                       "the sum of the logarithms."))),
    Exercise(
        "Said before", """
        Write `repeated_share(words, n)`: which share of the characters of a text lies in n-grams that came before? The
        first of its kind is no copy, and the characters of a word count once, however many n-grams overlap on it.
        """, repeated_share, inputs=_moved_words,
        hints=("Go through the n-grams from the left and remember those seen. Which words does a repeated one cover?",
               "Collect the *places* of covered words in a set, then add up the lengths of the words at these places."),
        mistakes=(Mistake(_first_too, "The first occurrence is counted as well. A copy is a second or later one."),
                  Mistake(_overlaps_twice, "Where two repeated n-grams overlap, a word counts twice; the share could "
                                           "even pass 1."),
                  Mistake(_share_of_grams, "That is the share of n-grams. The rule asks for characters."),
                  Mistake(_share_of_words, "That is the share of words. A long word weighs more: count characters."))),
    Exercise(
        "Is this page a menu?", """
        `menus(pages)` is to say of each page whether more than nine lines in ten start with a bullet, empty lines
        aside. It takes a story that begins with a dash for a menu. Mend it.
        """, menus, kind="mend", inputs=_pages,
        hints=("Print `lines` for a page of three lines. How many are there?",
               "White space includes the line ends. Cut the page into lines before you remove space."),
        mistakes=(Mistake(_squeezed_first, "The clean-up has put the page into one line, so its first character "
                                           "decides for all lines."),
                  Mistake(_empty_lines_too, "Empty lines are counted among the lines, and none of them has a bullet."),
                  Mistake(_anywhere, "A dash inside a sentence is no bullet. Look at the start of the line."),
                  Mistake(_not_stripped, "A bullet behind spaces is not seen: remove the space around each line "
                                         "first."))),
    Exercise(
        "The kind it never saw", """
        Train a filter that learns: TF-IDF weights of runs of one to three characters (`analyzer="char"`) into a
        logistic regression, on 1,500 Amazon sentences and 200 pieces of each kind of junk in the cell. Measure its
        recall on new junk of each kind: `seen`, if all four kinds were in training, and `unseen`, if this kind was
        left out of it. Which kind is the `hardest` to foresee?
        """, leave_one_out, kind="decide", verify=_judge, stub=textwrap.dedent(_STUB).strip(),
        imports="import random\n\nfrom sklearn.feature_extraction.text import TfidfVectorizer\n"
                "from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\n\n"
                "from llmcourse.data import load_data",
        hints=("Write `recall(kind, trained_on)`, which trains on the kinds in `trained_on` and predicts 200 new "
               "pieces of `kind`. Use it eight times.",
               "`make_pipeline(TfidfVectorizer(analyzer=\"char\", ngram_range=(1, 3)), LogisticRegression(C=10, "
               "class_weight=\"balanced\"))` is the model. Label real sentences 0 and junk 1; then the recall is the "
               "mean of what it predicts."),
        mistakes=(Mistake(_RECALLS | {"hardest": "numbers"}, "follow your figures"),
                  Mistake(_RECALLS | {"unseen": dict.fromkeys(KINDS, 1.0)}, "is it still in the training texts of its "
                                                                            "model?"),
                  Mistake(_RECALLS | {"seen": _RECALLS["unseen"]}, "was the new junk made by the same function?"))),
]

QUESTIONS = [
    Question("The library calls *trips.* Latin with a probability of 0.04. What should a filter do?",
             ("Keep it: a best guess of 0.04 says that the library does not know.",
              "At 0.5, another language must be more likely than all the rest together. Then 13 sentences go, not "
              "407."),
             (("Drop it, as Latin is its most likely language.",
               "The most likely of 139 unlikely ones. 407 of our sentences would go, nearly all of them English."),
              ("Drop it, as it is too short to teach anything.",
               "That is another rule. It would cost every one-word verdict, such as *excellent.*"))),
    Question("Gopher's rules keep 59 of 23,703 sentences. Are they bad rules?",
             ("No; they were made for whole pages.",
              "A sentence seldom has fifty words. Of whole reviews and articles that have, the same rules keep 739 of "
              "770."),
             (("Yes; they drop nearly everything.",
               "They drop nearly everything that is not a page. What is wrong is their use here."),
              ("No; the sentences are of poor quality.", "With thresholds taken from sentences, 99.6 % of the same "
                                                         "sentences stay."))),
    Question("Which error of a filter is the harder one to notice?",
             ("A good sentence that was dropped.",
              "Junk that slipped through is seen sooner or later. What was dropped is never seen again, so it must be "
              "counted on purpose."),
             (("Junk that slipped through.", "It stays in the data, where anyone who reads a sample will come upon "
                                             "it."),
              ("Both are equally hard.", "One of them leaves something behind to look at, and the other does not."))),
    Question("A pipeline calls `clean_text` on each page and then asks for lines with a bullet. What is wrong?",
             ("The page has only one line by then.",
              "So its first character decides. Clean with `clean_document`, judge the document, and only then put its "
              "sentences into single lines."),
             (("The bullets have been removed.", "They are still there, in the middle of the one line."),
              ("Nothing; the order does not matter.", "A list of thirteen lines stays and a story with a dash goes, "
                                                      "just the wrong way round."))),
    Question("Why are the thresholds of `SENTENCE` taken from training sentences and tested on others?",
             ("On the sentences they were chosen for, they would look better than they are.",
              "The share that is wrongly dropped, one in 261, was measured on sentences that had no part in the "
              "choice."),
             (("Because there are more training sentences.", "Their number helps to choose; it does not make the test "
                                                             "fair."),
              ("Because the filter may not see the validation split.",
               "It may be applied to any split. What must not happen is to choose by the data one tests on."))),
]
