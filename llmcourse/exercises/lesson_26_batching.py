"Batching."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def waits(arrivals: list[float], service: float) -> list[float]:
    "How long each request waits before it begins, at a server that takes one at a time: times in ms, rising."
    free, waited = 0.0, []
    for came in arrivals:
        begins = max(free, came)               # it has come, and the one before has left
        waited.append(begins - came)
        free = begins + service
    return waited


def _with_service(arrivals, service): return [w + service for w in waits(arrivals, service)]
def _never_idle(arrivals, service): return [max(0.0, i * service - came) for i, came in enumerate(arrivals)]


def _only_neighbour(arrivals, service):
    return [0.0] + [max(0.0, before + service - came) for before, came in zip(arrivals, arrivals[1:])]


def _draw_line(rng):
    gaps = rng.choice([1.0, 2.0, 3.0, 6.0, 9.0], size=7)
    return [float(t) for t in gaps.cumsum()], float(rng.choice([3.0, 4.0, 5.0]))


def take(waiting: list[str], max_batch: int) -> tuple[list[str], list[str]]:
    "The next batch and what goes on waiting: the oldest text, and those at most twice as long or half as long as it."
    first = len(waiting[0])
    batch, rest = [], []
    for text in waiting:                                             # the oldest first, so nobody is passed over
        fits = first / 2 <= len(text) <= 2 * first
        (batch if fits and len(batch) < max_batch else rest).append(text)
    return batch, rest


def _in_order(waiting, max_batch):
    "The next batch and what goes on waiting: the oldest text, and those at most twice as long or half as long as it."
    return waiting[:max_batch], waiting[max_batch:]


def _stops_at_first(waiting, max_batch):
    n = 0
    while n < min(len(waiting), max_batch) and len(waiting[0]) / 2 <= len(waiting[n]) <= 2 * len(waiting[0]): n += 1
    return waiting[:n], waiting[n:]


def _shortest_first(waiting, max_batch):
    waiting = sorted(waiting, key=len)
    return take(waiting, max_batch)


def _loses_the_rest(waiting, max_batch):
    fits = [text for text in waiting if len(waiting[0]) / 2 <= len(text) <= 2 * len(waiting[0])]
    return fits[:max_batch], [text for text in waiting if text not in fits]


def _draw_waiting(rng):
    sizes = [4, *map(int, rng.choice([3, 5, 7, 8, 9, 20, 30], size=8))] if rng.random() < 0.5 else (
        [12, *map(int, rng.choice([3, 5, 6, 14, 24, 25, 30], size=8))])
    return [chr(97 + i) * size for i, size in enumerate(sizes)], int(rng.integers(2, 5))


def place_or_refuse(arrivals: list[tuple[float, int]], service: float, places: int) -> list[bool]:
    """Which requests are accepted. Each is (time, texts); the model answers one text in `service`, one after the other.
    A request is refused, as a whole, if its texts and those still in the queue are more than `places`."""
    free, accepted = 0.0, []                     # when the model will have answered all that it accepted
    for came, texts in arrivals:
        backlog = max(0.0, free - came) / service                     # texts that are not answered yet
        accepted.append(backlog + texts <= places)
        if accepted[-1]: free = max(free, came) + texts * service
    return accepted


def _counts_refused(arrivals, service, places):
    """Which requests are accepted. Each is (time, texts); the model answers one text in `service`, one after the other.
    A request is refused, as a whole, if its texts and those still in the queue are more than `places`."""
    free, accepted = 0.0, []
    for came, texts in arrivals:
        backlog = max(0.0, free - came) / service
        accepted.append(backlog + texts <= places)
        free = max(free, came) + texts * service
    return accepted


def _only_backlog(arrivals, service, places):
    free, accepted = 0.0, []
    for came, texts in arrivals:
        accepted.append(max(0.0, free - came) / service < places)
        if accepted[-1]: free = max(free, came) + texts * service
    return accepted


def _forgets_idle(arrivals, service, places):
    free, accepted = 0.0, []
    for came, texts in arrivals:
        accepted.append(max(0.0, free - came) / service + texts <= places)
        if accepted[-1]: free += texts * service
    return accepted


def _never_refuses(arrivals, service, places): return [texts <= places for _, texts in arrivals]


def _draw_requests(rng):
    times = rng.choice([0.0, 1.0, 2.0, 6.0, 15.0], size=9).cumsum()
    return [(float(t), int(n)) for t, n in zip(times, rng.integers(1, 5, size=9))], 2.0, int(rng.integers(4, 7))


