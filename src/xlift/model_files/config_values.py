"""Values of a config.json: their kinds, as transformers declares them for the types in `REQUIRED`, and their ranges.

transformers refuses a value of another kind, also a whole number where it declares a float. A test holds the kinds against its
declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.model_files.contents import kind_of

_NAMES = {
    "size": """vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings d_model d_ff
        d_kv num_layers num_heads encoder_layers encoder_ffn_dim encoder_attention_heads decoder_layers decoder_ffn_dim
        decoder_attention_heads type_vocab_size relative_attention_num_buckets local_attention query_pre_attn_scalar
        num_key_value_heads head_dim num_decoder_layers sliding_window relative_attention_max_distance no_rope_layer_interval""",
    "whole": """pad_token_id bos_token_id cls_token_id sep_token_id decoder_start_token_id sparse_pred_ignore_index max_window_layers
        chunk_size_feed_forward pretraining_tp""",
    "ids": "eos_token_id forced_eos_token_id",
    "float": """initializer_range layer_norm_eps rms_norm_eps norm_eps layer_norm_epsilon initializer_factor init_std
        initializer_cutoff_factor final_logit_softcapping attn_logit_softcapping""",
    "share": """hidden_dropout_prob attention_probs_dropout_prob classifier_dropout attention_dropout embedding_dropout mlp_dropout
        dropout dropout_rate activation_dropout encoder_layerdrop decoder_layerdrop""",
    "flag": """is_decoder is_encoder_decoder use_cache add_cross_attention tie_word_embeddings attention_bias mlp_bias norm_bias
        decoder_bias classifier_bias deterministic_flash_attn sparse_prediction scale_embedding use_sliding_window
        use_bidirectional_attention is_gated_act""",
    "activation": "dense_act_fn hidden_act hidden_activation activation_function classifier_activation",
    "text": "feed_forward_proj classifier_pooling dtype torch_dtype",
    "texts": "architectures layer_types",
    "object": "id2label label2id rope_parameters rope_scaling",
}
KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
"""Name of a value -> its kind."""
OPTIONAL = set("""num_key_value_heads head_dim num_decoder_layers sliding_window pad_token_id bos_token_id cls_token_id sep_token_id
decoder_start_token_id eos_token_id forced_eos_token_id final_logit_softcapping attn_logit_softcapping classifier_dropout
attention_dropout architectures layer_types id2label label2id rope_parameters rope_scaling dtype torch_dtype
use_bidirectional_attention pretraining_tp""".split())  # fmt: skip
"""Values that may be null, in some types at least."""
OPTIONAL_IN = {
    "attention_dropout": ("gemma2", "gemma3_text", "llama"),
    "classifier_dropout": ("bert", "camembert", "roberta", "xlm-roberta"),
    "head_dim": ("llama", "mistral"),
    "num_key_value_heads": ("llama", "olmo2", "qwen2", "qwen3", "smollm3"),
}
"""Name of a value -> the only types where it may be null."""
EXPECTED = {
    "size": "a whole number above 0", "whole": "a whole number", "ids": "an id or a list of ids", "float": "a number with a point",
    "share": "a number from 0 to 1", "flag": "true or false", "activation": "the name of an activation function", "text": "a text",
    "texts": "a list of texts", "object": "an object",
}  # fmt: skip
ACTIVATIONS = tuple("""gelu gelu_10 gelu_fast gelu_new gelu_python gelu_pytorch_tanh gelu_python_tanh gelu_accurate hardswish laplace
leaky_relu linear mish quick_gelu relu relu2 relu6 sigmoid silu sqrtsoftplus swish tanh prelu xielu""".split())  # fmt: skip
LAYERS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
MOST_LAYERS = 1000
"""No model has more; the tensors of so many would fill the memory."""
DTYPES = ("float32", "float16", "bfloat16", "float64", "float", "half", "double", "auto")


def check_values(config: Mapping[str, Any], path: Path) -> None:
    """Raises UserError for a value of the wrong kind, or out of its range."""
    model_type = config["model_type"]
    for name in config:
        kind, is_optional = KINDS.get(name), name in OPTIONAL and model_type in OPTIONAL_IN.get(name, (model_type,))
        if kind is None or is_optional and config[name] is None:
            continue
        value: Any = config[name]
        if not _is_right(kind, value):
            hint = did_you_mean(value, ACTIVATIONS) if isinstance(value, str) and kind == "activation" else ""
            raise UserError(f"`{name}` is {kind_of(value)}, expected {EXPECTED[kind]}", where=str(path), fix=hint)
        if name == "initializer_range" and not 0 <= value <= 1:
            raise UserError(f"`{name}` is {value}, expected a number from 0 to 1", where=str(path))
        if name in LAYERS and value > MOST_LAYERS:
            raise UserError(f"`{name}` is {value:,}, expected at most {MOST_LAYERS:,}", where=str(path))
        if name in ("dtype", "torch_dtype") and value not in DTYPES:
            raise UserError(
                f"`{name}` is '{value}', expected {', '.join(DTYPES[:3])}",
                where=str(path),
                fix=did_you_mean(value, DTYPES),
            )
    if config.get("add_cross_attention"):
        raise UserError(
            "`add_cross_attention` is true: the model is a part of an encoder-decoder model", where=str(path)
        )
    _check_names(config, path)


def _is_right(kind: str, value: Any) -> bool:
    if kind in ("size", "whole"):
        return type(value) is int and (kind == "whole" or value > 0)
    if kind == "ids":
        return type(value) is int or isinstance(value, list) and all(type(each) is int for each in value)
    if kind == "float":
        return type(value) is float
    if kind == "share":
        return type(value) in (int, float) and 0 <= value <= 1
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "activation":
        return value in ACTIVATIONS if isinstance(value, str) else False
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, str if kind == "text" else dict)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and value > 0


def _check_names(config: Mapping[str, Any], path: Path) -> None:
    """Raises UserError for names that transformers does not have in the values of a config."""
    forward = config.get("feed_forward_proj")
    if forward is not None and forward.removeprefix("gated-") not in ACTIVATIONS:
        raise UserError(
            f"`feed_forward_proj` is '{forward}', expected for instance 'gated-gelu' or 'relu'", where=str(path)
        )
    if config.get("classifier_pooling", "cls") not in ("cls", "mean"):
        raise UserError(
            f"`classifier_pooling` is '{config['classifier_pooling']}', expected 'cls' or 'mean'", where=str(path)
        )
    for name in ("rope_parameters", "rope_scaling"):
        _check_rope(name, config.get(name) or {}, path)
    layers = config.get("layer_types")
    if layers is None:
        return
    if len(layers) != config.get("num_hidden_layers", len(layers)):
        raise UserError(
            f"`layer_types` has {len(layers)} entries, and `num_hidden_layers` is {config['num_hidden_layers']}",
            where=str(path),
        )
    unknown = [layer for layer in layers if layer not in ("full_attention", "sliding_attention", "attention")]
    if unknown:
        raise UserError(
            f"`layer_types` has '{unknown[0]}', expected full_attention or sliding_attention", where=str(path)
        )


ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")
_LAYER_TYPES = ("full_attention", "sliding_attention")


def _check_rope(name: str, values: Mapping[str, Any], path: Path) -> None:
    """Raises UserError for settings of rotary positions that transformers cannot compute."""
    for key in values:
        value: Any = values[key]
        if key in _LAYER_TYPES:
            if not isinstance(value, dict):
                raise UserError(f"`{name}.{key}` is {kind_of(value)}, expected an object", where=str(path))
            _check_rope(f"{name}.{key}", value, path)
        elif key in ("rope_type", "type") and value not in ROPE_TYPES:
            hint = did_you_mean(value, ROPE_TYPES) if isinstance(value, str) else ""
            raise UserError(
                f"`{name}.{key}` is {kind_of(value)}, expected one of {', '.join(ROPE_TYPES)}",
                where=str(path),
                fix=hint,
            )
        elif key in ("rope_theta", "factor") and not _is_positive(value):
            raise UserError(f"`{name}.{key}` is {kind_of(value)}, expected a number above 0", where=str(path))
