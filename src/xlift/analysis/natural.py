"""Published test sets with human typos that share their rows with a clean test set: robustness to natural noise.

Only languages whose rows are aligned with the clean set are listed. XNLI's typos have all 5,010 rows in English; in the
other languages they have a part of the rows without row numbers, so those are scored as a separate task and compared
with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from xlift.analysis.estimates import ScoredCell
from xlift.studies.plan import Cell


class AlignedSet(NamedTuple):
    clean_task: str
    """The task without typos; both have the same row ids."""
    noise: str
    languages: tuple[str, ...]


PUBLISHED = {"xnli-typos": AlignedSet("xnli", "natural 5%", ("en",))}


def add_published_noise(scored_cells: Sequence[tuple[Cell, ScoredCell]]) -> list[ScoredCell]:
    """Scores on the sets in PUBLISHED, given again as noise over the clean target if a pipeline has both on the same
    rows.

    Args:
        scored_cells: the scored cells of a study, each with the cell of its plan.
    """
    with_noise = []
    for cell, scored in scored_cells:
        aligned = PUBLISHED.get(cell.task)
        if aligned is None or scored.noise or cell.language not in aligned.languages:
            continue
        for other, clean in scored_cells:
            if (
                other.task == aligned.clean_task
                and _run_key(clean) == _run_key(scored)
                and set(clean.ids) == set(scored.ids)
            ):
                with_noise.append(replace(scored, target=clean.target, noise=aligned.noise))
    return with_noise


def _run_key(cell: ScoredCell) -> tuple[object, ...]:
    """Everything but the target."""
    return (
        cell.model, cell.intermediate, cell.intermediate_language, cell.size, cell.seed, cell.language, cell.metric,
        cell.train_language, cell.noise,
    )  # fmt: skip
