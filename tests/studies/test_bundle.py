"""Bundles of results: equal reports without the store, jobs that count as done, and bundles that are damaged or hostile."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support import fakes
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.studies import bundle_files, predictions
from xlift.studies.artifact import add_seal, check_seal
from xlift.studies.bundle import Bundle, export_results, import_jobs, open_bundle, store_of_bundle
from xlift.studies.plan import Plan
from xlift.studies.store import Store

STUDY = """\
models: [model]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtu], size: 12, noise: {kind: typos, level: 0.2}}
  - {task: isle-retrieval, languages: [qtu], size: 12}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, its store, and its bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    _, store = fakes.finished_study(fakes.study_file(folder, STUDY), folder / "s")
    export_results(store, "study", folder / "b.zip")
    return folder


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    return fakes.plan_of(folder / "study.yaml")


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder / "s")


@pytest.fixture
def bundle(folder: Path) -> Path:
    return folder / "b.zip"


@pytest.fixture
def study(folder: Path, tmp_path: Path) -> Path:
    """A copy of the study, its store and its bundle in `tmp_path`."""
    return Path(shutil.copytree(folder, tmp_path, dirs_exist_ok=True)) / "study.yaml"


def rewrite(source: Path, target: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """A bundle with changed files, whose index and seal are right."""
    opened = bundle_files.open_files(source)
    files = {name: opened.read(name) for name in opened.files}
    change(files)
    bundle_files.write_files(target, opened.study, files)
    return target


def change_index(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A zip file with a changed index, whose seal is right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "bundle.json":
                index = check_seal(content)
                change(index)
                content = add_seal(index)
            new.writestr(entry.filename, content)
    return target


# --- equal reports ----------------------------------------------------------------------------------------------------

FORMATS = (
    ["--json"], ["--json", "--metrics"], ["--json", "--noise"], ["--csv"], ["--latex"], ["--markdown", "--languages"], [],
)  # fmt: skip


@pytest.mark.parametrize("name", ["b.zip", "b"])
def test_a_bundle_gives_every_table_and_page_of_the_store(xlift: Xlift, study: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "b.zip").unlink()
    assert xlift("contamination", "study.yaml", "--store", "s").code == 0
    wrote = xlift("store", "export", "study", "--results", name, "--store", "s")
    assert (wrote.code, wrote.err) == (0, "")
    of_store = [xlift("report", "study", "--store", "s", *options) for options in FORMATS]
    assert xlift("report", "study", "--store", "s", "--html", "store.html").code == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    shutil.rmtree(tmp_path / "s")
    of_bundle = [xlift("report", f"elsewhere/{name}", *options) for options in FORMATS]
    assert of_bundle == of_store
    assert all(answer.code == 0 and answer.out for answer in of_bundle)
    assert xlift("report", f"elsewhere/{name}", "--html", "bundle.html").code == 0
    assert (tmp_path / "bundle.html").read_bytes() == (tmp_path / "store.html").read_bytes()
    assert not (tmp_path / "xlift-store").exists()


@pytest.mark.slow
def test_an_unfinished_study_has_a_bundle_that_says_so(xlift: Xlift, study: Path, tmp_path: Path) -> None:
    for path in sorted((tmp_path / "s" / "artifacts").glob("*/*/predictions.parquet"))[:2]:
        shutil.rmtree(path.parent)
    (tmp_path / "b.zip").unlink()
    wrote = xlift("store", "export", "study", "--results", "b.zip", "--store", "s")
    assert wrote.code == 0
    assert "2 of 13 jobs are missing" in wrote.err
    assert xlift("report", "b.zip", "--json") == xlift("report", "study", "--store", "s", "--json")


def test_equal_stores_give_equal_bytes_and_no_weights(bundle: Path, store: Store, tmp_path: Path) -> None:
    export_results(store, "study", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        assert not [name for name in archive.namelist() if "safetensors" in name]
        assert b'"host"' not in archive.read("manifests.jsonl")
    with store_of_bundle(bundle) as (name, copy):  # what was copied once is exported as the same bytes
        export_results(copy, name, tmp_path / "copied.zip")
    assert (tmp_path / "copied.zip").read_bytes() == bundle.read_bytes()
    export_results(store, "study", tmp_path / "folder")
    assert [path.name for path in sorted((tmp_path / "folder").iterdir())] == [
        "artifacts", "bundle.json", "manifests.jsonl", "record.json",
    ]  # fmt: skip


def test_a_bundle_keeps_scores_and_units(bundle: Path, plan: Plan, store: Store) -> None:
    with store_of_bundle(bundle) as (_, copy):
        for cell in plan.cells:
            assert predictions.read_scores(copy, cell.key) == predictions.read_scores(store, cell.key)
            assert predictions.read_rows(copy, cell.key) == predictions.read_rows(store, cell.key)


def test_an_existing_path_is_refused(xlift: Xlift, study: Path, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    answer = xlift("store", "export", "study", "--results", "b.zip", "--store", "s")
    assert (answer.code, (tmp_path / "b.zip").read_text()) == (2, "mine")
    assert xlift("store", "export", "study", "x", "--results", "c.zip", "--store", "s").code == 2
    assert xlift("store", "export", "study", "--store", "s").code == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


# --- jobs that count as done ------------------------------------------------------------------------------------------


def test_jobs_of_a_bundle_count_as_done(xlift: Xlift, study: Path) -> None:
    expected = xlift("report", "study", "--store", "s", "--json").out
    answer = xlift("run", "study.yaml", "--store", "new", "--from", "b.zip", "--workers", "0")
    assert answer.code == 0, answer.err
    assert "13 of 13 jobs are taken from b.zip." in answer.err
    assert xlift("report", "study", "--store", "new", "--json").out == expected
    assert xlift("plan", "study.yaml", "--store", "new").out.endswith("All jobs are done.\n")
    assert xlift("store", "verify", "--store", "new").code == 0
    again = xlift("run", "study.yaml", "--store", "new", "--from", "b.zip", "--workers", "0")
    assert "0 of 13 jobs are taken from b.zip." in again.err


@pytest.mark.slow
def test_a_larger_study_trains_again_what_it_starts_from(xlift: Xlift, study: Path, tmp_path: Path) -> None:
    import_jobs(open_bundle(tmp_path / "b.zip"), fakes.plan_of(study).jobs, Store(tmp_path / "new"))
    larger = STUDY.replace("languages: [qta, qtu]", "languages: [qta, qtu, qka]")
    fakes.study_file(tmp_path, larger, "larger.yaml")
    out = xlift("plan", "larger.yaml", "--store", "new", columns=200).out
    # two new predictions with and two without noise, two target stages, one intermediate stage
    assert "3 finished jobs run again: the store has their results but no longer their weights" in " ".join(out.split())
    assert "10 done, 7 left" in out
    jobs = json.loads(xlift("plan", "larger.yaml", "--store", "new", "--json").out)["jobs"]
    assert sorted(job["kind"] for job in jobs if not job["done"]) == ["predict"] * 4 + ["train"] * 3


def test_a_manifest_of_another_key_is_refused(bundle: Path, plan: Plan, tmp_path: Path) -> None:

    def change(files: dict[str, bytes]) -> None:
        lines = [check_seal(line) for line in files["manifests.jsonl"].splitlines()]
        lines[0]["spec"]["seed"] = 99
        sealed = [json.dumps(json.loads(add_seal(line))).encode() for line in lines]
        files["manifests.jsonl"] = b"\n".join(sealed) + b"\n"

    changed = rewrite(bundle, tmp_path / "c.zip", change)
    store = Store(tmp_path / "new")
    with pytest.raises(UserError, match="is not of this key"):
        import_jobs(open_bundle(changed), plan.jobs, store)
    assert not any(store.is_done(key) for key in plan.jobs)


def test_keys_decide_and_not_the_record(bundle: Path, plan: Plan, tmp_path: Path) -> None:
    changed = rewrite(bundle, tmp_path / "c.zip", lambda files: files.update({"record.json": b"{}"}))
    few = dict(list(plan.jobs.items())[:4])
    assert list(import_jobs(open_bundle(changed), few, Store(tmp_path / "new"))) == list(few)


# --- damaged, cut, newer ----------------------------------------------------------------------------------------------


def use(path: Path) -> None:
    with store_of_bundle(path) as (name, store):
        assert name
        assert store


def test_a_changed_byte_or_a_cut_is_refused(bundle: Path, tmp_path: Path) -> None:
    content, rng = bundle.read_bytes(), random.Random(1)
    for _ in range(40):
        place = rng.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        damaged = tmp_path / "d.zip"
        damaged.write_bytes(changed if rng.random() < 0.5 else content[:place])
        with suppress(UserError):  # a changed time of an entry is harmless; any other error is none
            use(damaged)
    for length in (0, 3, len(content) // 2, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(UserError, match="the bundle is damaged"):
            use(damaged)


@pytest.mark.slow
def test_a_changed_file_of_a_folder_is_refused(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    export_results(store, "study", folder)
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()][:8]:
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(UserError, match="the bundle is damaged"):
            use(folder)
        path.unlink()
        with pytest.raises(UserError, match="the bundle is damaged|no study"):
            use(folder)
        path.write_bytes(content)
    use(folder)


def test_a_newer_format_is_refused(xlift: Xlift, study: Path, bundle: Path, tmp_path: Path) -> None:
    newer = change_index(bundle, tmp_path / "n.zip", lambda index: index.update(format=2))
    for command in (("report", newer), ("run", "study.yaml", "--from", newer, "--store", "new")):
        answer = xlift(*command)
        assert answer.code == 2
        assert "has format 2, and this version of xlift reads up to format 1" in answer.err


def test_no_bundle_is_a_usual_error(xlift: Xlift, study: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip file")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("text.zip", "the bundle is damaged"),
        ("gone.zip", "no such file"),
        ("folder", "the folder is no bundle"),
    ):
        answers = xlift("report", name), xlift("run", "study.yaml", "--from", name, "--store", "new")
        for answer in answers:
            assert (answer.code, answer.out) == (2, "")
            assert answer.err.startswith(f"xlift: {name}: {message}")
    assert xlift("report", "gone.yaml").err.startswith("xlift: gone.yaml: no such file")
    assert not (tmp_path / "new").exists()


# --- hostile ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "artifacts/../../evil", "artifacts\\..\\evil", "record.json\n", "x" * 5000, "a/b"]
)
def test_names_of_other_forms_are_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "bytes": 1}
    hostile = change_index(bundle, tmp_path / "h.zip", lambda index: index["files"].update({name: entry}))
    with pytest.raises(UserError, match="damaged"):
        use(hostile)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("study", ["..", "../x", "a/b", "", ".x", "x\n"])
def test_names_of_studies_lead_nowhere(bundle: Path, tmp_path: Path, study: str) -> None:
    hostile = change_index(bundle, tmp_path / "h.zip", lambda index: index.update(study=study))
    with pytest.raises(UserError, match="damaged"):
        use(hostile)


def test_bombs_are_refused_by_their_size(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"sha256": "0" * 64, "bytes": bundle_files.MAX_BYTES + 1}
    large = change_index(bundle, tmp_path / "l.zip", lambda index: index["files"].update({"contamination.json": entry}))
    with pytest.raises(UserError, match=r"2\.0 GB, more than 2 GB"):
        use(large)
    # a file of zeros that says it is small
    bomb = tmp_path / "z.zip"
    shutil.copy(bundle, bomb)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("contamination.json", b"0" * 50_000_000)
    bomb = change_index(bomb, tmp_path / "y.zip", lambda index: index["files"].update(
        {"contamination.json": {"sha256": "0" * 64, "bytes": 10}}
    ))  # fmt: skip
    with pytest.raises(UserError, match="has more than 10 bytes"):
        use(bomb)
    monkeypatch.setattr(bundle_files, "MAX_FILES", 3)
    with pytest.raises(UserError, match="more than 3"):
        use(bundle)


def test_a_table_that_is_long_when_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_TABLE_BYTES", 1_000_000)
    text = pa.array(['"' + "a" * 1000 + '"'] * 10_000)  # 10 MB in some hundred bytes
    column = pa.array(["x"] * 10_000)
    table = pa.table({"id": column, "gold": text, "prediction": column, "unit": column})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    content = (tmp_path / "t.parquet").read_bytes()
    assert len(content) < 6000
    with pytest.raises(ValueError, match="too large"):
        predictions.check_tables({"predictions.parquet": content})
    with pytest.raises(ValueError, match="has the columns"):
        pq.write_table(pa.table({"id": column}), tmp_path / "t.parquet")
        predictions.check_tables({"predictions.parquet": (tmp_path / "t.parquet").read_bytes()})
    with pytest.raises(ValueError, match="cannot be read"):
        predictions.check_tables({"predictions.parquet": b"PAR1" + b"x" * 100 + b"PAR1"})


def test_links_and_pipes_in_a_folder_are_refused(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    export_results(store, "study", folder)
    for make in (lambda path: path.symlink_to(tmp_path / "copy"), os.mkfifo):
        shutil.copy(folder / "record.json", tmp_path / "copy")
        (folder / "record.json").unlink()
        make(folder / "record.json")
        with pytest.raises(UserError, match="is a link|no plain file|does not match"):
            use(folder)
        (folder / "record.json").unlink()
        shutil.copy(tmp_path / "copy", folder / "record.json")
    (folder / "artifacts").rename(tmp_path / "moved")
    (folder / "artifacts").symlink_to(tmp_path / "moved")
    with pytest.raises(UserError, match="is a link"):
        use(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["study"].update(title="\x1b[2Jgone"),
        lambda record: record["study"].update(name="other"),
        lambda record: record["cells"][0].update(seed=[1]),
        lambda record: record["cells"][0].update(language=7),
        lambda record: record["cells"][0].update(key="../../x"),
        lambda record: record["cells"][0].update(task="never heard of"),
        lambda record: record["tasks"]["isle-nli"].update(metrics=["never heard of"]),
        lambda record: record["tasks"]["isle-nli"].update(faults=[{}]),
        lambda record: record.update(languages=[7]),
        lambda record: record.update(keys=[7]),
        lambda record: record.update(cells="x"),
        lambda record: record.pop("tasks"),
    ],
)
def test_a_record_of_another_form_is_an_error_and_no_traceback(
    xlift: Xlift, bundle: Path, tmp_path: Path, change: Callable[[Any], object]
) -> None:
    def change_record(files: dict[str, bytes]) -> None:
        record = json.loads(files["record.json"])
        change(record)
        files["record.json"] = json.dumps(record).encode()

    hostile = rewrite(bundle, tmp_path / "h.zip", change_record)
    answer = xlift("report", hostile, "--html", "x.html")
    assert answer.code == 2, answer
    assert "\x1b" not in answer.err + answer.out


def test_deep_json_is_an_error(bundle: Path, tmp_path: Path) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    hostile = rewrite(bundle, tmp_path / "h.zip", lambda files: files.update({"record.json": deep}))
    with pytest.raises(UserError, match="damaged"):
        use(hostile)
    hostile = rewrite(bundle, tmp_path / "i.zip", lambda files: files.update({"manifests.jsonl": deep}))
    with pytest.raises(UserError, match="damaged"):
        assert Bundle(bundle_files.open_files(hostile)).manifests
