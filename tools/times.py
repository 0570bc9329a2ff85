"""How long does each lesson take on this machine, and how much memory? One after another, alone.

Usage: python tools/times.py             all lessons
       python tools/times.py NB [NB..]   these lessons

Writes llmcourse/measured/times.json after each lesson. Interrupt it whenever you like: what was measured on this
machine, with the code as it stands, is not measured again. Let nothing else run meanwhile. The page of the doctor shows
the table. Rows of other machines stay.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from lessons import ROOT, execute, fingerprint, in_exercises, lessons, number, read

FILE = ROOT/"llmcourse"/"measured"/"times.json"
MACHINE = "cores", "memory_gib", "instruction_set", "precision", "device"     # what tells two machines apart


def peak_of(process: subprocess.Popen) -> int:
    "The most bytes that the kernel of a lesson and all that it started held together, seen ten times a second."
    peak, root = 0, psutil.Process(process.pid)
    while process.poll() is None:
        held = 0
        try: started = root.children(recursive=True)              # the process itself only hands the cells over
        except psutil.Error: break
        for one in started:
            try: held += one.memory_info().rss
            except psutil.Error: continue                         # it has just ended
        peak = max(peak, held)
        time.sleep(0.1)
    process.wait()
    return peak


def measure(path: Path) -> dict:
    "Run the cells of a lesson, but for its exercises, from a fresh kernel; seconds by the clock, and the peak."
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--one", str(path)])
    peak = peak_of(process)
    if process.returncode: raise SystemExit(f"{path.name} failed; run it with python tools/lessons.py {path}")
    return {"lesson": path.stem, "seconds": round(time.perf_counter() - start, 1), "peak_mib": round(peak / 2**20),
            "code": fingerprint(read(path))}


def run_one(path: Path) -> None:
    "What the process that is measured does."
    nb = read(path)
    nb.cells = [cell for cell in nb.cells if not in_exercises(cell)]
    execute(nb, path.parent)


def this_machine() -> dict:
    "How a run here is made, with what matters for time."
    from llmcourse.training import provenance
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return provenance("python tools/times.py", [], cores=cores,
                      memory_gib=round(psutil.virtual_memory().total / 2**30))


def main(names: list[str]) -> None:
    "Measure what is missing."
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"about": [], "rows": []}
    here = this_machine()
    same = lambda about: all(about.get(key) == here[key] for key in MACHINE)
    machine = next((i for i, about in enumerate(stored["about"]) if same(about)), len(stored["about"]))
    stored["about"][machine:machine + 1] = [here]
    for path in [Path(name).resolve() for name in names] or [p for p in lessons() if number(p) is not None]:
        mine = [row for row in stored["rows"] if (row["machine"], row["lesson"]) == (machine, path.stem)]
        if mine and mine[0]["code"] == fingerprint(read(path)): continue
        row = {"machine": machine} | measure(path)
        stored["rows"] = sorted([r for r in stored["rows"] if r not in mine] + [row],
                                key=lambda row: (row["machine"], row["lesson"]))
        print(f"{row['lesson']:24} {row['seconds']:6.1f} s {row['peak_mib']:6,} MiB", flush=True)
        scratch = FILE.with_suffix(".tmp")
        scratch.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        os.replace(scratch, FILE)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["--one"]: run_one(Path(sys.argv[2]))
    else: main(sys.argv[1:])
