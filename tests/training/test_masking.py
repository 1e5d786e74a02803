"""Masked language modelling in stages: what is hidden, what it costs, and text beside tasks with labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny
from transformers import AutoModelForMaskedLM

from xlift.errors import UserError
from xlift.models import text_mode
from xlift.models.backbone import load
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.text_mode import token_loss
from xlift.recipes import Masking, Recipe, Sampling
from xlift.tasks import catalog
from xlift.training import masking
from xlift.training.batches import collate
from xlift.training.masking import Masker, mask_tokens
from xlift.training.stage import TrainDataset, add_heads, fine_tune, make_features


def part(name: str, tokenizer: Any, count: int = 16, language: str = "qta", share: float = 0.25) -> TrainDataset:
    task = catalog.get(name)
    examples = list(task.source.read(task, language, "train", None, size=count, seed=1))
    features = make_features(task, examples, tokenizer, max_length=48, train=True)
    return TrainDataset(
        task, features, corruption=Masker(Masking(share=share), tokenizer) if task.format == "text" else None
    )


def batch(family: str, name: str = "isle-parallel", count: int = 6) -> dict[str, torch.Tensor]:
    tokenizer = tiny.tokenizer_of(family)
    return collate(part(name, tokenizer, count).features, np.arange(count), tokenizer.pad_token_id)[0]


def loss_of(encoder: Model, inputs: dict[str, torch.Tensor], masker: Masker, step: int = 3, seed: int = 1):
    masked, labels = mask_tokens(inputs["input_ids"], masker, seed=seed, step=step)
    hidden = encoder.last_hidden_state({**inputs, "input_ids": masked})
    return token_loss(hidden, labels, lambda hidden: encoder.vocabulary_logits(hidden, "MLM"), len(masker.ordinary_ids))


class Words:
    """A tokenizer of mBERT's layout: special tokens in the middle of the vocabulary."""

    mask_token_id = 103
    all_special_ids = (0, 100, 101, 102, 103)

    def __len__(self) -> int:
        return 150


def test_special_tokens_anywhere_in_the_vocabulary_are_not_masked() -> None:
    original = np.tile(np.array([101, 50, 120, 102, 7, 8, 102, 0, 0]), (20_000, 1))
    masked, is_target = Masker(Masking(share=0.5), Words())(original, np.random.default_rng(1))
    special = np.isin(original, Words.all_special_ids)
    assert not is_target[special].any()
    put_in = masked[is_target & (masked != Words.mask_token_id)]
    assert set(put_in) == set(range(150)) - set(Words.all_special_ids)


def test_a_tokenizer_without_mask_token_is_rejected() -> None:
    words = Words()
    words.mask_token_id = None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UserError, match="no mask token"):
        Masker(Masking(), words)


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_the_loss_matches_transformers(family: str) -> None:
    encoder, inputs = tiny.encoder(family), batch(family)
    encoder.add_head("MLM", HeadSpec("lm"), seed=1)
    masker = Masker(Masking(), tiny.tokenizer_of(family))
    num_scored: list[int] = []

    def count_and_score(hidden: torch.Tensor) -> torch.Tensor:
        num_scored.append(len(hidden))
        return encoder.vocabulary_logits(hidden, "MLM")

    with torch.no_grad():
        read, answers = mask_tokens(inputs["input_ids"], masker, seed=1, step=3)
        loss = token_loss(
            encoder.last_hidden_state({**inputs, "input_ids": read}), answers, count_and_score, len(masker.ordinary_ids)
        )
        masked, is_target = masker(inputs["input_ids"].numpy(), np.random.default_rng([1, 4, 3]))
        stock: Any = AutoModelForMaskedLM.from_config(tiny.config(family)).eval()
        stock.load_state_dict(encoder.stock_state_dict("MLM"))
        labels = torch.from_numpy(np.where(is_target, inputs["input_ids"].numpy(), -100))
        expected = stock(**{**inputs, "input_ids": torch.from_numpy(masked)}, labels=labels).loss
    torch.testing.assert_close(loss.total / loss.count, expected, atol=1e-5, rtol=0)
    assert num_scored == [int(loss.count)] == [int(is_target.sum())]  # the vocabulary is scored there and nowhere else
    assert int(loss.count) < inputs["attention_mask"].sum() / 2


