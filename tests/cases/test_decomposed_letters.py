"""The same questions with composed and with decomposed letters: an answer has its accents in both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.command import Xlift

from xlift.analysis.scores import load_cells
from xlift.studies.record import read_record
from xlift.studies.store import Store

CASES = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_every_answer_is_exact(xlift: Xlift, tmp_path: Path, form: str):
    for name in ("decomposed-letters", "models"):
        shutil.copytree(CASES / name, tmp_path / name)
    study = tmp_path / "decomposed-letters" / f"{form}.yaml"
    answer = xlift("run", study, "--store", tmp_path / "store", "--workers", 0, "--quiet")
    assert answer.code == 0, answer.err
    store = Store(tmp_path / "store")
    cells, missing = load_cells(read_record(store, form), store, every_metric=True)
    assert not missing
    scores = {(cell.metric, cell.language): float(cell.value(cell.counts.sum(axis=0))) for cell in cells}
    assert scores == {("squad-f1", "fr"): 1.0, ("squad-em", "fr"): 1.0}
