"""Mixtures in a study: weights, MLM beside the labels, shared heads, sizes, and errors in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.fakes import STUDY, plan_of, study_file

from xlift.errors import UserError
from xlift.execution.work.shared import Context, read_examples
from xlift.studies.job import TrainSpec
from xlift.studies.plan import Plan

SAMPLES = Path(__file__).parents[1] / "tasks/samples"
TWO = "mixture: [{task: isle-nli, size: 90, weight: 3}, {task: isle-qa, language: [qta, qtu], size: 30}]"
BY_WEIGHT = f"{{name: two, {TWO}, sampling: {{rule: weights}}}}"
MLM = "text: {task: isle-text, size: {qta: 500, qtu: 40}, share: 0.2, alpha: 0.5}"


def plan_with(folder: Path, row: str, *more: str, data: Path | None = None) -> Plan:
    """The plan of the study whose one intermediate is this row, written as YAML."""
    folder.mkdir(exist_ok=True)
    return plan_of(study_file(folder, STUDY.replace("{task: isle-qa, size: 100}", row)), *more, data=data)


def assert_refused(folder: Path, row: str, expected: str) -> None:
    """The row is refused, and the error names its line."""
    with pytest.raises(UserError) as raised:
        plan_with(folder, row)
    assert expected in str(raised.value)
    assert "study.yaml:4" in str(raised.value)


def stages(folder: Path, row: str, *more: str) -> list[TrainSpec]:
    """The stages of that row (the last two trainings are those of the target, with and without it)."""
    jobs = plan_with(folder, row, *more).jobs.values()
    specs = [job.spec for job in jobs if isinstance(job.spec, TrainSpec)]
    return [spec for spec in specs if (spec.mixture[0].task, spec.mixture[0].size) != ("isle-nli", 50)]


def key(folder: Path, row: str) -> str:
    """Of the row's stage, the one with weights."""
    jobs = plan_with(folder, row).jobs.values()
    return next(job.key for job in jobs if isinstance(job.spec, TrainSpec) and job.spec.weights)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_the_languages_of_a_part_share_its_weight(tmp_path: Path) -> None:
    (spec,) = stages(tmp_path, BY_WEIGHT)
    assert [data.name() for data in spec.mixture] == ["isle-nli/qta/90", "isle-qa/qta/30", "isle-qa/qtu/30"]
    assert spec.sampling.rule == "weights"
    assert spec.weights == (0.75, 0.125, 0.125)  # a part without a weight has 1


def test_proportional_weights_make_the_same_job(tmp_path: Path) -> None:
    same = BY_WEIGHT.replace("weight: 3", "weight: 6").replace("size: 30}", "size: 30, weight: 2}")
    other = BY_WEIGHT.replace("weight: 3", "weight: 6")
    keys = [key(tmp_path / str(at), row) for at, row in enumerate((BY_WEIGHT, same, other))]
    assert keys[0] == keys[1] != keys[2]


def test_a_stage_has_weights(tmp_path: Path) -> None:
    row = f"{{name: two, stages: [{{{TWO}, sampling: {{rule: weights}}}}, {{mixture: [{{task: isle-pos, size: 9}}]}}]}}"
    assert [spec.weights for spec in stages(tmp_path, row)] == [(0.75, 0.125, 0.125), ()]


NO_WEIGHT = BY_WEIGHT.replace(", weight: 3", "")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (BY_WEIGHT.replace(", sampling: {rule: weights}", ""), "`weight` has no effect without the rule 'weights'"),
        (NO_WEIGHT, "the rule is 'weights', and no part of a mixture has a `weight`"),
        ("{task: isle-qa, sampling: {rule: weights}}", "no part of a mixture has a `weight`"),
        (BY_WEIGHT.replace("weight: 3", "weight: -1"), "expected 0 or more, found -1"),
        (BY_WEIGHT.replace("weight: 3", "weight: .nan"), "finite number"),
        (BY_WEIGHT.replace("weight: 3", "weight: 0").replace("size: 30}", "size: 30, weight: 0}"), "every weight is 0"),
        (BY_WEIGHT.replace("{rule: weights}", "{rule: weights, weights: [1, 2]}"), "unknown key 'weights'"),
        ("{name: x, stages: [{mixture: [{task: isle-qa, weight: 2}]}]}", "has no effect without the rule 'weights'"),
    ],
)
def test_errors_in_weights_name_their_place(row: str, expected: str, tmp_path: Path) -> None:
    assert_refused(tmp_path, row, expected)


