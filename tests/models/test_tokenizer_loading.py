"""The loaded tokenizer gives the ids of the checkpoint's own tokenizer.json, or is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tokenizers import Tokenizer

from xlift import backbones
from xlift.conversion.checkpoint import convert_checkpoint
from xlift.conversion.probe import probe_texts
from xlift.errors import UserError
from xlift.model_files import read_tokenizer
from xlift.models import tokenizer_loading
from xlift.models.tokenizer_loading import find_difference, load_tokenizer, save_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives folders of a layout with both a SentencePiece file and the tokenizer.json made from it, whose class is the model's own."""
    pytest.importorskip("sentencepiece")
    from tests.conversion.checkpoints import write_checkpoint

    @cache
    def make(layout: str) -> Path:
        source, folder = (tmp_path_factory.mktemp(name) for name in ("published", "converted"))
        write_checkpoint(source / "model", layout)
        source /= "model"
        convert_checkpoint(source, folder)
        (model_file,) = source.glob("*.model")
        shutil.copy(model_file, folder)
        path = folder / "tokenizer_config.json"
        own = json.loads((source / "tokenizer_config.json").read_text())["tokenizer_class"]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": own}))
        return folder

    return make


@pytest.mark.parametrize("layout", ["mdeberta", "nllb", "xlm-roberta"])
def test_a_class_that_drops_the_normalization_gets_it_back(layout: str, folders: Callable[[str], Path]):
    from transformers import AutoTokenizer

    folder = folders(layout)
    own = read_tokenizer(folder)
    plain, tokenizer = AutoTokenizer.from_pretrained(folder), load_tokenizer(folder)
    if layout != "xlm-roberta":
        assert find_difference(plain, own)
    assert type(tokenizer) is type(plain)
    for text in probe_texts():
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == own.encode(text, add_special_tokens=False).ids


def test_plain_transformers_reads_a_saved_tokenizer_right(folders: Callable[[str], Path], tmp_path: Path):
    from transformers import AutoTokenizer

    tokenizer = load_tokenizer(folders("mdeberta"))
    save_tokenizer(tokenizer, tmp_path)
    assert find_difference(AutoTokenizer.from_pretrained(tmp_path), read_tokenizer(folders("mdeberta"))) == ""


def test_nllb_keeps_its_language_tokens(folders: Callable[[str], Path]):
    tokenizer = load_tokenizer(folders("nllb"))
    rows = []
    for language in ("swh_Latn", "deu_Latn"):
        tokenizer.src_lang = language
        rows.append(tokenizer("hund")["input_ids"])
        assert rows[-1][0] == tokenizer.convert_tokens_to_ids(language)
    assert rows[0][1:] == rows[1][1:]


def test_other_ids_than_the_file_are_refused(folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    folder = folders("mdeberta")
    monkeypatch.setattr(tokenizer_loading, "_restore_parts", lambda *_: None)
    with pytest.raises(UserError, match="reads the tokenizer otherwise than its file says") as error:
        load_tokenizer(folder)
    assert "PreTrainedTokenizerFast" in error.value.fix


def test_another_id_of_an_added_token_is_a_difference():
    tokenizer = tiny.tokenizer_of("xlm-roberta")
    own: Any = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()  # other tests may have set it
    own.no_padding()
    assert find_difference(tokenizer, own) == ""
    own.add_special_tokens(["<new>"])
    assert find_difference(tokenizer, own).startswith("'<new>' has the id ")


def test_a_sentencepiece_file_of_another_model_is_refused(folders: Callable[[str], Path], tmp_path: Path):
    folder = shutil.copytree(folders("xlm-roberta"), tmp_path / "copy")
    (folder / "config.json").write_text('{"model_type": "mt5"}')
    with pytest.raises(UserError, match="of different models: .* has the id") as error:
        load_tokenizer(folder)
    assert "sentencepiece.bpe.model" in error.value.where


def test_the_shipped_tokenizer_has_the_recorded_ids():
    folder = backbones.find("isles").folder
    assert backbones.probe_digest(folder) == backbones.SHIPPED_PROBES["isles"]
    assert find_difference(load_tokenizer(folder), read_tokenizer(folder)) == ""
