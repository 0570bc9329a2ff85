"""Files of adapters and models that no lesson shows: written by older versions, sharded, with independent labels."""
import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from llmcourse.data import LABELS
from llmcourse.finetuning import save_classifier
from llmcourse.lora import _old_fingerprint, add_lora, load_lora, lora_layers, save_lora
from llmcourse.pretrained import course_gpt, load_pretrained

IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def tokenizer(): return AutoTokenizer.from_pretrained(course_gpt(), local_files_only=True)


def small(tokenizer, seed=0, **more):
    torch.manual_seed(seed)
    return BertForSequenceClassification(BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)}, **more)).eval()


def answer(model): return model(IDS).logits


def test_lora_of_an_older_version_opens_on_its_base_alone(tokenizer, tmp_path):
    adapted = add_lora(small(tokenizer), ["query"], 4, 8)
    for layer in lora_layers(adapted).values(): nn.init.normal_(layer.lora_B.weight)
    file = save_lora(adapted, tmp_path/"adapter")/"adapter_model.safetensors"
    old = {"format": "pt", "base": _old_fingerprint(small(tokenizer), ["classifier"])}
    save_file(load_file(file), file, metadata=old)
    assert torch.equal(answer(load_lora(small(tokenizer), tmp_path/"adapter")), answer(adapted.eval()))
    with pytest.raises(ValueError, match="another base"): load_lora(small(tokenizer, seed=1), tmp_path/"adapter")


def test_shards_open_as_one_file(tokenizer, tmp_path):
    model = small(tokenizer)
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path/"model.safetensors.index.json").exists()
    assert torch.equal(answer(load_pretrained(tmp_path)[0]), answer(model))


def test_independent_labels_stay_independent_until_the_head_is_replaced(tokenizer, tmp_path):
    save_classifier(small(tokenizer, problem_type="multi_label_classification"), tokenizer, tmp_path/"model")
    assert load_pretrained(tmp_path/"model")[0].config.problem_type == "multi_label_classification"
    with pytest.warns(UserWarning, match="replaced"):
        model, _ = load_pretrained(tmp_path/"model", ("bad", "so-so", "good"))
    assert model.config.problem_type is None


def test_a_model_with_a_weight_of_its_own_is_refused(tokenizer, tmp_path):
    strange = copy.deepcopy(small(tokenizer))
    strange.register_parameter("extra", nn.Parameter(torch.ones(2)))
    with pytest.raises(ValueError, match="extra"): save_classifier(strange, tokenizer, tmp_path/"model")
    assert not (tmp_path/"model").exists()
