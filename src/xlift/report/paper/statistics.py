"""The paragraphs on intervals and tests, as they were used for the rows of a study."""

from __future__ import annotations

from collections.abc import Sequence

from xlift.analysis.intervals import FEW_FREEDOM
from xlift.analysis.lift import LiftRow
from xlift.report.paper.document import Block, Cite, Paragraph, Text, joined


def statistics_paragraphs(rows: Sequence[LiftRow]) -> list[Block]:
    """How the intervals, marks and sets of best scores of these rows were computed."""
    if not rows:
        return []
    return [_intervals(rows), *([_many_rows(rows)] if any(row.covers_seeds for row in rows) else [])]


def _intervals(rows: Sequence[LiftRow]) -> Paragraph:
    several = any(row.covers_seeds for row in rows)
    parts = [
        joined(
            "Scores and lifts have 95% intervals. Their variance over test examples is the jackknife variance ",
            Cite("efron-1982-jackknife"),
            " of the score, where examples that are translations of each other, questions on one paragraph, and hypotheses of one premise "
            "are left out together. Lifts are differences seed by seed and example by example.",
        )
    ]
    if several:
        parts += _seed_variance(rows)
    else:
        parts.append(
            " Every pipeline was trained once, so the intervals cover the test examples only, not the variation between seeds."
        )
    parts.append(
        joined(
            " For lifts, 1/n² is added to the variance over n examples ",
            Cite("agresti-min-2005-simple"),
            "; the intervals of scores are Wilson's ",
            Cite("wilson-1927-probable"),
            " at the number of examples that has the same variance. The languages are fixed: an average over languages is about these "
            "languages.",
        )
    )
    return Paragraph(joined(*parts))


def _seed_variance(rows: Sequence[LiftRow]) -> list[Text]:
    """Where the variance over seeds comes from, and the quantiles that follow."""
    covered = [row for row in rows if row.covers_seeds]
    parts: list[Text] = [joined(" The variance over seeds, divided by their number, is added to it.")]
    if any(row.pooled_pipelines for row in covered):
        parts.append(
            joined(
                " It is pooled over the pipelines of a model and target: twice the residual mean square of the table of pipelines and seeds "
                "weighs 4 degrees of freedom beside the pipeline's own variance, as in moderated tests ",
                Cite("smyth-2004-linear"),
                ". A pipeline that varies far more than the others keeps its own variance.",
            )
        )
    if any(not row.pooled_pipelines and not row.is_unstable for row in covered):
        parts.append(joined(" Where a model and target have fewer than three pipelines, each uses its own variance."))
    few = joined(
        "; where the variance over seeds has fewer than four degrees of freedom, they are the mean of those of both variances, weighted by "
        "them ",
        Cite("cochran-1964-approximate"),
    )
    parts.append(
        joined(
            " The quantiles are Student's, with the degrees of freedom of Welch and Satterthwaite ",
            Cite("welch-1947-generalization", "satterthwaite-1946-approximate"),
            *(few if any(map(_has_few_freedom, covered)) else ()),
            ".",
        )
    )
    return parts


def _has_few_freedom(row: LiftRow) -> bool:
    """Whether its variance over seeds has so few degrees of freedom that Welch's formula is not used (`combined_freedom`)."""
    freedom = row.pooled_freedom if row.pooled_pipelines else row.seeds - 1
    return freedom < FEW_FREEDOM and not row.is_unstable


def _many_rows(rows: Sequence[LiftRow]) -> Paragraph:
    parts = [
        joined(
            "Intervals are not adjusted for the number of rows; marks are. A mean lift is marked if its p-value, adjusted over the "
            "pipelines of its column ",
            Cite("holm-1979-simple"),
            ", is below 5%.",
        )
    ]
    if any(not row.is_mean for row in rows):
        parts.append(
            joined(
                " A lift in one language is marked if its p-value, adjusted over the pipelines and languages of its target ",
                Cite("benjamini-hochberg-1995-controlling"),
                ", is below 5%.",
            )
        )
    parts.append(
        " Scores in bold are the highest of their column and those that do not differ significantly from it (paired, adjusted as the "
        "marks of means)."
    )
    return Paragraph(joined(*parts))
