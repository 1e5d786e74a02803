"""The artifact of a finished job: plain files, and a `manifest.json` with the spec, the environment and the SHA-256 of every
file.

The manifest has a seal, the digest of its own content, so that damage to the manifest is detected too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import platform
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.job_numbers import NUMBERS, JobNumbers
from xlift.version import __version__

MANIFEST = "manifest.json"
SCORES = "scores.parquet"
"""The scores behind predictions. Their last digits depend on which languages shared a batch, so this file is no part of an
artifact's digest; the manifest has its SHA-256 as that of any other file."""

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_REPAIR = "run `xlift store verify --repair` to move broken artifacts aside, then `xlift run` to make them again; nothing else is lost"


@dataclass(frozen=True)
class Artifact:
    """The result of one finished job."""

    key: str
    folder: Path
    """Where its files are on this machine. `file` fetches one from an object store first, and `Store.open` all of them."""
    manifest: dict[str, Any]
    """key, kind, spec, parents, started (UTC), seconds, numbers, versions, revision, machine, sha256, and
    files: name -> {sha256, bytes}."""
    fetch: Callable[[str, Mapping[str, Mapping[str, Any]]], None] = lambda key, files: None
    """Makes files available in `folder`."""

    @property
    def kind(self) -> str:
        return self.manifest["kind"]

    @property
    def numbers(self) -> JobNumbers:
        """What the job measured. Raises UserError if another version of xlift wrote it in another form."""
        try:
            return NUMBERS[self.kind].model_validate(self.manifest["numbers"])
        except (KeyError, ValidationError) as error:
            raise UserError(
                f"{MANIFEST} was written by another version of xlift: {str(error).splitlines()[0]}",
                where=str(self.folder),
                fix=_REPAIR,
            ) from None

    @property
    def sha256(self) -> str:
        """Digest of names and contents of all files except SCORES; equal results have equal digests."""
        return self.manifest["sha256"]

    def file(self, name: str) -> Path:
        """The path of one file of the artifact ("scores.parquet").

        Raises:
            UserError: it has no such file, or an object store does not give it.
        """
        if name not in self.manifest["files"]:
            raise UserError(
                f"this {self.kind} artifact has no file '{name}'",
                where=str(self.folder),
                fix=f"it has: {', '.join(self.manifest['files'])}",
            )
        self.fetch(self.key, {name: self.manifest["files"][name]})
        return self.folder / name


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Hash every file of a folder, write its manifest from `content`, and flush all of it to the disk.

    Raises:
        ValueError, TypeError: the folder has a link, a device or a manifest already, or `content` is not JSON.
    """
    files = {name: _flush_and_hash(folder / name) for name in _plain_files(folder)}
    (folder / MANIFEST).write_bytes(add_seal({**content, "files": files, "sha256": _digest_results(files)}))
    _flush_and_hash(folder / MANIFEST)
    for parent, _, _ in os.walk(folder):
        flush_folder(Path(parent))


def write_manifest_file(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest without the files of its artifact, atomically."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(add_seal(manifest))
    _flush_and_hash(new)
    os.replace(new, path)
    flush_folder(path.parent)


def copy_artifact(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
    """Write the files of an artifact that was made elsewhere, and its manifest, and flush all of it to the disk.

    Args:
        files: name -> content, or a file that has it.

    Raises:
        ValueError: the files are not those of the manifest.
    """
    if files.keys() != manifest["files"].keys() or manifest["sha256"] != _digest_results(manifest["files"]):
        raise ValueError("its files are not those of its manifest")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, folder / name)
        else:
            (folder / name).write_bytes(content)
        if _flush_and_hash(folder / name)["sha256"] != manifest["files"][name]["sha256"]:
            raise ValueError(f"{name} does not match its SHA-256")
    (folder / MANIFEST).write_bytes(add_seal(manifest))
    _flush_and_hash(folder / MANIFEST)
    flush_folder(folder)


def read_manifest(folder: Path, key: str) -> dict[str, Any]:
    """Read the manifest of an artifact. Raises UserError if it is missing, damaged or of another key."""
    return read_manifest_file(folder / MANIFEST, key)


def read_manifest_file(path: Path, key: str) -> dict[str, Any]:
    """Read a manifest. Raises UserError if it is missing, damaged or of another key."""
    try:
        with open_plain_file(path) as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        content = None
    except PermissionError:
        raise  # the file may be intact
    except OSError as error:
        raise UserError(f"{path.name} is damaged: {error.strerror}", where=str(path.parent), fix=_REPAIR) from None
    return parse_manifest(content, key, path.name, str(path.parent))


def parse_manifest(content: bytes | None, key: str, name: str, where: str) -> dict[str, Any]:
    """A manifest from its bytes. Raises UserError if it is missing (None), damaged or of another key."""
    if content is None:
        raise UserError(f"{name} is missing", where=where, fix=_REPAIR)
    try:
        manifest = check_seal(content)
        check_manifest(manifest)
        if manifest["key"] != key:
            raise ValueError(f"it belongs to {manifest['key']}")
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}", where=where, fix=_REPAIR) from None
    return manifest


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raises ValueError if a manifest lacks something, or has it in another form: a seal can be made for any content."""
    for name, kind in _FORM.items():
        if not isinstance(manifest.get(name), kind) or isinstance(manifest[name], bool):
            raise ValueError(f"`{name}` is missing or of another form")
    if manifest["kind"] not in NUMBERS:
        raise ValueError(f"there is no kind of job {manifest['kind']!r}")
    parents = manifest["parents"]
    if not all(isinstance(parent, str) for parent in (parents.values() if isinstance(parents, dict) else parents)):
        raise ValueError("a parent is no key")
    spec = manifest["spec"]
    if not all(isinstance(spec.get(name, {}), dict) for name in ("model", "recipe")):
        raise ValueError("the model or the recipe of `spec` is of another form")
    choices = spec.get("lr_choices", [])
    for choice in choices if isinstance(choices, list | tuple) else [choices]:
        is_choice = isinstance(choice, dict) and isinstance(choice.get("job"), str)
        if not is_choice or not isinstance(choice.get("lr"), int | float):
            raise ValueError("`lr_choices` of `spec` is of another form")
    if not math.isfinite(manifest["seconds"]) or manifest["seconds"] < 0:
        raise ValueError("`seconds` is no length of time")
    if not all(isinstance(version, str | None) for version in manifest["versions"].values()):
        raise ValueError("a version is no text")
    for name, file in manifest["files"].items():
        if not isinstance(file, dict) or type(file.get("bytes")) is not int or not isinstance(file.get("sha256"), str):
            raise ValueError(f"the entry of {name} is of another form")


