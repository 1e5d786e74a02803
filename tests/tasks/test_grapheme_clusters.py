"""Grapheme clusters, and spans that end at them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.tasks import catalog
from xlift.tasks.grapheme_clusters import clusters, find_whole, widen_span, widen_spans

ANY_TEXT = st.text(
    st.sampled_from("ab \r\n\u0301\u0308\u200d\u200b\ufe0f🇩🇪👩🚀🏽क्षनिี้ำกกᄒ\u1161\u11ab한ـَ\u0600ｶﾞ\u0e33éﬁ") | st.characters(exclude_categories=["Cs"]),
    max_size=30,
)  # fmt: skip


@given(ANY_TEXT, st.data())
def test_a_span_becomes_the_smallest_one_of_whole_clusters(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    edges = np.cumsum([0, *map(len, clusters(text))]).tolist()
    widened = widen_span(text, start, end)
    assert widened == (max(edge for edge in edges if edge <= start), min(edge for edge in edges if edge >= end))
    assert widen_span(text, *widened) == widened


@given(ANY_TEXT)
def test_every_cluster_of_several_code_points_is_found(text):
    # The quick way must miss no text: else its spans would be cut.
    points = np.arange(len(text))
    for cluster, (left, right) in zip(
        [c for c in clusters(text) for _ in c], zip(*widen_spans(text, points, points + 1)), strict=True
    ):
        assert text[left:right] == cluster


@pytest.mark.parametrize("text", ["plain text\n", "Übermäßig", "Ελλάδα", "今天天气很好", "서울", "русский", ""])
def test_texts_of_single_code_points_keep_their_arrays(text):
    begins, ends = np.array([0], np.int32), np.array([len(text)], np.int32)
    assert all(a is b for a, b in zip(widen_spans(text, begins, ends), (begins, ends), strict=True))


@pytest.mark.parametrize("language", sorted(GENERATED_LANGUAGES))
def test_generated_texts_have_single_code_points(language):
    # So a revision of span QA leaves the keys of generated questions as they are (studies/resolver.py).
    task = catalog.get("isle-qa")
    for example in task.source.read(task, language, "train", None, size=20):
        for text in (example.context, example.question):
            assert len(clusters(text)) == len(text)


@pytest.mark.parametrize(
    ("text", "part", "position"),
    [
        ("Cafe\u0301 is no Cafe", "Cafe", 12), ("only Cafe\u0301", "Cafe", 5), ("a Cafe here", "Cafe", 2), ("none", "Cafe", -1),
        ("\u1112\u1161\u11ab \u1112\u1161", "\u1112\u1161", 4),
    ],
)  # fmt: skip
def test_a_part_is_found_as_whole_clusters_first(text: str, part: str, position: int):
    assert find_whole(text, part) == position
