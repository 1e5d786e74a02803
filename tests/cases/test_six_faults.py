"""One plan names every fault of a custom task, each with its file and row."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.command import Xlift

FOLDER = Path(__file__).parent / "six-faults"
FAULTS = {
    "train.en.csv:8": "'entailmnt'",  # a typo in a label, which the training files define
    "train.en.csv:9": "header",  # in the middle of the file
    "train.en.csv:14": "train.en.csv:7",  # the row that this one repeats
    "test.de.csv:4": "empty",
    "test.sw.csv:5": "",  # a pair without its second text
    "study.yaml:5": "'bleu' cannot score classification",
}


def test_six_faults_are_named_in_one_go(xlift: Xlift, tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    for command in ("plan", "run"):
        answer = xlift(command, "study.yaml")
        assert answer.code == 2
        lines = [line.removeprefix("xlift: ").removeprefix("warning: ") for line in answer.err.splitlines()]
        for place, words in FAULTS.items():
            (line,) = [line for line in lines if line.startswith(f"{place}: ")]
            assert words in line
        assert "Traceback" not in answer.err
