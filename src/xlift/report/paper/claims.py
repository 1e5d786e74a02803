"""The verdicts on the claims of a study: their table, their sentences for an abstract, and how they were reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xlift.analysis.verdicts import Judgement
from xlift.claims import FACT
from xlift.evidence.judgement import PublishedJudgement
from xlift.report.literature import NOTE, literature_cell
from xlift.report.paper.document import Block, Break, Cite, Code, Paragraph, Piece, Section, Table, Text, joined

HEAD = ("claim", "verdict", "confidence", "effect", "literature")


@dataclass(frozen=True)
class ClaimsReport:
    """What a report shows about the claims of a study."""

    judgements: Sequence[Judgement]
    published: Mapping[str, PublishedJudgement] = field(default_factory=dict)
    """Name of a claim -> what the literature says."""
    notes: Sequence[str] = ()
    """When the claims were fixed, and what has changed since."""
    bibliography: Mapping[str, str] = field(default_factory=dict)
    """BibTeX key -> entry of the sources that `published` cites."""
    sources: Sequence[str] = ()
    """BibTeX keys of the papers that make the claims."""

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
                "confidence": _confidence(each),
                "effect": _effect(each, brackets=True),
                "literature": self._literature(each.claim),
                "kind": {"supported": "up", "verified": "up", "refuted": "down", "false": "down"}.get(each.verdict, "flat"),
            }
            for each in self.judgements
        ]

    def _literature(self, claim: str) -> str:
        return literature_cell(self.published[claim]) if claim in self.published else ""


def abstract_sentences(report: ClaimsReport) -> list[str]:
    """One sentence for each verdict."""
    return [_sentence(each) for each in report.judgements]


def _sentence(judgement: Judgement) -> str:
    """'Supported with confidence 0.95: QA lifts the mean (+3.8 points, 95% interval +1.7 to +6.0).'"""
    confidence = f" with confidence {_confidence(judgement)}" if judgement.confidence is not None else ""
    verdict = judgement.verdict[0].upper() + judgement.verdict[1:]
    details = list(filter(None, (_effect(judgement), _settles(judgement), _size(judgement))))
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
    table = Table(
        "Claims. Effect: in points, with its 95% interval; of a fact, the count. Confidence: 1 minus the adjusted p-value of the verdict's own "
        "test, at most 0.95 below 3 seeds and 0.99 below 5. It is no probability that the claim is true.",
        list(report.head), rows,
    )  # fmt: skip
    blocks: list[Block] = [Paragraph(" ".join(report.notes))] if report.notes else []
    blocks.append(table)
    if report.published:
        blocks.append(Paragraph(NOTE))
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
            (" Where several effects must hold, the largest of their p-values counts ", Cite("berger-1982-multiparameter"), ".")
        )
    if kinds & {"equals", "not_worse"}:
        parts.append((" Equality is tested by two one-sided tests ", Cite("schuirmann-1987-comparison"), "."))
    deltas = sorted({each.delta for each in report.judgements if each.delta is not None})
    if deltas:
        parts.append(f" The smallest effect of interest is {' or '.join(f'{delta:g}' for delta in deltas)} points.")
    return [Paragraph(joined(*parts))]


def claims_limitations(report: ClaimsReport) -> list[str]:
    """What limits the verdicts."""
    undecided = [each.claim for each in report.judgements if each.verdict == "undecided"]
    unmeasured = [each.claim for each in report.judgements if each.verdict == "not measured"]
    found = []
    if undecided:
        found.append(
            f"{len(undecided)} of {len(report.judgements)} claims are undecided: the study is too small for them. That is no evidence "
            "against them."
        )
    if unmeasured:
        found.append(f"{len(unmeasured)} of {len(report.judgements)} claims are about something that did not run.")
    return found


def _verdict(judgement: Judgement) -> str:
    return ", ".join(filter(None, (judgement.verdict, _size(judgement), _settles(judgement))))


def _size(judgement: Judgement) -> str:
    """That an effect is above zero and too small to matter; else ''."""
    return "real but below the smallest effect of interest" if judgement.negligible else ""


def _settles(judgement: Judgement) -> str:
    """'needs about 12 seeds', for an undecided claim."""
    if judgement.verdict != "undecided" or judgement.needs is None:
        return ""
    rows = judgement.needs.rows
    more = f" and {rows:,} test examples a language" if rows is not None else ""
    return f"needs about {judgement.needs.seeds} seeds{more}"


def _confidence(judgement: Judgement) -> str:
    return "" if judgement.confidence is None else f"{judgement.confidence:.3f}".rstrip("0").ljust(4, "0")


def _effect(judgement: Judgement, *, brackets: bool = False) -> str:
    """'+3.8 points, 95% interval +1.7 to +6.0', or '+3.8 [+1.7, +6.0]'; of a fact the count."""
    if judgement.effect is None:
        return ""
    if judgement.kind == FACT:
        return f"{judgement.effect:g}"
    unit = " points per tenfold size" if judgement.kind == "trend" else " points"
    if judgement.low is None or judgement.high is None:
        return f"{_points(judgement.effect)}{'' if brackets else unit}"
    low, high = _points(judgement.low), _points(judgement.high)
    effect = _points(judgement.effect)
    return f"{effect} [{low}, {high}]" if brackets else f"{effect}{unit}, 95% interval {low} to {high}"


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−") if round(value, 1) else "0.0"
