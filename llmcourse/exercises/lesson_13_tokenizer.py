"Turn text into numbers."
import inspect
import math
from collections import Counter
from itertools import chain

from llmcourse.data import load_data
from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.tokenizer import END, train_tokenizer

def first_merges() -> list:
    "Count, join, and count again: the first join changes the pairs of the second."
    words = {"hug": 7, "hugs": 2, "pug": 3, "pun": 10, "bun": 6}
    cuts, merges = {word: list(word) for word in words}, []
    for _ in range(2):
        counts = Counter()
        for word, cut in cuts.items():
            for pair in zip(cut, cut[1:]): counts[pair] += words[word]    # first: u n 16, p u 13, u g 12
        (left, right), _ = counts.most_common(1)[0]                      # second: u g 12, p un 10, h u 9
        merges.append((left, right))
        for word, cut in cuts.items():
            at = next((i for i, pair in enumerate(zip(cut, cut[1:])) if pair == (left, right)), None)
            if at is not None: cut[at:at + 2] = [left + right]
    return merges


def count_pairs(cuts: list[list[str]], times: list[int]) -> dict:
    "How often each pair of neighbours occurs: word n is cut into the tokens cuts[n] and occurs times[n] times."
    counts = {}
    for cut, often in zip(cuts, times):
        for pair in zip(cut, cut[1:]):                                   # neighbours within one word
            counts[pair] = counts.get(pair, 0) + often
    return counts


def _each_word_once(cuts, times): return count_pairs(cuts, [1] * len(times))
def _once_a_word(cuts, times):
    counts = Counter()
    for cut, often in zip(cuts, times):
        for pair in set(zip(cut, cut[1:])): counts[pair] += often
    return dict(counts)
def _across_words(cuts, times): return count_pairs([[token for cut in cuts for token in cut]], [1])
def _any_two(cuts, times):
    counts = Counter()
    for cut, often in zip(cuts, times):
        for i, left in enumerate(cut):
            for right in cut[i + 1:]: counts[left, right] += often
    return dict(counts)


def _some_words(rng):
    cuts = [rng.choice(["a", "b", "ab", "c"], size=rng.integers(3, 6)).tolist() for _ in range(rng.integers(2, 4))]
    cuts[0] = [*cuts[0][:2], *cuts[0][:2]]                               # a pair that comes twice in a word
    return cuts, rng.integers(2, 9, size=len(cuts)).tolist()


def cut(word: str, merges: list[tuple[str, str]]) -> list[str]:
    "The tokens of a word: join pairs that have a merge, the earliest learned first, until no pair has one."
    rank = {pair: n for n, pair in enumerate(merges)}
    tokens = list(word)
    while pairs := [pair for pair in zip(tokens, tokens[1:]) if pair in rank]:
        tokens = joined(tokens, min(pairs, key=rank.get))               # the lowest rank was learned first
    return tokens


def joined(tokens, pair):
    "Join a pair wherever it stands, from left to right."
    found = []
    for token in tokens:
        if found and (found[-1], token) == tuple(pair): found[-1] += token
        else: found.append(token)
    return found


def _longest_first(word, merges):
    known, tokens = {left + right for left, right in merges}, []
    while word:
        size = next((n for n in range(len(word), 1, -1) if word[:n] in known), 1)
        tokens, word = [*tokens, word[:size]], word[size:]
    return tokens
def _leftmost(word, merges):
    tokens = list(word)
    while pairs := [pair for pair in zip(tokens, tokens[1:]) if pair in merges]: tokens = joined(tokens, pairs[0])
    return tokens
def _latest(word, merges): return cut(word, merges[::-1])
def _one_join(word, merges):
    rank, tokens = {pair: n for n, pair in enumerate(merges)}, list(word)
    pairs = [pair for pair in zip(tokens, tokens[1:]) if pair in rank]
    return joined(tokens, min(pairs, key=rank.get)) if pairs else tokens


def _word_and_merges(rng):
    x, y, z = rng.permutation([*"abc"]).tolist()
    tokens, merges = [*"abc", y + z, x + y], [(y, z), (x, y)]            # in xyz, the pair on the right goes first
    while len(merges) < 6:
        pair = tuple(rng.choice(tokens, size=2).tolist())
        if "".join(pair) not in tokens:
            merges.append(pair)
            tokens.append("".join(pair))
    return "".join([*rng.choice([*"abc"], size=4), x, y, z, *rng.choice([*"abc"], size=4)]), merges


