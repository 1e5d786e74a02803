"""`xlift predict`: predict labels for a file with an exported model."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from xlift.cli.options import DEFAULT_STORE, StoreOption, parse_language, print_warnings
from xlift.errors import UserError
from xlift.recipes import Device


def predict(
    model_or_key: Annotated[
        str,
        typer.Argument(metavar="DIR|KEY", help="Folder of an exported model, or the key of a job.", show_default=False),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .tsv, .csv, .jsonl, .json, .parquet, .txt, .conll or .conllu file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output file: .tsv, .jsonl or .conll (default: print TSV).", show_default=False),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="FIELD=NAME",
            help="Name of a field's column: text_a=message. Repeat for more.",
            show_default=False,
        ),
    ] = None,
    source_language: Annotated[
        str,
        typer.Option(
            "--source-language", help="Language of the texts, for translation or prompts.", show_default=False
        ),
    ] = "",
    target_language: Annotated[
        str, typer.Option("--target-language", help="Language to translate into.", show_default=False)
    ] = "",
    device: Annotated[str, typer.Option("--device", help="Where to run: auto, cpu or cuda.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress.")] = False,
) -> None:
    """Predict the labels of a file in any language.

    Writes one row per input row: id (from the column `id`, else the line number), label and score. The score is the model's
    probability of the label and is not calibrated. All rows are checked first; a bad row ends the command with exit code 2.
    """
    from xlift.execution.exporting import write_file_atomically
    from xlift.execution.file_prediction import InputRows, find_writer, predict_rows
    from xlift.models.export import read_export_metadata
    from xlift.tasks import formats

    if device not in get_args(Device):
        raise UserError(f"unknown device '{device}'", where="--device", fix="Expected auto, cpu or cuda.")
    columns = _columns(column or [])
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise UserError("the output would overwrite the input file", where="--out", fix="Name another file.")
    if device == "cuda":
        _check_gpu()
    with _model_folder(model_or_key, store) as folder:
        metadata = read_export_metadata(folder)
        if formats.get(metadata.format).has_direction and not (source_language and target_language):
            raise UserError(
                "translation needs both languages", fix="Write --source-language en --target-language sw, for example."
            )
        listed = ["", *_card_languages(folder)]
        source = parse_language(source_language, "--source-language", listed)
        target = parse_language(target_language, "--target-language", listed)
        rows = InputRows(file, metadata.format, columns, metadata.optional_fields, (source, target), metadata.labels)
        header, format_line = find_writer((out or Path("x.tsv")).suffix.lower(), metadata.format)
        total = rows.check()
        from xlift.execution.file_prediction import load_exported_model

        model = load_exported_model(folder, cast(Device, device))
        shows_progress = not quiet and sys.stderr.isatty() and out is not None

        def report_progress(done: int) -> None:
            if shows_progress:
                print(f"\r{done:,} of {total:,} rows", end="\n" if done == total else "", file=sys.stderr, flush=True)

        predictions = predict_rows(model, iter(rows), language=source, progress=report_progress)
        if out is None:
            try:
                sys.stdout.write(header)
                for prediction in predictions:
                    sys.stdout.write(format_line(prediction))
                sys.stdout.flush()
            except BrokenPipeError:  # `| head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            with write_file_atomically(out) as stream:
                stream.write(header)
                for prediction in predictions:
                    stream.write(format_line(prediction))
    if model.num_shortened:
        print_warnings([
            f"{model.num_shortened:,} of {total:,} prompts were longer than the model's {metadata.max_length} tokens and lost "
            "few-shot examples or text. Shorten the texts, or train a model with a larger `max_length`."
        ])  # fmt: skip
    if out is not None and not quiet:
        print(f"Wrote {out}: {total:,} rows", file=sys.stderr)


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or not name or not column:
            raise UserError(
                f"'{pair}' names no column", where="--column", fix="Write FIELD=NAME, for example text_a=message."
            )
        columns[name.strip()] = column
    return columns


def _card_languages(folder: Path) -> list[str]:
    """Return the languages in the YAML header of a model card; an empty list if it cannot be read."""
    import yaml

    try:
        front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
        languages = front.get("language", [])
        return [str(code) for code in (languages if isinstance(languages, list) else [languages])]
    except (OSError, ValueError, IndexError, AttributeError, yaml.YAMLError):
        return []


def _model_folder(model_or_key: str, store: Path):
    """Return the folder of an exported model as a context manager. A job's model is exported to a temporary folder."""
    from contextlib import contextmanager, nullcontext
    from tempfile import TemporaryDirectory

    if Path(model_or_key).is_dir() or not _is_key(model_or_key):
        return nullcontext(Path(model_or_key))

    @contextmanager
    def exported():
        from xlift.cli.export import find_pipeline, find_pretrained_folder
        from xlift.cli.options import open_existing_store
        from xlift.execution.exporting import export

        opened = open_existing_store(store)
        pipeline = find_pipeline(model_or_key, opened, {})
        front = json.dumps({"language": [cell.language for cell in pipeline.cells]})  # as `_card_languages` reads it
        with TemporaryDirectory(prefix="xlift-") as parent:
            folder = Path(parent) / "model"
            export(
                pipeline,
                opened,
                lambda fingerprint: find_pretrained_folder(opened, fingerprint),
                folder,
                lambda metadata, model_class: f"---\n{front}\n---\n",
            )
            yield folder

    return exported()


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "torch finds no GPU", where="--device", fix="Leave --device out: the default uses a GPU if there is one."
        )


def _is_key(word: str) -> bool:
    return 8 <= len(word) <= 64 and set(word) <= set("0123456789abcdef")
