"""Copy the studies of other stores and bundles into a store: their records and the artifacts of their jobs.

Keys decide what is the same job, so a job that the store has is not copied. Manifests are checked before anything is copied, and so are
files unless one of the stores is in a bucket; then each file is checked when it is copied. A record is written after the artifacts of
its study, so an interrupted merge leaves no study without them, and the same command resumes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.artifact import Artifact, check_manifest
from xlift.studies.bundle import KINDS_WITH_FILES, belongs_to_key, check_texts, store_of_bundle
from xlift.studies.bundle_files import is_bundle
from xlift.studies.object_storage import is_url
from xlift.studies.predictions import check_tables
from xlift.studies.record import Record, list_studies, read_record, write_record
from xlift.studies.store import Store

CONTAMINATION = "contamination"
REQUESTS_AT_ONCE = 8
"""Jobs that are copied at the same time from or to a bucket."""


@dataclass(frozen=True)
class MergedStudy:
    """What a merge did for one study."""

    name: str
    source: Path | str
    was_here: bool
    """Whether the store had this study with the same jobs."""
    copied: int
    """Number of jobs whose results were copied."""
    kept: int
    """Number of jobs that the store had."""
    other_results: int
    """How many of these have another result in the source."""
    unfinished: int
    """Number of jobs without a result in the source and here."""


@contextmanager
def open_source(source: str) -> Iterator[Store]:
    """The store in a folder or a bucket, or a temporary store with the results of a bundle.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = Path(source)
    if not is_url(source) and is_bundle(path):
        with store_of_bundle(path) as (_, store):
            yield store
        return
    store = Store(source) if is_url(source) or path.is_dir() else None
    if store is None or (is_url(source) and not store.exists):
        raise UserError(
            "no such store or bundle", where=source, fix="Give the folder or the URL of a store, or a bundle."
        )
    yield store


def merge_store(
    source: Store,
    into: Store,
    where: Path | str,
    names: Mapping[str, str] | None = None,
    *,
    keep_existing: bool = False,
    only: Collection[str] = (),
    weights: bool = True,
    update: Literal["never", "grown", "always"] = "never",
    on_copied: Callable[[int, int], None] = lambda done, total: None,
) -> list[MergedStudy]:
    """Copy studies of a store into another.

    Args:
        where: path or URL of the source, for messages.
        names: study of the source -> its new name.
        keep_existing: where a job has another result in the source, keep that of the store; otherwise it is an error.
        only: names of the studies to copy; none for all.
        weights: copy the files of jobs that train too; otherwise these jobs count as done by their manifests.
        update: replace the record of a study that the store has: if it has only jobs that the new one has too ('grown'), or always.
        on_copied: called with the number of jobs that were copied, and of all that are to be.

    Raises:
        UserError: something in the source is damaged or of another version of xlift, a job has another result, a name is taken by
            another study, or the disk refuses. Nothing was copied then, except by an error of the disk.
    """
    if source.is_same(into):
        raise UserError(
            "a store cannot be merged into itself", where=str(where), fix="Name another store with --store."
        )
    names = names or {}
    studies = list_studies(source)
    if not studies:
        raise UserError("it has no studies", where=str(where), fix="Give a store in which a study was run.")
    if unknown := [name for name in (*names, *only) if name not in studies]:
        raise UserError(f"it has no study '{unknown[0]}'", where=str(where), fix=f"It has: {', '.join(studies)}.")
    studies = [name for name in studies if not only or name in only]
    records = [_read_record(source, name, names.get(name, name)) for name in studies]
    if repeated := {record.name for record in records if [each.name for each in records].count(record.name) > 1}:
        raise UserError(f"two studies would be named '{min(repeated)}'", where="--rename", fix="Give different names.")
    contamination = {
        record.name: _read_contamination(source, name) for name, record in zip(studies, records, strict=True)
    }
    here = {record.name: _is_here(record, into, where, update) for record in records}
    keys = list(dict.fromkeys(key for record in records for key in record.keys))
    is_remote = is_url(source.where) or is_url(into.where)
    # One request after another would mostly wait for answers.
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        for_each = pool.map if is_remote else map
        artifacts = {key: artifact for key, artifact in zip(keys, for_each(source.find, keys), strict=True) if artifact}
        check = partial(_check, source=source, into=into, where=where, keep_existing=keep_existing, files=not is_remote)
        found = list(for_each(check, artifacts.values()))
        other_results = {key for key, is_other in zip(artifacts, found, strict=True) if is_other}
        before = into.find_done(keys)
        copy = partial(_copy, source=source, into=into, weights=weights)
        copied_keys: set[str] = set()
        for number, (key, was_copied) in enumerate(zip(artifacts, for_each(copy, artifacts.values()), strict=True), 1):
            if was_copied:
                copied_keys.add(key)
            on_copied(number, len(artifacts))
    merged = []
    for record in records:
        missing = [key for key in record.keys if key not in before]
        copied = len(copied_keys.intersection(record.keys))
        if not here[record.name]:
            if found := contamination[record.name]:
                into.write_json(CONTAMINATION, record.name, found, "the contamination report")
            write_record(record, into)
        unfinished = sum(not into.is_done(key) for key in record.keys)
        merged.append(
            MergedStudy(
                record.name,
                where,
                here[record.name],
                copied,
                len(record.keys) - len(missing),
                len(other_results.intersection(record.keys)),
                unfinished,
            )
        )
    return merged


