"""Schedules and batches: which units each step has, and how rows become tensors."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from xlift.recipes import Recipe, Sampling, TextShare
from xlift.steps import sampling_probabilities
from xlift.tasks.formats.features import IGNORE_INDEX, Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.batches import (
    Step,
    UnitIndex,
    collate,
    length_grouped_batches,
    make_schedule,
)

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=5)


def units_of(steps: list[Step], part: int) -> np.ndarray:
    return np.concatenate([step.units for step in steps if step.part == part] or [np.empty(0, dtype=int)])


@given(size=st.integers(1, 60), batch_size=st.integers(1, 64), epochs=st.integers(1, 4), seed=st.integers(0, 99))
@example(size=32, batch_size=31, epochs=3, seed=1)  # 31 and 1, three times over
def test_every_epoch_reads_every_unit_once(size: int, batch_size: int, epochs: int, seed: int) -> None:
    steps = make_schedule([size], Recipe(batch_size=batch_size, epochs=epochs), Sampling(), seed)
    passes = units_of(steps, 0).reshape(epochs, size)
    assert all(sorted(units) == list(range(size)) for units in passes)


@given(size=st.integers(1, 60), batch_size=st.integers(1, 64), whole=st.integers(0, 3), tenths=st.integers(1, 9))
def test_a_fractional_epoch_is_rounded_up_to_whole_batches(size: int, batch_size: int, whole: int, tenths: int) -> None:
    steps = make_schedule([size], Recipe(batch_size=batch_size, epochs=whole + tenths / 10), Sampling(), seed=1)
    in_batches = ceil(tenths * size / (10 * batch_size)) * batch_size
    assert len(units_of(steps, 0)) == whole * size + min(size, in_batches)


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_no_unit_repeats_within_a_pass_over_its_part(sizes: list[int], seed: int) -> None:
    steps = make_schedule(sizes, Recipe(batch_size=7, max_steps=40), Sampling(rule="uniform"), seed)
    for part, size in enumerate(sizes):
        used = units_of(steps, part)
        for at in range(0, len(used), size):
            assert len(set(used[at : at + size])) == len(used[at : at + size])


def test_passes_have_different_orders() -> None:
    steps = make_schedule([50], Recipe(batch_size=50, epochs=2), Sampling(), seed=1)
    assert list(steps[0].units) != list(steps[1].units)
    assert sorted(steps[0].units) == sorted(steps[1].units)


@given(sizes=SIZES, batch_size=st.integers(1, 16), epochs=st.sampled_from([0.5, 1, 1.1, 3]))
@pytest.mark.parametrize("rule", ["proportional", "uniform", "temperature"])
def test_the_number_of_steps_does_not_depend_on_the_rule(
    rule: str, sizes: list[int], batch_size: int, epochs: float
) -> None:
    recipe = Recipe(batch_size=batch_size, epochs=epochs)
    schedule = make_schedule(sizes, recipe, Sampling(rule=rule), seed=1)  # type: ignore[arg-type]
    assert len(schedule) == sum(len(make_schedule([n], recipe, Sampling(), seed=1)) for n in sizes)


def test_the_number_of_steps_uses_capped_sizes() -> None:
    assert len(make_schedule([100, 6], Recipe(batch_size=5, epochs=1), Sampling(cap=10), seed=1)) == 2 + 2


def test_max_steps_overrides_epochs() -> None:
    assert len(make_schedule([100], Recipe(max_steps=7, epochs=3), Sampling(), seed=1)) == 7


@given(
    sizes=SIZES,
    steps=st.integers(1, 200),
    rule=st.sampled_from(["proportional", "uniform", "temperature"]),
    cap=st.none() | st.integers(1, 60),
    temperature=st.floats(0.5, 10),
)
def test_part_counts_are_within_one_step_of_the_rule(
    sizes: list[int], steps: int, rule: str, cap: int | None, temperature: float
) -> None:
    sampling = Sampling(rule=rule, cap=cap, temperature=temperature)  # type: ignore[arg-type]
    exact = sampling_probabilities(sizes, sampling) * steps
    schedule = make_schedule(sizes, Recipe(batch_size=8, max_steps=steps), sampling, seed=3)
    counts = np.bincount([step.part for step in schedule], minlength=len(sizes))
    assert counts.sum() == steps
    assert np.all(np.abs(counts - exact) < 1)


@given(weights=st.lists(st.floats(0, 9), min_size=1, max_size=5).filter(any), steps=st.integers(1, 200))
def test_part_counts_are_within_one_step_of_given_weights(weights: list[float], steps: int) -> None:
    recipe, by_weight = Recipe(batch_size=8, max_steps=steps), Sampling(rule="weights")
    schedule = make_schedule([30] * len(weights), recipe, by_weight, seed=3, weights=weights)
    counts = np.bincount([step.part for step in schedule], minlength=len(weights))
    exact = np.array(weights) / sum(weights) * steps
    assert counts.sum() == steps
    assert np.all(np.abs(counts - exact) < 1)
    assert not counts[np.array(weights) == 0].any()


@given(
    sizes=SIZES,
    documents=st.lists(st.integers(1, 5000), min_size=1, max_size=6),
    share=st.floats(0.01, 0.9),
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
    steps=st.integers(1, 300),
)
def test_text_steps_are_added_to_unchanged_labelled_steps(
    sizes: list[int], documents: list[int], share: float, alpha: float, steps: int
) -> None:
    recipe, mlm = Recipe(batch_size=8, max_steps=steps), TextShare(share=share, alpha=alpha)
    alone = make_schedule(sizes, recipe, Sampling(), seed=3)
    schedule = make_schedule(sizes, recipe, Sampling(), seed=3, text_sizes=documents, text_share=mlm)
    counts = np.bincount([step.part for step in schedule], minlength=len(sizes) + len(documents))
    for part in range(len(sizes)):  # labelled parts: the same units in the same order
        assert units_of(schedule, part).tolist() == units_of(alone, part).tolist()
    text = counts[len(sizes) :]
    assert (
        abs(text.sum() - share * len(schedule)) < 1 or text.sum() == 1
    )  # half a step of rounding, as a share of all steps
    smoothed = np.array(documents) ** alpha
    assert np.all(np.abs(text - text.sum() * smoothed / smoothed.sum()) < 1)


def test_text_share_by_hand() -> None:
    # 80 labelled steps and a fifth of text are 100 steps, 20 of them divided as 1 : 2 ** 0.5 : 16 ** 0.5
    mlm = TextShare(share=0.2, alpha=0.5)
    schedule = make_schedule(
        [64], Recipe(batch_size=4, max_steps=80), Sampling(), seed=1, text_sizes=[1, 2, 16], text_share=mlm
    )
    assert np.bincount([step.part for step in schedule]).tolist() == [
        80,
        3,
        4,
        13,
    ]  # 3.12, 4.41, 12.47: one is left over


def test_batches_of_different_parts_alternate_randomly() -> None:
    steps = make_schedule([40, 40], Recipe(batch_size=4, epochs=1), Sampling(), seed=1)
    order = [step.part for step in steps]
    assert sorted(order) == [0] * 10 + [1] * 10
    assert order not in ([0] * 10 + [1] * 10, [1] * 10 + [0] * 10)


def test_the_schedule_depends_on_the_seed() -> None:
    first, again, other = (
        make_schedule([30], Recipe(batch_size=30, max_steps=1), Sampling(), seed) for seed in (1, 1, 2)
    )
    assert list(first[0].units) == list(again[0].units) != list(other[0].units)


def test_a_capped_part_still_uses_all_its_units() -> None:
    used = units_of(make_schedule([40], Recipe(batch_size=5, max_steps=8), Sampling(cap=5), seed=1), 0)
    assert sorted(used) == list(range(40))


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=200),
    batch_size=st.integers(1, 9),
    steps=st.integers(1, 80),
)
def test_length_grouped_batches_use_every_row_once_per_pass(lengths: list[int], batch_size: int, steps: int) -> None:
    batches = length_grouped_batches(np.array(lengths), batch_size, steps, seed=1)
    assert len(batches) == steps
    assert all(0 < len(batch) <= batch_size for batch in batches)
    per_pass = sum(
        ceil(len(lengths[at : at + 32 * batch_size]) / batch_size) for at in range(0, len(lengths), 32 * batch_size)
    )
    for at in range(0, steps, per_pass):
        used = np.concatenate(batches[at : at + per_pass])
        assert len(set(used)) == len(used)
        assert at + per_pass > steps or len(used) == len(lengths)


def test_length_grouped_batches_have_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 3200)
    batches = length_grouped_batches(lengths, 16, 200, seed=1)
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.1 * lengths.sum()  # random batches have 1.8 times as many


FEATURES = Features(
    input_ids=Ragged.from_rows([[5, 6], [7], [8, 9, 10], [11]]),
    example_index=np.array([0, 0, 1, 1]),
    unit=np.array([0, 0, 1, 1]),
    token_type_ids=Ragged.from_rows([[0, 1], [0], [0, 1, 1], [0]]),
    targets={"correct": np.array([1, 0, 0, 1]), "tags": Ragged.from_rows([[1, IGNORE_INDEX], [2], [1, 2, 1], [0]])},
)


def test_collate_pads_on_the_right() -> None:
    inputs, targets = collate(FEATURES, np.array([1, 2]), pad_id=1)
    assert inputs["input_ids"].tolist() == [[7, 1, 1], [8, 9, 10]]
    assert inputs["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert inputs["lengths"].tolist() == [1, 3]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0], [0, 1, 1]]
    assert targets["correct"].tolist() == [0, 0]
    assert targets["tags"].tolist() == [[2, IGNORE_INDEX, IGNORE_INDEX], [1, 2, 1]]
    assert targets["unit"].tolist() == [0, 1]
    assert {tensor.dtype for tensor in (*inputs.values(), *targets.values())} == {torch.int64}


def test_rows_of_a_unit_stay_together_in_order() -> None:
    index = UnitIndex(FEATURES)
    assert index.num_units == 2
    assert index.rows(np.array([1, 0])).tolist() == [2, 3, 0, 1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_a_batch_has_all_rows_of_its_units(sizes: list[int]) -> None:
    unit = np.repeat(np.arange(len(sizes)), sizes)
    features = Features(input_ids=Ragged.from_rows([[0]] * len(unit)), example_index=unit, unit=unit)
    index = UnitIndex(features)
    for step in make_schedule([index.num_units], Recipe(batch_size=3, epochs=1), Sampling(), seed=0):
        rows = index.rows(step.units)
        assert [unit[row] for row in rows] == [u for u in step.units for _ in range(sizes[u])]
