"""Hostile text takes time in proportion to its length: four times the input may take eight times as long, not sixteen.

Every public function that strangers' text reaches is asked, with each of the pieces below repeated. A new one belongs
in `READERS`, in one line. Times are of the processor; below `FLOOR` the clock says nothing.
"""
import io
import time
import zipfile

import pytest

FLOOR, RATIO = 0.02, 8      # seconds; four times the input, with room for noise
PIECES = (
    "a", "a ", "A.", "1", "1-", "1 ", ".", "@a", "a@a.", "@", "http://a.b/", "www.", "&amp", "&#5", "&", "<a ", "<b>",
    "<!--", "<p x='", "</p>", "]]>", "\"", "'", "\"a,", "a,\"b\n", "(", "*", "* ", " ", "\n", "\n\n ", "\t", "\r",
    "é", "Ã©", "\u0301", "\u0301\u0323", "\u200b", "\u200d", "\U0001f468\u200d", "ا", "今", "。", "...", "- ",
    "not ",
    "{\"", "[", "\\", "/../", "%2e", "/a1", ";", ",", ":", "=", "12.1.2020 ", "+49 ", "DE89 ", "trailer<<",
    "1 0 obj\n<<>>\nendobj\n", "startxref\n1\n", "xref\n0 1\n", "stream\n",
    "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n", "*END*THE SMALL PRINT!", "End of Project Gutenberg ")
NESTED = (("&#5", ";"), ("&amp;" * 3 + "lt", ";"), ("(", ")"), ("<div>", "</div>"), ("[", "]"), ("\"", "\""))

