"""Every template with examples of all its tasks, and the selection of the template of a task."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.errors import UserError
from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.catalog import ISLES, TASKS
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.prompts import find_template, template_digest, template_languages, template_lookup, template_versions
from xlift.tasks.prompts.template_files import check_label_words, load_templates, parse_templates

TASKS_WITH_TEMPLATES = [task for task in TASKS if template_versions(task)]
FORMATS_WITHOUT_TEXT_MODE = ("retrieval", "mining", "dual-encoding", "text")


def example(task, language="qta", index=0):
    """A generated example, or the invented one of a published task."""
    if task in ISLES:
        return list(task.source.read(task, language, "train", None, size=index + 1))[index]
    fields = {"context": "", "question": ""} if task.format == "multiple-choice" else {}
    values = fields | catalog.invented_examples()[task.name]["example"]
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return formats.get(task.format).example_class(**fields)


def answer(task, gold):
    """The gold answer in the form of a prediction."""
    if task.format == "span-qa":
        return gold[0] if gold else ""
    return gold["text"] if task.format == "translation" else gold


@pytest.mark.parametrize("task", TASKS_WITH_TEMPLATES, ids=lambda task: task.name)
def test_the_text_of_the_gold_answer_is_parsed_as_the_gold_answer(task):
    format = formats.get(task.format)
    for version in template_versions(task):
        for instructions in ("en", "own"):
            prompt_settings = PromptSettings(template=version, instructions=instructions)
            for language in template_languages(task, prompt_settings) if instructions == "own" else ("en",):
                one = example(task, language if language in GENERATED_LANGUAGES else "qta")
                labels = task.labels or tuple(sorted({*getattr(one, "tags", ())}))
                template = find_template(task, prompt_settings, language)
                prompt = format.prompt(one, labels, template)
                assert prompt.answer is not None
                gold = answer(task, format.gold(one))
                if prompt.contexts:  # one answer after several inputs
                    assert set(prompt.candidates) == {prompt.answer}
                    assert prompt.contexts[gold] == prompt.source
                    assert len(set(prompt.contexts)) == len(prompt.candidates)
                    assert format.parse(gold, one, labels, template) == gold
                    continue
                assert format.parse(prompt.answer, one, labels, template) == gold
                assert len(set(prompt.candidates)) == len(prompt.candidates)
                if prompt.candidates:
                    assert format.parse(prompt.candidates.index(prompt.answer), one, labels, template) == gold
                for text in format.texts(one)[:1]:  # mT5 changes spaces, and markers are between words
                    assert text.split()[0] in (prompt.source or prompt.answer)


@pytest.mark.parametrize("task", [t for t in ISLES if template_versions(t)], ids=lambda task: task.name)
@pytest.mark.parametrize("code", ["qta", "qkd", "qeo"])
def test_a_hundred_generated_answers_are_parsed_back(task, code):
    format, template = formats.get(task.format), find_template(task, PromptSettings(instructions="own"), code)
    for one in task.source.read(task, code, "train", None, size=100):
        prompt = format.prompt(one, task.labels, template)
        assert prompt.answer is not None
        assert format.parse(prompt.answer, one, task.labels, template) == answer(task, format.gold(one))


def test_every_generated_language_has_its_own_label_words():
    for task in ISLES:
        prompt_settings = PromptSettings(instructions="own")
        if template_versions(task):
            assert set(template_languages(task, prompt_settings)) == set(task.source.languages("train"))
            for code in GENERATED_LANGUAGES:
                assert "[" not in find_template(task, prompt_settings, code).source
    words = [
        find_template(catalog.get("isle-nli"), PromptSettings(instructions="own"), code).label_words["contradiction"]
        for code in GENERATED_LANGUAGES
    ]
    assert len(set(words)) > len(GENERATED_LANGUAGES) // 2  # related languages share some


def test_the_source_language_has_the_role_of_english():
    nli, english = catalog.get("isle-nli"), PromptSettings()
    assert find_template(nli, english, "qka") == find_template(nli, PromptSettings(instructions="own"), "qta")
    assert find_template(nli, english, "qka").language == "qta"
    # mT5's template has no texts in generated languages
    assert find_template(nli, PromptSettings(template="mt5"), "qka").language == "en"


def test_the_most_specific_template_is_used():
    v1 = PromptSettings()
    assert find_template(catalog.get("hellaswag"), v1, "en").name == "hellaswag.v1"
    assert find_template(catalog.get("socialiqa"), v1, "en").name == "multiple-choice.v1"
    assert find_template(catalog.get("snli"), v1, "en").name == "xnli.v1"  # by its labels
    assert find_template(catalog.get("sib200"), v1, "de").name == "sib200.v1"


def test_mt5_templates_follow_its_code():
    """Expected texts are the examples in the docstrings of multilingual_t5/preprocessors.py, and of T5's `glue` for PAWS."""
    mt5 = PromptSettings(template="mt5")

    def fill_in(name, one):
        task = catalog.get(name)
        prompt = formats.get(task.format).prompt(one, task.labels, find_template(task, mt5, "en"))
        return prompt.source, prompt.answer

    pair = ClassificationExample("0", "It rains.", "It is wet.", "neutral")
    assert fill_in("xnli", pair) == ("xnli: premise: It rains. hypothesis: It is wet.", "1")
    pair = ClassificationExample("0", "It rains.", "It is wet.", "different")
    assert fill_in("pawsx", pair) == ("paws sentence1: It rains. sentence2: It is wet.", "different_meaning")
    question = SpanExample("0", "François (b. 1494) was king.", "When  was he born?", ("(b. 1494)",), (9,))
    assert fill_in("xquad", question) == (
        "question: When was he born ? context: François ( b . 1494 ) was king .",
        "( b . 1494 )",
    )
    words, tags = ("rick", "and", "morty", "are", "cool", "."), ("B-PER", "O", "B-PER", "O", "O", "O")
    assert fill_in("panx", TaggingExample("0", words, tags)) == (
        "tag: rick and morty are cool .",
        "PER: rick $$ PER: morty",
    )


