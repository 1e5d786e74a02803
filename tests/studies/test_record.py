"""The record of a study: a report and `gc` go by it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fakes import STUDY, own_study, study_file

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.reading import read_study
from xlift.studies.record import Record, make_record, names, read_record, write_record
from xlift.studies.store import Store
from xlift.tasks.sources.isles import tongues


def recorded(path: Path) -> Record:
    file = read_study(str(path))
    return make_record(file, make_plan(file))


def test_what_is_written_is_read(tmp_path: Path):
    record, store = recorded(study_file(tmp_path, STUDY + "title: Größe\n")), Store(tmp_path / "store")
    write_record(record, store)
    assert read_record(store, "study") == record
    assert names(store) == ["study"]


def test_it_holds_what_a_report_needs(tmp_path: Path):
    record = recorded(study_file(tmp_path))
    assert record.study["targets"] == [{"task": "isle-nli", "train": {"size": 50}, "size": 20}]
    assert record.tasks["isle-nli"].metrics == ("accuracy",)
    pivot = tongues()["qta"]
    assert record.languages[0] == {
        "code": "qta", "name": pivot.name, "family": pivot.family, "script": pivot.script, "tier": pivot.tier,
    }  # fmt: skip
    assert {cell.key for cell in record.cells} <= set(record.keys)


def test_no_machine_path_is_in_it(tmp_path: Path):
    record, store = recorded(study_file(tmp_path)), Store(tmp_path / "store")
    write_record(record, store)
    assert str(tmp_path) not in (tmp_path / "store/studies/study.json").read_text()


def test_a_language_outside_of_the_table_goes_by_its_code(tmp_path: Path):
    # Own tasks may be in any language; Luxembourgish is not in ours.
    languages = {each["code"]: each for each in recorded(study_file(tmp_path, own_study(tmp_path))).languages}
    assert languages["cv"] == {"code": "cv", "name": "cv", "family": "", "script": "", "tier": ""}
    assert languages["de"]["name"] == "German"


def test_a_study_that_was_not_run_is_told_from_one_that_was(tmp_path: Path):
    store = Store(tmp_path / "store")
    with pytest.raises(UserError, match=r"(?s)no study 'study'.*`xlift run study` comes first"):
        read_record(store, "study")
    write_record(recorded(study_file(tmp_path)), store)
    with pytest.raises(UserError, match=r"(?s)no study 'stuby'.*did you mean 'study'\? It has: study\."):
        read_record(store, "stuby")


@pytest.mark.parametrize("name", ["../studies/study", "/etc/passwd", "", "."])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    with pytest.raises(UserError, match="the store has no study"):
        read_record(store, name)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"study": {}}', '{"study": {"name": "other"}}', "\xff"])
def test_a_damaged_record_is_said(tmp_path: Path, content: str):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    path = tmp_path / "store/studies/study.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"study\.json: the record is damaged") as error:
        read_record(store, "study")
    assert "no product is lost" in error.value.fix


def test_a_record_of_other_shape_is_damaged(tmp_path: Path):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    path = tmp_path / "store/studies/study.json"
    content = json.loads(path.read_text())
    content["cells"][0]["new"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="damaged"):
        read_record(store, "study")


def test_a_full_disk_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path / "store")
    record = recorded(study_file(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    store._create = lambda: (tmp_path / "store").mkdir(exist_ok=True)  # the store's own writes are tested elsewhere
    with pytest.raises(UserError, match="No space left"):
        write_record(record, store)
