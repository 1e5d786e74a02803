"""Leaks: texts that a road trains on and is scored on, and known relations between the sets.

Compared are, for every prediction of a study, the data of all stages before it (pretraining text too, which shows texts
without labels) with the examples that are scored. The rules of comparison are in overlap.py, the relations in
relations.py. What was found is kept in the store beside the studies (findings.py), under what was compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from xlift.analysis.findings import Finding, Known, Leaks, Quote, Side, jobs_digest
from xlift.analysis.overlap import Asked, Hashes, Index, Overlap, Seen, hashed
from xlift.analysis.relations import RELATIONS
from xlift.studies.job import Data, Job, LayerSpec, PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.plan import Plan
from xlift.tasks import formats
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.sources.isles import STANDARD_SIZE

VERSION = 1
"""Raised when the same data would give another finding."""
CHUNK = 5_000
"""Examples hashed at a time."""
SHOWN = 3
"""Examples of each finding that are quoted."""
QUOTED = 160
"""Letters of a quotation."""
STAGES = ("pretraining", "intermediate", "target", "selection")
"""'selection': pairs that a layer is chosen by; nothing is trained on them."""


@dataclass(frozen=True)
class _Roads:
    """What is trained on, what is scored, and which scored data follow which training."""

    trained: dict[tuple[str, Side], list[Data]]
    scored: dict[Side, Data]
    pairs: set[tuple[str, Side, Side]]


def compared(plan: Plan) -> str:
    """Digest of everything that decides what `find` gives for a plan: the bytes of the data among it."""
    roads = _roads(plan)

    def data(of: Data) -> dict[str, Any]:
        return of.model_dump(mode="json", exclude={"max_length", "options"})

    content = {
        "version": VERSION,
        "trained": [[stage, asdict(side), list(map(data, of))] for (stage, side), of in sorted(roads.trained.items())],
        "scored": [data(of) for _, of in sorted(roads.scored.items())],
        "pairs": sorted([stage, str(trained), str(scored)] for stage, trained, scored in roads.pairs),
        "relations": [asdict(relation) for relation in RELATIONS],
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def amount(plan: Plan) -> int:
    """Examples that `find` would read, as far as sizes are known."""
    roads = _roads(plan)
    parts = [*(data for parts in roads.trained.values() for data in parts), *roads.scored.values()]
    return sum(data.size or _size(plan, data) or STANDARD_SIZE[data.split] for data in parts)


def find(plan: Plan) -> Leaks:
    """Compare all training text of a plan with all that is scored.

    Holds 8 bytes for each word of the scored texts or so; training text only streams past.

    Raises:
        UserError: a file cannot be read.
    """
    roads = _roads(plan)
    sides = list(roads.scored)
    sets = [_asked(plan, roads.scored[side]) for side in sides]
    index = Index(sets)
    found: list[tuple[Finding, Overlap, Seen]] = []
    texts = 0
    for (stage, trained), parts in sorted(roads.trained.items()):
        seen = Seen(index)
        for data in parts:
            _stream(plan, data, seen)
        texts += seen.texts
        for side, asked in zip(sides, index.sets, strict=True):
            if (stage, trained, side) not in roads.pairs:
                continue
            overlap = seen.overlap(asked)
            same, every, near = (int(mask.sum()) for mask in (overlap.some, overlap.every, overlap.near))
            if same or near:
                found.append((Finding(stage, trained, side, asked.examples, same, every, near), overlap, seen))
    return Leaks(
        data=compared(plan), jobs=jobs_digest(plan.jobs), trained=len(roads.trained), texts=texts, scored=len(sides),
        examples=sum(asked.examples for asked in index.sets),
        findings=tuple(_quoted(plan, roads, dict(zip(sides, index.sets, strict=True)), found)), known=tuple(_known(roads)),
    )  # fmt: skip


def _roads(plan: Plan) -> _Roads:
    targets = {
        plan.jobs[cell.key].parents[0] for cell in plan.cells if cell.train_language and plan.jobs[cell.key].parents
    }
    trained: dict[tuple[str, Side], list[Data]] = {}
    scored: dict[Side, Data] = {}
    pairs: set[tuple[str, Side, Side]] = set()
    for job in plan.jobs.values():
        if not isinstance(job.spec, PredictSpec):
            continue
        side = _side(job.spec.data)
        scored[side] = max(scored.get(side, job.spec.data), job.spec.data, key=_asked_for)
        for stage, data in _before(plan, job, targets):
            trained.setdefault((stage, _side(data)), []).append(data)
            pairs.add((stage, _side(data), side))
    return _Roads({key: _largest(plan, parts) for key, parts in trained.items()}, dict(sorted(scored.items())), pairs)


def _before(plan: Plan, job: Job, targets: set[str]) -> Iterator[tuple[str, Data]]:
    """(stage, data) of every training before a job."""
    for key in job.parents:
        parent = plan.jobs[key]
        if isinstance(parent.spec, PretrainSpec):
            yield from (("pretraining", data) for data in parent.spec.text)
        elif isinstance(parent.spec, TrainSpec):
            yield from (("target" if key in targets else "intermediate", data) for data in parent.spec.mixture)
            yield from (("selection", data) for data in parent.spec.dev if parent.spec.recipe.select)
        elif isinstance(parent.spec, LayerSpec):
            yield from (("selection", data) for data in parent.spec.data)
        yield from _before(plan, parent, targets)


def _largest(plan: Plan, parts: list[Data]) -> list[Data]:
    """Of each seed the largest subset, which holds the others; where all of a file is read, nothing else is needed."""
    by_seed: dict[int, Data] = {}
    for data in parts:
        by_seed[data.seed] = max(by_seed.get(data.seed, data), data, key=_asked_for)
    whole = [data for data in by_seed.values() if data.size is None]
    ends = bool(whole) and _size(plan, whole[0]) is not None  # generated data has no end
    return whole if ends else [by_seed[seed] for seed in sorted(by_seed)]


def _size(plan: Plan, data: Data) -> int | None:
    task = plan.tasks[data.task]
    return task.source.size(task, data.language, data.split, plan.data)


def _asked_for(data: Data) -> float:
    return float("inf") if data.size is None else data.size


def _side(data: Data) -> Side:
    return Side(data.task, data.language, data.split)


def _read(plan: Plan, data: Data) -> Iterator[Any]:
    task = plan.tasks[data.task]
    return task.source.read(task, data.language, data.split, plan.data, size=data.size, seed=data.seed)


def _scored(plan: Plan, data: Data) -> Iterator[Any]:
    """The examples that are asked something (candidates of a pool are not)."""
    format = formats.get(plan.tasks[data.task].format)
    return (example for example in _read(plan, data) if format.gold(example) is not None)


def _chunks(examples: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(examples, CHUNK)):
        yield chunk


def _asked(plan: Plan, data: Data) -> tuple[Hashes, np.ndarray, int]:
    format = formats.get(plan.tasks[data.task].format)
    parts: list[Hashes] = []
    owners: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    count = texts = 0
    for chunk in _chunks(_scored(plan, data)):
        lines = [format.texts(example) for example in chunk]
        found = hashed([text for line in lines for text in line])
        parts.append(replace(found, owner=found.owner + texts))
        owners.append(np.repeat(np.arange(count, count + len(chunk)), list(map(len, lines))))
        count, texts = count + len(chunk), texts + len(found.whole)
    if not parts:
        return hashed([]), owners[0], 0
    joined = Hashes(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("long", "whole", "grams", "owner"))
    )
    return joined, np.concatenate(owners), count


def _stream(plan: Plan, data: Data, seen: Seen) -> None:
    format = formats.get(plan.tasks[data.task].format)
    for chunk in _chunks(_read(plan, data)):
        lines = [(example.id, text) for example in chunk for text in format.texts(example)]
        seen.add([text for _, text in lines], [name for name, _ in lines])


def _quoted(
    plan: Plan, roads: _Roads, sets: dict[Side, Asked], found: list[tuple[Finding, Overlap, Seen]]
) -> Iterator[Finding]:
    """The findings with a few examples each; every scored set is read once more for them."""
    wanted: dict[Side, dict[int, Any]] = {}
    chosen: list[list[tuple[int, str]]] = []
    for finding, overlap, seen in found:
        asked = sets[finding.scored]
        order = [*np.flatnonzero(overlap.same_texts)[:SHOWN], *np.flatnonzero(overlap.near_texts)[:SHOWN]][:SHOWN]
        origins = [seen.origin.get(int(asked.whole[text]), "") if overlap.same_texts[text] else "" for text in order]
        chosen.append(list(zip(map(int, order), origins, strict=True)))
        wanted.setdefault(finding.scored, {}).update(dict.fromkeys(int(asked.example[text]) for text in order))
    for side, examples in wanted.items():
        for position, example in enumerate(_scored(plan, roads.scored[side])):
            if position in examples:
                examples[position] = example
    for (finding, _, _), texts in zip(found, chosen, strict=True):
        asked, format = sets[finding.scored], formats.get(plan.tasks[finding.scored.task].format)
        quotes = []
        for text, origin in texts:
            owner = int(asked.example[text])
            example = wanted[finding.scored][owner]
            line = format.texts(example)[text - int(np.searchsorted(asked.example, owner))]
            quotes.append(Quote(example.id, origin, line if len(line) <= QUOTED else line[:QUOTED].rstrip() + " ..."))
        yield replace(finding, quotes=tuple(quotes))


def _known(roads: _Roads) -> list[Known]:
    met: dict[tuple[str, str, bool, str], set[str]] = {}
    for stage, trained, scored in roads.pairs:
        for relation in RELATIONS:
            if relation.holds((trained.task, trained.split), (scored.task, scored.split)):
                sides = (f"{trained.task} {trained.split}", f"{scored.task} {scored.split}")
                met.setdefault((*sides, relation.leak, relation.says), set()).add(stage)
    found = [
        Known(tuple(stage for stage in STAGES if stage in stages), trained, scored, leak, says)
        for (trained, scored, leak, says), stages in met.items()
    ]
    return sorted(found, key=lambda known: (not known.leak, known.trained, known.scored, known.says))
