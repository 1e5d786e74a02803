"""Delta checkpoints with a compact vocabulary, rebuilt from parents of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, BertForPreTraining

from xlift.errors import UserError
from xlift.models.backbone import (
    load_compact_vocabulary,
    load_stored_model,
    load_without_heads,
    save,
    save_vocabulary_delta,
)
from xlift.models.delta import BLOCK, ParentModel, StoredModel, find_stored_model
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.weight_transfer import transfer_weights

IDS = np.array([0, 1, 2, 3, 7, 400, BLOCK - 1, BLOCK, 8999])
"""On both sides of a block's edge."""
ROWS = 9000


def write_parent(folder: Path, family: str, kind: str) -> Path:
    """A checkpoint with a masked-LM head, as on the Hub."""
    torch.manual_seed(1)
    config = tiny.config(family, vocab_size=ROWS)
    model = BertForPreTraining(config) if kind == "pooler" else AutoModelForMaskedLM.from_config(config)
    if kind == "half":
        model = model.half()
    model.save_pretrained(folder, max_shard_size="200KB" if kind == "sharded" else "1GB")
    tiny.tokenizer_of(family).save_pretrained(folder)
    return folder


def stage(before: StoredModel, folder: Path, parent_model: ParentModel, decay: float, ids: np.ndarray = IDS) -> Model:
    """A stage that changes every weight: writes its folder and returns the trained model."""
    encoder, tokenizer = load_without_heads(before)
    encoder.add_head("nli", HeadSpec("sequence", ("yes", "no")), seed=1)
    small = load_compact_vocabulary(encoder, before, ids)
    assert transfer_weights(encoder, before, (), small).parameters > ROWS * 32
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    save_vocabulary_delta(encoder, tokenizer, folder, small, before, parent_model, decay)
    return encoder


@pytest.mark.parametrize(
    ("family", "kind"),
    [*((family, "full") for family in tiny.ENCODERS), ("bert", "pooler"), ("modernbert", "half"), ("xlm-roberta", "sharded")],
)  # fmt: skip
def test_model_is_rebuilt_from_a_chain_of_stages(family: str, kind: str, tmp_path: Path) -> None:
    parent = write_parent(tmp_path / "parent", family, kind)
    before, _ = load_without_heads(StoredModel(parent))
    expected = before.embeddings.detach().clone()
    first = stage(StoredModel(parent), tmp_path / "first", ParentModel(fingerprint="f"), 0.9)
    expected.mul_(torch.tensor(0.9))[IDS] = first.embeddings.detach()
    places = {ParentModel(fingerprint="f"): parent, ParentModel(job="1"): tmp_path / "first"}
    other = np.array([0, 1, 2, 5, 400])
    second = stage(
        find_stored_model(tmp_path / "first", places.__getitem__), tmp_path / "second", ParentModel(job="1"), 0.8, other
    )
    expected.mul_(torch.tensor(0.8))[other] = second.embeddings.detach()
    again, tokenizer = load_stored_model(find_stored_model(tmp_path / "second", places.__getitem__))
    assert torch.equal(again.embeddings, expected)
    trained, found = second.state_dict(), again.state_dict()
    assert trained.keys() == found.keys()
    assert all(torch.equal(found[n], t) for n, t in trained.items() if n != f"backbone.{second.embeddings_name}")
    assert again.pooler.keys() == before.pooler.keys()
    assert all(torch.equal(again.pooler[name], tensor) for name, tensor in before.pooler.items())
    with torch.no_grad():  # buffers, such as positions, are there as well
        states = again.last_hidden_state(tiny.batch([tokenizer("the old man")["input_ids"]]))
    assert bool(torch.isfinite(states).all())


