"""The queue of a run: the order in which worker processes get its jobs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from typing import Any

from xlift.studies.job import Job, PredictSpec
from xlift.tasks import formats
from xlift.tasks.task import Task

PASS_TOKENS = 1_000_000
"""Most tokens of the examples that go through a model in one pass, with every example at its maximum length. It gives full
batches, and a killed worker loses little."""
PASS_JOBS = 64


class JobQueue:
    """The jobs that are not done, some of which are ready to run.

    Training comes before prediction. Training jobs are ordered by the work that depends on them (the whole chain to the last
    prediction), so that no worker is idle at the end while a chain of stages is left. Predictions are ordered by model, since
    a worker loads a model once for all its predictions.

    Args:
        todo: jobs, parents first. Parents that are not in it are done.
        tasks: tasks of the predictions, by name.
        cost: expected seconds of a job, or another measure of its work.
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
        self._work = _remaining_work(todo, cost)
        self._training: list[tuple[float, int, Job]] = []
        self._predictions: dict[str, dict[str, Job]] = {}
        """Model -> key -> job; models without jobs are left out."""
        for job in todo:
            if not self._missing[job.key]:
                self.put(job)

    def __bool__(self) -> bool:
        """Whether a job is ready."""
        return bool(self._training or self._predictions)

    def put(self, job: Job) -> None:
        """Add a job that is ready: its parents are done, or another process has given it up."""
        if isinstance(job.spec, PredictSpec):
            self._predictions.setdefault(model_of(job), {})[job.key] = job
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
        # otherwise take the model with most predictions, so that workers are spread over models
        jobs = self._predictions.get(loaded) or max(self._predictions.values(), key=len)
        return next(iter(jobs.values()))

    def batch(self, job: Job, workers: int = 1) -> list[Job]:
        """The job that `peek` returned, and those to run with it in one pass through the model, in the order of the plan.

        Args:
            workers: number of idle workers. Each gets at most its share of the predictions.
        """
        if not isinstance(job.spec, PredictSpec):
            return [job]
        jobs_by_data: dict[Any, list[Job]] = defaultdict(list)  # jobs with the same data (other layers) stay together
        for each in self._predictions[model_of(job)].values():
            assert isinstance(each.spec, PredictSpec)
            if self._pass_key(each.spec) == self._pass_key(job.spec):
                jobs_by_data[each.spec.data].append(each)
        max_jobs = min(PASS_JOBS, ceil(sum(map(len, self._predictions.values())) / workers))
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
                model = model_of(job)
                del self._predictions[model][job.key]
                if not self._predictions[model]:
                    del self._predictions[model]
            else:
                heapq.heappop(self._training)

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


def _remaining_work(todo: Sequence[Job], cost: Callable[[Job], float]) -> dict[str, float]:
    """Key -> cost of the longest chain that starts with the job (its critical path)."""
    work: dict[str, float] = defaultdict(float)
    for job in reversed(todo):  # children before parents
        work[job.key] += cost(job)
        for parent in job.required:
            work[parent] = max(work[parent], work[job.key])
    return work
