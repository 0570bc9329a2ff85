"""The project is what it says it is: code, notebooks, README.md and reading order belong together."""
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

import lessons
import pytest
from conftest import BUILT, ROOT, run, tool

PACKAGE = ROOT/"llmcourse"
LESSONS = [path for path in lessons.lessons() if path.name != "index.ipynb"]
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)


def number(path: Path) -> int:
    "The number of a lesson: 2 for 03_data.ipynb."
    return int(re.match(r"(\d+)_", path.name)[1])


def code_cells(path: Path) -> list[str]:
    "The code of a lesson, without lines for IPython only."
    return [re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M)
            for cell in lessons.read(path).cells if cell.cell_type == "code"]


def module_of(path: Path) -> str | None:
    "The module that a lesson exports to."
    found = re.search(r"^#\| *default_exp +(\w+)", "\n".join(code_cells(path)), re.M)
    return found and found[1]


def modules() -> dict[str, Path]:
    "Every exported module with its lesson."
    return {module: path for path in LESSONS if (module := module_of(path))}


def imported_from_course(code: str) -> set[str]:
    "The modules of the course that some code imports, wherever in it."
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            name = "llmcourse." * (node.level > 0) + (node.module or "")
            if name.rstrip(".") == "llmcourse": found |= {alias.name for alias in node.names}
            elif name.startswith("llmcourse."): found.add(name.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("llmcourse.")}
    return found


def exported(module: str) -> list:
    "The functions and classes that a module exports, as syntax trees."
    tree = ast.parse((PACKAGE/f"{module}.py").read_text(encoding="utf-8"))
    public = next(ast.literal_eval(node.value) for node in tree.body
                  if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
    return [node for node in tree.body if getattr(node, "name", None) in public]


def test_code_is_in_sync_with_notebooks(copy):
    run(tool("nbdev_export"), cwd=copy)
    here, there = ({path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
                   for folder in (PACKAGE, copy/"llmcourse"))
    assert [name for name in sorted(here | there) if here.get(name) != there.get(name)] == []


def test_every_module_has_a_lesson():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "_modidx", *modules()}


def test_notebooks_are_clean(copy):
    run(tool("nbdev_clean"), cwd=copy)
    changed = [path.name for path in lessons.lessons()
               if json.loads(path.read_bytes()) != json.loads((copy/path.relative_to(ROOT)).read_bytes())]
    assert changed == []


@each_lesson
def test_lesson_opens_without_a_question_and_its_imports_are_folded(path):
    nb = lessons.read(path)
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    assert kernel == "python3", "Jupyter asks for a kernel where none is named; run: python tools/lessons.py"
    unfolded = [cell.source for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()
                and (lessons.holds_imports_only(cell.source) and not lessons.in_exercises(cell))
                != bool(cell.metadata.get("jupyter"))]
    assert unfolded == [], "run: python tools/lessons.py"


@each_lesson
def test_outputs_belong_to_the_code(path):
    nb = lessons.read(path)
    fresh, errors = lessons.is_fresh(nb), [out.ename for cell in nb.cells for out in cell.get("outputs", [])
                                           if out.output_type == "error"]
    assert fresh, f"run: python tools/lessons.py {path.relative_to(ROOT)}"
    assert errors == []


@each_lesson
def test_outputs_name_no_place_of_a_machine(path):
    printed = [text for cell in lessons.read(path).cells for out in cell.get("outputs", [])
               for text in (out.get("text", ""), *out.get("data", {}).values()) if isinstance(text, str)]
    place = re.compile(r"(?<![\w.<:/])/(?:[\w.-]+/)+(?:nbs|\.venv|site-packages|llmcourse)/")
    assert [found[0] for text in printed for found in place.finditer(text)] == [], "run: python tools/lessons.py"


def test_lessons_are_numbered_once():
    assert [n for n, times in Counter(map(number, LESSONS)).items() if times > 1] == []
    parts = [path.parent.name for path in LESSONS]
    assert parts == sorted(parts), "numbers run through the parts in order"


@each_lesson
def test_imports_come_from_earlier_lessons(path):
    number_of = {module: number(lesson) for module, lesson in modules().items()}
    own = module_of(path)
    code = {name for cell in code_cells(path) for name in imported_from_course(cell)}
    if own: code |= imported_from_course((PACKAGE/f"{own}.py").read_text(encoding="utf-8"))
    too_late = {name for name in code - {own} if number_of.get(name, 0) >= number(path)}
    unknown = {name for name in code if name not in number_of}
    assert (too_late, unknown) == (set(), set())


@each_lesson
def test_subtitle_stands_on_one_line(path):
    quoted = [line for line in lessons.read(path).cells[0].source.splitlines() if line.startswith(">")]
    assert len(quoted) == 1, "the site shows only the first line"


def test_readme_is_in_sync_with_index():
    assert (ROOT/"README.md").read_text(encoding="utf-8") == lessons.readme_text()


@pytest.mark.parametrize("module", sorted(modules().keys() - {"cli"}))   # whose parameters carry the help that it shows
def test_exported_names_are_documented(module):
    source = (PACKAGE/f"{module}.py").read_text(encoding="utf-8")
    commented = {token.start[0] for token in tokenize.generate_tokens(io.StringIO(source).readline)
                 if token.type == tokenize.COMMENT}
    missing = []
    for node in exported(module):
        if not ast.get_docstring(node): missing.append(node.name)
        if isinstance(node, ast.ClassDef): continue
        args = node.args
        for arg in filter(None, [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]):
            if arg.end_lineno not in commented: missing.append(f"{node.name}({arg.arg})")
    assert missing == []


def test_no_file_names_a_machine_or_a_registry():
    place = re.compile(r"pypi[.]org|[p]ythonhosted|(?<![\w.])/(work|farm|root|home|tmp/author|tmp/env)/", re.I)
    found = []
    for path in ROOT.rglob("*"):
        if not path.is_file() or any(Path(part).match(pattern) for part in path.parts for pattern in BUILT): continue
        try: text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError: continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in place.finditer(text)]
    assert found == []


