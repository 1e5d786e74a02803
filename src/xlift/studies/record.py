"""The record of a study in its store: the study, and the keys of its jobs.

`xlift run` writes it, so that a report needs only the store, without the data or the study's file. `xlift store gc` keeps the
artifacts of recorded studies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from xlift.claims import ClaimsRecord, record_claims
from xlift.errors import UserError, did_you_mean
from xlift.language_tags import find_language
from xlift.strict_json import parse_json
from xlift.studies.estimate_check import EstimateCheck, parse_estimate_check
from xlift.studies.job import Data, PredictSpec, Spec, TrainSpec
from xlift.studies.plan import Cell, Plan
from xlift.studies.schema.intermediate import Control
from xlift.studies.store import Store
from xlift.studies.study import Study
from xlift.studies.study_file import StudyFile
from xlift.tasks import catalog
from xlift.tasks.sources.fallback import find_optional_fields, find_origins
from xlift.tasks.sources.holdout import describe_holdout
from xlift.tasks.task import Task

FOLDER = "studies"


@dataclass(frozen=True)
class TaskNote:
    """What a report shows about a task."""

    title: str
    format: str
    metrics: tuple[str, ...]
    origins: tuple[str, ...] = ()
    """Source of its examples: 'facebook/xnli@COMMIT' for the Hub, else the kind of its source."""
    faults: tuple[str, ...] = ()
    """Sentences on the known faults in its examples: how many rows, and whether they were corrected."""
    optional_fields: dict[str, bool] = field(default_factory=dict)
    """Of a custom task: field that tasks of the format may lack -> whether this one has it."""
    held_out: tuple[str, ...] = ()
    """Splits whose examples are held-out rows of the training files: 'test in en: 10%'."""
    examples_of: dict[str, str] = field(default_factory=dict)
    """Split -> 'task/split' that has the same examples, if another task has them."""


@dataclass(frozen=True)
class ConvertedModel:
    """What a report shows about a model that was converted before it was loaded."""

    name: str
    description: str
    """A clause: 'its pickled weights were converted to safetensors'."""
    source_digest: str
    """SHA-256 over the published files."""
    written_digest: str
    """SHA-256 over the converted files."""


@dataclass(frozen=True)
class Record:
    study: Study
    cells: tuple[Cell, ...]
    keys: tuple[str, ...]
    """Of all jobs."""
    tasks: dict[str, TaskNote]
    languages: tuple[dict[str, str], ...]
    """code, name, family, script and tier of every language in the study."""
    check: EstimateCheck | None = None
    """The estimate of the last run beside the time it took."""
    conversions: tuple[ConvertedModel, ...] = ()
    claims: ClaimsRecord | None = None
    """None if the study never had claims."""

    @property
    def name(self) -> str:
        return self.study.name


def make_record(file: StudyFile, plan: Plan, previous: Record | None = None) -> Record:
    """The record of a study.

    Args:
        previous: the study's record in the store, whose estimate check and first claims are kept.
    """
    languages = catalog.all_languages()
    codes = dict.fromkeys(code for cell in plan.cells for code in (cell.train_language, cell.language) if code)
    notes = []
    for code in codes:
        language = languages.get(code) or find_language(code)
        name = language.name if language else code
        others = {key: getattr(language, key, "") for key in ("family", "script", "tier")}
        notes.append({"code": code, "name": name, **others})
    read = {(data.task, data.language, data.split) for job in plan.jobs.values() for data in _read_data(job.spec)}
    origins: dict[str, set[str]] = {}
    for task, language, split in read:
        origins.setdefault(task, set()).update(find_origins(plan.tasks[task].source, language, split, plan.data))
    return Record(
        study=file.study.model_copy(update={"name": plan.name}),
        cells=tuple(plan.cells),
        keys=tuple(plan.jobs),
        tasks={
            name: TaskNote(
                task.title,
                task.format,
                task.metrics,
                tuple(sorted(origins.get(name, ()))),
                plan.faults.get(name, ()),
                find_optional_fields(task, plan.data),
                describe_holdout(task.source),
                _examples_of(task),
            )
            for name, task in plan.tasks.items()
        },
        languages=tuple(notes),
        check=previous and previous.check,
        conversions=tuple(
            ConvertedModel(plan.names[key], each.describe(), each.source_digest, each.written_digest)
            for key, each in plan.conversions.items()
        ),
        claims=record_claims(
            plan.claims, previous and previous.claims, date.today().isoformat(), ran_before=previous is not None
        ),
    )


def _examples_of(task: Task) -> dict[str, str]:
    """`Task.examples_of`, with the task at the end where that one's are the examples of a third."""
    found = dict(task.examples_of)
    for split, other in found.items():
        name, _, other_split = other.partition("/")
        if name in catalog.names():
            found[split] = catalog.get(name).examples_of.get(other_split, other)
    return found


