"Chain the steps."
import tempfile
from functools import partial

from datasets import Dataset, DatasetDict

from llmcourse.anonymization import anonymize
from llmcourse.data import load_data
from llmcourse.deduplication import extra_copies
from llmcourse.pipeline import Change, Drop, DropCopies, Pipeline, blank
from llmcourse.practice import Exercise, Mistake, Question

CHANGES = {"strip": str.strip, "lower": str.lower, "one space": lambda text: " ".join(text.split())}
DROPS = {"short": lambda text: "short" if len(text) < 6 else None,
         "shouts": lambda text: "shouts" if text.isupper() else None,
         "asks": lambda text: "asks" if text.endswith("?") else None}


def pass_through(text: str, steps: list[str]) -> tuple:
    "The text after the steps, and why it was dropped; None for a reason if it stays."
    for step in steps:                                 # in the order given
        if step in CHANGES: text = CHANGES[step](text)
        elif (reason := DROPS[step](text)) is not None: return text, reason     # later steps do not see it
    return text, None


def _changes_first(text, steps): return pass_through(text, sorted(steps, key=lambda step: step in DROPS))
def _drops_first(text, steps): return pass_through(text, sorted(steps, key=lambda step: step in CHANGES))
def _goes_on(text, steps):
    reason = None
    for step in steps:
        if step in CHANGES: text = CHANGES[step](text)
        else: reason = DROPS[step](text) or reason
    return text, reason
def _forgets(text, steps):
    result = text
    for step in steps:
        if step in CHANGES: result = CHANGES[step](text)
        elif (reason := DROPS[step](text)) is not None: return result, reason
    return result, None
def _reason_alone(text, steps):
    return (None, pass_through(text, steps)[1]) if pass_through(text, steps)[1] else pass_through(text, steps)


def _text_and_steps(rng):
    texts = ["  NICE  ONE ", "  Ah,  OK? ", "WHAT NOW? ", "  LOUD  AND CLEAR?", "  It  WORKS ", " So  so ", "A   B? "]
    return str(rng.choice(texts)), [*rng.permutation([*CHANGES, *DROPS]).tolist()]


def rows_left() -> list:
    "The number of rows after each step."
    left, counts = ["Good lens.", "good lens.", "   ", "Good lens.", "Too heavy"], []
    left = [text for text in left if blank(text) is None]                       # the blank row goes: 4
    counts.append(len(left))
    left = [text for n, text in enumerate(left) if text not in left[:n]]        # G and g are two letters: 3
    counts.append(len(left))
    left = [text.lower() for text in left]                                      # nothing goes: 3, two of them alike
    counts.append(len(left))
    left = [text for n, text in enumerate(left) if text not in left[:n]]        # now the two are copies: 2
    return [*counts, len(left)]


def drop_copies(splits: dict[str, list[str]]) -> dict:
    "The splits without texts that another row holds too; the test loses nothing."
    seen, kept = set(splits["test"]), {"test": splits["test"]}
    for split in ("validation", "train"):              # the more important split keeps its row
        kept[split] = []
        for text in splits[split]:
            if text not in seen: kept[split].append(text)
            seen.add(text)
    return {split: kept[split] for split in splits}


def _first_come(splits):
    "The splits without texts that another row holds too; the test loses nothing."
    seen, kept = set(), {}
    for split in ("train", "validation", "test"):
        kept[split] = []
        for text in splits[split]:
            if text not in seen: kept[split].append(text)
            seen.add(text)
    return kept


def _within(splits):
    return {name: texts if name == "test" else [*dict.fromkeys(texts)] for name, texts in splits.items()}
def _test_too(splits): return drop_copies(splits) | {"test": [*dict.fromkeys(splits["test"])]}
def _train_over_validation(splits):
    seen, kept = set(splits["test"]), {}
    for split in ("train", "validation"):
        kept[split] = [text for n, text in enumerate(splits[split]) if text not in seen | {*splits[split][:n]}]
        seen |= set(splits[split])
    return kept | {"test": splits["test"]}
