"""Damage for tables of predictions and of scores: cells, columns, types, bytes that are no UTF-8, metadata."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.support.hostile_values import TEXTS, damage_value, make_value
from tests.support.mutations import mutate_bytes

BYTES = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"a\xff\xfeb",
    b'"\xff"',
    b"\xc0\xaf",
    b'["\xe9"]',
    b"\0",
]
"""Texts that are no UTF-8, or hold NUL."""


def damage_table(path: Path, dice: random.Random) -> str:
    """Change a Parquet file, and say how. In most cases it can still be read."""
    if dice.random() < 0.1:
        path.write_bytes(mutate_bytes(path.read_bytes(), f"{dice.random()}"))
        return "bytes"
    table = pq.read_table(path)
    table, how = (_damage_scores if path.name.startswith("scores") else _damage_predictions)(table, dice)
    pq.write_table(table, path, compression=dice.choice(["zstd", "none", "snappy"]), use_dictionary=dice.random() < 0.7)
    return how


def _damage_predictions(table: pa.Table, dice: random.Random) -> tuple[pa.Table, str]:
    name = dice.choice(["prediction", "prediction", "prediction", "gold", "id", "unit"])
    at, values = table.column_names.index(name), table[name].to_pylist()
    row = dice.randrange(len(values))
    kind = dice.randrange(10)
    if kind <= 3 and name in ("prediction", "gold"):
        value, how = damage_value({"x": json.loads(values[row])}, dice)
        value = value.get("x", make_value(dice)) if isinstance(value, dict) else value
        values[row] = json.dumps(value)
        return table.set_column(at, name, pa.array(values, pa.string())), f"{name}: {how}"
    if kind <= 5:
        values[row] = dice.choice(
            [
                None,
                "",
                "{",
                "NaN",
                "[" * 5000,
                "1e999",
                "9" * 5000,
                *(t.encode("utf-8", "replace").decode() for t in TEXTS),
            ]
        )
        return table.set_column(at, name, pa.array(values, pa.string())), f"{name} = {str(values[row])[:40]!r}"
    if kind == 6:
        return table.set_column(at, name, _not_utf8(values, row, dice)), f"{name} is no UTF-8"
    if kind == 7:
        other = _other_column(len(values), dice)
        return table.set_column(at, name, other), f"{name} is {other.type}"
    if kind == 8:
        return dice.choice([
            lambda: (table.drop_columns([name]), f"no {name}"),
            lambda: (table.append_column("more", table[name]), "one column more"),
            lambda: (table.append_column(name, table[name]), f"{name} twice"),
            lambda: (table.rename_columns(["x" if each == name else each for each in table.column_names]), f"{name} is named x"),
            lambda: (table.select(table.column_names[::-1]), "columns in another order"),
        ])()  # fmt: skip
    return dice.choice([
        lambda: (table.slice(0, 0), "no rows"), lambda: (table.slice(1), "one row less"),
        lambda: (pa.concat_tables([table] * 2), "all rows twice"), lambda: (table.take([0] * len(values)), "one row again and again"),
        lambda: (table.take(dice.sample(range(len(values)), len(values))), "rows in another order"),
    ])()  # fmt: skip


def _not_utf8(values: list[Any], row: int, dice: random.Random) -> pa.Array:
    """A column of texts, one of which is no UTF-8."""
    content = [(value or "").encode() for value in values]
    content[row] = dice.choice(BYTES)
    binary = pa.array(content, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(content), binary.buffers())


def _other_column(count: int, dice: random.Random) -> pa.Array:
    return dice.choice([
        pa.array([1] * count), pa.array([0.5] * count), pa.array([None] * count, pa.null()), pa.array([True] * count),
        pa.array([["x"]] * count), pa.array([{"a": "x"}] * count), pa.array([b"1"] * count, pa.binary()),
        pa.array(["1"] * count, pa.large_string()), pa.array(["1"] * count).dictionary_encode(), pa.array([None] * count, pa.string()),
        pa.array([0] * count, pa.timestamp("us")), pa.array([10**15] * count, pa.date64()), pa.array([2**62] * count, pa.duration("s")),
    ])  # fmt: skip


def _damage_scores(table: pa.Table, dice: random.Random) -> tuple[pa.Table, str]:
    field, rows = table.schema.field("scores"), table["scores"].to_pylist()
    metadata = dict(field.metadata or {})
    type_, row, kind = field.type, dice.randrange(len(rows)), dice.randrange(7)
    how = "scores"
    if kind == 0:
        rows[row] = dice.choice(
            [None, [], [float("nan")] * 2, [float("inf"), 0.0], [1.0], [0.1] * 500, [-1.0, 2.0], [None, 0.5]]
        )
        how = f"scores = {str(rows[row])[:40]}"
    elif kind == 1:
        rows = [dice.choice([None, [], [0.5] * dice.randrange(5)]) for _ in rows]
        how = "scores of other lengths"
    elif kind == 2:
        rows = dice.choice([[], rows[1:], rows * 2])
        how = f"{len(rows)} rows"
    elif kind == 3:
        metadata[b"kind"] = dice.choice(
            [*(text.encode("utf-8", "replace") for text in TEXTS), b"\xff", b"probability", b"logit"]
        )
        how = f"kind {metadata[b'kind'][:40]!r}"
    elif kind == 4:
        metadata[b"labels"] = dice.choice(
            [
                b"x",
                b"1",
                b"null",
                b'"ab"',
                b"{}",
                b"[[]]",
                b"[1, 2]",
                b'["a"]',
                b'["a", "a"]',
                b"[" * 5000,
                b"\xff",
                b'["<xliftmark>", "b"]',
            ]
        )
        how = f"labels {metadata[b'labels'][:40]!r}"
    else:
        column = _other_column(len(rows), dice)
        return pa.table(
            [column], schema=pa.schema([pa.field("scores", column.type, metadata=metadata)])
        ), f"scores are {column.type}"
    return pa.table([pa.array(rows, type_)], schema=pa.schema([pa.field("scores", type_, metadata=metadata)])), how