def try_queues() -> dict:
    "Serve 20,000 random requests, two for each that the model can answer; each caller gives up after a second."
    found, rng = {}, np.random.default_rng(0)
    came = rng.exponential(0.005, size=20_000).cumsum()              # 200 a second; the model answers 100
    for name, places in (("bounded", 32), ("endless", 10 ** 9)):
        free, in_time, late = 0.0, 0, 0
        for t in came:
            if max(0.0, free - t) / 0.01 >= places: continue         # refused at once
            free = max(free, t) + 0.01
            if free - t <= 1: in_time += 1
            else: late += 1                                          # answered, and nobody is there
        found[name] = {"in_time": in_time, "late": late}
    return found | {"better": max(found, key=lambda name: found[name]["in_time"])}


def _judge(answer) -> str:
    "Whether both queues met the same load, and the choice follows."
    for name in ("bounded", "endless"):
        counts = answer[name]
        if not {"in_time", "late"} <= set(counts): return f"for {name!r} give the counts 'in_time' and 'late'"
        if sum(counts[key] for key in ("in_time", "late")) < 2_000:
            return f"with {sum(counts.values())} answers in the {name} queue there is no overload; send more requests"
    if answer["bounded"]["late"] > answer["bounded"]["in_time"] / 10:
        return ("a bounded queue should hardly answer late; how long does its last place wait, and is that over a "
                "second?")
    if answer["endless"]["late"] < answer["endless"]["in_time"]:
        return ("an endless queue at twice the load should answer most too late; do more requests come than are "
                "answered, and do none leave the queue?")
    ahead = max(("bounded", "endless"), key=lambda name: answer[name]["in_time"])
    if answer["better"] != ahead: return f"in your own counts the {ahead} queue answers more in time"
    return ""


_ENDLESS, _BOUNDED = {"in_time": 200, "late": 19_800}, {"in_time": 10_000, "late": 0}

EXERCISES = [
    Exercise(
        "Larger, and how much faster?", """
        A batch of $n$ sentences takes $6 + 2n$ ms. How many sentences a second does the model answer with $n = 1$, with
        $n = 7$, and at most, however large the batch? Answer the three numbers as a list.
        """, [125.0, 350.0, 500.0], kind="predict", stub="answer = [..., ..., ...]",
        hints=("How long does a batch take, and how many sentences are in it? A second has 1,000 ms.",
               "One takes 8 ms. Seven take 20 ms together. For huge n the 6 ms no longer matter."),
        mistakes=(Mistake([125.0, 50.0, 500.0], "50 batches a second are right for n = 7, and each holds 7 sentences."),
                  Mistake([125.0, 875.0, 500.0], "Seven at once are not seven times as fast: only the 6 ms are "
                                                 "shared."),
                  Mistake([125.0, 350.0, 166.7], "For large n it is the 6 ms that vanish; the 2 ms of each remain."),
                  Mistake([500.0, 500.0, 500.0], "The fixed 6 ms are missing; each pass pays them once."))),
    Exercise(
        "How long each one waits", """
        Write `waits(arrivals, service)`: requests come at the times `arrivals` and are taken one at a time, each for
        `service`. Return how long each waits before it begins.
        """, waits, inputs=_draw_line,
        hints=("Keep one number: when the server is free again.",
               "A request begins at `max(free, came)`. What it waits is the difference to when it came."),
        mistakes=(Mistake(_with_service, "That is how long each *stays*; the wait ends when its turn begins."),
                  Mistake(_never_idle, "This server never rests: when a gap is long, the next request begins when it "
                                       "comes, not earlier."),
                  Mistake(_only_neighbour, "The one before may have waited itself. Carry on when the server is free, "
                                           "not when the last request came."))),
    Exercise(
        "Who goes along", """
        This batcher takes the texts in the order in which they came, so one long text pads all the short ones. Mend
        `take(waiting, max_batch)`: the oldest text always goes, and with it, in their order, texts between half and
        twice
        its length (both included), up to `max_batch` in all. Return the batch and what goes on waiting, in order.
        """, take, kind="mend", inputs=_draw_waiting,
        hints=("Walk through the waiting texts once and decide for each: batch, or rest?",
               "It goes along if `first / 2 <= len(text) <= 2 * first` and the batch has a place left."),
        mistakes=(Mistake(_in_order, "Look at the lengths in the batch: a long text travels with short ones. Pass over "
                                     "it; it will be the oldest soon."),
                  Mistake(_stops_at_first, "The batch ends at the first text that does not fit, though others behind "
                                           "it would. Pass over it and look on."),
                  Mistake(_shortest_first, "Sorting forgets who came first: a long text would wait for as long as "
                                           "short "
                                           "ones come."),
                  Mistake(_loses_the_rest, "Texts that fit and find no place in the batch are in neither list: their "
                                           "callers wait for ever."))),
    Exercise(
        "A bound on the queue", """
        Write `place_or_refuse(arrivals, service, places)`: for each request, a pair of time and number of texts, say
        whether it is accepted. The model needs `service` for each text. A request is refused as a whole if its texts
        and
        those not answered yet are more than `places`.
        """, place_or_refuse, inputs=_draw_requests,
        hints=("Keep one number again: when the model will have answered all that it accepted.",
               "The texts not answered yet are `max(0, free - came) / service`. Only an accepted request moves "
               "`free`."),
        mistakes=(Mistake(_counts_refused, "Who was refused does not wait, and takes no time of the model."),
                  Mistake(_only_backlog, "The new texts need places too: three do not fit where one is free."),
                  Mistake(_forgets_idle, "The model cannot work ahead: if it has been idle, it begins when the request "
                                         "comes."),
                  Mistake(_never_refuses, "Those who wait already take places. Count the texts that are not answered "
                                          "yet."))),
    Exercise(
        "A queue without end", """
        A colleague wants no bound: *a customer should never be refused*. Try it. A model answers 100 requests a second,
        200 come, at random, and each caller gives up after one second (the model answers all the same, for nobody).
        Simulate a queue of some 32 places and one without a bound, on the same arrivals, and count for each how many
        are answered `"in_time"` and how many `"late"`. Which is `"better"`?
        """, try_queues, kind="decide", verify=_judge, imports="import numpy as np",
        stub='answer = {"bounded": {"in_time": ..., "late": ...}, "endless": {"in_time": ..., "late": ...}, '
             '"better": ...}',
        hints=("Lindley's recursion again: keep the time when the model is free. A request that comes when more than "
               "the "
               "bound wait changes nothing.",
               "`free = max(free, came) + 0.01`; it is in time if `free - came <= 1`. Give the names "
               '`"bounded"` and `"endless"` to `"better"`.'),
        mistakes=(Mistake({"bounded": _BOUNDED, "endless": _ENDLESS, "better": "endless"},
                          "in your own counts the bounded queue answers more in time"),
                  Mistake({"bounded": {"in_time": 300, "late": 9_700}, "endless": _ENDLESS, "better": "bounded"},
                          "a bounded queue should hardly answer late"),
                  Mistake({"bounded": _BOUNDED, "endless": {"in_time": 20_000, "late": 0}, "better": "endless"},
                          "an endless queue at twice the load should answer most too late"),
                  Mistake({"bounded": {"in_time": 90, "late": 0}, "endless": {"in_time": 90, "late": 0},
                           "better": "bounded"}, "there is no overload; send more requests"))),
]

