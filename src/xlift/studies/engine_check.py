"""Check that a study's `engine:` can train its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xlift.errors import UserError
from xlift.recipes import Engine
from xlift.studies.job import Job, TrainSpec
from xlift.studies.study_file import StudyFile
from xlift.tasks import formats
from xlift.tasks.task import Task


def check_engine(engine: Engine, jobs: Iterable[Job], tasks: Mapping[str, Task], file: StudyFile) -> None:
    """Refuse to train a dual encoder with fsdp. Its step needs the vectors of all rows at once, and its scale is a scalar,
    which cannot be sharded.

    Raises:
        UserError: the study trains a dual encoder with fsdp.
    """
    if engine.strategy != "fsdp":
        return
    for job in jobs:
        for data in job.spec.parts if isinstance(job.spec, TrainSpec) else ():
            if formats.get(tasks[data.task].format).ranks_pool:
                raise UserError(
                    f"a dual encoder cannot be trained with fsdp: {data.task}",
                    where=file.locate("engine", "strategy"),
                    fix="use `strategy: ddp`, which divides its batches among the processes.",
                )
