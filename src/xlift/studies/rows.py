"""The rows of a study's table: what is trained before the targets, as the study lists it and with its names found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xlift.errors import UserError
from xlift.recipes import Masking, Sampling
from xlift.studies.document import Keys
from xlift.studies.resolving import Resolver
from xlift.studies.study import Intermediate, Part, RecipePatch, Stage
from xlift.tasks.task import Task


@dataclass(frozen=True)
class Share:
    """A part of a mixture in one language."""

    task: Task
    language: str
    split: str
    size: int | None
    where: Keys


@dataclass(frozen=True)
class TrainingStage:
    shares: tuple[Share, ...]
    sampling: Sampling
    training: tuple[RecipePatch, ...]
    """What the study says of this stage, the later the stronger."""
    head: str = ""
    keep_heads: tuple[str, ...] = ()
    masking: Masking | None = None
    where: Keys = ()


@dataclass(frozen=True)
class Row:
    """A row of the table: the stages to train, one after the other."""

    name: str
    language: str
    size: str
    stages: tuple[TrainingStage, ...]


def rows_of(found: Resolver) -> list[Row]:
    """The rows of the table, each with its own name, language or size.

    Raises:
        UserError: two rows are the same, or a task or language is not known, with the place in the study.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    for index, entry in enumerate(found.file.study.intermediate):
        for row in [Row("none", "", "", ())] if entry == "none" else _entry(found, entry, ("intermediate", index)):
            key = (row.name, row.language, row.size)
            if key in rows:
                raise UserError(
                    f"two intermediates make the same row '{' '.join(filter(None, key))}'",
                    where=found.file.locate("intermediate", index),
                    fix="remove one, or give it another `name:`.",
                )
            rows[key] = row
    return list(rows.values())


def _entry(found: Resolver, entry: Intermediate, where: Keys) -> Iterator[Row]:
    if not entry.task:
        yield _mixed_row(found, entry, where)
        return
    task = found.training_task(entry.task, (*where, "task"), text=True)
    sizes = entry.size if isinstance(entry.size, tuple) else (entry.size,)
    for language in found.languages(task, entry.language, entry.split, _language_key(entry, where)):
        for size in sizes:
            share = Share(task, language, entry.split, size, where)
            how = (entry.training,)
            stage = TrainingStage((share,), entry.sampling, how, entry.head, entry.keep_heads, entry.masking, where)
            yield Row(entry.name or entry.task, language, "" if size is None else str(size), (stage,))


def _mixed_row(found: Resolver, entry: Intermediate, where: Keys) -> Row:
    """Of a mixture or of several stages; its size is that of all parts together, if each says its own."""
    if entry.stages:
        given = [(stage, (*where, "stages", number)) for number, stage in enumerate(entry.stages)]
    else:
        given = [(_only_stage(entry), where)]
    stages: list[TrainingStage] = []
    for stage, here in given:
        shares = tuple(
            share for n, part in enumerate(stage.mixture) for share in _shares(found, part, (*here, "mixture", n))
        )
        how = (entry.training, stage.training)
        stages.append(TrainingStage(shares, stage.sampling, how, stage.head, stage.keep_heads, stage.masking, here))
    shares = [share for stage in stages for share in stage.shares]
    sizes = [share.size for share in shares if share.size is not None]
    languages = "+".join(dict.fromkeys(share.language for share in shares))
    return Row(entry.name, languages, str(sum(sizes)) if len(sizes) == len(shares) else "", tuple(stages))


def _shares(found: Resolver, part: Part, where: Keys) -> Iterator[Share]:
    task = found.training_task(part.task, (*where, "task"), text=True)
    for language in found.languages(task, part.language, part.split, _language_key(part, where)):
        yield Share(task, language, part.split, part.size, where)


def _only_stage(entry: Intermediate) -> Stage:
    return Stage(
        mixture=entry.mixture, sampling=entry.sampling, head=entry.head, keep_heads=entry.keep_heads, masking=entry.masking
    )  # fmt: skip


def _language_key(part: Part | Intermediate, where: Keys) -> Keys:
    """Where a wrong language stands, or the task whose training language was meant."""
    return (*where, "language" if part.language else "task")
