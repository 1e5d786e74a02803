"""A document as one LaTeX file, with its BibTeX entries inside. `latexmk -pdf`, or LaTeX, BibTeX and twice LaTeX, makes the PDF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from xlift.bibtex import dump
from xlift.report.latex import LATEX_CHARACTERS, latex_escape
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

SYMBOLS = {
    **LATEX_CHARACTERS, "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$", "→": r"$\to$",
    "·": r"$\cdot$", "“": "``", "”": "''", "‘": "`", "’": "'", "—": "---", "…": r"\ldots{}", "\u00a0": "~",
}  # fmt: skip
IN_FONTS, NOT_IN_FONTS = "–—‘’“”„‚…•†‡€™", "ĦħĸŉŦŧ"
"""Exceptions from the rule that pdfLaTeX has the characters up to U+017F and no others."""
LINE_WIDTH = 100
"""Characters of a line of a table in the size `footnotesize`, measured on A4 with margins of 25 mm."""
GAP = 2
"""Characters between two columns."""
WIDE = 14
"""A column of words that is not wider is never broken."""

PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage[utf8]{inputenc}
  \usepackage{lmodern}
%UNICODE\else
  \usepackage{fontspec}
\fi
\usepackage{amsmath,amssymb,array,booktabs,graphicx,longtable}
\usepackage[margin=25mm]{geometry}
\usepackage[round]{natbib}
\usepackage[hidelinks]{hyperref}
\setlength{\emergencystretch}{3em}
\setlength{\LTcapwidth}{\linewidth}
"""


def render_latex(document: Document, figure_files: Mapping[str, str]) -> str:
    """Return the paper as LaTeX.

    Args:
        figure_files: name of a figure -> path of its PDF, relative to the paper.
    """
    references = document.references()
    body = [
        rf"\title{{{_escape(document.title)}}}",
        rf"\author{{{_text(document.byline)}}}",
        rf"\date{{{_escape(document.date)}}}",
        r"\begin{document}",
        r"\maketitle",
        "\\begin{abstract}\n" + "\n\n".join(_text(text) for text in document.abstract) + "\n\\end{abstract}",
    ]
    body += _sections(document.sections, figure_files)
    if references:
        body += [r"\bibliographystyle{plainnat}", r"\bibliography{\jobname}"]
    if document.appendix:
        body += [r"\clearpage", r"\appendix", *_sections(document.appendix, figure_files)]
    body.append(r"\end{document}")
    text = "\n\n".join(body) + "\n"
    bibliography = dump(references)
    preamble = PREAMBLE.replace("%UNICODE", _declare_characters(text + bibliography))
    if references:
        preamble += "\\begin{filecontents*}[overwrite]{\\jobname.bib}\n" + bibliography + "\\end{filecontents*}\n"
    return preamble + text


def _sections(sections: Iterable[Section], figure_files: Mapping[str, str]) -> list[str]:
    parts = []
    for section in sections:
        parts.append(rf"\{'sub' * (section.level - 1)}section{{{_escape(section.title)}}}")
        parts += [_block(block, figure_files) for block in section.blocks]
    return parts


def _declare_characters(text: str) -> str:
    """Declarations for pdfLaTeX of the characters that its fonts lack: it prints their numbers. XeLaTeX and LuaLaTeX print them."""
    lacking = sorted({each for each in text if ord(each) > 0x17F and each not in IN_FONTS or each in NOT_IN_FONTS})
    return "".join(rf"  \DeclareUnicodeCharacter{{{ord(each):04X}}}{{[U+{ord(each):04X}]}}" + "\n" for each in lacking)


def _block(block: Block, figure_files: Mapping[str, str]) -> str:
    if isinstance(block, Paragraph):
        return _text(block.text)
    if isinstance(block, Bullets):
        return "\n".join([r"\begin{itemize}", *(rf"\item {{}}{_text(item)}" for item in block.items), r"\end{itemize}"])
    if isinstance(block, Commands):
        lines = " \\\\\n".join(_code(line) for line in block.lines)
        return f"\\begin{{flushleft}}\\small\n{lines}\n\\end{{flushleft}}"
    if isinstance(block, Figure):
        return "\n".join(
            [
                r"\begin{figure}[htbp]",
                r"\centering",
                rf"\includegraphics[width=\linewidth,height=0.4\textheight,keepaspectratio]{{{figure_files[block.name]}}}",
                rf"\caption{{{_text(block.caption)}}}",
                r"\end{figure}",
            ]
        )
    return _table(block)


