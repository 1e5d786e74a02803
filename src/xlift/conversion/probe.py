"""Texts on which tokenizers are compared: sentences and random words of many scripts, and cases that normalization changes.

The texts are a file, since the letters that Python knows depend on its version, and keys of jobs depend on these texts.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

EDGE_CASES = "cases that normalization changes"


@cache
def probe_groups() -> dict[str, tuple[str, ...]]:
    """Script -> texts, and last the cases that normalization changes."""
    content = json.loads(Path(__file__).with_name("probe.json").read_text(encoding="utf-8"))
    return {group: tuple(texts) for group, texts in content.items()}


@cache
def probe_texts() -> tuple[str, ...]:
    return tuple(text for texts in probe_groups().values() for text in texts)
