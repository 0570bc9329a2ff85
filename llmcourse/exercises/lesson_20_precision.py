"Half the bits, half the memory."
import math

import torch
from torch import Tensor

from llmcourse.practice import Exercise, Mistake, Question
from llmcourse.precision import saved_bytes


def _counted():
    number = torch.tensor(250.0, dtype=torch.bfloat16)
    for _ in range(20): number += 1
    return number.item()


def spacing(x: float) -> float:
    "How far it is from x (above 0) to the next larger bf16 number. bf16 has 7 binary digits behind the first."
    power = math.floor(math.log2(x))                                 # x lies between 2**power and 2**(power + 1)
    return 2.0 ** (power - 7)                                        # this stretch is cut into 2**7 equal parts


def _as_at_one(x): return 2.0 ** -7
def _as_in_fp32(x): return 2.0 ** (math.floor(math.log2(x)) - 23)
def _eight_digits(x): return 2.0 ** (math.floor(math.log2(x)) - 8)
def _rounded_up(x): return 2.0 ** (math.ceil(math.log2(x)) - 7)
def _relative(x): return x * 2.0 ** -7


def _step(rng):
    weights = torch.tensor(rng.normal(size=5) + 2, dtype=torch.float32)
    return weights, torch.tensor(rng.normal(size=5)).to(torch.bfloat16), float(rng.uniform(0.0005, 0.002))


def step_of_weights(weight: Tensor, gradient: Tensor, rate: float) -> Tensor:
    "One step of descent; weight (n) is fp32, the gradient (n) was computed in bf16. Gives fp32, with no step lost."
    return weight - rate * gradient.float()                          # the small step is taken in fp32


def _in_bf16(weight, gradient, rate):
    "One step of descent; weight (n) is fp32, the gradient (n) was computed in bf16. Gives fp32, with no step lost."
    return (weight.bfloat16() - rate * gradient).float()


def _stored_in_bf16(weight, gradient, rate): return (weight - rate * gradient.float()).bfloat16().float()
def _given_in_bf16(weight, gradient, rate): return (weight - rate * gradient.float()).bfloat16()
def _up(weight, gradient, rate): return weight + rate * gradient.float()
def _weight_cut(weight, gradient, rate): return weight.bfloat16().float() - rate * gradient.float()


def memory_needed(n_layers: int, inside: int, between: int) -> tuple[int, int]:
    """The most numbers kept at one time: (if all is kept, with checkpointing).

    Each layer needs `inside` numbers for its backward pass; besides, `between` numbers go into each layer."""
    everything = n_layers * (inside + between)
    recomputed = n_layers * between + inside                         # all inputs, and the inside of the layer at work
    return everything, recomputed


def _inside_forgotten(n_layers, inside, between): return n_layers * (inside + between), n_layers * between
def _all_inside(n_layers, inside, between): return n_layers * (inside + between), n_layers * inside + between
def _inputs_forgotten(n_layers, inside, between): return n_layers * inside, n_layers * between + inside
def _one_layer(n_layers, inside, between): return n_layers * (inside + between), inside + between
def _exchanged(n_layers, inside, between): return n_layers * between + inside, n_layers * (inside + between)


