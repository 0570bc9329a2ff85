"""Exercises answer: solutions pass, every known mistake is told by name, and lessons show what the checks mean."""
import ast
import inspect
import subprocess
import sys

import lessons
import pytest
from conftest import ROOT

from llmcourse.practice import (
    answer_cell, examine, exercises_of, lesson_cells, lessons_with_exercises, solution_code)

BANKS = lessons_with_exercises()
EXERCISES = [exercise for lesson in BANKS for exercise in exercises_of(lesson)[0]]
KINDS = {"write", "predict", "mend", "decide"}
REBUILT_LATER = {*range(45, 52)}   # customization: exercises come with its rebuild
FIRST_REFERENCE = 64                               # coverage, roads, doctor, command line: nothing to answer
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
each_lesson = pytest.mark.parametrize("lesson", BANKS)


def path_of(lesson: int):
    return next(path for path in lessons.lessons() if lessons.number(path) == lesson)


@each_exercise
def test_solution_passes(exercise):
    if exercise.inputs: answer = exercise.solution
    else: answer = exercise.solution() if callable(exercise.solution) else exercise.solution
    for seed in range(3):
        verdict = examine(exercise, answer, seed)
        assert verdict.state == "right", verdict.text


@each_exercise
def test_printed_solution_runs_alone(exercise):
    "What a learner is shown works with the imports of the section and what the empty cell holds, and nothing else."
    names = {}
    imports = lesson_cells(int(exercise.id.split(".")[0]))[1][1]
    exec(compile("\n".join([imports, answer_cell(exercise), solution_code(exercise)]), exercise.id, "exec"), names)
    answer = names[exercise.solution.__name__] if exercise.inputs else names["answer"]
    verdict = examine(exercise, answer, 0)
    assert verdict.state == "right", verdict.text


@each_exercise
def test_mistakes_are_named(exercise):
    assert len({mistake.says for mistake in exercise.mistakes}) >= 3, "three wrong answers, each with its own sentence"
    for mistake in exercise.mistakes:
        is_value = not exercise.inputs and callable(mistake.answer)
        for seed in range(3):
            verdict = examine(exercise, mistake.answer() if is_value else mistake.answer, seed)
            assert verdict.state == "wrong" and mistake.says in verdict.text, f"{mistake.says!r} not in {verdict}"


@each_exercise
def test_empty_cell_is_no_answer(exercise):
    found, code = {}, "\n".join([inspect.cleandoc(exercise.imports), answer_cell(exercise)])
    exec(compile(code, exercise.id, "exec"), {"check": lambda id, answer: found.update({id: answer})})
    expected = "wrong" if exercise.kind == "mend" else "empty"
    verdict = examine(exercise, found[exercise.id], 0)
    assert verdict.state == expected, verdict


def definitions(code: str, nodes=(ast.FunctionDef, ast.Assign)) -> dict[str, str]:
    "What a piece of code defines at its top, each as normal Python."
    named = lambda node: getattr(node, "name", None) or getattr(node.targets[0], "id", "")
    return {named(node): ast.unparse(node) for node in ast.parse(code).body if isinstance(node, nodes)}


@each_exercise
def test_what_the_cell_gives_is_what_the_check_uses(exercise):
    "A helper that stands in the cell and in the bank is one and the same."
    bank = ROOT/"llmcourse"/"exercises"/f"{BANKS[int(exercise.id.split('.')[0])]}.py"
    ours, theirs = definitions(bank.read_text(encoding="utf-8")), definitions(answer_cell(exercise))
    own = exercise.solution.__name__ if exercise.inputs else "answer"
    assert [name for name in theirs if name != own and name in ours and theirs[name] != ours[name]] == []


@each_exercise
def test_exercise_has_its_parts(exercise):
    assert exercise.kind in KINDS and exercise.title and exercise.task.strip()
    assert len(exercise.hints) >= 2, "hints come in steps"
    if exercise.kind == "write" and not exercise.stub:
        assert ast.get_docstring(ast.parse(answer_cell(exercise)).body[0]), "the docstring says what to write"


@each_lesson
def test_lesson_has_enough(lesson):
    exercises, questions = exercises_of(lesson)
    kinds = {exercise.kind for exercise in exercises}
    assert len(exercises) >= 4 and len(kinds) >= 3, f"four exercises of three kinds, not {len(exercises)} of {kinds}"
    assert len({exercise.title for exercise in exercises}) == len(exercises), "titles keep the progress apart"
    assert 3 <= len(questions) <= 5
    for question in questions:
        reasons = [reason for _, reason, _ in question.choices()]
        assert len(question.wrong) >= 2 and all(reasons) and len(set(reasons)) == len(reasons), question.text


@each_lesson
def test_lesson_shows_its_exercises(lesson):
    path = path_of(lesson)
    assert path.stem.split("_", 1)[1] == BANKS[lesson].split("_", 2)[2], "a bank bears the name of its lesson"
    assert lessons.is_current(path), f"run: python tools/lessons.py --exercises {path.relative_to(ROOT)}"


def test_every_lesson_has_exercises():
    numbers = {lessons.number(path) for path in lessons.lessons()} - {None} - REBUILT_LATER
    assert sorted(n for n in numbers - set(BANKS) if n < FIRST_REFERENCE) == []


def test_banks_hold_no_unknown_or_unused_name():
    files = sorted((ROOT/"llmcourse"/"exercises").glob("*.py"))
    done = subprocess.run([sys.executable, "-m", "pyflakes", *map(str, files)], capture_output=True, text=True)
    assert done.stdout == ""
