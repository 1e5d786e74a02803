"""Whole runs as separate processes: which jobs run, which are skipped, and that the bytes are always the same."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_jobs
from tests.support.tiny_study import digests, plan_of, run, run_in_process, run_inline, start, write_study

from xlift import cli
from xlift.execution.executors import local
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.store import Store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def reference(study: Path) -> Path:
    """The store of a run with one worker. Read only: `copy` gives a writable copy."""
    store = study.parent / "reference"
    done = run(study, store, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return store


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference, tmp_path / "copy"))


def jobs_done(result: subprocess.CompletedProcess[str]) -> int:
    assert result.returncode == 0, result.stderr
    found = re.search(r"^(\d+) jobs? in ", result.stderr, re.MULTILINE)
    assert found, result.stderr
    return int(found[1])


def stamps(store: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of every file of every artifact."""
    files = [path for path in (store / "artifacts").rglob("*") if path.is_file()]
    return {path.relative_to(store): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def manifest(store: Path, key: str) -> dict[str, Any]:
    """A job's manifest without times and memory."""
    content = {
        name: value for name, value in Store(store).open(key).manifest.items() if name not in ("started", "seconds")
    }
    return content | {"numbers": content["numbers"] | {"peak_memory_bytes": 0}}


def shuffled(plan: Plan, seed: int) -> Iterator[Job]:
    """The jobs in a random order in which parents come first."""
    left, done = list(plan.jobs.values()), set[str]()
    chance = random.Random(seed)
    while left:
        job = chance.choice([each for each in left if set(each.parents) <= done])
        left.remove(job)
        done.add(job.key)
        yield job


@pytest.fixture(scope="module")
def with_two_workers(study: Path) -> subprocess.CompletedProcess[str]:
    return run(study, study.parent / "second", "--workers", "2")


def test_two_workers_give_the_same_bytes_as_one(
    study: Path, reference: Path, with_two_workers: subprocess.CompletedProcess[str]
) -> None:
    assert jobs_done(with_two_workers) == 9
    assert digests(study, study.parent / "second") == digests(study, reference)


@pytest.fixture(scope="module")
def without_workers(study: Path) -> subprocess.CompletedProcess[str]:
    return run_in_process(study, study.parent / "third")


def test_a_run_in_this_process_gives_the_same_bytes_and_table(
    study: Path,
    reference: Path,
    without_workers: subprocess.CompletedProcess[str],
    with_two_workers: subprocess.CompletedProcess[str],
) -> None:
    assert jobs_done(without_workers) == 9
    assert digests(study, study.parent / "third") == digests(study, reference)
    assert without_workers.stdout == with_two_workers.stdout
    assert [manifest(study.parent / "third", key) for key in plan_of(study).jobs] == [
        manifest(reference, key) for key in plan_of(study).jobs
    ]


def test_a_run_prints_only_progress(with_two_workers: subprocess.CompletedProcess[str]) -> None:
    *lines, summary, page = with_two_workers.stderr.splitlines()
    assert lines[0].startswith("9 jobs to do, 0 done already")
    assert lines[1] == "starting 2 workers"
    assert all(re.match(r"\[\d/9\] ", line) for line in lines[2:]), lines  # no warnings, no bars of other libraries
    assert lines[-1].startswith("[9/9] done in ")
    assert summary.startswith("9 jobs in ")
    assert "; the estimate was " in summary
    assert "xlift report" in page
    assert "isle-pos" in with_two_workers.stdout


@pytest.mark.slow
def test_the_order_of_jobs_does_not_matter(study: Path, reference: Path, tmp_path: Path) -> None:
    plan = plan_of(study)
    run_inline(plan, Store(tmp_path / "store"), shuffled(plan, seed=1))
    assert digests(study, tmp_path / "store") == digests(study, reference)


def test_a_second_run_has_nothing_to_do(study: Path, copy: Path) -> None:
    before = stamps(copy)
    assert jobs_done(run_in_process(study, copy)) == 0
    assert stamps(copy) == before


def test_adding_a_language_trains_nothing(study: Path, copy: Path) -> None:
    before = stamps(copy)
    more = run_in_process(study, copy, "--set", "targets.0.languages=[qta, qtu, qka]")
    assert jobs_done(more) == 2  # one per intermediate
    after = stamps(copy)
    assert {path: after[path] for path in before} == before
    new = {path.parts[2] for path in after} - {path.parts[2] for path in before}
    assert {Store(copy).open(key).kind for key in new} == {"predict"}


def test_adding_a_seed_keeps_the_other_seeds(study: Path, copy: Path) -> None:
    before = stamps(copy)
    # 3 training runs and their 4 predictions of isle-nli and 1 of retrieval; retrieval without training has no seed
    assert jobs_done(run_in_process(study, copy, "--set", "seeds=[1, 2]")) == 8
    after = stamps(copy)
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
def test_two_runs_in_parallel_share_the_jobs(study: Path, reference: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    both = [start(study, store, "--workers", "1") for _ in range(2)]
    ends = []
    for process in both:
        out, err = process.communicate(timeout=120)
        ends.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    assert sum(map(jobs_done, ends)) == 9  # no job ran twice
    assert digests(study, store) == digests(study, reference)
    assert not [entry for entry in Store(store).ls() if entry.status != "done"]


def test_an_internal_error_ends_the_run_with_the_workers_traceback(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "run_worker", fake_jobs.run_worker_with_bug)
    monkeypatch.setattr(sys, "argv", ["xlift", "run", str(study), "--store", str(tmp_path / "store"), "--workers", "1"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    errors = capsys.readouterr().err
    assert "Please report it" in errors
    assert "inished jobs are kept" in errors
    assert "ZeroDivisionError" in errors
    assert "fake_jobs.py" in errors  # the traceback is the worker's
    assert "cli.py" not in errors  # without the parent's traceback
    assert {entry.kind for entry in Store(tmp_path / "store").ls()} == {"train"}


@pytest.mark.slow
def test_a_run_continues_when_its_output_is_closed(study: Path, reference: Path, tmp_path: Path) -> None:
    process = start(study, tmp_path / "store", "--workers", "1")
    assert process.stderr is not None
    assert process.stdout is not None
    process.stderr.readline()  # as `xlift run ... 2>&1 | head -1` does
    process.stderr.close()
    process.stdout.close()
    process.wait(120)
    assert process.returncode in (0, 1)  # click exits with 1 when its output is closed
    assert digests(study, tmp_path / "store") == digests(study, reference)
