"""`xlift export` and `xlift predict`: an exported model gives the predictions of the store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.command import Xlift
from tests.support.fakes import finished_study, study_file
from tests.support.hub import TOKEN, Hub
from tests.support.tiny_study import plan_of
from tests.support.trained_studies import OPTIONS, TRANSFORMERS_CLASSES, run_small_study, run_study_of_all_heads

from xlift import backbones
from xlift.cli.export import find_pretrained_folder
from xlift.execution import exporting
from xlift.studies.plan import Cell, Plan
from xlift.studies.record import make_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.tasks import catalog

UNTRAINED = ("--target", "isle-nli", "--intermediate", "none", "--seed", 1)
"""Options of the pipeline without an intermediate task."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Store]:
    """Two rows, two seeds, two targets."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("xlift.studies.dev_data.MAX_DEV_EXAMPLES", 30)  # examples; they take most of the time
        return folder, *run_small_study(folder, training={**OPTIONS["training"], "retries": 1})


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Store]:
    return run_study_of_all_heads(tmp_path_factory.mktemp("every"))


def cell_of(plan: Plan, **names: Any) -> Cell:
    return next(cell for cell in plan.cells if all(getattr(cell, name) == value for name, value in names.items()))


def predictions(store: Store, cell: Cell) -> list[Any]:
    table = pq.read_table(store.open(cell.key).file("predictions.parquet"))
    return [json.loads(each) for each in table["prediction"].to_pylist()]


# --- a pipeline by its names ------------------------------------------------------------------------------------------


def test_pipeline_by_its_names(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    folder, _, _ = ran
    answer = xlift(
        "export",
        "study",
        "m",
        "--store",
        folder / "s",
        "--target",
        "isle-nli",
        "--intermediate",
        "isle-pos",
        "--seed",
        2,
    )
    assert answer.code == 0, answer.err
    assert "AutoModelForSequenceClassification" in answer.out
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "xlift.json"} <= files
    assert not list(tmp_path.glob(".m*"))  # no temporary folder is left
    assert json.loads((tmp_path / "m/xlift.json").read_text())["provenance"]["pipeline"]["seed"] == "2"


def test_names_that_match_several_pipelines(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    answer = xlift("export", "study", "m", "--store", ran[0] / "s")
    assert answer.code == 2
    assert (
        "6 pipelines match" in answer.err
    )  # retrieval without an intermediate asks the pretrained model, which is one
    assert "--target isle-nli, isle-retrieval" in answer.err
    assert "--seed 1, 2" in answer.err
    assert "--size" not in answer.err  # it follows from the intermediate
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "isle-nil"), "did you mean 'isle-nli'?"),
        (("--target", "isle-nli", "--intermediate", "isle-qa"), "Values: none, isle-pos."),
        (("--target", "isle-nli", "--seed", "7"), "Values: 1, 2."),
        (("--head", "isle-nli"), "--head needs the key of a job"),
    ],
)
def test_unknown_names(xlift: Xlift, ran: tuple[Path, Plan, Store], words: tuple[str, ...], said: str):
    answer = xlift("export", "study", "m", "--store", ran[0] / "s", *words)
    assert answer.code == 2
    assert said in answer.err


def test_best_by_dev_data_of_the_training_language(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    folder, plan, store = ran
    scores: dict[tuple[str, int], float] = {}
    for cell in plan.cells:
        if cell.target == "isle-nli":
            job = plan.jobs[cell.key].parents[0]
            dev = json.loads((store.path(job) / "training.json").read_text())["attempts"][-1]["dev"]
            assert {each["language"] for each in dev} == {"qta"}
            scores[cell.intermediate, cell.seed] = dev[0]["score"]
    means = {name: sum(scores[name, seed] for seed in (1, 2)) / 2 for name in ("none", "isle-pos")}
    row = max(means, key=lambda name: means[name])
    seed = max((1, 2), key=lambda seed: scores[row, seed])
    answer = xlift("export", "study", "m", "--store", folder / "s", "--target", "isle-nli", "--best", "--json")
    result = json.loads(answer.out)
    assert (result["intermediate"], result["seed"]) == (row, str(seed))
    assert "isle-nli dev in qta" in result["chosen"]
    assert "Languages that are only scored did not count" in (tmp_path / "m/README.md").read_text()


def test_best_needs_one_target_and_dev_scores(xlift: Xlift, ran: tuple[Path, Plan, Store]):
    answer = xlift("export", "study", "m", "--store", ran[0] / "s", "--best")
    assert (answer.code, "--best needs one target" in answer.err) == (2, True)
    answer = xlift("export", "study", "m", "--store", ran[0] / "s", "--best", "--target", "isle-retrieval")
    assert answer.code == 2
    assert "no dev score to choose by" in answer.err


def test_missing_predictions_are_named(xlift: Xlift, tmp_path: Path):
    # 23 jobs: three training runs (one of the intermediate task) and 20 predictions, none of which is there.
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s")
    for cell in plan.cells:
        shutil.rmtree(store.path(cell.key))
    for words in ((), ("--best",), ("--target", "isle-nli", "--best")):
        answer = xlift("export", "study.yaml", "m", "--store", "s", *words)
        assert answer.code == 2
        assert "is finished: 20 of 23 jobs are missing, among them all predictions of" in answer.err
        assert "target isle-nli, train language qta, intermediate none, seed 1: qta, qtm" in answer.err
        assert "intermediate isle-qa, intermediate language qta, size 100, seed 1" in answer.err
        assert f"`xlift run study.yaml --store {tmp_path}/s` does them" in answer.err
    answer = xlift("export", "study", "m", "--store", "s", "--target", "isle-nil", "--best")
    assert "no pipeline of 'study' has --target 'isle-nil'" in answer.err
    assert "did you mean 'isle-nli'?" in answer.err
    answer = xlift("export", "study", "m", "--store", "s", "--intermediate", "isle-qa")
    assert "no pipeline of 'study' with --intermediate isle-qa is finished" in answer.err
    assert f"`xlift run study.yaml --store {tmp_path}/s`" in answer.err  # a name alone does not run a study file


def test_best_of_a_part_of_the_pipelines_says_so(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    folder, plan, _ = ran
    shutil.copytree(folder / "s", tmp_path / "part")
    store = Store(tmp_path / "part")
    for cell in plan.cells:
        if (cell.target, cell.seed) == ("isle-nli", 2):
            shutil.rmtree(store.path(cell.key))
    answer = xlift("export", "study", "m", "--store", "part", "--target", "isle-nli", "--best", "--json")
    assert answer.code == 0, answer.err
    assert "2 more did not count, since they are not finished" in json.loads(answer.out)["chosen"]
    answer = xlift("export", "study", "n", "--store", "part", "--target", "isle-nli", "--seed", 2)
    assert "with --target isle-nli --seed 2 is finished" in answer.err


def test_job_by_its_key(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    folder, plan, _ = ran
    cell = cell_of(plan, target="isle-nli", intermediate="isle-pos", seed=1)
    trained = plan.jobs[cell.key].parents[0]
    assert xlift("export", trained[:12], "m", "--store", folder / "s").code == 0
    assert xlift("export", cell.key, "n", "--store", folder / "s").code == 0
    assert (tmp_path / "m/README.md").read_text() == (tmp_path / "n/README.md").read_text()
    stage = plan.jobs[trained].parents[0]  # the intermediate: no column of the table uses its head
    assert xlift("export", stage, "o", "--store", folder / "s").code == 0
    assert json.loads((tmp_path / "o/xlift.json").read_text())["task"] == "isle-pos"
    answer = xlift("export", "0000000000", "p", "--store", folder / "s")
    assert (answer.code, "no artifact has a key" in answer.err) == (2, True)


def test_missing_study_or_store(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    assert "no store at 'gone'" in xlift("export", "study", "m", "--store", "gone").err
    answer = xlift("export", "stdy", "m", "--store", ran[0] / "s")
    assert "did you mean 'study'?" in answer.err


def test_pretrained_model_is_not_exported(xlift: Xlift, ran: tuple[Path, Plan, Store]):
    answer = xlift(
        "export",
        "study",
        "m",
        "--store",
        ran[0] / "s",
        "--target",
        "isle-retrieval",
        "--intermediate",
        "none",
        "--seed",
        1,
    )
    assert answer.code == 2
    assert "this pipeline trains nothing" in answer.err


def test_default_model_is_found_though_the_record_leaves_it_out(tmp_path: Path):
    # A stage with LoRA and a small one are stored as a delta to the pretrained model.
    study = tmp_path / "study.yaml"
    study.write_text("name: study\ntargets: [{task: isle-nli, train: {size: 24}, languages: [qta], size: 12}]\n")
    store = Store(tmp_path / "s")
    write_record(make_record(read_study(str(study)), plan_of(study)), store)
    default = backbones.find("isles")
    assert find_pretrained_folder(store, default.fingerprint) == default.folder
    assert find_pretrained_folder(store, "0" * 64) is None


def test_data_of_the_study_file_is_the_default(
    xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The few-shot examples of a model in text mode are read from it.
    given: list[Path | None] = []
    original = exporting.export
    monkeypatch.setattr(
        exporting, "export", lambda *args, data, **more: given.append(data) or original(*args, data=data, **more)
    )
    (tmp_path / "files").mkdir()
    (tmp_path / "study.yaml").write_text((ran[0] / "study.yaml").read_text() + "data: files\n")
    road = ("--store", ran[0] / "s", *UNTRAINED)
    assert xlift("export", tmp_path / "study.yaml", "m", *road).code == 0
    assert xlift("export", tmp_path / "study.yaml", "n", *road, "--data", tmp_path).code == 0
    assert xlift("export", "study", "o", *road).code == 0
    assert given == [tmp_path / "files", tmp_path, None]


# --- the folder -------------------------------------------------------------------------------------------------------


def test_folder_that_is_not_empty(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    road = ("export", "study", "m", "--store", ran[0] / "s", *UNTRAINED)
    (tmp_path / "m").mkdir()
    assert xlift(*road).code == 0  # an empty folder is allowed
    (tmp_path / "m/mine.txt").write_text("notes")
    answer = xlift(*road)
    assert (answer.code, "--force" in answer.err) == (2, True)
    assert xlift(*road, "--force").code == 0
    assert not (tmp_path / "m/mine.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    (tmp_path / "m/xlift.json").unlink()  # without this file the folder is not an export
    answer = xlift(*road, "--force")
    assert answer.code == 2
    assert "--force does not replace it" in answer.err
    assert (tmp_path / "m/config.json").exists()


def test_failed_export_leaves_nothing(
    xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("xlift.report.card.make_card", full)
    answer = xlift("export", "study", "m", "--store", ran[0] / "s", *UNTRAINED)
    assert answer.code == 2
    assert "No space left" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_vectors(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    answer = xlift(
        "export",
        "study",
        "m",
        "--store",
        ran[0] / "s",
        "--target",
        "isle-retrieval",
        "--seed",
        1,
        "--intermediate",
        "isle-pos",
    )
    assert answer.code == 0, answer.err
    sheet = json.loads((tmp_path / "m/xlift.json").read_text())
    assert (sheet["kind"], sheet["pooling"]["pooling"]) == ("pooled", "mean")
    assert f"hidden_states[{sheet['pooling']['layer']}]" in (tmp_path / "m/README.md").read_text()
    answer = xlift("predict", "m", "rows.txt")
    assert (answer.code, "does not support models of the format 'retrieval'" in answer.err) == (2, True)


# --- predict ----------------------------------------------------------------------------------------------------------


def _choice(example: Any) -> dict[str, Any]:
    return {"context": example.context, "question": example.question, "choices": list(example.choices)}


RECORDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "isle-nli": lambda e: {"premise": e.text_a, "hypothesis": e.text_b},
    "isle-pos": lambda e: {"words": list(e.words)},
    "isle-qa-unanswerable": lambda e: {"context": e.context, "question": e.question},
    "isle-reading": _choice,
}


@pytest.mark.parametrize("task", TRANSFORMERS_CLASSES)
@pytest.mark.parametrize("language", ["qta", "qtu"])
def test_predictions_equal_those_of_the_store(
    xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path, task: str, language: str
):
    folder, plan, store = every
    known = catalog.get(task)
    examples = list(known.source.read(known, language, "test", None, size=6))
    lines = [json.dumps({"id": f"x{n}", **RECORDS[task](example)}) for n, example in enumerate(examples)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    answer = xlift("export", "study", "m", "--store", folder / "s", "--target", task, "--json")
    assert json.loads(answer.out)["class"] == TRANSFORMERS_CLASSES[task]
    answer = xlift("predict", "m", "rows.jsonl", "--out", "answers.jsonl")
    assert answer.code == 0, answer.err
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [each["id"] for each in found] == [f"x{n}" for n in range(6)]
    assert [each["label"] for each in found] == predictions(store, cell_of(plan, target=task, language=language))
    assert all(0 < each["score"] <= 1 for each in found)
    assert list(tmp_path.glob(".answers*")) == []


def test_predict_with_a_key(xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path):
    folder, plan, store = every
    cell = cell_of(plan, target="isle-pos", language="qtu")
    (tmp_path / "rows.txt").write_text("the old man\n")
    answer = xlift("predict", cell.key[:16], "rows.txt", "--store", folder / "s")
    assert answer.code == 0, answer.err
    assert len(answer.out.splitlines()[1].split("\t")[1].split()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.txt"]


def test_export_and_push(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    road = ("export", "study", "m", "--store", ran[0] / "s", *UNTRAINED)
    with Hub() as hub:
        hub.connect(monkeypatch, tmp_path / "cache")
        monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
        answer = xlift(*road, "--push", "me/mine")
        assert (answer.code, "nobody is logged in" in answer.err) == (2, True)
        assert not (tmp_path / "m").exists()  # found before any work
        monkeypatch.setattr("huggingface_hub.get_token", lambda: TOKEN)
        answer = xlift(*road, "--push", "me/mine")
        assert answer.code == 0, answer.err
        assert f"Uploaded to {hub.url}/me/mine" in answer.out
        repository = hub.repositories["model", "me/mine"]
        files = repository.commits[repository.branches["main"]]
    assert {path.name for path in (tmp_path / "m").iterdir()} == set(files) - {".gitattributes"}


@pytest.mark.parametrize("columns", [60, 100])
def test_help_fits_a_narrow_terminal(xlift: Xlift, ran: tuple[Path, Plan, Store], columns: int):
    for command in ("export", "predict", "push"):
        answer = xlift(command, "--help", columns=columns)
        assert answer.code == 0
        assert max(map(len, answer.out.splitlines())) <= columns


def test_no_temperature_without_dev_data_or_labels(xlift: Xlift, every: tuple[Path, Plan, Store], tmp_path: Path):
    folder, _, _ = every
    words = ("export", "study", "m", "--store", folder / "s", "--fit-temperature", "--target")
    answer = xlift(*words, "isle-nli")  # the study has `retries: 0`
    assert (answer.code, "--fit-temperature: no stage was evaluated on dev data of 'isle-nli'" in answer.err) == (
        2,
        True,
    )
    answer = xlift(*words, "isle-pos")
    assert (answer.code, "a temperature needs a model that chooses one label" in answer.err) == (2, True)
    assert not (tmp_path / "m").exists()


def test_int8_needs_onnx_and_test_rows(xlift: Xlift, ran: tuple[Path, Plan, Store], tmp_path: Path):
    folder, plan, _ = ran
    words = ("export", "study", "m", "--store", folder / "s", *UNTRAINED)
    assert "--quantize: only ONNX files are quantized" in xlift(*words, "--quantize", "int8").err
    assert "--quantize: unknown precision 'int4'" in xlift(*words, "--onnx", "--quantize", "int4").err
    cell = cell_of(plan, target="isle-nli", intermediate="isle-pos", seed=1)
    stage = plan.jobs[plan.jobs[cell.key].parents[0]].parents[0]  # no column of the table uses its head
    answer = xlift("export", stage, "m", "--store", folder / "s", "--onnx", "--quantize", "int8")
    assert (answer.code, "no study of the store has this model" in answer.err) == (2, True)
    assert not (tmp_path / "m").exists()
