"""The queue of a run: the order in which worker processes get its jobs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil, inf
from typing import Any

from xlift.studies.job import Job, PredictSpec
from xlift.tasks import formats
from xlift.tasks.task import Task

PASS_TOKENS = 1_000_000
"""Most tokens of the examples that go through a model in one pass, with every example at its maximum length. It gives full
batches, and a killed worker loses little."""
PASS_JOBS = 64


@dataclass
class _ModelPredictions:
    serial: int
    by_pass: dict[Any, dict[str, Job]] = field(default_factory=dict)
    """What they share in a pass (`JobQueue._pass_key`) -> key -> job."""
    cost: float = 0.0


class JobQueue:
    """The jobs that are not done, some of which are ready to run.

    Training comes before prediction. Training jobs are ordered by the work that depends on them (the whole chain to the last
    prediction), so that no worker is idle at the end while a chain of stages is left. Predictions are ordered by model, since
    a worker loads a model once for all its predictions.

    Args:
        todo: jobs, parents first. Parents that are not in it are done.
        tasks: tasks of the predictions, by name.
        cost: expected seconds of a job, or another measure of its work. Called once for each job.
    """

    def __init__(
        self,
        todo: Sequence[Job],
        tasks: Mapping[str, Task] | None = None,
        cost: Callable[[Job], float] = lambda job: job.examples,
    ) -> None:
        self._tasks = tasks or {}
        keys = {job.key for job in todo}
        self._missing = {job.key: {parent for parent in job.required if parent in keys} for job in todo}
        self._children: dict[str, list[Job]] = defaultdict(list)
        for job in todo:
            for parent in self._missing[job.key]:
                self._children[parent].append(job)
        self._order = {job.key: number for number, job in enumerate(todo)}
        self._cost = {job.key: cost(job) for job in todo}
        self._work = _remaining_work(todo, self._cost)
        self._training: list[tuple[float, int, Job]] = []
        self._predictions: dict[str, _ModelPredictions] = {}
        """By model; models without jobs are left out."""
        self._num_predictions = 0
        self._models: list[tuple[float, int, str]] = []
        """A heap of (minus the cost of a model's predictions, its serial number, model). Entries of an earlier cost stay until they
        are found."""
        self._changed: dict[str, None] = {}
        """Models whose predictions have changed since, in order."""
        self._serial = count()
        for job in todo:
            if not self._missing[job.key]:
                self.put(job)

    def __bool__(self) -> bool:
        """Whether a job is ready."""
        return bool(self._training or self._predictions)

    def put(self, job: Job) -> None:
        """Add a job that is ready: its parents are done, or another process has given it up."""
        if isinstance(job.spec, PredictSpec):
            model = model_of(job)
            predictions = self._predictions.setdefault(model, _ModelPredictions(next(self._serial)))
            predictions.by_pass.setdefault(self._pass_key(job.spec), {})[job.key] = job
            predictions.cost += self._cost[job.key]
            self._num_predictions += 1
            self._changed[model] = None
        else:
            # copying a model takes seconds, and lets the weights of the others leave
            work = inf if job.repeats_choice else self._work[job.key]
            heapq.heappush(self._training, (-work, self._order[job.key], job))

    def mark_finished(self, job: Job) -> None:
        """Mark a job whose artifact is in the store, and add the children that are ready now."""
        for child in self._children.pop(job.key, []):
            self._missing[child.key].discard(job.key)
            if not self._missing[child.key]:
                self.put(child)

    def peek(self, loaded: str = "") -> Job | None:
        """The next job for a worker that has the model `loaded` (a `model_of` value) in memory, or has just made it."""
        if self._training:
            return self._training[0][2]
        if not self._predictions:
            return None
        # otherwise take the model with the most work, so that workers are spread over models and none of them is long at the end
        predictions = self._predictions.get(loaded) or self._predictions[self._find_largest()]
        return next(iter(next(iter(predictions.by_pass.values())).values()))

    def batch(self, job: Job, workers: int = 1) -> list[Job]:
        """The job that `peek` returned, and those to run with it in one pass through the model, in the order of the plan.

        Args:
            workers: number of idle workers. Each gets at most its share of the predictions.
        """
        if not isinstance(job.spec, PredictSpec):
            return [job]
        jobs_by_data: dict[Any, list[Job]] = defaultdict(list)  # jobs with the same data (other layers) stay together
        for each in self._predictions[model_of(job)].by_pass[self._pass_key(job.spec)].values():
            assert isinstance(each.spec, PredictSpec)
            jobs_by_data[each.spec.data].append(each)
        max_jobs = min(PASS_JOBS, ceil(self._num_predictions / workers))
        batch: list[Job] = []
        tokens = 0
        for jobs in jobs_by_data.values():
            tokens += _max_tokens(jobs[0])
            if batch and (tokens > PASS_TOKENS or len(batch) + len(jobs) > max_jobs):
                break
            batch += jobs
        return batch

    def remove(self, jobs: Sequence[Job]) -> None:
        """Remove the jobs that `batch` returned."""
        for job in jobs:
            if isinstance(job.spec, PredictSpec):
                self._remove_prediction(job, self._pass_key(job.spec))
            else:
                heapq.heappop(self._training)

    def _remove_prediction(self, job: Job, pass_key: Any) -> None:
        model = model_of(job)
        predictions = self._predictions[model]
        del predictions.by_pass[pass_key][job.key]
        if not predictions.by_pass[pass_key]:
            del predictions.by_pass[pass_key]
        self._num_predictions -= 1
        predictions.cost -= self._cost[job.key]
        if not predictions.by_pass:
            del self._predictions[model]
        self._changed[model] = None

    def _find_largest(self) -> str:
        """The model whose predictions cost most; the first of equal ones."""
        for model in self._changed:
            if found := self._predictions.get(model):
                heapq.heappush(self._models, (-found.cost, found.serial, model))
        self._changed.clear()
        while True:
            cost, serial, model = self._models[0]
            found = self._predictions.get(model)
            if found is not None and (-found.cost, found.serial) == (cost, serial):
                return model
            heapq.heappop(self._models)  # its predictions have changed since

    def _pass_key(self, spec: PredictSpec) -> tuple[Any, ...]:
        """What predictions of one model must have in common to run in one pass."""
        task = self._tasks.get(spec.data.task)
        is_separate = task is not None and formats.get(task.format).one_language_per_pass
        return (spec.data.task, spec.head, spec.precision, spec.data if is_separate else None)


def model_of(job: Job) -> str:
    """Identity of a prediction's model: the key of the job that made it, or the fingerprint of a pretrained model."""
    assert isinstance(job.spec, PredictSpec)
    return job.spec.model.id


def _max_tokens(job: Job) -> int:
    assert isinstance(job.spec, PredictSpec)
    return job.examples * (job.spec.options.get("max_length") or job.spec.data.max_length)


def _remaining_work(todo: Sequence[Job], cost: Mapping[str, float]) -> dict[str, float]:
    """Key -> cost of the longest chain that starts with the job (its critical path)."""
    work: dict[str, float] = defaultdict(float)
    for job in reversed(todo):  # children before parents
        work[job.key] += cost[job.key]
        for parent in job.required:
            work[parent] = max(work[parent], work[job.key])
    return work
