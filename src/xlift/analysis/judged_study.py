"""The verdicts of a finished or unfinished study on its claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.facts import count_facts
from xlift.analysis.scores import load_cells
from xlift.analysis.verdicts import Judgement, judge
from xlift.claims import ClaimSet, Table
from xlift.studies.record import Record
from xlift.studies.store import Store

AFTER_THE_RUN = "The study ran without claims; these are from after its run."


@dataclass(frozen=True)
class JudgedClaims:
    claim_set: ClaimSet
    judgements: tuple[Judgement, ...]
    changes: tuple[str, ...] = ()
    """Sentences on what was not fixed before the study ran. Every command that prints verdicts shows them."""


def recorded_claims(record: Record) -> ClaimSet | None:
    """The claims in the record, with the file that the study names: published statements may be about claims of one file."""
    claim_set = record.claims.claim_set() if record.claims else None
    named = record.study.claims if isinstance(record.study.claims, str) else record.study.claims.get("file", "")
    return claim_set and replace(claim_set, file=named if isinstance(named, str) else "")


def judge_study(record: Record, store: Store, claim_set: ClaimSet | None = None) -> JudgedClaims | None:
    """Judge the claims of a study by the results in the store; None if it has none.

    Args:
        claim_set: other claims than those of the record.

    Raises:
        UserError: an artifact is damaged, or a claim is about something that the study does not have.
    """
    return judge_cells(record, load_cells(record, store)[0], claim_set)


def judge_cells(record: Record, cells: Sequence[ScoredCell], claim_set: ClaimSet | None = None) -> JudgedClaims | None:
    """As `judge_study`, by scores that were read already.

    Args:
        cells: of the first metric of each target.
    """
    claim_set = claim_set or recorded_claims(record)
    if claim_set is None:
        return None
    table = Table.of([*record.cells, *cells])
    changes = record.claims.describe_changes(claim_set) if record.claims else [AFTER_THE_RUN]
    return JudgedClaims(claim_set, tuple(judge(claim_set, cells, count_facts(record, cells), table)), tuple(changes))
