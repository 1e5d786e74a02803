"""Parse JSON that a stranger may have written: values that no file of xlift has are refused before they reach other code."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 100
MAX_INTEGER = 2**64
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON in UTF-8; NaN, infinity, or an integer of more than 64 bits; more than 100 levels of lists and objects;
            half of a surrogate pair, which no file can have as UTF-8.
    """
    try:
        value = json.loads(data.decode() if isinstance(data, bytes) else data)
    except RecursionError:
        raise ValueError("too many lists or objects inside each other") from None
    check_value(value)
    return value


def check_value(value: Any, depth: int = 0) -> None:
    """Raises ValueError as `parse_json`, for a value that is parsed already."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise ValueError("a text has half of a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number is {value}")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("a whole number has more than 64 bits")
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise ValueError("too many lists or objects inside each other")
        if isinstance(value, dict):
            for key in value:
                check_value(key)
        for each in value.values() if isinstance(value, dict) else value:
            check_value(each, depth + 1)
