"""The peak memory of a job, by formula.

Weights, gradients and the two moments of AdamW are float32: 16 bytes per trained parameter. Of the vocabulary, only the
rows in use count if the engine gathers them. Adafactor's sums of rows and columns are negligible. Parameters frozen by
LoRA have no gradients and moments; the matrices it adapts are in bf16 if the products are (except with shards), or take
QUARTER bytes per parameter in 4 bits. `xlift/memory.py` has the formula of activations.
"""

from __future__ import annotations

from dataclasses import dataclass

from xlift.estimate.work import Workload
from xlift.memory import FLOAT, HALF, MAX_LOGITS, MAX_TOKENS_CPU, MEMORY_SHARE, choose_token_budget, token_bytes
from xlift.recipes import TOKENS_ON_GPU, TOKENS_PER_BATCH, Engine

QUARTER = 0.5 + 4 / 64
"""Bytes of a number in 4 bits, with a float32 scale per 64 numbers (NF4 of Dettmers et al. 2023)."""


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
    moments = 0 if engine.offload and device else work.optimizer.moment_bytes
    training = (work.trained_parameters * (FLOAT + moments) + casts) / shards
    if shards > 1:  # the largest shard group is gathered, and so is its gradient
        training += (
            2
            * FLOAT
            * max(shape.output_parameters, shape.layer_parameters / max(1, shape.num_layers + shape.num_decoder_layers))
        )
    logits = min(work.trained_lm_head_tokens / max(1, work.num_steps) * shape.vocab_size, MAX_LOGITS)
    logits *= 3 * FLOAT  # softmax and gradients triple the memory
    per_token = token_bytes(shape, work.row_length, half=half, checkpointing=engine.gradient_checkpointing)
    free = MEMORY_SHARE * device - process - weights - training
    budget = engine.token_budget or (choose_token_budget(free, per_token) if device else MAX_TOKENS_CPU)
    tokens_per_step = work.tokens_per_step / (engine.devices if work.kind == "train" else 1)
    return Memory(process, weights, training, min(tokens_per_step, budget) * per_token + logits)


def _adapted_parameters(work: Workload) -> int:
    """Parameters of the matrices that LoRA adapts."""
    if work.lora is None or work.shape is None:
        return 0
    return work.shape.attention_parameters if work.lora.where == "attention" else work.shape.layer_parameters
