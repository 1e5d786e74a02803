"""The score of every seed: one row for each pipeline, target, language, noise, metric and seed.

The mean of `value` over the seeds of a row of `xlift report --json` is the `value` of that row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xlift.analysis.estimates import BASELINE, PipelineKey, ScoredCell, ScoreEstimates, TargetColumn
from xlift.analysis.means import estimate_with_means
from xlift.analysis.robustness import estimate_noisy
from xlift.analysis.scores import AT_OFFICIAL_LAYER, load_cells
from xlift.studies.record import Record
from xlift.studies.store import Store

DEV_LAYER, OFFICIAL_LAYER = "dev", "official"


@dataclass(frozen=True)
class SeedRow:
    """What identifies the run of one seed in one language. Columns that a row of `xlift report --json` has too mean the same."""

    study: str
    model: str
    intermediate: str
    """'none' is the baseline."""
    intermediate_language: str
    size: str
    seed: int
    target: str
    train_language: str
    language: str
    noise: str
    """Name of the noise, such as 'typos 10%'; '' for clean texts."""
    layer: str
    """Of scores of hidden states: 'dev' for a layer chosen on dev pairs, and 'official' for the task's own one beside it. Else ''."""


@dataclass(frozen=True)
class SeedScore(SeedRow):
    """The score of one seed."""

    metric: str
    value: float
    """The score, as a fraction."""
    n: int
    """Number of test examples."""
    control: str
    control_of: str
    same_task: bool
    training_status: str
    """Of the training behind this seed; of a mean: the worst over its seeds."""
    steps: float | None


def seed_scores(record: Record, store: Store, *, every_metric: bool = False, means: bool = False) -> list[SeedScore]:
    """The score of every finished seed.

    Args:
        every_metric: score all metrics of a task; otherwise the first.
        means: also give the means over languages and targets that a report has, seed by seed.

    Raises:
        UserError: an artifact is damaged.
    """
    cells, _ = load_cells(record, store, every_metric=every_metric)
    by_seed = {(*_key(cell), cell.seed): cell for cell in cells}
    controls = {cell.intermediate: (cell.control, cell.control_of) for cell in cells if cell.control}
    with_dev_layer = {cell.target for cell in record.cells if cell.official_key}
    clean, _ = estimate_with_means(cells)
    scores: ScoreEstimates = clean | estimate_noisy(cells)

    def rows() -> Iterator[SeedScore]:
        for (pipeline, target, language), score in scores.items():
            for seed, value in zip(score.seeds, score.estimate.scores.tolist(), strict=True):
                cell = by_seed.get((pipeline, target, language, seed))
                if cell is None and not means:
                    continue
                control, control_of = controls.get(pipeline.intermediate, ("", ""))
                layer = OFFICIAL_LAYER if target.metric.endswith(AT_OFFICIAL_LAYER) else DEV_LAYER
                yield SeedScore(
                    study=record.name,
                    **pipeline._asdict(),
                    seed=seed,
                    target=target.name,
                    train_language=target.train_language,
                    language=language,
                    noise=target.noise,
                    layer=layer if target.name in with_dev_layer else "",
                    metric=target.metric,
                    value=value,
                    n=score.n,
                    control=control,
                    control_of=control_of,
                    same_task=score.same_task,
                    training_status=cell.training_status if cell else score.training_status,
                    steps=cell.steps if cell else score.steps,
                )

    return list(rows())


def _key(cell: ScoredCell) -> tuple[PipelineKey, TargetColumn, str]:
    """The key of a cell among estimates."""
    pipeline = PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)
    if cell.intermediate == BASELINE:
        pipeline = PipelineKey(cell.model, BASELINE, "", "")
    return pipeline, TargetColumn(cell.target, cell.metric, cell.train_language, cell.noise), cell.language
