"""The command line: output, exit codes and speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.command import Answer, Xlift
from tests.support.fakes import STUDY, custom_task_study, finished_study, study_file

from xlift import cli
from xlift.execution.scheduler import Outcome
from xlift.studies.job import PretrainSpec
from xlift.studies.plan import Plan
from xlift.studies.record import list_studies, read_record
from xlift.studies.store import Store

HEAVY = ("torch", "transformers", "sklearn", "pandas", "scipy", "pyarrow", "altair", "duckdb")
ROW = (
    "study model intermediate intermediate_language size seeds target language metric value low high lift lift_low "
    "lift_high n training_status train_language control control_of lift_minus_control lift_minus_control_low "
    "lift_minus_control_high lift_p in_best_set is_unstable pooled_pipelines pooled_freedom borrowed_from "
    "same_task baseline_status steps chance majority"
).split()


def process(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process, as a user does."""
    path = str(Path(cli.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "xlift", *map(str, words)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


# --- quick ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["[]", "['--help']", "['run', '--help']"])
def test_help_imports_no_slow_package(words: str):
    code = f"""
import sys
import xlift.cli
sys.argv = ["xlift", *{words}]
try:
    xlift.cli.main()
except SystemExit:
    pass
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_plan_does_not_import_torch(tmp_path: Path):
    study_file(tmp_path)
    code = """
import sys
from xlift.cli import main
sys.argv = ["xlift", "plan", "study.yaml"]
try:
    main()
except SystemExit as end:
    print("code", end.code)
print("heavy:", [name for name in ("torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-2:] == ["code 0", "heavy: []"]


def test_version(xlift: Xlift):
    from xlift import __version__

    assert xlift("--version") == Answer(0, f"xlift {__version__}\n", "")


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = {
    # mistake: (text of the study, its location, the message)
    "unknown key": (STUDY + "trainig: {lr: 0.1}\n", "study.yaml:7: trainig: ", "did you mean 'training'?"),
    "misspelt task": (
        STUDY.replace("isle-nli", "isle-nil"),
        "study.yaml:6: targets.0.task: ",
        "did you mean 'isle-nli'?",
    ),
    "language": (STUDY.replace("size: 20", "languages: sw"), "study.yaml:6: targets.0.languages: ", "It has: qta, qtm"),
    "YAML": (STUDY + "seeds: [1\n", "study.yaml:7: ", "not valid YAML"),
    "lr: fast": (STUDY + "training: {lr: fast}\n", "study.yaml:7: training.lr: ", "expected a number, found 'fast'"),
    "seeds": (STUDY + "seeds: [1, 1]\n", "study.yaml:7: seeds: ", "1 is listed twice"),
    "not UTF-8": (STUDY.encode() + b"title: \xff\n", "study.yaml:7: ", "not UTF-8"),
    "no such model": (STUDY.replace("[model]", "[./gone]"), "study.yaml:1: models.0: ", "no model folder"),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_in_a_study_prints_one_message(xlift: Xlift, tmp_path: Path, command: str, case: str):
    text, where, said = MISTAKES[case]
    path = study_file(tmp_path)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    answer = xlift(command, "study.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"xlift: {where}")
    assert said in answer.err
    assert len(answer.err.splitlines()) == 2
    assert not (tmp_path / "xlift-store").exists()  # nothing starts


BROKEN_DATA = {
    "a corrupt row": ("train.en.csv", "text,label\na,other\nb\n", "train.en.csv:3: "),
    "an unknown label": ("test.de.csv", "text,label\na,other\nb,othr\n", "test.de.csv:3: "),
    "an empty file": ("test.de.csv", "", "test.de.csv: the file is empty"),
    "more than there is": (
        "train.en.csv",
        "text,label\na,other\n",
        "study.yaml:3: targets.0.train.size: size 5 is larger than",
    ),
}


@pytest.mark.parametrize("case", BROKEN_DATA)
def test_mistake_in_the_data_is_found_before_any_job(xlift: Xlift, tmp_path: Path, case: str):
    name, content, begins = BROKEN_DATA[case]
    study_file(tmp_path, custom_task_study(tmp_path).replace("train: {}", "train: {size: 5}"))
    (tmp_path / name).write_text(content, encoding="utf-8")
    answer = xlift("run", "study.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"xlift: {begins}")
    assert "Traceback" not in answer.err


def test_process_with_a_mistake_exits_with_2_without_traceback(tmp_path: Path):
    study_file(tmp_path, STUDY + "training: {lr: fast}\n")
    done = process("run", "study.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    message, fix = done.stderr.splitlines()
    assert message == "xlift: study.yaml:7: training.lr: expected a number, found 'fast'"
    assert fix.startswith("  ")


def test_unknown_study(xlift: Xlift):
    answer = xlift("plan", "quickstrat")
    assert answer.code == 2
    assert "did you mean 'quickstart'?" in answer.err


def test_set_with_an_unknown_key(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path)
    answer = xlift("plan", "study.yaml", "--set", "trainig.lr=1")
    assert answer.code == 2
    assert answer.err.startswith("xlift: --set trainig.lr=1: unknown key 'trainig'")


def test_hub_model_without_network(tmp_path: Path):
    study_file(tmp_path, STUDY.replace("[model]", "[org/model]"))
    started = time.monotonic()
    done = process("plan", "study.yaml", cwd=tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"))
    assert done.returncode == 2
    assert done.stderr.startswith("xlift: study.yaml:1: models.0: cannot find the model 'org/model'")
    assert time.monotonic() - started < 10


def test_terminal_without_unicode(tmp_path: Path):
    study_file(tmp_path)
    assert process("plan", "study.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii").returncode == 0


# --- plan -------------------------------------------------------------------------------------------------------------


def test_plan_shows_done_and_remaining_jobs(xlift: Xlift, tmp_path: Path):
    path = study_file(tmp_path)
    fresh = xlift("plan", "study.yaml")
    assert fresh.code == 0
    assert "0 done, 23 left: " in fresh.out
    assert not (tmp_path / "xlift-store").exists()  # plan writes nothing
    finished_study(path, tmp_path / "xlift-store", leave_out=4)
    assert "19 done, 4 left: " in xlift("plan", "study.yaml").out
    finished_store = tmp_path / "other"
    finished_study(path, finished_store)
    assert "All jobs are done." in xlift("plan", "study.yaml", "--store", finished_store).out


def test_plan_as_json_lists_every_job(xlift: Xlift, tmp_path: Path):
    plan, _ = finished_study(study_file(tmp_path), tmp_path / "s", leave_out=1)
    jobs = json.loads(xlift("plan", "study.yaml", "--store", "s", "--json").out)["jobs"]
    assert [job["key"] for job in jobs] == list(plan.jobs)
    assert [job["done"] for job in jobs] == [True] * (len(jobs) - 1) + [False]
    assert set(jobs[0]) == {
        "key", "kind", "label", "parents", "done", "estimated_seconds", "estimated_memory_bytes", "tokens_trained",
        "tokens_read", "operations", "fits", "provisional", "recipe",
    }  # fmt: skip
    trained = [job["recipe"] for job in jobs if job["kind"] == "train"]
    assert [recipe["lr"] for recipe in trained] == [2e-5] * len(trained)


def test_plan_of_the_shipped_study(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path)
    answer = xlift("plan", "quickstart", "--set", f"models=[{tmp_path / 'model'}]")
    assert answer.code == 0
    assert "train isle-qa/qta/2000, 2 seeds" in answer.out


def test_missing_baseline_is_a_warning(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path, STUDY.replace("  - none\n", ""))
    answer = xlift("plan", "study.yaml")
    assert answer.code == 0
    assert answer.err.startswith("xlift: warning: there will be scores but no lifts")


def test_data_folder_option(xlift: Xlift, tmp_path: Path):
    (tmp_path / "data").mkdir()
    study_file(tmp_path, custom_task_study(tmp_path / "data"))
    assert xlift("plan", "study.yaml").code == 2
    assert xlift("plan", "study.yaml", "--data", "data").code == 0


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_records_the_study_and_prints_its_table(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = study_file(tmp_path)
    monkeypatch.setattr(
        "xlift.execution.scheduler.run_plan", lambda *_: finished_study(path, tmp_path / "s") and Outcome(23, 2.0)
    )
    answer = xlift("run", "study.yaml", "--store", "s", "--set", "title=Mine")
    assert answer.code == 0
    assert "23 jobs in 2 s; " in answer.err
    assert "0 were in s already." in answer.err
    assert "isle-qa" in answer.out
    assert "xlift report study.yaml --store s --html study.html" in answer.err


def test_run_of_a_renamed_study_suggests_its_own_report(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = study_file(tmp_path)
    monkeypatch.setattr(
        "xlift.execution.scheduler.run_plan", lambda *_: finished_study(path, tmp_path / "s") and Outcome(23, 2.0)
    )
    answer = xlift("run", "study.yaml", "--store", "s", "--set", "name=other")
    command = next(line for line in answer.err.splitlines() if "xlift report" in line).partition("xlift ")[2]
    assert command == "report other --store s --html other.html"
    assert xlift(*command.split()).code == 0
    assert (tmp_path / "other.html").exists()


def test_pretrain_does_not_change_the_record_of_the_study(
    xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # `gc` and `report` read the record: if pretraining replaced it, gc would remove the study's results.
    made = "models: [model, {name: mine, pretrain: {text: [{task: isle-text, language: qta, size: 9}]}}]"
    path = study_file(tmp_path, STUDY.replace("models: [model]", made))
    plan, _ = finished_study(path, tmp_path / "s")
    pretrain = next(job for job in plan.jobs.values() if isinstance(job.spec, PretrainSpec))
    plans: list[Plan] = []
    monkeypatch.setattr("xlift.execution.scheduler.run_plan", lambda plan, *_: plans.append(plan) or Outcome(0, 0.0))
    answer = xlift("pretrain", "study.yaml", "--store", "s")
    store = Store(tmp_path / "s")
    assert answer.out.strip() == str(store.path(pretrain.key) / "model")
    assert list(plans[0].jobs) == [pretrain.key]
    assert set(read_record(store, "study").keys) == set(plan.jobs)
    assert list_studies(store) == ["study", "study-pretrain"]


def test_pretrain_without_a_model_to_pretrain(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path)
    answer = xlift("pretrain", "study.yaml")
    assert answer.code == 2
    assert answer.err.startswith("xlift: study.yaml:1: models: the study has no model to pretrain")


# --- report -----------------------------------------------------------------------------------------------------------


def test_report_in_every_format(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s")
    (tmp_path / "model" / "model.safetensors").unlink()  # report reads only the store
    rows = json.loads(xlift("report", "study.yaml", "--store", "s", "--json").out)
    assert all(list(row) == ROW for row in rows)
    assert {row["language"] for row in rows} >= {"all", "qta", "qen"}
    assert xlift("report", "study", "--store", "s").out.count("isle-nli") >= 1
    for form in ("--csv", "--latex", "--markdown"):
        assert xlift("report", "study", "--store", "s", form).out
    answer = xlift("report", "study", "--store", "s", "--html", "pages/x.html")
    assert (answer.code, answer.err) == (0, "Wrote pages/x.html\n")
    assert (tmp_path / "pages/x.html").read_text().startswith("<!doctype html>")


def test_compare_two_rows(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s")
    report = json.loads(xlift("report", "study", "--store", "s", "--json").out)
    name = next(row["intermediate"] for row in report if row["intermediate"] != "none")
    contrasts = json.loads(xlift("compare", "study", name, "none", "--store", "s", "--json").out)
    lifts = {(row["target"], row["language"]): row["lift"] for row in report if row["intermediate"] == name}
    assert {(each["target"], each["language"]): each["difference"] for each in contrasts} == pytest.approx(lifts)
    answer = xlift("compare", "study", name, "none", "--store", "s", "--languages", "--margin", "5")
    assert answer.code == 0
    assert "equal within 5" in answer.out
    for words, message in (
        (("study", "nil", "none"), "xlift: no row 'nil'"),
        (("study", "none"), "xlift: 1 row given"),
        (("study", name, "--trend"), "xlift: a trend needs one row with two sizes"),
    ):
        answer = xlift("compare", *words, "--store", "s")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(message)


def test_report_of_an_unfinished_study_warns(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s", leave_out=3)
    answer = xlift("report", "study", "--store", "s")
    assert answer.code == 0
    assert "warning: 3 of 20 predictions are missing" in answer.err


def test_report_without_any_result(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s", leave_out=23)
    answer = xlift("report", "study", "--store", "s")
    assert answer.code == 0
    assert answer.err.endswith("There are no results yet.\n")


@pytest.mark.parametrize("root", ["gone", "empty"])
def test_report_of_a_study_that_was_not_run(xlift: Xlift, tmp_path: Path, root: str):
    (tmp_path / "empty").mkdir()
    answer = xlift("report", "quickstart", "--store", root)
    assert answer.code == 2
    assert "the store has no study 'quickstart'" in answer.err
    assert "`xlift run quickstart`" in answer.err


def test_page_that_cannot_be_written(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s")
    answer = xlift("report", "study", "--store", "s", "--html", tmp_path)
    assert answer.code == 2
    assert "cannot write the page" in answer.err


def test_two_report_formats_at_once(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s")
    answer = xlift("report", "study", "--store", "s", "--json", "--csv")
    assert (answer.code, answer.out) == (2, "")
    assert "--json and --csv" in answer.err


def test_output_folder_is_created_before_pretraining(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli.pretrain, "run_jobs", lambda *_: pytest.fail("the model was made first"))
    (tmp_path / "file").touch()
    answer = xlift("pretrain", "isles-encoder", "--out", "file/model", "--store", "s")
    assert answer.code == 2
    assert "cannot be written" in answer.err


def test_archipelago_with_a_file_as_folder(xlift: Xlift, tmp_path: Path):
    (tmp_path / "file").touch()
    answer = xlift("archipelago", "--out", "file")
    assert answer.code == 2
    assert "file: cannot be written" in answer.err
    assert "Name another folder" in answer.err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_missing_data_folder(xlift: Xlift, tmp_path: Path, command: str):
    study_file(tmp_path)
    answer = xlift(command, "study.yaml", "--data", "nowhere", "--store", "s")
    assert answer.code == 2
    assert "--data nowhere: no such folder" in answer.err


# --- tasks and doctor -------------------------------------------------------------------------------------------------


def test_unknown_task(xlift: Xlift):
    answer = xlift("tasks", "isle-nil")
    assert answer.code == 2
    assert "did you mean 'isle-nli'?" in answer.err


def test_doctor_as_json(xlift: Xlift):
    found = json.loads(xlift("doctor", "--json").out)
    assert {"xlift", "python", "packages", "device", "data"} <= set(found)
    assert found["packages"]["numpy"]


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize(
    "words", [["tasks"], ["tasks", "isle-supertags"], ["plan", "study.yaml"], ["store", "ls", "--store", "s"]]
)
def test_no_line_is_longer_than_the_terminal(xlift: Xlift, tmp_path: Path, words: list[str], columns: int):
    finished_study(study_file(tmp_path), tmp_path / "s")
    answer = xlift(*words, columns=columns)
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= columns
