"""Write predictions as .tsv (id, label, score), .jsonl, or .conll for tagging (word, tag, score)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from xlift.errors import UserError
from xlift.execution.file_prediction.predictor import Prediction
from xlift.tasks import formats
from xlift.tasks.formats.base import Format

Writer = Callable[[Prediction, Format], str]


def _tsv(prediction: Prediction, format: Format) -> str:
    cells = (_cell(prediction.id), _cell(format.answer_cell(prediction.label)), _score(prediction.score))
    return "\t".join(cells) + "\n"


def _jsonl(prediction: Prediction, format: Format) -> str:
    record: dict[str, Any] = {"id": prediction.id, "label": prediction.label, "score": _rounded(prediction.score)}
    if prediction.scores:
        record |= {"words": list(prediction.example.words), "scores": [_rounded(score) for score in prediction.scores]}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _conll(prediction: Prediction, format: Format) -> str:
    scores = prediction.scores or (None,) * len(prediction.label)
    lines = (
        f"{word}\t{tag}\t{_score(score)}\n"
        for word, tag, score in zip(prediction.example.words, prediction.label, scores, strict=True)
    )
    return "".join(lines) + "\n"


WRITERS: dict[str, tuple[str, Writer]] = {
    ".tsv": ("id\tlabel\tscore\n", _tsv),
    ".jsonl": ("", _jsonl),
    ".conll": ("", _conll),
}
"""Extension -> (first line, function that formats one prediction)."""


def find_writer(extension: str, format_name: str) -> tuple[str, Callable[[Prediction], str]]:
    """Return the header and the row function of an extension. Raises UserError if it does not fit the format."""
    format = formats.get(format_name)
    supported = [name for name in WRITERS if name != ".conll" or format.tags_words]
    if extension not in supported:
        raise UserError(
            f"cannot write {format_name} predictions as '{extension}'",
            where="--out",
            fix=f"Expected {', '.join(supported)}.",
        )
    header, write = WRITERS[extension]
    return header, lambda prediction: write(prediction, format)


def _cell(text: str) -> str:
    """Replace tabs and newlines by blanks."""
    return " ".join(text.split())


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.6f}"


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
