"""The suites, one declaration each: tasks, their languages, files, rules and groups.

As `evaluate.py` of google-research/xtreme at 838c13b lists them (`XTREME_TASK2LANGS`, `XTREME_R_TASK2LANGS`,
`METRIC_FUNCTION`, `XTREME_GROUP2TASK`, `XTREME_R_GROUP2TASK`), its oddities included: XCOPA counts in two groups of
XTREME-R, and LAReQA has neither languages nor a rule, for which reason XTREME-R's total is never printed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xlift.errors import UserError, nearest

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


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_INFERENCE = {name: name for name in ("contradiction", "entailment", "neutral")}
_XNLI = SuiteTask("xnli", "labels", _codes("ar bg de el en es fr hi ru sw th tr ur vi zh"), labels=_INFERENCE)
_PAWSX = SuiteTask("pawsx", "labels", _codes("de en es fr ja ko zh"), labels={"0": "0", "1": "1"})
_PANX = _codes(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
)
_UDPOS = _codes("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh")
_TATOEBA = _codes("ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu")
_XQUAD = _codes("en es de el ru tr ar vi th zh hi")
_MLQA = SuiteTask("mlqa", "answers", _codes("en es de ar hi vi zh"), rule="mlqa")
_TYDIQA = SuiteTask("tydiqa", "answers", _codes("en ar bn fi id ko ru sw te"), rule="squad")

XTREME = Suite(
    name="xtreme",
    title="XTREME (Hu et al. 2020)",
    tasks=(
        _PAWSX,
        _XNLI,
        SuiteTask("panx", "tags", _PANX),
        SuiteTask("udpos", "tags", _UDPOS, rule="pos"),
        SuiteTask("bucc2018", "pairs", _codes("de fr ru zh")),
        SuiteTask("tatoeba", "labels", _TATOEBA, rule="positions"),
        SuiteTask("xquad", "answers", _XQUAD, rule="squad"),
        _MLQA,
        _TYDIQA,
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
    tasks=(
        _XNLI,
        SuiteTask("panx", "tags", _PANX + _codes("qu pl uk az lt pa gu ro")),
        SuiteTask("udpos", "tags", _UDPOS + _codes("lt pl uk wo ro"), rule="pos"),
        SuiteTask("tatoeba", "labels", _TATOEBA + _codes("az lt pl uk ro"), rule="positions"),
        SuiteTask("xcopa", "choices", _codes("et ht id it qu sw ta th tr vi zh")),
        SuiteTask("mewslix", "ranking", _codes("ar de en es fa ja pl ro ta tr uk")),
        SuiteTask("xquad", "answers", (*_XQUAD, "ro"), rule="squad"),
        _MLQA,
        _TYDIQA,
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
