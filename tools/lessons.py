"""Keep the lessons in order: export them, run those that changed, clean them, write README.md.

Usage: python tools/lessons.py            the lessons whose code changed since they last ran
       python tools/lessons.py NB [NB..]  these lessons, changed or not
       python tools/lessons.py --exercises NB [NB..]  these, and of a lesson that did not change its exercises only
       python tools/lessons.py --words NB [NB..]      tasks, hints and solutions as they are printed now; nothing runs

A lesson that ran carries, in its metadata, the hash of the code that ran. A lesson edited since then no longer matches,
so a test can tell outputs that belong to the code above them from outputs that do not.

The exercises and questions at the end of a lesson are written from `llmcourse/exercises/`. They need nothing of the
lesson, and have a hash of their own: where only they changed, only they run.
"""
import ast
import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbdev.clean import clean_nb
from nbdev.doclinks import nbdev_export
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"


def lessons() -> list[Path]:
    "All lessons in reading order: by number, `index.ipynb` first."
    return sorted((p for p in NBS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts),
                  key=lambda p: (p.name != "index.ipynb", p.name))


def read(path: Path):
    "The notebook at `path`."
    return nbformat.read(path, as_version=4)


def in_exercises(cell) -> bool:
    "Whether a cell belongs to the exercises and questions at the end of a lesson."
    return cell.id.startswith("practice-")


def fingerprint(nb, exercises: bool = False) -> str:
    "The hash of the code of a lesson, or of its exercises, in order."
    code = [cell.source for cell in nb.cells if cell.cell_type == "code" and in_exercises(cell) == exercises]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def is_fresh(nb) -> bool:
    "Whether the stored outputs come from the code as it stands."
    return nb.metadata.get("executed") == fingerprint(nb) and are_exercises_fresh(nb)


def are_exercises_fresh(nb) -> bool:
    "The same for the exercises; a lesson without any is fresh."
    return not any(map(in_exercises, nb.cells)) or nb.metadata.get("practised") == fingerprint(nb, exercises=True)


def number(path: Path) -> int | None:
    "The number of a lesson: 2 for 03_data.ipynb."
    found = re.match(r"(\d+)_", path.name)
    return int(found[1]) if found else None


def renew_exercises(nb, lesson: int | None) -> None:
    "Write the cells at the end of a lesson from its exercises, in place; what did not change keeps its outputs."
    from llmcourse.practice import lesson_cells, lessons_with_exercises
    old = {cell.id: cell for cell in nb.cells if in_exercises(cell)}
    nb.cells = [cell for cell in nb.cells if not in_exercises(cell)]
    if lesson not in lessons_with_exercises(): return
    for i, (kind, source) in enumerate(lesson_cells(lesson)):
        cell = (new_code_cell if kind == "code" else new_markdown_cell)(source, id=f"practice-{i:02d}")
        same = cell.id in old and old[cell.id].source == source
        nb.cells.append(old[cell.id] if same else cell)


def holds_imports_only(code: str) -> bool:
    "Whether a cell holds nothing to read: imports, or directives of nbdev."
    try: return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(code).body)
    except SyntaxError: return False                  # a line for IPython


def clean(nb) -> None:
    "Strip what nbdev strips, in place, keeping the marks that the lesson ran; name the kernel and fold the imports."
    for cell in nb.cells:
        cell.metadata.pop("jupyter", None)
        if cell.cell_type != "code" or in_exercises(cell) or not holds_imports_only(cell.source): continue
        cell.metadata["jupyter"] = {"source_hidden": True}
    clean_nb(nb, allowed_metadata_keys=["executed", "practised"], allowed_cell_metadata_keys=["jupyter"])
    nb.metadata["kernelspec"] = {"display_name": "python3", "language": "python", "name": "python3"}


def tidy(path: Path) -> None:
    "Clean a lesson that need not run; what is clean already stays untouched."
    nb, before = read(path), read(path)
    clean(nb)
    if nb != before: write(nb, path)


def drop_progress(nb) -> None:
    "Remove what progress bars leave behind, which says nothing once they are full."
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        cell.outputs = [o for o in cell.outputs if not _is_progress(o)]
        for output in cell.outputs:       # a widget whose kernel is gone; the page beside it still says something
            if "text/html" in output.get("data", {}): output.data.pop("application/vnd.jupyter.widget-view+json", None)
    nb.metadata.pop("widgets", None)


