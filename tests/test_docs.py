"""The user's documentation, held against the code: its files and commands run as they stand, and its tables are complete."""

from __future__ import annotations

import re
import shlex
import sys
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from tests import test_practitioner
from tests.support import tiny
from tests.support.hub import Hub, parquet
from tests.support.model_folders import family_folder
from tests.support.pages import DOCS, OF_THE_HUB, ROOT, blocks, commands, section, shell, table
from typer.main import get_command

from xlift import recipes
from xlift.cli import app
from xlift.studies.plan import make_plan
from xlift.studies.schema import engine, intermediate, models, targets, text, training
from xlift.studies.study import Study, shipped_studies
from xlift.studies.study_file import StudyFile, read_study
from xlift.tasks import formats
from xlift.tasks import metrics as metric_catalog
from xlift.tasks.sources import custom
from xlift.tasks.sources.readers import READERS
from xlift.tasks.sources.readers.fields import COMMON_COLUMNS
from xlift.yaml_document import parse_yaml

# --- custom-task.md, tables -------------------------------------------------------------------------------------------


def test_every_format_has_its_fields_documented():
    for name, format in formats.FORMATS.items():
        documented = table("custom-task", name)
        assert tuple(documented) == (*format.columns, "id"), name
        for field, columns in {**format.columns, **COMMON_COLUMNS}.items():
            told = re.findall(r"`([\w.]+)`", documented[field][0])
            assert told[: len(columns)] == list(columns), (name, field)


def test_file_types_and_metrics_of_every_format_are_documented():
    assert set(table("custom-task", "File types")) == set(custom.EXTENSIONS)
    for name, format in formats.FORMATS.items():
        text = section("custom-task", name)
        types_ = text[text.index("File types:") : text.index("etric")]
        readers = {extension: [READERS[reader] for reader in names] for extension, names in custom.EXTENSIONS.items()}
        expected = {extension for extension, several in readers.items() if any(name in one.formats for one in several)}
        assert set(re.findall(r"`(\.\w+)`", types_)) == expected, name
        assert all(f"`{metric}`" in text for metric in format.default_metrics), name


@pytest.mark.parametrize(
    ("page", "heading"),
    [("custom-task", "Error messages"), ("how-to", "Repair a damaged store")],
)
def test_documented_messages_are_ones_that_the_code_has(page, heading):
    # A message is an f-string in the code: what stands between the … of the page must stand there letter by letter.
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/xlift").rglob("*.py"))
    for message in table(page, heading):
        for part in message.split("…"):
            assert part.strip(" ,:'") in source, message


# --- reference.md -----------------------------------------------------------------------------------------------------

SECTIONS: dict[type[BaseModel], str] = {
    Study: "The study",
    training.Training: "`training`",
    recipes.EarlyStopping: "`early_stopping`",
    recipes.Lora: "`lora`",
    recipes.Engine: "`engine`",
    training.PromptSettingsPatch: "`prompt`",
    intermediate.Intermediate: "`intermediate`",
    intermediate.MixturePart: "`mixture`",
    text.TextBesideLabels: "`text` beside labels",
    intermediate.Stage: "`stages`",
    recipes.Sampling: "`sampling`",
    targets.Target: "`targets`",
    targets.TargetData: "`train`",
    targets.Options: "`options`",
    recipes.Noise: "`noise`",
    models.NamedModel: "`models`: an existing model",
    models.PretrainedModel: "`models`: a model to pretrain",
    models.Pretrain: "`pretrain`",
    text.PretrainText: "`text`",
    recipes.Architecture: "`architecture`",
    recipes.TokenizerRecipe: "`tokenizer`",
    recipes.Masking: "`masking`",
    custom.CustomTask: "`tasks`",
}
"""RecipePatch and TargetPatch are parts of Training, and EnginePatch of Engine. They have no table of their own."""
PATCHED: dict[type[BaseModel], type[BaseModel]] = {
    training.Training: recipes.Recipe,
    training.PromptSettingsPatch: recipes.PromptSettings,
}
"""Where the defaults of a patch stand."""
FAMILIES = {"mt5": "seq2seq", "Qwen": "decoder"}
"""Part of a Hub id -> family of the small model that stands in for it."""


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models that a type names, however deep inside of unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in get_args(annotation):
            yield from models_in(argument)


