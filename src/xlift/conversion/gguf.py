"""GGUF files: weights, config and tokenizer in one file, usually with quantized weights.

transformers reads them with the package `gguf`. Quantized weights become bfloat16, whose rounding is far finer than four or eight
bits. Other weights keep their type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlift.errors import UserError

EXACT_TYPES = ("F32", "F16", "BF16")


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a folder that transformers loads.

    Raises:
        UserError: the file is damaged, of a type that transformers cannot read, or a package is missing.
    """
    try:
        import gguf  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            "the package gguf is not installed", where=str(path), fix="pip install 'xlift[gguf]' installs it."
        ) from None
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        types = {tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
        dtype = torch.bfloat16 if types - set(EXACT_TYPES) or types == {"BF16"} else torch.float32
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
        loaded = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, trust_remote_code=False
        )
    except Exception as error:  # transformers and gguf raise many types for damaged and unknown files
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"the GGUF file cannot be read: {first_line[:200]}", where=str(path),
            fix="If it may be cut, download it again. transformers reads the GGUF files of some types of models only.",
        ) from None  # fmt: skip
    config = type(loaded.config).from_dict(
        {name: value for name, value in loaded.config.to_dict().items() if name != "quantization_config"}
    )
    config.dtype = dtype
    with torch.device("meta"):
        model: Any = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
