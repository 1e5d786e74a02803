"""The table of kinds of output: a new kind is one entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.support import tiny
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from xlift.models.export import CLASSES, write_model
from xlift.models.outputs import OUTPUTS, HeadSpec, Loss, OutputKind, Targets
from xlift.models.packing import LENGTHS
from xlift.tasks import formats
from xlift.training.step import _select_rows


def squared_error(logits: torch.Tensor, targets: Targets) -> Loss:
    return Loss(functional.mse_loss(logits, targets["label"], reduction="sum"), torch.tensor(len(logits)))


NUMBER = OutputKind(
    "sequence", lambda targets: len(targets["label"]), squared_error, num_labels=1, is_scalar=True,
    stock_class="SequenceClassification", problem_type="regression",
)  # fmt: skip


@pytest.mark.parametrize("family", [*tiny.ENCODERS, tiny.DECODERS[0]])
def test_new_kind_needs_one_entry_to_train_and_export(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(OUTPUTS, "other", NUMBER)
    monkeypatch.setitem(CLASSES, "other", AutoModelForSequenceClassification)
    model, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    head = model.add_head("task", HeadSpec("other"), seed=1)
    inputs = dict(tokenizer(["Kom na.", "A longer text."], padding=True, return_tensors="pt"))
    logits = model.eval()(inputs, "task")
    assert logits.shape == (2,)
    loss = head.loss(logits, {"label": torch.zeros(2)})
    assert float(loss.total.detach()) == pytest.approx(float((logits.detach() ** 2).sum()))
    assert head.split_rows(head.reduce(logits.detach()), inputs["attention_mask"])[1].shape == ()
    write_model(model, tokenizer, "task", tmp_path, max_length=32)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["problem_type"] == "regression"


@pytest.mark.parametrize("format", formats.FORMATS.values(), ids=formats.FORMATS)
def test_format_and_its_kind_of_output_agree(format: formats.Format):
    if not format.is_trainable:
        assert format.output_kind not in OUTPUTS  # hidden states are compared without a head
        return
    output = OUTPUTS[format.output_kind]
    assert format.ranks_pool == output.compares_rows
    assert format.has_head != output.is_generated
    assert not (format.has_classes and output.num_labels is not None)
    assert bool(format.input_fields) == bool(output.stock_class or output.is_generated)


def test_columns_of_a_row_target_are_no_padding():
    # a micro-batch loses the padding of its tokens, but every row keeps all of its labels
    inputs = {"attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]), LENGTHS: torch.tensor([4, 2])}
    targets = {"label": torch.arange(6).reshape(2, 3), "unit": torch.arange(2)}
    rows = torch.tensor([1]).numpy()
    cut_inputs, kept = _select_rows(inputs, targets, rows, per_token=False)
    assert cut_inputs["attention_mask"].tolist() == [[1, 1]]
    assert kept["label"].tolist() == [[3, 4, 5]]
    assert _select_rows(inputs, targets, rows, per_token=True)[1]["label"].tolist() == [[3, 4]]
