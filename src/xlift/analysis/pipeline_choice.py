"""Find a finished pipeline of a store: by the fields of a report's rows, by the key of a job, or the best on dev data.

pipeline = choose_pipeline(record, store, {"target": "isle-nli", "intermediate": "isle-qa", "seed": "1"})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from xlift.analysis.pipelines import (
    PIPELINE_FIELDS,
    TEXT_HEAD,
    Pipeline,
    TrainedStage,
    declarations,
    field_value,
    is_plain_text,
    trace_lineage,
)
from xlift.errors import UserError, did_you_mean
from xlift.studies.job import PredictSpec, TrainSpec
from xlift.studies.plan import Cell
from xlift.studies.record import Record, list_studies, read_record
from xlift.studies.store import Store
from xlift.units import count_noun, is_or_are

MAX_LINES = 8
"""Pipelines named in a message."""


def choose_pipeline(
    record: Record, store: Store, wanted: Mapping[str, str], *, best: bool = False, study: str = ""
) -> Pipeline:
    """The only finished pipeline of a study with these field values.

    Args:
        wanted: some of PIPELINE_FIELDS -> value. A control is found only by its `intermediate`.
        best: of several, take the row with the highest mean over seeds on dev data of the languages that its target was
            trained on, and its best seed. Languages that were only scored do not count.
        study: what `xlift run` is given to run the study, for messages; default: its name.

    Raises:
        UserError: no pipeline or more than one matches; its predictions are missing; or `best` is set and there is no dev
            score. The message names what is missing, and the command that makes it.
    """
    command = f"xlift run {study or record.name}"
    planned = [cell for cell in record.cells if "intermediate" in wanted or not cell.control]
    if not planned:
        raise UserError(f"'{record.name}' has no targets, so there is no pipeline to choose", where=store.where)
    for name, value in wanted.items():
        values = _values([(cell,) for cell in planned], name)
        if value not in values:
            others = " and the other options" if len(wanted) > 1 else ""
            raise UserError(
                f"no pipeline of '{record.name}' has {_option(name)} '{value}'{others}",
                fix=f"{did_you_mean(value, values)}Values: {_listed(values)}.",
            )
        planned = [cell for cell in planned if field_value(cell, name) == value]
    unfinished = [cells for cells in _group(planned) if not any(store.has(cell.key) for cell in cells)]
    groups = _group(cell for cell in planned if store.has(cell.key))
    if not groups:
        chosen = " ".join(f"{_option(name)} {value}" for name, value in wanted.items())
        raise UserError(
            f"no pipeline of '{record.name}'{f' with {chosen}' if chosen else ''} is finished: "
            f"{_missing_jobs(record, store)}, among them all predictions of\n    {_listed_pipelines(unfinished)}",
            where=store.where, fix=f"`{command}` does them.",
        )  # fmt: skip
    trained = [cells for cells in groups if _is_trained(store, cells[0])]
    groups = trained or groups[:1]  # an untrained one raises an error below
    if best:
        chosen = _best([_make_pipeline(record, store, cells) for cells in groups], store, record, command)
        if not unfinished:
            return chosen
        note = f" {len(unfinished)} more did not count, since they are not finished ({_missing_jobs(record, store)}): `{command}`."
        return replace(chosen, selection_note=chosen.selection_note + note)
    if len(groups) > 1:
        lines = [f"{_option(name)} {_listed(_values(groups, name))}" for name in _distinguishing_fields(groups)]
        raise UserError(
            f"{len(groups)} pipelines match", fix="Choose with:\n    " + "\n    ".join(lines) + "\n  or --best."
        )
    return _make_pipeline(record, store, groups[0])


def _missing_jobs(record: Record, store: Store) -> str:
    missing = sum(not store.has(key) for key in record.keys)
    return f"{missing} of {count_noun(len(record.keys), 'job')} {is_or_are(missing)} missing"


def _listed_pipelines(groups: Sequence[Sequence[Cell]]) -> str:
    """A line for each pipeline, at most MAX_LINES."""
    lines = []
    for cells in groups:
        fields = (f"{name.replace('_', ' ')} {field_value(cells[0], name)}" for name in PIPELINE_FIELDS if field_value(cells[0], name))  # fmt: skip
        lines.append(f"{', '.join(fields)}: {_listed(list(dict.fromkeys(cell.language for cell in cells)))}")
    rest = [f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    return "\n    ".join(lines[:MAX_LINES] + rest)


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
        data_by_head = {
            spec.head or data.task: data
            for data in spec.mixture
            if data.labels != "none" and not is_plain_text(data.task)
        }
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
        for cells in _group(cell for cell in record.cells if store.has(cell.key)):
            spec = _prediction_spec(store, cells[0].key)
            if (spec.model.job, spec.head, spec.data.task) == (pipeline.key, head, pipeline.task):
                return _make_pipeline(record, store, cells)
    return pipeline


def _group(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """The cells of each pipeline, in the order of the study; those with noise come last."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(field_value(cell, name) for name in PIPELINE_FIELDS), []).append(cell)
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