def decode(tokens: list[bytes]) -> str:
    "The text of some tokens, where bytes that are not UTF-8 become U+FFFD."
    return b"".join(tokens).decode("utf-8", errors="replace")            # a character may lie across two tokens


def _decode_each(tokens):
    "The text of some tokens, where bytes that are not UTF-8 become U+FFFD."
    return "".join(token.decode("utf-8", errors="replace") for token in tokens)


def _decode_ignoring(tokens): return b"".join(tokens).decode("utf-8", errors="ignore")
def _decode_strictly(tokens): return b"".join(tokens).decode("utf-8")
def _decode_latin(tokens): return b"".join(tokens).decode("latin-1")


def _some_tokens(rng):
    text = "".join(rng.choice([*"aé字👍o "], size=5)) + "é字"
    data = text.encode()[:-int(rng.integers(1, 3))]                       # stops within the last character
    cuts = [0, *sorted(rng.choice(len(data) - 1, size=5, replace=False) + 1), len(data)]
    return ([data[i:j] for i, j in zip(cuts, cuts[1:])],)


def bits_per_byte(losses: list[float], text: str) -> float:
    "What a text costs: `losses` holds the loss of each of its tokens, -ln p, in nats."
    bits = sum(losses) / math.log(2)                                     # one bit is ln 2 = 0.693 nats
    return bits / len(text.encode("utf-8"))                              # the same bytes for every tokenizer


def _nats(losses, text): return sum(losses) / len(text.encode())
def _per_token(losses, text): return sum(losses) / math.log(2) / len(losses)
def _per_character(losses, text): return sum(losses) / math.log(2) / len(text)
def _mean_per_byte(losses, text): return sum(losses) / len(losses) / math.log(2) / len(text.encode())


def _losses_of_a_text(rng):
    text = "".join(rng.choice([*"abé字👍"], size=rng.integers(6, 12)))
    return rng.uniform(0.5, 6, size=rng.integers(3, 6)).round(1).tolist(), text


def measure_abroad() -> dict:
    "Bytes per token of two tokenizers, each on its own kind of text and on the other's."
    texts = {source: load_data(source) for source in ("movies", "tweets")}
    carried = {}
    for trained_on, data in texts.items():
        tokenizer = train_tokenizer(data["train"]["text"][:3000], 1024)  # as many texts of both
        for measured_on, other in texts.items():
            sample = list(other["validation"]["text"])
            ids = tokenizer(sample, add_special_tokens=False).input_ids
            carried[trained_on, measured_on] = sum(len(t.encode()) for t in sample) / sum(map(len, ids))
    extra = {text: carried[text, text] / carried[other, text] - 1        # tokens = bytes / (bytes per token)
             for text, other in (("movies", "tweets"), ("tweets", "movies"))}
    return {"bytes per token": carried, "extra tokens": extra, "dearer abroad": max(extra, key=extra.get)}


KINDS = ("movies", "tweets")


def _judge_abroad(answer) -> str:
    "Whether the figures can be right, and whether the choice follows from them."
    carried, extra = answer["bytes per token"], answer["extra tokens"]
    if set(carried) != {(a, b) for a in KINDS for b in KINDS} or set(extra) != set(KINDS):
        return "four pairs (trained on, measured on) are needed, and the extra tokens of both kinds of text"
    if any(value < 1 for value in carried.values()):
        return "a token carries at least one byte; is the division the wrong way round, tokens per byte?"
    for text, other in (("movies", "tweets"), ("tweets", "movies")):
        if carried[text, text] <= carried[other, text]:
            return f"on {text}, the tokenizer trained on {text} should carry more; look at the order of the keys"
    for text, other in (("movies", "tweets"), ("tweets", "movies")):
        if abs(extra[text] - (carried[text, text] / carried[other, text] - 1)) > 0.005:
            return "tokens are bytes divided by bytes per token; the extra share is the tokens abroad / at home, less 1"
    if answer["dearer abroad"] != max(extra, key=extra.get): return "your own figures name the other kind; follow them"
    return ""


def _abroad(home=3.2, film_by_tweets=2.8, tweets_by_film=2.4, home_tweets=3.0, extra=None, choice="tweets"):
    found = {"movies": home / film_by_tweets - 1, "tweets": home_tweets / tweets_by_film - 1}
    return {"bytes per token": {("movies", "movies"): home, ("tweets", "movies"): film_by_tweets,
                                ("movies", "tweets"): tweets_by_film, ("tweets", "tweets"): home_tweets},
            "extra tokens": extra or found, "dearer abroad": choice}


