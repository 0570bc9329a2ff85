"Fetch a model, and know that it is whole."
import hashlib

import numpy as np

from llmcourse.models import CATALOGUE
from llmcourse.practice import Exercise, Mistake, Question


def sha256_of(pieces: list[bytes]) -> str:
    "The SHA-256 of a file that comes in pieces, as 64 hexadecimal digits, without joining them."
    digest = hashlib.sha256()
    for piece in pieces: digest.update(piece)          # one piece in memory at a time
    return digest.hexdigest()


def _of_hashes(pieces): return sha256_of([sha256_of([piece]).encode() for piece in pieces])
def _of_the_last(pieces): return sha256_of(pieces[-1:])
def _of_the_first(pieces): return sha256_of(pieces[:1])
def _as_bytes(pieces): return hashlib.sha256(b"".join(pieces)).digest()
def _with_borders(pieces): return sha256_of([piece + b"\n" for piece in pieces])


def _some_pieces(rng): return ([rng.bytes(int(rng.integers(1, 6))) for _ in range(rng.integers(2, 5))],)


def unsafe(members: list[str]) -> list[str]:
    "The members of an archive that would be written outside the folder it is unpacked to."
    found = []
    for member in members:
        parts = member.replace("\\", "/").split("/")   # Windows understands both
        if parts[0] == "" or ":" in parts[0] or ".." in parts: found.append(member)
    return found


def _only_at_the_start(members):
    "The members of an archive that would be written outside the folder it is unpacked to."
    return [member for member in members if member.startswith("..")]


def _anywhere(members): return [m for m in members if ".." in m or m.startswith(("/", "\\")) or ":" in m.split("/")[0]]
def _not_absolute(members): return [member for member in members if ".." in member.replace("\\", "/").split("/")]
def _no_backslash(members): return [m for m in members if m.startswith("/") or ".." in m.split("/")]
def _the_good_ones(members): return [member for member in members if member not in unsafe(members)]


def _members(rng):
    odd = ["../up.txt", "toy/../../up.txt", "/etc/hosts", "C:\\up.txt", "toy\\..\\..\\up.txt", "\\up.txt",
           "toy/a..b.txt", "toy/..hidden", "..notes.txt", "toy/model.safetensors", "toy/config.json"]
    return (rng.choice(odd, size=6, replace=False).tolist(),)


def megabytes() -> dict:
    "Four bytes a number; to train, each parameter needs itself, its gradient and two running means."
    parameters = 110_000_000
    return {"to run": parameters * 4 / 1e6, "to train": parameters * 4 * 4 / 1e6}


FAULTS = ("vocab.txt ends half way", "a bit of a weight is flipped", "a weight and its hash in files.json are changed",
          "a published weight file and its hash in files.json are changed")


def what_finds_what() -> dict:
    "For each fault whether a look at the sizes finds it, and whether verify_model does."
    fixed = "model.safetensors" in CATALOGUE["mpnet"].parts.files      # this hash stands in the course's own code
    fixed_too = "model.safetensors" in CATALOGUE["qwen"].parts.files   # only the published GGUF file has one
    return {"vocab.txt ends half way": (True, True),                   # its length has changed
            "a bit of a weight is flipped": (False, True),             # every byte is read and hashed
            "a weight and its hash in files.json are changed": (False, fixed_too),
            "a published weight file and its hash in files.json are changed": (False, fixed)}


def _found(*pairs): return dict(zip(FAULTS, pairs))


def flip_bits() -> dict:
    "A hundred flips of one random bit: how many change the output of a layer by less than 1 %, what the hash finds."
    rng, unnoticed, by_hash, flips = np.random.default_rng(0), 0, 0, 100
    weights, x = rng.standard_normal((64, 64)).astype(np.float32), rng.standard_normal(64).astype(np.float32)
    before, published = weights @ x, hashlib.sha256(weights.tobytes()).hexdigest()
    for _ in range(flips):
        damaged = bytearray(weights.tobytes())
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))          # one bit of one byte
        with np.errstate(over="ignore", invalid="ignore"):
            after = np.frombuffer(bytes(damaged), np.float32).reshape(64, 64) @ x
            change = np.linalg.norm(after - before) / np.linalg.norm(before)
        unnoticed += bool(change < 0.01)
        by_hash += hashlib.sha256(damaged).hexdigest() != published
    return {"flips": flips, "unnoticed in the output": int(unnoticed), "found by the size": 0,
            "found by the hash": by_hash, "rely on": "hash"}


