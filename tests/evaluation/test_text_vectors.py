"""Vectors of plain texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.evaluation.text_vectors import TextEncoder


@torch.inference_mode()
@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "qwen3", "mt5"])
def test_vectors_are_means_of_the_last_states(tmp_path: Path, family: str) -> None:
    encode = TextEncoder(tiny.model_folder(tmp_path / "model", family))
    texts = ["the old man", "the old man", "the " * 1_000, "a"]
    vectors = encode(texts)
    assert vectors.dtype == np.float32
    assert (vectors[0] == vectors[1]).all()
    for text, vector in zip(texts, vectors):
        inputs = encode.tokenizer(text, truncation=True, max_length=encode.max_length, return_tensors="pt")
        states = encode.model.last_hidden_state({key: inputs[key] for key in ("input_ids", "attention_mask")})[0]
        assert vector == pytest.approx(states.mean(0).numpy(), abs=1e-5)
    assert (encode(["another", texts[0]])[1] == vectors[0]).all()
