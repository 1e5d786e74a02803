"""Every reader on thousands of damaged files: examples or a UserError, in time, and no record lost without a word.

A few hundred mutations a reader by default; `XLIFT_FUZZ=10000 pytest tests/faults/test_fuzzed_files.py` makes as many as
that. Every mutation follows from its number, so a failure names the one to look at.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest
from tests.support.samples import SAMPLES

from xlift.errors import UserError

MUTATIONS = int(os.environ.get("XLIFT_FUZZ", "300"))
SLOW = 2.0
"""Seconds that no file of some hundred bytes may take."""

TOKENS = [
    b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\n\n", b"\0", b"\t", b'"', b'""', b",", b"{", b"[" * 3000, b"}",
    b"NaN", b"null", b"Infinity", b"-1", b"1e999", b"9" * 5000, b"true", b"\\ud800", b"\xed\xa0\x80", b"\\u0000", b"\xc3",
    b"\xe2\x80\xa8", b"\xc2\x85", b"\xe9", b"<!ENTITY x 'y'>", b"&x;", b"<item>", b"#", b"1-2", b"0", b"A" * 200_000, b" ",
]  # fmt: skip


def mutated(content: bytes, seed: str) -> bytes:
    """The content with one to three damages: bytes flipped, cut, repeated, inserted; fields, lines or ends exchanged."""
    dice = random.Random(seed)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        a, b = sorted((dice.randrange(len(content) + 1), dice.randrange(len(content) + 1)))
        b = min(b, a + dice.choice([1, 2, 8, 64, len(content)]))
        kind = dice.randrange(9)
        if kind == 0 and content:
            at = dice.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]
        elif kind == 1:
            content = content[:a]
        elif kind == 2:
            content = content[:a] + content[b:]
        elif kind == 3:
            content = content[:b] + content[a:b] + content[b:]
        elif kind == 4:
            content = content[:a] + dice.choice(TOKENS) + content[a:]
        elif kind == 5:
            content = content[:a] + dice.choice(TOKENS) + content[b:]
        elif kind == 6:
            content = content[:a] + dice.randbytes(dice.randrange(1, 5)) + content[a:]
        else:
            mark = dice.choice([b"\n", b"\t", b",", b" ", b'"', b"\r\n"])
            parts = content.split(mark)
            i, j = dice.randrange(len(parts)), dice.randrange(len(parts))
            parts[i], parts[j] = parts[j], parts[i]
            content = mark.join(parts)
    return content


def fuzz(name: str, folder, mutations: int) -> tuple[int, int]:
    """(read, refused). Raises what the reader raises besides UserError, or an AssertionError with the seed."""
    sample = SAMPLES[name]
    names = sorted(sample.files)
    read = refused = 0
    for number in range(mutations):
        which = names[number % len(names)]
        changed = {which: mutated(sample.files[which], f"{name} {number}")}
        sample.write(folder, **changed)
        began = time.monotonic()
        said, examples = "", []
        try:
            examples = sample.read(folder)
        except UserError as error:
            said = str(error)
        if said:
            refused += 1
            assert len(said) < 3000, f"mutation {number} of {name}: a message of {len(said):,} letters"
            assert said.replace("\n", "").isprintable(), (
                f"mutation {number} of {name}: what no terminal should get: {said!r}"
            )
            assert str(folder) in said, f"mutation {number} of {name}: no file is named: {said}"
        else:
            read += 1
            expected = sample.count({**sample.files, **changed})
            assert len(examples) == expected, f"mutation {number} of {name}: {len(examples)} of {expected} records"
        assert time.monotonic() - began < SLOW, f"mutation {number} of {name} took {time.monotonic() - began:.1f} s"
    return read, refused


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "parquet"])
def test_damaged_files_are_read_whole_or_refused(name, tmp_path):
    read, refused = fuzz(name, tmp_path, MUTATIONS)
    assert read  # else the damage is so heavy that nothing is tested
    assert refused


def test_damaged_parquet_is_read_whole_or_refused(tmp_path):
    # In a process of its own: what a library written in C++ does with damaged bytes could end ours.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.test_fuzzed_files", "parquet", str(tmp_path), str(MUTATIONS)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read
    assert refused


if __name__ == "__main__":
    from pathlib import Path

    print(*fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
