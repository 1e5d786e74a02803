"""Memory and seconds of a source over a million rows like MNLI's, as TSV, JSON lines and Parquet.

    python benchmarks/million_rows.py [--rows N] [--folder DIR]

Each row of the table is a process of its own, and its peak resident memory is the kernel's count (`VmHWM`, so Linux), also
less that of a process which imports the same and reads nothing. `hold` is what a training job does: every example at once, then their
rows of token numbers (a stand-in for a tokenizer: one number a word and a half).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LABELS = ("entailment", "neutral", "contradiction")
ACTIONS = ("nothing", "fingerprint", "size", "read", "read 100,000", "hold", "hold tokens")


def write(folder: Path, rows: int) -> None:
    """The same rows in each kind of file: 20 and 11 words as in MNLI, with some letters outside of ASCII."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyzéß", k=dice.randint(2, 9))) for _ in range(20_000)]
    schema = pa.schema([(name, pa.string()) for name in ("pairID", "premise", "hypothesis", "gold_label")])
    with (
        (folder / "rows.tsv").open("w", encoding="utf-8") as tsv,
        (folder / "rows.jsonl").open("w", encoding="utf-8") as jsonl,
        pq.ParquetWriter(folder / "rows.parquet", schema) as parquet,
    ):
        tsv.write("\t".join(schema.names) + "\n")
        for start in range(0, rows, 10_000):
            batch = [
                {
                    "pairID": f"{i}e",
                    "premise": " ".join(dice.choices(words, k=dice.randint(5, 35))),
                    "hypothesis": " ".join(dice.choices(words, k=dice.randint(4, 18))),
                    "gold_label": dice.choice(LABELS),
                }
                for i in range(start, min(start + 10_000, rows))
            ]
            tsv.writelines("\t".join(row.values()) + "\n" for row in batch)
            jsonl.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch)
            parquet.write_table(pa.Table.from_pylist(batch, schema=schema))


def act(kind: str, action: str, folder: Path) -> None:
    """Do one thing in this process; print seconds, kilobytes and a count."""
    import numpy as np

    from xlift.tasks.formats.ragged import Ragged
    from xlift.tasks.sources.files import FileSource
    from xlift.tasks.task import Task

    if kind == "parquet":
        import pyarrow.parquet  # noqa: F401  (in the comparison process as well)
    source = FileSource(kind, {"train": f"rows.{kind}"}, {"train": ("en",)}, columns={"id": "pairID"})
    task = Task("million", "A million rows", "classification", (), source, labels=LABELS)
    began, count = time.perf_counter(), 0
    if action == "fingerprint":
        count = len(source.fingerprint(task, "en", "train", folder))
    elif action == "size":
        count = source.size(task, "en", "train", folder)
    elif action.startswith("read"):
        size = 100_000 if action != "read" else None
        count = sum(1 for _ in source.read(task, "en", "train", folder, size=size))
    elif action.startswith("hold"):
        held = list(source.read(task, "en", "train", folder))
        if action == "hold tokens":
            words = (len(f"{e.text_a} {e.text_b}".split()) for e in held)
            tokens = Ragged.of(np.arange(300, 300 + 3 * count // 2) for count in words)
            held = [held, tokens]
        count = len(held[0]) if action == "hold tokens" else len(held)
    seconds = time.perf_counter() - began
    # Not ru_maxrss: that starts at what the parent held when it forked.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert peak
    print(seconds, peak[1], count)


def measure(kind: str, action: str, folder: Path) -> tuple[float, float, int]:
    """(seconds, peak in MB, count) of a process."""
    command = [sys.executable, __file__, "--act", kind, action, "--folder", str(folder)]
    seconds, kilobytes, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(kilobytes) / 1024, int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the files are written; a temporary folder otherwise")
    parser.add_argument("--act", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act:
        return act(*options.act, options.folder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write(folder, options.rows)
        print(f"{'file':8} {'MB':>5} {'action':14} {'seconds':>8} {'peak MB':>8} {'above nothing':>14} {'count':>10}")
        for kind in ("tsv", "jsonl", "parquet"):
            size = (folder / f"rows.{kind}").stat().st_size / 2**20
            base = 0.0
            for action in ACTIONS:
                seconds, peak, count = measure(kind, action, folder)
                base = base or peak
                print(f"{kind:8} {size:5.0f} {action:14} {seconds:8.1f} {peak:8.0f} {peak - base:14.0f} {count:10,}")


if __name__ == "__main__":
    main()
