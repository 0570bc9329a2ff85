"""Working on a copy of the lessons loses nothing, and updates reach what was not touched."""
from lab import copy_lessons


def make(folder, **lessons):
    (folder/"images").mkdir(parents=True, exist_ok=True)
    for name, text in lessons.items(): (folder/f"{name}.ipynb").write_text(text)


def test_an_answer_stays_and_the_update_comes_beside_it(tmp_path):
    source, lab = tmp_path/"nbs", tmp_path/"lab"
    make(source, one="first", two="second")
    assert copy_lessons(source, lab)["new"] == ["one.ipynb", "two.ipynb"]
    (lab/"one.ipynb").write_text("my answer")
    make(source, one="first, updated", two="second, updated")
    done = copy_lessons(source, lab)
    assert (done["kept"], done["updated"]) == (["one.ipynb"], ["two.ipynb"])
    assert (lab/"one.ipynb").read_text() == "my answer"
    assert (lab/"one.new.ipynb").read_text() == "first, updated" and (lab/"two.ipynb").read_text() == "second, updated"


def test_a_second_copy_changes_nothing(tmp_path):
    source, lab = tmp_path/"nbs", tmp_path/"lab"
    make(source, one="first")
    copy_lessons(source, lab)
    (lab/"one.ipynb").write_text("my answer")
    assert copy_lessons(source, lab) == {"new": [], "updated": [], "kept": []}
    assert (lab/"one.ipynb").read_text() == "my answer"


def test_a_lesson_that_was_deleted_comes_back(tmp_path):
    source, lab = tmp_path/"nbs", tmp_path/"lab"
    make(source, one="first")
    copy_lessons(source, lab)
    (lab/"one.ipynb").unlink()
    assert copy_lessons(source, lab)["new"] == ["one.ipynb"] and (lab/"one.ipynb").read_text() == "first"
