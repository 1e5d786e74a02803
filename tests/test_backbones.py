"""Finding models, and the errors where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.fakes import model_folder
from tests.support.model_folders import SEQ2SEQ, write_heads, write_model_folder

from xlift import backbones
from xlift.errors import UserError
from xlift.model_files.tokenizer import probe_digest


def test_folder_beside_the_study_precedes_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    beside, current = model_folder(tmp_path / "study" / "m"), model_folder(tmp_path / "here" / "m", b"other")
    monkeypatch.chdir(tmp_path / "here")
    assert backbones.find("m", tmp_path / "study").folder == beside
    assert backbones.find("m").folder.resolve() == current


def test_fingerprint_depends_on_the_bytes_and_not_the_location(tmp_path: Path):
    one, same, other = (
        backbones.find(str(model_folder(tmp_path / name, weights))).fingerprint
        for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2"))
    )
    assert one == same
    assert one != other


def test_ids_of_the_tokenizer_are_part_of_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another version of the library `tokenizers` may give other ids for the same file."""
    folder = model_folder(tmp_path / "m")
    before = backbones.find(str(folder)), backbones.find("isles")
    assert "+" not in before[1].fingerprint
    monkeypatch.setattr(backbones, "probe_digest", lambda _: "other ids")
    after = backbones.find(str(folder)), backbones.find("isles")
    for old, new in zip(before, after, strict=True):
        assert old.fingerprint != new.fingerprint
        assert old.fingerprint.partition("+")[0] == new.fingerprint.partition("+")[0]


def test_tokenizer_is_part_of_the_fingerprint(tmp_path: Path):
    plain, with_tokenizer = model_folder(tmp_path / "a"), model_folder(tmp_path / "b")
    tokenizer = with_tokenizer / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert backbones.find(str(plain)).fingerprint != backbones.find(str(with_tokenizer)).fingerprint


def test_name_is_the_folder_name_however_the_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(model_folder(tmp_path / "mine"))
    assert backbones.find(".").name == "mine"


def test_heads_of_an_earlier_stage_are_listed(tmp_path: Path):
    folder = model_folder(tmp_path / "m")
    assert backbones.find(str(folder)).heads == ()
    write_heads(folder, "isle-qa", "isle-nli")
    assert backbones.find(str(folder)).heads == ("isle-qa", "isle-nli")
    (folder / "heads.json").write_text("{")
    with pytest.raises(UserError, match=r"heads\.json: its heads cannot be read"):
        backbones.find(str(folder))


@pytest.mark.parametrize(
    ("missing", "what", "fix"),
    [("config.json", "it has no config.json", "save_pretrained"), ("model.safetensors", "no safetensors", "pickled")],
)
def test_folder_without_a_model_is_an_error(tmp_path: Path, missing: str, what: str, fix: str):
    folder = model_folder(tmp_path / "m")
    (folder / "pytest_model.bin").write_bytes(b"")
    (folder / missing).unlink()
    with pytest.raises(UserError, match=what) as error:
        backbones.find(str(folder))
    assert fix in error.value.fix


@pytest.mark.parametrize("name", ["./gone", "/gone", "~/gone", "a/b/c", " "])
def test_path_is_never_used_as_a_hub_id(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backbones, "_from_hub", None)
    with pytest.raises(UserError, match="no model folder"):
        backbones.find(name)


def test_missing_shipped_model_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(backbones.SHIPPED, "isles", "no/such/folder")
    with pytest.raises(UserError, match="the model 'isles' is not in this installation"):
        backbones.find("isles")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Hub that refuses connections; the constants are read at import."""
    from huggingface_hub import constants

    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        value = getattr(constants, name)
        monkeypatch.setattr(constants, name, value.replace(constants.ENDPOINT, "http://127.0.0.1:9"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("name", "hint"), [("islse", "did you mean 'isles'?"), ("org/model", "It is not a folder"),
                                          ("google/mt5-smal", "did you mean 'google/mt5-small'?"), ("google/mt5-small", "It is")])  # fmt: skip
def test_hub_id_without_network_fails_quickly(name: str, hint: str):
    started = time.monotonic()
    with pytest.raises(UserError, match=f"cannot find the model '{name}'") as error:
        backbones.find(name)
    assert time.monotonic() - started < 5
    assert error.value.fix.startswith(hint)
    assert "the Hub cannot be reached" in error.value.fix


@pytest.mark.usefixtures("no_network")
def test_invalid_hub_id_is_an_error():
    with pytest.raises(UserError, match="cannot find the model"):
        backbones.find("what is this?")


def test_hub_model_is_identified_by_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    folder = model_folder(tmp_path / "snapshots" / "abc123")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    found = backbones.find("org/model")
    assert (found.name, found.fingerprint) == ("org/model", f"abc123+{probe_digest(folder)}")


def test_hub_model_without_safetensors_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    folder = model_folder(tmp_path / "abc123")
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    with pytest.raises(UserError, match="no safetensors weights"):
        backbones.find("org/model")


def test_weights_are_downloaded_only_if_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    folder = tmp_path / "0123abc"
    folder.mkdir()
    write_model_folder(folder, SEQ2SEQ, weights=False)
    asked: list[list[str]] = []

    def fetch(name: str, allow_patterns: list[str], **_: object) -> str:
        asked.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    found = backbones.find("org/large", weights=False)
    assert (found.fingerprint, found.family) == ("0123abc", "seq2seq")
    assert found.provisional
    assert not any("safetensors" in pattern for pattern in asked[0])
    assert backbones.find(str(folder), weights=False).name == "0123abc"
    with pytest.raises(UserError, match="no safetensors weights"):
        backbones.find("org/large")
    assert "*.safetensors" in asked[1]
