"""Properties of every kind of noise: alignment, edits, levels, whole clusters, spaces, seeds."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.noise.texts import FRAGILE_CLUSTERS, SENTENCES, any_text, languages, levels

from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.tasks.noise import NoiseCounts, NoisyText, add_noise_to_text, make_text_change, undo_edits

SCRIPTS_WITHOUT_SPACES = r"[\p{Han}\p{Thai}\p{Khmer}\p{Myanmar}\p{Hiragana}\p{Katakana}]"
kinds = st.sampled_from(["typos", "diacritics", "case"])


def apply(text: str, kind: str = "typos", language: str = "en", level: float = 1.0, seed: int = 0, **more) -> NoisyText:
    return add_noise_to_text(
        text, Noise.model_validate({"kind": kind, "level": level, "seed": seed}), language, "id", **more
    )


@given(any_text, kinds, languages, levels)
def test_offsets_increase_and_map_every_word_to_its_replacement(text, kind, language, level):
    noisy = apply(text, kind, language, level)
    offsets = noisy.changed.offsets
    assert len(offsets) == len(text) + 1
    assert offsets[0] == 0
    assert offsets[-1] == len(noisy.changed.text)
    assert all(left <= right for left, right in pairwise(offsets))
    position = 0
    for edit in noisy.edits:
        left, right = noisy.changed.span(edit.start, edit.start + len(edit.before))
        assert text[edit.start : edit.start + len(edit.before)] == edit.before
        assert noisy.changed.text[left:right] == edit.after != edit.before
        between = noisy.changed.span(position, edit.start)
        assert noisy.changed.text[slice(*between)] == text[position : edit.start]  # nothing else changed
        position = edit.start + len(edit.before)


@given(any_text, kinds, languages, levels)
def test_edits_restore_the_original_text(text, kind, language, level):
    noisy = apply(text, kind, language, level)
    assert undo_edits(noisy.changed.text, noisy.edits) == text


@given(any_text, kinds, languages, levels, st.integers(0, 3))
def test_the_same_seed_gives_the_same_text(text, kind, language, level, seed):
    assert apply(text, kind, language, level, seed) == apply(text, kind, language, level, seed)


@given(any_text, languages, levels)
def test_the_level_is_kept_within_one_word(text, language, level):
    noisy = apply(text, "typos", language, level)
    assert len(noisy.edits) < level * noisy.num_changeable + 1
    assert noisy.num_changeable == noisy.num_words


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("level", [0.05, 0.1, 0.2, 1.0])
def test_the_level_is_exact_in_real_languages(language, level):
    noisy = apply(20 * (SENTENCES[language] + " "), level=level, language=language)
    assert abs(len(noisy.edits) - level * noisy.num_words) < 1


def test_short_texts_reach_the_level_on_average():
    noise = Noise(kind="typos", level=0.1)
    noisy = [add_noise_to_text("three short words", noise, "en", str(key)) for key in range(2000)]
    assert sum(len(each.edits) for each in noisy) == pytest.approx(600, abs=70)  # 3 standard deviations


@given(any_text, kinds, languages)
def test_edits_at_a_low_level_are_also_made_at_a_higher_one(text, kind, language):
    low, middle, high = (set(apply(text, kind, language, level).edits) for level in (0.05, 0.2, 0.7))
    assert low <= middle or regex.search(SCRIPTS_WITHOUT_SPACES, text)
    # In scripts without spaces, the rewrite of a word may depend on its neighbours.
    assert middle <= high or regex.search(SCRIPTS_WITHOUT_SPACES, text)


@given(any_text, kinds, languages, levels)
def test_whitespace_stays(text, kind, language, level):
    assert re.findall(r"\s+", apply(text, kind, language, level).changed.text) == re.findall(r"\s+", text)


@given(any_text, languages, levels)
def test_clusters_stay_whole(text, language, level):
    """Every cluster of the noisy text is in the original, or in the replacement by a neighbouring key."""
    noisy = apply(text, "typos", language, level)
    allowed = set(regex.findall(r"\X", text))
    for edit in noisy.edits:
        if edit.edit_type == "neighbour":
            allowed |= set(regex.findall(r"\X", edit.after))
    assert set(regex.findall(r"\X", noisy.changed.text)) <= allowed


@given(any_text, languages)
def test_a_typo_changes_at_most_one_letter(text, language):
    for edit in apply(text, "typos", language).edits:
        before, after = (Counter(regex.findall(r"\X", side)) for side in (edit.before, edit.after))
        change = {"swap": (0, 0), "drop": (1, 0), "double": (0, 1), "neighbour": (1, 1)}[edit.edit_type]
        assert ((before - after).total(), (after - before).total()) == change


@pytest.mark.parametrize("cluster", FRAGILE_CLUSTERS)
@pytest.mark.parametrize("language", ["en", "th", "hi"])
def test_listed_clusters_stay_whole(cluster, language):
    """The list is written by hand, independent of segmentation rules."""
    text = " ".join(f"x{cluster}y{cluster}{cluster}" for _ in range(30))
    noisy = apply(text, language=language)
    assert noisy.edits
    for edit in noisy.edits:
        if edit.edit_type != "neighbour":
            assert set(edit.after.replace(cluster, "")) <= set("xy")
    if cluster[0].isdigit() or cluster[0] > "\U0001f000":  # no letters, so they must not change
        assert noisy.changed.text.count(cluster) == 90


@given(any_text, kinds, languages, st.lists(st.integers(0, 40), max_size=6))
def test_no_change_crosses_a_boundary(text, kind, language, boundaries):
    boundaries = [min(offset, len(text)) for offset in boundaries]
    noisy = apply(text, kind, language, boundaries=boundaries)
    for edit in noisy.edits:
        assert not any(edit.start < offset < edit.start + len(edit.before) for offset in boundaries)
    for start, end in pairwise(sorted(boundaries)):
        left, right = noisy.changed.span(start, end)
        assert (left < right) == (start < end)  # no span becomes empty


def test_other_seeds_and_examples_give_other_edits():
    text = " ".join(SENTENCES.values())
    texts = {apply(text, level=0.2, seed=seed).changed.text for seed in range(5)}
    texts |= {add_noise_to_text(text, Noise(kind="typos", level=0.2), "en", f"id{n}").changed.text for n in range(5)}
    assert len(texts) == 10


def test_all_four_typos_are_about_equally_frequent():
    noise_counts = NoiseCounts()
    change = make_text_change(Noise(kind="typos", level=1.0), "en", "id", noise_counts=noise_counts)
    for number in range(200):
        change(f"the quick brown foxes jumped over lazy dogs number{'abcdefghij'[number % 10]} {number}")
    assert noise_counts.num_words == noise_counts.num_changed == 200 * 9
    assert all(0.2 < count / noise_counts.num_changed < 0.3 for count in noise_counts.edit_counts.values())
    assert set(noise_counts.edit_counts) == {"swap", "drop", "double", "neighbour"}


def test_numbers_and_punctuation_stay():
    for number in range(20):
        assert apply(f"{number} 1,905 3.14 -- 50%!").changed.text == f"{number} 1,905 3.14 -- 50%!"


def test_edits_of_another_text_are_refused():
    noisy = apply("some words of a text", level=1.0)
    with pytest.raises(UserError, match="edits belong to another text"):
        undo_edits("quite another text", noisy.edits)
