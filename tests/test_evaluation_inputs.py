"""Evaluation and tuning on a model that lives elsewhere, and the files that their pages need."""
import re

import pytest
import torch
from conftest import ROOT
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from llmcourse.data import LABELS
from llmcourse.evaluation import bits_per_byte, predict_probabilities
from llmcourse.model import Classifier, GPTConfig, LanguageModel
from llmcourse.tokenizer import train_tokenizer
from llmcourse.training import ClassificationBatches, LanguageModelBatches, TrainingConfig
from llmcourse.tuning import range_test

TEXTS = ["the lamp is bright", "it stopped on day three, and then it started again", "fair for what it costs"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 3, 300)


def shape(tokenizer) -> GPTConfig:
    return GPTConfig(vocab_size=len(tokenizer), d_model=16, n_layers=1, n_heads=2, d_ff=32, context=16)


def on_another_device(model: nn.Module, use) -> None:
    "Run `use` on a model whose tensors claim another device: whoever mixes devices is told so, as on a GPU."
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in model.modules():
            for name, p in list(module._parameters.items()):
                if p is not None: module._parameters[name] = nn.Parameter(p.detach().to("lazy:0"))
            for name, b in list(module._buffers.items()):
                if b is not None: module._buffers[name] = b.to("lazy:0")
        try: use(model)
        except Exception as error:                                    # the stand-in ends elsewhere
            assert "same device" not in str(error), str(error)[:200]


def test_the_stand_in_notices_a_mistake(tokenizer):
    ids = torch.tensor([[1, 2, 3]])
    with pytest.raises(AssertionError, match="device"):
        on_another_device(LanguageModel(shape(tokenizer)), lambda model: model(ids))


@pytest.mark.parametrize("use", [
    lambda model, tokenizer: predict_probabilities(model, tokenizer, TEXTS),
    lambda model, tokenizer: range_test(model, ClassificationBatches(tokenizer(TEXTS)["input_ids"], [0, 1, 2], 2, 5,
                                                                     tokenizer.pad_token_id, 16), 1e-4, 1e-3, 10,
                                        TrainingConfig(precision="fp32"))])
def test_inputs_follow_a_classifier(tokenizer, use):
    on_another_device(Classifier(shape(tokenizer), LABELS), lambda model: use(model, tokenizer))


@pytest.mark.parametrize("use", [
    lambda model, tokenizer: bits_per_byte(model, tokenizer, TEXTS),
    lambda model, tokenizer: range_test(model, LanguageModelBatches(tokenizer(TEXTS)["input_ids"], 8, 2, 10), 1e-4,
                                        1e-3, 10, TrainingConfig(precision="fp32"))])
def test_inputs_follow_a_language_model(tokenizer, use):
    on_another_device(LanguageModel(shape(tokenizer)), lambda model: use(model, tokenizer))


def test_package_data_are_shipped():
    "Every folder of data inside the package is named in setup.py, or a wheel would lack it."
    shipped = set(re.findall(r'"([\w]+)/\*"', (ROOT/"setup.py").read_text(encoding="utf-8")))
    inside = [path.name for path in (ROOT/"llmcourse").iterdir() if path.is_dir() and not (path/"__init__.py").exists()]
    folders = {name for name in inside if not name.startswith(("_", "."))}
    assert folders == shipped


def test_colours_stand_in_one_file():
    "Templates take their colours from palette.css; no second palette grows beside it."
    for path in (ROOT/"llmcourse"/"templates").iterdir():
        if path.name == "palette.css": continue
        assert not re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8")), path.name
