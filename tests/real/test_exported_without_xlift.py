"""An exported model in an environment with torch and transformers but without xlift. The environment needs a download of a
gigabyte, so the test runs only if a folder for it is given:

    XLIFT_FRESH=/some/folder pytest tests/real/test_exported_without_xlift.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.analysis.pipeline_choice import find_pipeline_by_key
from xlift.execution.exporting import export
from xlift.execution.file_prediction import InputRow, load_exported_model, predict_rows
from xlift.studies.store import Store
from xlift.tasks import catalog

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

ASK = """
import importlib.util, json, sys
from transformers import pipeline
assert importlib.util.find_spec("xlift") is None
folder, rows = sys.argv[1], json.load(sys.stdin)
ask = pipeline("text-classification", model=folder)
print(json.dumps([ask(row, truncation=True) for row in rows]))
"""


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter of an environment with only torch and transformers."""
    if not os.environ.get("XLIFT_FRESH"):
        pytest.skip("XLIFT_FRESH gives no folder for an environment without xlift")
    folder = Path(os.environ["XLIFT_FRESH"])
    interpreter = str(folder / "bin" / "python")
    if not Path(interpreter).exists():
        venv.create(folder, with_pip=True)
    install = [interpreter, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), "torch", "transformers"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install torch and transformers here: {done.stderr.strip().splitlines()[-1:]}")
    return interpreter


def test_an_exported_model_without_xlift_gives_the_stored_predictions(python: str, tmp_path: Path):
    study = write_study(tmp_path, models=["isles"], intermediate=["none"], targets=[
        {"task": "isle-nli", "train": {"size": 64}, "languages": ["qta", "qtu"], "size": 24}
    ])  # fmt: skip
    plan, store = plan_of(study), Store(tmp_path / "s")
    run_inline(plan, store)
    key = plan.cells[0].key
    export(find_pipeline_by_key(store, key), store, plan.models.get, tmp_path / "o", lambda metadata, name: "")
    task = catalog.get("isle-nli")
    examples = [e for code in ("qta", "qtu") for e in task.source.read(task, code, "test", None, size=24)]
    ours = list(predict_rows(load_exported_model(tmp_path / "o"), (InputRow("x", example) for example in examples)))
    rows = [{"text": example.text_a, "text_pair": example.text_b} for example in examples]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", ASK, str(tmp_path / "o")], input=json.dumps(rows), env=environment, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert [each["label"] for each in theirs] == [each.label for each in ours]
    assert [each["score"] for each in theirs] == pytest.approx([each.score for each in ours], abs=1e-5)
    print(f"{sys.executable} and {python}: {len(theirs)} equal answers")
