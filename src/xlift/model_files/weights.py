"""Weights of a model folder, from the headers of its safetensors files. No number of a tensor is read.

A safetensors file is: 8 bytes with the length of the header (little-endian), the header (a JSON object: name of a tensor -> dtype,
shape and the offsets of its bytes), then the bytes of all tensors without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.model_files.contents import AGAIN, kind_of, parse_strict_json, read_object, refuse_other_content

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000
"""Bytes; the safetensors library refuses longer ones."""
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64,
    "I64": 64, "U64": 64,
}  # fmt: skip
"""Name of a dtype in a header -> bits of a number."""


@dataclass(frozen=True)
class TensorHeader:
    dtype: str
    shape: tuple[int, ...]
    path: Path
    """The file that holds the tensor."""


def read_weight_headers(folder: Path) -> dict[str, TensorHeader]:
    """Name -> header of all tensors that transformers loads from a folder: `model.safetensors`, else the files of its index.

    Raises:
        UserError: a file is missing, cut, too long, or holds something else; a tensor is in two files, or in none.
    """
    if (folder / WEIGHTS).is_file():
        return read_header(folder / WEIGHTS)
    weight_map = _read_index(folder / INDEX)
    if missing := missing_shards(folder):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"the index names {missing[0]}{more}, which the folder does not have", where=str(folder / INDEX),
            fix="copy or download the missing files: all of them hold weights.",
        )  # fmt: skip
    found: dict[str, TensorHeader] = {}
    for name in sorted(set(weight_map.values())):
        for tensor, header in read_header(folder / name).items():
            if tensor in found:
                raise UserError(
                    f"the tensor {tensor} is in {found[tensor].path.name} too", where=str(folder / name),
                    fix="the files are of different models: copy or download all of them again.",
                )  # fmt: skip
            found[tensor] = header
    for tensor, name in weight_map.items():
        if tensor not in found or found[tensor].path.name != Path(name).name:
            raise UserError(
                f"the index says that {tensor} is in {name}, and it is not there", where=str(folder / INDEX),
                fix="the files are of different models: copy or download all of them again.",
            )  # fmt: skip
    return found


def missing_shards(folder: Path) -> list[str]:
    """Files that the index names, and the folder does not have. Raises UserError where the index is damaged."""
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        return []
    return [name for name in sorted(set(_read_index(folder / INDEX).values())) if not (folder / name).is_file()]


def _read_index(path: Path) -> dict[str, str]:
    """Name of a tensor -> name of its file."""
    index = read_object(path)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not isinstance(index.get("metadata"), dict):
        raise UserError("expected an object with `metadata` and `weight_map`", where=str(path), fix=AGAIN)
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not name.endswith(".safetensors") or Path(name).name != name or "\\" in name:
            raise UserError(
                f"expected the name of a safetensors file for {tensor}, found {kind_of(name)}",
                where=str(path),
                fix=AGAIN,
            )
    return weight_map


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Name -> header of the tensors in a safetensors file.

    Raises:
        UserError: the file is cut, too long, damaged, or of another kind.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
            refuse_other_content(path, start, size)
            length = int.from_bytes(start[:8], "little")
            _check_length(path, start, length, size)
            file.seek(8)
            content = file.read(length)
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror or error}", where=str(path)) from None
    try:
        header = parse_strict_json(content)
        if not isinstance(header, dict):
            raise ValueError(f"expected an object, found {kind_of(header)}")
        "".join(header).encode()
        _check_metadata(header.pop("__metadata__", None))
        tensors = {name: _parse_tensor(name, entry, path) for name, entry in header.items()}
        end = _check_offsets(header)
    except (ValueError, RecursionError) as error:
        raise UserError(f"its safetensors header is damaged: {error}", where=str(path), fix=AGAIN) from None
    _check_size(path, size, 8 + length + end)
    return tensors


def _check_length(path: Path, start: bytes, length: int, size: int) -> None:
    if size >= 8 and 0 < length <= LONGEST_HEADER and (len(start) < 9 or start[8:9] == b"{"):
        _check_size(path, size, 8 + length, whole=False)
        return
    raise UserError("it is not a safetensors file", where=str(path), fix=AGAIN)


def _check_size(path: Path, size: int, expected: int, *, whole: bool = True) -> None:
    """
    Args:
        whole: whether `expected` are all bytes of the file; otherwise at least so many.
    """
    if size < expected:
        raise UserError(
            f"the file is cut: it has {size:,} bytes, and {expected - size:,} of {'' if whole else 'at least '}{expected:,} are missing",
            where=str(path), fix=AGAIN,
        )  # fmt: skip
    if whole and size > expected:
        raise UserError(
            f"the file has {size:,} bytes, {size - expected:,} more than its header says", where=str(path), fix=AGAIN
        )


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("`__metadata__` is not an object of texts")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _parse_tensor(name: str, entry: Any, path: Path) -> TensorHeader:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"{name} has no dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise ValueError(f"{name} has an unknown dtype: {kind_of(dtype)}")
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise ValueError(f"the shape of {name} is not a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise ValueError(f"the data_offsets of {name} are not two numbers")
    bits = prod(shape) * DTYPE_BITS[dtype]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        raise ValueError(f"{name} is {dtype} of shape {shape}, and its bytes are {offsets[1] - offsets[0]:,}")
    return TensorHeader(dtype, tuple(shape), path)


def _check_offsets(header: Mapping[str, Any]) -> int:
    """The end of the last tensor. Raises ValueError where tensors overlap or leave a gap."""
    end = 0
    for begin, stop, name in sorted((*entry["data_offsets"], name) for name, entry in header.items()):
        if begin != end:
            raise ValueError(f"{name} begins at byte {begin:,}, and the tensor before it ends at {end:,}")
        end = stop
    return end
