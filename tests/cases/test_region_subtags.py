"""A perfect translation into Chinese has BLEU 100, whether its language is called zh or zh-CN."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.support.command import Xlift
from tokenizers import Tokenizer, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from xlift import backbones
from xlift.analysis.scores import load_cells
from xlift.studies.record import read_record
from xlift.studies.store import Store
from xlift.tasks import metrics

CASE = Path(__file__).parent / "region-subtags"


def make_llama(folder: Path) -> None:
    """A tiny Llama with random weights and the tokenizer of the shipped encoder."""
    torch.manual_seed(0)
    built = Tokenizer.from_file(str(backbones.find("isles").folder / "tokenizer.json"))
    built.post_processor = processors.ByteLevel(trim_offsets=False)
    names = set(built.get_vocab())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=built, eos_token="[SEP]" if "[SEP]" in names else "</s>",
        pad_token="[PAD]" if "[PAD]" in names else "<pad>", model_input_names=["input_ids", "attention_mask"],
        model_max_length=512,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=built.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["zh", "zh-CN"])
def test_a_perfect_translation_has_bleu_100(xlift: Xlift, tmp_path: Path, code: str):
    shutil.copytree(CASE, tmp_path / "case")
    make_llama(tmp_path / "models" / "llama")
    answer = xlift("run", f"case/{code}.yaml", "--store", "store", "--workers", 0, "--quiet")
    assert answer.code == 0, answer.err
    store = Store(tmp_path / "store")
    cells, missing = load_cells(read_record(store, code), store, every_metric=True)
    assert not missing
    scores = {(cell.metric, cell.language): float(cell.value(cell.counts.sum(axis=0))) for cell in cells}
    assert scores == {(name, code): pytest.approx(1.0) for name in ("chrf++", "bleu", "on-target")}


@pytest.mark.parametrize("code", ["zh", "zh-CN", "zh_TW", "ZH-cn", "cmn", "ja-JP", "th-TH", "ko-KR", "pt-BR"])
def test_bleu_splits_the_words_of_a_language_in_any_spelling(code: str):
    # By words between spaces, a sentence without spaces is one word and has no 4-grams.
    text = "今天天气很好我们去公园" if code != "pt-BR" else "o tempo está bom hoje"
    metric = metrics.get("bleu")
    counts = metric.count_examples([{"text": text, "language": code}], [text], code)
    assert metric.score(counts) == pytest.approx(1.0)
