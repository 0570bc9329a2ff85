"A large model teaches a small one."
import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from llmcourse.data import load_data
from llmcourse.distillation import teacher_answers
from llmcourse.evaluation import score
from llmcourse.preprocessing import clean
from llmcourse.practice import Exercise, Mistake, Question


def softened_ratio() -> float:
    "How many times as likely the second label is as the third, once both are softened with T = 2."
    second, third = 0.09 ** (1 / 2), 0.01 ** (1 / 2)     # 0.3 and 0.1; the sum that divides both cancels out
    return second / third


def soften_shares(p: torch.Tensor, temperature: float) -> torch.Tensor:
    "The probabilities `p` (rows, labels) as they would be, had the logits been divided by the temperature."
    powers = p ** (1 / temperature)                 # exp(z / T) is (exp z) ** (1 / T)
    return powers / powers.sum(-1, keepdim=True)    # (rows, labels): each row adds up to 1 again


def _softmax_of_probabilities(p, temperature):
    "The probabilities `p` (rows, labels) as they would be, had the logits been divided by the temperature."
    return (p / temperature).softmax(-1)


def _sharpened(p, temperature):
    powers = p ** temperature
    return powers / powers.sum(-1, keepdim=True)


def _not_normalized(p, temperature): return p ** (1 / temperature)


def _over_the_rows(p, temperature):
    powers = p ** (1 / temperature)
    return powers / powers.sum(0, keepdim=True)


def _draw_shares(rng):
    p = torch.tensor(rng.dirichlet(np.ones(3), size=2)).clamp_min(0.001)
    return p / p.sum(-1, keepdim=True), float(rng.uniform(1.5, 4))


def taught_loss(logits: torch.Tensor, teacher: torch.Tensor, T: float) -> torch.Tensor:
    "The distillation loss of a pupil's `logits` (rows, labels), given the `teacher`'s softened shares (rows, labels)."
    p = teacher.detach()                                # (rows, labels): the teacher stays as it is
    log_q = (logits / T).log_softmax(-1)                # (rows, labels): the pupil, softened as well
    return T**2 * (p * (p.log() - log_q)).sum(-1).mean()   # over the labels a sum, over the rows a mean


def _without_factor(logits, teacher, T): return taught_loss(logits, teacher, T) / T**2
def _mean_over_labels(logits, teacher, T): return taught_loss(logits, teacher, T) / logits.shape[-1]
def _teacher_learns(logits, teacher, T):
    return T**2 * (teacher * (teacher.log() - (logits / T).log_softmax(-1))).sum(-1).mean()


def _pupil_not_softened(logits, teacher, T):
    p = teacher.detach()
    return T**2 * (p * (p.log() - logits.log_softmax(-1))).sum(-1).mean()


def _turned_round(logits, teacher, T):
    log_q = (logits / T).log_softmax(-1)
    return T**2 * (log_q.exp() * (log_q - teacher.detach().log())).sum(-1).mean()


def _draw_lesson(rng): return torch.tensor(rng.normal(size=(2, 3))), *_draw_shares(rng)


def exchange_doubts(p: np.ndarray) -> np.ndarray:
    "Each row of `p` (sentences, labels) gets the next row with the same decision; the last gets the first."
    mixed = p.copy()
    for k in range(p.shape[1]):
        rows = np.flatnonzero(p.argmax(1) == k)         # the sentences that the teacher answers alike
        mixed[rows] = p[np.roll(rows, -1)]              # each has the doubts of the next
    return mixed


def _all_rows(p): return np.roll(p, -1, axis=0)
def _columns(p): return np.roll(p, -1, axis=1)
def _back_again(p):
    mixed = p.copy()
    for k in range(p.shape[1]):
        rows = np.flatnonzero(p.argmax(1) == k)
        mixed[rows] = p[np.roll(rows, 1)]
    return mixed


def _mean_of_the_class(p):
    mixed = p.copy()
    for k in range(p.shape[1]):
        rows = p.argmax(1) == k
        if rows.any(): mixed[rows] = p[rows].mean(0)
    return mixed


def _draw_answers(rng):
    p = rng.dirichlet(np.ones(2), size=7).round(2)
    p[:4, 0] = rng.uniform(0.6, 0.95, size=4).round(2)          # four that are answered alike
    p[:, 1] = 1 - p[:, 0]
    return (rng.permutation(p),)


