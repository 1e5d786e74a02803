"""One table of what xlift needs to know about the model types of transformers. It imports neither torch nor transformers.

Code asks a trait, such as `traits_of(model_type).is_gated`, and does not compare names of model types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

Family = Literal["encoder", "decoder", "seq2seq"]


@dataclass(frozen=True)
class Traits:
    """Traits of a model type. A type that is not in MODEL_TYPES has the defaults and usually works: its stages may be
    slower, its heads may have no class in transformers, and its estimates may be less precise."""

    family: Family = "encoder"
    """What its config.json does not tell: that a type is a decoder. See `family_of`."""
    heads: Literal["", "bert", "roberta", "deberta", "modernbert", "eurobert", "decoder"] = ""
    """The classes of transformers whose heads it has (models/heads.py), so that they can be exported; '': none are known."""
    has_encoder_tagging_class: bool = False
    """transformers has a class for tagging on its encoder. Of encoder-decoder models."""
    has_pretrained_pooler: bool = False
    """Its checkpoints hold a trained pooler (BERT's, from next-sentence prediction). RoBERTa's hold a random one."""
    supports_packing: bool = False
    """Tests show equal results with and without packing (models/packing.py)."""
    supports_tree_attention: bool = False
    """Tests show equal likelihoods where candidate answers share one reading of the prompt (models/text_mode.py)."""
    is_gated: bool = False
    """A feed-forward layer has three matrices. For T5 and its variants, the config's `feed_forward_proj` has priority."""
    has_learned_positions: bool = False
    """It has a learned vector for each position. Other types have relative or rotary positions."""
    positions_follow_padding: bool = False
    """Its first position is `pad_token_id` + 1 (RoBERTa)."""
    shares_position_bias: bool = False
    """Its first layer computes a relative position bias for all layers (T5)."""
    ties_output: bool = True
    """Its output layer has the matrix of the embeddings unless `tie_word_embeddings` says otherwise."""
    is_always_tied: bool = False
    """transformers 5 assumes a tied output layer, whatever config.json contains. Published models have a separate one (T5
    from version 1.1 on)."""
    scales_tied_output: bool = False
    """A tied output layer reads states divided by the square root of their width."""
    logit_scale: str = ""
    """Key of the config by whose value the logits over the vocabulary are multiplied (Cohere)."""
    new_model: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the config of a model with random weights, beside sizes and tokens. Such a model has no dropout."""
    tokens_without_embedding: tuple[str, ...] = ()
    """Tokens that published tokenizers have after the last row of the embeddings, since a model of text alone never reads them."""
    pretraining_revision: int = 0
    """Incremented whenever the same pretraining would give another model of this type alone."""


_NEW_BERT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "type_vocab_size": 1}
_bert = partial(Traits, has_learned_positions=True, new_model=_NEW_BERT)
_roberta = partial(_bert, positions_follow_padding=True)
_llama = partial(Traits, "decoder", "decoder", is_gated=True, supports_tree_attention=True)

MODEL_TYPES: dict[str, Traits] = {
    "albert": _bert(),
    "apertus": Traits("decoder", "decoder", ties_output=False),
    "bert": _bert(heads="bert", has_pretrained_pooler=True, supports_packing=True),
    "camembert": _roberta(),
    "cohere": _llama(logit_scale="logit_scale"),
    "cohere2": _llama(logit_scale="logit_scale"),
    "deberta-v2": Traits(heads="deberta"),
    "distilbert": _bert(),
    "electra": _bert(),
    "eurobert": Traits(heads="eurobert", is_gated=True, ties_output=False),
    "gemma": _llama(),
    "gemma2": _llama(),
    "gemma3_text": _llama(supports_packing=True, tokens_without_embedding=("<image_soft_token>",)),
    "llama": _llama(supports_packing=True, ties_output=False),
    "mbart": Traits("seq2seq", has_learned_positions=True),
    "mistral": _llama(ties_output=False),
    # sequences are so short that every layer of a new ModernBERT can have global attention
    "modernbert": Traits(
        heads="modernbert", is_gated=True, supports_packing=True,
        new_model={"global_attn_every_n_layers": 1, "classifier_pooling": "mean"},
    ),
    # revision 1: the attention heads of a new mT5 start from other values (training/pretraining.py)
    "mt5": Traits(
        "seq2seq", is_gated=True, supports_packing=True, shares_position_bias=True, is_always_tied=True,
        has_encoder_tagging_class=True, pretraining_revision=1,
    ),
    "olmo2": _llama(ties_output=False),
    "qwen2": _llama(ties_output=False),
    "qwen3": _llama(supports_packing=True, ties_output=False),
    "roberta": _roberta(heads="roberta"),
    "smollm3": _llama(),
    "t5": Traits("seq2seq", shares_position_bias=True, is_always_tied=True, has_encoder_tagging_class=True),
    "umt5": Traits("seq2seq", is_gated=True, is_always_tied=True, scales_tied_output=True, has_encoder_tagging_class=True),
    "xglm": Traits("decoder", "decoder"),
    "xlm-roberta": _roberta(heads="roberta", supports_packing=True),
    "xlm-roberta-xl": _roberta(),
}  # fmt: skip
"""Model type -> its traits."""


BIDIRECTIONAL = "use_bidirectional_attention"
"""Key of a config. Models of images and text have a text as its value, which says what of an image they read so."""


def traits_of(model_type: str) -> Traits:
    return MODEL_TYPES.get(model_type, Traits())


def family_of(
    model_type: str, is_encoder_decoder: bool, architectures: Sequence[str] | None, is_bidirectional: bool = False
) -> Family:
    """The family of a model with these values in its config.json. A decoder that is not in MODEL_TYPES is recognized by the
    name of its class.

    Args:
        is_bidirectional: `use_bidirectional_attention`: a decoder's layers that read in both directions are an encoder
            (EmbeddingGemma). It cannot generate text: each token would see the next one.
    """
    if is_encoder_decoder:
        return "seq2seq"
    if is_bidirectional:
        return "encoder"
    is_causal_lm = any(name.endswith("ForCausalLM") for name in architectures or ())
    return "decoder" if traits_of(model_type).family == "decoder" or is_causal_lm else "encoder"


def family_of_config(config: Any) -> Family:
    """The family of a model with this config of transformers."""
    is_bidirectional = getattr(config, BIDIRECTIONAL, None) is True
    return family_of(config.model_type, bool(config.is_encoder_decoder), config.architectures, is_bidirectional)


def family_of_json(config: Mapping[str, Any]) -> Family:
    """The family of a model with this config.json."""
    is_encoder_decoder, is_bidirectional = bool(config.get("is_encoder_decoder")), config.get(BIDIRECTIONAL) is True
    return family_of(str(config["model_type"]), is_encoder_decoder, config.get("architectures"), is_bidirectional)
