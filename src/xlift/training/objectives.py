"""Pretraining objectives on text: masked tokens for an encoder, the next token for a decoder, and for an encoder-decoder model
the spans that were cut out, or the whole text that they were cut out of.

What a step hides depends only on (seed, step), so a resumed run hides the same as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from xlift.errors import UserError
from xlift.model_families import family_of_config
from xlift.models.outputs import Loss
from xlift.models.packing import LENGTHS
from xlift.models.text_mode import token_loss
from xlift.recipes import Masking, Written
from xlift.tasks.formats.features import IGNORE_INDEX
from xlift.tasks.prompts.tokenization import sentinel_ids
from xlift.training.batches import OUTPUT
from xlift.training.masking import Masker, Tensors, mask_tokens

Objective = Callable[[Sequence[np.ndarray], int], tuple[Loss, int]]
"""(rows of token ids, step number) -> loss with gradient, and the number of tokens read."""
MEAN_SPAN_LENGTH = 3.0
"""Mean length of a span that is cut out (Raffel et al. 2020, Xue et al. 2021)."""


def make_objective(
    model: PreTrainedModel,
    tokenizer: Any,
    masking: Masking,
    writes: Written = "spans",
    *,
    seed: int,
    device: torch.device,
) -> Objective:
    """Make the objective of a model's family.

    Args:
        masking: the share of tokens that an encoder predicts, or that is cut out of the input of an encoder-decoder model.
            A decoder predicts every token.
        writes: what an encoder-decoder model writes.
    """
    config = model.config
    family = family_of_config(config)
    if family == "encoder":
        return _masked_lm(model, tokenizer, masking, seed, device)
    if family == "decoder":
        return _causal_lm(model, tokenizer, device)
    return _span_corruption(model, tokenizer, masking, writes, seed, device)


def _masked_lm(model: PreTrainedModel, tokenizer: Any, masking: Masking, seed: int, device: torch.device) -> Objective:
    """Masked language modelling (training/masking.py)."""
    masker = Masker(masking, tokenizer)

    def objective(rows: Sequence[np.ndarray], step: int) -> tuple[Loss, int]:
        original, attention_mask = _pad(rows, tokenizer.pad_token_id)
        masked, labels = mask_tokens(original, masker, seed=seed, step=step)
        attention_mask, masked, labels = (each.to(device) for each in (attention_mask, masked, labels))
        hidden_states = model.base_model(input_ids=masked, attention_mask=attention_mask).last_hidden_state
        loss = token_loss(hidden_states, labels, lambda states: _lm_logits(model, states), len(masker.ordinary_ids))
        return loss, int(attention_mask.sum())

    return objective


def _causal_lm(model: PreTrainedModel, tokenizer: Any, device: torch.device) -> Objective:
    """Causal language modelling, including the end token of each document."""
    stock: Any = model

    def objective(rows: Sequence[np.ndarray], _: int) -> tuple[Loss, int]:
        ended = [np.append(row, tokenizer.eos_token_id) for row in rows]
        input_ids, attention_mask = (each.to(device) for each in _pad(ended, tokenizer.pad_token_id))
        outputs = model.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        labels = input_ids.masked_fill(attention_mask == 0, IGNORE_INDEX)[:, 1:]
        loss = token_loss(outputs.last_hidden_state[:, :-1], labels, stock.lm_head, model.config.vocab_size)
        return loss, int(attention_mask.sum())

    return objective


def _span_corruption(
    model: PreTrainedModel, tokenizer: Any, masking: Masking, writes: Written, seed: int, device: torch.device
) -> Objective:
    """Span corruption. The loss is that of the transformers class, which makes decoder inputs from the labels."""
    corruption = SpanCorruption(masking, tokenizer, writes)

    def objective(rows: Sequence[np.ndarray], step: int) -> tuple[Loss, int]:
        tensors = corruption.corrupt_rows(rows, seed=seed, step=step)
        input_ids, attention_mask, labels = (each.to(device) for each in tensors)
        mean = model(input_ids=input_ids, attention_mask=attention_mask, labels=labels, use_cache=False).loss
        count = (labels != IGNORE_INDEX).sum()
        return Loss(mean * count, count), int(attention_mask.sum() + count)

    return objective


class SpanCorruption:
    """Makes the inputs and outputs of an encoder-decoder model from documents, anew in each step."""

    def __init__(self, masking: Masking, tokenizer: Any, writes: Written = "spans") -> None:
        """Raises UserError if the tokenizer has no sentinel tokens."""
        self.sentinels = np.array(sentinel_ids(tokenizer))
        if not len(self.sentinels):
            what = (
                "the model's tokenizer has no sentinel tokens such as <extra_id_0>, which stand for the spans to write"
            )
            raise UserError(what, fix="use a model that was pretrained with them, such as mT5.")
        self.share, self.end_id, self.pad_id = masking.share, tokenizer.eos_token_id, tokenizer.pad_token_id
        self.make_pair = corrupt_spans if writes == "spans" else make_denoising_pair

    def corrupt_rows(self, rows: Sequence[np.ndarray], *, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Input ids and attention mask, each (rows, input tokens), and labels, (rows, output tokens)."""
        rng = np.random.default_rng([seed, 6, step])
        pairs = [self.make_pair(row, self.end_id, self.sentinels, self.share, rng) for row in rows]
        input_ids, attention_mask = _pad([source for source, _ in pairs], self.pad_id)
        labels, _ = _pad([target for _, target in pairs], IGNORE_INDEX)
        return input_ids, attention_mask, labels

    def corrupt(self, inputs: Tensors, *, seed: int, step: int) -> tuple[Tensors, Tensors]:
        """Cut spans out of the batch of a step. Returns the model's inputs, and `output`, what it writes."""
        lengths = inputs[LENGTHS].tolist()
        rows = [row[:length] for row, length in zip(inputs["input_ids"].numpy(), lengths, strict=True)]
        input_ids, attention_mask, labels = self.corrupt_rows(rows, seed=seed, step=step)
        corrupted = {"input_ids": input_ids, "attention_mask": attention_mask, LENGTHS: attention_mask.sum(dim=1)}
        return corrupted, {OUTPUT: labels}


