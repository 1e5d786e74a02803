"""Pickled weights as safetensors, shard by shard: the same tensors bit by bit, under the same names."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from xlift.conversion import PICKLED_WEIGHTS, has_pickled_weights, pickled_files
from xlift.errors import UserError

INDEX = "model.safetensors.index.json"
_REFUSED = re.compile(r"GLOBAL ([\w.]+)|Unsupported (?:global|class): ?(?:GLOBAL )?([\w.]+)", re.IGNORECASE)


def convert_weights(source: Path, folder: Path) -> list[Path]:
    """Write the weights of a model folder as safetensors; weights that are safetensors already are copied.

    Returns:
        The files that were read.

    Raises:
        UserError: there are no weights, a shard is missing or damaged, or a file holds anything but tensors.
        OSError: the disk refuses the files.
    """
    safetensors = sorted(source.glob("*.safetensors"))
    if safetensors:
        index = source / INDEX
        for path in [*safetensors, *([index] if index.is_file() else [])]:
            shutil.copyfile(path, folder / path.name)
        return safetensors
    shards = _shards(source)
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for number, path in enumerate(shards, start=1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = _own_memory(load_pickled(path))
        _save(tensors, folder / name)
        weight_map |= dict.fromkeys(tensors, name)
        total_bytes += sum(tensor.nbytes for tensor in tensors.values())
    if len(shards) > 1:
        record = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
        (folder / INDEX).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return shards


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:  # the library writes the disk's error into its message
        code = re.search(r"os error (\d+)|code: (\d+)", str(error))
        number = int(code[1] or code[2]) if code else 0
        raise OSError(number, os.strerror(number) if number else str(error), str(path)) from None


def _shards(source: Path) -> list[Path]:
    """The pickled files of a folder. Raises UserError where one is missing."""
    if not has_pickled_weights(source):
        raise UserError(
            "the folder has no weights", where=str(source), fix=f"expected *.safetensors or {PICKLED_WEIGHTS}."
        )
    paths = pickled_files(source)
    for path in paths:
        if not path.is_file():
            raise UserError("a shard of the weights is missing", where=str(path), fix="Download it again.")
    return paths


def load_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled state dict, without running code from it.

    Raises:
        UserError: the file is damaged, or it holds anything but tensors.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        name = (refused[1] or refused[2]) if refused else ""
        holds = f"holds `{name}`" if name else "is damaged, or holds other things than tensors"
        raise UserError(
            f"the pickled file {holds}, which xlift does not read",
            where=str(path),
            fix="Only tensors are read, since anything else may run code. Download the file again, or take safetensors weights.",
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"the pickled file is damaged: {first_line[:200]}", where=str(path), fix="Download it again."
        ) from None
    if not isinstance(loaded, dict) or not loaded:
        raise UserError("the pickled file holds no table of tensors", where=str(path))
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"'{str(name)[:100]}' in the pickled file is no tensor", where=str(path))
    return loaded


def _own_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, contiguous and without shared memory, as safetensors wants them.

    Tensors that share memory (mT5's three embeddings) are written once each. Left out, they would be taken for missing.
    """
    seen: set[int] = set()
    separate: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        is_whole = tensor.is_contiguous() and storage.nbytes() == tensor.nbytes
        if not is_whole or storage.data_ptr() in seen:
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        seen.add(storage.data_ptr())
        separate[name] = tensor
    return separate
