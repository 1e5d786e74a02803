"""How the weights of new heads start."""

from __future__ import annotations

import pytest
import torch
import transformers
from tests.support import tiny

from xlift.models.heads import make_head
from xlift.models.outputs import OUTPUTS, HeadSpec

LABELS = ("a", "b", "c")


@pytest.mark.parametrize("family", tiny.ENCODERS + tiny.OTHER_ENCODERS)
@pytest.mark.parametrize("kind", [kind for kind in OUTPUTS if kind != "text"])  # text heads have no weights
def test_new_head_depends_only_on_its_seed(family, kind):
    # in a dual head only the pooler is random
    spec, config = HeadSpec(kind, LABELS, "pooler"), tiny.config(family, tie_word_embeddings=True)
    before = torch.random.get_rng_state()
    one = make_head(spec, config, seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)  # the global generator is not used
    torch.manual_seed(99)
    again, other = make_head(spec, config, seed=3).state_dict(), make_head(spec, config, seed=4).state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", tiny.ENCODERS + tiny.OTHER_ENCODERS)
def test_new_head_has_the_std_of_the_transformers_head(family):
    config = tiny.config(family, hidden_size=256, num_labels=200)
    stock = transformers.AutoModelForTokenClassification.from_config(config).state_dict()
    head = make_head(HeadSpec("token", tuple(map(str, range(200)))), config, seed=0).state_dict()
    for name in (name for name in head if name.endswith("weight") and "norm" not in name):
        assert head[name].std().item() == pytest.approx(stock[name].std().item(), rel=0.05), name


def test_pretrained_pooler_initializes_heads_with_a_pooler():
    pooler = {"dense.weight": torch.eye(32), "dense.bias": torch.ones(32)}
    head = make_head(HeadSpec("sequence", LABELS), tiny.config("bert"), seed=0, pooler=pooler)
    assert torch.equal(head.state_dict()["pooler.dense.weight"], torch.eye(32))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert", "qwen3", "gemma3_text", "mt5"])
@pytest.mark.parametrize("kind", ["sequence", "token", "span"])
def test_initializer_range_is_that_of_the_layer_that_gives_the_logits(family: str, kind: str):
    model = tiny.encoder(family)
    heads = {
        each: model.add_head("task", HeadSpec(kind, LABELS), seed=1, initializer_range=each)
        for each in (None, 0.0, 0.5)
    }
    inputs = tiny.batch([[7, 8, 9], [10, 11, 12]])
    states = model.last_hidden_state(inputs).detach()
    assert heads[None](states, inputs["attention_mask"]).abs().max() > 0
    assert heads[0.0](states, inputs["attention_mask"]).abs().max() == 0
    output_layer = [module for module in heads[0.5].modules() if isinstance(module, torch.nn.Linear)][-1]
    assert output_layer.weight.std().item() == pytest.approx(0.5, rel=0.4)
    others = {
        name
        for name, value in heads[0.0].state_dict().items()
        if not torch.equal(value, heads[None].state_dict()[name])
    }
    assert len(others) == 1  # all else starts as without the setting


def test_a_head_that_starts_from_zeros_learns():
    model = tiny.encoder("gemma3_text")
    head = model.add_head("task", HeadSpec("sequence", LABELS), seed=1, initializer_range=0.0)
    inputs = tiny.batch([[7, 8, 9], [10, 11]])
    torch.nn.functional.cross_entropy(model(inputs, "task"), torch.tensor([0, 1])).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
