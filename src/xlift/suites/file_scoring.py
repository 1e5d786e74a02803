"""Scores one file of predictions against one file of labels by the rule of `evaluate.py`, and by a repaired rule where
that one is known to be wrong. Scores are percentages, as in `evaluate.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.suites.definitions import SuiteTask
from xlift.suites.leaderboard_files import (
    Question,
    count_noun,
    read_choices,
    read_document,
    read_lines,
    read_mapping,
    read_questions,
    split_sentences,
)
from xlift.tasks.metrics import answers, mlqa, ranking, squad
from xlift.tasks.metrics.base import Metric
from xlift.tasks.metrics.chunks import Chunk, find_corpus_chunks, parse_legacy_tag

MAX_NAMED_IDS = 3
"""Ids named in a warning, which always gives their total number."""


@dataclass(frozen=True)
class FileScore:
    """The score of one language of one task."""

    official: Mapping[str, float]
    """Metric -> percentage, in the order of `evaluate.py`."""
    rows: int
    """Labels, sentences, questions, gold pairs or queries."""
    repaired: Mapping[str, float] = field(default_factory=dict)
    """The same or other metrics by the repaired rule; empty if the official rule is correct."""
    unanswered: int = 0
    """Number of labels without a prediction."""
    warnings: tuple[str, ...] = ()


def score_file(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    """Score one language.

    Raises:
        UserError: a file is damaged, their lengths differ, or there is nothing to score.
    """
    return _SCORERS[task.kind](task, language, predictions, labels)


def _score_labels(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    predicted, gold = read_lines(predictions), read_lines(labels)
    _check_same_length(len(predicted.lines), len(gold.lines), "line", predictions, labels)
    warnings = [*predicted.warnings, *gold.warnings, *_warn_of_placeholder(gold.lines, labels)]
    return _score_accuracy(predicted.lines, gold.lines, labels, warnings)


def _score_choices(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    predicted, gold = read_choices(predictions), read_choices(labels)
    _check_same_length(len(predicted), len(gold), "line", predictions, labels)
    return _score_accuracy(predicted, gold, labels, _warn_of_placeholder(gold, labels))


def _score_accuracy(predicted: Sequence[Any], gold: Sequence[Any], labels: Path, warnings: Sequence[str]) -> FileScore:
    if not gold:
        raise UserError("the file is empty", where=str(labels), fix="Expected at least one label.")
    correct = sum(p == g for p, g in zip(predicted, gold, strict=True))
    return FileScore({"accuracy": correct / len(gold) * 100}, len(gold), warnings=tuple(warnings))


def _score_tags(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    files = read_lines(predictions), read_lines(labels)
    predicted, gold = (split_sentences(file.lines) for file in files)
    _check_same_length(len(predicted), len(gold), "sentence", predictions, labels)
    for number, (p, g) in enumerate(zip(predicted, gold, strict=True), start=1):
        if len(p) != len(g):
            raise UserError(
                f"sentence {number} has {count_noun(len(p), 'tag')}", where=str(predictions),
                fix=f"Expected {len(g)}, as in {labels}: one tag for every word.",
            )  # fmt: skip
    repaired: dict[str, float] = {}
    num_words = sum(map(len, gold))
    if task.rule == "pos" and num_words:
        correct = sum(a == b for p, g in zip(predicted, gold, strict=True) for a, b in zip(p, g, strict=True))
        repaired["accuracy"] = correct / num_words * 100
    gold_chunks: set[Chunk] = find_corpus_chunks(gold, parse_legacy_tag)
    return FileScore(
        _compute_f1(gold_chunks, find_corpus_chunks(predicted, parse_legacy_tag)),
        len(gold),
        repaired,
        warnings=(*files[0].warnings, *files[1].warnings),
    )


def _score_pairs(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    predicted, gold = read_lines(predictions), read_lines(labels)
    warnings = [*predicted.warnings, *gold.warnings]
    for path, file in ((predictions, predicted), (labels, gold)):
        num_duplicates = len(file.lines) - len(set(file.lines))
        if num_duplicates:
            warnings.append(f"{path}: {count_noun(num_duplicates, 'duplicate line')}; a pair counts once")
    pairs = ({tuple(line.split("\t")) for line in file.lines} for file in (gold, predicted))
    return FileScore(_compute_f1(*pairs), len(gold.lines), warnings=tuple(warnings))


def _compute_f1(gold: set[Any], predicted: set[Any]) -> dict[str, float]:
    correct = len(gold & predicted)
    precision = correct / len(predicted) if predicted else 0.0
    recall = correct / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}


_ANSWER_RULES: Mapping[str, tuple[Metric, Metric]] = {
    "squad": (squad.SQUAD_EM, squad.SQUAD_F1),
    "mlqa": (mlqa.MLQA_EM, mlqa.MLQA_F1),
    "repaired": (answers.ANSWER_EM, answers.ANSWER_F1),
}


def _score_answers(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    all_questions = list(read_questions(labels, read_document(labels).value))
    if not all_questions:
        raise UserError("there are no questions", where=str(labels), fix="Expected at least one.")
    predicted = read_mapping(predictions)
    warnings = _check_ids(
        predicted.value, [question.id for question in all_questions], predicted.duplicates, predictions, labels
    )
    answered = [
        (question, _get_answer(predicted.value, question, predictions))
        for question in all_questions
        if question.id in predicted.value
    ]
    if answered and not any(text for question, _ in answered for text in question.answers):
        warnings.append(f"{labels}: every gold answer is empty. Were the answers removed from the test files?")

    def compute_scores(rule: str) -> dict[str, float]:
        return {
            name: 100
            * sum(metric.count_example(question.answers, text, language)[0] for question, text in answered)
            / len(all_questions)
            for name, metric in zip(("exact_match", "f1"), _ANSWER_RULES[rule], strict=True)
        }

    return FileScore(
        compute_scores(task.rule),
        len(all_questions),
        compute_scores("repaired"),
        len(all_questions) - len(answered),
        tuple(warnings),
    )


def _get_answer(predicted: Mapping[str, Any], question: Question, predictions: Path) -> str:
    text = predicted[question.id]
    if not isinstance(text, str):
        raise UserError(
            f"the answer to '{question.id}' is not text", where=str(predictions), fix="Expected {id: text}."
        )
    if not question.answers:
        raise UserError(
            f"question '{question.id}' has no gold answer", where=question.where, fix="Expected at least one."
        )
    return text


def _score_ranking(task: SuiteTask, language: str, predictions: Path, labels: Path) -> FileScore:
    gold, predicted = read_mapping(labels), read_mapping(predictions)
    for name, entities in gold.value.items():
        if not (isinstance(entities, list) and entities and isinstance(entities[0], str)):
            raise UserError(f"'{name}' has no gold entity", where=str(labels), fix="Expected {id: [entity]}.")
        if not isinstance(predicted.value.get(name, []), list):
            raise UserError(
                f"'{name}' has no list of entities", where=str(predictions), fix="Expected {id: [entity, ...]}."
            )
    warnings = _check_ids(predicted.value, list(gold.value), predicted.duplicates, predictions, labels)
    ranks = [
        ranking.reciprocal_rank([entities[0].strip()], predicted.value.get(name, []))
        for name, entities in gold.value.items()
    ]
    missing = sum(name not in predicted.value for name in gold.value)
    mean = sum(ranks) / len(ranks) if ranks else 0.0
    return FileScore({"map@20": mean * 100}, len(ranks), unanswered=missing, warnings=tuple(warnings))


_SCORERS: Mapping[str, Callable[[SuiteTask, str, Path, Path], FileScore]] = {
    "labels": _score_labels, "choices": _score_choices, "tags": _score_tags, "pairs": _score_pairs, "answers": _score_answers, "ranking": _score_ranking,
}  # fmt: skip


def _check_same_length(predicted: int, gold: int, noun: str, predictions: Path, labels: Path) -> None:
    if predicted != gold:
        raise UserError(count_noun(predicted, noun), where=str(predictions), fix=f"Expected {gold}, as in {labels}.")


def _check_ids(
    predicted: Mapping[str, Any], gold: Sequence[str], duplicates: Sequence[str], predictions: Path, labels: Path
) -> list[str]:
    """Warnings about missing, duplicate and unknown ids."""
    label_ids = set(gold)
    seen: set[str] = set()
    label_duplicates = [name for name in gold if name in seen or seen.add(name)]
    return [
        f"{path}: {count_noun(len(ids), noun)}{problem}: {', '.join(ids[:MAX_NAMED_IDS])}{', ...' if len(ids) > MAX_NAMED_IDS else ''}"
        for path, noun, problem, ids in (
            (
                predictions,
                "id",
                f" of {len(gold)} without a prediction, scored 0",
                [name for name in gold if name not in predicted],
            ),
            (predictions, "repeated id", ", of which the last counts", list(dict.fromkeys(duplicates))),
            (predictions, "id", " without a label, ignored", [name for name in predicted if name not in label_ids]),
            (labels, "repeated id", ", scored as often as it occurs", list(dict.fromkeys(label_duplicates))),
        )
        if ids
    ]


MIN_LABELS_FOR_WARNING = 100
"""A file with at least this many labels, all equal, has probably had its labels removed."""


def _warn_of_placeholder(gold: Sequence[Any], labels: Path) -> list[str]:
    if len(gold) >= MIN_LABELS_FOR_WARNING and all(label == gold[0] for label in gold):
        return [f"{labels}: every label is '{gold[0]}'. Is it a placeholder for removed labels?"]
    return []
