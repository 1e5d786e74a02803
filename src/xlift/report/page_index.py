"""A page for every study of a store, and an index that compares them: static files for any web server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xlift.errors import UserError
from xlift.report.page import PageInfo, render_template, summarize_lifts
from xlift.report.study import make_report
from xlift.report.study_page import make_page
from xlift.studies.record import list_studies, read_record
from xlift.studies.store import Store

INDEX = "index"


@dataclass(frozen=True)
class Entry:
    """One line of the index. The texts are untrusted, so all of them are escaped."""

    name: str
    file: str = ""
    """Name of its page; '' if it could not be made."""
    question: str = ""
    result: str = ""
    """The first sentence of its page, or the error."""
    verdicts: list[tuple[str, str, int]] = field(default_factory=list)
    """(verdict, class of its colour, number of claims)"""
    date: str = ""
    """Day of its last job."""


def write_pages(
    store: Store,
    folder: Path,
    write: Callable[[Path, str], None],
    *,
    every_metric: bool = False,
    borrow_variance: bool = False,
    data: Path | None = None,
) -> list[Entry]:
    """Write NAME.html for every study of a store, and index.html. A study that has no report is listed with the error.

    Args:
        write: writes a text to a path.
        data: root of the data files, for the texts of examples.

    Raises:
        UserError: the store has no study, or the folder cannot be written.
    """
    names = list_studies(store)
    if not names:
        raise UserError("the store has no study", where=store.where, fix="Run one first: `xlift run STUDY`.")
    entries = []
    for name in names:
        try:
            record = read_record(store, name)
            report = make_report(record, store, every_metric=every_metric, borrow_variance=borrow_variance)
            page = make_page(record, store, report, data=data)
        except UserError as error:
            entries.append(Entry(name, result=f"No report: {error.what}"))
            continue
        file = f"{name}_.html" if name == INDEX else f"{name}.html"
        write(folder / file, page)
        entries.append(_entry(name, file, report.info, summarize_lifts(report.rows)))
    write(folder / f"{INDEX}.html", render_index(entries))
    return entries


def render_index(entries: list[Entry]) -> str:
    """Return the index as HTML."""
    return render_template("index.html", entries=entries)


def _entry(name: str, file: str, info: PageInfo, summary: str) -> Entry:
    first, dot, _ = summary.partition(". ")
    counts = Counter((line["verdict"], line["kind"]) for line in info.claims.get("lines", ()))
    verdicts = [(*verdict, count) for verdict, count in counts.items()]
    return Entry(name, file, info.question or info.title, first + dot.strip(), verdicts, info.made[:10])
