"""Noise on published texts: XQuAD's answers keep their offsets, clusters are not split, and published typos have their share.

The files are in ../shared/data beside the repository and are for tests only.
"""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import regex

from xlift.recipes import Noise
from xlift.tasks import catalog, formats
from xlift.tasks.noise import NoiseCounts, add_noise_to_examples, add_noise_to_text, undo_edits

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]


def examples(name: str, language: str, split: str = "test"):
    task = catalog.get(name)
    return task, list(task.source.read(task, language, split, DATA))


@pytest.mark.parametrize("language", ["en", "es", "de", "ar", "zh", "th"])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_answers_of_noisy_xquad_are_at_their_offsets(language, level):
    task, clean = examples("xquad", language)
    noise_counts = NoiseCounts()
    dirty = add_noise_to_examples(
        task, clean[:300], Noise(kind="typos", level=level), language, noise_counts=noise_counts
    )
    format = formats.get(task.format)
    changed = 0
    for before, after in zip(clean, dirty):
        assert format.check(after, task.labels) is None
        assert after.id == before.id
        assert len(after.answers) == len(before.answers)
        for old, new in zip(before.answers, after.answers, strict=True):
            changed += old != new
            assert abs(len(regex.findall(r"\X", new)) - len(regex.findall(r"\X", old))) <= 2 + level * len(old)
            assert SequenceMatcher(None, old, new, autojunk=False).ratio() > 0.4 or len(old) <= 4
        assert re.findall(r"\s+", after.context) == re.findall(r"\s+", before.context)
    assert noise_counts.num_changed / noise_counts.num_words == pytest.approx(level, abs=0.1 * level)
    assert 0 < changed < len(dirty)


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "sw", "quy", "ar", "hi", "ta", "th", "zh", "ja"])
def test_noise_on_flores_is_reversible_and_splits_no_cluster(language):
    _, rows = examples("sib200", language, "train")
    texts = [row.text_a for row in rows]
    edit_types: Counter[str] = Counter()
    for key, text in enumerate(texts):
        noisy = add_noise_to_text(text, Noise(kind="typos", level=0.2), language, str(key))
        assert undo_edits(noisy.changed.text, noisy.edits) == text
        edit_types.update(edit.edit_type for edit in noisy.edits)
        neighbours = {
            c for edit in noisy.edits if edit.edit_type == "neighbour" for c in regex.findall(r"\X", edit.after)
        }
        original = set(regex.findall(r"\X", text))
        assert set(regex.findall(r"\X", noisy.changed.text)) <= original | neighbours
    assert {"swap", "drop", "double"} <= set(edit_types)
    if language not in ("zh", "ja"):
        assert 0.15 < edit_types["neighbour"] / edit_types.total() < 0.35


@pytest.mark.parametrize("language", ["fr", "es", "de", "hi", "ar"])
def test_removed_diacritics_are_those_of_the_language(language):
    _, rows = examples("sib200", language, "train")
    noise_counts = NoiseCounts()
    for key, row in enumerate(rows):
        noise_counts.add(add_noise_to_text(row.text_a, Noise(kind="diacritics", level=1.0), language, str(key)))
    share = {"fr": (0.15, 0.3), "es": (0.08, 0.2), "de": (0.05, 0.2), "hi": (0.02, 0.2), "ar": (0.0, 0.2)}[language]
    assert share[0] <= noise_counts.changed_share < share[1]


@pytest.mark.parametrize("language", ["en", "de"])
def test_published_typos_have_their_stated_share(language):
    """XNLI has three hypotheses per premise, and each row has its own typos, so any two of the three versions of a premise differ
    in about twice 5% of the words."""
    _, rows = examples("xnli-typos", language)
    differ = total = pairs = 0
    for one, other in zip(rows, rows[1:]):
        a, b = one.text_a.split(), other.text_a.split()
        if len(a) == len(b) and SequenceMatcher(None, one.text_a, other.text_a, autojunk=False).ratio() > 0.85:
            pairs += 1
            total += len(a)
            differ += sum(x != y for x, y in zip(a, b, strict=True))
    assert pairs > {"en": 0.4, "de": 0.1}[language] * len(
        rows
    )  # German has a seventh of the rows, not always all three
    assert 0.05 < differ / total < 0.2


def test_a_dictionary_of_published_typos_gives_similar_noise(tmp_path: Path):
    """Misspellings found between versions of one premise in the published rows are applied to other texts as kind natural."""
    _, rows = examples("xnli-typos", "en")
    words = Counter(word for row in rows for word in (row.text_a + " " + row.text_b).split() if word.isalpha())
    found = set()
    for one, other in zip(rows, rows[1:]):
        a, b = one.text_a.split(), other.text_a.split()
        if len(a) == len(b) and SequenceMatcher(None, one.text_a, other.text_a, autojunk=False).ratio() > 0.85:
            for x, y in zip(a, b, strict=True):
                right, wrong = sorted((x, y), key=lambda word: -words[word])
                if right != wrong and right.isalpha() and wrong.isalpha() and words[right] >= 20 and words[wrong] <= 2:
                    found.add((right, wrong))
    assert len(found) > 200
    (tmp_path / "en.txt").write_text("".join(f"{right} {wrong}\n" for right, wrong in sorted(found)), encoding="utf-8")
    task, clean = examples("sib200", "en", "train")
    noise_counts = NoiseCounts()
    noise = Noise(kind="natural", level=0.2, words="{lang}.txt")
    dirty = add_noise_to_examples(task, clean, noise, "en", data=tmp_path, noise_counts=noise_counts)
    assert noise_counts.num_changed == pytest.approx(0.2 * noise_counts.num_changeable, rel=0.1)
    right = {word.lower() for word, _ in found}
    for before, after in zip(clean[:100], dirty):
        for x, y in zip(re.findall(r"\w+", before.text_a), re.findall(r"\w+", after.text_a)):
            assert x == y or x.lower() in right or x in right
