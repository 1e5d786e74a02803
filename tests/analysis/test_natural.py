"""Published test sets with typos, compared with the clean set on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import compute_lifts
from xlift.analysis.natural import PUBLISHED, add_published_noise
from xlift.analysis.robustness import compute_robustness
from xlift.studies.plan import Cell
from xlift.tasks import catalog


def scored(
    task: str, right: str, *, language: str = "en", seed: int = 0, ids: list[str] | None = None
) -> tuple[Cell, ScoredCell]:
    fields: dict[str, Any] = {
        "model": "m", "intermediate": "none", "intermediate_language": "", "size": "", "seed": seed, "language": language,
        "train_language": "en",
    }  # fmt: skip
    target = task if task != "xnli" else "our-name-for-xnli"
    cell = Cell(**fields, target=target, task=task, key=f"{task}{seed}")
    counts = np.array([[int(c), 1] for c in right], dtype=float)
    ids = ids or [str(n) for n in range(len(right))]
    value = lambda counts: counts[..., 0] / counts[..., 1]  # noqa: E731
    return cell, ScoredCell(**fields, target=target, metric="accuracy", ids=ids, counts=counts, value=value)


def test_typo_set_with_the_same_rows_becomes_noise():
    found = [scored("xnli", "1111100000"), scored("xnli-typos", "1111000000")]
    rows = compute_robustness([cell for _, cell in found] + add_published_noise(found))
    assert {(row.target, row.noise, round(row.kept or 0, 9)) for row in rows} == {
        ("our-name-for-xnli", "natural 5%", 0.8)
    }


def test_typo_set_does_not_change_lifts():
    found = [scored("xnli", "1111100000"), scored("xnli-typos", "1111000000")]
    cells = [cell for _, cell in found]
    assert compute_lifts(cells + add_published_noise(found)) == compute_lifts(cells)


@pytest.mark.parametrize(
    "typos",
    [
        scored("xnli-typos", "11", ids=["0", "7"]),  # other rows
        scored("xnli-typos", "11", seed=3),  # another pipeline
    ],
)
def test_other_rows_and_pipelines_are_not_compared(typos):
    assert add_published_noise([scored("xnli", "11"), typos]) == []


def test_languages_without_aligned_rows_are_not_compared():
    assert add_published_noise([scored("xnli", "11", language="de"), scored("xnli-typos", "11", language="de")]) == []


def test_declared_sets_are_in_the_catalogue_with_equal_row_counts():
    for name, aligned in PUBLISHED.items():
        ours, clean = catalog.get(name), catalog.get(aligned.clean_task)
        assert ours.labels == clean.labels
        for language in aligned.languages:
            counts = ours.counts["test"]
            assert isinstance(counts, dict)
            assert counts[language] == clean.counts["test"]
