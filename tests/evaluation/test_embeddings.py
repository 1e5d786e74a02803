"""Rankings of a dual encoder: passages are embedded once for all languages, bit-equal to separate passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.evaluation import embeddings as embeddings
from xlift.evaluation.predict import predict
from xlift.models.model import Model
from xlift.tasks import catalog
from xlift.training import stage
from xlift.training.progress import Interrupted, Progress

TASK = catalog.get("isle-answer-pairs")


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    embeddings._CACHE.clear()


def encoder(seed: int = 0) -> Model:
    made = tiny.encoder("xlm-roberta", seed)
    stage.add_heads(made, [TASK], seed=1)
    return made


def predict_language(model: Model, language: str, progress: Progress | None = None, size: int = 6) -> list[Any]:
    chosen = list(TASK.source.read(TASK, language, "test", None, size=size, seed=0))
    rows = stage.make_features(TASK, chosen, tiny.tokenizer(), max_length=48, train=False)
    return predict(model, 1, TASK, chosen, rows, TASK.name, {}, progress=progress)


def rows_through(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records the rows of every forward pass."""
    seen: list[int] = []
    states = Model.last_hidden_state
    monkeypatch.setattr(
        Model, "last_hidden_state", lambda self, inputs: seen.append(len(inputs["input_ids"])) or states(self, inputs)
    )
    return seen


def test_passages_are_embedded_once_for_all_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = encoder(), rows_through(monkeypatch)
    tongues = len(TASK.source.languages("test"))
    predict_language(model, "qka")
    assert sum(seen) == 6 + 6 * tongues
    predict_language(model, "qen")
    assert sum(seen) == 6 + 6 * tongues + 6


def test_cached_passages_are_bit_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder()
    outputs: list[np.ndarray] = []
    embed = embeddings.compute_dual_vectors
    monkeypatch.setattr(
        "xlift.evaluation.predict.compute_dual_vectors", lambda *given: outputs.append(embed(*given)) or outputs[-1]
    )
    alone = predict_language(model, "qen")
    embeddings._CACHE.clear()
    predict_language(model, "qka")
    assert predict_language(model, "qen") == alone
    assert np.array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize("change", ["model", "pool", "head"])
def test_another_model_or_head_or_passages_are_embedded_again(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder()
    predict_language(model, "qka")
    if change == "head":
        model.add_head("other", stage.make_head_spec(TASK), seed=2)
    seen = rows_through(monkeypatch)
    if change == "model":
        predict_language(encoder(seed=1), "qka")
    elif change == "pool":
        predict_language(model, "qka", size=5)
    else:
        chosen = list(TASK.source.read(TASK, "qka", "test", None, size=6, seed=0))
        rows = stage.make_features(TASK, chosen, tiny.tokenizer(), max_length=48, train=False)
        predict(model, 1, TASK, chosen, rows, "other", {})
    size = 5 if change == "pool" else 6
    assert sum(seen) == size + size * len(TASK.source.languages("test"))


def test_reports_progress_and_stops_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlift.evaluation.batching.TOKENS_PER_BATCH", 100)
    reports: list[tuple[int, int]] = []
    with pytest.raises(Interrupted):
        predict_language(
            encoder(), "qka", Progress(lambda done, total: reports.append((done, total)), lambda: len(reports) >= 3)
        )
    assert len(reports) == 3
    assert reports[0][1] == 6 + 6 * len(TASK.source.languages("test"))
    assert not embeddings._CACHE  # incomplete passages are not cached


def test_vectors_are_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder().eval()
    chosen = list(TASK.source.read(TASK, "qka", "test", None, size=4, seed=0))
    rows = stage.make_features(TASK, chosen, tiny.tokenizer(), max_length=48, train=False)
    with torch.inference_mode():
        found = embeddings.compute_dual_vectors(model, TASK.name, rows, 1, 200, Progress())
        for row in (0, 3, 4, len(rows) - 1):
            alone = model(tiny.batch([rows.input_ids[row]]), TASK.name).numpy()
            np.testing.assert_allclose(found[row : row + 1], alone, atol=1e-5)


def test_passages_in_another_precision_are_embedded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = list(TASK.source.read(TASK, "qka", "test", None, size=6, seed=0))
    rows = stage.make_features(TASK, chosen, tiny.tokenizer(), max_length=48, train=False)
    model, seen = encoder(), rows_through(monkeypatch)
    for _ in range(2):
        predict(model, 1, TASK, chosen, rows, TASK.name, {}, precision="fp32")
    once = sum(seen)
    predict(model, 1, TASK, chosen, rows, TASK.name, {}, precision="bf16")
    assert sum(seen) - once == len(rows)
