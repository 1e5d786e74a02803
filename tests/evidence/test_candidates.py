"""What a search has found is in an evidence file, and never counts as it is."""

from pathlib import Path

import pytest

from xlift.errors import UserError
from xlift.evidence.files import read_evidence

CANDIDATE = """
entries:
  - name: found-1
    source: hu-etal-2020-xtreme
    claims: [qa-lifts]
    quote: It gains 5.4 points.
    accepted: false
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_candidate_waits(tmp_path: Path) -> None:
    evidence = read_evidence([write(tmp_path, CANDIDATE)])
    (candidate,) = evidence.candidates
    assert candidate.claims == ("qa-lifts",)
    assert not candidate.is_accepted
    assert evidence.waiting == evidence.entries == (candidate,)
    assert (evidence + evidence).candidates == (candidate, candidate)


def test_a_candidate_cannot_be_accepted_before_a_person_says_what_it_means(tmp_path: Path) -> None:
    accepted = CANDIDATE.replace("accepted: false", "accepted: true")
    with pytest.raises(UserError, match=r"draft.yaml:7: entries.0.accepted: a quote alone cannot be accepted"):
        read_evidence([write(tmp_path, accepted)])
    meant = accepted + "    statement: All rows gain.\n    bears: supports\n"
    (statement,) = read_evidence([write(tmp_path, meant)]).statements
    assert statement.is_accepted
