"""Text mode against the transformers models of each family: loss, likelihood of candidates, and generation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny
from transformers import AutoConfig, AutoModelForCausalLM

from xlift.errors import UserError
from xlift.model_families import MODEL_TYPES
from xlift.models import text_mode
from xlift.models.model import Model
from xlift.models.output_layer import check_vocabulary_logits
from xlift.models.text_mode import best_candidate, candidate_scores, generate, text_loss
from xlift.tasks.formats.features import IGNORE_INDEX

WRITING = [*tiny.DECODERS, *tiny.SEQ2SEQ]
MORE_TREES = [
    name for name, traits in MODEL_TYPES.items() if traits.supports_tree_attention and name not in tiny.DECODERS
]
END = 2
LANGUAGE = 7
"""Serves as the language token that NLLB's answers begin with."""


def model_of(family: str, **options: Any) -> Model:
    if family in WRITING:
        return tiny.encoder(family, **options)
    sizes: dict[str, Any] = {
        "vocab_size": 90, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "bos_token_id": 0,
        "eos_token_id": 2, "pad_token_id": 1,
    }  # fmt: skip
    if family in ("gemma2", "mistral"):
        sizes["sliding_window"] = 5
    config = AutoConfig.for_model(family, **sizes | options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(AutoModelForCausalLM.from_config(config).eval())


def rows(seed: int = 0, count: int = 5) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Sources of different lengths, each with one to four answers of different lengths."""
    rng = np.random.default_rng(seed)
    sources = [rng.integers(10, 80, size=n) for n in rng.permutation([3, 7, 8, 15, 24])[:count]]
    return sources, [
        [np.append(rng.integers(10, 80, size=rng.integers(0, 9)), END) for _ in range(1 + number % 4)]
        for number in range(count)
    ]


def naive_score(model: Model, source: np.ndarray, answer: np.ndarray) -> float:
    """The transformers forward pass of one source and one answer, without padding."""
    backbone: Any = model.backbone
    labels = torch.from_numpy(answer)[None]
    with torch.inference_mode():
        if model.family == "seq2seq":
            logits = backbone(input_ids=torch.from_numpy(source)[None], labels=labels).logits[0]
        else:
            full = torch.from_numpy(np.concatenate([source, answer]))[None]
            logits = backbone(input_ids=full).logits[0, len(source) - 1 : -1]
        return float(logits.double().log_softmax(-1).gather(1, labels.T).sum())


@pytest.mark.parametrize("family", WRITING + MORE_TREES)
def test_likelihoods_equal_those_of_a_naive_loop(family: str) -> None:
    model = model_of(family)
    sources, candidates = rows()
    with torch.inference_mode():
        found = candidate_scores(model, sources, candidates, pad_token_id=1)
    for source, answers, scores in zip(sources, candidates, found, strict=True):
        assert scores == pytest.approx([naive_score(model, source, answer) for answer in answers], abs=1e-4)


@pytest.mark.parametrize("family", WRITING)
def test_likelihoods_do_not_depend_on_the_batch(family: str) -> None:
    model = model_of(family)
    sources, candidates = rows(seed=1)
    with torch.inference_mode():
        together = candidate_scores(model, sources, candidates, pad_token_id=1)
        for number, scores in enumerate(together):
            (alone,) = candidate_scores(model, [sources[number]], [candidates[number]], pad_token_id=1)
            assert scores == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("family", ["mt5", "qwen3"])
def test_likelihoods_do_not_depend_on_the_split(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(family)
    sources, candidates = rows()
    with torch.inference_mode():
        full = candidate_scores(model, sources, candidates, pad_token_id=1)
        monkeypatch.setattr(text_mode, "MAX_LOGITS", 3 * model.embeddings.shape[0])
        cut = candidate_scores(model, sources, candidates, pad_token_id=1, budget=30)
    assert np.concatenate(cut) == pytest.approx(np.concatenate(full), abs=1e-4)


def test_eager_attention_uses_the_same_tree() -> None:
    sources, candidates = rows()
    model = model_of("gemma3_text")
    with torch.inference_mode():
        expected = candidate_scores(model, sources, candidates, pad_token_id=1)
        model.backbone.set_attn_implementation("eager")
        found = candidate_scores(model, sources, candidates, pad_token_id=1)
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=1e-4)


def test_family_without_tree_attention_repeats_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, candidates = rows()
    model = model_of("qwen3")
    with torch.inference_mode():
        expected = candidate_scores(model, sources, candidates, pad_token_id=1)
        monkeypatch.setitem(MODEL_TYPES, "qwen3", replace(MODEL_TYPES["qwen3"], supports_tree_attention=False))
        found = candidate_scores(model, sources, candidates, pad_token_id=1)
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=1e-4)


def test_normalization_divides_by_the_number_of_tokens() -> None:
    scores, candidates = np.array([-3.0, -4.0]), [np.arange(2), np.arange(4)]
    assert best_candidate(scores, candidates, normalize=False) == 0
    assert best_candidate(scores, candidates, normalize=True) == 1
    assert best_candidate(np.array([-2.0, -2.0]), [np.arange(2)] * 2, normalize=True) == 0


# -- loss --------------------------------------------------------------------------------------------------------------


def batch_of(model: Model, sources: list[np.ndarray], answers: list[np.ndarray]) -> tuple[Any, Any]:
    """Padded inputs and targets of training rows."""
    if model.family == "seq2seq":
        width = max(map(len, answers))
        output = [[*answer, *[IGNORE_INDEX] * (width - len(answer))] for answer in answers]
        return tiny.batch(sources), {"output": torch.tensor(output)}
    full = [np.concatenate(pair) for pair in zip(sources, answers, strict=True)]
    inputs = tiny.batch(full)
    label = torch.full_like(inputs["input_ids"], IGNORE_INDEX)
    for number, (source, answer) in enumerate(zip(sources, answers, strict=True)):
        label[number, len(source) : len(source) + len(answer)] = torch.from_numpy(answer)
    return inputs, {"label": label}


@pytest.mark.parametrize("family", WRITING)
def test_loss_equals_that_of_the_transformers_class(family: str) -> None:
    model = model_of(family)
    sources, candidates = rows()
    answers = [answers[0] for answers in candidates]
    loss = text_loss(model, *batch_of(model, sources, answers))
    expected = -sum(naive_score(model, *pair) for pair in zip(sources, answers, strict=True))
    assert loss.count == sum(map(len, answers))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", ["mt5", "gemma3_text"])
def test_loss_in_parts_has_the_same_gradient(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(family)
    sources, candidates = rows()
    batch = batch_of(model, sources, [answers[0] for answers in candidates])

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        text_loss(model, *batch).total.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    full = gradients()
    monkeypatch.setattr(text_mode, "MAX_LOGITS", 4 * model.embeddings.shape[0])
    cut = gradients()
    assert full.keys() == cut.keys()
    for name, gradient in full.items():
        torch.testing.assert_close(cut[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "is_known"), [("granite", False), ("hyperclovax", False), ("olmo", True), ("phi", True), ("stablelm", True)]
)  # fmt: skip
def test_a_type_that_changes_its_logits_is_refused(family: str, is_known: bool) -> None:
    """The output layer alone would give other likelihoods than the model."""
    sizes = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "vocab_size": 90,
             "hidden_size": 32, "num_hidden_layers": 2}  # fmt: skip
    options = {"logits_scaling": 4.0} if not is_known else {}
    config = AutoConfig.for_model(family, **sizes, **options, pad_token_id=0, architectures=["OneForCausalLM"])
    assert family not in MODEL_TYPES
    model = Model(AutoModelForCausalLM.from_config(config)).train()
    if is_known:
        check_vocabulary_logits(model)
        assert model.backbone.training
    else:
        with pytest.raises(UserError, match=f"models of type '{family}' change their logits"):
            check_vocabulary_logits(model)


def test_encoder_cannot_generate_text() -> None:
    model = tiny.encoder("xlm-roberta")
    sources, candidates = rows()
    with pytest.raises(UserError, match="cannot generate text"):
        candidate_scores(model, sources, candidates, pad_token_id=1)


# -- generation --------------------------------------------------------------------------------------------------------


def naive_greedy(model: Model, source: np.ndarray, stop_id: int, max_new_tokens: int, begin: int | None) -> list[int]:
    """One transformers forward pass per token, without a cache."""
    backbone: Any = model.backbone
    read = torch.from_numpy(source)[None]
    if model.family == "seq2seq":
        first = [backbone.config.decoder_start_token_id, *([] if begin is None else [begin])]
        generated, prompt = torch.tensor([first]), len(first)
    else:
        generated, prompt = read, len(source)
    with torch.inference_mode():
        for _ in range(max_new_tokens):
            decoder_inputs = {"decoder_input_ids": generated} if model.family == "seq2seq" else {}
            logits = backbone(input_ids=read if decoder_inputs else generated, **decoder_inputs).logits[0, -1]
            if int(logits.argmax()) == stop_id:
                break
            generated = torch.cat([generated, logits.argmax()[None, None]], dim=1)
    return generated[0, prompt:].tolist()


@pytest.mark.parametrize("family", WRITING)
def test_greedy_generation_equals_a_naive_loop(family: str) -> None:
    model = model_of(family)
    with torch.no_grad(), torch.random.fork_rng():  # small random weights generate one token again and again
        torch.manual_seed(3)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    if family == "mbart":
        model.backbone.config.decoder_start_token_id = END
    sources, _ = rows()
    begin = LANGUAGE if family in ("nllb", "mbart") else None
    # the stop token occurs in some answers, so that rows end at different lengths
    free = [naive_greedy(model, source, -1, 6, begin) for source in sources]
    stop = next(token for token in free[2] if any(token not in row for row in free))
    expected = [naive_greedy(model, source, stop, 6, begin) for source in sources]
    assert len({len(row) for row in expected}) > 1
    options = {"stop_ids": [stop], "max_new_tokens": 6, "forced_bos_token_ids": begin and [begin] * len(sources)}
    assert [row.tolist() for row in generate(model, sources, 1, **options)] == expected


@pytest.mark.parametrize("family", ["mt5", "gemma3_text"])
def test_beam_search_finds_likelier_answers_and_rows_are_independent(family: str) -> None:
    model = model_of(family)
    sources, _ = rows(seed=2)
    greedy = generate(model, sources, 1, stop_ids=[END], max_new_tokens=5)
    best = generate(model, sources, 1, stop_ids=[END], max_new_tokens=5, num_beams=4)

    def likelihood(answers: list[np.ndarray]) -> float:
        with torch.inference_mode():
            return float(np.concatenate(candidate_scores(model, sources, [[each] for each in answers], 1)).sum())

    assert likelihood(best) >= likelihood(greedy)
    for source, answer in zip(sources, best, strict=True):
        (alone,) = generate(model, [source], 1, stop_ids=[END], max_new_tokens=5, num_beams=4)
        assert alone.tolist() == answer.tolist()


def test_sampling_settings_of_a_checkpoint_are_not_used() -> None:
    model = model_of("qwen3")
    sources, _ = rows()
    expected = [row.tolist() for row in generate(model, sources, 1, stop_ids=[END], max_new_tokens=6)]
    settings: Any = model.backbone.generation_config
    settings.do_sample, settings.temperature, settings.repetition_penalty = True, 5.0, 9.0
    assert [row.tolist() for row in generate(model, sources, 1, stop_ids=[END], max_new_tokens=6)] == expected
    assert model.backbone.generation_config is settings
