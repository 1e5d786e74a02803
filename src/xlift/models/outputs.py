"""Kinds of head output. Each is one entry of `OUTPUTS`, and a new kind is a new entry.

| kind     | logits                   | targets               | reduced, per row          |
| sequence | (rows, labels)           | label: (rows,)        | () arg-max                |
| token    | (rows, tokens, labels)   | label: (rows, tokens) | (tokens,) arg-max         |
| span     | (rows, tokens, 2)        | start, end: (rows,)   | (2, tokens) scores        |
| choice   | (rows,)                  | correct, unit: (rows,)| () score                  |
| number   | (rows,)                  | score: (rows,)        | () number                 |
| labels   | (rows, labels)           | labels: (rows, labels)| (labels,) chosen or not   |
| dual     | (rows, dimension)        | side, text: (rows,)   | (dimension,) unit vector  |
| lm       | (positions, vocabulary)  | label: (positions,)   | -                         |
| text     | -                        | label or output       | - (models/text_mode.py)   |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xlift.errors import UserError
from xlift.tasks.formats.features import IGNORE_INDEX

POOLINGS = ("cls", "mean", "last", "pooler")
"""How a dual encoder pools a row: the first token, the mean (special tokens included, as in XTREME), the last token, or the tanh
pooler on the first token, which XTREME-R's LAReQA and Mewsli-X scripts train (`outputs[1]`). In other families 'cls' and
'pooler' use the family's state of a row instead of the first token: a decoder's last token, or the mean of an encoder-decoder
model's encoder."""

