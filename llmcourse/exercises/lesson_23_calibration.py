"When to believe it."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    "Rows of probabilities at a temperature: logits divided by it, then softmax. (n, labels) to (n, labels)"
    powers = probabilities ** (1 / temperature)                # exp(log(p) / T) = p ** (1 / T)
    return powers / powers.sum(axis=1, keepdims=True)          # (n, 1): each row adds up to 1 again


def _wrong_way(p, temperature): return at_temperature(p, 1 / temperature)


def _divided(p, temperature):
    powers = p / temperature
    return powers / powers.sum(axis=1, keepdims=True)


def _softmax_of_probabilities(p, temperature):
    powers = np.exp(p / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def _not_a_distribution(p, temperature): return p ** (1 / temperature)


def _over_all(p, temperature):
    powers = p ** (1 / temperature)
    return powers / powers.sum()


def _draw_temperature(rng):
    return rng.dirichlet([1, 1, 1], size=int(rng.integers(2, 4))), float(rng.choice([0.5, 2, 3]))


def best_temperature(probabilities: np.ndarray, labels: np.ndarray, grid: list[float]) -> float:
    "The temperature of the grid that suits the labels best."
    def loss(temperature):
        powers = probabilities ** (1 / temperature)
        q = powers / powers.sum(axis=1, keepdims=True)
        return -np.log(q[np.arange(len(labels)), labels]).mean()    # surprise at what is true
    return min(grid, key=loss)


def _by_accuracy(probabilities, labels, grid):
    "The temperature of the grid that suits the labels best."
    def loss(temperature):
        powers = probabilities ** (1 / temperature)
        q = powers / powers.sum(axis=1, keepdims=True)
        return (q.argmax(axis=1) != labels).mean()                  # share of wrong answers
    return min(grid, key=loss)


def _worst(probabilities, labels, grid):
    return max(grid, key=lambda t: -np.log(_at(probabilities, t)[np.arange(len(labels)), labels]).mean())


def _by_its_own_answers(probabilities, labels, grid):
    return min(grid, key=lambda t: -np.log(_at(probabilities, t).max(1)).mean())


def _least_sure(probabilities, labels, grid): return min(grid, key=lambda t: _at(probabilities, t).max(1).mean())
def _at(p, t): return at_temperature(p, t)


def _draw_promises(rng):
    accuracy, said_to = (0.7, 0.95) if rng.random() < 0.6 else (0.97, 0.5)       # too sure, or not sure enough
    labels = rng.permutation([0, 1, 2] * 4 + [0] * 4)
    said = np.where(rng.random(16) < accuracy, labels, (labels + 1) % 3)
    p = rng.uniform(0.4, 0.6, (16, 3)) * (1 - said_to)
    p[np.arange(16), said] = said_to
    return p / p.sum(1, keepdims=True), labels, [1.0, 0.5, 2.0, 3.0, 4.0, 40.0]


def accuracy_of_surest(confidence: np.ndarray, right: np.ndarray, coverage: float) -> float:
    "The share of right answers among the surest `coverage` of all; the rest goes to a person."
    kept = round(coverage * len(confidence))
    order = np.argsort(-confidence)                            # surest first
    return float(right[order[:kept]].mean())


def _above(confidence, right, coverage):
    kept = confidence >= coverage
    return float(right[kept].mean()) if kept.any() else 0.0


def _doubtful(confidence, right, coverage): return accuracy_of_surest(-confidence, right, coverage)


def _of_all(confidence, right, coverage):
    return accuracy_of_surest(confidence, right, coverage) * round(coverage * len(right)) / len(right)


def _promise(confidence, right, coverage): return accuracy_of_surest(confidence, confidence, coverage)


def _draw_answers(rng):
    n = 10
    return rng.uniform(0.34, 1, n).round(3), (rng.random(n) < 0.6).astype(int), float(rng.choice([0.3, 0.5, 0.7]))


def mend_neutral() -> dict:
    "What a model with balanced labels promises for neutral: raw, with a temperature, with a bias for each label."
    from llmcourse.calibration import Temperature
    from llmcourse.data import load_data
    from llmcourse.preprocessing import clean
    from scipy.optimize import minimize
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = clean(load_data("amazon"))[0]
    train, validation = data["train"], data["validation"]
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
                          LogisticRegression(C=2, class_weight="balanced"))
    p = model.fit(list(train["text"]), train["label"]).predict_proba(list(validation["text"]))    # (n, 3)
    labels = np.array(validation["label"])

    def with_biases(biases):                                   # temperature and two biases; the third would add nothing
        z = np.log(p) / np.exp(biases[0]) + [biases[1], biases[2], 0.0]
        return np.exp(z) / np.exp(z).sum(1, keepdims=True)

    loss = lambda biases: -np.log(with_biases(biases)[np.arange(len(labels)), labels]).mean()
    fitted = minimize(loss, np.zeros(3)).x
    means = {"raw": p, "temperature": Temperature.fit(p, labels).apply(p), "biases": with_biases(fitted)}
    found = {name: float(q[:, 1].mean()) for name, q in means.items()}
    found["frequency"] = float((labels == 1).mean())
    return found | {"mends": min(("temperature", "biases"), key=lambda name: abs(found[name] - found["frequency"]))}


