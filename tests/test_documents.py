"""A library keeps its word: what is deleted is gone, what is stored is whole, threads do not mix, bad input refused."""
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from llmcourse.documents import (BM25, Library, choose_threshold, cut_passages, documents_app, fuse, load_library,
                                 save_library, share_found, split_sentences)

SHOP = "The shop opens at nine. It sells bread and cake. On Sunday the shop is closed."
BANK = "The bank lends money at four per cent. Ask ann.b@shop.co.uk or call +44 20 7946 0958."


@pytest.fixture(scope="module")
def opened():
    "The model, opened once."
    library = Library()
    library.embed(["once"])
    return library._encoder, library.model


@pytest.fixture
def library(opened):
    found = Library()
    found._encoder, found.model = opened
    found.add("shop", SHOP, "The corner shop")
    found.add("bank", BANK)
    return found


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 60), st.integers(0, 4))
@settings(deadline=None, derandomize=True)
def test_every_sentence_is_in_a_passage(lengths, words, overlap):
    found = cut_passages(["w " * n for n in lengths], words, overlap)
    assert {i for start, stop in found for i in range(start, stop)} == set(range(len(lengths)))
    assert all(a < c and b <= d for (a, b), (c, d) in zip(found, found[1:])), "passages go forward"
    assert all(sum(lengths[a:b - 1]) < words for a, b in found), "none is longer than it has to be"


@given(st.permutations(range(6)), st.permutations(range(6)))
@settings(deadline=None, derandomize=True)
def test_fusion_takes_no_sides(one, other):
    assert fuse(one, other) == fuse(other, one)
    assert set(fuse(one, other)) == set(range(6)) and list(fuse(one, one)) == list(one)


def test_words_of_all_scripts_are_counted():
    scores = BM25(["Größe der Straße", "размер улицы", ""]).scores("УЛИЦЫ größe")
    assert scores[0] > 0 and scores[1] > 0 and scores[2] == 0
    assert BM25([]).scores("a").shape == (0,) and not BM25(["", ""]).scores("a").any()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(0, 0.99))
@settings(deadline=None, derandomize=True)
def test_threshold_refuses_no_more_than_it_may(cosines, most):
    threshold = choose_threshold([*cosines, 0.99], [True] * len(cosines) + [False], most)
    assert sum(cosine < threshold for cosine in cosines) <= most * len(cosines)


def test_source_is_counted_in_words():
    assert share_found("ten", "tenfold") == 0 and share_found("", "anything") == 0
    assert share_found("The Ten", "ten!") == 1


def test_answers_carry_their_sentence(library):
    found = library.answer("When does the shop open?")
    assert (found.document, found.sentence, found.text) == ("shop", 0, "The shop opens at nine.") and not found.refused
    written = library.answer("When is it closed?", lambda messages: "on Sunday")
    assert (written.text, written.document, written.sentence) == ("on Sunday", "shop", 2)
    assert split_sentences(SHOP)[written.sentence] == written.quote


@pytest.mark.parametrize("said, reason", [("Not in the text.", "finds no answer"), ("", "finds no answer"),
                                          ("a purple elephant", "stands in no passage")])
def test_a_written_answer_without_source_is_refused(library, said, reason):
    found = library.answer("When does the shop open?", lambda messages: said)
    assert reason in found.refused and not found.text and found.sentence == -1


def test_personal_data_never_get_in(library, tmp_path):
    save_library(library, tmp_path)
    stored = (tmp_path/"library.json").read_text(encoding="utf-8")
    assert "ann.b" not in stored and "7946" not in stored and "[EMAIL]" in stored
    library.add("title", "Some text.", "Letter of ann.b@shop.co.uk")
    assert "ann.b" not in library.documents["title"]["title"]


def test_deleted_is_gone(library, tmp_path):
    save_library(library, tmp_path)
    library.delete("bank")
    assert all(hit.passage.document == "shop" for hit in library.search("Who lends money?"))
    save_library(library, tmp_path)
    assert "lends" not in (tmp_path/"library.json").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 2, "the old vectors should be gone"


