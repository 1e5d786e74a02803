"""Export models that compute vectors for sentence-transformers: `modules.json` and a folder for each module.

sentence-transformers pools only the last layer. For vectors of another layer the model card has the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from xlift.models.export.metadata import ExportMetadata
from xlift.models.model import Model


def write_modules(model: Model, head: str, metadata: ExportMetadata, folder: Path) -> bool:
    """Write the files of sentence-transformers beside the model. Returns False, and writes nothing, where it cannot compute
    these vectors."""
    num_layers, width = int(model.trunk.config.num_hidden_layers), int(model.trunk.config.hidden_size)
    if metadata.pooling["layer"] != num_layers or model.family == "seq2seq":
        return False
    mode = metadata.pooling["pooling"]
    steps: list[tuple[str, str, dict[str, Any] | None]] = [("", "Transformer", None)]
    pooling = {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": mode != "mean",
        "pooling_mode_mean_tokens": mode == "mean",
    }
    steps.append(("1_Pooling", "Pooling", pooling))
    if mode == "pooler":  # BERT's: a layer and tanh on the first token
        dense = {"in_features": width, "out_features": width, "bias": True,
                 "activation_function": "torch.nn.modules.activation.Tanh"}  # fmt: skip
        steps.append(("2_Dense", "Dense", dense))
        weights = {name.removeprefix("pooler.dense."): tensor.detach().cpu().contiguous()
                   for name, tensor in model.head(head).state_dict().items() if name.startswith("pooler.")}  # fmt: skip
        (folder / "2_Dense").mkdir()
        save_file(
            {f"linear.{name}": tensor for name, tensor in weights.items()}, folder / "2_Dense" / "model.safetensors"
        )
    if head:  # a dual encoder's, whose vectors have length 1
        steps.append((f"{len(steps)}_Normalize", "Normalize", {}))
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (path, name, _) in enumerate(steps)
    ]
    _json(folder / "modules.json", modules)
    _json(folder / "sentence_bert_config.json", {"max_seq_length": metadata.max_length, "do_lower_case": False})
    for path, _, config in steps[1:]:
        (folder / path).mkdir(exist_ok=True)
        _json(folder / path / "config.json", config)
    return True


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
