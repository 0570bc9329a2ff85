"""Copy the lessons into lab/ and open them there, so that work on them changes no file of the course.

Usage: python tools/lab.py [--port PORT] [--no-browser] [--copy-only]

A copy that you did not touch follows the course when it is updated. One that you did stays as it is; the new lesson
comes beside it, as NAME.new.ipynb. Nothing of yours is overwritten.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT/"lab"


def digest(content: bytes) -> str:
    "The hash of what a file holds."
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    "Write a file as a whole or not at all."
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)


def copy_lessons(source: Path, lab: Path) -> dict[str, list[str]]:
    "Bring the lessons of `source` into `lab`; tell what was new, updated, and kept because it was worked on."
    lab.mkdir(exist_ok=True)
    register = lab/".copied.json"
    copied = json.loads(register.read_text(encoding="utf-8")) if register.exists() else {}
    done = {"new": [], "updated": [], "kept": []}
    shutil.copytree(source/"images", lab/"images", dirs_exist_ok=True)
    for path in sorted(source.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts: continue
        name, content = path.relative_to(source).as_posix(), path.read_bytes()
        found = digest(content)
        target = lab/name
        if copied.get(name) == found and target.exists(): continue
        worked_on = target.exists() and digest(target.read_bytes()) != copied.get(name)
        done["kept" if worked_on else "updated" if target.exists() else "new"].append(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target.with_suffix(".new.ipynb") if worked_on else target, content)
        copied[name] = found
    write_whole(register, json.dumps(copied, indent=1).encode())
    return done


def quiet_settings(folder: Path) -> dict[str, str]:
    "The environment in which JupyterLab does not ask, over the first lesson, whether it may show news."
    (folder/"labconfig").mkdir(parents=True, exist_ok=True)
    off = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    write_whole(folder/"labconfig"/"page_config.json", json.dumps(off).encode())
    paths = [os.environ.get("JUPYTER_CONFIG_PATH", ""), str(folder)]
    return os.environ | {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", default="8888", help="where JupyterLab listens; default: 8888")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.add_argument("--copy-only", action="store_true", help="copy, and do not start JupyterLab")
    args = parser.parse_args()
    done = copy_lessons(ROOT/"nbs", LAB)
    print(f"lab/: {len(done['new'])} new lessons, {len(done['updated'])} updated")
    for name in done["kept"]: print(f"  {name} holds your work and stays; the update is beside it, as .new.ipynb")
    if args.copy_only: return
    start = LAB/"1_from_scratch"/"00_practice.ipynb"
    command = [sys.executable, "-m", "jupyter", "lab", "--port", args.port, f"--notebook-dir={LAB}"]
    command += ["--no-browser"] if args.no_browser else [str(start)]
    sys.exit(subprocess.run(command, env=quiet_settings(LAB/".settings")).returncode)


if __name__ == "__main__": main()
