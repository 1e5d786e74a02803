"""Recipes, prompts and engine settings of one model of a study, and published recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.fakes import plan_of, study_file
from tests.support.model_folders import write_family_folders

from xlift.errors import UserError
from xlift.published_recipes import RECIPES
from xlift.recipes import Engine, Recipe
from xlift.report.graph import describe_plan_recipes
from xlift.studies.job import TrainSpec
from xlift.studies.placement import slots_by_job, threads_by_job
from xlift.studies.plan import Plan
from xlift.studies.schema.engine import EnginePatch
from xlift.studies.schema.training import RecipePatch, make_recipe
from xlift.tasks import catalog

STUDY = """\
models:
  - isles
  - {name: own, model: isles}
training: {lr: 0.1, batch_size: 8, target: {epochs: 2}}
intermediate: [none, {task: isle-qa, size: 100, training: {warmup_steps: 5}}]
targets: [{task: isle-nli, train: {size: 50}, size: 20, languages: [qta]}]
"""


def planned(folder: Path, *changes: str, text: str = STUDY) -> Plan:
    return plan_of(study_file(folder, text), *changes)


def recipes(plan: Plan, model: str) -> dict[str, Recipe]:
    """Task -> recipe of the stages that this model is the first to plan."""
    return {
        job.spec.mixture[0].task: job.spec.recipe
        for job in plan.jobs.values()
        if isinstance(job.spec, TrainSpec) and plan.model_of[job.key] == model
    }


def test_equal_models_share_their_jobs(tmp_path: Path):
    plan = planned(tmp_path)
    assert set(plan.model_of.values()) == {"isles"}
    assert {cell.model for cell in plan.cells} == {"isles", "own"}


def test_a_model_overrides_the_study_and_a_row_overrides_the_model(tmp_path: Path):
    plan = planned(tmp_path, "models.1.training={lr: 0.2, warmup_steps: 9, intermediate: {batch_size: 4}}")
    study, own = recipes(plan, "isles"), recipes(plan, "own")
    assert (study["isle-nli"].lr, own["isle-nli"].lr) == (0.1, 0.2)
    assert (own["isle-qa"].batch_size, own["isle-nli"].batch_size) == (4, 8)
    assert own["isle-nli"].epochs == 2  # the study's, since the model sets none
    assert (own["isle-qa"].warmup_steps, own["isle-nli"].warmup_steps) == (5, 9)  # the row is narrower than the model


def test_a_model_overrides_the_sections_of_the_study(tmp_path: Path):
    plan = planned(tmp_path, "models.1.training.epochs=7")
    assert recipes(plan, "own")["isle-nli"].epochs == 7  # and not 2, of training.target


def test_lora_and_early_stopping_are_merged_key_by_key():
    wide = RecipePatch.model_validate(
        {"lora": {"rank": 4, "dropout": 0.1}, "early_stopping": {"eval_steps": 5, "patience": 9}}
    )
    near = RecipePatch.model_validate({"lora": {"rank": 16}, "early_stopping": {"eval_steps": 6}})
    recipe = make_recipe(wide, near)
    assert recipe.lora
    assert (recipe.lora.rank, recipe.lora.dropout) == (16, 0.1)
    assert recipe.early_stopping
    assert (recipe.early_stopping.eval_steps, recipe.early_stopping.patience) == (6, 9)


def test_false_switches_lora_and_early_stopping_off_and_a_nearer_level_on_again():
    wide = RecipePatch.model_validate({"lora": {"rank": 4}, "early_stopping": {"eval_steps": 5}})
    off = RecipePatch.model_validate({"lora": False, "early_stopping": False})
    assert make_recipe(wide, off) == Recipe()
    again = make_recipe(wide, off, RecipePatch.model_validate({"lora": {"alpha": 1.0}}))
    assert again.lora
    assert (again.lora.rank, again.lora.alpha) == (8, 1.0)  # nothing of the level that was switched off


@pytest.mark.parametrize("name", RECIPES)
def test_every_published_recipe_is_valid_on_every_task(name: Any):
    patch = RecipePatch(recipe=name)
    for task in catalog.TASKS:
        recipe = make_recipe(patch, tasks={task.name: task})
        assert recipe.lr in (1e-5, 2e-5, 3e-5, 1e-3)


def recipe_of(name: Any, *tasks: str) -> tuple[Recipe, list[str]]:
    notes: list[str] = []
    return make_recipe(
        RecipePatch(recipe=name), tasks={task: catalog.get(task) for task in tasks}, note=notes.append
    ), notes


def test_published_recipes_have_the_settings_of_the_task():
    # scripts/train_xnli.sh and train_qa.sh of XTREME; jiant's e_run_models.sh; finetune_mt5_tasks.sh
    xnli, notes = recipe_of("xtreme", "xnli")
    assert (xnli.lr, xnli.epochs, xnli.batch_size, xnli.max_length, xnli.weight_decay) == (2e-5, 5, 32, 128, 0)
    assert xnli.early_stopping
    assert xnli.early_stopping.eval_steps == 100
    assert recipe_of("xtreme-large", "xnli")[0].lr == 3e-5
    xquad, _ = recipe_of("xtreme", "xquad")
    assert (xquad.lr, xquad.warmup_steps, xquad.max_length, xquad.early_stopping) == (3e-5, 500, 384, None)
    assert (recipe_of("jiant", "mnli")[0].epochs, recipe_of("jiant", "xnli")[0].epochs) == (3, 2)
    mt5, _ = recipe_of("mt5", "xnli")
    assert (mt5.optimizer, mt5.lr_scheduler_type, mt5.lr, mt5.max_steps, mt5.batch_size) == (
        "adafactor",
        "constant",
        1e-3,
        8000,
        1024,
    )
    assert notes == []


def test_a_recipe_without_settings_for_a_task_has_its_common_ones_and_says_so():
    recipe, notes = recipe_of("xtreme", "isle-nli")
    assert recipe.lr == 2e-5
    assert notes == ["the recipe xtreme has no settings of its own for isle-nli, so its common settings hold there."]
    _, notes = recipe_of("jiant", "xnli", "xquad")
    assert notes == ["the recipe jiant differs between xnli and xquad, so its common settings hold there."]


def test_a_recipe_keeps_the_last_checkpoint_where_nothing_can_be_scored():
    recipe, notes = recipe_of("mt5", "isle-text")
    assert recipe.early_stopping is None
    assert "isle-text cannot be scored on dev data" in notes[-1]


def test_a_published_recipe_can_be_named_at_every_level_and_changed(tmp_path: Path):
    plan = planned(
        tmp_path, "training=jiant", "models.1.training={recipe: mt5, max_steps: 7, max_length: 64}",
        "targets.0.training={batch_size: 16}",
    )  # fmt: skip
    study, own = recipes(plan, "isles"), recipes(plan, "own")
    assert (study["isle-nli"].lr, study["isle-nli"].batch_size) == (1e-5, 16)
    assert study["isle-nli"].max_length == 256
    assert (own["isle-qa"].optimizer, own["isle-qa"].batch_size, own["isle-qa"].max_steps) == ("adafactor", 128, 7)
    plan = planned(tmp_path, "training={lr: 0.1, target: xtreme}")
    assert [recipe.lr for recipe in recipes(plan, "isles").values()] == [2e-5, 0.1]


def test_epochs_override_the_steps_of_a_recipe():
    patch = RecipePatch.model_validate({"recipe": "mt5", "epochs": 2.0})
    assert make_recipe(patch, tasks={"xnli": catalog.get("xnli")}).max_steps is None


def test_a_recipe_does_not_set_the_length_of_retrieval(tmp_path: Path):
    # jiant's 256 tokens are for training; texts of retrieval have the task's own length
    targets = "[{task: isle-retrieval, size: 20, languages: [qto]}]"
    keys = [
        {c.key for c in planned(tmp_path, f"targets={targets}", f"training={t}").cells} for t in ("jiant", "{lr: 0.1}")
    ]
    untrained = [key for key in keys[0] if key in keys[1]]
    assert len(untrained) == 1  # the row without an intermediate task


def test_a_wrong_name_of_a_recipe_is_an_error_with_its_place(tmp_path: Path):
    file = study_file(
        tmp_path, STUDY.replace("{name: own, model: isles}", "{name: own, model: isles, training: xtrem}")
    )
    with pytest.raises(UserError) as error:
        plan_of(file)
    assert f"{file}:3: models.1.training" in str(error.value)
    assert "did you mean 'xtreme'?" in str(error.value)


def test_an_error_about_a_setting_names_the_recipe_that_sets_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"1024 is more than the 512 positions") as error:
        planned(tmp_path, "models.1.training.recipe=mt5")
    assert "models.1.training.recipe" in str(error.value)


def test_pretraining_has_no_published_recipe(tmp_path: Path):
    entry = "[{name: new, pretrain: {text: [{task: isle-text, size: 10}], training: {recipe: mt5}}}]"
    with pytest.raises(UserError, match="the recipe mt5 is for training on labels"):
        planned(tmp_path, f"models={entry}")


def test_a_model_that_the_study_pretrains_has_its_own_recipe_for_stages(tmp_path: Path):
    entry = "[{name: new, pretrain: {text: [{task: isle-text, size: 10}], training: {lr: 0.5}}, training: {lr: 0.3}, engine: {threads: 3}}]"
    plan = planned(tmp_path, f"models={entry}")
    assert {recipe.lr for recipe in recipes(plan, "new").values()} == {0.3}
    assert set(threads_by_job(plan).values()) == {3}


# --- engine -----------------------------------------------------------------------------------------------------------


def test_an_engine_patch_has_every_field_but_device_and_trackers_with_the_same_bounds():
    assert {"device", "report_to", *EnginePatch.model_fields} == set(Engine.model_fields)
    for name, field in EnginePatch.model_fields.items():
        assert field.metadata == Engine.model_fields[name].metadata, name


def test_the_engine_of_a_model_changes_no_key_and_applies_to_its_jobs_only(tmp_path: Path):
    changes = ("models.1.training.lr=0.2", "engine.threads=2")
    before = planned(tmp_path, *changes)
    plan = planned(tmp_path, *changes, "models.1.engine={threads: 3, token_budget: 100}")
    assert list(plan.jobs) == list(before.jobs)
    threads = threads_by_job(plan)
    for key, model in plan.model_of.items():
        assert threads[key] == slots_by_job(plan, gpu=False)[key] == (3 if model == "own" else 2)
        assert plan.engine_of(key).token_budget == (100 if model == "own" else None)


def test_settings_of_a_model_that_do_not_fit_the_study_are_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="fsdp shards a model over several devices") as error:
        planned(tmp_path, "models.1.engine.strategy=fsdp")
    assert "models.1.engine.strategy" in str(error.value)
    with pytest.raises(UserError, match="`per_device_train_batch_size` needs one device"):
        planned(tmp_path, "models.1.engine.devices=2", "training.per_device_train_batch_size=8")


def test_adafactor_and_fsdp_of_one_model_are_refused_where_fsdp_is_set(tmp_path: Path):
    text = STUDY.replace(
        "{name: own, model: isles}",
        "{name: own, model: isles, training: {optimizer: adafactor}, engine: {devices: 2, strategy: fsdp}}",
    )
    file = study_file(tmp_path, text)
    with pytest.raises(UserError, match="Adafactor does not work") as error:
        plan_of(file)
    assert f"{file}:3: models.1.engine.strategy" in str(error.value)


# --- three families in one study --------------------------------------------------------------------------------------


def test_an_encoder_an_mt5_and_a_decoder_with_lora_stand_in_one_study(tmp_path: Path):
    write_family_folders(tmp_path)
    plan = planned(
        tmp_path,
        "models=[{model: encoder, training: xtreme}, {model: seq2seq, training: {recipe: mt5, max_length: 128}}, "
        "{model: decoder, training: {lr: 0.0002, lora: {rank: 2}}, prompt: {num_fewshot: 1}}]",
        "training={max_length: 96}",
    )  # fmt: skip
    kinds = {
        model: {
            (recipe.optimizer, recipe.lr, recipe.lora and recipe.lora.rank) for recipe in recipes(plan, model).values()
        }
        for model in ("encoder", "seq2seq", "decoder")
    }
    assert kinds == {
        "encoder": {("adamw", 2e-5, None)}, "seq2seq": {("adafactor", 1e-3, None)}, "decoder": {("adamw", 2e-4, 2)},
    }  # fmt: skip
    lines = describe_plan_recipes(plan)
    assert any(line.startswith("Training of seq2seq on isle-nli: lr 0.001, batch_size 128") for line in lines)
    assert any(
        line.startswith("Training of decoder")
        and "lora {rank: 2, alpha: 16, dropout: 0, where: linear, quantize: false}" in line
        for line in lines
    )


def test_strict_types_hold_in_recipes_of_models():
    with pytest.raises(ValidationError):
        RecipePatch.model_validate({"recipe": "mt6"})
