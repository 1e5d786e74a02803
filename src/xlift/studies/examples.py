"""Read the examples that a `Data` names, without those of its `excluded` subsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from xlift.studies.job import Data, Subset
from xlift.tasks import formats
from xlift.tasks.catalog.shared_examples import find_shared
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.parallel import hash_name
from xlift.tasks.task import Source, Task

ENDLESS = 10**9
"""Size of a generated subset that is read only as far as it is needed."""


def read_data(data: Data, tasks: Mapping[str, Task], folder: Path | None) -> Iterator[Any]:
    """Stream the examples of some data, without its noise and with their own labels.

    With `excluded`, the subset is drawn from the other examples. Subsets of one seed are nested as long as they exclude the
    same examples. Every language of a task with common ids gives the same examples.

    Args:
        folder: root of the data files.

    Raises:
        UserError: as `Source.read`.
    """
    task = tasks[data.task]
    place = (task, data.language, data.split, folder)
    if not data.excluded:
        return task.source.read(*place, size=data.size, seed=data.seed)
    is_excluded = _make_filter(data, tasks, folder)
    if task.source.size(*place) is None:
        examples = task.source.read(*place, size=ENDLESS, seed=data.seed)
        return islice((example for example in examples if not is_excluded(example)), data.size)
    return _select(lambda: task.source.read(*place), data, is_excluded)


def count_remaining(data: Data, tasks: Mapping[str, Task], folder: Path | None) -> int:
    """The number of examples of the whole split that are in no excluded subset."""
    is_excluded = _make_filter(data, tasks, folder)
    examples = tasks[data.task].source.read(tasks[data.task], data.language, data.split, folder)
    return sum(not is_excluded(example) for example in examples)


def _select(read: Callable[[], Iterator[Any]], data: Data, is_excluded: Callable[[Any], bool]) -> Iterator[Any]:
    """The first `data.size` examples that are not excluded, in an order by the seed and their ids. They are read twice, so that
    they are never in memory together."""
    salt = canonical_json([data.seed, data.task, data.split]).encode()[:64]
    hashes, allowed = [], []
    for example in read():
        hashes.append(hash_name(example.id, salt))
        allowed.append(not is_excluded(example))
    positions = np.flatnonzero(allowed)
    order = np.argsort(np.array(hashes, dtype=np.uint64)[positions], kind="stable")
    mask = np.zeros(len(hashes), dtype=bool)
    mask[positions[order[: data.size]]] = True
    return (example for example, is_selected in zip(read(), mask, strict=True) if is_selected)


def _make_filter(data: Data, tasks: Mapping[str, Task], folder: Path | None) -> Callable[[Any], bool]:
    """Tells whether an example is in one of the excluded subsets, by its id or its texts."""
    ids: set[str] = set()
    texts: set[int] = set()
    for subset in data.excluded:
        task = tasks[subset.task]
        by_id = have_common_ids(data, subset, tasks)
        for example in task.source.read(
            task, subset.language, subset.split, folder, size=subset.size, seed=subset.seed
        ):
            if by_id:
                ids.add(example.id)
            if not by_id or isinstance(task.source, GeneratedSource):  # which repeats some sentences under other ids
                texts.add(_hash_texts(task, example))
    own = tasks[data.task]
    return lambda example: example.id in ids or _hash_texts(own, example) in texts


def have_common_ids(data: Data, subset: Subset, tasks: Mapping[str, Task]) -> bool:
    """Whether an id means the same example in some data and in a subset of training data."""
    if data.task != subset.task:
        shared = find_shared(data.task, subset.task)
        return shared is not None and shared.have_common_ids
    return data.language == subset.language or _has_parallel_ids(tasks[data.task].source)


def _has_parallel_ids(source: Source) -> bool:
    """Whether an id means the same example in every language."""
    if isinstance(source, FallbackSource):
        return all(_has_parallel_ids(member) for member in source.members)
    if isinstance(source, ConcatenatedSource):
        return all(_has_parallel_ids(part.source) for part in source.parts)
    return isinstance(source, GeneratedSource) or (isinstance(source, FileSource | HubSource) and source.joined)


def _hash_texts(task: Task, example: Any) -> int:
    """A hash of the texts of an example, whatever their blanks."""
    texts = formats.get(task.format).texts(example)
    return hash_name("\0".join("".join(text.split()) for text in texts))
