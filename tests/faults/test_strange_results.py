"""Manifests, records and predictions that are sealed and hashed as they should be, and hold what no job writes: one message each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faults.fuzz_results import reseal, seal_by_hand
from tests.support import fakes
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.predictions import check_tables, read_rows, read_scores
from xlift.studies.store import Store

STUDY = "models: [model]\ntargets:\n  - {task: isle-nli, train: {size: 50}, languages: [qta], size: 6}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fakes.finished_study(fakes.study_file(tmp_path, STUDY), tmp_path / "s")
    return tmp_path


def artifact(folder: Path, kind: str = "predict") -> tuple[Path, dict[str, Any]]:
    """The folder and the manifest, without its seal, of the job of a kind."""
    for path in (folder / "s").glob("artifacts/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        if manifest["kind"] == kind:
            del manifest["seal"]
            return path.parent, manifest
    raise AssertionError(kind)


def change_table(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> str:
    """Change a table of the prediction, seal its manifest again, and return its key."""
    place, manifest = artifact(folder)
    pq.write_table(change(pq.read_table(place / name)), place / name)
    reseal(place, manifest)
    return manifest["key"]


def set_column(name: str, values: Any, type_: Any = None) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(
        table.column_names.index(name), name, values(len(table)) if callable(values) else pa.array(values, type_)
    )


def not_utf8(count: int) -> pa.Array:
    binary = pa.array([b"\xff"] + [b"x"] * (count - 1), pa.binary())
    return pa.Array.from_buffers(pa.string(), count, binary.buffers())


@pytest.mark.parametrize(
    "change",
    [
        set_column("id", not_utf8), set_column("unit", not_utf8), set_column("prediction", not_utf8), set_column("gold", not_utf8),
        set_column("id", [None] * 6, pa.string()), set_column("id", [1] * 6), set_column("unit", [[1]] * 6),
        set_column("prediction", [None] * 6, pa.string()), set_column("prediction", [b"0"] * 6), set_column("gold", ["NaN"] * 6),
        set_column("gold", ["9" * 40] * 6), set_column("prediction", ["[" * 5000] * 6), set_column("prediction", ['"\\ud800"'] * 6),
    ],
)  # fmt: skip
def test_texts_of_predictions_that_cannot_be_read(folder: Path, change: Callable[[pa.Table], pa.Table]):
    key = change_table(folder, "predictions.parquet", change)
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(Store(folder / "s"), key)


@pytest.mark.parametrize(
    "metadata",
    [{"kind": b"\xff"}, {"labels": b"1"}, {"labels": b"[1, 2]"}, {"labels": b"\xff"}, {"labels": b"[" * 5000}],
)
def test_scores_whose_labels_cannot_be_read(folder: Path, metadata: dict[str, bytes]):
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field("scores")
        return table.cast(
            pa.schema(
                [
                    field.with_metadata(
                        {**(field.metadata or {}), **{name.encode(): value for name, value in metadata.items()}}
                    )
                ]
            )
        )

    key = change_table(folder, "scores.parquet", change)
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(Store(folder / "s"), key)


@pytest.mark.parametrize("values", [[1.0] * 6, [["a"]] * 6, [[None, 0.5]] * 6, [[[0.5]]] * 6])
def test_scores_that_are_no_lists_of_numbers(folder: Path, values: Any):
    key = change_table(folder, "scores.parquet", lambda table: pa.table({"scores": values}))
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(Store(folder / "s"), key)


def test_damaged_parquet_of_a_stranger_is_a_message(folder: Path):
    """pyarrow raises OSError for damaged headers of pages, and not one of its own errors."""
    content = (artifact(folder)[0] / "predictions.parquet").read_bytes()
    for at in range(4, len(content) - 4, max(1, len(content) // 60)):
        damaged = content[:at] + b"\xff" + content[at + 1 :]
        for changed in (damaged, content[: at // 2] + content[-at:]):
            with suppress(ValueError):  # any other error is none
                check_tables({"predictions.parquet": changed})


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": "0.02"}, {"seconds": -1}, {"seconds": float("nan")}, {"seconds": 1e999}, {"seconds": True}, {"versions": None},
        {"versions": {"torch": 2}}, {"files": []}, {"files": {"model.safetensors": 3}}, {"files": {"": {"sha256": "0", "bytes": 1}}},
        {"files": {"../x": {"sha256": "0", "bytes": 1}}}, {"kind": "x"}, {"kind": 3}, {"parents": [1]}, {"started": 7}, {"machine": "x"},
        {"numbers": []}, {"spec": "x"}, {"numbers": {"steps": 10**30}}, {"spec": {"a": "\ud800"}},
        {"spec": {"model": 3}}, {"spec": {"lr_choices": [{}]}}, {"spec": {"lr_choices": 3}}, {"spec": {"recipe": []}},
    ],
)  # fmt: skip
def test_a_sealed_manifest_of_another_form_is_damaged(folder: Path, changes: dict[str, Any]):
    place, manifest = artifact(folder, "train")
    (place / "manifest.json").write_bytes(seal_by_hand(manifest | changes))
    store = Store(folder / "s")
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        store.open(manifest["key"])
    assert [problem.key for problem in store.verify()] == [manifest["key"]]


def test_pipes_and_devices_in_a_store_are_no_files(folder: Path):
    """A reader would wait on a pipe for ever, and a device may have no end."""
    place, manifest = artifact(folder)
    store = Store(folder / "s")
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        for name in ("scores.parquet", "manifest.json"):
            (place / name).rename(folder / "kept")
            make(place / name)
            with pytest.raises(UserError, match="no plain file"):
                store.open(manifest["key"])
            (place / name).unlink()
            (folder / "kept").rename(place / name)
    store.open(manifest["key"])


def test_a_record_in_the_place_of_a_pipe_is_no_study(folder: Path, xlift: Xlift):
    (folder / "s/studies/study.json").unlink()
    os.mkfifo(folder / "s/studies/study.json")
    assert xlift("report", "study", "--store", "s").code == 2


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "1e999",
        "9" * 30,
        "-" + "9" * 30,
        "[" * 5000 + "]" * 5000,
        "[" * 200 + "]" * 200,
        '{"\\ud800": 1}',
        '["\\udfff"]',
        "x",
        "",
    ],
)
def test_json_that_no_file_of_xlift_has(text: str):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_that_files_of_xlift_have():
    assert parse_json(b'{"a": [1, -2.5, null, true, "\\ud83d\\ude00\xc3\xa9"]}') == {"a": [1, -2.5, None, True, "😀é"]}


@pytest.mark.parametrize("name", ["artifacts", "locks", "tmp", "partial", "aside", "studies", "manifests"])
def test_a_store_whose_folder_is_a_link_is_refused(folder: Path, xlift: Xlift, name: str):
    """`xlift store gc` would remove and write files in the folder that the link names."""
    (folder / "outside").mkdir()
    (folder / "outside" / ("0" * 64)).mkdir()
    place = folder / "s" / name
    if place.exists():
        place.rename(folder / "moved")
    place.symlink_to(folder / "outside")
    for words in ("store gc", "store verify --repair", "report study"):
        answer = xlift(*words.split(), "--store", "s")
        assert (answer.code, f"s/{name}: it is a link" in answer.err) == (2, True), answer.err
    assert [path.name for path in (folder / "outside").rglob("*")] == ["0" * 64]


def test_links_in_the_place_of_artifacts_are_removed_and_what_they_name_stays(folder: Path, xlift: Xlift):
    place, manifest = artifact(folder)
    shutil.copytree(place, folder / "outside")
    shutil.rmtree(place)
    place.symlink_to(folder / "outside")
    (folder / "s/studies/study.json").unlink()
    assert xlift("store", "gc", "--store", "s").code == 0
    assert not place.is_symlink()
    assert sorted(path.name for path in (folder / "outside").iterdir()) == sorted([*manifest["files"], "manifest.json"])


def test_a_damaged_contamination_report_is_named_when_results_are_exported(folder: Path, xlift: Xlift):
    (folder / "s/contamination").mkdir()
    for content in ('{"a', "[" * 5000, '{"x": NaN}'):
        (folder / "s/contamination/study.json").write_text(content)
        answer = xlift("store", "export", "study", "--results", "b.zip", "--store", "s")
        assert (answer.code, "the contamination report is damaged" in answer.err) == (2, True), answer.err


def test_a_control_that_no_study_has_is_damage_of_the_record(folder: Path, xlift: Xlift):
    path = folder / "s/studies/study.json"
    record = json.loads(path.read_text())
    record["cells"][0]["control"] = "../x"
    path.write_text(json.dumps(record))
    answer = xlift("report", "study", "--store", "s")
    assert (answer.code, "the record is damaged: there is no control '../x'" in answer.err) == (2, True), answer.err


@pytest.mark.parametrize("name", ["{a: b}", "[x]", "3", ""])
def test_a_task_whose_name_is_no_text_is_named(folder: Path, xlift: Xlift, name: str):
    (folder / "t.csv").write_text("text,label\nx,a\ny,b\n")
    task = f"{{name: {name}, format: classification, files: {{train: {{en: t.csv}}}}}}"
    (folder / "t.yaml").write_text(f"models: [model]\ntargets: [{{task: isle-nli, train: {{}}}}]\ntasks:\n  - {task}\n")
    answer = xlift("plan", "t.yaml", "--store", "s")
    assert (answer.code, "tasks.0.name" in answer.err) == (2, True), answer.err
