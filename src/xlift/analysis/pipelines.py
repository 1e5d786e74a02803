"""Finished pipelines of a store, their training lineage and their tasks; pipeline_choice.py finds them.

trace_lineage(pipeline.key, store).stages        # the training stages, in order
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.artifact import Artifact
from xlift.studies.job import Data, MergeSpec, PretrainSpec, TextMode, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Cell
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.tasks.sources.holdout import hold_out, parse_holdout
from xlift.tasks.task import Task

PIPELINE_FIELDS = ("model", "target", "train_language", "intermediate", "intermediate_language", "size", "seed")
"""The fields that identify a pipeline of a study, as in the rows of `xlift report --json`."""
TRAINING_FILE = "training.json"
TEXT_HEAD = "TEXT"
"""The head without weights that text mode uses (models/text_mode.py)."""


@dataclass(frozen=True)
class Pipeline:
    """A trained model of a store and how it predicts."""

    key: str
    """Of the job that trained the model."""
    head: str = ""
    """The head that predicts; '' if hidden states are pooled, TEXT_HEAD in text mode."""
    task: str = ""
    """The task it predicts; '' if unknown."""
    record: Record | None = None
    """Of the study that contains it."""
    cells: tuple[Cell, ...] = ()
    """Its cells, one for each language it was scored in; those with noise come last."""
    max_length: int = 128
    """Tokens per row in its predictions."""
    options: Mapping[str, Any] | None = None
    """For retrieval: layer, pooling, center."""
    text_mode: TextMode | None = None
    """The prompt settings of text mode."""
    selection_note: str = ""
    """One sentence that says how it was selected among others."""

    @property
    def field_values(self) -> dict[str, str]:
        """Field -> value, for the PIPELINE_FIELDS that are not empty."""
        if not self.cells:
            return {}
        return {name: value for name in PIPELINE_FIELDS if (value := field_value(self.cells[0], name))}


def field_value(cell: Cell, name: str) -> str:
    """The value of one of the PIPELINE_FIELDS, as text."""
    return str(getattr(cell, name))


@dataclass(frozen=True)
class TaskInfo:
    """Facts about a task of the catalogue or of a study."""

    name: str
    title: str
    format: str
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    licence: str = ""
    url: str = ""
    citations: tuple[str, ...] = ()
    """BibTeX entries."""
    origins: tuple[str, ...] = ()
    optional_fields: dict[str, bool] = field(default_factory=dict)
    """Field that tasks of the format may lack -> whether this one has it."""


@dataclass(frozen=True)
class TrainedStage:
    """A training stage of a lineage."""

    key: str
    spec: TrainSpec
    numbers: TrainNumbers
    lr: float
    """Of the attempt that was kept."""
    dev: tuple[tuple[str, str, float], ...]
    """(task, language, score) on the dev data of the stage."""


@dataclass(frozen=True)
class TrainingLineage:
    """The training history of a model."""

    stages: tuple[TrainedStage, ...]
    """In order; for a merged model, those of all its parents."""
    pretrain: PretrainSpec | None = None
    fingerprint: str = ""
    """Of the pretrained model it starts from; '' if a job of the store pretrained it."""
    num_merged: int = 0
    """Number of models merged; 0 without a merge."""
    is_incomplete: bool = False
    """Whether an ancestor is no longer in the store."""


# --- lineage ----------------------------------------------------------------------------------------------------------


def trace_lineage(key: str, store: Store) -> TrainingLineage:
    """The training lineage of the model of a job.

    Raises:
        UserError: a manifest is damaged, or was written by another version of xlift.
    """
    if not store.has(key):
        return TrainingLineage((), is_incomplete=True)
    artifact = store.open(key, verify=False)
    manifest = artifact.manifest
    try:
        if manifest["kind"] == "pretrain":
            return TrainingLineage((), PretrainSpec.model_validate(manifest["spec"]))
        if manifest["kind"] == "merge":
            spec = MergeSpec.model_validate(manifest["spec"])
            lineages = [trace_lineage(parent, store) for parent in spec.merged]
            stages = {stage.key: stage for each in lineages for stage in each.stages}
            return replace(lineages[0], stages=tuple(stages.values()), num_merged=len(lineages))
        spec = TrainSpec.model_validate(manifest["spec"])
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"written by another version of xlift: {first['msg']} {first['loc']}", where=key) from None
    before = (
        trace_lineage(spec.model.job, store)
        if spec.model.job
        else TrainingLineage((), fingerprint=spec.model.fingerprint)
    )
    return replace(before, stages=(*before.stages, _read_stage(artifact, spec)))


def _read_stage(artifact: Artifact, spec: TrainSpec) -> TrainedStage:
    numbers, has_file = artifact.numbers, TRAINING_FILE in artifact.manifest["files"]
    assert isinstance(numbers, TrainNumbers)
    path = artifact.file(TRAINING_FILE) if has_file else artifact.folder / TRAINING_FILE
    try:
        attempts = parse_json(path.read_bytes()).get("attempts", [])
        last = attempts[-1] if attempts else {"lr": spec.recipe.lr, "dev": []}
        dev = tuple((str(each["task"]), str(each["language"]), float(each["score"])) for each in last.get("dev", ()))
        return TrainedStage(artifact.key, spec, numbers, float(last["lr"]), dev)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{TRAINING_FILE} is missing or damaged", where=str(path.parent),
            fix="`xlift store verify --repair` moves damaged artifacts aside; `xlift run` makes them again.",
        ) from None  # fmt: skip


def training_data(trace_lineage: TrainingLineage) -> Iterator[Data]:
    """All training data, including that of pretraining."""
    if trace_lineage.pretrain:
        yield from trace_lineage.pretrain.text
    for stage in trace_lineage.stages:
        yield from stage.spec.parts


def declarations(record: Record | None) -> dict[str, dict[str, Any]]:
    """Name -> declaration of each custom task of a study."""
    return {each["name"]: each for each in record.study.tasks if "format" in each} if record else {}


def catalogue_task(name: str, record: Record | None) -> Task:
    """A task of the catalogue, without the rows that the study holds out of its training data."""
    task = catalog.get(name)
    for declaration in record.study.tasks if record else ():
        if declaration["name"] == name and "format" not in declaration:
            task = hold_out(task, parse_holdout(declaration["holdout"], name), name)
    return task


def task_info(task: str, record: Record | None) -> TaskInfo:
    """Information about a task from the study that declares it, else from the catalogue, else from its record."""
    note = record.tasks.get(task) if record else None
    origins = note.origins if note else ()
    declared = declarations(record)
    if task in declared:
        declaration = declared[task]
        return TaskInfo(
            task, declaration.get("title") or task, declaration["format"], tuple(declaration.get("labels", ())), note.metrics if note else (),
            declaration.get("licence", ""), origins=origins, optional_fields=note.optional_fields if note else {},
        )  # fmt: skip
    if task in catalog.names():
        entry = catalog.get(task)
        citations = tuple(catalog.citations()[key] for key in entry.citations)
        return TaskInfo(
            task, entry.title, entry.format, entry.labels, entry.metrics, entry.licence, entry.url, citations, origins
        )
    return TaskInfo(task, note.title if note else task, note.format if note else "", origins=origins)


def is_plain_text(task: str) -> bool:
    format = task_info(task, None).format  # empty for a task that is in no study
    return bool(format) and formats.get(format).is_plain_text
