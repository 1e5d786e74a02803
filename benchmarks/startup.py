"""Start-up seconds of commands that have nothing to compute.

    python benchmarks/startup.py [--store DIR]

The store must hold a finished quickstart (`make demo` leaves one in ./xlift-store).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

COMMANDS = (["--help"], ["tasks"], ["plan", "quickstart"], ["run", "quickstart"], ["report", "quickstart"])


def time_command(arguments: list[str]) -> float:
    start_time = time.perf_counter()
    subprocess.run([sys.executable, "-m", "xlift", *arguments], check=True, capture_output=True)
    return time.perf_counter() - start_time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="xlift-store")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{'command':24} {'best':>6} {'median':>6}   of {options.repeats}, seconds")
    for command in COMMANDS:
        arguments = command if command[0] in ("--help", "tasks") else [*command, "--store", options.store]
        times = sorted(time_command(arguments) for _ in range(options.repeats))
        print(f"{'xlift ' + ' '.join(command):24} {times[0]:6.2f} {times[len(times) // 2]:6.2f}")


if __name__ == "__main__":
    main()
