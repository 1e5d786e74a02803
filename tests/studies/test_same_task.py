"""An intermediate stage and a target of the same task: marked cells, and training subsets without common examples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.fakes import custom_task_study, model_folder, plan_of, study_file
from tests.support.hub import parquet

from xlift.execution.work.shared import Context, read_clean_examples
from xlift.studies.examples import read_data
from xlift.studies.job import Data, Subset, TrainSpec
from xlift.studies.plan import Plan
from xlift.tasks import catalog, formats
from xlift.tasks.catalog.shared_examples import SHARED_EXAMPLES, is_same_task
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

SAMPLES = Path(__file__).parents[1] / "tasks/samples"


def plan_with(folder: Path, rows: str, targets: str, *, more: str = "", data: Path | None = None) -> Plan:
    text = f"models: [model]\nseeds: [1, 2]\nintermediate:\n  - none\n{rows}targets:\n{targets}{more}"
    return plan_of(study_file(folder, text), data=data)


def stages(plan: Plan) -> dict[str, Data]:
    """Label of each training job -> the first part of its mixture."""
    return {job.label: job.spec.mixture[0] for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)}


def stage(plan: Plan, label: str) -> Data:
    return next(data for name, data in stages(plan).items() if name.startswith(label) and "seed 1)" in name)


def training_keys(plan: Plan, *, without: str = "\0") -> set[str]:
    jobs = plan.jobs.values()
    return {job.key for job in jobs if isinstance(job.spec, TrainSpec) and without not in job.label}


def texts(plan: Plan, data: Data) -> set[tuple[str, ...]]:
    format = formats.get(plan.tasks[data.task].format)
    return {format.texts(example) for example in read_data(data, plan.tasks, plan.data)}


def ids(plan: Plan, data: Data) -> list[str]:
    return [example.id for example in read_data(data, plan.tasks, plan.data)]


def marks(plan: Plan) -> dict[tuple[str, str], bool]:
    return {(cell.intermediate, cell.target): cell.same_task for cell in plan.cells}


NLI = "  - {task: isle-nli, size: 60}\n"
QA = "  - {task: isle-qa, size: 60}\n"
NLI_TARGET = "  - {task: isle-nli, train: {size: 30}, size: 10, languages: [qta]}\n"
POS_TARGET = "  - {task: isle-pos, train: {size: 30}, size: 10, languages: [qta]}\n"


def test_the_subsets_of_the_same_task_have_no_common_example(tmp_path: Path):
    plan = plan_with(tmp_path, NLI, NLI_TARGET)
    row, target = stage(plan, "train isle-nli/qta/60"), stage(plan, "train isle-nli/qta/30")
    assert (len(ids(plan, row)), len(ids(plan, target))) == (60, 30)
    assert not set(ids(plan, row)) & set(ids(plan, target))
    assert not texts(plan, row) & texts(plan, target)
    assert row.excluded == (Subset(**target.model_dump(include=set(Subset.model_fields))),)
    context = Context(plan.data, plan.tasks)
    assert [example.id for example in read_clean_examples(context, row)] == ids(plan, row)


def test_only_pipelines_with_the_same_task_have_other_training_keys(tmp_path: Path):
    with_nli = training_keys(plan_with(tmp_path, NLI + QA, NLI_TARGET + POS_TARGET))
    without = training_keys(plan_with(tmp_path, QA, NLI_TARGET + POS_TARGET))
    assert without < with_nli  # the baseline and the other row keep theirs
    apart = training_keys(plan_with(tmp_path, NLI + QA, POS_TARGET))
    assert len(apart & with_nli) == 2 * 3  # isle-qa, and isle-pos without it and after it; isle-nli has other examples
    assert with_nli != training_keys(plan_with(tmp_path, NLI + QA, NLI_TARGET.replace("30", "20") + POS_TARGET))


def test_cells_of_the_same_task_are_marked(tmp_path: Path):
    assert marks(plan_with(tmp_path, NLI + QA, NLI_TARGET + POS_TARGET)) == {
        ("none", "isle-nli"): False, ("none", "isle-pos"): False, ("isle-nli", "isle-nli"): True,
        ("isle-nli", "isle-pos"): False, ("isle-qa", "isle-nli"): False, ("isle-qa", "isle-pos"): False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        "  - {name: both, mixture: [{task: isle-qa, size: 20}, {task: isle-nli, size: 60}]}\n",
        "  - name: both\n    stages:\n      - {mixture: [{task: isle-nli, size: 60}]}\n"
        "      - {mixture: [{task: isle-qa, size: 20}]}\n",
    ],
)
def test_a_part_of_a_mixture_and_an_earlier_stage_count(tmp_path: Path, row: str):
    plan = plan_with(tmp_path, row, NLI_TARGET)
    parts = [data for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) for data in job.spec.mixture]
    assert {(data.size, bool(data.excluded)) for data in parts if data.task == "isle-nli"} == {(60, True), (30, False)}
    assert not any(data.excluded for data in parts if data.task == "isle-qa")
    assert marks(plan)["both", "isle-nli"]


def test_a_merge_of_a_row_with_the_same_task_is_marked(tmp_path: Path):
    plan = plan_with(tmp_path, NLI + QA + "  - {name: merged, merge: [isle-qa, isle-nli]}\n", NLI_TARGET + POS_TARGET)
    assert (marks(plan)["merged", "isle-nli"], marks(plan)["merged", "isle-pos"]) == (True, False)


def test_controls_have_the_examples_of_their_row_and_no_mark(tmp_path: Path):
    row = "  - {task: isle-nli, size: 60, controls: [steps, text, shuffled]}\n"
    plan = plan_with(tmp_path, row, NLI_TARGET)
    excluded = {data.excluded for data in stages(plan).values() if data.size == 60 and data.seed == 1}
    assert len(excluded) == 1
    labels = {data.labels for data in stages(plan).values() if data.size == 60}
    assert labels == {"given", "none", "shuffled"}
    assert {name for (name, _), marked in marks(plan).items() if marked} == {"isle-nli"}


def test_other_languages_have_the_same_meanings_and_exclude_them(tmp_path: Path):
    plan = plan_with(tmp_path, "  - {task: isle-nli, language: qtu, size: 60}\n", NLI_TARGET)
    row, target = stage(plan, "train isle-nli/qtu"), stage(plan, "train isle-nli/qta")
    assert not set(ids(plan, row)) & set(ids(plan, target))


def test_tasks_that_the_catalogue_declares_to_be_the_same_are_marked_and_apart(tmp_path: Path):
    plan = plan_with(tmp_path, "  - {task: isle-nli-balanced, size: 60}\n", NLI_TARGET)
    row, target = stage(plan, "train isle-nli-balanced"), stage(plan, "train isle-nli/")
    assert marks(plan)["isle-nli-balanced", "isle-nli"]
    assert len(ids(plan, row)) == 60  # their ids mean other examples, so equal texts are left out
    assert not texts(plan, row) & texts(plan, target)


def test_subsets_that_exclude_the_same_examples_are_nested(tmp_path: Path):
    plan = plan_with(tmp_path, "  - {task: isle-nli, size: [20, 60]}\n", NLI_TARGET)
    small, large = (ids(plan, stage(plan, f"train isle-nli/qta/{size}")) for size in (20, 60))
    assert set(small) < set(large)


def test_targets_of_several_sizes_exclude_the_largest(tmp_path: Path):
    second = NLI_TARGET.replace("{task: isle-nli,", "{task: isle-nli, name: more,").replace("size: 30", "size: 40")
    plan = plan_with(tmp_path, NLI, NLI_TARGET + second)
    assert [subset.size for subset in stage(plan, "train isle-nli/qta/60").excluded] == [40]


def test_all_generated_examples_stay_as_many(tmp_path: Path):
    target = NLI_TARGET.replace("train: {size: 30}, ", "")
    row = stage(plan_with(tmp_path, NLI.replace(", size: 60", ""), target), "train isle-nli/qta/20000")
    assert (row.size, [subset.size for subset in row.excluded]) == (20_000, [None])


# --- files ------------------------------------------------------------------------------------------------------------


def custom_plan(folder: Path, row: str, train: str, rows: int = 60) -> Plan:
    declaration = custom_task_study(folder, rows=rows).partition("tasks:")[2]
    target = f"  - {{task: tickets, train: {train}, languages: [de]}}\n"
    return plan_with(folder, f"  - {row}\n", target, more=f"tasks:{declaration}")


def test_subsets_of_files_are_disjoint(tmp_path: Path):
    plan = custom_plan(tmp_path, "{task: tickets, size: [5, 20]}", "{size: 40}")
    small, large, target = (ids(plan, stage(plan, f"train tickets/en/{size}")) for size in (5, 20, 40))
    assert (len(small), len(large), len(target)) == (5, 20, 40)
    assert set(small) < set(large)
    assert not set(large) & set(target)
    assert plan.warnings == []


def test_all_of_a_file_means_all_that_the_target_does_not_train_on(tmp_path: Path):
    plan = custom_plan(tmp_path, "{task: tickets}", "{size: 40}")
    row, target = ids(plan, stage(plan, "train tickets/en/20")), ids(plan, stage(plan, "train tickets/en/40"))
    assert sorted(map(int, row + target)) == sorted(map(int, ids(plan, stage(plan, "train tickets/en/20").model_copy(update={"excluded": (), "size": None}))))  # fmt: skip
    (warning,) = plan.warnings
    assert warning.endswith(
        ":5: intermediate.1: tickets en train has 60 examples, and 20 that tickets does not train on. The stage trains on those."
    )


@pytest.mark.parametrize(
    ("row", "train", "expected"),
    [
        ("{task: tickets, size: 21}", "{size: 40}", "20 that tickets does not train on, too few to keep the training examples apart. The stage needs 21. A smaller `size` keeps them apart."),
        ("{task: tickets}", "{}", "0 that tickets does not train on, too few to keep the training examples apart. A smaller `size` keeps them apart."),
    ],
)  # fmt: skip
def test_the_plan_says_so_if_the_data_is_too_small(tmp_path: Path, row: str, train: str, expected: str):
    plan = custom_plan(tmp_path, row, train)
    (warning,) = plan.warnings
    assert warning.endswith(f":5: intermediate.1: tickets en train has 60 examples, and {expected}")
    assert not any(data.excluded for data in stages(plan).values())
    assert marks(plan)["tickets", "tickets"]


def test_translations_of_the_target_s_examples_are_left_out_by_their_ids(tmp_path: Path):
    data = tmp_path / "data"
    for name in ("squad-mt", "xquad"):
        shutil.copytree(SAMPLES / name / "native", data, dirs_exist_ok=True)
    row, target = "{task: squad-mt, language: de}", "{task: xquad, train: {task: squad-mt, size: 1}, languages: [de]}"
    plan = plan_with(tmp_path, f"  - {row}\n", f"  - {target}\n", data=data)
    both = [ids(plan, data) for data in (stage(plan, "train squad-mt/de"), stage(plan, "train squad-mt/en/1"))]
    assert all(both)
    assert not set(both[0]) & set(both[1])


def pair_task(name: str, source: Any) -> Task:
    return Task(name, name, "classification", ("accuracy",), source, labels=("no", "yes"))


def pairs(start: int, end: int, prefix: str = "") -> str:
    return "id,a,b,label\n" + "".join(f"{prefix}{n},left {n},right  {n},yes\n" for n in range(start, end))


COLUMNS = {"id": "id", "text_a": "a", "text_b": "b", "label": "label"}


def test_tasks_with_common_texts_are_disjoint_by_their_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "one.csv").write_text(pairs(0, 30))
    (tmp_path / "two.csv").write_text(pairs(20, 60, prefix="other-").replace("right  ", "right "))
    tasks = {
        name: pair_task(
            name, FileSource("csv", {"train": f"{name}.csv"}, {"train": ("en",)}, columns=COLUMNS)
        )
        for name in ("one", "two")
    }  # fmt: skip
    subset = Subset(task="one", language="en", split="train", fingerprint="")
    data = Data(task="two", language="en", split="train", size=25, seed=3, fingerprint="", excluded=(subset,))
    found = {example.text_a for example in read_data(data, tasks, tmp_path)}
    assert len(found) == 25
    assert found <= {f"left {n}" for n in range(30, 60)}


def test_subsets_of_the_hub_s_files_are_disjoint(tmp_path: Path):
    commit = "0" * 40
    folder = tmp_path / "hub" / "datasets--org--pairs"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    rows = [{"a": f"left {n}", "b": f"right {n}", "label": "yes"} for n in range(30)]
    (folder / "snapshots" / commit / "train-00000-of-00001.parquet").write_bytes(parquet(rows))
    columns = {key: value for key, value in COLUMNS.items() if key != "id"}
    source = HubSource("org/pairs", {"train": "train-*.parquet"}, {"train": ("en",)}, columns=columns, numbered=True)
    place = {"task": "pairs", "language": "en", "split": "train", "seed": 1, "fingerprint": ""}
    subset = Subset(**place, size=10)
    tasks = {"pairs": pair_task("pairs", source)}
    target = {example.id for example in read_data(Data(**place, size=10), tasks, tmp_path)}
    row = {example.id for example in read_data(Data(**place, size=20, excluded=(subset,)), tasks, tmp_path)}
    assert (len(target), len(row), target & row) == (10, 20, set())


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_declared_tasks_exist_and_can_be_trained_on():
    for shared in SHARED_EXAMPLES:
        assert len(shared.tasks) > 1
        for name in shared.tasks:
            assert formats.get(catalog.get(name).format).is_trainable


def test_tasks_that_share_no_examples_are_different():
    assert is_same_task("mnli", "anli-plus")
    assert is_same_task("snli", "anli-plus")
    assert not is_same_task("mnli", "snli")
    assert not is_same_task("squad", "tydiqa")


def test_xquad_is_trained_on_squad_so_squad_is_the_same_task(tmp_path: Path):
    model_folder(tmp_path / "model")
    path = tmp_path / "study.yaml"
    path.write_text("models: [model]\nintermediate: [none, {task: squad}, {task: mnli}]\ntargets: [{task: xquad}]\n")
    from xlift.studies.plan import make_plan
    from xlift.studies.study_file import read_study

    plan = make_plan(read_study(str(path)), to_run=False)
    assert {name for (name, _), marked in marks(plan).items() if marked} == {"squad"}
    (warning,) = [each for each in plan.warnings if "apart" in each]
    assert "squad en train has 87,599 examples, and 0 that xquad does not train on" in warning
