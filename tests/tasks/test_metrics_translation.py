"""BLEU and chrF++ against sacrebleu's corpus scores and its command line; the metric on-target."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from xlift.analysis.intervals import linearise
from xlift.archipelago.examples import make_example
from xlift.archipelago.languages import GENERATED_LANGUAGES, SOURCE_LANGUAGE
from xlift.errors import UserError
from xlift.tasks import metrics
from xlift.tasks.metrics import bleu
from xlift.tasks.metrics.on_target import is_in_language

# Few different words, so that n-grams of every order sometimes match; with spaces, punctuation and several scripts.
WORDS = st.sampled_from(
    ["the", "cat", "sat", "on", "mat", ".", "don't", "1,000", "猫", "坐在", "แมว", "\u200b", "(hi)", "é"]
)
SENTENCES = st.lists(WORDS, max_size=9).map(" ".join)
CORPORA = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6)


def counts(name, pairs, language="en"):
    metric = metrics.get(name)
    return np.array([metric.count_example({"text": ref, "language": language}, hyp, "sw") for hyp, ref in pairs])


def score(name, pairs, language="en"):
    return float(metrics.get(name).compute_score(counts(name, pairs, language).sum(axis=0)))


def sacrebleu_score(pairs, **settings):
    predictions, references = [hyp for hyp, _ in pairs], [[ref for _, ref in pairs]]
    if settings:
        return sacrebleu.corpus_bleu(predictions, references, force=True, **settings).score / 100
    return sacrebleu.corpus_chrf(predictions, references, word_order=2).score / 100


@pytest.mark.parametrize(("language", "tokenizer"), [("en", "13a"), ("sw", "13a"), ("qtm", "13a"), ("xyz", "13a"),
                                                     ("zh", "zh"), ("ja", "char"), ("ko", "char"), ("th", "char")])  # fmt: skip
@given(pairs=CORPORA)
def test_summed_counts_give_the_corpus_bleu_of_sacrebleu(language, tokenizer, pairs):
    assert score("bleu", pairs, language) == pytest.approx(sacrebleu_score(pairs, tokenize=tokenizer), abs=1e-12)


@given(pairs=CORPORA)
def test_summed_counts_give_the_corpus_chrf_of_sacrebleu(pairs):
    assert score("chrf++", pairs) == pytest.approx(sacrebleu_score(pairs), abs=1e-12)


@given(pairs=CORPORA)
def test_scores_of_many_subsets_at_once_equal_those_of_each(pairs):
    for name in ("bleu", "chrf++"):
        each = counts(name, pairs)
        left_out = metrics.get(name).compute_score(each.sum(axis=0) - each)
        for n in range(len(pairs)):
            rest = pairs[:n] + pairs[n + 1 :]
            alone = score(name, rest) if rest else 0.0
            assert left_out[n] == pytest.approx(alone, abs=1e-12)


def test_a_perfect_translation_scores_one_and_empty_sides_as_in_sacrebleu():
    whole = [("the cat sat on the mat .", "the cat sat on the mat .")]
    assert score("bleu", whole) == score("chrf++", whole) == pytest.approx(1)
    for pairs in ([("", "the cat")], [("the cat", "")], [("", "")], [("a", "a"), ("", "the cat sat on it")]):
        assert score("bleu", pairs) == pytest.approx(sacrebleu_score(pairs, tokenize="13a"), abs=1e-12)
        assert score("chrf++", pairs) == pytest.approx(sacrebleu_score(pairs), abs=1e-12)


def test_without_a_reference_all_counts_are_zero():
    for name in ("bleu", "chrf++"):
        assert not any(metrics.get(name).count_example({"text": None, "language": "en"}, "a cat", "en"))


PAIRS = [
    ("the cat sat on the mat .", "the cat is sitting on the mat ."),
    ("a dog barks (loudly)", "a dog barked loudly"),
    ("", "nothing came out"),
    ("“quoted” 1,000.5 words & more", "“quoted” 1,000.5 words and more"),
]


@pytest.mark.parametrize(("language", "tokenizer"), [("en", "13a"), ("zh", "zh"), ("th", "char")])
def test_scores_and_signatures_equal_those_of_the_command_line(language, tokenizer, tmp_path):
    (tmp_path / "hyp").write_text("".join(f"{hyp}\n" for hyp, _ in PAIRS), encoding="utf-8")
    (tmp_path / "ref").write_text("".join(f"{ref}\n" for _, ref in PAIRS), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "--chrf-word-order", "2"]
    completed = subprocess.run(
        [*command, "--tokenize", tokenizer, "--width", "10"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = {entry["name"]: entry for entry in json.loads(completed.stdout)}
    assert 100 * score("bleu", PAIRS, language) == pytest.approx(found["BLEU"]["score"], abs=1e-9)
    assert 100 * score("chrf++", PAIRS) == pytest.approx(found["chrF2++"]["score"], abs=1e-9)
    chrf_signature, bleu_signature = metrics.get("chrf++").signature, metrics.get("bleu").signature
    assert chrf_signature
    assert bleu_signature
    assert chrf_signature() == found["chrF2++"]["signature"]
    if tokenizer == "13a":  # our signature also has the tokenizers of other languages in brackets
        ours = bleu_signature()
        shown = ours[: ours.index(" (")] + ours[ours.index(")") + 1 :]
        assert shown == found["BLEU"]["signature"]


def test_the_linearised_variance_equals_that_of_a_bootstrap():
    # BLEU and chrF++ are not means over sentences; the linearised variance must be right for them too.
    rng = np.random.default_rng(0)
    words = np.array("the a cat dog sat ran on under mat tree big small red and then".split())
    pairs = []
    for _ in range(300):
        reference = rng.choice(words, rng.integers(5, 20))
        predictions = np.where(
            rng.random(len(reference)) < rng.uniform(0, 0.5), rng.choice(words, len(reference)), reference
        )
        pairs.append((" ".join(predictions), " ".join(reference)))
    for name in ("bleu", "chrf++"):
        each, value = counts(name, pairs), metrics.get(name).compute_score
        _, influence = linearise(each, value)
        drawn = [value(each[rng.integers(0, len(each), len(each))].sum(axis=0)) for _ in range(2000)]
        assert np.sqrt(np.square(influence).sum()) == pytest.approx(np.std(drawn), rel=0.06)


def test_spbleu_without_its_package_or_model_is_refused_without_network(monkeypatch, tmp_path):
    bleu._sentencepiece_scorer.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match="needs the package sentencepiece"):
            metrics.get("spbleu").count_example({"text": "a", "language": "sw"}, "a", "sw")
        patched.setattr("importlib.util.find_spec", lambda name: name)
        patched.setattr("sacrebleu.SACREBLEU_DIR", str(tmp_path))
        with pytest.raises(UserError, match="SentencePiece model, which is missing") as refused:
            metrics.get("spbleu").count_example({"text": "a", "language": "sw"}, "a", "sw")
    assert str(tmp_path) in str(refused.value)


# --- the language of an output --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in GENERATED_LANGUAGES if code != SOURCE_LANGUAGE])
def test_sentences_of_a_generated_language_are_in_no_other(code):
    texts = [make_example("retrieval", code, "test", 0, index)["text"] for index in range(40)]
    assert all(is_in_language(text, code) for text in texts)
    for other in GENERATED_LANGUAGES:  # a sentence of names and loans may be in both
        assert other == code or np.mean([is_in_language(text, other) for text in texts]) <= 0.1


def test_unknown_words_are_in_no_generated_language_and_names_in_all():
    assert not is_in_language("longo hehe heo", "qta")
    assert is_in_language("Sogal Derol.", "qta")
    assert is_in_language("Sogal Derol.", "qtu")
    assert not is_in_language("Sogal Derol.", "qka")  # wrong letters


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("The ferry left the harbour at noon.", "en", True),
        ("The ferry left the harbour at noon.", "de", False),
        ("Die Fähre verließ den Hafen um zwölf Uhr.", "de", True),
        ("Kivuko kiliondoka bandarini saa sita mchana.", "sw", True),
        ("The ferry left the harbour at noon.", "ru", False),  # wrong letters
        ("船在中午离开了港口。", "zh", True),
        ("船在中午离开了港口。", "ja", False),  # Japanese uses Han too; the identifier decides
        ("フェリーは正午に港を出た。", "ja", True),
        ("", "en", False),
        ("1, 2, 3!", "en", False),
        ("no table has this language", "xx", True),
    ],
)
def test_real_languages_by_letters_and_identifier(text, language, found):
    assert is_in_language(text, language) is found


def test_a_copied_source_is_off_target():
    metric = metrics.get("on-target")
    gold = {"text": "Die Fähre ist weg.", "language": "de"}
    each = [
        metric.count_example(gold, text, "en") for text in ("Die Fähre fuhr ohne uns ab.", "The ferry left without us.")
    ]
    assert float(metric.compute_score(np.sum(each, axis=0))) == 0.5
