"""Scored cells, and estimates of every pipeline, target and language over their seeds and examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xlift.analysis.intervals import Estimate, LeaveOneOut, Value, example_floor, linearise
from xlift.analysis.training_status import OK, worst_status
from xlift.errors import UserError

BASELINE = "none"
"""The intermediate of a pipeline without an intermediate stage."""
ALL = "all"
"""As a language: the unweighted mean over a target's languages. As a target: the mean over a model's targets."""
ZERO_SHOT = "zero-shot"
"""As a language: the unweighted mean over the languages that the target was not trained on, where it is scored in others too."""
MEANS = (ALL, ZERO_SHOT)
OTHER_TASKS = "other-tasks"
"""As a target: the mean over a model's targets on which no pipeline has been trained by its intermediate stage, where there are
others too."""
TARGET_MEANS = (ALL, OTHER_TASKS)
MEAN = "mean"
"""The metric of target 'all', which averages different metrics (as the average in XTREME's tables)."""


class GuessScores(NamedTuple):
    """Scores of two models that ignore the input, on the same examples."""

    chance: float | None
    """Of an answer drawn uniformly from the labels or choices: the score of its expected counts. None if unknown."""
    majority: float
    """Of the most frequent gold answer for every example."""


@dataclass(frozen=True)
class ScoredCell:
    """The predictions of one run (pipeline and seed) on one target in one language, as counts."""

    model: str
    intermediate: str
    """'none' is the baseline."""
    intermediate_language: str
    size: str
    seed: int
    target: str
    language: str
    metric: str
    ids: list[str]
    """(n,) ids of the examples. Rows with the same id, in any language, are one unit."""
    counts: np.ndarray
    """(n, K) sufficient counts: accuracy (correct, total), F1 (tp, predicted, gold), SQuAD F1 (sum, 1)."""
    value: Value
    """(..., K) summed counts -> (...) scores; with `leave_one_out`: (n, K) counts -> the score."""
    leave_one_out: LeaveOneOut | None = None
    """For a score that is no function of sums (tasks/metrics/base.py)."""
    lowest_score: float = 0.0
    """Scores are in `lowest_score`..1."""
    train_language: str = ""
    """Language of the target labels in training; '' if there were none. Lifts compare only equal ones."""
    training_status: str = OK
    """Of the training behind it: 'ok', 'fp32', 'retried' or 'collapsed' (analysis/training_status.py)."""
    noise: str = ""
    """Noise in the texts of the examples; '' for none. Lifts use only cells without noise."""
    units: list[str | None] | None = None
    """(n,) what an example shares with others of its language (a paragraph, a premise), or None. They are one unit too."""
    control: str = ""
    """Of a control: its kind, such as 'shuffled'."""
    control_of: str = ""
    """Of a control: the intermediate that it belongs to, with the same language and size."""
    examples: str = ""
    """Name of the examples. Rows with the same id are one unit in all targets with the same examples; '' for examples
    that only this target has."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task."""
    steps: int | None = None
    """Optimizer steps of all training behind it, without pretraining; None if unknown."""
    guesses: GuessScores | None = None
    """Of a target whose answers are a choice."""


class PipelineKey(NamedTuple):
    """A pipeline without its target."""

    model: str
    intermediate: str
    intermediate_language: str
    size: str


class TargetColumn(NamedTuple):
    """A target, its metric and its conditions: one column of the results."""

    name: str
    metric: str
    train_language: str
    noise: str = ""

    @property
    def clean(self) -> TargetColumn:
        """The same target without noise. Both use the same columns of examples."""
        return self._replace(noise="")


@dataclass(frozen=True)
class ScoreEstimate:
    """The estimate for one pipeline, target and language (or mean over languages), with its seeds and examples."""

    seeds: tuple[int, ...]
    estimate: Estimate
    columns: np.ndarray
    """(units,) number of each unit of the estimate among all units of the study. Estimates with a unit in common have the
    same number for it."""
    n: int
    training_status: str
    lowest_score: float = 0.0
    """The score is in `lowest_score`..1."""
    floor: float = 0.0
    """What is added to the variance of a difference over these examples (`intervals.example_floor`)."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task; of a mean: of one of its targets."""
    steps: float | None = None
    """Mean number of optimizer steps over the seeds, without pretraining; None if one is unknown."""
    guesses: GuessScores | None = None
    """Of a mean: the means of those of its parts, if all have them."""

    def select_seeds(self, seeds: Sequence[int]) -> Estimate:
        """The estimate for some of its seeds, in the given order."""
        indices = [self.seeds.index(seed) for seed in seeds]
        return Estimate(self.estimate.scores[indices], self.estimate.influence[indices])


ScoreEstimates = dict[tuple[PipelineKey, TargetColumn, str], ScoreEstimate]


class _Units(NamedTuple):
    """The examples of a target and language, which all its cells have."""

    reference: ScoredCell
    names: dict[str, str]
    """Example -> unit, where it is not the example alone."""
    index: np.ndarray
    """(n,) `_unit_index` of the reference."""
    columns: np.ndarray
    """(units,) their columns among those of all targets."""


def estimate_scores(scored: Iterable[ScoredCell]) -> ScoreEstimates:
    """Estimates by (pipeline, target, language).

    Raises:
        UserError: as `compute_lifts`.
    """
    groups: dict[tuple[PipelineKey, TargetColumn, str], dict[int, ScoredCell]] = {}
    for cell in scored:
        pipeline = PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)
        if cell.intermediate == BASELINE:
            pipeline = PipelineKey(cell.model, BASELINE, "", "")
        key = (pipeline, TargetColumn(cell.target, cell.metric, cell.train_language, cell.noise), cell.language)
        if cell.seed in groups.setdefault(key, {}):
            raise UserError("two scores for the same pipeline, seed and language", where=_describe(cell))
        if len(cell.ids) != len(cell.counts) or not len(cell.ids):
            raise UserError(
                f"{len(cell.ids)} ids but {len(cell.counts)} scored examples",
                where=_describe(cell),
                fix="give every scored example one id, and at least one example.",
            )
        groups[key][cell.seed] = cell

    joined = _join_units(groups)
    columns: dict[tuple[str, str], int] = {}
    first: dict[tuple[TargetColumn, str], _Units] = {}
    scores: ScoreEstimates = {}
    for (pipeline, target, language), by_seed in groups.items():
        cells = list(by_seed.values())
        if (target.clean, language) not in first:
            units = joined.get(_examples(cells[0]), {})
            names, index = np.unique(_unit_names(cells[0], units), return_inverse=True)
            numbers = [columns.setdefault((_examples(cells[0]), str(name)), len(columns)) for name in names]
            first[target.clean, language] = _Units(cells[0], units, index, np.array(numbers))
        reference, units, index, column = first[target.clean, language]
        for cell in cells:
            if not _in_one_order(cell, reference) and sorted(cell.ids) != sorted(reference.ids):
                raise UserError(
                    "scored on other examples than the pipeline it is compared with",
                    where=_describe(cell),
                    fix=f"predict again on the same test set as {_describe(reference)}.",
                )
        linearised = [
            _linearise(cell, index if _in_one_order(cell, reference) else _unit_index(cell, units), len(column))
            for cell in cells
        ]
        estimate = Estimate(
            np.array([score for score, _ in linearised]), np.stack([influence for _, influence in linearised])
        )
        training_status = worst_status(cell.training_status for cell in cells)
        scores[pipeline, target, language] = ScoreEstimate(
            tuple(by_seed),
            estimate,
            column,
            len(reference.ids),
            training_status,
            reference.lowest_score,
            example_floor(len(set(reference.ids))),
            any(cell.same_task for cell in cells),
            mean_steps([cell.steps for cell in cells]),
            cells[0].guesses,
        )
    return scores


