"""The whole page of a study: its report, the references of its paper, and the examples that flipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xlift.analysis.flips import find_flips
from xlift.report import flips
from xlift.report.page import render_page
from xlift.report.paper.document import Document
from xlift.report.paper.paper import add_references, make_paper
from xlift.report.study import Report
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks.task import Task


def make_page(
    record: Record,
    store: Store,
    report: Report,
    *,
    document: Document | None = None,
    tasks: Mapping[str, Task] | None = None,
    data: Path | None = None,
) -> str:
    """The page as HTML.

    Args:
        document: the paper of the study, made if it is not given.
        tasks: the study's custom tasks, for the texts of their examples.
        data: root of the data files, for the texts of examples.

    Raises:
        UserError: an artifact is damaged.
    """
    info = replace(report.info, flips=flips.for_page(find_flips(record, store, tasks or {}, data)))
    if report.rows:
        info = add_references(info, document or make_paper(record, store, report))
    return render_page(report.rows, info)
