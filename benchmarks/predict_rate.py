"""Rows per second and memory of `xlift predict` in a pipe, against the engine's prediction of the same rows.

    python -m benchmarks.predict_rate [--rows 20000] [--shape tiny|small|base] [--repeats 3] [--threads N]

Run nothing else beside it. The rows are pairs of random words, as long as those of MNLI (20 and 11 words), in a TSV file. The
model has random weights and the shape of XLM-R, with a tokenizer trained on the words. Each contestant is a process of its own,
and they run in turns:

- `cat rows.tsv | xlift predict MODEL -`, with all rows and with a quarter of them. The rate is that of the rows after the first
  thousand, which are written together: the start-up is left out;
- the engine, as in benchmarks/prediction.py: all rows in one pass, with as many tokens in a batch. The table has its rate with
  reading and tokenizing, and that of the model alone.

Memory is the peak of the process (`VmHWM`, Linux only).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.million_rows import write
from benchmarks.timing import peak_megabytes, ratios, report_results, run_in_processes, spread, table
from benchmarks.xnli_shape import LABELS, SHAPES

MAX_LENGTH = 128
CHUNK = 1000
"""Rows that `xlift predict` writes together."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="tiny")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="default: torch's choice")
    parser.add_argument("--folder", type=Path, help="folder for the files; default: a temporary one")
    parser.add_argument("--act", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows < 8 * CHUNK and not options.act:
        parser.error(f"--rows must be at least {8 * CHUNK}")
    if options.act:
        return run_action(options.act[0], Path(options.act[1]), options)
    with tempfile.TemporaryDirectory() as temporary:
        compare(options.folder or Path(temporary), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Write the files, run the contestants in turns, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"predict": options.rows, "predict, a quarter": options.rows // 4}
    write(folder, options.rows)
    with (folder / "rows.tsv").open(encoding="utf-8") as rows:
        lines = iter(rows)
        files = {size: (folder / f"{size}.tsv").open("w", encoding="utf-8") for size in sizes.values()}
        for number, line in enumerate(lines):
            for size, file in files.items():
                if number <= size:
                    file.write(line)
        for file in files.values():
            file.close()
    common = [sys.executable, "-m", "benchmarks.predict_rate", "--shape", options.shape, "--folder", str(folder)]
    subprocess.run([*common, "--act", "write", str(folder / "model")], check=True)
    contestants = {
        name: [*common, "--act", "predict", str(folder / f"{size}.tsv"), "--rows", str(size)]
        for name, size in sizes.items()
    }
    contestants["engine"] = [
        *common,
        "--act",
        "engine",
        str(folder / f"{options.rows}.tsv"),
        "--rows",
        str(options.rows),
    ]
    environment = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else None
    results = run_in_processes(contestants, options.repeats, environment)
    rates = {f"predict, {sizes[name]:,} rows": [one["rate"] for one in results[name]] for name in sizes}
    for name, key in (("engine, with reading and tokenizing", "seconds"), ("engine, the model alone", "model_seconds")):
        rates[name] = [options.rows / one[key] for one in results["engine"]]
    best = rates["engine, with reading and tokenizing"]
    memory = [*(results[name] for name in sizes), results["engine"], results["engine"]]
    lines = [
        (name, spread(own, ",.0f"), spread(ratios(own, best)), spread([one["megabytes"] for one in used], ",.0f"))
        for (name, own), used in zip(rates.items(), memory, strict=True)
    ]
    print(f"{options.shape} shape, {options.rows:,} rows\n")
    print(table(("", "rows per second", "relative to the engine", "peak MB"), lines))


def run_action(action: str, path: Path, options: argparse.Namespace) -> None:
    """Run one contestant in this process."""
    if action == "write":
        write_model_folder(path, options)
    elif action == "predict":
        report_results(run_pipe(path, options))
    else:
        report_results(run_engine(path, options))


def make_benchmark_model(options: argparse.Namespace) -> tuple[Any, Any]:
    """The model and its tokenizer, the same in every process."""
    from benchmarks.prediction import make_model, train_tokenizer
    from xlift.models.outputs import HeadSpec

    shape = SHAPES[options.shape]
    with (options.folder / "rows.tsv").open(encoding="utf-8") as rows:
        tokenizer = train_tokenizer([line for _, line in zip(range(5000), rows, strict=False)], shape.vocab_size)
    return make_model(shape, HeadSpec("sequence", LABELS)), tokenizer


def write_model_folder(folder: Path, options: argparse.Namespace) -> None:
    """Write the model as `xlift export` does."""
    from xlift.models.export import ExportMetadata, write_model

    model, tokenizer = make_benchmark_model(options)
    write_model(model, tokenizer, "head", folder, max_length=MAX_LENGTH)
    metadata = ExportMetadata(
        "head", "classification", "sequence", LABELS, MAX_LENGTH, optional_fields={"text_b": True}
    )
    metadata.write(folder)


def run_pipe(file: Path, options: argparse.Namespace) -> dict[str, float]:
    """Predict a file in a pipe."""
    command = [sys.executable, "-m", "xlift", "predict", str(options.folder / "model"), "-", "--device", "cpu"]
    lines, peak, first, last = 0, 0, 0.0, 0.0
    with (
        subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat,
        subprocess.Popen(command, stdin=cat.stdout, stdout=subprocess.PIPE) as predict,
    ):
        assert predict.stdout is not None
        while block := os.read(predict.stdout.fileno(), 1 << 16):
            last = time.perf_counter()
            first = first or last
            lines += block.count(b"\n")
            status = Path(f"/proc/{predict.pid}/status").read_text(encoding="ascii")
            peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))])
    if lines != options.rows + 1:
        sys.exit(f"{lines} lines for {options.rows} rows")
    return {"rate": (options.rows - CHUNK) / (last - first), "megabytes": peak / 1024}


def run_engine(file: Path, options: argparse.Namespace) -> dict[str, float]:
    """Predict a file as a job of a study does: all rows in one pass."""
    from xlift.evaluation.predict import PredictionRequest, compute_row_outputs, decode_with_scores
    from xlift.execution.file_prediction import InputRows
    from xlift.tasks import catalog, formats

    model, tokenizer = make_benchmark_model(options)
    task = catalog.get("xnli")
    begin = time.perf_counter()
    examples = [row.example for row in InputRows(file, "classification")]
    features = formats.get("classification").features(examples, tokenizer, LABELS, max_length=MAX_LENGTH, train=False)
    request = PredictionRequest(examples, features)
    model_begin = time.perf_counter()
    (outputs,) = compute_row_outputs(model, tokenizer.pad_token_id, task, [request], "head")
    model_seconds = time.perf_counter() - model_begin
    decode_with_scores(task, request, outputs)
    return {
        "seconds": time.perf_counter() - begin, "model_seconds": model_seconds, "megabytes": peak_megabytes(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
