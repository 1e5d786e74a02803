"""Choose the words of a text to change, change them, and keep the edits so that they can be undone.

One random stream, named by (seed, kind, key, text), makes all choices: neither the order of examples nor other texts
matter. Levels are nested: a word changed at 5% is changed in the same way at 10%. Of n words that can change, level * n are
changed, rounded up or down at random, so that short texts have the right share on average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from xlift.archipelago.random_streams import random_stream
from xlift.errors import UserError
from xlift.tasks.formats.change import ChangedText
from xlift.tasks.grapheme_clusters import clusters
from xlift.tasks.noise import segmentation


class Rewrite(NamedTuple):
    slots: tuple[str, ...]
    """Replacement of each cluster of the word; '' if it is dropped."""
    edit_type: str
    """'swap', 'drop', 'lower', ..."""


class NoiseKind(Protocol):
    """One kind of noise, in one language."""

    def can_change(self, word: Sequence[str]) -> bool:
        """Whether this noise can change a word, given as clusters. The level is a share of such words."""
        ...

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        """Propose rewrites of a word; the first one that keeps clusters whole is used. `name` names the random stream."""
        ...


class Edit(NamedTuple):
    start: int
    """Character offset in the original text."""
    before: str
    after: str
    edit_type: str


@dataclass(frozen=True)
class NoisyText:
    """A text with noise, its edits and its counts."""

    changed: ChangedText
    edits: tuple[Edit, ...]
    """One for each changed word, in order."""
    num_words: int
    num_changeable: int
    """Words that this kind of noise can change."""


def add_noise(
    text: str, kind: NoiseKind, level: float, name: tuple[object, ...], boundaries: Collection[int] = ()
) -> NoisyText:
    """Add noise to a text.

    Args:
        level: share of changed words among those that can change.
        name: of the random stream, without the level.
        boundaries: character offsets of the text that no change may cross (`segmentation.segment`).
    """
    segmented = segmentation.segment(text, boundaries)
    changeable = [number for number in range(len(segmented.words)) if kind.can_change(segmented.word(number))]
    rng = random_stream("noise", *name, text)
    max_edits = level * len(changeable) + rng.random()
    rng.shuffle(changeable)
    slots = list(segmented.clusters)
    edits: list[Edit] = []
    for number in changeable:
        if len(edits) + 1 > max_edits:
            break
        first, stop = segmented.words[number]
        before, start = segmented.word(number), segmented.starts[first]
        for word_slots, edit_type in kind.propose_rewrites(before, (*name, text, start)):
            after = "".join(word_slots)
            if word_slots != before and after and _keeps_clusters_whole(slots, first, stop, word_slots):
                slots[first:stop] = word_slots
                edits.append(Edit(start, "".join(before), after, edit_type))
                break
    return NoisyText(_make_changed_text(segmented, slots), tuple(sorted(edits)), len(segmented.words), len(changeable))


def _keeps_clusters_whole(slots: Sequence[str], first: int, stop: int, word: Sequence[str]) -> bool:
    """Whether the clusters of a rewritten word merge neither with each other nor with the neighbouring clusters."""
    before = next((slots[n] for n in range(first - 1, -1, -1) if slots[n]), "")
    after = next((slots[n] for n in range(stop, len(slots)) if slots[n]), "")
    new_clusters = [cluster for slot in word for cluster in clusters(slot)]
    around = [*clusters(before)[-1:], *new_clusters, *clusters(after)[:1]]
    return clusters("".join(around)) == around


def _make_changed_text(segmented: segmentation.SegmentedText, slots: Sequence[str]) -> ChangedText:
    offsets, length = [], 0
    for cluster, slot in zip(segmented.clusters, slots, strict=True):
        offsets += [length + min(n, len(slot)) for n in range(len(cluster))]
        length += len(slot)
    return ChangedText("".join(slots), (*offsets, length))


def align_to_clusters(word: Sequence[str], after: str) -> tuple[str, ...]:
    """Distribute the clusters of a new word evenly over the clusters of the old one, from left to right."""
    parts, n = clusters(after), len(word)
    cuts = [round(number * len(parts) / n) for number in range(n + 1)]
    return tuple("".join(parts[left:right]) for left, right in zip(cuts, cuts[1:]))


def undo_edits(text: str, edits: Sequence[Edit]) -> str:
    """Restore the original of a text with noise.

    Raises:
        UserError: the edits belong to another text.
    """
    parts, position, shift = [], 0, 0
    for edit in edits:
        start = edit.start + shift
        if text[start : start + len(edit.after)] != edit.after or start < position:
            raise UserError(f"expected '{edit.after}' at character {start}", fix="the edits belong to another text.")
        parts += [text[position:start], edit.before]
        position = start + len(edit.after)
        shift += len(edit.after) - len(edit.before)
    return "".join([*parts, text[position:]])


@dataclass
class NoiseCounts:
    """Number of texts, words and edits, summed over noisy texts."""

    num_texts: int = 0
    num_words: int = 0
    num_changeable: int = 0
    """Words that the kind of noise can change; for paraphrases, sentences."""
    num_changed: int = 0
    edit_counts: Counter[str] = field(default_factory=Counter)

    def add(self, noisy: NoisyText) -> None:
        self.num_texts += 1
        self.num_words += noisy.num_words
        self.num_changeable += noisy.num_changeable
        self.num_changed += len(noisy.edits)
        self.edit_counts.update(edit.edit_type for edit in noisy.edits)

    @property
    def changed_share(self) -> float:
        """Share of all words that were changed."""
        return self.num_changed / self.num_words if self.num_words else 0.0
