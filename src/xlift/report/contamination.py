"""Show the results of the contamination check on the terminal and on the report page."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from typing import Any

from xlift.analysis.contamination_report import (
    ContaminationReport,
    DataSplit,
    Finding,
    KnownRelation,
    digest_jobs,
    read_contamination_report,
)
from xlift.report.fitting_table import FittingTable
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.units import count_noun

HEADINGS = ("stage", "trained on", "scored on", "examples", "same", "all texts", "near")
MAX_NAMED_PAIRS = 3
"""A sentence names the pairs of data sets up to this number."""


def summarize_contamination(report: ContaminationReport) -> str:
    """Summarize what was compared and found, in one or two sentences."""
    return f"{_compared(report)}: {_shared(report) or 'no training text is among them.'}{_direct(report)}"


def summarize_for_model(report: ContaminationReport, trained: Collection[DataSplit], task: str) -> str:
    """Summarize the contamination of one model: its training and model selection data among the scored examples.

    Args:
        trained: its training data.
        task: its target task.
    """
    sets = {f"{side.task} {side.split}" for side in trained}
    own = replace(
        report,
        findings=tuple(
            finding
            for finding in report.findings
            if finding.trained in trained or (finding.stage == "selection" and finding.scored.task == task)
        ),
        known_relations=tuple(relation for relation in report.known_relations if relation.trained in sets),
    )
    found = _shared(own) or "the training sets of this model share no texts with them."
    return f"{_compared(report)} of the whole study; {found}{_direct(own)}"


def _compared(report: ContaminationReport) -> str:
    return (
        f"{count_noun(report.num_training_texts, 'text')} of {_count(report.num_training_sets, 'training set')} were compared with {report.num_scored_examples:,} scored examples "
        f"of {_count(report.num_scored_sets, 'evaluation set')}"
    )


def _shared(report: ContaminationReport) -> str:
    """Count the pairs of data sets that share texts and name them if they are few; '' if there are none."""
    if not report.findings:
        return ""
    pairs = dict.fromkeys(f"{finding.trained} and {finding.scored}" for finding in sort_findings(report))
    names = f" ({'; '.join(pairs)})" if len(report.findings) <= MAX_NAMED_PAIRS else ""
    number = len(report.findings)
    return f"{_count(number, 'pair')} of sets share{'s' * (number == 1)} texts{names}."


def _direct(report: ContaminationReport) -> str:
    """Count the known overlaps that contain scored examples and name them if they are few; '' if there are none."""
    direct = [relation for relation in report.known_relations if relation.is_contamination]
    if not direct:
        return ""
    few = (
        f" ({'; '.join(f'{relation.trained} and {relation.scored}' for relation in direct)})"
        if len(direct) <= MAX_NAMED_PAIRS
        else ""
    )
    return f" {_count(len(direct), 'known overlap')} contain{'s' * (len(direct) == 1)} scored examples{few}."


def finding_cells(finding: Finding) -> tuple[str, ...]:
    """Return the cells of a finding, in the order of `HEADINGS`."""
    share = f"{finding.num_exact:,} ({finding.num_exact / finding.num_examples:.1%})"
    return (
        finding.stage, str(finding.trained), str(finding.scored), f"{finding.num_examples:,}", share, f"{finding.num_all_exact:,}",
        f"{finding.num_near:,}",
    )  # fmt: skip


def relation_label(relation: KnownRelation) -> str:
    """Return the type of a known overlap and its stages."""
    return f"{'contains scored examples' if relation.is_contamination else 'related'}; {', '.join(relation.stages)}"


def quote_lines(finding: Finding) -> Iterable[str]:
    for quote in finding.quotes:
        source = f"equals training text {quote.trained}" if quote.trained else "is close to a training text"
        yield f"{quote.scored} {source}: {quote.text}"


def sort_findings(report: ContaminationReport) -> list[Finding]:
    """Sort findings by share, largest first."""
    return sorted(report.findings, key=lambda finding: (-finding.share, finding.stage, finding.trained, finding.scored))


def group_findings(report: ContaminationReport) -> list[tuple[str, ...]]:
    """Cells in the order of `HEADINGS`, a line for all languages of two tasks and splits. Numbers are sums over the pairs of
    languages."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in sort_findings(report):
        sides = (finding.trained.task, finding.trained.split, finding.scored.task, finding.scored.split)
        groups.setdefault((finding.stage, *sides), []).append(finding)
    lines = []
    for (stage, *_), found in groups.items():
        total, exact, every, near = (
            sum(getattr(each, name) for each in found)
            for name in ("num_examples", "num_exact", "num_all_exact", "num_near")
        )
        lines.append(
            (
                stage, _name_languages([each.trained for each in found]), _name_languages([each.scored for each in found]),
                f"{total:,}", f"{exact:,} ({exact / max(total, 1):.1%})", f"{every:,}", f"{near:,}",
            )
        )  # fmt: skip
    return lines


def _name_languages(sets: Iterable[DataSplit]) -> str:
    """'xnli test (ar, de, fr)' or, of more languages, 'xnli test (15 languages)'."""
    found = list(sets)
    codes = list(dict.fromkeys(each.language for each in found))
    few = ", ".join(codes) if len(codes) <= MAX_NAMED_PAIRS else f"{len(codes)} languages"
    return f"{found[0].task} {found[0].split} ({few})"


def to_json(report: ContaminationReport) -> dict[str, Any]:
    return {"rule": report.rule, **asdict(report)}


def print_contamination(report: ContaminationReport, console: Any) -> None:
    from rich.markup import escape

    console.print(escape(summarize_contamination(report)))
    if report.findings:
        console.print(FittingTable(HEADINGS, [finding_cells(finding) for finding in sort_findings(report)], 3))
        for finding in sort_findings(report):
            console.print(f"\n[bold]{escape(f'{finding.trained} in {finding.scored}, {finding.stage}')}[/bold]")
            for quote in quote_lines(finding):
                console.print(f"  {escape(quote)}")
    for relation in report.known_relations:
        console.print(
            f"\n[bold]{escape(f'{relation.trained} -> {relation.scored}')}[/bold] ({relation_label(relation)}): {escape(relation.description)}"
        )
    console.print(f"\n[dim]{escape(report.rule)}[/dim]")


def for_page(record: Record, store: Store) -> dict[str, Any]:
    """Return the content of the page's section: the report, or the command to make it if it is missing or outdated.

    Raises:
        UserError: the record is damaged.
    """
    report = read_contamination_report(store, record.name)
    if report is None or report.jobs_digest != digest_jobs(record.keys):
        reason = "has not run yet" if report is None else "ran on other data than that of this report"
        return {"summary": f"The contamination check {reason}. `xlift contamination` with the study's file runs it."}
    return {
        "summary": summarize_contamination(report),
        "headings": HEADINGS,
        "groups": group_findings(report) if len(report.findings) > MAX_NAMED_PAIRS else [],
        "lines": [
            {"cells": finding_cells(finding), "quotes": list(quote_lines(finding))} for finding in sort_findings(report)
        ],
        "overlaps": [
            f"{relation.trained} → {relation.scored} ({relation_label(relation)}): {relation.description}"
            for relation in report.known_relations
        ],
        "rule": report.rule,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
