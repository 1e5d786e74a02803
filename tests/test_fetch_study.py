"""`xlift fetch STUDY`: everything that a study needs, with a stand-in server for the Hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.hub import Hub, sha256
from tests.support.model_folders import ENCODER, write_model_folder
from tests.test_fetch import LICENSED, TARGET, TRAIN, commit_datasets

from xlift import hub
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study
from xlift.tasks import catalog

STUDY = """\
models: [org/one]
intermediate: [none]
targets: [{task: small-test, languages: [de]}]
"""


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(catalog, "TASKS", (*catalog.ISLES, TRAIN, TARGET, LICENSED))
    with Hub() as server:
        commit_datasets(server)
        for name in ("one", "two"):
            server.commit("model", f"org/{name}", model_files(tmp_path / name, hidden_size=32 if name == "one" else 64))
        server.connect(monkeypatch, tmp_path / "cache")
        yield server


def model_files(folder: Path, hidden_size: int) -> dict[str, bytes]:
    write_model_folder(folder, {**ENCODER, "hidden_size": hidden_size})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {
        "pytorch_model.bin": b"not needed",
        "flax_model.msgpack": b"not needed",
        "onnx/model.onnx": b"not needed",
    }


def write_study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_data_and_models_are_fetched_and_the_study_is_complete(standin: Hub, xlift: Xlift, tmp_path: Path):
    study = write_study(tmp_path)
    answer = xlift("fetch", study, "--data", "data")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == ["org/one", "small-train", "small-test"]
    plan = make_plan(read_study(str(study)), tmp_path / "data")  # as `xlift run` makes it
    assert (plan.missing, plan.provisional_keys()) == ([], set())
    assert not standin.asked("resolve/main/pytorch_model.bin", "HEAD")
    fetched = {path.name for path in (tmp_path / "cache" / "models--org--one").rglob("snapshots/*/*")}
    assert fetched == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (tmp_path / "data").rglob("*.parquet")} == {
        "de.parquet",
        "train.parquet",
        "en-dev.parquet",
    }


def test_a_fetched_study_is_planned_offline(
    standin: Hub, xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    study = write_study(tmp_path)
    keys = {job["key"] for job in json.loads(xlift("plan", study, "--json").out)["jobs"]}
    xlift("fetch", study, "--data", "data")
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    jobs = json.loads(xlift("plan", study, "--data", "data", "--json").out)["jobs"]
    assert not any(job["provisional"] for job in jobs)
    assert not keys & {job["key"] for job in jobs}  # all of them were provisional


def test_nothing_is_fetched_twice(standin: Hub, xlift: Xlift, tmp_path: Path):
    study = write_study(tmp_path)
    xlift("fetch", study, "--data", "data")
    downloads = len(standin.asked("/resolve/"))
    answer = xlift("fetch", study, "--data", "data")
    assert (answer.code, answer.out) == (0, "Nothing to fetch: everything that the study needs is on this machine.\n")
    assert len(standin.asked("/resolve/")) == downloads


def test_damaged_bytes_are_refused(standin: Hub, xlift: Xlift, tmp_path: Path):
    weights = (tmp_path / "one" / "model.safetensors").read_bytes()
    standin.tamper(weights, weights[:-1] + b"x")
    answer = xlift("fetch", write_study(tmp_path), "--data", "data")
    assert answer.code == 2
    assert "org/one: " in answer.out
    assert "its checksum is" in " ".join(answer.out.split())
    assert not list((tmp_path / "cache").rglob("*/model.safetensors"))


def test_a_gated_model_is_named_with_what_to_do_and_the_rest_is_fetched(standin: Hub, xlift: Xlift, tmp_path: Path):
    gated = "FacebookAI/xlm-roberta-large"  # has a profile, so that it can be planned without its files
    standin.commit("model", gated, {"config.json": b"{}", "model.safetensors": b"1"}, gated=True)
    answer = xlift(
        "fetch", write_study(tmp_path, STUDY.replace("[org/one]", f"[{gated}]")), "--data", "data", columns=300
    )
    assert answer.code == 2
    assert "the model is gated: its owners require registration" in answer.out
    assert "Accept its terms on that page" in answer.out
    assert f"xlift: incomplete: {gated}" in answer.err
    assert "small-test" in answer.out
    assert (tmp_path / "data" / "hub" / "fetched.json").is_file()


def test_a_model_that_the_hub_lacks_is_reported(standin: Hub, xlift: Xlift, tmp_path: Path):
    study = write_study(tmp_path, STUDY.replace("org/one", "FacebookAI/xlm-roberta-large"))
    answer = xlift("fetch", study, "--data", "data", columns=300)
    assert answer.code == 2
    assert "FacebookAI/xlm-roberta-large: " in answer.out
    assert "the Hub has no such model, or it is private" in answer.out


def test_data_that_the_hub_lacks_is_listed(standin: Hub, xlift: Xlift, tmp_path: Path):
    study = write_study(tmp_path, STUDY.replace("small-test, languages: [de]", "licensed, train: {task: small-train}"))
    answer = xlift("fetch", study, "--data", "data", columns=300)
    assert answer.code == 2
    assert (
        "licensed: provide these files yourself (LDC, published at https://example.org/licensed): test: en"
        in answer.out
    )


def test_held_out_rows_need_the_training_files(
    standin: Hub, xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(catalog, "TASKS", (*catalog.ISLES, replace(TRAIN, counts={"train": 30})))
    text = "models: [isles]\ntasks: [{name: small-train, holdout: 0.2}]\ntargets: [{task: small-train}]\n"
    answer = xlift("fetch", write_study(tmp_path, text), "--data", "data")
    assert answer.code == 0, answer.out
    assert make_plan(read_study(str(tmp_path / "study.yaml")), tmp_path / "data").missing == []


@pytest.mark.slow
def test_a_killed_fetch_resumes(standin: Hub, tmp_path: Path):
    study = write_study(tmp_path, "models: [org/one, org/two]\ntargets: [{task: isle-nli, train: {size: 50}}]\n")
    first, second = (sha256((tmp_path / name / "model.safetensors").read_bytes()) for name in ("one", "two"))
    standin.answer(second, method="GET", hang_after=1000, times=-1)
    environment = os.environ | standin.environment(tmp_path / "cache") | {"PYTHONPATH": str(Path("src").absolute())}
    command = [sys.executable, "-m", "xlift", "fetch", str(study), "--data", str(tmp_path / "data")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not standin.asked(second) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert hub.has_model("org/one")
        assert not hub.has_model("org/two")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    standin.faults.clear()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 file to fetch" in done.stderr
    assert len(standin.asked(first)) == 1
    assert hub.has_model("org/two")


def test_a_model_that_is_a_gguf_file_alone_is_refused_with_what_to_do(standin: Hub, xlift: Xlift, tmp_path: Path):
    standin.commit("model", "org/gguf", {"tiny.gguf": b"GGUF", "README.md": b"x"})
    answer = xlift("plan", write_study(tmp_path, STUDY.replace("org/one", "org/gguf")))
    assert (answer.code, answer.out) == (2, "")
    assert "study.yaml:1: models.0: 'org/gguf' is published as a GGUF file" in answer.err
    assert "`xlift fetch STUDY` downloads and converts it." in answer.err


@pytest.mark.slow
def test_a_model_that_is_a_gguf_file_alone_is_fetched_before_the_rest(
    standin: Hub, xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("gguf")
    from tests.conversion.checkpoints import write_gguf

    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "xlift-cache"))
    write_gguf(tmp_path / "tiny.gguf", quantized=True)
    standin.commit("model", "org/gguf", {"tiny.gguf": (tmp_path / "tiny.gguf").read_bytes(), "README.md": b"x"})
    study = write_study(tmp_path, STUDY.replace("[org/one]", "[org/gguf, org/one]"))
    answer = xlift("fetch", study, "--data", "data")
    assert answer.code == 0, answer.err
    names = [line.split()[0] for line in answer.out.splitlines()[1:]]
    assert names == ["org/gguf", "org/one", "small-train", "small-test"]
    answer = xlift("plan", study, "--data", "data", "--json")
    assert not any(job["provisional"] for job in json.loads(answer.out)["jobs"])
