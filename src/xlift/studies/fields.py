"""The kinds of values that stand in a study, and how a validator says what is wrong with one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from xlift.recipes import Settings


def mistake(what: str, fix: str, *keys: str | int) -> PydanticCustomError:
    """For a validator to raise; `keys` lead from the object to the place that is meant."""
    return PydanticCustomError("mistake", "{what}", {"what": what, "fix": fix, "keys": keys})


def distinct(values: Any) -> Any:
    """What stands twice in a list makes the same row, column or run twice, and adds nothing."""
    if isinstance(values, tuple):
        for at, value in enumerate(values):
            if value in values[:at]:
                raise PydanticCustomError(
                    "repeated", "{value} stands twice", {"value": repr(value), "fix": "remove one."}
                )
    return values


def trainable(split: Any) -> Any:
    if split == "test":
        raise mistake("test data is never trained on", "train on the split 'train' (or 'dev').")
    return split


# Which member of a union is meant is seen from the shape of what was given, so that a mistake is explained by that member
# alone. Tags stand in brackets: no key of a study looks like them.


def list_or_one(given: Any) -> str:
    return "(list)" if isinstance(given, list | tuple) else "(one)"


def mapping_or_one(given: Any) -> str:
    return "(mapping)" if isinstance(given, dict | Settings) else "(one)"


Size = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Split = Literal["train", "dev", "test"]
TrainSplit = Annotated[Split, AfterValidator(trainable)]
Names = Annotated[
    Annotated[str, Tag("(one)")] | Annotated[tuple[str, ...], Field(min_length=1), Tag("(list)")],
    Discriminator(list_or_one),
    AfterValidator(distinct),
]
Sizes = Annotated[
    Annotated[Size | None, Tag("(one)")] | Annotated[tuple[Size | None, ...], Field(min_length=1), Tag("(list)")],
    Discriminator(list_or_one),
    AfterValidator(distinct),
]
