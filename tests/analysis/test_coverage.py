"""A small part of `python -m benchmarks.coverage`, whose gates are narrower than a few repeats can measure."""

from __future__ import annotations

import pytest
from benchmarks.coverage import CELLS, Cell, false_findings, simulate

REPEATS = 100
LEAST = 0.87
"""A coverage of 93% in 100 repeats, minus 2.3 standard errors."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [cell for cell in CELLS if (not cell.weakness and cell.quantity != "F1") or cell.quantity == "one language of 10"],
    ids=lambda cell: f"{cell.quantity}, {cell.seeds} seeds, n={cell.n}, sd={cell.sd}",
)
def test_intervals_hold_the_true_value(cell: Cell):
    found = simulate(cell, REPEATS)
    assert found["lift"][0] >= LEAST
    assert found["score"][0] >= LEAST


def test_pooling_makes_intervals_of_two_seeds_narrower_and_right_more_often():
    found = simulate(Cell("mean of 10 languages", 2, 200, 3.0), 30)
    assert found["lift"][1] < 0.6 * found["lift alone"][1]
    assert found["lift"][0] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_studies_without_an_effect_have_no_leader(seeds: int):
    found = false_findings(20, seeds, sd=1.5)
    assert found["leader"] <= 0.05
    assert found["language cells"] <= 0.01
    if seeds == 1:
        assert set(found.values()) == {0.0}
