"""One contestant of `benchmarks.training` in a separate process: python -m benchmarks.training_runs '{"way": ...}'.

Every way fine-tunes the model of a folder for the same number of steps. The first is a warm-up; the process reports the
time and real tokens of the others, the mean loss and the peak memory. The way 'make' makes the model.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from benchmarks import xnli_shape
from benchmarks.timing import peak_megabytes, report_results
from benchmarks.xnli_shape import BATCH, BEGIN, END, LONGEST, PAD, SHAPES, BenchmarkShape
from xlift.recipes import Recipe, Sampling

RATE, SEED = 2e-5, 1


@dataclass(frozen=True)
class Run:
    way: str
    shape: str = "base"
    steps: int = 8
    """After the warm-up step."""
    spread: float = xnli_shape.SPREAD
    precision: str = "auto"
    change: str = ""
    """A name in `training_changes.CHANGES`."""
    width: int = 0
    """Hidden size that replaces `shape`: four layers and a vocabulary of 16,000."""
    threads: int = 0
    """0: torch's default."""
    folder: str = ""
    """Of the model."""
    device: Literal["cpu", "cuda"] = "cpu"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.training_runs", json.dumps(asdict(self))]

    def sizes(self) -> BenchmarkShape:
        if not self.width:
            return SHAPES[self.shape]
        return BenchmarkShape(4, self.width, max(1, self.width // 64), vocab_size=16_000, num_distinct=15_000)


class Clock:
    """The end time and the number of real tokens of each step."""

    def __init__(self) -> None:
        self.start_time = time.perf_counter()
        self.ends: list[float] = []
        self.tokens: list[int] = []

    def end_step(self, *_: object) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def results(self, loss: float) -> dict[str, Any]:
        total = time.perf_counter() - self.start_time
        steps = [after - before for before, after in pairwise(self.ends)]
        assert len(self.tokens) == len(self.ends) > 1, (self.tokens, self.ends)
        return {
            "rate": sum(self.tokens[1:]) / sum(steps),
            "step": sum(steps) / len(steps),
            "tokens": sum(self.tokens[1:]),
            "other_seconds": total - sum(steps),
            "loss": loss,
            "peak": peak_megabytes(),
            "device_peak": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0,
        }


def make(run: Run) -> None:
    """Save a random model and a tokenizer with the same vocabulary size in the folder of the run."""
    from tokenizers import Tokenizer, models
    from transformers import AutoModel, PreTrainedTokenizerFast, XLMRobertaConfig

    from xlift.models import backbone

    words = {"<s>": BEGIN, "<pad>": PAD, "</s>": END, "<unk>": 3}
    words |= {f"word{number}": number for number in range(len(words), run.sizes().vocab_size)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), model_input_names=["input_ids", "attention_mask"],
        bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
    )  # fmt: skip
    torch.manual_seed(SEED)
    model = AutoModel.from_config(XLMRobertaConfig(**run.sizes().config()))  # pyright: ignore[reportArgumentType]
    model.pooler = None
    backbone.save(backbone.Model(model), tokenizer, run.folder)


def train_with_xlift(run: Run, clock: Clock) -> float:
    """The same calls as a training job (execution/work/training.py)."""
    from benchmarks.training_changes import CHANGES
    from xlift.execution.work.training import shrink_vocabulary
    from xlift.models import backbone
    from xlift.models.delta import StoredModel
    from xlift.training import stage
    from xlift.training.batches import UnitIndex, make_schedule
    from xlift.training.progress import Progress

    change = CHANGES[run.change]()
    recipe = Recipe.model_validate(
        {"lr": RATE, "batch_size": BATCH, "max_steps": run.steps + 1, "precision": change.precision or run.precision}
    )
    stored = StoredModel(Path(run.folder))
    encoder, tokenizer = backbone.load_without_heads(stored)
    task = xnli_shape.task()
    stage.add_heads(encoder, [task], seed=SEED)
    rows = [row for batch in xnli_shape.random_batches(run.sizes(), run.steps, run.spread) for row in batch]
    parts = [
        stage.TrainDataset(task, part) for part in (xnli_shape.features(rows), xnli_shape.whole_vocabulary(run.sizes()))
    ]
    units = [UnitIndex(part.features) for part in parts]
    sampling, weights = Sampling(rule="weights"), (1.0, 0.0)  # no steps on the part that only covers the vocabulary
    steps = make_schedule([index.num_units for index in units], recipe, sampling, SEED, weights=weights)
    assert {step.part for step in steps} == {0}
    clock.tokens += [sum(len(rows[row]) for row in units[0].rows(step.units)) for step in steps]
    clock.start_time = time.perf_counter()
    if shrink_vocabulary(encoder, tokenizer, stored, parts, (), change.engine) is None:
        backbone.restore_embeddings(encoder, stored)
    trained = stage.fine_tune(
        encoder, PAD, parts, recipe, sampling, seed=SEED, weights=weights,
        engine=change.engine.model_copy(update={"device": run.device}), progress=Progress(report=clock.end_step),
    )  # fmt: skip
    return float(np.mean(trained.losses))


def load_stock_model(run: Run) -> Any:
    from transformers import AutoModelForSequenceClassification

    from xlift.models.pretrained import silence_transformers

    torch.manual_seed(SEED)
    labels = len(xnli_shape.LABELS)
    with silence_transformers():
        return AutoModelForSequenceClassification.from_pretrained(run.folder, num_labels=labels, dtype=torch.float32)


def train_with_trainer(run: Run, clock: Clock, *, grouped: bool = False) -> float:
    """HF Trainer with its defaults, except for required arguments and messages.

    It gets its batches in order, since grouping by length as on MNLI would need all of MNLI.
    """
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    from xlift.training.precision import resolve_precision

    model = load_stock_model(run)
    precision = resolve_precision(run.precision, model.config.hidden_size, torch.device(run.device))  # pyright: ignore
    batches = (xnli_shape.grouped_batches if grouped else xnli_shape.random_batches)(run.sizes(), run.steps, run.spread)
    rows = [row.tolist() for batch in batches for row in batch]
    pad = DataCollatorWithPadding(AutoTokenizer.from_pretrained(run.folder))

    def collate(examples: list[dict[str, Any]]) -> Any:
        clock.tokens.append(sum(len(example["input_ids"]) for example in examples))
        return pad(examples)

    class StepTimer(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            clock.end_step()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, use_cpu=run.device == "cpu", bf16=precision == "bf16", max_steps=run.steps + 1, learning_rate=RATE, seed=SEED,
            per_device_train_batch_size=BATCH, train_sampling_strategy="sequential", save_strategy="no",
            report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        examples = [
            {"input_ids": row, "label": label} for row, label in zip(rows, xnli_shape.labels(len(rows)), strict=True)
        ]
        hf_trainer = Trainer(model, arguments, train_dataset=examples, data_collator=collate, callbacks=[StepTimer()])  # pyright: ignore
        clock.start_time = time.perf_counter()
        return hf_trainer.train().training_loss


def train_padded(run: Run, clock: Clock) -> float:
    """Training as in XTREME's scripts: every row padded to 128, float32, AdamW, gradients clipped at 1, a linear
    schedule."""
    from transformers import get_linear_schedule_with_warmup

    model = load_stock_model(run)
    batches = xnli_shape.random_batches(run.sizes(), run.steps, run.spread)
    labels = torch.tensor(xnli_shape.labels(len(batches) * BATCH)).view(-1, BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, eps=1e-8, weight_decay=0.0)
    rates = get_linear_schedule_with_warmup(optimizer, 0, len(batches))
    losses = []
    model.train()
    clock.start_time = time.perf_counter()
    for batch, gold in zip(batches, labels, strict=True):
        input_ids = torch.full((len(batch), LONGEST), PAD)
        for number, row in enumerate(batch):
            input_ids[number, : len(row)] = torch.from_numpy(row)
        loss = model(input_ids=input_ids, attention_mask=(input_ids != PAD).long(), labels=gold).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.step()
        model.zero_grad()
        losses.append(loss.item())
        clock.tokens.append(sum(map(len, batch)))
        clock.end_step()
    return float(np.mean(losses))


def matmul(device: str = "cpu", seconds: float = 4.0) -> dict[str, float]:
    """FLOP/s of the fastest product of square matrices in bf16 and in fp32: the peak of the machine."""
    size = 2048 if device == "cpu" else 8192
    best = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        one, other = torch.randn(2, size, size, device=device).to(dtype)
        fastest, until = math.inf, time.perf_counter() + seconds / 2
        with torch.inference_mode():
            while time.perf_counter() < until:
                start_time = time.perf_counter()
                _ = one @ other
                if device == "cuda":
                    torch.cuda.synchronize()
                fastest = min(fastest, time.perf_counter() - start_time)
        best[name] = 2 * size**3 / fastest
    return best


def parameters(shape: BenchmarkShape) -> int:
    """Parameters of the layers and the head, which multiply every token, without the embeddings."""
    layer = 12 * shape.hidden_size**2 + 13 * shape.hidden_size
    head = shape.hidden_size**2 + shape.hidden_size + (shape.hidden_size + 1) * len(xnli_shape.LABELS)
    return shape.num_layers * layer + head


WAYS: dict[str, Callable[[Run, Clock], float]] = {
    "xlift": train_with_xlift,
    "trainer": train_with_trainer,
    "trainer_grouped": lambda run, clock: train_with_trainer(run, clock, grouped=True),
    "fixed128": train_padded,
}


def main() -> None:
    run = replace(Run(""), **json.loads(sys.argv[1]))
    if run.threads:
        torch.set_num_threads(run.threads)
    if run.way in ("matmul", "make"):
        report_results(matmul(run.device) if run.way == "matmul" else make(run) or {})
        return
    clock = Clock()
    report_results(clock.results(WAYS[run.way](run, clock)))


if __name__ == "__main__":
    main()
