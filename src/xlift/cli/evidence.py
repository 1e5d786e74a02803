"""`xlift evidence search`: look for papers that bear on claims."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import print_warnings
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.evidence.search import SearchResult

app = typer.Typer(
    help="Look for published results that bear on claims.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.callback()
def _evidence() -> None: ...  # so that `search`, the only command, keeps its name


@app.command()
def search(
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION|CLAIMS",
            help="A question, a claims file, or the name of shipped claims.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a draft evidence file: a new .yaml file, and a .bib beside it.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Also search the PDFs and BibTeX files in DIR.")
    ] = None,
    bibtex: Annotated[list[Path] | None, typer.Option("--bibtex", help="Also search a BibTeX file.")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="openalex, arxiv or acl (default: all three).")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Search only --folder and --bibtex.")] = False,
    encoder: Annotated[
        Path | None, typer.Option("--encoder", help="Model folder of a sentence encoder, to rank by vectors too.")
    ] = None,
    papers: Annotated[int, typer.Option("--papers", min=1, max=100, help="Papers to keep.")] = 20,
    sentences: Annotated[int, typer.Option("--sentences", min=1, max=50, help="Sentences for each claim.")] = 5,
    contact: Annotated[
        str, typer.Option("--contact", help="Your e-mail address, for the services.", envvar="XLIFT_CONTACT")
    ] = "",
) -> None:
    """Search OpenAlex, arXiv, the ACL Anthology and your own files for sentences with numbers that bear on claims.

    The draft waits for you: none of its entries counts before you set `accepted: true`.
    """
    from xlift.caches import cache_folder

    _check_packages()
    from xlift.evidence.search import SERVICE_NAMES, search_literature
    from xlift.evidence.search.draft import check_draft_path, write_draft
    from xlift.evidence.search.fetching import Fetcher

    for name in source or ():
        if name not in SERVICE_NAMES:
            raise UserError(f"unknown source '{name}'", where="--source", fix=f"Sources: {', '.join(SERVICE_NAMES)}.")
    if offline and source:
        raise UserError("--offline searches no source", where=f"--source {source[0]}", fix="Remove one of the two.")
    if offline and folder is None and not bibtex:
        raise UserError("nothing to search", where="--offline", fix="Give --folder or --bibtex.")
    if not contact.isascii() or any(not character.isprintable() or character in "() ;" for character in contact):
        raise UserError("no e-mail address", where="--contact", fix="Write name@example.org.")
    if out is not None:
        check_draft_path(out)
    text, claims = _read_question(question)
    embed = None
    if encoder is not None:
        from xlift.model_files import check_model_folder

        check_model_folder(encoder, str(encoder))
        from xlift.evaluation.text_vectors import TextEncoder

        embed = TextEncoder(encoder)
    services = () if offline else tuple(source or SERVICE_NAMES)
    result = search_literature(
        text, claims, fetcher=Fetcher(cache_folder("literature"), contact), services=services, folder=folder,
        bibtex=bibtex or (), num_papers=papers, num_sentences=sentences, embed=embed,
        announce=lambda line: print(f"xlift: {line} ...", file=sys.stderr),
    )  # fmt: skip
    print_warnings(result.problems)
    _print_result(result, "BM25 and the vectors of the encoder" if embed else "BM25 (no --encoder, so no vectors)")
    if out is None:
        print("\nNothing was written. --out FILE.yaml writes a draft evidence file.")
    else:
        count = write_draft(result, out)
        print(f"\nWrote {count} entries to {out} and their sources to {out.with_suffix('.bib')}.")
        print("None of them counts yet: read each in its source, and set `accepted: true`.")


def _read_question(question: str) -> tuple[str, dict[str, str]]:
    """The question, and the text of each claim by its name."""
    from xlift.claims import read_claims, shipped_claims

    if question not in shipped_claims() and not question.lower().endswith((".yaml", ".yml")):
        return " ".join(question.split()), {}
    claims = read_claims(question)
    return claims.question, {claim.name: claim.text for claim in claims.claims}


def _print_result(result: SearchResult, order: str) -> None:
    count, merged = len(result.papers), result.duplicates
    print(f"{count} paper{'s' * (count != 1)}, ordered by {order}; duplicates merged: {merged}")
    for number, paper in enumerate(result.papers, 1):
        print(f"{number:3}. {paper.citation}")
    for paper in result.retracted:
        print(f"Left out, since it is retracted: {paper.citation}")
    for name, sentences in result.sentences.items():
        print(
            f"\n{name or 'Sentences with numbers'}:" + ("" if sentences else " no sentence with a number bears on it")
        )
        numbers = {paper: number for number, paper in enumerate(result.papers, 1)}
        for sentence in sentences:
            page = f", page {sentence.page}" if sentence.page is not None else ""
            print(f'  "{sentence.text}" [{numbers[sentence.paper]}{page}]')


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("arxiv", "bibtexparser", "bm25s", "pyalex", "pypdf") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the search needs packages that are not installed: {', '.join(missing)}",
            fix="Run: pip install 'xlift[evidence]'",
        )