def corrupt_spans(
    row: np.ndarray, end_id: int, sentinels: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut spans out of a document, as T5's `random_spans_noise_mask`, which begins with kept tokens and ends with a span.

    Args:
        row: ids of a document, with `end_id` at its end.
        sentinels: ids of <extra_id_0>, <extra_id_1>, ...; there are never more spans.
        share: share of the tokens to cut out. At least one token is cut out, and at least one is kept.

    Returns:
        The encoder's input `A <0> B <1> end` and the decoder's target `<0> first span <1> second span end`.
    """
    tokens = row[:-1] if len(row) and row[-1] == end_id else row
    if len(tokens) < 2:
        return np.append(tokens, end_id), np.append(sentinels[:1], end_id)
    num_noise = min(max(round(len(tokens) * share), 1), len(tokens) - 1)
    num_spans = min(max(round(num_noise / MEAN_SPAN_LENGTH), 1), len(sentinels), len(tokens) - num_noise)
    kept_lengths = _random_lengths(len(tokens) - num_noise, num_spans, rng)
    span_lengths = _random_lengths(num_noise, num_spans, rng)
    source, target, start = [], [], 0
    for number in range(num_spans):
        span_start = start + kept_lengths[number]
        span_end = span_start + span_lengths[number]
        source += [tokens[start:span_start], sentinels[number : number + 1]]
        target += [sentinels[number : number + 1], tokens[span_start:span_end]]
        start = span_end
    return np.append(np.concatenate(source), end_id), np.append(np.concatenate(target), end_id)


def make_denoising_pair(
    row: np.ndarray, end_id: int, sentinels: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make a pair whose target is the other half of a translated document, or the whole of a document with spans cut out
    (the denoising of Lewis et al. 2020 with T5's spans, and translation as in Kale et al. 2021).

    Here every token trains the decoder to read the encoder. With span targets, a document of 26 tokens trains only six.

    Args:
        row: ids of a document, with `end_id` at its end, and also between the halves of a pair.

    Returns:
        Source and target: for a pair `A end` and `B end`, or with equal probability the reverse; for a single text
        `A <0> B <1> end` and `A x B y end`.
    """
    if len(inner := np.flatnonzero(row[:-1] == end_id)):
        first, second = row[: inner[0] + 1], row[inner[0] + 1 :]
        return (first, second) if rng.random() < 0.5 else (second, first)
    return corrupt_spans(row, end_id, sentinels, share, rng)[0], row


def _random_lengths(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` lengths of at least 1 that sum to `total`, uniformly distributed."""
    ends = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], ends, [total]])).astype(int)


def _pad(rows: Sequence[np.ndarray], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right and their attention mask, each (rows, width)."""
    width = max(map(len, rows))
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        attention_mask[number, : len(row)] = 1
    return torch.from_numpy(ids), torch.from_numpy(attention_mask)


def _lm_logits(model: PreTrainedModel, hidden_states: Tensor) -> Tensor:
    """Logits of the model's LM head for selected positions only; the transformers forward would compute all positions."""
    stock: Any = model
    if hasattr(stock, "lm_head"):  # XLM-R
        return stock.lm_head(hidden_states)
    if hasattr(stock, "cls"):  # BERT
        return stock.cls(hidden_states)
    return stock.decoder(stock.head(hidden_states))  # ModernBERT
