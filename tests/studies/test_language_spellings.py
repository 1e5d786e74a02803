"""Languages of a study in any spelling: names, rules of the base language, and notes of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.model_folders import write_family_folders
from tests.support.profile import by_profile

from xlift.errors import UserError
from xlift.language_tags import find_language, study_code
from xlift.languages import LANGUAGES
from xlift.recipes import Noise
from xlift.studies.job import PredictSpec
from xlift.studies.plan import Plan, make_plan
from xlift.studies.study_file import read_study
from xlift.tasks import catalog, metrics
from xlift.tasks.noise import add_noise_to_text, check_noise
from xlift.tasks.sources.custom import build_custom_task

ROWS = "text,label\nhello there,billing\ngood bye,other\n"


def make_study(folder: Path, files: dict[str, Any], model: str = "encoder", **more: Any) -> Path:
    """Write a study of the custom task `tickets`; `more` are keys of the task, of the target, or of the study."""
    folder.mkdir(exist_ok=True)
    if not (folder / model).is_dir():
        write_family_folders(folder)
    task = {"name": "tickets", "format": "classification", "files": files}
    target = {"task": "tickets", "train": {"size": 2}}
    study: dict[str, Any] = {"models": [model], "tasks": [task], "targets": [target]}
    for key, value in more.items():
        part = (
            target
            if key in ("languages", "noise")
            else task
            if key in ("task_languages", "where", "columns")
            else study
        )
        part[key.removeprefix("task_")] = value
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    return path


def make_tickets(folder: Path, *codes: str, **more: Any) -> Path:
    """A study with a file for each code, in training and test."""
    folder.mkdir(exist_ok=True)
    for code in codes:
        (folder / f"{code}.csv").write_text(ROWS, encoding="utf-8")
    first, *_ = codes
    return make_study(
        folder, {"train": {first: f"{first}.csv"}, "test": {code: f"{code}.csv" for code in codes}}, **more
    )


def plan_of(path: Path) -> Plan:
    return make_plan(read_study(str(path)))


def languages_of(plan: Plan) -> list[str]:
    return [cell.language for cell in plan.cells]


@pytest.mark.parametrize("requested", ["zh-CN", "zh_cn", "ZH-CN", "zh", "cmn", "zho_Hans", "zh-Hans-CN"])
def test_a_study_may_spell_a_language_of_a_task_in_another_way(tmp_path: Path, requested: str):
    plan = plan_of(make_tickets(tmp_path, "zh-CN", "en", languages=[requested]))
    same = plan_of(make_tickets(tmp_path, "zh-CN", "en", languages=["zh-CN"]))
    assert languages_of(plan) == ["zh-CN"]
    assert set(plan.jobs) == set(same.jobs)


def test_a_region_names_a_language_of_a_task_without_regions(tmp_path: Path):
    plan = plan_of(make_tickets(tmp_path, "pt", "en", languages=["pt-BR", "en_US"]))
    assert languages_of(plan) == ["pt", "en"]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (["pt"], "'pt' may be pt-BR or pt-PT of tickets"),
        (["pt-AO"], "tickets has no test data in 'pt-AO'"),
        (["pt-BR", "pt_br"], "'pt-BR' and 'pt_br' are the same language of tickets, 'pt-BR'"),
        (["zh-TW"], "tickets has no test data in 'zh-TW'"),
    ],
)
def test_a_code_that_means_no_language_or_several_is_refused(tmp_path: Path, requested: list[str], message: str):
    with pytest.raises(UserError, match=message) as error:
        plan_of(make_tickets(tmp_path, "pt-BR", "pt-PT", "zh", languages=requested))
    assert "targets.0.languages" in str(error.value)
    assert "remove one" in str(error.value) or "It has: pt-BR, pt-PT, zh" in str(error.value)


def test_two_regions_are_two_languages_with_the_rules_of_one(tmp_path: Path):
    plan = plan_of(make_tickets(tmp_path, "pt-BR", "pt-PT"))
    assert languages_of(plan) == ["pt-BR", "pt-PT"]
    note = "tickets: pt-BR and pt-PT are separate languages here; metrics, noise and prompts treat each as Portuguese."
    assert note in plan.warnings


def test_paths_and_rows_keep_the_users_code(tmp_path: Path):
    (tmp_path / "all.csv").write_text("text,label,lang\nolá,a,pt_BR\noi,a,pt_BR\nbom,a,zh_tw\n", encoding="utf-8")
    (tmp_path / "a.pt_BR.csv").write_text("text,label,lang\nsim,a,pt_BR\n", encoding="utf-8")
    declaration = {
        "name": "t", "format": "classification", "files": {"train": {"pt_BR": "a.{lang}.csv"}, "test": "all.csv"},
        "languages": ["pt_BR", "zh_tw"], "where": {"lang": "{lang}"},
    }  # fmt: skip
    task = build_custom_task(declaration, tmp_path)
    assert task.source.languages("test") == ("pt-BR", "zh-TW")
    texts = {code: [e.text_a for e in task.source.read(task, code, "test", None)] for code in ("pt-BR", "zh-TW")}
    assert texts == {"pt-BR": ["olá", "oi"], "zh-TW": ["bom"]}
    assert next(task.source.read(task, "pt-BR", "train", None)).text_a == "sim"


def test_spellings_of_one_code_are_one_language_of_a_task(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(ROWS, encoding="utf-8")
    files: dict[str, Any] = {"train": {"zh_CN": "a.csv"}, "test": {"zh-Hans-CN": "b.csv"}}
    task = build_custom_task(
        {"name": "t", "format": "classification", "files": files, "train_language": "ZH-cn"}, tmp_path
    )
    assert (task.source.languages("train"), task.source.languages("test")) == (("zh-CN",), ("zh-CN",))
    assert task.train_language == "zh-CN"
    files["test"]["zh-cn"] = "a.csv"
    with pytest.raises(UserError, match="duplicate language 'zh-CN': 'zh-Hans-CN' and 'zh-cn' both mean it"):
        build_custom_task({"name": "t", "format": "classification", "files": files}, tmp_path)


def test_translations_are_compared_with_the_originals_in_any_english(tmp_path: Path):
    (tmp_path / "en.csv").write_text("id,text,label\n1,yes,a\n2,no,b\n", encoding="utf-8")
    (tmp_path / "de.csv").write_text("id,text,label\n1,ja,a\n2,nein,a\n", encoding="utf-8")
    files = {"train": {"en-GB": "en.csv", "de-AT": "de.csv"}}
    declaration = {"name": "t", "format": "classification", "files": files, "joined": True}
    task = build_custom_task(declaration, tmp_path)
    with pytest.raises(UserError, match="the label 'a' differs from that of the English example"):
        task.source.size(task, "de-AT", "train", None)


# --- what a rule does not know ------------------------------------------------------------------------------------------


def test_keys_of_plain_codes_and_of_noise_without_a_rule_stay(tmp_path: Path):
    plan = plan_of(
        make_tickets(tmp_path, "de", "pt-BR", "en-US", "zh-CN", noise=[{"kind": "typos"}, {"kind": "diacritics"}])
    )
    specs = [job.spec for job in plan.jobs.values() if isinstance(job.spec, PredictSpec) and job.spec.data.noise]
    digests = {(spec.data.language, spec.data.noise.kind): spec.data.noise.digest for spec in specs if spec.data.noise}
    assert {key for key, digest in digests.items() if digest} == {("pt-BR", "typos")}
    assert digests["pt-BR", "typos"] == "pt"


def test_the_plan_says_which_keyboards_are_missing(tmp_path: Path):
    plan = plan_of(make_tickets(tmp_path, "ja-JP", "de-AT", "xx", "zh", noise=[{"kind": "typos"}]))
    notes = [note for note in plan.warnings if "keyboard" in note]
    assert notes == [
        "tickets: noise of kind typos has no keyboard for ja-JP, zh: characters are swapped, dropped and doubled.",
        "tickets: noise of kind typos has no keyboard for xx: the usual keyboard of each script is used.",
    ]


def test_the_plan_says_which_rules_of_metrics_and_names_are_missing(tmp_path: Path):
    rows = "source,translation\nthe old man,der alte Mann\n"
    codes = ("zh-TW", "xx", "sr-Latn", "de_DE")
    for code in codes:
        (tmp_path / f"{code}.csv").write_text(rows, encoding="utf-8")
    path = make_study(tmp_path, {}, "decoder")
    study = yaml.safe_load(path.read_text())
    study["tasks"] = [{
        "name": "tickets", "format": "translation", "direction": ["en", "{lang}"],
        "files": {split: {code: f"{code}.csv" for code in codes} for split in ("train", "test")},
    }]  # fmt: skip
    study["targets"] = [{"task": "tickets", "train": {"language": "xx"}}]
    path.write_text(yaml.safe_dump(study))
    plan = plan_of(path)
    assert [note for note in plan.warnings if note.startswith("tickets:")] == [
        "tickets: bleu has no rule for xx: sacrebleu's tokenization 13a, for text with spaces.",
        "tickets: on-target has no rule for sr-Latn: only the script of a text is checked.",
        "tickets: on-target has no rule for xx: every text with letters counts.",
        "tickets: prompts have no name of xx: the code stands in its place.",
    ]


def test_mlqa_says_the_languages_that_it_has_no_rule_for(tmp_path: Path):
    for code in ("en", "zh-CN", "zh-TW", "fr-FR"):
        (tmp_path / f"{code}.csv").write_text("context,question,answer\nin Rome,where?,Rome\n", encoding="utf-8")
    path = make_study(tmp_path, {})
    study = yaml.safe_load(path.read_text())
    test = {code: f"{code}.csv" for code in ("zh-CN", "zh-TW", "fr-FR")}
    study["tasks"] = [
        {
            "name": "tickets",
            "format": "span-qa",
            "files": {"train": {"en": "en.csv"}, "test": test},
            "metric": "mlqa-f1",
        }
    ]
    study["targets"] = [{"task": "tickets"}]
    path.write_text(yaml.safe_dump(study))
    assert "tickets: mlqa-f1 has no rule for fr-FR, zh-TW: only punctuation is removed." in plan_of(path).warnings


# --- any code -----------------------------------------------------------------------------------------------------------

PRIMARY = st.sampled_from(
    [language.code for language in LANGUAGES] + ["cmn", "por", "ger", "zho", "swh", "no", "iw", "xx", "qta"]
)
SUBTAG = st.sampled_from(
    [
        "CN",
        "TW",
        "HK",
        "BR",
        "PT",
        "US",
        "419",
        "Latn",
        "Cyrl",
        "Hans",
        "Hant",
        "Arab",
        "Abcd",
        "1996",
        "valencia",
        "x",
        "u",
        "co",
    ]
)
CODES = st.builds(
    lambda primary, subtags, separator, spell: spell(separator.join([primary, *subtags])),
    PRIMARY, st.lists(SUBTAG, max_size=3), st.sampled_from(["-", "_", "--", " ", "."]), st.sampled_from([str, str.lower, str.upper]),
) | st.text("aeznhpt-_CN0 中.x{}", max_size=10)  # fmt: skip
"""Codes of BCP-47's form, and others."""
GOLD = {"zh": "今天天气很好我们去公园", "th": "วันนี้อากาศดี", "en": "the weather is good today", "ar": "الطقس جيد اليوم"}


