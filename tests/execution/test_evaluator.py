"""Collapsed stages: when a stage counts as collapsed, and how it is retried."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.analysis.training_status import TrainingStatusReader
from xlift.evaluation import predict as prediction
from xlift.execution.work import run_job
from xlift.execution.work.evaluator import (
    ATTEMPTS_FILE,
    Attempt,
    DevEvaluator,
    train_with_retries,
)
from xlift.execution.work.shared import Context
from xlift.recipes import Recipe
from xlift.report.study import make_report
from xlift.studies import dev_data
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.record import make_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.training.checkpoint import CHECKPOINT_FILE
from xlift.training.loop import Diverged, StepOutput, TrainOutput
from xlift.training.progress import Interrupted, Progress
from xlift.training.step import TrainingStep

# --- whole stages -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _little_dev_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev_data, "MAX_DEV_EXAMPLES", 60)


def planned(folder: Path, training: dict[str, Any], mixture: list[dict[str, Any]]) -> tuple[Plan, Job, Context]:
    recipe = {"lr": 0.001, "batch_size": 8, "max_steps": 4, "max_length": 48, **training}
    target = {"task": "isle-nli", "train": {"size": 8}, "languages": ["qta"], "size": 8}
    study = write_study(
        folder, intermediate=[{"name": "mix", "mixture": mixture}], training=recipe, targets=[target]
    )  # fmt: skip
    plan = plan_of(study)
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    return plan, job, Context(plan.data, plan.tasks, plan.models)


def read_results(store: Store, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of the manifest, and training.json."""
    artifact = store.open(job.key)
    return artifact.manifest["numbers"], json.loads(artifact.file("training.json").read_text())


def test_a_collapsed_stage_is_retried_and_marked(tmp_path: Path) -> None:
    plan, job, _ = planned(tmp_path, {"lr": 1e-9}, [{"task": "isle-nli", "size": 24}])
    store = Store(tmp_path / "store")
    run_inline(plan, store)
    numbers, training = read_results(store, job)
    assert (numbers["attempts"], numbers["collapsed"]) == (3, True)
    assert [attempt["lr"] for attempt in training["attempts"]] == [1e-9, 5e-10, 2.5e-10]
    assert [attempt["outcome"] for attempt in training["attempts"]] == ["collapsed"] * 3
    (part,) = training["attempts"][0]["dev"]
    assert (part["task"], part["language"], part["examples"], part["metric"]) == ("isle-nli", "qta", 60, "accuracy")
    assert part["score"] <= part["constant"]
    assert part["losses"][0] >= 0.98 * part["entropies"][0]
    assert (
        TrainingStatusReader(store).status(plan.cells[0].key) == "collapsed"
    )  # also for the target's prediction, two jobs later


def test_a_stage_that_learns_is_not_retried(tmp_path: Path) -> None:
    training = {"lr": 0.01, "max_steps": 40, "batch_size": 16}
    _, job, context = planned(tmp_path, training, [{"task": "isle-pos", "size": 64}])
    store = Store(tmp_path / "store")
    run_job(job, context, store, Progress())
    numbers, training = read_results(store, job)
    assert (numbers["attempts"], numbers["collapsed"]) == (1, False)
    assert [attempt["outcome"] for attempt in training["attempts"]] == ["ok"]
    assert len(training["dev"]) == 1
    assert len(training["grad_norms"]) == len(training["losses"]) == 20
    assert TrainingStatusReader(store).status(job.key) == "ok"


def test_a_mixture_has_collapsed_only_if_all_dev_sets_have() -> None:
    parts = [{"collapsed": True}, {"collapsed": False}]
    assert not Attempt(None, TrainOutput(1, 1), parts).collapsed
    assert Attempt(None, TrainOutput(1, 1), parts[:1]).collapsed
    assert not Attempt(None, TrainOutput(1, 1), []).collapsed  # nothing was evaluated


def is_collapsed(folder: Path, score: float, loss: float) -> bool:
    """Whether isle-nli counts as collapsed with these numbers."""
    from tests.support import tiny

    _, job, context = planned(folder, {}, [{"task": "isle-nli", "size": 24}])
    evaluator = DevEvaluator(job.spec, context, tiny.tokenizer(), 512)  # type: ignore[arg-type]
    trained = TrainOutput(4, 1, best_step=4, dev_scores=[(4, [score])], last_losses={0: loss})
    (part,) = evaluator.summarize(trained, [math.log(3)])
    return part["collapsed"]


