"""Tables of precision, recall and F1 of each label, with confusions and calibration, for the page, the terminal and files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xlift.analysis.class_scores import CALIBRATION_BINS, ClassRow, class_rows
from xlift.analysis.confounds import main_means
from xlift.analysis.estimates import ALL, BASELINE, MEANS, TARGET_MEANS, ZERO_SHOT, PipelineKey
from xlift.analysis.lift import LiftRow
from xlift.language_tags import has_language
from xlift.report.csv_rows import rows_to_csv
from xlift.report.fitting_table import FittingTable
from xlift.report.latex import latex_escape, latex_table
from xlift.report.tables import markdown_escape, markdown_row, to_percent
from xlift.studies.record import Record
from xlift.studies.store import Store

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

MOST_COLUMNS = 10
"""With more labels a table has the most frequent confusion of each label in place of the whole matrix."""
GROUPS = {ALL: "all languages", ZERO_SHOT: "zero-shot languages"}


@dataclass(frozen=True)
class ClassTable:
    title: str
    head: list[str]
    lines: list[list[str]]
    """The first text of each is a name, the others are numbers in percent; '' for none."""


@dataclass(frozen=True)
class TargetClasses:
    """What is shown of one target."""

    target: str
    tables: list[ClassTable]


def shown_rows(record: Record, store: Store, rows: Sequence[LiftRow]) -> list[ClassRow]:
    """The class rows of two pipelines a target: the one with the highest mean score, and the baseline of its model. Controls and
    rows that train on the same task are no candidates.

    Raises:
        UserError: an artifact is damaged.
    """
    best: dict[str, LiftRow] = {}
    for row in main_means(rows):
        if row.target in TARGET_MEANS or row.control or row.same_task:
            continue
        highest = best.setdefault(row.target, row)
        if row.metric == highest.metric and row.value > highest.value:
            best[row.target] = row
    shown = set()
    for target, row in best.items():
        shown.add((PipelineKey(row.model, row.intermediate, row.intermediate_language, row.size), target))
        shown.add((PipelineKey(row.model, BASELINE, "", ""), target))
    return class_rows(record, store, shown)


def make_class_tables(rows: Sequence[ClassRow]) -> list[TargetClasses]:
    """For each target: the labels of each pipeline in each group of languages, then all labels together in every language."""
    by_target: dict[tuple[str, str], list[ClassRow]] = {}
    for row in rows:
        by_target.setdefault((row.target, row.train_language), []).append(row)
    names = [target for target, _ in by_target]
    return [
        TargetClasses(
            f"{target} (trained in {trained})" if names.count(target) > 1 else target,
            [*_label_tables(found), _language_table(found)],
        )
        for (target, trained), found in by_target.items()
    ]


def _label_tables(rows: Sequence[ClassRow]) -> Iterator[ClassTable]:
    groups: dict[tuple[PipelineKey, str], list[ClassRow]] = {}
    for row in rows:
        if row.label and row.language in _groups(rows):
            groups.setdefault((row.pipeline, row.language), []).append(row)
    for (pipeline, language), found in groups.items():
        labels = [row.label for row in found]
        is_wide = len(labels) > MOST_COLUMNS
        columns = ["mostly taken for"] if is_wide else [f"as {label}" for label in labels]
        lines = []
        for row in found:
            counts = row.predicted or {}
            total = sum(counts.values())
            if is_wide:
                wrong = max((label for label in counts if label != row.label), key=counts.__getitem__, default="")
                cells = [f"{wrong} {_percent(counts[wrong] / total)}" if wrong else ""]
            else:
                cells = [_percent(counts.get(label, 0) / total) if total else "" for label in labels]
            lines.append([row.label, f"{row.n:,}", *map(_percent, (row.precision, row.recall, row.f1)), *cells])
        title = f"{_name(pipeline)}, {GROUPS.get(language, language)}"
        yield ClassTable(title, ["label", "n", "precision", "recall", "F1", *columns], lines)


def _groups(rows: Sequence[ClassRow]) -> list[str]:
    """The languages that tables of labels are about: the zero-shot mean and the source languages, or all."""
    languages = list(dict.fromkeys(row.language for row in rows))
    if ZERO_SHOT in languages:
        trained = rows[0].train_language.split("+")
        return [ZERO_SHOT, *(code for code in languages if code not in MEANS and has_language(trained, code))]
    return [ALL] if ALL in languages else languages


def _language_table(rows: Sequence[ClassRow]) -> ClassTable:
    """A line for each language, with the numbers of each pipeline beside each other."""
    whole = {(row.pipeline, row.language): row for row in rows if not row.label}
    pipelines = list(dict.fromkeys(pipeline for pipeline, _ in whole))
    has_labels = any(row.f1 is not None for row in whole.values())
    measures = {"accuracy": "accuracy", "macro-F1": "f1", "calibration error": "calibration_error"}
    if not has_labels:
        del measures["macro-F1"]
    head = [f"{name}, {_name(pipeline)}" for name in measures for pipeline in pipelines]
    lines = []
    for language in dict.fromkeys(language for _, language in whole):
        found = [whole.get((pipeline, language)) for pipeline in pipelines]
        numbers = [_percent(row and getattr(row, field)) for field in measures.values() for row in found]
        lines.append([GROUPS.get(language, language), *numbers])
    return ClassTable("all labels together", ["language", *head], lines)


def _name(pipeline: PipelineKey) -> str:
    return " ".join(filter(None, (pipeline.intermediate, pipeline.intermediate_language, pipeline.size)))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{to_percent(value):.1f}"


LEGEND = (
    "Percent; n is the number of examples. Precision, recall, F1 and accuracy are means over seeds, then over languages. “as”: the share of the "
    "examples with a label, over all seeds and languages together, that are predicted as that label. macro-F1: the mean F1 over the labels in gold. "
    f"Calibration error: the mean distance between the probability of the predicted label and accuracy, over {CALIBRATION_BINS} bins of equal width "
    "(expected calibration error, Guo et al., 2017); 0 is best. Shown are the baseline and the pipeline with the highest mean score; "
    "`xlift report --classes --json` has all."
)


def for_page(rows: Sequence[ClassRow]) -> dict[str, Any]:
    """The content of the page's section; {} without rows."""
    return {"targets": make_class_tables(rows), "legend": LEGEND} if rows else {}


