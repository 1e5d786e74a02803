"""LoRA in every family: what is trained, what is stored, and the model rebuilt from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests.support import tiny
from torch import nn

from xlift.errors import UserError
from xlift.models import adapters
from xlift.models.backbone import (
    load_compact_vocabulary,
    load_stored_model,
    load_without_heads,
    save,
    save_adapter_delta,
    save_vocabulary_delta,
)
from xlift.models.delta import ParentModel, StoredModel, find_stored_model
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.weight_transfer import transfer_weights
from xlift.recipes import Lora
from xlift.training.precision import autocast

NLI = HeadSpec("sequence", ("yes", "no"))
LORA = Lora(rank=3, alpha=6)
IDS = np.array([0, 1, 2, 3, 7])


def with_heads(family: str) -> Model:
    model = tiny.encoder(family)
    model.add_head("nli", NLI, seed=1)
    model.add_head("pos", HeadSpec("token", ("N", "V")), seed=1)
    return model.eval()


def rows(family: str) -> dict[str, torch.Tensor]:
    texts = ["the old man reads", "the river"]
    return tiny.batch([tiny.tokenizer_of(family)(text)["input_ids"] for text in texts])


def learn(model: Model, seed: int = 5) -> None:
    """Change every trained weight."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


def stage(before: StoredModel, folder: Path, parent_model: ParentModel, seed: int = 5) -> Model:
    """A stage with LoRA: writes its folder and returns the trained model."""
    model, tokenizer = load_without_heads(before)
    model.add_head("nli", NLI, seed=1)
    adapters_of(model, before)
    learn(model, seed)
    save_adapter_delta(model, tokenizer, folder, before, parent_model)
    return model.eval()


def adapters_of(model: Model, before: StoredModel) -> None:
    from xlift.models.backbone import restore_embeddings

    restore_embeddings(model, before)
    transfer_weights(model, before)
    adapters.add(model, LORA, seed=2)


