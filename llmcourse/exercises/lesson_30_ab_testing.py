"Test versions against each other."
import math

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def exact_p(in_b: int, users: int, share: float) -> float:
    "The two-sided exact p-value of `in_b` of `users`, where each user meets B with probability `share`."
    chances = [math.comb(users, k) * share**k * (1 - share)**(users - k) for k in range(users + 1)]
    return sum(p for p in chances if p <= chances[in_b] * (1 + 1e-9))   # what is no more likely than what came


def _chances(users, share):
    return [math.comb(users, k) * share**k * (1 - share)**(users - k) for k in range(users + 1)]


def _upper_tail(in_b, users, share): return sum(_chances(users, share)[in_b:])
def _only_this(in_b, users, share): return _chances(users, share)[in_b]


def _twice(in_b, users, share):
    p = _chances(users, share)
    return min(1.0, 2 * min(sum(p[:in_b + 1]), sum(p[in_b:])))


def _by_chi(in_b, users, share):
    return math.erfc(abs(in_b - users * share) / math.sqrt(2 * users * share * (1 - share)))


def _draw_users(rng):
    users, share = int(rng.integers(12, 40)), float(rng.choice([0.2, 0.3, 0.6, 0.7]))
    spread = math.sqrt(users * share * (1 - share))
    in_b = round(users * share + float(rng.choice([-1.6, 1.3, 1.8])) * spread)
    return min(max(in_b, 0), users), users, share


def words_that_count(words: list, planned: int) -> int:
    "How many words of feedback, each (variant, user), count: up to the one with which A and B had `planned` users."
    users = {"A": set(), "B": set()}
    for number, (variant, user) in enumerate(words, 1):
        users[variant].add(user)
        if min(len(met) for met in users.values()) >= planned: return number
    return len(words)                                        # not complete: all count so far


def _words_not_users(words, planned):
    "How many words of feedback, each (variant, user), count: up to the one with which A and B had `planned` users."
    counts = {"A": 0, "B": 0}
    for number, (variant, user) in enumerate(words, 1):
        counts[variant] += 1
        if min(counts.values()) >= planned: return number
    return len(words)


def _either_side(words, planned):
    users = {"A": set(), "B": set()}
    for number, (variant, user) in enumerate(words, 1):
        users[variant].add(user)
        if max(len(met) for met in users.values()) >= planned: return number
    return len(words)


def _both_together(words, planned):
    users = set()
    for number, word in enumerate(words, 1):
        users.add(word)
        if len(users) >= 2 * planned: return number
    return len(words)


def _before_the_last(words, planned): return words_that_count(words, planned) - 1
def _never_closed(words, planned): return len(words)


def _draw_words(rng):
    side = rng.integers(2, size=12)
    return [("AB"[side[u]], f"user {u}") for u in rng.integers(12, size=60)], 3


def users_of_b(p_a: float, p_b: float, ratio: float) -> int:
    "Users that B needs, one answer each, for 5 % false alarms and 80 % power, if A has `ratio` times as many."
    pooled = (ratio * p_a + p_b) / (ratio + 1)                              # A weighs more: it has more users
    null = 1.959964 * math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    alternative = 0.841621 * math.sqrt(p_a * (1 - p_a) / ratio + p_b * (1 - p_b))
    return math.ceil(((null + alternative) / (p_b - p_a))**2)


def _like_halves(p_a, p_b, ratio): return users_of_b(p_a, p_b, 1)
def _turned_ratio(p_a, p_b, ratio): return users_of_b(p_a, p_b, 1 / ratio)
def _shared_total(p_a, p_b, ratio): return math.ceil(2 * users_of_b(p_a, p_b, 1) / (1 + ratio))
def _without_power(p_a, p_b, ratio): return math.ceil(_first_part(p_a, p_b, ratio))


def _first_part(p_a, p_b, ratio):
    pooled = (ratio * p_a + p_b) / (ratio + 1)
    return (1.959964 / (p_b - p_a))**2 * pooled * (1 - pooled) * (1 + 1 / ratio)


def _draw_plan(rng):
    p_a = round(rng.uniform(0.2, 0.5), 2)
    return p_a, round(p_a + rng.uniform(0.1, 0.2), 2), float(rng.choice([4.0, 9.0, 19.0]))


