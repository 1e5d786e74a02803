"""LoRA through peft: small trained matrices beside the linear layers of a backbone of any family (Hu et al. 2021).

    adapters.add(model, Lora(rank=8), seed)    # B = 0: the model's output is unchanged
    ...                                        # trains the small matrices and the heads only
    adapters.fold(model)                       # a plain model again, W + alpha / rank * B @ A

The layers are put into the backbone itself, which keeps its class. The heads are not changed. Folding adds one rank after the
other and rounds each product and each sum, so that it gives the same bytes on every machine (a matrix product does not). A delta
checkpoint is rebuilt this way from its parent and verified by SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from xlift.errors import UserError
from xlift.recipes import Lora

if TYPE_CHECKING:
    from xlift.models.model import Model

ADAPTER = "default"
"""peft's name of the adapter."""
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""peft's prefix of a layer's name."""
BLOCK = 1 << 18
"""Numbers of a matrix to fold at a time: as many as fit a processor's cache."""


@dataclass(frozen=True)
class LoraWeights:
    """The LoRA update of one matrix: scale * b @ a."""

    a: Tensor
    """(rank, in)"""
    b: Tensor
    """(out, rank)"""
    scale: float

    @torch.no_grad()
    def add_to(self, weight: Tensor) -> None:
        """Add the update to a matrix, (out, in) float32, in place. The bytes are the same on every machine."""
        a, b = self.a.float(), self.b.float()
        rows = max(1, BLOCK // weight.shape[1])
        for start in range(0, len(weight), rows):
            block, left = weight[start : start + rows], b[start : start + rows]
            total, product = torch.zeros_like(block), torch.empty_like(block)
            for rank in range(len(a)):
                total.add_(torch.mul(left[:, rank : rank + 1], a[rank], out=product))
            block.add_(total.mul_(self.scale))


def add(model: Model, lora: Lora, seed: int) -> None:
    """Add LoRA layers to a backbone. After that only these and all heads are trained.

    Args:
        seed: of the initial A (uniform within 1 / sqrt(in), as in peft). B is zero.

    Raises:
        UserError: the model has no such layers; or `quantize` without a GPU or bitsandbytes.
    """
    backbone, names = model.backbone, find_target_layers(model.backbone, lora.where)
    if lora.quantize:
        _quantize(backbone, names)
    else:
        for name in names:
            backbone.get_submodule(name).__class__ = FrozenLinear
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names)  # pyright: ignore[reportArgumentType]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, backbone, ADAPTER)
    for layer in adapter_layers(backbone).values():
        layer.cast_input_dtype_enabled = False  # leave casting to autocast; peft would cast to float32 first
    backbone.train(backbone.training)
    model.heads.requires_grad_(True)
    assert len(adapter_layers(backbone)) == len(names)


def find_target_layers(backbone: PreTrainedModel, where: str) -> list[str]:
    """Names of the linear layers in a backbone's blocks, or only in their attention. The output layer is never included.

    Raises:
        UserError: there are none.
    """
    output = backbone.get_output_embeddings()
    names = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear)
        and module is not output
        and any(part.isdigit() for part in name.split("."))  # blocks are list items
        and (where == "linear" or "attn" in name.lower() or "attention" in name.lower())
    ]
    if not names:
        raise UserError(
            f"models of type '{backbone.config.model_type}' have no linear "
            f"layers{' of attention' * (where == 'attention')} for LoRA",
            fix="leave `lora` out of the study's `training:`.",
        )
    return names


def adapter_layers(backbone: nn.Module) -> dict[str, Any]:
    """Name -> peft's layer, for every layer with an adapter; {} for a plain model."""
    return {name: module for name, module in backbone.named_modules() if hasattr(module, "lora_A")}


def lora_weights(backbone: nn.Module) -> dict[str, LoraWeights]:
    """Name of a matrix in the plain backbone -> its LoRA weights."""
    return {
        f"{name}.weight": LoraWeights(
            layer.lora_A[ADAPTER].weight.detach(), layer.lora_B[ADAPTER].weight.detach(), layer.scaling[ADAPTER]
        )
        for name, layer in adapter_layers(backbone).items()
    }


