"""The table of `xlift compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xlift.analysis.confounds import compared_lifts
from xlift.analysis.contrasts import Contrast
from xlift.analysis.estimates import MEANS, ZERO_SHOT, PipelineKey
from xlift.analysis.lift import LiftRow
from xlift.report.fitting_table import FittingTable
from xlift.report.footer import SAME_TASK
from xlift.report.tables import MEAN_COLUMNS, SIGNS, format_points, half_width, to_percent

LEVEL = 0.05


def contrast_table(
    contrasts: Sequence[Contrast], *, languages: bool, margin: float | None, trend: bool, width: int
) -> FittingTable:
    """One line for each target and mean over languages, or for each target and language.

    Args:
        languages: show every language, not only means.
        margin: of the test of equality, as a fraction.
        width: of the terminal. In a narrow one the p-values stand below the difference.
    """
    has_languages = languages or any(contrast.language == ZERO_SHOT for contrast in contrasts)
    names = ["target", "language"][: 1 + has_languages]
    scores = [] if trend else list(contrasts[0].rows)
    tests = ["per tenfold size" if trend else "difference", "p"]
    tests += [] if margin is None else [f"equal within {to_percent(margin):g}"]
    rows = []
    for contrast in contrasts:
        if not languages and contrast.language not in MEANS:
            continue
        target = MEAN_COLUMNS.get(contrast.target, contrast.target)
        cells = [f"{target} ({SAME_TASK})" if contrast.same_task else target, contrast.language][: 1 + has_languages]
        cells += [] if trend else [f"{to_percent(score):.1f}" for score in contrast.scores]
        cells += [format_difference(contrast), "–" if contrast.p is None else format_p(contrast.p)]
        if margin is not None:
            cells.append("–" if contrast.p_equal is None else f"{'yes' if contrast.p_equal < LEVEL else 'no'}, p {format_p(contrast.p_equal)}")  # fmt: skip
        rows.append(cells)
    return _fit([*names, *scores], tests, rows, len(names), width)


def interaction_table(contrasts: Sequence[Contrast], width: int) -> FittingTable:
    """One line for each target: the difference of the rows in each group or condition, and the difference of both."""
    rows = []
    for contrast in contrasts:
        cells = [MEAN_COLUMNS.get(contrast.target, contrast.target), *map(format_points, contrast.scores)]
        rows.append([*cells, format_difference(contrast), "–" if contrast.p is None else format_p(contrast.p)])
    return _fit(["target", *contrasts[0].language.split(" / ")], ["interaction", "p"], rows, 1, width)


def _fit(
    first: Sequence[str], tests: Sequence[str], rows: Sequence[Sequence[str]], num_names: int, width: int
) -> FittingTable:
    """A table with a column for each test, or, where that is too wide, with all tests in one column below each other."""
    whole = FittingTable([*first, *tests], rows, num_names)
    if whole.fits(width):
        return whole
    difference, *others = tests
    stacked = [
        [*row[: len(first)], "\n".join([row[len(first)], *(f"{name} {text}" for name, text in zip(others, row[len(first) + 1 :], strict=True))])]
        for row in rows
    ]  # fmt: skip
    return FittingTable([*first, difference], stacked, num_names)


def interaction_note(contrasts: Sequence[Contrast]) -> str:
    """What the table of an interaction shows."""
    first, second = contrasts[0].rows
    one, other = contrasts[0].language.split(" / ")
    note = (
        f"Percentage points. {one} and {other}: {first} minus {second} there. interaction: their difference, paired by seed and test example, with "
        "half of the 95% interval. p: of no interaction, adjusted by Holm over the targets; ▲▼: below 5%."
    )
    if any(contrast.p is None for contrast in contrasts):
        note += " With one seed the intervals do not cover the variation between seeds, and there is no p."
    return note


def format_difference(contrast: Contrast) -> str:
    """'▲+3.2 ±1.1'"""
    is_different = contrast.p is not None and contrast.p < LEVEL
    sign = SIGNS[(1 if contrast.difference > 0 else -1) if is_different else 0]
    return f"{sign}{format_points(contrast.difference)} ±{half_width(contrast.low, contrast.high)}"


MOST_PAIRS = 10
"""Of the best rows among each other; of more, the highest is compared with each of the others."""


def best_pairs(rows: Sequence[LiftRow]) -> list[tuple[PipelineKey, PipelineKey]]:
    """The rows that do not differ significantly from the highest mean, each against each other, the higher one first. Controls and
    rows of the same task do not count."""
    best = [row for row in compared_lifts(rows) if row.in_best_set]
    best = sorted(best, key=lambda row: -row.value)
    pairs = [(one, other) for place, one in enumerate(best) for other in best[place + 1 :] if one.model == other.model]
    if len(pairs) > MOST_PAIRS:
        pairs = [pair for pair in pairs if pair[0] is best[0]]
    return [(_key(one), _key(other)) for one, other in pairs]


def _key(row: LiftRow) -> PipelineKey:
    return PipelineKey(row.model, row.intermediate, row.intermediate_language, row.size)


def for_page(contrasts: Sequence[Contrast], *, are_chosen: bool) -> dict[str, Any]:
    """The page's section on differences between rows: headings, lines and a note; {} without contrasts.

    Args:
        are_chosen: a person chose the rows; otherwise they are the best ones.
    """
    if not contrasts:
        return {}
    names = list(dict.fromkeys((contrast.target, contrast.metric) for contrast in contrasts))
    several = {target for target, _ in names if sum(target == other for other, _ in names) > 1}
    by_pair: dict[tuple[str, ...], dict[tuple[str, str], Contrast]] = {}
    for contrast in contrasts:
        by_pair.setdefault(contrast.rows, {})[contrast.target, contrast.metric] = contrast
    lines = [
        {
            "rows": " minus ".join(pair),
            "cells": [_page_cell(found[name]) if name in found else None for name in names],
        }
        for pair, found in by_pair.items()
    ]
    which = (
        "The chosen rows."
        if are_chosen
        else "The rows that do not differ significantly from the highest mean, compared with each other."
    )
    note = (
        f"{which} Percentage points: the first row minus the second, paired by seed and test example, mean over languages, with half of the 95% "
        "interval. p: of no difference, adjusted by Holm over the pairs (and, on single targets, over the targets); ▲▼: below 5%. "
        "No significant difference alone is not equality: `xlift compare STUDY ROW ROW --margin 1` tests that."
    )
    headings = [
        MEAN_COLUMNS.get(target, f"{target} {metric}" if target in several else target) for target, metric in names
    ]
    return {"headings": headings, "lines": lines, "note": note}


def _page_cell(contrast: Contrast) -> dict[str, str]:
    difference, _, doubt = format_difference(contrast).partition(" ")
    kind = {"▲": "up", "▼": "down"}.get(difference[:1], "flat")
    return {
        "difference": difference,
        "doubt": doubt,
        "kind": kind,
        "p": "" if contrast.p is None else f"p {format_p(contrast.p)}",
    }


def format_p(p: float) -> str:
    """Three decimals, or '<.001'."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def contrast_note(contrasts: Sequence[Contrast], *, margin: float | None, trend: bool) -> str:
    """What the table shows."""
    seeds = sorted({contrast.seeds for contrast in contrasts})
    what = "Change of the score per tenfold size (least squares)" if trend else "First row minus second row"
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    note = (
        f"Percent. {what}, paired by seed and test example, with half of the 95% interval. p: of no difference, adjusted by Holm "
        f"over the targets; ▲▼: below 5%. {count} seed{'s' * (seeds[-1] > 1)}."
    )
    if any(contrast.seeds == 1 and not contrast.borrowed_from for contrast in contrasts):
        note += " With one seed the intervals do not cover the variation between seeds, and there is no p."
    if margin is not None:
        note += f" Equal within {to_percent(margin):g} percentage points: two one-sided tests at 5%, not adjusted. No significant difference alone is not equality."
    if any(contrast.same_task for contrast in contrasts):
        note += f" {SAME_TASK}: a row trains on the target's own task (of a mean: on that of one target), so the difference is partly that of more labels."
    if any(contrast.language in MEANS for contrast in contrasts):
        note += " all: the mean over the languages of a target; zero-shot: over those that it was not trained on."
    return note