def choose_size() -> dict:
    "What a larger vocabulary saves in tokens, and how many of its tokens are seldom seen."
    train, unseen = (list(load_data("tweets")[split]["text"]) for split in ("train", "validation"))
    carried, rare = {}, {}
    for size in (512, 1024, 2048, 4096):
        tokenizer = train_tokenizer(train, size)
        ids = tokenizer(unseen, add_special_tokens=False).input_ids
        carried[size] = sum(len(t.encode()) for t in unseen) / sum(map(len, ids))
        seen = Counter(chain.from_iterable(tokenizer(train, add_special_tokens=False).input_ids))
        rare[size] = sum(seen[token] < 20 for token in range(size)) / size
    return {"bytes per token": carried, "rare": rare, "size": max(size for size in rare if rare[size] <= 0.25)}


SIZES = (512, 1024, 2048, 4096)


def _judge_size(answer) -> str:
    "Whether the figures can be right, and whether the choice follows from them."
    carried, rare = answer["bytes per token"], answer["rare"]
    if sorted(carried) != sorted(SIZES) or sorted(rare) != sorted(SIZES): return f"measure all of {SIZES}"
    if any(carried[a] >= carried[b] for a, b in zip(SIZES, SIZES[1:])):
        return "a larger vocabulary carries more bytes per token; compare figures of the same validation text"
    if not all(0 <= rare[size] <= 1 for size in SIZES): return "`rare` is a share of the vocabulary, between 0 and 1"
    if rare[4096] < 0.5: return ("more than half of 4,096 tokens are rare; count the tokens that never occur too, "
                                 "and divide by the size of the vocabulary, not by the length of the text")
    largest = max((size for size in SIZES if rare[size] <= 0.25), default=None)
    if answer["size"] != largest:
        return "your figures say otherwise: the size is the largest of which at most a quarter is rare"
    return ""


def _sized(size=1024, rare=(0.1, 0.15, 0.4, 0.7), carried=(2.0, 2.5, 2.9, 3.2)):
    return {"bytes per token": dict(zip(SIZES, carried)), "rare": dict(zip(SIZES, rare)), "size": size}


