"""A pretrained model of any family with named heads on its hidden states.

The family (model_families.py) decides which hidden states: those of an encoder; those of a decoder, where each token has seen only
the tokens before it; those of an encoder-decoder model's encoder. Text (labels as text, answers, translations) is generated
through models/text_mode.py and the model's output layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Self

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel

from xlift.errors import UserError
from xlift.model_families import Family, family_of_config, traits_of
from xlift.models.heads import make_head
from xlift.models.language_head import LanguageHead
from xlift.models.layer_states import capture_layer_states, find_layer_list
from xlift.models.outputs import Head, HeadSpec
from xlift.models.packing import LENGTHS, run_packed, supports_packing

_DOT = "%2E"  # no name of a head has a percent sign


def parameter_prefix(head: str) -> str:
    """How the names of a head's parameters begin: the head's name, with `%2E` for a dot, since a dot separates modules."""
    return head.replace(".", _DOT)


class NamedHeads(nn.Module):
    """Heads by name, as `nn.ModuleDict`, which refuses names with a dot and those of its own attributes (`type`, `train`)."""

    def __setitem__(self, name: str, head: Head) -> None:
        self._modules[parameter_prefix(name)] = head  # `add_module` refuses the names of attributes

    def __getitem__(self, name: str) -> Head:
        head = self._modules[parameter_prefix(name)]
        assert isinstance(head, Head)
        return head

    def __contains__(self, name: str) -> bool:
        return parameter_prefix(name) in self._modules

    def __iter__(self) -> Iterator[str]:
        return (name.replace(_DOT, ".") for name in self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def train(self, mode: bool = True) -> Self:
        self.__dict__["training"] = mode  # `self.training = mode` would replace a head of that name
        for head in self.children():
            head.train(mode)
        return self


class Model(nn.Module):
    """A backbone without its pooler, and named heads on its last hidden states.

    Args:
        backbone: an encoder without a head; a decoder or an encoder-decoder model with its output layer.
        pooler: the backbone's pretrained pooler ('dense.weight', 'dense.bias'). New heads with a pooler start from it.
            Empty unless pretraining used one (BERT's next-sentence prediction).
        language_head: the tensors of the checkpoint's masked-LM head. New language heads start from them. They are
            never saved: they fit the checkpoint's weights, not those of a later stage.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        pooler: dict[str, Tensor] | None = None,
        language_head: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = NamedHeads()
        self.pooler = pooler or {}
        self.language_head = language_head or {}

    @property
    def family(self) -> Family:
        config = self.backbone.config
        return family_of_config(config)

    @property
    def trunk(self) -> PreTrainedModel:
        """The module that computes the hidden states of the heads: the whole encoder, a decoder without its output layer, or
        the encoder of an encoder-decoder model."""
        backbone: Any = self.backbone
        if self.family == "encoder":
            return backbone
        return backbone.base_model if self.family == "decoder" else backbone.get_encoder()

    def add_head(self, name: str, spec: HeadSpec, *, seed: int, initializer_range: float | None = None) -> Head:
        """Add a new head under `name`. It replaces a head of the same name. `initializer_range` is that of `make_head`."""
        head = make_head(
            spec, self.backbone.config, seed=seed, pooler=self.pooler, language_head=self.language_head,
            initializer_range=initializer_range,
        )  # fmt: skip
        self.heads[name] = head.to(self.backbone.device)
        return head

    def head(self, name: str) -> Head:
        return self.heads[name]

    def forward(self, inputs: dict[str, Tensor], head: str) -> Tensor:
        """Logits of one head (shapes: models/outputs.py).

        Args:
            inputs: `input_ids` and `attention_mask`, (rows, tokens), padded on the right; `token_type_ids` are passed
                only to models that have them. `lengths`, (rows,) on the CPU, saves waiting for the device (models/packing.py).
        """
        return self.heads[head](self.last_hidden_state(inputs), inputs["attention_mask"])

    def last_hidden_state(self, inputs: dict[str, Tensor]) -> Tensor:
        """(rows, tokens, hidden): the input of the heads."""
        return self._run(inputs).last_hidden_state

    def vocabulary_logits(self, hidden_states: Tensor, head: str) -> Tensor:
        """(positions, vocabulary) logits of a language head for (positions, hidden) states."""
        return self.heads[head](hidden_states, self.embeddings)

    def hidden_states(self, inputs: dict[str, Tensor], layers: Collection[int] | None = None) -> dict[int, Tensor]:
        """Layer -> (rows, tokens, hidden). Layer 0 is the embeddings, layer num_hidden_layers the last.

        Args:
            layers: layers to return, by default all. No state of another layer is kept, and no higher layer is computed.
        """
        num_layers = int(self.trunk.config.num_hidden_layers)
        wanted = list(range(num_layers + 1) if layers is None else layers)
        if find_layer_list(self.trunk) is None:
            all_states = self._run(inputs, output_hidden_states=True).hidden_states
            return {layer: all_states[layer] for layer in wanted}
        with capture_layer_states(self.trunk, wanted) as states:
            output = self._run(inputs, states=states) if self.supports_packing else self._run(inputs)
        if num_layers in wanted:
            states[num_layers] = output.last_hidden_state
        return {layer: states[layer] for layer in wanted}

    def _run(self, inputs: dict[str, Tensor], **kwargs: Any) -> Any:
        inputs = self._drop_unused_inputs(inputs)
        if self.supports_packing:
            return run_packed(self.trunk, inputs, **kwargs)
        inputs.pop(LENGTHS, None)
        if self.family == "decoder":
            kwargs["use_cache"] = False  # nothing is generated here; a cache would hold every layer's keys and values
        return self.trunk(**inputs, **kwargs)

    @property
    def supports_packing(self) -> bool:
        """Whether rows are computed without padding (models/packing.py)."""
        return supports_packing(self.backbone)

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    @property
    def embeddings(self) -> Tensor:
        """(vocabulary, hidden): the input embeddings. A language head uses them as its decoder."""
        return self.backbone.get_input_embeddings().get_parameter("weight")

    @property
    def embeddings_name(self) -> str:
        """Name of the input embeddings in the backbone's state dict."""
        weight = self.embeddings
        return next(name for name, parameter in self.backbone.named_parameters() if parameter is weight)

    @property
    def max_length(self) -> int | None:
        """Largest number of tokens in a row (512 for XLM-R); None where the config sets no limit."""
        limit = getattr(self.backbone.config, "max_position_embeddings", None)
        positions = getattr(getattr(self.backbone, "embeddings", None), "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None)
        # RoBERTa's first position is padding_idx + 1
        return limit if limit is None or padding is None else limit - padding - 1

    def stock_state_dict(self, head: str) -> dict[str, Tensor]:
        """The weights of the backbone and one head, named as in the `AutoModelFor...` class of the model's type.

        That class needs `config.num_labels = 2` for a span head, and the number of labels for the others. A decoder's choice
        head becomes a sequence head with one label.

        Raises:
            UserError: transformers has no class with these weights.
        """
        config, module = self.backbone.config, self.head(head)
        output = module.spec.output
        if not output.stock_class and not isinstance(module, LanguageHead):
            raise UserError(f"transformers has no class with the output of the head '{head}' ({module.spec.kind})")
        if self.family == "seq2seq":
            return self._encoder_state_dict(head)
        if self.family == "decoder" and output.pools_row and module.spec.pooling == "mean":
            raise UserError(
                f"the head '{head}' reads the mean of a decoder's states (`classifier_pooling: mean`), and transformers has no "
                "class that does",
                fix="train with `classifier_pooling: last` to export it. `xlift store export` writes its backbone and heads.",
            )
        if not traits_of(config.model_type).heads:
            raise UserError(f"transformers has no class with heads for models of type '{config.model_type}'")
        prefix = self.backbone.base_model_prefix
        if self.family == "decoder" and output.per_token:
            # some decoders have no such class, and some such classes name their trunk differently
            auto: Any = getattr(transformers, f"AutoModelFor{output.stock_class}")
            if type(config) not in auto._model_mapping:
                raise UserError(
                    f"transformers has no class with '{module.spec.kind}' heads for models of type '{config.model_type}'"
                )
            prefix = auto._model_mapping[type(config)].base_model_prefix
        weights = {f"{prefix}.{name}": tensor for name, tensor in self.trunk.state_dict().items()}
        if isinstance(module, LanguageHead):
            head_weights, decoder = module.state_dict(), module.stock.get("decoder")
            weights |= {stock: head_weights[name] for name, stock in module.stock_names().items()}
            if decoder is None:
                return weights
            weights[f"{decoder}.weight"] = self.embeddings.detach()
            return weights | ({f"{decoder}.bias": head_weights["bias"]} if "bias" in head_weights else {})
        for name, tensor in module.state_dict().items():
            weights[f"{prefix}.{name}" if name.startswith(module.backbone_parts) else name] = tensor
        return weights

    def _encoder_state_dict(self, head: str) -> dict[str, Tensor]:
        """transformers has one class on the encoder of an encoder-decoder model: for tags, of T5, mT5 and umT5. Its other classes
        use the decoder."""
        module, model_type = self.head(head), self.backbone.config.model_type
        is_tagging = module.spec.output.stock_class == "TokenClassification"
        if not traits_of(model_type).has_encoder_tagging_class or not is_tagging:
            raise UserError(
                f"'{head}' is a head on the encoder of a model of type '{model_type}', and transformers has no class for it",
                fix="train an encoder or a decoder, or use `mode: text`. Of encoder-decoder models only tags of T5, mT5 and umT5 can "
                "be exported.",
            )
        weights = {f"transformer.encoder.{name}": tensor for name, tensor in self.trunk.state_dict().items()}
        return {"transformer.shared.weight": self.embeddings.detach(), **weights, **module.state_dict()}

    def backbone_state_dict(self) -> dict[str, Tensor]:
        """The weights of the backbone and of its pretrained pooler, named as in the family's transformers class. Tied weights
        occur once, as transformers saves them."""
        tied = getattr(self.backbone, "all_tied_weights_keys", None) or {}
        weights = {name: tensor for name, tensor in self.backbone.state_dict().items() if name not in tied}
        return {**weights, **{f"pooler.{name}": tensor for name, tensor in self.pooler.items()}}

    def _drop_unused_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inputs without token types where the model has no embeddings for them (a tokenizer may return them anyway)."""
        has_types = getattr(self.backbone.config, "type_vocab_size", 0) >= 2
        return {name: tensor for name, tensor in inputs.items() if has_types or name != "token_type_ids"}
