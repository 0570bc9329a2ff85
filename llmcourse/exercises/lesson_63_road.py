"The whole road."
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from llmcourse.practice import Exercise, Mistake, Question


def still_made() -> list[str]:
    "The folders that the second call makes."
    order = ["language_model", "from_scratch", "without_pretraining", "checkpoint"]
    there = ["language_model", "from_scratch"]           # a state file is no folder: that stage is not done
    return [name for name in order if name not in there]


def walk(disk: dict, stages: dict) -> dict:
    "The disk after the stages ran in order. `stages`: name -> its files; `None` among them: here the power fails."
    disk = dict(disk)                               # name -> files: what lies there when the power is back
    for name, files in stages.items():
        if name in disk: continue                   # a folder that is there is whole, so the stage is done
        if None in files: break                     # what was built so far lay in a scratch folder and is gone
        disk[name] = files                          # the rename: all files of the stage at once
    return disk


def _half_a_folder(disk, stages):
    disk = dict(disk)
    for name, files in stages.items():
        if name in disk: continue
        if None in files: return disk | {name: files[:files.index(None)]}
        disk[name] = files
    return disk


def _all_again(disk, stages):
    disk = dict(disk)
    for name, files in stages.items():
        if None in files: break
        disk[name] = files
    return disk


def _goes_on_without(disk, stages):
    return dict(disk) | {name: files for name, files in stages.items() if name not in disk and None not in files}


def _done_means_stop(disk, stages):
    disk = dict(disk)
    for name, files in stages.items():
        if name in disk or None in files: break
        disk[name] = files
    return disk


def _draw_disk(rng):
    names = ["tokenizer", "language_model", "classifier", "checkpoint", "report"]
    stages = {name: ["config", "weights", f"notes{rng.integers(9)}"] for name in names}
    there = int(rng.integers(1, 3))                 # so many were built before, with other notes
    stages[names[int(rng.integers(there, 4))]][int(rng.integers(1, 3))] = None
    return {name: ["config", "weights", "old"] for name in names[:there]}, stages


def served(candidates: dict) -> str:
    "The name of the model to serve. `candidates`: name -> validation and test macro-F1, recall_negative, megabytes."
    least = 0.6                                     # the objective: recall of the negative sentences on validation
    meets = lambda name: candidates[name]["recall_negative"] >= least
    return max(candidates, key=lambda name: (meets(name), candidates[name]["validation"]))


def _best_on_test(candidates):
    "The name of the model to serve. `candidates`: name -> validation and test macro-F1, recall_negative, megabytes."
    least = 0.6
    meets = lambda name: candidates[name]["recall_negative"] >= least
    return max(candidates, key=lambda name: (meets(name), candidates[name]["test"]))


def _no_objective(candidates): return max(candidates, key=lambda name: candidates[name]["validation"])
def _smallest(candidates): return min(candidates, key=lambda name: candidates[name]["megabytes"])
def _best_recall(candidates): return max(candidates, key=lambda name: candidates[name]["recall_negative"])


def _score_first(candidates):
    return max((name for name in candidates if candidates[name]["recall_negative"] >= 0.6), default="none",
               key=lambda name: candidates[name]["validation"])


def _draw_candidates(rng):
    names = ["scratch", "minilm", "lora", "mpnet"]
    low, high = (0.3, 0.58) if rng.random() < 0.25 else (0.4, 0.8)          # sometimes none meets the objective
    draw = lambda low, high: round(rng.uniform(low, high), 3)
    return ({name: {"validation": draw(0.5, 0.9), "test": draw(0.5, 0.9), "recall_negative": draw(low, high),
                    "megabytes": float(rng.integers(1, 400))} for name in names},)


def may_reuse(report: dict, run: dict) -> bool:
    "Whether a stored `report` (seed, scale, model) still speaks of this `run` (seed, scale, model)."
    return all(report.get(name) == run[name] for name in run)       # settings, and the fingerprint of the weights


def _settings_only(report, run): return all(report.get(name) == run[name] for name in ("seed", "scale"))
def _weights_only(report, run): return report.get("model") == run["model"]
def _any_agrees(report, run): return any(report.get(name) == run[name] for name in run)
def _it_is_there(report, run): return bool(report)


def _draw_report(rng):
    run = {"seed": int(rng.integers(2)), "scale": str(rng.choice(["tiny", "laptop"])),
           "model": str(rng.choice(["9f3a", "77b0"]))}
    other = {"seed": 1 - run["seed"], "scale": "laptop" if run["scale"] == "tiny" else "tiny", "model": "c41e"}
    kinds = [{}, run, other, *(run | {name: other[name]} for name in run)]      # none, the same, all or one differs
    return kinds[int(rng.integers(len(kinds)))], run


