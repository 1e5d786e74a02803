"""`xlift score`: print the scores of a suite."""

from __future__ import annotations

from typing import Any

from xlift.suites.folder_scoring import TOTAL, SuiteResult

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
    from rich.table import Table

    suite = result.suite
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title=f"{suite.title}, by the official rule",
        title_justify="left",
    )
    table.add_column("task or group", no_wrap=True)
    table.add_column("languages", justify="right")
    table.add_column("metric", no_wrap=True)
    for heading in ("score", "without en", *(["repaired"] if repaired else [])):
        table.add_column(heading, justify="right", no_wrap=True)

    def row(
        name: str, count: str, metric: str, official: Any, without: Any, better: Any, style: str | None = None
    ) -> None:
        cells = [_number(official), _number(without), *([_number(better)] if repaired else [])]
        table.add_row(name, count, metric, *cells, style=style)

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
    if result.total is not None or result.official.groups:
        table.add_section()
    for group in suite.groups:
        if group in result.official.groups:
            official, without, better = (
                side.groups.get(group) for side in (result.official, result.without_english, result.repaired)
            )
            row(group, "", f"mean of {len(suite.groups[group])}", official, without, better)
    if result.total is not None:
        without, better = (side.groups.get(TOTAL) for side in (result.without_english, result.repaired))
        row("total", "", f"mean of {len(suite.tasks)}", result.total, without, better, style="bold")
    console.print(table, highlight=False)
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


def _print_languages(result: SuiteResult, console: Any) -> None:
    from rich.padding import Padding

    for side, averages in (("", result.official), (" (repaired)", result.repaired)):
        for name, report in averages.tasks.items():
            for metric, values in report.items():
                if isinstance(values, dict):
                    console.print(f"{name} {metric}{side}", style="bold", highlight=False)
                    line = "  ".join(f"{code}\u00a0{value:.1f}" for code, value in values.items())
                    console.print(Padding(line, (0, 0, 0, 2)), highlight=False)


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"
