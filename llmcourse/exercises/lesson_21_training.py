"Train."
import math

import torch

from llmcourse.practice import Exercise, Mistake, Question


def fit(x: torch.Tensor, y: torch.Tensor, steps: int) -> torch.Tensor:
    "The weights of a linear model after some steps of gradient descent on the mean squared error."
    w = torch.zeros(x.shape[1], requires_grad=True)        # (features,)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for _ in range(steps):
        loss = (x @ w - y).square().mean()                 # x: (rows, features), y: (rows,)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()                              # forget this step's gradient before the next one
    return w.detach()


def _adds_up(x, y, steps):
    "The weights of a linear model after some steps of gradient descent on the mean squared error."
    w = torch.zeros(x.shape[1], requires_grad=True)        # (features,)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for _ in range(steps):
        loss = (x @ w - y).square().mean()                 # x: (rows, features), y: (rows,)
        loss.backward()
        optimizer.step()
    return w.detach()


def _forgets_first(x, y, steps): return torch.zeros(x.shape[1])
def _one_step(x, y, steps): return fit(x, y, 1)


def _uphill(x, y, steps):
    w = torch.zeros(x.shape[1], requires_grad=True)
    for _ in range(steps):
        slope, = torch.autograd.grad((x @ w - y).square().mean(), w)
        w = (w + 0.1 * slope).detach().requires_grad_()
    return w.detach()


def _draw_rows(rng):
    x = torch.tensor(rng.normal(size=(5, 2)), dtype=torch.float32)
    return x, x @ torch.tensor([1.0, -2.0]) + 1, int(rng.integers(3, 6))


def rate_at(step: int, steps: int, top: float, warm: int, end: float) -> float:
    "The learning rate of a step, counted from 0: up in a line to `top` within `warm` steps, then half a cosine to "
    "`end`."
    if step < warm: return top * (step + 1) / warm             # the last step of the warm-up has the full rate
    progress = (step - warm) / (steps - warm)                  # 0 just after the warm-up, 1 at the end
    return end + (top - end) * (1 + math.cos(math.pi * progress)) / 2


def _first_step_wasted(step, steps, top, warm, end):
    return top * step / warm if step < warm else rate_at(step, steps, top, warm, end)


def _in_a_line(step, steps, top, warm, end):
    return rate_at(step, steps, top, warm, end) if step < warm else top - (top - end) * (step - warm) / (steps - warm)


def _down_to_nothing(step, steps, top, warm, end): return rate_at(step, steps, top, warm, 0.0)
def _no_warm_up(step, steps, top, warm, end): return rate_at(step, steps, top, 0, end)


def _progress_of_all(step, steps, top, warm, end):
    if step < warm: return top * (step + 1) / warm
    return end + (top - end) * (1 + math.cos(math.pi * step / steps)) / 2


def _draw_step(rng):
    steps, warm = int(rng.integers(10, 30)), int(rng.integers(2, 6))
    step = int(rng.integers(warm)) if rng.random() < 0.4 else int(rng.integers(warm, steps))
    return step, steps, 0.01, warm, 0.001


def batch_at(step: int, orders: list[list[int]], batch_size: int) -> list[int]:
    "The rows of the batch of a step, counted from 0. `orders[e]` is the order of all rows in epoch e."
    per_epoch = math.ceil(len(orders[0]) / batch_size)         # the last batch of an epoch may be short
    epoch, number = divmod(step, per_epoch)
    return orders[epoch][number * batch_size:(number + 1) * batch_size]


