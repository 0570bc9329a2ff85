"Guess ahead."
from llmcourse.practice import Exercise, Mistake, Question


def written(guesses: list[int], likeliest: list[int]) -> list[int]:
    "What one call writes, greedily: `likeliest[i]` is the target's token before guess i; it has one more at the end."
    for i, guess in enumerate(guesses):
        if guess != likeliest[i]: return [*guesses[:i], likeliest[i]]      # the first wrong guess is replaced
    return [*guesses, likeliest[-1]]                                       # all were right: one more


def _no_bonus(guesses, likeliest):
    right = next((i for i, guess in enumerate(guesses) if guess != likeliest[i]), len(guesses))
    return guesses[:right]


def _goes_on(guesses, likeliest): return list(likeliest)


def _keeps_wrong(guesses, likeliest):
    wrong = next((i for i, guess in enumerate(guesses) if guess != likeliest[i]), None)
    return [*guesses, likeliest[-1]] if wrong is None else guesses[:wrong + 1]


def _all_or_none(guesses, likeliest):
    return [*guesses, likeliest[-1]] if guesses == likeliest[:-1] else likeliest[:1]


def _draw_guesses(rng):
    likeliest = [int(n) for n in rng.integers(0, 9, 6)]
    wrong = int(rng.integers(1, 5))
    guesses = likeliest[:-1]
    guesses[wrong] = guesses[wrong] + 10
    return (guesses if rng.random() < 0.75 else likeliest[:-1]), likeliest


def after_rejection(p: list[float], q: list[float]) -> list[float]:
    "The chances of each word when a guess was rejected: `p` are the target's bets, `q` the draft's."
    missing = [max(0.0, a - b) for a, b in zip(p, q)]
    return [x / sum(missing) for x in missing]


def _from_target(p, q):
    "The chances of each word when a guess was rejected: `p` are the target's bets, `q` the draft's."
    return [a / sum(p) for a in p]


def _any_difference(p, q):
    gap = [abs(a - b) for a, b in zip(p, q)]
    return [x / sum(gap) for x in gap]


def _not_one(p, q): return [max(0.0, a - b) for a, b in zip(p, q)]


def _turned(p, q):
    missing = [max(0.0, b - a) for a, b in zip(p, q)]
    return [x / sum(missing) for x in missing]


def _draw_bets(rng):
    p, q = rng.random(5) + 0.05, rng.random(5) + 0.05
    return (p / p.sum()).tolist(), (q / q.sum()).tolist()


def look_up(ids: list[int], n: int, most: int) -> list[int]:
    "Up to `most` tokens that followed the latest earlier place with the same last `n` tokens; none if there is none."
    for start in range(len(ids) - n - 1, -1, -1):                          # the latest first, but not the end itself
        if ids[start:start + n] == ids[-n:]: return ids[start + n:start + n + most]
    return []


def _earliest(ids, n, most):
    for start in range(len(ids) - n):
        if ids[start:start + n] == ids[-n:]: return ids[start + n:start + n + most]
    return []


def _repeats_the_end(ids, n, most):
    for start in range(len(ids) - n - 1, -1, -1):
        if ids[start:start + n] == ids[-n:]: return ids[start:start + most]
    return []


def _finds_itself(ids, n, most):
    for start in range(len(ids) - n, -1, -1):
        if ids[start:start + n] == ids[-n:]: return ids[start + n:start + n + most]
    return []


def _last_token_only(ids, n, most): return look_up(ids, 1, most)


def _draw_text(rng):
    end = [int(t) for t in rng.integers(0, 9, 2)]
    odd = [int(t) for t in rng.integers(10, 20, 9)]
    return [*end, *odd[:3], *end, *odd[3:7], end[-1], odd[7], *end], 2, 3


