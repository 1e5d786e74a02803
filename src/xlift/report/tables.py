"""Tables of scores and lifts for the terminal, Markdown, CSV and JSON; latex.py has LaTeX.

Tables show percent with one decimal; `±` is half the width of the 95% interval. JSON and CSV hold the raw rows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xlift.analysis.confounds import main_means
from xlift.analysis.estimates import ALL, BASELINE, OTHER_TASKS, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow
from xlift.analysis.rate_choices import TargetStage, training_keys
from xlift.report.csv_rows import rows_to_csv
from xlift.report.footer import GUESSES, MARKS, MINUS_CONTROL, SAME_TASK, footer, signature

PIPELINE_KEYS = ("model", "intermediate", "intermediate_language", "size")
ROW_KEYS = ("study", *PIPELINE_KEYS)
"""What names a line of a table, where it varies."""
HEADINGS = {
    "study": "study",
    "model": "model",
    "intermediate": "intermediate",
    "intermediate_language": "from",
    "size": "size",
}
STYLES = {1: "not bold green", -1: "not bold red", 0: "not bold dim"}
"""Sign of a lift -> style in the terminal."""
SIGNS = {1: "▲", -1: "▼", 0: ""}
"""Marks of a lift that differs from zero, readable without colours."""

PipelineNames = tuple[str, ...]


@dataclass(frozen=True)
class ScoreTable:
    """Pipelines x columns: the data of every table and chart."""

    title: str
    keys: tuple[str, ...]
    """The parts of a pipeline that vary, always with 'intermediate'; with 'study' first if there are several."""
    pipelines: list[PipelineNames]
    """One name per key; '' if a part does not apply (the baseline has no size)."""
    columns: list[str]
    cells: list[list[LiftRow | None]]
    """[pipeline][column]"""

    def guess_lines(self) -> list[tuple[list[str], list[str]]]:
        """The lines of models that ignore the input, below the pipelines: a text for each key and for each column."""
        several = self.keys[0] == "study"
        studies = dict.fromkeys(pipeline[0] for pipeline in self.pipelines) if several else {"": None}
        lines = []
        for name, key in GUESSES.items():
            for study in studies:
                rows = [row for row, names in zip(self.cells, self.pipelines, strict=True) if study in ("", names[0])]
                found = [[getattr(row, key) for row in column if row] for column in zip(*rows, strict=True)]
                known = [next((score for score in scores if score is not None), None) for scores in found]
                if any(score is not None for score in known):
                    names = [{"study": study, "intermediate": name}.get(part, "") for part in self.keys]
                    lines.append((names, ["" if score is None else f"{to_percent(score):.1f}" for score in known]))
        return lines


def to_percent(value: float) -> float:
    """Return percent, rounded to one decimal."""
    return round(100 * value, 1)


def format_score(row: LiftRow) -> str:
    return f"{to_percent(row.value):.1f}{MARKS.get(row.training_status, '')} ±{half_width(row.low, row.high)}"


def half_width(low: float, high: float) -> str:
    return f"{50 * (high - low):.1f}"


def format_points(value: float) -> str:
    """Format percentage points with a true minus sign; a rounded zero has no sign."""
    return f"{to_percent(value):+.1f}".replace("-", "−") if to_percent(value) else "0.0"


def format_lift(row: LiftRow) -> str:
    """'▲+3.2 ±1.1', or '' without a lift; '▲+3.2† ±1.1' over a baseline that was retried."""
    return _format_difference(row.lift, row.lift_low, row.lift_high, row.sign, MARKS.get(row.baseline_status, ""))


def format_lift_interval(row: LiftRow) -> str:
    """'▲ +3.2 [+2.1, +4.3]', or '' without a lift; marked as `format_lift`."""
    return _format_interval(row.lift, row.lift_low, row.lift_high, row.sign, MARKS.get(row.baseline_status, ""))


def format_minus_control(row: LiftRow, *, bounds: bool = False) -> str:
    """'Δ ▲+3.2 ±1.1': the lift minus that of its control, or '' in a row that is no control.

    Args:
        bounds: as `format_lift_interval`.
    """
    difference = (row.lift_minus_control, row.lift_minus_control_low, row.lift_minus_control_high, row.control_sign)
    text = _format_interval(*difference) if bounds else _format_difference(*difference)
    return text and f"{MINUS_CONTROL} {text}"


def format_same_task(row: LiftRow) -> str:
    """'same task', or '' for a row that trains on other tasks."""
    return SAME_TASK if row.same_task else ""


def _format_difference(value: float | None, low: float | None, high: float | None, sign: int, mark: str = "") -> str:
    if value is None or low is None or high is None:
        return ""
    return f"{SIGNS[sign]}{format_points(value)}{mark} ±{half_width(low, high)}"


def _format_interval(value: float | None, low: float | None, high: float | None, sign: int, mark: str = "") -> str:
    if value is None or low is None or high is None:
        return ""
    return f"{SIGNS[sign]} {format_points(value)}{mark} [{format_points(low)}, {format_points(high)}]".lstrip()


def parse_size(size: str) -> float | None:
    """'1000', '1,000', '1k', '2.5k' or '1m' as a number of examples; None for 'full' and the like."""
    match = re.fullmatch(r"([0-9][0-9,_]*(?:\.[0-9]+)?)\s*([km]?)", size.strip().lower())
    if not match:
        return None
    number = float(match[1].replace(",", "").replace("_", "")) * {"": 1, "k": 1e3, "m": 1e6}[match[2]]
    return number or None


def _column_name(row: LiftRow, several: set[str]) -> str:
    if row.target in TARGET_MEANS:
        return MEAN_COLUMNS[row.target]
    return f"{row.target} {row.metric}" if row.target in several else row.target


MEAN_COLUMNS = {ALL: "mean", OTHER_TASKS: "mean of other tasks"}
"""Mean over targets -> heading of its column."""


def _make_table(
    rows: Sequence[LiftRow], title: str, column: Callable[[LiftRow], str], first: Sequence[str]
) -> ScoreTable:
    """Put rows of the same pipeline on one line. The columns named in `first` come before the others."""
    keys = tuple(
        key for key in ROW_KEYS if key == "intermediate" or len({getattr(row, key) for row in rows} - {""}) > 1
    )
    found: dict[PipelineNames, dict[str, LiftRow]] = {}
    for row in rows:
        found.setdefault(tuple(getattr(row, key) for key in keys), {}).setdefault(column(row), row)
    headings = dict.fromkeys(column(row) for row in rows)
    columns = [*(name for name in first if name in headings), *(name for name in headings if name not in first)]
    # Baseline first, then in the study's order, sizes ascending ('full' last), controls below what they belong to.
    controlled = {row.intermediate: row.control_of for row in rows if row.control}
    order = {key: list(dict.fromkeys(getattr(row, key) for row in rows)) for key in keys}
    names = order["intermediate"]
    # In an unfinished study a control may have scores before its task.
    order["intermediate"] = list(dict.fromkeys(controlled.get(name, name) for name in names))

    def sort_key(pipeline: PipelineNames) -> list[tuple[bool, float]]:
        parts = dict(zip(keys, pipeline, strict=True))
        name = parts["intermediate"]
        parts["intermediate"] = controlled.get(name, name)
        positions = [
            (
                parts[key] not in ("", BASELINE),
                (parse_size(parts[key]) or math.inf) if key == "size" else order[key].index(parts[key]),
            )
            for key in keys
        ]
        return [*positions, (name in controlled, names.index(name))]

    pipelines = sorted(found, key=sort_key)
    return ScoreTable(
        title, keys, pipelines, columns, [[found[pipeline].get(name) for name in columns] for pipeline in pipelines]
    )


def _several_metrics(rows: Sequence[LiftRow]) -> set[str]:
    metrics: dict[str, set[str]] = {}
    for row in rows:
        metrics.setdefault(row.target, set()).add(row.metric)
    return {target for target, names in metrics.items() if len(names) > 1}


def _zero_shot_means(rows: Sequence[LiftRow]) -> list[LiftRow]:
    """The means over zero-shot languages of one study, of the targets that have such languages."""
    trained = {row.target for row in rows if row.is_source} - {row.target for row in rows if row.language == ZERO_SHOT}
    return [row for row in main_means(rows) if row.target not in trained]


def make_overview_tables(rows: Sequence[LiftRow]) -> list[ScoreTable]:
    """Make the tables of pipelines x targets, with the means over targets first: the means over the languages that a target was
    not trained on, then those over all languages, if these are others."""
    by_study: dict[str, list[LiftRow]] = {}
    for row in rows:
        by_study.setdefault(row.study, []).append(row)
    means = {
        ZERO_SHOT: [row for own in by_study.values() for row in _zero_shot_means(own)],
        ALL: [row for row in rows if row.language == ALL],
    }
    titles = {ZERO_SHOT: "Mean over the zero-shot languages", ALL: "Mean over all languages"}
    if not any(row.language == ZERO_SHOT for row in rows):
        del means[ZERO_SHOT]
        several_languages = len({row.language for row in rows if not row.is_mean}) > 1
        titles[ALL] = "Mean over languages" if several_languages else ""
    several = _several_metrics(rows)
    return [
        _make_table(found, titles[mean], lambda row: _column_name(row, several), tuple(MEAN_COLUMNS.values()))
        for mean, found in means.items()
    ]


def _language_name(row: LiftRow) -> str:
    return f"{row.language} (source)" if row.is_source else row.language


def make_language_tables(rows: Sequence[LiftRow]) -> list[ScoreTable]:
    """Make a table of pipelines x languages for each target, with the means over languages first."""
    several = _several_metrics(rows)
    names = dict.fromkeys(_column_name(row, several) for row in rows if row.target not in TARGET_MEANS)
    return [
        _make_table(
            [row for row in rows if row.target not in TARGET_MEANS and _column_name(row, several) == name],
            name,
            _language_name,
            (ZERO_SHOT, ALL),
        )
        for name in names
    ]


BOLD_NOTE = (
    "Bold: the highest score of a column and those that do not differ significantly from it (paired, Holm at 5%)."
)
SIGN_NOTE = (
    "lift that differs significantly from zero (5%, adjusted by Holm for the pipelines of a mean, by Benjamini and Hochberg for the "
    "pipelines and languages of a target)."
)
LEGEND = f"Percent. ± is half the interval. {BOLD_NOTE} ▲▼: {SIGN_NOTE}"


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def markdown_escape(text: str) -> str:
    for character in "\\`*_{}[]<>|#":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


def to_markdown(rows: Sequence[LiftRow], *, per_language: bool = False, notes: Sequence[str] = ()) -> str:
    """Return Markdown tables: one overview, or one per target with `per_language`."""
    blocks = []
    score_tables = make_language_tables(rows) if per_language else make_overview_tables(rows)
    for score_table in score_tables:
        lines = [
            markdown_row(
                [HEADINGS[key] for key in score_table.keys] + [markdown_escape(name) for name in score_table.columns]
            ),
            markdown_row(["---"] * len(score_table.keys) + ["---:"] * len(score_table.columns)),
        ]
        for pipeline, line in zip(score_table.pipelines, score_table.cells, strict=True):
            texts = []
            for row in line:
                score = format_score(row) if row else "–"
                bold = row is not None and row.in_best_set
                lines_below = (format_lift(row), format_minus_control(row), format_same_task(row)) if row else ()
                lift = "".join(f"<br>{below}" for below in lines_below if below)
                texts.append((f"**{score}**" if bold else score) + lift)
            lines.append(markdown_row([markdown_escape(part) or "–" for part in pipeline] + texts))
        lines += [markdown_row([*names, *scores]) for names, scores in score_table.guess_lines()]
        has_title = per_language or len(score_tables) > 1
        blocks.append((f"### {markdown_escape(score_table.title)}\n\n" if has_title else "") + "\n".join(lines))
    return "\n\n".join([*blocks, f"{LEGEND} {footer(rows, notes)}"]) + "\n"


def to_csv(rows: Sequence[LiftRow]) -> str:
    """Return raw rows as CSV. A row without a lift has empty fields."""
    return rows_to_csv(LiftRow, rows)


def to_json(rows: Sequence[LiftRow], stages: Sequence[TargetStage] = ()) -> str:
    """Return raw rows as a JSON list. Rows of a metric with a signature have the key `signature`.

    Args:
        stages: target stages, whose learning rates and dev curves go to their rows.
    """
    names = {row.metric for row in rows}
    signatures = {name: {"signature": found} for name in names if (found := signature(name))}
    entries = [
        row.to_dict() | signatures.get(row.metric, {}) | training
        for row, training in zip(rows, training_keys(stages, rows), strict=True)
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
