"""Full models and delta checkpoints on disk. A delta checkpoint stores only what a stage changed in its parent model.

A stage that trained a compact vocabulary (models/compact_vocabulary.py) stores everything but the full input embeddings:

    config.json  tokenizer.json ...  heads.json  heads.safetensors  delta.json  delta.safetensors

`delta.safetensors` holds the other tensors of the backbone and the trained embedding rows. `delta.json` holds the parent model,
the factor by which weight decay scaled the untrained rows, and the SHA-256 of the embeddings (float32, row after row). Loading
rebuilds the embeddings from the parent's, down to a full model. A SHA-256 that does not match is an error.

A stage that trained adapters (models/adapters.py) stores only those, in peft's adapter files:

    config.json  tokenizer.json ...  heads.json  heads.safetensors  delta.json  adapter_config.json  adapter_model.safetensors

Here `delta.json` holds the parent model and the SHA-256 of the weights with the adapters folded in (without embeddings that an
earlier delta checkpoint covers). Delta checkpoints of both kinds may build on each other in any order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xlift.errors import UserError
from xlift.models.adapters import LoraWeights, read_adapter, write_adapter
from xlift.models.compact_vocabulary import CompactVocabulary, update_embedding_rows
from xlift.models.pretrained import first_line

DELTA_FILE = "delta.json"
DELTA_WEIGHTS = "delta.safetensors"
TRAINED_IDS = "trained.ids"
"""Tensor with the token ids of the trained rows. The rows are stored under the name of the embeddings."""
BLOCK = 8192
"""Embedding rows in memory at a time."""


@dataclass(frozen=True)
class ParentModel:
    """The model that a stage started from: the artifact of a job, or a pretrained one."""

    job: str = ""
    """Key of the job; '' for a pretrained model."""
    fingerprint: str = ""


@dataclass(frozen=True)
class VocabularyDelta:
    """Content of `delta.json` after a stage with a compact vocabulary."""

    embeddings_name: str
    """Name of the input embeddings in the backbone."""
    shape: tuple[int, int]
    decay: float
    """Factor of the untrained rows, exactly representable in float32."""
    parent: ParentModel
    sha256: str
    """Of the embeddings."""


@dataclass(frozen=True)
class AdapterDelta:
    """Content of `delta.json` after a stage with adapters."""

    parent: ParentModel
    sha256: str
    """Of the backbone with the adapters folded in (`hash_weights`)."""


@dataclass(frozen=True)
class StoredModel:
    """A model's folder, full or with a delta checkpoint, and the models that it builds on.

    Raises, in all methods:
        UserError: a file is missing or damaged, or the SHA-256 of the rebuilt embeddings does not match.
    """

    folder: Path
    delta: VocabularyDelta | None = None
    parent: StoredModel | None = None
    """The model that the stage started from, for a delta checkpoint."""

    @property
    def is_full(self) -> bool:
        """Whether the folder holds the full model."""
        return self.delta is None

    @property
    def has_partial_embeddings(self) -> bool:
        """Whether the input embeddings must be rebuilt from a parent's."""
        return self.delta is not None

    @cached_property
    def tensor_files(self) -> dict[str, tuple[Path, str]]:
        """Tensor name in the backbone -> its file and its name there. Names in checkpoints may start with the backbone's
        prefix ('roberta.'), and old conversions of BERT name a norm's weight and bias gamma and beta."""
        found: dict[str, tuple[Path, str]] = {}
        bare: dict[str, tuple[Path, str]] = {}
        for path in self._files():
            with _open_safetensors(path) as file:
                for key in file.keys():  # noqa: SIM118 (no dict)
                    name = key.replace("LayerNorm.gamma", "LayerNorm.weight")
                    name = name.replace("LayerNorm.beta", "LayerNorm.bias")
                    found[name] = (path, key)
                    bare[name.partition(".")[2]] = (path, key)
        return {**bare, **found}

    def tensor_names(self) -> list[str]:
        """Names of all tensors, as in the files."""
        return sorted({key for _, key in self.tensor_files.values()})

    def read_tensor(self, name: str) -> Tensor | None:
        """A tensor from the files, memory-mapped; None where there is none. A delta's embeddings are its trained rows."""
        if name not in self.tensor_files:
            return None
        path, key = self.tensor_files[name]
        with _open_safetensors(path) as file:
            return file.get_tensor(key)

    def read_embeddings(self, name: str) -> Tensor:
        """(vocabulary, width) float32: the input embeddings of a delta checkpoint, rebuilt and verified."""
        assert self.delta is not None
        embeddings = torch.empty(self.delta.shape)
        start = 0
        for block in self._iterate_verified_blocks(name):
            embeddings[start : start + len(block)] = block
            start += len(block)
        return embeddings

    def read_embedding_rows(self, name: str, ids: Tensor) -> Tensor:
        """(ids, width) float32: some rows of the embeddings; no other row is read. `verify_embeddings` verifies them."""
        if self.delta is None or self.parent is None:
            return self._require_tensor(name)[ids].float()
        rows = self.parent.read_embedding_rows(name, ids)
        rows.mul_(torch.tensor(self.delta.decay, dtype=torch.float32))
        trained_ids = self._require_tensor(TRAINED_IDS)
        index = torch.searchsorted(trained_ids, ids).clamp(max=len(trained_ids) - 1)
        is_trained = trained_ids[index] == ids
        rows[is_trained] = self._require_tensor(name)[index[is_trained]]
        return rows

    def verify_embeddings(self) -> None:
        """Raises UserError where the rebuilt embeddings do not match their SHA-256. Does nothing for a full model."""
        if self.delta is not None:
            for _ in self._iterate_verified_blocks(self.delta.embeddings_name):
                pass

    def iterate_blocks(self, name: str) -> Iterator[Tensor]:
        """The embeddings as float32 blocks of rows. The caller may change a block."""
        if self.delta is None or self.parent is None:
            path, key = self._locate(name)
            with _open_safetensors(path) as file:
                num_rows = file.get_slice(key).get_shape()[0]
            for start in range(0, num_rows, BLOCK):
                with _open_safetensors(path) as file:  # map again, or all pages read so far would stay in memory
                    block = file.get_slice(key)[start : start + BLOCK].to(torch.float32, copy=True)
                yield block
        else:
            ids, rows = self._require_tensor(TRAINED_IDS), self._require_tensor(name)
            yield from apply_delta(self.parent.iterate_blocks(name), self.delta.decay, ids, rows)

    def _iterate_verified_blocks(self, name: str) -> Iterator[Tensor]:
        assert self.delta is not None
        digest, num_rows = hashlib.sha256(), 0
        try:
            for block in self.iterate_blocks(name):
                digest.update(_bytes(block))
                num_rows += len(block)
                if num_rows > self.delta.shape[0]:
                    break
                yield block
        except (RuntimeError, IndexError):  # ids or shapes that do not match
            digest.update(b"damaged")
        if digest.hexdigest() != self.delta.sha256:
            raise _parent_mismatch_error(self)

    def _require_tensor(self, name: str) -> Tensor:
        path, key = self._locate(name)
        with _open_safetensors(path) as file:
            return file.get_tensor(key)

    def _locate(self, name: str) -> tuple[Path, str]:
        if name not in self.tensor_files:
            raise UserError(f"the model's files have no tensor '{name}'", where=str(self.folder))
        return self.tensor_files[name]

    def _files(self) -> list[Path]:
        if self.delta is not None:
            return [self.folder / DELTA_WEIGHTS]
        single = self.folder / "model.safetensors"
        return [single] if single.is_file() else sorted(self.folder.glob("model-*.safetensors"))