def _twins_stay(splits):
    gone = set(splits["test"])
    return {name: texts if name == "test" else [text for text in texts if text not in gone]
            for name, texts in splits.items()}


def _some_splits(rng):
    return ({name: rng.choice([*"abcdef"], size=size).tolist()
             for name, size in (("train", 5), ("validation", 4), ("test", 3))},)


def new_keys() -> dict:
    "Whether the pipeline has to compute anew."
    rows = lambda *texts: DatasetDict(train=Dataset.from_dict({"text": list(texts)}))
    lower, copies, nothing = Change(str.lower), DropCopies(extra_copies), Drop(blank)
    key = lambda data, *steps: Pipeline(steps).key(data)
    before = key(rows("a", "b"), lower, nothing, copies)
    selected = DatasetDict(train=rows("z", "a", "b")["train"].select([1, 2]))   # equal rows that came another way
    looser = DropCopies(partial(extra_copies, threshold=0.6))
    return {"the rows come from another file": key(selected, lower, nothing, copies) != before,
            "one letter of one row": key(rows("a", "c"), lower, nothing, copies) != before,
            "two steps change places": key(rows("a", "b"), nothing, lower, copies) != before,
            "another threshold": key(rows("a", "b"), lower, nothing, looser) != before,
            "two processes": False}                    # they give the same result, so they are not in the key


def _all_new(**other): return {name: True for name in NEW} | other


NEW = ("the rows come from another file", "one letter of one row", "two steps change places", "another threshold",
       "two processes")


def compare_orders() -> dict:
    "Rows left by a first and a second run, for both orders of masking and the search for copies."
    short = [text for text in load_data("amazon")["train"]["text"] if 3 <= len(text.split()) <= 5][:60]
    texts = [f"{text} {who}{n}@example.com" for n, text in enumerate(short) for who in ("ann.lee", "bo")]
    steps = {"mask": Change(anonymize), "copies": DropCopies(extra_copies)}
    found = {}
    for name, order in (("mask, copies", ("mask", "copies")), ("copies, mask", ("copies", "mask"))):
        data = DatasetDict(train=Dataset.from_dict({"text": texts}))
        with tempfile.TemporaryDirectory() as folder:
            pipeline = Pipeline([steps[step] for step in order], folder)
            once, _ = pipeline(data)
            twice, _ = pipeline(once)
            found[name] = [len(once["train"]), len(twice["train"])]
    same = [name for name, (first, second) in found.items() if first == second]
    return {"rows": len(texts), **found, "choice": same[0]}


def _judge_orders(answer) -> str:
    "Whether the figures can be right, and whether the choice follows from them."
    orders = ("mask, copies", "copies, mask")
    if not all(isinstance(answer[name], list) and len(answer[name]) == 2 for name in orders):
        return "for each order two numbers are needed: rows left by the first run, and by the second"
    if any(not 0 < second <= first <= answer["rows"] for first, second in map(answer.get, orders)):
        return "a run cannot leave more rows than it was given; is the second run given what the first one left?"
    masked, late = answer["mask, copies"], answer["copies, mask"]
    if masked[0] != masked[1]: return "masked first, the second run should find nothing to do; does it get masked rows?"
    if late[0] == late[1]: return "masked last, new copies appear; do your short texts differ in their addresses?"
    if answer["choice"] != "mask, copies": return "a second run should change nothing; follow your figures"
    return ""


def _orders(first=(60, 60), late=(110, 60), choice="mask, copies"):
    return {"rows": 120, "mask, copies": list(first), "copies, mask": list(late), "choice": choice}


