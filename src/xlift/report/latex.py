"""LaTeX tables of scores and lifts (booktabs), and the `table` environment that other tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlift.analysis.lift import LiftRow
from xlift.report.tables import (
    BOLD_NOTE,
    HEADINGS,
    SIGN_NOTE,
    footer,
    format_lift,
    format_minus_control,
    format_same_task,
    format_score,
    make_language_tables,
    make_overview_tables,
)

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "§": r"$^{\S}$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "▲": "",
    "▼": "",
    "Δ": r"$\Delta$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # a row of a table may start with it
    "]": "{]}",
    "*": "{*}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def latex_escape(text: str, characters: Mapping[str, str] = LATEX_CHARACTERS) -> str:
    return "".join(characters.get(character, character) for character in text)


def to_latex(
    rows: Sequence[LiftRow],
    *,
    per_language: bool = False,
    notes: Sequence[str] = (),
    caption: str = "",
    label: str = "tab:lift",
) -> str:
    """Return `table` environments for booktabs. The scores of a column that do not differ significantly from its highest are bold; a
    lift that differs from zero has a star."""
    tables = []
    score_tables = make_language_tables(rows) if per_language else make_overview_tables(rows)
    for number, table in enumerate(score_tables, start=1):
        lines = []
        for pipeline, line in zip(table.pipelines, table.cells, strict=True):
            scores, lifts, differences, same_task = [], [], [], []
            for row in line:
                score = latex_escape(format_score(row)) if row else "--"
                bold = row is not None and row.in_best_set
                scores.append(rf"\textbf{{{score}}}" if bold else score)
                lifts.append(_small(format_lift(row), row.sign) if row else "")
                differences.append(_small(format_minus_control(row), row.control_sign) if row else "")
                same_task.append(_small(format_same_task(row), 0) if row else "")
            lines.append(" & ".join([latex_escape(part) or "--" for part in pipeline] + scores) + r" \\")
            for below in (lifts, differences, same_task):
                if any(below):
                    lines.append(" & ".join([""] * len(pipeline) + below) + r" \\")
        guesses = table.guess_lines()
        lines += [r"\midrule"] * bool(guesses)
        lines += [" & ".join([*map(latex_escape, names), *found]) + r" \\" for names, found in guesses]
        about = " ".join(part for part in (caption, table.title and f"{table.title}.", footer(rows, notes)) if part)
        about = f"{about} Percent, ± half the interval. {BOLD_NOTE} Star: {SIGN_NOTE}"
        words = [HEADINGS[key] for key in table.keys]
        tables.append(
            latex_table(words, table.columns, lines, about, f"{label}-{number}" if len(score_tables) > 1 else label)
        )
    return "\n\n".join(tables) + "\n"


def _small(difference: str, sign: int) -> str:
    """A line below a score, with a star if its interval excludes zero."""
    return rf"{{\footnotesize {latex_escape(difference)}{'$^{*}$' if sign else ''}}}" if difference else ""


def latex_table(words: Sequence[str], numbers: Sequence[str], lines: Sequence[str], caption: str, label: str) -> str:
    """Return a `table` environment for booktabs.

    Args:
        words, numbers: headings of the left-aligned and of the right-aligned columns.
        lines: finished rows. All other texts are escaped here.
    """
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering",
            r"\small",
            rf"\begin{{tabular}}{{{'l' * len(words)}{'r' * len(numbers)}}}",
            r"\toprule",
            " & ".join(latex_escape(heading) for heading in (*words, *numbers)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{latex_escape(caption)}}}",
            rf"\label{{{label}}}",
            r"\end{table}",
        ]
    )
