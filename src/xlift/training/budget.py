"""Choose how many tokens may go through a model at once, from the available memory.

For its gradient, a layer keeps these numbers of one activation's size per token:

- 10 of the hidden size: the inputs of the projections (query, key and value share one; attention output; both feed-forward
  ones), query, key and value, the two sums that norms read, and the dropout masks;
- 2 of the intermediate size (before and after the activation function), 4 if it is gated;
- 3 of heads x row length: softmax, dropout mask and their product. (Fused attention on a GPU keeps none of them. They are
  counted anyway, since fused attention is not always available.)

In bf16, products need half of the bytes, but sums and norms do not: 28 bytes per hidden number instead of 40. Decoders and
encoder-decoder models have more norms, which are always float32, and a head width that is independent of the hidden size: 40
to 44 bytes per hidden number and 19 to 26 per number of the heads. For encoder-decoder models it is the mean of an encoder
layer and a decoder layer, which attends to two rows. tests/training/test_budget.py compares the formula with what autograd
keeps. The layer that is computing needs as much again, forward and backward.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xlift.backbones import family_of
from xlift.recipes import Engine, Precision

MIN_TOKENS = 512
MAX_TOKENS_CPU = 4096
"""Products of more tokens are no faster on a CPU."""
MAX_TOKENS_GPU = 65_536
MEMORY_SHARE = 0.8
"""Share of the memory to use. The rest is for data, libraries and fragmentation."""
CGROUP_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files in which Linux gives the memory limit of a container or a cluster job."""


@dataclass(frozen=True)
class MachineLimits:
    """What a process may use."""

    memory: int
    """Total bytes. Free bytes would vary, and a machine must always choose the same budget."""
    num_processes: int
    """Processes that share the memory."""
    max_tokens: int
    """Number of tokens above which nothing is faster."""


def token_budget(
    config: Any,
    num_parameters: int,
    max_length: int,
    precision: Precision,
    engine: Engine,
    device: torch.device,
    *,
    num_trainable: int | None = None,
    factored: bool = False,
) -> int:
    """The largest power of two of tokens whose activations fit beside weights, gradients and moments.

    Args:
        config: the model's (transformers).
        max_length: tokens of the longest row.
        num_trainable, factored: as in `static_bytes`.
    """
    machine = machine_limits(device)
    static = static_bytes(num_parameters, precision, engine, num_trainable=num_trainable, factored=factored)
    available = MEMORY_SHARE * machine.memory / machine.num_processes - static
    per_token = token_bytes(config, max_length, precision, checkpointing=engine.gradient_checkpointing)
    budget = MIN_TOKENS
    while budget * 2 <= machine.max_tokens and budget * 2 * per_token <= available:
        budget *= 2
    return budget


def static_bytes(
    num_parameters: int,
    precision: Precision,
    engine: Engine,
    *,
    num_trainable: int | None = None,
    factored: bool = False,
) -> float:
    """Bytes of weights, gradients and moments, all float32, and of bf16 casts of the weights.

    Args:
        num_trainable: number of trainable parameters; default: all.
        factored: the optimizer keeps sums of rows and columns instead of moments (Adafactor).
    """
    num_shards = engine.devices if engine.strategy == "fsdp" else 1
    moments = 0 if engine.offload or factored else 8
    num_trainable = num_parameters if num_trainable is None else num_trainable
    return (num_parameters * (6 if precision == "bf16" else 4) + num_trainable * (4 + moments)) / num_shards


def layer_bytes(config: Any, max_length: int, precision: Precision) -> int:
    """Bytes that one layer keeps per token for its gradient."""
    half, heads, hidden = precision == "bf16", config.num_attention_heads, config.hidden_size
    scores, inner = heads * max_length, _inner_size(config)
    family = family_of(config.model_type, bool(config.is_encoder_decoder), config.architectures)
    if family == "encoder":
        gated = 2 if config.model_type == "modernbert" else 1
        return 6 * scores + 28 * hidden + 4 * gated * inner if half else 12 * scores + 40 * hidden + 8 * gated * inner
    width = heads * (getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or hidden // heads)
    if family == "decoder":
        if half:
            return 6 * scores + 44 * hidden + 19 * width + 8 * inner
        return 12 * scores + 44 * hidden + 26 * width + 16 * inner
    # the tanh approximation of GELU in gated layers is eight operations
    parts = 4 if getattr(config, "is_gated_act", False) else 1.5
    return 18 * scores + 40 * hidden + (21 if half else 24) * width + int(parts * (4 if half else 8) * inner)


def _inner_size(config: Any) -> int:
    """Width of the feed-forward layers, whose name differs between families."""
    names = ("intermediate_size", "d_ff", "encoder_ffn_dim")
    return next(int(size) for name in names if (size := getattr(config, name, None)))


def _depth(config: Any) -> int:
    """Number of layers of the encoder or of the decoder, whichever has more."""
    names = ("num_hidden_layers", "num_decoder_layers", "decoder_layers")
    return max(int(getattr(config, name, None) or 0) for name in names)


def token_bytes(config: Any, max_length: int, precision: Precision, *, checkpointing: bool = False) -> int:
    """Bytes that all layers keep per token, and what the layer that is computing needs."""
    layer = layer_bytes(config, max_length, precision)
    kept = 4 * config.hidden_size if checkpointing else layer
    return _depth(config) * kept + (3 if checkpointing else 2) * layer


def machine_limits(device: torch.device) -> MachineLimits:
    """Limits of this machine. A CPU runs as many training jobs at once as it has processors (execution/local.py), a GPU one."""
    if device.type == "cuda":
        return MachineLimits(torch.cuda.get_device_properties(device).total_memory, 1, MAX_TOKENS_GPU)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMIT_FILES:
        if path.is_file() and (limit := path.read_text().strip()).isdecimal():
            memory = min(memory, int(limit))
    num_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return MachineLimits(memory, num_processors, MAX_TOKENS_CPU)
