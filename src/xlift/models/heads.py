"""Heads: thin modules on an encoder's hidden states, one per kind of output.

The stock `AutoModelFor...` classes are uneven over model families, keep one head each and silently reuse it when label
counts agree; these do not. A head computes what the stock class of its family computes, from tensors of the same names
and shapes, so a trained one can be exported (`Encoder.stock_state_dict`). The tanh pooler that stock BERT and RoBERTa
keep in the backbone belongs to the head here: a masked LM never trained it.

| kind     | logits                   | targets               | reduced, per row          |
| sequence | (rows, labels)           | label: (rows,)        | (labels,) scores          |
| token    | (rows, tokens, labels)   | label: (rows, tokens) | (tokens,) arg-max         |
| span     | (rows, tokens, 2)        | start, end: (rows,)   | (2, tokens) scores        |
| choice   | (rows,)                  | correct, unit: (rows,)| () score                  |
| dual     | (rows, dimension)        | side, text: (rows,)   | (dimension,) unit vector  |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from xlift.errors import UserError
from xlift.tasks.formats.base import IGNORE

KINDS = ("sequence", "token", "span", "choice", "dual")
POOLINGS = ("cls", "mean", "pooler")
"""How a dual encoder makes one vector of a row: the first token, the mean (special tokens included, as XTREME pools), or
the tanh pooler on the first token, which is what XTREME-R's LAReQA and Mewsli-X scripts train (`outputs[1]`)."""
LOGIT_SCALE = 100.0
"""What XTREME-R's dual encoders start from; learnt from there."""


@dataclass(frozen=True)
class HeadSpec:
    """What is needed to build a head, and to know whether two heads mean the same."""

    kind: str
    labels: tuple[str, ...] = ()
    """Class i of a sequence or token head is `labels[i]`; the sizes of span and choice heads are fixed."""
    pooling: str = "cls"
    """Of a dual head, one of `POOLINGS`; no other looks at it."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no head of kind '{self.kind}' (kinds are {', '.join(KINDS)})")
        if self.pooling not in POOLINGS:
            raise UserError(f"unknown pooling '{self.pooling}'", fix=f"dual encoders pool by {', '.join(POOLINGS)}.")

    @property
    def num_labels(self) -> int:
        return {"span": 2, "choice": 1, "dual": 0}.get(self.kind, len(self.labels))


@dataclass(frozen=True)
class Loss:
    """A sum and what it counts, both 0-d: the mean of a step is the sum of totals over the sum of counts, however
    the step is cut into micro-batches."""

    total: Tensor
    count: Tensor


class Head(nn.Module):
    """Base of all heads. `forward(hidden_states, attention_mask)` takes (rows, tokens, hidden), (rows, tokens)."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec

    def loss(self, logits: Tensor, targets: dict[str, Tensor]) -> Loss:
        """Cross entropy in float32 over labels (sequence), tokens, windows (span) or units (choice) not IGNOREd."""
        return _LOSSES[self.spec.kind](logits.float(), targets)

    def reduce(self, logits: Tensor) -> Tensor:
        """What a format decodes, still padded and on the device; so whole token logits never leave it."""
        if self.spec.kind == "token":
            return logits.argmax(dim=-1)
        return logits.float().transpose(1, 2) if self.spec.kind == "span" else logits.float()

    def rows(self, reduced: Tensor, attention_mask: Tensor) -> list[np.ndarray]:
        """Reduced outputs on the CPU, one array per row, without padding (which stands on the right)."""
        arrays = list(reduced.cpu().numpy())
        if self.spec.kind not in ("token", "span"):
            return arrays
        lengths = attention_mask.sum(dim=1).tolist()
        return [array[..., :length] for array, length in zip(arrays, lengths, strict=True)]


class LinearHead(Head):
    """Dropout and one linear layer, on every token or on the first.

    Stock for tokens of BERT and RoBERTa; the default for families that have no entry in FAMILIES.
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.spec.kind != "token":
            hidden_states = hidden_states[:, 0]
        logits = self.classifier(self.dropout(hidden_states))
        return logits.squeeze(-1) if self.spec.kind == "choice" else logits


class SpanHead(Head):
    """Start and end score of each token, without dropout, as in stock BERT and RoBERTa."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.qa_outputs = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return _hide_padding(self.qa_outputs(hidden_states), attention_mask)


