"""Layer selection: what is measured, and that a language's own pairs are not used for its choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support import tiny

from xlift.errors import UserError
from xlift.evaluation import layer_selection
from xlift.evaluation.layer_selection import choose_layer, layer_accuracies, select_pairs
from xlift.evaluation.predict import predict
from xlift.tasks import catalog, formats
from xlift.tasks.formats.mining import MiningExample
from xlift.tasks.formats.retrieval import PairExample
from xlift.training.progress import Interrupted, Progress

RETRIEVAL = catalog.get("isle-retrieval")


def dev_pairs(count: int = 30) -> list[PairExample]:
    """Sentences paired with reordered copies: a random model finds some of them."""
    made = RETRIEVAL.source.read(RETRIEVAL, "qka", "dev", None, size=count)
    return [PairExample(e.id, e.text, " ".join(sorted(e.text.split()))) for e in made]


def features(pairs: list[PairExample]) -> Any:
    return formats.get("retrieval").features(pairs, tiny.tokenizer(), (), max_length=48, train=False)


@pytest.mark.parametrize("options", [{}, {"pooling": "cls"}, {"center": True}])
def test_accuracy_of_each_layer_equals_that_of_predictions_at_it(options: dict[str, Any]) -> None:
    encoder, pairs = tiny.encoder("xlm-roberta", num_hidden_layers=3, initializer_range=0.2), dev_pairs()
    found = layer_accuracies(encoder, 1, pairs, features(pairs), options, Progress())
    expected = []
    for layer in range(4):
        answers = predict(encoder, 1, RETRIEVAL, pairs, features(pairs), "", {**options, "layer": layer})
        expected.append(np.mean([answer == pair.id for answer, pair in zip(answers, pairs, strict=True)]))
    assert found == expected
    assert len(set(found)) > 1  # otherwise the layers could not be distinguished


def test_choice_uses_the_mean_over_other_languages_only() -> None:
    accuracies = {"de": [0.0, 0.9, 0.1], "fr": [0.2, 0.1, 0.8], "ru": [0.6, 0.1, 0.5]}
    assert choose_layer(accuracies, "de") == 2  # by fr and ru; its own best layer, 1, is not used
    assert choose_layer(accuracies, "fr") == 1
    assert choose_layer(accuracies, "sw") == 2
    assert choose_layer({"de": [0.5, 0.5]}, "fr") == 0


def test_only_complete_pairs_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_selection, "MAX_LAYER_PAIRS", 2)
    examples = [
        MiningExample("1", "a", ""),
        MiningExample("2", "a", "b"),
        MiningExample("3", "", "b"),
        MiningExample("4", "c", "d"),
        MiningExample("5", "e", "f"),
    ]
    assert select_pairs(examples) == [PairExample("2", "a", "b"), PairExample("4", "c", "d")]


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(UserError, match="no pair of translations"):
        layer_accuracies(tiny.encoder("xlm-roberta"), 1, [], features([]), {}, Progress())


def test_stops_between_batches() -> None:
    pairs = dev_pairs(4)
    with pytest.raises(Interrupted):
        layer_accuracies(tiny.encoder("xlm-roberta"), 1, pairs, features(pairs), {}, Progress(should_stop=lambda: True))
