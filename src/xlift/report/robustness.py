"""Tables of the effect of noise, for the terminal, Markdown, LaTeX, CSV, JSON and the page.

One table per target, with one line for each noise and pipeline. `kept` is in percent of the clean score, `against none` in
percentage points of that, both with half the width of the 95% interval.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xlift.analysis.estimates import ALL
from xlift.analysis.robustness import RobustnessRow
from xlift.report.csv_rows import rows_to_csv
from xlift.report.latex import latex_escape, latex_table
from xlift.report.tables import (
    HEADINGS,
    MARKS,
    PIPELINE_KEYS,
    SIGNS,
    STYLES,
    format_points,
    half_width,
    markdown_escape,
    markdown_row,
    to_percent,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

LEGEND = (
    "Percent. kept: score with noise divided by the same pipeline's score without, on the same examples and seeds. ± is half the "
    "interval. ▲▼: kept differs significantly from that of the pipeline without an intermediate task (5%, adjusted as lifts are). Both scores "
    "include chance, so a pipeline that guesses keeps 100%."
)
LANGUAGES = (
    " worst: the language with the lowest kept; taking the minimum of noisy values makes it look worse than it is. spread: standard "
    "deviation of kept over languages."
)


@dataclass(frozen=True)
class NoiseLine:
    words: tuple[str, ...]
    """The noise and the parts of the pipeline that vary."""
    numbers: tuple[str, ...]
    sign: int
    """Sign of the difference to the pipeline without an intermediate task; 0 if its interval includes zero."""
    best: bool
    """Whether it has the highest kept under this noise."""


@dataclass(frozen=True)
class NoiseTable:
    title: str
    words: tuple[str, ...]
    """Headings of the text columns."""
    numbers: tuple[str, ...]
    """Headings of the number columns; the third is `kept`."""
    lines: tuple[NoiseLine, ...]


KEPT, AGAINST = 2, 3
"""Indices of `kept` and `against none` among the number columns."""


def make_noise_tables(rows: Sequence[RobustnessRow], *, per_language: bool = False) -> list[NoiseTable]:
    """Make a table for each target, of means over languages or of every language."""
    several = {row.target for row in rows if len({r.metric for r in rows if r.target == row.target}) > 1}
    noise_tables = []
    for target, metric in dict.fromkeys((row.target, row.metric) for row in rows):
        of_target = [row for row in rows if (row.target, row.metric) == (target, metric)]
        alone = len({row.language for row in of_target} - {ALL}) == 1
        chosen = [row for row in of_target if (row.language != ALL) == (per_language or alone)]
        keys = [
            key for key in PIPELINE_KEYS if key == "intermediate" or len({getattr(r, key) for r in chosen} - {""}) > 1
        ]
        one_seed = {row.language for row in chosen} - {ALL}
        words = ("noise", *(HEADINGS[key] for key in keys), *(("language",) if one_seed else ()))
        over = () if one_seed else ("worst", "spread")
        noise_tables.append(
            NoiseTable(
                f"{target} {metric}" if target in several else target,
                words,
                ("clean", "noisy", "kept", "against none", *over),
                tuple(_line(row, keys, chosen, bool(one_seed)) for row in chosen),
            )
        )
    return noise_tables


def _line(row: RobustnessRow, keys: Sequence[str], among: Sequence[RobustnessRow], single: bool) -> NoiseLine:
    words = (row.noise, *(getattr(row, key) for key in keys), *((row.language,) if single else ()))
    rivals = [r.kept for r in among if (r.noise, r.language) == (row.noise, row.language) and r.kept is not None]
    numbers = [
        f"{to_percent(row.clean):.1f}",
        f"{to_percent(row.noisy):.1f}{MARKS.get(row.training_status, '')}",
        _kept(row),
        _gain(row),
    ]
    if not single:
        numbers.append(f"{row.worst_language} {to_percent(row.worst):.1f}" if row.worst is not None else "")
        numbers.append(f"{to_percent(row.spread):.1f}" if row.spread is not None else "")
    best = row.kept is not None and len(rivals) > 1 and to_percent(row.kept) == to_percent(max(rivals))
    return NoiseLine(words, tuple(numbers), row.sign, best)


def _kept(row: RobustnessRow) -> str:
    if row.kept is None:
        return ""
    doubt = "" if row.kept_low is None or row.kept_high is None else f" ±{half_width(row.kept_low, row.kept_high)}"
    return f"{to_percent(row.kept):.1f}{doubt}"


def _gain(row: RobustnessRow) -> str:
    if row.gain is None:
        return ""
    doubt = "" if row.gain_low is None or row.gain_high is None else f" ±{half_width(row.gain_low, row.gain_high)}"
    return f"{SIGNS[row.sign]}{format_points(row.gain)}{doubt}"


def legend(rows: Sequence[RobustnessRow]) -> str:
    """Explain the tables; '' without rows."""
    if not rows:
        return ""
    seeds = sorted({row.seeds for row in rows})
    means_last = sorted(rows, key=lambda row: row.language == ALL)
    parts = {
        (row.target, row.noise): (
            f" {row.target}, {row.noise}: both scores are over the {row.n:,} of {row.whole:,} examples that have a noisy version."
        )
        for row in means_last
        if row.n < row.whole
    }
    covered = (
        " Intervals cover examples only: there is one seed." if seeds == [1] else " Intervals cover seeds and examples."
    )
    languages = LANGUAGES if any(row.spread is not None for row in rows) else ""
    return LEGEND + languages + covered + "".join(parts.values())


@dataclass(frozen=True)
class TerminalNoiseTable:
    """The tables for a terminal: `console.print(TerminalNoiseTable(rows))`. Prints nothing without rows.

    The name of a noise is a line above its pipelines. The difference to the pipeline without an intermediate task is below `kept`.
    """

    rows: Sequence[RobustnessRow]
    per_language: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        for made in make_noise_tables(self.rows, per_language=self.per_language):
            yield Text(f"{made.title}, with noise", style="bold")
            table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
            for heading in made.words[1:]:
                table.add_column(heading, overflow="fold")
            numbers = [n for n in range(len(made.numbers)) if n != AGAINST]
            for number in numbers:
                table.add_column(made.numbers[number], justify="right", overflow="fold")
            noise = ""
            for line in made.lines:
                if line.words[0] != noise:
                    noise = line.words[0]
                    table.add_row(Text(noise, style="italic"))
                texts = [Text(line.numbers[n] or "–", style="bold" if n == KEPT and line.best else "") for n in numbers]
                if line.numbers[AGAINST]:
                    texts[KEPT].append("\n" + line.numbers[AGAINST], style=STYLES[line.sign])
                table.add_row(*(Text(word or "–") for word in line.words[1:]), *texts)
            yield table
        if self.rows:
            yield Text(legend(self.rows), style="dim")


def to_markdown(rows: Sequence[RobustnessRow], *, per_language: bool = False) -> str:
    """Return Markdown tables; '' without rows."""
    blocks = []
    for made in make_noise_tables(rows, per_language=per_language):
        lines = [markdown_row([*made.words, *made.numbers])]
        lines.append(markdown_row(["---"] * len(made.words) + ["---:"] * len(made.numbers)))
        for line in made.lines:
            numbers = [number or "–" for number in line.numbers]
            numbers[KEPT] = f"**{numbers[KEPT]}**" if line.best else numbers[KEPT]
            lines.append(markdown_row([*(markdown_escape(word) or "–" for word in line.words), *numbers]))
        blocks.append(f"### {markdown_escape(made.title)}, with noise\n\n" + "\n".join(lines))
    return "\n\n".join([*blocks, legend(rows)]) + "\n" if rows else ""


def to_latex(rows: Sequence[RobustnessRow], *, per_language: bool = False, label: str = "tab:robustness") -> str:
    """Return `table` environments for booktabs. The highest `kept` is bold; a difference whose interval excludes zero has a star."""
    noise_tables = make_noise_tables(rows, per_language=per_language)
    blocks = []
    for number, made in enumerate(noise_tables, start=1):
        lines = []
        for line in made.lines:
            cells = [latex_escape(text) or "--" for text in (*line.words, *line.numbers)]
            kept, against = len(line.words) + KEPT, len(line.words) + AGAINST
            cells[kept] = rf"\textbf{{{cells[kept]}}}" if line.best else cells[kept]
            cells[against] += "$^{*}$" if line.sign else ""
            lines.append(" & ".join(cells) + r" \\")
        about = f"{made.title}, with noise. {legend(rows)}".replace("▲▼", "Star")
        blocks.append(
            latex_table(made.words, made.numbers, lines, about, f"{label}-{number}" if len(noise_tables) > 1 else label)
        )
    return "\n\n".join(blocks) + "\n" if rows else ""


def to_csv(rows: Sequence[RobustnessRow]) -> str:
    """Return raw rows as CSV. An unknown value is an empty field."""
    return rows_to_csv(RobustnessRow, rows)


def to_json(rows: Sequence[RobustnessRow]) -> str:
    """Return raw rows as a JSON list."""
    return json.dumps([row.to_dict() for row in rows], indent=1, ensure_ascii=False) + "\n"


def for_page(rows: Sequence[RobustnessRow]) -> dict[str, Any]:
    """Return the content of the page's noise section: legend, tables, and the rows for its charts; {} without rows."""
    if not rows:
        return {}
    return {
        "legend": legend(rows),
        "tables": make_noise_tables(rows),
        "languages": make_noise_tables(rows, per_language=True),
        "rows": rows,
    }
