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
import subprocess
import sys
from pathlib import Path

from xlift.errors import UserError

SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
"""Names of the SentencePiece files of mT5, of XLM-R and NLLB, of DeBERTa, and of Llama and Gemma."""
PICKLED_WEIGHTS, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def needs_conversion(source: Path) -> bool:
    """Whether a model folder, or a GGUF file, must be converted before it can be loaded."""
    if source.is_file():
        return source.suffix == ".gguf"
    has_pickled_weights = (source / PICKLED_WEIGHTS).is_file() or (source / PICKLED_INDEX).is_file()
    lacks_weights = not any(source.glob("*.safetensors"))
    return (has_pickled_weights and lacks_weights) or lacks_tokenizer_json(source)


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
    try:
        config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
        return config.get("tokenizer_class") == "ByT5Tokenizer"
    except (OSError, ValueError, AttributeError):
        return False


def convert(source: Path, folder: Path) -> None:
    """Convert the model in `source`, a folder or a GGUF file, to the existing empty `folder`, in a process of its own.

    Raises:
        UserError: a file is missing, damaged or holds anything but tensors, the tokenizer cannot be reproduced, a package is not
            installed, or the disk is full. `folder` is then incomplete.
    """
    command = [sys.executable, "-m", "xlift.conversion", str(source), str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
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
