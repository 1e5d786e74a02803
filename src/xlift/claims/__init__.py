"""A small language of claims: what a study is to show, in YAML, fixed before it runs."""

from xlift.claims.claim import ALL, FACT, HIGHER_PUBLISHED_SCORES, KINDS, QUANTITIES, ZERO_SHOT, Claim, ClaimSet, Kind
from xlift.claims.parsing import parse_claims, read_claims, read_claims_entry, shipped_claims

__all__ = [
    "ALL",
    "FACT",
    "HIGHER_PUBLISHED_SCORES",
    "KINDS",
    "QUANTITIES",
    "ZERO_SHOT",
    "Claim",
    "ClaimSet",
    "Kind",
    "parse_claims",
    "read_claims",
    "read_claims_entry",
    "shipped_claims",
]
