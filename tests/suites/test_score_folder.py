"""Whole and damaged leaderboard folders, against an independent implementation of the rules (oracle.py)."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.suites import oracle
from tests.suites.random_folders import FILES, languages, write_folders
from tests.support.profile import by_profile

from xlift.errors import UserError
from xlift.suites import definitions
from xlift.suites.file_scoring import score_file
from xlift.suites.folder_scoring import SuiteResult, score_folder

MUTATIONS = by_profile(1000, 10_000, 200_000)


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


@pytest.mark.parametrize("suite", definitions.SUITES, ids=lambda suite: suite.name)
def test_tasks_languages_and_groups_match_evaluate_py(suite: definitions.Suite):
    assert {task.name: " ".join(task.languages) for task in suite.tasks} == oracle.LANGUAGES[suite.name]
    assert {group: list(names) for group, names in suite.groups.items()} == oracle.GROUPS[suite.name]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suite", definitions.SUITES, ids=lambda suite: suite.name)
def test_whole_folder_scores_as_the_benchmark(suite: definitions.Suite, seed: int, tmp_path: Path):
    folders = write_folders(tmp_path, suite, seed)
    found = json.loads(json.dumps(score_folder(*folders, suite).report()))
    ours = found.pop("xlift")
    expected = oracle.report(*folders, suite.name, languages(suite))
    assert_equal(found, expected)
    assert ("all_task" in found) == (suite is definitions.XTREME)  # evaluate.py never prints it for XTREME-R
    assert ours["all_task"] == pytest.approx(sum(found[name]["avg_metric"] for name in languages(suite)) / 9, abs=1e-9)
    assert ours["absent"] == ours["partial"] == {}


def test_partial_folder_has_only_complete_groups(tmp_path: Path):
    folders = write_folders(tmp_path, definitions.XTREME_R, 5, tasks=("xcopa", "xnli", "udpos"))
    found = score_folder(*folders, definitions.XTREME_R).report()
    ours = found.pop("xlift")
    assert_equal(found, oracle.report(*folders, "xtreme-r", languages(definitions.XTREME_R)))
    assert [key for key in found if key not in languages(definitions.XTREME_R)] == ["classification", "multi_choice"]
    assert ours["absent"]["panx"] == "no predictions and no labels"
    assert ours["all_task"] is None


def test_task_on_one_side_is_left_out_with_a_reason(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, definitions.XTREME, 6, tasks=("xnli", "pawsx"))
    shutil.rmtree(labels / "pawsx")
    result = score_folder(predictions, labels, definitions.XTREME)
    assert list(result.official.tasks) == ["xnli"]
    assert result.official.groups == {}
    assert result.absent["pawsx"] == "no labels"


def test_lareqa_is_not_scored(tmp_path: Path):
    folders = write_folders(tmp_path, definitions.XTREME_R, 7, tasks=("tatoeba", "mewslix"))
    for root in folders:
        (root / "lareqa").mkdir()
    result = score_folder(*folders, definitions.XTREME_R)
    assert result.report()["lareqa"] == {}
    assert "lareqa is named by evaluate.py but has no rule there, so it is not scored" in result.warnings


def test_averages_without_english(tmp_path: Path):
    folders = write_folders(tmp_path, definitions.XTREME, 8)
    found = score_folder(*folders, definitions.XTREME).report()
    without = found["xlift"]["without_en"]
    others = [score for code, score in found["xquad"]["f1"].items() if code != "en"]
    assert without["xquad"]["avg_f1"] == pytest.approx(sum(others) / 10)
    assert without["bucc2018"]["avg_metric"] == found["bucc2018"]["avg_metric"]  # has no English
    assert without["all_task"] == pytest.approx(
        sum(without[name]["avg_metric"] for name in languages(definitions.XTREME)) / 9
    )
    tagging = (without["udpos"]["avg_metric"] + without["panx"]["avg_metric"]) / 2
    assert without["tagging"] == pytest.approx(tagging)


def test_repaired_scores_are_given_beside_official_ones(tmp_path: Path):
    folders = one_file(tmp_path, "udpos", "en", "NOUN\nSCONJ\n", "NOUN\nCCONJ\n")
    report = score_folder(*folders, definitions.XTREME, partial=True).report()
    assert report["udpos"]["f1"]["en"] == pytest.approx(50)
    assert report["xlift"]["repaired"]["udpos"]["accuracy"]["en"] == 50
    assert "repaired" not in score_folder(*folders, definitions.XTREME, partial=True).report(repaired=False)["xlift"]


# --- one file ---------------------------------------------------------------------------------------------------------


def one_file(root: Path, task: str, code: str, gold: str | bytes, predicted: str | bytes) -> tuple[Path, Path]:
    suite = next(suite for suite in definitions.SUITES if task in languages(suite))
    for side, text in (("labels", gold), ("predictions", predicted)):
        path = root / side / suite.task(task).file_path(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root / "predictions", root / "labels"


def one(root: Path, task: str, code: str, gold: str | bytes, predicted: str | bytes) -> SuiteResult:
    suite = next(suite for suite in definitions.SUITES if task in languages(suite))
    return score_folder(*one_file(root, task, code, gold, predicted), suite, partial=True)


def squad(*answers: str, name: str = "q") -> dict[str, Any]:
    return {"id": name, "answers": [{"text": text} for text in answers]}


def squad_file(*questions: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": [{"qas": list(questions)}]}]})


def test_x_at_the_end_of_a_sentence_counts(tmp_path: Path):
    result = one(tmp_path, "udpos", "en", "NOUN\nX\n\nX\n", "NOUN\nX\n\nX\n")
    assert result.official.tasks["udpos"]["recall"] == {"en": 100}


def test_chunks_do_not_cross_sentences(tmp_path: Path):
    result = one(tmp_path, "panx", "en", "B-PER\n\nI-PER\n", "B-PER\n\nI-PER\n")
    assert result.official.tasks["panx"]["f1"] == {"en": 100}
    result = one(tmp_path, "udpos", "en", "NOUN\n\nNOUN\nNOUN\n", "NOUN\n\nVERB\nNOUN\n")
    assert result.official.tasks["udpos"]["precision"] == {"en": pytest.approx(100 / 3)}


def test_no_predictions_score_zero(tmp_path: Path):
    zero = {"f1": {"en": 0.0}, "precision": {"en": 0.0}, "recall": {"en": 0.0}}
    result = one(tmp_path, "panx", "en", "O\nO\n", "O\nO\n")
    assert zero.items() <= result.official.tasks["panx"].items()
    for gold, predicted in (("", ""), ("a\tb\n", ""), ("", "a\tb\n"), ("a\tb\n", "a\tc\n")):
        result = one(tmp_path, "bucc2018", "de", gold, predicted)
        assert result.official.tasks["bucc2018"]["f1"] == {"de": 0.0}


def test_duplicate_pairs_count_once(tmp_path: Path):
    result = one(tmp_path, "bucc2018", "de", "a\tb\nc\td\n", "a\tb\na\tb\n")
    assert result.official.tasks["bucc2018"]["precision"] == {"de": 100}
    assert any("1 duplicate line" in warning for warning in result.warnings)


def test_unanswered_question_scores_zero_with_a_warning(tmp_path: Path):
    labels = squad_file(squad("a1", name="q1"), squad("b2", name="q2"))
    result = one(tmp_path, "xquad", "de", labels, '{"q1": "a1", "q7": "x"}')
    assert result.official.tasks["xquad"]["exact_match"] == {"de": 50}
    assert result.report()["xlift"]["unanswered"] == {"xquad": {"de": 1}}
    assert any("1 id of 2 without a prediction, scored 0: q2" in warning for warning in result.warnings)
    assert any("1 id without a label, ignored: q7" in warning for warning in result.warnings)


def test_last_of_duplicate_predictions_and_every_duplicate_question_counts(tmp_path: Path):
    labels = squad_file(squad("one", name="q"), squad("two", name="q"))
    result = one(tmp_path, "tydiqa", "te", labels, '{"q": "one", "q": "two"}')
    assert result.official.tasks["tydiqa"]["exact_match"] == {"te": 50}
    assert any(
        "predictions" in warning and "1 repeated id, of which the last counts: q" in warning
        for warning in result.warnings
    )
    assert any(
        "labels" in warning and "1 repeated id, scored as often as it occurs: q" in warning
        for warning in result.warnings
    )


def test_entity_below_rank_20_scores_zero(tmp_path: Path):
    ranked = [f"Q{n}" for n in range(20)] + ["gold"]
    result = one(tmp_path, "mewslix", "ar", '{"m": ["gold"]}', json.dumps({"m": ranked}))
    assert result.official.tasks["mewslix"]["map@20"] == {"ar": 0}
    result = one(tmp_path, "mewslix", "ar", '{"m": ["gold"]}', json.dumps({"m": ranked[1:]}))
    assert result.official.tasks["mewslix"]["map@20"] == {"ar": 5}


def test_byte_order_mark_spoils_the_first_line_as_in_evaluate_py(tmp_path: Path):
    result = one(tmp_path, "xnli", "de", "neutral\nneutral\n", b"\xef\xbb\xbfneutral\r\nneutral\r\n")
    assert result.official.tasks["xnli"]["accuracy"] == {"de": 50}
    assert any("byte-order mark" in warning for warning in result.warnings)


def test_removed_labels_are_noticed(tmp_path: Path):
    result = one(tmp_path, "xnli", "de", "neutral\n" * 100, "entailment\n" * 100)
    assert any("a placeholder" in warning for warning in result.warnings)
    result = one(tmp_path, "xquad", "de", squad_file(squad("")), '{"q": "Rom"}')
    assert any("every gold answer is empty" in warning for warning in result.warnings)


# --- damaged ----------------------------------------------------------------------------------------------------------

GOOD = squad_file(squad("a"))
DAMAGED: dict[str, tuple[str, str | bytes, str | bytes, str]] = {
    # problem: (task, labels, predictions, message)
    "fewer lines": ("xnli", "a\nb\n", "a\n", "predictions/xnli/test-en.tsv: 1 line"),
    "an empty line more": ("xnli", "a\n", "a\n\n", "predictions/xnli/test-en.tsv: 2 lines"),
    "no lines": ("xnli", "", "", "labels/xnli/test-en.tsv: the file is empty"),
    "fewer sentences": ("udpos", "X\n\nX\n", "X\n", "predictions/udpos/test-en.tsv: 1 sentence"),
    "fewer words": ("panx", "O\nO\n\nO\nO\n", "O\nO\n\nO\n", "predictions/panx/test-en.tsv: sentence 2 has 1 tag"),
    "not UTF-8": ("xnli", "a\nb\n", b"a\n\xff\n", "predictions/xnli/test-en.tsv:2: not UTF-8"),
    "truncated": ("xquad", GOOD, '{"q": "a', "predictions/xquad/test-en.json:1: broken JSON"),
    "a mark before JSON": ("xquad", GOOD, b"\xef\xbb\xbf{}", "predictions/xquad/test-en.json:1: begins with a byte-order mark"),
    "a list": ("xquad", GOOD, "[]", "predictions/xquad/test-en.json: no JSON object"),
    "a number": ("mlqa", GOOD, '{"q": 1}', "predictions/mlqa/test-en.json: the answer to 'q' is not text"),
    "nested too deep": ("xquad", GOOD, "[" * 100_000, "predictions/xquad/test-en.json"),
    "no questions": ("xquad", '{"data": []}', "{}", "labels/xquad/test-en.json: there are no questions"),
    "no gold answer": ("xquad", squad_file(squad()), '{"q": ""}', "question 'q' has no gold answer"),
    "no paragraphs": ("xquad", '{"data": [{}]}', "{}", "labels/xquad/test-en.json:data[0]: no 'paragraphs' here"),
    "another layout": ("xquad", '{"q": "a"}', "{}", "labels/xquad/test-en.json: no list of articles"),
    "an id that is a number": ("xquad", squad_file(squad("a", name=7)), "{}", "data[0].paragraphs[0].qas[0]: no 'id' here"),  # type: ignore
    "no entity": ("mewslix", '{"m": []}', '{"m": []}', "labels/mewslix/test-en.json: 'm' has no gold entity"),
    "no ranking": ("mewslix", '{"m": ["Q"]}', '{"m": "Q"}', "predictions/mewslix/test-en.json: 'm' has no list of entities"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file_is_an_error_that_names_it(case: str, tmp_path: Path):
    task, gold, predicted, expected = DAMAGED[case]
    with pytest.raises(UserError) as refused:
        one(tmp_path, task, "en", gold, predicted)
    assert expected in str(refused.value)


def test_choice_without_a_label_is_an_error_with_its_line(tmp_path: Path):
    for line in ("", "1", "{}", '{"label"', "[]"):
        with pytest.raises(UserError, match=r"test-et\.jsonl:2: no JSON object with a 'label'"):
            one(tmp_path, "xcopa", "et", '{"label": 1}\n{"label": 0}\n', f'{{"label": 1}}\n{line}\n')


def test_missing_files_are_an_error_with_side_task_and_languages(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, definitions.XTREME, 9, tasks=("mlqa", "pawsx"))
    for path in (predictions / "mlqa/test-hi.json", predictions / "mlqa/test-vi.json", labels / "pawsx/test-ko.tsv"):
        path.unlink()
    with pytest.raises(UserError) as refused:
        score_folder(predictions, labels, definitions.XTREME)
    assert refused.value.what == "no labels of pawsx in ko\n  no predictions of mlqa in hi vi"
    result = score_folder(predictions, labels, definitions.XTREME, partial=True)
    assert result.partial == {"pawsx": ["ko"], "mlqa": ["hi", "vi"]}
    assert set(result.official.tasks["mlqa"]["f1"]) == {"en", "es", "de", "ar", "zh"}
    assert result.official.groups == {}


def mutated(rng: random.Random, text: bytes) -> bytes:
    """Drop, repeat, exchange or insert one to three bytes, or truncate."""
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


@pytest.mark.fuzz
@pytest.mark.parametrize("task", FILES)
def test_mutated_files_are_scored_or_named_in_an_error(task: str, tmp_path: Path):
    # Mutations of all kinds. Anything but a UserError or a percentage fails.
    rng = random.Random(task)
    suite = next(suite for suite in definitions.SUITES if task in languages(suite))
    paths = {
        side: tmp_path / f"{side}.{suite.task(task).file_path('x').rpartition('.')[2]}"
        for side in ("labels", "predictions")
    }
    places = []
    for _ in range(MUTATIONS // len(FILES) + 1):
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


def test_missing_folder_and_missing_tasks_are_errors(tmp_path: Path):
    with pytest.raises(UserError, match="no such folder"):
        score_folder(tmp_path / "gone", tmp_path, definitions.XTREME)
    (tmp_path / "xnli").mkdir()
    with pytest.raises(UserError, match="no task of xtreme-r is in both"):
        score_folder(tmp_path, tmp_path, definitions.XTREME_R, partial=True)


def test_ignored_files_are_reported(tmp_path: Path):
    predictions, labels = write_folders(tmp_path, definitions.XTREME, 10, tasks=("pawsx",))
    (predictions / "xcopa").mkdir()
    (predictions / "pawsx" / "test-ar.tsv").write_text("0\n")
    warnings = score_folder(predictions, labels, definitions.XTREME).warnings
    assert any(warning.endswith("xcopa: no task of xtreme, ignored") for warning in warnings)
    assert any(warning.endswith("pawsx: ignored: test-ar.tsv") for warning in warnings)


def test_unknown_suite_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'xtreme-r'"):
        definitions.get("xtremer")
