"""`xlift export` measures the model: a temperature fitted on dev data, and what an 8-bit ONNX file loses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.command import Xlift
from tests.support.trained_studies import OPTIONS, TRAIN, run_small_study
from tests.test_cli_export import cell_of

from xlift.analysis.class_scores import expected_calibration_error
from xlift.studies.plan import Plan
from xlift.studies.predictions import read_rows, read_scores
from xlift.studies.store import Store


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Store]:
    folder = tmp_path_factory.mktemp("trained")
    targets = [{"task": task, **TRAIN, "size": 6} for task in ("isle-nli", "isle-reading")]
    training = {**OPTIONS["training"], "retries": 1}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("xlift.studies.dev_data.MAX_DEV_EXAMPLES", 30)
        return folder, *run_small_study(folder, intermediate=["none"], seeds=[1], targets=targets, training=training)


# --- temperature ------------------------------------------------------------------------------------------------------


def test_temperature_fitted_on_dev(xlift: Xlift, trained: tuple[Path, Plan, Store], tmp_path: Path):
    folder, _, store = trained
    words = ("export", folder / "study.yaml", "m", "--store", folder / "s", "--target", "isle-nli")
    answer = xlift(*words, "--fit-temperature", "--json")
    assert answer.code == 0, answer.err
    calibration = json.loads(answer.out)["calibration"]
    assert json.loads((tmp_path / "m/xlift.json").read_text())["calibration"] == calibration
    temperature, (dev, *tested) = calibration["temperature"], calibration["rows"]
    assert (dev["split"], dev["language"], dev["before"]["n"]) == ("dev", "qta", 30)
    assert dev["after"]["log_loss"] < dev["before"]["log_loss"]
    assert [row["language"] for row in tested] == ["qta", "qtu"]
    card = (tmp_path / "m/README.md").read_text()
    assert f"the temperature {temperature:.3f}" in card
    assert "are not calibrated" not in card
    # predict applies it, and chooses the same labels
    (tmp_path / "rows.tsv").write_text("premise\thypothesis\n" + "a b c\td e\n" * 2 + "x\ty z\n")
    found = [xlift("predict", "m", "rows.tsv", "--probabilities", "--format", "jsonl").out]
    metadata = json.loads((tmp_path / "m/xlift.json").read_text())
    del metadata["calibration"]
    (tmp_path / "m/xlift.json").write_text(json.dumps(metadata))
    found.append(xlift("predict", "m", "rows.tsv", "--probabilities", "--format", "jsonl").out)
    calibrated, plain = ([json.loads(line) for line in each.splitlines()] for each in found)
    assert [row["label"] for row in calibrated] == [row["label"] for row in plain]
    for one, other in zip(calibrated, plain, strict=True):
        powers = {label: share ** (1 / temperature) for label, share in other["probabilities"].items()}
        expected = {label: power / sum(powers.values()) for label, power in powers.items()}
        assert one["probabilities"] == pytest.approx(expected, abs=1e-5)


def test_calibration_error_before_is_that_of_the_report(
    xlift: Xlift, trained: tuple[Path, Plan, Store], tmp_path: Path
):
    folder, plan, store = trained
    words = ("export", folder / "study.yaml", "m", "--store", folder / "s", "--target", "isle-nli")
    answer = xlift(*words, "--fit-temperature")
    assert "Temperature " in answer.out
    for language in ("qta", "qtu"):
        cell = cell_of(plan, target="isle-nli", language=language)
        scores, rows = read_scores(store, cell.key), read_rows(store, cell.key)
        assert scores is not None
        confidence = np.array([max(each) for each in scores.rows])
        error = expected_calibration_error(confidence, np.array(rows.references) == np.array(rows.predictions))
        assert error is not None
        assert f"  calibration error, test {language}: {100 * error:.1f} -> " in answer.out


# --- 8-bit ONNX -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("task", ["isle-nli", "isle-reading"])
def test_int8_file_with_its_measured_loss(xlift: Xlift, trained: tuple[Path, Plan, Store], tmp_path: Path, task: str):
    import onnxruntime

    folder, plan, store = trained
    words = ("export", folder / "study.yaml", "m", "--store", folder / "s", "--target", task, "--onnx")
    answer = xlift(*words, "--quantize", "int8")
    assert answer.code == 0, answer.err
    int8 = json.loads((tmp_path / "m/xlift.json").read_text())["onnx"]["int8"]
    assert [(row["language"], row["n"], row["metric"]) for row in int8["rows"]] == [
        ("qta", 6, "accuracy"),
        ("qtu", 6, "accuracy"),
    ]
    assert int8["bytes"] == (tmp_path / "m" / int8["file"]).stat().st_size < int8["float32_bytes"]
    for row in int8["rows"]:  # the float32 score is the stored one of these rows
        cell = cell_of(plan, target=task, language=row["language"])
        rows = read_rows(store, cell.key)
        same = [one == other for one, other in zip(rows.references, rows.predictions, strict=True)]
        assert row["before"] == pytest.approx(sum(same) / 6)
        assert abs(row["after"] - row["before"]) <= 1 - row["equal"] + 1e-9
        assert (
            f"accuracy, {row['language']}: {100 * row['before']:.1f} -> {100 * row['after']:.1f} (6 rows" in answer.out
        )
    session = onnxruntime.InferenceSession(str(tmp_path / "m" / int8["file"]), providers=["CPUExecutionProvider"])
    shape = [2, 3, 5] if task == "isle-reading" else [2, 5]
    inputs = {each.name: np.ones(shape, dtype=np.int64) for each in session.get_inputs()}
    (logits,) = session.run(None, inputs)
    assert np.asarray(logits).shape[0] == 2
    assert sorted(path.name for path in (tmp_path / "m/onnx").iterdir()) == ["model.onnx", "model_int8.onnx"]
    card = (tmp_path / "m/README.md").read_text()
    assert "Both files answered the same test rows, accuracy" in card
    assert 'subfolder="onnx", file_name="model_int8.onnx"' in card
