"""Train the input embeddings of only those tokens that occur, exactly.

Most of a multilingual model is its input embeddings: hundreds of thousands of rows, of which a stage reads a few thousand. A row
without gradient has zero moments and adds nothing to the gradient norm. Each step only multiplies it by
(1 - rate * weight_decay). So it needs no memory for weights, gradients or optimizer states: only the rows in use are trained, and
the others are updated in closed form afterwards. The result differs by rounding only.

    ids = find_used_tokens(model, features, special_ids)
    if ids is not None:
        compact = CompactVocabulary(model, ids)     # drops the full embeddings
        trained = run_steps(...)
        compact.restore(embeddings, trained.total_weight_decay)

The encoder and the decoder of an encoder-decoder model share these embeddings. The method does not apply where the embeddings
also predict tokens (masked language modelling, tied outputs): there every row has a gradient. A stage with heads only does not
use the output layer, so a tied one does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xlift.memory import saves_memory


def find_used_tokens(
    model: PreTrainedModel,
    features: Iterable[Any],
    special_ids: Sequence[int],
    *,
    uses_output_layer: bool = True,
    min_saved: int | None = None,
) -> np.ndarray | None:
    """The sorted ids of the tokens that a stage needs; None where it keeps all embeddings. The result depends only on the data
    and the model's shape, so every machine decides alike.

    Args:
        features: all inputs during training, dev examples included (`input_ids`, `decoder_labels` and candidates: rows of
            ids). Where the model generates some answers freely, it may read any token: all embeddings stay.
        special_ids: other ids that the model may read, such as the padding token's. Ids after the last row do not count:
            Gemma 3's tokenizer has an image token there.
        uses_output_layer: whether the stage uses the output layer; False where it has heads only.
        min_saved: instead of `memory.MIN_SAVED_NUMBERS`.
    """
    embeddings = model.get_input_embeddings()
    if not isinstance(embeddings, nn.Embedding) or not _is_read_only(embeddings, model, uses_output_layer):
        return None
    is_used = np.zeros(embeddings.num_embeddings, dtype=bool)
    is_used[[token for token in special_ids if token < len(is_used)]] = True
    for holder in _modules_with_weight(embeddings, model):
        if isinstance(holder, nn.Embedding) and holder.padding_idx is not None:
            is_used[holder.padding_idx] = True
    for name in ("pad_token_id", "decoder_start_token_id"):
        if (token := getattr(model.config, name, None)) is not None:
            is_used[token] = True
    for part in features:
        is_used[part.input_ids.values] = True
        if part.decoder_labels is not None:
            is_used[part.decoder_labels.values] = True
        for answers in part.extra.get("candidates", ()):
            if len(answers) == 0:
                return None
            is_used[np.concatenate(answers)] = True
    ids = np.flatnonzero(is_used)
    return ids if saves_memory(len(ids), len(is_used), embeddings.embedding_dim, min_saved) else None


class CompactVocabulary:
    """Reduces a model's input embeddings to some rows until `restore`. The full embeddings' memory is free once the caller
    drops them too.

    Args:
        ids: (used,) token ids, sorted.
        rows: (used, width); default: those rows of the model's embeddings.
    """

    def __init__(self, model: PreTrainedModel, ids: np.ndarray, rows: Tensor | None = None) -> None:
        embeddings = model.get_input_embeddings()
        assert isinstance(embeddings, nn.Embedding)
        self.ids = torch.from_numpy(ids.astype(np.int64))
        rows = embeddings.weight.detach()[self.ids] if rows is None else rows.to(embeddings.weight.device)
        self.embeddings, self._size = embeddings, embeddings.num_embeddings
        lookup = torch.full((self._size,), len(ids), dtype=torch.int32)  # out of range: the row is missing
        lookup[self.ids] = torch.arange(len(ids), dtype=torch.int32)
        self._holders = set_input_embeddings(model, nn.Parameter(rows, embeddings.weight.requires_grad))
        self._padding = [getattr(holder, "padding_idx", None) for holder in self._holders]
        self._hooks = []
        for holder, padding in zip(self._holders, self._padding, strict=True):
            if not isinstance(holder, nn.Embedding):
                self._hooks.append(holder.register_forward_pre_hook(_refuse_output_layer))
                continue
            holder.num_embeddings = len(ids)
            holder.padding_idx = None if padding is None else int(lookup[padding])
            holder.register_buffer("lookup", lookup.to(embeddings.weight.device), persistent=False)
            self._hooks.append(holder.register_forward_pre_hook(_map_ids))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the full embeddings."""
        return self._size, self.embeddings.embedding_dim

    @property
    def rows(self) -> Tensor:
        """(used, width): the current rows, on the CPU."""
        return self.embeddings.weight.detach().cpu()

    @torch.no_grad()
    def restore(self, table: Tensor, decay: float) -> None:
        """Give the model its full embeddings again, in the memory of `table`.

        Args:
            table: (vocabulary, width) on the CPU, the embeddings before training. Changed in place.
            decay: factor by which weight decay scaled the untrained rows (`TrainOutput.total_weight_decay`).
        """
        update_embedding_rows(table, 0, decay, self.ids, self.rows)
        for hook in self._hooks:
            hook.remove()
        full = nn.Parameter(table.to(self.embeddings.weight.device), self.embeddings.weight.requires_grad)
        for holder, padding in zip(self._holders, self._padding, strict=True):
            holder.register_parameter("weight", full)
            if isinstance(holder, nn.Embedding):
                del holder.lookup
                holder.num_embeddings, holder.padding_idx = self._size, padding


