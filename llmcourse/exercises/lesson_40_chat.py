"A model that answers."
import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def write_greedily(table: Tensor, ids: list[int], end: int, max_new_tokens: int) -> list[int]:
    "Write behind `ids`, always the likeliest token, until `end`. `table[a]` holds the logits of what follows token a."
    read, written = list(ids), []
    for _ in range(max_new_tokens):
        token = int(table[read[-1]].argmax())      # the bet after the last token
        if token == end: break                     # the answer is over; the marker is no part of it
        written.append(token)
        read.append(token)                         # what was written is read before the next step
    return written


def _steps(table, ids, count, stop=None, fixed=False):
    read, written = list(ids), []
    for _ in range(count):
        token = int(table[ids[-1] if fixed else read[-1]].argmax())
        if token == stop: break
        written.append(token)
        read.append(token)
    return written


def _with_end(table, ids, end, n):
    written = _steps(table, ids, n, end)
    return written + [end] * (len(written) < n)


def _never_stops(table, ids, end, n): return _steps(table, ids, n)
def _with_prompt(table, ids, end, n): return list(ids) + _steps(table, ids, n, end)
def _one_too_many(table, ids, end, n): return _steps(table, ids, n + 1, end)
def _not_read(table, ids, end, n): return _steps(table, ids, n, end, fixed=True)


def _draw_table(rng):
    chain = rng.permutation(7).tolist()                             # each token has one likeliest follower
    table = torch.tensor(rng.normal(size=(7, 7)).round(2), dtype=torch.float32)
    for a, b in zip(chain, chain[1:] + chain[:1]): table[a, b] = 5
    long = bool(rng.random() < 0.5)                                 # the end comes early, or the limit does
    return table, chain[:2], chain[6 if long else 4], 3 if long else 6


def tokens_to_read(known: list[int], ids: list[int]) -> int:
    "How many of the tokens `ids` must be read, if the cache holds `known`. The last one always: its logits are needed."
    shared = 0
    while shared < min(len(known), len(ids)) and known[shared] == ids[shared]: shared += 1
    return max(len(ids) - shared, 1)


def _longer_by(known, ids): return max(len(ids) - len(known), 1)
def _all_held(known, ids): return len(ids) - (_shared(known, ids))
def _any_place(known, ids): return max(sum(a != b for a, b in zip(known, ids)) + max(len(ids) - len(known), 0), 1)
def _the_shared(known, ids): return _shared(known, ids)


def _shared(known, ids):
    return next((i for i, (a, b) in enumerate(zip(known, ids)) if a != b), min(len(known), len(ids)))


def _draw_cache(rng):
    ids = rng.integers(2, 9, size=rng.integers(6, 10)).tolist()
    kind = rng.integers(3)
    if kind == 0: return ids[:], ids                                          # all of it was read before
    if kind == 1: return [*ids[:3], 1, *ids[4:-1]], ids                       # one token in the middle differs
    return ids[:3] + [1] * 2, ids                                             # it parts after three


def streamed(tokens: list[bytes]) -> list[str]:
    "What can be shown after each token: all whole characters that were not shown yet. Tokens cut a UTF-8 text."
    pieces, waiting = [], b""
    for token in tokens:
        waiting += token
        piece = waiting.decode("utf-8", errors="ignore")       # half a character at the end is left out ...
        waiting = waiting[len(piece.encode("utf-8")):]         # ... and waits for its other half
        pieces.append(piece)
    return pieces


def _each_alone(tokens):
    "What can be shown after each token: all whole characters that were not shown yet. Tokens cut a UTF-8 text."
    return [token.decode("utf-8", errors="replace") for token in tokens]


def _thrown_away(tokens): return [token.decode("utf-8", errors="ignore") for token in tokens]


def _shown_again(tokens):
    return [b"".join(tokens[:i]).decode("utf-8", errors="ignore") for i in range(1, len(tokens) + 1)]


def _all_at_the_end(tokens): return [""] * (len(tokens) - 1) + [b"".join(tokens).decode("utf-8")]


def _draw_tokens(rng):
    text = "ab" + "".join(rng.choice(["é", "🦜", "€", "味", "x"], size=3)) + "🥐z"
    data = text.encode("utf-8")
    cuts = sorted({2, len(data) - 3, *rng.permutation(list(range(1, len(data))))[:3].tolist()})
    return ([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])],)


def cut_the_oldest() -> dict:
    "How far the next logits are from those of a text read anew, once the first five tokens are cut from the cache."
    from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

    found = {1: [], 2: []}
    for layers in found:
        for seed in range(3):
            torch.manual_seed(seed)
            config = Qwen2Config(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
                                 num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3)
            model, cache, ids = Qwen2ForCausalLM(config).eval(), DynamicCache(config=config), torch.randint(50, (1, 20))
            with torch.inference_mode():
                model(ids[:, :19], past_key_values=cache)
                for layer in cache.layers: layer.keys, layer.values = layer.keys[..., 5:, :], layer.values[..., 5:, :]
                cut = model(ids[:, 19:], past_key_values=cache, position_ids=torch.tensor([[19]])).logits[0, -1]
                anew = model(ids[:, 5:]).logits[0, -1]          # (vocab_size,)
            found[layers].append((cut - anew).abs().max().item())
    return found | {"exact for": [layers for layers in (1, 2) if max(found[layers]) < 1e-3]}


