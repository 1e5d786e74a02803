"""Vectors of plain texts by a model folder, for search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from xlift.evaluation.embeddings import Pooling, compute_pooled_vectors
from xlift.models.backbone import load
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.progress import Progress

MAX_TOKENS = 256
_CHARACTERS = 20
"""More than a token has on average: what follows is not tokenized."""
_BUDGET = 8_192
"""Tokens of one forward pass."""


class TextEncoder:
    """Embeds texts: the mean of the last layer's states over the first 256 tokens at most, as sentence encoders are trained.

    Raises:
        UserError: the folder holds no model that xlift can load.
    """

    def __init__(self, folder: Path) -> None:
        model, self.tokenizer = load(folder)
        self.model = model.eval()
        self.max_length = min(MAX_TOKENS, self.model.max_length or MAX_TOKENS)
        self._vectors: dict[str, np.ndarray] = {}
        """A sentence is ranked for several claims."""

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts, (texts, dimension) float32."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            starts = [text[: self.max_length * _CHARACTERS] for text in new]
            ids = self.tokenizer(starts, truncation=True, max_length=self.max_length)["input_ids"]
            index = np.arange(len(new))
            features = Features(Ragged.from_rows([np.array(row) for row in ids]), index, index)
            pooling = Pooling(int(self.model.backbone.config.num_hidden_layers), "mean")
            pad = self.tokenizer.pad_token_id or 0
            ((vectors,),) = (
                part.values()
                for part in compute_pooled_vectors(self.model, [features], [[pooling]], pad, _BUDGET, Progress())
            )
            self._vectors |= dict(zip(new, vectors, strict=True))
        return np.stack([self._vectors[text] for text in texts])
