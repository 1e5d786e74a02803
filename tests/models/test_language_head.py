"""The masked-LM head: equal to that of the transformers classes, loaded from the checkpoint if there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from xlift.errors import UserError
from xlift.models.backbone import load, save
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.pretrained import load_language_head

SPEC = HeadSpec("lm")
SHAPES = [
    ("xlm-roberta", {}),
    ("bert", {"hidden_act": "relu"}),
    ("deberta-v2", {"hidden_act": "relu"}),
    ("modernbert", {}),
    (
        "modernbert",
        {"norm_bias": True, "classifier_bias": True, "decoder_bias": False, "classifier_activation": "relu"},
    ),
]


def stock_model(family: str, **options: Any) -> Any:
    """With head weights that reveal a missing or misplaced part."""
    torch.manual_seed(1)
    model: Any = AutoModelForMaskedLM.from_config(tiny.config(family, **options)).eval()
    for name, parameter in model.named_parameters():
        if not name.startswith(f"{model.base_model_prefix}."):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def stock_folder(folder: Path, family: str, model: Any = None, **how: Any) -> Any:
    model = model or stock_model(family)
    model.save_pretrained(folder, **how)
    tiny.tokenizer_of(family).save_pretrained(folder)
    return model


def inputs_of(family: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Two pairs of different length, and some of their positions."""
    encoded = tiny.tokenizer_of(family)(["the old man", "Paris"], ["reads a long book in the garden", "France"])
    inputs = tiny.batch(encoded["input_ids"], encoded.get("token_type_ids"))
    where = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    where[0, [1, 3, 6]] = where[1, 1] = True
    return inputs, where


@torch.no_grad()
def ours_and_stock(encoder: Model, stock: Any, family: str) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, where = inputs_of(family)
    ours = encoder.eval().vocabulary_logits(encoder.last_hidden_state(inputs)[where], "MLM")
    return ours, stock(**inputs).logits[where]


@pytest.mark.parametrize(("family", "options"), SHAPES)
def test_logits_equal_those_of_the_transformers_class(family: str, options: dict[str, Any]) -> None:
    encoder = tiny.encoder(family, **options)
    for parameter in encoder.add_head("MLM", SPEC, seed=1).parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    stock: Any = AutoModelForMaskedLM.from_config(tiny.config(family, **options)).eval()
    stock.load_state_dict(encoder.stock_state_dict("MLM"), strict=True)
    ours, theirs = ours_and_stock(encoder, stock, family)
    assert ours.shape == (4, 500)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("how", [{}, {"max_shard_size": "40KB"}])
def test_head_is_loaded_from_the_checkpoint(family: str, how: dict[str, Any], tmp_path: Path) -> None:
    stock = stock_folder(tmp_path, family, **how)
    assert len(list(tmp_path.glob("model*.safetensors"))) > len(how)
    encoder, _ = load(tmp_path)
    encoder.add_head("MLM", SPEC, seed=1)
    torch.testing.assert_close(*ours_and_stock(encoder, stock, family), atol=1e-6, rtol=0)


def test_half_precision_head_is_loaded_in_float32(tmp_path: Path) -> None:
    stock = stock_folder(tmp_path, "modernbert", stock_model("modernbert").half())
    encoder, _ = load(tmp_path)
    head = encoder.add_head("MLM", SPEC, seed=1)
    assert {tensor.dtype for tensor in head.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(*ours_and_stock(encoder, stock.float(), "modernbert"), atol=1e-6, rtol=0)


def test_old_tensor_names_of_bert_are_supported(tmp_path: Path) -> None:
    stock = stock_folder(tmp_path, "bert")
    path = tmp_path / "model.safetensors"
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(path).items()
    }
    assert any(name.startswith("cls.") and name.endswith("gamma") for name in weights)
    save_file(weights, path, metadata={"format": "pt"})
    encoder, _ = load(tmp_path)
    encoder.add_head("MLM", SPEC, seed=1)
    torch.testing.assert_close(*ours_and_stock(encoder, stock, "bert"), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_without_a_checkpoint_head_the_seed_decides(family: str, tmp_path: Path) -> None:
    # ModernBERT's classifiers have a `head.dense` too, with another purpose
    classifier: Any = AutoModelForSequenceClassification.from_config(tiny.config(family))
    stock_folder(tmp_path, family, classifier)
    encoder, _ = load(tmp_path)
    assert encoder.language_head == {}
    heads = [encoder.add_head("MLM", SPEC, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not torch.equal(heads[0]["dense.weight"], heads[2]["dense.weight"])
    assert not heads[0]["bias"].any()


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_new_head_has_the_std_of_the_transformers_head(family: str) -> None:
    config = tiny.config(family, hidden_size=256)
    stock = {
        name: t for name, t in AutoModelForMaskedLM.from_config(config).state_dict().items() if "dense.weight" in name
    }
    (expected,) = (t for name, t in stock.items() if name.startswith(("lm_head", "cls", "head")))
    head = Model(tiny.backbone(family, hidden_size=256)).add_head("MLM", SPEC, seed=0).state_dict()
    assert head["dense.weight"].std().item() == pytest.approx(expected.std().item(), rel=0.05)


def test_saved_head_is_loaded_and_the_checkpoints_head_is_not_saved(tmp_path: Path) -> None:
    stock = stock_folder(tmp_path / "stock", "xlm-roberta")
    encoder, tokenizer = load(tmp_path / "stock")
    encoder.add_head("MLM", SPEC, seed=1)
    save(encoder, tokenizer, tmp_path / "saved")
    again, _ = load(tmp_path / "saved")
    torch.testing.assert_close(*ours_and_stock(again, stock, "xlm-roberta"), atol=1e-6, rtol=0)
    assert again.language_head == {}
    assert not any("lm_head" in name for name in load_file(tmp_path / "saved" / "model.safetensors"))


def test_head_of_another_vocabulary_is_an_error(tmp_path: Path) -> None:
    stock_folder(tmp_path, "xlm-roberta")
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights | {"lm_head.bias": torch.zeros(7)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lm_head.bias is 7, and config.json makes it 500"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"lm_head.bias is \(7,\), expected \(500,\)"):
        load_language_head(tmp_path, tiny.config("xlm-roberta"))


def test_separate_decoder_is_an_error(tmp_path: Path) -> None:
    stock_folder(tmp_path, "modernbert", stock_model("modernbert", tie_word_embeddings=False))
    encoder, _ = load(tmp_path)  # such a model works for everything else
    with pytest.raises(UserError, match="does not predict tokens with its input embeddings"):
        encoder.add_head("MLM", SPEC, seed=1)


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_gradient_reaches_all_embeddings(family: str) -> None:
    encoder = tiny.encoder(family)
    head = encoder.add_head("MLM", SPEC, seed=1)
    inputs, where = inputs_of(family)
    logits = encoder.vocabulary_logits(encoder.last_hidden_state(inputs)[where], "MLM")
    head.loss(logits, {"label": inputs["input_ids"][where]}).total.backward()
    gradient = encoder.embeddings.grad
    assert gradient is not None
    touched = gradient.abs().sum(dim=1) > 0
    assert touched.float().mean() > 0.99  # each token of the vocabulary, through the softmax
    read = inputs["input_ids"].unique()
    unread = torch.ones(len(gradient), dtype=torch.bool)
    unread[read] = False
    assert gradient[read].norm(dim=1).mean() > 3 * gradient[unread].norm(dim=1).mean()
