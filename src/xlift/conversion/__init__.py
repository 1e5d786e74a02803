"""Turn a published checkpoint into a folder that every other part of xlift loads: safetensors weights and `tokenizer.json`.

| published | becomes | by |
| --- | --- | --- |
| `pytorch_model.bin`, also in shards | `model.safetensors`, the same tensors bit by bit | `weights.py` |
| a SentencePiece file, or no file at all (ByT5) | `tokenizer.json`, which gives the same tokens | `tokenizer.py` |
| `.gguf` | both, and `config.json` | `gguf.py` |

A pickled file can contain code. So the conversion runs in a process of its own (`python -m xlift.conversion`), which reads it
with `torch.load(weights_only=True)`: that builds tensors and refuses everything else. This module imports neither torch nor
transformers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from xlift.errors import UserError

SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
"""Names of the SentencePiece files of mT5, of XLM-R and NLLB, of DeBERTa, and of Llama and Gemma."""
PICKLED_WEIGHTS, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def find_source(path: Path) -> Path | None:
    """What must be converted before a model can be loaded: a model folder, or a GGUF file; None where nothing must be.

    Raises:
        UserError: the folder has several GGUF files.
    """
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    has_safetensors = any(path.glob("*.safetensors"))
    if not has_safetensors and has_pickled_weights(path):
        return path
    gguf_files = sorted(path.glob("*.gguf"))
    if not has_safetensors and gguf_files:
        if len(gguf_files) > 1:
            raise UserError(
                f"the folder has {len(gguf_files)} GGUF files, which are several models", where=str(path),
                fix=f"name one of them, for instance '{gguf_files[0]}'.",
            )  # fmt: skip
        return gguf_files[0]
    return path if lacks_tokenizer_json(path) else None


def has_pickled_weights(folder: Path) -> bool:
    return (folder / PICKLED_WEIGHTS).is_file() or (folder / PICKLED_INDEX).is_file()


def has_weights(path: Path) -> bool:
    """Whether the weights of a model folder, or of a GGUF file, are on this machine, with all pickled shards."""
    if path.is_file() or any(path.glob("*.safetensors")) or any(path.glob("*.gguf")):
        return True
    return has_pickled_weights(path) and all(file.is_file() for file in pickled_files(path))


def pickled_files(folder: Path) -> list[Path]:
    """The pickled weights of a folder, in the order of their names. Shards may be missing.

    Raises:
        UserError: the index is damaged, or names a file outside of the folder.
    """
    index = folder / PICKLED_INDEX
    if not index.is_file():
        return [folder / PICKLED_WEIGHTS]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("the index of the weights is damaged", where=str(index), fix="Download it again.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f"{name!r} is not the name of a file in this folder", where=str(index))
    return [folder / name for name in names]


def lacks_tokenizer_json(source: Path) -> bool:
    """Whether the folder has a tokenizer, but no `tokenizer.json`."""
    if (source / "tokenizer.json").is_file():
        return False
    return find_sentencepiece(source) is not None or has_byte_tokenizer(source)


def find_sentencepiece(source: Path) -> Path | None:
    """The SentencePiece file of a model folder."""
    return next((source / name for name in SENTENCEPIECE_FILES if (source / name).is_file()), None)


def has_byte_tokenizer(source: Path) -> bool:
    """Whether the model reads bytes (ByT5), which needs no tokenizer file."""
    configs = [read_json_object(source / name) for name in ("tokenizer_config.json", "config.json")]
    return "ByT5Tokenizer" in [config.get("tokenizer_class") for config in configs]


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def convert(source: Path, folder: Path) -> None:
    """Convert the model in `source`, a folder or a GGUF file, to the existing empty `folder`, in a process of its own.

    Raises:
        UserError: a file is missing, damaged or holds anything but tensors, the tokenizer cannot be reproduced, a package is not
            installed, or the disk is full. `folder` is then incomplete.
    """
    command = [sys.executable, "-m", "xlift.conversion", str(source), str(folder)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}  # all it reads is in `source`
    is_alive, alive = os.pipe()  # `alive` is closed by the end of this process, however it ends
    try:
        done = subprocess.run(
            command, stdin=is_alive, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
        )
    finally:
        os.close(is_alive)
        os.close(alive)
    if done.returncode == 0:
        return
    last_line = done.stderr.strip().rpartition("\n")[2]
    try:
        raise UserError(**json.loads(last_line))
    except (ValueError, TypeError):
        reason = f"signal {-done.returncode}" if done.returncode < 0 else last_line[:300] or "no message"
    raise UserError(
        f"the conversion of the model stopped: {reason}",
        where=str(source),
        fix="it may lack memory or space on the disk. What was written is removed; run the command again.",
    )
