"""Predictions do not depend on the batch, in every format; options of retrieval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.errors import UserError
from xlift.evaluation import batching as row_batches
from xlift.evaluation import embeddings
from xlift.evaluation.batching import iterate_batches
from xlift.evaluation.predict import PredictionRequest, compute_outputs, decode, predict
from xlift.models.heads import pool
from xlift.models.model import Model
from xlift.recipes import Recipe, Sampling
from xlift.tasks import catalog, formats
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.formats.retrieval import official_layer
from xlift.tasks.formats.span_qa import SpanExample
from xlift.training import stage
from xlift.training.progress import Interrupted, Progress

HEADED = ("isle-nli", "isle-pos", "isle-qa", "isle-qa-unanswerable", "isle-commonsense")


def examples(name: str, count: int, language: str = "qta") -> list[Any]:
    task = catalog.get(name)
    return list(task.source.read(task, language, "test", None, size=count, seed=0))


def features(name: str, chosen: list[Any], family: str, max_length: int = 48) -> Features:
    return stage.make_features(catalog.get(name), chosen, tiny.tokenizer_of(family), max_length=max_length, train=False)


def trained(name: str, family: str) -> Model:
    """A model trained for a few steps, so that labels of neighbouring rows differ."""
    encoder, task = tiny.encoder(family), catalog.get(name)
    stage.add_heads(encoder, [task], seed=1)
    rows = stage.make_features(task, examples(name, 16), tiny.tokenizer_of(family), max_length=48, train=True)
    recipe = Recipe(lr=5e-3, batch_size=8, max_steps=12)
    stage.fine_tune(encoder, 1, [stage.TrainDataset(task, rows)], recipe, Sampling(), seed=1)
    return encoder


def outputs(monkeypatch: pytest.MonkeyPatch, encoder: Model, name: str, chosen: list[Any], family: str) -> list[Any]:
    """The input of the format's `decode`, row by row."""
    seen: list[Any] = []
    kind = type(formats.get(catalog.get(name).format))
    decode = kind.decode

    def watch(self: Any, examples: Any, features: Any, outputs: list[Any], *rest: Any, **options: Any) -> Any:
        seen.extend(outputs)
        return decode(self, examples, features, outputs, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "decode", watch)
        predict(encoder, 1, catalog.get(name), chosen, features(name, chosen, family), name, {})
    return seen


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("name", [*HEADED, "isle-retrieval"])
def test_predictions_do_not_depend_on_the_batch(family: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    language = "qka" if name == "isle-retrieval" else "qta"
    encoder = tiny.encoder(family) if name == "isle-retrieval" else trained(name, family)
    chosen = examples(name, 12, language)
    monkeypatch.setattr(row_batches, "TOKENS_PER_BATCH", 200)
    few = outputs(monkeypatch, encoder, name, chosen, family)
    predicted = predict(encoder, 1, catalog.get(name), chosen, features(name, chosen, family), name, {})
    monkeypatch.setattr(row_batches, "TOKENS_PER_BATCH", 1)  # one row per batch, without padding
    single = outputs(monkeypatch, encoder, name, chosen, family)
    alone = predict(encoder, 1, catalog.get(name), chosen, features(name, chosen, family), name, {})
    assert len(few) == len(single) >= 12
    for one, other in zip(few, single, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert predicted == alone
    if name != "isle-retrieval":  # nor on the other examples (retrieval searches among them)
        apart = [
            p
            for e in chosen
            for p in predict(encoder, 1, catalog.get(name), [e], features(name, [e], family), name, {})
        ]
        assert apart == predicted


@pytest.mark.parametrize("name", HEADED)
def test_predictions_have_the_shape_of_references(name: str) -> None:
    chosen = examples(name, 6)
    encoder = tiny.encoder("xlm-roberta")
    stage.add_heads(encoder, [catalog.get(name)], seed=1)
    predicted = predict(encoder, 1, catalog.get(name), chosen, features(name, chosen, "xlm-roberta"), name, {})
    gold = [formats.get(catalog.get(name).format).gold(example) for example in chosen]
    assert len(predicted) == len(chosen)
    if name == "isle-pos":
        assert [len(tags) for tags in predicted] == [len(tags) for tags in gold]
    if name.startswith("isle-qa"):
        assert all(answer in example.context for answer, example in zip(predicted, chosen, strict=True))


def test_dropout_is_off() -> None:
    chosen = examples("isle-nli", 6)
    encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=0.5).train()
    stage.add_heads(encoder, [catalog.get("isle-nli")], seed=1)
    rows = features("isle-nli", chosen, "xlm-roberta")
    first, again = (predict(encoder, 1, catalog.get("isle-nli"), chosen, rows, "isle-nli", {}) for _ in range(2))
    assert first == again
    assert not encoder.training


def test_best_window_of_a_long_context_gives_the_answer() -> None:
    # The head is set by hand: a token's logit comes from its embedding, and one word far to the right has the highest.
    tokenizer, encoder = tiny.tokenizer(), tiny.encoder("xlm-roberta")
    context = "the old man reads a long book in the garden " * 6 + "and Paris lies in France today"
    example = SpanExample("1", context, "where", ("France",), (context.index("France"),))
    rows = stage.make_features(catalog.get("isle-qa"), [example], tokenizer, max_length=32, train=False)
    assert len(rows) > 3
    wanted = tokenizer(" France", add_special_tokens=False)["input_ids"][0]

    def oracle(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden = torch.zeros(*inputs["input_ids"].shape, 32)
        hidden[..., 0] = (inputs["input_ids"] == wanted).float() * 9
        return hidden

    stage.add_heads(encoder, [catalog.get("isle-qa")], seed=1)
    weight = encoder.heads["isle-qa"].state_dict()["qa_outputs.weight"]
    weight.zero_()
    weight[:, 0] = 1.0
    encoder.last_hidden_state = oracle  # type: ignore[method-assign]
    (answer,) = predict(encoder, 1, catalog.get("isle-qa"), [example], rows, "isle-qa", {})
    assert "France".startswith(answer)
    assert answer


# -- retrieval ---------------------------------------------------------------------------------------------------------


def retrieved(options: dict[str, Any], encoder: Model | None = None) -> list[str]:
    chosen = examples("isle-retrieval", 10, "qka")
    rows = features("isle-retrieval", chosen, "xlm-roberta")
    return predict(encoder or tiny.encoder("xlm-roberta"), 1, catalog.get("isle-retrieval"), chosen, rows, "", options)


@pytest.mark.parametrize(("layers", "official"), [(2, 2), (4, 4), (12, 8), (24, 14)])
def test_official_layer_is_that_of_xtreme(layers: int, official: int) -> None:
    assert official_layer(layers) == official


@pytest.mark.parametrize(("requested", "layer"), [("official", 5), ("last", 6), (0, 0), (3, 3), (None, 5)])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_requested_layer_and_pooling_are_used(
    requested: Any, layer: int, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tiny.encoder("xlm-roberta", num_hidden_layers=6)  # the official layer is half of them and two more
    pooled: list[torch.Tensor] = []
    monkeypatch.setattr(
        embeddings, "pool", lambda hidden, mask, mode: pooled.append(hidden) or pool(hidden, mask, mode)
    )
    options = {"pooling": pooling} | ({} if requested is None else {"layer": requested})
    retrieved(options, encoder)
    rows = features("isle-retrieval", examples("isle-retrieval", 10, "qka"), "xlm-roberta")
    ((_, inputs),) = iterate_batches(encoder, rows, 1, 8192, Progress())
    with torch.inference_mode():
        states = encoder.hidden_states(inputs)
    assert len(pooled) == 1
    assert torch.equal(pooled[0], states[layer])


@pytest.mark.parametrize("layer", [7, -1, "first", True, 1.5])
def test_missing_layer_is_an_error(layer: Any) -> None:
    with pytest.raises(
        UserError, match="no layer .* in a model of 2 layers.*\n.*'official', 'last' or a number from 0 to 2"
    ):
        retrieved({"layer": layer})


def test_unknown_pooling_is_an_error() -> None:
    with pytest.raises(UserError, match="unknown pooling 'max'.*\n.*'mean', 'cls' or 'last'"):
        retrieved({"pooling": "max"})


def test_centering_is_passed_to_decode() -> None:
    seen: list[Any] = []
    kind = type(formats.get("retrieval"))
    decode = kind.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "decode", lambda self, *a, **more: seen.append(more) or decode(self, *a, **more))
        retrieved({"center": True})
        retrieved({})
    assert seen == [{"center": True}, {"center": False}]


# -- several requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("name", HEADED)
def test_languages_in_one_pass_get_the_predictions_of_separate_passes(
    family: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, encoder = catalog.get(name), trained(name, family)
    requests = []
    for language, count in (("qta", 7), ("qka", 0), ("qtu", 12)):
        chosen = examples(name, count, language)[:count]
        requests.append(PredictionRequest(chosen, features(name, chosen, family)))
    alone = [predict(encoder, 1, task, each.examples, each.features, name, {}) for each in requests]
    seen = widths(monkeypatch)
    together = compute_outputs(encoder, 1, task, requests, name, budget=100)
    assert [decode(task, each, outputs) for each, outputs in zip(requests, together, strict=True)] == alone
    assert seen == sorted(seen, reverse=True)  # sorted by length over all languages
    assert len(seen) > 2


def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records the longest row of every forward pass."""
    seen: list[int] = []
    run = Model._run
    monkeypatch.setattr(
        Model,
        "_run",
        lambda self, inputs, **more: seen.append(inputs["input_ids"].shape[1]) or run(self, inputs, **more),
    )
    return seen


def test_layers_and_poolings_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    task, encoder = catalog.get("isle-retrieval"), tiny.encoder("xlm-roberta", num_hidden_layers=4)
    two = [examples("isle-retrieval", 10, language) for language in ("qka", "qtu")]
    rows = [features("isle-retrieval", chosen, "xlm-roberta") for chosen in two]
    ways: list[tuple[int, dict[str, Any]]] = [
        (0, {"layer": 1}), (0, {"layer": 3}), (1, {"layer": 2, "center": True}), (0, {"layer": 1, "pooling": "cls"}),
        (0, {"layer": 1, "center": True}),
    ]  # fmt: skip
    requests = [PredictionRequest(two[n], rows[n], options) for n, options in ways]
    alone = [compute_outputs(encoder, 1, task, [each], "")[0] for each in requests]
    seen = widths(monkeypatch)
    together = compute_outputs(encoder, 1, task, requests, "")
    assert len(seen) == 1
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert [decode(task, each, found) for each, found in zip(requests, together, strict=True)] == [
        decode(task, each, found) for each, found in zip(requests, alone, strict=True)
    ]


def test_layers_requested_together_are_bit_equal_to_separate_ones() -> None:
    # mining keeps scores: its chosen and its official layer must equal separate passes
    task, encoder = catalog.get("isle-retrieval"), tiny.encoder("xlm-roberta", num_hidden_layers=4)
    chosen = examples("isle-retrieval", 10, "qka")
    rows = features("isle-retrieval", chosen, "xlm-roberta")
    requests = [PredictionRequest(chosen, rows, {"layer": layer}) for layer in (1, 3)]
    together = compute_outputs(encoder, 1, task, requests, "")
    for each, found in zip(requests, together, strict=True):
        assert np.array_equal(compute_outputs(encoder, 1, task, [each], "")[0], found)


# -- batches, progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["xlm-roberta", "modernbert"])
def test_batches_hold_every_row_once_within_the_budget(family: str) -> None:
    lengths = np.random.default_rng(0).integers(2, 60, 200)
    rows = Features(Ragged.from_rows([7] * n for n in lengths), example_index=np.arange(200), unit=np.arange(200))
    made = list(iterate_batches(tiny.encoder(family), rows, 1, 300, Progress()))
    assert sorted(np.concatenate([places for places, _ in made])) == list(range(200))
    for places, inputs in made:
        assert inputs["attention_mask"].sum(dim=1).tolist() == lengths[places].tolist()
    assert all(lengths[places].sum() <= 300 for places, _ in made)
    assert len(made) <= lengths.sum() / 240  # full


def test_row_above_the_budget_is_a_batch_by_itself() -> None:
    rows = Features(Ragged.from_rows([[0] * 40, [0] * 40]), example_index=np.arange(2), unit=np.arange(2))
    assert len(list(iterate_batches(tiny.encoder("bert"), rows, 1, 10, Progress()))) == 2


def test_no_examples_give_no_predictions() -> None:
    empty = features("isle-nli", [], "xlm-roberta")
    encoder = tiny.encoder("xlm-roberta")
    stage.add_heads(encoder, [catalog.get("isle-nli")], seed=1)
    assert predict(encoder, 1, catalog.get("isle-nli"), [], empty, "isle-nli", {}) == []


def test_reports_progress_and_stops_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_batches, "TOKENS_PER_BATCH", 100)
    chosen = examples("isle-nli", 8)
    encoder, rows = tiny.encoder("xlm-roberta"), features("isle-nli", chosen, "xlm-roberta")
    stage.add_heads(encoder, [catalog.get("isle-nli")], seed=1)
    reports: list[tuple[int, int]] = []
    progress = Progress(lambda done, total: reports.append((done, total)), lambda: len(reports) >= 2)
    with pytest.raises(Interrupted):
        predict(encoder, 1, catalog.get("isle-nli"), chosen, rows, "isle-nli", {}, progress=progress)
    assert len(reports) == 2
    assert reports[-1][1] == 8


@pytest.mark.parametrize("name", [*HEADED, "isle-retrieval"])
def test_bf16_equals_fp32_up_to_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    language = "qka" if name == "isle-retrieval" else "qta"
    family = "xlm-roberta"
    encoder = tiny.encoder(family) if name == "isle-retrieval" else trained(name, family)
    chosen = examples(name, 12, language)
    request = PredictionRequest(chosen, features(name, chosen, family))
    task = catalog.get(name)
    (full,), (half,) = (compute_outputs(encoder, 1, task, [request], name, precision=p) for p in ("fp32", "bf16"))
    if formats.get(task.format).output_kind in ("sequence", "token"):
        kept = np.mean([np.mean(one == other) for one, other in zip(full, half, strict=True)])
        assert kept > 0.9
    else:
        assert all(np.asarray(row).dtype == np.float32 for row in half)
        for one, other in zip(full, half, strict=True):
            np.testing.assert_allclose(one, other, atol=0.02 * np.abs(one).max() + 0.02)
        assert any(
            (one != other).any() for one, other in zip(map(np.asarray, full), map(np.asarray, half), strict=True)
        )


@pytest.mark.parametrize("name", ["isle-nli", "isle-pos"])
def test_logits_that_are_no_numbers_in_bf16_are_computed_in_fp32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, task, chosen = trained(name, "xlm-roberta"), catalog.get(name), examples(name, 6)
    request = PredictionRequest(chosen, features(name, chosen, "xlm-roberta"))
    (expected,) = compute_outputs(encoder, 1, task, [request], name)
    states = Model.last_hidden_state

    def overflows(self: Model, inputs: Any) -> torch.Tensor:
        found = states(self, inputs)
        return found * math.nan if torch.is_autocast_enabled("cpu") else found

    monkeypatch.setattr(Model, "last_hidden_state", overflows)
    (found,) = compute_outputs(encoder, 1, task, [request], name, precision="bf16")
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    monkeypatch.setattr(Model, "last_hidden_state", lambda self, inputs: states(self, inputs) * math.nan)
    with pytest.raises(UserError, match="the model's logits are not numbers"):
        compute_outputs(encoder, 1, task, [request], name, precision="bf16")


def test_small_models_predict_in_fp32_on_every_device() -> None:
    encoder, chosen = trained("isle-commonsense", "xlm-roberta"), examples("isle-commonsense", 6)
    request = PredictionRequest(chosen, features("isle-commonsense", chosen, "xlm-roberta"))
    task = catalog.get("isle-commonsense")
    (full,), (auto,) = (
        compute_outputs(encoder, 1, task, [request], "isle-commonsense", precision=p) for p in ("fp32", "auto")
    )
    assert all(np.array_equal(one, other) for one, other in zip(full, auto, strict=True))