def _in_one_order(one: ScoredCell, other: ScoredCell) -> bool:
    """Whether two cells have the same ids in the same order. Most cells share the list, which is then not compared."""
    return one.ids is other.ids or one.ids == other.ids


def mean_steps(steps: Sequence[float | None]) -> float | None:
    """None if one is unknown."""
    known = [each for each in steps if each is not None]
    return sum(known) / len(known) if known and len(known) == len(steps) else None


def _examples(cell: ScoredCell) -> str:
    """The name of the examples of a cell; no name of a task has a blank."""
    return cell.examples or f"{cell.target} only"


def _join_units(
    groups: dict[tuple[PipelineKey, TargetColumn, str], dict[int, ScoredCell]],
) -> dict[str, dict[str, str]]:
    """The unit of each example id, by name of the examples. Examples of one unit in any language are one unit in all of
    them, since translations of an example are one too."""
    cells: dict[tuple[TargetColumn, str], ScoredCell] = {}
    for (_, target, language), by_seed in groups.items():
        cells.setdefault((target.clean, language), next(iter(by_seed.values())))
    parents: dict[str, dict[str, str]] = {}
    for (_, language), cell in cells.items():
        if cell.units is None or not any(cell.units):
            continue
        parent = parents.setdefault(_examples(cell), {})
        for name, unit in zip(cell.ids, cell.units, strict=True):
            if unit is not None:  # names of units have their language, so they differ from ids of examples
                parent[_root(parent, str(name))] = _root(parent, f"{language} {unit} unit")
    return {examples: {name: _root(parent, name) for name in parent} for examples, parent in parents.items()}


def _root(parent: dict[str, str], name: str) -> str:
    """The representative of a name's set. Paths are halved on the way."""
    while parent.setdefault(name, name) != name:
        parent[name] = parent[parent[name]]
        name = parent[name]
    return name


def _unit_names(cell: ScoredCell, units: dict[str, str]) -> list[str]:
    """(n,) the unit of each example: its own id if it shares nothing."""
    return [units.get(str(name), str(name)) for name in cell.ids] if units else cell.ids


def _unit_index(cell: ScoredCell, units: dict[str, str]) -> np.ndarray:
    """(n,) the place of each example's unit among the sorted names."""
    return np.unique(_unit_names(cell, units), return_inverse=True)[1]


def _linearise(cell: ScoredCell, unit: np.ndarray, units: int) -> tuple[float, np.ndarray]:
    """The score of a cell, and (units,) influences by sorted name of the unit.

    Args:
        unit: `_unit_index`.
    """
    if cell.leave_one_out:
        score, influence = linearise(cell.counts, cell.value, cell.leave_one_out)
        return score, np.bincount(unit, influence, minlength=units)
    counts = np.stack([np.bincount(unit, column, minlength=units) for column in cell.counts.T], axis=1)
    return linearise(counts, cell.value)


def _describe(cell: ScoredCell) -> str:
    return f"{cell.model} / {cell.intermediate} / {cell.target} ({cell.language}), seed {cell.seed}"
