"""How to serve an exported model by other software: a section of its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlift.model_families import traits_of
from xlift.tasks import formats

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata

_CLASSIFIERS = {"camembert", "roberta", "xlm-roberta"}
"""Types whose classifiers text-embeddings-inference serves (its README: Sequence Classification)."""
_EMBEDDERS = {*_CLASSIFIERS, "bert"}
"""Types whose vectors it serves (its README: Text Embeddings)."""
_PLACE = "path/to/this/folder"


def serving_note(metadata: ExportMetadata, model_class: str) -> str:
    """Return Markdown that names the servers that can load the model."""
    parts = []
    has_classifier = model_class == "AutoModelForSequenceClassification" and formats.get(metadata.format).pools_row
    if metadata.is_text_mode and "CausalLM" in model_class:
        parts.append(
            f"vLLM serves it, with the API of OpenAI: `vllm serve {_PLACE}`. Send the prompt above to `/v1/completions`, with "
            "`temperature` 0."
        )
    elif has_classifier and metadata.model_type in _CLASSIFIERS:
        parts.append(
            f"text-embeddings-inference serves it: `text-embeddings-router --model-id {_PLACE}`, then POST "
            '`{"inputs": "A text."}` to `/predict`.'
        )
    elif has_classifier and traits_of(metadata.model_type).family == "decoder":
        parts.append(f"vLLM serves it: `vllm serve {_PLACE} --runner pooling`, then POST to `/classify`.")
    elif metadata.pooling and metadata.model_type in _EMBEDDERS and not metadata.pooling.get("center"):
        parts.append(
            f"text-embeddings-inference serves its vectors: `text-embeddings-router --model-id {_PLACE}`, then POST "
            '`{"inputs": "A text."}` to `/embed`.'
        )
    if metadata.onnx and (stock := model_class.removeprefix("Auto")).startswith("ModelFor"):
        file = metadata.onnx.get("int8", {}).get("file", "onnx/model.onnx").removeprefix("onnx/")
        parts.append(
            "The ONNX files run in ONNX Runtime without torch, and with optimum (`pip install 'optimum-onnx[onnxruntime]'`):\n\n"
            f"```py\nfrom optimum.onnxruntime import ORT{stock}\n\n"
            f'model = ORT{stock}.from_pretrained("{_PLACE}", subfolder="onnx", file_name="{file}")\n```'
        )
    if not parts:
        parts.append("Any server that runs Python can load it with the code above.")
    return "\n\n".join(parts)
