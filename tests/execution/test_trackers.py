"""Experiment trackers: what they get, that a broken one stops nothing, and that keys and weights do not depend on them."""

from __future__ import annotations

import json
import sqlite3
import struct
import sys
import threading
import time
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tests.support.fakes import STUDY, plan_of, study_file
from tests.support.tiny_study import plan_of as tiny_plan
from tests.support.tiny_study import write_study

from xlift.execution.work import run_job, trackers
from xlift.execution.work.shared import Context
from xlift.execution.work.trackers import report_metrics
from xlift.recipes import Engine
from xlift.studies import placement
from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.progress import LOGS_PER_STAGE, MetricLog, Progress

METRICS = ["train/loss", "train/grad_norm", "train/learning_rate", "eval/score"]


@pytest.fixture(autouse=True)
def _no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "_failed", set())


def read_events(path: Path) -> list[Event]:
    """The events of a TensorBoard file: length, checksum, event, checksum."""
    content, events, at = path.read_bytes(), [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        events.append(Event.FromString(content[at + 12 : at + 12 + length]))
        at += 16 + length
    return events


def test_tensorboard_gets_the_metrics_of_a_stage(tmp_path: Path) -> None:
    settings = {"training": {"lr": 0.001, "batch_size": 8, "max_steps": 3, "max_length": 64, "retries": 1}}
    plan = tiny_plan(write_study(tmp_path, engine={"report_to": "tensorboard"}, **settings))
    store = Store(tmp_path / "store")
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    run_job(job, Context(plan.data, plan.tasks, plan.models, plan.engine, study=plan.name), store, Progress())
    first, second = sorted((tmp_path / "store" / "trackers" / "tensorboard" / "study").iterdir())
    assert first.name.endswith(job.key[:8])
    assert second.name == f"{first.name}-attempt-2"  # three steps end at chance
    (file,) = second.iterdir()
    values = [(value.tag, event.step, value) for event in read_events(file) for value in event.summary.value]
    scalars = {(tag, step): value.simple_value for tag, step, value in values if tag in METRICS}
    assert set(scalars) == {(tag, step) for tag in METRICS[:3] for step in (1, 2, 3)} | {("eval/score", 3)}
    artifact = store.find(job.key)
    assert artifact
    numbers = artifact.manifest["numbers"]
    assert scalars["eval/score", 3] == pytest.approx(numbers["dev_score"])
    assert [scalars["train/loss", step] for step in (1, 2, 3)] == pytest.approx(
        [loss for _, loss in numbers["loss_curve"]], abs=1e-4
    )
    assert any(tag.startswith("batch_size") for tag, _, _ in values)


def test_keys_do_not_depend_on_trackers(tmp_path: Path) -> None:
    study = study_file(tmp_path, STUDY)
    assert list(plan_of(study, "engine.report_to=[wandb,mlflow]").jobs) == list(plan_of(study).jobs)


@pytest.mark.parametrize(("written", "read"), [("wandb", ("wandb",)), ("none", ()), (["mlflow", "trackio"], ("mlflow", "trackio"))])  # fmt: skip
def test_one_name_may_stand_for_a_list(written: Any, read: tuple[str, ...]) -> None:
    assert Engine(report_to=written).report_to == read


def test_a_tracker_that_is_not_installed_is_a_warning_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda name: name == "tensorboardX")
    plan = plan_of(study_file(tmp_path, STUDY), "engine.report_to=[tensorboard,wandb]")
    assert [warning for warning in plan.warnings if "report_to" in warning] == [
        "`report_to`: wandb is not installed here, so nothing is sent to it; `pip install wandb` installs it."
    ]


