"""The dev data of a stage: of the languages it trains on, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import STUDY, custom_task_study, plan_of, refused_plan, study_file

from xlift.errors import UserError
from xlift.studies.dev_data import MAX_DEV_EXAMPLES
from xlift.studies.job import TrainSpec
from xlift.studies.plan import Plan

SELECT = "training={early_stopping: {eval_steps: 10}}"


def dev_data_of(plan: Plan) -> list[list[tuple[str, str]]]:
    """(task, language) of the dev data of each training."""
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]
    assert all(data.split == "dev" for spec in specs for data in spec.dev)
    return [[(data.task, data.language) for data in spec.dev] for spec in specs]


def with_dev(folder: Path, rows: int, text: str = "hello") -> str:
    study = custom_task_study(folder).replace(
        "{train: {en: train.en.csv}", "{train: {en: train.en.csv}, dev: {en: dev.en.csv}"
    )
    lines = [f"{text} {n},{('billing', 'other')[n % 2]}" for n in range(rows)]
    (folder / "dev.en.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return study


def test_every_stage_has_dev_data_of_what_it_trains_on(tmp_path: Path):
    text = STUDY.replace("train: {size: 50}", "train: {size: 50, language: qto}")
    plan = plan_of(study_file(tmp_path, text))
    # the target's training language is qta, and all languages are scored: none of them has dev data here
    assert dev_data_of(plan) == [[("isle-nli", "qto")], [("isle-qa", "qta")], [("isle-nli", "qto")]]


def test_each_task_and_language_of_a_mixture_has_dev_data_once(tmp_path: Path):
    parts = "[{task: isle-pos, language: [qta, qto]}, {task: isle-pos, size: 9}, {task: isle-qa}, {task: isle-text, size: 9}]"
    plan = plan_of(study_file(tmp_path), f"intermediate=[{{name: mix, mixture: {parts}}}]")
    assert dev_data_of(plan)[0] == [("isle-pos", "qta"), ("isle-pos", "qto"), ("isle-qa", "qta")]


def test_a_large_dev_split_is_subsampled_under_seed_0(tmp_path: Path):
    small, large = tmp_path / "small", tmp_path / "large"
    for folder, rows in ((small, MAX_DEV_EXAMPLES), (large, MAX_DEV_EXAMPLES + 1)):
        folder.mkdir()
        plan = plan_of(study_file(folder, with_dev(folder, rows)), "seeds=[5]")
        (spec,) = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]
        (data,) = spec.dev
        assert (data.size, data.seed) == (None if rows == MAX_DEV_EXAMPLES else MAX_DEV_EXAMPLES, 0)


def test_dev_data_is_in_the_key(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, text in ((one, "hello"), (other, "goodbye")):
        folder.mkdir()
        study_file(folder, with_dev(folder, 10, text))
    assert not plan_of(one / "study.yaml").jobs.keys() & plan_of(other / "study.yaml").jobs.keys()


def test_without_retries_and_early_stopping_there_is_no_dev_data(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), "training={retries: 0}")
    assert dev_data_of(plan) == [[], [], []]
    assert dev_data_of(plan_of(study_file(tmp_path), "training={retries: 0, early_stopping: {eval_steps: 3}}"))[0]


def test_a_task_without_a_dev_split_has_no_dev_data(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, custom_task_study(tmp_path)))
    assert dev_data_of(plan) == [[]]
    assert not plan.warnings


def test_a_stage_trained_on_dev_is_not_evaluated_on_it(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY.replace("train: {size: 50}", "train: {size: 50, split: dev}")))
    assert dev_data_of(plan) == [[], [("isle-qa", "qta")], []]


def test_missing_dev_files_cause_a_warning(tmp_path: Path):
    text = with_dev(tmp_path, 10)
    (tmp_path / "dev.en.csv").unlink()
    plan = plan_of(study_file(tmp_path, text))
    assert dev_data_of(plan) == [[]]
    (warning,) = plan.warnings
    assert warning.startswith("tickets en has no dev data here, so a collapse would go unnoticed: no such file")


def test_broken_dev_data_is_an_error(tmp_path: Path):
    text = with_dev(tmp_path, 10)
    with (tmp_path / "dev.en.csv").open("a", encoding="utf-8") as file:
        file.write("hello,refund\n")
    with pytest.raises(UserError, match=r"dev.en.csv:12: .*refund"):
        plan_of(study_file(tmp_path, text))


def test_early_stopping_needs_a_dev_split_and_its_files(tmp_path: Path):
    message = refused_plan(tmp_path, custom_task_study(tmp_path), SELECT)
    assert message.startswith("study.yaml:3: targets.0: early stopping is impossible: tickets in 'en' has no dev split")
    assert "leave `early_stopping` out of this stage's training" in message
    text = with_dev(tmp_path, 10)
    (tmp_path / "dev.en.csv").unlink()
    assert "no such file" in refused_plan(tmp_path, text, SELECT)


@pytest.mark.parametrize(
    ("mixture", "why"),
    [
        ("[{task: isle-text, size: 9}]", "the stage has no labels to evaluate on"),
        ("[{task: isle-pos}, {task: isle-answer-pairs}]", "isle-answer-pairs in 'qta' is dual-encoding, which is not scored alone"),
        ("[{task: isle-pos, split: dev}]", "isle-pos in 'qta' is trained on its dev split"),
    ],
)  # fmt: skip
def test_early_stopping_needs_dev_data_for_every_labelled_part(tmp_path: Path, mixture: str, why: str):
    message = refused_plan(tmp_path, STUDY, SELECT, f"intermediate=[{{name: mix, mixture: {mixture}}}]")
    assert f"early stopping is impossible: {why}" in message


def test_pretraining_refuses_early_stopping(tmp_path: Path):
    models = (
        "[{name: mine, pretrain: {text: [{task: isle-text, size: 9}], training: {early_stopping: {eval_steps: 3}}}}]"
    )
    assert "pretraining has no dev data for early stopping" in refused_plan(tmp_path, STUDY, f"models={models}")


# --- eval_steps -------------------------------------------------------------------------------------------------------


def test_eval_steps_evaluate_also_without_retries(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), "training={retries: 0, target: {eval_steps: 5}}")
    assert dev_data_of(plan) == [[("isle-nli", "qta")], [], [("isle-nli", "qta")]]
    assert not plan.warnings


@pytest.mark.parametrize(
    ("intermediate", "why"),
    [("[none]", "tickets in 'en' has no dev split"), ("[{task: isle-text, size: 9}]", "the stage has no labels to evaluate on")],
)  # fmt: skip
def test_eval_steps_without_dev_data_cause_a_warning(tmp_path: Path, intermediate: str, why: str):
    overrides = (f"intermediate={intermediate}", "training={eval_steps: 5}")
    plan = plan_of(study_file(tmp_path, custom_task_study(tmp_path)), *overrides)
    assert any(f"`eval_steps` has no effect: {why}" in warning for warning in plan.warnings), plan.warnings


def test_missing_dev_files_of_eval_steps_cause_a_warning(tmp_path: Path):
    text = with_dev(tmp_path, 10)
    (tmp_path / "dev.en.csv").unlink()
    (warning,) = plan_of(study_file(tmp_path, text), "training={retries: 0, eval_steps: 5}").warnings
    assert (
        warning.removeprefix(f"{tmp_path}/")
        == "study.yaml:3: targets.0: `eval_steps` has no effect: tickets en has no dev data here."
    )


def test_early_stopping_and_eval_steps_exclude_each_other(tmp_path: Path):
    levels = "training={early_stopping: {eval_steps: 10}, target: {eval_steps: 5}}"
    message = refused_plan(tmp_path, STUDY, levels)
    assert "`early_stopping` and `eval_steps` both say when to evaluate on dev" in message
    off = "training={early_stopping: {eval_steps: 10}, target: {early_stopping: false, eval_steps: 5}}"
    plan_of(study_file(tmp_path), off)


def test_pretraining_refuses_eval_steps(tmp_path: Path):
    models = "[{name: mine, pretrain: {text: [{task: isle-text, size: 9}], training: {eval_steps: 3}}}]"
    assert "pretraining has no dev data" in refused_plan(tmp_path, STUDY, f"models={models}")