@pytest.mark.parametrize("family", ["qwen3", *tiny.SEQ2SEQ])
def test_generative_model_is_rebuilt_with_its_tied_weights(family: str, tmp_path: Path) -> None:
    model, tokenizer = tiny.encoder(family, vocab_size=ROWS), tiny.tokenizer_of(family)
    save(model, tokenizer, tmp_path / "parent")
    expected = model.embeddings.detach().clone()
    first = stage(StoredModel(tmp_path / "parent"), tmp_path / "first", ParentModel(fingerprint="f"), 0.9)
    expected.mul_(torch.tensor(0.9))[IDS] = first.embeddings.detach()
    stored = find_stored_model(tmp_path / "first", lambda _: tmp_path / "parent")
    again, _ = load_stored_model(stored)
    assert torch.equal(again.embeddings, expected)
    # mT5 has a separate output layer; in other models all these parts share the embeddings
    rebuilt: Any = again.backbone
    parts = [rebuilt.get_output_embeddings()] if family != "mt5" else []
    parts += [rebuilt.get_encoder().get_input_embeddings(), rebuilt.get_decoder().get_input_embeddings()]
    assert all(part.weight is again.embeddings for part in parts)
    trained, found = first.backbone_state_dict(), again.backbone_state_dict()
    assert trained.keys() == found.keys()
    assert ("lm_head.weight" in found) == (family == "mt5")
    assert all(torch.equal(found[name], tensor) for name, tensor in trained.items() if name != first.embeddings_name)
    # saving twice gives equal bytes, and transformers generates the same text
    for name in ("one", "two"):
        save(*load_stored_model(stored), tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    auto: Any = AutoModelForCausalLM if family == "qwen3" else AutoModelForSeq2SeqLM
    plain, info = auto.from_pretrained(tmp_path / "one", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    inputs = tiny.batch([tokenizer("the old man")["input_ids"]])
    with torch.no_grad():
        inputs |= {} if family == "qwen3" else {"decoder_input_ids": inputs["input_ids"]}
        assert torch.equal(plain(**inputs).logits, rebuilt(**inputs).logits)


def test_transferred_weights_are_compared_with_the_files(tmp_path: Path) -> None:
    parent = StoredModel(write_parent(tmp_path, "xlm-roberta", "full"))
    encoder, _ = load_without_heads(parent)
    small = load_compact_vocabulary(encoder, parent, IDS)
    small.embeddings.weight.data[3] = small.embeddings.weight.data[4]
    with pytest.raises(UserError, match=r"differs from the model's files: tensor .*word_embeddings.weight"):
        transfer_weights(encoder, parent, (), small)


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="Linux alone tells what is mapped")
def test_blocks_do_not_accumulate_in_memory(tmp_path: Path) -> None:
    parent = write_parent(tmp_path, "xlm-roberta", "full")
    blocks = 0
    for _ in StoredModel(parent).iterate_blocks("embeddings.word_embeddings.weight"):
        blocks += 1
        assert str(parent) not in Path("/proc/self/maps").read_text()
    assert blocks == 2


@pytest.mark.parametrize("damage", ["ids", "rows", "fewer", "shape", "decay", "tensor"])
def test_damaged_delta_is_an_error(damage: str, tmp_path: Path) -> None:
    parent, folder = write_parent(tmp_path / "parent", "xlm-roberta", "full"), tmp_path / "first"
    encoder = stage(StoredModel(parent), folder, ParentModel(fingerprint="f"), 0.9)
    tensors, content = load_file(folder / "delta.safetensors"), json.loads((folder / "delta.json").read_text())
    if damage == "ids":
        tensors["trained.ids"] = tensors["trained.ids"] + 10**9
    elif damage == "rows":
        tensors[encoder.embeddings_name][0, 0] += 1
    elif damage == "fewer":
        tensors[encoder.embeddings_name] = tensors[encoder.embeddings_name][:3].clone()
    elif damage == "tensor":
        del tensors["encoder.layer.0.output.dense.weight"]
    elif damage == "shape":
        content["shape"][0] -= 1
    else:
        content["decay"] = 0.5
    save_file(tensors, folder / "delta.safetensors")
    (folder / "delta.json").write_text(json.dumps(content))
    with pytest.raises(UserError):
        load_stored_model(find_stored_model(folder, lambda _: parent))
