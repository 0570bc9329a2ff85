"Find what is there twice."
import random

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def similarity(one: str, other: str, n: int) -> float:
    "Jaccard similarity of the sets of all runs of `n` characters; both texts have at least `n`."
    a = {one[i:i + n] for i in range(len(one) - n + 1)}
    b = {other[i:i + n] for i in range(len(other) - n + 1)}
    return len(a & b) / len(a | b)              # what both hold, as a share of what either holds


def _one_short(one, other, n):
    a = {one[i:i + n] for i in range(len(one) - n)}
    b = {other[i:i + n] for i in range(len(other) - n)}
    return len(a & b) / len(a | b) if a | b else 0.0


def _side_by_side(one, other, n):
    a = {one[i:i + n] for i in range(0, len(one), n)}
    b = {other[i:i + n] for i in range(0, len(other), n)}
    return len(a & b) / len(a | b)


def _dice(one, other, n):
    a = {one[i:i + n] for i in range(len(one) - n + 1)}
    b = {other[i:i + n] for i in range(len(other) - n + 1)}
    return 2 * len(a & b) / (len(a) + len(b))


def _letters(one, other, n): return len(set(one) & set(other)) / len(set(one) | set(other))


def _share_of_first(one, other, n):
    a = {one[i:i + n] for i in range(len(one) - n + 1)}
    b = {other[i:i + n] for i in range(len(other) - n + 1)}
    return len(a & b) / len(a)


def _two_texts(rng):
    return *("".join(rng.choice(list("aabcd"), size=rng.integers(7, 12))) for _ in range(2)), 2


