"""Run lessons as tests with other seeds, to see that what they assert does not hang on one.

Usage: python tools/other_seeds.py OFFSET NB [NB..]   each lesson with every seed moved by OFFSET

Every fixed seed of torch and numpy is moved, inside the course as well as in its lessons: `torch.manual_seed(0)` becomes
`torch.manual_seed(OFFSET)`. The lesson runs in a process of its own, and nothing is stored. Tests on fixed draws, such as
a resumed run against an uninterrupted one, go on holding, since both sides move.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Python imports a module of this name by itself at every start, in child processes too.
CUSTOMIZE = '''
import os, sys
OFFSET = int(os.environ["LLMCOURSE_SEED_OFFSET"])

class _Finder:
    "Moves the seeds of torch and numpy as soon as they are imported."
    def find_spec(self, name, path=None, target=None):
        if name not in ("torch", "numpy.random"): return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec
        spec = find_spec(name)
        sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None: return spec
        execute = spec.loader.exec_module
        def moved(module):
            execute(module)
            (_move_torch if name == "torch" else _move_numpy)(module)
        spec.loader.exec_module = moved
        return spec

def _move_torch(torch):
    seed, Plain = torch.manual_seed, torch.Generator
    class Generator(Plain):
        def manual_seed(self, number): return super().manual_seed((int(number) + OFFSET) % 2**63)
    torch.manual_seed = torch.random.manual_seed = lambda number: seed((int(number) + OFFSET) % 2**63)
    torch.Generator = Generator

def _move_numpy(random):
    generator = random.default_rng
    random.default_rng = lambda seed=None: generator(seed + OFFSET if isinstance(seed, int) else seed)

sys.meta_path.insert(0, _Finder())
'''


def run(path: Path, offset: int) -> bool:
    "Whether the lesson passes; what it said goes to the terminal if not."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder)/"sitecustomize.py").write_text(CUSTOMIZE, encoding="utf-8")
        env = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "LLMCOURSE_SEED_OFFSET": str(offset)}
        command = [Path(sys.executable).with_name("nbdev_test"), "--path", path, "--n_workers", "0"]
        done = subprocess.run([str(word) for word in command], cwd=ROOT, env=env, capture_output=True, text=True)
    passed = done.returncode == 0 and "Success." in done.stdout + done.stderr
    if not passed: print("\n".join((done.stdout + done.stderr).splitlines()[-25:]))
    print(f"seeds + {offset}: {path.name} {'passed' if passed else 'FAILED'}", flush=True)
    return passed


def main() -> None:
    if len(sys.argv) < 3: sys.exit(__doc__)
    offset, paths = int(sys.argv[1]), [Path(name).resolve() for name in sys.argv[2:]]
    failed = [path.name for path in paths if not run(path, offset)]
    print(f"{len(paths) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
