"""What the literature says on claims, as a cell beside the measured verdict, as a table, and with the provenance of each number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xlift.claims import FACT
from xlift.evidence.judgement import ERROR, Citation, Finding, PublishedJudgement
from xlift.report.fitting_table import FittingTable

NOTE = (
    "Literature: published numbers without a spread, so never with a confidence. reported: a source prints the number; "
    "consistent: numbers that bound or imply a part of it agree; no number: statements at most. Two publications of one "
    f"result differ by {ERROR[0]} to {ERROR[1]} percentage points. Published means are over all languages, English included, where nothing else is noted."
)

MAX_NUMBERS = 3
"""Of a cell; the lines below the table have all."""


def literature_cell(judgement: PublishedJudgement) -> str:
    """'reported: +0.8, +1.2'."""
    points = [_points(finding, judgement.kind) for finding in judgement.findings if finding.role != "shown"]
    numbers = list(dict.fromkeys(points))
    more = f" and {len(numbers) - MAX_NUMBERS} more" if len(numbers) > MAX_NUMBERS else ""
    shown = ", ".join(numbers[:MAX_NUMBERS])
    return f"{judgement.verdict}: {shown}{more}" if shown else judgement.verdict


def literature_table(judgements: Sequence[PublishedJudgement]) -> FittingTable:
    """One line for each claim, with its sentence and what the literature says."""
    from rich.text import Text

    rows = [
        [Text(f"{judgement.text}\n").append(judgement.claim, style="dim"), literature_cell(judgement)]
        for judgement in judgements
    ]
    return FittingTable(["claim", "literature"], rows, 2)


def literature_lines(judgements: Iterable[PublishedJudgement]) -> Iterator[str]:
    """How each verdict follows, with every number and statement and where it stands. Claims about which nothing is published are
    left out."""
    for judgement in judgements:
        if not judgement.findings and not judgement.statements:
            continue
        yield f"{judgement.claim}: {judgement.verdict}. {judgement.reason}"
        for finding in judgement.findings:
            yield f"  {_points(finding, judgement.kind)} {finding.part} ({finding.metric}): {_explain(finding)}"
            yield f"      {_sources(finding.citations)}"
        for each in judgement.statements:
            quote = f' "{each.citation.quote}"' if each.citation.quote else ""
            yield f"  {each.bears}: {each.statement}{quote}"
            yield f"      {_sources([each.citation])}"


def _explain(finding: Finding) -> str:
    is_printed = finding.how in (f"{finding.effect:.1f}", f"{finding.effect:g}")
    steps = [] if is_printed else [f"= {finding.how}"]
    steps.append(finding.why)
    steps.append("decides nothing" if finding.role == "shown" else f"{finding.role}, {finding.side}")
    if finding.assumes:
        steps.append(f"assumes that {finding.assumes}")
    return "; ".join(steps)


def _sources(citations: Sequence[Citation]) -> str:
    """'Chung et al. 2021, table 16 (secondary; rembert-none-xnli)', each publication once."""
    entries: dict[tuple[str, str], list[Citation]] = {}
    for citation in citations:
        entries.setdefault((citation.cited, citation.status), []).append(citation)
    texts = []
    for (cited, status), found in entries.items():
        names = [citation.entry for citation in found]
        shown = ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
        doubts = "; ".join(dict.fromkeys(citation.doubt for citation in found if citation.doubt))
        texts.append(f"{cited} ({status}; {shown})" + (f". Doubt: {doubts}" if doubts else ""))
    return "; ".join(texts)


def _points(finding: Finding, kind: str) -> str:
    if kind == FACT and finding.metric == "count":
        return f"{finding.effect:g}"
    return f"{finding.effect:+.1f}"
