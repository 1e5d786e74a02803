"""`xlift scores`: the scores of seeds and the predictions of examples, as tables, files and SQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, StoreOption, console, open_existing_store, print_warnings
from xlift.cli.studies import open_results
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.analysis.results import Results


def scores(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY]...",
            help="Studies: a YAML file, the name of a study, or a bundle of results. None for all of the store.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Give the prediction of every example instead; with a format.")
    ] = False,
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            metavar="QUERY",
            help="Run an SQL query (DuckDB) over the tables scores, lifts and predictions.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --predictions one JSON object per line.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write a Parquet file.", show_default=False)
    ] = None,
    every_eval_ever: Annotated[
        Path | None,
        typer.Option(
            "--every-eval-ever",
            metavar="DIR",
            help="Write scores and predictions of one study to a new folder, in the schema of Every Eval Ever.",
            show_default=False,
        ),
    ] = None,
    organization: Annotated[
        str, typer.Option("--organization", help="Who made the results, for --every-eval-ever.")
    ] = "unknown",
    means: Annotated[
        bool, typer.Option("--means", help="Also give the means over languages and targets, seed by seed.")
    ] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Give every metric of a task, not only the first.")
    ] = False,
) -> None:
    """Print the score of every seed, or the prediction of every example, of one or more studies.

    Reads only the store, or only the bundles.
    """
    from xlift.analysis.example_predictions import ExamplePrediction
    from xlift.analysis.result_tables import make_prediction_tables, make_schema
    from xlift.report import score_table

    formats = {"--json": as_json, "--csv": csv, "--parquet": parquet is not None}
    formats["--every-eval-ever"] = every_eval_ever is not None
    if len(requested := [name for name, is_requested in formats.items() if is_requested]) > 1:
        raise UserError(f"{' and '.join(requested)} exclude each other", fix="Give one output format at a time.")
    if every_eval_ever and (predictions or sql is not None or means or metrics or len(studies or []) != 1):
        raise UserError(
            "--every-eval-ever writes the scores and predictions of one study",
            fix="Name one study, and leave out --predictions, --sql, --means and --metrics.",
        )
    if predictions and sql is not None:
        raise UserError("--predictions and --sql exclude each other", fix="Write --sql 'select * from predictions'.")
    if predictions and not requested:
        raise UserError("--predictions needs a format", fix="Add --json, --csv or --parquet FILE.")
    if means and (predictions or sql is not None):
        raise UserError(
            "--means is for scores", fix="Leave it out; --sql has the table lifts, with the means of reports."
        )
    if every_eval_ever and studies:
        return _export(studies[0], store, every_eval_ever, organization)
    with open_all(studies or [], store) as results:
        if predictions:
            rows = results.iterate_predictions()
            if parquet:
                return _write(parquet, make_schema(ExamplePrediction), make_prediction_tables(rows))
            return _print(
                score_table.iterate_prediction_csv(rows) if csv else score_table.iterate_prediction_json(rows)
            )
        if sql is not None:
            table = results.query(sql, every_metric=metrics)
        else:
            table = results.score_table(every_metric=metrics, means=means)
        if parquet:
            _write(parquet, table.schema, [table])
        elif as_json:
            _print([score_table.to_json(table)])
        elif csv:
            _print(score_table.iterate_table_csv(table))
        elif sql is not None:
            console().print(score_table.TerminalTable(table))
        elif not table.num_rows:
            print("There are no results yet.", file=sys.stderr)
        else:
            console().print(score_table.TerminalScoreTable(table.to_pylist()))


@contextmanager
def open_all(studies: Sequence[str], root: str) -> Iterator[Results]:
    """The results of some studies and bundles, or of all studies of the store.

    Raises:
        UserError: two of them have the same name.
    """
    from xlift.analysis.results import Results
    from xlift.studies.record import list_studies

    with ExitStack() as stack:
        if not studies:
            opened = open_existing_store(root)
            yield Results(dict.fromkeys(list_studies(opened), opened))
            return
        stores = {}
        for study in studies:
            record, opened = stack.enter_context(open_results(study, root))
            if record.name in stores:
                raise UserError(
                    f"two of them are named '{record.name}'",
                    where=study,
                    fix=f"Rename one: `xlift store merge {study} --rename {record.name}=NAME`.",
                )
            stores[record.name] = opened
        yield Results(stores)


def _export(study: str, root: str, folder: Path, organization: str) -> None:
    import time

    from xlift.report.every_eval_ever import export_results

    with open_results(study, root) as (record, opened):
        exported = export_results(record, opened, folder, organization, int(time.time()))
    print(f"Wrote {folder}: {exported.models:,} models, {exported.samples:,} predictions", file=sys.stderr)
    if exported.left_out:
        print_warnings([
            f"{exported.left_out:,} predictions are left out: they are neither right nor wrong, and their metric scores no single example."
        ])  # fmt: skip


def _print(lines: Iterable[str]) -> None:
    try:
        for line in lines:
            sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, schema, tables) -> None:
    from xlift.report.score_table import write_parquet

    count = write_parquet(path, schema, tables)
    print(f"Wrote {path}: {count:,} row{'s' * (count != 1)}", file=sys.stderr)
