"""A custom task from its files to a table, an exported model and predictions for a file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.tiny_study import plan_of
from transformers import T5Tokenizer

from xlift.analysis.scores import read_predictions
from xlift.models.backbone import save
from xlift.studies.store import Store

RECIPE = {"lr": 0.003, "batch_size": 8, "max_steps": 60, "max_length": 64, "retries": 0}


def write_study(
    folder: Path, format: str, files: Mapping[str, str], *, family: str = "xlm-roberta", **task: Any
) -> None:
    """Write `study.yaml`, a tiny model, and the files of the task `own`: `train.en`, `test.de` and `test.sw`.

    Args:
        files: name with its extension -> content.
        task: other keys of the task.
    """
    save(tiny.encoder(family), _mt5_tokenizer() if family == "mt5" else tiny.tokenizer_of(family), folder / "model")
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    extension = Path(next(iter(files))).suffix
    declaration = {
        "name": f"own-{format}",
        "format": format,
        "files": {"train": {"en": f"train.en{extension}"}, "test": f"test.{{lang}}{extension}"},
        "languages": ["de", "sw"],
        **task,
    }
    study = {
        "models": ["model"],
        "seeds": [1, 2],
        "training": {**RECIPE, "intermediate": {"max_steps": 2}},
        "tasks": [declaration],
        "intermediate": ["none", {"task": "isle-nli", "size": 16}],
        "targets": [{"task": declaration["name"]}],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


def _mt5_tokenizer() -> Any:
    """The tokenizer of the tiny mT5 with digits and commas, which it needs to write numbers and lists."""
    known = tiny.tokenizer_of("mt5")
    pieces = sorted(known.get_vocab(), key=known.get_vocab().get)
    words = [(piece, -float(place + 1)) for place, piece in enumerate(pieces) if not piece.startswith("<")]
    made = T5Tokenizer(
        vocab=[
            *((special, 0.0) for special in ("<pad>", "</s>", "<unk>")),
            *words,
            *((x, -99.0) for x in "0123456789.,-:?"),
        ],
        extra_ids=0,
    )
    made.model_max_length = 512
    return made


def run(xlift: Xlift) -> list[dict[str, Any]]:
    """Run the study in this process and return its rows."""
    answer = xlift("run", "study.yaml", "--workers", 0, "--quiet")
    assert answer.code == 0, answer.err
    report = xlift("report", "study.yaml", "--json", "--metrics")
    assert report.code == 0, report.err
    return json.loads(report.out)


def export(xlift: Xlift, format: str) -> dict[str, Any]:
    """Export the model of seed 1 without an intermediate task to `exported`, and return its config."""
    answer = xlift("export", "study", "exported", "--target", f"own-{format}", "--intermediate", "none", "--seed", 1)
    assert answer.code == 0, answer.err
    return json.loads(Path("exported/config.json").read_text(encoding="utf-8"))


def run_card_code(given: str) -> str:
    """What the code in the card of the exported model prints, with other texts than those of the card."""
    card = Path("exported/README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0].replace('"path/to/this/folder"', '"exported"')
    (placeholder,) = (each for each in ('"The first text.", "The second one."', '"A text."') if each in code)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code.replace(placeholder, given), "card", "exec"), {})
    return printed.getvalue().strip()


def stored_predictions(language: str) -> tuple[list[Any], list[Any]]:
    """Gold answers and predictions of the model that `export` exports."""
    cells = [
        cell for cell in plan_of(Path("study.yaml")).cells
        if (cell.intermediate, cell.seed, cell.language) == ("none", 1, language)
    ]  # fmt: skip
    return read_predictions(Store(Path("xlift-store")), cells[0].key)[1:]


def find(rows: Sequence[Mapping[str, Any]], **values: Any) -> Mapping[str, Any]:
    (row,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return row
