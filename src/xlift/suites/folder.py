"""A leaderboard folder against the folder of labels: every task that is in both, every language, and the averages.

The averages are those of `evaluate.py`: a task's is the mean over its languages (question answering: the mean of exact
match and F1), a group's and the total the mean over tasks, given where all of them are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.suites.declared import Suite, SuiteTask
from xlift.suites.scoring import FileScore, score_file

TOTAL = "all_task"
"""The key of the total in the report of `evaluate.py`."""
PIVOT = "en"
NAMED = 8
"""Files that a warning names."""

Scores = dict[str, dict[str, float]]
"""Metric -> language -> percentage, of one task."""


@dataclass(frozen=True)
class Averages:
    """Scores of a suite by one rule."""

    tasks: dict[str, dict[str, Any]]
    """Task -> its report: metric -> language -> score, then 'avg_<metric>' of each, then 'avg_metric'."""
    groups: dict[str, float]
    """The total where all tasks are there, then the groups whose tasks are."""


@dataclass(frozen=True)
class Result:
    suite: Suite
    official: Averages
    repaired: Averages
    """Tasks that the better rule scores differently, and the groups with these in place of the official ones."""
    without_pivot: Averages
    """The official scores with English left out of every average."""
    files: dict[str, dict[str, FileScore]]
    """Task -> language -> what was scored."""
    absent: dict[str, str]
    """Task -> which side has no folder of it."""
    partial: dict[str, list[str]]
    """Task -> the languages that were left out."""
    warnings: list[str]

    @property
    def total(self) -> float | None:
        """The mean over all tasks that the suite scores; `evaluate.py` never gives XTREME-R's (LAReQA has no rule)."""
        return self.official.groups.get(TOTAL, _total(self.suite, self.official.tasks, self.partial))

    def report(self, *, repaired: bool = True) -> dict[str, Any]:
        """What `evaluate.py` writes to its `--output_file`, and what is ours under the key 'xlift'."""
        ours: dict[str, Any] = {
            "suite": self.suite.name,
            "absent": self.absent,
            "partial": self.partial,
            "counts": {task: {code: score.rows for code, score in scores.items()} for task, scores in self.files.items()},
            "unanswered": {
                task: {code: score.unanswered for code, score in scores.items() if score.unanswered}
                for task, scores in self.files.items() if any(score.unanswered for score in scores.values())
            },
            "warnings": self.warnings,
            TOTAL: self.total,
            "without_en": {**self.without_pivot.groups, **self.without_pivot.tasks},
        }  # fmt: skip
        if repaired:
            ours["repaired"] = {**self.repaired.groups, **self.repaired.tasks}
        return {**self.official.groups, **self.official.tasks, "xlift": ours}


def score_folder(predictions: Path, labels: Path, suite: Suite, *, partial: bool = False) -> Result:
    """Score every task whose folder is on both sides.

    Args:
        partial: score the languages that are on both sides instead of refusing a task that lacks one. Groups and the
            total leave such a task out, and so are not given.

    Raises:
        UserError: no such folders, no task of the suite in both, a file is missing or damaged, lengths differ.
    """
    roots = {"predictions": predictions, "labels": labels}
    folders = {side: _folders(root) for side, root in roots.items()}
    absent = {
        task.name: "no " + " and no ".join(side for side, found in folders.items() if task.name not in found)
        for task in suite.tasks
        if any(task.name not in found for found in folders.values())
    }
    there = [task for task in suite.tasks if task.name not in absent]
    missing = [
        (side, task.name, code)
        for task in there for side, root in roots.items() for code in task.languages
        if not (root / task.file(code)).is_file()
    ]  # fmt: skip
    if missing and not partial:
        raise _missing(missing, suite, roots)
    left_out: dict[str, list[str]] = {}
    for _, name, code in missing:
        left_out.setdefault(name, [])
        if code not in left_out[name]:
            left_out[name].append(code)
    files: dict[str, dict[str, FileScore]] = {}
    for task in there:
        codes = [code for code in task.languages if code not in left_out.get(task.name, ())]
        if codes:
            files[task.name] = {
                code: score_file(task, code, predictions / task.file(code), labels / task.file(code)) for code in codes
            }
        else:
            absent[task.name] = "no language is on both sides"
    if not files:
        raise UserError(
            f"no task of {suite.name} is in both folders", where=f"{predictions} and {labels}",
            fix=f"Expected folders named as {', '.join(task.name for task in suite.tasks[:3])}, ... "
            "with files such as " + suite.tasks[0].file(suite.tasks[0].languages[0]) + ".",
        )  # fmt: skip
    unscored = [name for name in suite.empty if all(name in found for found in folders.values())]
    official = {name: {code: score.official for code, score in scores.items()} for name, scores in files.items()}
    repaired = {
        name: {code: score.repaired for code, score in scores.items() if score.repaired}
        for name, scores in files.items()
    }
    reports, better = _reports(suite, official), _reports(suite, repaired)
    without = _reports(suite, official, lambda code: code != PIVOT, only_averages=True)
    return Result(
        suite=suite,
        official=_averages(suite, {**reports, **{name: {} for name in unscored}}, left_out, official=True),
        repaired=Averages(better, _averages(suite, {**reports, **better}, left_out).groups),
        without_pivot=_averages(suite, without, left_out),
        files=files,
        absent=absent,
        partial={name: codes for name, codes in left_out.items() if name not in absent},
        warnings=[
            *_ignored(suite, folders["predictions"], [task for task in there if task.name in files], predictions),
            *(f"{name} is named by evaluate.py but has no rule there: not scored" for name in unscored),
            *(warning for scores in files.values() for score in scores.values() for warning in score.warnings),
        ],
    )


