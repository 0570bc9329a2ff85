"The record."
import hashlib
import hmac

from llmcourse.practice import Exercise, Mistake, Question


def group_sizes(arrivals: list[int], commit: int) -> list[int]:
    "How many rows each commit holds: arrivals in ms, rising; a commit takes `commit` ms and takes all that wait."
    sizes, free, i = [], 0, 0
    while i < len(arrivals):
        start = max(free, arrivals[i])                             # the writer waits for the first row, no longer
        size = sum(arrivals[i] <= t <= start for t in arrivals[i:])
        sizes.append(size)
        free, i = start + commit, i + size
    return sizes


def _alone(arrivals, commit): return [1] * len(arrivals)


def _waits_first(arrivals, commit):
    sizes, i = [], 0
    while i < len(arrivals):
        size = sum(t <= arrivals[i] + commit for t in arrivals[i:])
        sizes.append(size)
        i += size
    return sizes


def _fixed_clock(arrivals, commit):
    slots = [t // commit for t in arrivals]
    return [slots.count(slot) for slot in dict.fromkeys(slots)]


def _joins_late(arrivals, commit):
    sizes, free, i = [], 0, 0
    while i < len(arrivals):
        start = max(free, arrivals[i])
        size = sum(t < start + commit for t in arrivals[i:])
        sizes.append(size)
        free, i = start + commit, i + size
    return sizes


def _draw_arrivals(rng):
    commit = int(rng.integers(8, 13))
    return [0, *sorted(int(t) for t in rng.integers(1, 5 * commit, size=9))], commit


def write_group(jobs: list[list[str]], room: int) -> tuple[list[str], list[int]]:
    "The rows on disk, and the numbers of the jobs told so: jobs hold rows; the disk takes `room` rows, no more."
    rows = [row for job in jobs for row in job]
    if len(rows) <= room: return rows, list(range(len(jobs)))      # one commit; then, and not before, tell them
    stored, told = [], []                                          # rolled back: try each job alone
    for number, job in enumerate(jobs):
        if len(stored) + len(job) > room: continue                 # all of a job or none of it
        stored += job
        told.append(number)
    return stored, told


def _told_early(jobs, room):
    "The rows on disk, and the numbers of the jobs told so: jobs hold rows; the disk takes `room` rows, no more."
    told = list(range(len(jobs)))
    stored = []
    for job in jobs:
        if len(stored) + len(job) <= room: stored += job
    return stored, told


def _by_half(jobs, room):
    rows = [row for job in jobs for row in job][:room]
    return rows, [i for i, job in enumerate(jobs) if job[-1] in rows]


def _all_fail(jobs, room):
    rows = [row for job in jobs for row in job]
    return (rows, list(range(len(jobs)))) if len(rows) <= room else ([], [])


def _stops(jobs, room):
    stored, told = [], []
    for number, job in enumerate(jobs):
        if len(stored) + len(job) > room: break
        stored += job
        told.append(number)
    return stored, told


def _draw_jobs(rng):
    sizes = [int(rng.integers(2, 4)), int(rng.integers(4, 7)), 1, int(rng.integers(1, 3))]
    jobs = [[f"row {i}.{j}" for j in range(size)] for i, size in enumerate(sizes)]
    return jobs, int(sizes[0] + 2 + rng.integers(0, 2)) if rng.random() < 0.8 else 20


def keyed(sender: str, key: bytes) -> str:
    "The hash of a sender that nobody can search without the key: HMAC-SHA256, 64 hexadecimal digits."
    return hmac.new(key, sender.encode(), hashlib.sha256).hexdigest()


def _plain(sender, key): return hashlib.sha256(sender.encode()).hexdigest()
def _glued(sender, key): return hashlib.sha256(key + sender.encode()).hexdigest()
def _swapped(sender, key): return hmac.new(sender.encode(), key, hashlib.sha256).hexdigest()
def _shown(sender, key): return f"{sender[:2]}:{keyed(sender, key)}"
def _draw_sender(rng): return f"user-{int(rng.integers(1000, 9999))}", rng.bytes(16)


def confusion(said: dict[str, str], words: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    "How often (what was said, what is true): `said` by id, `words` (id, label) in the order they came."
    last = {id: label for id, label in words if id in said}        # a later word replaces an earlier one
    counts = {}
    for id, label in last.items(): counts[said[id], label] = counts.get((said[id], label), 0) + 1
    return counts


def _count(said, pairs):
    counts = {}
    for id, label in pairs: counts[said[id], label] = counts.get((said[id], label), 0) + 1
    return counts


def _every_word(said, words): return _count(said, [pair for pair in words if pair[0] in said])
def _distinct(said, words): return _count(said, list(dict.fromkeys(pair for pair in words if pair[0] in said)))
def _first_word(said, words): return confusion(said, words[::-1])


def _forgets_strangers(said, words):
    last, counts = dict(words), {}
    for id, label in last.items():
        pair = said.get(id, "unknown"), label
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def _draw_words(rng):
    labels, ids = ["negative", "neutral", "positive"], [f"id{i}" for i in range(6)]
    said = {id: str(rng.choice(labels)) for id in ids[:5]}
    words = [(id, str(rng.choice(labels))) for id in ids]
    changed = labels[(labels.index(words[0][1]) + 1) % 3]
    words += [(ids[0], changed), (ids[1], words[1][1]), (ids[0], words[0][1]), (ids[0], changed)]
    return said, words


def search_hashes() -> dict:
    "How many of 50 customer numbers a thief finds who holds the hashes, and the hash to store."
    import secrets

    key, numbers = secrets.token_bytes(32), [f"{secrets.randbelow(10_000):04d}" for _ in range(50)]
    stored = {"plain": {hashlib.sha256(n.encode()).hexdigest() for n in numbers},
              "keyed": {hmac.new(key, n.encode(), hashlib.sha256).hexdigest() for n in numbers}}
    guesses = [f"{n:04d}" for n in range(10_000)]                  # the thief does not have the key
    hashes = {"plain": {hashlib.sha256(g.encode()).hexdigest() for g in guesses}}
    hashes["keyed"] = {hmac.new(b"guessed key", g.encode(), hashlib.sha256).hexdigest() for g in guesses}
    found = {kind: len(stored[kind] & hashes[kind]) / len(stored[kind]) for kind in stored}
    return found | {"store": min(found, key=found.get)}


def _judge(answer) -> str:
    "Whether the thief searched both kinds, and the choice follows."
    if answer["plain"] < 0.99:
        return "all four-digit numbers are only 10,000 guesses; a thief who tries them all finds every plain hash"
    if answer["keyed"] > 0.01: return "the thief does not hold the key: hash the guesses under another one"
    return "" if answer["store"] == "keyed" else "one kind was found whole, the other not at all; store the other"


EXERCISES = [
    Exercise(
        title="Which rows share a commit",
        kind="predict",
        task="""One writer commits all that wait; a commit takes 10 ms. Rows arrive at 0, 1, 2, 11, 12 and 35 ms.
How many rows does each commit hold? Work it out by hand and give a list such as `[2, 4]`.""",
        solution=[1, 2, 2, 1],
        mistakes=(
            Mistake([1, 1, 1, 1, 1, 1], "That is one commit a row: those that wait when a commit ends are taken "
                    "together."),
            Mistake([3, 2, 1], "The first row was committed at once. The writer does not wait for more, so rows 1 and "
                    "2 missed that commit."),
            Mistake([5, 1], "What arrives while a commit runs waits for the next one; it cannot join."),
            Mistake([1, 2, 3], "At 20 ms only the rows of 11 and 12 ms wait. The last one comes when the writer is "
                    "idle."),
        ),
        hints=("At 0 ms one row is there, and the writer is free. What does it do?",
               "That commit ends at 10 ms. Which rows wait then, and when does the next commit end?"),
    ),
    Exercise(
        title="Group commit as a function",
        task="""Write what you did by hand: the sizes of the commits for any arrivals (in ms, rising). When the writer
is free and a row is there, it takes *all* rows that have arrived and commits them, which takes `commit` ms.
A row that arrives at the very moment when a commit ends is taken by the next.""",
        solution=group_sizes,
        mistakes=(
            Mistake(_alone, "Each row has a commit of its own here; nothing is shared."),
            Mistake(_waits_first, "This waits `commit` ms after the first row to gather more. A single client would "
                    "pay for that, and a busy one gains nothing."),
            Mistake(_fixed_clock, "This cuts the time into fixed slots. The writer starts when a row is there, not "
                    "when a clock strikes."),
            Mistake(_joins_late, "Rows that arrive while a commit runs join it here. Their bytes are not in it; they "
                    "wait for the next."),
        ),
        inputs=_draw_arrivals,
        hints=("Keep the time from which the writer is free. A commit starts at that time, or when the next row comes, "
               "whichever is later.",
               "`start = max(free, arrivals[i])`; the group is all rows from `i` that arrived up to `start`; then "
               "`free = start + commit`."),
    ),
    Exercise(
        title="Who may be told",
        kind="mend",
        task="""A group of jobs is written in one transaction. If all their rows fit, all are told that they are on
disk. If not, the transaction is rolled back and each job is tried alone, in order: it fits whole or is left out.
The function below tells some jobs that their rows are on disk when they are not. Mend it. Return the rows on disk and
the numbers of the jobs that are told so.""",
        solution=write_group,
        mistakes=(
            Mistake(_told_early, "A job is told before it is known whether its rows were stored. The acknowledgement "
                    "comes after the commit."),
            Mistake(_by_half, "Some rows of a job are stored and others are not. A transaction is all or nothing."),
            Mistake(_all_fail, "One job that does not fit fails the whole group; the others fitted and should get "
                    "through."),
            Mistake(_stops, "After the first job that does not fit, the later ones are not tried, though they may "
                    "fit."),
        ),
        inputs=_draw_jobs,
        hints=("When is it certain that a job's rows are on disk? Only there may its number be added.",
               "Add the number where the rows are added, and go on after a job that does not fit."),
    ),
    Exercise(
        title="A hash that cannot be searched",
        task="""Write the keyed hash of a sender: HMAC with SHA-256, as hexadecimal digits. `key` is the secret, the
sender is the message.""",
        solution=keyed,
        imports="import hashlib\nimport hmac",
        mistakes=(
            Mistake(_plain, "The key is not used. Whoever has the record can hash all user ids and compare."),
            Mistake(_glued, "Key and sender are only glued together. For SHA-256 such a hash can be continued by "
                    "others (length extension); HMAC is built against that."),
            Mistake(_swapped, "Key and message are in each other's place: the secret is the key of HMAC."),
            Mistake(_shown, "A part of the sender is stored in the clear; with it, guesses are few."),
        ),
        inputs=_draw_sender,
        hints=("The module `hmac` has it: `hmac.new(key, message, hash)`.",
               "Both are bytes: `sender.encode()`. The digits come from `.hexdigest()`."),
    ),
    Exercise(
        title="Count feedback once",
        task="""People send feedback, and some send it twice or change their mind. Count how often each pair (what the
model said, what is true) occurs. The *last* word on an id counts, and an id counts *once*. Ids that were never
answered do not count.""",
        solution=confusion,
        mistakes=(
            Mistake(_every_word, "Every word is counted, so an id on which somebody sent three words counts three "
                    "times."),
            Mistake(_distinct, "Equal words are counted once, but an id whose label was changed still counts for both "
                    "labels."),
            Mistake(_first_word, "The first word counts here. People correct themselves, so the last one should."),
            Mistake(_forgets_strangers, "An id that was never answered is counted too; anybody can send such an id."),
        ),
        inputs=_draw_words,
        hints=("A dictionary from id to label keeps one label an id. Which one, if you fill it in order?",
               "Fill `last[id] = label` for known ids, then count `(said[id], last[id])`."),
    ),
    Exercise(
        title="What a thief finds",
        kind="decide",
        task="""Fifty customers have numbers of four digits. A thief has the stored hashes and knows how they were
made, but has no key. Store plain SHA-256 and a keyed hash of the same 50 numbers, let the thief try all 10,000
numbers, and return a dictionary: the share found under `"plain"` and `"keyed"` (0 to 1), and which to `"store"`.""",
        stub='answer = {"plain": ..., "keyed": ..., "store": ...}',
        solution=search_hashes,
        imports="import hashlib\nimport hmac",
        verify=_judge,
        mistakes=(
            Mistake({"plain": 0.0, "keyed": 0.0, "store": "plain"}, "all four-digit numbers are only 10,000 guesses"),
            Mistake({"plain": 1.0, "keyed": 1.0, "store": "keyed"}, "the thief does not hold the key"),
            Mistake({"plain": 1.0, "keyed": 0.0, "store": "plain"}, "one kind was found whole"),
        ),
        hints=("Make two sets of stored hashes, and two sets of hashes of all guesses; `&` gives what they share.",
               "For the keyed kind the thief must choose some key of their own: it will not be yours."),
    ),
]
QUESTIONS = [
    Question("Why do many rows in one commit cost hardly more than one?",
             right=("Most of the time of a commit is the wait for the disk, which a commit pays once",
                    "`fsync` waits for the disk once a commit, however many rows it holds."),
             wrong=(("Rows are compressed together, so fewer bytes are written",
                     "SQLite does not compress. The bytes are the same; the waiting is shared."),
                    ("SQLite writes rows of one transaction in parallel",
                     "A single connection writes one page after the other. What is saved is waiting for the disk."))),
    Question("A server answers the user, and writes the row a moment later from a list in memory. What is wrong?",
             right=("If the process dies in between, a row that was acknowledged is lost",
                    "The id was handed out, and nothing is on disk. Feedback on it will find no row."),
             wrong=(("Nothing, since a list in memory cannot fail",
                     "Memory is gone when the process is killed, and processes are killed daily."),
                    ("The user waits longer for the answer",
                     "The user waits less. The trouble is what the answer promises."))),
    Question("`kill -9` loses nothing even with `synchronous = off`. What does that show?",
             right=("The operating system keeps what it was given; a power failure would be the harder test",
                    "The killed process had handed its pages to the system, which writes them later. It loses "
                    "them with the power."),
             wrong=(("`fsync` is not needed for a record",
                     "It is needed for the day on which the power fails, which a kill does not imitate."),
                    ("SQLite ignores that setting in WAL mode",
                     "It does not ignore it. The setting decides when the log is forced onto the disk."))),
    Question("The database with keyed hashes and the file with the key are copied into the same backup. What follows?",
             right=("Whoever gets the backup can search for user ids again",
                    "With the key, hashing all ids and comparing works as it does for plain hashes."),
             wrong=(("Nothing, since a keyed hash cannot be reversed",
                     "It is not reversed but searched: with the key every guess can be tested."),
                    ("The hashes become invalid",
                     "They stay as they were. What changes is who can test guesses."))),
]
