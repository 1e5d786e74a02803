"""What a hundred thousand jobs and ten million rows take: planning, the store, the scheduler, SQL and reports.

    python -m benchmarks.scale plan --jobs 100000
    python -m benchmarks.scale store --jobs 100000
    python -m benchmarks.scale simulate --jobs 100000 --gpus 1000 --failures 0.01
    python -m benchmarks.scale scores --rows 10000000
    python -m benchmarks.scale requests

Nothing is trained and nothing is downloaded. `plan --profile` prints where the time goes. Memory is that of the whole process. The
jobs are those of `studies/full/english-intermediate.yaml` with more seeds; the rows are made up.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

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


def simulate(options: argparse.Namespace) -> None:
    from benchmarks.scale.simulation import WINDOW, Costs, Result
    from benchmarks.scale.simulation import simulate as run_simulation
    from benchmarks.scale.study import DEVICE, make_study_plan
    from xlift.units import format_duration

    study_plan = make_study_plan(options.jobs)
    expected = Costs.of(study_plan, DEVICE, options.gpus)
    costs = Costs.of(study_plan, DEVICE, options.gpus, options.spread)
    shares = [0.0, options.failures] if options.failures else [0.0]
    runs = [
        run_simulation(study_plan, costs, options.gpus, lambda job: expected.seconds[job.key], share)
        for share in shares
    ]

    def line(name: str, describe: Callable[[Result], str]) -> tuple[str, ...]:
        return (name, *map(describe, runs))

    print(f"{runs[0].num_jobs:,} jobs on {options.gpus:,} GPUs ({DEVICE})\n")
    print(table(("", *(f"{share:.0%} of the jobs fail" if share else "nothing fails" for share in shares)), [
        line("simulated time of the run", lambda run: format_duration(run.makespan)),
        line("lower bound", lambda run: format_duration(run.bound)),
        line("time above the lower bound", lambda run: f"{run.makespan / run.bound - 1:.1%}"),
        line("longest chain of jobs", lambda run: format_duration(run.critical_path)),
        line("all work divided by the GPUs", lambda run: format_duration(run.work / run.gpus)),
        line("failed attempts", lambda run: f"{run.failures:,}"),
        line("work lost with them", lambda run: f"{run.lost / (run.work + run.lost):.1%}"),
        line("passes of predictions", lambda run: f"{run.passes:,}"),
        line("of which the worker had the model", lambda run: f"{run.warm_passes / max(1, run.passes):.0%}"),
        line("processor time of the scheduler for a job", lambda run: f"{run.scheduler_seconds / run.num_jobs * 1e6:.0f} µs"),
        line("its share of the run", lambda run: f"{run.scheduler_seconds / run.makespan:.2%}"),
        line("finished jobs a second", lambda run: f"{run.num_jobs / run.makespan:.0f}"),
        line(f"the most in {WINDOW} s", lambda run: f"{run.peak_jobs_per_second:.0f}"),
    ]))  # fmt: skip


def store(options: argparse.Namespace) -> None:
    from benchmarks.scale.stores import make_jobs_store, time_find_done, time_listing

    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "store", Path(folder) / "cache"
        keys = make_jobs_store(root, options.jobs)
        lines: list[tuple[str, str, str]] = []
        for name, word in (
            ("first `xlift store ls`", "ls"),
            ("`xlift store ls` with its index", "ls"),
            ("`xlift store du`", "du"),
        ):
            cpu, wall = time_listing(root, cache, word)
            lines.append((name, f"{cpu:.1f}", f"{wall:.1f}"))
        lines.append(("which jobs are done (`xlift plan`, `xlift run`)", f"{time_find_done(root, keys):.1f}", ""))
    print(table((f"{options.jobs:,} finished jobs", "processor seconds", "wall seconds"), lines))


def scores(options: argparse.Namespace) -> None:
    from benchmarks.scale.rows import NAME, make_store, time_command

    query = "select intermediate, language, avg(score) as mean from predictions group by all"
    with tempfile.TemporaryDirectory() as folder:
        predicted = make_store(Path(folder), options.rows)
        where = ("--store", str(Path(folder) / "store"))
        lines: list[tuple[str, ...]] = []
        for name, words in (
            ("`xlift scores --sql`, a mean by row and language", ("scores", NAME, "--sql", query)),
            ("`xlift report`", ("report", NAME)),
        ):
            cpu, wall, memory = time_command(*words, *where)
            lines.append((name, f"{cpu:.1f}", f"{wall:.1f}", format_gigabytes(memory)))
    print(table((f"{predicted:,} predictions", "processor seconds", "wall seconds", "peak memory"), lines))


def requests(options: argparse.Namespace) -> None:
    from benchmarks.scale.requests import count_requests

    print(table(("", "requests"), [(name, f"{number:.1f}") for name, number in count_requests().items()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    each = commands.add_parser("plan", help="time and memory of `xlift plan`")
    each.add_argument("--jobs", type=int, default=100_000)
    each.add_argument("--gpus", type=int, default=1000)
    each.add_argument("--profile", type=int, nargs="?", const=60, help="print so many lines of a profile instead")
    each.set_defaults(run=plan)
    each = commands.add_parser("simulate", help="a run of the plan in virtual time")
    each.add_argument("--jobs", type=int, default=100_000)
    each.add_argument("--gpus", type=int, default=1000)
    each.add_argument("--failures", type=float, default=0.0, help="share of the jobs that fail")
    each.add_argument("--spread", type=float, default=0.0, help="how far real times are from the estimates (logarithm)")
    each.set_defaults(run=simulate)
    each = commands.add_parser("store", help="time of the commands that list a store")
    each.add_argument("--jobs", type=int, default=100_000)
    each.set_defaults(run=store)
    each = commands.add_parser("scores", help="time of SQL and of a report")
    each.add_argument("--rows", type=int, default=10_000_000)
    each.set_defaults(run=scores)
    each = commands.add_parser("requests", help="requests of a job to a store in a bucket")
    each.set_defaults(run=requests)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
