"""The generated tasks of the archipelago, and the source that generates their examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xlift.archipelago import VERSION
from xlift.archipelago.languages import GENERATED_LANGUAGES, SOURCE_LANGUAGE
from xlift.languages import Language
from xlift.tasks import formats
from xlift.tasks.faults import FaultyRows
from xlift.tasks.task import Task

NLI_LABELS = ("entailment", "neutral", "contradiction")
DEFAULT_NUM_EXAMPLES = {"train": 20_000, "dev": 500, "test": 500}
"""Split -> number of examples when no size is requested."""
NUM_FINGERPRINT_EXAMPLES = 16
"""Examples hashed into a fingerprint, beside the generator's version, in case a version bump is forgotten."""


@dataclass(frozen=True)
class GeneratedSource:
    """Any number of examples, generated on the fly; (split, seed, index) determines an example."""

    example: str
    """A key of `xlift.archipelago.examples.KINDS`."""
    kind: str = "isles"
    without: tuple[str, ...] = ()
    """Languages that the task excludes (retrieval pairs a language with the source language, so not that one itself)."""
    direction: tuple[str, ...] = ()
    """For translations: (source, target), one of which is "{lang}", the language of the rows."""

    def languages(self, split: str) -> tuple[str, ...]:
        return tuple(code for code in GENERATED_LANGUAGES if code not in self.without)

    def splits(self) -> tuple[str, ...]:
        return tuple(DEFAULT_NUM_EXAMPLES)

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        return True

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        return None

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """Examples 0 to `size` - 1 of the split under `seed`, so subsets of one seed are nested.

        For a format that ranks a pool, outside of training they are queries, followed by the pool: the passages of the
        same examples in all languages.
        """
        from xlift.archipelago.examples import make_example

        make = formats.get(task.format).example_class
        indices = range(DEFAULT_NUM_EXAMPLES[split] if size is None else size)
        pooled = formats.get(task.format).ranks_pool and split != "train"
        codes = self.languages(split)
        for index in indices:
            row = make_example(self.example, language, split, seed, index)
            if pooled:  # its answers are in the pool, one per language
                row |= {"passage": "", "relevant": tuple(f"{code}:{row['id']}" for code in codes)}
            yield make(**row)
        for code in codes if pooled else ():
            for index in indices:
                row = make_example(self.example, code, split, seed, index)
                yield make(id=f"{code}:{row['id']}", query="", passage=row["passage"])

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        return ()

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        return ()

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        return _fingerprint(self.example, language, split)


@cache
def _fingerprint(kind: str, language: str, split: str) -> str:
    from xlift.archipelago.examples import make_example

    probes = [make_example(kind, language, split, 0, index) for index in range(NUM_FINGERPRINT_EXAMPLES)]
    return hashlib.sha256(json.dumps([VERSION, kind, language, split, probes]).encode()).hexdigest()


def generated_languages() -> dict[str, Language]:
    """Code -> each generated language as a `Language`."""
    languages = GENERATED_LANGUAGES.values()
    return {x.code: Language(x.code, x.name, x.family, x.script, x.tier, subgroup=x.subgroup) for x in languages}


UPOS = ("ADJ", "ADP", "ADV", "NOUN", "PART", "PRON", "PROPN", "PUNCT", "VERB")
NAME_TAGS = ("O", "B-PER", "B-LOC", "B-ORG")
SUPERTAGS = (
    ".", "?", "NP", "PP", "S/S", r"S\S", "S/NP", r"S\NP", "NP/NP", r"NP\NP", "PP/NP", "PP/PP", r"PP\NP", r"PP\PP",
    "(S/S)/NP", r"(S/S)\NP", r"(S\S)/NP", r"(S\S)\NP", "(S/NP)/NP", r"(S\NP)/NP", r"(S\NP)\NP",
    "(S/NP)/(S/NP)", r"(S\NP)/(S\NP)", r"(S\NP)\(S\NP)", "((S/PP)/NP)/NP", r"((S\NP)/PP)/NP", r"((S\NP)\PP)\NP",
    "((S/NP)/NP)/((S/NP)/NP)", r"((S\NP)/NP)/((S\NP)/NP)", r"((S\NP)\NP)/((S\NP)\NP)", r"((S\NP)\NP)\((S\NP)\NP)",
    "(((S/PP)/NP)/NP)/(((S/PP)/NP)/NP)", r"(((S\NP)/PP)/NP)/(((S\NP)/PP)/NP)",
    r"(((S\NP)\PP)\NP)/(((S\NP)\PP)\NP)", r"(((S\NP)\PP)\NP)\(((S\NP)\PP)\NP)",
)  # fmt: skip
"""The CCG categories of all generated languages; a test checks that no others occur."""


