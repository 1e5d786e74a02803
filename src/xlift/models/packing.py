"""Compute a batch of rows of different lengths without padding.

All rows of a batch are concatenated into a single row of tokens, the longest first, so that every linear layer is one large
product over real tokens only. Only attention distinguishes rows: it pads rows of similar length to groups and masks them, and
this padding costs little. The result equals that of separate rows, to rounding. No row attends to another one. A decoder's
tokens attend to those before them in their own row.

Works for models that take attention functions from `AttentionInterface`, and that either take `position_ids` or have positions
only in their attention (mT5).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from xlift.model_families import traits_of
from xlift.models.dropout import bit_dropout

ATTENTION_NAME = "xlift_packed"
LENGTHS = "lengths"
"""Name of an input of the model: (rows,) tokens of each row, always on the CPU. Computed from `attention_mask`, they would make
the CPU wait for the device in every batch."""
MIN_LENGTH_RATIO = 0.7
"""A group holds rows of at least this share of its longest row's length."""


@dataclass(frozen=True)
class GatherIndex:
    """For each position of a new tensor, the row of another tensor to put there, if any."""

    index: Tensor
    """(positions,): a row; 0 at empty positions."""
    empty: Tensor
    """Positions without a row."""

    def gather(self, x: Tensor) -> Tensor:
        """The rows of `x` at their positions, zeros at empty ones."""
        gathered = x.index_select(0, self.index)
        return gathered.index_fill_(0, self.empty, 0) if len(self.empty) else gathered


class _Gather(torch.autograd.Function):
    """Gather that uses no row twice, so that its backward pass is a gather too. Plain indexing would scatter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: GatherIndex, inverse: GatherIndex) -> Tensor:
        ctx.inverse = inverse
        return index.gather(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.inverse.gather(grads[0]), None, None


def _gather(x: Tensor, index: GatherIndex, inverse: GatherIndex) -> Tensor:
    return cast(Tensor, _Gather.apply(x, index, inverse))


@dataclass(frozen=True)
class LengthGroup:
    """Rows of similar length: tokens `start` to `end` of the packed row."""

    start: int
    end: int
    num_rows: int
    width: int
    """Tokens in the longest row."""
    mask: Tensor | None
    """(rows, 1, 1, width) bool, True on tokens; None where all rows are equally long."""
    padded: GatherIndex
    """(rows * width,): the group's token at each padded position."""
    tokens: GatherIndex
    """(end - start,): the padded position of each token."""


@dataclass(frozen=True)
class Packing:
    """Mapping between a padded batch and its packed row."""

    tokens: GatherIndex
    """(tokens,): position of each packed token in the flattened padded batch."""
    padded: GatherIndex
    """(rows * width,): the packed token at each padded position."""
    position_ids: Tensor
    """(1, tokens): position of each token in its row, from 0."""
    groups: tuple[LengthGroup, ...]

    def pack(self, padded: Tensor) -> Tensor:
        """(rows, width, ...) -> (1, tokens, ...). Differentiable for floating-point tensors."""
        return _gather(padded.flatten(0, 1), self.tokens, self.padded).unsqueeze(0)

    def unpack(self, packed: Tensor, num_rows: int) -> Tensor:
        """(1, tokens, ...) -> (rows, width, ...), zeros on padding."""
        return _gather(packed[0], self.padded, self.tokens).unflatten(0, (num_rows, -1))


