"""Where the jobs of a plan run on this machine: whether a GPU does the work, threads, processes and worker slots per job, and which
experiment trackers are installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from xlift.recipes import WORKERS_PER_GPU, Engine, num_threads
from xlift.studies.job import PretrainSpec
from xlift.studies.plan_types import Plan
from xlift.units import count_noun

GPUS = Path("/proc/driver/nvidia/gpus")
"""Linux has a folder here for each NVIDIA device. Reading it avoids importing torch, which takes seconds."""

TRACKER_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}
"""Packages, one of which a tracker needs; the others need the one of their own name."""


def has_tracker(name: str) -> bool:
    """Whether the package of an experiment tracker is installed."""
    return any(find_spec(package) for package in TRACKER_PACKAGES.get(name, (name,)))


def describe_missing_trackers(engine: Engine) -> list[str]:
    """A warning for each tracker of `report_to` that is not installed, and that a run therefore leaves out."""
    return [
        f"`report_to`: {name} is not installed here, so nothing is sent to it; `pip install {name}` installs it."
        for name in engine.report_to
        if not has_tracker(name)
    ]


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: numbers, or names such as 'GPU-8a56' or 'MIG-1f2e'.

    As in CUDA, an entry that names no GPU ends the list, and a number may have blanks around it.
    """
    number = len(list(GPUS.glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(index) for index in range(number)]
    gpus: list[str] = []
    for entry in map(str.strip, visible.split(",")):
        is_gpu = int(entry) < number if entry.isdecimal() else entry.startswith(("GPU-", "MIG-")) and number > 0
        if not is_gpu:
            break
        gpus.append(entry)
    return gpus


def uses_gpu(engine: Engine) -> bool:
    """Whether a GPU of this machine does the work."""
    return engine.device != "cpu" and bool(visible_gpus())


def default_workers(engine: Engine) -> int:
    """One worker per GPU, or without GPUs one per processor that this process may use."""
    if uses_gpu(engine):
        return len(visible_gpus())
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_environment(gpus: Sequence[str], num_workers: int, num_gpus: int) -> dict[str, str]:
    """Environment variables of a worker that has some GPUs; none on a CPU.

    Args:
        num_workers: workers on this machine, which share its `num_gpus` GPUs if they are more.
    """
    if not gpus:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), WORKERS_PER_GPU: str(ceil(num_workers / num_gpus))}


def describe_workers(number: int, engine: Engine) -> str:
    """'2 workers' on a CPU; '4 workers, each with its own GPU (0, 1, 2, 3)'."""
    workers, gpus = count_noun(number, "worker"), visible_gpus()
    if not uses_gpu(engine):
        return workers
    if number > len(gpus):
        return f"{workers} that share {count_noun(len(gpus), 'GPU')} ({', '.join(gpus)})"
    used = ", ".join(gpus[:number])
    return f"1 worker on GPU {used}" if number == 1 else f"{workers}, each with its own GPU ({used})"


def root_by_job(plan: Plan) -> dict[str, str]:
    """Key of a job -> fingerprint of its pretrained model, or key of the job that pretrains it."""
    roots: dict[str, str] = {}
    for job in plan.jobs.values():
        start = job.start
        roots[job.key] = (start.fingerprint or roots[start.job]) if start else job.key
    return roots


def threads_by_job(plan: Plan) -> dict[str, int]:
    """Key -> threads of each process of the job. They depend on the hidden size, which no stage changes."""
    roots = root_by_job(plan)
    hidden_sizes = {fingerprint: shape.hidden_size for fingerprint, shape in plan.model_shapes().items() if shape}
    for job in plan.jobs.values():
        if isinstance(job.spec, PretrainSpec):
            hidden_sizes[job.key] = job.spec.architecture.hidden_size
    return {
        key: num_threads(job.kind, hidden_sizes.get(roots[key]), plan.engine_of(key)) for key, job in plan.jobs.items()
    }


def num_processes(kind: str, engine: Engine) -> int:
    """Processes of a job: a training stage has one for each device."""
    return engine.devices if kind == "train" else 1


def slots_by_job(plan: Plan, *, gpu: bool) -> dict[str, int]:
    """Key -> worker slots of the job: one per process or, without a GPU, one per thread of each process."""
    threads = {} if gpu else threads_by_job(plan)
    return {key: threads.get(key, 1) * num_processes(job.kind, plan.engine_of(key)) for key, job in plan.jobs.items()}
