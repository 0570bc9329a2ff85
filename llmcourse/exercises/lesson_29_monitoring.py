"Monitor."
import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    "The Jensen-Shannon divergence in bits of two rows of counts."
    p, q = p / p.sum(), q / q.sum()                                # shares: windows differ in size
    m = (p + q) / 2
    bits = lambda x: sum(a * np.log2(a / b) for a, b in zip(x, m) if a > 0)        # 0 log 0 counts as 0
    return float((bits(p) + bits(q)) / 2)


def _kl(p, q, middle):
    return sum(a * np.log2(a / b) for a, b in zip(p, middle) if a > 0)


def _one_sided(p, q):
    p, q = p / p.sum(), q / q.sum()
    return float(_kl(p, q, (p + q) / 2))


def _in_nats(p, q): return divergence(p, q) * float(np.log(2))


def _pooled(p, q):
    m = (p + q) / (p.sum() + q.sum())                              # counts pooled: the larger window weighs more
    p, q = p / p.sum(), q / q.sum()
    return float((_kl(p, q, m) + _kl(q, p, m)) / 2)


def _distance(p, q): return float(np.sqrt(divergence(p, q)))


def _draw_counts(rng):
    p, q = rng.integers(0, 30, 5).astype(float), rng.integers(0, 300, 5).astype(float)
    p[int(rng.integers(5))] = 0
    return p + np.eye(5)[0], q + np.eye(5)[1]


def p_value(null: np.ndarray, seen: float) -> float:
    "How often chance strays as far as what was seen: `null` holds divergences of windows without drift."
    return float((1 + (null >= seen).sum()) / (1 + len(null)))     # the window itself is counted among them


def _zero_possible(null, seen):
    "How often chance strays as far as what was seen: `null` holds divergences of windows without drift."
    return float((null >= seen).mean())


def _strictly_more(null, seen): return float((1 + (null > seen).sum()) / (1 + len(null)))
def _wrong_side(null, seen): return float((1 + (null <= seen).sum()) / (1 + len(null)))
def _only_above(null, seen): return float((1 + (null >= seen).sum()) / len(null))


def _draw_null(rng):
    null = rng.gamma(2, 0.01, 25).round(2)
    return null, float(rng.choice(null))


def squared_mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    "The squared maximum mean discrepancy of two sets of vectors (rows), with a Gaussian kernel."
    def kernel(a, b):                                              # (rows of a, rows of b)
        return np.exp(-((a[:, None] - b[None])**2).sum(-1) / (2 * width**2))
    return float(kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean())


def _kernel(a, b, width): return np.exp(-((a[:, None] - b[None])**2).sum(-1) / (2 * width**2))


def _of_means(x, y, width): return float(((x.mean(0) - y.mean(0))**2).sum())


def _cross_once(x, y, width):
    return float(_kernel(x, x, width).mean() + _kernel(y, y, width).mean() - _kernel(x, y, width).mean())


def _not_squared(x, y, width):
    kernel = lambda a, b: np.exp(-np.sqrt(((a[:, None] - b[None])**2).sum(-1)) / (2 * width**2))
    return float(kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean())


def _rooted(x, y, width): return float(np.sqrt(max(0.0, squared_mmd(x, y, width))))
def _draw_vectors(rng): return rng.normal(size=(4, 2)), rng.normal(0.5, 1.5, size=(6, 2)), float(rng.uniform(0.7, 1.4))


def alarm_rates() -> dict:
    "How often a textbook test alarms without drift: for 100 independent labels, and for 20 users with 5 equal ones."
    from scipy.stats import chi2_contingency

    rng, usual, found = np.random.default_rng(0), np.array([0.3, 0.2, 0.5]), {}
    reference = (usual * 3000).astype(int)
    for kind, users, each in (("independent", 100, 1), ("by user", 20, 5)):
        windows = [rng.multinomial(users, usual) * each for _ in range(400)]
        tested = [chi2_contingency([reference, window + 1e-9], correction=False)[1] for window in windows]
        found[kind] = float(np.mean(np.array(tested) < 0.01))
    return found | {"trust": max(found, key=lambda kind: -abs(found[kind] - 0.01))}


def _judge(answer) -> str:
    "Whether the rates are those of windows without drift, and the conclusion follows."
    if answer["independent"] > 0.04:
        return "with independent labels the test should alarm in about 1 % of the windows; draw from the same shares"
    if answer["by user"] < 0.1:
        return "five equal labels of each user make the counts swing far more; multiply the counts of 20 users by five"
    return "" if answer["trust"] == "independent" else "the test keeps its promise in one case only; trust that one"


