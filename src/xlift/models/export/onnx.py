"""Export a model as ONNX, with dynamic numbers of rows and tokens, and verify it with ONNX Runtime.

torch's exporter writes it (`torch.onnx.export` with `dynamo=True`): no other one supports current transformers.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from xlift.errors import UserError
from xlift.models.export.stock import CLASSES
from xlift.models.outputs import OUTPUTS
from xlift.models.pretrained import first_line, silence_transformers

REQUIRED_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
EXTERNAL_DATA_BYTES = 2**31 - 2**20
"""Above this size, weights go into a file of their own: an .onnx file has at most 2 GB."""
TOLERANCE = 1e-4
"""Largest accepted difference of logits, relative to the largest logit where that is above 1."""


def check_installed() -> None:
    """Raises UserError where a package is missing."""
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}", fix="pip install 'xlift[onnx]' installs it.")


class _TensorOutputs(nn.Module):
    """A transformers model with tensors as inputs and outputs."""

    def __init__(self, stock: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.stock, self.outputs = stock, outputs

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        kwargs = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.stock(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        return tuple(getattr(output, name) for name in self.outputs)


def write_onnx(folder: Path, kind: str, path: Path) -> float:
    """Write the model of an exported folder as one .onnx file (and `.onnx.data` beside it above 2 GB).

    Inputs: `input_ids`, `attention_mask` and, where the model has them, `token_type_ids`, int64 (rows, tokens); for choices
    (questions, choices, tokens). Outputs: `logits`; for spans `start_logits` and `end_logits`; for vectors
    `last_hidden_state`.

    Returns:
        The largest difference between its outputs and those of torch.

    Raises:
        UserError: the model is no encoder, torch cannot export it, or the file gives other outputs.
    """
    with silence_transformers():
        auto: Any = CLASSES.get(kind, transformers.AutoModel)
        stock = auto.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    if stock.config.is_encoder_decoder or "CausalLM" in str(stock.config.architectures):
        raise UserError("ONNX export supports encoders only", fix="export it without --onnx.")
    outputs = OUTPUTS[kind].stock_outputs if kind in CLASSES else ("last_hidden_state",)
    wrapped = _TensorOutputs(stock, outputs).eval()
    inputs = _random_inputs(stock.config, kind, 2, 9)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    sizes = {0: batch, 1: torch.export.Dim("choices"), 2: length} if _has_choices(kind) else {0: batch, 1: length}
    try:
        with _silence_exporter():
            torch.onnx.export(
                wrapped, (), path, kwargs=inputs, dynamo=True, external_data=_num_bytes(stock) > EXTERNAL_DATA_BYTES,
                opset_version=OPSET, input_names=list(inputs), output_names=list(outputs), verbose=False,
                dynamic_shapes=dict.fromkeys(inputs, sizes),
            )  # fmt: skip
    except Exception as error:  # the exporter may raise anything
        raise UserError(
            f"torch cannot write this model as ONNX: {type(error).__name__}: {first_line(error)}",
            fix="export it without --onnx.",
        ) from error
    return _verify(wrapped, path, stock.config, kind)


def _verify(wrapped: nn.Module, path: Path, config: Any, kind: str) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = 0.0
    for num_rows, length in ((1, 3), (5, 33)):  # sizes other than those of the export
        inputs = _random_inputs(config, kind, num_rows, length)
        with torch.no_grad():
            torch_outputs = wrapped(**inputs)
        onnx_outputs = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        is_token = inputs["attention_mask"].bool()
        for expected, array in zip(torch_outputs, onnx_outputs, strict=True):
            output = torch.from_numpy(array)
            if kind not in CLASSES or OUTPUTS[kind].per_token:
                expected, output = expected[is_token], output[is_token]
            difference = float((expected - output).abs().max())
            if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
                raise UserError(
                    f"the ONNX file differs from the model: logits differ by {difference:.2g}",
                    fix="export it without --onnx, and please report this.",
                )
            largest = max(largest, difference)
    return largest


def _random_inputs(config: Any, kind: str, num_rows: int, length: int) -> dict[str, Tensor]:
    """Rows of random tokens. The second half of the last row is padding."""
    generator = torch.Generator().manual_seed(num_rows * length)
    shape = (num_rows, 3, length) if _has_choices(kind) else (num_rows, length)
    pad = config.pad_token_id or 0
    input_ids = torch.randint(min(5, config.vocab_size - 1), config.vocab_size, shape, generator=generator)
    input_ids[input_ids == pad] = config.vocab_size - 1 if pad != config.vocab_size - 1 else config.vocab_size - 2
    mask = torch.ones(shape, dtype=torch.int64)
    if num_rows > 1:
        mask[-1, ..., length // 2 :] = 0
    inputs = {"input_ids": input_ids.masked_fill(mask == 0, pad), "attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) >= 2:
        inputs["token_type_ids"] = torch.zeros(shape, dtype=torch.int64)
    return inputs


def _has_choices(kind: str) -> bool:
    return kind in CLASSES and CLASSES[kind] is transformers.AutoModelForMultipleChoice


def _num_bytes(model: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Suppress the exporter's warnings and its log of every pass."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
