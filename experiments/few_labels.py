"""What techniques are worth with 256 labels, against the linear probe: stored for lessons 36, 46, 47 and 48.

    PYTHONPATH=. python experiments/few_labels.py            (a quarter of an hour on one core)

Writes llmcourse/measured/few_labels.json. Three draws of 256 training sentences in whole reviews, with 120 sentences of
other reviews to choose by; a draw is also the seed. Every technique starts from MiniLM with a fitted head, takes four
epochs and tries two learning rates; the sentences kept for choosing decide by cross-entropy.
The predictions on the validation split are stored, so that intervals by review can be computed anywhere.
A second part holds what probe, TF-IDF and the head on the pooler say of the test split with all labels, to stand beside
the techniques in comparison.json.
"""
import copy
import sys

import numpy as np
import torch

from _store import MEASURED, write
from llmcourse.adapters import add_adapters
from llmcourse.data import LABELS, load_data
from llmcourse.evaluation import predict_probabilities, tfidf_baseline
from llmcourse.lora import add_lora
from llmcourse.preprocessing import clean
from llmcourse.pretrained import draw_reviews, embed, linear_probe, load_pretrained
from llmcourse.prompt_learning import PrefixTuning, SoftPrompt, word_states, word_vectors
from llmcourse.techniques import count_parameters, fit_head
from llmcourse.training import ClassificationBatches, TrainingConfig, provenance, train

SEEDS, LABELLED, KEPT, EPOCHS = (0, 1, 2), 256, 120, 4
SAID = "is this review of a product negative, neutral or positive?"
TARGET = MEASURED/"few_labels.json"
RATES = {"everything": (1e-4, 2e-4), "LoRA": (2e-3, 5e-3), "adapters": (2e-3, 5e-3), "soft prompt": (1e-2, 3e-2),
         "prefix": (1e-2, 3e-2)}

reviews = clean(load_data("amazon"))[0]
base, tokenizer = load_pretrained("minilm", LABELS)
ADAPT = {"everything": lambda model: model,
         "LoRA": lambda model: add_lora(model, ["query", "value"], rank=8, alpha=16),
         "adapters": lambda model: add_adapters(model, bottleneck=16),
         "soft prompt": lambda model: SoftPrompt(model, word_vectors(model, tokenizer, SAID, 10), after=1),
         "prefix": lambda model: PrefixTuning(model, word_states(model, tokenizer, SAID, 10))}


def batches(split, size=16, epochs=1, seed=0):
    "Batches of a split, cut at 48 tokens."
    ids = tokenizer(list(split["text"]), truncation=True, max_length=48)["input_ids"]
    return ClassificationBatches(ids, list(split["label"]), size, epochs, tokenizer.pad_token_id, 48, seed)


def cross_entropy(model, split) -> float:
    "In nats."
    p = predict_probabilities(model, tokenizer, list(split["text"]))
    return float(-np.log(p[np.arange(len(p)), list(split["label"])]).mean())


def trained(technique: str, rate: float, split, kept, seed: int):
    "A trained model, and its cross-entropy on the sentences kept for choosing."
    torch.manual_seed(seed)
    model = ADAPT[technique](fit_head(copy.deepcopy(base), batches(split)))
    if technique == "everything": model.requires_grad_(True)
    config = TrainingConfig(learning_rate=rate, weight_decay=0.01, betas=(0.9, 0.999), warmup=0.1, seed=seed)
    train(model, batches(split, epochs=EPOCHS, seed=seed), config)
    return model, cross_entropy(model, kept)


def answers(model, split) -> list[int]:
    return predict_probabilities(model, tokenizer, list(split["text"])).argmax(-1).tolist()


def few_labels(seed: int) -> list[dict]:
    "All techniques on one draw."
    train_set, validation = reviews["train"], reviews["validation"]
    chosen, apart = draw_reviews(train_set["group"], LABELLED, KEPT, seed=seed)
    split, kept = train_set.select(chosen), train_set.select(apart)
    vectors, unseen = (embed(base, tokenizer, list(s["text"])) for s in (split, validation))
    row = lambda technique, said, **more: {"technique": technique, "seed": seed, "predictions": said} | more
    rows = [row("TF-IDF", tfidf_baseline(split)(list(validation["text"])).tolist())]
    for name, balanced in (("probe", True), ("probe, unweighted", False)):
        probe = linear_probe(vectors, list(split["label"]), list(split["group"]), balanced=balanced)
        rows.append(row(name, probe.predict(unseen).tolist(), C=probe.C))
    rows.append(row("pooler head", answers(fit_head(copy.deepcopy(base), batches(split)), validation)))
    for technique, rates in RATES.items():
        tried = {rate: trained(technique, rate, split, kept, seed) for rate in rates}
        rate = min(tried, key=lambda rate: tried[rate][1])
        rows.append(row(technique, answers(tried[rate][0], validation), rate=rate,
                        kept={str(r): loss for r, (_, loss) in tried.items()},
                        trainable=count_parameters(tried[rate][0])[0]))
        print(seed, technique, rows[-1]["kept"], np.mean(np.array(rows[-1]["predictions"]) == validation["label"]),
              flush=True)
    return rows


def all_labels() -> dict[str, list[int]]:
    "Predictions on the test split of what needs no seed, fitted on the whole training split."
    split, texts = reviews["train"], list(reviews["test"]["text"])
    known, unseen = embed(base, tokenizer, list(split["text"])), embed(base, tokenizer, texts)
    said = {name: linear_probe(known, list(split["label"]), list(split["group"]), balanced=balanced).predict(unseen)
            for name, balanced in (("probe", True), ("probe, unweighted", False))}
    return {name: found.tolist() for name, found in (said | {"TF-IDF": tfidf_baseline(split)(texts)}).items()} | {
        "pooler head": answers(fit_head(copy.deepcopy(base), batches(split)), reviews["test"])}


def main() -> None:
    whole = all_labels()
    rows = [row for seed in SEEDS for row in few_labels(seed)]
    about = provenance("python experiments/few_labels.py", SEEDS, labelled=LABELLED, kept=KEPT,
                       epochs=EPOCHS, batch_size=16, rates=RATES)
    found = {"about": about, "rows": rows, "all_labels": whole}
    write(TARGET, found)


if __name__ == "__main__": sys.exit(main())