EXERCISES = [
    Exercise(
        title="Divergence of counts",
        task="Write the Jensen-Shannon divergence of two rows of counts, in bits. The rows may have different sums.",
        solution=divergence,
        imports="import numpy as np",
        mistakes=(
            Mistake(_one_sided, "Only the side of p is taken. The divergence is the mean of both sides, so that the "
                    "order does not matter."),
            Mistake(_in_nats, "That is in nats: the logarithm is to the base 2."),
            Mistake(_pooled, "The middle is the mean of the two *shares*. Pooled counts let the larger window pull it "
                    "to its side."),
            Mistake(_distance, "The root of the divergence is the distance that scipy returns; the divergence is its "
                    "square."),
        ),
        inputs=_draw_counts,
        hints=("First divide each row by its sum; then m is the mean of the two.",
               "Sum `a * log2(a / b)` over the categories where a is above 0, for p and for q against m; take the "
               "mean."),
    ),
    Exercise(
        title="How rare is that?",
        kind="mend",
        task="""The monitor drew windows without drift and kept their divergences (`null`). The function below gives the
p-value of a new window, and sometimes claims that chance *never* strays so far. Mend it.""",
        solution=p_value,
        imports="import numpy as np",
        mistakes=(
            Mistake(_zero_possible, "A p-value of 0 says *never*, and nobody looked that often. Count the window "
                    "itself among the draws."),
            Mistake(_strictly_more, "A draw that strays exactly as far counts too: it is as extreme as what was seen."),
            Mistake(_wrong_side, "That is the share of draws that stray less. A rare window is one that few draws "
                    "reach."),
            Mistake(_only_above, "The window is counted above the line and not below it, so a p-value may exceed 1."),
        ),
        inputs=lambda rng: (lambda null, seen: (null, seen if rng.random() < 0.7 else 9.0))(*_draw_null(rng)),
        hints=("With N draws, how rare can something be at most that you have seen once yourself?",
               "One is added above the line and one below."),
    ),
    Exercise(
        title="Two sets of vectors",
        task="""Write the squared MMD of two sets of vectors with the Gaussian kernel
$k(a, b) = \\exp(-|a - b|^2 / (2 w^2))$: the mean kernel within x, plus that within y, minus twice that between them.
Means are over all pairs, a vector with itself included.""",
        solution=squared_mmd,
        imports="import numpy as np",
        mistakes=(
            Mistake(_of_means, "This compares only the means. Two sets with the same mean and another spread would "
                    "look alike."),
            Mistake(_cross_once, "The pairs between x and y are subtracted twice, or equal sets would not give 0."),
            Mistake(_not_squared, "The kernel takes the *squared* distance."),
            Mistake(_rooted, "That is MMD; its square is asked for."),
        ),
        inputs=_draw_vectors,
        hints=("`x[:, None] - y[None]` has the shape (rows of x, rows of y, dimensions).",
               "`kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()`."),
    ),
    Exercise(
        title="Time series of a metric",
        kind="predict",
        task="""A counter of requests has the labels `path` (7 known addresses, all else counted as `other`) and
`status` (6 occur). Somebody adds the label `user`; there are 20,000 users, and each uses 2 addresses and sees 3
statuses.
How many time series could there be at most before, and how many are there after? Give `[before, after]`.""",
        solution=[48, 120_000],
        mistakes=(
            Mistake([42, 120_000], "The address `other` is a value too."),
            Mistake([13, 20_005], "Series are combinations: values multiply, they do not add."),
            Mistake([48, 20_000], "A user has a series for each pair of address and status that occurs."),
            Mistake([48, 960_000], "Only combinations that occur make a series, and each user has 2 times 3."),
        ),
        hints=("A series exists for each combination of label values.",
               "Before: (7 + 1) addresses times 6 statuses. After: combinations a user, times users."),
    ),
    Exercise(
        title="When to trust the textbook",
        kind="decide",
        task="""Labels have the shares 0.3, 0.2, 0.5, in a reference of 3,000 and in all windows: nothing drifts. Draw
400 windows of 100 *independent* labels, and 400 windows of 20 users who each give 5 *equal* labels. In which share of
them does the
chi-squared test against the reference have p < 0.01? Return both shares under `"independent"` and `"by user"`, and
which of the two to `"trust"` the test with.""",
        stub='answer = {"independent": ..., "by user": ..., "trust": ...}',
        solution=alarm_rates,
        imports="import numpy as np",
        verify=_judge,
        mistakes=(
            Mistake({"independent": 0.2, "by user": 0.2, "trust": "independent"}, "draw from the same shares"),
            Mistake({"independent": 0.01, "by user": 0.01, "trust": "independent"},
                    "make the counts swing far more"),
            Mistake({"independent": 0.01, "by user": 0.3, "trust": "by user"}, "keeps its promise in one case only"),
        ),
        hints=("`rng.multinomial(20, [0.3, 0.2, 0.5]) * 5` is one window of the second kind.",
               "`scipy.stats.chi2_contingency([reference, window], correction=False)[1]` is the p-value."),
    ),
]
QUESTIONS = [
    Question("A view has a limit of 1 % and alarms on a quiet day. What does that show?",
             right=("Little: one quiet window in a hundred alarms by design",
                    "A limit is a rate of false alarms. Look at the window, and at whether the next ones alarm too."),
             wrong=(("The reference was drawn wrongly",
                     "A right reference gives such alarms too, at the rate that was chosen."),
                    ("The model became worse",
                     "An alarm says that the traffic is unusual. What it did to the answers only labels can say."))),
    Question("Why is a view with no false alarms in a year not yet a good view?",
             right=("It may never alarm at all; its power against a real change must be measured too",
                    "A view that sees nothing makes no false alarms. Rates of both kinds belong together."),
             wrong=(("Its limit was surely set to 0",
                     "Perhaps, or perhaps the year was quiet. The figure alone does not say."),
                    ("False alarms are needed to keep people attentive",
                     "They make people ignore alarms. What is missing is a test of what the view can see."))),
    Question("Recall of negatives among answers with feedback fell from 0.8 to 0.6. What must be looked at first?",
             right=("How many answers that is, and who gives feedback",
                    "With few answers the interval is wide, and people who complain are no random sample."),
             wrong=(("The temperature of the model", "First one must know whether the fall is more than chance."),
                    ("The latency histogram", "It says how long answers took, not whether they were right."))),
    Question("Two sets of embeddings have the same mean. Can MMD with a Gaussian kernel tell them apart?",
             right=("Yes: it compares the whole distributions, such as their spread",
                    "With a Gaussian kernel MMD is 0 only for equal distributions."),
             wrong=(("No: MMD is the distance of the means",
                     "Of the means of the *features* of a kernel, which hold more than the mean of the vectors."),
                    ("Only if the vectors have length 1", "The length is no condition; the kernel compares any "
                     "vectors."))),
]