EXERCISES = [
    Exercise(
        "Rows after each step", """
        Five rows: `["Good lens.", "good lens.", "   ", "Good lens.", "Too heavy"]`. They pass four steps: drop blank
        rows; drop all but the first of *equal* texts; write small letters; drop all but the first of equal texts, once
        more. How many rows are left after each step? Answer with four numbers.
        """, rows_left, kind="predict", imports="from llmcourse.pipeline import blank",
        stub="answer = [..., ..., ..., ...]",
        hints=("A step sees what the step before left, not the five rows.",
               "`Good lens.` and `good lens.` are different texts, until the third step."),
        mistakes=(Mistake([4, 2, 2, 2], "At the second step `Good lens.` and `good lens.` are not equal yet: the "
                          "order of the steps decides what a copy is."),
                  Mistake([4, 3, 3, 3], "After the third step two rows are equal that were not before, so the fourth "
                          "finds a copy. That is why the search for copies comes last."),
                  Mistake([1, 1, 0, 1], "These are the rows that each step drops; the question is how many are left."),
                  Mistake([4, 4, 4, 2], "The second step finds a copy: `Good lens.` stands there twice."))),
    Exercise(
        "Send a text through", """
        Write `pass_through`. A step is a name: in `CHANGES` it gives a text for a text; in `DROPS` it gives a reason to
        drop the text, or `None` to keep it. The steps act in the order given, each on what the one before left, until
        one drops the text. Return the text as it is then, and the reason (`None` if it stays).
        """, pass_through, inputs=_text_and_steps,
        stub='''
        CHANGES = {"strip": str.strip, "lower": str.lower, "one space": lambda text: " ".join(text.split())}
        DROPS = {"short": lambda text: "short" if len(text) < 6 else None,
                 "shouts": lambda text: "shouts" if text.isupper() else None,
                 "asks": lambda text: "asks" if text.endswith("?") else None}

        def pass_through(text: str, steps: list[str]) -> tuple:
            "The text after the steps, and why it was dropped; None for a reason if it stays."
            ...
        ''',
        hints=("Loop over the steps; `if step in CHANGES` the text becomes what the function gives.",
               "Otherwise ask `DROPS[step](text)` for a reason; if it is not `None`, return at once.",
               "After the loop: `return text, None`."),
        mistakes=(Mistake(_changes_first, "It makes all changes before it drops anything. A text in small letters "
                          "does not shout: the order counts."),
                  Mistake(_drops_first, "It asks all filters before it changes anything, whatever the order."),
                  Mistake(_goes_on, "It goes on after a text was dropped, so a later step changes it or gives its "
                                    "reason."),
                  Mistake(_forgets, "A step must get what the step before left, not the text as it came."),
                  Mistake(_reason_alone, "The text is lost when it is dropped. The report must show what went."))),
    Exercise(
        "Protect the test", """
        `drop_copies` gets three splits and drops every text that it has seen before. Something is wrong with the test
        set afterwards. Mend it: the test keeps all its rows, even its own copies. A text that stands in the test goes
        from the other two. What validation and training share stays in validation.
        """, drop_copies, kind="mend", inputs=_some_splits,
        hints=("Which split is looked at first, and so keeps its rows?",
               "Begin with `seen = set(splits[\"test\"])`, then validation, then training."),
        mistakes=(Mistake(_first_come, "The test loses rows to the training set, so it no longer asks what the world "
                          "asks. The split that comes first keeps its rows."),
                  Mistake(_within, "It looks for copies within each split only. A test row that the model has trained "
                          "on is still there."),
                  Mistake(_test_too, "The test lost its own copies. If the world asks a question twice, so does the "
                                     "test."),
                  Mistake(_train_over_validation, "Between training and validation the row should stay in validation."),
                  Mistake(_twins_stay, "Copies within training, and those of validation in training, are still "
                                       "there."))),
    Exercise(
        "What makes a new key?", """
        A pipeline of three steps (small letters, drop blank rows, drop copies) has run and stored its result under a
        hash of rows and steps. Which of these changes make it compute anew? The rows come from another file and are
        equal to the old ones; one letter of one row changes; the first two steps change places; the search for copies
        gets another threshold; it runs on two processes. Answer `True` or `False` for each.
        """, new_keys, kind="predict",
        imports="from functools import partial\nfrom datasets import Dataset, DatasetDict\n"
                "from llmcourse.deduplication import extra_copies\n"
                "from llmcourse.pipeline import Change, Drop, DropCopies, Pipeline, blank",
        stub='''
        answer = {
            "the rows come from another file": ...,
            "one letter of one row": ...,
            "two steps change places": ...,
            "another threshold": ...,
            "two processes": ...,
        }
        ''',
        hints=("The key is made of content: what the rows hold, and what the steps do.",
               "The argument that `functools.partial` fixes is part of what a step does. The number of processes is "
               "not: the result is the same."),
        mistakes=(Mistake(lambda: _all_new(), "Neither a file's name nor the number of processes changes the result, "
                          "so neither is in the key."),
                  Mistake(lambda: _all_new(**{"two processes": False}), "Equal rows are the same content, whatever "
                          "file they came from."),
                  Mistake(lambda: _all_new(**{"two processes": False, NEW[0]: False, "another threshold": False}),
                          "With another threshold the step drops other rows. If the key did not change, you would "
                          "read a result that is out of date."),
                  Mistake(lambda: _all_new(**{"two processes": False, NEW[0]: False, NEW[2]: False}),
                          "Steps in another order can give another result, so the key has to change."))),
    Exercise(
        "Mask before or after the search for copies?", """
        Take sixty product reviews of three to five words, and write each twice with another address at its end, as in
        `f"{text} ann.lee{n}@example.com"` and `f"{text} bo{n}@example.com"`. Run `anonymize` and `extra_copies` in both
        orders. For each order give the rows left by a first run, and by a second run on what the first left. Which
        order is your `choice`?
        """, compare_orders, kind="decide", verify=_judge_orders,
        imports="import tempfile\nfrom datasets import Dataset, DatasetDict\n"
                "from llmcourse.anonymization import anonymize\nfrom llmcourse.data import load_data\n"
                "from llmcourse.deduplication import extra_copies\n"
                "from llmcourse.pipeline import Change, DropCopies, Pipeline",
        stub='answer = {"rows": ..., "mask, copies": [..., ...], "copies, mask": [..., ...], "choice": ...}',
        hints=("`Pipeline([Change(anonymize), DropCopies(extra_copies)], folder)` is one order; call it with a "
               "`DatasetDict` whose training rows have a column `text`.",
               "Call it again with what it returned. If the order is right, no row goes the second time."),
        mistakes=(Mistake(_orders(late=(110, 115)), "is the second run given what the first one left?"),
                  Mistake(_orders(first=(110, 60)), "the second run should find nothing to do"),
                  Mistake(_orders(late=(60, 60)), "new copies appear"),
                  Mistake(_orders(choice="copies, mask"), "follow your figures"))),
]

