"""Labels that look like a mistake beside the others: misspelt, differing in case only, or the name of a column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping

from xlift.tasks.sources.base import truncate

MAX_RARE = 2
"""A label that occurs at most so often may be a misspelt one."""
MIN_RATIO = 3
"""The right label occurs at least so many times as often."""

_TAG_PREFIX = re.compile(r"[A-Z]-(?=.)")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[-_\s]+(?=[^\W\d_])")
_BESIDE_DIGITS = re.compile(r"(?<=\w)[-_\s]+(?=\w)")


def find_odd_labels(
    counts: Mapping[str, int], columns: Collection[str], declared_labels: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """(label, what is odd about it).

    Args:
        counts: label -> how often it occurs.
        columns: names of the columns of the files.
        declared_labels: labels that the task declares. They are not taken for misspelt ones.
    """
    names = {column.casefold() for column in columns}
    named: set[str] = set()
    for label in counts:
        if label.casefold() in names and label not in declared_labels:
            named.add(label)
            yield label, f"the label {_show(label)} is the name of a column. A header in the middle of the file?"
    by_folded: dict[str, list[str]] = {}
    for label in counts:
        by_folded.setdefault(fold(label), []).append(label)
    for alike in by_folded.values():
        alike.sort(key=lambda label: -counts[label])
        for label in alike[1:]:
            named.add(label)
            yield (
                label,
                (
                    f"the label {_show(label)} ({_times(counts[label])}) differs from {_show(alike[0])} "
                    f"({_times(counts[alike[0]])}) only in {_difference(label, alike[0])}"
                ),
            )
    for label, right in _find_misspelt(
        {label: n for label, n in counts.items() if label not in named}, declared_labels
    ):
        yield (
            label,
            f"the label {_show(label)} occurs {_times(counts[label])}. Did you mean {_show(right)} ({_times(counts[right])})?",
        )


def fold(label: str) -> str:
    """A label without what is easily overlooked: case, composition of letters, invisible characters, and the spaces, hyphens
    and underscores between its words."""
    text = "".join(c for c in unicodedata.normalize("NFC", label) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFC", text.casefold())
    return _BESIDE_DIGITS.sub(" ", _BETWEEN_LETTERS.sub("", text)).strip()


def _difference(label: str, other: str) -> str:
    def visible(text: str) -> str:
        return "".join(c for c in text if unicodedata.category(c) != "Cf")

    composed, other_composed = (unicodedata.normalize("NFC", text) for text in (label, other))
    if composed == other_composed:
        return "how its letters are composed (Unicode NFC and NFD)"
    if visible(composed) == visible(other_composed):
        return "invisible characters"
    return "case" if visible(composed).casefold() == visible(other_composed).casefold() else "case, spaces or hyphens"


def _find_misspelt(counts: Mapping[str, int], declared_labels: Collection[str]) -> Iterator[tuple[str, str]]:
    """(rare label, frequent label that is one letter apart)."""
    shortened: dict[str, list[str]] = {}
    for label, count in counts.items():
        if count >= MIN_RATIO:
            for variant in _without_one(label):
                shortened.setdefault(variant, []).append(label)
    for label, count in counts.items():
        if count > MAX_RARE or label in declared_labels:
            continue
        near = {
            other
            for variant in _without_one(label)
            for other in shortened.get(variant, ())
            if counts[other] >= MIN_RATIO * count and is_misspelt(label, other)
        }
        if near:
            yield label, max(near, key=lambda other: counts[other])


def _without_one(label: str) -> set[str]:
    """The word of a label, and the word without each of its letters: words one letter apart share one of these."""
    word = _TAG_PREFIX.sub("", label, count=1) if _TAG_PREFIX.match(label) else label
    return {word, *(word[:n] + word[n + 1 :] for n in range(len(word)))}


def is_misspelt(label: str, right: str) -> bool:
    """Whether a label is another one with a letter too many, missing, wrong or in the wrong place.

    Short labels are often one letter apart on purpose (`1` and `2`, `ADJ` and `ADV`, `NNP` and `NNPS`), and so are numbered
    ones and tags that differ in their prefix (`B-PER` and `I-PER`).
    """
    prefix, right_prefix = (match[0] if (match := _TAG_PREFIX.match(text)) else "" for text in (label, right))
    if prefix != right_prefix:
        return False
    label, right = label.removeprefix(prefix), right.removeprefix(prefix)
    shorter = min(len(label), len(right))
    start = next((n for n in range(shorter) if label[n] != right[n]), shorter)
    end = 0
    while end < shorter - start and label[-1 - end] == right[-1 - end]:
        end += 1
    wrong, expected = label[start : len(label) - end], right[start : len(right) - end]
    if not all(map(_is_letter, wrong + expected)):
        return False
    word, right_word = _word_at(label, start, len(wrong)), _word_at(right, start, len(expected))
    length = min(len(word), len(right_word))
    if len(wrong) + len(expected) == 1:  # a letter too many or missing
        is_doubled = 2 * (wrong or expected) in (word + " " + right_word)
        return length >= (3 if is_doubled else 4)
    if len(wrong) == len(expected) == 1:
        return length >= 5
    return len(wrong) == 2 and wrong == expected[::-1] and length >= 4


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _word_at(label: str, start: int, length: int) -> str:
    """The word around a part of a label: `refund` in `request-refund`, `B` in `groupB`."""
    end = start + length
    while (
        start > 0
        and _is_letter(label[start - 1])
        and not (label[start - 1].islower() and label[start : start + 1].isupper())
    ):
        start -= 1
    while end < len(label) and _is_letter(label[end]) and not (label[end - 1 : end].islower() and label[end].isupper()):
        end += 1
    return label[start:end]


def _show(label: str) -> str:
    return f"'{truncate(label, 60)}'"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