def _judge(answer) -> str:
    "Whether the figures are plausible and the choice follows from them."
    names = ("raw", "temperature", "biases", "frequency")
    numbers = [answer[name] for name in names]
    if not all(isinstance(n, (int, float, np.floating)) and 0 < n < 1 for n in numbers):
        return "give means of probabilities and a share, each between 0 and 1"
    if abs(answer["frequency"] - 0.156) > 0.02:
        return "the frequency is the share of neutral sentences in validation, 42 of 269"
    if answer["raw"] < answer["frequency"] + 0.02:
        return "with class_weight=\"balanced\" the raw model promises too much neutral; was it fitted without it?"
    away = {name: abs(answer[name] - answer["frequency"]) for name in ("temperature", "biases")}
    nearest = min(away, key=away.get)
    if answer["mends"] != nearest: return f"by your own means, {nearest} comes nearer to the frequency"
    if nearest == "temperature":
        return "biases fitted to the least loss bring the mean to the frequency; did the minimizer start and end well?"
    return ""


_SEEN = {"raw": 0.25, "temperature": 0.25, "biases": 0.16, "frequency": 0.156}

EXERCISES = [
    Exercise(
        "The gap by hand", """
        A model gave 100 answers. In 60 of them it was sure to 0.90 on average, and 42 were right. In the other 40 it
        was sure to 0.60 on average, and 26 were right. What is its expected calibration error with these two bins?
        """, 0.14, kind="predict", tolerance=1e-3,
        hints=("The shares that were right are 42/60 = 0.70 and 26/40 = 0.65. How far is each from what was said?",
               "The distances are 0.20 and 0.05. Weight them by 60/100 and 40/100."),
        mistakes=(Mistake(0.10, "The second bin promised too little, and its sign made up for a part of the first. ECE "
                                "adds distances, which have no sign."),
                  Mistake(0.125, "The bins are weighted alike, and they hold 60 and 40 answers."),
                  Mistake(0.2, "That is the larger of the two distances; ECE is their weighted mean."),
                  Mistake(0.25, "The distances are added up without weights."))),
    Exercise(
        "A temperature", """
        Write `at_temperature(probabilities, temperature)`: divide the logits by the temperature and take the softmax
        again. The logits of a row are the logarithms of its probabilities, up to a constant that does not matter.
        """, at_temperature, imports="import numpy as np", inputs=_draw_temperature,
        hints=("`exp(log(p) / T)` is a power of `p`.",
               "Raise to the power `1 / temperature`, then divide each row by its sum, with `keepdims=True`."),
        mistakes=(Mistake(_wrong_way, "A temperature above 1 must flatten; this sharpens. Logits are divided by it."),
                  Mistake(_divided, "The probabilities are divided, not the logits, and the sum undoes that again."),
                  Mistake(_softmax_of_probabilities, "The softmax is taken of the probabilities; take it of their "
                                                     "logarithms."),
                  Mistake(_not_a_distribution, "The rows no longer add up to 1."),
                  Mistake(_over_all, "All rows together add up to 1; each row should."))),
    Exercise(
        "What to fit it by", """
        `best_temperature` always returns the first temperature of the grid, whatever the labels are. Find out why, and
        mend it.
        """, best_temperature, kind="mend", imports="import numpy as np", inputs=_draw_promises,
        hints=("Does a temperature change any answer? Print the loss for two temperatures.",
               "Use the negative log-likelihood: the mean of minus the logarithm of the probability of the true "
               "label."),
        mistakes=(Mistake(_by_accuracy, "No temperature changes the likeliest label, so all have the same share of "
                                        "wrong answers. Choose by a score that looks at the probabilities."),
                  Mistake(_worst, "That is the temperature with the largest loss."),
                  Mistake(_by_its_own_answers, "It looks at the probability of the answer given, not of the true "
                                               "label; then the surest is always best."),
                  Mistake(_least_sure, "It takes the hottest, where the model is least sure. That depends on no "
                                       "label."))),
    Exercise(
        "Keep the surest", """
        Write `accuracy_of_surest(confidence, right, coverage)`: the model answers the surest share `coverage` of the
        sentences (0.3 of 10 are 3) and hands the rest to a person. How many of the answers that it keeps are right?
        """, accuracy_of_surest, imports="import numpy as np", inputs=_draw_answers,
        hints=("Sort by confidence, the surest first: `np.argsort(-confidence)`.",
               "Keep the first `round(coverage * len(confidence))` of that order, and take the mean of `right` there."),
        mistakes=(Mistake(_above, "Coverage is a share of the sentences, not a bound for the confidence."),
                  Mistake(_doubtful, "Those are the least sure."),
                  Mistake(_of_all, "It divides by all sentences; the ones handed over do not count."),
                  Mistake(_promise, "That is what the model promises for them, not how many are right."))),
    Exercise(
        "What a temperature cannot mend", """
        Fit the TF-IDF model of this lesson with `class_weight="balanced"` and `C=2` on the training sentences. What
        does it promise for *neutral* on the validation sentences, on average (`raw`), and what is the `frequency` of
        neutral there? Fit a `temperature`, and then a temperature with a bias for each label (`biases`), by the least
        negative log-likelihood on validation. Give the mean probability of neutral each time, and which one `mends`
        it. Some 5 seconds of computing. The check looks at your figures, and whether your choice follows.
        """, mend_neutral, kind="decide", verify=_judge,
        imports="""
        import numpy as np
        from llmcourse.calibration import Temperature
        from llmcourse.data import load_data
        from llmcourse.preprocessing import clean
        from scipy.optimize import minimize
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        """,
        stub="answer = {\"raw\": ..., \"temperature\": ..., \"biases\": ..., \"frequency\": ..., \"mends\": ...}",
        hints=("`data = clean(load_data(\"amazon\"))[0]` has the splits `train` and `validation`; `Temperature.fit(p, "
               "labels).apply(p)` gives the second one.",
               "For the third, minimize the loss over three numbers b: `np.log(p) / np.exp(b[0]) + [b[1], b[2], 0]` "
               "are the logits, whose softmax you take."),
        mistakes=(Mistake(_SEEN | {"frequency": 0.3, "mends": "biases"}, "42 of 269"),
                  Mistake(_SEEN | {"raw": 0.12, "mends": "biases"}, "was it fitted without it?"),
                  Mistake(_SEEN | {"mends": "temperature"}, "comes nearer to the frequency"),
                  Mistake(_SEEN | {"biases": 0.4, "mends": "temperature"}, "did the minimizer start and end well?"))),
]

