"""What a task is: something to learn, in some languages, and how it is scored. A declaration is data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Source(Protocol):
    """Where the examples of one task come from."""

    @property
    def kind(self) -> str:
        """'isles' (generated), 'native' (the authors' files), 'xtreme' (the layout of XTREME's download scripts), 'hub',
        'own' (the user's files); several of them with a comma between, where there are several."""
        ...

    def languages(self, split: str) -> tuple[str, ...]:
        """The languages declared for a split (not necessarily present on this machine)."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Declared splits, out of 'train', 'dev', 'test'."""
        ...

    def present(self, language: str, split: str, data: Path | None) -> bool:
        """Whether the files are there (always true for generated data)."""
        ...

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        """Number of examples, or None where any number can be had."""
        ...

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """Stream examples (instances of the format's dataclass).

        Without `size`, every example in file order (generated data: the split's standard number). With `size`,
        the random subset of that many under `seed`; subsets of one seed are nested: 1,000 lie inside 10,000.

        Raises:
            UserError: file missing or empty, row malformed, label unknown (file, line, what was expected),
                or `size` larger than the data.
        """
        ...

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        """What a user should know about the split as its files have it: rows left out, English without a translation."""
        ...

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        """Hex digest of what determines the examples: the bytes of the files, or the generator's version."""
        ...


@dataclass(frozen=True)
class Task:
    """One declaration. Everything a reader of the catalogue wants to know, and nothing that computes."""

    name: str
    title: str
    format: str
    """Name of a format: classification, tagging, span-qa, multiple-choice, retrieval, dual-encoding, text."""
    metrics: tuple[str, ...]
    """Names in tasks/metrics; the first is the one that tables show."""
    source: Source
    labels: tuple[str, ...] = ()
    """The canonical order: a class index in a checkpoint means a position here."""
    train_language: str = ""
    """Language whose labels a study trains on unless it says otherwise."""
    train_task: tuple[str, ...] = ()
    """Tasks that are trained on one after the other where this one has no training split (XNLI <- MNLI; XCOPA <-
    SocialIQA, then COPA)."""
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """'xtreme', 'xtreme-r' -> the languages that the suite scores, as its evaluate.py lists them."""
    counts: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    """Split -> published number of examples: of every language, or language -> number."""
    official: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """'xtreme', 'jiant', ... -> hyper-parameters that its scripts ship, under the keys of a study's `training:`."""
    max_length: int = 128
    """Tokens per sequence."""
    licence: str = ""
    url: str = ""
    citations: tuple[str, ...] = ()
    """Keys into catalog/citations.bib."""
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the format (retrieval: pooling, layer; span QA: stride)."""

    @property
    def head(self) -> str:
        """Name of the head that learns it where a study names none: that of the task, or the one of all text, which is one
        task in whatever files. (No task has a name in capitals.)"""
        return "MLM" if self.format == "text" else self.name
