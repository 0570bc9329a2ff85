"Crawl politely."
import inspect

import numpy as np

from llmcourse.practice import Exercise, Mistake, Question


def allowed(rules: list[tuple], path: str) -> bool:
    "Rules are pairs (allow, prefix). The longest matching prefix wins, allow settles a tie, and no match means "
    "allowed."
    matching = [(len(prefix), allow) for allow, prefix in rules if path.startswith(prefix)]
    return max(matching, default=(0, True))[1]      # (6, True) is greater than (6, False)


def _first_match(rules, path):
    return next((allow for allow, prefix in rules if path.startswith(prefix)), True)


def _any_disallow(rules, path):
    return all(allow for allow, prefix in rules if path.startswith(prefix))


def _tie_forbids(rules, path):
    matching = [(len(prefix), not allow) for allow, prefix in rules if path.startswith(prefix)]
    return not max(matching, default=(0, False))[1]


def _no_match_forbids(rules, path):
    matching = [(len(prefix), allow) for allow, prefix in rules if path.startswith(prefix)]
    return max(matching, default=(0, False))[1]


def _last_match(rules, path):
    return next((allow for allow, prefix in reversed(rules) if path.startswith(prefix)), True)


def _draw_rules(rng):
    kind = rng.integers(3)
    if kind == 0: rules = [(False, "/b"), (False, "/c")]                                        # nothing matches
    elif kind == 1: rules = [(False, "/"), (True, "/a"), (False, "/a"), (False, "/b")]           # a tie
    else: rules = [(False, "/"), (True, "/a/b"), (False, "/a")]                                 # the longest allows
    return [rules[i] for i in rng.permutation(len(rules))], f"/a/b{rng.integers(100)}"


def pause(attempt: int, backoff: float, longest: float, chance: float) -> float:
    "Seconds to wait after a failed try (0 is the first): doubled each time, at most `longest`, times 1/2 to 1 by "
    "chance."
    return min(longest, backoff * 2 ** attempt) * (0.5 + chance / 2)


def _no_jitter(attempt, backoff, longest, chance): return min(longest, backoff * 2 ** attempt)
def _linear(attempt, backoff, longest, chance): return min(longest, backoff * (attempt + 1)) * (0.5 + chance / 2)
def _one_too_far(attempt, backoff, longest, chance): return pause(attempt + 1, backoff, longest, chance)
def _no_limit(attempt, backoff, longest, chance): return backoff * 2 ** attempt * (0.5 + chance / 2)
def _down_to_zero(attempt, backoff, longest, chance): return min(longest, backoff * 2 ** attempt) * chance


def _draw_pause(rng):
    return int(rng.integers(0, 8)), float(rng.choice([0.5, 1.0, 2.0])), 30.0, round(float(rng.random()), 3)


def crawl_order(start: str, links: dict[str, list[str]], limit: int) -> list[str]:
    "The pages in the order in which they are fetched, breadth first, each once, at most `limit` of them."
    waiting, known, fetched = [start], {start}, []
    while waiting and len(fetched) < limit:
        page = waiting.pop(0)                    # the one that has waited longest
        fetched.append(page)
        for link in links[page]:
            if link not in known:                # known since it was found, not since it was fetched
                known.add(link)
                waiting.append(link)
    return fetched


def _twice(start, links, limit):
    "The pages in the order in which they are fetched, breadth first, each once, at most `limit` of them."
    waiting, fetched = [start], []
    while waiting and len(fetched) < limit:
        page = waiting.pop(0)
        fetched.append(page)
        for link in links[page]:
            if link not in fetched: waiting.append(link)
    return fetched


def _depth_first(start, links, limit):
    waiting, known, fetched = [start], {start}, []
    while waiting and len(fetched) < limit:
        page = waiting.pop()
        fetched.append(page)
        for link in links[page]:
            if link not in known:
                known.add(link)
                waiting.append(link)
    return fetched


def _no_end(start, links, limit): return crawl_order(start, links, 1000)
def _one_too_many(start, links, limit): return crawl_order(start, links, limit + 1)


def _draw_site(rng):
    pages = [f"p{i}" for i in range(8)]
    links = {page: [pages[i] for i in rng.choice(8, 3, replace=False)] for page in pages}
    links["p0"] = ["p1", "p2", "p3"]
    links["p1"], links["p2"], links["p3"] = ["p4", "p2", "p0"], ["p4", "p5", "p1"], ["p6", "p7", "p4"]
    return "p0", links, int(rng.integers(6, 8))