@pytest.mark.parametrize(
    ("score", "loss", "collapsed"),
    [(0.2, 1.1, True), (0.9, 1.1, False), (0.2, 0.98 * math.log(3) - 1e-6, False), (0.2, 0.98 * math.log(3) + 1e-6, True)],
)  # fmt: skip
def test_collapse_needs_a_low_score_and_a_high_loss(score: float, loss: float, collapsed: bool, tmp_path: Path) -> None:
    # a low training loss with a low score is overfitting or a hard task, which a lower learning rate does not fix
    assert is_collapsed(tmp_path, score, loss) == collapsed


def test_without_retries_nothing_is_evaluated(tmp_path: Path) -> None:
    _, job, context = planned(tmp_path, {"lr": 1e-9, "retries": 0}, [{"task": "isle-nli", "size": 24}])
    store = Store(tmp_path / "store")
    run_job(job, context, store, Progress())
    numbers, training = read_results(store, job)
    assert numbers["attempts"] == 1
    assert "collapsed" not in numbers
    assert training["dev"] == []


@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "modernbert"])
def test_the_stored_model_is_the_best_checkpoint(family: str, tmp_path: Path) -> None:
    from tests.support import tiny

    tiny.model_folder(tmp_path / "model", family)
    training = {"lr": 0.01, "max_steps": 12, "early_stopping": {"eval_steps": 3, "patience": 2}}
    _, job, context = planned(tmp_path, training, [{"task": "isle-pos", "size": 64}])
    store = Store(tmp_path / "store")
    run_job(job, context, store, Progress())
    _, training = read_results(store, job)
    scores = {step: scores[0] for step, scores in training["dev"]}
    assert scores[training["best_step"]] == max(scores.values())
    # the stored model gets the score that it was chosen by
    from xlift.models import backbone

    encoder, tokenizer = backbone.load(store.open(job.key).folder / "model")
    evaluate = DevEvaluator(job.spec, context, tokenizer, encoder.max_length).make_evaluate(  # type: ignore[arg-type]
        encoder, tokenizer.pad_token_id, Progress()
    )
    assert evaluate is not None
    assert list(evaluate()) == [scores[training["best_step"]]]


# --- attempts ---------------------------------------------------------------------------------------------------------

GOOD = [{"collapsed": False}]
BAD = [{"collapsed": True}]
DIVERGED = Diverged("the loss is not a number at step 3 of 9")


def outcomes(*given: list[dict[str, Any]] | Exception) -> tuple[Any, list[tuple[float, str]]]:
    """A stage with these outcomes, and the learning rate and folder of each attempt."""
    seen: list[tuple[float, str]] = []
    rest: Iterator[list[dict[str, Any]] | Exception] = iter(given)

    def train_once(recipe: Recipe, folder: Path) -> Attempt[float]:
        seen.append((recipe.lr, folder.name))
        (folder / CHECKPOINT_FILE).write_bytes(b"x")
        if isinstance(came := next(rest), Exception):
            raise came
        return Attempt(recipe.lr, TrainOutput(1, 1), came)

    return train_once, seen


def test_every_attempt_halves_the_learning_rate_in_its_own_folder(tmp_path: Path) -> None:
    train_once, seen = outcomes(DIVERGED, BAD, GOOD)
    attempt, results = train_with_retries(Recipe(lr=0.8), tmp_path, train_once)
    assert seen == [(0.8, tmp_path.name), (0.4, "attempt-2"), (0.2, "attempt-3")]
    assert attempt.result == 0.2
    assert [each["outcome"] for each in results] == ["diverged", "collapsed", "ok"]
    assert results[0]["reason"] == "the loss is not a number at step 3 of 9"
    assert not (tmp_path / CHECKPOINT_FILE).exists()  # the checkpoint of a finished attempt is deleted


def overflow() -> Diverged:
    error = Diverged("the loss is not a number at step 3 of 9")
    error.precision = "bf16"
    return error


