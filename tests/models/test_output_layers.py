"""The output layer of published encoder-decoder checkpoints, through loading, training, storing and exporting.

transformers 5 assumes a tied one for T5, mT5 and umT5 whatever config.json contains, but published models have a separate one. NLLB's is
tied, and files use different ones of its four names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, T5Config, UMT5Config

from xlift.errors import UserError
from xlift.models.backbone import (
    load,
    load_compact_vocabulary,
    load_stored_model,
    load_without_heads,
    save,
    save_adapter_delta,
    save_vocabulary_delta,
)
from xlift.models.compact_vocabulary import find_used_tokens
from xlift.models.delta import ParentModel, StoredModel, find_stored_model
from xlift.models.export import write_model
from xlift.models.model import Model
from xlift.models.text_mode import TEXT, text_loss, vocabulary_logits
from xlift.models.weight_transfer import transfer_weights
from xlift.recipes import Lora, Recipe, Sampling
from xlift.tasks import catalog
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.stage import add_heads, fine_tune
from xlift.training.train_dataset import TrainDataset

OWN = ("t5", "mt5", "umt5")
SHARED, READ = "shared.weight", ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
OUTPUT = "lm_head.weight"
RECIPE = Recipe(lr=1e-2, batch_size=4, max_steps=5, warmup_steps=0.0, weight_decay=0.1)


def published(folder: Path, family: str, names: tuple[str, ...], **options: Any) -> dict[str, Tensor]:
    """Write a checkpoint with exactly these embedding tensors, and return the tensors of its file."""
    kinds = {"t5": T5Config, "umt5": UMT5Config}
    options |= {"decoder_start_token_id": 0} if family in kinds else {}
    config = tiny.config("mt5" if family in OWN else family)
    if family in kinds:
        sizes = ("vocab_size", "d_model", "d_ff", "num_layers", "num_heads", "d_kv", "dropout_rate")
        config = kinds[family](**{name: getattr(config, name) for name in sizes}, **options)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = AutoModelForSeq2SeqLM.from_config(config)
        tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        tables = [name for name in tensors if name.endswith((SHARED, *READ, OUTPUT))]
        table, output = tensors[tables[0]], torch.randn_like(tensors[tables[0]])
    for name in tables:
        del tensors[name]
        if name.endswith(names):
            tensors[name] = (output if name == OUTPUT and family in OWN else table).clone()
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(
        json.dumps(config.to_dict() | {"architectures": [type(model).__name__]} | options)
    )
    tiny.tokenizer_of("mt5" if family in OWN else family).save_pretrained(folder)
    return tensors | {"embeddings": table, "output layer": output if family in OWN else table}


def backbone(model: Model) -> Any:
    return model.backbone


WRITTEN = Features(
    Ragged.from_rows([[7, 8, 9, 1], [10, 11, 1], [12, 1], [7, 1]]), np.arange(4), np.arange(4), decoder_labels=Ragged.from_rows([[20, 1], [21, 1]] * 2)
)  # fmt: skip


def learn(model: Model, **more: Any) -> float:
    """Train some steps in text mode; returns the factor of weight decay."""
    task = catalog.get("isle-nli")
    add_heads(model, [task], seed=1, head=TEXT)
    recipe = RECIPE.model_copy(update=more)
    return fine_tune(model, 0, [TrainDataset(task, WRITTEN, TEXT)], recipe, Sampling(), seed=1).total_weight_decay


@pytest.mark.parametrize("names", [(SHARED, OUTPUT), (SHARED, *READ, OUTPUT), (READ[1], OUTPUT), (READ[0], OUTPUT)])
@pytest.mark.parametrize("family", OWN)
def test_separate_output_layer_is_loaded_and_saved_as_one(family: str, names: tuple[str, ...], tmp_path: Path) -> None:
    saved = published(tmp_path / "hub", family, names, tie_word_embeddings=False)
    model, tokenizer = load(tmp_path / "hub")
    transfer_weights(load_without_heads(StoredModel(tmp_path / "hub"))[0], StoredModel(tmp_path / "hub"))
    save(model, tokenizer, tmp_path / "stored")
    for each in (model, load(tmp_path / "stored")[0]):
        assert torch.equal(backbone(each).lm_head.weight, saved["output layer"])
        assert torch.equal(each.embeddings, saved["embeddings"])
        for part in (backbone(each).get_encoder(), backbone(each).get_decoder()):
            assert part.get_input_embeddings().weight is each.embeddings
    found = load_file(tmp_path / "stored" / "model.safetensors")
    assert {name for name in found if name.endswith((SHARED, *READ, OUTPUT))} == {SHARED, OUTPUT}
    # transformers 4 and other programs read it
    assert json.loads((tmp_path / "stored" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize("family", OWN)
def test_separate_output_layer_does_not_scale_states(family: str, tmp_path: Path) -> None:
    # tied ones scale them by d_model ** -0.5; transformers 5 does so for published umT5 too
    saved = published(tmp_path / "hub", family, (SHARED, OUTPUT), tie_word_embeddings=False)
    model, tokenizer = load(tmp_path / "hub")
    save(model, tokenizer, tmp_path / "stored")
    states = torch.randn(3, 32)
    for each in (model, load(tmp_path / "stored")[0]):
        with torch.no_grad():
            assert torch.equal(vocabulary_logits(each, states), states @ saved["output layer"].T)
            ids = torch.tensor([[7, 8, 1]])
            given = backbone(each)(input_ids=ids, decoder_input_ids=ids, output_hidden_states=True)
        torch.testing.assert_close(given.logits, given.decoder_hidden_states[-1] @ saved["output layer"].T)


def test_tied_umt5_scales_its_states(tmp_path: Path) -> None:
    published(tmp_path / "hub", "umt5", (SHARED,), tie_word_embeddings=True)
    model, _ = load(tmp_path / "hub")
    states = torch.randn(3, 32)
    with torch.no_grad():
        assert torch.equal(vocabulary_logits(model, states), (states * 32**-0.5) @ model.embeddings.T)


@pytest.mark.parametrize("storage", ["full", "vocabulary", "adapter"])
@pytest.mark.parametrize("family", OWN)
def test_output_layer_trained_in_text_mode_is_stored_and_exported(family: str, storage: str, tmp_path: Path) -> None:
    published(tmp_path / "hub", family, (SHARED, OUTPUT), tie_word_embeddings=False)
    hub, origin = StoredModel(tmp_path / "hub"), ParentModel(fingerprint="f")
    model, tokenizer = load_without_heads(hub)
    before, output = model.embeddings.detach().clone(), backbone(model).lm_head.weight.detach().clone()
    folder = tmp_path / "artifact"
    if storage == "full":
        learn(model)
        save(model, tokenizer, folder)
    elif storage == "vocabulary":
        ids = find_used_tokens(model.backbone, [WRITTEN], (), min_saved=0)
        assert ids is not None
        small = load_compact_vocabulary(model, hub, ids)
        save_vocabulary_delta(model, tokenizer, folder, small, hub, origin, decay := learn(model))
        small.restore(before, decay)
    else:
        from xlift.models import adapters

        adapters.add(model, Lora(rank=2), 1)
        learn(model)
        save_adapter_delta(model, tokenizer, folder, hub, origin)
    again, _ = load_stored_model(find_stored_model(folder, lambda _: tmp_path / "hub"))
    after = backbone(again).lm_head.weight
    assert after is not again.embeddings
    assert torch.equal(after, output) == (storage == "adapter")  # adapters do not change it
    inputs = {"input_ids": WRITTEN.input_ids[0], "attention_mask": np.ones(4, dtype=np.int64)}
    rows = {name: torch.from_numpy(np.array(each, dtype=np.int64))[None] for name, each in inputs.items()}
    targets = {"output": torch.tensor([[20, 1]])}
    with torch.no_grad():
        losses = [text_loss(each.eval(), rows, targets).total for each in (model, again)]
    torch.testing.assert_close(*losses)
    if storage != "adapter":
        assert torch.equal(after, backbone(model).lm_head.weight)
        assert torch.equal(again.embeddings, model.embeddings)
    write_model(again, tokenizer, TEXT, tmp_path / "out", max_length=16)
    plain: Any = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    assert torch.equal(plain.lm_head.weight, after)
    assert torch.equal(plain.shared.weight, again.embeddings)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize("family", OWN)
def test_missing_separate_output_layer_is_an_error(family: str, tmp_path: Path) -> None:
    # as after `AutoModel.from_pretrained(...).save_pretrained(...)`; transformers silently ties it
    published(tmp_path / "hub", family, (SHARED,), tie_word_embeddings=False)
    with pytest.raises(UserError, match="output layer is missing"):
        load(tmp_path / "hub")
    published(tmp_path / "tied", family, (SHARED,), tie_word_embeddings=True)
    model, _ = load(tmp_path / "tied")
    assert backbone(model).lm_head.weight is model.embeddings


@pytest.mark.parametrize("family", ["bert", "qwen3", "mt5"])
def test_advice_for_pickled_weights_keeps_the_output_layer(family: str, tmp_path: Path) -> None:
    tiny.model_folder(tmp_path, family)
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert "`xlift convert" in str(caught.value)  # which keeps all tensors


@pytest.mark.parametrize(
    "names", [(SHARED,), READ, (READ[0],), (READ[1],), (OUTPUT,), (SHARED, *READ, OUTPUT)], ids=lambda names: str(len(names))
)  # fmt: skip
@pytest.mark.parametrize("family", ["nllb", "mbart"])
def test_tied_embeddings_are_shared_whatever_their_names_in_the_file(
    family: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    saved = published(tmp_path / "hub", family, names)
    stored = StoredModel(tmp_path / "hub")
    model, tokenizer = load_without_heads(stored)
    assert torch.equal(model.embeddings, saved["embeddings"])
    parts = [
        backbone(model).lm_head,
        backbone(model).get_encoder().embed_tokens,
        backbone(model).get_decoder().embed_tokens,
    ]
    assert all(part.weight is model.embeddings for part in parts)
    transfer_weights(model, stored)
    learn(model)
    assert not torch.equal(model.embeddings, saved["embeddings"])
    save(model, tokenizer, tmp_path / "stored")
    found = load_file(tmp_path / "stored" / "model.safetensors")
    assert [name for name in found if name.endswith((SHARED, *READ, OUTPUT))] == ["model.shared.weight"]
    again: Any = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "stored")
    assert torch.equal(again.lm_head.weight, model.embeddings)
    assert again.lm_head.weight is again.get_encoder().embed_tokens.weight is again.get_decoder().embed_tokens.weight
