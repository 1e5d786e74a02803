"""Tagging: one tag per word. Parts of speech, names, supertags.

The tag of a word is learnt and predicted on its first sub-word. A sentence that does not fit into `max_length`
is split into several rows between words and its predictions are joined again, as XTREME does; no word is ever
lost. (jiant cuts instead, which loses the words behind the cut.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import IGNORE, Features
from xlift.tasks.formats.ragged import RaggedRows


@dataclass(frozen=True)
class TaggingExample:
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


class Tagging:
    name = "tagging"
    head = "token"
    example = TaggingExample

    def check(self, example: TaggingExample, labels: Sequence[str]) -> str | None:
        if not example.words:
            return "a sentence without words"
        for i, word in enumerate(example.words):
            if not word.strip():
                return f"word {i + 1} is empty"
        if example.tags is None:
            return None
        if len(example.tags) != len(example.words):
            return f"{len(example.words)} words but {len(example.tags)} tags"
        for i, tag in enumerate(example.tags):
            if labels and tag not in labels:  # CCGbank's are not declared: they are read off its files
                return f"unknown label '{tag}' on word {i + 1} (expected one of: {', '.join(labels)})"
        return None

    def texts(self, example: TaggingExample) -> tuple[str, ...]:
        return (" ".join(example.words),)

    def features(
        self,
        examples: Sequence[TaggingExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> Features:
        """One row per sentence that fits, more for longer ones; a row is a unit.

        Targets: 'label', rows as long as those of `input_ids`: the tag's index on first sub-words, IGNORE elsewhere.
        Extra: 'first', the positions of the first sub-words in the row.
        """
        layout = encoding.layout(tokenizer, pair=False)
        room = encoding.room(max_length, layout.specials)
        index = {label: i for i, label in enumerate(labels)}
        input_ids, types, targets, firsts = RaggedRows(), RaggedRows(), RaggedRows(), RaggedRows()
        owner: list[int] = []
        encodings = encoding.pieces(tokenizer, [_spaced(e.words) for e in examples], words=True, offsets=True)
        for n, (example, encoded) in enumerate(zip(examples, encodings, strict=True)):
            tags = [IGNORE] * len(example.words) if example.tags is None else [index[tag] for tag in example.tags]
            done = 0
            for words in _rows(_by_word(encoded, len(example.words), tokenizer), room):
                text = [piece for word in words for piece in word]
                row = layout.row(text)
                if layout.types is not None:
                    types.append(layout.row_types(text))
                lengths = [len(layout.before), *(len(word) for word in words)]
                first = np.cumsum(lengths)[:-1].tolist()
                target = [IGNORE] * len(row)
                for position, tag in zip(first, tags[done : done + len(words)], strict=True):
                    target[position] = tag
                done += len(words)
                input_ids.append(row)
                owner.append(n)
                targets.append(target)
                firsts.append(first)
        return Features(
            input_ids.build(),
            example=np.array(owner, dtype=np.int64),
            unit=np.arange(len(input_ids)),
            token_type_ids=types.build() if layout.types is not None else None,
            targets={"label": targets.build()},
            extra={"first": firsts.build()},
        )

    def decode(
        self, examples: Sequence[TaggingExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[list[str]]:
        """One tag per word: the rows of a sentence joined in order."""
        predictions: list[list[str]] = [[] for _ in examples]
        for n, first, classes in zip(features.example, features.extra["first"], outputs, strict=True):
            predictions[n] += [labels[label] for label in np.asarray(classes)[first].tolist()]
        return predictions

    def gold(self, example: TaggingExample) -> list[str] | None:
        return None if example.tags is None else list(example.tags)


def _spaced(words: Sequence[str]) -> list[str]:
    """Every word but the first gets its space back.

    Byte-level tokenizers without `add_prefix_space` (ModernBERT) and Gemma's (mmBERT) would otherwise read each
    word as the continuation of the one before; the others strip the space or add it themselves.
    """
    return [words[0], *(" " + word for word in words[1:])]


def _by_word(encoded: Any, number: int, tokenizer: Any) -> list[list[int]]:
    """Sub-words of each word; a word of which the tokenizer makes nothing is the unknown token."""
    words: list[list[int]] = [[] for _ in range(number)]
    for piece, word in zip(encoded.ids, encoded.word_ids, strict=True):
        words[word].append(piece)
    if not all(words):
        if tokenizer.unk_token_id is None:
            raise UserError(
                "the tokenizer makes no token of some word, and has no unknown token to put there",
                where=tokenizer.name_or_path,
            )
        words = [word or [tokenizer.unk_token_id] for word in words]
    return words


def _rows(words: list[list[int]], room: int) -> list[list[list[int]]]:
    """Words cut into as few rows of at most `room` tokens as filling from the left gives."""
    rows: list[list[list[int]]] = [[]]
    used = 0
    for word in words:
        word = word[:room]  # a word longer than a row keeps its beginning, where its tag sits
        if used + len(word) > room:
            rows.append([])
            used = 0
        rows[-1].append(word)
        used += len(word)
    return rows


FORMAT = Tagging()
