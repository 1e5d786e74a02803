"""What a file really holds, where it is not what its name says: nothing, a Git LFS pointer, a web page, a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xlift.errors import UserError

AGAIN = "copy or download the file again."
GGUF_ADVICE = "`xlift convert FILE.gguf DIR` makes a model folder of a GGUF file."


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError where the file holds anything else."""
    try:
        content = path.read_bytes()
        refuse_other_content(path, content[:512], len(content))
        found = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror or error}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"it is not valid JSON: {error}", where=str(path), fix=AGAIN) from None
    if not isinstance(found, dict):
        raise UserError(f"expected a JSON object, found {kind_of(found)}", where=str(path), fix=AGAIN)
    return found


def parse_strict_json(content: bytes) -> Any:
    """Parse JSON as strictly as the safetensors library: no NaN, no key twice. Raises ValueError or RecursionError."""
    return json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages: "the text 'x'", "the number 3"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    kinds = {str: "the text", int: "the number", float: "the number", list: "a list", dict: "an object"}
    kind = kinds[type(value)]
    return kind if isinstance(value, list | dict) else f"{kind} {value!r:.60}"


def refuse_other_content(path: Path, start: bytes, size: int) -> None:
    """Raises UserError where the first bytes of a file are those of something else.

    Args:
        start: the first 512 bytes, or the whole file if it is shorter.
        size: bytes of the file.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    what, fix = "", AGAIN
    if not size:
        what = "the file is empty"
    elif start.startswith(b"version https://git-lfs"):
        what = "it is a Git LFS pointer, not the file itself"
        fix = "run `git lfs pull` in the clone of the model, or download it with `hf download`."
    elif text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")):
        what = "it is a web page, not the file itself"
        fix = "download the file itself: on the Hub its address has /resolve/, not /blob/, and a private or gated model needs a login."
    elif start.startswith(b"GGUF"):
        what, fix = "it is a GGUF file, not safetensors", GGUF_ADVICE
    elif start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        what = "it holds pickled weights, which may run code when read"
        fix = "rename it to pytorch_model.bin. `xlift convert` then reads its tensors alone, and writes safetensors."
    elif start.startswith(b"\x1f\x8b"):
        what, fix = "it is compressed with gzip", "decompress it."
    elif not start.strip(b"\0"):
        what = "it begins with zeros only, as files of broken downloads do"
    if what:
        raise UserError(what, where=str(path), fix=fix)
