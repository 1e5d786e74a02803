"""The claim that the best row of every target lifts, with the row chosen on other runs and examples than it is scored on."""

from __future__ import annotations

from collections.abc import Sequence

from xlift.analysis.contrasts import ContrastEstimate
from xlift.analysis.cross_fit import cross_fit, widest
from xlift.analysis.effects import EffectMeasurer, MeasuredEffect
from xlift.analysis.estimates import PipelineKey
from xlift.analysis.means import weighted_sum
from xlift.analysis.training_status import worst_status
from xlift.claims.effects import Effect
from xlift.claims.table import Column


def measure_best_per_target(lifts: Sequence[Effect], measurer: EffectMeasurer) -> MeasuredEffect | None:
    """The mean over targets of the lift of the best row of each.

    Args:
        lifts: of all rows on all targets; effects with the same columns are on one target.

    Returns:
        None if a score is missing or there are fewer than two common seeds.
    """
    targets: dict[tuple[tuple[Column, float], ...], list[Effect]] = {}
    for lift in lifts:
        targets.setdefault(tuple(lift.columns.items()), []).append(lift)
    parts = [
        [
            weighted_sum(
                [measurer.column(lift.columns).get(PipelineKey(*row)) for row in lift.rows], list(lift.rows.values())
            )
            for lift in effects
        ]
        for effects in targets.values()
    ]
    found = [[part for part in target if part is not None] for target in parts]
    if any(len(one) < len(other) for one, other in zip(found, parts, strict=True)) or (fit := cross_fit(found)) is None:
        return None
    columns = {column: weight / len(targets) for target in targets for column, weight in target}
    pool = widest(
        [measurer.pool({PipelineKey(*row): weight for row, weight in lift.rows.items()}, columns) for lift in lifts]
    )
    n = fit.n // 2  # a lift is over the examples of two rows
    status = worst_status(part.training_status for target in found for part in target)
    contrast = ContrastEstimate(fit.estimate, pool, fit.floor, len(fit.seeds), n, (), training_status=status)
    effect = Effect("best row of every target", {}, columns)
    return MeasuredEffect(effect, contrast, -(-n // len(columns)), None)
