"Read what there is."
import hashlib
import inspect
import json
import re
from collections import Counter

from lxml import html as lxml_html

from llmcourse.collection import html_text, main_text
from llmcourse.data import load_data
from llmcourse.practice import Exercise, Mistake, Question


def make_record(text: str, source: str, licence: str) -> dict:
    "A text with its source, its licence and the SHA-256 of its UTF-8 bytes. Raises `ValueError` without a licence."
    if not licence.strip(): raise ValueError(f"{source} has no licence; say which, or 'unknown'")
    return {"text": text, "source": source, "licence": licence, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _record(text, source, licence, digest):
    return {"text": text, "source": source, "licence": licence, "sha256": digest}


def _hash_of(text): return hashlib.sha256(text.encode()).hexdigest()
def _no_check(text, source, licence): return _record(text, source, licence, _hash_of(text))


def _only_empty(text, source, licence):
    if not licence: raise ValueError("no licence")
    return _record(text, source, licence, _hash_of(text))


def _silent_unknown(text, source, licence): return _record(text, source, licence.strip() or "unknown", _hash_of(text))


def _hash_of_source(text, source, licence):
    if not licence.strip(): raise ValueError("no licence")
    return _record(text, source, licence, _hash_of(source))


def _in_latin(text, source, licence):
    if not licence.strip(): raise ValueError("no licence")
    return _record(text, source, licence, hashlib.sha256(text.encode("cp1252", "replace")).hexdigest())


def _draw_text(rng):
    words = ["naïve", "café", "lid", "broke", "twice"]
    licence = ["MIT", "CC-BY-4.0", "", " "][rng.choice(4, p=[0.35, 0.25, 0.2, 0.2])]
    return "é " + " ".join(rng.choice(words, 3)), f"shop#{rng.integers(99)}", licence


def precision_recall(found: str, true: str) -> tuple[float, float]:
    "Precision and recall of the words found. Words are cut at white space; a word that comes twice counts twice."
    bag_found, bag_true = Counter(found.split()), Counter(true.split())
    shared = (bag_found & bag_true).total()      # of each word, the smaller of the two counts
    return shared / bag_found.total(), shared / bag_true.total()


def _as_sets(found, true):
    shared = len(set(found.split()) & set(true.split()))
    return shared / len(set(found.split())), shared / len(set(true.split()))


def _swapped(found, true): return precision_recall(found, true)[::-1]


def _by_place(found, true):
    shared = sum(a == b for a, b in zip(found.split(), true.split()))
    return shared / len(found.split()), shared / len(true.split())


def _any_copy(found, true):
    hits = sum(word in true.split() for word in found.split())
    return hits / len(found.split()), hits / len(true.split())


def _draw_bags(rng):
    words = ["the", "the", "lid", "broke", "twice", "hinge"]
    return " ".join(rng.choice(words, rng.integers(4, 7))), " ".join(rng.choice(words, rng.integers(7, 10)))


def _after_an_error(): return [1, "bad", "end"]


def read_jsonl(lines: list[str]) -> tuple[list[str], list[int]]:
    "The texts of all usable lines, and the numbers of the others, from 1. Usable: a JSON object whose text is a "
    "string."
    kept, refused = [], []
    for number, line in enumerate(lines, 1):
        try: text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError): text = None       # no JSON, no such key, no object
        if isinstance(text, str): kept.append(text)
        else: refused.append(number)
    return kept, refused


def _stops(lines):
    "The texts of all usable lines, and the numbers of the others, from 1. Usable: a JSON object whose text is a "
    "string."
    kept, refused = [], []
    try:
        for number, line in enumerate(lines, 1): kept.append(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError): refused.append(number)
    return kept, refused


def _from_zero(lines):
    kept, refused = read_jsonl(lines)
    return kept, [number - 1 for number in refused]


def _no_text_kept(lines):
    kept, refused = [], []
    for number, line in enumerate(lines, 1):
        try: kept.append(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError): refused.append(number)
    return kept, refused


def _silently(lines): return read_jsonl(lines)[0], []


