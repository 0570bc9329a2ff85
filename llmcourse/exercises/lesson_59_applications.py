"Put it to use."
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from llmcourse.applications import summarized_texts
from llmcourse.judging import rouge
from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.uncertainty import bootstrap_mean


def two_picked() -> list[int]:
    "The sentences that maximal marginal relevance picks, in order."
    centrality = {0: 0.70, 1: 0.55, 2: 0.35}
    first = max(centrality, key=centrality.get)          # nothing is there yet, so only centrality counts
    likeness = {1: 0.9, 2: 0.5}                          # to sentence 0
    worth = {i: 0.5 * centrality[i] - 0.5 * likeness[i] for i in likeness}      # 1: -0.175, 2: -0.075
    return [first, max(worth, key=worth.get)]


def recited(written: list[str], training: list[str], n: int) -> float:
    "The share of the runs of `n` words in `written` that stand, in the same order, in `training`. Both hold words."
    known = {tuple(training[i:i + n]) for i in range(len(training) - n + 1)}       # every run of the training text
    runs = [tuple(written[i:i + n]) for i in range(len(written) - n + 1)]          # one that comes twice counts twice
    return sum(run in known for run in runs) / len(runs)


def _single_words(written, training, n): return sum(word in training for word in written) / len(written)


def _different_runs(written, training, n):
    known = {tuple(training[i:i + n]) for i in range(len(training) - n + 1)}
    runs = {tuple(written[i:i + n]) for i in range(len(written) - n + 1)}
    return sum(run in known for run in runs) / len(runs)


def _any_order(written, training, n):
    known = {tuple(sorted(training[i:i + n])) for i in range(len(training) - n + 1)}
    runs = [tuple(sorted(written[i:i + n])) for i in range(len(written) - n + 1)]
    return sum(run in known for run in runs) / len(runs)


def _of_the_training_text(written, training, n): return recited(training, written, n)


def _draw_words(rng):
    draw = lambda size: rng.choice(["a", "b", "c"], size=size).tolist()
    return draw(12), draw(8), 2


def centrality(vectors: np.ndarray) -> np.ndarray:
    "For each row of `vectors` (sentences, d) the mean cosine with all OTHER rows; shape (sentences,)."
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)     # (sentences, d): all of length 1
    cosines = unit @ unit.T                                             # (sentences, sentences), 1 on the diagonal
    return (cosines.sum(1) - 1) / (len(vectors) - 1)                    # without the cosine with itself


def _with_itself(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T).mean(1)


def _not_normalized(vectors):
    products = vectors @ vectors.T
    return (products.sum(1) - np.diag(products)) / (len(vectors) - 1)


def _normalized_by_column(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=0, keepdims=True)
    return ((unit @ unit.T).sum(1) - (unit ** 2).sum(1)) / (len(vectors) - 1)


