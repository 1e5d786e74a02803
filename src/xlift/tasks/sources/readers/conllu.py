"""CoNLL-U: words and universal parts of speech, prepared as XTREME prepares UD-POS.

XTREME runs `conllu_to_conll.py --replace_subtokens_with_fused_forms` and `utils_preprocess.py`:

- A multi-word token ("du", "don't") stays one word and takes the tag of its head: the syntactic word nearest to the
  root. If several are equally near (de + le, both under the noun), the first tag of a precedence list wins. The lists
  below are the script's; tags missing from them come last (the script stops with an error there).
- Empty nodes (8.1) are skipped. U+200C and spaces inside forms are removed.
- Sentences whose words are all, or all but one, "_" are skipped: they come from treebanks that ship without their text.

If several treebanks are read together, a sentence's id includes its file's name, since ids may repeat across treebanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlift.errors import UserError
from xlift.language_tags import folded_code
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import read_lines, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.units import count_noun


def _tags(names: str) -> tuple[str, ...]:
    return tuple(names.split())


PRECEDENCE: dict[str, tuple[str, ...]] = {
    "": _tags("VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"),
    "es": _tags("VERB AUX PRON ADP DET"),
    "fr": _tags("VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ"),
    "it": _tags("VERB AUX ADV PRON ADP DET INTJ"),
}
"""Language -> tags in order of precedence; '' means every other language."""

_ID = re.compile(r"(?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6})|(?P<empty>\.[0-9]{1,6}))?", re.ASCII)
_HEAD = re.compile(r"[0-9]{1,6}|_")

MAX_SENTENCE_LINES = 10_000
"""The longest sentences of published treebanks have some hundreds of lines."""


@dataclass(frozen=True)
class _Word:
    form: str
    upos: str
    head: int


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    precedence = PRECEDENCE.get(folded_code(layout.language), PRECEDENCE[""])
    number = 0
    for path in paths:
        document = ""
        for start, comments, tokens in _sentences(path):
            document = comments.get("newdoc id", document)
            number += 1
            words, tags = _fuse(path, start, tokens, precedence)
            num_blank = words.count("_")
            if words and (num_blank == 0 or num_blank < len(words) - 1):
                name = comments.get("sent_id", str(number))
                name = f"{path.stem} {name}" if len(paths) > 1 else name
                example = TaggingExample(id=name, words=words, tags=tags)
                yield Row(path, str(start), example, document)


def _sentences(path: Path) -> Iterator[tuple[int, dict[str, str], list[tuple[int, list[str]]]]]:
    """(first line, comments, [(line, ten columns)]) of each sentence."""
    start, comments, tokens = 0, {}, []
    for number, text in read_lines(path):
        text = text.rstrip("\r\n")
        if text.startswith("#"):
            if tokens:
                raise UserError(
                    "a comment inside a sentence",
                    where=f"{path}:{number}",
                    fix="Comments come before the words. An empty line ends a sentence.",
                )
            key, _, value = text[1:].partition("=")
            comments[key.strip()] = value.strip()
        elif text.strip():
            columns = text.split("\t")
            if len(columns) != 10 or "\r" in text:
                raise UserError(
                    f"{count_noun(len(columns), 'column')}, CoNLL-U has 10",
                    where=f"{path}:{number}",
                    fix="Separate columns by tabs. An empty line ends a sentence.",
                )
            start = start or number
            tokens.append((number, columns))
            if len(tokens) > MAX_SENTENCE_LINES:
                raise UserError(f"a sentence of more than {MAX_SENTENCE_LINES:,} words", where=f"{path}:{start}")
        elif tokens:
            yield start, comments, tokens
            start, comments, tokens = 0, {}, []
    if tokens:
        yield start, comments, tokens


def _fuse(
    path: Path, start: int, tokens: list[tuple[int, list[str]]], precedence: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Surface words and their tags."""
    words: dict[int, _Word] = {}
    spans: list[tuple[int, int, str]] = []
    for number, (name, form, _, upos, _, _, head, *_) in tokens:
        match = _ID.fullmatch(name)
        if not match or not _HEAD.fullmatch(head):
            raise UserError(
                f"id '{truncate(name, 40)}' or head '{truncate(head, 40)}' is not a number",
                where=f"{path}:{number}",
                fix="Ids are 8 for a word, 8-9 for a multi-word token, 8.1 for an empty node.",
            )
        if match["empty"]:
            continue
        if match["last"]:
            spans.append((int(match["first"]), int(match["last"]), form))
        elif int(name) != len(words) + 1:
            raise UserError(f"word {name} found, word {len(words) + 1} expected", where=f"{path}:{number}")
        else:
            words[int(name)] = _Word(form, upos, int(head) if head != "_" else 0)
    fused = {}
    done = 0
    for first, last, form in spans:
        inside = range(first, last + 1)
        if not inside or first <= done or last > len(words):
            raise UserError(
                f"multi-word token {first}-{last} covers words that are not in the sentence", where=f"{path}:{start}"
            )
        done = last
        depths = {i: _depth(i, words) for i in inside}
        least = min(depths.values())
        highest = [i for i in inside if depths[i] == least]
        fused[first] = (form, words[min(highest, key=lambda i: _rank(words[i].upos, precedence))].upos)
    covered = {i for first, last, _ in spans for i in range(first, last + 1)}
    surface = {i: (word.form, word.upos) for i, word in words.items() if i not in covered} | fused
    ordered = [surface[i] for i in sorted(surface)]
    return tuple(_clean(form) for form, _ in ordered), tuple(upos for _, upos in ordered)


def _depth(i: int, words: dict[int, _Word]) -> int:
    """Number of nodes above a word. A cycle of heads, which some treebanks have, is followed once."""
    above: set[int] = set()
    head = words[i].head
    while head not in above:
        above.add(head)
        if head not in words:
            break
        head = words[head].head
    return len(above - {i})


def _rank(upos: str, precedence: tuple[str, ...]) -> int:
    return precedence.index(upos) if upos in precedence else len(precedence)


def _clean(form: str) -> str:
    return form.replace("\u200c", "").replace(" ", "") or form


CONLLU = Reader("conllu", 1, ("tagging",), read, languages=tuple(filter(None, PRECEDENCE)))
