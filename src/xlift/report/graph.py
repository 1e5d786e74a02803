"""`xlift plan`: the graph of jobs with their estimated time and memory.

Jobs that differ only in seed or language share a line. `xlift plan --json` lists every job with its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from functools import cache
from typing import Any

from xlift.analysis.confounds import Pipeline, unequal_steps
from xlift.estimate import PlanEstimate
from xlift.estimate.devices import SHARE, suggest_memory_savings
from xlift.report.fitting_table import hidden_note
from xlift.report.recipes import TrainedStage, list_recipes
from xlift.studies.job import Job, LayerSpec, MergeSpec, PredictSpec, TrainSpec, noise_name
from xlift.studies.placement import describe_workers
from xlift.studies.plan import Plan
from xlift.units import count_noun, format_count, format_duration, format_gigabytes

MIN_WIDTH_FOR_COLUMNS = 66
"""Narrower terminals show times only."""


def print_plan(plan: Plan, done: Set[str], plan_estimate: PlanEstimate, console: Any) -> None:
    """Print the jobs as a tree. Each line has the remaining work: time of one worker, tokens, and memory of the largest job.

    Args:
        done: keys of the jobs that do not have to run.
    """
    from rich.text import Text
    from rich.tree import Tree

    children: dict[str, list[Job]] = {}
    tried = _tried_keys(plan)
    for job in plan.jobs.values():
        children.setdefault(_tree_parent(job), []).append(job)
    wide = console.width >= MIN_WIDTH_FOR_COLUMNS

    def grow(tree: Tree, jobs: Iterable[Job]) -> None:
        """A branch for each kind of work; under it what starts from its artifacts."""
        groups: dict[tuple[str, str], list[Job]] = {}
        for job in jobs:
            how = job.spec.recipe if isinstance(job.spec, TrainSpec) else getattr(job.spec, "options", "")
            mode = getattr(job.spec, "text_mode", None)
            title = _describe_work(job)
            if isinstance(job.spec, TrainSpec) and job.key in tried:
                title, how = f"{title} with each learning rate", job.spec.recipe.model_copy(update={"lr": 1.0})
            groups.setdefault((title, f"{how} {mode and mode.prompt}"), []).append(job)
        for (title, _), alike in groups.items():
            branch = tree.add(_format_line(title, alike, done, plan_estimate, wide), highlight=False)
            grow(branch, [child for job in alike for child in children.get(job.key, ())])

    heading: Any = Text(plan.name)
    headings = ("time", "tokens", "memory") if wide else ("time",)
    root = Tree(_columns(heading, headings, "dim") if len(done) < len(plan.jobs) else heading)
    models: dict[str, list[Job]] = {}
    for job in children.get("", ()):
        models.setdefault(_model_name(job, plan), []).append(job)
    for name, jobs in models.items():
        grow(root.add(Text(name), highlight=False) if name else root, jobs)
    console.print(root)
    if not wide and len(done) < len(plan.jobs) and (note := hidden_note(["tokens", "memory"], "xlift plan --json")):
        console.print(note, highlight=False)
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in Counter(job.kind for job in plan.jobs.values()).items())
    console.print(
        f"{count_noun(len(plan.jobs), 'job')} ({kinds}) for {count_noun(len(plan.cells), 'cell')} of the table.",
        highlight=False,
    )


def describe_plan_recipes(plan: Plan) -> list[str]:
    """Return lines on how the stages of a plan are trained, with every level of `training:` applied."""
    tried = _tried_keys(plan)
    stages = [
        TrainedStage(plan.model_of.get(job.key, ""), job.spec)
        for job in plan.jobs.values()
        if isinstance(job.spec, TrainSpec) and job.key not in tried
    ]
    return list_recipes(stages)


def describe_remaining(plan: Plan, done: Set[str], plan_estimate: PlanEstimate) -> list[str]:
    """Return lines on the remaining time, tokens and memory, and on jobs that do not fit on the device."""
    left = [job for key, job in plan.jobs.items() if key not in done]
    if not left:
        return ["All jobs are done."]
    seconds, on = plan_estimate.total_seconds(left), plan_estimate.device
    time = f"about {format_duration(seconds)}" if seconds >= 1 else "under 1 s"
    if on is None:
        place = f"with {describe_workers(plan_estimate.workers, plan.engine)}"
    else:
        devices = plan_estimate.workers
        if any(job.kind == "train" for job in left):
            devices *= max(plan.engine_of(job.key).devices for job in left)
        place = f"on {on.title}" if devices == 1 else f"on {devices} devices ({on.title})"
    lines = [f"{len(done):,} done, {len(left):,} left: {time} {place}."]
    works = [plan_estimate.workloads[job.key] for job in left]
    operations = sum(work.operations for work in works)
    if operations:
        trained, read = (sum(tokens) for tokens in zip(*((w.trained_tokens, w.forward_tokens) for w in works)))
        need = plan_estimate.peak_memory(left) if on is None else max(plan_estimate.memory(job).total for job in left)
        where = "memory at once" if on is None else f"of {format_gigabytes(on.memory)} memory on each device"
        lines.append(
            f"{format_count(trained)} tokens trained on, {format_count(read)} read, {format_count(operations, ' ')}FLOP; {format_gigabytes(need)} {where}."
        )
    return lines + _memory_warnings(left, plan_estimate)


def _memory_warnings(left: Sequence[Job], plan_estimate: PlanEstimate) -> list[str]:
    """Return a line for each kind of job that needs more memory than the device has, with advice."""
    lines: dict[str, str] = {}
    for job in left:
        engine = plan_estimate.plan.engine_of(job.key)
        if plan_estimate.fits_device(job) or plan_estimate.device is None:
            continue
        need, available = (
            format_gigabytes(plan_estimate.memory(job).total),
            format_gigabytes(plan_estimate.device.memory),
        )
        advice = suggest_memory_savings(
            plan_estimate.workloads[job.key], checkpointing=engine.gradient_checkpointing, offload=engine.offload
        )
        if shared := plan_estimate.find_sharding(job):
            number, memory, seconds = shared
            advice = (
                f"{number} devices are enough, with {format_gigabytes(memory)} on each and {format_duration(seconds)} for the job "
                f"(`engine: {{devices: {number}, strategy: fsdp}}`); otherwise, {advice}"
            )
        lines.setdefault(
            _describe_work(job), f"does not fit: {_describe_work(job)} needs {need} of {available}; {advice}"
        )
    return list(lines.values())


def planned_steps(plan: Plan, plan_estimate: PlanEstimate) -> dict[str, float]:
    """Return the planned training steps of rows without a control of equal steps, as `confounds.unequal_steps`."""

    @cache
    def count(key: str) -> int:
        job = plan.jobs[key]
        trained = job.lr_choices[0].job if job.repeats_choice else key
        own = plan_estimate.workloads[trained].num_steps if isinstance(job.spec, TrainSpec) else 0
        return own + sum(map(count, job.parents))

    steps: dict[Pipeline, list[float]] = {}
    for cell in plan.cells:
        if not cell.control and not cell.noise:
            names = (cell.intermediate, cell.intermediate_language, cell.size, cell.model)
            steps.setdefault(names, []).append(count(cell.key))
    controlled = {
        (cell.control_of, cell.intermediate_language, cell.size, cell.model) for cell in plan.cells if cell.control
    }
    return unequal_steps(steps, controlled)


def describe_estimate_source(plan_estimate: PlanEstimate, study: str) -> list[str]:
    """Return a line on the source of the estimate."""
    if plan_estimate.device is not None:
        return [
            f"Times are from the device's data sheet, at an assumed {SHARE:.0%} of its peak. Nothing was measured on it."
        ]
    if plan_estimate.is_measured:
        return ["Times are from a calibration of this machine."]
    return [f"Times are a guess; `xlift plan {study} --calibrate` measures this machine."]


def as_json(plan: Plan, done: Set[str], plan_estimate: PlanEstimate) -> list[dict[str, Any]]:
    """Return every job with its key and its estimated time and memory.

    Args:
        done: keys of the jobs that do not have to run.
    """
    jobs, provisional = [], plan.provisional_keys()
    for job in plan.jobs.values():
        work = plan_estimate.workloads[job.key]
        jobs.append(
            {
                "key": job.key, "kind": job.kind, "label": job.label, "parents": list(job.parents), "done": job.key in done,
                "estimated_seconds": round(plan_estimate.seconds(job), 1),
                "estimated_memory_bytes": round(plan_estimate.memory(job).total) if work.shape else None,
                "tokens_trained": round(work.trained_tokens), "tokens_read": round(work.forward_tokens),
                "recipe": job.spec.recipe.model_dump(mode="json") if isinstance(job.spec, TrainSpec) else None,
                "operations": round(work.operations) if work.shape else None, "fits": plan_estimate.fits_device(job),
                "provisional": job.key in provisional,
            }
        )  # fmt: skip
    return jobs


def _tried_keys(plan: Plan) -> set[str]:
    """Keys of the jobs that only try a learning rate."""
    return {choice.job for job in plan.jobs.values() for choice in job.lr_choices}


def _tree_parent(job: Job) -> str:
    """Return the key of the job under which a job is shown; '' for the top of the tree."""
    if isinstance(job.spec, MergeSpec):
        return job.spec.merged[-1]
    if isinstance(job.spec, PredictSpec) and job.spec.layer_job:
        return job.spec.layer_job
    return job.start.job if job.start else ""


def _model_name(job: Job, plan: Plan) -> str:
    """Return the name of the pretrained model that a job starts from; '' for other jobs."""
    return plan.model_of.get(job.key, "") if job.start and job.start.fingerprint else ""


def _describe_work(job: Job) -> str:
    """Describe a job without its seed and, for a prediction, without its language."""
    spec = job.spec
    if isinstance(spec, TrainSpec):
        lora = spec.recipe.lora
        more = f" and {count_noun(spec.more_steps, 'step')} more" if spec.more_steps else ""
        chosen = " with the chosen rate" if spec.lr_choices else ""
        return (
            "train " + " + ".join(spec.part_names()) + (f" by LoRA of rank {lora.rank}" if lora else "") + more + chosen
        )
    if isinstance(spec, LayerSpec):
        return "layers by dev pairs of " + " + ".join(dict.fromkeys(data.task for data in spec.data))
    if isinstance(spec, PredictSpec):
        split = f" {spec.data.split}" if spec.data.split != "test" else ""
        num_fewshot = spec.text_mode.prompt.num_fewshot if spec.text_mode else 0
        fewshot = f" with {count_noun(num_fewshot, 'few-shot example')}" if num_fewshot else ""
        noise = f" with {noise_name(spec.data.noise)}" if spec.data.noise else ""
        return f"predict {spec.data.task}{split}{noise}{fewshot}"
    if isinstance(spec, MergeSpec):
        return job.label.partition(" (from ")[0]
    return job.label


def _format_line(title: str, jobs: list[Job], done: Set[str], plan_estimate: PlanEstimate, wide: bool) -> Any:
    from rich.text import Text

    left = [job for job in jobs if job.key not in done]
    text = Text(title)
    languages = list(dict.fromkeys(job.spec.data.language for job in jobs if isinstance(job.spec, PredictSpec)))
    if languages:
        text.append(f" in {', '.join(languages)}" if len(languages) <= 3 else f" in {len(languages)} languages")
    runs = len(jobs) // max(1, len(languages))
    if runs > 1:
        seeds = {getattr(job.spec, "seed", None) for job in jobs}
        text.append(f", {runs} {'rates' if len(seeds) == 1 and None not in seeds else 'seeds'}")
    if not left:
        text.append("  done", style="dim")
        return text
    if len(left) < len(jobs):
        text.append(f"  {len(jobs) - len(left)} of {len(jobs)} done", style="dim")
    seconds = format_duration(sum(map(plan_estimate.seconds, left)))
    if not wide:
        return _columns(text, (seconds,), "cyan")
    has_shape = any(plan_estimate.workloads[job.key].shape for job in left)
    tokens = sum(plan_estimate.workloads[job.key].tokens for job in left)
    memory = max(plan_estimate.memory(job).total for job in left)
    cells = (seconds.replace("under ", "<"), format_count(tokens), format_gigabytes(memory) if has_shape else "?")
    return _columns(text, cells, "cyan", alarm=not all(map(plan_estimate.fits_device, left)))


def _columns(text: Any, cells: tuple[str, ...], style: str, alarm: bool = False) -> Any:
    """Return a line of the tree: its text, and numbers in columns at the right edge."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(expand=True, padding=0)
    grid.add_column(ratio=1, overflow="fold")
    for width in (9, 7, 8)[
        : len(cells)
    ]:  # a long number widens its column: misaligned lines are better than truncated numbers
        grid.add_column(justify="right", min_width=width, no_wrap=True)
    styles = (style, style, "red" if alarm else style)[: len(cells)]
    grid.add_row(text, *(Text(f" {cell}", style=cell_style) for cell, cell_style in zip(cells, styles, strict=True)))
    return grid
