"""What a run notes of itself: spikes, means, and that a checkpoint brings all of it back exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.training.journal import LEAST, SPIKES, WINDOW, Journal


def seen(losses: list[float], parts: list[int] | None = None) -> Journal:
    journal = Journal(len(losses))
    for loss, part in zip(losses, parts or [0] * len(losses), strict=True):
        journal.saw(loss, 1.0, 1, part)
    return journal


def noisy(level: float, count: int, seed: int = 0) -> list[float]:
    return (level * np.random.default_rng(seed).normal(1, 0.05, count)).tolist()


def test_a_loss_far_above_the_others_is_a_spike() -> None:
    journal = seen([*noisy(1.0, 60), 7.5, *noisy(1.0, 60, seed=1)])
    assert journal.spikes == [(61, 7.5)]
    assert journal.num_spikes == 1


def test_twice_the_level_is_none_though_it_is_many_deviations_away() -> None:
    assert seen([*noisy(1.0, 60), 2.0]).num_spikes == 0


def test_a_part_with_a_higher_level_is_no_spike() -> None:
    # a mixture of a task and of text: losses of 0.5 and of 8, the text one step in ten
    parts = [1 if step % 10 == 0 else 0 for step in range(400)]
    losses = [8.0 if part else 0.5 for part in parts]
    assert seen(losses, parts).num_spikes == 0
    assert seen([*losses, 4.0, 4.0], [*parts, 0, 1]).spikes == [(401, 4.0)]


def test_a_hard_batch_of_what_is_nearly_learnt_by_heart_is_none() -> None:
    falling = [1.1 * 0.9**step for step in range(100)]
    assert seen([*falling, 0.4]).num_spikes == 0
    assert seen([*falling, 1.4]).spikes == [(101, 1.4)]


def test_nothing_is_a_spike_before_enough_was_seen() -> None:
    assert seen([*[1.0] * (LEAST - 1), 100.0]).num_spikes == 0
    assert seen([*[1.0] * LEAST, 100.0]).num_spikes == 1


def test_a_spike_does_not_hide_the_next_one() -> None:
    # with the mean and standard deviation in place of medians the second would pass
    assert [step for step, _ in seen([*noisy(1.0, 60), 50.0, 6.0]).spikes] == [61, 62]


def test_a_run_that_goes_up_for_good_stops_being_one_spike_after_the_other() -> None:
    journal = seen([*noisy(1.0, WINDOW), *noisy(5.0, 3 * WINDOW)])
    assert WINDOW // 2 - 5 <= journal.num_spikes <= WINDOW // 2 + 5


def test_only_the_first_spikes_are_kept_but_all_are_counted() -> None:
    losses: list[float] = []
    for _ in range(SPIKES + 7):
        losses += [*[1.0] * 25, 10.0]
    journal = seen(losses)
    assert journal.num_spikes == SPIKES + 7
    assert len(journal.spikes) == SPIKES
    assert journal.spikes[0] == (26, 10.0)


def test_the_last_losses_of_a_part_are_a_twentieth_of_its_own() -> None:
    parts = [0] * 40 + [
        1
    ] * 20  # the second one takes no part in the last twentieth of the first, and the other way round
    journal = seen([float(step) for step in range(60)], parts)
    assert journal.parts["0"].last == pytest.approx((38 + 39) / 2)
    assert journal.parts["1"].last == pytest.approx(59)


@given(
    losses=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    scores=st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), max_size=3),
)
def test_a_checkpoint_brings_it_back_exactly(losses: list[float], cut: int, scores: list[list[float]]) -> None:
    def go(journal: Journal, rest: list[float]) -> Journal:
        for number, loss in enumerate(rest):
            journal.saw(loss, 2 * loss, 3, number % 2)
        for score in scores:
            journal.judged(score)
        return journal

    whole = go(go(Journal(100), losses[:cut]), losses[cut:])
    first = go(Journal(100), losses[:cut])
    again = Journal.of(100, json.loads(json.dumps(first.numbers())))
    assert again == first
    assert go(again, losses[cut:]) == whole
