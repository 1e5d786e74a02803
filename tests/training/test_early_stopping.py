"""Early stopping: which weights are kept, when training stops, and that a resumed run gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from torch import nn

from xlift.recipes import EarlyStopping, Recipe
from xlift.training.loop import StepOutput, TrainOutput, run_training_loop, total_weight_decay
from xlift.training.progress import Interrupted, Progress


def run(
    scores: Sequence[float],
    early_stopping: EarlyStopping | None,
    *,
    eval_steps: int | None = None,
    steps: int = 12,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[float], TrainOutput]:
    """Train a weight that is i after i steps, with a score of `scores[i]`. Returns the final weight and the output."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()

    def training_step(step: int) -> StepOutput:
        model.weight.grad = torch.full_like(model.weight, -1.0)
        model.weight.data.copy_(torch.tensor([[step + 1.0]]))
        return StepOutput(1.0, 1)

    def evaluate() -> list[float]:
        return [scores[round(model.weight.item())]]

    recipe = Recipe(lr=1e-9, weight_decay=0.5, early_stopping=early_stopping, eval_steps=eval_steps)
    output = run_training_loop(
        model, steps, training_step, recipe, seed=0, folder=folder, progress=progress, evaluate=evaluate
    )
    return model.weight.flatten().tolist(), output


def test_the_best_evaluated_weights_are_returned() -> None:
    scores = [0, 0, 1, 0, 5, 0, 3, 9, 4, 0, 2, 0, 1]  # the 9 is at a step that is not evaluated
    weight, output = run(scores, EarlyStopping(eval_steps=2, patience=10))
    assert weight == [pytest.approx(4)]
    assert output.best_step == 4
    assert output.global_step == 12
    assert output.dev_scores == [(step, [float(scores[step])]) for step in (2, 4, 6, 8, 10, 12)]


def test_the_first_of_equal_scores_is_kept() -> None:
    assert run([0.5] * 13, EarlyStopping(eval_steps=3, patience=10))[1].best_step == 3


def test_training_stops_after_patience_evaluations() -> None:
    weight, output = run([0, 1, 2, 3, 1, 1, 1, 9, 9, 9, 9, 9, 9], EarlyStopping(eval_steps=1, patience=3))
    assert (output.global_step, output.best_step) == (6, 3)
    assert weight == [pytest.approx(3)]
    assert output.num_tokens == 6
    assert len(output.losses) == 6


def test_a_better_score_resets_patience() -> None:
    assert run([0, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1], EarlyStopping(eval_steps=1, patience=2))[1].best_step == 11


def test_the_last_step_is_always_evaluated() -> None:
    weight, output = run([*range(13)], EarlyStopping(eval_steps=5, patience=3))
    assert [step for step, _ in output.dev_scores] == [5, 10, 12]
    assert weight == [pytest.approx(12)]


def test_total_weight_decay_is_that_of_the_returned_weights() -> None:
    _, output = run([0, 9, *[0] * 11], EarlyStopping(eval_steps=1, patience=4))
    assert output.total_weight_decay == total_weight_decay(1, 12, Recipe(lr=1e-9, weight_decay=0.5))


def test_eval_steps_record_the_dev_curve_and_change_nothing_else() -> None:
    scores = [0, 0, 1, 0, 5, 0, 3, 9, 4, 0, 2, 0, 1]
    weight, output = run(scores, None)
    curve_weight, curve = run(scores, None, eval_steps=5)
    assert (weight, output.best_step) == (curve_weight, curve.best_step) == ([pytest.approx(12)], 12)
    assert curve.total_weight_decay == output.total_weight_decay
    assert output.dev_scores == [(12, [1.0])]
    assert curve.dev_scores == [(5, [0.0]), (10, [2.0]), (12, [1.0])]


def test_without_early_stopping_the_last_weights_are_returned_and_evaluated_once() -> None:
    weight, output = run([9, *[0] * 12], None)
    assert (weight, output.best_step) == ([pytest.approx(12)], 12)
    assert output.dev_scores == [(12, [0.0])]


@settings(max_examples=scaled(40), deadline=None)
@given(
    scores=st.lists(st.integers(0, 4), min_size=13, max_size=13),
    eval_steps=st.integers(1, 6),
    patience=st.integers(1, 4),
    stop_steps=st.integers(1, 5),
)
def test_repeated_stops_do_not_change_the_best_weights(
    scores: list[int], eval_steps: int, patience: int, stop_steps: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    early_stopping, folder = EarlyStopping(eval_steps=eval_steps, patience=patience), tmp_path_factory.mktemp("run")
    expected = run(scores, early_stopping)
    while True:
        done: list[int] = []

        def should_stop(done: list[int] = done) -> bool:
            return len(done) >= stop_steps

        try:
            found = run(
                scores,
                early_stopping,
                folder=folder,
                progress=Progress(lambda *_, done=done: done.append(1), should_stop),
            )
            break
        except Interrupted:
            continue
    assert found == expected


def test_an_interrupted_evaluation_is_repeated(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    calls: list[int] = []

    def training_step(step: int) -> StepOutput:
        (model.weight**2).sum().backward()
        return StepOutput(1.0, 1)

    def evaluate() -> list[float]:
        calls.append(1)
        if len(calls) in (1, 3):
            raise Interrupted
        return [0.5]

    recipe = Recipe(lr=0.1, early_stopping=EarlyStopping(eval_steps=2))
    for _ in range(2):  # once in the middle, once after the last step
        with pytest.raises(Interrupted):
            run_training_loop(model, 4, training_step, recipe, seed=0, folder=tmp_path, evaluate=evaluate)
    seen: list[int] = []
    progress = Progress(lambda done, total: seen.append(done))
    output = run_training_loop(
        model, 4, training_step, recipe, seed=0, folder=tmp_path, evaluate=evaluate, progress=progress
    )
    assert seen == []  # all steps were done; only the evaluation was left
    assert output.dev_scores == [(2, [0.5]), (4, [0.5])]


def test_a_run_with_other_resume_invariants_restarts(tmp_path: Path) -> None:
    def go(budget: str, steps: list[int], stop: bool) -> None:
        model = nn.Linear(1, 1)

        def training_step(step: int) -> StepOutput:
            steps.append(step)
            (model.weight**2).sum().backward()
            return StepOutput(1.0, 1)

        progress = Progress(should_stop=lambda: stop and len(steps) == 2)
        run_training_loop(
            model,
            4,
            training_step,
            Recipe(),
            seed=0,
            folder=tmp_path,
            progress=progress,
            resume_invariants={"budget": budget},
        )

    first: list[int] = []
    with pytest.raises(Interrupted):
        go("4096", first, stop=True)
    same: list[int] = []
    go("4096", same, stop=False)
    other: list[int] = []
    go("1024", other, stop=False)
    assert (first, same, other) == ([0, 1], [2, 3], [0, 1, 2, 3])
