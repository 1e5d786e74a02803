"""Memory and seconds of a source over a million rows like MNLI's, as TSV, JSON lines and Parquet.

    python benchmarks/million_rows.py [--rows N] [--folder DIR]

Each row of the table is a separate process. Peak resident memory is the kernel's count (`VmHWM`, Linux only), also
given minus that of a process that imports the same and reads nothing. `hold` does what a training job does: it holds
every example, then also rows of token ids (simulated: 1.5 tokens per word).
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
    """Write the same rows in each file format: 20 and 11 words as in MNLI, with some non-ASCII letters."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyzéß", k=rng.randint(2, 9))) for _ in range(20_000)]
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
                    "premise": " ".join(rng.choices(words, k=rng.randint(5, 35))),
                    "hypothesis": " ".join(rng.choices(words, k=rng.randint(4, 18))),
                    "gold_label": rng.choice(LABELS),
                }
                for i in range(start, min(start + 10_000, rows))
            ]
            tsv.writelines("\t".join(row.values()) + "\n" for row in batch)
            jsonl.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch)
            parquet.write_table(pa.Table.from_pylist(batch, schema=schema))


def run_action(kind: str, action: str, folder: Path) -> None:
    """Run one action in this process; print seconds, kilobytes and a count."""
    import numpy as np

    from xlift.tasks.formats.ragged import Ragged
    from xlift.tasks.sources.files import FileSource
    from xlift.tasks.task import Task

    if kind == "parquet":
        import pyarrow.parquet  # noqa: F401  (also imported in the baseline process)
    source = FileSource(kind, {"train": f"rows.{kind}"}, {"train": ("en",)}, columns={"id": "pairID"})
    task = Task("million", "A million rows", "classification", (), source, labels=LABELS)
    start_time, count = time.perf_counter(), 0
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
            tokens = Ragged.from_rows(np.arange(300, 300 + 3 * count // 2) for count in words)
            held = [held, tokens]
        count = len(held[0]) if action == "hold tokens" else len(held)
    seconds = time.perf_counter() - start_time
    # ru_maxrss starts at the memory of the parent at the fork.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert peak
    print(seconds, peak[1], count)


def measure(kind: str, action: str, folder: Path) -> tuple[float, float, int]:
    """(seconds, peak in MB, count) of an action in a new process."""
    command = [sys.executable, __file__, "--act", kind, action, "--folder", str(folder)]
    seconds, kilobytes, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(kilobytes) / 1024, int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="folder for the files; default: a temporary one")
    parser.add_argument("--act", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act:
        return run_action(*options.act, options.folder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write(folder, options.rows)
        print(f"{'file':8} {'MB':>5} {'action':14} {'seconds':>8} {'peak MB':>8} {'above baseline':>14} {'count':>10}")
        for kind in ("tsv", "jsonl", "parquet"):
            size = (folder / f"rows.{kind}").stat().st_size / 2**20
            base = 0.0
            for action in ACTIONS:
                seconds, peak, count = measure(kind, action, folder)
                base = base or peak
                print(f"{kind:8} {size:5.0f} {action:14} {seconds:8.1f} {peak:8.0f} {peak - base:14.0f} {count:10,}")


if __name__ == "__main__":
    main()
