"""What a plan lacks on this machine (`xlift plan`): models and data, what was assumed for them, and how to bring them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from xlift.studies.missing import MissingData, MissingModel
from xlift.studies.plan import Plan
from xlift.tasks.catalog.sizes import ASSUMPTION, lengths_source
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task
from xlift.units import count_noun, format_gigabytes

SHOWN_LANGUAGES = 4
"""A split with more languages shows their number."""

WIDE = 66
"""Columns of a terminal in which the name and the size of a model have a line."""


def print_missing(plan: Plan, study: str, data: Path | None, console: Any) -> None:
    """Print what is missing: a line for each model, and for each task on the Hub and elsewhere."""
    if not plan.missing:
        return
    from rich.table import Table
    from rich.text import Text

    on_hub = [_data_row(each) for each in _by_task(plan) if _is_on_hub(each[0])]
    for title, rows in (("Missing models", list(_model_rows(plan))), ("Missing data that the Hub has", on_hub)):
        if not rows:
            continue
        console.print(Text(title, style="bold"))
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        is_wide = console.width >= WIDE
        table.add_column(no_wrap=is_wide, overflow="fold")
        table.add_column(no_wrap=is_wide, overflow="fold", justify="right")
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    elsewhere = [each for each in _by_task(plan) if not _is_on_hub(each[0])]
    if elsewhere:
        console.print(Text("Missing data that the Hub does not have", style="bold"))
    lines = [f"{', '.join(filter(None, _data_row(each)))}; {_terms(each[0].task)}" for each in elsewhere]
    for line in (*lines, *_assumptions(plan), *_advice(plan, study, data)):
        console.print(line, highlight=False, markup=False)


def as_json(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """Return the missing models, and the missing data of each task, language and split."""
    models = [
        {"model": each.name, "bytes": each.bytes, "licence": each.licence, "terms": each.terms}
        for each in _models(plan)
    ]
    data = [
        {
            "task": each.task.name, "language": each.language, "split": each.split, "examples": each.count.examples,
            "examples_from": each.count.source, "lengths_from": lengths_source(each.task), "repository": each.repository,
            "licence": each.task.licence, "url": each.task.url,
        }
        for each in _data(plan)
    ]  # fmt: skip
    return {"models": models, "data": data}


def _models(plan: Plan) -> Iterable[MissingModel]:
    return (each for each in plan.missing if isinstance(each, MissingModel))


def _data(plan: Plan) -> Iterable[MissingData]:
    return (each for each in plan.missing if isinstance(each, MissingData))


def _by_task(plan: Plan) -> Iterable[list[MissingData]]:
    groups: dict[tuple[str, bool], list[MissingData]] = {}
    for each in _data(plan):
        groups.setdefault((each.task.name, _is_on_hub(each)), []).append(each)
    return groups.values()


def _is_on_hub(missing: MissingData) -> bool:
    return bool(missing.repository) or isinstance(missing.task.source, ConcatenatedSource)


def _model_rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    for each in _models(plan):
        size = f"about {format_gigabytes(each.bytes)}" if each.bytes else "size unknown"
        yield each.name, size, "; ".join(filter(None, (each.licence, each.terms)))


def _data_row(group: Sequence[MissingData]) -> tuple[str, ...]:
    task = group[0].task
    splits = {each.split: [other.language for other in group if other.split == each.split] for each in group}
    what = ", ".join(f"{split} {_show(languages)}" for split, languages in splits.items())
    examples, is_assumed = sum(each.count.examples for each in group), any(each.count.is_assumed for each in group)
    is_used = any(each.uses_all for each in group)
    number = f"{'about ' * is_assumed}{count_noun(examples, 'example')}" if is_used or not is_assumed else ""
    parts = task.source.parts if isinstance(task.source, ConcatenatedSource) else ()
    if isinstance(task.source, HubSource) and task.source.is_custom:
        what += f", from {task.source.repository} at {task.source.revision}"
    return task.name, number, what + (f", from {' '.join(part.name for part in parts)}" if parts else "")


def _terms(task: Task) -> str:
    """The licence of a task's data, and where they are published."""
    return f"{task.licence or 'licence unknown'}; {task.url}"


def _show(languages: Sequence[str]) -> str:
    return " ".join(languages) if len(languages) <= SHOWN_LANGUAGES else f"in {len(languages)} languages"


def _assumptions(plan: Plan) -> Iterator[str]:
    """Lines on sizes and lengths without a published source."""
    counts = {each.task.name: each.count.source for each in _data(plan) if each.count.is_assumed and each.uses_all}
    lengths = {
        each.task.name: source for each in _data(plan) if (source := lengths_source(each.task)).startswith(ASSUMPTION)
    }
    for what, sources in (("numbers of examples", counts), ("lengths of texts", lengths)):
        if sources:
            listed = "; ".join(f"{name} ({source.removeprefix(f'{ASSUMPTION}: ')})" for name, source in sources.items())
            yield f"Assumed {what}: {listed}."


def _advice(plan: Plan, study: str, data: Path | None) -> Iterator[str]:
    provisional, jobs = len(plan.provisional_keys()), len(plan.jobs)
    yield (
        f"The keys of {provisional:,} of {jobs:,} jobs are provisional: they change once everything is here. "
        "Until then the study does not run, and nothing is stored under these keys."
    )
    yield f"`xlift fetch {shlex.quote(study)} --data {data or 'DIR'}` brings what the Hub has."
