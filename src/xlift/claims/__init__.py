"""A small language of claims: what a study is to show, in YAML, fixed before it runs."""

from xlift.claims.claim import ALL, FACT, HIGHER_PUBLISHED_SCORES, KINDS, QUANTITIES, ZERO_SHOT, Claim, ClaimSet, Kind
from xlift.claims.effects import check_claims
from xlift.claims.parsing import parse_claims, read_claims, read_claims_entry, shipped_claims
from xlift.claims.record import ClaimsRecord, record_claims
from xlift.claims.table import Table

__all__ = [
    "ALL",
    "FACT",
    "HIGHER_PUBLISHED_SCORES",
    "KINDS",
    "QUANTITIES",
    "ZERO_SHOT",
    "Claim",
    "ClaimSet",
    "ClaimsRecord",
    "Kind",
    "Table",
    "check_claims",
    "parse_claims",
    "read_claims",
    "read_claims_entry",
    "record_claims",
    "shipped_claims",
]