def _draw_lines(rng):
    bad = ['{"text": "cut', '{"text": 5}', '["text"]', '{"review": "fine"}']
    good = [f'{{"text": "sentence {i}"}}' for i in rng.integers(100, size=3)]
    lines = [bad[1], *rng.choice(bad, 2), *good]
    return rng.permutation(lines).tolist(),


def visible_text(page: str) -> str:
    "The words of a page, without script, style and nav, with one blank between blocks."
    root = lxml_html.document_fromstring(page)
    for element in root.xpath("//script | //style | //nav"): element.drop_tree()    # keeps the text behind it
    return " ".join(" ".join(root.itertext()).split())


def _every_tag(page): return " ".join(re.sub("<[^>]*>", " ", page).split())


def _glued(page):
    root = lxml_html.document_fromstring(page)
    for element in root.xpath("//script | //style | //nav"): element.drop_tree()
    return " ".join(root.text_content().split())


def _tail_lost(page):
    root = lxml_html.document_fromstring(page)
    for element in root.xpath("//script | //style | //nav"): element.getparent().remove(element)
    return " ".join(" ".join(root.itertext()).split())


def _menu_kept(page):
    root = lxml_html.document_fromstring(page)
    for element in root.xpath("//script | //style"): element.drop_tree()
    return " ".join(" ".join(root.itertext()).split())


def _draw_page(rng):
    words = rng.permutation(["lid", "hinge", "lens", "strap", "case", "zoom"]).tolist()
    script = f"<script>send('{words[5]}')</script>"
    return (f"<body><nav>Home Log in</nav><div>{words[0]} broke</div><div>{words[1]} fine {script} {words[2]} too</div>"
            f"<p>{words[3]} {rng.integers(9)}</p></body>",)


def shop_page(number: int) -> tuple[bytes, str]:
    "The page of a product with a review among its comments; the words of that review."
    table = load_data("amazon")["train"].to_pandas()
    review = " ".join(table[table.group == sorted(table.group.unique())[number]].text)
    escaped = review.replace("&", "&amp;").replace("<", "&lt;")
    product = ("<p>The X100 has a lens of 35 mm, a body of metal and a battery for 300 pictures.</p>"
               "<p>It comes in black and in silver, with a strap and a charger in the box.</p>")
    page = (f"<!DOCTYPE html><html><head><title>X100</title></head><body><article>{product}</article>"
            f"<div class='comments'><div class='comment'><p>{escaped}</p></div></div></body></html>")
    return page.encode(), review


def compare_readers() -> dict:
    "Mean recall of the words of the review, for two readers."
    def recall(found, true):
        bag_found, bag_true = (Counter(re.findall(r"\w+", text.lower())) for text in (found, true))
        return (bag_found & bag_true).total() / bag_true.total()

    pages = [shop_page(number) for number in range(12)]
    found = {reader.__name__: [recall(reader(page), review) for page, review in pages]
             for reader in (html_text, main_text)}
    return found | {"reader": max(found, key=lambda name: sum(found[name]))}


def _judge(answer) -> str:
    "Whether the recalls can be right, and the reader follows from them."
    names = ("html_text", "main_text")
    if not all(isinstance(answer[name], (list, tuple)) and len(answer[name]) >= 10 for name in names):
        return "read at least ten pages with each reader; one page may be an exception"
    if not all(0 <= recall <= 1 for name in names for recall in answer[name]):
        return "recall is a share, between 0 and 1"
    mean = {name: sum(answer[name]) / len(answer[name]) for name in names}
    if mean["html_text"] < 0.95:
        return "`html_text` keeps the whole review; divide by the words of the review, not by the words found"
    if mean["main_text"] > 0.5:
        return ("`main_text` leaves out comments; count the words of the review only, and each as often as it was "
                "found")
    if answer["reader"] != "html_text": return "by your own figures that reader loses nearly all of what you want"
    return ""


