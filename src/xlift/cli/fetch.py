"""`xlift fetch`: download the data of suites and tasks, or everything that a study needs."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import JsonOption, console

if TYPE_CHECKING:
    from xlift.studies.study_file import StudyFile

DEFAULT_DATA = Path("xlift-data")


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="SUITE|TASK|STUDY...", help="xtreme, xtreme-r, names of tasks, or YAML files of studies."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder for the data (default: `data:` of the study, else xlift-data).",
            envvar="XLIFT_DATA",
            show_default=False,
        ),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Fetch this language only. Repeat for several languages.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check the files already there and fetch again those with a wrong checksum."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download data from the Hub into a folder, and the models of a study into the Hub's cache.

    Complete files are not fetched again, so the same command resumes after an interruption. Afterwards `xlift run STUDY
    --data DIR` needs no network. The exit code is 2 if files are missing or differ from the published ones; files that were
    fetched stay.
    """
    from xlift.report.fetching import LiveDisplay, PlainDisplay, print_fetched
    from xlift.studies.fetching import fetch_study
    from xlift.studies.study import shipped_studies
    from xlift.studies.study_file import read_study
    from xlift.tasks.fetching import FetchResult
    from xlift.tasks.fetching import fetch as fetch_tasks

    studies = [read_study(name) for name in names if name.endswith((".yaml", ".yml")) or name in shipped_studies()]
    tasks = [name for name in names if not name.endswith((".yaml", ".yml")) and name not in shipped_studies()]
    folders = [data or _data_folder(study) for study in studies]
    folder = data or DEFAULT_DATA
    results: list[FetchResult] = []

    terminal = console(stderr=True)
    display = LiveDisplay(terminal) if terminal.is_terminal else nullcontext(PlainDisplay())
    try:
        with display as progress:
            for study, place in zip(studies, folders, strict=True):
                results += fetch_study(study, place, progress, languages=tuple(language or ()), verify=verify)
            if tasks:
                results += fetch_tasks(tasks, folder, progress, languages=language or (), verify=verify)
    except KeyboardInterrupt:
        print("xlift: interrupted. Complete files are kept. Running the same command again resumes.", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False))
    elif not results:
        generated = "these tasks are generated" if tasks else "everything that the study needs is on this machine"
        print(f"Nothing to fetch: {generated}.")
    else:
        print_fetched(results, console())
    places = ", ".join(dict.fromkeys(map(str, [*folders, *([folder] if tasks else [])])))
    incomplete = [result.task for result in results if not result.is_complete]
    if incomplete:
        print(
            f"xlift: incomplete: {', '.join(incomplete)}\n  The files that were fetched stay in {places}.",
            file=sys.stderr,
        )
        raise typer.Exit(2)


def _data_folder(study: StudyFile) -> Path:
    """Return the folder for the data of a study."""
    return study.folder / study.study.data if study.study.data else DEFAULT_DATA
