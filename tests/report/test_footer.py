"""What the sentences below tables say that intervals cover."""

from __future__ import annotations

from dataclasses import replace

from tests.report.synthetic import rows

from xlift.report.footer import footer

SMALL = {"targets": ("isle-pairs", "isle-spans"), "languages": ("vel", "kar"), "n": 60}


def test_the_pool_is_named_with_its_pipelines_and_degrees_of_freedom():
    made = rows(**SMALL, intermediates=("none", "isle-nli", "isle-qa", "isle-mlm"), seeds=3)
    text = footer(made)
    # Lifts of means: 3 x 2. Scores of single languages: 4 pipelines x 2 x 2 languages.
    assert "pooled over the 4 pipelines of a model and target (6 to 16 degrees of freedom)" in text
    assert "cover other seeds and other test examples of the same kind" in text
    assert "use 3 seeds" not in text
    assert "Unstable" not in text
    assert {row.pooled_pipelines for row in made} == {4}


def test_two_pipelines_use_their_own_variance():
    two = footer(rows(**SMALL, intermediates=("none", "isle-nli"), seeds=2))
    assert (
        "With fewer than three pipelines each row uses its own variance between seeds, which 2 seeds estimate badly"
        in two
    )
    assert "use 3 seeds or more" in two
    three = footer(rows(**SMALL, intermediates=("none", "isle-nli"), seeds=3))
    assert "each row uses its own variance between seeds." in three


def test_unstable_rows_are_named():
    made = rows(**SMALL, intermediates=("none", "isle-nli", "isle-qa", "isle-mlm"), seeds=2)
    marked = [replace(row, is_unstable=row.intermediate == "isle-qa" and row.language == "kar") for row in made]
    assert "Unstable: isle-qa on isle-pairs (kar), isle-qa on isle-spans (kar). Such a row" in footer(marked)
    many = [replace(row, is_unstable=row.intermediate == "isle-qa") for row in made]
    assert "isle-qa on the mean (all)" in footer(many)
    assert " 4 more. Such a row" in footer(many)


def test_means_are_about_their_languages_and_targets():
    made = rows(**SMALL, intermediates=("none", "isle-nli", "isle-qa"), seeds=2)
    assert "A mean is over these languages and targets; its interval does not cover others." in footer(made)
    one = [row for row in made if row.target == "isle-pairs"]
    assert "A mean is over these languages;" in footer(one)
    assert "A mean is" not in footer([row for row in one if row.language == "vel"])


def test_one_seed_covers_examples_only():
    text = footer(rows(**SMALL, intermediates=("none", "isle-nli", "isle-qa"), seeds=1))
    assert "do not cover the variation between seeds" in text
    assert "pooled" not in text
