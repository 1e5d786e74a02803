"""Choose how many tokens may go through a model at once, from the memory of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from xlift.memory import MAX_TOKENS_CPU, MAX_TOKENS_GPU, MEMORY_SHARE, choose_token_budget
from xlift.recipes import WORKERS_PER_GPU

CGROUP_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files in which Linux gives the memory limit of a container or a cluster job."""


@dataclass(frozen=True)
class MachineLimits:
    """What a process may use."""

    memory: int
    """Total bytes. Free bytes would vary, and a machine must always choose the same budget."""
    num_processes: int
    """Processes that share the memory."""
    max_tokens: int
    """Number of tokens above which nothing is faster."""


def token_budget(static: float, per_token: float, device: torch.device) -> int:
    """The largest power of two of tokens whose activations fit beside weights, gradients and moments.

    Args:
        static: bytes of weights, gradients and moments.
        per_token: bytes of activations.
    """
    machine = machine_limits(device)
    available = MEMORY_SHARE * machine.memory / machine.num_processes - static
    return choose_token_budget(available, per_token, machine.max_tokens)


def machine_limits(device: torch.device) -> MachineLimits:
    """Limits of this machine. A CPU runs as many training jobs at once as it has processors, a GPU one, unless workers share it
    (execution/executors)."""
    if device.type == "cuda":
        num_workers = int(os.environ.get(WORKERS_PER_GPU, "1"))
        return MachineLimits(torch.cuda.get_device_properties(device).total_memory, num_workers, MAX_TOKENS_GPU)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMIT_FILES:
        if path.is_file() and (limit := path.read_text().strip()).isdecimal():
            memory = min(memory, int(limit))
    num_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return MachineLimits(memory, num_processors, MAX_TOKENS_CPU)