Targets = dict[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """A summed loss and its number of targets, both 0-d. The mean of a step is the sum of totals over the sum of counts, so
    it does not depend on how the step is split into micro-batches."""

    total: Tensor
    count: Tensor


@dataclass(frozen=True)
class OutputKind:
    """What training, prediction and export need to know of the output of a head."""

    architecture: str
    """Key of the head's class in `heads.HEADS`. Kinds may share one."""
    count: Callable[[Targets], int]
    """Number of targets in the loss of a batch, without computing it: labels, tokens, windows, units, or queries."""
    loss: Callable[[Tensor, Targets], Loss] | None = None
    """(logits in float32, targets) -> loss over the targets that are known. None: the head itself or the whole model has it."""
    reduce: Callable[[Tensor], Tensor] = Tensor.float
    """Logits -> the output that a format decodes, still padded and on the device. Full logits never leave the device."""
    scores: Callable[[Tensor], Tensor] | None = None
    """Logits -> the scores behind a reduced output that has lost them, to be kept with the predictions: the probability of
    every label, or of the chosen label of each token. None: the reduced output has the scores."""
    num_labels: int | None = 0
    """Size of the classifier; None: one for each label of the task."""
    per_token: bool = False
    """Whether logits and targets are of tokens, not of rows."""
    is_scalar: bool = False
    """Whether logits are one number per row, (rows,)."""
    over_positions: bool = False
    """Whether the loss is a softmax over the positions of a row, so that padding must be masked."""
    compares_rows: bool = False
    """Whether rows are compared by their vectors: the loss needs all rows of a step at once, a prediction a pool of rows."""
    is_generated: bool = False
    """Whether the model's output layer writes text, so that the head has no weights."""
    stock_class: str = ""
    """transformers' `AutoModelFor...`; empty if it has no class with this output."""
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None = None
    """`config.problem_type` of that class."""
    stock_outputs: tuple[str, ...] = ("logits",)
    """Names of the outputs of that class."""

    @property
    def pools_row(self) -> bool:
        """Whether a head with logits reads one state for a whole row. A decoder's can pool in two ways (`HeadSpec.pooling`)."""
        return not self.per_token and not self.compares_rows


def _is_labelled(targets: Targets, name: str = "label") -> Tensor:
    return targets[name] != IGNORE_INDEX


def _label_loss(logits: Tensor, targets: Targets) -> Loss:
    """Cross entropy, summed over the labels that are not IGNORE_INDEX."""
    label = targets["label"]
    total = functional.cross_entropy(logits.flatten(0, -2), label.flatten(), ignore_index=IGNORE_INDEX, reduction="sum")
    return Loss(total, _is_labelled(targets).sum())


def _span_loss(logits: Tensor, targets: Targets) -> Loss:
    start, end = (
        functional.cross_entropy(logits[..., side], targets[name], ignore_index=IGNORE_INDEX, reduction="sum")
        for side, name in ((0, "start"), (1, "end"))
    )
    return Loss((start + end) / 2, _is_labelled(targets, "start").sum())


def _choice_loss(logits: Tensor, targets: Targets) -> Loss:
    """Softmax over the rows of each unit. Rows of a unit are adjacent; units may differ in size."""
    _, unit, sizes = torch.unique_consecutive(targets["unit"], return_inverse=True, return_counts=True)
    position = torch.arange(len(logits), device=logits.device) - (sizes.cumsum(0) - sizes)[unit]
    padded = logits.new_full((len(sizes), int(sizes.max())), -torch.inf)
    padded[unit, position] = logits
    is_correct = targets["correct"] == 1
    label = torch.full_like(sizes, IGNORE_INDEX)
    label[unit[is_correct]] = position[is_correct]
    return _label_loss(padded, {"label": label})


def _squared_loss(logits: Tensor, targets: Targets) -> Loss:
    """Squared error, summed over the numbers that are not nan."""
    score = targets["score"]
    known = ~score.isnan()
    return Loss(torch.where(known, logits - score, 0.0).square().sum(), known.sum())


def _binary_loss(logits: Tensor, targets: Targets) -> Loss:
    """Binary cross entropy, summed over the labels of the rows whose labels are not nan."""
    known = ~targets["labels"].isnan()
    total = functional.binary_cross_entropy_with_logits(
        logits, targets["labels"].nan_to_num(), weight=known.float(), reduction="sum"
    )
    return Loss(total, known.sum())


def _count_labels(targets: Targets) -> int:
    return int(_is_labelled(targets).sum())


def _count_answer_tokens(targets: Targets) -> int:
    output_ids = targets["output"] if "output" in targets else targets["label"][:, 1:]
    return int((output_ids != IGNORE_INDEX).sum())


def _argmax(logits: Tensor) -> Tensor:
    return logits.argmax(dim=-1)


def _softmax(logits: Tensor) -> Tensor:
    return logits.float().softmax(dim=-1)


def _largest_softmax(logits: Tensor) -> Tensor:
    return _softmax(logits).amax(dim=-1)


OUTPUTS: dict[str, OutputKind] = {
    "sequence": OutputKind(
        "sequence", _count_labels, _label_loss, _argmax, _softmax, num_labels=None,
        stock_class="SequenceClassification", problem_type="single_label_classification",
    ),
    "token": OutputKind(
        "token", _count_labels, _label_loss, _argmax, _largest_softmax, num_labels=None, per_token=True,
        stock_class="TokenClassification",
    ),
    "span": OutputKind(
        "span", lambda targets: int(_is_labelled(targets, "start").sum()), _span_loss,
        lambda logits: logits.float().transpose(1, 2), num_labels=2, per_token=True, over_positions=True,
        stock_class="QuestionAnswering", stock_outputs=("start_logits", "end_logits"),
    ),
    "choice": OutputKind(
        "choice", lambda targets: int((targets["correct"] == 1).sum()), _choice_loss, num_labels=1, is_scalar=True,
        stock_class="MultipleChoice",
    ),
    "number": OutputKind(
        "sequence", lambda targets: int((~targets["score"].isnan()).sum()), _squared_loss, num_labels=1, is_scalar=True,
        stock_class="SequenceClassification", problem_type="regression",
    ),
    "labels": OutputKind(
        "sequence", lambda targets: int((~targets["labels"].isnan()).sum()), _binary_loss, lambda logits: logits > 0,
        lambda logits: logits.float().sigmoid(), num_labels=None, stock_class="SequenceClassification", problem_type="multi_label_classification",
    ),
    "dual": OutputKind("dual", lambda targets: int((targets["side"] == 1).sum()), compares_rows=True),
    "lm": OutputKind("lm", _count_labels, _label_loss, per_token=True),
    "text": OutputKind("text", _count_answer_tokens, per_token=True, is_generated=True),
}  # fmt: skip


@dataclass(frozen=True)
class HeadSpec:
    """Everything needed to build a head. Heads with equal specs have equal meaning."""

    kind: str
    """Key of `OUTPUTS`."""
    labels: tuple[str, ...] = ()
    """Class i is `labels[i]`; empty where the number of outputs is fixed."""
    pooling: str = "cls"
    """One of `POOLINGS` for dual heads. For a decoder's heads with `OutputKind.pools_row`: 'mean' is the mean of the states of
    all tokens, anything else the state of the last token. No other head uses it."""

    def __post_init__(self) -> None:
        if self.kind not in OUTPUTS:
            raise ValueError(f"unknown kind of head '{self.kind}' (expected one of {', '.join(OUTPUTS)})")
        if self.pooling not in POOLINGS:
            raise UserError(f"unknown pooling '{self.pooling}'", fix=f"expected one of {', '.join(POOLINGS)}.")

    @property
    def output(self) -> OutputKind:
        return OUTPUTS[self.kind]

    @property
    def num_labels(self) -> int:
        return len(self.labels) if self.output.num_labels is None else self.output.num_labels


class Head(nn.Module):
    """Base class of heads. `forward(hidden_states, attention_mask)` takes (rows, tokens, hidden) and (rows, tokens), except in
    `LanguageHead`."""

    backbone_parts: tuple[str, ...] = ()
    """Beginnings of the names of tensors that lie in the backbone of the transformers class."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec

    def loss(self, logits: Tensor, targets: Targets) -> Loss:
        """The summed loss of a batch, in float32."""
        assert self.spec.output.loss is not None
        return self.spec.output.loss(logits.float(), targets)

    def reduce(self, logits: Tensor) -> Tensor:
        """The output that a format decodes, still padded and on the device."""
        return self.spec.output.reduce(logits)

    def scores(self, logits: Tensor) -> Tensor | None:
        """The scores behind the reduced output, if it has lost them (`OutputKind.scores`)."""
        compute = self.spec.output.scores
        return None if compute is None else compute(logits)

    def split_rows(self, reduced: Tensor, attention_mask: Tensor) -> list[np.ndarray]:
        """Reduced outputs on the CPU, one array per row, without the padding on the right."""
        arrays = list(reduced.cpu().numpy())
        if not self.spec.output.per_token:
            return arrays
        lengths = attention_mask.sum(dim=1).tolist()
        return [array[..., :length] for array, length in zip(arrays, lengths, strict=True)]
