"Protect the people in the data."
import random

from llmcourse.anonymization import Span, find_digits, find_phones, pseudonym
from llmcourse.practice import Exercise, Mistake, Question


def check_digit(number: str) -> str:
    "The digit that must follow, so that the whole number passes Luhn's check."
    total = 0
    for place, sign in enumerate(reversed(number)):    # the check digit itself will stand at the far right,
        digit = int(sign)                              # so the digit beside it, place 0, is doubled
        if place % 2 == 0: digit = digit * 2 - 9 * (digit > 4)
        total += digit
    return str(-total % 10)                            # what is missing to the next multiple of ten


def _luhn(number, first=0, nine=9, order=-1):
    total = 0
    for place, sign in enumerate(number[::order]):
        digit = int(sign)
        if place % 2 == first: digit = digit * 2 - nine * (digit > 4)
        total += digit
    return total
def _every_other_one(number): return str(-_luhn(number, first=1) % 10)
def _no_nine(number): return str(-_luhn(number, nine=0) % 10)
def _from_the_left(number): return str(-_luhn(number, order=1) % 10)
def _ten(number): return str(10 - _luhn(number) % 10)
def _rest(number): return str(_luhn(number) % 10)


def _digits(rng):
    number = "".join(map(str, rng.integers(0, 10, size=rng.integers(4, 9))))
    if rng.random() < 0.6: return (number,)
    return (next(number + str(last) for last in range(10) if check_digit(number + str(last)) == "0"),)


def judge(found: list[tuple], truth: tuple) -> tuple:
    "Whether a value was found (exact, overlap, covered); all spans are (start, end, kind)."
    start, end, kind = truth
    touching = [span for span in found if span[0] < end and start < span[1]]    # they share a character
    fitting = [span for span in touching if span[2] == kind]
    hidden = {place for span in found for place in range(span[0], span[1])}     # under whatever name
    return truth in found, bool(fitting), all(place in hidden for place in range(start, end))


def _covered_by_kind(found, truth):
    hidden = {place for start, end, kind in found if kind == truth[2] for place in range(start, end)}
    return (*judge(found, truth)[:2], all(place in hidden for place in range(truth[0], truth[1])))
def _any_kind(found, truth):
    start, end, kind = truth
    same = [(*span[:2], kind) for span in found]
    return judge(same, truth)
def _ends_touch(found, truth):
    start, end, kind = truth
    fitting = [span for span in found if span[0] <= end and start <= span[1] and span[2] == kind]
    exact, _, covered = judge(found, truth)
    return exact, bool(fitting), covered
def _partly(found, truth):
    exact, overlap, _ = judge(found, truth)
    return exact, overlap, any(span[0] < truth[1] and truth[0] < span[1] for span in found)
def _one_span_covers(found, truth):
    exact, overlap, _ = judge(found, truth)
    return exact, overlap, any(span[0] <= truth[0] and truth[1] <= span[1] for span in found)


def _some_spans(rng):
    start, size = int(rng.integers(2, 8)), int(rng.integers(3, 7))
    middle, end = start + size // 2, start + size
    found = [[(0, start, "PHONE"), (start, end, "CARD")],                     # a neighbour, and another kind
             [(start, middle, "PHONE"), (middle, end, "CARD")],               # two together
             [(0, start, "CARD"), (middle, end + 2, "PHONE")],                # the end only
             [(start, end, "PHONE")] if rng.random() < 0.5 else []][rng.choice(4, p=[0.3, 0.3, 0.3, 0.1])]
    return found, (start, end, "PHONE")


def mask(text: str, spans: list[tuple]) -> str:
    "The text with each span (start, end, kind) replaced by [KIND]; the spans are in order and do not overlap."
    for start, end, kind in reversed(spans):           # from the right: the places on the left stay true
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


def _mask_forward(text, spans):
    "The text with each span (start, end, kind) replaced by [KIND]; the spans are in order and do not overlap."
    for start, end, kind in spans:
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


def _mask_values(text, spans):
    for start, end, kind in [(text[start:end], None, kind) for start, end, kind in spans]:
        text = text.replace(start, f"[{kind}]")
    return text
