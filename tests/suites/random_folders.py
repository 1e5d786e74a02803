"""Random leaderboard folders: predictions and labels of every task, with the edge cases of each file format."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from tests.tasks.test_scorers_random import BIO, PIECES, UPOS, answer

from xlift.suites import definitions


def languages(suite: definitions.Suite) -> dict[str, list[str]]:
    return {task.name: list(task.languages) for task in suite.tasks}


def write_folders(root: Path, suite: definitions.Suite, seed: int, tasks: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """Random predictions and labels of every task of a suite (or of some), with the edge cases of each."""
    rng = random.Random(seed)
    for task in suite.tasks:
        for code in task.languages:
            if tasks and task.name not in tasks:
                continue
            gold, predicted = FILES[task.name](rng, code)
            for side, text in (("labels", gold), ("predictions", predicted)):
                path = root / side / task.file_path(code)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="")
    return root / "predictions", root / "labels"


def _lines(rng: random.Random, values: list[str]) -> tuple[str, str]:
    gold = rng.choices(values, k=rng.randint(1, 12))
    predicted = [label if rng.random() < 0.6 else rng.choice(values) for label in gold]
    end = rng.choice(("\n", "\r\n"))
    return "\n".join(gold) + "\n", end.join(f" {label}\t" for label in predicted) + rng.choice(("", end))


def _tags(rng: random.Random, tags: list[str]) -> tuple[str, str]:
    gold = [rng.choices(tags, k=rng.choice((1, 1, 3, 8))) for _ in range(rng.randint(1, 4))]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]
    ends = (rng.choice(("", "\n", "\n\n")) for _ in range(2))
    one, other = (
        "\n\n".join("\n".join(s) for s in side) + end for side, end in zip((gold, predicted), ends, strict=True)
    )
    return one, other


def _pairs(rng: random.Random) -> tuple[str, str]:
    gold, predicted = (
        "".join(f"de-{rng.randint(1, 5)}\ten-{rng.randint(1, 4)}\n" for _ in range(rng.choice((0, 1, 5, 9))))
        for _ in range(2)
    )
    return gold, predicted


def _questions(rng: random.Random, code: str) -> tuple[str, str]:
    code = code if code in PIECES else rng.choice(("en", "th"))
    names = [f"q{rng.randint(1, 6)}" for _ in range(rng.randint(1, 6))]  # with duplicate ids
    golds = [[answer(rng, code) for _ in range(rng.randint(1, 3))] for _ in names]
    predicted = {
        name: rng.choice([*gold, answer(rng, code), ""])
        for name, gold in zip(names, golds, strict=True)
        if rng.random() < 0.9
    }
    predicted["q99"] = "unknown"
    qas = [{"id": name, "answers": [{"text": text} for text in gold]} for name, gold in zip(names, golds, strict=True)]
    cut = rng.randint(0, len(qas))
    data = [{"paragraphs": [{"qas": qas[:cut]}, {"qas": qas[cut:]}]}, {"paragraphs": []}]
    return json.dumps({"version": "1.1", "data": data}), json.dumps(predicted, ensure_ascii=rng.random() < 0.5)


def _ranking(rng: random.Random) -> tuple[str, str]:
    entities = [f"Q{n}" for n in range(30)]
    gold = {f"m{n}": [f" {rng.choice(entities)} "] for n in range(rng.randint(1, 6))}
    predicted = {name: rng.choices(entities, k=rng.choice((0, 1, 20, 30))) for name in gold if rng.random() < 0.9}
    return json.dumps(gold), json.dumps(predicted)


def _choices(rng: random.Random) -> tuple[str, str]:
    gold, predicted = (
        "".join(json.dumps({"label": rng.randint(0, 1), "idx": i}) + "\n" for i in range(5)) for _ in range(2)
    )
    return gold, predicted


FILES: dict[str, Callable[[random.Random, str], tuple[str, str]]] = {
    "pawsx": lambda rng, code: _lines(rng, ["0", "1"]),
    "xnli": lambda rng, code: _lines(rng, ["contradiction", "entailment", "neutral"]),
    "tatoeba": lambda rng, code: _lines(rng, [str(n) for n in range(9)]),
    "panx": lambda rng, code: _tags(rng, BIO),
    "udpos": lambda rng, code: _tags(rng, UPOS),
    "bucc2018": lambda rng, code: _pairs(rng),
    "xcopa": lambda rng, code: _choices(rng),
    "mewslix": lambda rng, code: _ranking(rng),
    "xquad": _questions, "mlqa": _questions, "tydiqa": _questions,
}  # fmt: skip
