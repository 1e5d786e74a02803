"""An exported model in text mode gives the predictions of the store, for every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support import text_mode_jobs
from tests.support.command import Xlift

from xlift.analysis.pipeline_choice import find_pipeline_by_key
from xlift.errors import UserError
from xlift.execution.exporting import export
from xlift.execution.file_prediction import InputRow, load_exported_model, predict_rows
from xlift.execution.work import run_job
from xlift.report.card import make_card
from xlift.studies.store import Store
from xlift.tasks import catalog
from xlift.training.progress import Progress

ASKED = [("isle-nli", 0), ("isle-nli", 2), ("isle-qa", 0), ("isle-pos", 0), ("isle-commonsense", 0)]
"""Task, and number of few-shot examples."""


@pytest.fixture(scope="module", params=["qwen3", "mt5"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Store, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    context, store = text_mode_jobs.context(folder / "m", request.param), Store(folder / "s")
    job = text_mode_jobs.train(text_mode_jobs.data("isle-nli"))
    run_job(job, context, store, Progress())
    return folder, context, store, job


@pytest.mark.parametrize(("task", "shots"), ASKED)
def test_text_predictions_equal_those_of_the_store(
    trained: tuple[Path, Any, Store, Any], tmp_path: Path, task: str, shots: int
):
    folder, context, store, job = trained
    (asked,) = text_mode_jobs.predictions(task, ["qta"], job, num_fewshot=shots)
    run_job(asked, context, store, Progress())
    road = find_pipeline_by_key(store, asked.key)
    export(
        road,
        store,
        lambda fingerprint: folder / "m",
        tmp_path / "o",
        lambda metadata, name: make_card(road, store, metadata, name),
    )
    known = catalog.get(task)
    examples = known.source.read(known, "qta", "test", None, size=6)
    found = list(predict_rows(load_exported_model(tmp_path / "o"), (InputRow("x", example) for example in examples)))
    table = pq.read_table(store.open(asked.key).file("predictions.parquet"))
    assert [each.label for each in found] == [json.loads(each) for each in table["prediction"].to_pylist()]
    chosen = task in ("isle-nli", "isle-commonsense")  # others generate text and have no score
    assert all((each.score is not None) == chosen for each in found)
    text = (tmp_path / "o/README.md").read_text()
    template = json.loads((tmp_path / "o/xlift.json").read_text())["prompt"]["templates"][""]
    assert template["source"].splitlines()[0] in text


def test_score_is_a_probability_over_candidates(trained: tuple[Path, Any, Store, Any], tmp_path: Path):
    # the chosen candidate has at least the probability of chance, and less than 1
    folder, _, store, job = trained
    export(
        find_pipeline_by_key(store, job.key),
        store,
        lambda fingerprint: folder / "m",
        tmp_path / "o",
        lambda metadata, name: "",
    )
    known = catalog.get("isle-nli")
    rows = [InputRow("x", example) for example in known.source.read(known, "qtu", "test", None, size=6)]
    found = list(predict_rows(load_exported_model(tmp_path / "o"), iter(rows)))
    assert all(1 / 3 <= (each.score or 0) < 1 for each in found)
    for each in found:  # the probabilities of the labels, in their order
        assert sum(each.probabilities) == pytest.approx(1)
        assert each.score == max(each.probabilities) == each.probabilities[known.labels.index(each.label)]


def test_shortened_prompts_are_counted_and_reported(
    trained: tuple[Path, Any, Store, Any], tmp_path: Path, xlift: Xlift
):
    folder, _, store, job = trained
    export(
        find_pipeline_by_key(store, job.key),
        store,
        lambda fingerprint: folder / "m",
        tmp_path / "o",
        lambda metadata, name: "",
    )
    rows = ["short\tshort"] * 3 + ["the old man reads a book " * 200 + "\tshort"] * 2
    (tmp_path / "rows.tsv").write_text("text_a\ttext_b\n" + "\n".join(rows) + "\n")
    for words in ((), ("--out", "out.tsv", "--quiet")):
        answer = xlift("predict", "o", "rows.tsv", *words)
        assert answer.code == 0, answer.err
        assert "warning: 2 of 5 prompts were longer than the model's " in answer.err
    (tmp_path / "rows.tsv").write_text("text_a\ttext_b\nshort\tshort\n")
    assert "longer" not in xlift("predict", "o", "rows.tsv").err


def test_metadata_without_templates(trained: tuple[Path, Any, Store, Any], tmp_path: Path):
    folder, _, store, job = trained
    road = find_pipeline_by_key(store, job.key)
    export(road, store, lambda fingerprint: folder / "m", tmp_path / "o", lambda metadata, name: "")
    metadata = json.loads((tmp_path / "o/xlift.json").read_text())
    del metadata["prompt"]["templates"]
    (tmp_path / "o/xlift.json").write_text(json.dumps(metadata))
    with pytest.raises(UserError, match="the prompt in xlift.json is damaged"):
        load_exported_model(tmp_path / "o")
