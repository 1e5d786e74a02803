"""`python -m benchmarks.seed_check`: intervals of a few seeds against the mean of the others."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from benchmarks.coverage import null_study
from benchmarks.seed_check import Sentence, check_seeds, coverage_rows, sentences
from benchmarks.seed_counts import read_counts, write_counts

from xlift.analysis.lift import compute_lifts
from xlift.analysis.means import estimate_with_means

NOTHING = Sentence("", frozenset())


def named(best: str, others: str = "") -> Sentence:
    return Sentence(best, frozenset([best, *others]))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (NOTHING, named("a"), "agrees"),
        (NOTHING, NOTHING, "agrees"),
        (named("a"), named("a"), "agrees"),
        (named("a", "bc"), named("a"), "agrees"),
        (named("a", "b"), named("b", "a"), "agrees"),  # neither was named as better
        (named("a"), named("a", "b"), "wider"),
        (named("a"), named("b", "a"), "turned over"),
        (named("a", "b"), named("b"), "turned over"),
        (named("a"), NOTHING, "turned over"),
    ],
)
def test_what_a_third_seed_does_to_the_first_sentence(before: Sentence, after: Sentence, change: str):
    assert before.change(after) == change


def test_intervals_of_pairs_hold_the_mean_of_the_other_seeds():
    cells = null_study(np.random.default_rng(1), pipelines=4, seeds=8, n=60, sd=3.0)
    scores, _ = estimate_with_means(cells)
    rows = coverage_rows(scores, range(8), list(combinations(range(8), 2)))
    assert [row[:2] for row in rows[:3]] == [
        ["lift", "language"],
        ["lift", "mean of a target"],
        ["lift", "mean of all targets"],
    ]
    assert rows[0][3] == str(28 * 4 * 3 * 4)  # pairs, pipelines, targets, languages
    for row in rows:
        assert float(row[4]) > 85
        assert float(row[5]) >= float(row[4]) - 5
    # A seed far from the others is outside.
    far = [
        replace(cell, counts=cell.counts * [0.1, 1]) if cell.seed < 2 and cell.intermediate == "task-0" else cell
        for cell in cells
    ]
    checks = [check for check in check_seeds(estimate_with_means(far)[0], (0, 1)) if check.kind[0] == "score"]
    assert not all(check.by_seeds for check in checks)


def test_sentences_are_those_of_the_seeds_alone():
    cells = null_study(np.random.default_rng(2), pipelines=2, seeds=4, n=40, sd=0.5)
    better = [
        replace(cell, counts=np.ones_like(cell.counts))
        if cell.intermediate == "task-1" and cell.seed > 0
        else replace(cell, counts=cell.counts * [0.5, 1])
        for cell in cells
    ]
    found = sentences(better, [(2, 3), (1, 2, 3)])
    assert found[2, 3].best == found[1, 2, 3].best == "m task-1 en "
    assert found[2, 3].together == {"m task-1 en "}


def test_counts_are_read_as_they_were_written(tmp_path: Path):
    cells = null_study(np.random.default_rng(3), pipelines=2, seeds=2, n=20, sd=1.0)
    cells = [replace(cell, units=[f"paragraph {i // 4}" if i else None for i in range(20)]) for cell in cells]
    cells[5] = replace(
        cells[5], ids=cells[5].ids[::-1], counts=cells[5].counts[::-1], units=(cells[5].units or [])[::-1]
    )
    write_counts(cells, tmp_path / "x.counts")
    read = read_counts(tmp_path / "x.counts")
    assert {row.lift for row in compute_lifts(read)} == {row.lift for row in compute_lifts(cells)}
    assert sorted((row.language, row.low, row.high) for row in compute_lifts(read)) == sorted(
        (row.language, row.low, row.high) for row in compute_lifts(cells)
    )
