"""How often do 95% intervals contain the true value, and how often is a study without any effect given a winner?

    PYTHONPATH=src OMP_NUM_THREADS=1 python -m benchmarks.coverage

Simulated studies with known true values: R pipelines and a baseline, S seeds, n test examples in L languages. An answer
is correct if a latent normal value is positive: ability + seed + example + pipeline x example + seed x example. 30% of
the variance between seeds is shared by all pipelines, since they are trained with the same seeds. `sd` is the standard
deviation of a run's score over seeds in points: about 0.3 to 3 for fine-tuned encoders [judgement].

Prints one line per cell with the coverage of lifts and of scores in percent, half the mean width in points, and what
intervals without pooling over pipelines give. The gates are 93% and 97%; a number outside of them is marked: with (),
where the reason is known (`Cell.weakness`), else with *. The second table counts false findings in studies without any
effect. The exit status is 1 if a number has a * or a leader is named in more than 2.5% of those studies; fewer than 1,000
repeats cannot tell, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.intervals import Estimate, Interval, example_floor, lift_interval, linearise, score_interval
from xlift.analysis.lift import compute_lifts
from xlift.analysis.seed_variance import SeedTable
from xlift.report.page import summarize_lifts

GATE, WIDEST = 0.93, 0.97
SHARED = 0.3
"""Share of the variance between seeds that all pipelines have in common."""
LEVEL = 0.75
"""Score of an average run."""
CLUSTER = 5
"""Examples of one unit, such as questions on one paragraph."""
SPARSE = 0.005
"""Share of the examples that carry a sparse lift."""


@dataclass(frozen=True)
class Cell:
    """One simulated design."""

    quantity: str
    """'accuracy', 'F1', 'clusters', 'sparse lift', 'one language of 10', 'mean of 10 languages', 'unequal pipelines' (the
    last one has three times the standard deviation over seeds) or 'untrained baseline' (no variance over seeds)."""
    seeds: int
    n: int
    sd: float
    """Points."""
    pipelines: int = 5
    """Without the baseline."""

    @property
    def languages(self) -> int:
        return 10 if "10" in self.quantity else 1

    @property
    def weakness(self) -> str:
        """Why the gates need not hold; '' if they have to."""
        if self.quantity == "sparse lift":
            return "an interval has to allow for examples that were not drawn"
        if self.pipelines == 1 and self.sd < 3:
            return "one degree of freedom tells little: intervals are wide in case the seeds vary more than they show"
        if self.quantity == "one language of 10":
            return "its variance is that of all languages, which is known better than the degrees of freedom say"
        if self.quantity == "unequal pipelines":
            return "an unstable pipeline widens the intervals of the others"
        return ""


CELLS = [
    *(Cell("accuracy", seeds, n, sd) for seeds in (2, 3, 5) for n, sd in ((200, 0.3), (1000, 1.0), (5000, 3.0))),
    *(Cell("F1", seeds, n, sd) for seeds in (2, 3) for n, sd in ((200, 1.0), (1000, 3.0))),
    *(Cell("clusters", seeds, 1000, 1.0) for seeds in (2, 3)),
    *(Cell("sparse lift", seeds, n, 0.0) for seeds in (2, 3) for n in (150, 1000)),
    *(Cell("one language of 10", seeds, n, 3.0) for seeds in (2, 3, 5) for n in (200, 1000)),
    *(Cell("mean of 10 languages", seeds, 300, sd) for seeds in (2, 3, 5) for sd in (1.2, 3.0)),
    *(Cell("untrained baseline", seeds, 1000, 3.0) for seeds in (2, 3)),
    *(Cell("unequal pipelines", seeds, 1000, 1.0) for seeds in (2, 3)),
    *(Cell("accuracy", 2, 1000, 3.0, pipelines) for pipelines in (1, 2, 9)),
    *(Cell("accuracy", 2, 1000, 1.0, pipelines) for pipelines in (1, 2)),
    *(Cell("accuracy", 3, 1000, 3.0, pipelines) for pipelines in (1, 2)),
]


def seed_sds(cell: Cell) -> np.ndarray:
    """(P,) standard deviations over seeds on the latent scale, the baseline first."""
    ability = ndtri(LEVEL)
    sds = np.full(cell.pipelines + 1, cell.sd / 100 / np.exp(-(ability**2) / 2) * np.sqrt(2 * np.pi))
    if cell.quantity == "untrained baseline":
        sds[0] = 0
    if cell.quantity == "unequal pipelines":
        sds[-1] *= 3
    return sds


def draw_latent(rng: np.random.Generator, cell: Cell) -> np.ndarray:
    """(P, S, L, n) latent values."""
    rows, seeds, languages, n = cell.pipelines + 1, cell.seeds, cell.languages, cell.n
    alone = 0.4 if languages > 1 else 0.0
    """Share of the variance between seeds, after the shared part, that differs between languages."""
    shift = (
        np.sqrt(SHARED) * rng.normal(size=(1, seeds, 1, 1))
        + np.sqrt((1 - SHARED) * (1 - alone)) * rng.normal(size=(rows, seeds, 1, 1))
        + np.sqrt((1 - SHARED) * alone) * rng.normal(size=(rows, seeds, languages, 1))
    )
    # Translations of an example are easy or hard together. Examples of a cluster are too.
    meaning = rng.normal(size=(1, 1, 1, n)) * np.sqrt(0.35)
    own = rng.normal(size=(1, 1, languages, n)) * np.sqrt(0.2)
    pipeline = rng.normal(size=(rows, 1, languages, n))
    if cell.quantity == "clusters":
        meaning = np.repeat(rng.normal(size=(1, 1, 1, n // CLUSTER)), CLUSTER, axis=-1) * np.sqrt(0.35)
        pipeline = np.repeat(rng.normal(size=(rows, 1, languages, n // CLUSTER)), CLUSTER, axis=-1)
    noise = rng.normal(size=(rows, seeds, languages, n)) * np.sqrt(0.25)
    return ndtri(LEVEL) + shift * seed_sds(cell)[:, None, None, None] + meaning + own + pipeline * np.sqrt(0.2) + noise


def f1(counts: np.ndarray) -> np.ndarray:
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1e-9)


def draw_runs(rng: np.random.Generator, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """(P, S, L) scores and (P, S, L, units) influences."""
    rows, seeds, n = cell.pipelines + 1, cell.seeds, cell.n
    if cell.quantity == "sparse lift":  # all runs answer alike, but for the examples that every pipeline gets right
        is_sparse = rng.random(n) < SPARSE
        right = np.tile((rng.random(n) < LEVEL) & ~is_sparse, (rows, seeds, 1, 1))
        right[1:] |= is_sparse
    else:
        latent = draw_latent(rng, cell)
        if cell.quantity == "F1":
            gold = np.broadcast_to(1 + rng.poisson(2, size=n), latent.shape)
            found = rng.binomial(gold, ndtr(2 * latent))
            counts = np.stack([found, found + rng.binomial(gold - found, 0.8), gold], axis=-1).astype(float)
            runs = [[linearise(run[0], f1) for run in pipeline] for pipeline in counts]
            scores = np.array([[[score] for score, _ in pipeline] for pipeline in runs])
            return scores, np.array([[[influence] for _, influence in pipeline] for pipeline in runs])
        right = latent > 0
    units = right.reshape(*right.shape[:-1], -1, CLUSTER if cell.quantity == "clusters" else 1).mean(axis=-1)
    count, scores = units.shape[-1], units.mean(axis=-1)
    return scores, (units - scores[..., None]) / np.sqrt(count * (count - 1))


def true_scores(cell: Cell) -> np.ndarray:
    """(P,) true scores."""
    ability, sds = ndtri(LEVEL), seed_sds(cell)
    if cell.quantity == "sparse lift":
        return np.array([LEVEL * (1 - SPARSE), *[LEVEL * (1 - SPARSE) + SPARSE] * cell.pipelines])
    if cell.quantity != "F1":
        return ndtr(ability / np.hypot(1, sds))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    recall = ndtr(2 * (ability + sds[:, None] * nodes) / np.hypot(1, 2))
    return (2 * recall / (recall + 0.8 * (1 - recall) + 1)) @ weights / weights.sum()


def intervals(cell: Cell, scores: np.ndarray, influences: np.ndarray) -> Iterator[tuple[str, int, Interval]]:
    """The kind, pipeline and interval of every lift and score of a study; '... alone' are without pooling."""
    is_mean = cell.quantity.startswith("mean")
    table = SeedTable(scores.mean(axis=2, keepdims=True) if is_mean else scores)
    estimates = [
        Estimate(s.mean(axis=1), i.mean(axis=1)) if is_mean else Estimate(s[:, 0], i[:, 0])
        for s, i in zip(scores, influences, strict=True)
    ]
    for row, estimate in enumerate(estimates):
        yield "score", row, score_interval(estimate, pool=table.score_pool(row))
        yield "score alone", row, score_interval(estimate)
        if row:
            lift = estimate - estimates[0]
            floor = example_floor(cell.n) / cell.languages if is_mean else example_floor(cell.n)
            yield "lift", row, lift_interval(lift, pool=table.difference_pool(row), floor=floor)
            yield "lift alone", row, lift_interval(lift, floor=floor)


def simulate(cell: Cell, repeats: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Kind -> coverage and half the mean width. The least stable of unequal pipelines has kinds of its own."""
    rng, truth = np.random.default_rng([seed, CELLS.index(cell) if cell in CELLS else len(CELLS)]), true_scores(cell)
    found: dict[str, list[tuple[bool, float]]] = {}
    for _ in range(repeats):
        for kind, row, (_, low, high) in intervals(cell, *draw_runs(rng, cell)):
            if cell.quantity == "unequal pipelines" and row == cell.pipelines:
                kind += ", unstable"
            true = truth[row] - (truth[0] if kind.startswith("lift") else 0)
            found.setdefault(kind, []).append((low <= true <= high, high - low))
    return {
        kind: (float(np.mean([held for held, _ in each])), float(50 * np.mean([width for _, width in each])))
        for kind, each in found.items()
    }


