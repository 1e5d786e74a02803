"""Kinds of head output: logits, targets, loss, and the reduced output that leaves the device.

| kind     | logits                   | targets               | reduced, per row          |
| sequence | (rows, labels)           | label: (rows,)        | () arg-max                |
| token    | (rows, tokens, labels)   | label: (rows, tokens) | (tokens,) arg-max         |
| span     | (rows, tokens, 2)        | start, end: (rows,)   | (2, tokens) scores        |
| choice   | (rows,)                  | correct, unit: (rows,)| () score                  |
| dual     | (rows, dimension)        | side, text: (rows,)   | (dimension,) unit vector  |
| lm       | (positions, vocabulary)  | label: (positions,)   | -                         |
| text     | -                        | label or output       | - (models/text_mode.py)   |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xlift.errors import UserError
from xlift.tasks.formats.base import IGNORE_INDEX

KINDS = ("sequence", "token", "span", "choice", "dual", "lm", "text")
POOLINGS = ("cls", "mean", "last", "pooler")
"""How a dual encoder pools a row: the first token, the mean (special tokens included, as in XTREME), the last token, or the tanh
pooler on the first token, which XTREME-R's LAReQA and Mewsli-X scripts train (`outputs[1]`). In other families 'cls' and
'pooler' use the family's state of a row instead of the first token: a decoder's last token, or the mean of an encoder-decoder
model's encoder."""


@dataclass(frozen=True)
class HeadSpec:
    """Everything needed to build a head. Heads with equal specs have equal meaning."""

    kind: str
    labels: tuple[str, ...] = ()
    """Class i of a sequence or token head is `labels[i]`; the sizes of span and choice heads are fixed."""
    pooling: str = "cls"
    """For dual heads only: one of `POOLINGS`."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of head '{self.kind}' (expected one of {', '.join(KINDS)})")
        if self.pooling not in POOLINGS:
            raise UserError(f"unknown pooling '{self.pooling}'", fix=f"expected one of {', '.join(POOLINGS)}.")

    @property
    def num_labels(self) -> int:
        return {"span": 2, "choice": 1, "dual": 0, "lm": 0, "text": 0}.get(self.kind, len(self.labels))


@dataclass(frozen=True)
class Loss:
    """A summed loss and its number of targets, both 0-d. The mean of a step is the sum of totals over the sum of counts, so
    it does not depend on how the step is split into micro-batches."""

    total: Tensor
    count: Tensor


class Head(nn.Module):
    """Base class of heads. `forward(hidden_states, attention_mask)` takes (rows, tokens, hidden) and (rows, tokens), except in
    `LanguageHead`."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec

    def loss(self, logits: Tensor, targets: dict[str, Tensor]) -> Loss:
        """Cross entropy in float32, summed over labels (sequence), tokens, windows (span), units (choice) or positions (lm)
        whose target is not IGNORE_INDEX."""
        return _LOSSES[self.spec.kind](logits.float(), targets)

    def reduce(self, logits: Tensor) -> Tensor:
        """The output that a format decodes, still padded and on the device. Full logits never leave the device."""
        if self.spec.kind in ("sequence", "token"):
            return logits.argmax(dim=-1)
        return logits.float().transpose(1, 2) if self.spec.kind == "span" else logits.float()

    def split_rows(self, reduced: Tensor, attention_mask: Tensor) -> list[np.ndarray]:
        """Reduced outputs on the CPU, one array per row, without the padding on the right."""
        arrays = list(reduced.cpu().numpy())
        if self.spec.kind not in ("token", "span"):
            return arrays
        lengths = attention_mask.sum(dim=1).tolist()
        return [array[..., :length] for array, length in zip(arrays, lengths, strict=True)]


def count_targets(kind: str, targets: dict[str, Tensor]) -> int:
    """The number of targets in the loss of a batch, without computing it: labels, tokens, windows, units, or queries."""
    if kind == "text":
        output_ids = targets["output"] if "output" in targets else targets["label"][:, 1:]
        return int((output_ids != IGNORE_INDEX).sum())
    if kind == "dual":
        return int((targets["side"] == 1).sum())
    if kind == "choice":
        return int((targets["correct"] == 1).sum())
    return int((targets["start" if kind == "span" else "label"] != IGNORE_INDEX).sum())


def _label_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    label = targets["label"]
    total = functional.cross_entropy(logits.flatten(0, -2), label.flatten(), ignore_index=IGNORE_INDEX, reduction="sum")
    return Loss(total, (label != IGNORE_INDEX).sum())


def _span_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    start, end = (
        functional.cross_entropy(logits[..., side], targets[name], ignore_index=IGNORE_INDEX, reduction="sum")
        for side, name in ((0, "start"), (1, "end"))
    )
    return Loss((start + end) / 2, (targets["start"] != IGNORE_INDEX).sum())


def _choice_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    """Softmax over the rows of each unit. Rows of a unit are adjacent; units may differ in size."""
    _, unit, sizes = torch.unique_consecutive(targets["unit"], return_inverse=True, return_counts=True)
    position = torch.arange(len(logits), device=logits.device) - (sizes.cumsum(0) - sizes)[unit]
    padded = logits.new_full((len(sizes), int(sizes.max())), -torch.inf)
    padded[unit, position] = logits
    is_correct = targets["correct"] == 1
    label = torch.full_like(sizes, IGNORE_INDEX)
    label[unit[is_correct]] = position[is_correct]
    return _label_loss(padded, {"label": label})


_LOSSES: dict[str, Callable[[Tensor, dict[str, Tensor]], Loss]] = {
    "sequence": _label_loss,
    "token": _label_loss,
    "span": _span_loss,
    "choice": _choice_loss,
    "lm": _label_loss,
}
