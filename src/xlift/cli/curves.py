"""`xlift curves`."""

from __future__ import annotations

from typing import Annotated

import typer

from xlift.cli.options import (
    DEFAULT_STORE,
    IntermediateLanguageOption,
    IntermediateOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SizeOption,
    StoreOption,
    TrainLanguageOption,
    console,
)
from xlift.cli.studies import open_results
from xlift.errors import UserError


def curves(
    study: Annotated[
        str, typer.Argument(help="A YAML file, the name of a study, or a bundle of results (a folder or a zip file).")
    ],
    store: StoreOption = DEFAULT_STORE,
    target: Annotated[str, typer.Option("--target", help="Target task.", show_default=False)] = "",
    model: ModelOption = "",
    intermediate: IntermediateOption = "",
    intermediate_language: IntermediateLanguageOption = "",
    size: SizeOption = "",
    train_language: TrainLanguageOption = "",
    seed: SeedOption = "",
    as_json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show training loss and dev score by step of the stages behind some pipelines.

    The options select pipelines, with the values that `xlift report --json` prints. A few stages are plotted; more are listed in a table.
    """
    from xlift.analysis.curves import read_curves
    from xlift.report.curves import print_curves, to_csv, to_json

    if as_json and csv:
        raise UserError("--json and --csv exclude each other", fix="Give one output format at a time.")
    options = {
        "target": target, "model": model, "intermediate": intermediate, "intermediate_language": intermediate_language,
        "size": size, "train_language": train_language, "seed": seed,
    }  # fmt: skip
    with open_results(study, store) as (record, opened):
        found = read_curves(record, opened, {name: value for name, value in options.items() if value})
    if as_json or csv:
        print(to_json(found) if as_json else to_csv(found), end="")
    else:
        print_curves(found, console())
