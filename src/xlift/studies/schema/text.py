"""Text for pretraining and for continued pretraining beside labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from xlift.recipes import Settings, setting_error
from xlift.studies.fields import Names, Size, TrainSplit, mapping_or_one


class PretrainText(Settings):
    """The documents of a text task, or the distinct texts of any other task's examples."""

    task: str
    language: Names = "all"
    size: Annotated[
        Annotated[dict[str, Size], Tag("(mapping)")] | Annotated[Size | None, Tag("(one)")],
        Discriminator(mapping_or_one),
    ] = None
    """Documents of each language (a mapping gives each its own number)."""
    split: TrainSplit = "train"

    @model_validator(mode="after")
    def _check_languages(self) -> Self:
        if isinstance(self.size, dict) and self.language != "all":
            raise setting_error("`size` lists the languages already", "remove `language`.", "language")
        return self

    def by_language(self) -> tuple[str | tuple[str, ...], str, Callable[[int], int | None]]:
        """The requested languages, the key that lists them, and a function from the place of a language among them to its
        number of documents."""
        size = self.size
        if isinstance(size, dict):
            return tuple(size), "size", tuple(size.values()).__getitem__
        return self.language, "language", lambda place: size


class TextBesideLabels(PretrainText):
    """Continued pretraining beside the labels, under the objective of the model's family: `share` of a stage's steps is on text; a language with n documents gets
    steps ~ n ** alpha. The labels keep their number of steps (xlift.recipes.TextShare)."""

    share: float = Field(gt=0, lt=1)
    alpha: float = Field(default=0.3, ge=0, le=1)
