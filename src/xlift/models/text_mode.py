"""Models that answer with text: the training loss, the likelihood of given answers, and generation.

Logits over the vocabulary are the most expensive part of such a model. They are computed only at positions that predict an answer
token, and in several parts where they would take more than a gigabyte.

The candidate answers of a row share its source. A decoder reads the source once, followed by all answers as branches of a tree:
each answer attends to the source and itself, and its positions continue from the source's end. An encoder-decoder model encodes
the source once; its answers also share the decoder's keys and values for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import EncoderDecoderCache, GenerationConfig

from xlift.errors import UserError
from xlift.memory import MAX_LOGITS
from xlift.model_families import traits_of
from xlift.models.constrained_decoding import AnswerConstraint
from xlift.models.model import Model
from xlift.models.output_layer import decoder_of, output_layer, vocabulary_logits
from xlift.models.outputs import Loss
from xlift.models.packing import LENGTHS, move_inputs
from xlift.tasks.formats.features import IGNORE_INDEX

TEXT = "TEXT"
"""Name of the head, without weights, of all tasks with `mode: text`."""


def token_loss(hidden_states: Tensor, labels: Tensor, logits: Callable[[Tensor], Tensor], vocab_size: int) -> Loss:
    """Cross entropy of the tokens at the labelled positions of a batch. Counts them.

    Args:
        hidden_states: (rows, tokens, hidden) of the last layer.
        labels: (rows, tokens): the token to predict at each position, or IGNORE_INDEX.
        logits: (positions, hidden) -> (positions, vocabulary). Called for labelled positions only, and for several parts where
            the logits would take more than a gigabyte. Each part is then computed again in the backward pass.
    """
    is_labelled = labels != IGNORE_INDEX
    hidden, tokens = hidden_states[is_labelled], labels[is_labelled]

    def summed_loss(hidden: Tensor, tokens: Tensor) -> Tensor:
        return functional.cross_entropy(logits(hidden).float(), tokens, reduction="sum")

    max_positions = max(1, MAX_LOGITS // vocab_size)
    if len(tokens) <= max_positions:
        return Loss(summed_loss(hidden, tokens), is_labelled.sum())
    parts = zip(hidden.split(max_positions), tokens.split(max_positions), strict=True)
    sums = [checkpoint(summed_loss, *part, use_reentrant=False) for part in parts]
    return Loss(torch.stack(sums).sum(), is_labelled.sum())


def text_loss(model: Model, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Loss:
    """Cross entropy of the answer tokens, end tokens included. Counts them.

    Args:
        inputs: as `training.batches.collate` returns them.
        targets: of an encoder-decoder model `output`, (rows, answer tokens); of a decoder `label`, (rows, tokens), which holds
            each answer token at its own position (the position before predicts it). IGNORE_INDEX elsewhere.

    Raises:
        UserError: the model is an encoder.
    """
    if model.family == "seq2seq":
        labels = targets["output"]
        states = decoder_of(model)(
            input_ids=make_decoder_input_ids(model, labels),
            encoder_hidden_states=model.last_hidden_state(inputs),
            encoder_attention_mask=inputs["attention_mask"],
            use_cache=False,
        ).last_hidden_state
    else:
        check_can_generate(model)
        states, labels = model.last_hidden_state(inputs)[:, :-1], targets["label"][:, 1:]
    return token_loss(states, labels, partial(vocabulary_logits, model), output_layer(model).weight.shape[0])


def check_can_generate(model: Model) -> None:
    """Raises UserError where a model has no output layer to generate text with."""
    if model.family == "encoder":
        raise UserError(
            f"a model of type '{model.backbone.config.model_type}' is an encoder and cannot generate text",
            fix="give it `mode: head`, or use a decoder or an encoder-decoder model.",
        )


def make_decoder_input_ids(model: Model, labels: Tensor) -> Tensor:
    """The decoder's input of an encoder-decoder model: (rows, tokens) labels shifted right, after its start token."""
    backbone: Any = model.backbone
    if hasattr(backbone, "prepare_decoder_input_ids_from_labels"):
        return backbone.prepare_decoder_input_ids_from_labels(labels)
    first = torch.full_like(labels[:, :1], backbone.config.decoder_start_token_id)
    shifted = torch.cat([first, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, backbone.config.pad_token_id)


Rows = Sequence[np.ndarray]


def candidate_scores(
    model: Model, sources: Rows, candidates: Sequence[Rows], pad_token_id: int, *, budget: int = 4096
) -> list[np.ndarray]:
    """The log likelihoods of each row's candidate answers.

    Args:
        sources: each row's input tokens.
        candidates: each row's answers: one or more, each of one token or more, with its end token.
        budget: tokens whose keys and values are in memory at a time (sources, repeated for each of their candidates).

    Returns:
        For each row (candidates,) float64: the natural logarithm of each answer's probability given the source.
    """
    if model.family == "seq2seq":
        values = _score_with_encoder(model, sources, candidates, pad_token_id, budget)
    else:
        check_can_generate(model)
        config: Any = model.backbone.config
        has_tree = traits_of(config.model_type).supports_tree_attention
        uses_tree = has_tree and config._attn_implementation in ("sdpa", "eager")
        values = (_score_tree if uses_tree else _score_one_by_one)(model, sources, candidates, pad_token_id)
    tokens = [len(answer) for answers in candidates for answer in answers]
    sums = np.add.reduceat(values.double().cpu().numpy(), np.cumsum([0, *tokens[:-1]]))
    return np.split(sums, np.cumsum([len(answers) for answers in candidates])[:-1])


def best_candidate(scores: np.ndarray, candidates: Rows, normalize: bool) -> int:
    """The index of the best answer, the first of equal ones.

    Args:
        normalize: compare log likelihoods per token (with the end token) instead of those of whole answers.
    """
    return int(np.argmax(compared_scores(scores, candidates, normalize)))


def compared_scores(scores: np.ndarray, candidates: Rows, normalize: bool) -> np.ndarray:
    """The scores by which `best_candidate` compares the answers."""
    return scores / [len(answer) for answer in candidates] if normalize else scores


def _score_tree(model: Model, sources: Rows, candidates: Sequence[Rows], pad_token_id: int) -> Tensor:
    """(all tokens of all candidates,) log likelihoods, by a decoder that reads every source once."""
    rows, segment_ids, position_ids = [], [], []
    predictors: list[np.ndarray] = []  # for each answer token, the index in its row that predicts it
    for source, answers in zip(sources, candidates, strict=True):
        parts = [source, *(answer[:-1] for answer in answers)]
        starts = np.cumsum([len(part) for part in parts])
        rows.append(np.concatenate(parts))
        segment_ids.append(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))
        continued = [np.arange(len(part)) + len(source) for part in parts[1:]]
        position_ids.append(np.concatenate([np.arange(len(source)), *continued]))
        predictors += [
            np.concatenate([[len(source) - 1], start + np.arange(len(answer) - 1)])
            for start, answer in zip(starts[:-1], answers, strict=True)
        ]
    device = model.device
    padded = ((segment_ids, -1), (position_ids, 0))
    segment, position = (torch.from_numpy(_pad(each, fill)).to(device) for each, fill in padded)
    # padding (-1) attends to padding, so that no row of the mask is empty
    mask = (segment[:, None, :] == 0) & (segment[:, :, None] >= 0) | (segment[:, None, :] == segment[:, :, None])
    mask &= position[:, None, :] <= position[:, :, None]
    states = model.trunk(
        input_ids=torch.from_numpy(_pad(rows, pad_token_id)).to(device),
        position_ids=position,
        attention_mask=_make_attention_masks(model, mask, position),
        use_cache=False,
    ).last_hidden_state
    width = states.shape[1]
    row = np.repeat(np.arange(len(candidates)), [len(answers) for answers in candidates])
    return _token_log_likelihoods(
        model,
        states.flatten(0, 1),
        np.concatenate([number * width + index for number, index in zip(row, predictors, strict=True)]),
        np.concatenate(list(chain.from_iterable(candidates))),
    )


