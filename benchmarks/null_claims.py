"""How often does `xlift claims` support a false claim, and how often does it find a true effect?

    PYTHONPATH=src OMP_NUM_THREADS=1 python -m benchmarks.null_claims

Simulated studies (benchmarks/coverage.py) of ten intermediate tasks, three targets and four languages without any effect,
and two families of ten claims about them, all of them false and correlated, since they share the baseline and rows:

- *lifts*: each intermediate task lifts;
- *mixed*: lifts on the mean and on single targets, contrasts, the best, and counts of several targets.

A family has a false verdict if one of its claims is *supported*: at most 2.5% may have one. *unadjusted* is the share with a
p-value below 2.5% before the adjustment for ten claims. Power is the share in which the first claim of *lifts* is supported
where the true lift of its task is 4 points, and those of the others are 0. se is a quarter of the mean width of an
interval, in points. The exit status is 1 if a share is above 2.5%; fewer than 1,000 repeats cannot tell.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from benchmarks.coverage import null_study
from benchmarks.timing import table
from xlift.analysis.verdicts import ALPHA, Judgement, judge
from xlift.claims import ClaimSet
from xlift.claims.parsing import parse_claims

TASKS = [f"task-{number}" for number in range(10)]
POWER_AT = 4.0
"""Points."""
MIXED: list[dict[str, Any]] = [
    *({"lift": task} for task in TASKS[:3]),
    {"lift": TASKS[0], "target": "a"},
    {"lift": TASKS[0], "target": ["a", "b", "c"], "at_least": 1},
    {"lift": TASKS[:4], "at_least": 1},
    {"contrast": [TASKS[0], TASKS[1]]},
    {"contrast": [TASKS[:3], TASKS[3:6]]},
    {"contrast": [TASKS[0], "none"], "target": "b"},
    {"best": TASKS[0]},
]
FAMILIES = {"lifts": [{"lift": task} for task in TASKS], "mixed": MIXED}


DESIGNS = ((2, 150, 1.5), (3, 300, 1.0))
"""Seeds, test examples, and the standard deviation of a run's score over seeds in points."""


def family(entries: list[dict[str, Any]]) -> ClaimSet:
    claims = [{"name": f"c{number}", "text": "False.", **entry} for number, entry in enumerate(entries)]
    return parse_claims({"question": "?", "languages": "all", "claims": claims}, lambda path: "")


def any_unadjusted(judgements: list[Judgement]) -> bool:
    """Whether a claim has a small p-value alone, with an effect of at least delta."""
    return any(
        part.p_support is not None and part.p_support < ALPHA and part.effect >= (judgement.delta or 0)
        for judgement in judgements
        for part in judgement.parts
    )


def simulate(repeats: int, seeds: int, n: int, sd: float, seed: int = 0) -> list[float]:
    """Shares with a false 'supported' in both families, without adjustment (lifts), and refuted; power, and se in points."""
    rng, counts = np.random.default_rng([seed, seeds, n]), np.zeros(6)
    for _ in range(repeats):
        cells = null_study(rng, len(TASKS), seeds, n, sd)
        lifts, mixed = (judge(family(entries), cells, {}) for entries in FAMILIES.values())
        counts += [
            any(each.verdict == "supported" for each in lifts),
            any(each.verdict == "supported" for each in mixed),
            any_unadjusted(lifts),
            np.mean([each.verdict == "refuted" for each in lifts]),
            judge(family(FAMILIES["lifts"]), null_study(rng, len(TASKS), seeds, n, sd, POWER_AT), {})[0].verdict
            == "supported",
            np.mean([(part.high - part.low) / 4 for each in lifts for part in each.parts]),
        ]
    return list(counts / repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    args = parser.parse_args()
    start_time, rows, failures = time.perf_counter(), [], 0
    for seeds, n, sd in DESIGNS:
        found = simulate(args.repeats, seeds, n, sd)
        failures += max(found[:2]) > ALPHA
        rows.append(
            [f"{seeds} seeds, n = {n}, sd {sd}", *(f"{100 * share:.1f}" for share in found[:-1]), f"{found[-1]:.2f}"]
        )
    heading = ["", "lifts, %", "mixed, %", "unadjusted, %", "refuted, %", f"power at {POWER_AT:g} points, %", "se"]
    print(f"{args.repeats} families of ten false claims: % with one that is supported\n")
    print(table(heading, rows))
    print(f"\n{failures} above {100 * ALPHA}%; {time.perf_counter() - start_time:.0f} s")
    return int(failures > 0 and args.repeats >= 1000)


if __name__ == "__main__":
    sys.exit(main())