def _task(
    name: str, title: str, format: str, metrics: tuple[str, ...], *,
    train_language: str = SOURCE_LANGUAGE, direction: tuple[str, ...] = (), **more: Any,
) -> Task:  # fmt: skip
    without = () if train_language == SOURCE_LANGUAGE else (SOURCE_LANGUAGE,)  # it is the other side of the pairs
    return Task(
        name=f"isle-{name}",
        title=title,
        format=format,
        metrics=metrics,
        source=GeneratedSource(name, without=without, direction=direction),
        train_language=train_language,
        licence="Apache-2.0 (generated)",
        **more,
    )


ISLES: tuple[Task, ...] = (
    _task("nli", "Natural language inference", "classification", ("accuracy",), labels=NLI_LABELS),
    _task("nli-balanced", "NLI with few cues in one sentence alone", "classification", ("accuracy",), labels=NLI_LABELS),
    _task("paraphrase", "Adversarial paraphrase (as PAWS)", "classification", ("accuracy",), labels=("different", "same")),
    _task("qa", "Extractive question answering (as SQuAD v1.1)", "span-qa", ("squad-f1", "squad-em")),
    _task("qa-unanswerable", "Question answering, a third without an answer (as SQuAD v2)", "span-qa", ("squad-f1", "squad-em"),
          labels=("answer", "no-answer")),
    _task("continuation", "Which sentence continues the story (as HellaSwag)", "multiple-choice", ("accuracy",)),
    _task("reading", "Reading comprehension with four answers (as Cosmos QA)", "multiple-choice", ("accuracy",)),
    _task("commonsense", "What people of a profession do and where (as CommonsenseQA)", "multiple-choice", ("accuracy",)),
    _task("supertags", "CCG supertags", "tagging", ("tag-accuracy",), labels=SUPERTAGS),
    _task("pos", "Universal parts of speech", "tagging", ("tag-accuracy", "chunk-f1-legacy"), labels=UPOS),
    _task("names", "Names of people, places and organisations", "tagging", ("entity-f1",), labels=NAME_TAGS),
    _task("retrieval", "Sentence retrieval: find the translation (as Tatoeba)", "retrieval", ("accuracy",), train_language=""),
    _task("mining", "Mining of translations among unpaired sentences and near misses (as BUCC)", "mining",
          ("bucc-f1", "mining-f1"), train_language="", options={"margin": "ratio"}),
    _task("answers", "Answer retrieval: find the sentence that answers (as LAReQA)", "retrieval", ("accuracy",), train_language=""),
    _task("answer-pairs", "Trained answer retrieval from a pool of all languages (as LAReQA)", "dual-encoding",
          ("map@20", "map", "mrr@20"), options={"pooling": "mean"}),
    _task("to-pivot", "Translation of sentences into the source language", "translation", ("chrf++", "bleu", "on-target"),
          train_language="qtm", direction=("{lang}", SOURCE_LANGUAGE)),
    _task("from-pivot", "Translation of sentences out of the source language", "translation", ("chrf++", "bleu", "on-target"),
          train_language="qtm", direction=(SOURCE_LANGUAGE, "{lang}")),
    _task("translation", "Documents with their translation in the source language", "text", ()),
    _task("text", "Plain text, different documents in each language", "text", ()),
    _task("parallel", "Documents with their translation in another language (for TLM)", "text", ()),
)  # fmt: skip
