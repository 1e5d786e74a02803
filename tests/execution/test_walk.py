"""The way from the command line to a training step is short, and docs/reading.md describes it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
import torch
from tests.support.tiny_study import run_in_process, write_study

import xlift

ROOT = Path(xlift.__file__).parents[2]
PACKAGE = ROOT / "src" / "xlift"
MAX_FILES = 10


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of the package on the stack at the first optimizer step, from the command line on."""
    folder, stacks = tmp_path_factory.mktemp("walk"), []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *arguments: object) -> object:
        stacks.append([Path(frame.filename) for frame in traceback.extract_stack()])
        return step(self, *arguments)  # type: ignore[arg-type]

    targets = [{"task": "isle-nli", "train": {"size": 8}, "languages": ["qta"], "size": 4}]
    study = write_study(folder, intermediate=["none"], targets=targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", record)
        result = run_in_process(study, folder / "store")
    assert result.returncode == 0, result.stderr
    files = [path.relative_to(PACKAGE).as_posix() for path in stacks[0] if path.is_relative_to(PACKAGE)]
    return list(dict.fromkeys(files))


def test_at_most_ten_files_lead_from_the_command_line_to_the_optimizer_step(walk: list[str]) -> None:
    print("\n".join(walk))
    assert walk[0] == "cli/__init__.py"
    assert walk[-1] == "training/loop.py"
    assert len(walk) <= MAX_FILES, walk


def test_the_tour_names_the_files_of_the_walk_in_order(walk: list[str]) -> None:
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    table = page.partition("## From the command line to a training step")[2].partition("\n## ")[0]
    assert re.findall(r"^\| \d+ \| `([^`]+)` \|", table, re.MULTILINE) == walk


def test_every_file_and_name_of_the_tour_exists() -> None:
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`([\w/]+\.py)`", page)) - {"tests/execution/test_walk.py"}
    assert [file for file in sorted(files) if not (PACKAGE / file).is_file()] == []
    rows = re.findall(r"^\| \d+ \| `([^`]+)` \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) > MAX_FILES
    for file, text in rows:
        source = (PACKAGE / file).read_text(encoding="utf-8")
        for name in re.findall(r"`([A-Za-z_]\w*(?:\.\w+)*)`", text):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", source), (file, name)
