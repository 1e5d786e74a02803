"""A study: a question, and the grid of roads that answers it, as a YAML file says it.

    name: my-study
    question: Does question answering in the pivot lift inference everywhere?
    models: [isles]
    seeds: [1, 2]
    intermediate:
      - none
      - {task: isle-qa, language: qta, size: 4000}
    targets:
      - {task: isle-nli, train: {size: 500}}

docs/reference.md describes every key. This module only says what a valid study is; plan.py says what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from xlift.recipes import (
    Architecture,
    Engine,
    Masking,
    Precision,
    Recipe,
    Sampling,
    Select,
    Settings,
    TokenizerRecipe,
)
from xlift.studies.fields import (
    Names,
    Seed,
    Size,
    Sizes,
    Split,
    TrainSplit,
    distinct,
    mapping_or_one,
    mistake,
)


class RecipePatch(Settings):
    """Any part of a recipe; what is not given stays as the next wider level has it."""

    lr: float | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    warmup: float | None = Field(default=None, ge=0, le=1)
    weight_decay: float | None = Field(default=None, ge=0)
    beta2: float | None = Field(default=None, gt=0, lt=1)
    clip: float | None = Field(default=None, gt=0)
    max_length: int | None = Field(default=None, ge=8)
    select: Select | None = None
    retries: int | None = Field(default=None, ge=0, le=5)
    precision: Precision | None = None


class Training(RecipePatch):
    """The recipe of all stages, and what is different for intermediate or target stages."""

    intermediate: RecipePatch = RecipePatch()
    target: RecipePatch = RecipePatch()


class Part(Settings):
    """One part of a mixture: examples of a task in a language."""

    task: str
    language: Names = ""
    """Default: the task's training language. Several languages are several parts."""
    size: Size | None = None
    split: TrainSplit = "train"
    weight: float | None = Field(default=None, ge=0)
    """Its share of the steps under `sampling: {rule: weights}`, in proportion to the other parts' weights; default 1. Its
    languages have equal parts of it."""


class PretrainText(Settings):
    """Text to read: the documents of a text task, or the distinct texts of any other task's examples."""

    task: str
    language: Names = "all"
    size: Annotated[
        Annotated[dict[str, Size], Tag("(mapping)")] | Annotated[Size | None, Tag("(one)")],
        Discriminator(mapping_or_one),
    ] = None
    """Documents of each language (a mapping gives each its own number)."""
    split: TrainSplit = "train"

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if isinstance(self.size, dict) and self.language != "all":
            raise mistake("the languages stand in `size` already", "remove `language`.", "language")
        return self

    def by_language(self) -> tuple[str | tuple[str, ...], str, Callable[[str], int | None]]:
        """The languages asked for, the key under which they stand, and the documents of each."""
        size = self.size
        if isinstance(size, dict):
            return tuple(size), "size", lambda language: size[language]
        return self.language, "language", lambda language: size


class MaskedText(PretrainText):
    """Masked words beside the labels: `share` of a stage's steps are of text, in which a language with n documents gets
    steps ~ n ** alpha. The labels keep the steps that they have without it (xlift.recipes.TextShare)."""

    share: float = Field(gt=0, lt=1)
    alpha: float = Field(default=0.3, ge=0, le=1)


def _check_weights(mixture: tuple[Part, ...], sampling: Sampling) -> None:
    """Raises a mistake where weights and the rule that reads them do not stand together."""
    given = [at for at, part in enumerate(mixture) if part.weight is not None]
    if sampling.rule != "weights":
        if given:
            fix = "add `sampling: {rule: weights}`, or remove it."
            raise mistake("`weight` does nothing without the rule 'weights'", fix, "mixture", given[0], "weight")
    elif not given:
        fix = "such as `{task: isle-nli, weight: 2}` in the mixture; a part without it has 1."
        raise mistake("the rule is 'weights', and no part of a mixture has a `weight`", fix, "sampling")
    elif not any(1 if part.weight is None else part.weight for part in mixture):
        raise mistake("every weight is 0, so no part has any steps", "give one a larger weight.", "sampling")