def kill_a_writer() -> dict:
    "Bytes that two killed writers leave of 1,000, three times each: one writes in place, one beside and renames."
    code = """
import os, sys, time
name, in_place = sys.argv[1], sys.argv[2] == "in place"
with open(name if in_place else name + ".scratch", "wb") as file:
    for _ in range(1000):
        file.write(b"x")
        file.flush()
        time.sleep(0.01)
if not in_place: os.replace(name + ".scratch", name)
"""
    left = {"in place": [], "renamed": []}
    with tempfile.TemporaryDirectory() as folder:
        for way, sizes in left.items():
            for i in range(3):
                path = Path(folder)/f"{way} {i}"
                process = subprocess.Popen([sys.executable, "-c", code, str(path), way])
                while not any(Path(folder).glob(f"{path.name}*")): time.sleep(0.01)     # it has begun to write
                time.sleep(0.3)
                process.kill()                                                          # no chance to tidy up
                process.wait()
                sizes.append(path.stat().st_size if path.exists() else None)
    return left | {"safe": "renamed"}


def _judge_killed(answer) -> str:
    "Whether both writers were killed in the middle, and the choice follows."
    if not all(isinstance(answer[way], list) and len(answer[way]) == 3 for way in ("in place", "renamed")):
        return "kill each writer three times"
    if not all(isinstance(size, int) and size < 1000 for size in answer["in place"]):
        return "a writer in place that is killed in the middle leaves a part; kill it once it has begun to write"
    if any(size not in (None, 1000) for size in answer["renamed"]):
        return "a file under its final name should be whole or absent; is the scratch file renamed only at the end?"
    if None not in answer["renamed"]: return "no writer of the second kind was killed before it was ready"
    if answer["safe"] != "renamed": return "look at what a next run would find under the final name, and believe"
    return ""


_KILLED = {"in place": [31, 30, 31], "renamed": [None, None, None], "safe": "renamed"}

