"""Estimates for text mode, LoRA, Adafactor and sharding, and for the plans of the largest models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.fakes import plan_of, study_file
from tests.support.model_folders import CONFIGS, family_folder, write_family_folders

from xlift.estimate import PlanEstimate
from xlift.estimate.devices import find_device
from xlift.estimate.memory import QUARTER, memory_of
from xlift.estimate.tokens import LightTokenizer
from xlift.estimate.work import PlanWorkloads, Workload
from xlift.memory import token_bytes
from xlift.model_shape import ModelShape
from xlift.recipes import OPTIMIZERS, Engine, Lora, Recipe
from xlift.report.graph import describe_remaining
from xlift.studies.job import Job
from xlift.studies.plan import Plan, make_plan
from xlift.studies.planning.stages import count_examples
from xlift.studies.study_file import read_study

ROOT = Path(__file__).parents[2]
STUDY = """\
models: [MODEL]
targets:
  - {task: isle-nli, train: {size: 64}, size: 20, languages: [qta], training: {retries: 0, epochs: 2}}
"""
LLAMA = ModelShape(
    "llama", 32, 4096, 14336, 32, 128_256, 0, is_gated=True, family="decoder", num_key_value_heads=8, head_dim=128, tie_word_embeddings=False
)  # fmt: skip
MT5 = ModelShape("mt5", 24, 4096, 10240, 64, 250_112, 0, True, "seq2seq", 24, head_dim=64, tie_word_embeddings=False)


def planned(folder: Path, model: str, *changes: str) -> Plan:
    for family in write_family_folders(folder).iterdir():
        if family.is_dir():
            tiny.tokenizer().save_pretrained(family)
    return plan_of(study_file(folder, STUDY.replace("MODEL", model)), *changes)


def works(plan: Plan) -> dict[str, Workload]:
    found = PlanWorkloads(plan, None, 1)
    return {job.kind: found.workload(job) for job in plan.jobs.values()}


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["decoder", "seq2seq"])
@pytest.mark.parametrize("task", ["isle-nli", pytest.param("isle-qa", marks=pytest.mark.slow)])
def test_text_mode_tokens_match_the_rows(tmp_path: Path, family: Any, task: str):
    from xlift.recipes import PromptSettings
    from xlift.tasks import catalog, formats
    from xlift.tasks.prompts import find_template
    from xlift.tasks.prompts.fewshot import make_prompts
    from xlift.tasks.prompts.tokenization import adapt_template, text_features

    plan = planned(tmp_path, family, f"targets.0.task={task}", "targets.0.training.max_length=512")
    found, tokenizer, declared = works(plan), tiny.tokenizer(), catalog.get(task)
    made = {}
    for split, train in (("train", True), ("test", False)):
        examples = list(declared.source.read(declared, "qta", split, None))[:24]
        template = adapt_template(find_template(declared, PromptSettings(), "qta"), tokenizer)
        rows = make_prompts(examples, formats.get(declared.format), declared.labels, template)
        made[split] = text_features(rows, tokenizer, family, max_length=512, train=train)
    passes = 2 * 64 / 24
    assert found["train"].trained_tokens == pytest.approx(made["train"].input_ids.lengths.sum() * passes, rel=0.15)
    if family == "seq2seq":
        written = made["train"].decoder_labels.lengths.sum() * passes
        assert found["train"].trained_decoder_tokens == pytest.approx(written, rel=0.25)
    assert found["train"].trained_lm_head_tokens > 0
    source = made["test"].input_ids.lengths.sum() * 20 / 24
    given = sum(len(answer) for row in made["test"].extra["candidates"] for answer in row) * 20 / 24
    if task == "isle-qa":  # the answer is generated token by token
        assert found["predict"].generated_tokens > 0
    else:
        assert found["predict"].forward_lm_head_tokens == pytest.approx(given, rel=0.3)
    behind = found["predict"].forward_lm_head_tokens
    reads = source + (behind if family == "decoder" else 0)
    assert found["predict"].forward_tokens == pytest.approx(reads, rel=0.15)


def test_few_shot_examples_are_read_for_every_example(tmp_path: Path):
    plain = works(planned(tmp_path, "decoder", "targets.0.training.max_length=512"))["predict"].forward_tokens
    shown = works(planned(tmp_path, "decoder", "targets.0.training.max_length=512", "prompt.num_fewshot=4"))["predict"]
    assert 3.5 < shown.forward_tokens / plain < 5.5


def test_text_mode_tokens_without_a_tokenizer_are_estimated(tmp_path: Path):
    plan = plan_of(study_file(write_family_folders(tmp_path), STUDY.replace("MODEL", "seq2seq")))
    found = works(plan)
    assert found["train"].trained_tokens > 64 * 2 * 8
    assert found["train"].trained_decoder_tokens == found["train"].trained_lm_head_tokens > 0


# --- operations and parameters ----------------------------------------------------------------------------------------


def a_stage(shape: ModelShape, **more: Any) -> Workload:
    return Workload(
        "train", shape, 1e7, 0.0, 60.0, num_steps=1000, tokens_per_step=10_000, num_examples=1e5, trained_vocab_rows=shape.vocab_size,
        is_text_mode=True, trained_lm_head_tokens=3e5, **more,
    )  # fmt: skip


def test_lora_trains_few_parameters_with_two_thirds_of_the_operations():
    whole, adapted = a_stage(LLAMA), a_stage(LLAMA, lora=Lora(rank=16))
    assert whole.trained_parameters == LLAMA.num_parameters
    assert adapted.trained_parameters == LLAMA.lora_parameters(16, attention_only=False) < LLAMA.num_parameters / 150
    assert adapted.frozen_parameters == LLAMA.num_parameters
    assert adapted.operations == pytest.approx(whole.operations * 2 / 3)


def test_head_mode_leaves_the_output_layer_and_the_decoder_untrained():
    for shape, idle in ((LLAMA, LLAMA.output_parameters), (MT5, MT5.decoder_parameters + MT5.output_parameters)):
        work = replace(a_stage(shape), is_text_mode=False)
        assert (work.trained_parameters, work.frozen_parameters) == (shape.num_parameters - idle, idle)


def test_answer_tokens_are_scored_against_the_whole_vocabulary():
    words = a_stage(LLAMA).operations - replace(a_stage(LLAMA), trained_lm_head_tokens=0).operations
    assert words == 6 * 3e5 * 128_256 * 4096


# --- memory -----------------------------------------------------------------------------------------------------------


def state_bytes(work: Workload, **engine: Any) -> float:
    """Bytes of weights, gradients, moments and casts in bf16 on a large GPU."""
    memory = memory_of(work, Engine(**engine), half=True, process=0.0, device=1e12)
    return memory.weights + memory.training


def test_bytes_per_parameter():
    n = LLAMA.num_parameters
    assert state_bytes(a_stage(LLAMA)) == 18 * n
    assert state_bytes(a_stage(LLAMA), offload=True) == 10 * n
    assert state_bytes(a_stage(LLAMA, optimizer=OPTIMIZERS["adafactor"])) == 10 * n
    few = LLAMA.lora_parameters(8, attention_only=False)
    tables = n - LLAMA.layer_parameters
    assert state_bytes(a_stage(LLAMA, lora=Lora())) == 4 * tables + 2 * LLAMA.layer_parameters + 18 * few
    quarters = state_bytes(a_stage(LLAMA, lora=Lora(quantize=True)))
    assert quarters == pytest.approx(4 * tables + QUARTER * LLAMA.layer_parameters + 18 * few)
    attention = state_bytes(a_stage(LLAMA, lora=Lora(where="attention")))
    assert attention == 4 * n - 2 * LLAMA.attention_parameters + 18 * LLAMA.lora_parameters(8, attention_only=True)
    assert quarters < 13e9


def test_each_shard_holds_its_part_and_the_largest_gathered_layer():
    whole, largest = (
        16 * LLAMA.num_parameters,
        8 * LLAMA.output_parameters,
    )  # autocast keeps no casts of gathered layers
    for devices in (2, 4, 8):
        assert state_bytes(a_stage(LLAMA), devices=devices, strategy="fsdp") == pytest.approx(whole / devices + largest)


def test_lora_on_half_a_billion_weights_is_estimated_below_six_gigabytes_on_a_cpu():
    shape = ModelShape("qwen3", 24, 896, 4864, 14, 151_936, 0, True, "decoder", num_key_value_heads=2, head_dim=64)
    work = Workload(
        "train", shape, 5e4, 0.0, 64.0, 100, 512.0, trained_vocab_rows=shape.vocab_size, is_text_mode=True, trained_lm_head_tokens=3e3,
        lora=Lora(),
    )  # fmt: skip
    assert shape.num_parameters == pytest.approx(494e6, rel=0.01)
    assert 4e9 < memory_of(work, Engine(), half=True, process=0.6e9).total < 6e9


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("checkpointing", [True, False])
def test_activation_formula_equals_the_one_of_the_engine(tmp_path: Path, family: str, half: bool, checkpointing: bool):
    from transformers import AutoConfig

    from xlift.model_shape import parse_config, read_model_shape

    shape = read_model_shape(family_folder(tmp_path, family))
    assert shape is not None
    of_engine = parse_config(AutoConfig.for_model(**CONFIGS[family]).to_dict())
    options = {"half": half, "checkpointing": checkpointing}
    assert token_bytes(shape, 40, **options) == token_bytes(of_engine, 40, **options)


@given(
    st.integers(1, 64), st.sampled_from(["ddp", "fsdp"]), st.sampled_from([LLAMA, MT5]), st.sampled_from([None, Lora()])
)
def test_more_devices_never_need_more_memory_each_or_more_time(
    more: int, strategy: Any, shape: ModelShape, lora: Lora | None
):
    work, h200 = a_stage(shape, lora=lora), find_device("h200")
    few, many = (Engine(devices=n, strategy=strategy if n > 1 else "ddp") for n in (2, 2 + more))
    totals = [memory_of(work, each, half=True, process=0.0, device=h200.memory).weights for each in (few, many)]
    assert totals[1] <= totals[0]
    # devices share the computation but not the communication
    computing = [h200.seconds(replace(work, lora=lora), each) for each in (few, many)]
    between = 12.0 * (work.trained_parameters + work.frozen_parameters) * work.num_steps / h200.link
    assert computing[1] <= computing[0] + between


# --- plans of the largest models --------------------------------------------------------------------------------------


def on_h200(name: str) -> tuple[PlanEstimate, list[Job], str]:
    plan = make_plan(read_study(str(ROOT / f"studies/{name}.yaml")), to_run=False)
    assert all(job.key in plan.provisional_keys() for job in plan.jobs.values())
    plan_estimate = PlanEstimate(plan, None, 1, find_device("h200"))
    return plan_estimate, list(plan.jobs.values()), "\n".join(describe_remaining(plan, set(), plan_estimate))


def test_plan_of_mt5_xxl_reports_devices_memory_and_hours():
    plan_estimate, jobs, lines = on_h200("mt5-xxl")
    tuned = {job.spec.recipe.optimizer: job for job in jobs if job.kind == "train" and not job.spec.recipe.lora}  # pyright: ignore
    adafactor, adamw = tuned["adafactor"], tuned["adamw"]
    assert plan_estimate.workloads[adafactor.key].shape.num_parameters == pytest.approx(12.9e9, rel=0.01)  # pyright: ignore
    assert plan_estimate.fits_device(adafactor)  # without moments: 10 bytes per weight
    assert not plan_estimate.fits_device(adamw)
    devices, memory, seconds = plan_estimate.find_sharding(adamw) or (0, 0.0, 0.0)
    assert devices == 2
    assert 16 * 12.9e9 / 2 < memory < 141e9
    assert "2 devices are enough, with" in lines
    assert "`engine: {devices: 2, strategy: fsdp}`" in lines
    assert 600 < seconds < 3600
    assert 3600 < plan_estimate.total_seconds(jobs) < 8 * 3600


def test_plan_of_an_8b_llm_covers_prompting_full_tuning_and_lora():
    plan_estimate, jobs, lines = on_h200("llm-8b")
    stages = {bool(job.spec.recipe.lora): job for job in jobs if job.kind == "train"}  # pyright: ignore
    assert plan_estimate.fits_device(stages[True])
    assert 2 * 8.03e9 < plan_estimate.memory(stages[True]).total < 40e9
    assert not plan_estimate.fits_device(stages[False])
    assert (plan_estimate.find_sharding(stages[False]) or (0,))[0] == 2
    assert any(job.kind == "predict" and not job.parents for job in jobs)
    assert "does not fit: train mnli/en needs 1" in lines


def test_no_sharding_is_proposed_for_adafactor():
    plan = make_plan(read_study(str(ROOT / "studies/mt5-xxl.yaml")), to_run=False)
    plan_estimate = PlanEstimate(plan, None, 1, replace(find_device("h200"), memory=80e9))
    lines = describe_remaining(plan, set(), plan_estimate)
    line = next(line for line in lines if "squad" in line)
    assert line.startswith("does not fit: train squad/en needs 13")
    assert "fsdp" not in line
    assert "`offload: true`" in line


# --- steps ------------------------------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 500), min_size=1, max_size=1), batch=st.integers(1, 64),
    epochs=st.sampled_from([0.3, 1, 1.1, 2.5, 3]),
)  # fmt: skip
def test_plan_counts_the_examples_of_the_training_schedule(counts: list[int], batch: int, epochs: float):
    from xlift.recipes import Sampling
    from xlift.training.batches import make_schedule

    recipe = Recipe(batch_size=batch, epochs=epochs)
    assert count_examples(recipe, counts) == sum(
        len(step.units) for step in make_schedule(counts, recipe, Sampling(), seed=1)
    )


def test_truncation_saved_in_a_tokenizer_is_ignored(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = tiny.model_folder(tmp_path, "qwen3")
    saved = Tokenizer.from_file(str(folder / "tokenizer.json"))
    saved.enable_truncation(4)
    saved.save(str(folder / "tokenizer.json"))
    assert len(LightTokenizer(folder).backend_tokenizer.encode("one two three four five six seven").ids) > 4
