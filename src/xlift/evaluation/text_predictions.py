"""Predictions of text mode: the most likely of given answers, or generated text. All languages of a task share a pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from xlift.evaluation.batching import concatenate_features, default_token_budget, inference_autocast
from xlift.models.constrained_decoding import AnswerConstraint
from xlift.models.model import Model
from xlift.models.output_layer import check_vocabulary_logits
from xlift.models.text_mode import candidate_scores, check_can_generate, compared_scores, generate
from xlift.recipes import Precision, PromptSettings
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts.tokenization import Slots, decode_answers
from xlift.training.batches import split_into_micro_batches
from xlift.training.progress import Interrupted, Progress


@dataclass(frozen=True)
class PromptContext:
    """How prompts were made, and how to decode the answers."""

    tokenizer: Any
    prompt_settings: PromptSettings
    template: Template


@dataclass
class _Rows:
    """The rows of a pass."""

    sources: list[np.ndarray]
    candidates: list[Sequence[np.ndarray]]
    """For each row its candidate answers; empty where the answer is generated."""
    slots: list[Slots]
    """For each row the slots of its generated answer; empty where any text is allowed."""
    max_new_tokens: np.ndarray
    """(rows,) tokens to generate at most."""
    forced_bos_token_ids: np.ndarray
    """(rows,) the first token of the answer; -1 for none."""


class RowOutputs(NamedTuple):
    """The outputs of a model for some rows."""

    values: Any
    """For each row what the format decodes. In text mode the index of the best candidate, or the generated text."""
    scores: list[Any] | None = None
    """For each row the scores behind its value, if the value has lost them. In text mode (candidates,) log likelihoods as they
    were compared; None for a generated text."""


def predict_texts(
    model: Model,
    tokenizer: Any,
    parts: Sequence[Features],
    prompt_settings: PromptSettings,
    budget: int | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> list[list[int | str]]:
    """The answers of `predict_texts_with_scores`."""
    outputs = predict_texts_with_scores(model, tokenizer, parts, prompt_settings, budget, precision, progress)
    return [each.values for each in outputs]


@torch.inference_mode()
def predict_texts_with_scores(
    model: Model,
    tokenizer: Any,
    parts: Sequence[Features],
    prompt_settings: PromptSettings,
    budget: int | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> list[RowOutputs]:
    """For each part, for each of its examples: the index of the best candidate with the log likelihoods of all, or the generated
    text. An example has one row with all of its candidates, or a row for each.

    Args:
        parts: made by `tasks.prompts.tokenization.text_features` with `train=False`.
        prompt_settings: `normalize`, `num_beams` and `max_new_tokens` are used.
        budget: tokens of one forward pass.
        precision: of matrix products. Likelihoods are always float32.

    Raises:
        UserError: the model is an encoder.
        Interrupted: `progress.should_stop()` returned true.
    """
    check_can_generate(model)
    check_vocabulary_logits(model)
    model.eval()
    budget, progress = budget or default_token_budget(model), progress or Progress()
    rows = _join_rows(parts, prompt_settings)
    answers: list[Any] = [None] * len(rows.sources)
    scores: list[Any] = [None] * len(rows.sources)
    has_candidates = np.array([len(given) > 0 for given in rows.candidates], dtype=bool)
    done = 0

    def store(which: np.ndarray, batch: Sequence[tuple[int | str, np.ndarray | None]]) -> None:
        nonlocal done
        for row, (answer, likelihoods) in zip(which.tolist(), batch, strict=True):
            answers[row], scores[row] = answer, likelihoods
        done += len(which)
        progress.report(done, len(answers))

    with inference_autocast(model, precision):
        cost = _candidate_cost(model, rows)
        _for_each_batch(np.flatnonzero(has_candidates), cost, budget, progress, lambda which: store(
            which, _choose_candidates(model, tokenizer, rows, which, prompt_settings, budget)
        ))  # fmt: skip
        for group in _group_generated_rows(rows, np.flatnonzero(~has_candidates), prompt_settings):
            cost = (_lengths(rows.sources) + rows.max_new_tokens) * prompt_settings.num_beams
            _for_each_batch(group, cost, budget, progress, lambda which: store(
                which, _generate_answers(model, tokenizer, rows, which, prompt_settings)
            ))  # fmt: skip
    ends = np.cumsum([len(part) for part in parts]).tolist()
    slices = [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]
    return [join_candidates(part, answers[each], scores[each]) for part, each in zip(parts, slices, strict=True)]


def join_candidates(part: Features, answers: list[Any], scores: list[Any]) -> RowOutputs:
    """The outputs of examples from those of their rows: a row for each example, or a row for each of its candidates.

    Args:
        answers: of each row.
        scores: of each row, (candidates,).
    """
    if len(part) == 0 or int(part.example_index[-1]) + 1 == len(part):
        return RowOutputs(answers, scores)
    ends = np.flatnonzero(np.diff(part.example_index, append=-1)) + 1
    joined = [np.concatenate(scores[start:end]) for start, end in pairwise([0, *ends.tolist()])]
    return RowOutputs([int(np.argmax(each)) for each in joined], joined)


def _join_rows(parts: Sequence[Features], settings: PromptSettings) -> _Rows:
    lengths = np.concatenate([np.asarray(part.extra["max_new_tokens"], dtype=int) for part in parts])
    bos = [np.asarray(part.extra.get("begin", np.full(len(part), -1)), dtype=int) for part in parts]
    return _Rows(
        sources=list(concatenate_features(parts).input_ids),
        candidates=[given for part in parts for given in part.extra["candidates"]],
        slots=[given for part in parts for given in part.extra.get("slots", [()] * len(part))],
        max_new_tokens=lengths if settings.max_new_tokens is None else np.full_like(lengths, settings.max_new_tokens),
        forced_bos_token_ids=np.concatenate(bos),
    )


def _lengths(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(row) for row in rows], dtype=int)


def _candidate_cost(model: Model, rows: _Rows) -> np.ndarray:
    """(rows,) tokens of a forward pass. A decoder reads the candidates after the source."""
    sources = _lengths(rows.sources)
    if model.family == "seq2seq":
        return sources
    return sources + [sum(len(answer) - 1 for answer in given) for given in rows.candidates]


def _group_generated_rows(rows: _Rows, which: np.ndarray, settings: PromptSettings) -> list[np.ndarray]:
    """Groups of rows that can be generated together: all or none with a forced first token, all or none with slots, and with
    beam search of one maximal length."""
    groups: dict[tuple[bool, bool, int], list[int]] = {}
    for row in which.tolist():
        length = int(rows.max_new_tokens[row]) if settings.num_beams > 1 else 0
        group = bool(rows.forced_bos_token_ids[row] >= 0), bool(rows.slots[row]), length
        groups.setdefault(group, []).append(row)
    return [np.array(group) for group in groups.values()]


def _for_each_batch(
    which: np.ndarray, cost: np.ndarray, budget: int, progress: Progress, run: Callable[[np.ndarray], None]
) -> None:
    if not len(which):
        return
    for indices in split_into_micro_batches(which, cost[which], budget, packed=False):
        if progress.should_stop():
            raise Interrupted
        run(which[indices])


def _choose_candidates(
    model: Model, tokenizer: Any, rows: _Rows, which: np.ndarray, settings: PromptSettings, budget: int
) -> list[tuple[int | str, np.ndarray | None]]:
    sources, candidates = [rows.sources[row] for row in which], [rows.candidates[row] for row in which]
    scores = candidate_scores(model, sources, candidates, tokenizer.pad_token_id, budget=2 * budget)
    compared = [
        compared_scores(each, given, settings.normalize) for each, given in zip(scores, candidates, strict=True)
    ]
    return [(int(np.argmax(each)), each) for each in compared]


def _generate_answers(
    model: Model, tokenizer: Any, rows: _Rows, which: np.ndarray, settings: PromptSettings
) -> list[tuple[int | str, np.ndarray | None]]:
    bos, lengths = rows.forced_bos_token_ids[which], rows.max_new_tokens[which]
    stop_ids = stop_token_ids(model, tokenizer)
    constraints = {slots: AnswerConstraint(slots, stop_ids) for row in which if (slots := rows.slots[row])}
    generated = generate(
        model,
        [rows.sources[row] for row in which],
        tokenizer.pad_token_id,
        stop_ids=stop_ids,
        max_new_tokens=int(lengths.max()),
        num_beams=settings.num_beams,
        forced_bos_token_ids=bos.tolist() if bos[0] >= 0 else None,
        constraints=[constraints[rows.slots[row]] for row in which] if constraints else None,
    )
    # greedy output does not depend on the maximal length, so it can be cut afterwards
    shortened = [row[:limit] for row, limit in zip(generated, lengths.tolist(), strict=True)]
    return [(answer, None) for answer in decode_answers(tokenizer, shortened)]


def stop_token_ids(model: Model, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the tokenizer's end token, and the end tokens in the model's config."""
    from_config: Any = model.backbone.config.eos_token_id
    from_config = [] if from_config is None else [from_config] if isinstance(from_config, int) else list(from_config)
    return sorted({*from_config, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})
