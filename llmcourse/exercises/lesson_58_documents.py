"Ask your documents."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def windows(lengths: list[int], words: int, overlap: int) -> list[tuple[int, int]]:
    "Passages as (first sentence, the one after the last): each ends with the sentence that reaches `words` words."
    found, start, stop = [], 0, 0
    while stop < len(lengths):
        stop, size = start, 0
        while stop < len(lengths) and size < words:
            size += lengths[stop]
            stop += 1
        found.append((start, stop))
        start = max(stop - overlap, start + 1)                    # go on, even if the overlap is the whole passage
    return found


def _no_overlap(lengths, words, overlap): return windows(lengths, words, 0)
def _one_longer(lengths, words, overlap): return windows(lengths, words, overlap + 1)


def _stays_below(lengths, words, overlap):
    found, start, stop = [], 0, 0
    while stop < len(lengths):
        stop, size = start, 0
        while stop < len(lengths) and (size + lengths[stop] <= words or stop == start):
            size += lengths[stop]
            stop += 1
        found.append((start, stop))
        start = max(stop - overlap, start + 1)
    return found


def _drops_the_rest(lengths, words, overlap):
    return [(a, b) for a, b in windows(lengths, words, overlap) if sum(lengths[a:b]) >= words]


def _draw_lengths(rng): return rng.integers(3, 12, size=14).tolist() + [2], 20, int(rng.integers(1, 3))


def nearest_rows(vectors: np.ndarray, question: np.ndarray, k: int) -> list[int]:
    "The rows of `vectors` (n, d) with the largest cosine to `question` (d,), the best first."
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)      # length 1, so the product is the cosine
    return np.argsort(-(unit @ question), kind="stable")[:k].tolist()


def _by_product(vectors, question, k):
    "The rows of `vectors` (n, d) with the largest cosine to `question` (d,), the best first."
    scores = vectors @ question
    return np.argsort(-scores, kind="stable")[:k].tolist()


def _worst_first(vectors, question, k): return nearest_rows(vectors, -question, k)
def _by_absolute(vectors, question, k):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.argsort(-abs(unit @ question), kind="stable")[:k].tolist()


def _by_distance(vectors, question, k):
    return np.argsort(np.linalg.norm(vectors - question, axis=1), kind="stable")[:k].tolist()


def _draw_vectors(rng):
    directions, lengths = rng.normal(size=(12, 4)), rng.uniform(0.1, 10, size=(12, 1))
    return directions * lengths, rng.normal(size=4), 6


def word_score(counts: list[int], lengths: list[int], k1: float, b: float) -> np.ndarray:
    "BM25 for one word: how often it stands in each text, how many words each text has; a score a text."
    counts, lengths = np.array(counts, float), np.array(lengths, float)
    having = (counts > 0).sum()                                         # texts that have the word
    rarity = np.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
    return rarity * counts / (counts + k1 * (1 - b + b * lengths / lengths.mean()))


def _no_saturation(counts, lengths, k1, b):
    counts = np.array(counts, float)
    having = (counts > 0).sum()
    return np.log(1 + (len(counts) - having + 0.5) / (having + 0.5)) * counts


def _no_rarity(counts, lengths, k1, b):
    counts, lengths = np.array(counts, float), np.array(lengths, float)
    return counts / (counts + k1 * (1 - b + b * lengths / lengths.mean()))


def _no_length(counts, lengths, k1, b): return word_score(counts, [1] * len(counts), k1, b)


def _counts_words(counts, lengths, k1, b):
    counts, lengths = np.array(counts, float), np.array(lengths, float)
    having = counts.sum()
    rarity = np.log(1 + abs(len(counts) - having + 0.5) / (having + 0.5))
    return rarity * counts / (counts + k1 * (1 - b + b * lengths / lengths.mean()))


def _draw_counts(rng):
    counts = [3, 0, 1, 0, 2, 0, 0, int(rng.integers(1, 4))]
    return rng.permutation(counts).tolist(), rng.integers(5, 60, size=8).tolist(), 1.5, 0.75


def cite(answer: str, sentences: list[tuple[str, int, str]]) -> tuple[str, int] | None:
    "Document and number of the sentence with the largest share of the answer's words; None below one half."
    words = answer.lower().split()
    shares = [sum(word in text.lower().split() for word in words) / len(words) for _, _, text in sentences]
    best = max(range(len(shares)), key=shares.__getitem__)
    return sentences[best][:2] if shares[best] >= 0.5 else None


