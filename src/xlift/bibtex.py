"""BibTeX entries: parsing, safe text, and short and long citations in words.

entries = parse(text)
short_citation(entries["williams-etal-2018-broad"])     # 'Williams et al. 2018'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

ACCENTS = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307", "c": "\u0327", "v": "\u030c",
    "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a", "d": "\u0323", "b": "\u0331",
}  # fmt: skip
"""Accent command of LaTeX -> combining character."""
LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "i": "ı", "j": "ȷ",
}  # fmt: skip
FORMATTING = ("emph", "textit", "textbf", "textsc", "texttt", "url", "textasciitilde")
_SAFE_COMMANDS = {*ACCENTS, *LETTERS, *FORMATTING, *"&%$#_-"}
_ADDRESSES = ("url", "doi", "eprint")
_VENUES = ("journal", "booktitle", "howpublished", "publisher", "institution", "school")


@dataclass(frozen=True)
class Entry:
    """One entry, with values as in its file, without their outer braces."""

    kind: str
    """'inproceedings', 'article', ..."""
    key: str
    fields: dict[str, str]
    """Names are in lower case."""

    def text(self, field: str) -> str:
        """A field as plain text; '' without it."""
        return plain_text(self.fields.get(field, ""))


def parse(text: str) -> dict[str, Entry]:
    """The entries of a text by key. Text between entries is a comment.

    Raises:
        ValueError: an entry is malformed or a key occurs twice.
    """
    entries: dict[str, Entry] = {}
    at = 0
    while match := re.compile(r"@\s*(\w+)\s*\{").search(text, at):
        kind = match[1].lower()
        body, at = _braced(text, match.end() - 1)
        if kind in ("comment", "preamble", "string"):
            continue
        entry = _parse_entry(kind, body)
        if entry.key in entries:
            raise ValueError(f"the key '{entry.key}' occurs twice")
        entries[entry.key] = entry
    return entries


def _parse_entry(kind: str, body: str) -> Entry:
    key, _, rest = body.partition(",")
    key = key.strip()
    if not re.fullmatch(r"[\w:./+-]+", key):
        raise ValueError(f"'{key[:60]}' is no key of an entry")
    fields: dict[str, str] = {}
    at, field = 0, re.compile(r"[\s,]*([\w-]+)\s*=\s*")
    while match := field.match(rest, at):
        at = match.end()
        if rest[at : at + 1] == "{":
            value, at = _braced(rest, at)
        elif rest[at : at + 1] == '"':
            value, at = _quoted(rest, at)
        else:
            bare = re.compile(r"[\w.-]*").match(rest, at)
            assert bare
            value, at = bare[0], bare.end()
        fields[match[1].lower()] = " ".join(value.split())
    if rest[at:].strip(" \t\r\n,"):
        raise ValueError(f"{key}: cannot read '{rest[at:].strip()[:40]}'")
    return Entry(kind, key, fields)


def _braced(text: str, start: int) -> tuple[str, int]:
    """The text between the brace at `start` and its partner, and the index behind that."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "{}" and text[at - 1 : at] != "\\":
            depth += 1 if text[at] == "{" else -1
            if not depth:
                return text[start + 1 : at], at + 1
    raise ValueError(f"a brace is not closed: '{text[start : start + 40]}'")


def _quoted(text: str, start: int) -> tuple[str, int]:
    depth = 0
    for at in range(start + 1, len(text)):
        if text[at] in "{}" and text[at - 1] != "\\":
            depth += 1 if text[at] == "{" else -1
        elif text[at] == '"' and not depth:
            return text[start + 1 : at], at + 1
    raise ValueError(f"a quotation mark is not closed: '{text[start : start + 40]}'")