class FakeTracker:
    """Records what it gets; fails at the named call."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.calls = fails, []

    def log(self, values: dict[str, float], step: int) -> None:
        self._call("log", values, step)

    def finish(self) -> None:
        self._call("finish")

    def _call(self, name: str, *content: Any) -> None:
        self.calls.append((name, *content))
        if name == self.fails:
            raise ConnectionError("no\nroute")


def follow(jobs: list[Job], store: Store, fake: FakeTracker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run jobs of two steps and one evaluation each with two trackers, one of which works. Returns the warnings."""
    warnings: list[str] = []
    good = FakeTracker()

    def start(name: str, *_: object) -> FakeTracker:
        if name == "wandb" and fake.fails == "start":
            raise SystemExit("no key")
        return fake if name == "wandb" else good

    monkeypatch.setattr(trackers, "_start", start)
    monkeypatch.setattr(trackers, "has_tracker", lambda name: True)
    context = Context(engine=Engine(report_to=("wandb", "trackio")))
    for job in jobs:
        with report_metrics(job, context, store, Progress(warn=warnings.append)) as progress:
            log = MetricLog(progress, 2)
            log.add_step(1, 2.0, 1.0, 0.1)
            log.add_step(2, 1.0, 1.0, 0.0)
            log.add_evaluation(2, [0.5, 0.25])
    one = {"train/loss": 2.0, "train/grad_norm": 1.0, "train/learning_rate": 0.1}
    other = {"train/loss": 1.0, "train/grad_norm": 1.0, "train/learning_rate": 0.0}
    whole = [("log", one, 1), ("log", other, 2), ("log", {"eval/score": 0.375}, 2), ("finish",)]
    assert good.calls == len(jobs) * whole
    return warnings


@pytest.mark.parametrize(("fails", "num_calls"), [("", 8), ("start", 0), ("log", 1), ("finish", 4)])
def test_a_failing_tracker_is_left_out_with_one_warning(
    fails: str, num_calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job for job in plan_of(study_file(tmp_path, STUDY)).jobs.values() if job.kind == "train"][:2]
    fake = FakeTracker(fails)
    warnings = follow(jobs, Store(tmp_path / "store"), fake, monkeypatch)
    reason = "no key" if fails == "start" else "no route"
    assert warnings == [f"wandb: {reason}. The run continues and sends it no more metrics."] * bool(fails)
    assert len(fake.calls) == num_calls


