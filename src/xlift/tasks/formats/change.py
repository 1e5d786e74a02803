"""Changes of texts by noise or by a translator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ChangedText:
    """A changed text, and where each character of the original went."""

    text: str
    offsets: tuple[int, ...]
    """(characters of the original + 1,) ascending: where in `text` each character of the original now begins; the last
    one is the end. The span [a, b) of the original is now [offsets[a], offsets[b])."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where the span [start, end) of the original is now."""
        return self.offsets[start], self.offsets[end]


Change = Callable[[str], ChangedText]
"""Changes one text. It is called once for each text of an example, in the order of the format's `texts`."""


def apply_change(text: str, change: Change) -> str:
    """The changed text; the original if the change leaves only white space. A blank text is not passed to `change`."""
    changed = change(text).text if text.strip() else text
    return changed if changed.strip() else text
