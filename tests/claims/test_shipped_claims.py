"""The claims of the questions that ship with xlift."""

from __future__ import annotations

import pytest

from xlift.claims import read_claims, shipped_claims

QUESTIONS = ["data-scale", "english-intermediate", "high-resource-languages", "llms", "low-resource", "translation"]


def test_every_question_has_claims():
    assert sorted(shipped_claims()) == QUESTIONS


@pytest.mark.parametrize("name", QUESTIONS)
def test_shipped_claims_are_valid(name: str):
    claims = read_claims(name)
    assert claims.question
    assert claims.source
    assert any(claim.kind == "lift" for claim in claims.claims)
