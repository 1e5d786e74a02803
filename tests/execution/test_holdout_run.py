"""A whole run on held-out rows: the source language is scored, marked, and `xlift export --best` chooses on held-out dev rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.support.command import Xlift
from tests.support.tiny_study import write_model

from xlift.studies.record import read_record
from xlift.studies.store import Store

STUDY = """\
models: [model]
seeds: [1, 2]
training: {lr: 0.001, batch_size: 8, max_steps: 4, max_length: 32, retries: 1}
targets: [{task: tickets}]
tasks:
  - name: tickets
    format: classification
    files: {train: {en: train.csv}, test: {de: test.csv}}
    labels: [billing, delivery]
"""


def write_files(folder: Path, holdout: str) -> None:
    for name, count in (("train", 40), ("test", 10)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [(f"{name}{n}", f"message {n}", ("billing", "delivery")[n % 2]) for n in range(count)]
            csv.writer(file).writerows([("id", "text", "label"), *rows])
    if not (folder / "model").is_dir():
        write_model(folder / "model")
    (folder / "study.yaml").write_text(STUDY + f"    {holdout}\n", encoding="utf-8")


@pytest.mark.slow
def test_held_out_rows_are_scored_marked_and_chosen_on(xlift: Xlift, tmp_path: Path):
    write_files(tmp_path, "holdout: {test: 0.2, dev: 0.1}")
    ran = xlift("run", "study.yaml", "--store", "s", "--workers", 0)
    assert ran.code == 0, ran.err
    assert "tickets en test: 8 of 40 training rows held out, stratified by label." in ran.err
    store = Store(tmp_path / "s")
    cells = read_record(store, "study").cells
    tested = {
        cell.language: pq.read_table(store.open(cell.key).file("predictions.parquet"))["id"].to_pylist()
        for cell in cells
    }
    assert (len(set(tested["en"])), len(set(tested["de"]))) == (8, 10)
    assert all(name.startswith("train") for name in tested["en"])

    table = xlift("report", "study", "--store", "s", "--languages").out
    assert "en (source)" in table
    assert "zero-shot" in table
    assert "Means over all languages include en, whose labels were trained on" in " ".join(table.split())
    rows = json.loads(xlift("report", "study", "--store", "s", "--json").out)
    value = {row["language"]: row["value"] for row in rows}
    assert value["zero-shot"] == value["de"]
    assert value["all"] == pytest.approx((value["de"] + value["en"]) / 2)

    exported = xlift("export", "study", "m", "--store", "s", "--best", "--json")
    assert exported.code == 0, exported.err
    assert "tickets dev in en" in json.loads(exported.out)["chosen"]
    card = (tmp_path / "m/README.md").read_text(encoding="utf-8")
    assert "trained on" in card


@pytest.mark.slow
def test_best_says_that_dev_data_are_missing(xlift: Xlift, tmp_path: Path):
    write_files(tmp_path, "holdout: 0.2")
    assert xlift("run", "study.yaml", "--store", "s", "--workers", 0).code == 0
    answer = xlift("export", "study.yaml", "m", "--store", "s", "--best")
    said = " ".join(answer.err.split())
    assert answer.code == 2
    assert "there are no dev data of tickets in 'en'" in said
    assert "`files: {dev: {en: ...}}` or `holdout: {dev: 0.1}`" in said
    assert f"`xlift run study.yaml --store {tmp_path}/s`" in said
    # Following the advice makes it possible.
    write_files(tmp_path, "holdout: {test: 0.2, dev: 0.1}")
    assert xlift("run", "study.yaml", "--store", "s", "--workers", 0).code == 0
    assert xlift("export", "study.yaml", "m", "--store", "s", "--best").code == 0
    # Without evaluation on dev at all, the settings are the reason.
    study = (tmp_path / "study.yaml").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(study.replace("retries: 1", "retries: 0"), encoding="utf-8")
    assert xlift("run", "study.yaml", "--store", "s", "--workers", 0).code == 0
    answer = xlift("export", "study.yaml", "n", "--store", "s", "--best")
    assert "`retries` is 0 and `early_stopping` is not set" in " ".join(answer.err.split())
