"""The translation format: prompts with the languages, answers on one line, changes of the source."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.change import ChangedText
from xlift.tasks.formats.features import Direction
from xlift.tasks.formats.template import Template
from xlift.tasks.formats.translation import MAX_NEW_TOKENS, TranslationExample, language_name
from xlift.tasks.sources.custom import build_custom_task

FORMAT = formats.get("translation")
PLAIN = Template("translation.test", "en", "From {source_language} to {target_language}: {source}")
ONE = TranslationExample("1", "Mto ni {mrefu}.", "The river is long.", "sw", "en")
TEXTS = st.text(min_size=1, max_size=40).filter(str.strip)


def test_a_prompt_has_the_languages_and_keeps_braces_of_the_text():
    prompt = FORMAT.prompt(ONE, (), PLAIN)
    assert prompt.source == "From Swahili to English: Mto ni {mrefu}."
    assert prompt.answer == "The river is long."
    assert prompt.candidates == ()
    # tokenizers with language tokens read this instead
    assert prompt.direction == Direction("Mto ni {mrefu}.", "sw", "en")
    assert prompt.truncatable is not None
    begin, end = prompt.truncatable
    assert prompt.source[begin:end] == ONE.source


@pytest.mark.parametrize(("code", "name"), [("sw", "Swahili"), ("zh-Hant", "Chinese, traditional script"), ("qtm", "Merrin"),
                                            ("xyz", "xyz")])  # fmt: skip
def test_languages_have_names(code, name):
    assert language_name(code) == name


@given(TEXTS)
def test_max_new_tokens_grows_with_the_source_up_to_a_limit(text):
    short, long = (FORMAT.prompt(replace(ONE, source=source), (), PLAIN) for source in (text, text * 1000))
    assert len(text) < short.max_new_tokens <= long.max_new_tokens <= MAX_NEW_TOKENS


@given(st.text())
def test_any_answer_is_parsed_to_one_line(written):
    parsed = FORMAT.parse(written, ONE, (), PLAIN)
    assert "\n" not in parsed
    assert parsed.split() == written.split()


@given(TEXTS, TEXTS)
def test_change_texts_changes_only_the_source(source, translation):
    changed_texts: list[str] = []

    def change(text):
        changed_texts.append(text)
        return ChangedText("changed", (0,) * len(text) + (7,))

    changed = FORMAT.change_texts(replace(ONE, source=source, translation=translation), change)
    assert changed == replace(ONE, source="changed", translation=translation)
    assert changed_texts == [source]


def test_a_source_is_kept_if_the_change_leaves_only_white_space():
    assert FORMAT.change_texts(ONE, lambda text: ChangedText(" ", (0,) * len(text) + (1,))) == ONE


def test_gold_is_the_reference_with_its_language():
    assert FORMAT.gold(ONE) == {"text": "The river is long.", "language": "en"}
    assert FORMAT.texts(ONE) == ("Mto ni {mrefu}.", "The river is long.")
    unknown = replace(ONE, translation=None)
    assert FORMAT.gold(unknown) == {"text": None, "language": "en"}
    assert FORMAT.texts(unknown) == ("Mto ni {mrefu}.",)
    assert FORMAT.prompt(unknown, (), PLAIN).answer is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [({"source": " "}, "the text to translate is empty"), ({"translation": ""}, "the translation is empty"),
     ({"target_language": "sw"}, "both in 'sw'")],
)  # fmt: skip
def test_check_names_the_problem_of_a_broken_pair(changed, problem):
    assert FORMAT.check(ONE, ()) is None
    assert problem in (FORMAT.check(replace(ONE, **changed), ()) or "")


def test_there_is_no_head():
    with pytest.raises(UserError, match="translation tasks have no head"):
        FORMAT.features([ONE], None, (), max_length=8, train=True)


# --- custom tasks ---------------------------------------------------------------------------------------------------


def declared(folder, rows, **more):
    (folder / "pairs.tsv").write_text("source\ttranslation\n" + rows, encoding="utf-8")
    files = {"train": {"swh": "pairs.tsv"}}
    return build_custom_task({"name": "mine", "format": "translation", "files": files, **more}, folder)


@pytest.mark.parametrize(
    ("direction", "languages"), [(["{lang}", "eng"], ("sw", "en")), (["en", "{lang}"], ("en", "sw"))]
)
def test_two_columns_and_a_direction_make_a_custom_task(direction, languages, tmp_path):
    task = declared(tmp_path, "a b\tc d\n", direction=direction)
    (example,) = task.source.read(task, "sw", "train", None)
    assert example == TranslationExample("0", "a b", "c d", *languages)
    assert task.metrics == ("chrf++", "bleu", "on-target")
    other = declared(tmp_path, "a b\tc d\n", direction=direction[::-1])
    fingerprints = {one.source.fingerprint(one, "sw", "train", None) for one in (task, other)}
    assert len(fingerprints) == 2


@pytest.mark.parametrize(
    ("direction", "message"),
    [(["en", "sw"], "is not a direction"), (["{lang}"], "is not a direction"), (["{lang}", "{lang}"], "is not a direction"),
     (["{lang}", "Englisch!"], "'Englisch!' is not a language code")],
)  # fmt: skip
def test_a_wrong_direction_is_refused(direction, message, tmp_path):
    with pytest.raises(UserError, match=message):
        declared(tmp_path, "a\tb\n", direction=direction)


def test_a_direction_that_the_rows_contradict_is_refused(tmp_path):
    rows = "source\ttranslation\tsource_lang\ttarget_lang\na\tb\tsw\ten\nc\td\tfr\ten\n"
    (tmp_path / "rows.tsv").write_text(rows, encoding="utf-8")
    declaration = {"name": "mine", "format": "translation", "files": {"train": {"sw": "rows.tsv"}}}
    task = build_custom_task(declaration, tmp_path)
    assert [e.source_language for e in task.source.read(task, "sw", "train", None)] == ["sw", "fr"]
    task = build_custom_task(declaration | {"direction": ["{lang}", "en"]}, tmp_path)
    with pytest.raises(UserError, match=r"rows.tsv:3: the row is from 'fr' into 'en', but `direction` says from 'sw'"):
        list(task.source.read(task, "sw", "train", None))


def test_rows_may_spell_the_declared_languages_in_another_way(tmp_path):
    rows = "source\ttranslation\tsource_lang\ttarget_lang\na\tb\teng\tzh_cn\nc\td\ten-US\tzh\n"
    (tmp_path / "rows.tsv").write_text(rows, encoding="utf-8")
    declaration = {"name": "mine", "format": "translation", "files": {"train": {"zh-CN": "rows.tsv"}}}
    task = build_custom_task(declaration | {"direction": ["en", "{lang}"]}, tmp_path)
    examples = task.source.read(task, "zh-CN", "train", None)
    assert [(each.source_language, each.target_language) for each in examples] == [("en", "zh-CN")] * 2


def test_only_translation_tasks_have_a_direction(tmp_path):
    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    with pytest.raises(UserError, match="only translation tasks have a direction"):
        files = {"train": {"en": "x.csv"}}
        build_custom_task(
            {"name": "mine", "format": "classification", "files": files, "direction": ["{lang}", "en"]}, tmp_path
        )