def set_input_embeddings(model: PreTrainedModel, weight: nn.Parameter) -> list[nn.Module]:
    """Replace a model's input embeddings, in every module that uses them.

    Returns:
        These modules: embeddings of an encoder or a decoder, a tied output layer.
    """
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    holders = _modules_with_weight(embeddings, model)
    for holder in holders:
        holder.register_parameter("weight", weight)
    return holders


def update_embedding_rows(block: Tensor, start: int, decay: float, ids: Tensor, rows: Tensor) -> None:
    """Update a block of embeddings from row `start` on, in place, after a stage that trained `rows` at `ids`. The bytes are the
    same on every machine, since the product of two float32 numbers is rounded in one way."""
    block.mul_(torch.tensor(decay, dtype=torch.float32))
    first, last = torch.searchsorted(ids, torch.tensor([start, start + len(block)])).tolist()
    block[ids[first:last] - start] = rows[first:last]


def _map_ids(embeddings: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
    assert isinstance(embeddings, nn.Embedding)
    (ids,) = args
    rows = embeddings.get_buffer("lookup")[ids]
    is_missing = rows == embeddings.num_embeddings
    if rows.device.type == "cpu" and bool(is_missing.any()):  # on other devices the kernel asserts it
        token = ids[is_missing][0].item()
        raise RuntimeError(
            f"token {token} is not among the {embeddings.num_embeddings} tokens of the compact vocabulary"
        )
    return (rows,)


def _refuse_output_layer(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
    raise RuntimeError("the output layer cannot predict tokens: it has only the rows of the compact vocabulary")


def _is_read_only(embeddings: nn.Embedding, model: PreTrainedModel, uses_output_layer: bool) -> bool:
    """Whether the embeddings have a gradient only at tokens that are read, and all tokens are read from them."""
    holders = _modules_with_weight(embeddings, model)
    if uses_output_layer and any(not isinstance(holder, nn.Embedding) for holder in holders):
        return False
    any_model: Any = model
    # NLLB and mBART whose config ties nothing have unused embeddings beside those of their encoder and decoder
    parts = (any_model.get_encoder(), any_model.get_decoder()) if model.config.is_encoder_decoder else ()
    return all(part.get_input_embeddings().weight is embeddings.weight for part in parts)


def _modules_with_weight(embeddings: nn.Embedding, model: PreTrainedModel) -> list[nn.Module]:
    """The modules of a model that share this weight."""
    return [
        module for module in model.modules() if any(p is embeddings.weight for p in module.parameters(recurse=False))
    ]
