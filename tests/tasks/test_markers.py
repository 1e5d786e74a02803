"""Markers carry a span through a translator, and a lost marker is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.tasks import markers

TEXTS = st.text(st.sampled_from("ab éß猫 .[](){}<>［」"), max_size=20)


@given(TEXTS, st.text("xyz", min_size=1, max_size=5), TEXTS)
def test_a_marked_span_is_found_at_its_position(before, answer, after):
    text = before + answer + after
    marked = markers.add_markers(text, len(before), len(before) + len(answer))
    if marked is None:  # the text has a bracket of each kind
        assert all(set(text) & set(opening + closing) for opening, closing in markers.MARKER_PAIRS)
        return
    found = markers.remove_markers(text, marked)
    assert found == (text, len(before), len(before) + len(answer))
    assert markers.remove_markers(text, text) is None


def test_markers_stand_around_whole_clusters():
    # An answer that is annotated without its last accent; and a translator that writes the bracket before the accent.
    text = "at Cafe\u0301 today"
    assert markers.add_markers(text, 3, 7) == "at [Cafe\u0301] today"
    found = markers.remove_markers(text, "im [Cafe]\u0301 heute")
    assert found is not None
    assert found.text[found.start : found.end] == "Cafe\u0301"


@pytest.mark.parametrize(
    ("translated", "text", "answer"),
    [
        ("Der [Nil] ist lang.", "Der Nil ist lang.", "Nil"),
        ("Der [ Nil ] ist lang.", "Der Nil ist lang.", "Nil"),
        ("Der[ Nil ]ist lang.", "Der Nil ist lang.", "Nil"),
        ("【尼罗河】很长。", "尼罗河很长。", "尼罗河"),
        ("尼罗河［很长］", "尼罗河很长", "很长"),
        ("Der Nil ist lang.", None, None),  # both are missing
        ("Der [Nil ist lang.", None, None),
        ("Der ]Nil[ ist lang.", None, None),
        ("Der [Nil] ist [lang].", None, None),
        ("Der [ ] ist lang.", None, None),
        ("", None, None),
    ],
)
def test_markers_of_a_translation(translated, text, answer):
    found = markers.remove_markers("The Nile is long.", translated)
    if text is None:
        assert found is None
    else:
        assert found is not None
        assert found.text == text
        assert found.text[found.start : found.end] == answer


def test_brackets_of_the_text_are_not_markers():
    text = "The Nile [1] is long."
    assert markers.add_markers(text, 4, 8) == "The {Nile} [1] is long."
    assert markers.remove_markers(text, "Der {Nil} [1] ist lang.") == ("Der Nil [1] ist lang.", 4, 7)
