"""`xlift compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, BorrowOption, JsonOption, StoreOption, console
from xlift.cli.studies import open_results
from xlift.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xlift.analysis.contrasts import Contrast
    from xlift.analysis.estimates import PipelineKey, ScoredCell


def compare(
    study: Annotated[
        str, typer.Argument(help="A YAML file, the name of a study, or a bundle of results (a folder or a zip file).")
    ],
    rows: Annotated[
        list[str],
        typer.Argument(help="Two rows of the table, such as `none mnli` or `mnli,en mnli,zh`; one with --trend."),
    ],
    store: StoreOption = DEFAULT_STORE,
    languages: Annotated[bool, typer.Option("--languages", help="Show every language, not only means.")] = False,
    margin: Annotated[
        float | None,
        typer.Option("--margin", min=0.0, help="Test whether the rows are equal within this many percentage points."),
    ] = None,
    trend: Annotated[bool, typer.Option("--trend", help="Show the change of one row per tenfold size.")] = False,
    interaction: Annotated[
        str | None,
        typer.Option(
            "--interaction",
            metavar="GROUPS",
            help="Compare the difference between two groups of languages, `languages=sw,ur/de,fr` or `languages=low/high`, or with "
            "noise and without, `noise=typos 10%`.",
        ),
    ] = None,
    borrow_variance: BorrowOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two rows of a study on every target: their difference with its interval, paired by seed and example.

    A row is named by its intermediate, language, size and model, as many of them as needed, with commas between.
    """
    from xlift.analysis.borrowed import borrow_tables, describe_loans, find_lenders
    from xlift.analysis.contrasts import compare_rows, find_row, find_rows, trend_over_sizes
    from xlift.analysis.scores import load_cells
    from xlift.report.contrasts import contrast_note, contrast_table, interaction_note, interaction_table

    if len(rows) != (1 if trend else 2):
        raise UserError(
            f"{len(rows)} row{'s' * (len(rows) != 1)} given",
            fix="give one row with --trend, and two rows without: `xlift compare STUDY ROW ROW`.",
        )
    others = {
        "--trend": trend,
        "--margin": margin is not None,
        "--languages": languages,
        "--borrow-variance": borrow_variance,
    }
    if interaction and (given := [name for name, is_given in others.items() if is_given]):
        raise UserError(f"--interaction and {given[0]} exclude each other", fix=f"leave {given[0]} out.")
    with open_results(study, store) as (record, opened):
        cells, _ = load_cells(record, opened)
        lent = borrow_tables(find_lenders(record, opened), cells, opened) if borrow_variance else {}
    if not cells:
        raise UserError("there are no results yet", fix=f"run `xlift run {study}`.")
    fraction = None if margin is None else margin / 100
    if trend:
        contrasts = trend_over_sizes(cells, find_rows(cells, rows[0]), record.name, lent)
    else:
        first, second = (find_row(cells, row) for row in rows)
        if interaction:
            contrasts = _interaction(cells, first, second, interaction, record.name, record.languages)
        else:
            contrasts = compare_rows(cells, first, second, record.name, fraction, lent)
    if as_json:
        print(json.dumps([contrast.to_dict() for contrast in contrasts], indent=1, ensure_ascii=False))
        return
    terminal = console()
    if interaction:
        made, note = interaction_table(contrasts, terminal.width), interaction_note(contrasts)
    else:
        made = contrast_table(contrasts, languages=languages, margin=fraction, trend=trend, width=terminal.width)
        note = " ".join([contrast_note(contrasts, margin=fraction, trend=trend), *describe_loans(lent)])
    terminal.print(made)
    terminal.print(note, style="dim", markup=False, highlight=False)


def _interaction(
    cells: Sequence[ScoredCell],
    first: PipelineKey,
    second: PipelineKey,
    text: str,
    study: str,
    languages: Sequence[Mapping[str, str]],
) -> list[Contrast]:
    """The interaction that `--interaction` names."""
    from xlift.analysis.interactions import compare_groups, compare_noise, find_languages

    kind, _, value = (part.strip() for part in text.partition("="))
    if kind == "noise" and value:
        return compare_noise(cells, first, second, value, study)
    groups = value.split("/")
    if kind != "languages" or len(groups) != 2:
        raise UserError(
            f"'{text}' names no interaction", where="--interaction",
            fix="write `languages=GROUP/GROUP`, such as `languages=sw,ur/de,fr`, or `noise=NAME`, such as `noise=typos 10%`.",
        )  # fmt: skip
    one, other = (find_languages(group, languages) for group in groups)
    return compare_groups(cells, first, second, (one, other), study)
