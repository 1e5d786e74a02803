from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.analysis.test_lift import cell
from tests.analysis.test_seed_variance import draw

from xlift.analysis.contrasts import ContrastEstimate
from xlift.analysis.effects import EffectMeasurer
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.intervals import Estimate, variance_parts
from xlift.analysis.needs import _half_width, seeds_and_rows
from xlift.analysis.verdicts import Judgement, judge, p_values
from xlift.claims import Claim, ClaimSet, parse_claims
from xlift.claims.effects import expand
from xlift.claims.table import Table
from xlift.errors import UserError

N = 400
SHARES = {
    ("none", ""): 0.5, ("nli", "100"): 0.55, ("nli", "1000"): 0.65, ("nli", "10000"): 0.75, ("qa", "100"): 0.7,
    ("tags", "100"): 0.5,
}  # fmt: skip


def study(seeds: int = 3, seed_sd: float = 0.01, n: int = N, **targets: float) -> list[ScoredCell]:
    """Rows of `SHARES` on targets that shift the share of right answers, in the source language en and two others."""
    rng = np.random.default_rng(5)
    return [
        cell(
            "".join("10"[int(x > share + shift + rng_seed)] for x in rng.random(n)),
            intermediate=name, size=size, seed=seed, language=language, target=target, train_language="en",
        )
        for target, shift in (targets or {"xnli": 0.0, "pos": 0.05}).items()
        for (name, size), share in SHARES.items()
        for seed in range(seeds)
        for rng_seed in [rng.normal(0, seed_sd)]
        for language in ("en", "sw", "ur")
    ]  # fmt: skip


STUDY = study()


def claims(*entries: dict[str, Any], **top: Any) -> ClaimSet:
    listed = [{"name": f"c{at}", "text": "It is so.", **entry} for at, entry in enumerate(entries)]
    return parse_claims({"claims": listed, **top}, lambda keys: ".".join(map(str, keys)))


def verdicts(cells: list[ScoredCell], *entries: dict[str, Any], **top: Any) -> list[Judgement]:
    return judge(claims(*entries, **top), cells, {})


def only(cells: list[ScoredCell], **entry: Any) -> Judgement:
    return verdicts(cells, entry)[0]


# --- tests ------------------------------------------------------------------------------------------------------------


def contrast(scores: list[float]) -> ContrastEstimate:
    """A contrast that varies over seeds alone."""
    return ContrastEstimate(Estimate(np.array(scores), np.zeros((len(scores), 50))), None, 0.0, len(scores), 50, ())


def one_sided(scores: list[float], null: float, alternative: str) -> float:
    return stats.ttest_1samp(scores, null, alternative=alternative)[1]  # pyright: ignore[reportReturnType]


SCORES = [0.031, 0.024, 0.052, 0.018]


@pytest.mark.parametrize(
    ("fields", "support", "refute"),
    [
        ({"kind": "lift", "delta": 2.0}, (0.0, "greater"), (0.02, "less")),
        ({"kind": "contrast", "delta": 5.0}, (0.0, "greater"), (0.05, "less")),
        ({"kind": "no_lift", "delta": 4.0}, (0.04, "less"), (0.0, "greater")),
        ({"kind": "not_worse", "margin": 1.0}, (-0.01, "greater"), (-0.01, "less")),
    ],
)
def test_p_values_are_those_of_one_sided_t_tests(fields: dict[str, Any], support: Any, refute: Any):
    found = p_values(Claim("c", "It is so.", **fields), contrast(SCORES))
    assert found == pytest.approx((one_sided(SCORES, *support), one_sided(SCORES, *refute)))


def test_equality_takes_two_one_sided_tests():
    claim = Claim("c", "It is so.", "equals", points=3.0, within=1.5)
    support, refute = p_values(claim, contrast(SCORES))
    assert support == pytest.approx(max(one_sided(SCORES, 0.015, "greater"), one_sided(SCORES, 0.045, "less")))
    outside = min(one_sided(SCORES, 0.015, "less"), one_sided(SCORES, 0.045, "greater"))
    assert refute == pytest.approx(min(1, 2 * outside))


def parts_of(judged: Judgement) -> tuple[list[float], list[float]]:
    return sorted(p.p_support or 0 for p in judged.parts), sorted(p.p_refute or 0 for p in judged.parts)


def test_several_rows_are_a_conjunction():
    judged = only(STUDY, lift=["nli,100", "nli,1000", "qa"])
    support, refute = parts_of(judged)
    assert judged.p_support == pytest.approx(max(support))
    assert judged.p_refute == pytest.approx(min(1, 3 * min(refute)))


def test_k_of_m_is_a_partial_conjunction():
    judged = only(STUDY, lift=["nli", "qa", "tags"], at_least=2, target=["xnli", "pos"])
    support, refute = parts_of(judged)
    assert len(support) == 10
    assert judged.p_support == pytest.approx(min(1, 9 * support[1]))
    assert judged.p_refute == pytest.approx(min(1, 2 * refute[8]))
    assert judged.verdict == "supported"


