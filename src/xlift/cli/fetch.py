"""`xlift fetch`: download the data of suites and tasks into a folder."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xlift.cli.options import JsonOption, console

DEFAULT_DATA = Path("xlift-data")


def fetch(
    names: Annotated[list[str], typer.Argument(metavar="SUITE|TASK...", help="xtreme, xtreme-r or names of tasks.")],
    data: Annotated[Path, typer.Option("--data", help="Folder for the files.", envvar="XLIFT_DATA")] = DEFAULT_DATA,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Fetch this language only. Repeat for several languages.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check the files already there and fetch again those with a wrong checksum."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download data from the Hub into a folder.

    Files already there are not fetched again. Afterwards `xlift run STUDY --data DIR` needs no network. The exit code is 2
    if files are missing or differ from the published ones; files that were fetched stay.
    """
    from xlift.report.fetching import LiveDisplay, PlainDisplay, print_fetched
    from xlift.tasks.fetching import fetch

    terminal = console(stderr=True)
    display = LiveDisplay(terminal) if terminal.is_terminal else nullcontext(PlainDisplay())
    try:
        with display as progress:
            results = fetch(names, data, progress, languages=language or (), verify=verify)
    except KeyboardInterrupt:
        print("xlift: interrupted. Complete files are kept. Running the same command again resumes.", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False))
    elif not results:
        print("Nothing to fetch: these tasks are generated.")
    else:
        print_fetched(results, console())
    incomplete = [result.task for result in results if not result.is_complete]
    if incomplete:
        print(
            f"xlift: incomplete: {', '.join(incomplete)}\n  The files that were fetched stay in {data}.",
            file=sys.stderr,
        )
        raise typer.Exit(2)
