"""`xlift run` and `xlift plan`, and how commands find a study and its results."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.contamination import compare_after_run
from xlift.cli.options import (
    DEFAULT_STORE,
    DataOption,
    JsonOption,
    SetOption,
    StoreOption,
    StudyArgument,
    WorkersOption,
    check_data_folder,
    console,
    print_notes,
    print_warnings,
)
from xlift.errors import UserError, hide_secrets

if TYPE_CHECKING:
    from xlift.execution.executors.choice import ExecutorChoice
    from xlift.studies.plan import Plan
    from xlift.studies.record import Record
    from xlift.studies.store import Store
    from xlift.studies.study_file import StudyFile


def run(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    set_: SetOption = None,
    workers: WorkersOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress and no table.")] = False,
    bundle: Annotated[
        Path | None, typer.Option("--from", help="A bundle of results whose finished jobs count as done.")
    ] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="Where the workers run: local, ray, ray:ADDRESS or slurm.")
    ] = "local",
    executor_options: Annotated[
        list[str] | None,
        typer.Option(
            "--executor-option", metavar="KEY=VALUE", help="Set an option of the executor, such as partition=gpu."
        ),
    ] = None,
) -> None:
    """Run a study and print its lift table.

    Runs only the jobs that the store does not have yet. After an interruption, running the same command again resumes.
    """
    from xlift.execution.executors.choice import choose_executor
    from xlift.studies.study_file import read_study

    choice = choose_executor(executor, executor_options or ())
    file = read_study(study, tuple(set_ or ()))
    plan, opened, record = run_jobs(file, store, data, workers, quiet, bundle, choice)
    compare_after_run(plan, opened, study_command("contamination", study, store, data, set_))
    if plan.cells and not quiet:
        from xlift.report.robustness import TerminalNoiseTable
        from xlift.report.study import make_report
        from xlift.report.terminal_tables import TerminalTable

        report = make_report(record, opened)
        print_warnings(report.info.warnings)
        console().print(TerminalTable(report.rows, notes=report.info.notes))
        console().print(TerminalNoiseTable(report.noise_rows), end="")
        name = study if record.name == find_study_name(study) else record.name  # `--set name=...` renames a study
        page = f"xlift report {shlex.quote(name)} --store {store} --html {record.name}.html"
        print(f"To write the report page: {page}", file=sys.stderr)


def run_jobs(
    file: StudyFile,
    root: str,
    data: Path | None,
    workers: int | None,
    quiet: bool,
    bundle: Path | None = None,
    executor: ExecutorChoice | None = None,
) -> tuple[Plan, Store, Record]:
    """Run the jobs that the store does not have, and record the study in the store.

    Args:
        bundle: results to copy into the store first.
        executor: default: workers on this machine.
    """
    from xlift.estimate import PlanEstimate
    from xlift.estimate.run_estimate import estimate_run
    from xlift.execution.executors.choice import ExecutorChoice
    from xlift.execution.progress import LiveDisplay, PlainDisplay, SilentDisplay
    from xlift.execution.scheduler import Stopped, WorkerBug, run_plan
    from xlift.report.fetching import format_bytes
    from xlift.studies.bundle import import_jobs, open_bundle
    from xlift.studies.plan import make_plan
    from xlift.studies.record import last_record, make_record, pin_commits, write_record
    from xlift.studies.remaining import describe_repeated, list_jobs_to_run
    from xlift.studies.retention import WeightRemover
    from xlift.studies.store import Store
    from xlift.units import count_noun, format_seconds, is_or_are

    opened_bundle = open_bundle(bundle) if bundle else None
    store = Store(root)
    plan = make_plan(pin_commits(file, store), check_data_folder(data))
    if opened_bundle:
        imported = import_jobs(opened_bundle, plan.jobs, store)
        print(
            f"{len(imported)} of {len(plan.jobs)} jobs {is_or_are(len(imported))} taken from {bundle}.", file=sys.stderr
        )
    record = make_record(file, plan, last_record(store, plan.name))
    write_record(record, store)
    print_notes([*plan.describe_conversions(), *plan.describe_datasets()])
    print_warnings([*plan.warnings, *(str(odd) for summary in plan.summaries for odd in summary.odd)])
    executor = executor or ExecutorChoice()
    workers = executor.num_workers(plan, workers)
    num_slots = max(1, workers)
    plan_estimate = PlanEstimate(plan, store, num_slots)
    estimator = plan_estimate.estimator
    to_run = list_jobs_to_run(plan, store)
    if line := describe_repeated(to_run, store):
        print(line, file=sys.stderr)
    run_estimate = estimate_run(plan_estimate, to_run)
    remover = WeightRemover(plan, store) if record.study.keep == "predictions" else None
    if remover:
        remover.sweep()
    on_finished = remover.mark_finished if remover else lambda key: None
    terminal = console(stderr=True)
    arguments = (workers, on_finished, plan_estimate.seconds, executor.opener(file, plan, data, root))
    try:
        if quiet:
            outcome = run_plan(plan, store, SilentDisplay(), *arguments)
        elif terminal.is_terminal:
            with LiveDisplay(estimator, num_slots, terminal) as display:
                outcome = run_plan(plan, store, display, *arguments)
        else:
            outcome = run_plan(plan, store, PlainDisplay(estimator, num_slots), *arguments)
    except Stopped as stopped:
        print("xlift: interrupted. Finished jobs are kept. Running the same command again resumes.", file=sys.stderr)
        raise typer.Exit(stopped.exit_code) from None
    except WorkerBug as bug:
        print(
            f"xlift: a bug in xlift. Please report it. Finished jobs are kept.\n{hide_secrets(str(bug))}",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None
    if outcome.done:
        record = replace(record, check=run_estimate.compare(store, outcome.seconds))
        write_record(record, store)
    if not quiet:
        summary = f"{count_noun(outcome.done, 'job')} in {format_seconds(outcome.seconds)}"
        if outcome.done and record.check:
            summary += f"; {record.check.describe_error()}"
        if remover and remover.num_bytes:
            print(f"Removed {format_bytes(remover.num_bytes)} of weights (`keep: predictions`).", file=sys.stderr)
        already_done = len(plan.jobs) - outcome.done
        print(f"{summary}. {already_done} {'was' if already_done == 1 else 'were'} in {root} already.", file=sys.stderr)
    return plan, store, record


def plan(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    set_: SetOption = None,
    workers: WorkersOption = None,
    estimate_for: Annotated[
        str | None,
        typer.Option("--estimate-for", metavar="DEVICE", help="Estimate for another device: h200, a100-80gb, l4, ..."),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine first (about a minute) and keep the result.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a study's jobs with their estimated time and memory, and the labels of its custom tasks.

    Trains nothing. Writes nothing except the measurements of --calibrate.
    """
    from xlift.estimate import PlanEstimate
    from xlift.estimate.devices import find_device
    from xlift.report import graph, missing
    from xlift.report.data_summary import print_summary, summary_as_json
    from xlift.report.footer import describe_steps
    from xlift.studies.placement import default_workers
    from xlift.studies.plan import make_plan
    from xlift.studies.record import last_record, pin_commits
    from xlift.studies.remaining import describe_repeated, list_jobs_to_run
    from xlift.studies.store import Store
    from xlift.studies.study_file import read_study

    other_device = find_device(estimate_for) if estimate_for else None
    if other_device and calibrate:
        raise UserError(
            "--calibrate measures this machine, not another one",
            where="--estimate-for",
            fix="Leave one of the two out.",
        )
    opened = Store(store)
    file = pin_commits(read_study(study, tuple(set_ or ())), opened)
    study_plan = make_plan(file, check_data_folder(data), to_run=False)
    print_notes(study_plan.describe_conversions())
    print_warnings(study_plan.warnings)
    default = 1 if other_device else default_workers(study_plan.engine)
    workers = default if workers is None else max(1, workers)
    if calibrate:
        _calibrate(study_plan, workers)
    plan_estimate = PlanEstimate(study_plan, opened, workers, other_device)
    steps = graph.planned_steps(study_plan, plan_estimate)
    to_run = list_jobs_to_run(study_plan, opened)
    done = study_plan.jobs.keys() - {job.key for job in to_run}
    if as_json:
        tasks = [summary_as_json(summary) for summary in study_plan.summaries]
        jobs = graph.as_json(study_plan, done, plan_estimate)
        content = {"jobs": jobs, "tasks": tasks, "missing": missing.as_json(study_plan), "unequal_steps": steps}
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return
    terminal = console()
    for summary in study_plan.summaries:
        print_summary(summary, terminal)
    graph.print_plan(study_plan, done, plan_estimate, terminal)
    lines = graph.describe_plan_recipes(study_plan)
    lines += [describe_steps(steps)] if steps else []
    lines += graph.describe_remaining(study_plan, done, plan_estimate)
    if line := describe_repeated(to_run, opened):
        lines.append(line)
    if len(done) < len(study_plan.jobs):
        lines += graph.describe_estimate_source(plan_estimate, study)
    last = last_record(opened, study_plan.name)
    if last and last.check:
        lines.append(f"The last run of this study: {last.check.describe()}.")
    for line in lines:
        terminal.print(line, highlight=False, markup=False)
    missing.print_missing(study_plan, study, data, terminal)


