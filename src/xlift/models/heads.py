"""Heads: small modules on a model's hidden states, one for each architecture of outputs.py and family of model.

transformers' `AutoModelFor...` classes differ between model families, keep one head each, and silently reuse it when label
counts agree. These heads do not. A head computes what the transformers class of its family computes, with tensors of the same
names and shapes, so a trained head can be exported (`Model.stock_state_dict`; "stock" means transformers' own). The tanh pooler
of BERT and RoBERTa is part of the head here, because masked language modelling does not train it.

The family decides which state represents a whole row (`row_state`): an encoder's first token, a decoder's last token, or the
mean of an encoder-decoder model's encoder, which has no such token. A decoder's heads may read the mean too
(`HeadSpec.pooling`). A decoder's tags and answer spans depend only on each token
and the tokens before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from xlift.errors import UserError
from xlift.model_families import Family, family_of_config, traits_of
from xlift.models.language_head import LanguageHead, PredictionHead, has_tied_decoder
from xlift.models.outputs import Head, HeadSpec, Loss

LOGIT_SCALE = 100.0
"""Initial value in XTREME-R's dual encoders. It is trained."""


class LinearHead(Head):
    """Dropout and one linear layer, on every token or on the state of the row.

    As in transformers for tokens of BERT, RoBERTa and mT5's encoder. The default for encoders whose classes are not known.
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooling = ROW_POOLING[family_of_config(config)]
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if not self.spec.output.per_token:
            hidden_states = row_state(hidden_states, attention_mask, self.pooling)
        logits = self.classifier(self.dropout(hidden_states))
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class ScoreHead(Head):
    """A decoder's head, as in transformers: linear without bias on the last token; for tags dropout and linear with bias.

    With the pooling 'mean', which no class of transformers has, the first reads the mean of the states of all tokens instead.
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        per_token = spec.output.per_token
        self.pooling = "mean" if spec.pooling == "mean" else "last"
        self.dropout = nn.Dropout(_dropout(config) if per_token else 0.0)
        self.score = nn.Linear(config.hidden_size, spec.num_labels, bias=per_token)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if not self.spec.output.per_token:
            hidden_states = row_state(hidden_states, attention_mask, self.pooling)
        logits = self.score(self.dropout(hidden_states))
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class SpanHead(Head):
    """Start and end logit of each token, without dropout, as in transformers' BERT, RoBERTa and decoders."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.qa_outputs = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return _mask_padding(self.qa_outputs(hidden_states), attention_mask)


class PoolerHead(Head):
    """The tanh pooler on the first token, dropout, linear: BERT on sequences and choices, RoBERTa on choices."""

    backbone_parts = ("pooler.",)

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = torch.tanh(self.pooler["dense"](hidden_states[:, 0]))
        logits = self.classifier(self.dropout(pooled))
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class RobertaSequenceHead(Head):
    """Dropout, tanh layer, dropout, linear, on `<s>`."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.ModuleDict({"dense": dense, "out_proj": nn.Linear(config.hidden_size, spec.num_labels)})

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = torch.tanh(self.classifier["dense"](self.dropout(hidden_states[:, 0])))
        logits = self.classifier["out_proj"](self.dropout(hidden))
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class DebertaHead(Head):
    """DeBERTa's pooler (dropout, dense, GELU) on the first token, dropout, linear: sequences and choices. The pooler starts
    random: the checkpoints have none."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        rate = getattr(config, "cls_dropout", None)
        self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})
        self.pooler_dropout = nn.Dropout(config.pooler_dropout)
        self.act = ACT2FN[config.pooler_hidden_act]
        self.dropout = nn.Dropout(_dropout(config) if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = self.act(self.pooler["dense"](self.pooler_dropout(hidden_states[:, 0])))
        logits = self.classifier(self.dropout(pooled))
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class EuroBertHead(Head):
    """Dense layer, GELU, linear, without dropout: EuroBERT on sequences; transformers has no class of it for choices.

    `config.classifier_pooling` says which: of the mean of the tokens ('mean'), of the first one ('bos'), or of every token,
    with the mean of their logits as the answer ('late', the default).
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooling = config.classifier_pooling
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.pooling == "bos":
            hidden_states = hidden_states[:, 0]
        elif self.pooling == "mean":
            hidden_states = _mean(hidden_states, attention_mask)
        logits = self.classifier(functional.gelu(self.dense(hidden_states)))
        if self.pooling == "late":
            logits = _mean(logits, attention_mask)
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class ModernBertHead(Head):
    """Prediction head, dropout, linear: ModernBERT and mmBERT, all kinds.

    Sequences and choices use the first token or the mean, as `config.classifier_pooling` sets ('cls' or 'mean').
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooling = config.classifier_pooling
        self.head = PredictionHead(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, spec.num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if not self.spec.output.per_token:
            if self.pooling == "mean":
                hidden_states = _mean(hidden_states, attention_mask)
            else:
                hidden_states = hidden_states[:, 0]
        logits = self.classifier(self.dropout(self.head(hidden_states)))
        if self.spec.output.over_positions:
            return _mask_padding(logits, attention_mask)
        return logits.squeeze(-1) if self.spec.output.is_scalar else logits


class DualHead(Head):
    """One unit vector per row, for queries and passages. transformers has no such class.

    Its loss is a softmax over the passages of the whole batch, so it needs the whole batch at once
    (training/in_batch_negatives.py). A query's softmax leaves out a passage that is the query's own passage again, or that
    answers the same query in another pair: it is no wrong answer. (XTREME-R's scripts keep both as negatives.)
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        self.pooling = ROW_POOLING[family_of_config(config)]
        self.logit_scale = nn.Parameter(torch.empty(()))
        if spec.pooling == "pooler":
            self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.spec.pooling == "pooler":
            state = row_state(hidden_states, attention_mask, self.pooling)
            vectors = torch.tanh(self.pooler["dense"](state)).float()
        else:
            pooling = self.pooling if self.spec.pooling == "cls" else self.spec.pooling
            vectors = pool(hidden_states, attention_mask, pooling)
        return functional.normalize(vectors, dim=-1)

    def loss(self, logits: Tensor, targets: dict[str, Tensor]) -> Loss:
        """Cross entropy of each query's passage among the passages of the batch. Counts queries.

        Args:
            logits: (rows, dimension) vectors; query n belongs to passage n.
        """
        is_passage = targets["side"] == 1
        scores = self.logit_scale.float() * (logits[~is_passage].float() @ logits[is_passage].float().T)
        queries, passages = targets["text"][~is_passage], targets["text"][is_passage]
        excluded = (queries[:, None] == queries) | (passages[:, None] == passages)
        labels = torch.arange(len(scores), device=scores.device)
        excluded[labels, labels] = False
        total = functional.cross_entropy(scores.masked_fill(excluded, -torch.inf), labels, reduction="sum")
        return Loss(total, is_passage.sum())


class TextHead(Head):
    """A head without weights: the model's output layer generates the text (models/text_mode.py). With it, text stages use the
    same training code (parts, schedule, evaluator) as other stages."""

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)