EXERCISES = [
    Exercise(
        "Two merges by hand", """
        Five words, with how often each occurs: `{"hug": 7, "hugs": 2, "pug": 3, "pun": 10, "bun": 6}`. At the start
        each letter is a token. Which two pairs does byte-pair encoding join first? Use pencil and paper: write the
        count of each pair, join, and count again. Answer with two pairs of tokens, such as `[("a", "b"), ("ab", "c")]`.
        """, first_merges, kind="predict", imports="from collections import Counter",
        stub="answer = [(..., ...), (..., ...)]",
        hints=("`u g` stands in *hug*, *hugs* and *pug*, so it counts 7 + 2 + 3 = 12.",
               "The first pair is `u n`, with 10 + 6. Then `un` is one token: which counts change in *pun* and *bun*?"),
        mistakes=(Mistake([("u", "n"), ("p", "u")],
                          "The second pair is counted as before the first join. In *pun* the `u` is now part of `un`."),
                  Mistake([("u", "g"), ("u", "n")],
                          "That counts each word once. A word that occurs 10 times gives its pairs 10 times."),
                  Mistake([("u", "n"), ("p", "un")],
                          "It goes on in the words just joined. The second pair is the most frequent of all words."),
                  Mistake([("p", "u"), ("pu", "n")],
                          "It builds the most frequent word. What counts is the pair, over all words that hold it."))),
    Exercise(
        "Count the pairs", """
        The heart of the trainer: write `count_pairs`. It gives a dictionary from pairs of neighbours, such as `("a",
        "b")`, to how often they occur in the text.
        """, count_pairs, inputs=_some_words,
        hints=("`zip(cut, cut[1:])` gives the neighbours in one word.",
               "Loop over `zip(cuts, times)`; for each pair of a word, add the number of times the word occurs.",
               "`counts[pair] = counts.get(pair, 0) + often` adds to a count that may not be there yet."),
        mistakes=(Mistake(_each_word_once, "Each word is counted once, however often it occurs; use `times`."),
                  Mistake(_once_a_word, "A pair that stands twice in a word counts twice."),
                  Mistake(_across_words, "It counts pairs across the border of two words, and forgets `times`."),
                  Mistake(_any_two, "Neighbours only: it also counts tokens with others between them."))),
    Exercise(
        "Cut a new word", """
        Write `cut`: start from the letters of the word; look at all pairs of neighbours that have a merge; join the one
        that was learned first, wherever it stands, from left to right; look again. For simplicity the tokens are
        letters, not bytes.
        """, cut, inputs=_word_and_merges, rounds=24,
        stub=inspect.getsource(joined) + """

def cut(word: str, merges: list[tuple[str, str]]) -> list[str]:
    "The tokens of a word: join pairs that have a merge, the earliest learned first, until no pair has one."
    ...
""",
        hints=("Make a dictionary from each merge to its place in the list: its rank.",
               "In a `while` loop, collect the pairs of `zip(tokens, tokens[1:])` that have a rank; stop if there is "
               "none.",
               "`min(pairs, key=rank.get)` is the pair that was learned first; `joined` joins it."),
        mistakes=(Mistake(_longest_first, "It takes the longest token that fits. Merges are applied in the order "
                          "learned, which often gives other tokens, and the model has only seen those."),
                  Mistake(_leftmost, "It joins the leftmost pair that has a merge; the earliest learned goes first."),
                  Mistake(_latest, "It joins the pair learned last. The lowest rank goes first."),
                  Mistake(_one_join, "It stops after one pair. A join makes new pairs: look again until none is "
                                     "left."))),
    Exercise(
        "Bytes that lie across tokens", """
        A chat program decodes one token after another. Its users complain about signs like � in names and emoji. Mend
        `decode`.
        """, decode, kind="mend", inputs=_some_tokens,
        hints=("The two bytes of é can lie in two tokens. What does each decode to by itself?",
               "Put all bytes together first, then decode once."),
        mistakes=(Mistake(_decode_each, "A letter like é comes out as two �, though all its bytes are there: they lie "
                          "in two tokens, and neither is a character by itself."),
                  Mistake(_decode_ignoring, "The unfinished character at the end vanishes. A reader should see that "
                          "something is missing."),
                  Mistake(_decode_strictly, "A model may stop within a character; that must not be an error."),
                  Mistake(_decode_latin, "It reads every byte as a character of its own; the bytes are UTF-8."))),
    Exercise(
        "Bits per byte", """
        Two models with different tokenizers read the same text. To compare them, write `bits_per_byte`: from the loss
        of each token, in nats as PyTorch gives it, to the bits for each byte of the text.
        """, bits_per_byte, inputs=_losses_of_a_text, imports="import math",
        hints=("Add up the losses: the surprise at the whole text.",
               "A nat is 1 / ln 2 bits. Python has `math.log`.",
               "Divide by `len(text.encode())`: the characters may be fewer than the bytes."),
        mistakes=(Mistake(_nats, "That is in nats. A bit is ln 2 nats, so divide by `math.log(2)`."),
                  Mistake(_per_token, "That is per token. A tokenizer with long tokens makes fewer and harder "
                          "guesses, so it cannot be compared this way."),
                  Mistake(_per_character, "That is per character. An é is one character and two bytes."),
                  Mistake(_mean_per_byte, "It divides twice: by the tokens, for the mean, and by the bytes. The sum "
                          "of the losses belongs to the whole text."))),
    Exercise(
        "A tokenizer away from home", """
        Train one tokenizer on film reviews and one on tweets: the first 3,000 training texts of each, 1,024 tokens. How
        many bytes does a token carry, for each tokenizer on the validation texts of each? The keys are `(trained on,
        measured on)`. `extra tokens` says, for each kind of text, how many more tokens it needs with the other's
        tokenizer: 0.1 for 10 % more. Which text is `dearer abroad`? Then think of a model whose tokenizer was trained
        on English, and a reader who writes Polish.
        """, measure_abroad, kind="decide", verify=_judge_abroad,
        imports="from llmcourse.data import load_data\nfrom llmcourse.tokenizer import train_tokenizer",
        stub='''
        answer = {
            "bytes per token": {("movies", "movies"): ..., ("movies", "tweets"): ...,
                                ("tweets", "movies"): ..., ("tweets", "tweets"): ...},
            "extra tokens": {"movies": ..., "tweets": ...},
            "dearer abroad": ...,
        }
        ''',
        hints=("`list(load_data(\"tweets\")[\"train\"][\"text\"])` are the texts; `tokenizer(texts, "
               "add_special_tokens=False)` gives their `input_ids`.",
               "Bytes per token: all bytes, `len(text.encode())`, divided by the number of all ids.",
               "Tokens are bytes divided by bytes per token, so the extra share is home / abroad - 1."),
        mistakes=(Mistake(_abroad(0.3, 0.35, 0.4, 0.33), "a token carries at least one byte"),
                  Mistake(_abroad(2.8, 3.2, 3.0, 2.4), "look at the order of the keys"),
                  Mistake(_abroad(extra={"movies": 0.125, "tweets": 0.2}), "the extra share is the tokens abroad"),
                  Mistake(_abroad(choice="movies"), "follow them"))),
    Exercise(
        "A vocabulary for tweets", """
        A small model shall learn from the tweets alone. Train tokenizers of 512, 1,024, 2,048 and 4,096 tokens on the
        training tweets. For each size measure the bytes per token on the validation tweets, and which share of the
        vocabulary is `rare`: seen less than 20 times in the training tweets, or never. Choose the largest `size` of
        which at most a quarter is rare.
        """, choose_size, kind="decide", verify=_judge_size,
        imports="from collections import Counter\nfrom itertools import chain\nfrom llmcourse.data import load_data\n"
                "from llmcourse.tokenizer import train_tokenizer",
        stub='''
        answer = {
            "bytes per token": {512: ..., 1024: ..., 2048: ..., 4096: ...},
            "rare": {512: ..., 1024: ..., 2048: ..., 4096: ...},
            "size": ...,
        }
        ''',
        hints=("Count all ids of the training tweets in a `Counter`; it says 0 for an id that never came.",
               "`sum(seen[token] < 20 for token in range(size)) / size` is the share that is rare."),
        mistakes=(Mistake(_sized(4096), "the largest of which at most a quarter is rare"),
                  Mistake(_sized(rare=(0.01, 0.02, 0.03, 0.05)), "count the tokens that never occur too"),
                  Mistake(_sized(rare=(51, 154, 819, 2867)), "`rare` is a share of the vocabulary"),
                  Mistake(_sized(carried=(3.2, 2.9, 2.5, 2.0)), "a larger vocabulary carries more bytes per token"))),
]

