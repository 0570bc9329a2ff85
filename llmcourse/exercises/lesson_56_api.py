"An API that others know."
import base64
import json

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def texts_of(lines: list[str]) -> dict[int, str]:
    "The text of each choice of a streamed chat, by its index."
    found = {}
    for line in lines:
        data = line.removeprefix("data: ")
        if data == "[DONE]": break
        for choice in json.loads(data)["choices"]:               # none in the event with the counts of tokens
            index, piece = choice["index"], choice["delta"].get("content") or ""
            found[index] = found.get(index, "") + piece
    return found


def _last_piece(lines):
    found = {}
    for line in lines[:-1]:
        for choice in json.loads(line[6:])["choices"]:
            if choice["delta"].get("content"): found[choice["index"]] = choice["delta"]["content"]
    return found


def _one_text(lines):
    events = [json.loads(line[6:]) for line in lines[:-1]]
    return {0: "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])}


def _always_content(lines):
    found = {}
    for line in lines[:-1]:
        for choice in json.loads(line[6:])["choices"]:
            found[choice["index"]] = found.get(choice["index"], "") + choice["delta"]["content"]
    return found


def _until_first_end(lines):
    found = {}
    for line in lines[:-1]:
        for choice in json.loads(line[6:])["choices"]:
            found[choice["index"]] = found.get(choice["index"], "") + (choice["delta"].get("content") or "")
            if choice["finish_reason"]: return found
    return found


def _draw_lines(rng):
    words = [[str(w) for w in rng.choice(["good", " bad", " very", " not", " a", " film"], 3)] for _ in range(2)]
    events = [{"index": i, "delta": {"content": words[i][k]}, "finish_reason": None} for k in range(2) for i in (0, 1)]
    events += [{"index": 0, "delta": {}, "finish_reason": "stop"},
               {"index": 1, "delta": {"content": words[1][2]}, "finish_reason": None},
               {"index": 1, "delta": {}, "finish_reason": "length"}]
    lines = [f"data: {json.dumps({'choices': [event]})}" for event in events]
    return ([*lines, 'data: {"choices": [], "usage": {"total_tokens": 9}}', "data: [DONE]"],)


def may_come_in(header: str, keys: list[str]) -> bool:
    "Whether the header `Authorization: Bearer KEY` names one of the keys; without any key, everybody may."
    return not keys or any(header == f"Bearer {key}" for key in keys)


def _ends_with(header, keys):
    "Whether the header `Authorization: Bearer KEY` names one of the keys; without any key, everybody may."
    return not keys or any(header.endswith(key) for key in keys)


def _contains(header, keys): return not keys or any(key in header for key in keys)
def _bare_key(header, keys): return not keys or header in keys
def _nobody(header, keys): return any(header == f"Bearer {key}" for key in keys)
def _begins_with(header, keys): return not keys or any(f"Bearer {key}".startswith(header) for key in keys)


def _draw_header(rng):
    keys = [f"k{rng.integers(100, 999)}", f"s{rng.integers(100, 999)}"]
    chosen = keys[int(rng.integers(2))]
    headers = [f"Bearer {chosen}", f"Bearer x{chosen}", f"Bearer {chosen}0", chosen, "Bearer ", "Bearer k0"]
    none = rng.random() < 0.2
    return headers[int(rng.integers(6))], [] if none else keys


def read_vector(text: str) -> list[float]:
    "The numbers of a vector that came as base64: 32-bit floats, the lowest byte first."
    return np.frombuffer(base64.b64decode(text), dtype="<f4").tolist()


def _as_doubles(text): return np.frombuffer(base64.b64decode(text), dtype="<f8").tolist()
def _highest_first(text): return np.frombuffer(base64.b64decode(text), dtype=">f4").tolist()
def _as_integers(text): return np.frombuffer(base64.b64decode(text), dtype="<i4").tolist()
def _single_bytes(text): return [float(byte) for byte in base64.b64decode(text)]


def _draw_vector(rng):
    return (base64.b64encode(rng.normal(size=4).astype("<f4").tobytes()).decode(),)


def queue_or_slots() -> dict:
    "Requests refused, and the mean wait in steps, when a text of 12 tokens arrives every three steps."
    from llmcourse.batching import Overloaded
    from llmcourse.engine import Engine, Request
    from llmcourse.model import load_checkpoint
    from llmcourse.models import course_gpt

    checkpoint, found = load_checkpoint(course_gpt()), {}
    ids = checkpoint[1]("The battery")["input_ids"]
    for name, slots, max_queue in (("A", 2, 4), ("B", 2, 30), ("C", 4, 4)):
        engine = Engine(*checkpoint, slots=slots, max_queue=max_queue)
        engine.ends = set()                                      # each writes its 12 tokens
        tickets, refused = [], 0
        for step in range(90):
            if step % 3 == 0:
                try: tickets.append((engine.steps, engine.submit(Request(ids, 12))))
                except Overloaded: refused += 1
            engine.step()
        while engine.step(): pass
        waits = [ticket.first_step - came for came, ticket in tickets]
        found[name] = {"refused": refused, "wait": sum(waits) / len(waits)}
    best = min(found, key=lambda name: (found[name]["refused"], found[name]["wait"]))
    return found | {"best": best}


def _judge(answer) -> str:
    "Whether the three were counted, and the choice follows."
    parts = {name: answer.get(name) for name in "ABC"}
    if not all(isinstance(part, dict) and set(part) == {"refused", "wait"} for part in parts.values()):
        return "each of A, B and C holds `refused` and `wait`"
    if any(part["refused"] < 0 or part["wait"] < 0 for part in parts.values()): return "no count can be below 0"
    if not parts["A"]["refused"]:
        return "A should refuse some: does a text arrive every three steps, and does each write all its 12 tokens?"
    if parts["B"]["refused"] or parts["B"]["wait"] <= parts["A"]["wait"]:
        return "with a queue of 30, B should refuse nobody and let them wait longer than A; look at its two counts"
    if parts["C"]["refused"] or parts["C"]["wait"] > 3: return "four slots should keep pace: 12 tokens every 3 steps"
    best = min(parts, key=lambda name: (parts[name]["refused"], parts[name]["wait"]))
    return "" if answer.get("best") == best else f"your own counts say otherwise: {parts}"


_PARTS = {"A": {"refused": 10, "wait": 20.0}, "B": {"refused": 0, "wait": 45.0}, "C": {"refused": 0, "wait": 0.0}}

EXERCISES = [
    Exercise(
        "Count the events", """
        A chat is streamed, with `stream_options={"include_usage": True}`. The model writes two pieces, `Good` and
        ` morning`, and ends. Our server tells the end in an event of its own. How many lines begin with `data: `?
        """, 5, kind="predict",
        hints=("One for each piece. What else must a client be told?",
               "Why the text ended, how many tokens there were, and that no more will come."),
        mistakes=(Mistake(2, "These are the pieces. The end of the text, the counts and the end of the stream are told "
                             "as well."),
                  Mistake(3, "The end of the text and the end of the stream are not the same event; and the counts "
                             "were asked for."),
                  Mistake(4, "One is missing: the finish reason, the counts, or `[DONE]`."))),
    Exercise(
        "Read a stream", """
        Write `texts_of(lines)`: from the lines of a streamed chat the text of each choice, as a dict from its index.
        The events of two choices are mixed, an event may have no `content`, and the one with the counts has no choices.
        """, texts_of, imports="import json", inputs=_draw_lines,
        hints=("Cut off `data: `, stop at `[DONE]`, and read the rest as JSON.",
               "For each choice: `choice[\"delta\"].get(\"content\") or \"\"`, added to what its index has so far."),
        mistakes=(Mistake(_last_piece, "Each event brings a piece; it must be added to what came before."),
                  Mistake(_one_text, "Pieces of both choices are joined to one text. The index tells them apart."),
                  Mistake(_always_content, "The event that ends a choice has no `content`."),
                  Mistake(_until_first_end, "It returns when the first choice has ended. The other still writes."))),
    Exercise(
        "Who may come in?", """
        `may_come_in` should let in who sends `Bearer` and one of the keys, and everybody if there are no keys. A
        stranger got in with a key that is not on the list. Mend it. (Time is no matter here; the lesson's own check
        takes the same time for every wrong key.)
        """, may_come_in, kind="mend", inputs=_draw_header,
        hints=("Which header ends with `k123` and is not `Bearer k123`?",
               "Compare the whole header with `Bearer ` and the key."),
        mistakes=(Mistake(_ends_with, "A longer key that ends like a right one gets in."),
                  Mistake(_contains, "A header that holds a key somewhere gets in, with whatever else around it."),
                  Mistake(_bare_key, "The header begins with the word `Bearer` and a space."),
                  Mistake(_nobody, "Without any key everybody may come in; this lets nobody in."),
                  Mistake(_begins_with, "Whoever sends the beginning of a key gets in, even `Bearer ` alone."))),
    Exercise(
        "Read a vector", """
        The public client asks for embeddings as base64. Write `read_vector(text)`: the list of numbers, 32-bit floats
        with the lowest byte first.
        """, read_vector, imports="import base64\nimport numpy as np", inputs=_draw_vector,
        hints=("`base64.b64decode` gives bytes; four of them are one number.",
               "`np.frombuffer` with a `dtype` that names the order, the kind and the size: `\"<f4\"`."),
        mistakes=(Mistake(_as_doubles, "Eight bytes are taken for one number, so half as many come out."),
                  Mistake(_highest_first, "The order of the bytes is turned round."),
                  Mistake(_as_integers, "The bytes are read as whole numbers. They are floats."),
                  Mistake(_single_bytes, "Each byte is taken for a number of its own."))),
    Exercise(
        "A longer queue, or more slots?", """
        Every three steps a text of 12 tokens arrives, for 90 steps. Three engines: `A` has 2 slots and a queue of 4,
        `B` 2 slots and a queue of 30, `C` 4 slots and a queue of 4. Count for each how many are `refused`, and how many
        steps an accepted text `wait`s in the mean, from its arrival to its slot (`engine.steps` when you submit, and
        `ticket.first_step`). Which is `best`: refuses fewest and, among those, lets wait least?
        """, queue_or_slots, kind="decide", verify=_judge,
        imports="""
        from llmcourse.batching import Overloaded
        from llmcourse.engine import Engine, Request
        from llmcourse.model import load_checkpoint
        from llmcourse.models import course_gpt
        """,
        stub='''
        checkpoint = load_checkpoint(course_gpt())
        ids = checkpoint[1]("The battery")["input_ids"]
        engine = Engine(*checkpoint, slots=2, max_queue=4)
        engine.ends.clear()                                   # each text writes its 12 tokens
        ticket = engine.submit(Request(ids, 12))              # raises Overloaded when the queue is full
        engine.step()

        answer = {"A": {"refused": ..., "wait": ...}, "B": {"refused": ..., "wait": ...},
                  "C": {"refused": ..., "wait": ...}, "best": ...}''',
        hints=("A loop over 90 steps: at every third, try to submit, and count an `Overloaded`; then call `step`. "
               "Afterwards step until nothing is left.",
               "Keep `(engine.steps, ticket)` for each accepted text; its wait is `ticket.first_step` less the first."),
        mistakes=(Mistake(_PARTS | {"best": "B"}, "your own counts say otherwise"),
                  Mistake(_PARTS | {"A": {"refused": 0, "wait": 1.0}, "best": "C"}, "A should refuse some"),
                  Mistake(_PARTS | {"B": {"refused": 0, "wait": 2.0}, "best": "C"}, "let them wait longer than A"))),
]

QUESTIONS = [
    Question("A program sends `max_token` where it means `max_tokens`. Why does our server refuse it?",
             ("Ignored without a word, it would cost an evening's search.",
              "The program would get long answers and no hint why. A refusal names the field at once."),
             (("An unknown field could be an attack on the server.",
               "It would do no harm: nothing reads it. The harm is done to whoever sent it."),
              ("The standard of HTTP asks for it in every request.",
               "HTTP says nothing about fields of JSON; other servers ignore what they do not know."))),
    Question("The answer is wanted in one piece, and the client hangs up while it waits. Why must the server listen "
             "for that?",
             ("Nothing is sent until the end, so no failed send tells it.",
              "In a stream the next event would fail. Without one, only the message that the connection closed says "
              "so."),
             (("Because HTTP asks the server to confirm every hang-up.",
               "Nobody is there to be told. It matters for the slot that is still writing."),
              ("Otherwise the answer would be sent to another client.",
               "Connections are not mixed up. The answer would only be written for nobody."))),
    Question("A model fails in the middle of a stream. Why is the status not 500?",
             ("The status 200 was sent before the first piece.",
              "The status stands at the beginning of a response and cannot be taken back. So the error comes as an "
              "event."),
             (("A stream has no status of its own in HTTP.",
               "It has one like every response; it has only been sent already."),
              ("An error of the model is the sender's fault.",
               "It is ours. Before the first piece we would have answered 500."))),
    Question("Ten customers each have an adapter of one base. What does it cost to serve them by one engine, against "
             "one engine each?",
             ("The base once instead of ten times; batches hold them all.",
              "Rows of different adapters share a step: the base reads them together, each adapter adds its small "
              "product."),
             (("The same memory, but only one thread in place of ten.",
               "The base is by far the largest part, and it is there only once."),
              ("Nothing is saved, as each text needs a model of its own.",
               "Each needs its adapter, some megabytes. The base is the same for all."))),
]