def dump(entries: Iterable[Entry]) -> str:
    """Entries as BibTeX. Values keep accents and simple formatting; every other command loses its backslash, so that an entry from
    elsewhere runs nothing."""
    blocks = []
    for entry in entries:
        lines = [f"  {name} = {{{_safe(name, value)}}}," for name, value in entry.fields.items()]
        blocks.append("\n".join([f"@{entry.kind}{{{entry.key},", *lines, "}"]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _safe(name: str, value: str) -> str:
    if name in _ADDRESSES:
        return re.sub(r"[^\w.:/?&=+,;@~#%()-]", "", value)

    def command(match: re.Match[str]) -> str:
        return match[0] if match[1] in _SAFE_COMMANDS else match[1].replace("\\", "")

    safe = re.sub(r"\\([A-Za-z]+|.|$)", command, value, flags=re.S)
    safe = re.sub(r"(?<!\\)([%&#$_])", r"\\\1", re.sub(r"(?<!\\)\^", "", safe))
    depth = lowest = 0
    for brace in re.findall(r"[{}]", safe):
        depth += 1 if brace == "{" else -1
        lowest = min(lowest, depth)
    return re.sub(r"[{}]", "", safe) if depth or lowest else safe


def plain_text(value: str) -> str:
    """A value of BibTeX without LaTeX: `K{\\"u}bler` becomes 'Kübler'."""

    def accent(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", match[2] + ACCENTS[match[1]])

    names = "|".join(sorted(LETTERS, key=len, reverse=True))
    text = re.sub(r"\\([ij])(?![A-Za-z])", r"\1", value)  # dotless letters below an accent
    text = re.sub(rf"\\({names})(?![A-Za-z])\s*(?:\{{\}})?", lambda match: LETTERS[match[1]], text)
    text = re.sub(r"\\([\"'`^~=.])\s*\{?\s*([A-Za-z])\s*\}?", accent, text)
    text = re.sub(r"\\([cvuHkrdb])(?:\s*\{\s*([A-Za-z])\s*\}|\s+([A-Za-z]))", _named_accent, text)
    text = re.sub(r"\\([&%$#_{}])", r"\1", text)
    text = re.sub(r"\\[A-Za-z]+\s*", "", text)
    text = re.sub(r"[{}\\]", "", text).replace("~", " ").replace("---", "—").replace("--", "–")
    return " ".join(text.split())


def _named_accent(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", (match[2] or match[3]) + ACCENTS[match[1]])


def short_citation(entry: Entry) -> str:
    """'Williams et al. 2018'; the key where the entry has no author."""
    names = [_last_name(name) for name in _names(entry)]
    if not names:
        return entry.text("title") or entry.key
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
    return f"{who} {entry.text('year')}".strip()


def long_citation(entry: Entry) -> str:
    """'Williams, Nangia and Bowman (2018). A Broad-Coverage Challenge Corpus .... Proceedings of ..., 1112–1122.', without its
    address."""
    names = [_last_name(name) for name in _names(entry)]
    names = [*names[:9], "others"] if len(names) > 10 else names
    who = " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else entry.key
    year = f" ({entry.text('year')})" if entry.text("year") else ""
    venue = next((entry.text(field) for field in _VENUES if entry.text(field)), "")
    if entry.text("volume"):
        venue += f" {entry.text('volume')}" + (f"({entry.text('number')})" if entry.text("number") else "")
    if entry.text("pages"):
        venue += f", {entry.text('pages')}"
    parts = [f"{who}{year}", entry.text("title"), venue, entry.text("note")]
    return " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)


def _names(entry: Entry) -> list[str]:
    """The authors, else the editors, with their braces."""
    value = entry.fields.get("author") or entry.fields.get("editor") or ""
    return [name.strip() for name in re.split(r"\s+and\s+(?![^{]*\})", value) if name.strip()]


def _last_name(name: str) -> str:
    """The family name of 'Family, Given' or 'Given Family'; a name in braces as it is."""
    if name.startswith("{") and name.endswith("}"):
        return plain_text(name)
    if "," in name:
        return plain_text(name.partition(",")[0])
    return plain_text(name).rpartition(" ")[2]
