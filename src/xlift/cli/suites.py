"""`xlift score` and `xlift submit`: score a leaderboard folder, or write one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, DataOption, JsonOption, StoreOption, StudyArgument, console, print_warnings
from xlift.units import count_noun

SuiteOption = Annotated[str, typer.Option("--suite", help="The benchmark: xtreme or xtreme-r.")]


def score(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of predictions: TASK/test-LANGUAGE.tsv, .json or .jsonl.")
    ],
    labels: Annotated[Path, typer.Argument(help="Folder of labels with the same file names.")],
    suite: SuiteOption,
    both: Annotated[
        bool,
        typer.Option(
            "--both/--official", help="Show repaired scores beside the official ones, or only the official ones."
        ),
    ] = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the languages that are in both folders if some are missing.")
    ] = False,
    languages: Annotated[bool, typer.Option("--languages", help="Show every language, not only means.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a leaderboard folder by the rules of its benchmark.

    Skips tasks that are not in both folders. --json prints the output of XTREME's evaluate.py and adds the scores of xlift
    under the key 'xlift'.
    """
    from xlift.report.suites import print_result
    from xlift.suites import definitions
    from xlift.suites.folder_scoring import score_folder

    result = score_folder(predictions, labels, definitions.get(suite), partial=partial)
    print_warnings(result.warnings)
    if as_json:
        print(json.dumps(result.report(repaired=both), indent=2, ensure_ascii=False))
    else:
        print_result(result, console(), repaired=both, languages=languages)


def submit(
    study: StudyArgument,
    suite: SuiteOption,
    out: Annotated[Path, typer.Option("--out", help="New or empty folder for the files.")],
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Pretrained model, if the study has several.")] = None,
    intermediate: Annotated[
        str | None, typer.Option("--intermediate", help="Intermediate task, or 'none' for the baseline.")
    ] = None,
    intermediate_language: Annotated[
        str | None, typer.Option("--intermediate-language", help="Language of the intermediate task.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Size of the intermediate task, as in the lift table.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Training seed.")] = None,
    train_language: Annotated[
        str | None, typer.Option("--train-language", help="Language that the target was trained in.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Target, if several targets have the same task. Repeat for more."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the folder even if tasks or languages are missing.")
    ] = False,
) -> None:
    """Write the leaderboard folder of a finished study.

    The options select one pipeline if the study has several models, intermediate tasks or seeds. Nothing is written if a
    prediction is missing or has another length than the suite expects.
    """
    from xlift.analysis.leaderboard import choose_pipeline_cells, load_predictions
    from xlift.cli.studies import find_data_folder, find_study_name
    from xlift.studies.record import read_record
    from xlift.studies.store import Store
    from xlift.suites import definitions
    from xlift.suites.submission import write_submission

    chosen, opened = definitions.get(suite), Store(store)
    record = read_record(opened, find_study_name(study))
    options = {
        "model": model, "intermediate": intermediate, "intermediate_language": intermediate_language, "size": size,
        "seed": seed, "train_language": train_language,
    }  # fmt: skip
    wanted = {key: value for key, value in options.items() if value is not None}
    cells = choose_pipeline_cells(record, chosen, wanted, tuple(target or ()))
    predicted = load_predictions(cells, chosen, opened, find_data_folder(study, data))
    written = write_submission(out, chosen, predicted, partial=partial)
    print_warnings(written.warnings)
    print(f"Wrote {count_noun(len(written.files), 'file')} of {count_noun(written.tasks, 'task')} to {out}")
