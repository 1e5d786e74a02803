"""Keys of jobs: equal for equal specs, different for different specs, and stable across versions."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from xlift.recipes import (
    Architecture,
    Lora,
    Masking,
    Noise,
    PromptSettings,
    Recipe,
    Sampling,
    Settings,
    TokenizerRecipe,
)
from xlift.studies.job import (
    RESULT_VERSION,
    Data,
    LayerSpec,
    MergeSpec,
    ModelRef,
    PredictSpec,
    PretrainSpec,
    Spec,
    TextMode,
    TrainSpec,
    job_key,
    make_job,
    result_version,
)
from xlift.tasks.sources.base import canonical_json

DATA = Data(task="isle-nli", language="qta", split="train", size=400, seed=1, fingerprint="f" * 64)
TEXT = Data(task="isle-text", language="qta", split="train", fingerprint="e" * 64)
PRETRAIN = PretrainSpec(
    text=(TEXT,), architecture=Architecture(), tokenizer=TokenizerRecipe(), masking=Masking(), recipe=Recipe(), seed=1
)
TRAIN = TrainSpec(model=ModelRef(fingerprint="a" * 64), mixture=(DATA,), recipe=Recipe(lr=0.001), seed=1)
PREDICT = PredictSpec(model=ModelRef(job="b" * 64), data=DATA, head="isle-nli", options={"layer": 3})
LAYER = LayerSpec(model=ModelRef(fingerprint="a" * 64), data=(DATA,), options={"center": True})
MERGE = MergeSpec(model=ModelRef(fingerprint="a" * 64), merged=("b" * 64, "c" * 64), weights=(0.5, 0.5))
SPECS = {"pretrain": PRETRAIN, "train": TRAIN, "merge": MERGE, "layer": LAYER, "predict": PREDICT}

PINNED = {
    "pretrain": "e2f5574d319dde402774bbe8e050509a3b882f456a1f0b2d47509e60de079915",
    "train": "b4aeb6f87efe166262490fcdc046afd834b855cda7856d8af63d84c22895a5b4",
    "merge": "8ea3616a82a023c191ea5bfaf2eea57959633d7bf3995352158f0f218b78ee54",
    "layer": "d2f3b0844ffc24a236a5a514751cdccbbda661c84b5e7c586f6f3d89178e3615",
    "predict": "333dc8297eb18d7781613c10a51898b4ae5b54c469afe0c6b3ee1cfdfca3408e",
}
"""A change here invalidates all stored results of users: increment RESULT_VERSION if the results differ, else find out what
changed the key."""


@pytest.mark.parametrize("kind", SPECS)
def test_keys_are_pinned(kind: str):
    assert job_key(SPECS[kind]) == PINNED[kind]


OTHER: dict[str, Any] = {
    # a value other than the one in SPECS for every field of every class of settings in a spec
    "text": [{"task": "x", "language": "y", "split": "train", "fingerprint": ""}],
    "tokenizer_text": [{"task": "x", "language": "y", "split": "train", "fingerprint": ""}],
    "mixture": [{"task": "x", "language": "y", "split": "train", "fingerprint": ""}],
    "half_precision": True, "cut": 0.77, "seed": 77, "task": "other", "language": "other", "split": "dev", "size": 77,
    "fingerprint": "0", "max_length": 77, "lr": 0.77, "batch_size": 77, "epochs": 7.7, "max_steps": 77, "warmup_steps": 0.77,
    "weight_decay": 0.77, "adam_beta2": 0.77, "adam_epsilon": 0.77, "max_grad_norm": 7.7, "initializer_range": 0.77, "rule": "uniform", "temperature": 7.7, "cap": 77, "share": 0.77,
    "family": "bert", "layers": 7, "hidden_size": 256, "intermediate_size": 77, "heads": 2, "max_positions": 77,
    "vocabulary": 777, "documents": 777, "keep_heads": ["x"], "head": "other", "options": {"layer": 4},
    "model": {"fingerprint": "0"}, "weights": [0.25, 0.75], "mlm": {"share": 0.2}, "merged": ["x"], "layer_job": "x",
    "dev": [{"task": "x", "language": "y", "split": "dev", "fingerprint": ""}], "early_stopping": {"eval_steps": 77}, "retries": 1,
    "eval_steps": 77, "classifier_pooling": "mean", "lr_choices": [{"lr": 0.77, "job": "x"}],
    "precision": "fp32", "lr_scheduler_type": "constant", "optimizer": "adafactor", "lora": {"rank": 4},
    "noise": {"kind": "typos"}, "text_mode": {"templates": [["x", "0"]]}, "templates": [["x", "0"]], "template": "v7",
    "fewshot_data": [{"task": "x", "language": "y", "split": "train", "fingerprint": ""}], "num_fewshot": 7, "normalize": False, "num_beams": 7,
    "max_new_tokens": 77, "rank": 77, "where": "attention", "instructions": "own", "alpha": 7.7, "dropout": 0.77, "quantize": True, "level": 0.77,
    "words": "x", "into": "qka", "digest": "0", "writes": "text", "revision": 77, "more_steps": 77, "labels": "shuffled",
    "excluded": [{"task": "x", "language": "y", "split": "train", "fingerprint": ""}],
}  # fmt: skip


def changed(settings: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """(place, the settings as a dict with that one value changed) for every field, at every depth."""
    found: list[tuple[str, dict[str, Any]]] = []
    whole = settings.model_dump(mode="json")
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "kind" or isinstance(settings, ModelRef):  # one of its two fields alone is set
            continue
        other = [["query_length", 77]] if isinstance(settings, Data) and name == "options" else OTHER.get(name)
        found.append((f"{path}{name}", whole | {name: other})) if other is not None else None
        inner = value[0] if isinstance(value, tuple) and value and isinstance(value[0], Settings) else value
        if isinstance(inner, Settings):
            for place, dump in changed(inner, f"{path}{name}."):
                found.append((place, whole | {name: [dump] if isinstance(value, tuple) else dump}))
    return found


TEXT_MODE_TRAIN = TRAIN.model_copy(
    update={
        "text_mode": TextMode(fewshot_data=(DATA,)),
        "mixture": (DATA.model_copy(update={"noise": Noise(kind="case")}),),
        "recipe": Recipe(lora=Lora()),
    }
)
"""With a value for what is None in the others."""
ALL = {**SPECS, "text-mode": TEXT_MODE_TRAIN}
CHANGES = [(kind, place, dump) for kind, spec in ALL.items() for place, dump in changed(spec)]


@pytest.mark.parametrize(("kind", "place", "dump"), CHANGES, ids=[f"{kind}.{place}" for kind, place, _ in CHANGES])
def test_every_field_is_in_the_key(kind: str, place: str, dump: dict[str, Any]):
    spec = ALL[kind]
    assert job_key(type(spec).model_validate(dump)) != job_key(spec)


def test_the_table_above_has_every_field():
    classes = (
        Data,
        ModelRef,
        PretrainSpec,
        TrainSpec,
        PredictSpec,
        MergeSpec,
        TextMode,
        PromptSettings,
        Lora,
        Noise,
        Recipe,
        Sampling,
        Architecture,
        Masking,
        TokenizerRecipe,
    )
    fields = {name for each in classes for name in each.model_fields} - {"kind"}
    assert fields - set(OTHER) == {
        "data",
        "architecture",
        "tokenizer",
        "masking",
        "recipe",
        "sampling",
        "prompt",
        "job",
    }  # classes themselves
    assert {place.split(".")[-1] for _, place, _ in CHANGES} == set(OTHER)


def test_what_a_job_starts_from_and_the_order_of_merged_models_are_in_the_key():
    starts = (ModelRef(job="a"), ModelRef(job="b"), ModelRef(fingerprint="a"))
    keys = [job_key(PREDICT.model_copy(update={"model": start})) for start in starts]
    keys += [job_key(PREDICT.model_copy(update={"model": starts[0], "layer_job": "b"}))]
    keys += [job_key(MERGE.model_copy(update={"merged": merged})) for merged in (("a", "b"), ("b", "a"))]
    assert len(set(keys)) == 6


@pytest.mark.parametrize("given", [{}, {"job": "a", "fingerprint": "b"}])
def test_a_start_is_either_an_artifact_or_a_pretrained_model(given: dict[str, str]):
    with pytest.raises(ValidationError):
        ModelRef(**given)


def test_parents_are_all_jobs_that_a_job_reads():
    def parents(spec: Spec) -> tuple[str, ...]:
        return make_job(spec, "", 1).parents

    assert parents(PRETRAIN) == parents(TRAIN) == ()
    assert parents(PREDICT.model_copy(update={"layer_job": "l"})) == ("b" * 64, "l")
    assert parents(MERGE) == ("b" * 64, "c" * 64)
    assert parents(MERGE.model_copy(update={"model": ModelRef(job="a")})) == ("a", "b" * 64, "c" * 64)


def test_a_new_option_at_its_default_does_not_change_keys():
    class LaterRecipe(Recipe):
        label_smoothing: float = 0.0

    class LaterTrainSpec(TrainSpec):
        recipe: LaterRecipe
        augment: str = ""
        more: tuple[str, ...] = Field(default=())

    later = LaterTrainSpec.model_validate(TRAIN.model_dump() | {"recipe": TRAIN.recipe.model_dump()})
    assert job_key(later) == job_key(TRAIN)
    used = later.model_copy(update={"recipe": LaterRecipe(lr=0.001, label_smoothing=0.1)})
    assert job_key(used) != job_key(TRAIN)


def test_an_explicit_default_does_not_change_the_key():
    assert job_key(TRAIN.model_copy(update={"recipe": Recipe(lr=0.001, epochs=3, batch_size=32)})) == job_key(TRAIN)


numbers = st.floats(min_value=1e-9, max_value=10, exclude_min=True)
specs = st.builds(
    TrainSpec,
    model=st.builds(ModelRef, fingerprint=st.text(min_size=1)),
    mixture=st.lists(
        st.builds(
            Data, task=st.text(), language=st.text(), split=st.just("train"), size=st.none() | st.integers(1, 10**9),
            seed=st.integers(0, 2**32 - 1), fingerprint=st.text(max_size=5), max_length=st.integers(8, 512),
        ),
        max_size=3,
    ),
    recipe=st.builds(Recipe, lr=numbers, epochs=numbers, batch_size=st.integers(1, 999)),
    sampling=st.builds(Sampling, temperature=numbers, cap=st.none() | st.integers(1, 999)),
    keep_heads=st.lists(st.text(), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip


def written(spec: Spec) -> str:
    return canonical_json(spec.model_dump(mode="json", exclude_defaults=True))


@given(specs)
def test_a_spec_survives_its_canonical_json(spec: TrainSpec):
    # What a manifest holds is enough to know the job again, to the last digit.
    assert TrainSpec.model_validate(json.loads(written(spec))) == spec
    assert job_key(TrainSpec.model_validate(json.loads(written(spec)))) == job_key(spec)


@given(specs, specs)
def test_keys_are_equal_exactly_when_specs_are(one: TrainSpec, other: TrainSpec):
    assert (job_key(one) == job_key(other)) == (one == other)


def test_mt5_has_its_own_result_version_in_pretraining():
    mt5 = PRETRAIN.model_copy(update={"architecture": Architecture(family="mt5")})
    bert = PRETRAIN.model_copy(update={"architecture": Architecture(family="bert")})
    assert (result_version(mt5), result_version(bert)) == (2, RESULT_VERSION["pretrain"])
    content = {
        "kind": "pretrain",
        "version": 1,
        "spec": mt5.model_dump(mode="json", exclude_defaults=True),
    }
    assert job_key(mt5) != hashlib.sha256(canonical_json(content).encode()).hexdigest()
