"""A stand-in server for the Hub on this machine that works with the real client (`huggingface_hub`), so tests need no network.

    with Hub() as hub:
        commit = hub.commit("dataset", "facebook/xnli", {"de/test-00000-of-00001.parquet": b"..."})
        hub.connect(monkeypatch, tmp_path / "cache")     # this process; `hub.environment(cache)` for others
        hub.answer("resolve/", status=429, headers={"Retry-After": "1"})    # the next such request fails

    hub.repositories["model", "me/mine"]      # the result of `upload_folder` with TOKEN

As on the Hub, `*.parquet` and `*.safetensors` are in large-file storage: 'resolve' redirects to a second server, which
simulates the content network and refuses requests with a token.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.uploads import LARGE, TOKEN, Uploads

PAGE = 1000
"""Files on one page of a listing."""


def parquet(rows: list[dict[str, Any]], row_group_size: int | None = None) -> bytes:
    """The bytes of a Parquet file."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=row_group_size)
    return out.getvalue()


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def git_blob(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents).hexdigest()


@dataclass
class Repository:
    gated: bool = False
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit -> path -> contents."""
    branches: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """A failure of the next requests whose path contains `match`."""

    match: str
    method: str = ""
    """Only for this method; '' means any."""
    status: int = 0
    """Status to return; 0 means the normal response."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Close the connection after this many bytes of the body."""
    hang_after: int | None = None
    """Send this many bytes of the body and nothing more, until the client gives up."""
    times: int = 1
    """Number of requests that fail; -1 means all."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """With the query."""
    range: str = ""


class Hub:
    """Repositories of datasets and models, served over HTTP. Use as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.tampered: dict[str, bytes] = {}
        """SHA-256 of a file -> bytes that the content network sends instead."""
        self.stored: dict[str, bytes] = {}
        """SHA-256 -> bytes uploaded to large-file storage, in a commit or not."""
        self._lock = threading.Lock()
        self._servers = [_serve(self, _Front), _serve(self, _Content)]
        self.url, self.content_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the servers; later connections are refused."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    # --- contents ------------------------------------------------------------------------------------------------

    def commit(
        self, kind: str, name: str, files: Mapping[str, bytes], *, branch: str = "main",
        gated: bool = False, private: bool = False,
    ) -> str:  # fmt: skip
        """Create a 'dataset' or 'model', or a commit that adds these files to the branch. Returns the commit."""
        repository = self.repositories.setdefault((kind, name), Repository())
        repository.gated, repository.private = gated, private
        before = repository.branches.get(branch)
        held = {**(repository.commits[before] if before else {}), **files}
        listed = "".join(f"{path} {sha256(contents)}\n" for path, contents in sorted(held.items()))
        commit = hashlib.sha1(f"{kind} {name} {before}\n{listed}".encode()).hexdigest()
        repository.commits[commit] = held
        repository.branches[branch] = commit
        return commit

    def tamper(self, contents: bytes, served: bytes) -> None:
        """Send other bytes instead of a file's: with equal sizes, neither size nor status shows the damage."""
        self.tampered[sha256(contents)] = served

    def answer(self, match: str, **fault: Any) -> None:
        """Let the next request whose path contains `match` fail; see `Fault`."""
        self.faults.append(Fault(match, **fault))

    # --- clients -----------------------------------------------------------------------------------------------------

    def environment(self, cache: Path) -> dict[str, str]:
        """Environment variables for another process to use this Hub with its own cache."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}  # fmt: skip

    def connect(self, monkeypatch: pytest.MonkeyPatch, cache: Path, *, offline: bool = False) -> None:
        """Let this process use this Hub. The client reads its environment at import, so its constants are patched here."""
        from huggingface_hub import close_session, constants

        from xlift import hub

        values = {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": offline,
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": True,
            "HF_HUB_DISABLE_XET": True,  # large files are uploaded by git's protocol
            "AGENT_HARNESSES_PATH": str(cache / "harnesses.json"),  # otherwise the client writes into the user's home
        }
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        close_session()
        hub.list_files.cache_clear()

    def asked(self, match: str, method: str = "GET") -> list[Request]:
        return [request for request in self.requests if request.method == method and match in request.path]

    # --- used by the handlers -----------------------------------------------------------------------------------------

    def note(self, request: Request) -> Fault:
        """Record a request, and return the fault that applies to it."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and fault.match in request.path and fault.method in ("", request.method):
                    fault.times -= 1
                    return fault
        return Fault("")

    def blob(self, digest: str) -> bytes | None:
        if digest in self.tampered:
            return self.tampered[digest]
        if digest in self.stored:
            return self.stored[digest]
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for contents in files.values():
                    if sha256(contents) == digest:
                        return contents
        return None


