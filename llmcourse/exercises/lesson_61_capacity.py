"How many machines."
import math

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def waits(arrivals: list[float], services: list[float]) -> list[float]:
    "How long each request waits at one server, first come, first served."
    free, found = 0.0, []
    for arrival, service in zip(arrivals, services):
        start = max(arrival, free)
        found.append(start - arrival)
        free = start + service
    return found


def _never_idle(arrivals, services):
    free, found = 0.0, []
    for arrival, service in zip(arrivals, services):
        found.append(max(0.0, free - arrival))
        free += service
    return found


def _with_service(arrivals, services): return [w + s for w, s in zip(waits(arrivals, services), services)]


def _only_neighbour(arrivals, services):
    ends = [a + s for a, s in zip(arrivals, services)]
    return [0.0] + [max(0.0, end - a) for end, a in zip(ends, arrivals[1:])]


def _negative(arrivals, services):
    free, found = 0.0, []
    for arrival, service in zip(arrivals, services):
        found.append(free - arrival)
        free = max(arrival, free) + service
    return found


def _draw_queue(rng):
    gaps = rng.integers(1, 4, size=8).astype(float)
    gaps[4] = 20.0                                                     # the server is idle in between
    return (gaps.cumsum() + 3).tolist(), rng.integers(2, 6, size=8).astype(float).tolist()


def mean_wait(rate: float, seconds: float, variation: float) -> float:
    "Pollaczek and Khinchine: the mean wait in seconds for one server; infinite if it cannot keep up."
    busy = rate * seconds
    if busy >= 1: return math.inf
    return busy / (1 - busy) * (1 + variation ** 2) / 2 * seconds


def _no_half(rate, seconds, variation):
    return mean_wait(rate, seconds, variation) * 2 if rate * seconds < 1 else math.inf


def _not_squared(rate, seconds, variation):
    busy = rate * seconds
    return busy / (1 - busy) * (1 + variation) / 2 * seconds if busy < 1 else math.inf


def _below_zero(rate, seconds, variation):
    busy = rate * seconds
    return busy / (1 - busy) * (1 + variation ** 2) / 2 * seconds if busy != 1 else math.inf


def _in_system(rate, seconds, variation): return mean_wait(rate, seconds, variation) + seconds


def _draw_load(rng):
    seconds = float(rng.uniform(0.01, 0.1))
    busy = float(rng.uniform(0.3, 0.95)) if rng.random() < 0.6 else float(rng.uniform(1.05, 1.5))
    return busy / seconds, seconds, float(rng.uniform(0.3, 0.9))


def replicas(rate: float, seconds: float, most_busy: float, gone: int) -> int:
    "The fewest replicas of which none is busier than `most_busy`, even when `gone` of them are lost."
    return math.ceil(rate * seconds / most_busy - 1e-9) + gone


def _no_spare(rate, seconds, most_busy, gone): return math.ceil(rate * seconds / most_busy - 1e-9)
def _rounds_down(rate, seconds, most_busy, gone): return int(rate * seconds / most_busy) + gone
def _full(rate, seconds, most_busy, gone): return math.ceil(rate * seconds - 1e-9) + gone
def _spare_inside(rate, seconds, most_busy, gone): return math.ceil((rate * seconds + gone) / most_busy - 1e-9)


def _draw_service(rng):
    return float(rng.integers(50, 300)), float(rng.uniform(0.03, 0.09)), 0.6, int(rng.integers(1, 3))


SAFE = {"/predict", "/healthz", "/readyz", "/quality"}     # asking twice is as good as asking once


def send(path: str, tries: list[str], safe: set[str]) -> tuple[str, int]:
    "What the client gets (`answer` or `error`) and how many tries were made; each is refused, broken or answer."
    for count, happened in enumerate(tries, 1):
        if happened == "answer": return "answer", count
        if happened == "broken" and path not in safe: return "error", count
    return "error", len(tries)


def _always_again(path, tries, safe):
    for count, happened in enumerate(tries, 1):
        if happened == "answer": return "answer", count
    return "error", len(tries)


def _never_again(path, tries, safe): return ("answer" if tries[0] == "answer" else "error"), 1


def _fears_refusal(path, tries, safe):
    for count, happened in enumerate(tries, 1):
        if happened == "answer": return "answer", count
        if path not in safe: return "error", count
    return "error", len(tries)


def _counts_from_zero(path, tries, safe):
    said, count = send(path, tries, safe)
    return said, count - 1


def _draw_tries(rng):
    path = str(rng.choice(["/predict", "/feedback"]))
    return path, [str(rng.choice(["refused", "broken"])), str(rng.choice(["refused", "answer"])), "answer"], SAFE


