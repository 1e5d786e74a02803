"""Contamination of a study: planted texts are found in the right pipelines, relations are named, the report is
saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.fakes import STUDY, finished_study, model_folder, plan_of, study_file

from xlift.analysis import contamination
from xlift.analysis.contamination import check_contamination, data_digest
from xlift.analysis.contamination_report import (
    ContaminationReport,
    DataSplit,
    Finding,
    KnownRelation,
    digest_jobs,
    read_contamination_report,
    write_contamination_report,
)
from xlift.analysis.relations import RELATIONS, Relation
from xlift.cli.contamination import compare
from xlift.errors import UserError
from xlift.report.contamination import for_page, group_findings, summarize_contamination, summarize_for_model
from xlift.report.page import render_page
from xlift.report.study import make_report
from xlift.studies.plan import Plan
from xlift.studies.record import read_record
from xlift.studies.store import Store
from xlift.tasks import catalog

SENTENCES = [f"the {a} man reads a {b} book in the garden of house {n}"
             for n, (a, b) in enumerate([("old", "long"), ("young", "red"), ("tall", "new"), ("wise", "big"), ("mad", "sad")])]  # fmt: skip
OTHERS = [f"a {a} ship sails to {b} with sugar and salt number {n}"
          for n, (a, b) in enumerate([("fast", "Rome"), ("slow", "Bonn"), ("grey", "Oslo"), ("blue", "Bari"), ("wet", "Kiel")])]  # fmt: skip
TASK = """\
  - name: {name}
    format: classification
    files: {{train: {{en: {train}}}, test: {{en: {test}}}}}
    labels: [x, y]
