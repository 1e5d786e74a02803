"""How the ids of a model follow from the ids of its SentencePiece file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xlift.conversion.probe import probe_texts

ID_OFFSETS = {
    "albert": 0, "camembert": 4, "deberta-v2": 0, "gemma": 0, "gemma2": 0, "gemma3_text": 0, "llama": 0, "m2m_100": 1, "mbart": 1,
    "mistral": 0, "mt5": 0, "t5": 0, "umt5": 0, "xglm": 1, "xlm-roberta": 1, "xlm-roberta-xl": 1, "xmod": 1,
}  # fmt: skip
"""Model type -> id of a token minus its id in the SentencePiece file: `fairseq_offset` of the tokenizer's class in transformers 4.
The models that fairseq trained have one special token more at the start."""


def open_sentencepiece(path: Path) -> Any | None:
    """The processor of a SentencePiece file; None where the package is not installed, or the file is of another kind (tiktoken)."""
    try:
        import sentencepiece

        # the class reads the bytes, since its own reader of paths prints an error that cannot be caught
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (ImportError, RuntimeError):
        return None


def find_shifted_id(find_id: Callable[[str], int | None], processor: Any, model_type: str) -> str:
    """The first piece of the probe's texts with another id than the model type declares, as a clause; '' if there is none.

    Args:
        find_id: gives the id of a token, and None for one that is not in the vocabulary.
        model_type: of `config.json`. For other types than those of ID_OFFSETS the first piece decides the offset.
    """
    offset = ID_OFFSETS.get(model_type)
    for number in sorted({number for row in processor.encode(list(probe_texts())) for number in row}):
        if processor.is_unknown(number) or processor.is_control(number):
            continue
        piece = processor.id_to_piece(number)
        found = find_id(piece)
        if offset is None and found is not None:
            offset = found - number
        if found is None or found != number + (offset or 0):
            return f"'{piece}' has the id {found}, expected {number + (offset or 0)}"
    return ""
