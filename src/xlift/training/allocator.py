"""Keep memory that a training step frees in the process, so that the next step does not request it from the system.

glibc maps large blocks anew each time, and the system clears every page of them. On a CPU that took 7% of an XLM-R step
(docs/log.md). Without glibc these functions do nothing.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameter numbers of mallopt(3)."""


def keep_freed_memory() -> bool:
    """Keep freed memory in this process from now on. Returns whether the allocator accepted the settings."""
    libc = _glibc()
    if libc is None:
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
    return all(libc.mallopt(name, value) == 1 for name, value in settings.items())


def release_freed_memory() -> None:
    """Return freed memory to the system once, for example after a stage."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
