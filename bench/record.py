"""How much does a busy server lose, and how fast is it, one connection a request against one writer?

Usage: python bench/record.py [ROWS]      2,000 unless told; 32 clients, SQLite on the disk of the temporary folder

Each recorder stores rows of the same size. Seconds are of the clock, since what is measured is waiting for a disk;
ratios are of one run on one machine. """
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from llmcourse.record import Recorder, RecordingError

CLIENTS, TEXT = 32, "the battery died after a week, and nobody answers the telephone"
SAID = {"model": "m", "predictions": [{"label": "negative", "probabilities": {"negative": 1.0}, "truncated": False}]}


def alone(database: Path, patience: float, wal: bool):
    "A recorder that opens, inserts, commits and closes in each request."
    with closing(sqlite3.connect(database)) as base, base:
        if wal: base.execute("pragma journal_mode = wal")
        base.execute("create table predictions (text)")
    def write(text: str) -> bool:
        try:
            with closing(sqlite3.connect(database, timeout=patience)) as base, base:
                base.execute("insert into predictions values (?)", (text,))
            return True
        except sqlite3.OperationalError: return False
    return write


def together(database: Path):
    "The recorder of the course."
    recorder = Recorder(database)
    def write(text: str) -> bool:
        try: return bool(recorder.record([text], SAID))
        except RecordingError: return False
    return write


def measure(write, rows: int) -> tuple[int, float]:
    "How many rows were lost, and rows stored a second."
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool: stored = sum(pool.map(write, [TEXT] * rows))
    return rows - stored, stored / (time.perf_counter() - began)


def main(rows: int = 2000) -> None:
    folder = Path(tempfile.mkdtemp())
    kinds = {"one connection a request, 0.2 s": alone(folder/"a.db", 0.2, False),
             "the same, 5 s": alone(folder/"b.db", 5.0, False),
             "the same, 5 s and WAL": alone(folder/"c.db", 5.0, True),
             "one writer (the course's)": together(folder/"d.db")}
    first = None
    for name, write in kinds.items():
        lost, speed = measure(write, rows)
        first = first or speed
        print(f"{name:32} {lost:5} of {rows} rows lost, {speed:6.0f} stored a second, {speed / first:5.2f} times the "
              "first", flush=True)


if __name__ == "__main__": main(*map(int, sys.argv[1:]))
