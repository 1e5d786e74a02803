"""The page's section on examples that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xlift.analysis.estimates import PipelineKey
from xlift.analysis.flips import TargetFlips
from xlift.tasks.sources.base import truncate

MAX_TEXT, MAX_ANSWER = 300, 60
"""Characters of the texts of an example, and of an answer or an id."""
PRIVATE_CODES = range(ord("a"), ord("t") + 1)
"""Second letter of a code of three that ISO 639 leaves to private use: qaa to qtz."""


def for_page(targets: Sequence[TargetFlips]) -> list[dict[str, Any]]:
    """For each target: its title, a line of counts for each pipeline, and a line for each example."""
    sections = []
    for each in targets:
        names = _names(list(each.counts))
        sections.append(
            {
                "target": each.target,
                "counts": [
                    (names[key], f"{right:,}", f"{wrong:,}", f"{number:,}")
                    for key, (right, wrong, number) in each.counts.items()
                ],
                "lines": [
                    {
                        "pipeline": names[flip.pipeline],
                        "language": flip.language,
                        "lang": html_language(flip.language),
                        "change": "became right" if flip.is_right else "became wrong",
                        "answers": [truncate(answer, MAX_ANSWER) for answer in (flip.gold, flip.before, flip.after)],
                        "id": truncate(flip.name, MAX_ANSWER),
                        "text": truncate(flip.text, MAX_TEXT),
                    }
                    for flip in each.flips
                ],
                "has_texts": any(flip.text for flip in each.flips),
                "note": _note(each),
            }
        )
    return sections


def html_language(code: str) -> str:
    """The code for the attribute `lang`; '' for a code of private use, such as those of the archipelago."""
    is_private = len(code) == 3 and code[0] == "q" and ord(code[1]) in PRIVATE_CODES
    return "" if is_private else code


def _names(pipelines: Sequence[PipelineKey]) -> dict[PipelineKey, str]:
    """Names with the parts of a pipeline that vary."""
    varying = [n for n in (0, 2, 3) if len({key[n] for key in pipelines}) > 1]
    return {key: " · ".join(filter(None, (key.intermediate, *(key[n] for n in varying)))) for key in pipelines}


def _note(each: TargetFlips) -> str:
    flipped = sum(right + wrong for right, wrong, _ in each.counts.values())
    listed = f"The table lists {len(each.flips)} of {flipped:,}. " if len(each.flips) < flipped else ""
    if each.licence:
        return f"{listed}Texts: licence {each.licence}."
    return (
        f"{listed}The texts are not shown: their data are not on this machine (`--data DIR` names their folder), or the licence that "
        "the task declares does not allow to pass them on."
    )
