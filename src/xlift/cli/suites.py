"""Suites: score a leaderboard folder, write one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, DataOption, JsonOption, StoreOption, StudyArgument, console, warn

SuiteOption = Annotated[str, typer.Option("--suite", help="xtreme or xtreme-r.")]


def score(
    predictions: Annotated[Path, typer.Argument(help="The folder of predictions: TASK/test-LANGUAGE.tsv|json|jsonl.")],
    labels: Annotated[Path, typer.Argument(help="The folder of labels, with the same names.")],
    suite: SuiteOption,
    both: Annotated[
        bool, typer.Option("--both/--official", help="Repaired scores beside the official ones, or these alone.")
    ] = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the languages that are in both folders, should some be missing.")
    ] = False,
    languages: Annotated[bool, typer.Option("--languages", help="Show every language, not only the means.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a leaderboard folder as the benchmark does.

    Tasks that are not in both folders are left out. --json prints what XTREME's evaluate.py writes, and under the key
    'xlift' what is ours.
    """
    from xlift.report.suites import print_result
    from xlift.suites import declared
    from xlift.suites.folder import score_folder

    result = score_folder(predictions, labels, declared.get(suite), partial=partial)
    warn(result.warnings)
    if as_json:
        print(json.dumps(result.report(repaired=both), indent=2, ensure_ascii=False))
    else:
        print_result(result, console(), repaired=both, languages=languages)


def submit(
    study: StudyArgument,
    suite: SuiteOption,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must be new or empty.")],
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Which model, where the study has several.")] = None,
    intermediate: Annotated[
        str | None, typer.Option("--intermediate", help="Which intermediate ('none' for the road without one).")
    ] = None,
    intermediate_language: Annotated[str | None, typer.Option("--intermediate-language", help="Its language.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="Its size, as the lift table shows it.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Which seed.")] = None,
    train_language: Annotated[
        str | None, typer.Option("--train-language", help="The language that the target was trained in.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Which target, where several have one task.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write what the study has, should tasks or languages be missing.")
    ] = False,
) -> None:
    """Write the leaderboard folder of a finished study.

    One road of it: where a study has several models, intermediates or seeds, say which. Nothing is written unless
    everything is there and has the length that the suite expects.
    """
    from xlift.analysis.leaderboard import choose_road, predictions_of
    from xlift.cli.studies import data_folder, study_name
    from xlift.studies.record import read_record
    from xlift.studies.store import Store
    from xlift.suites import declared
    from xlift.suites.submission import write_submission

    chosen, opened = declared.get(suite), Store(store)
    record = read_record(opened, study_name(study))
    asked = {
        "model": model, "intermediate": intermediate, "intermediate_language": intermediate_language, "size": size,
        "seed": seed, "train_language": train_language,
    }  # fmt: skip
    given = {key: value for key, value in asked.items() if value is not None}
    cells = choose_road(record, chosen, given, tuple(target or ()))
    predicted = predictions_of(cells, chosen, opened, data_folder(study, data))
    written = write_submission(out, chosen, predicted, partial=partial)
    warn(written.warnings)
    print(f"wrote {len(written.files)} files of {written.tasks} tasks to {out}")
