"""The report page: one HTML file without network access, for reading, keeping and printing.

Its only script (templates/page.js) sorts and filters tables. The content security policy names the script and the style by
their SHA-256, so a browser runs no other, whatever names and texts of a study hold.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from xlift.analysis.confounds import compared_lifts, main_means, same_task_pairs
from xlift.analysis.estimates import OTHER_TASKS, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow
from xlift.analysis.training_status import COLLAPSED, RETRIED
from xlift.report import charts
from xlift.report.heat_maps import HeatMap, heat_maps, transfer_matrices
from xlift.report.learning_rates import draw_curves
from xlift.report.lift_chart import lift_chart
from xlift.report.line_charts import learning_curves, noise_curves
from xlift.report.tables import (
    HEADINGS,
    LEGEND,
    MARKS,
    SIGNS,
    ScoreTable,
    footer,
    format_minus_control,
    format_points,
    format_same_task,
    format_score,
    half_width,
    make_language_tables,
    make_overview_tables,
    to_percent,
)
from xlift.report.words import join_names

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_NAMES = 4
"""A sentence names at most so many pipelines."""


@dataclass(frozen=True)
class PageInfo:
    """Texts of the page besides the scores. They are untrusted, so all of them are escaped."""

    study: str
    title: str
    question: str
    method: str
    """A paragraph on training, scoring and model selection."""
    languages: list[dict[str, str]] = field(default_factory=list)
    """Keys: code, name, family, script, tier."""
    runs: dict[str, Any] = field(default_factory=dict)
    """Cost and environment: jobs, seconds of work, tokens, machine, versions."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences below tables: languages of suites, and known faults in the data."""
    contamination: dict[str, Any] = field(default_factory=dict)
    """Content of the contamination section, from report/contamination.py; empty for none."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Content of the claims section, from report/paper/claims.py; empty for none."""
    limitations: list[str] = field(default_factory=list)
    """Sentences on what limits the results, beside the warnings and the contamination."""
    references: list[str] = field(default_factory=list)
    """What the study uses and cites, in words."""
    bibtex: str = ""
    """The entries of `references`."""
    noise: dict[str, Any] = field(default_factory=dict)
    """Content of the noise section, from report/robustness.py; empty for none."""
    classes: dict[str, Any] = field(default_factory=dict)
    """Content of the section on labels, from report/classes.py; empty for none."""
    contrasts: dict[str, Any] = field(default_factory=dict)
    """Content of the section on differences between rows, from report/contrasts.py; empty for none."""
    flips: list[dict[str, Any]] = field(default_factory=list)
    """Content of the section on examples that flipped, from report/flips.py."""
    learning_rates: list[dict[str, Any]] = field(default_factory=list)
    """Content of the section on chosen learning rates and dev curves, from report/learning_rates.py."""
    command: str = ""
    made: str = ""
    """Date as text, given by the caller so that equal results make equal pages."""


def render_page(rows: Sequence[LiftRow], info: PageInfo) -> str:
    """Return the page as HTML."""
    from markupsafe import Markup

    charted = charts.shorten_names(rows)
    pipelines, noise_charts = noise_curves(info.noise.get("rows", ()))
    return render_template(
        "page.html",
        info=info,
        lift_summary=summarize_lifts(rows),
        tables=[_table_view(score_table) for score_table in make_overview_tables(rows) if rows],
        language_tables=[_table_view(score_table) for score_table in make_language_tables(rows)],
        # Altair escapes the texts that it draws; see tests/report/test_page.py.
        heat_maps=[_map_view(each) for each in heat_maps(charted).values()],
        matrices=[_map_view(each) for each in transfer_matrices(charted)],
        lift_chart=Markup(lift_chart(charted)),
        has_controls=any(row.control for row in rows),
        curves={name: Markup(svg) for name, svg in learning_curves(charted).items()},
        learning_rates=[
            {**each, "chart": Markup(draw_curves(each["target"], each["curves"]))} for each in info.learning_rates
        ],
        pipelines=pipelines,
        noise_charts=[(f"{chart.target}, {chart.kind}", Markup(chart.svg)) for chart in noise_charts],
        legend=LEGEND,
        footer=footer(rows, info.notes),
        one_seed=not any(row.covers_seeds for row in rows),
        runs={name.replace("_", " "): _format_amount(name, value) for name, value in info.runs.items()},
    )


