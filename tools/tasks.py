"""What the Makefile does, on machines without make: `python -m llmcourse NAME`, in a checkout, on any system.

Any Python from 3.11 on will do: the first call makes .venv and installs the course there, as `make` does. Where the
running Python has what the course needs (an environment of conda or uv, say), it is used and nothing is installed.
"""
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV, STAMP = ROOT/".venv", ROOT/".venv"/".ready"
PORT = os.environ.get("PORT", "8888")
NEEDED = ("torch", "transformers", "nbdev", "jupyterlab", "smalldocs")     # the largest, and the last to be installed
TASKS = {
    "course": [["-m", "llmcourse", "run"]],
    "test": [["-m", "pytest", "tests"]],
    "check": [["tools/check.py"]],
    "bench": [[path.relative_to(ROOT).as_posix()] for path in sorted((ROOT/"bench").glob("[a-z]*.py"))],
    "lab": [["tools/lab.py", "--port", PORT]],
    "docs": [["tools/docs.py"]],
    "preview": [["tools/docs.py"], ["-m", "http.server", "--bind", "127.0.0.1", "--directory", "_docs", PORT]],
    "lessons": [["tools/lessons.py"]],
}


def call(*command) -> None:
    "Run a command from the top of the checkout; end as it ends if it fails."
    try: code = subprocess.run([str(word) for word in command], cwd=ROOT).returncode
    except KeyboardInterrupt: code = 130
    if code: sys.exit(code)


def ready() -> str:
    "A Python that has all the course needs: this one, or that of .venv, which is made or renewed first."
    own = Path(sys.prefix) != VENV or not STAMP.exists()
    if own and all(find_spec(name) for name in NEEDED): return sys.executable
    if sys.version_info < (3, 11): sys.exit("llmcourse needs Python 3.11 or newer")
    python = VENV/("Scripts/python.exe" if os.name == "nt" else "bin/python")
    declared = [ROOT/name for name in ("settings.ini", "setup.py", "constraints.txt")]
    if STAMP.exists() and STAMP.stat().st_mtime >= max(path.stat().st_mtime for path in declared): return str(python)
    print("setting up .venv: some minutes, about 3 GB", flush=True)
    if not python.exists(): call(sys.executable, "-m", "venv", VENV)
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]
    call(*install, "torch")                      # first and by pip, so that the pinned build is the one that stays
    call(*install, "--editable", ".[dev]")
    STAMP.touch()
    return str(python)


def show_help() -> None:
    "List the tasks, in the words of the Makefile."
    text = (ROOT/"Makefile").read_text(encoding="utf-8")
    for name, says in re.findall(r"^([a-z]+):.*## (.+)$", text, re.M): print(f"  python -m llmcourse {name:8} {says}")
    print("and the verbs of the program itself: python -m llmcourse --help")


def clean() -> None:
    "Remove what was built, but neither .venv nor runs/."
    for pattern in ("_docs", "_proc", "build", "dist", "*.egg-info", ".pytest_cache"):
        for path in ROOT.glob(pattern): shutil.rmtree(path, ignore_errors=True)


def main(words: list[str]) -> None:
    "Do a task and exit; come back where the words are for the program `llmcourse`, and it can run here."
    name = words[0] if words else "help"
    if name == "help": show_help()
    elif name == "clean": clean()
    elif name in TASKS:
        python = ready()
        for command in TASKS[name]: call(python, *command, *(words[1:] if len(TASKS[name]) == 1 else ()))
    elif find_spec("typer"): return
    else: call(ready(), "-m", "llmcourse", *words)
    sys.exit()


if __name__ == "__main__": main(sys.argv[1:])
