"""RLHF with several seeds: GRPO and DPO, each with a reward model of its own, held against the trivial control.

Usage: python experiments/rlhf.py [--seeds 0 1 2 3 4] [--steps 15] [--sentences N] [--out FILE]

Writes llmcourse/measured/rlhf.json, a row for each seed and each set of texts. The texts are 96 completions of 48 test
prompts: by the untrained model ("before"), the same with "great" put at their ends, by GRPO with and without a KL
penalty, and by DPO; and 96 real sentences that people call positive. For each seed a reward model is fitted anew, so
the seeds share the course's GPT and the ratings, and nothing else. The judges: that reward model; one fitted to ratings
of film reviews, which no policy meets; VADER, also with the two favourite words taken out; a classifier of film reviews
on MiniLM's vectors. About half a minute a seed on one core. What the file holds already is not measured again; a file
begun with other settings is refused.
"""
import argparse
import copy
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from _store import MEASURED, rows_begun, write
from llmcourse.data import LABELS, load_data
from llmcourse.evaluation import bits_per_byte
from llmcourse.generation import distinct_ngrams
from llmcourse.model import fingerprint
from llmcourse.preprocessing import clean
from llmcourse.pretrained import course_gpt, embed, load_pretrained
from llmcourse.rlhf import (DPOConfig, GRPOConfig, decode, dpo, frozen_logps, grpo, kl_k3, load_policy, rank_samples,
                            reward_function, sample, split_prompts, train_reward_model, vader_scores)
from llmcourse.training import native_precision, provenance

FILE = MEASURED/"rlhf.json"
FAVOURITES = re.compile(r"\b(great|excellent)\b")


def film_classifier(films):
    "The probability of `positive` by a head on MiniLM's frozen vectors, fitted to 400 sentences of film reviews."
    model, tokenizer = load_pretrained("minilm", LABELS)
    def vectors(texts):
        with torch.autocast("cpu", torch.bfloat16, enabled=native_precision() == "bf16"):
            return embed(model, tokenizer, texts, context=48)
    few = films.shuffle(seed=0).select(range(400))
    head = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
    head.fit(vectors(list(few["text"])), list(few["label"]))
    return lambda texts: head.predict_proba(vectors(texts))[:, LABELS.index("positive")]


class Experiment:
    "What all seeds share: the language model, the ratings, the prompts, and the judges that no policy meets."

    def __init__(self, steps: int, sentences: int | None):
        self.steps = steps
        self.lm, self.tokenizer = load_policy(course_gpt())
        data, films = (clean(load_data(name))[0] for name in ("amazon", "movies"))
        few = lambda split, seed: split.shuffle(seed=seed).select(range(min(len(split), sentences or len(split))))
        self.rows = few(data["train"], 0) if sentences else data["train"]
        self.prompts, fresh = split_prompts(data, self.tokenizer)
        self.asked = fresh[48:96].repeat_interleave(2, 0)
        praise = data["test"].filter(lambda row: LABELS[row["label"]] == "positive").shuffle(seed=0).select(range(96))
        self.praise = list(praise["text"])
        other = few(films["train"], 0).select(range(min(len(self.rows), len(films["train"]))))
        self.judges = {"reward, films": self.judge(other, 100), "VADER": vader_scores,
                       "VADER, words out": lambda texts: vader_scores([FAVOURITES.sub("", text) for text in texts]),
                       "P(positive), films": film_classifier(films["train"])}

    def judge(self, rows, seed: int):
        "A reward model fitted to ratings."
        return reward_function(train_reward_model(self.lm, self.tokenizer, rows, seed=seed)[0], self.tokenizer)

    def policies(self, reward, seed: int) -> dict:
        "Every method trained once."
        config, trained = GRPOConfig(steps=self.steps, seed=seed), {"before": self.lm}
        for name, beta in (("GRPO", config.beta), ("GRPO, beta 0", 0.0)):
            trained[name] = copy.deepcopy(self.lm)
            grpo(trained[name], self.tokenizer, reward, self.prompts, replace(config, beta=beta))
        trained["DPO"] = copy.deepcopy(self.lm)
        order = np.random.default_rng(seed).permutation(len(self.prompts))[:self.steps * config.prompts]
        pairs = rank_samples(self.lm, self.tokenizer, reward, self.prompts[order], config.group, seed=seed)
        dpo(trained["DPO"], pairs, DPOConfig(steps=self.steps * config.updates, seed=seed))
        return trained

    def measures(self, texts: list[str], reward) -> dict:
        "What every judge says of some texts, on average, and how strange and how varied they are."
        scores = {name: float(np.mean(judge(texts))) for name, judge in ({"reward": reward} | self.judges).items()}
        return scores | {"contain great": float(np.mean(["great" in text for text in texts])),
                         "bits a byte": bits_per_byte(self.lm, self.tokenizer, texts),
                         "distinct bigrams": distinct_ngrams([" ".join(texts).split()], n=2)}

    def run(self, seed: int) -> list[dict]:
        "One seed: a row for each set of texts."
        start, reward = time.process_time(), self.judge(self.rows, seed)
        written = {name: sample(policy, self.tokenizer, self.asked, seed=123)
                   for name, policy in self.policies(reward, seed).items()}
        texts = {name: decode(samples, self.tokenizer) for name, samples in written.items()}
        before = texts.pop("before")
        texts = {"before": before, "before + great": [f"{text} great" for text in before], **texts,
                 "real praise": self.praise}
        far = {name: float(kl_k3(s.logps, frozen_logps(self.lm, s.input_ids, s.mask)).sum() / s.mask.sum())
               for name, s in written.items()}
        rows = [{"seed": seed, "text": name, **self.measures(found, reward), "KL": far.get(name)}
                for name, found in texts.items()]
        more = {"reward of five greats": float(reward(["great " * 5])[0]), "seconds": time.process_time() - start}
        return [row | more for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="a run each")
    parser.add_argument("--steps", type=int, default=15, help="of GRPO; DPO gets as many texts and gradient steps")
    parser.add_argument("--sentences", type=int, help="fit the reward models to so many; all if left out")
    parser.add_argument("--out", type=Path, default=FILE, help="the JSON file to write or to go on with")
    given = parser.parse_args()
    lm, tokenizer = load_policy(course_gpt())
    settings = {"steps": given.steps, "sentences": given.sentences, "language_model": fingerprint(lm, tokenizer),
                "precision": native_precision()}
    rows = rows_begun(given.out, settings, parser)
    wanted = [seed for seed in given.seeds if not any(row["seed"] == seed for row in rows)]
    experiment = Experiment(given.steps, given.sentences) if wanted else None
    for seed in wanted:
        rows = sorted(rows + experiment.run(seed), key=lambda row: row["seed"])
        about = provenance("python experiments/rlhf.py", sorted({row["seed"] for row in rows}), **settings)
        write(given.out, {"about": about, "rows": rows})
        print(f"seed {seed}: {rows[-1]['seconds']:.0f} seconds", flush=True)


if __name__ == "__main__": main()
