"""8-bit ONNX files, and running ONNX files in the place of a transformers model.

`quantize_dynamic` of ONNX Runtime stores the weights of matrix products and embeddings as int8, and converts activations when the
model runs. It needs no data.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from xlift.errors import UserError
from xlift.models.export.onnx import EXTERNAL_DATA_BYTES
from xlift.models.pretrained import first_line


def write_int8(source: Path, target: Path) -> None:
    """Write an ONNX file with weights of 8 bits.

    Raises:
        UserError: ONNX Runtime cannot quantize or load it.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    del model.graph.value_info[
        :
    ]  # torch writes shapes from before it folded transposes, which the shape inference refuses
    is_large = sum(path.stat().st_size for path in source.parent.glob(f"{source.name}*")) > EXTERNAL_DATA_BYTES
    level = logging.root.manager.disable
    logging.disable(
        logging.WARNING
    )  # it advises to optimize the graph before, which ONNX Runtime does when it loads the file
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            plain = Path(folder) / source.name
            onnx.save(model, plain, save_as_external_data=is_large)
            quantize_dynamic(
                plain, target, weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=is_large
            )
        OnnxModel(target, None)
    except Exception as error:  # it may raise anything
        raise UserError(
            f"ONNX Runtime cannot quantize this model: {type(error).__name__}: {first_line(error)}",
            where="--quantize",
            fix="Export it without --quantize.",
        ) from error
    finally:
        logging.disable(level)


class OnnxModel:
    """An ONNX file that is called as the transformers model it was made from (models/export/stock.py: stock_logits)."""

    device = torch.device("cpu")

    def __init__(self, path: Path, config: Any) -> None:
        """
        Args:
            config: of the transformers model.
        """
        import onnxruntime

        self.config = config
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.shapes = {each.name: each.shape for each in self.session.get_inputs()}
        self.output_names = [each.name for each in self.session.get_outputs()]

    def __call__(self, **inputs: Tensor) -> SimpleNamespace:
        given = {name: inputs.get(name, torch.zeros_like(inputs["input_ids"])) for name in self.shapes}
        if len(self.shapes["input_ids"]) == 3:  # choices: each row is a question with one choice
            given = {name: tensor.unsqueeze(1) for name, tensor in given.items()}
        arrays = self.session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        tensors = map(torch.from_numpy, arrays)
        return SimpleNamespace(**dict(zip(self.output_names, tensors, strict=True)))
