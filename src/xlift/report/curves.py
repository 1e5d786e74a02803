"""The output of `xlift curves`: training loss and dev score by step as text plots, JSON or CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xlift.analysis.curves import StageCurves
from xlift.analysis.pipelines import PIPELINE_FIELDS
from xlift.report.csv_rows import iterate_csv
from xlift.report.fitting_table import FittingTable
from xlift.report.tables import HEADINGS
from xlift.units import count_noun

if TYPE_CHECKING:
    from rich.console import Console

PLOT_HEIGHT = 8
"""Lines of a plot, without its axis."""
MAX_PLOT_WIDTH = 60
MAX_PLOTTED = 4
"""Stages that are plotted; more are a table with a sparkline each."""
BLOCKS = "▁▂▃▄▅▆▇█"

Points = Sequence[tuple[int, float]]
"""(step, value), in the order of the steps."""


def to_json(curves: Sequence[StageCurves]) -> str:
    return json.dumps([stage.as_json() for stage in curves], indent=1, ensure_ascii=False) + "\n"


def to_csv(curves: Sequence[StageCurves]) -> str:
    """One line for each stage and step, with its training loss, its dev score or both."""
    rows = []
    for stage in curves:
        losses, scores = dict(stage.losses), dict(stage.dev_scores)
        for step in sorted(losses | scores):
            names = [*stage.pipeline.values(), stage.stage, stage.job]
            rows.append([*names, step, losses.get(step), scores.get(step)])
    return "".join(iterate_csv([*PIPELINE_FIELDS, "stage", "job", "step", "loss", "dev_score"], rows))


def print_curves(curves: Sequence[StageCurves], console: Console) -> None:
    """Print a plot for each curve of a few stages, and a table of sparklines for many."""
    if len(curves) <= MAX_PLOTTED:
        for stage in curves:
            _print_stage(stage, console)
    else:
        console.print(_table(curves))
    if any(not stage.losses for stage in curves):
        note = "Stages without a training loss were trained by an older version of xlift, which did not keep it."
        console.print(note, style="dim", markup=False, highlight=False)


def _print_stage(stage: StageCurves, console: Console) -> None:
    names = [f"{_heading(name)} {value}" for name, value in stage.pipeline.items() if value]
    facts = [count_noun(stage.steps, "step"), *([f"learning rate {stage.lr:g}"] if stage.lr else [])]
    facts += [f"{stage.attempts} attempts, the last one shown"] if stage.attempts > 1 else []
    console.print(f"{stage.stage}: {', '.join(facts)}", style="bold", markup=False, highlight=False)
    console.print(", ".join(names), markup=False, highlight=False)
    width = min(MAX_PLOT_WIDTH, console.width)
    dev = [(step, 100 * score) for step, score in stage.dev_scores]
    for title, points, digits in (("training loss", stage.losses, 3), ("dev score (%)", dev, 1)):
        if len(points) == 1:
            step, value = points[0]
            console.print(f"{title} at step {step:,}: {value:.{digits}f}", markup=False, highlight=False)
        elif points:
            console.print(title, markup=False, highlight=False)
            for line in plot(points, width, digits):
                console.print(line, markup=False, highlight=False)
    console.print()


def plot(points: Points, width: int, digits: int) -> list[str]:
    """A curve as lines of text: a dot for each point, and straight lines of smaller dots between them.

    Args:
        width: characters of a line, axis included.
        digits: decimals of the numbers beside the axis.
    """
    values = [value for _, value in points]
    low, high = min(values), max(values)
    labels = {0: f"{high:.{digits}f}", PLOT_HEIGHT - 1: f"{low:.{digits}f}"}
    margin = max(map(len, labels.values()))
    columns = max(2, width - margin - 3)
    last = points[-1][0]
    grid = [[" "] * columns for _ in range(PLOT_HEIGHT)]

    def place(step: float, value: float) -> tuple[int, int]:
        line = (high - value) / (high - low) if high > low else 0.0
        return round(line * (PLOT_HEIGHT - 1)), round(step / last * (columns - 1))

    for (step, value), (next_step, next_value) in zip(points, points[1:], strict=False):
        (_, start), (_, end) = place(step, value), place(next_step, next_value)
        for column in range(start + 1, end):
            share = (column - start) / (end - start)
            line, _ = place(0, value + share * (next_value - value))
            grid[line][column] = "·"
    for step, value in points:
        line, column = place(step, value)
        grid[line][column] = "•"
    lines = [
        f"{labels.get(number, ''):>{margin}} {'┤' if number in labels else '│'}{''.join(cells)}".rstrip()
        for number, cells in enumerate(grid)
    ]
    end = f"step {last:,}"
    axis = f"{'':>{margin}} └{'─' * columns}"
    return [*lines, axis, f"{'':>{margin}}  0{end:>{columns - 1}}"]


def sparkline(points: Points) -> str:
    """A block of matching height for each value, '▇▅▃▁'."""
    values = [value for _, value in points]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return "".join(BLOCKS[round((value - low) / (high - low) * 7) if high > low else 0] for value in values)


def _table(curves: Sequence[StageCurves]) -> FittingTable:
    """A line for each stage."""
    shown = [name for name in PIPELINE_FIELDS if len({stage.pipeline[name] for stage in curves} - {""}) > 1]
    rows = []
    for stage in curves:
        dev = [(step, 100 * score) for step, score in stage.dev_scores]
        names = [stage.pipeline[name] for name in shown]
        rows.append([*names, stage.stage, f"{stage.steps:,}", _summary(stage.losses, 3), _summary(dev, 1)])
    names = [_heading(name) for name in shown]
    headings = [*names, "trained on", "steps", "training loss", "dev score (%)"]
    return FittingTable(headings, rows, len(shown) + 1, named_lines=True)


def _heading(name: str) -> str:
    return HEADINGS.get(name, name.replace("_", " "))


def _summary(points: Points, digits: int) -> str:
    """'0.693 ▇▅▃▁ 0.012': the first value, all of them, and the last one."""
    if not points:
        return "–"
    first, last = (f"{value:.{digits}f}" for _, value in (points[0], points[-1]))
    return last if len(points) == 1 else f"{first} {sparkline(points)} {last}"