def _always_first(answer, sentences):
    "Document and number of the sentence with the largest share of the answer's words; None below one half."
    return sentences[0][:2]


def _never_refuses(answer, sentences):
    words = answer.lower().split()
    best = max(sentences, key=lambda one: sum(word in one[2].lower().split() for word in words))
    return best[:2]


def _pieces(answer, sentences):
    words = answer.lower().split()
    shares = [sum(word in text.lower() for word in words) / len(words) for _, _, text in sentences]
    best = max(range(len(shares)), key=shares.__getitem__)
    return sentences[best][:2] if shares[best] >= 0.5 else None


def _case_counts(answer, sentences):
    words = answer.split()
    shares = [sum(word in text.split() for word in words) / len(words) for _, _, text in sentences]
    best = max(range(len(shares)), key=shares.__getitem__)
    return sentences[best][:2] if shares[best] >= 0.5 else None


def _draw_answer(rng):
    sentences = [("shop", 0, "It sells bread, cake and a tart."), ("shop", 1, "The shop opens at nine in winter"),
                 ("bank", 0, "The bank is shut at noon"), ("bank", 1, "Theatre tickets cost tenfold in summertime")]
    answers = ["AT NINE", "a red horse ran", "Ten", "shut at NOON", "in Winter", "sum ten theatre"]
    return str(rng.choice(answers)), [sentences[i] for i in rng.permutation(4)]


VALIDATION = {"cosine": [0.82, 0.74, 0.71, 0.66, 0.58, 0.55, 0.49, 0.61, 0.52, 0.41, 0.35, 0.22],
              "said": [True] * 7 + [False] * 5}
TEST = {"cosine": [0.79, 0.68, 0.63, 0.53, 0.51, 0.46, 0.69, 0.60, 0.47, 0.38, 0.19, 0.12],
        "said": [True] * 6 + [False] * 6}


def two_faults() -> dict:
    "The threshold by balanced accuracy on validation questions, and both kinds of fault on test questions."
    validation = {"cosine": [0.82, 0.74, 0.71, 0.66, 0.58, 0.55, 0.49, 0.61, 0.52, 0.41, 0.35, 0.22],
                  "said": [True] * 7 + [False] * 5}
    test = {"cosine": [0.79, 0.68, 0.63, 0.53, 0.51, 0.46, 0.69, 0.60, 0.47, 0.38, 0.19, 0.12],
            "said": [True] * 6 + [False] * 6}
    cosine, said = np.array(validation["cosine"]), np.array(validation["said"])
    worth = {t: ((cosine >= t)[said].mean() + (cosine < t)[~said].mean()) / 2 for t in np.arange(0.235, 0.85, 0.05)}
    threshold = max(worth, key=worth.get)                               # chosen here, and never again
    cosine, said = np.array(test["cosine"]), np.array(test["said"])
    refused, answered = int((cosine < threshold)[said].sum()), int((cosine >= threshold)[~said].sum())
    return {"threshold": float(threshold), "refused": refused, "answered": answered, "chosen_on": "validation"}


def _counts_at(threshold: float) -> tuple[int, int]:
    cosine, said = np.array(TEST["cosine"]), np.array(TEST["said"])
    return int((cosine < threshold)[said].sum()), int((cosine >= threshold)[~said].sum())


def _judge(answer) -> str:
    "Whether the threshold is good on validation questions, and the faults are those of the test questions."
    threshold = answer["threshold"]
    cosine, said = np.array(VALIDATION["cosine"]), np.array(VALIDATION["said"])
    worth = ((cosine >= threshold)[said].mean() + (cosine < threshold)[~said].mean()) / 2
    if worth < 0.82:
        return f"at {threshold:g} both shares of the validation questions have the mean {worth:.2f}; more is possible"
    refused, answered = _counts_at(threshold)
    if (answer["refused"], answer["answered"]) == (answered, refused): return "the two kinds of fault are swapped"
    if (answer["refused"], answer["answered"]) != (refused, answered):
        return "these are not the faults on the test questions at that threshold"
    return "" if answer["chosen_on"] == "validation" else "a threshold chosen on test questions flatters itself there"


