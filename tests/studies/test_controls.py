"""Controls in a plan: their rows, their jobs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import STUDY, plan_of, study_file
from tests.support.model_folders import write_family_folders

from xlift.errors import UserError
from xlift.studies.job import PredictSpec, TrainSpec
from xlift.studies.plan import Plan

EPOCHS = "training: {batch_size: 8, epochs: 1}\n"
ALL = "controls: [steps, text, shuffled]"


def plan_with(folder: Path, row: str, *more: str, before: str = EPOCHS) -> Plan:
    """The plan of the study whose one intermediate is this row."""
    return plan_of(study_file(folder, before + STUDY.replace("{task: isle-qa, size: 100}", row)), *more)


def specs(plan: Plan) -> list[TrainSpec]:
    return [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]


def chain(plan: Plan, intermediate: str) -> list[TrainSpec]:
    """The stages of the pipeline of a row, in order."""
    cell = next(cell for cell in plan.cells if cell.intermediate == intermediate)
    stages: list[TrainSpec] = []
    spec = plan.jobs[cell.key].spec
    while isinstance(spec, PredictSpec | TrainSpec) and spec.model.job:
        spec = plan.jobs[spec.model.job].spec
        assert isinstance(spec, TrainSpec)
        stages.insert(0, spec)
    return stages


def test_each_control_is_a_row_below_its_own(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, f"{{task: isle-pos, size: [16, 24], {ALL}}}")
    rows = dict.fromkeys((cell.intermediate, cell.size, cell.control, cell.control_of) for cell in plan.cells)
    expected = [("none", "", "", "")]
    for size in ("16", "24"):
        expected.append(("isle-pos", size, "", ""))
        expected += [(f"isle-pos ({kind})", size, kind, "isle-pos") for kind in ("steps", "text", "shuffled")]
    assert list(rows) == expected
    assert {cell.intermediate_language for cell in plan.cells if cell.control} == {"qta"}


def test_controls_share_all_but_one_thing(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, f"{{task: isle-nli, size: 24, {ALL}}}")
    own, shuffled, text = (chain(plan, f"isle-nli{suffix}") for suffix in ("", " (shuffled)", " (text)"))
    (data,) = own[0].mixture
    assert shuffled[0] == own[0].model_copy(
        update={"mixture": (data.model_copy(update={"labels": "shuffled"}),), "dev": ()}
    )
    assert text[0] == own[0].model_copy(update={"mixture": (data.model_copy(update={"labels": "none"}),), "dev": ()})
    assert [spec.model_copy(update={"model": own[1].model}) for spec in (shuffled[1], text[1])] == [own[1]] * 2
    (target,) = chain(plan, "isle-nli (steps)")
    assert target == chain(plan, "none")[0].model_copy(update={"more_steps": 3})  # 24 examples in batches of 8


def test_controls_do_not_change_other_jobs(tmp_path: Path) -> None:
    without = plan_with(tmp_path, "{task: isle-nli, size: 24}")
    assert set(without.jobs) < set(plan_with(tmp_path, f"{{task: isle-nli, size: 24, {ALL}}}").jobs)


def test_rows_of_equal_steps_share_the_control(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "{task: isle-nli, size: 24, language: [qta, qtu], controls: [steps]}")
    cells = [cell for cell in plan.cells if cell.control]
    assert {cell.intermediate_language for cell in cells} == {"qta", "qtu"}
    assert len({cell.key for cell in cells}) == len({cell.language for cell in cells})
    assert sum(spec.more_steps > 0 for spec in specs(plan)) == 1


def test_the_steps_of_all_stages_and_their_text_count(tmp_path: Path) -> None:
    row = (
        "{name: two, controls: [steps], stages: [{mixture: [{task: isle-nli, size: 24}, {task: isle-pos, size: 9}]}, "
        "{mixture: [{task: isle-pos, size: 8}], training: {epochs: 4}, text: {task: isle-text, size: 20, share: 0.5}}]}"
    )
    (target,) = chain(plan_with(tmp_path, row), "two (steps)")
    assert target.more_steps == (3 + 2) + 2 * 4


def test_every_seed_has_its_own_order_of_labels(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "{task: isle-nli, size: 20000, controls: [shuffled]}", "seeds=[1, 2]")
    seeds = {data.seed for spec in specs(plan) for data in spec.mixture if data.labels == "shuffled"}
    assert seeds == {1, 2}
    assert {data.seed for spec in specs(plan) for data in spec.mixture if data.size == 20000} == {1, 2}


def test_controls_have_no_early_stopping_and_no_dev(tmp_path: Path) -> None:
    row = f"{{task: isle-nli, size: 24, training: {{early_stopping: {{eval_steps: 1}}}}, {ALL}}}"
    plan = plan_with(tmp_path, row)
    assert chain(plan, "isle-nli")[0].dev
    for kind in ("text", "shuffled"):
        stage = chain(plan, f"isle-nli ({kind})")[0]
        assert (stage.dev, stage.recipe.early_stopping) == ((), None)
    plan = plan_with(tmp_path, row.replace("early_stopping: {eval_steps: 1}", "eval_steps: 1"))
    assert chain(plan, "isle-nli (shuffled)")[0].recipe.eval_steps is None
    assert not any("eval_steps" in warning for warning in plan.warnings)


def test_solved_examples_of_a_shuffled_stage_are_shuffled(tmp_path: Path) -> None:
    write_family_folders(tmp_path)
    plan = plan_with(
        tmp_path, "{task: isle-nli, size: 24, controls: [shuffled]}", "models=[decoder]", "prompt={num_fewshot: 2}"
    )
    drawn = {
        name: [data.labels for data in chain(plan, name)[0].text_mode.fewshot_data]  # pyright: ignore[reportOptionalMemberAccess]
        for name in ("isle-nli", "isle-nli (shuffled)")
    }
    assert drawn == {"isle-nli": ["given"], "isle-nli (shuffled)": ["shuffled"]}


def test_text_of_labelled_examples_does_not_depend_on_prompts(tmp_path: Path) -> None:
    write_family_folders(tmp_path)
    row = "{task: isle-nli, size: 24, controls: [text]}"
    stages = [
        chain(plan_with(tmp_path, row, "models=[decoder]", *more), "isle-nli (text)")[0]
        for more in ((), ("prompt={num_fewshot: 2}",))
    ]
    assert stages[0] == stages[1]


def test_a_target_without_stage_is_told(tmp_path: Path) -> None:
    before = EPOCHS
    text = STUDY.replace("{task: isle-qa, size: 100}", "{task: isle-pos, size: 24, controls: [steps]}")
    path = study_file(tmp_path, before + text + "  - {task: isle-retrieval, size: 20}\n")
    plan = plan_of(path)
    assert "isle-pos (steps): isle-retrieval has no stage to prolong, so its score is that of none." in plan.warnings
    keys = {(cell.intermediate, cell.target, cell.language): cell.key for cell in plan.cells}
    assert keys["isle-pos (steps)", "isle-retrieval", "qtu"] == keys["none", "isle-retrieval", "qtu"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{task: isle-text, size: 9, controls: [shuffled]}", "isle-text is plain text and has no labels"),
        ("{task: isle-text, size: 9, controls: [text]}", "controls.0: isle-text is plain text and has no labels"),
        ("{task: isle-nli, controls: [shuffle]}", "controls.0"),
        ("{task: isle-nli, controls: [text, text]}", "'text' is listed twice"),
        ("{name: it, merge: [none], controls: [text]}", "`controls` has no effect beside `merge`"),
        ("{task: isle-nli, size: 9, controls: [text]}\n  - {name: isle-nli (text), mixture: [{task: isle-nli, size: 9}]}", "two intermediates make the same row"),
        ("{task: isle-nli, size: 9, controls: [text]}\n  - {name: both, merge: [isle-nli (text)]}", "'isle-nli (text)' is a control, which cannot be merged"),
    ],
)  # fmt: skip
def test_impossible_controls_are_refused(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        plan_with(tmp_path, row)
    assert message in str(raised.value)
    assert "study.yaml:" in str(raised.value)
