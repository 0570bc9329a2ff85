"Decide at any moment."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def running_p(difference: np.ndarray, error: np.ndarray, tau: float) -> np.ndarray:
    "The always-valid p-value after each look, from the differences so far and their standard errors, both (looks,)."
    square = error**2                                                              # (looks,)
    euro = np.sqrt(square / (square + tau**2)) * np.exp(tau**2 * difference**2 / (2 * square * (square + tau**2)))
    return np.minimum(1, 1 / np.maximum.accumulate(euro))                          # what once was reached stays


def _euro(difference, error, tau):
    square = error**2
    return np.sqrt(square / (square + tau**2)) * np.exp(tau**2 * difference**2 / (2 * square * (square + tau**2)))


def _now_only(difference, error, tau): return np.minimum(1, 1 / _euro(difference, error, tau))
def _beyond_one(difference, error, tau): return 1 / np.maximum.accumulate(_euro(difference, error, tau))


def _no_root(difference, error, tau):
    euro = _euro(difference, error, tau) * np.sqrt((error**2 + tau**2) / error**2)
    return np.minimum(1, 1 / np.maximum.accumulate(euro))


def _final(difference, error, tau):
    return np.full(len(difference), min(1.0, float(1 / _euro(difference, error, tau).max())))


def _draw_path(rng):
    n = np.arange(20, 20 + 40 * 12, 40)
    steps = rng.normal(rng.choice([0.03, 0.15]), 0.4 / np.sqrt(40), len(n)) * 40
    return (np.cumsum(steps) / np.arange(40, 40 * 12 + 1, 40)).round(4), (0.55 / np.sqrt(n)).round(4), 0.1


def adjust(values: np.ndarray, before: np.ndarray, in_b: np.ndarray) -> np.ndarray:
    "The values of this month less what last month explains, with the slope within the sides."
    center = lambda x: x - np.where(in_b, x[in_b].mean(), x[~in_b].mean())         # around each side's own mean
    slope = (center(before) * center(values)).sum() / (center(before)**2).sum()
    return values - slope * (before - before.mean())


def _slope_of_all(values, before, in_b):
    "The values of this month less what last month explains, with the slope within the sides."
    center = lambda x: x - x.mean()
    slope = (center(before) * center(values)).sum() / (center(before)**2).sum()
    return values - slope * (before - before.mean())


def _slope(values, before, in_b):
    center = lambda x: x - np.where(in_b, x[in_b].mean(), x[~in_b].mean())
    return (center(before) * center(values)).sum() / (center(before)**2).sum()


def _not_centred(values, before, in_b): return values - _slope(values, before, in_b) * before
def _just_subtracted(values, before, in_b): return values - (before - before.mean())


def _side_by_side(values, before, in_b):
    middle = np.where(in_b, before[in_b].mean(), before[~in_b].mean())
    return values - _slope(values, before, in_b) * (before - middle)


def _turned_slope(values, before, in_b): return values - _slope(before, values, in_b) * (before - before.mean())


def _draw_months(rng):
    in_b, before = np.arange(10) % 2 == 1, rng.uniform(0, 1, 10).round(2)
    return (0.7 * before + 0.4 * in_b + rng.normal(0, 0.1, 10)).round(2), before, in_b


def choose_tau() -> dict:
    "For three values of tau: how often a difference is found where there is none, and where it is 0.1."
    from llmcourse.sequential import evidence

    rng, sizes = np.random.default_rng(0), np.arange(20, 401, 4)                   # users a side at each look
    error = 0.4 * np.sqrt(2 / sizes)                                               # users differ by 0.4
    answer = {"false": [], "found": []}
    for truth, name in ((0.0, "false"), (0.1, "found")):
        steps = rng.normal(truth, 0.4 * np.sqrt(2), (1000, 400))                   # B minus A for each pair of users
        d = (np.cumsum(steps, 1) / np.arange(1, 401))[:, sizes - 1]                # (experiments, looks)
        for tau in (0.005, 0.1, 5.0): answer[name].append(float((evidence(d, error, tau) >= 20).any(1).mean()))
    return answer | {"tau": 0.1, "does a bad tau break the promise": False}


