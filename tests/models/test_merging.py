"""Merged models: averages, task arithmetic, and models that cannot be merged."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tiny

from xlift.errors import UserError
from xlift.models import adapters
from xlift.models.backbone import (
    load_compact_vocabulary,
    load_stored_model,
    save,
    save_adapter_delta,
    save_vocabulary_delta,
)
from xlift.models.delta import ParentModel, StoredModel, find_stored_model
from xlift.models.merging import combine_tensors, merge
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.recipes import Lora

FAMILIES = ("xlm-roberta", "qwen3", "mt5")
NLI = HeadSpec("sequence", ("yes", "no"))
weight = st.floats(-2, 2).map(lambda w: round(w, 3))
numbers = st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)


def folder_of(family: str, folder: Path, seed: int, heads: tuple[str, ...] = ()) -> StoredModel:
    model = tiny.encoder(family, seed)
    for name in heads:
        model.add_head(name, NLI, seed=seed)
    save(model, tiny.tokenizer_of(family), folder)
    return StoredModel(folder)


def weights(model: Model) -> dict[str, torch.Tensor]:
    return model.backbone_state_dict()


@settings(deadline=None)
@given(start=numbers, parent=numbers, shares=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_average_of_equal_tensors_is_bit_equal(start: list[float], parent: list[float], shares: list[int]) -> None:
    given = [torch.tensor(parent)] * len(shares)
    assert torch.equal(combine_tensors(torch.tensor(start), given, [s / sum(shares) for s in shares]), given[0])


@settings(deadline=None)
@given(start=numbers, parents=st.lists(st.tuples(numbers, weight), min_size=1, max_size=4))
def test_arithmetic_is_float64(start: list[float], parents: list[tuple[list[float], float]]) -> None:
    found = combine_tensors(torch.tensor(start), [torch.tensor(p) for p, _ in parents], [w for _, w in parents])
    base = np.array(start, dtype=np.float64)
    expected = base + sum(w * (np.array(p) - base) for p, w in parents)
    size = max(abs(x) for p in (start, *(p for p, _ in parents)) for x in p)
    assert found.numpy() == pytest.approx(expected, rel=1e-6, abs=1e-12 * size)


@settings(deadline=None)
@given(start=numbers, parents=st.lists(st.tuples(numbers, weight), min_size=2, max_size=4))
def test_identities_of_task_arithmetic(start: list[float], parents: list[tuple[list[float], float]]) -> None:
    base, tensors, shares = torch.tensor(start), [torch.tensor(p) for p, _ in parents], [w for _, w in parents]
    assert torch.equal(combine_tensors(base, tensors, [0.0] * len(tensors)), base)
    assert torch.equal(combine_tensors(base, [tensors[0], base], [1.0, 0.0]), tensors[0])
    torch.testing.assert_close(
        combine_tensors(base, tensors[::-1], shares[::-1]), combine_tensors(base, tensors, shares)
    )
    # subtracting what was added gives the start
    there = combine_tensors(base, [tensors[0]], [0.5])
    back = combine_tensors(there, [tensors[0], base], [0.5, 0.5])
    assert back.numpy() == pytest.approx((tensors[0].double() / 2 + base.double() / 2).numpy(), rel=1e-6)
    assert math.isfinite(float(there.sum()))


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_in_every_family(family: str, tmp_path: Path) -> None:
    start, one, two = (folder_of(family, tmp_path / str(seed), seed) for seed in range(3))
    tensors = [weights(load_stored_model(stored)[0]) for stored in (start, one, two)]
    same, _ = merge(start, [one, one], [0.5, 0.5])
    assert weights(same).keys() == tensors[1].keys()
    assert all(torch.equal(tensor, tensors[1][name]) for name, tensor in weights(same).items())
    merged, tokenizer = merge(start, [one, two], [0.75, 0.5])
    for name, tensor in weights(merged).items():
        first, second, third = (each[name].double() for each in tensors)
        torch.testing.assert_close(tensor.double(), first + 0.75 * (second - first) + 0.5 * (third - first))
    save(merged, tokenizer, tmp_path / "merged")
    again, _ = load_stored_model(StoredModel(tmp_path / "merged"))
    assert all(torch.equal(tensor, weights(again)[name]) for name, tensor in weights(merged).items())
    # the merged files are not changed
    assert all(torch.equal(t, weights(load_stored_model(start)[0])[name]) for name, t in tensors[0].items())


def test_products_of_adapters_are_averaged_rather_than_factors(tmp_path: Path) -> None:
    start, places, stages = folder_of("qwen3", tmp_path / "start", 0), {}, []
    for seed in (1, 2):
        model, tokenizer = load_stored_model(start)
        adapters.add(model, Lora(rank=2), seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(seed))
        save_adapter_delta(model, tokenizer, tmp_path / str(seed), start, ParentModel(fingerprint="f"))
        stages.append(adapters.lora_weights(model.backbone))
        places[seed] = find_stored_model(tmp_path / str(seed), lambda _: tmp_path / "start")
    merged, _ = merge(start, list(places.values()), [0.5, 0.5])
    before = weights(load_stored_model(start)[0])
    for name, tensor in weights(merged).items():
        if name in stages[0]:
            products = sum(each[name].scale * each[name].b.double() @ each[name].a.double() for each in stages)
            torch.testing.assert_close(tensor.double(), before[name] + products / 2, rtol=1e-6, atol=1e-7)
        else:
            assert torch.equal(tensor, before[name])


def test_vocabulary_delta_is_rebuilt_before_merging(tmp_path: Path) -> None:
    start, ids = folder_of("xlm-roberta", tmp_path / "start", 0), np.array([0, 1, 2, 5])
    model, tokenizer = load_stored_model(start)
    before = model.embeddings.detach().clone()
    small = load_compact_vocabulary(model, start, ids)
    small.embeddings.weight.data += 1
    save_vocabulary_delta(model, tokenizer, tmp_path / "one", small, start, ParentModel(fingerprint="f"), 0.5)
    merged, _ = merge(start, [find_stored_model(tmp_path / "one", lambda _: tmp_path / "start")], [0.5])
    expected = before * 0.75
    expected[ids] = before[ids] + 0.5
    torch.testing.assert_close(merged.embeddings, expected)


def test_head_comes_from_the_first_parent_that_has_it(tmp_path: Path) -> None:
    start = folder_of("bert", tmp_path / "start", 0, ("old",))
    one = folder_of("bert", tmp_path / "one", 1, ("qa",))
    two = folder_of("bert", tmp_path / "two", 2, ("nli", "qa"))
    merged, _ = merge(start, [one, two], [0.5, 0.5], keep_heads=("qa", "nli"))
    assert list(merged.heads) == ["qa", "nli"]
    for name, stored in (("qa", one), ("nli", two)):
        own = load_stored_model(stored)[0].heads[name].state_dict()
        assert all(torch.equal(tensor, own[key]) for key, tensor in merged.heads[name].state_dict().items())
    assert not list(merge(start, [one, two], [0.5, 0.5])[0].heads)
    with pytest.raises(UserError, match="no head 'old' to keep\n  the merged models have: nli, qa"):
        merge(start, [one, two], [0.5, 0.5], keep_heads=("old",))


@pytest.mark.parametrize("what", ["size", "family", "tokenizer"])
def test_models_that_differ_are_an_error_with_the_reason(what: str, tmp_path: Path) -> None:
    start = folder_of("xlm-roberta", tmp_path / "start", 0)
    if what == "size":
        save(tiny.encoder("xlm-roberta", intermediate_size=48), tiny.tokenizer(), tmp_path / "other")
        reason = "intermediate_size is 64 in the start and 48 here"
    elif what == "family":
        save(tiny.encoder("modernbert"), tiny.tokenizer(), tmp_path / "other")
        reason = "is .* in the start and .* here"
    else:
        save(tiny.encoder("xlm-roberta"), tiny.tokenizer("unigram"), tmp_path / "other")
        reason = "the tokenizer differs from that of the start"
    with pytest.raises(UserError, match=reason):
        merge(start, [start, StoredModel(tmp_path / "other")], [0.5, 0.5])