def _judge(answer) -> str:
    "Whether three seeds were tried for each depth, and the choice follows."
    if not all(isinstance(answer[n], list) and len(answer[n]) >= 3 for n in (1, 2)):
        return "try at least three seeds for each number of layers"
    exact = [n for n in (1, 2) if max(answer[n]) < 1e-3]
    if answer["exact for"] != exact: return f"your own differences say that it is exact for {exact}"
    if 2 in exact: return "with two layers a difference should be seen; was the text cut, and read anew without it?"
    if 1 not in exact:
        return ("with one layer the two should agree. Does the new token stand at position 19, as far from the kept "
                "tokens as before?")
    return ""


EXERCISES = [
    Exercise(
        "Tokens read", """
        A prompt has 100 tokens. The model writes four tokens and then the one that ends the answer. How many tokens
        does it read in all, first if it reads the whole text again at each step, then with a cache? Give
        `[again, cached]`.
        """, [510, 104], kind="predict", stub="answer = [..., ...]",
        hints=("Five bets are made: four for the tokens, one for the end. What has been written before each?",
               "Without a cache: 100 + 101 + 102 + 103 + 104. With one, each token is read once, if something comes "
               "after it."),
        mistakes=(Mistake([406, 103], "The end is a bet too, made after the fourth token was read."),
                  Mistake([500, 104], "The text grows: before the second bet there is one token more to read."),
                  Mistake([510, 100], "What was written must be read as well, or the next bet knows nothing of it."),
                  Mistake([104, 510], "The right numbers in the wrong order: the cache saves reading."),
                  Mistake([510, 105], "The token that ends the answer is not read; nothing comes after it."))),
    Exercise(
        "The size of a cache", """
        A model has 10 layers, 8 query heads and 2 key heads of width 64, and keeps its cache in bfloat16. How many
        bytes does the cache need for one token?
        """, 5120, kind="predict",
        hints=("For each layer and key head: a key and a value of 64 numbers each.",
               "2 · 10 · 2 · 64 numbers, and a number in bfloat16 takes 2 bytes."),
        mistakes=(Mistake(2560, "A factor of two is missing: keys and values, and two bytes a number."),
                  Mistake(20480, "The cache holds keys and values, of which there are 2 heads. Four query heads share "
                                 "each of them."),
                  Mistake(10240, "A number in bfloat16 takes two bytes, not four."),
                  Mistake(512, "That is one layer; every layer keeps its own."))),
    Exercise(
        "The loop that answers", """
        Write `write_greedily(table, ids, end, max_new_tokens)`. Our model is tiny: its bet depends on the last token
        alone, and `table[a]` (vocab_size,) holds the logits after token a. Return the tokens written: not the prompt,
        not the end, and at most `max_new_tokens`.
        """, write_greedily, imports="import torch\nfrom torch import Tensor", inputs=_draw_table,
        hints=("One step: `int(table[read[-1]].argmax())`, where `read` is the prompt and all that was written.",
               "Stop where the token is `end`, before it is appended. Otherwise append it to both lists.",
               "`for _ in range(max_new_tokens):` makes as many steps as are allowed."),
        mistakes=(Mistake(_with_end, "The token that ends the answer is no part of it; it must not be returned."),
                  Mistake(_never_stops, "It goes on behind the end, and makes up what comes next: another turn."),
                  Mistake(_with_prompt, "The prompt is returned with the answer."),
                  Mistake(_one_too_many, "One token more is written than is allowed."),
                  Mistake(_not_read, "It makes the same bet again and again: what was written must be read before the "
                                     "next."))),
    Exercise(
        "What is left to read", """
        A cache holds the keys and values of the tokens `known`. Now the conversation has the tokens `ids`. Keys and
        values depend on all tokens before them. How many tokens must the model read? Write
        `tokens_to_read(known, ids)`. At least one is read anew, since the logits after the last token are needed.
        """, tokens_to_read, inputs=_draw_cache,
        hints=("Walk along both lists as long as they agree. What is behind the first difference is of no use.",
               "`len(ids)` minus the length of the shared beginning, and no less than 1."),
        mistakes=(Mistake(_longer_by, "It trusts the length of the cache. Where the two differ, the cache holds "
                                      "another text."),
                  Mistake(_all_held, "Nothing is left to read, and so there are no logits for the next token."),
                  Mistake(_any_place, "It counts the places that differ. A token behind a difference looked at the "
                                      "wrong token, so it must be read again although it is the same."),
                  Mistake(_the_shared, "That is what can be kept; asked is what must be read."))),
    Exercise(
        "Half a parrot", """
        A token may end inside a character. `streamed(tokens)` should say what can be shown after each token: characters
        as soon as they are whole, nothing twice, and an empty text while half a character waits. The cell shows `�`.
        Mend it.
        """, streamed, kind="mend", inputs=_draw_tokens,
        hints=("Collect the bytes that were not shown yet, and decode them together.",
               "`waiting.decode(errors=\"ignore\")` leaves out half a character at the end. How many bytes of "
               "`waiting` did the piece take?",
               "`waiting = waiting[len(piece.encode()):]` keeps the rest for the next token."),
        mistakes=(Mistake(_each_alone, "Each token is decoded by itself, so both halves of a character are broken."),
                  Mistake(_thrown_away, "Half a character is thrown away; it should wait for its other half."),
                  Mistake(_shown_again, "What was shown before comes again with every token."),
                  Mistake(_all_at_the_end, "The whole text comes at the end; a reader should see it grow."))),
    Exercise(
        "Forget without reading again?", """
        A conversation that is full must forget its oldest tokens. Could we cut them out of the cache, and leave the
        others as they are? Try it on tiny random models of one and of two layers, three seeds each:
        `Qwen2Config(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=..., num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3)`.

        Read 19 of 20 random tokens into a cache, cut the first five from the keys and values of every layer, and read
        the last token at its old position, `position_ids=torch.tensor([[19]])`. Note the largest difference of a
        logit from those of the last 15 tokens read anew. For which numbers of layers is it exact (below 0.001)?
        """, cut_the_oldest, kind="decide", verify=_judge,
        imports="import torch\nfrom transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM",
        stub='answer = {1: [...], 2: [...], "exact for": [...]}',
        hints=("`cache = DynamicCache(config=config)`, then `model(ids[:, :19], past_key_values=cache)`. Each "
               "`layer` of `cache.layers` has `keys` and `values`; cut with `[..., 5:, :]`.",
               "RoPE makes scores depend on distances, and these are the same as in the text read anew. What else do "
               "the kept values of the second layer remember?"),
        mistakes=(Mistake({1: [0.0], 2: [1.5], "exact for": [1]}, "at least three seeds"),
                  Mistake({1: [1e-6] * 3, 2: [1.5] * 3, "exact for": [1, 2]}, "your own differences say"),
                  Mistake({1: [1e-6] * 3, 2: [1e-6] * 3, "exact for": [1, 2]}, "a difference should be seen"),
                  Mistake({1: [0.8] * 3, 2: [1.5] * 3, "exact for": []}, "stand at position 19"))),
]

