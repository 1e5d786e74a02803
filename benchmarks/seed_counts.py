"""The scored cells of a study in one small file, without texts: counts, ids and units of every example.

A bundle with the predictions of twenty seeds has tens of megabytes; this file has one or two.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np

from xlift.analysis.estimates import ScoredCell
from xlift.tasks import metrics

SUFFIX = ".counts"
PLAIN = tuple(field.name for field in fields(ScoredCell) if field.type in ("str", "int"))
"""Fields that stand in the file as they are. The functions and the lowest score are those of the metric."""


def write_counts(cells: Sequence[ScoredCell], path: Path) -> None:
    """Write cells to a file whose name ends in `SUFFIX`. Cells of one target and language must have the same examples, in any order."""
    groups: dict[tuple[str, str, str, str, str], list[ScoredCell]] = {}
    for cell in cells:
        groups.setdefault((cell.target, cell.train_language, cell.noise, cell.metric, cell.language), []).append(cell)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for number, group in enumerate(groups.values()):
            ids = group[0].ids
            place = {name: index for index, name in enumerate(ids)}
            counts = np.zeros((len(group), *group[0].counts.shape))
            for row, cell in enumerate(group):
                counts[row, [place[name] for name in cell.ids]] = cell.counts
            if not (counts % 1).any():
                counts = counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
            buffer = BytesIO()
            np.save(buffer, counts, allow_pickle=False)
            file.writestr(f"{number}.npy", buffer.getvalue())
            texts = {
                "cells": [{name: getattr(cell, name) for name in PLAIN} for cell in group],
                "ids": ids,
                "units": group[0].units,
            }
            file.writestr(f"{number}.json", json.dumps(texts, ensure_ascii=False))


def read_counts(path: Path) -> list[ScoredCell]:
    """The cells of a file of `write_counts`."""
    cells = []
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            if not name.endswith(".json"):
                continue
            texts = json.loads(file.read(name))
            counts = np.load(BytesIO(file.read(name.replace(".json", ".npy"))), allow_pickle=False)
            for values, own in zip(texts["cells"], counts, strict=True):
                metric = metrics.get(values["metric"].split(" at ")[0])
                cells.append(
                    ScoredCell(
                        **values, ids=texts["ids"], counts=own.astype(float), value=metric.compute_score,
                        leave_one_out=metric.leave_one_out, lowest_score=metric.lowest_score, units=texts["units"],
                    )
                )  # fmt: skip
    return cells
