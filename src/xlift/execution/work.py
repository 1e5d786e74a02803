"""The work of one job: read the spec and the parents' products, compute, write the product.

A job never sees the study. `Context` holds what is the same for all jobs of a run and stands in no key.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.studies.job import Data, Job, LayerSpec, PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.tasks.formats.text import TextExample
from xlift.tasks.task import Task
from xlift.training.progress import Progress

PREDICTIONS = "predictions.parquet"
MODEL = "model"
LAYERS = "layers.json"
"""Accuracy of every layer on dev pairs, by language."""
THREADS = {"pretrain": 2, "train": 1, "layer": 1, "predict": 1}
"""Threads of one job by kind. Fixed here and not by the machine, since another number rounds differently."""


@dataclass(frozen=True)
class Context:
    """What a worker needs besides the job."""

    data: Path | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    models: dict[str, Path] = field(default_factory=dict)
    """Fingerprint -> folder of pretrained models."""


def do_job(job: Job, context: Context, store: Store, progress: Progress) -> None:
    """Do a job, whose lock the caller has taken through `store`, and put its product there.

    Raises:
        UserError: data or a parent's product cannot be read.
        Interrupted: asked to stop; a checkpoint is left in the store.
    """
    import torch

    torch.set_num_threads(THREADS[job.kind])
    work: dict[str, Callable[..., None]] = {
        "pretrain": _pretrain, "train": _train, "layer": _layers, "predict": _predict,
    }  # fmt: skip
    spec = job.spec.model_dump(mode="json", exclude_defaults=True)
    if job.kind in ("pretrain", "train"):
        _loaded.cache_clear()  # training needs the memory
    with store.write(job.key, job.kind, spec, job.parents) as draft:
        draft.numbers["examples"] = job.examples
        with _plain_disk_errors(draft.folder):
            work[job.kind](job, context, store, draft, progress)
        draft.numbers["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gc.collect()


@contextmanager
def _plain_disk_errors(folder: Path) -> Iterator[None]:
    """Errors of a full or forbidden disk as OSErrors, which the store explains: safetensors has the number in its text."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) from error
        raise


