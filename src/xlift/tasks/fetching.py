"""What `xlift fetch` does: bring the files of tasks from the Hub into a data folder, check them, write down what came.

Files go to DATA/hub in the layout of the Hub client's cache (`xlift.hub`), where the Hub sources look first: with them
there, nothing asks the network again. DATA/hub/fetched.json says for each task from which commit its files came, their
checksums, and how many examples were counted in them.

A folder stays at the commit that it was begun with, so what is fetched later fits what was fetched before. The Hub is the
one channel: the authors' own addresses move, and a checksum is known for none of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from xlift import hub
from xlift.errors import UserError, nearest
from xlift.tasks import catalog
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.joined import Joined
from xlift.tasks.sources.several import Several
from xlift.tasks.task import Source, Task

MANIFEST = "fetched.json"
Pair = tuple[str, str]
"""(language, split)."""


@dataclass
class Fetched:
    """What became of one task."""

    task: str
    repository: str = ""
    revision: str = ""
    commit: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Path in the repository -> its checksum: SHA-256, or git's SHA-1 where the Hub knows no other."""
    bytes: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Split -> language -> examples that were read."""
    elsewhere: int = 0
    """Pairs of language and split that lie in the folder already, in another layout."""
    problems: list[str] = field(default_factory=list)
    """Why something is missing, or is not what the catalogue says. Empty: all is well."""

    @property
    def whole(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _Order:
    """What one task needs of the Hub."""

    result: Fetched
    task: Task
    source: HubSource
    pairs: list[Pair]
    snapshot: hub.Snapshot
    entries: tuple[hub.Entry, ...]


class Display(Protocol):
    """What is told meanwhile."""

    def begin(self, files: int, bytes: int) -> None:
        """So much is to come in; files that are there already are not in it."""

    def file(self, task: str, name: str) -> None: ...
    def advanced(self, bytes: int) -> None: ...
    def checking(self, task: str) -> None: ...


def suites() -> tuple[str, ...]:
    """Names of the suites that tasks of the catalogue belong to."""
    return tuple(dict.fromkeys(suite for task in catalog.TASKS for suite in task.suites))


def fetch(
    names: Sequence[str], data: Path, display: Display, *, languages: Sequence[str] = (), verify: bool = False
) -> list[Fetched]:
    """Bring suites and tasks into a folder. What is whole already is not fetched again.

    Args:
        names: suites (the languages that they score, and what their tasks are trained on) and tasks (all of it).
        data: the data folder; made if it is not there.
        languages: bring these alone; default: every language.
        verify: read every file that is there, and fetch anew what differs from its checksum.

    Returns:
        One entry a task. What could not be had stands in its `problems`; what came in stays.

    Raises:
        UserError: a name is unknown, no task has one of the languages, the Hub cannot be reached, or the disk is full.
    """
    wanted = _wanted(names)
    if languages:
        _check_languages(languages, wanted)
        wanted = {name: [pair for pair in pairs if pair[0] in languages] for name, pairs in wanted.items()}
    cache = data / hub.FOLDER
    results: list[Fetched] = []
    orders: list[_Order] = []
    for name, pairs in wanted.items():
        task = catalog.get(name)
        result = Fetched(task.name)
        results.append(result)
        source = hub_source(task.source)
        missing = [pair for pair in pairs if not _elsewhere(task.source, pair, data)]
        result.elsewhere = len(pairs) - len(missing)
        lacking = [pair for pair in missing if source is None or pair[0] not in source.languages(pair[1])]
        if lacking:
            result.problems.append(bring_your_own(task, lacking))
        missing = [pair for pair in missing if pair not in lacking]
        if source is None or not missing:
            continue
        try:
            snapshot = _snapshot(source, cache)
            patterns = dict.fromkeys(pattern for pair in missing for pattern in source.patterns(*pair))
            entries = hub.wanted(snapshot, tuple(patterns))
        except hub.Stuck:
            raise
        except UserError as error:
            result.problems.append(str(error))
        else:
            orders.append(_Order(result, task, source, missing, snapshot, entries))
    _transfer(orders, cache, display, verify)
    for order in orders:
        if order.result.whole:
            display.checking(order.task.name)
            _count(order, data)
            _write_down(order, cache)
    return results


def hub_source(source: Source) -> HubSource | None:
    """The Hub among the sources of a task."""
    members = source.members if isinstance(source, Several) else (source,)
    return next((member for member in members if isinstance(member, HubSource)), None)


def bring_your_own(task: Task, pairs: Iterable[Pair]) -> str:
    """What to say of examples that no Hub repository has."""
    missing: dict[str, list[str]] = {}
    for language, split in pairs:
        missing.setdefault(split, []).append(language)
    what = "; ".join(
        f"{split}: {' '.join(languages) if len(languages) <= 12 else f'{len(languages)} languages'}"
        for split, languages in missing.items()
    )
    origin = f", published at {task.url}" if task.url else ""
    return f"bring your own files ({task.licence or 'licence unknown'}{origin}): {what}"


def published(counts: Mapping[str, Any], language: str, split: str) -> int | None:
    """The number of examples that a task's `counts` give, if they give one."""
    of_split = counts.get(split)
    return of_split.get(language) if isinstance(of_split, Mapping) else of_split