class FakePackage(types.ModuleType):
    """Stands for wandb, trackio and mlflow: records what accelerate's trackers call."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, Any]] = []
        self.config = types.SimpleNamespace(update=lambda values, **_: self.calls.append(("config", values)))
        self.utils = types.SimpleNamespace(
            validation=types.SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100)
        )

    def init(self, **options: Any) -> FakePackage:
        print("* Created new run")
        self.calls.append(("init", options))
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.calls.append(("log", (values, step)))

    def finish(self) -> None:
        self.calls.append(("finish", None))

    def search_experiments(self, filter_string: str) -> list[Any]:
        return []

    def create_experiment(self, name: str, **_: Any) -> str:
        return name

    def start_run(self, experiment_id: str, run_name: str, **_: Any) -> FakePackage:
        return self.init(project=experiment_id, name=run_name)

    def log_params(self, values: dict[str, Any]) -> None:
        self.calls.append(("config", values))

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.log(values, step)

    def end_run(self) -> None:
        self.finish()


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_each_tracker_of_accelerate_gets_a_run_with_settings_and_metrics(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from accelerate import PartialState

    PartialState._reset_state()  # as in a new worker
    package = FakePackage(name)
    monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setattr(trackers, "has_tracker", lambda name: True)
    for variable in ("WANDB_PROJECT", "WANDB_DIR", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    job = next(job for job in plan_of(study_file(tmp_path, STUDY)).jobs.values() if job.kind == "train")
    warnings: list[str] = []
    context = Context(engine=Engine(report_to=name), study="my-study")
    with report_metrics(job, context, Store(tmp_path / "store"), Progress(warn=warnings.append)) as progress:
        MetricLog(progress, 1).add_step(1, 2.0, 1.0, 0.1)
    assert warnings == []
    (_, options), (_, config), logged, finished = package.calls
    assert options["project"] == "my-study"
    assert options["name"].endswith(job.key[:8])
    assert config["job"] == job.key
    assert config["batch_size"] == 32
    assert logged == ("log", ({"train/loss": 2.0, "train/grad_norm": 1.0, "train/learning_rate": 0.1}, 1))
    assert finished == ("finish", None)
    assert capsys.readouterr().out == ""  # a line of a tracker would break the progress display


def test_trackers_of_one_store_start_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two workers that made MLflow's database at once lost one of them.
    order: list[str] = []

    def start(*_: object) -> FakeTracker:
        order.append("begin")
        time.sleep(0.05)
        order.append("end")
        return FakeTracker()

    monkeypatch.setattr(trackers, "_start", start)
    monkeypatch.setattr(trackers, "has_tracker", lambda name: True)
    job = next(iter(plan_of(study_file(tmp_path, STUDY)).jobs.values()))
    context, store = Context(engine=Engine(report_to=("mlflow",))), Store(tmp_path / "store")

    def work() -> None:
        with report_metrics(job, context, store, Progress()):
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == 3 * ["begin", "end"]


def read_mlflow(folder: Path) -> tuple[str, dict[str, str], list[tuple[int, float]]]:
    """Name, settings and training losses of the only run."""
    from mlflow import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("my-study").experiment_id])
    assert run.info.status == "FINISHED"
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    return run.info.run_name, run.data.params, [(metric.step, metric.value) for metric in losses]


def read_trackio(folder: Path) -> tuple[str, dict[str, str], list[tuple[int, float]]]:
    """Name, settings and training losses of the only run."""
    with closing(sqlite3.connect(folder / "my-study.db")) as database:
        ((name, settings),) = database.execute("SELECT run_name, config FROM configs").fetchall()
        lines = database.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    losses = [(step, json.loads(values)["train/loss"]) for step, values in lines]
    return name, {key: str(value) for key, value in json.loads(settings).items()}, losses


@pytest.mark.slow
@pytest.mark.parametrize(("name", "read"), [("mlflow", read_mlflow), ("trackio", read_trackio)])
def test_a_real_tracker_keeps_a_run(name: str, read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    pytest.importorskip(name, reason=f"{name} is not installed")
    job = next(job for job in plan_of(study_file(tmp_path, STUDY)).jobs.values() if job.kind == "train")
    warnings: list[str] = []
    context = Context(engine=Engine(report_to=name), study="my-study")
    with report_metrics(job, context, Store(tmp_path / "store"), Progress(warn=warnings.append)) as progress:
        log = MetricLog(progress, 2)
        log.add_step(1, 2.0, 1.0, 0.1)
        log.add_step(2, 1.0, 1.0, 0.0)
    assert warnings == []
    run, settings, losses = read(tmp_path / "trackio")
    assert run.endswith(job.key[:8])
    assert settings["job"] == job.key
    assert settings["batch_size"] == "32"
    assert losses == [(1, 2.0), (2, 1.0)]


def test_metrics_are_means_over_some_steps_of_a_long_stage() -> None:
    got: list[tuple[int, dict[str, float]]] = []
    steps = 3 * LOGS_PER_STAGE + 2
    log = MetricLog(Progress(log=lambda values, step: got.append((step, dict(values)))), steps)
    for step in range(1, steps + 1):
        log.add_step(step, float(step), 1.0, 0.1)
    assert [step for step, _ in got] == [*range(3, steps, 3), steps]
    assert got[0][1]["train/loss"] == 2.0
    assert got[-1][1]["train/loss"] == steps - 0.5


def test_without_trackers_nothing_is_imported(tmp_path: Path) -> None:
    job = next(iter(plan_of(study_file(tmp_path, STUDY)).jobs.values()))
    progress = Progress()
    with report_metrics(job, Context(), Store(tmp_path / "store"), progress) as reporting:
        assert reporting is progress
