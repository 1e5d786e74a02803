"""How accurate the estimate of a plan is: estimate after a calibration, then run in a fresh store.

    python -m benchmarks.estimate                  # the quickstart and 200 steps of XLM-R-base's shape (half an hour)
    python -m benchmarks.estimate quickstart
    python -m benchmarks.estimate base --steps 40  # ten minutes

The model of XLM-R-base's shape has random weights, and its data are made-up words with the lengths of XNLI.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import table
from benchmarks.xnli_shape import BATCH, LABELS, LONGEST, MEAN, SHAPES, SPREAD
from xlift.estimate import PlanEstimate
from xlift.estimate.run_estimate import estimate_run
from xlift.execution.calibration import calibrate, list_subjects
from xlift.execution.progress import PlainDisplay
from xlift.execution.scheduler import run_plan
from xlift.studies.estimate_check import EstimateCheck
from xlift.studies.plan import Plan, make_plan
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.units import format_gigabytes

TESTED = 64
"""Examples that are predicted after training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["quickstart", "base"], help="quickstart, base, small, tiny")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="for the quickstart; the other runs one job at a time")
    parser.add_argument("--json", action="store_true", help="print the ratios by name as a last line of JSON")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    rows, ratios = [], {}
    for name in options.what:
        with tempfile.TemporaryDirectory(prefix="xlift-estimate-") as folder:
            os.environ["XLIFT_CACHE"] = str(Path(folder) / "cache")  # ignore earlier calibrations
            if name == "quickstart":
                study, workers = "quickstart", options.workers
            else:
                study, workers = str(write_study(Path(folder), name, options.steps)), 1
            guess, check, seconds, memory = measure(make_plan(read_study(study)), Path(folder) / "store", workers)
        rows += lines(name, guess, check, seconds, memory)
        ratios[name] = round(check.estimated_seconds / check.elapsed_seconds, 3)
    print(table(["", "guessed", "estimated", "elapsed", "estimated / elapsed"], rows))
    if options.json:
        print(json.dumps(ratios))


def measure(plan: Plan, root: Path, workers: int) -> tuple[float, EstimateCheck, float, tuple[float, float]]:
    """Seconds guessed without a calibration, the check of the calibrated estimate, seconds of the calibration, and
    bytes of the largest job: estimated and measured."""
    store, jobs = Store(root), list(plan.jobs.values())
    guess = PlanEstimate(plan, store, workers).total_seconds(jobs)
    start_time = time.monotonic()
    for subject in list_subjects(plan):
        calibrate(subject, subject.engine, workers, lambda line: print(line, file=sys.stderr))
    seconds = time.monotonic() - start_time
    plan_estimate = PlanEstimate(plan, store, workers)
    assert plan_estimate.is_measured
    run_estimate = estimate_run(plan_estimate, jobs)
    outcome = run_plan(plan, store, PlainDisplay(plan_estimate.estimator, workers), workers)
    found = max(store.open(key, verify=False).manifest["numbers"]["peak_memory_bytes"] for key in plan.jobs)
    estimated = max(plan_estimate.memory(job).total for job in jobs)
    return guess, run_estimate.compare(store, outcome.seconds), seconds, (estimated, found)


def lines(
    name: str, guess: float, check: EstimateCheck, seconds: float, memory: tuple[float, float]
) -> list[list[str]]:
    """Table rows: the run, the work by kind of job, and the memory of the largest job."""

    def line(what: str, first: str, estimated: float, elapsed: float) -> list[str]:
        return [what, first, f"{estimated:.1f} s", f"{elapsed:.1f} s", f"{estimated / max(elapsed, 1e-9):.2f}"]

    whole = f"{name}, {check.jobs} jobs, {check.workers} at once (calibrated in {seconds:.0f} s)"
    found = [line(whole, f"{guess:.1f} s", check.estimated_seconds, check.elapsed_seconds)]
    found += [line(f"{name}: work of {kind}", "", *both) for kind, both in check.seconds_by_kind.items()]
    return [
        *found,
        [f"{name}: largest job's memory", "", *map(format_gigabytes, memory), f"{memory[0] / memory[1]:.2f}"],
    ]


def write_study(folder: Path, size: str, steps: int) -> Path:
    """A stage with the row lengths of XNLI on a model with the shape of XLM-R, and a small prediction after it."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xlift.models.backbone import save
    from xlift.models.model import Model

    shape, rng = SHAPES[size], np.random.default_rng(0)
    sizes: dict[str, Any] = {key: value for key, value in shape.config().items() if key != "num_labels"}
    config = XLMRobertaConfig(**sizes)
    save(Model(XLMRobertaModel(config, add_pooling_layer=False)), _tokenizer(shape.num_distinct), folder / "model")
    chances = 1 / (np.arange(shape.num_distinct) + 10.0)  # some words are common, as in any language
    for name, count in (("train", steps * BATCH), ("dev", 200), ("test", TESTED)):
        lengths = rng.lognormal(np.log(MEAN) - SPREAD**2 / 2, SPREAD, count).clip(8, LONGEST - 4).astype(int) - 4
        words = rng.choice(shape.num_distinct, size=int(lengths.sum()), p=chances / chances.sum())
        texts = np.split(words, lengths.cumsum()[:-1])
        rows = [
            f"{' '.join(f'w{n}' for n in text[: len(text) // 2])}\t{' '.join(f'w{n}' for n in text[len(text) // 2 :])}"
            f"\t{LABELS[i % len(LABELS)]}"
            for i, text in enumerate(texts)
        ]
        (folder / f"{name}.tsv").write_text("\n".join(["premise\thypothesis\tlabel", *rows]) + "\n", encoding="utf-8")
    path = folder / f"{size}.yaml"
    path.write_text(STUDY.format(batch=BATCH, steps=steps, longest=LONGEST, labels=", ".join(LABELS)), encoding="utf-8")
    return path


STUDY = """\
models: [model]
training: {{batch_size: {batch}, max_steps: {steps}, max_length: {longest}, lr: 1.0e-5, retries: 0}}
intermediate: [none]
targets:
  - {{task: shape, train: {{}}}}
tasks:
  - name: shape
    format: classification
    files: {{train: {{en: train.tsv}}, dev: {{en: dev.tsv}}, test: {{en: test.tsv}}}}
    columns: {{text_a: premise, text_b: hypothesis, label: label}}
    labels: [{labels}]
"""


def _tokenizer(words: int) -> object:
    """One token per word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(words))]
    built = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    ids = [("<s>", 0), ("</s>", 2)]
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>",
        unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
