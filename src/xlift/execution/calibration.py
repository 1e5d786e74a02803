"""Calibration: measures how fast this machine runs a model, with a few small jobs of the engine.

As many processes run the jobs as there will be training stages at once, since they share caches and memory; each job
has the threads it has in a run. The jobs are real ones on generated data: training on a few short rows, then on more
and longer ones, then predictions. The rates are solved from the workload (estimate/work.py) and the seconds of each
job: steps as reported by the training loop, then the rest.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.estimate import PlanEstimate, rates
from xlift.estimate.memory import memory_of
from xlift.estimate.rates import Rates
from xlift.estimate.tokens import LightTokenizer
from xlift.estimate.work import PlanWorkloads, Workload
from xlift.execution.executors.local import environment
from xlift.execution.work.shared import Context
from xlift.execution.worker import set_up_worker
from xlift.model_shape import ModelShape
from xlift.recipes import Architecture, Engine, Precision, Recipe, num_threads
from xlift.studies.job import Data, Job, ModelRef, PredictSpec, PretrainSpec, TrainSpec, make_job
from xlift.studies.placement import gpu_environment, num_processes, uses_gpu, visible_gpus
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.tasks import catalog
from xlift.training.progress import Progress

TRAIN_OPERATIONS = 0.25e12
"""Upper bound of the larger training step: seconds on one core."""
PREDICT_OPERATIONS = 0.6e12
"""Upper bound of the larger prediction."""
ROW_LENGTH = 40
"""Approximate tokens of a generated row; more if the tokenizer splits its words into many pieces."""
SMALL = 5e6
"""Parameters outside the embeddings. Below, steps take milliseconds, so more of them are measured."""
TIMEOUT = 600.0
"""Seconds to wait for a calibrating process."""
LANGUAGES = ("qto", "qtm", "qtu")
"""Predicted in one batch of jobs."""
FINGERPRINT = "0" * 64


@dataclass(frozen=True)
class Subject:
    """The model to calibrate: a pretrained one, or the architecture of one that a job will pretrain."""

    name: str
    shape: ModelShape
    folder: Path | None
    architecture: Architecture | None
    precision: Precision
    engine: Engine = Engine()


def list_subjects(plan: Plan) -> list[Subject]:
    """The models of a plan that are on this machine, one for each shape, precision and engine."""
    plan_estimate = PlanEstimate(plan, None, 1)
    subjects: dict[tuple[ModelShape, Precision, Engine], Subject] = {}
    for job in plan.jobs.values():
        shape, precision = plan_estimate.workloads[job.key].shape, plan_estimate.precision[job.key]
        engine = plan.engine_of(job.key)
        if shape is None or (shape, precision, engine) in subjects:
            continue
        root = plan_estimate.roots[job.key]
        if root in plan.shapes:
            continue
        if root in plan.models:
            name, folder, architecture = plan.names.get(root, root[:8]), plan.models[root], None
        else:
            spec = plan.jobs[root].spec
            assert isinstance(spec, PretrainSpec)
            name, folder, architecture = plan.jobs[root].label.removeprefix("pretrain "), None, spec.architecture
        subjects[shape, precision, engine] = Subject(name, shape, folder, architecture, precision, engine)
    return list(subjects.values())


def calibrate(
    subject: Subject, engine: Engine, workers: int, report: Callable[[str], None] = lambda line: None
) -> Rates:
    """Measure the rates of a model and save them in the user's cache.

    Args:
        workers: workers of the run. As many stages are measured at once as they run, or fewer if memory is short.
        report: receives progress messages.

    Raises:
        UserError: the model cannot be loaded, a process was killed, or the cache cannot be written.
    """
    context = multiprocessing.get_context("spawn")
    gpus = visible_gpus() if uses_gpu(engine) else []
    at_once = _num_fitting(subject, _num_stages_at_once(subject, engine, workers))
    with tempfile.TemporaryDirectory(prefix="xlift-calibration-") as folder:
        processes = []
        start_time = time.monotonic()
        for number in range(at_once):
            connection, child_connection = context.Pipe()
            process = context.Process(
                target=_run_process, args=(child_connection, subject, engine, Path(folder) / str(number)), daemon=True
            )
            with environment(gpu_environment(gpus[number % len(gpus) :][:1], at_once, len(gpus)) if gpus else {}):
                process.start()
            child_connection.close()
            processes.append((process, connection))
        try:
            for process, connection in processes:
                _receive(process, connection)  # ready
            start = time.monotonic() - start_time
            report(f"calibrating with {at_once} process{'es' * (at_once != 1)}")
            for _, connection in processes:
                connection.send("go")
            measured = [_receive(process, connection) for process, connection in processes]
        finally:
            for process, _ in processes:
                process.kill()
                process.join()
    mean = {each.name: statistics.fmean(getattr(one, each.name) for one in measured) for each in fields(Rates)}
    result = Rates(**{**mean, "start": start + mean["start"]})
    return _save(result, subject, engine, workers)


def _save(result: Rates, subject: Subject, engine: Engine, workers: int) -> Rates:
    try:
        rates.save_calibration(result, subject.shape, subject.precision, engine, workers)
    except OSError as error:
        raise UserError(
            f"the calibration cannot be saved: {error.strerror}",
            where=str(rates.calibration_folder()),
            fix="set the environment variable XLIFT_CACHE to a writable folder.",
        ) from None
    return result


def _num_stages_at_once(subject: Subject, engine: Engine, workers: int) -> int:
    """Training stages of a model that `workers` workers run at once."""
    threads = 1 if uses_gpu(engine) else num_threads("train", subject.shape.hidden_size, engine)
    return max(1, workers // (threads * num_processes("train", engine)))


def _num_fitting(subject: Subject, workers: int) -> int:
    """Processes that fit into the free memory of this machine together."""
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return workers
    return max(1, min(workers, int(0.8 * free / (0.6e9 + 26.0 * subject.shape.num_parameters))))


def _receive(process: Any, connection: Connection) -> Any:
    try:
        if connection.poll(TIMEOUT):
            message, content = connection.recv()
            if message == "error":
                raise content
            return content
    except (EOFError, OSError):
        pass
    process.join(1)
    raise UserError(
        f"a calibrating process ended with exit code {process.exitcode}",
        fix="if the machine ran out of memory, use fewer --workers, or plan without --calibrate, which guesses.",
    )


def _run_process(connection: Connection, subject: Subject, engine: Engine, folder: Path) -> None:
    """Main function of a calibrating process: set up like a worker, wait for the start, measure, send the rates."""
    set_up_worker()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xlift.evaluation.predict
    import xlift.training.stage  # noqa: F401 (importing takes seconds, which no job should count)

    process = _peak_memory()
    connection.send(("ready", None))
    connection.recv()
    try:
        connection.send(("rates", measure(subject, engine, folder, process)))
    except UserError as error:
        connection.send(("error", error))


def measure(subject: Subject, engine: Engine, folder: Path, process: float) -> Rates:
    """The rates of this process. `start` is the extra time of its first jobs.

    Args:
        folder: new folder for the model and the artifacts.
        process: bytes of the process before a model is loaded.
    """
    from xlift.execution.work.prediction import clear_model_cache

    model = subject.folder or _create_model(subject, folder / "model")
    runner = _JobRunner(model, engine, subject.precision, folder / "store")
    parameters = subject.shape.layer_parameters
    repeats = 1 if parameters > SMALL else 4
    rows = max(4, min(32, round(TRAIN_OPERATIONS / (6 * parameters * ROW_LENGTH))))
    num_examples = max(16, min(400, round(PREDICT_OPERATIONS / (2 * parameters * ROW_LENGTH * len(LANGUAGES)))))
    steps = 6 * repeats if repeats > 1 else 4
    recipe = Recipe(batch_size=rows, max_steps=steps, precision=subject.precision, retries=0)
    short = runner.train("isle-nli", recipe.model_copy(update={"batch_size": max(2, rows // 4)}))
    long = runner.train("isle-qa", recipe)
    fresh = runner.predict(short.jobs[0], ("qta",), 8)  # includes imports
    clear_model_cache()
    first = runner.predict(short.jobs[0], ("qka",), 8)
    process = max(process, _peak_memory() - _memory_without_process(short, long, first))
    few = runner.predict(short.jobs[0], LANGUAGES, 8)
    large = runner.predict(short.jobs[0], LANGUAGES, num_examples)
    return _fit_rates(
        short, long, fresh, first, few, large, runner.example_seconds(model), _parameter_seconds(), process
    )


@dataclass(frozen=True)
class _Run:
    """Jobs that ran together, with their workloads and seconds."""

    jobs: tuple[Job, ...]
    works: tuple[Workload, ...]
    seconds: float
    step: float
    """Median seconds of a step, without the first."""
    stepping: float
    """Seconds from the end of the first step to the end of the last."""

    @property
    def work(self) -> Workload:
        return self.works[0]

    @property
    def forward_operations(self) -> float:
        return sum(work.forward_operations for work in self.works)

    @property
    def examples(self) -> float:
        return sum(work.num_examples for work in self.works)


class _JobRunner:
    """Runs jobs in a separate store and times them."""

    def __init__(self, model: Path, engine: Engine, precision: Precision, root: Path) -> None:
        self.store = Store(root)
        self.precision: Precision = precision
        tasks = {name: catalog.get(name) for name in ("isle-nli", "isle-qa")}
        self.plan = Plan("calibration", tasks=tasks, models={FINGERPRINT: model}, engine=engine)
        self.context = Context(None, tasks, self.plan.models, engine)

    def train(self, task: str, recipe: Recipe) -> _Run:
        data = _data(task, "qta", "train", recipe.batch_size * (recipe.max_steps or 1))
        spec = TrainSpec(model=ModelRef(fingerprint=FINGERPRINT), mixture=(data,), recipe=recipe, seed=0)
        return self._run([make_job(spec, "train", 0)])

    def predict(self, trained: Job, languages: Sequence[str], number: int) -> _Run:
        specs = [
            PredictSpec(
                model=ModelRef(job=trained.key), data=_data("isle-nli", code, "test", number), head="isle-nli",
                precision=self.precision,
            )
            for code in languages
        ]  # fmt: skip
        return self._run([make_job(spec, "predict", number) for spec in specs])

    def example_seconds(self, model: Path) -> float:
        """Seconds to read and tokenize an example."""
        from xlift.execution.work.shared import read_examples
        from xlift.training.stage import make_features

        tokenizer = LightTokenizer(model)
        data = _data("isle-nli", "qtu", "test", 200)
        start_time = time.perf_counter()
        task = self.plan.tasks["isle-nli"]
        make_features(task, read_examples(self.context, data), tokenizer, max_length=task.max_length, train=False)
        return (time.perf_counter() - start_time) / 200

    def _run(self, jobs: Sequence[Job]) -> _Run:
        from xlift.execution.work import run_jobs

        for job in jobs:
            self.plan.add(job)
        ends: list[float] = []
        start_time = time.perf_counter()
        progress = Progress(lambda done, total: ends.append(time.perf_counter()))
        for _, outcome in run_jobs(jobs, self.context, self.store, progress):
            if isinstance(outcome, Exception):
                raise outcome
        seconds = time.perf_counter() - start_time
        step_seconds = [later - earlier for earlier, later in zip(ends, ends[1:], strict=False)] or [0.0]
        workloads = PlanWorkloads(self.plan, self.store, 1)
        return _Run(
            tuple(jobs),
            tuple(map(workloads.workload, jobs)),
            seconds,
            statistics.median(step_seconds),
            sum(step_seconds),
        )


def _data(task: str, language: str, split: str, size: int) -> Data:
    return Data(task=task, language=language, split=split, size=size, fingerprint=FINGERPRINT)


def _fit_rates(
    short: _Run,
    long: _Run,
    fresh: _Run,
    first: _Run,
    few: _Run,
    large: _Run,
    example: float,
    parameter: float,
    process: float,
) -> Rates:
    """Rates that explain the runner."""

    def operations(run: _Run) -> float:
        return run.work.training_operations / max(1, run.work.num_steps)

    extra_operations = max(1.0, operations(long) - operations(short))
    training = max(long.step - short.step, 0.1 * long.step) / extra_operations
    fixed = max(0.0, long.step - operations(long) * training)
    step = max(0.0, fixed - long.work.trained_parameters * parameter)
    fixed_seconds = [run.seconds - run.stepping - run.step - run.examples * example for run in (short, long)]

    def seconds_without_data(run: _Run) -> float:
        return max(1e-3, run.seconds - run.examples * example)

    predicting = max(seconds_without_data(large) - seconds_without_data(few), 0.1 * seconds_without_data(large)) / max(
        1.0, large.forward_operations - few.forward_operations
    )
    job = max(1e-3, (seconds_without_data(few) - few.forward_operations * predicting) / len(few.jobs))
    return Rates(
        start=max(0.0, fixed_seconds[0] - fixed_seconds[1]) + max(0.0, fresh.seconds - first.seconds),
        train_job=max(1e-3, min(fixed_seconds)),
        step=step,
        parameter=min(parameter, fixed / max(1, long.work.trained_parameters)),
        training=training,
        load=max(1e-3, seconds_without_data(first) - job - first.forward_operations * predicting),
        predict_job=job,
        predicting=predicting,
        example=example,
        process=process,
    )


def _memory_without_process(*runs: _Run) -> float:
    """Estimated bytes of the largest job, without those of the process."""
    return max(memory_of(run.work, Engine(), half=False, process=0.0).total for run in runs)


def _parameter_seconds() -> float:
    """Seconds per parameter of an optimizer step, with clipping by the gradient norm."""
    import torch

    from xlift.training.loop import create_optimizer

    layer = torch.nn.Linear(2048, 4096, bias=False)
    optimizer = create_optimizer(layer, Recipe())
    seconds = []
    for _ in range(4):
        layer.weight.grad = torch.ones_like(layer.weight)
        start_time = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start_time)
    return min(seconds) / layer.weight.numel()


def _create_model(subject: Subject, folder: Path) -> Path:
    """Save a model of the architecture with random weights and the tokenizer of the shipped encoder."""
    from transformers import PreTrainedTokenizerFast

    from xlift import backbones
    from xlift.models.pretrained import silence_transformers
    from xlift.training.pretraining import create_model

    assert subject.architecture is not None
    tokenizer = PreTrainedTokenizerFast.from_pretrained(backbones.find("isles").folder)
    model = create_model(subject.architecture, tokenizer, 0)
    with silence_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