def _is_progress(output) -> bool:
    text = output.get("text", "") if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
    return bool(re.search(r"\d+%\|", text)) or (output.output_type == "display_data" and not text and
                                                "application/vnd.jupyter.widget-view+json" in output.get("data", {}))


def hide_paths(nb, folder: Path = ROOT) -> None:
    "Name files of this checkout from its top, in all that the cells printed; where it lies is nobody's business."
    short = lambda text: text.replace(f"{folder}/", "")
    for output in (o for cell in nb.cells if cell.cell_type == "code" for o in cell.outputs):
        if "text" in output: output["text"] = short(output["text"])
        for kind, text in output.get("data", {}).items():
            if isinstance(text, str) and kind.startswith("text/"): output["data"][kind] = short(text)


def write(nb, path: Path) -> None:
    "Write `nb` as a whole or not at all."
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as f:
        nbformat.write(nb, f)
    os.replace(f.name, path)


def execute(nb, folder: Path) -> None:
    "Run cells from a fresh kernel, in order, in place. Nobody's progress is touched."
    os.environ["LLMCOURSE_PROGRESS"] = "off"
    NotebookClient(nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()


def run(path: Path, again: bool = True) -> None:
    "Run a lesson, or only its exercises, and store the outputs; an error leaves the file as it was."
    nb = read(path)
    renew_exercises(nb, number(path))
    if again or nb.metadata.get("executed") != fingerprint(nb): execute(nb, path.parent)
    else:
        before = max((cell.execution_count or 0 for cell in nb.cells if cell.cell_type == "code"
                      and not in_exercises(cell)), default=0)
        part = new_notebook(cells=[cell for cell in nb.cells if in_exercises(cell)])
        execute(part, path.parent)
        for cell in part.cells:
            if cell.cell_type == "code": cell.execution_count += before
    drop_progress(nb)
    hide_paths(nb)
    nb.metadata["executed"] = fingerprint(nb)
    if any(map(in_exercises, nb.cells)): nb.metadata["practised"] = fingerprint(nb, exercises=True)
    clean(nb)
    write(nb, path)


def renew_words(path: Path) -> None:
    "Print the tasks, hints and solutions of a lesson anew; refused where an empty cell would change, which must run."
    nb = read(path)
    before = fingerprint(nb, exercises=True)
    renew_exercises(nb, number(path))
    if fingerprint(nb, exercises=True) != before: raise SystemExit(f"{path.name}: run it with --exercises")
    write(nb, path)


def is_current(path: Path) -> bool:
    "Whether a lesson ran as it stands and ends with its exercises as they stand."
    nb = read(path)
    stored = [cell.source for cell in nb.cells]
    renew_exercises(nb, number(path))
    return is_fresh(nb) and stored == [cell.source for cell in nb.cells]


def readme_text() -> str:
    "README.md, made from nbs/index.ipynb."
    nb = read(NBS/"index.ipynb")
    nb.cells = [c for c in nb.cells if "#| hide" not in c.source]
    for cell in nb.cells:
        cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
        cell.source = re.sub(r"\]\((?!https?:|#|mailto:)([^)]+)\)", r"](nbs/\1)", cell.source)
    text, _ = MarkdownExporter().from_notebook_node(nb)
    note = "<!-- Written by `make lessons` from nbs/index.ipynb; edit that. -->\n"
    return note + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def main(names: list[str]) -> None:
    "Export, run, clean, write README.md."
    os.environ["PYTHONPATH"] = str(ROOT)      # kernels and their children import this checkout, whatever is installed
    sys.path.insert(0, str(ROOT))
    nbdev_export.__wrapped__()
    chosen = ([Path(n).resolve() for n in names if not n.startswith("--")]
              or [p for p in lessons() if not is_current(p)])
    for path in chosen:
        if "--words" in names:
            renew_words(path)
            continue
        print(f"running {path.relative_to(ROOT)}", flush=True)
        run(path, again=bool(names) and "--exercises" not in names)
    for path in lessons() if not names else (): tidy(path)
    (ROOT/"README.md").write_text(readme_text(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
