"""The table of `xlift claims`: the verdict of a study on each claim, and beside it what the literature says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xlift.analysis.judged_study import JudgedClaims
from xlift.analysis.needs import MOST_SEEDS, Needs
from xlift.analysis.verdicts import ALPHA, Judgement
from xlift.claims import FACT
from xlift.evidence.judgement import PublishedJudgement
from xlift.report.contrasts import format_p
from xlift.report.fitting_table import FittingTable
from xlift.report.literature import NOTE as LITERATURE_NOTE
from xlift.report.literature import literature_cell
from xlift.units import count_noun

NOTE = (
    "Effect: percentage points, with the 95% interval. supported: above 0 and at least delta; refuted: below delta; both by one-sided t tests, "
    f"adjusted by Holm over the claims of the file, at {100 * ALPHA:g}% for each side; undecided: neither. "
    "Confidence: 1 - the adjusted p-value of the verdict, at most .95 below 3 seeds and .99 below 5. It is no probability of the claim."
)


def format_effect(judgement: Judgement) -> str:
    """'+3.1 [0.4, 5.8]'; the count of a fact."""
    if judgement.effect is None:
        return "–"
    if judgement.kind == FACT:
        return f"{judgement.effect:g}"
    return f"{judgement.effect:+.1f} [{judgement.low:.1f}, {judgement.high:.1f}]"


def format_confidence(judgement: Judgement) -> str:
    """'.95'; '–' where there is none."""
    if judgement.confidence is None:
        return "–"
    return ">.999" if judgement.confidence > 0.999 else f"{judgement.confidence:.3g}".removeprefix("0")


def format_needs(needs: Needs | None) -> str:
    """'7 seeds' or '5 seeds, 900 test examples'."""
    if needs is None:
        return "–"
    seeds = f"more than {MOST_SEEDS} seeds" if needs.seeds is None else count_noun(needs.seeds, "seed")
    return f"{seeds}, {count_noun(needs.rows, 'test example')}" if needs.rows else seeds


def format_verdict(judgement: Judgement) -> str:
    return f"{judgement.verdict}, negligible" if judgement.negligible else judgement.verdict


def claims_table(
    judgements: Sequence[Judgement], published: Mapping[str, PublishedJudgement], width: int
) -> FittingTable:
    """One line for each claim.

    Args:
        published: name of a claim -> what the literature says; {} to leave it out.
        width: of the terminal. In a narrow one the numbers stand below the verdict, and in a very narrow one below the claim.
    """
    from rich.text import Text

    headings = ["verdict", "effect", "confidence", "needs", *(["literature"] if published else [])]
    claims, cells = [], []
    for each in judgements:
        claims.append(Text(f"{each.text}\n").append(each.claim, style="dim"))
        cells.append([format_verdict(each), format_effect(each), format_confidence(each), format_needs(each.needs)])
        if published:
            cells[-1].append(literature_cell(published[each.claim]))
    if width >= WIDE:
        return FittingTable(
            ["claim", *headings], [[claim, *line] for claim, line in zip(claims, cells, strict=True)], 6
        )
    labels = ("", "", "confidence ", "needs ", "literature: ")
    below = [
        "\n".join(label + cell for label, cell in zip(labels, line, strict=False) if cell != "–") for line in cells
    ]
    table = FittingTable(["claim", "verdict"], list(zip(claims, below, strict=True)), 2)
    if table.fits(width):
        return table
    rows = [[claim.copy().append(f"\n{text}\n")] for claim, text in zip(claims, below, strict=True)]
    return FittingTable(["claim"], rows, 1)


WIDE = 120
"""Columns of a terminal from which each number has a column of its own."""


def claims_notes(judgements: Sequence[Judgement], *, literature: bool) -> list[str]:
    """What the table does not say by itself."""
    notes = [LITERATURE_NOTE] if literature else []
    notes += [NOTE] if any(each.kind != FACT for each in judgements) else []
    if any(each.needs for each in judgements):
        notes.append(
            "needs: what makes half of the interval as narrow as delta (or a part of delta, where it is that narrow already), if the variances stay as they are. Test examples are per language."
        )
    reasons: dict[str, list[str]] = {}
    for each in judgements:
        if each.reason:
            reasons.setdefault(each.reason, []).append(each.claim)
    notes += [f"{', '.join(names)}: {reason}." for reason, names in reasons.items()]
    if any(each.negligible for each in judgements):
        notes.append("negligible: there is an effect, and it is smaller than delta.")
    return notes


def claim_details(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Every effect that a claim is about, with its own p-values, and the interval for other languages."""
    for each in judgements:
        if not each.parts:
            continue
        adjusted = ""
        if each.p_support is not None and each.p_refute is not None:
            adjusted = f"; adjusted p: supported {format_p(each.p_support)}, refuted {format_p(each.p_refute)}"
        yield f"{each.claim}: {format_verdict(each)}, delta {each.delta:g}, {count_noun(each.seeds, 'seed')}{adjusted}"
        for part in each.parts:
            line = f"  {part.effect:+.1f} [{part.low:.1f}, {part.high:.1f}] {part.label}"
            if part.low_other_languages is not None:
                line += f"; for other languages [{part.low_other_languages:.1f}, {part.high_other_languages:.1f}]"
            if part.p_support is not None and part.p_refute is not None:
                line += f"; p {format_p(part.p_support)}, {format_p(part.p_refute)}"
            decides = " (decides)" if len(each.parts) > 1 and part.label == each.decided_by else ""
            yield line + decides + (" (varies more over seeds than the other rows)" if part.is_unstable else "")


def claims_as_json(study: str, judged: JudgedClaims, published: Mapping[str, PublishedJudgement]) -> dict[str, Any]:
    return {
        "study": study,
        "question": judged.claim_set.question,
        "digest": judged.claim_set.digest,
        "changes": list(judged.changes),
        "claims": [
            each.to_dict() | {"literature": published[each.claim].to_dict() if each.claim in published else None}
            for each in judged.judgements
        ],
    }
