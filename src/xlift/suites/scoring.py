"""One file of predictions against one of labels, by the rule of `evaluate.py` and, where that is known wrong, by a better one.

Scores are percentages, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.suites.declared import SuiteTask
from xlift.suites.reading import (
    Question,
    number,
    questions,
    read_choices,
    read_document,
    read_lines,
    read_mapping,
    sentences,
)
from xlift.tasks.metrics import answers, mlqa, ranking, squad
from xlift.tasks.metrics.base import Metric
from xlift.tasks.metrics.chunks import Chunk, corpus_chunks, legacy_parts

SHOWN = 3
"""Ids named in a warning; the number of all of them is always said."""


@dataclass(frozen=True)
class FileScore:
    """One language of one task."""

    official: Mapping[str, float]
    """Metric -> percentage, in the order of `evaluate.py`."""
    rows: int
    """Labels, sentences, questions, gold pairs or queries."""
    repaired: Mapping[str, float] = field(default_factory=dict)
    """The same or other metrics by the better rule; empty where the official one is as good."""
    unanswered: int = 0
    """Ids of the labels without a prediction."""
    warnings: tuple[str, ...] = ()


def score_file(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    """Score one language.

    Raises:
        UserError: a file is damaged, their lengths differ, or there is nothing to score.
    """
    return _KINDS[task.kind](task, language, predictions, labels)


def _labels(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    said, gold = read_lines(predictions), read_lines(labels)
    _same_length(len(said.lines), len(gold.lines), "line", predictions, labels)
    warnings = [*said.warnings, *gold.warnings, *_placeholder(gold.lines, labels)]
    return _accuracy(said.lines, gold.lines, labels, warnings)


def _choices(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    said, gold = read_choices(predictions), read_choices(labels)
    _same_length(len(said), len(gold), "line", predictions, labels)
    return _accuracy(said, gold, labels, _placeholder(gold, labels))


def _accuracy(said: Sequence[Any], gold: Sequence[Any], labels: Path, warnings: Sequence[str]) -> FileScore:
    if not gold:
        raise UserError("the file is empty", where=str(labels), fix="Expected at least one label.")
    correct = sum(s == g for s, g in zip(said, gold, strict=True))
    return FileScore({"accuracy": correct / len(gold) * 100}, len(gold), warnings=tuple(warnings))


def _tags(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    read = read_lines(predictions), read_lines(labels)
    said, gold = (sentences(side.lines) for side in read)
    _same_length(len(said), len(gold), "sentence", predictions, labels)
    for at, (s, g) in enumerate(zip(said, gold, strict=True), start=1):
        if len(s) != len(g):
            raise UserError(
                f"sentence {at} has {number(len(s), 'tag')}", where=str(predictions),
                fix=f"Expected {len(g)}, as in {labels}: one tag for every word.",
            )  # fmt: skip
    repaired: dict[str, float] = {}
    words = sum(map(len, gold))
    if task.rule == "pos" and words:
        right = sum(a == b for s, g in zip(said, gold, strict=True) for a, b in zip(s, g, strict=True))
        repaired["accuracy"] = right / words * 100
    found: tuple[set[Chunk], set[Chunk]] = corpus_chunks(gold, legacy_parts), corpus_chunks(said, legacy_parts)
    return FileScore(_f1(*found), len(gold), repaired, warnings=(*read[0].warnings, *read[1].warnings))


def _pairs(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    said, gold = read_lines(predictions), read_lines(labels)
    warnings = [*said.warnings, *gold.warnings]
    for path, side in ((predictions, said), (labels, gold)):
        doubled = len(side.lines) - len(set(side.lines))
        if doubled:
            warnings.append(f"{path}: {number(doubled, 'line')} doubled; a pair counts once")
    found = ({tuple(line.split("\t")) for line in side.lines} for side in (gold, said))
    return FileScore(_f1(*found), len(gold.lines), warnings=tuple(warnings))


def _f1(gold: set[Any], said: set[Any]) -> dict[str, float]:
    correct = len(gold & said)
    precision = correct / len(said) if said else 0.0
    recall = correct / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}


_ANSWER_RULES: Mapping[str, tuple[Metric, Metric]] = {
    "squad": (squad.SQUAD_EM, squad.SQUAD_F1),
    "mlqa": (mlqa.MLQA_EM, mlqa.MLQA_F1),
    "repaired": (answers.ANSWER_EM, answers.ANSWER_F1),
}


def _answers(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    asked = list(questions(labels, read_document(labels).value))
    if not asked:
        raise UserError("there are no questions", where=str(labels), fix="Expected at least one.")
    said = read_mapping(predictions)
    warnings = _ids(said.value, [question.id for question in asked], said.doubled, predictions, labels)
    answered = [
        (question, _answer(said.value, question, predictions)) for question in asked if question.id in said.value
    ]
    if answered and not any(text for question, _ in answered for text in question.answers):
        warnings.append(f"{labels}: every gold answer is empty: test files from which the answers were taken out?")

    def both(rule: str) -> dict[str, float]:
        return {
            name: 100
            * sum(metric.measure(question.answers, text, language)[0] for question, text in answered)
            / len(asked)
            for name, metric in zip(("exact_match", "f1"), _ANSWER_RULES[rule], strict=True)
        }

    return FileScore(both(task.rule), len(asked), both("repaired"), len(asked) - len(answered), tuple(warnings))


def _answer(said: Mapping[str, Any], question: Question, predictions: Path) -> str:
    text = said[question.id]
    if not isinstance(text, str):
        raise UserError(f"the answer to '{question.id}' is no text", where=str(predictions), fix="Expected {id: text}.")
    if not question.answers:
        raise UserError(
            f"question '{question.id}' has no gold answer", where=question.where, fix="Expected at least one."
        )
    return text


def _ranking(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    gold, said = read_mapping(labels), read_mapping(predictions)
    for name, entities in gold.value.items():
        if not (isinstance(entities, list) and entities and isinstance(entities[0], str)):
            raise UserError(f"'{name}' has no gold entity", where=str(labels), fix="Expected {id: [entity]}.")
        if not isinstance(said.value.get(name, []), list):
            raise UserError(
                f"'{name}' has no list of entities", where=str(predictions), fix="Expected {id: [entity, ...]}."
            )
    warnings = _ids(said.value, list(gold.value), said.doubled, predictions, labels)
    ranks = [
        ranking.reciprocal_rank([entities[0].strip()], said.value.get(name, []))
        for name, entities in gold.value.items()
    ]
    missing = sum(name not in said.value for name in gold.value)
    mean = sum(ranks) / len(ranks) if ranks else 0.0
    return FileScore({"map@20": mean * 100}, len(ranks), unanswered=missing, warnings=tuple(warnings))


_KINDS: Mapping[str, Callable[[SuiteTask, str, Path, Path], FileScore]] = {
    "labels": _labels, "choices": _choices, "tags": _tags, "pairs": _pairs, "answers": _answers, "ranking": _ranking,
}  # fmt: skip


def _same_length(said: int, gold: int, what: str, predictions: Path, labels: Path) -> None:
    if said != gold:
        raise UserError(number(said, what), where=str(predictions), fix=f"Expected {gold}, as in {labels}.")


def _ids(
    said: Mapping[str, Any], gold: Sequence[str], doubled: Sequence[str], predictions: Path, labels: Path
) -> list[str]:
    """Warnings about ids that are missing, doubled or unknown."""
    known = set(gold)
    seen: set[str] = set()
    again = [name for name in gold if name in seen or seen.add(name)]
    return [
        f"{path}: {number(len(found), 'id')} {problem}: {', '.join(found[:SHOWN])}{', ...' if len(found) > SHOWN else ''}"
        for path, problem, found in (
            (
                predictions,
                f"of {len(gold)} without a prediction, scored 0",
                [name for name in gold if name not in said],
            ),
            (predictions, "doubled, of which the last one counts", list(doubled)),
            (predictions, "that the labels do not have, ignored", [name for name in said if name not in known]),
            (labels, "doubled, each of which is scored", again),
        )
        if found
    ]


PLACEHOLDER = 100
"""Labels from which on a file of one label alone is taken for one whose labels were taken out."""


def _placeholder(gold: Sequence[Any], labels: Path) -> list[str]:
    if len(gold) >= PLACEHOLDER and all(label == gold[0] for label in gold):
        return [f"{labels}: every label is '{gold[0]}': a placeholder for labels that were taken out?"]
    return []