QUESTIONS = [
    Question("A filter would drop 21 rows of the test. Why does the pipeline only count them?",
             ("Without its odd rows the test would be easier than the world.",
              "The model will meet such texts when it is used, so its score must count them."),
             (("Because the filter is slow on the test.", "It has looked at these rows already; that is how it counts "
                                                          "them."),
              ("Because filters are trained on the test.",
               "No filter of ours is trained on it. The reason is what the test is to measure."))),
    Question("A step raises an error on 3 of 100,000 texts. What should the run do?",
             ("Drop the three, go on, and report them with the error.",
              "The other rows are fine, and the report shows what happened. On all rows, the step itself is broken."),
             (("Stop at the first error, so that nothing is hidden.",
               "Hours of work are lost for one odd text. Counting it hides nothing either."),
              ("Keep the three texts as they are and go on.",
               "Then texts that a step never treated, perhaps never masked, reach the model."))),
    Question("Why is the stored result found by a hash of the content, and not by the name of the file?",
             ("A file can change and keep its name.",
              "Then a result of the old rows would be read for the new ones, and nobody would notice."),
             (("A hash is shorter than most names.", "Length does not matter; what matters is that other content has "
               "another key."),
              ("Names of files differ between systems.",
               "They do, but equal names with other content are the danger."))),
    Question("The report says that a filter dropped 56 rows. What tells you whether it was right to?",
             ("Reading some of the rows that it dropped.",
              "A count is the same for good and bad decisions; the examples showed a fair sentence among them."),
             (("That 56 of 23,703 rows are few.", "Few rows can all be wrong ones, and they may all be of one kind."),
              ("That a second run drops no more rows.",
               "This shows that the pipeline is idempotent, not that its filter is right."))),
]
