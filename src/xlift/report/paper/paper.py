"""Makes the paper of a study from its record and results, and writes it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from xlift.bibtex import Entry, dump, long_citation, parse
from xlift.errors import UserError
from xlift.evidence.bibliography import shipped_bibliography
from xlift.report.learning_rates import rates_section
from xlift.report.page import PageInfo, summarize_lifts
from xlift.report.paper.claims import ClaimsReport, abstract_sentences, claims_section, claims_statistics
from xlift.report.paper.document import (
    Bullets,
    Cite,
    Code,
    Commands,
    Document,
    Figure,
    Paragraph,
    Piece,
    Section,
    Text,
    joined,
)
from xlift.report.paper.latex import render_latex
from xlift.report.paper.markdown import render_markdown
from xlift.report.paper.method import method_section, model_entries
from xlift.report.paper.results import language_section, results_section
from xlift.report.paper.stages import Chains
from xlift.report.paper.statistics import statistics_paragraphs
from xlift.report.study import Report, method_sentences
from xlift.studies.artifact import Artifact
from xlift.studies.record import Record
from xlift.studies.store import Store

RENDERERS: dict[str, tuple[Callable[[Document, Mapping[str, str]], str], str]] = {
    ".md": (render_markdown, ".svg"),
    ".tex": (render_latex, ".pdf"),
}
"""Ending of the paper's file -> its renderer, and the ending of its figures."""


def check_paper_file(path: Path) -> None:
    """Raises UserError if the ending of a paper's file names no format."""
    if path.suffix not in RENDERERS:
        raise UserError(
            f"a paper has no format '{path.suffix or path.name}'",
            where=f"--paper {path}",
            fix="name a file that ends in .md (Markdown) or .tex (LaTeX).",
        )


def make_paper(record: Record, store: Store, report: Report) -> Document:
    """Make the paper of a study from its record, the results in the store, and its report.

    Raises:
        UserError: an artifact is damaged.
    """
    artifacts = [artifact for key in record.keys if (artifact := store.find(key))]
    chains, sentences = Chains(artifacts), method_sentences(record, [each.manifest for each in artifacts])
    info, rows = report.info, report.rows
    question, claims = info.question or "The study names no question.", report.claims
    statistics = [*statistics_paragraphs(rows), *(claims_statistics(claims) if claims else [])]
    answer = " ".join(abstract_sentences(claims)) if claims else summarize_lifts(rows)
    sections = [
        Section("Question", [Paragraph(question), *_claims_made(claims)]),
        *method_section(record, sentences, chains, statistics),
        *results_section(rows, report.noise_rows, info.notes),
        *([claims_section(claims)] if claims else []),
        Section("Limitations", [Bullets(_limitations(report))]),
        _reproduction(record, report, artifacts),
    ]
    return Document(
        title=info.title,
        byline=joined("Written by ", Code("xlift report"), " from the results of the study ", Code(record.name)),
        date=info.made[:10],
        abstract=[" ".join((question, _what_ran(record), answer))],
        sections=sections,
        appendix=[*language_section(rows), *rates_section(report.target_stages)],
        entries={
            **(claims.bibliography if claims else {}),
            **known_entries(),
            **model_entries(record, chains),
            **_software(artifacts),
        },
    )


def add_references(info: PageInfo, document: Document) -> PageInfo:
    """The texts of a page with the references of the paper."""
    references = document.references()
    return replace(info, references=[long_citation(entry) for entry in references], bibtex=dump(references))


def _claims_made(claims: ClaimsReport | None) -> list[Paragraph]:
    """How many claims the study makes, and whose they are."""
    if claims is None:
        return []
    count = len(claims.judgements)
    keys = [key for key in claims.claim_set.source if key in claims.bibliography]
    whose: tuple[Piece, ...] = (" They are taken from the literature ", Cite(*keys), ".") if keys else ()
    start = f"The study makes {count} claim{'s' * (count != 1)}, listed with their verdicts in the section Claims."
    return [Paragraph(joined(start, whose))]


