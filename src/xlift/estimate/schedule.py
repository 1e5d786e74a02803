"""How long a run takes with several workers: simulates how the executor hands out jobs.

The result exceeds the sum of seconds divided by workers if chains of stages have to wait, or if there are more workers
than jobs.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from xlift.studies.job import Job


def makespan(
    jobs: Sequence[Job],
    seconds: Callable[[Job], float],
    workers: int,
    slots: Mapping[str, int],
    start: float = 0.0,
) -> float:
    """Seconds from the start of the first job to the end of the last.

    Args:
        jobs: parents before children; parents outside the sequence count as finished.
        slots: key -> worker slots of the job, capped at `workers`.
        start: seconds until a worker is ready.
    """
    if not jobs:
        return 0.0
    costs = {job.key: seconds(job) for job in jobs}
    missing = {job.key: {parent for parent in job.required if parent in costs} for job in jobs}
    children: dict[str, list[Job]] = defaultdict(list)
    remaining: dict[str, float] = defaultdict(float)
    for job in reversed(jobs):
        remaining[job.key] += costs[job.key]
        for parent in missing[job.key]:
            remaining[parent] = max(remaining[parent], remaining[job.key])
            children[parent].append(job)
    order = {job.key: number for number, job in enumerate(jobs)}
    needed = {job.key: min(slots[job.key], workers) for job in jobs}

    def entry(job: Job) -> tuple[bool, float, int, Job]:
        return job.kind == "predict", -remaining[job.key], order[job.key], job

    ready = [entry(job) for job in jobs if not missing[job.key]]
    heapq.heapify(ready)
    running: list[tuple[float, int, Job]] = []
    now, free = 0.0, workers
    while ready or running:
        while ready and needed[ready[0][3].key] <= free:
            job = heapq.heappop(ready)[3]
            free -= needed[job.key]
            heapq.heappush(running, (now + costs[job.key], order[job.key], job))
        now, _, job = heapq.heappop(running)
        free += needed[job.key]
        for child in children[job.key]:
            missing[child.key].discard(job.key)
            if not missing[child.key]:
                heapq.heappush(ready, entry(child))
    return start + now
