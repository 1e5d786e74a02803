"""Load and save models with heads.

A saved model is a folder that the `AutoModel` class of its family can load. Files beside the model hold the heads:

    config.json  model.safetensors  tokenizer.json ...  heads.json  heads.safetensors

After a stage with a compact vocabulary or with adapters the folder is a delta checkpoint instead (models/delta.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from xlift.errors import UserError
from xlift.models import delta
from xlift.models.adapters import is_rounded, lora_weights, plain_tensors
from xlift.models.compact_vocabulary import CompactVocabulary, set_input_embeddings
from xlift.models.delta import TRAINED_IDS, ParentModel, StoredAdapter, StoredModel
from xlift.models.model import Model, parameter_prefix
from xlift.models.outputs import OUTPUTS, HeadSpec
from xlift.models.pretrained import build_model, first_line, load_language_head, load_pretrained, silence_transformers

HEAD_SPECS_FILE = "heads.json"
HEAD_WEIGHTS_FILE = "heads.safetensors"


def load_backbone(path_or_id: str | Path) -> tuple[PreTrainedModel, Any]:
    """Load a pretrained model in float32, without pooler, and its fast tokenizer, from a folder or the Hub.

    `load` returns a `Model` from the same places, with the pretrained pooler where there is one.

    Raises:
        UserError: no such folder, no network, an unknown family, or weights that are missing, pickled or do not fit the config.
    """
    model, tokenizer, _ = load_pretrained(path_or_id)
    return model, tokenizer


def load(path_or_id: str | Path) -> tuple[Model, Any]:
    """Load a saved model with its heads, or a pretrained model without heads, and its tokenizer.

    Raises:
        UserError: as `load_backbone`; or the files of the heads are damaged; or the folder is a delta checkpoint.
    """
    if delta.read_delta(Path(path_or_id)) is not None:
        raise UserError(
            "this folder holds a delta checkpoint: only the changes of one stage to another model",
            where=str(path_or_id),
            fix="`xlift store export KEY DIR` writes the full model of an artifact to a folder.",
        )
    model, tokenizer = load_without_heads(StoredModel(Path(path_or_id)))
    add_saved_heads(model, Path(path_or_id))
    return model, tokenizer


def load_stored_model(stored: StoredModel) -> tuple[Model, Any]:
    """As `load`, for full models and delta checkpoints."""
    model, tokenizer = load_without_heads(stored)
    add_saved_heads(model, stored.folder)
    restore_embeddings(model, stored)
    return model, tokenizer


def load_without_heads(stored: StoredModel) -> tuple[Model, Any]:
    """Load the backbone without heads, and its tokenizer. Float32 weights are memory-mapped and read when they are used.

    A delta checkpoint's input embeddings are not loaded yet: `restore_embeddings` loads all of them,
    `load_compact_vocabulary` those of some tokens.
    """
    if isinstance(stored, StoredAdapter):
        assert stored.parent is not None
        model, tokenizer = load_without_heads(stored.parent)
        model.language_head = {}  # a pretrained language head starts the first stage only
        stored.fold_into(model.backbone_state_dict(), model.embeddings_name)
        return model, tokenizer
    if stored.delta is None:
        backbone, tokenizer, pooler = load_pretrained(stored.folder)
        return Model(backbone, pooler, load_language_head(stored.folder, backbone.config)), tokenizer
    tensors = {name: tensor for name in stored.tensor_names() if (tensor := stored.read_tensor(name)) is not None}
    del tensors[TRAINED_IDS]
    pooler = {name.removeprefix("pooler."): tensors.pop(name) for name in sorted(tensors) if name.startswith("pooler.")}
    embeddings = torch.empty(stored.delta.shape)  # untouched memory takes no space
    # transformers ties mT5's output layer to equal embeddings, and uninitialized memory may be equal
    embeddings[:1] = torch.nan
    tensors[stored.delta.embeddings_name] = embeddings
    backbone, tokenizer = build_model(stored.folder, tensors)
    return Model(backbone, pooler), tokenizer


def restore_embeddings(model: Model, stored: StoredModel) -> None:
    """Load the input embeddings of a delta checkpoint. Raises UserError where their SHA-256 does not match."""
    if stored.has_partial_embeddings:
        set_input_embeddings(model.backbone, nn.Parameter(stored.read_embeddings(model.embeddings_name)))


def load_compact_vocabulary(model: Model, stored: StoredModel, ids: np.ndarray) -> CompactVocabulary:
    """Load the input embeddings of some tokens only. Raises UserError as `restore_embeddings`."""
    stored.verify_embeddings()
    return CompactVocabulary(
        model.backbone, ids, stored.read_embedding_rows(model.embeddings_name, torch.from_numpy(ids))
    )


def read_head_specs(folder: Path) -> dict[str, HeadSpec]:
    """The specs of a saved model's heads. Raises UserError where their file is damaged."""
    path = folder / HEAD_SPECS_FILE
    if not path.is_file():
        return {}
    try:
        specs = json.loads(path.read_text(encoding="utf-8"))
        return {name: HeadSpec(**{**spec, "labels": tuple(spec["labels"])}) for name, spec in specs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken_heads(folder, error) from error


def add_saved_heads(model: Model, folder: Path) -> None:
    """Add the heads of a saved model to a model. Raises UserError where their files are damaged."""
    specs = read_head_specs(folder)
    for name, spec in specs.items():
        model.add_head(name, spec, seed=0)
    load_head_weights(model, folder, tuple(specs))


def load_head_weights(model: Model, folder: Path, names: Sequence[str]) -> None:
    """Load saved weights into the model's heads of these names. Raises UserError where the files are damaged."""
    try:
        saved = load_file(folder / HEAD_WEIGHTS_FILE) if names else {}
        for name in names:
            prefix = f"{parameter_prefix(name)}."
            weights = {key.removeprefix(prefix): t for key, t in saved.items() if key.startswith(prefix)}
            model.heads[name].load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _broken_heads(folder, error) from error


def _broken_heads(folder: Path, error: Exception) -> UserError:
    return UserError(f"the heads cannot be read: {first_line(error)}", where=str(folder))


def save(model: Model, tokenizer: Any, folder: str | Path) -> None:
    """Write a full model to a new or existing folder (layout: this module's docstring). Adapters are folded in."""
    folder = Path(folder)
    _save_all_but_backbone(model, tokenizer, folder)
    _save_tensors(dict(plain_tensors(model)), folder / "model.safetensors")


def save_vocabulary_delta(
    model: Model, tokenizer: Any, folder: Path, compact: CompactVocabulary, stored: StoredModel, parent: ParentModel,
    decay: float,
) -> None:  # fmt: skip
    """Write the delta checkpoint of a stage with a compact vocabulary (models/delta.py).

    Args:
        compact: the model's compact vocabulary.
        stored, parent: the model that the stage started from.
        decay: `TrainOutput.total_weight_decay`.
    """
    _save_all_but_backbone(model, tokenizer, folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.backbone_state_dict().items()}
    delta.write_vocabulary_delta(folder, tensors, model.embeddings_name, compact, stored, parent, decay)


def save_adapter_delta(model: Model, tokenizer: Any, folder: Path, stored: StoredModel, parent: ParentModel) -> None:
    """Write the delta checkpoint of a stage with adapters (models/delta.py).

    Args:
        stored, parent: the model that the stage started from.
    """
    _save_all_but_backbone(model, tokenizer, folder)
    base = load_without_heads(stored)[0] if is_rounded(model.backbone) else model
    plain = plain_tensors(base, lora_weights(model.backbone))
    delta.write_adapter_delta(folder, model.backbone, plain, model.embeddings_name, stored, parent)


def _save_all_but_backbone(model: Model, tokenizer: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with silence_transformers():
        model.backbone.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _save_tensors(model.heads.state_dict(), folder / HEAD_WEIGHTS_FILE)
    specs = {name: asdict(model.head(name).spec) for name in model.heads}
    for spec in specs.values():
        if not OUTPUTS[spec["kind"]].compares_rows and spec["pooling"] == HeadSpec.pooling:
            del spec["pooling"]
    (folder / HEAD_SPECS_FILE).write_text(json.dumps(specs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, path, metadata={"format": "pt"})  # from_pretrained requires this metadata
