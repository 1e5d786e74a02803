"""Download the files of tasks from the Hub into a data folder, check them, and record what was fetched (`xlift fetch`).

Files go to DATA/hub in the layout of the Hub client's cache (`xlift.hub`), where Hub sources look first; later commands
then need no network. DATA/hub/fetched.json records for each task the commit, the checksums of its files and the number of
examples counted in them.

A folder keeps the commit of its first fetch, so files fetched later fit the earlier ones. Only the Hub is used: the
authors' own addresses change, and none of them gives a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from xlift import hub
from xlift.errors import UserError, did_you_mean
from xlift.language_tags import match_code
from xlift.tasks import catalog, formats
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Source, Task
from xlift.units import count_noun

MANIFEST = "fetched.json"
Pair = tuple[str, str]
"""(language, split)."""


@dataclass
class FetchResult:
    """What was fetched for one task or model."""

    task: str
    """Name of the task or model."""
    repository: str = ""
    revision: str = ""
    commit: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Path in the repository -> checksum: SHA-256, or git's SHA-1 where the Hub has no other."""
    bytes: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Split -> language -> number of examples read."""
    elsewhere: int = 0
    """Number of (language, split) pairs that the folder already has in another layout."""
    problems: list[str] = field(default_factory=list)
    """What is missing or differs from the catalogue; empty if everything is fine."""
    kind: Literal["data", "model"] = "data"

    @property
    def is_complete(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _FetchPlan:
    """The files that one task needs from the Hub."""

    result: FetchResult
    task: Task
    source: HubSource
    pairs: list[Pair]
    transfer: hub.Transfer


def suite_names() -> tuple[str, ...]:
    """Names of the suites in the catalogue."""
    return tuple(dict.fromkeys(suite for task in catalog.TASKS for suite in task.suites))


def fetch(
    names: Sequence[str], data: Path, display: hub.Display, *, languages: Sequence[str] = (), verify: bool = False
) -> list[FetchResult]:
    """Download suites and tasks into a folder. Complete files are not fetched again.

    Args:
        names: suites (the languages that they score, and the data that their tasks train on) and tasks (all their data).
        data: the data folder; created if missing.
        languages: fetch only these; default: every language.
        verify: check the existing files, and fetch those again whose checksum differs.

    Returns:
        One result per task. Its `problems` list what could not be fetched; the other files stay.

    Raises:
        UserError: a name is unknown, no task has one of the languages, the Hub cannot be reached, or the disk is full.
    """
    requested = [(catalog.get(name), pairs) for name, pairs in _select_pairs(names).items()]
    return fetch_pairs(requested, data, display, languages=languages, verify=verify)


def fetch_pairs(
    requested: Sequence[tuple[Task, Sequence[Pair]]],
    data: Path,
    display: hub.Display,
    *,
    languages: Sequence[str] = (),
    verify: bool = False,
    others: Sequence[hub.Transfer] = (),
) -> list[FetchResult]:
    """As `fetch`, for some languages and splits of tasks.

    Args:
        others: further repositories to download in the same transfer.
    """
    if languages:
        languages = _match_languages(languages, requested)
    cache = data / hub.CACHE_FOLDER
    results: list[FetchResult] = []
    plans: list[_FetchPlan] = []
    for task, all_pairs in requested:
        pairs = [pair for pair in all_pairs if not languages or pair[0] in languages]
        result = FetchResult(task.name)
        results.append(result)
        source = find_hub_source(task.source)
        missing = [pair for pair in pairs if not _has_other_layout(task.source, pair, data)]
        result.elsewhere = len(pairs) - len(missing)
        unavailable = [pair for pair in missing if source is None or pair[0] not in source.languages(pair[1])]
        if unavailable:
            result.problems.append(describe_missing(task, unavailable))
        missing = [pair for pair in missing if pair not in unavailable]
        if source is None or not missing:
            continue
        try:
            snapshot = _snapshot(source, cache)
            patterns = dict.fromkeys(pattern for pair in missing for pattern in source.needed_patterns(*pair))
            entries = hub.match_files(snapshot, tuple(patterns))
        except hub.FatalTransferError:
            raise
        except UserError as error:
            result.problems.append(str(error))
        else:
            transfer = hub.Transfer(task.name, snapshot, entries, cache, result.problems)
            plans.append(_FetchPlan(result, task, source, missing, transfer))
    hub.transfer([*(plan.transfer for plan in plans), *others], display, verify=verify)
    for plan in plans:
        if plan.result.is_complete:
            display.start_check(plan.task.name)
            _count_examples(plan, data)
            _update_manifest(plan, cache)
    return results


def find_hub_source(source: Source) -> HubSource | None:
    """The Hub source among the sources of a task, if it has one."""
    members = source.members if isinstance(source, FallbackSource) else (source,)
    return next((member for member in members if isinstance(member, HubSource)), None)


def describe_missing(task: Task, pairs: Iterable[Pair]) -> str:
    """A message about examples that no Hub repository has."""
    missing: dict[str, list[str]] = {}
    for language, split in pairs:
        missing.setdefault(split, []).append(language)
    splits = "; ".join(
        f"{split}: {' '.join(languages) if len(languages) <= 12 else f'{len(languages)} languages'}"
        for split, languages in missing.items()
    )
    origin = f", published at {task.url}" if task.url else ""
    return f"provide these files yourself ({task.licence or 'licence unknown'}{origin}): {splits}"


def published_count(counts: Mapping[str, Any], language: str, split: str) -> int | None:
    """The number of examples in a task's `counts`, if it is there."""
    count = counts.get(split)
    return count.get(language) if isinstance(count, Mapping) else count