def read_manifest(data: Path) -> dict[str, Fetched]:
    """Task -> what was fetched into a folder; empty where nothing was.

    Raises:
        UserError: the manifest is broken.
    """
    path = data / hub.FOLDER / MANIFEST
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return {name: Fetched(name, **entry) for name, entry in written["tasks"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"the list of what was fetched cannot be read: {error}", where=str(path),
            fix="Delete it; `xlift fetch` writes it again without fetching what is there.",
        ) from None  # fmt: skip


def _wanted(names: Sequence[str]) -> dict[str, list[Pair]]:
    """Task -> what is wanted of it, in the order of the names; generated tasks need nothing."""
    found: dict[str, dict[Pair, None]] = {}

    def add(task: Task, pairs: Sequence[Pair]) -> None:
        if isinstance(task.source, Joined):
            for part in task.source.parts:
                add(part, pairs)
        elif task.source.kind != "isles":
            found.setdefault(task.name, {}).update(dict.fromkeys(pairs))

    for name in names:
        if name in suites():
            for task in catalog.TASKS:
                if name in task.suites:
                    add(task, _of_suite(task, task.suites[name]))
                    for trained in map(catalog.get, task.train_task):
                        add(trained, _of_suite(trained, ()))
        elif name in catalog.names():
            task = catalog.get(name)
            add(task, [(code, split) for split in task.source.splits() for code in task.source.languages(split)])
        else:
            known = (*suites(), *catalog.names())
            raise UserError(
                f"neither a suite nor a task is called '{name}'",
                fix=f"{nearest(name, known)}Suites are {', '.join(suites()) or 'none'}; `xlift tasks` lists the tasks.",
            )
    return {name: list(pairs) for name, pairs in found.items()}


def _check_languages(languages: Sequence[str], wanted: Mapping[str, list[Pair]]) -> None:
    there = sorted({language for pairs in wanted.values() for language, _ in pairs})
    for language in languages:
        if language not in there:
            raise UserError(
                f"none of these tasks is in '{language}'", fix=f"{nearest(language, there)}There are {' '.join(there)}."
            )


def _of_suite(task: Task, languages: Sequence[str]) -> list[Pair]:
    """What is scored, in the suite's languages, and what is trained on and selected by, in the task's."""
    wanted = {"train": {task.train_language}, "dev": {task.train_language, *languages}, "test": set(languages)}
    return [
        (code, split)
        for split in task.source.splits()
        for code in task.source.languages(split)
        if code in wanted[split]
    ]


def _elsewhere(source: Source, pair: Pair, data: Path) -> bool:
    """Whether the folder has a pair in another layout than the Hub's."""
    members = source.members if isinstance(source, Several) else (source,)
    return any(not isinstance(member, HubSource) and member.present(*pair, data) for member in members)


def _snapshot(source: HubSource, cache: Path) -> hub.Snapshot:
    """The commit that the folder is at, else what the Hub has now."""
    found = hub.here(source.repository, source.revision, cache)
    if found and all(entry.sha256 or entry.blob for entry in found.files):
        return found
    return hub.listing(source.repository, source.revision)


def _transfer(orders: list[_Order], cache: Path, display: Display, verify: bool) -> None:
    """Bring what is not there; a task that fails does not stop the others."""
    missing: dict[tuple[str, str, str], int] = {}
    for order in orders:
        hub.sweep(order.snapshot.repository, cache)
        if verify:
            display.checking(order.task.name)
        for entry in order.entries:
            path = order.snapshot.folder(cache) / entry.path
            if verify and path.is_file() and hub.wrong(path, entry):
                hub.discard(path)
            if not path.is_file() or path.stat().st_size != entry.bytes:
                missing[order.snapshot.repository, order.snapshot.commit, entry.path] = entry.bytes
    _room(sum(missing.values()), cache)
    display.begin(len(missing), sum(missing.values()))
    for order in orders:
        try:
            for entry in order.entries:
                if missing.pop((order.snapshot.repository, order.snapshot.commit, entry.path), None) is not None:
                    display.file(order.task.name, entry.path)
                hub.bring(order.snapshot, (entry,), cache, display.advanced)
        except hub.Stuck:
            raise
        except UserError as error:
            order.result.problems.append(str(error))


def _room(needed: int, cache: Path) -> None:
    folder = next(parent for parent in (cache, *cache.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{needed / 1e6:,.0f} MB are to come in, {free / 1e6:,.0f} MB are free", where=str(folder),
            fix="Free space, or name a folder on another disk with --data.",
        )  # fmt: skip


def _count(order: _Order, data: Path) -> None:
    """Read every row, and compare the numbers with the published ones."""
    for language, split in order.pairs:
        try:
            found = order.source.size(order.task, language, split, data)
        except UserError as error:
            order.result.problems.append(str(error))
            continue
        order.result.counts.setdefault(split, {})[language] = found
        expected = published(order.task.counts, language, split)
        if expected is not None and found != expected:
            order.result.problems.append(f"{language} {split} has {found:,} examples where {expected:,} were published")


def _write_down(order: _Order, cache: Path) -> None:
    """Into the manifest: what this call fetched or found of a task, beside what earlier calls did."""
    result = order.result
    result.repository, result.revision = order.source.repository, order.source.revision
    result.commit = order.snapshot.commit
    result.files = {entry.path: entry.sha256 or entry.blob for entry in order.entries}
    result.bytes = sum(entry.bytes for entry in order.entries)
    tasks = read_manifest(cache.parent)
    before = tasks.get(result.task)
    if before and before.commit == result.commit:
        result.files = before.files | result.files
        for split, counts in before.counts.items():
            result.counts[split] = counts | result.counts.get(split, {})
    tasks[result.task] = result
    kept = {name: asdict(entry) for name, entry in sorted(tasks.items())}
    for entry in kept.values():
        del entry["task"]
    hub.write(cache / MANIFEST, json.dumps({"tasks": kept}, indent=1, ensure_ascii=False))
