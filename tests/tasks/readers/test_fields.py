"""Numbers and lists in the cells of a record."""

from __future__ import annotations

from typing import Any

import pytest

from xlift.errors import UserError
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Fields


def fields_of(value: Any, **layout: Any) -> Fields:
    options = {"format": "classification", "language": "en", "columns": {"label": "x"}, **layout}
    return Fields({"x": value}, Layout(**options), "file:1")


@pytest.mark.parametrize(
    ("value", "number"), [("3.80", 3.8), (" -1 ", -1), (".5", 0.5), ("5.", 5), ("1e-3", 0.001), (4, 4), (2.5, 2.5)]
)
def test_decimal(value: Any, number: float):
    assert fields_of(value).decimal("label") == number


@pytest.mark.parametrize("value", ["", "3,8", "nan", "inf", "1e999", "1_0", "٣", "three", "9" * 200])
def test_cells_that_are_no_number(value: str):
    with pytest.raises(UserError, match="expected a number") as error:
        fields_of(value).decimal("label")
    assert error.value.where == "file:1"


@pytest.mark.parametrize("value", [None, True, float("nan"), [1]])
def test_values_that_are_no_number(value: Any):
    with pytest.raises(UserError, match="'x' is"):
        fields_of(value).decimal("label")


@pytest.mark.parametrize(
    ("value", "items"),
    [("joy|fear", ("joy", "fear")), (" joy | no one ", ("joy", "no one")), ("joy", ("joy",)), ("", ()), ("|", ()),
     (["joy", "a|b"], ("joy", "a|b")), ([], ()), ([1, 2], ("1", "2")), (3, ("3",))],
)  # fmt: skip
def test_items(value: Any, items: tuple[str, ...]):
    assert fields_of(value).items("label") == items


def test_values_are_mapped_one_by_one():
    assert fields_of("1|2", values={"label": {"1": "joy"}}).items("label") == ("joy", "2")


@pytest.mark.parametrize("value", [None, [None], [["joy"]], {"a": 1}])
def test_items_that_are_no_texts(value: Any):
    with pytest.raises(UserError, match="expected a text"):
        fields_of(value).items("label")