def compare_queues() -> dict:
    "The mean wait with one queue for two servers, with a queue each, and which to choose."
    rng = np.random.default_rng(0)
    arrivals, services = rng.exponential(0.5, 40_000).cumsum(), rng.exponential(0.8, 40_000)
    coin = rng.integers(2, size=len(arrivals))

    def mean(chosen, servers):
        free, found = [0.0] * servers, []
        for arrival, service in zip(arrivals[chosen], services[chosen]):
            first = free.index(min(free))
            start = max(arrival, free[first])
            found.append(start - arrival)
            free[first] = start + service
        return float(np.mean(found))

    found = {"one queue": mean(coin >= 0, 2), "a queue each": (mean(coin == 0, 1) + mean(coin == 1, 1)) / 2}
    return found | {"choose": min(found, key=found.get)}


def _judge(answer) -> str:
    "Whether both means are those of a long simulation, and the choice follows."
    one, each = answer["one queue"], answer["a queue each"]
    if not 2.0 < each < 5.0:
        return "with a queue each, a server is a queue of its own at utilisation 0.8: about 4 x 0.8 s of waiting"
    if not 1.0 < one < 2.1: return "with one queue a request takes the server that is free first; it waits about 1.4 s"
    return "" if answer["choose"] == "one queue" else "one of the two waits less than half as long; choose that one"


