"""Do intervals of two or three real seeds hold the mean of the other seeds, and does a third seed turn a page over?

    PYTHONPATH=src python -m benchmarks.seed_check benchmarks/data/quickstart-20-seeds.counts
    PYTHONPATH=src python -m benchmarks.seed_check STORE [STUDY]     # or a bundle; --save FILE keeps the counts

Takes a finished study with many seeds, N. Every pair of seeds, and a sample of the triples, is a small study of its own.
Its intervals are compared with the mean of the N - S other seeds:

- *seeds*: a 95% interval by the variance between seeds alone, since all seeds are scored on the same examples. The mean
  of the others has an error of its own: the variance of a mean of S seeds times S / (N - S) is added.
- *printed*: the interval that `xlift report` prints. It also allows for other examples, so it should hold more often.

Pairs overlap, so the coverages are less certain than their number suggests: the last column is their standard error, by
leaving out one seed at a time (a jackknife over seeds).

The first sentence of the page names the highest mean lift, if it is above zero, and the set that does not differ
significantly from it. The third seed *turns it over* if the named one is no longer in the set, if the new highest one was
not in the set before, or if nothing is above zero any more. The set may also become *wider*: an intermediate task that was
excluded is in it again. A sentence that names more than before, or a smaller set, agrees with the one before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from benchmarks.seed_counts import SUFFIX, read_counts, write_counts
from benchmarks.timing import table
from xlift.analysis.estimates import BASELINE, MEAN, MEANS, PipelineKey, ScoredCell, ScoreEstimates
from xlift.analysis.intervals import LEVEL, Estimate, SeedPool, lift_interval, score_interval, spread
from xlift.analysis.lift import LiftRow, lift_rows
from xlift.analysis.means import estimate_with_means, paired_difference
from xlift.analysis.scores import load_cells
from xlift.analysis.seed_variance import SeedPools
from xlift.report.page import find_best_lift
from xlift.studies.bundle import store_of_bundle
from xlift.studies.bundle_files import is_bundle
from xlift.studies.record import list_studies, read_record
from xlift.studies.store import Store

Kind = tuple[str, str]
"""'lift' or 'score'; and 'language', 'mean of a target' or 'mean of all targets'."""


class Check(NamedTuple):
    """One interval of a few seeds against the mean of the others."""

    kind: Kind
    by_seeds: bool
    """Whether the interval of the variance between seeds holds it."""
    as_printed: bool
    half_width: float
    """Of the printed interval, in points."""


def select_seeds(scores: ScoreEstimates, seeds: Sequence[int]) -> ScoreEstimates:
    """The estimates of these seeds alone."""
    return {
        key: replace(score, seeds=tuple(seeds), estimate=score.select_seeds(seeds)) for key, score in scores.items()
    }


def check_seeds(scores: ScoreEstimates, seeds: Sequence[int]) -> Iterator[Check]:
    """The intervals of all scores and lifts by these seeds, each against the mean of the other seeds."""
    few = select_seeds(scores, seeds)
    pools = SeedPools.of(few)
    for key, score in few.items():
        pipeline, target, language = key
        part = (
            "language"
            if language not in MEANS
            else "mean of all targets"
            if target.metric == MEAN
            else "mean of a target"
        )
        pool, every = pools.of_score(*key), scores[key].estimate
        if score.estimate.scores.any() and np.ptp(every.scores):  # else no seed changes it
            low, high = score_interval(score.estimate, score.lowest_score, pool)[1:]
            yield _check(("score", part), score.estimate, every, pool, low, high)
        baseline = (PipelineKey(pipeline.model, BASELINE, "", ""), target, language)
        if pipeline.intermediate == BASELINE or baseline not in few:
            continue
        lift, every = paired_difference(score, few[baseline]), paired_difference(scores[key], scores[baseline])
        pool = pools.of_difference(pipeline, baseline[0], target, language)
        if lift is not None and every is not None and np.ptp(every.scores):
            low, high = lift_interval(lift, pool=pool, floor=score.floor)[1:]
            yield _check(("lift", part), lift, every, pool, low, high)


def _check(kind: Kind, few: Estimate, every: Estimate, pool: SeedPool | None, low: float, high: float) -> Check:
    count, total = len(few.scores), len(every.scores)
    others = (every.scores.sum() - few.scores.sum()) / (total - count)
    between = spread(Estimate(few.scores, np.zeros((count, 2))), pool)
    half = stdtrit(between.freedom, (1 + LEVEL) / 2) * np.sqrt(between.variance * (1 + count / (total - count)))
    return Check(kind, bool(abs(few.value - others) <= half), low <= others <= high, 50 * (high - low))


class Sentence(NamedTuple):
    """What the first sentence of the page names."""

    best: str
    """'' if no mean lift is above zero."""
    together: frozenset[str]
    """It and those that do not differ significantly from it."""

    @classmethod
    def of(cls, rows: Sequence[LiftRow]) -> Sentence:
        found = find_best_lift(rows)
        if found is None:
            return cls("", frozenset())
        best, *tied = (
            f"{row.model} {row.intermediate} {row.intermediate_language} {row.size}" for row in (found.row, *found.tied)
        )
        return cls(best, frozenset([best, *tied]))

    def change(self, later: Sentence) -> str:
        """'agrees', 'wider' or 'turned over' (see above)."""
        if not self.best:
            return "agrees"
        if self.best not in later.together or later.best not in self.together:
            return "turned over"
        return "agrees" if later.together <= self.together else "wider"


def coverage_rows(scores: ScoreEstimates, seeds: Sequence[int], subsets: Sequence[tuple[int, ...]]) -> list[list[str]]:
    """A row for every kind: intervals, coverage by seeds and as printed, half the mean width, standard error."""
    checks = {subset: list(check_seeds(scores, subset)) for subset in subsets}
    kinds = sorted({check.kind for found in checks.values() for check in found})
    rows = []
    for kind in kinds:
        own = {subset: [check for check in found if check.kind == kind] for subset, found in checks.items()}
        every = [check for found in own.values() for check in found]
        held = {subset: (sum(check.by_seeds for check in found), len(found)) for subset, found in own.items()}
        left_out = [_share(count for subset, count in held.items() if seed not in subset) for seed in seeds]
        error = np.sqrt((len(seeds) - 1) * np.var(left_out))
        rows.append([
            *kind, str(len(subsets[0])), str(len(every)), f"{100 * _share(held.values()):.1f}",
            f"{100 * np.mean([check.as_printed for check in every]):.1f}",
            f"{np.mean([check.half_width for check in every]):.2f}", f"{100 * error:.1f}",
        ])  # fmt: skip
    return rows


def _share(counts: Iterable[tuple[int, int]]) -> float:
    held, total = np.sum(list(counts), axis=0)
    return float(held / total)


def sentences(cells: Sequence[ScoredCell], subsets: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Sentence]:
    """The first sentence of the page of these seeds alone."""
    controls = {cell.intermediate: (cell.control, cell.control_of) for cell in cells if cell.control}
    scores, targets = estimate_with_means(cells)
    # The sentence is about the means over targets, if there are some.
    means = {key: score for key, score in scores.items() if key[1].metric == MEAN} or scores
    return {subset: Sentence.of(lift_rows(select_seeds(means, subset), targets, controls)) for subset in subsets}


@contextmanager
def _open(path: Path, study: str | None) -> Iterator[list[ScoredCell]]:
    if path.suffix == SUFFIX:
        yield read_counts(path)
    elif is_bundle(path):
        with store_of_bundle(path) as (name, store):
            yield load_cells(read_record(store, name), store)[0]
    else:
        store = Store(path)
        yield load_cells(read_record(store, study or list_studies(store)[0]), store)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a store, a bundle, or a file of counts")
    parser.add_argument("study", nargs="?", help="the study of the store; the only one by default")
    parser.add_argument("--save", type=Path, help="write the counts to this file")
    parser.add_argument("--triples", type=int, default=190, help="how many triples to check for coverage")
    parser.add_argument("--no-sentences", action="store_true", help="leave out the first sentences")
    args = parser.parse_args()
    start_time = time.perf_counter()
    with _open(args.path, args.study) as loaded:
        cells = [cell for cell in loaded if not cell.noise]
    if args.save:
        write_counts(cells, args.save)
    finished: dict[int, int] = {}
    for cell in cells:
        finished[cell.seed] = finished.get(cell.seed, 0) + 1
    seeds = sorted(seed for seed, count in finished.items() if count == max(finished.values()))
    if len(seeds) < 5:
        print(f"{len(seeds)} finished seeds; five are needed.", file=sys.stderr)
        return 2
    cells = [cell for cell in cells if cell.seed in seeds]
    scores, _ = estimate_with_means(cells)
    pairs, triples = list(combinations(seeds, 2)), list(combinations(seeds, 3))
    rng = np.random.default_rng(0)
    sample = [triples[index] for index in rng.permutation(len(triples))[: args.triples]]
    heading = ["", "of", "seeds", "intervals", "seeds, %", "printed, %", "± points", "error, %"]
    print(f"{len(seeds)} seeds\n")
    print(table(heading, coverage_rows(scores, seeds, pairs) + coverage_rows(scores, seeds, sample)), flush=True)
    if not args.no_sentences:
        found = sentences(cells, pairs + triples)
        changes = [
            found[pair].change(found[tuple(sorted((*pair, seed)))])
            for pair in pairs
            for seed in seeds
            if seed not in pair
        ]
        named = sum(bool(found[pair].best) for pair in pairs)
        alone = sum(len(found[pair].together) == 1 for pair in pairs)
        print(f"\n{named} of {len(pairs)} pairs name a mean lift above zero, {alone} as the only best one.")
        cases = named * (len(seeds) - 2)
        if cases:
            print(f"A third seed turns {changes.count('turned over')} of their {cases} cases over.")
        for change in ("agrees", "wider", "turned over"):
            print(
                f"{change}: {changes.count(change)} of {len(changes)} ({100 * changes.count(change) / len(changes):.1f}%)"
            )
    print(f"\n{time.perf_counter() - start_time:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
