"""Every task on a tiny sample of its files: read, made into features, and scored, the gold answers at 1 and others below.

samples/TASK/native/ is a data folder in the authors' layout, samples/TASK/xtreme/ one as XTREME's scripts leave it; the
sentences are our own. What the Hub would serve is written here, in the columns and class numbers of its dataset cards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support import tiny

from xlift.errors import UserError
from xlift.tasks import catalog, formats, metrics
from xlift.tasks.formats.template import Template
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource

SAMPLES = Path(__file__).parent / "samples"
WORDED = Template("plain.v1", "en", "{source_language} into {target_language}: {source}")
INSIDE = {"xnli": ("de", "sw", "ko"), "tydiqa": ("en", "sw"), "mewslix": ("de", "en")}
"""The languages inside of samples that hold several in one file."""


def members(task):
    return getattr(task.source, "members", (task.source,))


def cases(kind):
    """(task, source, split, language) of every split of every source of a kind that a sample has."""
    for task in catalog.FILES:
        for source in members(task):
            if isinstance(source, kind):
                for split in source.splits():
                    folder = SAMPLES / task.name / ("native" if isinstance(source, ConcatenatedSource) else source.kind)
                    for language in source.languages(split):
                        if source.is_present(language, split, folder) and language in INSIDE.get(
                            task.name, (language,)
                        ):
                            yield pytest.param(
                                task, source, split, language, folder, id=f"{task.name}-{split}-{language}"
                            )


READ = [*cases(FileSource), *cases(ConcatenatedSource)]
STRIPPED = [p for p in READ if p.values[1].kind == "xtreme" and p.values[2] in p.values[1].originals]
WHOLE = [p for p in READ if p not in STRIPPED]


def test_every_source_of_files_has_a_sample_of_every_split():
    there = {(task.name, source.kind, id(source), split) for task, source, split, _, _ in (p.values for p in READ)}
    wanted = {
        (task.name, source.kind, id(source), split)
        for task in catalog.FILES for source in members(task) if isinstance(source, FileSource | ConcatenatedSource)
        for split in source.splits()
    }  # fmt: skip
    assert wanted - there == set()


def test_every_file_of_the_samples_is_of_use():
    used = {path for task, source, split, code, folder in (p.values for p in READ) if isinstance(source, FileSource)
            for path in source.paths(task, code, split, folder)}  # fmt: skip
    joined = {path for path in SAMPLES.rglob("*") if "anli-plus" in path.parts}  # read by the parts that it joins
    assert {path for path in SAMPLES.rglob("*") if path.is_file()} - used - joined == set()


def right(format, gold):
    if format == "span-qa":
        return gold[0] if gold else ""
    if format == "mining":
        return gold and {"text": "?", "translation": gold, "score": 1.2}
    if format == "translation":
        return gold["text"]
    if format == "dual-encoding":
        return gold and {"top": list(gold), "ranks": list(range(1, len(gold) + 1))}
    return gold


def wrong(format, gold, labels):
    if format == "classification":
        return next(label for label in labels if label != gold)
    if format == "tagging":
        return ["O" if "O" in labels else "SYM"] * len(gold)
    return {"multiple-choice": -1, "span-qa": "no such words", "retrieval": "?", "translation": ""}.get(format)


def score(name, gold, predictions, language):
    metric = metrics.get(name)
    kept = metric.fit_threshold(gold, predictions) if metric.fit_threshold else None
    made = predictions if kept is None else [kept(prediction) for prediction in predictions]
    return float(
        metric.compute_score(
            np.sum([metric.count_example(g, p, language) for g, p in zip(gold, made, strict=True)], axis=0)
        )
    )


@pytest.mark.parametrize(("task", "source", "split", "language", "folder"), WHOLE)
def test_it_is_read_made_into_features_and_scored(task, source, split, language, folder):
    examples = list(source.read(task, language, split, folder))
    assert len(examples) == source.size(task, language, split, folder)
    assert len({example.id for example in examples}) == len(examples)
    format = formats.get(task.format)
    labels = task.labels or sorted({tag for example in examples for tag in getattr(example, "tags", ())})
    if format.output_kind == "text":  # in words: its prompts are what is made into features
        prompts = [format.prompt(example, labels, WORDED) for example in examples]
        assert [prompt.answer for prompt in prompts] == [example.translation for example in examples]
        assert all(example.source in prompt.source for example, prompt in zip(examples, prompts, strict=True))
    else:
        rows = format.features(examples, tiny.tokenizer(), labels, max_length=task.max_length, train=split == "train")
        assert set(rows.example_index.tolist()) == set(range(len(examples)))
        assert max(map(len, rows.input_ids)) <= task.max_length
    if split == "train" or not task.metrics:
        return
    gold = [format.gold(example) for example in examples]
    for name in task.metrics:
        if name != "bleu":  # which is 0 of perfect sentences, too, where none has four words
            assert score(name, gold, [right(task.format, g) for g in gold], language) == 1
        assert score(name, gold, [wrong(task.format, g, labels) for g in gold], language) < 1


@pytest.mark.parametrize(("task", "source", "split", "language", "folder"), STRIPPED)
def test_labels_that_xtreme_takes_away_are_missed_with_the_place_of_the_original(task, source, split, language, folder):
    with pytest.raises(UserError, match="so it cannot be scored") as caught:
        list(source.read(task, language, split, folder))
    assert source.originals[split] in caught.value.fix


def test_a_task_of_several_sources_reads_the_one_that_is_there():
    xcopa = catalog.get("xcopa")
    by_source = [
        [example.id for example in xcopa.source.read(xcopa, "it", "test", SAMPLES / "xcopa" / kind)]
        for kind in ("native", "xtreme")
    ]
    assert by_source[0] == by_source[1] == ["0", "1"]


def test_ccgbank_is_asked_of_its_owner():
    ccg = catalog.get("ccg")
    with pytest.raises(UserError, match="LDC2005T13"):
        ccg.source.size(ccg, "en", "train", SAMPLES)
    assert ccg.source.read_labels(ccg, ("train",), SAMPLES / "ccg/native") == ("N", "N/N", "NP", "S[dcl]\\NP")


def test_anli_plus_holds_every_pair_of_its_parts_and_its_subsets_are_nested():
    task, data = catalog.get("anli-plus"), SAMPLES / "anli-plus/native"
    ids = [example.id for example in task.source.read(task, "en", "train", data)]
    assert [sum(name.startswith(part) for name in ids) for part in ("snli ", "mnli ", "anli ")] == [3, 3, 9]
    few, more = ({e.id for e in task.source.read(task, "en", "train", data, size=n, seed=5)} for n in (4, 9))
    assert len(few) == 4 < len(more) == 9
    assert few < more < set(ids)
    with pytest.raises(UserError, match="has 15 examples, fewer than the 16 requested"):
        task.source.read(task, "en", "train", data, size=16)


# --- the Hub --------------------------------------------------------------------------------------------------------

E_N_C = ["entailment", "neutral", "contradiction"]
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
NAMES = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
COPA_ROWS = [
    {"premise": "The lamp went out.", "choice1": "It was noon.", "choice2": "The bulb broke.", "question": "cause", "label": 1, "idx": 0},
    {"premise": "It rained.", "choice1": "The road got wet.", "choice2": "It got dry.", "question": "effect", "label": 0, "idx": 1},
]  # fmt: skip
CONTEXT = {"title": "Rivers", "context": "The Nile is long.", "question": "What is long?"}
ANSWERED = {"id": "q1", **CONTEXT, "answers": {"text": ["The Nile", "Nile"], "answer_start": [0, 4]}}
UNANSWERED = {"id": "q2", **CONTEXT, "answers": {"text": [], "answer_start": []}}


def pairs(first, second, labels, **more):
    return [{first: f"One {i}.", second: f"Two {i}.", "label": label, **more} for i, label in enumerate(labels)]


def tagged(column, number):
    return [{"tokens": [f"w{i}" for i in range(number)], column: list(range(number))}]


HUB = {
    # Rows as the repository's card describes them, and the gold answers that they stand for.
    "mnli": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C),
    "snli": (pairs("premise", "hypothesis", [0, 1, 2, -1]), E_N_C),
    "anli": (pairs("premise", "hypothesis", [0, 1, 2], uid="u", reason=""), E_N_C * 3),
    "xnli": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C),
    "xnli-mt": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C),
    "kornli": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C * 2),
    "americasnli": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C),
    "afrixnli": (pairs("premise", "hypothesis", [0, 1, 2]), E_N_C),
    "ocnli": (pairs("sentence1", "sentence2", [0, 1, 2, -1]), ["neutral", "entailment", "contradiction"]),
    "qqp": (pairs("question1", "question2", [0, 1]), ["different", "paraphrase"]),
    "pawsx": ([row | {"id": i} for i, row in enumerate(pairs("sentence1", "sentence2", [0, 1]))], ["different", "paraphrase"]),
    "pawsx-mt": ([row | {"id": i} for i, row in enumerate(pairs("sentence1", "sentence2", [0, 1]))], ["different", "paraphrase"]),
    "sib200": ([{"index_id": 7, "category": "science/technology", "text": "Ice melts."}], ["science/technology"]),
    "squad": ([ANSWERED], [["The Nile", "Nile"]]),
    "squad2": ([ANSWERED, UNANSWERED], [["The Nile", "Nile"], []]),
    "xquad": ([ANSWERED], [["The Nile", "Nile"]]),
    "mlqa": ([ANSWERED], [["The Nile", "Nile"]]),
    "tydiqa": ([{**ANSWERED, "id": "arabic--1-0"}, {**ANSWERED, "id": "english--2-0"}], [["The Nile", "Nile"]]),
    "udpos": (tagged("pos_tags", 17), [UPOS]),
    "panx": (tagged("ner_tags", 7), [NAMES]),
    "masakhaner2": (tagged("ner_tags", 9), [[*NAMES, "B-DATE", "I-DATE"]]),
    "hellaswag": ([{"ind": 4, "ctx_a": "A man gets in.", "ctx_b": "he", "ctx": "A man gets in. he", "endings": ["a", "b", "c", "d"],
                    "label": "2"}], [2]),
    "cosmosqa": ([{"id": "c", "context": "I ran.", "question": "Why?", **{f"answer{i}": f"{i}." for i in range(4)}, "label": 3}], [3]),
    "commonsenseqa": ([{"id": "c", "question": "Where is a key?", "question_concept": "key",
                        "choices": {"label": list("ABCDE"), "text": list("vwxyz")}, "answerKey": "E"}], [4]),
    "socialiqa": ([{"context": "Bo ran.", "question": "Then?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"}], [2]),
    "copa": (COPA_ROWS, [1, 0]),
    "xcopa": ([row | {"changed": False} for row in COPA_ROWS], [1, 0]),
    "belebele": ([{"link": "l", "question_number": 1, "flores_passage": "Ice melts.", "question": "What?",
                   **{f"mc_answer{i}": f"{i}." for i in range(1, 5)}, "correct_answer_num": "4"}], [3]),
    "massive": ([{"id": "3", "label": "alarm_set", "label_text": "alarm_set", "text": "wake me", "lang": "en-US"}], ["alarm_set"]),
    "xstorycloze": ([{"story_id": "s", **{f"input_sentence_{i}": f"{i}." for i in range(1, 5)}, "sentence_quiz1": "a",
                      "sentence_quiz2": "b", "answer_right_ending": 2}], [1]),
    "global-mmlu": ([{"sample_id": "art/test/0", "subject": "art", "subject_category": "Humanities", "question": "What?",
                      **{f"option_{o}": o for o in "abcd"}, "answer": "C", "is_annotated": True}], [2]),
    "include": ([{"language": "Albanian", "country": "Albania", "domain": "STEM", "subject": "Physics", "level": "Academic",
                  "regional_feature": "agnostic", "question": "What?", **{f"option_{o}": o for o in "abcd"}, "answer": 3}], [3]),
    "xwinograd": ([{"sentence": "Bo ran because _ was late.", "option1": "Bo", "option2": "Al", "answer": "2"}], [1]),
    "multiblimp": ([{"sen": f"They run {i}.", "wrong_sen": f"They runs {i}.", "verb": "run"} for i in range(3)], [1, 1, 0]),
    "tatoeba": ([{"source_sentence": "Ja.", "target_sentence": "Yes.", "source_lang": "deu", "target_lang": "eng"}], ["0"]),
    "wikipedia": ([{"id": "12", "url": "u", "title": "Ice", "text": "Ice melts."}], ["Ice melts."]),
}  # fmt: skip
HUB_SPLITS = [
    pytest.param(task, source, split, id=f"{task.name}-{split}")
    for task in catalog.FILES for source in members(task) if isinstance(source, HubSource) for split in source.splits()
]  # fmt: skip


@pytest.mark.parametrize(("task", "source", "split"), HUB_SPLITS)
def test_what_the_hub_serves_means_the_same(task, source, split, tmp_path):
    rows, expected = HUB[task.name]
    language, commit = source.languages(split)[0], "0123456789" * 4
    home = tmp_path / "hub" / f"datasets--{source.repository.replace('/', '--')}"
    for place in (
        home / "refs" / source.revision,
        *(home / "snapshots" / commit / p for p in source.patterns(language, split)),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
    (home / "refs" / source.revision).write_text(commit)
    for pattern in source.patterns(language, split):
        assert "{" not in pattern
        pq.write_table(pa.Table.from_pylist(rows), home / "snapshots" / commit / pattern.replace("*", "0000"))
    assert source.is_present(language, split, tmp_path)
    examples = list(source.read(task, language, split, tmp_path))
    format = formats.get(task.format)
    assert [example.text if task.format == "text" else format.gold(example) for example in examples] == expected
    assert all(
        len(format.texts(example)) > 1 for example in examples if task.format in ("multiple-choice", "retrieval")
    )


def test_a_story_in_four_columns_is_one_context(tmp_path):
    task = catalog.get("xstorycloze")
    columns = {"story_id": "s", **{f"input_sentence_{i}": f" Sentence {i}. " for i in range(1, 5)}}
    rows = [{**columns, "sentence_quiz1": "a", "sentence_quiz2": "b", "answer_right_ending": 1}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    source = FileSource(
        reader="parquet", files={"test": "rows.parquet"}, available={"test": ("en",)}, columns=task.source.columns,
        values=task.source.values,
    )  # fmt: skip
    (story,) = source.read(task, "en", "test", tmp_path)
    assert story.context == "Sentence 1. Sentence 2. Sentence 3. Sentence 4."
    assert (story.question, story.choices, story.label) == ("", ("a", "b"), 0)
