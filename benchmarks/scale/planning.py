"""Time and memory of `xlift plan`, in a process of its own."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from benchmarks.scale.study import DEVICE, STUDY, seeds_option


def plan_command(jobs: int, store: str, workers: int) -> list[str]:
    """The words of `xlift plan` after `xlift`."""
    words = ["plan", str(STUDY), "--set", seeds_option(jobs), "--store", store]
    return [*words, "--estimate-for", DEVICE, "--workers", str(workers)]


def measure_plan(jobs: int, workers: int) -> tuple[float, float, float, str]:
    """Processor seconds, wall seconds, peak bytes and the line of `xlift plan` with the number of jobs."""
    with tempfile.TemporaryDirectory() as store:
        words = [sys.executable, "-m", "xlift", *plan_command(jobs, store, workers)]
        started = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    if status:
        raise SystemExit("xlift plan failed")
    line = next(line for line in text.splitlines() if " cells of the table" in line or " jobs (" in line)
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * scale, line


def profile_plan(jobs: int, workers: int, count: int) -> str:
    """The functions of `xlift plan` that take the most processor time, their calls included."""
    from xlift import cli

    profile = cProfile.Profile(time.process_time)
    hidden = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as store,
        mock.patch.object(sys, "argv", ["xlift", *plan_command(jobs, store, workers)]),
        redirect_stdout(hidden),
        redirect_stderr(hidden),
    ):
        try:
            profile.runcall(cli.main)
        except SystemExit:
            profile.disable()
    out = io.StringIO()
    pstats.Stats(profile, stream=out).sort_stats("cumtime").print_stats(count)
    return out.getvalue()
