"""The rules of the verdicts on published numbers, one at a time."""

from dataclasses import replace

import pytest

from xlift.claims import ClaimSet, parse_claims
from xlift.errors import UserError
from xlift.evidence.entries import Evidence, Fact, Number, Statement
from xlift.evidence.verdicts import judge_published

SOURCE = "paper"


def claim(**content) -> ClaimSet:
    named = {"name": "c", "text": "It is so."} | content
    return parse_claims({"source": [SOURCE], "claims": [named]}, lambda keys: "", "claims.yaml")


def number(row: str, value: float, target="xnli", source=SOURCE, quantity="lift", **more) -> Number:
    targets = (target,) if isinstance(target, str) else tuple(target)
    return Number(
        name=f"{row}-{'-'.join(targets)}-{source}", source=source, place="e.yaml:1", quantity=quantity, row=row,
        target=targets, value=value, metric="accuracy", **({"accepted": True} | more),
    )  # fmt: skip


def a_statement(bears: str, source=SOURCE, claims=("c",), **more) -> Statement:
    return Statement(
        name="s", source=source, place="e.yaml:2", statement="They say so.", claims=claims, bears=bears,
        **({"accepted": True} | more),
    )  # fmt: skip


def verdict(claims: ClaimSet, *numbers: Number, statements=(), facts=()) -> str:
    return judge_published(claims, Evidence(numbers, tuple(facts), tuple(statements)))[0].verdict


LIFT = claim(lift="squad", target="xnli")


def test_a_printed_number_is_reported_and_an_unaccepted_one_never_counts():
    assert verdict(LIFT, number("squad", 5.0)) == "reported"
    assert verdict(LIFT, number("squad", 5.0, accepted=False)) == "no number"
    assert verdict(LIFT, number("squad", -5.0, accepted=False), number("squad", 5.0, source="other")) == "reported"
    assert verdict(LIFT, number("squad", 5.0, other_setting="another model")) == "no number"
    assert verdict(LIFT, number("squad", 5.0, target="tydiqa")) == "no number"


def test_a_number_on_the_other_side_by_more_than_the_error_contradicts():
    assert verdict(LIFT, number("squad", -1.0)) == "contradicted by its source"
    assert verdict(LIFT, number("squad", -1.0, source="other")) == "contradicted by another source"
    assert verdict(LIFT, number("squad", -0.4)) == "reported", "within 1.5 points of delta"
    # publications that disagree contradict nothing
    assert verdict(LIFT, number("squad", -1.0), number("squad", 3.0, source="other")) == "reported"


def test_a_statement_of_the_source_contradicts_and_any_other_is_only_shown():
    lifted = number("squad", 5.0)
    assert verdict(LIFT, lifted, statements=[a_statement("contradicts")]) == "contradicted by its source"
    assert verdict(LIFT, lifted, statements=[a_statement("contradicts", accepted=False)]) == "reported"
    assert verdict(LIFT, lifted, statements=[a_statement("contradicts", source="other")]) == "reported"
    assert verdict(LIFT, lifted, statements=[a_statement("contradicts", claims=("d",))]) == "reported"
    assert (
        verdict(LIFT, lifted, statements=[a_statement("contradicts", claims=("claims/c",))])
        == "contradicted by its source"
    )
    assert verdict(LIFT, lifted, statements=[a_statement("contradicts", claims=("others/c",))]) == "reported"
    assert verdict(LIFT, statements=[a_statement("supports")]) == "no number"


def test_scores_are_subtracted_within_one_table_only():
    scores = number("squad", 80.0, quantity="score"), number("none", 70.0, quantity="score")
    assert verdict(LIFT, *scores) == "reported"
    assert verdict(LIFT, scores[0], replace(scores[1], table="2")) == "no number"
    assert verdict(LIFT, scores[0], replace(scores[1], model="other")) == "no number"
    assert verdict(LIFT, scores[0], replace(scores[1], accepted=False)) == "no number"


def test_two_values_at_one_place_are_refused():
    with pytest.raises(UserError, match="at the same place"):
        verdict(LIFT, number("squad", 5.0), number("squad", 6.0))


