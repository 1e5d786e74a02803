"""Pretraining of encoders: the tokenizer, masking, and models of every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from xlift.models import backbone
from xlift.recipes import Architecture, Masking, Recipe, Sampling, TokenizerRecipe
from xlift.tasks import catalog, formats
from xlift.tasks.formats.text import TextExample
from xlift.training import pretraining, stage
from xlift.training.masking import Masker
from xlift.training.pretraining import SPECIAL_TOKENS, create_model, pretrain, tokenizer_texts, train_tokenizer

Family = Literal["modernbert", "xlm-roberta", "bert"]
FAMILIES = get_args(Family)
"""The encoders; test_pretraining_writers.py has the others."""


def sizes(family: Any) -> Architecture:
    return Architecture(family=family, layers=2, hidden_size=32, intermediate_size=64, heads=4, max_positions=64)


def documents(count: int = 200) -> list[TextExample]:
    task = catalog.get("isle-text")
    return list(task.source.read(task, "qta", "train", None, size=count, seed=0))


def trained_tokenizer() -> Any:
    return train_tokenizer(tokenizer_texts([documents()], 200), TokenizerRecipe(vocabulary=500, documents=200))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return trained_tokenizer()


def rows_of(tokenizer: Any, count: int = 200) -> list[np.ndarray]:
    features = formats.get("text").features(documents(count), tokenizer, (), max_length=40, train=True)
    return [np.array(ids, dtype=np.int32) for ids in features.input_ids]


# -- the tokenizer -----------------------------------------------------------------------------------------------------


def test_the_same_text_gives_the_same_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    for name, made in (("first", tokenizer), ("again", trained_tokenizer())):
        made.save_pretrained(tmp_path / name)
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_special_tokens_have_the_ids_of_xlm_r(tokenizer: Any) -> None:
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert len(tokenizer) <= 500
    ids = tokenizer("a", "b")["input_ids"]
    assert [ids[0], *ids[-4:-2], ids[-1]] == [0, 2, 2, 2]


def test_every_text_survives_tokenization(tokenizer: Any) -> None:
    text = "жили-были ☃ 人 ’quoted’"  # the alphabet is bytes, so nothing is unknown
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).strip() == text


def test_tokenizer_texts_are_proportional_with_a_minimum() -> None:
    many, few = (
        [TextExample(f"{name}{i}", f"{name}{i}", None) for i in range(n)] for name, n in (("m", 900), ("f", 100))
    )
    read = list(tokenizer_texts([many, few], 200))
    assert (sum(t.startswith("m") for t in read), sum(t.startswith("f") for t in read)) == (180, 30)


# -- masking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_masking_is_80_10_10(tokenizer: Any, share: float) -> None:
    original = np.full((400, 500), 100)
    masked, wanted = Masker(Masking(share=share), tokenizer)(original, np.random.default_rng(1))
    assert wanted.mean() == pytest.approx(share, abs=0.005)  # four standard errors or more, here and below
    chosen = masked[wanted]
    assert (chosen == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.01)
    kept = 0.1 + 0.1 / (len(tokenizer) - len(SPECIAL_TOKENS))  # a random token may be the original one
    assert (chosen == 100).mean() == pytest.approx(kept, abs=0.01)
    assert (masked[~wanted] == 100).all()


def test_special_tokens_are_neither_masked_nor_inserted(tokenizer: Any) -> None:
    original = np.tile(np.array([0, 50, 60, 2, 2, 70, 80, 2, 1, 1]), (3000, 1))
    masked, wanted = Masker(Masking(share=0.5), tokenizer)(original, np.random.default_rng(1))
    special = np.isin(original, tokenizer.all_special_ids)
    assert not wanted[special].any()
    assert (masked[special] == original[special]).all()
    replaced = masked[wanted & (masked != tokenizer.mask_token_id)]
    assert replaced.min() >= len(SPECIAL_TOKENS)
    assert replaced.max() < len(tokenizer)


def test_random_tokens_come_from_the_whole_vocabulary(tokenizer: Any) -> None:
    masked, wanted = Masker(Masking(share=0.9), tokenizer)(np.full((800, 500), 100), np.random.default_rng(1))
    assert set(masked[wanted]) == set(range(4, len(tokenizer)))  # 4 is the mask itself


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_loads_and_can_be_fine_tuned(family: Family, tokenizer: Any, tmp_path: Path) -> None:
    model = create_model(sizes(family), tokenizer, seed=1)
    trained = pretrain(
        model, tokenizer, rows_of(tokenizer), Masking(), Recipe(lr=3e-3, batch_size=16, max_steps=40), seed=1
    )
    assert trained.losses[-1] < trained.losses[0] - 0.3
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    stock = AutoModel.from_pretrained(tmp_path)
    encoder, loaded = backbone.load(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    inputs = {"input_ids": torch.tensor([[0, 50, 60, 2]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.inference_mode():
        expected = model.eval().base_model(**inputs).last_hidden_state
        assert torch.equal(stock.eval()(**inputs).last_hidden_state, expected)
        assert torch.equal(encoder.eval().backbone(**inputs).last_hidden_state, expected)
    assert encoder.max_length == 64

    task = catalog.get("isle-nli")
    examples = list(task.source.read(task, "qta", "train", None, size=8, seed=1))
    features = stage.make_features(task, examples, loaded, max_length=40, train=True)
    stage.add_heads(encoder, [task], seed=1)
    tuned = stage.fine_tune(
        encoder,
        loaded.pad_token_id,
        [stage.TrainDataset(task, features)],
        Recipe(lr=1e-3, max_steps=3),
        Sampling(),
        seed=1,
    )
    assert np.isfinite(tuned.losses).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_matches_transformers(family: Family, tokenizer: Any) -> None:
    model = create_model(sizes(family), tokenizer, seed=1)
    rows = rows_of(tokenizer, count=8)
    trained = pretrain(model, tokenizer, rows, Masking(), Recipe(lr=1e-30, batch_size=8, max_steps=1), seed=1)
    original = np.full((8, max(map(len, rows))), tokenizer.pad_token_id)
    order = pretraining.length_grouped_batches(np.array([len(row) for row in rows]), 8, 1, 1)[0]
    for at, number in enumerate(order):
        original[at, : len(rows[number])] = rows[number]
    masked, wanted = Masker(Masking(), tokenizer)(original, np.random.default_rng([1, 4, 0]))
    with torch.inference_mode():
        stock: Any = model.eval()(
            input_ids=torch.from_numpy(masked),
            attention_mask=torch.from_numpy((original != tokenizer.pad_token_id).astype(np.int64)),
            labels=torch.from_numpy(np.where(wanted, original, -100)),
        )
    assert trained.losses == [pytest.approx(stock.loss.item(), abs=1e-4)]


def test_a_row_of_max_positions_fits(tokenizer: Any) -> None:
    for family in FAMILIES:  # XLM-R's positions start after pad_token_id
        model = create_model(sizes(family), tokenizer, seed=1)
        model.base_model(input_ids=torch.full((1, 64), 50))


def test_weights_depend_on_the_seed(tokenizer: Any) -> None:
    first, again, other = (create_model(sizes("modernbert"), tokenizer, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_half_precision_weights_are_loaded_as_float32(tokenizer: Any, tmp_path: Path) -> None:
    model: Any = create_model(sizes("modernbert"), tokenizer, seed=1)
    model.save_pretrained(tmp_path / "full")
    model.half().save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full
    encoder, _ = backbone.load(tmp_path / "half")
    assert {tensor.dtype for tensor in encoder.state_dict().values()} == {torch.float32}
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "half") is not None
