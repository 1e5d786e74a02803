"""Finished pipelines of a store: found by the fields of a report's rows or by the key of a job, with their training
lineage.

pipeline = choose_pipeline(record, store, {"target": "isle-nli", "intermediate": "isle-qa", "seed": "1"})
trace_lineage(pipeline.key, store).stages        # the training stages, in order
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from xlift.errors import UserError, did_you_mean
from xlift.studies.artifact import Artifact
from xlift.studies.job import Data, MergeSpec, PredictSpec, PretrainSpec, TextMode, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Cell
from xlift.studies.record import Record, list_studies, read_record
from xlift.studies.store import Store
from xlift.tasks import catalog, formats

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
        return {name: value for name in PIPELINE_FIELDS if (value := _name(self.cells[0], name))} if self.cells else {}


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


# --- lookup -----------------------------------------------------------------------------------------------------------


def choose_pipeline(record: Record, store: Store, wanted: Mapping[str, str], *, best: bool = False) -> Pipeline:
    """The only finished pipeline of a study with these field values.

    Args:
        wanted: some of PIPELINE_FIELDS -> value.
        best: of several, take the row with the highest mean over seeds on dev data of the languages that its target was
            trained on, and its best seed. Languages that were only scored do not count.

    Raises:
        UserError: no pipeline or more than one matches; or `best` is set and there is no dev score.
    """
    groups = _finished(record, store)
    if not groups:
        raise UserError(
            f"no pipeline of '{record.name}' is finished", where=str(store.root), fix=f"run `xlift run {record.name}` first."
        )  # fmt: skip
    for name, value in wanted.items():
        values = _values(groups, name)
        if value not in values:
            raise UserError(
                f"no finished pipeline has {_option(name)} '{value}'" + (" and the other options" if len(wanted) > 1 else ""),
                fix=f"{did_you_mean(value, values)}Values: {_listed(values)}.",
            )  # fmt: skip
        groups = [cells for cells in groups if _name(cells[0], name) == value]
    groups = [cells for cells in groups if _is_trained(store, cells[0])] or groups[
        :1
    ]  # an untrained one raises an error below
    if best:
        return _best([_make_pipeline(record, store, cells) for cells in groups], store)
    if len(groups) > 1:
        lines = [f"{_option(name)} {_listed(_values(groups, name))}" for name in _distinguishing_fields(groups)]
        raise UserError(
            f"{len(groups)} pipelines match", fix="Choose with:\n    " + "\n    ".join(lines) + "\n  or --best."
        )
    return _make_pipeline(record, store, groups[0])


def find_pipeline_by_key(store: Store, key_prefix: str, head: str = "") -> Pipeline:
    """The model of a job, or the model behind a prediction.

    Args:
        key_prefix: start of the key, long enough to be unique.
        head: the head that predicts, if the model has several.

    Raises:
        UserError: no job or more than one matches; the job made no model; or the head is ambiguous.
    """
    found = [entry.key for entry in store.ls() if entry.status == "done" and entry.key.startswith(key_prefix)]
    if len(found) != 1:
        raise UserError(
            f"{'no' if not found else 'more than one'} artifact has a key that starts with '{key_prefix}'",
            fix="`xlift store ls` lists them." if not found else "give more digits of the key.",
        )
    manifest = store.open(found[0], verify=False).manifest
    if manifest["kind"] == "predict":
        key, spec = _read_prediction(store, found[0])
        return _with_cells(store, _of_prediction(key, spec))
    if manifest["kind"] not in ("train", "merge", "pretrain"):
        raise UserError(
            f"a {manifest['kind']} job makes no model",
            where=found[0],
            fix="give the key of a train, merge, pretrain or predict job.",
        )
    pipeline = Pipeline(found[0])
    if manifest["kind"] == "train":
        spec = TrainSpec.model_validate(manifest["spec"])
        data_by_head = {spec.head or data.task: data for data in spec.mixture if not _is_plain_text(data.task)}
        if head and head not in data_by_head:
            raise UserError(
                f"the model has no head '{head}'",
                where=found[0],
                fix=f"Heads: {_listed(list(data_by_head)) or 'none'}.",
            )
        if len(data_by_head) > 1 and not head:
            raise UserError(
                f"the model has {len(data_by_head)} heads",
                where=found[0],
                fix=f"choose one with --head: {', '.join(data_by_head)}.",
            )
        for name, data in data_by_head.items():
            if name == (head or name):
                max_length = spec.recipe.max_length or data.max_length
                name = TEXT_HEAD if spec.text_mode else name
                pipeline = Pipeline(found[0], name, data.task, max_length=max_length, text_mode=spec.text_mode)
    elif head:
        pipeline = Pipeline(found[0], head, head)
    return _with_cells(store, pipeline)


def _with_cells(store: Store, pipeline: Pipeline) -> Pipeline:
    """The pipeline with its cells in a study of the store, if there is one."""
    head = "" if pipeline.text_mode else pipeline.head  # predictions in text mode name no head
    for name in list_studies(store):
        try:
            record = read_record(store, name)
        except UserError:  # damaged; try the next
            continue
        for cells in _finished(record, store):
            spec = _prediction_spec(store, cells[0].key)
            if (spec.model.job, spec.head, spec.data.task) == (pipeline.key, head, pipeline.task):
                return _make_pipeline(record, store, cells)
    return pipeline


def _finished(record: Record, store: Store) -> list[tuple[Cell, ...]]:
    """The cells of each pipeline with at least one prediction, in the order of the study."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in record.cells:
        if store.has(cell.key):
            groups.setdefault(tuple(_name(cell, name) for name in PIPELINE_FIELDS), []).append(cell)
    return [tuple(sorted(cells, key=lambda cell: bool(cell.noise))) for cells in groups.values()]


