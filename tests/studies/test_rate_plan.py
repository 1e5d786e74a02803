"""The plan of a study whose learning rates are chosen on dev data."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import STUDY, custom_task_study, plan_of, refused_plan, study_file

from xlift.studies.job import Job, TrainSpec
from xlift.studies.plan import Plan

RATES = "training={target: {lr: [1.0e-4, 2.0e-5]}}"
SEEDS = "seeds=[7, 8, 9]"


def target_stages(plan: Plan) -> list[tuple[Job, TrainSpec]]:
    stages = [(job, job.spec) for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]
    return [(job, spec) for job, spec in stages if spec.mixture[0].task == "isle-nli"]


def test_the_first_seed_trains_with_each_rate_and_the_others_once(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), RATES, SEEDS)
    stages = target_stages(plan)
    for pipeline in ("none", "isle-qa"):
        mine = [
            (job, spec)
            for job, spec in stages
            if f"> {pipeline}," in job.label or pipeline == "none" and ">" not in job.label
        ]
        trained = [(spec.seed, spec.recipe.lr) for _, spec in mine if not spec.lr_choices]
        assert trained == [(7, 2e-5), (7, 1e-4)]
        chosen = [(job, spec) for job, spec in mine if spec.lr_choices]
        assert [spec.seed for _, spec in chosen] == [7, 8, 9]
        (choices,) = {spec.lr_choices for _, spec in chosen}
        assert [(each.lr, each.job) for each in choices] == [(s.recipe.lr, j.key) for j, s in mine if not s.lr_choices]
        assert [job.repeats_choice for job, _ in chosen] == [True, False, False]
    assert {plan.jobs[cell.key].parents[0] for cell in plan.cells} == {
        job.key for job, spec in stages if spec.lr_choices
    }
    places = {key: at for at, key in enumerate(plan.jobs)}
    assert all(places[each] < places[job.key] for job in plan.jobs.values() for each in job.required)


def test_trying_a_rate_is_the_job_of_a_study_with_that_rate(tmp_path: Path):
    tried = {
        spec.recipe.lr: job.key
        for job, spec in target_stages(plan_of(study_file(tmp_path), RATES))
        if not spec.lr_choices
    }
    for lr, key in tried.items():
        assert key in plan_of(study_file(tmp_path), f"training={{target: {{lr: {lr:.6f}}}}}").jobs


def test_the_order_of_the_rates_changes_no_key(tmp_path: Path):
    other = "training={target: {lr: [2.0e-5, 1.0e-4]}}"
    assert plan_of(study_file(tmp_path), RATES).jobs.keys() == plan_of(study_file(tmp_path), other).jobs.keys()


def test_rates_and_the_scores_that_choose_are_in_the_key(tmp_path: Path):
    def keys(*overrides: str) -> set[str]:
        return {job.key for job, spec in target_stages(plan_of(study_file(tmp_path), *overrides)) if spec.seed == 9}

    assert not keys(RATES, SEEDS) & keys("training={target: {lr: [1.0e-4, 2.0e-5, 5.0e-5]}}", SEEDS)
    assert not keys(RATES, SEEDS) & keys(RATES, "seeds=[8, 9]")  # another first seed chooses


def test_a_choice_needs_dev_data_also_without_retries(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), "training={retries: 0, target: {lr: [1.0e-4, 2.0e-5]}}")
    assert all(spec.dev for _, spec in target_stages(plan))


def test_targets_without_training_ignore_the_rates_of_the_study(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), RATES, "targets=[{task: isle-retrieval, size: 20}]")
    assert not any(job.lr_choices for job in plan.jobs.values())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training={lr: [1.0e-4, 2.0e-5]}", "several learning rates are for targets alone"),
        ("training={intermediate: {lr: [1.0e-4, 2.0e-5]}}", "several learning rates are for targets alone"),
        ("intermediate.1.training={lr: [1.0e-4, 2.0e-5]}", "several learning rates are for targets alone"),
        ("models=[{name: m, pretrain: {text: [{task: isle-text, size: 9}], training: {lr: [0.1, 0.2]}}}]", "several learning rates"),
        ("training={target: {lr: [1.0e-4]}}", "there is nothing to choose from"),
        ("training={target: {lr: []}}", "there is nothing to choose from"),
        ("training={target: {lr: [1.0e-4, 0.0001]}}", "0.0001 is listed twice"),
        ("training={target: {lr: [1.0e-4, 0]}}", "expected more than 0, found 0"),
        ("targets.0.train.task=[isle-nli, isle-nli]", "listed twice"),
        ("targets=[{task: isle-retrieval, size: 20, training: {lr: [1.0e-4, 2.0e-5]}}]", "isle-retrieval is scored without training, so there is no learning rate to choose"),
        ("targets.0.train={split: dev, size: 20}", "choosing a learning rate is impossible: isle-nli in 'qta' is trained on its dev split"),
    ],
)  # fmt: skip
def test_a_list_of_rates_in_the_wrong_place_is_an_error(tmp_path: Path, override: str, message: str):
    overrides = (override,) if override.startswith("training") else (RATES, override)
    assert message in refused_plan(tmp_path, STUDY, *overrides)


def test_a_target_with_several_stages_takes_one_rate(tmp_path: Path):
    text = "models: [model]\ntargets: [{task: xcopa, train: {task: [siqa, copa]}, training: {lr: [1.0e-4, 2.0e-5]}}]\n"
    message = refused_plan(tmp_path, text)
    assert "targets.0.training.lr: a learning rate cannot be chosen for a target with 2 training stages" in message


def test_a_target_without_a_dev_split_takes_one_rate(tmp_path: Path):
    message = refused_plan(tmp_path, custom_task_study(tmp_path), RATES)
    assert "targets.0: choosing a learning rate is impossible: tickets in 'en' has no dev split" in message
    assert "write one learning rate for this target" in message
