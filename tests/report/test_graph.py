"""`xlift plan`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.fakes import STUDY, finished_study, model_folder, plan_of, study_file

from xlift.estimate import PlanEstimate
from xlift.estimate.devices import Device, find_device
from xlift.report.graph import as_json, describe_estimate_source, describe_remaining, planned_steps, print_plan
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.units import format_duration


def drawn(plan: Plan, store: Store, width: int = 100, workers: int = 2) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    plan_estimate = PlanEstimate(plan, store, workers)
    done = {key for key in plan.jobs if store.has(key)}
    print_plan(plan, done, plan_estimate, console)
    for line in describe_remaining(plan, done, plan_estimate):
        console.print(line)
    return out.getvalue()


def isles_plan(folder: Path) -> Plan:
    """A plan with the shipped encoder, whose shape and tokenizer can be read."""
    return plan_of(study_file(folder), "models=[isles]")


def test_seeds_and_languages_share_a_line(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY + "  - {task: isle-retrieval, languages: [qto, qka]}\n"), "seeds=[1, 2]")
    lines = drawn(plan, Store(tmp_path / "s")).splitlines()
    shown = [line.strip(" │├└─").partition("  ")[0] for line in lines]
    assert shown[:-1] == [
        "study",
        "model",
        "train isle-nli/qta/50, 2 seeds",
        "predict isle-nli in 10 languages, 2 seeds",
        "predict isle-retrieval in qto, qka",  # the baseline: nothing is trained, so seeds do not differ
        "train isle-qa/qta/100, 2 seeds",
        "train isle-nli/qta/50, 2 seeds",
        "predict isle-nli in 10 languages, 2 seeds",
        "predict isle-retrieval in qto, qka, 2 seeds",
        "52 jobs (6 train, 46 predict) for 48 cells of the table.",
    ]
    assert shown[-1].startswith("0 done, 52 left: ")


def test_rows_that_differ_only_in_the_recipe_have_separate_lines(tmp_path: Path):
    more = "  - {task: isle-qa, size: 100, name: hot, training: {lr: 0.1}}\ntargets"
    text = drawn(plan_of(study_file(tmp_path, STUDY.replace("targets", more))), Store(tmp_path / "s"))
    assert text.count("train isle-qa/qta/100 ") == 2


def test_each_model_has_its_own_branch(tmp_path: Path):
    model_folder(tmp_path / "other", b"o")
    text = drawn(plan_of(study_file(tmp_path), "models=[model, other]"), Store(tmp_path / "s"))
    assert "├── model\n" in text
    assert "└── other\n" in text


def test_a_pretrained_model_is_the_root_of_its_jobs(tmp_path: Path):
    made = "models: [{name: mine, pretrain: {text: [{task: isle-text, language: qta, size: 9}]}}]"
    lines = drawn(
        plan_of(study_file(tmp_path, STUDY.replace("models: [model]", made))), Store(tmp_path / "s")
    ).splitlines()
    assert lines[1].startswith("└── pretrain mine")
    assert lines[2].startswith("    ├── train isle-nli/qta/50")


def test_lines_show_what_is_done(tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "s", leave_out=4)
    text = drawn(plan, store)
    assert "train isle-qa/qta/100  done" in text
    assert "predict isle-nli in 10 languages  6 of 10 done" in text
    assert "<1 s" in text
    assert "19 done, 4 left" in text


@pytest.mark.parametrize("width", [40, 60])
def test_it_fits_a_narrow_terminal(tmp_path: Path, width: int):
    mixture = "{name: all, mixture: [{task: isle-qa, size: 100}, {task: isle-supertags, size: 1000}]}"
    plan = plan_of(study_file(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", mixture)))
    assert max(map(len, drawn(plan, Store(tmp_path / "s"), width).splitlines())) <= width


def test_names_are_not_markup(tmp_path: Path):
    # rich would read [bold] as a style and drop it
    model_folder(tmp_path / "[bold]m")
    study_file(tmp_path)
    assert "[bold]m" in drawn(plan_of(tmp_path / "study.yaml", 'models=["[bold]m"]'), Store(tmp_path / "s"))


def test_lines_have_columns_of_time_tokens_and_memory(tmp_path: Path):
    lines = drawn(isles_plan(tmp_path), Store(tmp_path / "s"), 80).splitlines()
    assert lines[0].split() == ["study", "time", "tokens", "memory"]
    line = next(line for line in lines if "train isle-nli/qta/50" in line)
    # 5 steps of 25 examples each on the average, and 500 dev examples in the end; some 17 tokens each
    *_, tokens, memory, unit = line.split()
    assert 8 < float(tokens.removesuffix("k")) < 14
    assert 0.3 < float(memory) < 0.7
    assert unit == "GB"
    assert {len(line.rstrip()) for line in lines if line.rstrip().endswith("GB")} == {80}


@pytest.mark.parametrize("seconds", [0.5, 59, 3599, 40_000, 5 * 86_400, 400 * 86_400])
def test_numbers_are_not_truncated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float):
    monkeypatch.setattr(PlanEstimate, "seconds", lambda self, job: seconds)
    text = drawn(isles_plan(tmp_path), Store(tmp_path / "s"), 80)
    assert "…" not in text
    left = format_duration(10 * seconds).replace("under ", "<")  # predictions in ten languages share a line
    assert f" {left} " in text


def test_remaining_work_is_summed(tmp_path: Path):
    plan = isles_plan(tmp_path)
    plan_estimate = PlanEstimate(plan, None, 2)
    first, second = describe_remaining(plan, set(), plan_estimate)
    assert first.startswith("0 done, 23 left: about ")
    assert first.endswith(" with 2 workers.")
    assert "tokens trained on" in second
    assert second.endswith(" GB memory at once.")
    assert describe_estimate_source(plan_estimate, "mine") == [
        "Times are a guess; `xlift plan mine --calibrate` measures this machine."
    ]


def test_jobs_that_do_not_fit_a_device_are_listed_with_advice(tmp_path: Path):
    plan = isles_plan(tmp_path)
    tiny = Device("tiny", "a tiny device", 1e12, 0.605e9, 1e10)
    lines = describe_remaining(plan, set(), PlanEstimate(plan, None, 1, tiny))
    assert "on a tiny device" in lines[0]
    line = next(line for line in lines if line.startswith("does not fit: train isle-nli"))
    assert "gradient_checkpointing: true" in line
    assert "fsdp" not in line  # its context alone fills the device
    assert sum(line.startswith("does not fit: train isle-nli") for line in lines) == 1  # once, not once a seed


def test_estimate_for_a_device_is_marked_as_an_assumption(tmp_path: Path):
    plan_estimate = PlanEstimate(isles_plan(tmp_path), None, 1, find_device("h200"))
    assert describe_estimate_source(plan_estimate, "mine") == [
        "Times are from the device's data sheet, at an assumed 40% of its peak. Nothing was measured on it."
    ]


def test_json_has_the_estimate_of_every_job(tmp_path: Path):
    plan, store = isles_plan(tmp_path), Store(tmp_path / "s")
    jobs = as_json(plan, set(), PlanEstimate(plan, store, 2))
    assert [job["key"] for job in jobs] == list(plan.jobs)
    train = next(job for job in jobs if job["kind"] == "train")
    predict = next(job for job in jobs if job["kind"] == "predict")
    assert train["tokens_trained"] > 0
    assert predict["tokens_trained"] == 0 < predict["tokens_read"]
    assert all(job["operations"] > 0 and job["estimated_memory_bytes"] > 3e8 and job["fits"] for job in jobs)


def test_no_memory_estimate_for_an_unknown_shape(tmp_path: Path):
    plan, store = plan_of(study_file(tmp_path)), Store(tmp_path / "s")  # its config.json says nothing
    assert "GB" not in drawn(plan, store)
    assert all(job["estimated_memory_bytes"] is None for job in as_json(plan, set(), PlanEstimate(plan, store, 2)))


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("", ["none", "isle-qa"]),
        (", controls: [steps]", []),
        (", controls: [text, shuffled]", []),
    ],
)
def test_rows_without_a_control_of_equal_steps_are_named(tmp_path: Path, control: str, expected: list[str]):
    text = "training: {batch_size: 8, epochs: 1}\n" + STUDY.replace("size: 100}", f"size: 100{control}}}")
    plan = plan_of(study_file(tmp_path, text))
    found = planned_steps(plan, PlanEstimate(plan, Store(tmp_path / "s"), 2))
    assert list(found) == expected
    if found:
        assert found["none"] == 7  # 50 examples in batches of 8
        assert found["isle-qa"] > found["none"] + 12  # and 100; long passages make several rows
