"""Bytes that training keeps per token and per weight, and the number of tokens that fit.

The engine chooses its token budget with these formulas (training/budget.py), and estimates use them too
(estimate/memory.py). For its gradient, a layer keeps these numbers of one activation's size per token:

- 10 of the hidden size: the inputs of the projections (query, key and value share one; attention output; both feed-forward
  ones), query, key and value, the two sums that norms read, and the dropout masks;
- 2 of the intermediate size (before and after the activation function), 4 if it is gated;
- 3 of heads x row length: softmax, dropout mask and their product. (Fused attention on a GPU keeps none of them. They are
  counted anyway, since fused attention is not always available.)

In bf16, products need half of the bytes, but sums and norms do not: 28 bytes per hidden number instead of 40. Decoders and
encoder-decoder models have more norms, which are always float32, and a head width that is independent of the hidden size: 40
to 44 bytes per hidden number and 19 to 26 per number of the heads. For encoder-decoder models it is the mean of an encoder
layer and a decoder layer, which attends to two rows. tests/test_memory.py compares the formula with what autograd keeps. The
layer that is computing needs as much again, forward and backward.
"""

from __future__ import annotations

from xlift.model_shape import ModelShape
from xlift.recipes import Engine, OptimizerTraits

MIN_TOKENS = 512
"""Tokens that go through a model at once, at least: about one of the longest rows."""
MAX_TOKENS_CPU = 4096
"""Products of more tokens are no faster on a CPU."""
MAX_TOKENS_GPU = 65_536
MEMORY_SHARE = 0.8
"""Share of the memory to use. The rest is for data, libraries and fragmentation."""
FLOAT, HALF = 4, 2
"""Bytes of a float32 and a bf16 number."""
MAX_LOGITS = 2**28
"""Logits over a vocabulary in memory at a time, 1 GB: 1,073 positions of XLM-R. A constant, since another split rounds
differently."""
MAX_USED_SHARE = 0.8
"""Largest share of the vocabulary's rows that may be in use in a compact vocabulary (models/compact_vocabulary.py)."""
MIN_SAVED_NUMBERS = 2**22
"""Numbers to save at least: 16 MB each of weights, gradients and both moments. Below that the full embeddings are as good, and
the stage's artifact does not depend on another."""


def layer_bytes(shape: ModelShape, length: float, *, half: bool) -> float:
    """Bytes that one layer keeps per token for its gradient.

    Args:
        length: tokens per row.
        half: whether products are computed in bf16.
    """
    scores, hidden, inner = shape.num_heads * length, shape.hidden_size, shape.intermediate_size
    width = shape.attention_width
    if shape.family == "encoder":
        gated = 2 if shape.is_gated else 1
        return 6 * scores + 28 * hidden + 4 * gated * inner if half else 12 * scores + 40 * hidden + 8 * gated * inner
    if shape.family == "decoder":
        return (6 if half else 12) * scores + 44 * hidden + (19 if half else 26) * width + (8 if half else 16) * inner
    # the tanh approximation of GELU in gated layers is eight operations
    parts = 4 if shape.is_gated else 1.5
    return 18 * scores + 40 * hidden + (21 if half else 24) * width + int(parts * (4 if half else 8) * inner)


def token_bytes(shape: ModelShape, length: float, *, half: bool, checkpointing: bool = False) -> float:
    """Bytes that all layers keep per token, and what the layer that is computing needs."""
    layer = layer_bytes(shape, length, half=half)
    kept = 4 * shape.hidden_size if checkpointing else layer
    return max(shape.num_layers, shape.num_decoder_layers) * kept + (3 if checkpointing else 2) * layer


def static_bytes(
    num_parameters: int, num_trainable: int, optimizer: OptimizerTraits, engine: Engine, *, half: bool
) -> float:
    """Bytes of weights, gradients and moments, all float32, and of bf16 casts of the weights."""
    moments = 0 if engine.offload else optimizer.moment_bytes
    num_bytes = num_parameters * (FLOAT + HALF if half else FLOAT) + num_trainable * (FLOAT + moments)
    return num_bytes / (engine.devices if engine.strategy == "fsdp" else 1)


def choose_token_budget(available: float, per_token: float, max_tokens: int = MAX_TOKENS_GPU) -> int:
    """The largest power of two of tokens, from MIN_TOKENS to `max_tokens`, whose bytes are available."""
    budget = MIN_TOKENS
    while budget * 2 <= max_tokens and budget * 2 * per_token <= available:
        budget *= 2
    return budget


def saves_memory(num_used: int, vocab_size: int, hidden_size: int, min_saved: int | None = None) -> bool:
    """Whether a compact vocabulary of `num_used` rows is worth its effort.

    Args:
        min_saved: instead of MIN_SAVED_NUMBERS.
    """
    saved = (vocab_size - num_used) * hidden_size
    return saved >= (MIN_SAVED_NUMBERS if min_saved is None else min_saved) and num_used <= MAX_USED_SHARE * vocab_size
