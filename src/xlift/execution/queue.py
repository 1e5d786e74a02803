"""Which job comes next: the jobs of a run in the order in which worker processes should take them."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence

from xlift.studies.job import Job, PredictSpec


class JobQueue:
    """The jobs that are left to do, of which some can be done now.

    Training comes before prediction, and of two training runs the one with more work behind it (its whole chain, down to
    the last prediction), so that no worker idles at the end while a chain of stages is still to go. Predictions follow
    model by model, since a worker loads a model once for as long as it goes on with it.

    Args:
        todo: jobs in an order in which parents come first. Parents that are not among them are finished.
    """

    def __init__(self, todo: Sequence[Job]) -> None:
        keys = {job.key for job in todo}
        self._missing = {job.key: {parent for parent in job.parents if parent in keys} for job in todo}
        self._children: dict[str, list[Job]] = defaultdict(list)
        for job in todo:
            for parent in self._missing[job.key]:
                self._children[parent].append(job)
        self._order = {job.key: number for number, job in enumerate(todo)}
        self._work = _work_behind(todo)
        self._training: list[tuple[int, int, Job]] = []
        self._predictions: dict[str, deque[Job]] = {}
        """Model -> jobs, never none."""
        for job in todo:
            if not self._missing[job.key]:
                self.put(job)

    def __bool__(self) -> bool:
        """Whether there is a job that can be done now."""
        return bool(self._training or self._predictions)

    def put(self, job: Job) -> None:
        """A job that can be done now: its parents are finished, or another process has given it up."""
        if isinstance(job.spec, PredictSpec):
            self._predictions.setdefault(model_of(job), deque()).append(job)
        else:
            heapq.heappush(self._training, (-self._work[job.key], self._order[job.key], job))

    def finished(self, job: Job) -> None:
        """A job's product is in the store: what waited for nothing else can be done now."""
        for child in self._children.pop(job.key, []):
            self._missing[child.key].discard(job.key)
            if not self._missing[child.key]:
                self.put(child)

    def peek(self, loaded: str = "") -> Job | None:
        """The next job for a worker that has the model `loaded` (see `model_of`) in memory."""
        if self._training:
            return self._training[0][2]
        if not self._predictions:
            return None
        # else the model with most left to do: workers spread over the models
        jobs = self._predictions.get(loaded) or max(self._predictions.values(), key=len)
        return jobs[0]

    def remove(self, job: Job) -> None:
        """Take out the job that `peek` gave."""
        if isinstance(job.spec, PredictSpec):
            model = model_of(job)
            self._predictions[model].popleft()
            if not self._predictions[model]:
                del self._predictions[model]
        else:
            heapq.heappop(self._training)


def model_of(job: Job) -> str:
    """What a prediction's model is known by: the key of the job that made it, or a pretrained one's fingerprint."""
    assert isinstance(job.spec, PredictSpec)
    return job.parents[0] if job.spec.model is None else job.spec.model.fingerprint


def _work_behind(todo: Sequence[Job]) -> dict[str, int]:
    """Key -> examples on the longest chain that begins with the job."""
    work: dict[str, int] = defaultdict(int)
    for job in reversed(todo):  # children before parents
        work[job.key] += job.examples
        for parent in job.parents:
            work[parent] = max(work[parent], work[job.key])
    return work
