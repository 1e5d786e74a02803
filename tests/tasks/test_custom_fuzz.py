"""Random declarations: a message with a place and a fix, or a task whose examples are read and whose head can be made."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.declarations import FILES, declarations
from tests.support.profile import by_profile
from tests.support.tiny_study import plan_of, write_model

from xlift.errors import UserError
from xlift.studies.job import TrainSpec
from xlift.tasks import formats, metrics
from xlift.tasks.sources.custom import CustomTask, build_custom_task
from xlift.training.stage import add_heads, make_head_spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and a tiny model."""
    made = tmp_path_factory.mktemp("declarations")
    write_model(made / "model")
    for name, content in FILES.items():
        (made / name).write_text(content, encoding="utf-8")
    return made


def error_of(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call, or its UserError."""
    try:
        return call(*arguments)
    except UserError as error:
        return error


def check_error(error: UserError, declaration: dict[str, Any]) -> None:
    assert error.what
    assert error.where, error
    assert not re.search(r"Traceback|pydantic|<class|\bobject at 0x", str(error)), error
    if error.where.startswith(("task '", "custom task")):
        assert error.fix, error
        named = [error.where.rpartition(": ")[2].split(".")[0], *error.what.split("'")[1:2]]
        assert {*named} & {*declaration, *CustomTask.model_fields}, error


@settings(max_examples=by_profile(100, 300, 10_000), suppress_health_check=(HealthCheck.too_slow,))
@given(declaration=declarations())
def test_a_declaration_is_refused_with_a_place_or_makes_a_task(folder: Path, declaration: dict[str, Any]):
    task = error_of(build_custom_task, declaration, folder)
    if isinstance(task, UserError):
        check_error(task, declaration)
        return
    for name in task.metrics:
        metrics.check(name, task.format, task.labels)
    assert len(set(task.labels)) == len(task.labels)
    format = formats.get(task.format)
    if format.has_classes:
        assert make_head_spec(task).num_labels > 0
    for split in task.source.splits():
        for language in task.source.languages(split):
            examples = error_of(lambda: list(task.source.read(task, language, split, None)))  # noqa: B023 (called at once)
            assert examples.where if isinstance(examples, UserError) else examples


TARGETS = ({}, {"train": {"language": "en"}}, {"languages": ["de"]}, {"split": "dev"})


@settings(max_examples=by_profile(10, 30, 200), suppress_health_check=(HealthCheck.too_slow,))
@given(declaration=declarations(), target=st.sampled_from(TARGETS))
def test_a_study_is_refused_with_a_line_or_its_heads_can_be_made(
    folder: Path, declaration: dict[str, Any], target: Any
):
    name = declaration["name"]
    target = {"task": name if isinstance(name, str) and name else "t", **target}
    study = {"models": ["model"], "tasks": [declaration], "targets": [target]}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    plan = error_of(plan_of, path)
    if isinstance(plan, UserError):
        assert plan.where.startswith(f"{folder}/"), plan
        return
    for job in plan.jobs.values():
        if isinstance(job.spec, TrainSpec):
            model = tiny.encoder("xlm-roberta")
            add_heads(model, [plan.tasks[data.task] for data in job.spec.mixture], job.spec.seed, job.spec.head)
            assert len(model.heads)
