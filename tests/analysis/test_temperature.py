"""The temperature of a classifier: recovered where it is known, and refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from xlift.analysis.temperature import fit_temperature, measure, to_logits
from xlift.errors import UserError
from xlift.studies.predictions import DecisionScores
from xlift.tasks.formats.base import softmax


def draw(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by the factor `temperature`, and gold labels."""
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2, size=(n, 4))
    gold = (softmax(logits).cumsum(axis=-1) > rng.random((n, 1))).argmax(axis=-1)
    return logits * temperature, gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_known_temperature_is_found(temperature: float):
    logits, gold = draw(temperature)
    found = fit_temperature(logits, gold)
    assert found == pytest.approx(temperature, rel=0.05)
    after = measure(logits, gold, found)
    assert after.calibration_error < 0.015
    if temperature == 3.0:
        assert measure(logits, gold).calibration_error > 0.1
    for other in (found * 1.05, found / 1.05):  # it is the best one
        assert measure(logits, gold, other).log_loss > after.log_loss


def test_stored_probabilities_are_as_good_as_logits():
    logits, gold = draw(3.0)
    stored = softmax(logits).astype(np.float16).tolist()
    found = fit_temperature(to_logits(DecisionScores("probability", ("a", "b", "c", "d"), stored)), gold)
    assert found == pytest.approx(fit_temperature(logits, gold), rel=0.02)


def test_no_best_temperature():
    logits, _ = draw(1.0, 200)
    with pytest.raises(UserError, match="100% of 200 dev examples are right"):
        fit_temperature(logits, logits.argmax(axis=-1))
    with pytest.raises(UserError, match="no temperature between"):
        fit_temperature(logits, logits.argmin(axis=-1))