def _limitations(report: Report) -> list[str]:
    """The limitations of a report, its warnings and what the contamination check found."""
    info = report.info
    found = [*info.limitations, *(warning[:1].upper() + warning[1:] for warning in info.warnings)]
    if "summary" in info.contamination:
        found.append(info.contamination["summary"])
    return found


def _what_ran(record: Record) -> str:
    """One sentence on the size of the study."""
    cells = [cell for cell in record.cells if not cell.noise]
    rows = {(cell.model, cell.intermediate, cell.intermediate_language, cell.size) for cell in cells}
    counts = [
        (len({cell.model for cell in cells}), "pretrained model"),
        (len(rows), "pipeline"),
        (len({cell.target for cell in cells}), "target"),
        (len({cell.language for cell in cells}), "language"),
        (len({cell.seed for cell in cells}), "seed"),
    ]
    words = [f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts]
    return f"The study has {', '.join(words[:-1])} and {words[-1]}."


def _reproduction(record: Record, report: Report, artifacts: Sequence[Artifact]) -> Section:
    versions = artifacts[-1].manifest["versions"] if artifacts else {}
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    runs = report.info.runs
    cited = [key for name, key in SOFTWARE.items() if versions.get(name)]
    cost: list[Text] = [
        f"Jobs: {runs.get('jobs', 0)}. Time of work: {runs.get('seconds of work', 0):,} seconds on {runs.get('machine', '?')}.",
    ]
    if named:
        cost.append(joined(f" Software: {named} ", Cite(*cited), "."))
    name = shlex.quote(record.name)
    lines = [report.info.command, f"xlift report {name} --paper {name}.md", f"xlift report {name} --paper {name}.tex"]
    return Section(
        "Reproduction",
        [
            Paragraph(joined(*cost)),
            Paragraph(
                "The first command runs the study again (finished jobs are used again); the others write this paper as Markdown and as "
                "LaTeX. Where the study is not one that xlift ships, give the path of its file instead of its name."
            ),
            Commands([line for line in lines if line]),
        ],
    )


SOFTWARE = {
    "xlift": "xlift", "torch": "paszke-etal-2019-pytorch", "transformers": "wolf-etal-2020-transformers", "numpy": "harris-etal-2020-array",
}  # fmt: skip
"""Package in a manifest -> key of its entry."""


def _software(artifacts: Sequence[Artifact]) -> dict[str, Entry]:
    """The entry of xlift, in the version that ran last."""
    version = str(artifacts[-1].manifest["versions"].get("xlift", "")) if artifacts else ""
    fields = {
        "title": "{xlift}: measure the cross-lingual lift of intermediate tasks",
        "author": "{The xlift authors}",
        "note": f"Software, version {version}" if version else "Software",
    }
    return {"xlift": Entry("misc", "xlift", fields)}


@cache
def known_entries() -> Mapping[str, Entry]:
    """The entries of data, published results, methods, models and software that come with xlift."""
    own = (Path(__file__).parent / "citations.bib").read_text(encoding="utf-8")
    return {**parse("\n\n".join(shipped_bibliography().values())), **parse(own)}


def write_paper(document: Document, path: Path) -> list[Path]:
    """Write the paper, and its figures beside it as STEM-NAME.svg or .pdf.

    Returns:
        The files, the paper first.

    Raises:
        UserError: the disk refuses.
    """
    check_paper_file(path)
    render, ending = RENDERERS[path.suffix]
    names = {figure.name: f"{path.stem}-{figure.name}{ending}" for figure in document.figures()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(document, names), encoding="utf-8")
        for figure in document.figures():
            (path.parent / names[figure.name]).write_bytes(_image(figure, ending))
    except OSError as error:
        raise UserError(
            f"cannot write the paper: {error.strerror}", where=str(path), fix="name another file."
        ) from None
    return [path, *(path.parent / name for name in names.values())]


def _image(figure: Figure, ending: str) -> bytes:
    """The figure for paper: black text on white."""
    svg = figure.svg.replace("currentColor", "black")
    if ending == ".svg":
        return svg.encode()
    import vl_convert

    return vl_convert.svg_to_pdf(svg)
