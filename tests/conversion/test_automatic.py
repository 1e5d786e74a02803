"""A study converts published files by itself, once, and says so."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conversion.checkpoints import write_checkpoint
from tests.support.command import Xlift
from tests.support.hub import Hub

from xlift import backbones, conversion
from xlift.conversion import cache
from xlift.conversion.record import read_record
from xlift.errors import UserError

pytest.importorskip("sentencepiece")

STUDY = """\
models: [published]
training: {lr: 0.001, batch_size: 8, max_steps: 2, retries: 0}
targets:
  - {task: isle-nli, train: {size: 16}, languages: [qtu], size: 8}
"""
LINE = "xlift: published: its pickled weights were converted to safetensors, its SentencePiece file to tokenizer.json (cached)"


@pytest.fixture(autouse=True)
def converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the converted models."""
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "converted"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The published files that were converted, in order. Each conversion runs in this process."""
    from xlift.conversion.checkpoint import convert_checkpoint

    done: list[Path] = []

    def convert(source: Path, folder: Path) -> None:
        done.append(source)
        convert_checkpoint(source, folder)

    monkeypatch.setattr(cache, "convert", convert)
    return done


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_converted_once(tmp_path: Path, converted: Path, conversions: list[Path]):
    write_checkpoint(tmp_path / "published", "mt5", shards=2)
    found = backbones.find(str(tmp_path / "published"))
    again = backbones.find("published", tmp_path, weights=False)
    assert (found.name, found.provisional) == ("published", False)
    assert found.folder == again.folder
    assert found.fingerprint == again.fingerprint
    assert found.folder.parent == converted
    assert len(conversions) == 1
    assert not [path for path in converted.iterdir() if ".new-" in path.name]


def test_the_fingerprint_has_both_digests_and_no_versions(tmp_path: Path, conversions: list[Path]):
    write_checkpoint(tmp_path / "published", "mt5")
    found = backbones.find(str(tmp_path / "published"))
    record = read_record(found.folder)
    assert record
    assert record.source_digest in found.fingerprint
    assert record.written_digest in found.fingerprint
    by_hand = shutil.copytree(found.folder, tmp_path / "by-hand")
    path = by_hand / "conversion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"versions": {"torch": "9"}}))
    assert backbones.find(str(by_hand)).fingerprint == found.fingerprint
    (by_hand / "tokenizer_config.json").write_text("{}")
    backbones._file_digests.cache_clear()
    assert backbones.find(str(by_hand)).fingerprint != found.fingerprint


def test_other_weights_are_another_model(tmp_path: Path, conversions: list[Path]):
    import torch

    write_checkpoint(tmp_path / "published", "xlm-roberta")
    shutil.copytree(tmp_path / "published", tmp_path / "other")
    path = tmp_path / "other" / "pytorch_model.bin"
    torch.save({name: tensor + 1 for name, tensor in torch.load(path).items()}, path)
    one, other = (backbones.find(str(tmp_path / name)) for name in ("published", "other"))
    assert one.fingerprint != other.fingerprint
    assert len(conversions) == 2


def test_a_plan_and_a_run_say_so_in_one_line(tmp_path: Path, conversions: list[Path], xlift: Xlift):
    write_checkpoint(tmp_path / "published", "mt5")
    (tmp_path / "study.yaml").write_text(STUDY)
    planned = xlift("plan", "study.yaml")
    assert planned.code == 0, planned.err
    assert planned.err.splitlines() == [LINE]
    ran = xlift("run", "study.yaml", "--workers", "0", "--store", "store")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0] == LINE
    assert len(conversions) == 1
    record = json.loads((tmp_path / "store/studies/study.json").read_text())
    (noted,) = record["conversions"]
    page = xlift("report", "study", "--html", "page.html", "--store", "store")
    assert page.code == 0, page.err
    html = (tmp_path / "page.html").read_text()
    assert noted["source_digest"] in html
    assert noted["written_digest"] in html


def test_two_threads_convert_once(tmp_path: Path, conversions: list[Path]):
    write_checkpoint(tmp_path / "published", "byt5")
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: cache.convert_once(tmp_path / "published", "id"), range(2)))
    assert folders[0] == folders[1]
    assert len(conversions) == 1


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Hub() as hub:
        hub.connect(monkeypatch, tmp_path / "hub-cache")
        yield hub


def test_a_model_of_the_hub_is_converted(hub: Hub, tmp_path: Path, conversions: list[Path]):
    write_checkpoint(tmp_path / "published", "mt5", shards=2)
    hub.commit("model", "org/mt5", files_of(tmp_path / "published") | {"flax_model.msgpack": b"x", "tf_model.h5": b"x"})
    planned = backbones.find("org/mt5", weights=False)
    assert planned.provisional
    assert not [request for request in hub.asked(".bin") if request.path.endswith(".bin")]
    assert not conversions
    found = backbones.find("org/mt5")
    assert (found.name, found.provisional, found.family) == ("org/mt5", False, "seq2seq")
    assert not hub.asked("msgpack") + hub.asked(".h5")
    assert backbones.find("org/mt5", weights=False) == backbones.find("org/mt5")
    assert len(conversions) == 1
    assert found.fingerprint == backbones.find(str(tmp_path / "published")).fingerprint


def test_pickled_weights_beside_safetensors_are_not_downloaded(hub: Hub, tmp_path: Path, conversions: list[Path]):
    from tests.support.tiny import model_folder

    files = files_of(model_folder(tmp_path / "tiny")) | {"pytorch_model.bin": b"x", "model.gguf": b"x"}
    commit = hub.commit("model", "org/tiny", files)
    for weights in (False, True):
        found = backbones.find("org/tiny", weights=weights)
        assert (found.fingerprint.partition("+")[0], found.provisional) == (commit, False)
    assert not hub.asked(".bin") + hub.asked(".gguf")
    assert not conversions


def test_several_gguf_files_are_refused(hub: Hub, tmp_path: Path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(UserError, match="has 2 GGUF files") as error:
        backbones.find(str(tmp_path))
    assert "a.gguf" in error.value.fix
    hub.commit("model", "org/gguf", {"a.gguf": b"GGUF", "b.gguf": b"GGUF"})
    with pytest.raises(UserError, match="'org/gguf' has 2 GGUF files"):
        backbones.find("org/gguf")
    assert not hub.asked("/resolve/")


@pytest.mark.slow
def test_a_gguf_file_is_named_by_its_path_or_its_repository(hub: Hub, tmp_path: Path, conversions: list[Path]):
    pytest.importorskip("gguf")
    from tests.conversion.checkpoints import write_gguf

    write_gguf(tmp_path / "tiny.gguf", quantized=True)
    found = backbones.find("tiny.gguf", tmp_path)
    assert (found.name, found.family) == ("tiny", "decoder")
    hub.commit("model", "org/gguf", {"tiny.gguf": (tmp_path / "tiny.gguf").read_bytes(), "README.md": b"x"})
    assert backbones.find("org/gguf").fingerprint == found.fingerprint


def test_the_child_process_names_the_fault(tmp_path: Path, converted: Path):
    write_checkpoint(tmp_path / "published", "byt5")
    (tmp_path / "published/pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(UserError, match="the pickled file"):
        backbones.find(str(tmp_path / "published"), weights=False)
    assert [path.suffix for path in converted.iterdir()] == [".lock"]
    assert conversion.find_source(tmp_path / "published")


BYTES_STUDY = """\
models: [{model: published, mode: MODE}]
training: {lr: 0.001, batch_size: 4, max_steps: 1, retries: 0, max_length: 256}
targets:
"""
TARGET = "  - {task: TASK, train: {size: 8}, languages: [qtu], size: 4}\n"


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "tasks"), [("text", ["isle-nli", "isle-pos", "isle-qa"]), ("head", ["isle-nli"])])
def test_a_model_of_bytes_runs(mode: str, tasks: list[str], tmp_path: Path, conversions: list[Path], xlift: Xlift):
    """ByT5 has no tokenizer file."""
    write_checkpoint(tmp_path / "published", "byt5")
    targets = "".join(TARGET.replace("TASK", task) for task in tasks)
    (tmp_path / "study.yaml").write_text(BYTES_STUDY.replace("MODE", mode) + targets)
    ran = xlift("run", "study.yaml", "--workers", "0", "--store", "store", "--quiet")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("task", ["isle-pos", "isle-qa"])
def test_heads_over_bytes_are_refused_with_what_can_be_done(
    task: str, tmp_path: Path, conversions: list[Path], xlift: Xlift
):
    write_checkpoint(tmp_path / "published", "byt5")
    (tmp_path / "study.yaml").write_text(BYTES_STUDY.replace("MODE", "head") + TARGET.replace("TASK", task))
    planned = xlift("plan", "study.yaml", columns=200)
    assert planned.code == 2
    assert "study.yaml:4: targets.0" in planned.err
    assert "the tokens of published are bytes" in planned.err
    assert "leave its `mode: head` out" in planned.err
