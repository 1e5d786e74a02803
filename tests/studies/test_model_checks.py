"""Plans against the files of a model: positions, special tokens, damaged and missing files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fakes import plan_of
from tests.support.model_folders import DECODER, ENCODER, write_model_folder

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study

STUDY = """\
models: [m]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, size: 20}
"""


def refused(folder: Path, text: str) -> str:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        plan_of(folder / "study.yaml")
    assert error.value.fix
    return str(error.value).replace(f"{folder}/", "")


def drop_token(folder: Path, role: str) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config[role]
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("training", "place"),
    [
        ("training: {max_length: 513}", "7: training.max_length"),
        ("training: {target: {max_length: 600}}", "7: training.target.max_length"),
        ("training: {intermediate: {max_length: 600}}", "7: training.intermediate.max_length"),
    ],
)
def test_rows_longer_than_the_positions_are_refused(tmp_path: Path, training: str, place: str):
    write_model_folder(tmp_path / "m", ENCODER)
    said = refused(tmp_path, STUDY + training + "\n")
    assert said.startswith(f"study.yaml:{place}: max_length ")
    assert "is more than the 512 positions of m\n  set it to at most 512." in said  # XLM-R's first position is 2


def test_rows_as_long_as_the_positions_are_planned(tmp_path: Path):
    write_model_folder(tmp_path / "m", ENCODER)
    (tmp_path / "study.yaml").write_text(STUDY + "training: {max_length: 512}\n")
    assert plan_of(tmp_path / "study.yaml").jobs


def test_rows_of_retrieval_are_not_longer_than_the_positions(tmp_path: Path):
    write_model_folder(tmp_path / "m", ENCODER)
    target = "  - {task: isle-retrieval, training: {max_length: 600}}\n"
    said = refused(tmp_path, STUDY.partition("  - {task: isle-nli")[0] + target)
    assert said.startswith("study.yaml:6: targets.0.training.max_length: max_length 600 is more")


def test_masked_text_needs_a_mask_token(tmp_path: Path):
    drop_token(write_model_folder(tmp_path / "m", ENCODER), "mask_token")
    said = refused(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", "{task: isle-text, size: 9}"))
    assert said.startswith(
        "study.yaml:4: intermediate.1: masked language modelling needs a mask token, and the tokenizer of m"
    )


def test_masked_text_needs_a_tied_decoder(tmp_path: Path):
    write_model_folder(tmp_path / "m", ENCODER | {"tie_word_embeddings": False})
    said = refused(tmp_path, STUDY.replace("size: 100", "size: 100, text: {task: isle-text, share: 0.1}"))
    assert "m does not predict tokens with its input embeddings" in said


def test_text_mode_needs_an_end_token(tmp_path: Path):
    drop_token(write_model_folder(tmp_path / "m", DECODER), "eos_token")
    said = refused(tmp_path, STUDY)
    assert said.startswith("study.yaml:1: models.0: text mode needs an end token, and the tokenizer of m has none")
    (tmp_path / "study.yaml").write_text(STUDY.replace("[m]", "[{model: m, mode: head}]"))
    assert plan_of(tmp_path / "study.yaml").jobs


def estimated(folder: Path) -> list[str]:
    """Warnings of a plan that is not to run here."""
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return make_plan(read_study(str(folder / "study.yaml")), to_run=False).warnings


def test_damaged_files_are_refused_even_if_the_plan_is_only_estimated(tmp_path: Path):
    weights = write_model_folder(tmp_path / "m", ENCODER) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(UserError, match="the file is cut"):
        estimated(tmp_path)


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors"])
def test_missing_files_are_a_warning_if_the_plan_is_only_estimated(tmp_path: Path, missing: str):
    (write_model_folder(tmp_path / "m", ENCODER) / missing).unlink()
    (warning,) = estimated(tmp_path)
    assert "so it cannot be run here" in warning
    refused(tmp_path, STUDY)


def test_a_model_of_the_hub_is_estimated_by_the_files_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    folder = write_model_folder(tmp_path / "0123abc", ENCODER)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"x": "model-00001-of-00001.safetensors"}}  # fetched, unlike its shards
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    text = STUDY.replace("[m]", "[org/m]")
    (tmp_path / "study.yaml").write_text(text)
    assert not make_plan(read_study(str(tmp_path / "study.yaml")), to_run=False).warnings
    (folder / "config.json").write_text(json.dumps(ENCODER | {"hidden_size": "32"}))
    with pytest.raises(UserError, match="`hidden_size` is the text '32'"):
        make_plan(read_study(str(tmp_path / "study.yaml")), to_run=False)
