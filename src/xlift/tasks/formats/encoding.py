"""Tokenization for the formats: fast tokenizers, in batches, with the tokenizer's own special tokens.

`encode` is for single texts and pairs with plain truncation. Formats that cut or window texts themselves (tagging, span
QA, multiple choice) call `tokenize`, which adds no special tokens, and build rows with `SpecialTokens`, so each text is
tokenized once, however many rows it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.ragged import Ragged, RaggedBuilder

TEXTS_PER_CALL = 1000
"""An encoding takes about 100 bytes per token, so one call for all of MNLI would hold gigabytes."""


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens that a tokenizer puts around one sequence (`between` is empty) or around a pair."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    token_types: tuple[int, int, int, int, int] | None
    """Token types of: before, first, between, second, after. None if the model takes no token types."""

    @property
    def count(self) -> int:
        """Number of special tokens in a row."""
        return len(self.before) + len(self.between) + len(self.after)

    def build_input_ids(self, first: Sequence[int], second: Sequence[int] = ()) -> list[int]:
        """The `input_ids` of one row."""
        return [*self.before, *first, *self.between, *second, *self.after]

    def build_token_type_ids(self, first: Sequence[int], second: Sequence[int] = ()) -> list[int]:
        """The `token_type_ids` of the same row; only if `token_types` is set."""
        assert self.token_types is not None
        lengths = (len(self.before), len(first), len(self.between), len(second), len(self.after))
        return [token_type for token_type, length in zip(self.token_types, lengths, strict=True) for _ in range(length)]


def get_special_tokens(tokenizer: Any, *, pair: bool) -> SpecialTokens:
    """Read the special tokens off an encoded probe, which works with every post-processor.

    Raises:
        UserError: the tokenizer is not a fast one, or makes no token of the letter 'a'.
    """
    _require_fast(tokenizer)
    probe = tokenizer(["a"], ["a"] if pair else None, return_token_type_ids=True)
    ids, types, sides = probe["input_ids"][0], probe["token_type_ids"][0], probe.sequence_ids(0)
    first = [i for i, side in enumerate(sides) if side == 0]
    second = [i for i, side in enumerate(sides) if side == 1] if pair else [len(ids), len(ids) - 1]
    if not first or not second:
        raise UserError("the tokenizer makes no token of the letter 'a'", where=tokenizer.name_or_path)
    before = ids[: first[0]]
    between = ids[first[-1] + 1 : second[0]] if pair else []
    after = ids[second[-1] + 1 :] if pair else ids[first[-1] + 1 :]
    token_types = None
    if "token_type_ids" in tokenizer.model_input_names:
        type_first, type_after = types[first[0]], types[-1]
        type_between = types[first[-1] + 1] if between else type_first
        token_types = (types[0], type_first, type_between, types[second[0]] if pair else type_first, type_after)
    return SpecialTokens(tuple(before), tuple(between), tuple(after), token_types)


def encode(
    tokenizer: Any, firsts: Sequence[str], seconds: Sequence[str | None], *, max_length: int | Sequence[int]
) -> tuple[Ragged, Ragged | None]:
    """Rows of single texts (second None) and pairs, truncated 'longest_first'.

    Args:
        max_length: maximal tokens of a row, for all rows or one by one.

    Returns:
        `input_ids` and, if the model takes them, `token_type_ids`, one row per text in the given order.
    """
    _require_fast(tokenizer)
    wants_types = "token_type_ids" in tokenizer.model_input_names
    input_ids, token_type_ids = RaggedBuilder(), RaggedBuilder()
    for at in range(0, len(firsts), TEXTS_PER_CALL):
        rows = range(at, min(at + TEXTS_PER_CALL, len(firsts)))
        groups: dict[tuple[bool, int], list[int]] = {}
        for i in rows:
            limit = max_length if isinstance(max_length, int) else max_length[i]
            groups.setdefault((seconds[i] is None, limit), []).append(i)
        encodings: dict[int, Any] = {}
        for (single, limit), group in groups.items():
            texts = [firsts[i] if single else (firsts[i], seconds[i]) for i in group]
            encodings.update(zip(group, _encodings(tokenizer, texts, max_length=limit), strict=True))
        for i in rows:
            input_ids.append(encodings[i].ids)
            if wants_types:
                token_type_ids.append(encodings[i].type_ids)
    return input_ids.build(), token_type_ids.build() if wants_types else None


def tokenize(tokenizer: Any, texts: Sequence[Any], *, words: bool = False, offsets: bool = False) -> Iterator[Any]:
    """`tokenizers.Encoding` of each text, without truncation and special tokens.

    Args:
        texts: strings, or lists of words if `words`.
        offsets: fill `offsets` and `word_ids` too, which takes longer; by default only `ids`.
    """
    _require_fast(tokenizer)
    for at in range(0, len(texts), TEXTS_PER_CALL):
        yield from _encodings(tokenizer, texts[at : at + TEXTS_PER_CALL], words=words, offsets=offsets)


def _encodings(
    tokenizer: Any, texts: Sequence[Any], *, max_length: int | None = None, words: bool = False, offsets: bool = False
) -> list[Any]:
    """The `encodings` of `tokenizer(texts)`; with special tokens and truncation only if `max_length` is given.

    Calling the tokenizer itself would also convert every encoding to lists, which takes a third of its time.
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
        backend.no_truncation()  # else truncation would be saved with the tokenizer


def max_text_tokens(max_length: int, num_special_tokens: int, minimum: int = 1) -> int:
    """Tokens of a row that are left for text.

    Raises:
        UserError: they are fewer than `minimum`.
    """
    left = max_length - num_special_tokens
    if left < minimum:
        raise UserError(
            f"max_length {max_length} leaves no room for text beside {num_special_tokens} special tokens",
            fix=f"set max_length to at least {num_special_tokens + minimum}.",
        )
    return left


def _require_fast(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise UserError(
            f"the tokenizer {type(tokenizer).__name__} is not a fast one",
            where=tokenizer.name_or_path,
            fix="use a model with a tokenizer.json: the formats need the character offsets of fast tokenizers.",
        )