@each_lesson
def test_imports_stand_in_cells_of_their_own(path):
    mixed = []
    for code in code_cells(path):
        if re.match(r"#\| *export", code): continue
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(code).body}
        if kinds == {True, False}: mixed.append(code.splitlines()[0])
    assert mixed == [], "nbdev runs such cells, with all they hold, whenever the site is built"


def test_no_name_is_unknown_or_unused():
    files = [path for path in PACKAGE.glob("*.py") if path.name != "_modidx.py"]
    run(sys.executable, "-m", "pyflakes", *files)


def test_coverage_table_is_what_the_lessons_say():
    from llmcourse.coverage import collect, coverage_table
    shown = next(lesson for lesson in LESSONS if module_of(lesson) == "coverage")
    stored = [
        "".join(out["data"]["text/html"])
        for cell in lessons.read(shown).cells
        for out in cell.get("outputs", [])
        if "text/html" in out.get("data", {})
    ]
    assert stored == [coverage_table(collect(lessons.NBS))], f"run: python tools/lessons.py {shown.relative_to(ROOT)}"


@pytest.mark.parametrize("path", sorted((PACKAGE/"measured").glob("*.json")), ids=lambda path: path.name)
def test_stored_run_says_how_it_was_made(path):
    about = json.loads(path.read_text(encoding="utf-8"))["about"]
    for record in about if isinstance(about, list) else [about]:
        lacks = {"command", "seeds", "precision", "instruction_set", "data_sha256", "versions"} - record.keys()
        assert not lacks, f"the record lacks {', '.join(sorted(lacks))}; make it with training.provenance"
        script = re.search(r"experiments/\w+\.py", record["command"])
        assert script is None or (ROOT/script[0]).is_file(), f"{script[0]} is not there any more"


def test_map_and_sources_are_what_the_lessons_say():
    from llmcourse.course_map import map_table, sources_table
    page = next(lesson for lesson in LESSONS if module_of(lesson) == "course_map")
    stored = [out["data"]["text/html"] for cell in lessons.read(page).cells for out in cell.get("outputs", [])
              if "text/html" in out.get("data", {})]
    assert stored == [map_table(lessons.NBS), sources_table(lessons.NBS)], f"run: python tools/lessons.py {page.name}"


