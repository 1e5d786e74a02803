"""Runs that choose a learning rate: the first seed takes over the model with the best rate, the others train with that rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import plan_of, run_in_process, run_inline, write_study

from xlift.analysis.rate_choices import read_target_stages
from xlift.errors import UserError
from xlift.execution.work.rate_choice import Candidate, choose, read_candidates
from xlift.report.learning_rates import draw_curves, rates_for_page
from xlift.report.paper.document import Figure, Strong, Table
from xlift.report.paper.paper import make_paper
from xlift.report.study import describe_method, make_report
from xlift.report.tables import to_json
from xlift.studies import dev_data
from xlift.studies.job import Job, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.record import make_record
from xlift.studies.remaining import list_jobs_to_run
from xlift.studies.retention import WeightRemover
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

STUDY: dict[str, Any] = {
    "seeds": [1, 2],
    "training": {
        "lr": 0.001, "batch_size": 8, "max_steps": 2, "max_length": 64, "retries": 0,
        "target": {"lr": [1.0e-5, 0.03], "eval_steps": 2, "max_steps": 4},
    },
    "intermediate": ["none"],
    "targets": [{"task": "isle-nli", "train": {"size": 24}, "languages": ["qtu"], "size": 12}],
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _few_dev_examples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dev_data, "MAX_DEV_EXAMPLES", 30)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    folder = tmp_path_factory.mktemp("rates")
    study = write_study(folder, **STUDY)
    run_inline(plan_of(study), Store(folder / "store"))
    return study, Store(folder / "store")


def stages(plan: Plan) -> tuple[list[Job], list[Job]]:
    """The jobs that try a rate, and those that use the best one, by seed."""
    trained = [job for job in plan.jobs.values() if job.kind == "train"]
    return [job for job in trained if not job.lr_choices], [job for job in trained if job.lr_choices]


def numbers(store: Store, job: Job) -> dict[str, Any]:
    found = store.find(job.key)
    assert found
    return found.manifest["numbers"]


def weights(store: Store, job: Job) -> dict[str, str]:
    files = store.open(job.key).manifest["files"]
    return {name: each["sha256"] for name, each in files.items() if name.startswith("model/")}


def test_the_first_seed_takes_over_the_best_and_the_second_trains_with_its_rate(finished: tuple[Path, Store]) -> None:
    study, store = finished
    tried, (first, second) = stages(plan_of(study))
    assert isinstance(first.spec, TrainSpec)
    best = max(tried, key=lambda job: numbers(store, job)["dev_score"])
    others = [job for job in tried if job is not best]
    assert weights(store, first) == weights(store, best)
    assert all(weights(store, first) != weights(store, other) for other in others)
    assert isinstance(best.spec, TrainSpec)
    assert numbers(store, first)["lr"] == numbers(store, second)["lr"] == best.spec.recipe.lr
    for name in ("steps", "dev_score", "dev_curve"):
        assert numbers(store, first)[name] == numbers(store, best)[name]
    assert "tokens" not in numbers(store, first)  # no token was trained on again
    assert numbers(store, second)["tokens"]
    training = json.loads(store.open(second.key).file("training.json").read_text(encoding="utf-8"))
    assert training["lr_choices"] == [
        {"lr": job.spec.recipe.lr, "job": job.key, "score": numbers(store, job)["dev_score"]}
        for job in tried
        if isinstance(job.spec, TrainSpec)
    ]
    assert training["attempts"][0]["lr"] == best.spec.recipe.lr


def test_the_dev_curve_and_its_last_score_are_in_the_manifest(finished: tuple[Path, Store]) -> None:
    study, store = finished
    _, (_, second) = stages(plan_of(study))
    training = json.loads(store.open(second.key).file("training.json").read_text(encoding="utf-8"))
    assert numbers(store, second)["dev_curve"] == [[step, scores[0]] for step, scores in training["dev"]]
    assert [step for step, _ in training["dev"]] == [2, 4]
    assert numbers(store, second)["loss_curve"] == [[n + 1, loss] for n, loss in enumerate(training["losses"])]
    assert numbers(store, second)["dev_score"] == training["dev"][-1][1][0]


def test_without_the_weights_of_the_best_the_first_seed_trains_to_the_same_model(
    finished: tuple[Path, Store], tmp_path: Path
) -> None:
    study, store = finished
    plan = plan_of(study)
    tried, (first, second) = stages(plan)
    fresh = Store(tmp_path / "store")
    for job in tried:  # as from a bundle: done, without files
        fresh.copy_manifest(store.open(job.key).manifest)
    assert first in list_jobs_to_run(plan, fresh)
    assert not any(job in tried for job in list_jobs_to_run(plan, fresh))
    run_inline(plan, fresh, [first])
    assert weights(fresh, first) == weights(store, first)
    assert numbers(fresh, first)["lr"] == numbers(store, first)["lr"]


@pytest.mark.slow
def test_weights_of_tried_rates_leave_once_one_is_taken_over(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, **STUDY), Store(tmp_path / "store")
    plan = plan_of(study)
    tried, (first, second) = stages(plan)
    run_inline(plan, store, tried)
    remover = WeightRemover(plan, store)
    remover.mark_finished(tried[-1].key)
    assert all(store.has(job.key) for job in tried)
    run_inline(plan, store, [first])
    remover.mark_finished(first.key)
    assert not any(store.has(job.key) for job in tried)
    assert store.has(first.key)
    done = run_in_process(study, tmp_path / "store")  # the others need the scores alone
    assert done.returncode == 0, done.stderr
    assert not any(store.has(job.key) for job in tried)
    assert numbers(store, second)["lr"] == numbers(store, first)["lr"]


def test_the_page_shows_the_score_of_each_rate_and_the_curve(finished: tuple[Path, Store]) -> None:
    study, store = finished
    plan = plan_of(study)
    tried, (first, second) = stages(plan)
    record = make_record(read_study(str(study)), plan)
    (part,) = rates_for_page(read_target_stages(record, store))
    assert part["rates"] == ["1e-05", "0.03"]
    scores = [numbers(store, job)["dev_score"] for job in tried]
    (line,) = part["lines"]
    assert [cell["score"] for cell in line["cells"]] == [f"{100 * score:.1f}" for score in scores]
    assert [cell["is_chosen"] for cell in line["cells"]] == [score is max(scores, key=float) for score in scores]
    ((name, curve),) = part["curves"]
    both = zip(numbers(store, first)["dev_curve"], numbers(store, second)["dev_curve"], strict=True)
    assert (name, curve) == ("none", [(step, pytest.approx((one + other) / 2)) for (step, one), (_, other) in both])
    (sentence,) = part["sentences"]
    assert sentence.startswith("From step 2 to 4 the dev score of the baseline changes by ")
    assert "<svg" in draw_curves("isle-nli", part["curves"])
    manifests = [store.open(job.key).manifest for job in plan.jobs.values()]
    method = describe_method(record, manifests)
    assert "a peak learning rate out of 1e-05, 0.03 (the best in each pipeline on dev data" in method
    assert "nothing was selected" not in method


def test_json_and_the_paper_have_the_rates_and_the_curve(finished: tuple[Path, Store]) -> None:
    study, store = finished
    record = make_record(read_study(str(study)), plan_of(study))
    report = make_report(record, store)
    tried, (first, second) = stages(plan_of(study))
    scores = [numbers(store, job)["dev_score"] for job in tried]
    rows = json.loads(to_json(report.rows, report.target_stages))
    for row in (each for each in rows if each["target"] == "isle-nli"):
        assert row["lr"] == numbers(store, first)["lr"]
        assert row["lr_dev_scores"] == [
            {"lr": lr, "dev_score": score} for lr, score in zip((1e-5, 0.03), scores, strict=True)
        ]
        curves = zip(numbers(store, first)["dev_curve"], numbers(store, second)["dev_curve"], strict=True)
        assert row["dev_curve"] == [
            {"step": step, "dev_score": pytest.approx((one + other) / 2)} for (step, one), (_, other) in curves
        ]
    (section,) = (each for each in make_paper(record, store, report).appendix if "Learning rates" in each.title)
    table, figure, _ = section.blocks
    assert isinstance(table, Table)
    assert table.head == ["pipeline", "1e-05", "0.03"]
    (line,) = table.rows
    texts = [f"{100 * score:.1f}" for score in scores]
    best = scores.index(max(scores))
    assert line == ["none", *((Strong(text),) if n == best else text for n, text in enumerate(texts))]
    assert isinstance(figure, Figure)
    assert "<svg" in figure.svg


def test_of_equal_scores_the_lowest_rate_is_taken() -> None:
    scores = {0.3: 0.5, 0.1: 0.5, 0.2: 0.5, 0.01: 0.4}
    assert choose([Candidate(lr, "", score) for lr, score in scores.items()]).lr == 0.1


def test_a_job_without_a_score_is_an_error(finished: tuple[Path, Store], tmp_path: Path) -> None:
    _, (first, _) = stages(plan_of(finished[0]))
    assert isinstance(first.spec, TrainSpec)
    with pytest.raises(UserError, match="the job with 1e-05 has no score on dev"):
        read_candidates(first.spec, Store(tmp_path / "empty"))
