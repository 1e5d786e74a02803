"""`xlift fetch`: download suites into a folder and check them, with a stand-in server for the Hub."""

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
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
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


def commit_datasets(server: Hub) -> None:
    """Publish the files of TRAIN and TARGET."""
    server.commit("dataset", "org/train", {"train.parquet": parquet(rows(30)), "en-dev.parquet": parquet(rows(6)),
                                           "fr-dev.parquet": parquet(rows(6))})  # fmt: skip
    server.commit("dataset", "org/test", {"de.parquet": parquet(rows(5)), "sw.parquet": parquet(rows(4)),
                                          "th.parquet": parquet(rows(3))})  # fmt: skip


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(catalog, "TASKS", (*catalog.ISLES, TRAIN, TARGET, LICENSED))
    with Hub() as hub_server:
        commit_datasets(hub_server)
        hub_server.connect(monkeypatch, tmp_path / "cache")
        yield hub_server


class Recorder:
    def __init__(self) -> None:
        self.files: list[str] = []
        self.to_come = self.came = 0

    def start_transfer(self, files: int, bytes: int) -> None:
        self.to_come = bytes

    def start_file(self, task: str, name: str) -> None:
        self.files.append(name)

    def add_bytes(self, bytes: int) -> None:
        self.came += bytes

    def start_check(self, task: str) -> None: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def blobs(data: Path) -> list[Path]:
    return sorted(
        path for path in data.rglob("*") if path.is_file() and not path.is_symlink() and path.parent.name == "blobs"
    )


def test_a_suite_fetches_its_data_and_training_data_only(standin: Hub, data: Path):
    recorder = Recorder()
    results = {result.task: result for result in fetch(["small"], data, recorder)}
    assert sorted(recorder.files) == ["de.parquet", "en-dev.parquet", "sw.parquet", "train.parquet"]
    assert recorder.came == recorder.to_come == sum(path.stat().st_size for path in blobs(data))
    assert results["small-test"].counts == {"test": {"de": 5, "sw": 4}}
    assert results["small-train"].counts == {"train": {"en": 30}, "dev": {"en": 6}}
    assert results["small-test"].is_complete


def test_a_task_fetches_all_its_data(standin: Hub, data: Path):
    recorder = Recorder()
    fetch(["small-test"], data, recorder)
    assert recorder.files == ["de.parquet", "sw.parquet", "th.parquet"]


def test_languages_limit_the_fetch(standin: Hub, data: Path):
    recorder = Recorder()
    fetch(["small-test"], data, recorder, languages=["sw", "th"])
    assert recorder.files == ["sw.parquet", "th.parquet"]
    with pytest.raises(UserError, match="none of these tasks has data in 'xx'"):
        fetch(["small-test"], data, recorder, languages=["xx"])


