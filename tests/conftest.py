"""What all tests share: the project's tools, a copy of the project to spoil, large models, and the line that counts."""
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

# Tests run side by side, and each gets its share of the cores: torch with more threads than cores is many times slower.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
if WORKERS > 1: os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))

BUILT = (".git", ".venv", ".hypothesis", "_docs", "_proc", "lab", "runs", "build", "dist", "*.egg-info", "__pycache__",
         ".ipynb_checkpoints", ".pytest_cache")


@pytest.fixture
def copy(tmp_path) -> Path:
    "A copy of the project, without what was built, that a test may change."
    return shutil.copytree(ROOT, tmp_path/"llmcourse", symlinks=True, ignore=shutil.ignore_patterns(*BUILT))


def build_once(tmp_path_factory, name: str, build) -> Path:
    "The folder that `build(folder)` fills, once for all the processes that run tests side by side."
    shared = tmp_path_factory.getbasetemp().parent if WORKERS > 1 else tmp_path_factory.getbasetemp()
    folder, done = shared/name, shared/f"{name}.done"
    with FileLock(shared/f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)     # what a failed attempt left
            build(folder)
            done.touch()
    return folder


def tiny_classifier(folder: Path) -> Path:
    "A stored classifier that was never trained."
    import torch

    from llmcourse.model import Classifier, GPTConfig, save_checkpoint
    from llmcourse.tokenizer import train_tokenizer
    tokenizer = train_tokenizer(["the screen is lovely", "it broke in a week"] * 20, 300)
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=len(tokenizer), d_model=32, n_layers=1, n_heads=2, d_ff=64, context=32)
    save_checkpoint(Classifier(shape, ["negative", "neutral", "positive"]), tokenizer, folder)
    return folder


def run(*command, **options) -> str:
    "Run a command; return what it printed, or fail with what it said."
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    said = "\n".join((done.stdout + done.stderr).splitlines()[-60:])
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}"
    return done.stdout


def tool(name: str) -> Path:
    "A command installed beside the Python that runs the tests."
    return Path(sys.executable).with_name(name)


needs = pytest.mark.models      # @needs("mpnet", "qwen"): a test that opens these models runs with LLMCOURSE_MODELS=all


def pytest_configure(config):
    config.addinivalue_line("markers", "models(*names): opens large models; runs with LLMCOURSE_MODELS=all only")


@functools.cache
def out_of_reach(name: str) -> str:
    "Fetch a model, once for all tests; return why it cannot be had from here, or nothing."
    from llmcourse.models import fetch_model
    try: fetch_model(name)
    except ConnectionError as error: return str(error)
    return ""


def pytest_runtest_setup(item):
    "Skip a test that needs large models, unless they are asked for and can be had."
    names = [name for mark in item.iter_markers("models") for name in mark.args]
    if names and os.environ.get("LLMCOURSE_MODELS") != "all":
        pytest.skip(f"opens {' and '.join(names)}; to run it: llmcourse models fetch {' '.join(names)}, then "
                    "LLMCOURSE_MODELS=all make test")
    for name in names:
        if reason := out_of_reach(name): pytest.skip(reason)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    "End the run with one line that counts, after all that pytest says."
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(session.config, "workerinput"): return result      # one of the workers; the run as a whole counts
    count = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error")}
    reporter.write_line(f"\n{count['passed']} passed, {count['failed'] + count['error']} failed")
    return result
