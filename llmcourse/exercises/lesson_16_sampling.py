"Choose the next token."
import math

import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question


def _sharpened():
    powers = [math.exp(logit / 0.5) for logit in (2, 1, 0)]          # the logits become 4, 2, 0
    return powers[0] / sum(powers)


def _row(rng, n=6): return torch.tensor(rng.normal(size=n) * 1.5, dtype=torch.float32)


def nucleus(logits: Tensor, p: float) -> Tensor:
    "Minus infinity for all but the smallest set of likeliest tokens that reaches probability p; logits (vocab_size)."
    ordered, order = logits.sort(descending=True)                    # (vocab_size): likeliest first
    bets = ordered.softmax(-1)
    before = bets.cumsum(-1) - bets                                  # (vocab_size): the likelier ones together
    kept = order[before < p]                                         # a token is needed while those before it miss p
    result = torch.full_like(logits, -math.inf)
    result[kept] = logits[kept]
    return result


def _stops_short(logits, p):
    ordered, order = logits.sort(descending=True)
    kept = order[ordered.softmax(-1).cumsum(-1) <= p]
    return torch.full_like(logits, -math.inf).index_copy(0, kept, logits[kept])
def _in_the_order_given(logits, p):
    bets = logits.softmax(-1)
    return logits.masked_fill(bets.cumsum(-1) - bets >= p, -math.inf)
def _each_above(logits, p): return logits.masked_fill(logits.softmax(-1) < p, -math.inf)
def _zeros(logits, p): return nucleus(logits, p).masked_fill(nucleus(logits, p).isinf(), 0.0)
def _least_likely(logits, p): return -nucleus(-logits, p).masked_fill(nucleus(-logits, p).isinf(), math.inf)


def hit_by(probabilities: list[float], dart: float) -> int:
    "The number of the token whose stretch holds the dart, when the probabilities are laid end to end from 0 to 1."
    end = 0.0
    for token, probability in enumerate(probabilities):
        end += probability                                           # this token's stretch ends here
        if dart < end: return token
    return len(probabilities) - 1                                    # rounding can leave the last end just below 1


def _likeliest(probabilities, dart): return probabilities.index(max(probabilities))
def _one_too_far(probabilities, dart): return min(hit_by(probabilities, dart) + 1, len(probabilities) - 1)
def _own_probability(probabilities, dart):
    return next((i for i, p in enumerate(probabilities) if dart < p), len(probabilities) - 1)
def _evenly(probabilities, dart): return int(dart * len(probabilities))
def _sorted(probabilities, dart): return hit_by(sorted(probabilities, reverse=True), dart)


