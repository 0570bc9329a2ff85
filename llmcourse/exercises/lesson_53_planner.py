"Plan your own."
from llmcourse.practice import Exercise, Mistake, Question


def _half_the_labels(): return (600 + 130 / 2) / 60


def scaled_seconds(row: dict, sentences: int, speed: float) -> float:
    "Seconds of training for another number of labels and another machine; `row` was measured with 2,660 labels."
    before = row["pretraining_seconds"]                     # reads text without labels: the same for any number
    learning = row["seconds"] - before                      # reads the labelled sentences: grows with them
    return (before + learning * sentences / 2660) / speed   # a faster machine needs less of both


def _all_of_it(row, sentences, speed): return row["seconds"] * sentences / 2660 / speed
def _slower(row, sentences, speed): return scaled_seconds(row, sentences, 1 / speed)


def _forgets_the_machine(row, sentences, speed): return scaled_seconds(row, sentences, 1.0)


def _speeds_up_half(row, sentences, speed):
    before = row["pretraining_seconds"]
    return before + (row["seconds"] - before) * sentences / 2660 / speed


def _paid_twice(row, sentences, speed):
    return (row["pretraining_seconds"] + row["seconds"] * sentences / 2660) / speed


def _draw_row(rng):
    before = float(rng.integers(100, 900))
    return ({"seconds": before + float(rng.integers(50, 300)), "pretraining_seconds": before},
            int(rng.choice([200, 500, 1330, 5320])), float(rng.choice([0.5, 2.0, 20.0])))


def objections(row: dict, limits: dict) -> list[str]:
    "The limits that a measured row breaks, in the order of `limits`; a limit of None is no limit."
    least, most = {"macro_f1"}, {"memory_mb", "minutes", "ship_mb"}
    broken = lambda name, limit: (name in least and row[name] < limit) or (name in most and row[name] > limit)
    return [name for name, limit in limits.items() if limit is not None and broken(name, limit)]


def _one_direction(row, limits):
    return [name for name, limit in limits.items() if limit is not None and row[name] > limit]


def _none_is_zero(row, limits):
    set_to = {name: 0 if limit is None else limit for name, limit in limits.items()}
    return objections(row, set_to)


def _first_alone(row, limits): return objections(row, limits)[:1]


def _equal_is_broken(row, limits):
    return [name for name, limit in limits.items() if limit is not None
            and (row[name] <= limit if name == "macro_f1" else row[name] >= limit)]


def _draw_limits(rng):
    row = {"macro_f1": 0.7, "memory_mb": 1000, "minutes": 3, "ship_mb": 5}
    values = {"macro_f1": [0.8, 0.7, 0.6, None], "memory_mb": [500, 1000, 4000, None], "minutes": [1, 3, 10, None],
              "ship_mb": [1, 5, 90, None]}                                  # broken, equal, wide, left out
    return row, {name: given[rng.choice(4, p=[0.45, 0.2, 0.2, 0.15])] for name, given in values.items()}


def choose(table: list[dict], target: float, minutes: float) -> str:
    "The technique that trains fastest among those that reach the target in time. Raises `ValueError` if none does."
    good = [row for row in table if row["macro_f1"] >= target]
    if not good: raise ValueError(f"none reaches {target}; the best has {max(row['macro_f1'] for row in table)}")
    fitting = [row for row in good if row["minutes"] <= minutes]
    if not fitting: raise ValueError(f"none is that fast; {min(row['minutes'] for row in good)} minutes would do")
    return min(fitting, key=lambda row: row["minutes"])["technique"]


def _the_nearest(table, target, minutes):
    "The technique that trains fastest among those that reach the target in time. Raises `ValueError` if none does."
    fitting = [row for row in table if row["macro_f1"] >= target and row["minutes"] <= minutes] or table
    return min(fitting, key=lambda row: row["minutes"])["technique"]


def _the_best(table, target, minutes):
    fitting = [row for row in table if row["macro_f1"] >= target and row["minutes"] <= minutes]
    if not fitting: raise ValueError
    return max(fitting, key=lambda row: row["macro_f1"])["technique"]


