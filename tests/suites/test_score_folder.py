"""Leaderboard folders against the benchmark's rule written a second time (oracle.py), whole and damaged."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.suites import oracle
from tests.suites.random_folders import FILES, languages, write_folders

from xlift.errors import UserError
from xlift.suites import declared
from xlift.suites.folder import Result, score_folder
from xlift.suites.scoring import score_file


def assert_equal(found: Any, expected: Any, at: str = "") -> None:
    """The same keys in the same nesting, and numbers within 1e-9."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), at
        assert list(found) == list(expected), at
        for key in expected:
            assert_equal(found[key], expected[key], f"{at}/{key}")
    else:
        assert found == pytest.approx(expected, abs=1e-9), at


# --- whole ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", declared.SUITES, ids=lambda suite: suite.name)
def test_tasks_languages_and_groups_are_those_of_the_script(suite: declared.Suite):
    assert {task.name: " ".join(task.languages) for task in suite.tasks} == oracle.LANGUAGES[suite.name]
    assert {group: list(names) for group, names in suite.groups.items()} == oracle.GROUPS[suite.name]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suite", declared.SUITES, ids=lambda suite: suite.name)
def test_a_whole_folder_scores_as_the_benchmark(suite: declared.Suite, seed: int, tmp_path: Path):
    folders = write_folders(tmp_path, suite, seed)
    found = json.loads(json.dumps(score_folder(*folders, suite).report()))
    ours = found.pop("xlift")
    expected = oracle.report(*folders, suite.name, languages(suite))
    assert_equal(found, expected)
    assert ("all_task" in found) == (suite is declared.XTREME)  # XTREME-R's own script never prints it
    assert ours["all_task"] == pytest.approx(sum(found[name]["avg_metric"] for name in languages(suite)) / 9, abs=1e-9)
    assert ours["absent"] == ours["partial"] == {}


def test_a_folder_of_some_tasks_has_the_groups_that_are_whole(tmp_path: Path):
    folders = write_folders(tmp_path, declared.XTREME_R, 5, tasks=("xcopa", "xnli", "udpos"))
    found = score_folder(*folders, declared.XTREME_R).report()
    ours = found.pop("xlift")
    assert_equal(found, oracle.report(*folders, "xtreme-r", languages(declared.XTREME_R)))
    assert [key for key in found if key not in languages(declared.XTREME_R)] == ["classification", "multi_choice"]
    assert ours["absent"]["panx"] == "no predictions and no labels"
    assert ours["all_task"] is None


def test_a_task_on_one_side_only_is_left_out_and_said(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, declared.XTREME, 6, tasks=("xnli", "pawsx"))
    shutil.rmtree(labels / "pawsx")
    result = score_folder(predictions, labels, declared.XTREME)
    assert list(result.official.tasks) == ["xnli"]
    assert result.official.groups == {}
    assert result.absent["pawsx"] == "no labels"


def test_lareqa_is_empty_there_and_here(tmp_path: Path):
    folders = write_folders(tmp_path, declared.XTREME_R, 7, tasks=("tatoeba", "mewslix"))
    for root in folders:
        (root / "lareqa").mkdir()
    result = score_folder(*folders, declared.XTREME_R)
    assert result.report()["lareqa"] == {}
    assert "lareqa is named by evaluate.py but has no rule there: not scored" in result.warnings


def test_averages_without_english(tmp_path: Path):
    folders = write_folders(tmp_path, declared.XTREME, 8)
    found = score_folder(*folders, declared.XTREME).report()
    without = found["xlift"]["without_en"]
    others = [score for code, score in found["xquad"]["f1"].items() if code != "en"]
    assert without["xquad"]["avg_f1"] == pytest.approx(sum(others) / 10)
    assert without["bucc2018"]["avg_metric"] == found["bucc2018"]["avg_metric"]  # has no English
    assert without["all_task"] == pytest.approx(
        sum(without[name]["avg_metric"] for name in languages(declared.XTREME)) / 9
    )
    tagging = (without["udpos"]["avg_metric"] + without["panx"]["avg_metric"]) / 2
    assert without["tagging"] == pytest.approx(tagging)


