"""Metrics by name. A task names its metrics; tables show the first."""

from __future__ import annotations

from collections.abc import Sequence

from xlift.errors import UserError, did_you_mean
from xlift.tasks.metrics.accuracy import ACCURACY, TAG_ACCURACY
from xlift.tasks.metrics.answers import ANSWER_EM, ANSWER_F1
from xlift.tasks.metrics.base import Metric
from xlift.tasks.metrics.bleu import BLEU, SPBLEU
from xlift.tasks.metrics.chrf import CHRF
from xlift.tasks.metrics.chunks import CHUNK_F1_LEGACY, ENTITY_F1
from xlift.tasks.metrics.correlation import PEARSON, SPEARMAN
from xlift.tasks.metrics.mining import BUCC_F1, MINING_F1
from xlift.tasks.metrics.mlqa import MLQA_EM, MLQA_F1
from xlift.tasks.metrics.multilabel import MACRO_F1, MACRO_PRECISION, MACRO_RECALL, MICRO_F1
from xlift.tasks.metrics.on_target import ON_TARGET
from xlift.tasks.metrics.pairs import ACCURACY_F1, PAIR_F1
from xlift.tasks.metrics.ranking import MAP, MAP_AT_20, MRR_AT_20
from xlift.tasks.metrics.squad import SQUAD2_EM, SQUAD2_F1, SQUAD_EM, SQUAD_F1

METRICS: tuple[Metric, ...] = (
    ACCURACY, ACCURACY_F1, TAG_ACCURACY, CHUNK_F1_LEGACY, ENTITY_F1, SQUAD_F1, SQUAD_EM, SQUAD2_F1, SQUAD2_EM,
    MLQA_F1, MLQA_EM, ANSWER_F1, ANSWER_EM, PAIR_F1, BUCC_F1, MINING_F1, MAP_AT_20, MRR_AT_20, MAP,
    BLEU, CHRF, SPBLEU, ON_TARGET, PEARSON, SPEARMAN, MICRO_F1, MACRO_F1, MACRO_PRECISION,
    MACRO_RECALL,
)  # fmt: skip


def of_format(format: str) -> tuple[Metric, ...]:
    """The metrics that score predictions of a format."""
    return tuple(metric for metric in METRICS if format in metric.formats)


def check(name: str, format: str, labels: Sequence[str]) -> Metric:
    """The metric of that name.

    Args:
        labels: of the task; empty if they are unknown, or if it has none.

    Raises:
        UserError: there is none; or it cannot score predictions of the format, or read the labels.
    """
    known = {metric.name: metric for metric in METRICS}
    usable = [metric.name for metric in of_format(format) if not labels or not metric.check_labels(labels)]
    listed = f"Metrics of {format}: {', '.join(usable)}." if usable else "It has no metrics."
    if name not in known:
        raise UserError(f"unknown metric '{name}'", fix=f"{did_you_mean(name, tuple(known))}{listed}")
    if format not in known[name].formats:
        raise UserError(f"'{name}' cannot score {format}", fix=listed)
    if labels and (problem := known[name].check_labels(labels)):
        raise UserError(f"'{name}' cannot read the labels: {problem}", fix=listed)
    return known[name]


def names() -> tuple[str, ...]:
    return tuple(metric.name for metric in METRICS)


def get(name: str) -> Metric:
    """The metric with that name.

    Raises:
        UserError: no metric has that name.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise UserError(f"unknown metric '{name}'", fix=f"{did_you_mean(name, names())}Metrics are {', '.join(names())}.")