EXERCISES = [
    Exercise(
        "The wrong charset",
        "What does `\"café\".encode(\"utf-8\").decode(\"cp1252\")` give? Write the text.", "cafÃ©",
        kind="predict",
        hints=("In UTF-8 `é` is two bytes. How many characters are two bytes in a code page of one byte each?",
               "The bytes are C3 and A9; in `cp1252` these are `Ã` and `©`."),
        mistakes=(Mistake("café", "It would be, if it were read in the charset in which it was written."),
                  Mistake("caf\ufffd", "Nothing is replaced: in `cp1252` both bytes stand for a character, only for "
                                       "others."),
                  Mistake("caf\xe9\xe9", "The two bytes are not two copies of the letter."),
                  Mistake("caf", "No byte is dropped: each of the two becomes a character."))),
    Exercise(
        "A text with its provenance", """
        Write `make_record(text, source, licence)`. It returns a dictionary with the keys `text`, `source`, `licence`
        and `sha256`. A licence of nothing but blanks raises `ValueError`.
        """, make_record, inputs=_draw_text, imports="import hashlib",
        hints=("`licence.strip()` is empty if there are only blanks.",
               "A hash is made of bytes: `text.encode()` gives them in UTF-8.",
               "`hashlib.sha256(...).hexdigest()` gives the 64 digits."),
        mistakes=(Mistake(_no_check, "A text without a licence is taken; later nobody knows whether it may be used."),
                  Mistake(_only_empty, "A licence of one blank passes, and says just as little."),
                  Mistake(_silent_unknown, "'unknown' was put in silently. Whoever calls should have to say so."),
                  Mistake(_hash_of_source, "The hash is that of the source, so a changed text would go unseen."),
                  Mistake(_in_latin, "The bytes are not those of UTF-8, so the hash is not that of the text as "
                                     "stored."))),
    Exercise(
        "What did the reader lose?",
        "Write `precision_recall(found, true)` for two texts whose words stand apart by blanks.",
        precision_recall, inputs=_draw_bags, imports="from collections import Counter",
        hints=("A `Counter` holds how often each word comes. What does `&` of two counters give?",
               "`(a & b).total()` is the number of shared words. Divide it by the words found, and by the true words."),
        mistakes=(Mistake(_as_sets, "As sets, a word that comes twice counts once."),
                  Mistake(_swapped, "Precision divides by the words found, recall by the true words; here it is the "
                                    "reverse."),
                  Mistake(_by_place, "Words are compared place by place; one missing word at the start would spoil "
                                     "all."),
                  Mistake(_any_copy, "A word that was found three times, and is true once, counts three times."))),
    Exercise(
        "A generator after its error", """
        What is in `found` at the end? Write the list.

        ```python
        def numbers():
            for text in ("1", "x", "3"): yield int(text)

        given, found = numbers(), []
        while len(found) < 3:
            try: found.append(next(given))
            except ValueError: found.append("bad")
            except StopIteration: found.append("end")
        ```
        """, _after_an_error, kind="predict",
        hints=("What does a generator do once an error has left it?",
               "It is finished: the next `next` raises `StopIteration`."),
        mistakes=(Mistake([1, "bad", 3], "A generator cannot go on behind an error of its own; this is why the "
                                         "readers yield "
                                         "errors."),
                  Mistake([1, "bad", "bad"], "It does not try the same text again; it is finished."),
                  Mistake([1, "end", "end"], "The error itself does come out first, as a `ValueError`."))),
    Exercise(
        "A bad line costs a line",
        "`read_jsonl` gives up at the first bad line, and the good ones behind it are lost. Mend it.",
        read_jsonl, kind="mend", inputs=_draw_lines, imports="import json",
        hints=("The `try` stands around the whole loop. Where should it stand?",
               "What about a line like `{\"text\": 5}`? Its text is none."),
        mistakes=(Mistake(_stops, "The first bad line ends the loop, so the lines behind it are neither kept nor "
                                  "counted."),
                  Mistake(_from_zero, "Lines are numbered from 1, as editors do, so that somebody can go and look."),
                  Mistake(_no_text_kept, "The number 5 was kept as a text; a usable line holds a string."),
                  Mistake(_silently, "The bad lines are passed over, and nobody hears of them."))),
    Exercise(
        "What a visitor sees", """
        Write `visible_text(page)`: the words of a page without those of `script`, `style` and `nav`. Put one blank
        between the texts of neighbouring tags.
        """, visible_text, inputs=_draw_page, imports="import re\n\nfrom lxml import html as lxml_html",
        hints=("`lxml_html.document_fromstring(page)` gives the tree, and its `xpath(\"//script | //style | "
               "//nav\")` what "
               "has to go.",
               "`element.drop_tree()` removes an element and keeps the text that stands behind it.",
               "`\" \".join(root.itertext())` joins all texts; `split` and `join` once more leave single blanks."),
        mistakes=(Mistake(_every_tag, "The tags are gone, and the text of the script is still there."),
                  Mistake(_glued, "Two blocks are glued together: `text_content` puts nothing between them."),
                  Mistake(_tail_lost, "The text behind the script is lost: in lxml it hangs on the element as its "
                                      "tail."),
                  Mistake(_menu_kept, "The menu is no part of the text."))),
    Exercise(
        "Which reader for reviews?", """
        You want reviews, and on this shop's pages they stand among the comments. `shop_page(number)` gives a page and
        the words of its review. Read at least ten pages with `html_text` and with `main_text`, give the recall of the
        review's words on each, and say which `reader` you take.
        """, compare_readers, kind="decide", verify=_judge,
        imports="import re\nfrom collections import Counter\n\nfrom llmcourse.collection import html_text, main_text\n"
                "from llmcourse.data import load_data",
        stub=inspect.getsource(shop_page) + "\nanswer = {\"html_text\": [...], \"main_text\": [...], \"reader\": ...}",
        hints=("Words: `re.findall(r\"\\w+\", text.lower())`, in a `Counter`.",
               "Recall: the shared words, divided by the words of the review.",
               "Which is worse here, to lose the review or to drag the product's description along?"),
        mistakes=(Mistake({"html_text": [1.0], "main_text": [0.1], "reader": "html_text"}, "at least ten pages"),
                  Mistake({"html_text": [1.0] * 10, "main_text": [0.1] * 10, "reader": "main_text"}, "by your own "
                                                                                                     "figures"),
                  Mistake({"html_text": [0.7] * 10, "main_text": [0.1] * 10, "reader": "html_text"},
                          "divide by the words of the review"))),
]

