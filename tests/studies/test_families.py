"""Jobs that a family of models cannot do: the plan refuses them with the place, the reason and a fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import plan_of, study_file
from tests.support.model_folders import family_folder, write_family_folders

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study

STUDY = """\
models: [MODEL]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, size: 20}
"""
HEADS = "{model: decoder, mode: head}"
QA = "{task: isle-qa, size: 100}"
NLI = "{task: isle-nli, train: {size: 50}, size: 20}"
TWO = "{name: two, stages: [{mixture: [{task: isle-qa}]}, {mixture: [{task: isle-qa}], keep_heads: [isle-qa]}]}"

WRONG = {
    "text mode for an encoder": ("{model: encoder, mode: text}", "", "", "1: models.0.mode: encoder is an encoder, which generates no text", "decoder"),
    "prompt of an encoder": ("{model: encoder, prompt: {num_fewshot: 2}}", "", "", "1: models.0.prompt: `prompt` has no effect for encoder, which is in head mode", "remove"),
    "prompt in head mode": ("{model: decoder, mode: head, prompt: {num_fewshot: 2}}", "", "", "1: models.0.prompt: `prompt` has no effect for decoder", "mode: text"),
    "prompt without a model in text mode": ("encoder", NLI, NLI[:-1] + ", prompt: {num_fewshot: 2}}", "6: targets.0.prompt: `prompt` has no effect: no model", "decoder"),
    "no training with heads": ("encoder", "{size: 50}", "false", "6: targets.0.train: isle-nli cannot be scored without training: the head of encoder", "models in text mode"),
    "no training of a decoder with heads": (HEADS, "{size: 50}", "false", "6: targets.0.train: isle-nli cannot be scored without training", "models in text mode"),
    "pooling of an encoder": ("{model: encoder, classifier_pooling: mean}", "", "", "1: models.0.classifier_pooling: `classifier_pooling` has no effect for encoder, which is an encoder", "remove"),
    "pooling of an encoder-decoder model": ("{model: seq2seq, mode: head, classifier_pooling: mean}", "", "", "1: models.0.classifier_pooling: `classifier_pooling` has no effect for seq2seq, which is an encoder-decoder", "remove"),
    "pooling in text mode": ("{model: decoder, classifier_pooling: last}", "", "", "1: models.0.classifier_pooling: `classifier_pooling` has no effect for decoder, which is in text mode", "mode: head"),
    "pooling of a pretrained encoder": ("{name: it, classifier_pooling: mean, pretrain: {text: [{task: isle-text, size: 9}]}}", "", "", "1: models.0.classifier_pooling: `classifier_pooling` has no effect for it, which is an encoder", "remove"),
    "pooling without a head that pools": (HEADS[:-1] + ", classifier_pooling: mean}", NLI, "{task: isle-pos, train: {size: 50}, size: 20}", "1: models.0.classifier_pooling: `classifier_pooling: mean` has no effect: no task of the study", "remove"),
    "an unknown pooling": (HEADS[:-1] + ", classifier_pooling: cls}", "", "", "1: models.0.classifier_pooling: expected ", ""),
    "masking in a decoder": ("decoder", QA, "{task: isle-text, size: 9, masking: {share: 0.2}}", "4: intermediate.1.masking: `masking` has no effect for decoder, a decoder, which learns to predict the next token", "remove"),
    "text in an encoder-decoder model without sentinels": ("seq2seq", "size: 100", "size: 100, text: {task: isle-text, share: 0.1}", "4: intermediate.1: seq2seq learns from text by writing the spans that are cut out, and its tokenizer has no sentinel", "mT5"),
    "writes of an encoder": ("{name: it, pretrain: {text: [{task: isle-text, size: 9}], writes: text}}", "", "", "1: models.0.pretrain.writes: `writes` has no effect for modernbert", "remove"),
    "masking of a pretrained decoder": ("{name: it, pretrain: {text: [{task: isle-text, size: 9}], architecture: {family: qwen3}, masking: {share: 0.2}}}", "", "", "1: models.0.pretrain.masking: `masking` has no effect for qwen3", "remove"),
    "LoRA in pretraining": ("{name: it, pretrain: {text: [{task: isle-text, size: 9}], training: {lora: {rank: 2}}}}", "", "", "1: models.0.pretrain.training.lora: LoRA needs pretrained weights", "remove"),
    "a dual encoder in text mode": ("decoder", QA, "{task: isle-answer-pairs, size: 9}", "4: intermediate.1: isle-answer-pairs is dual-encoding, which needs a head, and decoder is in text mode", "mode: head"),
    "keep_heads in text mode": ("decoder", QA, TWO, "4: intermediate.1.stages.1.keep_heads: `keep_heads` has no effect for decoder", "mode: head"),
    "a shared head in text mode": ("decoder", "size: 100", "size: 100, head: one", "4: intermediate.1.head: `head` has no effect for decoder", "mode: head"),
    "the first token of a decoder": (HEADS, NLI, "{task: isle-retrieval, options: {pooling: cls}}", "6: targets.0.options.pooling: decoder is a decoder, whose first token", "mean"),
    "a layer that is not there": ("seq2seq", NLI, "{task: isle-retrieval, options: {layer: 3}}", "6: targets.0.options.layer: there is no layer 3: the encoder of seq2seq has 2", "0"),
    "prompt of retrieval": ("seq2seq", NLI, "{task: isle-retrieval, prompt: {num_fewshot: 2}}", "6: targets.0.prompt: isle-retrieval is retrieval, which is scored by hidden states", "remove"),
    "no such template": ("decoder", NLI, NLI[:-1] + ", prompt: {template: v77}}", "6: targets.0.prompt: task 'isle-nli': no template 'v77'", "v1"),
    "too many few-shot examples": ("decoder", NLI, NLI[:-1] + ", prompt: {num_fewshot: 33}}", "6: targets.0.prompt.num_fewshot: expected 32 or less, found 33", ""),
}  # fmt: skip


def refused(folder: Path, text: str, *changes: str, to_run: bool = True) -> str:
    path = study_file(write_family_folders(folder), text)
    with pytest.raises(UserError) as error:
        make_plan(read_study(str(path), changes), to_run=to_run)
    assert error.value.fix
    return str(error.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("case", WRONG)
def test_jobs_that_a_family_cannot_do_are_refused(tmp_path: Path, case: str):
    model, old, new, begins, fix = WRONG[case]
    text = STUDY.replace("MODEL", model)
    assert not old or text.count(old) == 1
    message = refused(tmp_path, text.replace(old, new) if old else text)
    assert message.startswith(f"study.yaml:{begins}")
    assert fix in message


def test_jobs_refused_for_one_family_are_planned_for_another(tmp_path: Path):
    for model, row in (("encoder", "{task: isle-text, size: 9}"), (HEADS, "{task: isle-answer-pairs, size: 9}"), ("encoder", TWO)):  # fmt: skip
        assert plan_of(study_file(write_family_folders(tmp_path), STUDY.replace("MODEL", model).replace(QA, row))).jobs


@pytest.mark.parametrize(
    ("model", "why"), [("encoder", "encoder is an encoder"), (HEADS, "decoder is in head mode"), ("decoder", "")]
)
def test_translation_needs_text_mode(tmp_path: Path, model: str, why: str):
    data = Path(__file__).parents[1] / "tasks/samples"
    target = "{task: flores200-to-en, train: false, languages: [sw], split: dev}"
    path = study_file(write_family_folders(tmp_path), STUDY.replace("MODEL", model).replace(NLI, target))
    changes = ("intermediate=[none]",)
    if not why:
        assert plan_of(path, *changes, data=_native(data)).cells
        return
    with pytest.raises(UserError, match=f"translation, which needs text mode, and {why}") as error:
        plan_of(path, *changes, data=_native(data))
    assert "study.yaml:6: targets.0.train" in str(error.value)


def _native(samples: Path) -> Path:
    """The folder of a sample of one task, in the authors' layout."""
    return samples / "flores200-to-en" / "native"


