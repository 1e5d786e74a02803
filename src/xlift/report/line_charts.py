"""Charts of lines: lifts over sizes, and scores kept over levels of noise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xlift.analysis.confounds import main_means
from xlift.analysis.estimates import ALL, BASELINE
from xlift.analysis.lift import LiftRow
from xlift.analysis.robustness import RobustnessRow
from xlift.report.charts import DASHES, INK, LINES, PANEL, shorten_name, to_svg
from xlift.report.footer import SAME_TASK
from xlift.report.tables import MEAN_COLUMNS, PIPELINE_KEYS, parse_size

NOISE_NAME = re.compile(r"(?P<kind>.+?) (?P<level>[0-9.e+-]+)%(?P<rest>.*)")
"""Name of a noise: its kind, its level, and further settings."""
MAX_INTERVAL_MARGIN = 25.0
"""Maximum percentage points by which an interval widens the axis: intervals over two seeds may be very wide."""


def learning_curves(rows: Sequence[LiftRow]) -> dict[str, str]:
    """Target -> SVG: lift over the number of intermediate examples, one line per language of the intermediate. Lifts are means
    over languages (`main_means`).

    Draws only numeric sizes ('full' has no place on the axis) and only intermediates with two or more sizes.
    """
    sizes: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        sizes.setdefault((row.model, row.intermediate, row.intermediate_language), set()).add(row.size)
    points: dict[str, list[dict[str, Any]]] = {}
    for row in main_means(rows):
        size = parse_size(row.size)
        if row.intermediate == BASELINE or size is None or row.lift is None:
            continue
        if len(sizes[row.model, row.intermediate, row.intermediate_language]) < 2:
            continue
        points.setdefault(MEAN_COLUMNS.get(row.target, row.target), []).append(
            {
                "size": size,
                "intermediate": row.intermediate + (f" ({SAME_TASK})" if row.same_task else ""),
                "model": row.model,
                "language": row.intermediate_language,
                "lift": 100 * row.lift,
                "low": 100 * (row.lift_low or 0),
                "high": 100 * (row.lift_high or 0),
            }
        )
    means = list(MEAN_COLUMNS.values())
    names = sorted(points, key=lambda name: means.index(name) if name in means else len(means))
    return {name: _curves(name, points[name]) for name in names}


def _curves(target: str, points: list[dict[str, Any]]) -> str:
    import altair as alt

    several = len({point["model"] for point in points}) > 1
    for point in points:
        point["panel"] = f"{point['model']} · {point['intermediate']}" if several else point["intermediate"]
    sizes = sorted({point["size"] for point in points})
    languages = list(dict.fromkeys(point["language"] for point in points))
    legend = alt.Legend(orient="top", symbolOpacity=1, symbolType="circle") if len(languages) > 1 else None
    base = alt.Chart().encode(
        x=alt.X(
            "size:Q",
            scale=alt.Scale(type="log", domain=[sizes[0], sizes[-1]]),
            title="intermediate examples",
            axis=alt.Axis(values=sizes, format="~s", grid=False),
        ),
        color=alt.Color(
            "language:N",
            sort=languages,
            scale=alt.Scale(domain=languages, range=list(LINES)),
            title="from",
            legend=legend,
        ),
    )
    y = alt.Y("lift:Q", title="lift (percentage points)", axis=alt.Axis(tickCount=5, gridOpacity=0.15, gridColor=INK))
    layers = alt.layer(
        alt.Chart().mark_rule(color=INK, opacity=0.5, strokeDash=[3, 3]).encode(y=alt.datum(0)),
        base.mark_area(opacity=0.16).encode(y=alt.Y("low:Q", title="lift (percentage points)"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y),
    ).properties(**PANEL)
    panels = list(dict.fromkeys(point["panel"] for point in points))
    chart = layers.facet(
        alt.Facet("panel:N", sort=panels, title=None), columns=min(3, len(panels)), data=alt.InlineData(points)
    )
    keys = {"model": "model", "intermediate": "intermediate", "language": "from", "size": "examples"}
    data = [
        {name: point[key] for key, name in keys.items()}
        | {f"{key} (percentage points)": point[key] for key in ("lift", "low", "high")}
        for point in points
    ]
    return to_svg(chart, f"Lift on {target} by number of intermediate examples", data)


@dataclass(frozen=True)
class LineStyle:
    """Colour and dash pattern of a pipeline in all noise charts."""

    name: str
    colour: str
    dash: tuple[int, int]


@dataclass(frozen=True)
class NoiseChart:
    target: str
    kind: str
    """Kind of noise ('typos'), with its dictionary or seed if it has one."""
    svg: str


def noise_curves(rows: Sequence[RobustnessRow]) -> tuple[list[LineStyle], list[NoiseChart]]:
    """Draw the share of the clean score that is kept over the level of noise, as means over languages or for the only language.

    There is a chart for every target, metric and kind of noise with two or more levels. Lines start at level 0 with 100%.
    Returns the line styles of the pipelines, and the charts.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    keys = [
        key for key in PIPELINE_KEYS if key == "intermediate" or len({getattr(row, key) for row in rows} - {""}) > 1
    ]
    measured = {target: {row.metric for row in rows if row.target == target} for target in {row.target for row in rows}}
    means = {(row.target, row.metric, row.noise) for row in rows if row.language == ALL}
    for row in rows:
        named = NOISE_NAME.fullmatch(row.noise)
        if named is None or row.kept is None or (row.language != ALL and (row.target, row.metric, row.noise) in means):
            continue
        target = f"{row.target} {row.metric}" if len(measured[row.target]) > 1 else row.target
        kind = named["kind"] + named["rest"]
        found.setdefault((target, kind), []).append(
            {
                "pipeline": shorten_name(" · ".join(part for key in keys if (part := str(getattr(row, key))))),
                "level": float(named["level"]),
                "kept": 100 * row.kept,
                "low": None if row.kept_low is None else 100 * row.kept_low,
                "high": None if row.kept_high is None else 100 * row.kept_high,
            }
        )
    several = {key: points for key, points in found.items() if len({point["level"] for point in points}) > 1}
    pipelines = list(dict.fromkeys(point["pipeline"] for points in several.values() for point in points))
    lines = [
        LineStyle(name, LINES[n % len(LINES)], DASHES[n // len(LINES) % len(DASHES)])
        for n, name in enumerate(pipelines)
    ]
    return lines, [
        NoiseChart(target, kind, _kept_over_level(target, kind, lines, points))
        for (target, kind), points in several.items()
    ]


def _kept_over_level(target: str, kind: str, lines: Sequence[LineStyle], points: Sequence[dict[str, Any]]) -> str:
    import altair as alt

    levels = sorted({point["level"] for point in points})
    chart_lines = [line for line in lines if any(point["pipeline"] == line.name for point in points)]
    offsets = dict(zip((line.name for line in chart_lines), _point_offsets(levels, len(chart_lines)), strict=True))
    reach = _kept_axis_range(points)
    measured = [{**point, "x": point["level"] + offsets[point["pipeline"]]} for point in points]
    start = [{"pipeline": line.name, "x": 0.0, "kept": 100.0} for line in chart_lines]
    # Clipped here because clip paths in SVG need ids, which would collide between the drawings of a page.
    sure = [
        {**point, "low": max(point["low"], reach[0]), "high": min(point["high"], reach[1])}
        for point in measured
        if point["low"] is not None and point["high"] is not None
    ]
    names = [line.name for line in chart_lines]
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[0, 1.02 * levels[-1] + max(offsets.values())], nice=False),
        title="words changed (%)",
        axis=alt.Axis(values=[0, *levels], format="~r", grid=False, labelOverlap=True, labelFlush=False),
    )
    y = alt.Y(
        "kept:Q",
        title="kept (%)",
        scale=alt.Scale(domain=reach, nice=True, zero=False),
        axis=alt.Axis(tickCount=5, gridOpacity=0.15, gridColor=INK),
    )
    color = alt.Color(
        "pipeline:N", scale=alt.Scale(domain=names, range=[line.colour for line in chart_lines]), legend=None
    )
    dash = alt.StrokeDash(
        "pipeline:N", scale=alt.Scale(domain=names, range=[list(line.dash) for line in chart_lines]), legend=None
    )
    chart = alt.layer(
        alt.Chart(alt.InlineData([{}])).mark_rule(color=INK, opacity=0.5, strokeDash=[3, 3]).encode(y=alt.datum(100)),
        alt.Chart(alt.InlineData([*start, *measured]))
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y, color=color, strokeDash=dash),
        alt.Chart(alt.InlineData(sure))
        .mark_rule(strokeWidth=1.5, opacity=0.55)
        .encode(x=x, y=alt.Y("low:Q", title="kept (%)"), y2="high:Q", color=color),
        alt.Chart(alt.InlineData(measured)).mark_point(filled=True, size=45, opacity=1).encode(x=x, y=y, color=color),
    ).properties(**PANEL)
    return to_svg(
        chart,
        f"Share of the clean score on {target} that is kept, in percent, by the level of {kind}",
        [{"pipeline": point["pipeline"], "words changed (%)": point["level"]}
         | {f"{key} (%)": point[key] for key in ("kept", "low", "high")} for point in points],
    )  # fmt: skip


def _point_offsets(levels: Sequence[float], pipelines: int) -> list[float]:
    """Return the horizontal offset of the points of each pipeline, so that no interval hides another one."""
    gap = min(after - before for before, after in zip([0.0, *levels], levels, strict=False))
    step = min(levels[-1] * 6 / PANEL["width"], 0.5 * gap / pipelines)
    return [step * (n - (pipelines - 1) / 2) for n in range(pipelines)]


def _kept_axis_range(points: Sequence[dict[str, Any]]) -> list[float]:
    """Return the range of the axis: all points, and intervals up to `MAX_INTERVAL_MARGIN` beyond them."""
    kept = [100.0, *(point["kept"] for point in points)]
    low, high = min(kept), max(kept)
    lows = [point["low"] for point in points if point["low"] is not None]
    highs = [point["high"] for point in points if point["high"] is not None]
    return [
        max(low - MAX_INTERVAL_MARGIN, min([low, *lows])),
        min(high + MAX_INTERVAL_MARGIN, max([high, *highs])),
    ]
