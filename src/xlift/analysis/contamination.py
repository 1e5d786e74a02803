"""Contamination check: texts that a pipeline both trains on and is scored on, and known relations of data sets.

For every prediction of a study it compares the data of all earlier stages (including pretraining text, which has no
labels) with the scored examples. overlap.py has the rules of comparison, relations.py the relations. The store keeps
the report (contamination_report.py) with a digest of the compared data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from xlift.analysis.contamination_report import (
    ContaminationReport,
    DataSplit,
    Finding,
    KnownRelation,
    Quote,
    digest_jobs,
)
from xlift.analysis.overlap import Index, Overlap, ScoredSet, TextHashes, TrainingTexts, hash_texts
from xlift.analysis.relations import RELATIONS
from xlift.studies.examples import read_data
from xlift.studies.job import Data, Job, LayerSpec, PredictSpec, PretrainSpec, Subset, TrainSpec
from xlift.studies.plan import Plan
from xlift.tasks import formats
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.sources.generated import DEFAULT_NUM_EXAMPLES

VERSION = 1
"""Raised if the same data would give different findings."""
CHUNK_SIZE = 5_000
"""Examples hash_texts at a time."""
MAX_QUOTES = 3
"""Quoted examples per finding."""
MAX_QUOTE_LENGTH = 160
"""Characters per quote."""
STAGES = ("pretraining", "intermediate", "target", "selection")
"""'selection': data that chooses a layer or a checkpoint; nothing is trained on it."""


@dataclass(frozen=True)
class _ComparedData:
    """Training data by (stage, split), scored data by split, and the (stage, trained, scored) pairs to compare."""

    trained: dict[tuple[str, DataSplit], list[Data]]
    scored: dict[DataSplit, Data]
    pairs: set[tuple[str, DataSplit, DataSplit]]


def data_digest(plan: Plan) -> str:
    """Digest of everything that determines the result of `check_contamination`, including the bytes of the data."""
    compared = _collect_data(plan)

    def dump(data: Data) -> dict[str, Any]:
        return data.model_dump(mode="json", exclude={"max_length", "options"})

    content = {
        "version": VERSION,
        "trained": [
            [stage, asdict(side), list(map(dump, parts))] for (stage, side), parts in sorted(compared.trained.items())
        ],
        "scored": [dump(data) for _, data in sorted(compared.scored.items())],
        "pairs": sorted([stage, str(trained), str(scored)] for stage, trained, scored in compared.pairs),
        "relations": [asdict(relation) for relation in RELATIONS],
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def num_examples_to_read(plan: Plan) -> int:
    """Number of examples that `check_contamination` reads; the default size for data of unknown size."""
    compared = _collect_data(plan)
    parts = [*(data for parts in compared.trained.values() for data in parts), *compared.scored.values()]
    return sum(data.size or _size(plan, data) or DEFAULT_NUM_EXAMPLES[data.split] for data in parts)


def check_contamination(plan: Plan) -> ContaminationReport:
    """Compare all training texts of a plan with all scored examples.

    Takes about 8 bytes of memory per word of the scored texts. Training texts are streamed.

    Raises:
        UserError: a file cannot be read.
    """
    compared = _collect_data(plan)
    splits = list(compared.scored)
    sets = [_hash_scored(plan, compared.scored[split]) for split in splits]
    index = Index(sets)
    findings: list[tuple[Finding, Overlap, TrainingTexts]] = []
    num_texts = 0
    for (stage, trained), parts in sorted(compared.trained.items()):
        training_texts = TrainingTexts(index)
        for data in parts:
            _stream_texts(plan, data, training_texts)
        num_texts += training_texts.num_texts
        for split, scored in zip(splits, index.sets, strict=True):
            if (stage, trained, split) not in compared.pairs:
                continue
            overlap = training_texts.find_overlap(scored)
            exact, all_exact, near = (int(mask.sum()) for mask in (overlap.exact, overlap.all_exact, overlap.near))
            if exact or near:
                finding = Finding(stage, trained, split, scored.num_examples, exact, all_exact, near)
                findings.append((finding, overlap, training_texts))
    sets_by_split = dict(zip(splits, index.sets, strict=True))
    return ContaminationReport(
        data_digest=data_digest(plan), jobs_digest=digest_jobs(plan.jobs), num_training_sets=len(compared.trained),
        num_training_texts=num_texts, num_scored_sets=len(splits),
        num_scored_examples=sum(scored.num_examples for scored in index.sets),
        findings=tuple(_add_quotes(plan, compared, sets_by_split, findings)),
        known_relations=tuple(_find_relations(compared)),
    )  # fmt: skip


def _collect_data(plan: Plan) -> _ComparedData:
    starts = (plan.jobs[cell.key].start for cell in plan.cells if cell.train_language)
    targets = {start.job for start in starts if start}
    trained: dict[tuple[str, DataSplit], list[Data]] = {}
    scored: dict[DataSplit, Data] = {}
    pairs: set[tuple[str, DataSplit, DataSplit]] = set()
    for job in plan.jobs.values():
        if not isinstance(job.spec, PredictSpec):
            continue
        split = _split(job.spec.data)
        scored[split] = max(scored.get(split, job.spec.data), job.spec.data, key=_requested_size)
        for stage, data in _earlier_data(plan, job, targets):
            trained.setdefault((stage, _split(data)), []).append(data)
            pairs.add((stage, _split(data), split))
    return _ComparedData(
        {key: _largest(plan, parts) for key, parts in trained.items()}, dict(sorted(scored.items())), pairs
    )


def _earlier_data(plan: Plan, job: Job, targets: set[str]) -> Iterator[tuple[str, Data]]:
    """(stage, data) of every stage before a job."""
    for key in job.parents:
        parent = plan.jobs[key]
        if isinstance(parent.spec, PretrainSpec):
            yield from (("pretraining", data) for data in parent.spec.text)
        elif isinstance(parent.spec, TrainSpec):
            yield from (("target" if key in targets else "intermediate", data) for data in parent.spec.parts)
            yield from (
                ("selection", data)
                for data in parent.spec.dev
                if parent.spec.recipe.early_stopping or parent.spec.lr_choices
            )
        elif isinstance(parent.spec, LayerSpec):
            yield from (("selection", data) for data in parent.spec.data)
        yield from _earlier_data(plan, parent, targets)


def _largest(plan: Plan, parts: list[Data]) -> list[Data]:
    """The largest subset of each seed and exclusion, which contains the smaller ones; or the whole file if some part reads it."""
    largest: dict[tuple[int, tuple[Subset, ...]], Data] = {}
    for data in parts:
        key = (data.seed, data.excluded)
        largest[key] = max(largest.get(key, data), data, key=_requested_size)
    whole = [data for data in largest.values() if data.size is None]
    is_finite = bool(whole) and _size(plan, whole[0]) is not None  # generated data is unlimited
    return whole if is_finite else sorted(largest.values(), key=lambda data: data.seed)


def _size(plan: Plan, data: Data) -> int | None:
    task = plan.tasks[data.task]
    return task.source.size(task, data.language, data.split, plan.data)


def _requested_size(data: Data) -> float:
    return float("inf") if data.size is None else data.size


def _split(data: Data) -> DataSplit:
    return DataSplit(data.task, data.language, data.split)


def _read(plan: Plan, data: Data) -> Iterator[Any]:
    return read_data(data, plan.tasks, plan.data)


def _read_scored(plan: Plan, data: Data) -> Iterator[Any]:
    """The examples that need a prediction, without the candidates of a pool."""
    format = formats.get(plan.tasks[data.task].format)
    return (example for example in _read(plan, data) if format.gold(example) is not None)


def _chunks(examples: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(examples, CHUNK_SIZE)):
        yield chunk


def _hash_scored(plan: Plan, data: Data) -> tuple[TextHashes, np.ndarray, int]:
    format = formats.get(plan.tasks[data.task].format)
    parts: list[TextHashes] = []
    examples: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    num_examples = num_texts = 0
    for chunk in _chunks(_read_scored(plan, data)):
        texts_by_example = [format.texts(example) for example in chunk]
        hashes = hash_texts([text for texts in texts_by_example for text in texts])
        parts.append(replace(hashes, owner=hashes.owner + num_texts))
        example = np.arange(num_examples, num_examples + len(chunk))
        examples.append(np.repeat(example, list(map(len, texts_by_example))))
        num_examples, num_texts = num_examples + len(chunk), num_texts + len(hashes.whole)
    if not parts:
        return hash_texts([]), examples[0], 0
    arrays = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("is_long", "whole", "ngrams", "owner")
    )
    return TextHashes(*arrays), np.concatenate(examples), num_examples


def _stream_texts(plan: Plan, data: Data, training_texts: TrainingTexts) -> None:
    format = formats.get(plan.tasks[data.task].format)
    for chunk in _chunks(_read(plan, data)):
        lines = [(example.id, text) for example in chunk for text in format.texts(example)]
        training_texts.add([text for _, text in lines], [name for name, _ in lines])


def _add_quotes(
    plan: Plan,
    compared: _ComparedData,
    sets: dict[DataSplit, ScoredSet],
    findings: list[tuple[Finding, Overlap, TrainingTexts]],
) -> Iterator[Finding]:
    """The findings with a few quoted examples each. Reads every scored set once more."""
    quoted_examples: dict[DataSplit, dict[int, Any]] = {}
    quoted_texts: list[list[tuple[int, str]]] = []
    for finding, overlap, training_texts in findings:
        scored = sets[finding.scored]
        exact, near = np.flatnonzero(overlap.exact_texts), np.flatnonzero(overlap.near_texts)
        texts = [*exact[:MAX_QUOTES], *near[:MAX_QUOTES]][:MAX_QUOTES]
        first_ids = training_texts.first_id
        origins = [first_ids.get(int(scored.whole[text]), "") if overlap.exact_texts[text] else "" for text in texts]
        quoted_texts.append(list(zip(map(int, texts), origins, strict=True)))
        examples = dict.fromkeys(int(scored.example[text]) for text in texts)
        quoted_examples.setdefault(finding.scored, {}).update(examples)
    for split, examples in quoted_examples.items():
        for position, example in enumerate(_read_scored(plan, compared.scored[split])):
            if position in examples:
                examples[position] = example
    for (finding, _, _), texts in zip(findings, quoted_texts, strict=True):
        scored, format = sets[finding.scored], formats.get(plan.tasks[finding.scored.task].format)
        quotes = []
        for text, origin in texts:
            position = int(scored.example[text])
            example = quoted_examples[finding.scored][position]
            line = format.texts(example)[text - int(np.searchsorted(scored.example, position))]
            short = line if len(line) <= MAX_QUOTE_LENGTH else line[:MAX_QUOTE_LENGTH].rstrip() + " ..."
            quotes.append(Quote(example.id, origin, short))
        yield replace(finding, quotes=tuple(quotes))


def _find_relations(compared: _ComparedData) -> list[KnownRelation]:
    stages_by_relation: dict[tuple[str, str, bool, str], set[str]] = {}
    for stage, trained, scored in compared.pairs:
        for relation in RELATIONS:
            if relation.applies_to((trained.task, trained.split), (scored.task, scored.split)):
                splits = (f"{trained.task} {trained.split}", f"{scored.task} {scored.split}")
                key = (*splits, relation.is_contamination, relation.description)
                stages_by_relation.setdefault(key, set()).add(stage)
    known = [
        KnownRelation(tuple(stage for stage in STAGES if stage in stages), *key)
        for key, stages in stages_by_relation.items()
    ]
    return sorted(known, key=lambda each: (not each.is_contamination, each.trained, each.scored, each.description))
