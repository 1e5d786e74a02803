"""The text below tables: what the intervals cover, what was chosen on dev sets, marks, and signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlift.analysis.confounds import uncontrolled_steps
from xlift.analysis.estimates import ALL, OTHER_TASKS, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow
from xlift.analysis.scores import AT_OFFICIAL_LAYER
from xlift.analysis.training_status import COLLAPSED, FP32, RETRIED
from xlift.tasks import metrics

MARKS = {FP32: "§", RETRIED: "†", COLLAPSED: "‡"}
"""Training status -> mark of the score."""
MINUS_CONTROL = "Δ"
"""Before the lift of an intermediate minus the lift of its control, in the row of the control."""
SAME_TASK = "same task"
"""Below a lift whose pipeline was trained on labels of the target's own task by its intermediate stage."""
GUESSES = {"(chance)": "chance", "(majority)": "majority"}
"""Name of a line below the pipelines of a table -> the field of `LiftRow` with its scores."""
TARGET_NAMES = {ALL: "the mean", OTHER_TASKS: "the mean of other tasks"}
SEVERAL_STUDIES = (
    "Lifts, intervals, bold and marks are those of each study by itself; no test compares two studies. A column has the targets of one "
    "name, whose test examples may differ between studies, and a mean is over the targets of its own study."
)
CONTROLS = {
    "steps": "no intermediate, and as many more steps on the target",
    "text": "the same texts without labels",
    "shuffled": "the same examples with shuffled labels",
}
"""Kind of control -> what it has in place of its intermediate."""


def footer(rows: Sequence[LiftRow], more: Sequence[str] = ()) -> str:
    """Describe what the intervals cover, what was chosen on dev sets, metric signatures, and training problems. Of several studies:
    of each by itself, since each has its own intervals and tests.

    Args:
        more: sentences on the study: languages of suites, known faults in its data.
    """
    if not rows:
        return ""
    if len(studies := dict.fromkeys(row.study for row in rows)) > 1:
        names: dict[str, list[str]] = {}
        for study in studies:
            names.setdefault(footer([row for row in rows if row.study == study]), []).append(study)
        notes = [f"{', '.join(same)}: {note}" for note, same in names.items()]
        return " ".join([SEVERAL_STUDIES, *notes, *more])
    notes = (
        f"{_control_note(rows)}{_guess_note(rows)}{_interval_note(rows)}{_source_note(rows)}{_same_task_note(rows)}{_steps_note(rows)}{_dev_choice_note(rows)}{_signature_note(rows)}"
        f"{_status_note(rows)}"
    )
    return " ".join([notes, *more])


def _control_note(rows: Sequence[LiftRow]) -> str:
    """Explain the rows of controls."""
    kinds = dict.fromkeys(row.control for row in rows if row.control)
    if not kinds:
        return ""
    listed = "; ".join(f"({kind}): {CONTROLS[kind]}" for kind in kinds)
    return f"Controls: {listed}. {MINUS_CONTROL} in their rows: the lift of their intermediate minus their own. "


def _guess_note(rows: Sequence[LiftRow]) -> str:
    """Explain the lines below the pipelines."""
    chance, majority = GUESSES
    parts = [f"{chance}: answers drawn at random from all labels or choices"] * any(
        row.chance is not None for row in rows
    )
    parts += [f"{majority}: always the most frequent answer of the test set"] * any(
        row.majority is not None for row in rows
    )
    return f"{'; '.join(parts)}. " if parts else ""


def _source_note(rows: Sequence[LiftRow]) -> str:
    """Name the scores that are not zero-shot."""
    targets = {row.target for row in rows if row.language == ZERO_SHOT}
    sources = list(dict.fromkeys(row.language for row in rows if row.is_source and row.target in targets))
    if not sources:
        return ""
    listed = ", ".join(sources)
    return f" Means over all languages include {listed}, whose labels were trained on; zero-shot means are over the others."


def _same_task_note(rows: Sequence[LiftRow]) -> str:
    """Explain the mark of rows that train on the task of a target."""
    if not any(row.same_task for row in rows):
        return ""
    return (
        f" {SAME_TASK}: the intermediate stage trains on labels of the target's own task (other examples, if there are enough). "
        "Conclusions leave such rows out, and they are never bold."
    )


def _signature_note(rows: Sequence[LiftRow]) -> str:
    """List the signatures of the tools that compute the scores."""
    names = dict.fromkeys(row.metric for row in rows)
    return "".join(f" {name}: {found}." for name in names if (found := signature(name)))


def signature(metric: str) -> str:
    """The signature of the tool that computes a metric; '' if it has none."""
    found = metrics.get(metric).signature if metric in metrics.names() else None
    return found() if found else ""


