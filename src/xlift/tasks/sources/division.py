"""Divide the rows of files between training, dev and test.

`DocumentShare` is a fixed share of the documents in file order, which the catalogue declares. `Holdout` takes rows of the
training files, as a study asks for: stratified by label, whole groups, chosen by the hash of the id.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, ClassVar

from xlift.errors import UserError
from xlift.tasks.formats.base import Format
from xlift.tasks.sources.parallel import hash_name
from xlift.tasks.sources.readers.base import Row
from xlift.units import count_noun

TRAIN = "train"
HELD_OUT_SPLITS = ("test", "dev")
"""In the order in which rows are chosen: holding out a dev split too changes no test row."""
_GROUP, _ID = b"holdout group", b"holdout id"


@dataclass(frozen=True)
class DocumentShare:
    """A share of a file's documents, so that one file can serve training and test without a shared article.

    The documents from `start` to `end` (as shares of their number) in file order: the same ones in every translation.
    """

    start: float = 0.0
    end: float = 1.0

    def choose(self, documents: list[str]) -> set[str]:
        return set(documents[round(self.start * len(documents)) : round(self.end * len(documents))])

    def select(self, rows: Iterable[Row]) -> Callable[[Row], bool]:
        """Whether a row belongs to this share of the documents of `rows`."""
        chosen = self.choose(list(dict.fromkeys(map(_group_of, rows))))
        return lambda row: _group_of(row) in chosen


@dataclass(frozen=True)
class Holdout:
    """Rows of the training files that become dev or test examples."""

    sizes: Mapping[str, float | int]
    """Split -> share of the rows (a float below 1), or number of rows."""
    languages: Mapping[str, tuple[str, ...]]
    """Split -> languages that have training files and no file of this split."""
    reference: str = ""
    """If an id means the same example in every language: the language whose rows are divided. The other languages follow it,
    so that no translation of a training row is held out. '' if each language is divided alone."""

    VERSION: ClassVar = 1
    """Increased when other rows are held out than before; part of the fingerprint."""

    def holds(self, language: str, split: str) -> bool:
        """Whether the examples of a split are rows of the training files."""
        return language in self.languages.get(split, ())

    def splits(self, language: str) -> tuple[str, ...]:
        """The splits that rows of a language's training files are held out for."""
        return tuple(
            split
            for split in HELD_OUT_SPLITS
            if self.holds(language, split) or (self.reference and self.languages.get(split))
        )

    def divided_language(self, language: str, split: str) -> str:
        """The language whose training rows are divided for a split: `reference`, else the language of the split. '' if the
        files of the split hold no rows of other splits."""
        is_divided = self.splits(language) if split == TRAIN else self.holds(language, split)
        return (self.reference or language) if is_divided else ""

    def identity(self, language: str, split: str, reference: list[str]) -> dict[str, Any]:
        """What determines which rows a split has, for its fingerprint.

        Args:
            reference: digests of the divided files, if they are those of another language.
        """
        sizes = {name: self.sizes[name] for name in self.splits(language)}
        return {"split": split, "sizes": sizes, "version": self.VERSION, "reference": reference}

    def divide(self, rows: Iterable[Row], language: str, format: Format, place: str = "") -> Division:
        """Divide the rows of a language's training files.

        Rows of one group (`Row.document`) stay together. In the order of the hashes of their groups, or of their ids if
        they have none, rows are chosen until every label has its share. So the order of the rows does not matter, and rows
        that are added later move few of the others.

        Args:
            place: the file to name in an error.

        Raises:
            UserError: there are too few rows or groups without an error.
        """
        labels_by_group: dict[int, Counter[str]] = {}
        ids, groups = array("Q"), array("Q")
        first_error: UserError | None = None
        for row in rows:
            if row.error is not None:  # it stays in training, which reports it
                first_error = first_error or row.error
                continue
            stratum, group = format.fewshot_group(row.example), hash_name(_group_of(row), _GROUP)
            labels = [str(label) for label in stratum] if isinstance(stratum, tuple) else [str(stratum)]
            labels_by_group.setdefault(group, Counter()).update(labels or [""])
            ids.append(hash_name(row.example.id, _ID))
            groups.append(group)
        sides = dict.fromkeys(sorted(labels_by_group), TRAIN)
        all_labels = _sum(labels_by_group.values())
        splits = self.splits(language)
        for split in splits:
            remaining = {group: labels_by_group[group] for group, side in sides.items() if side == TRAIN}
            share = _share(self.sizes[split], len(ids))
            chosen: list[int] = []
            if share * len(ids) < sum(sides[group] == TRAIN for group in groups):
                is_exact = isinstance(self.sizes[split], int)
                chosen = _choose(remaining, allot(all_labels, share, _sum(remaining.values()), is_exact=is_exact))
            if not chosen and first_error is not None:
                raise first_error
            if not chosen:
                count = count_noun(len(ids), "row") + (
                    f" in {count_noun(len(sides), 'group')}" if len(sides) < len(ids) else ""
                )
                raise UserError(
                    f"cannot hold out {self.sizes[split]} of {count} as {split} and keep rows to train on",
                    where=place,
                    fix="Hold out fewer rows, or give a file of that split.",
                )
            sides |= dict.fromkeys(chosen, split)
        return Division(
            {split: float(_share(self.sizes[split], len(ids))) for split in splits},
            sides,
            {name: sides[group] for name, group in zip(ids, groups, strict=True)},
            len(all_labels) > 1,
        )


