"""Templates of lm-evaluation-harness: the strings that it publishes, and their likelihoods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny
from tests.support.fakes import study_file
from tests.support.model_folders import write_family_folders

from xlift.errors import UserError
from xlift.models.text_mode import candidate_scores
from xlift.recipes import PromptSettings
from xlift.studies.job import PredictSpec, TrainSpec
from xlift.studies.plan import make_plan
from xlift.studies.schema.training import PromptSettingsPatch, make_prompt_settings
from xlift.studies.study_file import read_study
from xlift.tasks import catalog, formats
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.features import Prompt
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts import find_template, template_digest
from xlift.tasks.prompts.fewshot import make_prompts
from xlift.tasks.prompts.tokenization import text_features

SETTINGS = make_prompt_settings(PromptSettingsPatch(template="lm-eval"))
CAUSE, EFFECT = "What was the cause?", "What was the effect?"


def prompts_of(name: str, language: str, *examples: Any, **options: Any) -> list[Prompt]:
    task = catalog.get(name)
    template = find_template(task, SETTINGS, language)
    return list(make_prompts(examples, formats.get(task.format), task.labels, template, **options))


@pytest.mark.parametrize(
    ("language", "example", "source", "choices"),
    [
        ("et", ChoiceExample("0", "Mees keeras kraani lahti.", EFFECT, ("Tualett täitus veega.", "Tilast voolas vett.")),
         "Mees keeras kraani lahti seetõttu", ("tualett täitus veega.", "tilast voolas vett.")),
        ("it", ChoiceExample("0", " La lampada si spense. ", CAUSE, ("Era mezzogiorno.", "È rotta.")),
         "La lampada si spense perché", ("era mezzogiorno.", "è rotta.")),
        ("sw", ChoiceExample("0", "Taa ilizima.", CAUSE, ("Ni mchana.", "A")), "Taa ilizima kwa sababu", ("ni mchana.", "a")),
        ("zh", ChoiceExample("0", "灯灭了。", EFFECT, ("天黑了。", "他笑了。")), "灯灭了 所以", ("天黑了。", "他笑了。")),
        ("en", ChoiceExample("0", "The lamp went out.", EFFECT, ("It was dark.", "I slept.")),
         "The lamp went out therefore", ("it was dark.", "i slept.")),
    ],
)  # fmt: skip
def test_xcopa_is_one_sentence(language: str, example: ChoiceExample, source: str, choices: tuple[str, ...]):
    (prompt,) = prompts_of("copa" if language == "en" else "xcopa", language, example)
    assert (prompt.source, prompt.candidates, prompt.has_end_token) == (source, choices, False)


def test_social_iqa():
    (prompt,) = prompts_of("socialiqa", "en", ChoiceExample("0", "Ada won.", "Why?", ("Luck.", "Skill."), 1))
    assert (prompt.source, prompt.answer) == ("Q: Ada won. Why?\nA:", "Skill.")
    assert prompt.candidates == ("Luck.", "Skill.")


def test_belebele_asks_for_a_letter_in_any_language():
    question = ChoiceExample("0", "Mto ni mrefu.", " Ni nini? ", ("mto", "nyumba", "kiti", "kalamu"), 2)
    for language in ("sw", "km"):
        (prompt,) = prompts_of("belebele", language, question)
        assert prompt.source == "P: Mto ni mrefu.\nQ: Ni nini?\nA: mto\nB: nyumba\nC: kiti\nD: kalamu\nAnswer:"
        assert (prompt.candidates, prompt.answer) == (("A", "B", "C", "D"), "C")


def test_global_mmlu_asks_for_a_letter_with_a_period():
    question = ChoiceExample("0", "Welcher Fluss?", "", ("Elbe", "Rhein", "Donau", "Oder"), 1)
    (prompt,) = prompts_of("global-mmlu", "de", question)
    assert prompt.source == "Welcher Fluss?\nA. Elbe\nB. Rhein\nC. Donau\nD. Oder\nAnswer:"
    assert (prompt.candidates, prompt.answer) == (("A", "B", "C", "D"), "B")


def test_a_story_goes_on_with_an_ending():
    (prompt,) = prompts_of(
        "xstorycloze", "eu", ChoiceExample("0", "Euria zen. Ana irten zen.", "", ("Busti zen.", "Lo."), 0)
    )
    assert (prompt.source, prompt.candidates) == ("Euria zen. Ana irten zen.", ("Busti zen.", "Lo."))
    assert (prompt.answer, prompt.has_end_token) == ("Busti zen.", False)


PAIR = ClassificationExample("0", "Es regnet", "Alles {text_a} ist nass.", "neutral")


def test_an_answer_of_xnli_is_the_whole_text():
    (prompt,) = prompts_of("xnli", "de", PAIR)
    assert (prompt.source, prompt.answer) == ("", "Es regnet, richtig? Auch, Alles {text_a} ist nass.")
    assert prompt.candidates == tuple(
        f"Es regnet, richtig? {word}, Alles {{text_a}} ist nass." for word in ("Ja", "Auch", "Nein")
    )
    task = catalog.get("xnli")
    template = find_template(task, SETTINGS, "de")
    assert formats.get(task.format).parse(prompt.candidates[2], PAIR, task.labels, template) == "contradiction"


def test_a_label_with_braces_is_no_field():
    template = Template("toy.v1", "en", "", label_words={"a": "{text_b}"})
    prompt = formats.get("classification").prompt(PAIR, ("a", "{text_a}", "{x}"), template)
    assert prompt.candidates == ("Alles {text_a} ist nass.", "{text_a}", "{x}")


def test_solved_examples_of_xnli_end_with_their_line_breaks():
    tokenizer = tiny.generative_tokenizer("qwen3")
    pairs = [ClassificationExample(str(n), f"It rains {n}", "The cat sat.", "neutral") for n in range(3)]
    prompts = prompts_of("xnli", "en", pairs[2], fewshot_examples=pairs[:2])
    features = text_features(prompts, tokenizer, "decoder", max_length=64, train=False)
    row, answer = features.input_ids[0].tolist(), features.extra["candidates"][0][0].tolist()
    text = " It rains 0, right? Also, The cat sat.\n\n It rains 2, right? Yes, The cat sat."
    assert tokenizer.decode(row + answer) == text


def test_solved_examples_are_joined_too():
    solved = [ChoiceExample(str(n), f"Taa {n} ilizima.", CAUSE, ("Ni mchana.", "Ni usiku."), n) for n in (0, 1)]
    question = ChoiceExample("2", "Alicheka.", EFFECT, ("Alifurahi.", "Alilia."))
    (prompt,) = prompts_of("xcopa", "sw", question, fewshot_examples=solved)
    assert prompt.fewshot_examples == ("Taa 0 ilizima kwa sababu ni mchana.\n\n",)


def test_a_question_without_a_connector_is_refused():
    with pytest.raises(UserError, match="no connector for the question 'Why\\?'") as caught:
        prompts_of("xcopa", "et", ChoiceExample("7", "Mees magas.", "Why?", ("A.", "B.")))
    assert CAUSE in caught.value.fix


def test_a_generated_choice_is_recognized():
    task, example = catalog.get("xcopa"), ChoiceExample("0", "Mees magas.", CAUSE, ("Ta oli väsinud.", "Ta jooksis."))
    template = find_template(task, SETTINGS, "et")
    assert formats.get(task.format).parse(" ta jooksis. ", example, (), template) == 1


TEXTS = [
    ChoiceExample("0", "The cat sat.", EFFECT, ("It rains in the house.", "The dog ran.")),
    ChoiceExample("1", "It rains.", CAUSE, ("A cat", "The dog sat on the river and ran.")),
]


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "mt5"])
def test_likelihoods_equal_those_of_whole_texts_in_a_plain_loop(family: str):
    """As the harness computes them: text and continuation as one string for a decoder, and no end token."""
    tokenizer, model = tiny.generative_tokenizer(family), tiny.encoder(family)
    backbone: Any = model.backbone
    pair = ClassificationExample("0", "The cat sat.", "It rains.")
    prompts = [*prompts_of("copa", "en", *TEXTS), *prompts_of("xnli", "en", pair)]
    features = text_features(prompts, tokenizer, model.family, max_length=64, train=False)
    with torch.inference_mode():
        found = candidate_scores(model, list(features.input_ids), features.extra["candidates"], tokenizer.pad_token_id)
        expected = []
        for prompt in prompts:
            start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
            before = tokenizer(prompt.source)["input_ids"] or [start]
            for choice in prompt.candidates:
                if model.family == "seq2seq":
                    ids = tokenizer(choice, add_special_tokens=False)["input_ids"]
                    logits = backbone(input_ids=torch.tensor([before]), labels=torch.tensor([ids])).logits[0]
                else:
                    whole = tokenizer(f"{prompt.source} {choice}")["input_ids"]
                    whole = whole if whole[: len(before)] == before else before + whole
                    ids, logits = whole[len(before) :], backbone(input_ids=torch.tensor([whole])).logits[0]
                    logits = logits[len(before) - 1 : -1]
                expected.append(float(logits.double().log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).sum()))
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-4)


def test_training_learns_no_end_token_either():
    tokenizer = tiny.generative_tokenizer("qwen3")
    prompts = prompts_of("copa", "en", ChoiceExample("0", "It rains.", CAUSE, ("A cat.", "A dog."), 1))
    row = text_features(prompts, tokenizer, "decoder", max_length=64, train=True).input_ids[0].tolist()
    assert row == tokenizer("It rains because a dog.")["input_ids"]


def test_an_empty_choice_keeps_its_end_token():
    """Else its likelihood would be that of no token at all."""
    tokenizer = tiny.generative_tokenizer("qwen3")
    prompts = prompts_of("copa", "en", ChoiceExample("0", "It rains.", CAUSE, ("", "A dog.")))
    candidates = text_features(prompts, tokenizer, "decoder", max_length=64, train=False).extra["candidates"][0]
    assert candidates[0].tolist() == [tokenizer.eos_token_id]
    assert tokenizer.eos_token_id not in candidates[1]


def test_the_version_sets_defaults_of_other_settings():
    assert (SETTINGS.instructions, SETTINGS.normalize) == ("own", False)
    changed = make_prompt_settings(PromptSettingsPatch(normalize=True), PromptSettingsPatch(template="lm-eval"))
    assert (changed.instructions, changed.normalize) == ("own", True)
    assert make_prompt_settings(PromptSettingsPatch(template="listed")) == PromptSettings(template="listed")


def test_a_study_plans_with_it(tmp_path: Path):
    text = "models: [{name: it, model: decoder}]\ntargets: [{task: xcopa, languages: [et, sw]}]\nprompt: {template: lm-eval}\n"
    plan = make_plan(read_study(str(study_file(write_family_folders(tmp_path), text))), to_run=False)
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec | PredictSpec)]
    assert {type(spec) for spec in specs} == {TrainSpec, PredictSpec}
    assert all(spec.text_mode and spec.text_mode.prompt == SETTINGS for spec in specs)  # dev scores in training, too


def test_digests_of_other_templates_are_those_before_this_one():
    """They are in the keys of finished jobs."""
    digests = [template_digest(catalog.get(name), PromptSettings(instructions="own")) for name in ("xcopa", "xnli")]
    assert [digest[:12] for digest in digests] == ["cf8a213259dd", "f8879ec2b081"]
