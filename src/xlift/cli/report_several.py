"""`xlift report A B`: several studies in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlift.cli.options import console, print_warnings
from xlift.cli.studies import open_results
from xlift.errors import UserError


def report_several(
    studies: Sequence[str],
    root: str,
    output: str,
    refused: Mapping[str, object],
    *,
    languages: bool,
    metrics: bool,
    borrow_variance: bool,
) -> None:
    """Print the lift tables of several studies as one. Every row is that of the study's own report.

    Args:
        output: '--json', '--csv', '--latex', '--markdown', or '' for the terminal.
        refused: options that are for one study -> their values.

    Raises:
        UserError: such an option is given, two studies have the same name, or none has results.
    """
    from xlift.report import tables
    from xlift.report.latex import to_latex
    from xlift.report.study import make_report
    from xlift.report.terminal_tables import TerminalTable

    if given := [name for name, value in refused.items() if value]:
        raise UserError(f"{given[0]} is for one study", where=given[0], fix="Name one study, or leave the option out.")
    reports = {}
    for study in studies:
        with open_results(study, root) as (record, opened):
            if record.name in reports:
                raise UserError(f"two of them are named '{record.name}'", where=study, fix="Name each study once.")
            report = make_report(record, opened, every_metric=metrics, borrow_variance=borrow_variance)
            reports[record.name] = report
        print_warnings([f"{record.name}: {warning}" for warning in report.info.warnings])
    rows = [row for report in reports.values() for row in report.rows]
    notes = [f"{name}: {note}" for name, report in reports.items() for note in report.info.notes]
    if output == "--json":
        print(tables.to_json(rows, [stage for report in reports.values() for stage in report.target_stages]))
    elif output == "--csv":
        print(tables.to_csv(rows), end="")
    elif not rows:
        raise UserError("none of the studies has results yet", fix=f"Run `xlift run {studies[0]}` first.")
    elif output:
        formatter = to_latex if output == "--latex" else tables.to_markdown
        print(formatter(rows, per_language=languages, notes=notes))
    else:
        console().print(TerminalTable(rows, per_language=languages, notes=notes))
