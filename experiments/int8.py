"""What does int8 cost? Classifiers exported to ONNX, their weights in 32 bits and in 8: bytes, labels and macro-F1.

Usage: python experiments/int8.py [--out FILE]      some minutes; a run that was begun goes on

Two bodies, MiniLM (mean-pooled) and the course's GPT (last token), stay frozen; a logistic regression on half of the
training reviews, drawn by the seed, is the head. All are judged on the validation sentences: the exported program, int8
with a scale for each channel, and int8 with one scale for a matrix, each against the model in PyTorch.
"""
import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from _store import MEASURED, rows_begun, write
from sklearn.linear_model import LogisticRegression

import llmcourse
from llmcourse.data import LABELS, load_data
from llmcourse.evaluation import paired_difference, predict_probabilities, score
from llmcourse.model import Classifier, load_checkpoint
from llmcourse.packaging import export_onnx, onnx_probabilities, open_onnx, quantize_onnx
from llmcourse.preprocessing import clean
from llmcourse.training import provenance

SEEDS = (0, 1, 2)


def course_gpt():
    "A classifier on the course's GPT, its tokenizer."
    base, tokenizer = load_checkpoint(Path(llmcourse.__file__).parent/"course_gpt")
    return Classifier.from_language_model(base, LABELS).eval(), tokenizer


def minilm():
    "A mean-pooled classifier on MiniLM, its tokenizer."
    from transformers import AutoConfig, AutoTokenizer

    from llmcourse.models import package_folder
    from llmcourse.selection import MeanPooledClassifier
    where = package_folder()
    config = AutoConfig.from_pretrained(where, id2label=dict(enumerate(LABELS)),
                                        label2id={name: i for i, name in enumerate(LABELS)})
    model = MeanPooledClassifier.from_pretrained(where, config=config).eval()
    return model, AutoTokenizer.from_pretrained(where)


@torch.inference_mode()
def features(model, tokenizer, texts: list[str]) -> np.ndarray:
    "(texts, d_model): what the head of a classifier gets to see."
    seen, found = [], np.zeros((len(texts), model.score.in_features), np.float32)
    hook = model.score.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    order = np.argsort([len(text) for text in texts], kind="stable")
    for some in np.array_split(order, len(texts) // 32 + 1):
        batch = tokenizer([texts[i] for i in some], truncation=True, max_length=64, padding=True, padding_side="right",
                          return_tensors="pt")
        model(batch["input_ids"], attention_mask=batch["attention_mask"])
        found[some] = seen.pop()
    hook.remove()
    return found


def fit_head(model, vectors: np.ndarray, labels: np.ndarray) -> None:
    bias = model.score.bias is not None
    head = LogisticRegression(class_weight="balanced", C=0.03, fit_intercept=bias, max_iter=1000).fit(vectors, labels)
    with torch.no_grad():
        model.score.weight.copy_(torch.tensor(head.coef_))
        if bias: model.score.bias.copy_(torch.tensor(head.intercept_))


def measure(model, tokenizer, validation) -> list[dict]:
    "A row for each form of one classifier."
    texts, truth, groups = list(validation["text"]), validation["label"], validation["group"]
    torch_says, rows = predict_probabilities(model, tokenizer, texts), []
    with tempfile.TemporaryDirectory() as folder:
        plain = export_onnx(model, tokenizer, folder, LABELS)
        forms = {"32 bits": plain, "int8, by channel": quantize_onnx(plain, "channel.onnx"),
                 "int8, by matrix": quantize_onnx(plain, "matrix.onnx", per_channel=False)}
        for form, file in forms.items():
            said = onnx_probabilities(open_onnx(file, threads=1), tokenizer, texts)
            difference = paired_difference(truth, said.argmax(1), torch_says.argmax(1), groups=groups)
            rows.append({"form": form, "megabytes": round(file.stat().st_size / 1e6, 2),
                         "largest probability difference": float(abs(said - torch_says).max()),
                         "labels changed": float((said.argmax(1) != torch_says.argmax(1)).mean()),
                         "macro-F1": score(truth, said.argmax(1))["macro_f1"],
                         **dict(zip(("minus PyTorch", "low", "high"), map(float, difference)))})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=MEASURED/"int8.json")
    out = parser.parse_args().out
    reviews = clean(load_data("amazon"))[0]
    train, validation = reviews["train"], reviews["validation"]
    settings = {"sentences": len(validation), "reviews": len(set(validation["group"]))}
    rows = rows_begun(out, settings, parser)
    about = provenance("python experiments/int8.py", SEEDS, **settings) | {"precision": "fp32"}
    for name, make in {"course GPT": course_gpt, "MiniLM": minilm}.items():
        todo = [seed for seed in SEEDS if not any(row["model"] == name and row["seed"] == seed for row in rows)]
        if not todo: continue
        model, tokenizer = make()
        vectors, labels = features(model, tokenizer, list(train["text"])), np.array(train["label"])
        groups = train["group"]
        for seed in todo:
            chosen = np.random.default_rng(seed).permutation(sorted(set(groups)))[: len(set(groups)) // 2]
            half = np.isin(groups, chosen)
            fit_head(model, vectors[half], labels[half])
            rows += [{"model": name, "seed": seed} | row for row in measure(model, tokenizer, validation)]
            for row in rows[-3:]: print(row, flush=True)
            write(out, {"about": about, "rows": rows})


if __name__ == "__main__": main()