def plain_tensors(model: Model, lora: Mapping[str, LoraWeights] | None = None) -> Iterator[tuple[str, Tensor]]:
    """The weights of a backbone (`Model.backbone_state_dict`) with its adapters folded in, one after the other. The model is not
    changed.

    Args:
        lora: LoRA weights to fold in instead.
    """
    lora = lora_weights(model.backbone) if lora is None else lora
    for name, tensor in model.backbone_state_dict().items():
        if "lora_" in name:
            continue
        plain_name = name.replace(".base_layer.", ".")
        if plain_name in lora:
            tensor = tensor.detach().to(torch.float32, copy=True)
            lora[plain_name].add_to(tensor)
        yield plain_name, tensor


def fold(model: Model) -> None:
    """Fold the adapters into the backbone, in place, and remove them. Does nothing for a plain model."""
    assert not is_rounded(model.backbone), (
        "adapters cannot be folded into rounded weights; load the float32 weights first"
    )
    lora = lora_weights(model.backbone)
    for name, layer in adapter_layers(model.backbone).items():
        base: Any = layer.base_layer
        lora[f"{name}.weight"].add_to(base.weight.data)
        base.__class__ = nn.Linear
        model.backbone.set_submodule(name, base)
    model.backbone.requires_grad_(True)


@torch.no_grad()
def round_frozen(model: Model) -> None:
    """Store the frozen matrices beside adapters in bf16, in half of the memory. Training in bf16 computes the same: otherwise
    autocast rounds them for every micro-batch, since it caches casts of trained weights only. Matrices that the model's code
    needs in float32 are kept (the last one in a T5 block)."""
    kept = set(getattr(model.backbone, "_keep_in_fp32_modules", None) or ())
    for name, layer in adapter_layers(model.backbone).items():
        if isinstance(layer.base_layer, FrozenLinear) and not kept & set(name.split(".")):
            layer.base_layer.weight = nn.Parameter(layer.base_layer.weight.to(torch.bfloat16), requires_grad=False)


def is_rounded(backbone: nn.Module) -> bool:
    """Whether the matrices beside adapters are no longer float32, but bf16 or quantized."""
    return any(layer.base_layer.weight.dtype != torch.float32 for layer in adapter_layers(backbone).values())


def write_adapter(folder: Path, backbone: Any) -> None:
    """Write the adapters to a folder, in peft's two files."""
    layers = adapter_layers(backbone)
    tensors = {
        f"{PREFIX}{name}.lora_{side}.weight": matrix[ADAPTER].weight.detach().cpu().contiguous()
        for name, layer in layers.items()
        for side, matrix in (("A", layer.lora_A), ("B", layer.lora_B))
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = backbone.peft_config[ADAPTER]
    content = {
        "peft_type": "LORA", "r": config.r, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout,
        "bias": "none", "target_modules": sorted(layers), "inference_mode": True,
    }  # fmt: skip
    (folder / CONFIG).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> dict[str, LoraWeights]:
    """Read what `write_adapter` wrote: name of a matrix -> LoRA weights. Raises UserError where files are missing or damaged."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        scale, tensors = float(config["lora_alpha"]) / int(config["r"]), load_file(folder / WEIGHTS)
        names = sorted(name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight"))
        return {
            f"{name.removeprefix(PREFIX)}.weight": LoraWeights(
                tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"], scale
            )
            for name in names
        }
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, SafetensorError) as error:
        raise UserError(f"the adapter cannot be read: {error!r}", where=str(folder)) from None


class FrozenLinear(nn.Linear):
    """A linear layer with frozen weights, in float32 or bf16 (`round_frozen`)."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dtype == input.dtype or torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        return functional.linear(input, self.weight.to(input.dtype), self.bias)


def _quantize(backbone: PreTrainedModel, names: list[str]) -> None:
    """Quantize linear layers to 4 bits (NF4 of QLoRA, Dettmers et al. 2023), on the GPU, for this training only: the adapters
    are later folded into the float32 weights."""
    if not torch.cuda.is_available():
        raise UserError(
            "`lora: {quantize: true}` needs a GPU, and torch finds none",
            fix="leave `quantize` out: LoRA without it trains on a CPU too.",
        )
    try:
        import bitsandbytes  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            "`lora: {quantize: true}` needs bitsandbytes", fix="pip install bitsandbytes; or leave `quantize` out."
        ) from None
    for name in names:
        linear: Any = backbone.get_submodule(name)
        quantized = bitsandbytes.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            linear.bias is not None,
            compute_dtype=torch.bfloat16,
            quant_type="nf4",
        )
        quantized.weight = bitsandbytes.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4")
        quantized.bias = linear.bias
        backbone.set_submodule(name, quantized.to("cuda"))
    setattr(backbone, "is_loaded_in_4bit", True)  # noqa: B010 (peft reads it; modules do not declare it)
