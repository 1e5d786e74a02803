"""Multiple choice: which of a few texts fits the context. Commonsense, cause and effect, endings of stories.

Each choice is one row for the encoder, and all choices of a question are in one batch. Questions may differ in their
number of choices.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format, ScoredAnswer, Scores, load_code, softmax
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import IGNORE_INDEX, Features, Prompt
from xlift.tasks.formats.ragged import Ragged, RaggedBuilder
from xlift.tasks.formats.template import Template

BLANK = "_"
"""The place of a choice in a sentence, as in Winograd schemas."""
LETTER_MARKS = {"lettered": ":", "dotted": "."}
"""Scheme of a template with a letter before each choice -> the mark after the letter."""


@dataclass(frozen=True)
class ChoiceExample:
    id: str
    context: str
    """Empty for choices that are whole sentences (minimal pairs). A sentence may have a blank for the choices (XWinograd)."""
    question: str
    """May be empty if the choice continues the context (HellaSwag)."""
    choices: tuple[str, ...]
    label: int | None = None
    """Index of the right choice, from 0."""


class MultipleChoice(Format):
    name = "multiple-choice"
    output_kind = "choice"
    pools_row = True
    example_class = ChoiceExample
    columns = {
        "context": ("context", "premise"),
        "question": ("question",),
        "choices": ("choices",),
        "label": ("label", "gold_label", "category"),
    }
    optional_texts = ("question",)
    input_fields = ("context", "question", "choices")
    sample_file = "questions.jsonl"
    score_kind = "probability"
    has_probabilities = True
    default_metrics = ("accuracy",)
    label_fields = ("label",)
    has_fixed_answers = True
    candidates = "choices"

    def check(self, example: ChoiceExample, labels: Sequence[str]) -> str | None:
        number = len(example.choices)
        if number < 2:
            return f"a question with {number} choices (expected at least 2)"
        if example.label is not None and not 0 <= example.label < number:
            return f"unknown label {example.label} (expected 0 to {number - 1})"
        return None

    def unit_text(self, example: ChoiceExample) -> str:
        return example.context

    def texts(self, example: ChoiceExample) -> tuple[str, ...]:
        return tuple(text for text in (example.context, example.question, *example.choices) if text)

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> ChoiceExample:
        """Minimal pairs have neither context nor label, which their columns then say: ''. Their first choice is the right one.
        The choices are put in an order drawn from the id, so that no constant answer is right, and no tie."""
        columns = fields.layout.columns
        is_minimal_pair = columns.get("context") == columns.get("label") == ""
        context = "" if is_minimal_pair and not fields.column("context") else fields.text("context")
        question, choices, label = fields.optional("question") or "", fields.choices(), None
        if with_gold and is_minimal_pair and not fields.column("label"):
            label = hashlib.sha256(name.encode()).digest()[0] % max(1, len(choices))
            choices = (*choices[1 : label + 1], choices[0], *choices[label + 1 :])
        elif with_gold:
            label = fields.integer("label")
        return ChoiceExample(name, context, question, choices, label)

    def counted_answers(self, example: ChoiceExample) -> tuple[str, ...]:
        """The number of the right choice."""
        return () if example.label is None else (str(example.label),)

    def has_empty_text(self, example: ChoiceExample) -> bool:
        """Either the context or the question may be empty."""
        return not all(map(str.strip, example.choices)) or not (example.context + example.question).strip()

    def row_texts(self, example: ChoiceExample) -> list[tuple[str, ...]]:
        return [(example.context, example.question, choice) for choice in example.choices]

    def constant_score(self, examples: Sequence[ChoiceExample], score: Callable[[list[Any]], float]) -> float:
        """The mean of 1/k plus two standard errors, since a guessing model scores above 1/k half of the time."""
        share = float(np.mean([1 / len(e.choices) for e in examples]))
        return share + 2 * math.sqrt(share * (1 - share) / len(examples))

    def loss_bound(self, examples: Sequence[ChoiceExample], row_lengths: np.ndarray | None = None) -> float | None:
        return float(np.mean([math.log(len(e.choices)) for e in examples]))

    def features(
        self, examples: Sequence[ChoiceExample], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """One row per choice: the context, then question and choice; the rows of a question are one unit.

        Only the context is truncated, from its left as in jiant, since the choice continues the end of a story. If
        question and choice alone are too long, they lose their end.

        Targets: 'correct', 1 for the right choice and 0 for the others (IGNORE_INDEX if gold is unknown), and 'unit'.
        """
        special = encoding.get_special_tokens(tokenizer, pair=True)
        max_tokens = encoding.max_text_tokens(max_length, special.count)
        example_index = np.repeat(np.arange(len(examples)), [len(e.choices) for e in examples])
        encodings = encoding.tokenize(tokenizer, [e.context for e in examples])
        contexts = Ragged.from_rows(encoded.ids for encoded in encodings)
        seconds = [f"{e.question} {choice}" if e.question else choice for e in examples for choice in e.choices]
        input_ids, token_type_ids = RaggedBuilder(), RaggedBuilder()
        for n, encoded in zip(example_index.tolist(), encoding.tokenize(tokenizer, seconds), strict=True):
            second = encoded.ids[:max_tokens]
            context = contexts[n].tolist()
            context = context[max(0, len(context) + len(second) - max_tokens) :]
            input_ids.append(special.build_input_ids(context, second))
            if special.token_types is not None:
                token_type_ids.append(special.build_token_type_ids(context, second))
        correct = np.array(
            [
                IGNORE_INDEX if e.label is None else int(choice == e.label)
                for e in examples
                for choice in range(len(e.choices))
            ],
            dtype=np.int64,
        )
        return Features(
            input_ids.build(),
            example_index=example_index,
            unit=example_index,
            token_type_ids=token_type_ids.build() if special.token_types is not None else None,
            targets={"correct": correct, "unit": example_index},
        )

    def decode(
        self, examples: Sequence[ChoiceExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[int]:
        """The index of the choice with the highest score; ties go to the first."""
        ends = np.cumsum([len(e.choices) for e in examples], dtype=int)
        return [int(np.argmax(scores)) for scores in np.split(np.array(outputs, dtype=np.float64), ends)[:-1]]

    def decode_with_scores(
        self,
        examples: Sequence[ChoiceExample],
        features: Features,
        outputs: list[Any],
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[int], list[Scores]]:
        """The scores are the probability of every choice."""
        ends = np.cumsum([len(e.choices) for e in examples], dtype=int)
        logits = np.split(np.array(outputs, dtype=np.float64), ends)[:-1]
        scores: list[Scores] = [softmax(each) for each in logits]
        return self.decode(examples, features, outputs, labels), scores

    def decode_logits(
        self, examples: Sequence[ChoiceExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        ends = np.cumsum([len(e.choices) for e in examples])
        scores = np.split(np.array(logits).reshape(-1), ends)[:-1]
        best = [int(each.argmax()) for each in scores]
        return [ScoredAnswer(n, float(softmax(each)[n])) for n, each in zip(best, scores, strict=True)]

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        return (
            load_code(model_class)
            + 'context, question, choices = "A story.", "What then?", ["One ending.", "Another one."]\n'
            'rows = tokenizer([context] * len(choices), [f"{question} {choice}" for choice in choices], padding=True,\n'
            '                 return_tensors="pt")\n'
            "with torch.no_grad():\n"
            "    logits = model(**{name: tensor.unsqueeze(0) for name, tensor in rows.items()}).logits\n"
            "print(choices[int(logits.argmax())])",
            "",
        )

    def gold(self, example: ChoiceExample) -> int | None:
        return example.label

    def prompt(self, example: ChoiceExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: context, question, and choices (one per line). The answer is one of the choices.

        The scheme 'joined' makes one sentence of context and choice: the context loses its last character (the period), the
        question is a connector, given as its label word, and the choices begin with a small letter. The schemes 'lettered'
        (`A:`) and 'dotted' (`A.`) have a letter before each choice, and the answer is the letter. Two schemes compare sentences: 'whole' the likelihoods of the
        choices, which are whole texts; 'blank' those of the text after the blank `_` of the context, given the text before it
        and a choice (partial evaluation).

        Raises:
            UserError: the template uses another field, has no connector for the question, or the context has no blank.
        """
        if template.scheme == "blank":
            return _partial_prompt(example, template)
        answers, context, question = _answers(example, template), example.context, example.question
        marks = ["-"] * len(answers)
        if mark := LETTER_MARKS.get(template.scheme):
            marks, question = [f"{answer}{mark}" for answer in answers], question.strip()
        if template.scheme == "joined":
            context, question = context.strip()[:-1], _connector(example, template)
        filled = template.fill({
            "context": context, "question": question,
            "choices": "\n".join(f"{mark} {choice}" for mark, choice in zip(marks, example.choices, strict=True)),
        })  # fmt: skip
        answer = None if example.label is None else answers[example.label]
        delimiter = "" if template.scheme == "whole" else " "
        span = filled.longest_span(("context", "question"))
        return Prompt(filled.text, answer, answers, delimiter=delimiter, truncatable=span)

    def parse(self, answer: int | str, example: ChoiceExample, labels: Sequence[str], template: Template) -> int:
        """The index of the chosen candidate; for generated text, of the choice that it repeats, else 0."""
        if isinstance(answer, int):
            return answer
        matches = [n for n, text in enumerate(_answers(example, template)) if text.split() == answer.split()]
        return matches[0] if matches else 0

    def change_texts(self, example: ChoiceExample, change: Change) -> ChoiceExample:
        context, question = apply_change(example.context, change), apply_change(example.question, change)
        choices = tuple(apply_change(choice, change) for choice in example.choices)
        return replace(example, context=context, question=question, choices=choices)

    def shuffle_group(self, example: ChoiceExample) -> int:
        """The index of the right choice exists in every question with as many choices."""
        return len(example.choices)