def test_braces_and_markers_in_an_example_are_literal():
    pair = ClassificationExample("0", "{text_b} {labels} {} {0} {", "[book] {x!r} \\1 \\g<0>", "neutral")
    task = catalog.get("mnli")
    source = formats.get("classification").prompt(pair, task.labels, find_template(task, PromptSettings(), "en")).source
    assert source.startswith("Sentence 1: {text_b} {labels} {} {0} {\nSentence 2: [book] {x!r} \\1 \\g<0>\nDoes")
    pos = catalog.get("isle-pos")
    one = TaggingExample("0", ("1:", "{words}", "[book]", "<extra_id_1>"), ("NOUN", "VERB", "ADJ", "ADV"))
    template = find_template(pos, PromptSettings(instructions="own"), "qta")
    prompt = formats.get("tagging").prompt(one, pos.labels, template)
    assert "0: 1: 1: {words} 2: [book] 3: <extra_id_1>" in prompt.source
    assert prompt.answer is not None
    assert formats.get("tagging").parse(prompt.answer, one, pos.labels, template) == list(one.tags or ())


def test_a_choice_without_a_question_has_its_context_as_prompt():
    template = find_template(catalog.get("cosmosqa"), PromptSettings(), "en")
    format = formats.get("multiple-choice")
    assert format.prompt(ChoiceExample("0", "It rains.", "", ("a", "b")), (), template).source == "It rains."
    source = format.prompt(ChoiceExample("0", "", "Why?", ("a", "b")), (), template).source
    assert source == "Question: Why?\nAnswer:"


@pytest.mark.parametrize(
    "task", [t for t in TASKS if t.format in FORMATS_WITHOUT_TEXT_MODE], ids=lambda task: task.name
)
def test_formats_without_text_mode_have_no_template(task):
    with pytest.raises(UserError, match="no template 'v1'") as caught:
        find_template(task, PromptSettings(), "de")
    assert "mode: head" in caught.value.fix
    format = formats.get(task.format)
    fields = {"id": "0", "text": "a", "translation": "b", "query": "a", "passage": "b"}
    names = format.example_class.__dataclass_fields__
    with pytest.raises(UserError, match="`mode: text` is not possible"):
        format.prompt(
            format.example_class(**{k: v for k, v in fields.items() if k in names}),
            (),
            load_templates()[0].get_template("en"),
        )


