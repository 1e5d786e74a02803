"""Noise on targets and in training, and rows that merge other rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fakes import STUDY, finished_study, plan_of, study_file

from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.studies.job import MergeSpec, PredictSpec, TrainSpec, noise_name
from xlift.studies.plan import Plan
from xlift.studies.record import read_record, write_record

TARGET = "{task: isle-nli, train: {size: 50}, size: 20}"
ROW = "{task: isle-qa, size: 100}"


def with_target(folder: Path, more: str, *changes: str) -> Plan:
    return plan_of(study_file(folder, STUDY.replace(TARGET, f"{TARGET[:-1]}, {more}}}")), *changes)


def with_rows(folder: Path, *rows: str, changes: tuple[str, ...] = ()) -> Plan:
    return plan_of(study_file(folder, STUDY.replace(ROW, "\n  - ".join(rows))), *changes)


def refused(folder: Path, text: str, *changes: str) -> str:
    with pytest.raises(UserError) as error:
        plan_of(study_file(folder, text), *changes)
    assert error.value.fix
    return str(error.value).replace(f"{folder}/", "")


# --- noise on targets -------------------------------------------------------------------------------------------------


def test_each_noise_makes_a_column_with_the_same_examples_as_the_clean_one(tmp_path: Path):
    plan = with_target(tmp_path, "languages: [qta, qto], noise: [{kind: typos}, {kind: case, level: 0.25}]")
    cells = [cell for cell in plan.cells if (cell.intermediate, cell.language) == ("none", "qto")]
    assert [cell.noise for cell in cells] == ["", "typos 10%", "case 25%"]
    clean, *noisy = (plan.jobs[cell.key].spec for cell in cells)
    assert isinstance(clean, PredictSpec)
    for cell, spec in zip(cells[1:], noisy, strict=True):
        assert isinstance(spec, PredictSpec)
        assert spec == clean.model_copy(update={"data": clean.data.model_copy(update={"noise": spec.data.noise})})
        assert cell.clean_key == cells[0].key
        assert plan.jobs[cell.key].label.startswith(f"predict isle-nli/qto {cell.noise} (")
    assert (cells[0].noise, cells[0].clean_key) == ("", "")


def test_noise_does_not_change_clean_keys(tmp_path: Path):
    clean, noisy = plan_of(study_file(tmp_path)), with_target(tmp_path, "noise: {kind: typos}")
    assert clean.jobs.keys() < noisy.jobs.keys()
    assert {job.kind for key, job in noisy.jobs.items() if key not in clean.jobs} == {"predict"}
    assert len(noisy.jobs) == len(clean.jobs) + len(clean.cells)


def test_the_threshold_of_noisy_pairs_is_chosen_on_clean_ones(tmp_path: Path):
    target = "{task: isle-mining, languages: [qtm], size: 20, noise: {kind: typos}}"
    plan = plan_of(study_file(tmp_path, STUDY.replace(TARGET, target)))
    clean, noisy = plan.cells[:2]
    assert clean.key != noisy.key
    assert clean.dev_key == noisy.dev_key


def test_a_record_keeps_noise(tmp_path: Path):
    text = STUDY.replace(TARGET, f"{TARGET[:-1]}, languages: [qta], noise: {{kind: typos}}}}")
    plan, store = finished_study(study_file(tmp_path, text), tmp_path / "store")
    record = read_record(store, "study")
    assert record.cells == tuple(plan.cells)
    assert [cell.noise for cell in record.cells] == ["", "typos 10%"] * 2


def test_a_record_without_noise_keys_can_be_read(tmp_path: Path):
    import json

    _, store = finished_study(study_file(tmp_path), tmp_path / "store")
    path = store.root / "studies/study.json"
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        del cell["noise"], cell["clean_key"]
    path.write_text(json.dumps(content))
    assert {cell.noise for cell in read_record(store, "study").cells} == {""}
    write_record(read_record(store, "study"), store)


def test_with_all_languages_a_missing_noise_causes_a_warning(tmp_path: Path):
    plan = with_target(tmp_path, "noise: {kind: diacritics}")
    noisy = {cell.language for cell in plan.cells if cell.noise}
    without = {cell.language for cell in plan.cells} - noisy
    assert noisy
    assert without
    for language in without:
        assert sum(f"no noise of kind diacritics in {language}" in warning for warning in plan.warnings) == 1
        message = refused(tmp_path, STUDY.replace(TARGET, f"{TARGET[:-1]}, languages: [{language}], noise: {{kind: diacritics}}}}"))  # fmt: skip
        assert message.startswith("study.yaml:6: targets.0.noise: no noise of kind diacritics")


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ("[{kind: typos}, {kind: typos}]", "targets.0.noise.1: 'typos 10%' is listed twice"),
        ("{kind: typo}", "targets.0.noise.kind: expected"),
        ("{kind: typos, level: 2.0}", "targets.0.noise.level: expected 1 or less"),
        ("{kind: typos, digest: aa}", "targets.0.noise.digest: xlift computes `digest`"),
    ],
)
def test_errors_in_noise_name_their_place(tmp_path: Path, noise: str, expected: str):
    text = STUDY.replace(TARGET, f"{TARGET[:-1]}, languages: [qta], noise: {noise}}}")
    assert refused(tmp_path, text).startswith(f"study.yaml:6: {expected}")


@given(
    st.builds(Noise, kind=st.sampled_from(["typos", "case"]), level=st.integers(1, 100).map(lambda n: n / 100), seed=st.integers(0, 9)),
    st.builds(Noise, kind=st.sampled_from(["typos", "case"]), level=st.integers(1, 100).map(lambda n: n / 100), seed=st.integers(0, 9)),
)  # fmt: skip
def test_noises_have_equal_names_exactly_when_they_are_equal(one: Noise, other: Noise):
    assert (noise_name(one) == noise_name(other)) == (one == other)


# --- noise in training ------------------------------------------------------------------------------------------------


def test_a_row_with_noise_has_a_separate_name_and_job(tmp_path: Path):
    plan = with_rows(tmp_path, ROW, f"{ROW[:-1]}, noise: {{kind: typos, level: 0.2}}}}")
    assert list(dict.fromkeys(cell.intermediate for cell in plan.cells)) == ["none", "isle-qa", "isle-qa (typos 20%)"]
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and job.spec.mixture[0].task == "isle-qa"]  # fmt: skip
    clean, noisy = (spec.mixture[0] for spec in specs)
    assert noisy == clean.model_copy(update={"noise": Noise(kind="typos", level=0.2)})
    assert not any(data.noise for spec in specs for data in spec.dev)  # judged on texts as they are


def test_parts_of_a_mixture_have_separate_noise(tmp_path: Path):
    parts = "[{task: isle-qa, size: 9}, {task: isle-qa, size: 9, noise: {kind: case}}]"
    plan = with_rows(tmp_path, f"{{name: both, mixture: {parts}}}")
    (spec,) = (job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and len(job.spec.mixture) == 2)
    assert [data.noise and data.noise.kind for data in spec.mixture] == [None, "case"]
    assert spec.part_names() == ("isle-qa/qta/9", "isle-qa/qta/9/case 10%")


# --- merging ----------------------------------------------------------------------------------------------------------

NLI = "{name: nli, task: isle-paraphrase, size: 60}"


def merges(plan: Plan) -> list[MergeSpec]:
    return [job.spec for job in plan.jobs.values() if isinstance(job.spec, MergeSpec)]


def test_rows_are_merged_within_a_seed_from_the_pretrained_model(tmp_path: Path):
    plan = with_rows(tmp_path, ROW, NLI, "{name: merged, merge: [isle-qa, nli]}", changes=("seeds=[1, 2]",))
    start = next(job.start for job in plan.jobs.values() if job.start)
    merge_jobs = [job for job in plan.jobs.values() if isinstance(job.spec, MergeSpec)]
    assert start.fingerprint
    assert [(job.start, job.spec.weights) for job in merge_jobs] == [(start, (0.5, 0.5))] * 2  # pyright: ignore
    for job, seed in zip(merge_jobs, (1, 2), strict=True):
        parents = [plan.jobs[key].spec for key in job.parents]
        assert [(p.mixture[0].task, p.seed) for p in parents if isinstance(p, TrainSpec)] == [
            ("isle-qa", seed), ("isle-paraphrase", seed),
        ]  # fmt: skip
    after = [job for job in plan.jobs.values() if set(job.parents) & {job.key for job in merge_jobs}]
    assert {job.kind for job in after} == {"train"}
    assert [(c.intermediate, c.intermediate_language, c.size) for c in plan.cells][-1] == ("merged", "qta", "")


def test_a_merge_starts_from_a_model_that_the_study_pretrains(tmp_path: Path):
    models = "models=[{name: mine, pretrain: {text: [{task: isle-text, size: 9}]}}]"
    plan = with_rows(tmp_path, ROW, "{name: half, merge: [isle-qa], weights: [0.5]}", changes=(models,))
    (job,) = (job for job in plan.jobs.values() if isinstance(job.spec, MergeSpec))
    assert isinstance(job.spec, MergeSpec)
    assert job.spec.weights == (0.5,)
    assert plan.jobs[job.spec.model.job].kind == "pretrain"
    assert [plan.jobs[key].kind for key in job.spec.merged] == ["train"]


def test_rows_with_the_same_name_share_its_weight(tmp_path: Path):
    rows = ("{task: isle-qa, size: [10, 20]}", NLI)
    equal = with_rows(tmp_path, *rows, "{name: m, merge: [isle-qa, nli]}")
    assert [spec.weights for spec in merges(equal)] == [(pytest.approx(1 / 3),) * 3]
    weighted = with_rows(tmp_path, *rows, "{name: m, merge: [isle-qa, nli], weights: [1.0, -0.5]}")
    assert [spec.weights for spec in merges(weighted)] == [(0.5, 0.5, -0.5)]


def test_a_merged_row_can_be_merged_again(tmp_path: Path):
    plan = with_rows(tmp_path, ROW, NLI, "{name: m, merge: [isle-qa, nli]}", "{name: n, merge: [m, nli]}")
    first, second = (job for job in plan.jobs.values() if isinstance(job.spec, MergeSpec))
    assert first.key in second.parents


def test_a_merged_row_does_not_change_other_jobs(tmp_path: Path):
    assert with_rows(tmp_path, ROW).jobs.keys() < with_rows(tmp_path, ROW, "{name: m, merge: [isle-qa]}").jobs.keys()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{name: m, merge: [nli]}", "merge.0: no row 'nli' above to merge"),
        ("{name: m, merge: [none]}", "merge.0: 'none' is the start of every merge"),
        ("{name: m, merge: [isle-qa, isle-qa]}", "merge.1: 'isle-qa' is listed twice"),
        ("{name: m, merge: [isle-qa], weights: [0.5, 0.5]}", "weights: 1 names to merge, and 2 weights"),
        ("{name: m, merge: [isle-qa], size: 9}", "size: `size` has no effect beside `merge`"),
        ("{name: m, merge: [isle-qa], training: {lr: 0.1}}", "training: `training` has no effect beside `merge`"),
        ("{task: isle-qa, weights: [0.5]}", "weights: `weights` has no effect without `merge`"),
        ("{merge: [isle-qa]}", "an intermediate with `merge` needs a `name:`"),
        ("{name: m, task: isle-qa, merge: [isle-qa]}", "expected one of"),
    ],
)
def test_errors_in_merging_name_their_place(tmp_path: Path, row: str, expected: str):
    message = refused(tmp_path, STUDY.replace(ROW, f"{ROW}\n  - {row}"))
    assert message.startswith("study.yaml:5: intermediate.2")
    assert expected in message


# --- other keys of `training` -----------------------------------------------------------------------------------------


def test_every_level_can_set_lora_optimizer_and_scheduler(tmp_path: Path):
    text = STUDY.replace("size: 100", "size: 100, training: {lora: false, optimizer: adamw}") + (
        "training: {lora: {rank: 4}, optimizer: adafactor, lr_scheduler_type: constant, target: {lr_scheduler_type: linear}}\n"
    )
    recipes = {
        spec.mixture[0].task: spec.recipe
        for job in plan_of(study_file(tmp_path, text)).jobs.values()
        if isinstance(spec := job.spec, TrainSpec)
    }
    qa, nli = recipes["isle-qa"], recipes["isle-nli"]
    assert (qa.lora, qa.optimizer, qa.lr_scheduler_type) == (None, "adamw", "constant")
    assert (nli.lora and nli.lora.rank, nli.optimizer, nli.lr_scheduler_type) == (4, "adafactor", "linear")
