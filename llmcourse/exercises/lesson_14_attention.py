"Let words look at each other."
import math

import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def _scores(rng): return (torch.tensor(rng.normal(size=(3, 4)) * rng.choice([1, 100]), dtype=torch.float32),)


def softmax_of_rows(scores: Tensor) -> Tensor:
    "Shares along the last axis of `scores` (rows, n), right for large scores too. Use `exp`, not `softmax`."
    shifted = scores - scores.amax(dim=-1, keepdim=True)     # (rows, n): the largest of each row is 0
    powers = shifted.exp()                                   # (rows, n): between 0 and 1
    return powers / powers.sum(dim=-1, keepdim=True)         # (rows, n): each row adds up to 1


def _unshifted(scores): return scores.exp() / scores.exp().sum(-1, keepdim=True)
def _down_the_columns(scores): return scores.softmax(0)
def _without_powers(scores): return scores / scores.sum(-1, keepdim=True)
def _over_all(scores): return (scores - scores.max()).exp() / (scores - scores.max()).exp().sum()


def _qkv(rng): return tuple(torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32) for _ in range(3))


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    "What each position finds among itself and the positions before it; q, k, v are (time, width)."
    scores = q @ k.T / math.sqrt(q.shape[-1])                           # (time, time): queries in rows
    later = torch.ones(scores.shape, dtype=torch.bool).triu(1)          # True above the diagonal: the future
    weights = scores.masked_fill(later, -math.inf).softmax(dim=-1)      # (time, time): rows add up to 1
    return weights @ v                                                  # (time, width)


def _causal(q, k, v, scale=None, mask=None, dim=-1):
    scores = q @ k.T / (math.sqrt(q.shape[-1]) if scale is None else scale)
    mask = torch.ones(4, 4).triu(1).bool() if mask is None else mask
    return scores.masked_fill(mask, -math.inf).softmax(dim) @ v


def _all_see_all(q, k, v): return _causal(q, k, v, mask=torch.zeros(4, 4).bool())
def _only_future(q, k, v): return _causal(q, k, v, mask=torch.ones(4, 4).tril(-1).bool())
def _not_itself(q, k, v): return _causal(q, k, v, mask=torch.ones(4, 4).triu(0).bool())
def _unscaled(q, k, v): return _causal(q, k, v, scale=1)
def _scaled_by_width(q, k, v): return _causal(q, k, v, scale=q.shape[-1])
def _wrong_axis(q, k, v): return _causal(q, k, v, dim=0)
def _masked_late(q, k, v): return (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1).tril() @ v
def _masked_by_zero(q, k, v): return (q @ k.T / math.sqrt(q.shape[-1])).tril().softmax(-1) @ v


def heads_of(x: Tensor, n_heads: int) -> Tensor:
    "Cut x (time, width) into heads: (heads, time, width / heads)."
    x = x.unflatten(-1, (n_heads, -1))       # (time, heads, head_dim): cut each position's vector
    return x.transpose(0, 1)                 # (heads, time, head_dim): then move the heads to the front


def _cut_across(x, n_heads):
    "Cut x (time, width) into heads: (heads, time, width / heads)."
    return x.reshape(n_heads, x.shape[0], -1)


def _not_moved(x, n_heads): return x.unflatten(-1, (n_heads, -1))
def _every_other(x, n_heads): return x.unflatten(-1, (-1, n_heads)).permute(2, 0, 1)
def _copied(x, n_heads): return x.expand(n_heads, *x.shape)


def _mixture():
    weights = [math.exp(score) for score in (0, 0, math.log(2))]        # 1, 1, 2
    return sum(w * v for w, v in zip(weights, (4, 8, 2))) / sum(weights)


def compare_widths() -> dict:
    "The largest of sixteen weights, for two widths, plain and divided, from three seeds each."
    found = {"plain": {}, "divided": {}}
    for d in (4, 256):
        for how, by in (("plain", 1), ("divided", math.sqrt(d))):
            found[how][d] = []
            for seed in range(3):
                chance = torch.Generator().manual_seed(seed)
                q, k = torch.randn(500, 1, d, generator=chance), torch.randn(500, 16, d, generator=chance)
                weights = ((q * k).sum(-1) / by).softmax(-1)            # (queries, keys)
                found[how][d].append(weights.amax(-1).mean().item())
    return found | {"harmed more": 256}