def _late_as_well(table, target, minutes):
    good = [row for row in table if row["macro_f1"] >= target]
    if not good: raise ValueError
    return min(good, key=lambda row: row["minutes"])["technique"]


def _quality_forgotten(table, target, minutes):
    fitting = [row for row in table if row["minutes"] <= minutes]
    if not fitting: raise ValueError
    return min(fitting, key=lambda row: row["minutes"])["technique"]


def _draw_table(rng):
    minutes, f1 = rng.permutation([1, 2, 4, 8]), rng.permutation([0.5, 0.6, 0.65, 0.7])
    table = [{"technique": name, "macro_f1": float(f), "minutes": int(m)}
             for name, f, m in zip(("probe", "LoRA", "everything", "prefix"), f1, minutes)]
    return table, float(rng.choice([0.55, 0.65, 0.8], p=[0.4, 0.4, 0.2])), int(rng.choice([1, 3, 5]))


def halves_agree(ratings: list[list[float]]) -> float:
    "The share of sentences whose label is the same by the mean of every other rating as by the mean of the rest."
    label_of = lambda rating: 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1
    mean = lambda numbers: sum(numbers) / len(numbers)
    same = [label_of(mean(given[::2])) == label_of(mean(given[1::2])) for given in ratings]   # two groups of raters
    return sum(same) / len(same)


def _with_everyone(ratings):
    label_of = lambda rating: 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1
    mean = lambda numbers: sum(numbers) / len(numbers)
    return sum(label_of(mean(given[::2])) == label_of(mean(given)) for given in ratings) / len(ratings)


def _equal_means(ratings):
    mean = lambda numbers: sum(numbers) / len(numbers)
    return sum(mean(given[::2]) == mean(given[1::2]) for given in ratings) / len(ratings)


def _two_raters(ratings):
    label_of = lambda rating: 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1
    return sum(label_of(given[0]) == label_of(given[1]) for given in ratings) / len(ratings)


def _disagreement(ratings): return 1 - halves_agree(ratings)
def _draw_all_ratings(rng): return (rng.integers(-2, 3, size=(7, 4)).astype(float).tolist(),)


def faster_card() -> dict:
    "The chosen technique for several wishes, on this machine and on one twenty times as fast."
    from dataclasses import replace

    from llmcourse.data import load_data
    from llmcourse.data_card import describe_labelled
    from llmcourse.objectives import REVIEWS
    from llmcourse.planner import Means, make_plan
    from llmcourse.preprocessing import clean
    facts = describe_labelled(clean(load_data("amazon"))[0]["train"])

    def chosen(target, minutes, speed):
        try: return make_plan(facts, replace(REVIEWS, target=target), Means(minutes=minutes, speed=speed)).technique
        except ValueError: return "nothing"
    wishes = [(0.5, 0.5), (0.6, 0.5), (0.7, 0.5), (0.7, 10), (0.9, 10)]                  # target, minutes
    slow, fast = ([chosen(*wish, speed) for wish in wishes] for speed in (1.0, 20.0))
    return {"wishes": wishes, "slow": slow, "fast": fast, "changed": sum(a != b for a, b in zip(slow, fast))}


def _judge_card(answer) -> str:
    "Whether the wishes differ enough, the choices are possible, and the count follows."
    wishes, slow, fast = answer["wishes"], answer["slow"], answer["fast"]
    if not (len(wishes) == len(slow) == len(fast) >= 4):
        return "give at least four wishes, and a choice for each machine"
    known = {"from scratch", "everything", "gently", "linear probe", "prefix", "adapters", "LoRA", "nothing"}
    if odd := {*slow, *fast} - known: return f"{odd.pop()!r} is no technique of the comparison, nor 'nothing'"
    if any(a != "nothing" and b == "nothing" for a, b in zip(slow, fast)):
        return "what fits on the slow machine fits on the fast one as well; are the two exchanged?"
    if answer["changed"] != sum(a != b for a, b in zip(slow, fast)): return "count again how many choices differ"
    if answer["changed"] == 0: return "no wish was close enough to its deadline to change; try fewer minutes"
    if answer["changed"] == len(wishes): return "add a wish that more speed cannot grant, such as a higher target"
    return ""