def render_template(name: str, **values: Any) -> str:
    """Fill a template with escaped texts, and with the style, the script and the policy that all pages have."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("xlift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _mark_code
    templates = files("xlift.report") / "templates"
    colours = f":root {{ --up-rgb: {charts.UP}; --down-rgb: {charts.DOWN}; }}\n"
    style = colours + (templates / "page.css").read_text(encoding="utf-8")
    script = (templates / "page.js").read_text(encoding="utf-8")
    shared = {"style": Markup(style), "script": Markup(script), "policy": make_policy(style, script)}
    return environment.get_template(name).render(**shared, **values)


def _mark_code(text: str) -> Markup:
    """A text as HTML, with what stands in backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def make_policy(style: str, script: str) -> str:
    """The content security policy of a page with only this style and this script, and images within the page."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style))
    parts = zip(("script-src", "style-src"), hashes, strict=True)
    own = "; ".join(f"{part} 'sha256-{digest}'" for part, digest in parts)
    return f"default-src 'none'; {own}; img-src data:; base-uri 'none'; form-action 'none'"


def summarize_lifts(rows: Sequence[LiftRow]) -> str:
    """Summarize the lifts and their uncertainty in a few sentences."""
    lifts = [row for row in rows if row.lift is not None and not row.control]
    if not rows:
        return "There are no results yet."
    if not lifts:
        return "There are scores but no lifts: the study has no finished pipeline without an intermediate task to compare with."
    if not any(row.covers_seeds for row in lifts):
        return (
            "There is only one seed, so the variation between seeds is unknown: nothing is marked, named or counted. "
            "Add seeds (`seeds: [0, 1, 2]`); finished jobs are used again."
        )
    sentences = [_mean_lift_sentence(lifts), _same_task_sentence(lifts)]
    sentences.append(_count_sentence([row for row in lifts if not row.is_mean and not row.same_task]))
    sentences += [_control_sentence(rows), _baseline_sentence(lifts)]
    if any(row.is_unstable for row in lifts):
        sentences.append(
            "Where one pipeline varies over seeds far more than the others, its own variance is used, which few seeds estimate badly."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _control_sentence(rows: Sequence[LiftRow]) -> str:
    """Say how many mean lifts are above those of all their controls."""
    own = {_pipeline(row, row.intermediate) for row in compared_lifts(rows)}
    controls = [
        row for row in main_means(rows)
        if row.control and _pipeline(row, row.control_of) in own and row.lift_minus_control is not None and row.covers_seeds
    ]  # fmt: skip
    if not controls:
        return ""
    lifts: dict[tuple[str, ...], list[LiftRow]] = {}
    for row in controls:
        lifts.setdefault(_pipeline(row, row.control_of), []).append(row)
    above = sum(all(row.control_sign > 0 for row in own) for own in lifts.values())
    few = "the mean lift" if len(lifts) == 1 else f"{above or 'none'} of {len(lifts)} mean lifts"
    verb = "exceeds" if above == 1 else "exceed" if len(lifts) > 1 else "does not exceed"
    whose = "its" if len(lifts) == 1 else "their"
    return f"{few[0].upper()}{few[1:]} {verb} those of all {whose} controls, by intervals of the difference."


def _pipeline(row: LiftRow, intermediate: str) -> tuple[str, ...]:
    return row.model, intermediate, row.intermediate_language, row.size, row.target, row.metric


def _same_task_sentence(lifts: list[LiftRow]) -> str:
    """Name the lifts that are not counted."""
    pairs = same_task_pairs(lifts)
    if not pairs:
        return ""
    listed = join_names(
        [f"{target} (after {join_names(names, MOST_NAMES)})" for target, names in pairs.items()], MOST_NAMES
    )
    return f"Lifts of a task on itself are not counted: on {listed}."


def _baseline_sentence(lifts: list[LiftRow]) -> str:
    """Say that a baseline needed retries or failed."""
    statuses = {row.baseline_status for row in lifts}
    if COLLAPSED in statuses:
        return "The training of a baseline ended at chance, so lifts over it mean nothing."
    if RETRIED in statuses:
        return "The training of a baseline was retried with a lower learning rate, so lifts over it compare different rates."
    return ""


class BestLift(NamedTuple):
    row: LiftRow
    tied: list[LiftRow]
    """The others that do not differ significantly from it."""


def find_best_lift(rows: Sequence[LiftRow]) -> BestLift | None:
    """The highest mean lift, if it is significantly above zero: what the first sentence of the page names."""
    means = compared_lifts(rows)
    highest = max(means, key=lambda row: row.lift or 0, default=None)
    if highest is None or highest.sign <= 0:
        return None
    return BestLift(highest, [row for row in means if row.in_best_set and row is not highest])


def _mean_lift_sentence(lifts: list[LiftRow]) -> str:
    """Describe the mean lifts: over all targets, or over the languages of the only target. An intermediate task is named
    as the best only if its lift is above zero and differs significantly from all others."""
    means = compared_lifts(lifts)
    if not means and any(row.same_task for row in lifts):
        return "Every intermediate stage trains on the task of a target, so there is no average to compare."
    if not means:
        return "No intermediate task has results on all targets yet, so there is no average to compare."
    over = _extent(means[0], lifts)
    highest = max(means, key=lambda row: row.lift or 0)
    name, size = _pipeline_name(highest, means), f"{_lift_with_interval(highest)} {over}"
    above = [row for row in means if row.sign > 0]
    if not above:
        if highest.sign < 0:
            return f"No intermediate task raises the average. The smallest loss is that of {name}: {size}."
        return f"No intermediate task has a mean lift that differs significantly from zero. The highest is that of {name}: {size}."
    best = find_best_lift(lifts)
    if best and not best.tied:
        return f"{name} has the highest lift: on average {size}."
    if best:
        others = [_pipeline_name(row, means) for row in sorted(best.tied, key=lambda row: -(row.lift or 0))]
        return f"The highest mean lift is that of {name}: {size}. It does not differ significantly from {join_names(others, MOST_NAMES)}."
    raising = max(above, key=lambda row: row.lift or 0)
    return (
        f"{_pipeline_name(raising, means)} raises the average: {_lift_with_interval(raising)} {over}. {name} has a higher mean, which does not "
        "differ significantly from zero."
    )


def _extent(mean: LiftRow, lifts: Sequence[LiftRow]) -> str:
    """'over 2 targets and 9 languages': what a mean is over."""
    left_out = set(same_task_pairs(lifts)) if mean.target == OTHER_TASKS else set()
    averaged = [row for row in lifts if row.target not in TARGET_MEANS and row.target not in left_out]
    targets = len({row.target for row in averaged})
    zero_shot = mean.language == ZERO_SHOT
    languages = len({row.language for row in averaged if not row.is_mean and not (zero_shot and row.is_source)})
    kind = "zero-shot " * zero_shot
    return f"over {targets} target{'s' * (targets > 1)} and {languages} {kind}language{'s' * (languages > 1)}"


def _lift_with_interval(row: LiftRow) -> str:
    assert row.lift is not None
    assert row.lift_low is not None
    assert row.lift_high is not None
    return f"{format_points(row.lift)} percentage points (95% interval {format_points(row.lift_low)} to {format_points(row.lift_high)})"


def _pipeline_name(row: LiftRow, among: list[LiftRow]) -> str:
    """Name the intermediate task and the other pipeline parts that differ between the rows."""
    parts = [
        f"{word} {getattr(row, key)}"
        for key, word in (("intermediate_language", "from"), ("size", "size"), ("model", "on"))
        if len({getattr(other, key) for other in among}) > 1 and getattr(row, key)
    ]
    return f"{row.intermediate} ({', '.join(parts)})" if parts else row.intermediate


def _count_sentence(lifts: list[LiftRow]) -> str:
    lifts = [row for row in lifts if row.covers_seeds]
    if len(lifts) < 2:  # `_mean_lift_sentence` describes a single lift
        return ""
    up, down = (sum(row.sign == sign for row in lifts) for sign in (1, -1))
    counts = "none differs significantly from zero"
    if up + down:
        counts = f"{up} gain{'s' * (up != 1)} and {down} loss{'es' * (down != 1)} differ significantly from zero"
    return f"Of {len(lifts)} lifts by target and language, {counts} (false discovery rate 5%)."


def _table_view(score_table: ScoreTable) -> dict[str, Any]:
    """Return a table as strings for the template."""
    return {
        "title": score_table.title,
        "keys": [HEADINGS[key] for key in score_table.keys],
        "columns": score_table.columns,
        "lines": [
            {
                "pipeline": pipeline,
                "cells": [row and _cell(row) for row in line],
            }
            for pipeline, line in zip(score_table.pipelines, score_table.cells, strict=True)
        ],
        "guesses": score_table.guess_lines(),
    }


def _map_view(heat_map: HeatMap) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": heat_map.title, "svg": Markup(heat_map.svg), "bound": f"{to_percent(heat_map.largest):.1f}"}


def _cell(row: LiftRow) -> dict[str, Any]:
    score, _, doubt = format_score(row).partition(" ")
    cell = {
        "score": score,
        "doubt": doubt,
        "best": bool(row.in_best_set),
        "lift": "",
        "lift_doubt": "",
        "range": "",
        "sign": SIGNS[row.sign],
        "kind": {1: "up", -1: "down", 0: "flat"}[row.sign],
        "minus_control": format_minus_control(row),
        "same_task": format_same_task(row),
        "minus_control_kind": {1: "up", -1: "down", 0: "flat"}[row.control_sign],
    }
    if row.lift is not None and row.lift_low is not None and row.lift_high is not None:
        cell |= {
            "lift": f"{format_points(row.lift)}{MARKS.get(row.baseline_status, '')}",
            "lift_doubt": f"±{half_width(row.lift_low, row.lift_high)}",
            "range": f"lift {format_points(row.lift_low)} to {format_points(row.lift_high)}",
        }
    return cell


def _format_amount(name: str, value: Any) -> str:
    if name == "seconds" and isinstance(value, int | float):
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