def test_the_parts_of_a_concatenated_task_are_fetched(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    other = replace(
        TRAIN, name="other-train", source=HubSource("org/test", {"train": "de.parquet"}, {"train": ("en",)})
    )
    joined = a_task("joined", ConcatenatedSource((TRAIN, other), {"train": ("en",)}))
    monkeypatch.setattr(catalog, "TASKS", (joined, TRAIN, other))
    assert [result.task for result in fetch(["joined"], data, Recorder())] == ["small-train", "other-train"]
    assert joined.source.size(joined, "en", "train", data) == 35


def test_data_outside_the_hub_is_reported_and_the_rest_is_fetched(standin: Hub, data: Path):
    results = {result.task: result for result in fetch(["small"], data, Recorder())}
    assert results["licensed"].problems == [
        "provide these files yourself (LDC, published at https://example.org/licensed): test: en"
    ]
    assert results["small-test"].is_complete


def test_the_fetched_folder_needs_no_network(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fetch(["small-test"], data, Recorder())
    standin.connect(monkeypatch, tmp_path / "empty", offline=True)
    assert TESTED.is_present("de", "test", data)
    assert TESTED.size(TARGET, "de", "test", data) == 5
    assert fetch(["small-test"], data, Recorder())[0].is_complete


def test_a_second_time_fetches_nothing(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    asked = len(standin.requests)
    recorder = Recorder()
    fetch(["small"], data, recorder)
    assert recorder.files == []
    assert len(standin.requests) == asked


def test_an_interrupted_fetch_resumes(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    second = hub.list_files("org/test", "main").matching(["sw.parquet"])[0].sha256
    standin.answer(second, method="GET", cut_after=10, times=-1)
    (result,) = fetch(["small-test"], data, Recorder())
    assert "sw.parquet: the transfer was interrupted" in result.problems[0]
    assert not TESTED.is_present("sw", "test", data)
    standin.faults.clear()
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder)[0].is_complete
    assert recorder.files == ["sw.parquet", "th.parquet"]


def test_a_partial_file_is_fetched_again(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    for path in blobs(data):
        path.write_bytes(path.read_bytes()[:50])
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder)[0].is_complete
    assert len(recorder.files) == 3


def test_only_stale_partial_files_are_removed(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    dead, living = (blobs(data)[0].with_name(f"{name}.incomplete") for name in ("dead", "living"))
    for path in (dead, living):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    fetch(["small-test"], data, Recorder())
    assert (dead.exists(), living.exists()) == (False, True)


def test_verify_fetches_changed_files_again(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    changed = blobs(data)[0]
    good = changed.read_bytes()
    changed.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    recorder = Recorder()
    assert fetch(["small-test"], data, recorder, verify=True)[0].is_complete
    assert len(recorder.files) == 1
    assert changed.read_bytes() == good


def test_a_folder_keeps_its_commit(standin: Hub, data: Path):
    fetch(["small-test"], data, Recorder())
    before = read_manifest(data)["small-test"].commit
    standin.commit("dataset", "org/test", {"de.parquet": parquet(rows(50))})
    hub.list_files.cache_clear()
    (result,) = fetch(["small-test"], data, Recorder())
    assert result.commit == before
    assert result.counts["test"]["de"] == 5


def test_a_count_that_differs_from_the_published_one_is_reported(standin: Hub, data: Path):
    standin.commit("dataset", "org/test", {"sw.parquet": parquet(rows(3))})
    (result,) = fetch(["small-test"], data, Recorder())
    assert result.problems == ["sw test has 3 examples, 4 were published"]
    assert TESTED.is_present("sw", "test", data)  # it stays


def test_the_manifest_holds_commit_checksums_and_counts(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    written = json.loads((data / "hub" / "fetched.json").read_text())["tasks"]["small-test"]
    entries = hub.list_files("org/test", "main")
    assert written["commit"] == entries.commit
    assert written["files"] == {entry.path: entry.sha256 for entry in entries.matching(["de.parquet", "sw.parquet"])}
    assert written["counts"] == {"test": {"de": 5, "sw": 4}}
    fetch(["small-test"], data, Recorder())
    assert read_manifest(data)["small-test"].counts == {"test": {"de": 5, "sw": 4, "th": 3}}


def test_an_invalid_manifest(standin: Hub, data: Path):
    fetch(["small"], data, Recorder())
    (data / "hub" / "fetched.json").write_text("[]")
    with pytest.raises(UserError, match="cannot read the list of fetched files"):
        read_manifest(data)


def test_files_in_another_layout_are_not_fetched_again(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    native = FileSource("jsonl", {"test": "native/{lang}.jsonl"}, {"test": ("de", "sw")}, kind="native")
    both = replace(TARGET, source=FallbackSource((native, TESTED)))
    monkeypatch.setattr(catalog, "TASKS", (both,))
    (data / "native").mkdir(parents=True)
    (data / "native" / "de.jsonl").write_text(json.dumps(rows(1)[0]) + "\n")
    recorder = Recorder()
    (result,) = fetch(["small-test"], data, recorder)
    assert recorder.files == ["sw.parquet", "th.parquet"]
    assert result.elsewhere == 1


def test_no_network_stops_at_once(standin: Hub, data: Path):
    standin.close()
    with pytest.raises(hub.FatalTransferError, match="cannot be reached"):
        fetch(["small"], data, Recorder())


def test_a_full_disk_is_detected_before_the_download(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 10})())
    with pytest.raises(UserError, match="MB, 0 MB are free"):
        fetch(["small"], data, Recorder())
    assert blobs(data) == []


def test_an_unknown_name(standin: Hub, data: Path):
    with pytest.raises(UserError, match="no suite or task is called 'smal'") as error:
        fetch(["smal"], data, Recorder())
    assert "did you mean 'small'?" in error.value.fix


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["fetch", *arguments])


def test_the_command_prints_a_table_and_exits_with_0(standin: Hub, data: Path):
    result = run("small-test", "--data", str(data))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:2] == ["small-test", "12"]
    assert "3 files to fetch" in result.stderr


def test_missing_data_gives_exit_code_2_and_the_rest_stays(standin: Hub, data: Path):
    result = run("small", "--data", str(data), "--json")
    assert result.exit_code == 2
    assert "incomplete: licensed" in result.stderr
    assert {entry["task"]: bool(entry["problems"]) for entry in json.loads(result.stdout)} == {
        "small-test": False, "small-train": False, "licensed": True,
    }  # fmt: skip
    assert TESTED.is_present("de", "test", data)


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))
    result = run("small", "--data", str(data))
    assert max(map(len, result.stdout.splitlines())) <= width


def test_ctrl_c_is_one_line_and_exit_code_130(standin: Hub, data: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xlift.hub.client.download_files", interrupted)
    result = run("small-test", "--data", str(data))
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].startswith("xlift: interrupted.")


def test_generated_tasks_need_nothing(standin: Hub, data: Path):
    result = run("isle-nli", "--data", str(data))
    assert result.exit_code == 0
    assert "Nothing to fetch" in result.stdout


def test_a_separate_process_finds_the_hub_by_its_environment(standin: Hub, data: Path, tmp_path: Path):
    """The only test in which the client reads the environment variables that users set."""
    standin.commit("dataset", "org/own", {"test.parquet": parquet(rows(2))})
    code = """
import sys
from xlift import hub
from pathlib import Path
snapshot = hub.list_files("org/own", "main")
hub.download_files(snapshot, snapshot.files, hub.cache_folders(None)[0])
print(snapshot.complete_paths(["test.parquet"], hub.cache_folders(None)[0])[0])
"""
    environment = os.environ | standin.environment(tmp_path / "cache of its own") | {"PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "cache of its own")