QUESTIONS = [
    Question("Why does each text carry its own source and licence, and not the corpus as a whole?",
             ("So that single texts can be taken out later.",
              "If a publisher objects to one book, only that book has to go."),
             (("So that the corpus takes less space.", "It takes more: the fields stand beside every text."),
              ("So that the model can name its sources.",
               "The model sees only the text. The fields are for those who answer for the corpus."))),
    Question("One reader keeps banners, another loses some paragraphs. Which fault is worse at this point?",
             ("The lost paragraphs: no later step brings them back.",
              "Banners can still be filtered, because the same sentence comes on every page."),
             (("The banners: a model learns what it sees.",
               "It would, if nothing came between. Filtering and removing duplicates come next."),
              ("Neither, as long as precision plus recall is the same.",
               "The sum hides the difference that matters here: too much can be mended, too little cannot."))),
    Question("The header of a ZIP member says 1 kB. Why count the bytes that come out all the same?",
             ("The header is written by whoever made the file.",
              "In the lesson a bomb with a false header unpacks until the count stops it."),
             (("Headers are rounded and not exact.", "An honest header is exact; the trouble is a dishonest one."),
              ("Counting is faster than reading a header.", "It is slower. It is the only number one can trust."))),
    Question("A page begins with a UTF-8 byte order mark; its meta tag says latin1. How is it read?",
             ("As UTF-8: the mark stands in the bytes themselves.",
              "Browsers believe the mark first, then the header, then the tag."),
             (("As latin1: the author said so.", "Tags are often copied from elsewhere, so they come later in the "
                                                 "order."),
              ("Not at all, since the two contradict each other.",
               "Contradictions are common. A fixed order of belief settles them."))),
    Question("A run over a folder reports 1,000 refusals, all with the same reason. What do you do?",
             ("Look at some of the files: the reader may be at fault.",
              "A single reason a thousand times often means a format that the reader does not know."),
             (("Nothing: bad files are refused, as they should be.",
               "What is refused is lost, and it may be good."),
              ("Raise the limits until nothing is refused.",
               "The limits guard memory and time. First see what the files are."))),
]
