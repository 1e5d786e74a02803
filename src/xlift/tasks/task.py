"""`Task`, the declaration of a task (data only), and `Source`, the protocol of where its examples come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from xlift.tasks import formats
from xlift.tasks.faults import Fault, FaultyRows


class Source(Protocol):
    """Where the examples of one task come from."""

    @property
    def kind(self) -> str:
        """'isles' (generated), 'native' (the authors' files), 'xtreme' (the layout of XTREME's download scripts),
        'hub', 'custom' (the user's files); joined by commas if a task has several."""
        ...

    def languages(self, split: str) -> tuple[str, ...]:
        """The languages declared for a split, whether or not their files are on this machine."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Declared splits, out of 'train', 'dev', 'test'."""
        ...

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        """Whether the files exist (always true for generated data)."""
        ...

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        """Number of examples; None if the source generates as many as requested."""
        ...

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """Stream examples (instances of the format's dataclass).

        Without `size`: every example in file order (generated data: the split's standard number). With `size`: a random
        subset of that many under `seed`. Subsets of one seed are nested: the 1,000 are among the 10,000.

        Raises:
            UserError: a file is missing or empty, a row is malformed, a label is unknown (file, line, expected values),
                or `size` is larger than the data.
        """
        ...

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        """Facts about the split's files that a user should see: rows left out, English without a translation."""
        ...

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        """The known faults that are in the split's files, with the number of rows."""
        ...

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        """Hex digest of what determines the examples: the bytes of the files, or the generator's version."""
        ...


MLM_HEAD = "MLM"
"""Name of the head of all text tasks. (No task name is in capitals.)"""


@dataclass(frozen=True)
class Task:
    """Declaration of one task. It computes nothing."""

    name: str
    title: str
    format: str
    """Name of a format (tasks/formats)."""
    metrics: tuple[str, ...]
    """Names of metrics in tasks/metrics; tables show the first."""
    source: Source
    labels: tuple[str, ...] = ()
    """In canonical order: a class index in a checkpoint is a position here."""
    train_language: str = ""
    """Default language of the labels that a study trains on."""
    train_task: tuple[str, ...] = ()
    """Tasks to train on, one after the other, if this one has no training split (XNLI <- MNLI; XCOPA <- SocialIQA, then
    COPA)."""
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """'xtreme', 'xtreme-r' -> the languages that the suite scores, as its evaluate.py lists them."""
    counts: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    """Split -> published number of examples: one for every language, or language -> number."""
    official: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """'xtreme', 'jiant', ... -> hyper-parameters of its scripts, under the keys of a study's `training:`."""
    max_length: int = 128
    """Tokens per sequence."""
    licence: str = ""
    url: str = ""
    citations: tuple[str, ...] = ()
    """Keys into catalog/citations.bib."""
    note: str = ""
    faults: tuple[Fault, ...] = ()
    """Known faults of its published files."""
    keeps_faults: bool = False
    """Read rows with a known fault as published instead of correcting them (`known_faults: keep` of a study)."""
    examples_of: Mapping[str, str] = field(default_factory=dict)
    """Split -> 'task/split' that has the same examples under the same ids, in another form. They count as the same in
    means over targets."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the format (retrieval: pooling, layer; span QA: stride)."""

    @property
    def head(self) -> str:
        """Default name of the head that learns the task: the task's name, or MLM_HEAD, which all text tasks share."""
        return MLM_HEAD if formats.get(self.format).is_plain_text else self.name

    def as_text(self) -> Task:
        """The task whose examples are the texts of this one, without their labels."""
        return replace(self, format="text", metrics=(), labels=(), options={})
