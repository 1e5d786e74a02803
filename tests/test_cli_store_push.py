"""`xlift store push` and `pull`: studies between stores in folders and in buckets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.buckets import place, running_server, server, url  # noqa: F401
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file
from tests.support.s3_server import Server

from xlift.studies import store_merge
from xlift.studies.plan import Plan
from xlift.studies.record import list_studies, read_record
from xlift.studies.store import Store


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Store]:
    monkeypatch.chdir(tmp_path)
    return finished_study(study_file(tmp_path), tmp_path / "xlift-store")


def contents(store: Store, keys: list[str]) -> dict[str, object]:
    return {key: (artifact.manifest, artifact.sha256) for key in keys if (artifact := store.open(key))}


def test_a_study_goes_there_and_comes_back(study: tuple[Plan, Store], place: str, xlift: Xlift) -> None:  # noqa: F811
    plan, store = study
    keys = list(plan.jobs)
    first = xlift("store", "push", place)
    assert (first.code, first.out) == (0, f"study of {store.where}: {len(keys)} jobs copied, 0 there already\n")
    there = Store(place)
    assert contents(there, keys) == contents(store, keys)
    assert read_record(there, "study") == read_record(store, "study")
    assert xlift("store", "push", place).out == f"study of {store.where}: 0 jobs copied, {len(keys)} there already\n"
    home = xlift("store", "pull", place, "--store", "home")
    assert home.out == f"study of {there.where}: {len(keys)} jobs copied, 0 here already\n"
    assert contents(Store("home"), keys) == contents(store, keys)
    assert Store("home").verify() == []


def test_results_come_home_without_weights(study: tuple[Plan, Store], place: str, xlift: Xlift) -> None:  # noqa: F811
    plan, store = study
    xlift("store", "push", place)
    assert xlift("store", "pull", place, "--no-weights", "--store", "home").code == 0
    home = Store("home")
    assert home.find_done(plan.jobs) == set(plan.jobs)
    assert {job.kind for job in plan.jobs.values() if home.has(job.key)} == {"predict"}
    assert xlift("report", "study", "--json", "--store", "home").out == xlift("report", "study", "--json").out
    xlift("store", "pull", place, "--store", "home")  # and the weights later
    assert all(home.has(key) for key in plan.jobs)


def test_a_study_that_grew_is_pushed_again_and_another_one_is_not(
    study: tuple[Plan, Store], tmp_path: Path, xlift: Xlift
) -> None:
    plan, store = study
    xlift("store", "push", "there")
    larger, _ = finished_study(study_file(tmp_path, f"{STUDY}seeds: [1, 2]\n"), tmp_path / "larger")
    assert xlift("store", "push", "there", "--store", "larger").code == 0
    assert read_record(Store("there"), "study").keys == tuple(larger.jobs)
    refused = xlift("store", "push", "there")
    assert refused.code == 2
    assert "has another study 'study', with jobs that this one lacks" in refused.err
    assert "--force" in refused.err
    assert xlift("store", "push", "there", "--force").code == 0
    assert read_record(Store("there"), "study").keys == tuple(plan.jobs)


def test_one_study_is_chosen_by_name(study: tuple[Plan, Store], tmp_path: Path, xlift: Xlift) -> None:
    text = STUDY.replace("size: 50", "size: 60").replace("size: 100", "size: 110")
    finished_study(study_file(tmp_path, text, "other.yaml"), tmp_path / "xlift-store")
    assert xlift("store", "push", "there", "--study", "other").code == 0
    assert list_studies(Store("there")) == ["other"]
    wrong = xlift("store", "push", "there", "--study", "none")
    assert wrong.code == 2
    assert "no study 'none'" in wrong.err


def test_a_damaged_file_is_not_copied(study: tuple[Plan, Store], place: str, xlift: Xlift) -> None:  # noqa: F811
    plan, store = study
    key = plan.cells[-1].key
    path = store.path(key) / "predictions.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    answer = xlift("store", "push", place)
    assert answer.code == 2
    assert "predictions.parquet" in answer.err
    assert list_studies(Store(place)) == []
    assert not Store(place).is_done(key)


def test_a_store_that_is_not_there_cannot_be_pulled(study: tuple[Plan, Store], xlift: Xlift) -> None:
    answer = xlift("store", "pull", "nothing")
    assert answer.code == 2
    assert "no store at 'nothing'" in answer.err


@pytest.mark.slow
def test_an_interrupted_push_resumes(
    study: tuple[Plan, Store],
    url: str,  # noqa: F811
    server: Server,  # noqa: F811
    xlift: Xlift,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, store = study
    server.set_faults(after=60, kind="refuse")
    monkeypatch.setattr(store_merge, "REQUESTS_AT_ONCE", 1)
    cut = xlift("store", "push", url)
    assert cut.code == 2
    assert "refuses access" in cut.err
    assert "a-secret-key" not in cut.err
    server.set_faults()
    done = Store(url).find_done(plan.jobs)
    assert 0 < len(done) < len(plan.jobs)
    assert list_studies(Store(url)) == []
    assert xlift("store", "push", url).out.startswith(
        f"study of {store.where}: {len(plan.jobs) - len(done)} jobs copied"
    )
    assert Store(url).verify() == []


@pytest.mark.slow
def test_copies_leave_no_files_in_the_cache(study: tuple[Plan, Store], url: str, tmp_path: Path, xlift: Xlift) -> None:  # noqa: F811
    xlift("store", "push", url)
    xlift("store", "pull", url, "--store", "home")
    found = {name for _, _, names in os.walk(tmp_path / "cache") for name in names}
    assert found <= {"manifest.json"}
