"""Plans: no duplicate jobs, additions do not change other jobs, and errors name their place."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.fakes import STUDY, custom_task_study, model_folder, plan_of, refused_plan, study_file
from tests.support.model_folders import write_heads

from xlift.studies.job import PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.resolver import Resolver
from xlift.tasks import catalog
from xlift.tasks.sources.generated import GeneratedSource

RETRIEVAL = "  - {task: isle-retrieval, size: 20}\n"


def kinds(plan: Plan) -> Counter[str]:
    return Counter(job.kind for job in plan.jobs.values())


def trained(plan: Plan) -> list[TrainSpec]:
    return [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]


# --- equal work once --------------------------------------------------------------------------------------------------


def test_an_intermediate_is_trained_once_for_all_targets(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY + "  - {task: isle-pos, train: {size: 50}}\n" + RETRIEVAL))
    # one isle-qa; then two targets after it and two without it; retrieval trains nothing
    assert [spec.mixture[0].task for spec in trained(plan)].count("isle-qa") == 1
    assert kinds(plan)["train"] == 1 + 2 * 2


def test_retrieval_without_training_is_predicted_once_for_all_seeds(tmp_path: Path):
    text = STUDY.partition("targets")[0] + "targets:\n" + RETRIEVAL + "seeds: [1, 2, 3]\n"
    plan = plan_of(study_file(tmp_path, text))
    baseline = [cell for cell in plan.cells if cell.intermediate == "none"]
    assert len(baseline) == 3 * 9
    assert len({cell.key for cell in baseline}) == 9
    assert kinds(plan) == {"train": 3, "predict": 9 + 3 * 9}


def test_a_target_that_is_another_rows_intermediate_is_trained_once_if_it_takes_all_data(tmp_path: Path):
    # tickets after nothing is the baseline's target, and with the same recipe the row's first stage too
    text = custom_task_study(tmp_path).replace("targets:", "intermediate: [none, {task: tickets}]\ntargets:")
    assert kinds(plan_of(study_file(tmp_path, text)))["train"] == 2
    # where there are enough examples, the row has others than its target
    plan = plan_of(study_file(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", "{task: isle-nli, size: 50}")))
    assert kinds(plan)["train"] == 3


def test_the_size_of_all_data_and_no_size_make_the_same_job(tmp_path: Path):
    text = custom_task_study(tmp_path, rows=8)
    whole = plan_of(study_file(tmp_path, text))
    counted = plan_of(study_file(tmp_path, text.replace("train: {}", "train: {size: 8}")))
    assert set(whole.jobs) == set(counted.jobs)


def test_one_more_language_adds_predictions_only(tmp_path: Path):
    text = STUDY.replace("size: 20", "languages: [qta, qto]")
    few, more = plan_of(study_file(tmp_path, text)), plan_of(study_file(tmp_path, text.replace("qto]", "qto, qen]")))
    added = [more.jobs[key] for key in more.jobs.keys() - few.jobs.keys()]
    assert few.jobs.keys() < more.jobs.keys()
    assert {job.kind for job in added} == {"predict"}
    assert {job.spec.data.language for job in added if isinstance(job.spec, PredictSpec)} == {"qen"}


def test_one_more_seed_does_not_change_other_jobs(tmp_path: Path):
    path = study_file(tmp_path)
    one, two = plan_of(path, "seeds=[1]"), plan_of(path, "seeds=[1, 2]")
    assert one.jobs.keys() < two.jobs.keys()
    assert len(two.jobs) == 2 * len(one.jobs)
    assert plan_of(path, "seeds=[2, 1]").jobs.keys() == two.jobs.keys()


def test_one_more_intermediate_does_not_change_other_jobs(tmp_path: Path):
    path = study_file(tmp_path)
    more = plan_of(path, "intermediate=[none, {task: isle-pos}, {task: isle-qa, size: 100}]")
    assert plan_of(path).jobs.keys() < more.jobs.keys()


def test_names_titles_and_folders_are_in_no_key(tmp_path: Path):
    here = plan_of(study_file(tmp_path / "a"))
    renamed = STUDY.replace("task: isle-qa", "name: other, task: isle-qa").replace(
        "task: isle-nli", "name: t, task: isle-nli"
    )
    path = study_file(tmp_path / "b", renamed + "title: Other\nquestion: Why?\nname: another\n", name="x.yaml")
    (tmp_path / "b" / "model").rename(tmp_path / "b" / "renamed")
    there = plan_of(path, "models=[renamed]")
    assert list(here.jobs) == list(there.jobs)
    assert {cell.target for cell in there.cells} == {"t"}


def test_models_with_other_weights_have_other_keys(tmp_path: Path):
    one = plan_of(study_file(tmp_path / "a"))
    study_file(tmp_path / "b")
    model_folder(tmp_path / "b" / "model", weights=b"others")
    assert not one.jobs.keys() & plan_of(tmp_path / "b" / "study.yaml").jobs.keys()


def test_the_max_length_of_a_task_is_in_the_key(tmp_path: Path):
    # A stage that names no max_length is trained at the task's own: another one gives another result.
    text = custom_task_study(tmp_path)
    short = plan_of(study_file(tmp_path, text.replace("labels:", "max_length: 64\n    labels:")))
    assert not short.jobs.keys() & plan_of(study_file(tmp_path, text)).jobs.keys()


# --- the graph --------------------------------------------------------------------------------------------------------


def test_every_parent_comes_before_its_children(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY + RETRIEVAL + "seeds: [1, 2]\n"))
    seen: set[str] = set()
    for key, job in plan.jobs.items():
        assert set(job.parents) <= seen
        seen.add(key)
    assert {cell.key for cell in plan.cells} == {key for key, job in plan.jobs.items() if job.kind == "predict"}


def test_a_job_starts_from_a_model_or_from_a_parent(tmp_path: Path):
    for job in plan_of(study_file(tmp_path)).jobs.values():
        assert not isinstance(job.spec, PretrainSpec)
        assert job.parents == tuple(filter(None, (job.spec.model.job,)))


def test_subsets_of_one_seed_are_nested(tmp_path: Path):
    text = STUDY.replace("size: 100", "size: [30, 100]")
    plan = plan_of(study_file(tmp_path, text), "seeds=[1, 2]")
    for seed in (1, 2):
        small, large = (
            next(
                d for spec in trained(plan) for d in spec.mixture if (d.task, d.size, d.seed) == ("isle-qa", size, seed)
            )
            for size in (30, 100)
        )
        task = plan.tasks["isle-qa"]
        ids = [
            {e.id for e in task.source.read(task, d.language, d.split, None, size=d.size, seed=d.seed)}
            for d in (small, large)
        ]
        assert ids[0] < ids[1]


def test_test_data_do_not_depend_on_the_seed(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY), "seeds=[1, 2]")
    predicted = [job.spec.data for job in plan.jobs.values() if isinstance(job.spec, PredictSpec)]
    assert {data.seed for data in predicted} == {0}
    assert len(set(predicted)) == 10


def test_lists_of_languages_and_sizes_make_a_row_each(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY.replace("size: 100", "language: [qta, qka], size: [10, 100]")))
    rows = dict.fromkeys((cell.intermediate, cell.intermediate_language, cell.size) for cell in plan.cells)
    assert list(rows)[1:] == [("isle-qa", language, size) for language in ("qta", "qka") for size in ("10", "100")]


def test_stages_follow_each_other_and_may_keep_a_head(tmp_path: Path):
    stages = (
        "{name: two, training: {lr: 0.5}, stages: [{mixture: [{task: isle-nli, size: 9}, {task: isle-qa, size: 9}]},"
        " {mixture: [{task: isle-qa, language: qto, size: 5}], keep_heads: [isle-qa], training: {epochs: 1}}]}"
    )
    plan = plan_of(study_file(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", stages)))
    first, second = (job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and job.spec.recipe.lr == 0.5)
    assert second.parents == (first.key,)
    assert isinstance(second.spec, TrainSpec)
    assert (second.spec.keep_heads, second.spec.recipe.epochs) == (("isle-qa",), 1.0)
    cell = plan.cells[-1]
    assert (cell.intermediate, cell.intermediate_language, cell.size) == ("two", "qta+qto", "23")


def test_a_head_of_the_model_can_be_kept(tmp_path: Path):
    path = study_file(tmp_path, STUDY.replace("size: 100", "keep_heads: [isle-qa]"))
    write_heads(tmp_path / "model", "isle-qa")
    assert [spec.keep_heads for spec in trained(plan_of(path))].count(("isle-qa",)) == 1


def test_a_study_can_pretrain_a_model(tmp_path: Path):
    models = (
        "models:\n  - name: mine\n    pretrain:\n      text:\n        - {task: isle-text, size: {qta: 30, qto: 10}}\n"
        "        - {task: isle-parallel, language: qta, size: 5}\n"
    )
    text = STUDY.replace("models: [model]\n", models)
    plan = plan_of(study_file(tmp_path, text))
    pretrain = next(iter(plan.jobs.values()))
    assert isinstance(pretrain.spec, PretrainSpec)
    assert [(d.task, d.language, d.size) for d in pretrain.spec.text] == [
        ("isle-text", "qta", 30), ("isle-text", "qto", 10), ("isle-parallel", "qta", 5),
    ]  # fmt: skip
    assert pretrain.examples == 45 * 3
    assert all(job.parents for key, job in plan.jobs.items() if key != pretrain.key)
    assert not plan.models


def test_pretraining_alone_needs_no_target(tmp_path: Path):
    assert kinds(plan_of(Path("isles-encoder"))) == {"pretrain": 1}


def test_recipes_apply_to_their_stages(tmp_path: Path):
    text = STUDY.replace("size: 100", "size: 100, training: {lr: 0.3}") + (
        "training: {lr: 0.1, batch_size: 4, intermediate: {lr: 0.2, epochs: 5}, target: {max_steps: 7, max_length: 32}}\n"
    )
    plan = plan_of(study_file(tmp_path, text))
    intermediate = next(spec for spec in trained(plan) if spec.mixture[0].task == "isle-qa").recipe
    target = next(spec for spec in trained(plan) if spec.mixture[0].task == "isle-nli").recipe
    assert (intermediate.lr, intermediate.epochs, intermediate.batch_size) == (0.3, 5.0, 4)
    assert (target.lr, target.max_steps, target.batch_size) == (0.1, 7, 4)
    # what is scored is cut as what was trained on
    assert {j.spec.options["max_length"] for j in plan.jobs.values() if isinstance(j.spec, PredictSpec)} == {32}


def test_the_examples_of_a_job_count_repetitions_and_caps(tmp_path: Path):
    plan = plan_of(study_file(tmp_path, STUDY + "training: {epochs: 2}\n"))
    by_task = {
        spec.mixture[0].task: job.examples for job in plan.jobs.values() if isinstance(spec := job.spec, TrainSpec)
    }
    assert by_task == {"isle-qa": 200, "isle-nli": 100}
    capped = plan_of(study_file(tmp_path, STUDY.replace("size: 100", "size: 100, sampling: {cap: 10}")))
    assert min(job.examples for job in capped.jobs.values() if job.kind == "train") == 30


def test_without_a_baseline_there_is_a_warning(tmp_path: Path):
    assert plan_of(study_file(tmp_path)).warnings == []
    (warning,) = plan_of(study_file(tmp_path, STUDY.replace("  - none\n", ""))).warnings
    assert "no lifts" in warning


# --- what cannot be ---------------------------------------------------------------------------------------------------

WRONG = {
    "a misspelt task": ("isle-nli", "isle-nil", "study.yaml:6: targets.0.task: unknown task 'isle-nil'", "'isle-nli'?"),
    "a misspelt intermediate": ("isle-qa", "isle-aq", "study.yaml:4: intermediate.1.task: unknown task", "'isle-qa'?"),
    "a language the task has not": ("size: 20", "languages: [qta, sw]", "study.yaml:6: targets.0.languages: isle-nli has no test data in 'sw'", "qta, qtm"),
    "an intermediate's language": ("size: 100", "language: sw", "study.yaml:4: intermediate.1.language: isle-qa", "qta"),
    "a train language": ("size: 50", "language: sw", "study.yaml:6: targets.0.train.language: isle-nli has no", "qta"),
    "text as a target": ("isle-nli, train: {size: 50}", "isle-text", "study.yaml:6: targets.0.task: isle-text is plain", "labels"),
    "text for a target": ("{size: 50}", "{task: isle-text}", "study.yaml:6: targets.0.train.task: isle-text is plain text", "pretrain"),
    "masks of labels": ("size: 100", "size: 100, masking: {share: 0.2}", "study.yaml:4: intermediate.1.masking: `masking` has no effect", "isle-text"),
    "retrieval with train": ("isle-nli", "isle-retrieval", "study.yaml:6: targets.0.train: isle-retrieval is retrieval", "remove"),
    "train: false for a head": ("{size: 50}", "false", "study.yaml:6: targets.0.train: isle-nli cannot be scored", "retrieval"),
    "other labels": ("{size: 50}", "{task: isle-paraphrase}", "study.yaml:6: targets.0.train.task: isle-paraphrase cannot replace isle-nli: its labels are different, same", "isle-nli"),
    "another format": ("{size: 50}", "{task: isle-qa}", "study.yaml:6: targets.0.train.task: isle-qa cannot replace", "format"),
    "no training data": ("isle-nli, train: {size: 50}", "xnli, train: {task: americasnli}", "study.yaml:6: targets.0.train: americasnli has no training data", "isle-nli, isle-nli-balanced"),
    "options of another format": ("size: 20", "options: {layer: 3}", "study.yaml:6: targets.0.options: isle-nli is", "retrieval"),
    "no data folder": ("isle-nli, train: {size: 50}", "xquad-articles", "study.yaml:6: targets.0.train: no data folder", "--data DIR"),
    "a head nobody trained": ("size: 100", "keep_heads: [isle-qa]", "study.yaml:4: intermediate.1.keep_heads: cannot keep the head", "no heads yet"),
    "no model": ("[model]", "[./modell]", "study.yaml:1: models.0: no model folder './modell'", "isles"),
    "two rows alike": ("- none", "- {task: isle-qa, size: 100}", "study.yaml:4: intermediate.1: two intermediates make the same row 'isle-qa qta 100'", "name"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_impossible_studies_are_refused(tmp_path: Path, case: str):
    old, new, begins, also = WRONG[case]
    message = refused_plan(tmp_path, STUDY.replace(old, new, 1))
    assert message.startswith(begins)
    assert also in message


def test_a_head_of_another_stage_cannot_be_kept(tmp_path: Path):
    stages = (
        "{name: two, stages: [{mixture: [{task: isle-nli}]}, {mixture: [{task: isle-qa}], keep_heads: [isle-nli]}]}"
    )
    message = refused_plan(tmp_path, STUDY.replace("{task: isle-qa, size: 100}", stages))
    assert message.startswith("study.yaml:4: intermediate.1.stages.1.keep_heads: cannot keep the head 'isle-nli'")


def test_two_models_with_one_name_are_refused(tmp_path: Path):
    model_folder(tmp_path / "a" / "model")
    message = refused_plan(tmp_path, STUDY.replace("[model]", "[model, a/model]"))
    assert message.startswith("study.yaml:1: models.1: two models are called 'model'")


def test_a_resolver_counts_generated_examples(tmp_path: Path):
    from xlift.studies.study_file import read_study

    resolver = Resolver(read_study(str(study_file(tmp_path))), None)
    task = resolver.find_task("isle-nli", ())
    assert resolver.count_examples(resolver.make_data(task, "qta", "test", None, 0, ())) == 500
    assert resolver.count_examples(resolver.make_data(task, "qta", "train", 7, 0, ())) == 7


# --- one head for several tasks ---------------------------------------------------------------------------------------


def test_a_target_can_train_on_several_tasks_in_a_row_with_one_head(tmp_path: Path):
    target = "  - {task: isle-continuation, train: {task: [isle-reading, isle-commonsense], size: 40}}\n"
    plan = plan_of(study_file(tmp_path, STUDY.partition("intermediate")[0] + "targets:\n" + target))
    first, second = trained(plan)
    assert [(s.mixture[0].task, s.mixture[0].size) for s in (first, second)] == [
        ("isle-reading", None),
        ("isle-commonsense", 40),
    ]
    assert (first.head, first.keep_heads) == ("isle-commonsense", ())
    assert (second.head, second.keep_heads) == ("isle-commonsense", ("isle-commonsense",))
    (head,) = {job.spec.head for job in plan.jobs.values() if isinstance(job.spec, PredictSpec)}
    assert head == "isle-commonsense"


def test_tasks_of_one_head_must_have_the_same_labels(tmp_path: Path):
    mixture = "{name: both, mixture: [{task: isle-nli, size: 9}, {task: isle-paraphrase, size: 9}], head: pair}"
    text = STUDY.replace("{task: isle-qa, size: 100}", mixture)
    assert "isle-paraphrase cannot replace isle-nli: its labels are different, same" in refused_plan(tmp_path, text)


def test_a_task_without_training_data_uses_the_catalogues_training_task(tmp_path: Path, monkeypatch):
    class OnlyTest(GeneratedSource):
        def splits(self) -> tuple[str, ...]:
            return ("test",)

    reading = replace(
        catalog.get("isle-reading"), source=OnlyTest("reading"), train_task=("isle-commonsense", "isle-continuation")
    )
    monkeypatch.setattr(catalog, "get", lambda name, get=catalog.get: reading if name == reading.name else get(name))
    text = STUDY.partition("intermediate")[0] + "targets:\n  - {task: isle-reading, train: {size: 30}}\n"
    plan = plan_of(study_file(tmp_path, text))
    assert [spec.mixture[0].task for spec in trained(plan)] == ["isle-commonsense", "isle-continuation"]
