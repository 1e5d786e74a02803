"""Heat maps of lifts: rows of the table by language, and transfer matrices (language trained on by language scored in)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from xlift.analysis.estimates import ALL, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow
from xlift.language_tags import has_language
from xlift.report.charts import DOWN, INK, UP, to_svg
from xlift.report.footer import SAME_TASK
from xlift.report.tables import format_points, make_language_tables

CELL_WIDTH, CELL_HEIGHT = 54, 28
LABEL_LINE = 14
"""Height of a further line of a column's label. Labels start at the padding and grow downwards."""
STRONGEST = 0.65
"""Opacity of the colour of the largest lift. Text in the page's colour has a contrast of 4.5 on it, on light and dark pages."""


class HeatMap(NamedTuple):
    title: str
    largest: float
    """The largest absolute lift: the end of its colour scale."""
    svg: str


def heat_maps(rows: Sequence[LiftRow]) -> dict[str, HeatMap]:
    """Target -> intermediates x languages, each cell the lift in percentage points. Targets without a lift have no map.

    The colour scale of each map is symmetric around zero. A cell whose lift differs from zero is strongly coloured and bold; other
    cells are pale.
    """
    maps = {}
    for table in make_language_tables(rows):
        lines: dict[str, dict[str, LiftRow]] = {}
        for pipeline, line in zip(table.pipelines, table.cells, strict=True):
            same_task = any(row and row.same_task for row in line)
            name = " · ".join(part for part in (*pipeline, SAME_TASK if same_task else "") if part)
            lines[name] = {code: row for code, row in zip(table.columns, line, strict=True) if row}
        about = f"Lift on {table.title}, in percentage points, by intermediate task and language"
        if drawn := _draw(table.title, about, "intermediate", lines, table.columns):
            maps[table.title] = drawn
    return maps


def transfer_matrices(rows: Sequence[LiftRow]) -> list[HeatMap]:
    """The lifts of each intermediate task that is trained in several languages, on each target: a row for each language that it is
    trained in, a column for each language that the target is scored in."""
    single = [row for row in rows if row.intermediate_language and row.target not in TARGET_MEANS and not row.control]
    found: dict[tuple[str, ...], list[LiftRow]] = {}
    for row in single:
        found.setdefault((row.target, row.intermediate, row.size, row.model, row.metric), []).append(row)
    several = {key: own for key, own in found.items() if len({row.intermediate_language for row in own}) > 1}
    matrices = []
    for key, own in several.items():
        # The parts of the name that tell this matrix from the others.
        target, intermediate, *others = key
        parts = [
            part
            for place, part in enumerate(others, 2)
            if part and len({each[place] for each in several if each[:2] == key[:2]}) > 1
        ]
        title = f"{' · '.join([intermediate, *parts])} → {target}"
        columns = list(dict.fromkeys(row.language for row in own if row.language not in (ALL, ZERO_SHOT)))
        columns = [code for code in (ZERO_SHOT, ALL) if any(row.language == code for row in own)][:1] + columns
        lines: dict[str, dict[str, LiftRow]] = {}
        for row in own:
            lines.setdefault(row.intermediate_language, {})[row.language] = row
        about = f"Lift of {title}, in percentage points, by language trained on and language scored in"
        if drawn := _draw(title, about, "trained", lines, columns):
            matrices.append(drawn)
    return matrices


def _draw(
    title: str, about: str, kind: str, lines: dict[str, dict[str, LiftRow]], columns: Sequence[str]
) -> HeatMap | None:
    """A row for each line that has a lift; None without lifts.

    Args:
        kind: name of the column with the names of the lines, in the data.
        columns: languages and means, as `lines` and tables name them.
    """
    cells: list[dict[str, Any]] = []
    for name, line in lines.items():
        for column in columns:
            row = line.get(column)
            if row and row.lift is not None and row.lift_low is not None and row.lift_high is not None:
                cells.append(
                    {
                        "line": name,
                        "language": column,
                        "lift": row.lift,
                        "text": format_points(row.lift),
                        "sure": row.sign != 0,
                        "same": kind == "trained" and has_language(name.split("+"), row.language),
                        "about": f"{name}, {column}: lift {format_points(row.lift)} percentage points, "
                        f"95% {format_points(row.lift_low)} to {format_points(row.lift_high)}",
                        "low": row.lift_low,
                        "high": row.lift_high,
                    }
                )
    if not cells:
        return None
    import altair as alt

    names = [name for name in lines if any(cell["line"] == name for cell in cells)]
    largest = max(abs(cell["lift"]) for cell in cells)
    # The reader's font may be wider than the one used to measure the drawing.
    margin = min(340, 16 + 8 * max(len(name) for name in names))
    base = alt.Chart(alt.InlineData(cells)).encode(
        x=alt.X(
            "language:N",
            sort=list(columns),
            title=None,
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                labelLimit=CELL_WIDTH,
                labelExpr="split(datum.label, ' ')",
                labelPadding=2 + LABEL_LINE * max(column.count(" ") for column in columns),
            ),
        ),
        y=alt.Y("line:N", sort=names, title=None, axis=alt.Axis(labelLimit=margin, minExtent=margin)),
    )
    bound = largest or 1.0
    ends = [f"rgba({DOWN}, {STRONGEST})", f"rgba({UP}, 0)", f"rgba({UP}, {STRONGEST})"]
    squares = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color("lift:Q", scale=alt.Scale(domain=[-bound, 0, bound], range=ends), legend=None),
        description="about:N",
        opacity=alt.condition("datum.sure", alt.value(1), alt.value(0.3)),
        stroke=alt.condition("datum.same", alt.value(INK), alt.value(None)),
    )
    text: dict[str, Any] = {"fontSize": 12, "color": INK, "aria": False}
    sure = base.transform_filter("datum.sure").mark_text(**text, fontWeight=700).encode(text="text:N")
    unsure = base.transform_filter("!datum.sure").mark_text(**text, opacity=0.8).encode(text="text:N")
    chart = alt.layer(squares, unsure, sure).properties(
        width=CELL_WIDTH * len(columns), height=CELL_HEIGHT * len(names)
    )
    data = [
        {kind: cell["line"], "language": cell["language"]}
        | {f"{name} (percentage points)": 100 * cell[name] for name in ("lift", "low", "high")}
        | {"significant": cell["sure"]}
        for cell in cells
    ]
    return HeatMap(title, largest, to_svg(chart, about, data))
