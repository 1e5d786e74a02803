"""Paraphrase noise, for generated tasks: their examples can be generated again from their meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from xlift.archipelago.examples import make_example
from xlift.archipelago.paraphrases import make_paraphrased_example
from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.tasks import formats
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.task import Task

if TYPE_CHECKING:
    from xlift.tasks.noise.editing import NoiseCounts


def check_task(task: Task) -> None:
    """Raises UserError: the task is not generated, or has no sentence with a paraphrase."""
    fix = "it is available for generated tasks (isle-...) whose texts have statements."
    if not isinstance(task.source, GeneratedSource):
        raise UserError(
            f"no noise of kind paraphrase for {task.name}: the task is not generated from meanings", fix=fix
        )
    if formats.get(task.format).ranks_pool or not _has_paraphrases(task.source.example):
        raise UserError(f"no noise of kind paraphrase for {task.name}: none of its sentences has a paraphrase", fix=fix)


@cache
def _has_paraphrases(kind: str) -> bool:
    """Whether examples of a kind have sentences with paraphrases. Documents of corpus.py do not use the paraphrasing grammar,
    translations from the source language have their source in it, and questions have one form only."""
    for index in range(16):
        clean = make_example(kind, "qka", "test", 0, index)
        paraphrased, _ = make_paraphrased_example(kind, "qka", "test", 0, index, 1.0, 0)
        if any(clean[name] != paraphrased[name] for name in clean if name != "translation"):
            return True
    return False


def paraphrase_examples(
    task: Task, clean: Sequence[Any], noise: Noise, language: str, counts: NoiseCounts
) -> list[Any]:
    """Generate the examples again with paraphrased sentences. The level is the share of paraphrased sentences among those that
    have a paraphrase. Empty fields stay empty, and a translation stays clean."""
    assert isinstance(task.source, GeneratedSource)
    noisy_examples = []
    for each in clean:
        split, seed, index = each.id.split("-")
        key = task.source.example, language, split, int(seed), int(index)
        row, is_paraphrased = make_paraphrased_example(*key, noise.level, noise.seed)
        counts.num_texts += 1
        counts.num_changeable += len(is_paraphrased)
        counts.num_changed += sum(is_paraphrased)
        counts.edit_counts["paraphrase"] += sum(is_paraphrased)
        names = {f.name for f in fields(each)} - {"id", "translation"}
        noisy_examples.append(replace(each, **{name: row[name] for name in names & row.keys() if getattr(each, name)}))
    return noisy_examples
