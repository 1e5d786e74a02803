"""Ray: every worker is a task that waits for its place in the cluster, so an autoscaling cluster starts nodes for it.

The task starts the worker as a process of its own, with the environment that numerical libraries read when they are imported. It gets the
token as an argument, which no log and no dashboard shows. Ray does not retry the tasks: the executor replaces lost workers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.execution.executors.server import Server
from xlift.execution.remote_worker import CONNECTION, WATCH_STDIN
from xlift.recipes import WORKERS_PER_GPU

_OUTPUT = 800
"""Characters of a worker's output in an error."""


class RayLauncher:
    """
    Args:
        address: of the cluster; '' for that of RAY_ADDRESS or of this machine, else a new one on this machine.
        resources: of each worker, for `ray.remote`: num_cpus, num_gpus and others.
        devices: GPUs of each worker if `resources` does not say it, and if the cluster has GPUs or `must_have_gpu`.
    """

    name, check_seconds = "Ray", 2.0

    def __init__(
        self, server: Server, address: str, resources: Mapping[str, Any], devices: int, *, must_have_gpu: bool
    ) -> None:
        import ray

        self.ray, self.settings = ray, json.dumps(server.connection_settings())
        self.was_initialized = ray.is_initialized()
        if not self.was_initialized:
            connect(address)
        if must_have_gpu or ray.cluster_resources().get("GPU"):
            resources = {"num_gpus": devices, **resources}
        num_gpus = resources.get("num_gpus") or 0
        share = round(1 / num_gpus) if 0 < num_gpus < 1 else 1
        self.variables = {WORKERS_PER_GPU: str(share)}
        # a task that Ray retries would run beside the worker that replaces it
        self.task = ray.remote(max_retries=0, **resources)(run_worker)
        self.resources = resources
        self.tasks: dict[int, Any] = {}

    def start(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.tasks[number] = self.task.remote(number, self.settings, self.variables)

    def find_ended(self, numbers: Collection[int]) -> set[int]:
        by_task = {self.tasks[number]: number for number in numbers}
        if not by_task:
            return set()
        ended, _ = self.ray.wait(list(by_task), num_returns=len(by_task), timeout=0, fetch_local=False)
        return {by_task[task] for task in ended}

    def explain_end(self, number: int) -> str:
        try:
            return f"the end of its output:\n{self.ray.get(self.tasks[number], timeout=5)}"
        except Exception as error:  # Ray has many classes for lost tasks
            return str(error).strip()[-_OUTPUT:]

    def explain_wait(self) -> str:
        wanted = ", ".join(f"{name}={value}" for name, value in self.resources.items())
        free = {
            name: value for name, value in self.ray.available_resources().items() if name in ("CPU", "GPU", "memory")
        }
        return f"A worker needs {wanted}; free in the cluster are {free or 'none'}. `ray status` shows what the cluster waits for."

    def close(self, numbers: Collection[int]) -> None:
        for number in numbers:
            with suppress(Exception):  # the cluster may be gone
                self.ray.cancel(self.tasks[number], force=True)
        if not self.was_initialized:
            self.ray.shutdown()


def connect(address: str) -> None:
    """Connect to a cluster, or start one on this machine. Raises UserError."""
    import ray

    options: dict[str, Any] = {"address": address or None, "log_to_driver": False, "configure_logging": False}
    if not address and "RAY_ADDRESS" not in os.environ:
        options["include_dashboard"] = False
    try:
        ray.init(**options)
    except Exception as error:  # ConnectionError, and others by the kind of address
        raise UserError(
            f"the Ray cluster does not answer: {str(error).strip()[:_OUTPUT]}", where=f"--executor ray:{address}",
            fix="give the address of its head node, such as ray:10.0.0.1:6379; `ray status` there shows whether it runs.",
        ) from None  # fmt: skip


def run_worker(number: int, settings: str, variables: Mapping[str, str]) -> str:
    """Run a worker in a process of its own to its end. Ray runs this function on a node. Returns the end of the output."""
    spec = find_spec("xlift")
    assert spec is not None
    assert spec.origin is not None
    source = str(Path(spec.origin).parents[1])  # the package that this process has, where it is not installed
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH", ""))))
    process = subprocess.Popen(
        [sys.executable, "-m", "xlift.execution.remote_worker", str(number)],
        env={**os.environ, **variables, "PYTHONPATH": path, CONNECTION: settings, WATCH_STDIN: "1"},
        stdin=subprocess.PIPE,  # it ends with this process, also when that is killed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = b""
    while line := process.stdout.readline():
        output = (output + line)[-_OUTPUT:]
    process.wait()
    return output.decode(errors="replace")
