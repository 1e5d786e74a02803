"""The report of a study, made from its store alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.fakes import STUDY, custom_task_study, finished_study, study_file
from tests.support.model_folders import family_folder

from xlift.errors import UserError
from xlift.report.page import render_page
from xlift.report.study import Report, make_report
from xlift.studies.job import Job
from xlift.studies.record import read_record


def report(folder: Path, text: str = STUDY, leave_out: int = 0) -> Report:
    _, store = finished_study(study_file(folder, text), folder / "store", leave_out)
    return make_report(read_record(store, "study"), store)


def test_a_row_for_every_pipeline_target_and_language(tmp_path: Path):
    made = report(tmp_path)
    found = {(row.intermediate, row.language) for row in made.rows if row.target == "isle-nli"}
    assert len(found) == 2 * (10 + 2)  # the means 'all' and 'zero-shot'
    assert {row.n for row in made.rows if not row.is_mean} == {20}
    assert all((row.lift is None) == (row.intermediate == "none") for row in made.rows)
    assert made.info.warnings == []


def test_method_describes_the_study(tmp_path: Path):
    text = STUDY + "  - {task: isle-retrieval, size: 20, split: dev}\nseeds: [1, 2]\ntraining: {lr: 0.001, epochs: 2}\n"
    method = report(tmp_path, text).info.method
    assert "model was fine-tuned on an intermediate stage (1 of them; the baseline has none)" in method
    assert "trained on 50 examples of isle-nli in qta only and scored in 10 languages." in method
    assert "scored in 9 languages on the dev split, with the checkpoint of the intermediate stage" in method
    assert "with 2 seeds" in method
    assert method.count("Each stage was trained with") == 1
    recipe = (
        "AdamW (beta2 0.999, weight decay 0.01), gradients clipped at norm 1, peak learning rate 0.001, linear decay to zero "
        "after warm-up over 10% of the steps, batches of 32, 2 epochs, at most 128 tokens a sequence, and bfloat16"
    )
    assert recipe in method
    assert "Heads were initialized anew for every stage." in method


def test_method_names_decoders_whose_heads_read_the_mean(tmp_path: Path):
    sentence = (
        "Where one state stands for a whole text, the heads of decoder read the mean of the states of all tokens."
    )
    for pooling, is_named in (("last", False), ("mean", True)):
        family_folder(tmp_path / pooling / "decoder", "decoder")
        entry = f"{{model: decoder, mode: head, classifier_pooling: {pooling}}}"
        method = report(tmp_path / pooling, STUDY.replace("models: [model]", f"models: [{entry}]")).info.method
        assert (sentence in method) == is_named


def test_method_has_each_distinct_recipe_once_with_its_stages(tmp_path: Path):
    other = "training: {optimizer: adafactor, lr_scheduler_type: constant, warmup_steps: 0, max_steps: 70, max_length: 64, precision: fp32}"
    text = STUDY.replace("size: 100}", f"size: 100, {other}}}") + "seeds: [1, 2]\n"
    method = report(tmp_path, text).info.method
    nli, qa = (method.split(f"Stages on {task} were trained with ") for task in ("isle-nli", "isle-qa"))
    assert len(nli) == len(qa) == 2
    assert nli[1].startswith("AdamW")
    assert "peak learning rate 2e-05" in nli[1].split(". ")[0]
    assert "3 epochs" in nli[1].split(". ")[0]
    adafactor = qa[1].split(". ")[0]
    assert adafactor.startswith("Adafactor")
    assert (
        "a constant rate without warm-up, batches of 32, 70 steps, at most 64 tokens a sequence, and float32" in qa[1]
    )


def test_method_names_the_training_task(tmp_path: Path):
    text = (
        custom_task_study(tmp_path)
        .replace("train: {}", "train: {task: other}")
        .replace("tasks:\n", "tasks:\n  - OTHER\n")
    )
    other = "{name: other, format: classification, files: {train: {en: train.en.csv}}, labels: [billing, other]}"
    assert "trained on the examples of other in en only" in report(tmp_path, text.replace("OTHER", other)).info.method


def test_method_names_all_training_languages_of_a_target(tmp_path: Path):
    text = STUDY.replace("train: {size: 50}", "train: {size: 50, language: [qta, qtu]}")
    method = report(tmp_path, text).info.method
    assert "trained on 50 examples of isle-nli in each of qta, qtu only and scored in 10 languages." in method


def test_method_describes_prompting_without_training(tmp_path: Path):
    family_folder(tmp_path / "decoder", "decoder")
    target = "  - {task: isle-nli, name: prompted, train: false, size: 9, prompt: {num_fewshot: 4}}\n"
    method = report(tmp_path, STUDY.replace("[model]", "[decoder]") + target).info.method
    assert "was prompted with 4 few-shot examples, without training on it, and scored in 10 languages." in method


def test_method_without_intermediates(tmp_path: Path):
    assert "on each target, without an intermediate stage" in report(tmp_path, custom_task_study(tmp_path)).info.method


def test_a_missing_baseline_is_a_warning(tmp_path: Path):
    made = report(tmp_path, STUDY.replace("  - none\n", ""))
    assert any("no lifts" in warning for warning in made.info.warnings)
    assert "without a baseline" in made.info.method


def test_missing_predictions_are_a_warning(tmp_path: Path):
    made = report(tmp_path, leave_out=3)
    assert made.info.warnings == ["3 of 20 predictions are missing: the study is not finished."]
    assert made.rows


def test_page_without_results(tmp_path: Path):
    made = report(tmp_path, leave_out=23)
    assert made.rows == []
    assert "There are no results yet" in render_page(made.rows, made.info)


def test_jobs_are_counted_from_the_manifests(tmp_path: Path):
    made = report(tmp_path)
    assert made.info.runs["jobs"] == "23 (20 predict, 3 train)"
    assert made.info.made


def test_unlisted_language_is_reported(tmp_path: Path):
    made = report(tmp_path, custom_task_study(tmp_path))
    assert {row.language for row in made.rows} >= {"de", "cv"}
    assert "cv" in render_page(made.rows, made.info)


def test_rows_have_the_training_status(tmp_path: Path):
    def numbers(job: Job) -> dict[str, Any]:
        # the intermediate stage collapsed for good; the baseline's target only at first
        found = {"train isle-qa": (3, True), "train isle-nli/qta/50 (from model,": (2, False)}
        return next(
            ({"attempts": n, "collapsed": bad} for start, (n, bad) in found.items() if job.label.startswith(start)), {}
        )

    _, store = finished_study(study_file(tmp_path), tmp_path / "store", numbers=numbers)
    made = make_report(read_record(store, "study"), store)
    assert {(row.intermediate, row.training_status) for row in made.rows} == {
        ("none", "retried"),
        ("isle-qa", "collapsed"),
    }
    retried, collapsed = made.info.warnings
    assert retried.startswith(
        "1 of 3 training runs collapsed to chance or diverged, then succeeded with a lower learning rate"
    )
    assert collapsed.startswith("1 of 3 training runs ended at chance at every learning rate")


def test_rows_have_their_steps_and_the_mark_of_the_same_task(tmp_path: Path):
    def numbers(job: Job) -> dict[str, Any]:
        return {"steps": 7 if job.label.startswith("train isle-paraphrase") else 3} if job.kind == "train" else {}

    text = (
        STUDY.replace("isle-qa", "isle-paraphrase")
        + "  - {task: isle-paraphrase, train: {size: 20}, size: 20}\n  - {task: isle-retrieval, size: 20}\n"
    )
    _, store = finished_study(study_file(tmp_path, text), tmp_path / "store", numbers=numbers)
    made = make_report(read_record(store, "study"), store)
    means = {(row.intermediate, row.target): row for row in made.rows if row.language == "all"}
    steps = {"isle-nli": (3, 10), "isle-paraphrase": (7, 14), "isle-retrieval": (0, 7)}
    assert {name: tuple(means[row, name].steps for row in ("none", "isle-paraphrase")) for name in steps} == steps
    assert [name for name, row in means.items() if row.same_task] == [
        ("isle-paraphrase", "isle-paraphrase"),
        ("isle-paraphrase", "all"),
    ]
    assert {target for _, target in means} == {*steps, "all", "other-tasks"}
    assert "Unequal training steps (mean over the targets): 3 for none; 10 for isle-paraphrase." in render_page(
        made.rows, made.info
    )


def test_method_describes_checkpoint_selection(tmp_path: Path):
    text = STUDY + "training: {early_stopping: {eval_steps: 5}}\n"
    assert (
        "used the checkpoint with the best score on dev data of their training languages"
        in report(tmp_path, text).info.method
    )


def test_equal_stores_make_equal_pages(tmp_path: Path):
    _, store = finished_study(study_file(tmp_path), tmp_path / "store")
    record = read_record(store, "study")
    one, other = make_report(record, store), make_report(record, store)
    assert render_page(one.rows, one.info) == render_page(other.rows, other.info)


def test_a_damaged_prediction_is_refused(tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "store")
    path = store.path(plan.cells[0].key) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        make_report(read_record(store, "study"), store)


def test_shortened_prompts_are_a_warning(tmp_path: Path):
    family_folder(tmp_path / "decoder", "decoder")
    text = STUDY.replace("[model]", "[decoder]").replace("size: 20}", "size: 20, languages: [qta, qtu]}")
    found = {"train isle-qa": (100, 7), "train isle-nli": (50, 0), "predict isle-nli/qta": (20, 4), "predict": (20, 0)}

    def numbers(job: Job) -> dict[str, Any]:
        return next(
            ({"rows": n, "truncated_rows": k} for start, (n, k) in found.items() if job.label.startswith(start)), {}
        )

    _, store = finished_study(study_file(tmp_path, text), tmp_path / "store", numbers=numbers)
    (warning,) = make_report(read_record(store, "study"), store).info.warnings
    assert warning.startswith("prompts were longer than their `max_length`")
    # predictions of two pipelines in two languages; the target's training lost nothing
    assert ": 8 of 80 in predictions of isle-nli, 7 of 100 in training on isle-qa. Set a larger " in warning
    assert "training: {max_length: N}" in warning