def _nearest_only(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.sort(unit @ unit.T, axis=1)[:, -2]


def _draw_vectors(rng): return (rng.normal(size=(4, 3)).round(2) + 0.3,)


def read_all(documents: dict[str, bytes]) -> list[dict]:
    "A row for each document, in order: its name as `file`, its `text` (UTF-8), and a `problem`, or nothing for both."
    rows = []
    for name, content in documents.items():
        row = {"file": name, "text": "", "problem": ""}
        try: row["text"] = content.decode()
        except UnicodeDecodeError as error: row["problem"] = error.reason
        if not content: row["problem"] = "empty"
        rows.append(row)                            # whatever happened: one row for each document
    return rows


def _bad_ones_vanish(documents):
    "A row for each document, in order: its name as `file`, its `text` (UTF-8), and a `problem`, or nothing for both."
    rows = []
    for name, content in documents.items():
        row = {"file": name, "text": "", "problem": ""}
        try: row["text"] = content.decode()
        except UnicodeDecodeError: continue
        if not content: row["problem"] = "empty"
        rows.append(row)
    return rows


def _stops_at_the_first(documents):
    rows = []
    for name, content in documents.items():
        row = {"file": name, "text": "", "problem": "" if content else "empty"}
        rows.append(row)
        try: row["text"] = content.decode()
        except UnicodeDecodeError as error:
            row["problem"] = error.reason
            break
    return rows


def _no_reason(documents):
    return [row | {"problem": row["problem"] and "bad"} for row in read_all(documents)]


def _guesses_characters(documents):
    return [{"file": name, "text": content.decode(errors="replace"), "problem": "" if content else "empty"}
            for name, content in documents.items()]


def _draw_documents(rng):
    kinds = [b"It works.", b"", b"caf\xe9 au lait", b"\xff\xfe", "schön".encode()]
    order = [kinds[2], *(kinds[int(i)] for i in rng.integers(len(kinds), size=3)), kinds[0]]
    return ({f"{i}.txt": content for i, content in enumerate(order)},)


def lead_against_centrality() -> dict:
    "ROUGE-1 with the author's line: first sentence, most central one (by counts of words), and the mean sentence."
    found = {"central": [], "lead": [], "random": []}
    for line, text in summarized_texts():
        counts = TfidfVectorizer().fit_transform(text)                  # (sentences, words), each row of length 1
        central = np.asarray((counts @ counts.T).sum(1)).ravel().argmax()
        scores = [rouge(line, sentence)["rouge1"] for sentence in text]
        found["central"].append(scores[central])
        found["lead"].append(scores[0])
        found["random"].append(np.mean(scores))                         # chance, without its noise
    gap, low, high = bootstrap_mean(np.subtract(found["lead"], found["central"]))
    best = "lead" if low > 0 else "central" if high < 0 else "open"
    return {name: float(np.mean(values)) for name, values in found.items()} | {
        "gap": float(gap), "low": float(low), "high": float(high), "best": best}


def _judge_summaries(answer) -> str:
    "Whether the means and the interval belong together, and the conclusion follows."
    names = {"central", "lead", "random", "gap", "low", "high", "best"}
    if not all(isinstance(answer[name], (float, np.floating)) for name in names - {"best"}):
        return "all but best are numbers"
    if not all(0.05 < answer[name] < 0.4 for name in ("central", "lead", "random")):
        return "ROUGE-1 lies between 0.05 and 0.4 here; is each sentence compared with the author's line?"
    if answer["random"] >= min(answer["central"], answer["lead"]):
        return "a random sentence should be worst; take the mean over all sentences of a text"
    if abs(answer["lead"] - answer["central"] - answer["gap"]) > 0.005:
        return "gap is the mean of lead minus central, over the same texts"
    if not answer["low"] <= answer["gap"] <= answer["high"]: return "the interval must contain the gap"
    follows = "lead" if answer["low"] > 0 else "central" if answer["high"] < 0 else "open"
    if answer["best"] != follows: return f"the interval from low to high says {follows}"
    return ""


def effects(words: list[str], weights: dict[str, float]) -> list[float]:
    "For each word, in order: how far the log-odds fall without it. In this model *not* flips what follows."
    def log_odds(words):
        signs = [-1 if i and words[i - 1] == "not" else 1 for i in range(len(words))]
        return sum(sign * weights.get(word, 0.0) for sign, word in zip(signs, words))
    return [log_odds(words) - log_odds(words[:i] + words[i + 1:]) for i in range(len(words))]


def _every_occurrence(words, weights):
    "For each word, in order: how far the log-odds fall without it. In this model *not* flips what follows."
    def log_odds(words):
        signs = [-1 if i and words[i - 1] == "not" else 1 for i in range(len(words))]
        return sum(sign * weights.get(word, 0.0) for sign, word in zip(signs, words))
    return [log_odds(words) - log_odds([other for other in words if other != word]) for word in words]


def _by_weight(words, weights): return [weights.get(word, 0.0) for word in words]


def _other_sign(words, weights): return [-effect for effect in effects(words, weights)]


def _falls_only(words, weights): return [max(0.0, effect) for effect in effects(words, weights)]


def _one_after_another(words, weights): return [effects(words[i:], weights)[0] for i in range(len(words))]


def _draw_words_and_weights(rng):
    words = rng.choice(["good", "bad", "not", "so"], size=5, p=[0.3, 0.2, 0.3, 0.2]).tolist()
    return words, {"good": float(rng.integers(1, 4)), "bad": -float(rng.integers(1, 4))}


_SUMMARIES = {"central": 0.18, "lead": 0.21, "random": 0.14, "gap": 0.03, "low": 0.01, "high": 0.05, "best": "lead"}

EXERCISES = [
    Exercise(
        "Which two sentences?", r"""
        Three sentences have the cosines $s_{01} = 0.9$, $s_{02} = 0.5$, $s_{12} = 0.2$, so their centralities are 0.70,
        0.55 and 0.35. Maximal marginal relevance picks two of them with $\lambda = 0.5$. Which ones, in the order of
        picking? Answer with a list of two numbers.
        """, two_picked, kind="predict",
        hints=("At first nothing is picked, so only centrality counts.",
               "For the second one compute `0.5 * centrality - 0.5 * likeness to what is picked` for each of the "
               "others."),
        mistakes=(Mistake([0, 1], "That is centrality alone. Sentence 1 says nearly what sentence 0 says."),
                  Mistake([2, 0], "The most central one is picked first: nothing is there yet that it could repeat."),
                  Mistake([1, 2], "Those two are least alike, but the first pick is the most central sentence."),
                  Mistake([2, 1], "With $\\lambda = 0$ novelty alone would count; here centrality weighs as much."))),
    Exercise(
        "Write or recite?", """
        Write `recited(written, training, n)`. Both texts are lists of words. Of all runs of `n` words in `written`,
        which share stands in `training`, in the same order? A run that comes twice counts twice.
        """, recited, inputs=_draw_words,
        hints=("The runs of a list are its slices `words[i:i + n]`; how many are there?",
               "Make a set of the runs of the training text (as tuples), then look up each run that was written."),
        mistakes=(Mistake(_single_words, "It looks up single words. Any text in the same language would seem recited."),
                  Mistake(_different_runs, "It counts different runs. What a model repeats must count each time."),
                  Mistake(_any_order, "The order of the words is lost, so other phrases count as recited."),
                  Mistake(_of_the_training_text, "That is the share of the training text which was written again; the "
                                                 "question was about what was written."))),
    Exercise(
        "Centrality", """
        Write `centrality(vectors)`: for each sentence the mean cosine with all **other** sentences. `vectors` has the
        shape (sentences, d), and no row is zero.
        """, centrality, inputs=_draw_vectors, imports="import numpy as np",
        hints=("Bring each row to length 1; then `unit @ unit.T` holds all cosines.",
               "The diagonal compares each sentence with itself. Take it out of the sum, and out of the count."),
        mistakes=(Mistake(_with_itself, "Each sentence is compared with itself too, which it resembles perfectly."),
                  Mistake(_not_normalized, "These are dot products: a long vector looks central whatever it says."),
                  Mistake(_normalized_by_column, "The columns were brought to length 1, not the sentences."),
                  Mistake(_nearest_only, "It looks at the most similar sentence alone. One twin would make a sentence "
                                         "central."))),
    Exercise(
        "None may vanish", """
        `read_all` makes a table of documents. The table has fewer rows than there are documents, and nobody notices.
        Mend it: a document that is no UTF-8 gets a row with the `reason` of the `UnicodeDecodeError` as its problem.
        """, read_all, kind="mend", inputs=_draw_documents,
        hints=("What happens to a document whose bytes cannot be decoded?",
               "`except UnicodeDecodeError as error` gives the reason as `error.reason`; the row is appended either "
               "way."),
        mistakes=(Mistake(_bad_ones_vanish, "Documents that cannot be read are left out without a word."),
                  Mistake(_stops_at_the_first, "One bad document ends the work; those after it are never read."),
                  Mistake(_no_reason, "The row does not say why. The sender needs a reason to mend the file."),
                  Mistake(_guesses_characters, "Broken bytes became substitute characters, and the document counts as "
                                               "read."))),
    Exercise(
        "Does the first sentence win?", """
        The lesson compared 90 docstrings. Take all of `summarized_texts()`, and centrality by counts of words in place
        of MiniLM. Give the mean ROUGE-1 of the `central` and the `lead` sentence and of a `random` one (the mean over
        all sentences of each text), the `gap` lead minus central with its interval from `low` to `high`, and what
        is `best`: `"lead"`, `"central"`, or `"open"`.
        """, lead_against_centrality, kind="decide", verify=_judge_summaries, imports="""
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer
        from llmcourse.applications import summarized_texts
        from llmcourse.judging import rouge
        from llmcourse.uncertainty import bootstrap_mean""",
        stub="""answer = {"central": ..., "lead": ..., "random": ..., "gap": ..., "low": ..., "high": ...,
          "best": ...}""",
        hints=("`TfidfVectorizer().fit_transform(sentences)` gives a row of length 1 a sentence; products of rows are "
               "cosines.",
               "`rouge(line, sentence)[\"rouge1\"]` is the score, and `bootstrap_mean(differences)` gives mean, low "
               "and high.",
               "Take the differences text by text before the bootstrap: both ways saw the same texts."),
        mistakes=(Mistake(_SUMMARIES | {"random": 0.25}, "take the mean over all sentences"),
                  Mistake(_SUMMARIES | {"gap": -0.03, "low": -0.05, "high": -0.01}, "lead minus central"),
                  Mistake(_SUMMARIES | {"best": "central"}, "the interval from low to high says lead"),
                  Mistake(_SUMMARIES | {"lead": 0.6}, "compared with the author's line"))),
    Exercise(
        "Not this word, this place", """
        `effects` should leave out each word once. It goes wrong where a word stands twice: in `good not good` it gives
        both places of *good* the same effect, though one speaks for the label and the other one against. Mend it.
        """, effects, kind="mend", inputs=_draw_words_and_weights,
        hints=("Which words does the last line leave out, if the word stands twice?",
               "A place has a number: `words[:i] + words[i + 1:]` is the text without place `i`."),
        mistakes=(Mistake(_every_occurrence, "It leaves out every place where the word stands, not this one."),
                  Mistake(_by_weight, "Those are the weights. After *not* a word counts the other way, and *not* "
                                      "itself has an effect without having a weight."),
                  Mistake(_other_sign, "The sign is turned: a word that speaks for the label makes the log-odds fall "
                                       "when it goes."),
                  Mistake(_falls_only, "Words that speak against the label are lost: their effects are below 0."),
                  Mistake(_one_after_another, "Each word is put back before the next one is left out; here the words "
                                              "before it stay away."))),
]

QUESTIONS = [
    Question("Words of real reviews in random order have the most distinct pairs of all. What follows for that "
             "measure?",
             ("It sees repetition and no sense; it must stand beside a measure that does.",
              "Bits a byte would be terrible for the shuffled words."),
             (("A model should write texts with more distinct pairs than people.",
               "The shuffled text does, and says nothing. Real text tells what is normal."),
              ("The texts were cut at too few words to count pairs.",
               "All were cut at the same number, and the order of the three would stay."))),
    Question("Why are personal data masked before the key sentences are chosen, and not afterwards in the table?",
             ("So that no later step sees, stores or prints them.",
              "What is masked at the door cannot leak from a step that somebody adds later."),
             (("Because masks make better key sentences.",
               "They make worse ones here: masked lines were picked as unlike the rest."),
              ("Because it takes less time.", "The time is the same; it is a question of who gets to see what."))),
    Question("No word of a sentence has any effect when it is left out alone. What may be the reason?",
             ("Several words say the same, and each stands in for the others.",
              "The model that needs *good* or *great* shows it: leave out both, and the label changes."),
             (("The model decided without the sentence.",
               "It may have; leaving out all words but one would tell. This alone does not show it."),
              ("The log-odds hide small changes.",
               "They show changes near 0 and 1 that probabilities hide."))),
    Question("80 % of the planted values were masked. Why does this figure say little about your own documents?",
             ("It depends on how many hard ways of writing were planted.",
              "The table by ways carries over: forms are found, spelt-out addresses are not."),
             (("Because 92 values are too few for a percentage.",
               "More of the same mixture would give the same figure, and it would say as little."),
              ("Because the documents were invented.",
               "The reviews are real; it is the mixture of planted values that was chosen."))),
    Question("Each answer over HTTP is compared with the direct call. What would this comparison miss?",
             ("That both are wrong in the same way.",
              "It shows that the server adds no error. Quality was measured above, use by use."),
             (("A server that uses another model.", "Other weights give other answers; the comparison would fail."),
              ("A server that cuts the text.", "The answers to a text that was cut would differ."))),
]
