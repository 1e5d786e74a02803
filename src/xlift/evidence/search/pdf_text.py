"""`python -P pdf_text.py FILE`: prints title and text of each page of a PDF, as JSON.

It runs in a process of its own, with limits on memory and time, since a PDF can be made to take all of both. It runs as a file,
so that the process imports pypdf and nothing of xlift.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

MAX_PAGES, MAX_BYTES, MAX_SECONDS, MAX_MEMORY = 100, 100_000_000, 60, 2_000_000_000


def read_pdf(path: Path) -> tuple[str, list[str], str]:
    """Title from the metadata, texts of the pages, and what is wrong ('' if nothing)."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return "", [], f"has more than {MAX_BYTES:,} bytes"
        done = subprocess.run(
            [sys.executable, "-P", __file__, str(path.absolute())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=MAX_SECONDS,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        return answer["title"], answer["pages"], answer["problem"]
    except subprocess.TimeoutExpired:
        return "", [], f"takes more than {MAX_SECONDS} seconds to read"
    except OSError as error:
        return "", [], f"cannot be read ({error.strerror or error})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", [], "is no PDF that can be read"


def _extract(path: Path) -> dict[str, object]:
    from pypdf import PdfReader

    pages: list[str] = []
    title, problem = "", ""
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"title": "", "pages": [], "problem": "is encrypted"}
        title = str(reader.metadata.title or "") if reader.metadata else ""
        count = len(reader.pages)
        for number in range(min(count, MAX_PAGES)):
            try:
                pages.append(reader.pages[number].extract_text()[:200_000])
            except Exception:  # a broken page costs its own text only
                pages.append("")
                problem = f"page {number + 1} is broken"
        if count > MAX_PAGES:
            problem = f"only the first {MAX_PAGES} of {count} pages were read"
        if not any(page.strip() for page in pages):
            problem = problem or "has no text (a scan?)"
    except Exception as error:
        problem = "is no PDF that can be read" if not pages else f"breaks off ({type(error).__name__})"
    return {"title": title, "pages": pages, "problem": problem}


def main(path: Path) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    except (ImportError, ValueError, OSError):  # no such limits on this system
        pass
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(2_000)
    print(json.dumps(_extract(path)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
