"""Profiles of named models: complete, and true to transformers and to the published counts."""

from __future__ import annotations

import re

import pytest
from transformers.models.auto import modeling_auto

from xlift.errors import UserError
from xlift.language_tags import find_language
from xlift.model_families import MODEL_TYPES, family_of_json
from xlift.model_profiles import ModelProfile, all_profiles, find_profile, get_profile
from xlift.model_shape import parse_config
from xlift.recipes import Recipe
from xlift.studies.schema.training import Training
from xlift.tasks.formats import FORMATS

PROFILES = pytest.mark.parametrize("profile", all_profiles().values(), ids=lambda profile: profile.name)
STOCK_CLASSES = {
    "sequence": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "token": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    "span": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    "choice": modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES,
}
NAMED = """FacebookAI/xlm-roberta-base FacebookAI/xlm-roberta-large google-bert/bert-base-multilingual-cased google/mt5-small
google/mt5-xxl google/umt5-base facebook/nllb-200-distilled-600M google/byt5-base microsoft/mdeberta-v3-base
facebook/xlm-v-base cis-lmu/glot500-base jhu-clsp/mmBERT-base EuroBERT/EuroBERT-210m Qwen/Qwen3-0.6B google/gemma-3-270m
HuggingFaceTB/SmolLM3-3B meta-llama/Llama-3.1-8B swiss-ai/Apertus-8B-2509 intfloat/multilingual-e5-large-instruct
sentence-transformers/LaBSE google/embeddinggemma-300m google/madlad400-3b-mt CohereLabs/tiny-aya-base""".split()


def test_every_named_model_has_a_profile():
    assert [name for name in NAMED if find_profile(name) is None] == []


@PROFILES
def test_the_shape_gives_the_published_count(profile: ModelProfile):
    shape = parse_config(profile.config)
    assert shape.num_layers > 0
    if profile.parameters:
        # the formula leaves out biases and norms; most published counts have two or three digits, and EuroBERT's and
        # EmbeddingGemma's are with or without a layer beside the model
        assert shape.num_parameters == pytest.approx(profile.parameters, rel=0.035)


@PROFILES
def test_values_are_of_their_kinds(profile: ModelProfile):
    assert profile.weights in ("safetensors", "pickled")
    assert profile.tokenizer in ("tokenizer.json", "sentencepiece", "bytes")
    assert profile.bytes_per_weight
    assert profile.licence
    assert profile.gated in (True, False, None)
    assert bool(profile.parameters) == bool(profile.parameters_source)
    addresses = [profile.source, profile.languages.source, profile.training_source, profile.parameters_source]
    addresses += [limit.source for limit in profile.limits]
    assert all(address.startswith("https://") for address in addresses if address)
    assert bool(profile.training) <= bool(profile.training_source)
    assert profile.source
    assert profile.languages.source


@PROFILES
def test_limits_name_known_formats(profile: ModelProfile):
    for limit in profile.limits:
        assert set(limit.formats) <= set(FORMATS)
        assert limit.mode in ("", "head", "text")
        assert set(limit.precision) <= {"bf16", "fp32"}
        assert limit.text.endswith(".")
        assert bool(limit.fix) == limit.refuse


@PROFILES
def test_languages_are_as_many_as_counted(profile: ModelProfile):
    codes = profile.languages.codes
    assert len(set(codes)) == len(codes)
    if codes and not (profile.languages.count is None and profile.languages.codes_of):  # XLM-V's page gives no count
        assert profile.languages.count is not None
        if profile.languages.partial:
            assert len(codes) < profile.languages.count
        else:
            assert len(codes) == pytest.approx(profile.languages.count, abs=8)  # NLLB counts some in two scripts
    assert profile.languages.partial <= bool(codes)


@PROFILES
def test_training_settings_are_those_of_a_study(profile: ModelProfile):
    settings = Training.model_validate(dict(profile.training)).model_dump(
        exclude_none=True, exclude={"intermediate", "target"}
    )
    settings.pop("recipe", None)
    Recipe(**settings)


@PROFILES
def test_heads_are_the_classes_of_transformers(profile: ModelProfile):
    if profile.model_type == "gemma3":
        return  # of images and text; its text model has another type
    found = {kind: names.get(profile.model_type) for kind, names in STOCK_CLASSES.items()}
    assert dict(profile.heads) == {kind: name for kind, name in found.items() if name}


def test_model_types_are_known():
    for profile in all_profiles().values():
        config = profile.config
        text = config.get("text_config", config)
        assert text["model_type"] in {*MODEL_TYPES, "m2m_100"}, profile.name
        assert family_of_json(text) == parse_config(config).family


def test_codes_are_languages_of_the_table():
    lists = {profile.languages.codes for profile in all_profiles().values() if profile.family != "MADLAD-400"}
    # languages of CC100, mC4, Wikipedia and NLLB that no task here has
    assert {code for codes in lists for code in codes if find_language(code) is None} == set(
        "an bar bpy ce co cv fy haw hmn io new pms pnb ps sco sh vo".split()
    )


def test_codes_of_madlad_have_the_form_of_codes():
    codes = get_profile("madlad400-3b-mt").languages.codes
    assert all(re.fullmatch("[a-z]{2,3}", code) for code in codes)
    assert sum(find_language(code) is not None for code in codes) > 150


def test_a_profile_is_found_by_the_end_of_its_name_and_in_any_case():
    assert get_profile("mt5-base").name == "google/mt5-base"
    assert get_profile("google/MT5-base@main").name == "google/mt5-base"
    assert find_profile("mt5-base") is None  # a study names models by their whole id


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="no profile of a model 'google/mt5-bse'") as info:
        get_profile("google/mt5-bse")
    assert "google/mt5-base" in str(info.value)
