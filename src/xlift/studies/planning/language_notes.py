"""Notes of a plan on languages: where a model, a metric, a kind of noise or a prompt knows nothing about one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import TypeVar

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.language_tags import find_language, folded_code
from xlift.studies.job import Data, PredictSpec, TrainSpec
from xlift.studies.plan_types import Plan
from xlift.tasks import formats, metrics
from xlift.tasks.task import Task

_Key = TypeVar("_Key", bound=Hashable)


MOST_LANGUAGES = 4
"""A note on a model names at most so many languages."""


def language_notes(plan: Plan, shipped: Collection[str] = ()) -> Iterator[str]:
    """One line for each model, and for each task and rule, with the languages that it concerns.

    Args:
        shipped: names of the models that are the shipped encoder.
    """
    yield from _shipped_model_notes(plan, shipped)
    scored = _group((cell.task, cell.language) for cell in plan.cells)
    for name, codes in scored.items():
        yield from _metric_notes(plan.tasks[name], codes)
    read = list(_read_data(plan))
    for name, codes in _group((data.task, data.language) for data in read).items():
        yield from _shared_rules(name, codes)
    yield from _noise_notes(plan, read)
    yield from _name_notes(plan)


def _shipped_model_notes(plan: Plan, shipped: Collection[str]) -> Iterator[str]:
    """The shipped encoder is pretrained on generated languages only."""
    used = [
        (cell.model, code)
        for cell in plan.cells
        if cell.model in shipped
        for field in (cell.language, cell.train_language, cell.intermediate_language)
        for code in field.split("+")
        if code and code not in GENERATED_LANGUAGES
    ]
    for model, codes in _group(used).items():
        listed = (
            codes
            if len(codes) <= MOST_LANGUAGES
            else [*codes[: MOST_LANGUAGES - 1], f"{len(codes) - MOST_LANGUAGES + 1} more"]
        )
        yield (
            f"{model} has seen no text of {', '.join(listed)}: the shipped encoder is pretrained on generated languages only, so scores in "
            f"real ones mean nothing. Name a multilingual model: `xlift models --languages {','.join(codes[:MOST_LANGUAGES])}` lists some."
        )


def _metric_notes(task: Task, codes: list[str]) -> Iterator[str]:
    for name in task.metrics:
        rule = metrics.get(name).unknown_language
        targets = dict.fromkeys(direction_of(task, code)[1] for code in codes)
        for instead, unknown in _group((rule(code), code) for code in targets).items() if rule else ():
            if instead:
                yield f"{task.name}: {name} has no rule for {', '.join(unknown)}: {instead}."


def _shared_rules(name: str, codes: list[str]) -> Iterator[str]:
    for code, several in _group((folded_code(code), code) for code in codes).items():
        if len(several) > 1:
            language = find_language(code)
            yield (
                f"{name}: {' and '.join(several)} are separate languages here; metrics, noise and prompts treat each as "
                f"{language.name if language else code}."
            )


def _noise_notes(plan: Plan, read: list[Data]) -> Iterator[str]:
    from xlift.tasks.noise import get_input_language, unknown_language

    noisy = [(data, get_input_language(plan.tasks[data.task], data.language)) for data in read if data.noise]
    pairs = [
        ((data.task, data.noise.kind, unknown_language(data.noise, code)), code) for data, code in noisy if data.noise
    ]
    for (task, kind, instead), codes in _group(pairs).items():
        if instead:
            yield f"{task}: noise of kind {kind} has no keyboard for {', '.join(codes)}: {instead}."


def _name_notes(plan: Plan) -> Iterator[str]:
    prompted = _group(
        (job.spec.data.task, job.spec.data.language) for job in plan.jobs.values()
        if isinstance(job.spec, PredictSpec) and job.spec.text_mode
    )  # fmt: skip
    for name, codes in prompted.items():
        task = plan.tasks[name]
        if not formats.get(task.format).has_direction:
            continue
        both = dict.fromkeys(code for each in codes for code in direction_of(task, each))
        unknown = [code for code in both if code not in GENERATED_LANGUAGES and find_language(code) is None]
        if unknown:
            yield f"{name}: prompts have no name of {', '.join(unknown)}: the code stands in its place."


def _read_data(plan: Plan) -> Iterator[Data]:
    for job in plan.jobs.values():
        if isinstance(job.spec, TrainSpec):
            yield from job.spec.parts
        elif isinstance(job.spec, PredictSpec):
            yield job.spec.data


def direction_of(task: Task, language: str) -> tuple[str, str]:
    """The languages of input and output for examples in a language."""
    sides = getattr(task.source, "direction", ()) or ("{lang}", "{lang}")
    source, target = (side.replace("{lang}", language) for side in sides)
    return source, target


def _group(pairs: Iterable[tuple[_Key, str]]) -> dict[_Key, list[str]]:
    """First of each pair -> its seconds, each once, in order."""
    groups: dict[_Key, dict[str, None]] = {}
    for first, second in pairs:
        groups.setdefault(first, {})[second] = None
    return {first: list(seconds) for first, seconds in groups.items()}