EXERCISES = [
    Exercise(
        "Kept and drawn again", """
        The target bets 0.6, 0.3 and 0.1 on three words, the draft 0.2, 0.3 and 0.5. Which share of its guesses is kept?
        And when one is rejected, with which chance is the *first* word written instead? Answer as a pair
        `(kept, first word)`.
        """, (0.6, 1.0), kind="predict", stub="answer = (..., ...)",
        hints=("A word is kept in min(p, q) of all cases.",
               "The missing part is the target's bet less the draft's, where that is above 0. For which words is it?"),
        mistakes=(Mistake((0.4, 1.0), "0.4 is the share that is rejected. Kept is the sum of the smaller bets."),
                  Mistake((0.6, 0.6), "0.6 is what the target bets. A third of that was kept already; only what is "
                                      "missing may be drawn now."),
                  Mistake((1.0, 1.0), "A guess of the third word is kept with chance 0.1 / 0.5 only."),
                  Mistake((0.6, 0.4), "0.4 is what the first word lacks. Nothing else lacks anything, so all of the "
                                      "second draw goes to it."))),
    Exercise(
        "What one call writes", """
        Greedy. The draft gives `guesses`; one call of the target tells at each place the token it finds likeliest:
        `likeliest[i]` at the place of guess i, and one more behind the last. Write `written(guesses, likeliest)`: the
        tokens that this call adds to the text.
        """, written, inputs=_draw_guesses,
        hints=("Go from the left. What happens at the first guess that is not the likeliest token?",
               "The rejected guess is replaced by the target's token, and the rest is dropped. If none is rejected, "
               "the last of `likeliest` is added."),
        mistakes=(Mistake(_no_bonus, "A call always writes one token of the target's own: in place of the first wrong "
                                     "guess, or behind the last right one."),
                  Mistake(_goes_on, "Behind a wrong guess the target has read a wrong beginning. Its bets there are "
                                    "worth nothing."),
                  Mistake(_keeps_wrong, "It writes the wrong guess itself. The target's token takes its place."),
                  Mistake(_all_or_none, "Guesses before the first wrong one are right, and are kept."))),
    Exercise(
        "The second draw", """
        When a guess is rejected, another word is drawn. With this function the texts are not those of the target: words
        that the draft likes come too often. Mend it.
        """, after_rejection, kind="mend", inputs=_draw_bets,
        hints=("Part of the target's bets has been paid already, by guesses that were kept.",
               "What is left of each bet is `max(0, p - q)`. Make that add up to 1."),
        mistakes=(Mistake(_from_target, "It draws from the target's bets. Words that the draft guesses had their share "
                                        "when guesses were kept, and get it a second time."),
                  Mistake(_any_difference, "Where the draft bets more than the target, nothing is missing: that counts "
                                           "as 0, not as a positive number."),
                  Mistake(_not_one, "Chances add up to 1; these add up to the share of rejections."),
                  Mistake(_turned, "It draws the words that came too often. Which difference is what is missing?"))),
    Exercise(
        "Look it up", """
        Write `look_up(ids, n, most)`: find the latest earlier place where the last `n` tokens stood, and give up to
        `most` tokens that followed. If there is none, give an empty list.
        """, look_up, inputs=_draw_text,
        hints=("Compare `ids[start:start + n]` with `ids[-n:]`, from the right to the left.",
               "The last n tokens are equal to themselves; begin one place further left."),
        mistakes=(Mistake(_earliest, "This is the first place. The latest is nearer to what is being written now."),
                  Mistake(_repeats_the_end, "It gives the tokens that were looked for. What *followed* them is the "
                                            "guess."),
                  Mistake(_finds_itself, "It finds the end of the text itself, behind which nothing stands yet."),
                  Mistake(_last_token_only, "One equal token is a weak sign; all `n` must be equal."))),
    Exercise(
        "How far ahead?", """
        Three drafts. `A` is kept with chance 0.8 and costs 0.05 calls a guess, `B` 0.6 and 0.2, `C` 0.4 and 0.5. For
        each, how many guesses at a time, from 0 to 10, are the fastest by the formula? 0 means: do not guess at all.
        """, {"A": 8, "B": 2, "C": 0}, kind="decide",
        imports="from llmcourse.speculation import expected_speedup", stub="""
        expected_speedup(0.8, 4, 0.05)     # acceptance, guesses, cost of a guess in calls

        answer = {"A": ..., "B": ..., "C": ...}""",
        hints=("Compute `expected_speedup` for 0 to 10 guesses, and take the largest. With 0 guesses it is 1.",
               "`max(range(11), key=lambda g: expected_speedup(0.8, g, 0.05))`"),
        mistakes=(Mistake({"A": 10, "B": 10, "C": 10}, "More guesses write more tokens a call, and cost more. Look at "
                                                       "the quotient."),
                  Mistake({"A": 8, "B": 2, "C": 1}, "For C even one guess gives 1.4 tokens for 1.5 calls: slower than "
                                                    "none."),
                  Mistake({"A": 4, "B": 4, "C": 4}, "Four is what the lesson used. The best number depends on "
                                                    "acceptance and cost."))),
]

QUESTIONS = [
    Question("The draft guesses badly: one guess in ten is kept. What becomes of the text?",
             ("It stays as it is; only the time grows.",
              "Whoever guesses, the target's distribution comes out. A bad draft costs time and nothing else."),
             (("It gets a little worse, as the draft's words slip in.",
               "A word slips in only as often as the target would write it. That is what the second draw sees to."),
              ("It is the target's only if temperature is 0.",
               "The rule holds for every distribution; greedy is one of them, with all on one token."))),
    Question("Why does prompt lookup guess well for a corrected review and badly for a poem?",
             ("A corrected review repeats its prompt nearly word for word.",
              "What is looked up is the text itself, prompt included. Where nothing repeats, nothing is found."),
             (("Because reviews are easier to model than poems.",
               "It models nothing. A poem that is to be copied would be guessed just as well."),
              ("Because a poem is written at a higher temperature.",
               "Even greedily, a new poem does not repeat what stands before it."))),
    Question("A server writes sixteen texts at once. Should it guess ahead?",
             ("Measure first; a full batch leaves little to gain.",
              "Sixteen rows use the weights that a call fetches. Five times as many rows cost real time, and most of "
              "the guesses are thrown away."),
             (("Yes: sixteen texts gain sixteen times as much.",
               "The gain is in fetching weights fewer times for each text. Sixteen texts share one fetch already."),
              ("No: guesses of one text would spoil the others.",
               "Each row is judged by itself. The reason is the price, not the result."))),
    Question("All guesses of a round are kept. How many tokens has the call written?",
             ("One more than were guessed.",
              "The call also bets on the place behind the last guess, and nothing stands in the way of taking it."),
             (("As many as were guessed.", "The target has read the last guess, and bets on what follows it."),
              ("Twice as many: the guesses, and the target's own.",
               "Where a guess is kept, it *is* the target's token. Only one place more is free."))),
]
