"""Scores a leaderboard folder against a folder of labels: every task in both, every language, and the averages.

The averages are those of `evaluate.py`. The average of a task is the mean over its languages (question answering: the
mean of exact match and F1). The averages of a group and of all tasks are means over tasks, given if all of their tasks
are present.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.suites.definitions import Suite, SuiteTask
from xlift.suites.file_scoring import FileScore, score_file

TOTAL = "all_task"
"""The key of the total in the report of `evaluate.py`."""
SOURCE_LANGUAGE = "en"
MAX_NAMED_FILES = 8
"""Files that a warning names."""

ScoresByMetric = dict[str, dict[str, float]]
"""Metric -> language -> percentage, of one task."""


@dataclass(frozen=True)
class Averages:
    """Averages of a suite by one rule."""

    tasks: dict[str, dict[str, Any]]
    """Task -> its report: metric -> language -> score, then 'avg_<metric>' of each, then 'avg_metric'."""
    groups: dict[str, float]
    """The total if all tasks are present, then the groups whose tasks are all present."""


@dataclass(frozen=True)
class SuiteResult:
    suite: Suite
    official: Averages
    repaired: Averages
    """Tasks that the repaired rule scores differently, and groups computed with them."""
    without_english: Averages
    """The official scores with every average taken without English."""
    files: dict[str, dict[str, FileScore]]
    """Task -> language -> score."""
    absent: dict[str, str]
    """Task -> why it was not scored, such as 'no labels'."""
    partial: dict[str, list[str]]
    """Task -> languages that were left out."""
    warnings: list[str]

    @property
    def total(self) -> float | None:
        """The mean over all tasks that the suite scores; `evaluate.py` never gives XTREME-R's (LAReQA has no rule)."""
        return self.official.groups.get(TOTAL, _compute_total(self.suite, self.official.tasks, self.partial))

    def report(self, *, repaired: bool = True) -> dict[str, Any]:
        """The content of the `--output_file` of `evaluate.py`, plus the results of xlift under the key 'xlift'."""
        xlift_scores: dict[str, Any] = {
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
            "without_en": {**self.without_english.groups, **self.without_english.tasks},
        }  # fmt: skip
        if repaired:
            xlift_scores["repaired"] = {**self.repaired.groups, **self.repaired.tasks}
        return {**self.official.groups, **self.official.tasks, "xlift": xlift_scores}


def score_folder(predictions: Path, labels: Path, suite: Suite, *, partial: bool = False) -> SuiteResult:
    """Score every task that has a folder on both sides.

    Args:
        partial: score the languages present on both sides; otherwise a missing language is an error. Groups and the
            total are not given if one of their tasks is incomplete.

    Raises:
        UserError: a folder does not exist, no task of the suite is in both, a file is missing or damaged, or lengths
        differ.
    """
    roots = {"predictions": predictions, "labels": labels}
    folders = {side: _list_folders(root) for side, root in roots.items()}
    absent = {
        task.name: "no " + " and no ".join(side for side, found in folders.items() if task.name not in found)
        for task in suite.tasks
        if any(task.name not in found for found in folders.values())
    }
    present = [task for task in suite.tasks if task.name not in absent]
    missing = [
        (side, task.name, code)
        for task in present for side, root in roots.items() for code in task.languages
        if not (root / task.file_path(code)).is_file()
    ]  # fmt: skip
    if missing and not partial:
        raise _missing_files_error(missing, suite, roots)
    left_out: dict[str, list[str]] = {}
    for _, name, code in missing:
        left_out.setdefault(name, [])
        if code not in left_out[name]:
            left_out[name].append(code)
    files: dict[str, dict[str, FileScore]] = {}
    for task in present:
        codes = [code for code in task.languages if code not in left_out.get(task.name, ())]
        if codes:
            files[task.name] = {
                code: score_file(task, code, predictions / task.file_path(code), labels / task.file_path(code))
                for code in codes
            }
        else:
            absent[task.name] = "no language in both folders"
    if not files:
        raise UserError(
            f"no task of {suite.name} is in both folders", where=f"{predictions} and {labels}",
            fix=f"Expected folders named as {', '.join(task.name for task in suite.tasks[:3])}, ... "
            "with files such as " + suite.tasks[0].file_path(suite.tasks[0].languages[0]) + ".",
        )  # fmt: skip
    unscored = [name for name in suite.unscored if all(name in found for found in folders.values())]
    official = {name: {code: score.official for code, score in scores.items()} for name, scores in files.items()}
    repaired = {
        name: {code: score.repaired for code, score in scores.items() if score.repaired}
        for name, scores in files.items()
    }
    reports, repaired_reports = _make_reports(suite, official), _make_reports(suite, repaired)
    without_english = _make_reports(suite, official, lambda code: code != SOURCE_LANGUAGE, only_averages=True)
    return SuiteResult(
        suite=suite,
        official=_compute_averages(suite, {**reports, **{name: {} for name in unscored}}, left_out, official=True),
        repaired=Averages(repaired_reports, _compute_averages(suite, {**reports, **repaired_reports}, left_out).groups),
        without_english=_compute_averages(suite, without_english, left_out),
        files=files,
        absent=absent,
        partial={name: codes for name, codes in left_out.items() if name not in absent},
        warnings=[
            *_warn_of_ignored_files(
                suite, folders["predictions"], [task for task in present if task.name in files], predictions
            ),
            *(f"{name} is named by evaluate.py but has no rule there, so it is not scored" for name in unscored),
            *(warning for scores in files.values() for score in scores.values() for warning in score.warnings),
        ],
    )


