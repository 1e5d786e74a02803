"""Results without weights: a study's record, manifests and predictions as a bundle, and a bundle as a store.

| file of a bundle           | content                                                                                  |
| -------------------------- | ---------------------------------------------------------------------------------------- |
| `record.json`              | the study and the keys of its jobs (studies/record.py)                                   |
| `contamination.json`       | the report of the contamination check, if there is one                                   |
| `manifests.jsonl`          | the manifest of every finished job, one on a line, without the name of its machine       |
| `artifacts/<key>/<file>`   | the files of predictions and of layer choices                                            |

`bundle_files.py` has the container: `bundle.json`, digests, sizes and safe reading.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.artifact import add_seal, check_manifest, check_seal
from xlift.studies.bundle_files import BundleFiles, damaged, open_files, write_files
from xlift.studies.job import Job, Spec, job_key
from xlift.studies.predictions import check_tables
from xlift.studies.store import Store

RECORD, CONTAMINATION, MANIFESTS = "record.json", "contamination.json", "manifests.jsonl"
KINDS_WITH_FILES = ("predict", "layer")
"""Kinds of jobs whose files a bundle has. The others have weights."""
MAX_TEXT = 1_000_000
"""Most characters of one text of the record or a manifest."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    files: BundleFiles

    @property
    def study(self) -> str:
        return self.files.study

    @cached_property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """Key -> manifest of every finished job, each with an intact seal. Raises UserError if one is damaged."""
        try:
            lines = self.files.read(MANIFESTS).splitlines()
            manifests = [check_seal(line) for line in lines]
            for manifest in manifests:
                check_texts(manifest)
                check_manifest(manifest)
            return {manifest["key"]: manifest for manifest in manifests}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise damaged(self.files.path, f"{MANIFESTS}: {error}") from None

    def copy_job(self, key: str, store: Store) -> None:
        """Copy the results of one job into a store. A job with weights counts as done by its manifest alone.

        Raises:
            UserError: the bundle lacks files of the job, or they are damaged.
        """
        manifest = self.manifests[key]
        if manifest["kind"] not in KINDS_WITH_FILES:
            return store.copy_manifest(manifest)
        try:
            contents = {name: self.files.read(f"artifacts/{key}/{name}") for name in manifest["files"]}
            if manifest["kind"] == "predict":
                check_tables(contents)
            store.copy_artifact(manifest, contents)
        except (ValueError, KeyError) as error:
            raise damaged(self.files.path, f"{key[:12]}: {error}") from None


def open_bundle(path: Path) -> Bundle:
    """Open a bundle. Raises UserError if it is damaged, too large, or of a newer version of xlift."""
    return Bundle(open_files(path))


def export_results(store: Store, study: str, path: Path) -> list[str]:
    """Write the bundle of a study that the store has: to a zip file if `path` ends in .zip, else to a new folder.

    Returns:
        The keys of jobs that are not finished, which the bundle lacks.

    Raises:
        UserError: an artifact is damaged, the path exists, or the disk refuses.
    """
    record = json.loads(store.read_json("studies", study) or b"")
    files = {RECORD: _to_json(record)}
    contamination = store.read_json("contamination", study)
    if contamination is not None:
        try:
            files[CONTAMINATION] = _to_json(parse_json(contamination))
        except ValueError as error:
            raise UserError(
                f"the contamination report is damaged: {error}", where=f"{store.where}/contamination/{study}.json",
                fix=f"`xlift contamination {study}` writes it again.",
            ) from None  # fmt: skip
    lines, missing = [], []
    for key in record["keys"]:
        artifact = store.find(key)
        if artifact is None:
            missing.append(key)
            continue
        lines.append(_seal_line(artifact.manifest))
        if artifact.kind in KINDS_WITH_FILES:
            artifact = store.open(key)  # checks the digests
            for name in artifact.manifest["files"]:
                files[f"artifacts/{key}/{name}"] = artifact.file(name).read_bytes()
    files[MANIFESTS] = b"".join(lines)
    write_files(path, study, files)
    return missing


@contextmanager
def store_of_bundle(path: Path) -> Iterator[tuple[str, Store]]:
    """The study of a bundle, and a temporary store with its results, in which a report finds what it reads.

    Raises:
        UserError: the bundle is damaged, too large, or of a newer version of xlift.
    """
    bundle = open_bundle(path)
    with tempfile.TemporaryDirectory(prefix="xlift-bundle-") as folder:
        store = Store(Path(folder) / "store")
        for key in bundle.manifests:
            bundle.copy_job(key, store)
        for name, place in ((RECORD, "studies"), (CONTAMINATION, "contamination")):
            if name in bundle.files.files:
                store.write_json(place, bundle.study, _read_json(bundle, name), name)
        yield bundle.study, store


def import_jobs(bundle: Bundle, jobs: Mapping[str, Job], store: Store) -> Collection[str]:
    """Copy the results of those jobs of a plan that a bundle has and the store lacks. The keys decide: the record of the
    bundle is not read.

    Returns:
        The keys of these jobs.

    Raises:
        UserError: the bundle is damaged, or a manifest does not belong to its key.
    """
    imported = [key for key in bundle.manifests if key in jobs and not store.is_done(key)]
    for key in imported:
        if not belongs_to_key(bundle.manifests[key]):
            raise damaged(bundle.files.path, f"the manifest of {key[:12]} is not of this key")
    for key in imported:
        bundle.copy_job(key, store)
    return imported


def belongs_to_key(manifest: Mapping[str, Any]) -> bool:
    """Whether the spec of a manifest has the key of the manifest."""
    try:
        spec: Any = TypeAdapter(Spec).validate_python(manifest["spec"])
        return spec.kind == manifest["kind"] and job_key(spec) == manifest["key"]
    except ValueError:
        return False


def _seal_line(manifest: Mapping[str, Any]) -> bytes:
    """A manifest on one line, sealed, without the name of the machine."""
    machine = {name: value for name, value in manifest["machine"].items() if name != "host"}
    sealed = json.loads(add_seal({**manifest, "machine": machine}))
    return (json.dumps(sealed) + "\n").encode()


def _to_json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _read_json(bundle: Bundle, name: str) -> Any:
    try:
        value = parse_json(bundle.files.read(name))
        check_texts(value)
        return value
    except ValueError as error:
        raise damaged(bundle.files.path, f"{name}: {error}") from None


def check_texts(value: Any) -> None:
    """Raises ValueError for control characters, which a terminal would obey, and for very long texts."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT or any(ord(c) < 32 and c not in "\n\t" or 127 <= ord(c) < 160 for c in value):
            raise ValueError("a text has control characters or is too long")
    elif isinstance(value, dict):
        for key, each in value.items():
            check_texts(key)
            check_texts(each)
    elif isinstance(value, list):
        for each in value:
            check_texts(each)
