"""The engine and guessing ahead, on a small model in the form of Qwen; on Qwen itself when asked."""
import time

import pytest
import torch
from conftest import needs
from transformers import Qwen2Config, Qwen2ForCausalLM

from llmcourse.chat import chat_tokens, open_chat, write_ids
from llmcourse.engine import Closing, Engine, Request
from llmcourse.model import load_checkpoint
from llmcourse.models import course_gpt
from llmcourse.sampling import GREEDY, Sampling
from llmcourse.speculation import LookupDraft, ModelDraft, Reader, no_draft, write_speculatively


def small_qwen(layers: int, seed: int):
    "Random weights, grouped heads, clear preferences, 64 bits."
    torch.manual_seed(seed)
    shape = Qwen2Config(vocab_size=300, hidden_size=32, num_hidden_layers=layers, intermediate_size=64,
                        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96)
    model = Qwen2ForCausalLM(shape).double().eval()
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    return model


@pytest.mark.parametrize("guesses", [1, 4, 9])
def test_guessing_changes_no_greedy_token(guesses):
    target = small_qwen(2, 0)
    drafts = [ModelDraft(small_qwen(1, 1)), ModelDraft(target), LookupDraft(300), no_draft]
    prompts = [[5, 6, 7, 8, 5, 6], [9], list(range(10, 90))]
    for prompt in prompts:
        plain = list(write_ids(target, prompt, min(30, 96 - len(prompt))))
        for draft in drafts:
            found = write_speculatively(Reader(target), draft, prompt, 30, guesses)
            assert found.tokens == plain and 0 <= found.accepted <= found.tried
            assert found.calls + found.accepted == len(plain)


def test_a_draft_that_is_the_target_is_always_right():
    target, way = small_qwen(2, 0), Sampling(0.8, top_k=40)
    found = write_speculatively(Reader(target), ModelDraft(target), [5, 6, 7], 30, 4, way, seed=3)
    assert found.acceptance == 1 and found.calls == 6 and len(found.tokens) == 30


def test_an_end_token_among_the_guesses_ends_the_text():
    target = small_qwen(2, 0)
    plain = list(write_ids(target, [5, 6, 7], 30))
    end = plain[7]
    found = write_speculatively(Reader(target), ModelDraft(target), [5, 6, 7], 30, 4, ends={end})
    assert found.tokens == plain[:plain.index(end)]


def test_a_limit_on_time_holds_for_those_who_wait_and_those_who_write():
    model, tokenizer = load_checkpoint(course_gpt())
    engine = Engine(model, tokenizer, slots=1)
    read = engine.read
    def slowly(ids, rows):
        time.sleep(0.05)
        return read(ids, rows)
    engine.read, engine.ends = slowly, set()
    with engine:
        writes, waits, patient = (engine.submit(Request([5, 6, 7], n, seconds=seconds))
                                  for n, seconds in ((100, 1.5), (100, 0.2), (3, None)))
        assert all(ticket.done.wait(30) for ticket in (writes, waits, patient))
    assert (writes.finish_reason, waits.finish_reason, patient.finish_reason) == ("time", "time", "length")
    assert len(writes.tokens) < 100 and waits.tokens == [] and len(patient.tokens) == 3
    with pytest.raises(Closing): engine.submit(Request([5], 1))


@needs("qwen")
def test_qwen_guesses_from_its_own_text_and_writes_the_same():
    model, tokenizer = open_chat("qwen", "fp32")
    text = "The battery lasts a day. The screen is lovely. The battery lasts a day."
    ids = chat_tokens(tokenizer, [{"role": "user", "content": f"Repeat this text:\n\n{text}"}])
    plain = list(write_ids(model, ids, 16, GREEDY))
    found = write_speculatively(Reader(model), LookupDraft(model.config.vocab_size), ids, 16)
    assert found.tokens == plain and found.calls < len(plain)
