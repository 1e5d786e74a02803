"""`xlift plan`: the graph of jobs on a screen.

Jobs that differ in the seed or the language only share a line; `xlift plan --json` lists every one with its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from xlift.studies.estimate import Estimator, human
from xlift.studies.job import Job, LayerSpec, PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.store import Store


def print_plan(plan: Plan, store: Store, estimator: Estimator, workers: int, console: Any) -> None:
    """The jobs as a tree, each line with what is left of it; then what is done and what is left in all."""
    from rich.text import Text
    from rich.tree import Tree

    done = {key for key in plan.jobs if store.has(key)}
    children: dict[str, list[Job]] = {}
    for job in plan.jobs.values():
        by_layer = isinstance(job.spec, PredictSpec) and job.spec.options.get("layer") == "dev"
        for parent in (job.parents[-1:] if by_layer else job.parents) or ("",):
            children.setdefault(parent, []).append(job)

    def grow(tree: Tree, jobs: Iterable[Job]) -> None:
        """A branch for each kind of work; under it what starts from its products."""
        groups: dict[tuple[str, str], list[Job]] = {}
        for job in jobs:
            how = job.spec.recipe if isinstance(job.spec, TrainSpec) else getattr(job.spec, "options", "")
            groups.setdefault((_work(job), str(how)), []).append(job)
        for (title, _), alike in groups.items():
            branch = tree.add(_line(title, alike, done, estimator), highlight=False)
            grow(branch, [child for job in alike for child in children.get(job.key, ())])

    root = Tree(Text(plan.name), highlight=False)
    models: dict[str, list[Job]] = {}
    for job in children.get("", ()):
        models.setdefault(_model(job, plan), []).append(job)
    for name, jobs in models.items():
        grow(root.add(Text(name), highlight=False) if name else root, jobs)
    console.print(root)
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(job.kind for job in plan.jobs.values()).items())
    console.print(
        f"{_number(len(plan.jobs), 'job')} ({kinds}) for {_number(len(plan.cells), 'cell')} of the table.",
        highlight=False,
    )
    console.print(left_in_words(plan, done, estimator, workers), highlight=False)


def left_in_words(plan: Plan, done: set[str], estimator: Estimator, workers: int) -> str:
    left = [job for key, job in plan.jobs.items() if key not in done]
    if not left:
        return "All are done."
    seconds = sum(map(estimator.seconds, left)) / workers
    time = f"about {human(seconds)}" if seconds >= 1 else "under 1 s"
    return f"{len(done)} done, {len(left)} left: {time} with {_number(workers, 'worker')}."


def _model(job: Job, plan: Plan) -> str:
    """Name of the pretrained model that a job starts from; '' for a job that makes one."""
    spec = job.spec
    if isinstance(spec, PretrainSpec) or spec.model is None:
        return ""
    return plan.names.get(spec.model.fingerprint, spec.model.fingerprint[:8])


def _work(job: Job) -> str:
    """What a job does, without its seed and, of a prediction, its language."""
    spec = job.spec
    if isinstance(spec, TrainSpec):
        return "train " + " + ".join(dict.fromkeys(data.name() for data in spec.mixture))
    if isinstance(spec, LayerSpec):
        return "layers by dev pairs of " + " + ".join(dict.fromkeys(data.task for data in spec.data))
    if isinstance(spec, PredictSpec):
        return f"predict {spec.data.task}" + (f" {spec.data.split}" if spec.data.split != "test" else "")
    return job.label


def _line(title: str, jobs: list[Job], done: set[str], estimator: Estimator) -> Any:
    from rich.text import Text

    left = [job for job in jobs if job.key not in done]
    text = Text(title)
    languages = list(dict.fromkeys(job.spec.data.language for job in jobs if isinstance(job.spec, PredictSpec)))
    if languages:
        text.append(f" in {', '.join(languages)}" if len(languages) <= 3 else f" in {len(languages)} languages")
    runs = len(jobs) // max(1, len(languages))
    if runs > 1:
        text.append(f", {runs} seeds")
    if not left:
        text.append("  done", style="dim")
        return text
    if len(left) < len(jobs):
        text.append(f"  {len(jobs) - len(left)} of {len(jobs)} done,", style="dim")
    text.append(f"  {human(sum(map(estimator.seconds, left)))}", style="cyan")
    return text


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
