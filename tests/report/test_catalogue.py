"""`xlift tasks`."""

from __future__ import annotations

import io
import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from rich.console import Console

from xlift.errors import UserError
from xlift.report.catalogue import GROUPS, group, print_list, print_task
from xlift.tasks import catalog, formats
from xlift.tasks.sources.hub import HubSource

SAMPLES = Path(__file__).parents[1] / "tasks/samples"


def listed(width: int) -> str:
    out = io.StringIO()
    print_list(Console(file=out, width=width), False)
    return out.getvalue()


def shown(name: str, data: Path | None = None, width: int = 80) -> str:
    out = io.StringIO()
    print_task(name, data, Console(file=out, width=width), False)
    return out.getvalue()


def row(name: str, width: int = 80) -> str:
    (line,) = [line for line in listed(width).splitlines() if line.split()[:1] == [name]]
    return " ".join(line.split())


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_task_is_one_whole_line_at_any_width(width: int):
    lines = listed(width).splitlines()
    for task in catalog.TASKS:
        (line,) = [line for line in lines if line.split()[:1] == [task.name]]
        assert line.split()[1] == task.format
        assert "…" not in line
    assert max(map(len, lines)) <= width


def test_wide_terminals_show_more_columns():
    assert "5,010" not in listed(60)
    assert "native xtreme hub" in listed(80)
    assert "mlqa-f1" not in listed(80)
    assert "mlqa-f1" in listed(100)
    assert "train dev test" in listed(120)


def test_titles_explain_only_shown_columns():
    assert "Size: training examples" in listed(80)
    assert "Size:" not in listed(60)
    assert "Languages:" not in listed(40)
    assert "Languages:" in listed(60)


def test_groups_of_the_list():
    names = {name: {task.name for task in catalog.TASKS if group(task) == name} for name in GROUPS}
    assert {"xnli", "tydiqa", "bucc2018", "xcopa", "mewslix", "lareqa"} <= names["suite"]
    assert {"belebele", "sib200", "masakhaner2", "americasnli", "flores200"} <= names["target"]
    nine = {"anli-plus", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"}
    assert nine | {"ocnli", "kornli", "xnli-mt", "pawsx-mt", "squad-mt", "socialiqa", "copa"} <= names["intermediate"]
    assert {"wikipedia", "plain-text"} <= names["text"]
    assert names["isles"] == {task.name for task in catalog.ISLES}
    positions = [listed(80).index(title[:20]) for title in GROUPS.values()]
    assert positions == sorted(positions)


def test_row_has_languages_of_both_suites_size_and_sources():
    assert row("xnli") == "xnli classification 15 5,010 native xtreme hub"
    assert row("xquad") == "xquad span-qa 11 | 12 1,190 native hub"
    assert row("mlqa") == "mlqa span-qa 7 4,517-11,590 native xtreme hub"
    assert row("xcopa") == "xcopa multiple-choice - | 11 500 native xtreme hub"
    assert row("lareqa") == "lareqa dual-encoding - | (11) native xtreme"
    assert row("mnli") == "mnli classification en 392,702 native xtreme hub"


def test_json_has_the_whole_declaration(capsys: pytest.CaptureFixture[str]):
    print_list(Console(), True)
    tasks = {task["name"]: task for task in json.loads(capsys.readouterr().out)}
    assert list(tasks) == list(catalog.names())
    xcopa = tasks["xcopa"]
    assert {"format", "metrics", "labels", "licence", "citation", "source", "official", "note"} <= set(xcopa)
    assert xcopa["train_task"] == ["socialiqa", "copa"]
    assert len(xcopa["suites"]["xtreme-r"]) == 11
    assert xcopa["counts"] == {"dev": 100, "test": 500}
    assert [source["kind"] for source in xcopa["sources"]] == ["native", "xtreme", "hub"]
    assert xcopa["sources"][2]["repository"] == "cambridgeltl/xcopa"
    assert xcopa["sources"][0]["files"]["test"] == ["xcopa/{lang}/test.{lang}.jsonl"]
    assert tasks["anli-plus"]["sources"][0]["tasks"] == ["snli", "mnli", "anli"]


def test_generated_task_has_an_example_without_data():
    text = shown("isle-nli")
    assert "entailment, neutral, contradiction" in text
    assert "qta train" in text


def test_published_task_without_data_shows_an_invented_example(tmp_path: Path):
    text = shown("xquad", width=120)
    assert "invented: give the folder of the published files with `--data DIR`" in text
    assert "The Nile is long." in text
    assert f"no files of this task in {tmp_path}" in shown("xquad", tmp_path, width=200)


def test_published_task_with_data_shows_its_first_row():
    text = shown("xcopa", SAMPLES / "xcopa/native")
    assert "it dev" in text
    assert "invented" not in text


@pytest.mark.parametrize("task", catalog.FILES, ids=lambda task: task.name)
def test_invented_example_is_the_first_row_of_the_test_sample(task):
    # so that it matches what the readers return for the published layout
    made = catalog.invented_examples()[task.name]
    if isinstance(task.source, HubSource):  # on the Hub only: no sample of files
        format = formats.get(task.format)
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in made["example"].items()}
        required = {field.name: "" for field in fields(format.example_class) if field.default is MISSING}
        assert format.check(format.example_class(**(required | values)), task.labels) is None
        assert made["language"] in task.source.languages(made["split"])
        return
    folder = SAMPLES / task.name / "native"
    first = next(iter(task.source.read(task, made["language"], made["split"], folder)))
    first = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(first).items()}
    assert {key: value for key, value in first.items() if value not in (None, "", [])} == made["example"]