_CARD = {"wishes": [(0.5, 0.5), (0.6, 0.5), (0.7, 0.5), (0.9, 10)],
         "slow": ["linear probe", "linear probe", "nothing", "nothing"],
         "fast": ["linear probe", "linear probe", "LoRA", "nothing"], "changed": 1}

EXERCISES = [
    Exercise(
        "Half the labels", """
        A model from scratch needed 730 s on this machine: 600 s of pre-training on text without labels, and 130 s of
        learning 2,660 labels. How many minutes does the plan say for half as many labels? Two decimals are enough.
        """, _half_the_labels, kind="predict", tolerance=5e-4,
        hints=("Which of the two parts reads labelled "
               "sentences?", "600 s stay; half of 130 s is 65 s. Then to minutes."),
        mistakes=(Mistake(730 / 2 / 60, "Half of everything: but pre-training reads text without labels, however few "
                                        "labels there are."),
                  Mistake(665.0, "Those are seconds; minutes are asked for."),
                  Mistake((300 + 130) / 60, "The pre-training was halved, and the learning of the labels was not."),
                  Mistake(65 / 60, "The pre-training is missing."))),
    Exercise(
        "To another machine", """
        Write `scaled_seconds(row, sentences, speed)`. `row` holds `seconds` in all and `pretraining_seconds` of them,
        measured with 2,660 labelled sentences. Return the seconds for `sentences` labels on a machine that is `speed`
        times as fast.
        """, scaled_seconds, inputs=_draw_row,
        hints=("Take the two parts apart: pre-training, and the rest.",
               "Only the rest grows with the labels; both shrink with the speed."),
        mistakes=(Mistake(_all_of_it, "The pre-training was scaled with the labels; it reads text without any."),
                  Mistake(_slower, "A faster machine takes longer here: divide by the speed."),
                  Mistake(_forgets_the_machine, "The speed of the machine is not used."),
                  Mistake(_speeds_up_half, "Only the learning of labels became faster; pre-training runs on the same "
                                           "machine."),
                  Mistake(_paid_twice, "`seconds` already holds the pre-training, so it is counted twice."))),
    Exercise(
        "Why not?", """
        A good plan says of each technique what speaks against it. Write `objections(row, limits)`: the names of the
        limits that the row breaks, in the order of `limits`. `macro_f1` is a least value; `memory_mb`, `minutes` and
        `ship_mb` are most values. To equal a limit is allowed, and None is no limit.
        """, objections, inputs=_draw_limits,
        hints=("Leave out the limits that are None "
               "first.", "One of the four must not be too small, three must not be too "
                                                            "large. Compare each in its own direction."),
        mistakes=(Mistake(_one_direction, "It takes a good score for an objection: `macro_f1` must not be too small."),
                  Mistake(_none_is_zero, "A limit that was left out is taken for zero, so nothing fits."),
                  Mistake(_first_alone, "It stops at the first objection; whoever reads the plan needs all of them."),
                  Mistake(_equal_is_broken, "Exactly at the limit is still within it."))),
    Exercise(
        "Refuse, do not bend", """
        `choose` should raise `ValueError` if no technique reaches the target in time. It bends the wish instead. Mend
        it: the message should name the wish that excludes everything.
        """, choose, kind="mend", inputs=_draw_table, rounds=40,
        hints=("What does `or table` do when the list in front of it is empty?",
               "Ask in two steps: who reaches the target? And who of them in time? Raise the error where a list is "
               "empty."),
        mistakes=(Mistake(_the_nearest, "It returns a technique that breaks the wish, and does not say so."),
                  Mistake(_the_best, "It takes the best in time; asked is the fastest that is good enough."),
                  Mistake(_late_as_well, "The deadline is not looked at any more."),
                  Mistake(_quality_forgotten, "The target is not looked at any more."))),
    Exercise(
        "How good can one get?", """
        `ratings` holds a list of ratings for each sentence. Write `halves_agree(ratings)`: the share of sentences
        whose label by the mean of every other rating (`given[::2]`) is the same as by the mean of the rest. A mean of
        0.5 or more is label 2, of -0.5 or less label 0, and label 1 between them.
        """, halves_agree, inputs=_draw_all_ratings,
        hints=("`given[::2]` and `given[1::2]` are two groups of raters without a common member.",
               "Compare labels, not means: two means that differ may give the same label."),
        mistakes=(Mistake(_with_everyone, "The second group contains the first, so they agree too easily."),
                  Mistake(_equal_means, "It asks for equal means; the labels are to be compared."),
                  Mistake(_two_raters, "It compares two single raters; a group answers by its mean."),
                  Mistake(_disagreement, "That is the share on which the two groups differ."))),
    Exercise(
        "A card twenty times as fast", """
        Your company buys a card that is twenty times as fast. Take at least four `wishes`, pairs of target and
        minutes, and ask `make_plan` for each what it chooses with `speed=1` (`slow`) and with `speed=20` (`fast`);
        write `"nothing"` where it refuses. How many choices `changed`? Find a wish that more speed grants, and one
        that it cannot grant.
        """, faster_card, kind="decide", verify=_judge_card, imports="""
        from dataclasses import replace
        from llmcourse.data import load_data
        from llmcourse.data_card import describe_labelled
        from llmcourse.objectives import REVIEWS
        from llmcourse.planner import Means, make_plan
        from llmcourse.preprocessing import clean""",
        stub='answer = {"wishes": [...], "slow": [...], "fast": [...], "changed": ...}',
        hints=("`make_plan(facts, replace(REVIEWS, target=0.7), Means(minutes=0.5, speed=20.0)).technique`, with "
               "`facts` from `describe_labelled`.",
               "Catch `ValueError` for a wish that nothing fits. A target above all measured scores stays out of "
               "reach."),
        mistakes=(Mistake(_CARD | {"wishes": [(0.5, 1)]}, "at least four wishes"),
                  Mistake(_CARD | {"changed": 3}, "count again"),
                  Mistake(_CARD | {"fast": _CARD["slow"], "slow": _CARD["fast"]}, "are the two exchanged"),
                  Mistake(_CARD | {"fast": _CARD["slow"], "changed": 0}, "no wish was close enough"))),
]

