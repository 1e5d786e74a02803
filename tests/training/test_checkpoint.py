"""Checkpoints: written atomically, restored exactly, and ignored if damaged."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from torch import nn

from xlift.recipes import Recipe
from xlift.training import checkpoint
from xlift.training.checkpoint import (
    CHECKPOINT_FILE,
    ResumeState,
    checkpoint_bytes,
    copy_weights,
    estimate_write_seconds,
    load_checkpoint,
    read_resume_invariants,
    restore_weights,
    save_checkpoint,
)
from xlift.training.loop import create_optimizer


class Tied(nn.Module):
    """A model with a tied weight, a buffer and a 0-d parameter."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.outer.weight = self.inner.weight
        self.register_buffer("positions", torch.arange(4))
        self.scale = nn.Parameter(torch.tensor(0.5))


def trained(width: int = 3, steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = Tied(width)
    optimizer = create_optimizer(model, Recipe(lr=0.1))
    for _ in range(steps):
        model.outer(model.inner(torch.rand(2, width))).sum().mul(model.scale).backward()
        optimizer.step()
    return model, optimizer


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    moments = [sorted(each.items()) for each in optimizer.state_dict()["state"].values()]
    return repr((model.state_dict(), moments, torch.get_rng_state().tolist()))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path, *trained(), global_step=2, history={"tokens": 10, "loss0": 0.1 + 0.2})
    return tmp_path / CHECKPOINT_FILE


def test_a_checkpoint_restores_everything(tmp_path: Path) -> None:
    source = trained()
    torch.manual_seed(77)
    save_checkpoint(tmp_path, *source, global_step=2, history={"loss0": 0.1 + 0.2})
    expected = state(*source)
    target = trained(steps=0)
    assert load_checkpoint(tmp_path, *target) == ResumeState(2, {"loss0": 0.1 + 0.2})
    assert state(*target) == expected
    model, _ = target
    assert isinstance(model, Tied)
    assert model.outer.weight is model.inner.weight


def test_a_tied_weight_is_written_once(saved: Path) -> None:
    header = saved.read_bytes()
    names = json.loads(header[8 : 8 + struct.unpack("<Q", header[:8])[0]])
    assert {"model.inner.weight", "model.outer.weight"} & names.keys() == {"model.inner.weight"}


def test_without_a_checkpoint_training_starts(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, *trained()) == ResumeState()


@settings(max_examples=scaled(60), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_single_flipped_bit_is_detected(saved: Path, data: st.DataObject) -> None:
    whole = saved.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    saved.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :])
    target = trained(steps=1)
    before = state(*target)
    try:
        assert load_checkpoint(saved.parent, *target) == ResumeState()
        assert state(*target) == before  # nothing was loaded from the damaged file
    finally:
        saved.write_bytes(whole)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_a_truncated_file_is_ignored(saved: Path, length: int) -> None:
    saved.write_bytes(saved.read_bytes()[:length])
    assert load_checkpoint(saved.parent, *trained()) == ResumeState()


def test_a_checkpoint_of_another_model_is_ignored(saved: Path) -> None:
    target = trained(width=5)
    before = state(*target)
    assert load_checkpoint(saved.parent, *target) == ResumeState()
    assert state(*target) == before


def test_a_failed_write_keeps_the_last_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(saved.parent, *trained(steps=3), global_step=3, history={})
    assert saved.read_bytes() == before


def test_temporary_files_of_killed_processes_are_removed(saved: Path) -> None:
    (saved.parent / f".{CHECKPOINT_FILE}.new").write_bytes(b"half a file")
    (saved.parent / ".tmpAbC").write_bytes(b"safetensors writes temporary files too")
    assert load_checkpoint(saved.parent, *trained()).global_step == 2
    assert [path.name for path in saved.parent.iterdir()] == [CHECKPOINT_FILE]


def test_best_weights_are_saved_beside_the_current_ones(tmp_path: Path) -> None:
    model, optimizer = trained(steps=1)
    best = copy_weights(model)
    for parameter in model.parameters():
        parameter.data.add_(1.0)
    now = copy_weights(model)
    save_checkpoint(tmp_path, model, optimizer, global_step=3, history={}, best_weights=best)
    target, its_optimizer = trained(steps=0)
    found = load_checkpoint(tmp_path, target, its_optimizer)
    assert found.best_weights.keys() == best.keys()
    assert all(torch.equal(found.best_weights[name], best[name]) for name in best)
    assert all(torch.equal(copy_weights(target)[name], now[name]) for name in now)
    restore_weights(target, found.best_weights)
    assert all(torch.equal(copy_weights(target)[name], best[name]) for name in best)
    assert isinstance(target, Tied)
    assert target.outer.weight is target.inner.weight


def test_a_checkpoint_with_other_resume_invariants_is_ignored(tmp_path: Path) -> None:
    assert read_resume_invariants(tmp_path) == {}
    save_checkpoint(tmp_path, *trained(), global_step=2, history={}, resume_invariants={"budget": "4096"})
    assert read_resume_invariants(tmp_path) == {"budget": "4096"}
    assert load_checkpoint(tmp_path, *trained(), {"budget": "4096"}).global_step == 2
    before = state(*(target := trained(steps=1)))
    # another budget rounds differently: a run of two halves would equal neither
    assert load_checkpoint(tmp_path, *target, {"budget": "1024"}) == ResumeState()
    assert load_checkpoint(tmp_path, *target) == ResumeState()
    assert state(*target) == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08\0\0\0\0\0\0\0{      }"])
def test_resume_invariants_of_a_damaged_checkpoint_are_empty(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    assert read_resume_invariants(tmp_path) == {}


def test_a_checkpoint_of_another_version_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_VERSION", "1")
    save_checkpoint(tmp_path, *trained(), global_step=2, history={"loss0": 1.0})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path, *trained()) == ResumeState()


def test_write_time_is_estimated_with_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5])
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(checkpoint, "PROBE_BYTES", 1000)
    assert estimate_write_seconds(tmp_path, 8000) == pytest.approx(0.5 * 8)
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_bytes_match_the_file_size(saved: Path) -> None:
    model, optimizer = trained()
    best = copy_weights(model)
    save_checkpoint(saved.parent, model, optimizer, global_step=2, history={}, best_weights=best)
    header = struct.unpack("<Q", saved.read_bytes()[:8])[0]
    random_state = torch.get_rng_state().nbytes
    assert checkpoint_bytes(model, optimizer, best) == pytest.approx(
        saved.stat().st_size - 8 - header - random_state, abs=16
    )
