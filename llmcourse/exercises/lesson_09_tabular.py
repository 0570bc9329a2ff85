"Missing values and categories."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def fill(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    "Both columns with each hole (NaN) filled by the mean of what the training column holds."
    mean = np.nanmean(train)                          # learned from the training rows, used for all
    return np.where(np.isnan(train), mean, train), np.where(np.isnan(test), mean, test)


def _mean_of_all(train, test):
    mean = np.nanmean(np.concatenate([train, test]))
    return np.where(np.isnan(train), mean, train), np.where(np.isnan(test), mean, test)


def _each_its_own(train, test): return tuple(np.where(np.isnan(c), np.nanmean(c), c) for c in (train, test))
def _with_zero(train, test): return tuple(np.where(np.isnan(c), 0.0, c) for c in (train, test))
def _with_median(train, test): return tuple(np.where(np.isnan(c), np.nanmedian(train), c) for c in (train, test))


def _zeros_averaged(train, test):
    mean = np.nan_to_num(train).mean()
    return tuple(np.where(np.isnan(c), mean, c) for c in (train, test))


def _holey(rng):
    train, test = (rng.integers(-4, 5, size=n).astype(float) for n in (7, 4))
    train[0], train[1:3], test[0], test[1] = 4, np.nan, np.nan, -4
    return rng.permutation(train), rng.permutation(test)


def with_flag(column: np.ndarray, mean: float) -> np.ndarray:
    "Two columns, (rows, 2): the numbers with holes filled by `mean`, and a one where there was a hole."
    lost = np.isnan(column)                           # remembered before it is filled
    return np.column_stack([np.where(lost, mean, column), lost.astype(float)])


def _flag_too_late(column, mean):
    "Two columns, (rows, 2): the numbers with holes filled by `mean`, and a one where there was a hole."
    column = np.where(np.isnan(column), mean, column)
    return np.column_stack([column, np.isnan(column).astype(float)])


def _flag_turned(column, mean):
    return np.column_stack([np.where(np.isnan(column), mean, column), (~np.isnan(column)).astype(float)])


def _flag_of_mean(column, mean):
    filled = np.where(np.isnan(column), mean, column)
    return np.column_stack([filled, (filled == mean).astype(float)])


def _rows_and_columns(column, mean): return with_flag(column, mean).T


def _with_mean_inside(rng):
    column = rng.choice([1.0, 2.0, 3.0, np.nan], size=7)
    column[:3] = [2.0, np.nan, 1.0]
    return rng.permutation(column), 2.0


def one_hot(values: list[str], names: list[str]) -> np.ndarray:
    "A row for each value, a column for each name, and one more column for values that are no name."
    table = np.zeros((len(values), len(names) + 1))
    for row, value in enumerate(values):
        table[row, names.index(value) if value in names else len(names)] = 1
    return table


def _all_zeros(values, names): return one_hot(values, names) * np.append(np.ones(len(names)), 0)
def _no_column(values, names): return one_hot(values, names)[:, :-1]
def _alphabetical(values, names): return one_hot(values, sorted(names))
def _names_of_values(values, names): return one_hot(values, list(dict.fromkeys(values)))


def _numbered(values, names):
    numbers = one_hot(values, names).argmax(axis=1)
    return numbers[:, None].astype(float)


def _some_sources(rng):
    names = ["tweets", "movies", "amazon"]
    return [*rng.choice(names, size=3).tolist(), "blogs", *rng.choice([*names, "news"], size=2).tolist()], names


def embedding_gradient(ids: np.ndarray, upstream: np.ndarray, rows: int) -> np.ndarray:
    "The gradient of the matrix, (rows, width): each looked-up row gets the sum of the gradients that came back to it."
    gradient = np.zeros((rows, upstream.shape[1]))
    for row, slope in zip(ids, upstream):             # as often as it was looked up
        gradient[row] += slope
    return gradient


def _last_one(ids, upstream, rows):
    gradient = np.zeros((rows, upstream.shape[1]))
    gradient[ids] = upstream
    return gradient


def _first_to_first(ids, upstream, rows):
    gradient = np.zeros((rows, upstream.shape[1]))
    gradient[:len(ids)] = upstream[:rows]
    return gradient


def _averaged(ids, upstream, rows):
    times = np.maximum(np.bincount(ids, minlength=rows), 1)
    return embedding_gradient(ids, upstream, rows) / times[:, None]


def _to_all_rows(ids, upstream, rows): return np.tile(upstream.sum(axis=0), (rows, 1))


def _looked_up_twice(rng):
    ids = rng.integers(5, size=4)
    ids[3] = ids[0]
    return ids, rng.normal(size=(4, 2)).round(2), 6


def compare_holes() -> dict:
    "What the bias of the mean and the gain of a flag are if the displeased stay silent, and if the pleased do."
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    from llmcourse.data import label_of, load_data
    splits = load_data("amazon")
    ratings = {name: np.array([r[:5] for r in splits[name]["ratings"]], float) for name in ("train", "test")}
    labels = {name: [label_of(np.mean(r[5:])) for r in splits[name]["ratings"]] for name in ("train", "test")}

    def score(numbers):
        model = LogisticRegression(max_iter=500).fit(numbers["train"], labels["train"])
        return f1_score(labels["test"], model.predict(numbers["test"]), average="macro")

    bias, gain = {}, {"negative": [], "positive": []}
    for side, sign in (("negative", -1), ("positive", 1)):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            lost = {n: rng.random(r.shape) < np.where(sign * r > 0, 0.7, 0.1) for n, r in ratings.items()}
            left = np.where(lost["train"], np.nan, ratings["train"])
            mean = np.nanmean(left, axis=0)                                   # of each rater, from training
            filled = {n: np.where(lost[n], mean, r) for n, r in ratings.items()}
            flagged = {n: np.hstack([filled[n], lost[n]]) for n in ratings}
            gain[side].append(score(flagged) - score(filled))
        bias[side] = float(np.nanmean(left) - ratings["train"].mean())
    return {"bias": bias, "gain": gain, "changes sign": "bias"}


def _judge(answer) -> str:
    "Whether the figures are of three seeds, and what is said of the signs follows from them."
    bias, gain = answer["bias"], answer["gain"]
    if not all(isinstance(part, dict) and set(part) == {"negative", "positive"} for part in (bias, gain)):
        return "bias and gain each have the keys negative and positive: which ratings are lost"
    if not all(isinstance(gains, list) and len(gains) >= 3 for gains in gain.values()):
        return "give the gain for three seeds at least: one set of holes may favour either"
    if bias["negative"] < 0.1:
        return "where negative ratings are lost, the mean of the rest must be too high: bias is the rest less the truth"
    if bias["positive"] > -0.1: return "where positive ratings are lost, the mean of the rest must be too low"
    gains = [np.mean(gain[side]) for side in ("negative", "positive")]
    if min(gains) < 0:
        return ("a flag tells the model what was left out, so it should help on both sides; is it made from the holes, "
                "before they are filled?")
    if answer["changes sign"] != "bias":
        return "compare the signs: one of the two is positive on one side and negative on the other"
    return ""


_HOLES = {"bias": {"negative": 0.5, "positive": -0.9},
          "gain": {"negative": [0.1, 0.1, 0.1], "positive": [0.1, 0.1, 0.1]}, "changes sign": "bias"}

EXERCISES = [
    Exercise(
        "How many rows stay whole?", """
        Each row has five numbers, and each number is lost with probability 0.3, whatever the others do. What share of
        the rows keeps all five? Round to two decimals.
        """, 0.17, kind="predict", tolerance=0.004,
        hints=("With which probability does one number stay? And two?",
               "Independent probabilities multiply: 0.7 for each of the five numbers."),
        mistakes=(Mistake(0.7, "That is the share of the numbers that stay. A row needs five of them at once."),
                  Mistake(0.3, "That is the share of the numbers that are lost."),
                  Mistake(1.0, "It looks like `1 - 0.3 ** 5`: the share of rows that keep at least one number."),
                  Mistake(0.0, "It looks like `0.3 ** 5`: the share of rows that lose all five numbers."),
                  Mistake(-0.5, "Probabilities of several losses do not add up to more than 1: multiply what stays."))),
    Exercise(
        "Fill without a leak", """
        Write `fill(train, test)`: fill the holes (NaN) of both columns with the mean. Learn it where you may.
        """, fill, inputs=_holey, imports="import numpy as np",
        hints=("Would you know the test rows when you build the model?",
               "`np.nanmean(train)` is the mean of what is there; use this one number for the holes of both columns."),
        mistakes=(Mistake(_mean_of_all, "The mean was learned from training and test together, so the test leaks into "
                                        "what the model learns from."),
                  Mistake(_each_its_own, "The test column was filled with its own mean. A single row that asks for an "
                                         "answer has none; use the one of training."),
                  Mistake(_with_zero, "A zero claims that the rater was neutral. The mean was asked for."),
                  Mistake(_with_median, "That is the median, which differs from the mean where ratings lean to one "
                                        "side."),
                  Mistake(_zeros_averaged, "The holes count as zeros in the mean. `np.nanmean` leaves them out."))),
    Exercise(
        "A flag for each hole", """
        `with_flag(column, mean)` is to fill the holes and to add a column that says where they were. But the model
        learns nothing from the flags. Mend it.
        """, with_flag, kind="mend", inputs=_with_mean_inside, imports="import numpy as np",
        hints=("Print the second column. Which rows have a one?",
               "After the filling there is no NaN left to find. Remember where the holes are before you fill them."),
        mistakes=(Mistake(_flag_too_late, "All flags are zero: the holes were filled before they were looked for."),
                  Mistake(_flag_turned, "The flag says where a number was, not where a hole was."),
                  Mistake(_flag_of_mean, "A number that happens to equal the mean is flagged as a hole."),
                  Mistake(_rows_and_columns, "Rows and columns are exchanged: each row of the result belongs to one "
                                             "row of the table."))),
    Exercise(
        "One-hot with a place for the unknown", """
        Write `one_hot(values, names)`: an array with a row for each value and a column for each name, in the order of
        `names`, and one more column, the last, for a value that is none of them.
        """, one_hot, inputs=_some_sources, imports="import numpy as np",
        hints=("Start with `np.zeros((len(values), len(names) + 1))`.",
               "The column of a known value is `names.index(value)`, that of any other `len(names)`."),
        mistakes=(Mistake(_all_zeros, "An unknown value has no one at all. Its row should have a one in the last "
                                      "column."),
                  Mistake(_no_column, "The column for the unknown is missing."),
                  Mistake(_alphabetical, "The columns are in alphabetical order. The numbers of a saved list must not "
                                         "change: take the order of `names`."),
                  Mistake(_names_of_values, "The columns were made from these values, so they differ with each table. "
                                            "They must come from `names`."),
                  Mistake(_numbered, "That is one column of numbers, which claims an order among the names."))),
    Exercise(
        "The gradient of a lookup", """
        An embedding looked up the rows `ids`, and the gradients `upstream`, one row for each lookup, came back. Write
        `embedding_gradient(ids, upstream, rows)`: the gradient of the whole matrix with `rows` rows.
        """, embedding_gradient, inputs=_looked_up_twice, imports="import numpy as np",
        hints=("Rows that were not looked up get zero. What does a row get that was looked up twice?",
               "Add each gradient to the row of its id, one after the other; `gradient[ids] += upstream` would add "
               "only once for an id that stands twice."),
        mistakes=(Mistake(_last_one, "For an id that stands twice only the last gradient counts. They must be added "
                                     "up; `gradient[ids] += ...` does the same."),
                  Mistake(_first_to_first, "The first gradient went to row 0, and so on. Each belongs to the row of "
                                           "its id."),
                  Mistake(_averaged, "The gradients of a row were averaged. A derivative of a sum is the sum."),
                  Mistake(_to_all_rows, "Every row gets a gradient. A row that was not looked up has no part in the "
                                        "result."))),
    Exercise(
        "Who stays silent?", """
        Take the first five ratings of each Amazon sentence, and foresee the label of the others' mean (`label_of`).
        Lose seven in ten of the `negative` ratings and one in ten of the rest; then do so with the `positive` ones.
        For each, give the `bias` of the mean of the training ratings that are left, and the `gain` of a flag in
        macro-F1 on the test (mean filled with flags, less mean filled), for three seeds. Which of the two `changes
        sign`, "bias" or "gain"?
        """, compare_holes, kind="decide", verify=_judge,
        imports="import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
                "from sklearn.metrics import f1_score\n\nfrom llmcourse.data import label_of, load_data",
        stub='answer = {"bias": {"negative": ..., "positive": ...}, "gain": {"negative": [...], "positive": [...]},\n'
             '          "changes sign": ...}',
        hints=("`rng.random(ratings.shape) < np.where(ratings < 0, 0.7, 0.1)` says which numbers are lost; put NaN "
               "there.",
               "Fill test and training with the column means of what is left in training; the flags are the lost "
               "places as five more columns. The bias is `np.nanmean(left) - ratings.mean()`."),
        mistakes=(Mistake(_HOLES | {"changes sign": "gain"}, "compare the signs"),
                  Mistake(_HOLES | {"bias": {"negative": -0.5, "positive": 0.9}}, "bias is the rest less the truth"),
                  Mistake(_HOLES | {"gain": {"negative": [0.1], "positive": [0.1]}}, "one set of holes may favour "
                                                                                     "either"),
                  Mistake(_HOLES | {"gain": {"negative": [-0.01] * 3, "positive": [0.0] * 3}}, "before they are "
                                                                                               "filled?"))),
]

QUESTIONS = [
    Question("The table shows which numbers are missing. Can you tell from it whether they are missing at random?",
             ("No; whether a hole depends on the lost number can only be seen in the lost number.",
              "Two tables that look alike may come from either. One has to know how the data were collected."),
             (("Yes, if the holes are spread evenly over the rows.",
               "They may be even over rows and still hit the low numbers more often."),
              ("Yes, by comparing the mean with and without the rows that have holes.",
               "That compares what is there. The numbers that are gone have no part in it."))),
    Question("The displeased do not answer. You fill their holes with the mean and add a flag. What gets better?",
             ("The prediction, and not the mean rating.",
              "The flag tells the model who did not answer. The mean of the filled column stays too high by the same "
              "amount."),
             (("The mean rating, and not the prediction.", "The filled numbers are the same with a flag and without."),
              ("Both.", "The prediction rises from 0.77 to 0.86, while the mean stays 0.59 too high."))),
    Question("After training, another part of the world begins to lose numbers, at random. What happens to the flag?",
             ("It misleads: the model takes each gap for a complaint.",
              "Its gain shrank from 0.09 to 0.02, and the model fell behind one that had learned from such holes."),
             (("Nothing, as a hole is a hole.", "The model has learned the reason for the holes, and the reason has "
                                                "changed."),
              ("It helps more, since there are more holes.", "What counts is what a hole tells, not how many there "
                                                             "are."))),
    Question("Why is a linear model of sources numbered 0 to 3 worse than one with four one-hot columns?",
             ("It must give equal steps from each number to the next.",
              "The numbers claim an order and equal steps; the mean ratings of the sources have neither in that "
              "order."),
             (("It has fewer columns, and more columns always help on the test.",
               "They help here because they remove a false claim. A column for each review explains nothing on the "
               "test."),
              ("It learns more slowly, and was stopped too early.", "Least squares has no speed to speak of; its best "
                                                                    "line is a bad fit."))),
    Question("Where do a lookup in an embedding and the product of one-hot rows with a matrix differ?",
             ("Only in time and memory.",
              "Values and gradients are equal. As one-hot, a batch of 2,048 tokens would take 16.8 MB; its ids take "
              "16 kB."),
             (("In their gradients.", "Both give each row the sum of the gradients of its lookups, and zero to the "
                                      "rest."),
              ("In what they can learn.", "Trained on the four sources, the lookup ends at the same means as least "
                                          "squares on one-hot columns."))),
]