def pool(hidden_states: Tensor, attention_mask: Tensor, pooling: str = "mean") -> Tensor:
    """(rows, tokens, hidden) -> (rows, hidden) in float32.

    'mean' includes the special tokens, as in XTREME and jiant; 'cls' is the first token, 'last' the last one.
    """
    if pooling not in ("mean", "cls", "last"):
        raise UserError(f"unknown pooling '{pooling}'", fix="expected 'mean', 'cls' or 'last'.")
    return row_state(hidden_states, attention_mask, pooling).float()


def row_state(hidden_states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """(rows, hidden): the state of the first token (cls), of the last token before the padding (last), or the float32 mean."""
    if pooling == "cls":
        return hidden_states[:, 0]
    if pooling == "last":
        rows = torch.arange(len(hidden_states), device=hidden_states.device)
        return hidden_states[rows, attention_mask.sum(dim=1) - 1]
    mask = attention_mask.unsqueeze(-1).float()
    return (hidden_states.float() * mask).sum(dim=1) / mask.sum(dim=1)


def _mean(values: Tensor, attention_mask: Tensor) -> Tensor:
    """(rows, tokens, n) -> (rows, n): the mean over the tokens, in the type of the values, as transformers computes it."""
    mask = attention_mask.unsqueeze(-1)
    return (values * mask).sum(dim=1) / mask.sum(dim=1)


ROW_POOLING: dict[Family, str] = {"encoder": "cls", "decoder": "last", "seq2seq": "mean"}
"""Pooling that represents a row."""


HeadFactory = Callable[[HeadSpec, Any], Head]

_DEFAULT: dict[str, HeadFactory] = {
    "sequence": LinearHead,
    "token": LinearHead,
    "span": SpanHead,
    "choice": LinearHead,
    "dual": DualHead,
    "lm": LanguageHead,
    "text": TextHead,
}
_BERT: dict[str, HeadFactory] = {**_DEFAULT, "sequence": PoolerHead, "choice": PoolerHead}
_DECODER: dict[str, HeadFactory] = {**_DEFAULT, **dict.fromkeys(("sequence", "token", "choice"), ScoreHead)}
_ROBERTA: dict[str, HeadFactory] = {**_BERT, "sequence": RobertaSequenceHead}
HEADS: dict[str, dict[str, HeadFactory]] = {
    "": _DEFAULT,
    "bert": _BERT,
    "deberta": {**_DEFAULT, "sequence": DebertaHead, "choice": DebertaHead},
    "eurobert": {**_DEFAULT, "sequence": EuroBertHead, "choice": EuroBertHead},
    "roberta": _ROBERTA,
    "modernbert": {**_DEFAULT, **dict.fromkeys(("sequence", "token", "span", "choice"), ModernBertHead)},
    "decoder": _DECODER,
}
"""`Traits.heads` -> head of each kind."""


def make_head(
    spec: HeadSpec,
    config: Any,
    *,
    seed: int,
    pooler: dict[str, Tensor] | None = None,
    language_head: dict[str, Tensor] | None = None,
    initializer_range: float | None = None,
) -> Head:
    """A new head for a model with this config, on the CPU. Its initial values depend only on spec, config and seed.

    Args:
        pooler: 'dense.weight' and 'dense.bias' of a pretrained pooler (BERT's, from next-sentence prediction). Initial
            values of the head's pooler.
        language_head: the tensors of a pretrained language head. Initial values of a language head.
        initializer_range: standard deviation of the initial weights of the layer that gives the logits; default: that of the config.

    Raises:
        UserError: a language head for a model that is no encoder, or whose masked-LM decoder is not its input embeddings.
    """
    family, heads = family_of_config(config), traits_of(config.model_type).heads
    with torch.device("meta"):  # draws nothing from the global generator
        factories = HEADS[heads or ("decoder" if family == "decoder" else "")]
        head = factories[spec.output.architecture](spec, config)
    if isinstance(head, LanguageHead) and family != "encoder":
        raise UserError(
            f"masked language modelling needs an encoder; a model of type '{config.model_type}' generates text",
            fix="leave the text out of its stages; `pretrain:` trains models of every family on text.",
        )
    if isinstance(head, LanguageHead) and not has_tied_decoder(config):
        raise UserError(
            f"this model of type '{config.model_type}' does not predict tokens with its input embeddings",
            fix="masked language modelling as an intermediate needs a tied decoder, as in XLM-R, mBERT and mmBERT.",
        )
    head = head.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    _initialize(head, config, generator)
    if initializer_range is not None and not isinstance(head, DualHead | LanguageHead):
        output_layer = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.normal_(output_layer.weight, 0.0, initializer_range, generator=generator)
    if pooler and hasattr(head, "pooler"):
        head.get_submodule("pooler").load_state_dict(pooler)
    if language_head and isinstance(head, LanguageHead):
        head.load_state_dict(language_head)
    return head


@torch.no_grad()
def _initialize(head: Head, config: Any, generator: torch.Generator) -> None:
    """Initialize as the family does: normal with `initializer_range`; in ModernBERT (its `_init_weights`) truncated normal,
    with a std that falls with depth in the prediction head and with width in the classifier."""
    std = getattr(config, "initializer_range", 0.02)
    for name, module in head.named_modules():
        if isinstance(module, nn.Linear):
            if traits_of(config.model_type).heads == "modernbert" and not isinstance(head, DualHead):
                cutoff = config.initializer_cutoff_factor or 3.0
                shrunk = std / (2 * config.num_hidden_layers) ** 0.5
                own_std = config.hidden_size**-0.5 if name == "classifier" else shrunk
                nn.init.trunc_normal_(
                    module.weight, 0.0, own_std, -cutoff * own_std, cutoff * own_std, generator=generator
                )
            else:
                nn.init.normal_(module.weight, 0.0, std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    if isinstance(head, DualHead):
        head.logit_scale.fill_(LOGIT_SCALE)
    if isinstance(head, LanguageHead) and head.bias is not None:
        nn.init.zeros_(head.bias)


def _dropout(config: Any) -> float:
    """Dropout before a classifier: `classifier_dropout` where set, else `hidden_dropout_prob`, else 0.1. EuroBERT has none."""
    if traits_of(config.model_type).heads == "eurobert":
        return 0.0
    rate = getattr(config, "classifier_dropout", None)
    return getattr(config, "hidden_dropout_prob", 0.1) if rate is None else rate


def _mask_padding(logits: Tensor, attention_mask: Tensor) -> Tensor:
    """Exclude padding from the softmax over positions, so that the loss of a row does not depend on its batch.

    transformers' QA models include padding; with their fixed length it is the same for every row.
    """
    return logits.masked_fill(attention_mask.unsqueeze(-1) == 0, torch.finfo(logits.dtype).min)
