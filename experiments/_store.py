"""Where the experiments keep what they measured, and how a run that was begun goes on."""
import json
from pathlib import Path

from llmcourse.data import atomic_path

MEASURED = Path(__file__).resolve().parent.parent/"llmcourse"/"measured"


def write(path: Path, found: dict) -> None:
    "Write a stored run, whole or not at all. `found` holds `about`, from `provenance`, beside the results."
    with atomic_path(path) as scratch: scratch.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def rows_begun(path: Path, settings: dict, parser) -> list[dict]:
    "The rows of a run that is to go on; none if there is no file. Ends the program if its settings were others."
    if not path.exists(): return []
    found = json.loads(path.read_text(encoding="utf-8"))
    differing = [name for name, value in settings.items() if found["about"].get(name) != value]
    if differing: parser.error(f"{path.name} was begun with other {', '.join(differing)}; choose another with --out")
    return found["rows"]