def _read_data(spec: Spec) -> Iterator[Data]:
    """All data that a job reads."""
    for value in (getattr(spec, name, ()) for name in ("data", "mixture", "dev", "text", "tokenizer_text")):
        yield from (value,) if isinstance(value, Data) else value
    if isinstance(spec, TrainSpec | PredictSpec) and spec.text_mode:
        yield from spec.text_mode.fewshot_data


def write_record(record: Record, store: Store) -> None:
    """Write `studies/<name>.json` of the store atomically. Raises UserError if the disk is full or not writable."""
    study = record.study.model_dump(mode="json", exclude_defaults=True)
    store.write_json(FOLDER, record.name, {**asdict(record), "study": study}, "the study's record")


def read_record(store: Store, name: str) -> Record:
    """Read the record of a study.

    Raises:
        UserError: the study was never run in this store, or the record is damaged.
    """
    content = store.read_json(FOLDER, name) if re.fullmatch(r"[\w.-]+", name) else None
    if content is None:
        names = list_studies(store)
        raise UserError(
            f"the store has no study '{name}'", where=store.where,
            fix=f"{did_you_mean(name, names)}It has: {', '.join(names)}." if names else f"it has none yet; run `xlift run {name}` first.",
        )  # fmt: skip
    try:
        raw = parse_json(content)
        if raw["study"]["name"] != name:
            raise ValueError(f"it belongs to '{raw['study']['name']}'")
        raw["check"] = parse_estimate_check(raw.get("check"))
        for cell in raw["cells"]:
            if unknown := cell.keys() - Cell.__dataclass_fields__:  # pydantic ignores them in dataclasses
                raise ValueError(f"a cell has the unknown key {min(unknown)!r}")
            Cell(**cell)
        record = TypeAdapter(Record).validate_python(raw)
        if record.claims:
            record.claims.describe_changes(record.claims.claim_set())  # both are valid
        if unknown := {cell.control for cell in record.cells} - {"", *get_args(Control)}:
            raise ValueError(f"there is no control {min(unknown)!r}")
        if missing := {cell.task for cell in record.cells} - record.tasks.keys():
            raise ValueError(f"it has scores of the task {min(missing)!r} and no note on it")
        return record
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise UserError(
            f"the record is damaged: {_first_problem(error)}",
            where=f"{store.where}/{FOLDER}/{name}.json",
            fix="run `xlift run` with the study to write it again; no artifact is lost.",
        ) from None


def _first_problem(error: Exception) -> str:
    """The message of an error on one line; of pydantic's, the place and the message of its first problem."""
    if isinstance(error, UserError):
        return f"{error.where}: {error.what}"
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def last_record(store: Store, name: str) -> Record | None:
    """The record of a study; None if it was never run here, or its record is damaged."""
    try:
        return read_record(store, name)
    except UserError:
        return None


def pin_commits(file: StudyFile, store: Store) -> StudyFile:
    """The study with the commits that its last run in a store has read of datasets of the Hub, for each custom task whose
    declaration still names the same dataset and revision."""
    declared = {
        task["name"]: task for task in file.study.tasks if task.get("hub") and isinstance(task.get("name"), str)
    }
    record = last_record(store, file.study.name) if declared else None
    pins: dict[str, str] = {}
    for before in record.study.tasks if record else ():
        task, note = declared.get(before.get("name", "")), record.tasks.get(before.get("name", ""))  # type: ignore[union-attr]
        if task and note and all(task.get(key) == before.get(key) for key in ("hub", "revision")):
            commits = {origin.rpartition("@")[2] for origin in note.origins if origin.startswith(f"{task['hub']}@")}
            if len(commits) == 1:
                pins[task["name"]] = commits.pop()
    return replace(file, pins=pins)


def list_studies(store: Store) -> list[str]:
    """Names of the studies that were run in a store."""
    return store.list_json(FOLDER)
