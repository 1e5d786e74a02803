"""F1 over chunks of tagged words: named entities, and XTREME's rule for parts of speech.

Both metrics use the tables of seqeval (which are conlleval's) for where a chunk begins and ends, and differ in how a
tag is read. seqeval 0.0.12 takes what stands behind the last hyphen as the type, so a tag without a hyphen is its own
type; from 1.0 on the first letter is cut off as a prefix, and "NOUN" becomes "OUN". XTREME scores plain parts of
speech with 0.0.12 (`evaluate.py`, METRIC_FUNCTION['udpos']), where runs of one tag melt into one chunk, except that
each tag with S ("SCONJ", "SYM") stands alone because S is read as a singleton. The two versions agree on BIO tags.

Counts add up over sentences because seqeval joins sentences with an 'O', which ends every chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xlift.tasks.metrics.base import Metric, f1

Chunk = tuple[str, int, int]
"""Type, first word, last word."""


Parts = Callable[[str], tuple[str, str]]
"""A tag -> its prefix letter and its type."""


def chunks(tags: Sequence[str], parts: Parts, before_type: str = "O") -> set[Chunk]:
    """Chunks of one sentence by the tables of seqeval, behind the 'O' that joins it to the sentence before."""
    found: set[Chunk] = set()
    begin, before = 0, "O"
    for i, tag in enumerate([*tags, "O"]):  # the last 'O' stands for the end of the sentence
        letter, type_ = parts(tag)
        if _ends(before, letter, before_type, type_):
            found.add((before_type, begin, i - 1))
        if _starts(before, letter, before_type, type_):
            begin = i
        before, before_type = letter, type_
    return found


def _ends(before: str, letter: str, before_type: str, type_: str) -> bool:
    """Whether a chunk ends between two words."""
    return before in "ES" or (before in "BI" and letter in "BSO") or (before not in "O." and before_type != type_)


def _starts(before: str, letter: str, before_type: str, type_: str) -> bool:
    """Whether a chunk starts between two words."""
    return letter in "BS" or (before in "ESO" and letter in "EI") or (letter not in "O." and before_type != type_)


def legacy_parts(tag: str) -> tuple[str, str]:
    """How seqeval 0.0.12 reads a tag."""
    return tag[0], tag.split("-")[-1]


def entity_parts(tag: str) -> tuple[str, str]:
    """How seqeval 1.x reads a tag (default mode): a tag without a type has the type '_'."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


def corpus_chunks(sentences: Iterable[Sequence[str]], parts: Parts) -> set[Chunk]:
    """Chunks of a whole file, as seqeval finds them: over all sentences joined by 'O'.

    The same as sentence by sentence for tags of BIO and for parts of speech. It differs for tags of no scheme whose
    type is 'O' ("X-O"), which end a chunk without having begun one; the first of a file stands behind no type at all.
    """
    return chunks([tag for sentence in sentences for tag in (*sentence, "O")], parts, before_type="")


def _counts(gold: Sequence[str], prediction: Sequence[str], parts: Parts) -> tuple[float, ...]:
    """(chunks in both, in gold, in the prediction) of one sentence."""
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} tags predicted for {len(gold)} words")
    right, found = chunks(gold, parts), chunks(prediction, parts)
    return float(len(right & found)), float(len(right)), float(len(found))


def legacy_counts(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
    return _counts(gold, prediction, legacy_parts)


def entity_counts(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
    return _counts(gold, prediction, entity_parts)


_COLUMNS = ("correct", "gold", "predicted")
CHUNK_F1_LEGACY = Metric("chunk-f1-legacy", "chunk F1 (seqeval 0.0.12, as XTREME)", _COLUMNS, legacy_counts, f1)
ENTITY_F1 = Metric("entity-f1", "entity F1", _COLUMNS, entity_counts, f1)
