"""Robustness to noise: kept shares, paired with the clean rows, against a bootstrap."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from xlift.analysis.estimates import ALL, ScoredCell
from xlift.analysis.lift import compute_lifts
from xlift.analysis.robustness import RobustnessRow, compute_robustness
from xlift.errors import UserError


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0] / counts[..., 1]


def f1(counts: np.ndarray) -> np.ndarray:
    return 2 * counts[..., 0] / (counts[..., 1] + counts[..., 2])


def cell(right: str | np.ndarray, noise: str = "", **more) -> ScoredCell:
    """One cell from a string of 1 (correct) and 0 (wrong), or from counts."""
    counts = np.array([[int(c), 1] for c in right], dtype=float) if isinstance(right, str) else right
    intermediate = more.get("intermediate", "nli")
    rest = {
        "model": "xlmr", "intermediate": intermediate, "seed": 0, "target": "xnli", "language": "sw", "metric": "accuracy",
        "intermediate_language": "" if intermediate == "none" else "en", "size": "", "value": accuracy,
        "ids": [str(i) for i in range(len(counts))], **more,
    }  # fmt: skip
    return ScoredCell(counts=counts, noise=noise, **rest)


def find(rows: list[RobustnessRow], **want) -> RobustnessRow:
    found = [row for row in rows if all(getattr(row, key) == value for key, value in want.items())]
    assert len(found) == 1
    return found[0]


def drawn(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return np.stack([rng.random(n) < share, np.ones(n)], axis=-1)


def test_kept_is_noisy_score_over_clean_score():
    row = find(compute_robustness([cell("1111100000"), cell("1111000000", "typos 10%")]), language="sw")
    assert (row.clean, row.noisy, row.kept) == pytest.approx((0.5, 0.4, 0.8))
    assert row.noise == "typos 10%"


def test_without_noise_there_are_no_rows():
    assert compute_robustness([cell("10"), cell("11", intermediate="none")]) == []


def test_noise_without_clean_rows_gives_no_row():
    assert compute_robustness([cell("10", "case 10%")]) == []


def test_lifts_ignore_noise():
    cells = [cell("1110"), cell("1000", intermediate="none")]
    noisy = [cell("0000", "typos 10%"), cell("0000", "typos 10%", intermediate="none")]
    assert compute_lifts(cells + noisy) == compute_lifts(cells)


def test_equal_predictions_keep_everything():
    cells = [cell(right, noise, seed=seed) for seed, right in enumerate(("1101", "0111")) for noise in ("", "case 10%")]
    row = find(compute_robustness(cells), language="sw")
    assert (row.kept, row.kept_low, row.kept_high) == pytest.approx((1, 1, 1))


def test_pairing_is_by_id():
    ids = [f"q{i}" for i in range(6)]
    row = find(compute_robustness([cell("110100", ids=ids), cell("001011", "case 10%", ids=ids[::-1])]), language="sw")
    assert (row.kept, row.kept_low, row.kept_high) == pytest.approx((1, 1, 1))


def test_examples_other_than_the_clean_ones_are_an_error():
    with pytest.raises(UserError, match="other examples"):
        compute_robustness([cell("10"), cell("10", "case 10%", ids=["a", "b"])])


def test_only_seeds_with_both_scores_count():
    cells = [
        cell("1111", seed=0),
        cell("1100", seed=1),
        cell("1110", "case 10%", seed=0),
        cell("0000", "case 10%", seed=2),
    ]
    row = find(compute_robustness(cells), language="sw")
    assert (row.seeds, row.clean, row.noisy, row.kept) == (1, 1.0, 0.75, 0.75)


def test_clean_score_of_zero_has_no_kept_share():
    row = find(compute_robustness([cell("0000"), cell("1000", "case 10%")]), language="sw")
    assert (row.kept, row.kept_low, row.kept_high, row.gain) == (None, None, None, None)
    assert (row.clean, row.noisy) == (0, 0.25)


def test_one_example_has_no_upper_bound():
    row = find(compute_robustness([cell("1"), cell("1", "case 10%")]), language="sw")
    assert (row.kept, row.kept_low, row.kept_high) == (1, 0, None)
    json.dumps(row.to_dict(), allow_nan=False)


def test_mean_worst_language_and_spread():
    cells = [cell("1111111100", language="sw"), cell("1111000000", language="ur"), cell("1111111111", language="en")]
    cells += [
        cell("1111000000", "t", language="sw"), cell("1110000000", "t", language="ur"), cell("1111111110", "t", language="en"),
    ]  # fmt: skip
    rows = compute_robustness(cells)
    row = find(rows, language=ALL)
    assert row.kept == pytest.approx((0.4 + 0.3 + 0.9) / (0.8 + 0.4 + 1.0))
    assert (row.worst_language, row.worst) == ("sw", pytest.approx(0.5))
    assert row.spread == pytest.approx(np.std([0.5, 0.75, 0.9], ddof=1))
    assert row.n == 30
    assert [r.language for r in rows] == ["all", "sw", "ur", "en"]
    assert find(rows, language="ur").spread is None


def test_mean_is_over_languages_with_the_noise():
    cells = [cell("1100", language="de"), cell("1000", "case 10%", language="de"), cell("1111", language="zh")]
    row = find(compute_robustness(cells), language=ALL)
    assert (row.clean, row.noisy, row.kept) == (0.5, 0.25, 0.5)


def test_pipeline_without_some_language_has_no_mean():
    cells = [cell("11", noise, language=language) for noise in ("", "t") for language in ("de", "zh")]
    cells += [cell("11", noise, language="de", intermediate="none") for noise in ("", "t")]
    assert {row.intermediate for row in compute_robustness(cells) if row.language == ALL} == {"nli"}


def test_gain_is_the_difference_to_the_baseline():
    cells = [cell("1111111111"), cell("1111111100", "t")]
    cells += [cell("1111100000", intermediate="none"), cell("1110000000", "t", intermediate="none")]
    rows = compute_robustness(cells)
    assert find(rows, intermediate="nli", language="sw").gain == pytest.approx(0.8 - 0.6)
    assert find(rows, intermediate="none", language="sw").gain is None


def test_significant_gain_has_a_sign():
    rng = np.random.default_rng(0)
    cells = []
    for seed in range(3):
        for intermediate, shares in (("none", (0.8, 0.5)), ("nli", (0.8, 0.75))):
            cells += [
                cell(drawn(rng, 500, share), noise, intermediate=intermediate, seed=seed)
                for share, noise in zip(shares, ("", "t"), strict=True)
            ]
    row = find(compute_robustness(cells), intermediate="nli", language="sw")
    assert row.sign == 1
    assert row.gain_low is not None
    assert 0 < row.gain_low < (row.gain or 0)


@pytest.mark.parametrize("value", [accuracy, f1])
def test_interval_matches_a_paired_bootstrap(value):
    """One seed: a bootstrap that resamples examples together with both scores."""
    rng = np.random.default_rng(1)
    n = 400
    if value is accuracy:
        clean = drawn(rng, n, 0.8)
        noisy = clean * np.stack([rng.random(n) < 0.85, np.ones(n)], axis=-1)
    else:
        gold, found = rng.poisson(2, n) + 1, rng.poisson(2, n)
        right = np.minimum(rng.binomial(found, 0.8), gold)
        clean = np.stack([right, found, gold], axis=-1).astype(float)
        noisy = np.stack([rng.binomial(right, 0.8), found, gold], axis=-1).astype(float)
    row = find(compute_robustness([cell(clean, value=value), cell(noisy, "t", value=value)]), language="sw")
    draws = rng.integers(0, n, size=(4000, n))
    shares = value(noisy[draws].sum(axis=1)) / value(clean[draws].sum(axis=1))
    low, high = np.quantile(shares, [0.025, 0.975])
    assert row.kept_low is not None
    assert row.kept_high is not None
    assert row.kept_low == pytest.approx(low, abs=0.12 * (high - low))
    assert row.kept_high == pytest.approx(high, abs=0.12 * (high - low))


def test_interval_includes_seed_variance():
    rng = np.random.default_rng(2)
    same = [drawn(rng, 200, 0.7), drawn(rng, 200, 0.5)]

    def width(shares: tuple[float, ...]) -> float:
        cells = []
        for seed, share in enumerate(shares):
            noisy = same[0] * np.stack([rng.random(200) < share, np.ones(200)], axis=-1)
            cells += [cell(same[0], seed=seed), cell(noisy, "t", seed=seed)]
        row = find(compute_robustness(cells), language="sw")
        assert row.kept_low is not None
        assert row.kept_high is not None
        return row.kept_high - row.kept_low

    assert width((0.5, 0.7, 0.9)) > 2 * width((0.7, 0.7, 0.7))


def test_training_status_is_the_worst_of_clean_and_noisy():
    cells = [replace(cell("11"), training_status="retried"), cell("10", "t")]
    assert find(compute_robustness(cells), language="sw").training_status == "retried"


def test_every_metric_and_noise_has_separate_rows():
    cells = [cell("11", noise, metric=metric) for metric in ("f1", "em") for noise in ("", "typos 5%", "typos 10%")]
    assert [(row.metric, row.noise) for row in compute_robustness(cells) if row.language == ALL] == [
        ("f1", "typos 5%"), ("f1", "typos 10%"), ("em", "typos 5%"), ("em", "typos 10%"),
    ]  # fmt: skip


# --- noise that a part of the rows has --------------------------------------------------------------------------------


def test_clean_score_uses_rows_with_a_noisy_version():
    """The four rows without a noisy version are all correct; they must not count."""
    cells = [cell("1100" + "1111"), cell("1000", "natural 20% f.conll", ids=list("0123")), cell("1111" * 2, "case 10%")]
    rows = compute_robustness(cells)
    row = find(rows, language="sw", noise="natural 20% f.conll")
    assert (row.clean, row.noisy, row.kept, row.n, row.whole) == (0.5, 0.25, 0.5, 4, 8)
    other = find(rows, language="sw", noise="case 10%")
    assert (other.clean, other.n, other.whole) == (0.75, 8, 8)


def test_partial_rows_are_paired_by_id_over_pipelines_seeds_and_languages():
    rng = np.random.default_rng(3)
    cells = []
    for language in ("de", "tr"):
        ids = [str(n) for n in range(40)]
        part = ids[::-1][: 30 if language == "de" else 40]  # one language has all of its rows
        for intermediate in ("none", "nli"):
            for seed in (0, 1):
                right = drawn(rng, 40, 0.8)
                more = {"language": language, "intermediate": intermediate, "seed": seed}
                cells += [cell(right, ids=ids, **more), cell(right[::-1][: len(part)], "n 5%", ids=part, **more)]
    rows = compute_robustness(cells)
    assert {(row.language, row.intermediate) for row in rows} == {
        (language, intermediate) for language in (ALL, "de", "tr") for intermediate in ("none", "nli")
    }  # fmt: skip
    assert all((row.kept, row.kept_low, row.kept_high) == pytest.approx((1, 1, 1)) for row in rows)
    assert {(row.language, row.n, row.whole) for row in rows} == {(ALL, 70, 80), ("de", 30, 40), ("tr", 40, 40)}
    assert find(rows, language=ALL, intermediate="nli").gain == pytest.approx(0)
    assert compute_lifts(cells) == compute_lifts([one for one in cells if not one.noise])


def test_partial_rows_outside_the_clean_set_are_an_error():
    with pytest.raises(UserError, match="other examples"):
        compute_robustness([cell("1011"), cell("10", "n 5%", ids=["0", "9"])])


def test_a_correlation_may_lose_more_than_everything():
    def signed(right: str, noise: str = "") -> ScoredCell:
        return replace(cell(right, noise, value=lambda sums: 2 * accuracy(sums) - 1), lowest_score=-1.0)

    row = find(compute_robustness([signed("1" * 15 + "0" * 5), signed("1" * 9 + "0" * 11, "t")]), language="sw")
    assert row.kept == pytest.approx(-0.2)
    assert row.kept_low is not None
    assert row.kept_low < row.kept


def test_gains_pool_the_variance_between_seeds_and_are_adjusted_for_the_rows():
    rng = np.random.default_rng(11)
    shares = {"none": 0.5, "nli": 0.9, "qa": 0.5, "pos": 0.5}
    made = [
        cell(drawn(rng, 300, share if noise else 0.9), noise, intermediate=name, seed=seed)
        for name, share in shares.items()
        for seed in range(2)
        for noise in ("", "typos 10%")
    ]
    rows = {row.intermediate: row for row in compute_robustness(made) if row.language == ALL}
    assert [rows[name].sign for name in shares] == [0, 1, 0, 0]
    assert rows["none"].gain_p is None
    alone = compute_robustness([each for each in made if each.intermediate in ("none", "nli")])
    (own,) = (row for row in alone if row.intermediate == "nli" and row.language == ALL)
    assert own.gain == rows["nli"].gain
    assert (own.gain_low, own.gain_high) != (rows["nli"].gain_low, rows["nli"].gain_high)  # two pipelines have no pool
    one_seed = compute_robustness([each for each in made if each.seed == 0])
    assert all(row.gain_p is None and row.sign == 0 for row in one_seed)
