"""The sections of the report page and of the paper on learning rates chosen on dev data and on dev curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xlift.analysis.estimates import BASELINE
from xlift.analysis.rate_choices import TargetStage
from xlift.report.charts import DASHES, LINES, shorten_name, to_svg
from xlift.report.paper.document import Block, Figure, Paragraph, Section, Strong, Table, Text
from xlift.report.tables import format_points


def rates_for_page(stages: Sequence[TargetStage]) -> list[dict[str, Any]]:
    """For each target with a chosen rate or a dev curve: its rates, a line for each pipeline, curves and sentences."""
    targets: dict[str, list[TargetStage]] = {}
    for stage in stages:
        targets.setdefault(stage.target, []).append(stage)
    return [_section(target, of_target) for target, of_target in targets.items()]


def rates_section(stages: Sequence[TargetStage]) -> list[Section]:
    """The appendix of the paper: for each target a table of the rates that were tried, and a chart of its dev curves."""
    blocks: list[Block] = []
    for number, part in enumerate(rates_for_page(stages), 1):
        target = part["target"]
        if part["lines"]:
            caption = f"Learning rates of {target}: score on dev data (%) after training with each, under the first seed. Bold: the rate that was taken."
            rows = [[line["name"], *map(_rate_cell, line["cells"])] for line in part["lines"]]
            blocks.append(Table(caption, ["pipeline", *part["rates"]], rows, len(part["rates"])))
        if part["curves"]:
            caption = f"Score on dev data of {target} by step of the target stage, mean over seeds."
            blocks.append(Figure(f"dev-{number}", caption, draw_curves(target, part["curves"])))
            blocks.append(Paragraph(" ".join(part["sentences"])))
    return [Section("Learning rates and dev scores", blocks)] if blocks else []


def _rate_cell(cell: Mapping[str, Any]) -> Text:
    if not cell["score"]:
        return "–"
    return (Strong(cell["score"]),) if cell["is_chosen"] else cell["score"]


def _section(target: str, stages: Sequence[TargetStage]) -> dict[str, Any]:
    rates = sorted({lr for stage in stages for lr in stage.tried})
    names = _names(stages)
    lines = [
        {
            "name": name,
            "cells": [
                {"score": f"{100 * stage.tried[lr]:.1f}" if lr in stage.tried else "", "is_chosen": lr == stage.lr} for lr in rates
            ],
        }
        for stage, name in zip(stages, names, strict=True)
        if stage.tried
    ]  # fmt: skip
    curves = [(name, stage.curve) for stage, name in zip(stages, names, strict=True) if len(stage.curve) > 1]
    return {
        "target": target,
        "rates": [f"{lr:g}" for lr in rates],
        "lines": lines,
        "curves": curves,
        "sentences": _sentences(stages, names),
    }


def _names(stages: Sequence[TargetStage]) -> list[str]:
    """Names of pipelines, with the model if there are several."""
    models = {stage.model for stage in stages}
    return [
        " ".join(filter(None, (stage.model if len(models) > 1 else "", stage.intermediate, stage.language, stage.size)))
        for stage in stages
    ]


def _sentences(stages: Sequence[TargetStage], names: Sequence[str]) -> list[str]:
    """How much the dev scores still change between the last two evaluations: of the baseline, and at most of the others."""
    changes: dict[str, tuple[int, int, float]] = {}
    baselines: dict[str, None] = {}
    for stage, name in zip(stages, names, strict=True):
        if len(stage.curve) > 1:
            (before, low), (last, high) = stage.curve[-2:]
            changes[name] = (before, last, high - low)
            if stage.intermediate == BASELINE:
                baselines[name] = None
    sentences = [
        f"From step {before:,} to {last:,} the dev score of {'the baseline' if len(baselines) == 1 else name} changes by "
        f"{format_points(change)} percentage points."
        for name, (before, last, change) in changes.items()
        if name in baselines
    ]
    others = [change for name, (_, _, change) in changes.items() if name not in baselines]
    if others:
        sentences.append(
            f"Those of the other pipelines change by {format_points(min(others))} to {format_points(max(others))} percentage points "
            "between their last two evaluations."
        )
    return sentences


def draw_curves(target: str, curves: Sequence[tuple[str, Sequence[tuple[int, float]]]]) -> str:
    """Dev scores over steps as SVG, a line for each pipeline; '' without curves."""
    if not curves:
        return ""
    import altair as alt

    curves = [(shorten_name(name), points) for name, points in curves]
    points = [
        {"pipeline": name, "step": step, "score": 100 * score} for name, points in curves for step, score in points
    ]
    names = [name for name, _ in curves]
    colours = [LINES[n % len(LINES)] for n in range(len(names))]
    dashes = [list(DASHES[n // len(LINES) % len(DASHES)]) for n in range(len(names))]
    legend = alt.Legend(orient="bottom", columns=2, columnPadding=40, labelLimit=0)
    axis = alt.Axis(grid=False, format="~s", labelFlush=False, labelOverlap="greedy", labelSeparation=6)
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("step:Q", title="steps of the target stage", axis=axis),
        y=alt.Y("score:Q", title="dev score (%)", scale=alt.Scale(zero=False)),
        color=alt.Color(
            "pipeline:N", scale=alt.Scale(domain=names, range=colours), sort=names, title=None, legend=legend
        ),
        strokeDash=alt.StrokeDash("pipeline:N", scale=alt.Scale(domain=names, range=dashes), sort=names, title=None),
    )
    chart = alt.layer(base.mark_line(), base.mark_point(size=14, filled=True)).properties(width=420, height=190)
    data = [{"pipeline": each["pipeline"], "step": each["step"], "dev score (%)": each["score"]} for each in points]
    return to_svg(chart, f"Score on dev data of {target} by step of the target stage", data)
