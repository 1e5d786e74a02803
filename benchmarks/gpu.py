"""Fine-tuning of a random model with the shape of XLM-R-large on a GPU in bf16, on data with the shape of XNLI.

    python -m benchmarks.gpu [--json] [--shape large|base] [--steps 50] [--repeats 3]
    python -m benchmarks.gpu --device cpu --shape tiny --steps 2 --repeats 1      tests the program

Contestants: xlift with packed rows, xlift with padded micro-batches of similar length, and HF Trainer with its default
collator. Each is a separate process, in turns (see benchmarks/training.py). Times are absolute. The share compares
useful operations (6 per parameter outside the embeddings and real token) with the best bf16 matrix product of the same
run. Exit status 2 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from statistics import median

import torch

from benchmarks.timing import ratios, spread, table
from benchmarks.training import column, measure
from benchmarks.training_runs import Run, parameters
from benchmarks.xnli_shape import SHAPES

NAMES = {"packed": "xlift, packed", "padded": "xlift, padded", "trainer": "HF Trainer"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shape", choices=list(SHAPES), default="large")
    parser.add_argument("--steps", type=int, default=50, help="measured steps, after one warm-up step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU; --device cpu --shape tiny tests the program.", file=sys.stderr)
        sys.exit(2)
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"

    base = Run("", shape=options.shape, steps=options.steps, precision="bf16", device=options.device)
    runs = {
        "packed": replace(base, way="xlift"),
        "padded": replace(base, way="xlift", change="padded instead of packed"),
        "trainer": replace(base, way="trainer"),
        "matmul": replace(base, way="matmul"),
    }
    results = measure(runs, options.repeats)
    best = column(results, "matmul", "bf16")
    shares = {
        name: ratios([6 * parameters(base.sizes()) * rate for rate in column(results, name, "rate")], best)
        for name in NAMES
    }
    print(f"{device}, {options.shape} shape, bf16; best product {spread([x / 1e12 for x in best], ',.1f')} TFLOP/s\n")
    print(
        table(
            ("", "ms/step", "real tokens/s", "share of the best product", "MB on the GPU", "tokens/s of Trainer's"),
            [
                (
                    title,
                    spread([1000 * seconds for seconds in column(results, name, "step")], ",.1f"),
                    spread(column(results, name, "rate"), ",.0f"),
                    spread(shares[name], ".3f"),
                    spread(column(results, name, "device_peak"), ",.0f"),
                    spread(ratios(column(results, name, "rate"), column(results, "trainer", "rate"))),
                )
                for name, title in NAMES.items()
            ],
        )
    )
    if options.json:
        rate = {name: median(column(results, name, "rate")) for name in NAMES}
        numbers = {
            "vs_trainer": rate["packed"] / rate["trainer"],
            "vs_padded": rate["packed"] / rate["padded"],
            "peak_share": median(shares["packed"]),
        }
        print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
