"""The variance between seeds that a study with one or two seeds borrows from another study of its store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.command import Xlift
from tests.support.fakes import STUDY as ALL_LANGUAGES
from tests.support.fakes import finished_study, study_file

from xlift.analysis.borrowed import borrow_tables, find_lenders
from xlift.analysis.intervals import PRIOR_FREEDOM, Estimate, SeedPool, spread
from xlift.analysis.scores import load_cells
from xlift.analysis.seed_variance import SeedTables
from xlift.report.study import Report, make_report
from xlift.studies.record import read_record
from xlift.studies.store import Store

STUDY = ALL_LANGUAGES.replace("size: 20}", "size: 20, languages: [qta, qka]}")
LENDER = STUDY.replace(
    "- {task: isle-qa, size: 100}", "- {task: isle-paraphrase, size: 100}\n  - {task: isle-pos, size: 90}"
)
THREE_SEEDS = "seeds: [5, 6, 7]\n"


def store_of(folder: Path, own: str = STUDY, lender: str = LENDER + THREE_SEEDS) -> Store:
    finished_study(study_file(folder, lender, "lender.yaml"), folder / "store")
    finished_study(study_file(folder, own), folder / "store")
    return Store(folder / "store")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("shared"))


def report(store: Store, *, borrow: bool = True) -> Report:
    return make_report(read_record(store, "study"), store, borrow_variance=borrow)


def lent(store: Store) -> SeedTables:
    record = read_record(store, "study")
    cells, _ = load_cells(record, store)
    return borrow_tables(find_lenders(record, store), cells, store)


def test_one_seed_borrows_and_names_the_study(shared: Store):
    made = report(shared)
    note = next(note for note in made.info.notes if "borrowed" in note)
    assert note.startswith(
        "The variance between seeds of isle-nli is borrowed from the study lender (3 pipelines, 3 seeds)"
    )
    lifts = [row for row in made.rows if row.lift is not None]
    assert {row.borrowed_from for row in made.rows} == {"lender"}
    assert all(row.lift_p is not None and row.in_best_set is not None for row in lifts)
    assert {(row.pooled_pipelines, row.seeds) for row in made.rows} == {(3, 1)}


def test_without_the_option_one_seed_has_no_marks_and_the_note_names_it(shared: Store):
    made = report(shared, borrow=False)
    assert all(row.lift_p is None and row.in_best_set is None and not row.borrowed_from for row in made.rows)
    assert any("`--borrow-variance` uses the variance between seeds of lender" in note for note in made.info.notes)


def test_borrowed_intervals_are_wider_than_those_over_examples(shared: Store):
    for one, other in zip(report(shared).rows, report(shared, borrow=False).rows, strict=True):
        assert one.value == other.value
        assert one.high - one.low > 0.99 * (other.high - other.low)


@pytest.mark.parametrize(
    "changed",
    [
        LENDER.replace("train: {size: 50}", "train: {size: 60}") + THREE_SEEDS,
        LENDER.replace("}, size: 20", "}, size: 19") + THREE_SEEDS,
        LENDER + THREE_SEEDS + "training: {lr: 0.003}\n",
        LENDER + "seeds: [5]\n",
    ],
    ids=["other training data", "other test examples", "other recipe", "one seed"],
)
def test_another_study_does_not_lend(tmp_path: Path, changed: str):
    store = store_of(tmp_path, lender=changed)
    assert lent(store) == {}
    assert any("not borrowed" in note for note in report(store).info.notes)


def test_an_unfinished_study_does_not_lend(tmp_path: Path):
    finished_study(study_file(tmp_path, LENDER + THREE_SEEDS, "lender.yaml"), tmp_path / "store", leave_out=1)
    finished_study(study_file(tmp_path, STUDY), tmp_path / "store")
    assert lent(Store(tmp_path / "store")) == {}


def test_three_seeds_do_not_borrow(tmp_path: Path):
    store = store_of(tmp_path, STUDY + "seeds: [0, 1, 2]\n")
    assert lent(store) == {}
    assert any("3 seeds of its own" in note for note in report(store).info.notes)


def test_a_mean_needs_the_same_languages(tmp_path: Path):
    store = store_of(tmp_path, lender=LENDER.replace("[qta, qka]", "[qta, qto]") + THREE_SEEDS)
    assert {language for _, _, language in lent(store)} == {"qta"}
    by_language = {row.language: row for row in report(store).rows if row.lift is not None}
    assert by_language["qta"].lift_p is not None
    assert by_language["all"].lift_p is None


def test_a_mean_over_targets_needs_all_targets(tmp_path: Path):
    more = "  - {task: isle-paraphrase, train: {size: 40}, size: 20, languages: [qta, qka]}\n"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert "all" not in {target.name for _, target, _ in lent(store_of(tmp_path / "a", own=STUDY + more))}
    assert "all" in {
        target.name for _, target, _ in lent(store_of(tmp_path / "b", STUDY + more, LENDER + more + THREE_SEEDS))
    }


def test_the_variance_of_one_seed_is_the_borrowed_one_and_that_of_examples():
    rng = np.random.default_rng(0)
    influence = rng.normal(size=(1, 200)) / 1000
    one = Estimate(np.array([0.4]), influence - influence.mean())
    examples = spread(one)
    pool = SeedPool(0.0009, 12.0, pipelines=4, source="other", seed_example=examples.variance / 4)
    found = spread(one, pool)
    assert found.variance == pytest.approx(0.0009 + examples.variance * 3 / 4)
    assert found.freedom == pytest.approx(PRIOR_FREEDOM, rel=0.5)


def test_compare_borrows(xlift: Xlift, shared: Store):
    words = ("compare", "study", "isle-qa", "none", "--store", shared.root)
    assert "there is no p" in " ".join(xlift(*words).out.split())
    out = " ".join(xlift(*words, "--borrow-variance").out.split())
    assert "there is no p" not in out
    assert "borrowed from the study lender" in out
