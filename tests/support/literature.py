"""Stand-ins on this machine for OpenAlex, arXiv and the ACL Anthology, and small papers.

with Literature() as literature:
    literature.works = [work("A title", abstract="...")]
    literature.answer("/works", status=429, headers={"Retry-After": "1"})    # the next such request fails
    literature.connect(monkeypatch)
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from xlift.evidence.search import fetching

TITLE = "English Intermediate-Task Training Improves Zero-Shot Cross-Lingual Transfer Too"
QUESTION = "English intermediate-task training"


def work(title: str, abstract: str = "", **fields: Any) -> dict[str, Any]:
    """A work of OpenAlex."""
    index: dict[str, list[int]] = {}
    for at, word in enumerate(abstract.split()):
        index.setdefault(word, []).append(at)
    return {
        "id": "https://openalex.org/W1", "doi": None, "display_name": title, "publication_year": 2020, "is_retracted": False,
        "authorships": [{"author": {"display_name": "Jason Phang"}}], "primary_location": None, "locations": [],
        "abstract_inverted_index": index, **fields,
    }  # fmt: skip


def entry(title: str, abstract: str = "", number: str = "2005.13013v2", extra: str = "") -> str:
    """An entry of arXiv's feed."""
    return (
        f"<entry><id>http://arxiv.org/abs/{number}</id><published>2020-05-26T17:59:46Z</published>"
        f"<updated>2020-05-26T17:59:46Z</updated><title>{escape(title)}</title><summary>{escape(abstract)}</summary>"
        f"<author><name>Jason Phang</name></author>{extra}</entry>"
    )


def bibtex(title: str, abstract: str = "", key: str = "phang-etal-2020-english", extra: str = "") -> str:
    """An entry of the Anthology's BibTeX file."""
    return (
        f'@inproceedings{{{key},\n    title = "{title}",\n    author = "Phang, Jason  and\n      Htut, Phu Mon",\n'
        f'    year = "2020",\n    url = "https://aclanthology.org/2020.aacl-main.56/",\n    abstract = "{abstract}",{extra}\n}}\n'
    )


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a text on each page; lines are divided by newlines."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for text in pages:
        lines = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n")]
        stream = ("BT /F1 10 Tf 40 800 Td 12 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET").encode(
            "latin-1"
        )
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
        kids.append(len(objects) + 1)
        objects.append(b"<</Type/Page/Parent 2 0 R/Resources<</Font<</F1 3 0 R>>>>/MediaBox[0 0 595 842]/Contents %d 0 R>>" % len(objects))  # fmt: skip
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    objects.append(b"<</Title(%s)>>" % title.encode("latin-1"))
    content, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<</Size %d/Root 1 0 R/Info %d 0 R>>\n" % (len(objects) + 1, len(objects))
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return content + head + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(content)


@dataclass
class Fault:
    """A wrong answer to the next requests whose path begins with `match`."""

    match: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of the right one."""
    cut: bool = False
    """Close the connection in the middle of the body."""
    times: int = 1


class Literature:
    """The three services on one port."""

    def __init__(self) -> None:
        self.works: list[dict[str, Any]] = []
        self.feed: list[str] = []
        self.anthology: list[str] = []
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path with query, and headers."""
        self.waits: list[float] = []
        """Seconds of each wait of the client."""
        literature = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                literature.requests.append((self.path, dict(self.headers)))
                literature.send(self)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Literature:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process find its services here, and note how long it would wait."""
        for name in ("OPENALEX", "ARXIV", "ANTHOLOGY"):
            monkeypatch.setenv(f"XLIFT_{name}_URL", self.address)
        monkeypatch.delenv("OPENALEX_API_KEY", raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(fetching.time, "sleep", self.waits.append)

    def answer(self, match: str, **fault: Any) -> None:
        self.faults.append(Fault(match, **fault))

    def queries(self, path: str, name: str) -> list[str]:
        """A parameter of the requests to a path."""
        found = [urlsplit(request) for request, _ in self.requests if request.startswith(path)]
        return [parse_qs(request.query)[name][0] for request in found]

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        body = self._body(handler.path)
        fault = next((f for f in self.faults if handler.path.startswith(f.match) and f.times), Fault(""))
        fault.times -= 1
        body = body if fault.body is None else fault.body
        handler.send_response(fault.status)
        for name, value in {"Content-Length": str(len(body)), **fault.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if fault.cut else body)

    def _body(self, path: str) -> bytes:
        if path.startswith("/works"):
            return json.dumps({"meta": {"count": len(self.works)}, "results": self.works}).encode()
        if path.startswith("/api/query"):
            return (
                '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" '
                'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom">'
                f"<opensearch:totalResults>{len(self.feed)}</opensearch:totalResults>{''.join(self.feed)}</feed>"
            ).encode()
        return gzip.compress("".join(self.anthology).encode())