def _mask_last_too(text, spans):
    for start, end, kind in reversed(spans): text = f"{text[:start]}[{kind}]{text[end + 1:]}"
    return text
def _mask_first_only(text, spans): return mask(text, spans[:1])


def _text_and_spans(rng):
    words = rng.choice(["Ann", "Al", "Ana", "Annabel", "Albert", "camera", "Anna's", "is", "also"], size=6).tolist()
    words[3], words[1], words[5] = "Ann", "Al", "Albert"
    text, spans = " ".join(words), []
    for n in (1, 3):
        start = len(" ".join(words[:n])) + 1
        spans.append((start, start + len(words[n]), "NAME" if n == 1 else "PERSON"))
    return text, spans


def equal_marks() -> dict:
    "Whether two values get the same pseudonym."
    one, other = b"the key of this year", b"the key of last year"
    mark = lambda kind, text, key=one: pseudonym(Span(0, len(text), kind, text), key)
    return {"(212) 555-2368 and +1 212.555.2368": mark("PHONE", "(212) 555-2368") == mark("PHONE", "+1 212.555.2368"),
            "Ann Roe in two reviews, one key": mark("NAME", "Ann Roe") == mark("NAME", "Ann Roe"),
            "Ann Roe, with two keys": mark("NAME", "Ann Roe") == mark("NAME", "Ann Roe", other),
            "the name Ann Roe and her address": mark("NAME", "Ann Roe") == mark("EMAIL", "ann.roe@example.com"),
            "Ann Roe and Mrs Roe": mark("NAME", "Ann Roe") == mark("NAME", "Roe")}


CASES = ("(212) 555-2368 and +1 212.555.2368", "Ann Roe in two reviews, one key", "Ann Roe, with two keys",
         "the name Ann Roe and her address", "Ann Roe and Mrs Roe")


def _marks(*equal): return {case: n in equal for n, case in enumerate(CASES)}


def compare_in_a_catalogue() -> dict:
    "Of 200 telephone numbers and 200 part numbers, the share that each finder flags."
    rng = random.Random(0)
    phones = [f"({rng.choice((212, 312, 415, 617))}) {rng.randint(220, 989)}-{rng.randint(1000, 9999)}"
              for _ in range(200)]
    parts = ["".join(rng.choices("0123456789", k=12)) for _ in range(200)]
    found = {}
    for name, find in (("pattern", find_digits), ("library", find_phones)):
        flagged = lambda values: sum(any(find(f"call or order {value} today")) for value in values) / len(values)
        found[name] = {"phones": flagged(phones), "parts": flagged(parts)}
    return {**found, "for reviews": "both", "for a parts catalogue": "library"}


def _judge_catalogue(answer) -> str:
    "Whether the figures can be right, and whether the choices follow from them."
    shares = [answer[name].get(sort) for name in ("pattern", "library") for sort in ("phones", "parts")]
    if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares):
        return "each finder needs two shares between 0 and 1: of the phones, and of the parts, that it flags"
    if answer["pattern"]["phones"] < 0.95:
        return "the pattern should find nearly every telephone number; does a letter stand right beside the digits?"
    if answer["library"]["parts"] >= answer["pattern"]["parts"]:
        return "twelve random digits fit the pattern and hardly any numbering plan; are the two finders exchanged?"
    if answer["for a parts catalogue"] != "library":
        return "nearly all of the part numbers would be masked; a catalogue without part numbers is of no use"
    if answer["for reviews"] != "both":
        return "hardly a review holds a part number, and a number that is missed harms a person: mask what either finds"
    return ""


def _catalogue(pattern=(1.0, 0.98), library=(0.9, 0.03), reviews="both", catalogue="library"):
    return {"pattern": dict(zip(("phones", "parts"), pattern)), "library": dict(zip(("phones", "parts"), library)),
            "for reviews": reviews, "for a parts catalogue": catalogue}


