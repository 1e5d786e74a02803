"""Texts of span QA in text mode: how prompts write them, and which span of the context a generated answer is."""

from __future__ import annotations

import unicodedata

from xlift.tasks.grapheme_clusters import clusters, normalize


def on_one_line(text: str) -> str:
    return " ".join(text.split())


def pad_punctuation(text: str) -> str:
    """Put single spaces around every character except letters, marks, numbers, white space and underscore, as mT5's
    fine-tuning does with context, question and answers (multilingual_t5/preprocessors.py, `pad_punctuation`)."""
    return on_one_line("".join(
        char if char == "_" or unicodedata.category(char)[0] in "LMN" else f" {char} " for char in text
    ))  # fmt: skip


def find_in_context(text: str, context: str) -> str:
    """The first span of the context that equals the text except for white space, else the first span of whole clusters
    that does in the form NFKC, which tokenizers give their input; the text itself if there is none."""
    wanted = "".join(text.split())
    if not wanted:
        return text
    positions = [i for i, char in enumerate(context) if not char.isspace()]
    first = "".join(context[i] for i in positions).find(wanted)
    if first >= 0:
        return context[positions[first] : positions[first + len(wanted) - 1] + 1]
    parts = clusters(context)
    edges = {0: 0}  # where a cluster begins in the normalized context -> its number
    normalized = ""
    for number, part in enumerate(parts, start=1):
        normalized += normalize(part)
        edges[len(normalized)] = number
    wanted = normalize(text)
    first = normalized.find(wanted)
    while first >= 0 and not (first in edges and first + len(wanted) in edges):
        first = normalized.find(wanted, first + 1)
    return "".join(parts[edges[first] : edges[first + len(wanted)]]).strip() if first >= 0 else text