def _make_attention_masks(model: Model, mask: Tensor, position: Tensor) -> Any:
    """A decoder's attention mask: one, or one for each type of layer.

    Args:
        mask: (rows, tokens, tokens) bool: whether a token (second) attends to a token (third).
        position: (rows, tokens) of each token.
    """
    config: Any = model.backbone.config

    def convert(mask: Tensor) -> Tensor:
        if config._attn_implementation == "sdpa":
            return mask[:, None]
        lowest = torch.finfo(model.backbone.dtype).min
        return torch.zeros_like(mask, dtype=model.backbone.dtype).masked_fill(~mask, lowest)[:, None]

    window = getattr(config, "sliding_window", None)
    sliding = mask & (position[:, :, None] - position[:, None, :] < window) if window else mask
    if types := getattr(config, "layer_types", None):
        by_type = {"full_attention": mask, "sliding_attention": sliding}
        return {name: convert(by_type[name]) for name in set(types)}
    return convert(sliding)


def _score_one_by_one(model: Model, sources: Rows, candidates: Sequence[Rows], pad_token_id: int) -> Tensor:
    """As `_score_tree`, with the source repeated for each candidate."""
    pairs = [(source, answer) for source, answers in zip(sources, candidates, strict=True) for answer in answers]
    rows = [np.concatenate([source, answer[:-1]]) for source, answer in pairs]
    lengths = torch.tensor([len(row) for row in rows])
    input_ids = torch.from_numpy(_pad(rows, pad_token_id))
    mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
    inputs = {"input_ids": input_ids, "attention_mask": mask, LENGTHS: lengths}
    states = model.last_hidden_state(move_inputs(inputs, model.device))
    width = states.shape[1]
    predictors = [row * width + len(source) - 1 + np.arange(len(answer)) for row, (source, answer) in enumerate(pairs)]
    tokens = np.concatenate([answer for _, answer in pairs])
    return _token_log_likelihoods(model, states.flatten(0, 1), np.concatenate(predictors), tokens)