EXERCISES = [
    Exercise(
        "What a keyed pseudonym links", """
        Reviews are pseudonymized: each value becomes its kind and a keyed hash of kind and value. Before the hash, ways
        of writing are made alike, as in the lesson. Which of these pairs get the *same* mark? Answer `True` or `False`:
        the telephone numbers (212) 555-2368 and +1 212.555.2368; the name Ann Roe in two reviews, with one key; the
        same name with two keys; the name Ann Roe and the e-mail address ann.roe@example.com; the names found in *Ann
        Roe* and *Mrs Roe*, which are Ann Roe and Roe.
        """, equal_marks, kind="predict", imports="from llmcourse.anonymization import Span, pseudonym",
        stub='''
        answer = {
            "(212) 555-2368 and +1 212.555.2368": ...,
            "Ann Roe in two reviews, one key": ...,
            "Ann Roe, with two keys": ...,
            "the name Ann Roe and her address": ...,
            "Ann Roe and Mrs Roe": ...,
        }
        ''',
        hints=("The mark depends on three things: the kind, the value in one way of writing, and the key.",
               "The hash knows no persons. Two different values of one person are two values."),
        mistakes=(Mistake(_marks(1), "A telephone number is brought into international form first, so both ways of "
                          "writing are one value."),
                  Mistake(_marks(0, 1, 2), "The key goes into the hash: with another key every mark is another."),
                  Mistake(_marks(0, 1, 3, 4), "A hash knows values, not persons. Another value or kind gives another "
                          "mark, even of the same person."),
                  Mistake(_marks(0, 1, 4), "*Roe* and *Ann Roe* are different values, so the two are not linked."),
                  Mistake(_marks(0, 1, 3), "The name and the address are different values of different kinds."))),
    Exercise(
        "Compute a check digit", """
        The last digit of a card number is computed from the others. Write `check_digit`: which digit must follow
        `number` so that the whole passes Luhn's check? In the whole, counted from the right, every second digit is
        doubled (less nine if that gives two digits), and the sum of all ends in 0. The check digit itself is the first
        from the right.
        """, check_digit, inputs=_digits,
        hints=("The check digit will stand at the far right. So the last digit of `number` is the second from the "
               "right, and is doubled.",
               "Add up the digits from the right, doubling those at the places 0, 2, 4 ...",
               "The check digit is what is missing to the next multiple of ten: `-total % 10`."),
        mistakes=(Mistake(_every_other_one, "It doubles the wrong half of the digits: once the check digit stands at "
                          "the end, the last digit of `number` is the second from the right."),
                  Mistake(_no_nine, "A doubled digit of two places counts as the sum of its digits, 14 as 1 + 4."),
                  Mistake(_from_the_left, "Places are counted from the right, since numbers have different lengths."),
                  Mistake(_ten, "If the sum ends in 0 already, it gives 10, which is not a digit."),
                  Mistake(_rest, "That is the last digit of the sum; what is wanted is what it lacks to end in 0."))),
    Exercise(
        "Exact, overlap, covered", """
        Write `judge`: it compares what was found with the one value that was planted. *Exact*: a find with the same
        start, end and kind. *Overlap*: a find of the same kind shares a character with the value. *Covered*: every
        character of the value lies in some find, of whatever kind. A span is `(start, end, kind)`, and `end` is the
        place after its last character. Return three truth values.
        """, judge, inputs=_some_spans, rounds=24,
        hints=("Two spans share a character if each begins before the other ends.",
               "For *covered*, collect all hidden places in a set: `range(start, end)` of every find.",
               "`all(place in hidden for place in range(start, end))` asks for each place of the value."),
        mistakes=(Mistake(_covered_by_kind, "*Covered* asks what matters to the person: hidden is hidden, whatever "
                          "kind the finder called it."),
                  Mistake(_any_kind, "*Exact* and *overlap* ask for the same kind."),
                  Mistake(_ends_touch, "A span that ends where the value begins shares no character with it: `end` is "
                          "the place after."),
                  Mistake(_partly, "*Covered* means every character. Half a telephone number is no protection."),
                  Mistake(_one_span_covers, "Two finds can cover a value together."))),
    Exercise(
        "Masks in the wrong place", """
        `mask` works for one span and makes a mess of two: *Call Al or Ann now* becomes *Call [NAME][PERSON] Ann now*,
        or worse. Mend it.
        """, mask, kind="mend", inputs=_text_and_spans,
        hints=("After the first mask the text is longer or shorter than before. Which places are no longer true?",
               "Go through the spans from the right: `reversed(spans)`."),
        mistakes=(Mistake(_mask_forward, "The first mask is right, the next in the wrong place: the first has moved "
                          "the text behind it."),
                  Mistake(_mask_values, "It replaces the words wherever they stand, also within other words, such as "
                          "the Al in Albert. Use the places."),
                  Mistake(_mask_last_too, "`end` is the place after the last character; it takes one too many."),
                  Mistake(_mask_first_only, "Only the first span is masked."))),
    Exercise(
        "A catalogue of spare parts", """
        Make 200 telephone numbers such as `(312) 664-2071` (area codes 212, 312, 415 and 617; then three digits from
        220 to 989, then four) and 200 part numbers of twelve random digits. Put each into a sentence. Which share of
        the phones and of the parts does the pattern `find_digits` flag, and which the library, `find_phones`? Choose
        `pattern`, `library` or `both` (mask what either finds) for product reviews, where hardly any part number
        stands, and for a catalogue of spare parts.
        """, compare_in_a_catalogue, kind="decide", verify=_judge_catalogue,
        imports="import random\nfrom llmcourse.anonymization import find_digits, find_phones",
        stub='''
        answer = {
            "pattern": {"phones": ..., "parts": ...},
            "library": {"phones": ..., "parts": ...},
            "for reviews": ...,
            "for a parts catalogue": ...,
        }
        ''',
        hints=("`any(find_digits(f\"order {value} today\"))` says whether something is found; a span is never empty.",
               "In reviews a missed number harms a person and a masked part number hardly anybody. In a catalogue it "
               "is the other way round."),
        mistakes=(Mistake(_catalogue(pattern=(0.1, 0.98)), "does a letter stand right beside the digits?"),
                  Mistake(_catalogue(pattern=(1.0, 0.03), library=(0.9, 0.98)), "are the two finders exchanged?"),
                  Mistake(_catalogue(catalogue="both"), "a catalogue without part numbers is of no use"),
                  Mistake(_catalogue(reviews="library"), "mask what either finds"))),
]

