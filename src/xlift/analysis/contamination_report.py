"""The report of the contamination check, saved in the store as `contamination/<name>.json` for the report page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from xlift.analysis.overlap import NGRAM, SHARE
from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.store import Store

FOLDER = "contamination"


@dataclass(frozen=True, order=True)
class DataSplit:
    """Data that is trained on or scored, whatever its sizes and seeds."""

    task: str
    language: str
    split: str

    def __str__(self) -> str:
        return f"{self.task} {self.language} {self.split}"


@dataclass(frozen=True)
class Quote:
    scored: str
    """Id of the scored example."""
    trained: str
    """Id of a training example with the same text; '' for a near match."""
    text: str


@dataclass(frozen=True)
class Finding:
    """Scored examples of one data set whose texts are in one training set."""

    stage: str
    trained: DataSplit
    scored: DataSplit
    num_examples: int
    """Scored examples that were compared."""
    num_exact: int
    """Examples with at least one text that equals a training text."""
    num_all_exact: int
    """Examples of which every text equals a training text."""
    num_near: int
    """Further examples with a text that nearly equals training texts."""
    quotes: tuple[Quote, ...] = ()

    @property
    def share(self) -> float:
        return (self.num_exact + self.num_near) / self.num_examples


@dataclass(frozen=True)
class KnownRelation:
    """A relation of relations.py that applies to a pipeline of the study."""

    stages: tuple[str, ...]
    """The stages that train on it."""
    trained: str
    """'task split'."""
    scored: str
    is_contamination: bool
    description: str


@dataclass(frozen=True)
class ContaminationReport:
    data_digest: str
    """Digest of the compared data and the rules."""
    jobs_digest: str
    """Digest of the keys of the study's jobs when the report was last confirmed for them."""
    num_training_sets: int
    num_training_texts: int
    num_scored_sets: int
    num_scored_examples: int
    findings: tuple[Finding, ...]
    known_relations: tuple[KnownRelation, ...]

    @property
    def rule(self) -> str:
        return (
            "Texts are compared word by word after folding case, width, punctuation and space. 'same': a whole text of a scored example "
            f"is a training text; 'near': {SHARE:.0%} of the {NGRAM}-grams of a text are in the training texts. Short texts are "
            "not compared. Translations are found only by the known relations."
        )


def digest_jobs(keys: Iterable[str]) -> str:
    """Digest of the keys of a study's jobs, which ties a report to the study."""
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()


def write_contamination_report(report: ContaminationReport, store: Store, name: str) -> None:
    """Write `contamination/<name>.json` in the store atomically. Raises UserError if the disk refuses."""
    store.write_json(FOLDER, name, asdict(report), "the contamination report")


def read_contamination_report(store: Store, name: str) -> ContaminationReport | None:
    """The report of a study; None if it was not checked.

    Raises:
        UserError: the report is damaged.
    """
    content = store.read_json(FOLDER, name)
    if content is None:
        return None
    try:
        raw = parse_json(content)
        findings = tuple(
            Finding(**item | {"trained": DataSplit(**item["trained"]), "scored": DataSplit(**item["scored"]),
                              "quotes": tuple(Quote(**quote) for quote in item["quotes"])})
            for item in raw.pop("findings")
        )  # fmt: skip
        relations = _parse_relations(raw.pop("known_relations"))
        report = ContaminationReport(findings=findings, known_relations=relations, **raw)
        counts = [getattr(report, name) for name in asdict(report) if name.startswith("num_")]
        counts += [number for f in findings for number in (f.num_examples, f.num_exact, f.num_all_exact, f.num_near)]
        if not all(type(count) is int and count >= 0 for count in counts) or not all(f.num_examples for f in findings):
            raise ValueError("a count is not a whole number")
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (report.data_digest, report.jobs_digest)):
            raise ValueError("a digest is malformed")
        return report
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the contamination report is damaged: {error}", where=f"{store.where}/{FOLDER}/{name}.json",
            fix=f"`xlift contamination {name}` writes it again.",
        ) from None  # fmt: skip


def _parse_relations(items: list[dict[str, Any]]) -> tuple[KnownRelation, ...]:
    return tuple(KnownRelation(**{**item, "stages": tuple(item["stages"])}) for item in items)
