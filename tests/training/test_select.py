"""Early stopping and the best checkpoint: what is kept, when it stops, and that a killed run does the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xlift.recipes import Recipe, Select
from xlift.training.loop import StepDone, Trained, decay_after, run_steps
from xlift.training.progress import Interrupted, Progress


def run(
    scores: Sequence[float],
    select: Select | None,
    *,
    steps: int = 12,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[float], Trained]:
    """Steps that each add one to a weight; `scores[i]` is what the judge says after i steps. Gives the weight at the end."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()

    def gradients(step: int) -> StepDone:
        model.weight.grad = torch.full_like(model.weight, -1.0)
        model.weight.data.copy_(torch.tensor([[step + 1.0]]))
        return StepDone(1.0, 1)

    def judge() -> list[float]:
        return [scores[round(model.weight.item())]]

    recipe = Recipe(lr=1e-9, weight_decay=0.5, select=select)
    trained = run_steps(model, steps, gradients, recipe, seed=0, folder=folder, progress=progress, judge=judge)
    return model.weight.flatten().tolist(), trained


def test_the_best_of_the_weights_that_were_looked_at_is_returned() -> None:
    scores = [0, 0, 1, 0, 5, 0, 3, 9, 4, 0, 2, 0, 1]  # the 9 stands at a step that is not looked at
    weight, trained = run(scores, Select(every=2, patience=10))
    assert weight == [pytest.approx(4)]
    assert trained.kept == 4
    assert trained.steps == 12
    assert trained.dev == [(step, [float(scores[step])]) for step in (2, 4, 6, 8, 10, 12)]


def test_of_equal_scores_the_earlier_is_kept() -> None:
    assert run([0.5] * 13, Select(every=3, patience=10))[1].kept == 3


def test_it_stops_after_so_many_looks_without_a_better_score() -> None:
    weight, trained = run([0, 1, 2, 3, 1, 1, 1, 9, 9, 9, 9, 9, 9], Select(every=1, patience=3))
    assert (trained.steps, trained.kept) == (6, 3)
    assert weight == [pytest.approx(3)]
    assert trained.tokens == 6
    assert len(trained.losses) == 6


def test_a_better_score_gives_new_patience() -> None:
    assert run([0, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1], Select(every=1, patience=2))[1].kept == 11


def test_the_last_step_is_looked_at_though_no_interval_ends_there() -> None:
    weight, trained = run([*range(13)], Select(every=5, patience=3))
    assert [step for step, _ in trained.dev] == [5, 10, 12]
    assert weight == [pytest.approx(12)]


def test_decay_is_that_of_the_weights_that_are_returned() -> None:
    _, trained = run([0, 9, *[0] * 11], Select(every=1, patience=4))
    assert trained.decay == decay_after(1, 12, Recipe(lr=1e-9, weight_decay=0.5))


def test_without_select_the_last_weights_are_returned_and_judged_once() -> None:
    weight, trained = run([9, *[0] * 12], None)
    assert (weight, trained.kept) == ([pytest.approx(12)], 12)
    assert trained.dev == [(12, [0.0])]


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.integers(0, 4), min_size=13, max_size=13),
    every=st.integers(1, 6),
    patience=st.integers(1, 4),
    goes=st.integers(1, 5),
)
def test_a_run_stopped_again_and_again_keeps_the_same_weights(
    scores: list[int], every: int, patience: int, goes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    select, folder = Select(every=every, patience=patience), tmp_path_factory.mktemp("run")
    expected = run(scores, select)
    while True:
        done: list[int] = []

        def stopping(done: list[int] = done) -> bool:
            return len(done) >= goes

        try:
            found = run(
                scores, select, folder=folder, progress=Progress(lambda *_, done=done: done.append(1), stopping)
            )
            break
        except Interrupted:
            continue
    assert found == expected


def test_a_judge_that_is_interrupted_is_asked_again(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    asked: list[int] = []

    def gradients(step: int) -> StepDone:
        (model.weight**2).sum().backward()
        return StepDone(1.0, 1)

    def judge() -> list[float]:
        asked.append(1)
        if len(asked) in (1, 3):
            raise Interrupted
        return [0.5]

    recipe = Recipe(lr=0.1, select=Select(every=2))
    for _ in range(2):  # once in the middle, once after the last step
        with pytest.raises(Interrupted):
            run_steps(model, 4, gradients, recipe, seed=0, folder=tmp_path, judge=judge)
    seen: list[int] = []
    progress = Progress(lambda done, total: seen.append(done))
    trained = run_steps(model, 4, gradients, recipe, seed=0, folder=tmp_path, judge=judge, progress=progress)
    assert seen == []  # all steps were done: only the question was left
    assert trained.dev == [(2, [0.5]), (4, [0.5])]


def test_facts_of_another_run_are_not_gone_on_from(tmp_path: Path) -> None:
    def go(budget: str, steps: list[int], stop: bool) -> None:
        model = nn.Linear(1, 1)

        def gradients(step: int) -> StepDone:
            steps.append(step)
            (model.weight**2).sum().backward()
            return StepDone(1.0, 1)

        progress = Progress(stopping=lambda: stop and len(steps) == 2)
        run_steps(model, 4, gradients, Recipe(), seed=0, folder=tmp_path, progress=progress, facts={"budget": budget})

    first: list[int] = []
    with pytest.raises(Interrupted):
        go("4096", first, stop=True)
    same: list[int] = []
    go("4096", same, stop=False)
    other: list[int] = []
    go("1024", other, stop=False)
    assert (first, same, other) == ([0, 1], [2, 3], [0, 1, 2, 3])
