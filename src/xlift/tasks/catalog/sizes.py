"""How large the data of a task is while its files are not on this machine: the number of examples, and how long their texts are.

The numbers are published ones where the catalogue has them (`Task.counts`), else those of sizes.json beside this module, where
each names its source. Numbers without a published source are assumptions, and are called so. Only estimates use them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from xlift.tasks import formats
from xlift.tasks.task import Task

ASSUMPTION = "assumption"
"""The first word of a source that is none."""
_SENTENCE = "The river that runs through the old town is longer than most people who live beside it believe. "
"""Filler for texts of a given length, with words of usual length."""


@dataclass(frozen=True)
class Count:
    """A number of examples, and where it comes from."""

    examples: int
    source: str

    @property
    def is_assumed(self) -> bool:
        return self.source.startswith(ASSUMPTION)


def published_count(task: Task, language: str, split: str) -> Count:
    """The number of examples of a split."""
    for counts, source in ((task.counts, "published"), _of(task, "counts")):
        count = counts.get(split)
        number = count.get(language) if isinstance(count, Mapping) else count
        if number is not None:
            return Count(number, source)
    return Count(_sizes()["counts"][split], f"{ASSUMPTION}: nothing is known about {task.name}")


def lengths_source(task: Task) -> str:
    """Where the lengths of a task's texts come from."""
    _, source = _of(task, "lengths")
    return source or f"{ASSUMPTION}: as usual for {task.format}"


def typical_example(task: Task) -> Any:
    """An example with texts of mean length: an instance of the format's class, with invented texts.

    Texts of other languages are taken to be as long as those that were measured, which are English for most tasks.
    """
    from xlift.tasks.catalog import invented_examples

    made = invented_examples().get(task.name, {}).get("example")
    declared = _of(task, "lengths")[0]
    lengths = declared or _sizes()["formats"][task.format]
    values = dict(made or _invented(task.format))
    if "words" in values:
        words = _text(lengths["words"] * 6).replace(".", "").split()
        values["words"] = tuple(word[: lengths["word"]] for word in (words * 2)[: lengths["words"]])
        values["tags"] = tuple(values["tags"][at % len(values["tags"])] for at in range(lengths["words"]))
    for name, length in lengths.items():
        if name in ("words", "word", "answers"):
            continue
        given = values.get(name)
        if isinstance(given, list | tuple):
            values[name] = tuple(_text(length) for _ in given)
        elif given or declared:
            values[name] = _text(length)
    if "answers" in values:
        values["answers"], values["starts"] = (values["context"][: lengths["answers"]],), (0,)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    example_class = formats.get(task.format).example_class
    required = [field.name for field in fields(example_class) if field.default is MISSING]
    return example_class(**dict.fromkeys(required, "") | values)


def _of(task: Task, what: str) -> tuple[Mapping[str, Any], str]:
    """What sizes.json has of a task, and its source; both empty if it has nothing."""
    declared = _sizes()["tasks"].get(task.name, {})
    return declared.get(what, {}), declared.get(f"{what}_source", "")


def _invented(format: str) -> dict[str, Any]:
    """The invented example of another task with this format; that of the archipelago's kinds is written here."""
    from xlift.tasks import catalog

    for task in catalog.FILES:
        if task.format == format and task.name in catalog.invented_examples():
            return catalog.invented_examples()[task.name]["example"]
    return {"id": "0", "text_a": "A text."}


def _text(length: int) -> str:
    return (_SENTENCE * (length // len(_SENTENCE) + 1))[:length]


@cache
def _sizes() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "sizes.json").read_text(encoding="utf-8"))
