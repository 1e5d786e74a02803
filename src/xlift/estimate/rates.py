"""How fast this machine is: measured by a calibration, else scaled from rates recorded on another machine.

A calibration (execution/calibration.py) belongs to the machine, so it is saved in the user's cache instead of a store:
`$XLIFT_CACHE`, else `$XDG_CACHE_HOME/xlift`, else `~/.cache/xlift`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from xlift.caches import cache_folder
from xlift.estimate.work import Workload
from xlift.model_shape import ModelShape
from xlift.processor import has_fast_bf16, processor_name
from xlift.recipes import WIDE, Engine, Precision
from xlift.version import __version__

WITHOUT_BF16 = 423 / 176
"""Slowdown of products of wide models without fast bf16: the ratio of measured bf16 and fp32 peaks on one machine."""
THREAD_SCALING = 0.8
"""n threads do n ** 0.8 times the work of one."""


@dataclass(frozen=True)
class Rates:
    """In seconds. The time of a job is a fixed part plus those of its examples, its steps and its operations."""

    start: float
    """Start of a worker process."""
    train_job: float
    """Fixed part of a training job: loading, checking and saving models."""
    step: float
    """Fixed part of an optimizer step."""
    parameter: float
    """Per trained parameter and step."""
    training: float
    """Per floating-point operation in training."""
    load: float
    """Loading a model for predictions."""
    predict_job: float
    """Fixed part of a prediction."""
    predicting: float
    """Per floating-point operation in prediction."""
    example: float
    """Reading and tokenizing an example."""
    process: float = 0.4e9
    """Bytes of a worker before it loads a model."""

    def seconds(self, work: Workload) -> float:
        """Seconds of a job as recorded in its manifest, which leaves out loading a model for predictions."""
        data = work.num_examples * self.example
        forward = work.forward_operations * self.predicting
        if work.kind in ("predict", "layer"):
            return self.predict_job + data + forward + (self.load if work.kind == "layer" else 0.0)
        if work.kind == "merge":
            return self.train_job + work.num_model_loads * self.load
        steps = work.num_steps * (self.step + work.trained_parameters * self.parameter)
        return self.train_job + data + steps + work.training_operations * self.training + forward

    def loading_seconds(self, work: Workload) -> float:
        """A prediction's share of the time to load its model."""
        return work.num_model_loads * self.load if work.kind == "predict" else 0.0


@dataclass(frozen=True)
class CachedRates:
    """Rates and their origin."""

    rates: Rates
    is_measured: bool
    """Measured on this machine for this shape; otherwise scaled."""
    workers: int = 1
    """Workers during the measurement."""


ISLES = ModelShape("modernbert", 3, 128, 256, 4, 6000, 0, is_gated=True)
BASE = ModelShape("xlm-roberta", 12, 768, 3072, 12, 250_002, 514)
RECORDED: Mapping[ModelShape, Rates] = {
    ISLES: Rates(6.0, 0.3, 0.010, 1.0e-9, 2.0e-11, 0.1, 0.06, 2.4e-11, 2e-4, 0.55e9),
    BASE: Rates(6.0, 2.6, 0.3, 1.0e-9, 6.0e-12, 1.5, 0.1, 1.0e-11, 2e-4, 1.0e9),
}
"""The shipped encoder and XLM-R base in bf16, one thread per job. Rounded from calibrations in processor time, as other
work shared the two cores."""


def scale_recorded_rates(shape: ModelShape | None, precision: Precision) -> Rates:
    """Rates for any shape: interpolated between the recorded ones on logarithmic scales, and extrapolated in proportion
    to parameters."""
    small, large = RECORDED[ISLES], RECORDED[BASE]
    if shape is None:
        return small
    by_parameters = _relative_position(shape.num_parameters, ISLES.num_parameters, BASE.num_parameters)
    by_layers = min(
        1.0, max(0.0, _relative_position(shape.layer_parameters, ISLES.layer_parameters, BASE.layer_parameters))
    )
    values = {
        name: _interpolate(a, b, by_layers if name in ("training", "predicting", "step") else by_parameters)
        for (name, a), b in zip(asdict(small).items(), asdict(large).values(), strict=True)
    }
    rates = Rates(**values)
    if shape.hidden_size >= WIDE and (precision == "fp32" or not has_fast_bf16()):
        rates = replace(rates, training=rates.training * WITHOUT_BF16, predicting=rates.predicting * WITHOUT_BF16)
    return rates


def _relative_position(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low)


def _interpolate(a: float, b: float, position: float) -> float:
    return math.exp(math.log(a) * (1 - position) + math.log(b) * position) if a != b else a


def scale_to_threads(rates: Rates, threads: float, processes: float = 1.0) -> Rates:
    """Rates for a job with another number of threads than the measurement.

    Args:
        threads: threads of the job divided by those of the measurement.
        processes: the same for processes that share a training stage. Predictions and evaluations on dev are not
            shared.
    """
    speedup, shared_speedup = threads**THREAD_SCALING, (threads * processes) ** THREAD_SCALING
    return replace(
        rates,
        training=rates.training / shared_speedup,
        parameter=rates.parameter / shared_speedup,
        predicting=rates.predicting / speedup,
    )


# --- saved calibrations -----------------------------------------------------------------------------------------------


def load_calibration(shape: ModelShape, precision: Precision, engine: Engine, workers: int) -> CachedRates | None:
    """The saved calibration for a shape on this machine with the nearest number of workers."""
    calibrations = []
    for path in calibration_folder().glob(f"{_cache_key(shape, precision, engine)}-*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            calibrations.append(CachedRates(Rates(**content["rates"]), True, int(content["workers"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged or of another version
    return min(calibrations, key=lambda cached: abs(cached.workers - workers), default=None)


def save_calibration(rates: Rates, shape: ModelShape, precision: Precision, engine: Engine, workers: int) -> Path:
    """Write a calibration to the cache.

    Raises:
        OSError: the cache cannot be written.
    """
    calibration_folder().mkdir(parents=True, exist_ok=True)
    path = calibration_folder() / f"{_cache_key(shape, precision, engine)}-{workers}.json"
    content = {
        "rates": asdict(rates), "workers": workers, "shape": asdict(shape), "precision": precision, "machine": machine_info(),
    }  # fmt: skip
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)
    return path


def calibration_folder() -> Path:
    """The folder of saved calibrations. It may not exist yet."""
    return cache_folder("calibrations")


def _cache_key(shape: ModelShape, precision: Precision, engine: Engine) -> str:
    content = [asdict(shape), precision, engine.model_dump(mode="json"), machine_info()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def machine_info() -> dict[str, Any]:
    """The hardware and library versions that determine speed."""
    return {
        "processor": processor_name(), "processors": os.cpu_count(), "devices": _gpu_names(),
        "torch": _installed_version("torch"), "transformers": _installed_version("transformers"), "xlift": __version__,
    }  # fmt: skip


def _gpu_names() -> list[str]:
    """Names of NVIDIA devices, read without CUDA."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names += [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
    return names


def _installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