def repair_the_films() -> dict:
    "What a pupil that counts words finds of the neutral sentences, with films as they come and with repaired shares."
    reviews, films = clean(load_data("amazon"))[0], list(clean(load_data("movies"))[0]["train"]["text"])
    train, validation = reviews["train"], reviews["validation"]
    on_reviews = teacher_answers("train", list(train["text"])).argmax(1)
    on_films = teacher_answers("films", films).argmax(1)
    wanted = np.bincount(on_reviews, minlength=3) / len(on_reviews)          # shares of the three labels
    size = int((on_films == 1).sum() / wanted[1])                            # as many as the neutral ones allow
    found = {"as they come": [], "repaired": []}
    for draw in range(3):
        rng = np.random.default_rng(draw)
        chosen = {"as they come": rng.choice(len(films), size, replace=False),
                  "repaired": np.concatenate([rng.choice(np.flatnonzero(on_films == k), int(size * wanted[k]),
                                                         replace=False) for k in range(3)])}
        for name, rows in chosen.items():
            pupil = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(max_iter=1000))
            pupil.fit([films[i] for i in rows], on_films[rows])              # films alone: the reviews stay unread
            said = pupil.predict(list(validation["text"]))
            found[name].append(score(list(validation["label"]), said)["recall_neutral"])
    return found | {"finds more": max(found, key=lambda name: sum(found[name]))}


def _judge_films(answer) -> str:
    "Whether the recalls come from three draws each, and the choice follows from them."
    recalls = {name: answer[name] for name in ("as they come", "repaired")}
    if not all(isinstance(r, (list, tuple)) and len(r) == 3 for r in recalls.values()):
        return "measure three draws of each kind: one draw of sentences may be a lucky one"
    if not all(isinstance(r, (float, np.floating)) and 0 <= r <= 1 for rs in recalls.values() for r in rs):
        return "a recall is a share from 0 to 1"
    more = max(recalls, key=lambda name: sum(recalls[name]))
    if answer["finds more"] != more: return f"by your own recalls the films {more} find more; follow them"
    if more != "repaired":
        return "repaired shares should find more neutral sentences; were the labels drawn by the teacher's answer?"
    if max(answer["as they come"]) > 0.2:
        return "films as they come find hardly any; were both sets of the same size, drawn at random from all films?"
    return ""


_FILMS = {"as they come": [0.0, 0.0, 0.0], "repaired": [0.1, 0.1, 0.1], "finds more": "repaired"}

EXERCISES = [
    Exercise(
        "How much likelier?", """
        A teacher says 0.90, 0.09, 0.01. The second label is nine times as likely as the third. Both are softened with
        the temperature 2. How many times as likely is the second then?
        """, softened_ratio, kind="predict",
        hints=("Each probability is taken to the power 1/2, and all are divided by the same sum.",
               "The sum cancels out of the ratio. What is the square root of 9?"),
        mistakes=(Mistake(9, "The ratio does not stay: only what all share, the sum, cancels out."),
                  Mistake(4.5, "The temperature divides the logits, so it takes a root of the ratio; it does not halve "
                               "it."),
                  Mistake(81, "That is the square: the answer has been sharpened. A temperature above 1 softens."),
                  Mistake(1, "All labels are alike only at an infinite temperature."))),
    Exercise(
        "Soften probabilities", """
        `soften_shares(p, temperature)` should give the probabilities that a softmax would have given, had its logits
        been divided by the temperature. It is wrong: even at the temperature 1 it changes a sure answer. Mend it.
        """, soften_shares, kind="mend", inputs=_draw_shares, imports="import torch",
        hints=("What does it do with 0.98, 0.01, 0.01 at the temperature 1? Are these logits?",
               "Take the power `1 / temperature` of each probability, then divide each row by its sum."),
        mistakes=(Mistake(_softmax_of_probabilities, "Probabilities went into a softmax, which expects logits; 0.98 "
                                                     "and 0.01 come out nearly alike."),
                  Mistake(_sharpened, "The power is the temperature itself, so sure answers become surer."),
                  Mistake(_not_normalized, "The rows no longer add up to 1."),
                  Mistake(_over_the_rows, "The sum runs over the sentences; the labels of one sentence must add up "
                                          "to 1."))),
    Exercise(
        "The loss of distillation", """
        Write `taught_loss(logits, teacher, T)`: $T^2$ times the divergence of the pupil from the teacher, mean over the
        rows. `teacher` holds probabilities that are softened already, none of them 0. Soften the pupil's `logits` as
        well. The teacher does not learn: no gradient may reach it.
        """, taught_loss, inputs=_draw_lesson, imports="import torch", gradient=True, tolerance=1e-4,
        hints=("For one row it is the sum of `p * (log p - log q)` over the labels.",
               "`log q` is `(logits / T).log_softmax(-1)`, and `p` is `teacher.detach()`.",
               "Sum over the labels, mean over the rows, times `T**2`."),
        mistakes=(Mistake(_without_factor, "The factor T squared is missing, so the gradient shrinks with the "
                                           "temperature."),
                  Mistake(_mean_over_labels, "The mean also runs over the labels; over the labels it is a sum."),
                  Mistake(_teacher_learns, "The loss is right, but a gradient reaches the teacher, which would learn "
                                           "from its pupil."),
                  Mistake(_pupil_not_softened, "The teacher is softened and the pupil is not; they are compared at two "
                                               "temperatures."),
                  Mistake(_turned_round, "The divergence is taken the other way round: the mean is over the pupil's "
                                         "answers and should be over the teacher's."))),
    Exercise(
        "A control for doubts", """
        Write `exchange_doubts(p)` for a teacher's answers of shape (sentences, labels). Every sentence gets the answer
        of the **next sentence with the same decision** (the last one that of the first). So the decisions and the mean
        doubt stay, and only the link between a sentence and its doubt is cut.
        """, exchange_doubts, inputs=_draw_answers, imports="import numpy as np",
        hints=("Work label by label: `np.flatnonzero(p.argmax(1) == k)` are the rows that the teacher answers with k.",
               "`np.roll(rows, -1)` is the same list of rows, moved by one.",
               "Read from `p` and write into a copy, or rows that were written are read again."),
        mistakes=(Mistake(_all_rows, "All rows are exchanged, whatever the decision. Then labels are wrong, and of "
                                     "course it hurts: the control would show nothing about doubts."),
                  Mistake(_columns, "The labels have been exchanged, not the sentences."),
                  Mistake(_back_again, "Each sentence has the answer of the one before it, not of the next."),
                  Mistake(_mean_of_the_class, "All get the mean of their class. The doubts then have no spread, so two "
                                              "things changed at once."))),
    Exercise(
        "Repair the film sentences", """
        The film sentences brought their own shares of the labels. Draw them by the teacher's answer, so that as large a
        share is neutral as the teacher finds in the training reviews. Compare with equally many films drawn `as they
        come`. The pupil counts words and learns from the films and the teacher's decisions alone. Give the recall of
        the neutral validation reviews for three draws of each kind, and say which kind `finds more`.
        """, repair_the_films, kind="decide", verify=_judge_films, imports="""
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from llmcourse.data import load_data
        from llmcourse.distillation import teacher_answers
        from llmcourse.evaluation import score
        from llmcourse.preprocessing import clean""",
        stub="""answer = {"as they come": [...], "repaired": [...], "finds more": ...}""",
        hints=("`teacher_answers(\"films\", texts)` are the stored probabilities; their `argmax(1)` are the decisions.",
               "The neutral films set the size: all of them, divided by the share that is wanted.",
               "`make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))` is a pupil that needs a second; "
               "`score(...)[\"recall_neutral\"]` is the figure."),
        mistakes=(Mistake(_FILMS | {"repaired": [0.1]}, "measure three draws"),
                  Mistake(_FILMS | {"finds more": "as they come"}, "follow them"),
                  Mistake({"as they come": [0.1, 0.1, 0.1], "repaired": [0.0, 0.0, 0.0],
                           "finds more": "as they come"}, "drawn by the teacher's answer"),
                  Mistake(_FILMS | {"as they come": [0.3, 0.3, 0.3], "repaired": [0.4, 0.4, 0.4]},
                          "were both sets of the same size"))),
]

