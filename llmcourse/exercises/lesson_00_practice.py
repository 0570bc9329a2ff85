"How this course works."
import random
import time

from llmcourse.practice import Exercise, Mistake, Question


def spread(numbers: list[float]) -> float:
    "The distance between the largest and the smallest number."
    return max(numbers) - min(numbers)


def _first_to_last(numbers): return numbers[-1] - numbers[0]
def _turned(numbers): return min(numbers) - max(numbers)
def _largest(numbers): return max(numbers)


def count_words(text: str) -> int:
    "How many words there are, cut at white space."
    return len(text.split())


def _count_spaces(text):
    "How many words there are, cut at white space."
    return len(text.split(" "))


def _count_gaps(text): return text.count(" ")
def _count_kinds(text): return len(set(text.split()))


def _third_power(): return 2 ** 3 ** 2


def compare_sorting() -> dict:
    "Three times for each list, and which one is sorted faster."
    numbers = list(range(100_000))
    times = {"sorted": [], "shuffled": []}
    for _ in range(3):
        for name, given in (("sorted", numbers), ("shuffled", random.sample(numbers, len(numbers)))):
            start = time.perf_counter()
            sorted(given)
            times[name].append(time.perf_counter() - start)
    return times | {"faster": min(times, key=lambda name: sum(times[name]))}


def _judge(answer) -> str:
    "Whether the choice fits the figures, and the figures are a learner's own."
    times = [answer["sorted"], answer["shuffled"]]
    if not all(isinstance(t, list) and len(t) >= 3 for t in times):
        return "measure each list at least three times: a single time is mostly chance"
    ahead = "sorted" if sum(times[0]) < sum(times[1]) else "shuffled"
    if answer["faster"] != ahead: return f"your own times say that the {ahead} list is faster; follow them"
    if ahead == "shuffled": return "a list that is sorted already should take less time; were both lists equally long?"
    return ""


EXERCISES = [
    Exercise(
        "Spread", "Write `spread(numbers)`: how far the largest number is from the smallest.", spread,
        inputs=lambda rng: (rng.integers(-9, 9, size=rng.integers(2, 6)).tolist(),),
        hints=("Python has `max` and `min`.", "Subtract the smaller from the larger: `max(...) - min(...)`."),
        mistakes=(Mistake(_first_to_last, "It takes the first and the last number, which need not be the extremes."),
                  Mistake(_turned, "The difference is taken the wrong way round, so it is negative."),
                  Mistake(_largest, "It is the largest number itself, not its distance from the smallest."))),
    Exercise(
        "Powers of powers", "What does `2 ** 3 ** 2` give? Write the number before you let Python compute it.",
        _third_power, kind="predict", hints=("Which `**` is computed first, the left or the right one?",
                                             "Powers are computed from the right: `2 ** (3 ** 2)`."),
        mistakes=(Mistake(64, "That is `(2 ** 3) ** 2`; Python begins on the right."),
                  Mistake(36, "That multiplies by two in place of a power: `2 ** 3` is 8, not 6."),
                  Mistake(12, "`**` is a power, not a product."))),
    Exercise(
        "Count words", "`count_words` is wrong for some texts. Mend it.", count_words, kind="mend",
        inputs=lambda rng: ("".join(rng.choice(["a", "be", "see"]) + " " * rng.integers(1, 4) for _ in range(4)),),
        hints=("Try it with two spaces between two words.",
               "`text.split()` without an argument cuts at any white space."),
        mistakes=(Mistake(_count_spaces, "Two spaces in a row make an empty word, and it is counted."),
                  Mistake(_count_gaps, "It counts spaces, of which there may be more than words."),
                  Mistake(_count_kinds, "It counts each word once, however often it stands there."))),
    Exercise(
        "Is a sorted list sorted faster?", """
        Sort a list of 100,000 numbers that is sorted already, and one that is shuffled. Measure each at least three
        times with `time.perf_counter`, and say which one is `faster`. The check looks at your figures, and whether your
        choice follows them.
        """, compare_sorting, kind="decide",
        imports="import random\nimport time", verify=_judge,
        stub="answer = {\"sorted\": [...], \"shuffled\": [...], \"faster\": ...}",
        hints=("`start = time.perf_counter()`, then `sorted(numbers)`, then the time that has passed.",
               "Shuffle with `random.sample(numbers, len(numbers))`, outside the measured part."),
        mistakes=(Mistake({"sorted": [0.1], "shuffled": [0.2], "faster": "sorted"}, "a single time is mostly chance"),
                  Mistake({"sorted": [1, 1, 1], "shuffled": [2, 2, 2], "faster": "shuffled"}, "your own times say"),
                  Mistake({"sorted": [2, 2, 2], "shuffled": [1, 1, 1], "faster": "shuffled"},
                          "were both lists equally long?"))),
]

QUESTIONS = [
    Question("Why does `check` draw new inputs each time?",
             ("So that an answer cannot pass by returning one known result.",
              "A function that returns the right number for one input may do anything for the next."),
             (("So that it takes longer.", "It tries a dozen small inputs, which takes no time."),
              ("Because inputs in files can be lost.",
               "They could be stored; but then one could write an answer for them alone."))),
    Question("What happens to your answers and your progress?",
             ("They stay in one file on this machine.", "No part of the course sends them anywhere."),
             (("They are sent to the authors.", "Nothing leaves your machine; the authors would not know."),
              ("They are kept in the notebooks.", "The notebooks stay as they are, so that they can be updated."))),
    Question("`check` says: the result has shape (3, 2); expected (2, 3). What is likely?",
             ("Rows and columns are exchanged.",
              "The numbers of values agree, the axes do not: a transpose is missing."),
             (("A value is wrong.", "The values have not been looked at yet; the shape comes first."),
              ("The input was empty.", "Then the shape would hold a zero."))),
]