EXERCISES = [
    Exercise(
        title="Which wait do they pay",
        kind="predict",
        task="""A replica works 50 ms on every request, always the same. Requests come at random, 10 a second, then 16 a
second, then 19 a second. What is the mean wait in ms at each rate? Work it out by hand and give a list of three.""",
        solution=[25.0, 100.0, 475.0],
        mistakes=(
            Mistake([50.0, 200.0, 950.0], "That is the wait for service times that scatter like an exponential. Here "
                    "they are all the same: v = 0 halves it."),
            Mistake([0.0, 0.0, 0.0], "Nobody would wait if requests came evenly. They come at random, so some come "
                    "close together."),
            Mistake([75.0, 150.0, 525.0], "The time of the work itself is in there. The wait ends when the work "
                                          "begins."),
            Mistake([25.0, 40.0, 47.5], "The wait does not grow in proportion to the rate: it is rho / (1 - rho) times "
                    "half of 50 ms."),
        ),
        hints=("The utilisation is rate times seconds: 0.5, 0.8 and 0.95.",
               "v = 0, so the wait is rho / (1 - rho) x 1/2 x 50 ms: the factors are 1, 4 and 19."),
    ),
    Exercise(
        title="The recursion of a queue",
        task="""Write what you did by hand: how long each request waits at one server, first come, first served. A
server that is idle starts at once, when the request comes.""",
        solution=waits,
        mistakes=(
            Mistake(_never_idle, "The time at which the server is free only adds up the work, as if it had never been "
                                 "idle."),
            Mistake(_with_service, "The work itself is counted. A wait ends when the work begins."),
            Mistake(_only_neighbour, "Each request looks only at the one before it, as if that one had not waited."),
            Mistake(_negative, "Some waits are negative: who comes to an idle server waits 0, and not less."),
        ),
        inputs=_draw_queue,
        hints=("Keep one number: the time at which the server is free.",
               "`start = max(arrival, free)`; the wait is `start - arrival`; then `free = start + service`."),
    ),
    Exercise(
        title="The mean wait",
        kind="mend",
        task="""The formula of Pollaczek and Khinchine for one server: rho / (1 - rho) times (1 + v squared) / 2
times the service time, and infinity if the server cannot keep up. The function below gives waits below zero for some
loads. Mend it.""",
        solution=mean_wait,
        imports="import math",
        mistakes=(
            Mistake(_below_zero, "Above a utilisation of 1 the formula turns negative. The queue then grows without "
                                 "end."),
            Mistake(_no_half, "The half is missing: that is twice the wait."),
            Mistake(_not_squared, "The variation enters squared."),
            Mistake(_in_system, "The service time is added; that is the time in the system, and the wait was asked "
                                "for."),
        ),
        inputs=_draw_load,
        hints=("What is the utilisation when the formula gives a negative number?",
               "For `busy >= 1` return `math.inf`."),
    ),
    Exercise(
        title="How many, with one to spare",
        task="""Return the fewest replicas such that none is busier than `most_busy` on average, even when `gone` of
them are lost.""",
        solution=replicas,
        imports="import math",
        mistakes=(
            Mistake(_no_spare, "Nothing is left for a loss: when one goes, the others are busier than allowed."),
            Mistake(_rounds_down, "Part of a replica was cut off. Two and a half replicas are three."),
            Mistake(_full, "The replicas would be busy all the time, and the queue would grow without end."),
            Mistake(_spare_inside, "The spare ones are divided by the utilisation too, as if they carried load of "
                    "their own."),
        ),
        inputs=_draw_service,
        hints=("The work alone fills `rate * seconds` replicas. At utilisation `most_busy` it takes more.",
               "Divide by `most_busy`, round up, and add those that may be gone."),
    ),
    Exercise(
        title="Ask again, or not",
        task="""A balancer tries replicas in turn. A try is `refused` (nothing was sent), `broken` (the request was
sent, then the connection broke) or `answer`. A refused one may always be tried again, a broken one only if the path
is in `safe`, where asking twice is as good as asking once. Return what the client gets, `"answer"` or `"error"`, and
how many tries were made.""",
        solution=send,
        mistakes=(
            Mistake(_always_again, "Feedback was sent again after a broken connection. The first replica may have "
                    "stored it: it would count twice."),
            Mistake(_never_again, "Only one replica is asked. The others are there to answer when it does not."),
            Mistake(_fears_refusal, "A refused connection has sent nothing, so even feedback may go to another "
                                    "replica."),
            Mistake(_counts_from_zero, "The first try counts as one."),
        ),
        inputs=_draw_tries,
        rounds=40,
        hints=("Go through the tries; an answer ends it, and so does a broken one that is not safe.",
               "`enumerate(tries, 1)` counts from one; after the loop nothing answered."),
    ),
    Exercise(
        title="One line or two",
        kind="decide",
        task="""Two servers, exponential service times of 0.8 s on average, 2 requests a second at random (gaps of
0.5 s on average, exponential). Simulate at least 40,000 requests with *one queue* for both, and with *a queue each*,
a coin tossed for each request. Return a dictionary: the mean wait under `"one queue"` and `"a queue each"`, and
which to `"choose"`.""",
        stub='answer = {"one queue": ..., "a queue each": ..., "choose": ...}',
        solution=compare_queues,
        imports="import numpy as np",
        verify=_judge,
        mistakes=(
            Mistake({"one queue": 0.0, "a queue each": 0.0, "choose": "one queue"}, "with a queue each, a server is"),
            Mistake({"one queue": 3.2, "a queue each": 3.2, "choose": "one queue"}, "with one queue a request takes"),
            Mistake({"one queue": 1.4, "a queue each": 3.2, "choose": "a queue each"}, "one of the two waits less "
                     "than"),
        ),
        hints=("For one queue keep two numbers, when each server is free; a request takes the smaller.",
               "For a queue each, split arrivals and services by a coin and use one server for each half."),
    ),
]
QUESTIONS = [
    Question("A service is at utilisation 0.5 and its wait is fine. Load doubles. What happens?",
             right=("The queue grows without end: at utilisation 1 there is no mean wait",
                    "Twice 0.5 is 1. Arrivals that scatter leave idle moments that are never made up."),
             wrong=(("The wait doubles", "It would if it grew in proportion. It grows with rho / (1 - rho)."),
                    ("Nothing, since there was room for exactly that",
                     "There is room for the work, and none for its irregularity."))),
    Question("Why does the plan allow for one replica more than the load needs?",
             right=("Replicas fail and are replaced by new versions, and the wait must hold then too",
                    "A deployment takes a replica out on purpose, a crash without asking."),
             wrong=(("To make the mean wait zero", "One more shortens the wait; nothing makes it zero."),
                    ("Because the formula is too optimistic",
                     "A queue for each replica is the pessimistic choice. The spare one is for losses."))),
    Question("Readiness fails on a replica that is stopping. What does Kubernetes do?",
             right=("It sends it no new requests, and lets it finish",
                    "Readiness decides about traffic. Liveness decides about restarts."),
             wrong=(("It kills the replica", "That is what a failed liveness probe does."),
                    ("It restarts the pod on another machine", "Nothing is restarted for being not ready."))),
    Question("A connection breaks after `POST /feedback` was sent. Why does nginx not send it to the other replica?",
             right=("The first one may have stored it, and twice is not as good as once",
                    "After the request was sent, nobody but the first replica knows what it did."),
             wrong=(("The other replica does not know the answer it is about",
                     "Both may share one database. The trouble is that it may be stored twice."),
                    ("nginx cannot send a body twice",
                     "It keeps the body, and does send it again for `/predict`."))),
]