def reached(model: type[BaseModel], found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in found:
        found.add(model)
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                reached(inner, found)
    return found


def test_models_are_found_inside_of_unions_and_lists():
    union = Union[tuple[intermediate.MixturePart, ...], None, dict[str, int]]  # noqa: UP007
    assert list(models_in(union)) == [intermediate.MixturePart]


def test_every_part_of_a_study_has_a_section():
    assert reached(Study, set()) | {custom.CustomTask} == {
        *SECTIONS,
        training.RecipePatch,
        training.TargetPatch,
        engine.EnginePatch,
    }


@pytest.mark.parametrize("model", SECTIONS, ids=lambda model: model.__name__)
def test_every_key_of_a_study_is_documented_with_its_default(model):
    documented = table("reference", SECTIONS[model])
    assert list(documented) == list(model.model_fields)
    for name, field in model.model_fields.items():
        told = documented[name][1]
        assert (told == "**required**") == field.is_required(), name
        inherited = PATCHED[model].model_fields.get(name) if model in PATCHED else None
        default = (inherited or field).default
        if isinstance(default, int | float) or (isinstance(default, str) and default and told.startswith("`")):
            assert yaml.safe_load(told.strip("`")) == default, name
        assert documented[name][0], f"{name} has no type"


def test_every_synonym_of_a_key_is_documented():
    text = section("reference", "`training`")
    for name in training.RecipePatch.model_fields:
        assert all(f"`{spelling}`" in text for spelling in training.RecipePatch.spellings(name)), name


def test_every_metric_is_documented_and_no_other():
    documented = table("reference", "Metrics")
    assert set(documented) == set(metric_catalog.names())
    for metric, (told_formats, meaning, *_) in documented.items():
        default = {name for name, format in formats.FORMATS.items() if metric in format.default_metrics}
        assert set(told_formats.split(", ")) - {"none"} == set(metric_catalog.get(metric).formats), metric
        assert ("default" in meaning) == bool(default), metric


def test_every_command_and_option_is_documented_and_no_other():
    headings = re.findall(r"^### `(xlift[ \w]*)`$", DOCS["reference"].read_text(encoding="utf-8"), re.M)
    documented = {name: set(table("reference", f"`{name}`")) for name in headings}
    assert documented == dict(options(get_command(app), "xlift"))


def options(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """(command, its options and arguments) of a command and of those below it."""
    own_names = {
        (parameter.opts[0] if parameter.param_type_name == "option" else parameter.name)
        for parameter in command.params
        if parameter.name != "help"
    }
    commands = getattr(command, "commands", {})
    if own_names or not commands:
        yield name, own_names
    for sub, below in commands.items():
        yield from options(below, f"{name} {sub}")


def test_every_environment_variable_of_the_commands_is_documented():
    told = " ".join(table("reference", "Environment variables"))
    for command in get_command(app).commands.values():  # pyright: ignore[reportAttributeAccessIssue]
        for parameter in command.params:
            if parameter.envvar:
                assert f"{parameter.envvar}" in told


def test_documented_studies_are_those_that_ship():
    told = section("reference", "Commands")
    assert all(f"`{name}`" in told for name in shipped_studies())


# --- every page -------------------------------------------------------------------------------------------------------

BASE = {"targets": [{"task": "isle-retrieval", "languages": ["qto"], "size": 10}]}
"""Makes a study of a block that shows a few keys only."""


@pytest.mark.parametrize("page", DOCS)
def test_commands_of_the_page_exist_with_these_options(page):
    for command in commands(page):
        group: Any = get_command(app)
        words = shlex.split(command.removesuffix("&"))[1:]
        while hasattr(group, "commands"):
            assert words[0] in group.commands, command
            group = group.commands[words.pop(0)]
        group.make_context("xlift", [word for word in words if word != "2"])  # "2>&1" was cut at its ">"


@pytest.mark.parametrize(
    ("page", "number"), [(p, n) for p in DOCS if p not in OF_THE_HUB for n in range(len(blocks(p, "yaml")))]
)
def test_studies_of_the_page_can_be_planned(page, number, tmp_path, monkeypatch, request):
    block = blocks(page, "yaml")[number]
    if "hub: org/name" in block.text:
        server = Hub()
        request.addfinalizer(server.close)
        rows = [{"text": f"text {n}", "category": ("a", "b")[n % 2]} for n in range(4)]
        names = ("eng_Latn/train", "eng_Latn/validation", "deu_Latn/test", "swh_Latn/test")
        server.commit("dataset", "org/name", {f"{name}-00000-of-00001.parquet": parquet(rows) for name in names})
        server.connect(monkeypatch, tmp_path / "cache")
    for extra in blocks(page, "csv"):
        (tmp_path / extra.file).write_text(extra.text, encoding="utf-8")
    if block.file == "support.yaml":
        test_practitioner.write_files(tmp_path)
    for language in ("en", "de", "sw"):
        (tmp_path / f"text.{language}.txt").write_text("one\ntwo\n", encoding="utf-8")
    tiny.model_folder(tmp_path / "tiny-model")
    written = BASE | parse_yaml(block.text, page).value
    models_written = written.get("models", [])
    if all(isinstance(model, str) for model in models_written):
        written["models"] = ["tiny-model"]  # no network, and none of the reader's folders
    for model in models_written:
        if isinstance(model, dict) and "/" in model.get("model", ""):  # of the Hub
            family = next((kind for name, kind in FAMILIES.items() if name in model["model"]), "encoder")
            model["name"], model["model"] = model["model"], str(family_folder(tmp_path / family, family))
    path = tmp_path / (block.file or "study.yaml")
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    file: StudyFile = read_study(str(path))
    assert make_plan(file).jobs


@pytest.mark.parametrize("page", DOCS)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", DOCS[page].read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (DOCS[page].parent / name) if name else DOCS[page]
        assert path.exists(), target
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M) if anchor else []
        assert not anchor or anchor in [anchor_of(heading) for heading in headings], target


def anchor_of(heading: str) -> str:
    """As GitHub makes it: lower case, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_coverage_table_is_of_the_script_as_it_is():
    # One repeat gives other numbers; quantities, seeds, examples and methods must be those of the page.
    printed = shell([sys.executable, "-m", "benchmarks.coverage", "--repeats", "1", "--null-repeats", "1"], ROOT)

    def outline(text: str) -> list[tuple[str, ...]]:
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
        return [tuple(row if row[0] == "quantity" else row[:5]) for row in rows if len(row) == 9]

    assert outline(printed) == outline(DOCS["intervals"].read_text(encoding="utf-8"))


def test_pages_name_no_machine_and_no_registry():
    for path in DOCS.values():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|tmp|work)/|pypi\.org|huggingface\.co|localhost", text), path.name
