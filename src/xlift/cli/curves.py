"""`xlift curves`."""

from __future__ import annotations

from typing import Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, JsonOption, StoreOption, console
from xlift.cli.studies import open_results
from xlift.errors import UserError


def curves(
    study: Annotated[
        str, typer.Argument(help="A YAML file, the name of a study, or a bundle of results (a folder or a zip file).")
    ],
    store: StoreOption = DEFAULT_STORE,
    target: Annotated[str, typer.Option("--target", help="Target task.", show_default=False)] = "",
    model: Annotated[str, typer.Option("--model", help="The pretrained model.", show_default=False)] = "",
    intermediate: Annotated[
        str, typer.Option("--intermediate", help="Intermediate task, or none for the baseline.", show_default=False)
    ] = "",
    intermediate_language: Annotated[
        str, typer.Option("--intermediate-language", help="Language of the intermediate task.", show_default=False)
    ] = "",
    size: Annotated[str, typer.Option("--size", help="Size of the intermediate task.", show_default=False)] = "",
    train_language: Annotated[
        str, typer.Option("--train-language", help="Language that the target was trained in.", show_default=False)
    ] = "",
    seed: Annotated[str, typer.Option("--seed", help="Training seed.", show_default=False)] = "",
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
