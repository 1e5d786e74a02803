"""Papers of BibTeX files."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.evidence.search.papers import Paper, Text, make_paper

MAX_BYTES = 50_000_000


def parse_bibtex(text: str) -> tuple[list[Any], int]:
    """The entries of a BibTeX text, and how many blocks of it are broken. An entry whose key is repeated is one of them all
    the same: duplicates are found by their contents."""
    from bibtexparser.entrypoint import parse_string
    from bibtexparser.middlewares import LatexDecodingMiddleware
    from bibtexparser.model import DuplicateBlockKeyBlock, Entry

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # it would print the broken text
    text = re.sub(r"(?<!\\)%", r"\\%", text)  # '5% better': LaTeX would drop the rest as a comment
    library = parse_string(text, append_middleware=[LatexDecodingMiddleware()])
    repeated = [
        block.ignore_error_block for block in library.failed_blocks if isinstance(block, DuplicateBlockKeyBlock)
    ]
    entries = library.entries + [entry for entry in repeated if isinstance(entry, Entry)]
    return entries, len(library.failed_blocks) - len(repeated)


def paper_of_entry(entry: Any, found_in: str, where: str = "") -> Paper | None:
    """The paper of a BibTeX entry; None without a title.

    Args:
        where: the file, for the place of its abstract; default: its key.
    """
    fields = {name.lower(): re.sub(r"[{}]", "", str(field.value)) for name, field in entry.fields_dict.items()}
    eprint = fields.get("eprint", "")
    if eprint and "arxiv" in (fields.get("archiveprefix", "") + fields.get("eprinttype", "")).lower():
        eprint = f"arxiv:{eprint}"
    return make_paper(
        title=fields.get("title"),
        authors=re.split(r"\s+and\s+", fields.get("author", "")),
        year=fields.get("year") or fields.get("date", "")[:4],
        venue=fields.get("booktitle") or fields.get("journal") or fields.get("journaltitle") or "",
        ids=[fields.get("doi"), fields.get("url"), eprint],
        found_in=found_in,
        texts=[Text(fields.get("abstract", ""), f"abstract in {where or found_in} ({entry.key[:80]})")],
        remarks=[fields.get("note")],
    )


def read_bibtex(path: Path) -> tuple[list[tuple[str, Paper]], list[str]]:
    """Key and paper of each entry of a file, and what is wrong with it.

    Raises:
        UserError: no such file, or it is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"the file has more than {MAX_BYTES:,} bytes", where=str(path), fix="Give a smaller file.")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror or error}", where=str(path), fix="Give a BibTeX file."
        ) from None
    entries, broken = parse_bibtex(text)
    found = [(entry.key, paper) for entry in entries if (paper := paper_of_entry(entry, path.name, path.name))]
    left_out = broken + len(entries) - len(found)
    problems = [f"{path.name}: broken entries left out: {left_out}."] if left_out else []
    if not found and not problems:
        problems = [f"{path.name}: no entries."]
    return found, problems
