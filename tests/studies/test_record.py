"""The record of a study, which reports and `gc` use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fakes import STUDY, custom_task_study, study_file

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.record import Record, list_studies, make_record, read_record, write_record
from xlift.studies.schema.targets import TargetData
from xlift.studies.store import Store
from xlift.studies.study import Study, shipped_studies
from xlift.studies.study_file import read_study
from xlift.tasks.sources.generated import generated_languages


def recorded(path: Path) -> Record:
    file = read_study(str(path))
    return make_record(file, make_plan(file))


def test_a_written_record_is_read_back(tmp_path: Path):
    record, store = recorded(study_file(tmp_path, STUDY + "title: Größe\n")), Store(tmp_path / "store")
    write_record(record, store)
    assert read_record(store, "study") == record
    assert list_studies(store) == ["study"]


def test_a_record_has_everything_that_a_report_needs(tmp_path: Path):
    record = recorded(study_file(tmp_path))
    (target,) = record.study.targets
    assert (target.task, target.train, target.size) == ("isle-nli", TargetData(size=50), 20)
    assert record.tasks["isle-nli"].metrics == ("accuracy",)
    pivot = generated_languages()["qta"]
    assert record.languages[0] == {
        "code": "qta", "name": pivot.name, "family": pivot.family, "script": pivot.script, "tier": pivot.tier,
    }  # fmt: skip
    assert {cell.key for cell in record.cells} <= set(record.keys)


def test_a_record_has_no_machine_path(tmp_path: Path):
    record, store = recorded(study_file(tmp_path)), Store(tmp_path / "store")
    write_record(record, store)
    assert str(tmp_path) not in (tmp_path / "store/studies/study.json").read_text()


def test_a_record_with_an_invalid_study_is_damaged(tmp_path: Path):
    store, path = Store(tmp_path / "store"), tmp_path / "store/studies/study.json"
    write_record(recorded(study_file(tmp_path)), store)
    raw = json.loads(path.read_text())
    raw["study"]["targets"][0]["unknown"] = 1
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match="the record is damaged"):
        read_record(store, "study")


def test_a_cell_with_an_unknown_key_is_damaged(tmp_path: Path):
    store, path = Store(tmp_path / "store"), tmp_path / "store/studies/study.json"
    write_record(recorded(study_file(tmp_path)), store)
    raw = json.loads(path.read_text())
    raw["cells"][0]["colour"] = "red"
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match="the record is damaged: a cell has the unknown key 'colour'"):
        read_record(store, "study")


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_survives_its_record(name: str):
    study = read_study(name).study
    assert Study.model_validate(study.model_dump(mode="json", exclude_defaults=True)) == study


def test_an_unknown_language_is_named_by_its_code(tmp_path: Path):
    # Own tasks may be in any language; Luxembourgish is not in ours.
    languages = {each["code"]: each for each in recorded(study_file(tmp_path, custom_task_study(tmp_path))).languages}
    assert languages["cv"] == {"code": "cv", "name": "cv", "family": "", "script": "", "tier": ""}
    assert languages["de"]["name"] == "German"


def test_a_missing_record_gets_a_suggestion(tmp_path: Path):
    store = Store(tmp_path / "store")
    with pytest.raises(UserError, match=r"(?s)no study 'study'.*run `xlift run study` first"):
        read_record(store, "study")
    write_record(recorded(study_file(tmp_path)), store)
    with pytest.raises(UserError, match=r"(?s)no study 'stuby'.*did you mean 'study'\? It has: study\."):
        read_record(store, "stuby")


@pytest.mark.parametrize("name", ["../studies/study", "/etc/passwd", "", "."])
def test_a_name_cannot_lead_out_of_the_store(tmp_path: Path, name: str):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    with pytest.raises(UserError, match="the store has no study"):
        read_record(store, name)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"study": {}}', '{"study": {"name": "other"}}', "\xff"])
def test_a_damaged_record_is_reported(tmp_path: Path, content: str):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    path = tmp_path / "store/studies/study.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"study\.json: the record is damaged") as error:
        read_record(store, "study")
    assert "no artifact is lost" in error.value.fix


def test_a_record_of_other_shape_is_damaged(tmp_path: Path):
    store = Store(tmp_path / "store")
    write_record(recorded(study_file(tmp_path)), store)
    path = tmp_path / "store/studies/study.json"
    content = json.loads(path.read_text())
    content["cells"][0]["new"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="damaged"):
        read_record(store, "study")


def test_a_full_disk_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path / "store")
    record = recorded(study_file(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    store._create = lambda: (tmp_path / "store").mkdir(exist_ok=True)  # the store's own writes are tested elsewhere
    with pytest.raises(UserError, match="No space left"):
        write_record(record, store)
