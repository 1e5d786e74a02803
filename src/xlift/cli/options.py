"""Options and helpers that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xlift.errors import UserError, make_printable

if TYPE_CHECKING:
    from xlift.studies.store import Store

StudyArgument = Annotated[str, typer.Argument(help="A YAML file or the name of a shipped study, such as quickstart.")]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="STORE",
        help="Where the artifacts of all jobs are: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.",
        envvar="XLIFT_STORE",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder of the data files (default: `data:` of the study's file).", envvar="XLIFT_DATA"
    ),
]
DataFolderOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the data files.", envvar="XLIFT_DATA", show_default=False)
]
"""For commands without a study."""
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a key of the study: seeds=[1,2,3], training.lr=0.001, targets.0.size=100."),
]
BorrowOption = Annotated[
    bool,
    typer.Option(
        "--borrow-variance",
        help="With one or two seeds, use the variance between seeds of other studies with the same model, target and training.",
    ),
]


def _use_one_blas_thread(workers: int | None) -> int | None:
    """Set the environment of jobs that run in this process, before a command imports NumPy."""
    if workers == 0:
        from xlift.recipes import BLAS_THREADS

        os.environ.update(BLAS_THREADS)
    return workers


WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        callback=_use_one_blas_thread,
        help="Number of worker processes (default: one per GPU, or without GPUs one per processor). 0 runs the jobs in this process.",
    ),
]
ModelOption = Annotated[str, typer.Option("--model", help="The pretrained model.", show_default=False)]
IntermediateOption = Annotated[
    str, typer.Option("--intermediate", help="Intermediate task, or none for the baseline.", show_default=False)
]
IntermediateLanguageOption = Annotated[
    str, typer.Option("--intermediate-language", help="Language of the intermediate task.", show_default=False)
]
SizeOption = Annotated[str, typer.Option("--size", help="Size of the intermediate task.", show_default=False)]
TrainLanguageOption = Annotated[
    str, typer.Option("--train-language", help="Language that the target was trained in.", show_default=False)
]
SeedOption = Annotated[str, typer.Option("--seed", help="Training seed.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_STORE = "xlift-store"


def console(stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def print_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"xlift: warning: {make_printable(warning)}", file=sys.stderr)


def print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"xlift: {make_printable(note)}", file=sys.stderr)


def write_page(path: Path, text: str) -> None:
    """Write the report page. Raises UserError where the disk refuses it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the page: {error.strerror}", where=str(path), fix="Name another file.") from None


def check_data_folder(folder: Path | None) -> Path | None:
    """Return the value of --data. Raises UserError if it is not a folder, since a typing error would look like missing files."""
    if folder is not None and not folder.is_dir():
        raise UserError(
            "no such folder",
            where=f"--data {folder}",
            fix="Name the folder of the data files. `isle-*` tasks need no data.",
        )
    return folder


def parse_language(code: str, option: str, listed: Collection[str] = ()) -> str:
    """Return the usual code of a language, which xlift or `listed` knows. Raises UserError for any other code."""
    from xlift.language_tags import find_language, study_code
    from xlift.tasks import catalog

    code = code.strip()
    if code in listed or code in catalog.all_languages():
        return code
    if find_language(code) is None:
        raise UserError(
            f"unknown language '{code}'",
            where=option,
            fix="Use a BCP-47 code (en, sw, quy) or an archipelago one (qta, qtm).",
        )
    return study_code(code) or code


def create_folder(folder: Path) -> None:
    """Create a folder before long work starts, so that a bad path fails at once. Raises UserError where it fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=str(folder), fix="Name another folder."
        ) from None


def open_existing_store(root: str) -> Store:
    """Open a store. Raises UserError if there is none."""
    from xlift.studies.object_storage import is_url
    from xlift.studies.store import Store

    if not is_url(root) and not Path(root).exists():
        raise UserError(f"no store at '{root}'", fix="Give its folder with --store. `xlift run` creates a store.")
    opened = Store(root)
    if is_url(root) and not opened.exists:
        raise UserError(f"no store at '{root}'", fix="Give its URL with --store. `xlift run` creates a store.")
    return opened
