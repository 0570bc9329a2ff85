"""What three remedies keep of what a model knew: the arms of lesson 51, alone and together, with three seeds.

Usage: python experiments/customization.py [--seeds 0 1 2] [--sentences 192] [--epochs 4] [--out FILE]

Writes llmcourse/measured/customization.json, a row for each arm and seed: macro-F1 on the validation split, the
distance of the weights from their start, and the share of halves of sentences that the model can still match. About
eight minutes on one core. What the file holds already is not measured again; a file begun with other settings is
refused.
"""
import argparse
from pathlib import Path

from _store import MEASURED, rows_begun, write
from llmcourse.customization import ARMS, measure_arm
from llmcourse.data import LABELS
from llmcourse.model import fingerprint
from llmcourse.pretrained import load_pretrained
from llmcourse.training import native_precision, provenance

FILE = MEASURED/"customization.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="a run each for every arm")
    parser.add_argument("--sentences", type=int, default=192, help="labelled ones, drawn by the seed")
    parser.add_argument("--epochs", type=int, default=4, help="passes over them")
    parser.add_argument("--out", type=Path, default=FILE, help="the JSON file to write or to go on with")
    given = parser.parse_args()
    base = fingerprint(*load_pretrained("minilm", LABELS), leave_out=["classifier"])
    settings = {"sentences": given.sentences, "epochs": given.epochs, "base": base, "precision": native_precision()}
    rows = rows_begun(given.out, settings, parser)
    done = {(row["arm"], row["seed"]) for row in rows}
    for arm, seed in [(arm, seed) for seed in given.seeds for arm in ARMS if (arm, seed) not in done]:
        rows.append(measure_arm(arm, seed, given.sentences, given.epochs)[-1])
        about = provenance("python experiments/customization.py", sorted({row["seed"] for row in rows}), **settings)
        write(given.out, {"about": about, "rows": rows})
        print(f"{arm}, seed {seed}: halves matched {rows[-1]['halves_matched']:.2f}", flush=True)


if __name__ == "__main__": main()