def _serve(hub: Hub, handler: type[_Handler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler, ABC):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.fault = self.hub.note(Request(self.command, self.path, self.headers.get("Range", "")))
        if self.fault.status:
            self.send(self.fault.status, b"", **{name.replace("-", "_"): v for name, v in self.fault.headers.items()})
        else:
            self.respond()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        self.body = self.rfile.read(int(length)) if length else self._chunks()
        self.fault = self.hub.note(Request(self.command, self.path))
        if self.fault.status:
            self.send(self.fault.status, b"", **{name.replace("-", "_"): v for name, v in self.fault.headers.items()})
        else:
            self.receive()

    do_PUT = do_POST

    def _chunks(self) -> bytes:
        """A body of unknown length."""
        body = b""
        while self.headers.get("Transfer-Encoding") == "chunked" and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def receive(self) -> None:
        """Respond to an upload."""
        self.send(405, b"")

    @abstractmethod
    def respond(self) -> None:
        """Respond to a request without a fault."""

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """Send a response. In header names '_' stands for '-'."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault.hang_after is not None:
            self.wfile.write(body[: self.fault.hang_after])
            self.wfile.flush()
            self.rfile.read(1)  # returns when the client closes the connection
            self.close_connection = True
            return
        if self.fault.cut_after is not None and len(body) > self.fault.cut_after:
            self.wfile.write(body[: self.fault.cut_after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def send_file(self, contents: bytes, **headers: str) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self.send(200, contents, Accept_Ranges="bytes", **headers)
            return
        start = int(wanted[1])
        if start >= len(contents):
            self.send(416, b"", Content_Range=f"bytes */{len(contents)}")
            return
        part = contents[start : int(wanted[2]) + 1 if wanted[2] else None]
        place = f"bytes {start}-{start + len(part) - 1}/{len(contents)}"
        self.send(206, part, Content_Range=place, Accept_Ranges="bytes", **headers)

    def log_message(self, *_: object) -> None: ...


class _Content(_Handler):
    """The content network: large files by their SHA-256."""

    def respond(self) -> None:
        contents = self.hub.blob(urlsplit(self.path).path.rpartition("/")[2])
        if "Authorization" in self.headers:
            self.send(400, b"a token has left the Hub")
        elif contents is None:
            self.send(404, b"")
        else:
            self.send_file(contents)

    def receive(self) -> None:
        digest = urlsplit(self.path).path.rpartition("/")[2]
        if sha256(self.body) != digest:
            self.send(400, b"not the bytes that were promised")
        else:
            self.hub.stored[digest] = self.body
            self.send(200, b"")


class _Front(Uploads, _Handler):
    """The Hub's own addresses."""

    api = re.compile(
        r"/api/(dataset|model)s/(?P<name>[^/]+/[^/]+|[^/]+?)(?:/(?P<call>revision|tree)/(?P<revision>[^/]+))?"
    )
    resolve = re.compile(
        r"/(?P<datasets>datasets/)?(?P<name>[^/]+/[^/]+|[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
    )

    def respond(self) -> None:
        path = urlsplit(self.path).path
        if call := self.api.fullmatch(path):
            kind, wanted = call[1], call["revision"]
        elif call := self.resolve.fullmatch(path):
            kind, wanted = "dataset" if call["datasets"] else "model", call["revision"]
        else:
            return self.send(404, b"")
        repository = self.hub.repositories.get((kind, call["name"]))
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.private and not known):
            # As on the Hub, a private repository looks like a missing one without a token.
            return self.send(
                404 if known else 401, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found"
            )
        revision = unquote(wanted or "main")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self.send(404, b"{}", X_Error_Code="RevisionNotFound", X_Error_Message=f"Invalid rev id: {revision}")
        files = repository.commits[commit]
        if "path" in call.groupdict():
            if repository.gated and not known:
                return self.send(401, b"{}", X_Error_Code="GatedRepo", X_Error_Message="Access is restricted.")
            self.respond_file(commit, unquote(call["path"]), files)
        elif call["call"] == "tree":
            self.respond_tree(files)
        else:
            siblings = [{"rfilename": name} for name in files]
            self.send_json({"_id": commit[:24], "id": call["name"], "sha": commit, "private": repository.private,
                            "gated": "auto" if repository.gated else False, "siblings": siblings, "tags": [],
                            "downloads": 0, "likes": 0})  # fmt: skip

    def respond_file(self, commit: str, path: str, files: dict[str, bytes]) -> None:
        if path not in files:
            return self.send(
                404, b"", X_Error_Code="EntryNotFound", X_Error_Message="Entry not found", X_Repo_Commit=commit
            )
        contents = files[path]
        if path.endswith(LARGE):
            digest = sha256(contents)
            self.send(
                302, b"", Location=f"{self.hub.content_url}/{digest}", X_Repo_Commit=commit, X_Linked_Size=str(len(contents)),
                X_Linked_Etag=f'"{digest}"', ETag=f'"{git_blob(contents)}"',
            )  # fmt: skip
        else:
            self.send_file(contents, ETag=f'"{git_blob(contents)}"', X_Repo_Commit=commit)

    def respond_tree(self, files: dict[str, bytes]) -> None:
        """Send every file, page by page."""
        start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        paths = sorted(files)
        items = []
        for path in paths[start : start + PAGE]:
            item: dict[str, Any] = {
                "type": "file",
                "oid": git_blob(files[path]),
                "size": len(files[path]),
                "path": path,
            }
            if path.endswith(LARGE):
                item["lfs"] = {"oid": sha256(files[path]), "size": len(files[path]), "pointerSize": 134}
            items.append(item)
        here = self.path.partition("?")[0]
        more = f'<{self.hub.url}{here}?recursive=true&cursor={start + PAGE}>; rel="next"'
        self.send_json(items, **({"Link": more} if len(paths) > start + PAGE else {}))

    def send_json(self, value: Any, **headers: str) -> None:
        self.send(200, json.dumps(value).encode(), Content_Type="application/json", **headers)