def _judge_tau(answer) -> str:
    "Whether the shares are those of the three values, and the choices follow."
    false, found = answer["false"], answer["found"]
    if not all(isinstance(x, list) and len(x) == 3 for x in (false, found)): return "give three shares each"
    if max(false) > 0.08: return "more than 5 % false: is the evidence compared with 20, and the error that of a mean?"
    if max(found) - min(found) < 0.1: return "the three values should find a difference of 0.1 very unequally often"
    if answer["tau"] != (0.005, 0.1, 5.0)[int(np.argmax(found))]: return "in your own runs another tau finds more"
    if answer["does a bad tau break the promise"]: return "look at your false finds: which of them is above 5 %?"
    return ""


EXERCISES = [
    Exercise(
        "Two failures of three", """
        The guard allows 2 % of failures and bets on 20 %. The first three answers of B: failed, ok, failed. What has
        one euro become, rounded to one decimal? And does a guard with `alpha=0.01` stop B? Answer
        `[euro, True or False]`.
        """, [81.6, False], kind="predict", stub="answer = [..., ...]", tolerance=1e-3,
        hints=("A failure multiplies by 0.20 / 0.02, and a success by 0.80 / 0.98.",
               "10 times 0.816 times 10. To stop with alpha 0.01, the euro must have become 1 / 0.01."),
        mistakes=(Mistake([100.0, True], "The answer that went well counts too: it multiplies by 0.80 / 0.98, which is "
                                         "below 1."),
                  Mistake([81.6, True], "The euro is right. To stop with alpha 0.01 it must reach 1 / 0.01 = 100."),
                  Mistake([20.8, False], "The factors are multiplied, not added: what was won is staked again."),
                  Mistake([122.5, True], "A success multiplies by 0.80 / 0.98; that fraction is turned."))),
    Exercise(
        "A p-value that may be looked at", """
        Write `running_p(difference, error, tau)`: for each look, one divided by the *most* that the euro has been worth
        up to then, and at most 1. The euro is $\\sqrt{e^2 / (e^2 + \\tau^2)}\\,\\exp(\\tau^2 d^2 / (2 e^2 (e^2 +
        \\tau^2)))$.
        """, running_p, imports="import numpy as np", inputs=_draw_path, rounds=30,
        hints=("First compute the euro at each look; all three inputs broadcast.",
               "`np.maximum.accumulate` keeps the largest value so far. A p-value is at most 1: `np.minimum(1, ...)`."),
        mistakes=(Mistake(_now_only, "The euro may fall again after a good moment. The promise is about the largest "
                                     "value so far, so p never rises."),
                  Mistake(_beyond_one, "While the euro is below 1, one divided by it is above 1; a p-value is at most "
                                       "1."),
                  Mistake(_no_root, "The square root is missing. It is what spreading the euro over many differences "
                                    "costs."),
                  Mistake(_final, "That is the p-value of the last look everywhere; at the first look nobody knew the "
                                  "rest."))),
    Exercise(
        "The slope that hides the effect", """
        `adjust` should subtract from this month's values what last month's explain. If B changes the values a lot, its
        slope is off. Mend it.
        """, adjust, kind="mend", imports="import numpy as np", inputs=_draw_months,
        hints=("The slope should say how users of one and the same version differ. Around which mean must it look?",
               "For the slope, centre both months around the mean of each user's own side. Keep `before - "
               "before.mean()` in the last line."),
        mistakes=(Mistake(_slope_of_all, "The slope is taken over both sides together, so a part of what B changed is "
                                         "taken for a difference between users."),
                  Mistake(_not_centred, "Nothing is added back: the mean of all values has moved."),
                  Mistake(_just_subtracted, "That takes the slope for 1. If the months resemble each other less, it "
                                            "adds noise instead of removing it."),
                  Mistake(_side_by_side, "Each side is adjusted to its own past, so the difference stays what it was: "
                                         "what chance dealt unequally is not removed."),
                  Mistake(_turned_slope, "The slope divides by the wrong variance: it explains the past by the "
                                         "present."))),
    Exercise(
        "Which tau?", """
        Users differ by a standard deviation of 0.4. From 20 to 400 users a side, look after every fourth. For
        `tau` 0.005, 0.1 and 5, in at least 500 experiments each, with no difference and with a difference of 0.1: how
        often is the evidence 20 or more at some look? Give the shares `false` and `found`, the `tau` you take, and
        whether a bad tau breaks the promise of 5 %.
        """, choose_tau, kind="decide", verify=_judge_tau,
        imports="import numpy as np\nfrom llmcourse.sequential import evidence",
        stub='answer = {"false": [..., ..., ...], "found": [..., ..., ...], "tau": ...,\n'
             '          "does a bad tau break the promise": ...}',
        hints=("The standard error with n users a side is `0.4 * np.sqrt(2 / n)`. Draw B minus A for each pair of "
               "users and take running means.",
               "`(evidence(d, error, tau) >= 20).any(1).mean()` is a share of experiments, with `d` of shape "
               "(experiments, looks)."),
        mistakes=(Mistake({"false": [0.3, 0.3, 0.3], "found": [0.5, 0.9, 0.6], "tau": 0.1,
                           "does a bad tau break the promise": False}, "more than 5 % false"),
                  Mistake({"false": [0.0, 0.02, 0.0], "found": [0.9, 0.9, 0.9], "tau": 0.1,
                           "does a bad tau break the promise": False}, "very unequally often"),
                  Mistake({"false": [0.0, 0.02, 0.0], "found": [0.0, 0.7, 0.4], "tau": 5.0,
                           "does a bad tau break the promise": False}, "another tau finds more"),
                  Mistake({"false": [0.0, 0.02, 0.0], "found": [0.0, 0.7, 0.4], "tau": 0.1,
                           "does a bad tau break the promise": True}, "which of them is above 5 %"))),
]

