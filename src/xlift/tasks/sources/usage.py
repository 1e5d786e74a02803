"""What of the declaration of a custom task its files do not use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from xlift.tasks.sources.readers.base import Usage


def usage_of(fingerprint: str) -> Usage:
    """The usage by the files with a fingerprint, filled while they are read in this process."""
    return _USAGES.setdefault(fingerprint, Usage())


def find_unused(
    columns: Mapping[str, Any],
    values: Mapping[str, Mapping[str, str]],
    labels: Iterable[str],
    usages: Collection[Usage],
    used_labels: Collection[str],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(keys in the declaration, the warning) of declared columns, values and labels that no row uses.

    Args:
        usages: by all files of the task.
        used_labels: of the rows of all files.
    """
    looked_for = set().union(*(usage.fields for usage in usages))
    mapped = set().union(*(usage.values for usage in usages))
    for field in columns:
        if field not in looked_for and field not in ("id", "choices"):  # which may be several columns, always read
            yield ("columns", field), f"`{field}` has no effect, since no row needs that field"
    for field, mapping in values.items():
        for value in mapping:
            if (field, value) not in mapped:
                yield ("values", field, value), f"the value '{value}' of `{field}` is in no file"
    for at, label in enumerate(labels):
        if label not in used_labels:
            yield ("labels", at), f"the label '{label}' is in no file"


_USAGES: dict[str, Usage] = {}
