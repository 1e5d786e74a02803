"""State of the planning: the study, the plan so far, and a model at some point of its pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xlift.errors import UserError
from xlift.model_families import Family
from xlift.model_files import ModelFacts
from xlift.model_profiles import ModelProfile
from xlift.recipes import ClassifierPooling, Engine, PromptSettings, Recipe
from xlift.studies.job import Data, LearningRateChoice, ModelRef
from xlift.studies.plan_types import Plan
from xlift.studies.resolver import Resolver
from xlift.studies.schema.training import PromptSettingsPatch, RecipePatch, Training, make_recipe_and_rates
from xlift.studies.study import Study
from xlift.studies.study_file import StudyFile
from xlift.tasks.task import Task
from xlift.yaml_document import Keys


@dataclass(frozen=True)
class ModelState:
    """A model at some point of its pipeline: a pretrained model, or the artifact of a job."""

    model: str
    ref: ModelRef
    path: str
    """For labels: 'isles > all-four'."""
    family: Family = "encoder"
    layers: int | None = None
    """Of the stack that hidden states come from; None if unknown."""
    prompt_patches: tuple[PromptSettingsPatch, ...] | None = None
    """The prompt settings of the model's entry; None for a model in head mode."""
    seed: int | None = None
    """Of the training so far."""
    heads: tuple[str, ...] = ()
    """Names of the tasks that the model has heads for."""
    more_steps: int = 0
    """Steps to add to its next stage, a target's."""
    facts: ModelFacts | None = None
    """Of a model that exists; None for one that the study pretrains."""
    index: int = 0
    """Of its entry under `models:`."""
    training: Training = Training()
    """The training settings of the model's entry."""
    engine: Engine = Engine()
    """The study's engine with the settings of the model's entry."""
    classifier_pooling: ClassifierPooling = "last"
    """Of a decoder in head mode."""
    profile: ModelProfile | None = None
    """Of a named model of the Hub that has one."""
    is_shipped: bool = False
    """Whether it is a model that xlift ships, of the archipelago."""

    @property
    def label(self) -> str:
        return self.path if self.seed is None else f"{self.path}, seed {self.seed}"

    def after(self, key: str, seed: int, heads: tuple[str, ...] = ()) -> ModelState:
        """The same model after the job with this key."""
        return replace(self, ref=ModelRef(job=key), seed=seed, heads=heads)


@dataclass(frozen=True)
class PlanContext:
    """
    Args:
        to_run: whether the plan will run on this machine; False to estimate it only.
    """

    file: StudyFile
    resolver: Resolver
    plan: Plan
    to_run: bool = True
    template_digests: dict[tuple[str, PromptSettings], str] = field(default_factory=dict)
    """(task, prompt settings) -> digest of the template."""
    row_tasks: dict[str, frozenset[str]] = field(default_factory=dict)
    """Id of a row -> names of the tasks whose labels it trains on."""
    target_data: dict[tuple[int, int], tuple[Data, ...]] = field(default_factory=dict)
    """(index of a target, seed) -> all data that it is trained on."""
    same_task_cells: dict[tuple[str, int], bool] = field(default_factory=dict)
    """(id of a row, index of a target) -> whether the row trains on the target's task."""
    lr_choices: dict[tuple[Any, ...], tuple[LearningRateChoice, ...]] = field(default_factory=dict)
    """(model, row, target) -> the jobs of the first seed that its learning rate is chosen from."""

    @property
    def study(self) -> Study:
        return self.file.study

    def warn(self, warning: str) -> None:
        """Add a warning to the plan, once."""
        if warning not in self.plan.warnings:
            self.plan.warnings.append(warning)

    def make_recipe(
        self,
        state: ModelState,
        section: Literal["intermediate", "target"],
        patches: Iterable[RecipePatch],
        tasks: Iterable[Task],
    ) -> Recipe:
        """The recipe of a stage: the settings of the study, then of the model, then `patches`, those of its row or target.

        Args:
            tasks: the tasks whose settings a published recipe takes.
        """
        return self.make_recipe_and_rates(state, section, patches, tasks)[0]

    def make_recipe_and_rates(
        self,
        state: ModelState,
        section: Literal["intermediate", "target"],
        patches: Iterable[RecipePatch],
        tasks: Iterable[Task],
    ) -> tuple[Recipe, tuple[float, ...]]:
        """As `make_recipe`, with the learning rates to choose from; () if there is one."""
        levels = [
            patch for level in (self.study.training, state.training) for patch in (level, getattr(level, section))
        ]
        return make_recipe_and_rates(*levels, *patches, tasks={task.name: task for task in tasks}, note=self.warn)

    def error(self, what: str, where: Keys, fix: str) -> UserError:
        return UserError(what, where=self.file.locate(*where), fix=fix)

    def refuse_to_run(self, what: str, where: Keys, fix: str) -> None:
        """Report an obstacle to a run: raises UserError if the plan is to run, else warns."""
        if self.to_run:
            raise self.error(what, where, fix)
        self.warn(f"{self.file.locate(*where)}: {what}, so it cannot be run here: {fix}")