QUESTIONS = [
    Question("Why may one look at the euro at any time, and not at a usual p-value?",
             ("A fair game rarely makes anybody rich, at any moment.",
              "Ville's inequality is about the largest value of the whole path. A usual p-value promises something for "
              "one moment only."),
             (("The euro is computed from more data than a p-value.",
               "Both are computed from the same answers. They differ in what they promise."),
              ("The euro is less sensitive, so chance moves it less.",
               "It swings as much. A usual test made less sensitive would still be crossed, only later."))),
    Question("A confidence sequence is wider than a usual interval on the same data. What does the width buy?",
             ("It holds the truth at all looks together.",
              "The usual interval holds it in 95 % of experiments at one moment that was fixed beforehand."),
             (("It holds even if users are counted as answers.",
               "No: with a standard error that is too small, it is too narrow as well."),
              ("It finds smaller differences with the same users.",
               "The other way round: with the same users it finds fewer."))),
    Question("The guard-rail looks at 1 % for harm and not for gain. Why is a candidate that is better not stopped and "
             "deployed by it?",
             ("Harm is urgent; a gain can wait for the planned test.",
              "Waiting costs users only if the candidate is worse. The decision for it has its own test and its own "
              "5 %."),
             (("A guard-rail cannot see differences in favour of B.",
               "The same interval shows them; it is only not acted upon."),
              ("Deploying on it would double the false alarms to 2 %.",
               "The number would be small. The point is which of the two errors is urgent."))),
    Question("Users' scores last month correlate by 0.5 with this month's. How much variance does CUPED remove?",
             ("A quarter: the square of the correlation.",
              "What a straight line explains is the square of the correlation, 0.25."),
             (("Half: as much as the correlation says.",
               "The correlation is about standard deviations; the variance that is explained is its square."),
              ("None: a correlation of 0.5 is too weak for it.",
               "Any correlation removes some. A quarter less variance is a quarter fewer users."))),
]
