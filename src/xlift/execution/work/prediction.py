"""The work of jobs that ask a trained model: predictions, and the layer to pool."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.execution.work.shared import (
    LAYERS,
    PREDICTIONS,
    Context,
    count_tokens,
    model_folder,
    read_examples,
    row_length,
)
from xlift.studies.job import Data, Job, LayerSpec, PredictSpec
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.training.progress import Progress


def layers(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    from xlift.evaluation.layers import layer_accuracies, pairs_to_look_at

    spec = job.spec
    assert isinstance(spec, LayerSpec)
    encoder, tokenizer = loaded(str(model_folder(job, context, store)))
    accuracies: dict[str, list[float]] = {}
    draft.numbers["tokens"] = 0
    for number, data in enumerate(spec.data):
        progress.report(number, len(spec.data))
        max_length = row_length(spec.options.get("max_length"), context.tasks[data.task], encoder.max_length)
        pairs = pairs_to_look_at(read_examples(context, data))
        features = formats.get("retrieval").features(pairs, tokenizer, (), max_length=max_length, train=False)
        accuracies[data.language] = layer_accuracies(
            encoder, tokenizer.pad_token_id, pairs, features, spec.options, progress
        )
        draft.numbers["tokens"] += count_tokens(features)
    (draft.folder / LAYERS).write_text(json.dumps({"accuracies": accuracies}) + "\n", encoding="utf-8")


def predict(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    from xlift.evaluation.predict import predict

    spec = job.spec
    assert isinstance(spec, PredictSpec)
    folder = model_folder(job, context, store)
    encoder, tokenizer = loaded(str(folder))
    task = context.tasks[spec.data.task]
    max_length = row_length(spec.options.get("max_length"), task, encoder.max_length)
    examples, features = _test_features(context, spec.data, folder, max_length)
    options = dict(spec.options)
    if options.get("layer") == "dev":
        from xlift.evaluation.layers import choose_layer

        chosen = json.loads(store.open(job.parents[-1]).file(LAYERS).read_text(encoding="utf-8"))
        draft.numbers["layer"] = options["layer"] = choose_layer(chosen["accuracies"], spec.data.language)
    predictions = predict(
        encoder, tokenizer.pad_token_id, task, examples, features, spec.head, options, progress=progress
    )
    format = formats.get(task.format)
    rows = [(e.id, format.gold(e), answer) for e, answer in zip(examples, predictions, strict=True)]
    if format.head == "dual":  # candidates are asked nothing, and may be a million
        rows = [row for row in rows if row[1] is not None]
    write_predictions(draft.folder / PREDICTIONS, *map(list, zip(*rows, strict=True)) if rows else ([], [], []))
    draft.numbers["tokens"] = count_tokens(features)


def write_predictions(path: Path, ids: list[str], gold: list[Any], predictions: list[Any]) -> None:
    """A Parquet table `id, gold, prediction`; gold and prediction are JSON, of the shape that the format's metrics read.

    Scores are always made from this table, so a new metric or interval costs no prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def dump(values: list[Any]) -> list[str]:
        return [json.dumps(value, ensure_ascii=False) for value in values]

    table = pa.table({"id": ids, "gold": dump(gold), "prediction": dump(predictions)})
    pq.write_table(table, path, compression="zstd")


@lru_cache(maxsize=1)
def loaded(folder: str) -> tuple[Any, Any]:
    """The last model predicted with: its jobs, one per task and language, come one after the other."""
    from xlift.models import backbone

    return backbone.load(folder)


_FEATURES: dict[tuple[Any, ...], tuple[list[Any], Any]] = {}
"""Tokenized test sets of this process, the last used last: every model of a study is asked the same questions."""
_FEATURES_TOKENS = 4_000_000
"""Tokens of all of them together; Python's lists take about 40 bytes a token."""


def _test_features(context: Context, data: Data, folder: Path, max_length: int) -> tuple[list[Any], Any]:
    from xlift.training.stage import make_features

    key = (data, max_length, tokenizer_digest(folder))
    found = _FEATURES.pop(key, None)
    if found is None:
        _, tokenizer = loaded(str(folder))
        examples = read_examples(context, data)
        task = context.tasks[data.task]
        found = examples, make_features(task, examples, tokenizer, max_length=max_length, train=False)
    _FEATURES[key] = found
    while len(_FEATURES) > 1 and sum(count_tokens(features) for _, features in _FEATURES.values()) > _FEATURES_TOKENS:
        del _FEATURES[next(iter(_FEATURES))]
    return found


def tokenizer_digest(folder: Path) -> str:
    """Identity of a saved tokenizer."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()
