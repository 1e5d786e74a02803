"""Every reader on thousands of damaged files: it gives all examples or a UserError, in time, and loses no record silently.

A few hundred mutations per reader, and ten thousand in `make fuzz`.
A mutation is determined by its number, which a failure reports.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tests.support.mutations import mutate_bytes
from tests.support.profile import by_profile
from tests.support.samples import SAMPLES

from xlift.errors import UserError

pytestmark = pytest.mark.fuzz

MUTATIONS = by_profile(300, 300, 10_000)
MAX_SECONDS = 2.0
"""Longest time allowed for a file of some hundred bytes."""


def fuzz(name: str, folder, mutations: int) -> tuple[int, int]:
    """(read, refused). Raises any error of the reader other than UserError, or an AssertionError with the seed."""
    sample = SAMPLES[name]
    names = sorted(sample.files)
    read = refused = 0
    for number in range(mutations):
        which = names[number % len(names)]
        changed = {which: mutate_bytes(sample.files[which], f"{name} {number}")}
        sample.write(folder, **changed)
        began = time.monotonic()
        message, examples = "", []
        try:
            examples = sample.read(folder)
        except UserError as error:
            message = str(error)
        if message:
            refused += 1
            assert len(message) < 3000, f"mutation {number} of {name}: a message of {len(message):,} characters"
            assert message.replace("\n", "").isprintable(), (
                f"mutation {number} of {name}: unprintable characters: {message!r}"
            )
            assert str(folder) in message, f"mutation {number} of {name}: no file is named: {message}"
        else:
            read += 1
            expected = sample.count({**sample.files, **changed})
            assert len(examples) == expected, f"mutation {number} of {name}: {len(examples)} of {expected} records"
        assert time.monotonic() - began < MAX_SECONDS, (
            f"mutation {number} of {name} took {time.monotonic() - began:.1f} s"
        )
    return read, refused


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "parquet"])
def test_damaged_files_are_read_completely_or_refused(name, tmp_path):
    read, refused = fuzz(name, tmp_path, MUTATIONS)
    assert read  # otherwise the damage is too heavy to test anything
    assert refused


def test_damaged_parquet_is_read_completely_or_refused(tmp_path):
    # In a separate process, since a C++ library could crash on damaged bytes.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.test_fuzzed_files", "parquet", str(tmp_path), str(MUTATIONS)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read
    assert refused


if __name__ == "__main__":
    from pathlib import Path

    print(*fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
