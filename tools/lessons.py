"""Keep the lessons in order: export them, run those that changed, clean them, write README.md.

Usage: python tools/lessons.py            the lessons whose code changed since they last ran
       python tools/lessons.py NB [NB..]  these lessons, changed or not

A lesson that ran carries, in its metadata, the hash of the code that ran. A lesson edited since then no longer matches,
so a test can tell outputs that belong to the code above them from outputs that do not.
"""
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

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"


def lessons() -> list[Path]:
    "All lessons in reading order: by number, `index.ipynb` first."
    return sorted((p for p in NBS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts),
                  key=lambda p: (p.name != "index.ipynb", p.name))


def read(path: Path):
    "The notebook at `path`."
    return nbformat.read(path, as_version=4)


def fingerprint(nb) -> str:
    "The hash of a notebook's code, in order."
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def is_fresh(nb) -> bool:
    "Whether the stored outputs come from the code as it stands."
    return nb.metadata.get("executed") == fingerprint(nb)


def clean(nb) -> None:
    "Strip what nbdev strips, in place, keeping the mark that the lesson ran."
    clean_nb(nb, allowed_metadata_keys=["executed"])


def drop_progress(nb) -> None:
    "Remove what progress bars leave behind, which says nothing once they are full."
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        cell.outputs = [o for o in cell.outputs if not _is_progress(o)]
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


def run(path: Path) -> None:
    "Run a lesson from a fresh kernel, top to bottom, and store its outputs; an error leaves the file as it was."
    nb = read(path)
    NotebookClient(nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    drop_progress(nb)
    hide_paths(nb)
    nb.metadata["executed"] = fingerprint(nb)
    clean(nb)
    write(nb, path)


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
    chosen = [Path(n).resolve() for n in names] or [p for p in lessons() if not is_fresh(read(p))]
    nbdev_export.__wrapped__()
    for path in chosen:
        print(f"running {path.relative_to(ROOT)}", flush=True)
        run(path)
    (ROOT/"README.md").write_text(readme_text(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