def move_inputs(inputs: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The inputs or targets of a model on its device, LENGTHS on the CPU."""
    return {name: x if name == LENGTHS else x.to(device, non_blocking=True) for name, x in inputs.items()}


def make_packing(row_lengths: Tensor, width: int, device: torch.device) -> Packing:
    """The packing of a batch that is padded on the right. It is computed on the CPU, and does not wait for the device.

    Args:
        row_lengths: (rows,) tokens of each row, at least one, on the CPU.
        width: tokens of a padded row.
        device: of the batch.
    """
    lengths, order = row_lengths.sort(descending=True, stable=True)
    tokens = torch.cat([torch.arange(n) + row * width for row, n in zip(order.tolist(), lengths.tolist(), strict=True)])
    position_ids = torch.cat([torch.arange(n) for n in lengths.tolist()])
    groups, first, start = [], 0, 0
    while first < len(lengths):
        longest = int(lengths[first])
        members = lengths[first:]
        members = members[members >= MIN_LENGTH_RATIO * longest]
        groups.append(_make_group(members, longest, start, device))
        first += len(members)
        start = groups[-1].end
    position_ids = position_ids.unsqueeze(0).to(device, non_blocking=True)
    return Packing(*_make_indices(tokens, len(lengths) * width, device), position_ids, tuple(groups))


def _make_group(lengths: Tensor, width: int, start: int, device: torch.device) -> LengthGroup:
    mask = torch.arange(width) < lengths[:, None]
    tokens, padded = _make_indices(mask.flatten().nonzero().squeeze(1), mask.numel(), device)
    group_mask = None if bool(mask.all()) else mask[:, None, None, :].to(device, non_blocking=True)
    return LengthGroup(start, start + len(tokens.index), len(lengths), width, group_mask, padded, tokens)


def _make_indices(positions: Tensor, size: int, device: torch.device) -> tuple[GatherIndex, GatherIndex]:
    """The position of each token among `size` positions, and the token at each position."""
    inverse = torch.full((size,), -1)
    inverse[positions] = torch.arange(len(positions))
    none, empty = positions.new_empty(0), (inverse < 0).nonzero().squeeze(1)
    each = [x.to(device, non_blocking=True) for x in (positions, none, inverse.clamp(min=0), empty)]
    return GatherIndex(each[0], each[1]), GatherIndex(each[2], each[3])


def packed_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    scaling: float, packing: Packing, dropout: float = 0.0, sliding_window: int | None = None,
    position_bias: Tensor | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention within every row: in both directions, or to earlier tokens only where the module is causal.

    Args:
        query, key, value: (1, heads, tokens, size); key and value may have fewer heads (grouped-query attention).
        sliding_window: tokens attend to tokens less than this far away (local layers of ModernBERT and Gemma).
        position_bias: (1, heads, width, width) added to the scores, for at least the longest row (mT5).

    Returns:
        (1, tokens, heads, size), as transformers requires of attention functions.
    """
    is_causal = bool(getattr(module, "is_causal", False))
    if value.dtype == torch.bfloat16:  # rotary positions are float32, and products would round their results anyway
        query, key, scaling = (query * scaling).to(value.dtype), key.to(value.dtype), 1.0
    # concatenate along heads: one gather instead of three
    num_heads = [each.shape[1] for each in (query, key, value)]
    states = torch.cat([query[0], key[0], value[0]]).transpose(0, 1)
    outputs = []
    for group in packing.groups:
        rows = states[group.start : group.end]
        if group.mask is not None:
            rows = _gather(rows, group.padded, group.tokens)
        q, k, v = rows.unflatten(0, (group.num_rows, group.width)).transpose(1, 2).split(num_heads, dim=1)
        mask = _attention_mask(group, is_causal, sliding_window, query.device)
        bias = None if position_bias is None else position_bias[..., : group.width, : group.width]
        out = _attend(q, k, v, mask, bias, scaling, dropout).transpose(1, 2).flatten(0, 1)
        if group.mask is not None:
            out = _gather(out, group.tokens, group.padded)
        outputs.append(out)
    return torch.cat(outputs).unsqueeze(0), None


def _attention_mask(
    group: LengthGroup, is_causal: bool, sliding_window: int | None, device: torch.device
) -> Tensor | None:  # fmt: skip
    """Bool, True where a token (last but one dimension) attends to a token (last dimension); None: everywhere. A causal mask
    hides padding as well, since padding follows the tokens of its row."""
    if sliding_window is not None and group.width <= sliding_window:
        sliding_window = None
    mask = group.mask
    if not is_causal and sliding_window is None:
        return mask
    position = torch.arange(group.width, device=device)
    distance = position[:, None] - position
    if is_causal:
        mask = distance >= 0
    if sliding_window is not None:
        is_near = distance.abs() < sliding_window
        mask = is_near if mask is None else mask & is_near
    return mask


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, scaling: float, dropout: float
) -> Tensor:
    """(rows, heads, width, size) each; k and v may have fewer heads, each for several of q that follow one another."""
    groups = q.shape[1] // k.shape[1]
    if q.device.type != "cpu" or (dropout == 0 and not torch.is_grad_enabled()):
        if bias is not None:
            bias = bias.to(q.dtype)
            mask = bias if mask is None else bias.masked_fill(~mask, torch.finfo(q.dtype).min)
        k, v = (each.repeat_interleave(groups, dim=1) if groups > 1 else each for each in (k, v))
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling)
    # On a CPU torch's kernel has no dropout, and its backward pass is slower than these four products (docs/log.md).
    # Heads of q that share a head of k are one longer matrix, so that nothing is repeated.
    q = (q * scaling if scaling != 1.0 else q).reshape(*k.shape[:2], -1, q.shape[-1])
    scores = (q @ k.transpose(-1, -2)).unflatten(2, (groups, -1)).flatten(1, 2)
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    # autocast would make a float32 copy, and the kernel sums in float32 anyway
    with torch.autocast(q.device.type, enabled=False):
        probs = scores.softmax(dim=-1)
    weights = bit_dropout(probs, dropout).reshape(*k.shape[:2], -1, k.shape[2])
    return (weights @ v).unflatten(2, (groups, -1)).flatten(1, 2)