def test_a_stage_goes_to_fp32_before_its_learning_rate_is_halved(tmp_path: Path) -> None:
    recipes: list[tuple[float, str]] = []
    train_once, seen = outcomes(overflow(), DIVERGED, BAD, GOOD)

    def recorded(recipe: Recipe, folder: Path) -> Attempt[float]:
        recipes.append((recipe.lr, recipe.precision))
        return train_once(recipe, folder)

    attempt, results = train_with_retries(Recipe(lr=0.8), tmp_path, recorded)
    assert recipes == [(0.8, "auto"), (0.8, "fp32"), (0.4, "fp32"), (0.2, "fp32")]
    assert [folder for _, folder in seen] == [tmp_path.name, "attempt-2", "attempt-3", "attempt-4"]
    assert attempt.result == 0.2
    assert [(each["precision"], each["outcome"]) for each in results] == [
        ("bf16", "diverged"), ("fp32", "diverged"), ("fp32", "collapsed"), ("fp32", "ok"),
    ]  # fmt: skip


def test_fp32_is_not_counted_as_a_retry(tmp_path: Path) -> None:
    for name, given in {"a": (overflow(), GOOD), "b": (BAD, overflow(), GOOD)}.items():
        (tmp_path / name).mkdir()
        _, results = train_with_retries(Recipe(lr=0.8, retries=1), tmp_path / name, outcomes(*given)[0])
        assert results[-1]["outcome"] == "ok"
        assert results[-1]["lr"] == (0.8 if name == "a" else 0.4)
    (tmp_path / "c").mkdir()
    with pytest.raises(Diverged):
        train_with_retries(Recipe(lr=0.8, retries=1), tmp_path / "c", outcomes(overflow(), DIVERGED, DIVERGED)[0])
    (tmp_path / "d").mkdir()
    with pytest.raises(Diverged):  # no stage is trained again
        train_with_retries(Recipe(lr=0.8, retries=0), tmp_path / "d", outcomes(overflow())[0])


def test_a_stage_killed_in_fp32_resumes_in_fp32(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train_with_retries(Recipe(lr=0.8), tmp_path, outcomes(overflow(), Interrupted())[0])
    again, recipes = outcomes(GOOD)[0], []

    def recorded(recipe: Recipe, folder: Path) -> Attempt[float]:
        recipes.append((recipe.lr, recipe.precision, folder.name))
        return again(recipe, folder)

    train_with_retries(Recipe(lr=0.8), tmp_path, recorded)
    assert recipes == [(0.8, "fp32", "attempt-2")]


def test_the_last_attempt_is_kept_unless_it_diverged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    train_once, _ = outcomes(BAD, BAD)
    attempt, results = train_with_retries(Recipe(lr=0.8, retries=1), tmp_path / "a", train_once)
    assert (attempt.result, [each["outcome"] for each in results]) == (0.4, ["collapsed", "collapsed"])
    (tmp_path / "b").mkdir()
    train_once, _ = outcomes(BAD, DIVERGED)
    with pytest.raises(Diverged, match="not a number"):
        train_with_retries(Recipe(lr=0.8, retries=1), tmp_path / "b", train_once)


def test_without_retries_the_first_attempt_is_the_last(tmp_path: Path) -> None:
    train_once, seen = outcomes(BAD)
    _, results = train_with_retries(Recipe(lr=0.8, retries=0), tmp_path, train_once)
    assert (len(seen), results[0]["outcome"]) == (1, "collapsed")


def test_a_killed_stage_resumes_in_its_last_attempt(tmp_path: Path) -> None:
    train_once, _ = outcomes(BAD, Interrupted())
    with pytest.raises(Interrupted):
        train_with_retries(Recipe(lr=0.8), tmp_path, train_once)
    assert (tmp_path / "attempt-2" / CHECKPOINT_FILE).exists()
    again, seen = outcomes(GOOD)
    _, results = train_with_retries(Recipe(lr=0.8), tmp_path, again)
    assert seen == [(0.4, "attempt-2")]
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert results == train_with_retries(Recipe(lr=0.8), undisturbed, outcomes(BAD, GOOD)[0])[1]


def test_a_damaged_attempts_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ATTEMPTS_FILE).write_text("[{", encoding="utf-8")
    train_once, seen = outcomes(GOOD)
    train_with_retries(Recipe(lr=0.8), tmp_path, train_once)
    assert seen == [(0.8, tmp_path.name)]


