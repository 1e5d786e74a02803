"""The check for leaks on real files, against a count of equal sentences that knows nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import plan_of, study_file

from xlift.analysis.leaks import find

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")


def sentences(path: Path) -> list[tuple[str, ...]]:
    """The words of each sentence of a CoNLL file."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return [tuple(line.split()[0] for line in block.splitlines() if line.strip()) for block in blocks if block.strip()]


def test_hausa_names_are_scored_on_sentences_that_were_trained_on(tmp_path: Path) -> None:
    # MasakhaNER 2.0 as published: one in eight test sentences stands in the training file too, word for word
    folder = DATA / "masakhaner2" / "hau"
    trained, scored = set(sentences(folder / "train.txt")), sentences(folder / "test.txt")
    equal = sum(sentence in trained for sentence in scored if len(sentence) >= 8)
    study = study_file(
        tmp_path, "models: [model]\ntargets: [{task: masakhaner2, train: {language: ha}, languages: [ha]}]\n"
    )
    (finding,) = find(plan_of(study, data=DATA)).findings
    assert finding.examples == len(scored) == 1633
    assert equal > 150
    assert equal <= finding.same <= equal + 30  # folding finds a few more, and shorter ones
    assert finding.same == finding.every


def test_articles_of_xquad_are_kept_apart(tmp_path: Path) -> None:
    study = study_file(
        tmp_path,
        "models: [model]\ntargets: [{task: xquad-articles, train: {language: en}, languages: [en, de, es, zh, ar, th]}]\n",
    )
    found = find(plan_of(study, data=DATA))
    assert found.examples > 6 * 300
    assert not found.findings
    assert [known.leak for known in found.known] == [False]  # parallel, and parted by article
