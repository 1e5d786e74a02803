"""The results of a paper: the lift tables with means, the effect of noise, and charts where they exist."""

from __future__ import annotations

from collections.abc import Sequence

from xlift.analysis.lift import LiftRow
from xlift.analysis.robustness import RobustnessRow
from xlift.report.footer import footer
from xlift.report.heat_maps import heat_maps
from xlift.report.line_charts import learning_curves
from xlift.report.page import summarize_lifts
from xlift.report.paper.document import Block, Break, Figure, Paragraph, Piece, Section, Strong, Table, Text
from xlift.report.robustness import AGAINST, KEPT, legend, make_noise_tables
from xlift.report.tables import (
    HEADINGS,
    LEGEND,
    ScoreTable,
    format_lift,
    format_minus_control,
    format_same_task,
    format_score,
    make_language_tables,
    make_overview_tables,
)


def results_section(
    rows: Sequence[LiftRow], noise_rows: Sequence[RobustnessRow], notes: Sequence[str]
) -> list[Section]:
    """The section with the means, and its part on noise if there is any."""
    if not rows:
        return [Section("Results", [Paragraph("There are no results yet.")])]
    blocks: list[Block] = [Paragraph(summarize_lifts(rows)), Paragraph(f"{LEGEND} {footer(rows, notes)}")]
    for table in make_overview_tables(rows):
        mean = f", {table.title[0].lower()}{table.title[1:]}" if table.title else ""
        blocks.append(_score_table(table, f"Scores and lifts{mean}"))
    curves = learning_curves(rows)
    for number, (name, svg) in enumerate(curves.items(), 1):
        caption = (
            f"Lift on {name} by number of intermediate training examples, mean over languages. Bands are 95% intervals."
        )
        blocks.append(Figure(f"curve-{number}", caption, svg))
    sections = [Section("Results", blocks)]
    if noise_rows:
        tables = [
            Table(
                f"{made.title}, with noise",
                [*made.words, *made.numbers],
                [
                    [*line.words, *(_noise_cell(text, n, line.best) for n, text in enumerate(line.numbers))]
                    for line in made.lines
                ],
                len(made.numbers),
            )
            for made in make_noise_tables(noise_rows)
        ]
        sections.append(Section("Effect of noise", [Paragraph(legend(noise_rows)), *tables], 2))
    return sections


def language_section(rows: Sequence[LiftRow]) -> list[Section]:
    """The appendix: a table and a heat map for each target with several languages."""
    maps = heat_maps(rows)
    blocks: list[Block] = []
    for number, table in enumerate(make_language_tables(rows), 1):
        if len(table.columns) < 2:
            continue
        blocks.append(_score_table(table, f"Scores and lifts on {table.title}, by language"))
        if table.title in maps:
            caption = f"Lift on {table.title} in percentage points. Strong colour and bold: it differs significantly from zero; pale: it does not."
            blocks.append(Figure(f"map-{number}", caption, maps[table.title].svg))
    return [Section("Results by language", blocks)] if blocks else []


def _score_table(table: ScoreTable, caption: str) -> Table:
    rows: list[list[Text]] = []
    for pipeline, line in zip(table.pipelines, table.cells, strict=True):
        rows.append([*(part or "–" for part in pipeline), *(_score_cell(row) if row else "–" for row in line)])
    for names, scores in table.guess_lines():
        rows.append([*names, *scores])
    return Table(f"{caption}.", [*(HEADINGS[key] for key in table.keys), *table.columns], rows, len(table.columns))


def _score_cell(row: LiftRow) -> Text:
    score = format_score(row)
    pieces: list[Piece] = [Strong(score) if row.in_best_set else score]
    for below in (format_lift(row), format_minus_control(row), format_same_task(row)):
        if below:
            pieces += [Break(), below]
    return tuple(pieces)


def _noise_cell(text: str, column: int, best: bool) -> Text:
    if column == KEPT and best:
        return (Strong(text),)
    return text or "–" if column != AGAINST else text or ""
