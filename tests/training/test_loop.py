"""The training loop: learning rates, weight decay, checkpoints, and exact resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny
from torch import nn

from xlift.models import adapters
from xlift.recipes import Architecture, EarlyStopping, Lora, Masking, Recipe, Sampling
from xlift.tasks import catalog, formats
from xlift.training import loop, pretraining, stage
from xlift.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, read_resume_invariants
from xlift.training.loop import Diverged, StepOutput, TrainOutput, create_optimizer, learning_rate, run_training_loop
from xlift.training.masking import Masker
from xlift.training.progress import Interrupted, Progress

STEPS = 30


def by_hand(loss: torch.Tensor, tokens: int = 1) -> StepOutput:
    loss.backward()
    return StepOutput(loss.item(), tokens)


Run = Callable[[Path, Progress | None], tuple[nn.Module, TrainOutput]]


def examples(name: str, count: int) -> list[Any]:
    task = catalog.get(name)
    return list(task.source.read(task, "qta", "train", None, size=count, seed=1))


def fine_tuning(
    folder: Path, progress: Progress | None = None, early_stopping: EarlyStopping | None = None, **options: Any
) -> tuple[nn.Module, TrainOutput]:
    """A mixture of two tasks and text, with dropout in backbone and heads."""
    encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    tokenizer, parts = tiny.tokenizer(), []
    for name in ("isle-nli", "isle-pos", "isle-text"):
        task = catalog.get(name)
        features = stage.make_features(task, examples(name, 12), tokenizer, max_length=24, train=True)
        parts.append(
            stage.TrainDataset(task, features, corruption=Masker(Masking(), tokenizer) if name == "isle-text" else None)
        )
    stage.add_heads(encoder, [part.task for part in parts], seed=1)
    recipe = Recipe(lr=1e-3, batch_size=4, max_steps=STEPS, early_stopping=early_stopping, **options)
    if recipe.lora:
        adapters.add(encoder, recipe.lora, seed=2)

    def evaluate() -> list[float]:
        """Scores that rise and fall. It draws random numbers, and raises Interrupted after a stop request."""
        if progress and progress.should_stop():
            raise Interrupted
        assert not encoder.training
        torch.rand(3)
        weight = next(p for p in encoder.parameters() if p.requires_grad).detach()
        return [float(torch.sin(1e4 * weight.sum())), float(weight.mean())]

    output = stage.fine_tune(
        encoder, tokenizer.pad_token_id, parts, recipe, Sampling(), seed=5, folder=folder, progress=progress,
        evaluate=evaluate if early_stopping else None,
    )  # fmt: skip
    return encoder, output


def selected_run(folder: Path, progress: Progress | None = None) -> tuple[nn.Module, TrainOutput]:
    return fine_tuning(folder, progress, EarlyStopping(eval_steps=4, patience=9))


def lora_run(folder: Path, progress: Progress | None = None) -> tuple[nn.Module, TrainOutput]:
    return fine_tuning(folder, progress, EarlyStopping(eval_steps=4, patience=9), lora=Lora(rank=2, dropout=0.1))


def adafactor_run(folder: Path, progress: Progress | None = None) -> tuple[nn.Module, TrainOutput]:
    return fine_tuning(folder, progress, optimizer="adafactor", lr_scheduler_type="constant")


def pretraining_run(folder: Path, progress: Progress | None = None) -> tuple[nn.Module, TrainOutput]:
    tokenizer: Any = tiny.tokenizer()
    features = formats.get("text").features(examples("isle-text", 20), tokenizer, (), max_length=24, train=True)
    rows = [np.array(ids, dtype=np.int32) for ids in features.input_ids]
    sizes = Architecture(
        family="xlm-roberta", layers=2, hidden_size=32, intermediate_size=64, heads=4, max_positions=64
    )
    model: Any = pretraining.create_model(sizes, tokenizer, seed=1)
    for module in model.modules():  # the default is 0, which would hide a lost random state
        if isinstance(module, nn.Dropout):
            module.p = 0.1
    recipe = Recipe(lr=1e-3, batch_size=4, max_steps=STEPS)
    output = pretraining.pretrain(model, tokenizer, rows, Masking(), recipe, seed=5, folder=folder, progress=progress)
    return model, output


def content(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in model.state_dict().items()}


def stop_after(steps: int) -> Progress:
    """Requests a stop after this many steps of one call."""
    done = []
    return Progress(lambda *step: done.append(step), lambda: len(done) >= steps)


def test_evaluation_does_not_change_training(tmp_path: Path) -> None:
    _, output = fine_tuning(tmp_path)
    _, evaluated = fine_tuning(tmp_path, early_stopping=EarlyStopping(eval_steps=1, patience=100))
    assert (evaluated.losses, evaluated.grad_norms, evaluated.last_losses) == (
        output.losses,
        output.grad_norms,
        output.last_losses,
    )


def test_logging_does_not_change_training(tmp_path: Path) -> None:
    logged: list[int] = []
    model, output = selected_run(tmp_path / "plain")
    followed, same = selected_run(tmp_path / "logged", Progress(log=lambda values, step: logged.append(step)))
    assert content(followed) == content(model)
    assert same == output
    assert set(logged) == set(range(1, STEPS + 1))


@pytest.mark.parametrize("train", [fine_tuning, selected_run, lora_run, adafactor_run, pretraining_run])
@pytest.mark.parametrize("steps", [1, 7])
def test_repeated_stops_end_in_the_same_bytes(train: Run, steps: int, tmp_path: Path) -> None:
    model, output = train(tmp_path / "nowhere", None)
    stops = 0
    while True:
        try:
            stopped, resumed = train(tmp_path, stop_after(steps))
            break
        except Interrupted:
            stops += 1
            torch.rand(3)  # another process has another random state
    if train not in (selected_run, lora_run):  # whose evaluation may be interrupted too
        assert stops == (STEPS - 1) // steps  # every call resumes where the last one stopped
    assert resumed == output
    assert content(stopped) == content(model)


@pytest.mark.parametrize("killed_at", [1, 2, 15, 29])
def test_a_killed_run_resumes_from_its_last_checkpoint(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 1e9)  # after every step
    (tmp_path / "whole").mkdir()
    model, output = fine_tuning(tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == killed_at:
            raise Killed

    (tmp_path / "killed").mkdir()
    with pytest.raises(Killed):
        fine_tuning(tmp_path / "killed", Progress(kill))
    seen: list[int] = []
    resumed_model, resumed = fine_tuning(tmp_path / "killed", Progress(lambda done, total: seen.append(done)))
    assert seen[0] == killed_at  # the step whose checkpoint was not written
    assert resumed == output
    assert content(resumed_model) == content(model)


def test_a_short_run_writes_no_checkpoint(tmp_path: Path) -> None:
    fine_tuning(tmp_path)
    assert not list(tmp_path.iterdir())


def saved_at(steps: int, expected: float, takes: float, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[int]:
    """Steps after which a run with 30 s per step writes a checkpoint in `takes` seconds, of which `expected` were estimated."""
    clock = [0.0]
    saved: list[int] = []

    def save(folder: Path, model: Any, optimizer: Any, step: int, numbers: Any, **more: Any) -> None:
        saved.append(step)
        clock[0] += takes

    def training_step(step: int) -> StepOutput:
        clock[0] += 30
        return by_hand((model.weight**2).sum(), 1)

    monkeypatch.setattr(loop, "save_checkpoint", save)
    monkeypatch.setattr(loop, "estimate_write_seconds", lambda folder, size: expected)
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    model = nn.Linear(2, 2, bias=False)
    run_training_loop(model, steps, training_step, Recipe(), seed=0, folder=folder)
    return saved


def test_checkpoints_take_at_most_two_percent_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 10 s of writing for 500 s of work: more than 500 s are over after 17 steps
    assert saved_at(60, 10, 10, monkeypatch, tmp_path) == [17, 34, 51]


def test_a_fast_disk_gets_a_checkpoint_per_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_at(10, 0.1, 0.1, monkeypatch, tmp_path) == [3, 6, 9]


def test_a_slow_write_makes_checkpoints_rarer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_at(30, 0.1, 10, monkeypatch, tmp_path) == [3, 20]


def test_a_stop_after_the_last_step_has_no_effect(tmp_path: Path) -> None:
    _, output = fine_tuning(tmp_path, stop_after(STEPS))
    assert output.global_step == STEPS
    assert not list(tmp_path.iterdir())


def test_a_stop_without_a_folder_raises_interrupted() -> None:
    def training_step(step: int) -> StepOutput:
        return by_hand((model.weight**2).sum(), 1)

    model = nn.Linear(2, 2)
    with pytest.raises(Interrupted):
        run_training_loop(model, 10, training_step, Recipe(), seed=0, progress=stop_after(3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_gradient_does_not_change_the_weights(bad: float) -> None:
    def training_step(step: int) -> StepOutput:
        done = by_hand(model.weight.sum(), 1)
        if step == 3:
            model.weight.grad = torch.full_like(model.weight, bad)
        return done

    model = nn.Linear(2, 2)
    with pytest.raises(Diverged, match="the gradient is not a number at step 4 of 10"):
        run_training_loop(model, 10, training_step, Recipe(lr=0.5), seed=0)
    assert torch.isfinite(model.weight).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_loss_is_a_user_error(bad: float, tmp_path: Path) -> None:
    def training_step(step: int) -> StepOutput:
        return by_hand(model.weight.sum() * (bad if step == 3 else 1.0), 1)

    model = nn.Linear(2, 2)
    with pytest.raises(Diverged, match="not a number at step 4 of 10.*\n.*learning rate 0.5"):
        run_training_loop(model, 10, training_step, Recipe(lr=0.5), seed=0, folder=tmp_path)


def test_the_learning_rate_rises_from_zero_and_falls_to_zero() -> None:
    recipe = Recipe(lr=1.0, warmup_steps=0.2)
    rates = [learning_rate(step, 10, recipe) for step in range(10)]
    # two warm-up steps at 1/3 and 2/3; the peak; then down by eighths to the last step, which is above zero
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


@given(steps=st.integers(1, 300), warmup=st.floats(0, 1) | st.integers(1, 400).map(float))
def test_the_learning_rate_has_one_peak_and_stays_positive(steps: int, warmup: float) -> None:
    rates = [learning_rate(step, steps, Recipe(lr=0.5, warmup_steps=warmup)) for step in range(steps)]
    summit = int(np.argmax(rates))
    assert min(rates) > 0
    assert max(rates) <= 0.5
    # a warm-up of less than a step can leave the first two rates equal
    assert np.all(np.diff(rates[: summit + 1]) >= 0)
    assert np.all(np.diff(rates[summit:]) <= 1e-12)


@pytest.mark.parametrize(("share", "warmup_steps"), [(0.2, 2), (0.1, 1), (0.5, 5)])
def test_warmup_steps_below_1_are_a_share(share: float, warmup_steps: float) -> None:
    by_share, by_count = (
        [learning_rate(step, 10, Recipe(lr=1.0, warmup_steps=steps)) for step in range(10)]
        for steps in (share, warmup_steps)
    )
    assert by_share == by_count


def test_adam_epsilon_reaches_the_optimizer() -> None:
    layer = nn.Linear(2, 2)
    default, other = Recipe(), Recipe(adam_epsilon=1e-6)
    assert create_optimizer(layer, default).defaults["eps"] == torch.optim.AdamW(layer.parameters()).defaults["eps"]
    assert create_optimizer(layer, other).defaults["eps"] == 1e-6


def test_a_constant_learning_rate_stays_after_warmup() -> None:
    recipe = Recipe(lr=1.0, warmup_steps=0.2, lr_scheduler_type="constant")
    assert [learning_rate(step, 10, recipe) for step in range(10)] == pytest.approx([1 / 3, 2 / 3, *[1] * 8])


def test_without_warmup_the_first_step_has_the_full_learning_rate() -> None:
    assert learning_rate(0, 10, Recipe(lr=0.5, warmup_steps=0)) == 0.5


def test_only_matrices_have_weight_decay() -> None:
    encoder = tiny.encoder("bert")
    stage.add_heads(encoder, [catalog.get("isle-nli")], seed=1)
    optimizer = create_optimizer(encoder, Recipe(weight_decay=0.3))
    decayed, spared = optimizer.param_groups
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert all("bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_a_parameter_without_gradient_does_not_change() -> None:
    # such as the head of one part of a mixture in a batch of another part: weight decay must not change it either
    used, idle = nn.Linear(2, 2), nn.Linear(2, 2)
    before = idle.weight.detach().clone()

    def training_step(step: int) -> StepOutput:
        return by_hand((used.weight**2).sum(), 1)

    run_training_loop(nn.ModuleList([used, idle]), 5, training_step, Recipe(lr=0.1, weight_decay=0.5), seed=0)
    assert torch.equal(idle.weight, before)


@pytest.mark.parametrize(("steps", "kept"), [(1, 1), (7, 7), (20, 20), (30, 20), (1000, 20)])
def test_losses_are_means_of_intervals(steps: int, kept: int) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    model = nn.ParameterList([parameter])

    def training_step(step: int) -> StepOutput:
        return by_hand((parameter.sum() * 0 + 2.0 * step) / 2, 3)

    output = run_training_loop(model, steps, training_step, Recipe(), seed=0)
    assert len(output.losses) == kept
    assert output.num_tokens == 3 * steps
    parts = [[step for step in range(steps) if step * 20 // steps == part] for part in range(20)]
    assert output.losses == pytest.approx([sum(part) / len(part) for part in parts if part])


def test_the_checkpoint_has_its_step(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fine_tuning(tmp_path, stop_after(11))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]
    model = tiny.encoder("xlm-roberta")
    stage.add_heads(model, [catalog.get(name) for name in ("isle-nli", "isle-pos", "isle-text")], seed=2)
    found = load_checkpoint(tmp_path, model, create_optimizer(model, Recipe()), read_resume_invariants(tmp_path))
    assert found.global_step == 11
    assert found.history["num_tokens"] > 0


def test_total_weight_decay_matches_adamw() -> None:
    used, idle = nn.Linear(2, 2), nn.Linear(2, 2)
    idle.double()  # so that AdamW's rounding stays below the tolerance

    def training_step(step: int) -> StepOutput:
        return by_hand((used.weight**2).sum() + (idle.weight * 0).sum(), 1)

    before = idle.weight.detach().clone()
    recipe = Recipe(lr=0.1, weight_decay=0.3, warmup_steps=0.25)
    output = run_training_loop(nn.ModuleList([used, idle]), 9, training_step, recipe, seed=0)
    assert 0.5 < output.total_weight_decay < 0.95
    assert idle.weight.detach().numpy() == pytest.approx((before * output.total_weight_decay).numpy(), rel=1e-12)
