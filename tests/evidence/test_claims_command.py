"""`xlift claims` on published results alone, and beside a study."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from tests.evidence.test_paper_claims import BY_HAND
from typer.testing import CliRunner

from xlift.analysis.judged_study import recorded_claims
from xlift.claims import ClaimSet, read_claims, read_claims_entry, record_claims
from xlift.cli import app
from xlift.evidence.files import shipped_evidence
from xlift.evidence.verdicts import judge_published

DRAFT = """
entries:
  - {name: mine, quantity: lift, row: mnli, target: all, value: 7.4, metric: mean, source: hu-etal-2020-xtreme}
  - {name: theirs, quantity: lift, row: hellaswag, target: all, value: 1.0, metric: mean, source: hu-etal-2020-xtreme,
     accepted: true}
"""


def run(*arguments: str):
    result = CliRunner().invoke(app, ["claims", *arguments])
    assert result.exit_code == 0, result.output
    return result


def verdicts(*arguments: str) -> dict[str, str]:
    content = json.loads(run("english-intermediate", *arguments, "--json").stdout)
    return {each["claim"]: each["literature"]["verdict"] for each in content["claims"]}


def test_the_claims_of_the_paper_by_published_results():
    assert verdicts() == BY_HAND
    text = run("english-intermediate").stdout
    assert "reported: +0.8, +1.2" in text
    assert "never with a confidence" in " ".join(text.split())


def test_only_accepted_entries_of_a_file_count(tmp_path):
    path = tmp_path / "draft.yaml"
    path.write_text(DRAFT, encoding="utf-8")
    result = run("english-intermediate", "--evidence", str(path))
    assert "1 entry of the evidence counts for nothing" in " ".join(result.stderr.split())
    changed = {"hellaswag-lift": "contradicted by another source"}
    assert verdicts("--evidence", str(path)) == BY_HAND | changed
    path.write_text(DRAFT.replace("hu-etal-2020-xtreme}", "hu-etal-2020-xtreme, accepted: true}"), encoding="utf-8")
    assert verdicts("--evidence", str(path)) == BY_HAND | changed | {"mnli-lift": "reported"}


def test_a_study_with_other_names_shows_the_same_literature():
    """The names of a study are for what it measures. Statements on claims of one file are found from its record too."""
    entry = {"file": "english-intermediate", "names": {"squad": "isle-qa", "xnli": "isle-nli", "tydiqa": None}}
    claims = read_claims_entry(entry, Path(), lambda keys: "study.yaml")
    record = SimpleNamespace(
        claims=record_claims(claims, None, "2026-11-30", ran_before=False), study=SimpleNamespace(claims=entry)
    )
    recorded = recorded_claims(record)  # type: ignore[arg-type]
    assert isinstance(recorded, ClaimSet)
    judged = judge_published(recorded.without_study(), shipped_evidence())
    assert {each.claim: each.verdict for each in judged} == BY_HAND
    alone = judge_published(read_claims("english-intermediate"), shipped_evidence())
    assert [replace(each, text="") for each in judged] == [replace(each, text="") for each in alone]
