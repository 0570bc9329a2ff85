"Write faster."
import math
import time

import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def _read(): return 10 + 11 + 12 + 13 + 14, 10 + 4 * 1


def _matrix(rng, rows, width=4): return torch.tensor(rng.normal(size=(rows, width)), dtype=torch.float32)


def _step_inputs(rng):
    kept = int(rng.integers(2, 5))
    return _matrix(rng, 1), _matrix(rng, 1), _matrix(rng, 1), _matrix(rng, kept), _matrix(rng, kept)


def decode_step(q: Tensor, k: Tensor, v: Tensor, kept_keys: Tensor, kept_values: Tensor) -> tuple:
    "What the new token finds (1, width), and all keys and values so far; q, k, v are (1, width), kept ones (time, "
    "width)."
    keys = torch.cat([kept_keys, k])                                 # (time + 1, width): the new token sees itself too
    values = torch.cat([kept_values, v])                             # (time + 1, width)
    weights = (q @ keys.T / math.sqrt(q.shape[-1])).softmax(-1)      # (1, time + 1): nothing lies ahead, so no mask
    return weights @ values, keys, values


def _found(q, keys, values): return (q @ keys.T / math.sqrt(q.shape[-1])).softmax(-1) @ values
def _forgets_itself(q, k, v, kept_keys, kept_values):
    return _found(q, kept_keys, kept_values), torch.cat([kept_keys, k]), torch.cat([kept_values, v])
def _keeps_nothing(q, k, v, kept_keys, kept_values):
    return _found(q, torch.cat([kept_keys, k]), torch.cat([kept_values, v])), kept_keys, kept_values
def _in_front(q, k, v, kept_keys, kept_values):
    keys, values = torch.cat([k, kept_keys]), torch.cat([v, kept_values])
    return _found(q, keys, values), keys, values
def _exchanged(q, k, v, kept_keys, kept_values):
    keys, values = torch.cat([kept_keys, v]), torch.cat([kept_values, k])
    return _found(q, keys, values), keys, values
def _no_root(q, k, v, kept_keys, kept_values):
    keys, values = torch.cat([kept_keys, k]), torch.cat([kept_values, v])
    return (q @ keys.T).softmax(-1) @ values, keys, values
def _masked_like_a_prompt(q, k, v, kept_keys, kept_values):
    keys, values = torch.cat([kept_keys, k]), torch.cat([kept_values, v])
    scores = (q @ keys.T / math.sqrt(q.shape[-1])).masked_fill(torch.ones(1, len(keys)).triu(1).bool(), -math.inf)
    return scores.softmax(-1) @ values, keys, values


def memory_of_cache(n_layers: int, n_kv_heads: int, head_dim: int, texts: int, tokens: int, bits: int) -> int:
    "Bytes of the keys and values of so many texts of so many tokens, each number of so many bits."
    numbers = 2 * n_layers * n_kv_heads * head_dim                   # for one token: a key and a value in every layer
    return numbers * texts * tokens * bits // 8                      # 8 bits are a byte


def _sizes(rng):
    layers, heads, texts = (int(rng.integers(2, top)) for top in (40, 9, 9))
    return layers, heads, 64, texts, int(rng.integers(100, 200)), int(rng.choice([8, 16, 32]))


def _one_of_two(n_layers, n_kv_heads, head_dim, texts, tokens, bits):
    return n_layers * n_kv_heads * head_dim * texts * tokens * bits // 8
def _bits(n_layers, n_kv_heads, head_dim, texts, tokens, bits):
    return 2 * n_layers * n_kv_heads * head_dim * texts * tokens * bits
def _one_layer(n_layers, n_kv_heads, head_dim, texts, tokens, bits):
    return 2 * n_kv_heads * head_dim * texts * tokens * bits // 8
def _squared(n_layers, n_kv_heads, head_dim, texts, tokens, bits):
    return 2 * n_layers * n_kv_heads * head_dim * texts * tokens**2 * bits // 8
def _one_text(n_layers, n_kv_heads, head_dim, texts, tokens, bits):
    return 2 * n_layers * n_kv_heads * head_dim * tokens * bits // 8


def _masks(rng):
    padding = torch.tensor(rng.permutation([0, 2, int(rng.integers(3, 6))]))
    return ((torch.arange(6) >= padding[:, None]).long(),)


def positions_of(attention_mask: Tensor) -> Tensor:
    "The position of each column (texts, time), counted from the first real token; 0 for padding, which is on the left."
    return (attention_mask.cumsum(dim=1) - 1).clamp(min=0)           # the first real token has counted 1, so it gets 0


