"""Encoders: a pretrained backbone with heads; loading, saving, and carrying weights from stage to stage.

A saved encoder is a folder that `AutoModel.from_pretrained` reads as it stands, with the heads in files beside the
model's:

    config.json  model.safetensors  tokenizer.json ...  heads.json  heads.safetensors
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from xlift.errors import UserError
from xlift.models.depth import layers_of, watched
from xlift.models.heads import FAMILIES, LanguageHead, make_head
from xlift.models.heads import pool as pool
from xlift.models.kinds import Head, HeadSpec
from xlift.models.packing import packs, run_packed
from xlift.models.pretrained import first_line, load_language_head, load_pretrained, quiet

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
        UserError: as `load_backbone`; or the files of the heads are damaged.
    """
    model, tokenizer, pooler = load_pretrained(path_or_id)
    folder = Path(path_or_id)
    encoder = Encoder(model, pooler, load_language_head(folder, model.config))
    if (folder / HEADS_SPECS).is_file():
        try:
            specs = json.loads((folder / HEADS_SPECS).read_text(encoding="utf-8"))
            for name, spec in specs.items():
                pooling = {"pooling": spec["pooling"]} if spec["kind"] == "dual" else {}
                encoder.add_head(name, HeadSpec(spec["kind"], tuple(spec["labels"]), **pooling), seed=0)
            encoder.heads.load_state_dict(load_file(folder / HEADS_WEIGHTS) if specs else {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise UserError(f"the heads cannot be read: {first_line(error)}", where=str(folder)) from error
    return encoder, tokenizer


def blank_like(source: Encoder) -> Encoder:
    """An encoder of the same config with other weights, to carry the source's into."""
    model = type(source.backbone)(copy.deepcopy(source.backbone.config)).float()
    if getattr(model, "pooler", None) is not None:
        model.register_module("pooler", None)  # as `load` leaves it
    return Encoder(model, {name: tensor.clone() for name, tensor in source.pooler.items()}, source.language_head)


def save(encoder: Encoder, tokenizer: Any, folder: str | Path) -> None:
    """Write an encoder to a folder, which is made; the layout is in this module's docstring."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        encoder.backbone.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _save_tensors(encoder.backbone_state_dict(), folder / "model.safetensors")
    _save_tensors(encoder.heads.state_dict(), folder / HEADS_WEIGHTS)
    specs = {name: asdict(encoder.head(name).spec) for name in encoder.heads}
    for spec in specs.values():
        if spec["kind"] != "dual":
            del spec["pooling"]
    (folder / HEADS_SPECS).write_text(json.dumps(specs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Carried:
    """What went from one stage's encoder into the next one's; for the manifest."""

    tensors: int
    """Backbone tensors, each found bit-equal afterwards."""
    parameters: int
    """Numbers in them."""
    heads: tuple[str, ...]
    """Heads carried because they were asked for."""
    dropped: tuple[str, ...]
    """Heads of the source that were left behind."""
    new: tuple[str, ...]
    """Heads of the encoder that start untrained, or from `checkpoint`."""
    checkpoint: tuple[str, ...] = ()
    """Of the new heads, the language head that starts from the one that came with the pretrained checkpoint."""


@torch.no_grad()
def carry(encoder: Encoder, source: Encoder, keep_heads: tuple[str, ...] = ()) -> Carried:
    """Copy the source's backbone, and the heads asked for and no others, into `encoder`, and check that they arrived.

    A head of the same name and size is never taken over silently: a 3-way NLI head would otherwise go on as the head
    of any 3-way target.

    Raises:
        UserError: a tensor is missing on either side or has another shape or precision, or a head that is to be
            kept is missing or has other labels.
    """
    for name in keep_heads:
        if name not in source.heads or name not in encoder.heads:
            raise UserError(f"no head '{name}' to keep", fix=f"the earlier stage has: {', '.join(source.heads) or '-'}")
        old, new = source.head(name).spec, encoder.head(name).spec
        if old != new:
            raise UserError(f"head '{name}' cannot be kept: it was trained as {old} and is wanted as {new}")
    encoder.pooler = {name: tensor.clone() for name, tensor in source.pooler.items()}
    backbone = source.backbone_state_dict()
    _copy(backbone, encoder.backbone_state_dict(), "backbone")
    for name in keep_heads:
        _copy(source.heads[name].state_dict(), encoder.heads[name].state_dict(), f"head '{name}'")
    new = tuple(name for name in encoder.heads if name not in keep_heads)
    return Carried(
        tensors=len(backbone),
        parameters=sum(tensor.numel() for tensor in backbone.values()),
        heads=tuple(keep_heads),
        dropped=tuple(name for name in source.heads if name not in keep_heads),
        new=new,
        checkpoint=tuple(name for name in new if encoder.language_head and encoder.head(name).spec.kind == "lm"),
    )


def _copy(source: dict[str, Tensor], target: dict[str, Tensor], what: str) -> None:
    """Copy by name into the target's own storage; exactly the same names, shapes and bits, or an error."""
    missing, surplus = sorted(target.keys() - source.keys()), sorted(source.keys() - target.keys())
    if missing or surplus:
        raise UserError(
            f"the {what} of the two stages differ: {len(missing)} tensors missing, {len(surplus)} too many",
            fix=f"for instance {(missing + surplus)[0]}; a road keeps to one backbone",
        )
    for name, tensor in source.items():
        if target[name].shape != tensor.shape or target[name].dtype != tensor.dtype:
            raise UserError(
                f"the {what} of the two stages differ in {name}: "
                f"{tuple(tensor.shape)} {tensor.dtype} and {tuple(target[name].shape)} {target[name].dtype}"
            )
        target[name].copy_(tensor)
        if not torch.equal(_bytes(target[name]), _bytes(tensor.to(target[name].device))):
            raise UserError(f"the {what} did not arrive whole: {name} differs after copying")


def _bytes(tensor: Tensor) -> Tensor:
    # compared as bytes, a NaN equals itself and -0.0 does not equal 0.0
    return tensor.contiguous().flatten().view(torch.uint8)


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, path, metadata={"format": "pt"})  # the metadata that from_pretrained asks for
