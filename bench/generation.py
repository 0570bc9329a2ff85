"""Our generation with a KV cache beside `transformers.generate`, on the course's own checkpoint.

Usage: python bench/generation.py [THREADS]      1 unless told; about a minute

Both read the same prompts (beginnings of real reviews; sixteen differ in length and are padded on the left), write
the same number of tokens, greedy, in float32, on the same threads, and must write the same tokens. A round runs each
once, in turn, so that a busy machine slows all alike; the table gives the medians of the rounds, and the median of the
ratios within a round. *cache alone*: our model as it stands, with the cache but its weights not rearranged. *rearranged
anew*: the weights are rearranged again in each call, as `generate_ids` does when it gets a model and no `Decoder`.
"""
import sys
from pathlib import Path
from statistics import median

import torch
import transformers
from transformers import LlamaForCausalLM

import llmcourse
from llmcourse.data import load_data
from llmcourse.generation import Decoder, generate_ids
from llmcourse.model import load_checkpoint

from _timing import seconds

ROUNDS, NEW_TOKENS, PROMPT = 9, 64, 32
FOLDER = Path(llmcourse.__file__).parent/"course_gpt"


class Plain(Decoder):
    "Reads with the model as it is."
    def __init__(self, model): self.model, self.config, self.head = model, model.config, model.lm_head.weight

    def __call__(self, ids, cache): return self.model.lm_head(self.model.model(ids, cache)[:, -1])


def writers(prompts: list[list[int]], pad_id: int) -> dict:
    "Functions that write `NEW_TOKENS` after each prompt: ours, and theirs."
    model, _ = load_checkpoint(FOLDER)
    reference = LlamaForCausalLM.from_pretrained(FOLDER).eval()
    reference.generation_config.eos_token_id = None                    # both write all tokens
    decoder, plain = Decoder(model), Plain(model)
    padded = [[pad_id] * (PROMPT - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (PROMPT - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    inputs = {"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)}

    @torch.inference_mode()
    def theirs():
        ids = reference.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=True,
                                 pad_token_id=pad_id)
        return ids[:, PROMPT:].tolist()
    return {"ours": lambda: generate_ids(decoder, prompts, NEW_TOKENS), "transformers": theirs,
            "ours, cache alone": lambda: generate_ids(plain, prompts, NEW_TOKENS),
            "ours, rearranged anew": lambda: generate_ids(model, prompts, NEW_TOKENS)}


def main(threads: int = 1) -> None:
    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    _, tokenizer = load_checkpoint(FOLDER)
    ids = [row for row in tokenizer(list(load_data("amazon")["test"]["text"]))["input_ids"] if len(row) >= PROMPT]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} thread(s), float32, greedy, "
          f"{NEW_TOKENS} new tokens, {ROUNDS} rounds")
    print(f"{'':28} {'tokens/s':>9}   ours writes")
    for batch in (1, 16):
        tasks = writers([row[:PROMPT - i] for i, row in enumerate(ids[:batch])], tokenizer.pad_token_id)
        found = [task() for task in tasks.values()]                    # also warms up
        assert all(rows == found[0] for rows in found), "not the same tokens"
        rounds = [{name: seconds(task) for name, task in tasks.items()} for _ in range(ROUNDS)]
        for name in tasks:
            speed = batch * NEW_TOKENS / median(times[name] for times in rounds)
            ratio = median(times[name] / times["ours"] for times in rounds)
            print(f"batch {batch:2}  {name:19} {speed:9,.0f}   {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__": main(*map(int, sys.argv[1:2]))