def compact_stage(before: StoredModel, folder: Path, parent_model: ParentModel) -> Model:
    """A stage that trains all weights, with a compact vocabulary."""
    model, tokenizer = load_without_heads(before)
    model.add_head("nli", NLI, seed=1)
    small = load_compact_vocabulary(model, before, IDS)
    transfer_weights(model, before, (), small)
    learn(model, 3)
    save_vocabulary_delta(model, tokenizer, folder, small, before, parent_model, 0.9)
    return model.eval()


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_new_adapter_keeps_outputs_and_only_adapter_and_heads_are_trained(family: str) -> None:
    model = with_heads(family)
    bare = {id(parameter) for parameter in model.backbone.parameters()}
    with torch.no_grad():
        before = model(rows(family), "nli")
        adapters.add(model, LORA, seed=1)
        assert torch.equal(model(rows(family), "nli"), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    heads = {f"heads.{name}" for name, _ in model.heads.named_parameters()}
    assert heads < trained
    assert all("lora_" in name for name in trained - heads)
    assert not any(id(p) in bare for p in model.parameters() if p.requires_grad)
    assert not any(name.endswith(("embed_tokens.weight", "lm_head.weight", "shared.weight")) for name in trained)
    model(rows(family), "nli").sum().backward()
    assert all(p.grad is not None for p in model.heads["nli"].parameters())
    assert all(p.grad is None for p in model.parameters() if id(p) in bare)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_every_linear_layer_of_the_blocks_has_an_adapter(family: str) -> None:
    model = tiny.encoder(family)
    outside = model.backbone.get_output_embeddings()
    expected = {n for n, m in model.backbone.named_modules() if isinstance(m, nn.Linear) and m is not outside}
    assert set(adapters.find_target_layers(model.backbone, "linear")) == expected
    attention = set(adapters.find_target_layers(model.backbone, "attention"))
    layers = {"modernbert": 2 * 2, "mt5": (2 + 4) * 4, "nllb": (2 + 4) * 4, "mbart": (2 + 4) * 4}
    assert len(attention) == layers.get(
        family, 2 * 4
    )  # query, key, value and output; in ModernBERT the first three are one
    assert attention < expected


def test_equal_seeds_give_equal_adapters_and_the_global_generator_is_not_used() -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(9)
        model = tiny.encoder("qwen3")
        torch.manual_seed(9)
        adapters.add(model, LORA, seed)
        results.append((model.state_dict(), torch.rand(3)))
    assert all(torch.equal(tensor, results[1][0][name]) for name, tensor in results[0][0].items())
    assert not all(torch.equal(tensor, results[2][0][name]) for name, tensor in results[0][0].items())
    torch.manual_seed(9)
    assert torch.equal(results[0][1], torch.rand(3))


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_folding_adds_the_products_to_the_plain_weights(family: str) -> None:
    model = with_heads(family)
    names = list(model.backbone_state_dict())
    before = {name: tensor.clone() for name, tensor in model.backbone_state_dict().items()}
    adapters.add(model, LORA, seed=1)
    learn(model)
    lora_weights = adapters.lora_weights(model.backbone)
    with torch.no_grad():
        expected = model(rows(family), "nli")
    plain = dict(adapters.plain_tensors(model))
    adapters.fold(model)
    assert list(model.backbone_state_dict()) == list(plain) == names
    assert all(torch.equal(tensor, plain[name]) for name, tensor in model.backbone_state_dict().items())
    for name, tensor in plain.items():
        if name in lora_weights:
            product = lora_weights[name].b.double() @ lora_weights[name].a.double()
            torch.testing.assert_close(tensor.double(), before[name] + 2.0 * product, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(tensor, before[name])
    assert type(model.backbone.get_submodule(next(iter(lora_weights)).removesuffix(".weight"))) is nn.Linear
    with torch.no_grad():
        torch.testing.assert_close(model(rows(family), "nli"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_chain_of_stages_is_stored_as_deltas(family: str, tmp_path: Path) -> None:
    tokenizer = tiny.tokenizer_of(family)
    save(tiny.encoder(family), tokenizer, tmp_path / "parent")
    places = {ParentModel(fingerprint="f"): tmp_path / "parent", ParentModel(job="1"): tmp_path / "first"}
    first = stage(StoredModel(tmp_path / "parent"), tmp_path / "first", ParentModel(fingerprint="f"))
    second = stage(
        find_stored_model(tmp_path / "first", places.__getitem__), tmp_path / "second", ParentModel(job="1"), seed=6
    )
    for trained, folder in ((first, "first"), (second, "second")):
        assert not (tmp_path / folder / "model.safetensors").exists()
        small = (tmp_path / folder / adapters.WEIGHTS).stat().st_size
        assert small < 0.8 * (tmp_path / "parent" / "model.safetensors").stat().st_size  # rank 3 of 32 is a lot
        again, _ = load_stored_model(find_stored_model(tmp_path / folder, places.__getitem__))
        plain = dict(adapters.plain_tensors(trained))
        assert plain.keys() == again.backbone_state_dict().keys()
        assert all(torch.equal(tensor, plain[name]) for name, tensor in again.backbone_state_dict().items())
        heads = trained.heads.state_dict()
        assert heads.keys() == again.heads.state_dict().keys()
        assert all(torch.equal(tensor, heads[name]) for name, tensor in again.heads.state_dict().items())
        assert again.language_head == {}
    # `save` writes a full model, with and without adapters in memory
    save(second, tokenizer, tmp_path / "whole")
    assert all(torch.equal(t, plain[n]) for n, t in load_file(tmp_path / "whole" / "model.safetensors").items())


@pytest.mark.parametrize("order", ["compact first", "adapter first"])
@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "mt5"])
def test_adapter_and_vocabulary_deltas_build_on_each_other(family: str, order: str, tmp_path: Path) -> None:
    save(tiny.encoder(family), tiny.tokenizer_of(family), tmp_path / "parent")
    places = {ParentModel(fingerprint="f"): tmp_path / "parent", ParentModel(job="1"): tmp_path / "first"}
    stages = [compact_stage, stage] if order == "compact first" else [stage, compact_stage]
    before = [StoredModel(tmp_path / "parent")]
    stages[0](before[0], tmp_path / "first", ParentModel(fingerprint="f"))
    before.append(find_stored_model(tmp_path / "first", places.__getitem__))
    expected = load_stored_model(before[1])[0].embeddings.detach().clone()
    trained = stages[1](before[1], tmp_path / "second", ParentModel(job="1"))
    again, _ = load_stored_model(find_stored_model(tmp_path / "second", places.__getitem__))
    plain = dict(adapters.plain_tensors(trained))
    table = again.embeddings_name
    if order == "adapter first":
        expected.mul_(torch.tensor(0.9))[IDS] = plain[table]
    assert torch.equal(again.embeddings, expected)
    assert all(torch.equal(t, plain[n]) for n, t in again.backbone_state_dict().items() if n != table)


@pytest.mark.parametrize("damage", ["parent", "matrix", "alpha", "config", "missing"])
def test_damaged_files_are_an_error(damage: str, tmp_path: Path) -> None:
    save(tiny.encoder("qwen3"), tiny.tokenizer_of("qwen3"), tmp_path / "parent")
    stage(StoredModel(tmp_path / "parent"), tmp_path / "first", ParentModel(fingerprint="f"))
    weights = tmp_path / ("parent/model.safetensors" if damage == "parent" else f"first/{adapters.WEIGHTS}")
    config = tmp_path / "first" / adapters.CONFIG
    tensors = load_file(weights)
    tensors[min(tensors)][0, 0] += 1  # in the parent: the embeddings, which have no adapter
    if damage in ("parent", "matrix"):
        save_file(tensors, weights, metadata={"format": "pt"})
    elif damage == "missing":
        weights.unlink()
    else:
        told = json.loads(config.read_text())
        config.write_text(json.dumps({**told, "lora_alpha": 7}) if damage == "alpha" else "{")
    with pytest.raises(UserError, match="is not the model that its stage started from|the adapter cannot be read"):
        load_stored_model(find_stored_model(tmp_path / "first", lambda _: tmp_path / "parent"))


def test_weight_transfer_compares_with_the_rebuilt_model(tmp_path: Path) -> None:
    save(tiny.encoder("llama"), tiny.tokenizer_of("llama"), tmp_path / "parent")
    stage(StoredModel(tmp_path / "parent"), tmp_path / "first", ParentModel(fingerprint="f"))
    stored = find_stored_model(tmp_path / "first", lambda _: tmp_path / "parent")
    model, _ = load_without_heads(stored)
    assert transfer_weights(model, stored).tensors == len(model.backbone_state_dict())
    name = "model.layers.1.mlp.up_proj.weight"
    model.backbone.load_state_dict({name: StoredModel(tmp_path / "parent").read_tensor(name)}, strict=False)
    with pytest.raises(UserError, match=name):
        transfer_weights(model, stored)


@pytest.mark.parametrize("family", ["xlm-roberta", "qwen3", "mt5"])
def test_peft_loads_stored_adapters(family: str, tmp_path: Path) -> None:
    save(tiny.encoder(family), tiny.tokenizer_of(family), tmp_path / "parent")
    model = stage(StoredModel(tmp_path / "parent"), tmp_path / "first", ParentModel(fingerprint="f"))
    theirs = Model(tiny.backbone(family))
    wrapped = PeftModel.from_pretrained(theirs.backbone, str(tmp_path / "first")).eval()
    assert sum("lora_A" in name for name, _ in wrapped.named_parameters()) == len(
        adapters.adapter_layers(model.backbone)
    )
    with torch.no_grad():
        torch.testing.assert_close(theirs.last_hidden_state(rows(family)), model.eval().last_hidden_state(rows(family)))


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_rounded_frozen_weights_equal_float32_weights_under_bf16_autocast(family: str) -> None:
    inputs, outputs = rows(family), []
    for rounded in (True, False):
        model = with_heads(family)
        adapters.add(model, LORA, seed=1)
        learn(model)
        if rounded:
            adapters.round_frozen(model)
        assert adapters.is_rounded(model.backbone) == rounded
        with autocast("bf16", torch.device("cpu")):
            loss = model(inputs, "nli").square().sum()
        loss.backward()
        outputs.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
        with torch.no_grad():  # an evaluator may run in float32
            assert bool(torch.isfinite(model(inputs, "nli")).all())
    assert all(torch.equal(one, other) for one, other in zip(*outputs, strict=True))


def test_adapters_on_rounded_weights_are_stored_for_the_float32_weights(tmp_path: Path) -> None:
    save(tiny.encoder("qwen3"), tiny.tokenizer_of("qwen3"), tmp_path / "parent")
    before, folders = StoredModel(tmp_path / "parent"), []
    for rounded in (False, True):
        model, tokenizer = load_without_heads(before)
        adapters_of(model, before)
        learn(model)
        if rounded:
            adapters.round_frozen(model)
        folders.append(tmp_path / f"rounded {rounded}")
        save_adapter_delta(model, tokenizer, folders[-1], before, ParentModel(fingerprint="f"))
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == sorted(path.name for path in folders[1].iterdir())
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)


def test_quantizing_without_a_gpu_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="needs a GPU"):
        adapters.add(tiny.encoder("qwen3"), Lora(quantize=True), seed=1)