def power_of_shares() -> dict:
    "How often 300 users show 0.35 against 0.55, if B has a half or a tenth of them, in 2,000 experiments each."
    from llmcourse.uncertainty import z_test

    rng, found = np.random.default_rng(0), {}
    for name, in_b in (("half", 150), ("tenth", 30)):
        a, b = rng.binomial(300 - in_b, 0.35, 2000), rng.binomial(in_b, 0.55, 2000)
        found[name] = float(np.mean([z_test(x, 300 - in_b, y, in_b)[1] < 0.05 for x, y in zip(a, b)]))
    return found | {"for a quick answer": "half", "for a version that may do harm": "tenth"}


def _judge_power(answer) -> str:
    "Whether the powers are those of the two plans, and the choices follow."
    half, tenth = answer["half"], answer["tenth"]
    if not all(isinstance(x, float | int) and 0 <= x <= 1 for x in (half, tenth)):
        return "give the two powers as shares from 0 to 1"
    if abs(half - tenth) < 0.1: return "with a tenth of the users in B the power should fall a lot; had B 30 of 300?"
    if abs(half - 0.94) > 0.06: return "150 users a side find this difference in about 19 of 20 experiments"
    if answer["for a quick answer"] != "half": return "the larger power needs fewer users for the same certainty"
    if answer["for a version that may do harm"] != "tenth":
        return "if it does harm, the share decides how many people it harms before you know"
    return ""


EXERCISES = [
    Exercise(
        "Half-way up the ramp", """
        An experiment has the full shares `{"B": 0.2, "C": 0.3}` and stands at `ramp=0.5`. What do the users at the
        positions 0.05, 0.15, 0.25 and 0.40 get? Answer with four letters.
        """, ["B", "A", "C", "A"], kind="predict", stub="answer = [..., ..., ..., ...]",
        hints=("B owns the line from 0 to 0.2 and C the line from 0.2 to 0.5, whatever the ramp is.",
               "With the ramp at 0.5, the front half of each segment is switched on: 0 to 0.1, and 0.2 to 0.35."),
        mistakes=(Mistake(["B", "C", "A", "A"], "That lays the switched-on parts side by side. When the ramp grows, B "
                                                "would take the place of C; each keeps its own segment."),
                  Mistake(["B", "B", "C", "C"], "These are the variants at the full shares. Half of each segment is "
                                                "still with A."),
                  Mistake(["A", "B", "A", "C"], "The front of each segment is switched on first, not its end."),
                  Mistake(["B", "A", "A", "A"], "C has a share too, and its segment begins at 0.2."))),
    Exercise(
        "An exact p-value", """
        Write `exact_p(in_b, users, share)`: the probability of all counts that are no more likely than `in_b`, if each
        of `users` meets B with probability `share`.
        """, exact_p, imports="import math", inputs=_draw_users,
        hints=("The probability of k users in B is `math.comb(users, k) * share**k * (1 - share)**(users - k)`.",
               "Make the list for k from 0 to `users`. Add up those that are at most as large as the entry of `in_b`; "
               "allow for rounding with a factor such as 1 + 1e-9."),
        mistakes=(Mistake(_upper_tail, "That adds up `in_b` and more. Too few users in B are as suspicious as too "
                                       "many."),
                  Mistake(_only_this, "That is the probability of this very count. With many users every count is "
                                      "unlikely; add those that are no more likely."),
                  Mistake(_twice, "Twice the smaller tail is another test. The binomial is lopsided, so the two tails "
                                  "do not match; go by probability."),
                  Mistake(_by_chi, "That is chi-squared, an approximation by the normal curve. The counts are small "
                                   "enough to add up the true probabilities."))),
    Exercise(
        "When are the data closed?", """
        The plan is complete with the first word of feedback with which *both* variants had `planned` users.
        `words_that_count` closes too early. Mend it.
        """, words_that_count, kind="mend", inputs=_draw_words,
        hints=("A user who says three things fills three places of the plan. Which places were planned?",
               "Keep a set of users for each variant, and close when the smaller set has `planned` members."),
        mistakes=(Mistake(_words_not_users, "Words are counted, and users were planned. Somebody who talks a lot "
                                            "closes the experiment."),
                  Mistake(_either_side, "It closes when one side is full. The other side has fewer users than were "
                                        "planned."),
                  Mistake(_both_together, "It closes when both sides together have twice the plan, however they are "
                                          "divided."),
                  Mistake(_before_the_last, "The word that completes the plan counts too; yours is one too few."),
                  Mistake(_never_closed, "It never closes, so each new word changes the result that people look "
                                         "at."))),
    Exercise(
        "A small share for the candidate", """
        Write `users_of_b(p_a, p_b, ratio)`: how many users B needs if A has `ratio` times as many, each with one
        answer, rounded up. For equal sides, lesson 2 has $n = ((1.959964\\sqrt{2\\bar p(1-\\bar p)} +
        0.841621\\sqrt{p_a(1-p_a) + p_b(1-p_b)}) / (p_b - p_a))^2$, where $\\bar p$ is the share of all answers
        together. Which variances become smaller when A has more users?
        """, users_of_b, imports="import math", inputs=_draw_plan,
        hints=("With n users in B and ratio · n in A, the variance of a difference is p(1-p)/n + p(1-p)/(ratio · n).",
               "So 2 becomes 1 + 1/ratio, p_a(1 - p_a) is divided by ratio, and the mean share weighs A by ratio: "
               "(ratio * p_a + p_b) / (ratio + 1)."),
        mistakes=(Mistake(_like_halves, "That is the number for equal sides. B gains from an A that is known better."),
                  Mistake(_turned_ratio, "The ratio is turned: here B would be the side with more users."),
                  Mistake(_shared_total, "That divides the users of two equal sides in another way. The total must "
                                         "grow, since the smaller side limits what is known."),
                  Mistake(_without_power, "Without the second term the power is one half: a difference of just this "
                                          "size is missed every second time."))),
    Exercise(
        "A half or a tenth?", """
        300 users come, with one answer each; A is right in 0.35 of the cases and B in 0.55. Play at least 1,000
        experiments with `half` of the users in B and as many with a `tenth`, and give the share in which `z_test` has
        p < 0.05. Which division do you take "for a quick answer", and which "for a version that may do harm"?
        """, power_of_shares, kind="decide", verify=_judge_power,
        imports="import numpy as np\nfrom llmcourse.uncertainty import z_test",
        stub='answer = {"half": ..., "tenth": ..., "for a quick answer": ..., "for a version that may do harm": ...}',
        hints=("`rng.binomial(270, 0.35, 2000)` draws the right answers of A's 270 users in 2,000 experiments.",
               "`z_test(right_a, 270, right_b, 30)[1]` is the p-value. The rest is what each division risks."),
        mistakes=(Mistake({"half": 0.94, "tenth": 0.94, "for a quick answer": "half",
                           "for a version that may do harm": "tenth"}, "should fall a lot"),
                  Mistake({"half": 0.7, "tenth": 0.5, "for a quick answer": "half",
                           "for a version that may do harm": "tenth"}, "about 19 of 20"),
                  Mistake({"half": 0.94, "tenth": 0.55, "for a quick answer": "tenth",
                           "for a version that may do harm": "tenth"}, "the larger power"),
                  Mistake({"half": 0.94, "tenth": 0.55, "for a quick answer": "half",
                           "for a version that may do harm": "half"}, "how many people it harms"))),
]

