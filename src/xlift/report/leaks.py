"""What the check for leaks found: on the screen, and as the lines of the report page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from xlift.analysis.findings import Finding, Known, Leaks, jobs_digest, read
from xlift.studies.record import Record
from xlift.studies.store import Store

HEADINGS = ("stage", "trained on", "scored on", "examples", "same", "all texts", "near")


def summary(leaks: Leaks) -> str:
    """What was compared and how much was found, in a sentence or two."""
    what = (
        f"{leaks.texts:,} texts of {_count(leaks.trained, 'training set')} were compared with {leaks.examples:,} scored examples "
        f"of {_count(leaks.scored, 'evaluation set')}"
    )
    found = len(leaks.findings)
    direct = sum(known.leak for known in leaks.known)
    related = f" {_count(direct, 'known relation')} show{'s' * (direct == 1)} what is scored." if direct else ""
    if not found:
        return f"{what}: none of them is there.{related}"
    return f"{what}: {_count(found, 'pair')} of sets share texts.{related}"


def line(finding: Finding) -> tuple[str, ...]:
    """The cells of a finding, under `HEADINGS`."""
    share = f"{finding.same:,} ({finding.same / finding.examples:.1%})"
    return (
        finding.stage, str(finding.trained), str(finding.scored), f"{finding.examples:,}", share, f"{finding.every:,}",
        f"{finding.near:,}",
    )  # fmt: skip


def kind(known: Known) -> str:
    """What sort of relation, and at which stages."""
    return f"{'shows what is scored' if known.leak else 'related'}; {', '.join(known.stages)}"


def quotes(finding: Finding) -> Iterable[str]:
    for quote in finding.quotes:
        source = f"is {quote.trained} of training" if quote.trained else "is nearly in training"
        yield f"{quote.scored} {source}: {quote.text}"


def ordered(leaks: Leaks) -> list[Finding]:
    """The largest share first."""
    return sorted(leaks.findings, key=lambda finding: (-finding.share, finding.stage, finding.trained, finding.scored))


def to_json(leaks: Leaks) -> dict[str, Any]:
    return {"rule": leaks.rule, **asdict(leaks)}


def print_leaks(leaks: Leaks, console: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print(escape(summary(leaks)))
    if leaks.findings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in HEADINGS:
            table.add_column(heading, justify="right" if heading in HEADINGS[3:] else "left")
        for finding in ordered(leaks):
            table.add_row(*map(escape, line(finding)))
        console.print(table)
        for finding in ordered(leaks):
            console.print(f"\n[bold]{escape(f'{finding.trained} in {finding.scored}, {finding.stage}')}[/bold]")
            for quote in quotes(finding):
                console.print(f"  {escape(quote)}")
    for known in leaks.known:
        console.print(
            f"\n[bold]{escape(f'{known.trained} -> {known.scored}')}[/bold] ({kind(known)}): {escape(known.says)}"
        )
    console.print(f"\n[dim]{escape(leaks.rule)}[/dim]")


def for_page(record: Record, store: Store) -> dict[str, Any]:
    """What the page says: the finding, or that there is none for this study as it was run last.

    Raises:
        UserError: the record is damaged.
    """
    leaks = read(store, record.name)
    if leaks is None or leaks.jobs != jobs_digest(record.keys):
        why = "has not been made" if leaks is None else "is of other data than that of this report"
        return {
            "says": f"The comparison of training text with what is scored {why}: `xlift leaks {record.name}` makes it."
        }
    return {
        "says": summary(leaks),
        "headings": HEADINGS,
        "lines": [{"cells": line(finding), "quotes": list(quotes(finding))} for finding in ordered(leaks)],
        "known": [f"{known.trained} → {known.scored} ({kind(known)}): {known.says}" for known in leaks.known],
        "rule": leaks.rule,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
