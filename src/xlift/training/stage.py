"""One stage of a pipeline: fine-tune a model on a mixture of labelled tasks and masked text."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from xlift.memory import static_bytes, token_bytes
from xlift.model_shape import parse_config
from xlift.models.adapters import round_frozen
from xlift.models.dropout import use_bit_dropout
from xlift.models.model import Model
from xlift.models.outputs import OUTPUTS, HeadSpec
from xlift.models.rms_norm import use_lean_rms_norms
from xlift.models.text_mode import TEXT
from xlift.recipes import ClassifierPooling, Engine, Recipe, Sampling, TextShare
from xlift.tasks import formats
from xlift.tasks.formats.features import Features
from xlift.tasks.task import Task
from xlift.training import devices
from xlift.training.allocator import keep_freed_memory, release_freed_memory
from xlift.training.batches import UnitIndex, make_schedule
from xlift.training.budget import token_budget
from xlift.training.checkpoint import read_resume_invariants
from xlift.training.loop import Diverged, Evaluate, StepOutput, TrainOutput, run_training_loop
from xlift.training.precision import resolve_precision
from xlift.training.progress import Progress
from xlift.training.step import TrainingStep
from xlift.training.train_dataset import TrainDataset as TrainDataset

BUDGET = "token_budget"


def add_heads(
    model: Model, tasks: Sequence[Task], seed: int, head: str = "", classifier_pooling: ClassifierPooling = "last",
    initializer_range: float | None = None,
) -> None:  # fmt: skip
    """Add a new head for every task, or one called `head` for all tasks. A head's initial weights depend on its name and the
    seed, not on the rest of the mixture. The head called TEXT serves all text-to-text tasks."""
    for name, task in {head or task.head: task for task in tasks}.items():
        spec = HeadSpec("text") if name == TEXT else make_head_spec(task, classifier_pooling)
        model.add_head(name, spec, seed=_head_seed(name, seed), initializer_range=initializer_range)


def make_head_spec(task: Task, classifier_pooling: ClassifierPooling = "last") -> HeadSpec:
    """The head that a task's format needs.

    Args:
        classifier_pooling: of a decoder's heads that read one state for a row; other heads do not use it.
    """
    kind = formats.get(task.format).output_kind
    labels = task.labels if OUTPUTS[kind].num_labels is None else ()
    pooling = "mean" if OUTPUTS[kind].pools_row and classifier_pooling == "mean" else "cls"
    return HeadSpec(kind, labels, pooling=task.options.get("pooling", pooling))


def fine_tune(
    model: Model,
    pad_id: int,
    train_datasets: Sequence[TrainDataset],
    recipe: Recipe,
    sampling: Sampling,
    *,
    seed: int,
    weights: Sequence[float] = (),
    text_datasets: Sequence[TrainDataset] = (),
    text_share: TextShare | None = None,
    more_steps: int = 0,
    folder: Path | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    evaluate: Evaluate | None = None,
) -> TrainOutput:
    """Train backbone and heads in place. Every batch has rows of one dataset, in the order of `batches.make_schedule`.
    Datasets may share a head.

    Args:
        text_datasets: text for `text_share`, which sets its share of the steps.
        more_steps: steps beyond those of the recipe.

    Raises:
        UserError, Interrupted: see `run_training_loop`.
    """
    engine = engine or Engine()
    process_group = devices.current_process_group(engine)
    keep_freed_memory()
    units = [UnitIndex(dataset.features) for dataset in train_datasets]
    text_units = [UnitIndex(dataset.features) for dataset in text_datasets]
    sizes, text_sizes = ([index.num_units for index in part] for part in (units, text_units))
    recipe = recipe.with_more_steps(more_steps, [min(n, sampling.cap or n) for n in sizes])
    steps = make_schedule(sizes, recipe, sampling, seed, weights=weights, text_sizes=text_sizes, text_share=text_share)
    train_datasets, units = [*train_datasets, *text_datasets], units + text_units
    use_bit_dropout(model)
    if process_group.device.type == "cpu":
        use_lean_rms_norms(model)
    resume_invariants = _choose_precision_and_budget(model, train_datasets, recipe, engine, process_group.device)
    if folder:
        resume_invariants |= read_resume_invariants(folder)
    if (
        resume_invariants["precision"] == "bf16" and not process_group.is_sharded
    ):  # FSDP2 needs one dtype per shard group
        round_frozen(model)
    training_step = TrainingStep(
        model,
        pad_id,
        train_datasets,
        units,
        steps,
        seed=seed,
        precision=resume_invariants["precision"],
        # the study's budget has priority over that of a checkpoint
        budget=engine.token_budget or int(resume_invariants[BUDGET]),
        process_group=process_group,
        checkpointing=engine.gradient_checkpointing,
    )

    def step_and_record_budget(number: int) -> StepOutput:
        output = training_step(number)
        if training_step.budget != engine.token_budget:
            resume_invariants[BUDGET] = str(training_step.budget)  # smaller if GPU memory was full
        return output

    def evaluate_on_all_ranks() -> list[float]:
        assert evaluate is not None
        with training_step.gathered_for_evaluation():
            return process_group.broadcast_numbers([float(score) for score in evaluate()])

    try:
        output = run_training_loop(
            model,
            len(steps),
            step_and_record_budget,
            recipe,
            seed=seed,
            folder=folder,
            progress=progress,
            evaluate=evaluate_on_all_ranks if evaluate else None,
            resume_invariants=resume_invariants,
            process_group=process_group,
        )
    except Diverged as error:
        error.precision = training_step.precision
        raise
    devices.move_to_cpu(model)
    release_freed_memory()
    output.token_budget, output.precision = training_step.budget, training_step.precision
    return output


def _choose_precision_and_budget(
    model: Model, train_datasets: Sequence[TrainDataset], recipe: Recipe, engine: Engine, device: torch.device
) -> dict[str, Any]:
    """Choose the settings that depend on the machine and change rounding. A resumed run takes them from its checkpoint."""
    shape = parse_config(model.backbone.config.to_dict())
    precision = resolve_precision(recipe.precision, shape.hidden_size, device)
    half, parameters = precision == "bf16", list(model.parameters())
    num_parameters = sum(parameter.numel() for parameter in parameters)
    num_trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    static = static_bytes(num_parameters, num_trainable, recipe.optimizer_traits, engine, half=half)
    longest = max(int(dataset.features.lengths.max(initial=1)) for dataset in train_datasets)
    per_token = token_bytes(shape, longest, half=half, checkpointing=engine.gradient_checkpointing)
    return {"precision": precision, BUDGET: str(token_budget(static, per_token, device))}


def _head_seed(name: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{name}\x1f{seed}".encode(), digest_size=4).digest(), "big")


def make_features(task: Task, examples: Sequence[Any], tokenizer: Any, *, max_length: int, train: bool) -> Features:
    """Tokenize the examples of a task by its format."""
    format = formats.get(task.format)
    options = {key: task.options[key] for key in format.feature_options if key in task.options}
    return format.features(examples, tokenizer, task.labels, max_length=max_length, train=train, **options)
