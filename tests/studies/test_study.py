"""Validation of studies."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xlift.recipes import Recipe
from xlift.studies.schema.intermediate import Intermediate
from xlift.studies.schema.targets import Target, TargetData
from xlift.studies.schema.training import RecipePatch, make_recipe
from xlift.studies.study import Study, shipped_studies
from xlift.studies.study_file import read_study


def test_a_patch_has_every_field_of_a_recipe_with_the_same_bounds():
    # RecipePatch repeats Recipe with None as the default; a field added to one only would be silently unsettable.
    assert set(RecipePatch.model_fields) == {"recipe", *Recipe.model_fields}
    for name, field in Recipe.model_fields.items():
        if name != "lr":  # a target may list several
            assert RecipePatch.model_fields[name].metadata == field.metadata, name


def test_the_defaults_of_a_recipe_are_part_of_every_key():
    # Options at their default are left out of keys, so a changed default would pass for the old result:
    # whoever changes one must raise RESULT_VERSION (studies/job.py), then this line.
    assert Recipe().model_dump() == {
        "lr": 2e-5, "batch_size": 32, "epochs": 3.0, "max_steps": None, "warmup_steps": 0.1, "weight_decay": 0.01, "adam_beta2": 0.999,
        "adam_epsilon": 1e-8, "max_grad_norm": 1.0, "initializer_range": None, "max_length": None, "early_stopping": None, "eval_steps": None, "retries": 2, "precision": "auto",
        "lr_scheduler_type": "linear", "optimizer": "adamw", "lora": None,
    }  # fmt: skip


def test_later_patches_override_earlier_ones():
    recipe = make_recipe(RecipePatch(lr=0.1, batch_size=8), RecipePatch(lr=0.2), RecipePatch())
    assert (recipe.lr, recipe.batch_size) == (0.2, 8)


def test_nearer_epochs_override_wider_max_steps_but_not_those_beside_them():
    assert make_recipe(RecipePatch(max_steps=10), RecipePatch(epochs=2)).max_steps is None
    assert make_recipe(RecipePatch(max_steps=10), RecipePatch(epochs=2, max_steps=5)).max_steps == 5


def test_the_default_study_is_a_baseline_on_the_shipped_model():
    study = Study(targets=(Target(task="isle-nli"),))
    assert (study.models, study.seeds, study.intermediate) == (("isles",), (1,), ("none",))


@pytest.mark.parametrize("given", [{}, {"task": "a", "mixture": ({"task": "b"},)}, {"name": "x"}])
def test_an_intermediate_has_exactly_one_kind(given: dict):
    with pytest.raises(ValidationError, match="expected one of"):
        Intermediate(**given)


@pytest.mark.parametrize("key", ["language", "split"])
def test_keys_without_effect_beside_a_mixture_are_refused(key: str):
    value = {"language": "qta", "split": "dev"}[key]
    with pytest.raises(ValidationError, match="has no effect beside"):
        Intermediate.model_validate({"name": "x", "mixture": ({"task": "a"},), key: value})


@pytest.mark.parametrize("train", [None, False, TargetData(size=3)])
def test_train_is_absent_false_or_data(train: object):
    assert Target.model_validate({"task": "a", "train": train}).train == train


def test_every_shipped_study_is_valid():
    assert "quickstart" in shipped_studies()
    for name in shipped_studies():
        assert read_study(name).study.name == name
