"""F1 over chunks of tagged words: named entities, and XTREME's rule for parts of speech.

Both metrics use seqeval's rules (which are conlleval's) for where a chunk begins and ends, and differ in how they parse
a tag. In seqeval 0.0.12 the type is the part after the last hyphen, so a tag without a hyphen is its own type; from 1.0
on the first letter is removed as a prefix, and "NOUN" becomes "OUN". XTREME scores plain parts of speech with 0.0.12
(`evaluate.py`, METRIC_FUNCTION['udpos']): a run of one tag is one chunk, except that each tag with S ("SCONJ", "SYM")
is a chunk by itself because S means a singleton. The two versions agree on BIO tags.

Counts add up over sentences because seqeval joins sentences with an 'O', which ends every chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from xlift.tasks.metrics.base import Metric, f1

Chunk = tuple[str, int, int]
"""Type, first word, last word."""


TagParser = Callable[[str], tuple[str, str]]
"""A tag -> its prefix letter and its type."""
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB",
    "X",
)  # fmt: skip
"""Universal parts of speech."""
_PREFIXED = re.compile(r"O|[BIES]-.+", re.DOTALL)
_PREFIX = re.compile(r"O|[BIES]([-_].+)?", re.DOTALL)


def find_chunks(tags: Sequence[str], parse_tag: TagParser, previous_type: str = "O") -> set[Chunk]:
    """Chunks of one sentence by seqeval's rules, after the 'O' that joins it to the previous sentence."""
    chunks: set[Chunk] = set()
    begin, previous = 0, "O"
    for i, tag in enumerate([*tags, "O"]):  # the last 'O' is the end of the sentence
        prefix, type_ = parse_tag(tag)
        if _chunk_ends(previous, prefix, previous_type, type_):
            chunks.add((previous_type, begin, i - 1))
        if _chunk_starts(previous, prefix, previous_type, type_):
            begin = i
        previous, previous_type = prefix, type_
    return chunks


def _chunk_ends(previous: str, prefix: str, previous_type: str, type_: str) -> bool:
    """Whether a chunk ends between two words."""
    type_changes = previous_type != type_
    return previous in "ES" or (previous in "BI" and prefix in "BSO") or (previous not in "O." and type_changes)


def _chunk_starts(previous: str, prefix: str, previous_type: str, type_: str) -> bool:
    """Whether a chunk starts between two words."""
    return prefix in "BS" or (previous in "ESO" and prefix in "EI") or (prefix not in "O." and previous_type != type_)


def parse_legacy_tag(tag: str) -> tuple[str, str]:
    """As seqeval 0.0.12."""
    return tag[0], tag.split("-")[-1]


def parse_entity_tag(tag: str) -> tuple[str, str]:
    """As seqeval 1.x (default mode): a tag without a type has the type '_'."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


def find_corpus_chunks(sentences: Iterable[Sequence[str]], parse_tag: TagParser) -> set[Chunk]:
    """Chunks of a whole file, as seqeval finds them in all sentences joined by 'O'.

    For BIO tags and parts of speech the result is the same as sentence by sentence. It differs for tags of no scheme
    whose type is 'O' ("X-O"), which end a chunk that never began; the first tag of a file has no previous type.
    """
    return find_chunks([tag for sentence in sentences for tag in (*sentence, "O")], parse_tag, previous_type="")


def _counts(gold: Sequence[str], prediction: Sequence[str], parse_tag: TagParser) -> tuple[float, ...]:
    """(chunks in both, in gold, in the prediction) of one sentence."""
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} tags predicted for {len(gold)} words")
    expected, predicted = find_chunks(gold, parse_tag), find_chunks(prediction, parse_tag)
    return float(len(expected & predicted)), float(len(expected)), float(len(predicted))


def legacy_counts(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
    return _counts(gold, prediction, parse_legacy_tag)


def entity_counts(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
    return _counts(gold, prediction, parse_entity_tag)


def check_legacy_tags(labels: Sequence[str]) -> str:
    """Tags with prefixes; or parts of speech, of which the rule reads the first letter as XTREME does."""
    if all(label in UPOS for label in labels):
        return ""
    problem = _find_odd_tag(labels, _PREFIXED)
    return f"{problem}, and it is no universal part of speech" if problem else _find_same_type(labels, parse_legacy_tag)


def check_entity_tags(labels: Sequence[str]) -> str:
    """Tags with prefixes. A prefix alone (`B`, `I`) is a tag of the only type."""
    return _find_odd_tag(labels, _PREFIX) or _find_same_type(labels, parse_entity_tag)


def _find_odd_tag(labels: Sequence[str], known: re.Pattern[str]) -> str:
    odd = next((label for label in labels if not known.fullmatch(label)), None)
    return "" if odd is None else f"the tag '{odd[:60]}' is not O and has none of the prefixes B-, I-, E- and S-"


def _find_same_type(labels: Sequence[str], parse_tag: TagParser) -> str:
    """Two tags that differ in more than the prefix, and have one type under the rule (legacy: B-PER-PART, I-ORG-PART)."""
    tags: dict[str, str] = {}
    for label in labels:
        if label != "O" and (other := tags.setdefault(parse_tag(label)[1], label))[1:] != label[1:]:
            return f"it cannot tell the type of '{label[:60]}' from that of '{other[:60]}'"
    return ""


_COUNT_NAMES = ("correct", "gold", "predicted")
CHUNK_F1_LEGACY = Metric(
    "chunk-f1-legacy", "chunk F1 (seqeval 0.0.12, as XTREME)", _COUNT_NAMES, legacy_counts, f1, formats=("tagging",),
    check_labels=check_legacy_tags,
)  # fmt: skip
ENTITY_F1 = Metric(
    "entity-f1", "entity F1", _COUNT_NAMES, entity_counts, f1, formats=("tagging",), check_labels=check_entity_tags
)