# --- masked text beside the labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        f"{{task: isle-qa, size: 100, {MLM}}}",
        f"{{name: x, mixture: [{{task: isle-qa, size: 100}}], {MLM}}}",
        f"{{name: x, stages: [{{mixture: [{{task: isle-qa, size: 100}}], {MLM}}}]}}",
    ],
)
def test_every_kind_of_row_accepts_mlm(row: str, tmp_path: Path) -> None:
    (spec,) = stages(tmp_path, row)
    assert [data.name() for data in spec.mixture] == ["isle-qa/qta/100"]
    assert [data.name() for data in spec.text] == ["isle-text/qta/500", "isle-text/qtu/40"]
    assert spec.mlm is not None
    assert spec.mlm.model_dump() == {"share": 0.2, "alpha": 0.5}


def test_mlm_defaults_to_all_languages_with_the_alpha_of_xlm_r(tmp_path: Path) -> None:
    (spec,) = stages(tmp_path, "{task: isle-qa, size: 100, text: {task: isle-text, size: 20, share: 0.5}}")
    assert spec.mlm is not None
    assert spec.mlm.alpha == 0.3
    assert len(spec.text) >= 10


def test_mlm_is_not_in_the_name_of_the_row_but_in_the_count_of_examples(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, f"{{task: isle-qa, size: 100, {MLM}}}", "training.epochs=4")
    cell = plan.cells[-1]
    assert (cell.intermediate, cell.intermediate_language, cell.size) == ("isle-qa", "qta", "100")
    job = next(job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and job.spec.mlm)
    assert job.examples == 4 * 100 / 0.8
    assert job.label.startswith("train isle-qa/qta/100 + 20% isle-text (from")


def test_labels_share_a_head_and_text_has_its_own(tmp_path: Path) -> None:
    mixture = "mixture: [{task: isle-nli, size: 9}, {task: isle-nli-balanced, size: 9}], head: pair"
    row = f"{{name: x, stages: [{{{mixture}, {MLM}}}, {{{mixture}, keep_heads: [pair, MLM], {MLM}}}]}}"
    plan = plan_with(tmp_path, row)
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and job.spec.mlm]
    assert [(spec.head, spec.keep_heads) for spec in specs] == [("pair", ()), ("pair", ("pair", "MLM"))]
    assert not plan.warnings  # its head goes on, so none starts at random


def test_a_random_mlm_head_causes_a_warning(tmp_path: Path) -> None:
    row = f"{{name: x, stages: [{{mixture: [{{task: isle-pos, size: 9}}]}}, {{mixture: [{{task: isle-qa, size: 9}}], {MLM}}}]}}"
    (warning,) = plan_with(tmp_path, row).warnings
    assert "the MLM head starts at random" in warning


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{task: isle-qa, text: {task: isle-nli, share: 0.2}}", "isle-nli is classification, and `text` needs plain text"),
        ("{task: isle-qa, text: {task: isle-text}}", "share"),
        ("{task: isle-qa, text: {task: isle-text, share: 1}}", "less than 1"),
        ("{task: isle-qa, text: {task: isle-text, share: 0.1, alpha: 2}}", "expected 1 or less, found 2"),
        ("{task: isle-qa, text: {task: isle-text, share: 0.1, language: qzz}}", "isle-text has no train data in 'qzz'"),
        ("{task: isle-qa, text: {task: isle-text, share: 0.1, split: test}}", "test data is never trained on"),
        (f"{{name: x, stages: [{{mixture: [{{task: isle-qa}}]}}], {MLM}}}", "`text` has no effect beside `stages`"),
    ],
)  # fmt: skip
def test_errors_in_mlm_name_their_place(row: str, expected: str, tmp_path: Path) -> None:
    assert_refused(tmp_path, row, expected)


