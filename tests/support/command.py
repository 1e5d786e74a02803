"""Run the command line in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from xlift import cli


@dataclass
class Answer:
    code: int
    out: str
    err: str


Xlift = Callable[..., Answer]


@pytest.fixture
def xlift(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Xlift:
    """Run commands in this process, in `tmp_path`. Only SystemExit is accepted; any other exception would be a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("XLIFT_STORE", "XLIFT_DATA"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: object, columns: int = 80) -> Answer:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["xlift", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Answer(int(end.value.code or 0), captured.out, captured.err)

    return call