def _calibrate(plan: Plan, workers: int) -> None:
    """Calibrate every model of a plan that is on this machine."""
    from xlift.execution.calibration import calibrate, list_subjects
    from xlift.units import count_noun

    for fingerprint in plan.shapes:
        print(f"{plan.names[fingerprint]} is not on this machine, so it is not measured.", file=sys.stderr)
    for subject in list_subjects(plan):
        print(f"Measuring {subject.name} for {count_noun(workers, 'worker')}.", file=sys.stderr)
        calibrate(subject, subject.engine, workers)


@contextmanager
def open_results(study: str, root: str) -> Iterator[tuple[Record, Store]]:
    """The record of a study and the store that has its results: that of a bundle, if `study` is one."""
    from xlift.studies.bundle import store_of_bundle
    from xlift.studies.bundle_files import is_bundle
    from xlift.studies.record import list_studies, read_record
    from xlift.studies.store import Store

    if is_bundle(Path(study)):
        with store_of_bundle(Path(study)) as (name, store):
            yield read_record(store, name), store
    else:
        store = Store(root)
        if Path(study).is_dir() and study not in list_studies(store):
            raise UserError(
                "the folder is no bundle: it has no bundle.json", where=study,
                fix="Give a bundle, or the name of a study. --store gives the folder of the store.",
            )  # fmt: skip
        yield read_record(store, find_study_name(study)), store


def find_study_name(study: str) -> str:
    """Return the name under which the store records a study: that of its file, else `study` itself."""
    from xlift.studies.study_file import read_study

    if Path(study).is_file():
        return read_study(study).study.name
    if Path(study).suffix in (".yaml", ".yml", ".zip"):
        raise UserError("no such file", where=study, fix="Give the name of a study that was run, or an existing file.")
    return study


def find_data_folder(study: str, data: Path | None) -> Path | None:
    """Return the root folder of data files: `data` if given, else `data:` of the study's file."""
    from xlift.studies.study_file import read_study

    return read_study(study).data_folder(None) if data is None and Path(study).is_file() else data


def study_command(command: str, study: str, store: str, data: Path | None, overrides: list[str] | None) -> str:
    """Return a shell command for the same study, store, data and overrides."""
    words = ["xlift", command, study, "--store", store, *(["--data", str(data)] if data else [])]
    return shlex.join(words + [word for override in overrides or () for word in ("--set", override)])
