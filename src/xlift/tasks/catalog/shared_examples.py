"""Tasks of the catalogue that share training examples, or their translations: more labels of one are more labels of the other.

Data only. A study marks the cells whose intermediate stage and target are the same task in this sense, and draws their training
subsets without common examples.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SharedExamples:
    tasks: tuple[str, ...]
    have_common_ids: bool = False
    """Whether an id means the same example in all of these tasks, also in another language. Otherwise equal texts tell which
    examples are the same, which finds no translations."""


SHARED_EXAMPLES = (
    SharedExamples(("isle-nli", "isle-nli-balanced")),
    SharedExamples(("isle-qa", "isle-qa-unanswerable")),
    SharedExamples(("squad", "squad2", "squad-mt", "lareqa"), have_common_ids=True),
    SharedExamples(("tydiqa", "tydiqa-translate-train")),
    SharedExamples(("mnli", "anli-plus", "xnli-mt", "xnli-translate-train", "kornli", "indonli-mt")),
    SharedExamples(("snli", "anli-plus", "esnli", "kornli")),
    SharedExamples(("anli", "anli-plus")),
    SharedExamples(("ocnli", "ocnli-10k")),
    SharedExamples(("pawsx", "pawsx-mt", "pawsx-translate-train")),
)


def find_shared(first: str, second: str) -> SharedExamples | None:
    """The declaration of two different tasks that share examples; None if they share none."""
    return next((each for each in SHARED_EXAMPLES if first in each.tasks and second in each.tasks), None)


def is_same_task(first: str, second: str) -> bool:
    """Whether two names mean one task, or tasks that share training examples."""
    return first == second or find_shared(first, second) is not None
