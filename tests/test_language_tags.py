"""Codes of languages in any spelling, and the language of the table that each means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.language_tags import EXTENDED, OTHER_CODES, REGIONAL_SCRIPTS, find_language, match_code, same_tag, study_code
from xlift.languages import ALIASES, LANGUAGES, canonical

PLAIN = [language.code for language in LANGUAGES if "-" not in language.code]


@pytest.mark.parametrize(
    ("code", "meant", "script"),
    [
        ("zh-CN", "zh", "Hans"), ("zh_TW", "zh-Hant", "Hant"), ("zh-HK", "zh-Hant", "Hant"), ("zh-MO", "zh-Hant", "Hant"),
        ("zh-Hant-TW", "zh-Hant", "Hant"), ("zh-Hans-CN", "zh", "Hans"), ("zh-SG", "zh", "Hans"), ("ZH-cn", "zh", "Hans"),
        ("cmn", "zh", "Hans"), ("cmn-TW", "zh-Hant", "Hant"), ("chi", "zh", "Hans"), ("zh-cmn-Hans-CN", "zh", "Hans"),
        ("zh-yue-HK", "yue", "Hant"), ("pt-BR", "pt", "Latn"), ("pt_pt", "pt", "Latn"), ("por-BR", "pt", "Latn"),
        ("th-TH", "th", "Thai"), ("ja-JP", "ja", "Jpan"), ("en-US", "en", "Latn"), ("EN_gb", "en", "Latn"),
        ("es-419", "es", "Latn"), ("ko-KR", "ko", "Kore"), ("ko-Hang-KR", "ko", "Kore"), ("sr-Latn", "sr-Latn", "Latn"),
        ("sr-Latn-RS", "sr-Latn", "Latn"), ("sr-Cyrl", "sr", "Cyrl"), ("sr-ME", "sr-Latn", "Latn"), ("pa-PK", "pa-Arab", "Arab"),
        ("ar-EG", "ar", "Arab"), ("ar-arz", "arz", "Arab"), ("ar-Latn-MA", "ar-Latn", "Latn"), ("nb-NO", "nb", "Latn"),
        ("no", "nb", "Latn"), ("no-NO", "nb", "Latn"), ("iw-IL", "he", "Hebr"), ("ger", "de", "Latn"), ("fil-PH", "tl", "Latn"),
        ("ca-valencia", "ca", "Latn"), ("de-1996", "de", "Latn"), ("de-u-co-phonebk", "de", "Latn"), ("en-x-simple", "en", "Latn"),
        ("swh_Latn", "sw", "Latn"), ("quy-PE", "quy", "Latn"), ("ur-Aran", "ur", "Arab"), ("zh-Latn", "zh-Latn", "Latn"),
        ("de-Abcd", "de", "Latn"), (" de ", "de", "Latn"),
    ],
)  # fmt: skip
def test_a_code_folds_to_a_language_of_the_table(code: str, meant: str, script: str):
    language = find_language(code)
    assert language is not None
    assert (language.code, language.script) == (meant, script)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "z",
        "english",
        "Deutsch",
        "zh--CN",
        "-zh",
        "中文",
        "zh CN",
        "zh.CN",
        "xx",
        "xx-YY",
        "cmo-CN",
        "qta",
        "1a",
        "zh-CN!",
    ],
)
def test_other_codes_have_no_language(code: str):
    assert find_language(code) is None


@given(
    st.sampled_from(PLAIN), st.sampled_from(["", "AR", "419", "GB"]), st.sampled_from(["", "1996", "valencia", "x-own"]),
    st.sampled_from("-_"), st.sampled_from([str, str.upper, str.lower, str.title]),
)  # fmt: skip
def test_regions_variants_and_spelling_change_nothing(primary, region, variant, separator, spell):
    code = spell(separator.join(filter(None, (primary, region, variant))).replace("-", separator))
    assert find_language(code) == find_language(primary)
    assert study_code(code) is not None
    assert same_tag(code, study_code(code))


@given(st.text(st.sampled_from("aeznhptBRCNT0149-_ .中x"), max_size=14))
def test_any_text_has_a_name_that_keeps_its_meaning_or_none(code):
    name = study_code(code)
    if name is None:
        assert find_language(code) is None
    else:
        assert find_language(name) == find_language(code)
        assert study_code(name) == name


def test_every_code_of_the_table_means_itself():
    for language in LANGUAGES:
        assert find_language(language.code) == language
        assert study_code(language.code) == language.code


def test_names_in_studies_stay_as_they_were():
    # Keys of jobs have them. Only codes that were refused before get another spelling.
    for code in ("zh-CN", "pt-br", "pt-BR", "cmn-TW", "no", "ger", "xx-YY", "sr-Latn", "de-1996", "lb"):
        assert study_code(code) == code
    assert [study_code(code) for code in ("swh", "zho_Hans", "zh-Hans", "zh_cn", "ZH-cn", "PT_br", "QTA")] == [
        "sw", "zh", "zh", "zh-CN", "zh-CN", "pt-BR", "qta"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "available", "matching"),
    [
        ("zh-CN", ["zh-CN", "zh-TW"], ["zh-CN"]), ("ZH_cn", ["zh-CN", "zh-TW"], ["zh-CN"]), ("zh", ["zh-CN", "zh-TW"], ["zh-CN"]),
        ("zh-Hant", ["zh-CN", "zh-TW"], ["zh-TW"]), ("zh-CN", ["zh", "zh-Hant"], ["zh"]), ("zh-TW", ["zh"], []),
        ("pt", ["pt-BR", "pt-PT"], ["pt-BR", "pt-PT"]), ("pt-AO", ["pt-BR", "pt-PT"], []), ("pt-BR", ["pt", "pt-BR"], ["pt-BR"]),
        ("pt-AO", ["pt"], ["pt"]), ("sr-Latn", ["sr"], []), ("ger", ["de"], ["de"]), ("xx", ["xx-YY"], []), ("XX-yy", ["xx-YY"], ["xx-YY"]),
        ("qtA", ["qta"], ["qta"]), ("", ["en"], []), ("deutsch", ["de"], []),
    ],
)  # fmt: skip
def test_matching_codes(code: str, available: list[str], matching: list[str]):
    assert match_code(code, available) == matching


def test_the_tables_have_codes_of_the_table():
    assert all(canonical(code) is not None for code in OTHER_CODES.values())
    assert not set(OTHER_CODES) & {*ALIASES, *(language.code for language in LANGUAGES)}
    assert all(canonical(code.partition("-")[0]) for code in REGIONAL_SCRIPTS)
    assert all(canonical(code) for members in EXTENDED.values() for code in members.split())


@pytest.mark.parametrize("code", sorted(OTHER_CODES))
def test_a_further_code_means_the_same_language(code: str):
    langcodes = pytest.importorskip("langcodes")
    standard = langcodes.standardize_tag(code, macro=True)
    assert {"no": "nb"}.get(standard, standard) == OTHER_CODES[code]


@pytest.mark.parametrize("code", sorted(REGIONAL_SCRIPTS))
def test_a_regional_script_is_the_likely_one(code: str):
    langcodes = pytest.importorskip("langcodes")
    assert langcodes.Language.get(code).maximize().script == REGIONAL_SCRIPTS[code]
