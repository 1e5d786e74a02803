"""Encoders: a pretrained backbone with heads; loading and saving.

A saved encoder is a folder that `AutoModel.from_pretrained` reads as it stands, with the heads in files beside the
model's:

    config.json  model.safetensors  tokenizer.json ...  heads.json  heads.safetensors

or, after a stage with a compact vocabulary, one that has only what the stage changed (models/stored.py).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
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
from xlift.models.compact import Compact
from xlift.models.depth import layers_of, watched
from xlift.models.heads import FAMILIES, LanguageHead, make_head
from xlift.models.heads import pool as pool
from xlift.models.kinds import Head, HeadSpec
from xlift.models.packing import packs, run_packed
from xlift.models.pretrained import first_line, from_tensors, load_language_head, load_pretrained, quiet
from xlift.models.stored import IDS, Origin, Stored, read_change, write_change

HEADS_SPECS = "heads.json"
HEADS_WEIGHTS = "heads.safetensors"


class Encoder(nn.Module):
    """A backbone without its own pooler, and named heads on its last hidden states.

    Args:
        pooler: the backbone's pretrained pooler ('dense.weight', 'dense.bias'), which new heads with a pooler start
            from. Empty unless the pretraining used one (BERT's next-sentence prediction).
        language_head: the tensors of the checkpoint's own masked-LM head, which new language heads start from. Not
            saved: it belongs to the checkpoint's weights and not to those of a later stage.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        pooler: dict[str, Tensor] | None = None,
        language_head: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict()
        self.pooler = pooler or {}
        self.language_head = language_head or {}

    def add_head(self, name: str, spec: HeadSpec, *, seed: int) -> Head:
        """A new head under `name` (no dots), in place of one that stands there."""
        head = make_head(spec, self.backbone.config, seed=seed, pooler=self.pooler, language=self.language_head)
        self.heads[name] = head.to(self.backbone.device)
        return head

    def head(self, name: str) -> Head:
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def forward(self, inputs: dict[str, Tensor], head: str) -> Tensor:
        """Logits of one head (shapes: models/kinds.py).

        Args:
            inputs: `input_ids` and `attention_mask`, (rows, tokens), padded on the right; `token_type_ids` are used
                where the model has them.
        """
        return self.heads[head](self.last_hidden_state(inputs), inputs["attention_mask"])

    def last_hidden_state(self, inputs: dict[str, Tensor]) -> Tensor:
        """(rows, tokens, hidden): what the heads stand on."""
        return self._run(inputs).last_hidden_state

    def word_logits(self, hidden_states: Tensor, head: str) -> Tensor:
        """(positions, vocabulary) logits of a language head on (positions, hidden) states."""
        return self.heads[head](hidden_states, self.embeddings)

    def hidden_states(self, inputs: dict[str, Tensor], layers: Collection[int] | None = None) -> dict[int, Tensor]:
        """Layer -> (rows, tokens, hidden), 0 being the embeddings and num_layers the last.

        Args:
            layers: those wanted, by default all; no state of another layer is kept, and layers above are not computed.
        """
        depth = int(self.backbone.config.num_hidden_layers)
        wanted = list(range(depth + 1) if layers is None else layers)
        if layers_of(self.backbone) is None:
            every = self._run(inputs, output_hidden_states=True).hidden_states
            return {layer: every[layer] for layer in wanted}
        with watched(self.backbone, wanted) as states:
            output = self._run(inputs, states=states) if self.packs else self._run(inputs)
        if depth in wanted:
            states[depth] = output.last_hidden_state
        return {layer: states[layer] for layer in wanted}

    def _run(self, inputs: dict[str, Tensor], **more: Any) -> Any:
        accepted = self._accepted(inputs)
        return run_packed(self.backbone, accepted, **more) if self.packs else self.backbone(**accepted, **more)

    @property
    def packs(self) -> bool:
        """Whether rows go through without padding (models/packing.py)."""
        return packs(self.backbone)

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    @property
    def embeddings(self) -> Tensor:
        """(vocabulary, hidden): the input embeddings, which a language head has as decoder."""
        return self.backbone.get_input_embeddings().get_parameter("weight")

    @property
    def table(self) -> str:
        """Name of the input embeddings among the weights of the backbone."""
        weight = self.embeddings
        return next(name for name, parameter in self.backbone.named_parameters() if parameter is weight)

    @property
    def max_length(self) -> int | None:
        """Tokens in the longest row the positions allow (512 for XLM-R); None where the config sets no limit."""
        limit = getattr(self.backbone.config, "max_position_embeddings", None)
        positions = getattr(self.backbone.embeddings, "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None)
        # RoBERTa counts positions from behind the one of padding
        return limit if limit is None or padding is None else limit - padding - 1

    def stock_state_dict(self, head: str) -> dict[str, Tensor]:
        """The weights of backbone and one head, named as in the family's `AutoModelFor...` class.

        A span head needs `config.num_labels = 2` there, the others their number of labels.

        Raises:
            UserError: no stock class of this model type has these weights.
        """
        model_type = self.backbone.config.model_type
        if model_type not in FAMILIES:
            raise UserError(f"heads of model type '{model_type}' have no stock class to export to")
        if self.head(head).spec.kind == "dual":
            raise UserError(f"'{head}' is a dual encoder, which no stock class is")
        prefix = self.backbone.base_model_prefix
        weights = {f"{prefix}.{name}": tensor for name, tensor in self.backbone.state_dict().items()}
        module = self.head(head)
        if isinstance(module, LanguageHead):
            own, decoder = module.state_dict(), module.stock["decoder"]
            weights |= {stock: own[name] for name, stock in module.stock_names().items()}
            weights[f"{decoder}.weight"] = self.embeddings.detach()
            return weights | ({f"{decoder}.bias": own["bias"]} if "bias" in own else {})
        for name, tensor in module.state_dict().items():
            weights[f"{prefix}.{name}" if name.startswith("pooler.") else name] = tensor
        return weights

    def backbone_state_dict(self) -> dict[str, Tensor]:
        """The weights of the backbone and of its pretrained pooler, named as in the stock `AutoModel`."""
        return {**self.backbone.state_dict(), **{f"pooler.{name}": tensor for name, tensor in self.pooler.items()}}

    def _accepted(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Token types left out where the model has no table for them, though the tokenizer may give them."""
        if getattr(self.backbone.config, "type_vocab_size", 0) >= 2:
            return inputs
        return {name: tensor for name, tensor in inputs.items() if name != "token_type_ids"}


def load_backbone(path_or_id: str | Path) -> tuple[PreTrainedModel, Any]:
    """A pretrained encoder in float32, without pooler, and its fast tokenizer, from a folder or from the Hub.

    `load` gives an `Encoder` from the same places, with the pretrained pooler where there is one.

    Raises:
        UserError: no such folder, no network, not an encoder, weights missing, pickled or not those of the config.
    """
    model, tokenizer, _ = load_pretrained(path_or_id)
    return model, tokenizer


def load(path_or_id: str | Path) -> tuple[Encoder, Any]:
    """A saved encoder with its heads, or a pretrained one without any, and its tokenizer.

    Raises:
        UserError: as `load_backbone`; or the files of the heads are damaged; or the folder is not a whole model.
    """
    if read_change(Path(path_or_id)) is not None:
        raise UserError(
            "this folder has only what a stage changed of another model",
            where=str(path_or_id),
            fix="`xlift store export KEY DIR` writes the whole model of a product to a folder.",
        )
    encoder, tokenizer = load_bare(Stored(Path(path_or_id)))
    add_saved_heads(encoder, Path(path_or_id))
    return encoder, tokenizer


def load_stored(stored: Stored) -> tuple[Encoder, Any]:
    """As `load`, where the model may be what a stage changed of another one."""
    encoder, tokenizer = load_bare(stored)
    add_saved_heads(encoder, stored.folder)
    fill_table(encoder, stored)
    return encoder, tokenizer


def load_bare(stored: Stored) -> tuple[Encoder, Any]:
    """The backbone without any head, and its tokenizer. Weights in float32 are mapped, and read when they are needed.

    Where the model is not stored whole its input embeddings are not there yet: `fill_table` makes all of them, `compact` those
    that are asked for.
    """
    if stored.change is None:
        model, tokenizer, pooler = load_pretrained(stored.folder)
        return Encoder(model, pooler, load_language_head(stored.folder, model.config)), tokenizer
    tensors = {name: tensor for name in stored.own_names() if (tensor := stored.tensor(name)) is not None}
    del tensors[IDS]
    pooler = {name.removeprefix("pooler."): tensors.pop(name) for name in sorted(tensors) if name.startswith("pooler.")}
    tensors[stored.change.table] = torch.empty(stored.change.shape)  # memory that nobody touches takes none
    model, tokenizer = from_tensors(stored.folder, tensors)
    return Encoder(model, pooler), tokenizer


def fill_table(encoder: Encoder, stored: Stored) -> None:
    """Make the input embeddings of a model that is not stored whole. Raises UserError where they do not become what they
    were."""
    if stored.change is not None:
        embeddings = encoder.backbone.get_input_embeddings()
        embeddings.register_parameter("weight", nn.Parameter(stored.table(encoder.table)))


def compact(encoder: Encoder, stored: Stored, ids: np.ndarray) -> Compact:
    """Only the input embeddings of some tokens, and no others in memory. Raises UserError as `fill_table`."""
    stored.check()
    return Compact(encoder.backbone, ids, stored.rows(encoder.table, torch.from_numpy(ids)))


def saved_heads(folder: Path) -> dict[str, HeadSpec]:
    """The heads beside a saved encoder. Raises UserError where their file is damaged."""
    path = folder / HEADS_SPECS
    if not path.is_file():
        return {}
    try:
        specs = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: HeadSpec(
                spec["kind"], tuple(spec["labels"]), **({"pooling": spec["pooling"]} if spec["kind"] == "dual" else {})
            )
            for name, spec in specs.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken_heads(folder, error) from error


def add_saved_heads(encoder: Encoder, folder: Path) -> None:
    """Give an encoder the heads of a saved one. Raises UserError where their files are damaged."""
    specs = saved_heads(folder)
    for name, spec in specs.items():
        encoder.add_head(name, spec, seed=0)
    put_saved_heads(encoder, folder, tuple(specs))


def put_saved_heads(encoder: Encoder, folder: Path, names: Sequence[str]) -> None:
    """Give heads of an encoder the weights of the saved ones of these names. Raises UserError where they are damaged."""
    try:
        saved = load_file(folder / HEADS_WEIGHTS) if names else {}
        for name in names:
            own = {key.removeprefix(f"{name}."): t for key, t in saved.items() if key.startswith(f"{name}.")}
            encoder.heads[name].load_state_dict(own)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _broken_heads(folder, error) from error


def _broken_heads(folder: Path, error: Exception) -> UserError:
    return UserError(f"the heads cannot be read: {first_line(error)}", where=str(folder))


def save(encoder: Encoder, tokenizer: Any, folder: str | Path) -> None:
    """Write an encoder to a folder, which is made; the layout is in this module's docstring."""
    folder = Path(folder)
    _save_all_but_the_backbone(encoder, tokenizer, folder)
    _save_tensors(encoder.backbone_state_dict(), folder / "model.safetensors")


def save_change(
    encoder: Encoder, tokenizer: Any, folder: Path, compact: Compact, stored: Stored, origin: Origin, decay: float
) -> None:
    """Write what a stage with a compact vocabulary changed of a model (models/stored.py).

    Args:
        compact: that of the encoder.
        stored, origin: the model that the stage started from.
        decay: `Trained.decay`.
    """
    _save_all_but_the_backbone(encoder, tokenizer, folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.backbone_state_dict().items()}
    write_change(folder, tensors, encoder.table, compact, stored, origin, decay)


def _save_all_but_the_backbone(encoder: Encoder, tokenizer: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        encoder.backbone.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _save_tensors(encoder.heads.state_dict(), folder / HEADS_WEIGHTS)
    specs = {name: asdict(encoder.head(name).spec) for name in encoder.heads}
    for spec in specs.values():
        if spec["kind"] != "dual":
            del spec["pooling"]
    (folder / HEADS_SPECS).write_text(json.dumps(specs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, path, metadata={"format": "pt"})  # the metadata that from_pretrained asks for
