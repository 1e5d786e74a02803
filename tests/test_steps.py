"""Division of a stage's steps among the parts of its mixture."""

from __future__ import annotations

import numpy as np
import pytest

from xlift.recipes import Recipe, Sampling, TextShare
from xlift.steps import divide_steps, sampling_probabilities


def test_sampling_probabilities_by_hand() -> None:
    sizes = [100, 900, 25]
    assert sampling_probabilities(sizes, Sampling()) == pytest.approx(np.array([100, 900, 25]) / 1025)
    assert sampling_probabilities(sizes, Sampling(rule="uniform")) == pytest.approx([1 / 3] * 3)
    assert sampling_probabilities(sizes, Sampling(rule="temperature", temperature=2)) == pytest.approx(
        np.array([10, 30, 5]) / 45
    )
    assert sampling_probabilities(sizes, Sampling(cap=100)) == pytest.approx(np.array([100, 100, 25]) / 225)
    assert sampling_probabilities(sizes, Sampling(rule="temperature", temperature=2, cap=100)) == pytest.approx(
        np.array([2, 2, 1]) / 5
    )


def test_a_wrong_number_of_weights_is_rejected() -> None:
    with pytest.raises(ValueError, match="1 weights for 2 parts"):
        sampling_probabilities([3, 4], Sampling(rule="weights"), [1.0])


def test_text_gets_its_share_of_all_steps_by_smoothed_size() -> None:
    labelled, text = divide_steps(
        [30, 10], Recipe(batch_size=1, epochs=1), Sampling(), (), [400, 100], TextShare(share=0.2, alpha=0.5)
    )
    assert labelled == pytest.approx([30, 10])
    assert text == pytest.approx(np.array([20, 10]) / 30 * 10)