class Stage(Settings):
    """One training run on a mixture."""

    mixture: tuple[Part, ...] = Field(min_length=1)
    sampling: Sampling = Sampling()
    training: RecipePatch = RecipePatch()
    head: str = ""
    """Name of one head for all parts (SNLI, MNLI and ANLI as one task); by default each task has its own."""
    keep_heads: tuple[str, ...] = ()
    """Heads of the stage before that go on in this one; all others are made anew."""
    masking: Masking | None = None
    """Of the parts that are text; default: as in pretraining."""
    mlm: MaskedText | None = None

    @model_validator(mode="after")
    def _weights(self) -> Stage:
        _check_weights(self.mixture, self.sampling)
        return self


class Intermediate(Settings):
    """A row of the lift table. Either one `task` (lists of languages and sizes make a row each), or a `mixture`, or
    several `stages` one after the other."""

    name: str = ""
    task: str = ""
    language: Names = ""
    size: Sizes = None
    """Beside a mixture: of each part that has none of its own, in each language. Several make a row each."""
    split: TrainSplit = "train"
    mixture: tuple[Part, ...] = ()
    stages: tuple[Stage, ...] = ()
    sampling: Sampling = Sampling()
    training: RecipePatch = RecipePatch()
    head: str = ""
    keep_heads: tuple[str, ...] = ()
    masking: Masking | None = None
    mlm: MaskedText | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Intermediate:
        given = [key for key in ("task", "mixture", "stages") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            fix = "a single task, several at once, or one stage after the other."
            raise mistake(f"expected one of `task`, `mixture` and `stages`, found {found}", fix)
        inside = {
            "mixture": ("language", "split"),
            "stages": ("language", "size", "split", "sampling", "head", "keep_heads", "masking", "mlm"),
        }
        idle = next((key for key in inside.get(given[0], ()) if key in self.model_fields_set), None)
        if idle:
            fix = f"write it inside of `{given[0]}`, for each part of it."
            raise mistake(f"`{idle}` does nothing beside `{given[0]}`", fix, idle)
        if not self.task and not self.name:
            raise mistake(f"an intermediate with `{given[0]}` needs a `name:`, as a row of the table", "add it.")
        if self.name == "none":
            raise mistake("'none' is the road without an intermediate task", "choose another name.", "name")
        if self.mixture and self.size is not None and all(part.size is not None for part in self.mixture):
            raise mistake("`size` does nothing, since every part has its own", "remove one or the other.", "size")
        _check_weights(self.mixture, self.sampling)
        return self


class TargetData(Settings):
    """What a target is trained on."""

    task: Names = ""
    """Another task of the same format and labels (XNLI <- MNLI), or several, one after the other with one head (XCOPA <-
    SocialIQA, COPA). Default: the target task itself, or what the catalogue says where it has no training data."""
    language: Names = ""
    """Of the last task; those before it are read in their training language. Several are learnt as one mixture
    (translate-train)."""
    size: Size | None = None
    """Of the last task, in each language; those before it are read whole."""
    split: TrainSplit = "train"
    """Of the last task."""


class Options(Settings):
    """How a retrieval or mining task is scored; what is not given stays as the task declares it."""

    layer: Annotated[int, Field(ge=0)] | Literal["official", "last", "dev"] | None = None
    """0 is the embeddings. 'dev': for each language the layer that is best on the dev pairs of the others, with the
    official layer's score beside it."""
    dev_task: str = ""
    """Where the dev pairs of `layer: dev` come from; default: the target task."""
    dev_languages: Names = ""
    """Default: the target's languages."""
    pooling: Literal["mean", "cls"] | None = None
    center: bool | None = None
    """Subtract each side's mean vector first."""
    margin: Literal["ratio", "distance", "absolute"] | None = None
    """Mining only."""

    @model_validator(mode="after")
    def _dev_is_looked_at(self) -> Options:
        for key in ("dev_task", "dev_languages"):
            if getattr(self, key) and self.layer != "dev":
                raise mistake(f"`{key}` does nothing without `layer: dev`", "remove it, or add that.", key)
        return self

    def given(self) -> dict[str, Any]:
        """Of what a prediction is told."""
        return self.model_dump(exclude_none=True, exclude={"dev_task", "dev_languages"})


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
    """Default: the task's own training data in its training language; false: scored without training (retrieval, mining)."""
    languages: Names = "all"
    split: Split = "test"
    size: Size | None = None
    """Test examples per language; default: the whole split."""
    options: Options = Options()
    training: RecipePatch = RecipePatch()

    @field_validator("name")
    @classmethod
    def _not_all(cls, name: str) -> str:
        if name == "all":
            raise mistake("'all' is the mean over the targets", "choose another name.")
        return name


class Pretrain(Settings):
    """Phase one, from random weights."""

    text: tuple[PretrainText, ...] = Field(min_length=1)
    architecture: Architecture = Architecture()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    tokenizer_text: tuple[PretrainText, ...] = ()
    """More text for the tokenizer alone: scripts of languages that the encoder is not to see."""
    masking: Masking = Masking()
    cut: float = Field(default=0.0, ge=0, le=1)
    """Share of the documents that are cut at the end of a sentence and read as a pair of sequences."""
    training: RecipePatch = RecipePatch()
    half_precision: bool = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _nothing_to_select_by(self) -> Pretrain:
        if self.training.select is not None:
            raise mistake("pretraining has no dev data to select a checkpoint by", "remove it.", "training", "select")
        return self


class Made(Settings):
    """A model that the study makes itself."""

    name: str = Field(min_length=1)
    pretrain: Pretrain


def _model_shape(given: Any) -> str | None:
    return {str: "(one)", dict: "(mapping)", Made: "(mapping)"}.get(type(given))


def _intermediate_shape(given: Any) -> str | None:
    return "(one)" if given == "none" else "(mapping)" if isinstance(given, dict | Intermediate) else None


Model = Annotated[
    Annotated[str, Tag("(one)")] | Annotated[Made, Tag("(mapping)")],
    Discriminator(
        _model_shape, custom_error_type="shape",
        custom_error_message="expected the name of a model, or a mapping with `name` and `pretrain`",
    ),
]  # fmt: skip
Row = Annotated[
    Annotated[Literal["none"], Tag("(one)")] | Annotated[Intermediate, Tag("(mapping)")],
    Discriminator(
        _intermediate_shape, custom_error_type="shape",
        custom_error_message="expected none, or a mapping such as {task: isle-qa, size: 4000}",
    ),
]  # fmt: skip


class Study(Settings):
    name: str = ""
    """Default: the file's name."""
    title: str = ""
    question: str = ""
    models: Annotated[tuple[Model, ...], AfterValidator(distinct)] = Field(default=("isles",), min_length=1)
    seeds: Annotated[tuple[Seed, ...], AfterValidator(distinct)] = Field(default=(1,), min_length=1)
    intermediate: tuple[Row, ...] = ("none",)
    targets: tuple[Target, ...] = ()
    training: Training = Training()
    engine: Engine = Engine()
    data: str = ""
    """Root folder of data files, relative to the study's file; `--data` overrules it."""
    source: Literal["native", "xtreme", "hub"] | None = None
    """Tasks that have such a source are read from it alone; default: from the first of a task's sources with files here."""
    tasks: tuple[dict[str, Any], ...] = ()
    """The user's own tasks (docs/own-task.md)."""

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if name and not re.fullmatch(r"\w[\w.-]*", name):
            fix = "use letters, digits, '-', '_' and '.', with a letter or digit first."
            raise mistake(f"'{name}' cannot name a study", fix)
        return name

    @model_validator(mode="after")
    def _asks_something(self) -> Study:
        if not self.targets and not all(isinstance(model, Made) for model in self.models):
            fix = "list at least one, such as `targets: [{task: isle-nli, train: {size: 500}}]`."
            raise mistake("the study has no targets, so there is nothing to score", fix, "targets")
        if self.targets and not self.intermediate:
            fix = "write `intermediate: [none]` to train the targets alone."
            raise mistake("no intermediate is listed, not even none", fix, "intermediate")
        names = [target.name or target.task for target in self.targets]
        for at, name in enumerate(names):
            if name in names[:at]:
                raise mistake(f"two targets are called '{name}'", "give one of them another `name:`.", "targets", at)
        return self


def recipe(*patches: RecipePatch) -> Recipe:
    """The recipe after these patches, the later the stronger."""
    values: dict[str, Any] = {}
    for patch in patches:
        given = {
            key: value
            for key, value in patch.model_dump(include=set(RecipePatch.model_fields)).items()
            if value is not None
        }
        if "epochs" in given and "steps" not in given:
            values.pop("steps", None)  # a nearer word on the length of training overrules a farther one
        values.update(given)
    return Recipe(**values)


def shipped_studies() -> dict[str, Path]:
    """Name -> file of the studies inside the package."""
    folder = Path(__file__).parent.parent / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
