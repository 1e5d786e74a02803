"""Corrects or counts the rows with a known fault while a split is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from xlift.tasks import formats
from xlift.tasks.faults import Fault, FaultyRows
from xlift.tasks.sources.parallel import collect_keys, compare_with_english
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task


@dataclass
class FaultCounter:
    """The known faults of one (task, language, split) from one kind of source, with the number of faulty rows read so far."""

    task: Task
    split: str
    faults: tuple[Fault, ...]
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, task: Task, language: str, split: str, kind: str) -> FaultCounter:
        return cls(task, split, tuple(fault for fault in task.faults if fault.applies_to(language, split, kind)))

    def read(self, row: Row) -> Row:
        """The row, corrected unless the task keeps its faults."""
        if row.example is None:  # it has an error
            return row
        example = row.example
        for fault in self.faults:
            if fault.correction is not None:
                right = fault.correction.right_value(self.split, example.id)
                if right is not None and getattr(example, fault.correction.field) != right:
                    self.counts[fault.name] += 1
                    if not self.task.keeps_faults:
                        example = replace(example, **{fault.correction.field: right})
            elif fault.placeholder is not None:
                texts = formats.get(self.task.format).texts(example)
                self.counts[fault.name] += any(text.strip() == fault.placeholder for text in texts)
        return row if example is row.example else replace(row, example=example)

    def find(self, rows: Iterable[Row], english: Iterable[Row] | None) -> tuple[FaultyRows, ...]:
        """The faults of `rows`, which went through `read`, in the order of their declaration.

        Args:
            english: the English rows to compare labels with; None if they are absent.
        """
        format = formats.get(self.task.format)
        keys = collect_keys(rows, format)
        for fault in self.faults:
            if fault.differs_from_english and english is not None:
                self.counts[fault.name] = compare_with_english(keys, collect_keys(english, format)).mismatches
        return tuple(
            FaultyRows(self.task.name, fault, self.counts[fault.name], self.task.keeps_faults)
            for fault in self.faults
            if self.counts[fault.name]
        )

    def corrections(self) -> list[Any]:
        """What determines the corrected values, for the fingerprint; empty if nothing can be corrected."""
        if self.task.keeps_faults:
            return []
        return [fault.correction.content(self.split) for fault in self.faults if fault.correction]
