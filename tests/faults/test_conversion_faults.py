"""Conversions that fail: killed, on a full disk, from damaged or malicious files. By `xlift convert`, and in a study."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conversion.checkpoints import write_checkpoint

from xlift import backbones

pytest.importorskip("sentencepiece")

STUDY = """\
models: [published]
training: {max_steps: 1, batch_size: 4, retries: 0}
targets:
  - {task: isle-nli, train: {size: 8}, languages: [qtu], size: 8}
"""
COMMANDS = {
    "convert": ("convert", "published", "converted"),
    "plan": ("plan", "study.yaml"),
    "run": ("run", "study.yaml", "--workers", "0", "--store", "store"),
}
WAYS = pytest.mark.parametrize("way", COMMANDS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study of a published checkpoint in three shards."""
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    write_checkpoint(tmp_path / "published", "mt5", shards=3)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def start(folder: Path, way: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    return subprocess.Popen(
        [sys.executable, "-m", "xlift", *COMMANDS[way]], cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before,
    )  # fmt: skip


def refusal(folder: Path, way: str, before: Callable[[], None] | None = None) -> str:
    """The message of a command that refuses the checkpoint, and leaves nothing."""
    process = start(folder, way, before)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert "Traceback" not in error
    assert not whole_folders(folder)
    assert not drafts(folder)
    return error


def whole_folders(folder: Path) -> list[Path]:
    found = [path for path in (folder / "cache/converted").glob("*") if not path.name.startswith(".")]
    return found + ([folder / "converted"] if (folder / "converted").exists() else [])


def drafts(folder: Path) -> list[Path]:
    return [*(folder / "cache/converted").glob(".*.new-*"), *folder.glob(".converted.new-*")]


def wait_for_first_shard(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the first shard is there. The tokenizer, which comes last, takes a second more."""
    while not any(each for draft in drafts(folder) for each in draft.glob("*.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["both processes", "the process that waits"])
@pytest.mark.parametrize("way", ["convert", "plan"])
def test_a_killed_conversion_leaves_nothing_half(folder: Path, way: str, killed: str):
    process = start(folder, way)
    wait_for_first_shard(folder, process)
    if killed == "both processes":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    assert not whole_folders(folder)
    again = start(folder, way)
    _, error = again.communicate(timeout=120)
    assert again.returncode == 0, error
    (whole,) = whole_folders(folder)
    record = json.loads((whole / "conversion.json").read_text())
    assert {path.name for path in whole.iterdir()} == {*record["written"], "conversion.json"}
    assert not drafts(folder)
    if way == "plan":
        assert backbones.find("published", folder).folder == whole


@pytest.mark.slow
@WAYS
def test_a_full_disk_is_named(folder: Path, way: str):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    error = refusal(folder, way, limit)
    assert "the converted model cannot be written: File too large" in error


@pytest.mark.slow
@WAYS
def test_a_cut_shard_is_refused(folder: Path, way: str):
    shard = folder / "published/pytorch_model-00002-of-00003.bin"
    shard.write_bytes(shard.read_bytes()[:-1000])
    error = refusal(folder, way)
    assert "the pickled file is damaged" in error
    assert shard.name in error


@pytest.mark.slow
@WAYS
def test_a_missing_shard_is_named(folder: Path, way: str):
    (folder / "published/pytorch_model-00003-of-00003.bin").unlink()
    if way == "plan":  # a study can be estimated without the weights
        process = start(folder, way)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0
        assert not whole_folders(folder)
    else:
        error = refusal(folder, way)
        assert "a shard of the weights is missing" in error
    assert "pytorch_model-00003-of-00003.bin" in error


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.slow
@WAYS
def test_code_in_a_shard_is_refused_and_not_run(folder: Path, way: str):
    shard = folder / "published/pytorch_model-00003-of-00003.bin"
    shard.write_bytes(pickle.dumps({"weight": Malicious(folder / "trace")}))
    error = refusal(folder, way)
    assert "which xlift does not read" in error
    assert shard.name in error
    assert not (folder / "trace").exists()