@settings(max_examples=by_profile(60, 200, 10_000))
@given(code=CODES)
def test_an_accepted_code_scores_and_is_misspelt_as_its_language(tmp_path_factory, code: str):
    folder = tmp_path_factory.getbasetemp() / "codes"
    folder.mkdir(exist_ok=True)
    (folder / "x.csv").write_text("source,translation\na b,c d\n", encoding="utf-8")
    declaration = {
        "name": "t", "format": "translation", "direction": ["eo", "{lang}"], "files": {"train": {code: "x.csv"}},
    }  # fmt: skip
    if study_code(code) is None:
        with pytest.raises(UserError, match="is not a language code"):
            build_custom_task(declaration, folder)
        return
    task = build_custom_task(declaration, folder)
    (name,) = task.source.languages("train")
    if name == "eo":
        return
    (example,) = task.source.read(task, name, "train", None)
    language = find_language(code)
    base = language.code if language else name
    for text in GOLD.values():
        for metric in map(metrics.get, ("bleu", "on-target")):
            scores = [metric.count_example({"text": text, "language": each}, text, each) for each in (name, base)]
            assert scores[0] == scores[1]
        for metric in map(metrics.get, ("mlqa-f1", "answer-em")):
            assert metric.count_example([f"the {text}"], text, name) == metric.count_example(
                [f"the {text}"], text, base
            )
        for kind in ("typos", "case", "script"):
            outcomes = []
            for each in (name, base):
                noise = Noise(kind=kind, level=1.0)  # type: ignore[arg-type]
                try:
                    check_noise(noise, catalog.get("xnli"), each)
                except UserError as error:
                    outcomes.append(error.what.replace(f" in {each}:", ""))
                else:
                    outcomes.append(add_noise_to_text(text, noise, each, "0").changed.text)
            assert outcomes[0] == outcomes[1]
    assert example.target_language == name


@settings(max_examples=by_profile(10, 20, 200))
@given(codes=st.lists(CODES, min_size=1, max_size=3, unique=True), requested=st.lists(CODES, min_size=1, max_size=2))
def test_any_codes_give_a_plan_or_a_message(tmp_path_factory, codes: list[str], requested: list[str]):
    folder = tmp_path_factory.getbasetemp() / "plans"
    folder.mkdir(exist_ok=True)
    (folder / "x.csv").write_text(ROWS, encoding="utf-8")
    files = {split: dict.fromkeys(codes, "x.csv") for split in ("train", "test")}
    path = make_study(folder, files, languages=requested)
    plan, problem = None, ""
    try:
        plan = plan_of(path)
    except UserError as error:
        problem = error.where
    assert plan or "study.yaml" in problem
    if plan is None:
        return
    assert len(plan.cells) == len(requested)
    for code, cell in zip(requested, plan.cells, strict=True):
        ours, theirs = find_language(code), find_language(cell.language)
        assert (ours and ours.code) == (theirs and theirs.code)
