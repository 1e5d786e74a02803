"""Fine-tuning of a decoder in a folder: xlift against HF Trainer, for `python -m benchmarks.training --model DIR`.

    python -m benchmarks.training --model real-models/gemma-3-270m [--steps 5] [--repeats 2] [--modes head lora text]
    python -m benchmarks.training --model real-models/gemma-3-270m --profile      what takes the time of xlift's step

Every contestant is a separate process, in turns. Each runs two warm-up steps and `--steps` measured steps of 16 rows, with the
lengths of XNLI and random tokens of the model's vocabulary (16,000 distinct ones). The modes: a classification head on the last
token, the same with LoRA of rank 8 on all linear layers of the blocks, and text mode (the loss of two answer tokens per row).
Trainer has its defaults, and peft's LoRA. Both compute in the same precision. Padding tokens do not count. Memory is the peak
of the process, with interpreter, torch and tokenizer.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks import xnli_shape
from benchmarks.timing import peak_megabytes, ratios, report_results, run_in_processes, spread, table
from benchmarks.xnli_shape import LABELS
from xlift.recipes import Engine, Lora, Recipe, Sampling
from xlift.tasks.formats.features import IGNORE_INDEX, Features
from xlift.tasks.formats.ragged import Ragged

BATCH, MEAN, SPREAD, DISTINCT, WARMUPS = 16, 41.0, 0.25, 16_000, 2
RATE, SEED, LORA = 2e-5, 1, Lora(rank=8, alpha=16.0)
MODES = ("head", "lora", "text")


@dataclass(frozen=True)
class RealRun:
    model: str
    who: str = "xlift"
    """xlift, trainer, products (bare matrix products of the layers' shapes) or profile."""
    mode: str = "head"
    """head, lora, qlora (on a GPU, xlift only) or text."""
    steps: int = 5
    device: Literal["cpu", "cuda"] = "cpu"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.real_training", json.dumps(asdict(self))]


@dataclass(frozen=True)
class Data:
    rows: list[np.ndarray]
    """Input tokens with the begin token, without an answer."""
    labels: np.ndarray
    answers: list[np.ndarray]
    """Of each label: a token and the end token."""
    distinct: np.ndarray


def make_data(config: Any, steps: int) -> Data:
    rng = np.random.default_rng(0)
    count = (steps + WARMUPS) * BATCH
    lengths = rng.lognormal(np.log(MEAN) - SPREAD**2 / 2, SPREAD, count).round().clip(8, 128).astype(int)
    distinct = rng.permutation(np.arange(5, config.vocab_size))[: min(DISTINCT, config.vocab_size // 2)]
    probabilities = 1 / (np.arange(len(distinct)) + 2.7)
    probabilities /= probabilities.sum()
    begin, end = config.bos_token_id, config.eos_token_id
    rows = [np.append([begin], rng.choice(distinct, length - 1, p=probabilities)) for length in lengths]
    answers = [np.array([token, end]) for token in distinct[: len(LABELS)]]
    return Data(rows, rng.integers(0, len(LABELS), count), answers, distinct)


class Clock:
    def __init__(self) -> None:
        self.ends: list[float] = []

    def end_step(self, *_: object) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def results(self, data: Data, steps: int, loss: float, mode: str) -> dict[str, float]:
        seconds = self.ends[-1] - self.ends[WARMUPS - 1]
        extra = len(data.answers[0]) if mode == "text" else 0
        tokens = sum(len(row) + extra for row in data.rows[WARMUPS * BATCH :])
        device_peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0
        return {
            "step": seconds / steps, "rate": tokens / seconds, "tokens": tokens / steps, "loss": loss,
            "peak": peak_megabytes(), "device_peak": device_peak,
        }  # fmt: skip


def train_with_xlift(run: RealRun, clock: Clock, data: Data) -> float:
    """The same calls as a training job (execution/work/training.py)."""
    from xlift.execution.work.training import shrink_vocabulary
    from xlift.models import adapters, backbone
    from xlift.models.delta import StoredModel
    from xlift.models.text_mode import TEXT
    from xlift.training import stage
    from xlift.training.progress import Progress

    stored = StoredModel(Path(run.model))
    model, tokenizer = backbone.load_without_heads(stored)
    lora = {"lora": LORA, "qlora": LORA.model_copy(update={"quantize": True})}.get(run.mode)
    recipe = Recipe(lr=RATE, batch_size=BATCH, max_steps=run.steps + WARMUPS, lora=lora)
    task, index = xnli_shape.task(), np.arange(len(data.rows))
    if run.mode == "text":
        answers = [data.answers[label] for label in data.labels]
        rows = [np.append(*pair) for pair in zip(data.rows, answers, strict=True)]
        labels = [
            np.append(np.full(len(row), IGNORE_INDEX), answer) for row, answer in zip(data.rows, answers, strict=True)
        ]
        features = Features(Ragged.from_rows(rows), index, index, targets={"label": Ragged.from_rows(labels)})
    else:
        features = Features(Ragged.from_rows(data.rows), index, index, targets={"label": data.labels})
    parts = [stage.TrainDataset(task, features, TEXT if run.mode == "text" else "")]
    weights: tuple[float, ...] = (1.0,)
    stage.add_heads(model, [task], SEED, parts[0].head_name)
    if run.mode == "head":  # a part without steps, so that the compact vocabulary is that of a whole stage
        all_tokens = np.array_split(data.distinct, -(-len(data.distinct) // 128))
        index = np.arange(len(all_tokens))
        whole = Features(Ragged.from_rows(all_tokens), index, index, targets={"label": np.zeros(len(all_tokens), int)})
        parts, weights = [*parts, stage.TrainDataset(task, whole)], (1.0, 0.0)
        if shrink_vocabulary(model, tokenizer, stored, parts, (), Engine()) is None:
            backbone.restore_embeddings(model, stored)
    if lora:
        adapters.add(model, lora, SEED)
    trained = stage.fine_tune(
        model, tokenizer.pad_token_id, parts, recipe, Sampling(rule="weights"), seed=SEED, weights=weights,
        engine=Engine(device=run.device), progress=Progress(report=clock.end_step),
    )  # fmt: skip
    return float(np.mean(trained.losses))


def train_with_trainer(run: RealRun, clock: Clock, data: Data) -> float:
    """HF Trainer with its defaults, except for required arguments and messages."""
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from xlift.models.pretrained import silence_transformers
    from xlift.training.precision import resolve_precision

    torch.manual_seed(SEED)
    with silence_transformers():
        pad = AutoTokenizer.from_pretrained(run.model).pad_token_id
        if run.mode == "text":
            model: Any = AutoModelForCausalLM.from_pretrained(run.model, dtype=torch.float32)
        else:
            auto = AutoModelForSequenceClassification
            model = auto.from_pretrained(run.model, num_labels=len(LABELS), dtype=torch.float32)
    model.config.use_cache = False
    precision = resolve_precision("auto", model.config.hidden_size, torch.device(run.device))
    if run.mode == "lora":
        from peft import LoraConfig, TaskType, get_peft_model

        names = [
            name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and "layers" in name
        ]
        model = get_peft_model(
            model, LoraConfig(r=LORA.rank, lora_alpha=int(LORA.alpha), target_modules=names, task_type=TaskType.SEQ_CLS)
        )  # fmt: skip

    def collate(indices: list[int]) -> dict[str, Any]:
        rows, labels = [data.rows[number] for number in indices], [int(data.labels[number]) for number in indices]
        targets: Any = torch.tensor(labels)
        if run.mode == "text":
            answers = [data.answers[label] for label in labels]
            whole = [np.append(*pair) for pair in zip(rows, answers, strict=True)]
            targets = _pad(
                [np.append(np.full(len(row), IGNORE_INDEX), answer) for row, answer in zip(rows, answers, strict=True)],
                IGNORE_INDEX,
            )
            rows = whole
        input_ids = _pad(rows, pad)
        mask = _pad([np.ones_like(row) for row in rows], 0)
        return {"input_ids": input_ids, "attention_mask": mask, "labels": targets}

    class StepTimer(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            clock.end_step()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, use_cpu=run.device == "cpu", bf16=precision == "bf16", max_steps=run.steps + WARMUPS, learning_rate=RATE, seed=SEED,
            per_device_train_batch_size=BATCH, train_sampling_strategy="sequential", save_strategy="no",
            report_to="none", disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=list(range(len(data.rows))),  # pyright: ignore[reportArgumentType]
            data_collator=collate, callbacks=[StepTimer()],  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        return trainer.train().training_loss


def _pad(rows: Sequence[np.ndarray], fill: int) -> torch.Tensor:
    tensors = [torch.from_numpy(row.astype(np.int64)) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)


def linear_shapes(config: Any) -> list[tuple[int, int]]:
    """(in, out) of every linear layer of all blocks."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    modules = model.model.modules()
    return [(each.in_features, each.out_features) for each in modules if isinstance(each, torch.nn.Linear)]


def measure_products(config: Any, tokens: int, seconds: float = 8.0) -> float:
    """FLOP/s of the bf16 products of a step alone: each linear layer's forward pass and both of its gradients, the fastest of
    several times."""
    best, until = {}, time.perf_counter() + seconds
    shapes = Counter(linear_shapes(config))
    with torch.inference_mode():
        tensors = {
            (n, m): [torch.randn(*size).bfloat16() for size in ((tokens, n), (m, n), (tokens, m))] for n, m in shapes
        }
        while time.perf_counter() < until:
            for shape, (x, weight, grad) in tensors.items():
                start_time = time.perf_counter()
                torch.nn.functional.linear(x, weight)
                _ = grad @ weight
                _ = grad.t() @ x
                best[shape] = min(best.get(shape, math.inf), time.perf_counter() - start_time)
    operations = sum(6 * tokens * n * m * count for (n, m), count in shapes.items())
    return operations / sum(best[shape] * count for shape, count in shapes.items())


_KINDS = (
    ("products of linear layers", ("aten::mm", "aten::addmm")),
    ("products of attention", ("aten::bmm", "aten::baddbmm")),
    ("casts and copies", ("aten::copy_", "aten::cat", "aten::index_select", "aten::fill_")),
    ("optimizer", ("aten::_fused_adamw_",)),
    ("activation function", ("aten::gelu", "aten::gelu_backward", "aten::silu", "aten::silu_backward")),
    ("softmax", ("aten::_softmax", "aten::_softmax_backward_data", "aten::_log_softmax", "aten::_log_softmax_backward_data")),
)  # fmt: skip


def profile(run: RealRun, data: Data) -> dict[str, float]:
    """Kind of operation -> its share of the time of a step after the warm-up."""
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    class Switch(Clock):
        def end_step(self, *_: object) -> None:
            super().end_step()
            if len(self.ends) == WARMUPS:
                profiler.__enter__()

    train_with_xlift(replace(run, steps=1), Switch(), data)
    profiler.__exit__(None, None, None)
    times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(times.values())
    shares = {kind: sum(times.pop(name, 0.0) for name in names) / total for kind, names in _KINDS}
    return {**shares, "norms, rotary positions, sums and all else": sum(times.values()) / total}


def compare(model: str, steps: int, repeats: int, modes: Sequence[str]) -> dict[str, float]:
    """Print the table; return the ratios."""
    runs = {(mode, who): RealRun(model, who, mode, steps) for mode in modes for who in ("xlift", "trainer")}
    commands = {f"{mode}, {who}": run.command() for (mode, who), run in runs.items()}
    commands["products"] = RealRun(model, "products").command()
    environment = {"OMP_WAIT_POLICY": "ACTIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    results = run_in_processes(commands, repeats, environment)
    names = {"xlift": "xlift", "trainer": "HF Trainer"}
    lines, numbers = [], {}
    for mode, who in runs:

        def column(key: str, who: str = who, mode: str = mode) -> list[float]:
            return [each[key] for each in results[f"{mode}, {who}"]]

        speed = ratios(column("rate"), column("rate", "trainer"))
        memory = ratios(column("peak"), column("peak", "trainer"))
        share = ratios(column("useful"), [each["rate"] for each in results["products"]])
        if who == "xlift":
            numbers |= {f"{mode}_vs_trainer": speed, f"{mode}_memory_ratio": memory, f"{mode}_products_share": share}
        lines.append((
            f"{mode}: {names[who]}", spread(column("step")), spread(column("rate"), ",.0f"), spread(column("peak"), ",.0f"),
            spread(column("loss")), spread(speed), spread(memory),
            f"{spread([each / 1e9 for each in column('useful')], ',.0f')}; {spread(share)}",
        ))  # fmt: skip
    header = (
        Path(model).name, "s/step", "real tokens/s", "peak MB", "loss", "tokens/s, Trainer = 1", "MB, Trainer = 1",
        "useful GFLOP/s; share of the bare products",
    )  # fmt: skip
    print(table(header, lines))
    bare = spread([each["rate"] / 1e9 for each in results["products"]], ",.0f")
    square = spread([each["square"] / 1e9 for each in results["products"]], ",.0f")
    print(f"\nThe bare bf16 products of these layers reach {bare} GFLOP/s, square ones of 2,048 {square}.")
    return {name: float(np.median(values)) for name, values in numbers.items()}


def print_profile(model: str) -> None:
    environment = {"OMP_WAIT_POLICY": "ACTIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    (shares,) = run_in_processes({"profile": RealRun(model, "profile").command()}, 1, environment)["profile"]
    rows = [(kind, f"{share:.0%}") for kind, share in sorted(shares.items(), key=lambda item: -item[1])]
    print(table((f"{Path(model).name}, xlift's step with a head", "share of the time"), rows))


def main() -> None:
    from transformers import AutoConfig

    run = RealRun(**json.loads(sys.argv[1]))
    config: Any = AutoConfig.from_pretrained(run.model)
    data = make_data(config, run.steps)
    if run.who == "products":
        from benchmarks.training_runs import matmul

        report_results({"rate": measure_products(config, round(BATCH * MEAN)), "square": matmul()["bf16"]})
        return
    if run.who == "profile":
        report_results(profile(run, make_data(config, 1)))
        return
    clock = Clock()
    loss = (train_with_xlift if run.who == "xlift" else train_with_trainer)(run, clock, data)
    results = clock.results(data, run.steps, loss, run.mode)
    weights = sum(n * m for n, m in linear_shapes(config))
    # LoRA needs no gradients of the frozen matrices; text mode needs logits of its answers only
    operations = (4 if run.mode in ("lora", "qlora") else 6) * weights * results["tokens"]
    if run.mode == "text":
        operations += 6 * config.vocab_size * config.hidden_size * BATCH * len(data.answers[0])
    report_results({**results, "useful": operations / results["step"]})


if __name__ == "__main__":
    main()