def minhash(hashes: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    "For each k the smallest of `a[k] * hashes + b[k]`; all are uint32, so the sum wraps around by itself."
    scrambled = a[:, None] * hashes + b[:, None]   # (num_perm, shingles): each row is one order of the shingles
    return scrambled.min(axis=1)                   # (num_perm,): the first shingle of each order


def _smallest_first(hashes, a, b): return a * hashes.min() + b
def _which_one(hashes, a, b): return (a[:, None] * hashes + b[:, None]).argmin(axis=1)
def _of_shingles(hashes, a, b): return (a[:, None] * hashes + b[:, None]).min(axis=0)


def _never_wraps(hashes, a, b):
    return (a[:, None].astype(np.uint64) * hashes + b[:, None]).min(axis=1)


def _odd_numbers(rng):
    draw = lambda size: rng.integers(0, 2**32, size=size, dtype=np.uint32)
    shingles = int(rng.integers(2, 7))
    num_perm = shingles + int(rng.integers(1, 3))
    return draw(shingles), draw(num_perm) | np.uint32(1), draw(num_perm)


def candidates(signatures: list[list[int]], rows: int) -> set[tuple[int, int]]:
    "Pairs (i, j), i < j, whose signatures agree in all `rows` numbers of at least one band."
    pairs = set()
    for start in range(0, len(signatures[0]), rows):               # one band after the other
        buckets = {}                                               # each band has buckets of its own
        for text, signature in enumerate(signatures):
            bucket = buckets.setdefault(tuple(signature[start:start + rows]), [])
            pairs.update((other, text) for other in bucket)
            bucket.append(text)
    return pairs


def _pairs_where(signatures, agree):
    return {(i, j) for j in range(len(signatures)) for i in range(j) if agree(signatures[i], signatures[j])}


def _bands_of(signature, rows): return [tuple(signature[k:k + rows]) for k in range(0, len(signature), rows)]


def _any_number(signatures, rows):
    return _pairs_where(signatures, lambda x, y: any(p == q for p, q in zip(x, y)))


def _all_bands(signatures, rows): return _pairs_where(signatures, lambda x, y: x == y)


def _any_place(signatures, rows):
    return _pairs_where(signatures, lambda x, y: bool(set(_bands_of(x, rows)) & set(_bands_of(y, rows))))


def _enough_numbers(signatures, rows):
    return _pairs_where(signatures, lambda x, y: sum(p == q for p, q in zip(x, y)) >= rows)


def _signatures(rng):
    "Eight texts whose bands of two rows agree often, in part, and sometimes at another place."
    found = rng.integers(1, 4, size=(8, 6))
    found[7] = np.roll(found[6], 2)
    return found.tolist(), 2


def drop_extra(texts: int, pairs: list[tuple[int, int]]) -> list[int]:
    "The indices of the texts that stay: the first of each cluster, and all that resemble none."
    above = list(range(texts))                       # at first, each text is a cluster of its own
    def top(text):
        while above[text] != text: text = above[text]
        return text
    for one, other in pairs:
        first, second = sorted((top(one), top(other)))
        above[second] = first                        # two clusters become one, under the smaller index
    return [text for text in range(texts) if above[text] == text]


def _second_of_pair(texts, pairs):
    "The indices of the texts that stay."
    dropped = {other for one, other in pairs}
    return [text for text in range(texts) if text not in dropped]


def _both_of_pair(texts, pairs):
    alike = {text for pair in pairs for text in pair}
    return [text for text in range(texts) if text not in alike]


def _only_clusters(texts, pairs):
    alike = {text for pair in pairs for text in pair}
    return [text for text in drop_extra(texts, pairs) if text in alike]


def _last_of_cluster(texts, pairs):
    turned = [(texts - 1 - other, texts - 1 - one) for one, other in pairs]
    return sorted(texts - 1 - text for text in drop_extra(texts, turned))


def _chains(rng):
    "A cluster whose pairs are (0, 3), (1, 3), (1, 2) or the like, one of two, and two texts alone."
    a, b, c, d, e, f, *_ = rng.permutation(8).tolist()
    a, b, c, d = sorted((a, b, c, d))
    pairs = [(a, d), (b, d), (b, c), tuple(sorted((e, f)))]
    return 8, [pairs[k] for k in rng.permutation(4)]


def compare_thresholds() -> dict:
    "What three thresholds catch of planted copies and cost in honest sentences."
    from llmcourse.data import load_data
    from llmcourse.deduplication import contamination, decontaminate
    from llmcourse.preprocessing import clean
    splits = decontaminate(clean(load_data("tweets"))[0])[0]
    honest, test = list(splits["train"]["text"]), list(splits["test"]["text"])
    rng, planted = random.Random(0), []
    for text in test:                                            # each copy lacks one word
        words = text.split()
        if len(words) > 1: del words[rng.randrange(len(words))]
        planted.append(" ".join(words))
    caught, lost = {}, {}
    for threshold in (0.8, 0.65, 0.5):
        found = {index for index, _ in contamination(honest + planted, test, threshold)}
        caught[threshold] = sum(index >= len(honest) for index in found) / len(planted)
        lost[threshold] = sum(index < len(honest) for index in found) / len(honest)
    best = max((t for t in lost if lost[t] <= 0.01), key=lambda t: caught[t])
    return {"caught": caught, "lost": lost, "best": best}


def _judge(answer) -> str:
    "Whether the figures are shares that fit together, and the choice follows them."
    caught, lost = answer["caught"], answer["lost"]
    wanted = {0.8, 0.65, 0.5}
    if not all(isinstance(d, dict) and set(d) == wanted for d in (caught, lost)):
        return "caught and lost each hold one share for each of the thresholds 0.8, 0.65 and 0.5"
    if not all(0 <= share <= 1 for d in (caught, lost) for share in d.values()):
        return ("caught and lost are shares from 0 to 1: divide by the number planted, and by the number of honest "
                "tweets")
    if not caught[0.8] < caught[0.65] < caught[0.5]:
        return "a lower threshold accepts more pairs, so it must catch more; are the thresholds mixed up?"
    if lost[0.8] > 0.005:
        return ("no honest tweet resembles the test at 0.8 once `decontaminate` has run; count in `lost` only the "
                "tweets that you did not plant")
    ahead = max((t for t in lost if lost[t] <= 0.01), key=lambda t: caught[t])
    if answer["best"] != ahead:
        return f"by the rule, at most 0.01 lost and then the most caught, your own figures choose {ahead}"
    return ""


_FIGURES = {"caught": {0.8: 0.8, 0.65: 0.9, 0.5: 0.95}, "lost": {0.8: 0.0, 0.65: 0.002, 0.5: 0.05}, "best": 0.65}

EXERCISES = [
    Exercise(
        "Banana and bandana", """
        Cut `banana` and `bandana` into shingles of two characters. What is the Jaccard similarity of the two sets? Work
        it out on paper and write the number.
        """, 0.6, kind="predict",
        hints=("A set holds each shingle once: `banana` has only three, `ba`, `an` and `na`.",
               "Both hold these three; `bandana` has two more, `nd` and `da`. Divide what both hold by what either "
               "holds."),
        tolerance=0.005,
        mistakes=(Mistake(4 / 7, "That counts `an` twice. Shingles are thrown into a set, which holds each once."),
                  Mistake(0.75, "That divides twice the common shingles by the sum of both sizes, which is the Dice "
                                "coefficient. Jaccard divides by the union."),
                  Mistake(1.0, "All shingles of `banana` are in `bandana`, but the union holds those of `bandana` "
                               "too."),
                  Mistake(3 / 8, "The common shingles were counted twice below the line: a union holds them once."))),
    Exercise(
        "Jaccard from scratch", """
        Write `similarity(one, other, n)`: the Jaccard similarity of the shingles of `n` characters of two texts. Take
        the texts as they are, without a normal form.
        """, similarity, inputs=_two_texts,
        hints=("The runs of `n` characters start at 0, 1, 2, ..., `len(text) - n`.",
               "`{text[i:i + n] for i in range(len(text) - n + 1)}`, then `len(a & b) / len(a | b)`."),
        mistakes=(Mistake(_one_short, "The last shingle is missing: the last start is `len(text) - n`, and `range` "
                                      "stops before its end."),
                  Mistake(_side_by_side, "The pieces lie side by side. Shingles overlap: one starts at each "
                                         "character."),
                  Mistake(_dice, "Dividing by the sum of the sizes counts common shingles twice; divide by the union."),
                  Mistake(_letters, "It compares single letters; the order inside a run of `n` is lost."),
                  Mistake(_share_of_first, "It divides by the shingles of one text alone, so swapping the texts "
                                           "changes the result."))),
    Exercise(
        "A MinHash signature", """
        The shingles of a text are given as numbers, `hashes`. Write `minhash(hashes, a, b)`: entry `k` of the signature
        is the smallest number after the scramble `a[k] * h + b[k]`. All three are arrays of numpy's `uint32`, whose
        arithmetic is modulo 2**32 by itself.
        """, minhash, inputs=_odd_numbers, imports="import numpy as np",
        hints=("Every permutation needs all hashes: make a table with a row a permutation and a column a shingle.",
               "`a[:, None] * hashes + b[:, None]` has the shape (permutations, shingles); take the minimum of each "
               "row."),
        mistakes=(Mistake(_smallest_first, "It takes the minimum first and scrambles it afterwards, so the same "
                                           "shingle wins in each permutation. Scramble all of them, then take the "
                                           "minimum."),
                  Mistake(_which_one, "It gives the place of the smallest number, and places differ from text to text. "
                                      "The signature holds the numbers themselves."),
                  Mistake(_of_shingles, "The minimum runs over the permutations and leaves one number for each "
                                        "shingle. A signature has one number for each permutation."),
                  Mistake(_never_wraps, "The numbers grow past 32 bits. Without the wrap-around, `a * h + b` keeps the "
                                        "order of the hashes, and the same shingle wins each time."))),
    Exercise(
        "Meet in a band", """
        Write `candidates(signatures, rows)`: the set of pairs `(i, j)` with `i < j` whose signatures agree in **all**
        numbers of **at least one** band. The bands lie side by side, each `rows` numbers wide.
        """, candidates, inputs=_signatures,
        hints=("Go through the bands one by one, and put each text into a bucket whose key is its band.",
               "A list cannot be a key: `tuple(signature[start:start + rows])`. Begin each band with empty buckets; "
               "all earlier texts of a bucket pair with the new one."),
        mistakes=(Mistake(_any_number, "One equal number is enough here. A whole band must agree, or nearly every pair "
                                       "becomes a candidate."),
                  Mistake(_all_bands, "All bands must agree here, so only equal signatures meet. One band is enough."),
                  Mistake(_any_place, "A band of one text is compared with other bands of the other. Band 1 and band 2 "
                                      "hold different permutations, so each band needs buckets of its own."),
                  Mistake(_enough_numbers, "It counts equal numbers wherever they stand. They must fill one band."))),
    Exercise(
        "One of each", """
        `drop_extra(texts, pairs)` is to keep the first text of each cluster and all texts that resemble none. For some
        pairs it keeps two texts of one cluster. Mend it.
        """, drop_extra, kind="mend", inputs=_chains,
        hints=("Try `drop_extra(3, [(0, 2), (1, 2)])`: text 2 ties 0 and 1 together, so only text 0 should stay.",
               "Let each text point to a smaller one of its cluster, and follow the pointers to the top before you "
               "join two of them."),
        mistakes=(Mistake(_second_of_pair, "Two texts that resemble a third both stay if neither is the second of a "
                                           "pair. Clusters hang together over several steps."),
                  Mistake(_both_of_pair, "Both texts of a pair leave, so nothing of a cluster remains. One must stay."),
                  Mistake(_only_clusters, "Texts that resemble no other are gone too; they were never extra."),
                  Mistake(_last_of_cluster, "It keeps the last of each cluster, not the first."))),
    Exercise(
        "Which threshold?", """
        Take the tweets after `clean` and `decontaminate`. Drop one random word from each test tweet and plant the
        result in training. For the thresholds 0.8, 0.65 and 0.5, measure which share of the planted copies
        `contamination` catches, and which share of the honest training tweets it would take away. `best` is the
        threshold that catches the most while it loses at most 0.01 of the honest ones.
        """, compare_thresholds, kind="decide", verify=_judge,
        imports="import random\n\nfrom llmcourse.data import load_data\n"
                "from llmcourse.deduplication import contamination, decontaminate\n"
                "from llmcourse.preprocessing import clean",
        stub='answer = {"caught": {0.8: ..., 0.65: ..., 0.5: ...}, "lost": {0.8: ..., 0.65: ..., 0.5: ...}, "best": '
             '...}',
        hints=("`contamination(honest + planted, test, threshold)` gives pairs; the first number of each is an index "
               "in `honest + planted`.",
               "An index of at least `len(honest)` is a planted copy. Count each index once, whatever the number of "
               "its twins."),
        mistakes=(Mistake(_FIGURES | {"best": 0.5}, "at most 0.01 lost and then the most caught"),
                  Mistake(_FIGURES | {"lost": {0.8: 0.3, 0.65: 0.4, 0.5: 0.5}}, "count in `lost` only the tweets that "
                                                                                "you did not plant"),
                  Mistake(_FIGURES | {"caught": {0.8: 0.95, 0.65: 0.9, 0.5: 0.8}}, "are the thresholds mixed up?"),
                  Mistake(_FIGURES | {"caught": {0.8: 650, 0.65: 750, 0.5: 800}}, "divide by the number planted"))),
]

QUESTIONS = [
    Question("A test sentence has a twin in training. Which of the two should go?",
             ("The one in training.",
              "The test is the question, and it stays as it was asked. What answers it beforehand must leave the "
              "training set."),
             (("The one in the test.", "Then every copy in training would change the test, and scores of two training "
                                       "sets could not be compared."),
              ("Both of them.",
               "The test would again depend on what is in training. It is enough that training loses its "
                                "copy."))),
    Question("Why does the share of equal numbers in two signatures estimate the Jaccard similarity?",
             ("They agree where the first shingle of a random order is common to both.",
              "Each shingle of the two texts is equally likely to be first, so the chance is the number of common "
              "shingles over the number of all."),
             (("They agree where two shingles are alike, as their hashes are then.",
               "One changed letter gives a quite different hash. Only equal shingles give equal numbers."),
              ("They agree where both texts have the same frequent shingles.",
               "Frequency plays no part. It keeps the smallest number of each of 128 random orders."))),
    Question("You cut signatures of 128 numbers into bands of 16 in place of 8. What happens to the candidates?",
             ("There are fewer, and more true pairs are missed.",
              "All 16 numbers must agree, which has the probability s**16, and there are only 8 bands to try."),
             (("There are more, as a wider band holds more numbers.",
               "A wider band is harder to agree on: each number in it must be equal."),
              ("Nothing changes, as the signature is the same.",
               "The estimate is the same, but candidates meet in bands, and the S-curve moves to the right."))),
    Question("You drop the duplicates and macro-F1 on the test stays the same. What follows?",
             ("Little; the leaked sentences may have been easy.",
              "Both models had every contaminated tweet right, while the log loss told them apart. Look at the "
              "probabilities, and at the leaked part alone."),
             (("There was no contamination to speak of.", "37 of 827 test tweets had a twin in training, and macro-F1 "
                                                          "did not show it."),
              ("Duplicates between training and test do no harm.", "Planted copies of the whole test lifted the same "
                                                                   "model from 0.58 to 0.99."))),
    Question("`the battery is good` and `the battery is not good` have a high Jaccard similarity. What helps?",
             ("A rule that counts the negations of both.",
              "It looks at the words themselves. A `not` changes no more shingles than a typing error does, so no "
              "measure of common shingles can tell."),
             (("A higher threshold for the similarity.", "Then harmless typing errors fall below it too: both edits "
                                                         "change as many shingles."),
              ("More permutations in the signature.",
               "They estimate the same Jaccard similarity more exactly, and that one is high."))),
]