def _make_pipeline(record: Record, store: Store, cells: tuple[Cell, ...]) -> Pipeline:
    key, spec = _read_prediction(store, cells[0].key)
    return replace(_of_prediction(key, spec), record=record, cells=cells)


def _is_trained(store: Store, cell: Cell) -> bool:
    """Whether a job trained the model, so that it is not the pretrained one."""
    return bool(_prediction_spec(store, cell.key).model.job)


def _prediction_spec(store: Store, key: str) -> PredictSpec:
    return PredictSpec.model_validate(store.open(key, verify=False).manifest["spec"])


def _of_prediction(key: str, spec: PredictSpec) -> Pipeline:
    max_length = spec.options.get("max_length") or spec.data.max_length
    return Pipeline(
        key, spec.head, spec.data.task, max_length=max_length, options=spec.options, text_mode=spec.text_mode
    )


def _read_prediction(store: Store, key: str) -> tuple[str, PredictSpec]:
    """The key of the job that trained the model behind a prediction, and the spec of the prediction."""
    spec = _prediction_spec(store, key)
    if not spec.model.job:
        raise UserError(
            "this pipeline trains nothing: it uses the pretrained model unchanged",
            where=key, fix="use that model itself, or choose a pipeline with an intermediate stage.",
        )  # fmt: skip
    return spec.model.job, spec


def _best(pipelines: Sequence[Pipeline], store: Store) -> Pipeline:
    targets = list(dict.fromkeys(pipeline.cells[0].target for pipeline in pipelines))
    if len(targets) > 1:
        raise UserError("--best needs one target", fix=f"choose it with --target: {_listed(targets)}.")
    rows: dict[tuple[str, ...], list[tuple[float, Pipeline]]] = {}
    where = ""
    for pipeline in pipelines:
        last = trace_lineage(pipeline.key, store).stages[-1:]
        dev = [] if not last or not pipeline.head and not pipeline.text_mode else list(last[0].dev)
        if not dev:
            raise UserError(
                f"no dev score to choose by: {_describe(pipeline)} was not evaluated on dev",
                fix="choose the pipeline by its options; `xlift report` lists all. Stages are evaluated on dev if `retries` is above 0 or "
                "`early_stopping` is set.",
            )  # fmt: skip
        where = " and ".join(dict.fromkeys(f"{task} dev in {language}" for task, language, _ in dev))
        row = tuple(_name(pipeline.cells[0], name) for name in PIPELINE_FIELDS if name != "seed")
        rows.setdefault(row, []).append((sum(score for *_, score in dev) / len(dev), pipeline))
    means = {row: sum(score for score, _ in each) / len(each) for row, each in rows.items()}
    top = max(means, key=lambda row: means[row])
    score, pipeline = max(rows[top], key=lambda pair: pair[0])
    candidates = f"{len(rows)} rows" if len(rows) > 1 else "one row"
    seeds = f"seed {pipeline.cells[0].seed} has {score:.3f}, the mean of {len(rows[top])} is {means[top]:.3f}"
    return replace(
        pipeline,
        selection_note=f"Best of {candidates} on {where} ({seeds}). Languages that are only scored did not count.",
    )


def _name(cell: Cell, name: str) -> str:
    return str(getattr(cell, name))


def _values(groups: Sequence[tuple[Cell, ...]], name: str) -> list[str]:
    return list(dict.fromkeys(_name(cells[0], name) for cells in groups))


def _distinguishing_fields(groups: Sequence[tuple[Cell, ...]]) -> list[str]:
    """The fields that distinguish the pipelines, without those determined by earlier ones."""
    fields: list[str] = []
    for name in PIPELINE_FIELDS:
        parts = {tuple(_name(cells[0], each) for each in fields) for cells in groups}
        finer = {tuple(_name(cells[0], each) for each in (*fields, name)) for cells in groups}
        if len(finer) > len(parts):
            fields.append(name)
    return fields


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _listed(values: Sequence[str]) -> str:
    shown = [value or "''" for value in values[:20]]
    return ", ".join(shown) + (", ..." if len(values) > 20 else "")


def _describe(pipeline: Pipeline) -> str:
    return " ".join(pipeline.field_values.values())


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
    path, numbers = artifact.folder / TRAINING_FILE, artifact.numbers
    assert isinstance(numbers, TrainNumbers)
    try:
        attempts = json.loads(path.read_text(encoding="utf-8")).get("attempts", [])
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


def task_info(task: str, record: Record | None) -> TaskInfo:
    """Information about a task from the study that declares it, else from the catalogue, else from its record."""
    note = record.tasks.get(task) if record else None
    origins = note.origins if note else ()
    declared = {each["name"]: each for each in record.study.tasks} if record else {}
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


def _is_plain_text(task: str) -> bool:
    format = task_info(task, None).format  # empty for a task that is in no study
    return bool(format) and formats.get(format).is_plain_text
