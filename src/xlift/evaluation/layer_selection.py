"""Select the layer that finds translations best, on dev pairs of languages other than the one to be scored.

One layer suits some of a model's languages better than others. XTREME fixed its layer by the number of layers, and does not
report the data behind that. Here one pass measures every layer on dev pairs. The scored language takes no part in its own
choice, with neither test pairs nor dev pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from xlift.errors import UserError
from xlift.evaluation.batching import default_token_budget, inference_autocast
from xlift.evaluation.embeddings import Pooling, compute_pooled_vectors
from xlift.models.model import Model
from xlift.recipes import MAX_LAYER_PAIRS, Precision
from xlift.tasks.formats import retrieval
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.retrieval import PairExample
from xlift.training.progress import Progress


def select_pairs(examples: Sequence[PairExample]) -> list[PairExample]:
    """The first complete pairs. Sentences without a counterpart say nothing about a layer."""
    return [PairExample(e.id, e.text, e.translation) for e in examples if e.is_complete][:MAX_LAYER_PAIRS]


@torch.inference_mode()
def layer_accuracies(
    model: Model,
    pad_token_id: int,
    pairs: Sequence[PairExample],
    features: Features,
    options: Mapping[str, Any],
    progress: Progress,
    *,
    budget: int | None = None,
    precision: Precision = "fp32",
) -> list[float]:
    """For each layer, embeddings included, the share of the pairs whose text is nearest to its translation.

    Args:
        features: of the pairs, made by the retrieval format.
        options: `pooling` and `center`, as in `predict`.
        budget: tokens of one forward pass.
        precision: as in `compute_outputs`.

    Raises:
        Interrupted: `progress.should_stop()` returned true.
        UserError: there are no pairs.
    """
    if not pairs:
        raise UserError("a layer cannot be selected: the dev examples contain no pair of translations")
    model.eval()
    mode = options.get("pooling", "mean")
    poolings = [Pooling(layer, mode) for layer in range(int(model.backbone.config.num_hidden_layers) + 1)]
    with inference_autocast(model, precision):
        budget = budget or default_token_budget(model)
        (vectors,) = compute_pooled_vectors(model, [features], [poolings], pad_token_id, budget, progress)
    ids = [pair.id for pair in pairs]
    center = bool(options.get("center", False))
    nearest = (retrieval.FORMAT.decode(pairs, features, vectors[pooling], (), center=center) for pooling in poolings)
    return [float(np.mean([a == b for a, b in zip(found, ids, strict=True)])) for found in nearest]


def choose_layer(accuracies: Mapping[str, Sequence[float]], language: str) -> int:
    """The layer with the highest mean over the other languages; of equal ones the lowest layer."""
    others = [values for other, values in accuracies.items() if other != language]
    return int(np.mean(others, axis=0).argmax())