def _status_note(rows: Sequence[LiftRow]) -> str:
    """Explain the marks of scores."""
    found = {status for row in rows for status in (row.training_status, row.baseline_status)}
    note = ""
    if FP32 in found:
        note += (
            f" {MARKS[FP32]}: the loss of a training stage behind this score was not a number in bfloat16. The stage was trained again "
            "in float32."
        )
    if RETRIED in found:
        note += (
            f" {MARKS[RETRIED]}: a training stage behind this score ended at chance on dev data of its training language, or its "
            "loss was not finite. It was trained again with a lower learning rate."
        )
    if COLLAPSED in found:
        note += (
            f" {MARKS[COLLAPSED]}: a training stage behind this score also ended at chance in its last attempt. The model did not "
            "learn, and a lift over such a baseline means nothing."
        )
    if any(row.baseline_status in MARKS for row in rows):
        note += " On a lift, the mark is that of its baseline."
    return note


def _steps_note(rows: Sequence[LiftRow]) -> str:
    """Name the rows whose training has another number of steps than what they are compared with, without a control for it."""
    counts = uncontrolled_steps(rows)
    if not counts:
        return ""
    return f" {describe_steps(counts)}"


def describe_steps(counts: Mapping[str, float]) -> str:
    """A sentence on rows without a control of equal steps.

    Args:
        counts: name of a row -> its number of training steps.
    """
    names: dict[str, list[str]] = {}
    for name, steps in counts.items():
        names.setdefault(f"{steps:,.0f}", []).append(name)
    listed = "; ".join(f"{steps} for {_list(rows)}" for steps, rows in names.items())
    return (
        f"Unequal training steps (mean over the targets): {listed}. No control with as many steps stands beside these rows, so a lift may "
        "come from more training (`controls: [steps]` or `[text]`)."
    )


def _dev_choice_note(rows: Sequence[LiftRow]) -> str:
    """List what was chosen on dev sets."""
    note = ""
    names = dict.fromkeys(row.metric.removesuffix(AT_OFFICIAL_LAYER) for row in rows)
    cut = [name for name in names if name in metrics.names() and metrics.get(name).fit_threshold]
    if cut:
        note += f" {', '.join(cut)}: at the threshold that is best on dev pairs of the same language."
    if any(row.metric.endswith(AT_OFFICIAL_LAYER) for row in rows):
        note += (
            f" Scores without '{AT_OFFICIAL_LAYER.strip()}': at the layer that is best on dev pairs of other languages."
        )
    return note


def _interval_note(rows: Sequence[LiftRow]) -> str:
    seeds = sorted({row.seeds for row in rows})
    sizes = sorted({row.n for row in rows if not row.is_mean}) or [0]
    examples = f"{sizes[0]:,}" if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,}"
    if not any(row.covers_seeds for row in rows):
        return (
            f"Intervals: 95%, over {examples} test examples per language. There is one seed, so they do not cover the variation "
            "between seeds."
        )
    text = (
        f"Intervals: 95%, over {_span(seeds)} seed{'s' * (seeds != [1])} and {examples} test examples per language. They cover other seeds and other "
        "test examples of the same kind."
    )
    text += " With one seed they cover examples only." if not all(row.covers_seeds for row in rows) else ""
    return text + _seed_variance_note(rows) + _mean_note(rows)


def _span(numbers: Sequence[float]) -> str:
    """'3', or '2 to 5'."""
    low, high = min(numbers), max(numbers)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def _seed_variance_note(rows: Sequence[LiftRow]) -> str:
    """Say where the variance between seeds comes from, and name the rows that keep their own."""
    note = ""
    pooled = [row for row in rows if row.pooled_pipelines and not row.borrowed_from]
    if pooled:
        note += (
            f" The variance between seeds is pooled over the {_span([row.pooled_pipelines for row in pooled])} pipelines of a model "
            f"and target ({_span([row.pooled_freedom for row in pooled])} degrees of freedom)."
        )
    unstable = sorted((row for row in rows if row.is_unstable), key=lambda row: (row.target != ALL, not row.is_mean))
    alone = [row for row in rows if row.seeds > 1 and not row.pooled_pipelines and not row.is_unstable]
    if alone:
        where = "" if len(alone) == len(rows) else f" on {_list([row.target for row in alone])}"
        few = min(row.seeds for row in alone)
        note += f" With fewer than three pipelines{where} each row uses its own variance between seeds" + (
            f", which {few} seeds estimate badly: use 3 seeds or more." if few < 3 else "."
        )
    if unstable:
        places = _list(
            [f"{row.intermediate} on {TARGET_NAMES.get(row.target, row.target)} ({row.language})" for row in unstable]
        )
        note += (
            f" Unstable: {places}. Such a row varies over seeds far more than the others and keeps its own variance."
        )
    return note


def _list(names: Sequence[str], most: int = 4) -> str:
    """The different names, or the first few and the number of the others."""
    names = list(dict.fromkeys(names))
    listed = [*names[: most - 1], f"{len(names) - most + 1} more"] if len(names) > most else names
    return ", ".join(listed)


def _mean_note(rows: Sequence[LiftRow]) -> str:
    """Say what an average is about."""
    languages = {row.language for row in rows if not row.is_mean}
    targets = {row.target for row in rows if row.target not in TARGET_MEANS}
    kinds = [name for name, found in (("languages", languages), ("targets", targets)) if len(found) > 1]
    if not kinds or not any(row.is_mean for row in rows):
        return ""
    return f" A mean is over these {' and '.join(kinds)}; its interval does not cover others."
