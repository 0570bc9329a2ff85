"How a step is made."
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def _difference(): return [0.7, 0.2 - 1, 0.1]


def _tensor(rng, *shape, scale=1.0): return torch.tensor(rng.normal(size=shape) * scale, dtype=torch.float32)


def _scored(rng):
    labels = torch.tensor(rng.integers(4, size=5))
    labels[rng.integers(5)] = -100
    return _tensor(rng, 5, 4, scale=float(rng.choice([1, 100]))), labels


def mean_loss(logits: Tensor, labels: Tensor) -> Tensor:
    "The mean cross-entropy; logits (tokens, vocab_size), labels (tokens), -100 is ignored. Large logits are allowed."
    counted = labels != -100
    logits, labels = logits[counted], labels[counted]                # what is ignored is in no sum and in no count
    top = logits.amax(-1, keepdim=True)                              # (counted, 1)
    log_sum = top[:, 0] + (logits - top).exp().sum(-1).log()         # (counted): log of the sum of the powers
    true = logits.gather(-1, labels[:, None])[:, 0]                  # (counted): the score of the true token
    return (log_sum - true).mean()


def _overflowing(logits, labels):
    logits, labels = logits[labels != -100], labels[labels != -100]
    bets = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -bets.gather(-1, labels[:, None]).log().mean()
def _divided_by_all(logits, labels): return F.cross_entropy(logits, labels, reduction="sum") / len(labels)
def _summed(logits, labels): return F.cross_entropy(logits, labels, reduction="sum")
def _gain(logits, labels): return -F.cross_entropy(logits, labels)
def _padding_counts(logits, labels): return F.cross_entropy(logits, labels.clamp(min=0))
def _only_true(logits, labels):
    return -logits[labels != -100].gather(-1, labels[labels != -100][:, None]).mean()


def _adam_inputs(rng):
    return _tensor(rng, 3), _tensor(rng, 3), _tensor(rng, 3), _tensor(rng, 3).abs(), int(rng.integers(1, 6))


def adamw_step(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, t: int) -> tuple:
    "Step t (from 1) of AdamW: rate 0.1, betas 0.9 and 0.99, decay 0.2, eps 1e-8. Gives the new weight, m and v."
    m = 0.9 * m + 0.1 * gradient                                     # running mean of the gradient
    v = 0.99 * v + 0.01 * gradient**2                                # running mean of its square
    mean, square = m / (1 - 0.9**t), v / (1 - 0.99**t)               # both began at zero, so they are too small
    weight = weight * (1 - 0.1 * 0.2)                                # the decay, apart from the gradient
    return weight - 0.1 * mean / (square.sqrt() + 1e-8), m, v


def _adam(weight, gradient, m, v, t, correct=True, decay=0.2, l2=0.0, power=2, root=True, direction=1):
    gradient = gradient + l2 * weight
    m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient.abs()**power
    mean, square = (m / (1 - 0.9**t), v / (1 - 0.99**t)) if correct else (m, v)
    below = (square.sqrt() if root else square) + 1e-8
    return weight * (1 - 0.1 * decay) - direction * 0.1 * mean / below, m, v


def _uncorrected(*args): return _adam(*args, correct=False)
def _decay_in_gradient(*args): return _adam(*args, decay=0.0, l2=0.2)
def _no_decay(*args): return _adam(*args, decay=0.0)
def _not_squared(*args): return _adam(*args, power=1)
def _no_root(*args): return _adam(*args, root=False)
def _uphill(*args): return _adam(*args, direction=-1)


def _gradients(rng):
    length = float(rng.choice([0.3, 4.0]))
    return [_tensor(rng, 2, 2) * length, _tensor(rng, 3) * length], 1.0


def clipped(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    "The gradients of all parameters, shortened as one vector to `max_norm` if they are longer."
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))    # one length for all together
    scale = min(1.0, max_norm / norm)                                    # never made longer
    return [g * scale for g in gradients]


def _each_alone(gradients, max_norm): return [g * min(1.0, max_norm / g.norm().item()) for g in gradients]
def _cut_off(gradients, max_norm): return [g.clamp(-max_norm / 2, max_norm / 2) for g in gradients]
def _always_scaled(gradients, max_norm):
    return [g * max_norm / math.sqrt(sum(g.square().sum().item() for g in gradients)) for g in gradients]
def _not_rooted(gradients, max_norm):
    return [g * min(1.0, max_norm / sum(g.square().sum().item() for g in gradients)) for g in gradients]
def _sum_of_lengths(gradients, max_norm):
    return [g * min(1.0, max_norm / sum(g.norm().item() for g in gradients)) for g in gradients]


def _pieces(rng):
    n = int(rng.integers(2, 5))
    return (rng.normal(size=n) + 3).tolist(), [int(c) for c in rng.permutation([3, 8, 21, 40])[:n]]


