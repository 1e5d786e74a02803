"""What the benchmarks share: contestants take turns (A B C A B C ...), so that a machine that slows down slows all of them.

A contestant is a function, or a command that prints its numbers as a line of JSON: a process of its own, where memory
is to be told or where what one imports would help another. Never two at once.
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
"""Begins the line of a process's output that holds its numbers."""


def in_turn(contestants: Mapping[str, Callable[[], object]], repeats: int, warmups: int = 1) -> dict[str, list[float]]:
    """Seconds of each call, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round in range(-warmups, repeats):
        for name, function in contestants.items():
            started = time.perf_counter()
            function()
            if round >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def in_processes(
    contestants: Mapping[str, Sequence[str]], repeats: int, environment: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What each process told (`tell`), by name; `contestants` are commands. What they say on stderr is passed on."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for round in range(repeats):
        for name, command in contestants.items():
            print(f"round {round + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            process = subprocess.run(
                command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=False
            )
            lines = [line for line in process.stdout.splitlines() if line.startswith(MARK)]
            if process.returncode or not lines:
                sys.exit(f"{name} failed (exit status {process.returncode}): {' '.join(command)}\n{process.stdout}")
            told[name].append(json.loads(lines[-1].removeprefix(MARK)))
    return told


def tell(numbers: Mapping[str, Any]) -> None:
    """In a contestant's process: give the numbers to the one that started it."""
    print(f"{MARK}{json.dumps(numbers)}", flush=True)


def peak_megabytes() -> float:
    """The most memory that this process has held: interpreter, libraries and data."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, where ru_maxrss would begin at what the parent held when it forked
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        assert found
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def spread(values: Iterable[float], form: str = ",.2f") -> str:
    """'1.25 (1.20 to 1.31)': median, least and largest; only the value where there is one."""
    values = list(values)
    middle = format(median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that what slowed a whole round cancels out."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """In Markdown, numbers on the right, as docs/benchmarks.md has it."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
