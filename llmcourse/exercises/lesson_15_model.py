"Build the model."
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcourse.model import GPT, GPTConfig
from llmcourse.practice import Exercise, Mistake, Question


def _numbers(rng, *shape): return torch.tensor(rng.normal(size=shape), dtype=torch.float32)


def _vectors(rng): return _numbers(rng, 3, 4) + 1, _numbers(rng, 4), float(rng.uniform(0.2, 1))


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    "Bring each row of x (time, width) to root mean square 1, then scale each channel by its weight."
    mean_square = x.pow(2).mean(-1, keepdim=True)         # (time, 1)
    return x / (mean_square + eps).sqrt() * weight        # (time, width)


def _layer_norm(x, weight, eps): return F.layer_norm(x, weight.shape, weight, eps=eps)
def _by_length(x, weight, eps): return x / (x.pow(2).sum(-1, keepdim=True) + eps).sqrt() * weight
def _eps_outside(x, weight, eps): return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight
def _down_columns(x, weight, eps): return x / (x.pow(2).mean(0, keepdim=True) + eps).sqrt() * weight
def _no_weight(x, weight, eps): return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
def _no_root(x, weight, eps): return x / (x.pow(2).mean(-1, keepdim=True) + eps) * weight


def _arrows(rng): return _numbers(rng, 3, 4), torch.tensor(rng.uniform(0.3, 2.8, size=(3, 2)), dtype=torch.float32)


def turned(x: Tensor, angle: Tensor) -> Tensor:
    "Turn pair i of each row of x (time, width), the numbers i and i + width / 2, by angle[:, i] (time, width / 2)."
    first, second = x.chunk(2, dim=-1)                              # each (time, width / 2): where the arrows point
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _other_way(x, angle): return turned(x, -angle)
def _neighbours(x, angle):
    first, second = x[:, ::2], x[:, 1::2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([first * cos - second * sin, second * cos + first * sin], -1).flatten(1)
def _no_minus(x, angle):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * angle.cos() + second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)
def _scaled_only(x, angle): return x * torch.cat([angle.cos(), angle.sin()], -1)


def _texts(rng): return _numbers(rng, 2, 5, 6), torch.tensor(rng.integers(6, size=(2, 5)))


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    "The mean cross-entropy of the next token; logits (batch, time, vocab_size), ids (batch, time)."
    predicted = logits[:, :-1]                                      # (batch, time - 1, vocab_size)
    following = ids[:, 1:]                                          # (batch, time - 1): what stood one place further
    return F.cross_entropy(predicted.flatten(0, 1), following.flatten())


def _unmoved(logits, ids): return F.cross_entropy(logits.flatten(0, 1), ids.flatten())
def _backwards(logits, ids): return F.cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, :-1].flatten())
def _sum(logits, ids): return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
def _rolled(logits, ids): return F.cross_entropy(logits.flatten(0, 1), ids.roll(-1, 1).flatten())
def _last_only(logits, ids): return F.cross_entropy(logits[:, -2], ids[:, -1])


def _padded(rng):
    lengths = torch.tensor([int(rng.integers(1, 4)), 5, int(rng.integers(2, 5))])
    return _numbers(rng, 3, 5, 2), (torch.arange(5) < lengths[:, None]).long()