def test_a_part_of_a_claim_is_consistent_or_contradicts():
    both = claim(lift=["squad", "mnli"], target="xnli")
    assert verdict(both, number("squad", 5.0)) == "consistent"
    assert verdict(both, number("squad", 5.0), number("mnli", 4.0)) == "reported"
    assert verdict(both, number("squad", 5.0), number("mnli", -4.0)) == "contradicted by its source"
    one = claim(lift=["squad", "mnli"], target="xnli", at_least=1)
    assert verdict(one, number("squad", 5.0), number("mnli", -4.0)) == "reported"
    assert verdict(one, number("squad", -5.0), number("mnli", -4.0)) == "contradicted by its source"


def test_the_best_per_target_bounds_every_task():
    best = number("best-per-target", 9.0)
    assert verdict(claim(lift=["squad", "mnli"], target="xnli", at_least=2), best) == "consistent"
    assert verdict(claim(lift=["squad", "mnli"], target="xnli", at_least=2), replace(best, value=-3.0)).startswith(
        "contra"
    )
    assert verdict(claim(no_lift=["squad", "mnli"], target="xnli"), best) == "contradicted by its source"
    assert verdict(claim(no_lift=["squad", "mnli"], target="xnli"), replace(best, value=-3.0)) == "reported"
    assert verdict(LIFT, best) == "no number", "the best of several says nothing about one of them"


def test_a_mean_of_several_targets_is_no_number_of_each():
    each = claim(lift=["squad", "mnli"], target=["bucc2018", "tatoeba"])
    assert verdict(each, number("best-per-target", 9.0, target=("bucc2018", "tatoeba"))) == "consistent"
    assert verdict(claim(lift="squad"), number("squad", 9.0, target=("bucc2018", "tatoeba"))) == "no number"
    assert verdict(claim(lift="squad"), number("squad", 9.0, target="all")) == "reported"


@pytest.mark.parametrize(
    ("content", "squad", "mnli", "expected"),
    [
        ({"contrast": ["squad", "mnli"]}, 9.0, 4.0, "reported"),
        ({"contrast": ["squad", "mnli"]}, 4.0, 9.0, "contradicted by its source"),
        ({"not_worse": ["squad", "mnli"], "margin": 2.0}, 4.0, 5.0, "reported"),
        ({"not_worse": ["squad", "mnli"], "margin": 2.0}, 4.0, 9.0, "contradicted by its source"),
        ({"best": "squad", "among": ["squad", "mnli"]}, 9.0, 4.0, "reported"),
        ({"best": "squad", "among": ["squad", "mnli"]}, 4.0, 9.0, "contradicted by its source"),
        ({"best": "squad", "among": ["squad", "mnli", "qqp"]}, 9.0, 4.0, "consistent"),
        ({"equals": {"lift": "squad", "points": 8.2, "within": 0.5}}, 8.4, 0.0, "reported"),
        ({"equals": {"lift": "squad", "points": 8.2, "within": 0.5}}, 5.0, 0.0, "contradicted by its source"),
        ({"equals": {"contrast": ["squad", "mnli"], "points": 0, "within": 1}}, 5.0, 5.2, "reported"),
        ({"trend": ["squad", "mnli"]}, 9.0, 4.0, "no number"),
        ({"best_per_target": ["squad", "mnli"]}, 9.0, 4.0, "no number"),
    ],
)
def test_differences_of_rows(content, squad, mnli, expected):
    assert verdict(claim(**content, target="xnli"), number("squad", squad), number("mnli", mnli)) == expected


def test_facts_come_from_the_source_of_the_claims():
    nine = claim(fact="intermediate-tasks", equals=9)
    fact = Fact(name="f", source=SOURCE, place="e.yaml:3", fact="intermediate-tasks", value=9, accepted=True)
    assert verdict(nine, facts=[fact]) == "verified"
    assert verdict(nine, facts=[replace(fact, value=7)]) == "false"
    assert verdict(nine, facts=[replace(fact, value=7, other_setting="version 1"), fact]) == "verified"
    assert verdict(nine, facts=[replace(fact, source="other")]) == "no number"
    assert verdict(nine, facts=[replace(fact, accepted=False)]) == "no number"


def test_the_highest_published_score_depends_on_the_entries():
    best = claim(fact="higher-published-scores", model="a", target="xnli", equals=0)
    scores = [number("none", value, quantity="score", model=model) for model, value in (("a", 79.2), ("b", 80.0))]
    higher = number("none", 85.0, quantity="score", model="c", source="other")
    assert verdict(best, *scores) == "verified", "0.8 points are within the error"
    assert verdict(best, *scores, higher) == "false"
    assert verdict(best, *scores, replace(higher, accepted=False)) == "verified"
    assert verdict(best, higher) == "no number"
