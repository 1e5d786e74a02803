"""The benchmarks' rules a second time, written from their description and apart from the package: sorted lists, scans
and exact fractions where the package has counters, tables and floats.

Rules: SQuAD v1.1 and v2.0, MLQA, seqeval 0.0.12, sets of pairs, rankings, and the averages and report of XTREME's
`evaluate.py` (docs of google-research/xtreme; ../shared/reference/official-scoring.md, D1 to D9).
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

# --- answers ----------------------------------------------------------------------------------------------------------


def overlap(left: list[str], right: list[str]) -> Fraction:
    """F1 of two bags of words, by removing words one by one from a sorted list."""
    rest, shared = sorted(right), 0
    for word in left:
        at = bisect_left(rest, word)
        if at < len(rest) and rest[at] == word:
            del rest[at]
            shared += 1
    if not shared:
        return Fraction(0)
    precision, recall = Fraction(shared, len(left)), Fraction(shared, len(right))
    return 2 * precision * recall / (precision + recall)


def english_words(answer: str) -> list[str]:
    kept = "".join(c for c in answer.lower() if c not in string.punctuation)
    # \b is the boundary between a word character (letters, digits, _, as in Python's re) and any other.
    pieces = re.split(r"(\w+)", kept)
    return "".join(" " if piece in ("a", "an", "the") else piece for piece in pieces).split()


DROPPED = {
    "en": "a an the", "es": "un una unos unas el la los las", "vi": "của là cái chiếc những",
    "de": "ein eine einen einem eines einer der die das den dem des", "hi": "", "zh": "", "ar": "",
}  # fmt: skip


def mlqa_words(answer: str, language: str) -> list[str]:
    dropped = DROPPED[language].split()
    kept = ""
    for character in answer.lower():
        if character in string.punctuation or unicodedata.category(character)[0] == "P":
            continue
        kept += f" {character} " if language == "zh" and 0x4E00 <= ord(character) <= 0x9FA5 else character
    if language == "ar":
        kept = " ".join(kept.split("\u0627\u0644"))  # alif lam at any position: the bug
    return "".join(" " if piece in dropped else piece for piece in re.split(r"(\w+)", kept)).split()


def answer_scores(gold: Sequence[str], predicted: str, words: Callable[[str], list[str]]) -> tuple[int, Fraction]:
    """Exact match and F1 against the best of the gold answers."""
    found = [(words(answer), words(predicted)) for answer in gold]
    return int(any(a == b for a, b in found)), max(overlap(a, b) for a, b in found)


def squad2_scores(gold: Sequence[str], predicted: str) -> tuple[int, Fraction]:
    golds = [words for words in map(english_words, gold) if words] or [[]]
    mine = english_words(predicted)
    f1 = max(overlap(words, mine) if words and mine else Fraction(words == mine) for words in golds)
    return int(mine in golds), f1


# --- tags -------------------------------------------------------------------------------------------------------------


def chunks(tags: Sequence[str], read: Callable[[str], tuple[str, str]]) -> set[tuple[str, int, int]]:
    """seqeval's chunks of one sentence as spans that are open or not, from the wording of conlleval: B and S always
    open one, E and S always close it, O and '.' never carry one, a change of type parts two."""
    found, start, kind = set(), None, ""
    letters = [read(tag) for tag in tags]
    for i, (letter, type_) in enumerate(letters):
        inside = start is not None and letter not in "BSO." and type_ == kind and letters[i - 1][0] not in "ES"
        if not inside:
            if start is not None:
                found.add((kind, start, i - 1))
            start = None if letter in "O." else i
            kind = type_
    return found | ({(kind, start, len(tags) - 1)} if start is not None else set())


def legacy(tag: str) -> tuple[str, str]:
    return tag[0], tag.rpartition("-")[2]


def chunk_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Fraction]:
    sides = [
        {(n, *chunk) for n, tags in enumerate(side) for chunk in chunks(tags, legacy)} for side in (gold, predicted)
    ]
    return set_f1(*sides)


def set_f1(gold: set[Any], predicted: set[Any]) -> dict[str, Fraction]:
    both = len([item for item in gold if item in predicted])
    precision = Fraction(both, len(predicted)) if predicted else Fraction(0)
    recall = Fraction(both, len(gold)) if gold else Fraction(0)
    total = len(gold) + len(predicted)
    return {"f1": Fraction(2 * both, total) if total else Fraction(0), "precision": precision, "recall": recall}


# --- rankings ---------------------------------------------------------------------------------------------------------


def reciprocal_rank(gold: str, ranked: Sequence[str], top: int = 20) -> Fraction:
    return Fraction(1, list(ranked[:top]).index(gold) + 1) if gold in ranked[:top] else Fraction(0)


def average_precision(relevant: Sequence[str], ranked: Sequence[str], top: int = 20) -> Fraction:
    cut = list(ranked[:top])
    places = sorted(cut.index(name) + 1 for name in set(relevant) if name in cut)
    hits = (Fraction(sum(other <= place for other in places), place) for place in places)
    return sum(hits, Fraction(0)) / min(len(set(relevant)), top)


# --- evaluate.py ------------------------------------------------------------------------------------------------------

GROUPS: dict[str, dict[str, list[str]]] = {
    "xtreme": {
        "classification": ["pawsx", "xnli"], "tagging": ["udpos", "panx"], "qa": ["xquad", "mlqa", "tydiqa"],
        "retrieval": ["bucc2018", "tatoeba"],
    },
    "xtreme-r": {
        "classification": ["xnli", "xcopa"], "tagging": ["udpos", "panx"], "qa": ["xquad", "mlqa", "tydiqa"],
        "retrieval": ["tatoeba", "mewslix"], "multi_choice": ["xcopa"],
    },
}  # fmt: skip
_PANX = "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
_UDPOS = "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"
_TATOEBA = "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu"
_BOTH = {
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh", "xquad": "en es de el ru tr ar vi th zh hi",
    "mlqa": "en es de ar hi vi zh", "tydiqa": "en ar bn fi id ko ru sw te",
}  # fmt: skip
LANGUAGES: dict[str, dict[str, str]] = {
    "xtreme": _BOTH
    | {"pawsx": "de en es fr ja ko zh", "bucc2018": "de fr ru zh", "panx": _PANX, "udpos": _UDPOS, "tatoeba": _TATOEBA},
    "xtreme-r": _BOTH
    | {
        "xquad": _BOTH["xquad"] + " ro", "panx": f"{_PANX} qu pl uk az lt pa gu ro", "udpos": f"{_UDPOS} lt pl uk wo ro",
        "tatoeba": f"{_TATOEBA} az lt pl uk ro", "xcopa": "et ht id it qu sw ta th tr vi zh",
        "mewslix": "ar de en es fa ja pl ro ta tr uk",
    },
}  # fmt: skip
"""XTREME_TASK2LANGS and XTREME_R_TASK2LANGS, copied from `evaluate.py` independently of the catalogue."""


def file_scores(task: str, language: str, predictions: Path, labels: Path) -> dict[str, Fraction]:
    """Metric -> score as a fraction."""
    if task in ("panx", "udpos"):
        gold, predicted = (_sentences(path) for path in (labels, predictions))
        return chunk_f1(gold, predicted)
    if task == "bucc2018":
        return set_f1(*({tuple(line.split("\t")) for line in _lines(path)} for path in (labels, predictions)))
    if task == "xcopa":
        gold, predicted = ([json.loads(line)["label"] for line in _lines(path)] for path in (labels, predictions))
        return {"accuracy": Fraction(sum(map(int.__eq__, gold, predicted)), len(gold))}
    if task == "mewslix":
        gold, predicted = (json.loads(path.read_text("utf-8")) for path in (labels, predictions))
        ranks = [reciprocal_rank(entity[0].strip(), predicted.get(name, [])) for name, entity in gold.items()]
        return {"map@20": sum(ranks, Fraction(0)) / len(ranks)}
    if task in ("xquad", "tydiqa", "mlqa"):
        words = (lambda answer: mlqa_words(answer, language)) if task == "mlqa" else english_words
        predicted = json.loads(predictions.read_text("utf-8"))
        articles = json.loads(labels.read_text("utf-8"))["data"]
        questions = [qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
        scores = [
            answer_scores([a["text"] for a in qa["answers"]], predicted[qa["id"]], words)
            if qa["id"] in predicted
            else (0, Fraction(0))
            for qa in questions
        ]
        exact, f1 = zip(*scores, strict=True)
        return {"exact_match": Fraction(sum(exact), len(questions)), "f1": sum(f1, Fraction(0)) / len(questions)}
    gold, predicted = _lines(labels), _lines(predictions)
    return {"accuracy": Fraction(sum(map(str.__eq__, gold, predicted)), len(gold))}


def report(predictions: Path, labels: Path, suite: str, languages: dict[str, list[str]]) -> dict[str, Any]:
    """The output of `evaluate.py` for the tasks in both folders."""
    tasks: dict[str, dict[str, Any]] = {}
    for task, codes in languages.items():
        if not (predictions / task).is_dir() or not (labels / task).is_dir():
            continue
        ending = {"xcopa": "jsonl", "mewslix": "json", "xquad": "json", "mlqa": "json", "tydiqa": "json"}.get(
            task, "tsv"
        )
        scores = {
            c: file_scores(task, c, *(root / task / f"test-{c}.{ending}" for root in (predictions, labels)))
            for c in codes
        }
        metrics = list(next(iter(scores.values())))
        one: dict[str, Any] = {m: {c: float(100 * scores[c][m]) for c in codes} for m in metrics}
        one |= {f"avg_{m}": float(100 * sum(scores[c][m] for c in codes) / len(codes)) for m in metrics}
        qa = "exact_match" in metrics
        one["avg_metric"] = (one["avg_exact_match"] + one["avg_f1"]) / 2 if qa else one[f"avg_{metrics[0]}"]
        tasks[task] = one
    found: dict[str, Any] = {}
    if suite == "xtreme" and len(tasks) == len(languages):  # XTREME-R needs LAReQA, which has no score
        found["all_task"] = sum(one["avg_metric"] for one in tasks.values()) / len(tasks)
    for group, names in GROUPS[suite].items():
        if all(name in tasks for name in names):
            found[group] = sum(tasks[name]["avg_metric"] for name in names) / len(names)
    return {**found, **tasks}


def _lines(path: Path) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file]


def _sentences(path: Path) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in _lines(path):
        found[-1].append(line) if line else found.append([])
    return found if found[-1] else found[:-1]
