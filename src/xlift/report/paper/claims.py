"""The verdicts on the claims of a study: their table, their sentences for an abstract, and how they were reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.judged_study import judge_cells
from xlift.analysis.verdicts import Judgement
from xlift.bibtex import Entry, parse
from xlift.claims import FACT, ZERO_SHOT, ClaimSet
from xlift.evidence.bibliography import shipped_bibliography
from xlift.evidence.entries import Evidence
from xlift.evidence.files import shipped_evidence
from xlift.evidence.judgement import PublishedJudgement
from xlift.evidence.verdicts import judge_published
from xlift.report.claims import NOTE as VERDICTS_NOTE
from xlift.report.claims import format_confidence, format_effect, format_needs, format_verdict
from xlift.report.literature import NOTE as LITERATURE_NOTE
from xlift.report.literature import literature_cell
from xlift.report.paper.document import Block, Break, Cite, Code, Paragraph, Piece, Section, Table, Text, joined
from xlift.report.tables import format_points
from xlift.report.words import join_names
from xlift.studies.record import Record
from xlift.units import is_or_are

HEAD = ("claim", "verdict", "confidence", "effect", "literature")


@dataclass(frozen=True)
class ClaimsReport:
    """What a report shows about the claims of a study."""

    claim_set: ClaimSet
    judgements: Sequence[Judgement]
    published: Mapping[str, PublishedJudgement] = field(default_factory=dict)
    """Name of a claim -> what the literature says."""
    notes: Sequence[str] = ()
    """When the claims were fixed, and what has changed since."""
    bibliography: Mapping[str, Entry] = field(default_factory=dict)
    """BibTeX key -> entry of the sources that `published` and `sources` may name."""

    @property
    def head(self) -> tuple[str, ...]:
        """The headings of `lines`."""
        return HEAD if self.published else HEAD[:-1]

    def lines(self) -> list[dict[str, str]]:
        """One line for each claim, as plain texts under the headings, with `name` and the `kind` of its verdict."""
        return [
            {
                "name": each.claim,
                "claim": each.text,
                "verdict": _verdict(each),
                "confidence": format_confidence(each),
                "effect": format_effect(each),
                "literature": self._literature(each.claim),
                "kind": {"supported": "up", "verified": "up", "refuted": "down", "false": "down"}.get(
                    each.verdict, "flat"
                ),
            }
            for each in self.judgements
        ]

    def _literature(self, claim: str) -> str:
        return literature_cell(self.published[claim]) if claim in self.published else ""

    def for_page(self) -> dict[str, Any]:
        """The content of the page's section."""
        legend = VERDICTS_NOTE + (f" {LITERATURE_NOTE}" if self.published else "")
        return {"head": self.head, "lines": self.lines(), "notes": " ".join(self.notes), "legend": legend}


def make_claims_report(
    record: Record, cells: Sequence[ScoredCell], claim_set: ClaimSet | None, evidence: Evidence | None
) -> ClaimsReport | None:
    """The verdicts on the claims of a study; None if it has none.

    Args:
        cells: the scores of the study, of the first metric of each target.
        claim_set: other claims than those of the record.
        evidence: published results beside those that ship with xlift.

    Raises:
        UserError: as `judge_study`.
    """
    judged = judge_cells(record, cells, claim_set)
    if judged is None:
        return None
    fixed = f"The claims were fixed on {record.claims.date}, before the first run." if record.claims else ""
    published: list[PublishedJudgement] = []
    bibliography: Mapping[str, str] = shipped_bibliography()
    # Claims without a source are about this study alone, whatever names they have in common with published results.
    if judged.claim_set.source or evidence:
        known = shipped_evidence() + (evidence or Evidence())
        published = judge_published(judged.claim_set.without_study(), known)
        bibliography = {**bibliography, **known.bibliography}
    return ClaimsReport(
        judged.claim_set,
        judged.judgements,
        {each.claim: each for each in published},
        judged.changes or [fixed],
        _read_bibliography(bibliography),
    )


def _read_bibliography(texts: Mapping[str, str]) -> dict[str, Entry]:
    """The entries that can be read; sources without one are not cited."""
    entries = {}
    for key, text in texts.items():
        with suppress(ValueError):
            entries |= {found: entry for found, entry in parse(text).items() if found == key}
    return entries


def abstract_sentences(report: ClaimsReport) -> list[str]:
    """One sentence for each verdict."""
    return [_sentence(each) for each in report.judgements]


