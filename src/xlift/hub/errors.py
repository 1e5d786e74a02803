"""Failures of the Hub's client: which requests are repeated, and one message for every other error."""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from xlift.errors import UserError

PARQUET_BRANCH = "refs/convert/parquet"
"""Branch that the Hub keeps for many datasets, with their rows as Parquet."""
MAX_TRIES = 5
MAX_WAIT = 300.0
"""Longest wait between two tries, in seconds: the Hub counts requests in windows of five minutes."""

_Result = TypeVar("_Result")


class FatalTransferError(UserError):
    """An error that stops every other transfer too: no network, or no space to write."""


def call_with_retries(
    request: Callable[[], _Result],
    repository: str,
    revision: str,
    file: str = "",
    explain: Callable[[BaseException], UserError] | None = None,
    kind: str = "dataset",
) -> _Result:
    """Call the Hub's client, again while the Hub is busy, and turn its errors into UserError.

    Args:
        file: the file that is downloaded, if any. For downloads the client itself waits after a 429.
        explain: makes the UserError; the default speaks of a download.
        kind: of the repository: 'dataset' or 'model'.
    """
    from huggingface_hub.errors import HfHubHTTPError

    transport: Any = HfHubHTTPError.__mro__[1]  # error of the HTTP library, which the client has changed three times
    for attempt in range(1, MAX_TRIES + 1):
        try:
            return request()
        except (transport, OSError, ValueError, KeyError, TypeError) as error:
            response = getattr(error, "response", None)
            if response is None or response.status_code not in _BUSY[bool(file) :] or attempt == MAX_TRIES:
                raise (explain(error) if explain else _explain(error, repository, revision, file, kind)) from None
            wait = min(_requested_wait(response.headers) or 2.0**attempt, MAX_WAIT)
            logging.getLogger(__name__).warning(
                "the Hub is busy (%d); trying again in %.0f s", response.status_code, wait
            )
            time.sleep(wait)
    raise AssertionError


_BUSY = (429, 500, 502, 503, 504)
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)


def _requested_wait(headers: Any) -> float:
    """Seconds, from the standard header or from the Hub's own ('"api";r=0;t=55'); 0 if neither is there."""
    after = headers.get("Retry-After", "")
    window = re.search(r";\s*t=(\d+)", headers.get("RateLimit", ""))
    return float(after) if after.isdigit() else float(window[1]) if window else 0.0


def _explain(error: BaseException, repository: str, revision: str, file: str, kind: str) -> UserError:
    """The error as one clause, with a fix."""
    from huggingface_hub import constants, errors

    url = repository_url(repository, revision, kind)
    prefix = f"{file}: " if file else ""
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # the client's own message gives no reason, its cause does
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return UserError(f"'{repository}' is not a valid {kind} name", fix="Expected ORG/NAME.")
    if isinstance(error, (ValueError, KeyError, TypeError)) and not isinstance(error, OSError):
        return UserError(
            f"{constants.ENDPOINT} does not respond like the Hub: {type(error).__name__}", where=url,
            fix="Check HF_ENDPOINT. A login page of the network may intercept the request.",
        )  # fmt: skip
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{prefix}the {kind} is gated: its owners require registration", where=url,
            fix="Accept its terms on that page, and log in with `hf auth login` or set HF_TOKEN.",
        )  # fmt: skip
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            f"the Hub has no such {kind}, or it is private", where=url,
            fix=f"Check the name. For a private {kind}, log in with `hf auth login` or set HF_TOKEN.",
        )  # fmt: skip
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(
            f"the {kind} has no revision '{revision}'", where=url, fix=f"Try 'main' or '{PARQUET_BRANCH}'."
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return UserError(f"{prefix}the Hub lists this file but does not have it", where=url, fix="Try again later.")
    if status in (401, 403):
        return UserError(
            f"{prefix}the Hub refuses access ({status})", where=url, fix="Check HF_TOKEN, or run `hf auth login` again."
        )
    if status == 429:
        return UserError(
            f"{prefix}the Hub still returns 429 (too many requests) after {MAX_TRIES} tries", where=url,
            fix="Wait some minutes. Logged-in users (`hf auth login`) have a higher limit. Downloaded files are kept.",
        )  # fmt: skip
    if status is not None:
        return UserError(
            f"{prefix}the Hub returns {status}", where=url, fix="Try again later. Downloaded files are kept."
        )
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return write_error(error, error.filename)
    message = str(error).strip().splitlines()
    if file and not isinstance(error, errors.LocalEntryNotFoundError) and "connect" not in type(error).__name__.lower():
        return UserError(f"{prefix}the transfer was interrupted", where=url, fix="Try again. Complete files are kept.")
    return FatalTransferError(
        f"{prefix}the Hub at {constants.ENDPOINT} cannot be reached: {message[0] if message else type(error).__name__}", where=url,
        fix="Check the network, the proxy (HTTPS_PROXY) or the mirror (HF_ENDPOINT), and try again. Complete files are kept.",
    )  # fmt: skip


def repository_url(repository: str, revision: str, kind: str = "dataset") -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{'datasets/' * (kind == 'dataset')}{repository}" + (
        f" ({revision})" if revision != "main" else ""
    )


def write_error(error: OSError, path: Any) -> UserError:
    return FatalTransferError(
        f"cannot write: {os.strerror(error.errno) if error.errno else error}", where=str(path or ""),
        fix="Free space, or choose another folder (--data DIR, HF_HOME). Complete files are kept.",
    )  # fmt: skip
