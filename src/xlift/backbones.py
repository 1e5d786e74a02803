"""Find pretrained models and their fingerprints: shipped models, folders, and models of the Hub.

This module imports neither torch nor transformers, and the Hub's client only for names that are not shipped or folders.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from xlift.errors import UserError, did_you_mean
from xlift.model_families import Family, family_of
from xlift.model_files import check_model_folder

SHIPPED = {"isles": "archipelago/encoder"}
"""Name -> folder inside the package."""
WEIGHTS_PATTERN = "*.safetensors"
MODEL_FILE_PATTERNS = ["*.json", WEIGHTS_PATTERN, "*.txt", "*.model"]
HUB_TIMEOUT = 10.0
"""Seconds to wait for the Hub to resolve a name. Downloads have no limit."""


@dataclass(frozen=True)
class Backbone:
    """A model that can be loaded: `folder` is its location (not part of any key), `fingerprint` its identity."""

    name: str
    folder: Path
    fingerprint: str
    heads: tuple[str, ...] = ()
    """Names of its heads: those of the last stage, where xlift trained it."""

    @property
    def family(self) -> Family:
        """Raises UserError where its config.json cannot be read."""
        return family_in(self.folder)


def family_in(folder: Path) -> Family:
    """The family of the model in a folder. Raises UserError where its config.json cannot be read."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        is_encoder_decoder, architectures = bool(config.get("is_encoder_decoder")), config.get("architectures")
        return family_of(str(config["model_type"]), is_encoder_decoder, architectures)
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
        return Backbone(name, folder, _fingerprint(folder))
    for folder in ([base / name] if base else []) + [Path(name)]:
        if folder.is_dir():
            check_model_folder(folder, name, weights=weights)
            return Backbone(folder.resolve().name, folder, _fingerprint(folder), _read_head_names(folder))
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name.strip():
        raise UserError(f"no model folder '{name}'", fix="give an existing folder, a Hub id, or 'isles'.")
    return _from_hub(name, weights)


@cache
def _fingerprint(folder: Path) -> str:
    """SHA-256 over the names and bytes of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(p for pattern in MODEL_FILE_PATTERNS for p in folder.glob(pattern) if p.name != "quality.json"):
        with path.open("rb") as file:
            digest.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _read_head_names(folder: Path) -> tuple[str, ...]:
    """Head names in the file that `models.backbone.save` writes."""
    try:
        return tuple(json.loads((folder / "heads.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError) as error:
        raise UserError(f"its heads cannot be read: {error}", where=str(folder / "heads.json")) from None


def _from_hub(name: str, weights: bool) -> Backbone:
    try:
        from huggingface_hub import snapshot_download
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
        # Without network this uses earlier downloads, after one request instead of many.
        patterns = MODEL_FILE_PATTERNS if weights else [each for each in MODEL_FILE_PATTERNS if each != WEIGHTS_PATTERN]
        folder = Path(snapshot_download(name, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT))
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
    check_model_folder(folder, name, weights=weights)
    return Backbone(name, folder, folder.name)  # a snapshot's folder name is its revision


def _not_found_error(name: str, reason: str) -> UserError:
    fix = did_you_mean(name, tuple(SHIPPED)) + reason[0].upper() + reason[1:]
    return UserError(f"cannot find the model '{name}'", fix=fix)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
