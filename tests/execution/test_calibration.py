"""Calibration: rates measured from jobs that the engine runs, saved for later plans."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.fakes import STUDY, plan_of, study_file

from xlift.errors import UserError
from xlift.estimate import PlanEstimate, rates
from xlift.estimate.rates import BASE, ISLES, RECORDED, Rates
from xlift.estimate.work import Workload
from xlift.execution import calibration
from xlift.execution.calibration import Subject, _fit_rates, _num_stages_at_once, _Run, list_subjects, measure
from xlift.model_shape import read_model_shape
from xlift.recipes import Engine

TRUE = Rates(
    start=0.7, train_job=2.0, step=0.004, parameter=1e-9, training=2e-11, load=0.5, predict_job=0.1, predicting=3e-11,
    example=1e-3, process=5e8,
)  # fmt: skip


def a_run(kind: str, tokens: float, jobs: int = 1, steps: int = 0, late: float = 0.0) -> _Run:
    """Jobs that take exactly the seconds of TRUE, plus `late`."""
    trained = kind == "train"
    work = Workload(
        kind,
        ISLES,
        tokens if trained else 0.0,
        0.0 if trained else tokens,
        20.0,
        steps,
        num_examples=10,
        trained_vocab_rows=6000,
    )
    whole = TRUE.seconds(work)
    step = (whole - TRUE.train_job - 10 * TRUE.example) / steps if steps else 0.0
    return _Run((), (work,) * jobs, jobs * whole + late, step, step * (steps - 1) if steps else 0.0)


def test_rates_are_recovered_from_runs_that_follow_them():
    found = _fit_rates(
        a_run("train", 3000, steps=24, late=0.4),
        a_run("train", 26_000, steps=24),
        a_run("predict", 140, late=TRUE.load + 0.3),
        a_run("predict", 140, late=TRUE.load),
        replace(a_run("predict", 140, jobs=3), jobs=(None,) * 3),  # type: ignore[arg-type]
        replace(a_run("predict", 7000, jobs=3), jobs=(None,) * 3),  # type: ignore[arg-type]
        TRUE.example,
        TRUE.parameter,
        TRUE.process,
    )
    assert asdict(found) == pytest.approx(asdict(TRUE), rel=1e-6)


def test_noise_never_makes_a_rate_negative():
    slow, fast = a_run("train", 26_000, steps=24, late=9.0), a_run("train", 3000, steps=24)
    slow = replace(slow, step=0.001)  # larger steps that are faster
    few, many = (replace(a_run("predict", n, jobs=3), jobs=(None,) * 3) for n in (140, 7000))  # type: ignore[arg-type]
    found = _fit_rates(fast, slow, few, few, replace(few, seconds=99.0), many, 1.0, 1.0, 1.0)
    assert all(value >= 0 and math.isfinite(value) for value in asdict(found).values())
    assert found.training > 0
    assert found.predicting > 0


@pytest.mark.parametrize("made", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_tiny_model_is_measured_with_real_jobs(tmp_path: Path, made: bool):
    folder = tiny.model_folder(tmp_path / "model")
    shape = read_model_shape(folder)
    assert shape is not None
    if made:
        from xlift.recipes import Architecture

        architecture = Architecture(layers=2, hidden_size=32, intermediate_size=64)
        subject = Subject("tiny", shape, None, architecture, "fp32")
    else:
        subject = Subject("tiny", shape, folder, None, "auto")
    found = measure(subject, Engine(), tmp_path / "work", 1e8)
    assert all(value >= 0 and math.isfinite(value) for value in asdict(found).values())
    assert 0 < found.predict_job < 60
    assert found.training < 1e-6
    assert not list((tmp_path / "model").glob("*artifacts*"))  # nothing is written into the model's folder


def test_as_many_processes_measure_as_stages_run_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    narrow, wide = (Subject("", shape, None, None, "auto") for shape in (ISLES, BASE))
    assert [_num_stages_at_once(narrow, Engine(), workers) for workers in (1, 4)] == [1, 4]
    assert [_num_stages_at_once(wide, Engine(), workers) for workers in (1, 4, 5)] == [1, 2, 2]
    assert _num_stages_at_once(wide, Engine(threads=1, devices=2), 4) == 2


def test_each_model_is_measured_once(tmp_path: Path):
    text = STUDY.replace("models: [model]", "models: [isles, model]")
    names = [subject.name for subject in list_subjects(plan_of(study_file(tmp_path, text)))]
    assert names == ["isles"]  # the shape of the other is unknown
    made = "models: [{name: mine, pretrain: {text: [{task: isle-text, language: qta, size: 9}]}}]"
    (subject,) = list_subjects(plan_of(study_file(tmp_path, STUDY.replace("models: [model]", made))))
    assert (subject.name, subject.folder) == ("mine", None)
    assert subject.architecture is not None


def test_plan_with_calibrate_measures_the_machine(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    calibrated: list[tuple[str, int]] = []

    def calibrate(subject: Subject, engine: Engine, workers: int, *_: Any) -> None:
        calibrated.append((subject.name, workers))
        rates.save_calibration(RECORDED[ISLES], subject.shape, subject.precision, engine, workers)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    study_file(tmp_path, STUDY.replace("[model]", "[isles]"))
    before = xlift("plan", "study.yaml", "--workers", "3")
    assert "Times are a guess; `xlift plan study.yaml --calibrate` measures this machine." in before.out
    answer = xlift("plan", "study.yaml", "--calibrate", "--workers", "3")
    assert calibrated == [("isles", 3)]
    assert "Measuring isles for 3 workers." in answer.err
    assert "Times are from a calibration of this machine." in answer.out
    assert "Times are from a calibration" in xlift("plan", "study.yaml").out  # it is saved
    assert PlanEstimate(plan_of(tmp_path / "study.yaml"), None, 3).is_measured


def test_plan_for_another_device(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path, STUDY.replace("[model]", "[isles]"))
    answer = xlift("plan", "study.yaml", "--estimate-for", "a100-80gb")
    assert answer.code == 0
    assert "on NVIDIA A100 80 GB SXM." in answer.out
    assert "Nothing was measured on it" in answer.out.replace("\n", "")
    assert max(map(len, answer.out.splitlines())) <= 80
    wrong = xlift("plan", "study.yaml", "--estimate-for", "a100")
    assert (wrong.code, "unknown device 'a100'" in wrong.err) == (2, True)
    both = xlift("plan", "study.yaml", "--estimate-for", "l4", "--calibrate")
    assert (both.code, "Leave one of the two out" in both.err) == (2, True)


def test_unwritable_cache_is_an_error_that_names_xlift_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLIFT_CACHE", "/dev/null/none")
    folder = tiny.model_folder(tmp_path / "model")
    shape = read_model_shape(folder)
    assert shape is not None
    with pytest.raises(UserError) as error:
        calibration._save(RECORDED[ISLES], Subject("tiny", shape, folder, None, "auto"), Engine(), 1)
    assert "XLIFT_CACHE" in str(error.value.fix)