def _columns(attention_mask):
    "The position of each column (texts, time), counted from the first real token; 0 for padding, which is on the left."
    texts, time = attention_mask.shape
    return torch.arange(time).expand(texts, time)


def _from_one(attention_mask): return attention_mask.cumsum(dim=1)
def _negative(attention_mask): return attention_mask.cumsum(dim=1) - 1
def _by_the_longest(attention_mask):
    return (torch.arange(6) - (6 - attention_mask.sum(1).min())).clamp(min=0).expand(len(attention_mask), 6)
def _masked_columns(attention_mask): return torch.arange(6) * attention_mask


def compare_growth() -> dict:
    "Seconds for the next token after 128 and after 2,048: all queries anew, and one query with kept keys; three each."
    found = {"again": {}, "kept": {}}
    for n in (128, 2048):
        x = torch.randn(n, 64)                                       # (time, width): serves as queries, keys and values
        mask = torch.ones(n, n, dtype=torch.bool).tril()
        ways = {"again": lambda: (x @ x.T / 8).masked_fill(~mask, -math.inf).softmax(-1) @ x,
                "kept": lambda: (x[-1:] @ x.T / 8).softmax(-1) @ x}
        for name, way in ways.items():
            way()                                                    # the first call also sets things up
            found[name][n] = []
            for _ in range(3):
                start = time.perf_counter()
                way()
                found[name][n].append(time.perf_counter() - start)
    return found | {"suffers from length": "again"}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    if not all(isinstance(answer[way], dict) and set(answer[way]) == {128, 2048} for way in ("again", "kept")):
        return "again and kept each hold a dictionary with the lengths 128 and 2048"
    if not all(isinstance(t, list) and len(t) >= 3 for way in ("again", "kept") for t in answer[way].values()):
        return "measure each length at least three times: a single time is mostly chance"
    growth = {way: min(answer[way][2048]) / min(answer[way][128]) for way in ("again", "kept")}
    if growth["again"] < 2 * growth["kept"]:
        return "computing all queries again should grow far faster; does *kept* compute one query only, *again* all?"
    if answer["suffers from length"] != "again":
        return "your own times say otherwise: compare 2048 with 128 for each way"
    return ""


def _times(a, b, c, d): return {"again": {128: [a] * 3, 2048: [b] * 3}, "kept": {128: [c] * 3, 2048: [d] * 3}}


