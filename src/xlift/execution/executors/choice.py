"""`--executor` and `--executor-option`: which executor runs the jobs, checked before anything starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.errors import UserError, did_you_mean
from xlift.studies.placement import default_workers, slots_by_job
from xlift.studies.plan import Plan
from xlift.studies.study_file import StudyFile

if TYPE_CHECKING:
    from xlift.execution.executors.base import Executor
    from xlift.execution.executors.remote import Launcher
    from xlift.execution.executors.server import Server
    from xlift.execution.remote_study import RemoteStudy
    from xlift.execution.work.shared import Context

    Warn = Callable[[str], object]
    OpenExecutor = Callable[[Context, int, Warn], Executor]

EXECUTORS = ("local", "ray", "slurm")
_ANY = "any"
_OPTIONS: dict[str, dict[str, Any]] = {
    "local": {},
    "ray": {
        "num_cpus": float, "num_gpus": float, "memory": int, "accelerator_type": str, "host": str, "port": int,
    },
    "slurm": {
        "cluster": str, "folder": str, "host": str, "port": int,
        # submitit's names
        "timeout_min": int, "mem_gb": float, "cpus_per_task": int, "gpus_per_node": int, "partition": str, "account": str,
        "qos": str, "constraint": str, "gres": str, "nodelist": str, "exclude": str, "comment": str, "array_parallelism": int,
        "signal_delay_s": int, "setup": list,
    },
}  # fmt: skip
"""Executor -> option -> type of its value."""
_SHARED = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")
"""Options of every cluster that submitit knows; the others are Slurm's alone."""
DEFAULT_MINUTES = 60
"""Of a worker in Slurm."""
ADDRESS_TIMEOUT = 5.0


