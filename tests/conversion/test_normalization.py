"""Tokens of a SentencePiece file that knows every character: no difference of normalization hides behind the unknown token."""

from __future__ import annotations

import io
import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.conversion.checkpoints import T5_PIECES
from transformers import AutoTokenizer, MT5Config, XLMRobertaConfig

from xlift.conversion.probe import probe_texts
from xlift.conversion.tokenizer import convert_tokenizer
from xlift.tasks.grapheme_clusters import clusters

sentencepiece = pytest.importorskip("sentencepiece")

COMPOSED = ("Tiếng Việt là ngôn ngữ của người Việt", "ệ ở ẫ", "ガギグ", "한국어", "café déjà", "বাংলা কো", "தொடர்")
MARKED = ("اَلسَّلَامُ عَلَيْكُمْ", "שָׁלוֹם", "בְּרֵאשִׁ֖ית בָּרָ֣א", "हिन्दी क़िला", "ﷲ", "ﭗِ", "ｶﾞ", "e\u0302\u0323 o\u0301\u031b")
TEXTS = (*COMPOSED, *MARKED, *(unicodedata.normalize("NFD", text) for text in COMPOSED))
"""Texts whose letters have several marks; macOS writes file names decomposed."""


@cache
def sentencepiece_model(byte_fallback: bool, **special_pieces: Any) -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*probe_texts(), *COMPOSED, *MARKED] * 2), model_writer=written, vocab_size=4000,
        character_coverage=1.0 - 0.01 * byte_fallback, byte_fallback=byte_fallback, hard_vocab_limit=False, minloglevel=2,
        **special_pieces,
    )  # fmt: skip
    return written.getvalue()


def write_source(folder: Path, kind: str) -> bytes:
    folder.mkdir()
    if kind == "mt5":
        model = sentencepiece_model(True, **T5_PIECES)
        MT5Config().save_pretrained(folder)
        (folder / "spiece.model").write_bytes(model)
        (folder / "tokenizer_config.json").write_text(json.dumps({"extra_ids": 0, "additional_special_tokens": None}))
    else:
        model = sentencepiece_model(False)
        XLMRobertaConfig().save_pretrained(folder)
        (folder / "sentencepiece.bpe.model").write_bytes(model)
    return model


@pytest.mark.parametrize(("kind", "offset"), [("mt5", 0), ("xlm-roberta", 1)])
def test_letters_keep_their_marks_and_unknown_characters_become_bytes(kind: str, offset: int, tmp_path: Path):
    model = write_source(tmp_path / "source", kind)
    (tmp_path / "out").mkdir()
    convert_tokenizer(tmp_path / "source", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text in (*probe_texts(), *TEXTS):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == [
            n + offset if n != processor.unk_id() else tokenizer.unk_token_id for n in processor.encode(text)
        ], text
        if kind == "mt5":
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == processor.decode(processor.encode(text)), text


def test_spans_of_tokens_are_in_the_original_text(tmp_path: Path):
    """The separator, which the normalization inserts and removes, moves no offset."""
    write_source(tmp_path / "source", "mt5")
    (tmp_path / "out").mkdir()
    convert_tokenizer(tmp_path / "source", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS:
        spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        assert spans == sorted(spans)
        covered = {place for start, end in spans for place in range(start, end)}
        firsts = {text.index(cluster) for cluster in clusters(text) if cluster != " "}
        assert covered >= firsts  # of a syllable of Hangul in three letters, the first