_FORM: dict[str, Any] = {
    "key": str, "kind": str, "spec": dict, "parents": list | dict, "started": str, "seconds": int | float, "numbers": dict,
    "versions": dict, "machine": dict, "files": dict, "sha256": str,
}  # fmt: skip


def check_file(folder: Path, name: str, expected: Mapping[str, Any], hasher: Callable[[str], tuple[str, int]]) -> None:
    """Compare a file with its manifest. Raises UserError with both digests if they differ."""
    try:
        found, size = hasher(str(folder / name))
    except PermissionError:
        raise  # the file may be intact
    except OSError as error:
        raise damaged_file(name, expected, f"none ({error.strerror})", str(folder)) from None
    if found != expected["sha256"]:
        raise damaged_file(name, expected, f"{found} ({size} bytes)", str(folder))


def damaged_file(name: str, expected: Mapping[str, Any], found: str, where: str) -> UserError:
    """The error of a file that differs from its manifest."""
    return UserError(
        f"{name} is damaged: expected SHA-256 {expected['sha256']} ({expected['bytes']} bytes), found {found}",
        where=where,
        fix=_REPAIR,
    )


def hash_file(path: str) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    with open_plain_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def open_plain_file(path: str | Path) -> BufferedReader:
    """Open a file to read it. Raises OSError for a pipe, on which a reader would wait, and for a device, which may have no end."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return os.fdopen(number, "rb")


def hash_file_cached(path: str) -> tuple[str, int]:
    """As `hash_file`; this process caches the result until the file's size or mtime changes."""
    status = os.stat(path)
    return _hash_cached(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _hash_cached(path: str, size: int, mtime_ns: int) -> tuple[str, int]:
    return hash_file(path)


def files_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 of an artifact, from the name and SHA-256 of each of its files: equal files, equal digest.

    To compute it by hand, in an artifact's folder:
    `find . -type f ! -path ./manifest.json ! -path ./scores.parquet -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum`
    """
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(listing.encode()).hexdigest()


def describe_environment() -> dict[str, Any]:
    """Versions and machine; no part of a job's key. Imports no package."""
    return {
        "versions": {"xlift": __version__, "python": platform.python_version(), **_versions()},
        "revision": _revision(),
        "machine": {"host": socket.gethostname(), "platform": platform.platform(), "cpus": os.cpu_count()},
    }


def flush_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk; the content of its files needs its own fsync."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _flush_and_hash(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    digest, size = hash_file(str(path))
    return {"sha256": digest, "bytes": size}


def _plain_files(folder: Path) -> list[str]:
    """Names of all files below a folder, relative and sorted. Raises ValueError for what an artifact cannot contain."""
    files: list[str] = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{name}: an artifact has plain files only")
        if name == MANIFEST or not name.isprintable():  # a line break would make the digest ambiguous
            raise ValueError(f"{name!r} cannot be the name of an artifact's file")
        if path.is_file():
            files.append(name)
    return sorted(files)


def _digest_results(files: Mapping[str, Mapping[str, Any]]) -> str:
    return files_digest({name: each["sha256"] for name, each in files.items() if name != SCORES})


def add_seal(content: Mapping[str, Any]) -> bytes:
    """A manifest as bytes: its content and the digest of it."""
    content = json.loads(json.dumps(content, allow_nan=False))  # as it will be read: tuples become lists
    return (json.dumps({**content, "seal": _seal(content)}, indent=1) + "\n").encode()


def check_seal(data: bytes) -> dict[str, Any]:
    """The content of a manifest without its seal. Raises ValueError if it does not match the seal."""
    content = parse_json(data)
    if not isinstance(content, dict) or content.pop("seal", None) != _seal(content):
        raise ValueError("its content does not match its seal")
    if not isinstance(content.get("files"), dict):
        raise ValueError("it lists no files")
    for name in content["files"]:  # a store may come from elsewhere: a name must not lead out of the artifact's folder
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or not name.isprintable():
            raise ValueError(f"the file name {name!r} leads out of the artifact")
    return content


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


@lru_cache(maxsize=1)
def _revision() -> str | None:
    """The git revision of the running xlift, with '-dirty' when files differ from it; None outside a checkout."""
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():  # an installed xlift may be inside another repository
        return None
    describe = ["git", "--no-optional-locks", "-C", str(checkout)]
    describe += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(describe, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, or git does not trust the repository
        return None
    return result.stdout.strip()
