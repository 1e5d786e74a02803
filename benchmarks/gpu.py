"""A first look at a GPU in ten minutes, with what the repository carries.

    python -m benchmarks.gpu [--model real-models/gemma-3-270m] [--json FILE] [--steps 50] [--repeats 3]
    python -m benchmarks.gpu --cpu-check     a tiny version of every part on the CPU, which tests the program

- XLM-R large's shape, random weights, bf16, data with the shape of XNLI: xlift with packed rows, xlift with padded
  micro-batches of similar length, HF Trainer with its default collator. The share compares useful operations (6 per
  parameter outside the embeddings and real token) with the best bf16 matrix product of the same run.
- Gemma 3 270M from `--model`, or its shape with random weights: a head and LoRA, xlift and HF Trainer; QLoRA of xlift
  (needs bitsandbytes).
- Two jobs at once on the GPU, against one alone.

Each contestant is a separate process, in turns. Exit status 2 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.real_training import RealRun
from benchmarks.timing import MARK, ratios, run_in_processes, spread, table
from benchmarks.training import column, measure
from benchmarks.training_runs import Run, parameters
from benchmarks.xnli_shape import SHAPES

NAMES = {"packed": "xlift, packed", "padded": "xlift, padded", "trainer": "HF Trainer"}


GEMMA_SIZES = {
    "vocab_size": 262_144, "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18, "head_dim": 256,
    "num_attention_heads": 4, "num_key_value_heads": 1, "query_pre_attn_scalar": 256, "sliding_window": 512,
}  # fmt: skip
TINY_SIZES = GEMMA_SIZES | {
    "vocab_size": 5_000,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "head_dim": 8,
}


def measure_encoder(base: Run, repeats: int) -> tuple[list[Sequence[object]], dict[str, float]]:
    """Table rows of the encoder, and the numbers for --json."""
    runs = {
        "packed": replace(base, way="xlift"),
        "padded": replace(base, way="xlift", change="padded instead of packed"),
        "trainer": replace(base, way="trainer"),
        "matmul": replace(base, way="matmul"),
    }
    results = measure(runs, repeats)
    best = column(results, "matmul", "bf16")
    rows = []
    for name, title in NAMES.items():
        rate = column(results, name, "rate")
        share = ratios([6 * parameters(base.sizes()) * each for each in rate], best)
        rows.append(
            _row(
                f"XLM-R {base.shape}: {title}",
                results[name],
                ratios(rate, column(results, "trainer", "rate")),
                spread(share, ".3f"),
            )
        )
    rates = {name: median(column(results, name, "rate")) for name in NAMES}
    return rows, {
        "best_product_tflops": median(best) / 1e12,
        "encoder_vs_trainer": rates["packed"] / rates["trainer"],
        "encoder_vs_padded": rates["packed"] / rates["padded"],
    }


def _row(title: str, results: Sequence[dict[str, Any]], speed: Sequence[float], share: str = "") -> Sequence[object]:
    def values(key: str) -> list[float]:
        return [each[key] for each in results]

    step = spread([1000 * seconds for seconds in values("step")], ",.1f")
    return title, step, spread(values("rate"), ",.0f"), spread(values("device_peak"), ",.0f"), spread(speed), share


def make_gemma(folder: Path, sizes: dict[str, int]) -> None:
    """Save a model with random weights and this shape."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

    from xlift.models import backbone

    special = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    words = special | {f"word{number}": number for number in range(4, sizes["vocab_size"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), pad_token="<pad>", eos_token="<eos>",
        bos_token="<bos>", unk_token="<unk>",
    )  # fmt: skip
    torch.manual_seed(1)
    config = Gemma3TextConfig(**sizes, pad_token_id=0, eos_token_id=1, bos_token_id=2)  # pyright: ignore
    backbone.save(backbone.Model(Gemma3ForCausalLM(config)), tokenizer, folder)


def measure_decoder(base: RealRun, repeats: int) -> tuple[list[Sequence[object]], dict[str, float], list[str]]:
    """Table rows of the decoder, numbers for --json, and notes."""
    runs = {(mode, who): replace(base, mode=mode, who=who) for mode in ("head", "lora") for who in ("xlift", "trainer")}
    notes = []
    if base.device == "cuda" and find_spec("bitsandbytes"):
        runs["qlora", "xlift"] = replace(base, mode="qlora")
    else:
        notes.append("QLoRA was left out: it needs a GPU and bitsandbytes (pip install 'xlift[gpu]').")
    results = run_in_processes({f"{mode}, {who}": run.command() for (mode, who), run in runs.items()}, repeats)
    rows, numbers = [], {}
    for mode, who in runs:
        rate = [each["rate"] for each in results[f"{mode}, {who}"]]
        other = results["lora, trainer" if mode == "qlora" else f"{mode}, trainer"]
        speed = ratios(rate, [each["rate"] for each in other])
        title = f"Gemma 270M, {mode}: {'xlift' if who == 'xlift' else 'HF Trainer'}"
        rows.append(_row(title, results[f"{mode}, {who}"], speed))
        if who == "xlift":
            numbers[f"decoder_{mode}_vs_trainer"] = median(speed)
    return rows, numbers, notes


def measure_placement(base: RealRun) -> tuple[float, float]:
    """Real tokens per second of one job alone, and of two jobs at once together."""

    def rates(count: int) -> float:
        processes = [
            subprocess.Popen(base.command(), stdout=subprocess.PIPE, text=True, env=dict(os.environ))
            for _ in range(count)
        ]
        outputs = [process.communicate()[0] for process in processes]
        lines = [[line for line in output.splitlines() if line.startswith(MARK)] for output in outputs]
        if not all(lines):
            sys.exit(f"a job of the placement failed: {' '.join(base.command())}")
        return sum(json.loads(found[-1].removeprefix(MARK))["rate"] for found in lines)

    return rates(1), rates(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-check", action="store_true", help="a tiny version of every part on the CPU")
    parser.add_argument("--model", type=Path, default=Path("real-models/gemma-3-270m"), help="folder of Gemma 3 270M")
    parser.add_argument("--shape", choices=list(SHAPES), default="large", help="of the encoder")
    parser.add_argument("--steps", type=int, default=50, help="measured steps")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if not options.cpu_check and not torch.cuda.is_available():
        print("torch finds no GPU; --cpu-check tests the program.", file=sys.stderr)
        sys.exit(2)
    device = "cpu" if options.cpu_check else "cuda"
    shape, steps, repeats = ("tiny", 2, 1) if options.cpu_check else (options.shape, options.steps, options.repeats)
    with tempfile.TemporaryDirectory() as temporary:
        model, notes = options.model, []
        if options.cpu_check or not (model / "config.json").is_file():
            model = Path(temporary) / "gemma"
            make_gemma(model, TINY_SIZES if options.cpu_check else GEMMA_SIZES)
            notes.append("Gemma has random weights.")
        precision = "auto" if options.cpu_check else "bf16"
        rows, numbers = measure_encoder(Run("", shape=shape, steps=steps, precision=precision, device=device), repeats)
        base = RealRun(str(model), steps=steps, device=device)
        more_rows, more_numbers, more_notes = measure_decoder(base, repeats)
        alone, together = measure_placement(base)
    numbers |= more_numbers | {"two_jobs_vs_one": together / alone}
    name = "CPU" if options.cpu_check else torch.cuda.get_device_name()
    print(f"{name}; best bf16 product {numbers['best_product_tflops']:,.1f} TFLOP/s\n")
    header = ("", "ms/step", "real tokens/s", "MB on the GPU", "tokens/s, Trainer = 1", "share of the best product")
    print(table(header, [*rows, *more_rows]))
    print(f"\nGemma with a head: {alone:,.0f} tokens/s alone, {together:,.0f} in two jobs at once.")
    print("\n".join([*notes, *more_notes]))
    line = json.dumps({"device": name} | {key: round(value, 3) for key, value in numbers.items()})
    print(line)
    if options.json:
        options.json.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
