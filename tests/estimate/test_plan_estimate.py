"""Estimates of a plan: tokens of real rows, seconds at fixed rates, and the time with several workers."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.fakes import plan_of, study_file
from tests.support.tiny_study import plan_of as tiny_plan_of
from tests.support.tiny_study import run_inline, write_study

from xlift.estimate import PlanEstimate, rates
from xlift.estimate.devices import find_device
from xlift.estimate.rates import Rates
from xlift.estimate.schedule import makespan
from xlift.estimate.tokens import LightTokenizer, Sampler
from xlift.estimate.work import PlanWorkloads, Workload
from xlift.model_shape import ModelShape
from xlift.recipes import WIDE
from xlift.studies.job import Data, Job, ModelRef, PredictSpec, PretrainSpec, TrainSpec, make_job
from xlift.studies.placement import root_by_job, slots_by_job, threads_by_job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.tasks.formats.multiple_choice import ChoiceExample

RATES = Rates(
    start=5.0, train_job=2.0, step=0.01, parameter=1e-9, training=1e-11, load=1.0, predict_job=0.1, predicting=2e-11,
    example=1e-3,
)  # fmt: skip
BARE = Rates(
    start=0.0, train_job=0.0, step=0.0, parameter=0.0, training=1e-11, load=0.0, predict_job=0.0, predicting=2e-11,
    example=0.0,
)  # fmt: skip
"""Only operations cost time."""
SHAPE = ModelShape("xlm-roberta", 12, 768, 3072, 12, 250_002, 514)
SIZES = st.integers(1, 10**7)


def of_kind(plan: Plan, kind: str) -> Job:
    return next(job for job in plan.jobs.values() if job.kind == kind)


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["isle-nli", "isle-pos", "isle-qa", "isle-reading", "isle-retrieval", "isle-text"])
@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_light_tokenizer_makes_the_same_rows_as_transformers(tmp_path: Path, task: str, kind: str):
    real = tiny.tokenizer(kind)
    real.save_pretrained(tmp_path)
    declared = catalog.get(task)
    language = declared.source.languages("train" if task == "isle-text" else "test")[0]
    split = "train" if task == "isle-text" else "test"
    examples = list(declared.source.read(declared, language, split, None, size=8))
    rows = [
        [list(row) for row in formats.get(declared.format).features(
            examples, tokenizer, declared.labels, max_length=48, train=False
        ).input_ids]
        for tokenizer in (real, LightTokenizer(tmp_path))
    ]  # fmt: skip
    assert rows[0] == rows[1]


def test_rows_are_truncated_at_max_length_and_every_choice_counts(tmp_path: Path):
    tiny.model_folder(tmp_path)
    task = catalog.get("isle-reading")
    data = Data(task=task.name, language="qta", split="test", fingerprint="f")
    sampler = Sampler({task.name: task}, None)
    short, long = sampler.sample(data, tmp_path, 16), sampler.sample(data, tmp_path, 512)
    example = next(task.source.read(task, "qta", "test", None))
    assert isinstance(example, ChoiceExample)
    assert short.rows == len(example.choices)
    assert short.row_length == 16
    assert long.row_length > 16
    assert short.units == 1


def test_without_a_tokenizer_tokens_are_estimated_from_characters(tmp_path: Path):
    tiny.model_folder(tmp_path)
    task = catalog.get("isle-nli")
    data = Data(task=task.name, language="qta", split="test", fingerprint="f")
    sampler = Sampler({task.name: task}, None)
    guessed, shipped = sampler.sample(data, None, None), sampler.sample(data, shipped_encoder(), None)
    assert 0.4 < guessed.tokens / shipped.tokens < 2.5


def test_broken_tokenizer_is_not_fatal(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    task = catalog.get("isle-nli")
    data = Data(task=task.name, language="qta", split="test", fingerprint="f")
    assert Sampler({task.name: task}, None).sample(data, tmp_path, None).tokens > 0


def shipped_encoder() -> Path:
    from xlift import backbones

    return backbones.find("isles").folder


def test_estimated_tokens_match_those_of_a_run(tmp_path: Path):
    plan, store = tiny_plan_of(write_study(tmp_path)), Store(tmp_path / "s")
    before = PlanWorkloads(plan, None, 1)
    run_inline(plan, store)
    after = PlanWorkloads(plan, store, 1)
    for job in plan.jobs.values():
        run_tokens = store.open(job.key).manifest["numbers"]["tokens"]
        sampled, recorded = before.workload(job), after.workload(job)
        tokens = recorded.forward_tokens if job.kind == "predict" else recorded.trained_tokens
        # a stage does not count the tokens of the dev examples that it is evaluated on
        assert tokens == pytest.approx(run_tokens, rel=1e-6) or isinstance(job.spec, TrainSpec)
        guessed = sampled.forward_tokens if job.kind == "predict" else sampled.trained_tokens
        assert guessed == pytest.approx(run_tokens, rel=0.35)


# --- seconds ----------------------------------------------------------------------------------------------------------


def a_work(tokens: float, steps: int = 10, kind: str = "train", **more: Any) -> Workload:
    trained = kind == "train"
    return Workload(
        kind, SHAPE, tokens if trained else 0.0, 0.0 if trained else tokens, 40.0, steps, num_examples=tokens / 40,
        trained_vocab_rows=10_000, **more,
    )  # fmt: skip


def test_seconds_are_the_sum_of_fixed_part_examples_steps_and_operations():
    work = a_work(40_000)
    operations = 3 * 40_000 * (2 * SHAPE.layer_parameters + 4 * 12 * 768 * 40)
    assert work.operations == operations
    parameters = SHAPE.layer_parameters + (10_000 + 514) * 768
    assert RATES.seconds(work) == pytest.approx(2 + 1000 * 1e-3 + 10 * (0.01 + parameters * 1e-9) + operations * 1e-11)


def test_a_prediction_costs_a_third_of_training_and_its_share_of_a_load():
    work = a_work(40_000, steps=0, kind="predict", num_model_loads=0.25)
    assert work.operations == a_work(40_000).operations / 3
    assert RATES.seconds(work) == pytest.approx(0.1 + 1 + work.operations * 2e-11)
    assert RATES.loading_seconds(work) == 0.25
    assert RATES.loading_seconds(a_work(40_000)) == 0


def test_layer_parameters_of_xlm_r_base_match_the_published_count():
    assert SHAPE.layer_parameters == 84_934_656  # 12 layers of 7,077,888; biases and norms are left out
    assert abs(SHAPE.num_parameters - 277.5e6) < 1e6


@given(SIZES, SIZES, st.sampled_from(["train", "predict"]), st.sampled_from(["rates", "h200", "cpu-2-core"]))
def test_more_tokens_never_cost_less(few: int, more: int, kind: str, price: str):
    low, high = sorted((few, more))
    seconds = RATES.seconds if price == "rates" else find_device(price).seconds
    assert seconds(a_work(low, kind=kind)) <= seconds(a_work(high, kind=kind))


EPOCHS = st.sampled_from([0.3, 1, 1.1, 2.5, 3])


@given(few=st.integers(1, 9999), more=st.integers(1, 9999), batch=st.integers(1, 64), epochs=EPOCHS)
@example(few=31, more=32, batch=31, epochs=3)  # a second batch in every pass
def test_more_examples_never_cost_less(few: int, more: int, batch: int, epochs: float):
    costs = [RATES.seconds(work_of(a_train(size, batch, epochs))) for size in sorted((few, more))]
    assert costs[0] <= costs[1] * (1 + 1e-9)


@given(size=st.integers(1, 300), batch=st.integers(1, 64), epochs=EPOCHS)
def test_workload_has_the_steps_and_examples_of_the_training_schedule(size: int, batch: int, epochs: float):
    from xlift.recipes import Sampling
    from xlift.training.batches import make_schedule

    job = a_train(size, batch, epochs)
    assert isinstance(job.spec, TrainSpec)
    work, one_example = work_of(job), work_of(a_train(1, epochs=1)).tokens
    steps = make_schedule([size], job.spec.recipe, Sampling(), seed=1)
    assert work.num_steps == len(steps)
    assert work.tokens == pytest.approx(sum(len(step.units) for step in steps) * one_example)


SAMPLER = Sampler({"isle-nli": catalog.get("isle-nli")}, None)


def work_of(job: Job) -> Workload:
    """The workload of a job on the shipped encoder."""
    works = PlanWorkloads(Plan("p", tasks=SAMPLER.tasks, models={"f": shipped_encoder()}), None, 1)
    works.sampler, works.roots[job.key] = SAMPLER, "f"
    return works.workload(job)


def a_train(size: int, batch: int = 32, epochs: float = 3.0) -> Job:
    from xlift.recipes import Recipe

    data = Data(task="isle-nli", language="qta", split="train", size=size, fingerprint="f")
    recipe = Recipe(batch_size=batch, epochs=epochs, retries=0)
    spec = TrainSpec(model=ModelRef(fingerprint="f"), mixture=(data,), recipe=recipe, seed=1)
    return make_job(spec, "train", round(epochs * size))


# --- several workers --------------------------------------------------------------------------------------------------


def chain(*lengths: int) -> list[Job]:
    """Training jobs in chains of the given lengths."""
    jobs: list[Job] = []
    for number, length in enumerate(lengths):
        model = ModelRef(fingerprint="f")
        for place in range(length):
            spec = a_train(1).spec.model_copy(update={"model": model})
            jobs.append(Job(spec, "", f"{number}-{place}", 1))
            model = ModelRef(job=jobs[-1].key)
    return jobs


def one(job: Job) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("jobs", "workers", "seconds"),
    [(chain(1, 1, 1, 1), 2, 2.0), (chain(4), 8, 4.0), (chain(3, 1, 1), 2, 3.0), (chain(1, 1), 8, 1.0), ([], 2, 0.0)],
)
def test_makespan_respects_chains_of_jobs(jobs: list[Job], workers: int, seconds: float):
    assert makespan(jobs, one, workers, dict.fromkeys((job.key for job in jobs), 1)) == seconds


def test_job_with_two_slots_runs_alone_on_two_workers():
    jobs = chain(1, 1, 1)
    wide, *narrow = (job.key for job in jobs)
    assert makespan(jobs, one, 2, {wide: 2} | dict.fromkeys(narrow, 1), start=5.0) == 7.0
    assert makespan(jobs, one, 2, dict.fromkeys((wide, *narrow), 3), start=5.0) == 8.0


ENGLISH = "{task: isle-text, language: qta, size: 9}"


def two_widths(folder: Path, *changes: str) -> Plan:
    """A narrow and a wide model that the study pretrains, each with one stage and its predictions."""
    made = [
        f"{{name: m{n}, pretrain: {{text: [{ENGLISH}], architecture: {{hidden_size: {n}}}}}}}"
        for n in (WIDE - 32, WIDE)
    ]
    return plan_of(study_file(folder), f"models=[{', '.join(made)}]", *changes)


def test_threads_and_slots_depend_on_kind_and_hidden_size(tmp_path: Path):
    plan = two_widths(tmp_path)
    threads, slots = threads_by_job(plan), slots_by_job(plan, gpu=False)
    roots = root_by_job(plan)
    for key, job in plan.jobs.items():
        made = plan.jobs[roots[key]].spec
        assert isinstance(made, PretrainSpec)
        assert threads[key] == (2 if job.kind == "pretrain" or made.architecture.hidden_size >= WIDE else 1)
    assert slots == threads
    assert {job.kind for job in plan.jobs.values()} == {"pretrain", "train", "predict"}


def test_stage_takes_one_slot_per_process_and_thread(tmp_path: Path):
    plan = two_widths(tmp_path, "engine.devices=3", "engine.threads=4")
    assert set(threads_by_job(plan).values()) == {4}
    for gpu, threads in ((False, 4), (True, 1)):
        slots = slots_by_job(plan, gpu=gpu)
        assert {(plan.jobs[key].kind, n) for key, n in slots.items()} == {
            ("pretrain", threads), ("train", 3 * threads), ("predict", threads),
        }  # fmt: skip


def test_measured_rates_are_not_scaled_to_threads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def speedup(*changes: str) -> dict[tuple[str, str], float]:
        """(kind, model) -> seconds of a job at measured rates, divided by those at the same rates when guessed."""
        plan = two_widths(tmp_path, *changes)
        seconds: list[dict[str, float]] = []
        for measured in (False, True):
            monkeypatch.setattr(
                rates, "load_calibration", lambda *_, is_measured=measured: rates.CachedRates(BARE, is_measured)
            )
            plan_estimate = PlanEstimate(plan, None, 1)
            seconds.append({key: plan_estimate.prior_seconds(job) for key, job in plan.jobs.items()})
        return {
            (job.kind, plan.jobs[plan_estimate.roots[key]].label.split()[1]): seconds[1][key] / seconds[0][key]
            for key, job in plan.jobs.items()
        }

    # Only operations cost time. Guessed rates are for one thread.
    two, three = 2**rates.THREAD_SCALING, 3**rates.THREAD_SCALING
    narrow, wide = f"m{WIDE - 32}", f"m{WIDE}"
    assert speedup() == {
        ("pretrain", narrow): pytest.approx(1), ("train", narrow): pytest.approx(1), ("predict", narrow): pytest.approx(1),
        # stages and predictions are measured with two threads
        ("pretrain", wide): pytest.approx(two), ("train", wide): pytest.approx(two), ("predict", wide): pytest.approx(two),
    }  # fmt: skip
    shared = speedup("engine.devices=3", "engine.threads=2")
    assert shared["pretrain", wide] == pytest.approx(two * three)  # one process; three were measured
    assert shared["predict", wide] == pytest.approx(two)


def test_peak_memory_counts_only_jobs_that_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    plan = two_widths(tmp_path)
    for workers in (1, 2, 3):
        plan_estimate = PlanEstimate(plan, None, workers)
        some = list(plan.jobs.values())[:7]
        sets = (each for number in range(1, workers + 1) for each in combinations(some, number))
        fitting = [
            each for each in sets if len(each) == 1 or sum(plan_estimate.slots[job.key] for job in each) <= workers
        ]
        most = max(sum(plan_estimate.memory(job).total for job in each) for each in fitting)
        assert plan_estimate.peak_memory(some) == pytest.approx(most)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 4))
def test_makespan_is_between_the_longest_chain_and_the_sum(lengths: list[int], workers: int):
    jobs = chain(*lengths)
    seconds = makespan(jobs, one, workers, dict.fromkeys((job.key for job in jobs), 1))
    assert max(max(lengths), sum(lengths) / workers) <= seconds <= sum(lengths)


def test_predictions_share_the_time_to_load_their_model(tmp_path: Path):
    plan = plan_of(study_file(tmp_path), "models=[isles]")
    works = PlanEstimate(plan, None, 2).workloads
    loads = {
        job.spec.model.id: sum(
            works[other.key].num_model_loads for other in plan.jobs.values() if other.start == job.start
        )
        for job in plan.jobs.values()
        if isinstance(job.spec, PredictSpec)
    }
    assert all(share == pytest.approx(1.0) for share in loads.values())


def test_pretraining_counts_its_text(tmp_path: Path):
    made = "models: [{name: mine, pretrain: {text: [{task: isle-text, language: qta, size: 90}]}}]"
    text = (study_file(tmp_path)).read_text(encoding="utf-8").replace("models: [model]", made)
    plan = plan_of(study_file(tmp_path, text))
    works = PlanEstimate(plan, None, 2).workloads
    work = works[of_kind(plan, "pretrain").key]
    assert work.trained_tokens > 90 * 10
    assert work.trained_lm_head_tokens == pytest.approx(work.trained_tokens * 0.25)
    assert works[of_kind(plan, "train").key].shape == work.shape  # later stages use the shape of the pretrained model
