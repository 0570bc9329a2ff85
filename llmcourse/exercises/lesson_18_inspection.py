"Look inside."
import torch

from llmcourse.practice import Exercise, Mistake, Question


def lens(stream: torch.Tensor, scale: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    "The logits if the model stopped here. Stream (time, d_model), the norm's scale (d_model), head (vocab, d_model)."
    rms = stream.square().mean(dim=-1, keepdim=True).sqrt()     # (time, 1): of each token
    return stream / rms * scale @ head.T                        # (time, vocab)


def _without_norm(stream, scale, head): return stream @ head.T
def _without_scale(stream, scale, head): return lens(stream, torch.ones_like(scale), head)


def _over_time(stream, scale, head):
    return stream / stream.square().mean(dim=0, keepdim=True).sqrt() * scale @ head.T


def _layer_norm(stream, scale, head): return lens(stream - stream.mean(-1, keepdim=True), scale, head)


def _draw_stream(rng):
    draw = lambda *shape: torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    return draw(2, 4), draw(4).abs() + 0.5, draw(3, 4)


def shares(parts: torch.Tensor, scale: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    "What each part adds to a logit. Parts (parts, d_model), the norm's scale and the token's row (d_model)."
    stream = parts.sum(dim=0)                                   # (d_model): the parts add up to the stream
    rms = stream.square().mean().sqrt()                         # one divisor, the same for all parts
    return parts / rms * scale @ row                            # (parts,)


def _norm_of_each(parts, scale, row):
    "What each part adds to a logit. Parts (parts, d_model), the norm's scale and the token's row (d_model)."
    rms = parts.square().mean(dim=-1, keepdim=True).sqrt()
    return parts / rms * scale @ row                            # (parts,)


def _no_divisor(parts, scale, row): return parts * scale @ row
def _no_scale(parts, scale, row): return shares(parts, torch.ones_like(scale), row)
def _as_fractions(parts, scale, row): return shares(parts, scale, row) / shares(parts, scale, row).sum()


def _draw_parts(rng):
    draw = lambda *shape: torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    return draw(3, 4) * torch.tensor([[0.5], [1.0], [3.0]]), draw(4).abs() + 0.5, draw(4)


def head_to_mean(x: torch.Tensor, head: int, width: int, other: torch.Tensor) -> torch.Tensor:
    "The inputs of `o_proj` (batch, time, heads * width) with one head at its mean over another text of the same kind."
    mine = slice(head * width, (head + 1) * width)              # the channels of this head
    changed = x.clone()                                         # leave what was given as it is
    changed[..., mine] = other[..., mine].mean(dim=(0, 1))      # (width): one number for each channel
    return changed


def _to_zero(x, head, width, other):
    changed = x.clone()
    changed[..., head * width:(head + 1) * width] = 0
    return changed


def _in_place(x, head, width, other):
    x[..., head * width:(head + 1) * width] = other[..., head * width:(head + 1) * width].mean(dim=(0, 1))
    return x


def _one_channel(x, head, width, other):
    changed = x.clone()
    changed[..., head] = other[..., head].mean()
    return changed


def _one_number(x, head, width, other):
    changed = x.clone()
    changed[..., head * width:(head + 1) * width] = other[..., head * width:(head + 1) * width].mean()
    return changed


def _own_mean(x, head, width, other): return head_to_mean(x, head, width, x)


def _draw_inputs(rng):
    draw = lambda *shape: torch.tensor(rng.normal(size=shape).round(2), dtype=torch.float32)
    return draw(1, 2, 6), int(rng.integers(3)), 2, draw(2, 3, 6)


def compare_share_and_loss() -> dict:
    "For each of 16 heads its direct share of the logit of “life”, and by how much that logit falls without it."
    from pathlib import Path

    import llmcourse
    from llmcourse.inspection import trace, without
    from llmcourse.model import load_checkpoint

    model, tokenizer = load_checkpoint(Path(llmcourse.__file__).parent/"course_gpt")
    ids = tokenizer("The battery life is great, and the screen is great.", return_tensors="pt")["input_ids"]
    whole, place, life = trace(model, ids), 2, ids[0, 3]        # position 2 holds “battery”, and “life” follows
    rms = (whole.stream[-1, 0, place].square().mean() + model.model.norm.eps).sqrt()
    direction = model.model.norm.weight * model.lm_head.weight[life] / rms     # (d_model)
    found = {"share": [], "lost": []}
    for layer in range(4):
        for head in range(4):
            with without(model, layer, head): cut = trace(model, ids)
            part = 1 + 2 * layer                                # the attention of this layer, in `contributions`
            added = (whole.contributions - cut.contributions)[part, 0, place]  # what this head alone had added
            found["share"].append((added @ direction).item())
            found["lost"].append((whole.logits - cut.logits)[0, place, life].item())
    gap = max(abs(share - lost) for share, lost in zip(*found.values()))
    return found | {"share tells what is lost": gap < 0.1}


def _judge(answer) -> str:
    "Whether all heads were tried and the conclusion follows."
    pair = answer["share"], answer["lost"]
    if not all(isinstance(found, list) and len(found) == 16 for found in pair):
        return "give 16 numbers each, one a head, layer by layer"
    gap = max(abs(share - lost) for share, lost in zip(*pair))
    if not any(pair[0]) or not any(pair[1]): return "all are 0; was the head really left out while the model read?"
    if bool(answer["share tells what is lost"]) != (gap < 0.1):
        return f"by your own figures share and loss differ by up to {gap:.2f} nats; draw the line at 0.1"
    if gap < 0.1:
        return ("they agree too well: `lost` is the change of the model's own logit, with all that later parts make of "
                "the removal")
    return ""


_SOME = [0.1 * i for i in range(16)]

EXERCISES = [
    Exercise(
        "Where does an induction head look?", """
        The tokens at positions 0 to 6 are `A B C D A B C`. Which position does a perfect *induction* head look at from
        position 6, and which one does a head for the *same* token look at? Answer `[induction, same]`.
        """, [3, 2], kind="predict", stub="answer = [..., ...]",
        hints=("Position 6 holds a C. Where did it stand before?",
               "The same token stood at 2. An induction head looks at what followed it there, to say it again."),
        mistakes=(Mistake([2, 3], "They are exchanged: induction looks at what *followed* the earlier C."),
                  Mistake([5, 2], "Position 5 is the token just before; that is what a *previous* head looks at."),
                  Mistake([1, 2], "Position 1 stands before the earlier C. To continue the pattern, one needs what "
                                  "came after it."),
                  Mistake([3, 6], "A head that looks at itself is of another kind; the same token stood there once "
                                  "before."))),
    Exercise(
        "The logit lens", """
        Write `lens(stream, scale, head)`: normalize the stream of each token by its root mean square, multiply by the
        norm's scale, and multiply by the rows of the head.
        """, lens, imports="import torch", inputs=_draw_stream, tolerance=1e-4,
        hints=("The root mean square of one token: `stream.square().mean(dim=-1, keepdim=True).sqrt()`.",
               "Then `stream / rms * scale`, and a matrix product with `head.T`."),
        mistakes=(Mistake(_without_norm, "The norm before the head is missing. The head was trained on normalized "
                                         "vectors."),
                  Mistake(_without_scale, "The norm's scale is missing."),
                  Mistake(_over_time, "The mean is taken over the tokens; each token is normalized by itself."),
                  Mistake(_layer_norm, "The mean is subtracted. That is LayerNorm; this model has RMSNorm."))),
    Exercise(
        "Shares that add up", """
        `shares` should split a logit into what each part added, and the shares should add up to the logit. They do not.
        Mend it.
        """, shares, kind="mend", imports="import torch", inputs=_draw_parts, tolerance=1e-4,
        hints=("The model normalizes once. What does it normalize?",
               "The divisor is the root mean square of the sum of all parts; it is one number for all of them."),
        mistakes=(Mistake(_norm_of_each, "Each part is normalized by itself, so a short part weighs as much as a long "
                                         "one. The model normalizes their sum."),
                  Mistake(_no_divisor, "The norm's divisor is missing; without it, the shares add up to another "
                                       "number."),
                  Mistake(_no_scale, "The norm's scale is missing."),
                  Mistake(_as_fractions, "Those are fractions of 1. The shares are in nats, and may be negative."))),
    Exercise(
        "Leave a head out", """
        Write `head_to_mean(x, head, width, other)`. The last dimension of `x` holds the heads beside each other,
        `width` channels each. Put each channel of one head to its mean over the batch and time of `other`; leave `x`
        itself as it is.
        """, head_to_mean, imports="import torch", inputs=_draw_inputs,
        hints=("The channels of head h are those from `h * width` up to `(h + 1) * width`.",
               "Clone `x`, then set these channels to `other[..., channels].mean(dim=(0, 1))`."),
        mistakes=(Mistake(_to_zero, "The head is put to zero. The mean is milder: what it always adds stays."),
                  Mistake(_in_place, "It changes `x` itself; the numbers of the model's own run are then gone."),
                  Mistake(_one_channel, "It changes one channel; a head has `width` of them."),
                  Mistake(_one_number, "All channels get one and the same number; each has a mean of its own."),
                  Mistake(_own_mean, "It takes the mean of `x` itself, which still tells of this text; take it of "
                                     "`other`."))),
    Exercise(
        "Does the share tell what is lost?", """
        After “The battery”, take the logit of “life” in the course's own GPT, at position 2 of the sentence of this
        lesson. For each of its 16 heads note the direct `share`, and by how much the logit falls (`lost`) when the
        head is left out with `without` (zero). What a head adds to the stream is the difference of the
        `contributions` of its attention with and without it; its share is that vector, divided by the final norm's
        divisor, times the norm's scale, times the row of “life” in the head. Does the share tell what is lost, to 0.1
        nats? A second of computing. The check looks at your figures, and whether your conclusion follows.
        """, compare_share_and_loss, kind="decide", verify=_judge,
        imports="from pathlib import Path\nimport llmcourse\nfrom llmcourse.inspection import trace, without\n"
                "from llmcourse.model import load_checkpoint",
        stub="answer = {\"share\": [...], \"lost\": [...], \"share tells what is lost\": ...}",
        hints=("`model, tokenizer = load_checkpoint(Path(llmcourse.__file__).parent/\"course_gpt\")`; then "
               "`whole = trace(model, ids)`, and inside `with without(model, layer, head):` the same as `cut`.",
               "The attention of a layer is part `1 + 2 * layer` of `contributions`. What is lost is "
               "`(whole.logits - cut.logits)[0, 2, life]`."),
        mistakes=(Mistake({"share": [0.1], "lost": [0.2], "share tells what is lost": False}, "16 numbers each"),
                  Mistake({"share": [0.0] * 16, "lost": [0.0] * 16, "share tells what is lost": True}, "really left "
                                                                                                       "out"),
                  Mistake({"share": _SOME, "lost": _SOME[::-1], "share tells what is lost": True}, "draw the line"),
                  Mistake({"share": _SOME, "lost": _SOME, "share tells what is lost": True}, "agree too well"))),
]

QUESTIONS = [
    Question("A head gives 68 % of its attention to the previous token. What does that prove?",
             ("Only where it looks; removal tells if it matters.",
              "Nobody may use what it brings. In this lesson, head 2.2 looks back as well and costs nothing."),
             (("That the model needs the previous token.",
               "It may get it from another head, or do without it; that has to be tested by removal."),
              ("That the head copies the previous token.",
               "Attention says where from, not what is taken along. What is added depends on its values."))),
    Question("Without head 3.1 the model loses 0.072 bits a byte if it is put to zero, and 0.004 if it is put to its "
             "mean. What does that tell?",
             ("It adds nearly the same vector to every text.",
              "What it always adds is needed; what it says about *this* text hardly is."),
             (("The head is one of the most important.",
               "Zero removes also the constant that later layers were trained to expect; that is most of its cost."),
              ("The mean was taken over too few texts.",
               "A bad mean would cost more, not less; it would be one more disturbance."))),
    Question("The lens after layer 1 gives the right token a low rank. Does the model not know it there?",
             ("It may: the lens gives a lower bound.",
              "It reads a middle layer with a head that was trained for the last one, and misses other forms of "
              "knowledge."),
             (("No, as the lens shows all that is in the stream.",
               "It shows what the last head can read. The same knowledge in another direction stays unseen."),
              ("No, for otherwise the later layers were useless.",
               "They may have to turn what is known into the form that the head reads."))),
    Question("The shares of a logit add up to it exactly. What do they leave out?",
             ("What one part changed in what later parts said.",
              "They are direct effects. What attention 0 made MLP 3 say is booked under MLP 3."),
             (("The parts that are too short to matter.", "All nine parts are in the sum, short ones too."),
              ("What the final norm does to the stream.",
               "Its divisor and its scale are in each share; the divisor is held at its value."))),
    Question("Leaving heads out one at a time costs 0.25 bits a byte in sum, leaving out all at once 0.41. Why?",
             ("One head can stand in for another.",
              "As long as the other is there, a removal costs little; when both are gone, the loss shows."),
             (("The intervals of single heads are too wide.",
               "Wide intervals make a sum uncertain; they do not make it too small."),
              ("The loss in bits cannot be added up.",
               "It can. That the sum is too small is a finding about the heads, not about bits."))),
]