QUESTIONS = [
    Question("A server takes 200 ms a request, one at a time, and gets 4 requests a second. How busy is it, and what "
             "happens at 6 a second?",
             ("It works 80 % of the time. At 6 a second its queue grows without end.",
              "The utilisation is 4 times 0.2, which is 0.8; at 6 it would be 1.2."),
             (("It works 80 % of the time. At 6 a second all wait a little longer.",
               "A utilisation of 1.2 has no steady state: each second leaves one request more in the queue."),
              ("It works 5 % of the time. 6 a second change hardly anything.",
               "200 ms are a fifth of a second; four of them fill 0.8 of it."))),
    Question("30 requests come a second, and each stays for 400 ms. How many are in the house?",
             ("Twelve on average, waiting or being served.",
              "Little's law: 30 times 0.4. The order in which they are served does not matter."),
             (("Seventy-five on average.", "Multiply, do not divide: the longer each stays, the more are there."),
              ("It depends on how random the arrivals are.",
               "The law needs only averages over a long time. Randomness changes how long each stays, and that is "
               "given."))),
    Question("Why does the oldest waiting text always go into the next batch?",
             ("Otherwise a text of unusual length could wait for ever.",
              "Choosing the best-filled batch each time would pass over whoever fits badly, as long as better ones "
              "come."),
             (("Because its padding costs least.", "Padding depends on length, not on age."),
              ("Because answers would get mixed up otherwise.",
               "Each text knows its request and its place there, so the order of serving is free."))),
    Question("Under heavy load, what does a `wait` of 2 ms cost a request?",
             ("Nothing: while the model is busy, the 2 ms pass by themselves.",
              "The wait counts from when a text came. It matters only where the model is idle."),
             (("2 ms for each request in front of it.", "It is counted once, from when the oldest came."),
              ("Smaller batches, since fewer requests gather.", "Waiting can only let more of them gather."))),
]
