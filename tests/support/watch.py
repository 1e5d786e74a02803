"""What Python does while a piece of code runs, by an audit hook: files that it writes, code that it runs, processes, connections.

An audit hook stays until the process ends, so there is one, and it reports to the `Watch` that is active. Libraries in C write files
without an event: compare the folders too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGED_PATHS = {
    "os.chmod": (0,), "os.chown": (0,), "os.link": (1,), "os.mkdir": (0,), "os.remove": (0,), "os.rename": (0, 1),
    "os.rmdir": (0,), "os.setxattr": (0,), "os.symlink": (1,), "os.truncate": (0,), "os.utime": (0,),
}  # fmt: skip
"""Event -> which of its arguments are paths that it changes."""
_PROCESSES = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
)
_CODE = ("pickle.find_class", "builtins.input", "ctypes.dlopen")
"""Events of code that comes with data, and of questions on the terminal."""
_NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "urllib.Request",
    "webbrowser.open",
)
_DIRECTORY_FLAGS = ("os.mkdir", "os.remove", "os.rmdir")


@dataclass
class Watch:
    """Collects in `seen` what the code must not do."""

    folder: Path
    """Code and libraries must not come from here, and files in it may be read."""
    writable: Sequence[Path]
    """Files and folders that the code may make, change and remove."""
    unreadable: Sequence[Path] = ()
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._folder = str(self.folder.resolve())
        self._writable = [str(path.resolve()) for path in self.writable] + ["/dev/null", "/dev/tty"]
        self._unreadable = [str(path.resolve()) for path in self.unreadable]

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._open(*args)
        elif event in _CHANGED_PATHS:
            folder = args[-1] if event in _DIRECTORY_FLAGS and isinstance(args[-1], int) else -1
            for at in _CHANGED_PATHS[event]:
                self._write(event, args[at], folder)
        elif event in _PROCESSES:
            if not (event == "subprocess.Popen" and list(args[1])[:1] == ["git"]):
                self.seen.append(f"a process: {event} {str(args)[:200]}")
        elif event in _CODE or event in _NETWORK:
            if event != "ctypes.dlopen" or ("/" in str(args[0]) and self._is_below(args[0], [self._folder])):
                self.seen.append(f"{event} {str(args)[:200]}")
        elif event == "exec":
            if self._is_below(args[0].co_filename, [self._folder]):
                self.seen.append(f"code of {args[0].co_filename}")
        elif event == "import" and self._is_below(args[1], [self._folder]):
            self.seen.append(f"a module of {args[1]}")

    def _open(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int):
            return
        if flags & _WRITE_FLAGS and flags & os.O_TMPFILE != os.O_TMPFILE:
            self._write("open", path)
        elif self._unreadable and self._is_below(path, self._unreadable):
            self.seen.append(f"it reads {os.fsdecode(path)}")

    def _write(self, event: str, path: Any, folder: int = -1) -> None:
        if isinstance(path, int):  # an open file, whose opening was an event
            return
        if folder >= 0:
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
        if not self._is_below(path, self._writable, follow_last=event == "open"):
            self.seen.append(f"it changes {os.fsdecode(path)} ({event})")

    def _is_below(self, path: Any, folders: Sequence[str], *, follow_last: bool = True) -> bool:
        if not isinstance(path, str | bytes | os.PathLike) or os.fsdecode(path).startswith("<"):
            return False  # code of a string, such as a dataclass, is of the module that makes it
        name = os.path.abspath(os.fsdecode(path))
        if follow_last:
            name = os.path.realpath(name)
        else:  # the link itself is changed
            name = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
        return any(name == folder or name.startswith(f"{folder}/") for folder in folders)


_active: Watch | None = None
_is_installed = False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    watch = _active
    if watch is not None:
        try:
            watch.audit(event, args)
        except Exception as error:  # a hook that raises would change what the code does
            watch.seen.append(f"the watch failed on {event}: {error!r}")


@contextmanager
def watching(watch: Watch | None) -> Iterator[None]:
    """Report to `watch` during the block; to nothing if it is None."""
    global _active, _is_installed
    if not _is_installed:
        sys.addaudithook(_audit)
        _is_installed = True
    _active = watch
    try:
        yield
    finally:
        _active = None