def test_a_crash_between_the_two_files_leaves_the_old_library(library, opened, tmp_path, monkeypatch):
    save_library(library, tmp_path)
    library.add("third", "A third document.")
    real = json.dumps
    monkeypatch.setattr("llmcourse.documents.json.dumps", lambda *a, **k: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError): save_library(library, tmp_path)
    monkeypatch.setattr("llmcourse.documents.json.dumps", real)
    assert list(load_library(tmp_path).documents) == ["shop", "bank"]


def test_an_add_that_fails_leaves_nothing(library, monkeypatch):
    monkeypatch.setattr(library, "embed", lambda texts: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError): library.add("new", "Some text.")
    assert "new" not in library.documents and "new" not in library.vectors


def test_threads_do_not_mix(library):
    def work(i):
        library.add(f"d{i}", f"Room {i} is painted {'red' if i % 2 else 'blue'}.")
        found = library.search(f"Which colour has room {i}?", 3)
        if i % 3 == 0: library.delete(f"d{i}")
        return len(found)
    with ThreadPoolExecutor(4) as pool: assert min(pool.map(work, range(12))) > 0
    passages, matrix, _ = library.index
    assert len(passages) == len(matrix) == 10
    rows = {passage.document: row for passage, row in zip(passages, matrix)}
    assert all(np.allclose(library.vectors[name][0], row, atol=1e-5) for name, row in rows.items())


@pytest.fixture
def client(library, tmp_path):
    return TestClient(documents_app(library, tmp_path/"kept")), tmp_path/"kept"


def test_changes_are_stored_before_they_are_told(client):
    client, folder = client
    assert client.post("/documents", json={"name": "a b", "text": "Some text."}).status_code == 201
    assert list(load_library(folder).documents) == ["shop", "bank", "a b"]
    assert client.delete("/documents/a%20b").json() == {"deleted": "a b"}
    assert [one["name"] for one in client.get("/documents").json()["documents"]] == ["shop", "bank"]


@pytest.mark.parametrize("body, status", [
    ({"name": "shop", "text": "x"}, 409), ({"name": "", "text": "x"}, 422), ({"name": "a/b", "text": "x"}, 422),
    ({"name": "a", "text": " \u200b"}, 422), ({"name": "a"}, 422), ({"name": "a", "text": "x" * 500_001}, 422),
    ({"name": " ", "text": "x"}, 422), ({"name": "a", "text": "x\ud800y"}, 422)])
def test_bad_documents_are_refused_in_a_sentence(client, body, status):
    answer = client[0].post("/documents", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status and isinstance(answer.json()["error"], str)
    assert len(client[0].get("/documents").json()["documents"]) == 2


@pytest.mark.parametrize("body", [{"question": ""}, {"question": " \u200b"}, {"question": "a", "passages": 0}, {}, [],
                                  {"question": "x\ud800y"}, {"question": "x" * 1_001}])
def test_bad_questions_are_refused_in_a_sentence(client, body):
    answer = client[0].post("/ask", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == 422 and isinstance(answer.json()["error"], str)


def test_keys_guard_the_documents(library):
    app = TestClient(documents_app(library, keys={"ann": "secret"}))
    assert app.get("/documents").status_code == 401
    assert app.get("/documents", headers={"authorization": "Bearer secret"}).status_code == 200


def test_added_at_once_by_two_only_one_wins(client):
    client, codes = client[0], []
    def post(): codes.append(client.post("/documents", json={"name": "twin", "text": "Some text."}).status_code)
    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert sorted(codes) == [201, 409, 409]


def test_questions_of_the_stored_run_are_split_by_document():
    rows = json.loads((ROOT/"llmcourse"/"measured"/"documents.json").read_text(encoding="utf-8"))["rows"]
    halves = {split: {row["document"] for row in rows if row["split"] == split} for split in ("validation", "test")}
    assert not halves["validation"] & halves["test"] and min(map(len, halves.values())) > 20
    assert len({row["question"] for row in rows}) == len(rows)
    assert all(("answers" in row) == (row["kind"] == "answered") for row in rows)