AttentionInterface.register(ATTENTION_NAME, packed_attention)


def supports_packing(model: PreTrainedModel) -> bool:
    return traits_of(model.config.model_type).supports_packing


def run_packed(model: PreTrainedModel, inputs: dict[str, Tensor], states: dict[int, Tensor] | None = None) -> Any:
    """The model's output for a padded batch, computed without its padding. `last_hidden_state` is (rows, width, hidden), zeros
    on padding.

    Args:
        model: the module that computes hidden states (`Model.trunk`).
        inputs: `input_ids`, `attention_mask` (padded on the right), optionally `token_type_ids`; (rows, width) each. LENGTHS
            is optional too; without it, the lengths are copied from the mask's device.
        states: hidden states that the pass stores (models/layer_states.py). They get the same shape.
    """
    mask = inputs["attention_mask"]
    lengths = inputs[LENGTHS] if LENGTHS in inputs else mask.sum(dim=1).cpu()
    packing = make_packing(lengths, mask.shape[1], mask.device)
    names = [name for name in inputs if name not in ("attention_mask", LENGTHS)]
    packed: dict[str, Any] = {name: packing.pack(inputs[name]) for name in names}
    if traits_of(model.config.model_type).family == "decoder":
        packed["use_cache"] = False  # a cache would hold every layer's keys and values
    attn_implementation = model.config._attn_implementation
    model.config._attn_implementation = ATTENTION_NAME
    try:
        with _narrow_position_bias(model, max(group.width for group in packing.groups)):
            output = model(**packed, position_ids=packing.position_ids + _first_position(model), packing=packing)
    finally:
        model.config._attn_implementation = attn_implementation
    output.last_hidden_state = packing.unpack(output.last_hidden_state, len(mask))
    if states is not None:
        states.update({layer: packing.unpack(state, len(mask)) for layer, state in states.items()})
    return output


@contextmanager
def _narrow_position_bias(model: PreTrainedModel, width: int) -> Iterator[None]:
    """Compute mT5's position bias for the longest row only. It depends only on the distance of two tokens, so that covers every
    row. For the packed row its size would be the square of the number of tokens."""
    if not traits_of(model.config.model_type).shares_position_bias:
        yield
        return
    first: Any = next(module for module in model.modules() if hasattr(module, "relative_attention_bias"))
    compute_bias: Any = first.compute_bias
    first.compute_bias = lambda _, __, device, past_seen_tokens: compute_bias(width, width, device, past_seen_tokens)
    try:
        yield
    finally:
        del first.compute_bias


def _first_position(model: PreTrainedModel) -> int:
    """RoBERTa's first position is padding_idx + 1."""
    if not traits_of(model.config.model_type).positions_follow_padding:
        return 0
    embeddings = model.get_submodule("embeddings.position_embeddings")
    assert isinstance(embeddings, torch.nn.Embedding)
    assert embeddings.padding_idx is not None
    return embeddings.padding_idx + 1