@dataclass(frozen=True)
class TerminalClassTables:
    """The tables for a terminal: `console.print(TerminalClassTables(rows))`."""

    rows: Sequence[ClassRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for made in make_class_tables(self.rows):
            for each in made.tables:
                yield Text(f"{made.target}: {each.title}", style="bold")
                heads = [
                    heading.replace("as ", "as\n", 1) if heading.startswith("as ") else heading for heading in each.head
                ]
                yield FittingTable(heads, each.lines, 1)
        yield Text(LEGEND, style="dim")


def to_markdown(rows: Sequence[ClassRow]) -> str:
    """Return Markdown tables."""
    blocks = []
    for made in make_class_tables(rows):
        for each in made.tables:
            lines = [markdown_row([markdown_escape(text) for text in line]) for line in (each.head, *each.lines)]
            lines.insert(1, markdown_row(["---", *["---:"] * (len(each.head) - 1)]))
            blocks.append(f"### {markdown_escape(f'{made.target}: {each.title}')}\n\n" + "\n".join(lines))
    return "\n\n".join([*blocks, LEGEND]) + "\n"


def to_latex(rows: Sequence[ClassRow]) -> str:
    """Return `table` environments for booktabs."""
    tables = []
    for made in make_class_tables(rows):
        for each in made.tables:
            lines = [" & ".join(latex_escape(text) or "--" for text in line) + r" \\" for line in each.lines]
            caption, label = f"{made.target}: {each.title}. {LEGEND}", f"tab:classes-{len(tables) + 1}"
            tables.append(latex_table(each.head[:1], each.head[1:], lines, caption, label))
    return "\n\n".join(tables) + "\n"


def to_json(rows: Sequence[ClassRow]) -> str:
    """Return raw rows as a JSON list."""
    return json.dumps([row.to_dict() for row in rows], indent=1, ensure_ascii=False) + "\n"


def to_csv(rows: Sequence[ClassRow]) -> str:
    """Return raw rows as CSV. `predicted` is a JSON object."""
    return rows_to_csv(ClassRow, rows)
