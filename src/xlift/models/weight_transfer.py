"""Transfer weights from one stage to the next, and compare every tensor with the files that it came from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xlift.errors import UserError
from xlift.models.backbone import load_head_weights, load_without_heads, read_head_specs
from xlift.models.compact_vocabulary import CompactVocabulary
from xlift.models.delta import StoredModel
from xlift.models.language_head import LanguageHead
from xlift.models.model import Model


@dataclass(frozen=True)
class WeightTransfer:
    """What one stage's model took over from the last one's, for the artifact."""

    tensors: int
    """Backbone tensors, each verified to be bit-equal."""
    parameters: int
    """Numbers in these tensors."""
    heads: tuple[str, ...]
    """Heads taken over because `keep_heads` names them."""
    dropped: tuple[str, ...]
    """Heads of the earlier model that were not taken over."""
    new: tuple[str, ...]
    """Heads with new weights, random or from `checkpoint`."""
    checkpoint: tuple[str, ...] = ()
    """Those of `new` that start from the language head of the pretrained checkpoint."""


@torch.no_grad()
def transfer_weights(
    model: Model, stored: StoredModel, keep_heads: tuple[str, ...] = (), compact: CompactVocabulary | None = None
) -> WeightTransfer:
    """Load the heads in `keep_heads`, and no others, from a stored model into a model that was loaded from it. Verify that
    its backbone is bit-equal to the stored one.

    No head is taken over silently, even with the same name and size: otherwise a 3-way NLI head would become the head of any
    3-way target.

    Args:
        compact: the model's compact vocabulary, if it has one.

    Raises:
        UserError: a tensor is missing on either side or differs, or a head to keep is missing or has other labels.
    """
    source = read_head_specs(stored.folder)
    for name in keep_heads:
        if name not in source or name not in model.heads:
            raise UserError(
                f"no head '{name}' to keep", fix=f"the earlier stage has these heads: {', '.join(source) or '-'}"
            )
        old, new = source[name], model.head(name).spec
        if old != new:
            raise UserError(f"head '{name}' cannot be kept: it was trained as {old}, and this stage needs {new}")
    load_head_weights(model, stored.folder, keep_heads)
    new = tuple(name for name in model.heads if name not in keep_heads)
    return WeightTransfer(
        *_check_backbone(model, stored, compact),
        heads=tuple(keep_heads),
        dropped=tuple(name for name in source if name not in keep_heads),
        new=new,
        checkpoint=tuple(name for name in new if model.language_head and isinstance(model.head(name), LanguageHead)),
    )


def _check_backbone(model: Model, stored: StoredModel, compact: CompactVocabulary | None) -> tuple[int, int]:
    """Number of tensors, and of numbers in them."""
    backbone, num_parameters = model.backbone_state_dict(), 0
    converted: dict[str, Tensor] = {}
    for name, tensor in backbone.items():
        num_parameters += tensor.numel()
        if name not in stored.tensor_files:  # transformers converts this checkpoint's names: load it again and compare
            converted = converted or load_without_heads(stored)[0].backbone_state_dict()
            _check_equal(name, tensor, converted.get(name))
        elif name != model.embeddings_name:
            _check_equal(name, tensor, stored.read_tensor(name))
        elif compact is not None:
            num_parameters += compact.shape[0] * compact.shape[1] - tensor.numel()
            _check_equal(name, tensor, stored.read_embedding_rows(name, compact.ids))
        else:
            start = 0
            for block in stored.iterate_blocks(name):
                _check_equal(name, tensor[start : start + len(block)], block)
                start += len(block)
            _check_equal(name, tensor[start:], tensor[:0])
    return len(backbone), num_parameters


def _check_equal(name: str, tensor: Tensor, stored: Tensor | None) -> None:
    # compare bytes: a NaN equals itself, and -0.0 does not equal 0.0
    if stored is None or stored.shape != tensor.shape or not torch.equal(_bytes(stored.float()), _bytes(tensor.cpu())):
        raise UserError(
            f"the backbone differs from the model's files: tensor {name}",
            fix="check that nothing else writes to these files, and run again.",
        )


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)
