"""What a hundred thousand jobs and ten million rows take: planning, the store, the scheduler, SQL and reports.

    python -m benchmarks.scale plan --jobs 100000
    python -m benchmarks.scale plan --jobs 10000 --profile

Nothing is trained and nothing is downloaded.
"""

from __future__ import annotations

import argparse

from benchmarks.timing import table
from xlift.units import format_gigabytes


def plan(options: argparse.Namespace) -> None:
    from benchmarks.scale.planning import measure_plan, profile_plan

    if options.profile:
        return print(profile_plan(options.jobs, options.gpus, options.profile))
    cpu, wall, memory, line = measure_plan(options.jobs, options.gpus)
    print(line)
    print(table(("xlift plan", ""), [
        ("processor seconds", f"{cpu:.1f}"), ("wall seconds", f"{wall:.1f}"), ("peak memory", format_gigabytes(memory))
    ]))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    each = commands.add_parser("plan", help="time and memory of `xlift plan`")
    each.add_argument("--jobs", type=int, default=100_000)
    each.add_argument("--gpus", type=int, default=1000)
    each.add_argument("--profile", type=int, nargs="?", const=60, help="print so many lines of a profile instead")
    each.set_defaults(run=plan)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
