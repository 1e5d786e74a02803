"""CoNLL-U: words and universal parts of speech, prepared the way XTREME prepares UD-POS.

XTREME runs `conllu_to_conll.py --replace_subtokens_with_fused_forms` and `utils_preprocess.py`:

- A multi-word token ("du", "don't") stays one word and takes the tag of its head: the syntactic word nearest to the
  root. Where several are equally near (de + le, both under the noun), the first tag of a list of precedence wins; the
  lists below are the script's, with tags that they lack put last (the script stops with an error there).
- Empty nodes (8.1) are left out. U+200C and spaces inside forms are removed.
- Sentences whose words are all, or all but one, "_" are left out: treebanks that ship without their text.

Where several treebanks are read as one, a sentence is named after its file too, since two treebanks may name theirs alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import clipped, lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row


def _tags(names: str) -> tuple[str, ...]:
    return tuple(names.split())


PRECEDENCE: dict[str, tuple[str, ...]] = {
    "": _tags("VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"),
    "es": _tags("VERB AUX PRON ADP DET"),
    "fr": _tags("VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ"),
    "it": _tags("VERB AUX ADV PRON ADP DET INTJ"),
}
"""Language -> tags, strongest first; '' is for every other language."""


_ID = re.compile(r"(?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6})|(?P<empty>\.[0-9]{1,6}))?", re.ASCII)
_HEAD = re.compile(r"[0-9]{1,6}|_")


LONGEST = 10_000
"""Lines of a sentence: the longest of published treebanks have some hundreds."""


@dataclass(frozen=True)
class _Word:
    form: str
    upos: str
    head: int


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    precedence = PRECEDENCE.get(layout.language, PRECEDENCE[""])
    number = 0
    for path in paths:
        document = ""
        for start, comments, tokens in _sentences(path):
            document = comments.get("newdoc id", document)
            number += 1
            words, tags = _fuse(path, start, tokens, precedence)
            blank = words.count("_")
            if words and (blank == 0 or blank < len(words) - 1):
                name = comments.get("sent_id", str(number))
                name = f"{path.stem} {name}" if len(paths) > 1 else name
                example = TaggingExample(id=name, words=words, tags=tags)
                yield Row(path, str(start), example, document)


def _sentences(path: Path) -> Iterator[tuple[int, dict[str, str], list[tuple[int, list[str]]]]]:
    """(first line, comments, [(line, ten columns)]) of each sentence."""
    start, comments, tokens = 0, {}, []
    for number, text in lines(path):
        text = text.rstrip("\r\n")
        if text.startswith("#"):
            if tokens:
                raise UserError(
                    "a comment inside a sentence",
                    where=f"{path}:{number}",
                    fix="Comments stand before the words; an empty line ends a sentence.",
                )
            key, _, value = text[1:].partition("=")
            comments[key.strip()] = value.strip()
        elif text.strip():
            columns = text.split("\t")
            if len(columns) != 10 or "\r" in text:
                raise UserError(
                    f"{len(columns)} columns where CoNLL-U has 10",
                    where=f"{path}:{number}",
                    fix="Columns are parted by tabs; an empty line ends a sentence.",
                )
            start = start or number
            tokens.append((number, columns))
            if len(tokens) > LONGEST:
                raise UserError(f"a sentence of more than {LONGEST:,} words", where=f"{path}:{start}")
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
        found = _ID.fullmatch(name)
        if not found or not _HEAD.fullmatch(head):
            raise UserError(
                f"id '{clipped(name, 40)}' or head '{clipped(head, 40)}' is not a number",
                where=f"{path}:{number}",
                fix="Ids are 8 for a word, 8-9 for a multi-word token, 8.1 for an empty node.",
            )
        if found["empty"]:
            continue
        if found["last"]:
            spans.append((int(found["first"]), int(found["last"]), form))
        elif int(name) != len(words) + 1:
            raise UserError(f"word {name} stands where word {len(words) + 1} is expected", where=f"{path}:{number}")
        else:
            words[int(name)] = _Word(form, upos, int(head) if head != "_" else 0)
    fused = {}
    done = 0
    for first, last, form in spans:
        inside = range(first, last + 1)
        if not inside or first <= done or last > len(words):
            raise UserError(
                f"multi-word token {first}-{last} spans words that the sentence does not have", where=f"{path}:{start}"
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
    """Number of nodes above a word; a cycle of heads, which some treebanks have, is walked once."""
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


CONLLU = Reader("conllu", 1, ("tagging",), read)
