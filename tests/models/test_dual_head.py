"""The dual head: unit vectors, in-batch negatives, excluded duplicates, the trained scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.errors import UserError
from xlift.models.backbone import load, save
from xlift.models.heads import LOGIT_SCALE, DualHead, make_head
from xlift.models.outputs import POOLINGS, HeadSpec

TEXTS = ["the old man", "Paris lies in the north of France", "red"]


def vectors(family: str, pooling: str) -> tuple[torch.Tensor, tiny.Model, dict[str, torch.Tensor]]:
    encoder = tiny.encoder(family)
    encoder.add_head("task", HeadSpec("dual", pooling=pooling), seed=1)
    inputs = tiny.batch(tiny.tokenizer_of(family)(TEXTS)["input_ids"])
    with torch.no_grad():
        return encoder(inputs, "task"), encoder, inputs


def reference(queries: np.ndarray, passages: np.ndarray, query_text: list[int], passage_text: list[int], scale: float):
    """Mean over queries of -log softmax at the query's passage, in plain Python."""
    losses = []
    for i in range(len(queries)):
        others = [j for j in range(len(queries))
                  if j == i or (passage_text[j] != passage_text[i] and query_text[j] != query_text[i])]  # fmt: skip
        weights = {j: np.exp(scale * float(queries[i] @ passages[j])) for j in others}
        losses.append(-np.log(weights[i] / sum(weights.values())))
    return sum(losses)


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_have_unit_length_and_ignore_padding(family: str, pooling: str) -> None:
    found, encoder, inputs = vectors(family, pooling)
    assert found.shape == (3, 32)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    with torch.no_grad():
        alone = encoder(
            {name: tensor[2:, : int(inputs["attention_mask"][2].sum())] for name, tensor in inputs.items()}, "task"
        )
    torch.testing.assert_close(found[2:], alone, atol=1e-5, rtol=0)


def test_poolings_match_their_names() -> None:
    _, encoder, inputs = vectors("xlm-roberta", "pooler")
    with torch.no_grad():
        states = encoder.last_hidden_state(inputs)
        mask = inputs["attention_mask"].unsqueeze(-1)
        dense = encoder.heads["task"].pooler["dense"]
        expected = {
            "cls": states[:, 0],
            "mean": (states * mask).sum(1) / mask.sum(1),
            "pooler": torch.tanh(states[:, 0] @ dense.weight.T + dense.bias),
        }
    for pooling, raw in expected.items():
        torch.testing.assert_close(vectors("xlm-roberta", pooling)[0], raw / raw.norm(dim=1, keepdim=True))


def test_unknown_pooling_is_an_error() -> None:
    with pytest.raises(UserError, match="unknown pooling 'max'.*\n.*cls, mean, last, pooler"):
        HeadSpec("dual", pooling="max")


@pytest.mark.parametrize(
    ("query_text", "passage_text"),
    [
        ([1, 2, 3, 4], [5, 6, 7, 8]),
        ([1, 2, 3, 4], [5, 6, 5, 8]),  # two questions about one sentence
        ([1, 2, 1, 4], [5, 6, 7, 8]),  # one question with two answers
        ([1, 1, 1, 1], [5, 5, 5, 5]),  # no negatives at all
    ],
)
def test_loss_is_a_softmax_over_the_passages_of_the_batch(query_text: list[int], passage_text: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(8, 6, generator=generator), dim=1)
    head = make_head(HeadSpec("dual"), tiny.config("bert"), seed=0)
    assert isinstance(head, DualHead)
    with torch.no_grad():
        head.logit_scale.fill_(7.0)
    text = [value for pair in zip(query_text, passage_text, strict=True) for value in pair]
    loss = head.loss(rows, {"side": torch.tensor([0, 1] * 4), "text": torch.tensor(text)})
    expected = reference(rows[::2].numpy(), rows[1::2].numpy(), query_text, passage_text, 7.0)
    assert loss.count.item() == 4
    assert loss.total.item() == pytest.approx(expected, abs=1e-5)


def test_scale_starts_at_100_and_is_trained() -> None:
    head = make_head(HeadSpec("dual"), tiny.config("bert"), seed=0)
    assert isinstance(head, DualHead)
    assert head.logit_scale.item() == LOGIT_SCALE == 100.0
    rows = torch.nn.functional.normalize(torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    head.loss(rows, {"side": torch.tensor([0, 1] * 4), "text": torch.arange(8)}).total.backward()
    assert head.logit_scale.grad is not None
    assert head.logit_scale.grad.abs().item() > 0


def test_pretrained_pooler_initializes_its_pooler() -> None:
    pooler = {"dense.weight": torch.eye(32), "dense.bias": torch.ones(32)}
    head = make_head(HeadSpec("dual", pooling="pooler"), tiny.config("bert"), seed=0, pooler=pooler)
    assert torch.equal(head.state_dict()["pooler.dense.weight"], torch.eye(32))


def test_saved_dual_encoder_loads_unchanged(tmp_path: Path) -> None:
    found, encoder, inputs = vectors("xlm-roberta", "mean")
    save(encoder, tiny.tokenizer_of("xlm-roberta"), tmp_path)
    again, _ = load(tmp_path)
    assert again.head("task").spec == HeadSpec("dual", pooling="mean")
    with torch.no_grad():
        assert torch.equal(again(inputs, "task"), found)


def test_transformers_has_no_class_for_it() -> None:
    _, encoder, _ = vectors("bert", "cls")
    with pytest.raises(UserError, match=r"no class with the output of the head 'task' \(dual\)"):
        encoder.stock_state_dict("task")
