"""Checkpoints: one file, replaced atomically, with all that a resumed run needs to end in the same bytes.

A checkpoint has the trainable weights, the optimizer's moments, the random state of every rank, the step, the training
history and, with early stopping, the best weights so far. The schedule depends on the seed alone and is not saved. The file
contains a digest of its content, since damaged weights would lead to plausible but wrong results.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xlift.training.devices import ProcessGroup, full_tensor, local_tensor, set_random_state, shard_like

CHECKPOINT_FILE = "checkpoint.safetensors"
CHECKPOINT_VERSION = "4"
"""Version of the file format. Checkpoints of other versions are not resumed."""
PROBE_BYTES = 16 << 20
"""Bytes that are written to measure the speed of a disk."""


@dataclass(frozen=True)
class ResumeState:
    """What `load_checkpoint` returns. The default is the start of a run."""

    global_step: int = 0
    """Steps done."""
    history: dict[str, Any] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    global_step: int,
    history: Mapping[str, Any],
    *,
    resume_invariants: Mapping[str, str] | None = None,
    best_weights: Mapping[str, Tensor] | None = None,
    process_group: ProcessGroup | None = None,
) -> None:
    """Write a new file and rename it, so that a kill leaves the last checkpoint unchanged. All ranks must call this; the
    main process writes.

    Args:
        global_step: steps done.
        history: the training history, as JSON; `load_checkpoint` returns it.
        resume_invariants: settings that must be the same when the run resumes (`read_resume_invariants`).
        best_weights: copy of the best weights so far (`copy_weights`).

    Raises:
        OSError, SafetensorError: the disk is full or not writable.
    """
    process_group = process_group or ProcessGroup()
    tensors: dict[str, Tensor] = {}

    def add(name: str, tensor: Tensor) -> None:
        full = full_tensor(tensor.detach())
        if process_group.is_main_process:  # gathered tensors go to the CPU, as a GPU might not hold all of them
            tensors[name] = (full if full is tensor else full.cpu()).contiguous()

    for name, tensor in _trainable_state(model).items():
        add(f"model.{name}", tensor)
    for name, tensor in (best_weights or {}).items():
        add(f"best.{name}", tensor)
    for index, parameter in enumerate(_optimizer_parameters(optimizer)):
        for name, value in optimizer.state[parameter].items():
            add(f"optimizer.{index}.{name}", value)
    for rank, random_state in enumerate(process_group.gather_random_states()):
        add(f"random.{rank}", random_state)
    metadata = {
        "version": CHECKPOINT_VERSION,
        "step": str(global_step),
        "history": json.dumps(history),
        "resume_invariants": json.dumps(dict(resume_invariants or {})),
    }
    if process_group.is_main_process:
        _write(folder, tensors, metadata)
    process_group.barrier()


def _write(folder: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    temporary = folder / f".{CHECKPOINT_FILE}.new"
    save_file(tensors, temporary, metadata={**metadata, "sha256": _digest(tensors, metadata)})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, folder / CHECKPOINT_FILE)


def read_resume_invariants(folder: Path) -> dict[str, str]:
    """Read the resume invariants of the checkpoint in a folder, before anything is built; {} if there is none.

    They are settings that a run chose by its machine and that change rounding (the token budget). A resumed run takes them
    from here. A checkpoint with other damage may still contain them; the run then restarts with the same settings.
    """
    try:
        with safe_open(folder / CHECKPOINT_FILE, framework="pt") as file:
            return json.loads((file.metadata() or {})["resume_invariants"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    resume_invariants: Mapping[str, str] | None = None,
    process_group: ProcessGroup | None = None,
) -> ResumeState:
    """Load the last checkpoint into model, optimizer and random state. All ranks must call this. A rank that the saved run
    did not have keeps its random state.

    Returns:
        The default if there is no checkpoint, or if it is damaged, of another model or has other resume invariants. Nothing
        is changed then, and training restarts.
    """
    path = folder / CHECKPOINT_FILE
    for temporary in folder.glob(".*"):  # left by a process that was killed while writing; may be large
        temporary.unlink(missing_ok=True)  # another rank may have deleted it; no rank is writing now
    if not path.is_file():
        return ResumeState()
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except SafetensorError:
        return ResumeState()
    weights = _select_prefix(tensors, "model.")
    if metadata.pop("sha256", "") != _digest(tensors, metadata) or not _shapes_match(weights, _trainable_state(model)):
        return ResumeState()
    if metadata.get("version") != CHECKPOINT_VERSION:
        return ResumeState()
    if json.loads(metadata["resume_invariants"]) != dict(resume_invariants or {}):
        return ResumeState()
    restore_weights(model, weights)
    for index, parameter in enumerate(_optimizer_parameters(optimizer)):
        moments = _select_prefix(tensors, f"optimizer.{index}.")
        optimizer.state[parameter] = {
            # the step count is a scalar, which is never sharded
            name: shard_like(value, parameter) if value.dim() else value.to(parameter.device)
            for name, value in moments.items()
        }
    process_group = process_group or ProcessGroup()
    if (random_state := tensors.get(f"random.{process_group.rank}")) is not None:
        set_random_state(random_state, process_group.device)
    best_weights = _select_prefix(tensors, "best.")
    return ResumeState(int(metadata["step"]), json.loads(metadata["history"]), best_weights)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy the trainable weights and buffers to the CPU, for `restore_weights`."""
    return {name: full_tensor(tensor.detach()).to("cpu", copy=True) for name, tensor in _trainable_state(model).items()}


@torch.no_grad()
def restore_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in _trainable_state(model).items():
        tensor.copy_(shard_like(weights[name], tensor))


def checkpoint_bytes(model: nn.Module, optimizer: torch.optim.Optimizer, best_weights: Mapping[str, Tensor]) -> int:
    """Size of the tensors of a checkpoint in bytes."""
    moments = (value for parameter in _optimizer_parameters(optimizer) for value in optimizer.state[parameter].values())
    return sum(tensor.nbytes for tensor in (*_trainable_state(model).values(), *best_weights.values(), *moments))


def estimate_write_seconds(folder: Path, size: int) -> float:
    """Estimate the seconds to write a checkpoint of `size` bytes, by writing and deleting a small file."""
    probe = folder / f".{CHECKPOINT_FILE}.probe"
    content = os.urandom(min(size, PROBE_BYTES))
    started = time.monotonic()
    hashlib.sha256(content)
    with probe.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - started
    probe.unlink()
    return seconds * size / max(1, len(content))


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of the metadata and of the names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _select_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes_match(saved: Mapping[str, Tensor], current: Mapping[str, Tensor]) -> bool:
    """Whether the weights of a checkpoint have the names and shapes of the model's."""
    shapes = {name: tensor.shape for name, tensor in saved.items()}
    return shapes == {name: tensor.shape for name, tensor in current.items()}


def _trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """Buffers and trainable parameters, each storage once (tied embeddings have two names). Frozen parameters are not saved,
    since the base model has them."""
    seen: set[int] = set()
    result = {}
    names = {name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    names |= {name for name, _ in model.named_buffers(remove_duplicate=False)}
    for name, tensor in model.state_dict().items():
        if name not in names:
            continue
        shard = local_tensor(tensor)
        if shard.data_ptr() not in seen or shard.numel() == 0:
            seen.add(shard.data_ptr())
            result[name] = tensor
    return result


def _optimizer_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