def loss_of_pieces(losses: list[float], counts: list[int]) -> float:
    "The mean loss over all tokens, from the mean loss of each piece and its number of tokens."
    return sum(loss * count for loss, count in zip(losses, counts)) / sum(counts)


def _mean_of_means(losses, counts):
    "The mean loss over all tokens, from the mean loss of each piece and its number of tokens."
    return sum(losses) / len(losses)


def _sum_of_means(losses, counts): return sum(losses)
def _over_pieces(losses, counts): return sum(loss * count for loss, count in zip(losses, counts)) / len(losses)
def _over_tokens_only(losses, counts): return sum(losses) / sum(counts)
def _turned(losses, counts):
    return sum(loss / count for loss, count in zip(losses, counts)) / sum(1 / count for count in counts)


def walk_the_valley() -> dict:
    "How far descent is from the bottom after 200 steps, by rate, and the largest rate that came nearer."
    far = {}
    for rate in (0.01, 0.03, 0.039, 0.041, 0.06):
        x, y = -4.0, 1.0
        for _ in range(200): x, y = x - rate * x, y - rate * 50 * y  # the gradient of (x² + 50 y²) / 2 is (x, 50 y)
        far[rate] = math.hypot(x, y)
    return far | {"largest safe": 0.039}


_VALLEY = {0.01: 0.54, 0.03: 0.009, 0.039: 0.0014, 0.041: 1.9e4, 0.06: 1e60}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    rates = (0.01, 0.03, 0.039, 0.041, 0.06)
    if any(isinstance(answer[rate], bool) or not isinstance(answer[rate], (int, float)) for rate in rates):
        return "each rate gives one number: the distance from (0, 0) after 200 steps"
    for rate in rates:
        expected = math.hypot(4 * (1 - rate)**200, (1 - 50 * rate)**200)
        if not math.isclose(answer[rate], expected, rel_tol=0.05):
            return f"at the rate {rate} the distance is another: start at (-4, 1), 200 steps, gradient (x, 50 y)"
    if answer["largest safe"] != 0.039:
        return "your own figures say otherwise: which is the largest rate that ends near the bottom?"
    return ""


