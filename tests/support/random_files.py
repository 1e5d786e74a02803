"""Random files as programs write them: texts, tables, encodings, and how tests read them."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.support.profile import by_profile

from xlift.tasks.sources.custom import build_custom_task

FILES = settings(
    max_examples=by_profile(40, 200, 10_000),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)

LETTERS = st.characters(codec="utf-8", exclude_characters="\r\x00\ufeff")
TEXTS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.text(st.sampled_from("ab ,;\t\n\"'#=|\u00a0\u3000\u2028é"), min_size=1, max_size=12),
).filter(lambda text: text.strip() != "")
NUMBERS = itertools.count()
"""In the name of every file, since digests are kept while size and time stay the same."""
SEPARATORS = st.sampled_from(",;\t")


PLAIN = (False, False, "\n")


@st.composite
def encodings(draw: st.DrawFn) -> tuple[bool, bool, str]:
    """Byte-order mark, gzip, line end."""
    return draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(["\n", "\r\n"]))


def write(path: Path, text: str, encoding: tuple[bool, bool, str]) -> Path:
    """Write a text whose lines end with "\\n"; `.gz` is added to the name of a gzip file."""
    mark, packed, _ = encoding
    content = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    path = path.with_name(f"{next(NUMBERS)}.{path.name}{'.gz' if packed else ''}")
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    return path


def write_table(
    path: Path, records: Sequence[dict[str, Any]], encoding: tuple[bool, bool, str], separator: str, dice: random.Random
) -> Path:
    """Write records as .csv, .tsv or .jsonl, by the extension."""
    end, stream = encoding[2], io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    dice.shuffle(names)
    if path.suffix == ".jsonl":
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=dice.random() < 0.5) + end)
    elif path.suffix == ".tsv":
        for row in (names, *([str(record.get(name, "")) for name in names] for record in records)):
            stream.write("\t".join(row) + end)
    else:
        if encoding != PLAIN and dice.random() < 0.3:
            stream.write(f"sep={separator}{end}")
        quoting: Any = dice.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        writer = csv.DictWriter(stream, names, delimiter=separator, quoting=quoting, lineterminator=end, restval="")
        writer.writeheader()
        writer.writerows(records)
    return write(path, stream.getvalue(), encoding)


def on_one_line(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def read(format: str, train: Path, test: Path | None = None, **keys: Any) -> list[Any]:
    """The examples of the test file of a custom task, or of its training file, after all of them are checked."""
    files = {"train": {"en": train.name}} | ({"test": {"de": test.name}} if test else {})
    task = build_custom_task({"name": "toy", "format": format, "files": files, **keys}, train.parent)
    task.source.size(task, "en", "train", None)
    return list(task.source.read(task, *(("de", "test") if test else ("en", "train")), None))
