"""GET requests to public services: cached, one at a time with a pause for each service, and tried again."""

from __future__ import annotations

import email.utils
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from xlift.version import __version__

ATTEMPTS = 4
RETRIED = (429, 500, 502, 503, 504)
MAX_WAIT = 60.0
"""Seconds to wait for a service at its request. If it asks for more, the search goes on without it."""
MAX_SECONDS = 300.0
"""Seconds that one answer may take."""
MAX_PAGE = 20_000_000
"""Bytes of a page of results, after decompression."""
DAY = 86_400.0


class FetchError(Exception):
    """A service gave no usable answer. The text says why, in words that follow the name of the service and a colon."""


@dataclass
class Fetcher:
    """Fetches addresses into a cache folder."""

    cache: Path
    contact: str = ""
    """An e-mail address for the services, which ask for one to reach people whose programs cause trouble."""
    _last: dict[str, float] = field(default_factory=dict)
    """Host -> time of the last request."""

    @property
    def user_agent(self) -> str:
        contact = f"; mailto:{self.contact}" if self.contact else ""
        return f"xlift/{__version__} (literature search{contact})"

    def fetch(
        self, url: str, *, check: Callable[[Path], str], pause: float, max_bytes: int = MAX_PAGE, max_age: float = 7 * DAY,
        headers: Mapping[str, str] | None = None,
    ) -> Path:  # fmt: skip
        """The file in the cache that holds the answer.

        Args:
            check: what is wrong with the answer in a file; '' if nothing. A wrong answer is fetched again, and never cached.
            pause: seconds between two requests to the same host.
            max_age: seconds after which the file in the cache is fetched again.

        Raises:
            FetchError: no usable answer after all attempts.
        """
        target = self.cache / hashlib.sha256(url.encode()).hexdigest()
        try:
            if target.is_file() and 0 <= time.time() - target.stat().st_mtime < max_age and not check(target):
                return target
            self.cache.mkdir(parents=True, exist_ok=True)
            return self._fetch(url, target, check, pause, max_bytes, headers or {})
        except OSError as error:
            if isinstance(error, _requests().exceptions.RequestException):
                raise
            raise FetchError(f"the cache {self.cache} cannot be written ({error.strerror or error})") from None

    def _fetch(
        self, url: str, target: Path, check: Callable[[Path], str], pause: float, max_bytes: int, headers: Mapping[str, str]
    ) -> Path:  # fmt: skip
        problem, wait = "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(wait)
            handle, name = tempfile.mkstemp(dir=self.cache, prefix="draft-")
            os.close(handle)
            draft = Path(name)
            try:
                problem, asked = self._request(url, draft, pause, max_bytes, headers)
                if not problem:
                    problem = check(draft)
                if not problem:
                    draft.replace(target)
                    return target
            finally:
                draft.unlink(missing_ok=True)
            if asked > MAX_WAIT:
                raise FetchError(f"{problem}; it asks to wait {asked:,.0f} seconds. Search again later")
            wait = max(asked, float(2**attempt))
        raise FetchError(f"{problem} ({ATTEMPTS} attempts)")

    def _request(
        self, url: str, draft: Path, pause: float, max_bytes: int, headers: Mapping[str, str]
    ) -> tuple[str, float]:
        """Write the body of one answer. Returns what was wrong ('' if nothing), and the seconds that the service asks to wait.

        Raises:
            FetchError: wrong in a way that another attempt does not change.
        """
        requests = _requests()
        host = urlsplit(url).netloc
        since = time.monotonic() - self._last.get(host, -1e9)
        if since < pause:
            time.sleep(pause - since)
        self._last[host] = time.monotonic()
        try:
            with requests.get(
                url, headers={"User-Agent": self.user_agent, **headers}, stream=True, timeout=(10, 60)
            ) as answer:
                if answer.status_code in RETRIED:
                    return f"status {answer.status_code}", _seconds(answer.headers.get("Retry-After", ""))
                if answer.status_code in (401, 403):
                    raise FetchError(f"status {answer.status_code}: access refused")
                if answer.status_code != 200:
                    raise FetchError(f"status {answer.status_code}")
                self._write(answer.iter_content(65_536), draft, max_bytes)
        except requests.exceptions.Timeout:
            return "no answer in time", 0.0
        except requests.exceptions.ChunkedEncodingError:
            return "the answer broke off", 0.0
        except requests.exceptions.ContentDecodingError:
            return "the answer cannot be decompressed", 0.0
        except requests.exceptions.ConnectionError as error:
            if not draft.stat().st_size and _is_unreachable(error):
                raise FetchError("no connection") from None
            return "the connection broke off", 0.0
        except requests.exceptions.RequestException as error:
            raise FetchError(f"the request failed ({type(error).__name__})") from None
        return "", 0.0

    def _write(self, chunks, draft: Path, max_bytes: int) -> None:
        size, start = 0, time.monotonic()
        with draft.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise FetchError(f"the answer has more than {max_bytes:,} bytes")
                if time.monotonic() - start > MAX_SECONDS:
                    raise FetchError(f"the answer took more than {MAX_SECONDS:.0f} seconds")
                file.write(chunk)


def _requests():
    import requests

    return requests


def _seconds(value: str) -> float:
    """The seconds of a Retry-After header, which is a number or a date; 0 if it is neither."""
    try:
        return max(0.0, float(value)) if float(value) == float(value) else 0.0
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _is_unreachable(error: Exception) -> bool:
    """Whether no connection was made, as without a network: more attempts would only cost time."""
    return any(
        sign in str(error)
        for sign in ("NewConnectionError", "NameResolutionError", "Failed to establish", "ProxyError")
    )