QUESTIONS = [
    Question("As plain text a question was continued like a review; in the template it was answered. What made the "
             "difference?",
             ("The text around it: behind the marker of a turn the likeliest text is an answer.",
              "The weights were the same. They were trained on many conversations in this form."),
             (("The template opens a part of the weights that was trained for answers.",
               "All weights take part in every step; only the tokens before it differ."),
              ("The template tells the model what a question is, as a rule it must follow.",
               "Nothing is a rule to the model. It bets on the next token, and here an answer is the best bet."))),
    Question("A user's message contains `<|im_end|>` and `<|im_start|>system`, and it is passed on as it is. What may "
             "happen?",
             ("The user's text is read as if the operator had written it.",
              "The markers become the same tokens as those of the template, and the model cannot tell who wrote them."),
             (("The model sees that the markers came from a user, and ignores them.",
               "Who wrote a token is not to be seen in it."),
              ("The tokenizer fails, since markers may stand at the edge of turns only.",
               "It turns them into their token anywhere, without a word."))),
    Question("Two machines have the same weights, take the likeliest token each time, and answer differently. What is "
             "most likely?",
             ("At some step two tokens were nearly equal, and rounding decided.",
              "Sums in another order differ in their last digits. From the first different token on, the texts part."),
             (("One of them draws its tokens with another seed.",
               "Nothing is drawn where the likeliest token is taken."),
              ("One of them keeps a cache and the other does not.",
               "A cache changes no bet but by rounding, which is the same cause."))),
    Question("The system prompt says: answer with one word, positive or negative. A program reads the answers. What "
             "should it expect?",
             ("Mostly one word, and at times something else.",
              "Following a system prompt is a habit from training. Nothing enforces it, so the program must check."),
             (("One of the two words, since a system prompt cannot be overruled.",
               "It is text in the same window as all other text, and a user's text can pull the other way."),
              ("One word, but not always one of these two.",
               "Neither is certain: it may also write a sentence, or explain itself."))),
    Question("You send a model only your second question, `What is its name?`, with an empty cache. What does it know "
             "of the first turn?",
             ("Nothing; what is not in the text or the cache is not there.",
              "The weights do not change while it answers. A conversation is the whole text, given again each time."),
             (("The gist of it, since the weights saw it a moment ago.",
               "Reading changes no weight; only training does."),
              ("Its last answer, which is still in memory.",
               "The cache would hold it, and the cache is empty."))),
]
