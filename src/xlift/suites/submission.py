"""Writes a leaderboard folder from predictions: checks them against the suite, then writes everything or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xlift.errors import UserError
from xlift.suites.definitions import Suite, SuiteTask
from xlift.suites.leaderboard_files import count_noun

MAX_NAMED = 8
"""Missing tasks and languages that an error names."""


@dataclass(frozen=True)
class TaskPredictions:
    """The predictions of one task and language, in the order of its test file."""

    ids: Sequence[str]
    predictions: Sequence[Any]
    """In the form that the task's format decodes to."""
    expected: int | None = None
    """Published number of test examples, if known."""
    english: Sequence[str] = ()
    """The English side of every row, for tasks whose lines follow its order."""


class WrittenSubmission(NamedTuple):
    tasks: int
    files: list[Path]
    warnings: list[str]


def write_submission(
    out: Path, suite: Suite, predicted: Mapping[str, Mapping[str, TaskPredictions]], *, partial: bool = False
) -> WrittenSubmission:
    """Write the folder `out`, which must be new or empty.

    Args:
        predicted: task -> language -> predictions.
        partial: write the available predictions even if tasks or languages of the suite are missing.

    Raises:
        UserError: predictions are missing, differ in number from the published test set, or do not fit the suite's
            files; or the folder is in use or cannot be written. Nothing is written then.
    """
    _check_folder(out)
    missing = [
        task.name if task.name not in predicted else f"{task.name}/{code}"
        for task in suite.tasks
        for code in (task.languages if task.name in predicted else ("",))
        if code not in predicted.get(task.name, {})
    ]
    if missing and not partial:
        shown = ", ".join(missing[:MAX_NAMED]) + (", ..." if len(missing) > MAX_NAMED else "")
        raise UserError(
            f"the study has no predictions of {shown} ({len(missing)} in all)",
            fix=f"{suite.name} needs them: add them to the study's targets and run it, or write the rest with --partial.",
        )
    files = {
        out / task.file_path(code): render_file(task, code, predicted[task.name][code])
        for task in suite.tasks
        for code in task.languages
        if code in predicted.get(task.name, {})
    }
    if not files:
        raise UserError(
            f"there are no predictions of {suite.name} to write",
            fix="its tasks are: " + ", ".join(t.name for t in suite.tasks),
        )
    _write(out, files)
    warnings = [f"not in the folder: {name}" for name in missing]
    return WrittenSubmission(len({path.parent for path in files}), list(files), warnings)


def render_file(task: SuiteTask, language: str, predicted: TaskPredictions) -> str:
    """The text of one file.

    Raises:
        UserError: the number of predictions is wrong, or one does not fit this file.
    """
    where = f"{task.name}/{language}"
    given = [prediction for prediction in predicted.predictions if prediction is not None]
    # The pools of BUCC and Mewsli-X have rows without a prediction.
    if len(given) != len(predicted.predictions) and task.kind not in ("pairs", "ranking"):
        raise UserError(
            f"{count_noun(len(predicted.predictions) - len(given), 'example')} without a prediction", where=where
        )
    if predicted.expected is not None and len(given) != predicted.expected:
        raise UserError(
            count_noun(len(given), "prediction"), where=where,
            fix=f"expected {predicted.expected:,}, the size of the published test set.",
        )  # fmt: skip
    try:
        return _RENDERERS[task.kind](task, predicted)
    except _DoesNotFit as error:
        raise UserError(
            str(error), where=where, fix=f"Expected {task.file_path(language)} to be one of {task.kind}."
        ) from None


class _DoesNotFit(Exception):
    """A prediction does not fit into a file of its kind."""


def _render_labels(task: SuiteTask, predicted: TaskPredictions) -> str:
    if task.rule == "positions":
        return _lines(_render_positions(predicted))
    for label in predicted.predictions:
        if not _fits_on_line(label) or (task.labels and label not in task.labels):
            raise _DoesNotFit(f"the prediction {label!r} is none of: {', '.join(task.labels)}")
    return _lines(task.labels.get(label, label) for label in predicted.predictions)