def _folders(root: Path) -> set[str]:
    if not root.is_dir():
        raise UserError("no such folder", where=str(root), fix="Expected a folder with one folder for each task.")
    return {path.name for path in root.iterdir() if path.is_dir()}


def _missing(missing: list[tuple[str, str, str]], suite: Suite, roots: Mapping[str, Path]) -> UserError:
    sides: dict[tuple[str, str], list[str]] = {}
    for side, name, code in missing:
        sides.setdefault((name, code), []).append(side)
    alike: dict[tuple[str, str], list[str]] = {}
    for (name, code), lacking in sides.items():
        alike.setdefault((name, " and no ".join(lacking)), []).append(code)
    side, name, code = missing[0]
    return UserError(
        "\n  ".join(f"no {lacking} of {name} in {' '.join(codes)}" for (name, lacking), codes in alike.items()),
        fix=f"Expected {roots[side] / suite.task(name).file(code)}{' and so on' if len(missing) > 1 else ''}: "
        f"{suite.name} scores a task in all of its languages. --partial scores those that are in both folders.",
    )


def _reports(
    suite: Suite,
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    keep: Callable[[str], bool] = lambda code: True,
    *,
    only_averages: bool = False,
) -> dict[str, dict[str, Any]]:
    """Task -> its report, from task -> language -> metric -> score."""
    reports: dict[str, dict[str, Any]] = {}
    for name, by_language in scores.items():
        by_metric: Scores = {}
        for code, values in by_language.items():
            for metric, value in values.items():
                if keep(code):
                    by_metric.setdefault(metric, {})[code] = value
        if not by_metric:
            continue
        averages = {f"avg_{metric}": sum(values.values()) / len(values) for metric, values in by_metric.items()}
        if suite.task(name).kind == "answers":
            averages["avg_metric"] = (averages["avg_exact_match"] + averages["avg_f1"]) / 2
        else:
            averages["avg_metric"] = next(iter(averages.values()))  # F1, accuracy and map@20 come first
        reports[name] = averages if only_averages else {**by_metric, **averages}
    return reports


def _averages(
    suite: Suite, reports: dict[str, dict[str, Any]], partial: Mapping[str, Any], *, official: bool = False
) -> Averages:
    whole = {name: report["avg_metric"] for name, report in reports.items() if report and name not in partial}
    groups: dict[str, float] = {}
    total = _total(suite, reports, partial)
    # What a suite names without scoring it keeps evaluate.py from ever printing the total.
    if total is not None and not (official and suite.empty):
        groups[TOTAL] = total
    for group, names in suite.groups.items():
        if all(name in whole for name in names):
            groups[group] = sum(whole[name] for name in names) / len(names)
    order = [*(task.name for task in suite.tasks), *suite.empty]
    return Averages({name: reports[name] for name in order if name in reports}, groups)


def _total(suite: Suite, reports: Mapping[str, Mapping[str, Any]], partial: Mapping[str, Any]) -> float | None:
    names = [task.name for task in suite.tasks]
    if any(name not in reports or name in partial for name in names):
        return None
    return sum(reports[name]["avg_metric"] for name in names) / len(names)


def _ignored(suite: Suite, folders: set[str], scored: Sequence[SuiteTask], root: Path) -> list[str]:
    """Warnings about what is in the folder of predictions and is not looked at."""
    unknown = sorted(folders - {task.name for task in suite.tasks} - set(suite.empty))
    found = [f"{root / name}: no task of {suite.name}, ignored" for name in unknown]
    for task in scored:
        expected = {(root / task.file(code)).name for code in task.languages}
        extra = sorted(path.name for path in (root / task.name).iterdir() if path.name not in expected)
        if extra:
            found.append(
                f"{root / task.name}: ignored: {', '.join(extra[:NAMED])}{', ...' if len(extra) > NAMED else ''}"
            )
    return found
