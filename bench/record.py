"""How much does a busy server lose, and how fast is it, one connection a request against one writer?

Usage: python bench/record.py [ROWS]      2,000 unless told; 32 clients, SQLite on the disk of the temporary folder
       python bench/record.py --quality [ROWS]      what `/quality` reads of a record of 300,000 rows, and of a tenth

Each recorder stores rows of the same size. Seconds are of the clock, since what is measured is waiting for a disk;
ratios are of one run on one machine. With `--quality` they are of the processor. """
import sqlite3
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from llmcourse.data import LABELS
from llmcourse.monitoring import recent_quality
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


def filled(database: Path, rows: int) -> Recorder:
    "A record in which one answer of a hundred has feedback."
    recorder = Recorder(database)
    shared = {"model": "m", "text": TEXT, "probabilities": {"negative": 1.0}, "truncated": False, "label": "negative"}
    for start in range(0, rows, 10_000):
        some = [shared | {"id": f"{i:032x}", "true_label": LABELS[i % 3] if i % 100 == 0 else None}
                for i in range(start, min(start + 10_000, rows))]
        recorder.writer.submit(lambda connection, some=some: connection.execute(recorder.table.insert(), some)).result()
    return recorder


def seconds(work, times: int) -> float:
    "Processor seconds of one call, the median of some."
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


def quality(rows: int = 300_000) -> None:
    "The quality of the last 500 answers with feedback: from all rows, and from those that the index finds."
    folder, took = Path(tempfile.mkdtemp()), {}
    for n in (rows // 10, rows):
        recorder = filled(folder/f"{n}.db", n)
        same = recent_quality(recorder.rows(), LABELS) == recent_quality(recorder.told_lately(500), LABELS)
        took[n] = (seconds(lambda: recent_quality(recorder.rows(), LABELS), 3),
                   seconds(lambda: recent_quality(recorder.told_lately(500), LABELS), 20))
        print(f"{n:9,} rows: all of them {took[n][0]:7.3f} s, those with feedback {1000 * took[n][1]:6.2f} ms, "
              f"{took[n][0] / took[n][1]:6.0f} times as fast; {'the same' if same else 'ANOTHER'} answer", flush=True)
        recorder.close()
    print(f"ten times the rows: all of them take {took[rows][0] / took[rows // 10][0]:.1f} times as long, those with "
          f"feedback {took[rows][1] / took[rows // 10][1]:.1f} times")


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


if __name__ == "__main__":
    chosen = quality if "--quality" in sys.argv else main
    chosen(*(int(word) for word in sys.argv[1:] if word.isdigit()))
