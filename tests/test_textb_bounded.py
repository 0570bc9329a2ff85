"""Every public text function of lessons 6, 7, 8 and 11 takes a time that grows with the length of its input."""
import time
from functools import partial

import pytest

from llmcourse.anonymization import (anonymize, census_names, find_cards, find_digits, find_emails, find_handles,
                                     find_ibans, find_ips, find_listed, find_names, find_personal, find_phones, find_urls, url_secrets)
from llmcourse.data_card import _PERSONAL, mentions
from llmcourse.filtering import GOPHER, language_of, not_english, quality_problem
from llmcourse.preprocessing import clean_document, clean_text, settle, squeeze, unescape

FUNCTIONS = {f.__name__: f for f in (
    find_cards, find_digits, find_emails, find_handles, find_ibans, find_ips, find_names, find_personal, find_phones,
    find_urls, url_secrets, language_of, not_english, quality_problem, clean_document, clean_text, settle, squeeze, unescape)}
FUNCTIONS |= {f"anonymize, {how}": partial(anonymize, how=how) for how in ("mask", "remove")}
FUNCTIONS |= {"quality of documents": partial(quality_problem, rules=GOPHER),
              "find_listed": lambda text: list(find_listed(text, census_names())),
              "mentions": lambda text: mentions([text], ["she", "her"])}
PIECES = ["a", "1", " ", "\n", "\n \n", "@", "@a", "a@", "a@b.c", ".", "1.", "1 ", "A-", "Mr A-", "Hi ", "Yours \n", "Dear A, ",
          ":", "www.,", "http://", "12:30", "2024-", "555 123 4567 ", "(1) ", "+1", "&#5", "&amp;", "&", ";", "Â", "Ã‚",
          "é", "_\u0301", "\u0301\u0323", "\u200b", "\u0301\u200d", "\U0001f468\ufe0f,", "谢1", "–", "a b c ", "- a\n", "a...\n", "#"]

def quickest(function, text, calls=2):
    took = []
    for _ in range(calls):
        started = time.process_time()
        result = function(text)
        if hasattr(result, "__next__"): list(result)
        took.append(time.process_time() - started)
    return min(took)

@pytest.mark.parametrize("name", FUNCTIONS)
def test_four_times_the_text_takes_less_than_eight_times_as_long(name):
    function, slow = FUNCTIONS[name], {}
    for piece in PIECES:
        for before, after in (("", ""), ("Yours &#x26", ";;; ©")):
            def time_at(n, calls=2): return quickest(function, before + piece * (n // len(piece)) + after, calls)
            short, long = time_at(1_500, 1), time_at(6_000, 1)
            if long > 8 * max(short, 0.004):                    # look again: another program may have slowed one down
                short, long = time_at(1_500, 3), time_at(6_000, 3)
            if long > 8 * max(short, 0.004): slow[before, piece, after] = (short, long)
    assert not slow, slow

def test_nested_entities_are_one_pass():
    for make in (lambda n: "&#5" * n + ";" * n, lambda n: "&semi" * n + ";" * n, lambda n: "&" + "amp;" * n):
        assert quickest(unescape, make(40_000)) < 8 * max(quickest(unescape, make(10_000)), 0.004)

def test_patterns_of_the_data_card():
    import re
    for pattern in _PERSONAL.values():
        for piece in PIECES:
            find = lambda text: re.search(pattern, text, re.I)
            short, long = (quickest(find, piece * (n // len(piece))) for n in (5_000, 20_000))
            assert long < 8 * max(short, 0.004), (pattern, piece, short, long)