def _render_positions(predicted: TaskPredictions) -> list[str]:
    """For each English sentence, in sorted order, the index of the sentence predicted for it."""
    index = {name: i for i, name in enumerate(predicted.ids)}
    for prediction in predicted.predictions:
        if prediction not in index:
            raise _DoesNotFit(f"the prediction {prediction!r} is not an id of the test set")
    if len(predicted.english) != len(predicted.ids):
        raise _DoesNotFit("the English sentences are missing, and the lines follow their order")
    order = sorted(range(len(predicted.ids)), key=lambda i: predicted.english[i].strip())
    return [str(index[predicted.predictions[i]]) for i in order]


def _render_tags(task: SuiteTask, predicted: TaskPredictions) -> str:
    for tags in predicted.predictions:
        if not isinstance(tags, list) or not tags or not all(_fits_on_line(tag) for tag in tags):
            raise _DoesNotFit(f"the prediction {tags!r} is not a list of tags")
    return "\n".join(_lines(tags) for tags in predicted.predictions)


def _render_pairs(task: SuiteTask, predicted: TaskPredictions) -> str:
    pairs: list[str] = []
    for name, partners in zip(predicted.ids, predicted.predictions, strict=True):
        for partner in [partners] if isinstance(partners, str) else partners or ():
            if not _fits_on_line(name) or not _fits_on_line(partner):
                raise _DoesNotFit(f"the pair {name!r}, {partner!r} does not fit on a line")
            pairs.append(f"{name}\t{partner}")
    return _lines(dict.fromkeys(pairs))


def _render_answers(task: SuiteTask, predicted: TaskPredictions) -> str:
    for name, answer in zip(predicted.ids, predicted.predictions, strict=True):
        if not isinstance(answer, str):
            raise _DoesNotFit(f"the prediction {answer!r} of '{name}' is not text")
    return _json(_predictions_by_id(predicted))


def _render_ranking(task: SuiteTask, predicted: TaskPredictions) -> str:
    ranked: dict[str, list[str]] = {}
    for name, prediction in _predictions_by_id(predicted).items():
        if prediction is None:
            continue
        if not isinstance(prediction, dict) or "top" not in prediction:
            raise _DoesNotFit(f"the prediction {prediction!r} of '{name}' is not a ranking")
        ranked[name] = prediction["top"]
    return _json(ranked)


def _render_choices(task: SuiteTask, predicted: TaskPredictions) -> str:
    for label in predicted.predictions:
        if not isinstance(label, int):
            raise _DoesNotFit(f"the prediction {label!r} is not the number of a choice")
    return _lines(json.dumps({"label": label}) for label in predicted.predictions)


_RENDERERS: Mapping[str, Callable[[SuiteTask, TaskPredictions], str]] = {
    "labels": _render_labels, "tags": _render_tags, "pairs": _render_pairs, "answers": _render_answers, "ranking": _render_ranking, "choices": _render_choices,
}  # fmt: skip


def _predictions_by_id(predicted: TaskPredictions) -> dict[str, Any]:
    by_id: dict[str, Any] = {}
    for name, prediction in zip(predicted.ids, predicted.predictions, strict=True):
        if by_id.setdefault(name, prediction) != prediction:
            raise _DoesNotFit(f"two examples have the id '{name}' and different predictions")
    return by_id


def _fits_on_line(value: Any) -> bool:
    """Whether the value survives writing to a line and reading it back stripped."""
    return isinstance(value, str) and bool(value) and value == value.strip() and not set("\n\r\t") & set(value)


def _lines(lines: Any) -> str:
    return "".join(f"{line}\n" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=0) + "\n"


def _check_folder(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            "already exists and is not an empty folder", where=str(out), fix="choose another folder with --out."
        )


def _write(out: Path, files: Mapping[Path, str]) -> None:
    """Write to a temporary folder and move it to `out`."""
    draft = out.absolute().parent / f".{out.name}.{os.getpid()}"
    try:
        for path, text in files.items():
            path = draft / path.relative_to(out)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, out)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(out), fix="choose another folder with --out."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
