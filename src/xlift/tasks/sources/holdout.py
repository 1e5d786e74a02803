"""Hold rows out of a task's training files where it has no test or dev files: `holdout:` of a study's `tasks:`.

holdout: 0.1                                        # a tenth of the training rows become test examples
holdout: {test: 0.1, dev: 50, group: customer}      # 50 rows for dev; rows of one customer stay together
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.tasks import formats
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.division import HELD_OUT_SPLITS, TRAIN, Holdout
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.parallel import find_english
from xlift.tasks.sources.readers import READERS
from xlift.tasks.task import Source, Task
from xlift.units import count_noun

GROUP_FIELD = "document"
"""The field of `columns` that gives `Row.document`."""


@dataclass(frozen=True)
class HoldoutSettings:
    sizes: Mapping[str, float | int]
    """Split -> share of the training rows (a float below 1), or number of rows."""
    group: str = ""
    """Column whose rows stay together."""


def parse_holdout(value: Any, where: str) -> HoldoutSettings:
    """The value of `holdout:` in a study.

    Raises:
        UserError: it is no share or number, or has an unknown key.
    """
    where = f"{where}: holdout"
    settings = dict(value) if isinstance(value, Mapping) else {"test": value}
    group = settings.pop("group", "")
    if not isinstance(group, str):
        raise UserError(f"`group` is {group!r}", where=where, fix="Give the name of a column.")
    for key, size in settings.items():
        if key not in HELD_OUT_SPLITS:
            fix = f"{did_you_mean(str(key), (*HELD_OUT_SPLITS, 'group'))}Keys are test, dev, group."
            raise UserError(f"unknown key '{key}'", where=where, fix=fix)
        is_number = isinstance(size, int | float) and not isinstance(size, bool)
        if not is_number or not (size >= 1 if isinstance(size, int) else 0 < size < 1):
            raise UserError(
                f"`{key}` is {size!r}, neither a share nor a number of rows", where=where,
                fix="Write a share between 0 and 1, such as 0.1, or a number of rows, such as 200.",
            )  # fmt: skip
    if not settings:
        raise UserError("no split to hold out", where=where, fix="Write {test: 0.1}.")
    if sum(size for size in settings.values() if isinstance(size, float)) >= 1:
        raise UserError("no training rows are left", where=where, fix="Write shares whose sum is below 1.")
    return HoldoutSettings(settings, group)


def hold_out(task: Task, settings: HoldoutSettings, where: str) -> Task:
    """The task with rows of its training files as test or dev examples, in each language that has no files of that split.

    Languages that share ids (`joined`) hold out the same rows.

    Raises:
        UserError: the format, the source or the training data do not allow it, or it would have no effect.
    """
    source, where = task.source, f"{where}: holdout"
    format = formats.get(task.format)
    if format.is_plain_text or not format.is_trainable or format.ranks_pool:
        why = "is not scored" if format.is_plain_text else "is scored without training" if not format.is_trainable else "ranks the passages of all rows"  # fmt: skip
        raise UserError(f"{task.format} {why}, so no rows can be held out", where=where, fix="Remove `holdout`.")
    if not source.languages(TRAIN):
        raise UserError(
            "there are no training files to hold rows out of", where=where, fix="Give `files: {train: ...}`."
        )
    languages: dict[str, tuple[str, ...]] = {}
    for split in settings.sizes:
        languages[split] = tuple(code for code in source.languages(TRAIN) if code not in source.languages(split))
        if not languages[split]:
            raise UserError(
                f"`{split}` has no effect: every language with training files has {split} files", where=where,
                fix="Remove it, or leave out the files of a language.",
            )  # fmt: skip
    return replace(task, source=_with_holdout(source, Holdout(settings.sizes, languages), settings.group, where))


def _with_holdout(source: Source, holdout: Holdout, group: str, where: str) -> Source:
    if isinstance(source, FallbackSource):
        return FallbackSource(tuple(_with_holdout(member, holdout, group, where) for member in source.members))
    own = {
        split: [code for code in codes if code in source.languages(TRAIN)] for split, codes in holdout.languages.items()
    }
    available = {split: source.languages(split) for split in source.splits()}
    available |= {
        split: tuple(dict.fromkeys((*source.languages(split), *codes))) for split, codes in own.items() if codes
    }
    if isinstance(source, ConcatenatedSource):
        parts = tuple(replace(part, source=_with_holdout(part.source, holdout, group, where)) for part in source.parts)
        return replace(source, parts=parts, available=available)
    if not isinstance(source, FileSource | HubSource):
        raise UserError("generated tasks have every split", where=where, fix="Remove `holdout`.")
    files = dict(source.files)
    for split, codes in own.items():
        if codes:
            paths = {code: _paths(source, split, code) for code in source.languages(split)}
            files[split] = paths | {code: _paths(source, TRAIN, code) for code in codes}
    with_training = source.languages(TRAIN)
    reference = next((code for code in (find_english(with_training), *with_training) if code in with_training), "")
    if group and isinstance(source, FileSource) and not READERS[source.reader].has_fields:
        why = "their articles are whole already" if source.reader == "squad" else "they have no columns"
        raise UserError(f"cannot group the rows of {source.reader} files: {why}", where=where, fix="Remove `group`.")
    columns = {**source.columns, GROUP_FIELD: group} if group else source.columns
    holdout = replace(holdout, reference=reference if source.joined else "")
    return replace(source, files=files, available=available, columns=columns, holdout=holdout)


def describe_holdout(source: Source) -> tuple[str, ...]:
    """'test in en: 10%' for each split with held-out rows."""
    if isinstance(source, FallbackSource):
        return tuple(dict.fromkeys(line for member in source.members for line in describe_holdout(member)))
    if isinstance(source, ConcatenatedSource):
        return tuple(dict.fromkeys(line for part in source.parts for line in describe_holdout(part.source)))
    holdout = source.holdout if isinstance(source, FileSource | HubSource) else None
    if holdout is None:
        return ()
    sizes = {
        split: count_noun(size, "row") if isinstance(size, int) else f"{100 * size:g}%"
        for split, size in holdout.sizes.items()
    }
    return tuple(f"{split} in {' '.join(codes)}: {sizes[split]}" for split, codes in holdout.languages.items())


def _paths(source: FileSource | HubSource, split: str, language: str) -> str | tuple[str, ...]:
    """The declared paths of a language, which may have {lang}."""
    files = source.files[split]
    return files[language] if isinstance(files, Mapping) else files