EXERCISES = [
    Exercise(
        "Go on", """
        A run at the smallest scale is killed while the classifier without pre-training is being trained. The folder
        holds `run.json`, `language_model`, `from_scratch` and the file `without_pretraining.state.safetensors`. The
        same command is given again. Which folders does it still make? Answer with a list of their names, in order.
        """, still_made, kind="predict",
        hints=("A stage whose folder is there is done. Which folders are missing?",
               "The state file lets the training go on in the middle; its folder is made when it ends. What is served "
               "is chosen after that."),
        mistakes=(Mistake(["language_model", "from_scratch", "without_pretraining", "checkpoint"],
                          "That is a run from the beginning; what lies there is not built again."),
                  Mistake(["checkpoint"], "A state file is no folder: that stage is not done."),
                  Mistake(["without_pretraining"], "After the classifiers, one of them is chosen and copied."),
                  Mistake(["from_scratch", "without_pretraining", "checkpoint"],
                          "The folder of the first classifier is there, and so it is whole."))),
    Exercise(
        "Whole or not at all", """
        Write `walk(disk, stages)`. `disk` says which folders lie there, each with its files. `stages` names the folders
        that a run makes, in order, with the files of each; where `None` stands among the files, the power fails while
        that stage is being built. Return the disk afterwards: a folder appears with all its files or not at all, and
        what is there already stays as it is.
        """, walk, inputs=_draw_disk,
        hints=("Go through the stages in order and skip those that are on the disk.",
               "A stage in which the power fails leaves nothing, and nothing after it is built either."),
        mistakes=(Mistake(_half_a_folder, "Half a folder is left. The next run will believe that it is done."),
                  Mistake(_all_again, "What was there is built again. Hours of training would be lost at each "
                                       "restart."),
                  Mistake(_goes_on_without, "Stages after the failure were built; the power was gone."),
                  Mistake(_done_means_stop, "It stops at the first stage that is there; that one is done, the next may "
                                            "not be."))),
    Exercise(
        "Choose what is served", """
        `served` chooses among trained models: first those whose recall of the negative sentences is at least 0.6, then
        the best macro-F1. If none reaches 0.6, the best of all. The figures it reports later are too good to be true
        and do not come true. Mend it.
        """, served, kind="mend", inputs=_draw_candidates, rounds=24,
        hints=("Which split decides, and which one is reported at the end?",
               "Whoever chooses by the test split reports the luckiest test result. Choose by `validation`."),
        mistakes=(Mistake(_best_on_test, "It looks at data that must stay closed until the choice is made."),
                  Mistake(_no_objective, "A model that misses the objective is served though another one meets it."),
                  Mistake(_smallest, "Size is a cost to report; the objective does not choose by it."),
                  Mistake(_best_recall, "The recall is a threshold to pass, not the measure to choose by."),
                  Mistake(_score_first, "If no model meets the objective there should still be an answer: the best "
                                        "one."))),
    Exercise(
        "Is the report still true?", """
        A report lies beside a run. Write `may_reuse(report, run)`: may it be shown again, or must the model be measured
        anew? Both are dictionaries with the seed, the scale and a fingerprint of the weights, `model`. `report` is
        empty if there is none.
        """, may_reuse, inputs=_draw_report, rounds=40,
        hints=("What if somebody has trained another model with the same settings?",
               "All three must agree. `report.get(name)` is `None` where there is no report."),
        mistakes=(Mistake(_settings_only, "Settings alone do not say which weights were measured."),
                  Mistake(_weights_only, "The weights agree, but another scale tests on other sentences."),
                  Mistake(_any_agrees, "One thing that agrees is not enough."),
                  Mistake(_it_is_there, "That a report is there does not show that it is about this run."))),
    Exercise(
        "Kill a writer", """
        Two small programs write 1,000 bytes one by one, with a short sleep after each. One writes to the final name at
        once; the other writes to a scratch name and renames the file at the end (`os.replace`). Start each three times
        and kill it in the middle. Which bytes lie under the **final name** (`None`: no file)? Which way is `safe`,
        `"in place"` or `"renamed"`?
        """, kill_a_writer, kind="decide", verify=_judge_killed,
        imports="import subprocess\nimport sys\nimport tempfile\nimport time\nfrom pathlib import Path",
        stub="""answer = {"in place": [...], "renamed": [...], "safe": ...}""",
        hints=("`subprocess.Popen([sys.executable, \"-c\", code, ...])` starts a program, `.kill()` ends it at once.",
               "Call `file.flush()` after each byte, or the bytes wait in memory.",
               "Wait until a file is there, then a moment longer, then kill."),
        mistakes=(Mistake(_KILLED | {"in place": [31]}, "three times"),
                  Mistake(_KILLED | {"in place": [1000, 1000, 1000]}, "kill it once it has begun to write"),
                  Mistake(_KILLED | {"renamed": [None, 31, None]}, "renamed only at the end"),
                  Mistake(_KILLED | {"safe": "in place"}, "what a next run would find"))),
]

QUESTIONS = [
    Question("Why does a run keep its seed and scale in `run.json`, and refuse others under the same name?",
             ("Half of the stages would come from one experiment and half from another.",
              "The folders that are there are taken as done, whatever settings made them."),
             (("Because two runs must not have the same name on one disk.",
               "The same name is how one goes on. What must agree is what the run is about."),
              ("Because the weights could not be loaded at another scale.",
               "Another seed would load without an error, and be wrong all the same."))),
    Question("You add a stage that writes a model card from the report into the checkpoint folder. Where must it "
             "stand?",
             ("After the evaluation, since the card quotes the report.",
              "A run that was finished before gets its card at the next call: that part is missing."),
             (("Before the evaluation, as part of making the checkpoint.",
               "The figures are not there yet. The folder would also be changed after it was called whole."),
              ("Anywhere: stages that are missing are built in any order.",
               "They are built in the order of the code, and each needs what stands before it."))),
    Question("The killed run and the untouched one end with the same weights, bit for bit. What does that show?",
             ("An interruption changes nothing: order, seeds and optimizer state are restored.",
              "If any of them were lost, the steps after the restart would differ."),
             (("Training is deterministic, so any two runs agree.",
               "Another seed gives other weights. It agrees only as everything that decides is stored."),
              ("The model is so small that all runs end alike.",
               "Another seed ends elsewhere, however small the model is."))),
    Question("At the smallest scale the served model is worse than a word list. What is the run good for?",
             ("It shows in a minute that all stages fit together.",
              "Quality needs the laptop scale; the mechanics are the same, and are tested in each change."),
             (("For nothing: a pipeline is judged by its model.",
               "The same code makes the better model. What fails here would fail there after hours."),
              ("It shows that training does not help on these data.",
               "Three hundred sentences and a few seconds say nothing about training on all of them."))),
]
