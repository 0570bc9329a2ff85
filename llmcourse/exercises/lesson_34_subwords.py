"How others cut text."
import math
from collections import Counter
from itertools import product

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.subwords import Unigram, wordpiece

def two_cuts() -> dict:
    "The longest beginning first, against the cheapest cut of all."
    vocabulary = {"re", "read", "reada", "##able", "##ble", "##ad"}
    bits = {"re": 4, "read": 3, "reada": 4, "able": 3, "ble": 4, "ad": 5, **dict.fromkeys("readbl", 6)}
    log_p = {piece: -cost * math.log(2) for piece, cost in bits.items()}
    return {"WordPiece": wordpiece("readable", vocabulary),     # reada is the longest beginning; ##ble is left
            "Unigram": Unigram(log_p).cut("readable")}          # read able: 3 + 3 = 6 bits; reada ble: 4 + 4 = 8


def wordpieces(word: str, vocabulary: set[str]) -> list[str]:
    "The longest piece that fits, from the left; pieces inside a word are written with ##."
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(start + 1, len(word) + 1) if mark + word[start:end] in vocabulary]
        if not ends: return ["[UNK]"]                          # one gap, and the whole word is unknown
        pieces.append(mark + word[start:ends[-1]])
        start = ends[-1]
    return pieces


