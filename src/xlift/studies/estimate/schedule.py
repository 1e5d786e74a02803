"""How long a run takes with so many workers: the jobs handed out as the executor does, on paper.

Longer than the sum by workers where chains of stages must wait for each other, or where workers are more than jobs.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from xlift.studies.job import Job


def makespan(
    todo: Sequence[Job], seconds: Callable[[Job], float], workers: int, threads: Mapping[str, int], start: float = 0.0
) -> float:
    """Seconds from the first job to the last.

    Args:
        todo: in an order in which parents come first; parents that are not among them are finished.
        threads: processors of a job by its kind; no more than there are workers.
        start: seconds until a worker is ready.
    """
    if not todo:
        return 0.0
    costs = {job.key: seconds(job) for job in todo}
    missing = {job.key: {parent for parent in job.parents if parent in costs} for job in todo}
    children: dict[str, list[Job]] = defaultdict(list)
    behind: dict[str, float] = defaultdict(float)
    for job in reversed(todo):
        behind[job.key] += costs[job.key]
        for parent in missing[job.key]:
            behind[parent] = max(behind[parent], behind[job.key])
            children[parent].append(job)
    order = {job.key: number for number, job in enumerate(todo)}

    def entry(job: Job) -> tuple[bool, float, int, Job]:
        return job.kind == "predict", -behind[job.key], order[job.key], job

    ready = [entry(job) for job in todo if not missing[job.key]]
    heapq.heapify(ready)
    running: list[tuple[float, int, int, Job]] = []
    now, free = 0.0, workers
    while ready or running:
        while ready and min(threads.get(ready[0][3].kind, 1), workers) <= free:
            job = heapq.heappop(ready)[3]
            slots = min(threads.get(job.kind, 1), workers)
            free -= slots
            heapq.heappush(running, (now + costs[job.key], order[job.key], slots, job))
        now, _, slots, job = heapq.heappop(running)
        free += slots
        for child in children[job.key]:
            missing[child.key].discard(job.key)
            if not missing[child.key]:
                heapq.heappush(ready, entry(child))
    return start + now
