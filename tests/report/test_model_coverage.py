"""`xlift models --languages`."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.model_profiles import Languages, all_profiles, get_profile
from xlift.report.model_coverage import covers, find_coverage, parse_languages, print_coverage

FULL = Languages(count=4, codes=("de", "no", "ar", "zh"))


def printed(codes: str, width: int) -> str:
    out = io.StringIO()
    print_coverage(codes, Console(file=out, width=width), False)
    return out.getvalue()


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("de", "yes"), ("de-AT", "yes"), ("deu_Latn", "yes"), ("nb", "yes"), ("zh-CN", "yes"), ("sw", "no"),
        ("nn", "unknown"), ("arz", "unknown"), ("zh-TW", "unknown"), ("yue", "unknown"),
    ],
)  # fmt: skip
def test_a_language_is_on_the_list_or_not_or_may_be(code: str, answer: str):
    assert covers(FULL, code) == answer


def test_a_missing_or_partial_list_leaves_other_languages_unknown():
    assert covers(Languages(count=140, at_least=True), "de") == "unknown"
    partial = Languages(count=107, codes=("de",), partial=True)
    assert (covers(partial, "de"), covers(partial, "sw")) == ("yes", "unknown")


def test_models_that_cover_most_come_first_then_the_smaller():
    found = find_coverage(["de", "sw", "th"])
    order = [(-each.num_covered, each.num_parameters) for each in found]
    assert order == sorted(order)
    assert len(found) == len(all_profiles())
    answers = {each.profile.name: list(each.answers.values()) for each in found}
    assert answers["FacebookAI/xlm-roberta-base"] == ["yes", "yes", "yes"]
    assert answers["meta-llama/Llama-3.2-1B"] == ["yes", "no", "yes"]
    assert answers["EuroBERT/EuroBERT-210m"] == ["yes", "no", "no"]
    assert answers["google/gemma-3-270m"] == ["unknown"] * 3


def test_a_wide_terminal_shows_a_table_with_size_and_licence():
    lines = printed("de,sw,th", 100).splitlines()
    assert lines[0].split() == ["model", "de", "sw", "th", "weights", "licence", "kind"]
    assert "google/mt5-small yes yes yes 300M apache-2.0 seq2seq".split() in [line.split() for line in lines]
    assert "google/gemma-3-270m ? ? ? 268M gemma* decoder".split() in [line.split() for line in lines]
    assert max(map(len, lines)) <= 100


def test_a_narrow_terminal_shows_every_answer_in_words():
    out = printed("de,sw,th", 60)
    assert "meta-llama/Llama-3.2-1B\n  yes: de th; no: sw; 1.2B, llama3.2*, decoder\n" in out
    assert "google/gemma-3-270m\n  unknown: de sw th; 268M, gemma*, decoder\n" in out
    assert "\nunknown: the published list" in out
    assert "\n? unknown: the published list" in printed("de,sw,th", 100)


def test_models_that_cover_none_are_counted():
    out = printed("sw", 100)
    assert "EuroBERT" not in out
    num_none = sum(each.answers["sw"] == "no" for each in find_coverage(["sw"]))
    assert f"\n{num_none} other profiles cover none of these languages.\n" in out


def test_json_has_every_model_with_the_source_of_its_list(xlift: Xlift):
    answer = xlift("models", "--languages", "de sw", "--json")
    models = json.loads(answer.out)
    assert len(models) == len(all_profiles())
    (found,) = [each for each in models if each["name"] == "Qwen/Qwen3-0.6B-Base"]
    assert found["languages"] == {"de": "yes", "sw": "yes"}
    assert (found["source"], found["licence"]) == ("https://qwenlm.github.io/blog/qwen3/", "apache-2.0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("de,english", "unknown language 'english'\n  English is 'en'"),
        ("swahilli", "unknown language 'swahilli'\n  did you mean 'swahili'"),
        ("zzx", "unknown language 'zzx'"),
        (" , ", "no language is given"),
    ],
)
def test_what_is_no_language_is_refused_with_a_suggestion(text: str, message: str):
    with pytest.raises(UserError) as info:
        parse_languages(text)
    assert f"--languages: {message}" in str(info.value)


def test_a_language_that_no_task_has_is_known_by_the_lists():
    assert parse_languages("br,de, br") == ["br", "de"]


def test_a_name_and_languages_exclude_each_other(xlift: Xlift):
    answer = xlift("models", "mt5-base", "--languages", "de")
    assert answer.code == 2
    assert "--languages is for the list of models" in answer.err


def test_models_share_the_list_of_their_pretraining_text():
    assert get_profile("byt5-base").languages.codes == get_profile("mt5-base").languages.codes
    assert get_profile("mdeberta-v3-base").languages.codes == get_profile("xlm-roberta-base").languages.codes
