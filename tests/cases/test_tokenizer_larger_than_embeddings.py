"""A tokenizer with more tokens than the model has embeddings, and cut weights: refused by the plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.command import Xlift

FOLDER = Path(__file__).parent / "tokenizer-larger-than-embeddings"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """The folder of the case. `added` and `trunc` have the same weights as `bert`."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    for model in ("added", "trunc"):
        shutil.copy(FOLDER / "bert" / "model.safetensors", tmp_path / model)
    return tmp_path


def test_a_token_without_embedding_is_refused(case: Path, xlift: Xlift):
    answer = xlift("plan", "added.yaml", "--store", "s", columns=400)
    assert answer.code == 2
    assert (
        "added/tokenizer.json: the tokenizer has 174 tokens, the model 173: '<url>' (id 173) has no row" in answer.err
    )
    assert "resize_token_embeddings" in answer.err


def test_the_whole_model_is_planned(case: Path, xlift: Xlift):
    assert xlift("plan", "bert.yaml", "--store", "s").code == 0


def test_a_cut_file_is_refused_and_says_how_much_is_missing(case: Path, xlift: Xlift):
    weights = case / "trunc" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    answer = xlift("plan", "trunc.yaml", "--store", "s", columns=400)
    assert answer.code == 2
    assert (
        "trunc/model.safetensors: the file is cut: it has 104,772 bytes, and 1,000 of 105,772 are missing" in answer.err
    )


@pytest.mark.slow
def test_truncation_and_padding_in_the_tokenizer_file_change_nothing(case: Path, xlift: Xlift):
    # its tokenizer.json says: at most 6 tokens, 30 with padding, on the left
    scores = []
    for study in ("bert", "trunc"):
        assert xlift("run", f"{study}.yaml", "--store", f"{study}-store", "--workers", 0, "--quiet").code == 0
        rows = json.loads(xlift("report", study, "--store", f"{study}-store", "--json").out)
        scores.append(json.dumps(rows).replace(study, "model"))
    assert scores[0] == scores[1]
