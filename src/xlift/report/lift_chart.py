"""A chart of mean lifts beside the lifts of their controls, each with its interval and a dot for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xlift.analysis.confounds import main_means
from xlift.analysis.lift import LiftRow
from xlift.report.charts import INK, LINES, to_svg
from xlift.report.tables import MEAN_COLUMNS

OWN = "the task"
KINDS = {"": OWN, "shuffled": "labels shuffled", "text": "its texts, no labels", "steps": "more target steps"}
"""Control -> its name in the legend."""
PANEL_WIDTH, LINE_HEIGHT = 190, 11
MAX_PANELS = 3
"""Panels beside each other."""


def lift_chart(rows: Sequence[LiftRow], targets: Sequence[str] = ()) -> str:
    """SVG: one panel for each mean and target, one line for each intermediate task and each of its controls. A dot is the lift as a
    mean over languages (`main_means`), a bar its 95% interval, a circle the lift of one seed. Lifts of a task on itself are pale.
    Every panel has its own axis.

    Args:
        targets: the panels to draw, as the tables name them; all by default.

    Returns:
        '' if there is no lift.
    """
    points = _points(rows)
    if targets:
        points = [point for point in points if point["panel"] in targets]
    return _draw(points) if points else ""


def _points(rows: Sequence[LiftRow]) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = []
    lifts = [row for row in main_means(rows) if row.lift is not None]
    several_models = len({row.model for row in lifts}) > 1
    several_sizes = len({(row.intermediate, row.size) for row in lifts}) > len({row.intermediate for row in lifts})
    for row in lifts:
        parts = (
            row.model if several_models else "", row.control_of or row.intermediate, row.intermediate_language,
            row.size if several_sizes else "",
        )  # fmt: skip
        points.append(
            {
                "panel": MEAN_COLUMNS.get(row.target, row.target),
                "pipeline": " · ".join(filter(None, parts)),
                "same_task": row.same_task,
                "kind": KINDS[row.control],
                "lift": 100 * (row.lift or 0),
                "low": None if row.lift_low is None else 100 * row.lift_low,
                "high": None if row.lift_high is None else 100 * row.lift_high,
                "seeds": [100 * lift for lift in row.seed_lifts] if len(row.seed_lifts) > 1 else [],
            }
        )
    return points


def _draw(points: list[dict[str, Any]]) -> str:
    import altair as alt

    # A row for each circle. Marks leave out rows without their number.
    seeds = [
        {key: point[key] for key in ("panel", "pipeline", "same_task", "kind")} | {"seed": lift}
        for point in points
        for lift in point["seeds"]
    ]
    pipelines = list(dict.fromkeys(point["pipeline"] for point in points))
    kinds = [kind for kind in KINDS.values() if any(point["kind"] == kind for point in points)]
    means = list(MEAN_COLUMNS.values())
    panels = list(dict.fromkeys(point["panel"] for point in points))
    panels.sort(key=lambda name: means.index(name) if name in means else len(means))
    # The reader's font may be wider than the one used to measure the drawing.
    margin = min(300, 16 + 8 * max(map(len, pipelines)))
    y = alt.Y("pipeline:N", sort=pipelines, title=None, axis=alt.Axis(labelLimit=margin, minExtent=margin))
    opacity = alt.condition("datum.same_task", alt.value(0.45), alt.value(1))
    offset = alt.YOffset("kind:N", sort=kinds)
    color = alt.Color(
        "kind:N",
        sort=kinds,
        scale=alt.Scale(domain=kinds, range=list(LINES[: len(kinds)])),
        legend=alt.Legend(orient="top", title=None, symbolOpacity=1, columnPadding=24) if len(kinds) > 1 else None,
    )
    axis = alt.Axis(
        tickCount=5, gridOpacity=0.15, gridColor=INK, labelFlush=False, labelOverlap="greedy", labelSeparation=6
    )
    x = alt.X("lift:Q", title="lift (percentage points)", axis=axis)
    layers = alt.layer(
        alt.Chart().mark_rule(color=INK, opacity=0.5, strokeDash=[3, 3]).encode(x=alt.datum(0)),
        alt.Chart()
        .mark_rule(strokeWidth=2)
        .encode(
            y=y,
            yOffset=offset,
            x=alt.X("low:Q", title="lift (percentage points)"),
            x2="high:Q",
            color=color,
            opacity=opacity,
        ),
        alt.Chart()
        .mark_point(filled=False, size=22, strokeWidth=1.2)
        .encode(
            y=y,
            yOffset=offset,
            x=alt.X("seed:Q", title="lift (percentage points)"),
            color=color,
            opacity=alt.condition("datum.same_task", alt.value(0.45), alt.value(0.75)),
            description=alt.value("seed"),
        ),
        alt.Chart().mark_point(filled=True, size=45).encode(y=y, yOffset=offset, x=x, color=color, opacity=opacity),
    ).properties(width=PANEL_WIDTH, height=LINE_HEIGHT * (len(kinds) + 1) * len(pipelines))
    chart = layers.facet(
        alt.Facet("panel:N", sort=panels, title=None),
        columns=min(MAX_PANELS, len(panels)),
        data=alt.InlineData([*points, *seeds]),
    ).resolve_scale(x="independent")
    data = [
        {"target": point["panel"], "pipeline": point["pipeline"], "kind": point["kind"]}
        | {f"{key} (percentage points)": point[key] for key in ("lift", "low", "high")}
        | {f"seed {n} (percentage points)": lift for n, lift in enumerate(point["seeds"], 1)}
        for point in points
    ]
    most = max(data, key=len)
    return to_svg(
        chart,
        f"Lift of each intermediate task{' and its controls' if len(kinds) > 1 else ''}",
        [dict.fromkeys(most, "") | row for row in data],
    )