def _drops_the_rest(step, orders, batch_size):
    epoch, number = divmod(step, len(orders[0]) // batch_size)
    return orders[min(epoch, len(orders) - 1)][number * batch_size:(number + 1) * batch_size]


def _same_order(step, orders, batch_size): return batch_at(step, orders[:1] * len(orders), batch_size)


def _one_row(orders):
    return [row for order in orders for row in order]


def _runs_on(step, orders, batch_size): return _one_row(orders)[step * batch_size:(step + 1) * batch_size]
def _overlaps(step, orders, batch_size): return _one_row(orders)[step:step + batch_size]


def _draw_orders(rng):
    n, batch_size = int(rng.choice([5, 7, 8])), int(rng.integers(2, 4))
    orders = [rng.permutation(n).tolist() for _ in range(3)]
    return int(rng.integers(3 * math.ceil(n / batch_size))), orders, batch_size


def stop_after(losses: list[float], patience: int) -> int:
    "After how many looks the run ends: when `patience` looks in a row were no new best. All looks, if never."
    best, waited = math.inf, 0
    for looks, loss in enumerate(losses, 1):
        if loss < best: best, waited = loss, 0
        else: waited += 1
        if waited == patience: return looks
    return len(losses)


def _beside_the_last(losses, patience):
    "After how many looks the run ends: when `patience` looks in a row were no new best. All looks, if never."
    last, waited = math.inf, 0
    for looks, loss in enumerate(losses, 1):
        if loss < last: waited = 0
        else: waited += 1
        last = loss
        if waited == patience: return looks
    return len(losses)


def _never_forgives(losses, patience):
    best, waited = math.inf, 0
    for looks, loss in enumerate(losses, 1):
        if loss < best: best = loss
        else: waited += 1
        if waited == patience: return looks
    return len(losses)


def _too_patient(losses, patience): return stop_after(losses, patience + 1)
def _at_the_best(losses, patience): return losses.index(min(losses[:stop_after(losses, patience)])) + 1


def _draw_losses(rng):
    return rng.choice(12, size=int(rng.integers(7, 10)), replace=False).astype(float).tolist(), int(rng.integers(2, 4))


def compare_warm_up() -> dict:
    "The mean loss of the last ten of 60 steps, for three seeds, without and with warm-up."
    from llmcourse.model import LanguageModel
    from llmcourse.training import LanguageModelBatches, TrainingConfig, get_scale, train

    text, losses = [[i * i % 61 for i in range(3000)]], {"without": [], "with": []}
    for name, warmup in (("without", 0.0), ("with", 0.5)):
        for seed in range(3):
            torch.manual_seed(seed)
            model = LanguageModel(get_scale("tiny").model_config(64, dropout=0.0))
            history = train(model, LanguageModelBatches(text, 32, 8, 60, seed),
                            TrainingConfig(learning_rate=0.1, warmup=warmup, precision="fp32"))
            losses[name].append(sum(row["loss"] for row in history[-10:]) / 10)
    return losses | {"better": min(losses, key=lambda name: sum(losses[name]))}


def _judge(answer) -> str:
    "Whether the choice follows from three seeds a side."
    losses = {name: answer[name] for name in ("without", "with")}
    if not all(isinstance(found, list) and len(found) >= 3 for found in losses.values()):
        return "train with at least three seeds a side: one run may be lucky"
    if max(map(max, losses.values())) > 6:
        return "a loss above 6 is more than guessing among 64 tokens; take the last ten steps, not the first"
    ahead = min(losses, key=lambda name: sum(losses[name]))
    if answer["better"] != ahead: return f"your own losses are lower {ahead} warm-up; follow them"
    if ahead == "without": return "at a rate of 0.1 warm-up should help; is `warmup` 0.5 in the runs called `with`?"
    return ""


EXERCISES = [
    Exercise(
        "The four lines", "This training loop misses one of its four lines. Run it, then mend it.", fit, kind="mend",
        imports="import torch", inputs=_draw_rows, tolerance=1e-4,
        hints=("Which line makes a step forget the gradient of the step before?",
               "Gradients add up in `w.grad` until `optimizer.zero_grad()` clears them."),
        mistakes=(Mistake(_adds_up, "The gradients of all earlier steps are still there, so the steps grow too large."),
                  Mistake(_forgets_first, "The weights never move. The gradient must live until `optimizer.step()` has "
                                          "used it."),
                  Mistake(_one_step, "Only one step was done; should the `return` stand inside the loop?"),
                  Mistake(_uphill, "That climbs: the gradient says where the loss rises, and a step goes the other "
                                   "way."))),
    Exercise(
        "Where does it go on?", """
        A run of 60 steps has `save_every=10`. Steps are counted from 0. It is ended while step 37 is under way, before
        any weight has moved; steps 0 to 36 are done. Which step does the next call do first, if the run was ended by
        `kill -9`, and which if it was ended by Ctrl-C? Answer `[after kill, after ctrl-c]`.
        """, [30, 37], kind="predict", stub="answer = [..., ...]",
        hints=("`kill -9` leaves the program no time for anything. Which state was the last to be written?",
               "After 30 steps a state was saved, and step 30 comes next. Ctrl-C can be answered: the state is saved "
               "before the program leaves."),
        mistakes=(Mistake([37, 37], "After `kill -9` nothing can be saved any more; the last state is older."),
                  Mistake([30, 30], "Ctrl-C is polite: `train` saves before it leaves, so nothing has to be repeated."),
                  Mistake([40, 37], "A state of step 40 was never written."),
                  Mistake([31, 38], "Steps are counted from 0: after 30 steps, step 30 comes next."),
                  Mistake([0, 37], "There is a state on the disk; the run need not begin anew."))),
    Exercise(
        "Warm up, then settle", """
        Write `rate_at(step, steps, top, warm, end)`. In steps 0 to `warm - 1` the rate climbs in a line, from
        `top / warm` to `top`. Then it follows half a cosine, from `top` at step `warm` down to `end` at step `steps`.
        """, rate_at, imports="import math", inputs=_draw_step,
        hints=("Two cases: `step < warm`, and the rest. In the first, the rate of step 0 is one `warm`-th of the top.",
               "In the second, `progress = (step - warm) / (steps - warm)` runs from 0 to 1, and "
               "`(1 + cos(pi * progress)) / 2` from 1 to 0."),
        mistakes=(Mistake(_first_step_wasted, "Step 0 has a rate of 0, so its batch teaches nothing; begin with "
                                              "`top / warm`."),
                  Mistake(_in_a_line, "After the warm-up it falls in a line; it should follow half a cosine."),
                  Mistake(_down_to_nothing, "It ends at 0, not at `end`."),
                  Mistake(_no_warm_up, "There is no warm-up: the first steps should be small."),
                  Mistake(_progress_of_all, "The cosine should begin where the warm-up ends; here it began at step 0, "
                                            "so the rate drops suddenly."))),
    Exercise(
        "A batch is a function of the step", """
        Write `batch_at(step, orders, batch_size)`, which needs no memory of earlier batches. `orders[e]` is the order
        of all rows in epoch `e`. Each epoch shows every row once; its last batch may be short.
        """, batch_at, imports="import math", inputs=_draw_orders,
        hints=("How many batches has an epoch? Round up, since the last one may be short.",
               "`divmod(step, per_epoch)` gives the epoch and the number of the batch in it; then slice."),
        mistakes=(Mistake(_drops_the_rest, "The number of batches an epoch is rounded down, so the last rows of an "
                                           "epoch are never shown."),
                  Mistake(_same_order, "Every epoch has the order of the first one."),
                  Mistake(_runs_on, "A batch runs on into the next epoch; the last one of an epoch should be short."),
                  Mistake(_overlaps, "Neighbouring steps show nearly the same rows: a step is a whole batch "
                                     "further."))),
    Exercise(
        "Patience", """
        `stop_after` ends a run too late: in `[5, 3, 4, 3.5, 4, 3.6]` nothing after the second look is a new best, and
        yet the run goes on to its end with a patience of 2. Mend it.
        """, stop_after, kind="mend", imports="import math", inputs=_draw_losses,
        hints=("What is each loss compared with, and what should it be compared with?",
               "Keep the lowest loss so far in place of the last one. Set `waited` to 0 only at a new best."),
        mistakes=(Mistake(_beside_the_last, "A loss that is lower than the one before counts as progress, although it "
                                            "may be worse than the best."),
                  Mistake(_never_forgives, "A new best should begin the waiting anew; here all bad looks are counted."),
                  Mistake(_too_patient, "It waits one look too long."),
                  Mistake(_at_the_best, "That is the look with the best loss. Nobody knows that it is the best before "
                                        "the patience is over; when does the run end?"))),
    Exercise(
        "What does warm-up protect against?", """
        Train the model of `get_scale("tiny")` for 60 steps with a learning rate of 0.1, far more than usual, with
        `warmup=0` and with `warmup=0.5`, on three seeds each. Take the text `[[i * i % 61 for i in range(3000)]]` in
        `LanguageModelBatches` of 8 windows of 32 tokens, and a vocabulary of 64. Note the mean loss of the last ten
        steps of each run, and which side is `better`. Some 5 seconds of computing. The check looks at your figures, and
        whether your choice follows them.
        """, compare_warm_up, kind="decide", verify=_judge,
        imports="import torch\nfrom llmcourse.model import LanguageModel\n"
                "from llmcourse.training import LanguageModelBatches, TrainingConfig, get_scale, train",
        stub="answer = {\"without\": [...], \"with\": [...], \"better\": ...}",
        hints=("`train(model, LanguageModelBatches(text, 32, 8, 60, seed), TrainingConfig(learning_rate=0.1, "
               "warmup=0.5))` returns one dict a step, with its `loss`.",
               "Make the model anew for each run, after `torch.manual_seed(seed)`: "
               "`LanguageModel(get_scale(\"tiny\").model_config(64, dropout=0.0))`."),
        mistakes=(Mistake({"without": [1.1], "with": [0.1], "better": "with"}, "one run may be lucky"),
                  Mistake({"without": [66, 70, 68], "with": [50, 49, 51], "better": "with"}, "more than guessing"),
                  Mistake({"without": [1, 1, 1], "with": [0.1, 0.1, 0.1], "better": "without"}, "lower with warm-up"),
                  Mistake({"without": [0.1, 0.1, 0.1], "with": [1, 1, 1], "better": "without"}, "warm-up should "
                                                                                                "help"))),
]

QUESTIONS = [
    Question("The training loss falls all the time; the validation loss falls for two epochs and then rises. What is "
             "happening?",
             ("The model learns its training sentences by heart.",
              "This is overfitting: it grows certain about the sentences that it has seen, and wrongly so about "
              "others."),
             (("The learning rate is too high.", "Then the training loss would jump or rise as well."),
              ("The validation sentences are harder.",
               "That may lift the whole curve. It cannot make it turn in the middle of the training."))),
    Question("Why is a batch computed from the step, and not taken from an iterator?",
             ("After an interruption no position has to be restored.",
              "Batch 37 is the same today and tomorrow, so a state needs only the number of the step."),
             (("Random access is faster than iterating.", "Both take next to no time beside a training step."),
              ("An iterator cannot shuffle the rows.",
               "It can. But the position in its shuffled order must be saved, and most loops do not save it."))),
    Question("A run of 60 steps is ended after 20. Is it the same as a run of 20 steps?",
             ("No, its learning rate has not come down yet.",
              "The schedule is stretched over all steps. At step 20 of 60 the rate is still high, so the weights have "
              "not settled."),
             (("Yes, since both have done the same batches.",
               "The batches are the same; the learning rate at each of them is not."),
              ("No, as its batches are drawn from other rows.",
               "Batches depend on seed and step alone, not on the number of steps."))),
    Question("Early stopping by the validation loss gave a lower macro-F1 than training to the end. What follows?",
             ("Watch the measure that you want.",
              "Early stopping improves what it watches. Loss asks for honest probabilities, macro-F1 for right answers "
              "of every label."),
             (("Early stopping should never be used.",
               "It did what it was told: the loss was better, and for probabilities that is what counts."),
              ("The patience should be larger.",
               "More patience gives later stops, but still the weights with the best loss, and not those with the best "
               "macro-F1."))),
    Question("Two processes share a batch of 17 rows, 9 and 8. Each takes the mean loss of its rows, and the gradients "
             "are averaged. What is wrong?",
             ("Rows of the smaller share count more.",
              "A mean of means gives each process the same weight: 1/18 for each of nine rows, 1/16 for each of "
              "eight."),
             (("The learning rate has to be doubled.", "The mean over two processes is a mean, not a sum."),
              ("The process with 8 rows must wait for the other.", "It waits a moment, but no weight changes by it."))),
]
