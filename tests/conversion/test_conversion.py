"""`xlift convert`: the same tensors and the same tokens as the published files, and nothing but tensors is read."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.conversion.checkpoints import LAYOUTS, T5_PIECES, sentencepiece_model, write_checkpoint, write_gguf
from tests.support.command import Xlift
from tests.support.model_folders import ENCODER, write_model_folder
from transformers import AutoTokenizer, ByT5Tokenizer

from xlift.conversion import find_source
from xlift.conversion.checkpoint import convert_checkpoint
from xlift.conversion.probe import EDGE_CASES, probe_groups, probe_texts
from xlift.conversion.weights import load_pickled
from xlift.errors import UserError
from xlift.execution.exporting import write_folder_atomically
from xlift.models.pretrained import load_pretrained
from xlift.models.tokenizer_loading import load_tokenizer

sentencepiece = pytest.importorskip("sentencepiece")


def converted(tmp_path: Path, layout: str, shards: int = 1) -> Path:
    write_checkpoint(tmp_path / "published", layout, shards)
    (tmp_path / "converted").mkdir()
    convert_checkpoint(tmp_path / "published", tmp_path / "converted")
    return tmp_path / "converted"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shards", [1, 3])
def test_weights_are_equal_bit_by_bit_and_load(layout: str, shards: int, tmp_path: Path):
    folder = converted(tmp_path, layout, shards)
    published: dict[str, torch.Tensor] = {}
    for path in (tmp_path / "published").glob("*.bin"):
        published |= torch.load(path, weights_only=True)
    written: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        written |= load_file(path)
    assert published.keys() == written.keys()
    for name, tensor in published.items():
        assert written[name].dtype == tensor.dtype
        assert torch.equal(written[name].view(torch.uint8), tensor.contiguous().view(torch.uint8)), name
    assert find_source(folder) is None
    model, tokenizer, _ = load_pretrained(folder)
    state = model.state_dict()
    compared = 0
    for name, tensor in published.items():
        inner = name.removeprefix(f"{model.base_model_prefix}.")
        if name in state or inner in state:
            compared += 1
            assert torch.equal(state[name if name in state else inner], tensor.float()), name
    assert compared > 10
    assert tokenizer.is_fast


def test_16_bit_weights_keep_their_type(tmp_path: Path):
    write_checkpoint(tmp_path / "published", "mt5")
    path = tmp_path / "published" / "pytorch_model.bin"
    torch.save({name: tensor.bfloat16() for name, tensor in torch.load(path).items()}, path)
    (tmp_path / "converted").mkdir()
    convert_checkpoint(tmp_path / "published", tmp_path / "converted")
    assert {tensor.dtype for tensor in load_file(tmp_path / "converted" / "model.safetensors").values()} == {
        torch.bfloat16
    }


@pytest.mark.parametrize(("layout", "offset"), [("mt5", 0), ("xlm-roberta", 1), ("mdeberta", 0), ("nllb", 1)])
def test_tokens_are_those_of_sentencepiece(layout: str, offset: int, tmp_path: Path):
    tokenizer = load_tokenizer(converted(tmp_path, layout))
    (model_file,) = (tmp_path / "published").glob("*.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model_file))
    num_known = 0
    for text in probe_texts():
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = [tokenizer.unk_token_id if n == processor.unk_id() else n + offset for n in processor.encode(text)]
        assert ids == expected, text
        num_known += sum(n != processor.unk_id() for n in processor.encode(text))
    assert num_known > 300


def test_the_probe_is_as_large_as_the_docs_say():
    page = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    assert f"{len(probe_texts())} texts in {len(probe_groups().keys() - {EDGE_CASES})} scripts" in page


def test_byt5_gives_the_ids_of_the_stock_class(tmp_path: Path):
    tokenizer, stock = AutoTokenizer.from_pretrained(converted(tmp_path, "byt5")), ByT5Tokenizer()
    for text in probe_texts():
        assert tokenizer(text)["input_ids"] == stock(text)["input_ids"], text
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (stock.pad_token_id, stock.eos_token_id)
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == stock.convert_tokens_to_ids("<extra_id_0>")


def test_the_record_names_both_hashes(tmp_path: Path):
    import hashlib

    folder = converted(tmp_path, "mt5")
    record = json.loads((folder / "conversion.json").read_text())
    published = tmp_path / "published" / "pytorch_model.bin"
    assert record["sources"]["pytorch_model.bin"] == hashlib.sha256(published.read_bytes()).hexdigest()
    assert record["sources"].keys() == {"config.json", "pytorch_model.bin", "spiece.model"}
    for name, digest in record["written"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "plain", "nested"])
def test_code_in_a_pickle_is_refused_and_not_run(form: str, tmp_path: Path):
    path, trace = tmp_path / "pytorch_model.bin", tmp_path / "trace"
    if form == "plain":
        path.write_bytes(pickle.dumps({"weight": Malicious(trace)}))
    else:
        value = Malicious(trace) if form == "zip" else [{"a": (Malicious(trace),)}]
        torch.save({"weight": torch.zeros(2), "other": value}, path)
    with pytest.raises(UserError, match="which xlift does not read") as error:
        load_pickled(path)
    assert "weights_only" not in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [({"a": 1}, "'a' in the pickled file is no tensor"), ([1], "no table of tensors"), ({}, "no table of tensors"),
     ({3: torch.zeros(1)}, "'3' in the pickled file is no tensor")],
)  # fmt: skip
def test_other_values_than_tensors_are_refused(value: object, message: str, tmp_path: Path):
    torch.save(value, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=message):
        load_pickled(tmp_path / "pytorch_model.bin")


def test_a_cut_file_is_refused_at_every_length(tmp_path: Path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.arange(100.0)}, path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            load_pickled(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [("missing shard", "a shard of the weights is missing"), ("damaged index", "the index of the weights is damaged"),
     ("outside", "is not the name of a file in this folder"), ("no weights", "the folder has no weights"),
     ("no config", "it has no config.json"), ("damaged tokenizer", "the SentencePiece file is damaged")],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(damage: str, message: str, tmp_path: Path, xlift: Xlift):
    source = tmp_path / "published"
    write_checkpoint(source, "mt5", shards=2)
    index = source / "pytorch_model.bin.index.json"
    match damage:
        case "missing shard":
            (source / "pytorch_model-00002-of-00002.bin").unlink()
        case "damaged index":
            index.write_text("{")
        case "outside":
            index.write_text(json.dumps({"weight_map": {"a": "../secret.bin"}}))
        case "no weights":
            for path in [*source.glob("*.bin"), index]:
                path.unlink()
        case "no config":
            (source / "config.json").unlink()
        case "damaged tokenizer":
            (source / "spiece.model").write_bytes(sentencepiece_model(**T5_PIECES)[:500])
    done = xlift("convert", source, tmp_path / "converted")
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published"]


@pytest.mark.slow
def test_a_killed_conversion_leaves_no_folder(tmp_path: Path):
    write_checkpoint(tmp_path / "published", "mt5")
    command = [sys.executable, "-m", "xlift", "convert", str(tmp_path / "published"), str(tmp_path / "converted")]
    for delay in (0.5, 2.0):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        assert not (tmp_path / "converted").exists() or find_source(tmp_path / "converted") is None


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from xlift.conversion import __main__, weights

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "model.safetensors")

    write_checkpoint(tmp_path / "published", "byt5")
    (tmp_path / "converted").mkdir()
    monkeypatch.setattr(weights, "save_file", full)
    assert __main__.main(tmp_path / "published", tmp_path / "converted") == 2
    error = json.loads(capsys.readouterr().err)
    assert error["what"] == "the converted model cannot be written: No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("quantized", [False, True])
def test_a_gguf_file_becomes_a_folder(quantized: bool, tmp_path: Path, xlift: Xlift):
    pytest.importorskip("gguf")
    expected = write_gguf(tmp_path / "tiny.gguf", quantized)
    done = xlift("convert", tmp_path / "tiny.gguf", tmp_path / "converted")
    assert done.code == 0, done.err
    model, tokenizer, _ = load_pretrained(tmp_path / "converted")
    state = load_file(tmp_path / "converted" / "model.safetensors")
    dtype = torch.bfloat16 if quantized else torch.float32
    assert {tensor.dtype for tensor in state.values()} == {dtype}
    names = {"token_embd": "model.embed_tokens", "output": "lm_head", "blk.1.ffn_down": "model.layers.1.mlp.down_proj",
             "blk.0.attn_v": "model.layers.0.self_attn.v_proj"}  # fmt: skip
    for name, stock in names.items():
        assert torch.equal(state[f"{stock}.weight"], torch.from_numpy(expected[f"{name}.weight"]).to(dtype)), name
    assert "".join(tokenizer.tokenize("the red book")) == "▁the▁red▁book"
    assert tokenizer("", add_special_tokens=True)["input_ids"] == [1]
    assert "quantization_config" not in json.loads((tmp_path / "converted" / "config.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("share", [0, 0.1, 0.6, 0.99])
def test_a_cut_gguf_file_is_refused(share: float, tmp_path: Path, xlift: Xlift):
    pytest.importorskip("gguf")
    path = tmp_path / "tiny.gguf"
    write_gguf(path, quantized=False)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    done = xlift("convert", path, tmp_path / "converted")
    assert done.code == 2
    assert "the GGUF file cannot be read" in done.err
    assert not (tmp_path / "converted").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "'odd' is not a model: it has no config.json"),
        ({"adapter_config.json": '{"base_model_name_or_path": "org/base"}', "adapter_model.safetensors": ""},
         "'odd' holds an adapter (LoRA) for org/base, not a full model"),
        ({"config.json": json.dumps(ENCODER)}, "'odd' has no safetensors weights"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model_is_refused(files: dict[str, str], message: str, tmp_path: Path, xlift: Xlift):
    (tmp_path / "odd").mkdir()
    for name, text in files.items():
        (tmp_path / "odd" / name).write_text(text)
    done = xlift("convert", "odd", "converted")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"xlift: {message}")


def test_a_model_as_it_is_or_an_existing_target_is_refused(tmp_path: Path, xlift: Xlift):
    write_model_folder(tmp_path / "whole", ENCODER)
    assert "nothing to convert" in xlift("convert", "whole", "converted").err
    (tmp_path / "model.bin").write_bytes(b"x")
    assert "the name does not end in .gguf" in xlift("convert", "model.bin", "converted").err
    assert "A study converts the models of the Hub" in xlift("convert", "google/mt5-small", "converted").err
    (tmp_path / "cut.gguf").write_bytes(b"GGUF")
    done = xlift("convert", "cut.gguf", "whole")
    assert done.err == "xlift: whole: the folder is not empty\n  Name a new folder.\n"  # no --force, which it lacks


def test_drafts_of_killed_processes_are_removed(tmp_path: Path):
    abandoned = tmp_path / ".m[1].new-1"
    with write_folder_atomically(tmp_path / "m[1]") as draft:
        abandoned.mkdir()
        (abandoned / "file").write_text("half")
        # another one of the same process would have the same draft, which is in use
        with pytest.raises(UserError, match="File exists"), write_folder_atomically(tmp_path / "m[1]"):
            pytest.fail("not reached")
        assert draft.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["m[1]"]