def _pretrain(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    import numpy as np

    from xlift.models.pretrained import quiet
    from xlift.training import pretraining

    spec = job.spec
    assert isinstance(spec, PretrainSpec)
    parts = [_documents(context, data) for data in spec.text]
    extra = [_documents(context, data) for data in spec.tokenizer_text]
    texts = (text for part in extra for example in part for text in formats.get("text").texts(example))
    tokenizer = pretraining.make_tokenizer(
        (text for source in (pretraining.tokenizer_texts(parts, spec.tokenizer.documents), texts) for text in source),
        spec.tokenizer,
    )
    max_length = spec.recipe.max_length or 128
    rows = []
    for part in parts:
        part = pretraining.cut_in_two(part, spec.cut, spec.seed)
        features = formats.get("text").features(part, tokenizer, (), max_length=max_length, train=True)
        rows += [np.array(ids, dtype=np.int32) for ids in features.input_ids]
    model = pretraining.make_model(spec.architecture, tokenizer, spec.seed)
    trained = pretraining.pretrain(
        model,
        tokenizer,
        rows,
        spec.masking,
        spec.recipe,
        seed=spec.seed,
        folder=store.partial(job.key),
        progress=progress,
    )
    if spec.half_precision:
        model = model.half()
    with quiet():
        model.save_pretrained(draft.folder / MODEL)
        tokenizer.save_pretrained(draft.folder / MODEL)
    _note(draft, trained, documents=len(rows), parameters=sum(p.numel() for p in model.parameters()))


def _train(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    from xlift.models import backbone
    from xlift.training import stage
    from xlift.training.masking import Masker

    spec = job.spec
    assert isinstance(spec, TrainSpec)
    source, tokenizer = backbone.load(_model_folder(job, context, store))
    encoder = backbone.blank_like(source)
    tasks = [context.tasks[data.task] for data in spec.mixture]
    stage.add_heads(encoder, tasks, spec.seed, spec.head)
    carried = backbone.carry(encoder, source, spec.keep_heads)
    parts = []
    for data, task in zip(spec.mixture, tasks, strict=True):
        max_length = _max_length(spec.recipe.max_length, task, encoder.max_length)
        features = stage.make_features(task, _examples(context, data), tokenizer, max_length=max_length, train=True)
        masker = Masker(spec.masking, tokenizer) if task.format == "text" else None
        parts.append(stage.Part(task, features, spec.head, masker))
    trained = stage.fine_tune(
        encoder,
        tokenizer.pad_token_id,
        parts,
        spec.recipe,
        spec.sampling,
        seed=spec.seed,
        folder=store.partial(job.key),
        progress=progress,
    )
    backbone.save(encoder, tokenizer, draft.folder / MODEL)
    _note(draft, trained, carried_tensors=carried.tensors, carried_parameters=carried.parameters)
    told = {key: value for key, value in carried.__dict__.items() if value or key != "checkpoint"}
    (draft.folder / "carried.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _layers(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    from xlift.evaluation.layers import layer_accuracies, pairs_to_look_at

    spec = job.spec
    assert isinstance(spec, LayerSpec)
    encoder, tokenizer = _loaded(str(_model_folder(job, context, store)))
    accuracies: dict[str, list[float]] = {}
    draft.numbers["tokens"] = 0
    for number, data in enumerate(spec.data):
        progress.report(number, len(spec.data))
        max_length = _max_length(spec.options.get("max_length"), context.tasks[data.task], encoder.max_length)
        pairs = pairs_to_look_at(_examples(context, data))
        features = formats.get("retrieval").features(pairs, tokenizer, (), max_length=max_length, train=False)
        accuracies[data.language] = layer_accuracies(
            encoder, tokenizer.pad_token_id, pairs, features, spec.options, progress
        )
        draft.numbers["tokens"] += _tokens(features)
    (draft.folder / LAYERS).write_text(json.dumps({"accuracies": accuracies}) + "\n", encoding="utf-8")


def _predict(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    from xlift.evaluation.predict import predict

    spec = job.spec
    assert isinstance(spec, PredictSpec)
    folder = _model_folder(job, context, store)
    encoder, tokenizer = _loaded(str(folder))
    task = context.tasks[spec.data.task]
    max_length = _max_length(spec.options.get("max_length"), task, encoder.max_length)
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
    draft.numbers["tokens"] = _tokens(features)


def write_predictions(path: Path, ids: list[str], gold: list[Any], predictions: list[Any]) -> None:
    """A Parquet table `id, gold, prediction`; gold and prediction are JSON, of the shape that the format's metrics read.

    Scores are always made from this table, so a new metric or interval costs no prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def dump(values: list[Any]) -> list[str]:
        return [json.dumps(value, ensure_ascii=False) for value in values]

    table = pa.table({"id": ids, "gold": dump(gold), "prediction": dump(predictions)})
    pq.write_table(table, path, compression="zstd")


def _note(draft: Draft, trained: Any, **more: Any) -> None:
    draft.numbers.update(steps=trained.steps, tokens=trained.tokens, loss=trained.losses[-1], **more)
    (draft.folder / "training.json").write_text(json.dumps({"losses": trained.losses}) + "\n", encoding="utf-8")


def _model_folder(job: Job, context: Context, store: Store) -> Path:
    """The model a job starts from: its parent's product (checked against its digests), or a pretrained one."""
    assert not isinstance(job.spec, PretrainSpec)
    if job.spec.model is None:
        return store.open(job.parents[0]).folder / MODEL
    return context.models[job.spec.model.fingerprint]


@lru_cache(maxsize=1)
def _loaded(folder: str) -> tuple[Any, Any]:
    """The last model predicted with: its jobs, one per task and language, come one after the other."""
    from xlift.models import backbone

    return backbone.load(folder)


def _max_length(asked: int | None, task: Task, limit: int | None) -> int:
    """Tokens of a row: what the study asks for, else the task's own length as far as the model reaches."""
    if asked and limit and asked > limit:
        raise UserError(
            f"max_length {asked} is more than the model's {limit} positions", fix=f"ask for at most {limit}."
        )
    return asked or min(task.max_length, limit or task.max_length)


def _examples(context: Context, data: Data) -> list[Any]:
    task = context.tasks[data.task]
    return list(task.source.read(task, data.language, data.split, context.data, size=data.size, seed=data.seed))


def _documents(context: Context, data: Data) -> list[TextExample]:
    """What there is to read in some data: the documents of a text task, or the distinct texts of any other one."""
    examples = _examples(context, data)
    format = formats.get(context.tasks[data.task].format)
    if format.example is TextExample:
        return examples
    texts = dict.fromkeys(text for example in examples for text in format.texts(example) if text.strip())
    return [TextExample(str(number), text) for number, text in enumerate(texts)]


_FEATURES: dict[tuple[Any, ...], tuple[list[Any], Any]] = {}
"""Tokenized test sets of this process, the last used last: every model of a study is asked the same questions."""
_FEATURES_TOKENS = 4_000_000
"""Tokens of all of them together; Python's lists take about 40 bytes a token."""


def _test_features(context: Context, data: Data, folder: Path, max_length: int) -> tuple[list[Any], Any]:
    from xlift.training.stage import make_features

    key = (data, max_length, tokenizer_digest(folder))
    found = _FEATURES.pop(key, None)
    if found is None:
        _, tokenizer = _loaded(str(folder))
        examples = _examples(context, data)
        task = context.tasks[data.task]
        found = examples, make_features(task, examples, tokenizer, max_length=max_length, train=False)
    _FEATURES[key] = found
    while len(_FEATURES) > 1 and sum(_tokens(features) for _, features in _FEATURES.values()) > _FEATURES_TOKENS:
        del _FEATURES[next(iter(_FEATURES))]
    return found


def _tokens(features: Any) -> int:
    return sum(map(len, features.input_ids))


def tokenizer_digest(folder: Path) -> str:
    """Identity of a saved tokenizer."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()