@dataclass(frozen=True)
class StoredAdapter(StoredModel):
    """A delta checkpoint with adapters: the parent model with these adapters folded in."""

    adapter_delta: AdapterDelta | None = None

    @property
    def is_full(self) -> bool:
        return False

    @property
    def has_partial_embeddings(self) -> bool:
        return self._parent.has_partial_embeddings

    @property
    def tensor_files(self) -> dict[str, tuple[Path, str]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._parent.tensor_files

    def read_tensor(self, name: str) -> Tensor | None:
        tensor = self._parent.read_tensor(name)
        if tensor is None or name not in self.lora_weights:
            return tensor
        tensor = tensor.to(torch.float32, copy=True)
        self.lora_weights[name].add_to(tensor)
        return tensor

    def read_embeddings(self, name: str) -> Tensor:
        return self._parent.read_embeddings(name)

    def read_embedding_rows(self, name: str, ids: Tensor) -> Tensor:
        return self._parent.read_embedding_rows(name, ids)

    def verify_embeddings(self) -> None:
        self._parent.verify_embeddings()

    def iterate_blocks(self, name: str) -> Iterator[Tensor]:
        return self._parent.iterate_blocks(name)

    @cached_property
    def lora_weights(self) -> dict[str, LoraWeights]:
        """Name of a matrix in the backbone -> its LoRA weights."""
        return read_adapter(self.folder)

    def fold_into(self, weights: dict[str, Tensor], embeddings_name: str) -> None:
        """Fold the adapters into the parent's weights, in place, and verify the result.

        Args:
            weights: the parent's backbone weights, float32.
            embeddings_name: name of the input embeddings.
        """
        assert self.adapter_delta is not None
        try:
            for name, lora in self.lora_weights.items():
                lora.add_to(weights[name])
            sha256 = hash_weights(weights, exclude=embeddings_name if self.has_partial_embeddings else "")
        except (RuntimeError, IndexError, KeyError):  # names or shapes that do not match
            sha256 = ""
        if sha256 != self.adapter_delta.sha256:
            raise _parent_mismatch_error(self)

    @property
    def _parent(self) -> StoredModel:
        assert self.parent is not None
        return self.parent


def find_stored_model(folder: Path, find_parent: Callable[[ParentModel], Path]) -> StoredModel:
    """The model in a folder, with all models that it builds on.

    Args:
        find_parent: parent model -> its folder; raises UserError where there is none.
    """
    delta = read_delta(folder)
    if delta is None:
        return StoredModel(folder)
    parent = find_stored_model(find_parent(delta.parent), find_parent)
    if isinstance(delta, AdapterDelta):
        return StoredAdapter(folder, parent=parent, adapter_delta=delta)
    return StoredModel(folder, delta, parent)


def read_delta(folder: Path) -> VocabularyDelta | AdapterDelta | None:
    """The content of `delta.json`; None for a full model. Raises UserError where the file is damaged."""
    path = folder / DELTA_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        parent, sha256 = ParentModel(**content["parent"]), str(content["sha256"])
        if content.get("adapter"):
            return AdapterDelta(parent, sha256)
        num_rows, width = content["shape"]
        shape = int(num_rows), int(width)
        return VocabularyDelta(str(content["embeddings_name"]), shape, float(content["decay"]), parent, sha256)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{DELTA_FILE} is damaged: {error}", where=str(folder)) from None


def write_vocabulary_delta(
    folder: Path, tensors: dict[str, Tensor], embeddings_name: str, compact: CompactVocabulary, stored: StoredModel,
    parent: ParentModel, decay: float,
) -> None:  # fmt: skip
    """Write what a stage with a compact vocabulary changed.

    Args:
        tensors: of the backbone, with the trained rows under the name of the embeddings.
        stored, parent: the model that the stage started from.
        decay: factor by which weight decay scaled the untrained rows (`TrainOutput.total_weight_decay`).
    """
    decay = torch.tensor(decay, dtype=torch.float32).item()
    digest = hashlib.sha256()
    for block in apply_delta(stored.iterate_blocks(embeddings_name), decay, compact.ids, compact.rows):
        digest.update(_bytes(block))
    delta = VocabularyDelta(embeddings_name, compact.shape, decay, parent, digest.hexdigest())
    save_file({**tensors, TRAINED_IDS: compact.ids}, folder / DELTA_WEIGHTS)
    _write_delta_file(folder, asdict(delta))


def write_adapter_delta(
    folder: Path, backbone: nn.Module, plain: Iterable[tuple[str, Tensor]], embeddings_name: str, stored: StoredModel,
    parent: ParentModel,
) -> None:  # fmt: skip
    """Write the adapters of a backbone.

    Args:
        plain: the weights of the backbone with the adapters folded in.
        embeddings_name: name of the input embeddings.
        stored, parent: the model that the stage started from.
    """
    write_adapter(folder, backbone)
    sha256 = hash_weights(plain, exclude=embeddings_name if stored.has_partial_embeddings else "")
    _write_delta_file(folder, {**asdict(AdapterDelta(parent, sha256)), "adapter": True})


def _write_delta_file(folder: Path, content: dict[str, Any]) -> None:
    content["parent"] = {name: value for name, value in content["parent"].items() if value}
    (folder / DELTA_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def hash_weights(weights: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], exclude: str = "") -> str:
    """SHA-256 over the names and bytes (float32) of weights, sorted by name. Of an iterable one tensor is in memory at a time.

    Args:
        exclude: a name to leave out.
    """
    pairs = weights.items() if isinstance(weights, Mapping) else weights
    digests = {
        name: hashlib.sha256(_bytes(t.detach().float().cpu())).hexdigest() for name, t in pairs if name != exclude
    }
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def _parent_mismatch_error(stored: StoredModel) -> UserError:
    return UserError(
        "cannot rebuild this model from its delta checkpoint: its parent is not the model that its stage started from",
        where=str(stored.folder),
        fix=f"the parent is in {stored.parent and stored.parent.folder}: put the right model there. Or move this model's "
        "artifact out of the store, and `xlift run` with its study trains it again.",
    )


def apply_delta(blocks: Iterable[Tensor], decay: float, ids: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """The blocks of the embeddings after a stage that trained `rows` at `ids`."""
    start = 0
    for block in blocks:
        update_embedding_rows(block, start, decay, ids, rows)
        yield block
        start += len(block)


def _bytes(block: Tensor) -> Any:
    return block.contiguous().numpy().data


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    """`safe_open` that raises UserError."""
    try:
        opened = safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"the model cannot be read: {first_line(error)}", where=str(path)) from error
    with opened as file:
        yield file