def _read_record(source: Store, name: str, new_name: str) -> Record:
    """The record of a study under its new name."""
    if not re.fullmatch(r"\w[\w.-]*", new_name):
        raise UserError(
            f"'{new_name}' cannot name a study", where="--rename", fix="Use letters, digits, '_', '-' and '.'."
        )
    record = read_record(source, name)
    _check_texts(
        asdict(record) | {"study": record.study.model_dump(mode="json")}, f"{source.where}/studies/{name}.json"
    )
    return replace(record, study=record.study.model_copy(update={"name": new_name}))


def _read_contamination(source: Store, name: str) -> Any:
    content = source.read_json(CONTAMINATION, name)
    if content is None:
        return None
    where = f"{source.where}/{CONTAMINATION}/{name}.json"
    try:
        found = parse_json(content)
    except ValueError as error:
        raise UserError(f"the contamination report is damaged: {error}", where=where, fix="Remove it.") from None
    _check_texts(found, where)
    return found


def _check_texts(value: Any, where: str) -> None:
    try:
        check_texts(value)
    except ValueError as error:
        raise UserError(f"it is damaged: {error}", where=where, fix="Get the store again.") from None


def _is_here(record: Record, into: Store, where: Path | str, update: str) -> bool:
    """Whether the store has the same study. Raises UserError if it has another one of this name that is not to be replaced."""
    if record.name not in list_studies(into):
        return False
    own = read_record(into, record.name)
    if (own.study, own.cells, set(own.keys)) == (record.study, record.cells, set(record.keys)):
        return True
    if update == "always" or (update == "grown" and set(own.keys) <= set(record.keys)):
        return False
    if update == "grown":
        raise UserError(
            f"{into.where} has another study '{record.name}', with jobs that this one lacks",
            where=str(where),
            fix="--force replaces its record; its artifacts stay until `xlift store gc`.",
        )
    raise UserError(
        f"the store has another study '{record.name}'",
        where=str(where),
        fix=f"Give this one another name: --rename {record.name}={record.name}-2.",
    )


def _check(
    artifact: Artifact, source: Store, into: Store, where: Path | str, *, keep_existing: bool, files: bool
) -> bool:
    """Check the result of a job. Returns whether the store has another result of it.

    Args:
        files: check the content of its files too.

    Raises:
        UserError: it is damaged, or the results differ and `keep_existing` is off.
    """
    manifest = artifact.manifest
    try:
        check_manifest(manifest)
        check_texts(manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"the manifest of {artifact.key[:12]} is damaged: {error}", where=str(where)) from None
    if not belongs_to_key(manifest):
        raise UserError(
            f"the manifest of {artifact.key[:12]} is not of this key",
            where=str(where),
            fix="Another version of xlift wrote it, or it is damaged. Use a store of this version.",
        )
    own = into.find(artifact.key)
    if own is not None and own.sha256 != artifact.sha256:
        if not keep_existing:
            raise UserError(
                f"the {artifact.kind} job {artifact.key[:12]} has another result here",
                where=str(where),
                fix="Processors round differently, so the same job may have two results. --keep-existing keeps those of this store; "
                "jobs of the source that start from the other result stay as they are.",
            )
        return True
    if files and source.has(artifact.key) and not into.has(artifact.key):
        source.open(artifact.key)  # hashes all files
        _check_files(artifact, where)
    return False


def _check_files(artifact: Artifact, where: Path | str) -> None:
    """Raises UserError if a file is a link, or a table of predictions is not what it should be."""
    names = artifact.manifest["files"]
    for name in names:
        path = artifact.file(name)
        if path.is_symlink() or not path.resolve().is_relative_to(artifact.folder.resolve()):
            raise UserError(f"{name} is a link", where=str(artifact.folder), fix="An artifact has plain files only.")
    if artifact.kind == "predict":
        try:
            check_tables({name: artifact.file(name).read_bytes() for name in names})
        except ValueError as error:
            raise UserError(f"{artifact.key[:12]}: {error}", where=str(where), fix="Get the store again.") from None


def _copy(artifact: Artifact, source: Store, into: Store, *, weights: bool) -> bool:
    """Copy a result unless it is here. Returns whether it was copied."""
    own = into.find(artifact.key)
    if own is not None and (own.sha256 != artifact.sha256 or into.has(artifact.key)):
        return False
    if not source.has(artifact.key) or not (weights or artifact.kind in KINDS_WITH_FILES):
        into.copy_manifest(artifact.manifest)
        return own is None
    with source.without_cache(artifact.key), into.without_cache(artifact.key):
        _check_files(artifact, source.where)
        try:
            into.copy_artifact(artifact.manifest, {name: artifact.file(name) for name in artifact.manifest["files"]})
        except ValueError as error:
            raise UserError(
                f"{artifact.key[:12]}: {error}", where=source.where, fix="Run the same command again."
            ) from None
    return True
