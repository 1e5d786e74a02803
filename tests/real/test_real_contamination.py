"""The contamination check on real files, compared with an independent count of equal sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import plan_of, study_file

from xlift.analysis.contamination import check_contamination

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]


def sentences(path: Path) -> list[tuple[str, ...]]:
    """The words of each sentence of a CoNLL file."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return [tuple(line.split()[0] for line in block.splitlines() if line.strip()) for block in blocks if block.strip()]


def test_hausa_names_are_scored_on_sentences_that_were_trained_on(tmp_path: Path) -> None:
    # In MasakhaNER 2.0 one in eight test sentences is also in the training file, word for word.
    folder = DATA / "masakhaner2" / "hau"
    trained, scored = set(sentences(folder / "train.txt")), sentences(folder / "test.txt")
    equal = sum(sentence in trained for sentence in scored if len(sentence) >= 8)
    study = study_file(
        tmp_path, "models: [model]\ntargets: [{task: masakhaner2, train: {language: ha}, languages: [ha]}]\n"
    )
    (finding,) = check_contamination(plan_of(study, data=DATA)).findings
    assert finding.num_examples == len(scored) == 1633
    assert equal > 150
    assert equal <= finding.num_exact <= equal + 30  # normalisation finds a few more, and shorter ones count too
    assert finding.num_exact == finding.num_all_exact


def test_articles_of_xquad_are_kept_apart(tmp_path: Path) -> None:
    study = study_file(
        tmp_path,
        "models: [model]\ntargets: [{task: xquad-articles, train: {language: en}, languages: [en, de, es, zh, ar, th]}]\n",
    )
    found = check_contamination(plan_of(study, data=DATA))
    assert found.num_scored_examples > 6 * 300
    assert not found.findings
    assert [known.is_contamination for known in found.known_relations] == [False]  # parallel, and split by article
