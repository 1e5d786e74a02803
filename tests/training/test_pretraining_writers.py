"""Pretraining of generative models: next tokens for decoders, span corruption for encoder-decoder models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from xlift.backbones import family_in
from xlift.model_families import Family, traits_of
from xlift.models import backbone
from xlift.recipes import Architecture, Masking, Recipe, TokenizerRecipe
from xlift.studies.study import PretrainedModel
from xlift.studies.study_file import read_study
from xlift.tasks import catalog, formats
from xlift.training.objectives import MEAN_SPAN_LENGTH, corrupt_spans, make_denoising_pair, make_objective
from xlift.training.pretraining import (
    NUM_SENTINELS,
    create_model,
    pretrain,
    tokenizer_texts,
    train_tokenizer,
)

WRITERS = ("qwen3", "llama", "mt5")
END = 1
MARKS = np.arange(900, 900 + NUM_SENTINELS)


def sizes(family: Any) -> Architecture:
    return Architecture(family=family, layers=2, hidden_size=32, intermediate_size=64, heads=4, max_positions=64)


def documents(name: str = "isle-parallel", count: int = 150) -> list[Any]:
    task = catalog.get(name)
    return list(task.source.read(task, "qta", "train", None, size=count, seed=0))


def tokenizer_for(family: Family) -> Any:
    return train_tokenizer(tokenizer_texts([documents()], 150), TokenizerRecipe(vocabulary=500, documents=150), family)


TOKENIZERS: dict[Family, Any] = {}


def tokenizer_of(family: str) -> Any:
    family_made = traits_of(family).family
    if family_made not in TOKENIZERS:
        TOKENIZERS[family_made] = tokenizer_for(family_made)
    return TOKENIZERS[family_made]


def rows_of(family: str, count: int = 150) -> list[np.ndarray]:
    text = formats.get("text")
    features = text.features(documents(count=count), tokenizer_of(family), (), max_length=60, train=True)
    return [np.array(ids, dtype=np.int32) for ids in features.input_ids]


# -- tokenizers --------------------------------------------------------------------------------------------------------


def test_decoder_rows_have_a_start_token_and_no_end_token() -> None:
    tokenizer = tokenizer_of("qwen3")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"])
    assert [token for token in tokens if token in ("<s>", "</s>")] == ["<s>", "</s>"]
    assert (tokens[0], tokens[-1].endswith("b")) == ("<s>", True)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    assert tokenizer.mask_token is None


def test_seq2seq_tokenizer_has_the_layout_of_t5(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("mt5")
    ids = tokenizer("a", "b")["input_ids"]
    assert (ids.count(END), ids[-1]) == (2, END)
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>", "<extra_id_0>"]) == [0, END, 2, 3]
    marked = tokenizer("<extra_id_0> x <extra_id_31>")["input_ids"]
    assert (marked[0], marked[-2]) == (3, 34)  # one token each
    tokenizer.save_pretrained(tmp_path)
    from transformers import AutoTokenizer

    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("a <extra_id_3>")["input_ids"] == tokenizer("a <extra_id_3>")["input_ids"]


# -- cut spans ---------------------------------------------------------------------------------------------------------


def put_back(read: np.ndarray, written: np.ndarray) -> list[int]:
    """Rebuild the document from source and target."""
    spans: dict[int, list[int]] = {}
    for token in written[:-1].tolist():
        if token in MARKS:
            spans[last := token] = []
        else:
            spans[last].append(token)
    result: list[int] = []
    for token in read[:-1].tolist():
        result += spans.pop(token) if token in MARKS else [token]
    assert not spans
    return result


@given(st.integers(2, 300), st.floats(0.05, 0.6), st.integers(0, 2**32))
def test_source_and_target_together_give_the_document(length: int, share: float, seed: int) -> None:
    row = np.append(np.random.default_rng(seed).integers(10, 800, length), END)
    read, written = corrupt_spans(row, END, MARKS, share, np.random.default_rng(seed))
    assert put_back(read, written) == row[:-1].tolist()
    assert read[-1] == written[-1] == END
    marks = [token for token in read.tolist() if token in MARKS]
    assert marks == MARKS[: len(marks)].tolist()
    assert written[0] == MARKS[0]
    noise = len(written) - 1 - len(marks)
    assert noise == min(max(round(length * share), 1), length - 1)
    assert len(marks) <= max(1, round(noise / MEAN_SPAN_LENGTH))  # fewer if the kept tokens are fewer


def test_spans_have_a_mean_length_of_three_and_are_spread_evenly() -> None:
    rng, row = np.random.default_rng(0), np.append(np.arange(10, 110), END)
    cut = np.zeros(100)
    for _ in range(2000):
        read, written = corrupt_spans(row, END, MARKS, 0.15, rng)
        assert len(written) - 1 == 15 + 5
        left = set(read.tolist())
        cut += [token not in left for token in range(10, 110)]
    # as in T5, the first token is always kept and the last is always cut out
    assert (cut[0], cut[-1]) == (0, 2000)
    assert cut[5:90].min() / 2000 > 0.05
    assert cut[5:90].max() / 2000 < 0.25


@pytest.mark.parametrize("row", [[END], [7, END]])
def test_a_row_of_one_token_has_only_the_end_as_target(row: list[int]) -> None:
    read, written = corrupt_spans(np.array(row), END, MARKS, 0.15, np.random.default_rng(0))
    assert (read.tolist(), written.tolist()) == (row, [900, END])


# -- the whole text ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_the_target_of_a_single_text_is_the_whole_text(length: int, seed: int) -> None:
    row = np.append(np.random.default_rng(seed).integers(10, 800, length), END)
    read, written = make_denoising_pair(row, END, MARKS, 0.25, np.random.default_rng(seed))
    assert read.tolist() == corrupt_spans(row, END, MARKS, 0.25, np.random.default_rng(seed))[0].tolist()
    assert written.tolist() == row.tolist()


def test_each_half_of_a_pair_is_the_source_equally_often() -> None:
    row, rng = np.array([10, 11, END, 20, 21, 22, END]), np.random.default_rng(0)
    found = [
        tuple(tuple(half.tolist()) for half in make_denoising_pair(row, END, MARKS, 0.25, rng)) for _ in range(200)
    ]
    halves = (10, 11, END), (20, 21, 22, END)
    assert set(found) == {halves, halves[::-1]}
    assert 70 < found.count(halves) < 130


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_loss_of_a_decoder_covers_next_tokens_and_the_end() -> None:
    tokenizer, rows = tokenizer_of("qwen3"), rows_of("qwen3", 6)
    model: Any = create_model(sizes("qwen3"), tokenizer, seed=1).eval()
    objective = make_objective(model, tokenizer, Masking(), seed=1, device=torch.device("cpu"))
    with torch.no_grad():
        loss, read = objective(rows, 0)
        total = torch.zeros(())
        for row in rows:  # one by one, without padding
            ids = torch.tensor([[*row.tolist(), tokenizer.eos_token_id]])
            logits = model(input_ids=ids).logits[0, :-1]
            total += functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    assert (int(loss.count), read) == (sum(map(len, rows)), sum(map(len, rows)) + len(rows))
    torch.testing.assert_close(loss.total, total, rtol=1e-5, atol=1e-3)


def test_the_loss_of_span_corruption_matches_transformers_without_padding() -> None:
    tokenizer, rows = tokenizer_of("mt5"), rows_of("mt5", 6)
    model: Any = create_model(sizes("mt5"), tokenizer, seed=1).eval()
    objective = make_objective(model, tokenizer, Masking(share=0.15), seed=1, device=torch.device("cpu"))
    marks = np.array(tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(NUM_SENTINELS)]))
    rng = np.random.default_rng([1, 6, 3])
    with torch.no_grad():
        loss, _ = objective(rows, 3)
        total, count = torch.zeros(()), 0
        for row in rows:
            read, written = (torch.from_numpy(each)[None].long() for each in corrupt_spans(row, END, marks, 0.15, rng))
            total += model(input_ids=read, labels=written).loss * written.numel()
            count += written.numel()
        again, other = objective(rows, 3)[0], objective(rows, 4)[0]
    assert int(loss.count) == count
    torch.testing.assert_close(loss.total, total, rtol=1e-5, atol=1e-3)
    assert torch.equal(loss.total, again.total)  # depends on seed and step only
    assert not torch.equal(loss.total, other.total)


@pytest.mark.parametrize("family", WRITERS)
def test_generative_models_learn_and_can_be_loaded(family: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(family)
    model: Any = create_model(sizes(family), tokenizer, seed=1)
    recipe = Recipe(lr=3e-3, batch_size=16, max_steps=30)
    trained = pretrain(model, tokenizer, rows_of(family), Masking(share=0.15), recipe, seed=1)
    assert trained.losses[-1] < trained.losses[0] - 0.5
    model.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, words = backbone.load(tmp_path)
    assert family_in(tmp_path) == loaded.family == traits_of(family).family
    assert words.get_vocab() == tokenizer.get_vocab()
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    own: Any = loaded.backbone
    assert own.lm_head.weight is own.get_input_embeddings().weight
    inputs = {name: torch.tensor([value]) for name, value in words("a b").items()}
    with torch.no_grad():
        written = own.generate(**inputs, max_new_tokens=5, do_sample=False)
    assert written.shape[1] > 1


def test_a_new_seq2seq_model_attends_to_neighbours() -> None:
    model: Any = create_model(sizes("mt5"), tokenizer_of("mt5"), seed=1)
    attention = model.encoder.block[0].layer[0].SelfAttention, model.decoder.block[0].layer[0].SelfAttention
    # (head, query, key) of nine tokens: the keys that the middle query prefers
    left, right = (each.compute_bias(9, 9)[0, :, 4] for each in attention)
    assert left.argmax(-1).tolist()[:3] == [3, 5, 3]
    assert right[:, :5].argmax(-1).tolist()[:3] == [3, 3, 3]  # the decoder attends to the left only
    assert left[0].sort().values[-1] - left[0].sort().values[-2] > left[2].sort().values[-1] - left[2].sort().values[-2]
    assert not left[3].any()  # the last head has no preference


@pytest.mark.parametrize("family", WRITERS)
def test_the_initial_loss_is_near_uniform(family: str) -> None:
    # mT5's initial std of 1 is for a separate output layer and would give large logits here
    tokenizer = tokenizer_of(family)
    model = create_model(sizes(family), tokenizer, seed=1).eval()
    objective = make_objective(model, tokenizer, Masking(share=0.15), seed=1, device=torch.device("cpu"))
    with torch.no_grad():
        loss, _ = objective(rows_of(family, 30), 0)
    assert loss.total.item() / int(loss.count) < 1.2 * np.log(len(tokenizer))


@pytest.mark.parametrize(("study", "family"), [("isles-decoder", "decoder"), ("isles-seq2seq", "seq2seq")])
def test_shipped_pretraining_studies_match_their_names(study: str, family: str) -> None:
    (family_made,) = read_study(study).study.models
    assert isinstance(family_made, PretrainedModel)
    assert (family_made.name, traits_of(family_made.pretrain.architecture.family).family) == (study, family)
    assert {each.task for each in family_made.pretrain.text} == {"isle-text", "isle-parallel"}
    assert family_made.pretrain.half_precision
    assert family_made.pretrain.writes == ("text" if family == "seq2seq" else "spans")
