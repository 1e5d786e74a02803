"""`xlift translate`: its files are a custom task, dropped examples are counted, and an interrupted run resumes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tiny

from xlift.archipelago.examples import make_example
from xlift.archipelago.translator import TranslationErrors
from xlift.errors import UserError
from xlift.execution import translating, translators
from xlift.execution.translating import TranslationRequest, translate
from xlift.execution.translators import ModelTranslator, Oracle, load_model_translator
from xlift.tasks import catalog
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.sources.custom import build_custom_task


def of_texts(say):
    """A translator that calls a function instead of a model."""
    return ModelTranslator("a fake", {"fake": 1}, "none", lambda texts, source, target: [say(text) for text in texts])


def read(folder: Path, split="train"):
    """Return the task that a folder declares, and its examples by language."""
    (declared,) = yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8"))["tasks"]
    task = build_custom_task(declared, folder)
    return task, {code: list(task.source.read(task, code, split, None)) for code in task.source.languages(split)}


def plain(examples):
    return [vars(one) for one in examples]


# --- oracles --------------------------------------------------------------------------------------------------------

LABELLED = ["nli", "nli-balanced", "paraphrase", "qa", "qa-unanswerable", "continuation", "reading", "commonsense", "pos",
            "supertags", "names"]  # fmt: skip


@pytest.mark.parametrize("kind", LABELLED)
def test_exact_oracle_gives_the_examples_of_the_target_language(kind, tmp_path):
    asked = TranslationRequest(catalog.get(f"isle-{kind}"), "qta", ("qka", "qen"), size=12, seed=4)
    told = translate(asked, Oracle(), tmp_path)
    assert [(one.language, one.read, one.kept, one.dropped) for one in told] == [
        ("qen", 12, 12, {}),
        ("qka", 12, 12, {}),
    ]
    task, found = read(tmp_path)
    make = translators.formats.get(task.format).example_class
    for code in ("qka", "qen"):
        assert found[code] == [make(**make_example(kind, code, "train", 4, index)) for index in range(12)]
    original = catalog.get(f"isle-{kind}")
    assert (task.labels, task.format, task.metrics[0]) == (original.labels, original.format, original.metrics[0])


def test_shared_candidate_pools_are_not_translated(tmp_path):
    task = catalog.get("isle-answer-pairs")
    with pytest.raises(UserError, match="share one candidate pool over all languages"):
        translate(TranslationRequest(task, "qta", ("qka",), "test", 3), Oracle(), tmp_path)
    translate(TranslationRequest(task, "qta", ("qka",), "train", 3), Oracle(), tmp_path)
    _, found = read(tmp_path)
    assert [one.id for one in found["qka"]] == ["train-0-0", "train-0-1", "train-0-2"]


def test_noisy_translations_differ_from_exact_ones(tmp_path):
    asked = TranslationRequest(catalog.get("isle-qa"), "qta", ("qka",), size=30)
    translate(asked, Oracle(), tmp_path / "exact")
    translate(asked, Oracle(TranslationErrors.at_level(0.4)), tmp_path / "noisy")
    (_, exact), (_, noisy) = read(tmp_path / "exact"), read(tmp_path / "noisy")
    assert [one.id for one in exact["qka"]] == [one.id for one in noisy["qka"]]
    assert sum(a.context != b.context for a, b in zip(exact["qka"], noisy["qka"])) > 25
    with pytest.raises(UserError, match=r"belongs to another command \(differs: translator\)"):
        translate(asked, Oracle(TranslationErrors.at_level(0.2)), tmp_path / "noisy")


# --- models ---------------------------------------------------------------------------------------------------------

QA, NLI = catalog.get("squad"), catalog.get("mnli")
CONTEXT = st.text(st.sampled_from("ab ßçé.[]猫"), max_size=12)


@settings(deadline=None)
@given(CONTEXT, st.text("xyß", min_size=1, max_size=4), CONTEXT, st.booleans())
def test_answers_are_found_in_translated_contexts(before, answer, after, padded):
    # Upper case is a translation that changes lengths (ß, SS) and keeps every bracket.
    asked = SpanExample("q", f"a{before}{answer}{after}", "why?", (answer, "other"), (1 + len(before), 0))
    say = (lambda text: text.upper().replace("[", "[ ").replace("]", " ]")) if padded else str.upper
    made = of_texts(say).translate(QA, [asked], "en", "xx")
    if set("[]") & set(before + after) and padded:
        return  # the fake also pads brackets of the text
    (kept,) = made.kept
    assert kept.answers == (answer.upper(),)
    assert kept.context[kept.starts[0] :].startswith(answer.upper())
    assert kept.context.replace(" ", "") == asked.context.upper().replace(" ", "")


def test_dropped_examples_are_counted_by_reason():
    def qa(name, context, answer="Nile"):
        return SpanExample(name, context, "What?", (answer,), (context.find(answer),))

    said = {
        "The [Nile] is long.": "Der [Nil] ist lang.",
        "The [Nile] is blue.": "Der Nil ist blau.",  # without markers
        "The [Nile] is far.": "",
        "The [Nile] is near.": None,  # longer than the model's input limit
        "The [Nile] is wide.": "The [Nile] is a very wide river, they say.",  # not translated
        "What?": "Was ist das?",
    }
    examples = [qa(str(n), text.replace("[", "").replace("]", "")) for n, text in enumerate(said) if text != "What?"]
    examples.append(qa("all brackets", "[{<The Nile>}]"))
    made = of_texts(said.get).translate(QA, examples, "en", "de")
    assert plain(made.kept) == [
        {"id": "0", "context": "Der Nil ist lang.", "question": "Was ist das?", "answers": ("Nil",), "starts": (4,)}
    ]
    assert made.dropped == Counter({
        translators.MARKERS_LOST: 1, translators.EMPTY_TRANSLATION: 1, translators.TOO_LONG: 1, translators.WRONG_LANGUAGE: 1,
        translators.NO_FREE_MARKERS: 1,
    })  # fmt: skip


def test_labels_and_empty_fields_stay_and_each_text_is_translated_once():
    seen: list[str] = []

    def say(text):
        seen.append(text)
        return text.upper()

    pairs = [
        ClassificationExample("1", "a b", "c d", "neutral"),
        ClassificationExample("2", "a b", "e f", "entailment"),
    ]
    made = of_texts(say).translate(NLI, pairs, "en", "xx")
    assert plain(made.kept) == [
        {"id": "1", "text_a": "A B", "text_b": "C D", "label": "neutral"},
        {"id": "2", "text_a": "A B", "text_b": "E F", "label": "entailment"},
    ]
    assert seen == ["a b", "c d", "e f"]
    choice = ChoiceExample("1", "a story", "", ("one end", "two ends"), 1)
    (kept,) = of_texts(say).translate(catalog.get("hellaswag"), [choice], "en", "xx").kept
    assert kept == ChoiceExample("1", "A STORY", "", ("ONE END", "TWO ENDS"), 1)


@pytest.mark.parametrize(("task", "why"), [("udpos", "so its tags are unknown"), ("tatoeba", "pairs of a text"),
                                           ("bucc2018", "pairs of a text"), ("flores200-to-en", "pairs of a text")])  # fmt: skip
def test_formats_that_no_model_can_translate(task, why):
    with pytest.raises(UserError, match=why):
        of_texts(str.upper).check(catalog.get(task), "en", ("de",))


@pytest.mark.parametrize(("task", "source", "target", "why"), [
    ("mnli", "en", "de", "'en' is not one of its languages"), ("isle-nli", "qta", "de", "'de' is not one of its languages"),
    ("isle-text", "qta", "qka", "cannot translate"), ("isle-to-pivot", "qtm", "qka", "cannot translate"),
])  # fmt: skip
def test_oracle_translates_only_the_archipelago(task, source, target, why):
    with pytest.raises(UserError, match=why):
        Oracle().check(catalog.get(task), source, (target,))


@pytest.mark.parametrize("family", ["nllb", "mt5", "qwen3"])
def test_generative_models_of_every_family_translate(family, tmp_path):
    # The model is random, so its translations are useless, but every example is counted.
    folder = tiny.model_folder(tmp_path / "model", family)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n", encoding="utf-8")
    chosen = load_model_translator(str(folder))
    assert chosen.licence == "cc-by-nc-4.0"
    examples = [ClassificationExample(str(n), "the cat", f"a dog {n}", "neutral") for n in range(3)]
    long = ClassificationExample("long", "the cat " * 400, "a dog", "neutral")
    made = chosen.translate(NLI, [*examples, long], "en", "sw" if family == "nllb" else "de")
    assert len(made.kept) + made.dropped.total() == 4
    assert made.dropped[translators.TOO_LONG] == 1


def test_encoder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is an encoder and cannot generate text"):
        load_model_translator(str(tiny.model_folder(tmp_path)))


# --- folders --------------------------------------------------------------------------------------------------------


def test_interrupted_run_resumes_after_the_last_complete_file(tmp_path, monkeypatch):
    monkeypatch.setattr(translating, "EXAMPLES_PER_FILE", 4)
    asked = TranslationRequest(catalog.get("isle-nli"), "qta", ("qto", "qka"), size=10)
    translate(asked, Oracle(), tmp_path / "whole")
    calls: list[str] = []
    true = Oracle.translate

    def stopping(self, task, examples, source, target):
        calls.append(target)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return true(self, task, examples, source, target)

    monkeypatch.setattr(Oracle, "translate", stopping)
    with pytest.raises(KeyboardInterrupt):
        translate(asked, Oracle(), tmp_path / "parts")
    assert not (tmp_path / "parts/task.yaml").exists()
    (tmp_path / "parts/train.qto.00001.jsonl").write_text("damaged\n")
    done: list[tuple] = []
    translate(asked, Oracle(), tmp_path / "parts", progress=lambda *told: done.append(told))
    assert calls[5:] == ["qto", "qka", "qka"]  # the damaged file, the interrupted one, and the rest
    assert done == [(code, number, 10) for code in ("qto", "qka") for number in (4, 8, 10)]
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_another_language_in_the_same_folder(tmp_path):
    task = catalog.get("isle-nli")
    for target in ("qto", "qka"):
        translate(TranslationRequest(task, "qta", (target,), size=3), Oracle(), tmp_path)
    _, found = read(tmp_path)
    assert sorted(found) == ["qka", "qto"]


def test_shares_are_rounded(tmp_path):
    """A third of 0.3 is 0.09999999999999999 in floating point."""
    asked = TranslationRequest(catalog.get("isle-nli"), "qta", ("qka",), "train", 3)
    translate(asked, Oracle(TranslationErrors.at_level(0.3)), tmp_path / "a")
    text = (tmp_path / "a" / "translation.json").read_text()
    assert json.loads(text)["translator"]["oracle"] == {"wrong": 0.1, "dropped": 0.1, "untranslated": 0.1, "order": 0.3}
    (tmp_path / "a" / "translation.json").write_text(text.replace('"wrong": 0.1', '"wrong": 0.09999999999999999'))
    assert [one.kept for one in translate(asked, Oracle(TranslationErrors.at_level(0.3)), tmp_path / "a")] == [
        3
    ]  # an older summary
    with pytest.raises(UserError, match="translator"):
        translate(asked, Oracle(TranslationErrors.at_level(0.3001)), tmp_path / "a")


def test_task_without_examples_is_not_declared(tmp_path):
    asked = TranslationRequest(catalog.get("isle-nli"), "qta", ("qka",), size=3)
    with pytest.raises(UserError, match=rf"every example was dropped.*qka: 3 {translators.WRONG_LANGUAGE}"):
        translate(asked, of_texts(lambda text: text), tmp_path)
    assert json.loads((tmp_path / "translation.json").read_text())["files"]["train.qka.00000.jsonl"]["kept"] == 0
    assert not (tmp_path / "task.yaml").exists()


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="not empty and has no translation.json"):
        translate(TranslationRequest(catalog.get("isle-nli"), "qta", ("qto",), size=3), Oracle(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_full_disk_leaves_no_partial_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="cannot write translations: No space left on device"):
        translate(TranslationRequest(catalog.get("isle-nli"), "qta", ("qto",), size=3), Oracle(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_summary_file(tmp_path):
    translate(TranslationRequest(catalog.get("isle-nli"), "qta", ("qto",), size=3), Oracle(), tmp_path)
    summary = json.loads((tmp_path / "translation.json").read_text())
    assert {key: summary[key] for key in ("task", "source_language", "split", "size")} == {
        "task": "isle-nli", "source_language": "qta", "split": "train", "size": 3
    }  # fmt: skip
    assert summary["files"]["train.qto.00000.jsonl"]["kept"] == 3


def test_study_finds_translated_files_in_its_data_folder(tmp_path):
    # Their paths have a `*`: one file holds a thousand examples.
    from xlift.studies.plan import make_plan
    from xlift.studies.study_file import read_study

    translate(TranslationRequest(catalog.get("isle-nli"), "qta", ("qto",), size=6), Oracle(), tmp_path / "data")
    declared = yaml.safe_load((tmp_path / "data/task.yaml").read_text(encoding="utf-8"))
    study = {
        "question": "?", "models": ["isles"], "seeds": [1], **declared,
        "intermediate": ["none", {"task": "isle-nli-translated", "language": "qto"}],
        "targets": [{"task": "isle-nli", "train": {"size": 10}, "languages": ["qto"], "size": 5}],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    plan = make_plan(read_study(str(tmp_path / "study.yaml")), tmp_path / "data")
    assert "isle-nli-translated" in plan.tasks
