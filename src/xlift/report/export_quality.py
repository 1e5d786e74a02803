"""What `xlift export` measures of a model, for the terminal and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xlift.report.markdown import escaped, table


def calibration_lines(calibration: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal: the temperature, and the calibration errors before and after it. Empty without one.

    Args:
        calibration: as in `xlift.json`.
    """
    if not calibration:
        return []
    fitted, *rest = calibration["rows"]
    count, place = fitted["before"]["n"], f"{fitted['split']} {fitted['language']}"
    lines = [f"Temperature {calibration['temperature']:.3f}, fitted on {count:,} examples ({place})"]
    for row in (fitted, *rest):
        errors = " -> ".join(f"{100 * row[when]['calibration_error']:.1f}" for when in ("before", "after"))
        lines.append(f"  calibration error, {row['split']} {row['language']}: {errors}")
    return lines


def calibration_note(calibration: Mapping[str, Any]) -> str:
    """A paragraph and a table in Markdown for the model card; '' without a temperature."""
    if not calibration:
        return ""
    rows = [
        [f"{row['split']} {escaped(row['language'])}", f"{row['before']['n']:,}"]
        + [f"{100 * row[when]['calibration_error']:.1f}" for when in ("before", "after")]
        for row in calibration["rows"]
    ]
    value = calibration["temperature"]
    return (
        f"Its probabilities are calibrated with the temperature {value:.3f}, which was fitted on the first row of the table. "
        f"`xlift predict` divides the logits by it. With transformers, divide them yourself: `(logits / {value:.3f}).softmax(-1)`. "
        "The expected calibration error, in percentage points (15 bins):\n\n"
        + table(["data", "examples", "before", "after"], rows)
    )
