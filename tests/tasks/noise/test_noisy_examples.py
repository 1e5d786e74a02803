"""Examples with noise: gold labels stay valid in every format, and examples do not depend on each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from tests.tasks.noise.texts import any_text

from xlift.archipelago.examples import make_example
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon, spell
from xlift.archipelago.paraphrases import ParaphrasingGrammar
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.wordforms import analyse_word_forms, translate_word_forms
from xlift.archipelago.world import converse, get_world
from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.tasks import catalog, formats
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.retrieval import PairExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.noise import NoiseCounts, add_noise_to_examples, get_input_language, with_digest

TYPOS = Noise(kind="typos", level=1.0)
ISLE_TASKS = [task for task in catalog.ISLES if task.format != "text"]


def apply(task: str, examples: list, noise: Noise, language: str, **more) -> list:
    return add_noise_to_examples(catalog.get(task), examples, noise, language, **more)


def some(task: str, language: str, size: int = 12, split: str = "test") -> list:
    declared = catalog.get(task)
    return list(declared.source.read(declared, language, split, None, size=size))


TASKS_WITHOUT_PARAPHRASES = ("isle-from-pivot", "isle-commonsense", "isle-answer-pairs")


@pytest.mark.parametrize("task", ISLE_TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("kind", ["typos", "script", "code-switch", "paraphrase"])
def test_every_generated_task_stays_valid(task, kind):
    language = next(code for code in ("qka", "qta") if code in task.source.languages("test"))
    if kind == "paraphrase" and task.name in TASKS_WITHOUT_PARAPHRASES:
        with pytest.raises(UserError, match="none of its sentences has a paraphrase"):
            add_noise_to_examples(task, [], Noise(kind=kind), language)
        return
    clean = some(task.name, language)
    dirty = add_noise_to_examples(task, clean, Noise(kind=kind, level=1.0), language)
    format = formats.get(task.format)
    assert [e.id for e in dirty] == [e.id for e in clean]
    assert not any(format.check(e, task.labels) for e in dirty)
    pairs = [pair for pair in zip(clean, dirty, strict=True) if ":" not in pair[0].id]  # without pool candidates
    changed = sum(format.texts(a) != format.texts(b) for a, b in pairs)
    # Not every sentence has a paraphrase, related languages share words, and some mining examples lack this language.
    assert changed >= (0.4 if kind == "paraphrase" or task.format == "mining" else 0.8) * len(pairs)
    if task.format not in ("span-qa", "tagging"):
        assert [format.gold(e) for e in dirty] == [format.gold(e) for e in clean]


def test_noise_uses_the_source_language_of_translation():
    clean = some("isle-from-pivot", "qka")
    dirty = apply("isle-from-pivot", clean, TYPOS, "qka")
    assert [e.translation for e in dirty] == [e.translation for e in clean]
    assert all(a.source != b.source and b.source.isascii() for a, b in zip(clean, dirty, strict=True))
    assert get_input_language(catalog.get("flores200-from-en"), "sw") == "en"
    assert get_input_language(catalog.get("flores200-to-en"), "sw") == "sw"


def test_order_and_number_of_examples_do_not_matter():
    clean = some("isle-nli", "qka", 30)
    noise = Noise(kind="typos", level=0.2)
    dirty = apply("isle-nli", clean, noise, "qka")
    assert apply("isle-nli", clean[::-1], noise, "qka") == dirty[::-1]
    assert apply("isle-nli", clean[7:8], noise, "qka") == dirty[7:8]


@given(
    st.lists(
        any_text.filter(lambda text: text.strip() and "\n" not in text and " " not in text), min_size=1, max_size=8
    )
)
@settings(max_examples=scaled(60))
def test_tags_keep_their_words(words):
    clean = TaggingExample("1", tuple(words), ("NOUN",) * len(words))
    dirty = apply("isle-pos", [clean], TYPOS, "qta")[0]
    assert dirty.tags == clean.tags
    assert len(dirty.words) == len(words)
    assert all(word.strip() for word in dirty.words)


def test_answers_have_the_noise_of_their_context():
    clean = SpanExample(
        "1", "The battle of Hastings was in 1066, says Beauvoir.", "When?", ("1066", "battle of Hastings"), (30, 4)
    )
    for seed in range(20):
        dirty = apply("xquad", [clean], Noise(kind="typos", level=1.0, seed=seed), "en")[0]
        assert dirty.answers[0] == "1066"
        assert dirty.answers[1].split()[0] not in ("battle", "")
        assert len(dirty.answers[1].split()) == 3
        for answer, start in zip(dirty.answers, dirty.starts, strict=True):
            assert dirty.context[start : start + len(answer)] == answer


def test_no_typo_crosses_an_answer_boundary_inside_a_word():
    """Arabic joins prepositions to the noun, and Chinese has no spaces."""
    for context, answer in (("وصل بالقاهرة اليوم", "القاهرة"), ("他在唐朝出生", "唐"), ("ในกรุงเทพมี", "กรุงเทพ")):
        clean = SpanExample("1", context, "?", (answer,), (context.index(answer),))
        for seed in range(40):
            dirty = apply("xquad", [clean], Noise(kind="typos", level=1.0, seed=seed), "en")[0]
            assert dirty.answers[0]
            if sorted(dirty.context) == sorted(context):  # only swaps: the answer keeps all its letters
                assert sorted(dirty.answers[0]) == sorted(answer)


def test_translations_stay_clean():
    clean = PairExample("1", "ein kleiner Satz", "a little sentence")
    dirty = apply("tatoeba", [clean], TYPOS, "de")[0]
    assert dirty.translation == clean.translation
    assert dirty.text != clean.text


def test_noise_is_counted():
    noise_counts = NoiseCounts()
    clean = [ClassificationExample(str(n), "one two three four", "five six", "entailment") for n in range(50)]
    dirty = apply("xnli", clean, Noise(kind="typos", level=0.5), "en", noise_counts=noise_counts)
    assert (noise_counts.num_texts, noise_counts.num_words, noise_counts.num_changeable) == (100, 300, 300)
    words = [(a, b) for x, y in zip(clean, dirty, strict=True) for a, b in zip(_words(x), _words(y), strict=True)]
    assert noise_counts.num_changed == sum(a != b for a, b in words)
    assert noise_counts.changed_share == 0.5


def _words(e: ClassificationExample) -> list[str]:
    return f"{e.text_a} {e.text_b}".split()


# --- dictionaries -----------------------------------------------------------------------------------------------------


def test_replacements_of_a_dictionary_keep_capitals(tmp_path: Path):
    (tmp_path / "de-en.txt").write_text("katze cat\nhund dog\nhund hound\nParis Paree\n", encoding="utf-8")
    clean = [ClassificationExample(str(n), "Katze, KATZE und Hund in Paris.", None, "entailment") for n in range(20)]
    noise = Noise(kind="code-switch", level=1.0, words="{lang}-en.txt")
    texts = {e.text_a for e in apply("xnli", clean, noise, "de", data=tmp_path)}
    assert texts == {"Cat, CAT und Dog in Paree.", "Cat, CAT und Hound in Paree."}


def test_natural_misspellings_come_from_a_dictionary(tmp_path: Path):
    (tmp_path / "typos.tsv").write_text("their\tthier\nreceive\trecieve\n", encoding="utf-8")
    clean = [ClassificationExample("1", "They receive their mail", None, "entailment")]
    noise = Noise(kind="natural", level=1.0, words="typos.tsv")
    assert apply("xnli", clean, noise, "en", data=tmp_path)[0].text_a == "They recieve thier mail"


def test_the_digest_of_a_dictionary_is_the_hash_of_its_bytes(tmp_path: Path):
    path = tmp_path / "x.txt"
    path.write_text("a b\n", encoding="utf-8")
    noise = with_digest(Noise(kind="natural", words="x.txt"), "en", tmp_path)
    assert noise.digest == hashlib.sha256(b"a b\n").hexdigest()
    assert with_digest(TYPOS, "en", None) == TYPOS


def test_a_dictionary_changed_after_planning_is_refused(tmp_path: Path):
    (tmp_path / "y.txt").write_text("a b\n", encoding="utf-8")
    noise = Noise(kind="natural", words="y.txt", digest="0" * 64)
    with pytest.raises(UserError, match="changed since the plan"):
        apply("xnli", [ClassificationExample("1", "a", None, "entailment")], noise, "en", data=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("one two three\n", ":1: expected two words, found 3"),
        ("a b\nc\n", ":2: expected two words, found 1"),
        ("\n", "empty"),
        (b"\xff\xfe\xfa", "UTF-8"),
    ],
)
def test_invalid_dictionaries_are_refused(tmp_path: Path, content: str | bytes | None, message: str):
    if content is not None:
        (tmp_path / "z.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=message):
        with_digest(Noise(kind="natural", words="z.txt"), "en", tmp_path)


# --- words of the archipelago ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", GENERATED_LANGUAGES)
def test_forms_are_analysed_as_in_the_grammar(code):
    """Compare with the glosses of generated sentences."""
    num_known = num_tokens = 0
    for index in range(60):
        event = get_world().sample_event(random_stream("forms", index), detail=0.8)
        for token in get_grammar(code).sentence(event).tokens[:-1]:
            num_tokens += 1
            analysis = analyse_word_forms(code).get(token.form)
            if analysis is not None:
                num_known += 1
                concept = analysis[0]
                stem = token.gloss.split("-")[0].replace(".", "-")
                assert stem == concept or concept == "not" or ":" in concept
    assert num_known >= 0.9 * num_tokens


def test_translated_words_keep_concept_and_ending():
    table = translate_word_forms("qka", "qta")
    karstan, talassi = get_grammar("qka"), get_grammar("qta")
    for concept in ("smith", "bread", "river"):
        if concept in get_lexicon("qka"):
            assert table[karstan.word(concept, "NOUN", "NP").form] == spell(
                GENERATED_LANGUAGES["qta"], get_lexicon("qta")[concept].stem
            )
            plural = karstan.word(concept, "NOUN", "NP", "PL").form
            assert table[plural] == talassi.word(concept, "NOUN", "NP", "PL").form


@pytest.mark.parametrize("code", [code for code in GENERATED_LANGUAGES if code != "qta"])
def test_code_switched_sentences_have_words_of_the_source_language(code):
    clean = some("isle-nli", code, 20)
    dirty = apply("isle-nli", clean, Noise(kind="code-switch", level=1.0), code)
    source_words = {*translate_word_forms(code, "qta").values()}
    words = [word.strip(".?") for e in dirty for word in (e.text_a + " " + e.text_b).split()]
    assert sum(word in source_words for word in words) >= 0.9 * len(words)


def test_the_source_language_is_switched_into_merrin():
    clean = some("isle-nli", "qta", 5)
    noise = Noise(kind="code-switch", level=1.0)
    assert apply("isle-nli", clean, noise, "qta") == apply(
        "isle-nli", clean, noise.model_copy(update={"into": "qtm"}), "qta"
    )


# --- paraphrases ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from(sorted(GENERATED_LANGUAGES)))
@settings(max_examples=scaled(80))
def test_paraphrases_keep_the_meaning(index, code):
    """A paraphrase is the sentence in another order, or with the converse verb (give / receive)."""
    event = get_world().sample_event(random_stream("retold", index), detail=0.8)
    grammar, paraphrase = get_grammar(code), ParaphrasingGrammar(code, 1.0, "test").sentence(event)
    converse_event = converse(event)
    fronts = ["", *(role for role in ("place", "time") if getattr(event, role))]
    texts = {grammar.sentence(e, front).text for e in (event, converse_event) if e is not None for front in fronts}
    assert paraphrase.text in texts
    assert paraphrase.text != grammar.sentence(event).text or len(texts) == 1


@pytest.mark.parametrize("code", ["qta", "qka", "qks", "qeo"])
def test_answers_in_paraphrased_passages_keep_their_concepts(code):
    clean = [SpanExample(**make_example("qa", code, "test", 0, index)) for index in range(150)]
    dirty = apply("isle-qa", clean, Noise(kind="paraphrase", level=1.0), code)
    num_changed = num_checked = 0
    for before, after in zip(clean, dirty, strict=True):
        num_changed += before.context != after.context
        concepts = [
            {analyse_word_forms(code)[w][0] for w in e.answers[0].split() if w in analyse_word_forms(code)}
            for e in (before, after)
        ]
        if len(concepts[0]) == len(before.answers[0].split()) and len(concepts[1]) == len(after.answers[0].split()):
            num_checked += 1
            assert concepts[0] == concepts[1]  # the same concepts in any case
        assert len(before.answers[0].split()) == len(after.answers[0].split())
    assert num_changed > 100
    assert num_checked > 100


def test_tags_of_paraphrased_sentences_match_their_words():
    clean = some("isle-pos", "qka", 60)
    dirty = apply("isle-pos", clean, Noise(kind="paraphrase", level=1.0), "qka")
    assert any(a.tags != b.tags for a, b in zip(clean, dirty, strict=True))
    known = {(w, t) for e in some("isle-pos", "qka", 3000) for w, t in zip(e.words, e.tags, strict=True)}
    words = [(w, t) for e in dirty for w, t in zip(e.words, e.tags, strict=True)]
    assert sum(pair in known for pair in words) > 0.95 * len(words)


def test_the_level_of_paraphrases_is_a_share_of_sentences():
    noise_counts = NoiseCounts()
    apply(
        "isle-nli", some("isle-nli", "qta", 300), Noise(kind="paraphrase", level=0.2), "qta", noise_counts=noise_counts
    )
    assert noise_counts.num_changeable > 200
    assert noise_counts.num_changed / noise_counts.num_changeable == pytest.approx(0.2, abs=0.06)


def test_the_candidate_pool_stays_clean():
    clean = some("isle-answer-pairs", "qka", 3)
    dirty = apply("isle-answer-pairs", clean, TYPOS, "qka")
    assert len(clean) > 3
    assert [a == b for a, b in zip(clean, dirty, strict=True)] == [":" in e.id for e in clean]
