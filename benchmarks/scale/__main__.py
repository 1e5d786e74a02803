"""What a hundred thousand jobs and ten million rows take: planning, the store, the scheduler, SQL and reports.

    python -m benchmarks.scale plan --jobs 100000
    python -m benchmarks.scale plan --jobs 10000 --profile

Nothing is trained and nothing is downloaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

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
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
