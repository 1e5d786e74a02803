"""`xlift fetch`: bring the data of suites and tasks into a folder."""

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
    names: Annotated[list[str], typer.Argument(metavar="SUITE|TASK...", help="xtreme, xtreme-r, or names of tasks.")],
    data: Annotated[
        Path, typer.Option("--data", help="Folder to bring the files into.", envvar="XLIFT_DATA")
    ] = DEFAULT_DATA,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Bring this language alone; may be given several times.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is there, and fetch anew what its checksum does not fit.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring data from the Hub into a folder.

    What is there already is not fetched again; `xlift run STUDY --data DIR` needs no network then. Exit code 2 if
    something is missing or is not what was published; what was fetched stays.
    """
    from xlift.report.fetching import LiveDisplay, PlainDisplay, print_fetched
    from xlift.tasks.fetching import fetch

    terminal = console(stderr=True)
    display = LiveDisplay(terminal) if terminal.is_terminal else nullcontext(PlainDisplay())
    try:
        with display as shown:
            results = fetch(names, data, shown, languages=language or (), verify=verify)
    except KeyboardInterrupt:
        print("xlift: interrupted. Whole files are kept; the same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False))
    elif not results:
        print("nothing to fetch: these tasks are generated")
    else:
        print_fetched(results, console())
    short = [result.task for result in results if not result.whole]
    if short:
        print(f"xlift: not all is there: {', '.join(short)}\n  What was fetched stays in {data}.", file=sys.stderr)
        raise typer.Exit(2)
