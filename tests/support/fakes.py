"""Studies without training: a model folder that is never loaded, and a store with random predictions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_folders import write_tokenizer, write_weights

from xlift.errors import UserError
from xlift.studies.job import Job, PredictSpec
from xlift.studies.plan import Plan, make_plan
from xlift.studies.predictions import DecisionScores, make_unit, write_predictions, write_scores
from xlift.studies.record import make_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.tasks import formats

STUDY = """\
models: [model]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, size: 20}
"""
"""The study that most tests use. Line 4 is the intermediate, line 6 the target."""


def model_folder(folder: Path, weights: bytes = b"weights") -> Path:
    """A folder that a plan accepts as a model, of a type whose tensors it does not know, and of unknown size."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "xlm-roberta-xl"}', encoding="utf-8")
    write_weights(folder / "model.safetensors", {"x": (1,)}, {"content": weights.decode()})
    write_tokenizer(folder)
    return folder


def study_file(folder: Path, text: str = STUDY, name: str = "study.yaml") -> Path:
    """A study file and its model folder."""
    model_folder(folder / "model")
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def custom_task_study(folder: Path, rows: int = 6) -> str:
    """A study with a custom task of two columns: train in English, test in German and in a language without an entry."""
    labels = ("billing", "other")
    for name, said in (("train.en", "hello"), ("test.de", "hallo"), ("test.cv", "салам")):
        lines = [f"{said} {n},{labels[n % 2]}" for n in range(rows)]
        (folder / f"{name}.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return """\
models: [model]
targets:
  - {task: tickets, train: {}}
tasks:
  - name: tickets
    format: classification
    files: {train: {en: train.en.csv}, test: "test.{lang}.csv"}
    languages: [de, cv]
    labels: [billing, other]
"""


def plan_of(path: Path, *overrides: str, data: Path | None = None) -> Plan:
    return make_plan(read_study(str(path), overrides), data)


def finished_study(
    path: Path, root: Path, leave_out: int = 0, numbers: Callable[[Job], dict[str, Any]] = lambda job: {}
) -> tuple[Plan, Store]:
    """A store with a finished study: training artifacts hold 64 zero bytes, half of the predictions are right.

    Args:
        leave_out: number of missing predictions, counted from the last.
        numbers: job -> numbers for its manifest.
    """
    file = read_study(str(path))
    plan, store = make_plan(file), Store(root)
    write_record(make_record(file, plan), store)
    jobs = list(plan.jobs.values())
    for job in jobs[: len(jobs) - leave_out]:
        spec = job.spec
        with store.write(job.key, job.kind, spec.model_dump(mode="json"), job.parents) as draft:
            draft.numbers.set_to(type(draft.numbers)(**numbers(job)))
            if not isinstance(spec, PredictSpec):
                (draft.folder / "model.safetensors").write_bytes(b"\0" * 64)
                continue
            task = plan.tasks[spec.data.task]
            examples = list(task.source.read(task, spec.data.language, spec.data.split, plan.data, size=spec.data.size))
            gold: list[Any] = [formats.get(task.format).gold(example) for example in examples]
            rng = random.Random(job.key)
            predictions = [right if rng.random() < 0.5 else rng.choice(gold) for right in gold]
            format = formats.get(task.format)
            units = [make_unit(format.unit_text(example)) for example in examples]
            write_predictions(draft.folder, [example.id for example in examples], gold, predictions, units)
            if format.score_kind:
                rows = [[rng.random(), rng.random()] for _ in gold]
                write_scores(draft.folder, DecisionScores(format.score_kind, (), rows))
    return plan, store


def refused_plan(folder: Path, text: str, *overrides: str) -> str:
    """The message of a study that cannot be planned, without the folder."""
    path = study_file(folder, text)
    with pytest.raises(UserError) as error:
        plan_of(path, *overrides)
    return str(error.value).replace(f"{folder}/", "")