QUESTIONS = [
    Question("Why does the comparison hold an arm with shuffled doubts?",
             ("Soft targets also smooth, and it smooths as much without the link to the sentence.",
              "What it gains is smoothing; what the teacher gains beyond it is knowledge."),
             (("To make the pupil robust against noise in the labels.",
               "No label changes, and the arm is not there to be good. It is a control."),
              ("To see whether the order of the training sentences matters.",
               "The order is the same in all arms; only the answers beside the sentences are exchanged."))),
    Question("What happens without the factor T squared when somebody tries T = 8 in place of 1?",
             ("The gradient shrinks by about 64, so the pupil hardly learns.",
              "The comparison would be one of step sizes, not of temperatures."),
             (("Nothing, since the minimum of the loss stays where it is.",
               "The minimum stays, but with the same learning rate and steps training does not get there."),
              ("The pupil learns eight times as fast, and diverges.",
               "The gradient becomes smaller, not larger: one T from the logits, about another from softening."))),
    Question("The teacher gives plain labels, 0 or 1. What does a temperature of 4 change in the targets?",
             ("Nothing: what is 0 stays 0.",
              "Any power of 0 is 0 and of 1 is 1. Without doubts there is none to soften."),
             (("They become softer, as with label smoothing.",
               "Smoothing adds a constant to each label; a power of 0 adds nothing."),
              ("They become harder.", "They are as hard as can be already."))),
    Question("The pupil of the film sentences finds more complaints and fewer neutral sentences. Why?",
             ("The teacher calls few film sentences neutral, and the pupil learns that share.",
              "This is label shift: the unlabelled text has other shares of labels than the text of the service."),
             (("The teacher is worse on films, so its answers are mostly wrong.",
               "Wrong answers would not explain the direction. The share of neutral answers does."),
              ("It was trained for fewer steps than the others.", "All arms have the same number of steps."))),
    Question("On the test split the small pupil is 0.026 ahead of TF-IDF, with an interval that holds zero. What may "
             "you say?",
             ("It is not found to be better than counting words.",
              "The interval allows for no difference, and for a small one to either side."),
             (("It is as good as TF-IDF.", "Not to find a difference is not to show that there is none."),
              ("It is better, since 0.026 is above zero.", "The interval says that chance alone could do this."))),
]
