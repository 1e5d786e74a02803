"""Training history: spikes, interval means, and exact restoring from JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.training.history import MAX_SPIKES, MIN_LOSSES, SPIKE_WINDOW, TrainingHistory


def record(losses: list[float], parts: list[int] | None = None) -> TrainingHistory:
    history = TrainingHistory(len(losses))
    for loss, part in zip(losses, parts or [0] * len(losses), strict=True):
        history.record_step(loss, 1.0, 1, part)
    return history


def noisy(level: float, count: int, seed: int = 0) -> list[float]:
    return (level * np.random.default_rng(seed).normal(1, 0.05, count)).tolist()


def test_a_loss_far_above_the_others_is_a_spike() -> None:
    history = record([*noisy(1.0, 60), 7.5, *noisy(1.0, 60, seed=1)])
    assert history.spikes == [(61, 7.5)]
    assert history.num_spikes == 1


def test_a_loss_of_twice_the_median_is_no_spike() -> None:
    assert record([*noisy(1.0, 60), 2.0]).num_spikes == 0


def test_spikes_are_relative_to_the_losses_of_the_same_part() -> None:
    # a mixture of a task and of text: losses of 0.5 and of 8, the text one step in ten
    parts = [1 if step % 10 == 0 else 0 for step in range(400)]
    losses = [8.0 if part else 0.5 for part in parts]
    assert record(losses, parts).num_spikes == 0
    assert record([*losses, 4.0, 4.0], [*parts, 0, 1]).spikes == [(401, 4.0)]


def test_a_loss_below_the_initial_median_is_no_spike() -> None:
    falling = [1.1 * 0.9**step for step in range(100)]
    assert record([*falling, 0.4]).num_spikes == 0
    assert record([*falling, 1.4]).spikes == [(101, 1.4)]


def test_spikes_need_a_minimum_number_of_losses() -> None:
    assert record([*[1.0] * (MIN_LOSSES - 1), 100.0]).num_spikes == 0
    assert record([*[1.0] * MIN_LOSSES, 100.0]).num_spikes == 1


def test_a_spike_does_not_hide_the_next_one() -> None:
    # with mean and standard deviation instead of medians, the second would be missed
    assert [step for step, _ in record([*noisy(1.0, 60), 50.0, 6.0]).spikes] == [61, 62]


def test_a_lasting_rise_stops_counting_as_spikes() -> None:
    history = record([*noisy(1.0, SPIKE_WINDOW), *noisy(5.0, 3 * SPIKE_WINDOW)])
    assert SPIKE_WINDOW // 2 - 5 <= history.num_spikes <= SPIKE_WINDOW // 2 + 5


def test_only_the_first_spikes_are_kept() -> None:
    losses: list[float] = []
    for _ in range(MAX_SPIKES + 7):
        losses += [*[1.0] * 25, 10.0]
    history = record(losses)
    assert history.num_spikes == MAX_SPIKES + 7
    assert len(history.spikes) == MAX_SPIKES
    assert history.spikes[0] == (26, 10.0)


def test_final_mean_covers_the_last_twentieth_of_a_part() -> None:
    parts = [0] * 40 + [
        1
    ] * 20  # the second one takes no part in the last twentieth of the first, and the other way round
    history = record([float(step) for step in range(60)], parts)
    assert history.parts["0"].final_mean == pytest.approx((38 + 39) / 2)
    assert history.parts["1"].final_mean == pytest.approx(59)


@pytest.mark.parametrize(("max_steps", "done"), [(3, 3), (20, 20), (50, 50), (50, 23), (7, 0)])
def test_each_interval_ends_at_its_last_step(max_steps: int, done: int) -> None:
    history = TrainingHistory(max_steps)
    for number in range(done):
        history.record_step(float(number + 1), 1.0, 1, 0)
    ends = history.interval_ends
    assert ends == sorted({*ends})
    assert ends[-1:] == [done][:done]  # none without steps
    bounds = zip([0, *ends], ends, strict=False)
    means = [sum(range(start + 1, end + 1)) / (end - start) for start, end in bounds]
    assert history.interval_means(history.loss_sums) == pytest.approx(means, abs=1e-4)


@given(
    losses=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    scores=st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), max_size=3),
)
def test_history_survives_json_exactly(losses: list[float], cut: int, scores: list[list[float]]) -> None:
    def record_losses(history: TrainingHistory, rest: list[float]) -> TrainingHistory:
        for number, loss in enumerate(rest):
            history.record_step(loss, 2 * loss, 3, number % 2)
        for score in scores:
            history.record_evaluation(score)
        return history

    whole = record_losses(record_losses(TrainingHistory(100), losses[:cut]), losses[cut:])
    first = record_losses(TrainingHistory(100), losses[:cut])
    again = TrainingHistory.from_dict(100, json.loads(json.dumps(first.to_dict())))
    assert again == first
    assert record_losses(again, losses[cut:]) == whole