@dataclass(frozen=True)
class ExecutorChoice:
    name: str = "local"
    address: str = ""
    """Of a Ray cluster."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        return self.name != "local"

    def num_workers(self, plan: Plan, requested: int | None) -> int:
        """How many workers to start. Raises UserError where the number must be given."""
        if not self.is_remote:
            return default_workers(plan.engine) if requested is None else requested
        if not requested:
            what = "how many workers to start is not given" if requested is None else "a cluster needs workers"
            raise UserError(what, where=f"--executor {self.name}", fix="add --workers N.")
        return requested

    def opener(self, file: StudyFile, plan: Plan, data: Path | None, store: str) -> OpenExecutor | None:
        """A function that opens the executor for `scheduler.run_plan`; None for its default."""
        if not self.is_remote:
            return None
        from xlift.execution.remote_study import RemoteStudy

        return partial(self._open, RemoteStudy.of(file, data, store), plan)

    def _open(self, study: RemoteStudy, plan: Plan, context: Context, workers: int, warn: Warn) -> Executor:
        from xlift.execution.executors.remote import RemoteExecutor
        from xlift.execution.executors.server import Server
        from xlift.execution.remote_study import digest_of

        host, port = self.options.get("host", ""), self.options.get("port", 0)
        server = Server([host] if host else [], port, only_here=self.options.get("cluster") == "local")
        try:
            launcher = (self._open_ray if self.name == "ray" else self._open_slurm)(server, plan)
        except BaseException:
            server.close()
            raise
        return RemoteExecutor(server, launcher, study, digest_of(plan), context.repeated, workers, warn)

    def _open_ray(self, server: Server, plan: Plan) -> Launcher:
        from xlift.execution.executors.ray_cluster import RayLauncher

        options = {key: value for key, value in self.options.items() if key not in ("host", "port")}
        devices = 0 if all(plan.engine_of(key).device == "cpu" for key in plan.jobs) else _most_devices(plan)
        return RayLauncher(
            server, self.address, {"num_cpus": _most_threads(plan), **options}, devices, must_have_gpu=_needs_gpu(plan)
        )

    def _open_slurm(self, server: Server, plan: Plan) -> Launcher:
        from xlift.execution.executors.slurm import SlurmLauncher

        cluster = self.options.get("cluster", "slurm")
        parameters: dict[str, Any] = {
            "name": f"xlift-{plan.name}",
            "timeout_min": DEFAULT_MINUTES,
            "cpus_per_task": _most_threads(plan),
        }
        if _needs_gpu(plan):
            parameters["gpus_per_node"] = _most_devices(plan)
        for key, value in self.options.items():
            if key not in ("host", "port", "folder", "cluster"):
                parameters[key if key in _SHARED else f"slurm_{key}"] = value
        return SlurmLauncher(server, cluster, Path(self.options.get("folder", "xlift-slurm")), parameters)


def choose_executor(text: str, options: Sequence[str] = ()) -> ExecutorChoice:
    """Parse `--executor` and `--executor-option`, and check that the executor can be used here.

    Raises:
        UserError: an unknown executor or option, an extra that is not installed, a Ray cluster that does not answer, or no `sbatch`.
    """
    name, _, address = text.partition(":")
    if name not in EXECUTORS or (address and name != "ray"):
        raise UserError(
            f"unknown executor '{text}'", where="--executor",
            fix=f"{did_you_mean(name, EXECUTORS)}Write local, ray, ray:ADDRESS or slurm.",
        )  # fmt: skip
    parsed = dict(_parse_option(name, option) for option in options)
    package = {"ray": "ray", "slurm": "submitit"}.get(name)
    if package and find_spec(package) is None:
        raise UserError(
            f"the package {package} is not installed",
            where=f"--executor {name}",
            fix=f"`pip install 'xlift[{name}]'` installs it.",
        )
    if name == "ray":
        _check_address(address or os.environ.get("RAY_ADDRESS", ""))
    if name == "slurm":
        from xlift.execution.executors.slurm import check_slurm

        if parsed.get("cluster", "slurm") not in ("slurm", "local"):
            raise UserError("expected slurm or local", where=f"--executor-option cluster={parsed['cluster']}")
        check_slurm(parsed.get("cluster", "slurm"))
    return ExecutorChoice(name, address, parsed)


def _parse_option(executor: str, option: str) -> tuple[str, Any]:
    where, (key, equals, text) = f"--executor-option {option}", option.partition("=")
    allowed = _OPTIONS[executor]
    if not allowed:
        raise UserError("the local executor has no options", where=where, fix="add --executor ray or --executor slurm.")
    if key not in allowed or not equals:
        raise UserError(
            f"unknown option '{key}'" if equals else "expected KEY=VALUE", where=where,
            fix=f"{did_you_mean(key, list(allowed))}Options of {executor}: {', '.join(allowed)}.",
        )  # fmt: skip
    kind = allowed[key]
    if kind is list:
        return key, [text]
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"expected {'a whole number' if kind is int else 'a number'}", where=where) from None
    if kind in (int, float) and value < 0:
        raise UserError("expected 0 or more", where=where)
    return key, value


def _check_address(address: str) -> None:
    """Raises UserError if no program listens at the address of a Ray cluster, since Ray itself tries for a long time."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("", "auto", "local"):
        return
    where = f"--executor ray:{address}"
    if not host or not port.isdecimal():
        raise UserError(
            "expected HOST:PORT",
            where=where,
            fix="the head node's port is 6379 unless `ray start --port` says otherwise.",
        )
    try:
        socket.create_connection((host, int(port)), timeout=ADDRESS_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster answers at {host} port {port}: {error}", where=where,
            fix="check the address, and that the cluster runs: `ray status` on its head node.",
        ) from None  # fmt: skip


def _most_threads(plan: Plan) -> int:
    """Processors for the widest job."""
    return max(slots_by_job(plan, gpu=False).values(), default=1)


def _most_devices(plan: Plan) -> int:
    return max((plan.engine_of(key).devices for key in plan.jobs), default=1)


def _needs_gpu(plan: Plan) -> bool:
    return any(plan.engine_of(key).device == "cuda" for key in plan.jobs)