def _judge_flips(answer) -> str:
    "Whether the figures can be right, and whether the choice follows from them."
    flips, unnoticed = answer["flips"], answer["unnoticed in the output"]
    if flips < 50: return "flip at least 50 bits: which bit it is decides what happens, and chance decides which bit"
    if answer["found by the size"] != 0: return "a flipped bit does not change the length of a file"
    if answer["found by the hash"] != flips: return ("the hash finds every flip; compare the SHA-256 of all bytes, "
                                                     "before and after")
    if not 0.4 * flips <= unnoticed <= 0.95 * flips:
        return ("of the 32 bits of a float most change its last digits only, and a few its size or sign; flip any of "
                "the bits, and compare the outputs relative to their length")
    if answer["rely on"] != "hash": return "most flips show neither in size nor in output; follow your figures"
    return ""


def _flipped(flips=100, unnoticed=76, size=0, found=None, choice="hash"):
    return {"flips": flips, "unnoticed in the output": unnoticed, "found by the size": size,
            "found by the hash": flips if found is None else found, "rely on": choice}


EXERCISES = [
    Exercise(
        "The memory of a model", """
        A model has 110 million parameters. How many megabytes do its numbers take in fp32, to run it, and to train all
        of it with AdamW? Leave the activations out.
        """, megabytes, kind="predict", stub='answer = {"to run": ..., "to train": ...}',
        hints=("A number in fp32 takes 4 bytes.",
               "AdamW keeps two running means for each parameter, beside the parameter and its gradient."),
        mistakes=(Mistake({"to run": 440, "to train": 880}, "AdamW keeps two running means as well: four numbers a "
                                                            "parameter."),
                  Mistake({"to run": 440, "to train": 1320}, "Count once more: the parameter, its gradient, and two "
                          "running means."),
                  Mistake({"to run": 110, "to train": 440}, "A number in fp32 is 4 bytes, not one."),
                  Mistake({"to run": 220, "to train": 880}, "That would be 16 bits a number; fp32 has 32."))),
    Exercise(
        "Hash what does not fit into memory", """
        Write `sha256_of`: the SHA-256 of a file that arrives in pieces. It must be the hash of the whole file, whatever
        its pieces are.
        """, sha256_of, inputs=_some_pieces, imports="import hashlib",
        hints=("`hashlib.sha256()` makes an object that takes bytes bit by bit.",
               "`digest.update(piece)` for each piece, then `digest.hexdigest()`."),
        mistakes=(Mistake(_of_hashes, "It hashes the hashes of the pieces. Cut elsewhere, the same file would get "
                          "another result."),
                  Mistake(_of_the_last, "Only the last piece is in the hash; is the object made anew for each piece?"),
                  Mistake(_of_the_first, "Only the first piece is in the hash."),
                  Mistake(_as_bytes, "These are the 32 bytes; 64 hexadecimal digits are wanted."),
                  Mistake(_with_borders, "Something was added between the pieces, which is not in the file."))),
    Exercise(
        "An archive from a stranger", """
        `unsafe` lists the members of an archive that would be written outside the folder. It lets some pass, and
        refuses an honest file. Mend it: a member is unsafe if one of its *parts* between slashes is `..`, if it begins
        with a slash, or if its first part holds a colon (a drive of Windows). A backslash counts as a slash.
        """, unsafe, kind="mend", inputs=_members,
        hints=("`toy/../../up.txt` goes up in the middle; `..notes.txt` is an ordinary name.",
               "Replace backslashes, split at `/`, and look whether `..` is one of the parts.",
               "An absolute path has an empty first part: `\"/etc\".split(\"/\")[0]` is `\"\"`."),
        mistakes=(Mistake(_only_at_the_start, "It looks only at how a name begins: a member can go up in its middle, "
                          "and `..notes.txt` is harmless."),
                  Mistake(_anywhere, "Two dots within a name are harmless; only a whole part `..` goes up."),
                  Mistake(_not_absolute, "A path that begins with a slash or a drive goes elsewhere as well."),
                  Mistake(_no_backslash, "On Windows a backslash separates too, and `C:` is a drive."),
                  Mistake(_the_good_ones, "These are the safe ones."))),
    Exercise(
        "What finds which fault?", """
        `qwen` was fetched and converted; `files.json` beside it holds size and hash of each file. For `mpnet`, the
        catalogue in the course's own code holds the hash of each published file as well, and `verify_model` uses these
        where there are any. For each fault say whether a look at the sizes finds it, and whether `verify_model` does,
        as a pair of truth values. The size stays the same except in the first. The third is a weight of qwen that was
        converted here; the fourth is `model.safetensors` of mpnet.
        """, what_finds_what, kind="predict", imports="from llmcourse.models import CATALOGUE",
        stub='''
        answer = {
            "vocab.txt ends half way": (..., ...),
            "a bit of a weight is flipped": (..., ...),
            "a weight and its hash in files.json are changed": (..., ...),
            "a published weight file and its hash in files.json are changed": (..., ...),
        }
        ''',
        hints=("Only a change of length shows in the size.",
               "Who can change a weight can change a list that lies beside it. Where else does a hash stand?"),
        mistakes=(Mistake(_found((True, True), (True, True), (False, False), (False, True)),
                          "A flipped bit does not change the length of a file."),
                  Mistake(_found((True, True), (False, True), (False, True), (False, True)),
                          "For weights that were converted here no published hash exists; only the list beside them "
                          "says what they should be, and it was changed too."),
                  Mistake(_found((True, True), (False, True), (False, False), (False, False)),
                          "The hash of a published file stands in the course's code, which the change of a list does "
                          "not reach."),
                  Mistake(_found((True, False), (False, True), (False, False), (False, True)),
                          "`verify_model` reads every byte, so it finds a file that was cut as well."))),
    Exercise(
        "Can one see a flipped bit?", """
        Make a layer of 64 × 64 random weights in float32 and a random input. At least 50 times: flip one random bit of
        its bytes, compute the output, and compare. How many flips change the output by less than 1 % of its length (the
        norm of the difference over the norm of the output)? How many does the size find, and how many the SHA-256? On
        which of `"output"`, `"size"` and `"hash"` would you rely?
        """, flip_bits, kind="decide", verify=_judge_flips, imports="import hashlib\nimport numpy as np",
        stub='''
        answer = {
            "flips": ...,
            "unnoticed in the output": ...,
            "found by the size": ...,
            "found by the hash": ...,
            "rely on": ...,
        }
        ''',
        hints=("`damaged = bytearray(weights.tobytes())`, then `damaged[place] ^= 1 << bit` flips one bit.",
               "`np.frombuffer(bytes(damaged), np.float32).reshape(64, 64)` are the weights again.",
               "`np.linalg.norm(after - before) / np.linalg.norm(before) < 0.01` goes unnoticed. A huge weight may "
               "give a warning; that is part of the answer."),
        mistakes=(Mistake(_flipped(10, 8), "flip at least 50 bits"),
                  Mistake(_flipped(size=24), "a flipped bit does not change the length of a file"),
                  Mistake(_flipped(found=24), "the hash finds every flip"),
                  Mistake(_flipped(unnoticed=0), "flip any of the bits"),
                  Mistake(_flipped(choice="output"), "follow your figures"))),
]

