"""XTREME's mock submission, and the order of Tatoeba's lines, on the published files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.suites import oracle

from xlift.suites import definitions
from xlift.suites.folder_scoring import score_folder
from xlift.suites.leaderboard_files import read_lines
from xlift.suites.submission import TaskPredictions, render_file
from xlift.tasks import catalog

DATA = Path(__file__).parents[3] / "shared" / "data"
MOCK = DATA / "xtreme-submission"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")


@pytest.mark.parametrize("suite", definitions.SUITES, ids=lambda suite: suite.name)
def test_the_mock_submission_scores_as_the_benchmark(suite: definitions.Suite):
    result = score_folder(MOCK / "predictions", MOCK / "labels", suite, partial=True)
    assert set(result.files) == {"xnli", "udpos", "xquad", "tatoeba"}
    for name, scores in result.files.items():
        task = suite.task(name)
        for code, score in scores.items():
            expected = oracle.file_scores(
                name, code, *(MOCK / side / task.file_path(code) for side in ("predictions", "labels"))
            )
            assert dict(score.official) == pytest.approx(
                {metric: float(100 * value) for metric, value in expected.items()}, abs=1e-9
            )
    assert result.warnings == []


def test_scores_of_the_mock_submission():
    # Counted by hand in the files, except parts of speech (seqeval 0.0.12).
    report = score_folder(MOCK / "predictions", MOCK / "labels", definitions.XTREME, partial=True).report()
    assert report["xnli"]["accuracy"] == {"de": 20, "en": 30, "zh": 10}
    assert report["tatoeba"]["accuracy"] == {"de": 70, "fr": 80, "zh": 60}
    assert report["xquad"]["exact_match"] == {"en": 100, "de": 100, "zh": 0}
    assert report["xquad"]["f1"] == {"en": 100, "de": 100, "zh": 25}
    assert report["udpos"]["f1"] == pytest.approx({"de": 3200 / 39, "en": 100, "zh": 550 / 9})
    # With Chinese segmentation: "308分" is half as long again as "308", "136 次擒杀" twice as long as "136 次".
    assert report["xlift"]["repaired"]["xquad"]["f1"]["zh"] == pytest.approx((200 / 3 + 200 / 3) / 2)


def test_tatoeba_lines_are_in_the_order_of_xtreme():
    # Recreated as in XTREME's preprocessing: line k is the k-th sorted English sentence, and gold is its position.
    task = catalog.get("tatoeba")
    examples = list(task.source.read(task, "de", "test", DATA))
    english = read_lines(DATA / "tatoeba" / "tatoeba.deu-eng.eng").lines
    gold = [str(place) for _, place in sorted(zip(english, range(len(english)), strict=True), key=lambda pair: pair[0])]
    ids = [example.id for example in examples]
    text = render_file(
        definitions.XTREME.task("tatoeba"), "de", TaskPredictions(ids, ids, 1000, [e.translation for e in examples])
    )
    assert text.split() == gold


@pytest.mark.slow
def test_gold_answers_of_xquad_score_100_in_every_language(tmp_path: Path):
    codes = ("en", "es", "de", "ar", "th", "zh")
    for code in codes:
        data = (DATA / "xquad" / f"xquad.{code}.json").read_text("utf-8")
        answers = {
            qa["id"]: qa["answers"][0]["text"]
            for article in json.loads(data)["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]
        }  # fmt: skip
        for side, text in (("labels", data), ("predictions", json.dumps(answers))):
            path = tmp_path / side / "xquad" / f"test-{code}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    result = score_folder(tmp_path / "predictions", tmp_path / "labels", definitions.XTREME, partial=True)
    assert {code: score.rows for code, score in result.files["xquad"].items()} == dict.fromkeys(codes, 1190)
    assert result.official.tasks["xquad"]["avg_metric"] == 100
    assert result.repaired.tasks["xquad"]["avg_metric"] == 100