def _table(table: Table) -> str:
    """A table that may run over pages. One with too many columns of numbers becomes several."""
    words = len(table.head) - table.num_right
    return "\n\n".join(
        _longtable(table, [*range(words), *numbers], part) for part, numbers in enumerate(_parts(table, words))
    )


def _parts(table: Table, words: int) -> list[range]:
    """The columns of numbers of each table, as many as fit beside the words."""
    widths = [_width(table, column) + GAP for column in range(len(table.head))]
    room = LINE_WIDTH - min(sum(widths[:words]), LINE_WIDTH // 2)
    parts, start, used = [], words, 0
    for column in range(words, len(table.head)):
        if column > start and used + widths[column] > room:
            parts.append(range(start, column))
            start, used = column, 0
        used += widths[column]
    return [*parts, range(start, len(table.head))]


def _longtable(table: Table, columns: list[int], part: int) -> str:
    words = len(table.head) - table.num_right
    head = " & ".join(_escape(table.head[column]) for column in columns) + r" \\"
    caption = r"\caption{" + ("(continued) " if part else "") + _text(table.caption) + r"}\\"
    rows = [" & ".join(_cell(row[column], column >= words) for column in columns) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{longtable}}{{{_specification(table, columns, words)}}}",
            caption,
            rf"\toprule {head} \midrule \endfirsthead",
            rf"\toprule {head} \midrule \endhead",
            r"\bottomrule \endlastfoot",
            *rows,
            r"\end{longtable}",
            r"\endgroup",
        ]
    )


def _specification(table: Table, columns: list[int], words: int) -> str:
    """The columns of a table: words that do not fit get paragraphs, wide columns more room than narrow ones."""
    widths = {column: _width(table, column) + GAP for column in columns}
    wide = [column for column in columns if column < words and widths[column] > WIDE + GAP]
    room = LINE_WIDTH - sum(width for column, width in widths.items() if column not in wide)
    if sum(widths[column] for column in wide) <= room or room <= 0:
        return "".join("l" if column < words else "r" for column in columns)
    shares = {column: min(widths[column], 60) ** 0.7 for column in wide}
    parts = []
    for column in columns:
        if column in shares:
            share = shares[column] / sum(shares.values()) * (room - GAP * len(wide)) / LINE_WIDTH
            parts.append(rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}")
        else:
            parts.append("l" if column < words else "r")
    return "".join(parts)


def _width(table: Table, column: int) -> int:
    """Characters of the widest line of a column."""
    cells = [line for row in table.rows for line in _lines(row[column])]
    return max(map(len, (table.head[column], *map(_plain, cells))))


def _lines(cell: Text) -> list[list[object]]:
    lines: list[list[object]] = [[]]
    for piece in pieces(cell):
        if isinstance(piece, Break):
            lines.append([])
        else:
            lines[-1].append(piece)
    return lines


def _plain(line: Iterable[object]) -> str:
    """About what a line shows, to measure it."""
    found = []
    for piece in line:
        if isinstance(piece, Cite):
            found.append("; ".join("Somebody et al., 2020" for _ in piece.keys))
        else:
            found.append(str(getattr(piece, "text", getattr(piece, "url", piece))))
    return "".join(found)


def _cell(cell: Text, is_number: bool) -> str:
    lines = _lines(cell)
    if len(lines) == 1:
        return _text(cell)
    side = "r" if is_number else "l"
    inner = r" \\ ".join(_text(tuple(line)) for line in lines)  # pyright: ignore[reportArgumentType]
    return rf"\begin{{tabular}}[t]{{@{{}}{side}@{{}}}}{inner}\end{{tabular}}"


def _text(text: Text) -> str:
    found = []
    for piece in pieces(text):
        if isinstance(piece, Code):
            found.append(_code(piece.text))
        elif isinstance(piece, Strong):
            found.append(rf"\textbf{{{_escape(piece.text)}}}")
        elif isinstance(piece, Link):
            found.append(_link(piece.url))
        elif isinstance(piece, Cite):
            found.append(rf"\citep{{{','.join(piece.keys)}}}")
        elif isinstance(piece, Break):
            found.append(" ")
        else:
            found.append(_escape(piece))
    return "".join(found)


def _escape(text: str) -> str:
    return latex_escape(re.sub(r"\s+", " ", text), SYMBOLS)


def _code(text: str) -> str:
    """Typed text. `{}` keeps two hyphens apart, and \\allowbreak lets long names break at a slash."""
    escaped = _escape(text).replace("-", "-{}").replace("/", r"/\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
    return rf"\texttt{{{escaped}}}"


def _link(url: str) -> str:
    return rf"\url{{{url}}}" if is_web_address(url) else _code(url)
