from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from xlift.analysis.multiplicity import benjamini_hochberg, holm


def closed_bonferroni(p_values: list[float]) -> list[float]:
    """Holm's adjustment as the closure of Bonferroni's: the largest p of all intersections with a hypothesis."""
    adjusted = [0.0] * len(p_values)
    for chosen in product((False, True), repeat=len(p_values)):
        members = [index for index, is_chosen in enumerate(chosen) if is_chosen]
        for index in members:
            p = min(1.0, len(members) * min(p_values[member] for member in members))
            adjusted[index] = max(adjusted[index], p)
    return adjusted


@pytest.mark.parametrize("seed", range(5))
def test_adjustments_agree_with_their_definitions(seed: int):
    p_values = list(np.random.default_rng(seed).beta(0.3, 1, size=7))
    assert holm(p_values) == pytest.approx(closed_bonferroni(p_values))
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values, method="bh"))


def test_ties_single_values_and_none():
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert benjamini_hochberg([0.02, 0.02]) == pytest.approx([0.02, 0.02])
    assert holm([0.3]) == benjamini_hochberg([0.3]) == [0.3]
    assert holm([]) == benjamini_hochberg([]) == []
