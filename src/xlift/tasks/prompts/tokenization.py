"""Tokenize prompts and their answers, and decode generated tokens.

Every row has an input (solved examples, then the source) and an output (the answer, then the end token, unless the
prompt has none). An encoder-decoder model has them in two sequences, each with the special tokens of its tokenizer
(`</s>` at the end; NLLB's language token in front). A decoder has them in one sequence. There the space between them
belongs to the answer (" yes"), since tokenizers of decoders start words with it: then source and answer have the same
tokens separately as together. This requires a source without a trailing space and an answer without a leading one; this
module strips both.

`max_length` bounds the input only, so that a source is truncated equally in training and prediction. With k solved examples
an input may have k + 1 times as many tokens, but at most the model's positions. A longer one is shortened in this order:
drop solved examples, the first ones first; truncate the example's longest text from the left, so that the instruction and
the answer cue stay (a tagged sentence is truncated from the right between two words, and its answer with it); truncate the
row from the left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from xlift.errors import UserError
from xlift.model_families import Family
from xlift.tasks.formats import encoding
from xlift.tasks.formats.features import IGNORE_INDEX, Direction, Features, Prompt
from xlift.tasks.formats.ragged import RaggedBuilder
from xlift.tasks.formats.template import Template
from xlift.tasks.grapheme_clusters import widen_span
from xlift.tasks.prompts.language_tokens import TARGET_TAG, find_language_token

SENTINEL = "<extra_id_{n}>"
"""T5's and mT5's tokens for masked spans in pretraining; there are 100."""


def text_features(
    prompts: Iterable[Prompt], tokenizer: Any, family: Family, *, max_length: int, train: bool
) -> Features:
    """Tokenize prompts, one row per prompt; `example_index` and `unit` are 0 to n - 1. Without `train`, a prompt with contexts
    has a row for each of them, with one candidate.

    Seq2seq: `input_ids` is the input; in training `decoder_labels` is the output with the end token.
    Decoder: `input_ids` is the input, in training followed by the output; target 'label' has the same length, with the
    tokens of the output and IGNORE_INDEX elsewhere (the loss shifts them by one).
    Without `train`, extra has 'candidates', for each row a tuple of int arrays: the possible answers, with their end
    token (empty if the answer is generated); 'slots', the allowed parts of a generated answer (`Prompt.slots` as tokens);
    'max_new_tokens', (n,) int; and if the tokenizer of an encoder-decoder model has language tokens, 'begin', (n,) int: the
    first token of a generated answer. Always, extra 'shortened', (n,) bool: whether the row was truncated.

    Args:
        max_length: maximum tokens of the input of an example, including special tokens.

    Raises:
        UserError: the tokenizer is not a fast one, has no end token or no token of a language, or `max_length` is too small.
    """
    prompt_tokenizer = _PromptTokenizer(tokenizer, family, max_length)
    input_ids, decoder_labels, label = RaggedBuilder(), RaggedBuilder(), RaggedBuilder()
    candidates: list[tuple[np.ndarray, ...]] = []
    max_new_tokens: list[int] = []
    slots: list[Slots] = []
    begin: list[int] = []
    shortened: list[bool] = []
    index: list[int] = []
    for batch in _chunks(prompts if train else _split_contexts(prompts, index)):
        rows = prompt_tokenizer.tokenize_inputs(batch)
        shortened += [row.shortened for row in rows]
        texts = (
            (prompt.delimiter, text)
            for prompt, row in zip(batch, rows, strict=True)
            for text in ([row.answer] if train else prompt.candidates)
        )
        answers = prompt_tokenizer.tokenize_answers(texts)
        for prompt, row in zip(batch, rows, strict=True):
            special_tokens = prompt_tokenizer.get_special_tokens(prompt.direction)
            if not train:
                input_ids.append(row.tokens)
                outputs = (
                    special_tokens.wrap_output(answers[prompt.delimiter, text], prompt.has_end_token)
                    for text in prompt.candidates
                )
                candidates.append(tuple(map(np.array, outputs)))
                max_new_tokens.append(prompt.max_new_tokens)
                slots.append(prompt_tokenizer.tokenize_slots(row.slots))
                begin += [] if special_tokens.begin is None else [special_tokens.begin]
                continue
            tokens = []
            if row.answer is not None:
                tokens = special_tokens.wrap_output(answers[prompt.delimiter, row.answer], prompt.has_end_token)
            if family == "seq2seq":
                input_ids.append(row.tokens)
                decoder_labels.append(tokens)
            else:
                input_ids.append(row.tokens + tokens)
                label.append([IGNORE_INDEX] * len(row.tokens) + tokens)
    extra: dict[str, Any] = {"shortened": np.array(shortened, dtype=bool)}
    if not train:
        extra |= {"candidates": candidates, "slots": slots, "max_new_tokens": np.array(max_new_tokens, dtype=np.int64)}
        extra |= {"begin": np.array(begin, dtype=np.int64)} if begin else {}
    example_index = np.arange(len(shortened)) if train else np.array(index, dtype=np.int64)
    return Features(
        input_ids.build(),
        example_index=example_index,
        unit=example_index,
        targets={"label": label.build()} if train and family != "seq2seq" else {},
        extra=extra,
        decoder_labels=decoder_labels.build() if train and family == "seq2seq" else None,
    )


def _split_contexts(prompts: Iterable[Prompt], index: list[int]) -> Iterator[Prompt]:
    """One prompt for each context, with its candidate, and the other prompts as they are. Writes the number of the prompt that
    each comes from to `index`."""
    for number, prompt in enumerate(prompts):
        pairs = zip(prompt.contexts, prompt.candidates, strict=True) if prompt.contexts else ()
        split = [
            replace(prompt, source=context, candidates=(candidate,), contexts=(), truncatable=None)
            for context, candidate in pairs
        ]
        for each in split or (prompt,):
            index.append(number)
            yield each


def adapt_template(template: Template, tokenizer: Any) -> Template:
    """The template with the tokenizer's sentinels as word markers, if it has sentinels (T5, mT5)."""
    return replace(template, word_marker=SENTINEL) if sentinel_ids(tokenizer) else template


