"""The folders that `make real-models` writes: two real pretrained models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("XLIFT_REAL_MODELS") or Path(__file__).parents[2] / "real-models")
GEMMA, MINILM = FOLDER / "gemma-3-270m", FOLDER / "minilm"
TEXTS = [
    "The old man reads a book.",
    "Der Regen hörte auf, also gingen wir in den Garten zurück, in dem noch alle Stühle standen.",
    "Chakula kilikuwa baridi",
    "雨が止んだので、私たちは庭に戻りました。",
    "बारिश रुक गई।",
    "ฝนหยุดตกแล้ว เราจึงกลับไปที่สวน",
    "அவர் ஒரு புத்தகம் படித்தார்.",
    "No.",
]
"""Rows of different lengths in eight languages."""


def needs(folder: Path) -> list[pytest.MarkDecorator]:
    """Marks of a test module that needs one of the models."""
    reason = f"needs {folder}: run `make real-models`, or set XLIFT_REAL_MODELS to the folder that has it"
    return [pytest.mark.slow, pytest.mark.skipif(not (folder / "config.json").is_file(), reason=reason)]