def read_manifest(data: Path) -> dict[str, FetchResult]:
    """Task -> what was fetched into a folder; empty if nothing was.

    Raises:
        UserError: the manifest cannot be read.
    """
    path = data / hub.CACHE_FOLDER / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {name: FetchResult(name, **entry) for name, entry in manifest["tasks"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"cannot read the list of fetched files: {error}", where=str(path),
            fix="Delete it. `xlift fetch` writes it again without downloading existing files.",
        ) from None  # fmt: skip


def _select_pairs(names: Sequence[str]) -> dict[str, list[Pair]]:
    """Task -> requested pairs, in the order of the names; generated tasks need no files."""
    selected: dict[str, dict[Pair, None]] = {}

    def add(task: Task, pairs: Sequence[Pair]) -> None:
        if isinstance(task.source, ConcatenatedSource):
            for part in task.source.parts:
                add(part, pairs)
        elif task.source.kind != "isles":
            selected.setdefault(task.name, {}).update(dict.fromkeys(pairs))

    for name in names:
        if name in suite_names():
            for task in catalog.TASKS:
                if name in task.suites:
                    add(task, _suite_pairs(task, task.suites[name]))
                    for train_task in map(catalog.get, task.train_task):
                        add(train_task, _suite_pairs(train_task, ()))
        elif name in catalog.names():
            task = catalog.get(name)
            add(task, [(code, split) for split in task.source.splits() for code in task.source.languages(split)])
        else:
            valid_names = (*suite_names(), *catalog.names())
            raise UserError(
                f"no suite or task is called '{name}'",
                fix=f"{did_you_mean(name, valid_names)}Suites: {', '.join(suite_names()) or 'none'}. `xlift tasks` lists the tasks.",
            )
    return {name: list(pairs) for name, pairs in selected.items()}


def _match_languages(languages: Sequence[str], requested: Sequence[tuple[Task, Sequence[Pair]]]) -> list[str]:
    """The codes of the tasks for languages in any spelling."""
    available = sorted({language for _, pairs in requested for language, _ in pairs})
    matching = [(language, match_code(language, available)) for language in languages]
    for language, codes in matching:
        if not codes:
            raise UserError(
                f"none of these tasks has data in '{language}'",
                fix=f"{did_you_mean(language, available)}Available: {' '.join(available)}.",
            )
    return [code for _, codes in matching for code in codes]


def _suite_pairs(task: Task, languages: Sequence[str]) -> list[Pair]:
    """The test data in the suite's languages, and the training and dev data in the task's training language."""
    needed = {"train": {task.train_language}, "dev": {task.train_language, *languages}, "test": set(languages)}
    return [
        (code, split)
        for split in task.source.splits()
        for code in task.source.languages(split)
        if code in needed[split]
    ]


def _has_other_layout(source: Source, pair: Pair, data: Path) -> bool:
    """Whether the folder has a pair in a layout other than the Hub's."""
    members = source.members if isinstance(source, FallbackSource) else (source,)
    return any(not isinstance(member, HubSource) and member.is_present(*pair, data) for member in members)


def _snapshot(source: HubSource, cache: Path) -> hub.Snapshot:
    """The commit in the folder, else the Hub's current one."""
    snapshot = hub.find_snapshot(source.repository, source.revision, cache)
    if snapshot and all(entry.sha256 or entry.blob for entry in snapshot.files):
        return snapshot
    return source.list_files()


def _count_examples(plan: _FetchPlan, data: Path) -> None:
    """Read every row, and compare the counts with the published ones."""
    task = plan.task
    if plan.source.is_custom and formats.get(task.format).has_classes and not task.labels:
        with suppress(UserError):  # `size` reports it
            task = replace(task, labels=plan.source.read_labels(task, data))
        if not task.labels:
            return
    for language, split in plan.pairs:
        try:
            count = plan.source.size(task, language, split, data)
        except UserError as error:
            plan.result.problems.append(str(error))
            continue
        plan.result.counts.setdefault(split, {})[language] = count
        expected = None if plan.source.holdout else published_count(plan.task.counts, language, split)
        if expected is not None and count != expected:
            plan.result.problems.append(
                f"{language} {split} has {count_noun(count, 'example')}, {expected:,} were published"
            )


def _update_manifest(plan: _FetchPlan, cache: Path) -> None:
    """Add what this call fetched or found of a task to what earlier calls recorded in the manifest."""
    result = plan.result
    result.repository, result.revision = plan.source.repository, plan.source.branch or plan.source.revision
    result.commit, entries = plan.transfer.snapshot.commit, plan.transfer.entries
    result.files = {entry.path: entry.sha256 or entry.blob for entry in entries}
    result.bytes = sum(entry.bytes for entry in entries)
    tasks = read_manifest(cache.parent)
    previous = tasks.get(result.task)
    if previous and previous.commit == result.commit:
        result.files = previous.files | result.files
        for split, counts in previous.counts.items():
            result.counts[split] = counts | result.counts.get(split, {})
    tasks[result.task] = result
    recorded = {name: asdict(entry) for name, entry in sorted(tasks.items())}
    for entry in recorded.values():
        del entry["task"]
    hub.write_atomically(cache / MANIFEST, json.dumps({"tasks": recorded}, indent=1, ensure_ascii=False))