def test_best_is_a_conjunction_of_differences_with_every_other_row():
    judged = only(STUDY, best="nli,10000", delta=0.5)
    assert {part.label.partition(" minus ")[2] for part in judged.parts} == {
        f"{row} on the mean of the targets" for row in ("none", "nli,100", "nli,1000", "qa,100", "tags,100")
    }
    assert judged.p_support == pytest.approx(parts_of(judged)[0][-1])
    assert judged.verdict == "supported"
    assert only(STUDY, best="tags").verdict == "refuted"
    assert [part.label for part in only(STUDY, best="qa", among=["qa", "tags"]).parts] == [
        "qa,100 minus tags,100 on the mean of the targets"
    ]


def test_holm_covers_the_statistical_claims_of_the_file():
    alone = only(STUDY, lift="nli,100")
    entries = [{"lift": "nli,100"}, {"lift": "mlm"}, {"contrast": ["tags", "none"]}, {"fact": "models", "equals": 1}]
    first, missing, null, fact = verdicts(STUDY, *entries, names={"mlm": None})
    assert alone.p_support
    assert first.p_support == pytest.approx(3 * alone.p_support)  # a claim that is not measured counts
    assert (missing.verdict, missing.reason) == ("not measured", "the study does not have mlm")
    assert null.p_support
    assert null.p_support > 0.025
    assert fact.verdict == "not measured"


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_verdicts_on_a_large_effect_a_small_one_and_none():
    cells = study(seeds=3, seed_sd=0.002, n=2500, xnli=0.0)
    large, negative, none, huge = verdicts(
        cells, {"lift": "qa"}, {"no_lift": "qa"}, {"lift": "tags", "delta": 4.0}, {"lift": "qa", "delta": 40.0}
    )
    assert (large.verdict, large.negligible) == ("supported", False)
    assert (negative.verdict, negative.negligible) == ("refuted", False)
    assert none.verdict == "refuted"
    assert (huge.verdict, huge.negligible) == ("refuted", True)  # a lift, but below 40 points
    assert only(cells, no_lift="qa", delta=40.0).verdict == "supported"


def test_a_significant_effect_below_delta_is_not_supported():
    judged = only(STUDY, lift="nli,100", delta=9.0)
    assert judged.p_support
    assert judged.effect
    assert judged.p_support < 0.025
    assert judged.effect < 9
    assert judged.verdict != "supported"


@pytest.mark.parametrize(("seeds", "most"), [(2, 0.95), (3, 0.99), (5, 1.0)])
def test_confidence_is_limited_by_the_number_of_seeds(seeds: int, most: float):
    judged = only(study(seeds=seeds), lift="nli,10000")
    assert judged.verdict == "supported"
    assert judged.p_support is not None
    assert judged.confidence == pytest.approx(min(most, 1 - judged.p_support))


def test_one_seed_decides_nothing():
    judged = only(study(seeds=1), lift="nli,10000")
    assert (judged.verdict, judged.p_support, judged.confidence) == ("undecided", None, None)
    assert judged.effect
    assert judged.effect > 10
    assert judged.needs
    assert judged.needs.seeds == 3


def test_training_that_ended_at_chance_supports_and_refutes_nothing():
    assert only(STUDY, lift="nli,10000").verdict == "supported"
    collapsed = [
        replace(each, training_status="collapsed") if each.intermediate == "none" and each.seed == 0 else each
        for each in STUDY
    ]
    judged = only(collapsed, lift="nli,10000")
    assert (judged.verdict, judged.confidence, judged.needs) == ("undecided", None, None)
    assert judged.reason == "training behind it ended at chance, so the effect says nothing"
    assert only(collapsed, contrast=["nli,10000", "tags"]).verdict == "supported"


def test_missing_scores_are_not_measured():
    table = Table.of(STUDY)
    cells = [each for each in STUDY if (each.intermediate, each.target) != ("qa", "pos")]
    judged = judge(claims({"lift": ["qa", "tags"]}, {"lift": "tags"}), cells, {}, table)
    assert [each.verdict for each in judged] == ["not measured", "undecided"]
    assert judged[0].reason == "1 of 2 effects have no scores yet"


def test_names_that_stand_for_nothing_are_left_out_and_said():
    judged = verdicts(STUDY, {"lift": "rows"}, names={"rows": ["qa", "mlm"], "mlm": None})[0]
    assert [part.label for part in judged.parts] == ["qa,100 on the mean of the targets"]
    assert judged.reason == "without mlm, which the study does not have"
    too_few = verdicts(STUDY, {"lift": "rows", "at_least": 2}, names={"rows": ["qa", "mlm"], "mlm": None})[0]
    assert too_few.verdict == "not measured"


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [({"equals": 9}, "verified"), ({"at_least": 10}, "false"), ({"at_least": 1, "at_most": 8}, "false")],
)
def test_facts(bounds: dict[str, int], verdict: str):
    judged = judge(claims({"fact": "intermediate-tasks", **bounds}), STUDY, {"intermediate-tasks": 9})[0]
    assert (judged.verdict, judged.effect) == (verdict, 9.0)


