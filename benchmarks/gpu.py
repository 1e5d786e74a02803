"""XNLI-shaped fine-tuning of a random model of XLM-R-large's shape on a GPU, in bf16.

    python -m benchmarks.gpu [--json] [--shape large|base] [--steps 50] [--repeats 3]
    python -m benchmarks.gpu --device cpu --shape tiny --steps 2 --repeats 1      whether it runs at all

xlift with its rows packed, xlift with them cut into micro-batches of like length and padded, and HF Trainer with its default
collator; each a process of its own, in turns (benchmarks/training.py says how they are measured). Times are absolute. The share
is that of useful products (6 for each parameter that is no embedding, and each real token) in the best product of matrices in
bf16 that the same run finds. Exit status 2 where there is no GPU.
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

NAMES = {"packed": "xlift, packed", "padded": "xlift, cut and padded", "trainer": "HF Trainer"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shape", choices=list(SHAPES), default="large")
    parser.add_argument("--steps", type=int, default=50, help="that count, after one that does not")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU here; --device cpu --shape tiny tries the program itself.", file=sys.stderr)
        sys.exit(2)
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"

    base = Run("", shape=options.shape, steps=options.steps, precision="bf16", device=options.device)
    runs = {
        "packed": replace(base, way="ours"),
        "padded": replace(base, way="ours", change="padded and cut, not packed"),
        "trainer": replace(base, way="trainer"),
        "matmul": replace(base, way="matmul"),
    }
    told = measure(runs, options.repeats)
    best = column(told, "matmul", "bf16")
    shares = {
        name: ratios([6 * parameters(base.sizes()) * rate for rate in column(told, name, "rate")], best)
        for name in NAMES
    }
    print(f"{device}, {options.shape} shape, bf16; best product {spread([x / 1e12 for x in best], ',.1f')} TFLOP/s\n")
    print(
        table(
            ("", "ms/step", "real tokens/s", "share of the best product", "MB on the GPU", "tokens/s of Trainer's"),
            [
                (
                    title,
                    spread([1000 * seconds for seconds in column(told, name, "step")], ",.1f"),
                    spread(column(told, name, "rate"), ",.0f"),
                    spread(shares[name], ".3f"),
                    spread(column(told, name, "device_peak"), ",.0f"),
                    spread(ratios(column(told, name, "rate"), column(told, "trainer", "rate"))),
                )
                for name, title in NAMES.items()
            ],
        )
    )
    if options.json:
        rate = {name: median(column(told, name, "rate")) for name in NAMES}
        numbers = {
            "vs_trainer": rate["packed"] / rate["trainer"],
            "vs_padded": rate["packed"] / rate["padded"],
            "peak_share": median(shares["packed"]),
        }
        print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