def test_repaired_scores_stand_beside_the_official_ones(tmp_path: Path):
    folders = one_file(tmp_path, "udpos", "en", "NOUN\nSCONJ\n", "NOUN\nCCONJ\n")
    report = score_folder(*folders, declared.XTREME, partial=True).report()
    assert report["udpos"]["f1"]["en"] == pytest.approx(50)
    assert report["xlift"]["repaired"]["udpos"]["accuracy"]["en"] == 50
    assert "repaired" not in score_folder(*folders, declared.XTREME, partial=True).report(repaired=False)["xlift"]


# --- one file ---------------------------------------------------------------------------------------------------------


def one_file(root: Path, task: str, code: str, gold: str | bytes, said: str | bytes) -> tuple[Path, Path]:
    suite = next(suite for suite in declared.SUITES if task in languages(suite))
    for side, text in (("labels", gold), ("predictions", said)):
        path = root / side / suite.task(task).file(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root / "predictions", root / "labels"


def one(root: Path, task: str, code: str, gold: str | bytes, said: str | bytes) -> Result:
    suite = next(suite for suite in declared.SUITES if task in languages(suite))
    return score_folder(*one_file(root, task, code, gold, said), suite, partial=True)


def squad(*answers: str, name: str = "q") -> dict[str, Any]:
    return {"id": name, "answers": [{"text": text} for text in answers]}


def squad_file(*questions: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": [{"qas": list(questions)}]}]})


def test_an_x_that_ends_a_sentence_counts(tmp_path: Path):
    result = one(tmp_path, "udpos", "en", "NOUN\nX\n\nX\n", "NOUN\nX\n\nX\n")
    assert result.official.tasks["udpos"]["recall"] == {"en": 100}


def test_runs_do_not_melt_over_the_end_of_a_sentence(tmp_path: Path):
    result = one(tmp_path, "panx", "en", "B-PER\n\nI-PER\n", "B-PER\n\nI-PER\n")
    assert result.official.tasks["panx"]["f1"] == {"en": 100}
    result = one(tmp_path, "udpos", "en", "NOUN\n\nNOUN\nNOUN\n", "NOUN\n\nVERB\nNOUN\n")
    assert result.official.tasks["udpos"]["precision"] == {"en": pytest.approx(100 / 3)}


def test_nothing_found_scores_zero_and_divides_by_nothing(tmp_path: Path):
    zero = {"f1": {"en": 0.0}, "precision": {"en": 0.0}, "recall": {"en": 0.0}}
    result = one(tmp_path, "panx", "en", "O\nO\n", "O\nO\n")
    assert zero.items() <= result.official.tasks["panx"].items()
    for gold, said in (("", ""), ("a\tb\n", ""), ("", "a\tb\n"), ("a\tb\n", "a\tc\n")):
        result = one(tmp_path, "bucc2018", "de", gold, said)
        assert result.official.tasks["bucc2018"]["f1"] == {"de": 0.0}


def test_doubled_pairs_count_once(tmp_path: Path):
    result = one(tmp_path, "bucc2018", "de", "a\tb\nc\td\n", "a\tb\na\tb\n")
    assert result.official.tasks["bucc2018"]["precision"] == {"de": 100}
    assert any("1 line doubled" in warning for warning in result.warnings)


def test_a_question_without_an_answer_scores_zero_and_is_named(tmp_path: Path):
    labels = squad_file(squad("a1", name="q1"), squad("b2", name="q2"))
    result = one(tmp_path, "xquad", "de", labels, '{"q1": "a1", "q7": "x"}')
    assert result.official.tasks["xquad"]["exact_match"] == {"de": 50}
    assert result.report()["xlift"]["unanswered"] == {"xquad": {"de": 1}}
    assert any("1 id of 2 without a prediction, scored 0: q2" in warning for warning in result.warnings)
    assert any("1 id that the labels do not have, ignored: q7" in warning for warning in result.warnings)


def test_of_doubled_ids_the_last_prediction_and_every_question_counts(tmp_path: Path):
    labels = squad_file(squad("one", name="q"), squad("two", name="q"))
    result = one(tmp_path, "tydiqa", "te", labels, '{"q": "one", "q": "two"}')
    assert result.official.tasks["tydiqa"]["exact_match"] == {"te": 50}
    assert any(
        "predictions" in warning and "doubled, of which the last one counts: q" in warning
        for warning in result.warnings
    )
    assert any("labels" in warning and "doubled, each of which is scored: q" in warning for warning in result.warnings)


def test_the_entity_below_the_twentieth_counts_nothing(tmp_path: Path):
    ranked = [f"Q{n}" for n in range(20)] + ["gold"]
    result = one(tmp_path, "mewslix", "ar", '{"m": ["gold"]}', json.dumps({"m": ranked}))
    assert result.official.tasks["mewslix"]["map@20"] == {"ar": 0}
    result = one(tmp_path, "mewslix", "ar", '{"m": ["gold"]}', json.dumps({"m": ranked[1:]}))
    assert result.official.tasks["mewslix"]["map@20"] == {"ar": 5}


def test_a_byte_order_mark_spoils_the_first_line_as_it_does_there(tmp_path: Path):
    result = one(tmp_path, "xnli", "de", "neutral\nneutral\n", b"\xef\xbb\xbfneutral\r\nneutral\r\n")
    assert result.official.tasks["xnli"]["accuracy"] == {"de": 50}
    assert any("byte-order mark" in warning for warning in result.warnings)


def test_labels_that_were_taken_out_are_noticed(tmp_path: Path):
    result = one(tmp_path, "xnli", "de", "neutral\n" * 100, "entailment\n" * 100)
    assert any("a placeholder" in warning for warning in result.warnings)
    result = one(tmp_path, "xquad", "de", squad_file(squad("")), '{"q": "Rom"}')
    assert any("every gold answer is empty" in warning for warning in result.warnings)


# --- damaged ----------------------------------------------------------------------------------------------------------

GOOD = squad_file(squad("a"))
DAMAGED: dict[str, tuple[str, str | bytes, str | bytes, str]] = {
    # what is wrong: (task, labels, predictions, what is said)
    "fewer lines": ("xnli", "a\nb\n", "a\n", "predictions/xnli/test-en.tsv: 1 line"),
    "an empty line more": ("xnli", "a\n", "a\n\n", "predictions/xnli/test-en.tsv: 2 lines"),
    "no lines": ("xnli", "", "", "labels/xnli/test-en.tsv: the file is empty"),
    "fewer sentences": ("udpos", "X\n\nX\n", "X\n", "predictions/udpos/test-en.tsv: 1 sentence"),
    "fewer words": ("panx", "O\nO\n\nO\nO\n", "O\nO\n\nO\n", "predictions/panx/test-en.tsv: sentence 2 has 1 tag"),
    "not UTF-8": ("xnli", "a\nb\n", b"a\n\xff\n", "predictions/xnli/test-en.tsv:2: not UTF-8"),
    "truncated": ("xquad", GOOD, '{"q": "a', "predictions/xquad/test-en.json:1: broken JSON"),
    "a mark before JSON": ("xquad", GOOD, b"\xef\xbb\xbf{}", "predictions/xquad/test-en.json:1: begins with a byte-order mark"),
    "a list": ("xquad", GOOD, "[]", "predictions/xquad/test-en.json: no JSON object"),
    "a number": ("mlqa", GOOD, '{"q": 1}', "predictions/mlqa/test-en.json: the answer to 'q' is no text"),
    "nested too deep": ("xquad", GOOD, "[" * 100_000, "predictions/xquad/test-en.json"),
    "no questions": ("xquad", '{"data": []}', "{}", "labels/xquad/test-en.json: there are no questions"),
    "no gold answer": ("xquad", squad_file(squad()), '{"q": ""}', "question 'q' has no gold answer"),
    "no paragraphs": ("xquad", '{"data": [{}]}', "{}", "labels/xquad/test-en.json:data[0]: no 'paragraphs' here"),
    "another layout": ("xquad", '{"q": "a"}', "{}", "labels/xquad/test-en.json: no list of articles"),
    "an id that is none": ("xquad", squad_file(squad("a", name=7)), "{}", "data[0].paragraphs[0].qas[0]: no 'id' here"),  # type: ignore
    "no entity": ("mewslix", '{"m": []}', '{"m": []}', "labels/mewslix/test-en.json: 'm' has no gold entity"),
    "no ranking": ("mewslix", '{"m": ["Q"]}', '{"m": "Q"}', "predictions/mewslix/test-en.json: 'm' has no list of entities"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_damaged_is_refused_by_name(case: str, tmp_path: Path):
    task, gold, said, expected = DAMAGED[case]
    with pytest.raises(UserError) as refused:
        one(tmp_path, task, "en", gold, said)
    assert expected in str(refused.value)


def test_a_choice_without_a_label_is_refused_by_line(tmp_path: Path):
    for line in ("", "1", "{}", '{"label"', "[]"):
        with pytest.raises(UserError, match=r"test-et\.jsonl:2: no JSON object with a 'label'"):
            one(tmp_path, "xcopa", "et", '{"label": 1}\n{"label": 0}\n', f'{{"label": 1}}\n{line}\n')


def test_missing_files_are_an_error_that_names_side_task_and_languages(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, declared.XTREME, 9, tasks=("mlqa", "pawsx"))
    for path in (predictions / "mlqa/test-hi.json", predictions / "mlqa/test-vi.json", labels / "pawsx/test-ko.tsv"):
        path.unlink()
    with pytest.raises(UserError) as refused:
        score_folder(predictions, labels, declared.XTREME)
    assert refused.value.what == "no labels of pawsx in ko\n  no predictions of mlqa in hi vi"
    result = score_folder(predictions, labels, declared.XTREME, partial=True)
    assert result.partial == {"pawsx": ["ko"], "mlqa": ["hi", "vi"]}
    assert set(result.official.tasks["mlqa"]["f1"]) == {"en", "es", "de", "ar", "zh"}
    assert result.official.groups == {}


def mutated(rng: random.Random, text: bytes) -> bytes:
    """One to three bytes dropped, doubled, exchanged or put in; or a stretch cut off."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            del data[at : at + rng.choice((1, 1, 5, 10**6))]
        elif kind == 1:
            data[at:at] = rng.choice(
                (b"\n", b"\r", b"\t", b'"', b"{", b"]", b"null", b"NaN", b"\xff", b"\x00", b"\xef\xbb\xbf", b"1e999")
            )
        elif kind == 2 and at < len(data):
            data[at] = rng.randrange(256)
        else:
            data[at:at] = data[at : at + 9]
    return bytes(data)


@pytest.mark.parametrize("task", FILES)
def test_mutations_are_scored_or_refused_by_name(task: str, tmp_path: Path):
    # Ten thousand of all kinds together. Anything but a UserError or a percentage fails.
    rng = random.Random(task)
    suite = next(suite for suite in declared.SUITES if task in languages(suite))
    paths = {
        side: tmp_path / f"{side}.{suite.task(task).file('x').rpartition('.')[2]}" for side in ("labels", "predictions")
    }
    places = []
    for _ in range(10_000 // len(FILES) + 1):
        texts = dict(zip(paths, (text.encode() for text in FILES[task](rng, "zh")), strict=True))
        side = rng.choice(list(texts))
        texts[side] = mutated(rng, texts[side])
        for name, text in texts.items():
            paths[name].write_bytes(text)
        try:
            score = score_file(suite.task(task), "zh", paths["predictions"], paths["labels"])
        except UserError as error:
            places.append(error.where)
        else:
            assert all(0 <= value <= 100 for value in (*score.official.values(), *score.repaired.values()))
    assert all(str(tmp_path) in place for place in places)
    assert places or task == "bucc2018"  # any text is a set of lines


def test_no_folder_and_no_task_are_errors(tmp_path: Path):
    with pytest.raises(UserError, match="no such folder"):
        score_folder(tmp_path / "gone", tmp_path, declared.XTREME)
    (tmp_path / "xnli").mkdir()
    with pytest.raises(UserError, match="no task of xtreme-r is in both"):
        score_folder(tmp_path, tmp_path, declared.XTREME_R, partial=True)


def test_what_is_not_looked_at_is_said(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, declared.XTREME, 10, tasks=("pawsx",))
    (predictions / "xcopa").mkdir()
    (predictions / "pawsx" / "test-ar.tsv").write_text("0\n")
    warnings = score_folder(predictions, labels, declared.XTREME).warnings
    assert any(warning.endswith("xcopa: no task of xtreme, ignored") for warning in warnings)
    assert any(warning.endswith("pawsx: ignored: test-ar.tsv") for warning in warnings)


def test_an_unknown_suite_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'xtreme-r'"):
        declared.get("xtremer")
