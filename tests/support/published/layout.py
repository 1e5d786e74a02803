"""A published checkpoint rebuilt with tiny random weights, and what several of them share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save
from tests.support.published import tokenizers as made
from tests.support.published.tokenizers import Files, to_json
from torch import Tensor
from transformers import AutoConfig

BERT_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
DECODER_SIZES = BERT_SIZES | {"num_key_value_heads": 2}
T5_SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
BART_SIZES = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "num_hidden_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
}  # fmt: skip
NO_LIMIT = 1000000000000000019884624838656


@dataclass(frozen=True)
class Layout:
    """A published checkpoint."""

    name: str
    """Its id on the Hub."""
    config: Mapping[str, Any]
    """config.json without `vocab_size`."""
    files: Callable[[], Files]
    """The tokenizer's files, and others beside config.json and weights."""
    weights: str = "safetensors"
    """'safetensors' or 'bin'."""
    shards: int = 1
    dtype: torch.dtype = torch.float32
    prefix: str = ""
    """Weights are those of the class in `architectures`. A prefix that their names have beside hers."""
    model_class: str = ""
    """The class that made the weights, where it is not the one in `architectures`."""
    spare_rows: int = 8
    """Rows of the embeddings after the last token."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Regular expression -> replacement, for names of tensors."""
    generation_config: Mapping[str, Any] = field(default_factory=dict)
    extra_tensors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Tensors that the class does not have. 'vocab' in a shape would be the vocabulary's size: -1."""
    separate_output: bool = False
    """Its output layer is not its embeddings, which transformers 5 assumes of T5."""
    gated: bool = False

    @property
    def needs_conversion(self) -> bool:
        return self.weights == "bin" or "tokenizer.json" not in self.files()

    def write(self, folder: Path) -> dict[str, Tensor]:
        """Write all files, and return the tensors of the weights as published."""
        folder.mkdir(parents=True, exist_ok=True)
        files = self.files()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        config = {**self.config, "vocab_size": count_tokens(files) + self.spare_rows}
        (folder / "config.json").write_bytes(to_json(config))
        if self.generation_config:
            (folder / "generation_config.json").write_bytes(to_json(dict(self.generation_config)))
        (folder / "README.md").write_text(f"---\nlicense: other\n---\n# {self.name}\n", encoding="utf-8")
        (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n", encoding="utf-8")
        tensors = (
            self._tensors(folder)
            if self.model_class != "none"
            else {"language_model.model.norm.weight": torch.ones(32)}
        )
        self._write_weights(folder, tensors)
        return tensors

    def _tensors(self, folder: Path) -> dict[str, Tensor]:
        config = AutoConfig.from_pretrained(folder)
        model_class: Any = getattr(transformers, self.model_class or self.config["architectures"][0])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = model_class._from_config(config, dtype=torch.float32)
            state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            if self.separate_output:
                state["lm_head.weight"] = torch.randn_like(state["lm_head.weight"]) * 0.05
            for name, shape in self.extra_tensors.items():
                state[name] = torch.randn([config.vocab_size if size < 0 else size for size in shape])
        tied = set(getattr(model, "all_tied_weights_keys", {})) - (
            {"lm_head.weight"} if self.separate_output else set()
        )
        if self.weights == "safetensors":  # which has each tensor once; pickled files have all names
            state = {name: tensor for name, tensor in state.items() if name not in tied}
        renamed = {}
        for name, tensor in state.items():
            for pattern, replacement in self.rename.items():
                name = re.sub(pattern, replacement, name)
            renamed[self.prefix + name] = tensor.to(self.dtype) if tensor.is_floating_point() else tensor
        return renamed

    def _write_weights(self, folder: Path, tensors: dict[str, Tensor]) -> None:
        stem, suffix = ("pytorch_model", "bin") if self.weights == "bin" else ("model", "safetensors")
        names, weight_map = list(tensors), {}
        for n in range(self.shards):
            file = f"{stem}.{suffix}" if self.shards == 1 else f"{stem}-{n + 1:05}-of-{self.shards:05}.{suffix}"
            part = {name: tensors[name] for name in names[n :: self.shards]}
            if self.weights == "bin":
                torch.save(part, folder / file)
            else:
                part = {name: tensor.contiguous() for name, tensor in part.items()}
                (folder / file).write_bytes(save(part, metadata={"format": "pt"}))
            weight_map |= dict.fromkeys(part, file)
        if self.shards > 1:
            size = sum(tensor.nbytes for tensor in tensors.values())
            index = {"metadata": {"total_size": size}, "weight_map": weight_map}
            (folder / f"{stem}.{suffix}.index.json").write_bytes(to_json(index))

    def contents(self, folder: Path) -> Files:
        """The files of a folder that `write` wrote, as a repository of the Hub."""
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()
        }  # fmt: skip


def count_tokens(files: Files) -> int:
    """Ids that the tokenizer of these files has, from 0 to the largest."""
    if "tokenizer.json" in files:
        document = json.loads(files["tokenizer.json"])
        vocabulary = document["model"]["vocab"]
        ids = [*(vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary)))]
        return max(*ids, *(token["id"] for token in document["added_tokens"])) + 1
    models = [content for name, content in files.items() if name.endswith(".model")]
    if not models:
        return 3 + 256 + 125  # ByT5
    return len(made.read_proto(models[0]).pieces) + 64  # fairseq's four, `<mask>`, language tokens


def base_config(model_type: str, architecture: str, *sizes: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_type": model_type,
        "architectures": [architecture],
        "transformers_version": "4.40.0",
    }
    for each in sizes:
        config |= each
    return config | values


FAIRSEQ_MAP: dict[str, Any] = {
    "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>",
    "mask_token": {"content": "<mask>", "lstrip": True, "normalized": True, "rstrip": False, "single_word": False},
}  # fmt: skip
FAIRSEQ_SETTINGS: dict[str, Any] = FAIRSEQ_MAP | {"mask_token": {"__type": "AddedToken", **FAIRSEQ_MAP["mask_token"]}}
"""As in tokenizer_config.json, where version 4 marks tokens with options."""


def sentence_transformers_files(modules: list[tuple[str, str, str]]) -> Files:
    listed = [
        {"idx": int(n), "name": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, path, kind in modules
    ]
    return {
        "modules.json": to_json(listed), "sentence_bert_config.json": to_json({"max_seq_length": 256, "do_lower_case": False}),
        "config_sentence_transformers.json": to_json({"__version__": {"sentence_transformers": "2.2.2"}}),
    }  # fmt: skip


def named_token(content: str, *, special: bool = True) -> dict[str, Any]:
    return {
        "content": content,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": special,
    }


def byte_level_files(
    specials: tuple[str, ...], *, tokenizer_class: str = "PreTrainedTokenizerFast", vocab: bool = False, how: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Files:  # fmt: skip
    """tokenizer.json of byte-level BPE, and a tokenizer_config.json that lists every special token by its id."""
    how = dict(how or {})
    vocabulary, merges = made.byte_level(specials, first=how.get("first", False))
    plain = how.get("plain", ())
    listed = {str(vocabulary[token]): named_token(token, special=token not in plain) for token in specials}
    files = {
        "tokenizer.json": made.byte_level_json(specials, **how),
        "tokenizer_config.json": to_json({"added_tokens_decoder": listed, "tokenizer_class": tokenizer_class,
                                          "clean_up_tokenization_spaces": False, **settings}),
    }  # fmt: skip
    if vocab:
        files["vocab.json"] = to_json({name: n for name, n in vocabulary.items() if name not in specials})
        files["merges.txt"] = ("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)).encode()
    return files
