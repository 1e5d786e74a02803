"""A store with a finished study of any number of predicted examples, made up; and the time of SQL and of a report on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from math import ceil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlift.studies.artifact import SCORES
from xlift.studies.job import PredictSpec
from xlift.studies.plan import make_plan
from xlift.studies.predictions import PREDICTIONS
from xlift.studies.record import make_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

NAME = "rows"
EXAMPLES = 5000
"""Of a test set in one language, as many as XNLI has."""
LABELS = ("entailment", "neutral", "contradiction")
STUDY = """\
models: [isles]
name: rows
seeds: {seeds}
intermediate:
  - none
  - {{task: isle-qa, size: [1000, 2000, 3000, 4000]}}
  - {{task: isle-names, size: [1000, 2000, 3000, 4000, 5000]}}
targets:
  - {{task: isle-nli, train: {{size: 100}}, size: {examples}}}
"""
CELLS_PER_SEED = 100
"""Ten rows in ten languages."""


def make_store(root: Path, rows: int) -> int:
    """Write the study and its predictions, half to three quarters of them right. Returns the number of predicted examples."""
    root.mkdir(parents=True, exist_ok=True)
    examples = min(EXAMPLES, rows // CELLS_PER_SEED)
    seeds = list(range(1, ceil(rows / (CELLS_PER_SEED * examples)) + 1))
    path = root / "rows.yaml"
    path.write_text(STUDY.format(seeds=seeds, examples=examples), encoding="utf-8")
    file = read_study(str(path))
    plan, store = make_plan(file, to_run=False), Store(root / "store")
    write_record(make_record(file, plan), store)
    generator, gold = np.random.default_rng(0), {}
    predicted = 0
    with mock.patch.object(os, "fsync"):  # the disk may have its time
        for job in plan.jobs.values():
            with store.write(job.key, job.kind, job.spec.model_dump(mode="json"), job.parents) as draft:
                if not isinstance(job.spec, PredictSpec):
                    (draft.folder / "model.safetensors").write_bytes(b"\0" * 64)
                    continue
                language = job.spec.data.language
                gold.setdefault(language, generator.integers(0, len(LABELS), examples))
                _write_tables(draft.folder, language, gold[language], generator)
                predicted += examples
    return predicted


def _write_tables(folder: Path, language: str, gold: np.ndarray, generator: np.random.Generator) -> None:
    scores = generator.random((len(gold), len(LABELS)))
    scores[np.arange(len(gold)), gold] += generator.uniform(0.2, 0.6)
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float16)
    texts = pa.array([json.dumps(label) for label in LABELS])
    columns = {
        "id": pa.array([f"isle-nli-{number}" for number in range(len(gold))]),
        "gold": texts.take(pa.array(gold)),
        "prediction": texts.take(pa.array(scores.argmax(axis=1))),
        "unit": pa.nulls(len(gold), pa.string()),
    }
    compact: Any = ["gold", "prediction", "unit"]
    pq.write_table(
        pa.table(columns), folder / PREDICTIONS, compression="zstd", use_dictionary=compact, write_statistics=False
    )
    metadata = {"kind": "probability", "labels": json.dumps(LABELS)}
    field = pa.field("scores", pa.list_(pa.float16()), metadata=metadata)
    offsets = pa.array(np.arange(0, scores.size + 1, len(LABELS), dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(scores.ravel()))
    pq.write_table(
        pa.table([lists], schema=pa.schema([field])), folder / SCORES, compression="zstd", use_dictionary=False,
        column_encoding={"scores.list.element": "BYTE_STREAM_SPLIT"}, write_statistics=False,
    )  # fmt: skip


def time_command(*words: str) -> tuple[float, float, float]:
    """Processor seconds, wall seconds and peak bytes of an `xlift` command."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "xlift", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"xlift {words[0]} failed")
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss * scale
