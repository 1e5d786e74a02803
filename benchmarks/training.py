"""XNLI-shaped fine-tuning of a random model of XLM-R's shape: our engine against HF Trainer and against XTREME's recipe.

    python -m benchmarks.training [--json] [--shape base|small|tiny] [--steps 8] [--repeats 3]
    python -m benchmarks.training --parts        what each part of our engine gives
    python -m benchmarks.training --precision    from which width on bf16 pays

Run it alone: about ten minutes a round at base shape on two cores, and up to ten gigabytes. Every contestant is a process of its
own, one at a time, in turns; with all cores, and threads that wait actively (OMP_WAIT_POLICY=ACTIVE). Each takes a step to
warm up, which does not count, and `--steps` others of 32 rows. Ours and Trainer compute in the same precision. Real tokens
are counted, padding is not. Memory is the most that the process held, interpreter and torch (some 400 MB) included.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks import xnli_shape
from benchmarks.timing import in_processes, ratios, spread, table
from benchmarks.training_changes import CHANGES
from benchmarks.training_runs import Run, parameters

NAMES = {
    "ours": "xlift",
    "trainer": "HF Trainer",
    "trainer_grouped": "HF Trainer, grouped by length",
    "fixed128": "padded to 128, fp32, as XTREME",
}
WIDTHS = (128, 256, 512, 768)
Told = dict[str, list[dict[str, Any]]]


def measure(runs: dict[str, Run], repeats: int) -> Told:
    environment = {"OMP_WAIT_POLICY": "ACTIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    if any(run.threads == 0 for run in runs.values()):
        os.environ.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as temporary:
        folders = {run.sizes(): f"{temporary}/{number}" for number, run in enumerate(runs.values())}
        makers = [replace(run, way="make", folder=folders[run.sizes()]) for run in runs.values()]
        in_processes({f"make {run.folder}": run.command() for run in makers}, 1)
        commands = {name: replace(run, folder=folders[run.sizes()]).command() for name, run in runs.items()}
        told = in_processes(commands, repeats, environment)
    guessing = math.log(len(xnli_shape.LABELS))  # labels are random: there is nothing to learn
    for name, rounds in told.items():
        for loss in [numbers["loss"] for numbers in rounds if "loss" in numbers]:
            if not guessing / 2 < loss < 2 * guessing:
                sys.exit(f"{name}: the mean loss is {loss}, far from the {guessing:.2f} of guessing")
    return told


def column(told: Told, name: str, key: str) -> list[float]:
    return [numbers[key] for numbers in told[name]]


def rows(told: Told, names: dict[str, str], base: str) -> list[Sequence[object]]:
    """Of a table of contestants; the last two columns compare with `base`, round by round."""
    return [
        (
            title,
            spread(column(told, name, "step")),
            spread(column(told, name, "rate"), ",.0f"),
            spread(column(told, name, "peak"), ",.0f"),
            spread(column(told, name, "besides"), ",.1f"),
            spread(column(told, name, "loss"), ".3f"),
            spread(ratios(column(told, name, "rate"), column(told, base, "rate"))),
            spread(ratios(column(told, name, "peak"), column(told, base, "peak"))),
        )
        for name, title in names.items()
    ]


def header(base: str) -> tuple[str, ...]:
    return ("", "s/step", "real tokens/s", "peak MB", "s besides", "loss", f"tokens/s of {base}'s", f"MB of {base}'s")


def peers(run: Run, repeats: int) -> dict[str, float]:
    """The main table; what `--json` says."""
    runs = {name: replace(run, way=name) for name in NAMES}
    told = measure(runs | {"matmul": replace(run, way="matmul")}, repeats)
    print(table(header("Trainer"), rows(told, NAMES, "trainer")))
    rate = column(told, "ours", "rate")
    useful = [6 * parameters(run.sizes()) * each for each in rate]
    share = ratios(useful, column(told, "matmul", "bf16"))
    print(
        f"\nBest product of 2048 x 2048 matrices: {spread([x / 1e9 for x in column(told, 'matmul', 'bf16')], ',.0f')} "
        f"GFLOP/s in bf16, {spread([x / 1e9 for x in column(told, 'matmul', 'fp32')], ',.0f')} in fp32. "
        f"xlift's useful products (6 for each of {parameters(run.sizes()) / 1e6:.1f} million parameters that are not "
        f"embeddings, and each real token) are {spread(share)} of the former."
    )
    against = {
        f"vs_{name}": median(ratios(rate, column(told, name, "rate")))
        for name in ("trainer", "trainer_grouped", "fixed128")
    }
    memory = median(ratios(column(told, "ours", "peak"), column(told, "trainer", "peak")))
    return {**against, "memory_ratio": memory, "peak_share": median(share)}


def parts(run: Run, repeats: int) -> None:
    runs = {change: replace(run, way="ours", change=change) for change in CHANGES}
    told = measure(runs, repeats)
    print(table(header("the whole"), rows(told, {change: change or "xlift" for change in CHANGES}, "")))


def precision(run: Run, repeats: int) -> None:
    runs = {
        f"{width} {kind}": replace(run, way="ours", width=width, precision=kind)
        for width in WIDTHS
        for kind in ("fp32", "bf16")
    }
    told = measure(runs, repeats)
    lines = []
    for width in WIDTHS:
        fp32, bf16 = (column(told, f"{width} {kind}", "rate") for kind in ("fp32", "bf16"))
        lines.append((width, spread(fp32, ",.0f"), spread(bf16, ",.0f"), spread(ratios(bf16, fp32))))
    print("Four layers, vocabulary of 16,000, real tokens/s:\n")
    print(table(("hidden size", "fp32", "bf16", "bf16 / fp32"), lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(xnli_shape.SHAPES), default="base")
    parser.add_argument("--steps", type=int, default=8, help="that count, after one that does not")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--spread",
        type=float,
        default=xnli_shape.SPREAD,
        help="of lengths: deviation of the logarithm (0.5 is a long tail)",
    )
    parser.add_argument("--threads", type=int, default=0, help="all cores otherwise")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--parts", action="store_true")
    which.add_argument("--precision", action="store_true")
    options = parser.parse_args()
    run = Run("", shape=options.shape, steps=options.steps, spread=options.spread, threads=options.threads)
    if options.parts or options.precision:
        (parts if options.parts else precision)(run, options.repeats)
        return
    numbers = peers(run, options.repeats)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