def texts(size):
    "Each piece to about this many characters, and each pair nested."
    for piece in PIECES: yield repr(piece), piece * (size // len(piece))
    for left, right in NESTED:
        count = size // len(left + right)
        yield repr(left + right), left * count + right * count

def seconds(function, given):
    start = time.process_time()
    try: function(given)
    except ValueError: pass       # a refusal is an answer; an UnreadableError is a ValueError
    return time.process_time() - start

def grows_too_fast(function, make, size):
    "How many times as long four times the input takes, if that is too much. Only a suspect is looked at again."
    for _ in range(3):
        ratio = seconds(function, make(4 * size)) / max(seconds(function, make(size)), FLOOR)
        if ratio < RATIO: return 0
    return ratio

def chapters(text):
    "An EPUB of one chapter, and the same text as the name of a file in its list."
    name = text[:200].replace("\0", "")
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as book:
            place = "<rootfiles><rootfile full-path='b.opf'/></rootfiles>"
            book.writestr("META-INF/container.xml", f"<container>{place}</container>")
            manifest = "<manifest><item id='a' href='a.xhtml'/></manifest>"
            book.writestr("b.opf", f"<package>{manifest}<spine><itemref idref='a'/>{name}</spine></package>")
            book.writestr("a.xhtml", text)
        return file.getvalue()

def collection():
    from llmcourse import collection as c
    # main_text: trafilatura takes the square of the depth of nesting, which ends where lxml does, at 2,048
    rows = lambda reader, head=b"": lambda text: list(reader(io.BytesIO(head + text.encode()), "text"))
    page = lambda reader: lambda text: reader(b"<html><body>" + text.encode())
    kinds = ("text", "html", "xml")
    return {"decode_text": (lambda text: [c.decode_text(text.encode(), kind=kind) for kind in kinds], 20_000),
            "decode_text of no UTF-8": (lambda text: c.decode_text(b"\xe9 " + text.encode("utf-16-le")), 20_000),
            "html_text": (page(c.html_text), 10_000), "main_text": (page(c.main_text), 1_000),
            "plain_text": (page(c.plain_text), 20_000), "strip_gutenberg": (c.strip_gutenberg, 20_000),
            "read_document": (lambda text: c.read_document("a", text.encode()), 10_000),
            "epub_text": (lambda text: c.epub_text(chapters(text)), 10_000),
            "pdf_text": (lambda text: c.pdf_text(b"%PDF-1.7\n" + text.encode()), 4_000),
            "csv_rows": (rows(c.csv_rows, b"id,text\n1,"), 8_000),
            "csv_rows in quotes": (rows(c.csv_rows, b'id,text\n1,"'), 8_000),
            "jsonl_rows": (rows(c.jsonl_rows), 8_000), "jsonl_rows inside": (rows(c.jsonl_rows, b'{"text": "'), 8_000)}

def crawling():
    from llmcourse import crawling as c
    def links(text): return b"<a href=b>" * (len(text) // 40) + b"<a href='" + text.encode()
    return {"normalize": (lambda text: c.normalize(text, "http://a/b/"), 4_000),
            "normalize a path": (lambda text: c.normalize("http://a/" + text), 4_000),
            "pattern_of": (lambda text: c.pattern_of("http://a/" + text), 4_000),
            "seconds_asked": (c.seconds_asked, 4_000), "robots_wishes": (c.robots_wishes, 4_000),
            "page_facts": (lambda text: c.page_facts(b"<p>" + text.encode(), "http://a/", text), 10_000),
            "page_facts of links": (lambda text: c.page_facts(links(text), "http://a/"), 10_000)}

def preprocessing():
    from llmcourse import preprocessing as p
    names = ("unescape", "squeeze", "settle", "clean_text", "clean_document")
    return {name: (getattr(p, name), 4_000) for name in names}

def filtering():
    from llmcourse import filtering as f
    return {"not_english": (f.not_english, 10_000), "language_of": (f.language_of, 10_000),
            "quality_problem": (f.quality_problem, 10_000), "code_share": (f.code_share, 10_000),
            "quality_problem of a document": (lambda text: f.quality_problem(text, f.GOPHER), 10_000)}

def deduplication():
    from llmcourse import deduplication as d
    def crowd(text): return [text[:10]] * (len(text) // 20)
    return {"normal_form": (d.normal_form, 4_000), "exact_copies": (lambda text: d.exact_copies([text, text]), 4_000),
            "near_duplicates": (lambda text: d.near_duplicates([text, text]), 500),
            "ngram_overlap": (lambda text: d.ngram_overlap([text], [text]), 2_000),
            "contamination of a crowd": (lambda text: d.contamination(crowd(text), crowd(text)), 1_000)}

def anonymization():
    from llmcourse import anonymization as a
    finders = ("find_emails", "find_cards", "find_ibans", "find_ips", "find_urls", "find_names", "find_handles")
    return {name: (getattr(a, name), 8_000) for name in finders} | {
        "find_phones": (a.find_phones, 1_000), "anonymize": (a.anonymize, 1_000)}

def applications():
    from llmcourse.applications import split_sentences
    return {"split_sentences": (split_sentences, 2_000)}

def tokenizer():
    from llmcourse import tokenizer as t
    bpe = t.BPE.train(["the cat's mat isn't 12 3!!!  \n\n x\r\n\ty aaaa <b>"] * 9, 300)
    return {"pre_tokenize": (t.pre_tokenize, 4_000), "BPE.encode": (bpe.encode, 4_000),
            "BPE.encode_iterable": (lambda text: list(bpe.encode_iterable([text])), 4_000)}

READERS = (collection, crawling, preprocessing, filtering, deduplication, anonymization, applications, tokenizer)

@pytest.mark.parametrize("module", READERS, ids=lambda module: module.__name__)
def test_time_grows_with_the_text(module):
    found = {}
    for name, (function, size) in module().items():
        seconds(function, "warm up, with \"words\" & such.")
        large, small = dict(texts(4 * size)), dict(texts(size))
        for piece in small:
            ratio = grows_too_fast(function, lambda length: (large if length > size else small)[piece], size)
            if ratio: found[name, piece] = f"{ratio:.0f} times as long"
    assert not found, found
