"""Batches for prediction: rows of several languages in one pass, sorted by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from xlift.models.model import Model
from xlift.models.packing import move_inputs
from xlift.recipes import TOKENS_ON_GPU, TOKENS_PER_BATCH, Precision
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.batches import collate, split_into_micro_batches
from xlift.training.precision import autocast, resolve_precision
from xlift.training.progress import Interrupted, Progress


def default_token_budget(model: Model) -> int:
    """Tokens of one forward pass where the study does not set them."""
    return TOKENS_PER_BATCH if model.device.type == "cpu" else TOKENS_ON_GPU


def inference_autocast(model: Model, precision: Precision) -> torch.autocast:
    """Context for forward passes without training. It casts the model's weights once for all of them."""
    resolved = resolve_precision(precision, int(model.backbone.config.hidden_size), model.device)
    return autocast(resolved, model.device)


def concatenate_features(parts: Sequence[Features]) -> Features:
    """The inputs of all parts, one part after the other. All parts must come from one tokenizer."""
    types = [part.token_type_ids for part in parts if part.token_type_ids is not None]
    input_ids = Ragged.concatenate([part.input_ids for part in parts])
    index = np.arange(len(input_ids))
    token_type_ids = Ragged.concatenate(types) if types else None
    return Features(input_ids, example_index=index, unit=index, token_type_ids=token_type_ids)


def iterate_batches(
    model: Model,
    features: Features,
    pad_token_id: int,
    budget: int,
    progress: Progress,
    *,
    rows: np.ndarray | None = None,
    done: int = 0,
    total: int = 0,
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """(indices, inputs) for `rows`, by default all: each row once, the longest first. Indices count in `rows`.

    Args:
        budget: tokens of a batch: real tokens where the model packs its rows, else with padding.
        done, total: rows finished before, and rows in total, where this is a part of the work that progress reports.

    Raises:
        Interrupted: `progress.should_stop()` returned true.
    """
    rows = np.arange(len(features)) if rows is None else rows
    if not len(rows):
        return
    for indices in split_into_micro_batches(rows, features.input_ids.lengths[rows], budget, model.supports_packing):
        if progress.should_stop():
            raise Interrupted
        yield indices, move_inputs(collate(features, rows[indices], pad_token_id)[0], model.device)
        done += len(indices)
        progress.report(done, total or len(rows))
