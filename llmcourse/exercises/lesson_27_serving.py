"Limits and faults."
from llmcourse.practice import Exercise, Mistake, Question


def read_body(pieces: list[bytes], limit: int) -> tuple[int, int]:
    "The status (200, or 413 past the limit) and how many pieces were read. Reading stops once the limit is passed."
    came, read = 0, 0
    for piece in pieces:
        came, read = came + len(piece), read + 1
        if came > limit: return 413, read
    return 200, read


def _reads_all(pieces, limit): return (413 if sum(map(len, pieces)) > limit else 200), len(pieces)
def _each_alone(pieces, limit): return (413 if any(len(p) > limit for p in pieces) else 200), len(pieces)


def _off_by_one(pieces, limit):
    came = 0
    for read, piece in enumerate(pieces, 1):
        came += len(piece)
        if came >= limit: return 413, read
    return 200, len(pieces)


def _before_adding(pieces, limit):
    came = 0
    for read, piece in enumerate(pieces, 1):
        if came > limit: return 413, read
        came += len(piece)
    return (413 if came > limit else 200), len(pieces)


def _draw_pieces(rng):
    pieces = [b"x" * int(n) for n in rng.integers(5, 30, size=int(rng.integers(6, 9)))]
    total = sum(map(len, pieces))
    exact = sum(map(len, pieces[:3]))
    return pieces, int(rng.choice([total + 9, exact, exact + 1, total // 2]))


def wrong_with(text: str, most: int) -> str:
    'The first fault of a text: "too long", "NUL", "half a character", "invisible", or "" if there is none.'
    if len(text) > most: return "too long"                    # first, so that nothing below reads a megabyte
    if "\0" in text: return "NUL"
    if any("\ud800" <= c <= "\udfff" for c in text): return "half a character"
    if not any(c.isprintable() and not c.isspace() for c in text): return "invisible"
    return ""


def _only_strip(text, most):
    'The first fault of a text: "too long", "NUL", "half a character", "invisible", or "" if there is none.'
    if len(text) > most: return "too long"
    if "\0" in text: return "NUL"
    if any("\ud800" <= c <= "\udfff" for c in text): return "half a character"
    if not text.strip(): return "invisible"
    return ""


def _by_ascii(text, most):
    found = wrong_with(text, most)
    return found or ("" if text.isascii() else "half a character")


def _at_least(text, most): return "too long" if len(text) >= most else wrong_with(text, most)
def _any_blank(text, most): return wrong_with(text, most) or ("invisible" if not text.isprintable() else "")


def _draw_text(rng):
    kinds = ["fine", "naïve café", "\u200b\u200b", " \u200b ", "fine\0", "fine \ud83d", "\ud83d", "x" * 12, "x" * 13,
             "ok\u200b now", "", "   ", "größer 👍"]
    return kinds[int(rng.integers(len(kinds)))], 12


def allowed(times: list[float], per_minute: int) -> list[bool]:
    "Which requests of one key pass a token bucket that begins full: times in seconds, rising."
    left, then, passed = float(per_minute), times[0], []
    for now in times:
        left = min(per_minute, left + (now - then) * per_minute / 60)     # it fills, and it overflows
        then = now
        passed.append(left >= 1)
        if passed[-1]: left -= 1                                          # only who passes takes one
    return passed


def _overflows(times, per_minute):
    left, then, passed = float(per_minute), times[0], []
    for now in times:
        left, then = left + (now - then) * per_minute / 60, now
        passed.append(left >= 1)
        if passed[-1]: left -= 1
    return passed


def _refused_pay(times, per_minute):
    left, then, passed = float(per_minute), times[0], []
    for now in times:
        left, then = min(per_minute, left + (now - then) * per_minute / 60), now
        passed.append(left >= 1)
        left -= 1
    return passed


def _starts_empty(times, per_minute):
    left, then, passed = 0.0, times[0], []
    for now in times:
        left, then = min(per_minute, left + (now - then) * per_minute / 60), now
        passed.append(left >= 1)
        if passed[-1]: left -= 1
    return passed


def _by_the_minute(times, per_minute):
    passed = []
    for now in times:
        minute = [t for t, ok in zip(times, passed) if ok and t // 60 == now // 60]
        passed.append(len(minute) < per_minute)
    return passed


def _draw_times(rng):
    gaps = rng.choice([1.0, 3.0, 10.0, 30.0, 90.0], size=14, p=[0.4, 0.2, 0.2, 0.1, 0.1])
    return [float(t) for t in gaps.cumsum()], int(rng.choice([3, 4, 6]))


def ask_it() -> dict:
    "Send six faults to a real server and tell its statuses, and whether it still answers."
    import tempfile
    from pathlib import Path

    import httpx
    import torch

    from llmcourse.model import Classifier, GPTConfig, save_checkpoint
    from llmcourse.serving import Limits, create_app, running_server
    from llmcourse.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["the screen is lovely", "it broke in a week"] * 20, 300)
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=len(tokenizer), d_model=32, n_layers=1, n_heads=2, d_ff=64, context=32)
    folder = Path(tempfile.mkdtemp())/"model"
    save_checkpoint(Classifier(shape, ["bad", "good"]), tokenizer, folder)
    as_json = {"Content-Type": "application/json"}
    sent = {"not JSON": dict(content=b"{", headers=as_json), "no text": dict(json={"texts": []}),
            "too long": dict(json={"texts": ["x" * 60]}), "too many": dict(json={"texts": ["x"] * 5}),
            "too many bytes": dict(content=b"x" * 3_000, headers=as_json),
            "too deep": dict(content=b"[" * 50, headers=as_json)}
    with running_server(create_app(folder, limits=Limits(texts=4, characters=50, bytes=2_000))) as address:
        statuses = {name: httpx.post(f"{address}/predict", **request).status_code for name, request in sent.items()}
        after = httpx.post(f"{address}/predict", json={"texts": ["fine"]}).status_code
    return {"statuses": statuses, "after": after, "held": after == 200 and max(statuses.values()) < 500}


def _judge(answer) -> str:
    "Whether six different faults were sent, each met its refusal, and the verdict follows."
    statuses = answer["statuses"]
    if not isinstance(statuses, dict) or len(statuses) < 6: return "send at least six different faults"
    if any(not isinstance(s, int) for s in statuses.values()): return "give the status of each answer, a whole number"
    if any(s == 200 for s in statuses.values()):
        good = next(name for name, s in statuses.items() if s == 200)
        return f"{good!r} was answered with 200, so it broke no limit of this server; send something worse"
    if not {413, 422} <= set(statuses.values()):
        return "at least one fault should meet 413 and one 422: break the bytes, and break the form"
    held = answer["after"] == 200 and all(s < 500 for s in statuses.values())
    if answer["held"] != held: return f"by your own statuses and what came after, 'held' is {held}"
    return ""


_FIVE = {"a": 422, "b": 422, "c": 413, "d": 422, "e": 422}

EXERCISES = [
    Exercise(
        "Which answer?", """
        Which status does the server of this lesson give? (1) The queue is full. (2) The body has 3 MB. (3) The text
        holds
        NUL. (4) The key is right and asks the 100th time in this minute, where 60 are allowed. (5) The body stops in
        the
        middle and nothing more comes. Answer the five statuses as a list.
        """, [503, 413, 422, 429, 408], kind="predict", stub="answer = [..., ..., ..., ..., ...]",
        hints=("422 says that the form is wrong; 413, 429, 408 and 503 each say what there was too much or too "
               "little of.",
               "Whose fault is a full queue? Not this client's, so its status begins with a 5."),
        mistakes=(Mistake([429, 413, 422, 429, 408], "429 says that *this* client asks too often. A full queue is "
                                                     "nobody's "
                                                     "fault: the server cannot, so 503."),
                  Mistake([503, 422, 422, 429, 408], "A body that is too large is refused before its form is looked "
                                                     "at."),
                  Mistake([503, 413, 422, 503, 408], "Others may still ask; it is this key that asks too often."),
                  Mistake([503, 413, 422, 429, 504], "504 says that the *server* was late. Here the client was."))),
    Exercise(
        "Count what arrives", """
        Write `read_body(pieces, limit)`: read the pieces of a body one by one, and stop as soon as more than `limit`
        bytes
        have come. Return the status, 200 or 413, and how many pieces were read.
        """, read_body, inputs=_draw_pieces, rounds=24,
        hints=("Add up the bytes while they come, and look at the sum after each piece.",
               "`if came > limit: return 413, read`. Exactly `limit` bytes are still allowed."),
        mistakes=(Mistake(_reads_all, "The status is right, but all was read before looking: a body without end would "
                                      "fill the memory."),
                  Mistake(_each_alone, "Each piece is small, and there may be a million of them: count their sum."),
                  Mistake(_off_by_one, "Exactly `limit` bytes are allowed; refuse only what is more."),
                  Mistake(_before_adding, "You look before you count the piece, so one more is read than needed."))),
    Exercise(
        "What is wrong with this text?", """
        This check lets a text pass that shows nothing: zero-width spaces are no white space for `strip`. Mend
        `wrong_with(text, most)`: it names the first fault, in this order: more than `most` characters, NUL, half a
        surrogate, nothing visible. What is right is `""`, accents and emoji too.
        """, wrong_with, kind="mend", inputs=_draw_text, rounds=60,
        hints=("Ask the characters: when is one visible?",
               "`c.isprintable()` is false for U+200B, and true for a space; so ask `c.isspace()` too."),
        mistakes=(Mistake(_only_strip, "Try two zero-width spaces: `strip` leaves them, and a reader sees nothing."),
                  Mistake(_by_ascii, "Most of the world does not write ASCII. Only a surrogate without its partner "
                                     "is half "
                                     "a character."),
                  Mistake(_at_least, "A text of exactly `most` characters is allowed."),
                  Mistake(_any_blank, "One invisible character among visible ones does no harm; refuse a text only "
                                      "if all "
                                      "of it is invisible."))),
    Exercise(
        "A bucket of tokens", """
        Write `allowed(times, per_minute)`: which requests of one key pass? Its bucket begins full with `per_minute`
        tokens, fills evenly by as many in a minute, holds no more than that, and each request that passes takes one.
        """, allowed, inputs=_draw_times, rounds=24,
        hints=("Keep two numbers: what is left, and when you last looked.",
               "`left = min(per_minute, left + (now - then) * per_minute / 60)`, then compare with 1."),
        mistakes=(Mistake(_overflows, "After a night of silence this bucket holds thousands of tokens; it should "
                                      "hold at "
                                      "most `per_minute`."),
                  Mistake(_refused_pay, "Who is refused takes no token. Otherwise a client that keeps trying never "
                                        "comes "
                                        "back."),
                  Mistake(_starts_empty, "The bucket begins full; a new key may ask at once."),
                  Mistake(_by_the_minute, "Counting by the minute on the clock lets twice as many through around its "
                                          "turn, "
                                          "and then nobody; a bucket fills evenly."))),
    Exercise(
        "Attack it yourself", """
        Start a server with `running_server(create_app(folder, limits=...))` on a small checkpoint, send it at least six
        different faults that its limits forbid, and one good request at the end. Answer the `"statuses"` by name, the
        status `"after"` them, and whether the server `"held"`: the good request was answered, and no fault got a 500 or
        above.
        """, ask_it, kind="decide", verify=_judge,
        stub='answer = {"statuses": {...: ...}, "after": ..., "held": ...}',
        hints=("Make the limits small, such as `Limits(texts=4, characters=50, bytes=2_000)`; then small faults do.",
               "`httpx.post(f\"{address}/predict\", json={\"texts\": [\"x\"] * 5}).status_code`, and so on. "
               "`save_checkpoint` "
               "stores an untrained `Classifier` in no time."),
        mistakes=(Mistake({"statuses": _FIVE, "after": 200, "held": True}, "send at least six different faults"),
                  Mistake({"statuses": _FIVE | {"f": 200}, "after": 200, "held": True}, "it broke no limit"),
                  Mistake({"statuses": dict.fromkeys("abcdef", 422), "after": 200, "held": True},
                          "at least one fault should meet 413"),
                  Mistake({"statuses": _FIVE | {"f": 500}, "after": 200, "held": True}, "'held' is False"))),
]

QUESTIONS = [
    Question("Why count the bytes of a body, though `Content-Length` says how many there are?",
             ("The client wrote that number, and a body in chunks needs none.",
              "What a client says of itself is input like any other. Only what arrives is a fact."),
             (("Because the header counts characters and not bytes.", "It counts bytes, if it is honest."),
              ("Because reading the header takes longer than counting.",
               "Reading it takes no time, and where it is honest it saves some."))),
    Question("The model hangs. Which of these should still answer at once?",
             ("`/healthz` and `/readyz`, and refusals once the queue is full.",
              "They are answered by the event loop, which never waits for the model's thread."),
             (("Nothing: a server whose model hangs is not alive.",
               "Then a watchdog would kill it in the middle of a long batch, and all the callers would lose their "
               "answer."),
              ("`/predict`, with the last answer it gave.", "An answer to another question is worse than a refusal."))),
    Question("Why compare API keys with `hmac.compare_digest` and not with `==`?",
             ("`==` stops at the first byte that differs, so its time tells how much of a guess is right.",
              "With enough tries, byte after byte could be found."),
             (("`==` cannot compare bytes.", "It can, and gives the right answer; it is its time that talks."),
              ("It is faster.", "It is slower on purpose: it always reads to the end."))),
    Question("A client hangs up while its request waits for the model. What is best?",
             ("Take its texts out of the queue, and tell the log.",
              "Nobody will read the answer, and the model's time is what is scarce."),
             (("Answer it anyway; it was accepted.", "The promise was made to somebody who has gone."),
              ("Raise an error, so that somebody looks at it.",
               "People close tabs all day. A log full of tracebacks hides the one that matters."))),
]