def busiest(times: np.ndarray) -> int:
    "The most requests in any 0.1 seconds."
    return int(np.bincount((times / 0.1 + 1e-6).astype(int).ravel()).max())


def compare_waits() -> dict:
    "The busiest moment of a server, when 100 crawlers come back after the same waits, and after waits spread by "
    "chance."
    found = {"same waits": [], "spread by chance": []}
    doubled = 2.0 ** np.arange(4)                                     # (4,) waits before tries 2 to 5
    for seed in range(3):
        chance = np.random.default_rng(seed).random((100, 4))         # (crawlers, tries)
        for name, waits in (("same waits", np.tile(doubled, (100, 1))),
                            ("spread by chance", doubled * (0.5 + chance / 2))):
            found[name].append(busiest(waits.cumsum(1)))              # the moments at which they come back
    return found | {"use": min(("same waits", "spread by chance"), key=lambda name: sum(found[name]))}


def _judge(answer) -> str:
    "Whether the peaks can be right, and the choice follows from them."
    ways = ("same waits", "spread by chance")
    if not all(isinstance(answer[way], (list, tuple)) and len(answer[way]) >= 3 for way in ways):
        return "draw the waits at least three times"
    if min(answer["same waits"]) < 100: return "with the same waits all 100 crawlers come back at the same moment"
    if max(answer["spread by chance"]) > 60:
        return "each wait should be drawn anew for each crawler, between half of it and the whole"
    if max(answer["spread by chance"]) < 10: return "count over all 100 crawlers, not for one of them"
    if answer["use"] != "spread by chance": return "by your own figures that way hits the server harder"
    return ""


EXERCISES = [
    Exercise(
        "Read the house rules", """
        Write `allowed(rules, path)`. Each rule is a pair (allow, prefix), and a rule matches if the path begins with
        its prefix. The order of the rules has no meaning.
        """, allowed, inputs=_draw_rules,
        hints=("Collect the rules that match. By what are they compared?",
               "Compare pairs (length of the prefix, allow): `max` takes the longest, and `True` before `False`.",
               "`max(..., default=(0, True))` answers if nothing matches."),
        mistakes=(Mistake(_first_match, "The first rule that matches decides, and their order has no meaning."),
                  Mistake(_last_match, "The last rule that matches decides, and their order has no meaning."),
                  Mistake(_any_disallow, "One short disallow forbids all, though a longer rule allows the page again."),
                  Mistake(_tie_forbids, "At equal length allow should win."),
                  Mistake(_no_match_forbids, "What no rule mentions is allowed."))),
    Exercise(
        "One page, one address", """
        Which normal form does `HTTP://Shop.example:80/a/../b%7Ec?y=2&x=1#top` have? Write the address.
        """, "http://shop.example/b~c?y=2&x=1", kind="predict",
        hints=("Scheme and host go to lower case, the default port and the fragment go.",
               "`%7E` is `~`, which need not be encoded. The query stays as it is."),
        mistakes=(Mistake("http://shop.example/b~c?x=1&y=2", "The query was sorted; its order may mean something to "
                                                             "the "
                                                             "server."),
                  Mistake("http://shop.example/b~c?y=2&x=1#top", "The fragment is for the browser. It names a place "
                                                                 "in the "
                                                                 "page, not another page."),
                  Mistake("http://shop.example/b%7Ec?y=2&x=1", "`%7E` is an encoded `~`, which need not be encoded."),
                  Mistake("http://shop.example:80/b~c?y=2&x=1", "80 is the default port of http, so it is dropped."),
                  Mistake("http://shop.example/a/../b~c?y=2&x=1", "The `..` is not resolved: it takes `a` away."),
                  Mistake("http://shop.example/a/b~c?y=2&x=1", "The `..` takes the part before it away, not only "
                                                               "itself."))),
    Exercise(
        "How long to wait", "Write `pause(attempt, backoff, longest, chance)`. `chance` lies between 0 and 1.", pause,
        inputs=_draw_pause,
        hints=("The first try has number 0, and its wait is at most `backoff`.",
               "`backoff * 2 ** attempt`, but no more than `longest`; then times a number between 0.5 and 1.",
               "`0.5 + chance / 2` is that number."),
        mistakes=(Mistake(_no_jitter, "Without chance all crawlers that were turned away come back together."),
                  Mistake(_linear, "The wait grows by the same amount each time; it should double."),
                  Mistake(_one_too_far, "It doubles once too often: the first wait is `backoff` at most."),
                  Mistake(_no_limit, "It grows without an end; nothing holds it at `longest`."),
                  Mistake(_down_to_zero, "By chance it may come to nothing; at least half of the wait should be "
                                         "kept."))),
    Exercise(
        "Each page once", "`crawl_order` fetches some pages twice. Mend it.", crawl_order,
        kind="mend", inputs=_draw_site,
        hints=("Two pages link to a third. When is the third asked for, and how often is it waiting then?",
               "Keep a set of all addresses that were ever found, and add to it when you add to `waiting`."),
        mistakes=(Mistake(_twice, "A page that waits already is put there again by the next page that links to it."),
                  Mistake(_depth_first, "The newest address is taken first, so a trap is followed to its end before "
                                        "its "
                                        "neighbours are read."),
                  Mistake(_no_end, "It never stops at the limit; a calendar would hold it for ever."),
                  Mistake(_one_too_many, "It fetches one page more than the limit allows."))),
    Exercise(
        "Should all wait the same?", """
        A server turns away 100 crawlers at once. Each comes back after waits of 1, 2, 4 and 8 seconds, one after
        another. Let them all take the `same waits`, then waits that are `spread by chance`, each times a number drawn
        from 1/2 to 1. Draw at least three times, give the `busiest` moment of each draw, and say which way you `use`.
        """, compare_waits, kind="decide", imports="import numpy as np", verify=_judge,
        stub=inspect.getsource(busiest) + "\nanswer = {\"same waits\": [...], \"spread by chance\": [...], \"use\": "
                                          "...}",
        hints=("`waits.cumsum(1)` of an array (crawlers, tries) holds the moments at which each comes back.",
               "Without chance: `np.tile([1.0, 2, 4, 8], (100, 1))`. With it: the same, times "
               "`0.5 + rng.random((100, 4)) / 2`."),
        mistakes=(Mistake({"same waits": [100], "spread by chance": [30], "use": "spread by chance"},
                          "at least three times"),
                  Mistake({"same waits": [100] * 3, "spread by chance": [100] * 3, "use": "spread by chance"},
                          "drawn anew for each crawler"),
                  Mistake({"same waits": [4] * 3, "spread by chance": [1] * 3, "use": "spread by chance"},
                          "all 100 crawlers come back"),
                  Mistake({"same waits": [100] * 3, "spread by chance": [30] * 3, "use": "same waits"},
                          "by your own figures"))),
]

