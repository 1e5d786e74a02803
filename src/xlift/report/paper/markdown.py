"""A document as Markdown that GitHub and MkDocs show alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlift.bibtex import Entry, dump, long_citation, short_citation
from xlift.report.markdown import code, escaped, table
from xlift.report.paper.document import (
    Block,
    Break,
    Bullets,
    Cite,
    Code,
    Commands,
    Document,
    Figure,
    Link,
    Paragraph,
    Section,
    Strong,
    Table,
    Text,
    is_web_address,
    pieces,
)


def render_markdown(document: Document, figure_files: Mapping[str, str]) -> str:
    """Return the paper as Markdown.

    Args:
        figure_files: name of a figure -> path of its image, relative to the paper.
    """
    references = document.references()
    made = [document.byline] if not document.date else [document.byline, f"{document.date}"]
    parts = [f"# {escaped(document.title)}", *(f"*{_text(line, document)}*" for line in made), "## Abstract"]
    parts += [_text(text, document) for text in document.abstract]
    for section in document.sections:
        parts += _section(section, document, figure_files)
    if references:
        parts.append("## References")
        parts.append("\n".join(f"- {_anchor(entry)}{_reference(entry)}" for entry in references))
    for section in document.appendix:
        parts += _section(section, document, figure_files, "Appendix: ")
    if references:
        parts += ["## BibTeX", "```bibtex\n" + dump(references).replace("```", "") + "```"]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, document: Document, figure_files: Mapping[str, str], prefix: str = "") -> list[str]:
    heading = f"{'#' * (section.level + 1)} {prefix if section.level == 1 else ''}{escaped(section.title)}"
    return [heading, *(_block(block, document, figure_files) for block in section.blocks)]


def _block(block: Block, document: Document, figure_files: Mapping[str, str]) -> str:
    if isinstance(block, Paragraph):
        return _text(block.text, document)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_text(item, document)}" for item in block.items)
    if isinstance(block, Commands):
        return "```sh\n" + "\n".join(" ".join(line.split()) for line in block.lines).replace("```", "") + "\n```"
    if isinstance(block, Figure):
        image = f"![{escaped(block.name)}]({figure_files[block.name]})" if block.name in figure_files else ""
        return f"{image}\n\n*{_text(block.caption, document)}*"
    return f"*{_text(block.caption, document)}*\n\n{_table(block, document)}"


def _table(block: Table, document: Document) -> str:
    rows = [[_text(cell, document) for cell in row] for row in block.rows]
    return table([escaped(heading) for heading in block.head], rows, num_right=block.num_right)


def _text(text: Text, document: Document) -> str:
    found = []
    for piece in pieces(text):
        if isinstance(piece, Code):
            found.append(code(piece.text))
        elif isinstance(piece, Strong):
            found.append(f"**{escaped(piece.text)}**")
        elif isinstance(piece, Link):
            found.append(f"<{piece.url}>" if is_web_address(piece.url) else code(piece.url))
        elif isinstance(piece, Cite):
            found.append(_citations([document.entries[key] for key in piece.keys]))
        elif isinstance(piece, Break):
            found.append("<br>")
        else:
            found.append(_spaced(piece, starts_line=not found))
    return "".join(found)


def _spaced(text: str, *, starts_line: bool) -> str:
    """Escape a text and keep one blank at each end that has some."""
    return f"{' ' * text[:1].isspace()}{escaped(text, starts_line=starts_line)}{' ' * (text.strip() != '' and text[-1:].isspace())}"


def _citations(entries: Sequence[Entry]) -> str:
    return "(" + "; ".join(f"[{escaped(short_citation(entry))}](#{entry.key})" for entry in entries) + ")"


def _anchor(entry: Entry) -> str:
    return f'<a id="{entry.key}"></a>'


def _reference(entry: Entry) -> str:
    url = entry.text("url")
    return escaped(long_citation(entry)) + (f" <{url}>" if is_web_address(url) else "")
