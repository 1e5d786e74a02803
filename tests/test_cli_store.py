"""`xlift store`, and other commands with a damaged artifact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.fakes import finished_study, study_file

# --- a flipped byte ---------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_flipped_byte_is_found_and_repaired(xlift: Xlift, tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    key = plan.cells[-1].key
    flip(store.path(key) / "predictions.parquet")
    answer = xlift("report", "study", "--store", "s")
    assert (answer.code, answer.out) == (2, "")
    assert "predictions.parquet is damaged" in answer.err
    assert "Traceback" not in answer.err
    assert "--repair" in answer.err
    found = xlift("store", "verify", "--store", "s")
    assert found.code == 2
    assert key in found.out
    assert xlift("store", "verify", "--store", "s", "--repair").code == 0
    assert xlift("store", "verify", "--store", "s").out == "All artifacts are intact.\n"
    assert "22 done, 1 left" in xlift("plan", "study.yaml", "--store", "s").out


def test_flipped_byte_in_a_manifest(xlift: Xlift, tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    flip(store.path(plan.cells[0].key) / "manifest.json")
    assert xlift("report", "study", "--store", "s").code == 2
    assert xlift("plan", "study.yaml", "--store", "s").code == 0  # the estimate does not need it
    broken = [
        entry for entry in json.loads(xlift("store", "ls", "--store", "s", "--json").out) if entry["status"] != "done"
    ]
    assert [(entry["key"], entry["status"]) for entry in broken] == [(plan.cells[0].key, "broken")]


# --- store ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ls", "verify", "gc", "du"])
def test_missing_store(xlift: Xlift, tmp_path: Path, command: str):
    for more in ((), ("--json",)):
        answer = xlift("store", command, "--store", "gone", *more)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("xlift: no store at 'gone'")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("command", "said", "as_json"),
    [
        ("ls", "The store is empty.", []),
        ("verify", "All artifacts are intact.", []),
        ("gc", "freed 0 B", []),
        ("du", "total", {}),
    ],
)
def test_empty_store(xlift: Xlift, tmp_path: Path, command: str, said: str, as_json: object):
    (tmp_path / "s").mkdir()
    assert said in xlift("store", command, "--store", "s").out
    answer = xlift("store", command, "--store", "s", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, as_json)


@pytest.mark.parametrize("command", ["ls", "verify", "gc", "du"])
def test_other_folder_is_refused(xlift: Xlift, tmp_path: Path, command: str):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("x")
    answer = xlift("store", command, "--store", "thesis")
    assert answer.code == 2
    assert "not an xlift store" in answer.err
    assert (tmp_path / "thesis/chapter.tex").exists()


def test_ls_has_every_job_with_its_digest(xlift: Xlift, tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    entries = json.loads(xlift("store", "ls", "--store", "s", "--json").out)
    assert {entry["key"] for entry in entries} == set(plan.jobs)
    assert all(list(entry) == ["key", "kind", "status", "sha256", "seconds", "bytes"] for entry in entries)
    for entry in entries:
        assert (entry["kind"], entry["status"]) == (plan.jobs[entry["key"]].kind, "done")
        assert entry["sha256"] == store.open(entry["key"]).manifest["sha256"]
    heading, *lines = xlift("store", "ls", "--store", "s").out.splitlines()
    assert heading.split() == ["key", "kind", "status", "digest", "seconds", "size"]
    assert len(lines) == len(plan.jobs)


def test_ls_says_what_a_narrow_terminal_hides_and_what_a_manifest_is(xlift: Xlift, tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    assert "manifest:" not in xlift("store", "ls", "--store", "s").out
    store.release(next(job.key for job in plan.jobs.values() if job.kind == "train"))
    out = xlift("store", "ls", "--store", "s", columns=60).out
    assert max(map(len, out.splitlines())) <= 60
    assert out.splitlines()[0].split() == ["key", "kind", "status", "seconds", "size"]
    assert "Hidden, since this terminal is narrow: digest. `xlift store ls --json` has it." in " ".join(out.split())
    assert "manifest: done, and its files are not here." in out


def test_gc_keeps_artifacts_of_recorded_studies(xlift: Xlift, tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    assert json.loads(xlift("store", "gc", "--store", "s", "--json").out) == []
    (tmp_path / "s/studies/study.json").unlink()
    planned = json.loads(xlift("store", "gc", "--store", "s", "--dry-run", "--json").out)
    assert {each["key"] for each in planned} == set(plan.jobs)
    assert all(store.has(key) for key in plan.jobs)
    assert "freed" in xlift("store", "gc", "--store", "s").out
    assert not any(store.has(key) for key in plan.jobs)


def test_gc_stops_at_a_damaged_record(xlift: Xlift, tmp_path: Path):
    # The record lists the artifacts that a study needs; without it, gc would remove all of them.
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    (tmp_path / "s/studies/study.json").write_text("{")
    answer = xlift("store", "gc", "--store", "s")
    assert answer.code == 2
    assert "damaged" in answer.err
    assert all(store.has(key) for key in plan.jobs)


def test_du_counts_by_kind(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path), tmp_path / "s")
    usage = json.loads(xlift("store", "du", "--store", "s", "--json").out)
    assert {kind: used["count"] for kind, used in usage.items()} == {"predict": 20, "train": 3}