def null_study(
    rng: np.random.Generator, pipelines: int, seeds: int, n: int, sd: float, lift: float = 0.0
) -> list[ScoredCell]:
    """A study of three targets in four languages without any effect, but for `lift` points of the first pipeline."""
    cells = []
    names = ["none", *(f"task-{number}" for number in range(pipelines))]
    for target in ("a", "b", "c"):
        design = Cell("mean of 10 languages", seeds, n, sd, pipelines)
        latent = draw_latent(rng, design)
        latent[1] += (ndtri(LEVEL + lift / 100) - ndtri(LEVEL)) * np.hypot(1, seed_sds(design)[1])
        right = (latent > 0)[:, :, :4].astype(float)
        for row, name in enumerate(names):
            for seed in range(seeds):
                for language in range(4):
                    counts = np.stack([right[row, seed, language], np.ones(n)], axis=-1)
                    cells.append(
                        ScoredCell(
                            "m", name, "en", "", seed, target, f"q{language}", "accuracy", [str(i) for i in range(n)],
                            counts, lambda counts: counts[..., 0] / counts[..., 1],
                        )
                    )  # fmt: skip
    return cells


def false_findings(repeats: int, seeds: int, sd: float, pipelines: int = 9, seed: int = 1) -> dict[str, float]:
    """Shares of studies without any effect: with a leader in the first sentence, with a mark on a mean, with a mark on a
    language; and the share of marked language cells."""
    rng = np.random.default_rng([seed, seeds])
    counts = dict.fromkeys(("leader", "mean marked", "language marked", "language cells"), 0.0)
    for _ in range(repeats):
        rows = compute_lifts(null_study(rng, pipelines, seeds, 150, sd))
        languages = [row.sign != 0 for row in rows if not row.is_mean and row.lift is not None]
        means = [row.sign != 0 for row in rows if row.target == row.language == "all" and row.lift is not None]
        summary = summarize_lifts(rows)
        counts["leader"] += " has the highest lift" in summary or "The highest mean lift" in summary
        counts["leader"] += "raises the average:" in summary
        counts["mean marked"] += any(means)
        counts["language marked"] += any(languages)
        counts["language cells"] += float(np.mean(languages))
    return {name: count / repeats for name, count in counts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--null-repeats", type=int, default=400)
    parser.add_argument("--cells", type=int, nargs=2, default=(0, len(CELLS)), help="only these cells: first and end")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start_time, failures = time.perf_counter(), 0
    print(f"{args.repeats} repeats: coverage in % / half the mean width in points; * or () outside of 93 to 97%\n")
    print("| quantity | R | S | n | sd | lift | lift alone | score | score alone |\n|" + " --- |" * 9)
    for cell in CELLS[slice(*args.cells)]:
        found = simulate(cell, args.repeats, args.seed)
        for suffix in ("", ", unstable") if cell.quantity == "unequal pipelines" else ("",):
            texts = []
            for kind in ("lift", "lift alone", "score", "score alone"):
                coverage, width = found[kind + suffix]
                text, is_outside = f"{100 * coverage:.1f}", not GATE <= coverage <= WIDEST and "alone" not in kind
                if is_outside and (cell.weakness or suffix):  # an unstable pipeline is flagged in tables
                    text = f"({text})"
                elif is_outside:
                    text, failures = f"{text}*", failures + 1
                texts.append(f"{text} / {width:.2f}")
            where = f"{cell.quantity}{suffix} | {cell.pipelines} | {cell.seeds} | {cell.n} | {cell.sd}"
            print(f"| {where} | " + " | ".join(texts) + " |", flush=True)
    print(
        f"\n{args.null_repeats} studies without any effect, nine pipelines, three targets, four languages: % of studies\n"
    )
    print(
        "| S | a leader is named | a mean is marked | a language is marked | language cells marked |\n|" + " --- |" * 5
    )
    for seeds in (1, 2, 3) if args.null_repeats else ():
        found = false_findings(args.null_repeats, seeds, 1.5)
        failures += found["leader"] > 0.025
        print(f"| {seeds} | " + " | ".join(f"{100 * share:.1f}" for share in found.values()) + " |", flush=True)
    print(f"\n{failures} outside of the gates; {time.perf_counter() - start_time:.0f} s")
    return int(failures > 0 and args.repeats >= 1000)


if __name__ == "__main__":
    sys.exit(main())
