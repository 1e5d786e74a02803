"""What the check for leaks found, and its record in the store: `leaks/<name>.json`, which the report page reads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from xlift.analysis.overlap import NGRAM, SHARE
from xlift.errors import UserError
from xlift.studies.store import Store

FOLDER = "leaks"


@dataclass(frozen=True, order=True)
class Side:
    """What is trained on or scored, whatever its sizes and seeds."""

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
    """Id of a training example with the same text; '' where it is only near."""
    text: str


@dataclass(frozen=True)
class Finding:
    """Scored examples of one set that training text holds."""

    stage: str
    trained: Side
    scored: Side
    examples: int
    """Scored examples that were compared."""
    same: int
    """Those of which a whole text is in the training texts."""
    every: int
    """Those of which every text is."""
    near: int
    """Further ones of which a text is there nearly."""
    quotes: tuple[Quote, ...] = ()

    @property
    def share(self) -> float:
        return (self.same + self.near) / self.examples


@dataclass(frozen=True)
class Known:
    """A relation of relations.py that a road of the study meets."""

    stages: tuple[str, ...]
    """Where it is trained on."""
    trained: str
    """'task split'."""
    scored: str
    leak: bool
    says: str


@dataclass(frozen=True)
class Leaks:
    data: str
    """Digest of what was compared, and how."""
    jobs: str
    """Digest of the keys of the study's jobs when it was last said that this is their data."""
    trained: int
    """Training sets."""
    texts: int
    """Training texts."""
    scored: int
    """Sets that are scored."""
    examples: int
    """Their examples."""
    findings: tuple[Finding, ...]
    known: tuple[Known, ...]

    @property
    def rule(self) -> str:
        return (
            "Compared word by word after folding case, width, punctuation and space: 'same' is a whole text of a scored "
            f"example; 'near' is a text of which {SHARE:.0%} of the {NGRAM}-grams stand in the training texts. Short texts are "
            "not compared, and no comparison sees a translation: for those there are the known relations."
        )


def jobs_digest(keys: Iterable[str]) -> str:
    """Digest of the keys of a study's jobs, by which a report knows the finding for its own."""
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()


def write(leaks: Leaks, store: Store, name: str) -> None:
    """Into `leaks/<name>.json` of the store, replaced whole. Raises UserError when the disk does not let it."""
    store.write_json(FOLDER, name, asdict(leaks), "what the check for leaks found")


def read(store: Store, name: str) -> Leaks | None:
    """What was found for a study, or None where it was not checked.

    Raises:
        UserError: the record is damaged.
    """
    path = store.root / FOLDER / f"{name}.json"
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        findings = tuple(
            Finding(**item | {"trained": Side(**item["trained"]), "scored": Side(**item["scored"]),
                              "quotes": tuple(Quote(**quote) for quote in item["quotes"])})
            for item in raw.pop("findings")
        )  # fmt: skip
        made = Leaks(findings=findings, known=_knowns(raw.pop("known")), **raw)
        numbers = [made.trained, made.texts, made.scored, made.examples]
        numbers += [number for f in findings for number in (f.examples, f.same, f.every, f.near)]
        if not all(type(number) is int and number >= 0 for number in numbers) or not all(f.examples for f in findings):
            raise ValueError("a count is no whole number")
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (made.data, made.jobs)):
            raise ValueError("a digest is none")
        return made
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the record of leaks is damaged: {error}", where=str(path),
            fix=f"`xlift leaks {name}` writes it again.",
        ) from None  # fmt: skip


def _knowns(items: list[dict[str, Any]]) -> tuple[Known, ...]:
    return tuple(Known(**{**item, "stages": tuple(item["stages"])}) for item in items)
