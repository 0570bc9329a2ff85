"""The ladder of the lesson on scaling laws: forty-eight runs in fp32, a quarter of an hour of one core.

Usage: python experiments/scaling.py FOLDER  goes on where FOLDER stops; writes llmcourse/measured/scaling.json
"""
import argparse
import json
from pathlib import Path

from _store import MEASURED, write
from llmcourse.scaling import measure_ladder

FILE = MEASURED/"scaling.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="keeps a file a run")
    folder = parser.parse_args().folder
    rows = measure_ladder(folder)
    found = json.loads((folder/"scaling.json").read_text(encoding="utf-8"))
    found["about"]["command"] = "python experiments/scaling.py FOLDER"
    write(FILE, found)
    print(f"wrote {FILE.name}: {len(rows)} runs")


if __name__ == "__main__":
    main()
