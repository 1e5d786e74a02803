"""Thousands of damaged model folders: a check refuses them with a UserError, or transformers loads the model.

A mutation is determined by its number, which a failure reports.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.mutations import mutate_folder
from tests.support.profile import by_profile

from xlift.errors import UserError
from xlift.model_files import check_model_folder

pytestmark = pytest.mark.fuzz

FAMILIES = tiny.ALL_FAMILIES
CHECKED, LOADED = by_profile(15, 100, 1200), by_profile(2, 20, 100)
"""Mutations of each family that are checked, and that are loaded too where the check accepts them."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("originals")
    for family in FAMILIES:
        tiny.model_folder(root / family, family)
    return root


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_folders_are_refused_or_loaded(family: str, originals: Path, tmp_path: Path):
    from xlift.models.pretrained import load_pretrained

    refused = loaded = 0
    for number in range(CHECKED):
        dice, folder = random.Random(f"{family} {number}"), tmp_path / str(number)
        shutil.copytree(originals / family, folder)
        how = f"mutation {number} of {family}, {mutate_folder(folder, dice)}"
        message = ""
        try:
            check_model_folder(folder)
        except UserError as error:
            message = str(error)
        if message:
            refused += 1
            assert str(tmp_path) in message or f"'{number}'" in message, f"{how}: no file is named: {message}"
            assert len(message) < 2000, how
        elif loaded < LOADED:
            loaded += 1
            try:
                model, tokenizer, _ = load_pretrained(folder)
            except UserError as error:
                # Only transformers knows what it makes of this file, and a plan does not load transformers.
                if "tokenizer_config.json" in how and str(tmp_path) in str(error):
                    continue
                pytest.fail(f"{how}: it is checked and cannot be loaded: {error}")
            rows: Any = model.get_input_embeddings()
            assert max(tokenizer.get_vocab().values()) < rows.num_embeddings, f"{how}: a token has no row"
            assert tokenizer.pad_token_id is not None, f"{how}: nothing pads"
        shutil.rmtree(folder)
    assert refused
    assert loaded
