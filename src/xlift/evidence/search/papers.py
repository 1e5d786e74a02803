"""Papers that a search has found, their texts, and which of them are the same paper.

All of it was written by others. `clean_text` is the only way in: what it returns has no control character, no terminal escape
and no change of direction, so it can be printed, and quoted in YAML, as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_TITLE, MAX_TEXT, MAX_AUTHORS = 400, 20_000, 60
"""Characters of a title and of an abstract or page, and authors of a paper, that are kept."""

_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[@-_]?"
)
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:\w]+", re.ASCII)
_ARXIV = re.compile(
    r"(?:arxiv(?:\.org/(?:abs|pdf)/|[:.]\s*)|^)((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7}))(v\d+)?", re.IGNORECASE
)
_ACL = re.compile(r"(?:aclanthology\.org/|aclweb\.org/anthology/|10\.18653/v1/|10\.3115/v1/)([A-Z]\d\d-\d{4}|\d{4}\.[a-z0-9_-]+\.\d+)", re.IGNORECASE)  # fmt: skip
_RETRACTED = re.compile(r"^\W*(retracted|withdrawn|retraction)\b|\bthis (paper|article|submission|work) has been (withdrawn|retracted)\b", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """A text of a paper and where it was read."""

    text: str
    where: str
    """'abstract in arXiv 2005.13013v2', or 'phang.pdf'."""
    page: int | None = None
    """Page of the PDF, from 1."""


@dataclass(frozen=True)
class Paper:
    """What is known about a paper."""

    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str = ""
    doi: str = ""
    """Lower case, without the address of the resolver."""
    arxiv: str = ""
    """Without version."""
    acl: str = ""
    """The Anthology's id."""
    found_in: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
    retracted: bool = False
    title_is_guessed: bool = False
    """From the first lines of a PDF. Papers with the same guessed title can be different ones."""

    @property
    def search_text(self) -> str:
        """Title and texts, for ranking."""
        return " ".join([self.title, *(text.text for text in self.texts)])

    @property
    def url(self) -> str:
        """Where a reader finds it, built from its ids; '' without ids."""
        if self.acl:
            return f"https://aclanthology.org/{self.acl}"
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else ""

    @property
    def citation(self) -> str:
        """Authors, year, title, venue and address in one line."""
        authors = [" ".join(reversed(author.split(", ", 1))) for author in self.authors]
        names = f"{authors[0]} et al." if len(authors) > 2 else " and ".join(authors)
        start = f"{names or 'Unknown authors'} ({self.year or 'no year'})"
        return ". ".join(part for part in (start, self.title.rstrip("."), self.venue, self.url) if part)


def clean_text(value: object, limit: int = MAX_TEXT) -> str:
    """A found value as text on one line: without escapes, control characters, changes of direction and unassigned
    characters. '' if it is no text."""
    if not isinstance(value, str):
        return ""
    text = _ESCAPE.sub(" ", value[: 4 * limit])
    text = "".join(map(_clean_character, text))
    return " ".join(text.split())[:limit].rstrip()


def make_paper(
    *, title: object, authors: Iterable[object] = (), year: object = None, venue: object = "", ids: Iterable[object] = (),
    found_in: str, texts: Iterable[Text] = (), retracted: bool = False, remarks: Iterable[object] = (),
) -> Paper | None:  # fmt: skip
    """A paper from found values of any type; None without a title.

    Args:
        ids: addresses and identifiers in which a DOI, an arXiv id or an id of the ACL Anthology may be.
        remarks: comments and notes, which may say that the paper was withdrawn.
    """
    name = clean_text(title, MAX_TITLE)
    if not name:
        return None
    texts = tuple(replace(text, text=clean) for text in texts if (clean := clean_text(text.text)))
    known = [clean_text(value, 300) for value in ids]
    doi = next((found[0].lower().rstrip(".,;)") for value in known if (found := _DOI.search(value))), "")
    arxiv = next((found[1].lower() for value in known if (found := _ARXIV.search(value))), "")
    acl = next((found[1] for value in known if (found := _ACL.search(value))), "")
    notes = [name, *(clean_text(remark, 500) for remark in remarks), *(text.text[:200] for text in texts)]
    number = re.search(r"\b(1[89]|20|21)\d\d\b", str(year)) if isinstance(year, int | str) else None
    return Paper(
        name, tuple(clean for author in list(authors)[:MAX_AUTHORS] if (clean := clean_text(author, 100))),
        int(number[0]) if number else None, clean_text(venue, 300), doi,
        arxiv or (doi.removeprefix("10.48550/arxiv.") if doi.startswith("10.48550/arxiv.") else ""), acl, (found_in,), texts,
        retracted or any(map(_RETRACTED.search, notes)),
    )  # fmt: skip


def merge_duplicates(papers: Sequence[Paper]) -> list[Paper]:
    """One paper for each set that shares an id or a title, in the order of their first member.

    The published version names it (ACL Anthology, then any DOI, then arXiv). Texts of all versions stay, each with its place,
    since versions of a paper differ. It is retracted if one version is.
    """
    groups: list[list[Paper]] = []
    group_of: dict[str, int] = {}
    for paper in papers:
        keys = _keys(paper)
        found = sorted({group_of[key] for key in keys if key in group_of})
        target = found[0] if found else len(groups)
        if not found:
            groups.append([])
        for other in found[1:]:
            groups[target] += groups[other]
            groups[other] = []
        groups[target].append(paper)
        moved = set(found[1:])
        group_of = {key: target if group in moved else group for key, group in group_of.items()}
        group_of |= dict.fromkeys(keys, target)
    return [_merge(group) for group in groups if group]


def _clean_character(character: str) -> str:
    category = unicodedata.category(character)
    if character in _LIGATURES:
        return _LIGATURES[character]
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "" if category[0] == "C" else character


def _keys(paper: Paper) -> list[str]:
    keys = [f"{kind}:{value.lower()}" for kind, value in (("doi", paper.doi), ("arxiv", paper.arxiv), ("acl", paper.acl)) if value]  # fmt: skip
    title = "".join(character for character in paper.title.casefold() if character.isalnum())
    title = re.sub(r"^(retracted|withdrawn)(article|paper)?", "", title)
    if len(title) >= 15 and not paper.title_is_guessed:  # 'Introduction' is the title of many papers
        keys.append(f"title:{title}")
    return keys


def _merge(group: Sequence[Paper]) -> Paper:
    if len(group) == 1:
        return group[0]
    preferred = sorted(
        group, key=lambda paper: (paper.title_is_guessed, 0 if paper.acl else 1 if paper.doi and not paper.arxiv else 2)
    )
    first = preferred[0]

    def value(name: str):
        return next((found for paper in preferred if (found := getattr(paper, name))), getattr(first, name))

    texts: dict[tuple[str, int | None], Text] = {}
    for text in (text for paper in preferred for text in paper.texts):
        texts.setdefault((text.text, text.page), text)
    return Paper(
        first.title, value("authors"), value("year"), value("venue"), value("doi"), value("arxiv"), value("acl"),
        tuple(dict.fromkeys(source for paper in group for source in paper.found_in)), tuple(texts.values()),
        any(paper.retracted for paper in group),
    )  # fmt: skip
