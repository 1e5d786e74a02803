"""Likelihoods of whole and of partial sentences: minimal pairs and Winograd schemas."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny
from tests.support.fakes import study_file
from tests.support.model_folders import write_family_folders

from xlift.errors import UserError
from xlift.evaluation.text_predictions import predict_texts_with_scores
from xlift.execution.file_prediction.predictor import LoadedModel, _generate_or_choose
from xlift.recipes import PromptSettings
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study
from xlift.tasks import catalog, formats
from xlift.tasks.formats.features import Prompt
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import make_prompts
from xlift.tasks.prompts.tokenization import text_features
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Fields

LM_EVAL = PromptSettings(template="lm-eval", instructions="own", normalize=False)
SCHEMAS = [
    ChoiceExample("0", "The cat ran to the dog because _ sat in the house.", "", ("the cat", "the dog"), 1),
    ChoiceExample("1", "_ rains on the river.", "", ("A cat", "The dog that ran in the house"), 0),
    ChoiceExample("2", "Die Katze mag den Hund , weil _ schläft _ .", "", ("sie", "der Hund", "die Katze"), 2),
]
PAIRS = [
    ChoiceExample("0", "", "", ("The cat sat in the house.", "The cat sit in the house."), 0),
    ChoiceExample("1", "", "", ("It rain.", "It rains on the river and in the house."), 1),
]


def prompts_of(name: str, examples: list[ChoiceExample], language: str = "en", **options: Any) -> list[Prompt]:
    task = catalog.get(name)
    template = find_template(task, LM_EVAL, language)
    return list(make_prompts(examples, formats.get(task.format), task.labels, template, **options))


def likelihood(model: Any, before: list[int], after: list[int]) -> float:
    """The log likelihood of some tokens after others, from full logits of the class of transformers."""
    if model.family == "seq2seq":
        logits = model.backbone(input_ids=torch.tensor([before]), labels=torch.tensor([after])).logits[0]
    else:
        logits = model.backbone(input_ids=torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    return float(logits.double().log_softmax(-1).gather(1, torch.tensor(after)[:, None]).sum())


def expected(model: Any, tokenizer: Any, context: str, text: str) -> float:
    """As lm-evaluation-harness: context and text as one string, or a text alone after the first token of any text."""
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    before = tokenizer(context)["input_ids"] if context else [start]
    if model.family == "seq2seq":
        before = before if context else tokenizer("")["input_ids"] or [start]
        return likelihood(model, before, tokenizer(text, add_special_tokens=False)["input_ids"])
    if not context:
        return likelihood(model, before, tokenizer(text, add_special_tokens=False)["input_ids"])
    whole = tokenizer(f"{context} {text}")["input_ids"]
    assert whole[: len(before)] == before
    return likelihood(model, before, whole[len(before) :])


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "mt5"])
def test_likelihoods_equal_those_of_a_plain_loop(family: str):
    tokenizer, model = tiny.generative_tokenizer(family), tiny.encoder(family)
    prompts = [prompts_of("xwinograd", SCHEMAS), prompts_of("multiblimp", PAIRS)]
    parts = [text_features(each, tokenizer, model.family, max_length=64, train=False) for each in prompts]
    found = predict_texts_with_scores(model, tokenizer, parts, LM_EVAL, budget=40)
    with torch.inference_mode():
        partial = [
            [
                expected(model, tokenizer, before + choice, after.strip())
                for before, _, after in [one.context.partition("_")] for choice in one.choices
            ]
            for one in SCHEMAS
        ]  # fmt: skip
        whole = [[expected(model, tokenizer, "", choice) for choice in one.choices] for one in PAIRS]
    for outputs, by_hand in zip(found, (partial, whole), strict=True):
        assert outputs.scores is not None
        assert [len(each) for each in outputs.scores] == [len(each) for each in by_hand]
        assert np.concatenate(outputs.scores) == pytest.approx(np.concatenate(by_hand), abs=1e-4)
        assert outputs.values == [int(np.argmax(each)) for each in by_hand]


def test_a_schema_has_a_row_for_each_choice_with_the_text_after_the_blank():
    tokenizer = tiny.generative_tokenizer("qwen3")
    features = text_features(prompts_of("xwinograd", SCHEMAS), tokenizer, "decoder", max_length=64, train=False)
    assert features.example_index.tolist() == features.unit.tolist() == [0, 0, 1, 1, 2, 2, 2]
    rows = [tokenizer.decode(row) for row in features.input_ids]
    assert rows[:3] == [
        "The cat ran to the dog because the cat", "The cat ran to the dog because the dog", "A cat",
    ]  # fmt: skip
    assert [tokenizer.decode(given[0]) for given in features.extra["candidates"][:2]] == [" sat in the house."] * 2
    assert tokenizer.eos_token_id not in features.extra["candidates"][0][0]


def test_only_the_first_blank_is_filled():
    (prompt,) = prompts_of("xwinograd", SCHEMAS[2:])
    assert prompt.contexts[1] == "Die Katze mag den Hund , weil der Hund"
    assert prompt.candidates == ("schläft _ .",) * 3


@pytest.mark.parametrize("sentence", ["No blank here.", "Nothing after _ "])
def test_a_sentence_without_a_blank_or_text_after_it_is_refused(sentence: str):
    with pytest.raises(UserError, match="needs a sentence with a blank '_' and text after it") as caught:
        prompts_of("xwinograd", [ChoiceExample("7", sentence, "", ("a", "b"))])
    assert "example '7'" in str(caught.value.where)


def test_whole_sentences_follow_no_space_and_solved_ones_neither():
    tokenizer = tiny.generative_tokenizer("qwen3")
    prompts = prompts_of("multiblimp", PAIRS[:1], fewshot_examples=PAIRS)
    features = text_features(prompts, tokenizer, "decoder", max_length=64, train=False)
    assert tokenizer.decode(features.input_ids[0]) == "It rains on the river and in the house.\n\n"
    assert [tokenizer.decode(each) for each in features.extra["candidates"][0]] == list(PAIRS[0].choices)


def test_training_learns_the_text_after_the_right_choice():
    tokenizer = tiny.generative_tokenizer("qwen3")
    features = text_features(prompts_of("xwinograd", SCHEMAS[:1]), tokenizer, "decoder", max_length=64, train=True)
    assert tokenizer.decode(features.input_ids[0]) == "The cat ran to the dog because the dog sat in the house."
    learned = [token for token in features.targets["label"][0].tolist() if token >= 0]  # type: ignore[union-attr]
    assert tokenizer.decode(learned) == " sat in the house."


def read_pair(name: str, columns: dict[str, Any], *, with_gold: bool = True) -> ChoiceExample:
    record = {"good": "They run.", "bad": "They runs.", "worse": "They running."}
    layout = Layout("multiple-choice", "en", columns=columns)
    return formats.get("multiple-choice").read_record(Fields(record, layout, "rows"), name, with_gold=with_gold)


def test_the_first_of_a_minimal_pair_is_right_wherever_it_is_put():
    columns = {"context": "", "question": "", "label": "", "choices": ["good", "bad", "worse"]}
    examples = [read_pair(str(n), columns) for n in range(60)]
    assert all(one.label is not None and one.choices[one.label] == "They run." for one in examples)
    assert {one.label for one in examples} == {0, 1, 2}
    assert all(sorted(one.choices) == sorted(["They run.", "They runs.", "They running."]) for one in examples)
    assert read_pair("5", columns) == examples[5]
    assert read_pair("5", columns, with_gold=False).choices == ("They run.", "They runs.", "They running.")


@pytest.mark.parametrize(
    ("columns", "missing"),
    [({"label": ""}, "context"), ({"context": ""}, "context"), ({"context": "bad", "label": ""}, "label"),
     ({"context": "bad"}, "label")],
)  # fmt: skip
def test_other_questions_still_need_a_label_and_a_context(columns: dict[str, Any], missing: str):
    with pytest.raises(UserError, match=f"no column for '{missing}'"):
        read_pair("0", {"question": "", "choices": ["good", "bad"], **columns})


def plan(folder: Path, target: str, model: str = "decoder") -> Any:
    text = f"models: [{{name: it, model: {model}}}]\ntargets: [{{{target}}}]\n"
    return make_plan(read_study(str(study_file(write_family_folders(folder), text))), to_run=False)


def test_a_study_scores_sentences_without_training(tmp_path: Path):
    jobs = plan(tmp_path, "task: multiblimp, languages: [de, is], train: false").jobs.values()
    assert {job.kind for job in jobs} == {"predict"}
    assert len(jobs) == 2


def test_training_on_sentences_that_are_only_scored_names_the_way(tmp_path: Path):
    with pytest.raises(UserError, match="multiblimp has no training data") as caught:
        plan(tmp_path, "task: multiblimp, languages: [de]")
    assert "`train: false`" in caught.value.fix
    with pytest.raises(UserError, match="xwinograd cannot be scored without training: the head"):
        plan(tmp_path, "task: xwinograd, languages: [ja], train: false", "encoder")


def test_an_exported_model_compares_the_same_scores():
    tokenizer, model = tiny.generative_tokenizer("qwen3"), tiny.encoder("qwen3")
    features = text_features(prompts_of("xwinograd", SCHEMAS), tokenizer, model.family, max_length=64, train=False)
    loaded = LoadedModel(SimpleNamespace(temperature=1.0), tokenizer, model)  # type: ignore[arg-type]
    (outputs,) = predict_texts_with_scores(model, tokenizer, [features], LM_EVAL)
    chosen = _generate_or_choose(loaded, features, LM_EVAL)
    assert [answer for answer, _ in chosen] == outputs.values
    assert [len(probabilities) for _, probabilities in chosen] == [2, 2, 3]
    assert all(sum(probabilities) == pytest.approx(1) for _, probabilities in chosen)
