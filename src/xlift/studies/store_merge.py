"""Copy the studies of other stores and bundles into a store: their records and the artifacts of their jobs.

Keys decide what is the same job, so a job that the store has is not copied. Everything is checked before anything is copied. A record
is written after the artifacts of its study, so an interrupted merge leaves no study without them, and the same command resumes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.artifact import Artifact, check_manifest
from xlift.studies.bundle import belongs_to_key, check_texts, store_of_bundle
from xlift.studies.bundle_files import is_bundle
from xlift.studies.predictions import check_tables
from xlift.studies.record import Record, list_studies, read_record, write_record
from xlift.studies.store import Store

CONTAMINATION = "contamination"


@dataclass(frozen=True)
class MergedStudy:
    """What a merge did for one study."""

    name: str
    source: Path
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
def open_source(path: Path) -> Iterator[Store]:
    """The store in a folder, or a temporary store with the results of a bundle.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if is_bundle(path):
        with store_of_bundle(path) as (_, store):
            yield store
        return
    if not path.is_dir():
        raise UserError("no such store or bundle", where=str(path), fix="Give the folder of a store, or a bundle.")
    yield Store(path)


def merge_store(
    source: Store, into: Store, where: Path, names: Mapping[str, str] | None = None, *, keep_existing: bool = False
) -> list[MergedStudy]:
    """Copy all studies of a store into another.

    Args:
        where: path of the source, for messages.
        names: study of the source -> its new name.
        keep_existing: where a job has another result in the source, keep that of the store; otherwise it is an error.

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
    if unknown := [name for name in names if name not in studies]:
        raise UserError(f"it has no study '{unknown[0]}'", where=str(where), fix=f"It has: {', '.join(studies)}.")
    records = [_read_record(source, name, names.get(name, name)) for name in studies]
    if repeated := {record.name for record in records if [each.name for each in records].count(record.name) > 1}:
        raise UserError(f"two studies would be named '{min(repeated)}'", where="--rename", fix="Give different names.")
    contamination = {
        record.name: _read_contamination(source, name) for name, record in zip(studies, records, strict=True)
    }
    here = {record.name: _is_here(record, into, where) for record in records}
    artifacts = {key: source.find(key) for record in records for key in record.keys}
    other_results = set()
    for artifact in artifacts.values():
        if artifact is not None and _check(artifact, source, into, where, keep_existing=keep_existing):
            other_results.add(artifact.key)
    merged = []
    for record in records:
        missing = [key for key in record.keys if not into.is_done(key)]
        copied = sum(_copy(artifact, source, into) for key in record.keys if (artifact := artifacts[key]) is not None)
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


def _is_here(record: Record, into: Store, where: Path) -> bool:
    """Whether the store has the same study. Raises UserError if it has another one of this name."""
    if record.name not in list_studies(into):
        return False
    own = read_record(into, record.name)
    if (own.study, own.cells, set(own.keys)) != (record.study, record.cells, set(record.keys)):
        raise UserError(
            f"the store has another study '{record.name}'",
            where=str(where),
            fix=f"Give this one another name: --rename {record.name}={record.name}-2.",
        )
    return True


def _check(artifact: Artifact, source: Store, into: Store, where: Path, *, keep_existing: bool) -> bool:
    """Check the result of a job. Returns whether the store has another result of it.

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
    if source.has(artifact.key) and not into.has(artifact.key):
        source.open(artifact.key)  # hashes all files
        for name in manifest["files"]:
            path = artifact.file(name)
            if path.is_symlink() or not path.resolve().is_relative_to(artifact.folder.resolve()):
                raise UserError(
                    f"{name} is a link", where=str(artifact.folder), fix="An artifact has plain files only."
                )
        if artifact.kind == "predict":
            try:
                check_tables({name: artifact.file(name).read_bytes() for name in manifest["files"]})
            except ValueError as error:
                raise UserError(f"{artifact.key[:12]}: {error}", where=str(where), fix="Get the store again.") from None
    return False


def _copy(artifact: Artifact, source: Store, into: Store) -> bool:
    """Copy a result unless it is here. Returns whether it was copied."""
    own = into.find(artifact.key)
    if own is not None and (own.sha256 != artifact.sha256 or into.has(artifact.key)):
        return False
    if not source.has(artifact.key):
        into.copy_manifest(artifact.manifest)
        return own is None
    try:
        into.copy_artifact(artifact.manifest, {name: artifact.file(name) for name in artifact.manifest["files"]})
    except ValueError as error:
        raise UserError(
            f"{artifact.key[:12]}: {error}", where=source.where, fix="Run the same command again."
        ) from None
    return True
