"""The suites, one declaration each: tasks, their files, rules and groups.

As `evaluate.py` of google-research/xtreme at 838c13b lists them (`METRIC_FUNCTION`, `XTREME_GROUP2TASK`,
`XTREME_R_GROUP2TASK`; the languages stand in the catalogue), its oddities included: XCOPA counts in two groups of XTREME-R,
and LAReQA has neither languages nor a rule, for which reason XTREME-R's total is never printed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xlift.errors import UserError, nearest
from xlift.tasks import catalog

ENDINGS = {"labels": "tsv", "pairs": "tsv", "tags": "tsv", "answers": "json", "ranking": "json", "choices": "jsonl"}
"""Kind of file -> its ending. labels: a label per line. pairs: two ids per line. tags: a tag per line, sentences parted by
empty lines. answers: SQuAD's json and {id: text}. ranking: {id: [entities]}. choices: {"label": n} per line."""


@dataclass(frozen=True)
class SuiteTask:
    name: str
    """The name of its folder, which is that of the catalogue too."""
    kind: str
    """A key of `ENDINGS`."""
    languages: tuple[str, ...]
    rule: str = ""
    """answers: 'squad' or 'mlqa'; tags: 'pos' where accuracy per word is the better score; labels: 'positions' where a
    line is the place (from 0) of a sentence among the foreign ones, and lines stand in the order of the sorted English ones,
    as XTREME's preprocessing leaves them."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What may stand on a line, by the names that a task of ours can give it; empty: anything."""

    def file(self, language: str) -> str:
        """Path in a leaderboard folder."""
        return f"{self.name}/test-{language}.{ENDINGS[self.kind]}"


@dataclass(frozen=True)
class Suite:
    name: str
    title: str
    tasks: tuple[SuiteTask, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    """Tasks that are named but not scored."""

    def task(self, name: str) -> SuiteTask:
        return next(task for task in self.tasks if task.name == name)


def _tasks(suite: str, *given: tuple[Any, ...]) -> tuple[SuiteTask, ...]:
    """(name, kind) or (name, kind, rule) -> tasks, in the languages that the catalogue has for the suite."""
    return tuple(
        SuiteTask(name, kind, catalog.get(name).suites[suite], *rule, labels=_LABELS.get(name, {}))
        for name, kind, *rule in given
    )


_LABELS = {
    "xnli": {name: name for name in ("contradiction", "entailment", "neutral")},
    "pawsx": {"different": "0", "paraphrase": "1"},
}

XTREME = Suite(
    name="xtreme",
    title="XTREME (Hu et al. 2020)",
    tasks=_tasks(
        "xtreme",
        ("pawsx", "labels"),
        ("xnli", "labels"),
        ("panx", "tags"),
        ("udpos", "tags", "pos"),
        ("bucc2018", "pairs"),
        ("tatoeba", "labels", "positions"),
        ("xquad", "answers", "squad"),
        ("mlqa", "answers", "mlqa"),
        ("tydiqa", "answers", "squad"),
    ),
    groups={
        "classification": ("pawsx", "xnli"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    },
)

XTREME_R = Suite(
    name="xtreme-r",
    title="XTREME-R (Ruder et al. 2021)",
    tasks=_tasks(
        "xtreme-r",
        ("xnli", "labels"),
        ("panx", "tags"),
        ("udpos", "tags", "pos"),
        ("tatoeba", "labels", "positions"),
        ("xcopa", "choices"),
        ("mewslix", "ranking"),
        ("xquad", "answers", "squad"),
        ("mlqa", "answers", "mlqa"),
        ("tydiqa", "answers", "squad"),
    ),
    groups={
        "classification": ("xnli", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("tatoeba", "mewslix"),
        "multi_choice": ("xcopa",),
    },
    empty=("lareqa",),
)

SUITES = (XTREME, XTREME_R)


def get(name: str) -> Suite:
    """The suite of a name.

    Raises:
        UserError: there is none of that name.
    """
    for suite in SUITES:
        if suite.name == name:
            return suite
    known = tuple(suite.name for suite in SUITES)
    raise UserError(f"unknown suite '{name}'", fix=f"{nearest(name, known)}Suites are {' and '.join(known)}.")
