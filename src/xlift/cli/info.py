"""`xlift tasks`, `xlift models`, `xlift schema`, `xlift archipelago` and `xlift doctor`: show tasks, the form of a study, languages, the installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xlift.cli.options import DataFolderOption, JsonOption, console
from xlift.errors import UserError


def tasks(
    name: Annotated[str | None, typer.Argument(help="Show this task in full, with an example.")] = None,
    data: DataFolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tasks, or show one task in full."""
    from xlift.report import catalogue

    if name is None:
        catalogue.print_list(console(), as_json)
    else:
        catalogue.print_task(name, data, console(), as_json)


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model in full.")] = None,
    languages: Annotated[
        str | None,
        typer.Option("--languages", metavar="CODES", help="List the models that cover these languages: de,sw,th."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that have a profile, or those for some languages, or show one in full."""
    from xlift.report import model_coverage, model_list

    if languages is not None and name is not None:
        raise UserError(
            "--languages is for the list of models", where=f"xlift models {name}", fix="Leave out one of the two."
        )
    if languages is not None:
        model_coverage.print_coverage(languages, console(), as_json)
    elif name is None:
        model_list.print_list(console(), as_json)
    else:
        model_list.print_model(name, console(), as_json)


def schema() -> None:
    """Print the JSON schema of a study, for editors.

    `xlift schema > study.schema.json`, and in the first line of a study `# yaml-language-server: $schema=study.schema.json`.
    """
    from xlift.studies.json_schema import study_schema

    print(json.dumps(study_schema(), indent=2))


def archipelago(
    out: Annotated[Path, typer.Option("--out", help="Folder for the pages.")] = Path("archipelago"),
) -> None:
    """Write web pages about the generated languages.

    The pages show sound laws, paradigms and interlinear glosses.
    """
    from xlift.archipelago.pages import write_pages

    try:
        written = list(write_pages(out))
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=str(error.filename or out), fix="Name another folder."
        ) from None  # fmt: skip
    for path in written:
        print(path)


def doctor(
    data: DataFolderOption = None,
    counts: Annotated[bool, typer.Option("--counts", help="Read and count all rows on this machine.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show packages, the device and the data on this machine."""
    from xlift.report.doctor import examine, print_examination

    result = examine(data, counts)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print_examination(result, console())
