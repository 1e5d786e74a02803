"""Intermediate stages of a study: the rows of the lift table, trained or merged before the targets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from xlift.recipes import Masking, Noise, Sampling, Settings, setting_error
from xlift.studies.fields import HeadName, Names, Size, Sizes, TrainSplit, check_distinct
from xlift.studies.schema.text import TextBesideLabels
from xlift.studies.schema.training import NamedOrPatch, RecipePatch

Control = Literal["steps", "text", "shuffled"]
"""What a control has in place of the stage that it belongs to. 'steps': as many more steps of the target stage; 'text': the same
texts without labels, under the objective of pretraining; 'shuffled': the same examples with shuffled labels."""


class MixturePart(Settings):
    """One part of a mixture: examples of a task in a language."""

    task: str
    language: Names = ""
    """Default: the task's training language. Several languages make several parts."""
    size: Size | None = None
    split: TrainSplit = "train"
    weight: float | None = Field(default=None, ge=0)
    """Share of the steps under `sampling: {rule: weights}`, relative to the other parts; default 1. Its languages share it
    equally."""
    noise: Noise | None = None
    """Noise that is added to the training texts."""


def _check_weights(mixture: tuple[MixturePart, ...], sampling: Sampling) -> None:
    """Raises a setting error for weights without the rule 'weights', and for the rule without usable weights."""
    given = [at for at, part in enumerate(mixture) if part.weight is not None]
    if sampling.rule != "weights":
        if given:
            fix = "add `sampling: {rule: weights}`, or remove it."
            raise setting_error("`weight` has no effect without the rule 'weights'", fix, "mixture", given[0], "weight")
    elif not given:
        fix = "such as `{task: isle-nli, weight: 2}` in the mixture; a part without it has 1."
        raise setting_error("the rule is 'weights', and no part of a mixture has a `weight`", fix, "sampling")
    elif not any(1 if part.weight is None else part.weight for part in mixture):
        raise setting_error("every weight is 0, so no part has any steps", "give one a larger weight.", "sampling")


class Stage(Settings):
    """One training run on a mixture."""

    mixture: tuple[MixturePart, ...] = Field(min_length=1)
    sampling: Sampling = Sampling()
    training: NamedOrPatch = RecipePatch()
    head: HeadName = ""
    """Name of one head for all parts (SNLI, MNLI and ANLI as one task); by default each task has its own."""
    keep_heads: tuple[str, ...] = ()
    """Heads of the previous stage to continue training; all others start new."""
    masking: Masking | None = None
    """For the text parts; default: as in pretraining."""
    text: TextBesideLabels | None = None

    @model_validator(mode="after")
    def _check_mixture_weights(self) -> Stage:
        _check_weights(self.mixture, self.sampling)
        return self


MERGE_KEYS = frozenset({"name", "merge", "weights"})
"""Keys that a row with `merge` may have."""


class Intermediate(Settings):
    """A row of the lift table: one `task` (lists of languages and sizes make a row each), a `mixture`, several `stages` one
    after the other, or a `merge` of other rows."""

    name: str = ""
    task: str = ""
    language: Names = ""
    size: Sizes = None
    """With a mixture: of each part without its own size, in each language. Several sizes make a row each."""
    split: TrainSplit = "train"
    mixture: tuple[MixturePart, ...] = ()
    stages: tuple[Stage, ...] = ()
    merge: tuple[str, ...] = ()
    """Names of rows above: start + sum of weight * (row - start), where the start is the pretrained model."""
    weights: tuple[float, ...] = ()
    """Of the names in `merge`; default: equal ones with sum 1. Rows with the same name share its weight equally."""
    noise: Noise | None = None
    sampling: Sampling = Sampling()
    training: NamedOrPatch = RecipePatch()
    head: HeadName = ""
    keep_heads: tuple[str, ...] = ()
    masking: Masking | None = None
    text: TextBesideLabels | None = None
    controls: Annotated[tuple[Control, ...], AfterValidator(check_distinct)] = ()
    """Each makes a row below this one, which shares everything but one thing with it."""

    @model_validator(mode="after")
    def _check_keys_fit(self) -> Intermediate:
        given = [key for key in ("task", "mixture", "stages", "merge") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            fix = "write a single task, several at once, several stages in a row, or a merge of rows above."
            raise setting_error(f"expected one of `task`, `mixture`, `stages` and `merge`, found {found}", fix)
        inside = {
            "mixture": ("language", "split", "noise"),
            "stages": ("language", "size", "split", "sampling", "head", "keep_heads", "masking", "text", "noise"),
        }
        unused = next((key for key in inside.get(given[0], ()) if key in self.model_fields_set), None)
        if unused:
            fix = f"write it inside of `{given[0]}`, for each part of it."
            raise setting_error(f"`{unused}` has no effect beside `{given[0]}`", fix, unused)
        self._check_merge()
        if not self.task and not self.name:
            raise setting_error(f"an intermediate with `{given[0]}` needs a `name:`, as a row of the table", "add it.")
        if (self.name or self.task) == "none":
            what = "'none' is the pipeline without an intermediate task"
            raise setting_error(what, "give the row another `name:`.", "name" if self.name else "task")
        if self.mixture and self.size is not None and all(part.size is not None for part in self.mixture):
            raise setting_error("`size` has no effect, since every part has its own", "remove one of them.", "size")
        _check_weights(self.mixture, self.sampling)
        return self

    def _check_merge(self) -> None:
        if not self.merge:
            if self.weights:
                raise setting_error("`weights` has no effect without `merge`", "remove it.", "weights")
            return
        unused = next((key for key in type(self).model_fields if key in self.model_fields_set - MERGE_KEYS), None)
        if unused:
            raise setting_error(f"`{unused}` has no effect beside `merge`, which trains nothing", "remove it.", unused)
        if self.weights and len(self.weights) != len(self.merge):
            what = f"{len(self.merge)} names to merge, and {len(self.weights)} weights"
            raise setting_error(what, "give one weight for each name, or leave `weights` out.", "weights")
        repeated = next((at for at, name in enumerate(self.merge) if name in self.merge[:at]), None)
        if repeated is not None:
            what = f"'{self.merge[repeated]}' is listed twice in `merge`"
            raise setting_error(what, "list it once, with a larger weight.", "merge", repeated)


def _shape(given: Any) -> str | None:
    return "(one)" if given == "none" else "(mapping)" if isinstance(given, dict | Intermediate) else None


IntermediateEntry = Annotated[
    Annotated[Literal["none"], Tag("(one)")] | Annotated[Intermediate, Tag("(mapping)")],
    Discriminator(
        _shape, custom_error_type="shape",
        custom_error_message="expected none, or a mapping such as {task: isle-qa, size: 4000}",
    ),
]  # fmt: skip
