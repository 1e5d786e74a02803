"""What limits the results of a study, from what is known about it: sentences for the paper and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from xlift.analysis.chance import ChanceLevel
from xlift.analysis.confounds import same_task_pairs, uncontrolled_steps
from xlift.analysis.estimates import ALL, BASELINE, TARGET_MEANS
from xlift.analysis.lift import LiftRow
from xlift.analysis.training_status import OK
from xlift.report.footer import describe_steps
from xlift.report.words import join_names
from xlift.studies.record import Record
from xlift.tasks import catalog
from xlift.units import count_noun

MOST_NAMES = 8
"""A sentence names at most so many languages, pipelines or pairs."""


def list_limitations(record: Record, rows: Sequence[LiftRow], chance: Sequence[ChanceLevel] = ()) -> list[str]:
    """One text for each limitation, without the warnings of the report and the summary of the contamination check.

    Args:
        chance: scores of the best constant answers.
    """
    if not rows:
        return []
    return [
        *_seeds(rows),
        *_borrowed(rows),
        *_unstable(rows),
        *_confounds(rows),
        *_chance(chance),
        *_missing_languages(record),
        *_generated(record),
        *_scope(record, rows),
    ]


def _seeds(rows: Sequence[LiftRow]) -> list[str]:
    fewest = min(row.seeds for row in rows)
    borrowed = list(dict.fromkeys(row.borrowed_from for row in rows if row.borrowed_from))
    if fewest == 1 and all(row.covers_seeds for row in rows):
        return [
            f"Some pipelines have one seed. The variance between seeds is that of another study ({', '.join(borrowed)}), whose pipelines are "
            "assumed to vary alike."
        ]
    if fewest == 1:
        return [
            "Some pipelines have one seed. Their intervals do not cover the variation between seeds, which may be larger than all other "
            "variation, and nothing about them is tested."
        ]
    if fewest < 5:
        return [
            f"There are {fewest} seeds. The variance between seeds is estimated from few values, and the intervals rely on pipelines of a "
            "target varying alike; 5 seeds or more are needed where a decision depends on the result."
        ]
    return []


def _borrowed(rows: Sequence[LiftRow]) -> list[str]:
    names = dict.fromkeys(row.borrowed_from for row in rows if row.borrowed_from)
    if not names:
        return []
    return [
        f"The variance between seeds is borrowed from {join_names(names, MOST_NAMES)}: the intervals hold if this study varies as much as that."
    ]


def _unstable(rows: Sequence[LiftRow]) -> list[str]:
    names = dict.fromkeys(
        f"{row.intermediate} on {row.target}" for row in rows if row.is_unstable and row.target not in TARGET_MEANS
    )
    if not names:
        return []
    return [
        f"{join_names(names, MOST_NAMES)}: the lift varies over seeds far more than those of the other pipelines, so its interval rests on its own few seeds."
    ]


def _confounds(rows: Sequence[LiftRow]) -> list[str]:
    found = []
    lifted = [row for row in rows if row.lift is not None]
    if lifted and (steps := uncontrolled_steps(rows)):
        found.append(describe_steps(steps))
    elif lifted and not any(row.control for row in rows):
        found.append(
            "A pipeline with an intermediate stage takes more optimizer steps than the baseline, and the study has no control with as many "
            "steps. A lift may be due to more training, whatever the task."
        )
    if pairs := same_task_pairs(rows):
        listed = join_names(
            [f"{target} (after {join_names(names, MOST_NAMES)})" for target, names in pairs.items()], MOST_NAMES
        )
        found.append(
            f"On these targets the intermediate stage trains on the target's own task: {listed}. Those lifts show what more labels of "
            "one task bring, and conclusions leave them out."
        )
    if lifted and not any(row.control in ("text", "shuffled") for row in rows):
        found.append(
            "There is no control with the same texts and no labels, or with shuffled labels, so the effect of the labels is not separated from "
            "that of the texts."
        )
    baselines = dict.fromkeys(
        row.target for row in lifted if row.baseline_status != OK and row.target not in TARGET_MEANS
    )
    if baselines:
        found.append(
            f"Training of the baseline was repeated with other settings, or failed, on {join_names(baselines, MOST_NAMES)}. Lifts there may be too high."
        )
    retried = dict.fromkeys(
        f"{row.intermediate} on {row.target}"
        for row in rows
        if (row.training_status != OK or row.baseline_status != OK) and row.target not in TARGET_MEANS and row.is_mean
    )
    if retried:
        found.append(
            f"Training behind these scores was repeated with other settings, or failed: {join_names(retried, MOST_NAMES)}. They do not compare equal recipes."
        )
    if any(row.intermediate == BASELINE for row in rows):
        found.append("All pipelines share one recipe for each kind of stage. It was not tuned for each of them.")
    return found


def _chance(chance: Sequence[ChanceLevel]) -> list[str]:
    low: dict[str, list[str]] = {}
    for each in chance:
        if each.is_reached:
            low.setdefault(each.target, []).append(each.language)
    if not low:
        return []
    places = (f"{target} ({join_names(languages, MOST_NAMES)})" for target, languages in low.items())
    return [
        f"The baseline is not clearly above the best constant answer on {'; '.join(places)}. A lift there may be a difference between guesses, and no "
        "lift there says little."
    ]


def _missing_languages(record: Record) -> list[str]:
    missing: dict[str, list[str]] = {}
    for target in record.study.targets:
        if target.task not in catalog.names():
            continue
        scored = {cell.language for cell in record.cells if cell.task == target.task}
        task = catalog.get(target.task)
        others = [code for code in task.source.languages(target.split) if code not in scored]
        if others and scored:
            missing[target.name or target.task] = others
    if not missing:
        return []
    parts = (
        f"{target} has {count_noun(len(codes), 'more language')} ({join_names(codes, MOST_NAMES)})"
        for target, codes in missing.items()
    )
    return [f"Not every language of the data is scored: {'; '.join(parts)}."]


def _generated(record: Record) -> list[str]:
    tasks = [task for task, note in record.tasks.items() if "isles" in note.origins]
    if not tasks:
        return []
    which = "All tasks" if len(tasks) == len(record.tasks) else join_names(tasks, MOST_NAMES)
    return [
        f"{which}: the languages and examples are generated (the archipelago). Results there say how the methods behave under known conditions, and "
        "are no evidence on natural languages."
    ]


def _scope(record: Record, rows: Sequence[LiftRow]) -> list[str]:
    models = dict.fromkeys(row.model for row in rows)
    found = []
    if len(models) == 1:
        found.append("There is one pretrained model. Another one may give other lifts.")
    halves = sorted(
        50 * (row.lift_high - row.lift_low)
        for row in rows
        if row.language == ALL
        and row.target not in TARGET_MEANS
        and row.lift_high is not None
        and row.lift_low is not None
    )
    if halves:
        found.append(
            f"The intervals of mean lifts on a target are ±{halves[0]:.1f} to ±{halves[-1]:.1f} percentage points wide (median ±{median(halves):.1f}). Smaller "
            "lifts cannot be told from zero."
        )
    faults = [f"Known fault of {sentence}" for note in record.tasks.values() for sentence in note.faults]
    return found + faults
