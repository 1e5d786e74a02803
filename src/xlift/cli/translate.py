"""`xlift translate`: translate the examples of a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import DataFolderOption, JsonOption, console, parse_language
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.execution.translators import Translator


def translate(
    task: Annotated[str, typer.Argument(help="A task that `xlift tasks` lists.")],
    source_language: Annotated[str, typer.Option("--source-language", help="Language of the examples.")],
    target_languages: Annotated[
        str, typer.Option("--target-languages", help="Languages to translate into, separated by commas: de,sw.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files. Running the same command again resumes.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Translation model: a folder or a Hub name (NLLB, mBART, your own).")
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option("--oracle", help="Built-in translator of the isle-* tasks: exact or noisy (see --level)."),
    ] = None,
    level: Annotated[
        float, typer.Option("--level", min=0, max=1, help="Share of words with an error, for --oracle noisy.")
    ] = 0.1,
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "train",
    size: Annotated[int | None, typer.Option("--size", min=1, help="Number of examples (default: all).")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the subset and of the oracle's errors.")] = 0,
    num_beams: Annotated[int, typer.Option("--num-beams", min=1, max=16, help="Beams of the model; 1 is greedy.")] = 1,
    name: Annotated[str, typer.Option("--name", help="Name of the new task (default: TASK-translated).")] = "",
    data: DataFolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Translate the examples of a task into other languages.

    Writes data files and a task declaration for a study. Labels stay the same. Markers keep track of the answers of
    questions. Examples that cannot be translated are dropped and counted.
    """
    from xlift.execution.translating import DECLARATION_FILE, TranslationRequest, most_common_losses
    from xlift.execution.translating import translate as run
    from xlift.tasks import catalog

    catalog_task = catalog.get(task)
    codes = (parse_language(code, "--target-languages") for code in target_languages.split(",") if code.strip())
    targets = tuple(dict.fromkeys(codes))
    if not targets:
        raise UserError(
            "no language to translate into", where="--target-languages", fix="Write --target-languages de,sw."
        )
    splits = catalog_task.source.splits()
    if split not in splits:
        raise UserError(f"'{task}' has no split '{split}'", where="--split", fix=f"It has {', '.join(splits)}.")
    terminal = console(stderr=True)

    def progress(language: str, done: int, total: int) -> None:
        terminal.print(f"{language}: {done:,} of {total:,} examples", highlight=False)

    source = parse_language(source_language, "--source-language")
    request = TranslationRequest(catalog_task, source, targets, split, size, seed)
    translator = _make_translator(model, oracle, level, seed, num_beams)
    summaries = run(request, translator, out, data=data, name=name, progress=progress)
    if as_json:
        print(json.dumps([vars(summary) for summary in summaries], indent=1, ensure_ascii=False))
        return
    for summary in summaries:
        losses = ", ".join(most_common_losses(summary))
        print(
            f"{summary.language}: {summary.kept:,} of {summary.read:,} examples kept"
            + (f" ({losses})" if losses else "")
        )
    print(f"Task declaration for a study: {out / DECLARATION_FILE}")


def _make_translator(model: str | None, oracle: str | None, level: float, seed: int, num_beams: int) -> Translator:
    from xlift.archipelago.translator import TranslationErrors
    from xlift.execution import translators

    if (model is None) == (oracle is None):
        raise UserError(
            "expected either --model or --oracle", fix="Write --model DIR, --oracle exact or --oracle noisy."
        )
    if model is not None:
        return translators.load_model_translator(model, num_beams=num_beams)
    if oracle not in ("exact", "noisy"):
        raise UserError(f"unknown oracle '{oracle}'", where="--oracle", fix="Expected exact or noisy.")
    return translators.Oracle() if oracle == "exact" else translators.Oracle(TranslationErrors.at_level(level), seed)
