"""`xlift store merge`: studies of other stores and bundles, whole or not at all, with the same numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import Xlift
from tests.support.command import xlift as xlift
from tests.support.fakes import finished_study, study_file

import xlift as package
from xlift.errors import UserError
from xlift.studies.artifact import add_seal, check_seal
from xlift.studies.bundle import export_results
from xlift.studies.record import list_studies
from xlift.studies.store import Store
from xlift.studies.store_merge import merge_store

STUDY = """\
models: [model]
seeds: [1, 2]
intermediate: [none, {task: isle-qa, size: 100}]
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtm], size: 10}
"""
OTHER = STUDY.replace("seeds: [1, 2]", "seeds: [2, 3]")
"""Has the jobs of seed 2 in common."""


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    _, one = finished_study(study_file(tmp_path, STUDY, "one.yaml"), tmp_path / "one")
    _, two = finished_study(study_file(tmp_path, OTHER, "two.yaml"), tmp_path / "two")
    return one, two


def contents(store: Store) -> dict[str, bytes]:
    return {str(path.relative_to(store.root)): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_a_merged_store_has_the_numbers_of_both(stores: tuple[Store, Store], tmp_path: Path):
    one, two = stores
    merged = merge_store(two, one, two.root)
    assert [(study.name, study.copied, study.kept, study.unfinished) for study in merged] == [("two", 7, 7, 0)]
    assert list_studies(one) == ["one", "two"]
    both = package.load(tmp_path / "one")
    own = package.load(tmp_path / "two")
    assert both.lifts("two").equals(own.lifts())
    assert both.scores("two", means=True).equals(own.scores(means=True))
    assert both.sql("select * from lifts where study = 'two'").equals(own.lifts())
    assert not one.verify()


def test_merging_again_changes_nothing(stores: tuple[Store, Store]):
    one, two = stores
    merge_store(two, one, two.root)
    before = contents(one)
    (again,) = merge_store(two, one, two.root)
    assert (again.was_here, again.copied, again.kept) == (True, 0, 14)
    assert contents(one) == before


def test_a_bundle_merges_without_weights(stores: tuple[Store, Store], tmp_path: Path, xlift: Xlift):
    one, two = stores
    export_results(two, "two", tmp_path / "two.zip")
    answer = xlift("store", "merge", "two.zip", "--store", "one")
    assert (answer.code, answer.out) == (0, "two of two.zip: 7 jobs copied, 7 here already\n")
    assert package.load(tmp_path / "one").lifts("two").equals(package.load(tmp_path / "two").lifts())
    merge_store(two, one, two.root)  # the files that the bundle lacks
    assert all(one.has(entry.key) for entry in two.ls())


def test_a_store_is_made_if_it_is_missing(stores: tuple[Store, Store], tmp_path: Path, xlift: Xlift):
    assert xlift("store", "merge", "one", "two", "--store", "new").code == 0
    assert list_studies(Store(tmp_path / "new")) == ["one", "two"]


def test_another_study_of_the_same_name_is_refused_or_renamed(
    stores: tuple[Store, Store], tmp_path: Path, xlift: Xlift
):
    one, _ = stores
    finished_study(study_file(tmp_path, OTHER, "one.yaml"), tmp_path / "three")
    before = contents(one)
    answer = xlift("store", "merge", "three", "--store", "one")
    assert answer.code == 2
    assert "the store has another study 'one'" in answer.err
    assert "--rename one=one-2" in answer.err
    assert contents(one) == before
    assert xlift("store", "merge", "three", "--store", "one", "--rename", "one=one-2").code == 0
    assert set(package.load(tmp_path / "one").scores("one-2").seed) == {2, 3}
    assert json.loads(xlift("report", "one-2", "--store", "one", "--json").out)[0]["study"] == "one-2"


def rewrite(store: Store, key: str, change: Callable[[dict[str, Any]], None], file: str = "") -> None:
    """Change a manifest and seal it again, so that only its content is wrong."""
    path = store.path(key) / "manifest.json"
    manifest = check_seal(path.read_bytes())
    change(manifest)
    path.write_bytes(add_seal(manifest))


def other_key(one: Store, two: Store, kind: str = "predict") -> str:
    return next(entry.key for entry in two.ls() if entry.kind == kind and not one.has(entry.key))


def common_key(one: Store, two: Store) -> str:
    return next(entry.key for entry in two.ls() if entry.kind == "predict" and one.has(entry.key))


def test_another_result_of_a_job_is_refused_or_the_own_one_is_kept(stores: tuple[Store, Store]):
    one, two = stores
    rewrite(two, common_key(one, two), lambda manifest: manifest.update(sha256="0" * 64))
    before = contents(one)
    with pytest.raises(UserError, match="has another result here"):
        merge_store(two, one, two.root)
    assert contents(one) == before
    (merged,) = merge_store(two, one, two.root, keep_existing=True)
    assert (merged.copied, merged.other_results) == (7, 1)
    assert {name: contents(one)[name] for name in before} == before


def test_a_flipped_byte_is_refused_and_nothing_is_copied(stores: tuple[Store, Store]):
    one, two = stores
    path = two.path(other_key(one, two)) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(bytes(content))
    before = contents(one)
    with pytest.raises(UserError, match="predictions.parquet is damaged"):
        merge_store(two, one, two.root)
    assert contents(one) == before


def test_a_manifest_under_the_key_of_another_job_is_refused(stores: tuple[Store, Store]):
    # A result under a key that a plan uses would count as the result of that job.
    one, two = stores
    rewrite(two, other_key(one, two), lambda manifest: manifest["spec"]["data"].update(size=7))
    with pytest.raises(UserError, match="is not of this key"):
        merge_store(two, one, two.root)


def test_links_are_refused(stores: tuple[Store, Store], tmp_path: Path):
    one, two = stores
    path = two.path(other_key(one, two, "train")) / "model.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        merge_store(two, one, two.root)


def test_control_characters_in_a_record_are_refused(stores: tuple[Store, Store]):
    one, two = stores
    path = two.root / "studies" / "two.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["study"]["title"] = "\x1b[2J"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="control characters"):
        merge_store(two, one, two.root)


def test_a_merge_that_is_interrupted_leaves_no_study_and_is_resumed(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
):
    one, two = stores
    copy, count = Store.copy_artifact, 0

    def stop(self: Store, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        copy(self, *arguments)

    monkeypatch.setattr(Store, "copy_artifact", stop)
    with pytest.raises(KeyboardInterrupt):
        merge_store(two, one, two.root)
    assert list_studies(one) == ["one"]
    assert not one.verify()
    monkeypatch.setattr(Store, "copy_artifact", copy)
    (merged,) = merge_store(two, one, two.root)
    assert (merged.copied, merged.kept) == (7 - 3, 7 + 3)


def test_unfinished_studies_and_removed_weights_are_merged_as_they_are(stores: tuple[Store, Store]):
    one, two = stores
    trained, predicted = other_key(one, two, "train"), other_key(one, two)
    two.release(trained)
    shutil.rmtree(two.path(predicted))
    (merged,) = merge_store(two, one, two.root)
    assert (merged.copied, merged.unfinished) == (6, 1)
    assert one.is_done(trained)
    assert not one.has(trained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one"], "a store cannot be merged into itself"),
        (["nowhere"], "no such store or bundle"),
        (["empty"], "it has no studies"),
        (["two", "--rename", "two"], "'two' gives no name"),
        (["two", "--rename", "tow=x"], "it has no study 'tow'"),
        (["two", "--rename", "two=../x"], "'../x' cannot name a study"),
        (["two", "two", "--rename", "two=x"], "--rename is for one source"),
    ],
)
def test_wrong_words_are_refused(stores, tmp_path: Path, xlift: Xlift, words: list[str], message: str):
    (tmp_path / "empty").mkdir()
    answer = xlift("store", "merge", *words, "--store", "one")
    assert answer.code == 2
    assert message in answer.err