def test_sources_have_their_files():
    text = shown("mlqa", width=120)
    assert "native: read as squad" in text
    assert "test: MLQA_V1/test/test-context-{lang}-question-{lang}.json" in text
    assert "hub: facebook/mlqa (refs/convert/parquet)" in text
    assert "jiant: lr 1e-05, batch_size 16, epochs 2" in text
    assert "dev, test: 7: en es de ar hi vi zh" in text


def test_sources_that_differ_in_columns_only_are_shown_once():
    # SICK has one table for two languages and three splits: six sources.
    text = shown("sick", width=120)
    assert text.count("native: read as tsv") == 1
    assert text.count("sick/SICK_NL.txt") == 3


def test_known_faults_have_their_rows_and_what_is_done():
    text = shown("xcopa", width=400)
    assert "test: id 4, it 4, sw 37, th 250, tr 51" in text
    assert "corrected from the rows of English COPA with the same `idx` (https://" in text
    text = shown("pawsx", width=400)
    assert "dev: de 32, es 16, fr 3, zh 10): counted, and read as published (https://" in text
    assert "XTREME's scripts remove the labels (test: all rows): such files are refused (https://" in text
    assert "known faults" not in shown("ocnli", width=400)


def test_citation_is_not_wrapped():
    assert catalog.bibtex(catalog.get("xquad")) in shown("xquad", width=40)


def test_empty_fields_are_left_out():
    assert "labels" not in shown("isle-qa")
    assert "suites" not in shown("isle-qa")


def test_error_message_replaces_the_example_of_a_damaged_file(tmp_path: Path):
    path = tmp_path / "ocnli/train.3k.json"
    path.parent.mkdir()
    path.write_text("{broken\n", encoding="utf-8")
    assert f"{path}:1: invalid JSON" in shown("ocnli", tmp_path, width=300)


def test_brackets_are_not_markup(tmp_path: Path):
    path = tmp_path / "ocnli/train.3k.json"
    path.parent.mkdir()
    record = {"sentence1": "[bold]a[/bold]", "sentence2": "b", "label": "neutral", "id": "0"}
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    assert "[bold]a[/bold]" in shown("ocnli", tmp_path)


@pytest.mark.parametrize("name", ["sib200", "udpos", "mewslix", "ccg", "isle-supertags"])
def test_longest_tasks_fit_a_narrow_terminal(name: str):
    lines = shown(name, width=60).split("citation")[0].splitlines()
    assert max(map(len, lines)) <= 60


def test_unknown_task_suggests_a_similar_one():
    with pytest.raises(UserError, match="did you mean 'isle-qa'"):
        shown("isle-aq")