# --- what would settle it ---------------------------------------------------------------------------------------------


def test_the_needed_seeds_give_the_half_width():
    judged = only(study(seeds=2, seed_sd=0.05, n=200), lift="nli,100", delta=6.0)
    assert judged.verdict == "undecided"
    assert judged.needs
    assert judged.needs.seeds
    assert judged.needs.half_width == pytest.approx(6.0)
    measurer, claim_set = EffectMeasurer(study(seeds=2, seed_sd=0.05, n=200)), claims({"lift": "nli,100"})
    measured = measurer.measure(expand(claim_set, claim_set.claims[0], Table.of(STUDY)).effects[0])
    assert measured
    interval = measured.contrast.interval()
    now = seeds_and_rows(measured.contrast, (interval.high - interval.low) / 2 + 1e-9, N)
    assert (now.seeds, now.rows) == (2, None)
    parts = variance_parts(measured.contrast.estimate, measured.contrast.pool, measured.contrast.floor)
    widths = [_half_width(measured.contrast, parts, judged.needs.seeds + more, parts.examples) for more in (-1, 0)]
    assert widths[0] > 0.06 >= widths[1]


def test_an_effect_near_delta_needs_a_narrower_interval():
    cells = study(seeds=2, seed_sd=0.03)
    judged = only(cells, lift="nli,100", delta=6.0)
    assert judged.verdict == "undecided"
    assert judged.high
    assert judged.low
    assert judged.high - judged.low < 6  # half of it is half of delta already
    assert judged.needs
    assert judged.needs.half_width == 1.5
    assert judged.needs.seeds
    assert judged.needs.seeds > 2


def test_examples_are_needed_where_seeds_are_not_enough():
    estimate = Estimate(np.array([0.01, 0.012, 0.011]), np.tile(np.resize([1, -1], 100) * 0.004, (3, 1)))
    found = seeds_and_rows(ContrastEstimate(estimate, None, 0.0, 3, 100, ()), 0.02, 100)
    # the standard error over examples is 4 points: four times as many examples for 2, and t^2 = 4 times as many for the interval
    assert found.rows
    assert 1500 < found.rows < 1800


def test_other_languages():
    cells = [
        cell("1" * right + "0" * (100 - right), intermediate=name, seed=seed, language=language, train_language="en")
        for name, rights in (("none", (50, 50, 50, 50)), ("nli", (50, 60, 70, 65)))
        for seed in range(3)
        for language, right in zip(("en", "sw", "ur", "th"), rights, strict=True)
    ]
    judged = only(cells, lift="nli")
    assert judged.effect == pytest.approx(15)
    assert judged.low_other_languages is not None
    expected = stats.t.interval(0.95, 2, 15, stats.sem([10, 20, 15]))
    assert judged.low_other_languages < expected[0]  # examples count too
    assert judged.low
    assert judged.low_other_languages < judged.low
    assert only(cells, lift="nli", languages="sw").low_other_languages is None


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"lift": "tag,100"}, "no row 'tag,100'\n  did you mean 'tags,100'?"),
        ({"lift": "none"}, "the lift of the baseline is always 0"),
        ({"lift": "qa", "target": "xnl"}, "no target 'xnl'\n  did you mean 'xnli'?"),
        ({"lift": "qa", "languages": "fr"}, "no target is scored in 'fr'"),
        ({"lift": "qa", "at_least": 2}, "at least 2 of 1 cannot hold"),
        ({"contrast": ["a", "b"]}, "both sides are the same rows of this study"),
        ({"trend": "qa"}, "a trend needs one row with two sizes or more"),
        ({"best": ["qa", "tags"], "among": ["qa", "tags"]}, "there is no other row to compare with"),
        ({"interaction": {"rows": ["qa", "none"], "noise": "typo"}}, "is not scored with the noise 'typo'"),
    ],
)
def test_claims_about_what_the_study_does_not_have_are_refused(entry: dict[str, Any], message: str):
    names = {"a": "qa", "b": "qa"} if "contrast" in entry else {}
    with pytest.raises(UserError) as caught:
        verdicts(STUDY, entry, names=names)
    assert message in str(caught.value)
    assert str(caught.value).startswith("claims.0: ")


def test_targets_in_the_source_language_alone_have_no_zero_shot_mean():
    cells = [each for each in STUDY if each.language == "en"]
    with pytest.raises(UserError, match="only scored in languages that it is trained on"):
        only(cells, lift="qa", target="xnli")
    assert only(cells, lift="qa", target="xnli", languages="all").effect


def test_one_family_of_null_claims():
    """Ten claims without any effect: none is supported in a study with a share of right answers that is the same for all."""
    rng = np.random.default_rng(2)
    names = ("none", *(f"task-{number}" for number in range(10)))
    supported = 0
    for _ in range(10):
        cells = [
            cell(draw(rng, 0.5), intermediate=name, size="", seed=seed, language="sw")
            for name in names
            for seed in range(3)
        ]
        judged = verdicts(cells, *({"lift": name} for name in names[1:]))
        supported += any(each.verdict == "supported" for each in judged)
    assert supported == 0
