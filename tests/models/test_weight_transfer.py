"""Weights transferred from one stage's folder to the next model, and transfers that are errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from transformers import BertForPreTraining

from xlift.errors import UserError
from xlift.models.backbone import load_without_heads, save
from xlift.models.delta import StoredModel
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.weight_transfer import WeightTransfer, transfer_weights

NLI = HeadSpec("sequence", ("entailment", "neutral", "contradiction"))
EMBEDDINGS = "embeddings.word_embeddings.weight"


@pytest.fixture
def stored(tmp_path: Path) -> StoredModel:
    source = tiny.encoder("xlm-roberta", seed=1)
    source.add_head("nli", NLI, seed=1)
    source.add_head("squad", HeadSpec("span"), seed=1)
    save(source, tiny.tokenizer(), tmp_path)
    return StoredModel(tmp_path)


def next_stage(stored: StoredModel) -> Model:
    encoder, _ = load_without_heads(stored)
    encoder.add_head("nli", NLI, seed=2)
    encoder.add_head("pos", HeadSpec("token", ("NOUN",)), seed=2)
    return encoder


def weights(stored: StoredModel) -> Path:
    return stored.folder / "model.safetensors"


def test_backbone_is_transferred_and_heads_of_equal_name_stay_new(stored: StoredModel) -> None:
    encoder = next_stage(stored)
    fresh = {name: tensor.clone() for name, tensor in encoder.heads.state_dict().items()}
    transfer = transfer_weights(encoder, stored)
    saved, loaded = load_file(weights(stored)), encoder.backbone.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert all(torch.equal(fresh[name], tensor) for name, tensor in encoder.heads.state_dict().items())
    numbers = sum(tensor.numel() for tensor in saved.values())
    assert transfer == WeightTransfer(len(saved), numbers, (), dropped=("nli", "squad"), new=("nli", "pos"))


def test_head_in_keep_heads_is_transferred(stored: StoredModel) -> None:
    encoder = next_stage(stored)
    transfer = transfer_weights(encoder, stored, keep_heads=("nli",))
    old, new = load_file(stored.folder / "heads.safetensors"), encoder.heads["nli"].state_dict()
    assert all(torch.equal(old[f"nli.{name}"], tensor) for name, tensor in new.items())
    assert (transfer.heads, transfer.dropped, transfer.new) == (("nli",), ("squad",), ("pos",))


def test_training_does_not_change_the_file(stored: StoredModel) -> None:
    # weights are memory-mapped, not copied
    before = weights(stored).read_bytes()
    encoder = next_stage(stored)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    assert weights(stored).read_bytes() == before


def test_pooler_and_old_tensor_names_are_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    BertForPreTraining(tiny.config("bert")).save_pretrained(tmp_path)
    tiny.tokenizer("wordpiece").save_pretrained(tmp_path)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(tmp_path / "model.safetensors").items()
    }
    assert any("gamma" in name for name in old)
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    stored = StoredModel(tmp_path)
    encoder, _ = load_without_heads(stored)
    assert set(encoder.pooler) == {"dense.weight", "dense.bias"}
    assert transfer_weights(encoder, stored).tensors == len(encoder.backbone.state_dict()) + 2


@pytest.mark.parametrize("name", [EMBEDDINGS, "encoder.layer.1.output.dense.bias"])
def test_one_changed_bit_is_an_error(stored: StoredModel, name: str) -> None:
    encoder = next_stage(stored)
    encoder.backbone.get_parameter(name).data.view(-1)[-1] *= -1
    with pytest.raises(UserError, match=f"differs from the model's files: tensor {name}"):
        transfer_weights(encoder, stored)


def test_tensor_missing_in_the_file_is_an_error(stored: StoredModel) -> None:
    encoder = next_stage(stored)
    encoder.backbone.get_submodule("embeddings").register_parameter("more", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(UserError, match="embeddings.more"):
        transfer_weights(encoder, stored)


@pytest.mark.parametrize("rows", [400, 600])
def test_embeddings_of_another_size_are_an_error(stored: StoredModel, rows: int) -> None:
    encoder = next_stage(stored)
    other = torch.nn.Embedding(rows, 32)
    other.weight.data[:400] = encoder.embeddings.data[:400]
    if rows > 500:
        other.weight.data[:500] = encoder.embeddings.data
    encoder.backbone.set_input_embeddings(other)
    with pytest.raises(UserError, match=EMBEDDINGS):
        transfer_weights(encoder, stored)


def test_lost_precision_is_an_error(stored: StoredModel) -> None:
    encoder = next_stage(stored)
    encoder.bfloat16()
    with pytest.raises(UserError, match="differs from the model's files"):
        transfer_weights(encoder, stored)


def test_head_with_other_labels_cannot_be_kept(stored: StoredModel) -> None:
    # three labels in another order (XTREME's XNLI and GLUE's MNLI) have the same shape and another meaning
    encoder = next_stage(stored)
    encoder.add_head("nli", HeadSpec("sequence", NLI.labels[::-1]), seed=1)
    with pytest.raises(UserError, match="'nli' cannot be kept"):
        transfer_weights(encoder, stored, keep_heads=("nli",))


def test_missing_head_cannot_be_kept(stored: StoredModel) -> None:
    with pytest.raises(UserError, match="no head 'pos' to keep\n  the earlier stage has these heads: nli, squad"):
        transfer_weights(next_stage(stored), stored, keep_heads=("pos",))


@pytest.mark.parametrize("damage", ["specs", "weights", "a tensor"])
def test_damaged_head_files_are_an_error(stored: StoredModel, damage: str) -> None:
    path = stored.folder / ("heads.json" if damage == "specs" else "heads.safetensors")
    if damage == "a tensor":
        save_file({}, path)
    else:
        path.write_bytes(json.dumps([1]).encode())
    with pytest.raises(UserError, match="the heads cannot be read"):
        transfer_weights(next_stage(stored), stored, keep_heads=("nli",))
