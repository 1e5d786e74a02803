"""Find pretrained models and their fingerprints: shipped models, folders, GGUF files, and models of the Hub.

A model that is published with pickled weights, with a SentencePiece file instead of `tokenizer.json`, or as a GGUF file, is
converted once (`conversion`). This module imports neither torch nor transformers, and the Hub's client only for names that are not
shipped or folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path

from xlift.conversion import find_source, has_pickled_weights, has_weights
from xlift.conversion.cache import convert_once, find_converted
from xlift.conversion.record import RECORD, ConversionRecord, digest_of, hash_files, read_record
from xlift.errors import UserError, did_you_mean
from xlift.model_families import Family, family_of_json
from xlift.model_files import check_model_folder
from xlift.model_files.tokenizer import probe_digest
from xlift.model_profiles import all_profiles, find_profile

SHIPPED = {"isles": "archipelago/encoder"}
"""Name -> folder inside the package."""
SHIPPED_PROBES = {"isles": "2f6468d0b2be04924885c50c0d17e6458782e87a2cc1feb912557e91e5464ed8"}
"""Name -> `probe_digest` of its tokenizer. The fingerprint of a shipped model has the digest only where it is another one."""
WEIGHTS_PATTERN = "*.safetensors"
PICKLED_PATTERN = "pytorch_model*.bin"
SMALL_FILE_PATTERNS = ["*.json", "*.txt", "*.model"]
DOWNLOADED_PATTERNS = [*SMALL_FILE_PATTERNS, "README.md"]
"""Of the files that even a plan needs. The model card has the licence."""
HUB_TIMEOUT = 10.0
"""Seconds to wait for the Hub to resolve a name. Downloads have no limit."""


class ShapeInGGUF(UserError):
    """The shape of a model is in a GGUF file that is not on this machine."""


@dataclass(frozen=True)
class Backbone:
    """A model that can be loaded: `folder` is its location (not part of any key), `fingerprint` its identity."""

    name: str
    folder: Path
    fingerprint: str
    heads: tuple[str, ...] = ()
    """Names of its heads: those of the last stage, where xlift trained it."""
    provisional: bool = False
    """Whether the fingerprint, and so the keys of jobs, may change once the weights are here. Only in plans that are not run."""
    conversion: ConversionRecord | None = None
    """Where the folder holds the converted files of the model."""
    source: Path | None = None
    """Folder or GGUF file of the published files, where these were converted by `find`."""

    @property
    def family(self) -> Family:
        """Raises UserError where its config.json cannot be read."""
        return family_in(self.folder)


def family_in(folder: Path) -> Family:
    """The family of the model in a folder. Raises UserError where its config.json cannot be read."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return family_of_json(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the model's config cannot be read: {error!r}", where=str(path)) from None


def find(name: str, base: Path | None = None, *, weights: bool = True) -> Backbone:
    """Find the backbone of a study's `models:` entry.

    Args:
        name: a shipped name ('isles'), a folder (absolute, or relative to `base` or the current folder), or a Hub id.
        weights: whether weights are needed. A plan does not need them, which saves downloading gigabytes.

    Raises:
        UserError: there is no model of this name, or its folder is no complete and undamaged model (model_files).
    """
    if name in SHIPPED:
        folder = Path(str(files("xlift"))) / SHIPPED[name]
        if not (folder / "config.json").is_file():
            raise UserError(
                f"the model '{name}' is not in this installation of xlift",
                fix=f"install xlift again; in a checkout, run `xlift pretrain isles-encoder --out {folder}`.",
            )
        probe = probe_digest(folder)
        fingerprint = _fingerprint(folder) if probe == SHIPPED_PROBES[name] else _join(_fingerprint(folder), probe)
        return Backbone(name, folder, fingerprint)
    for path in ([base / name] if base else []) + [Path(name)]:
        if path.is_dir():
            return _from_folder(path, name, path.resolve().name, weights)
        if path.is_file() and path.suffix == ".gguf":
            return _from_folder(path, name, path.stem, weights)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith(".gguf") or not name.strip():
        raise UserError(f"no model folder '{name}'", fix="give an existing folder, a .gguf file, a Hub id, or 'isles'.")
    return _from_hub(name, weights)


def _from_folder(path: Path, name: str, short_name: str, weights: bool, commit: str = "") -> Backbone:
    """
    Args:
        path: a model folder or a GGUF file.
        name: what the user calls it.
        commit: of a model of the Hub; it identifies the published files.
    """
    source = find_source(path)
    if source is None or not (has_weights(path) or weights and has_pickled_weights(path)):
        check_model_folder(path, name, weights=weights)
        record = None if commit else _read_valid_record(path)
        files = commit or (_converted_fingerprint(record) if record else _fingerprint(path))
        fingerprint = _join(files, probe_digest(path))
        return Backbone(short_name, path, fingerprint, _read_head_names(path), not has_weights(path), record)
    folder = convert_once(source.absolute(), commit or _source_id(source))
    return _converted(folder, name, short_name, source)


def _converted(folder: Path, name: str, short_name: str, source: Path) -> Backbone:
    try:
        check_model_folder(folder, name)
    except UserError as error:
        where = error.where.replace(str(folder), f"{source}, converted to {folder}")
        raise UserError(error.what, where=where, fix=error.fix) from None
    record = read_record(folder)
    if record is None:
        raise UserError(
            f"the converted files of '{name}' are damaged", where=str(folder / RECORD),
            fix="remove the folder, so that the model is converted again.",
        )  # fmt: skip
    fingerprint = _join(_converted_fingerprint(record), probe_digest(folder))
    return Backbone(short_name, folder, fingerprint, conversion=record, source=source)


