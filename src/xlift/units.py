"""Durations, counts and byte counts as short text for tables and messages."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """'under 1 s', '45 s', '12 min', '3.5 h', '4.2 days', '1,234 days'."""
    if seconds < 0.95:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    days = seconds / 86400
    return f"{days:.1f} days" if days < 1000 else f"{days:,.0f} days"


def format_seconds(seconds: float) -> str:
    """As `format_duration`, with seconds below an hour, for durations that are compared: '3 min 20 s'."""
    if not 60 <= round(seconds) < 3600:
        return format_duration(seconds)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def count_noun(count: int, noun: str) -> str:
    """'1 seed', '2 seeds', '1,234 seeds'."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def is_or_are(count: int) -> str:
    """The verb after a count, as in '1 of 3 jobs is missing'."""
    return "is" if count == 1 else "are"


def format_count(number: float, gap: str = "") -> str:
    """'950', '38k', '4.1M', '2.3G', '12P': three digits at most and an SI prefix.

    Args:
        gap: text between the digits and the prefix, for a count that a unit follows.
    """
    prefixes = "kMGTPE"
    for prefix in ("", *prefixes):
        if number < 999.5 or prefix == prefixes[-1]:
            digits = f"{number:.1f}" if prefix and number < 9.95 else f"{number:.0f}"
            return f"{digits}{gap}{prefix}"
        number /= 1000
    raise AssertionError(number)


def format_gigabytes(num_bytes: float) -> str:
    """'0.4 GB', '12 GB'."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes < 9.95e9 else f"{num_bytes / 1e9:.0f} GB"
