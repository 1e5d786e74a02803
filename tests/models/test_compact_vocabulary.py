"""Training with a compact vocabulary equals training with all embeddings."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.support import tiny
from transformers import XLMRobertaForMaskedLM

from xlift.models.compact_vocabulary import CompactVocabulary, find_used_tokens, update_embedding_rows
from xlift.models.model import Model
from xlift.models.text_mode import TEXT
from xlift.recipes import Engine, PromptSettings, Recipe, Sampling
from xlift.tasks import catalog, formats
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import make_prompts
from xlift.tasks.prompts.tokenization import text_features
from xlift.training.checkpoint import CHECKPOINT_FILE
from xlift.training.loop import TrainOutput, create_optimizer
from xlift.training.progress import Interrupted, Progress
from xlift.training.stage import TrainDataset, add_heads, fine_tune, make_features

RECIPE = Recipe(lr=1e-3, batch_size=4, max_steps=200, warmup_steps=0.1, weight_decay=0.1, max_grad_norm=0.1)


def part(name: str, tokenizer: Any, count: int) -> TrainDataset:
    task = catalog.get(name)
    examples = list(task.source.read(task, "qta", "train", None, size=count, seed=1))
    return TrainDataset(task, make_features(task, examples, tokenizer, max_length=24, train=True))


def rows(*ids: list[int]) -> Features:
    return Features(Ragged.from_rows(ids), np.arange(len(ids)), np.arange(len(ids)))


def tokens_of(encoder: Model, parts: list[TrainDataset], specials: list[int]) -> np.ndarray:
    ids = find_used_tokens(
        encoder.backbone, [each.features for each in parts], specials, uses_output_layer=False, min_saved=0
    )
    assert ids is not None
    return ids


def one_layer(family: str) -> dict[str, Any]:
    if family in ("nllb", "mbart"):
        return {"encoder_layers": 1, "decoder_layers": 1}
    return {"num_layers" if family == "mt5" else "num_hidden_layers": 1}


def near(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Compare each tensor relative to its norm."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.linalg.vector_norm(found[name] - tensor) <= 1e-6 * torch.linalg.vector_norm(tensor), name


def train(
    family: str, recipe: Recipe, *, compact: bool, folder: Path | None = None, stop_after: int = 0, dropout: float = 0.0
) -> tuple[dict[str, torch.Tensor], TrainOutput, np.ndarray, str]:
    """State dict, training output, ids in use, name of the embeddings."""
    options = one_layer(family)
    if dropout:
        options |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    encoder, tokenizer = tiny.encoder(family, **options), tiny.tokenizer_of(family)
    parts = [part("isle-nli", tokenizer, 32), part("isle-pos", tokenizer, 16)]
    add_heads(encoder, [each.task for each in parts], seed=1)
    ids = tokens_of(encoder, parts, tokenizer.all_special_ids)
    whole, small = encoder.embeddings.detach().clone(), CompactVocabulary(encoder.backbone, ids) if compact else None
    done: list[int] = []
    trained = fine_tune(
        encoder, tokenizer.pad_token_id, parts, recipe, Sampling(), seed=1, folder=folder,
        engine=Engine(token_budget=64),  # every step has several micro-batches
        progress=Progress(lambda *_: done.append(1), lambda: len(done) == stop_after),
    )  # fmt: skip
    if small:
        small.restore(whole, trained.total_weight_decay)
    return {name: t.detach().clone() for name, t in encoder.state_dict().items()}, trained, ids, encoder.embeddings_name


@pytest.mark.parametrize("decay", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
@pytest.mark.parametrize("family", [*tiny.ENCODERS, "qwen3", "gemma3_text", *tiny.SEQ2SEQ])
def test_final_weights_equal_those_of_training_with_all_embeddings(family: str, decay: float) -> None:
    recipe = RECIPE.model_copy(
        update={"weight_decay": decay, "steps": 200 if decay and family in tiny.ENCODERS else 50}
    )
    expected, whole, ids, table = train(family, recipe, compact=False)
    found, trained, _, _ = train(family, recipe, compact=True)
    assert min(whole.grad_norms) > recipe.max_grad_norm  # gradients were clipped
    assert trained.losses == pytest.approx(whole.losses, rel=1e-6)
    near(found, expected)
    start = tiny.encoder(family, **one_layer(family)).embeddings.detach()
    rest = np.setdiff1d(np.arange(len(start)), ids)
    assert len(rest) > 0.2 * len(start)
    before, after = expected[f"backbone.{table}"][rest], found[f"backbone.{table}"][rest]
    assert torch.linalg.vector_norm(after - before) <= 1e-6 * torch.linalg.vector_norm(before)
    assert torch.equal(after, start[rest]) == (decay == 0)


def test_killed_run_resumes_bit_equal_from_a_checkpoint_of_the_rows_in_use(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"steps": 30})
    expected, _, ids, table = train("xlm-roberta", recipe, compact=True, dropout=0.1)
    with pytest.raises(Interrupted):
        train("xlm-roberta", recipe, compact=True, folder=tmp_path, stop_after=11, dropout=0.1)
    with safe_open(tmp_path / CHECKPOINT_FILE, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no dict)
    assert shapes[f"model.backbone.{table}"] == (len(ids), 32)
    assert not any(500 in shape for shape in shapes.values())
    found, _, _, _ = train("xlm-roberta", recipe, compact=True, folder=tmp_path, dropout=0.1)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("family", [*tiny.ENCODERS, "mt5"])
@pytest.mark.parametrize("packed", [True, False])
def test_hidden_states_equal_those_with_all_embeddings(
    family: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without packing, padding ids are inputs too, and XLM-R derives positions from ids
    monkeypatch.setattr(Model, "supports_packing", packed)
    encoder, inputs = tiny.encoder(family, vocab_size=500), tiny.batch([[0, 320, 77, 9, 2], [0, 320, 2]])
    with torch.no_grad():
        expected = encoder.last_hidden_state(inputs)
        CompactVocabulary(encoder.backbone, np.array([0, 1, 2, 9, 77, 320]))
        assert torch.equal(encoder.last_hidden_state(inputs), expected)


def test_id_outside_the_vocabulary_is_an_error() -> None:
    encoder = tiny.encoder("xlm-roberta")
    CompactVocabulary(encoder.backbone, np.array([0, 1, 2, 320]))
    with pytest.raises(RuntimeError, match="token 319 is not among the 4"):
        encoder.last_hidden_state(tiny.batch([[0, 319, 2]]))


def test_padding_gets_no_gradient() -> None:
    encoder = tiny.encoder("xlm-roberta")
    compact = CompactVocabulary(encoder.backbone, np.array([0, 1, 2, 320]))
    compact.embeddings(torch.tensor([[0, 1, 320, 1]])).sum().backward()
    assert compact.embeddings.weight.grad is not None
    assert compact.embeddings.weight.grad[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_restore_gives_the_original_model() -> None:
    encoder, inputs = tiny.encoder("xlm-roberta"), tiny.batch([[0, 319, 2]])
    with torch.no_grad():
        expected, whole = encoder.last_hidden_state(inputs), encoder.embeddings.detach().clone()
        names = list(encoder.state_dict())
        CompactVocabulary(encoder.backbone, np.array([0, 1, 2, 320])).restore(whole, 1.0)
        assert torch.equal(encoder.last_hidden_state(inputs), expected)
    assert list(encoder.state_dict()) == names
    assert (encoder.embeddings.shape, encoder.embeddings.requires_grad) == ((500, 32), True)


class TestFindUsedTokens:
    model = tiny.backbone("xlm-roberta", vocab_size=500)

    def test_all_tokens_that_occur_and_special_tokens(self) -> None:
        ids = find_used_tokens(self.model, [rows([0, 7, 2]), rows([9], [499])], [0, 2, 4], min_saved=0)
        assert ids is not None
        assert ids.tolist() == [0, 1, 2, 4, 7, 9, 499]  # 1 is the padding token

    def test_a_special_token_without_a_row_does_not_count(self) -> None:
        ids = find_used_tokens(self.model, [rows([7])], [0, 500], min_saved=0)  # Gemma 3's image token
        assert ids is not None
        assert 0 in ids
        assert max(ids) < 500

    @pytest.mark.parametrize(("used", "small"), [(400, True), (401, False)])
    def test_none_where_most_rows_are_in_use(self, used: int, small: bool) -> None:
        assert (find_used_tokens(self.model, [rows(list(range(used)))], [], min_saved=0) is not None) == small

    @pytest.mark.parametrize(("spared", "small"), [(499 * 32, True), (499 * 32 + 1, False), (2**22, False)])
    def test_none_where_the_embeddings_are_small(
        self, spared: int, small: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (find_used_tokens(self.model, [rows([1])], [], min_saved=spared) is not None) == small
        monkeypatch.setattr("xlift.memory.MIN_SAVED_NUMBERS", spared)
        assert (find_used_tokens(self.model, [rows([1])], []) is not None) == small

    def test_none_where_the_embeddings_predict_tokens(self) -> None:
        tied = XLMRobertaForMaskedLM(tiny.config("xlm-roberta"))
        untied = XLMRobertaForMaskedLM(tiny.config("xlm-roberta", tie_word_embeddings=False))
        assert find_used_tokens(tied, [rows([1])], [], min_saved=0) is None
        assert find_used_tokens(untied, [rows([1])], [], min_saved=0) is not None


def test_updating_blocks_equals_updating_the_whole() -> None:
    torch.manual_seed(0)
    table, ids, trained = torch.randn(50, 4), torch.tensor([0, 9, 10, 49]), torch.randn(4, 4)
    whole = table.clone()
    update_embedding_rows(whole, 0, 0.9, ids, trained)
    blocks = []
    for start in range(0, 50, 10):
        block = table[start : start + 10].clone()
        update_embedding_rows(block, start, 0.9, ids, trained)
        blocks.append(block)
    assert torch.equal(torch.cat(blocks), whole)
    assert torch.equal(whole[ids], trained)
    assert torch.equal(whole[1], table[1] * torch.tensor(0.9))


def test_optimizer_and_gradients_hold_only_the_rows_in_use() -> None:
    tokenizer, sizes = tiny.tokenizer(), []
    for compact in (False, True):
        encoder = tiny.encoder("xlm-roberta", vocab_size=50_000, hidden_size=16, num_attention_heads=2)
        parts = [part("isle-nli", tokenizer, 8)]
        if compact:
            CompactVocabulary(encoder.backbone, tokens_of(encoder, parts, tokenizer.all_special_ids))
        optimizer = create_optimizer(encoder, RECIPE)
        for parameter in encoder.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        moments = [t for state in optimizer.state.values() for t in state.values()]
        sizes.append(sum(t.nbytes for t in (*encoder.parameters(), *moments)))
    assert sizes[0] > 3 * 50_000 * 16 * 4
    assert sizes[1] < 0.05 * sizes[0]


# -- generative models -------------------------------------------------------------------------------------------------


def in_words(family: str, count: int = 12) -> tuple[Features, Features]:
    """Training rows, and rows with candidate answers."""
    task, tokenizer = catalog.get("isle-nli"), tiny.tokenizer_of(family)
    examples = list(task.source.read(task, "qta", "train", None, size=count, seed=1))
    template = find_template(task, PromptSettings(), "qta")
    learnt, asked = (
        text_features(
            make_prompts(examples, formats.get(task.format), task.labels, template),
            tokenizer,
            tiny.encoder(family).family,
            max_length=64,
            train=train,
        )
        for train in (True, False)
    )
    return learnt, asked


def with_its_own_output(family: str) -> Model:
    """A model with a separate output layer, as in published mT5 models."""
    if family == "llama":
        return tiny.encoder(family, tie_word_embeddings=False)
    model: Any = tiny.backbone(family)
    if family != "mt5":
        model.lm_head.weight = torch.nn.Parameter(torch.randn(model.lm_head.weight.shape) / 32**0.5)
        del model.all_tied_weights_keys["lm_head.weight"]
    return Model(model).eval()


@pytest.mark.parametrize("decay", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
@pytest.mark.parametrize(
    "family", ["mt5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("llama", "nllb", "mbart"))]
)
def test_model_with_a_separate_output_layer_learns_the_same(family: str, decay: float) -> None:
    (learnt, asked), recipe = in_words(family), RECIPE.model_copy(update={"steps": 50, "weight_decay": decay})
    tokenizer, task = tiny.tokenizer_of(family), catalog.get("isle-nli")
    torch.manual_seed(0)
    start = with_its_own_output(family)

    def trained(compact: bool) -> dict[str, torch.Tensor]:
        model = copy.deepcopy(start)
        add_heads(model, [task], seed=1, head=TEXT)
        whole = model.embeddings.detach().clone()
        ids = find_used_tokens(model.backbone, [learnt, asked], tokenizer.all_special_ids, min_saved=0)
        assert ids is not None
        small = CompactVocabulary(model.backbone, ids) if compact else None
        done = fine_tune(model, tokenizer.eos_token_id, [TrainDataset(task, learnt, TEXT)], recipe, Sampling(), seed=1)
        if small:
            assert len(small.rows) < len(whole)
            small.restore(whole, done.total_weight_decay)
        return model.backbone.state_dict()

    expected, before = trained(compact=False), start.backbone.state_dict()
    for name in (start.embeddings_name, "lm_head.weight"):
        assert not torch.equal(expected[name], before[name])
    near(trained(compact=True), expected)


def test_encoder_and_decoder_use_the_compact_rows_and_a_tied_output_layer_is_refused() -> None:
    model: Any = tiny.backbone("nllb")
    whole, parts = model.model.shared.weight.detach().clone(), (model.model.shared, model.get_encoder().embed_tokens)
    small = CompactVocabulary(model, np.array([0, 1, 2, 77]))
    for part in (*parts, model.get_decoder().embed_tokens, model.lm_head):
        assert part.weight is small.embeddings.weight
    assert sum(parameter.shape[0] == len(whole) for parameter in model.parameters()) == 0
    with torch.no_grad():
        for part in (*parts, model.get_decoder().embed_tokens):
            assert torch.equal(part(torch.tensor([77, 2])), whole[[77, 2]] * 32**0.5)
        with pytest.raises(RuntimeError, match="cannot predict tokens"):
            model(**tiny.batch([[0, 77, 2]]), decoder_input_ids=torch.tensor([[2, 77]]))
        small.restore(whole, 1.0)
        for part in (*parts, model.get_decoder().embed_tokens, model.lm_head):
            assert part.weight is small.embeddings.weight
        assert model(**tiny.batch([[0, 76, 2]]), decoder_input_ids=torch.tensor([[2, 75]])).logits.shape[-1] == len(
            whole
        )


def test_answers_count_as_used_tokens() -> None:
    learnt, asked = in_words("llama")
    model = tiny.backbone("llama", tie_word_embeddings=False)
    alone, with_answers = (
        find_used_tokens(model, parts, (), min_saved=0) for parts in ([rows([7, 8])], [rows([7, 8]), asked])
    )
    assert alone is not None
    assert with_answers is not None
    said = {int(token) for answers in asked.extra["candidates"] for answer in answers for token in answer}
    assert said - set(alone.tolist())
    assert said <= set(with_answers.tolist())
    # free generation may produce any token and read it again
    free = Features(asked.input_ids, asked.example_index, asked.unit, extra={"candidates": [()] * len(asked)})
    assert find_used_tokens(model, [free], (), min_saved=0) is None
    written = Features(
        learnt.input_ids, learnt.example_index, learnt.unit, decoder_labels=Ragged.from_rows([[11, 12]] * len(learnt))
    )
    assert {11, 12} <= set(find_used_tokens(model, [written], (), min_saved=0))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "nllb", "mbart"])
def test_tied_output_layer_is_allowed_where_only_heads_are_trained(family: str) -> None:
    model = tiny.backbone(family)
    assert find_used_tokens(model, [rows([7, 8])], (), min_saved=0) is None
    assert find_used_tokens(model, [rows([7, 8])], (), uses_output_layer=False, min_saved=0) is not None


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("family", ["nllb", "mbart"])
def test_unused_embeddings_are_not_reduced(family: str, writes: bool) -> None:
    # one option of transformers ties the encoder's, the decoder's and the output layer's weights to them
    model = tiny.backbone(family, tie_word_embeddings=False)
    assert find_used_tokens(model, [rows([7, 8])], (), uses_output_layer=writes, min_saved=0) is None
