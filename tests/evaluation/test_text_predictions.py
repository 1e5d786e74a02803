"""Text predictions: chosen or generated, in one pass over several parts, independent of neighbouring rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.errors import UserError
from xlift.evaluation import text_predictions
from xlift.evaluation.predict import PredictionRequest, compute_outputs, decode
from xlift.evaluation.text_predictions import PromptContext, predict_texts
from xlift.models.model import Model
from xlift.models.text_mode import candidate_scores
from xlift.recipes import PromptSettings
from xlift.tasks import catalog
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.formats.template import Template
from xlift.training.progress import Interrupted, Progress

FAMILIES = ["mt5", "gemma3_text"]


def features(seed: int, count: int = 6, choice: bool = True, most: int = 5) -> Features:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(10, 60, size=size) for size in rng.permutation([3, 4, 9, 14, 15, 22])[:count]]
    given = [tuple(np.append(rng.integers(10, 60, size=n), 1) for n in (1, 2, 4)) for _ in rows]
    extra: dict[str, Any] = {"candidates": given if choice else [()] * count, "max_new_tokens": np.full(count, most)}
    return Features(Ragged.from_rows(rows), example_index=np.arange(count), unit=np.arange(count), extra=extra)


def model_of(family: str) -> Model:
    """A tiny model that does not repeat one token."""
    model = tiny.encoder(family)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("choice", [True, False])
@pytest.mark.parametrize("beams", [1, 2])
def test_several_parts_at_once_equal_one_row_at_a_time(family: str, choice: bool, beams: int) -> None:
    model, tokenizer = model_of(family), tiny.tokenizer_of(family)
    parts = [features(1, choice=choice), features(2, count=4, choice=choice)]
    prompt_settings = PromptSettings(num_beams=beams)
    together = predict_texts(model, tokenizer, parts, prompt_settings, budget=64)
    assert [len(answers) for answers in together] == [6, 4]
    for part, answers in zip(parts, together, strict=True):
        for row, answer in enumerate(answers):
            extra = {name: values[row : row + 1] for name, values in part.extra.items()}
            alone = Features(Ragged.from_rows([part.input_ids[row]]), np.zeros(1, int), np.zeros(1, int), extra=extra)
            assert predict_texts(model, tokenizer, [alone], prompt_settings) == [[answer]]
    assert len({answer for answers in together for answer in answers}) > 1


def test_choice_uses_the_normalization_of_the_prompt_settings() -> None:
    model, tokenizer, part = model_of("mt5"), tiny.tokenizer_of("mt5"), features(3)
    given = part.extra["candidates"]
    with torch.inference_mode():
        scores = candidate_scores(model, list(part.input_ids), given, tokenizer.pad_token_id)
    whole = [int(np.argmax(each)) for each in scores]
    by_token = [
        int(np.argmax(each / [len(answer) for answer in answers])) for each, answers in zip(scores, given, strict=True)
    ]
    assert whole != by_token
    assert predict_texts(model, tokenizer, [part], PromptSettings(normalize=False)) == [whole]
    assert predict_texts(model, tokenizer, [part], PromptSettings()) == [by_token]


def test_rows_respect_their_max_new_tokens() -> None:
    model, tokenizer = model_of("mt5"), tiny.tokenizer_of("mt5")
    part = features(4, choice=False)
    part.extra["max_new_tokens"] = np.arange(1, 7)
    (free,) = predict_texts(model, tokenizer, [features(4, choice=False, most=6)], PromptSettings())
    (answers,) = predict_texts(model, tokenizer, [part], PromptSettings())
    lengths = [len(tokenizer(str(answer), add_special_tokens=False)["input_ids"]) for answer in answers]
    assert all(str(long).startswith(str(short)) for long, short in zip(free, answers, strict=True))
    assert lengths[0] < lengths[-1]
    (shorter,) = predict_texts(model, tokenizer, [part], PromptSettings(max_new_tokens=2))
    assert shorter != answers


def test_rows_with_and_without_a_forced_first_token() -> None:
    model, tokenizer = model_of("nllb"), tiny.tokenizer_of("nllb")
    part = features(4, choice=False)
    tokens = [int(tokenizer.convert_tokens_to_ids(name)) for name in ("deu_Latn", "fra_Latn")]
    part.extra["begin"] = np.array([tokens[0], -1, tokens[1], tokens[0], tokens[1], -1])
    (answers,) = predict_texts(model, tokenizer, [part], PromptSettings())
    for row, answer in enumerate(answers):
        extra = {name: values[row : row + 1] for name, values in part.extra.items()}
        alone = Features(Ragged.from_rows([part.input_ids[row]]), np.zeros(1, int), np.zeros(1, int), extra=extra)
        assert predict_texts(model, tokenizer, [alone], PromptSettings()) == [[answer]]
    free = predict_texts(model, tokenizer, [features(4, choice=False)], PromptSettings())[0]
    assert [mine == plain for mine, plain in zip(answers, free, strict=True)] != [True] * 6
    assert answers[1] == free[1]


def test_reports_progress_and_can_be_stopped() -> None:
    model, tokenizer = model_of("qwen3"), tiny.tokenizer_of("qwen3")
    reports: list[tuple[int, int]] = []
    progress = Progress(report=lambda done, total: reports.append((done, total)))
    parts = [features(1), features(2, choice=False, most=2)]
    predict_texts(model, tokenizer, parts, PromptSettings(), budget=40, progress=progress)
    assert reports == sorted(reports)
    assert reports[-1] == (12, 12)
    with pytest.raises(Interrupted):
        predict_texts(model, tokenizer, parts, PromptSettings(), progress=Progress(should_stop=lambda: True))


def test_each_request_is_decoded_with_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, task = model_of("mt5"), tiny.tokenizer_of("mt5"), catalog.get("isle-nli")
    examples = [ClassificationExample(str(number), "a", "b") for number in range(6)]
    template = Template("nli.v1", "en", "{text_a} {text_b}")
    prompt = [PromptContext(tokenizer, PromptSettings(normalize=normalize), template) for normalize in (True, False)]
    requests = [
        PredictionRequest(examples, features(seed), prompt=each) for seed, each in zip((1, 3), prompt, strict=True)
    ]
    passes: list[PromptSettings] = []
    run = text_predictions.predict_texts_with_scores
    monkeypatch.setattr(
        "xlift.evaluation.predict.predict_texts_with_scores",
        lambda model, tokenizer, parts, prompt_settings, *more: (
            passes.append(prompt_settings) or run(model, tokenizer, parts, prompt_settings, *more)
        ),
    )
    outputs = compute_outputs(model, tokenizer.pad_token_id, task, requests, "TEXT")
    assert passes == [each.prompt_settings for each in prompt]
    for each, output in zip(requests, outputs, strict=True):
        assert decode(task, each, output) == [task.labels[number] for number in output]


def test_encoder_is_an_error() -> None:
    with pytest.raises(UserError, match="cannot generate text"):
        predict_texts(tiny.encoder("bert"), tiny.tokenizer_of("bert"), [features(1)], PromptSettings())