QUESTIONS = [
    Question("Why does the hash of a user's id get the name of the experiment as its salt?",
             ("So that the next experiment divides the users anew.",
              "Without it the same people would meet every candidate, and what one experiment did to them would show "
              "in the next."),
             (("So that nobody can find out the user's id.",
               "The division needs no secret. What is stored of a user is hashed with a key, which is another matter."),
              ("So that the shares come out exactly as planned.",
               "Shares come out as planned up to chance, with any salt."))),
    Question("B was meant to get half of the users and got 46 % of 20,000. What do you do with the result?",
             ("Nothing, before it is known where users got lost.",
              "Chance does not divide 20,000 so. If slow answers are lost in B, those who are left are no fair "
              "sample."),
             (("Weight the sides so that both count as halves.",
               "Weights mend the numbers and not the loss: the lost users may be just those with the bad answers."),
              ("Use it: each side has more than enough users.",
               "More users make a biased comparison more certain, not less biased."))),
    Question("A dashboard tests the division of users after every user, by an exact test at 0.001. Is one alarm in a "
             "thousand healthy experiments right?",
             ("No: exact is for one look, and here are thousands.",
              "Each look has its own chance to alarm. The bet against the plan holds over all looks together."),
             (("Yes: exact tests keep their promise by definition.",
               "They keep it at each look. The promise over all looks together is another one."),
              ("No: exact tests alarm too seldom with few users.",
               "At one look they do alarm a little less often than promised. Over many looks they alarm more often."))),
    Question("Twelve complaints of one user were found and none of another's. Why is that not 12 of 24?",
             ("Two users were assigned, so two things were drawn.",
              "The answers of one user resemble each other. The standard error must be made of users."),
             (("Because the median of the two users is not one half.",
               "The share is 12 of 24 indeed. What changes is how sure we may be of it."),
              ("Because a user with no hits must be left out.",
               "Leaving out whom the model failed would make it look better than it is."))),
]
