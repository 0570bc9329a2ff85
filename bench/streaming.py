"""Does a large input go through in bounded memory, and what does that cost?

Usage: python bench/streaming.py [GIGABYTES]      5 unless told

Each reader gets a tenth of the size and then the whole of it, made by repeating real reviews, in a process of its
own; texts become documents, and these go into one Parquet file. Beside each: a bare loop over the same bytes with the
parser of the standard library (pyarrow, for Parquet), which keeps nothing. Seconds are of processor time; ratios are
of one run on one machine. """
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from llmcourse.collection import TABLES, CollectionReport, Repeated, make_document, peak_memory, save_documents
from llmcourse.data import load_data


def write_inputs(folder: Path, size: int) -> None:
    "A block for each kind of table; of Parquet, which cannot be repeated, a whole file of many equal row groups."
    rows = load_data("amazon")["train"].to_pandas()
    texts = [" ".join(group) for _, group in rows.groupby("group").text]
    (folder / "block.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts) * 5, encoding="utf-8"
    )
    with (folder/"block.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "id"), *zip(texts, range(len(texts)))])
    group = pa.table({"text": texts * 20})
    for name, part in (("tenth", size // 10), ("whole", size)):
        with pq.ParquetWriter(folder/f"{name}.parquet", group.schema, compression="zstd") as writer:
            for _ in range(part // group.nbytes): writer.write_table(group)


def opened(folder: Path, kind: str, part: str, size: int):
    "The input: for CSV the header comes again with each block, and is a row like any other."
    if kind == ".parquet": return (folder/f"{part}.parquet").open("rb")
    return io.BufferedReader(Repeated((folder/f"block{kind}").read_bytes(), size), 2**20)


def bare(file, kind: str) -> int:
    "Parse and forget."
    if kind == ".parquet":
        return sum(len(batch.column(0).to_pylist()) for batch in pq.ParquetFile(file).iter_batches(columns=["text"]))
    if kind == ".csv": return sum(1 for _ in csv.reader(io.TextIOWrapper(file, "utf-8", newline="")))
    return sum(1 for line in file if json.loads(line)["text"])


def ours(file, kind: str, out: Path) -> int:
    "Read, check, hash, write."
    report = CollectionReport()
    def documents():
        for number, text in TABLES[kind](file, "text"):
            if isinstance(text, str): yield make_document(text, f"bench{kind}#{number}", kind[1:], "MIT")
            else: report.refuse("bench", text, number)
    save_documents(documents(), out)
    return pq.ParquetFile(out).metadata.num_rows


def child(folder: str, kind: str, part: str, size: str, how: str) -> None:
    "One measurement, printed as JSON."
    started, file = time.process_time(), opened(Path(folder), kind, part, int(size))
    rows = bare(file, kind) if how == "bare" else ours(file, kind, Path(folder)/"out.parquet")
    print(json.dumps({"rows": rows, "seconds": time.process_time() - started, "peak": peak_memory()}))


def main(gigabytes: float = 5) -> None:
    "Measure and print a table."
    size = int(gigabytes * 10**9)
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), size)
        for kind in TABLES:
            got = {}
            for part, how in (("tenth", "bare"), ("tenth", "ours"), ("whole", "ours")):
                command = [
                    sys.executable,
                    __file__,
                    "child",
                    folder,
                    kind,
                    part,
                    str(size if part == "whole" else size // 10),
                    how,
                ]
                got[part, how] = json.loads(
                    subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                )
            tenth, whole, plain = got["tenth", "ours"], got["whole", "ours"], got["tenth", "bare"]
            print(
                f"{kind[1:]:8} {gigabytes:g} GB, {whole['rows']:,} texts: {whole['seconds']:.0f} s, "
                f"{size / 1e6 / whole['seconds']:.0f} MB/s, "
                f"peak {whole['peak']:.0f} MB (a tenth of it: {tenth['peak']:.0f} MB); "
                f"{tenth['seconds'] / plain['seconds']:.1f} times a loop that only parses",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]: child(*sys.argv[2:])
    else: main(*map(float, sys.argv[1:2]))
