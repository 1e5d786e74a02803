"""The schema of a study: a question, and the models, intermediate tasks, targets and seeds that answer it.

    name: my-study
    question: Does question answering in the source language improve NLI in every language?
    models: [isles]
    seeds: [1, 2]
    intermediate:
      - none
      - {task: isle-qa, language: qta, size: 4000}
    targets:
      - {task: isle-nli, train: {size: 500}}

docs/reference.md describes every key. This module and schema/ define which studies are valid; plan.py turns them into jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from xlift.recipes import Engine, Settings, setting_error
from xlift.studies.fields import Names, Seed, check_distinct, mapping_or_one
from xlift.studies.schema.intermediate import IntermediateEntry
from xlift.studies.schema.models import Model, PretrainedModel
from xlift.studies.schema.targets import Target
from xlift.studies.schema.training import PER_DEVICE, NamedOrTraining, PromptSettingsPatch, Training


class Study(Settings):
    name: str = ""
    """Default: the name of the file."""
    title: str = ""
    question: str = ""
    models: Annotated[tuple[Model, ...], AfterValidator(check_distinct)] = Field(default=("isles",), min_length=1)
    seeds: Annotated[tuple[Seed, ...], AfterValidator(check_distinct)] = Field(default=(1,), min_length=1)
    intermediate: tuple[IntermediateEntry, ...] = ("none",)
    targets: tuple[Target, ...] = ()
    languages: Names = "all"
    """To score, of targets without their own: 'all', codes, or the name of a suite for the languages that it scores a task in."""
    training: NamedOrTraining = Training()
    prompt: PromptSettingsPatch = PromptSettingsPatch()
    """For models in text mode."""
    engine: Engine = Engine()
    data: str = ""
    """Root folder of data files, relative to the study's file; `--data` overrides it."""
    source: Literal["native", "xtreme", "hub"] | None = None
    """Read tasks that have this source from it alone; default: from the first of a task's sources with files here."""
    known_faults: Literal["correct", "keep"] = "correct"
    """Correct rows with a known fault that the catalogue declares, or read everything as published."""
    keep: Literal["all", "predictions"] = "all"
    """'predictions': the weights of a job leave the store once all predictions that depend on it exist."""
    tasks: tuple[dict[str, Any], ...] = ()
    """Custom tasks: the tasks that this study declares itself."""
    claims: Annotated[
        Annotated[str, Tag("(one)")] | Annotated[dict[str, Any], Tag("(mapping)")], Discriminator(mapping_or_one)
    ] = ""
    """What the study is to show: a claims file; `{file: FILE, names: {NAME: ROW or TARGET}}`; or the claims themselves, under
    `question`, `delta` and `claims`."""

    @model_validator(mode="before")
    @classmethod
    def _check_per_device_batch(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        models = given.get("models")
        for entry in (given, *(models if isinstance(models, tuple) else ())):
            engine = entry.get("engine") if isinstance(entry, dict) else None
            devices = engine.get("devices") if isinstance(engine, dict) else None
            if isinstance(devices, int) and devices > 1:
                for keys in _find_key(given, PER_DEVICE):
                    what = f"`{PER_DEVICE}` needs one device, and `engine:` has {devices}"
                    raise setting_error(what, "write `batch_size:`, the examples of a step over all devices.", *keys)
        return given

    @field_validator("claims")
    @classmethod
    def _make_lists(cls, claims: str | dict[str, Any]) -> Any:
        """Claims as JSON has them, so that those of a record equal those of the file."""
        return _with_lists(claims)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name and not re.fullmatch(r"\w[\w.-]*", name):
            fix = "use letters, digits, '-', '_' and '.', with a letter or digit first."
            raise setting_error(f"'{name}' cannot name a study", fix)
        return name

    @model_validator(mode="after")
    def _check_targets(self) -> Study:
        if not self.targets and not all(isinstance(model, PretrainedModel) for model in self.models):
            fix = "list at least one, such as `targets: [{task: isle-nli, train: {size: 500}}]`."
            raise setting_error("the study has no targets, so there is nothing to score", fix, "targets")
        if self.targets and not self.intermediate:
            fix = "write `intermediate: [none]` to train the targets alone."
            raise setting_error("no intermediate is listed, not even none", fix, "intermediate")
        names = [target.name or target.task for target in self.targets]
        for at, name in enumerate(names):
            if name in names[:at]:
                fix = "give one of them another `name:`."
                raise setting_error(f"two targets are called '{name}'", fix, "targets", at)
        return self


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return list(map(_with_lists, value)) if isinstance(value, tuple | list) else value


def _find_key(value: Any, key: str) -> Iterator[tuple[str | int, ...]]:
    """The places of a key at any depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    for step, inner in items:
        if step == key:
            yield (step,)
        yield from ((step, *keys) for keys in _find_key(inner, key))


def shipped_studies() -> dict[str, Path]:
    """Name -> file of the studies inside the package."""
    folder = Path(__file__).parent.parent / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