QUESTIONS = [
    Question("A model that states the label frequencies for every sentence has the smallest ECE of all. Should it be "
             "used?",
             ("No: it is calibrated and tells no two sentences apart.",
              "ECE looks at the promise alone. Brier score and log-likelihood also ask how much the model knows."),
             (("Yes, calibration is what this lesson is about.",
               "It is one part. A promise that is the same for every sentence helps no decision."),
              ("No, since its ECE is small only by chance.",
               "It is no chance: label frequencies come true as often as they say. They just say nothing about a "
               "sentence."))),
    Question("You divide all logits of a classifier by 4. What happens to its accuracy?",
             ("It stays, since the order of the labels stays.",
              "The likeliest label remains the likeliest; only the confidence falls."),
             (("It rises, as overconfidence is taken away.",
               "Confidence falls. But the answer is the likeliest label, and that is the same."),
              ("It falls, as the probabilities come closer together.", "Closer together, and still in the same "
                                                                       "order."))),
    Question("Calibrated, a weak model calls every sentence negative when decisions are made by cost. What went wrong?",
             ("Nothing: it is never sure enough to skip a sentence.",
              "A missed complaint costs eight to ten times a false alarm. A model that knows little cannot be that "
              "sure."),
             (("The temperature was fitted on too few sentences.",
               "One number needs few. The raw model skipped sentences because it was too sure of itself."),
              ("Calibration destroyed what the model knew.",
               "The order of the sentences is nearly untouched; what is gone is the false certainty."))),
    Question("On 60 sentences with ten bins a model has an ECE of 0.12. What do you conclude?",
             ("Nothing yet: a perfect model would show about as much.",
              "With six sentences a bin, chance alone moves the shares that far. Compare with simulated perfect "
              "models."),
             (("It is off by 12 points on average.",
               "Part of the distance is chance, and with so few sentences it may be all of it."),
              ("It needs a temperature of more than 1.",
               "ECE has no direction: it does not say whether the model is too sure or not sure enough."))),
    Question("A model was calibrated on product reviews. What can be said of its promises on editorials?",
             ("They may be broken, and only labels from there can tell.",
              "Calibration belongs to a model and a source of text together; new text has other words and other "
              "frequencies."),
             (("They hold, as the temperature belongs to the model.",
               "In the lesson both models promise some twenty points too much there, after calibration."),
              ("They hold if the model's confidence is high there.",
               "Its confidence is the promise itself; it cannot vouch for itself."))),
]
