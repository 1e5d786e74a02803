"""The peak memory of a job, by formula.

Weights, gradients and the two moments of AdamW are float32: 16 bytes per trained parameter. Of the vocabulary, only the
rows in use count if the engine gathers them. Adafactor's sums of rows and columns are negligible. Parameters frozen by
LoRA have no gradients and moments; the matrices it adapts are in bf16 if the products are (except with shards), or take
QUARTER bytes per parameter in 4 bits. Activations follow `training/budget.py`, which imports torch and cannot be used
here; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from xlift.estimate.work import Workload
from xlift.recipes import TOKENS_ON_GPU, TOKENS_PER_BATCH, Engine
from xlift.studies.model_shape import ModelShape

MIN_BUDGET, MAX_TOKENS_CPU, MAX_TOKENS_GPU = 512, 4096, 65_536
"""Bounds of the token budget, the tokens per forward pass, if `engine.token_budget` is not set."""
SHARE = 0.8
"""Share of a device's memory that the engine fills when it chooses the token budget."""
FLOAT, HALF = 4, 2
"""Bytes of a float32 and a bf16 number."""
QUARTER = 0.5 + 4 / 64
"""Bytes of a number in 4 bits, with a float32 scale per 64 numbers (NF4 of Dettmers et al. 2023)."""
MAX_LOGITS = 2**28
"""Logits over the vocabulary per chunk (models/text_mode.py); softmax and gradients triple their memory."""


@dataclass(frozen=True)
class Memory:
    """Bytes of each process of a job at its peak."""

    process: float
    """Interpreter and libraries, or the CUDA context."""
    weights: float
    training: float
    """Gradients, moments, casts."""
    activations: float

    @property
    def total(self) -> float:
        return self.process + self.weights + self.training + self.activations


def memory_of(work: Workload, engine: Engine, *, half: bool, process: float, device: float = 0.0) -> Memory:
    """
    Args:
        half: whether products are computed in bf16.
        process: bytes before a model is loaded.
        device: memory of the GPU in bytes; 0 without a GPU.
    """
    shape = work.shape
    if shape is None:
        return Memory(process, 0.0, 0.0, 0.0)
    copies = 1 if device else 2  # without a GPU, the file that the model is read from is in memory too
    if work.kind == "merge":  # the start model, the sum and the model being added
        return Memory(process, 3 * FLOAT * shape.num_parameters, 0.0, 0.0)
    if work.kind in ("predict", "layer"):
        num_kept = shape.num_layers + 1 if work.kind == "layer" else 4
        tokens = min(work.forward_tokens, TOKENS_ON_GPU if device else TOKENS_PER_BATCH)
        activations = tokens * FLOAT * (num_kept * shape.hidden_size + 3 * shape.intermediate_size)
        if work.forward_lm_head_tokens:
            keys = 2 * (shape.num_layers + shape.num_decoder_layers) * shape.key_value_width
            activations += tokens * FLOAT * keys + FLOAT * min(
                MAX_LOGITS, work.forward_lm_head_tokens * shape.vocab_size
            )
        return Memory(process, FLOAT * shape.num_parameters * copies, 0.0, activations)
    shards = engine.devices if engine.strategy == "fsdp" else 1
    total, adapted = work.trained_parameters + work.frozen_parameters, _adapted_parameters(work)
    adapted_bytes = QUARTER if work.lora and work.lora.quantize else HALF if half and shards == 1 else FLOAT
    weights = (FLOAT * (total - adapted) + adapted_bytes * adapted + FLOAT * total * (copies - 1)) / shards
    casts = HALF * work.trained_parameters if half and shards == 1 else 0
    moments = 0 if work.uses_adafactor or (engine.offload and device) else 2 * FLOAT
    training = (work.trained_parameters * (FLOAT + moments) + casts) / shards
    if shards > 1:  # the largest shard group is gathered, and so is its gradient
        training += (
            2
            * FLOAT
            * max(shape.output_parameters, shape.layer_parameters / max(1, shape.num_layers + shape.num_decoder_layers))
        )
    logits = min(work.trained_lm_head_tokens / max(1, work.num_steps) * shape.vocab_size, MAX_LOGITS) * FLOAT * 3
    per_token = token_bytes(shape, work.row_length, half=half, checkpointing=engine.gradient_checkpointing)
    free = SHARE * device - process - weights - training
    budget = engine.token_budget or (_choose_token_budget(free / per_token) if device else MAX_TOKENS_CPU)
    tokens_per_step = work.tokens_per_step / (engine.devices if work.kind == "train" else 1)
    return Memory(process, weights, training, min(tokens_per_step, budget) * per_token + logits)


def _adapted_parameters(work: Workload) -> int:
    """Parameters of the matrices that LoRA adapts."""
    if work.lora is None or work.shape is None:
        return 0
    return work.shape.attention_parameters if work.lora.where == "attention" else work.shape.layer_parameters


def token_bytes(shape: ModelShape, length: float, *, half: bool, checkpointing: bool = False) -> float:
    """Bytes per token that all layers keep for the backward pass, plus the working memory of the current layer."""
    layer = _layer_bytes(shape, length, half=half)
    kept = 4 * shape.hidden_size if checkpointing else layer
    return max(shape.num_layers, shape.num_decoder_layers) * kept + (3 if checkpointing else 2) * layer


def _layer_bytes(shape: ModelShape, length: float, *, half: bool) -> float:
    scores, hidden, inner, width = (
        shape.num_heads * length,
        shape.hidden_size,
        shape.intermediate_size,
        shape.attention_width,
    )
    if shape.family == "encoder":
        gated = 2 if shape.is_gated else 1
        return 6 * scores + 28 * hidden + 4 * gated * inner if half else 12 * scores + 40 * hidden + 8 * gated * inner
    if shape.family == "decoder":
        if half:
            return 6 * scores + 44 * hidden + 19 * width + 8 * inner
        return 12 * scores + 44 * hidden + 26 * width + 16 * inner
    parts = 4 if shape.is_gated else 1.5
    return 18 * scores + 40 * hidden + (21 if half else 24) * width + int(parts * (4 if half else 8) * inner)


def _choose_token_budget(tokens: float) -> int:
    """The largest power of two, within the bounds, that fits."""
    budget = MIN_BUDGET
    while budget * 2 <= min(tokens, MAX_TOKENS_GPU):
        budget *= 2
    return budget