@dataclass(frozen=True)
class Division:
    """The sides of the rows of one language: to which split each belongs."""

    shares: Mapping[str, float]
    """Held-out split -> share of the rows."""
    groups: Mapping[int, str]
    """Hash of a group -> split."""
    ids: Mapping[int, str]
    """Hash of an id -> split."""
    is_stratified: bool

    def split_of(self, row: Row) -> str:
        """The split of a row, in any language: that of the same id or group. Rows that the divided language lacks are held
        out by the hash of their group."""
        if row.error is not None:
            return TRAIN  # it is reported once
        group = hash_name(_group_of(row), _GROUP)
        found = self.ids.get(hash_name(row.example.id, _ID)) or self.groups.get(group)
        if found:
            return found
        position, end = group / 2**64, 0.0
        for split, share in self.shares.items():
            end += share
            if position < end:
                return split
        return TRAIN

    def describe(self, rows: Iterable[Row], split: str, held: tuple[str, ...]) -> tuple[str, ...]:
        """Sentences for the user about a split.

        Args:
            rows: of the language's training files.
            held: the splits that these rows are held out for.
        """
        num_rows = num_own = num_left_out = 0
        groups = set[str]()
        for row in rows:
            side = self.split_of(row)
            num_rows += 1
            num_left_out += side not in (TRAIN, *held)
            if side == split:
                num_own += 1
                groups.add(row.document)
        if split == TRAIN:
            what = f"{num_left_out:,} of {num_rows:,} rows left out, since they are held out in another language"
            return (what,) if num_left_out else ()
        stratified = ", stratified by label" if self.is_stratified else ""
        whole = f", in {count_noun(len(groups), 'whole group')}" if groups - {""} else ""
        return (f"{num_own:,} of {num_rows:,} training rows held out{stratified}{whole}",)


def allot(
    labels: Mapping[str, int], share: Fraction, remaining: Mapping[str, int] | None = None, *, is_exact: bool = False
) -> dict[str, int]:
    """The number of rows to hold out of each label: `share` of them, rounded by largest remainder. A label with two rows or
    more has at least one row on each side.

    Args:
        labels: label -> number of rows.
        remaining: label -> number of rows that are still to be chosen from; default: all.
        is_exact: keep the sum at `share` of all rows. Then a label may stay without a held-out row.
    """
    remaining = labels if remaining is None else remaining
    ideal = {label: count * share for label, count in sorted(labels.items())}
    quotas = {label: floor(number) for label, number in ideal.items()}
    missing = floor(sum(labels.values()) * share + Fraction(1, 2)) - sum(quotas.values())
    for label in sorted(ideal, key=lambda label: quotas[label] - ideal[label])[:missing]:
        quotas[label] += 1
    for label in quotas:
        count = remaining.get(label, 0)
        wanted = min(max(quotas[label], 1), max(count - 1, 0))
        while wanted != quotas[label]:
            step = 1 if wanted > quotas[label] else -1
            if is_exact:  # another label gives a row, or takes one
                others = {
                    other: quotas[other] if step > 0 else remaining.get(other, 0) - quotas[other]
                    for other in quotas if other != label
                }  # fmt: skip
                other = max(others, key=others.__getitem__, default=None)
                if other is None or others[other] < 2:
                    break
                quotas[other] -= step
            quotas[label] += step
    return quotas


def _choose(groups: Mapping[int, Counter[str]], quotas: Mapping[str, int]) -> list[int]:
    """Groups whose labels add up to the quotas: in the given order, each group that brings the numbers nearer to them. At
    least one, and never all; [] if that is impossible."""
    missing = dict(quotas)
    chosen: list[int] = []
    for group, labels in groups.items():
        if len(chosen) < len(groups) - 1 and _excess(labels, missing) < 0:
            chosen.append(group)
            for label, count in labels.items():
                missing[label] -= count
    if not chosen and len(groups) > 1:  # every group is too large
        chosen = [min(groups, key=lambda group: _excess(groups[group], missing))]
    return chosen


def _excess(labels: Mapping[str, int], missing: Mapping[str, int]) -> int:
    """The change of the distance from the quotas if a group is chosen."""
    return sum(abs(missing[label] - count) - abs(missing[label]) for label, count in labels.items())


def _share(size: float | int, num_rows: int) -> Fraction:
    return Fraction(size, num_rows) if isinstance(size, int) else Fraction(str(size))


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _group_of(row: Row) -> str:
    return row.document or row.example.id