QUESTIONS = [
    Question("Why does the planner not scale macro-F1 to your number of labels?",
             ("It was measured at one number only, so there is nothing to scale by.",
              "A plan that invents a figure looks exact and is not. It says instead that less is to be expected."),
             (("Macro-F1 does not depend on the number of labels.", "It does; lesson 33 shows how much."),
              ("Because your sentences may be "
               "longer.", "That matters too, but a scale for labels would still be missing."))),
    Question("Nothing fits, and the planner raises an error. Why not take what comes nearest?",
             ("So that somebody decides which wish to give up.",
              "The error names the wish that excludes everything, and the value at which something would fit."),
             (("Because near misses are always bad "
               "models.", "They may be good; but whether to miss is not the program's choice."),
              ("Because Python functions must raise errors.", "It could return anything; refusing is on purpose."))),
    Question("Half of the raters against the other half agree better than one rater with all others. What follows for "
             "a target?",
             ("A model can beat one rater, and hardly the agreement of two groups.",
              "Means of many raters are steadier than one person. To get beyond, a model would have to agree with a "
              "group better than another group does."),
             (("No model can beat one "
               "rater.", "One rater is noisy; a model that learned from many can be closer to their mean."),
              ("A target should be 1, since labels are correct by definition.",
               "Other raters would have given other labels for some sentences."))),
    Question("The plan is for 200 labelled sentences. Which of its figures should you trust least?",
             ("Macro-F1, which was measured with 2,660.",
              "Seconds and memory are scaled or do not depend on labels; the score is copied from a richer case."),
             (("The megabytes to ship.", "They depend on the technique alone."),
              ("The peak of memory.", "It depends on model and batch, not on how many sentences there are."))),
]
