"""Examples that a row of the table answers otherwise than the baseline: wrong before and right after, or the reverse.

Of targets whose answers are labels or choices. An example counts if all seeds that both pipelines have agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from xlift.analysis.chance import is_choice
from xlift.analysis.estimates import BASELINE, PipelineKey
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.predictions import read_rows
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.tasks.task import Task

MAX_FLIPS = 200
"""Most listed examples of one target."""
MAX_ALL_FLIPS = 800
"""Most listed examples of all targets together."""
FREE = ("apache", "bsd", "cc by", "cc0", "free for any purpose", "mit", "odc by", "public domain")
"""Beginnings of licences that allow to show texts on a page that is passed on."""


@dataclass(frozen=True)
class Flip:
    pipeline: PipelineKey
    language: str
    name: str
    """Id of the example."""
    gold: str
    before: str
    """Answer of the baseline, with the first common seed."""
    after: str
    is_right: bool
    """Whether it is right after."""
    text: str = ""
    """'' if the data are not here, or their licence does not allow to show them."""


@dataclass(frozen=True)
class TargetFlips:
    """The examples of one target that flipped."""

    target: str
    task: str
    flips: list[Flip]
    """The listed ones: some of each pipeline, language and direction."""
    counts: dict[PipelineKey, tuple[int, int, int]] = field(default_factory=dict)
    """Pipeline -> number of examples that became right, that became wrong, and of all."""
    licence: str = ""
    """Of the texts; '' without texts."""


def find_flips(record: Record, store: Store, tasks: Mapping[str, Task], data: Path | None = None) -> list[TargetFlips]:
    """The flips of every target, without texts where these are not at hand.

    Args:
        tasks: the study's custom tasks, for their texts.
        data: root of the data files.

    Raises:
        UserError: an artifact is damaged.
    """
    by_target: dict[tuple[str, str, str], dict[PipelineKey, dict[tuple[str, int], Cell]]] = {}
    for cell in record.cells:
        if cell.noise or cell.control or not is_choice(formats.get(record.tasks[cell.task].format)):
            continue
        key = PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)
        if cell.intermediate == BASELINE:
            key = PipelineKey(cell.model, BASELINE, "", "")
        by_target.setdefault((cell.target, cell.task, cell.train_language), {}).setdefault(key, {})[
            cell.language, cell.seed
        ] = cell
    limit = min(MAX_FLIPS, MAX_ALL_FLIPS // max(len(by_target), 1))
    found = []
    for (target, task, _), pipelines in by_target.items():
        groups: list[list[Flip]] = []
        counts: dict[PipelineKey, tuple[int, int, int]] = {}
        for key, cells in pipelines.items():
            before = pipelines.get(PipelineKey(key.model, BASELINE, "", ""), {})
            if key.intermediate == BASELINE:
                continue
            for language in dict.fromkeys(language for language, _ in cells):
                pairs = [
                    (before[place], cell) for place, cell in cells.items() if place[0] == language and place in before
                ]
                pairs = [pair for pair in pairs if all(store.has(each.key) for each in pair)]
                flips, number = _compare(store, key, language, pairs) if pairs else ([], 0)
                right = [flip for flip in flips if flip.is_right]
                wrong = [flip for flip in flips if not flip.is_right]
                groups += [right, wrong]
                sums = zip(counts.get(key, (0, 0, 0)), (len(right), len(wrong), number), strict=True)
                counts[key] = tuple(map(sum, sums))  # pyright: ignore[reportArgumentType]
        if not any(number for *_, number in counts.values()):
            continue
        flips = [flip for flip in chain(*zip_longest(*groups)) if flip is not None][:limit]
        order = {key: n for n, key in enumerate(counts)}
        flips.sort(key=lambda flip: (order[flip.pipeline], flip.language, not flip.is_right))
        cells = {cell.language: cell for cell in chain(*(each.values() for each in pipelines.values()))}
        texts, licence = _read_texts(record, store, tasks, data, cells, flips)
        flips = [replace(flip, text=texts.get((flip.language, flip.name), "")) for flip in flips]
        found.append(TargetFlips(target, task, flips, counts, licence if texts else ""))
    return found


def _compare(
    store: Store, pipeline: PipelineKey, language: str, pairs: Sequence[tuple[Cell, Cell]]
) -> tuple[list[Flip], int]:
    """The flips between cells of the baseline and of a pipeline, a pair for each seed, and the number of compared examples."""
    runs = []
    for pair in pairs:
        tables = [read_rows(store, cell.key) for cell in pair]
        runs.append([dict(zip(rows.ids, rows.predictions, strict=True)) for rows in tables])
        gold = dict(zip(tables[0].ids, tables[0].references, strict=True))
    flips, number = [], 0
    for name, answer in gold.items():
        if answer is None or any(name not in table for run in runs for table in run):
            continue
        number += 1
        before, after = ({run[side][name] == answer for run in runs} for side in (0, 1))
        if len(before) == len(after) == 1 and before != after:
            one, other = (_describe(run[name]) for run in runs[0])
            flips.append(Flip(pipeline, language, name, _describe(answer), one, other, is_right=after == {True}))
    return flips, number


def _describe(answer: Any) -> str:
    return answer if isinstance(answer, str) else "" if answer is None else str(answer)


def _read_texts(
    record: Record,
    store: Store,
    tasks: Mapping[str, Task],
    data: Path | None,
    cells: Mapping[str, Cell],
    flips: Sequence[Flip],
) -> tuple[dict[tuple[str, str], str], str]:
    """(language, id) -> the texts of the example, and the licence of the texts. Without the data that the predictions are of, or a
    licence that allows to show them: nothing."""
    texts: dict[tuple[str, str], str] = {}
    licence = ""
    for language in dict.fromkeys(flip.language for flip in flips):
        artifact = store.find(cells[language].key)
        spec = artifact.manifest["spec"]["data"] if artifact else {}
        name = spec.get("task", "")
        task = tasks.get(name) or (catalog.get(name) if name in catalog.names() else None)
        if task is None or not is_free(task.licence):
            continue
        task, licence = replace(task, keeps_faults=record.study.known_faults == "keep"), task.licence
        wanted = {flip.name for flip in flips if flip.language == language}
        try:
            for example in _read(task, language, spec, data):
                if example.id in wanted:
                    shown = " ¶ ".join(formats.get(task.format).texts(example))
                    texts[language, example.id] = shown
        except UserError:
            continue
    return texts, licence


def _read(task: Task, language: str, spec: Mapping[str, Any], data: Path | None) -> Iterator[Any]:
    """The examples that a predict job read, if they are on this machine and have not changed."""
    place = (task, language, spec["split"], data)
    if task.source.is_present(*place[1:]) and task.source.fingerprint(*place) == spec["fingerprint"]:
        yield from task.source.read(*place, size=spec.get("size"), seed=spec.get("seed", 0))


def is_free(licence: str) -> bool:
    """Whether a licence allows to show the texts on a page that is passed on."""
    name = " ".join(licence.lower().replace("-", " ").split())
    return name.startswith(FREE) and "mixed" not in name