def _list_folders(root: Path) -> set[str]:
    if not root.is_dir():
        raise UserError("no such folder", where=str(root), fix="Expected a folder with one folder for each task.")
    return {path.name for path in root.iterdir() if path.is_dir()}


def _missing_files_error(missing: list[tuple[str, str, str]], suite: Suite, roots: Mapping[str, Path]) -> UserError:
    sides: dict[tuple[str, str], list[str]] = {}
    for side, name, code in missing:
        sides.setdefault((name, code), []).append(side)
    by_problem: dict[tuple[str, str], list[str]] = {}
    for (name, code), lacking in sides.items():
        by_problem.setdefault((name, " and no ".join(lacking)), []).append(code)
    side, name, code = missing[0]
    return UserError(
        "\n  ".join(f"no {lacking} of {name} in {' '.join(codes)}" for (name, lacking), codes in by_problem.items()),
        fix=f"Expected {roots[side] / suite.task(name).file_path(code)}{' and so on' if len(missing) > 1 else ''}: "
        f"{suite.name} scores a task in all of its languages. --partial scores those that are in both folders.",
    )


def _make_reports(
    suite: Suite,
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    include: Callable[[str], bool] = lambda code: True,
    *,
    only_averages: bool = False,
) -> dict[str, dict[str, Any]]:
    """Task -> its report, from task -> language -> metric -> score."""
    reports: dict[str, dict[str, Any]] = {}
    for name, by_language in scores.items():
        by_metric: ScoresByMetric = {}
        for code, values in by_language.items():
            for metric, value in values.items():
                if include(code):
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


def _compute_averages(
    suite: Suite, reports: dict[str, dict[str, Any]], partial: Mapping[str, Any], *, official: bool = False
) -> Averages:
    complete = {name: report["avg_metric"] for name, report in reports.items() if report and name not in partial}
    groups: dict[str, float] = {}
    total = _compute_total(suite, reports, partial)
    # evaluate.py prints no total if a suite names tasks that it does not score.
    if total is not None and not (official and suite.unscored):
        groups[TOTAL] = total
    for group, names in suite.groups.items():
        if all(name in complete for name in names):
            groups[group] = sum(complete[name] for name in names) / len(names)
    order = [*(task.name for task in suite.tasks), *suite.unscored]
    return Averages({name: reports[name] for name in order if name in reports}, groups)


def _compute_total(suite: Suite, reports: Mapping[str, Mapping[str, Any]], partial: Mapping[str, Any]) -> float | None:
    names = [task.name for task in suite.tasks]
    if any(name not in reports or name in partial for name in names):
        return None
    return sum(reports[name]["avg_metric"] for name in names) / len(names)


def _warn_of_ignored_files(suite: Suite, folders: set[str], scored: Sequence[SuiteTask], root: Path) -> list[str]:
    """Warnings about ignored files in the folder of predictions."""
    unknown = sorted(folders - {task.name for task in suite.tasks} - set(suite.unscored))
    warnings = [f"{root / name}: no task of {suite.name}, ignored" for name in unknown]
    for task in scored:
        expected = {(root / task.file_path(code)).name for code in task.languages}
        extra = sorted(path.name for path in (root / task.name).iterdir() if path.name not in expected)
        if extra:
            warnings.append(
                f"{root / task.name}: ignored: {', '.join(extra[:MAX_NAMED_FILES])}{', ...' if len(extra) > MAX_NAMED_FILES else ''}"
            )
    return warnings
