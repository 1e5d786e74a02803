"""`keep: predictions`: weights leave the store, and their jobs still count as done."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.support import fakes
from tests.support.command import Xlift
from tests.support.tiny_study import plan_of, run_in_process, run_inline, write_study

from xlift.errors import UserError
from xlift.studies import folder_backend, store_layout
from xlift.studies.plan import Plan
from xlift.studies.record import make_record, write_record
from xlift.studies.remaining import list_jobs_to_run
from xlift.studies.retention import WeightRemover, remove_weights
from xlift.studies.store import Store
from xlift.studies.study_file import read_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retention")
    fakes.finished_study(fakes.study_file(folder, fakes.STUDY + "keep: predictions\n"), folder / "s")
    return folder


@pytest.fixture
def finished(folder: Path, tmp_path: Path) -> tuple[Plan, Store]:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return fakes.plan_of(tmp_path / "study.yaml"), Store(tmp_path / "s")


def trained(plan: Plan) -> list[str]:
    return [key for key, job in plan.jobs.items() if job.kind == "train"]


def with_weights(plan: Plan, store: Store) -> list[str]:
    return [key for key in trained(plan) if store.has(key)]


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_weights_leave_once_the_last_prediction_exists(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    last = plan.cells[-1].key
    shutil.rmtree(store.path(last))
    remover = WeightRemover(plan, store)
    remover.sweep()
    (target,) = plan.jobs[last].parents
    assert set(with_weights(plan, store)) == {target, *plan.jobs[target].parents}
    shutil.copytree(store.path(plan.cells[0].key), store.root / "artifacts" / last[:2] / last)
    remover.mark_finished(last)
    assert with_weights(plan, store) == []
    assert remover.num_bytes == 64 * len(trained(plan))
    assert all(store.is_done(key) for key in plan.jobs)
    assert list_jobs_to_run(plan, store) == []


def test_a_study_that_keeps_all_or_is_not_finished_protects_its_jobs(
    finished: tuple[Plan, Store], tmp_path: Path
) -> None:
    plan, store = finished
    for keep, leave_out in (("all", 0), ("predictions", 1)):
        other = fakes.study_file(tmp_path, fakes.STUDY + f"keep: {keep}\nname: other\n", "other.yaml")
        file = read_study(str(other), ("targets.0.size=21",) if leave_out else ())
        write_record(make_record(file, fakes.plan_of(other, *(["targets.0.size=21"] if leave_out else []))), store)
        WeightRemover(plan, store).sweep()
        assert with_weights(plan, store) == trained(plan)
    os.remove(store.root / "studies" / "other.json")
    WeightRemover(plan, store).sweep()
    assert with_weights(plan, store) == []


def test_weights_without_predictions_stay(tmp_path: Path) -> None:
    # as in `xlift pretrain`, which plans nothing but the pretraining
    plan, store = fakes.finished_study(fakes.study_file(tmp_path), tmp_path / "s")
    only = Plan("only", jobs={key: plan.jobs[key] for key in trained(plan)})
    WeightRemover(only, store).sweep()
    assert with_weights(plan, store) == trained(plan)


# --- the commands of the store ----------------------------------------------------------------------------------------


def test_commands_know_manifests_without_files(xlift: Xlift, finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    before = xlift("report", "study", "--store", "s", "--json")
    dry = xlift("store", "gc", "--store", "s", "--remove-weights", "--dry-run")
    assert dry.out.count("weights") == len(trained(plan))
    assert with_weights(plan, store) == trained(plan)
    freed = xlift("store", "gc", "--store", "s", "--remove-weights")
    assert freed.out == dry.out.replace("would free", "freed")
    assert with_weights(plan, store) == []
    assert xlift("report", "study", "--store", "s", "--json") == before
    entries = json.loads(xlift("store", "ls", "--store", "s", "--json").out)
    assert sorted(entry["key"] for entry in entries if entry["status"] == "manifest") == sorted(trained(plan))
    assert "manifest" in xlift("store", "ls", "--store", "s").out
    assert "(manifest)" in xlift("store", "du", "--store", "s").out
    assert xlift("store", "verify", "--store", "s").code == 0
    assert xlift("store", "gc", "--store", "s").out == "freed 0 B\n"
    assert xlift("plan", "study.yaml", "--store", "s").out.endswith("All jobs are done.\n")
    export = xlift("store", "export", trained(plan)[0], "model", "--store", "s")
    assert export.code == 2
    os.remove(store.root / "studies" / "study.json")
    assert xlift("store", "gc", "--store", "s").out.count("manifest") == len(trained(plan))


def test_a_damaged_manifest_is_found_and_moved_aside(xlift: Xlift, finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    remove_weights(store)
    key = trained(plan)[0]
    path = store.root / "manifests" / f"{key}.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    assert xlift("store", "verify", "--store", "s").code == 2
    assert xlift("store", "verify", "--store", "s", "--repair").code == 0
    assert not store.is_done(key)
    # its children are done, so nothing needs it but the study itself
    assert [job.key for job in list_jobs_to_run(plan, store)] == [key]
    assert xlift("store", "gc", "--store", "s").code == 0


def test_a_job_without_files_says_so(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    remove_weights(store)
    with pytest.raises(UserError, match="only its manifest is here, without weights"):
        store.open(trained(plan)[0])


# --- interruptions ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["replace", "move", "rmtree"])
def test_an_interrupted_removal_loses_nothing(
    finished: tuple[Plan, Store], monkeypatch: pytest.MonkeyPatch, step: str, xlift: Xlift
) -> None:
    plan, store = finished

    def kill(*args: object, **more: object) -> None:
        raise Killed

    places = {"replace": (os, "replace"), "move": (folder_backend, "move"), "rmtree": (folder_backend.shutil, "rmtree")}
    with monkeypatch.context() as patch:
        patch.setattr(*places[step], kill)
        with pytest.raises(Killed):
            store.release(trained(plan)[0])
    again = Store(store.root)
    assert all(again.is_done(key) for key in plan.jobs)
    assert again.verify() == []
    WeightRemover(plan, again).sweep()
    assert with_weights(plan, again) == []
    assert xlift("store", "gc", "--store", "s").code == 0
    assert store_layout.names(again.root / "tmp") == []


def test_a_full_disk_is_a_usual_error(finished: tuple[Plan, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = finished

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", str(store.root / "x"))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match="no space left"):
            store.release(trained(plan)[0])
    assert with_weights(plan, store) == trained(plan)


# --- real runs --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_removes_weights_and_trains_again_what_a_larger_study_needs(xlift: Xlift, tmp_path: Path) -> None:
    study, store = write_study(tmp_path, keep="predictions"), Store(tmp_path / "s")
    kept = Store(tmp_path / "kept")
    run_inline(plan_of(study), kept)
    answer = run_in_process(study, store.root)
    assert answer.returncode == 0, answer.stderr
    assert "of weights (`keep: predictions`)" in answer.stderr
    plan = plan_of(study)
    assert with_weights(plan, store) == []
    assert run_in_process(study, store.root).stderr.startswith("0 jobs in ")
    larger = write_study(tmp_path, "larger", keep="predictions", targets=[
        {"task": "isle-nli", "train": {"size": 24}, "languages": ["qta", "qtu", "qka"], "size": 12},
    ])  # fmt: skip
    answer = run_in_process(larger, store.root)
    assert answer.returncode == 0, answer.stderr
    assert "3 finished jobs run again" in answer.stderr
    assert "5 jobs in " in answer.stderr
    run_inline(plan_of(larger), kept)
    for key, job in plan_of(larger).jobs.items():
        found = store.find(key)
        assert found
        assert found.sha256 == kept.open(key).sha256, job.label  # trained again to the same bytes
    assert xlift("store", "verify", "--store", "s").code == 0
    assert xlift("report", "larger", "--store", "s", "--json").code == 0
