"""Differences of differences: language groups, and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.analysis.test_lift import cell
from tests.analysis.test_seed_variance import draw
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.contrasts import compare_rows, find_row
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.interactions import compare_groups, compare_noise, find_languages
from xlift.errors import UserError

SHARES = {
    ("none", "sw"): 0.5,
    ("none", "de"): 0.5,
    ("nli", "sw"): 0.8,
    ("nli", "de"): 0.5,
    ("qa", "sw"): 0.5,
    ("qa", "de"): 0.5,
}
"""nli lifts in sw alone."""


def cells(targets: tuple[str, ...] = ("a", "b"), seeds: int = 3, noises: tuple[str, ...] = ("",)) -> list[ScoredCell]:
    rng = np.random.default_rng(4)
    return [
        cell(draw(rng, share), intermediate=name, seed=seed, target=target, language=language, noise=noise)
        for target in targets
        for (name, language), share in SHARES.items()
        for seed in range(seeds)
        for noise in noises
    ]


STUDY_CELLS = cells()


def rows(made: list[ScoredCell], *names: str):
    return [find_row(made, name) for name in names]


def test_an_interaction_is_the_difference_of_the_differences():
    both = compare_groups(STUDY_CELLS, *rows(STUDY_CELLS, "nli", "none"), (["sw"], ["de"]))
    assert [contrast.target for contrast in both] == ["all", "a", "b"]
    single = {
        (contrast.target, contrast.language): contrast.difference
        for contrast in compare_rows(STUDY_CELLS, *rows(STUDY_CELLS, "nli", "none"))
    }
    for contrast in both[1:]:
        expected = single[contrast.target, "sw"], single[contrast.target, "de"]
        assert contrast.scores == pytest.approx(expected)
        assert contrast.difference == pytest.approx(expected[0] - expected[1])
        assert contrast.p is not None
        assert contrast.p < 0.001
    assert both[0].difference == pytest.approx(np.mean([contrast.difference for contrast in both[1:]]))
    assert both[0].high - both[0].low < both[1].high - both[1].low


def test_no_interaction_is_not_marked():
    contrasts = compare_groups(STUDY_CELLS, *rows(STUDY_CELLS, "qa", "none"), (["sw"], ["de"]))
    assert all(contrast.p is not None and contrast.p > 0.05 for contrast in contrasts)
    assert all(contrast.low < 0 < contrast.high for contrast in contrasts)


def test_an_example_that_both_groups_have_cancels_out():
    # Equal answers in both languages: whatever the rows do, there is no interaction, and only 1/n² is left of its width.
    made = [
        cell(draw(np.random.default_rng([number, seed]), 0.6), intermediate=name, seed=seed, language=language)
        for number, name in enumerate(("none", "nli", "qa"))
        for seed in range(3)
        for language in ("sw", "de")
    ]
    (contrast,) = compare_groups(made, *rows(made, "nli", "none"), (["sw"], ["de"]))
    assert contrast.difference == pytest.approx(0)
    assert contrast.high - contrast.low < 0.02


def test_noise_is_compared_on_the_same_examples():
    made = cells(("a",), noises=("", "typos 10%"))
    short = [each for each in made if each.noise == ""]
    noisy = [each for each in made if each.noise]
    half = {str(number) for number in range(150)}
    noisy = [
        cell(
            "".join("1" if right else "0" for right, _ in each.counts[:150]), intermediate=each.intermediate, seed=each.seed,
            target="a", language=each.language, noise=each.noise,
        )
        for each in noisy
    ]  # fmt: skip
    (contrast,) = compare_noise([*short, *noisy], *rows(made, "nli", "none"), "typos 10%")
    assert contrast.language == "typos 10% / clean"
    assert set(noisy[0].ids) == half
    assert contrast.n == 4 * 150


def test_one_seed_has_no_p():
    made = cells(("a",), seeds=1)
    assert compare_groups(made, *rows(made, "nli", "none"), (["sw"], ["de"]))[0].p is None


LANGUAGES = [
    {"code": "sw", "family": "Atlantic-Congo", "script": "Latn", "tier": "low"},
    {"code": "de", "family": "Indo-European", "script": "Latn", "tier": "high"},
    {"code": "ru", "family": "Indo-European", "script": "Cyrl", "tier": "high"},
]


def test_groups_are_codes_families_scripts_or_tiers():
    assert find_languages("sw, ru", LANGUAGES) == ["sw", "ru"]
    assert find_languages("high", LANGUAGES) == ["de", "ru"]
    assert find_languages("Latn,ru", LANGUAGES) == ["sw", "de", "ru"]
    with pytest.raises(UserError, match="no language or group 'hihg'") as caught:
        find_languages("hihg", LANGUAGES)
    assert "did you mean 'high'" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda pair: compare_groups(STUDY_CELLS, *pair, (["sw"], ["sw"])), "in both groups"),
        (lambda pair: compare_groups(STUDY_CELLS, *pair, (["sw"], ["xx"])), "no target is scored in 'xx'"),
        (lambda pair: compare_groups(STUDY_CELLS, pair[0], pair[0], (["sw"], ["de"])), "both rows are 'nli'"),
        (lambda pair: compare_noise(STUDY_CELLS, *pair, "typos 10%"), "no scores with the noise"),
    ],
)
def test_errors(call, message: str):
    with pytest.raises(UserError, match=message):
        call(rows(STUDY_CELLS, "nli", "none"))


def test_the_command(xlift: Xlift, tmp_path: Path):
    text = STUDY.replace("size: 20}", "size: 20, languages: [qta, qka], noise: [{kind: typos, level: 0.1}]}")
    finished_study(study_file(tmp_path, text + "seeds: [0, 1]\n"), tmp_path / "store")
    words = ("compare", "study", "isle-qa", "none", "--store", tmp_path / "store")
    languages = xlift(*words, "--interaction", "languages=qka/qta").out
    assert "qka and qta: isle-qa minus none there" in " ".join(languages.split())
    noise = xlift(*words, "--interaction", "noise=typos 10%", "--json").out
    assert '"language": "typos 10% / clean"' in noise
    refused = xlift(*words, "--interaction", "qka/qta")
    assert refused.code == 2
    assert "names no interaction" in refused.err
    assert (
        "exclude each other"
        in xlift(*words, "--interaction", "noise=typos 10%", "--trend").err
        + xlift(*words, "--interaction", "noise=typos 10%", "--margin", "1").err
    )
