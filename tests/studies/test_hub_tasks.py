"""A custom task from a dataset of the Hub (`hub:`), with the real client and a stand-in server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import Xlift
from tests.support.fakes import model_folder
from tests.support.hub import Hub, parquet

from xlift.errors import UserError
from xlift.studies.plan import make_plan
from xlift.studies.plan_types import Plan
from xlift.studies.record import make_record, pin_commits, read_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import StudyFile, read_study
from xlift.tasks.sources.hub import HubSource

REPOSITORY = "org/topics"
LABELS = ("billing", "other")
STUDY = """\
models: [model]
targets: [{task: topics}]
tasks:
  - name: topics
    format: classification
    hub: org/topics
    config: "{lang}"
    splits: {train: {en: train}, test: test}
    languages: [de, swh]
"""


def rows(language: str, number: int) -> list[dict[str, Any]]:
    return [{"text": f"{language} text {i}", "label": LABELS[i % 2]} for i in range(number)]


FILES = {
    "en/train-00000-of-00002.parquet": parquet(rows("en", 8)),
    "en/train-00001-of-00002.parquet": parquet(rows("en", 12)[8:]),
    "en/test-00000-of-00001.parquet": parquet(rows("en", 4)),
    "de/test-00000-of-00001.parquet": parquet(rows("de", 5)),
    "swh/test-00000-of-00001.parquet": parquet(rows("swh", 6)),
    "topics.py": b"raise SystemExit('the loading script was run')",
    "README.md": b"# Topics",
}


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as server:
        server.commit("dataset", REPOSITORY, FILES)
        server.connect(monkeypatch, tmp_path / "cache")
        yield server


def study(folder: Path, text: str = STUDY) -> StudyFile:
    model_folder(folder / "model")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return read_study(str(folder / "study.yaml"))


def head(standin: Hub, branch: str = "main") -> str:
    return standin.repositories["dataset", REPOSITORY].branches[branch]


def source_of(plan: Plan) -> HubSource:
    source = plan.tasks["topics"].source
    assert isinstance(source, HubSource)
    return source


def counts(plan: Plan) -> dict[tuple[str, str], int]:
    """(split, language) -> number of examples."""
    (summary,) = plan.summaries
    return {(each.split, each.language): each.num_examples for each in summary.splits}


def refused(folder: Path, text: str, **options: Any) -> str:
    with pytest.raises(UserError) as info:
        make_plan(study(folder, text), **options)
    return str(info.value)


def record(file: StudyFile, plan: Plan, store: Store) -> None:
    write_record(make_record(file, plan), store)


def test_configs_and_splits_are_read_as_load_dataset_names_them(standin: Hub, tmp_path: Path):
    plan = make_plan(study(tmp_path))
    assert counts(plan) == {("train", "en"): 12, ("test", "de"): 5, ("test", "sw"): 6}
    task = plan.tasks["topics"]
    assert (task.labels, task.train_language) == (LABELS, "en")
    assert [cell.language for cell in plan.cells] == ["de", "sw"]
    texts = [example.text_a for example in task.source.read(task, "en", "train", None)]
    assert texts == [f"en text {i}" for i in range(12)]  # in the order of the shards


def test_only_parquet_files_of_the_declared_languages_are_downloaded(standin: Hub, tmp_path: Path):
    make_plan(study(tmp_path))
    brought = {path.relative_to(path.parents[1]).as_posix() for path in (tmp_path / "cache").rglob("snapshots/*/*/*")}
    assert brought == set(FILES) - {"en/test-00000-of-00001.parquet", "topics.py", "README.md"}


def test_the_fingerprint_is_that_of_the_same_files_on_disk(standin: Hub, tmp_path: Path):
    plan = make_plan(study(tmp_path))
    for name, content in FILES.items():
        (tmp_path / Path(name).parent).mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    local = STUDY[: STUDY.index("    hub:")] + (
        "    files:\n      train: {en: [en/train-00000-of-00002.parquet, en/train-00001-of-00002.parquet]}\n"
        '      test: "{lang}/test-00000-of-00001.parquet"\n    languages: [de, swh]\n'
    )
    assert make_plan(study(tmp_path, local)).jobs.keys() == plan.jobs.keys()


@pytest.mark.parametrize(
    "paths",
    [
        {"train": "data/train-00000-of-00001-0a1b2c3d4e5f6071.parquet", "test": "data/test-00000-of-00001.parquet"},
        {"train": "train.parquet", "test": "test.parquet"},
        {"train": "default/train/0000.parquet", "test": "default/test/0000.parquet"},
        {"train": "data/train/part-0.parquet", "test": "data/test/part-0.parquet"},
    ],
    ids=["push_to_hub", "plain", "converted", "folders"],
)
def test_the_usual_layouts_of_a_dataset_without_configs(standin: Hub, tmp_path: Path, paths: dict[str, str]):
    standin.commit(
        "dataset", "org/one", {paths["train"]: parquet(rows("en", 8)), paths["test"]: parquet(rows("de", 4))}
    )
    text = STUDY[: STUDY.index("    hub:")] + "    hub: org/one\n    splits: {train: {en: train}, test: {de: test}}\n"
    assert counts(make_plan(study(tmp_path, text))) == {("train", "en"): 8, ("test", "de"): 4}


def test_the_language_may_be_in_the_split_or_in_a_column(standin: Hub, tmp_path: Path):
    mixed = [{**row, "lang": code} for code in ("de", "swh") for row in rows(code, 4)]
    files = {
        "data/en.parquet": parquet(rows("en", 8)),
        "data/de.parquet": parquet(rows("de", 3)),
        "data/all.parquet": parquet(mixed),
    }
    standin.commit("dataset", "org/one", files)
    start = STUDY[: STUDY.index("    hub:")] + "    hub: org/one\n"
    text = start + '    splits: {train: {en: en}, test: "{lang}"}\n    languages: [de]\n'
    assert counts(make_plan(study(tmp_path, text))) == {("train", "en"): 8, ("test", "de"): 3}
    text = (
        start
        + "    files: {test: data/all.parquet}\n    where: {lang: '{lang}'}\n    languages: [de, swh]\n    labels: [billing, other]\n"
    )
    text = text.replace("format:", "examples_of: ''\n    format:").replace(
        "{task: topics}", "{task: topics, train: {task: isle-nli, size: 50}}"
    )
    with pytest.raises(UserError, match="cannot replace topics"):  # the data were read
        make_plan(study(tmp_path, text))


def test_files_name_paths_in_the_repository(standin: Hub, tmp_path: Path):
    text = STUDY.replace('    config: "{lang}"\n', "").replace(
        "splits: {train: {en: train}, test: test}",
        'files: {train: {en: "en/train-*.parquet"}, test: "{lang}/test-*.parquet"}',
    )
    assert make_plan(study(tmp_path, text)).jobs.keys() == make_plan(study(tmp_path)).jobs.keys()


def test_without_parquet_on_main_the_conversion_of_the_hub_is_read(standin: Hub, tmp_path: Path):
    standin.commit("dataset", "org/csv", {"train.csv": b"text,label\n"})
    converted = {"en/train/0000.parquet": parquet(rows("en", 8)), "de/test/0000.parquet": parquet(rows("de", 4))}
    commit = standin.commit("dataset", "org/csv", converted, branch="refs/convert/parquet")
    plan = make_plan(study(tmp_path, STUDY.replace("org/topics", "org/csv").replace("[de, swh]", "[de]")))
    assert counts(plan) == {("train", "en"): 8, ("test", "de"): 4}
    assert source_of(plan).revision == commit


def test_a_plan_downloads_nothing_and_names_what_is_missing(standin: Hub, xlift: Xlift, tmp_path: Path):
    study(tmp_path)
    answer = xlift("plan", "study.yaml", columns=200)
    assert answer.code == 0, answer.err
    assert "Missing data that the Hub has" in answer.out
    assert f"train en, test de sw, from org/topics at {head(standin)}" in answer.out
    assert not standin.asked("/resolve/")


def test_fetch_brings_the_data_and_the_study_is_planned_offline(
    standin: Hub, xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    study(tmp_path)
    answer = xlift("fetch", "study.yaml", "--data", "data")
    assert answer.code == 0, answer.out
    assert "org/topics at" in answer.out
    standin.connect(monkeypatch, tmp_path / "empty", offline=True)
    answer = xlift("plan", "study.yaml", "--data", "data", columns=120)
    assert answer.code == 0, answer.err
    assert f"topics (classification), org/topics at {head(standin)}\n" in answer.out
    assert "Missing" not in answer.out


def test_offline_without_the_data_is_refused_with_what_to_do(
    standin: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    standin.connect(monkeypatch, tmp_path / "empty", offline=True)
    message = refused(tmp_path, STUDY, to_run=False)
    assert "the dataset is not on this machine, and HF_HUB_OFFLINE forbids requests to the Hub" in message
    assert "`xlift fetch`" in message


def test_gated_data_is_refused_as_a_gated_model_is(standin: Hub, tmp_path: Path):
    standin.commit("dataset", REPOSITORY, {}, gated=True)
    message = refused(tmp_path, STUDY)
    assert "the dataset is gated: its owners require registration" in message
    assert "Accept its terms on that page" in message


def test_a_run_pins_the_commit_and_a_rerun_reads_it(standin: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store, file, old = Store(tmp_path / "store"), study(tmp_path), head(standin)
    plan = make_plan(file)
    record(file, plan, store)
    assert plan.describe_datasets() == [f"topics: org/topics at {old}"]
    assert read_record(store, "study").tasks["topics"].origins == (f"org/topics@{old}",)
    new = standin.commit("dataset", REPOSITORY, {"de/test-00000-of-00001.parquet": parquet(rows("de", 9))})
    standin.connect(monkeypatch, tmp_path / "another cache")
    again = make_plan(pin_commits(file, store))
    assert again.jobs.keys() == plan.jobs.keys()
    assert source_of(again).revision == old
    assert source_of(make_plan(file)).revision == new  # another store has no pin
    changed = study(tmp_path, STUDY + "    revision: main\n")
    assert pin_commits(changed, store).pins == {}  # another revision was asked for


def test_a_cache_of_another_tool_does_not_move_the_pin(standin: Hub, tmp_path: Path):
    from huggingface_hub import snapshot_download

    store, file, old = Store(tmp_path / "store"), study(tmp_path), head(standin)
    record(file, make_plan(file), store)
    standin.commit("dataset", REPOSITORY, {"de/test-00000-of-00001.parquet": parquet(rows("de", 9))})
    snapshot_download(REPOSITORY, repo_type="dataset")
    assert source_of(make_plan(file)).revision != old
    assert source_of(make_plan(pin_commits(file, store))).revision == old


def test_a_commit_as_revision_is_read(standin: Hub, tmp_path: Path):
    old = head(standin)
    standin.commit("dataset", REPOSITORY, {"de/test-00000-of-00001.parquet": parquet(rows("de", 9))})
    assert counts(make_plan(study(tmp_path, STUDY + f"    revision: {old}\n")))["test", "de"] == 5
    assert counts(make_plan(study(tmp_path)))["test", "de"] == 9


def test_known_files_are_not_requested_again(standin: Hub, tmp_path: Path):
    make_plan(study(tmp_path))
    asked = len(standin.requests)
    standin.commit("dataset", REPOSITORY, {"de/test-00000-of-00001.parquet": parquet(rows("de", 9))})
    assert counts(make_plan(study(tmp_path)))["test", "de"] == 5
    assert len(standin.requests) == asked


def test_rows_are_checked_as_those_of_own_files(standin: Hub, tmp_path: Path):
    bad = [*rows("de", 3), {"text": "de text 9", "label": "biling"}]
    standin.commit("dataset", REPOSITORY, {"de/test-00000-of-00001.parquet": parquet(bad)})
    message = refused(tmp_path, STUDY)
    assert "de/test-00000-of-00001.parquet:row 4: unknown label 'biling'" in message


def test_rows_can_be_held_out(standin: Hub, tmp_path: Path):
    plan = make_plan(study(tmp_path, STUDY + "    holdout: 4\n"))
    assert counts(plan)["test", "en"] == 4
    assert counts(plan)["train", "en"] == 8


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("org/topics", "org/topic", "the Hub has no such dataset, or it is private"),
        ("org/topics", "org/a/b", "study.yaml:6: tasks.0.hub: 'org/a/b' is not the id of a dataset"),
        ("{en: train}", "{en: trian}", "has no Parquet files of split 'trian' in config 'en'\n  did you mean 'train'?"),
        ("test: test}", "test: tset}", "study.yaml:8: tasks.0.splits.test: org/topics at main has no Parquet files"),
        ("[de, swh]", "[de, sw]", "in config 'sw'\n  did you mean 'swh'? Configs: de, en, swh."),
        ("[de, swh]", "[de, english]", "tasks.0.languages: 'english' is not a language code"),
        ("hub: org/topics", "title: x", "`config` is for a dataset of the Hub"),
        ("splits:", "files:", "`files` and `config` exclude each other"),
        ("splits: {train: {en: train}, test: test}", "metric: accuracy", "missing key 'splits'"),
        ("splits: {train: {en: train}, test: test}", "splits: {train: [train]}", "not a split for each language"),
        ("languages: [de, swh]", "revision: ../../x", "'../../x' is not a branch, a tag or a commit"),
        ("languages: [de, swh]", "metric: accuracy", "no language given for '{lang}/test'"),
        ("    languages: [de, swh]", "    languages: [de]\n    revision: v9", "has no revision 'v9'"),
        ("languages: [de, swh]", "languages: [de]\n    header: [text]", "'.parquet' files have no header line"),
    ],
)  # fmt: skip
def test_faults_of_a_declaration_are_named_with_what_to_do(
    standin: Hub, tmp_path: Path, old: str, new: str, message: str
):
    assert message in refused(tmp_path, STUDY.replace(old, new, 1), to_run=False)


def test_other_files_than_parquet_are_refused(standin: Hub, tmp_path: Path):
    text = STUDY[: STUDY.index("    config:")] + "    files: {train: {en: train.csv}}\n"
    message = refused(tmp_path, text, to_run=False)
    assert "'train.csv' is no Parquet file" in message
    assert "study.yaml:7: tasks.0.files.train" in message


def test_a_part_of_the_rows_is_refused(standin: Hub, tmp_path: Path):
    standin.commit("dataset", REPOSITORY, {"da/partial-test/0000.parquet": parquet(rows("da", 3))})
    message = refused(tmp_path, STUDY.replace("[de, swh]", "[da]"), to_run=False)
    assert "has only a part of the rows of split 'test'" in message


def test_the_pin_survives_a_damaged_or_foreign_record(standin: Hub, tmp_path: Path):
    store, file = Store(tmp_path / "store"), study(tmp_path)
    assert pin_commits(file, store).pins == {}
    record(file, make_plan(file), store)
    path = store.root / "studies" / "study.json"
    content = json.loads(path.read_text())
    content["tasks"]["topics"]["origins"] = ["org/other@" + "0" * 40]
    path.write_text(json.dumps(content))
    assert pin_commits(replace(file), store).pins == {}
