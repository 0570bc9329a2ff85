"""A classifier in PyTorch, exported to ONNX, and as int8: time a batch, as ratios within a round.

Usage: python bench/export.py [ROUNDS]      two minutes; nine rounds unless told

One thread each. Batches of one and of 32 validation sentences, for the course's GPT and for MiniLM with heads that
nobody trained. The table gives the median of the ratios to PyTorch: below 1 is faster.
"""
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent/"experiments"))
from _timing import seconds
from int8 import course_gpt, minilm

from llmcourse.data import LABELS, load_data
from llmcourse.packaging import export_onnx, open_onnx, quantize_onnx


def tasks(model, tokenizer, texts: list[str], folder: str) -> dict:
    "What to time: the same batch in each form."
    batch = tokenizer(texts, truncation=True, max_length=64, padding=True, padding_side="right", return_tensors="np")
    batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
    ids, mask = (torch.tensor(array) for array in batch.values())
    plain = Path(folder)/"model.onnx"
    if not plain.exists(): quantize_onnx(export_onnx(model, tokenizer, folder, LABELS))
    sessions = {"onnx": open_onnx(plain, threads=1), "int8": open_onnx(plain.with_name("model.int8.onnx"), threads=1)}
    run = {name: lambda session=session: session.run(None, batch) for name, session in sessions.items()}

    @torch.inference_mode()
    def eager(): model(ids, attention_mask=mask)
    return {"torch": eager} | run


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    texts = [text for text in load_data("amazon")["validation"]["text"] if text.strip()][:32]
    for name, make in (("course GPT", course_gpt), ("MiniLM", minilm)):
        model, tokenizer = make()
        with tempfile.TemporaryDirectory() as folder:
            for size, times in ((1, 40), (32, 4)):
                found, forms = [], tasks(model, tokenizer, texts[:size], folder)
                repeat = lambda task: lambda: [task() for _ in range(times)]
                for task in forms.values(): task()
                for _ in range(rounds): found.append({form: seconds(repeat(task)) for form, task in forms.items()})
                ms = 1000 * median(row["torch"] for row in found) / times
                ratios = {form: median(row[form] / row["torch"] for row in found) for form in ("onnx", "int8")}
                print(f"{name:10} batch of {size:2}: PyTorch {ms:6.1f} ms; ONNX Runtime {ratios['onnx']:.2f} times "
                      f"that, int8 {ratios['int8']:.2f} times", flush=True)


if __name__ == "__main__": main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