def _score_with_encoder(
    model: Model, sources: Rows, candidates: Sequence[Rows], pad_token_id: int, budget: int
) -> Tensor:  # fmt: skip
    """As `_score_tree`, by an encoder-decoder model. It encodes every source once, and decodes the start token of its answers
    once."""
    device, decoder = model.device, decoder_of(model)
    lengths = torch.tensor([len(source) for source in sources])
    input_ids = torch.from_numpy(_pad(sources, pad_token_id)).to(device)
    mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long().to(device)
    encoded = model.last_hidden_state({"input_ids": input_ids, "attention_mask": mask, LENGTHS: lengths})
    answers = list(chain.from_iterable(candidates))
    row_of_answer = torch.tensor([row for row, each in enumerate(candidates) for _ in each], device=device)
    decoder_input_ids = make_decoder_input_ids(model, torch.from_numpy(_pad(answers, IGNORE_INDEX)).to(device))
    assert bool((decoder_input_ids[:, 0] == decoder_input_ids[0, 0]).all())
    first = decoder(
        input_ids=decoder_input_ids[:1, :1].expand(len(sources), 1),
        encoder_hidden_states=encoded,
        encoder_attention_mask=mask,
        use_cache=True,
    )
    states, rest = [first.last_hidden_state[:, 0]], decoder_input_ids[:, 1:]
    for part in torch.arange(len(answers), device=device).split(max(1, budget // input_ids.shape[1])):
        if rest.shape[1] == 0:
            break
        rows = row_of_answer[part]
        past = [
            tuple(None if tensor is None else tensor.index_select(0, rows) for tensor in layer)
            for layer in first.past_key_values
        ]
        output = decoder(
            input_ids=rest[part],
            encoder_hidden_states=encoded.index_select(0, rows),
            encoder_attention_mask=mask.index_select(0, rows),
            past_key_values=EncoderDecoderCache(past),
            use_cache=True,
        )
        states.append(output.last_hidden_state.flatten(0, 1))
    predictors = [
        np.concatenate([[row], len(sources) + answer * rest.shape[1] + np.arange(len(tokens) - 1)])
        for answer, (row, tokens) in enumerate(zip(row_of_answer.tolist(), answers, strict=True))
    ]
    return _token_log_likelihoods(model, torch.cat(states), np.concatenate(predictors), np.concatenate(answers))


def _token_log_likelihoods(model: Model, states: Tensor, predictors: np.ndarray, tokens: np.ndarray) -> Tensor:
    """(tokens,) float32: each token's log likelihood given the state that predicts it. Logits of a state are computed once.

    Args:
        states: (positions, hidden).
        predictors: (tokens,) the position that predicts each token.
    """
    used, inverse = np.unique(predictors, return_inverse=True)
    used_states = states[torch.from_numpy(used).to(states.device)]
    token_ids = torch.from_numpy(tokens.astype(np.int64)).to(states.device)
    state_index = torch.from_numpy(inverse).to(states.device)
    weight = output_layer(model).weight
    max_positions = max(1, MAX_LOGITS // len(weight))
    result = torch.empty(len(tokens), device=states.device)
    with torch.autocast(states.device.type, enabled=False):  # bfloat16 would make different answers equal
        for start in range(0, len(used_states), max_positions):
            block = used_states[start : start + max_positions].to(weight.dtype)
            logits = vocabulary_logits(model, block).float()
            in_block = (state_index >= start) & (state_index < start + max_positions)
            index = state_index[in_block] - start
            result[in_block] = logits[index, token_ids[in_block]] - logits.logsumexp(dim=-1)[index]
    return result


def generate(
    model: Model,
    sources: Rows,
    pad_token_id: int,
    *,
    stop_ids: Sequence[int],
    max_new_tokens: int,
    num_beams: int = 1,
    forced_bos_token_ids: Sequence[int] | None = None,
    constraints: Sequence[AnswerConstraint] | None = None,
) -> list[np.ndarray]:
    """Generate an answer for each source, greedily or by beam search. End tokens are removed.

    Args:
        stop_ids: tokens that end an answer.
        forced_bos_token_ids: for each row the first token of its answer, such as a language's (encoder-decoder models only).
            It is not returned.
        constraints: for each row the constraint on its answer.
    """
    check_can_generate(model)
    backbone: Any = model.backbone
    is_decoder = model.family == "decoder"
    lengths = torch.tensor([len(source) for source in sources])
    input_ids = torch.from_numpy(_pad(sources, pad_token_id, left=is_decoder))
    positions = torch.arange(input_ids.shape[1])
    mask = (positions >= input_ids.shape[1] - lengths[:, None]) if is_decoder else (positions < lengths[:, None])
    inputs: dict[str, Tensor] = {"input_ids": input_ids, "attention_mask": mask.long()}
    start_id = getattr(backbone.config, "decoder_start_token_id", None)
    if forced_bos_token_ids is not None:
        inputs["decoder_input_ids"] = torch.tensor([[start_id, token] for token in forced_bos_token_ids])
    # use none of the checkpoint's sampling settings
    generation_config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=num_beams,
        eos_token_id=list(stop_ids),
        pad_token_id=pad_token_id,
        bos_token_id=getattr(backbone.config, "bos_token_id", None),  # T5 has none
        decoder_start_token_id=start_id,
    )
    prefix_length = input_ids.shape[1] if is_decoder else 1 if forced_bos_token_ids is None else 2
    kwargs: dict[str, Any] = {}
    if constraints is not None:
        kwargs["prefix_allowed_tokens_fn"] = lambda row, tokens: constraints[row].allowed_tokens(
            tokens[prefix_length:].tolist()
        )
    original, backbone.generation_config = backbone.generation_config, generation_config
    try:
        output = backbone.generate(**{name: tensor.to(model.device) for name, tensor in inputs.items()}, **kwargs)
    finally:
        backbone.generation_config = original
    answers = output[:, prefix_length:].cpu().numpy()
    is_end = np.isin(answers, [*stop_ids, pad_token_id])
    return [row[: int(end.argmax()) if end.any() else len(row)] for row, end in zip(answers, is_end, strict=True)]


def _pad(rows: Rows, fill: int, *, left: bool = False) -> np.ndarray:
    """(rows, tokens of the longest) int64."""
    width = max(map(len, rows))
    padded = np.full((len(rows), width), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, width - len(row) if left else 0 : width if left else len(row)] = row
    return padded
