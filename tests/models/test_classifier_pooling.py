"""A decoder's heads on the mean of the states of all tokens: the logits and gradients of a computation with plain transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import tiny
from torch.nn import functional

from xlift.errors import UserError
from xlift.models.backbone import load, save
from xlift.models.export import write_model
from xlift.models.model import Model
from xlift.models.outputs import OUTPUTS, HeadSpec
from xlift.tasks import catalog, formats
from xlift.training.stage import make_head_spec

LABELS = ("a", "b", "c")
ROWS = [[7, 8, 9, 10, 11, 12], [13], [14, 15, 16]]
KINDS = [kind for kind, output in OUTPUTS.items() if output.pools_row]


def with_head(family: str, kind: str = "sequence", pooling: str = "mean") -> Model:
    model = tiny.encoder(family)
    model.add_head("task", HeadSpec(kind, LABELS, pooling), seed=1)
    return model.eval()


def logits_by_hand(model: Model) -> torch.Tensor:
    """The logits of each of ROWS alone, by the trunk of transformers and the weights of the head."""
    weight = model.head("task").get_parameter("score.weight")
    logits = []
    for row in ROWS:
        states = model.backbone.base_model(input_ids=torch.tensor([row]), use_cache=False).last_hidden_state
        logits.append(states[0].mean(dim=0) @ weight.T)
    return torch.stack(logits)


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["gemma3_text", "qwen3"])
def test_logits_are_those_of_the_mean_state(family: str, kind: str, is_packed: bool, monkeypatch: pytest.MonkeyPatch):
    if not is_packed:
        monkeypatch.setattr(Model, "supports_packing", False)
    model, inputs = with_head(family, kind), tiny.batch(ROWS)
    assert 0 in inputs["attention_mask"]
    assert model.supports_packing == is_packed
    with torch.no_grad():
        expected, last = logits_by_hand(model), with_head(family, kind, "cls")(inputs, "task")
        found = model(inputs, "task")
    if OUTPUTS[kind].is_scalar:
        expected = expected.squeeze(-1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert not torch.isclose(found[0], last[0]).any()
    torch.testing.assert_close(found[1], last[1])  # a row of one token is its mean


@pytest.mark.parametrize("family", ["gemma3_text", "qwen3"])
def test_gradients_are_those_of_the_mean_state(family: str):
    labels = torch.tensor([0, 2, 1])
    model, other = with_head(family), with_head(family)
    model.head("task").loss(model(tiny.batch(ROWS), "task"), {"label": labels}).total.backward()
    functional.cross_entropy(logits_by_hand(other), labels, reduction="sum").backward()
    expected = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        if expected[name].grad is not None:
            torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-5, rtol=1e-4, msg=name)
    weight = model.embeddings.grad
    assert weight is not None
    assert all(weight[token].any() for row in ROWS for token in row)


def test_a_saved_head_remembers_how_it_pools(tmp_path: Path):
    for name, pooling in (("mean", "mean"), ("last", "cls")):
        model = with_head("qwen3", pooling=pooling)
        save(model, tiny.tokenizer_of("qwen3"), tmp_path / name)
        again, _ = load(tmp_path / name)
        assert again.head("task").spec == model.head("task").spec
        with torch.no_grad():
            inputs = tiny.batch(ROWS)
            assert torch.equal(again(inputs, "task"), model(inputs, "task"))
    saved = {name: json.loads((tmp_path / name / "heads.json").read_text())["task"] for name in ("mean", "last")}
    assert saved == {
        "mean": {"kind": "sequence", "labels": list(LABELS), "pooling": "mean"},
        "last": {"kind": "sequence", "labels": list(LABELS)},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_export_is_refused(kind: str, tmp_path: Path):
    with pytest.raises(UserError, match="reads the mean of a decoder's states .* transformers has no class") as error:
        write_model(with_head("qwen3", kind), tiny.tokenizer_of("qwen3"), "task", tmp_path / "m", max_length=32)
    assert "classifier_pooling: last" in error.value.fix
    assert not (tmp_path / "m").exists()


def test_only_heads_that_read_one_state_of_a_text_pool():
    for format in formats.FORMATS.values():
        if format.has_head and format.output_kind in OUTPUTS:
            assert format.pools_row == OUTPUTS[format.output_kind].pools_row, format.name
    assert [make_head_spec(catalog.get(name), "mean").pooling for name in ("isle-nli", "isle-pos", "isle-qa")] == [
        "mean", "cls", "cls",
    ]  # fmt: skip
    assert make_head_spec(catalog.get("isle-nli")) == make_head_spec(catalog.get("isle-nli"), "last")
    dual = catalog.get("isle-answer-pairs")
    assert make_head_spec(dual, "mean") == make_head_spec(dual)


def test_the_mean_weighs_all_tokens_of_a_row_equally():
    hidden = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    head = with_head("qwen3").head("task")
    weight = head.get_parameter("score.weight")
    with torch.no_grad():
        weight.zero_()[:2, :2] = torch.eye(2)
        states = torch.cat([hidden, torch.zeros(2, 3, weight.shape[1] - 2)], dim=-1)
        found = head(states, mask)[:, :2]
    assert np.array_equal(found, [[1, 2], [4 + 4, 5 + 4]])
