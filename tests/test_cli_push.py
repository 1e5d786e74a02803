"""`xlift push`: the real client uploads to a fake Hub, and the downloaded files equal the uploaded ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.hub import TOKEN, Hub

from xlift.models.export import ExportMetadata, write_model
from xlift.models.outputs import HeadSpec


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as made:
        made.connect(monkeypatch, tmp_path / "cache")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tiny.encoder("bert")
    model.add_head("task", HeadSpec("sequence", ("a", "b")), seed=1)
    write_model(model, tiny.tokenizer_of("bert"), "task", tmp_path / "m", max_length=32)
    ExportMetadata("task", "classification", "sequence", ("a", "b")).write(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("---\nlibrary_name: transformers\n---\n# m\n")
    (tmp_path / "m" / ".hidden").write_text("mine")
    return tmp_path / "m"


def held(standin: Hub, name: str = "me/mine") -> dict[str, bytes]:
    repository = standin.repositories["model", name]
    return repository.commits[repository.branches["main"]]


def test_downloaded_files_equal_the_uploaded_ones(xlift: Xlift, standin: Hub, folder: Path, tmp_path: Path):
    answer = xlift("push", folder, "me/mine")
    assert (answer.code, answer.out) == (0, f"Uploaded to {standin.url}/me/mine\n")
    assert standin.repositories["model", "me/mine"].private
    uploaded = {name: contents for name, contents in held(standin).items() if name != ".gitattributes"}
    assert uploaded == {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".hidden"}
    assert len(standin.repositories["model", "me/mine"].commits) == 2  # the commit that created it, and ours

    from transformers import AutoModelForSequenceClassification

    again = AutoModelForSequenceClassification.from_pretrained("me/mine", token=TOKEN, cache_dir=tmp_path / "other")
    here = AutoModelForSequenceClassification.from_pretrained(folder)
    rows = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(again(rows).logits, here(rows).logits)


def test_second_upload_replaces_the_first(xlift: Xlift, standin: Hub, folder: Path):
    assert xlift("push", folder, "me/mine").code == 0
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# n\n")
    assert xlift("push", folder, "me/mine").code == 0
    assert held(standin)["README.md"].endswith(b"# n\n")


def test_public_repository(xlift: Xlift, standin: Hub, folder: Path):
    assert xlift("push", folder, "me/mine", "--public").code == 0
    assert not standin.repositories["model", "me/mine"].private


def test_existing_public_repository_needs_the_option(xlift: Xlift, standin: Hub, folder: Path):
    standin.commit("model", "me/mine", {"README.md": b"before"})
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "already exists and is public" in answer.err
    assert "--public" in answer.err
    assert held(standin) == {"README.md": b"before"}


def test_without_login(xlift: Xlift, standin: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "nobody is logged in" in answer.err
    assert "hf auth login" in answer.err
    assert standin.requests == []


def test_rejected_token(xlift: Xlift, standin: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "the Hub rejects the token" in answer.err
    assert "hf_wrong" not in answer.err + answer.out


def test_name_of_another_user(xlift: Xlift, standin: Hub, folder: Path):
    answer = xlift("push", folder, "you/yours")
    assert answer.code == 2
    assert "the token has no write access there" in answer.err


@pytest.mark.parametrize("step", ["repos/create", "preupload", "/commit/"])
def test_failing_hub(xlift: Xlift, standin: Hub, folder: Path, step: str):
    standin.answer(step, method="POST", status=500, times=-1)
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "the Hub returns 500" in answer.err
    assert "Traceback" not in answer.err
    assert set(held(standin) if standin.repositories else ()) <= {".gitattributes"}  # no file was uploaded


def test_no_network(xlift: Xlift, standin: Hub, folder: Path):
    standin.close()
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "cannot be reached" in answer.err
    assert "Traceback" not in answer.err


def test_offline(xlift: Xlift, standin: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    answer = xlift("push", folder, "me/mine")
    assert answer.code == 2
    assert "HF_HUB_OFFLINE" in answer.err


@pytest.mark.parametrize(
    ("files", "said"), [({}, "it has no config.json"), ({"config.json": "{}"}, "it has no weights")]
)
def test_folder_without_a_model(xlift: Xlift, standin: Hub, tmp_path: Path, files: dict[str, str], said: str):
    (tmp_path / "other").mkdir()
    for name, text in files.items():
        (tmp_path / "other" / name).write_text(text)
    answer = xlift("push", "other", "me/mine")
    assert answer.code == 2
    assert said in answer.err
    assert standin.requests == []


@pytest.mark.parametrize("there", [False, True])
def test_folder_is_checked_before_the_login(
    xlift: Xlift, standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    if there:
        (tmp_path / "nofolder").mkdir()
    answer = xlift("push", "nofolder", "a/b")
    assert answer.code == 2
    assert ("not a model folder" if there else "nofolder: no such folder") in answer.err
    assert "logged in" not in answer.err


def test_invalid_repository_name(xlift: Xlift, standin: Hub, folder: Path):
    answer = xlift("push", folder, "a/b/c")
    assert answer.code == 2
    assert "'a/b/c' is not a valid model name" in answer.err
