"""`xlift convert`: turn a published checkpoint into a folder with safetensors weights and tokenizer.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlift.errors import UserError


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A model folder or a .gguf file.", show_default=False)
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
) -> None:
    """Convert a model with pickled weights, a SentencePiece tokenizer, or a GGUF file.

    Reads only tensors from pickled files, and checks that the new tokenizer gives the tokens of the old one. DIR is complete or
    absent.
    """
    from xlift.conversion import convert as convert_model
    from xlift.conversion import find_source
    from xlift.execution.exporting import write_folder_atomically
    from xlift.model_files import check_model_folder

    if not source.exists():
        raise UserError(
            "no such file or folder", where=str(source),
            fix="Give a model folder or a .gguf file. A study converts the models of the Hub that it names by itself.",
        )  # fmt: skip
    found = find_source(source)
    if found is None and source.is_file():
        raise UserError("the name does not end in .gguf", where=str(source), fix="Give a model folder or a .gguf file.")
    if source.is_dir() and found in (None, source):
        check_model_folder(source, str(source), weights=found is None)
    if found is None:
        raise UserError(
            "nothing to convert: it has safetensors weights and tokenizer.json", where=str(source),
            fix="A study can name this model as it is, under `models:`.",
        )  # fmt: skip
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError("the folder is not empty", where=str(folder), fix="Name a new folder.")
    with write_folder_atomically(folder) as draft:
        convert_model(found.absolute(), draft)
    print(f"Converted {source} to {folder}")
