"""The claims of a study: refused with their place when it is planned, kept in its record, judged by a command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.command import Xlift, xlift
from tests.support.fakes import STUDY, finished_study, plan_of, refused_plan, study_file

from xlift.claims import Table, parse_claims
from xlift.claims.effects import expand
from xlift.claims.table import RowKey
from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.record import last_record, make_record, read_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

__all__ = ["xlift"]

INLINE = (
    STUDY
    + """\
claims:
  claims:
    - {name: qa-lifts, text: QA lifts NLI., lift: isle-qa}
    - {name: tasks, text: One task., fact: intermediate-tasks, equals: 1}
"""
)
CLAIMS = """\
question: Does QA lift NLI?
claims:
  - {name: qa-lifts, text: QA lifts NLI., lift: squad, target: xnli}
  - {name: tasks, text: Two tasks., fact: intermediate-tasks, equals: 2}
"""
BY_FILE = STUDY + "claims: {file: c.yaml, names: {squad: isle-qa, xnli: isle-nli}}\n"


def test_the_plan_has_the_claims(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(CLAIMS, encoding="utf-8")
    claims = plan_of(study_file(tmp_path, BY_FILE)).claims
    assert claims
    assert claims.expand(["squad", "xnli"]) == ("isle-qa", "isle-nli")
    assert claims.without_study().expand(["squad"]) == ("squad",)  # for the literature
    assert plan_of(study_file(tmp_path, STUDY)).claims is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (INLINE.replace("lift: isle-qa", "lift: isle-qo"), "study.yaml:9: claims.claims.0: no row 'isle-qo'\n  did you mean 'isle-qa'?"),
        (INLINE.replace("lift: isle-qa", "lift: isle-qa, target: isle-pos"), "study.yaml:9: claims.claims.0: claim qa-lifts: no target 'isle-pos'"),
        (INLINE.replace("lift: isle-qa", "lift: isle-qa, languages: fr"), "study.yaml:9: claims.claims.0: no target is scored in 'fr'"),
        (INLINE.replace("lift:", "lifts:"), "study.yaml:9: claims.claims.0: expected one key for the kind of claim"),
        (STUDY + "claims: d.yaml\n", "study.yaml:7: claims: no claims 'd.yaml'"),
        (STUDY + "claims: [a]\n", "study.yaml:7: claims: expected text, found a list"),
        (STUDY + "claims: {file: c.yaml, names: {x: isle-qa}}\n", "study.yaml:7: claims.names.x: no claim has the name 'x'"),
        (STUDY + "claims: {file: c.yaml, name: {}}\n", "study.yaml:7: claims.name: unknown key 'name'\n  did you mean 'names'?"),
        (BY_FILE.replace("squad: isle-qa", "squad: isle-qo"), "c.yaml:3: claims.0: no row 'isle-qo'"),
    ],
)  # fmt: skip
def test_claims_that_a_study_cannot_judge_are_refused(text: str, message: str, tmp_path: Path):
    (tmp_path / "c.yaml").write_text(CLAIMS, encoding="utf-8")
    assert message in refused_plan(tmp_path, text)


def test_rows_that_train_on_the_task_of_a_target_are_said_or_left_out():
    own = RowKey("m", "nli", "en", "9")
    table = Table(
        (RowKey("m", "none"), own, RowKey("m", "qa", "en", "9")), frozenset(),
        Table.of([]).columns, {}, frozenset({(own, "xnli")}),
    )  # fmt: skip
    from xlift.claims.table import Column

    table = replace(table, columns=(Column("xnli", "sw"), Column("pos", "sw")))

    def expanded(**claim: object):
        claims = parse_claims({"claims": [{"name": "a", "text": "A.", **claim}]}, str)
        return expand(claims, claims.claims[0], table)

    both = expanded(lift=["nli", "qa"], target=["xnli", "pos"])
    assert [effect.label for effect in both.effects] == ["qa on xnli", "nli on pos", "qa on pos"]
    assert both.notes == ("without nli on xnli: nli trains on the task of xnli",)
    alone = expanded(lift="nli", target="xnli")
    assert [effect.label for effect in alone.effects] == ["nli on xnli"]
    assert alone.notes == ("nli trains on the task of xnli",)
    other = expanded(lift="nli", target="other-tasks")
    assert [list(effect.columns) for effect in other.effects] == [[Column("pos", "sw")]]
    assert other.notes == ()


# --- the record -------------------------------------------------------------------------------------------------------


def run(path: Path, store: Store) -> None:
    """What `xlift run` does with the record."""
    file = read_study(str(path))
    write_record(make_record(file, make_plan(file), last_record(store, file.study.name)), store)


def changes(path: Path, store: Store) -> list[str]:
    record = read_record(store, "study").claims
    assert record
    return record.describe_changes(read_study(str(path)).read_claims())


def test_the_record_keeps_the_claims_of_the_first_run(tmp_path: Path):
    path, store = study_file(tmp_path, INLINE), Store(tmp_path / "s")
    run(path, store)
    first = read_record(store, "study").claims
    assert first
    assert changes(path, store) == []
    more = "    - {name: more, text: More., lift: isle-qa}\n"
    study_file(tmp_path, INLINE.replace("isle-qa}\n    -", "isle-qa, delta: 0.5}\n    -") + more)
    run(path, store)
    second = read_record(store, "study").claims
    assert second
    assert (second.first, second.date) == (first.first, first.date)
    sentence = f"The claims have changed since the study first ran on {first.date}: "
    assert changes(path, store) == [sentence + "qa-lifts: delta was 1 and is 0.5; more is new."]
    study_file(tmp_path, STUDY)
    run(path, store)
    assert changes(path, store) == [f"The claims of {first.date} were removed."]


def test_a_name_that_means_another_row_is_a_change(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(CLAIMS, encoding="utf-8")
    path, store = study_file(tmp_path, BY_FILE), Store(tmp_path / "s")
    run(path, store)
    study_file(tmp_path, BY_FILE.replace("squad: isle-qa", "squad: none"))
    (sentence,) = changes(path, store)
    assert sentence.endswith(": the name squad meant [isle-qa] and means [none].")


def test_claims_from_after_the_first_run_are_late(tmp_path: Path):
    path, store = study_file(tmp_path, STUDY), Store(tmp_path / "s")
    run(path, store)
    study_file(tmp_path, INLINE)
    run(path, store)
    (sentence,) = changes(path, store)
    assert sentence.endswith("after the study had first run.")


def test_a_record_with_invalid_claims_is_damaged(tmp_path: Path):
    path, store = study_file(tmp_path, INLINE), Store(tmp_path / "s")
    run(path, store)
    file = store.root / "studies" / "study.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"lift": [', '"lifts": ['), encoding="utf-8")
    with pytest.raises(
        UserError,
        match="the record is damaged: the record: claims.0: expected one key for the kind of claim, found none of them",
    ):
        read_record(store, "study")


# --- the command ------------------------------------------------------------------------------------------------------


def test_claims_of_a_study_are_judged(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, INLINE.replace("models:", "seeds: [1, 2]\nmodels:")), tmp_path / "s")
    answer = xlift("claims", "study", "--store", "s", columns=120)
    assert answer.code == 0
    assert answer.err == ""
    assert "QA lifts NLI." in answer.out
    assert "literature" not in answer.out  # the claims name no source
    content = json.loads(xlift("claims", "study.yaml", "--store", "s", "--json").out)
    effect, fact = content["claims"]
    assert (effect["claim"], effect["kind"], effect["seeds"], effect["delta"]) == ("qa-lifts", "lift", 2, 1.0)
    assert effect["low"] < effect["effect"] < effect["high"]
    assert (fact["verdict"], fact["effect"], fact["literature"]) == ("verified", 1, None)
    assert (
        "isle-qa on the mean of the targets" in xlift("claims", "study", "--store", "s", "--details", columns=200).out
    )


def test_a_bundle_has_its_claims(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, INLINE), tmp_path / "s")
    assert xlift("store", "export", "study", "--store", "s", "--results", "b.zip").code == 0
    content = json.loads(xlift("claims", "b.zip", "--json").out)
    assert [each["verdict"] for each in content["claims"]] == ["undecided", "verified"]
    assert content["claims"][0]["reason"] == "one seed says nothing about the variation between seeds"


def test_other_claims_are_from_after_the_run(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, STUDY), tmp_path / "s")
    assert "the study study has no claims" in xlift("claims", "study", "--store", "s").err
    (tmp_path / "c.yaml").write_text(CLAIMS.replace("squad", "isle-qa").replace("xnli", "isle-nli"), encoding="utf-8")
    answer = xlift("claims", "study", "--store", "s", "--claims", "c.yaml")
    assert (answer.code, answer.err) == (
        0,
        "xlift: warning: The study ran without claims; these are from after its run.\n",
    )
    assert "Does QA lift NLI?" in answer.out
    assert "false" in answer.out


def test_changed_claims_are_shown(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, INLINE), tmp_path / "s")
    study_file(tmp_path, INLINE.replace("equals: 1", "equals: 2"))
    assert "tasks: equals was 1 and is 2." in xlift("claims", "study.yaml", "--store", "s").err


def test_a_claims_file_alone_shows_the_literature(xlift: Xlift, tmp_path: Path):
    (tmp_path / "c.yaml").write_text(CLAIMS, encoding="utf-8")
    answer = xlift("claims", "c.yaml", columns=120)
    assert answer.code == 0
    assert "literature" in answer.out
    shipped = json.loads(xlift("claims", "english-intermediate", "--json").out)
    assert {each["claim"]: each["literature"]["verdict"] for each in shipped["claims"]}["nine-tasks"] == "verified"