def _converted_fingerprint(record: ConversionRecord) -> str:
    return _join(record.source_digest, record.written_digest)


def _join(*digests: str) -> str:
    """A fingerprint of several digests, without empty ones."""
    return "+".join(filter(None, digests))


def _fingerprint(folder: Path) -> str:
    """SHA-256 over the names and bytes of the model's files."""
    return digest_of(_file_digests(folder))


@cache
def _file_digests(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of the model's files."""
    patterns = (*SMALL_FILE_PATTERNS, WEIGHTS_PATTERN)
    return hash_files(
        {p for pattern in patterns for p in folder.glob(pattern) if p.name not in ("quality.json", RECORD)}
    )


def _read_valid_record(folder: Path) -> ConversionRecord | None:
    """The record of a folder that `xlift convert` wrote; None where its files were changed since."""
    record = read_record(folder)
    if record is None:
        return None
    found = _file_digests(folder)
    return record if {name: each for name, each in record.written.items() if name in found} == found else None


@cache
def _source_id(source: Path) -> str:
    """SHA-256 over the published files: those of a folder, or a GGUF file."""
    if source.is_file():
        return digest_of(hash_files([source]))
    pickled = [] if any(source.glob(WEIGHTS_PATTERN)) else source.glob(PICKLED_PATTERN)
    return digest_of(_file_digests(source) | hash_files(pickled))


def _read_head_names(folder: Path) -> tuple[str, ...]:
    """Head names in the file that `models.backbone.save` writes."""
    try:
        return tuple(json.loads((folder / "heads.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError) as error:
        raise UserError(f"its heads cannot be read: {error}", where=str(folder / "heads.json")) from None


def _from_hub(name: str, weights: bool) -> Backbone:
    """Find a model of the Hub. Pickled weights and GGUF files are downloaded only if it has no safetensors."""
    with _hub_errors(name):
        folder = _download(name, [*DOWNLOADED_PATTERNS, *([WEIGHTS_PATTERN] if weights else [])])
        commit = folder.name  # a snapshot's folder has the name of its revision
        if converted := find_converted(commit):
            return _converted(converted, name, name, folder)
        if weights and not has_weights(folder):
            _download(name, [*DOWNLOADED_PATTERNS, PICKLED_PATTERN], commit)
        if not has_weights(folder):
            published = _list_files(name, commit)
            if gguf_files := _list_gguf_files(published):
                if len(gguf_files) > 1:
                    raise UserError(
                        f"'{name}' has {len(gguf_files)} GGUF files, which are several models",
                        fix=f"download one of them, for instance {gguf_files[0]}, and give its path.",
                    )
                if weights:
                    _download(name, [*DOWNLOADED_PATTERNS, *gguf_files], commit)
                elif not (folder / "config.json").is_file():
                    raise ShapeInGGUF(
                        f"'{name}' is published as a GGUF file, which must be here before a study can be planned",
                        fix="`xlift fetch STUDY` downloads and converts it.",
                    )
    found = _from_folder(folder, name, name, weights, commit)
    if not weights and not has_weights(folder):
        has_safetensors = any(each.endswith(".safetensors") and "/" not in each for each in published)
        return replace(found, provisional=not has_safetensors or find_source(folder) is not None)
    return found


def _download(name: str, patterns: list[str], commit: str | None = None) -> Path:
    """Without network this uses earlier downloads, after one request instead of many."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=commit, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT))


def _list_gguf_files(published: list[str]) -> list[str]:
    """The GGUF files of a repository; [] where it has weights in another format too."""
    top = [each for each in published if "/" not in each]
    if any(fnmatchcase(each, pattern) for each in top for pattern in (WEIGHTS_PATTERN, PICKLED_PATTERN)):
        return []
    return [each for each in published if each.endswith(".gguf")]


def _list_files(name: str, commit: str) -> list[str]:
    """All files of a model of the Hub; [] without network."""
    from huggingface_hub import HfApi

    try:
        return HfApi().list_repo_files(name, revision=commit)
    except Exception:  # the client raises many types, of its own and of its HTTP library
        return []


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into UserError."""
    try:
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise _not_found_error(
            name, "it is neither shipped nor a folder; for models of the Hub: pip install huggingface_hub."
        ) from None
    try:
        yield
    except HFValidationError:
        raise _not_found_error(
            name, "it is neither shipped, nor a folder, nor a model id of the Hub (org/name)."
        ) from None
    except GatedRepoError:
        raise _not_found_error(name, "access to it is restricted: accept its terms on the Hub and log in.") from None
    except RepositoryNotFoundError:
        raise _not_found_error(name, "it is not a folder, and the Hub has no model of that name.") from None
    except LocalEntryNotFoundError:
        raise _not_found_error(
            name,
            "it is not a folder, and the Hub cannot be reached: copy the model into a folder, or check the connection.",
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise _not_found_error(name, f"it is not a folder, and the Hub answered: {_first_line(error)}") from None


def _not_found_error(name: str, reason: str) -> UserError:
    hint = "" if find_profile(name) else did_you_mean(name, (*SHIPPED, *all_profiles()))
    fix = hint + reason[0].upper() + reason[1:]
    return UserError(f"cannot find the model '{name}'", fix=fix)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
