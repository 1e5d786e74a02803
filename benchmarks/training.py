"""Fine-tuning of a random model with the shape of XLM-R on data with the shape of XNLI: xlift against HF Trainer and
XTREME's recipe.

    python -m benchmarks.training [--json] [--shape base|small|tiny] [--steps 8] [--repeats 3]
    python -m benchmarks.training --parts        the effect of each part of the xlift engine
    python -m benchmarks.training --precision    the hidden size from which bf16 is faster
    python -m benchmarks.training --model DIR    a decoder in a folder instead: with a head, LoRA and in text mode
                                                 (benchmarks/real_training.py; --profile shows what takes the time)

Run nothing else beside it: about ten minutes per round at base shape on two cores, and up to 10 GB. Every contestant is
a separate process, in turns, with all cores and actively waiting threads (OMP_WAIT_POLICY=ACTIVE). Each runs one
warm-up step and `--steps` measured steps of 32 rows. xlift and Trainer use the same precision. Padding tokens do not
count. Memory is the peak of the process, with interpreter and torch (about 400 MB).
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

from benchmarks import real_training, xnli_shape
from benchmarks.timing import ratios, run_in_processes, spread, table
from benchmarks.training_changes import CHANGES
from benchmarks.training_runs import Run, parameters

NAMES = {
    "xlift": "xlift",
    "trainer": "HF Trainer",
    "trainer_grouped": "HF Trainer, grouped by length",
    "fixed128": "padded to 128, fp32, as in XTREME",
}
WIDTHS = (128, 256, 512, 768)
Results = dict[str, list[dict[str, Any]]]


def measure(runs: dict[str, Run], repeats: int) -> Results:
    environment = {"OMP_WAIT_POLICY": "ACTIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    if any(run.threads == 0 for run in runs.values()):
        os.environ.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as temporary:
        folders = {run.sizes(): f"{temporary}/{number}" for number, run in enumerate(runs.values())}
        makers = [replace(run, way="make", folder=folders[run.sizes()]) for run in runs.values()]
        run_in_processes({f"make {run.folder}": run.command() for run in makers}, 1)
        commands = {name: replace(run, folder=folders[run.sizes()]).command() for name, run in runs.items()}
        results = run_in_processes(commands, repeats, environment)
    chance_loss = math.log(len(xnli_shape.LABELS))  # labels are random, so nothing can be learned
    for name, rounds in results.items():
        for loss in [numbers["loss"] for numbers in rounds if "loss" in numbers]:
            if not chance_loss / 2 < loss < 2 * chance_loss:
                sys.exit(f"{name}: the mean loss is {loss}, far from the {chance_loss:.2f} of guessing")
    return results


def column(results: Results, name: str, key: str) -> list[float]:
    return [numbers[key] for numbers in results[name]]


def rows(results: Results, names: dict[str, str], base: str) -> list[Sequence[object]]:
    """Table rows of contestants. The last two columns compare with `base`, round by round."""
    return [
        (
            title,
            spread(column(results, name, "step")),
            spread(column(results, name, "rate"), ",.0f"),
            spread(column(results, name, "peak"), ",.0f"),
            spread(column(results, name, "other_seconds"), ",.1f"),
            spread(column(results, name, "loss"), ".3f"),
            spread(ratios(column(results, name, "rate"), column(results, base, "rate"))),
            spread(ratios(column(results, name, "peak"), column(results, base, "peak"))),
        )
        for name, title in names.items()
    ]


def header(base: str) -> tuple[str, ...]:
    return (
        "",
        "s/step",
        "real tokens/s",
        "peak MB",
        "other s",
        "loss",
        f"tokens/s relative to {base}",
        f"MB relative to {base}",
    )


def compare_trainers(run: Run, repeats: int) -> dict[str, float]:
    """Print the main table; return the values for `--json`."""
    runs = {name: replace(run, way=name) for name in NAMES}
    results = measure(runs | {"matmul": replace(run, way="matmul")}, repeats)
    print(table(header("Trainer"), rows(results, NAMES, "trainer")))
    rate = column(results, "xlift", "rate")
    useful = [6 * parameters(run.sizes()) * each for each in rate]
    share = ratios(useful, column(results, "matmul", "bf16"))
    print(
        f"\nBest product of 2048 x 2048 matrices: {spread([x / 1e9 for x in column(results, 'matmul', 'bf16')], ',.0f')} "
        f"GFLOP/s in bf16, {spread([x / 1e9 for x in column(results, 'matmul', 'fp32')], ',.0f')} in fp32. "
        f"xlift's useful products (6 for each of {parameters(run.sizes()) / 1e6:.1f} million parameters that are not "
        f"embeddings, and each real token) are {spread(share)} of the former."
    )
    against = {
        f"vs_{name}": median(ratios(rate, column(results, name, "rate")))
        for name in ("trainer", "trainer_grouped", "fixed128")
    }
    memory = median(ratios(column(results, "xlift", "peak"), column(results, "trainer", "peak")))
    return {**against, "memory_ratio": memory, "peak_share": median(share)}


def compare_parts(run: Run, repeats: int) -> None:
    runs = {change: replace(run, way="xlift", change=change) for change in CHANGES}
    results = measure(runs, repeats)
    print(table(header("the full engine"), rows(results, {change: change or "xlift" for change in CHANGES}, "")))


def compare_precisions(run: Run, repeats: int) -> None:
    runs = {
        f"{width} {kind}": replace(run, way="xlift", width=width, precision=kind)
        for width in WIDTHS
        for kind in ("fp32", "bf16")
    }
    results = measure(runs, repeats)
    lines = []
    for width in WIDTHS:
        fp32, bf16 = (column(results, f"{width} {kind}", "rate") for kind in ("fp32", "bf16"))
        lines.append((width, spread(fp32, ",.0f"), spread(bf16, ",.0f"), spread(ratios(bf16, fp32))))
    print("Four layers, vocabulary of 16,000, real tokens/s:\n")
    print(table(("hidden size", "fp32", "bf16", "bf16 / fp32"), lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(xnli_shape.SHAPES), default="base")
    parser.add_argument("--steps", type=int, default=8, help="measured steps, after one warm-up step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--spread",
        type=float,
        default=xnli_shape.SPREAD,
        help="standard deviation of the log lengths (0.5 is a long tail)",
    )
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--parts", action="store_true")
    which.add_argument("--precision", action="store_true")
    which.add_argument("--model", default="", help="folder of a decoder, such as real-models/gemma-3-270m")
    parser.add_argument("--modes", nargs="+", choices=real_training.MODES, default=list(real_training.MODES))
    parser.add_argument("--profile", action="store_true", help="with --model: shares of a step's time")
    options = parser.parse_args()
    if options.model:
        if options.profile:
            real_training.print_profile(options.model)
            return
        numbers = real_training.compare(options.model, options.steps, options.repeats, options.modes)
        if options.json:
            print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))
        return
    run = Run("", shape=options.shape, steps=options.steps, spread=options.spread, threads=options.threads)
    if options.parts or options.precision:
        (compare_parts if options.parts else compare_precisions)(run, options.repeats)
        return
    numbers = compare_trainers(run, options.repeats)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