EXERCISES = [
    Exercise(
        "Count the tokens", """
        A prompt has ten tokens, and the model writes five more. How many tokens go through the model in all, without a
        cache and with one? Answer with a pair. The fifth token, once chosen, need not be read any more.
        """, _read, kind="predict", stub="answer = (..., ...)   # without a cache, with a cache",
        hints=("To choose the first new token, the model reads the prompt. And to choose the second, without a cache?",
               "Without a cache the readings are 10, 11, 12, 13 and 14 tokens long.",
               "With a cache the prompt is read once, then one token at a time, four times."),
        mistakes=(Mistake((65, 15), "The last token is chosen and never read; where does the last reading end?"),
                  Mistake((50, 14), "Without a cache, each reading holds the tokens written so far, not only the "
                                    "prompt."),
                  Mistake((60, 5), "With a cache, the prompt must still be read once."),
                  Mistake((60, 15), "The cached count is one too many: the fifth token is chosen and never read."),
                  Mistake((15, 5), "Without a cache, each new token makes the model read all tokens before it "
                                   "again."))),
    Exercise(
        "One step with a cache", """
        Write `decode_step(q, k, v, kept_keys, kept_values)` for one head. The new token must find what it would find
        in the last row of causal attention over all tokens. Give back what it found, and the keys and values to keep.
        """, decode_step, inputs=_step_inputs, imports="import math\n\nimport torch\nfrom torch import Tensor",
        hints=("First put the new key behind the kept ones: `torch.cat([kept_keys, k])`.",
               "One query has one row of scores: `q @ keys.T`, shape (1, time + 1). Is anything in the future?",
               "Return a tuple of three: what was found, the keys, the values."),
        mistakes=(Mistake(_forgets_itself, "A token may look at itself too: add its key before the scores."),
                  Mistake(_keeps_nothing, "The next step would not find this token: keep its key and value."),
                  Mistake(_in_front, "The newest token belongs at the end; positions follow the order."),
                  Mistake(_exchanged, "The new key went to the values, or the value to the keys."),
                  Mistake(_no_root, "The scores are not divided by the square root of the width."),
                  Mistake(_masked_like_a_prompt, "The mask hides all tokens but the first; here everything is past."))),
    Exercise(
        "The memory of a cache", "Write `memory_of_cache(...)`, in bytes. How much would a text of 100,000 tokens "
                                 "take?",
        memory_of_cache, inputs=_sizes,
        hints=("What is kept of one token, in one layer, by one head?", "A key and a value, each of `head_dim` "
                                                                        "numbers.",
               "Multiply by layers, heads, texts and tokens. Bits are an eighth of a byte."),
        mistakes=(Mistake(_one_of_two, "Each token leaves a key *and* a value."),
                  Mistake(_bits, "That is the number of bits; eight of them are a byte."),
                  Mistake(_one_layer, "Every layer has keys and values of its own."),
                  Mistake(_squared, "The table of weights grows with the square; keys and values do not."),
                  Mistake(_one_text, "Each text of the batch needs its own."))),
    Exercise(
        "Where does a padded token stand?", """
        With padding on the left, `positions_of` gives a text other positions than it would have alone, and RoPE turns
        it too far. Mend it.
        """, positions_of, kind="mend", inputs=_masks, imports="import torch\nfrom torch import Tensor",
        hints=("The first *real* token of each text should stand at position 0.",
               "`attention_mask.cumsum(dim=1)` counts the real tokens up to each column.",
               "It begins at 1 and should begin at 0; and padding must not become -1."),
        mistakes=(Mistake(_columns, "That is the column; take off the padding before it, which differs from text to "
                                    "text."),
                  Mistake(_from_one, "The first real token should stand at position 0, not 1."),
                  Mistake(_negative, "Padding got the position -1, which would be read from the end of the table."),
                  Mistake(_by_the_longest, "Each text has its own amount of padding; yours takes one for all."),
                  Mistake(_masked_columns, "Padding is 0 as it should be, but the real tokens still have their "
                                           "columns."))),
    Exercise(
        "What grows with the length?", """
        Let `x = torch.randn(n, 64)` serve as queries, keys and values. Measure the time for the next token *again*
        (causal attention of all n queries) and with *kept* keys (the last query only), for n = 128 and 2048, each at
        least three times with `time.perf_counter`. Which way `suffers from length`?
        """, compare_growth, kind="decide", verify=_judge, imports="import math\nimport time\n\nimport torch",
        stub='''answer = {"again": {128: [...], 2048: [...]}, "kept": {128: [...], 2048: [...]}, "suffers from "
             "length": ...}''',
        hints=("The last query alone is `x[-1:]`, with shape (1, 64).",
               "Call each once before you measure; the first call sets things up."),
        mistakes=(Mistake({"again": {128: [1e-4], 2048: [3e-2]}, "kept": {128: [1e-5], 2048: [3e-5]},
                           "suffers from length": "again"}, "a single time is mostly chance"),
                  Mistake(_times(1e-4, 3e-2, 1e-5, 3e-5) | {"suffers from length": "kept"}, "your own times say"),
                  Mistake(_times(1e-4, 3e-2, 1e-4, 3e-2) | {"suffers from length": "again"}, "does *kept* compute"))),
]

QUESTIONS = [
    Question("Why may keys and values of earlier tokens be kept, in a decoder?",
             ("Later tokens cannot change them, since no token looks ahead.",
              "A causal mask makes all that is computed for a token depend on it and on what came before."),
             (("They are the same in all layers.", "Each layer has its own, and each is kept."),
              ("The model was trained with a cache.", "It was trained on whole texts; the cache only saves work."))),
    Question("Why are the queries of earlier tokens not kept?",
             ("A query is used once, when its own token is read.",
              "Later tokens ask with their own queries, and only compare with keys and mix values."),
             (("They would take more memory than keys.", "They take no less and no more per head; but nothing would "
                                                         "read them."),
              ("They can be computed from the keys.", "They come from another matrix; but nothing needs them any "
                                                      "more."))),
    Question("A server runs a model with four times fewer heads of keys than of queries. What does it gain?",
             ("A cache of a quarter of the size.",
              "Keys and values are kept for each head of keys; four times as many texts fit into the same memory."),
             (("A prompt that is read four times as fast.", "Reading is mostly other matrix products; these stay."),
              ("Answers that are better.", "Sharing keys saves memory; at best it costs little quality."))),
    Question("After fine-tuning you write with the `Decoder` that was made before. What happens?",
             ("It writes like the old model.", "A decoder holds a rearranged copy of the weights; make it anew."),
             (("It raises an error.", "Nothing can tell that the copy is out of date."),
              ("It writes like the new model.", "The joined and folded matrices are copies, not the weights "
                                                "themselves."))),
]
