"""How often do 95% intervals contain the true value? Simulated crossed seeds x examples with a known true value.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/coverage.py

An answer is correct if a latent normal value is positive: ability + seed + example (shared by pipelines) + pipeline x
example + seed x example. Over half of the latent variance is due to the example. The score of one run has a standard
deviation over seeds of about 0.6 (sd 0.02), 1.6 (0.05) or 3 points (0.1): the range of fine-tuned encoders from large
to small target tasks [judgement]. F1 is computed from (tp, predicted, gold) counts per sentence; its true value is an
integral over seeds.

Methods: `xlift`: the method of the package; `examples`, `seeds`: one source of variance with Student's t; `sum, t`:
both, as xlift but without Wilson's form for scores; `once, t`: the seed x example part counted once (unbiased);
`Banerjee`: a quantile for each part;
`pigeonhole` (Owen), `Rao-Wu`: two-way bootstraps.

Prints one line per quantity, number of seeds S and examples n: coverage in % / mean width in points, for every method.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from xlift.analysis.intervals import Estimate, lift_interval, linearise, score_interval, spread

EXAMPLE, PIPELINE_EXAMPLE, SEED_EXAMPLE = 0.55, 0.20, 0.25
"""Variances on the latent scale; they sum to 1."""
LIFT = 0.12
"""Latent gain of the pipeline over the baseline: about 3.7 points at 75%."""
BOOTSTRAPS = 200
METHODS = ("xlift", "examples", "seeds", "sum, t", "once, t", "Banerjee", "pigeonhole", "Rao-Wu")
QUANTITIES = {"accuracy 75%": 0.75, "accuracy 97%": 0.97, "F1 75%": 0.75, "lift": 0.75}

Bounds = dict[str, tuple[float, float]]


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0] / counts[..., 1]


def f1(counts: np.ndarray) -> np.ndarray:
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1e-9)


def draw_latent(rng: np.random.Generator, level: float, pipelines: int, seeds: int, n: int, sd: float) -> np.ndarray:
    """(pipelines, seeds, n) latent values; the answer is correct if positive."""
    ability = ndtri(level) + LIFT * np.arange(pipelines)
    return (
        ability[:, None, None]
        + rng.normal(size=(pipelines, seeds, 1)) * sd
        + rng.normal(size=(1, 1, n)) * np.sqrt(EXAMPLE)
        + rng.normal(size=(pipelines, 1, n)) * np.sqrt(PIPELINE_EXAMPLE)
        + rng.normal(size=(pipelines, seeds, n)) * np.sqrt(SEED_EXAMPLE)
    )


def draw_counts(rng: np.random.Generator, quantity: str, seeds: int, n: int, sd: float) -> np.ndarray:
    """(pipelines, seeds, n, K) counts."""
    latent = draw_latent(rng, QUANTITIES[quantity], 2 if quantity == "lift" else 1, seeds, n, sd)
    if not quantity.startswith("F1"):
        return np.stack([latent > 0, np.ones_like(latent)], axis=-1).astype(float)
    gold = np.broadcast_to(1 + rng.poisson(2, size=n), latent.shape)
    found = rng.binomial(gold, ndtr(2 * latent))
    return np.stack([found, found + rng.binomial(gold - found, 0.8), gold], axis=-1).astype(float)


def true_value(quantity: str, sd: float) -> float:
    ability = ndtri(QUANTITIES[quantity])
    if quantity.startswith("accuracy"):
        return float(ndtr(ability / np.hypot(1, sd)))
    if quantity == "lift":
        return float(ndtr((ability + LIFT) / np.hypot(1, sd)) - ndtr(ability / np.hypot(1, sd)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    recall = ndtr(2 * (ability + sd * nodes) / np.hypot(1, 2))
    return float(np.sum(weights * 2 * recall / (recall + 0.8 * (1 - recall) + 1)) / weights.sum())


def estimate(counts: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    runs = [linearise(run, value) for run in counts]
    return Estimate(np.array([score for score, _ in runs]), np.stack([influence for _, influence in runs]))


def analytic_bounds(e: Estimate) -> Bounds:
    """Intervals of the methods without resampling."""
    seeds, n = e.influence.shape
    per_example = e.influence.mean(axis=0)
    examples, t_examples = np.square(per_example).sum(), stdtrit(n - 1, 0.975)
    half = {"examples": t_examples * np.sqrt(examples)}
    variance, freedom = spread(e)
    half["sum, t"] = stdtrit(freedom, 0.975) * np.sqrt(variance)
    if seeds > 1:
        t_seeds, over_seeds = stdtrit(seeds - 1, 0.975), e.scores.var(ddof=1) / seeds
        both = np.square(e.influence - per_example).sum() / (seeds - 1) / seeds
        seed_only = max(0.0, over_seeds - both)
        freedom = (seed_only + examples) ** 2 / (seed_only**2 / (seeds - 1) + examples**2 / (n - 1) + 1e-30)
        freedom = max(1.0, freedom)  # every answer is correct: no variance
        half["seeds"] = t_seeds * np.sqrt(over_seeds)
        half["once, t"] = stdtrit(freedom, 0.975) * np.sqrt(seed_only + examples)
        half["Banerjee"] = np.sqrt(t_seeds**2 * over_seeds + t_examples**2 * examples)
    return {name: (e.value - h, e.value + h) for name, h in half.items()}


def draw_bootstrap_weights(rng: np.random.Generator, seeds: int, n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Method -> (B, seeds) and (B, n) weights of the two-way bootstraps."""

    def draws(size: int, of: int) -> np.ndarray:
        return rng.multinomial(size, np.full(of, 1 / of), size=BOOTSTRAPS)

    found = {"pigeonhole": (draws(seeds, seeds) / seeds, draws(n, n).astype(float))}
    if seeds > 1:  # Rao-Wu draws one unit fewer, so it needs two seeds
        found["Rao-Wu"] = (draws(seeds - 1, seeds) / (seeds - 1), draws(n - 1, n) * (n / (n - 1)))
    return found