EXERCISES = [
    Exercise(
        "What was said, less what was true", """
        Three tokens have the probabilities 0.7, 0.2 and 0.1, and the second is the true one. What is the gradient of
        the cross-entropy by the three logits? Answer with a list of three numbers.
        """, _difference, kind="predict", stub="answer = [..., ..., ...]",
        hints=("The gradient is the softmax, less a one at the true token.",
               "A positive gradient means that descent will lower that logit. Which should be lowered?"),
        mistakes=(Mistake([-0.7, 0.8, -0.1], "The signs are the other way round: the loss rises with the wrong "
                                             "logits."),
                  Mistake([0.7, 0.2, 0.1], "Those are the probabilities; the true token still lacks something."),
                  Mistake([0.0, -1.0, 0.0], "That is minus what was true; add what was said."),
                  Mistake([-0.3, 0.2, 0.1], "You took the likeliest token for the true one; the second is true."),
                  Mistake([0.0, -0.8, 0.0], "The other logits are pushed too: each by its own probability."))),
    Exercise(
        "Cross-entropy", "Write `mean_loss(logits, labels)` with `exp`, `log` and sums, without "
                         "`F.cross_entropy`.", mean_loss,
        inputs=_scored, gradient=True, tolerance=1e-4, imports="import torch\nfrom torch import Tensor",
        hints=("The loss of a token is the log of the sum of all powers, less the true token's logit.",
               "Subtract the largest logit before `exp`, and add it again after `log`.",
               "Leave out the rows with the label -100 first, by `logits[labels != -100]`."),
        mistakes=(Mistake(_overflowing, "A large logit makes `exp` infinite; subtract the largest first."),
                  Mistake(_divided_by_all, "Ignored positions are not in the sum, so they must not be in the count."),
                  Mistake(_summed, "That is the sum; the loss is the mean over the counted positions."),
                  Mistake(_gain, "The sign is turned: a loss is large when the true token was thought unlikely."),
                  Mistake(_padding_counts, "Padding counts as if token 0 had been the true one."),
                  Mistake(_only_true, "That is the true logit alone; it must be held against all others."))),
    Exercise(
        "A step of AdamW", "Write `adamw_step(weight, gradient, m, v, t)`. What must be kept for the next "
                           "step?", adamw_step,
        inputs=_adam_inputs, imports="import torch\nfrom torch import Tensor",
        hints=("First the two running means: 0.9 m + 0.1 gradient, and the same with 0.99 for the squared gradient.",
               "Divide them by 1 - 0.9**t and 1 - 0.99**t, in names of their own: m and v are kept uncorrected.",
               "The decay multiplies the weight by 1 - 0.1 · 0.2. Then subtract 0.1 · mean / (root + eps)."),
        mistakes=(Mistake(_uncorrected, "The bias correction is missing: the first steps have the wrong size."),
                  Mistake(_decay_in_gradient, "The decay is in the gradient (L2); the W of AdamW keeps it apart."),
                  Mistake(_no_decay, "The weight does not decay."),
                  Mistake(_not_squared, "v is the running mean of the *squared* gradient."),
                  Mistake(_no_root, "Divide by the root of the mean square, so that the units cancel."),
                  Mistake(_uphill, "That goes up the gradient, where the loss rises."))),
    Exercise(
        "Clip as one vector", "Write `clipped(gradients, max_norm)` for a list of tensors.", clipped, inputs=_gradients,
        imports="import math\n\nimport torch\nfrom torch import Tensor",
        hints=("The length of all together: add up the squares of every number in every tensor, then take the root.",
               "All tensors are multiplied by the same factor, so the direction stays.",
               "Where the length is below `max_norm`, the factor is 1."),
        mistakes=(Mistake(_each_alone, "Each tensor was clipped by itself, and that bends the direction of the whole."),
                  Mistake(_cut_off, "Numbers were cut off one by one, and that bends the direction."),
                  Mistake(_always_scaled, "Short gradients were made longer; clipping only shortens."),
                  Mistake(_not_rooted, "You took the square of the length; the root is missing."),
                  Mistake(_sum_of_lengths, "Lengths do not add up; their squares do."))),
    Exercise(
        "A mean of means", "`loss_of_pieces` gives every piece the same weight, however many tokens it holds. Mend it.",
        loss_of_pieces, kind="mend", inputs=_pieces,
        hints=("Two pieces: 30 tokens with a mean of 2, 10 tokens with a mean of 4. What is the mean of all 40?",
               "A piece's mean times its count is the sum of its losses."),
        mistakes=(Mistake(_mean_of_means, "A token of a short piece counts more than one of a long piece."),
                  Mistake(_sum_of_means, "The means were added up and not divided."),
                  Mistake(_over_pieces, "The sum of all losses must be divided by the tokens, not by the pieces."),
                  Mistake(_over_tokens_only, "A mean must be multiplied by its count before it is added."),
                  Mistake(_turned, "You divided by the counts: now the shortest piece weighs most."))),
    Exercise(
        "How fast may descent go?", """
        The loss is (x² + 50 y²) / 2, so its gradient is (x, 50 y). Start at (-4, 1) and take 200 steps of plain
        descent with each of the rates 0.01, 0.03, 0.039, 0.041 and 0.06. Note the distance from (0, 0) at the end.
        Which rate is the `largest safe` one? Compare it with 2 divided by the steepest curvature, 50.
        """, walk_the_valley, kind="decide", verify=_judge, imports="import math",
        stub='''answer = {0.01: ..., 0.03: ..., 0.039: ..., 0.041: ..., 0.06: ..., "largest safe": ...}''',
        hints=("One step: `x, y = x - rate * x, y - rate * 50 * y`.", "`math.hypot(x, y)` is the distance from (0, "
                                                                      "0)."),
        mistakes=(Mistake({**walk_the_valley(), "largest safe": 0.06}, "your own figures say otherwise"),
                  Mistake(_VALLEY | {0.01: 3.2, "largest safe": 0.039}, "the distance is another"),
                  Mistake({0.01: 0.5, "largest safe": 0.039}, "as in the empty cell"))),
]

QUESTIONS = [
    Question("Why does Adam divide by the root of the running mean of squared gradients?",
             ("So that each parameter gets a step of about the rate, whatever the size of its gradients.",
              "A rare word's small gradients and a common word's large ones then move their weights alike."),
             (("So that the whole gradient never gets too long.", "That is clipping, which looks at all parameters "
                                                                  "together."),
              ("So that weights that are not needed fade.", "That is weight decay."))),
    Question("Four pieces of a batch hold 100, 80, 60 and 20 tokens, and their mean losses are averaged. What is "
             "wrong?",
             ("A token of the last piece weighs five times one of the first.",
              "Each piece counts a quarter, so a token counts a quarter divided by the tokens of its piece."),
             (("Nothing, as long as the pieces come in random order.", "Their lengths would still differ."),
              ("The loss is four times too large.", "The average has about the right size; the direction is bent."))),
    Question("Who profits most from warm-up?",
             ("A trained model that goes on with a fresh optimizer.",
              "The first step has full length in every weight, and its sign is mostly noise: there is much to lose."),
             (("A new model with random weights.", "It has nothing to lose, and the slow steps are missing at the "
                                                   "end."),
              ("A model trained with plain descent.", "Its first step is as long as the gradient, not as the rate."))),
    Question("A gradient of length 50 is clipped to 1. What does AdamW then do with it?",
             ("It goes into the running means at a fiftieth of its size, in its own direction.",
              "So one bad batch spoils the memory of gradients and squares far less."),
             (("It makes a step fifty times shorter than usual.", "Adam's step has about the size of the rate either "
                                                                  "way."),
              ("Nothing, since Adam divides the size out again.", "The size counts for the running means, next to "
                                                                  "others."))),
]
