"""Shared tools of the benchmarks: contestants run in turns (A B C A B C ...), so that a slower machine slows all of
them.

A contestant is a function, or a command that prints its results as a line of JSON. It is a separate process if memory
is measured or if the imports of one contestant would help another. Two never run at once.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

MARK = "@@"
"""Prefix of the output line with the results of a process."""


def time_in_turns(
    contestants: Mapping[str, Callable[[], object]], repeats: int, warmups: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round in range(-warmups, repeats):
        for name, function in contestants.items():
            start_time = time.perf_counter()
            function()
            if round >= 0:
                seconds[name].append(time.perf_counter() - start_time)
    return seconds


def run_in_processes(
    contestants: Mapping[str, Sequence[str]], repeats: int, environment: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The results that each process reported (`report_results`), by name. `contestants` are commands; their stderr is
    passed on."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for round in range(repeats):
        for name, command in contestants.items():
            print(f"round {round + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            process = subprocess.run(
                command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=False
            )
            lines = [line for line in process.stdout.splitlines() if line.startswith(MARK)]
            if process.returncode or not lines:
                sys.exit(f"{name} failed (exit status {process.returncode}): {' '.join(command)}\n{process.stdout}")
            results[name].append(json.loads(lines[-1].removeprefix(MARK)))
    return results


def report_results(results: Mapping[str, Any]) -> None:
    """In the process of a contestant: send the results to the process that started it."""
    print(f"{MARK}{json.dumps(results)}", flush=True)


def peak_megabytes() -> float:
    """Peak memory of this process, with interpreter and libraries."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux, ru_maxrss starts at the memory of the parent at the fork
        match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        assert match
        return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def spread(values: Iterable[float], form: str = ",.2f") -> str:
    """'1.25 (1.20 to 1.31)': median, minimum and maximum; a single value is printed alone."""
    values = list(values)
    center = format(median(values), form)
    return center if len(values) == 1 else f"{center} ({min(values):{form}} to {max(values):{form}})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ratios round by round, so that a slow round cancels out."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with numbers aligned right, as in docs/benchmarks.md."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