class PoolerHead(Head):
    """The tanh pooler on the first token, dropout, linear: BERT on sequences and choices, RoBERTa on choices."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = torch.tanh(self.pooler["dense"](hidden_states[:, 0]))
        logits = self.classifier(self.dropout(pooled))
        return logits.squeeze(-1) if self.spec.kind == "choice" else logits


class RobertaSequenceHead(Head):
    """Dropout, tanh layer, dropout, linear, on `<s>`."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.ModuleDict({"dense": dense, "out_proj": nn.Linear(config.hidden_size, spec.num_labels)})

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = torch.tanh(self.classifier["dense"](self.dropout(hidden_states[:, 0])))
        return self.classifier["out_proj"](self.dropout(hidden))


class _PredictionHead(nn.Module):
    """ModernBERT's dense layer, activation and norm."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
        self.act = ACT2FN[config.classifier_activation]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.norm(self.act(self.dense(hidden_states)))


class ModernBertHead(Head):
    """Prediction head, dropout, linear: ModernBERT and mmBERT, all kinds.

    Sequences and choices are pooled as `config.classifier_pooling` says, by first token ('cls') or by 'mean'.
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooling = config.classifier_pooling
        self.head = _PredictionHead(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.spec.kind in ("sequence", "choice"):
            if self.pooling == "mean":
                mask = attention_mask.unsqueeze(-1)
                hidden_states = (hidden_states * mask).sum(dim=1) / mask.sum(dim=1)
            else:
                hidden_states = hidden_states[:, 0]
        logits = self.classifier(self.dropout(self.head(hidden_states)))
        if self.spec.kind == "span":
            return _hide_padding(logits, attention_mask)
        return logits.squeeze(-1) if self.spec.kind == "choice" else logits


class DualHead(Head):
    """One vector of length 1 per row, for queries and passages alike. No stock class has it.

    Its loss is the softmax over the passages of the whole batch, so what is given to it must be the whole batch
    (training/in_batch.py). A passage is left out of a query's softmax, being no wrong answer, where it is the query's own
    passage again or answers the same query in another pair. (XTREME-R's scripts keep both as negatives.)
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.logit_scale = nn.Parameter(torch.empty(()))
        if spec.pooling == "pooler":
            self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.spec.pooling == "pooler":
            vectors = torch.tanh(self.pooler["dense"](hidden_states[:, 0])).float()
        else:
            vectors = pool(hidden_states, attention_mask, self.spec.pooling)
        return functional.normalize(vectors, dim=-1)

    def loss(self, logits: Tensor, targets: dict[str, Tensor]) -> Loss:
        """Cross entropy of each query's own passage among the passages of the batch; counts queries.

        Args:
            logits: (rows, dimension) vectors; query n and passage n belong together.
        """
        passage = targets["side"] == 1
        scores = self.logit_scale.float() * (logits[~passage].float() @ logits[passage].float().T)
        queries, passages = targets["text"][~passage], targets["text"][passage]
        same = (queries[:, None] == queries) | (passages[:, None] == passages)
        own = torch.arange(len(scores), device=scores.device)
        same[own, own] = False
        total = functional.cross_entropy(scores.masked_fill(same, -torch.inf), own, reduction="sum")
        return Loss(total, passage.sum())


def pool(hidden_states: Tensor, attention_mask: Tensor, how: str = "mean") -> Tensor:
    """(rows, tokens, hidden) -> (rows, hidden) in float32.

    'mean' includes the special tokens, as XTREME and jiant do; 'cls' is the first token.
    """
    if how == "cls":
        return hidden_states[:, 0].float()
    if how != "mean":
        raise UserError(f"unknown pooling '{how}'", fix="expected 'mean' or 'cls'")
    mask = attention_mask.unsqueeze(-1).float()
    return (hidden_states.float() * mask).sum(dim=1) / mask.sum(dim=1)


HeadMaker = Callable[[HeadSpec, Any], Head]

_DEFAULT: dict[str, HeadMaker] = {
    "sequence": LinearHead,
    "token": LinearHead,
    "span": SpanHead,
    "choice": LinearHead,
    "dual": DualHead,
}
_BERT: dict[str, HeadMaker] = {**_DEFAULT, "sequence": PoolerHead, "choice": PoolerHead}
_ROBERTA: dict[str, HeadMaker] = {**_BERT, "sequence": RobertaSequenceHead}
FAMILIES: dict[str, dict[str, HeadMaker]] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "modernbert": {**dict.fromkeys(KINDS, ModernBertHead), "dual": DualHead},
}
"""Model types whose heads are those of the stock classes."""


def make_head(spec: HeadSpec, config: Any, *, seed: int, pooler: dict[str, Tensor] | None = None) -> Head:
    """A new head for a model of that config, on the CPU. Its values depend on nothing but spec, config and seed.

    Args:
        pooler: 'dense.weight' and 'dense.bias' of a pretrained pooler (BERT's, from next-sentence prediction), to
            start a head's pooler from.
    """
    with torch.device("meta"):  # draws nothing from the global generator
        head = FAMILIES.get(config.model_type, _DEFAULT)[spec.kind](spec, config)
    head = head.to_empty(device="cpu")
    _initialize(head, config, torch.Generator().manual_seed(seed))
    if pooler and hasattr(head, "pooler"):
        head.get_submodule("pooler").load_state_dict(pooler)
    return head


@torch.no_grad()
def _initialize(head: Head, config: Any, generator: torch.Generator) -> None:
    """As the family initializes its own heads: normal with `initializer_range`; ModernBERT (its `_init_weights`)
    truncated normal, narrower with depth in the prediction head and with width in the classifier."""
    std = getattr(config, "initializer_range", 0.02)
    for name, module in head.named_modules():
        if isinstance(module, nn.Linear):
            if isinstance(head, ModernBertHead):
                cutoff = config.initializer_cutoff_factor or 3.0
                wide = config.hidden_size**-0.5 if name == "classifier" else std / (2 * config.num_hidden_layers) ** 0.5
                nn.init.trunc_normal_(module.weight, 0.0, wide, -cutoff * wide, cutoff * wide, generator=generator)
            else:
                nn.init.normal_(module.weight, 0.0, std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    if isinstance(head, DualHead):
        head.logit_scale.fill_(LOGIT_SCALE)


def _dropout(config: Any) -> float:
    """Rate before a classifier: `classifier_dropout` where set, else `hidden_dropout_prob`, else 0.1."""
    rate = getattr(config, "classifier_dropout", None)
    return getattr(config, "hidden_dropout_prob", 0.1) if rate is None else rate


def _hide_padding(logits: Tensor, attention_mask: Tensor) -> Tensor:
    """Padding takes no part in the softmax over positions, so the loss of a row does not depend on its batch.

    Stock QA models leave padding in; with their fixed length that is the same for every row.
    """
    return logits.masked_fill(attention_mask.unsqueeze(-1) == 0, torch.finfo(logits.dtype).min)


def _label_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    label = targets["label"]
    total = functional.cross_entropy(logits.flatten(0, -2), label.flatten(), ignore_index=IGNORE, reduction="sum")
    return Loss(total, (label != IGNORE).sum())


def _span_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    start, end = (
        functional.cross_entropy(logits[..., side], targets[name], ignore_index=IGNORE, reduction="sum")
        for side, name in ((0, "start"), (1, "end"))
    )
    return Loss((start + end) / 2, (targets["start"] != IGNORE).sum())


def _choice_loss(logits: Tensor, targets: dict[str, Tensor]) -> Loss:
    """Softmax over the rows of each unit; rows of a unit stand together, units may differ in size."""
    _, unit, sizes = torch.unique_consecutive(targets["unit"], return_inverse=True, return_counts=True)
    place = torch.arange(len(logits), device=logits.device) - (sizes.cumsum(0) - sizes)[unit]
    padded = logits.new_full((len(sizes), int(sizes.max())), -torch.inf)
    padded[unit, place] = logits
    right = targets["correct"] == 1
    label = torch.full_like(sizes, IGNORE)
    label[unit[right]] = place[right]
    return _label_loss(padded, {"label": label})


_LOSSES: dict[str, Callable[[Tensor, dict[str, Tensor]], Loss]] = {
    "sequence": _label_loss,
    "token": _label_loss,
    "span": _span_loss,
    "choice": _choice_loss,
}