def bootstrap_bounds(
    counts: np.ndarray, value: Callable[[np.ndarray], np.ndarray], drawn: dict[str, tuple[np.ndarray, np.ndarray]]
) -> Bounds:
    pipelines, seeds, n, k = counts.shape
    flat = counts.transpose(2, 0, 1, 3).reshape(n, -1)
    bounds: Bounds = {}
    for name, (seed_weights, example_weights) in drawn.items():
        scores = value((example_weights @ flat).reshape(-1, pipelines, seeds, k))  # (B, pipelines, seeds)
        scores = np.einsum("brs,bs->br", scores, seed_weights)
        scores = scores[:, -1] - scores[:, 0] if pipelines == 2 else scores[:, 0]
        if name == "pigeonhole":
            bounds[name] = (float(np.quantile(scores, 0.025)), float(np.quantile(scores, 0.975)))
        else:
            mid, half = scores.mean(), 1.96 * scores.std(ddof=1)
            bounds[name] = (mid - half, mid + half)
    return bounds


def simulate(
    rng: np.random.Generator, quantity: str, seeds: int, n: int, sd: float, repeats: int
) -> dict[str, np.ndarray]:
    """Method -> mean (coverage, width) over repeats."""
    value, target = (f1 if quantity.startswith("F1") else accuracy), true_value(quantity, sd)
    drawn = draw_bootstrap_weights(rng, seeds, n)
    sums: dict[str, np.ndarray] = {}
    for _ in range(repeats):
        counts = draw_counts(rng, quantity, seeds, n, sd)
        estimates = [estimate(pipeline, value) for pipeline in counts]
        e = estimates[1] - estimates[0] if len(estimates) == 2 else estimates[0]
        ours = lift_interval(e) if len(estimates) == 2 else score_interval(e)
        bounds = {"xlift": (ours.low, ours.high), **analytic_bounds(e), **bootstrap_bounds(counts, value, drawn)}
        for name, (low, high) in bounds.items():
            low, high = max(low, -1.0), min(high, 1.0)
            sums[name] = sums.get(name, 0) + np.array([low <= target <= high, high - low])
    return {name: total / repeats for name, total in sums.items()}


def format_row(found: dict[str, np.ndarray]) -> str:
    return " | ".join(f"{found[m][0] * 100:.0f} / {found[m][1] * 100:.1f}" if m in found else "-" for m in METHODS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, start_time = np.random.default_rng(args.seed), time.perf_counter()
    for sd in (0.02, 0.05, 0.1):
        print(f"\nsd over seeds {sd} (latent), {args.repeats} repeats: coverage % / mean width in points\n")
        print("| quantity | S | n | " + " | ".join(METHODS) + " |\n|" + " --- |" * (3 + len(METHODS)))
        for seeds in (1, 2, 3, 5):
            found = {
                (quantity, n): simulate(rng, quantity, seeds, n, sd, args.repeats)
                for quantity in QUANTITIES
                for n in (50, 300, 2000)
            }
            for (quantity, n), methods in found.items():
                print(f"| {quantity} | {seeds} | {n} | {format_row(methods)} |")
            names = next(iter(found.values()))
            average = {name: np.mean([methods[name] for methods in found.values()], axis=0) for name in names}
            print(f"| **mean** | {seeds} | | {format_row(average)} |", flush=True)
    print(f"\n{time.perf_counter() - start_time:.0f} s")


if __name__ == "__main__":
    main()
