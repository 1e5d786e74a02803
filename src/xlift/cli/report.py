"""`xlift report`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import (
    DEFAULT_STORE,
    BorrowOption,
    JsonOption,
    StoreOption,
    check_data_folder,
    console,
    open_existing_store,
    print_warnings,
    write_page,
)
from xlift.cli.report_several import report_several
from xlift.cli.studies import open_results
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.tasks.task import Task


def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY...",
            help="A YAML file, the name of a study, or a bundle of results (a folder or a zip file). Several give one table.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    every: Annotated[
        bool,
        typer.Option("--all", help="With --html DIR: write a page for every study of the store, and an index of them."),
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report page, a single HTML file; with --all: the folder.")
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option("--pdf", help="Write the report page as PDF, with Chromium or Chrome if it is installed."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder of the data files: the page shows the texts of examples whose licence allows it."
        ),
    ] = None,
    paper: Annotated[
        Path | None, typer.Option("--paper", help="Write the report as a paper: a file ending in .md or .tex.")
    ] = None,
    claims: Annotated[
        str | None,
        typer.Option(
            "--claims",
            help="In the page and the paper, judge other claims: a file, or the name of one that ships with xlift.",
        ),
    ] = None,
    evidence: Annotated[
        list[Path] | None,
        typer.Option(
            "--evidence",
            help="A file of published results for the page and the paper, beside those that ship with xlift.",
        ),
    ] = None,
    as_json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table (booktabs).")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    languages: Annotated[bool, typer.Option("--languages", help="Show every language, not only means.")] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Show every metric of a task, not only the first.")
    ] = False,
    noise: Annotated[bool, typer.Option("--noise", help="Show only the effect of noise, in any format.")] = False,
    classes: Annotated[
        bool,
        typer.Option("--classes", help="Show only precision, recall and F1 of labels, and calibration, in any format."),
    ] = False,
    borrow_variance: BorrowOption = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="ROW ROW",
            help="Two rows for the page's table of differences; by default the best ones.",
        ),
    ] = None,
) -> None:
    """Print the lift table of a finished study.

    Reads only the store, or only the bundle. A second table shows the effect of noise if the study has noisy targets. JSON and CSV hold one
    table: lifts, noise with --noise, or labels with --classes.
    """
    from xlift.analysis.class_scores import class_rows
    from xlift.claims import read_claims
    from xlift.evidence.files import read_evidence
    from xlift.report import classes as class_tables
    from xlift.report import robustness, tables
    from xlift.report.latex import to_latex
    from xlift.report.paper.paper import check_paper_file, make_paper, write_paper
    from xlift.report.pdf import find_browser, print_page
    from xlift.report.study import make_report
    from xlift.report.study_page import make_page
    from xlift.report.terminal_tables import TerminalTable

    formats = {"--json": as_json, "--csv": csv, "--latex": latex, "--markdown": markdown}
    if len(requested := [name for name, is_requested in formats.items() if is_requested]) > 1:
        raise UserError(f"{' and '.join(requested)} exclude each other", fix="Give one output format at a time.")
    if every:
        refused = {
            "STUDY": studies, "--pdf": pdf, "--paper": paper, "--claims": claims, "--evidence": evidence, "--noise": noise,
            "--classes": classes, "--compare": compare, **formats, "--languages": languages,
        }  # fmt: skip
        return _report_all(store, html, refused, data, metrics=metrics, borrow_variance=borrow_variance)
    if not studies:
        raise UserError("no study is named", where="STUDY", fix="Name a study, or use --all with --html DIR.")
    if len(studies) > 1:
        output = requested[0] if requested else ""
        refused = {
            "--html": html, "--pdf": pdf, "--data": data, "--paper": paper, "--claims": claims, "--evidence": evidence, "--noise": noise,
            "--classes": classes, "--compare": compare,
        }  # fmt: skip
        return report_several(
            studies, store, output, refused, languages=languages, metrics=metrics, borrow_variance=borrow_variance
        )
    study = studies[0]
    if noise and classes:
        raise UserError("--noise and --classes exclude each other", fix="Give one of them at a time.")
    if paper:
        check_paper_file(paper)
    browser = find_browser() if pdf else ""
    if compare and not html and not pdf:
        fix = f"Give --html PAGE too, or run `xlift compare {study} {shlex.join(compare)}`."
        raise UserError("--compare is for the page", where="--compare", fix=fix)
    pairs = [compare] if compare else []
    claim_set = read_claims(claims, where="--claims") if claims else None
    published = read_evidence(evidence) if evidence else None
    with open_results(study, store) as (record, opened):
        study_report = make_report(
            record,
            opened,
            every_metric=metrics,
            borrow_variance=borrow_variance,
            claim_set=claim_set,
            evidence=published,
            compared=pairs,
        )
        by_class = []
        if classes:
            by_class = (
                class_rows(record, opened)
                if as_json or csv
                else class_tables.shown_rows(record, opened, study_report.rows)
            )
        page = ""
        document = make_paper(record, opened, study_report) if paper else None
        if html or pdf:
            tasks, folder = _find_texts(study, data)
            page = make_page(record, opened, study_report, document=document, tasks=tasks, data=folder)
    rows, noise_rows, notes = study_report.rows, study_report.noise_rows, study_report.info.notes
    print_warnings(study_report.info.warnings)
    if html:
        write_page(html, page)
        print(f"Wrote {html}", file=sys.stderr)
    if pdf:
        print_page(page, pdf, browser)
        print(f"Wrote {pdf}", file=sys.stderr)
    if paper and document:
        print(f"Wrote {', '.join(map(str, write_paper(document, paper)))}", file=sys.stderr)
    if noise and not noise_rows:
        raise UserError("the study has no scores with noise", fix="Add `noise:` to a target and run the study.")
    if classes:
        if not by_class:
            raise UserError(
                "the study has no scores of labels or choices yet",
                fix="Run a study with a target of classification or multiple choice.",
            )
        formatters = {"--json": class_tables.to_json, "--csv": class_tables.to_csv}
        formatters |= {"--latex": class_tables.to_latex, "--markdown": class_tables.to_markdown}
        if requested:
            print(formatters[requested[0]](by_class), end="")
        elif not html and not paper and not pdf:
            console().print(class_tables.TerminalClassTables(by_class))
    elif as_json:
        print(robustness.to_json(noise_rows) if noise else tables.to_json(rows, study_report.target_stages))
    elif csv:
        print(robustness.to_csv(noise_rows) if noise else tables.to_csv(rows), end="")
    elif not rows:
        print("There are no results yet.", file=sys.stderr)
    elif latex or markdown:
        format_lifts = to_latex if latex else tables.to_markdown
        format_noise = robustness.to_latex if latex else robustness.to_markdown
        parts = [
            "" if noise else format_lifts(rows, per_language=languages, notes=notes),
            format_noise(noise_rows, per_language=languages),
        ]
        print("\n".join(part for part in parts if part))
    elif not html and not paper and not pdf:
        if not noise:
            console().print(TerminalTable(rows, per_language=languages, notes=notes))
        console().print(robustness.TerminalNoiseTable(noise_rows, per_language=languages), end="")


def _report_all(
    root: str,
    folder: Path | None,
    refused: Mapping[str, object],
    data: Path | None,
    *,
    metrics: bool,
    borrow_variance: bool,
) -> None:
    """Write a page for every study of a store, and their index."""
    from xlift.report.page_index import write_pages

    if folder is None:
        raise UserError("--all writes pages and needs their folder", where="--all", fix="Add --html DIR.")
    if given := [name for name, value in refused.items() if value]:
        raise UserError(f"{given[0]} is for single studies", where="--all", fix="Leave one of the two out.")
    if folder.is_file():
        raise UserError("is a file", where=f"--html {folder}", fix="With --all, --html names a folder.")
    entries = write_pages(
        open_existing_store(root),
        folder,
        write_page,
        every_metric=metrics,
        borrow_variance=borrow_variance,
        data=check_data_folder(data),
    )
    print_warnings([f"{entry.name}: {entry.result}" for entry in entries if not entry.file])
    print(f"Wrote {folder / 'index.html'} and {sum(bool(entry.file) for entry in entries)} pages", file=sys.stderr)


def _find_texts(study: str, data: Path | None) -> tuple[dict[str, Task], Path | None]:
    """The custom tasks of a study's file and the folder of its data files, for the texts of examples. A study without a file, or
    whose files are not here, has none: its page has ids in place of texts."""
    from xlift.studies.resolver import Resolver
    from xlift.studies.study_file import read_study

    folder = check_data_folder(data)
    if Path(study).suffix not in (".yaml", ".yml") or not Path(study).is_file():
        return {}, folder
    try:
        resolver = Resolver(read_study(study), folder, to_run=False)
    except UserError:
        return {}, folder
    return resolver.custom_tasks, resolver.data
