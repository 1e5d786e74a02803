"""Studies that hold rows out of training files: what is planned and said, for custom tasks and tasks of the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fakes import custom_task_study, finished_study, plan_of, study_file

from xlift.errors import UserError
from xlift.studies.job import PredictSpec, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.record import read_record

MNLI = Path(__file__).parents[1] / "tasks/samples/mnli/native"
CATALOGUE = "models: [model]\ntargets: [{task: mnli}]\ntasks:\n  - {name: mnli, holdout: 2}\n"


def study(folder: Path, rows: int = 60, holdout: str = "holdout: 0.1") -> Path:
    return study_file(folder, custom_task_study(folder, rows=rows) + f"    {holdout}\n")


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        plan_of(path)
    return str(error.value).replace(f"{path.parent}/", "")


def data_of(plan: Plan) -> dict[str, tuple[str, int]]:
    """'kind language split' -> fingerprint and number of examples of each job's data."""
    found = {}
    for job in plan.jobs.values():
        spec = job.spec
        data = spec.mixture[0] if isinstance(spec, TrainSpec) else spec.data if isinstance(spec, PredictSpec) else None
        if data is not None:
            found[f"{job.kind} {data.language} {data.split}"] = (data.fingerprint, job.examples)
    return found


def test_the_source_language_is_scored_on_held_out_rows(tmp_path: Path):
    plan = plan_of(study(tmp_path))
    assert [(cell.language, cell.train_language) for cell in plan.cells] == [("de", "en"), ("cv", "en"), ("en", "en")]
    sizes = {name: size for name, (_, size) in data_of(plan).items()}
    # Training has 3 passes over the 54 rows that are left.
    assert sizes == {"train en train": 3 * 54, "predict de test": 60, "predict cv test": 60, "predict en test": 6}
    assert "tickets en test: 6 of 60 training rows held out, stratified by label." in plan.warnings


def test_held_out_dev_rows_are_the_dev_data_of_the_stage(tmp_path: Path):
    plan = plan_of(study(tmp_path, holdout="holdout: {test: 0.1, dev: 10}"))
    (spec,) = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]
    assert [(data.language, data.split) for data in spec.dev] == [("en", "dev")]
    assert "tickets en dev: 10 of 60 training rows held out, stratified by label." in plan.warnings


def test_only_what_is_divided_has_other_keys(tmp_path: Path):
    whole = data_of(plan_of(study_file(tmp_path, custom_task_study(tmp_path, rows=60))))
    held = data_of(plan_of(study(tmp_path)))
    assert held["predict de test"] == whole["predict de test"]
    assert held["train en train"][0] != whole["train en train"][0]


def test_more_training_rows_than_are_left_are_refused(tmp_path: Path):
    path = study(tmp_path)
    path.write_text(path.read_text().replace("train: {}", "train: {size: 55}"))
    assert "size 55 is larger than the data: tickets/en train has 54 examples" in refused(path)


def test_a_task_of_the_catalogue_holds_rows_out_everywhere_in_the_study(tmp_path: Path):
    text = CATALOGUE + "intermediate: [none, {task: mnli}]\n"
    plan = plan_of(study_file(tmp_path, text), data=MNLI)
    rows = len((MNLI / "multinli_1.0/multinli_1.0_train.jsonl").read_text().splitlines())
    skipped = sum('"gold_label": "-"' in line for line in (MNLI / "multinli_1.0/multinli_1.0_train.jsonl").open())
    trained = {job.spec.mixture[0].fingerprint for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)}
    assert len(trained) == 1
    assert [(cell.language, cell.train_language) for cell in plan.cells] == [("en", "en")] * 2
    assert data_of(plan)["predict en test"][1] == 2
    assert any(f"mnli en test: 2 of {rows - skipped} training rows held out" in warning for warning in plan.warnings)


def test_the_record_names_what_is_held_out(tmp_path: Path):
    _, store = finished_study(study(tmp_path, holdout="holdout: {test: 0.1, dev: 10}"), tmp_path / "s")
    record = read_record(store, "study")
    assert record.tasks["tickets"].held_out == ("test in en: 10%", "dev in en: 10 rows")
    written = json.loads((tmp_path / "s/studies/study.json").read_text())
    assert written["study"]["tasks"][0]["holdout"] == {"test": 0.1, "dev": 10}


@pytest.mark.parametrize(
    ("old", "new", "begins"),
    [
        ("holdout: 2", "holdout: 1.5", "study.yaml:4: tasks.0.holdout: `test` is 1.5, neither a share nor a number"),
        ("holdout: 2", "holdout: {tset: 2}", "study.yaml:4: tasks.0.holdout: unknown key 'tset'"),
        ("holdout: 2", "holdout: {dev: 2}", "study.yaml:4: tasks.0.holdout: `dev` has no effect"),
        ("name: mnli", "name: mnlí", "study.yaml:4: tasks.0.name: 'mnlí' cannot name a task"),
        (
            "{task: mnli}]\ntasks:\n  - {name: mnli",
            "{task: xnli}]\ntasks:\n  - {name: xnli",
            "study.yaml:4: tasks.0.holdout: there are no training files to hold rows out of",
        ),
        ("holdout: 2", "holdout: 2, title: x", "study.yaml:4: tasks.0.title: `title` is for a custom task"),
        ("  - {name", "  - {name: mnli, holdout: 3}\n  - {name", "study.yaml:5: tasks.1.name: 'mnli' is listed twice"),
        ("name: mnli", "name: tickets", "study.yaml:4: tasks.0: missing key 'format'"),
    ],
)
def test_errors_name_their_place(tmp_path: Path, old: str, new: str, begins: str):
    path = study_file(tmp_path, CATALOGUE.replace(old, new))
    with pytest.raises(UserError) as error:
        plan_of(path, data=MNLI)
    message = str(error.value).replace(f"{tmp_path}/", "")
    assert message.startswith(begins)


def test_the_errors_of_a_divided_file_are_named_once(tmp_path: Path):
    path = study(tmp_path, holdout="holdout: {test: 0.1, dev: 0.1}")
    with (tmp_path / "train.en.csv").open("a") as file:
        file.write("too,many,cells\n" + "a text,blling\n" * 9)
    message = refused(path)
    assert message.count("train.en.csv:62: ") == 1
    assert message.count("unknown label 'blling'") == 3  # once for each side that has such rows


def test_the_plan_counts_the_labels_of_each_side(tmp_path: Path):
    summaries = plan_of(study(tmp_path)).summaries
    counts = {(split.split, split.language): dict(split.counts) for split in summaries[0].splits}
    assert counts["train", "en"] == {"billing": 27, "other": 27}
    assert counts["test", "en"] == {"billing": 3, "other": 3}
