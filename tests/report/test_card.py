"""The card of an exported model: it is valid, its code runs, and its scores are those of the report."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from tests.support.command import Xlift
from tests.support.trained_studies import TRAIN, TRANSFORMERS_CLASSES, run_small_study, run_study_of_all_heads

from xlift.analysis.contamination_report import (
    ContaminationReport,
    DataSplit,
    Finding,
    digest_jobs,
    write_contamination_report,
)
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.tasks import catalog


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Store]:
    return run_study_of_all_heads(tmp_path_factory.mktemp("every"))


def run_snippet(folder: Path, scope: dict[str, Any], *change: str) -> None:
    """Run the Python code of a card."""
    text = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    text = text.replace('"path/to/this/folder"', repr(str(folder)))
    if change:
        assert change[0] in text
        text = text.replace(*change)
    exec(compile(text, "README.md", "exec"), scope)


@pytest.mark.parametrize("task", TRANSFORMERS_CLASSES)
def test_card_is_valid_and_its_code_runs(
    xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path, task: str, capsys: Any
):
    assert xlift("export", "study", "m", "--store", every[0] / "s", "--target", task).code == 0
    card = ModelCard.load(tmp_path / "m/README.md")
    assert card.data.library_name == "transformers"
    assert card.data.language == ["qta", "qtu"]
    results = card.data.eval_results
    assert {result.dataset_config for result in results} == {"qta", "qtu"}
    assert {result.metric_type for result in results} == set(catalog.get(task).metrics)
    run_snippet(tmp_path / "m", {})
    printed = capsys.readouterr().out
    assert printed.strip() or (printed and "unanswerable" in task)  # the empty answer is valid there


def test_scores_equal_those_of_the_report(xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path):
    folder, _, _ = every
    assert xlift("export", "study", "m", "--store", folder / "s", "--target", "isle-pos").code == 0
    rows = json.loads(xlift("report", "study", "--store", folder / "s", "--json", "--metrics").out)
    text = (tmp_path / "m/README.md").read_text()
    for row in (row for row in rows if row["target"] == "isle-pos" and row["language"] != "all"):
        assert f"{100 * row['value']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})" in text
    assert "| zero-shot |" in text
    assert "| trained on |" in text


def test_known_faults_of_the_data_are_limits(xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path):
    shutil.copytree(every[0] / "s", tmp_path / "s")
    path = tmp_path / "s" / "studies" / "study.json"
    record = json.loads(path.read_text())
    record["tasks"]["isle-pos"]["faults"] = ["isle-pos test: the tag is odd in 2 rows of qta"]
    path.write_text(json.dumps(record))
    for target, expected in (("isle-pos", 1), ("isle-nli", 0)):
        assert xlift("export", "study", target, "--store", "s", "--target", target).code == 0
        text = (tmp_path / target / "README.md").read_text()
        assert text.count("- Known fault of isle-pos test: the tag is odd in 2 rows of qta") == expected


def test_card_has_scores_with_noise(xlift: Xlift, tmp_path: Path):
    run_small_study(tmp_path, intermediate=["none"], seeds=[1], targets=[
        {"task": "isle-nli", **TRAIN, "noise": [{"kind": "case", "level": 0.5}]}
    ])  # fmt: skip
    assert xlift("export", "study", "m", "--store", "s").code == 0
    text = (tmp_path / "m/README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| case 50%")]
    assert len(rows) == 3  # two languages and their mean
    assert "misspelt" not in text
    front = yaml.safe_load(text.split("---\n")[1])
    assert len(front["model-index"][0]["results"]) == 2  # of texts as they are


def test_contamination_of_other_models_is_left_out(xlift: Xlift, tmp_path: Path):
    plan, store = run_small_study(tmp_path, intermediate=["none"], seeds=[1], targets=[
        {"task": "isle-nli", **TRAIN, "size": 6}, {"task": "isle-pos", **TRAIN, "size": 6}
    ])  # fmt: skip
    sides = [DataSplit("isle-pos", "qta", split) for split in ("train", "test")]
    finding = Finding("target", *sides, 12, 1, 1, 0)
    digest = digest_jobs(plan.jobs)
    write_contamination_report(ContaminationReport(digest, digest, 2, 48, 4, 24, (finding,), ()), store, "study")
    for target in ("isle-nli", "isle-pos"):
        assert xlift("export", "study", target, "--store", "s", "--target", target).code == 0
        (line,) = [
            line for line in (tmp_path / target / "README.md").read_text().splitlines() if "Contamination:" in line
        ]
        assert ("isle-pos qta train and isle-pos qta test" in line) == (target == "isle-pos")
        assert ("the training sets of this model share no texts" in line) == (target == "isle-nli")


def test_user_texts_are_escaped(xlift: Xlift, tmp_path: Path):
    for name, word in (("train", "hello"), ("test", "hallo")):
        (tmp_path / f"{name}.csv").write_text(
            "text,label\n" + "".join(f"{word} {n},{'ab'[n % 2]}\n" for n in range(12))
        )
    title = "A | [title](x) `code` <script>alert(1)</script>\n# heading --- *"
    task = {
        "name": "tickets", "title": title, "format": "classification", "labels": ["a", "b"], "licence": "mine | : {x}",
        "files": {"train": {"en": "train.csv"}, "test": {"de": "test.csv"}},
    }  # fmt: skip
    run_small_study(
        tmp_path, intermediate=["none"], seeds=[1], tasks=[task], targets=[{"task": "tickets", "train": {}}]
    )
    assert xlift("export", "study", "m", "--store", "s").code == 0
    text = (tmp_path / "m/README.md").read_text()
    front, body = text.split("---\n")[1], text.split("---\n", 2)[2]
    header = yaml.safe_load(front)
    assert header["license"] == "other"
    assert header["model-index"][0]["results"][0]["task"]["name"] == title
    assert "<script>" not in body
    assert "\n# heading" not in body
    row = next(line for line in body.splitlines() if line.startswith("| tickets |"))
    assert row.replace("\\|", "").count("|") == 5


def test_dual_encoder_loads_in_sentence_transformers(xlift: Xlift, tmp_path: Path):
    library = pytest.importorskip("sentence_transformers", reason="xlift[bench] is not installed")
    run_small_study(tmp_path, intermediate=["none"], seeds=[1], targets=[
        {"task": "isle-answer-pairs", "train": {"size": 24}, "languages": ["qtu"], "size": 6}
    ])  # fmt: skip
    assert xlift("export", "study", "m", "--store", "s").code == 0
    texts = ["the old man reads", "Paris in the north"]
    vectors = library.SentenceTransformer(str(tmp_path / "m"), device="cpu").encode(texts)
    scope: dict[str, Any] = {}
    run_snippet(tmp_path / "m", scope, '["A text.", "Another one."]', repr(texts))
    torch.testing.assert_close(torch.from_numpy(vectors), scope["vectors"], atol=1e-5, rtol=0)


def test_export_command_of_the_card_finds_the_same_pipeline(xlift: Xlift, tmp_path: Path):
    run_small_study(tmp_path, seeds=[1], intermediate=["none", {"name": "tags first", "task": "isle-pos", "size": 24}],
         targets=[{"task": "isle-nli", **TRAIN, "size": 6}])  # fmt: skip
    assert xlift("export", "study", "m", "--store", "s", "--intermediate", "tags first").code == 0
    (line,) = [line for line in (tmp_path / "m/README.md").read_text().splitlines() if line.startswith("- `xlift ")]
    program, *words = shlex.split(line.strip("- `").replace("DIR", "again"))
    assert program == "xlift"
    answer = xlift(*words, "--store", "s")  # a name with a blank is quoted
    assert answer.code == 0, answer.err
    assert "intermediate tags first" in answer.out


def test_only_the_shipped_model_has_the_licence_of_xlift(xlift: Xlift, tmp_path: Path):
    # Another model under its name, trained on tasks that are all Apache-2.0; and one whose name is not known.
    plan, _ = run_small_study(tmp_path, intermediate=["none"], seeds=[1], models=[{"name": "isles", "model": "model"}],
                   targets=[{"task": "isle-nli", **TRAIN, "size": 6}])  # fmt: skip
    (trained,) = (key for key, job in plan.jobs.items() if job.kind == "train")
    assert xlift("export", "study", "named", "--store", "s").code == 0
    (tmp_path / "s/studies/study.json").unlink()
    assert xlift("export", trained, "by-key", "--store", "s", "--base", "model").code == 0
    for folder in ("named", "by-key"):
        text = (tmp_path / folder / "README.md").read_text()
        assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"
        assert "as part of xlift" not in text


def test_question_answering_code_gives_the_answers_of_predict(
    xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert xlift("export", "study", "m", "--store", every[0] / "s", "--target", "isle-qa-unanswerable").code == 0
    questions = [
        ("who?", "the old man reads"),
        ("what?", "Paris in the north"),
        ("tit lotve?", "Noka lotve ter vilri."),
    ]
    rows = [{"question": question, "context": context} for question, context in questions]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [line.split("\t")[-2] for line in xlift("predict", "m", "q.jsonl").out.splitlines()[1:]]
    for (question, context), answer in zip(questions, answers, strict=True):
        run_snippet(tmp_path / "m", {}, '"Who?", "A text that holds the answer."', f"{question!r}, {context!r}")
        assert capsys.readouterr().out == f"{answer}\n"
    for bias in (-50, 50):  # at the first token, whose scores say that there is no answer
        shifted = f"output = model(**given)\n    output.start_logits[0, 0] += {bias}"
        run_snippet(tmp_path / "m", {}, "output = model(**given)", shifted)
        assert (not capsys.readouterr().out.strip()) == (bias > 0)
