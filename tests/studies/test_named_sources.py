"""`source:` of a study: which of a task's sources is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fakes import plan_of, study_file
from tests.support.hub import Hub, parquet

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.record import make_record, read_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.tasks import catalog
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

NATIVE, XTREME = (
    FileSource("jsonl", {split: f"{kind}/{split}.jsonl" for split in ("train", "test")}, {"train": ("en",), "test": ("en",)}, kind=kind)
    for kind in ("native", "xtreme")
)  # fmt: skip
STUDY = "models: [model]\ndata: data\ntargets:\n  - {task: pairs}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pairs = Task(
        "pairs", "Pairs", "classification", ("accuracy",), FallbackSource((NATIVE, XTREME)), ("yes", "no"), "en"
    )
    monkeypatch.setattr(catalog, "TASKS", (*catalog.TASKS, pairs))
    for kind in ("native", "xtreme"):
        for split in ("train", "test"):
            path = tmp_path / "data" / kind / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"premise": f"{kind} {i}", "hypothesis": "b", "label": ("yes", "no")[i % 2]} for i in range(4)]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_first_source_is_read_unless_the_study_names_one(folder: Path):
    default, native, xtreme = (
        plan_of(study_file(folder, STUDY + more)) for more in ("", "source: native\n", "source: xtreme\n")
    )
    assert default.jobs.keys() == native.jobs.keys()
    assert default.jobs.keys().isdisjoint(xtreme.jobs.keys())
    task = xtreme.tasks["pairs"]
    examples = task.source.read(task, "en", "test", xtreme.data)
    assert {example.text_a.split()[0] for example in examples} == {"xtreme"}


def test_a_task_without_the_named_source_is_read_from_its_own(folder: Path):
    assert plan_of(study_file(folder, STUDY + "source: hub\n")).jobs


def test_an_unknown_source_is_refused(folder: Path):
    with pytest.raises(UserError, match="'native', 'xtreme' or 'hub'"):
        plan_of(study_file(folder, STUDY + "source: xtrem\n"))


def test_the_record_has_the_origin_of_the_examples(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [{"premise": f"hub {i}", "hypothesis": "b", "label": ("yes", "no")[i % 2]} for i in range(4)]
    remote = HubSource("org/pairs", {"test": "test.parquet"}, {"test": ("en",)})
    train = FileSource("jsonl", {"train": "native/train.jsonl"}, {"train": ("en",)})
    task = Task("mixed", "Mixed", "classification", ("accuracy",), FallbackSource((train, remote)), ("yes", "no"), "en")
    monkeypatch.setattr(catalog, "TASKS", (*catalog.TASKS, task))
    with Hub() as hub:
        commit = hub.commit("dataset", "org/pairs", {"test.parquet": parquet(rows)})
        hub.connect(monkeypatch, tmp_path / "cache")
        file = read_study(str(study_file(folder, STUDY.replace("task: pairs", "task: mixed"))))
        record = make_record(file, make_plan(file))
    store = Store(tmp_path / "store")
    write_record(record, store)
    assert read_record(store, "study").tasks["mixed"].origins == ("native", f"org/pairs@{commit}")


def test_it_can_be_set_on_the_command_line(folder: Path):
    path = study_file(folder, STUDY)
    assert plan_of(path, "source=xtreme").jobs.keys().isdisjoint(plan_of(path).jobs.keys())