def test_missing_templates_are_reported_with_the_available_ones():
    with pytest.raises(UserError, match="no template 'v9' for the task") as caught:
        find_template(catalog.get("panx"), PromptSettings(template="v9"), "en")
    assert "mt5, v1, listed, bare" in caught.value.fix
    with pytest.raises(UserError, match="no texts in 'ay'") as caught:
        find_template(catalog.get("americasnli"), PromptSettings(instructions="own"), "ay")
    with pytest.raises(UserError, match="no texts in 'ko'") as caught:
        find_template(catalog.get("xnli"), PromptSettings(instructions="own"), "ko")
    assert "ar, bg, de" in caught.value.fix


def test_instructions_exist_in_all_languages_of_the_suites():
    own = PromptSettings(instructions="own")
    for name in ("xnli", "pawsx", "xquad", "mlqa", "tydiqa", "xcopa"):
        task = catalog.get(name)
        assert set(template_languages(task, own)) >= set(task.suites.get("xtreme", ()) or task.suites["xtreme-r"])


ONE = {
    "name": "toy.v1", "format": "classification", "comment": "",
    "languages": {"en": {"source": "{text_a}", "label_words": {"a": "yes", "b": "no"}}},
}  # fmt: skip


def test_invalid_templates_are_refused_on_reading():
    assert parse_templates(json.dumps([ONE]), "x.json")[0].get_template("en").label_word("b") == "no"
    same_word = ONE | {"languages": {"en": {"source": "{text_a}", "label_words": {"a": "yes", "b": "Yes"}}}}
    with pytest.raises(UserError, match="'a' and 'b' have the same word, 'Yes'"):
        parse_templates(json.dumps([same_word]), "x.json")
    for invalid in (ONE | {"name": "toy"}, ONE | {"colour": "red"}, ONE | {"languages": {"en": {}}}, {}, 3, [ONE]):
        with pytest.raises(UserError, match="not a list of templates"):
            parse_templates(json.dumps([invalid]), "x.json")
    unknown = ONE | {"languages": {"en": {"source": "{text_c}"}}}
    template = parse_templates(json.dumps([unknown]), "x.json")[0].get_template("en")
    with pytest.raises(UserError, match="text_c"):
        formats.get("classification").prompt(ClassificationExample("0", "a"), ("a", "b"), template)


def test_labels_with_the_same_word_are_refused():
    odd = replace(catalog.get("isle-nli"), labels=("yes", "entailment", "neutral", "contradiction"))
    assert find_template(odd, PromptSettings(), "en").name == "classification.v1"  # its labels differ from NLI's
    nli = find_template(catalog.get("xnli"), PromptSettings(), "en")
    with pytest.raises(UserError, match="have the same word, 'yes'"):
        check_label_words(nli, ("entailment", "yes"))


def test_the_digest_covers_the_texts_of_the_template_only(monkeypatch):
    xnli, isle = catalog.get("xnli"), catalog.get("isle-nli")
    digests = {template_digest(xnli, PromptSettings()), template_digest(xnli, PromptSettings(template="mt5")), template_digest(xnli, PromptSettings(instructions="own")),
            template_digest(isle, PromptSettings()), template_digest(isle, PromptSettings(instructions="own"))}  # fmt: skip
    assert len(digests) == 5
    assert template_digest(xnli, PromptSettings(num_fewshot=4, num_beams=2, normalize=False)) == template_digest(
        xnli, PromptSettings()
    )
    # a model trained on MNLI predicts XNLI, so both have the same template
    assert template_digest(catalog.get("mnli"), PromptSettings()) == template_digest(xnli, PromptSettings())
    before, own = template_digest(xnli, PromptSettings()), template_digest(xnli, PromptSettings(instructions="own"))

    def changed(entry):
        if entry.name != "xnli.v1":
            return entry
        german = entry.languages["de"]
        return entry.model_copy(update={"languages": entry.languages | {
            "de": german.model_copy(update={"label_words": german.label_words | {"neutral": "kaum"}})}})  # fmt: skip

    templates = tuple(map(changed, load_templates()))
    monkeypatch.setattr(template_lookup, "load_templates", lambda: templates)
    assert template_digest(xnli, PromptSettings()) == before
    assert template_digest(xnli, PromptSettings(instructions="own")) != own
    assert template_digest(catalog.get("kornli"), PromptSettings()) == template_digest(
        catalog.get("kornli"), PromptSettings()
    )
    with pytest.raises(UserError, match="no texts"):
        template_digest(catalog.get("kornli"), PromptSettings(instructions="own"))
