"""Translation on published texts: published pairs, language detection, and answers of XQuAD kept through a translation.

The files are in ../shared/data beside the repository and are for tests only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from xlift.execution.translators import NO_FREE_MARKERS, WRONG_LANGUAGE, ModelTranslator
from xlift.tasks import catalog, formats, metrics
from xlift.tasks.metrics.on_target import is_in_language

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]
LANGUAGES = "ar de es fr hi ja quy sw ta th zh".split()


def examples(name, language, split="test"):
    task = catalog.get(name)
    return list(task.source.read(task, language, split, DATA))


@pytest.mark.parametrize("language", LANGUAGES)
def test_sib200_has_its_published_size_in_both_directions(language):
    for split, count in (("train", 701), ("dev", 99), ("test", 204)):
        into, out = (examples(f"sib200-{way}-en", language, split) for way in ("to", "from"))
        assert len(into) == len(out) == count
        there = {(one.id, one.source, one.translation) for one in into}
        assert there == {(one.id, one.translation, one.source) for one in out}


@pytest.mark.parametrize(("code", "count"), [("de", 1000), ("sw", 390), ("th", 548)])
def test_tatoeba_has_its_published_numbers(code, count):
    pairs = examples("tatoeba-to-en", code)
    assert len(pairs) == count
    assert {(one.source_language, one.target_language) for one in pairs} == {(code, "en")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_scores_of_real_sentences_are_those_of_sacrebleu(language):
    # Untranslated English with every third sentence correct gives intermediate scores.
    pairs = examples("sib200-from-en", language)
    predictions = [one.translation if n % 3 == 0 else one.source for n, one in enumerate(pairs)]
    gold = [formats.get("translation").gold(one) for one in pairs]
    tokenize = {"zh": "zh", "ja": "char", "th": "char"}.get(language, "13a")
    references = [[one.translation for one in pairs]]
    theirs = {
        "bleu": sacrebleu.corpus_bleu(predictions, references, tokenize=tokenize).score,
        "chrf++": sacrebleu.corpus_chrf(predictions, references, word_order=2).score,
    }
    for name, expected in theirs.items():
        metric = metrics.get(name)
        total = np.sum([metric.count_example(g, p, language) for g, p in zip(gold, predictions)], axis=0)
        assert 100 * float(metric.compute_score(total)) == pytest.approx(expected, abs=1e-9)
        assert 5 < expected < 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_detected_in_their_language_only(language):
    texts = [one.source for one in examples("sib200-to-en", language)]
    assert np.mean([is_in_language(text, language) for text in texts]) > 0.99
    for other in ("en", *LANGUAGES):
        assert other == language or np.mean([is_in_language(text, other) for text in texts]) < 0.01


def test_an_identity_translator_keeps_the_answers_of_xquad():
    for language in ("en", "es", "de", "ar", "zh", "th"):
        questions = examples("xquad", language)
        identity = ModelTranslator("the same", {}, "none", lambda texts, source, target: texts)
        result = identity.translate(catalog.get("xquad"), questions, "xx", language)
        kept = set(result.kept)
        assert result.kept == [one for one in questions if one in kept]
        assert len(result.kept) > 0.99 * len(questions)
        assert set(result.dropped) <= {NO_FREE_MARKERS, WRONG_LANGUAGE}