def compare_segments() -> dict:
    "For segments of 1, 4 and 16 of sixteen layers: bytes kept between segments, bytes kept inside one, and the best."
    torch.manual_seed(0)
    weights = [(torch.randn(64, 64) / 8).requires_grad_() for _ in range(16)]

    def layer(x, weight): return torch.tanh(x @ weight).exp() - 1    # keeps several tensors of the size of x
    found, size = {}, 32 * 64 * 4                                    # an x has (32, 64) numbers of 4 bytes

    for length in (1, 4, 16):
        def segment():
            x = torch.randn(32, 64, requires_grad=True)
            for weight in weights[:length]: x = layer(x, weight)
            return x.sum()
        found[length] = [16 // length * size, saved_bytes(segment, weights)]
    return found | {"lowest peak": min(found, key=lambda length: sum(found[length]))}


def _judge(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    if not all(isinstance(answer[n], (list, tuple)) and len(answer[n]) == 2 for n in (1, 4, 16)):
        return "each length has two figures: bytes kept between the segments, bytes kept inside one segment"
    if [answer[n][0] for n in (1, 4, 16)] != [16 * 8192, 4 * 8192, 8192]:
        return "between segments only their inputs are kept: 16, 4 or 1 tensors of 32 x 64 numbers of 4 bytes"
    inside = [answer[n][1] for n in (1, 4, 16)]
    if not inside[0] < inside[1] < inside[2] or inside[2] < 8 * inside[0]:
        return "a segment of more layers keeps more while it is recomputed; use saved_bytes with apart=weights"
    if answer["lowest peak"] != min((1, 4, 16), key=lambda n: sum(answer[n])):
        return "at its peak a run holds both: add the two figures, and take the length with the lowest sum"
    return ""


_MEASURED = {1: [131072, 24576], 4: [32768, 98304], 16: [8192, 393216]}

EXERCISES = [
    Exercise(
        "Counting in bf16", """
        `number = torch.tensor(250.0, dtype=torch.bfloat16)`, and then `number += 1` twenty times. What does `number`
        hold?
        """, _counted, kind="predict",
        hints=("bf16 has 8 binary digits of precision. Up to which number can it count by ones?",
               "Above 256 the next number is 258, and 257 lies half-way."),
        mistakes=(Mistake(270.0, "That is exact arithmetic; above 256 the numbers of bf16 lie two apart."),
                  Mistake(258.0, "257 is rounded to the even neighbour, which is 256; so 258 is never reached."),
                  Mistake(257.0, "257 is no number of bf16."),
                  Mistake(250.0, "Below 256 a step of 1 is not lost."))),
    Exercise(
        "The next number", """
        Write `spacing(x)`: the distance from x to the next larger bf16 number. A step below half of it is lost.
        """, spacing, inputs=lambda rng: (float(2 ** rng.uniform(-6, 9)),), tolerance=1e-9,
        imports="import math",
        hints=("From 1 to 2 there are 2**7 equal parts. And from 2 to 4, or from 256 to 512?",
               "`math.floor(math.log2(x))` tells between which powers of two x lies."),
        mistakes=(Mistake(_as_at_one, "That is the distance next to 1; it doubles with each power of two."),
                  Mistake(_as_in_fp32, "fp32 has 23 binary digits behind the first; bf16 has 7."),
                  Mistake(_eight_digits, "That is half of the distance: seven digits stand behind the first."),
                  Mistake(_rounded_up, "Round the logarithm down: between 4 and 8 the numbers lie as far apart as at "
                                       "4."),
                  Mistake(_relative, "Between two powers of two the distance is the same everywhere; it does not "
                                     "follow x."))),
    Exercise(
        "A step that is not lost", "`step_of_weights` loses most of its steps. Mend it.", step_of_weights, kind="mend",
        inputs=_step, imports="import torch\nfrom torch import Tensor",
        hints=("A weight near 2, a step of 0.001: which of the two numbers needs the many digits?",
               "The gradient may have few digits; turn *it* into fp32 with `.float()` and keep the weight as it is."),
        mistakes=(Mistake(_in_bf16, "The subtraction happens in bf16, where a small step from a large weight is lost."),
                  Mistake(_stored_in_bf16, "The new weight went through bf16, which rounds the step away."),
                  Mistake(_given_in_bf16, "The weight comes back in bf16; it must stay in fp32 from step to step."),
                  Mistake(_up, "Descent goes against the gradient."),
                  Mistake(_weight_cut, "The weight lost its last digits before the step."))),
    Exercise(
        "What checkpointing keeps", """
        Write `memory_needed(n_layers, inside, between)`: the most numbers that are kept at one time, first if all is
        kept, then with activation checkpointing of every layer. Give a pair.
        """, memory_needed,
        inputs=lambda rng: (int(rng.integers(3, 20)), int(rng.integers(100, 200)), int(rng.integers(5, 20))),
        hints=("With checkpointing, only what goes into each layer is kept in the forward pass.",
               "In the backward pass one layer after the other is recomputed. What is there while it is at work?"),
        mistakes=(Mistake(_inside_forgotten, "While a layer is recomputed, its inside is there too."),
                  Mistake(_all_inside, "The insides are what is *not* kept; the inputs of the layers are."),
                  Mistake(_inputs_forgotten, "If all is kept, the inputs of the layers are kept too."),
                  Mistake(_one_layer, "The input of every layer is kept, or it could not be recomputed."),
                  Mistake(_exchanged, "The order is first all kept, then checkpointing."))),
    Exercise(
        "How long should a segment be?", """
        Sixteen layers, `layer(x, w) = torch.tanh(x @ w).exp() - 1`, with x of shape (32, 64). Checkpoint segments of
        1, 4 or 16 layers. For each, note two figures: the bytes kept *between* segments (the input of each, in fp32),
        and the bytes kept *inside* one segment while it is recomputed (`saved_bytes`, with the weights left out by
        `apart`). Which length has the `lowest peak`, the smallest sum?
        """, compare_segments, kind="decide", verify=_judge,
        imports="import torch\n\nfrom llmcourse.precision import saved_bytes",
        stub='''answer = {1: [..., ...], 4: [..., ...], 16: [..., ...], "lowest peak": ...}''',
        hints=("The input of a segment has 32 · 64 numbers of 4 bytes; there are 16, 4 or 1 of them.",
               "`saved_bytes(segment, weights)`, where `segment()` runs the layers of one segment and gives `x.sum()`.",
               "Let x require a gradient, as it does inside a network."),
        mistakes=(Mistake(_MEASURED | {"lowest peak": 16}, "add the two figures"),
                  Mistake({1: [8192, 24576], 4: [8192, 98304], 16: [8192, 393216], "lowest peak": 1}, "only their"),
                  Mistake({1: [131072, 24576], 4: [32768, 24576], 16: [8192, 24576], "lowest peak": 16},
                          "keeps more while it is recomputed"))),
]

QUESTIONS = [
    Question("Why do the weights stay in fp32 under autocast?",
             ("A step is small beside the weight, and bf16 would round it away.",
              "The products can bear rounding errors of both signs; a lost step is lost for good."),
             (("bf16 cannot hold weights that are large enough.", "It reaches as far as fp32; it only has fewer "
                                                                  "digits."),
              ("Matrix products need operands in fp32.", "They get them in bf16; that is where the time is saved."))),
    Question("bf16 has fewer digits than fp16, which also has 16 bits. Why is it preferred for training?",
             ("It reaches as far as fp32, so gradients neither overflow nor vanish.",
              "fp16 spends more bits on digits and fewer on size; its largest number is about 65,000."),
             (("It is the more exact of the two.", "It is the coarser one: 8 binary digits against 11."),
              ("It needs less memory than fp16.", "Both have 16 bits."))),
    Question("Activation checkpointing is switched on. What changes?",
             ("Less memory and a longer step; the gradients are the same.",
              "The same numbers are computed twice in place of being kept."),
             (("Less memory, and gradients that are slightly off.", "Nothing is left out or rounded; it is computed "
                                                                    "again."),
              ("A shorter step, since less is kept.", "A second forward pass has to be computed."))),
    Question("Compiling takes 20 seconds and saves 1 millisecond a call. When does it pay?",
             ("After more than 20,000 calls.", "20 seconds divided by a thousandth of a second; a short run never "
                                               "gets there."),
             (("From the second call, when it is compiled.", "The time for compiling has been spent by then, not won "
                                                             "back."),
              ("Whenever a call takes longer than a millisecond.", "What counts is the time saved, and how often."))),
]
