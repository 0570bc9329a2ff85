"Choose a pre-trained model."
import itertools

import numpy as np
import torch

from llmcourse.practice import Exercise, Mistake, Question


def _what_moves(): return [2, 3, 4]


def mean_vectors(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    "The mean of the token vectors (batch, time, d_model) where `mask` (batch, time) is 1: (batch, d_model)."
    summed = (hidden * mask[..., None]).sum(1)          # (batch, d_model): padding adds zeros
    return summed / mask.sum(1, keepdim=True)           # divided by the real tokens of each text


def _padding_counts(hidden, mask): return hidden.mean(1)
def _divided_by_all(hidden, mask): return (hidden * mask[..., None]).mean(1)
def _not_divided(hidden, mask): return (hidden * mask[..., None]).sum(1)
def _first_token(hidden, mask): return hidden[:, 0]
def _over_the_batch(hidden, mask): return (hidden * mask[..., None]).sum((0, 1)) / mask.sum() + 0 * hidden[:, 0]


def _draw_hidden(rng):
    lengths = [4, int(rng.integers(2, 4))]
    mask = torch.tensor([[int(i < n) for i in range(4)] for n in lengths])
    return torch.tensor(rng.normal(size=(2, 4, 3)), dtype=torch.float32), mask


def last_vectors(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    "The vector of the last token of each text, (batch, d_model); padding stands on the right."
    last = mask.sum(1) - 1                       # (batch,): the place of the last real token
    return hidden[torch.arange(len(hidden)), last]      # one place in each row


def _last_place(hidden, mask):
    "The vector of the last token of each text, (batch, d_model); padding stands on the right."
    return hidden[:, -1]


def _one_too_far(hidden, mask):
    return hidden[torch.arange(len(hidden)), mask.sum(1).clamp(max=hidden.shape[1] - 1)]


def _shortest_for_all(hidden, mask): return hidden[:, int(mask.sum(1).min()) - 1]
def _every_row(hidden, mask): return hidden[:, mask.sum(1) - 1]


def fit_head(weight: torch.Tensor, known: list[str], wanted: list[str]) -> torch.Tensor:
    "The rows of a trained head (n_labels, d_model) in the order `wanted`. Raises `ValueError` for other labels."
    if sorted(known) != sorted(wanted): raise ValueError(f"trained for {known}, asked for {wanted}")
    return weight[[known.index(label) for label in wanted]]     # where each wanted label stands in the file


def _as_in_the_file(weight, known, wanted):
    if sorted(known) != sorted(wanted): raise ValueError
    return weight.clone()


def _turned_the_other_way(weight, known, wanted):
    if sorted(known) != sorted(wanted): raise ValueError
    return weight[[wanted.index(label) for label in known]]


def _number_is_enough(weight, known, wanted):
    if len(known) != len(wanted): raise ValueError
    return weight[[known.index(label) if label in known else i for i, label in enumerate(wanted)]]


def _columns(weight, known, wanted):
    if sorted(known) != sorted(wanted): raise ValueError
    return weight[:, [known.index(label) for label in wanted]]


def _draw_head(rng):
    names = ["bad", "fair", "good", "great"]
    known, wanted = rng.permutation(names).tolist(), rng.permutation(names).tolist()
    if rng.random() < 0.3: known[0] = "LABEL_0"
    return torch.tensor(rng.normal(size=(4, 4)), dtype=torch.float32), known, wanted


def kendall(x: list[float], y: list[float]) -> float:
    "Of all pairs of places, the share where x and y agree on the larger one, minus the share where they do not."
    pairs = list(itertools.combinations(range(len(x)), 2))
    agree = sum((x[i] - x[j]) * (y[i] - y[j]) > 0 for i, j in pairs)     # both rise, or both fall
    return (agree - (len(pairs) - agree)) / len(pairs)


def _agreeing_share(x, y): return (kendall(x, y) + 1) / 2
def _only_neighbours(x, y): return float(np.mean(np.sign(np.diff(x) * np.diff(y))))
def _correlation(x, y): return float(np.corrcoef(x, y)[0, 1])


def _with_itself(x, y):
    return float(np.mean([np.sign((a - b) * (c - d)) for a, c in zip(x, y) for b, d in zip(x, y)]))


def _draw_scores(rng): return rng.permutation(20)[:5].astype(float).tolist(), rng.permutation(9)[:5].tolist()


def topic_or_feeling() -> dict:
    "Cosines of sentences with the same topic and opposite feelings, and with the same feeling and other topics."
    from llmcourse.pretrained import embed, load_pretrained
    topics = ["battery", "camera", "keyboard", "screen"]
    texts = [f"the {topic} is {feeling}" for topic in topics for feeling in ("wonderful", "terrible")]
    vectors = embed(*load_pretrained("minilm"), texts)                              # (8, 384)
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).reshape(4, 2, -1)
    praise, complaint = unit[:, 0], unit[:, 1]                                      # (4, 384) each
    same_topic = (praise * complaint).sum(-1).tolist()
    same_feeling = [float(praise[i] @ praise[i + 1]) for i in range(3)]
    return {"same_topic": same_topic, "same_feeling": same_feeling, "nearer": "topic"}


def _judge_cosines(answer) -> str:
    "Whether the figures are a learner's own, and the choice follows them."
    topic, feeling = answer["same_topic"], answer["same_feeling"]
    if not all(isinstance(found, list) and len(found) >= 3 for found in (topic, feeling)):
        return "compare at least three pairs of each kind: one pair may be an accident of its words"
    if not all(-1.001 <= value <= 1.001 for value in [*topic, *feeling]):
        return "a cosine lies between -1 and 1; divide the inner product by both lengths"
    if max(topic) > 0.9999: return "a cosine of 1 is that of a sentence with itself; the feelings should be opposite"
    ahead = "topic" if sum(topic) / len(topic) > sum(feeling) / len(feeling) else "feeling"
    return "" if answer["nearer"] == ahead else f"your own cosines are larger for the same {ahead}; follow them"


EXERCISES = [
    Exercise(
        "What the last words change", """
        A *decoder* reads five tokens, numbered 0 to 4. Token 2 is exchanged for another. Which tokens can get another
        vector? Write their numbers as a list.
        """, _what_moves, kind="predict",
        hints=("A token of a decoder looks at itself and at what stands before it.",
               "Go through the tokens: does token 0 see token 2? Does token 4?"),
        mistakes=(Mistake([0, 1, 2, 3, 4], "That is an encoder, where every token sees every other."),
                  Mistake([2], "The token itself changes, and so does whatever looks at it."),
                  Mistake([3, 4], "The later tokens see the change; the exchanged token has another vector as well."),
                  Mistake([0, 1, 2], "That is the wrong side: tokens see what stands before them."))),
    Exercise(
        "Mean pooling", """
        Write `mean_vectors(hidden, mask)`. `hidden` has shape (batch, time, d_model); `mask` is 1 for a token and 0 for
        padding. Return the mean vector of each text, padding left out.
        """, mean_vectors, inputs=_draw_hidden, imports="import torch", gradient=True,
        hints=("Multiply by the mask, so that padding adds nothing. It needs a third axis: `mask[..., None]`.",
               "Divide the sum over the tokens by how many there are in each text, `mask.sum(1, keepdim=True)`."),
        mistakes=(Mistake(_padding_counts, "Padding counts as if it were words."),
                  Mistake(_divided_by_all, "Padding adds nothing to the sum, but it is still counted when you divide."),
                  Mistake(_not_divided, "That is the sum; longer texts get longer vectors."),
                  Mistake(_first_token, "That is the vector of the first token, another way of pooling."),
                  Mistake(_over_the_batch, "The mean runs over all texts at once, so every text gets the same "
                                           "vector."))),
    Exercise(
        "The last token", """
        A decoder's last token has seen the whole text. `last_vectors` should return its vector for each text of a
        batch, and is right only for the longest. Mend it.
        """, last_vectors, kind="mend", inputs=_draw_hidden, imports="import torch",
        hints=("Where does the last token of a text of three stand, if the batch is four tokens wide?",
               "Its place is `mask.sum(1) - 1`, another one in each row. Index rows and places together, with "
               "`torch.arange`."),
        mistakes=(Mistake(_last_place, "For a shorter text, the last place of the row is padding."),
                  Mistake(_one_too_far, "That is the token after the last; places are counted from 0."),
                  Mistake(_shortest_for_all, "All rows take the place of one text; each has its own."),
                  Mistake(_every_row, "Every row is asked for every text's place, so there is an axis too many. Index "
                                      "rows and places in pairs."))),
    Exercise(
        "A head in another order", """
        A file holds a trained head: row `i` of `weight` scores the label `known[i]`. Write `fit_head(weight, known,
        wanted)` that returns the rows in the order `wanted`. If the two lists do not name the same labels, raise
        `ValueError`.
        """, fit_head, inputs=_draw_head, imports="import torch",
        hints=("For the first wanted label: in which row of the file does it stand?",
               "`weight[[2, 0, 1]]` takes rows in that order; find them with `known.index`."),
        mistakes=(Mistake(_as_in_the_file, "The rows are as in the file, so each scores what its number now calls by "
                                           "another name."),
                  Mistake(_turned_the_other_way, "The order is applied the wrong way round: ask where each wanted "
                                                 "label stands in the file, not the reverse."),
                  Mistake(_number_is_enough, "Labels with other names were accepted since their number is right."),
                  Mistake(_columns, "The columns were moved; a label is a row of the head."))),
    Exercise(
        "Do two orders agree?", """
        Write `kendall(x, y)`, Kendall's tau. Go through all pairs of places. A pair agrees if `x` and `y` both rise
        or both fall from one place to the other. Return the share of pairs that agree minus the share that do not.
        There are no ties.
        """, kendall, inputs=_draw_scores, imports="import itertools",
        hints=("`itertools.combinations(range(len(x)), 2)` gives every pair of places once.",
               "A pair agrees if `(x[i] - x[j]) * (y[i] - y[j])` is positive."),
        mistakes=(Mistake(_agreeing_share, "That is the share of pairs that agree; those that do not must be taken "
                                           "off."),
                  Mistake(_only_neighbours, "Only neighbours are compared; every pair of places counts."),
                  Mistake(_correlation, "That is the correlation, which asks how far values lie apart; tau asks for "
                                        "their order."),
                  Mistake(_with_itself, "Each place is also paired with itself, which agrees with nothing and makes "
                                        "tau smaller."))),
    Exercise(
        "Topic or feeling?", """
        The lesson supposes that MiniLM's vectors tell mainly what a sentence is about. Test it: take sentences such
        as *the battery is wonderful*, *the battery is terrible*, *the camera is wonderful*. Note the cosines of at
        least three pairs with the same topic and opposite feelings, and of three pairs with the same feeling and
        different topics. Which is `nearer`: the same `"topic"` or the same `"feeling"`? Use
        `embed(*load_pretrained("minilm"), texts)`.
        """, topic_or_feeling, kind="decide", verify=_judge_cosines,
        imports="import numpy as np\nfrom llmcourse.pretrained import embed, load_pretrained",
        stub='answer = {"same_topic": [...], "same_feeling": [...], "nearer": ...}',
        hints=("Write all sentences into one list and embed it once. A cosine is the inner product of two vectors "
               "divided by both lengths.",
               "`np.linalg.norm(vectors, axis=1, keepdims=True)` gives the lengths of all."),
        mistakes=(Mistake({"same_topic": [0.6], "same_feeling": [0.4], "nearer": "topic"}, "an accident of its words"),
                  Mistake({"same_topic": [9.0] * 3, "same_feeling": [8.0] * 3, "nearer": "topic"},
                          "divide the inner product"),
                  Mistake({"same_topic": [1.0] * 3, "same_feeling": [0.4] * 3, "nearer": "topic"},
                          "of a sentence with itself"),
                  Mistake({"same_topic": [0.6] * 3, "same_feeling": [0.4] * 3, "nearer": "feeling"}, "follow them"))),
]

QUESTIONS = [
    Question("A file holds a head of three rows, and we ask for three labels. May the head be kept?",
             ("Only if its labels have the same names, and then with its rows in our order.",
              "A head for positive, neutral, negative has three rows too, and would call every complaint a "
              "compliment."),
             (("Yes, since the shapes agree.", "Shapes say nothing about meaning; the names do."),
              ("No, a head is always drawn anew.", "A head that was trained for the same labels is worth keeping."))),
    Question("Why is the mean a better vector of MiniLM than its pooler?",
             ("Its last training used the mean and never moved the pooler.",
              "The pooler is left over from an earlier training, and the layers below have moved on."),
             (("A mean of many vectors is always better than one vector.",
               "For MPNet the first token does as well. It depends on what the model was trained with."),
              ("The pooler sees the first token only, which has read nothing else.",
               "In an encoder the first token has seen the whole sentence."))),
    Question("MiniLM's shape with random weights reaches a macro-F1 of 0.37, and a constant answer 0.23. What does "
             "this control show?",
             ("Part of the probe's score needs no reading at all.",
              "Random vectors of words can be told apart as well. Only what lies above comes from pre-training."),
             (("That pre-training is useless.", "The pre-trained weights reach clearly more with the same labels."),
              ("That random weights were trained by mistake.",
               "Nothing but the probe was trained, on both."))),
    Question("Three models, and the probes rank them as fine-tuning does. How sure is it that this is no luck?",
             ("Not very: chance alone gives this order in one case of six.",
              "Three models have six orders. More poolings of the same models are no new evidence about models."),
             (("Certain, since tau is 1.", "Tau of 1 is the best there is, and three models reach it easily."),
              ("Very, since each model was trained with three seeds.",
               "Seeds make each mean firmer; there are still three models."))),
    Question("With 100 labels MiniLM's probe is far ahead of TF-IDF, with all labels not. What explains it best?",
             ("With few labels most words of a new sentence are unknown to TF-IDF.",
              "MiniLM knows them from its reading. With more labels the words that matter turn up among them."),
             (("With many labels the vectors become worse.", "They are frozen, and the same for any number of labels."),
              ("TF-IDF needs no regularization with many labels.",
               "It has one in both cases, chosen on the validation reviews."))),
]
