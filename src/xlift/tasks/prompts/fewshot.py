"""Make prompts of examples, with solved examples in front for few-shot prompting (Brown et al. 2020)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.base import Format
from xlift.tasks.formats.features import Prompt
from xlift.tasks.formats.template import Template


def draw_fewshot_examples(
    examples: Iterable[Any], format: Format, num_fewshot: int, *, task: str, seed: int = 0
) -> tuple[Any, ...]:
    """Draw the solved examples of a task and one spare: `num_fewshot` + 1, or none if `num_fewshot` is 0.

    The draw depends on (seed, task) alone. The groups of the format (labels, answerable and unanswerable
    questions) are balanced as far as the number allows. The order is random.

    Raises:
        UserError: there are too few examples with a gold answer.
    """
    if not num_fewshot:
        return ()
    groups: dict[Any, list[Any]] = {}
    for example in examples:
        if format.gold(example) is not None:
            groups.setdefault(format.fewshot_group(example), []).append(example)
    if sum(map(len, groups.values())) <= num_fewshot:
        raise UserError(
            f"{num_fewshot} few-shot examples and one spare are needed, but only {sum(map(len, groups.values()))} "
            "training examples have an answer",
            where=f"task '{task}'",
            fix="reduce `num_fewshot`, or use training data with more examples.",
        )
    rng = random.Random(f"{seed} {task}")
    order = sorted(groups, key=repr)
    rng.shuffle(order)
    for group in groups.values():
        rng.shuffle(group)
    drawn: list[Any] = []
    while len(drawn) <= num_fewshot:
        drawn += [groups[key].pop() for key in order if groups[key]][: num_fewshot + 1 - len(drawn)]
    fewshot_examples, spare = drawn[:-1], drawn[-1]
    rng.shuffle(fewshot_examples)
    return (*fewshot_examples, spare)


def make_prompts(
    examples: Iterable[Any], format: Format, labels: Sequence[str], template: Template, *,
    fewshot_examples: Sequence[Any] = (), max_new_tokens: int | None = None,
) -> Iterator[Prompt]:  # fmt: skip
    """Make the prompt of each example, with the solved examples in front.

    All prompts have the same solved examples, in the template of the example whatever their language, so that the label
    words are the same in the whole prompt. If an example is one of them, the spare one replaces it.

    Args:
        fewshot_examples: the result of `draw_fewshot_examples`.
        max_new_tokens: of a generated answer; None means the format's number.

    Raises:
        UserError: the format has no text-to-text mode, or the template uses an unknown field.
    """
    solved = [(other, _write_solved(format.prompt(other, labels, template), template)) for other in fewshot_examples]
    for example in examples:
        texts = [text for other, text in solved if other != example][: max(0, len(solved) - 1)]
        prompt = format.prompt(example, labels, template)
        prompt = replace(prompt, fewshot_examples=tuple(texts), has_end_token=template.has_end_token)
        yield prompt if max_new_tokens is None else replace(prompt, max_new_tokens=max_new_tokens)


def _write_solved(prompt: Prompt, template: Template) -> str:
    return f"{prompt.source.rstrip()}{prompt.delimiter}{(prompt.answer or '').strip()}{template.fewshot_delimiter}"