# --- sizes ------------------------------------------------------------------------------------------------------------

SWEEP = (
    "{name: both, size: [20, 60, null], mixture: [{task: isle-qa, language: [qta, qtu]}, {task: isle-pos, size: 9}]}"
)


def test_each_size_makes_a_row_and_applies_to_parts_without_their_own(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, SWEEP)
    assert list(dict.fromkeys(cell.size for cell in plan.cells)) == ["", "49", "129"]
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and len(job.spec.mixture) == 3]
    assert [[data.size for data in spec.mixture] for spec in specs] == [[20, 20, 9], [60, 60, 9], [None, None, 9]]


def test_a_smaller_mixture_is_a_subset_of_a_larger_one(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "xnli-mt/native", tmp_path / "data")
    parts = "[{task: xnli-mt, language: [en, de]}, {task: isle-qa}, {task: isle-nli, language: qtu}]"
    plan = plan_with(tmp_path, f"{{name: m, size: [1, 2], mixture: {parts}}}", data=tmp_path / "data")
    small, large = (
        [set(read_examples(Context(plan.data, plan.tasks, {}), data)) for data in job.spec.mixture]
        for job in plan.jobs.values()
        if isinstance(job.spec, TrainSpec) and len(job.spec.mixture) == 4
    )
    assert all(len(few) == 1 and len(more) == 2 and few < more for few, more in zip(small, large, strict=True))
    assert [[e.id for e in few] for few in small[:1]] == [
        [e.id for e in few] for few in small[1:2]
    ]  # translations of it


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "{name: x, size: 9, mixture: [{task: isle-qa, size: 8}]}",
            "`size` has no effect, since every part has its own",
        ),
        ("{name: x, size: 9, stages: [{mixture: [{task: isle-qa}]}]}", "`size` has no effect beside `stages`"),
    ],
)
def test_errors_in_sizes_name_their_place(row: str, expected: str, tmp_path: Path) -> None:
    assert_refused(tmp_path, row, expected)


# --- translated training data -----------------------------------------------------------------------------------------


def test_translated_data_can_be_part_of_a_mixture_with_a_note_on_missing_rows(tmp_path: Path) -> None:
    row = "{name: mt, mixture: [{task: squad-mt, language: [en, de], size: 3}]}"
    plan = plan_with(tmp_path, row, data=SAMPLES / "squad-mt/native")
    spec = next(
        job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and len(job.spec.mixture) == 2
    )
    assert [data.name() for data in spec.mixture] == ["squad-mt/en/3", "squad-mt/de/3"]
    warning = "squad-mt de train: 1 row skipped: a question whose answer is not in the translated passage."
    assert warning in plan.warnings
    assert len(plan.warnings) == len(set(plan.warnings))


def test_a_target_is_trained_on_several_languages_at_once(tmp_path: Path) -> None:
    target = (
        "  - {task: xnli, train: {task: xnli-translate-train, language: [en, de, sw]}, languages: [de], split: dev}\n"
    )
    folder = tmp_path / "data"
    for name in ("xnli", "xnli-translate-train"):
        shutil.copytree(SAMPLES / name / "native", folder, dirs_exist_ok=True)
    path = study_file(tmp_path, STUDY.partition("intermediate")[0] + "targets:\n" + target)
    plan = plan_of(path, data=folder)
    (spec,) = (job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec))
    assert [data.language for data in spec.mixture] == ["en", "de", "sw"]
    assert {cell.train_language for cell in plan.cells} == {"en+de+sw"}


# --- one head for several tasks and languages -------------------------------------------------------------------------


def test_one_head_is_trained_on_several_tasks_and_languages_with_the_same_labels(tmp_path: Path) -> None:
    parts = "[{task: isle-nli, language: [qta, qtu], size: 30}, {task: isle-nli-balanced, language: qka, size: 20}]"
    (spec,) = stages(tmp_path, f"{{name: nli, mixture: {parts}, head: isle-nli}}")
    assert [data.name() for data in spec.mixture] == ["isle-nli/qta/30", "isle-nli/qtu/30", "isle-nli-balanced/qka/20"]
    assert spec.head == "isle-nli"