def _sentence(judgement: Judgement) -> str:
    """'Supported with confidence 0.95: QA lifts the mean (+3.8 percentage points, 95% interval +1.7 to +6.0).'"""
    confidence = f" with confidence {format_confidence(judgement)}" if judgement.confidence is not None else ""
    verdict = judgement.verdict[0].upper() + judgement.verdict[1:]
    needs = f"needs {format_needs(judgement.needs)}" if judgement.needs else ""
    negligible = "an effect too small to matter" if judgement.negligible else ""
    details = list(filter(None, (_effect(judgement), needs, negligible)))
    if judgement.verdict == "not measured" and judgement.reason:
        details = [judgement.reason.rstrip(".")]
    return f"{verdict}{confidence}: {judgement.text.rstrip('.')}" + (f" ({'; '.join(details)})." if details else ".")


def claims_section(report: ClaimsReport) -> Section:
    """The table of claims, and below it what each undecided or unmeasured one lacks."""
    rows: list[list[Text]] = []
    for line in report.lines():
        row: list[Text] = [joined(line["claim"], " (", Code(line["name"]), ")"), *(line[key] for key in HEAD[1:4])]
        if report.published:
            published = report.published.get(line["name"])
            keys = [key for key in published.sources if key in report.bibliography] if published else []
            cited: tuple[Piece, ...] = (Break(), Cite(*keys)) if keys else ()
            row.append(joined(line["literature"], cited))
        rows.append(row)
    table = Table(f"Claims. {VERDICTS_NOTE}", list(report.head), rows)
    blocks: list[Block] = [Paragraph(" ".join(report.notes))] if report.notes else []
    blocks.append(table)
    if report.published:
        blocks.append(Paragraph(LITERATURE_NOTE))
    reasons = [
        joined(Code(each.claim), f": {each.reason}")
        for each in report.judgements
        if each.reason and each.verdict in ("undecided", "not measured")
    ]
    return Section("Claims", [*blocks, *(Paragraph(reason) for reason in reasons)])


def claims_statistics(report: ClaimsReport) -> list[Block]:
    """How the verdicts were reached."""
    kinds = {each.kind for each in report.judgements}
    if not kinds - {FACT}:
        return []
    parts: list[Text] = [
        "Each claim has two one-sided t tests on the same pooled variance: of an effect that is not above zero, and of an effect of at least "
        "the smallest effect of interest. The p-values are adjusted over all statistical claims, within each of the two sides ",
        (Cite("holm-1979-simple"), ", at 2.5%. A claim is supported if the first test rejects and the estimate is at least the smallest "
         "effect of interest, refuted if the second test rejects, and else undecided."),
    ]  # fmt: skip
    if kinds & {"lift", "no_lift", "best", "contrast"}:
        parts.append(
            (
                " Where several effects must hold, the largest of their p-values counts ",
                Cite("berger-1982-multiparameter"),
                ".",
            )
        )
    if kinds & {"equals", "not_worse"}:
        parts.append((" Equality is tested by two one-sided tests ", Cite("schuirmann-1987-comparison"), "."))
    others = [
        claim.name
        for claim in report.claim_set.claims
        if claim.is_statistical and not claim.groups and claim.languages != (ZERO_SHOT,)
    ]
    parts.append(
        " The effects are means over the languages of a target that it is not trained on"
        + (f", but for {join_names(others)}, which name their languages." if others else ".")
    )
    deltas = sorted({each.delta for each in report.judgements if each.delta is not None})
    if deltas:
        parts.append(
            f" The smallest effect of interest is {' or '.join(f'{delta:g}' for delta in deltas)} percentage points."
        )
    return [Paragraph(joined(*parts))]


def claims_limitations(report: ClaimsReport) -> list[str]:
    """What limits the verdicts."""
    undecided = [each.claim for each in report.judgements if each.verdict == "undecided"]
    unmeasured = [each.claim for each in report.judgements if each.verdict == "not measured"]
    found = []
    if undecided:
        found.append(
            f"{len(undecided)} of {len(report.judgements)} claims {is_or_are(len(undecided))} undecided: the study is too small for them. That is no evidence "
            "against them."
        )
    if unmeasured:
        found.append(
            f"{len(unmeasured)} of {len(report.judgements)} claims {is_or_are(len(unmeasured))} about something that did not run."
        )
    return found


def _verdict(judgement: Judgement) -> str:
    needs = f"needs {format_needs(judgement.needs)}" if judgement.needs else ""
    return ", ".join(filter(None, (format_verdict(judgement), needs)))


def _effect(judgement: Judgement) -> str:
    """'+3.8 percentage points, 95% interval +1.7 to +6.0'; of a fact the count."""
    if judgement.effect is None:
        return ""
    if judgement.kind == FACT:
        return f"{judgement.effect:g}"
    effect, low, high = (_points(value) for value in (judgement.effect, judgement.low, judgement.high))
    unit = "percentage points" + (" per tenfold size" if judgement.kind == "trend" else "")
    return f"{effect} {unit}, 95% interval {low} to {high}"


def _points(value: float | None) -> str:
    return "?" if value is None else format_points(value / 100)
