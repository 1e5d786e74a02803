"""Gemma 3 270M: hidden states, likelihoods, generated text and heads equal those of plain transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.support.real_models import GEMMA, TEXTS, needs
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextForSequenceClassification

from xlift.evaluation.batching import inference_autocast
from xlift.models.backbone import load
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.text_mode import candidate_scores, generate
from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import make_prompts
from xlift.tasks.prompts.tokenization import text_features

pytestmark = needs(GEMMA)

QUESTIONS = [
    ("en", "The man turned on the tap.", "What happened as a result?", ("Water flowed.", "The sink vanished.")),
    ("it", "La ragazza trovò un insetto nei cereali.", "Quale fu l'effetto?", ("Perse l'appetito.", "Versò il latte.")),
    ("sw", "Mvua ilinyesha usiku kucha.", "Matokeo yalikuwa nini?", ("Barabara zilifurika.", "Jua liliwaka sana leo.")),
    ("zh", "他把杯子掉在了地上。", "结果是什么？", ("杯子碎了。", "他喝完了水，然后继续看书。")),
    ("th", "เขาลืมร่มไว้ที่บ้าน", "ผลที่ตามมาคืออะไร", ("เขาเปียกฝน", "เขาซื้อบ้านใหม่")),
]
"""Made up, in the shape of XCOPA."""


@pytest.fixture(scope="module")
def ours() -> tuple[Model, Any]:
    model, tokenizer = load(GEMMA)
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def stock() -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(GEMMA, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(GEMMA)


def padded(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    inputs = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}


@torch.inference_mode()
def test_tokens_and_hidden_states(ours: tuple[Model, Any], stock: tuple[Any, Any]) -> None:
    model, tokenizer = ours
    inputs = padded(tokenizer, TEXTS)
    found = model.last_hidden_state(inputs)  # all rows at once, packed
    for row, text in enumerate(TEXTS):
        ids = stock[1](text, return_tensors="pt")["input_ids"]
        assert inputs["input_ids"][row, : ids.shape[1]].tolist() == ids[0].tolist()
        expected = stock[0].model(input_ids=ids).last_hidden_state[0]
        # states have a standard deviation of some tens
        torch.testing.assert_close(found[row, : ids.shape[1]], expected, atol=5e-3, rtol=1e-4)


@torch.inference_mode()
def test_bf16_states_differ_no_more_than_those_of_transformers_in_bf16(
    ours: tuple[Model, Any], stock: tuple[Any, Any]
) -> None:
    model, tokenizer = ours
    inputs = padded(tokenizer, TEXTS)
    real = inputs["attention_mask"].bool()
    with inference_autocast(model, "bf16"):
        found = model.last_hidden_state(inputs)[real]
    exact = model.last_hidden_state(inputs)[real]
    with torch.autocast("cpu", torch.bfloat16):
        theirs = torch.cat(
            [stock[0].model(input_ids=stock[1](text, return_tensors="pt")["input_ids"])[0][0] for text in TEXTS]
        )

    def error(states: torch.Tensor) -> float:
        return float(((states.float() - exact).norm(dim=-1) / exact.norm(dim=-1)).mean())

    assert 1e-4 < error(found) < 1.2 * error(theirs) + 1e-3
    assert error(found) < 0.05


def choice_features(tokenizer: Any, language: str, version: str = "v1") -> tuple[list[Any], Any, list[ChoiceExample]]:
    task = catalog.get("xcopa")
    template = find_template(task, PromptSettings(template=version), language)
    examples = [
        ChoiceExample(str(number), context, question, choices, 0)
        for number, (code, context, question, choices) in enumerate(QUESTIONS)
        if code == language
    ]
    prompts = list(make_prompts(examples, formats.get(task.format), task.labels, template, fewshot_examples=()))
    return prompts, text_features(prompts, tokenizer, "decoder", max_length=128, train=False), examples


@torch.inference_mode()
def test_likelihoods_of_answers(ours: tuple[Model, Any], stock: tuple[Any, Any]) -> None:
    model, tokenizer = ours
    plain, plain_tokenizer = stock
    sources, candidates, expected = [], [], []
    for language in ("en", "it", "sw", "zh", "th"):
        prompts, features, _ = choice_features(tokenizer, language)
        sources += list(features.input_ids)
        candidates += features.extra["candidates"]
        for prompt in prompts:
            # the text of prompt and answer together, tokenized as one string by plain transformers
            before = plain_tokenizer(prompt.source)["input_ids"]
            for answer in prompt.candidates:
                ids = plain_tokenizer(f"{prompt.source} {answer}")["input_ids"] + [plain_tokenizer.eos_token_id]
                assert ids[: len(before)] == before
                logits = plain(input_ids=torch.tensor([ids])).logits[0, len(before) - 1 : -1].double()
                target = torch.tensor(ids[len(before) :])
                expected.append(float(logits.log_softmax(-1).gather(1, target[:, None]).sum()))
    found = candidate_scores(model, sources, candidates, tokenizer.pad_token_id)
    # log likelihoods of -10 to -80
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-3)


@torch.inference_mode()
def test_greedily_generated_text(ours: tuple[Model, Any], stock: tuple[Any, Any]) -> None:
    model, tokenizer = ours
    plain, plain_tokenizer = stock
    prompts = ["The capital of France is", "Ein Jahr hat zwölf", "日本の首都は", "Mji mkuu wa Kenya ni"]
    found = generate(
        model,
        [np.array(tokenizer(prompt)["input_ids"]) for prompt in prompts],
        tokenizer.pad_token_id,
        stop_ids=[tokenizer.eos_token_id],
        max_new_tokens=12,
    )
    for prompt, answer in zip(prompts, found, strict=True):
        inputs = plain_tokenizer(prompt, return_tensors="pt")
        output = plain.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(answer) == plain_tokenizer.decode(output, skip_special_tokens=True)
    assert "France" in tokenizer.decode(found[0])  # it is the real model


@torch.inference_mode()
def test_sequence_head_equals_the_class_of_transformers(ours: tuple[Model, Any]) -> None:
    model, tokenizer = ours
    head = model.add_head("topic", HeadSpec("sequence", ("a", "b", "c")), seed=1)
    torch.nn.init.normal_(head.get_parameter("score.weight"), std=0.1)
    config = type(model.backbone.config).from_pretrained(GEMMA, num_labels=3, dtype=torch.float32)
    with torch.device("meta"):
        theirs = Gemma3TextForSequenceClassification(config)
    theirs.load_state_dict(model.stock_state_dict("topic"), strict=True, assign=True)
    # assign=True leaves buffers that the state dict does not have on the meta device
    theirs.model.rotary_emb = model.trunk.get_submodule("rotary_emb")
    theirs.model.embed_tokens.embed_scale = model.trunk.get_submodule("embed_tokens").embed_scale  # type: ignore[attr-defined]
    inputs = padded(tokenizer, TEXTS)
    torch.testing.assert_close(model(inputs, "topic"), theirs.eval()(**inputs).logits, atol=2e-3, rtol=1e-4)