def _shortest(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((end for end in range(start + 1, len(word) + 1) if mark + word[start:end] in vocabulary), None)
        if end is None: return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces
def _unknown_letter(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(start + 1, len(word) + 1) if mark + word[start:end] in vocabulary]
        pieces.append(mark + word[start:ends[-1]] if ends else "[UNK]")
        start = ends[-1] if ends else start + 1
    return pieces
def _no_marks(word, vocabulary): return [piece.removeprefix("##") for piece in wordpieces(word, vocabulary)]
def _marks_forgotten(word, vocabulary):
    either = {piece.removeprefix("##") for piece in vocabulary}
    cut = wordpieces(word, either | {"##" + piece for piece in either})
    return cut
def _goes_back(word, vocabulary):
    if not word: return []
    def cuts(start):
        if start == len(word): yield []
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                for rest in cuts(end): yield [piece, *rest]
    return next(cuts(0), ["[UNK]"])


def _word_and_pieces(rng):
    if rng.random() < 0.4:                             # the longest beginning leads into a dead end
        x, y, z = rng.permutation([*"abc"]).tolist()
        return x + y + z, {x, x + y, f"##{y}{z}", f"##{x}"}
    inner = ["".join(p) for n in (1, 2, 3) for p in product("ab", repeat=n)]
    vocabulary = {str(piece) for piece in rng.choice(inner, size=5, replace=False)}
    vocabulary |= {"##" + str(piece) for piece in rng.choice(inner, size=6, replace=False)}
    vocabulary |= {"a", "##b"} if rng.random() < 0.5 else {"b", "##a"}
    return "".join(rng.choice([*"ab"], size=rng.integers(3, 8))), vocabulary


def cheapest(word: str, bits: dict[str, float]) -> list[str]:
    "The pieces of the cheapest cut; each piece costs its bits, and every letter is a piece."
    best = [(0.0, 0)] + [(math.inf, 0)] * len(word)            # at each position: cost so far, where it came from
    for end in range(1, len(word) + 1):
        for start in range(end):
            if word[start:end] in bits:
                cost = best[start][0] + bits[word[start:end]]  # the best way to start, and one piece more
                if cost < best[end][0]: best[end] = cost, start
    pieces, end = [], len(word)
    while end:                                                 # walk back from the end
        pieces.append(word[best[end][1]:end])
        end = best[end][1]
    return pieces[::-1]


def _greedy(word, bits):
    pieces = []
    while word:
        size = max(n for n in range(1, len(word) + 1) if word[:n] in bits)
        pieces, word = [*pieces, word[:size]], word[size:]
    return pieces
def _cheapest_next(word, bits):
    pieces = []
    while word:
        size = min((n for n in range(1, len(word) + 1) if word[:n] in bits), key=lambda n: bits[word[:n]] / n)
        pieces, word = [*pieces, word[:size]], word[size:]
    return pieces
def _fewest(word, bits): return cheapest(word, {piece: 1 + 1e-6 * cost for piece, cost in bits.items()})
def _backwards(word, bits): return cheapest(word, bits)[::-1]
def _dearest(word, bits): return cheapest(word, {piece: 100 * len(piece) - cost for piece, cost in bits.items()})


def _word_and_bits(rng):
    word = "".join(rng.choice([*"abc"], size=8))
    bits = {letter: round(float(rng.uniform(4, 6)), 1) for letter in "abc"}
    spans = [(start, start + size) for size in (2, 3, 4) for start in range(9 - size)]
    for n in rng.permutation(len(spans))[:10]:
        start, end = spans[n]
        bits.setdefault(word[start:end], round(float(rng.uniform(2.5, 4.5) * (end - start)), 1))
    return word, bits


def text_of(pieces: list[str]) -> str:
    "The text of SentencePiece's pieces, where a space is written as ▁ and one stands before the text."
    return "".join(pieces).replace("▁", " ").removeprefix(" ")  # only the one that was put there


def _stripped(pieces):
    "The text of SentencePiece's pieces, where a space is written as ▁ and one stands before the text."
    return "".join(pieces).replace("▁", " ").strip()


def _all_first(pieces): return "".join(pieces).replace("▁", " ").lstrip()
def _kept(pieces): return "".join(pieces).replace("▁", " ")
def _joined_by_spaces(pieces): return " ".join(piece.removeprefix("▁") for piece in pieces)


def _some_pieces(rng):
    first = ["▁", "▁so"] if rng.random() < 0.5 else ["▁so"]
    middle = [str(piece) for piece in rng.choice(["▁good", "ing", "▁", "▁it", "s", "."], size=4)]
    return ([*first, *middle, *["▁"] * int(rng.integers(0, 3))],)


def draw_cuts() -> dict:
    "Ten thousand random cuts of *unable*, each drawn with its share of the probability."
    bits = {**dict.fromkeys("unable", 5), "un": 3, "una": 4, "able": 3, "ble": 3}
    word, rng, draws = "unable", np.random.default_rng(0), Counter()
    forward = [1.0] + [0.0] * len(word)                         # the probability of all ways to a position
    for end in range(1, len(word) + 1):
        forward[end] = sum(forward[start] * 2.0**-bits[word[start:end]] for start in range(end)
                           if word[start:end] in bits)
    for _ in range(10_000):
        pieces, end = [], len(word)
        while end:                                              # from the end: which piece was the last?
            starts = [start for start in range(end) if word[start:end] in bits]
            weights = [forward[start] * 2.0**-bits[word[start:end]] for start in starts]
            start = rng.choice(starts, p=np.array(weights) / forward[end])
            pieces, end = [word[start:end], *pieces], int(start)
        draws[" ".join(pieces)] += 1
    return {"draws": dict(draws), "un able for each una ble": draws["un able"] / draws["una ble"],
            "what a bit more means": "half as often"}


def _judge_draws(answer) -> str:
    "Whether the cuts were drawn by their probability, and whether the conclusion follows."
    draws, ratio = answer["draws"], answer["un able for each una ble"]
    if any(cut.replace(" ", "") != "unable" for cut in draws): return "each cut is unable with spaces in it"
    if sum(draws.values()) < 5000: return "with so few draws chance decides; draw 10,000 times"
    if len(draws) < 4: return ("only the most probable cuts came; at each position draw among all pieces that end "
                               "there, each with the weight forward × probability")
    if draws.get("un able", 0) < 0.6 * sum(draws.values()):
        return ("un able should be some two thirds of all draws; were pieces drawn with equal weights, or without the "
                "forward sums?")
    if abs(ratio - draws["un able"] / max(draws.get("una ble", 0), 1)) > 0.01: return "the ratio does not fit the draws"
    if answer["what a bit more means"] != "half as often": return "una ble costs one bit more; look at your ratio"
    return ""


def _drawn(able=6550, ble=3250, others=(150, 50), ratio=None, means="half as often"):
    draws = {"un able": able, "una ble": ble, "un a ble": others[0], "u n able": others[1]}
    return {"draws": {cut: n for cut, n in draws.items() if n}, "un able for each una ble": ratio or able / ble,
            "what a bit more means": means}


EXERCISES = [
    Exercise(
        "Two algorithms, one word", """
        How is *readable* cut? WordPiece has the pieces `re`, `read` and `reada` for the beginning of a word, and
        `##able`, `##ble`, `##ad` for the rest. Unigram has the same pieces without `##`, each with its cost in bits:
        `{"re": 4, "read": 3, "reada": 4, "able": 3, "ble": 4, "ad": 5}`; a single letter costs 6. Answer with the list
        of pieces of each.
        """, two_cuts, kind="predict", imports="import math\nfrom llmcourse.subwords import Unigram, wordpiece",
        stub='answer = {"WordPiece": [...], "Unigram": [...]}',
        hints=("WordPiece takes the longest beginning that it knows, and never goes back.",
               "Unigram adds up the bits of each whole cut: *reada ble* costs 4 + 4."),
        mistakes=(Mistake({"WordPiece": ["read", "##able"], "Unigram": ["read", "able"]},
                          "WordPiece does not look ahead: it takes the longest beginning, whatever is left."),
                  Mistake({"WordPiece": ["reada", "##ble"], "Unigram": ["reada", "ble"]},
                          "Unigram takes the cheapest of all cuts, not the longest beginning."),
                  Mistake({"WordPiece": ["reada", "ble"], "Unigram": ["read", "able"]},
                          "The cuts are right. WordPiece writes a piece inside a word with ## before it."),
                  Mistake({"WordPiece": ["re", "##ad", "##able"], "Unigram": ["re", "ad", "able"]},
                          "Both take fewer pieces: WordPiece as long a beginning as it can, Unigram the lowest "
                          "cost."))),
    Exercise(
        "The longest piece that fits", """
        Write `wordpieces`: from the left, take the longest piece that is in the vocabulary, and go on behind it. Inside
        a word a piece is written with `##` before it. If at some place nothing fits, the whole word is `["[UNK]"]`.
        """, wordpieces, inputs=_word_and_pieces,
        hints=("Keep a `start`. At each turn look for the largest `end` with `word[start:end]` in the vocabulary.",
               "`mark = \"##\" if start else \"\"`, and look for `mark + word[start:end]`.",
               "No such end: `return [\"[UNK]\"]`. Otherwise append the piece and set `start = end`."),
        mistakes=(Mistake(_shortest, "It takes the shortest piece that fits. Try the ends from the right."),
                  Mistake(_unknown_letter, "One place where nothing fits makes the whole word unknown, not only one "
                                           "letter."),
                  Mistake(_no_marks, "Pieces inside a word keep their ##."),
                  Mistake(_marks_forgotten, "`ab` may only begin a word and `##ab` only stand inside: they are two "
                                            "pieces."),
                  Mistake(_goes_back, "It goes back when it is stuck, and finds a cut. WordPiece never does: the word "
                          "is unknown."))),
    Exercise(
        "The cheapest cut", """
        Write `cheapest`, the Viterbi algorithm of Unigram: each piece costs its bits, the bits of a cut add up, and the
        cheapest cut wins. Every letter is a piece. Do not try all cuts: walk from left to right, and keep for each
        position the lowest cost to get there and where the last piece began.
        """, cheapest, inputs=_word_and_bits, imports="import math",
        hints=("`best[0]` costs nothing; `best[end]` is the smallest `best[start] + bits[word[start:end]]`.",
               "Store the `start` beside the cost: `best[end] = cost, start`.",
               "At the end walk back: the last piece is `word[best[end][1]:end]`; go on at its start. Then turn the "
               "list."),
        mistakes=(Mistake(_greedy, "It takes the longest piece that fits, as WordPiece does. A cheaper cut may begin "
                          "with a shorter one."),
                  Mistake(_cheapest_next, "It takes the piece that is cheapest for each of its letters, without "
                          "looking at what is left."),
                  Mistake(_fewest, "It takes as few pieces as possible. What counts is the sum of their bits."),
                  Mistake(_backwards, "The pieces are right and in the wrong order: walking back gives the last one "
                                      "first."),
                  Mistake(_dearest, "It prefers many bits. A piece of few bits is probable, so the smallest sum "
                                    "wins."))),
    Exercise(
        "Spaces that vanish", """
        SentencePiece writes a space as `▁` and puts one before the text. `text_of` puts pieces together again, and some
        texts come back shorter than they were. Mend it.
        """, text_of, kind="mend", inputs=_some_pieces,
        hints=("Try a text that ends with a space, and one that begins with two.",
               "`removeprefix` takes away one thing, once; `strip` takes all spaces on both sides."),
        mistakes=(Mistake(_stripped, "A text that ends with a space comes back without it; so does one that begins "
                          "with several. Only one space was put there."),
                  Mistake(_all_first, "All spaces at the beginning are gone. Only one of them was put there."),
                  Mistake(_kept, "The space that was put before the text is still there."),
                  Mistake(_joined_by_spaces, "It puts a space between all pieces. Only where ▁ stands was one."))),
    Exercise(
        "Is one bit more half as often?", """
        In training, Unigram can draw a new cut each time (*subword regularization*), each with its share of the word's
        probability $2^{-\\text{bits}}$. Draw 10,000 cuts of *unable* with the ten pieces of the lesson: its six letters
        at 5 bits, `un` 3, `una` 4, `able` 3, `ble` 3. First compute, for each position, the sum of the probabilities of
        all ways to it (forward). Then walk from the end: choose the last piece among all that end there, with the
        weight forward of its start × its probability. Give the `draws` as a dictionary from cuts such as `"un able"` to
        counts, their ratio, and `what a bit more means`: `"half as often"`, `"one less in ten"` or `"never"`.
        """, draw_cuts, kind="decide", verify=_judge_draws,
        imports="from collections import Counter\nimport numpy as np",
        stub='''
        answer = {
            "draws": ...,
            "un able for each una ble": ...,
            "what a bit more means": ...,
        }
        ''',
        hints=("`forward[0]` is 1. `forward[end]` is the sum of `forward[start] * 2.0**-bits[word[start:end]]` over "
               "all pieces that end there.",
               "`rng.choice(starts, p=weights / weights.sum())` draws where the last piece begins; go on there until "
               "0.",
               "`Counter` counts the cuts: `draws[\" \".join(pieces)] += 1`."),
        mistakes=(Mistake(_drawn(655, 325, (15, 5)), "with so few draws chance decides"),
                  Mistake(_drawn(10_000, 0, (0, 0), ratio=2.0), "only the most probable cuts came"),
                  Mistake(_drawn(3300, 3300, (1700, 1700)), "were pieces drawn with equal weights"),
                  Mistake(_drawn(means="never"), "look at your ratio"))),
]

QUESTIONS = [
    Question("Why is `great👍` one `[UNK]` for MiniLM, and no loss for GPT-2?",
             ("WordPiece needs a piece for every sign; bytes cover all signs.",
              "One sign without a piece makes the whole word unknown. GPT-2's BPE falls back to the four bytes."),
             (("MiniLM has fewer pieces than GPT-2.",
               "30,522 to 50,257: but a larger vocabulary without that emoji would fail as well."),
              ("GPT-2 was trained on text with emoji.",
               "It was, but even an emoji that it never saw can be written with bytes."))),
    Question("A prompt for GPT-2 ends with a space. Why is that a mistake?",
             ("The next word would have to begin without its space.",
              "*␣good* is one token. After a lone space the model must choose *good*, which is rare at the start of a "
              "word."),
             (("The space is dropped, and two words run together.",
               "Byte-level BPE drops nothing; it is WordPiece that loses spaces."),
              ("A space costs as much as a word.",
               "It costs one token. What matters is which token can follow."))),
    Question("WordPiece needs 0.89 tokens for a Chinese character, GPT-2 1.83. Is WordPiece better at Chinese?",
             ("No: most of its tokens are `[UNK]`.",
              "A count of tokens says nothing while two thirds of them stand for anything at all."),
             (("Yes: the same text in half the tokens.",
               "It is not the same text: what became `[UNK]` is lost."),
              ("No: Chinese should be counted by words.",
               "Another unit does not help; what is lost stays lost."))),
    Question("Why does EM alone not find pieces that words share?",
             ("Nothing is more likely than a piece for each word.",
              "Only the limit on the vocabulary forces words to share, so pieces are pruned between the rounds of EM."),
             (("EM makes the text less likely with each step.",
               "It never does; this is the promise that we used as a test."),
              ("EM can only count letters.",
               "It counts all substrings, weighted by the share of each cut."))),
]