def penalized(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    "Make the logits of tokens that were seen smaller; logits and seen (vocab_size), penalty above 1."
    smaller = torch.where(logits > 0, logits / penalty, logits * penalty)    # both directions make a number smaller
    return torch.where(seen, smaller, logits)


def _divided(logits, seen, penalty):
    "Make the logits of tokens that were seen smaller; logits and seen (vocab_size), penalty above 1."
    return torch.where(seen, logits / penalty, logits)


def _multiplied(logits, seen, penalty): return torch.where(seen, logits * penalty, logits)
def _subtracted(logits, seen, penalty): return torch.where(seen, logits - penalty, logits)
def _the_others(logits, seen, penalty): return penalized(logits, ~seen, penalty)
def _forbidden(logits, seen, penalty): return logits.masked_fill(seen, -math.inf)


def write_chains() -> dict:
    "The share of different pairs in 200 tokens, chosen greedily and drawn, of three random models of 30 tokens."
    found = {"greedy": [], "drawn": []}
    for seed in range(3):
        chance = torch.Generator().manual_seed(seed)
        table = torch.randn(30, 30, generator=chance)                # logits of the next token, a row for each token
        for how in found:
            row = [0]
            for _ in range(200):
                logits = table[row[-1]]                              # (vocab_size)
                row.append(int(logits.argmax() if how == "greedy" else
                               torch.multinomial(logits.softmax(-1), 1, generator=chance)))
            pairs = list(zip(row, row[1:]))
            found[how].append(len(set(pairs)) / len(pairs))
    return found | {"runs in circles": "greedy"}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    if not all(isinstance(answer[how], list) and len(answer[how]) >= 3 for how in ("greedy", "drawn")):
        return "try at least three random models: one may be an exception"
    if not all(0 < share <= 1 for how in ("greedy", "drawn") for share in answer[how]):
        return "a share lies between 0 and 1: divide the number of different pairs by the number of pairs"
    if max(answer["greedy"]) > 30 / 200 + 0.01:
        return "greedy repeats itself after at most 30 tokens here; do you take the largest logit?"
    if answer["runs in circles"] != "greedy":
        return "your own shares say which of the two repeats its pairs; follow them"
    return ""


EXERCISES = [
    Exercise(
        "A cooler bet", """
        Three tokens have the logits 2, 1 and 0. What is the probability of the first at temperature 0.5? Two digits
        after the point are enough; a pocket calculator is allowed.
        """, _sharpened, kind="predict", tolerance=0.006, imports="import math",
        hints=("Divide each logit by the temperature first.", "The logits become 4, 2 and 0; now take the softmax.",
               "The powers are 54.6, 7.39 and 1."),
        mistakes=(Mistake(0.665, "That is the bet at temperature 1; divide the logits by the temperature first."),
                  Mistake(0.506, "You multiplied by the temperature: below 1, the likeliest token should gain."),
                  Mistake(1.0, "That is greedy choice; at 0.5 the other tokens keep a share."),
                  Mistake(0.333, "All tokens alike would be the limit of a very high temperature."))),
    Exercise(
        "The nucleus", "Write `nucleus(logits, p)`, top-p for one row of logits. Ruled out means `-math.inf`.", nucleus,
        imports="import math\n\nimport torch\nfrom torch import Tensor",
        inputs=lambda rng: (_row(rng), float(rng.uniform(0.3, 0.9))),
        hints=("Sort the logits, largest first, and keep the order that `sort` returns too.",
               "A token is needed as long as the likelier ones together have not reached p.",
               "`cumsum` counts the token itself too; subtract its own probability to get what stands before it."),
        mistakes=(Mistake(_stops_short, "The token that crosses p is missing: the set must reach p."),
                  Mistake(_in_the_order_given, "The probabilities were added up in the order given; begin with the "
                                               "largest."),
                  Mistake(_each_above, "No single token need have probability p; the kept ones together must."),
                  Mistake(_zeros, "A logit of 0 is no prohibition: e to the power of 0 is 1."),
                  Mistake(_least_likely, "You kept the unlikely end; sort with the largest first."))),
    Exercise(
        "Throw a dart", "Write `hit_by(probabilities, dart)` with a loop. The dart is a number from 0 to just below 1.",
        hit_by, inputs=lambda rng: ((rng.permutation([2, 3, 10, 5]) / 20).tolist(), float(rng.uniform())),
        hints=("Where does the stretch of the first token end? And that of the second?",
               "Add up the probabilities as you go; the first end that lies beyond the dart is yours."),
        mistakes=(Mistake(_likeliest, "That is greedy: the dart must have a say."),
                  Mistake(_one_too_far, "That is the token after the one that was hit."),
                  Mistake(_own_probability, "Each stretch begins where the last one ended; add the probabilities up."),
                  Mistake(_evenly, "Your stretches are all equally long; a likely token has a longer one."),
                  Mistake(_sorted, "After sorting, the number no longer says which token it was."))),
    Exercise(
        "A penalty that rewards", "With `penalized`, some tokens that occurred become *more* likely. Mend "
                                  "it.", penalized,
        kind="mend", imports="import torch\nfrom torch import Tensor",
        inputs=lambda rng: (_row(rng), torch.tensor(rng.permutation([True, True, True, False, False, False])),
                            float(rng.uniform(1.2, 3))),
        hints=("Try a negative logit: what is -4 divided by 2?",
               "A negative logit becomes smaller when it is multiplied. `torch.where` chooses for each number."),
        mistakes=(Mistake(_divided, "Half of minus four is minus two, which is larger: look at the negative logits."),
                  Mistake(_multiplied, "Now the positive logits grow."),
                  Mistake(_subtracted, "It works too, but differently: this penalty is a factor."),
                  Mistake(_the_others, "The penalty fell on the tokens that did not occur."),
                  Mistake(_forbidden, "That rules out every token that occurred; a text needs *the* more than once."))),
    Exercise(
        "Must greedy run in circles?", """
        Take a table of random logits, `torch.randn(30, 30)`: row i holds the logits after token i. From token 0, write
        200 tokens, once greedily and once by drawing from the softmax. What share of the pairs of neighbours is
        different? Try three tables. Which way `runs in circles`, "greedy" or "drawn"? Ask yourself why it *must*, in
        this model.
        """, write_chains, kind="decide", verify=_judge, imports="import torch",
        stub='''answer = {"greedy": [...], "drawn": [...], "runs in circles": ...}''',
        hints=("`table[row[-1]].argmax()` is the greedy choice; `torch.multinomial(table[row[-1]].softmax(-1), 1)` "
               "draws.",
               "`pairs = list(zip(row, row[1:]))`; the share is `len(set(pairs)) / len(pairs)`.",
               "Here the last token alone decides, so when it comes a second time, all that follows does too."),
        mistakes=(Mistake({"greedy": [0.05], "drawn": [0.9], "runs in circles": "greedy"}, "at least three random"),
                  Mistake({"greedy": [0.05] * 3, "drawn": [0.9] * 3, "runs in circles": "drawn"}, "your own shares"),
                  Mistake({"greedy": [10] * 3, "drawn": [180] * 3, "runs in circles": "greedy"}, "between 0 and 1"),
                  Mistake({"greedy": [0.9] * 3, "drawn": [0.9] * 3, "runs in circles": "greedy"}, "largest logit"))),
]

QUESTIONS = [
    Question("What does top-p do that top-k cannot?",
             ("It keeps few tokens where the model is sure and many where it is not.",
              "Its number of tokens follows from the bet itself; top-k keeps the same number everywhere."),
             (("It rules out the unlikely tokens altogether.", "Both do; what they keep gets all of the probability."),
              ("It makes the likely tokens likelier than the others.", "Both do, since the shares must add up to 1 "
                                                                       "again."))),
    Question("The temperature goes from 1 to 0.01. What does drawing become?",
             ("Nearly the same as greedy.", "The differences of the logits grow a hundredfold, so the largest takes "
                                            "all."),
             (("Nearly the same as drawing evenly.", "That is the other end: a very high temperature."),
              ("Impossible, since the logits overflow.", "The largest is subtracted first, so nothing overflows."))),
    Question("A text with greedy choice and a repetition penalty has hardly any repeats. Is it as good as people's?",
             ("Not for that reason: its surprise is still far below people's.",
              "The penalty removes the symptom that was measured; the text is still one likely word after another."),
             (("Yes, since repeats are what was wrong with greedy.", "They were one of two faults; the other was not "
                                                                     "counted."),
              ("No, since the penalty makes up words.", "It draws nothing, and mostly writes known words."))),
    Question("Why does each text draw its darts from a seed of its own?",
             ("So that its neighbours in a batch cannot change what it writes.",
              "With one stream for all, adding a text would shift the numbers of the others."),
             (("So that all texts differ from each other.", "They would differ with one stream too."),
              ("So that the draws follow the probabilities better.", "Any uniform numbers do that equally well."))),
]
