"""The commands, files and Python code of docs/custom-task.md and docs/how-to.md run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support import tiny
from tests.support.pages import blocks, commands, shell, table, xlift

from xlift.analysis.lift import LiftRow, exported_fields
from xlift.analysis.robustness import RobustnessRow

pytestmark = pytest.mark.slow


class Ran(NamedTuple):
    folder: Path
    outputs: dict[str, str]
    """Command -> standard output."""


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The page's files in a folder, and its commands run there. Only the model is another: a random one of a test's size."""
    folder = tmp_path_factory.mktemp("tickets")
    tiny.model_folder(folder / "tiny-model")
    for block in blocks("custom-task", "csv", "yaml"):
        if not block.file:  # a further example, which the page does not run
            continue
        text = block.text
        if block.kind == "yaml":
            assert "models: [isles]" in text
            text = text.replace("models: [isles]", "models: [tiny-model]")
        (folder / block.file).write_text(text, encoding="utf-8")
    return Ran(folder, {command: xlift(command, folder) for command in commands("custom-task")})


def test_the_custom_task_gets_a_score_in_every_language(tickets):
    rows = json.loads(tickets.outputs["xlift report tickets.yaml --json"])
    scored = {(row["intermediate"], row["language"]) for row in rows if 0 <= row["value"] <= 1}
    assert scored == {(road, language) for road in ("none", "isle-nli") for language in ("de", "sw", "all")}
    assert {row["n"] for row in rows if row["language"] == "de"} == {6}  # as many as the page's file has
    assert {row["seeds"] for row in rows} == {2}


def test_the_custom_task_page_runs_plan_run_and_report(tickets):
    assert [command.split()[1] for command in tickets.outputs] == ["plan", "run", "report", "report"]
    assert "left" in tickets.outputs["xlift plan tickets.yaml"]
    assert "sw" in tickets.outputs["xlift report tickets.yaml --languages"]


def test_the_plan_on_the_page_is_the_one_that_is_printed(tickets, tmp_path):
    folder = shutil.copytree(tickets.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("xlift-store"))
    train = (folder / "train.en.csv").read_text(encoding="utf-8")
    train = train.replace("refused,billing", "refused,billling") + "The parcel never arrived,billing\n"
    (folder / "train.en.csv").write_text(train, encoding="utf-8")
    (shown,) = (block.text for block in blocks("custom-task", "text") if block.file == "plan")
    printed = xlift("xlift plan tickets.yaml", folder)
    assert "\n".join(line.rstrip() for line in printed.splitlines()).startswith(shown)


def test_documented_keys_of_json_are_those_printed(tickets):
    rows = json.loads(tickets.outputs["xlift report tickets.yaml --json"])
    assert list(table("reference", "JSON of `xlift report`")) == list(rows[0]) == exported_fields(LiftRow)
    for command in ("store ls", "plan"):
        study = " tickets.yaml" if command == "plan" else ""
        printed = json.loads(xlift(f"xlift {command}{study} --json", tickets.folder))
        jobs = printed["jobs"] if command == "plan" else printed
        assert list(table("reference", f"JSON of `xlift {command}`")) == list(jobs[0])
    assert list(table("reference", "JSON of `xlift report --noise`")) == list(RobustnessRow.__annotations__)


def test_documented_keys_and_files_of_a_product_are_those_written(tickets):
    described = table("reference", "Files of an artifact")
    manifests = list(tickets.folder.glob("xlift-store/artifacts/*/*/manifest.json"))
    assert manifests
    for path in manifests:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        assert list(table("reference", "Keys of `manifest.json`")) == list(manifest)
        mine = described[manifest["kind"]][0].replace("the same, and", described["pretrain"][0])
        written = [Path(name).name for name in manifest["files"]] + ["manifest.json"]
        assert set(re.findall(r"`(?:model/)?([\w.]+)`", mine)) == set(written)


def test_the_model_of_the_how_to_is_exported_and_its_python_runs(tickets):
    from transformers import AutoModelForSequenceClassification

    (export,) = (command for command in commands("how-to") if command.startswith("xlift export tickets"))
    xlift(export, tickets.folder)
    for block in blocks("how-to", "python"):
        shell([sys.executable, "-c", block.text], tickets.folder)
    model = AutoModelForSequenceClassification.from_pretrained(tickets.folder / "tickets-model")
    assert list(model.config.id2label.values()) == ["billing", "delivery"]