def _answers(example: ChoiceExample, template: Template) -> tuple[str, ...]:
    """The answer for each choice."""
    if template.scheme == "joined":
        return tuple(choice[:1].lower() + choice[1:] for choice in example.choices)
    if template.scheme in LETTER_MARKS:
        return tuple(chr(ord("A") + number) for number in range(len(example.choices)))
    return example.choices


def _partial_prompt(example: ChoiceExample, template: Template) -> Prompt:
    """The text after the blank as the answer, after the context up to there with each choice in the blank."""
    before, _, after = example.context.partition(BLANK)
    if not after.strip():
        raise UserError(
            f"the template '{template.name}' needs a sentence with a blank '{BLANK}' and text after it",
            where=f"example '{example.id}': {example.context[:80]}",
            fix="choose another version of the template.",
        )
    contexts = tuple(template.fill({"context": before + choice}).text for choice in example.choices)
    rest = after.strip()
    answer = None if example.label is None else rest
    return Prompt(contexts[example.label or 0], answer, (rest,) * len(contexts), contexts=contexts)


def _connector(example: ChoiceExample, template: Template) -> str:
    if example.question not in template.label_words:
        raise UserError(
            f"the template '{template.name}' has no connector for the question '{example.question}'",
            where=f"example '{example.id}'",
            fix=f"its questions are {' and '.join(map(repr, template.label_words))}.",
        )
    return template.label_word(example.question)


FORMAT = MultipleChoice()
