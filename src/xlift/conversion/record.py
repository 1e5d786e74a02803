"""Which published files became which converted files: `conversion.json` in a converted folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

RECORD = "conversion.json"


@dataclass(frozen=True)
class ConversionRecord:
    sources: Mapping[str, str]
    """Name of a file that was read -> SHA-256 of its bytes."""
    written: Mapping[str, str]
    """The same of the files that were written."""

    @property
    def source_digest(self) -> str:
        return digest_of(self.sources)

    @property
    def written_digest(self) -> str:
        return digest_of(self.written)

    def describe(self) -> str:
        """'its pickled weights were converted to safetensors, its SentencePiece file to tokenizer.json'."""
        names = tuple(self.sources)
        parts = []
        if any(name.endswith(".gguf") for name in names):
            parts.append("its GGUF file was converted to safetensors and tokenizer.json")
        if any(name.endswith(".bin") for name in names):
            parts.append("its pickled weights were converted to safetensors")
        if any(name.endswith(".model") for name in names):
            parts.append(f"its SentencePiece file{' was converted' if not parts else ''} to tokenizer.json")
        return ", ".join(parts) or "its tokenizer of bytes was written to tokenizer.json"


def read_record(folder: Path) -> ConversionRecord | None:
    """The record of a converted folder; None where there is none, or it is no record."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        sources, written = content["sources"], content["written"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    tables = (sources, written)
    if not all(isinstance(table, dict) and all(isinstance(each, str) for each in table.values()) for table in tables):
        return None
    return ConversionRecord(sources, written)


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 over names of files and their digests."""
    return hashlib.sha256("".join(f"{name}:{files[name]}\n" for name in sorted(files)).encode()).hexdigest()


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Name -> SHA-256 of each file."""
    found = {}
    for path in sorted(paths):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