def test_every_word_is_defined_once_and_used_where_it_says():
    from pages import terms
    page = next(lesson for lesson in LESSONS if lesson.stem.endswith("_glossary"))
    text = "\n".join(cell.source for cell in lessons.read(page).cells)
    defined = re.findall(r"^- \*\*([^*]+)\*\*:", text, re.M)
    assert sorted(defined, key=str.lower) == defined and len(set(map(str.lower, defined))) == len(defined)
    prose = {number(path): "\n".join(cell.source for cell in lessons.read(path).cells).lower() for path in LESSONS}
    stems = {term: re.sub(r"(ication|ing|s)$", "", term.lower().split()[-1]) for term in defined}
    wrong = [f"{term}: lesson {n}" for term, sentence in terms().items()
             for n in map(int, re.findall(r"Lesson (\d+)\.", sentence)) if stems[term] not in prose.get(n, "")]
    assert wrong == []


@each_lesson
def test_asserts_say_what_was_expected(path):
    mute = [ast.unparse(node)[:80] for code in code_cells(path) for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Assert) and node.msg is None]
    assert mute == [], "give each a message, or use same, close or rejects of llmcourse.practice"


@pytest.mark.parametrize("path", lessons.lessons(), ids=lambda path: path.name)
def test_links_name_the_lesson_they_lead_to(path):
    prose = "\n".join(cell.source for cell in lessons.read(path).cells if cell.cell_type == "markdown")
    linked = re.findall(r"\[(?:[Ll]esson )?(\d+)\]\((?:[^()\s]*/)?(\d+)_\w+\.ipynb", prose)
    assert [pair for pair in linked if int(pair[0]) != int(pair[1])] == []


@each_lesson
def test_a_figure_comes_with_words(path):
    cells = [cell for cell in lessons.read(path).cells if cell.cell_type == "code"
             and any("image/png" in out.get("data", {}) for out in cell.outputs)]
    silent = [cell.source.splitlines()[0] for cell in cells if not re.match(r"#\| fig-alt: \S.{20,}", cell.source)]
    assert silent == [], "the first line of a cell with a plot says what one sees: #| fig-alt: ..."


COURSE = [path for path in LESSONS if re.match(r"[1-5]_", path.parent.name)]


@pytest.mark.parametrize(("path", "following"), list(zip(COURSE, COURSE[1:])), ids=lambda path: path.stem)
def test_next_question_leads_to_the_next_lesson(path, following):
    prose = "\n\n".join(cell.source for cell in lessons.read(path).cells if cell.cell_type == "markdown")
    asked = re.search(r"\*\*Next question:\*\*(.*?)(?:\n\n|$)", prose, re.S)
    assert asked and following.name in asked[1], f"{path.name} should end with a question that {following.name} answers"


MINUTES = dict(zip(("ten minutes", "fifteen minutes", "twenty minutes", "twenty-five minutes", "thirty minutes",
                    "thirty-five minutes", "forty minutes", "forty-five minutes", "fifty minutes", "fifty-five minutes",
                    "an hour", "an hour and a quarter", "an hour and a half"), [*range(10, 65, 5), 75, 90]))
README = (ROOT/"README.md").read_text(encoding="utf-8")


def minutes_of(path) -> int:
    "How long a lesson says it takes."
    prose = " ".join(" ".join(cell.source for cell in lessons.read(path).cells[:4]).split())
    return MINUTES[re.search(r"\*\*Time:\*\* ([a-z -]+?)(?:[,;.]| of | to | with | here)", prose)[1]]


@pytest.mark.parametrize("way", re.findall(r"^\| (an? .*|the whole), (\d+) hours \| (.*?) \|", README, re.M),
                         ids=lambda way: way[0])
def test_a_way_through_names_lessons_and_their_hours(way):
    "Numbers are links, `a to b` is all between, and the hours are the sum of what the lessons say."
    linked = re.findall(r"(to )?\[(\d+)\]\(nbs/\w+/(\d+)_", way[2])
    assert linked and all(int(said) == int(there) for _, said, there in linked)
    chosen = []
    for to, number, _ in linked: chosen += range(chosen[-1] + 1 if to else int(number), int(number) + 1)
    paths = {lessons.number(path): path for path in lessons.lessons()}
    assert round(sum(minutes_of(paths[number]) for number in chosen) / 60) == int(way[1])
