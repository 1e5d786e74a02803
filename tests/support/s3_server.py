"""A server with the API of S3 on loopback, in a process of its own: moto, with faults on request.

moto honours `If-None-Match`, but looks and writes in two steps. S3 does that in one, so writes take turns here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FAULTS, COUNT = "/-/faults", "/-/count"


class Faults:
    """The application, behind a gate that fails or delays some requests."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.writing = threading.Lock()
        self.faults: dict[str, Any] = {}
        self.count = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == FAULTS:
            self.faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self.faults["begin"] = self.count + self.faults.get("after", 0)
            start_response("200 OK", [])
            return [b""]
        if environ["PATH_INFO"] == COUNT:
            start_response("200 OK", [])
            return [str(self.count).encode()]
        self.count += 1
        time.sleep(self.faults.get("seconds", 0))
        every = self.faults.get("every", 1 if "after" in self.faults else 0)
        if every and self.count % every == 0 and self.count > self.faults["begin"]:
            if self.faults.get("kind") == "drop":
                environ["werkzeug.socket"].close()
            status = {"refuse": "403 Forbidden"}.get(self.faults.get("kind", ""), "503 Service Unavailable")
            start_response(status, [("Content-Type", "application/xml")])
            code = "AccessDenied" if status.startswith("403") else "ServiceUnavailable"
            return [f"<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>".encode()]
        if self.faults.get("ignore_conditions"):
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self.application(environ, start_response)
        with self.writing:
            return self.application(environ, start_response)


class Server:
    """The running server, seen from the tests."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def set_faults(self, **faults: Any) -> None:
        """every: fail each n-th request; after: fail all after so many; kind: '503', 'drop' (the connection) or 'refuse'; seconds: wait before each;
        ignore_conditions: do not look at If-None-Match."""
        request = urllib.request.Request(f"{self.url}{FAULTS}", json.dumps(faults).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def count(self) -> int:
        """Requests so far."""
        with urllib.request.urlopen(f"{self.url}{COUNT}", timeout=10) as answer:
            return int(answer.read())

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "an-access-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret-key",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def run_server() -> Iterator[Server]:
    command = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, Faults(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # the tests have ended, or died


if __name__ == "__main__":
    main()
