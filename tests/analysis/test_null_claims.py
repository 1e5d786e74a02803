"""A small part of `python -m benchmarks.null_claims`."""

from __future__ import annotations

import pytest
from benchmarks.null_claims import FAMILIES, family, simulate

from xlift.claims import ClaimSet


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_ten_claims(name: str):
    claim_set = family(FAMILIES[name])
    assert isinstance(claim_set, ClaimSet)
    assert len(claim_set.claims) == 10
    assert all(claim.is_statistical for claim in claim_set.claims)


@pytest.mark.slow
def test_false_claims_are_rarely_supported_and_a_large_effect_is_found():
    lifts, mixed, _, refuted, power, error = simulate(20, seeds=3, n=300, sd=1.0)
    assert lifts <= 0.1  # 2.5% in 20 families is none, or rarely one or two
    assert mixed <= 0.1
    assert refuted < 0.2
    assert power > 0.6
    assert 0.6 < error < 1.0
