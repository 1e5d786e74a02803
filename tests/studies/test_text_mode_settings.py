"""Models in text mode: their settings in a study, and what the keys of their jobs cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fakes import plan_of, study_file
from tests.support.model_folders import write_family_folders

from xlift.recipes import PromptSettings
from xlift.studies.job import Data, PredictSpec, TextMode, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.record import make_record
from xlift.studies.schema.training import PromptSettingsPatch, make_prompt_settings
from xlift.studies.study_file import read_study
from xlift.tasks.prompts import template_digest

STUDY = """\
models: [{name: it, model: decoder}]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, size: 20, languages: [qta, qto]}
"""
PROMPTED = "  - {task: isle-nli, name: prompted, train: false, size: 20, languages: [qto]}\n"


def planned(folder: Path, text: str = STUDY, *changes: str) -> Plan:
    return plan_of(study_file(write_family_folders(folder), text), *changes)


def trained(plan: Plan) -> list[TrainSpec]:
    return [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]


def predicted(plan: Plan, target: str) -> list[PredictSpec]:
    keys = dict.fromkeys(cell.key for cell in plan.cells if cell.target == target)
    return [spec for key in keys if isinstance(spec := plan.jobs[key].spec, PredictSpec)]


def mode_of(spec: TrainSpec | PredictSpec) -> TextMode:
    assert spec.text_mode is not None
    return spec.text_mode


def test_a_patch_has_every_prompt_setting_with_the_same_bounds():
    assert set(PromptSettingsPatch.model_fields) == set(PromptSettings.model_fields)
    for name, field in PromptSettings.model_fields.items():
        assert PromptSettingsPatch.model_fields[name].metadata == field.metadata, name


def test_later_patches_override_earlier_ones():
    settings = make_prompt_settings(
        PromptSettingsPatch(num_fewshot=1, num_beams=2), PromptSettingsPatch(num_fewshot=2), PromptSettingsPatch()
    )
    assert (settings.num_fewshot, settings.num_beams) == (2, 2)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("encoder", False),
        ("decoder", True),
        ("seq2seq", True),
        ("{model: decoder, mode: head}", False),
        ("{model: seq2seq, mode: text}", True),
    ],
)
def test_decoders_and_encoder_decoder_models_default_to_text_mode(tmp_path: Path, model: str, words: bool):
    plan = planned(tmp_path, STUDY.replace("{name: it, model: decoder}", model))
    specs = [*trained(plan), *predicted(plan, "isle-nli")]
    assert {spec.text_mode is not None for spec in specs} == {words}
    assert {spec.head for spec in predicted(plan, "isle-nli")} == {"" if words else "isle-nli"}


@pytest.mark.parametrize(("family", "words"), [("qwen3", True), ("mt5", True), ("bert", False)])
def test_a_pretrained_model_has_the_family_of_its_architecture(tmp_path: Path, family: str, words: bool):
    model = f"{{name: it, pretrain: {{text: [{{task: isle-text, size: 9}}], architecture: {{family: {family}}}}}}}"
    plan = planned(tmp_path, STUDY.replace("{name: it, model: decoder}", model))
    assert {spec.text_mode is not None for spec in trained(plan)} == {words}


def test_keys_cover_the_templates(tmp_path: Path):
    plan = planned(tmp_path, STUDY, "prompt.normalize=false")
    nli, qa = plan.tasks["isle-nli"], plan.tasks["isle-qa"]
    settings = PromptSettings(normalize=False)
    for spec in predicted(plan, "isle-nli"):
        assert mode_of(spec) == TextMode(prompt=settings, templates=(("isle-nli", template_digest(nli, settings)),))
    assert {mode_of(spec).templates for spec in trained(plan)} == {
        (("isle-nli", template_digest(nli, settings)),), (("isle-qa", template_digest(qa, settings)),),
    }  # fmt: skip


def test_a_mixture_has_the_template_of_each_of_its_tasks(tmp_path: Path):
    row = "{name: both, mixture: [{task: isle-qa, language: [qta, qto], size: 9}, {task: isle-nli, size: 9}]}"
    plan = planned(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", row))
    (spec,) = (spec for spec in trained(plan) if len(spec.mixture) == 3)
    assert [name for name, _ in mode_of(spec).templates] == ["isle-nli", "isle-qa"]


def test_decoding_settings_do_not_change_training(tmp_path: Path):
    before, after = planned(tmp_path), planned(tmp_path, STUDY, "prompt={normalize: false, num_beams: 4}")
    assert trained(before) == trained(after)
    assert {cell.key for cell in before.cells}.isdisjoint(cell.key for cell in after.cells)


def test_prompt_settings_of_study_model_and_target_combine(tmp_path: Path):
    text = STUDY.replace("model: decoder", "model: decoder, prompt: {num_fewshot: 2}") + PROMPTED.replace(
        "size: 20", "size: 20, prompt: {num_fewshot: 4}"
    )
    plan = planned(tmp_path, text, "prompt={num_beams: 3, num_fewshot: 1}")
    counts = {t: {(mode_of(s).prompt.num_fewshot, mode_of(s).prompt.num_beams) for s in predicted(plan, t)} for t in ("isle-nli", "prompted")}  # fmt: skip
    assert counts == {"isle-nli": {(2, 3)}, "prompted": {(4, 3)}}


# --- prompting --------------------------------------------------------------------------------------------------------


def test_an_untrained_model_is_predicted_too(tmp_path: Path):
    plan = planned(tmp_path, STUDY + PROMPTED, "seeds=[1, 2]")
    cells = [cell for cell in plan.cells if cell.target == "prompted" and cell.intermediate == "none"]
    assert [cell.seed for cell in cells] == [1, 2]
    assert len({cell.key for cell in cells}) == 1  # nothing is drawn, so seeds do not differ
    job = plan.jobs[cells[0].key]
    assert isinstance(job.spec, PredictSpec)
    assert job.parents == ()
    assert job.spec.model.fingerprint
    after = [cell for cell in plan.cells if cell.target == "prompted" and cell.intermediate == "isle-qa"]
    assert {plan.jobs[job.start.job].kind for cell in after if (job := plan.jobs[cell.key]).start} == {"train"}


def test_fewshot_examples_differ_by_seed_and_are_in_the_source_language(tmp_path: Path):
    plan = planned(tmp_path, STUDY + PROMPTED.replace("size: 20", "size: 20, prompt: {num_fewshot: 4}"), "seeds=[1, 2]")
    cells = [cell for cell in plan.cells if cell.target == "prompted" and cell.intermediate == "none"]
    specs = [plan.jobs[cell.key].spec for cell in cells]
    shown = [data for spec in specs if isinstance(spec, PredictSpec) for data in mode_of(spec).fewshot_data]
    assert [(d.task, d.language, d.split, d.size, d.seed) for d in shown] == [
        ("isle-nli", "qta", "train", 64, 1), ("isle-nli", "qta", "train", 64, 2),
    ]  # fmt: skip


def test_fewshot_examples_of_a_trained_target_come_from_its_training_data(tmp_path: Path):
    text = STUDY.replace("{size: 50}", "{task: isle-nli-balanced, language: qtu, size: 500}")
    for spec in predicted(planned(tmp_path, text, "prompt.num_fewshot=2"), "isle-nli"):
        assert [(data.task, data.language) for data in mode_of(spec).fewshot_data] == [("isle-nli-balanced", "qtu")]


def test_fewshot_data_is_in_the_record(tmp_path: Path):
    path = study_file(write_family_folders(tmp_path), STUDY.partition("targets")[0] + "targets:\n" + PROMPTED)
    file = read_study(str(path), ("prompt.num_fewshot=2", "intermediate=[none]"))
    plan = plan_of(path, "prompt.num_fewshot=2", "intermediate=[none]")
    assert make_record(file, plan).tasks["isle-nli"].origins == ("isles",)


def test_retrieval_uses_hidden_states_in_both_modes(tmp_path: Path):
    plan = planned(tmp_path, STUDY + "  - {task: isle-retrieval, languages: [qto], size: 20}\n")
    assert not any(spec.text_mode for spec in predicted(plan, "isle-retrieval"))


# --- keys -------------------------------------------------------------------------------------------------------------

PARTS = [
    ("prompt.template", ["v1"]), ("prompt.num_fewshot", [1, 2]), ("prompt.normalize", ["false"]), ("prompt.num_beams", [2, 3]),
    ("prompt.max_new_tokens", [4, 9]), ("training.lr_scheduler_type", ["constant"]), ("training.optimizer", ["adafactor"]),
    ("training.lora", ["{rank: 4}", "{rank: 4, alpha: 2}", "{rank: 4, where: attention}", "{rank: 4, dropout: 0.5}"]),
    ("targets.0.noise", ["{kind: typos}", "{kind: typos, level: 0.2}", "{kind: typos, seed: 3}", "{kind: case}"]),
]  # fmt: skip
CHANGES = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in PARTS})


@given(changes=CHANGES, others=CHANGES)
def test_predictions_have_equal_keys_exactly_when_their_settings_are_equal(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], others: dict[str, Any]
):
    folder = tmp_path_factory.getbasetemp() / "words"
    text = STUDY.replace("  - {task: isle-qa, size: 100}\n", "")

    def keys(given: dict[str, Any]) -> list[str]:
        return [cell.key for cell in planned(folder, text, *(f"{k}={v}" for k, v in given.items())).cells]

    def meant(given: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in given.items() if (key, value) != ("prompt.template", "v1")}

    assert (keys(changes) == keys(others)) == (meant(changes) == meant(others))


def test_the_name_of_data_has_its_noise():
    data = Data(task="t", language="x", split="test", fingerprint="")
    from xlift.recipes import Noise

    assert data.name() == "t/x"
    assert data.model_copy(update={"noise": Noise(kind="typos")}).name() == "t/x/typos 10%"