def test_logits_in_chunks_give_the_same_loss_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, inputs = tiny.encoder("bert"), batch("bert")
    encoder.add_head("MLM", HeadSpec("lm"), seed=1)
    masker = Masker(Masking(), tiny.tokenizer_of("bert"))
    found = []
    for scores in (2**28, 4 * 500):
        monkeypatch.setattr(text_mode, "MAX_LOGITS", scores)
        encoder.zero_grad()
        loss = loss_of(encoder, inputs, masker)
        loss.total.backward()
        gradient = encoder.embeddings.grad
        assert gradient is not None
        found.append((loss.total.detach(), loss.count, gradient.clone()))
    assert found[0][1] == found[1][1] > 4
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][2], found[1][2])


def test_masked_tokens_depend_on_seed_and_step() -> None:
    encoder, inputs = tiny.encoder("xlm-roberta"), batch("xlm-roberta")
    encoder.add_head("MLM", HeadSpec("lm"), seed=1)
    masker = Masker(Masking(), tiny.tokenizer())
    with torch.no_grad():
        one, again, later, other = (
            float(loss_of(encoder, inputs, masker, step, seed).total) for step, seed in ((3, 1), (3, 1), (4, 1), (3, 2))
        )
    assert one == again
    assert len({one, later, other}) == 3


def test_both_sides_of_a_translation_are_masked() -> None:
    tokenizer = tiny.tokenizer()
    rows = part("isle-parallel", tokenizer, 40).features.input_ids
    hidden_on = Counter()
    masker = Masker(Masking(share=0.3), tokenizer)
    for number, row in enumerate(rows.tolist()):
        middle = row.index(tokenizer.sep_token_id)
        assert row[middle + 1] == tokenizer.sep_token_id
        assert len(row) > middle + 3
        is_target = masker(np.array([row]), np.random.default_rng(number))[1][0]
        hidden_on.update(first=int(is_target[:middle].sum()), second=int(is_target[middle:].sum()))
    assert min(hidden_on.values()) > 40


def test_a_batch_without_masked_tokens_has_zero_loss() -> None:
    encoder, inputs = tiny.encoder("modernbert"), batch("modernbert")
    encoder.add_head("MLM", HeadSpec("lm"), seed=1)
    loss = loss_of(encoder, inputs, Masker(Masking(share=1e-9), tiny.tokenizer()))
    loss.total.backward()
    assert (loss.total.item(), int(loss.count)) == (0.0, 0)
    assert all(p.grad is None or not p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_every_family_learns_masked_lm(family: str) -> None:
    encoder, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    text = part("isle-text", tokenizer, 16)
    add_heads(encoder, [text.task], seed=1)
    recipe = Recipe(lr=3e-3, batch_size=8, max_steps=60, warmup_steps=0.0)
    output = fine_tune(encoder, tokenizer.pad_token_id, [text], recipe, Sampling(), seed=1)
    assert output.losses[-1] < 0.8 * output.losses[0]


def test_text_and_labelled_tasks_are_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, encoder = tiny.tokenizer(), tiny.encoder("xlm-roberta")
    parts = [
        part("isle-nli", tokenizer, 32),
        part("isle-text", tokenizer, 8),
        part("isle-parallel", tokenizer, 8, "qka"),
    ]
    add_heads(encoder, [each.task for each in parts], seed=1)
    assert list(encoder.heads) == ["isle-nli", "MLM"]  # all text is one task
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    masked: list[int] = []
    monkeypatch.setattr(masking, "mask_tokens", lambda *a, **k: (masked.append(k["step"]), mask_tokens(*a, **k))[1])
    recipe = Recipe(lr=1e-3, batch_size=4, epochs=1)
    output = fine_tune(encoder, tokenizer.pad_token_id, parts, recipe, Sampling(rule="uniform"), seed=1)
    assert (output.global_step, len(masked)) == (12, 8)
    after = encoder.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before if name.startswith("heads."))


def test_the_shipped_encoder_predicts_masked_tokens_with_its_head() -> None:
    from xlift import backbones

    encoder, tokenizer = load(backbones.find("isles", None).folder)
    inputs = collate(part("isle-text", tokenizer, 64).features, np.arange(64), tokenizer.pad_token_id)[0]
    losses = []
    for own in (encoder.language_head, {}):
        encoder.language_head = own
        encoder.eval().add_head("MLM", HeadSpec("lm"), seed=1)
        with torch.no_grad():
            loss = loss_of(encoder, inputs, Masker(Masking(), tokenizer))
        losses.append(float(loss.total / loss.count))
    assert losses[0] < 2.5
    assert losses[1] > 6