def sentinel_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids of the sentinel tokens, in order; empty if the tokenizer has none."""
    sentinels = []
    for n in range(1000):
        name = SENTINEL.format(n=n)
        ids = tokenizer.convert_tokens_to_ids([name, "▁" + name])  # mT5's start with the space
        in_vocabulary = [i for i in ids if i is not None and i != tokenizer.unk_token_id]
        if not in_vocabulary:
            break
        sentinels.append(in_vocabulary[0])
    return tuple(sentinels)


def decode_answers(tokenizer: Any, rows: Iterable[Sequence[int] | np.ndarray]) -> list[str]:
    """Decode generated tokens without special tokens; sentinels stay, since tags are matched to words by them."""
    dropped = set(tokenizer.all_special_ids) - set(sentinel_ids(tokenizer))
    kept = [[int(token) for token in row if int(token) not in dropped] for row in rows]
    return [tokenizer.decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False) for row in kept]


Slots = tuple[tuple[tuple[int, ...], ...], ...]
"""For each slot of an answer, its options as tokens."""
TokenAffixes = tuple[list[int], list[int]]
"""Special tokens before and after a text."""


class _SpecialTokens(NamedTuple):
    """The special tokens around the input and around the output."""

    input_affixes: TokenAffixes
    output_affixes: TokenAffixes
    begin: int | None
    """The language token that a generated answer starts with."""
    eos: int

    def wrap_input(self, tokens: list[int]) -> list[int]:
        return [*self.input_affixes[0], *tokens, *self.input_affixes[1]]

    def wrap_output(self, tokens: list[int], has_end_token: bool) -> list[int]:
        """An empty answer has its end token in any case: no likelihood is that of no token."""
        before, after = self.output_affixes
        if tokens and not has_end_token:
            after = [token for token in after if token != self.eos]
        return [*before, *tokens, *after]


class _TokenizedPrompt(NamedTuple):
    """Tokens of a prompt with special tokens, and its answer and slots after truncation."""

    tokens: list[int]
    answer: str | None
    slots: tuple[tuple[str, ...], ...]
    shortened: bool


class _PromptTokenizer:
    """A tokenizer for the prompts of one model family."""

    def __init__(self, tokenizer: Any, family: Family, max_length: int) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("the tokenizer has no end token (eos_token)", where=tokenizer.name_or_path)
        self.tokenizer, self.family, self.max_length = tokenizer, family, max_length
        self.get_special_tokens = cache(self._get_special_tokens)
        self.has_language_tokens = bool(family == "seq2seq" and getattr(tokenizer, "src_lang", None))
        self.target_tags = _find_target_tags(tokenizer) if family == "seq2seq" else ()
        self.anchor = next(iter(encoding.tokenize(tokenizer, ["a"]))).ids
        self.empty_row = [tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id]
        """An empty input: the first token of the answer is predicted from it."""
        self.slot_cache: dict[tuple[tuple[str, ...], ...], Slots] = {(): ()}
        """Sentences of equal length have the same slots."""

    def tokenize_inputs(self, prompts: Sequence[Prompt]) -> list[_TokenizedPrompt]:
        rows: list[_TokenizedPrompt] = []
        encodings = encoding.tokenize(self.tokenizer, [self._text(prompt) for prompt in prompts])
        for prompt, encoded in zip(prompts, encodings, strict=True):
            special_tokens, ids = self.get_special_tokens(prompt.direction), encoded.ids
            positions = self.tokenizer.model_max_length
            if self.family != "seq2seq":  # a decoder has its answer in the same sequence
                positions -= min(prompt.max_new_tokens, positions // 2)
            limit = min(self.max_length * (1 + len(prompt.fewshot_examples)), positions)
            max_tokens = encoding.max_text_tokens(limit, sum(map(len, special_tokens.input_affixes)))
            is_too_long = len(ids) > max_tokens
            if is_too_long:
                ids, prompt = self._shorten(prompt, max_tokens)
            tokens = special_tokens.wrap_input(ids) or self.empty_row
            rows.append(_TokenizedPrompt(tokens, prompt.answer, prompt.slots, is_too_long))
        return rows

    def tokenize_answers(self, answers: Iterable[tuple[str, str | None]]) -> dict[tuple[str, str], list[int]]:
        """(delimiter, text) -> the tokens of the text as an answer, without special tokens. A decoder's include the delimiter."""
        distinct = list(dict.fromkeys((delimiter, text) for delimiter, text in answers if text is not None))
        starts = [0 if self.family == "seq2seq" or not delimiter else len(self.anchor) for delimiter, _ in distinct]
        anchored = [
            "a" + (f"{delimiter}{text.strip()}" if text.strip() else "") if start else text
            for (delimiter, text), start in zip(distinct, starts, strict=True)
        ]
        found: dict[tuple[str, str], list[int]] = {}
        encodings = encoding.tokenize(self.tokenizer, anchored)
        for answer, start, encoded in zip(distinct, starts, encodings, strict=True):
            if encoded.ids[:start] != self.anchor[:start]:
                raise UserError("the tokenizer has tokens that span a space", where=self.tokenizer.name_or_path)
            found[answer] = encoded.ids[start:]
        return found

    def tokenize_slots(self, slots: tuple[tuple[str, ...], ...]) -> Slots:
        """For each slot, its options as tokens. They come from whole answers, of the first options of all slots, then of the
        second ones; a token between two slots belongs to the first, as in the training data."""
        if slots not in self.slot_cache:
            options: list[list[tuple[int, ...]]] = [[] for _ in slots]
            before = "" if self.family == "seq2seq" else "a "
            texts = [before + " ".join(chosen) for chosen in zip(*slots, strict=True)]
            encodings = encoding.tokenize(self.tokenizer, texts, offsets=True)
            for chosen, encoded in zip(zip(*slots, strict=True), encodings, strict=True):
                ends = np.cumsum([len(text) + 1 for text in chosen]) + len(before)
                pieces: list[list[int]] = [[] for _ in slots]
                for token, (_, end) in list(zip(encoded.ids, encoded.offsets, strict=True))[self._anchor_length() :]:
                    pieces[min(int(np.searchsorted(ends, end)), len(slots) - 1)].append(token)
                for slot_options, piece in zip(options, pieces, strict=True):
                    slot_options.append(tuple(piece))
            self.slot_cache[slots] = tuple(tuple(dict.fromkeys(slot_options)) for slot_options in options)
        return self.slot_cache[slots]

    def _anchor_length(self) -> int:
        return 0 if self.family == "seq2seq" else len(self.anchor)

    def _tokenize(self, text: str) -> list[int]:
        return next(iter(encoding.tokenize(self.tokenizer, [text]))).ids

    def _has_no_instruction(self, prompt: Prompt) -> bool:
        """Whether the input is the text alone, because tokens define the direction of translation."""
        return prompt.direction is not None and (self.has_language_tokens or bool(self.target_tags))

    def _text(self, prompt: Prompt) -> str:
        if prompt.direction is not None and self._has_no_instruction(prompt):
            return prompt.direction.text
        text = "".join(prompt.fewshot_examples) + prompt.source
        # with an empty source, the line breaks after the solved examples stay
        return text if self.family == "seq2seq" or not prompt.source else text.rstrip()

    def _shorten(self, prompt: Prompt, max_tokens: int) -> tuple[list[int], Prompt]:
        """Shorten a prompt to at most `max_tokens` tokens. Returns the tokens and the shortened prompt."""
        while prompt.fewshot_examples:
            prompt = replace(prompt, fewshot_examples=prompt.fewshot_examples[1:])
            if len(ids := self._tokenize(self._text(prompt))) <= max_tokens:
                return ids, prompt
        if prompt.truncation_points:
            # the largest number of words that fits
            numbers = range(1, len(prompt.truncation_points))
            num_words = bisect_right(numbers, max_tokens, key=lambda n: self._length(_truncate_words(prompt, n)))
            prompt = _truncate_words(prompt, num_words)
        elif prompt.truncatable and not self._has_no_instruction(prompt):
            left, right = prompt.truncatable
            start, source = left, prompt.source
            while start < right and (excess := self._length(prompt) - max_tokens) > 0:
                start = self._skip_tokens(source, start, right, excess)
                prompt = replace(prompt, source=source[:left] + source[start:])
        return self._tokenize(self._text(prompt))[-max_tokens:], prompt

    def _length(self, prompt: Prompt) -> int:
        return len(self._tokenize(self._text(prompt)))

    def _skip_tokens(self, source: str, start: int, right: int, num_tokens: int) -> int:
        """New start of the span [start, right) of a source without at least its first `num_tokens` tokens. It is at a
        grapheme cluster: no text begins with an accent whose letter was cut off."""
        text = source[start:right]
        encoded = next(iter(encoding.tokenize(self.tokenizer, [text], offsets=True)))
        if num_tokens >= len(encoded.ids):
            return right
        start += widen_span(text, 0, max(1, encoded.offsets[num_tokens][0]))[1]
        return start + len(source[start:right]) - len(source[start:right].lstrip())

    def _get_special_tokens(self, direction: Direction | None) -> _SpecialTokens:
        if self.family != "seq2seq":
            special = encoding.get_special_tokens(self.tokenizer, pair=False)
            eos = self.tokenizer.eos_token_id
            return _SpecialTokens((list(special.before), []), ([], [eos]), None, eos)
        input_affixes = self._affixes("src_lang", direction and direction.source_language)
        if self.target_tags and direction is not None:
            tag = self._tokenize(self._language_token(direction.target_language, self.target_tags))
            input_affixes = ([*tag, *input_affixes[0]], input_affixes[1])
        before, after = self._affixes("tgt_lang", direction and direction.target_language)
        eos = self.tokenizer.eos_token_id
        begin = None
        if self.has_language_tokens:
            language_tokens = (token for token in (*before, *after) if token not in (eos, self.tokenizer.bos_token_id))
            begin = next(language_tokens, None)
        return _SpecialTokens(input_affixes, (before, after if eos in after else [*after, eos]), begin, eos)

    def _affixes(self, side: str, language: str | None) -> TokenAffixes:
        """The special tokens before and after an input ('src_lang') or an output ('tgt_lang')."""
        tokenizer = self.tokenizer
        default = getattr(tokenizer, side, None)
        try:
            if self.has_language_tokens and language is not None:
                setattr(tokenizer, side, self._language_token(language, tokenizer.all_special_tokens))
            probe = tokenizer(["a"]) if side == "src_lang" else tokenizer(text_target=["a"])
        finally:
            if self.has_language_tokens:
                setattr(tokenizer, side, default)
        ids, sequence_ids = probe["input_ids"][0], probe.sequence_ids(0)
        text_positions = [i for i, sequence_id in enumerate(sequence_ids) if sequence_id is not None]
        return ids[: text_positions[0]], ids[text_positions[-1] + 1 :]

    def _language_token(self, code: str, tokens: Iterable[str]) -> str:
        """The tokenizer's token of a language. Raises UserError if it has none."""
        if token := find_language_token(code, tokens):
            return token
        known = ", ".join(token for token in tokens if "_" in token or TARGET_TAG[:2] in token)
        where, fix = self.tokenizer.name_or_path, f"its language tokens are {known}."
        raise UserError(f"the tokenizer has no token for the language '{code}'", where=where, fix=fix)


def _find_target_tags(tokenizer: Any) -> tuple[str, ...]:
    """MADLAD's tokens of languages; empty if the tokenizer has none."""
    if tokenizer.convert_tokens_to_ids(TARGET_TAG.format(code="en")) in (None, tokenizer.unk_token_id):
        return ()
    return tuple(token for token in tokenizer.get_vocab() if token.startswith(TARGET_TAG[:2]) and token.endswith(">"))


def _truncate_words(prompt: Prompt, words: int) -> Prompt:
    """Truncate a tagged sentence, and its answer, after the first `words` words."""
    left, right = prompt.truncatable or (0, 0)
    source_end, answer_end = prompt.truncation_points[words - 1] if words else (left, 0)
    answer = None if prompt.answer is None else prompt.answer[:answer_end]
    source = prompt.source[:source_end] + prompt.source[right:]
    return replace(prompt, source=source, answer=answer, slots=prompt.slots[:words])


def _chunks(prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
    remaining = iter(prompts)
    while chunk := list(islice(remaining, encoding.TEXTS_PER_CALL)):
        yield chunk
