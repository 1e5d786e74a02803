"""What `xlift export` measures of a model, for the terminal and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlift.report.markdown import code, escaped, table


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


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


def int8_lines(int8: Mapping[str, Any], folder: Path) -> list[str]:
    """Lines for the terminal: the 8-bit file, and the scores before and after. Empty without one.

    Args:
        int8: `onnx.int8` of `xlift.json`.
    """
    if not int8:
        return []
    lines = [
        f"Wrote {folder}/{int8['file']}: {_megabytes(int8['bytes'])}, {_megabytes(int8['float32_bytes'])} in float32"
    ]
    for row in int8["rows"]:
        scores = " -> ".join(f"{100 * row[when]:.1f}" for when in ("before", "after"))
        lines.append(
            f"  {row['metric']}, {row['language']}: {scores} ({row['n']:,} rows, {row['equal']:.0%} of answers equal)"
        )
    return lines


def int8_note(int8: Mapping[str, Any]) -> str:
    """A paragraph and a table in Markdown for the model card; '' without an 8-bit file."""
    if not int8:
        return ""
    rows = [
        [
            escaped(row["language"]),
            f"{row['n']:,}",
            f"{100 * row['before']:.1f}",
            f"{100 * row['after']:.1f}",
            f"{100 * row['equal']:.0f}%",
        ]
        for row in int8["rows"]
    ]
    return (
        f"{code(int8['file'])} has weights of 8 bits: {_megabytes(int8['bytes'])} in place of "
        f"{_megabytes(int8['float32_bytes'])}. Both files answered the same test rows, {int8['rows'][0]['metric']}:\n\n"
        + table(["language", "rows", "float32", "int8", "equal answers"], rows)
    )
