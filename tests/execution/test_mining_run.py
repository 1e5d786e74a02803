"""Mining and chosen layers, from a study to scored cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import plan_of, run_in_process, run_inline, write_study

from xlift.analysis.lift import compute_lifts
from xlift.analysis.scores import AT_OFFICIAL_LAYER, load_cells, mined_pairs, read_predictions
from xlift.errors import UserError
from xlift.report.study import make_report
from xlift.report.tables import footer, make_overview_tables
from xlift.studies.plan import Plan
from xlift.studies.record import make_record, read_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.tasks import metrics
from xlift.tasks.sources import generated

MINING = {"task": "isle-mining", "languages": ["qka", "qtu"], "size": 40}
RETRIEVAL = {"task": "isle-retrieval", "languages": ["qka", "qtu"], "size": 12}
CHOSEN = {"layer": "dev", "center": True}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def _small_dev_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generated.DEFAULT_NUM_EXAMPLES, "dev", 60)


def planned(tmp_path: Path, *targets: dict[str, Any], **more: Any) -> tuple[Path, Plan]:
    path = write_study(tmp_path, intermediate=["none"], targets=list(targets), **more)
    return path, plan_of(path)


def scored(path: Path, plan: Plan, store: Store) -> Any:
    run_inline(plan, store)
    record = make_record(read_study(str(path)), plan)
    return record, load_cells(record, store, every_metric=True)[0]


def test_a_mining_target_chooses_its_threshold_on_dev(tmp_path: Path, store: Store) -> None:
    path, plan = planned(tmp_path, MINING)
    assert sorted((job.spec.data.language, job.spec.data.split) for job in plan.jobs.values()) == [
        ("qka", "dev"), ("qka", "test"), ("qtu", "dev"), ("qtu", "test"),
    ]  # fmt: skip
    _, cells = scored(path, plan, store)
    assert {cell.metric for cell in cells} == {"bucc-f1", "mining-f1"}
    for cell in cells:
        key, dev_key = next((c.key, c.dev_key) for c in plan.cells if c.language == cell.language)
        _, dev_gold, dev = read_predictions(store, dev_key)
        ids, gold, test = read_predictions(store, key)
        kept = metrics.get(cell.metric).fit_threshold(dev_gold, dev)
        assert cell.ids == ids
        found = {(p["text"], p["translation"]) for p in test if kept(p)}
        right = {(i, g) for i, g in zip(ids, gold, strict=True) if g}
        correct, expected, predicted = cell.counts.sum(axis=0)
        assert predicted == len(found)
        assert expected == len(right)
        assert correct == len(found & right)
        assert set(mined_pairs(store, key, dev_key, cell.metric)) == found
    rows = compute_lifts(cells)
    assert all(0 <= row.low <= row.value <= row.high <= 1 for row in rows)


def test_scores_wait_for_the_dev_set(tmp_path: Path, store: Store) -> None:
    path, plan = planned(tmp_path, MINING)
    run_inline(plan, store, [job for job in plan.jobs.values() if job.spec.data.split == "test"])
    record = make_record(read_study(str(path)), plan)
    cells, missing = load_cells(record, store)
    assert cells == []
    assert len(missing) == 2


def test_mining_scored_on_dev_needs_no_more_than_dev(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, {**MINING, "split": "dev", "size": 20})
    assert [cell.key for cell in plan.cells] == [cell.dev_key for cell in plan.cells]
    assert len(plan.jobs) == 2


@pytest.mark.parametrize("target", [MINING, RETRIEVAL])
def test_a_chosen_layer_is_reported_beside_the_official_one(
    target: dict[str, Any], tmp_path: Path, store: Store
) -> None:
    path, plan = planned(
        tmp_path, {**target, "options": CHOSEN}, {**target, "name": "plain", "options": {"center": True}}
    )
    (layers,) = [job for job in plan.jobs.values() if job.kind == "layer"]
    by_target = {name: [cell for cell in plan.cells if cell.target == name] for name in (target["task"], "plain")}
    # the plain target also uses the official layer: equal jobs are planned once
    assert [c.official_key for c in by_target[target["task"]]] == [c.key for c in by_target["plain"]]
    _, cells = scored(path, plan, store)
    table = json.loads(store.open(layers.key).file("layers.json").read_text())["accuracies"]
    assert set(table) == {"qka", "qtu"}
    for cell in by_target[target["task"]]:
        other = "qtu" if cell.language == "qka" else "qka"
        chosen = store.open(cell.key).manifest["numbers"]["layer"]
        assert chosen == max(range(3), key=lambda layer: (table[other][layer], -layer))
    at = {(c.target, c.language, c.metric): c.counts.sum(axis=0).tolist() for c in cells}
    for (name, language, metric), counts in at.items():
        if metric.endswith(AT_OFFICIAL_LAYER):
            assert counts == at["plain", language, metric.removesuffix(AT_OFFICIAL_LAYER)]
            assert (name, language, metric.removesuffix(AT_OFFICIAL_LAYER)) in at


def test_a_job_with_a_chosen_layer_predicts_as_that_layer(tmp_path: Path, store: Store) -> None:
    _, plan = planned(tmp_path, {**RETRIEVAL, "options": CHOSEN})
    run_inline(plan, store)
    cell = plan.cells[0]
    layer = store.open(cell.key).manifest["numbers"]["layer"]
    _, direct = planned(tmp_path, {**RETRIEVAL, "options": {"layer": layer, "center": True}})
    run_inline(direct, store)
    assert read_predictions(store, cell.key) == read_predictions(store, direct.cells[0].key)


def test_the_model_of_a_pipeline_is_not_confused_with_its_layer_job(tmp_path: Path, store: Store) -> None:
    path = write_study(
        tmp_path, intermediate=["none", {"task": "isle-pos", "size": 24}], targets=[{**RETRIEVAL, "options": CHOSEN}]
    )
    plan = plan_of(path)
    run_inline(plan, store)
    record = make_record(read_study(str(path)), plan)
    report = make_report(record, store)
    assert {row.intermediate for row in report.rows} == {"none", "isle-pos"}
    trained = next(job.key for job in plan.jobs.values() if job.kind == "train")
    jobs = [plan.jobs[cell.key] for cell in plan.cells if cell.intermediate == "isle-pos"]
    assert all(job.start and job.start.job == trained and len(job.parents) == 2 for job in jobs)


def test_tables_and_method_name_the_dev_data_of_the_layer(tmp_path: Path, store: Store) -> None:
    path, plan = planned(tmp_path, {**MINING, "options": CHOSEN})
    record, _ = scored(path, plan, store)
    report = make_report(record, store)
    assert "best on dev pairs of the same language" in footer(report.rows)
    assert "best on dev pairs of other languages" in footer(report.rows)
    assert f"bucc-f1{AT_OFFICIAL_LAYER}" in make_overview_tables(report.rows)[-1].columns[-1]
    assert "on dev pairs of the same language" in report.info.method
    assert "without the scored language" in report.info.method
    assert "nothing was selected on a dev set" not in report.info.method


def test_tables_of_other_targets_do_not_mention_layers(tmp_path: Path, store: Store) -> None:
    path, plan = planned(tmp_path, RETRIEVAL)
    record, _ = scored(path, plan, store)
    report = make_report(record, store)
    assert "dev pairs" not in footer(report.rows)
    assert "nothing was selected on a dev set" in report.info.method


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({**RETRIEVAL, "options": {"dev_task": "isle-mining"}}, "`dev_task` has no effect without `layer: dev`"),
        ({**RETRIEVAL, "languages": "qka", "options": CHOSEN}, "no dev pairs to choose the layer of 'qka' on"),
        ({**RETRIEVAL, "options": {**CHOSEN, "dev_languages": "qka"}}, "no dev pairs to choose the layer of 'qka' on"),
        ({**RETRIEVAL, "options": {**CHOSEN, "dev_languages": ["qka", "qxx"]}}, "no dev data in 'qxx'"),
        ({**RETRIEVAL, "options": {**CHOSEN, "dev_task": "isle-nli"}}, "isle-nli is classification and has no pairs"),
        ({**RETRIEVAL, "options": {"margin": "ratio"}}, "isle-retrieval is retrieval, which has no margin"),
        ({**MINING, "options": {"margin": "sum"}}, "margin"),
        ({**MINING, "train": {"size": 4}}, "isle-mining is mining, which is scored without training"),
    ],
)  # fmt: skip
def test_invalid_layer_options_are_rejected_with_their_location(
    target: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        planned(tmp_path, target)
    assert message in str(caught.value)
    assert "study.yaml:" in str(caught.value)


def test_the_layer_can_be_chosen_on_another_task(tmp_path: Path) -> None:
    options = {**CHOSEN, "dev_task": "isle-mining", "dev_languages": ["qtu", "qka"]}
    _, plan = planned(tmp_path, {**RETRIEVAL, "languages": "qka", "options": options})
    (layers,) = [job for job in plan.jobs.values() if job.kind == "layer"]
    assert [(d.task, d.language, d.split) for d in layers.spec.data] == [
        ("isle-mining", "qtu", "dev"), ("isle-mining", "qka", "dev"),
    ]  # fmt: skip


def test_mining_without_dev_data_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"text": "a", "translation": "b"}\n', encoding="utf-8")
    own = {"name": "mined", "format": "mining", "files": {"test": {"de": "test.jsonl"}}}
    with pytest.raises(UserError, match="mined has no dev data in 'de' to choose its threshold"):
        planned(tmp_path, {"task": "mined"}, tasks=[own])


def test_custom_files_can_be_mined(tmp_path: Path, store: Store) -> None:
    rows = [
        '{"text": "der Mann", "translation": "the man"}',
        '{"text": "ein Buch", "translation": ""}',
        '{"text": "", "translation": "a river"}',
    ]
    for split in ("dev", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    own = {"name": "mined", "format": "mining", "files": {split: {"de": f"{split}.jsonl"} for split in ("dev", "test")}}
    path, plan = planned(tmp_path, {"task": "mined"}, tasks=[own])
    _, cells = scored(path, plan, store)
    assert cells[0].counts.sum(axis=0)[1] == 1  # one gold pair


def test_the_command_line_runs_it(tmp_path: Path) -> None:
    path = write_study(tmp_path, intermediate=["none"], targets=[{**MINING, "languages": ["qka"]}])
    done = run_in_process(path, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "bucc-f1: at the threshold that is best on dev" in " ".join(done.stdout.split())
    assert read_record(Store(tmp_path / "store"), "study").cells[0].dev_key