def last_vectors(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    "The vector of the last real token of each text (texts, width); 0 in attention_mask is padding on the right."
    last = attention_mask.sum(dim=1) - 1                            # (texts): n tokens, so the last has number n - 1
    return hidden[torch.arange(len(hidden)), last]                  # (texts, width): one column for each row


def _last_column(hidden, attention_mask):
    "The vector of the last real token of each text (texts, width); 0 in attention_mask is padding on the right."
    return hidden[:, -1]


def _first_column(hidden, attention_mask): return hidden[:, 0]
def _one_too_few(hidden, attention_mask): return hidden[torch.arange(3), (attention_mask.sum(1) - 2).clamp(min=0)]
def _mean_of_all(hidden, attention_mask): return hidden.mean(1)
def _mean_of_tokens(hidden, attention_mask):
    return (hidden * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True)


def _ignorance(): return math.log(1000)


def reorder_without_rope() -> dict:
    "How far the sixth token's vector moves when the five before it are reordered, RoPE switched off; three models "
    "each."
    found = {}
    for n_layers in (1, 4):
        found[n_layers] = []
        for seed in range(3):
            torch.manual_seed(seed)
            model = GPT(GPTConfig(vocab_size=50, d_model=32, n_layers=n_layers, n_heads=2, d_ff=64, context=8)).eval()
            model.cos.fill_(1)                                      # every position turns by nothing
            model.sin.zero_()
            with torch.no_grad():
                for weight in model.parameters():                   # larger weights, so that attention has an effect
                    if weight.dim() == 2: weight.mul_(5)
                ids = torch.tensor([[10, 11, 12, 13, 14, 15]])
                other = ids[:, [3, 0, 4, 2, 1, 5]]
                found[n_layers].append((model(ids) - model(other))[0, 5].abs().max().item())
    return found | {"sees the order": [4]}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the conclusion follows them."
    if not all(isinstance(answer[n], list) and len(answer[n]) >= 3 for n in (1, 4)):
        return "measure each depth on at least three models: change the seed"
    if max(answer[1]) > 1e-3:
        return "with one layer and no RoPE nothing should move; is RoPE off, and the sixth token the same?"
    if min(answer[4]) < 10 * max(*answer[1], 1e-6):
        return "with four layers the vector should move clearly; are the first five tokens really in another order?"
    if answer["sees the order"] != [4]:
        return "list the depths, 1 or 4 or both, at which your own figures clearly move"
    return ""


EXERCISES = [
    Exercise(
        "Loss of ignorance", """
        A language model with a vocabulary of 1,000 tokens has random weights and was never trained. About what is its
        loss, in nats? Give a number before you compute one.
        """, _ignorance, kind="predict", tolerance=0.01, imports="import math",
        hints=("Without knowledge all tokens get about the same probability. Which?",
               "The loss is minus the logarithm of the probability of the right token. Nats go with the natural "
               "logarithm."),
        mistakes=(Mistake(0.001, "That is the probability of each token; the loss is minus its logarithm."),
                  Mistake(1000, "That is how many tokens it wavers between, the perplexity; the loss is its "
                                "logarithm."),
                  Mistake(math.log2(1000), "That is in bits; nats take the natural logarithm."),
                  Mistake(-math.log(1000), "The probability is below 1, so its logarithm is negative; the loss is "
                                           "minus that."))),
    Exercise(
        "RMSNorm", "Write `rms_norm(x, weight, eps)` with `pow`, `mean` and `sqrt`.", rms_norm, inputs=_vectors,
        gradient=True, imports="import torch\nfrom torch import Tensor",
        hints=("Root mean square, read from the right: square, mean, root.",
               "The mean goes along the last axis; `keepdim=True` makes it fit for the division.",
               "`eps` is added to the mean square, under the root."),
        mistakes=(Mistake(_layer_norm, "That is LayerNorm: RMSNorm does not subtract the mean."),
                  Mistake(_by_length, "You divided by the length of the vector: take the mean of the squares, not the "
                                      "sum."),
                  Mistake(_eps_outside, "eps belongs under the root."),
                  Mistake(_down_columns, "Each position is normed by itself, along its channels; you went over "
                                         "positions."),
                  Mistake(_no_weight, "The learned weight of each channel is missing."),
                  Mistake(_no_root, "You divided by the mean square, not by its root."))),
    Exercise(
        "Turn by position", """
        Write `turned(x, angle)`, the heart of RoPE. An arrow (a, b), turned by an angle, becomes
        (a cos - b sin, b cos + a sin). Number i is paired with number i + width / 2, as in the lesson.
        """, turned, inputs=_arrows, imports="import torch\nfrom torch import Tensor",
        hints=("`first, second = x.chunk(2, dim=-1)` gives all a and all b.",
               "Compute the new a and the new b by the formula; both have shape (time, width / 2).",
               "Put them side by side again with `torch.cat([...], dim=-1)`."),
        mistakes=(Mistake(_other_way, "The arrows turn the other way round: look at the signs of the sines."),
                  Mistake(_neighbours, "That pairs neighbours, as the paper does; here i goes with i + width / 2."),
                  Mistake(_no_minus, "Turning keeps the length of an arrow, and yours changes it: a sign is missing."),
                  Mistake(_scaled_only, "Each number was only scaled; a turn mixes the two numbers of a pair."))),
    Exercise(
        "The loss of the next token", "Write `next_token_loss(logits, ids)`. `F.cross_entropy` is allowed.",
        next_token_loss, inputs=_texts, gradient=True,
        imports="import torch\nimport torch.nn.functional as F\nfrom torch import Tensor",
        hints=("The logits at position t are a bet on the token at position t + 1.",
               "The last logits have no next token, and the first token was never guessed: leave both out.",
               "`F.cross_entropy` wants (n, vocab_size) and (n): flatten batch and time together."),
        mistakes=(Mistake(_unmoved, "The logits at t are held against the token at t itself, which the model has "
                                    "seen."),
                  Mistake(_backwards, "That is shifted the wrong way: it asks for the token before."),
                  Mistake(_sum, "That is the sum over all tokens; the loss is their mean."),
                  Mistake(_rolled, "The last logits are held against the first token: `roll` brings it round to the "
                                   "end."),
                  Mistake(_last_only, "Only the last bet counts here; every position has a next token but the last."))),
    Exercise(
        "The last real token", "In a padded batch, `last_vectors` gives the vectors of padding. Mend it.", last_vectors,
        kind="mend", inputs=_padded, imports="import torch\nfrom torch import Tensor",
        hints=("How many tokens does each text have? The mask knows.",
               "A text of n tokens ends at number n - 1.",
               "`hidden[rows, columns]` with two tensors of indices takes one vector from each row."),
        mistakes=(Mistake(_last_column, "The last column of a shorter text is padding."),
                  Mistake(_first_column, "The first token has seen nothing but itself; the last one has seen all."),
                  Mistake(_one_too_few, "That is one token too early: n tokens have the numbers 0 to n - 1."),
                  Mistake(_mean_of_all, "That is a mean over all columns, padding included."),
                  Mistake(_mean_of_tokens, "That is the mean of the tokens; in a causal model only the last has seen "
                                           "all."))),
    Exercise(
        "Does order count without RoPE?", """
        Switch RoPE off: `model.cos.fill_(1)` and `model.sin.zero_()`. Reorder the first five tokens of a sequence of
        six. How far does the vector of the *sixth* move, with 1 layer and with 4? Three models (seeds) each; note the
        largest change of a number. List the depths at which the model `sees the order`, and explain it to yourself
        with the mask. A fresh model hardly listens, so multiply its matrices by 5 first.
        """, reorder_without_rope, kind="decide", verify=_judge,
        imports="import torch\n\nfrom llmcourse.model import GPT, GPTConfig",
        stub='''answer = {1: [...], 4: [...], "sees the order": [...]}''',
        hints=("`GPT(GPTConfig(vocab_size=50, d_model=32, n_layers=1, n_heads=2, d_ff=64, context=8)).eval()` is a "
               "model.",
               "Compare `model(ids)[0, 5]` with `model(ids[:, [3, 0, 4, 2, 1, 5]])[0, 5]`.",
               "`for w in model.parameters(): w.mul_(5)` inside `torch.no_grad()`, for those of two dimensions."),
        mistakes=(Mistake({1: [1e-7], 4: [0.3], "sees the order": [4]}, "measure each depth on at least three models"),
                  Mistake({1: [0.2] * 3, 4: [0.3] * 3, "sees the order": [1, 4]}, "is RoPE off"),
                  Mistake({1: [1e-7] * 3, 4: [1e-7] * 3, "sees the order": []}, "really in another order"),
                  Mistake({1: [1e-7] * 3, 4: [0.3] * 3, "sees the order": []}, "your own figures clearly move"))),
]

QUESTIONS = [
    Question("Why is each part of a block *added* to what was there, and does not replace it?",
             ("The gradient has a straight way from the last layer to the first.",
              "The slope of x + f(x) holds a 1, whatever f does; a product of a dozen slopes without it fades or "
              "explodes."),
             (("The sum needs less memory than a new vector.", "It needs the same: a vector of the same width."),
              ("The loss is a sum, so its parts must be.", "The loss is a mean over tokens; this is about layers."))),
    Question("With RoPE, what does the score of a query at position 9 and a key at position 7 depend on?",
             ("On the two vectors and the distance of 2.",
              "Both are turned by their position, and a dot product knows only the difference of the angles."),
             (("On the two vectors and both positions.", "At 109 and 107 the score would be the same."),
              ("On the two positions only.", "The vectors decide what fits; RoPE changes how well."))),
    Question("Why may padding on the right be left in, while padding on the left must be moved?",
             ("On the right it comes later, and no token looks ahead.",
              "On the left every real token would look at it, and stand at another position."),
             (("Padding on the right has a vector of zeros.", "It has a vector like any token; but nobody looks at "
                                                              "it."),
              ("The tokenizer marks only padding on the left.", "The attention mask marks both."))),
    Question("Attention is taken out of a model; norms, SwiGLU, residuals and the head stay. What can it still learn?",
             ("Which token follows which single token.",
              "All the other parts work on each position alone, so it knows the own token and nothing before it."),
             (("Nothing: no gradient flows any more.", "Gradients flow through the other parts as before."),
              ("The same, only more slowly.", "No training moves anything from one position to another."))),
    Question("`lm_head` uses the table of the token embeddings. What does that mean for a token's logit?",
             ("It is the dot product of the output vector with that token's own vector.",
              "The better the output fits a token's vector, the larger its logit; and one table is saved."),
             (("It is the same at the input and the output.", "The table is the same; the logit depends on the text."),
              ("It is always positive.", "A dot product of two vectors that point apart is negative."))),
]
