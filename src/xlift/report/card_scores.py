"""Scores of an exported model for its card: by language with intervals, with noise, and over all seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from xlift.analysis.estimates import ALL, BASELINE, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow, compute_lifts
from xlift.analysis.pipelines import PIPELINE_FIELDS, Pipeline, TrainingLineage, trace_lineage
from xlift.analysis.robustness import compute_robustness
from xlift.analysis.scores import load_cells
from xlift.analysis.training_status import COLLAPSED, FP32, RETRIED
from xlift.language_tags import has_language
from xlift.report.markdown import escaped, listed, table
from xlift.studies.plan import Cell
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.units import count_noun

MARKS = {FP32: "§", RETRIED: "†", COLLAPSED: "‡"}


def model_rows(pipeline: Pipeline, store: Store) -> list[LiftRow]:
    """Compute the rows of this model (one seed), with its lift over the same pipeline without an intermediate task."""
    if not pipeline.record or not pipeline.cells:
        return []
    first = pipeline.cells[0]
    baseline_cells = [cell for cell in pipeline.record.cells if _baseline_of(cell, first) and cell.seed == first.seed]
    rows = compute_lifts(
        load_cells(_only(pipeline.record, [*pipeline.cells, *baseline_cells]), store, every_metric=True)[0],
        pipeline.record.name,
    )
    own = {
        name: value
        for name, value in pipeline.field_values.items()
        if name in ("intermediate", "intermediate_language", "size")
    }
    return [row for row in rows if row.target not in TARGET_MEANS and all(str(getattr(row, name)) == value for name, value in own.items())
            and row.intermediate == first.intermediate]  # fmt: skip


def _baseline_of(cell: Cell, first: Cell) -> bool:
    same = ("model", "target", "train_language")
    return cell.intermediate == BASELINE != first.intermediate and all(
        getattr(cell, name) == getattr(first, name) for name in same
    )


def _only(record: Record, cells: Iterable[Cell]) -> Record:
    return replace(record, cells=tuple(dict.fromkeys(cells)))


def format_scores(pipeline: Pipeline, store: Store, rows: Sequence[LiftRow]) -> str:
    if not rows or not pipeline.record:
        return "No study in its store has scored this model."
    sentences = []
    trained = trained_languages(trace_lineage(pipeline.key, store))
    names = {each["code"]: each for each in pipeline.record.languages}
    for metric in dict.fromkeys(row.metric for row in rows):
        own = [row for row in rows if row.metric == metric]
        lifted = any(row.lift is not None for row in own)
        lines = []
        for row in own:
            mean = row.is_mean
            name = names.get(row.language, {}).get("name", row.language)
            means = {ALL: "**mean of these**", ZERO_SHOT: "**mean of the zero-shot ones**"}
            language = means[row.language] if mean else f"{escaped(name)} ({escaped(row.language)})"
            shot = "" if mean else "zero-shot" if untrained([row.language], trained) else "trained on"
            cells = [
                language,
                shot,
                f"{_percent(row)}{MARKS.get(row.training_status, '')}",
            ]
            if lifted:
                cells.append("" if row.lift is None or row.lift_low is None or row.lift_high is None
                             else f"{100 * row.lift:+.1f} ({100 * row.lift_low:+.1f} to {100 * row.lift_high:+.1f})")  # fmt: skip
            lines.append([*cells, f"{row.n:,}"])
        heads = ["language", "", escaped(metric), *(["lift over no intermediate"] if lifted else []), "examples"]
        sentences.append(table(heads, lines))
    sentences.append(
        "Percent, with 95% intervals over test examples. They cover the choice of test examples for this one model, and do not cover "
        "the variation between seeds."
    )
    if any(row.same_task and row.lift is not None for row in rows):
        sentences.append(
            "The intermediate stage was trained on labels of this target's own task, so the lift shows what more labels of one task bring."
        )
    if noise := _noise(pipeline, store):
        sentences.append(noise)
    if mean := _all_seeds(pipeline, store):
        sentences.append(mean)
    statuses = {row.training_status for row in rows}
    if FP32 in statuses:
        sentences.append(
            f"{MARKS[FP32]} The loss of a stage was not a number in bfloat16. The stage was trained again in float32."
        )
    if RETRIED in statuses:
        sentences.append(
            f"{MARKS[RETRIED]} A stage collapsed to chance or diverged, then succeeded with a lower learning rate."
        )
    if COLLAPSED in statuses:
        sentences.append(
            f"{MARKS[COLLAPSED]} A stage ended at chance at every learning rate: **do not use this model.**"
        )
    return "\n\n".join(sentences)


def _noise(pipeline: Pipeline, store: Store) -> str:
    """Return the table of scores with noise; '' if there are none."""
    assert pipeline.record
    rows = compute_robustness(load_cells(_only(pipeline.record, pipeline.cells), store)[0], pipeline.record.name)
    lines = [
        [escaped(row.noise), "**mean of these**" if row.language == ALL else escaped(row.language), f"{100 * row.noisy:.1f}",
         "" if row.kept is None or row.kept_low is None or row.kept_high is None
         else f"{100 * row.kept:.0f}% ({100 * row.kept_low:.0f} to {100 * row.kept_high:.0f})"]
        for row in rows
    ]  # fmt: skip
    if not lines:
        return ""
    head = ("the same texts with noise", "language", escaped(rows[0].metric), "kept of the clean score")
    return table(head, lines)


def _all_seeds(pipeline: Pipeline, store: Store) -> str:
    """Describe the mean score over all seeds of the pipeline."""
    assert pipeline.record
    alike = [cell for cell in pipeline.record.cells if all(
        getattr(cell, name) == getattr(pipeline.cells[0], name) for name in PIPELINE_FIELDS if name != "seed"
    )]  # fmt: skip
    seeds = list(dict.fromkeys(cell.seed for cell in alike))
    if len(seeds) < 2:
        return "The study ran this pipeline with one seed."
    rows = [
        row
        for row in compute_lifts(load_cells(_only(pipeline.record, alike), store)[0])
        if row.target not in TARGET_MEANS
    ]
    whole = next((row for row in rows if row.language == ALL), rows[0] if rows else None)
    if whole is None:
        return ""
    zero_shot = next((row for row in rows if row.language == ZERO_SHOT), None)
    others = f", and over the zero-shot ones {_percent(zero_shot)}" if zero_shot else ""
    return (
        f"The study ran this pipeline with {count_noun(len(seeds), 'seed')} ({listed(seeds)}); their mean {escaped(whole.metric)} over all languages "
        f"is {_percent(whole)}{others}. This is seed {pipeline.cells[0].seed}."
    )


def _percent(row: LiftRow) -> str:
    return f"{100 * row.value:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"


def trained_languages(lineage: TrainingLineage) -> list[str]:
    return list(dict.fromkeys(data.language for stage in lineage.stages for data in stage.spec.parts))


def untrained(codes: Sequence[str], trained: Sequence[str]) -> list[str]:
    """The codes whose language is not that of a trained code: 'pt-BR' is none beside 'pt'."""
    return [code for code in codes if not has_language(trained, code)]
