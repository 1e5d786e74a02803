"""Download everything that a study needs from the Hub: data into a folder, models into the user's cache (`xlift fetch STUDY`)."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from xlift import backbones, hub
from xlift.errors import UserError
from xlift.studies.job import data_of
from xlift.studies.missing import MissingModel
from xlift.studies.plan import make_plan
from xlift.studies.plan_types import Plan
from xlift.studies.planning.published import find_published
from xlift.studies.schema.models import NamedModel
from xlift.studies.study_file import StudyFile
from xlift.tasks.fetching import FetchResult, Pair, fetch_pairs
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.task import Task


def fetch_study(
    file: StudyFile, data: Path, display: hub.Display, *, languages: tuple[str, ...] = (), verify: bool = False
) -> list[FetchResult]:
    """Download the models and the data of a study that are not on this machine. Complete files are not downloaded again.

    Args:
        data: folder for the data.
        languages: fetch the data of these only; default: every language of the study.
        verify: check files that are there, and download those again whose checksum differs.

    Returns:
        One result per model and per task; empty if nothing is missing. Their `problems` list what could not be had.

    Raises:
        UserError: the study cannot be planned, the Hub cannot be reached, or the disk is full.
    """
    first = _fetch_shapes(file, display, verify)
    if not all(result.is_complete for result in first):
        return first
    plan = make_plan(file, data, to_run=False)
    if not plan.missing and not verify:
        return first
    models = [_find_model(each.name) for each in plan.missing if isinstance(each, MissingModel)]
    transfers = [model.transfer for model in models if model.transfer]
    requested = list(_pairs_by_task(plan).values())
    results = fetch_pairs(requested, data, display, languages=languages, verify=verify, others=transfers)
    _check_models(models, file, display)
    return [*first, *(model.result for model in models), *results]


@dataclass(frozen=True)
class _ModelFetch:
    result: FetchResult
    transfer: hub.Transfer | None


def _fetch_shapes(file: StudyFile, display: hub.Display, verify: bool) -> list[FetchResult]:
    """Download the models without which no plan can be made: those whose shape is in their GGUF file."""
    models: list[_ModelFetch] = []
    for entry in file.study.models:
        name = entry if isinstance(entry, str) else entry.model if isinstance(entry, NamedModel) else ""
        if not name or find_published(name, file.folder):
            continue
        try:
            backbones.find(name, file.folder, weights=False)
        except backbones.ShapeInGGUF:
            models.append(_find_model(name))
        except UserError:
            continue  # the plan says where in the study
    if models:
        hub.transfer([model.transfer for model in models if model.transfer], display, verify=verify)
        _check_models(models, file, display)
    return [model.result for model in models]


def _find_model(name: str) -> _ModelFetch:
    """The files that a model needs from the Hub. Its result has a problem if it does not have them."""
    result = FetchResult(name, repository=name, revision="main", kind="model")
    try:
        snapshot = hub.list_files(name, "main", "model")
        entries = _files_to_load(snapshot)
    except hub.FatalTransferError:
        raise
    except UserError as error:
        result.problems.append(str(error))
        return _ModelFetch(result, None)
    result.commit, result.bytes = snapshot.commit, sum(entry.bytes for entry in entries)
    result.files = {entry.path: entry.sha256 or entry.blob for entry in entries}
    return _ModelFetch(result, hub.Transfer(name, snapshot, entries, hub.cache_folders(None)[0], result.problems))


def _files_to_load(snapshot: hub.Snapshot) -> tuple[hub.FileEntry, ...]:
    """The files of a model that `backbones.find` reads: config, tokenizer, and its weights in the first of three formats."""
    files = [entry for entry in snapshot.files if "/" not in entry.path]

    def matching(*patterns: str) -> list[hub.FileEntry]:
        return [entry for entry in files if any(fnmatchcase(entry.path, pattern) for pattern in patterns)]

    for pattern in (backbones.WEIGHTS_PATTERN, backbones.PICKLED_PATTERN, "*.gguf"):
        weights = matching(pattern)
        if len(weights) > 1 and pattern == "*.gguf":
            break
        if weights:
            return (*matching(*backbones.DOWNLOADED_PATTERNS), *weights)
    raise UserError(
        f"'{snapshot.repository}' has no weights that xlift reads",
        fix="It reads safetensors, pickled weights and one GGUF file.",
    )


def _check_models(models: list[_ModelFetch], file: StudyFile, display: hub.Display) -> None:
    """Open downloaded models as a run does, which converts those that have to be."""
    for result in (model.result for model in models if model.result.is_complete):
        display.start_check(result.task)
        try:
            backbones.find(result.repository, file.folder)
        except UserError as error:
            result.problems.append(str(error))


def _pairs_by_task(plan: Plan) -> dict[str, tuple[Task, list[Pair]]]:
    """Task -> the languages and splits that the study reads of published data; a concatenated task is its parts."""
    selected: dict[str, tuple[Task, list[Pair]]] = {}

    def add(task: Task, pair: Pair) -> None:
        if isinstance(task.source, ConcatenatedSource):
            for part in task.source.parts:
                add(part, pair)
        elif task.source.kind not in ("isles", "custom"):
            pairs = selected.setdefault(task.name, (task, []))[1]
            if pair not in pairs:
                pairs.append(pair)

    read = {(data.task, data.language, data.split): None for job in plan.jobs.values() for data in data_of(job.spec)}
    for name, language, split in read:
        add(plan.tasks[name], (language, split))
    return selected
