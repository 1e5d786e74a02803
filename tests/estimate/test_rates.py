"""Rates of a machine: recorded ones scaled to any shape, and saved calibrations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from xlift.errors import UserError
from xlift.estimate import rates
from xlift.estimate.devices import DEVICES, find_device, suggest_memory_savings
from xlift.estimate.memory import memory_of
from xlift.estimate.rates import BASE, ISLES, RECORDED
from xlift.estimate.work import Workload
from xlift.memory import token_bytes
from xlift.model_shape import ModelShape, parse_config, read_model_shape
from xlift.recipes import Engine

LARGE = ModelShape("xlm-roberta", 24, 1024, 4096, 16, 250_002, 514)


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "has_fast_bf16", lambda: True)


def test_recorded_shapes_get_their_recorded_rates(bf16: None):
    for shape, recorded in RECORDED.items():
        scaled = dataclasses.asdict(rates.scale_recorded_rates(shape, "auto"))
        assert scaled == pytest.approx(dataclasses.asdict(recorded), rel=1e-9)


def test_rates_of_a_shape_in_between_are_interpolated(bf16: None):
    small = ModelShape("xlm-roberta", 6, 384, 1536, 6, 50_000, 514)
    scaled = rates.scale_recorded_rates(small, "auto")
    low, high = RECORDED[ISLES].train_job, RECORDED[BASE].train_job
    assert low < scaled.train_job < high


def test_larger_shape_costs_more_per_job_and_the_same_per_operation(bf16: None):
    scaled, base = rates.scale_recorded_rates(LARGE, "auto"), RECORDED[BASE]
    assert scaled.train_job > base.train_job
    assert scaled.training == pytest.approx(base.training)


def test_wide_models_take_longer_without_bf16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "has_fast_bf16", lambda: False)
    assert rates.scale_recorded_rates(BASE, "auto").training == pytest.approx(
        RECORDED[BASE].training * rates.WITHOUT_BF16
    )
    assert rates.scale_recorded_rates(ISLES, "auto").training == pytest.approx(
        RECORDED[ISLES].training
    )  # narrow models never use bf16


def test_calibration_is_saved_by_shape_precision_engine_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path))
    one, two = dataclasses.replace(RECORDED[ISLES], start=1.0), dataclasses.replace(RECORDED[ISLES], start=2.0)
    rates.save_calibration(one, ISLES, "auto", Engine(), 1)
    rates.save_calibration(two, ISLES, "auto", Engine(), 8)
    found = rates.load_calibration(ISLES, "auto", Engine(), 6)
    assert found is not None
    assert (found.rates, found.workers, found.is_measured) == (two, 8, True)  # the nearest number of workers
    assert rates.load_calibration(BASE, "auto", Engine(), 1) is None
    assert rates.load_calibration(ISLES, "fp32", Engine(), 1) is None
    assert rates.load_calibration(ISLES, "auto", Engine(token_budget=512), 1) is None
    monkeypatch.setattr(rates, "machine_info", lambda: {"processor": "another"})
    assert rates.load_calibration(ISLES, "auto", Engine(), 1) is None


@pytest.mark.parametrize("damage", ["", "{", "{}", '{"rates": {"start": 1}, "workers": 1}', "[]"])
def test_damaged_calibration_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str):
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path))
    path = rates.save_calibration(RECORDED[ISLES], ISLES, "auto", Engine(), 1)
    path.write_text(damage, encoding="utf-8")
    assert rates.load_calibration(ISLES, "auto", Engine(), 1) is None


def test_shape_is_read_from_the_config(tmp_path: Path):
    assert read_model_shape(tmp_path) is None
    config = {
        "model_type": "xlm-roberta", "num_hidden_layers": 24, "hidden_size": 1024, "intermediate_size": 4096,
        "num_attention_heads": 16, "vocab_size": 250_002, "max_position_embeddings": 514,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert read_model_shape(tmp_path) == LARGE


# --- devices and memory -----------------------------------------------------------------------------------------------


def a_stage(**more: Any) -> Workload:
    return Workload(
        "train",
        LARGE,
        1e8,
        0.0,
        40.0,
        num_steps=12_000,
        tokens_per_step=8192,
        num_examples=4e5,
        trained_vocab_rows=100_000,
        **more,
    )


def test_a_faster_device_takes_less_time():
    seconds = {each.name: each.seconds(a_stage()) for each in DEVICES}
    assert seconds["h200"] <= seconds["h100"] < seconds["a100-80gb"] < seconds["l4"] < seconds["cpu-2-core"]
    # 6 x 302M x 1e8 operations and attention at 0.4 of 989 TFLOP/s are 8 minutes
    assert 400 < seconds["h200"] < 1500


def test_unknown_device_is_an_error_that_lists_devices():
    with pytest.raises(UserError) as error:
        find_device("h20")
    assert "h200" in str(error.value.fix)
    assert find_device("H200").name == "h200"


def test_memory_of_a_large_stage_matches_a_hand_calculation():
    memory = memory_of(a_stage(), Engine(token_budget=1024), half=True, process=0.5e9)
    trained = 302_000_000 + (100_000 + 514) * 1024
    assert memory.weights == pytest.approx(2 * 4 * trained, rel=0.01)
    assert memory.training == pytest.approx(trained * (4 + 8 + 2), rel=0.01)
    per_layer = 6 * 16 * 40 + 28 * 1024 + 4 * 4096
    assert memory.activations == pytest.approx(1024 * per_layer * 26)
    assert memory.total == pytest.approx(0.5e9 + memory.weights + memory.training + memory.activations)


def test_engine_options_save_memory():
    usual = memory_of(a_stage(), Engine(), half=True, process=0.0, device=24e9).total
    saving = [
        Engine(gradient_checkpointing=True, token_budget=8192), Engine(offload=True, token_budget=8192),
        Engine(devices=2, strategy="fsdp", token_budget=8192), Engine(token_budget=512),
    ]  # fmt: skip
    for engine in saving:
        assert memory_of(a_stage(), engine, half=True, process=0.0, device=24e9).total < usual


def test_small_device_gets_the_smallest_token_budget():
    small = memory_of(a_stage(), Engine(), half=True, process=0.0, device=8e9)
    assert small.activations == pytest.approx(512 * token_bytes(LARGE, 40.0, half=True))


def test_suggestions_leave_out_options_already_set():
    assert "gradient_checkpointing" in suggest_memory_savings(a_stage(), checkpointing=False, offload=False)
    assert "gradient_checkpointing" not in suggest_memory_savings(a_stage(), checkpointing=True, offload=False)
    assert "offload" not in suggest_memory_savings(a_stage(), checkpointing=True, offload=True)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("checkpointing", [True, False])
def test_activation_formula_equals_the_one_of_the_engine(half: bool, checkpointing: bool):
    from transformers import XLMRobertaConfig

    config = XLMRobertaConfig(
        num_hidden_layers=24, hidden_size=1024, intermediate_size=4096, num_attention_heads=16, vocab_size=250_002
    )
    of_engine, options = parse_config(config.to_dict()), {"half": half, "checkpointing": checkpointing}
    assert token_bytes(LARGE, 40, **options) == token_bytes(of_engine, 40, **options)
