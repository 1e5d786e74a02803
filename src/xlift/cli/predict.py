"""`xlift predict`: predict labels for a file with an exported model."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Annotated, cast, get_args

import typer

from xlift.cli.options import DEFAULT_STORE, StoreOption, parse_language, print_notes, print_warnings
from xlift.errors import UserError
from xlift.recipes import Device
from xlift.units import count_noun

if TYPE_CHECKING:
    from xlift.tasks.formats.base import Format

_FORMATS = ("tsv", "csv", "jsonl", "txt", "conll")


def predict(
    model_or_key: Annotated[
        str,
        typer.Argument(metavar="DIR|KEY", help="Folder of an exported model, or the key of a job.", show_default=False),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .tsv, .csv, .jsonl, .json, .parquet, .txt, .conll or .conllu file; - for standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Output file: .tsv, .csv, .jsonl or .conll (default: standard output).", show_default=False
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", help="Of standard input and output: tsv, csv, jsonl, txt or conll.")
    ] = "tsv",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="FIELD=NAME",
            help="Name of a field's column: text=message. Repeat for more.",
            show_default=False,
        ),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of every label.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Leave out labels with a lower score.", show_default=False),
    ] = None,
    below: Annotated[
        str, typer.Option("--below", metavar="LABEL", help="Label where the score is below --threshold.")
    ] = "",
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
    """Predict the labels of a file or of standard input in any language.

    Writes the columns of each input row, its label and its score, in the order of the input. Rows of files without columns
    have an id, the line number. The score is the model's probability of the label. A file is checked before any work; standard
    input is checked as it is read. A bad row ends the command with exit code 2.
    """
    from xlift.execution.file_prediction import (
        STREAMED,
        AnswerOptions,
        InputRows,
        OutputColumns,
        PredictionWriter,
        check_extension,
        load_exported_model,
        predict_rows,
    )
    from xlift.execution.file_prediction.progress_bar import row_progress
    from xlift.models.export import read_export_metadata
    from xlift.tasks import formats
    from xlift.tasks.sources.base import STDIN

    if device not in get_args(Device):
        raise UserError(f"unknown device '{device}'", where="--device", fix="Expected auto, cpu or cuda.")
    out = None if out == Path("-") else out
    is_piped = file == Path("-")
    if format not in _FORMATS or (is_piped and f".{format}" not in STREAMED):
        where, expected = ("standard input", STREAMED) if is_piped else ("standard output", _FORMATS)
        names = ", ".join(name.removeprefix(".") for name in expected)
        raise UserError(f"cannot use '{format}' for {where}", where="--format", fix=f"Expected {names}.")
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise UserError("the output would overwrite the input file", where="--out", fix="Name another file.")
    if device == "cuda":
        _check_gpu()
    with _model_folder(model_or_key, store) as folder:
        metadata = read_export_metadata(folder)
        task_format = formats.get(metadata.format)
        if task_format.has_direction and not (source_language and target_language):
            raise UserError(
                "translation needs both languages", fix="Write --source-language en --target-language sw, for example."
            )
        listed = ["", *_card_languages(folder)]
        source = parse_language(source_language, "--source-language", listed)
        target = parse_language(target_language, "--target-language", listed)
        options = AnswerOptions(probabilities, threshold, below)
        options.check(metadata)
        rows = InputRows(
            STDIN if is_piped else file, metadata.format, _columns(column or [], task_format), metadata.optional_fields,
            (source, target), metadata.labels, extension=f".{format}" if is_piped else "",
        )  # fmt: skip
        extension = out.suffix.lower() if out else ".tsv" if format == "txt" else f".{format}"
        check_extension(extension, metadata.format, "--out" if out else "--format")
        columns = OutputColumns(extension, metadata.labels if probabilities else ())
        total = None if is_piped else rows.check(columns.check)
        model = load_exported_model(folder, cast(Device, device))
        num_done, shown = 0, not quiet and sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
        with _output(out) as stream, row_progress(total, shown) as show:

            def report(done: int) -> None:
                nonlocal num_done
                num_done = done
                show(done)
                stream.flush()  # the next command of a pipe gets the rows now

            checked = rows.checked(columns.check) if is_piped else iter(rows)
            predictions = predict_rows(model, checked, language=source, progress=report)
            PredictionWriter(stream, metadata.format, columns).write(options.apply(predictions, metadata))
    if columns.prefix and not quiet:
        print_notes(["the input has a column of this name, so the answers are in the column 'predicted_label'"])
    if model.num_shortened:
        print_warnings([
            f"{model.num_shortened:,} of {num_done:,} prompts were longer than the model's {metadata.max_length} tokens and lost "
            "few-shot examples or text. Shorten the texts, or train a model with a larger `max_length`."
        ])  # fmt: skip
    if out is not None and not quiet:
        print(f"Wrote {out}: {count_noun(num_done, 'row')}", file=sys.stderr)


@contextmanager
def _output(out: Path | None) -> Iterator[IO[str]]:
    """Give the output file, or standard output. A reader that stops early (`| head`) ends the block without an error."""
    from xlift.new_files import write_atomically

    if out is not None:
        with write_atomically(out) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _columns(pairs: list[str], format: Format) -> dict[str, str]:
    """Return field -> column. A field may be given by one of its usual columns: `text` for `text_a`."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not name or not column:
            raise UserError(
                f"'{pair}' names no column", where="--column", fix="Write FIELD=NAME, for example text=message."
            )
        known = [each for each in format.input_fields if name == each or name in format.columns.get(each, ())]
        field = known[0] if len(known) == 1 else name
        if columns.setdefault(field, column) != column:
            raise UserError(f"two columns for '{field}'", where="--column", fix="Name one.")
    return columns


def _card_languages(folder: Path) -> list[str]:
    """Return the languages in the YAML header of a model card; an empty list if it cannot be read."""
    from xlift.yaml_document import parse_yaml

    try:
        path = folder / "README.md"
        front = (
            parse_yaml(path.read_text(encoding="utf-8").split("---\n")[1], str(path)).value if path.is_file() else {}
        )
        languages = front.get("language", [])
        return [str(code) for code in (languages if isinstance(languages, list) else [languages])]
    except (OSError, ValueError, IndexError, AttributeError, UserError):
        return []


def _model_folder(model_or_key: str, store: str):
    """Return the folder of an exported model as a context manager. A job's model is exported to a temporary folder."""
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
