"""`xlift fetch`: a suite comes into a folder, whole and checked, from a stand-in of the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub import Hub, parquet
from typer.testing import CliRunner

from xlift import hub
from xlift.cli import app
from xlift.errors import UserError
from xlift.tasks import catalog
from xlift.tasks.fetching import fetch, read_manifest
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.joined import Joined
from xlift.tasks.sources.several import Several
from xlift.tasks.task import Task


def rows(number: int) -> list[dict[str, Any]]:
    return [{"premise": f"premise {i}", "hypothesis": f"hypothesis {i}", "label": "yes"} for i in range(number)]


def a_task(name: str, source: Any, **more: Any) -> Task:
    return Task(name, name, "classification", ("accuracy",), source, labels=("yes", "no"), train_language="en", **more)


TRAIN = a_task(
    "small-train", HubSource("org/train", {"train": "train.parquet", "dev": "{lang}-dev.parquet"}, {"train": ("en",), "dev": ("en", "fr")})
)  # fmt: skip
TESTED = HubSource("org/test", {"test": "{lang}.parquet"}, {"test": ("de", "sw", "th")})
TARGET = a_task(
    "small-test",
    TESTED,
    train_task=("small-train",),
    suites={"small": ("de", "sw")},
    counts={"test": {"de": 5, "sw": 4}},
)
LICENSED = a_task(
    "licensed", FileSource("jsonl", {"test": "licensed/{lang}.jsonl"}, {"test": ("en",)}), suites={"small": ("en",)},
    licence="LDC", url="https://example.org/licensed",
)  # fmt: skip


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(catalog, "TASKS", (*catalog.ISLES, TRAIN, TARGET, LICENSED))
    with Hub() as made:
        made.commit("dataset", "org/train", {"train.parquet": parquet(rows(30)), "en-dev.parquet": parquet(rows(6)),
                                             "fr-dev.parquet": parquet(rows(6))})  # fmt: skip
        made.commit("dataset", "org/test", {"de.parquet": parquet(rows(5)), "sw.parquet": parquet(rows(4)),
                                            "th.parquet": parquet(rows(3))})  # fmt: skip
        made.connect(monkeypatch, tmp_path / "cache")
        yield made


class Recorder:
    def __init__(self) -> None:
        self.files: list[str] = []
        self.to_come = self.came = 0

    def begin(self, files: int, bytes: int) -> None:
        self.to_come = bytes

    def file(self, task: str, name: str) -> None:
        self.files.append(name)

    def advanced(self, bytes: int) -> None:
        self.came += bytes

    def checking(self, task: str) -> None: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def blobs(data: Path) -> list[Path]:
    return sorted(
        path for path in data.rglob("*") if path.is_file() and not path.is_symlink() and path.parent.name == "blobs"
    )


def test_a_suite_comes_with_what_it_is_trained_on_and_no_more(standin: Hub, data: Path):
    recorder = Recorder()
    results = {result.task: result for result in fetch(["small"], data, recorder)}
    assert sorted(recorder.files) == ["de.parquet", "en-dev.parquet", "sw.parquet", "train.parquet"]
    assert recorder.came == recorder.to_come == sum(path.stat().st_size for path in blobs(data))
    assert results["small-test"].counts == {"test": {"de": 5, "sw": 4}}
    assert results["small-train"].counts == {"train": {"en": 30}, "dev": {"en": 6}}
    assert results["small-test"].whole


def test_a_task_comes_whole(standin: Hub, data: Path):
    recorder = Recorder()
    fetch(["small-test"], data, recorder)
    assert recorder.files == ["de.parquet", "sw.parquet", "th.parquet"]


def test_some_languages_alone(standin: Hub, data: Path):
    recorder = Recorder()
    fetch(["small-test"], data, recorder, languages=["sw", "th"])
    assert recorder.files == ["sw.parquet", "th.parquet"]
    with pytest.raises(UserError, match="none of these tasks is in 'xx'"):
        fetch(["small-test"], data, recorder, languages=["xx"])


def test_the_parts_of_a_joined_task_come(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    other = replace(
        TRAIN, name="other-train", source=HubSource("org/test", {"train": "de.parquet"}, {"train": ("en",)})
    )
    joined = a_task("joined", Joined((TRAIN, other), {"train": ("en",)}))
    monkeypatch.setattr(catalog, "TASKS", (joined, TRAIN, other))
    assert [result.task for result in fetch(["joined"], data, Recorder())] == ["small-train", "other-train"]
    assert joined.source.size(joined, "en", "train", data) == 35


def test_what_no_hub_has_is_said_and_the_rest_comes(standin: Hub, data: Path):
    results = {result.task: result for result in fetch(["small"], data, Recorder())}
    assert results["licensed"].problems == [
        "bring your own files (LDC, published at https://example.org/licensed): test: en"
    ]
    assert results["small-test"].whole


def test_the_fetched_folder_needs_no_network(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fetch(["small-test"], data, Recorder())
    standin.connect(monkeypatch, tmp_path / "empty", offline=True)
    assert TESTED.present("de", "test", data)
    assert TESTED.size(TARGET, "de", "test", data) == 5
    assert fetch(["small-test"], data, Recorder())[0].whole


def test_a_second_time_fetches_nothing(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    asked = len(standin.requests)
    recorder = Recorder()
    fetch(["small"], data, recorder)
    assert recorder.files == []
    assert len(standin.requests) == asked


def test_an_interrupted_fetch_goes_on(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    second = hub.listing("org/test", "main").matching(["sw.parquet"])[0].sha256
    standin.answer(second, method="GET", cut_after=10, times=-1)
    (result,) = fetch(["small-test"], data, Recorder())
    assert "sw.parquet: the transfer broke off" in result.problems[0]
    assert not TESTED.present("sw", "test", data)
    standin.faults.clear()
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder)[0].whole
    assert recorder.files == ["sw.parquet", "th.parquet"]


def test_a_half_written_file_is_fetched_anew(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    for path in blobs(data):
        path.write_bytes(path.read_bytes()[:50])
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder)[0].whole
    assert len(recorder.files) == 3


def test_what_a_killed_transfer_left_is_swept_up_and_that_of_a_living_one_is_not(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    dead, living = (blobs(data)[0].with_name(f"{name}.incomplete") for name in ("dead", "living"))
    for path in (dead, living):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    fetch(["small-test"], data, Recorder())
    assert (dead.exists(), living.exists()) == (False, True)


def test_verify_finds_changed_bytes_and_fetches_them_anew(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    changed = blobs(data)[0]
    good = changed.read_bytes()
    changed.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder, verify=True)[0].whole
    assert len(recorder.files) == 1
    assert changed.read_bytes() == good


def test_a_folder_stays_at_its_commit(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    before = read_manifest(data)["small-test"].commit
    standin.commit("dataset", "org/test", {"de.parquet": parquet(rows(50))})
    hub.listing.cache_clear()
    (result,) = fetch(["small-test"], data, Recorder())
    assert result.commit == before
    assert result.counts["test"]["de"] == 5


def test_another_number_than_the_published_one_is_said(standin: Hub, data: Path):
    standin.commit("dataset", "org/test", {"sw.parquet": parquet(rows(3))})
    (result,) = fetch(["small-test"], data, Recorder())
    assert result.problems == ["sw test has 3 examples where 4 were published"]
    assert TESTED.present("sw", "test", data)  # it stays


def test_the_manifest_holds_commit_checksums_and_counts(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    written = json.loads((data / "hub" / "fetched.json").read_text())["tasks"]["small-test"]
    entries = hub.listing("org/test", "main")
    assert written["commit"] == entries.commit
    assert written["files"] == {entry.path: entry.sha256 for entry in entries.matching(["de.parquet", "sw.parquet"])}
    assert written["counts"] == {"test": {"de": 5, "sw": 4}}
    fetch(["small-test"], data, Recorder())
    assert read_manifest(data)["small-test"].counts == {"test": {"de": 5, "sw": 4, "th": 3}}


def test_a_broken_manifest(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    (data / "hub" / "fetched.json").write_text("[]")
    with pytest.raises(UserError, match="the list of what was fetched cannot be read"):
        read_manifest(data)


def test_files_of_another_layout_are_not_fetched_over(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    native = FileSource("jsonl", {"test": "native/{lang}.jsonl"}, {"test": ("de", "sw")}, kind="native")
    both = replace(TARGET, source=Several((native, TESTED)))
    monkeypatch.setattr(catalog, "TASKS", (both,))
    (data / "native").mkdir(parents=True)
    (data / "native" / "de.jsonl").write_text(json.dumps(rows(1)[0]) + "\n")
    recorder = Recorder()
    (result,) = fetch(["small-test"], data, recorder)
    assert recorder.files == ["sw.parquet", "th.parquet"]
    assert result.elsewhere == 1


def test_no_network_stops_at_once(standin: Hub, data: Path):
    standin.close()
    with pytest.raises(hub.Stuck, match="cannot be reached"):
        fetch(["small"], data, Recorder())


def test_a_full_disk_is_seen_before_anything_comes(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 10})())
    with pytest.raises(UserError, match="MB are to come in, 0 MB are free"):
        fetch(["small"], data, Recorder())
    assert blobs(data) == []


def test_an_unknown_name(standin: Hub, data: Path):
    with pytest.raises(UserError, match="neither a suite nor a task is called 'smal'") as error:
        fetch(["smal"], data, Recorder())
    assert "did you mean 'small'?" in error.value.fix


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["fetch", *arguments])


def test_the_command_tells_and_ends_well(standin: Hub, data: Path):
    told = run("small-test", "--data", str(data))
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1].split()[:2] == ["small-test", "12"]
    assert "3 files to fetch" in told.stderr


def test_something_missing_is_exit_code_2_and_the_rest_stays(standin: Hub, data: Path):
    told = run("small", "--data", str(data), "--json")
    assert told.exit_code == 2
    assert "not all is there: licensed" in told.stderr
    assert {entry["task"]: bool(entry["problems"]) for entry in json.loads(told.stdout)} == {
        "small-test": False, "small-train": False, "licensed": True,
    }  # fmt: skip
    assert TESTED.present("de", "test", data)


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))
    told = run("small", "--data", str(data))
    assert max(map(len, told.stdout.splitlines())) <= width


def test_ctrl_c_is_one_line_and_exit_code_130(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xlift.hub.bring", interrupted)
    told = run("small-test", "--data", str(data))
    assert told.exit_code == 130
    assert told.stderr.splitlines()[-1].startswith("xlift: interrupted.")


def test_generated_tasks_need_nothing(standin: Hub, data: Path):
    told = run("isle-nli", "--data", str(data))
    assert told.exit_code == 0
    assert "nothing to fetch" in told.stdout


def test_a_process_of_its_own_is_pointed_at_the_hub_by_its_environment(standin: Hub, data: Path, tmp_path: Path):
    """The one test in which the client reads its environment as users set it."""
    standin.commit("dataset", "org/own", {"test.parquet": parquet(rows(2))})
    code = """
import sys
from xlift import hub
from pathlib import Path
snapshot = hub.listing("org/own", "main")
hub.bring(snapshot, snapshot.files, hub.caches(None)[0])
print(snapshot.whole(["test.parquet"], hub.caches(None)[0])[0])
"""
    environment = os.environ | standin.environment(tmp_path / "cache of its own") | {"PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "cache of its own")