QUESTIONS = [
    Question("A rule is in doubt whether a run of digits is a telephone number. Why do we mask it?",
             ("A missed number harms a person, a wrong mask only the text.",
              "The two errors differ in what they cost. Both are counted all the same."),
             (("Because most runs of digits are telephone numbers.",
               "In reviews most are prices, years and models; that is why dates are covered first."),
              ("Because a mask can be taken back later.",
               "It cannot: masking keeps no copy. The reason is what each error costs."))),
    Question("Why does a pseudonym need a secret key, and not a hash alone?",
             ("Anybody could hash all telephone numbers and compare.",
              "There are ten billion numbers of ten digits, which a computer tries in minutes."),
             (("A hash without a key differs from run to run.",
               "SHA-256 gives the same result for everybody; that is exactly the danger."),
              ("With a key the hash is shorter.",
               "It is cut to 32 bits in either case; the key is against trying all values."))),
    Question("Bare names are hidden in 40 % of all cases with the list. What does this average hide?",
             ("That nearly all English names are hidden and few others.",
              "All American names, one in five in other languages: the list protects those it was made of."),
             (("That names in letters are found more often.",
               "They are, but they are not part of this average."),
              ("That the list is too short by half.",
               "It has 88,799 last names. They are the last names of one country."))),
    Question("Precision on the planted sentences is 1.0 for names, and 88 % on real ones. Why?",
             ("Sentences with something to find in them were set aside before planting.",
              "With them went all false alarms that a sentence raises by itself, such as Mr. Deeds."),
             (("The planted names are longer than real ones.",
               "Length plays no part: a wrong find in the sentence itself would lower precision as well."),
              ("On real sentences there are more names.",
               "More names would not lower the share of finds that are right."))),
    Question("An IBAN fails its check digits by one wrong digit. What does our finder do?",
             ("It leaves it in the text, where a person can still be harmed.",
              "A check digit protects against false alarms, and fails people who mistype."),
             (("It masks it, since in doubt we mask.",
               "Its check is strict: none of the mistyped ones in the lesson was hidden."),
              ("It corrects the digit and masks the account.",
               "A check digit tells that something is wrong, not what."))),
]
