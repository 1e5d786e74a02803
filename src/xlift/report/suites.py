"""`xlift score`: print the scores of a suite."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from xlift.report.fitting_table import hidden_note
from xlift.suites.folder_scoring import TOTAL, SuiteResult

if TYPE_CHECKING:
    from rich.table import Table

METRICS = {
    "labels": "accuracy", "choices": "accuracy", "tags": "chunk F1", "pairs": "F1 of pairs", "answers": "mean of EM, F1",
    "ranking": "MRR@20",
}  # fmt: skip
"""Kind of the files of a task -> name of its metric."""


def print_result(result: SuiteResult, console: Any, *, repaired: bool = True, languages: bool = False) -> None:
    """Print the scores of tasks, groups and the total, with and without English, then what was not scored. Fits 80 columns.

    Args:
        repaired: add a column with scores by the repaired rule.
        languages: also print the score of every language.
    """
    suite = result.suite
    headings = ["task or group", "languages", "metric", "score", "without en", *(["repaired"] if repaired else [])]
    rows: list[tuple[list[str], str | None]] = []

    def row(
        name: str, count: str, metric: str, official: Any, without: Any, better: Any, style: str | None = None
    ) -> None:
        numbers = [_number(official), _number(without), *([_number(better)] if repaired else [])]
        rows.append(([name, count, metric, *numbers], style))

    for task in suite.tasks:
        if task.name in result.files:
            count, of = len(result.files[task.name]), len(task.languages)
            reports = (
                side.tasks.get(task.name, {}) for side in (result.official, result.without_english, result.repaired)
            )
            official, without, better = (report.get("avg_metric") for report in reports)
            row(
                task.name,
                str(count) if count == of else f"{count} of {of}",
                METRICS[task.kind],
                official,
                without,
                better,
            )
    for group in suite.groups:
        if group in result.official.groups:
            official, without, better = (
                side.groups.get(group) for side in (result.official, result.without_english, result.repaired)
            )
            row(group, "", f"mean of {len(suite.groups[group])}", official, without, better)
    if result.total is not None:
        without, better = (side.groups.get(TOTAL) for side in (result.without_english, result.repaired))
        row("total", "", f"mean of {len(suite.tasks)}", result.total, without, better, style="bold")
    widths = [max(map(len, column)) for column in zip(headings, *(cells for cells, _ in rows), strict=True)]
    hidden = ["languages"] if sum(widths) + 2 * (len(widths) - 1) > console.width else []
    console.print(f"{suite.title}, by the official rule", style="italic", highlight=False, markup=False)
    console.print(_table(headings, rows, hidden), highlight=False)
    if languages:
        _print_languages(result, console)
    for name, why in result.absent.items():
        console.print(f"not scored: {name} ({why})", highlight=False, markup=False)
    for name, codes in result.partial.items():
        console.print(
            f"{name} without {' '.join(codes)}: no scores for its group and the total", highlight=False, markup=False
        )
    if suite.unscored and result.total is not None:
        console.print(
            f"evaluate.py gives no total here, because it expects {', '.join(suite.unscored)}, which it does not score.",
            highlight=False,
        )
    if note := hidden_note(hidden, "xlift score --json"):
        console.print(note, highlight=False, markup=False)


def _table(headings: list[str], rows: list[tuple[list[str], str | None]], hidden: list[str]) -> Table:
    """A table of rows and their styles, without the hidden columns."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        if heading not in hidden:
            table.add_column(
                heading, justify="left" if heading in ("task or group", "metric") else "right", no_wrap=True
            )
    for cells, style in rows:
        shown = [cell for heading, cell in zip(headings, cells, strict=True) if heading not in hidden]
        table.add_row(*shown, style=style)
    return table


def _print_languages(result: SuiteResult, console: Any) -> None:
    for side, averages in (("", result.official), (" (repaired)", result.repaired)):
        for name, report in averages.tasks.items():
            for metric, values in report.items():
                if isinstance(values, dict):
                    console.print(f"{name} {metric}{side}", style="bold", highlight=False)
                    # Only plain blanks are places to break a line, so a code stays with its score.
                    line = "  ".join(f"{code}\u00a0{value:.1f}" for code, value in values.items())
                    for part in textwrap.wrap(line, console.width - 2):
                        console.print(f"  {part}".replace("\u00a0", " "), highlight=False, markup=False)


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"