EXERCISES = [
    Exercise(
        title="Fuse two rankings",
        kind="predict",
        task="""Vectors rank four passages as `[2, 0, 3, 1]`, words rank them as `[1, 2, 0, 3]`. Reciprocal rank fusion
with $k = 1$ gives a passage $1 / (1 + place)$ from each ranking, places from 1. In which order do they come out? Answer
with a list of four numbers.""",
        solution=[2, 1, 0, 3],
        mistakes=(
            Mistake([2, 0, 1, 3], "Passage 1 gets 1/5 and 1/2, passage 0 gets 1/3 and 1/4: a first place weighs more "
                    "than two middle ones."),
            Mistake([2, 0, 3, 1], "That is the ranking by vectors alone."),
            Mistake([1, 2, 0, 3], "That is the ranking by words alone."),
            Mistake([3, 0, 1, 2], "The largest sum comes first, not the smallest."),
        ),
        hints=("Passage 2 stands in place 1 and in place 2: 1/2 + 1/3.",
               "Passage 1 stands in place 4 and in place 1: 1/5 + 1/2. Passage 0 stands in places 2 and 3."),
    ),
    Exercise(
        title="Cut into passages",
        task="""Write `windows(lengths, words, overlap)`. `lengths` holds how many words each sentence has. A passage
takes sentences until it has `words` words or more. The next passage begins `overlap` sentences before the end of this
one, but at least one sentence later than this one began. Stop when the last sentence is in a passage. Return pairs
(first sentence, the one after the last).""",
        solution=windows,
        mistakes=(
            Mistake(_no_overlap, "The passages do not overlap. An answer that needs the sentence before is cut off."),
            Mistake(_one_longer, "The overlap is one sentence too long."),
            Mistake(_stays_below, "These passages stay below the number of words; they should end with the sentence "
                    "that reaches it."),
            Mistake(_drops_the_rest, "The last sentences of the document are in no passage: nobody will find them."),
        ),
        inputs=_draw_lengths,
        hints=("Two loops: the inner one adds sentences until there are enough words.",
               "After a passage: `start = max(stop - overlap, start + 1)`."),
    ),
    Exercise(
        title="The long vector wins",
        kind="mend",
        task="""This search finds the same few passages for each question: those with the longest vectors. Mend it, so
that it ranks by cosine. Ties go to the smaller row.""",
        solution=nearest_rows,
        imports="import numpy as np",
        mistakes=(
            Mistake(_by_product, "This is the plain product. It grows with the length of a passage's vector, which "
                    "says nothing about the question."),
            Mistake(_worst_first, "The order is turned round: the least similar passage comes first."),
            Mistake(_by_absolute, "A cosine of -1 points the other way; its absolute value is no closeness."),
            Mistake(_by_distance, "This is the distance. It ranks as the cosine does only if all vectors have the same "
                    "length."),
        ),
        inputs=_draw_vectors,
        hints=("The cosine is the product of two vectors of length 1.",
               "Divide each row by its length. The question's own length changes no order."),
    ),
    Exercise(
        title="BM25 for one word",
        task="""Write the score that one word gives to each text. `counts` says how often the word stands in each,
`lengths` how many words each has. With $n$ of $N$ texts having the word, its rarity is
$\\ln(1 + (N - n + 0.5) / (n + 0.5))$. The score is rarity times $c / (c + k_1 (1 - b + b \\, l / \\bar l))$.""",
        solution=word_score,
        imports="import numpy as np",
        mistakes=(
            Mistake(_no_saturation, "The count is taken as it is. The tenth time a word comes should add less than the "
                    "second."),
            Mistake(_no_rarity, "All words weigh the same here; *the* would count like *chronic*."),
            Mistake(_no_length, "The length of the text is not used. A long text has each word more often by chance."),
            Mistake(_counts_words, "The rarity counts how often the word stands anywhere. It should count in how many "
                    "texts."),
        ),
        inputs=_draw_counts,
        hints=("`n` is the number of texts whose count is above 0.",
               "`lengths.mean()` is the mean length; the part in brackets is 1 for a text of that length."),
    ),
    Exercise(
        title="No source, no answer",
        kind="mend",
        task="""`cite` names the source of an answer. It cites the first sentence, whatever the answer. Mend it: take
the sentence in which the largest share of the answer's words stands, whole words in any case, cut at blanks. Below one
half there is no source: return `None`. `sentences` holds document, number and text; no two are equally good.""",
        solution=cite,
        mistakes=(
            Mistake(_always_first, "The first sentence is cited, even if the answer does not stand there."),
            Mistake(_never_refuses, "An answer whose words stand nowhere gets a source all the same."),
            Mistake(_pieces, "Pieces of words count as words here: *ten* is found in *tenfold*."),
            Mistake(_case_counts, "*AT NINE* and *at nine* are the same words; bring both to lower case."),
        ),
        inputs=_draw_answer,
        hints=("Compare lists of words: `text.lower().split()`.",
               "Compute the share for each sentence, take the largest, and compare it with 0.5."),
    ),
    Exercise(
        title="Two kinds of fault",
        kind="decide",
        task="""Here are the cosines of the best passage for questions, and whether the documents `said` the answer.
Choose a threshold: the mean of two shares, answerable questions let through and others refused, should be as large as
it gets. Then count the faults on the test questions: answerable ones that are `refused`, others that are `answered`
anyway. Say on which questions the threshold was `chosen_on`: `"validation"` or `"test"`.""",
        stub='''validation = {"cosine": [0.82, 0.74, 0.71, 0.66, 0.58, 0.55, 0.49, 0.61, 0.52, 0.41, 0.35, 0.22],
              "said": [True] * 7 + [False] * 5}
test = {"cosine": [0.79, 0.68, 0.63, 0.53, 0.51, 0.46, 0.69, 0.60, 0.47, 0.38, 0.19, 0.12],
        "said": [True] * 6 + [False] * 6}
answer = {"threshold": ..., "refused": ..., "answered": ..., "chosen_on": ...}''',
        solution=two_faults,
        imports="import numpy as np",
        verify=_judge,
        mistakes=(
            Mistake({"threshold": 0.3, "refused": 0, "answered": 4, "chosen_on": "validation"}, "more is possible"),
            Mistake({"threshold": 0.54, "refused": 3, "answered": 3, "chosen_on": "validation"},
                    "these are not the faults on the test questions"),
            Mistake({"threshold": 0.54, "refused": 3, "answered": 2, "chosen_on": "test"}, "flatters itself"),
        ),
        hints=("Try each threshold on the validation questions; both shares are means of `True` and `False`.",
               "Above the threshold a question is answered. Count on the test questions only once, at the end."),
    ),
]
QUESTIONS = [
    Question("Why does each passage carry the title of its document?",
             right=("A sentence such as *Number of observations: 16* does not say of what",
                    "What a reader knows from the heading is lost when the document is cut. The title brings it "
                    "back."),
             wrong=(("Longer texts always have larger cosines",
                     "They do not. A title that has nothing to do with the question makes the passage less alike."),
                    ("The model needs it to cite the document",
                     "The library knows which document a passage comes from without reading the title."))),
    Question("The first hit of each question has about the same score after reciprocal rank fusion. What follows?",
             right=("That score cannot tell whether a question has an answer",
                    "It is made of places alone, and somebody is always first. The cosine is kept for the refusal."),
             wrong=(("All questions are answered equally well",
                     "A place says nothing about closeness. The first of bad passages is first as well."),
                    ("The constant k must be smaller",
                     "A smaller k widens the gaps between places; the first place still is worth the same."))),
    Question("A small model answers with a number that stands in no passage. What should the application do?",
             right=("Refuse, since the answer has no source",
                    "It may be right by luck, or from training. A reader who trusts the source must not get it."),
             wrong=(("Cite the best passage, since the model has read it",
                     "Then the source does not say what the answer says, which is worse than no source."),
                    ("Raise the temperature and try again",
                     "Chance draws other numbers, and none of them comes from the text."))),
    Question("Which unanswerable questions does a threshold on the cosine catch?",
             right=("Those about something else, and few of those that a document speaks of without answering",
                    "The cosine measures what a passage is about. *Which company owned the plant?* is about the plant "
                    "whether or not the text names the company."),
             wrong=(("All of them, if it is chosen on enough questions",
                     "More questions place the threshold better. They do not part what overlaps."),
                    ("None, since cosines of different questions cannot be compared",
                     "They can, roughly; foreign questions lie clearly lower."))),
]