QUESTIONS = [
    Question("robots.txt answers with status 503. What may you fetch?",
             ("Nothing for now: the rules exist and cannot be known.",
              "After a 5xx everything counts as forbidden, until the file can be read."),
             (("Everything, since there are no rules.", "That holds for a 404. A 503 says only that the server is in "
                                                        "trouble."),
              ("The start page, to see whether the site is up.",
               "That page may be forbidden as well; ask for robots.txt again later."))),
    Question("A server sends one byte every 20 seconds. Why does a timeout of 30 seconds not catch it?",
             ("It counts the time without a byte, and each byte starts it anew.",
              "So the lesson runs a clock beside the request, for the whole answer."),
             (("A timeout ends when the headers have come.",
               "It goes on for the body too; but it measures silence, not the whole time."),
              ("The connection stays open, so there is nothing to time out.",
               "It times out on silence. This server is never silent for long enough."))),
    Question("The limit for addresses of one pattern is too narrow. How do you notice?",
             ("Only in the report's reasons: pages are missing, without any error.",
              "Reviews and calendar days look alike to a program, so good pages are skipped."),
             (("The crawl ends with an error.", "It ends well, with fewer pages."),
              ("There are more requests than before.", "There are fewer. Too many requests are the sign of a wide "
                                                       "limit."))),
    Question("Why is the file written before the row in the table?",
             ("A crash in between then costs one more fetch, and nothing else.",
              "The other order would leave a row that promises a page that is not there."),
             (("The file is larger and takes longer.", "The order is not about time but about what a crash leaves "
                                                       "behind."),
              ("SQLite needs the file to compute its hash.",
               "The hash comes from the bytes in memory; the order would not matter for it."))),
    Question("You want to ask again for pages that failed, a day later. Which outcomes go back to waiting?",
             ("Status 500 and 503, but not 404, and 'too slow' with care.",
              "5xx may pass. A 404 will be one tomorrow, and a page that drips will hold you again for its whole "
              "time."),
             (("All of them: it costs only requests.",
               "It costs the site's patience too, for answers that are known already."),
              ("404 only, because the page may have been added since.",
               "It may, but that is rare. Trouble of a server passes far more often."))),
]
