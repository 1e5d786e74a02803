"""Tokenizing for the formats: fast tokenizers, in batches, with special tokens placed by the tokenizer's own template.

Two ways lead through this module. `encode` is for one text or a pair with plain truncation. Formats that cut or
window their texts themselves (tagging, span QA, multiple choice) take `pieces`, which has no special tokens, and
put rows together with `layout`; each text is then tokenized once however many rows it stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.ragged import Ragged, RaggedRows

CHUNK = 1000
"""Texts per call: an encoding is about 100 bytes a token, so a call over all of MNLI would hold gigabytes."""


@dataclass(frozen=True)
class Layout:
    """The special tokens a tokenizer puts around one sequence (`between` empty) or around a pair."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int, int, int, int] | None
    """Token types of: before, first, between, second, after. None where the model takes no token types."""

    @property
    def specials(self) -> int:
        """Number of special tokens in a row."""
        return len(self.before) + len(self.between) + len(self.after)

    def row(self, first: Sequence[int], second: Sequence[int] = ()) -> list[int]:
        """The `input_ids` of one row."""
        return [*self.before, *first, *self.between, *second, *self.after]

    def row_types(self, first: Sequence[int], second: Sequence[int] = ()) -> list[int]:
        """The `token_type_ids` of the same row; only where `types` is set."""
        assert self.types is not None
        lengths = (len(self.before), len(first), len(self.between), len(second), len(self.after))
        return [kind for kind, length in zip(self.types, lengths, strict=True) for _ in range(length)]


def layout(tokenizer: Any, *, pair: bool) -> Layout:
    """Read the template off an encoded probe: it is the one thing that all post-processors have in common.

    Raises:
        UserError: the tokenizer is not a fast one, or knows no letter.
    """
    _require_fast(tokenizer)
    probe = tokenizer(["a"], ["a"] if pair else None, return_token_type_ids=True)
    ids, kinds, sides = probe["input_ids"][0], probe["token_type_ids"][0], probe.sequence_ids(0)
    first = [i for i, side in enumerate(sides) if side == 0]
    second = [i for i, side in enumerate(sides) if side == 1] if pair else [len(ids), len(ids) - 1]
    if not first or not second:
        raise UserError("the tokenizer makes no token of the letter 'a'", where=tokenizer.name_or_path)
    before = ids[: first[0]]
    between = ids[first[-1] + 1 : second[0]] if pair else []
    after = ids[second[-1] + 1 :] if pair else ids[first[-1] + 1 :]
    types = None
    if "token_type_ids" in tokenizer.model_input_names:
        kind_first, kind_after = kinds[first[0]], kinds[-1]
        kind_between = kinds[first[-1] + 1] if between else kind_first
        types = (kinds[0], kind_first, kind_between, kinds[second[0]] if pair else kind_first, kind_after)
    return Layout(tuple(before), tuple(between), tuple(after), types)


def encode(
    tokenizer: Any, firsts: Sequence[str], seconds: Sequence[str | None], *, max_length: int | Sequence[int]
) -> tuple[Ragged, Ragged | None]:
    """Rows of single texts (second None) and pairs, cut 'longest_first'.

    Args:
        max_length: tokens of a row at most, for all rows or one by one.

    Returns:
        `input_ids` and, where the model takes them, `token_type_ids`, a row per text in the given order.
    """
    _require_fast(tokenizer)
    wants_types = "token_type_ids" in tokenizer.model_input_names
    input_ids, token_type_ids = RaggedRows(), RaggedRows()
    for at in range(0, len(firsts), CHUNK):
        rows = range(at, min(at + CHUNK, len(firsts)))
        alike: dict[tuple[bool, int], list[int]] = {}
        for i in rows:
            limit = max_length if isinstance(max_length, int) else max_length[i]
            alike.setdefault((seconds[i] is None, limit), []).append(i)
        encodings: dict[int, Any] = {}
        for (single, limit), chosen in alike.items():
            texts = [firsts[i] if single else (firsts[i], seconds[i]) for i in chosen]
            encodings.update(zip(chosen, _encodings(tokenizer, texts, max_length=limit), strict=True))
        for i in rows:
            input_ids.append(encodings[i].ids)
            if wants_types:
                token_type_ids.append(encodings[i].type_ids)
    return input_ids.build(), token_type_ids.build() if wants_types else None


def pieces(tokenizer: Any, texts: Sequence[Any], *, words: bool = False, offsets: bool = False) -> Iterator[Any]:
    """`tokenizers.Encoding` of each text, uncut and without special tokens.

    Args:
        texts: strings, or lists of words with `words`.
        offsets: the encodings have `offsets` and `word_ids`, which takes longer; else only `ids`.
    """
    _require_fast(tokenizer)
    for at in range(0, len(texts), CHUNK):
        yield from _encodings(tokenizer, texts[at : at + CHUNK], words=words, offsets=offsets)


def _encodings(
    tokenizer: Any, texts: Sequence[Any], *, max_length: int | None = None, words: bool = False, offsets: bool = False
) -> list[Any]:
    """What `tokenizer(texts)` holds as `encodings`, with special tokens and cut where `max_length` is given.

    The tokenizer's own call makes a dictionary of lists out of every encoding, which takes a third of its time.
    """
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = tokenizer.split_special_tokens
    backend.no_padding()
    backend.no_truncation()
    if max_length is not None:
        backend.enable_truncation(max_length, strategy="longest_first", direction=tokenizer.truncation_side)
    encode_batch = backend.encode_batch if offsets else backend.encode_batch_fast
    try:
        return encode_batch(list(texts), is_pretokenized=words, add_special_tokens=max_length is not None)
    finally:
        backend.no_truncation()  # which would be saved with the tokenizer


def room(max_length: int, specials: int, least: int = 1) -> int:
    """Tokens left for text beside the special ones.

    Raises:
        UserError: fewer than `least`.
    """
    left = max_length - specials
    if left < least:
        raise UserError(
            f"max_length {max_length} leaves no room for text beside {specials} special tokens",
            fix=f"use at least {specials + least}",
        )
    return left


def _require_fast(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise UserError(
            f"the tokenizer {type(tokenizer).__name__} is not a fast one",
            where=tokenizer.name_or_path,
            fix="the formats need its character offsets: take a model that ships a tokenizer.json",
        )
