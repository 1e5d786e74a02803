"""What a check of a model folder refuses: each kind of damage, with its file, its reason and a way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_folders import DECODER, ENCODER, SEQ2SEQ, write_model_folder, write_weights

from xlift.errors import UserError
from xlift.model_files import check_model_folder
from xlift.model_files.tensors import required_tensors

Damage = Callable[[Path], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "m", ENCODER)


def refused(folder: Path, **options: bool) -> str:
    with pytest.raises(UserError) as error:
        check_model_folder(folder, **options)
    return f"{error.value}".replace(f"{folder.parent}/", "")


def edit(name: str, **values: Any) -> Damage:
    """Set values in a JSON file; None removes a key."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def write(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def cut(name: str, by: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-by])


def weights(change: Callable[[dict[str, Any]], Any], config: dict[str, Any] = ENCODER) -> Damage:
    """Write weights with other tensors than those of the config."""

    def damage(folder: Path) -> None:
        required = required_tensors(config)
        assert required
        shapes: dict[str, Any] = dict(required.tensors)
        change(shapes)
        write_weights(folder / "model.safetensors", shapes)

    return damage


def rename_weights(name: str) -> Damage:
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
WORDS = "embeddings.word_embeddings.weight"

REFUSED: dict[str, tuple[Damage, str, str]] = {
    "no config": (remove("config.json"), "'m' is not a model: it has no config.json", "save_pretrained"),
    "config cut": (cut("config.json", 9), "m/config.json: the model's config cannot be read: it is not valid JSON", "again"),
    "config a list": (write("config.json", b"[]"), "m/config.json: the model's config cannot be read: expected a JSON object, found a list", "again"),
    "config without type": (edit("config.json", model_type=None), "m/config.json: it has no `model_type`", "save_pretrained"),
    "unknown type": (edit("config.json", model_type="xlm-robertta"), "m/config.json: a model of type 'xlm-robertta' is not", "did you mean 'xlm-roberta'"),
    "type with code": (edit("config.json", model_type="own", auto_map={"AutoModel": "x.Y"}), "need code of their repository", "transformers itself"),
    "images and text": (edit("config.json", text_config={"x": 1}), "is a model of images and text", "language_model"),
    "quantized": (edit("config.json", quantization_config={"bits": 4}), "the weights are quantized", "made from"),
    "no size": (edit("config.json", hidden_size=None), "m/config.json: it has no `hidden_size`", "again"),
    "size as text": (edit("config.json", hidden_size="32"), "m/config.json: `hidden_size` is the text '32', expected a whole number above 0", ""),
    "size as bool": (edit("config.json", num_hidden_layers=True), "`num_hidden_layers` is true, expected", ""),
    "no layers": (edit("config.json", num_hidden_layers=0), "`num_hidden_layers` is the number 0, expected", ""),
    "heads": (edit("config.json", num_attention_heads=5), "`hidden_size` 32 is not a multiple of `num_attention_heads` 5", ""),
    "padding outside": (edit("config.json", pad_token_id=500), "`pad_token_id` 500 is not below `vocab_size` 500", ""),
    "dropout": (edit("config.json", hidden_dropout_prob=2), "`hidden_dropout_prob` is the number 2, expected a number from 0 to 1", ""),
    "no weights": (remove("model.safetensors"), "'m' has no safetensors weights", "model.safetensors"),
    "empty": (write("model.safetensors", b""), "m/model.safetensors: the file is empty", "again"),
    "Git LFS pointer": (write("model.safetensors", LFS), "m/model.safetensors: it is a Git LFS pointer", "git lfs pull"),
    "tokenizer a pointer": (write("tokenizer.json", LFS), "m/tokenizer.json: it is a Git LFS pointer", "git lfs pull"),
    "web page": (write("model.safetensors", b"<!DOCTYPE html><html>"), "m/model.safetensors: it is a web page", "/resolve/"),
    "pickle": (write("model.safetensors", b"PK\x03\x04data"), "m/model.safetensors: it holds pickled weights", "xlift convert"),
    "zeros": (write("model.safetensors", b"\0" * 50), "begins with zeros", "again"),
    "cut": (cut("model.safetensors", 100), "m/model.safetensors: the file is cut: it has ", "again"),
    "cut in the header": (lambda f: write("model.safetensors", (f / "model.safetensors").read_bytes()[:200])(f), "the file is cut", "again"),
    "longer": (lambda f: write("model.safetensors", (f / "model.safetensors").read_bytes() + b"x" * 7)(f), "bytes, 7 more than its header says", "again"),
    "other name": (rename_weights("weights.safetensors"), "'m' has no model.safetensors and no model.safetensors.index.json, only weights", "expected"),
    "shards without index": (rename_weights("model-00001-of-00002.safetensors"), "and no model.safetensors.index.json, only model-00001", "index"),
    "missing tensor": (weights(lambda t: t.pop("encoder.layer.1.output.dense.bias")), "1 tensors missing, 0 too many, for instance encoder.layer.1.output.dense.bias", "different models"),
    "fewer layers": (edit("config.json", num_hidden_layers=1), "0 tensors missing, 16 too many", "different models"),
    "other model": (weights(lambda t: [t.pop(name) for name in list(t)]), "tensors missing", "of another model"),
    "vocabulary": (weights(lambda t: t.update({WORDS: (400, 32)})), f"{WORDS} is 400 x 32, and config.json makes it 500 x 32 (`vocab_size`)", "different models"),
    "width": (edit("config.json", intermediate_size=63), "(`intermediate_size`)", "different models"),
    "no tokenizer": (remove("tokenizer.json"), "m: the folder has no tokenizer.json", "tokenizer's files"),
    "tokenizer cut": (cut("tokenizer.json", 20), "m/tokenizer.json: it is not valid JSON", "again"),
    "tokenizer of another kind": (write("tokenizer.json", b'{"model": {"type": "Other"}}'), "m/tokenizer.json: the tokenizer cannot be read", "tokenizers"),
    "no padding": (edit("tokenizer_config.json", pad_token=None, eos_token=None), "no padding token and no end token", "pad_token"),
    "token a number": (edit("tokenizer_config.json", mask_token=3), "m/tokenizer_config.json: `mask_token` is the number 3", ""),
    "heads cut": (write("heads.json", b"{"), "m/heads.json: its heads cannot be read", ""),
    "heads without kind": (write("heads.json", b'{"nli": {}}'), "m/heads.json: its heads cannot be read: 'nli'", ""),
    "heads without weights": (write("heads.json", b'{"nli": {"kind": "sequence", "labels": []}}'), "m/heads.safetensors: it cannot be read: No such file", ""),
    "adapter": (write("adapter_config.json", b'{"base_model_name_or_path": "xlm-r"}'), "'m' holds an adapter (LoRA) for xlm-r", "merge_and_unload"),
    "delta checkpoint": (write("delta.json", b"{}"), "'m' holds a delta checkpoint", "xlift store export"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_damage_is_refused(folder: Path, name: str):
    damage, what, fix = REFUSED[name]
    damage(folder)
    said = refused(folder)
    assert what in said
    assert fix in said


def test_whole_folders_are_accepted(tmp_path: Path):
    for config in (ENCODER, DECODER, SEQ2SEQ):
        facts = check_model_folder(write_model_folder(tmp_path / config["model_type"], config))
        assert facts.config["vocab_size"] == 500
        assert facts.tokenizer
        assert facts.tokenizer.num_tokens == 5
        assert facts.tokenizer.has("mask_token")


def test_the_output_layer_of_a_decoder_may_be_tied_or_not(tmp_path: Path):
    folder = write_model_folder(tmp_path / "m", DECODER | {"tie_word_embeddings": False})
    weights(lambda tensors: tensors, DECODER)(folder)
    assert "its output layer is missing" in refused(folder)


def test_pickles_and_other_formats_name_the_way_out(folder: Path):
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(b"x")
    assert "ONNX files only" in refused(folder)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    assert "`xlift convert m DIR`" in refused(folder)


@pytest.mark.parametrize("name", ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "other.model"])
def test_a_tokenizer_without_tokenizer_json_is_refused(folder: Path, name: str):
    # with and without the package sentencepiece, and whatever the file holds
    (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(b"")
    message = refused(folder)
    assert f"m: the folder has no tokenizer.json, only {name}" in message
    assert ("`xlift convert" in message) == (name != "other.model")


def test_the_folders_of_checkpoints_are_named(folder: Path):
    shutil.copytree(folder, folder.parent / "out" / "checkpoint-500")
    assert "for instance 'checkpoint-500'" in refused(folder.parent / "out")


def sharded(folder: Path) -> Path:
    """Put the weights into two shards with an index."""
    required = required_tensors(ENCODER)
    assert required
    index: dict[str, Any] = {"metadata": {}, "weight_map": {}}
    names = list(required.tensors)
    for n in range(2):
        file = f"model-0000{n + 1}-of-00002.safetensors"
        part: dict[str, Any] = {name: required.tensors[name] for name in names[n::2]}
        write_weights(folder / file, part)
        index["weight_map"] |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


SECOND = "model-00002-of-00002.safetensors"
SHARDS: dict[str, tuple[Damage, str]] = {
    "missing": (remove(SECOND), f"m/model.safetensors.index.json: the index names {SECOND}, which the folder does not have"),
    "cut": (cut(SECOND, 10), f"m/{SECOND}: the file is cut"),
    "pointer": (write(SECOND, LFS), f"m/{SECOND}: it is a Git LFS pointer"),
    "twice": (lambda f: write_weights(f / SECOND, {"embeddings.word_embeddings.weight": (1, 1)}), "is in model-00001-of-00002.safetensors too"),
    "not in its file": (lambda f: write_weights(f / SECOND, {"x": (1,)}), "and it is not there"),
    "outside": (edit("model.safetensors.index.json", weight_map={"x": "../x.safetensors"}), "expected the name of a safetensors file for x"),
    "no map": (edit("model.safetensors.index.json", weight_map=None), "expected an object with `metadata` and `weight_map`"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARDS)
def test_damaged_shards_are_refused(folder: Path, name: str):
    assert check_model_folder(sharded(folder))
    damage, what = SHARDS[name]
    damage(folder)
    assert what in refused(folder)


def test_only_a_run_needs_weights_and_a_tokenizer(folder: Path):
    (folder / "model.safetensors").unlink()
    assert check_model_folder(folder, weights=False).tokenizer
    (folder / "tokenizer.json").unlink()
    assert check_model_folder(folder, weights=False).tokenizer is None


def test_a_token_that_only_the_settings_name_gets_the_next_id(tmp_path: Path):
    folder = write_model_folder(tmp_path / "m", ENCODER | {"vocab_size": 5})
    edit("tokenizer_config.json", extra_special_tokens=["<url>"])(folder)
    assert "the tokenizer has 6 tokens, the model 5: '<url>' (id 5) has no row" in refused(folder)


def test_the_image_token_of_gemma_needs_no_row(tmp_path: Path):
    config = DECODER | {"model_type": "gemma3_text", "vocab_size": 5}
    folder = write_model_folder(tmp_path / "m", config)
    edit("tokenizer_config.json", image_token="<image_soft_token>")(folder)
    assert check_model_folder(folder)


def test_a_class_that_is_not_known_may_have_special_tokens(tmp_path: Path):
    # as camembert-base, whose tokenizer_config.json has the longest length only
    folder = write_model_folder(tmp_path / "m", ENCODER | {"model_type": "camembert"})
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    facts = check_model_folder(folder)
    assert facts.tokenizer
    assert facts.tokenizer.has("mask_token")


def test_a_changed_file_is_read_again(folder: Path):
    assert check_model_folder(folder)
    cut("model.safetensors", 1)(folder)
    assert "cut" in refused(folder)


def test_a_model_of_bytes_without_tokenizer_json_can_be_converted(folder: Path):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    assert "m DIR` writes it" in refused(folder)
