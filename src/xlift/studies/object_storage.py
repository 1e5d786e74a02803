"""Objects of a bucket by name, through fsspec: retries, and errors that say what to do.

Credentials come from the usual places of the cloud's SDK (environment, ~/.aws, instance roles). They are never part of a URL.
Everything that a store promises rests on one condition: `create` puts an object only if there is none of its name.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from xlift.errors import UserError

PROTOCOLS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}
"""Start of a URL -> the package that reads it, and xlift's extra that installs it."""
ATTEMPTS = 5
"""Tries of a request. The SDK repeats a request too, so an outage of a minute is survived."""
FIRST_PAUSE = 0.5
"""Seconds before the second try; doubled for each further one."""

_URL = re.compile(r"(\w+)://([^/]*)/?(.*)")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PART = re.compile(r"[\w.+=-]+")
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk of this machine, which no object store has."""
_NO_CREDENTIALS = re.compile("Credential|ProfileNotFound|SSOToken|TokenRetrieval|RefreshError")

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectInfo:
    name: str
    """Relative to the store."""
    bytes: int
    modified: float
    """Seconds since the epoch, on the server's clock."""


def is_url(root: object) -> bool:
    """Whether the place of a store is meant to be a URL."""
    return isinstance(root, str) and "://" in root


class ObjectStorage:
    """The objects below a URL `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.

    Methods raise UserError if the bucket does not exist, access is refused, or the server cannot be reached.

    Raises:
        UserError: the URL is none of these, or the package for it is not installed.
    """

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        protocol, bucket, prefix = found.groups() if found else ("", "", "")
        if "@" in bucket:
            raise UserError(
                "the URL of a store has no credentials",
                where=f"{protocol}://...@{bucket.rpartition('@')[2]}",
                fix="set them as your cloud's tools read them (AWS_PROFILE, `aws configure`, `gcloud auth`).",
            )
        parts = prefix.strip("/").split("/") if prefix.strip("/") else []
        is_valid = _BUCKET.fullmatch(bucket) and all(_PART.fullmatch(part) and set(part) != {"."} for part in parts)
        if protocol not in PROTOCOLS or not is_valid:
            raise UserError(
                "this is no URL of a store",
                where=url,
                fix="expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or a folder.",
            )
        package, extra = PROTOCOLS[protocol]
        if find_spec(package) is None:
            raise UserError(
                f"{protocol}:// needs the package {package}", where=url, fix=f"`pip install xlift[{extra}]`"
            )
        self.url = f"{protocol}://{'/'.join([bucket, *parts])}"
        self._root = "/".join([bucket, *parts])
        self._protocol, self._filesystem = protocol, None

    def get(self, name: str) -> bytes | None:
        """The content of an object; None if there is none."""
        return self._find(lambda fs: fs.cat_file(self._path(name)))

    def put(self, name: str, content: bytes) -> None:
        """Write an object, atomically."""
        self._call(lambda fs: fs.pipe_file(self._path(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one. Returns whether it now has this content: a repeated request may find what the first
        one wrote before its answer was lost."""
        return self.create_only(name, content) or self.get(name) == content

    def create_only(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one. Returns whether this call wrote it."""
        try:
            self._call(lambda fs: fs.pipe_file(self._path(name), content, mode="create"))
        except FileExistsError:
            return False
        return True

    def upload(self, path: Path, name: str) -> None:
        """Write a file as an object, atomically."""
        self._call(lambda fs: fs.put_file(str(path), self._path(name)))

    def download(self, name: str, path: Path) -> bool:
        """Write an object to a file. Returns False if there is no object."""
        return self._find(lambda fs: (fs.get_file(self._path(name), str(path)), True)[1]) or False

    def info(self, name: str) -> ObjectInfo | None:
        """Size and time of an object; None if there is none."""
        found = self._find(lambda fs: fs.info(self._path(name)))
        return None if found is None else _read_info(name, found)

    def list(self, prefix: str) -> list[ObjectInfo]:
        """All objects whose names start with `prefix`, by name. A request for each thousand."""
        # With a prefix s3fs asks once if nothing is listed, without one three times.
        found = self._call(lambda fs: fs.find(self._root, detail=True, prefix=prefix))
        files = {name.removeprefix(f"{self._root}/"): info for name, info in found.items() if info["type"] == "file"}
        infos = [_read_info(name, info) for name, info in files.items()]
        return sorted((info for info in infos if info.name.startswith(prefix)), key=lambda info: info.name)

    def list_top(self) -> list[str]:
        """Names at the top of the store, of objects and of prefixes; empty if there is nothing below the URL."""
        found = self._find(lambda fs: fs.ls(self._root, detail=False)) or []
        return [name.removeprefix(self._root).strip("/") for name in found]

    def copy(self, name: str, new: str) -> None:
        """Copy an object inside of the store."""
        self._call(lambda fs: fs.cp_file(self._path(name), self._path(new)))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, in order. Those that are gone do not matter."""
        for name in names:
            self._find(lambda fs, name=name: fs.rm_file(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _find(self, request: Callable[[Any], T]) -> T | None:
        """As `_call`; None if there is no such object."""
        try:
            return self._call(request)
        except FileNotFoundError:
            return None

    def _call(self, request: Callable[[Any], T]) -> T:
        """The result of a request, repeated while the server fails.

        Raises:
            FileNotFoundError, FileExistsError: as the request raises them.
            OSError: a disk of this machine is full or read-only.
            UserError: see the class.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request(self._open())
            except UserError:
                raise
            except FileExistsError:
                raise
            except FileNotFoundError as error:
                if "NoSuchBucket" in repr(error.__cause__):
                    raise UserError(
                        f"there is no bucket '{self._root.partition('/')[0]}'",
                        where=self.url,
                        fix="create it with your cloud's tools, or name another one.",
                    ) from None
                raise
            except Exception as error:  # the packages raise errors of many libraries
                if isinstance(error, OSError) and (error.errno in _LOCAL or isinstance(error.filename, str)):
                    raise  # of a file on this machine
                if _NO_CREDENTIALS.search(type(error).__name__):
                    raise UserError(
                        f"no credentials for the object store: {_describe(error)}",
                        where=self.url,
                        fix="set them as your cloud's tools read them (AWS_PROFILE, `aws configure`, `gcloud auth`).",
                    ) from None
                if isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
                    raise UserError(
                        f"the object store refuses access: {_describe(error)}",
                        where=self.url,
                        fix="use credentials that may list, read and write objects below this URL.",
                    ) from None
                if attempt == ATTEMPTS:
                    raise UserError(
                        f"the object store cannot be used: {_describe(error)}",
                        where=self.url,
                        fix="check the network and the address of the server, and run the same command again: "
                        "finished jobs are kept.",
                    ) from None
            time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
        raise AssertionError

    def _open(self) -> Any:
        """The file system of fsspec, opened at the first request, since that imports for a second."""
        if self._filesystem is None:
            import fsspec

            # Listings are never kept: another process changes the bucket.
            self._filesystem = fsspec.filesystem(self._protocol, use_listings_cache=False)
        return self._filesystem


def _read_info(name: str, info: dict[str, Any]) -> ObjectInfo:
    modified = next(info[key] for key in ("LastModified", "mtime", "updated", "created") if key in info)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    seconds = modified.timestamp() if isinstance(modified, datetime) else float(modified)
    return ObjectInfo(name, int(info["size"] or 0), seconds)


def _describe(error: Exception) -> str:
    """The first line of an error, without parts of URLs that may hold secrets."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"//[^/@\s]*@", "//", re.sub(r"\?\S*", "", text))[:300].rstrip(".")
