"""The variance between seeds of a study with one or two seeds, borrowed from other studies of its store.

A study lends on a target if it is finished, has the same model, the same recipe and data of the target's training and the same
test examples, in the same languages, with two seeds or more. Intermediate stages may differ, as they do among the pipelines
of one study. Where several studies could lend, it is the one with the most degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xlift.analysis.estimates import ALL, TARGET_MEANS, ZERO_SHOT, ScoredCell, TargetColumn
from xlift.analysis.means import estimate_with_means
from xlift.analysis.scores import load_cells
from xlift.analysis.seed_variance import LentTable, SeedTables, lend_tables
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.record import Record, list_studies, read_record
from xlift.studies.store import Store
from xlift.tasks.sources.base import canonical_json

MOST_SEEDS = 2
"""A study with more seeds does not borrow."""

_Place = tuple[str, str, str, str]
"""Model, target, language of the target's training, and language."""


@dataclass(frozen=True)
class Lender:
    """A study that can lend, and its places under the names that the borrowing study gives them."""

    record: Record
    places: dict[_Place, _Place]


def find_lenders(record: Record, store: Store) -> list[Lender]:
    """The studies of a store from which a study with one or two seeds can borrow; none for a study with more. Only manifests
    are read. Studies with a damaged record do not lend."""
    if len({cell.seed for cell in record.cells}) > MOST_SEEDS:
        return []
    reader = _TrainingReader(store)
    own = {training: place for place, training in _trainings(record, reader)}
    lenders = []
    for name in list_studies(store) if own else ():
        if name == record.name:
            continue
        try:
            other = read_record(store, name)
            seeds = {cell.seed for cell in other.cells}
            if len(seeds) < 2 or not all(store.has(cell.key) for cell in other.cells):
                continue
            places = {place: own[training] for place, training in _trainings(other, reader) if training in own}
        except UserError:
            continue
        if places:
            lenders.append(Lender(other, places))
    return lenders


def borrow_tables(lenders: Sequence[Lender], cells: Sequence[ScoredCell], store: Store) -> SeedTables:
    """The tables of scores that the studies lend, by place of the borrowing study.

    Args:
        cells: of the borrowing study.

    Raises:
        UserError: an artifact of a lender is damaged.
    """
    wanted: dict[tuple[str, TargetColumn], set[str]] = {}
    for cell in cells:
        if not cell.noise:
            column = TargetColumn(cell.target, cell.metric, cell.train_language)
            wanted.setdefault((cell.model, column), set()).add(cell.language)
    marked = _same_task_targets(cells)
    found: dict[tuple[str, TargetColumn, str], LentTable] = {}
    for lender in lenders:
        own = tuple(cell for cell in lender.record.cells if not cell.noise and _place(cell) in lender.places)
        scored, _ = load_cells(replace(lender.record, cells=own), store)
        renamed = [_rename(cell, lender.places) for cell in scored if not cell.noise]
        scores, targets = estimate_with_means(renamed)
        for key, table in lend_tables(scores, lender.record.name).items():
            model, target, language = key
            if target.name in TARGET_MEANS:
                names = {(column.name, column.train_language) for name, column in wanted if name == model}
                is_same = (
                    {(each.name, each.train_language) for each in targets[model]} == names
                    and all(set(languages) == wanted.get((model, each)) for each, languages in targets[model].items())
                    and (target.name == ALL or marked == _same_task_targets(renamed))
                )
            else:
                is_same = language not in (ALL, ZERO_SHOT) or set(targets[model][target]) == wanted.get((model, target))
            if is_same and (key not in found or table.freedom > found[key].freedom):
                found[key] = table
    return found


def _same_task_targets(cells: Sequence[ScoredCell]) -> set[tuple[str, str]]:
    """Model and target of the columns that the mean of other tasks leaves out."""
    return {(cell.model, cell.target) for cell in cells if cell.same_task}


def describe_loans(tables: SeedTables) -> list[str]:
    """A sentence for each study that lends: on which targets, from how many pipelines and seeds."""
    by_study: dict[str, list[tuple[TargetColumn, LentTable]]] = {}
    for (_, target, _), lent in tables.items():
        by_study.setdefault(lent.study, []).append((target, lent))
    sentences = []
    for study, lent in by_study.items():
        pipelines, seeds = (_span([table.table.scores.shape[axis] for _, table in lent]) for axis in (0, 1))
        names = list(dict.fromkeys(target.name for target, _ in lent if target.name not in TARGET_MEANS))
        mean = " and their mean" if any(target.name in TARGET_MEANS for target, _ in lent) else ""
        sentences.append(
            f"The variance between seeds of {', '.join(names)}{mean} is borrowed from the study {study} ({pipelines} pipelines, {seeds} "
            "seeds), which has the same model, the same training on the target and the same test examples."
        )
    return sentences


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _place(cell: Cell) -> _Place:
    return cell.model, cell.target, cell.train_language, cell.language


def _rename(cell: ScoredCell, places: dict[_Place, _Place]) -> ScoredCell:
    model, target, train_language, language = places[cell.model, cell.target, cell.train_language, cell.language]
    return replace(cell, model=model, target=target, train_language=train_language, language=language)


def _trainings(record: Record, reader: _TrainingReader) -> Iterator[tuple[_Place, str]]:
    """Each place of a study, with what its first pipeline in the store has in common with all pipelines of the place."""
    seen: set[_Place] = set()
    for cell in record.cells:
        if not cell.noise and _place(cell) not in seen and (training := reader.describe(cell)):
            seen.add(_place(cell))
            yield _place(cell), training


class _TrainingReader:
    """Reads from the manifests of a store how predictions were made. Each manifest is read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._specs: dict[str, dict[str, Any] | None] = {}

    def describe(self, cell: Cell) -> str:
        """The pretrained model, the training on the target and the test examples of a cell, as canonical JSON without
        seeds; '' if a job of it is not in the store."""
        predict = self._spec(cell.key)
        if predict is None:
            return ""
        spec = self._spec(predict["model"].get("job", "")) if predict["model"].get("job") else None
        stage = {key: value for key, value in (spec or {}).items() if key != "model"} if cell.train_language else {}
        origin = self._origin(predict["model"])
        if origin is None or (cell.train_language and spec is None):
            return ""
        scored = {key: value for key, value in predict.items() if key not in ("model", "layer_job")}
        return canonical_json(_without_seeds([origin, stage, scored]))

    def _origin(self, model: dict[str, Any]) -> Any:
        """The fingerprint of the pretrained model that a model starts from, or the spec of its pretraining; None if an
        ancestor is not in the store."""
        while job := model.get("job"):
            spec = self._spec(job)
            if spec is None:
                return None
            if spec.get("kind") == "pretrain":
                return spec
            model = spec["model"]
        return model.get("fingerprint")

    def _spec(self, key: str) -> dict[str, Any] | None:
        if key not in self._specs:
            artifact = self.store.find(key)
            self._specs[key] = {"kind": artifact.kind, **artifact.manifest["spec"]} if artifact else None
        return self._specs[key]


def _without_seeds(value: Any) -> Any:
    """Without the seeds of runs and subsets, and without what depends on the other stages of a study."""
    if isinstance(value, dict):
        left_out = ("seed", "excluded", "more_steps")
        return {key: _without_seeds(each) for key, each in value.items() if key not in left_out}
    return [_without_seeds(each) for each in value] if isinstance(value, list | tuple) else value
