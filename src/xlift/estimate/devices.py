"""What a plan would take on another device, from vendors' data sheets and an assumed efficiency.

Peaks are for dense bf16 products with float32 sums (data sheets for Hopper and Ada give twice that 'with sparsity'):

- H100 SXM, H100 PCIe: NVIDIA H100 Tensor Core GPU datasheet: 1,979 and 1,513 TFLOPS with sparsity; 80 GB; 3.35 and 2
  TB/s.
- H200 SXM: NVIDIA H200 Tensor Core GPU datasheet: 1,979 TFLOPS with sparsity; 141 GB; 4.8 TB/s.
- A100: NVIDIA A100 Tensor Core GPU datasheet: 312 TFLOPS; 80 GB at 2,039 GB/s (SXM), 40 GB at 1,555 GB/s.
- L4: NVIDIA L4 Tensor Core GPU datasheet: 242 TFLOPS with sparsity; 24 GB; 300 GB/s.
- RTX 4090: NVIDIA Ada GPU Architecture whitepaper: 165.2 TFLOPS; 24 GB; 1,008 GB/s.
- Between devices, one direction: NVLink 450 GB/s (H100, H200) and 300 GB/s (A100), else PCIe: 64 GB/s (Gen 5), 32 GB/s
  (Gen 4).
- cpu-2-core: no data sheet; products measured on the two-core machine of docs/benchmarks.md: 0.423 TFLOPS in bf16.

Nothing here was measured on GPUs: SHARE and LAUNCH are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

from xlift.errors import UserError, did_you_mean
from xlift.estimate.work import Workload
from xlift.recipes import Engine

SHARE = 0.4
"""Share of the peak that is reached. An assumption (well-tuned training of large models reports 0.3 to 0.55)."""
LAUNCH = 0.8e-3
"""Fixed seconds per layer and step: about a hundred kernels for forward, backward and optimizer, some microseconds
each. An assumption."""
CONTEXT = 0.6e9
"""Bytes of CUDA and the libraries on a GPU. An assumption."""
START, TRAIN_JOB, PREDICT_JOB, LOAD_RATE = 15.0, 1.0, 0.05, 0.5e9
"""Seconds until a worker is ready, fixed seconds of a training job and of a prediction, bytes of weights read or
written per second. Assumptions, as the machine around a device is unknown."""
EXAMPLE = 4e-4
"""Seconds to read and tokenize an example. An assumption."""

ONE_DEVICE = Engine()
GENERATION_BATCH = 64
"""Rows that are generated at once. An assumption."""


def _communicated_bytes(work: Workload, engine: Engine) -> float:
    """Bytes that a device sends per step: gradients; with shards also the weights, forward and backward."""
    share = (engine.devices - 1) / engine.devices
    if engine.strategy == "ddp":
        return 2 * 4.0 * work.trained_parameters * share
    return (4.0 * work.trained_parameters + 2 * 4.0 * (work.trained_parameters + work.frozen_parameters)) * share


@dataclass(frozen=True)
class Device:
    name: str
    title: str
    peak: float
    """Floating-point operations per second, dense bf16."""
    memory: float
    """Bytes."""
    bandwidth: float
    """Bytes per second."""
    link: float = 32e9
    """Bytes per second to another device of the machine."""
    is_cpu: bool = False

    def loading_seconds(self, work: Workload) -> float:
        """A prediction's share of the time to load its model."""
        num_bytes = 4.0 * work.shape.num_parameters if work.shape and work.kind == "predict" else 0.0
        return work.num_model_loads * num_bytes / LOAD_RATE

    def seconds(self, work: Workload, engine: Engine = ONE_DEVICE) -> float:
        """Seconds of a job: fixed parts, plus the larger of computing and moving data, or launching kernels.

        Args:
            engine: number of such devices that share a stage, and the strategy.
        """
        shape, is_forward = work.shape, work.kind in ("predict", "layer")
        job = (PREDICT_JOB if is_forward else TRAIN_JOB) + work.num_examples * EXAMPLE
        if shape is None:
            return job
        models_moved = {"predict": 0.0, "layer": 1.0, "merge": work.num_model_loads + 2}.get(work.kind, 3.0)
        job += 4.0 * shape.num_parameters / LOAD_RATE * models_moved
        if work.kind == "merge":
            return job
        devices = engine.devices if work.kind == "train" else 1
        passes = work.forward_tokens / 8192 if is_forward else max(1, work.num_steps)
        # each generated token reads all weights once, for GENERATION_BATCH rows at a time
        passes += work.generated_tokens / GENERATION_BATCH
        computing = work.training_operations / devices + work.forward_operations
        if engine.gradient_checkpointing:
            computing += work.training_operations / devices / 3
        computing /= self.peak * SHARE
        # weights, gradients and moments are read and written once per step
        state_bytes = 32.0 * work.trained_parameters + 4.0 * work.frozen_parameters
        moving = passes * (4.0 * shape.layer_parameters if is_forward else state_bytes) / self.bandwidth
        if devices > 1:
            moving += passes * _communicated_bytes(work, engine) / self.link
        launching = (
            0.0
            if self.is_cpu
            else passes * (shape.num_layers + shape.num_decoder_layers) * LAUNCH * (0.25 if is_forward else 1)
        )
        return job + max(computing + moving, launching)


DEVICES = (
    Device("h200", "NVIDIA H200 SXM", 989e12, 141e9, 4800e9, 450e9),
    Device("h100", "NVIDIA H100 SXM", 989e12, 80e9, 3350e9, 450e9),
    Device("h100-pcie", "NVIDIA H100 PCIe", 756e12, 80e9, 2000e9, 64e9),
    Device("a100-80gb", "NVIDIA A100 80 GB SXM", 312e12, 80e9, 2039e9, 300e9),
    Device("a100-40gb", "NVIDIA A100 40 GB", 312e12, 40e9, 1555e9, 300e9),
    Device("l4", "NVIDIA L4", 121e12, 24e9, 300e9, 32e9),
    Device("rtx4090", "NVIDIA GeForce RTX 4090", 165.2e12, 24e9, 1008e9, 32e9),
    Device("cpu-2-core", "two cores of a server CPU with bf16", 0.423e12, 16e9, 20e9, 5e9, is_cpu=True),
)


def find_device(name: str) -> Device:
    """Raises UserError for a name that is not in DEVICES."""
    device = next((each for each in DEVICES if each.name == name.lower()), None)
    if device is None:
        names = tuple(each.name for each in DEVICES)
        raise UserError(
            f"unknown device '{name}'",
            where="--estimate-for",
            fix=f"{did_you_mean(name.lower(), names)}Known: {', '.join(names)}.",
        )
    return device


def suggest_memory_savings(work: Workload, *, checkpointing: bool, offload: bool) -> str:
    """Advice for a job that does not fit, besides more devices."""
    if work.kind in ("predict", "layer"):
        return "use a device with more memory: the weights alone are too large."
    options = [] if checkpointing else ["`gradient_checkpointing: true`"]
    options += [] if offload else ["`offload: true`"]
    options += ["a smaller `token_budget`"]
    listed = f"{', '.join(options[:-1])} or {options[-1]}" if len(options) > 1 else options[0]
    lora = "" if work.lora else "; or `lora: {rank: 8}` under `training:`"
    return f"under `engine:`, try {listed}{lora}."
