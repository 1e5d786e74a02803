"""Field types shared by the sections of a study, with their validators."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from xlift.recipes import NAME, NAME_RULE, Settings, setting_error


def check_distinct(values: Any) -> Any:
    """Refuse repeated list items: they would make the same row, column or run again."""
    if isinstance(values, tuple):
        for at, value in enumerate(values):
            if value in values[:at]:
                raise setting_error(f"{value!r} is listed twice", "remove one.")
    return values


def check_train_split(split: Any) -> Any:
    if split == "test":
        raise setting_error("test data is never trained on", "train on the split 'train' (or 'dev').")
    return split


def check_head_name(name: str) -> str:
    if name and not re.fullmatch(NAME, name):
        raise setting_error(f"'{name}' cannot name a head", f"use {NAME_RULE}.")
    return name


# The shape of a value selects the member of a union, so that an error is explained by that member alone. Tags are in
# brackets: no key of a study looks like them.


def list_or_one(given: Any) -> str:
    return "(list)" if isinstance(given, list | tuple) else "(one)"


def mapping_or_one(given: Any) -> str:
    return "(mapping)" if isinstance(given, dict | Settings) else "(one)"


Size = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
HeadName = Annotated[str, AfterValidator(check_head_name)]
Split = Literal["train", "dev", "test"]
TrainSplit = Annotated[Split, AfterValidator(check_train_split)]
Names = Annotated[
    Annotated[str, Tag("(one)")] | Annotated[tuple[str, ...], Field(min_length=1), Tag("(list)")],
    Discriminator(list_or_one),
    AfterValidator(check_distinct),
]
Sizes = Annotated[
    Annotated[Size | None, Tag("(one)")] | Annotated[tuple[Size | None, ...], Field(min_length=1), Tag("(list)")],
    Discriminator(list_or_one),
    AfterValidator(check_distinct),
]