_TABLE = {"plain": {4: [0.38, 0.39, 0.38], 256: [0.87, 0.86, 0.87]},
          "divided": {4: [0.25, 0.25, 0.25], 256: [0.30, 0.31, 0.30]}}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    rows = [answer["plain"], answer["divided"]]
    if not all(isinstance(row, dict) and set(row) == {4, 256} for row in rows):
        return "plain and divided each hold a dictionary with the widths 4 and 256"
    series = [row[d] for row in rows for d in (4, 256)]
    if not all(isinstance(values, list) and len(values) >= 3 for values in series):
        return "measure each width from at least three seeds: one draw is no evidence"
    if not all(1 / 16 < value <= 1 for values in series for value in values):
        return "the largest of sixteen weights lies between a sixteenth and 1; are these sums, or scores?"
    mean = lambda values: sum(values) / len(values)
    gain = {d: mean(answer["plain"][d]) - mean(answer["divided"][d]) for d in (4, 256)}
    if abs(mean(answer["divided"][256]) - mean(answer["divided"][4])) > 0.15:
        return "divided by the root of the width, both widths should give about the same; by what did you divide?"
    if answer["harmed more"] != max(gain, key=gain.get):
        return "your own figures say otherwise: compare plain with divided, width by width"
    return ""


EXERCISES = [
    Exercise(
        "A mixture by hand", """
        A query scores three keys: 0, 0 and ln 2. Their values are the numbers 4, 8 and 2. What does the query find? No
        division by a root here. Work it out with a pencil.
        """, _mixture, kind="predict", tolerance=0.01,
        hints=("Take e to the power of each score. What is e to the power of ln 2?",
               "The powers are 1, 1 and 2. Divide each by their sum to get the weights.",
               "The weights are a quarter, a quarter and a half. Multiply each value by its weight and add up."),
        mistakes=(Mistake(14 / 3, "That is the plain mean of the values; the scores must decide how much each counts."),
                  Mistake(2.0, "That is the value of the best key alone; softmax leaves the others a share."),
                  Mistake(16.0, "The powers must be divided by their sum first, so that the weights add up to 1."),
                  Mistake(2 * math.log(2), "The scores themselves are no weights; take e to the power of each "
                                           "first."))),
    Exercise(
        "Softmax", "Write `softmax_of_rows(scores)` with `exp` and sums. It must also work for scores of some "
                   "hundreds.",
        softmax_of_rows, imports="import torch\nfrom torch import Tensor", inputs=_scores, gradient=True,
        hints=("A share is e to the power of the score, over the sum of these powers in its row.",
               "`sum(dim=-1, keepdim=True)` keeps the axis, so that a division goes row by row.",
               "Subtract `scores.amax(dim=-1, keepdim=True)` first: no share changes, and no power is infinite."),
        mistakes=(Mistake(_unshifted, "For scores of a few dozens it works; the power of a large one is infinite."),
                  Mistake(_down_the_columns, "Each column adds up to 1; the shares of one query stand in a row."),
                  Mistake(_without_powers, "A score can be negative, and a share cannot; make the numbers positive "
                                           "first."),
                  Mistake(_over_all, "All numbers together add up to 1; each row should, by itself."))),
    Exercise(
        "Attention that looks back", """
        Write `causal_attention(q, k, v)` for one head: scale the scores, forbid the future, take the softmax, mix the
        values.
        """, causal_attention, imports="import math\n\nimport torch\nfrom torch import Tensor", inputs=_qkv,
        gradient=True,
        hints=("The scores are `q @ k.T`, with queries in rows. Divide by the square root of the width.",
               "The future of a query lies above the diagonal: `torch.ones(4, 4).triu(1)`.",
               "Fill the forbidden scores with `-math.inf` *before* the softmax along the last axis."),
        mistakes=(Mistake(_all_see_all, "The first position should find its own value and nothing else; yours sees "
                                        "all."),
                  Mistake(_only_future, "The mask lies on the wrong side of the diagonal: it forbids the past."),
                  Mistake(_not_itself, "The first position may look at nothing, and 0/0 is no number; let it see "
                                       "itself."),
                  Mistake(_unscaled, "The scores are not divided by the square root of the width."),
                  Mistake(_scaled_by_width, "The standard deviation of a dot product is the root of the width."),
                  Mistake(_wrong_axis, "The weights of one query stand in a row; your columns add up to 1."),
                  Mistake(_masked_late, "The future took its share of the softmax before you removed it."),
                  Mistake(_masked_by_zero, "A score of 0 is no prohibition: e to the power of 0 is 1."))),
    Exercise(
        "Cut into heads", "The result has the right shape, and yet the heads mix up positions. Mend `heads_of`.",
        heads_of,
        kind="mend", imports="import torch\nfrom torch import Tensor",
        inputs=lambda rng: (torch.arange(n := 8 * int(rng.integers(3, 6))).view(n // 8, 8) + int(rng.integers(50)),
                            int(rng.choice([2, 4]))),
        hints=("Print `heads_of(torch.arange(12).view(3, 4), 2)`. The first head should hold 0, 1, then 4, 5, then "
               "8, 9.",
               "First cut each row: `x.unflatten(-1, (n_heads, -1))` has shape (time, heads, head_dim).",
               "Then exchange the first two axes with `transpose`."),
        mistakes=(Mistake(_cut_across, "The first head got whole vectors of the first positions, not a part of each."),
                  Mistake(_not_moved, "The heads are cut rightly, but stand behind the positions; move them to the "
                                      "front."),
                  Mistake(_every_other, "A head should get neighbouring numbers, not every second or fourth one."),
                  Mistake(_copied, "Each head got the whole vector; the width should be shared among them."))),
    Exercise(
        "Which width needs the root?", """
        Draw 500 random queries of width 4, each with sixteen random keys (`torch.randn`), and note the mean of the
        largest softmax weight, with the plain dot products and divided by the root of the width. Do it again for width
        256; three seeds each. Which width is `harmed more` if the division is left out?
        """, compare_widths, kind="decide", verify=_judge, imports="import math\n\nimport torch",
        stub='''answer = {"plain": {4: [...], 256: [...]}, "divided": {4: [...], 256: [...]}, "harmed more": ...}''',
        hints=("Queries of shape (500, 1, d) times keys of shape (500, 16, d), summed over the last axis, give the "
               "scores.",
               "`scores.softmax(-1).amax(-1).mean().item()` is one figure."),
        mistakes=(Mistake({how: {d: v[:1] for d, v in row.items()} for how, row in _TABLE.items()}
                          | {"harmed more": 256},
                          "one draw is no evidence"),
                  Mistake(_TABLE | {"harmed more": 4}, "your own figures say otherwise"),
                  Mistake({"plain": _TABLE["plain"], "divided": {4: [0.3] * 3, 256: [0.07] * 3},
                           "harmed more": 256}, "by what did you divide?"),
                  Mistake({"plain": {4: [2.1] * 3, 256: [17.0] * 3}, "divided": _TABLE["divided"], "harmed more": 256},
                          "are these sums, or scores?"))),
]

QUESTIONS = [
    Question("A language model is trained without a causal mask, and its loss falls to 0.05. What has it learned?",
             ("To copy the next token, which it can see.",
              "At every position the answer stands one place ahead; when it writes, that place is empty."),
             (("To write very well, since the loss is so low.", "The loss was measured with the answers in sight."),
              ("To memorize the training texts.", "New texts would give the same low loss: their answers are in "
                                                  "sight too."))),
    Question("You add 7 to all scores of one query. How do its weights change?",
             ("Not at all.", "Every power grows by the same factor, and the division takes it out again."),
             (("Large scores gain, small ones lose.", "That is what multiplying the scores does, not adding."),
              ("They all come closer to each other.", "That is what dividing the scores does, as by a temperature."))),
    Question("Why does attention without positions give the same for *dog bites man* and *man bites dog*?",
             ("A score depends on two vectors only, not on where they stand.",
              "Shuffle the words and the same pairs get the same scores, in another place of the table."),
             (("The softmax sorts the words by their score.", "It keeps each weight in the place of its word."),
              ("The words are averaged before they are compared.", "They are compared first; the weights of the mean "
                                                                   "follow from that."))),
    Question("Under a causal mask, what is the weight of the first token on itself, before and after training?",
             ("Always 1.", "It is the only key that it may see, and weights add up to 1, whatever the score."),
             (("It begins near 0 and grows with training.", "With one key to choose from there is nothing to learn."),
              ("One over the number of tokens.", "The others are forbidden, so they have no share."))),
    Question("A layer of width 64 goes from one head to four. What happens to its number of weights?",
             ("It stays the same.", "The same matrices are cut into four parts of 16; only the dot products get "
                                    "shorter."),
             (("It becomes four times as large.", "Each head has a quarter of the width, not the whole."),
              ("It becomes a quarter.", "Four heads together still use the whole width."))),
]
