"""The fact that compares published scores, and the claims of the paper."""

import pytest

from xlift.claims import parse_claims, read_claims
from xlift.errors import UserError

FACT = {"name": "sota", "text": "The best.", "fact": "higher-published-scores", "model": "xlm-r", "target": "xnli", "equals": 0}  # fmt: skip


def parse(**changes):
    return parse_claims({"claims": [FACT | changes]}, lambda keys: ".".join(map(str, keys)))


def test_a_model_is_compared_on_a_target():
    claims = parse()
    (claim,) = claims.claims
    assert (claim.model, claim.targets, claim.is_statistical) == ("xlm-r", ("xnli",), False)
    assert claim.to_dict() == FACT | {"target": ["xnli"]}


def test_the_dictionary_of_such_a_fact_is_read_again():
    claims = parse()
    assert parse_claims(claims.to_dict(), lambda keys: "").digest == claims.digest


def test_a_model_is_needed_and_has_no_effect_elsewhere():
    fact = {key: value for key, value in FACT.items() if key != "model"}
    with pytest.raises(UserError, match="'model' is missing"):
        parse_claims({"claims": [fact]}, lambda keys: "")
    with pytest.raises(UserError, match="unknown key 'model'"):
        parse(fact="phases")


def test_the_claims_of_the_paper_are_read():
    claims = read_claims("english-intermediate")
    assert len(claims.claims) == 21
    assert sum(not claim.is_statistical for claim in claims.claims) == 7
    assert len(claims.expand(["single-tasks"])) == 9