def test_a_diverged_stage_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls = TrainingStep.__call__, []

    def sometimes(self: TrainingStep, number: int) -> StepOutput:
        calls.append(number)
        done = step(self, number)
        return replace(done, loss=math.nan) if len(calls) == 3 else done

    monkeypatch.setattr(TrainingStep, "__call__", sometimes)
    pos = [{"task": "isle-pos", "size": 24}]
    _, job, context = planned(tmp_path, {"lr": 0.01, "max_steps": 6, "retries": 1}, pos)
    store = Store(tmp_path / "store")
    run_job(job, context, store, Progress())
    assert calls == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    numbers, training = read_results(store, job)
    assert numbers["attempts"] == 2
    assert training["attempts"][0]["outcome"] == "diverged"
    assert TrainingStatusReader(store).status(job.key) != "ok"
    # the second attempt is independent of the first: it equals a study with half the learning rate
    _, half, context = planned(tmp_path, {"lr": 0.005, "max_steps": 6, "retries": 0}, pos)
    run_job(half, context, store, Progress())
    weights = [store.open(each.key).file("model/model.safetensors").read_bytes() for each in (job, half)]
    assert weights[0] == weights[1]


def test_a_stage_whose_dev_logits_are_no_numbers_diverged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict, calls = prediction.predict, []

    def sometimes(*given: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise prediction.NotFinite("the model's logits are not numbers")
        return predict(*given, **options)

    monkeypatch.setattr(prediction, "predict", sometimes)
    monkeypatch.setattr(Attempt, "collapsed", False)
    _, job, context = planned(tmp_path, {"lr": 0.01, "retries": 1}, [{"task": "isle-pos", "size": 24}])
    store = Store(tmp_path / "store")
    run_job(job, context, store, Progress())
    first, second = read_results(store, job)[1]["attempts"]
    assert (first["outcome"], first["reason"]) == ("diverged", "the model's logits are not numbers on isle-pos dev")
    assert (second["outcome"], second["lr"]) == ("ok", 0.005)


def test_stages_that_overflow_in_half_precision_end_in_fp32_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, trained, predicted = TrainingStep.__call__, [], []
    compute_row_outputs = prediction.compute_row_outputs

    def overflows(self: TrainingStep, number: int) -> StepOutput:
        trained.append(self.precision)
        done = step(self, number)
        return replace(done, loss=math.inf) if self.precision == "bf16" and number == 2 else done

    def recorded(*given: Any, **options: Any) -> Any:
        predicted.append(options.get("precision"))
        return compute_row_outputs(*given, **options)

    monkeypatch.setattr(TrainingStep, "__call__", overflows)
    monkeypatch.setattr(prediction, "compute_row_outputs", recorded)
    monkeypatch.setattr(Attempt, "collapsed", False)  # four steps teach nothing
    recipe = {"lr": 0.01, "precision": "bf16", "retries": 1, "max_steps": 4}
    plan, job, _ = planned(tmp_path, recipe, [{"task": "isle-pos", "size": 24}])
    store = Store(tmp_path / "store")
    run_inline(plan, store)
    stages = [each for each in plan.jobs.values() if each.kind == "train"]
    assert trained[:7] == ["bf16"] * 3 + ["fp32"] * 4
    numbers, training = read_results(store, job)
    assert (numbers["precision"], numbers["attempts"], numbers["went_to_fp32"]) == ("fp32", 2, True)
    assert [(each["lr"], each["precision"]) for each in training["attempts"]] == [(0.01, "bf16"), (0.01, "fp32")]
    assert TrainingStatusReader(store).status(plan.cells[0].key) == "fp32"
    # the predictions of such a model are in fp32 too; those during training always are
    assert "fp32" in predicted
    assert "bf16" not in predicted
    report = make_report(make_record(read_study(str(tmp_path / "study.yaml")), plan), store)
    assert f"The loss of {len(stages)} of {len(stages)} training runs was not a number in bfloat16." in "".join(
        report.info.warnings
    )
    assert {row.training_status for row in report.rows} == {"fp32"}
