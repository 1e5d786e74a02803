"""Targets of a study: the columns of the lift table, and their training data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from xlift.recipes import Noise, Settings, setting_error
from xlift.studies.fields import Names, Size, Split, TrainSplit, list_or_one
from xlift.studies.job import noise_name
from xlift.studies.schema.training import NamedOrTargetPatch, PromptSettingsPatch, TargetPatch


class TargetData(Settings):
    """Training data of a target."""

    task: Names = ""
    """Another task of the same format and labels (XNLI <- MNLI), or several, trained one after the other with one head (XCOPA <-
    SocialIQA, COPA). Default: the target task itself, or the catalogue's choice where it has no training data."""
    language: Names = ""
    """Of the last task; earlier ones are trained in their training language. Several languages form one mixture
    (translate-train)."""
    size: Size | None = None
    """Of the last task, in each language; earlier ones are used whole."""
    split: TrainSplit = "train"
    """Of the last task."""


class Options(Settings):
    """Options of retrieval and mining; missing ones come from the task."""

    layer: Annotated[int, Field(ge=0)] | Literal["official", "last", "dev"] | None = None
    """0 is the embeddings. 'dev': for each language the layer that is best on the dev pairs of the others; the table shows the
    official layer's score beside it."""
    dev_task: str = ""
    """The task with the dev pairs for `layer: dev`; default: the target task."""
    dev_languages: Names = ""
    """Default: the target's languages."""
    pooling: Literal["mean", "cls"] | None = None
    center: bool | None = None
    """Subtract each side's mean vector first."""
    margin: Literal["ratio", "distance", "absolute"] | None = None
    """Mining only."""

    @model_validator(mode="after")
    def _check_dev_keys(self) -> Options:
        for key in ("dev_task", "dev_languages"):
            if getattr(self, key) and self.layer != "dev":
                raise setting_error(f"`{key}` has no effect without `layer: dev`", "remove it, or add that.", key)
        return self

    def for_prediction(self) -> dict[str, Any]:
        """The options that prediction jobs get."""
        return self.model_dump(exclude_none=True, exclude={"dev_task", "dev_languages"})


def _check_noise_names(noise: Any) -> Any:
    """The names must differ: they identify the columns."""
    names = [noise_name(each) for each in noise] if isinstance(noise, tuple) else []
    for at, name in enumerate(names):
        if name in names[:at]:
            raise setting_error(f"'{name}' is listed twice", "remove one.", at)
    return noise


def _train_shape(given: Any) -> str | None:
    if given is None or given is False:
        return "(one)"
    return "(mapping)" if isinstance(given, dict | TargetData) else None


class Target(Settings):
    """A column of the lift table."""

    task: str
    name: str = ""
    train: Annotated[
        Annotated[TargetData, Tag("(mapping)")] | Annotated[Literal[False] | None, Tag("(one)")],
        Discriminator(
            _train_shape, custom_error_type="shape",
            custom_error_message="expected false, or a mapping such as {task: isle-nli, size: 500}",
        ),
    ] = None  # fmt: skip
    """Default: the task's own training data in its training language. False: score without training (retrieval, mining, and
    models in text mode)."""
    languages: Names = ""
    """To score; default: the study's. The name of a suite means the languages that it scores the task in."""
    split: Split = "test"
    size: Size | None = None
    """Test examples per language; default: the whole split."""
    options: Options = Options()
    training: NamedOrTargetPatch = TargetPatch()
    prompt: PromptSettingsPatch = PromptSettingsPatch()
    """For models in text mode."""
    noise: Annotated[
        Annotated[Noise | None, Tag("(one)")] | Annotated[tuple[Noise, ...], Tag("(list)")],
        Discriminator(list_or_one),
        AfterValidator(_check_noise_names),
    ] = None
    """Each noise is scored on the same examples as the clean texts."""

    def noises(self) -> tuple[Noise, ...]:
        return self.noise if isinstance(self.noise, tuple) else () if self.noise is None else (self.noise,)

    @model_validator(mode="after")
    def _check_name(self) -> Target:
        if (self.name or self.task) in ("all", "other-tasks"):
            what = f"'{self.name or self.task}' is the name of a mean over the targets"
            raise setting_error(what, "give the target another `name:`.", "name" if self.name else "task")
        return self