QUESTIONS = [
    Question("You know the SHA-256 of a published model. From where may you fetch it?",
             ("From anywhere: the hash tells whether it is the same file.",
              "Nobody knows how to make another file with the same hash."),
             (("From the publisher's own page only.",
               "The page may be hacked and the line broken; the hash is the better witness."),
              ("From any page that shows the same hash beside it.",
               "Who replaces the file can replace the hash beside it. The hash must come from elsewhere."))),
    Question("Why do we open safetensors files only, and never a pickle?",
             ("Reading a pickle can run any program.",
              "A pickle holds instructions for making objects; a safetensors file holds numbers."),
             (("A pickle takes more room on the disk.",
               "The sizes are nearly the same; the danger is what happens while it is read."),
              ("A pickle cannot be hashed.",
               "Any file can. But a hash only says that it is the published file, not that it is harmless."))),
    Question("A fetch is stopped after three of five packages. What makes it safe to go on?",
             ("A part gets its final name only when it is whole and checked.",
              "So what has its name can be kept, and it is checked once more before it is used."),
             (("pip remembers how far it had come.",
               "pip is started anew for each package, without its cache."),
              ("The parts are opened one by one as they arrive.",
               "They are opened only after all of them have been checked."))),
    Question("Why is the folder of a model renamed into place at the very end?",
             ("So that nobody ever finds half a model there.",
              "A folder is renamed at once, as a whole or not at all."),
             (("So that the download is faster.", "It takes as long; only what others see in the meantime differs."),
              ("So that the parts can be removed early.",
               "They stay until the model is in place; only then are they removed."))),
]
