"Ship it."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def absmax(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    "Whole numbers (int8) and scales (outputs, 1) of a matrix (outputs, inputs), one scale for each row."
    scale = abs(weight).max(axis=1, keepdims=True) / 127
    return np.round(weight / scale).astype(np.int8), scale


def _one_scale(weight):
    scale = abs(weight).max() / 127 * np.ones((len(weight), 1))
    return np.round(weight / scale).astype(np.int8), scale


def _by_input(weight):
    scale = abs(weight).max(axis=0, keepdims=True) / 127
    return np.round(weight / scale).astype(np.int8), scale


def _largest_signed(weight):
    scale = weight.max(axis=1, keepdims=True) / 127
    return np.clip(np.round(weight / scale), -127, 127).astype(np.int8), scale


def _cuts_off(weight):
    scale = abs(weight).max(axis=1, keepdims=True) / 127
    return (weight / scale).astype(np.int8), scale


def _draw_weight(rng):
    weight = rng.normal(size=(3, 5)) * np.array([[1.0], [4.0], [0.2]])
    weight[:, 0] = -1.5 * abs(weight).max(axis=1)              # the largest of each row is negative
    return (weight,)


def int8_product(x: np.ndarray, w8: np.ndarray, w_scale: np.ndarray) -> np.ndarray:
    "x (rows, inputs) times an int8 matrix (outputs, inputs) with scales (outputs, 1): (rows, outputs)."
    x_scale = abs(x).max() / 127
    x8 = np.round(x / x_scale).astype(np.int8)
    return (x8.astype(np.int32) @ w8.T.astype(np.int32)) * x_scale * w_scale.T


def _overflows(x, w8, w_scale):
    x_scale = abs(x).max() / 127
    x8 = np.round(x / x_scale).astype(np.int8)
    return (x8 @ w8.T) * x_scale * w_scale.T


def _forgets_input_scale(x, w8, w_scale):
    return int8_product(x, w8, w_scale) / (abs(x).max() / 127)


def _forgets_weight_scale(x, w8, w_scale):
    return int8_product(x, w8, np.ones_like(w_scale))


def _exact_input(x, w8, w_scale): return x @ (w8 * w_scale).T


def _draw_product(rng):
    w8 = rng.integers(-127, 128, size=(3, 6)).astype(np.int8)
    return rng.normal(size=(2, 6)) * 3, w8, rng.uniform(0.01, 0.2, size=(3, 1))


def fits(shape: tuple[int, int], axes: dict[int, tuple[int, int]], example: tuple[int, int]) -> bool:
    "Whether a program takes a batch: `axes` holds least and most of each dynamic axis, others are the example's."
    for axis, size in enumerate(shape):
        least, most = axes.get(axis, (example[axis], example[axis]))
        if not least <= size <= most: return False
    return True


def _only_dynamic(shape, axes, example): return all(low <= shape[a] <= high for a, (low, high) in axes.items())
def _example_is_most(shape, axes, example): return all(size <= most for size, most in zip(shape, example))


def _below_most(shape, axes, example):
    bounds = [axes.get(a, (example[a], example[a] + 1)) for a in range(len(shape))]
    return all(low <= size < high for size, (low, high) in zip(shape, bounds))


def _anything_dynamic(shape, axes, example):
    return all(a in axes or size == example[a] for a, size in enumerate(shape))


def _draw_shape(rng):
    axes = [{0: (1, 8), 1: (1, 16)}, {1: (1, 16)}, {0: (1, 8)}, {}][int(rng.integers(4))]
    shape = (int(rng.choice([1, 2, 8, 9])), int(rng.choice([3, 7, 16, 17])))
    return shape, axes, (2, 7)


def card_faults(data: dict, evaluation: dict, fingerprint: str) -> list[str]:
    "What is wrong with a card, of: license, language, stale, missing NAME, wrong NAME (names of metrics, in order)."
    wrong = [name for name in ("license", "language") if not data.get(name)]
    if evaluation["fingerprint"] != fingerprint: wrong.append("stale")
    for name, value in sorted(evaluation["measured"].items()):
        if name not in data["results"]: wrong.append(f"missing {name}")
        elif abs(data["results"][name] - value) > 1e-9: wrong.append(f"wrong {name}")
    return wrong


def _trusts_file(data, evaluation, fingerprint): return card_faults(data, evaluation, evaluation["fingerprint"])


def _keys_only(data, evaluation, fingerprint):
    return [fault for fault in card_faults(data, evaluation, fingerprint) if not fault.startswith("wrong")]


def _stops_at_first(data, evaluation, fingerprint): return card_faults(data, evaluation, fingerprint)[:1]


def _empty_is_there(data, evaluation, fingerprint):
    filled = data | {name: "unknown" for name in ("license", "language") if name in data}
    return card_faults(filled, evaluation, fingerprint)


def _draw_card(rng):
    measured = {"accuracy": 0.5, "macro_f1": 0.4, "recall_negative": 0.6}
    results = dict(measured)
    if rng.random() < 0.7: results.pop("accuracy")
    if rng.random() < 0.8: results["macro_f1"] = 0.55
    data = {"license": "" if rng.random() < 0.7 else "mit", "language": "en", "results": results}
    return data, {"fingerprint": "aa", "measured": measured}, "aa" if rng.random() < 0.3 else "bb"


EXERCISES = [
    Exercise(
        title="What is left of a row",
        kind="predict",
        task="""A row of a matrix is `[0.5, -1.0, 0.1, 127.0]`. It is stored as int8 with absmax, one scale for the row.
Which numbers are read back? Give a list of four.""",
        solution=[0.0, -1.0, 0.0, 127.0],
        mistakes=(
            Mistake([0.5, -1.0, 0.1, 127.0], "Nothing was lost here. The scale is 127 / 127 = 1, and whole numbers "
                    "times 1 cannot give 0.1."),
            Mistake([1.0, -1.0, 0.0, 127.0], "Halves go to the even neighbour: numpy, PyTorch and ONNX round 0.5 to "
                                             "0."),
            Mistake([0.0, -1.0, 0.0, 1.0], "The scale belongs to the row: 127 is stored as 127 and read back times 1."),
        ),
        hints=("The largest absolute value decides the scale. What is it, divided by 127?",
               "With a scale of 1, each weight becomes the nearest whole number, halves to the even one."),
    ),
    Exercise(
        title="Absmax by output channel",
        task="""Store a matrix (outputs, inputs) as int8, with one scale for each *output*: the largest absolute
value of its row becomes 127 or -127. Return the whole numbers (int8) and the scales, of shape (outputs, 1). No row
is all zeros.""",
        solution=absmax,
        imports="import numpy as np",
        mistakes=(
            Mistake(_one_scale, "All rows share one scale, that of the largest weight. Small rows lose nearly all."),
            Mistake(_by_input, "The scale belongs to a column here. Inputs are summed over, so a scale of theirs "
                    "cannot be taken out of the sum."),
            Mistake(_largest_signed, "The largest *signed* value decides here. A large negative weight is then cut "
                                     "off."),
            Mistake(_cuts_off, "A cast to int8 cuts the fraction off: 2.9 becomes 2. Round first."),
        ),
        inputs=_draw_weight,
        hints=("`abs(weight).max(axis=1, keepdims=True)` is the largest of each row, as a column.",
               "Divide it by 127 for the scale; then `np.round(weight / scale).astype(np.int8)`."),
    ),
    Exercise(
        title="A product in whole numbers",
        kind="mend",
        task="""A layer has int8 weights and one scale for each output. The input gets one scale by absmax, is rounded,
multiplied and summed in whole numbers, and only then scaled back. The function below gives wild numbers. Mend it.""",
        solution=int8_product,
        imports="import numpy as np",
        mistakes=(
            Mistake(_overflows, "Products of int8 are summed in int8 here, which ends at 127 and begins again at -128. "
                    "Sum in 32 bits."),
            Mistake(_forgets_input_scale, "The scale of the input is missing: the whole numbers of x are not x."),
            Mistake(_forgets_weight_scale, "The scales of the weights are missing. Each output has its own."),
            Mistake(_exact_input, "The input was not rounded, so nothing is multiplied in whole numbers and no time is "
                    "saved."),
        ),
        inputs=_draw_product,
        hints=("How large can 127 times 127 times six get, and what does int8 hold?",
               "Cast both to `np.int32` before the product."),
    ),
    Exercise(
        title="Will it run on this batch",
        task="""A program was exported from an example. Write whether it takes a batch of a given shape. `axes`
holds, for each dynamic axis, the least and the most it may be (both included), such as `{1: (1, 16)}`; an axis that
is not in it must be exactly as in the example.""",
        solution=fits,
        mistakes=(
            Mistake(_only_dynamic, "Axes that are not dynamic are ignored. They are constants of the program: the "
                    "example's size, and no other."),
            Mistake(_example_is_most, "The example bounds the sizes here. It only shows how to compute; the bounds "
                    "are in `axes`."),
            Mistake(_below_most, "The largest size itself is refused. A context of 16 tokens takes 16 tokens."),
            Mistake(_anything_dynamic, "A dynamic axis has bounds too: beyond the context there are no positions."),
        ),
        inputs=_draw_shape,
        rounds=40,
        hints=("Go through the axes of the shape. For each there is a least and a most.",
               "`axes.get(axis, (example[axis], example[axis]))` gives both; check `least <= size <= most`."),
    ),
    Exercise(
        title="May this card go out",
        kind="decide",
        task="""Decide whether a card may be published: list what is wrong with it, in this order. `license` and
`language` if the card's `data` leave them empty; `stale` if the evaluation is of another `fingerprint` than the
model's; then for each metric of `evaluation["measured"]`, by name, `missing NAME` or `wrong NAME` if
`data["results"]` lacks it or says another number. An empty list means: publish.""",
        solution=card_faults,
        mistakes=(
            Mistake(_trusts_file, "The evaluation is compared with itself. What counts is the model in the folder: "
                    "after a new training an old evaluation is stale."),
            Mistake(_keys_only, "The numbers are not compared. A card that was typed by hand has all the names and an "
                    "old value."),
            Mistake(_stops_at_first, "It stops at the first fault; whoever mends the card would have to ask again for "
                    "each."),
            Mistake(_empty_is_there, "A key with nothing in it passes. An empty licence permits nobody anything."),
        ),
        inputs=_draw_card,
        rounds=40,
        hints=("`not data.get(name)` is true for a missing key and for an empty text.",
               "Sort the measured names; for each, first whether it is there, then whether it is the same number."),
    ),
]
QUESTIONS = [
    Question("An exported program agrees with the model on the batch it was exported from. What does that show?",
             right=("Little: a constant that slipped in is right on just that batch",
                    "A length or a branch that was written down as a constant shows only on other shapes."),
             wrong=(("That the export is correct",
                     "It may be correct for this shape alone. Ask with other lengths, batch sizes and padding."),
                    ("That the weights were copied",
                     "True, and it is the easy part. The control flow is what goes wrong."))),
    Question("Why does one scale for each output channel lose less than one scale for the matrix?",
             right=("An outlier takes the range from its own row only",
                    "The other rows keep scales that fit their weights."),
             wrong=(("Because more bits are stored for each weight",
                     "Each weight has 8 bits either way; a few scales are added."),
                    ("Because the rows are multiplied one by one",
                     "They are multiplied together. The scale of an output is applied after the sum."))),
    Question("Int8 changed 3 % of the labels, and the interval of the macro-F1 difference is -0.02 to +0.01. What is "
             "true?",
             right=("The macro-F1 may be a little lower; these sentences cannot tell it from no change",
                    "The interval holds 0 and also losses up to 0.02. More validation sentences would narrow it."),
             wrong=(("Int8 costs nothing, since the interval holds 0",
                     "That no loss was shown does not show that there is none. A loss of 0.02 fits the data as well."),
                    ("Int8 lost 3 % of macro-F1",
                     "Labels changed in both directions. Some that were wrong became right."))),
    Question("`model.onnx` lies in a checkpoint folder that was trained again yesterday. What goes wrong?",
             right=("The file answers with the old weights, and every test of the new ones passes",
                    "Nothing fails loudly. That is why the fingerprint is in the file and is compared when it is "
                    "opened."),
             wrong=(("ONNX Runtime refuses the file, since the weights do not fit",
                     "The file holds its own weights. It does not look at the folder."),
                    ("Nothing, since the tokenizer is the same",
                     "The tokenizer may be the same; the answers are those of the old model."))),
]
