"""Convert all files of a checkpoint, and write down which bytes became which (`conversion.json`)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from xlift.conversion import lacks_tokenizer_json
from xlift.conversion.gguf import convert_gguf
from xlift.conversion.record import RECORD, hash_files
from xlift.conversion.tokenizer import convert_tokenizer
from xlift.conversion.weights import convert_weights
from xlift.errors import UserError

COPIED = ("config.json", "generation_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                   "vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja")  # fmt: skip


def convert_checkpoint(source: Path, folder: Path) -> None:
    """Write the files of a model folder, or of a GGUF file, to the existing empty `folder`.

    Raises:
        UserError: a file is missing or damaged or holds anything but tensors, or the tokenizer cannot be reproduced.
        OSError: the disk refuses the files.
    """
    if source.is_file():
        convert_gguf(source, folder)
        _write_record([source], folder)
        return
    if not (source / "config.json").is_file():
        raise UserError("not a model folder: it has no config.json", where=str(source))
    for name in COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    used = [source / "config.json", *convert_weights(source, folder)]
    if lacks_tokenizer_json(source):
        used += convert_tokenizer(source, folder)
    else:
        for name in TOKENIZER_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
    _write_record(used, folder)


def _write_record(sources: list[Path], folder: Path) -> None:
    import torch
    import transformers

    record = {
        "sources": hash_files(sources),
        "written": hash_files(path for path in folder.iterdir() if path.is_file()),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
