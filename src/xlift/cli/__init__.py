"""The command line: parse options, call the library, print. Slow imports are inside the commands."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from xlift.cli import (
    claims,
    compare,
    contamination,
    convert,
    curves,
    evidence,
    export,
    fetch,
    info,
    predict,
    pretrain,
    push,
    report,
    scores,
    store,
    studies,
    suites,
    translate,
)
from xlift.cli.options import print_warnings
from xlift.errors import UserError

app = typer.Typer(
    help="Measure and plan lift: how much an intermediate task helps languages without labelled data.",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip


def main() -> None:
    """Run the command line. A `UserError` prints its message, or the messages of several errors, and exits with code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # so that a terminal without Unicode does not stop the command
    try:
        app()
    except UserError as error:
        for single in error.errors:
            print(f"xlift: {single}", file=sys.stderr)
        print_warnings(error.warnings)
        sys.exit(2)


def _print_version(requested: bool) -> None:
    if requested:
        from xlift.version import __version__

        print(f"xlift {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None: ...


for command in (
    studies.run,
    studies.plan,
    report.report,
    scores.scores,
    compare.compare,
    curves.curves,
    claims.claims,
    info.tasks,
    info.models,
    fetch.fetch,
    pretrain.pretrain,
    convert.convert,
    suites.score,
    suites.submit,
    export.export,
    predict.predict,
    push.push,
    translate.translate,
    contamination.contamination,
    info.schema,
    info.archipelago,
    info.doctor,
):
    app.command()(command)
app.add_typer(store.app, name="store")
app.add_typer(evidence.app, name="evidence")
