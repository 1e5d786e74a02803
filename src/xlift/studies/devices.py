"""What a study's `engine:` cannot do with the tasks that it trains on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xlift.errors import UserError
from xlift.recipes import Engine
from xlift.studies.job import Job, TrainSpec
from xlift.studies.reading import StudyFile
from xlift.tasks import formats
from xlift.tasks.task import Task


def check_engine(engine: Engine, jobs: Iterable[Job], tasks: Mapping[str, Task], file: StudyFile) -> None:
    """A dual encoder's step needs the vectors of all its rows at once, and its scale is one number, which has no shards.

    Raises:
        UserError: a dual encoder is to be trained with fsdp.
    """
    if engine.strategy != "fsdp":
        return
    for job in jobs:
        for data in job.spec.mixture if isinstance(job.spec, TrainSpec) else ():
            if formats.get(tasks[data.task].format).head == "dual":
                raise UserError(
                    f"a dual encoder cannot be trained with fsdp: {data.task}",
                    where=file.locate("engine", "strategy"),
                    fix="use `strategy: ddp`, whose ranks share its steps.",
                )
