"""What all charts of a report share: colours, names that fit, and the drawing of a chart as static SVG with its data.

One drawing serves light and dark pages: text is `currentColor`, and a cell's colour fades to transparent at zero.
The SVG needs no script, font file or network.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xlift.analysis.lift import LiftRow
from xlift.report.csv_rows import iterate_csv

if TYPE_CHECKING:
    import altair

UP, DOWN = "27, 120, 200", "217, 95, 14"
"""RGB of gains and losses. Blue and orange differ in every kind of colour vision."""
LINES = ("#2b7bba", "#d9730d", "#3f9b5c", "#b04a8f", "#8a7ad0", "#b58900", "#c0504d", "#4aa3a2")
"""Colours of lines, of medium lightness, visible on white and on black."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
INK = "#010203"
"""Placeholder for the page's text colour while the chart is drawn."""
MAX_NAME = 60
"""Characters of a name in a chart."""
PANEL = {"width": 185, "height": 140}
DASHES = ((1, 0), (5, 3), (2, 2))
"""Dash patterns of lines. When all colours are used, the next pattern starts with the first colour."""


def shorten_name(name: str) -> str:
    """A name that fits into a chart: a longer one ends with four digits of its hash, so that it stays another one."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 5]}…{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def shorten_names(rows: Iterable[LiftRow]) -> list[LiftRow]:
    """The rows with names that fit into a chart."""
    names = ("model", "intermediate", "intermediate_language", "size", "target", "metric", "language", "control_of")
    return [replace(row, **{name: shorten_name(getattr(row, name)) for name in names}) for row in rows]


def to_svg(chart: altair.LayerChart | altair.FacetChart, description: str, data: Sequence[dict[str, Any]] = ()) -> str:
    """Render without network, with the page's text colour and an accessible name.

    Args:
        data: what is drawn, for readers: rows with the same keys. They go to the attribute `data-csv`.
    """
    import vl_convert

    # The drawing has no element ids, so a page can hold several.
    styled = (
        chart.configure(font=FONT, background="rgba(0,0,0,0)")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            domain=False,
            ticks=False,
            labelPadding=6,
        )
        .configure_header(labelColor=INK, labelFontSize=12)
        .configure_legend(labelColor=INK, titleColor=INK, labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
    )
    svg = vl_convert.vegalite_to_svg(styled.to_json(), allowed_base_urls=[])
    svg = svg.replace(INK, "currentColor")
    # Groups of marks have a role but no name, which the accessibility rules for images forbid.
    svg = re.sub(r' role="graphics-\w+" aria-roledescription="[^"]* container"', "", svg)
    attributes = f'role="img" aria-label="{html.escape(description)}"'
    if data:
        attributes += f' data-csv="{html.escape(_to_csv(data))}"'
    return svg.replace("<svg ", f"<svg {attributes} ", 1)


def _to_csv(data: Sequence[dict[str, Any]]) -> str:
    rounded = [[float(f"{value:.6g}") if isinstance(value, float) else value for value in row.values()] for row in data]
    return "".join(iterate_csv(list(data[0]), rounded))


def on_white(svg: str) -> str:
    """The drawing in dark ink on white, so that it can be read on a page of any colour."""
    start, _, rest = svg.replace("currentColor", "#1d1d1b").partition(">")
    return f'{start}><rect width="100%" height="100%" fill="#ffffff"/>{rest}'
