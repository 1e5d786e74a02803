"""The suites: tasks, files, rules and groups.

As listed by `evaluate.py` of google-research/xtreme at 838c13b (`METRIC_FUNCTION`, `XTREME_GROUP2TASK`,
`XTREME_R_GROUP2TASK`; the catalogue has the languages), with its quirks: XCOPA is in two groups of XTREME-R, and LAReQA
has neither languages nor a rule, so
`evaluate.py` never prints the total of XTREME-R.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.tasks import catalog

FILE_EXTENSIONS = {
    "labels": "tsv",
    "pairs": "tsv",
    "tags": "tsv",
    "answers": "json",
    "ranking": "json",
    "choices": "jsonl",
}
"""Kind of file -> its extension. labels: a label per line. pairs: two ids per line. tags: a tag per line, with an empty
line between sentences. answers: SQuAD's json and {id: text}. ranking: {id: [entities]}. choices: {"label": n} per
line."""


@dataclass(frozen=True)
class SuiteTask:
    name: str
    """The name of its folder and of its task in the catalogue."""
    kind: str
    """A key of `FILE_EXTENSIONS`."""
    languages: tuple[str, ...]
    rule: str = ""
    """answers: 'squad' or 'mlqa'; tags: 'pos' if accuracy per word is the better score; labels: 'positions' if a line
    is the index (from 0) of a sentence among the foreign ones and lines follow the sorted English sentences, as in
    XTREME's preprocessing."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Label in our catalogue -> text of a line; empty: any text is allowed."""

    def file_path(self, language: str) -> str:
        """Path inside a leaderboard folder."""
        return f"{self.name}/test-{language}.{FILE_EXTENSIONS[self.kind]}"


@dataclass(frozen=True)
class Suite:
    name: str
    title: str
    tasks: tuple[SuiteTask, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    """Tasks that `evaluate.py` names but does not score."""

    def task(self, name: str) -> SuiteTask:
        return next(task for task in self.tasks if task.name == name)


def _make_tasks(suite: str, *entries: tuple[Any, ...]) -> tuple[SuiteTask, ...]:
    """(name, kind) or (name, kind, rule) -> tasks, in the languages that the catalogue has for the suite."""
    return tuple(
        SuiteTask(name, kind, catalog.get(name).suites[suite], *rule, labels=_LABELS.get(name, {}))
        for name, kind, *rule in entries
    )


_LABELS = {
    "xnli": {name: name for name in ("contradiction", "entailment", "neutral")},
    "pawsx": {"different": "0", "paraphrase": "1"},
}

XTREME = Suite(
    name="xtreme",
    title="XTREME (Hu et al. 2020)",
    tasks=_make_tasks(
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
    tasks=_make_tasks(
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
    unscored=("lareqa",),
)

SUITES = (XTREME, XTREME_R)


def get(name: str) -> Suite:
    """The suite with a name.

    Raises:
        UserError: no suite has that name.
    """
    for suite in SUITES:
        if suite.name == name:
            return suite
    names = tuple(suite.name for suite in SUITES)
    raise UserError(f"unknown suite '{name}'", fix=f"{did_you_mean(name, names)}Suites are {' and '.join(names)}.")