def _best(pipelines: Sequence[Pipeline], store: Store, record: Record, command: str) -> Pipeline:
    targets = list(dict.fromkeys(pipeline.cells[0].target for pipeline in pipelines))
    if len(targets) > 1:
        raise UserError("--best needs one target", fix=f"choose it with --target: {_listed(targets)}.")
    rows: dict[tuple[str, ...], list[tuple[float, Pipeline]]] = {}
    where = ""
    for pipeline in pipelines:
        last = trace_lineage(pipeline.key, store).stages[-1:]
        dev = [] if not last or not pipeline.head and not pipeline.text_mode else list(last[0].dev)
        if not dev:
            raise _no_dev_score(pipeline, last[0] if last else None, record, command)
        where = " and ".join(dict.fromkeys(f"{task} dev in {language}" for task, language, _ in dev))
        row = tuple(field_value(pipeline.cells[0], name) for name in PIPELINE_FIELDS if name != "seed")
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


def _no_dev_score(pipeline: Pipeline, stage: TrainedStage | None, record: Record, command: str) -> UserError:
    """The error for a pipeline that was not evaluated on dev data: why, and how to get a score."""
    what = f"no dev score to choose by: {_describe(pipeline)} was not evaluated on dev"
    choose = "choose the pipeline by its options; `xlift report` lists all"
    if stage is None or not pipeline.head and not pipeline.text_mode:
        return UserError(f"{what}, since its target is not trained", fix=f"{choose}.")
    if not stage.spec.dev and not stage.spec.recipe.retries and not stage.spec.recipe.early_stopping:
        fix = f"set `retries: 1` or `early_stopping` in `training:` and run `{command}` again; or {choose}."
        return UserError(f"{what}, since `retries` is 0 and `early_stopping` is not set", fix=fix)
    parts = dict.fromkeys((data.task, data.language) for data in stage.spec.mixture)
    without = [part for part in parts if part not in {(data.task, data.language) for data in stage.spec.dev}]
    names = _listed([f"{task} in '{language}'" for task, language in without or parts])
    task, language = (without or list(parts))[0]
    ways = f"hold out training rows: `tasks: [{{name: {task}, holdout: {{dev: 0.1}}}}]`"
    if task in declarations(record):
        ways = f"give '{task}' dev rows, `files: {{dev: {{{language}: ...}}}}` or `holdout: {{dev: 0.1}}`,"
    return UserError(
        f"{what}, since there are no dev data of {names}", fix=f"{ways} and run `{command}` again; or {choose}."
    )


def _values(groups: Sequence[tuple[Cell, ...]], name: str) -> list[str]:
    return list(dict.fromkeys(field_value(cells[0], name) for cells in groups))


def _distinguishing_fields(groups: Sequence[tuple[Cell, ...]]) -> list[str]:
    """The fields that distinguish the pipelines, without those determined by earlier ones."""
    fields: list[str] = []
    for name in PIPELINE_FIELDS:
        parts = {tuple(field_value(cells[0], each) for each in fields) for cells in groups}
        finer = {tuple(field_value(cells[0], each) for each in (*fields, name)) for cells in groups}
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