QUESTIONS = [
    Question("Why does a byte-level tokenizer need no token for unknown words?",
             ("Every text is a row of bytes, and each byte has an id.",
              "In the worst case a word is cut down to its bytes, and all 256 of them are in the vocabulary."),
             (("Its vocabulary holds all words of the language.",
               "It holds 2,048 tokens or 50,257; words it never saw are cut into smaller ones."),
              ("Words it does not know are left out.",
               "Nothing is left out: the round trip gives every character back."))),
    Question("One model loses 3.1 nats a token, another 2.6 nats a token. Their tokenizers differ. Which predicts "
             "better?",
             ("One cannot tell before both are given per byte.",
              "The second may have shorter tokens: more guesses, each of them easier."),
             (("The second, because its loss is lower.",
               "Its tokens may be shorter. With one byte a token, a loss of 2.6 would be poor."),
              ("The first, because its tokens are longer.",
               "Longer tokens lose more each, but this says nothing about how well they are predicted."))),
    Question("Why is a new word cut by the order of the merges, and not by the longest token that fits?",
             ("So that it is cut as the training text was.",
              "The model learned from tokens made in this order; another cut shows it sequences that it never saw."),
             (("Because the order always gives fewer tokens.",
               "Often it gives more than the longest fit; that is not the reason."),
              ("Because long tokens cannot be decoded.",
               "Any cut decodes to the same text; decoding only puts bytes together."))),
    Question(f"A stranger types `{END}` into a review. What should the tokenizer make of it?",
             ("Ordinary tokens, as of any other characters.",
              "Only our own code may set the mark; otherwise a user can pretend that a text ends and another begins."),
             (("The special token, since the characters are the same.",
               "Then anyone could set the mark where our own code should, and break one text into two."),
              ("Nothing: such characters should be removed from the text.",
               "Then the text does not come back, and a review about tokenizers loses its subject."))),
    Question("Two tokenizers of 2,048 tokens share 2,035 of them. Can a model trained with one be used with the other?",
             ("No: the same id stands for different tokens.",
              "A model sees nothing but ids. One token too many at the front shifts the ids of all that follow."),
             (("Yes: nearly all tokens are the same.",
               "The tokens are, the ids are not: a merge learned earlier or later moves many ids."),
              ("Yes, if both cut the text into equally many pieces.",
               "The number of pieces does not matter; what matters is what each id stands for."))),
]
