"""Helpers for declarations: languages per split, the Hub's conversions, faults and labels that tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xlift.hub import PARQUET_BRANCH
from xlift.languages import canonical
from xlift.tasks.faults import Fault
from xlift.tasks.sources.hub import HubSource

Languages = tuple[str, ...]
ENGLISH: Languages = ("en",)


def split_codes(text: str) -> Languages:
    return tuple(text.split())


def in_splits(languages: Languages, *splits: str) -> dict[str, Languages]:
    """The same languages in every split."""
    return dict.fromkeys(splits, languages)


def map_codes(published: str) -> dict[str, str]:
    """Language -> FLORES-200 code ('swh_Latn'), for the codes in a text."""
    return {code: name for name in published.split() if (code := canonical(name))}


def hub(
    repository: str, config: str, splits: Mapping[str, str | tuple[str, ...]], languages: Languages, **options: Any
) -> HubSource:
    """A dataset of the Hub in the Hub's own conversion to Parquet, `CONFIG/SPLIT/0000.parquet`.

    The conversion exists whatever the repository holds (a script, JSON, Parquet), and always has the same layout.

    Args:
        config: name of the configuration, with {lang} for the language's code.
        splits: split -> its name on the Hub, or several names, read one after the other.
        languages: languages of every split.
        options: further fields of `HubSource`.
    """
    names = {split: (name,) if isinstance(name, str) else name for split, name in splits.items()}
    return HubSource(
        repository,
        files={split: tuple(f"{config}/{name}/*.parquet" for name in hub_names) for split, hub_names in names.items()},
        available=in_splits(languages, *splits),
        revision=PARQUET_BRANCH,
        **options,
    )


REMOVED_LABELS = Fault(
    "removed-labels",
    "XTREME's scripts remove the labels",
    "https://github.com/google-research/xtreme/blob/master/utils_preprocess.py",
    all_rows_of=("test",),
)
"""Test files without labels are detected by their content (sources/removed_labels.py, sources/checking.py) and refused. The
message names the original, which is used instead of them if it is in the data folder."""

CHOICE_OF_LETTER = {"A": "0", "B": "1", "C": "2", "D": "3", "E": "4"}
CHOICE_FROM_ONE = {"1": "0", "2": "1", "3": "2", "4": "3"}