# --- missing hardware and weights, and limits of fsdp -------------------------------------------------------------------


def test_quantize_needs_a_gpu_to_run_and_warns_in_an_estimate(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = STUDY.replace("MODEL", "decoder") + "training:\n  lora: {quantize: true}\n"
    message = refused(tmp_path, text)
    assert message.startswith("study.yaml:8: training.lora: `quantize: true` needs an NVIDIA GPU")
    plan = make_plan(read_study(str(tmp_path / "study.yaml")), to_run=False)
    assert any("`quantize: true` needs an NVIDIA GPU" in warning for warning in plan.warnings)
    assert len(plan.warnings) == 1


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ("{optimizer: adafactor}", "Adafactor does not work with `strategy: fsdp`"),
        ("{lora: {quantize: true}}", "4-bit"),
    ],
)
def test_settings_that_do_not_work_with_fsdp(tmp_path: Path, training: str, expected: str):
    text = STUDY.replace("MODEL", "decoder") + f"training: {training}\nengine:\n  {{devices: 2, strategy: fsdp}}\n"
    message = refused(tmp_path, text, to_run=False)
    assert message.startswith("study.yaml:9: engine.strategy: ")
    assert expected in message


def test_a_model_without_weights_can_be_estimated_but_not_run(tmp_path: Path):
    text = STUDY.replace("MODEL", "bare")
    family_folder(tmp_path / "bare", "decoder", weights=False)
    assert refused(tmp_path, text).startswith("study.yaml:1: models.0: 'bare' has no safetensors weights")
    plan = make_plan(read_study(str(tmp_path / "study.yaml")), to_run=False)
    (warning,) = plan.warnings
    assert "study.yaml:1: models.0: 'bare' has a config.json and no weights" in warning


def test_an_unreadable_config_is_an_error(tmp_path: Path):
    write_family_folders(tmp_path)
    (tmp_path / "decoder/config.json").write_text("{", encoding="utf-8")
    path = study_file(tmp_path, STUDY.replace("MODEL", "decoder"))
    with pytest.raises(UserError, match="config cannot be read"):
        plan_of(path)
