"""A leaderboard folder from predictions: checked against the suite first, then written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xlift.errors import UserError
from xlift.suites.declared import Suite, SuiteTask
from xlift.suites.reading import number

NAMED = 8
"""Missing tasks and languages that an error names."""


@dataclass(frozen=True)
class Predicted:
    """The predictions of one task and language, in the order of its test file."""

    ids: Sequence[str]
    predictions: Sequence[Any]
    """In the shape that the task's format decodes to."""
    expected: int | None = None
    """Number of test examples as published, where that is known."""
    english: Sequence[str] = ()
    """The English side of every row, for tasks whose lines stand in its order."""


class Written(NamedTuple):
    tasks: int
    files: list[Path]
    warnings: list[str]


def write_submission(
    out: Path, suite: Suite, predicted: Mapping[str, Mapping[str, Predicted]], *, partial: bool = False
) -> Written:
    """Write `out`, which must be new or empty.

    Args:
        predicted: task -> language -> predictions.
        partial: write what there is, should tasks or languages of the suite be missing.

    Raises:
        UserError: something is missing, of another length than published, or no line of the suite's files; the folder
            is in use or cannot be written. Nothing is written then.
    """
    _check_folder(out)
    missing = [
        task.name if task.name not in predicted else f"{task.name}/{code}"
        for task in suite.tasks
        for code in (task.languages if task.name in predicted else ("",))
        if code not in predicted.get(task.name, {})
    ]
    if missing and not partial:
        shown = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        raise UserError(
            f"the study has no predictions of {shown} ({len(missing)} in all)",
            fix=f"{suite.name} asks for them: add them to the study's targets and run it, or write what there is with --partial.",
        )
    files = {
        out / task.file(code): render(task, code, predicted[task.name][code])
        for task in suite.tasks
        for code in task.languages
        if code in predicted.get(task.name, {})
    }
    if not files:
        raise UserError(
            f"there is nothing of {suite.name} to write", fix="its tasks are: " + ", ".join(t.name for t in suite.tasks)
        )
    _write(out, files)
    warnings = [f"not in the folder: {name}" for name in missing]
    return Written(len({path.parent for path in files}), list(files), warnings)


def render(task: SuiteTask, language: str, predicted: Predicted) -> str:
    """The text of one file.

    Raises:
        UserError: a wrong number of predictions, or one that cannot stand in this file.
    """
    where = f"{task.name}/{language}"
    said = [prediction for prediction in predicted.predictions if prediction is not None]
    # BUCC's and Mewsli-X's pools hold rows that nothing was asked of.
    if len(said) != len(predicted.predictions) and task.kind not in ("pairs", "ranking"):
        raise UserError(
            f"{number(len(predicted.predictions) - len(said), 'example')} without a prediction", where=where
        )
    if predicted.expected is not None and len(said) != predicted.expected:
        raise UserError(
            number(len(said), "prediction"), where=where,
            fix=f"expected {predicted.expected:,}, as the test set is published: was it a part of it, or another one?",
        )  # fmt: skip
    try:
        return _RENDER[task.kind](task, predicted)
    except _Unfit as error:
        raise UserError(
            str(error), where=where, fix=f"Expected {task.file(language)} to be one of {task.kind}."
        ) from None


class _Unfit(Exception):
    """A prediction that cannot stand in a file of its kind."""


def _labels(task: SuiteTask, predicted: Predicted) -> str:
    if task.rule == "positions":
        return _lines(_positions(predicted))
    for label in predicted.predictions:
        if not _is_line(label) or (task.labels and label not in task.labels):
            raise _Unfit(f"the prediction {label!r} is none of: {', '.join(task.labels)}")
    return _lines(task.labels.get(label, label) for label in predicted.predictions)


def _positions(predicted: Predicted) -> list[str]:
    """For each English sentence, in their sorted order, the place of the sentence that was found for it."""
    place = {name: i for i, name in enumerate(predicted.ids)}
    for found in predicted.predictions:
        if found not in place:
            raise _Unfit(f"the prediction {found!r} is no id of the test set")
    if len(predicted.english) != len(predicted.ids):
        raise _Unfit("the English sentences are not known, and lines stand in their order")
    order = sorted(range(len(predicted.ids)), key=lambda i: predicted.english[i].strip())
    return [str(place[predicted.predictions[i]]) for i in order]


def _tags(task: SuiteTask, predicted: Predicted) -> str:
    for tags in predicted.predictions:
        if not isinstance(tags, list) or not tags or not all(_is_line(tag) for tag in tags):
            raise _Unfit(f"the prediction {tags!r} is no sentence of tags")
    return "\n".join(_lines(tags) for tags in predicted.predictions)


def _pairs(task: SuiteTask, predicted: Predicted) -> str:
    pairs: list[str] = []
    for name, partners in zip(predicted.ids, predicted.predictions, strict=True):
        for partner in [partners] if isinstance(partners, str) else partners or ():
            if not _is_line(name) or not _is_line(partner):
                raise _Unfit(f"the pair {name!r}, {partner!r} is no line")
            pairs.append(f"{name}\t{partner}")
    return _lines(dict.fromkeys(pairs))


def _answers(task: SuiteTask, predicted: Predicted) -> str:
    for name, answer in zip(predicted.ids, predicted.predictions, strict=True):
        if not isinstance(answer, str):
            raise _Unfit(f"the prediction {answer!r} of '{name}' is no text")
    return _json(_unique(predicted))


def _ranking(task: SuiteTask, predicted: Predicted) -> str:
    ranked: dict[str, list[str]] = {}
    for name, prediction in _unique(predicted).items():
        if prediction is None:
            continue
        if not isinstance(prediction, dict) or "top" not in prediction:
            raise _Unfit(f"the prediction {prediction!r} of '{name}' is no ranking")
        ranked[name] = prediction["top"]
    return _json(ranked)


def _choices(task: SuiteTask, predicted: Predicted) -> str:
    for label in predicted.predictions:
        if not isinstance(label, int):
            raise _Unfit(f"the prediction {label!r} is no number of a choice")
    return _lines(json.dumps({"label": label}) for label in predicted.predictions)


_RENDER: Mapping[str, Callable[[SuiteTask, Predicted], str]] = {
    "labels": _labels, "tags": _tags, "pairs": _pairs, "answers": _answers, "ranking": _ranking, "choices": _choices,
}  # fmt: skip


def _unique(predicted: Predicted) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, prediction in zip(predicted.ids, predicted.predictions, strict=True):
        if found.setdefault(name, prediction) != prediction:
            raise _Unfit(f"two examples have the id '{name}' and different predictions")
    return found


def _is_line(value: Any) -> bool:
    """Whether it comes back as it is from a line that is read and stripped."""
    return isinstance(value, str) and bool(value) and value == value.strip() and not set("\n\r\t") & set(value)


def _lines(lines: Any) -> str:
    return "".join(f"{line}\n" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=0) + "\n"


def _check_folder(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError("exists already and is not an empty folder", where=str(out), fix="name another one with --out.")


def _write(out: Path, files: Mapping[Path, str]) -> None:
    """Beside the folder, then moved into its place."""
    draft = out.absolute().parent / f".{out.name}.{os.getpid()}"
    try:
        for path, text in files.items():
            path = draft / path.relative_to(out)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, out)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(out), fix="name another folder with --out."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