"""


def csv(path: Path, rows: list[str]) -> str:
    lines = [f'"{row}",{"xy"[n % 2]}' for n, row in enumerate(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return path.name


def two_tasks(folder: Path, first_train: list[str], second_test: list[str], text: str = "", **options: Any) -> Plan:
    """'first' may be an intermediate task of 'second'; each also has data that is not shared."""
    csv(folder / "first.csv", first_train)
    csv(folder / "second.csv", second_test)
    csv(folder / "own.csv", OTHERS)
    csv(folder / "lone.csv", ["nobody has ever seen this sentence of nine words"] * 1)
    tasks = TASK.format(name="first", train="first.csv", test="lone.csv") + TASK.format(
        name="second", train="own.csv", test="second.csv"
    )
    text = text or "models: [model]\nintermediate: [none, {task: first}]\ntargets: [{task: second}]\n"
    return plan_of(study_file(folder, f"{text}tasks:\n{tasks}"), **options)


def pairs(found: ContaminationReport) -> list[tuple[str, str, str, int, int, int, int]]:
    return [
        (f.stage, f.trained.task, f.scored.task, f.num_examples, f.num_exact, f.num_all_exact, f.num_near)
        for f in found.findings
    ]


# -- what is found -------------------------------------------------------------------------------------------------------


def test_planted_contamination_is_found_and_quoted(tmp_path: Path) -> None:
    planted = [SENTENCES[1].upper() + "!", "  " + SENTENCES[3].replace(" ", "  ")]
    near = "and then he summary: " + SENTENCES[4]
    found = check_contamination(
        two_tasks(tmp_path, [*planted, near, "something quite different was summary here"], SENTENCES)
    )
    assert pairs(found) == [("intermediate", "first", "second", 5, 2, 2, 1)]
    (finding,) = found.findings
    assert (finding.trained, finding.scored) == (DataSplit("first", "en", "train"), DataSplit("second", "en", "test"))
    assert [(quote.scored, bool(quote.trained), quote.text) for quote in finding.quotes] == [
        ("1", True, SENTENCES[1]),
        ("3", True, SENTENCES[3]),
        ("4", False, SENTENCES[4]),
    ]
    assert [quote.trained for quote in finding.quotes] == ["0", "1", ""]
    assert finding.share == 3 / 5
    assert (found.num_training_sets, found.num_training_texts, found.num_scored_sets, found.num_scored_examples) == (
        2,
        4 + 5,
        1,
        5,
    )


def test_training_data_of_the_target_is_a_separate_stage(tmp_path: Path) -> None:
    found = check_contamination(
        two_tasks(tmp_path, ["unrelated text that nobody scores anywhere"], [*SENTENCES[:2], OTHERS[0]])
    )
    assert pairs(found) == [("target", "second", "second", 3, 1, 1, 0)]


def test_only_data_of_the_same_pipeline_is_compared(tmp_path: Path) -> None:
    # 'first' is a target beside 'second', not a stage before it
    text = "models: [model]\ntargets: [{task: first}, {task: second}]\n"
    assert not check_contamination(two_tasks(tmp_path, SENTENCES, SENTENCES, text)).findings


def test_pretraining_text_is_a_separate_stage(tmp_path: Path) -> None:
    made = {"name": "made", "pretrain": {"text": [{"task": "first", "language": "en"}], "seed": 1}}
    text = f"models: [{json.dumps(made)}]\ntargets: [{{task: second}}]\n"
    found = check_contamination(two_tasks(tmp_path, SENTENCES, SENTENCES[1:2], text))
    assert pairs(found) == [("pretraining", "first", "second", 1, 1, 1, 0)]


def test_only_the_training_subset_is_compared(tmp_path: Path) -> None:
    text = (
        "models: [model]\nseeds: [1, 2]\nintermediate: [none, {task: first, size: [1, 2]}]\ntargets: [{task: second}]\n"
    )
    plan = two_tasks(tmp_path, SENTENCES, SENTENCES, text)
    (finding,) = check_contamination(plan).findings
    assert 2 <= finding.num_exact <= 4  # two of each seed, including the subset of size 1
    whole = two_tasks(tmp_path, SENTENCES, SENTENCES, text.replace("[1, 2]}", "[1, 5]}"))
    (finding,) = check_contamination(whole).findings
    assert finding.num_exact == 5
    assert check_contamination(whole).num_training_texts == 5 + 5  # the file is read once, not once per subset


def test_disjoint_generated_data_gives_no_findings(tmp_path: Path) -> None:
    text = STUDY.replace("size: 100", "size: 300").replace("size: 50", "size: 100")
    found = check_contamination(plan_of(study_file(tmp_path, text)))
    assert found.num_training_texts > 600
    assert found.num_scored_examples == 20 * 10
    assert (found.findings, found.known_relations) == ((), ())


def test_candidates_of_a_pool_do_not_count_as_scored(tmp_path: Path) -> None:
    text = "models: [model]\ntargets: [{task: isle-answer-pairs, train: {size: 5}, languages: [qta], size: 4}]\n"
    assert check_contamination(plan_of(study_file(tmp_path, text))).num_scored_examples == 4


def test_result_does_not_depend_on_chunk_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = two_tasks(tmp_path, [*SENTENCES[:3], "he " + SENTENCES[4]], [*OTHERS[:1], *SENTENCES])
    whole = check_contamination(plan)
    monkeypatch.setattr(contamination, "CHUNK_SIZE", 2)
    assert check_contamination(plan) == whole


# -- known relations -----------------------------------------------------------------------------------------------------


def test_relation_is_reported_without_shared_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = (Relation(("first/train",), ("second",), True, "second is translated from first."),)
    monkeypatch.setattr(contamination, "RELATIONS", declared)
    found = check_contamination(two_tasks(tmp_path, ["der alte Mann liest im Garten ein Buch"], SENTENCES))
    assert not found.findings
    assert found.known_relations == (
        KnownRelation(("intermediate",), "first train", "second test", True, "second is translated from first."),
    )


@pytest.mark.parametrize(
    ("trained", "scored", "expected"),
    [
        (("squad", "dev"), ("xquad", "test"), {True}),
        (("squad", "train"), ("xquad", "test"), {False}),
        (("squad2", "dev"), ("lareqa", "test"), {True}),
        (("xquad-articles", "train"), ("xquad", "test"), {True}),
        (("xquad-articles", "train"), ("xquad-articles", "test"), {False}),
        (("squad", "train"), ("mlqa", "test"), {False}),
        (("tydiqa", "train"), ("tydiqa", "test"), {False}),
        (("mnli", "train"), ("xnli", "test"), {False}),
        (("xnli", "test"), ("xnli-typos", "test"), {True}),
        (("xnli", "dev"), ("xnli", "test"), set()),
        (("xnli", "dev"), ("americasnli", "dev"), {True}),
        (("xnli", "test"), ("afrixnli", "test"), {True}),
        (("copa", "dev"), ("xcopa", "dev"), {True}),
        (("socialiqa", "train"), ("xcopa", "test"), {False}),
        (("xcopa", "dev"), ("xcopa", "test"), set()),
        (("sib200", "train"), ("belebele", "test"), {True}),
        (("sib200", "train"), ("sib200", "test"), set()),
        (("wikipedia", "train"), ("mlqa", "test"), {False}),
        (("udpos", "train"), ("xnli", "test"), set()),
        (("udpos", "train"), ("multiblimp", "test"), {True}),
    ],
)
def test_relations_of_published_data_sets(
    trained: tuple[str, str], scored: tuple[str, str], expected: set[bool]
) -> None:
    assert {relation.is_contamination for relation in RELATIONS if relation.applies_to(trained, scored)} == expected


def test_relations_name_existing_tasks_and_splits() -> None:
    for relation in RELATIONS:
        assert relation.description.endswith(".")
        for name in (*relation.trained, *relation.scored):
            task, _, split = name.partition("/")
            assert task in catalog.names(), name
            assert not split or split in catalog.get(task).source.splits(), name


# -- the record ----------------------------------------------------------------------------------------------------------


def contaminated_study(folder: Path) -> tuple[Plan, Store]:
    return two_tasks(folder, SENTENCES[:2], SENTENCES), Store(folder / "store")


def test_report_survives_writing_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "RELATIONS", (Relation(("first",), ("second",), False, "Related."),))
    plan, store = contaminated_study(tmp_path)
    assert read_contamination_report(store, "study") is None
    found = check_contamination(plan)
    assert found.findings
    assert found.known_relations
    write_contamination_report(found, store, "study")
    assert read_contamination_report(store, "study") == found


def test_same_data_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = contaminated_study(tmp_path)
    first = compare(plan, store)
    monkeypatch.setattr(contamination, "check_contamination", lambda plan: pytest.fail("compared again"))
    assert compare(plan, store) == first


def test_other_recipe_updates_the_jobs_digest_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = contaminated_study(tmp_path)
    first = compare(plan, store)
    file = tmp_path / "study.yaml"
    file.write_text(file.read_text() + "training: {lr: 0.5}\n")
    changed = plan_of(file)
    monkeypatch.setattr(contamination, "check_contamination", lambda plan: pytest.fail("compared again"))
    again = compare(changed, store)
    assert again.findings == first.findings
    assert again.jobs_digest == digest_jobs(changed.jobs) != first.jobs_digest
    assert read_contamination_report(store, "study") == again


def test_changed_data_is_compared_again(tmp_path: Path) -> None:
    plan, store = contaminated_study(tmp_path)
    assert compare(plan, store).findings[0].num_exact == 2
    csv(tmp_path / "first.csv", SENTENCES[:3])
    assert data_digest(plan_of(tmp_path / "study.yaml")) != data_digest(plan)
    assert compare(plan_of(tmp_path / "study.yaml"), store).findings[0].num_exact == 3


def test_changed_relations_are_applied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = contaminated_study(tmp_path)
    assert compare(plan, store).known_relations == ()
    monkeypatch.setattr(contamination, "RELATIONS", (Relation(("first",), ("second",), True, "Related."),))
    assert len(compare(plan, store).known_relations) == 1


@pytest.mark.parametrize("damage", ["cut", "list", "no counts", "negative", "text", "digest", "more", "no examples"])
def test_damaged_report_is_an_error_and_is_made_again(damage: str, tmp_path: Path) -> None:
    plan, store = contaminated_study(tmp_path)
    good = compare(plan, store)
    path = tmp_path / "store" / "contamination" / "study.json"
    raw = json.loads(path.read_text())
    if damage == "cut":
        path.write_text(path.read_text()[:100])
    else:
        if damage == "list":
            raw = [raw]
        elif damage == "no counts":
            del raw["findings"][0]["num_exact"]
        elif damage == "negative":
            raw["findings"][0]["num_exact"] = -1
        elif damage == "text":
            raw["num_training_texts"] = "many"
        elif damage == "digest":
            raw["data_digest"] = "x"
        elif damage == "more":
            raw["verdict"] = "fine"
        else:
            raw["findings"][0]["num_examples"] = 0
        path.write_text(json.dumps(raw))
    with pytest.raises(
        UserError, match="the contamination report is damaged.*\n.*`xlift contamination study` writes it again"
    ) as caught:
        read_contamination_report(store, "study")
    assert caught.value.where == str(path)
    assert compare(plan, store) == good
    assert read_contamination_report(store, "study") == good


# -- in a sentence ---------------------------------------------------------------------------------------------------------


def report_of(*pairs: tuple[str, str]) -> ContaminationReport:
    """A report with shared texts between training and scored sets, given by their tasks."""
    findings = tuple(
        Finding("intermediate", DataSplit(one, "en", "train"), DataSplit(other, "en", "test"), 10, 10 - n, 0, 0)
        for n, (one, other) in enumerate(pairs)
    )
    return ContaminationReport("0" * 64, "0" * 64, 9, 90, 8, 80, findings, ())


def test_up_to_three_pairs_are_named() -> None:
    pairs = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]
    assert (
        "3 pairs of sets share texts (a en train and b en test; c en train and d en test; e en"
        in summarize_contamination(report_of(*pairs[:3]))
    )
    assert summarize_contamination(report_of(*pairs)).endswith("4 pairs of sets share texts.")


def test_model_summary_covers_only_its_training_data() -> None:
    found = report_of(("a", "b"), ("c", "b"))
    assert "1 pair of sets shares texts (c en train and b en test)" in summarize_for_model(
        found, {DataSplit("c", "en", "train")}, "b"
    )
    other = summarize_for_model(found, {DataSplit("x", "en", "train"), DataSplit("a", "de", "train")}, "b")
    assert "a en train" not in other
    assert other.endswith("of the whole study; the training sets of this model share no texts with them.")


def test_model_summary_covers_only_relations_of_its_training_data() -> None:
    known = (
        KnownRelation(("target",), "a train", "b test", True, "Same."),
        KnownRelation(("target",), "c train", "b test", True, "Same."),
    )
    summary = summarize_for_model(replace(report_of(), known_relations=known), {DataSplit("c", "en", "train")}, "b")
    assert summary.endswith("1 known overlap contains scored examples (c train and b test).")


# -- the page ------------------------------------------------------------------------------------------------------------


def page(folder: Path, store: Store) -> str:
    made = make_report(read_record(store, "study"), store)
    return " ".join(render_page(made.rows, made.info).split())


def test_page_names_the_command_if_nothing_was_compared(tmp_path: Path) -> None:
    _, store = finished_study(study_file(tmp_path), tmp_path / "store")
    assert "The contamination check has not run yet." in page(tmp_path, store)


def test_page_shows_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says = "second <b>is</b> first."
    monkeypatch.setattr(contamination, "RELATIONS", (Relation(("first",), ("second",), True, says),))
    two_tasks(tmp_path, ["<script>" + SENTENCES[0], *SENTENCES[1:3]], SENTENCES)
    plan, store = finished_study(tmp_path / "study.yaml", tmp_path / "store")
    compare(plan, store)
    html = page(tmp_path, store)
    assert (
        "1 pair of sets shares texts (first en train and second en test). 1 known overlap contains scored examples ("
        in html
    )
    assert "first en train" in html
    assert "2 (40.0%)" in html
    assert SENTENCES[1] in html
    assert "second &lt;b&gt;is&lt;/b&gt; first." in html  # it is escaped
    assert "70% of the 8-grams" in html


def test_page_reports_findings_of_other_data(tmp_path: Path) -> None:
    plan, store = finished_study(study_file(tmp_path), tmp_path / "store")
    write_contamination_report(replace(check_contamination(plan), jobs_digest="0" * 64), store, "study")
    assert "ran on other data than that of this report" in for_page(read_record(store, "study"), store)["summary"]


def test_page_reports_a_clean_study(tmp_path: Path) -> None:
    model_folder(tmp_path / "model")
    plan, store = finished_study(study_file(tmp_path), tmp_path / "store")
    compare(plan, store)
    assert "no training text is among them." in page(tmp_path, store)


def test_the_page_groups_findings_by_task():
    def finding(trained: str, scored: str) -> Finding:
        return Finding("nli", DataSplit("mnli", trained, "train"), DataSplit("xnli", scored, "test"), 100, 10, 4, 1)

    report = ContaminationReport("", "", 1, 1, 1, 1, tuple(finding("en", code) for code in "abcd"), ())
    assert group_findings(report) == [
        ("nli", "mnli train (en)", "xnli test (4 languages)", "400", "40 (10.0%)", "16", "4")
    ]
    two = replace(report, findings=(finding("en", "a"), finding("de", "a"), replace(finding("en", "a"), stage="qa")))
    assert [line[:3] for line in group_findings(two)] == [
        ("nli", "mnli train (de, en)", "xnli test (a)"),
        ("qa", "mnli train (en)", "xnli test (a)"),
    ]
