"""`xlift claims`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xlift.cli.options import DEFAULT_STORE, JsonOption, StoreOption, console, print_notes, print_warnings
from xlift.cli.studies import open_results
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.claims import ClaimSet
    from xlift.evidence.judgement import PublishedJudgement


def claims(
    study: Annotated[
        str,
        typer.Argument(help="A study (a YAML file, the name of a study that was run, or a bundle), or a claims file."),
    ],
    store: StoreOption = DEFAULT_STORE,
    file: Annotated[
        str | None,
        typer.Option("--claims", help="Judge other claims: a file, or the name of one that ships with xlift."),
    ] = None,
    evidence: Annotated[
        list[Path] | None,
        typer.Option("--evidence", help="A file of published results, beside those that ship with xlift."),
    ] = None,
    details: Annotated[
        bool,
        typer.Option("--details", help="Show every effect of a claim, and every published number with its source."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the claims of a study, and show beside it what the literature says.

    Reads only the store, or only the bundle. A claims file alone shows the literature.
    """
    from xlift.claims import read_claims

    alone = None if file else _read_alone(study)
    if alone:
        _print_literature(alone, _published(alone, evidence), as_json)
        return
    from xlift.analysis.judged_study import judge_study
    from xlift.report.claims import claim_details, claims_as_json, claims_notes, claims_table
    from xlift.report.literature import literature_lines
    from xlift.studies.study_file import read_study

    claim_set = read_claims(file, where="--claims") if file else None
    if claim_set is None and Path(study).suffix in (".yaml", ".yml") and Path(study).is_file():
        claim_set = read_study(study).read_claims()
    with open_results(study, store) as (record, opened):
        judged = judge_study(record, opened, claim_set)
    if judged is None:
        raise UserError(
            f"the study {record.name} has no claims",
            fix="give a file with --claims, or write `claims:` in the study and run it again.",
        )
    # Claims without a source are about this study alone, whatever names they have in common with published results.
    has_literature = bool(judged.claim_set.source or evidence)
    published = _published(judged.claim_set, evidence) if has_literature else {}
    if as_json:
        print(json.dumps(claims_as_json(record.name, judged, published), indent=1, ensure_ascii=False))
        return
    print_warnings(judged.changes)
    terminal = console()
    if judged.claim_set.question:
        terminal.print(judged.claim_set.question, markup=False, highlight=False)
    terminal.print(claims_table(judged.judgements, published, terminal.width))
    for note in claims_notes(judged.judgements, literature=has_literature):
        terminal.print(note, style="dim", markup=False, highlight=False)
    if details:
        for line in (*claim_details(judged.judgements), *literature_lines(published.values())):
            terminal.print(line, markup=False, highlight=False)


def _read_alone(name: str) -> ClaimSet | None:
    """The claims of a claims file, or of one that ships with xlift; None for anything else."""
    from xlift.claims import read_claims, shipped_claims
    from xlift.yaml_document import parse_yaml

    path = Path(name)
    if name in shipped_claims() and not path.exists():
        return read_claims(name)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    try:
        value = parse_yaml(path.read_text(encoding="utf-8-sig"), name).value
    except (UnicodeDecodeError, OSError):
        return None  # what reads it as a study says why
    is_alone = isinstance(value, dict) and isinstance(value.get("claims"), list) and "targets" not in value
    return read_claims(name) if is_alone else None


def _published(claim_set: ClaimSet, files: list[Path] | None) -> dict[str, PublishedJudgement]:
    from xlift.evidence.files import read_evidence, shipped_evidence
    from xlift.evidence.verdicts import judge_published

    evidence = shipped_evidence()
    for path in files or ():
        added = read_evidence([path])
        if count := len(added.waiting):
            many = "entries of the evidence count" if count > 1 else "entry of the evidence counts"
            print_notes([f"{path}: {count} {many} for nothing before a person sets `accepted: true`"])
        evidence += added
    return {each.claim: each for each in judge_published(claim_set.without_study(), evidence)}


def _print_literature(claim_set: ClaimSet, published: dict[str, PublishedJudgement], as_json: bool) -> None:
    from xlift.report.literature import NOTE, literature_lines, literature_table

    if as_json:
        content: dict[str, Any] = {"question": claim_set.question, "digest": claim_set.digest}
        content["claims"] = [{"claim": name, "literature": each.to_dict()} for name, each in published.items()]
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return
    terminal = console()
    if claim_set.question:
        terminal.print(claim_set.question, markup=False, highlight=False)
    terminal.print(literature_table(list(published.values())))
    terminal.print(NOTE, style="dim", markup=False, highlight=False)
    for line in literature_lines(published.values()):
        terminal.print(line, markup=False, highlight=False)
