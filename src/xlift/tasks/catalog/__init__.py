"""The declarations of all tasks that come with xlift: what a task is, how it is scored, where its examples are, and its
known issues. Data only; one module per kind of task.

Paths are those of the authors' archives, under the folder given by `--data DIR`. Sources of kind `xtreme` are the files
that XTREME's `scripts/download_data.sh` writes, in the same folder. `xlift tasks` prints the declarations as a table.
Citations are in citations.bib.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.languages import LANGUAGES, Language
from xlift.tasks.catalog import (
    exams,
    intents,
    multiple_choice,
    nli,
    nli_collected,
    paraphrase,
    question_answering,
    retrieval,
    sentences,
    tagging,
    text,
    topics,
    translation,
)
from xlift.tasks.catalog.nli import NLI
from xlift.tasks.catalog.tagging import UPOS
from xlift.tasks.sources.generated import ISLES, generated_languages
from xlift.tasks.task import Task

__all__ = ["FILES", "ISLES", "NLI", "TASKS", "UPOS", "all_languages", "bibtex", "get", "invented_examples", "names"]

FILES: tuple[Task, ...] = (
    *nli.TASKS, *nli_collected.TASKS, *paraphrase.TASKS, *topics.TASKS, *intents.TASKS, *question_answering.TASKS, *multiple_choice.TASKS, *exams.TASKS, *sentences.TASKS,
    *tagging.TASKS, *retrieval.TASKS, *translation.TASKS, *text.TASKS,
)  # fmt: skip
"""Published tasks: read from files or from the Hub."""

TASKS: tuple[Task, ...] = (*ISLES, *FILES)


def all_languages() -> dict[str, Language]:
    """Code -> every language of a task in the catalogue, real or generated."""
    return {**{language.code: language for language in LANGUAGES}, **generated_languages()}


def names() -> tuple[str, ...]:
    return tuple(task.name for task in TASKS)


def get(name: str) -> Task:
    """The task with a name.

    Raises:
        UserError: there is none.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise UserError(f"unknown task '{name}'", fix=f"{did_you_mean(name, names())}`xlift tasks` lists them all.")


def bibtex(task: Task) -> str:
    """The BibTeX entries to cite for a task, in the order of its declaration."""
    return "\n\n".join(citations()[key] for key in task.citations)


@cache
def citations() -> dict[str, str]:
    """Key -> entry of citations.bib; read on first use."""
    entries = (Path(__file__).parent / "citations.bib").read_text(encoding="utf-8").split("\n\n")
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry.strip() for entry in entries if entry.startswith("@")}


@cache
def invented_examples() -> dict[str, dict[str, Any]]:
    """Task -> {language, split, example}: one invented example in the form of each published task, to show a task without its
    data."""
    return json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))
