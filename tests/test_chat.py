"""`llmcourse chat` in a terminal: answers arrive in pieces, Ctrl-C stops one, Ctrl-D leaves. The model is tiny."""
import os
import sys
from pathlib import Path

import pexpect
import pytest
from conftest import ROOT, build_once, run

MADE = """
import string, sys
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

bpe = Tokenizer(models.BPE({letter: i for i, letter in enumerate(string.ascii_letters)}, []))
bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe)
tokenizer.add_special_tokens({"additional_special_tokens": ["<|begin|>", "<|end|>"]})
shape = Qwen2Config(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, intermediate_size=64,
                    num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
                    max_position_embeddings=100_000)
tokenizer.add_special_tokens({"eos_token": "<|never|>"})     # its id is beyond what the model can write
tokenizer.chat_template = ("{% for m in messages %}<|begin|>{{ m.role }}\\n{{ m.content }}<|end|>\\n{% endfor %}"
                           "{% if add_generation_prompt %}<|begin|>assistant\\n{% endif %}")
torch.manual_seed(0)
model = Qwen2ForCausalLM(shape)
torch.nn.init.zeros_(model.lm_head.weight)                    # every letter is as likely as every other
model.save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""
FIRST, STOPPED = "Ctrl-D or /exit leaves, /help", "(stopped; Ctrl-D"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    "A model of 32 channels that writes letters at random, in the form of a model that answers."
    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        run(sys.executable, "-c", MADE, folder, cwd=ROOT)
    return build_once(tmp_path_factory, "tiny_chat", build)


@pytest.fixture
def terminal(folder):
    "Starts the program in a terminal of its own, and ends it."
    started = []
    def start(*options) -> pexpect.spawn:
        command = ["-c", "from llmcourse.cli import main; main()", "chat", "--model", str(folder), *options]
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "dumb"}
        started.append(pexpect.spawn(sys.executable, command, env=env, timeout=120, encoding="utf-8",
                                     codec_errors="replace", echo=False))
        started[-1].expect_exact(FIRST)
        started[-1].expect_exact("> ")
        return started[-1]
    yield start
    for child in started: child.close(force=True)


def left_with(child: pexpect.spawn) -> int:
    "The exit code, once the program has ended."
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_an_answer_arrives_in_pieces_and_ctrl_d_leaves(terminal):
    child = terminal("--max-tokens", "600", "--seed", "1")
    child.sendline("Hello")
    child.expect(r"\S{5}")                        # the first letters are here, and the answer is not at its end
    begun = child.after
    with pytest.raises(pexpect.TIMEOUT): child.expect_exact("(stopped after 600", timeout=0.05)
    child.expect_exact("(stopped after 600 tokens; --max-tokens allows more)")
    child.expect_exact("> ")
    child.sendeof()
    assert begun and left_with(child) == 0


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal):
    child = terminal("--max-tokens", "50000")     # minutes, if nobody stops it
    for question in ("Hello", "And now?"):
        child.sendline(question)
        child.expect(r"\S{5}")
        child.sendintr()
        child.expect_exact(STOPPED)
        child.expect_exact("> ")
    child.sendintr()                              # at the prompt it leaves nothing behind
    child.expect_exact(STOPPED)
    child.expect_exact("> ")
    child.sendline("/new")
    child.expect_exact("(a new conversation)")
    child.expect_exact("> ")
    child.sendline("/exit")
    assert left_with(child) == 0


def test_the_same_seed_gives_the_same_answer_through_a_pipe(folder):
    command = (sys.executable, "-c", "from llmcourse.cli import main; main()", "chat", "--model", folder,
               "--max-tokens", "20")
    said = [run(*command, input="Hello\nAnd now?\n", cwd=ROOT) for _ in range(2)]
    assert said[0] == said[1] and len(said[0]) > 40 and ">" not in said[0].splitlines()[0][:2]


def test_a_model_that_cannot_answer_is_refused_in_one_sentence():
    command = [sys.executable, "-c", "from llmcourse.cli import main; main()", "chat", "--model"]
    child = pexpect.spawn(command[0], [*command[1:], str(ROOT/"llmcourse"/"course_gpt")], timeout=120, encoding="utf-8",
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, dimensions=(24, 400))
    child.expect_exact("has no chat template")
    assert left_with(child) == 1 and "Traceback" not in child.before
